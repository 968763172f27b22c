"""Sorting along an axis: nan last, several operands by the first ones as keys, stably; and the
greatest elements, which need no sort if they are few.

One operand alone is sorted as NumPy does by default, in vectors: where 0.0 and -0.0 are, which are
equal, is not said.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Primitive
from functrans.core.types import Aval, aval_of, shape_of
from functrans.primitives.indexing import gather, repeat_unbatched
from functrans.primitives.shaping import flip_p, iota, slice_axis


def take_along(x: Any, order: Any, axis: int, mode: str = "promise_in_bounds") -> Any:
    """The elements of x at positions along one axis; other axes of both are the same."""
    shape = shape_of(order)
    ndim = len(shape)
    indices = [
        order if i == axis else iota((1,) * i + (n,) + (1,) * (ndim - i - 1), i, np.int64)
        for i, n in enumerate(shape)
    ]
    return gather(x, indices, tuple(range(ndim)), mode)


def _infer_sort(*operands: Aval, axis: int, num_keys: int) -> tuple[Aval, ...]:
    first = operands[0]
    if any(x.shape != first.shape for x in operands):
        shown = ", ".join(map(str, operands))
        raise ShapeError(f"sort needs operands of one shape: got {shown}.")
    if not 0 <= axis < first.ndim:
        raise ShapeError(f"sort along axis {axis} of {first}, which has {first.ndim} axes.")
    if not 1 <= num_keys <= len(operands):
        raise DTypeError(f"sort by {num_keys} keys of {len(operands)} operands.")
    return tuple(x.strong() for x in operands)


LONG_ROW = 2048
"""Elements from which on it takes less to put equal ones in order than to sort stably."""


def _evaluate_sort(*operands: Any, axis: int, num_keys: int) -> list[Any]:
    arrays = [np.asarray(x) for x in operands]
    key = arrays[0]
    if len(arrays) == 1:
        return [np.sort(key, axis)]
    if num_keys > 1:
        order = np.lexsort(tuple(reversed(arrays[:num_keys])), axis)
    elif key.dtype.kind in "iuf" and key.itemsize >= 4 and is_long_row(key.shape[axis]):
        return _sorted_with(arrays, axis)
    else:
        order = np.argsort(key, axis, kind="stable")
    return [np.take_along_axis(x, order, axis) for x in arrays]


def is_long_row(extent: int) -> bool:
    """Whether a row is, and its positions leave half of an int64 to other things."""
    return LONG_ROW <= extent <= np.iinfo(np.int32).max


def _sorted_with(arrays: list[np.ndarray], axis: int) -> list[np.ndarray]:
    """Arrays sorted stably by the first. NumPy has vectors only for sorts that are not stable."""
    rows = [np.moveaxis(x, axis, -1) for x in arrays]
    outs = [np.empty(x.shape, x.dtype) for x in rows]
    for place in np.ndindex(rows[0].shape[:-1]):
        order, outs[0][place] = _stable_order(rows[0][place])
        for x, out in zip(rows[1:], outs[1:], strict=True):
            np.take(x[place], order, out=out[place], mode="wrap")
    return [np.moveaxis(out, -1, axis) for out in outs]


def _stable_order(row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positions that sort a row stably, and the sorted row."""
    order = np.argsort(row)
    found = np.take(row, order)
    same = found[1:] == found[:-1]
    if row.dtype.kind == "f":
        same |= found[:-1] != found[:-1]  # only nan comes after nan
    if not same.any():
        return order, found
    # sorted as one number, the positions of equal elements come in order within these
    runs = np.append(0, np.cumsum(~same))
    keys = runs << 32 | order
    keys.sort()
    order = keys & (1 << 32) - 1
    return order, np.take(row, order)


def _forward_sort(
    tangents: list, primals: list, *, axis: int, num_keys: int
) -> tuple[list[Any], list[Any]]:
    """Sorts the positions along, and gathers the tangents by them."""
    positions = iota(shape_of(primals[0]), axis, np.int64)
    *outs, order = sort_p.bind(*primals, positions, axis=axis, num_keys=num_keys)
    return outs, [None if t is None else take_along(t, order, axis) for t in tangents]


def _batch_sort(args: list, batched: list, *, axis: int, num_keys: int) -> tuple[list, list]:
    extent = next(shape_of(x)[0] for x, b in zip(args, batched, strict=True) if b)
    wide = [repeat_unbatched(x, b, extent) for x, b in zip(args, batched, strict=True)]
    return sort_p.bind(*wide, axis=axis + 1, num_keys=num_keys), [True] * len(args)


def _cost_sort(inputs: Any, outputs: Any, *, axis: int, num_keys: int) -> float:
    extent = inputs[0].shape[axis]
    return inputs[0].size * num_keys * math.log2(max(extent, 2))


sort_p = Primitive(
    "sort",
    infer=_infer_sort,
    evaluate=_evaluate_sort,
    in_place=lambda x, *, axis, num_keys: x.sort(axis),
    forward=_forward_sort,
    batch=_batch_sort,
    cost=_cost_sort,
    multiple_results=True,
)


unstable_order_p = Primitive(
    "unstable_order",
    infer=lambda x: Aval(x.shape, np.dtype(np.int64)),
    evaluate=lambda x: np.argsort(x, -1),
)
"""Positions that sort along the last axis, those of equal elements in any order: what compiled code
finds stable ones by (functrans/compiler/sorting.py)."""


def sort(x: Any, axis: int, stable: bool = False) -> Any:
    """x sorted along a (non-negative) axis; 0.0 and -0.0 stay in their order if it is stable."""
    beside = [iota(shape_of(x), axis, np.int64)] if stable else []
    return sort_p.bind(x, *beside, axis=axis, num_keys=1)[0]


def argsort(x: Any, axis: int) -> Any:
    """The positions (int64) that sort x along a (non-negative) axis, stably."""
    positions = iota(shape_of(x), axis, np.int64)
    return sort_p.bind(x, positions, axis=axis, num_keys=1)[1]


def lexsort(keys: Any, axis: int) -> Any:
    """The positions that sort by the first key, ties by the second, and so on."""
    positions = iota(shape_of(keys[0]), axis, np.int64)
    return sort_p.bind(*keys, positions, axis=axis, num_keys=len(keys))[-1]


# --- top_k ----------------------------------------------------------------------------------------


def _infer_top_k(x: Aval, *, k: int, axis: int) -> tuple[Aval, Aval]:
    if not 0 <= axis < x.ndim or not 0 <= k <= x.shape[axis]:
        raise ShapeError(f"top_k of {k} elements along axis {axis} of {x}.")
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return Aval(shape, x.dtype), Aval(shape, np.dtype(np.int64))


def _evaluate_top_k(x: Any, *, k: int, axis: int) -> list[Any]:
    _infer_top_k(aval_of(x), k=k, axis=axis)  # NumPy would begin again from the other end
    last = np.shape(x)[axis] - 1
    # ascending and stable from the far end: equal elements come out in their first order
    order = last - np.argsort(np.flip(x, axis), axis, kind="stable")
    positions = np.take(order, np.arange(last, last - k, -1), axis)
    return [np.take_along_axis(np.asarray(x), positions, axis), positions]


def _forward_top_k(tangents: list, primals: list, *, k: int, axis: int) -> tuple[list, list]:
    values, positions = top_k_p.bind(*primals, k=k, axis=axis)
    return [values, positions], [take_along(tangents[0], positions, axis), None]


def _batch_top_k(args: list, batched: list, *, k: int, axis: int) -> tuple[list, list]:
    return top_k_p.bind(*args, k=k, axis=axis + 1), [True, True]


top_k_p = Primitive(
    "top_k",
    infer=_infer_top_k,
    evaluate=_evaluate_top_k,
    forward=_forward_top_k,
    batch=_batch_top_k,
    cost=lambda inputs, outputs, *, k, axis: float(inputs[0].size),
    multiple_results=True,
)


def top_k_by_sort(x: Any, k: int, axis: int) -> list[Any]:
    """What `top_k` is, for many of the elements."""
    n = shape_of(x)[axis]
    mirrored, positions = (
        flip_p.bind(y, axes=(axis,)) for y in (x, iota(shape_of(x), axis, np.int64))
    )
    found = sort_p.bind(mirrored, positions, axis=axis, num_keys=1)
    return [flip_p.bind(slice_axis(y, axis, n - k, n), axes=(axis,)) for y in found]
