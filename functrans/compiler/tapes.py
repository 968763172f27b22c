"""Tapes in the schedule: what a loop writes down while it runs, and the way back that reads it.

A loop writes on a tape if a `recorded_loop` of the same Program reads it, and both are too large
for one native function: scalar code runs again in less time than memory takes (functrans/compiler/
recordings.py). A `recorded_loop` without such a tape has one of its own, and runs the loop again to
write it. The layouts are those of functrans/compiler/runtime.py.
"""

from __future__ import annotations

from functrans.compiler.rows import Row
from functrans.compiler.updates import step_of
from functrans.compiler.weights import WEIGHT_LIMIT, Prepared, weight
from functrans.core.effects import has_effects
from functrans.core.program import Atom, Equation, Literal, Program
from functrans.primitives.recorded_loops import NO_TAPE, TAPE, recorded_loop_p
from functrans.primitives.recording_loops import recording_while_p, without_record
from functrans.primitives.while_loops import while_p

TAPE_LIMIT = 512 << 20
"""Bytes of a tape, which is kept between calls as other temporaries are, since fresh pages cost as
much as some arithmetic in them. Longer loops go in segments, for two more runs of the loop."""
ALIGNMENT = 64
"""Bytes; a cache line."""


def settle_tapes(program: Program, prepared: Prepared) -> Program:
    """Loops that write down what nobody reads as loops that do not."""
    if all(e.primitive is not recording_while_p for e in program.equations):
        return program
    readers: dict[Atom, list[Equation]] = {}
    for equation in program.equations:
        for atom in equation.inputs:
            readers.setdefault(atom, []).append(equation)
    renamed: dict[Atom, Atom] = {}
    equations = []
    for equation in program.equations:
        equation = equation.replace([renamed.get(a, a) for a in equation.inputs])
        if equation.primitive is recording_while_p:
            plain, tape = _plain(equation), equation.outputs[-1]
            if tape in program.outputs or not _is_worth_it(
                equation, plain, readers.get(tape, []), prepared
            ):
                renamed[tape] = Literal(NO_TAPE, TAPE)
                equation = plain
        equations.append(equation)
    outputs = [renamed.get(a, a) for a in program.outputs]
    return Program(program.inputs, equations, outputs, program.name)


def _plain(equation: Equation) -> Equation:
    params = without_record(equation.params)
    return Equation(while_p, equation.inputs, params, equation.outputs[:-1], equation.source)


def _is_worth_it(
    equation: Equation, plain: Equation, readers: list[Equation], prepared: Prepared
) -> bool:
    if not readers or has_effects(equation):
        return False
    if weight(plain, prepared, outermost=True) <= WEIGHT_LIMIT:
        return False
    written = step_of(equation).out_avals[len(plain.outputs) :]
    return all(
        e.primitive is recorded_loop_p
        and e.inputs[0] is equation.outputs[-1]
        and e.params["forward"].out_avals[e.params["carry"] :] == written
        and weight(e, prepared) > WEIGHT_LIMIT
        for e in readers
    )


def row_of(program: Program, count: int) -> Row:
    """The row of what a step gives after so many results."""
    return Row([a.aval for a in program.outputs[count:]], ALIGNMENT)
