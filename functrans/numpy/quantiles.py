"""Medians, quantiles and percentiles: NumPy's thirteen definitions over sorted arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, IndexingError
from functrans.core.source import user_line
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import aval_of, canonical_axes, dtype_of, shape_of
from functrans.numpy.dispatch import mirrors, refuse
from functrans.numpy.indexing import strong
from functrans.numpy.promotion import as_array
from functrans.primitives import sorting
from functrans.primitives.arithmetic import (
    ceil_p,
    convert,
    floor_p,
    isnan_p,
    max_p,
    min_p,
    not_p,
    remainder_p,
    rint_p,
    select,
)
from functrans.primitives.indexing import gather
from functrans.primitives.reductions import reduce_sum_p
from functrans.primitives.shaping import full, iota, reshape_p, transpose_p

Axis = int | tuple[int, ...] | None
Position = Callable[[Any, Any], Any]

# --- where a quantile stands among n sorted values, counted from zero -----------------------------


def _hyndman_fan(alpha: float, beta: float) -> Position:
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _inverted_cdf(n: Any, q: Any) -> Any:
    return ceil_p.bind(n * q - 1)


def _closest_observation(n: Any, q: Any) -> Any:
    """The nearest, at a tie that of even rank counted from one."""
    position = n * q - 1.5
    low = floor_p.bind(position)
    is_odd = remainder_p.bind(low, dtype_of(low).type(2)) == 1
    return select((position == low) & is_odd, low, low + 1)


def _midpoint(n: Any, q: Any) -> Any:
    position = (n - 1) * q
    return (floor_p.bind(position) + ceil_p.bind(position)) * 0.5


POSITIONS: dict[str, Position] = {
    "linear": lambda n, q: (n - 1) * q,
    "lower": lambda n, q: floor_p.bind((n - 1) * q),
    "higher": lambda n, q: ceil_p.bind((n - 1) * q),
    "nearest": lambda n, q: rint_p.bind((n - 1) * q),
    "midpoint": _midpoint,
    "inverted_cdf": _inverted_cdf,
    "closest_observation": _closest_observation,
    "averaged_inverted_cdf": lambda n, q: n * q - 1,
    "interpolated_inverted_cdf": _hyndman_fan(0, 1),
    "hazen": _hyndman_fan(0.5, 0.5),
    "weibull": _hyndman_fan(0, 0),
    "median_unbiased": _hyndman_fan(1 / 3, 1 / 3),
    "normal_unbiased": _hyndman_fan(3 / 8, 3 / 8),
}
DISCRETE = ("lower", "higher", "nearest", "inverted_cdf", "closest_observation")


# --- the functions ------------------------------------------------------------------------------


@mirrors(np.quantile)
def quantile(
    a: Any,
    q: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """`numpy.quantile`, of every method; `weights` are for arrays that are not traced.

    >>> float(quantile(np.array([1.0, 2.0, 4.0]), 0.75))
    3.0
    """
    refuse("quantile", out=(out, None))
    return _quantile(a, q, axis, method, keepdims, 1, skip_nan=False)


@mirrors(np.percentile)
def percentile(
    a: Any,
    q: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """`numpy.percentile`: as `quantile`, of a hundred.

    >>> float(percentile(np.array([1.0, 2.0, 4.0]), 75))
    3.0
    """
    refuse("percentile", out=(out, None))
    return _quantile(a, q, axis, method, keepdims, 100, skip_nan=False)


@mirrors(np.nanquantile)
def nanquantile(
    a: Any,
    q: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """`numpy.nanquantile`: the quantile of the elements that are not nan.

    >>> float(nanquantile(np.array([1.0, np.nan, 2.0, 4.0]), 0.75))
    3.0
    """
    refuse("nanquantile", out=(out, None))
    return _quantile(a, q, axis, method, keepdims, 1, skip_nan=True)


@mirrors(np.nanpercentile)
def nanpercentile(
    a: Any,
    q: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
) -> Any:
    """`numpy.nanpercentile`: the percentile of the elements that are not nan.

    >>> float(nanpercentile(np.array([1.0, np.nan, 2.0, 4.0]), 75))
    3.0
    """
    refuse("nanpercentile", out=(out, None))
    return _quantile(a, q, axis, method, keepdims, 100, skip_nan=True)


@mirrors(np.median)
def median(
    a: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Any:
    """`numpy.median`: the middle value, or the mean of the two.

    >>> float(median(np.array([4.0, 1.0, 3.0, 2.0])))
    2.5
    """
    refuse("median", out=(out, None))
    rows, reduced, dtype = _sorted_rows(a, axis)
    count = shape_of(rows)[-1]
    middle = [(count - 1) // 2] if count % 2 else [count // 2 - 1, count // 2]
    values = [convert(_at(rows, i), _median_dtype(dtype)) for i in middle]
    result = values[0] if count % 2 else (values[0] + values[1]) / 2
    result = _with_nan(result, rows)
    return reshape_p.bind(result, shape=reduced) if keepdims else result


@mirrors(np.nanmedian)
def nanmedian(
    a: Any,
    axis: Axis = None,
    out: None = None,
    overwrite_input: bool = False,
    keepdims: bool = False,
) -> Any:
    """`numpy.nanmedian`: the median of the elements that are not nan.

    >>> float(nanmedian(np.array([4.0, np.nan, 1.0, 2.0])))
    2.0
    """
    refuse("nanmedian", out=(out, None))
    x = strong(as_array(a))
    if dtype_of(x).kind not in "fc":
        return median(x, axis, keepdims=keepdims)
    rows, reduced, _ = _sorted_rows(x, axis)
    real = np.float64 if dtype_of(x).kind == "c" else dtype_of(x)
    last = _valid_count(rows, np.dtype(real)) - 1
    low, high = floor_p.bind(last * 0.5), ceil_p.bind(last * 0.5)
    result = (_at(rows, low, per_row=True) + _at(rows, high, per_row=True)) / 2
    return reshape_p.bind(result, shape=reduced) if keepdims else result


# --- their common steps -------------------------------------------------------------------------


def _quantile(
    a: Any, q: Any, axis: Axis, method: str, keepdims: bool, whole: int, skip_nan: bool
) -> Any:
    if method not in POSITIONS:
        raise ValueError(f"{method!r} is no method; use one of {list(POSITIONS)}.{user_line()}")
    x = strong(as_array(a))
    shape = shape_of(x)
    if not skip_nan and not math.prod(shape[i] for i in canonical_axes(axis, len(shape))):
        raise IndexingError(f"a quantile of no elements: {aval_of(x)} along {axis=}.{user_line()}")
    rows, reduced, dtype = _sorted_rows(x, axis)
    if dtype.kind == "c":
        raise DTypeError(f"quantiles need an array of real numbers, got {dtype}.")
    q = as_array(q)
    if whole == 1 and aval_of(q).dtype.kind != "f" and dtype.kind != "f" and method == "linear":
        method = "lower"  # NumPy does not interpolate integers at the integers 0 and 1
    q, is_weak = _fractions(q, dtype, whole)
    out_dtype = _result_dtype(dtype, None if is_weak else dtype_of(q), method)
    kept = shape_of(rows)[:-1]
    count: Any = shape_of(rows)[-1]
    q_shape = shape_of(q)
    if skip_nan and dtype.kind == "f":
        count = convert(_valid_count(rows, dtype), dtype_of(q))
        q = reshape_p.bind(q, shape=(*q_shape, *(1,) * len(kept)))
    result = convert(_interpolated(rows, q, count, method, out_dtype), out_dtype)
    if not skip_nan:
        result = _with_nan(result, rows)
    return reshape_p.bind(result, shape=(*q_shape, *reduced)) if keepdims else result


def _fractions(q: Any, dtype: np.dtype, whole: int) -> tuple[Any, bool]:
    """q between zero and one in the dtype NumPy computes with, and whether it was weakly typed."""
    q = as_array(q)
    value = q.value if type(q) is Tracer else q
    if value is not UNKNOWN and not np.all((np.asarray(value) >= 0) & (np.asarray(value) <= whole)):
        name = "Quantiles" if whole == 1 else "Percentiles"
        raise ValueError(f"{name} must be in the range [0, {whole}].{user_line()}")
    data = dtype if dtype.kind == "f" else np.dtype(np.float64)
    aval = aval_of(q)
    if aval.weak_type:
        q = convert(q, data)
    elif aval.dtype.kind != "f":
        q = convert(q, np.float64)
    elif whole != 1:  # NumPy divides by a number of the data's dtype
        q = convert(q, np.result_type(aval.dtype, data))
    return (q if whole == 1 else q / dtype_of(q).type(whole)), aval.weak_type


def _interpolated(rows: Any, q: Any, count: Any, method: str, dtype: np.dtype) -> Any:
    """The quantiles of sorted rows of `count` values."""
    position = POSITIONS[method](count, q)
    low = floor_p.bind(position)
    last = count - 1
    per_row = not isinstance(count, int)
    below = _at(rows, _between(low, last), per_row)
    if method in DISCRETE:
        return below
    above = _at(rows, _between(low + 1, last), per_row)
    fraction = position - low
    if method == "averaged_inverted_cdf":
        fraction = select(fraction == 0, 0.5, fraction * 0 + 1)
    fraction = convert(fraction, dtype)
    missing = len(shape_of(below)) - len(shape_of(fraction))
    fraction = reshape_p.bind(fraction, shape=(*shape_of(fraction), *(1,) * missing))
    if dtype_of(rows).kind != "f":  # where a difference may overflow
        below, above = convert(below, dtype), convert(above, dtype)
    step = convert(above - below, dtype)
    below, above = convert(below, dtype), convert(above, dtype)
    # from the nearer end, which is more exact, and monotonic
    return select(fraction >= 0.5, above - step * (1 - fraction), below + step * fraction)


def _between(position: Any, last: Any) -> Any:
    """The position, brought between zero and the last one."""
    dtype = dtype_of(position)
    last = dtype.type(last) if isinstance(last, int) else last
    return max_p.bind(min_p.bind(position, last), dtype.type(0))


def _sorted_rows(a: Any, axis: Axis) -> tuple[Any, tuple[int, ...], np.dtype]:
    """The array sorted over its reduced axes, which become the last one; rows without elements
    hold one nan, which is NumPy's median of nothing.

    Returns:
        The rows, the shape of the result with reduced axes kept, the dtype of the array.
    """
    x = strong(as_array(a))
    shape = shape_of(x)
    axes = canonical_axes(axis, len(shape))
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    count = math.prod(shape[i] for i in axes)
    reduced = tuple(1 if i in axes else n for i, n in enumerate(shape))
    if count == 0:
        nothing = full([*[shape[i] for i in kept], 1], np.nan, _median_dtype(dtype_of(x)))
        return nothing, reduced, dtype_of(x)
    moved = transpose_p.bind(x, permutation=(*kept, *axes))
    rows = reshape_p.bind(moved, shape=(*[shape[i] for i in kept], count))
    return sorting.sort(rows, len(kept)), reduced, dtype_of(x)


def _at(rows: Any, position: Any, per_row: bool = False) -> Any:
    """The elements at positions along the rows: the same in all rows, or `per_row` with the rows'
    leading axes as the last ones."""
    rank = len(shape_of(rows))
    index = np.int64(position) if isinstance(position, int) else convert(position, np.int64)
    if not per_row:
        return gather(rows, [index], (rank - 1,), "clip")
    lead = [
        iota((*(1,) * i, n, *(1,) * (rank - 2 - i)), i, np.int64)
        for i, n in enumerate(shape_of(rows)[:-1])
    ]
    return gather(rows, [*lead, index], tuple(range(rank)), "clip")


def _with_nan(result: Any, rows: Any) -> Any:
    """The result, but nan for rows with a nan, which sorting puts last."""
    if dtype_of(rows).kind not in "fc":
        return result
    return select(isnan_p.bind(_at(rows, shape_of(rows)[-1] - 1)), np.nan, result)


def _valid_count(rows: Any, dtype: np.dtype) -> Any:
    """How many elements of each row are not nan."""
    valid = convert(not_p.bind(isnan_p.bind(rows)), dtype)
    return reduce_sum_p.bind(valid, axes=(len(shape_of(rows)) - 1,))


@lru_cache(maxsize=256)
def _result_dtype(dtype: np.dtype, q_dtype: np.dtype | None, method: Any) -> np.dtype:
    """The dtype that NumPy gives to quantiles; TypeError where it has none (complex numbers)."""
    q: Any = 0.5 if q_dtype is None else np.full(1, 0.5, q_dtype)
    return np.quantile(np.zeros(2, dtype), q, method=method).dtype


@lru_cache(maxsize=64)
def _median_dtype(dtype: np.dtype) -> np.dtype:
    return np.median(np.zeros(2, dtype)).dtype
