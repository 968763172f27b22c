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

from functrans.core.effects import has_effects
from functrans.core.lowering import Indexed, Pointwise
from functrans.core.program import Atom, Equation, Literal, Program, Var
from functrans.core.simplify import share_equal
from functrans.primitives.arithmetic import add_p
from functrans.primitives.carries import Counts
from functrans.primitives.reductions import extremum_comparisons

Place = tuple[str, Any]

FEW_INSTRUCTIONS = 10
"""How many may make an element again: a store and a load later take about as long."""


@dataclass(frozen=True)
class Kept:
    """How a loop whose body gives its outputs and its residuals divides.

    Attributes:
        invariants: consts → values that are the same in every step.
        forward: body over (some invariants…, carry…, xs…) giving (carry…, ys…, stacked…).
        again: (some invariants…, values of one step…) → the residuals.
        forward_reads, again_reads: which invariants these are.
        steps: where the values of a step are: ("x", i) in operand i of the xs, ("y", i) in result i
            after the carry, ("count", (i, step)) what part i of the carry counts by that step.
    """

    invariants: Program
    forward: Program
    again: Program
    forward_reads: tuple[int, ...]
    again_reads: tuple[int, ...]
    steps: tuple[Place, ...]


def keep(body: Program, count: int, counts: Counts) -> Kept:
    """Decide what to keep, given a body over (consts, carry, xs) with residuals after `count`
    outputs."""
    body = share_equal(body)
    consts, carry, xs = counts.divide(body.inputs)
    outputs, residuals = body.outputs[:count], body.outputs[count:]
    same = _invariant(body, consts)
    places: dict[Var, Place] = {}
    places.update((y, ("y", i)) for i, y in enumerate(outputs[counts.carry :]) if type(y) is Var)
    places.update((x, ("x", i)) for i, x in enumerate(xs))
    places.update(_counters(body, carry, outputs))
    free = same | places.keys()
    # once to see what must be stacked, once more as that may make what else would be
    kept = _sources(body, residuals, _made(body, free)) - free
    sources = _sources(body, residuals, _made(body, free, kept))
    stacked = [v for v in _variables(body) if v in sources and v not in free]
    places.update((v, ("y", count - counts.carry + i)) for i, v in enumerate(stacked))
    of_steps = [v for v in places if v in sources and v not in same]
    again, again_reads = _slice(body, residuals, sources & same, of_steps)
    forward, forward_reads = _slice(body, [*outputs, *stacked], same, [*carry, *xs], effects=True)
    position = {v: i for i, v in enumerate(dict.fromkeys([*forward_reads, *again_reads]))}
    invariants, _ = _slice(body, list(position), set(), consts)
    return Kept(
        invariants,
        forward,
        again,
        tuple(position[v] for v in forward_reads),
        tuple(position[v] for v in again_reads),
        tuple(places[v] for v in of_steps),
    )


def _variables(body: Program) -> list[Var]:
    return [*body.inputs, *[v for e in body.equations for v in e.outputs]]


def _invariant(body: Program, consts: Sequence[Var]) -> set[Var]:
    """What depends on the consts alone, unless it only spreads out something smaller."""
    known, worth = set(consts), set(consts)
    for e in body.equations:
        reads = [a for a in e.inputs if isinstance(a, Var)]
        if not has_effects(e) and known.issuperset(reads):
            known.update(e.outputs)
            if type(e.primitive.lower) is not Indexed or _nbytes(e.outputs) <= _nbytes(reads):
                worth.update(e.outputs)
    return worth


def _nbytes(variables: Sequence[Var]) -> int:
    return sum(v.aval.nbytes for v in variables)


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
    price = {v: 0 if v in free or v in kept else v.aval.nbytes for v in body.inputs}
    work = dict.fromkeys(body.inputs, 0)
    masks = extremum_comparisons(body)
    made = set()
    for e in body.equations:
        instructions = _instructions(e)
        reads = {a for a in e.inputs if isinstance(a, Var)}
        nbytes, total = sum(price[v] for v in reads), sum(work[v] for v in reads)
        for v in e.outputs:
            price[v], work[v] = 0 if v in free or v in kept else v.aval.nbytes, 0
            if v in free or v in masks or instructions is None:
                continue
            if total + instructions > FEW_INSTRUCTIONS:
                continue
            if nbytes < (1 if v in kept else v.aval.nbytes):
                price[v], work[v] = nbytes, total + instructions
                made.add(v)
    return made


def _instructions(equation: Equation) -> int | None:
    """For an element of its result, if that is computed from elements of its operands."""
    lower = equation.primitive.lower
    if not isinstance(lower, Pointwise | Indexed) or equation.primitive.multiple_results:
        return None
    aval = equation.outputs[0].aval
    # an index takes a chain of them, but once for all elements that it finds
    index = aval.dtype.kind in "iub" and not aval.shape and lower.cost <= FEW_INSTRUCTIONS
    return 0 if index else lower.cost


def _sources(body: Program, residuals: Sequence[Atom], made: set[Var]) -> set[Var]:
    """The variables that the residuals are made of."""
    wanted = {a for a in residuals if isinstance(a, Var)}
    for e in reversed(body.equations):
        if not wanted.isdisjoint(e.outputs) and made.issuperset(e.outputs):
            wanted.difference_update(e.outputs)
            wanted.update(a for a in e.inputs if isinstance(a, Var))
    return wanted


def _slice(
    body: Program,
    outputs: Sequence[Atom],
    same: Set[Var],
    inputs: Sequence[Var],
    effects: bool = False,
) -> tuple[Program, list[Var]]:
    """The part of the body over (those of `same` that it reads…, inputs…), and which these are."""
    given = {*same, *inputs}
    wanted = {a for a in outputs if isinstance(a, Var)}
    equations = []
    for e in reversed(body.equations):
        needed = any(v in wanted and v not in given for v in e.outputs)
        if needed or (effects and has_effects(e)):
            equations.append(e)
            wanted.update(a for a in e.inputs if isinstance(a, Var))
    reads = [v for v in _variables(body) if v in wanted and v in same]
    return Program([*reads, *inputs], equations[::-1], outputs, body.name), reads
