"""Losses per example, with Optax's names."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.nn.activations import log_sigmoid, log_softmax
from functrans.primitives.shaping import iota


def squared_error(predictions: Any, targets: Any = None) -> Any:
    """(predictions - targets)², elementwise.

    >>> import functrans as ft
    >>> ft.optim.losses.squared_error(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    array([1., 4.])
    """
    errors = predictions if targets is None else predictions - targets
    return errors * errors


def l2_loss(predictions: Any, targets: Any = None) -> Any:
    """Half the squared error, elementwise."""
    return 0.5 * squared_error(predictions, targets)


def huber_loss(predictions: Any, targets: Any = None, delta: float = 1.0) -> Any:
    """Quadratic up to delta, linear beyond (Huber 1964), elementwise."""
    errors = fnp.abs(predictions if targets is None else predictions - targets)
    quadratic = fnp.minimum(errors, delta)
    return 0.5 * quadratic**2 + delta * (errors - quadratic)


def log_cosh(predictions: Any, targets: Any = None) -> Any:
    """log(cosh(error)), elementwise, without overflow."""
    errors = predictions if targets is None else predictions - targets
    return fnp.logaddexp(errors, -errors) - fnp.log(2.0).astype(errors.dtype)


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


def sigmoid_binary_cross_entropy(logits: Any, labels: Any) -> Any:
    """Cross entropy of independent yes/no labels, elementwise."""
    return -labels * log_sigmoid(logits) - (1 - labels) * log_sigmoid(-logits)


def cosine_similarity(predictions: Any, targets: Any, epsilon: float = 0.0, axis: int = -1) -> Any:
    """The cosine of the angle between vectors along an axis."""

    def unit(x: Any) -> Any:
        norm = fnp.sqrt(fnp.sum(x * x, axis=axis, keepdims=True))
        return x / fnp.maximum(norm, epsilon)

    return fnp.sum(unit(predictions) * unit(targets), axis=axis)


def cosine_distance(predictions: Any, targets: Any, epsilon: float = 0.0, axis: int = -1) -> Any:
    """1 - cosine_similarity."""
    return 1 - cosine_similarity(predictions, targets, epsilon, axis)


def kl_divergence(log_predictions: Any, targets: Any, axis: int = -1) -> Any:
    """Σ targets × (log targets - log_predictions) over an axis."""
    safe = fnp.where(targets == 0, 1.0, targets)
    return fnp.sum(targets * (fnp.log(safe) - log_predictions), axis=axis)


def hinge_loss(predictor_outputs: Any, targets: Any) -> Any:
    """max(0, 1 - prediction × target), elementwise; targets are -1 or 1."""
    return fnp.maximum(0, 1 - predictor_outputs * targets)
