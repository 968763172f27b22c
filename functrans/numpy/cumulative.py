"""Running sums and products, differences, and integrals along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.primitive import Primitive
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import NO_VALUE, mirrors, refuse
from functrans.numpy.joining import concatenate
from functrans.numpy.manipulation import broadcast_to, moveaxis, ravel, reshape, strong
from functrans.numpy.promotion import to_dtype
from functrans.numpy.reductions import accumulator, names_no_axis, sum
from functrans.numpy.selection import where
from functrans.primitives import reductions as r
from functrans.primitives.shaping import slice_axis


def _cumulative(primitive: Primitive, ufunc: np.ufunc, a: Any, axis: int | None, dtype: Any) -> Any:
    x = strong(a)
    if axis is None or names_no_axis(axis, len(shape_of(x))):
        x, axis = ravel(x), 0
    wanted = accumulator(ufunc, dtype_of(x)) if dtype is None else np.dtype(dtype)
    place = canonical_axis(axis, len(shape_of(x)))
    return primitive.bind(to_dtype(x, wanted), axis=place, reverse=False)


@mirrors(np.cumsum)
def cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """`numpy.cumsum`: the running sum.

    >>> import functrans.numpy as fnp
    >>> fnp.cumsum([1, 2, 3]).tolist()
    [1, 3, 6]
    """
    refuse("cumsum", out=(out, None))
    return _cumulative(r.cumsum_p, np.add, a, axis, dtype)


@mirrors(np.cumprod)
def cumprod(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """`numpy.cumprod`: the running product.

    >>> import functrans.numpy as fnp
    >>> fnp.cumprod([1, 2, 3]).tolist()
    [1, 2, 6]
    """
    refuse("cumprod", out=(out, None))
    return _cumulative(r.cumprod_p, np.multiply, a, axis, dtype)


def running_extremum(ufunc: np.ufunc, a: Any, axis: int = 0, dtype: Any = None) -> Any:
    """`numpy.maximum.accumulate` and `numpy.minimum.accumulate` of traced arrays."""
    primitive = r.cummax_p if ufunc is np.maximum else r.cummin_p
    return _cumulative(primitive, ufunc, a, axis, dtype)


def _with_initial(
    function: Any, first: int, x: Any, axis: int | None, dtype: Any, include_initial: bool
) -> Any:
    v = strong(x)
    if axis is None:
        if len(shape_of(v)) > 1:
            raise ValueError(
                "For arrays which have more than one dimension ``axis`` argument is required."
            )
        axis = 0
    v = reshape(v, 1) if not shape_of(v) else v
    out = function(v, axis, dtype)
    if not include_initial:
        return out
    place = canonical_axis(axis, len(shape_of(v)))
    shape = tuple(1 if i == place else n for i, n in enumerate(shape_of(v)))
    return concatenate([broadcast_to(dtype_of(out).type(first), shape), out], place)


@mirrors(np.cumulative_sum)
def cumulative_sum(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    out: None = None,
    include_initial: bool = False,
) -> Any:
    """`numpy.cumulative_sum`: the running sum, optionally from zero on.

    >>> import functrans.numpy as fnp
    >>> fnp.cumulative_sum([1, 2], include_initial=True).tolist()
    [0, 1, 3]
    """
    refuse("cumulative_sum", out=(out, None))
    return _with_initial(cumsum, 0, x, axis, dtype, include_initial)


@mirrors(np.cumulative_prod)
def cumulative_prod(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    out: None = None,
    include_initial: bool = False,
) -> Any:
    """`numpy.cumulative_prod`: the running product, optionally from one on.

    >>> import functrans.numpy as fnp
    >>> fnp.cumulative_prod([2, 3], include_initial=True).tolist()
    [1, 2, 6]
    """
    refuse("cumulative_prod", out=(out, None))
    return _with_initial(cumprod, 1, x, axis, dtype, include_initial)


@mirrors(np.diff)
def diff(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = NO_VALUE, append: Any = NO_VALUE
) -> Any:
    """`numpy.diff`: the differences of neighbours, n times over.

    >>> import functrans.numpy as fnp
    >>> fnp.diff([1, 4, 9]).tolist()
    [3, 5]
    """
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    x = strong(a)
    if not shape_of(x):
        raise ShapeError(f"diff needs an array with an axis: got {aval_of(x)}.")
    if n == 0:
        return x
    axis = canonical_axis(axis, len(shape_of(x)))
    ends = [None if e is NO_VALUE else _end(e, x, axis) for e in (prepend, append)]
    parts = [v for v in (ends[0], x, ends[1]) if v is not None]
    x = concatenate(parts, axis) if len(parts) > 1 else x
    for _ in range(n):
        extent = shape_of(x)[axis]
        later = slice_axis(x, axis, min(1, extent), extent)
        earlier = slice_axis(x, axis, 0, max(extent - 1, 0))
        boolean = dtype_of(x).kind == "b"
        x = ufuncs.not_equal(later, earlier) if boolean else ufuncs.subtract(later, earlier)
    return x


def _end(value: Any, x: Any, axis: int) -> Any:
    v = strong(value)
    if shape_of(v):
        return v
    return broadcast_to(v, tuple(1 if i == axis else n for i, n in enumerate(shape_of(x))))


@mirrors(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """`numpy.ediff1d`: the differences of neighbours in the flattened array.

    >>> import functrans.numpy as fnp
    >>> fnp.ediff1d([1, 4, 9], to_begin=0).tolist()
    [0, 3, 5]
    """
    middle = diff(ravel(ary))
    ends = [None if e is None else to_dtype(ravel(e), dtype_of(middle)) for e in (to_begin, to_end)]
    return concatenate([v for v in (ends[0], middle, ends[1]) if v is not None])


@mirrors(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """`numpy.gradient`: second-order differences along axes of an array of samples.

    For the derivative of a function see `functrans.grad`.

    >>> import functrans.numpy as fnp
    >>> fnp.gradient([1.0, 2.0, 4.0]).tolist()
    [1.0, 1.5, 2.0]
    """
    x = strong(f)
    if dtype_of(x).kind not in "fc":
        x = to_dtype(x, np.dtype(float))
    rank = len(shape_of(x))
    many = axis is None or isinstance(axis, Sequence)
    axes = tuple(range(rank)) if axis is None else tuple(axis) if many else (axis,)
    axes = tuple(canonical_axis(i, rank) for i in axes)
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError("invalid number of arguments")
    spacings = [1.0] * len(axes) if not varargs else list(varargs) * (len(axes) // len(varargs))
    results = [_gradient(x, h, i, edge_order) for h, i in zip(spacings, axes, strict=True)]
    return results[0] if len(axes) == 1 else tuple(results)


def _gradient(x: Any, spacing: Any, axis: int, edge_order: int) -> Any:
    extent = shape_of(x)[axis]
    if extent < edge_order + 1:
        raise ShapeError(
            f"gradient needs at least {edge_order + 1} elements along axis {axis}: got "
            f"{aval_of(x)}."
        )
    h = strong(spacing)
    h = h if dtype_of(h) == dtype_of(x) else to_dtype(h, dtype_of(x))
    shape = tuple(extent - 1 if i == axis else 1 for i in range(len(shape_of(x))))
    steps = broadcast_to(h, (extent - 1,)) if not shape_of(h) else diff(h)
    steps = reshape(steps, shape)

    def at(v: Any, start: int, stop: int) -> Any:
        return slice_axis(v, axis, start % (shape_of(v)[axis] + 1), stop % (shape_of(v)[axis] + 1))

    def one(v: Any, i: int) -> Any:
        i = i % shape_of(v)[axis]
        return slice_axis(v, axis, i, i + 1)

    left, right = at(steps, 0, -2), at(steps, 1, -1)
    middle = (
        at(x, 2, extent) * left / (right * (left + right))
        + at(x, 1, extent - 1) * (right - left) / (left * right)
        - at(x, 0, extent - 2) * right / (left * (left + right))
    )
    if edge_order == 1:
        first = (one(x, 1) - one(x, 0)) / one(steps, 0)
        last = (one(x, -1) - one(x, -2)) / one(steps, -1)
    else:
        first = _edge(one(x, 0), one(x, 1), one(x, 2), one(steps, 0), one(steps, 1))
        last = -_edge(one(x, -1), one(x, -2), one(x, -3), one(steps, -1), one(steps, -2))
    return concatenate([first, middle, last], axis)


def _edge(x0: Any, x1: Any, x2: Any, h0: Any, h1: Any) -> Any:
    """The derivative at the first of three samples at distances h0 and h1, to second order."""
    a = -(2 * h0 + h1) / (h0 * (h0 + h1))
    return a * x0 + (h0 + h1) / (h0 * h1) * x1 - h0 / (h1 * (h0 + h1)) * x2


@mirrors(np.trapezoid)
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """`numpy.trapezoid`: the integral of samples by the trapezoidal rule.

    >>> import functrans.numpy as fnp
    >>> float(fnp.trapezoid([1.0, 2.0, 3.0]))
    4.0
    """
    y = moveaxis(strong(y), axis, -1)
    if x is None:
        widths = dx
    elif len(shape_of(strong(x))) == 1:
        widths = diff(strong(x))
    else:
        widths = moveaxis(diff(strong(x), axis=axis), axis, -1)
    last = len(shape_of(y)) - 1
    extent = shape_of(y)[last]
    both = ufuncs.add(slice_axis(y, last, 1, extent), slice_axis(y, last, 0, extent - 1))
    return sum(ufuncs.multiply(widths, both) / 2.0, -1)


@mirrors(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * np.pi) -> Any:
    """`numpy.unwrap`: angles made continuous by adding multiples of the period.

    >>> import functrans.numpy as fnp
    >>> fnp.unwrap([0.0, 6.2, 12.4], period=6.0).round(6).tolist()
    [0.0, 0.2, 0.4]
    """
    x = strong(p)
    axis = canonical_axis(axis, len(shape_of(x)))
    steps = diff(x, axis=axis)
    limit = period / 2 if discont is None else discont
    whole = dtype_of(x).kind in "iu" and isinstance(period, int)
    high = period // 2 if whole else period / 2
    low = high - period if whole and period % 2 == 0 else -high
    if whole and period % 2:
        low, high = -(period // 2), period // 2
    wrapped = ufuncs.remainder(steps - low, period) + low
    if not whole or period % 2 == 0:
        edge = ufuncs.logical_and(ufuncs.equal(wrapped, low), ufuncs.greater(steps, 0))
        wrapped = where(edge, high, wrapped)
    jump = where(ufuncs.less(ufuncs.absolute(steps), limit), 0, wrapped - steps)
    first = slice_axis(x, axis, 0, 1)
    rest = slice_axis(x, axis, 1, shape_of(x)[axis]) + cumsum(jump, axis)
    return concatenate([first, rest], axis)
