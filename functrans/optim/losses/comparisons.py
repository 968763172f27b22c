"""Losses that compare examples with one another, with Optax's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.nn.activations import log_softmax


def triplet_margin_loss(
    anchors: Any,
    positives: Any,
    negatives: Any,
    axis: int = -1,
    norm_degree: float = 2,
    margin: float = 1.0,
    eps: float = 1e-6,
) -> Any:
    """max(0, distance to the positive - distance to the negative + margin), over an axis.

    Args:
        anchors: [..., features] embeddings.
        positives: those that should be near, of the same shape.
        negatives: those that should be far, of the same shape.
        axis: that of the features.
        norm_degree: p of the distance (Σ |difference|^p + eps)^(1/p).
        margin: how much nearer is near enough.
        eps: keeps the distance differentiable where embeddings are equal.

    Balntas et al., Learning local feature descriptors with triplets and shallow convolutional
    neural networks, 2016.

    >>> anchor, near, far = np.zeros(2), np.array([3.0, 4.0]), np.array([0.0, 5.5])
    >>> float(triplet_margin_loss(anchor, near, far).round(4))
    0.5
    """

    def distance(others: Any) -> Any:
        powers = fnp.abs(anchors - others) ** norm_degree
        return (fnp.sum(powers, axis=axis) + eps) ** (1 / norm_degree)

    return fnp.maximum(distance(positives) - distance(negatives) + margin, 0)


def ntxent(embeddings: Any, labels: Any, temperature: float = 0.07) -> Any:
    """Cross entropy of which example belongs to another, by the cosines of their embeddings.

    Args:
        embeddings: [examples, features] floats.
        labels: [examples] integers, equal for what belongs together.
        temperature: what cosines are divided by.

    Returns:
        The mean over all pairs that belong together; each is compared with the examples that do
        not. nan if there is no such pair.

    Chen et al., A simple framework for contrastive learning of visual representations, 2020.

    >>> x = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> float(ntxent(x, np.array([0, 0, 1, 1]), temperature=1.0).round(6))
    0.551445
    """
    units = embeddings / fnp.linalg.norm(embeddings, axis=-1, keepdims=True)
    similar = fnp.matmul(units, units.T) / temperature
    same = fnp.expand_dims(labels, 0) == fnp.expand_dims(labels, 1)
    pairs = same & fnp.logical_not(np.eye(embeddings.shape[0], dtype=bool))
    others = fnp.where(same, -np.inf, similar)
    most = fnp.max(similar, axis=-1, keepdims=True)
    rest = most + fnp.log(fnp.sum(fnp.exp(others - most), axis=-1, keepdims=True))
    losses = fnp.where(pairs, fnp.logaddexp(similar, rest) - similar, 0.0)
    return fnp.sum(losses) / fnp.sum(pairs).astype(losses.dtype)


def ranking_softmax_loss(
    logits: Any,
    labels: Any,
    *,
    where: Any = None,
    weights: Any = None,
    reduce_fn: Callable[..., Any] | None = fnp.mean,
) -> Any:
    """-Σ relevance × log_softmax(score) over each list.

    Args:
        logits: [..., items] scores.
        labels: [..., items] relevances.
        where: [..., items] bools, which items there are; None for all.
        weights: [..., items] that relevances are multiplied by.
        reduce_fn: from the losses [...] of lists to a number, such as `fnp.sum`; with `where`, it
            is told by that name which lists have items. None for the losses themselves.

    Cao et al., Learning to rank: from pairwise approach to listwise approach, 2007.

    >>> float(ranking_softmax_loss(np.zeros((2, 4)), np.eye(4)[:2]).round(6))
    1.386294
    """
    relevances = labels if weights is None else labels * weights
    if where is None:
        losses = -fnp.sum(relevances * log_softmax(logits), axis=-1)
        return losses if reduce_fn is None else reduce_fn(losses)
    # far below all others instead of -inf: a list may have no items at all
    scores = fnp.where(where, logits, np.finfo(logits.dtype).min / 2)
    losses = -fnp.sum(fnp.where(where, relevances, 0.0) * log_softmax(scores), axis=-1)
    return losses if reduce_fn is None else reduce_fn(losses, where=fnp.any(where, axis=-1))
