"""NumPy's functions that take elements by index, or find the indices of elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ConcretizationError, IndexingError, ShapeError
from functrans.core.source import user_line
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import aval_of, canonical_axes, canonical_axis, dtype_of, shape_of
from functrans.numpy.dispatch import has_tracer, refuse
from functrans.numpy.index_plan import (
    READ_MODES,
    WRITE_MODES,
    fill_as_scalar,
    from_zero,
    mode_of,
    parse,
    resolve,
)
from functrans.numpy.indexing import at, read
from functrans.numpy.promotion import as_array, promote, to_dtype
from functrans.primitives.arithmetic import (
    convert,
    floor_divide_p,
    max_p,
    min_p,
    ne_p,
    remainder_p,
    select_p,
)
from functrans.primitives.indexing import gather, scatter
from functrans.primitives.reductions import cumsum_p
from functrans.primitives.shaping import (
    broadcast_p,
    concatenate_p,
    iota,
    reshape_p,
    slice_axis,
    transpose_p,
)

# --- by index -----------------------------------------------------------------------------------


def take(
    a: Any,
    indices: Any,
    axis: int | None = None,
    out: None = None,
    mode: str | None = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    fill_value: Any = None,
) -> Any:
    """`numpy.take`: elements along an axis, or of the flattened array.

    Args:
        a: an array.
        indices: integers, of any shape.
        axis: an int, or None for the flattened array.
        out: not supported for traced arrays.
        mode: None or "raise": known indices out of bounds are an error, and traced ones read
            `fill_value`, as in JAX; "fill": all do; "wrap"; "clip" (negative ones become 0).
        unique_indices, indices_are_sorted: promises, as in JAX.
        fill_value: what is read outside; by default nan, or an extreme integer.

    >>> take(np.array([4.0, 5.0, 6.0]), [2, 0])
    array([6., 4.])
    """
    if fill_value is not None and mode is None:
        mode = "fill"
    if mode in (None, "raise", "wrap", "clip") and not has_tracer((a, indices)):
        return _numpy_take(a, indices, axis, out, mode or "raise")
    refuse("take", out=(out, None))
    a, indices = as_array(a), _integers(indices, "take")
    if axis is None:
        a, axis = reshape_p.bind(a, shape=(aval_of(a).size,)), 0
    axis = canonical_axis(axis, len(shape_of(a)))
    extent = shape_of(a)[axis]
    if mode in ("wrap", "clip"):
        indices = _within(indices, extent, mode)
        return _gather_along(a, indices, axis, "clip")
    index = (*(slice(None),) * axis, indices)
    how = mode_of("fill" if mode in (None, "raise") else mode, READ_MODES)
    fill = fill_as_scalar(fill_value, dtype_of(a)) if how == "fill" else None
    return read(a, parse(shape_of(a), index, checked=mode in (None, "raise")), how, fill)


def _numpy_take(a: Any, indices: Any, axis: Any, out: Any, mode: Any) -> Any:
    try:
        return np.take(a, indices, axis, out, mode)
    except IndexError as error:
        raise IndexingError(f"{error}.") from None


def _gather_along(a: Any, indices: Any, axis: int, mode: str) -> Any:
    """Elements at indices (not negative) along an axis, whose place their shape takes."""
    out = gather(a, [indices], (axis,), mode)
    lead, rank = len(shape_of(indices)), len(shape_of(out))
    inner = range(lead)
    outer = range(lead, rank)
    order = (*outer[:axis], *inner, *outer[axis:])
    return out if order == tuple(range(rank)) else transpose_p.bind(out, permutation=order)


def _integers(indices: Any, name: str) -> Any:
    """Indices as an integer array; IndexingError for other dtypes."""
    if isinstance(indices, list | tuple) and not has_tracer(indices):
        indices = np.asarray(indices, np.int64 if np.size(indices) == 0 else None)
    indices = as_array(indices)
    kind = aval_of(indices).dtype.kind
    if kind not in "biu":
        raise IndexingError(f"{name} needs integer indices, got {aval_of(indices)}.")
    if type(indices) is Tracer:
        return indices if kind != "b" else convert(indices, np.int64)
    return np.asarray(indices).astype(np.int64)


def _within(indices: Any, extent: int, mode: str) -> Any:
    """Indices brought into the extent as NumPy's modes "wrap" and "clip" do."""
    indices = convert(indices, np.int64)
    if mode == "wrap":
        return remainder_p.bind(indices, np.int64(extent))
    return min_p.bind(max_p.bind(indices, np.int64(0)), np.int64(max(extent - 1, 0)))


def take_along_axis(
    arr: Any,
    indices: Any,
    axis: int | None = -1,
    mode: str | None = None,
    fill_value: Any = None,
) -> Any:
    """`numpy.take_along_axis`: elements at positions along an axis, that differ from row to row.

    Args:
        arr: an array.
        indices: integers of its rank, that broadcast against its other axes.
        axis: an int, or None for the flattened array.
        mode, fill_value: for indices out of bounds, as in `at(x)[index].get`; by default known ones
            are an error, and traced ones read nan or an extreme integer, as in JAX.

    >>> x = np.array([[3, 1, 2], [6, 5, 4]])
    >>> take_along_axis(x, np.argsort(x, 1), 1)
    array([[1, 2, 3],
           [4, 5, 6]])
    """
    if mode is None and fill_value is None and not has_tracer((arr, indices)):
        try:
            return np.take_along_axis(np.asarray(arr), np.asarray(indices), axis)
        except IndexError as error:
            raise IndexingError(f"{error}.") from None
    arr, indices = as_array(arr), _integers(indices, "take_along_axis")
    if axis is None:
        arr, axis = reshape_p.bind(arr, shape=(aval_of(arr).size,)), 0
    how = mode_of(mode or "fill", READ_MODES)
    mesh, axis = _along(arr, indices, axis, checked=mode is None and fill_value is None)
    fill = fill_as_scalar(fill_value, dtype_of(arr)) if how == "fill" else None
    return gather(arr, mesh, tuple(range(len(mesh))), how, fill)


def _along(arr: Any, indices: Any, axis: int, checked: bool) -> tuple[list[Any], int]:
    """Index arrays for every axis of arr: `indices` along one, counting along the others."""
    shape, rank = shape_of(arr), len(shape_of(arr))
    if len(shape_of(indices)) != rank:
        raise ShapeError(
            f"the indices must have as many axes as the array: got shapes {shape_of(indices)} and "
            f"{shape}."
        )
    axis = canonical_axis(axis, rank)
    mesh = [
        resolve(indices, axis, n, checked)
        if i == axis
        else iota((*(1,) * i, n, *(1,) * (rank - i - 1)), i, np.int64)
        for i, n in enumerate(shape)
    ]
    return mesh, axis


def _refuse_inplace(name: str, inplace: bool) -> None:
    if inplace:
        raise ValueError(
            f"numpy.{name} writes into its argument, and arrays are never written to here: call "
            f"{name}(..., inplace=False) and use the result.{user_line()}"
        )


def put_along_axis(
    arr: Any,
    indices: Any,
    values: Any,
    axis: int | None,
    inplace: bool = True,
    *,
    mode: str | None = None,
) -> Any:
    """`numpy.put_along_axis` as a new array; needs `inplace=False`, as in JAX.

    >>> put_along_axis(np.zeros((2, 3)), np.array([[0], [2]]), 1.0, 1, inplace=False)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    _refuse_inplace("put_along_axis", inplace)
    arr, indices = as_array(arr), _integers(indices, "put_along_axis")
    whole = shape_of(arr)
    if axis is None:
        arr, axis = reshape_p.bind(arr, shape=(aval_of(arr).size,)), 0
    mesh, axis = _along(arr, indices, axis, checked=mode is None)
    lead = np.broadcast_shapes(*map(shape_of, mesh))
    values = to_dtype(as_array(values), dtype_of(arr))
    try:
        values = broadcast_p.bind(values, shape=lead)
    except ValueError:
        raise ShapeError(
            f"values of shape {shape_of(values)} do not broadcast to the indices' {lead}."
        ) from None
    how = "drop" if mode is None else mode_of(mode, WRITE_MODES)
    out = scatter(arr, values, mesh, tuple(range(len(mesh))), "set", how)
    return reshape_p.bind(out, shape=whole)


def put(a: Any, ind: Any, v: Any, mode: str | None = None, *, inplace: bool = True) -> Any:
    """`numpy.put` as a new array; needs `inplace=False`, as in JAX.

    >>> put(np.zeros(4), [1, 3], [5.0, 6.0], inplace=False)
    array([0., 5., 0., 6.])
    """
    _refuse_inplace("put", inplace)
    a, ind = as_array(a), _integers(ind, "put")
    shape, extent = shape_of(a), aval_of(a).size
    ind = reshape_p.bind(ind, shape=(aval_of(ind).size,))
    v = as_array(v)
    count = shape_of(ind)[0]
    if aval_of(v).size == 0 or count == 0:
        return reshape_p.bind(a, shape=shape)
    values = take(v, np.arange(count), mode="wrap")  # repeated, as NumPy does
    flat = reshape_p.bind(a, shape=(extent,))
    if mode in ("wrap", "clip"):
        ind = _within(ind, extent, mode)
    return reshape_p.bind(at(flat)[ind].set(values), shape=shape)


def choose(a: Any, choices: Any, out: None = None, mode: Any = "raise") -> Any:
    """`numpy.choose`: from the array that the index names, element by element.

    In mode "raise" traced indices out of bounds are clamped.

    >>> choose([0, 1, 0], [[1, 2, 3], [10, 20, 30]])
    array([ 1, 20,  3])
    """
    items = [choices[i] for i in range(len(choices))]
    if not has_tracer((a, *items)):
        return np.choose(a, choices, out, mode)
    refuse("choose", out=(out, None))
    a, xs = _integers(a, "choose"), promote(*items)
    shape = np.broadcast_shapes(shape_of(a), *map(shape_of, xs))
    rows = [broadcast_p.bind(x, shape=(1, *shape)) for x in xs]
    if mode in ("wrap", "clip"):
        a = _within(a, len(rows), mode)
    table = concatenate_p.bind(*rows, axis=0)
    mesh, _ = _along(table, broadcast_p.bind(a, shape=(1, *shape)), 0, checked=mode == "raise")
    return reshape_p.bind(gather(table, mesh, tuple(range(len(mesh)))), shape=shape)


def fill_diagonal(a: Any, val: Any, wrap: bool = False, *, inplace: bool = True) -> Any:
    """`numpy.fill_diagonal` as a new array; needs `inplace=False`, as in JAX.

    >>> fill_diagonal(np.zeros((2, 2)), 3.0, inplace=False)
    array([[3., 0.],
           [0., 3.]])
    """
    _refuse_inplace("fill_diagonal", inplace)
    a = as_array(a)
    shape = shape_of(a)
    if len(shape) < 2 or (len(shape) > 2 and len(set(shape)) > 1):
        raise ShapeError(
            f"fill_diagonal needs a matrix, or equal extents of more axes: got {shape}."
        )
    size = math.prod(shape)
    # as NumPy: the diagonal as a strided slice of the flat array
    step = shape[1] + 1 if len(shape) == 2 else 1 + sum(shape[0] ** i for i in range(1, len(shape)))
    end = shape[1] * shape[1] if len(shape) == 2 and not wrap else size
    places = np.arange(0, min(end, size), step)
    return put(a, places, val, inplace=False)


# --- index arithmetic ---------------------------------------------------------------------------


def unravel_index(indices: Any, shape: Any, order: Any = "C") -> tuple[Any, ...]:
    """`numpy.unravel_index`; traced positions out of bounds are clamped.

    >>> [int(i) for i in unravel_index(5, (2, 3))]
    [1, 2]
    """
    if not has_tracer((indices,)):
        return np.unravel_index(indices, shape, order)
    extents = tuple(shape) if isinstance(shape, Sequence) else (int(shape),)
    size = math.prod(extents)
    flat = _within(from_zero(_integers(indices, "unravel_index"), size), size, "clip")
    result: list[Any] = []
    for n in reversed(extents) if order == "C" else extents:
        result.append(remainder_p.bind(flat, np.int64(n)))
        flat = floor_divide_p.bind(flat, np.int64(n))
    return tuple(reversed(result)) if order == "C" else tuple(result)


def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: Any = "C") -> Any:
    """`numpy.ravel_multi_index`; in mode "raise" traced indices out of bounds are clamped.

    >>> int(ravel_multi_index((1, 2), (2, 3)))
    5
    """
    parts = [multi_index[i] for i in range(len(multi_index))]
    if not has_tracer(parts):
        return np.ravel_multi_index(multi_index, dims, mode, order)
    modes = (mode,) * len(parts) if isinstance(mode, str) else tuple(mode)
    flat: Any = np.int64(0)
    rows = list(zip(parts, dims, modes, strict=True))
    for part, n, how in rows if order == "C" else reversed(rows):
        index = _integers(part, "ravel_multi_index")
        flat = flat * n + _within(index, n, "wrap" if how == "wrap" else "clip")
    return flat


def ix_(*args: Any) -> tuple[Any, ...]:
    """`numpy.ix_`: sequences as an open mesh of index arrays.

    >>> [i.shape for i in ix_([0, 1], [2, 3, 4])]
    [(2, 1), (1, 3)]
    """
    if not has_tracer(args):
        return np.ix_(*args)
    mesh = []
    for i, arg in enumerate(args):
        x = as_array(arg)
        if len(shape_of(x)) != 1:
            raise ShapeError(f"ix_ takes sequences of one axis, got {aval_of(x)}.")
        if dtype_of(x) == np.bool_:
            x = nonzero(x)[0]
        extent = shape_of(x)[0]
        mesh.append(reshape_p.bind(x, shape=(*(1,) * i, extent, *(1,) * (len(args) - i - 1))))
    return tuple(mesh)


# --- indices of elements ------------------------------------------------------------------------


def trim_zeros(filt: Any, trim: Any = "fb", axis: Any = None) -> Any:
    """`numpy.trim_zeros`: an array without the zeros around the others. It needs known values.

    Args:
        filt: an array.
        trim: "f" to trim at the front, "b" at the back, "fb" for both.
        axis: of the axes to trim, one or several; None for all.

    >>> trim_zeros(np.array([0, 0, 1, 0, 2, 0]))
    array([1, 0, 2])
    """
    if not has_tracer((filt,)):
        return np.trim_zeros(filt, trim, axis)
    x = as_array(filt)
    known = np.asarray(x.concrete("trim_zeros", "The shape of the result depends on it."))
    trim, places = trim.lower(), np.argwhere(known)
    for i in canonical_axes(axis, known.ndim):
        first, last = (places[:, i].min(), places[:, i].max()) if len(places) else (0, -1)
        start = int(first) if "f" in trim else 0
        stop = int(last) + 1 if "b" in trim else known.shape[i]
        x = slice_axis(x, i, start, stop)
    return x


def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Any, ...]:
    """`numpy.nonzero`: the indices of the elements that are not zero, an array per axis.

    Args:
        a: an array of at least one axis.
        size: how many indices to return; needed under `jit` and `vmap`, where it is not known how
            many there are. Surplus ones are cut off, missing ones filled in.
        fill_value: what stands for missing indices: an int, or one per axis; by default 0.

    >>> [i.tolist() for i in nonzero(np.array([0, 3, 4]), size=3, fill_value=-1)]
    [[1, 2, -1]]
    """
    a = as_array(a)
    shape = shape_of(a)
    if not shape:
        raise ShapeError("nonzero needs an array with at least one axis.")
    if type(a) is Tracer and a.value is not UNKNOWN:
        a = np.asarray(a.value)
    if type(a) is not Tracer and size is None:
        return np.nonzero(a)
    if size is None:
        raise ConcretizationError(
            f"how many elements of an array of type {a.aval} are not zero is not known while "
            f"tracing.\n  Give nonzero, argwhere or flatnonzero a static size=; or "
            "use fnp.where(condition, x, y) with both branches."
        )
    fills = (
        fill_value
        if isinstance(fill_value, tuple)
        else (0 if fill_value is None else fill_value,) * len(shape)
    )
    if len(fills) != len(shape):
        raise ShapeError(f"nonzero got {len(fills)} fill values for {len(shape)} axes.")
    flat, missing = _flat_nonzero(a, size)
    columns = unravel_index(flat, shape) if aval_of(a).size else (flat,) * len(shape)
    return tuple(
        select_p.bind(missing, to_dtype(as_array(fill), np.dtype(np.int64)), column)
        for column, fill in zip(columns, fills, strict=True)
    )


def _flat_nonzero(a: Any, size: int) -> tuple[Any, Any]:
    """Positions in the flat array of the first `size` elements that are not zero, and which of
    these places found none."""
    count = aval_of(a).size
    mask = reshape_p.bind(a, shape=(count,))
    if dtype_of(mask) != np.bool_:
        mask = ne_p.bind(mask, dtype_of(mask).type(0))
    rank = cumsum_p.bind(convert(mask, np.int64), axis=0, reverse=False)
    place = select_p.bind(mask, rank - 1, np.int64(size))  # outside, hence dropped
    blank = np.full(size, -1)
    found = scatter(blank, iota((count,), 0, np.int64), [place], (0,), "set", "drop", unique=True)
    missing = found < 0
    return select_p.bind(missing, np.int64(0), found), missing


def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """`numpy.argwhere`: the indices of the elements that are not zero, a row each.

    `size` and `fill_value` are as in `nonzero`.

    >>> argwhere(np.array([[0, 1], [2, 0]])).tolist()
    [[0, 1], [1, 0]]
    """
    a = as_array(a)
    if not shape_of(a):
        (found,) = nonzero(reshape_p.bind(a, shape=(1,)), size=size)
        return np.zeros((shape_of(found)[0], 0), np.int64)
    columns = nonzero(a, size=size, fill_value=fill_value)
    if not has_tracer(columns):
        return np.stack(columns, axis=1)
    wide = [reshape_p.bind(c, shape=(shape_of(c)[0], 1)) for c in columns]
    return concatenate_p.bind(*wide, axis=1)


def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """`numpy.flatnonzero`: the positions in the flat array that are not zero.

    `size` and `fill_value` are as in `nonzero`.

    >>> flatnonzero(np.array([[0, 1], [2, 0]])).tolist()
    [1, 2]
    """
    a = as_array(a)
    return nonzero(reshape_p.bind(a, shape=(aval_of(a).size,)), size=size, fill_value=fill_value)[0]


def compress(
    condition: Any,
    a: Any,
    axis: int | None = None,
    out: None = None,
    *,
    size: int | None = None,
    fill_value: Any = 0,
) -> Any:
    """`numpy.compress`: the slices along an axis for which the condition holds.

    Args:
        condition: booleans of one axis, at most as long as the array's.
        a: an array.
        axis: an int, or None for the flattened array.
        out: not supported for traced arrays.
        size: how many to return; needed where the condition is traced.
        fill_value: what stands in missing slices.

    >>> compress([True, False, True], np.array([1.0, 2.0, 3.0]))
    array([1., 3.])
    """
    if size is None and not has_tracer((condition, a)):
        return np.compress(condition, a, axis, out)
    refuse("compress", out=(out, None))
    condition, a = as_array(condition), as_array(a)
    if len(shape_of(condition)) != 1:
        raise ShapeError("compress needs a condition of one axis.")
    if axis is None:
        a, axis = reshape_p.bind(a, shape=(aval_of(a).size,)), 0
    axis = canonical_axis(axis, len(shape_of(a)))
    if size is None:
        return take(a, nonzero(condition)[0], axis)
    (places,) = nonzero(condition, size=size, fill_value=-1 - shape_of(a)[axis])
    return take(a, places, axis, mode="fill", fill_value=fill_value)


def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Any:
    """`numpy.extract`: the elements for which the condition holds, flat; arguments as `compress`.

    >>> extract(np.array([True, False]), np.array([1, 2]))
    array([1])
    """
    condition = as_array(condition)
    flat = reshape_p.bind(condition, shape=(aval_of(condition).size,))
    return compress(flat, arr, size=size, fill_value=fill_value)
