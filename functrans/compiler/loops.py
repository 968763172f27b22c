"""Control flow in the schedule: `scan`, `while` and `cond` as entries that run blocks natively.

A loop's carry lives in two buffers whose pointers the runtime exchanges after every step; what the
body updates where it is (functrans/compiler/updates.py) lives in that of the result. The layouts of
the integers are those of functrans/compiler/runtime.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.compiler.lower import BlockLowering, control_flow, prepare
from functrans.compiler.schedule import Block, Entry
from functrans.compiler.updates import Updates, carried, in_branch, of_program
from functrans.core.program import Equation, Program, Var


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
    """The entry of a while loop: condition and body as blocks."""
    params = equation.params
    n_cond, n_body = params["cond_consts"], params["body_consts"]
    condition, body = prepare(params["cond_program"]), prepare(params["body_program"])
    operands = [block.slot(a) for a in equation.inputs]
    results = [block.slot(v) for v in equation.outputs]
    cond_consts, body_consts, inits = _split(operands, n_cond, n_body)
    updates = carried(equation, prepare)
    carry = _Carry(block, body.inputs[n_body:], results, updates)
    flag = block.temporary(1)
    places = _places(condition, [*cond_consts, *carry.ins], [flag])
    test = block.shared.block(condition, places, of_program(condition, prepare))
    places = _places(body, [*body_consts, *carry.ins], carry.outs)
    step = block.shared.block(body, places, updates)
    ints: list[int | Block] = [test, flag, step, len(inits), *carry.ints(inits, results)]
    slots = (0, flag, *operands, *results, *carry.ins, *carry.outs)
    block.append(Entry("ft_while", slots, tuple(ints), comment=f"while loop of {body.name}"))


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


control_flow.update({"scan": lower_scan, "while_loop": lower_while, "cond": lower_cond})
