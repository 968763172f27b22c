"""Slices, static and dynamic, and their updates, as in `jax.lax`.

Starts that the program computes are clamped so that the block lies inside of the array; negative
ones count from the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.trace import Tracer, as_value
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy.promotion import as_array, to_dtype
from functrans.primitives.arithmetic import lt_p, select_p
from functrans.primitives.dynamic import dynamic_slice_p, dynamic_update_slice_p
from functrans.primitives.elementwise import insert_axes
from functrans.primitives.indexing import gather
from functrans.primitives.shaping import reshape_p, slice_axis, slice_p


def slice(
    operand: Any,
    start_indices: Sequence[int],
    limit_indices: Sequence[int],
    strides: Sequence[int] | None = None,
) -> Any:
    """operand[start:limit:stride] with an int per axis.

    Raises:
        ShapeError: a bound is outside of the array, or counts from its end.

    >>> slice(np.arange(6.0), (1,), (5,), (2,))
    array([1., 3.])
    """
    x = as_array(operand)
    if not len(start_indices) == len(limit_indices) == len(shape_of(x)):
        raise ShapeError(f"slice of {aval_of(x)} needs a start and a limit per axis.")
    step = tuple(strides) if strides is not None else (1,) * len(start_indices)
    bounds = {"start": tuple(start_indices), "stop": tuple(limit_indices), "step": step}
    slice_p.infer(aval_of(x), **bounds)  # NumPy takes bounds outside of the array
    return slice_p.bind(x, **bounds)


def slice_in_dim(
    operand: Any, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Any:
    """operand[start:limit:stride] along one axis.

    >>> slice_in_dim(np.arange(6.0), 1, -1)
    array([1., 2., 3., 4.])
    """
    x = as_array(operand)
    place = canonical_axis(axis, len(shape_of(x)))
    extent = shape_of(x)[place]
    start = 0 if start_index is None else int(start_index)
    limit = extent if limit_index is None else int(limit_index)
    start, limit = (i + extent if i < 0 else i for i in (start, limit))
    return slice_axis(x, place, start, limit, int(stride))


def index_in_dim(operand: Any, index: int, axis: int = 0, keepdims: bool = True) -> Any:
    """The slice at a static index along an axis.

    >>> index_in_dim(np.arange(6.0).reshape(3, 2), 1, keepdims=False)
    array([2., 3.])
    """
    x = as_array(operand)
    place = canonical_axis(axis, len(shape_of(x)))
    extent = shape_of(x)[place]
    if not -extent <= index < extent:
        raise ShapeError(f"index {index} is out of bounds for axis {place} of {aval_of(x)}.")
    at = index % extent
    out = slice_axis(x, place, at, at + 1)
    return out if keepdims else _drop(out, place)


def dynamic_slice(operand: Any, start_indices: Any, slice_sizes: Sequence[int]) -> Any:
    """A block of static sizes at starts that may be traced; clamped to lie inside.

    Args:
        operand: an array.
        start_indices: an integer per axis, or a vector of them.
        slice_sizes: an int per axis.

    >>> dynamic_slice(np.arange(6.0), (4,), (3,))
    array([3., 4., 5.])
    """
    x = as_array(operand)
    sizes = tuple(int(n) for n in slice_sizes)
    return dynamic_slice_p.bind(x, *_starts(x, start_indices), sizes=sizes)


def dynamic_slice_in_dim(operand: Any, start_index: Any, slice_size: int, axis: int = 0) -> Any:
    """A block of static extent along one axis, at a start that may be traced.

    >>> dynamic_slice_in_dim(np.arange(6.0), 2, 3)
    array([2., 3., 4.])
    """
    x = as_array(operand)
    place = canonical_axis(axis, len(shape_of(x)))
    starts: list[Any] = [0] * len(shape_of(x))
    starts[place] = start_index
    sizes = list(shape_of(x))
    sizes[place] = int(slice_size)
    return dynamic_slice(x, starts, sizes)


def dynamic_index_in_dim(operand: Any, index: Any, axis: int = 0, keepdims: bool = True) -> Any:
    """The slice at an index along an axis that may be traced.

    >>> dynamic_index_in_dim(np.arange(6.0).reshape(3, 2), 1, keepdims=False)
    array([2., 3.])
    """
    place = canonical_axis(axis, len(shape_of(as_array(operand))))
    out = dynamic_slice_in_dim(operand, index, 1, place)
    return out if keepdims else _drop(out, place)


def dynamic_update_slice(operand: Any, update: Any, start_indices: Any) -> Any:
    """The operand with a block replaced, at starts that may be traced; clamped to lie inside.

    >>> dynamic_update_slice(np.zeros(4), np.ones(2), (1,))
    array([0., 1., 1., 0.])
    """
    x = as_array(operand)
    block = to_dtype(as_array(update), dtype_of(x))
    return dynamic_update_slice_p.bind(x, block, *_starts(x, start_indices), op="set")


def dynamic_update_slice_in_dim(operand: Any, update: Any, start_index: Any, axis: int) -> Any:
    """The operand with a block along one axis replaced.

    >>> dynamic_update_slice_in_dim(np.zeros(4), np.ones(2), 2, 0)
    array([0., 0., 1., 1.])
    """
    x = as_array(operand)
    starts: list[Any] = [0] * len(shape_of(x))
    starts[canonical_axis(axis, len(shape_of(x)))] = start_index
    return dynamic_update_slice(x, update, starts)


def dynamic_update_index_in_dim(operand: Any, update: Any, index: Any, axis: int) -> Any:
    """The operand with one slice along an axis replaced; the update may lack the axis.

    >>> dynamic_update_index_in_dim(np.zeros(3), 1.0, 1, 0)
    array([0., 1., 0.])
    """
    x, block = as_array(operand), as_array(update)
    place = canonical_axis(axis, len(shape_of(x)))
    if len(shape_of(block)) == len(shape_of(x)) - 1:
        block = insert_axes(to_dtype(block, dtype_of(x)), place, 1)
    return dynamic_update_slice_in_dim(x, block, index, place)


def index_take(src: Any, idxs: Sequence[Any], axes: Sequence[int]) -> Any:
    """The elements at index vectors along axes: the vectors' axis comes first in the result.

    >>> index_take(np.arange(6.0).reshape(3, 2), [np.array([2, 0])], (0,))
    array([[4., 5.],
           [0., 1.]])
    """
    return gather(as_array(src), [as_array(i) for i in idxs], tuple(axes))


def _starts(x: Any, given: Any) -> list[Any]:
    """An int64 scalar per axis; negative ones count from the end."""
    shape = shape_of(x)
    if isinstance(given, np.ndarray | Tracer):
        if shape_of(given) != (len(shape),):
            raise ShapeError(f"start_indices for {aval_of(x)} must be {len(shape)} integers.")
        given = [_drop(slice_axis(given, 0, i, i + 1), 0) for i in range(len(shape))]
    given = list(given)
    if len(given) != len(shape):
        raise ShapeError(f"{aval_of(x)} needs {len(shape)} start indices, got {len(given)}.")
    return [_start(as_value(s, "a start index"), n) for s, n in zip(given, shape, strict=True)]


def _start(s: Any, extent: int) -> Any:
    if type(s) is not Tracer:
        at = int(s.__index__())
        return np.int64(at + extent if at < 0 else at)
    if dtype_of(s).kind == "u":
        return s
    s = to_dtype(s, np.dtype(np.int64))
    return select_p.bind(lt_p.bind(s, np.int64(0)), s + np.int64(extent), s)


def _drop(x: Any, axis: int) -> Any:
    shape = shape_of(x)
    return reshape_p.bind(x, shape=(*shape[:axis], *shape[axis + 1 :]))
