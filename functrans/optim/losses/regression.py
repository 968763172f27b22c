"""Losses of numbers and vectors that are predicted, with Optax's names."""

from __future__ import annotations

from typing import Any

from functrans import numpy as fnp


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


def cosine_similarity(predictions: Any, targets: Any, epsilon: float = 0.0, axis: int = -1) -> Any:
    """The cosine of the angle between vectors along an axis."""

    def unit(x: Any) -> Any:
        norm = fnp.sqrt(fnp.sum(x * x, axis=axis, keepdims=True))
        return x / fnp.maximum(norm, epsilon)

    return fnp.sum(unit(predictions) * unit(targets), axis=axis)


def cosine_distance(predictions: Any, targets: Any, epsilon: float = 0.0, axis: int = -1) -> Any:
    """1 - cosine_similarity."""
    return 1 - cosine_similarity(predictions, targets, epsilon, axis)
