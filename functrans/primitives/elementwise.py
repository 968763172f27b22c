"""The elementwise family: what every elementwise primitive shares, written once.

Operands broadcast as in NumPy and have one common dtype (functrans/numpy promotes before). So
shape, batching and cost need nothing from a member but its dtype rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.lowering import Pointwise
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.types import Aval, broadcast_shapes, shape_of
from functrans.transforms.taylor import bilinear as bilinear_series
from functrans.transforms.taylor import linear

Kinds = str
BOOL = np.dtype(np.bool_)


def elementwise(
    name: str,
    evaluate: Callable[..., Any],
    *,
    jvp: Callable[..., Any] | Sequence[Callable[..., Any] | None] | None = None,
    linear_in: Sequence[int] = (),
    bilinear: bool = False,
    transpose: Callable[..., Any] | None = None,
    taylor: Callable[..., Any] | None = None,
    emit: Callable[..., Any] | str | None = None,
    kinds: Kinds = "biufc",
    result: Callable[..., np.dtype] | None = None,
    same_dtype: bool = True,
    cost: int = 1,
) -> Primitive:
    """Define an elementwise primitive.

    Args:
        name: the primitive's name.
        evaluate: the NumPy function.
        jvp: for one operand, `jvp(t, x, y, **params)` with y the result; for several, a function
            per operand, `jvp[i](t, *operands, y, **params)`, whose results add up. None where the
            derivative is zero.
        linear_in: operands in which it is linear when the others are fixed: without a jvp rule
            their tangent is the primitive itself applied to the tangent.
        bilinear: it is linear in one of those at a time only.
        transpose: `transpose(i, ct, *operands, **params)`, the cotangent of linear operand i, still
            of the output's shape; reductions to the operand's shape are the family's.
        taylor: the rule for power series, if it is neither linear nor bilinear and the jvp rule
            leads to a longer computation.
        emit: `emit(b, *values, **params)` for the compiler, or the name of such a function.
        kinds: dtype kinds that the operands may have.
        result: `result(*dtypes, **params)`, the output's dtype; by default the operands'.
        same_dtype: whether the operands must share a dtype.
        cost: roughly the number of instructions per element.
    """

    def infer(*avals: Aval, **params: Any) -> Aval:
        first = avals[0]
        second = avals[-1]
        if (
            len(avals) <= 2
            and first.dtype is second.dtype
            and (first.shape == second.shape or second.shape == ())
            and first.weak_type is (first.weak_type and second.weak_type)
            and first.dtype.kind in kinds
        ):
            # by far the most frequent case, and eager derivatives wait for it
            if result is None:
                return first
            dtype = result(*[a.dtype for a in avals], **params)
            return Aval(first.shape, dtype, first.weak_type)
        _check_operands(name, avals, kinds, same_dtype)
        try:
            shape = broadcast_shapes(*[a.shape for a in avals])
        except ShapeError:
            shown = " and ".join(map(str, avals))
            raise ShapeError(f"{name} needs shapes that broadcast: got {shown}.") from None
        dtypes = [a.dtype for a in avals]
        dtype = dtypes[0] if result is None else result(*dtypes, **params)
        return Aval(shape, dtype, all(a.weak_type for a in avals))

    def jvp_rule(tangents: list, primals: list, y: Any, **params: Any) -> Any:
        total = None
        for i, t in enumerate(tangents):
            if t is None:
                continue
            rule = jvp if callable(jvp) else jvp[i] if jvp is not None else None
            if rule is not None:
                term = rule(t, *primals, y, **params)
            elif i in linear_in:
                term = primitive.bind(*primals[:i], t, *primals[i + 1 :], **params)
            else:
                term = None
            if term is not None:
                total = term if total is None else add_any(total, term)
        return None if total is None else broadcast_like(total, y)

    def transpose_rule(ct: Any, *operands: Any, **params: Any) -> list:
        assert transpose is not None
        linear = [i for i, x in enumerate(operands) if type(x) is Linear]
        if any(i not in linear_in for i in linear) or (bilinear and len(linear) > 1):
            raise not_linear(name)
        return [
            unbroadcast(transpose(i, ct, *operands, **params), x.aval)
            if type(x) is Linear and i in linear_in
            else None
            for i, x in enumerate(operands)
        ]

    series_rule = bilinear_series if bilinear else linear(*linear_in) if linear_in else None
    primitive = Primitive(
        name,
        infer=infer,
        evaluate=evaluate,
        jvp=jvp_rule,
        transpose=transpose_rule if linear_in else None,
        taylor=taylor or series_rule,
        batch=lambda args, batched, **params: batch_elementwise(primitive, args, batched, params),
        cost=lambda inputs, outputs, **params: cost * outputs[0].size,
        lower=None if emit is None else Pointwise(emit, cost),
    )
    return primitive


def batch_elementwise(
    primitive: Primitive, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> tuple[Any, bool]:
    """Elementwise batching: align the batch axis by giving batched operands the full rank."""
    rank = max(len(shape_of(x)) - b for x, b in zip(args, batched, strict=True))
    aligned = [
        insert_axes(x, 1, rank + 1 - len(shape_of(x))) if b and len(shape_of(x)) <= rank else x
        for x, b in zip(args, batched, strict=True)
    ]
    return primitive.bind(*aligned, **params), True


def insert_axes(x: Any, position: int, count: int) -> Any:
    """x with `count` axes of extent one inserted before axis `position`."""
    from functrans.primitives.shaping import reshape_p

    shape = shape_of(x)
    return reshape_p.bind(x, shape=(*shape[:position], *(1,) * count, *shape[position:]))


def unbroadcast(ct: Any, aval: Aval) -> Any:
    """The cotangent of an operand that was broadcast: sums over what broadcasting repeated."""
    from functrans.primitives.reductions import reduce_sum_p
    from functrans.primitives.shaping import reshape_p

    shape = shape_of(ct)
    if shape == aval.shape:
        return ct
    lead = len(shape) - len(aval.shape)
    axes = tuple(range(lead)) + tuple(
        i + lead for i, n in enumerate(aval.shape) if n == 1 and shape[i + lead] != 1
    )
    summed = reduce_sum_p.bind(ct, axes=axes) if axes else ct
    return summed if shape_of(summed) == aval.shape else reshape_p.bind(summed, shape=aval.shape)


def broadcast_like(x: Any, y: Any) -> Any:
    """x broadcast to the shape of y."""
    from functrans.primitives.shaping import broadcast_p

    shape = shape_of(y)
    return x if shape_of(x) == shape else broadcast_p.bind(x, shape=shape)


def add_any(x: Any, y: Any) -> Any:
    """The sum of two tangents or cotangents of one type."""
    from functrans.primitives.arithmetic import add_p

    return add_p.bind(x, y)


def _check_operands(name: str, avals: Sequence[Aval], kinds: str, same_dtype: bool) -> None:
    for aval in avals:
        if aval.dtype.kind not in kinds:
            raise DTypeError(f"{name} does not take operands of dtype {aval.dtype}: got {aval}.")
    if same_dtype and any(a.dtype != avals[0].dtype for a in avals[1:]):
        shown = " and ".join(map(str, avals))
        raise DTypeError(f"{name} needs operands of one dtype: got {shown}.")
