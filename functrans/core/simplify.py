"""Programs that compute the same: without what nobody uses, equal terms once, calls inlined."""

from __future__ import annotations

from functrans.core.effects import has_effects
from functrans.core.primitive import Primitive
from functrans.core.program import Atom, Equation, Program, Var, params_key


def drop_dead(program: Program, keep_inputs_from: int | None = None) -> tuple[Program, list[bool]]:
    """The Program without equations whose results are not used.

    Args:
        program: any Program.
        keep_inputs_from: inputs before this position are dropped too if unused; by default all
            inputs stay.

    Returns:
        The Program, and for each input of the old one whether it is still there.
    """
    live: set[Var] = {a for a in program.outputs if isinstance(a, Var)}
    kept: list[Equation] = []
    for equation in reversed(program.equations):
        if has_effects(equation) or not live.isdisjoint(equation.outputs):
            kept.append(equation)
            live.update(a for a in equation.inputs if isinstance(a, Var))
    kept.reverse()
    removable = 0 if keep_inputs_from is None else keep_inputs_from
    used = [i >= removable or v in live for i, v in enumerate(program.inputs)]
    if len(kept) == len(program.equations) and all(used):
        return program, used
    inputs = [v for v, u in zip(program.inputs, used, strict=True) if u]
    return Program(inputs, kept, program.outputs, program.name), used


def share_equal(program: Program) -> Program:
    """The Program in which of equal equations only the first is computed."""
    first: dict[tuple, tuple[Var, ...]] = {}
    same: dict[Atom, Var] = {}
    equations: list[Equation] = []
    for equation in program.equations:
        equation = equation.replace([same.get(a, a) for a in equation.inputs])
        inputs = tuple(a if isinstance(a, Var) else a.key for a in equation.inputs)
        key = (equation.primitive.name, inputs, params_key(equation.params))
        if not has_effects(equation) and key in first:
            same.update(zip(equation.outputs, first[key], strict=True))
            continue
        first[key] = equation.outputs
        equations.append(equation)
    if not same:
        return program
    outputs = [same.get(a, a) for a in program.outputs]
    return Program(program.inputs, equations, outputs, program.name)


def inline_calls(program: Program, only: Primitive | None = None) -> Program:
    """The equations of called Programs in place of the calls, to any depth.

    Args:
        program: any Program.
        only: the primitive whose calls are inlined; by default every one that holds a Program and
            does nothing but call it once no derivative is to be taken.
    """
    if all(_called(e, only) is None for e in program.equations):
        return program
    equations: list[Equation] = []
    outputs = inline_into(equations, program, {}, only)
    return Program(program.inputs, equations, outputs, program.name)


def inline_into(
    equations: list[Equation],
    program: Program,
    renamed: dict[Var, Atom],
    only: Primitive | None = None,
) -> list[Atom]:
    """Append a Program's equations under a renaming; returns its outputs under it."""

    def name(atom: Atom) -> Atom:
        return renamed.get(atom, atom) if isinstance(atom, Var) else atom

    for equation in program.equations:
        inputs = [name(a) for a in equation.inputs]
        inner = _called(equation, only)
        if inner is None:
            outputs = [Var(v.aval) for v in equation.outputs]
            equations.append(equation.replace(inputs, outputs))
            renamed.update(zip(equation.outputs, outputs, strict=True))
            continue
        results = inline_into(equations, inner, dict(zip(inner.inputs, inputs, strict=True)), only)
        renamed.update(zip(equation.outputs, results, strict=True))
    return [name(a) for a in program.outputs]


def _called(equation: Equation, only: Primitive | None) -> Program | None:
    """The Program that an equation does nothing but call."""
    primitive = equation.primitive
    if primitive.inline is None or only not in (None, primitive):
        return None
    return primitive.inline(**equation.params)
