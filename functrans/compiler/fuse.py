"""Which equations become one kernel: inlining of producers, then grouping by iteration space.

An elementwise or index primitive is a function from an index to an element, so its result need not
exist as an array: it is *inlined*, computed where it is read. What is read several times and costs
more than reading it back is a *member* of a kernel: a loop nest over one iteration space that
computes its members, in registers for one another, and stores what others need.

Steps are executed in order; a member joins the earliest kernel of its iteration space that comes
after everything it reads, so grouping takes one pass and never makes a cycle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from functrans.compiler import math as elementary
from functrans.compiler.llvm import SUPPORTED, Builder
from functrans.core.lowering import Indexed, Pointwise, Reduce
from functrans.core.program import Equation, Program, Var

RECOMPUTE_LIMIT = 10
"""Instructions per element that are cheaper done again than stored and loaded."""
KERNEL_LIMIT = 160
"""Instructions after which a chain is cut, so that compile time stays linear in the program."""
MEMBER_LIMIT = 24
"""Arrays a kernel touches at most: more streams than the hardware prefetches."""

Shape = tuple[int, ...]


@dataclass
class Kernel:
    """A step that is one loop nest over `shape`; `reduced` are the axes its reductions fold."""

    shape: Shape
    reduced: tuple[int, ...]
    members: list[Equation] = field(default_factory=list)
    weight: int = 0
    reads: set[Var] = field(default_factory=set)


@dataclass
class Single:
    """A step that is one equation: a library call, control flow, or a call of NumPy."""

    equation: Equation


Step = Kernel | Single


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


def partition(program: Program) -> Partition:
    """Group the equations of a simplified Program into steps."""
    inlined = choose_inlined(program)
    steps: list[Step] = []
    step_of: dict[Var, int] = {}
    open_kernels: dict[tuple, list[int]] = defaultdict(list)
    stored = {a for a in program.outputs if isinstance(a, Var)}
    for equation in program.equations:
        if equation.outputs[0] in inlined:
            continue
        if not is_elemental(equation) and not is_reduction(equation):
            position = len(steps)
            steps.append(Single(equation))
            stored.update(a for a in equation.inputs if isinstance(a, Var))
        else:
            position = _place(equation, inlined, steps, step_of, open_kernels, stored)
        for var in equation.outputs:
            step_of[var] = position
    return Partition(steps, inlined, stored)


def is_elemental(equation: Equation) -> bool:
    """Whether the result is a function from index to element that kernels can compute."""
    lower = equation.primitive.lower
    if isinstance(lower, Pointwise):
        return _supported(equation) and _has_emitter(equation)
    return isinstance(lower, Indexed) and _supported(equation)


def emitter(emit: Callable[..., Any] | str) -> Callable[..., Any] | None:
    """The function that emits an element: a method of Builder or an elementary function by name."""
    if not isinstance(emit, str):
        return emit
    return getattr(Builder, emit, None) or getattr(elementary, emit, None)


def is_reduction(equation: Equation) -> bool:
    return isinstance(equation.primitive.lower, Reduce) and _supported(equation)


def iteration_shape(equation: Equation) -> Shape:
    """The loops an equation needs: those of its operand if it reduces, else of its result."""
    source = equation.inputs[0] if is_reduction(equation) else equation.outputs[0]
    return source.aval.shape


def _has_emitter(equation: Equation) -> bool:
    """Whether the element can be emitted; some elementary functions have no complex form."""
    found = emitter(equation.primitive.lower.emit)
    is_complex = any(a.aval.dtype.kind == "c" for a in equation.inputs)
    return found is not None and not (is_complex and getattr(found, "complex", True) is None)


def _supported(equation: Equation) -> bool:
    return all(a.aval.dtype in SUPPORTED for a in (*equation.inputs, *equation.outputs))


# --- inlining -------------------------------------------------------------------------------------


def choose_inlined(program: Program) -> dict[Var, Equation]:
    """The variables that are computed where they are read."""
    consumers: dict[Var, list[Equation]] = defaultdict(list)
    for equation in program.equations:
        for atom in set(equation.inputs):
            if isinstance(atom, Var):
                consumers[atom].append(equation)
    outputs = {a for a in program.outputs if isinstance(a, Var)}
    weight = _chain_weights(program, consumers)
    times_read: dict[Var, float] = {}
    inlined: dict[Var, Equation] = {}
    for equation in reversed(program.equations):
        if not is_elemental(equation) or len(equation.outputs) != 1:
            continue
        var = equation.outputs[0]
        if var in outputs or not consumers[var]:
            continue
        if not all(is_elemental(c) or is_reduction(c) for c in consumers[var]):
            continue
        reads = sum(_reads(var, c, inlined, times_read) for c in consumers[var])
        if weight[var] < KERNEL_LIMIT and weight[var] * (reads - 1) <= RECOMPUTE_LIMIT:
            inlined[var] = equation
            times_read[var] = reads
    return inlined


def _chain_weights(program: Program, consumers: dict[Var, list[Equation]]) -> dict[Var, int]:
    """Instructions per element to compute a variable from arrays, cut where a chain gets long."""
    weight: dict[Var, int] = {}
    for equation in program.equations:
        if not is_elemental(equation):
            continue
        total = _own_weight(equation)
        for atom in equation.inputs:
            if isinstance(atom, Var):
                below = weight.get(atom, 0)
                shared = len(consumers[atom]) > 1 and below > RECOMPUTE_LIMIT
                total += 0 if shared or below >= KERNEL_LIMIT else below
        for var in equation.outputs:
            weight[var] = total
    return weight


def _own_weight(equation: Equation) -> int:
    lower = equation.primitive.lower
    return lower.cost if isinstance(lower, Pointwise) else 0


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
    return isinstance(lower, Pointwise) or consumer.primitive.name in ("broadcast", "gather")


# --- grouping ---------------------------------------------------------------------------------------


def _place(
    equation: Equation,
    inlined: dict[Var, Equation],
    steps: list[Step],
    step_of: dict[Var, int],
    open_kernels: dict[tuple, list[int]],
    stored: set[Var],
) -> int:
    """The step of a member: an open kernel that it fits, or a new one."""
    shape = iteration_shape(equation)
    reduced = equation.params["axes"] if is_reduction(equation) else None
    reads = member_reads(equation, inlined)
    weight = sum(_own_weight(e) for e in reads.equations) + _own_weight(equation) + 1
    position = _joinable(shape, reduced, reads, weight, steps, step_of, open_kernels)
    if position is None:
        position = len(steps)
        steps.append(Kernel(shape, reduced or ()))
        open_kernels[shape].append(position)
    kernel = steps[position]
    assert isinstance(kernel, Kernel)
    kernel.members.append(equation)
    kernel.weight += weight
    kernel.reduced = kernel.reduced or reduced or ()
    kernel.reads.update(reads.pointwise, reads.elsewhere)
    for var in reads.pointwise:
        if step_of.get(var, -1) != position or var in reads.elsewhere:
            stored.add(var)
    stored.update(reads.elsewhere)
    if reduced is not None:
        stored.update(equation.outputs)
    return position


def _joinable(
    shape: Shape,
    reduced: tuple[int, ...] | None,
    reads: Reads,
    weight: int,
    steps: list[Step],
    step_of: dict[Var, int],
    open_kernels: dict[tuple, list[int]],
) -> int | None:
    earliest = max((step_of.get(v, -1) + 1 for v in reads.elsewhere), default=0)
    for var in reads.pointwise:
        position = step_of.get(var, -1)
        kernel = steps[position] if position >= 0 else None
        within = isinstance(kernel, Kernel) and kernel.shape == shape and not _folded(var, kernel)
        earliest = max(earliest, position if within else position + 1)
    for position in reversed(open_kernels[shape][-4:]):
        kernel = steps[position]
        assert isinstance(kernel, Kernel)
        fits = reduced is None or kernel.reduced in ((), reduced)
        small = kernel.weight + weight <= 2 * KERNEL_LIMIT and (
            len(kernel.reads | reads.pointwise | reads.elsewhere) + len(kernel.members)
            <= MEMBER_LIMIT
        )
        if position >= earliest and fits and small:
            return position
    return None


def _folded(var: Var, kernel: Kernel) -> bool:
    """Whether var is the result of a reduction of the kernel, known only after its loops."""
    return any(var in e.outputs and is_reduction(e) for e in kernel.members)


@dataclass
class Reads:
    """What a member reads, seen through what is inlined into it."""

    pointwise: set[Var] = field(default_factory=set)
    """Arrays read only at the index of the iteration itself."""
    elsewhere: set[Var] = field(default_factory=set)
    equations: list[Equation] = field(default_factory=list)
    """The inlined equations."""


def member_reads(equation: Equation, inlined: dict[Var, Equation]) -> Reads:
    """The arrays that a member reads, and whether at its own index."""
    reads = Reads()
    shape = iteration_shape(equation)
    pending: list[tuple[Equation, bool]] = [(equation, True)]
    seen: set[tuple[int, bool]] = set()
    while pending:
        current, aligned = pending.pop()
        moves = isinstance(current.primitive.lower, Indexed) and current.primitive.name != "copy"
        for atom in current.inputs:
            if not isinstance(atom, Var):
                continue
            here = aligned and not moves and atom.aval.shape == shape
            producer = inlined.get(atom)
            if producer is None:
                (reads.pointwise if here else reads.elsewhere).add(atom)
            elif (id(producer), here) not in seen:
                seen.add((id(producer), here))
                reads.equations.append(producer)
                pending.append((producer, here))
    reads.pointwise -= reads.elsewhere
    return reads


def kernel_outputs(kernel: Kernel, stored: set[Var]) -> Sequence[Var]:
    """The variables a kernel writes to memory."""
    return [v for e in kernel.members for v in e.outputs if v in stored]
