"""Primitives that move elements without computing: the compiler turns them into index arithmetic.

Extents that NumPy infers (-1 in reshape, negative axes) are resolved by functrans/numpy before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.lowering import Indexed
from functrans.core.primitive import Linear, Primitive
from functrans.core.trace import Tracer, bind_staged
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.transforms.taylor import linear


def unary_linear(
    name: str,
    *,
    infer: Any,
    evaluate: Any,
    transpose: Any,
    batch: Any,
    emit: Any = None,
    cost: Any = lambda inputs, outputs, **params: 0,
    in_place: Any = None,
) -> Primitive:
    """Define a primitive that is linear in its one operand.

    Args:
        name, infer, evaluate, in_place, cost: of the primitive; by default it only moves, drops or
            repeats elements.
        transpose: `transpose(ct, aval, **params)`, the operand's cotangent.
        batch: `batch(shape, **params)`, the parameters for an operand with a leading axis.
        emit: of an element, for the compiler; None if it has no such form.
    """
    primitive = Primitive(
        name,
        infer=infer,
        evaluate=evaluate,
        in_place=in_place,
        jvp=lambda tangents, primals, out, **params: primitive.bind(tangents[0], **params),
        transpose=lambda ct, x, **params: [transpose(ct, x.aval, **params)],
        taylor=linear(),
        batch=lambda args, batched, **params: (
            primitive.bind(args[0], **batch(shape_of(args[0]), **params)),
            True,
        ),
        cost=cost,
        lower=emit and Indexed(emit),
    )
    return primitive


# --- reshape ------------------------------------------------------------------------------------


def _infer_reshape(x: Aval, *, shape: tuple[int, ...]) -> Aval:
    out = x.update(shape=shape)
    if out.size != x.size:
        raise ShapeError(f"cannot reshape {x} into shape {shape}: {x.size} against {out.size}.")
    return out


reshape_p: Primitive = unary_linear(
    "reshape",
    infer=_infer_reshape,
    evaluate=lambda x, shape: np.reshape(x, shape),
    transpose=lambda ct, aval, shape: reshape_p.bind(ct, shape=aval.shape),
    batch=lambda in_shape, shape: {"shape": (in_shape[0], *shape)},
    emit=lambda k, index, shape: k.read_flat(0, index, shape),
)

# --- copy: an array of its own with the same elements ---------------------------------------------

copy_p: Primitive = unary_linear(
    "copy",
    infer=lambda x: x,
    evaluate=lambda x: x if isinstance(x, int | float | complex) else np.array(x)[()],
    transpose=lambda ct, aval: ct,
    batch=lambda in_shape: {},
    emit=lambda k, index: k.read(0, index),
)

# --- transpose ------------------------------------------------------------------------------------


def _infer_transpose(x: Aval, *, permutation: tuple[int, ...]) -> Aval:
    if sorted(permutation) != list(range(x.ndim)):
        raise ShapeError(f"axes {permutation} are not a permutation of the axes of {x}.")
    return x.update(shape=[x.shape[p] for p in permutation])


def _inverse(permutation: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argsort(permutation))


transpose_p: Primitive = unary_linear(
    "transpose",
    infer=_infer_transpose,
    evaluate=lambda x, permutation: np.transpose(x, permutation),
    transpose=lambda ct, aval, permutation: transpose_p.bind(ct, permutation=_inverse(permutation)),
    batch=lambda in_shape, permutation: {"permutation": (0, *[p + 1 for p in permutation])},
    emit=lambda k, index, permutation: k.read(0, [index[p] for p in _inverse(permutation)]),
)

# --- broadcast (aligned at the last axis, as in NumPy) --------------------------------------------


def _infer_broadcast(x: Aval, *, shape: tuple[int, ...]) -> Aval:
    lead = len(shape) - x.ndim
    fits = lead >= 0 and all(n in (1, shape[lead + i]) for i, n in enumerate(x.shape))
    if not fits:
        raise ShapeError(f"cannot broadcast {x} to shape {shape}.")
    return x.update(shape=shape)


def _transpose_broadcast(ct: Any, aval: Aval, shape: tuple[int, ...]) -> Any:
    from functrans.primitives.elementwise import unbroadcast

    return unbroadcast(ct, aval)


def _batch_broadcast(args: Sequence[Any], batched: Sequence[bool], *, shape: Any) -> Any:
    from functrans.primitives.elementwise import insert_axes

    x = insert_axes(args[0], 1, len(shape) + 1 - len(shape_of(args[0])))
    return broadcast_p.bind(x, shape=(shape_of(x)[0], *shape)), True


def _read_broadcast(k: Any, index: list, shape: tuple[int, ...]) -> Any:
    aval = k.aval(0)
    tail = index[len(index) - aval.ndim :]
    return k.read(0, [0 if n == 1 else i for n, i in zip(aval.shape, tail, strict=True)])


broadcast_p: Primitive = unary_linear(
    "broadcast",
    infer=_infer_broadcast,
    evaluate=lambda x, shape: np.broadcast_to(x, shape),
    transpose=_transpose_broadcast,
    batch=None,
    emit=_read_broadcast,
)
broadcast_p.batch = _batch_broadcast
broadcast_p.creates = True


def full(shape: Sequence[int], value: Any, dtype: Any) -> Any:
    """An array filled with a scalar; under a staging trace an equation, not a constant."""
    dtype = np.dtype(dtype)
    if type(value) is Tracer or staged_size(shape):
        scalar = value if type(value) is Tracer else dtype.type(value)
        return bind_staged(broadcast_p, scalar, shape=tuple(shape)) if shape else scalar
    return np.full(shape, value, dtype) if shape else dtype.type(value)


def staged_size(shape: Sequence[int]) -> bool:
    """Whether an array is better created by the program than stored in it."""
    from functrans.core.trace import staging_trace

    return len(shape) > 0 and staging_trace() is not None


# --- iota -----------------------------------------------------------------------------------------

iota_p: Primitive = Primitive(
    "iota",
    creates=True,
    infer=lambda shape, axis, dtype: Aval(shape, dtype),
    evaluate=lambda shape, axis, dtype: np.broadcast_to(
        np.arange(shape[axis]).astype(dtype).reshape(-1, *(1,) * (len(shape) - axis - 1)), shape
    ),
    cost=lambda inputs, outputs, **params: outputs[0].size,
    lower=Indexed(lambda k, index, shape, axis, dtype: k.index_value(index[axis], dtype)),
)


def iota(shape: Sequence[int], axis: int, dtype: Any) -> Any:
    """An array that counts 0, 1, 2, … along an axis."""
    return bind_staged(iota_p, shape=tuple(shape), axis=axis, dtype=np.dtype(dtype))


# --- slice ----------------------------------------------------------------------------------------


def _infer_slice(x: Aval, *, start: Any, stop: Any, step: Any) -> Aval:
    shape = []
    for n, a, b, s in zip(x.shape, start, stop, step, strict=True):
        if not (0 <= a <= n and 0 <= b <= n and s >= 1):
            raise ShapeError(f"slice from {start} to {stop} by {step} is outside of {x}.")
        shape.append(max(0, -(-(b - a) // s)))
    return x.update(shape=shape)


def _evaluate_slice(x: Any, *, start: Any, stop: Any, step: Any) -> Any:
    return np.asarray(x)[tuple(map(slice, start, stop, step))]


def _transpose_slice(ct: Any, aval: Aval, start: Any, stop: Any, step: Any) -> Any:
    reach = [a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, ct.shape, step, strict=True)]
    high = tuple(n - r for n, r in zip(aval.shape, reach, strict=True))
    return pad(ct, tuple(start), high, tuple(s - 1 for s in step))


slice_p: Primitive = unary_linear(
    "slice",
    infer=_infer_slice,
    evaluate=_evaluate_slice,
    transpose=_transpose_slice,
    batch=lambda in_shape, start, stop, step: {
        "start": (0, *start),
        "stop": (in_shape[0], *stop),
        "step": (1, *step),
    },
    emit=lambda k, index, start, stop, step: k.read(
        0, [i * s + a for i, a, s in zip(index, start, step, strict=True)]
    ),
)

# --- flip -----------------------------------------------------------------------------------------

flip_p: Primitive = unary_linear(
    "flip",
    infer=lambda x, axes: x.strong(),
    evaluate=lambda x, axes: np.flip(x, axes),
    transpose=lambda ct, aval, axes: flip_p.bind(ct, axes=axes),
    batch=lambda in_shape, axes: {"axes": tuple(a + 1 for a in axes)},
    emit=lambda k, index, axes: k.read(
        0, [i * -1 + (k.aval(0).shape[a] - 1) if a in axes else i for a, i in enumerate(index)]
    ),
)

# --- pad: constant, with negative amounts (cropping) and gaps between elements --------------------


def _infer_pad(x: Aval, value: Aval, *, low: Any, high: Any, interior: Any) -> Aval:
    if value.shape or value.dtype != x.dtype:
        raise DTypeError(f"pad needs a scalar of the operand's dtype: got {x} and {value}.")
    shape = [
        a + b + n + max(n - 1, 0) * i
        for n, a, b, i in zip(x.shape, low, high, interior, strict=True)
    ]
    if min(shape, default=0) < 0:
        raise ShapeError(f"padding {x} by {low} and {high} leaves a negative extent.")
    return x.update(shape=shape)


def _evaluate_pad(x: Any, value: Any, *, low: Any, high: Any, interior: Any) -> Any:
    x = np.asarray(x)
    wide = [n + max(n - 1, 0) * i for n, i in zip(x.shape, interior, strict=True)]
    shape = [a + b + n for n, a, b in zip(wide, low, high, strict=True)]
    out = np.full(shape, value, x.dtype)  # refuses a negative extent
    into, source = [], []
    for n, a, i, total in zip(x.shape, low, interior, out.shape, strict=True):
        step = i + 1
        first = max(0, -(a // step)) if a < 0 else 0
        last = min(n, -((a - total) // step)) if n else 0
        last = max(first, last)
        source.append(slice(first, last))
        begin = a + first * step
        into.append(slice(begin, max(begin + (last - first - 1) * step + 1, begin), step))
    if all(s.stop > s.start for s in source):
        out[tuple(into)] = x[tuple(source)]
    return out


def _jvp_pad(tangents: list, primals: list, out: Any, **params: Any) -> Any:
    from functrans.primitives.arithmetic import zeros_like

    t, tv = tangents
    t = zeros_like(primals[0]) if t is None else t
    return pad_p.bind(t, zeros_like(primals[1]) if tv is None else tv, **params)


def _transpose_pad(ct: Any, x: Any, value: Any, *, low: Any, high: Any, interior: Any) -> list:
    from functrans.primitives.reductions import reduce_sum_p

    inner = _unpad(ct, low, high, interior)
    ct_x = inner if type(x) is Linear else None
    if type(value) is not Linear:
        return [ct_x, None]
    everything = tuple(range(len(low)))
    return [
        ct_x,
        reduce_sum_p.bind(ct, axes=everything) - reduce_sum_p.bind(inner, axes=everything),
    ]


def _unpad(ct: Any, low: Any, high: Any, interior: Any) -> Any:
    """The elements of a padded array that came from the operand; zero where one was cropped."""
    cropped = pad(ct, tuple(-a for a in low), tuple(-b for b in high), (0,) * len(low))
    shape = cropped.shape
    step = tuple(i + 1 for i in interior)
    return slice_p.bind(cropped, start=(0,) * len(shape), stop=shape, step=step)


def _batch_pad(args: Any, batched: Any, *, low: Any, high: Any, interior: Any) -> Any:
    from functrans.primitives.arithmetic import select_p, zeros_like

    x, value = args
    wide = {"low": (0, *low), "high": (0, *high), "interior": (0, *interior)}
    if not batched[1]:
        return pad_p.bind(x, value, **wide), True
    count = shape_of(value)[0]
    if not batched[0]:
        x = broadcast_p.bind(x, shape=(count, *shape_of(x)))
    zero = zeros_like(x)
    padded = pad_p.bind(x, dtype_of(x).type(0), **wide)
    true = full(shape_of(zero), True, np.bool_)
    inside = pad_p.bind(true, np.bool_(False), **wide)
    column = reshape_p.bind(value, shape=(count, *(1,) * len(low)))
    return select_p.bind(inside, padded, column), True


def _read_pad(k: Any, index: list, low: Any, high: Any, interior: Any) -> Any:
    source, inside = [], []
    for i, n, a, b, gap in zip(index, k.aval(0).shape, low, high, interior, strict=True):
        j = i - a
        step = gap + 1
        if gap:
            inside.append(j.divisible(step))
        j = j // step
        if a > 0 or gap:
            inside.append(j >= 0)
        if b > 0 or gap:
            inside.append(j < n)
        source.append(j)
    return k.guard(inside, lambda: k.read(0, source), lambda: k.read(1, []))


pad_p: Primitive = Primitive(
    "pad",
    infer=_infer_pad,
    evaluate=_evaluate_pad,
    jvp=_jvp_pad,
    transpose=_transpose_pad,
    taylor=linear(),
    batch=_batch_pad,
    cost=lambda inputs, outputs, **params: 0,
    lower=Indexed(_read_pad, cost=4),
)


def pad(x: Any, low: Any, high: Any, interior: Any, value: Any = 0) -> Any:
    """x with `value` around it (negative amounts crop) and `interior` values between elements."""
    if not any(low) and not any(high) and not any(interior):
        return x
    fill = value if type(value) is Tracer else dtype_of(x).type(value)
    return pad_p.bind(x, fill, low=tuple(low), high=tuple(high), interior=tuple(interior))


# --- concatenate ----------------------------------------------------------------------------------


def _infer_concatenate(*avals: Aval, axis: int) -> Aval:
    first = avals[0]
    for a in avals[1:]:
        same = a.ndim == first.ndim and all(
            n == m for i, (n, m) in enumerate(zip(a.shape, first.shape, strict=True)) if i != axis
        )
        if not same:
            shown = ", ".join(map(str, avals))
            raise ShapeError(f"concatenate needs equal extents except along axis {axis}: {shown}.")
        if a.dtype != first.dtype:
            raise DTypeError(f"concatenate needs operands of one dtype: {first} and {a}.")
    total = sum(a.shape[axis] for a in avals)
    return first.update(shape=[*first.shape[:axis], total, *first.shape[axis + 1 :]])


def _jvp_concatenate(tangents: list, primals: list, out: Any, *, axis: int) -> Any:
    from functrans.primitives.arithmetic import zeros_like

    parts = [zeros_like(x) if t is None else t for t, x in zip(tangents, primals, strict=True)]
    return concatenate_p.bind(*parts, axis=axis)


def _transpose_concatenate(ct: Any, *operands: Any, axis: int) -> list:
    cts: list[Any] = []
    begin = 0
    for x in operands:
        shape = x.aval.shape if type(x) is Linear else shape_of(x)
        end = begin + shape[axis]
        cts.append(slice_axis(ct, axis, begin, end) if type(x) is Linear else None)
        begin = end
    return cts


def _batch_concatenate(args: Any, batched: Any, *, axis: int) -> Any:
    count = next(shape_of(x)[0] for x, b in zip(args, batched, strict=True) if b)
    wide = [
        x if b else broadcast_p.bind(x, shape=(count, *shape_of(x)))
        for x, b in zip(args, batched, strict=True)
    ]
    return concatenate_p.bind(*wide, axis=axis + 1), True


def _read_concatenate(k: Any, index: list, axis: int) -> Any:
    def part(operand: int, begin: int) -> Any:
        moved = [*index[:axis], index[axis] - begin, *index[axis + 1 :]]
        end = begin + k.aval(operand).shape[axis]
        if operand == k.operands - 1:
            return k.read(operand, moved)
        return k.guard(
            [index[axis] < end], lambda: k.read(operand, moved), lambda: part(operand + 1, end)
        )

    return part(0, 0)


concatenate_p: Primitive = Primitive(
    "concatenate",
    infer=_infer_concatenate,
    evaluate=lambda *arrays, axis: np.concatenate(arrays, axis),
    jvp=_jvp_concatenate,
    transpose=_transpose_concatenate,
    taylor=linear(),
    batch=_batch_concatenate,
    cost=lambda inputs, outputs, **params: 0,
    lower=Indexed(_read_concatenate),
)


def slice_axis(x: Any, axis: int, start: int, stop: int, step: int = 1) -> Any:
    """x[start:stop:step] along one axis, with resolved bounds."""
    shape = shape_of(x)
    before, after = axis, len(shape) - axis - 1
    return slice_p.bind(
        x,
        start=(*(0,) * before, start, *(0,) * after),
        stop=(*shape[:axis], stop, *shape[axis + 1 :]),
        step=(*(1,) * before, step, *(1,) * after),
    )
