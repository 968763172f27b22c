"""Forward mode: a Program run on pairs of primal and tangent (jvp)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from functrans.core.effects import has_effects, silent
from functrans.core.interpret import Environment
from functrans.core.program import Equation, Literal, Program, Var
from functrans.core.source import set_source
from functrans.core.trace import make_program_flat
from functrans.core.types import dtype_of, shape_of

Nonzero = tuple[bool, ...]


def jvp(
    program: Program,
    primals: Sequence[Any],
    tangents: Sequence[Any],
    known: Mapping[Any, Any] | None = None,
    linearizing: bool = False,
) -> tuple[list[Any], list[Any]]:
    """The outputs of a Program and their tangents.

    Args:
        program: any Program.
        primals: values (arrays or tracers) of its inputs.
        tangents: of its inputs; None where zero.
        known: values of variables that were computed before and need not be again, and the
            equations whose effects have happened.
        linearizing: tangents are tracers of an open linear trace, so primitives that hold
            Programs must keep what is known out of it (their `linearize` rule).

    Returns:
        The output values and the output tangents, None where zero.
    """
    env = Environment(program.inputs, primals)
    tangent_of: dict[Var, Any] = {
        v: t for v, t in zip(program.inputs, tangents, strict=True) if t is not None
    }
    before = set_source(None)
    try:
        for equation in program.equations:
            set_source(equation.source)
            values = env.read_all(equation.inputs)
            ts = [tangent_of.get(a) if type(a) is Var else None for a in equation.inputs]
            if all(t is None for t in ts):
                env.write(equation, _primal(equation, values, known))
                continue
            outs, out_tangents = _differentiate(equation, values, ts, known, linearizing)
            for var, out, t in zip(equation.outputs, outs, out_tangents, strict=True):
                env.values[var] = out
                if t is not None and var.aval.dtype.kind in "fc":
                    _check_tangent(equation, var, t)
                    tangent_of[var] = t
    finally:
        set_source(before)
    out_tangents = [None if type(a) is Literal else tangent_of.get(a) for a in program.outputs]
    return env.read_all(program.outputs), out_tangents


def jvp_program(program: Program, nonzero: Nonzero) -> tuple[Program, Nonzero]:
    """The Program (inputs, their nonzero tangents) → (outputs, their nonzero tangents).

    Args:
        program: a closed Program.
        nonzero: which inputs have a tangent.

    Returns:
        The Program, and which outputs have a tangent.
    """
    key = ("jvp", nonzero)
    if key not in program.cache:
        program.cache[key] = _build_jvp(program, nonzero)
    return program.cache[key]


def _build_jvp(program: Program, nonzero: Nonzero) -> tuple[Program, Nonzero]:
    out_nonzero: Nonzero = ()

    def run(args: Sequence[Any]) -> list[Any]:
        nonlocal out_nonzero
        primals, rest = args[: len(nonzero)], iter(args[len(nonzero) :])
        outs, ts = jvp(program, primals, [next(rest) if n else None for n in nonzero])
        out_nonzero = tuple(t is not None for t in ts)
        return [*outs, *(t for t in ts if t is not None)]

    avals = list(program.in_avals)
    avals += [a.strong() for a, n in zip(program.in_avals, nonzero, strict=True) if n]
    return make_program_flat(run, avals, f"jvp({program.name})"), out_nonzero


def _primal(equation: Equation, values: list[Any], known: Mapping[Any, Any] | None) -> Any:
    """The result of an equation, from the known values if they have it."""
    if (
        known is not None
        and all(v in known for v in equation.outputs)
        and (equation in known or not has_effects(equation))
    ):
        outs = [known[v] for v in equation.outputs]
        return outs if equation.primitive.multiple_results else outs[0]
    return equation.primitive.bind(*values, **equation.params)


def _differentiate(
    equation: Equation, values: list, ts: list, known: Any, linearizing: bool
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Outputs and their tangents of an equation of which some operand has a tangent."""
    primitive, params = equation.primitive, equation.params
    both = primitive.linearize if linearizing and primitive.linearize else primitive.forward
    if both is not None:
        if known is not None and equation in known:
            params = silent(params) or params
        outs, out_tangents = both(ts, values, **params)
        return (outs, out_tangents) if primitive.multiple_results else ((outs,), (out_tangents,))
    result = _primal(equation, values, known)
    outs = result if primitive.multiple_results else (result,)
    if primitive.jvp is None or all(v.aval.dtype.kind not in "fc" for v in equation.outputs):
        return outs, [None] * len(equation.outputs)
    out_tangents = primitive.jvp(ts, values, result, **params)
    return outs, out_tangents if primitive.multiple_results else (out_tangents,)


def _check_tangent(equation: Equation, var: Var, t: Any) -> None:
    if shape_of(t) != var.aval.shape or dtype_of(t) != var.aval.dtype:
        raise AssertionError(
            f"the jvp rule of {equation.primitive.name} gave a tangent of shape {shape_of(t)} and "
            f"dtype {dtype_of(t)} for an output of type {var.aval}"
        )
