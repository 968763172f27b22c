"""Reductions over axes, arg-extrema and cumulative operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.lowering import Indexed, Reduce
from functrans.core.primitive import Primitive
from functrans.core.program import Equation, Program, Var
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import convert, eq_p, mul_p, select_p, zeros_like
from functrans.primitives.shaping import broadcast_p, flip_p, reshape_p
from functrans.transforms.taylor import linear

Axes = tuple[int, ...]


def reduction(
    name: str,
    evaluate: Any,
    *,
    jvp: Any = None,
    transpose: Any = None,
    combine: Any = None,
    identity: Any = None,
) -> Primitive:
    """Define a reduction with the parameter `axes`; dtypes are promoted by functrans/numpy."""

    def infer(x: Aval, *, axes: Axes) -> Aval:
        if any(not 0 <= a < x.ndim for a in axes):
            raise ShapeError(f"{name} over axes {axes} of {x}, which has {x.ndim} axes.")
        if identity is None and any(x.shape[a] == 0 for a in axes):
            raise ShapeError(f"{name} over an empty axis of {x} has no value.")
        return x.update(shape=[n for i, n in enumerate(x.shape) if i not in axes])

    primitive = Primitive(
        name,
        infer=infer,
        evaluate=evaluate,
        jvp=jvp,
        transpose=transpose,
        taylor=linear() if transpose is not None else None,
        batch=lambda args, batched, axes: (
            primitive.bind(args[0], axes=tuple(a + 1 for a in axes)),
            True,
        ),
        cost=lambda inputs, outputs, axes: inputs[0].size,
        lower=None if combine is None else Reduce(combine, identity or _extreme(name)),
    )
    return primitive


def _extreme(name: str) -> Any:
    """The identity of max and min, the lowest or highest value of the dtype."""
    sign = -1 if name == "reduce_max" else 1

    def identity(dtype: np.dtype) -> Any:
        if dtype.kind == "f":
            return sign * np.inf
        if dtype.kind == "c":
            return complex(sign * np.inf, sign * np.inf)  # in lexicographic order
        if dtype.kind == "b":
            return sign > 0
        return np.iinfo(dtype).min if sign < 0 else np.iinfo(dtype).max

    return identity


def keep_axes(x: Any, axes: Axes, ndim: int) -> Any:
    """The result of a reduction over `axes`, with those axes back as extents of one."""
    shape, rest = [], iter(shape_of(x))
    for i in range(ndim):
        shape.append(1 if i in axes else next(rest))
    return reshape_p.bind(x, shape=tuple(shape))


def _jvp_sum(tangents: list, primals: list, out: Any, *, axes: Axes) -> Any:
    return reduce_sum_p.bind(tangents[0], axes=axes)


def _transpose_sum(ct: Any, x: Any, *, axes: Axes) -> list:
    return [broadcast_p.bind(keep_axes(ct, axes, x.aval.ndim), shape=x.aval.shape)]


def _sum(x: Any, *, axes: Axes) -> Any:
    x = np.asarray(x)
    return np.sum(x, axes, dtype=x.dtype)


reduce_sum_p: Primitive = reduction(
    "reduce_sum",
    _sum,
    jvp=_jvp_sum,
    transpose=_transpose_sum,
    combine=lambda b, a, x: b.add(a, x, reassoc=True),
    identity=lambda dtype: 0,
)


def _jvp_extremum(tangents: list, primals: list, out: Any, *, axes: Axes) -> Any:
    """The mean of the tangents of all elements that attain the extremum."""
    (t,), (x,) = tangents, primals
    attained = eq_p.bind(x, keep_axes(out, axes, len(shape_of(x))))
    chosen = select_p.bind(attained, t, zeros_like(t))
    count = reduce_sum_p.bind(convert(attained, dtype_of(t)), axes=axes)
    return reduce_sum_p.bind(chosen, axes=axes) / count


reduce_max_p: Primitive = reduction(
    "reduce_max",
    lambda x, axes: np.max(x, axes),
    jvp=_jvp_extremum,
    combine=lambda b, a, x: b.maximum(a, x),
)
reduce_min_p: Primitive = reduction(
    "reduce_min",
    lambda x, axes: np.min(x, axes),
    jvp=_jvp_extremum,
    combine=lambda b, a, x: b.minimum(a, x),
)

EXTREMA = ("reduce_max", "reduce_min", "pmax", "pmin")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def extremum_comparisons(program: Program) -> dict[Var, set[Any]]:
    """What an extremum is compared with, by the result, as in derivatives of maxima.

    An extremum is looked for among the numbers of which it is one. Computed twice, these could be
    contracted in two ways, and differ in a bit.
    """
    extrema: set[Any] = set()
    compared = {}
    for equation in program.equations:
        reads = extrema.intersection(equation.inputs)
        is_index = isinstance(equation.primitive.lower, Indexed)
        if _is_extremum(equation) or (reads and is_index):
            extrema.update(equation.outputs)
        elif reads and equation.primitive.name in COMPARISONS:
            compared[equation.outputs[0]] = set(equation.inputs) - reads
    return compared


def _is_extremum(equation: Equation) -> bool:
    name = equation.primitive.name
    return name in EXTREMA or (name == "scatter" and equation.params["op"] in ("max", "min"))


def _jvp_prod(tangents: list, primals: list, out: Any, *, axes: Axes) -> Any:
    """Each element's factor is the product of the others, also where elements are zero."""
    (t,), (x,) = tangents, primals
    others = _product_of_others(x, axes)
    return reduce_sum_p.bind(mul_p.bind(t, others), axes=axes)


def _product_of_others(x: Any, axes: Axes) -> Any:
    """Products of all elements before and after each, which never divide by zero."""
    from functrans.primitives.shaping import transpose_p

    shape = shape_of(x)
    kept = tuple(i for i in range(len(shape)) if i not in axes)
    order = (*kept, *axes)
    moved = transpose_p.bind(x, permutation=order)
    moved_shape = shape_of(moved)
    count = math.prod(shape[a] for a in axes)
    flat = reshape_p.bind(moved, shape=(*(shape[i] for i in kept), count))
    last = len(kept)
    before = _exclusive(flat, last, reverse=False)
    after = _exclusive(flat, last, reverse=True)
    product = reshape_p.bind(mul_p.bind(before, after), shape=moved_shape)
    inverse = tuple(int(i) for i in np.argsort(order))
    return transpose_p.bind(product, permutation=inverse)


def _exclusive(x: Any, axis: int, reverse: bool) -> Any:
    """The cumulative product of all elements before (or after) each along the last axis."""
    from functrans.primitives.shaping import pad, slice_axis

    extent = shape_of(x)[axis]
    if extent == 0:
        return x
    low = tuple(0 if (i != axis or reverse) else 1 for i in range(axis + 1))
    high = tuple(1 if (i == axis and reverse) else 0 for i in range(axis + 1))
    part = slice_axis(x, axis, 1, extent) if reverse else slice_axis(x, axis, 0, extent - 1)
    shifted = pad(part, low, high, (0,) * (axis + 1), value=1)
    return cumprod_p.bind(shifted, axis=axis, reverse=reverse)


def _prod(x: Any, *, axes: Axes) -> Any:
    x = np.asarray(x)
    return np.prod(x, axes, dtype=x.dtype)


reduce_prod_p: Primitive = reduction(
    "reduce_prod",
    _prod,
    jvp=_jvp_prod,
    combine=lambda b, a, x: b.mul(a, x, reassoc=True),
    identity=lambda dtype: 1,
)
reduce_or_p: Primitive = reduction(
    "reduce_or",
    lambda x, axes: np.any(x, axes),
    combine=lambda b, a, x: b.or_(a, x),
    identity=lambda dtype: False,
)
reduce_and_p: Primitive = reduction(
    "reduce_and",
    lambda x, axes: np.all(x, axes),
    combine=lambda b, a, x: b.and_(a, x),
    identity=lambda dtype: True,
)

# --- arg-extrema: index of the first extremum, or of the first nan --------------------------------


def _arg_extremum(name: str, evaluate: Any) -> Primitive:
    def infer(x: Aval, *, axis: int) -> Aval:
        if not 0 <= axis < x.ndim:
            raise ShapeError(f"{name} over axis {axis} of {x}, which has {x.ndim} axes.")
        if x.shape[axis] == 0:
            raise ShapeError(f"{name} over an empty axis of {x} has no value.")
        return Aval([n for i, n in enumerate(x.shape) if i != axis], np.int64)

    primitive = Primitive(
        name,
        infer=infer,
        evaluate=evaluate,
        batch=lambda args, batched, axis: (primitive.bind(args[0], axis=axis + 1), True),
        cost=lambda inputs, outputs, axis: inputs[0].size,
    )
    return primitive


argmax_p: Primitive = _arg_extremum("argmax", lambda x, axis: np.argmax(x, axis))
argmin_p: Primitive = _arg_extremum("argmin", lambda x, axis: np.argmin(x, axis))

# --- cumulative operations ------------------------------------------------------------------------


def _cumulative(name: str, ufunc: np.ufunc, *, jvp: Any = None, transpose: Any = None) -> Primitive:
    def evaluate(x: Any, *, axis: int, reverse: bool) -> Any:
        x = np.asarray(x)
        source = np.flip(x, axis) if reverse else x
        out = ufunc.accumulate(source, axis, dtype=x.dtype)
        return np.flip(out, axis) if reverse else out

    def infer(x: Aval, *, axis: int, reverse: bool) -> Aval:
        if not 0 <= axis < x.ndim:
            raise ShapeError(f"{name} along axis {axis} of {x}, which has {x.ndim} axes.")
        return x.strong()

    primitive = Primitive(
        name,
        infer=infer,
        evaluate=evaluate,
        jvp=jvp,
        transpose=transpose,
        taylor=linear() if transpose is not None else None,
        batch=lambda args, batched, axis, reverse: (
            primitive.bind(args[0], axis=axis + 1, reverse=reverse),
            True,
        ),
        cost=lambda inputs, outputs, **params: inputs[0].size,
    )
    return primitive


def _transpose_cumsum(ct: Any, x: Any, *, axis: int, reverse: bool) -> list:
    return [cumsum_p.bind(ct, axis=axis, reverse=not reverse)]


cumsum_p: Primitive = _cumulative(
    "cumsum",
    np.add,
    jvp=lambda tangents, primals, out, **params: cumsum_p.bind(tangents[0], **params),
    transpose=_transpose_cumsum,
)


def _jvp_scan_of(combine_jvp: Any) -> Any:
    """The derivative of a cumulative operation by doubling: combine (value, tangent) pairs at
    distances 1, 2, 4, …, which is right also at zeros and ties."""

    def rule(tangents: list, primals: list, out: Any, *, axis: int, reverse: bool) -> Any:
        (t,), (x,) = tangents, primals
        if reverse:
            x, t = flip_p.bind(x, axes=(axis,)), flip_p.bind(t, axes=(axis,))
        extent = shape_of(x)[axis]
        distance = 1
        while distance < extent:
            x, t = _combine_at(x, t, axis, distance, combine_jvp)
            distance *= 2
        return flip_p.bind(t, axes=(axis,)) if reverse else t

    return rule


def _combine_at(x: Any, t: Any, axis: int, distance: int, combine_jvp: Any) -> tuple[Any, Any]:
    from functrans.primitives.shaping import concatenate_p, slice_axis

    extent = shape_of(x)[axis]

    def split(v: Any) -> tuple[Any, Any, Any]:
        head = slice_axis(v, axis, 0, distance)
        return (
            head,
            slice_axis(v, axis, 0, extent - distance),
            slice_axis(v, axis, distance, extent),
        )

    (x_head, x_left, x_right), (t_head, t_left, t_right) = split(x), split(t)
    value, tangent = combine_jvp(x_left, t_left, x_right, t_right)
    return (
        concatenate_p.bind(x_head, value, axis=axis),
        concatenate_p.bind(t_head, tangent, axis=axis),
    )


def _combine_product(x: Any, tx: Any, y: Any, ty: Any) -> tuple[Any, Any]:
    return x * y, x * ty + tx * y


def _combine_extremum(extremum: Any) -> Any:
    def combine(x: Any, tx: Any, y: Any, ty: Any) -> tuple[Any, Any]:
        from functrans.primitives.arithmetic import full_like

        z = extremum.bind(x, y)
        half, one, zero = full_like(tx, 0.5), full_like(tx, 1), zeros_like(tx)
        from_x = select_p.bind(x == z, select_p.bind(y == z, half, one), zero)
        return z, tx * from_x + ty * (one - from_x)

    return combine


def _define_cumulative_rest() -> Sequence[Primitive]:
    from functrans.primitives.arithmetic import max_p, min_p

    return (
        _cumulative("cumprod", np.multiply, jvp=_jvp_scan_of(_combine_product)),
        _cumulative("cummax", np.maximum, jvp=_jvp_scan_of(_combine_extremum(max_p))),
        _cumulative("cummin", np.minimum, jvp=_jvp_scan_of(_combine_extremum(min_p))),
    )


cumprod_p, cummax_p, cummin_p = _define_cumulative_rest()
