"""What threads share of large kernels that have few rows: blocks of what is folded.

Threads share independent iterations. A reduction of a whole array, or of one with few rows, has
too few, so what it folds is cut into blocks, each with a partial result of its own, and a small
kernel folds those. How many blocks there are depends on shapes and types alone, never on the number
of threads, and so do the bits of the results. Stages (see functrans/compiler/grouping.py) become
kernels, since each needs what all blocks of the stage before have found.
"""

from __future__ import annotations

import math
from dataclasses import replace

from functrans.compiler.forms import is_reduction
from functrans.compiler.grouping import Kernel, Member
from functrans.compiler.threads import PIECE_NANOSECONDS, SPLIT_NANOSECONDS
from functrans.core.program import Equation, Var

FEW_ITERATIONS = 8
"""A loop with at least so many is worth sharing as it is."""
FEW_RESULTS = 1024
"""Reductions with more results share the loop over these: pieces of it are vectorised well."""
MOST_BLOCKS = 256
SHORTEST = 64
"""Elements that a block folds into one: partial results are to be few beside what they are of."""
LINES = 64
"""Elements to a multiple of which long blocks are rounded, so that they begin at a cache line."""


def is_narrow(kernel: Kernel, extent: int, nanoseconds: float) -> bool:
    """Whether each stage of a kernel takes long enough for threads to share it, and its outermost
    loop has too few iterations for that."""
    return extent < FEW_ITERATIONS and nanoseconds / kernel.stages >= SPLIT_NANOSECONDS


def shareable(kernel: Kernel, nanoseconds: float, stored: set[Var]) -> list[Kernel]:
    """The kernels that compute what a narrow one does, in order.

    Args:
        kernel: one that `is_narrow`.
        nanoseconds: that it takes on one thread.
        stored: gains the variables that one of them computes and another reads.
    """
    folded = math.prod(kernel.shape[a] for a in kernel.reduced)
    wanted = int(nanoseconds / kernel.stages / PIECE_NANOSECONDS)
    count = min(MOST_BLOCKS, wanted, folded // SHORTEST)
    if count < 2 or math.prod(kernel.row_shape) > FEW_RESULTS:
        return [replace(kernel, inner=True)]
    kernels: list[Kernel] = []
    for stage in range(kernel.stages):
        members = [m for m in kernel.members if m.stage == stage]
        if per_row := [replace(m, stage=1) for m in members if m.per_row]:
            kernels[-1].members += per_row  # they need a fold of the stage before
        if over_row := [replace(m, stage=0) for m in members if not m.per_row]:
            kernels += _pass(kernel, over_row, count)
    rows = [m for k in kernels for m in k.members if m.per_row or is_reduction(m.equation)]
    stored.update(v for m in rows for v in m.equation.outputs)
    return kernels


def block_size(extent: int, count: int) -> int:
    """How many iterations of a loop are a block, if it is cut into at most `count`."""
    size = -(-extent // count)
    return size if size < 16 * LINES else -(-size // LINES) * LINES


def _pass(kernel: Kernel, members: list[Member], count: int) -> list[Kernel]:
    """A pass of one stage over the rows, and the folds over its blocks if it reduces."""
    weight = sum(m.weight for m in members)
    reductions = [m for m in members if is_reduction(m.equation)]
    if not reductions:
        return [Kernel(kernel.shape, (), members, weight=weight, reads=kernel.reads, inner=True)]
    over_blocks = replace(kernel, members=[], values={}, weight=weight, blocks=count)
    axis = over_blocks.block_axis
    row = kernel.row_shape
    shape = (*row[:axis], count, *row[axis:])
    partials = Kernel(shape, (axis,), reads=kernel.reads, of_blocks=True)
    for member in members:
        equation = member.equation
        if is_reduction(equation):
            (result,) = equation.outputs
            partial = Var(result.aval.update(shape=partials.shape))
            params = {**equation.params, "axes": (axis,)}
            fold = Equation(equation.primitive, [partial], params, [result], equation.source)
            partials.members.append(replace(member, equation=fold))
            member = replace(member, equation=equation.replace(outputs=[partial]))
        over_blocks.members.append(member)
    return [over_blocks, partials]
