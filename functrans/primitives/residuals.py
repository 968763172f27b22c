"""What a loop keeps of each step for its derivative: as few bytes as make the rest again.

The derivative of a step reads values of that step, its residuals. Those that are the same in every
step are computed once, before the loop. Of the others some exist anyway: slices that the step
reads, results that it stacks, counters. A residual that a few instructions make of those, or of
something smaller, is made again where it is read; what is left is stacked.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any

from functrans.core.program import Atom, Literal, Program, Var
from functrans.core.simplify import share_equal
from functrans.primitives.arithmetic import add_p
from functrans.primitives.branch_residuals import (
    FEW_INSTRUCTIONS,
    divide,
    instructions,
    late_program,
)
from functrans.primitives.carries import Counts
from functrans.primitives.parts import determined, part_of, variables
from functrans.primitives.reductions import extremum_comparisons

Place = tuple[str, Any]

WORTH_HOISTING = 100
"""Elements up to which what is the same in every step is not computed before the loop, where that
would be a kernel of its own; in registers it costs nothing."""


@dataclass(frozen=True)
class Kept:
    """How a loop whose body gives its outputs and its residuals divides.

    Attributes:
        invariants: consts → values that are the same in every step.
        forward: body over (some invariants…, carry…, xs…) giving (carry…, ys…, stacked…).
        late: (whether any step took some branch…, some invariants…) → values that such branches
            compute, the same in every step that does.
        again: (some invariants and late values…, values of one step…) → the residuals.
        forward_reads, late_reads, again_reads: which invariants these are, the late values coming
            after them.
        taken: which results after the carry say whether a step took the branch.
        steps: where the values of a step are: ("x", i) in operand i of the xs, ("y", i) in result i
            after the carry, ("count", (i, step)) what part i of the carry counts by that step.
    """

    invariants: Program
    forward: Program
    late: Program
    again: Program
    forward_reads: tuple[int, ...]
    late_reads: tuple[int, ...]
    again_reads: tuple[int, ...]
    taken: tuple[int, ...]
    steps: tuple[Place, ...]


def keep(body: Program, count: int, counts: Counts) -> Kept:
    """Decide what to keep, given a body over (consts, carry, xs) with residuals after `count`
    outputs."""
    body = share_equal(body)
    consts, carry, xs = counts.divide(body.inputs)
    outputs, residuals = body.outputs[:count], body.outputs[count:]
    divided = divide(body, determined(body, consts))
    apart = divided.apart
    same = determined(apart, consts)
    late = [v for late in divided.lates.values() for v in late.values]
    places = _places(body, outputs, counts)
    stacked, sources = _needed(apart, residuals, same | places.keys() | set(late))
    of_steps = [v for v in [*places, *stacked] if v in sources and v not in same]
    fixed = [v for v in variables(apart) if v in same]
    given = [v for v in [*fixed, *late] if v in sources]
    again, again_reads = part_of(apart, residuals, given, of_steps)
    late = [v for v in again_reads if v not in same]
    values, taken, late_reads = late_program(divided.lates, late)
    stacked = list(dict.fromkeys([*stacked, *taken]))
    places.update((v, ("y", count - counts.carry + i)) for i, v in enumerate(stacked))
    forward, forward_reads = part_of(
        divided.whole, [*outputs, *stacked], fixed, [*carry, *xs], effects=True
    )
    first = [v for v in dict.fromkeys([*forward_reads, *late_reads, *again_reads]) if v in same]
    position = {v: i for i, v in enumerate([*first, *late])}
    return Kept(
        invariants=part_of(apart, first, (), consts)[0],
        forward=forward,
        late=values,
        again=again,
        forward_reads=tuple(position[v] for v in forward_reads),
        late_reads=tuple(position[v] for v in late_reads),
        again_reads=tuple(position[v] for v in again_reads),
        taken=tuple(places[v][1] for v in taken),
        steps=tuple(places[v] for v in of_steps),
    )


@dataclass(frozen=True)
class Record:
    """How a loop whose steps cannot stack divides.

    Attributes:
        forward: body over (consts…, carry…) giving (carry…, what is written down…).
        invariants: consts → values that are the same in every step.
        again: (invariants…, what was written down…) → the residuals.
    """

    forward: Program
    invariants: Program
    again: Program


def record(body: Program, count: int, consts: int) -> Record:
    """Decide what to write down, given a body over (consts, carry) with residuals after `count`
    outputs."""
    body = share_equal(body)
    given, residuals = body.inputs[:consts], body.outputs[count:]
    same = {v for v in determined(body, given) if v in given or v.aval.size > WORTH_HOISTING}
    written, sources = _needed(body, residuals, same)
    fixed = [v for v in variables(body) if v in same and v in sources]
    again, reads = part_of(body, residuals, fixed, written)
    outputs = [*body.outputs[:count], *written]
    return Record(
        forward=Program(body.inputs, body.equations, outputs, body.name),
        invariants=part_of(body, reads, (), given)[0],
        again=again,
    )


def _places(body: Program, outputs: Sequence[Atom], counts: Counts) -> dict[Var, Place]:
    """Where the values of a step are that exist anyway."""
    _, carry, xs = counts.divide(body.inputs)
    places: dict[Var, Place] = {}
    places.update((y, ("y", i)) for i, y in enumerate(outputs[counts.carry :]) if type(y) is Var)
    places.update((x, ("x", i)) for i, x in enumerate(xs))
    places.update(_counters(body, carry, outputs))
    return places


def _needed(body: Program, residuals: Sequence[Atom], free: Set[Var]) -> tuple[list[Var], set[Var]]:
    """What must be stacked, and all that the residuals are made of."""
    # once to see what must be stacked, once more as that may make what else would be
    kept = _sources(body, residuals, _made(body, free)) - free
    sources = _sources(body, residuals, _made(body, free, kept))
    return [v for v in variables(body) if v in sources and v not in free], sources


def _counters(body: Program, carry: Sequence[Var], outputs: Sequence[Atom]) -> dict[Var, Place]:
    """The parts of the carry that count: integers to which every step adds the same literal."""
    added: dict[Atom, tuple[Atom, int]] = {}
    for e in body.equations:
        if e.primitive is add_p and e.outputs[0].aval.dtype.kind in "iu":
            for a, b in (e.inputs, e.inputs[::-1]):
                if type(b) is Literal and not b.aval.shape:
                    added[e.outputs[0]] = (a, int(b.value))
    pairs = [(v, *added.get(out, (None, 0))) for v, out in zip(carry, outputs, strict=False)]
    return {
        v: ("count", (i, n)) for i, (v, of, n) in enumerate(pairs) if v is of and not v.aval.shape
    }


def _made(body: Program, free: Set[Var], kept: Set[Var] = frozenset()) -> set[Var]:
    """What a few instructions make again: of less than itself, or for what is kept of the rest.

    Not where an extremum is: see `extremum_comparisons`.
    """
    price = {v: v.aval.nbytes for v in body.inputs} | dict.fromkeys([*free, *kept], 0)
    work = dict.fromkeys(price, 0)
    masks = extremum_comparisons(body)
    made = set()
    for e in body.equations:
        own = instructions(e)
        reads = {a for a in e.inputs if isinstance(a, Var)}
        nbytes, total = sum(price[v] for v in reads), sum(work[v] for v in reads)
        for v in e.outputs:
            price[v], work[v] = 0 if v in free or v in kept else v.aval.nbytes, 0
            if v in free or v in masks or own is None:
                continue
            if total + own > FEW_INSTRUCTIONS:
                continue
            if nbytes < (1 if v in kept else v.aval.nbytes):
                price[v], work[v] = nbytes, total + own
                made.add(v)
    return made


def _sources(body: Program, residuals: Sequence[Atom], made: set[Var]) -> set[Var]:
    """The variables that the residuals are made of."""
    wanted = {a for a in residuals if isinstance(a, Var)}
    for e in reversed(body.equations):
        if not wanted.isdisjoint(e.outputs) and made.issuperset(e.outputs):
            wanted.difference_update(e.outputs)
            wanted.update(a for a in e.inputs if isinstance(a, Var))
    return wanted
