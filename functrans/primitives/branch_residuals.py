"""What a loop need not keep of the branches that its steps take.

A choice between Programs (`cond`) falls into one per result, so that a result which a few
instructions make of what is kept anyway is made again like any other residual: a copy of an
operand, zeros where the other branch had something to keep. What a branch computes of what is the
same in every step is computed once, after the loop, and only if a step took that branch: it may
fail, never end or have no derivative where none did. The choices that make residuals again are
merged into those that read them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core.effects import has_effects
from functrans.core.interpret import Environment, evaluate
from functrans.core.lowering import Indexed, Pointwise
from functrans.core.primitive import Primitive, registry
from functrans.core.program import Atom, Equation, Literal, Program, Var
from functrans.core.simplify import inline_calls, share_equal
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval
from functrans.primitives.arithmetic import convert
from functrans.primitives.parts import determined, is_choice, narrowed, part_of
from functrans.primitives.reductions import extremum_comparisons
from functrans.primitives.shaping import full

FEW_INSTRUCTIONS = 10
"""How many may make an element again: a store and a load later take about as long."""
BOOL, INDEX = Aval((), np.bool_), Aval((), np.int32)
NOWHERE = Literal(np.int32(0))


@dataclass(frozen=True)
class Late:
    """What a branch computes of what is the same in every step.

    Attributes:
        program: reads → values, if a step did.
        reads: what is the same in every step.
        values: stand for the values in the divided Program.
    """

    program: Program
    reads: tuple[Atom, ...]
    values: tuple[Var, ...]


@dataclass(frozen=True)
class Divided:
    """A Program whose choices are divided.

    Attributes:
        whole: the Program as it was; its choices also give whether they took a branch.
        apart: the Program over (inputs, values of lates) with choices for single results.
        lates: what is computed after the loop, by the variable that says whether the step took the
            branch.
    """

    whole: Program
    apart: Program
    lates: dict[Var, Late]


def inlined(program: Program, call: Primitive) -> Program:
    """The Program with the equations of calls in place of these, in branches too."""
    program = inline_calls(program, call)
    equations = [_inlined_branches(e, call) if is_choice(e) else e for e in program.equations]
    return Program(program.inputs, equations, program.outputs, program.name)


def _inlined_branches(choice: Equation, call: Primitive) -> Equation:
    branches = [inlined(b, call) for b in choice.params["branches"]]
    return _with(choice, choice.inputs[1:], branches, choice.outputs)


def divide(program: Program, same: set[Var]) -> Divided:
    """Divide the choices of a Program, given which of its variables are the same in every step."""
    whole: list[Equation] = []
    apart: list[Equation] = []
    lates: dict[Var, Late] = {}
    for e in program.equations:
        if not is_choice(e) or same.issuperset(e.outputs) or _acts(e):
            whole.append(e)
            apart.append(e)
            continue
        given, pieces, late = _divide_choice(e, same)
        whole.append(given)
        apart += pieces
        lates.update(late)
    return Divided(
        Program(program.inputs, whole, program.outputs, program.name),
        Program(program.inputs, apart, program.outputs, program.name),
        lates,
    )


def _acts(choice: Equation) -> bool:
    """Whether results come with effects, which are not to happen again."""
    return has_effects(narrowed(choice, range(len(choice.outputs))))


def _divide_choice(
    choice: Equation, same: set[Var]
) -> tuple[Equation, list[Equation], dict[Var, Late]]:
    operands, branches = choice.inputs[1:], choice.params["branches"]
    parts, inner = [], []
    for b in branches:
        pairs = zip(b.inputs, operands, strict=True)
        mine = [v for v, a in pairs if a in same or isinstance(a, Literal)]
        parts.append(divide(b, determined(b, mine)))
        inner.append(_lates(parts[-1], mine))
    outer = {
        Var(BOOL): _raised(late, dict(zip(b.inputs, operands, strict=True)))
        for b, lates in zip(branches, inner, strict=True)
        for _, late in lates
    }
    indices = [_indices(part.apart) for part in parts]
    outputs = [*choice.outputs, *[Var(INDEX) for own in indices for _ in own]]
    whole, apart = [], []
    for k, (b, part) in enumerate(zip(branches, parts, strict=True)):
        taken, values = _of_branch(inner, k)
        chosen = [v if n == k else NOWHERE for n, own in enumerate(indices) for v in own]
        results = [*b.outputs, *chosen]
        whole.append(Program(b.inputs, part.whole.equations, [*results, *taken], b.name))
        apart.append(Program([*b.inputs, *values], part.apart.equations, results, b.name))
    values = [v for late in outer.values() for v in late.values]
    divided = _with(choice, [*operands, *values], apart, outputs)
    return _with(choice, operands, whole, [*outputs, *outer]), _pieces(divided), outer


def _indices(branch: Program) -> list[Var]:
    """By what a branch chooses again, unless that is one of its results anyway."""
    known = {*branch.inputs, *branch.outputs}
    indices = dict.fromkeys(e.inputs[0] for e in branch.equations if is_choice(e))
    return [v for v in indices if isinstance(v, Var) and v not in known]


def _of_branch(
    lates: Sequence[Sequence[tuple[Atom, Late]]], branch: int
) -> tuple[list[Atom], list[Var]]:
    """In one branch, of what all compute: whether it was computed, and its values as inputs."""
    every = [(k == branch, taken, late) for k, own in enumerate(lates) for taken, late in own]
    taken = [taken if mine else Literal(np.False_) for mine, taken, _ in every]
    return taken, [v if mine else Var(v.aval) for mine, _, late in every for v in late.values]


def _pieces(choice: Equation) -> list[Equation]:
    """A choice for every result that may be made again, and one for the others.

    Those that choose by a result of this choice read that result.
    """
    indices = [i for i, v in enumerate(choice.outputs) if v.aval == INDEX]
    branches = []
    for b in choice.params["branches"]:
        own: list[Var] = []
        for a in [b.outputs[i] for i in indices]:
            new = isinstance(a, Var) and a not in b.inputs and a not in own
            own.append(a if isinstance(a, Var) and new else Var(INDEX))
        branches.append(Program([*b.inputs, *own], b.equations, b.outputs, b.name))
    operands = [*choice.inputs[1:], *[choice.outputs[i] for i in indices]]
    reading = _with(choice, operands, branches, choice.outputs)
    pieces = [narrowed(choice, [i]) for i in indices]
    others = [i for i in range(len(choice.outputs)) if i not in indices]
    singles = {i: narrowed(reading, [i]) for i in others}
    rest = [i for i, e in singles.items() if instructions(e) is None]
    pieces += [e for i, e in singles.items() if i not in rest]
    return [*pieces, narrowed(choice, rest)] if rest else pieces


def _with(
    choice: Equation, operands: Sequence[Atom], branches: Sequence[Program], outputs: Sequence[Var]
) -> Equation:
    params = {**choice.params, "branches": tuple(branches)}
    inputs = [choice.inputs[0], *operands]
    return Equation(choice.primitive, inputs, params, outputs, choice.source)


def _lates(branch: Divided, mine: Sequence[Var]) -> list[tuple[Atom, Late]]:
    """What a branch and those in it compute of these of its inputs, after whether they do."""
    found: list[tuple[Atom, Late]] = [(Literal(np.True_), _own(branch.apart, mine))]
    for taken, late in branch.lates.items():
        before, reads = part_of(branch.apart, late.reads, mine)
        program = _one_after_another(before, late.program)
        found.append((taken, Late(program, tuple(reads), late.values)))
    return [(taken, late) for taken, late in found if late.values]


def _one_after_another(first: Program, then: Program) -> Program:
    run = lambda args: evaluate(then, evaluate(first, args))
    return make_program_flat(run, first.in_avals, then.name)


def _own(program: Program, mine: Sequence[Var]) -> Late:
    """What the rest of a branch reads of what these inputs determine."""
    same = determined(program, mine)
    others = [e for e in program.equations if not same.issuperset(e.outputs)]
    read = {*program.outputs, *[a for e in others for a in e.inputs]}
    values = [v for e in program.equations for v in e.outputs if v in same and v in read]
    part, reads = part_of(program, values, mine)
    return Late(part, tuple(reads), tuple(values))


def _raised(late: Late, operands: Mapping[Any, Atom]) -> Late:
    """The same outside of the choice."""
    reads = tuple(operands[v] for v in late.reads)
    return Late(late.program, reads, tuple(Var(v.aval.strong()) for v in late.values))


def late_program(
    lates: Mapping[Var, Late], wanted: Sequence[Var]
) -> tuple[Program, list[Var], list[Var]]:
    """(whether some step took the branch, for each late; reads…) → the wanted values.

    Returns:
        The Program, the variables that say of each late whether a step took it, and the reads.
    """
    lates = {taken: x for taken, x in lates.items() if not set(x.values).isdisjoint(wanted)}
    every = dict.fromkeys(a for late in lates.values() for a in late.reads)
    reads = [a for a in every if isinstance(a, Var)]

    def run(args: Sequence[Any]) -> list[Any]:
        known = Environment(reads, args[len(lates) :])
        results: dict[Var, Any] = {}
        for late, taken in zip(lates.values(), args, strict=False):
            index, operands = convert(taken, INDEX.dtype), known.read_all(late.reads)
            branches = (_zeros(late.program), late.program)
            values = registry["cond"].bind(index, *operands, branches=branches)
            results.update(zip(late.values, values, strict=True))
        return [results[v] for v in wanted]

    program = make_program_flat(run, [*[BOOL] * len(lates), *[v.aval for v in reads]])
    part, _ = part_of(program, program.outputs, (), program.inputs)
    return part, list(lates), reads


def _zeros(program: Program) -> Program:
    """Zeros in place of the results."""
    run = lambda _: [full(a.shape, 0, a.dtype) for a in program.out_avals]
    return make_program_flat(run, program.in_avals, program.name)


# --- making residuals again -----------------------------------------------------------------------


def instructions(equation: Equation) -> int | None:
    """For an element of its result, if that is computed from elements of its operands."""
    if is_choice(equation):
        return _instructions_of_branches(equation)
    lower = equation.primitive.lower
    if not isinstance(lower, Pointwise | Indexed) or equation.primitive.multiple_results:
        return None
    aval = equation.outputs[0].aval
    # an index takes a chain of them, but once for all elements that it finds
    index = aval.dtype.kind in "iub" and not aval.shape and lower.cost <= FEW_INSTRUCTIONS
    return 0 if index else lower.cost


def _instructions_of_branches(choice: Equation) -> int | None:
    """The most that a branch takes for an element of its only result; None as well where numbers
    are compared with their extremum, see `extremum_comparisons`."""
    if len(choice.outputs) != 1 or has_effects(choice):
        return None
    most = 0
    for b in choice.params["branches"]:
        costs = [instructions(e) for e in b.equations]
        total = sum(FEW_INSTRUCTIONS if c is None else c for c in costs)
        if None in costs or total >= FEW_INSTRUCTIONS or extremum_comparisons(b):
            return None
        most = max(most, total)
    return 1 + most


def merged(program: Program) -> Program:
    """The Program in which choices that only one other reads, of the same index, are part of it."""
    program = share_equal(program)
    readers: dict[Atom, set[Equation | None]] = {a: {None} for a in program.outputs}
    for e in program.equations:
        for a in e.inputs:
            readers.setdefault(a, set()).add(e)
    into: dict[Equation, Equation] = {}
    for e in reversed(program.equations):
        by = set().union(*[readers.get(v, set()) for v in e.outputs])
        last = by.pop() if len(by) == 1 else None
        if last is not None and last not in into and _by_one_index(e, last):
            into[e] = last
    if not into:
        return program
    firsts: dict[Equation, list[Equation]] = {}
    equations = []
    for e in program.equations:
        if e in into:
            firsts.setdefault(into[e], []).append(e)
        equations.append(_one_choice(firsts[e], e) if e in firsts else e)
    equations = [e for e in equations if e not in into]
    return merged(Program(program.inputs, equations, program.outputs, program.name))


def _by_one_index(*equations: Equation) -> bool:
    return all(is_choice(e) and not has_effects(e) for e in equations) and (
        len({e.inputs[0] for e in equations}) == 1
    )


def _one_choice(firsts: Sequence[Equation], last: Equation) -> Equation:
    choices = [*firsts, last]
    made = {v for c in firsts for v in c.outputs}
    reads = [a for c in choices for a in c.inputs[1:] if isinstance(a, Var) and a not in made]
    reads = list(dict.fromkeys(reads))

    def branch(k: int) -> Program:
        def run(args: Sequence[Any]) -> list[Any]:
            env = Environment(reads, args)
            for c in choices:
                outs = evaluate(c.params["branches"][k], env.read_all(c.inputs[1:]))
                env.write(
                    c, [convert(y, v.aval.dtype) for y, v in zip(outs, c.outputs, strict=True)]
                )
            return env.read_all(last.outputs)

        return merged(make_program_flat(run, [v.aval for v in reads], last.primitive.name))

    branches = [branch(k) for k in range(len(last.params["branches"]))]
    return narrowed(_with(last, reads, branches, last.outputs), range(len(last.outputs)))
