"""Parts of a Program: what some of its results need, and what some of its inputs determine.

Of a choice between Programs (`cond`) the part that gives some of its results is a smaller choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from functrans.core.effects import has_effects
from functrans.core.lowering import Indexed
from functrans.core.program import Atom, Equation, Program, Var


def variables(program: Program) -> list[Var]:
    return [*program.inputs, *[v for e in program.equations for v in e.outputs]]


def is_choice(equation: Equation) -> bool:
    return "branches" in equation.params


def determined(program: Program, inputs: Iterable[Var]) -> set[Var]:
    """What depends on these inputs alone, unless it only spreads out something smaller."""
    known, worth = set(inputs), set(inputs)
    for e in program.equations:
        reads = [a for a in e.inputs if isinstance(a, Var)]
        if not has_effects(e) and known.issuperset(reads):
            known.update(e.outputs)
            if type(e.primitive.lower) is not Indexed or _nbytes(e.outputs) <= _nbytes(reads):
                worth.update(e.outputs)
    return worth


def _nbytes(variables: Sequence[Var]) -> int:
    return sum(v.aval.nbytes for v in variables)


def part_of(
    program: Program,
    outputs: Sequence[Atom],
    given: Collection[Var],
    inputs: Sequence[Var] = (),
    effects: bool = False,
) -> tuple[Program, list[Var]]:
    """The part of a Program over (those of `given` that it reads…, inputs…), and which these are.

    Args:
        program: any Program.
        outputs: of its atoms those that the part gives.
        given: what need not be computed.
        inputs: what need not be computed either, and is an input of the part whether read or not.
        effects: whether the part has the Program's effects.
    """
    known = {*given, *inputs}
    wanted = {a for a in outputs if isinstance(a, Var)} - known
    read: set[Var] = {a for a in outputs if isinstance(a, Var)} & known
    equations = []
    for e in reversed(program.equations):
        needed = [i for i, v in enumerate(e.outputs) if v in wanted]
        if not needed and not (effects and has_effects(e)):
            continue
        if is_choice(e) and len(needed) < len(e.outputs):
            e = narrowed(e, needed, effects)
        equations.append(e)
        atoms = {a for a in e.inputs if isinstance(a, Var)}
        wanted.update(atoms - known)
        read.update(atoms & known)
    reads = [v for v in given if v in read]
    return Program([*reads, *inputs], equations[::-1], outputs, program.name), reads


def narrowed(equation: Equation, outputs: Sequence[int], effects: bool = False) -> Equation:
    """A choice with these of its results alone, and without operands that they do not need."""
    index, *operands = equation.inputs
    branches = equation.params["branches"]
    wanted = [[b.outputs[i] for i in outputs] for b in branches]
    pairs = [
        part_of(b, w, b.inputs, effects=effects) for b, w in zip(branches, wanted, strict=True)
    ]
    read = {v for _, reads in pairs for v in reads}
    used = [i for i in range(len(operands)) if any(b.inputs[i] in read for b in branches)]
    parts = [
        Program([b.inputs[i] for i in used], p.equations, p.outputs, b.name)
        for b, (p, _) in zip(branches, pairs, strict=True)
    ]
    return Equation(
        equation.primitive,
        [index, *[operands[i] for i in used]],
        {**equation.params, "branches": tuple(parts)},
        [equation.outputs[i] for i in outputs],
        equation.source,
    )


def without_invariants(linear: Program, consts: Sequence[Var]) -> tuple[Program, Program]:
    """A step's linear Program, in two: what is linear in the tangents of consts alone, such as the
    slices that a step reads, and the rest.

    Backward the loop then sums cotangents of these slices, and not of the consts.

    Returns:
        The Program consts → invariants; and that over (invariants…, the other inputs…).
    """
    others = [v for v in linear.inputs if v not in consts]
    rest, read = part_of(linear, linear.outputs, _in_order(linear, consts), others)
    return part_of(linear, read, (), consts)[0], rest


def _in_order(linear: Program, consts: Sequence[Var]) -> list[Var]:
    same = determined(linear, consts)
    return [v for v in variables(linear) if v in same]
