"""Which equations become one kernel: what is inlined, then the steps of a Program.

An elementwise or index primitive is a function from an index to an element, so its result need not
exist as an array: it is *inlined*, computed where it is read. What is read several times and costs
more than reading it back is a *member* of a kernel (functrans/compiler/grouping.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from functrans.compiler.forms import is_elemental, is_fused, is_reduction, own_weight
from functrans.compiler.grouping import (
    ARRAY_LIMIT,
    KERNEL_LIMIT,
    LONG_CHAIN,
    SHORT_LIMIT,
    Grouper,
    Step,
)
from functrans.compiler.updates import NOTHING, Updates
from functrans.compiler.views import choose_views
from functrans.core.lowering import Indexed, Pointwise
from functrans.core.program import Equation, Program, Var
from functrans.primitives.reductions import extremum_comparisons

RECOMPUTE_LIMIT = 10
"""Instructions per element that are cheaper done again than stored and loaded."""


@dataclass
class Partition:
    """A Program as steps.

    Attributes:
        steps: in the order of execution.
        inlined: the equation of every variable that is computed where it is read.
        stored: variables computed by a kernel that must exist as arrays.
    """

    steps: list[Step]
    inlined: dict[Var, Equation]
    stored: set[Var]


def partition(program: Program, updates: Updates = NOTHING) -> Partition:
    """Group the equations of a simplified Program into steps.

    What `updates` overwrites is read by steps before the one that overwrites it.
    """
    limit = SHORT_LIMIT if longest_chain(program) > LONG_CHAIN else KERNEL_LIMIT
    consumers = consumers_of(program)
    views = choose_views(program, consumers, updates)
    inlined = choose_inlined(program, consumers, limit, views, updates)
    grouper = Grouper(inlined, {a for a in program.outputs if isinstance(a, Var)}, limit)
    for equation in program.equations:
        if equation.outputs and equation.outputs[0] in inlined:
            continue
        if updates.of(equation):
            grouper.single(equation)
        elif equation.outputs and equation.outputs[0] in views:
            grouper.view(equation)
        elif is_fused(equation):
            grouper.place(equation)
        else:
            grouper.single(equation)
    return Partition(grouper.steps, inlined, grouper.stored)


# --- inlining -------------------------------------------------------------------------------------


def longest_chain(program: Program) -> int:
    """Instructions on the longest way from arrays to an element, were nothing stored between."""
    length: dict[Any, int] = {}
    for equation in program.equations:
        if is_elemental(equation):
            below = max((length.get(a, 0) for a in equation.inputs), default=0)
            length.update(dict.fromkeys(equation.outputs, below + own_weight(equation)))
    return max(length.values(), default=0)


def consumers_of(program: Program) -> dict[Var, list[Equation]]:
    """The equations that read each variable."""
    consumers: dict[Var, list[Equation]] = defaultdict(list)
    for equation in program.equations:
        for atom in set(equation.inputs):
            if isinstance(atom, Var):
                consumers[atom].append(equation)
    return consumers


def choose_inlined(
    program: Program,
    consumers: dict[Var, list[Equation]],
    limit: int,
    views: Collection[Var],
    updates: Updates,
) -> dict[Var, Equation]:
    """The variables that are computed where they are read, in chains of at most `limit`."""
    outputs = {a for a in program.outputs if isinstance(a, Var)}
    elemental = set(filter(is_elemental, program.equations))
    fused = elemental.union(filter(is_reduction, program.equations))
    weight = _chain_weights(program, consumers, limit, elemental, fused)
    once = _compared_with_extrema(program)
    times_read: dict[Var, float] = {}
    inlined: dict[Var, Equation] = {}
    computed: dict[Equation, int] = {}
    last = len(program.equations) - 1
    for position, equation in zip(range(last, -1, -1), reversed(program.equations), strict=True):
        computed[equation] = position
        if equation not in elemental or len(equation.outputs) != 1 or updates.of(equation):
            continue
        var = equation.outputs[0]
        if var in outputs or not consumers[var] or var in views:
            continue
        if not fused.issuperset(consumers[var]):
            continue
        if any(c.outputs[0] in views or updates.of(c) for c in consumers[var]):
            continue
        latest = max(computed[c] for c in consumers[var])
        if any(latest > updates.until[a] for a in equation.inputs if a in updates.until):
            continue
        reads = sum(_reads(var, c, inlined, times_read) for c in consumers[var])
        if var in once and weight[var] > 1 and reads > 1:
            continue
        if weight[var] < limit and weight[var] * (reads - 1) <= RECOMPUTE_LIMIT:
            inlined[var] = equation
            times_read[var] = reads
            computed[equation] = latest
    return inlined


def _compared_with_extrema(program: Program) -> set[Var]:
    """What is looked for among the same numbers, see `extremum_comparisons`."""
    compared: set[Any] = {
        x for operands in extremum_comparisons(program).values() for x in operands
    }
    for equation in reversed(program.equations):
        is_index = isinstance(equation.primitive.lower, Indexed)
        if is_index and not compared.isdisjoint(equation.outputs):
            compared.update(equation.inputs)
    return compared


def _chain_weights(
    program: Program,
    consumers: dict[Var, list[Equation]],
    limit: int,
    elemental: set[Equation],
    fused: set[Equation],
) -> dict[Var, int]:
    """Instructions per element to compute a variable from arrays.

    Arrays are what libraries read, what takes long and is needed often, and what ends a chain of so
    many instructions or arrays that it is cut: that weighs `limit` or more.
    """
    weight: dict[Var, int] = {}
    arrays: dict[Var, set[Var]] = {}
    stored: set[Any] = set()
    for equation in program.equations:
        if equation not in elemental:
            continue
        total, read = own_weight(equation), set()
        for atom in equation.inputs:
            if isinstance(atom, Var):
                computed = atom not in stored and weight.get(atom, limit) < limit
                total += weight[atom] if computed else 0
                read |= arrays[atom] if computed else {atom}
        for var in equation.outputs:
            weight[var] = total if len(read) <= ARRAY_LIMIT else max(total, limit)
            arrays[var] = read
            often = total * (_times(var, consumers[var], elemental) - 1) > RECOMPUTE_LIMIT
            if often or not fused.issuperset(consumers[var]):
                stored.add(var)
    return weight


def _times(var: Var, consumers: list[Equation], elemental: set[Equation]) -> float:
    """How often each element of var is computed if it is where consumers read it."""
    return sum(_reads(var, c, {}, {}) if c in elemental else 1.0 for c in consumers)


def _reads(var: Var, consumer: Equation, inlined: dict, times_read: dict[Var, float]) -> float:
    """How often each element of var is computed on behalf of a consumer."""
    if is_reduction(consumer):
        return 1.0
    out = consumer.outputs[0]
    size = max(out.aval.size, 1) / max(var.aval.size, 1)
    ratio = max(size, 1.0) if _repeats(consumer) else 1.0
    return ratio * (times_read[out] if out in inlined else 1.0)


def _repeats(consumer: Equation) -> bool:
    """Whether a consumer may read an element of its operand more than once."""
    lower = consumer.primitive.lower
    return isinstance(lower, Pointwise) or consumer.primitive.name in (
        "broadcast",
        "gather",
        "windows",
    )
