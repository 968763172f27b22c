"""Polynomials, interpolation and one-dimensional convolution, as compositions."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.decompositions import lstsq
from functrans.numpy.dispatch import mirrors, refuse
from functrans.numpy.elementary import sqrt
from functrans.numpy.indexing import getitem
from functrans.numpy.joining import concatenate, flip
from functrans.numpy.manipulation import reshape, strong
from functrans.numpy.matrices import vander
from functrans.numpy.promotion import promote, to_dtype
from functrans.numpy.reductions import sum
from functrans.numpy.selection import clip, where
from functrans.numpy.sorting import searchsorted
from functrans.primitives.arithmetic import zeros_like
from functrans.primitives.convolution import conv_general_dilated_p
from functrans.primitives.shaping import pad, slice_axis


@mirrors(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """`numpy.polyval`: a polynomial with coefficients p, highest power first, at x.

    >>> import functrans.numpy as fnp
    >>> float(fnp.polyval([1.0, 0.0, 2.0], 3.0))
    11.0
    """
    coefficients = strong(p)
    x = strong(x)
    y = zeros_like(x)
    for i in range(shape_of(coefficients)[0]):
        y = y * x + getitem(coefficients, i)
    return y


@mirrors(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """`numpy.polyadd`: the sum of two polynomials.

    >>> import functrans.numpy as fnp
    >>> fnp.polyadd([1, 2], [3]).tolist()
    [1, 5]
    """
    x, y = promote(strong(a1), strong(a2))
    n = np.maximum(shape_of(x)[0], shape_of(y)[0])
    return pad(x, (n - shape_of(x)[0],), (0,), (0,)) + pad(y, (n - shape_of(y)[0],), (0,), (0,))


@mirrors(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """`numpy.polysub`: the difference of two polynomials.

    >>> import functrans.numpy as fnp
    >>> fnp.polysub([1, 2], [3]).tolist()
    [1, -1]
    """
    return polyadd(a1, ufuncs.negative(strong(a2)))


@mirrors(np.polyfit)
def polyfit(
    x: Any,
    y: Any,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: Any = None,
    cov: Any = False,
) -> Any:
    """`numpy.polyfit`: the polynomial of a degree that fits points best, by least squares.

    `full` and `cov` are for arrays that are not traced.

    >>> import functrans.numpy as fnp
    >>> fnp.polyfit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], 1).round(6).tolist()
    [2.0, 1.0]
    """
    refuse("polyfit", full=(full, False), cov=(cov, False))
    x, y = strong(x) + 0.0, strong(y) + 0.0
    if len(shape_of(x)) != 1 or len(shape_of(y)) not in (1, 2) or shape_of(x) != shape_of(y)[:1]:
        raise ShapeError(
            "polyfit needs a vector x that is not empty, and y with as many values or rows: "
            f"got {aval_of(x)} and {aval_of(y)}."
        )
    powers = vander(x, deg + 1)
    if w is not None:
        weights = strong(w) + 0.0
        powers = powers * reshape(weights, (-1, 1))
        y = y * reshape(weights, (-1,) + (1,) * (len(shape_of(y)) - 1))
    size = sqrt(sum(powers * powers, 0))
    rcond = shape_of(x)[0] * np.finfo(dtype_of(x)).eps if rcond is None else rcond
    fit = lstsq(powers / size, y, rcond)[0]
    return fit / reshape(size, (-1,) + (1,) * (len(shape_of(y)) - 1))


@mirrors(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """`numpy.polyint`: the m-th antiderivative of a polynomial, with integration constants k.

    >>> import functrans.numpy as fnp
    >>> fnp.polyint([2.0, 1.0]).tolist()
    [1.0, 1.0, 0.0]
    """
    x = strong(p)
    constants = [0.0] * m if k is None else list(np.broadcast_to(k, (m,)))
    for constant in constants:
        powers = np.arange(shape_of(x)[0], 0, -1)
        x = concatenate([x / powers, reshape(strong(constant), (1,))])
    return x


@mirrors(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """`numpy.polymul`: the product of two polynomials.

    >>> import functrans.numpy as fnp
    >>> fnp.polymul([1, 1], [1, -1]).tolist()
    [1, 0, -1]
    """
    return convolve(a1, a2)


@mirrors(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """`numpy.polyder`: the m-th derivative of a polynomial.

    >>> import functrans.numpy as fnp
    >>> fnp.polyder([1, 0, 2]).tolist()
    [2, 0]
    """
    x = strong(p)
    for _ in range(m):
        n = shape_of(x)[0]
        powers = np.arange(n - 1, 0, -1)
        x = slice_axis(x, 0, 0, n - 1) * powers
    return x


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
    """Sums of x[k + i] * y[i], for x not shorter than y: a convolution of one feature."""
    if dtype_of(x).kind == "b":  # whether any product is true
        return ufuncs.not_equal(_correlate(x.astype(int), y.astype(int), mode), 0)
    m = shape_of(y)[0]
    pads = {"full": (m - 1, m - 1), "same": (m // 2, (m - 1) // 2), "valid": (0, 0)}[mode]
    out = conv_general_dilated_p.bind(
        reshape(x, (1, 1, -1)),
        reshape(y, (1, 1, -1)),
        window_strides=(1,),
        padding=(pads,),
        lhs_dilation=(1,),
        rhs_dilation=(1,),
        feature_group_count=1,
        batch_group_count=1,
    )
    return reshape(out, (-1,))


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
