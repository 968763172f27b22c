"""Reading and writing at arrays of indices: gather and scatter.

All of NumPy's advanced indexing comes down to one form. Index arrays, which broadcast together to a
shape I, say where along the operand's `axes`; the result has shape I + the operand's other axes, in
order. functrans/numpy/indexing.py brings users' indices to this form. Indices count from zero here:
negative ones are resolved before, and are out of bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.lowering import Indexed
from functrans.core.primitive import Linear, Primitive
from functrans.core.types import Aval, broadcast_shapes, dtype_of, shape_of
from functrans.primitives.arithmetic import (
    convert,
    eq_p,
    max_p,
    min_p,
    select_p,
    zeros_like,
)
from functrans.primitives.elementwise import insert_axes
from functrans.primitives.reductions import reduce_or_p
from functrans.primitives.shaping import (
    broadcast_p,
    concatenate_p,
    flip_p,
    full,
    iota,
    reshape_p,
    slice_axis,
    transpose_p,
)

Axes = tuple[int, ...]


# --- what gather and scatter share ----------------------------------------------------------------


def other_axes(ndim: int, axes: Axes) -> Axes:
    """The axes of the operand that are not indexed."""
    return tuple(i for i in range(ndim) if i not in axes)


def _index_shape(indices: Sequence[Any]) -> tuple[int, ...]:
    return broadcast_shapes(*[shape_of(i) for i in indices])


def _check_indices(name: str, x: Aval, indices: Sequence[Aval], axes: Axes) -> tuple[int, ...]:
    """The shape of the index arrays together; raises unless they can index `axes` of x."""
    for i in indices:
        if i.dtype.kind not in "iu":
            raise DTypeError(f"{name} needs integer indices: got {i} for {x}.")
    valid = len(set(axes)) == len(axes) == len(indices) > 0 and all(0 <= a < x.ndim for a in axes)
    if not valid:
        raise ShapeError(f"{name} of {x} with {len(indices)} index arrays for axes {axes}.")
    try:
        return _index_shape(indices)
    except ShapeError:
        shown = " and ".join(map(str, indices))
        raise ShapeError(f"index arrays must broadcast together: got {shown}.") from None


def _check_not_empty(x: Aval, axes: Axes, mode: str, count: int) -> None:
    if mode == "clip" and count and any(x.shape[a] == 0 for a in axes):
        raise ShapeError(f"cannot index into an empty axis: axes {axes} of {x}.")


def _clip(i: Any, extent: int) -> Any:
    return np.minimum(np.maximum(i, 0), max(extent - 1, 0))


def _inside(indices: Sequence[Any], extents: Sequence[int]) -> Any:
    """Where (NumPy) all indices are within the extents."""
    inside: Any = True
    for i, n in zip(indices, extents, strict=True):
        inside = inside & ((i >= 0) & (i < n))
    return inside


def _expand(mask: Any, ndim: int) -> Any:
    """The mask with trailing axes of extent one, to stand beside an array of `ndim` axes."""
    shape = shape_of(mask)
    return reshape_p.bind(mask, shape=(*shape, *(1,) * (ndim - len(shape))))


def _batch_indices(
    indices: Sequence[Any], batched: Sequence[bool], add_batch_axis: bool
) -> tuple[list[Any], int]:
    """Index arrays aligned so that the batch axis leads their common shape; its extent."""
    extent = next(shape_of(i)[0] for i, b in zip(indices, batched, strict=True) if b)
    rank = max(len(shape_of(i)) - b for i, b in zip(indices, batched, strict=True))
    aligned = [
        insert_axes(i, 1, rank + 1 - len(shape_of(i))) if b and len(shape_of(i)) <= rank else i
        for i, b in zip(indices, batched, strict=True)
    ]
    if add_batch_axis:
        count = iota((extent,), 0, np.int64)
        aligned.insert(0, insert_axes(count, 1, rank) if rank else count)
    return aligned, extent


def _move_axis(x: Any, source: int, destination: int) -> Any:
    order = list(range(len(shape_of(x))))
    order.insert(destination, order.pop(source))
    return x if source == destination else transpose_p.bind(x, permutation=tuple(order))


def repeat_unbatched(x: Any, batched: bool, extent: int) -> Any:
    """x with a leading batch axis, repeated along it if it has none."""
    return x if batched else broadcast_p.bind(x, shape=(extent, *shape_of(x)))


# --- gather ---------------------------------------------------------------------------------------


def default_fill(dtype: np.dtype) -> Any:
    """What a read out of bounds in mode "fill" gives, as in JAX: nan, an extreme integer, True."""
    if dtype.kind in "fc":
        return math.nan
    if dtype.kind == "b":
        return True
    limits = np.iinfo(dtype)
    return int(limits.min if dtype.kind == "i" else limits.max)


def _infer_gather(x: Aval, *indices: Aval, axes: Axes, mode: str, fill: Any) -> Aval:
    lead = _check_indices("gather", x, indices, axes)
    out = x.update(shape=(*lead, *[x.shape[a] for a in other_axes(x.ndim, axes)]))
    _check_not_empty(x, axes, mode, out.size)
    return out


def _evaluate_gather(x: Any, *indices: Any, axes: Axes, mode: str, fill: Any) -> Any:
    x = np.asarray(x)
    extents = [x.shape[a] for a in axes]
    source = x if axes == tuple(range(len(axes))) else x.transpose(axes + other_axes(x.ndim, axes))
    if mode == "promise_in_bounds":
        return source[indices]
    if mode == "fill":
        value = default_fill(x.dtype) if fill is None else fill
        inside = np.asarray(_inside(indices, extents))
        if inside.all():
            return source[indices]
        if 0 in extents:
            shape = (*_index_shape(indices), *source.shape[len(axes) :])
            return np.full(shape, value, x.dtype)[()]
        read = source[tuple([_clip(i, n) for i, n in zip(indices, extents, strict=True)])]
        out = np.array(read)
        out[~inside] = value
        return out[()]
    return source[tuple([_clip(i, n) for i, n in zip(indices, extents, strict=True)])]


def _jvp_gather(
    tangents: list, primals: list, out: Any, *, axes: Axes, mode: str, fill: Any
) -> Any:
    return gather_p.bind(tangents[0], *primals[1:], axes=axes, mode=mode, fill=_zero_fill(mode))


def _zero_fill(mode: str) -> Any:
    return 0 if mode == "fill" else None


def _accumulate_gather(
    ct: Any, totals: list, x: Linear, *indices: Any, axes: Axes, mode: str, fill: Any
) -> list:
    total = full(x.aval.shape, 0, x.aval.dtype) if totals[0] is None else totals[0]
    mode = "drop" if mode == "fill" else mode
    summed = scatter_p.bind(total, ct, *indices, axes=axes, op="add", mode=mode, unique=False)
    return [summed, *[None] * len(indices)]


def batch_gather(
    args: list, batched: list, *, axes: Axes, mode: str, fill: Any
) -> tuple[Any, bool]:
    x, *indices = args
    params = {"mode": mode, "fill": fill}
    shifted = tuple(a + 1 for a in axes)
    if not any(batched[1:]):
        out = gather_p.bind(x, *indices, axes=shifted, **params)
        return _move_axis(out, len(_index_shape(indices)), 0), True
    aligned, _ = _batch_indices(indices, batched[1:], add_batch_axis=batched[0])
    return gather_p.bind(x, *aligned, axes=(0, *shifted) if batched[0] else axes, **params), True


def _read_gather(k: Any, index: list, axes: Axes, mode: str, fill: Any) -> Any:
    x = k.aval(0)
    shapes = [k.aval(j + 1).shape for j in range(len(axes))]
    rank = max(len(s) for s in shapes)
    source: list[Any] = [None] * x.ndim
    for a, i in zip(other_axes(x.ndim, axes), index[rank:], strict=True):
        source[a] = i
    inside = None
    for j, (a, shape) in enumerate(zip(axes, shapes, strict=True)):
        tail = index[rank - len(shape) : rank]
        value = k.read(j + 1, [0 if n == 1 else i for n, i in zip(shape, tail, strict=True)])
        source[a] = k.dynamic(value, x.shape[a])
        if mode == "fill":
            here = _within(k.b, value, x.shape[a])
            inside = here if inside is None else k.b.and_(inside, here)
    if mode != "fill":
        return k.read(0, source)
    constant_fill = default_fill(x.dtype) if fill is None else fill
    return k.guard_value(
        inside, lambda: k.read(0, source), lambda: k.b.const(constant_fill, x.dtype)
    )


def _within(b: Any, value: Any, extent: int) -> Any:
    """The kernel's condition 0 <= value < extent."""
    low = b.ge(value, b.const(0, value.dtype))
    return b.and_(low, b.lt(value, b.const(extent, value.dtype)))


gather_p = Primitive(
    "gather",
    infer=_infer_gather,
    evaluate=_evaluate_gather,
    jvp=_jvp_gather,
    accumulate=_accumulate_gather,
    batch=batch_gather,
    cost=lambda inputs, outputs, **params: 0,
    lower=Indexed(_read_gather),
)


def gather(x: Any, indices: Sequence[Any], axes: Axes, mode: str = "clip", fill: Any = None) -> Any:
    """The elements of x at index arrays along `axes`.

    Args:
        x: the operand.
        indices: integer arrays that broadcast together to a shape I, one per axis; not negative.
        axes: the operand's axes that they index, distinct, in any order.
        mode: of out-of-bounds indices: "clip" to the nearest element; "fill" reads `fill`;
            "promise_in_bounds" if there are none.
        fill: a Python scalar; None for nan, or the least signed or greatest unsigned integer.

    Returns:
        An array of shape I + the remaining axes of x.
    """
    return gather_p.bind(x, *indices, axes=tuple(axes), mode=mode, fill=fill)


# --- scatter --------------------------------------------------------------------------------------

_UFUNC = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}
_WIDE_ROW = 512
"""From this row length on a ufunc call per row is faster than `ufunc.at` on every element."""


def _infer_scatter(
    x: Aval, updates: Aval, *indices: Aval, axes: Axes, op: str, mode: str, unique: bool
) -> Aval:
    lead = _check_indices("scatter", x, indices, axes)
    shape = (*lead, *[x.shape[a] for a in other_axes(x.ndim, axes)])
    if updates.shape != shape:
        raise ShapeError(f"scatter into {x} needs updates of shape {shape}: got {updates}.")
    if updates.dtype != x.dtype:
        raise DTypeError(f"scatter needs updates of the operand's dtype: got {x} and {updates}.")
    _check_not_empty(x, axes, mode, updates.size)
    return x.strong()


def _evaluate_scatter(
    x: Any, updates: Any, *indices: Any, axes: Axes, op: str, mode: str, unique: bool
) -> Any:
    x = np.asarray(x)
    order = axes + other_axes(x.ndim, axes)
    out = np.array(x.transpose(order), order="C")
    extents, width = out.shape[: len(axes)], math.prod(out.shape[len(axes) :])
    lead = _index_shape(indices)
    # raveled in C order, so that of several updates of one element the last one wins
    flat = [np.broadcast_to(i, lead).reshape(-1) for i in indices]
    rows = np.asarray(updates).reshape(len(flat[0]), width)
    if mode == "clip":
        flat = [_clip(i, n) for i, n in zip(flat, extents, strict=True)]
    elif mode == "drop":
        keep = _inside(flat, extents)
        if not keep.all():
            flat, rows = [i[keep] for i in flat], rows[keep]
    if rows.size:
        at = flat[0] if len(flat) == 1 else np.ravel_multi_index(tuple(flat), extents)
        _combine_rows(out.reshape(-1, width), at, rows, op, unique)
    return out.transpose(tuple(np.argsort(order)))


def _combine_rows(out: np.ndarray, at: np.ndarray, rows: np.ndarray, op: str, unique: bool) -> None:
    """out[at] = op(out[at], rows), in place; an index that occurs twice counts twice."""
    if op == "set":
        out[at] = rows
        return
    ufunc = _UFUNC[op]
    width = out.shape[1]
    if unique:
        out[at] = ufunc(out[at], rows)
    elif width >= _WIDE_ROW:
        for i, row in zip(at, rows, strict=True):
            ufunc(out[i], row, out=out[i])
    else:
        at = at if width == 1 else (at[:, None] * width + np.arange(width)).reshape(-1)
        ufunc.at(out.reshape(-1), at, rows.reshape(-1))


def _jvp_scatter(tangents: list, primals: list, out: Any, *, op: str, **params: Any) -> Any:
    x, updates, *indices = primals
    tx, tu = tangents[0], tangents[1]
    if op in ("min", "max"):
        return _jvp_scatter_extremum(tx, tu, primals, out, **params)
    if op == "mul":
        return _jvp_scatter_mul(tx, tu, primals, **params)
    if op == "add" and tu is None:
        return tx
    tx = zeros_like(x) if tx is None else tx
    tu = zeros_like(updates) if tu is None else tu
    return scatter_p.bind(tx, tu, *indices, op=op, **params)


def _jvp_scatter_mul(tx: Any, tu: Any, primals: list, **params: Any) -> Any:
    x, updates, *indices = primals
    total = None
    if tx is not None:
        total = scatter_p.bind(tx, updates, *indices, op="mul", **params)
    if tu is not None:
        axes, mode = params["axes"], params["mode"]
        others = _read_back(x, indices, axes, mode)
        if not params["unique"]:
            others = others * _product_of_others(x, updates, indices, axes, mode)
        before = zeros_like(x) if total is None else total
        total = scatter_p.bind(before, tu * others, *indices, op="add", **params)
    return total


def _jvp_scatter_extremum(tx: Any, tu: Any, primals: list, out: Any, **params: Any) -> Any:
    """The mean of the tangents of all that attain the extremum of an element, as in JAX."""
    x, updates, *indices = primals

    def add(operand: Any, values: Any) -> Any:
        return scatter_p.bind(operand, values, *indices, op="add", **params)

    from_x = convert(eq_p.bind(x, out), dtype_of(out))
    written = _read_back(out, indices, params["axes"], params["mode"])
    from_updates = convert(eq_p.bind(updates, written), dtype_of(out))
    total = zeros_like(x) if tx is None else tx * from_x
    if tu is not None:
        total = add(total, tu * from_updates)
    return total / add(from_x, from_updates)


def _transpose_scatter(
    ct: Any,
    x: Any,
    updates: Any,
    *indices: Any,
    axes: Axes,
    op: str,
    mode: str,
    unique: bool,
) -> list:
    params: dict[str, Any] = {"axes": axes, "mode": mode, "unique": unique}
    none = [None] * len(indices)
    if op == "mul":  # linear in x alone
        return [scatter_p.bind(ct, updates, *indices, op="mul", **params), None, *none]
    ct_x = ct_updates = None
    if type(x) is Linear:
        ct_x = ct
        if op == "set":
            aval = updates.aval if type(updates) is Linear else updates
            zeros = full(shape_of(aval), 0, dtype_of(ct))
            ct_x = scatter_p.bind(ct, zeros, *indices, op="set", **params)
    if type(updates) is Linear:
        ct_updates = _read_back(ct, indices, axes, mode)
        if op == "set" and not unique:
            extents = tuple(shape_of(ct)[a] for a in axes)
            last = _expand(_last_writers(indices, extents, mode), len(shape_of(ct_updates)))
            ct_updates = select_p.bind(last, ct_updates, zeros_like(ct_updates))
    return [ct_x, ct_updates, *none]


def _read_back(x: Any, indices: Sequence[Any], axes: Axes, mode: str) -> Any:
    """What is at the places where a scatter writes; zero where it drops the update."""
    mode = "fill" if mode == "drop" else mode
    return gather_p.bind(x, *indices, axes=axes, mode=mode, fill=_zero_fill(mode))


def _last_writers(indices: Sequence[Any], extents: Sequence[int], mode: str) -> Any:
    """Which updates of a scatter-set are still there at the end, with repeated indices.

    Every update writes its number on a board of the operand's shape: who finds the own number
    there has won. A few are compared with those after them.
    """
    lead = _index_shape(indices)
    count = math.prod(lead)
    if count**2 <= math.prod(extents):
        target = _flat_targets(extents, indices, mode, lead)
        row = reshape_p.bind(target, shape=(1, count))
        after = np.arange(count) > np.arange(count)[:, None]
        again = (reshape_p.bind(target, shape=(count, 1)) == row) & after
        last = (target >= 0) & ~reduce_or_p.bind(again, axes=(1,))
        return reshape_p.bind(last, shape=lead)
    numbers = reshape_p.bind(iota((math.prod(lead),), 0, np.int64), shape=lead)
    axes = tuple(range(len(indices)))
    board = scatter_p.bind(
        full(extents, -1, np.int64),
        numbers,
        *indices,
        axes=axes,
        op="set",
        mode=mode,
        unique=False,
    )
    mode = "fill" if mode == "drop" else mode
    found = gather_p.bind(
        board, *indices, axes=axes, mode=mode, fill=-1 if mode == "fill" else None
    )
    return eq_p.bind(found, numbers)


def _product_of_others(x: Any, updates: Any, indices: Any, axes: Axes, mode: str) -> Any:
    """For every update the product of the other updates of the same element.

    Updates are sorted by the element they go to, and multiplied within each run of equal ones by
    doubling distances; without division, so right also where factors are zero, to every order.
    """
    from functrans.primitives.sorting import argsort

    lead = _index_shape(indices)
    count = math.prod(lead)
    if count < 2:
        return full(shape_of(updates), 1, dtype_of(updates))
    extents = [shape_of(x)[a] for a in axes]
    target = _flat_targets(extents, indices, mode, lead)
    order = argsort(target, 0)
    rows = reshape_p.bind(updates, shape=(count, math.prod(shape_of(updates)[len(lead) :])))
    rows = gather(rows, [order], (0,), "promise_in_bounds")
    target = gather(target, [order], (0,), "promise_in_bounds")
    before = _products_before(rows, target)
    after = _products_before(flip_p.bind(rows, axes=(0,)), flip_p.bind(target, axes=(0,)))
    others = before * flip_p.bind(after, axes=(0,))
    others = gather(others, [argsort(order, 0)], (0,), "promise_in_bounds")
    return reshape_p.bind(others, shape=shape_of(updates))


def _flat_targets(
    extents: Sequence[int], indices: Sequence[Any], mode: str, lead: Sequence[int]
) -> Any:
    """The position of the element each update goes to, as one number; -1 if it is dropped."""
    target: Any = full(lead, 0, np.int64)
    inside: Any = full(lead, True, np.bool_)
    for i, n in zip(indices, extents, strict=True):
        i = convert(i, np.int64)
        clipped = min_p.bind(max_p.bind(i, np.int64(0)), np.int64(max(n - 1, 0)))
        target = target * n + clipped
        inside = inside & (i == clipped)
    if mode == "drop":
        target = select_p.bind(inside, target, np.int64(-1))
    return reshape_p.bind(target, shape=(math.prod(lead),))


def _products_before(rows: Any, target: Any) -> Any:
    """The product of the rows before each one within its run of equal targets."""

    def shifted(values: Any, distance: int) -> Any:
        """The row `distance` above, or one where that belongs to another run."""
        count, width = shape_of(values)
        same = eq_p.bind(
            slice_axis(target, 0, distance, count),
            slice_axis(target, 0, 0, count - distance),
        )
        above = slice_axis(values, 0, 0, count - distance)
        ones = full((distance, width), 1, dtype_of(values))
        above = select_p.bind(_expand(same, 2), above, dtype_of(values).type(1))
        return concatenate_p.bind(ones, above, axis=0)

    product = shifted(rows, 1)
    distance = 1
    while distance < shape_of(rows)[0]:
        product = product * shifted(product, distance)
        distance *= 2
    return product


def batch_scatter(
    args: list, batched: list, *, axes: Axes, op: str, mode: str, unique: bool
) -> tuple[Any, bool]:
    x, updates, *indices = args
    params: dict[str, Any] = {"op": op, "mode": mode, "unique": unique}
    shifted = tuple(a + 1 for a in axes)
    if any(batched[2:]):
        aligned, extent = _batch_indices(indices, batched[2:], add_batch_axis=True)
        shifted = (0, *shifted)
    else:
        extent = shape_of(x if batched[0] else updates)[0]
        aligned = indices
    x = repeat_unbatched(x, batched[0], extent)
    updates = repeat_unbatched(updates, batched[1], extent)
    if not any(batched[2:]):
        updates = _move_axis(updates, 0, len(_index_shape(indices)))
    return scatter_p.bind(x, updates, *aligned, axes=shifted, **params), True


scatter_p = Primitive(
    "scatter",
    infer=_infer_scatter,
    evaluate=_evaluate_scatter,
    jvp=_jvp_scatter,
    transpose=_transpose_scatter,
    batch=batch_scatter,
    cost=lambda inputs, outputs, op, **params: 0 if op == "set" else inputs[1].size,
)


def scatter(
    x: Any,
    updates: Any,
    indices: Sequence[Any],
    axes: Axes,
    op: str = "set",
    mode: str = "drop",
    unique: bool = False,
) -> Any:
    """x with `updates` written, or combined with what is there, at index arrays along `axes`.

    Args:
        x: the operand, which is not changed.
        updates: of shape I + the remaining axes of x.
        indices: integer arrays that broadcast together to I, one per axis; not negative.
        axes: the operand's axes that they index.
        op: "set" (the last of several updates of one element wins), "add", "mul", "min", "max".
        mode: of out-of-bounds indices: "drop" the update, "clip", or "promise_in_bounds".
        unique: the caller knows that no element is updated twice.
    """
    return scatter_p.bind(x, updates, *indices, axes=tuple(axes), op=op, mode=mode, unique=unique)
