"""The loops of a kernel: which axes go together, and where loops are cut.

A kernel with index operations is emitted more than once: the indices that were computed in one loop
nest show what another one would save.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from functrans.compiler.grouping import Kernel
from functrans.compiler.index import Condition, Counter, IndexExpr
from functrans.core.lowering import Indexed
from functrans.core.program import Equation, Literal, Var

RESULTS_IN_CACHE = 4096
"""Results over which a sum goes again and again: as many as the nearest cache holds."""
TILE = 8, 4
"""Iterations of the two loops of a tile, in an array that is read across the order in which another
is written: lines that were read once are still in the cache when their next elements are needed.
A matrix of 1024×1024 float32 is transposed in 0.19 ms, and without tiles in 1.8, since elements a
power of two apart have the same few places in a cache."""
FAR = 128
"""Elements between neighbours from which tiles pay."""
HEAVY = 16
"""Instructions per element from which vectors, which tiles are too narrow for, are worth more: but
where neighbours lie a multiple of CONFLICTING elements apart."""
CONFLICTING = 256
FEWER_JUMPS = 3
"""Indices with which neighbours of the innermost loop lie apart: so many less that it is exchanged
for another loop. A Hessian reads several arrays column by column and writes its rows."""
CONFLICT = 8
"""What a jump counts if its elements have the same few places in a cache."""
LONG_LOOP = 16
"""Iterations of a loop that may become the innermost one."""
MOST_SEGMENTS = 32
"""Of a loop. Each is a loop of its own, which LLVM takes 4 ms for; or none, if all of them are
single iterations."""
VECTORISED = 5
"""Segments of which vectors are made at most: LLVM takes 15 ms for each."""
SHORTEST_VECTORS = 8
"""Iterations of a segment of which vectors are made."""
LIGHT = 4
"""Instructions in a segment that need no vectors."""
SEGMENTS_WEIGHT = 160
"""Instructions in all segments."""
LONG_SEGMENT = 16
"""Iterations of the longest segment from which it pays to have conditions decided in it."""
MANY_ITERATIONS = 256
"""Of the whole kernel, from which on it pays."""
VERY_MANY = 1 << 14
"""From which on it pays for any segments, if no other condition is left: 16 arrays of 500×20
float32 side by side take 20 µs, and took 92."""


@dataclass(frozen=True)
class Loop:
    """A loop over one or several merged axes of the iteration space."""

    axes: tuple[int, ...]
    counter: Counter
    reduced: bool


Cut = tuple[Loop, int]
"""A loop, and the iterations of the inner one of the two that it is cut into."""


def loops_of(kernel: Kernel, apart: set[int]) -> list[Loop]:
    """The loops, outermost first: axes of extent one dropped, axes that go together merged."""
    axes = [a for a, n in enumerate(kernel.shape) if n != 1]
    groups: list[list[int]] = []
    for axis in axes:
        same = (
            groups
            and (groups[-1][-1] in kernel.reduced) == (axis in kernel.reduced)
            and not any(d in apart for d in range(groups[-1][-1] + 1, axis + 1))
        )
        if same:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    loops = []
    for position, group in enumerate(groups):
        extent = int(np.prod([kernel.shape[a] for a in group], dtype=np.int64))
        reduced = group[0] in kernel.reduced
        loops.append(Loop(tuple(group), Counter(position, extent), reduced))
    if not loops or loops[-1].reduced:
        return [g for g in loops if not g.reduced] + [g for g in loops if g.reduced]
    first = next((i for i, g in enumerate(loops) if g.reduced), len(loops))
    folded = [g for g in loops if g.reduced]
    inner = [g for g in loops[first:] if not g.reduced]
    if math.prod(g.counter.extent for g in inner) > RESULTS_IN_CACHE:
        return [*loops[:first], *inner[:-1], *folded, loops[-1]]
    return [*loops[:first], *folded, *inner]


def crossed(loops: Sequence[Loop], indices: Sequence[IndexExpr], weight: int) -> list[Loop]:
    """The two loops that are to be tiled: neighbours of the first lie together in an array in which
    neighbours of the second, the innermost, are far apart. Empty if there are none."""
    if len(loops) < 2 or any(loop.reduced for loop in loops):
        return []
    *others, inner = loops
    light = weight < HEAVY
    for index in indices:
        step = abs(index.coefficient(inner.counter))
        if step >= FAR and (light or step % CONFLICTING == 0):
            near = [loop for loop in others if abs(index.coefficient(loop.counter)) == 1]
            if near and all(map(_divides, TILE, (near[0], inner))):
                return [near[0], inner]
    return []


def exchanged(loops: Sequence[Loop], indices: Sequence[IndexExpr]) -> Loop | None:
    """The loop that is to be the innermost one instead, as with it fewer indices jump; or None."""
    if len(loops) < 2 or any(loop.reduced for loop in loops):
        return None

    def jumps(loop: Loop) -> int:
        steps = [abs(index.coefficient(loop.counter)) for index in indices]
        return sum(1 if step % FAR else CONFLICT for step in steps if step > 1)

    long = [loop for loop in loops if loop.counter.extent >= LONG_LOOP]
    best = min(reversed(long), key=jumps, default=loops[-1])
    return best if jumps(best) + FEWER_JUMPS <= jumps(loops[-1]) else None


def divided(loops: Sequence[Loop], indices: Sequence[IndexExpr]) -> Cut | None:
    """A loop whose counter some index divides, and where to cut it so that this one needs not."""
    for quotient in (q for index in indices for q in index.quotients):
        if len(quotient.index.terms) == 1:
            ((counter, factor),) = quotient.index.terms
            loop = next((x for x in loops if x.counter == counter), None)
            size, rest = divmod(quotient.divisor, factor)
            if loop and not rest and size > 1 and loop.counter.extent % size == 0:
                return loop, size
    return None


def breaks(kernel: Kernel, loops: Sequence[Loop], conditions: Sequence[Condition]) -> list[int]:
    """Where to cut the innermost loop into segments in which conditions on its counter are decided:
    an array that is rolled, padded or put together of several is read there without a branch."""
    iterations = math.prod(loop.counter.extent for loop in loops)
    if not loops or iterations < MANY_ITERATIONS or kernel.folds is not loops[-1].reduced:
        return []  # sums of columns go over their innermost loop in two places
    inner = loops[-1].counter
    points: set[int] = set()
    others = 0
    for condition in conditions:
        factor, constant = condition.index.coefficient(inner), condition.index.constant
        if len(condition.index.terms) == 1 and factor and not condition.divisor:
            points.add(-(constant // factor) if factor > 0 else constant // -factor + 1)
        else:
            others += 1
    inside = sorted(p for p in points if 0 < p < inner.extent)
    lengths = [b - a for a, b in itertools.pairwise([0, *inside, inner.extent])]
    if len(lengths) > MOST_SEGMENTS:
        return []
    vectors, weight = len(vectors_in(lengths)), max(kernel.weight, 1)
    unrolled = max(lengths) == 1 and len(loops) > 1
    few = vectors <= min(VECTORISED, SEGMENTS_WEIGHT // weight) and max(lengths) >= LONG_SEGMENT
    fast = vectors <= VECTORISED or weight <= LIGHT * len(lengths)
    pays = fast and not others and iterations >= VERY_MANY
    return inside if unrolled or few or pays else []


def vectors_in(lengths: Sequence[int]) -> list[int]:
    """The lengths of segments of which it pays to make vectors."""
    return [n for n in lengths if n >= SHORTEST_VECTORS]


def _divides(size: int, loop: Loop) -> bool:
    """Whether a loop is some tiles of so many iterations each."""
    return loop.counter.extent % size == 0 and loop.counter.extent >= 2 * size


def longest(loops: list[Loop], enough: int) -> Loop:
    """The outermost loop of so many iterations, which cuts memory into the longest pieces; if there
    is none, the longest."""
    long = (loop for loop in loops if loop.counter.extent >= enough)
    return next(long, max(loops, key=lambda loop: loop.counter.extent))


def indexed_apart(loops: Sequence[Loop], indices: Sequence[IndexExpr]) -> set[int]:
    """The axes d for which axes d-1 and d must stay two loops, given a loop for each and the
    indices computed in them: some index does not advance by both as by one counter."""
    counters = {loop.axes[0]: loop.counter for loop in loops}
    apart = set()
    before: int | None = None
    for axis in sorted(counters):
        if before is not None:
            slow, fast = counters[before], counters[axis]
            for index in indices:
                factors = dict(index.terms)
                if factors.get(slow, 0) != factors.get(fast, 0) * fast.extent:
                    apart.add(axis)
                    break
        before = axis
    return apart


def boundaries(kernel: Kernel, inlined: dict[Var, Equation]) -> set[int] | None:
    """The axes d for which axes d-1 and d must stay two loops, because some operand is indexed by
    one of them only. (Merging them would be right too, but costs a division per element.) None if
    index operations make that less than plain."""
    apart: set[int] = set()
    pending = [(m.equation, m.per_row) for m in kernel.members]
    ones = (1,) * len(kernel.reduced)
    seen: set[tuple[int, bool]] = set()
    while pending:
        equation, per_row = pending.pop()
        if (id(equation), per_row) in seen:
            continue
        seen.add((id(equation), per_row))
        if not _merges(equation):
            return None
        for atom in equation.inputs:
            shape = atom.aval.shape
            if per_row and atom.aval.size == equation.outputs[0].aval.size:
                shape = (*kernel.row_shape, *ones)
            apart |= _boundaries_of(shape, kernel.shape)
            if isinstance(atom, Var) and atom in inlined:
                pending.append((inlined[atom], per_row))
    return apart


def _merges(equation: Equation) -> bool:
    if not isinstance(equation.primitive.lower, Indexed):
        return True
    return equation.primitive.name in ("broadcast", "copy") or (
        equation.primitive.name == "reshape"
        and equation.inputs[0].aval.size == equation.outputs[0].aval.size
        and not isinstance(equation.inputs[0], Literal)
        and equation.inputs[0].aval.shape == equation.outputs[0].aval.shape
    )


def _boundaries_of(shape: tuple[int, ...], full: tuple[int, ...]) -> set[int]:
    """Where an operand of this shape is indexed by one of two neighbouring axes and not both."""
    lead = len(full) - len(shape)
    if lead < 0:
        return set(range(1, len(full)))
    used = [axis >= lead and shape[axis - lead] != 1 for axis in range(len(full))]
    apart = set()
    for d in range(1, len(full)):
        if full[d] != 1 and any(used[d] != used[a] for a in range(d) if full[a] != 1):
            neighbour = max((a for a in range(d) if full[a] != 1), default=None)
            if neighbour is not None and used[d] != used[neighbour]:
                apart.add(d)
    return apart
