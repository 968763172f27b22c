"""Sorting, searching in sorted arrays, and unique elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from functrans.core.errors import ConcretizationError, ShapeError
from functrans.core.source import user_line
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy.dispatch import has_tracer, mirrors, refuse
from functrans.numpy.index_functions import nonzero, take
from functrans.numpy.indexing import strong
from functrans.numpy.promotion import as_array, promote, to_dtype
from functrans.primitives import sorting
from functrans.primitives.arithmetic import (
    convert,
    eq_p,
    isnan_p,
    le_p,
    lt_p,
    not_p,
    select_p,
)
from functrans.primitives.indexing import gather, scatter
from functrans.primitives.reductions import cumsum_p, reduce_or_p
from functrans.primitives.shaping import (
    concatenate_p,
    flip_p,
    full,
    iota,
    reshape_p,
    slice_axis,
    transpose_p,
)

# --- order --------------------------------------------------------------------------------------


def _operand(a: Any, axis: int | None, name: str) -> tuple[Any, int]:
    """The array to sort, flattened if axis is None, and the axis."""
    x = strong(as_array(a))
    if axis is None:
        return reshape_p.bind(x, shape=(aval_of(x).size,)), 0
    if not shape_of(x):
        raise ShapeError(f"{name} along axis {axis} of an array without axes.")
    return x, canonical_axis(axis, len(shape_of(x)))


def sort(
    a: Any,
    axis: int | None = -1,
    kind: Any = None,
    order: None = None,
    *,
    stable: bool | None = None,
    descending: bool = False,
) -> Any:
    """`numpy.sort`: a sorted copy, nan last; from the greatest on if `descending`, as in JAX.

    As in NumPy 0.0 and -0.0 come in any order but for `stable` or `kind="stable"`.

    >>> sort(np.array([3.0, 1.0, 2.0]), descending=True)
    array([3., 2., 1.])
    """
    if has_tracer((a,)):
        refuse("sort", order=(order, None))
        x, axis = _operand(a, axis, "sort")
        out = sorting.sort(x, axis, bool(stable) or kind in ("stable", "mergesort"))
        return flip_p.bind(out, axes=(axis,)) if descending else out
    out = np.sort(a, axis, kind, order, stable=stable)
    return np.flip(out, -1 if axis is None else axis) if descending else out


def argsort(
    a: Any,
    axis: int | None = -1,
    kind: Any = None,
    order: None = None,
    *,
    stable: bool | None = None,
    descending: bool = False,
) -> Any:
    """`numpy.argsort`: the positions that sort an array. Always stable, also if `descending`.

    >>> argsort(np.array([3.0, 1.0, 3.0, 2.0]), descending=True)
    array([0, 2, 3, 1])
    """
    if not (descending or has_tracer((a,))):
        return np.argsort(a, axis, "stable", order)
    refuse("argsort", order=(order, None))
    x, axis = _operand(a, axis, "argsort")
    if not descending:
        return sorting.argsort(x, axis)
    # stable from the greatest on: sort backwards what is flipped, and count from the other end
    last = np.int64(shape_of(x)[axis] - 1)
    return last - flip_p.bind(sorting.argsort(flip_p.bind(x, axes=(axis,)), axis), axes=(axis,))


@mirrors(np.lexsort)
def lexsort(keys: Any, axis: int = -1) -> Any:
    """`numpy.lexsort`: the positions that sort by the last key, ties by the one before, …

    >>> lexsort((np.array([1, 0, 2]), np.array([5, 5, 4])))
    array([2, 1, 0])
    """
    rows = [strong(as_array(keys[i])) for i in range(len(keys))]
    if not rows:
        raise TypeError(f"lexsort needs at least one key.{user_line()}")
    if not shape_of(rows[0]):
        return np.int64(0)
    axis = canonical_axis(axis, len(shape_of(rows[0])))
    return sorting.lexsort(tuple(reversed(rows)), axis)


@mirrors(np.partition)
def partition(
    a: Any, kth: Any, axis: int | None = -1, kind: Any = "introselect", order: None = None
) -> Any:
    """`numpy.partition`: elements in an order in which the kth stands as in sorted order.

    Traced arrays are sorted.

    >>> float(partition(np.array([3.0, 1.0, 2.0]), 0)[0])
    1.0
    """
    refuse("partition", order=(order, None))
    x, axis = _operand(a, axis, "partition")
    _check_kth(kth, shape_of(x)[axis])
    return sorting.sort(x, axis)


@mirrors(np.argpartition)
def argpartition(
    a: Any, kth: Any, axis: int | None = -1, kind: Any = "introselect", order: None = None
) -> Any:
    """`numpy.argpartition`: the positions that partition an array; traced arrays are sorted.

    >>> int(argpartition(np.array([3.0, 1.0, 2.0]), 0)[0])
    1
    """
    refuse("argpartition", order=(order, None))
    x, axis = _operand(a, axis, "argpartition")
    _check_kth(kth, shape_of(x)[axis])
    return sorting.argsort(x, axis)


def _check_kth(kth: Any, extent: int) -> None:
    for k in np.ravel(kth):
        if not -extent <= int(k) < extent:
            raise ShapeError(f"kth(={k}) out of bounds ({extent}).")


@mirrors(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """`numpy.sort_complex`: sorted along the last axis, as complex numbers.

    >>> sort_complex([2, 1])
    array([1.+0.j, 2.+0.j])
    """
    x, axis = _operand(a, -1, "sort_complex")
    dtype = dtype_of(sort_complex(np.zeros(1, dtype_of(x))))
    return convert(sorting.sort(x, axis), dtype)


# --- search in a sorted array -------------------------------------------------------------------


def _before(x: Any, y: Any, inclusive: bool) -> Any:
    """Whether x stands before y in sorted order (or with it), where nan is the last."""
    result = (le_p if inclusive else lt_p).bind(x, y)
    if dtype_of(x).kind not in "fc":
        return result
    y_last = isnan_p.bind(y)
    return result | (y_last if inclusive else y_last & not_p.bind(isnan_p.bind(x)))


@mirrors(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Any:
    """`numpy.searchsorted`: where to insert values into a sorted array to keep it sorted.

    Args:
        a: a sorted array of one axis.
        v: values of any shape.
        side: "left" for before, "right" for after equal elements.
        sorter: positions that sort `a`, if it is not sorted.

    >>> searchsorted(np.array([1.0, 2.0, 3.0]), [2.0, 2.5])
    array([1, 2])
    """
    if side not in ("left", "right"):
        raise ValueError(f"side must be 'left' or 'right', got {side!r}.{user_line()}")
    a, v = promote(a, v)
    if len(shape_of(a)) != 1:
        raise ShapeError(f"searchsorted needs a sorted array of one axis: got {aval_of(a)}.")
    if sorter is not None:
        a = take(a, sorter)
    count = shape_of(a)[0]
    low: Any = full(shape_of(v), 0, np.int64)
    if count == 0:
        return low
    high: Any = full(shape_of(v), count, np.int64)
    # halving, as many times as the longest search takes: the length is known, so no loop is needed
    for _ in range(count.bit_length()):
        middle = (low + high) >> np.int64(1)
        probe = gather(a, [middle], (0,), "clip")
        searching = lt_p.bind(low, high)
        upwards = searching & _before(probe, v, inclusive=side == "right")
        low = select_p.bind(upwards, middle + 1, low)
        high = select_p.bind(searching & not_p.bind(upwards), middle, high)
    return low


@mirrors(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Any:
    """`numpy.digitize`: the number of the bin each value falls into.

    Bins rise or fall monotonically; which of the two traced ones do is found when they run.

    >>> digitize(np.array([0.5, 2.5]), np.array([0.0, 1.0, 2.0, 3.0]))
    array([1, 3])
    """
    x, bins = promote(x, bins)
    if len(shape_of(bins)) != 1:
        raise ShapeError(f"digitize needs bins of one axis: got {aval_of(bins)}.")
    side = "left" if right else "right"
    rising = searchsorted(bins, x, side)
    count = shape_of(bins)[0]
    if count == 0:
        return rising
    backwards = flip_p.bind(bins, axes=(0,))
    falling = count - searchsorted(backwards, x, side)
    ends = slice_axis(bins, 0, 0, 1), slice_axis(bins, 0, count - 1, count)
    is_rising = reshape_p.bind(le_p.bind(*ends), shape=())
    return select_p.bind(is_rising, rising, falling)


# --- unique elements ----------------------------------------------------------------------------


_numpy_unique: Any = np.unique  # its overloads do not cover flags that are variables


class UniqueAllResult(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """`numpy.unique`: the sorted unique elements, or slices along an axis.

    Args:
        ar: an array.
        return_index: also return where each is first found.
        return_inverse: also return which of them each element is.
        return_counts: also return how often each occurs.
        axis: compare slices along this axis; None for the elements of the flattened array.
        equal_nan: whether nans are one element.
        sorted: as in NumPy; the result is always sorted.
        size: how many to return; needed under `jit` and `vmap`. Surplus ones are cut off.
        fill_value: what missing ones are; by default the least element.

    >>> unique(np.array([3, 1, 3]), return_counts=True)
    (array([1, 3]), array([1, 2]))
    >>> unique(np.array([3, 1, 3]), size=3, fill_value=0)
    array([1, 3, 0])
    """
    flags = (return_index, return_inverse, return_counts)
    if size is None and not has_tracer((ar,)):
        return _numpy_unique(ar, *flags, axis, equal_nan=equal_nan)
    x = strong(as_array(ar))
    if size is None and type(x) is Tracer and x.value is not UNKNOWN:
        return _unique_of_known(x, flags, axis, equal_nan)
    if size is None:
        raise ConcretizationError(
            f"how many unique elements an array of type {x.aval} has is not known while tracing."
            f"\n  Give unique a static size= (and fill_value=)."
        )
    values, index, inverse, counts = _unique_of_size(x, axis, equal_nan, size, fill_value)
    extra = [v for v, f in zip((index, inverse, counts), flags, strict=True) if f]
    return (values, *extra) if extra else values


def _unique_of_known(x: Tracer, flags: Sequence[bool], axis: int | None, equal_nan: bool) -> Any:
    """The unique elements where the values are known, as elements of the tracer."""
    value = np.asarray(x.value)
    _, index, *rest = _numpy_unique(value, True, *flags[1:], axis, equal_nan=equal_nan)
    values = take(x, index, axis)
    extra = [index] * flags[0] + rest
    return (values, *extra) if extra else values


def _unique_of_size(
    x: Any, axis: int | None, equal_nan: bool, size: int, fill_value: Any
) -> tuple[Any, Any, Any, Any]:
    """Values, first positions, inverse and counts, by sorting the slices as rows."""
    shape = shape_of(x)
    along = 0 if axis is None else canonical_axis(axis, len(shape))
    flat = reshape_p.bind(x, shape=(aval_of(x).size,)) if axis is None else x
    extents = shape_of(flat)
    count = extents[along]
    if count == 0:
        raise ShapeError(f"unique with a size needs at least one element: got {aval_of(x)}.")
    front = (along, *[i for i in range(len(extents)) if i != along])
    rows = transpose_p.bind(flat, permutation=front)
    rows = reshape_p.bind(rows, shape=(count, math.prod(extents) // count))
    columns = [
        reshape_p.bind(slice_axis(rows, 1, j, j + 1), shape=(count,))
        for j in range(shape_of(rows)[1])
    ]
    order = sorting.lexsort(columns, 0) if columns else iota((count,), 0, np.int64)
    is_new = starts_of_runs(gather(rows, [order], (0,), "promise_in_bounds"), equal_nan)
    (starts,) = nonzero(is_new, size=size, fill_value=count)
    group = cumsum_p.bind(convert(is_new, np.int64), axis=0, reverse=False) - 1
    present = lt_p.bind(starts, np.int64(count))
    index = gather(order, [starts], (0,), "clip")
    index = select_p.bind(present, index, gather(order, [np.zeros((), np.int64)], (0,)))
    inverse = scatter(
        full((count,), 0, np.int64), group, [order], (0,), "set", "promise_in_bounds", True
    )
    ones = full((count,), 1, np.int64)
    counts = scatter(full((size,), 0, np.int64), ones, [group], (0,), "add", "drop")
    values = take(flat, index, along)
    if fill_value is not None:
        fill = to_dtype(as_array(fill_value), dtype_of(x))
        mask = reshape_p.bind(present, shape=(size, *(1,) * (len(extents) - along - 1)))
        values = select_p.bind(mask, values, fill)
    if axis is None:
        inverse = reshape_p.bind(inverse, shape=shape)
    return values, index, inverse, counts


def starts_of_runs(rows: Any, equal_nan: bool) -> Any:
    """Which of the sorted rows differ from the one before."""
    count = shape_of(rows)[0]
    above, here = slice_axis(rows, 0, 0, count - 1), slice_axis(rows, 0, 1, count)
    same = eq_p.bind(above, here)
    if equal_nan and dtype_of(rows).kind in "fc":
        same = same | (isnan_p.bind(above) & isnan_p.bind(here))
    first = full((1,), True, np.bool_)
    different = reduce_or_p.bind(not_p.bind(same), axes=(1,))
    return concatenate_p.bind(first, different, axis=0)


def unique_values(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """`numpy.unique_values`: the unique elements, every nan by itself; sorted.

    >>> unique_values(np.array([2, 1, 2]))
    array([1, 2])
    """
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)


def unique_counts(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """`numpy.unique_counts`: the unique elements (values) and how often they occur (counts).

    >>> unique_counts(np.array([2, 1, 2])).counts
    array([1, 2])
    """
    full_result = unique_all(x, size=size, fill_value=fill_value)
    return UniqueCountsResult(full_result.values, full_result.counts)


def unique_inverse(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """`numpy.unique_inverse`: the unique elements, and which of them each element is.

    >>> unique_inverse(np.array([2, 1, 2])).inverse_indices
    array([1, 0, 1])
    """
    full_result = unique_all(x, size=size, fill_value=fill_value)
    return UniqueInverseResult(full_result.values, full_result.inverse_indices)


def unique_all(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueAllResult:
    """`numpy.unique_all`: unique elements, first positions, inverse and counts.

    >>> unique_all(np.array([2, 1, 2])).indices
    array([1, 0])
    """
    return UniqueAllResult(
        *unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value)
    )


class UniqueCountsResult(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverseResult(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any
