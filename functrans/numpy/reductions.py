"""Reductions over axes: sums, products, extrema, logic, moments, and their positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.primitive import Primitive
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axes, canonical_axis, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import NO_VALUE, mirrors, refuse
from functrans.numpy.manipulation import broadcast_to, ravel, reshape, strong
from functrans.numpy.promotion import as_array, promote, to_dtype
from functrans.primitives import arithmetic as p
from functrans.primitives import reductions as r

Axis = int | Sequence[int] | None


@lru_cache(maxsize=64)
def accumulator(ufunc: np.ufunc, dtype: np.dtype) -> np.dtype:
    """The dtype in which NumPy adds or multiplies up elements: small integers become int64."""
    return ufunc.reduce(np.ones(1, dtype)).dtype


def names_no_axis(axis: Any, ndim: int) -> bool:
    """Whether axis is 0 or -1 of an array without axes: NumPy's ufuncs reduce it over none."""
    return ndim == 0 and isinstance(axis, int | np.integer) and axis in (0, -1)


def reduced_axes(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes over which a ufunc reduces."""
    return () if names_no_axis(axis, ndim) else canonical_axes(axis, ndim)


def keep(out: Any, x: Any, axes: tuple[int, ...], keepdims: Any) -> Any:
    """The result of a reduction, with the reduced axes as extents of one if asked for."""
    if not keepdims:
        return out
    return reshape(out, tuple(1 if i in axes else n for i, n in enumerate(shape_of(x))))


def _masked(x: Any, where: Any, neutral: Any) -> Any:
    """x with a neutral element where it takes no part, and the shape of both together."""
    if where is True:
        return x
    mask = ufuncs.truth(strong(where))
    return p.select_p.bind(mask, x, dtype_of(x).type(neutral))


def _accumulate(
    ufunc: np.ufunc,
    primitive: Primitive,
    a: Any,
    axis: Axis,
    dtype: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
) -> Any:
    x = strong(a)
    wanted = accumulator(ufunc, dtype_of(x)) if dtype is None else np.dtype(dtype)
    x = to_dtype(x, wanted)
    axes = reduced_axes(axis, len(shape_of(x)))
    x = _masked(x, where, ufunc.identity)
    out = primitive.bind(x, axes=axes)
    if initial is not NO_VALUE and initial is not None:
        combine = p.add_p if ufunc is np.add else p.mul_p
        out = combine.bind(out, to_dtype(as_array(initial), wanted))
    return keep(out, x, axes, keepdims)


@mirrors(np.sum)
def sum(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:
    """`numpy.sum`.

    >>> import functrans.numpy as fnp
    >>> fnp.sum([[1, 2], [3, 4]], axis=0).tolist()
    [4, 6]
    """
    refuse("sum", out=(out, None))
    return _accumulate(np.add, r.reduce_sum_p, a, axis, dtype, keepdims, initial, where)


@mirrors(np.prod)
def prod(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:
    """`numpy.prod`.

    >>> import functrans.numpy as fnp
    >>> int(fnp.prod([2, 3]))
    6
    """
    refuse("prod", out=(out, None))
    return _accumulate(np.multiply, r.reduce_prod_p, a, axis, dtype, keepdims, initial, where)


# --- extrema --------------------------------------------------------------------------------------


def lowest(dtype: np.dtype) -> Any:
    """The least value of a dtype."""
    if dtype.kind in "fc":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


def highest(dtype: np.dtype) -> Any:
    """The greatest value of a dtype."""
    if dtype.kind in "fc":
        return np.inf
    return True if dtype.kind == "b" else np.iinfo(dtype).max


def _extremum(
    name: str,
    reduce: Primitive,
    combine: Primitive,
    neutral: Any,
    a: Any,
    axis: Axis,
    keepdims: Any,
    initial: Any,
    where: Any,
) -> Any:
    x = strong(a)
    axes = reduced_axes(axis, len(shape_of(x)))
    absent = initial is NO_VALUE or initial is None
    if where is not True:
        if absent:
            raise ValueError(
                f"{name} with where= needs initial=, the value if nothing is chosen.{user_line()}"
            )
        x = _masked(x, where, neutral(dtype_of(x)))
    if not absent:
        x, start = promote(x, initial)
        if math.prod(shape_of(x)[i] for i in axes) == 0:
            left = tuple(n for i, n in enumerate(shape_of(x)) if i not in axes)
            return keep(broadcast_to(start, left), x, axes, keepdims)
        return keep(combine.bind(reduce.bind(x, axes=axes), start), x, axes, keepdims)
    if 0 in [shape_of(x)[i] for i in axes]:
        raise ShapeError(
            f"zero-size array to reduction operation {name} which has no identity: {aval_of(x)} "
            f"over axes {axes}."
        )
    return keep(reduce.bind(x, axes=axes), x, axes, keepdims)


@mirrors(np.max)
def max(
    a: Any,
    axis: Axis = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:
    """`numpy.max`.

    >>> import functrans.numpy as fnp
    >>> float(fnp.max([1.0, 3.0, 2.0]))
    3.0
    """
    refuse("max", out=(out, None))
    return _extremum("max", r.reduce_max_p, p.max_p, lowest, a, axis, keepdims, initial, where)


@mirrors(np.min)
def min(
    a: Any,
    axis: Axis = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:
    """`numpy.min`.

    >>> import functrans.numpy as fnp
    >>> float(fnp.min([1.0, 3.0, 2.0]))
    1.0
    """
    refuse("min", out=(out, None))
    return _extremum("min", r.reduce_min_p, p.min_p, highest, a, axis, keepdims, initial, where)


amax = max
amin = min


@mirrors(np.ptp)
def ptp(a: Any, axis: Axis = None, out: None = None, keepdims: Any = False) -> Any:
    """`numpy.ptp`: the greatest minus the least.

    >>> import functrans.numpy as fnp
    >>> float(fnp.ptp([1.0, 3.0, 2.0]))
    2.0
    """
    return ufuncs.subtract(max(a, axis, out, keepdims), min(a, axis, out, keepdims))


# --- logic ----------------------------------------------------------------------------------------


def _logic(
    primitive: Primitive, neutral: bool, a: Any, axis: Axis, keepdims: Any, where: Any
) -> Any:
    x = ufuncs.truth(strong(a))
    axes = reduced_axes(axis, len(shape_of(x)))
    x = _masked(x, where, neutral)
    return keep(primitive.bind(x, axes=axes), x, axes, keepdims)


@mirrors(np.any)
def any(
    a: Any, axis: Axis = None, out: None = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    """`numpy.any`: whether an element is not zero.

    >>> import functrans.numpy as fnp
    >>> bool(fnp.any([0, 1]))
    True
    """
    refuse("any", out=(out, None))
    return _logic(r.reduce_or_p, False, a, axis, keepdims, where)


@mirrors(np.all)
def all(
    a: Any, axis: Axis = None, out: None = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    """`numpy.all`: whether no element is zero.

    >>> import functrans.numpy as fnp
    >>> bool(fnp.all([0, 1]))
    False
    """
    refuse("all", out=(out, None))
    return _logic(r.reduce_and_p, True, a, axis, keepdims, where)


@mirrors(np.count_nonzero)
def count_nonzero(a: Any, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """`numpy.count_nonzero`.

    >>> import functrans.numpy as fnp
    >>> int(fnp.count_nonzero([0, 1, 2]))
    2
    """
    return sum(ufuncs.truth(strong(a)), axis, np.int64, keepdims=keepdims)


# --- positions of extrema ---------------------------------------------------------------------


def _position(primitive: Primitive, a: Any, axis: int | None, keepdims: Any) -> Any:
    x = strong(a)
    rank = len(shape_of(x))
    if axis is None or names_no_axis(axis, rank):
        out = primitive.bind(ravel(x), axis=0)
        return reshape(out, (1,) * rank) if keepdims else out
    place = canonical_axis(axis, rank)
    return keep(primitive.bind(x, axis=place), x, (place,), keepdims)


@mirrors(np.argmax)
def argmax(a: Any, axis: int | None = None, out: None = None, *, keepdims: Any = False) -> Any:
    """`numpy.argmax`: the position of the first greatest element.

    >>> import functrans.numpy as fnp
    >>> int(fnp.argmax([1.0, 3.0, 2.0]))
    1
    """
    refuse("argmax", out=(out, None))
    return _position(r.argmax_p, a, axis, keepdims)


@mirrors(np.argmin)
def argmin(a: Any, axis: int | None = None, out: None = None, *, keepdims: Any = False) -> Any:
    """`numpy.argmin`: the position of the first least element.

    >>> import functrans.numpy as fnp
    >>> int(fnp.argmin([1.0, 3.0, 2.0]))
    0
    """
    refuse("argmin", out=(out, None))
    return _position(r.argmin_p, a, axis, keepdims)


# --- moments --------------------------------------------------------------------------------------


def _mean_dtypes(dtype: np.dtype, wanted: Any) -> tuple[np.dtype, np.dtype]:
    """The dtypes in which NumPy computes a mean and in which it gives it."""
    if wanted is not None:
        result = np.dtype(wanted)
        return result, result
    if dtype.kind in "iub":
        return np.dtype(float), np.dtype(float)
    return (np.dtype(np.float32), dtype) if dtype == np.float16 else (dtype, dtype)


def _count(x: Any, axes: tuple[int, ...], where: Any, dtype: np.dtype, keepdims: Any) -> Any:
    """How many elements take part, as a number of the dtype or an array of such."""
    if where is True:
        return dtype.type(math.prod(shape_of(x)[i] for i in axes))
    mask = broadcast_to(ufuncs.truth(strong(where)), shape_of(x))
    return sum(mask, axes, dtype, keepdims=keepdims)


def _real(dtype: np.dtype) -> np.dtype:
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


@mirrors(np.mean)
def mean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    """`numpy.mean`.

    >>> import functrans.numpy as fnp
    >>> float(fnp.mean([1.0, 2.0]))
    1.5
    """
    refuse("mean", out=(out, None))
    x = strong(a)
    computed, result = _mean_dtypes(dtype_of(x), dtype)
    axes = canonical_axes(axis, len(shape_of(x)))
    total = sum(x, axes, computed, keepdims=keepdims, where=where)
    return to_dtype(total / _count(x, axes, where, computed, keepdims), result)


@mirrors(np.var)
def var(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """`numpy.var`: the mean of the squared distances to the mean.

    >>> import functrans.numpy as fnp
    >>> float(fnp.var([1.0, 3.0]))
    1.0
    """
    refuse("var", out=(out, None))
    x = strong(a)
    ddof = ddof if correction is NO_VALUE else correction
    computed, result = _mean_dtypes(dtype_of(x), dtype)
    axes = canonical_axes(axis, len(shape_of(x)))
    center = _center(x, axes, computed, where) if mean is NO_VALUE else mean
    away = to_dtype(x, computed) - center
    squared = ufuncs.square(away)
    if dtype_of(x).kind == "c":
        squared = ufuncs.square(ufuncs.real(away)) + ufuncs.square(ufuncs.imag(away))
    # as in NumPy a complex dtype makes the result complex only if it was asked for
    summed = _real(computed) if dtype is None else computed
    total = sum(squared, axes, summed, keepdims=keepdims, where=where)
    left = _count(x, axes, where, summed, keepdims) - summed.type(ddof)
    variance = total / ufuncs.maximum(left, summed.type(0))
    return to_dtype(variance, _real(result) if dtype is None else result)


def _center(x: Any, axes: tuple[int, ...], dtype: np.dtype, where: Any) -> Any:
    total = sum(x, axes, dtype, keepdims=True, where=where)
    return total / _count(x, axes, where, dtype, True)


@mirrors(np.std)
def std(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """`numpy.std`: the square root of the variance.

    >>> import functrans.numpy as fnp
    >>> float(fnp.std([1.0, 3.0]))
    1.0
    """
    return root_of_variance(
        var(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)
    )


def root_of_variance(v: Any) -> Any:
    """sqrt(v), whose slope of equal numbers is the middle, 0, as that of a norm that is 0."""
    from functrans.numpy.elementary import sqrt

    spread = ufuncs.greater(v, 0)
    root = sqrt(p.select(spread, v, 1))
    return p.select(spread, root, v)  # v is 0 there, or nan, and its slope then the same


@mirrors(np.average)
def average(
    a: Any,
    axis: Axis = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: Any = False,
) -> Any:
    """`numpy.average`: the mean, weighted if weights are given.

    >>> import functrans.numpy as fnp
    >>> float(fnp.average([1.0, 3.0], weights=[3, 1]))
    1.5
    """
    x = strong(a)
    axes = canonical_axes(axis, len(shape_of(x)))
    if weights is None:
        out = mean(x, axes, keepdims=keepdims)
        scale = _count(x, axes, True, dtype_of(out), keepdims)
    else:
        w = strong(weights)
        common = np.result_type(dtype_of(x), dtype_of(w))
        if dtype_of(x).kind in "iub":
            common = np.result_type(common, np.float64)
        if shape_of(w) != shape_of(x):
            along = tuple(shape_of(x)[i] for i in axes)
            if axis is None or shape_of(w) != along:
                raise ShapeError(
                    f"average needs weights of the shape of a, or along the axis: got {aval_of(x)}"
                    f" and {aval_of(w)}."
                )
            w = _along(w, x, axes)
        scale = sum(broadcast_to(w, shape_of(x)), axes, common, keepdims=keepdims)
        total = sum(to_dtype(x, common) * to_dtype(w, common), axes, keepdims=keepdims)
        out = total / scale
    return (out, broadcast_to(scale, shape_of(out))) if returned else out


def _along(w: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """w, whose axes are those of x named by `axes` in that order, with x's rank."""
    from functrans.numpy.manipulation import transpose

    order = sorted(range(len(axes)), key=lambda k: axes[k])
    shape = tuple(n if i in axes else 1 for i, n in enumerate(shape_of(x)))
    return reshape(transpose(w, order), shape)
