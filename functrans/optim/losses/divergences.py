"""Divergences of probabilities, with Optax's names."""

from __future__ import annotations

from typing import Any

from functrans import numpy as fnp


def kl_divergence(log_predictions: Any, targets: Any, axis: int = -1) -> Any:
    """Σ targets × (log targets - log_predictions) over an axis."""
    safe = fnp.where(targets == 0, 1.0, targets)
    return fnp.sum(targets * (fnp.log(safe) - log_predictions), axis=axis)


def kl_divergence_with_log_targets(log_predictions: Any, log_targets: Any, axis: int = -1) -> Any:
    """Σ targets × (log targets - log predictions) over an axis, of the logarithms of both.

    >>> p = np.log(np.array([0.5, 0.5]))
    >>> float(kl_divergence_with_log_targets(p, np.log(np.array([0.25, 0.75]))).round(6))
    0.130812
    """
    return fnp.sum(fnp.exp(log_targets) * (log_targets - log_predictions), axis=axis)


def generalized_kl_divergence(log_predictions: Any, targets: Any, axis: int = -1) -> Any:
    """kl_divergence + Σ (predictions - targets): at least 0 for what does not sum to 1, too.

    Args:
        log_predictions: [..., n] logarithms.
        targets: [..., n], not negative.
        axis: the axis to sum over.

    Bregman, The relaxation method of finding the common point of convex sets, 1967.

    >>> float(generalized_kl_divergence(np.log(np.array([2.0])), np.array([1.0])).round(6))
    0.306853
    """
    excess = fnp.sum(fnp.exp(log_predictions) - targets, axis=axis)
    return kl_divergence(log_predictions, targets, axis) + excess
