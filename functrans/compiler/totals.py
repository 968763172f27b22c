"""Sums over the steps of a `recorded_loop` that begin with the total to which they are added.

The cotangent of an array that a loop reads begins with zero, and is added to what there is of it
when the loop has ended. In a loop around that one, a step then costs what there is of the array;
beginning with the total it costs what the steps read.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from functrans.compiler.simplify import drop_unused
from functrans.core.program import Atom, Equation, Literal, Program, Var
from functrans.primitives.arithmetic import add_p
from functrans.primitives.recorded_loops import recorded_loop_p
from functrans.primitives.shaping import broadcast_p


def begin_with_totals(program: Program) -> Program:
    """Additions to what such sums end with as what they begin with."""
    if all(e.primitive is not recorded_loop_p for e in program.equations):
        return program
    additions = _only_additions(program)
    zeros = _zeros(program)
    known: set[Atom] = set(program.inputs)
    renamed: dict[Atom, Atom] = {}
    equations = []
    for equation in program.equations:
        if equation.outputs and equation.outputs[0] in renamed:
            continue
        inputs = [renamed.get(a, a) for a in equation.inputs]
        if equation.primitive is recorded_loop_p:
            first = len(inputs) - len(equation.outputs)
            for k, out in enumerate(equation.outputs[: equation.params["sums"]]):
                addition = additions.get(out)
                if addition is None or inputs[first + k] not in zeros:
                    continue
                total = _other(addition.inputs, out, renamed)
                if total in known and total.aval == out.aval:
                    inputs[first + k] = total
                    renamed[addition.outputs[0]] = out
        equations.append(equation.replace(inputs))
        known.update(equation.outputs)
    outputs = [renamed.get(a, a) for a in program.outputs]
    return drop_unused(Program(program.inputs, equations, outputs, program.name))


def _only_additions(program: Program) -> dict[Atom, Equation]:
    """The additions that read a variable which nothing else reads."""
    readers: dict[Atom, list[Equation | None]] = {a: [None] for a in program.outputs}
    for equation in program.equations:
        for atom in equation.inputs:
            readers.setdefault(atom, []).append(equation)
    alone = ((a, rows[0]) for a, rows in readers.items() if len(rows) == 1)
    return {a: e for a, e in alone if e is not None and e.primitive is add_p}


def _zeros(program: Program) -> set[Atom]:
    """The arrays of zeros that are made of numbers."""
    found: set[Atom] = set()
    for equation in program.equations:
        if equation.primitive is broadcast_p:
            (x,) = equation.inputs
            if x in found or (type(x) is Literal and not np.any(x.value)):
                found.update(equation.outputs)
    return found


def _other(inputs: Iterable[Atom], out: Var, renamed: dict[Atom, Atom]) -> Atom:
    """What is added to a variable."""
    (atom,) = (a for a in inputs if a is not out)
    return renamed.get(atom, atom)
