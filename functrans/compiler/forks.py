"""Long loops that need nothing of each other, side by side: steps that threads share.

A step comes after those whose results it reads, and after those that read or write memory which it
overwrites. The *rank* of a step is the greatest number of long steps that come one after the other
before it; so steps of one rank need nothing of each other. Steps are put in order of rank, short
ones before long ones, and long ones of one rank form a *fork*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functrans.compiler.grouping import Kernel, Single, Step, View
from functrans.compiler.updates import Updates
from functrans.core.effects import has_effects
from functrans.core.program import Equation, Program, Var, programs_in

LARGEST = 1 << 14
"""Elements of an array up to which one thread computes it in a loop anyway."""
LOOPS = ("scan", "while_loop")


@dataclass
class Fork:
    """A step that is several at the same time."""

    steps: list[Single]


def forked(
    steps: Sequence[Step],
    long: Sequence[bool],
    updates: Updates,
    stored: set[Var],
    places: Mapping[Var, int],
) -> list[Step | Fork]:
    """The steps in an order in which long ones that can run side by side do.

    Args:
        steps: in an order in which they can run.
        long: which of them are worth a thread.
        updates: what is overwritten.
        stored: variables computed by kernels that exist as arrays.
        places: the slots of variables that have some already; two may have one.
    """
    if sum(long) < 2:
        return list(steps)
    ranks = _ranks(steps, long, _Order(updates, stored, places))
    arranged: list[Step | Fork] = []
    for number in range(max(ranks) + 1):
        mine = [i for i, rank in enumerate(ranks) if rank == number]
        arranged += [steps[i] for i in mine if not long[i]]
        several = [step for i in mine if long[i] and isinstance(step := steps[i], Single)]
        arranged += several if len(several) < 2 else [Fork(several)]
    return arranged


def _ranks(steps: Sequence[Step], long: Sequence[bool], order: _Order) -> list[int]:
    ranks: list[int] = []
    for i, step in enumerate(steps):
        ranks.append(max((ranks[j] + long[j] for j in order.before(i, step)), default=0))
    return ranks


class _Order:
    """Which steps must come before others."""

    def __init__(self, updates: Updates, stored: set[Var], places: Mapping[Var, int]) -> None:
        self._updates, self._stored = updates, stored
        self._memory: dict[Var, Any] = dict(places)
        self._views: dict[Var, set[Any]] = {}
        self._writer: dict[Any, int] = {}
        self._readers: dict[Any, list[int]] = {}

    def before(self, number: int, step: Step) -> set[int]:
        """Those among the steps so far that must come before this one, which is the next."""
        reads, writes = self._accesses(step)
        found = {self._writer[m] for m in reads | writes if m in self._writer}
        found.update(j for m in writes for j in self._readers.get(m, ()))
        for m in writes:
            self._writer[m] = number
            self._readers[m] = []
        for m in reads:
            self._readers.setdefault(m, []).append(number)
        return found

    def _accesses(self, step: Step) -> tuple[set[Any], set[Any]]:
        """The memory that a step reads, and that it writes; views give what is read a name."""
        if isinstance(step, Kernel):
            results = {v for m in step.members for v in m.equation.outputs if v in self._stored}
            return self._of(step.reads), self._of(results)
        equation = step.equation
        operands = [a for a in equation.inputs if isinstance(a, Var)]
        if isinstance(step, View):
            (name,) = equation.outputs
            self._views[name] = self._of(operands) | {name}
            return self._of(operands), {name}
        for operand, result in self._updates.shared(equation):
            self._memory.setdefault(result, self._memory.get(operand, operand))
        # effects happen in the order in which they were written
        effects = {"effects"} if has_effects(equation) else set()
        return self._of(operands), self._of(equation.outputs) | effects

    def _of(self, variables: Iterable[Var]) -> set[Any]:
        found: set[Any] = set()
        for v in variables:
            found |= self._views.get(v) or {self._memory.get(v, v)}
        return found


def is_alone(equation: Equation) -> bool:
    """Whether an equation is a loop that one thread runs, and that needs nothing of Python."""
    name = equation.primitive.name
    return name in LOOPS and not has_effects(equation) and _is_small(equation)


def _is_small(equation: Equation) -> bool:
    programs: list[Program] = list(programs_in(equation.params))
    if programs:
        return all(_is_small(e) for p in programs for e in p.equations)
    return all(v.aval.size <= LARGEST for v in equation.outputs) and equation.flops <= 32 * LARGEST
