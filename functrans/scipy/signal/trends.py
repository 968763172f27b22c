"""Signals without their means or straight lines: projections, segment by segment."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy.indexing import getitem
from functrans.numpy.systems import inexact


def detrend(data: Any, axis: int = -1, type: str = "linear", bp: int | Sequence[int] = 0) -> Any:
    """`scipy.signal.detrend`: a signal without its mean or its straight line of least squares.

    Args:
        data: an array.
        axis: along which the signals lie.
        type: "linear" (or "l") for a straight line, "constant" (or "c") for the mean.
        bp: with "linear", where further segments begin, each with a line of its own.

    Returns:
        An array of the shape of `data`, floats or complex numbers.

    Raises:
        ShapeError: a segment begins behind the last element.
        ValueError: another type.

    >>> detrend(np.array([1.0, 3.0, 5.0, 8.0])).round(9).tolist()
    [0.2, -0.1, -0.4, 0.3]
    """
    (x,) = inexact(data)
    at = canonical_axis(axis, len(shape_of(x)))
    if type in ("constant", "c"):
        return x - fnp.mean(x, axis=at, keepdims=True)
    if type not in ("linear", "l"):
        raise ValueError(
            f"detrend has the types 'linear' and 'constant': got {type!r}.{user_line()}"
        )
    n = shape_of(x)[at]
    cuts = sorted({0, n, *(int(b) for b in np.ravel(bp))})
    if cuts[0] < 0 or cuts[-1] > n:
        raise ShapeError(f"detrend needs segments that begin in {aval_of(x)}: got bp={bp}.")
    x = fnp.moveaxis(x, at, -1)
    parts = [_without_line(getitem(x, (..., slice(a, b)))) for a, b in pairwise(cuts)]
    return fnp.moveaxis(fnp.concatenate(parts, axis=-1), -1, at)


def _without_line(x: Any) -> Any:
    """x less its projection to constants and straight lines, along the last axis."""
    n = shape_of(x)[-1]
    basis, _ = np.linalg.qr(np.stack([np.ones(n), np.arange(1, n + 1) / n], axis=1))
    basis = basis.astype(dtype_of(x))
    return x - (x @ basis) @ basis.T
