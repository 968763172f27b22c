"""Functions that rearrange elements: joining, splitting, repeating, reordering."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from operator import index
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.trace import Tracer
from functrans.core.types import (
    aval_of,
    canonical_axes,
    canonical_axis,
    dtype_of,
    result_dtype,
    shape_of,
)
from functrans.numpy.dispatch import mirrors, refuse
from functrans.numpy.manipulation import (
    Axis,
    at_least,
    broadcast_to,
    expand_dims,
    extents_of,
    moveaxis,
    ravel,
    reshape,
    strong,
    swapaxes,
    transpose,
)
from functrans.numpy.promotion import as_array, to_dtype
from functrans.primitives.arithmetic import convert
from functrans.primitives.shaping import broadcast_p, concatenate_p, flip_p, slice_axis

# --- joining ------------------------------------------------------------------------------------


def _promote_to(arrays: Sequence[Any], dtype: Any) -> list[Any]:
    """The arrays with one dtype; Python scalars in them count as arrays, as NumPy has it here."""
    xs = [strong(x) for x in arrays]
    wanted = np.dtype(dtype) if dtype is not None else result_dtype(*[dtype_of(x) for x in xs])
    return [to_dtype(x, wanted) for x in xs]


@mirrors(np.concatenate)
def concatenate(
    arrays: Any,
    /,
    axis: int | None = 0,
    out: None = None,
    *,
    dtype: Any = None,
    casting: Any = None,
) -> Any:
    """`numpy.concatenate`: arrays joined along an axis; all flattened if it is None.

    >>> import functrans.numpy as fnp
    >>> fnp.concatenate([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    refuse("concatenate", out=(out, None), casting=(casting, None))
    xs = _promote_to(_items(arrays), dtype)
    if not xs:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    if any(len(shape_of(x)) == 0 for x in xs):
        raise ShapeError("zero-dimensional arrays cannot be concatenated; use stack.")
    place = canonical_axis(axis, len(shape_of(xs[0])))
    return xs[0] if len(xs) == 1 else concatenate_p.bind(*xs, axis=place)


concat = concatenate


def _items(arrays: Any) -> list[Any]:
    """The arrays of a sequence, or along the first axis of an array or tracer."""
    if isinstance(arrays, Tracer | np.ndarray):
        x = strong(arrays)
        return [reshape(slice_axis(x, 0, i, i + 1), shape_of(x)[1:]) for i in range(shape_of(x)[0])]
    return list(arrays)


@mirrors(np.stack)
def stack(
    arrays: Any, axis: int = 0, out: None = None, *, dtype: Any = None, casting: Any = None
) -> Any:
    """`numpy.stack`: arrays of one shape joined along a new axis.

    >>> import functrans.numpy as fnp
    >>> fnp.stack([[1, 2], [3, 4]], axis=1).tolist()
    [[1, 3], [2, 4]]
    """
    xs = [strong(x) for x in _items(arrays)]
    if not xs:
        raise ValueError("need at least one array to stack")
    shapes = {shape_of(x) for x in xs}
    if len(shapes) > 1:
        shown = " and ".join(str(aval_of(x)) for x in xs)
        raise ShapeError(f"stack needs arrays of one shape: got {shown}.")
    wide = [expand_dims(x, axis) for x in xs]
    place = canonical_axis(axis, len(shape_of(wide[0])))
    return concatenate(wide, place, out, dtype=dtype, casting=casting)


@mirrors(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
    """`numpy.vstack`: arrays joined along the first axis, vectors as rows.

    >>> import functrans.numpy as fnp
    >>> fnp.vstack([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    return concatenate([at_least(x, 2) for x in _items(tup)], 0, dtype=dtype, casting=casting)


@mirrors(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: Any = None) -> Any:
    """`numpy.hstack`: arrays joined along the second axis, vectors along the first.

    >>> import functrans.numpy as fnp
    >>> fnp.hstack([[1, 2], [3]]).tolist()
    [1, 2, 3]
    """
    xs = [at_least(x, 1) for x in _items(tup)]
    axis = 0 if xs and len(shape_of(xs[0])) == 1 else 1
    return concatenate(xs, axis, dtype=dtype, casting=casting)


@mirrors(np.dstack)
def dstack(tup: Any) -> Any:
    """`numpy.dstack`: arrays joined along the third axis.

    >>> import functrans.numpy as fnp
    >>> fnp.dstack([[1, 2], [3, 4]]).tolist()
    [[[1, 3], [2, 4]]]
    """
    return concatenate([at_least(x, 3) for x in _items(tup)], 2)


@mirrors(np.column_stack)
def column_stack(tup: Any) -> Any:
    """`numpy.column_stack`: vectors as the columns of a matrix.

    >>> import functrans.numpy as fnp
    >>> fnp.column_stack([[1, 2], [3, 4]]).tolist()
    [[1, 3], [2, 4]]
    """
    xs = [strong(x) for x in _items(tup)]
    columns = [transpose(at_least(x, 2)) if len(shape_of(x)) < 2 else x for x in xs]
    return concatenate(columns, 1)


@mirrors(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """`numpy.append`: values joined to the end; both flattened if the axis is None.

    >>> import functrans.numpy as fnp
    >>> fnp.append([1, 2], [[3], [4]]).tolist()
    [1, 2, 3, 4]
    """
    return concatenate((arr, values), axis)


@mirrors(np.block)
def block(arrays: Any) -> Any:
    """`numpy.block`: an array from nested lists of blocks, the innermost along the last axis.

    >>> import functrans.numpy as fnp
    >>> fnp.block([[1, 2], [3, 4]]).tolist()
    [[1, 2], [3, 4]]
    """
    depth = _depth(arrays)
    rank = depth
    for x in _leaves(arrays):
        extent = len(shape_of(as_array(x)))
        rank = extent if extent > rank else rank
    return _joined(arrays, depth, rank)


def _depth(arrays: Any) -> int:
    return 1 + _depth(arrays[0]) if isinstance(arrays, list) and arrays else 0


def _leaves(arrays: Any) -> list[Any]:
    return [v for x in arrays for v in _leaves(x)] if isinstance(arrays, list) else [arrays]


def _joined(arrays: Any, depth: int, rank: int) -> Any:
    if depth == 0:
        x = strong(arrays)
        return reshape(x, (*(1,) * (rank - len(shape_of(x))), *shape_of(x)))
    return concatenate([_joined(x, depth - 1, rank) for x in arrays], -depth)


# --- splitting ----------------------------------------------------------------------------------


@mirrors(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """`numpy.array_split`: parts of an array, which need not be of equal extent.

    >>> import functrans.numpy as fnp
    >>> [x.tolist() for x in fnp.array_split([1, 2, 3], 2)]
    [[1, 2], [3]]
    """
    x = strong(ary)
    axis = canonical_axis(axis, len(shape_of(x)))
    extent = shape_of(x)[axis]
    if isinstance(indices_or_sections, Sequence | np.ndarray) and np.ndim(indices_or_sections) > 0:
        bounds = [0, *[index(i) for i in indices_or_sections], extent]
    else:
        count = index(indices_or_sections)
        if count <= 0:
            raise ValueError("number of sections must be larger than 0.")
        each, extra = divmod(extent, count)
        bounds = [i * each + min(i, extra) for i in range(count + 1)]
    parts = []
    for start, stop in pairwise(bounds):
        begin, end, _ = slice(start, stop).indices(extent)
        parts.append(slice_axis(x, axis, begin, max(begin, end)))
    return parts


@mirrors(np.split)
def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Any]:
    """`numpy.split`: equal parts of an array, or the parts between indices.

    >>> import functrans.numpy as fnp
    >>> [x.tolist() for x in fnp.split([1, 2, 3], [1])]
    [[1], [2, 3]]
    """
    x = strong(ary)
    if not (
        isinstance(indices_or_sections, Sequence | np.ndarray) and np.ndim(indices_or_sections)
    ):
        extent = shape_of(x)[canonical_axis(axis, len(shape_of(x)))]
        if extent % index(indices_or_sections):
            raise ShapeError(
                f"split of {aval_of(x)} along axis {axis} into {indices_or_sections} parts does "
                f"not give equal parts; use array_split."
            )
    return array_split(x, indices_or_sections, axis)


@mirrors(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`numpy.hsplit`: split along the second axis, of vectors along the first.

    >>> import functrans.numpy as fnp
    >>> [x.tolist() for x in fnp.hsplit(fnp.asarray([1, 2]), 2)]
    [[1], [2]]
    """
    return split(ary, indices_or_sections, 0 if len(shape_of(as_array(ary))) == 1 else 1)


@mirrors(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`numpy.vsplit`: split along the first axis.

    >>> import functrans.numpy as fnp
    >>> [x.tolist() for x in fnp.vsplit(fnp.asarray([[1], [2]]), 2)]
    [[[1]], [[2]]]
    """
    return split(ary, indices_or_sections, 0)


@mirrors(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Any]:
    """`numpy.dsplit`: split along the third axis.

    >>> import functrans.numpy as fnp
    >>> [x.shape for x in fnp.dsplit(fnp.ones((1, 2, 4)), 2)]
    [(1, 2, 2), (1, 2, 2)]
    """
    return split(ary, indices_or_sections, 2)


@mirrors(np.unstack)
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """`numpy.unstack`: the subarrays along an axis.

    >>> import functrans.numpy as fnp
    >>> [v.tolist() for v in fnp.unstack(fnp.asarray([[1, 2], [3, 4]]))]
    [[1, 2], [3, 4]]
    """
    return tuple(_items(moveaxis(x, axis, 0)))


# --- repeating ----------------------------------------------------------------------------------


@mirrors(np.tile)
def tile(A: Any, reps: Any) -> Any:
    """`numpy.tile`: the array repeated as a whole along each axis.

    >>> import functrans.numpy as fnp
    >>> fnp.tile([1, 2], 2).tolist()
    [1, 2, 1, 2]
    """
    x = strong(A)
    counts = extents_of(reps)
    shape = shape_of(x)
    rank = max(len(shape), len(counts))
    shape = (*(1,) * (rank - len(shape)), *shape)
    counts = (*(1,) * (rank - len(counts)), *counts)
    if all(n == 1 for n in counts):
        return reshape(x, shape)
    apart = reshape(x, tuple(m for n in shape for m in (1, n)))
    wide = broadcast_to(apart, tuple(m for c, n in zip(counts, shape, strict=True) for m in (c, n)))
    return reshape(wide, tuple(c * n for c, n in zip(counts, shape, strict=True)))


@mirrors(np.repeat)
def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    """`numpy.repeat`: each element along an axis repeated; `repeats` must be known when tracing.

    >>> import functrans.numpy as fnp
    >>> fnp.repeat([1, 2], 2).tolist()
    [1, 1, 2, 2]
    """
    x = strong(a)
    if axis is None:
        x, axis = ravel(x), 0
    axis = canonical_axis(axis, len(shape_of(x)))
    if type(repeats) is Tracer:
        repeats = repeats.concrete(
            "repeat", "The shape of the result depends on it: make it static."
        )
    counts = np.asarray(repeats)
    shape = shape_of(x)
    if counts.size == 1:
        count = index(counts.reshape(()).item())
        if count < 0:
            raise ValueError("repeats may not contain negative values.")
        column = reshape(x, (*shape[: axis + 1], 1, *shape[axis + 1 :]))
        wide = broadcast_to(column, (*shape[: axis + 1], count, *shape[axis + 1 :]))
        return reshape(wide, (*shape[:axis], shape[axis] * count, *shape[axis + 1 :]))
    if counts.shape != (shape[axis],):
        raise ShapeError(
            f"repeat needs one count, or one per element along axis {axis} of {aval_of(x)}: got "
            f"{counts.size} counts."
        )
    return pick(x, np.repeat(np.arange(shape[axis]), counts), axis)


def pick(x: Any, positions: np.ndarray, axis: int) -> Any:
    """The elements at static positions along an axis, by slices and flips where they are few."""
    runs = _runs(positions)
    if len(runs) > 16:
        from functrans.numpy.indexing import getitem

        return getitem(x, (*(slice(None),) * axis, positions))
    parts = [_run(x, axis, *run) for run in runs]
    if not parts:
        return slice_axis(x, axis, 0, 0)
    return parts[0] if len(parts) == 1 else concatenate_p.bind(*parts, axis=axis)


def _runs(positions: np.ndarray) -> list[tuple[int, int, int]]:
    """Maximal runs (first, step, count) with a constant step of -1, 0 or 1."""
    runs: list[tuple[int, int, int]] = []
    for i in positions.tolist():
        if runs:
            first, step, count = runs[-1]
            if count == 1 and i - first in (-1, 0, 1):
                runs[-1] = (first, i - first, 2)
                continue
            if count > 1 and i == first + step * count:
                runs[-1] = (first, step, count + 1)
                continue
        runs.append((i, 1, 1))
    return runs


def _run(x: Any, axis: int, first: int, step: int, count: int) -> Any:
    if step == 1:
        if count == shape_of(x)[axis]:
            return x
        return slice_axis(x, axis, first, first + count)
    if step == -1:
        return flip_p.bind(slice_axis(x, axis, first - count + 1, first + 1), axes=(axis,))
    shape = shape_of(x)
    single = slice_axis(x, axis, first, first + 1)
    return broadcast_p.bind(single, shape=(*shape[:axis], count, *shape[axis + 1 :]))


@mirrors(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """`numpy.resize`: the elements, repeated as often as needed, in a new shape.

    >>> import functrans.numpy as fnp
    >>> fnp.resize([1, 2, 3], (2, 2)).tolist()
    [[1, 2], [3, 1]]
    """
    x = ravel(a)
    shape = extents_of(new_shape)
    size, have = math.prod(shape), shape_of(x)[0]
    if have == 0:
        return convert(broadcast_to(dtype_of(x).type(0), shape), dtype_of(x))
    return reshape(
        slice_axis(tile(x, -(-size // have)), 0, 0, size) if size else slice_axis(x, 0, 0, 0), shape
    )


# --- reordering ---------------------------------------------------------------------------------


@mirrors(np.flip)
def flip(m: Any, axis: Axis = None) -> Any:
    """`numpy.flip`: the elements in reverse order along axes, all by default.

    >>> import functrans.numpy as fnp
    >>> fnp.flip([1, 2, 3]).tolist()
    [3, 2, 1]
    """
    x = strong(m)
    axes = canonical_axes(axis, len(shape_of(x)))
    return flip_p.bind(x, axes=axes) if axes else x


@mirrors(np.fliplr)
def fliplr(m: Any) -> Any:
    """`numpy.fliplr`: flipped along the second axis.

    >>> import functrans.numpy as fnp
    >>> fnp.fliplr([[1, 2]]).tolist()
    [[2, 1]]
    """
    return flip(m, 1)


@mirrors(np.flipud)
def flipud(m: Any) -> Any:
    """`numpy.flipud`: flipped along the first axis.

    >>> import functrans.numpy as fnp
    >>> fnp.flipud([1, 2]).tolist()
    [2, 1]
    """
    return flip(m, 0)


@mirrors(np.rot90)
def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Any:
    """`numpy.rot90`: turned by k quarter turns in the plane of two axes.

    >>> import functrans.numpy as fnp
    >>> fnp.rot90([[1, 2], [3, 4]]).tolist()
    [[2, 4], [1, 3]]
    """
    x = strong(m)
    i, j = canonical_axes(tuple(axes), len(shape_of(x)))
    turns = k % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (i, j))
    return swapaxes(flip(x, j), i, j) if turns == 1 else flip(swapaxes(x, i, j), j)


@mirrors(np.roll)
def roll(a: Any, shift: Any, axis: Axis = None) -> Any:
    """`numpy.roll`: the elements moved along axes, those at the end to the start.

    The shift may be a traced integer.

    >>> import functrans.numpy as fnp
    >>> fnp.roll([1, 2, 3], 1).tolist()
    [3, 1, 2]
    """
    x = strong(a)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), shape_of(x))
    axes = [axis] if not isinstance(axis, Sequence) else list(axis)
    several = isinstance(shift, list | tuple) or np.ndim(shift) > 0
    shifts = list(shift) if several else [shift]
    count = max(len(axes), len(shifts))
    if {len(axes), len(shifts)} - {1, count}:
        raise ShapeError(f"roll got {len(shifts)} shifts for {len(axes)} axes.")
    for k in range(count):
        place = canonical_axis(axes[k % len(axes)], len(shape_of(x)))
        x = _roll(x, shifts[k % len(shifts)], place)
    return x


def _roll(x: Any, shift: Any, axis: int) -> Any:
    extent = shape_of(x)[axis]
    if extent == 0:
        return x
    if type(shift) is Tracer:
        from functrans.numpy.indexing import getitem
        from functrans.primitives.shaping import iota

        positions = (iota((extent,), 0, np.int64) - shift) % extent
        return getitem(x, (*(slice(None),) * axis, positions))
    start = -index(shift) % extent
    if start == 0:
        return x
    head, tail = slice_axis(x, axis, start, extent), slice_axis(x, axis, 0, start)
    return concatenate_p.bind(head, tail, axis=axis)


@mirrors(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """`numpy.delete`: without the elements at positions that are known when tracing.

    >>> import functrans.numpy as fnp
    >>> fnp.delete([1, 2, 3], 1).tolist()
    [1, 3]
    """
    x = strong(arr)
    if axis is None:
        x, axis = ravel(x), 0
    axis = canonical_axis(axis, len(shape_of(x)))
    return pick(x, np.delete(np.arange(shape_of(x)[axis]), _static(obj, "delete")), axis)


@mirrors(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """`numpy.insert`: with values before positions that are known when tracing.

    >>> import functrans.numpy as fnp
    >>> fnp.insert([1, 3], 1, 2).tolist()
    [1, 2, 3]
    """
    x = strong(arr)
    if axis is None:
        x, axis = ravel(x), 0
    axis = canonical_axis(axis, len(shape_of(x)))
    extent = shape_of(x)[axis]
    places = _static(obj, "insert")
    v = to_dtype(strong(values), dtype_of(x))
    # -1 - k marks the k-th inserted value, whatever obj is: NumPy decides where they go
    scalar = not isinstance(places, slice) and np.ndim(places) == 0
    if scalar:
        v = at_least(v, len(shape_of(x)))
        v = moveaxis(v, 0, axis)
        count = shape_of(v)[axis]
    else:
        chosen = np.arange(extent)[places] if isinstance(places, slice) else np.asarray(places)
        count = int(chosen.sum()) if chosen.dtype == bool else chosen.size
    marks = np.insert(np.arange(extent), places, -1 - np.arange(count))
    shape = (*shape_of(x)[:axis], count, *shape_of(x)[axis + 1 :])
    both = concatenate_p.bind(x, broadcast_to(v, shape), axis=axis)
    return pick(both, np.where(marks < 0, extent - 1 - marks, marks), axis)


def _static(positions: Any, name: str) -> Any:
    if type(positions) is Tracer:
        return np.asarray(
            positions.concrete(
                name, "The positions decide the shape of the result: make them static."
            )
        )
    return positions
