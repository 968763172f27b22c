"""Which results of a Program take the memory of arguments that the caller gives up.

A result may be written over an argument once nothing reads the argument any more. In the very
kernel that reads it last it may if every element is read where it is written, by members that come
no later than the one that writes: a parameter and its update, say. Loops and scatters that
overwrite an argument (functrans/compiler/updates.py) make their result its heir.
"""

from __future__ import annotations

from collections.abc import Collection

from functrans.compiler.forms import is_reduction
from functrans.compiler.fuse import Partition
from functrans.compiler.grouping import Kernel, View, member_reads
from functrans.compiler.updates import Updates
from functrans.core.program import Program, Var

Heirs = dict[int, int]
"""Output → input whose memory it takes."""


def heirs_of(
    program: Program, parts: Partition, updates: Updates, donated: Collection[int]
) -> Heirs:
    """The results that take the memory of donated inputs.

    Args:
        program: prepared.
        parts: its steps.
        updates: its links, made with the donated inputs as what may be overwritten.
        donated: positions of inputs.
    """
    origin = _origins(program, updates)
    # outputs of a prepared Program are variables
    firsts = [origin.get(out, out) for out in program.outputs if isinstance(out, Var)]
    position = {program.inputs[i]: i for i in donated}
    heirs: Heirs = {o: position.pop(v) for o, v in enumerate(firsts) if v in position}
    left = {i: v for v, i in position.items() if v not in updates.until}
    steps = _Steps(program, parts)
    for o, first in enumerate(firsts):
        fitting = (i for i, v in left.items() if o not in heirs and steps.may_replace(first, v))
        heir_of = next(fitting, None)
        if heir_of is not None:
            heirs[o] = heir_of
            del left[heir_of]
    return heirs


def _origins(program: Program, updates: Updates) -> dict[Var, Var]:
    """By the result of a link the first variable whose memory it has."""
    origin: dict[Var, Var] = {}
    for equation in program.equations:
        for operand, result in updates.shared(equation):
            origin[result] = origin.get(operand, operand)
    return origin


class _Steps:
    """Where in the order of execution variables are made and read."""

    def __init__(self, program: Program, parts: Partition) -> None:
        self.parts = parts
        self.inlined = parts.inlined
        self.made: dict[Var, int] = {}
        self.readers: dict[Var, set[int]] = {}
        self.viewed: dict[Var, Var] = {}
        """By view the array that it is a view of."""
        for position, step in enumerate(parts.steps):
            equations = (
                [m.equation for m in step.members] if isinstance(step, Kernel) else [step.equation]
            )
            for equation in equations:
                self.made.update(dict.fromkeys(equation.outputs, position))
                for var in member_reads(equation, self.inlined).all:
                    self.readers.setdefault(self.viewed.get(var, var), set()).add(position)
                if isinstance(step, View):
                    (source,) = equation.inputs
                    assert isinstance(source, Var)
                    self.viewed[equation.outputs[0]] = self.viewed.get(source, source)

    def may_replace(self, out: Var, var: Var) -> bool:
        """Whether `out` may be written over `var`."""
        same = out.aval.shape == var.aval.shape and out.aval.dtype == var.aval.dtype
        position = self.made.get(out)
        if not same or position is None:
            return False
        last = max(self.readers.get(var, ()), default=-1)
        if last != position:
            return last < position
        step = self.parts.steps[position]
        return isinstance(step, Kernel) and self._is_read_in_time(step, out, var)

    def _is_read_in_time(self, kernel: Kernel, out: Var, var: Var) -> bool:
        if out.aval.shape != kernel.shape:
            return False
        written = None
        for order, member in enumerate(kernel.members):
            if out in member.equation.outputs:
                if member.per_row or is_reduction(member.equation):
                    return False
                written = (member.stage, order)
        for order, member in enumerate(kernel.members):
            reads = member_reads(member.equation, self.inlined)
            if any(self.viewed.get(v) is var for v in reads.all):
                return False
            if var not in reads.all:
                continue
            if var not in reads.aligned or written is None or (member.stage, order) > written:
                return False
        return True
