"""Interpolation and one-dimensional convolution, as compositions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import mirrors
from functrans.numpy.indexing import getitem
from functrans.numpy.joining import concatenate, flip
from functrans.numpy.manipulation import reshape, strong
from functrans.numpy.promotion import promote, to_dtype
from functrans.numpy.selection import clip, where
from functrans.numpy.sorting import searchsorted
from functrans.primitives.convolution import conv_general_dilated_p
from functrans.primitives.shaping import slice_axis


@mirrors(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    """`numpy.convolve`: the discrete convolution of two vectors.

    >>> import functrans.numpy as fnp
    >>> fnp.convolve([1, 2, 3], [0, 1]).tolist()
    [0, 1, 2, 3]
    """
    x, y = _vectors("convolve", a, v)
    if shape_of(y)[0] > shape_of(x)[0]:
        x, y = y, x
    return _correlate(x, flip(y), mode)


@mirrors(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Any:
    """`numpy.correlate`: sums of products of a and the conjugate of v at every shift.

    >>> import functrans.numpy as fnp
    >>> fnp.correlate([1, 2, 3], [0, 1, 0.5]).tolist()
    [3.5]
    """
    x, y = _vectors("correlate", a, v)
    y = ufuncs.conj(y) if dtype_of(y).kind == "c" else y
    if shape_of(y)[0] > shape_of(x)[0]:
        return flip(_correlate(y, x, mode))
    return _correlate(x, y, mode)


def _vectors(name: str, a: Any, v: Any) -> list[Any]:
    x, y = promote(strong(a), strong(v))
    x, y = (reshape(w, (1,)) if not shape_of(w) else w for w in (x, y))
    for w in (x, y):
        if len(shape_of(w)) != 1:
            raise ShapeError(f"{name} needs vectors: got {aval_of(w)}.")
        if shape_of(w)[0] == 0:
            raise ValueError(f"{name} needs vectors that are not empty.{user_line()}")
    return [x, y]


def _correlate(x: Any, y: Any, mode: str) -> Any:
    """Sums of x[k + i] * y[i], for x not shorter than y."""
    m = shape_of(y)[0]
    pads = {"full": (m - 1, m - 1), "same": (m // 2, (m - 1) // 2), "valid": (0, 0)}[mode]
    return sums_of_windows(x, y, [pads])


def sums_of_windows(x: Any, y: Any, pads: Sequence[tuple[int, int]]) -> Any:
    """Sums of x[k + i] * y[i] over i, for every k: a convolution of one feature.

    Args:
        x: an array, read as if padded with zeros.
        y: an array of the rank and dtype of x.
        pads: how many zeros before and behind each axis.
    """
    if dtype_of(x).kind == "b":  # whether any product is true
        return ufuncs.not_equal(sums_of_windows(x.astype(int), y.astype(int), pads), 0)
    rank = len(shape_of(x))
    out = conv_general_dilated_p.bind(
        reshape(x, (1, 1, *shape_of(x))),
        reshape(y, (1, 1, *shape_of(y))),
        window_strides=(1,) * rank,
        padding=tuple(pads),
        lhs_dilation=(1,) * rank,
        rhs_dilation=(1,) * rank,
        feature_group_count=1,
        batch_group_count=1,
    )
    return reshape(out, shape_of(out)[2:])


@mirrors(np.interp)
def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Any:
    """`numpy.interp`: piecewise linear interpolation; xp increases.

    >>> import functrans.numpy as fnp
    >>> float(fnp.interp(1.5, [1.0, 2.0], [10.0, 20.0]))
    15.0
    """
    if period is not None:
        return _interp_periodic(x, xp, fp, period)
    values = strong(fp)
    wanted = np.dtype(complex if dtype_of(values).kind == "c" else float)
    values = to_dtype(values, wanted)
    points, at = to_dtype(strong(xp), np.dtype(float)), to_dtype(strong(x), np.dtype(float))
    if len(shape_of(points)) != 1 or shape_of(points) != shape_of(values):
        raise ShapeError(
            f"interp needs vectors xp and fp of one length: got {aval_of(points)} and "
            f"{aval_of(values)}."
        )
    n = shape_of(points)[0]
    if n == 1:
        inside = getitem(values, 0) + at * 0
    else:
        i = clip(searchsorted(points, at, "right"), 1, n - 1)
        x0, x1 = getitem(points, i - 1), getitem(points, i)
        y0, y1 = getitem(values, i - 1), getitem(values, i)
        width = x1 - x0
        safe = where(ufuncs.equal(width, 0), 1.0, width)
        inside = y0 + (y1 - y0) * ((at - x0) / safe)
    first, last = getitem(values, 0), getitem(values, n - 1)
    below = first if left is None else left
    above = last if right is None else right
    inside = where(ufuncs.less(at, getitem(points, 0)), below, inside)
    return where(ufuncs.greater(at, getitem(points, n - 1)), above, inside)


def _interp_periodic(x: Any, xp: Any, fp: Any, period: Any) -> Any:
    from functrans.numpy.sorting import argsort

    period = ufuncs.absolute(period)
    at, points = ufuncs.remainder(x, period), ufuncs.remainder(xp, period)
    order = argsort(points)
    points, values = getitem(points, order), getitem(strong(fp), order)
    n = shape_of(points)[0]
    before = slice_axis(points, 0, n - 1, n) - period
    after = slice_axis(points, 0, 0, 1) + period
    points = concatenate([before, points, after])
    values = concatenate([slice_axis(values, 0, n - 1, n), values, slice_axis(values, 0, 0, 1)])
    return interp(at, points, values)
