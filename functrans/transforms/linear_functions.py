"""`linear_transpose`: a user's linear function run backwards, and the check that it is linear.

Transposition finds by itself what is not linear in an argument, but not what is added to it: a
constant has no cotangent. A linear function is zero at zero, and an affine one is what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.dependence import equation_depends
from functrans.core.effects import has_effects, uses_axis_name, without_effects
from functrans.core.errors import DTypeError, TransformError
from functrans.core.primitive import Linear
from functrans.core.program import Equation, Literal, Program, Var
from functrans.core.source import Source, source_scope
from functrans.core.trace import UNKNOWN, Tracer, outside, trace
from functrans.core.types import ShapeDtypeStruct, aval_of
from functrans.transforms.api import FlatFunction, check_callable, name_of, zeros_of
from functrans.transforms.linear_maps import match_cotangents
from functrans.transforms.transpose import transpose


def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple]:
    """The transpose of a linear function.

    Args:
        fun: linear in all its arguments.
        primals: arrays or ShapeDtypeStructs of the arguments' shapes and dtypes.

    Returns:
        A function from a cotangent of the output to a tuple of cotangents of the arguments.

    Raises:
        TransformError: fun is not linear, or affine: fun(0) is not 0.
        DTypeError: an argument is an integer or bool.

    >>> import functrans as ft
    >>> import functrans.numpy as fnp
    >>> ft.linear_transpose(lambda x: 3.0 * x, 1.0)(2.0)
    (np.float64(6.0),)
    """
    check_callable(fun, "linear_transpose")
    for path, x in tree.named_leaves(primals):
        if aval_of(x).dtype.kind not in "fc":
            raise DTypeError(
                f"linear_transpose needs real or complex arguments, but argument{path} is "
                f"{aval_of(x)}.\n  Pass floats, or close over what is no part of the linear map."
            )
    return _transposed(fun, primals, checked=True)


def transposed_map(fun: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple]:
    """linear_transpose of what is linear by contract, as a solver's matvec is."""
    return _transposed(fun, primals, checked=False)


def _transposed(fun: Callable[..., Any], primals: tuple, checked: bool) -> Callable[[Any], tuple]:
    leaves, treedef = tree.flatten((primals, {}))
    avals = [aval_of(x).strong() for x in leaves]
    flat = FlatFunction(fun, treedef)
    program, captured, _ = trace(flat, avals, name=name_of(fun))
    out_avals = program.out_avals
    unchecked = checked

    def transposed(cotangent: Any) -> tuple:
        nonlocal unchecked
        like = flat.rebuild([ShapeDtypeStruct(a.shape, a.dtype) for a in out_avals])
        cts = match_cotangents(like, cotangent)
        operands = [*captured, *map(Linear, avals)]
        results = transpose(program, operands, cts)[len(captured) :]
        if unchecked:
            # once, and after transposition, which says better what is wrong with sin
            check_zero_at_zero(program, captured)
            unchecked = False
        full = [zeros_of(a) if ct is None else ct for a, ct in zip(avals, results, strict=True)]
        return tree.unflatten(tree.structure(primals), full)

    return transposed


# --- affine functions -----------------------------------------------------------------------------


def check_zero_at_zero(program: Program, captured: Sequence[Tracer]) -> None:
    """TransformError if the value at zero is known not to be zero.

    The Program runs there once, with NumPy, which is exact: sums and products of zeros are zeros.
    Constants of the derivative rules' own are zeros too. nan says nothing, as it is also what zero
    times inf is. What cannot run here is taken for linear: what closes over values that are only
    known later (arguments of jit, examples of vmap), refers to a named axis, or has an effect with
    a result, which would happen twice.
    """
    values = [x.value for x in captured]
    program = without_effects(program)
    if any(x is UNKNOWN for x in values) or _bound_to_its_run(program):
        return
    own = program.in_avals[len(captured) :]
    values += [np.zeros(a.shape, a.dtype)[()] for a in own]
    mask = [False] * len(captured) + [True] * len(own)
    with outside(), np.errstate(all="ignore"):
        outs, line = _at_zero(program, values, mask)
    if any(map(_nonzero, outs)):
        with source_scope(line):
            raise TransformError(
                f"{program.name} is affine, not linear: it adds a constant, so that its value at 0 "
                "is not 0.\n  linear_transpose needs a linear function: leave the constant out, or "
                "use vjp, which transposes the derivative of any function."
            )


def _bound_to_its_run(program: Program) -> bool:
    return any(has_effects(e) or uses_axis_name(e.params) for e in program.equations)


def _at_zero(
    program: Program, values: Sequence[Any], mask: Sequence[bool]
) -> tuple[list[Any], Source | None]:
    """The outputs, given zeros where the mask holds, and the line at which what depends on those
    is not zero first."""
    of: dict[Var, Any] = dict(zip(program.inputs, values, strict=True))
    dependent = {v for v, n in zip(program.inputs, mask, strict=True) if n}
    first: Source | None = None
    for e in program.equations:
        operands = [a.value if isinstance(a, Literal) else of[a] for a in e.inputs]
        linear = [isinstance(a, Var) and a in dependent for a in e.inputs]
        outs, line = _equation_at_zero(e, operands, linear)
        of.update(zip(e.outputs, outs, strict=True))
        reached = [bool(d) for d in equation_depends(e, linear)]
        dependent.update(v for v, n in zip(e.outputs, reached, strict=True) if n)
        if first is None and any(_nonzero(y) for y, n in zip(outs, reached, strict=True) if n):
            first = line
    return [a.value if isinstance(a, Literal) else of[a] for a in program.outputs], first


def _equation_at_zero(
    equation: Equation, operands: Sequence[Any], mask: Sequence[bool]
) -> tuple[Sequence[Any], Source | None]:
    """As above, of an equation; a call's line is one in what it calls, which is not compiled."""
    primitive, params = equation.primitive, equation.params
    # what a rule of the user's makes linear may have no form to run forward but at zero
    if primitive.inline is not None and "rule" not in params:
        outs, line = _at_zero(primitive.inline(**params), operands, mask)
        return outs, line or equation.source
    out = primitive.bind(*operands, **params)
    return out if primitive.multiple_results else [out], equation.source


def _nonzero(y: Any) -> bool:
    y = np.asarray(y)
    return y.dtype.kind in "fc" and bool(np.any((y != 0) & (y == y)))
