"""Losses of classes that are predicted, with Optax's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.nn.activations import log_sigmoid, log_softmax, one_hot, softmax
from functrans.primitives.shaping import iota


def softmax_cross_entropy(logits: Any, labels: Any, axis: int = -1) -> Any:
    """-Σ labels × log_softmax(logits) over an axis; labels are probabilities."""
    return -fnp.sum(labels * log_softmax(logits, axis=axis), axis=axis)


def softmax_cross_entropy_with_integer_labels(logits: Any, labels: Any, axis: int = -1) -> Any:
    """-log_softmax(logits) at the label, over an axis.

    Args:
        logits: [..., classes] floats.
        labels: [...] integers below the number of classes.

    >>> import functrans as ft
    >>> loss = ft.optim.losses.softmax_cross_entropy_with_integer_labels
    >>> loss(np.zeros((2, 4)), np.array([0, 3]))
    array([1.38629436, 1.38629436])
    """
    log_probabilities = log_softmax(logits, axis=axis)
    rank = log_probabilities.ndim
    classes = iota(log_probabilities.shape, axis % rank, np.int64)
    # a comparison instead of an index: it fuses with the softmax, and so does its derivative
    chosen = fnp.where(classes == fnp.expand_dims(labels, axis), log_probabilities, 0)
    return -fnp.sum(chosen, axis=axis)


def safe_softmax_cross_entropy(logits: Any, labels: Any) -> Any:
    """softmax_cross_entropy where logits may be -inf if their labels are 0.

    Args:
        logits: [..., classes] floats.
        labels: [..., classes] probabilities.

    >>> logits, labels = np.array([0.0, 0.0, -np.inf]), np.array([1.0, 0.0, 0.0])
    >>> float(safe_softmax_cross_entropy(logits, labels).round(6))
    0.693147
    """
    # the log probability of what cannot happen is not asked for: 0 × -inf is nan
    none = labels == 0
    log_probabilities = fnp.where(none, 0.0, log_softmax(logits))
    return -fnp.sum(fnp.where(none, 0.0, labels) * log_probabilities, axis=-1)


def poly_loss_cross_entropy(
    logits: Any, labels: Any, *, epsilon: float = 2.0, axis: int = -1
) -> Any:
    """Cross entropy + epsilon × (1 - probability of the label), over an axis.

    Args:
        logits: [..., classes] floats.
        labels: [..., classes] probabilities.
        epsilon: the weight of the first term of cross entropy's expansion; the paper has 2 for
            ImageNet, and -1 for detection.
        axis: that of the classes.

    Leng et al., PolyLoss: a polynomial expansion perspective of classification loss functions,
    2022.

    >>> poly_loss_cross_entropy(np.zeros((1, 2)), np.array([[1.0, 0.0]])).round(6)
    array([1.693147])
    """
    wrong = fnp.sum(labels * (1 - softmax(logits, axis=axis)), axis=axis)
    return softmax_cross_entropy(logits, labels, axis) + epsilon * wrong


def smooth_labels(labels: Any, alpha: Any, *, axis: int = -1) -> Any:
    """Labels moved by alpha of the way to equal probabilities.

    Args:
        labels: [..., classes] probabilities.
        alpha: from 0, as they are, to 1.
        axis: that of the classes.

    Müller, Kornblith, Hinton, When does label smoothing help?, 2019.

    >>> smooth_labels(np.array([1.0, 0.0]), 0.1)
    array([0.95, 0.05])
    """
    return (1 - alpha) * labels + alpha / labels.shape[axis]


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Any:
    """Cross entropy of independent yes/no labels, elementwise."""
    return -labels * log_sigmoid(logits) - (1 - labels) * log_sigmoid(-logits)


def sigmoid_focal_loss(
    logits: Any, labels: Any, *, alpha: float | None = None, gamma: float = 2.0
) -> Any:
    """Binary cross entropy × (1 - probability of the label)^gamma, elementwise.

    Args:
        logits: floats.
        labels: of their shape, in [0, 1].
        alpha: the weight of label 1, where 1 - alpha is that of 0; None for no weights.
        gamma: how little the examples count that are easy.

    Lin et al., Focal loss for dense object detection, 2017.

    >>> sigmoid_focal_loss(np.zeros(2), np.array([0.0, 1.0])).round(6)
    array([0.173287, 0.173287])
    """
    # as logarithms, since the derivative of a power has a pole where the factor underflows
    wrong = fnp.logaddexp(
        log_sigmoid(logits) + _log(1 - labels), log_sigmoid(-logits) + _log(labels)
    )
    loss = fnp.exp(gamma * wrong) * sigmoid_binary_cross_entropy(logits, labels)
    return loss if alpha is None else (alpha * labels + (1 - alpha) * (1 - labels)) * loss


def _log(x: Any) -> Any:
    """log(x), of zero without a warning."""
    return fnp.where(x == 0, -np.inf, fnp.log(fnp.where(x == 0, 1.0, x)))


def hinge_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, 1 - prediction × target), elementwise; targets are -1 or 1."""
    return fnp.maximum(0, 1 - predictor_outputs * targets)


def perceptron_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, -prediction × target), elementwise; targets are -1 or 1 (Rosenblatt 1958).

    >>> perceptron_loss(np.array([0.5, -2.0]), np.array([1, 1]))
    array([0., 2.])
    """
    return fnp.maximum(0, -predictor_outputs * targets)


def sparsemax_loss(logits: Any, labels: Any) -> Any:
    """The loss that belongs to sparsemax, of two classes, elementwise; 0 from a margin of 1 on.

    Args:
        logits: floats.
        labels: of their shape, 0 or 1.

    Martins, Astudillo, From softmax to sparsemax, 2016.

    >>> sparsemax_loss(np.array([2.0, 0.0, -2.0]), np.array([1, 1, 1]))
    array([0.  , 0.25, 2.  ])
    """
    margin = (2 * labels - 1) * logits
    inside = fnp.clip(1 - margin, 0.0, 2.0)
    return inside**2 / 4 + fnp.maximum(-1 - margin, 0.0)


def multiclass_hinge_loss(scores: Any, labels: Any) -> Any:
    """By how much the best of the other scores, plus 1, exceeds that of the label.

    Args:
        scores: [..., classes] floats.
        labels: [...] integers below the number of classes.

    Crammer, Singer, On the algorithmic implementation of multiclass kernel-based vector machines,
    2001.

    >>> multiclass_hinge_loss(np.array([[3.0, 1.0, 2.5]]), np.array([0]))
    array([0.5])
    """
    right = one_hot(labels, scores.shape[-1], dtype=scores.dtype)
    return fnp.max(scores + 1 - right, axis=-1) - fnp.sum(scores * right, axis=-1)


def multiclass_perceptron_loss(scores: Any, labels: Any) -> Any:
    """By how much the best score exceeds that of the label (Rosenblatt 1958).

    Args:
        scores: [..., classes] floats.
        labels: [...] integers below the number of classes.

    >>> multiclass_perceptron_loss(np.array([[3.0, 1.0, 2.5]]), np.array([2]))
    array([0.5])
    """
    right = one_hot(labels, scores.shape[-1], dtype=scores.dtype)
    return fnp.max(scores, axis=-1) - fnp.sum(scores * right, axis=-1)
