"""Control flow in the schedule: loops and branches as entries that run blocks natively.

A loop's carry lives in two buffers whose pointers the runtime exchanges after every step; what the
body updates where it is (functrans/compiler/updates.py) lives in that of the result. The layouts of
the integers are those of functrans/compiler/runtime.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.compiler import tapes
from functrans.compiler.lower import BlockLowering, control_flow, prepare
from functrans.compiler.rows import Row
from functrans.compiler.schedule import Block, Entry
from functrans.compiler.tapes import row_of
from functrans.compiler.updates import (
    Updates,
    carried,
    in_branch,
    of_program,
    step_of,
    way_back,
    way_there,
)
from functrans.core.program import Equation, Program, Var
from functrans.primitives.recording_loops import recording_while_p


def lower_scan(block: BlockLowering, equation: Equation) -> None:
    """The entry of a scan: its body as a block, run once per step."""
    params = equation.params
    body = prepare(params["program"])
    n_consts, n_carry = params["num_consts"], params["num_carry"]
    operands = [block.slot(a) for a in equation.inputs]
    results = [block.slot(v) for v in equation.outputs]
    consts, inits, xs = _split(operands, n_consts, n_carry)
    finals, stacked = results[:n_carry], results[n_carry:]
    updates = carried(equation, prepare)
    carry = _Carry(block, body.inputs[n_consts : n_consts + n_carry], finals, updates)
    x_slots = [block.shared.new_slot() for _ in xs]
    y_slots = [block.shared.new_slot() for _ in stacked]
    child = block.shared.block(
        body, _places(body, [*consts, *carry.ins, *x_slots], [*carry.outs, *y_slots]), updates
    )
    moving = [
        *zip(x_slots, xs, (v.aval.nbytes for v in body.inputs[n_consts + n_carry :]), strict=True),
        *zip(y_slots, stacked, (a.aval.nbytes for a in body.outputs[n_carry:]), strict=True),
    ]
    ints: list[int | Block] = [params["length"], child, int(params["reverse"])]
    ints += [len(moving), n_carry, *_flat(moving), *carry.ints(inits, finals)]
    slots = (0, *operands, *results, *carry.ins, *carry.outs)
    comment = f"scan of {body.name}, {params['length']} steps"
    block.append(Entry("ft_scan", slots, tuple(ints), comment=comment))


def lower_while(block: BlockLowering, equation: Equation) -> None:
    """The entry of a while loop: condition and body as blocks; and the tape that it writes."""
    params = equation.params
    n_cond, n_body = params["cond_consts"], params["body_consts"]
    condition, body = prepare(params["cond_program"]), prepare(step_of(equation))
    operands = [block.slot(a) for a in equation.inputs]
    results = [block.slot(v) for v in equation.outputs]
    cond_consts, body_consts, inits = _split(operands, n_cond, n_body)
    finals = results[: len(inits)]
    updates = carried(equation, prepare)
    carry = _Carry(block, body.inputs[n_body:], finals, updates)
    row = row_of(body, len(inits))
    parts = [block.shared.new_slot() for _ in row.avals]
    flag = block.temporary(1)
    places = _places(condition, [*cond_consts, *carry.ins], [flag])
    test = block.shared.block(condition, places, of_program(condition, prepare))
    places = _places(body, [*body_consts, *carry.ins], [*carry.outs, *parts])
    step = block.shared.block(body, places, updates)
    ints: list[int | Block] = [test, flag, step, len(inits)]
    slots = (0, flag, *operands, *results, *carry.ins, *carry.outs)
    target, comment = "ft_while", f"while loop of {body.name}"
    if equation.primitive is recording_while_p:
        tape = block.tapes[equation.outputs[-1]] = block.shared.new_tape()
        ints += [tape, row.nbytes, len(parts), max(tapes.TAPE_LIMIT, row.nbytes)]
        target, comment = "ft_recording_while", f"{comment}, {row.nbytes} bytes a step on a tape"
    ints += [*carry.ints(inits, finals), *_flat(zip(parts, row.offsets, strict=True))]
    block.append(Entry(target, slots, tuple(ints), comment=comment))


def lower_recorded(block: BlockLowering, equation: Equation) -> None:
    """The entry of the way back through a loop: a step of the loop and one of the way back as
    blocks, and the tape between them."""
    params = equation.params
    forward, backward = prepare(params["forward"]), prepare(params["backward"])
    operands = [block.slot(a) for a in equation.inputs[1:]]
    results = [block.slot(v) for v in equation.outputs]
    n_carry, n_state = params["carry"], len(results)
    (count,), consts, fixed, firsts, state = _split(
        operands, 1, params["consts"], params["fixed"], n_carry
    )
    row = row_of(forward, n_carry)
    starts = Row([a.aval for a in forward.outputs[:n_carry]], tapes.ALIGNMENT)
    parts = [block.shared.new_slot() for _ in row.avals]
    updates = way_there(equation, prepare)
    buffers = [
        block.temporary(aval.nbytes) if k in updates.results else -1
        for k, aval in enumerate(starts.avals)
    ]
    carry = _Carry(block, forward.inputs[params["consts"] :], buffers, updates)
    places = _places(forward, [*consts, *carry.ins], [*carry.outs, *parts])
    again = block.shared.block(forward, places, updates)
    first = len(fixed) + len(parts)
    updates = way_back(equation, prepare)
    states = _Carry(block, backward.inputs[first:], results, updates)
    places = _places(backward, [*fixed, *parts, *states.ins], states.outs)
    back = block.shared.block(backward, places, updates)
    tape = block.tapes.get(equation.inputs[0])
    how = "from the tape"
    if tape is None:
        tape, how = block.shared.new_tape(), "running it again"
    ints: list[int | Block] = [count, again, back, n_carry, n_state, len(parts), tape, row.nbytes]
    ints += [starts.nbytes, tapes.TAPE_LIMIT]
    ints += [*carry.ints(firsts, starts.offsets), *states.ints(state, results)]
    ints += _flat(zip(parts, row.offsets, strict=True))
    slots = (0, *operands, *results, *carry.ins, *carry.outs, *states.ins, *states.outs)
    comment = f"back through {forward.name} {how}, {row.nbytes} bytes a step"
    block.append(Entry("ft_reverse", slots, tuple(ints), comment=comment))


def lower_cond(block: BlockLowering, equation: Equation) -> None:
    """The entry of a choice: every branch a block that writes the same results."""
    operands = [block.slot(a) for a in equation.inputs]
    results = [block.slot(v) for v in equation.outputs]
    branches = [prepare(p) for p in equation.params["branches"]]
    links = block.updates.of(equation)
    blocks = [
        block.shared.block(p, _places(p, operands[1:], results), in_branch(p, links, prepare))
        for p in branches
    ]
    ints: list[int | Block] = [operands[0], len(blocks), *blocks]
    slots = (0, *operands, *results)
    block.append(Entry("ft_cond", slots, tuple(ints), comment=f"choice of {len(blocks)} branches"))


class _Carry:
    """The two buffers of every value that a loop hands from step to step; or its one buffer."""

    def __init__(
        self, block: BlockLowering, variables: Sequence[Var], results: list[int], updates: Updates
    ) -> None:
        self.sizes = [v.aval.nbytes for v in variables]
        same = [k in updates.results for k in range(len(variables))]
        self.ins, self.outs = (
            [
                slot if s else block.temporary(n)
                for slot, s, n in zip(results, same, self.sizes, strict=True)
            ]
            for _ in range(2)
        )

    def ints(self, inits: Sequence[int], finals: Sequence[int]) -> list[int]:
        """Per value: slot read, slot written, bytes, slot of the first and of the last value."""
        return _flat(zip(self.ins, self.outs, self.sizes, inits, finals, strict=True))


def _places(program: Program, inputs: Sequence[int], outputs: Sequence[int]) -> dict[Var, int]:
    places = dict(zip(program.inputs, inputs, strict=True))
    for atom, slot in zip(program.outputs, outputs, strict=True):
        assert isinstance(atom, Var)  # prepare() gives every output a variable of its own
        places[atom] = slot
    return places


def _split(values: list[int], *counts: int) -> list[list[int]]:
    parts, begin = [], 0
    for n in counts:
        parts.append(values[begin : begin + n])
        begin += n
    return [*parts, values[begin:]]


def _flat(rows: Any) -> list[int]:
    return [x for row in rows for x in row]


control_flow.update(
    scan=lower_scan,
    while_loop=lower_while,
    recording_while=lower_while,
    recorded_loop=lower_recorded,
    cond=lower_cond,
)
