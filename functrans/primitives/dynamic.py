"""Blocks of static size at a start that the program computes: dynamic_slice and its update."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.lowering import Indexed
from functrans.core.primitive import Linear, Primitive
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import add_p, convert, max_p, min_p, zeros_like
from functrans.primitives.indexing import (
    Axes,
    batch_gather,
    batch_scatter,
    other_axes,
    repeat_unbatched,
)
from functrans.primitives.shaping import full, iota, reshape_p, transpose_p
from functrans.transforms.taylor import linear

Sizes = tuple[int, ...]

# --- dynamic_slice --------------------------------------------------------------------------------


def _check_block(name: str, x: Aval, sizes: Sizes, starts: Sequence[Aval]) -> None:
    if len(starts) != x.ndim or len(sizes) != x.ndim:
        raise ShapeError(f"{name} of {x} needs a start and a size per axis: got sizes {sizes}.")
    if any(not 0 <= size <= n for size, n in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"{name}: a block of shape {sizes} does not fit into {x}.")
    for s in starts:
        if s.shape or s.dtype.kind not in "iu":
            raise DTypeError(f"{name} needs integer scalars as starts: got {s}.")


def _infer_dynamic_slice(x: Aval, *starts: Aval, sizes: Sizes) -> Aval:
    _check_block("dynamic_slice", x, sizes, starts)
    return x.update(shape=sizes)


def _block(shape: Sequence[int], starts: Sequence[Any], sizes: Sizes) -> tuple[slice, ...]:
    """The block as slices, moved inside the array; ValueError if it does not fit."""
    if any(not 0 <= size <= n for size, n in zip(sizes, shape, strict=True)):
        raise ValueError(f"a block of shape {sizes} does not fit into {tuple(shape)}")
    begins = [
        min(max(int(s), 0), n - size) for s, n, size in zip(starts, shape, sizes, strict=True)
    ]
    return tuple(slice(b, b + size) for b, size in zip(begins, sizes, strict=True))


def _evaluate_dynamic_slice(x: Any, *starts: Any, sizes: Sizes) -> Any:
    x = np.asarray(x)
    return x[_block(x.shape, starts, sizes)]


def _jvp_dynamic_slice(tangents: list, primals: list, out: Any, *, sizes: Sizes) -> Any:
    return dynamic_slice_p.bind(tangents[0], *primals[1:], sizes=sizes)


def _accumulate_dynamic_slice(ct: Any, totals: list, x: Linear, *starts: Any, sizes: Sizes) -> list:
    op, total = "add", totals[0]
    if total is None:
        op, total = "set", full(x.aval.shape, 0, x.aval.dtype)
    return [dynamic_update_slice_p.bind(total, ct, *starts, op=op), *[None] * len(starts)]


def _batch_dynamic_slice(args: list, batched: list, *, sizes: Sizes) -> tuple[Any, bool]:
    x, *starts = args
    if not any(batched[1:]):
        count = shape_of(x)[0]
        return dynamic_slice_p.bind(x, np.int64(0), *starts, sizes=(count, *sizes)), True
    shape = shape_of(x)[1:] if batched[0] else shape_of(x)
    axes, indices = _block_indices(shape, sizes, starts, batched[1:])
    if not axes:  # the whole array, wherever it starts
        return x, batched[0]
    flags = [True] * len(axes)
    out, _ = batch_gather(
        [x, *indices],
        [batched[0], *flags],
        axes=axes,
        mode="promise_in_bounds",
        fill=None,
    )
    return _interleave(out, axes, len(shape)), True


def _block_indices(
    shape: Sequence[int], sizes: Sizes, starts: Sequence[Any], batched: Sequence[bool]
) -> tuple[Axes, list[Any]]:
    """Axes along which the block is smaller than the array, and batched index arrays for them.

    The index arrays form an open mesh: that of the k-th axis extends along axis k + 1.
    """
    extent = next(shape_of(s)[0] for s, b in zip(starts, batched, strict=True) if b)
    axes = tuple(i for i, (n, size) in enumerate(zip(shape, sizes, strict=True)) if size < n)
    indices = []
    for k, a in enumerate(axes):
        start = convert(starts[a], np.int64)
        start = repeat_unbatched(start, batched[a], extent)
        start = min_p.bind(max_p.bind(start, np.int64(0)), np.int64(shape[a] - sizes[a]))
        steps = iota((1, sizes[a]), 1, np.int64)
        both = reshape_p.bind(start, shape=(extent, 1)) + steps
        mesh = (extent, *(1,) * k, sizes[a], *(1,) * (len(axes) - k - 1))
        indices.append(reshape_p.bind(both, shape=mesh))
    return axes, indices


def _interleave(x: Any, axes: Axes, ndim: int) -> Any:
    """(batch, indexed axes, other axes) back to (batch, all axes in order)."""
    order = axes + other_axes(ndim, axes)
    return transpose_p.bind(x, permutation=(0, *[1 + order.index(i) for i in range(ndim)]))


def _read_dynamic_slice(k: Any, index: list, sizes: Sizes) -> Any:
    shape = k.aval(0).shape
    return k.read(
        0,
        [
            i if size == n else i + k.dynamic(k.read(j + 1, []), n - size + 1)
            for j, (i, n, size) in enumerate(zip(index, shape, sizes, strict=True))
        ],
    )


dynamic_slice_p = Primitive(
    "dynamic_slice",
    infer=_infer_dynamic_slice,
    evaluate=_evaluate_dynamic_slice,
    jvp=_jvp_dynamic_slice,
    accumulate=_accumulate_dynamic_slice,
    taylor=linear(0),
    batch=_batch_dynamic_slice,
    cost=lambda inputs, outputs, **params: 0,
    lower=Indexed(_read_dynamic_slice),
)

# --- dynamic_update_slice -------------------------------------------------------------------------


def _infer_dynamic_update_slice(x: Aval, update: Aval, *starts: Aval, op: str) -> Aval:
    if update.ndim != x.ndim or update.dtype != x.dtype:
        kind = ShapeError if update.ndim != x.ndim else DTypeError
        raise kind(f"dynamic_update_slice needs an update of x's rank and dtype: {x}, {update}.")
    _check_block("dynamic_update_slice", x, update.shape, starts)
    return x.strong()


def _evaluate_dynamic_update_slice(x: Any, update: Any, *starts: Any, op: str) -> Any:
    out = np.array(x)
    block = _block(out.shape, starts, shape_of(update))
    if op == "set":
        out[block] = update
    else:
        out[block] += update
    return out


def _jvp_dynamic_update_slice(tangents: list, primals: list, out: Any, *, op: str) -> Any:
    tx, tu = tangents[:2]
    if op == "add" and tu is None:
        return tx
    tx = zeros_like(primals[0]) if tx is None else tx
    tu = zeros_like(primals[1]) if tu is None else tu
    return dynamic_update_slice_p.bind(tx, tu, *primals[2:], op=op)


def _transpose_dynamic_update_slice(ct: Any, x: Any, update: Any, *starts: Any, op: str) -> list:
    sizes = update.aval.shape if type(update) is Linear else shape_of(update)
    ct_x = ct_update = None
    if type(x) is Linear:
        ct_x = ct
        if op == "set":
            zeros = full(sizes, 0, dtype_of(ct))
            ct_x = dynamic_update_slice_p.bind(ct, zeros, *starts, op="set")
    if type(update) is Linear:
        ct_update = dynamic_slice_p.bind(ct, *starts, sizes=sizes)
    return [ct_x, ct_update, *[None] * len(starts)]


def _batch_dynamic_update_slice(args: list, batched: list, *, op: str) -> tuple[Any, bool]:
    x, update, *starts = args
    extent = next(shape_of(v)[0] for v, b in zip(args, batched, strict=True) if b)
    x = repeat_unbatched(x, batched[0], extent)
    update = repeat_unbatched(update, batched[1], extent)
    if not any(batched[2:]):
        return dynamic_update_slice_p.bind(x, update, np.int64(0), *starts, op=op), True
    shape, sizes = shape_of(x)[1:], shape_of(update)[1:]
    axes, indices = _block_indices(shape, sizes, starts, batched[2:])
    if not axes:
        return (update if op == "set" else add_p.bind(x, update)), True
    order = (0, *[a + 1 for a in axes + other_axes(len(shape), axes)])
    params: dict[str, Any] = {"op": op, "mode": "promise_in_bounds", "unique": True}
    moved = transpose_p.bind(update, permutation=order)
    return batch_scatter(
        [x, moved, *indices], [True, True, *[True] * len(axes)], axes=axes, **params
    )


def _read_dynamic_update_slice(k: Any, index: list, op: str) -> Any:
    """From the update inside the block, added to the array's if asked; outside from the array."""
    conditions, inner = [], []
    extents = zip(index, k.aval(0).shape, k.aval(1).shape, strict=True)
    for a, (i, n, size) in enumerate(extents):
        if size == n:
            inner.append(i)
            continue
        offset = i - k.dynamic(k.read(a + 2, []), n - size + 1)
        conditions += [offset >= 0, offset < size]
        inner.append(offset)

    def inside() -> Any:
        update = k.read(1, inner)
        return update if op == "set" else k.add(k.read(0, index), update)

    return k.guard(conditions, inside, lambda: k.read(0, index))


dynamic_update_slice_p = Primitive(
    "dynamic_update_slice",
    infer=_infer_dynamic_update_slice,
    evaluate=_evaluate_dynamic_update_slice,
    jvp=_jvp_dynamic_update_slice,
    transpose=_transpose_dynamic_update_slice,
    taylor=linear(0, 1),
    batch=_batch_dynamic_update_slice,
    cost=lambda inputs, outputs, **params: 0,
    lower=Indexed(_read_dynamic_update_slice),
)
