"""`recording_while`: a while loop that writes down what its way back reads of every step.

What it writes lies on a tape, its last result: a number that says nothing, by which native code
finds the `recorded_loop` that reads the tape (functrans/primitives/recorded_loops.py). Where there
is none to read it, the loop is a `while_loop` (functrans/compiler/tapes.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.primitives.calls import split
from functrans.primitives.carries import Counts, batched_carry, repeated
from functrans.primitives.checkpointed_loops import counting_with_hints
from functrans.primitives.differentiated_loops import Loop
from functrans.primitives.recorded_loops import NO_TAPE, TAPE
from functrans.primitives.reversed_loops import recorded_parts
from functrans.primitives.while_loops import (
    COUNT,
    batch_while,
    counting_params,
    while_depends,
    while_p,
)
from functrans.transforms.batching import batch_program, current_axis


def while_recording(loop: Loop, operands: Sequence[Any], **params: Any) -> tuple[list, list]:
    """(results…, number of steps) of a while loop, and its tape.

    Args:
        loop: what is differentiated, and with respect to what.
        operands, params: of the equation.
    """

    def quick(args: Sequence[Any]) -> list[Any]:
        own = {k: v for k, v in counting_params(params).items() if k != "checkpoint"}
        return recording_while_p.bind(*args, np.int64(0), record=_counting_record(loop), **own)

    return counting_with_hints("recording", loop, operands, params, quick)


def _counting_record(loop: Loop) -> Program:
    """The step that gives what is written down after its carry, and counts."""
    record = recorded_parts(loop).record

    def run(args: Sequence[Any]) -> list[Any]:
        after, written = split(evaluate(record, args[:-1]), loop.carry)
        return [*after, args[-1] + 1, *written]

    return make_program_flat(run, [*record.in_avals, COUNT], record.name)


def without_record(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the `while_loop` that writes nothing down."""
    return {**{k: v for k, v in params.items() if k != "record"}, "checkpoint": None}


def _batch(
    args: list, batched: list, *, record: Program, **params: Any
) -> tuple[list, Sequence[bool]]:
    plain = without_record(params)
    counts = Counts(params["cond_consts"], params["body_consts"])
    (for_cond, for_body, carry), masks = counts.divide(args), counts.divide(batched)
    record, carry_mask, _ = batched_carry(record, masks[1], masks[2])
    body, carry_mask, _ = batched_carry(params["body_program"], masks[1], carry_mask)
    cond, (varies,) = batch_program(
        params["cond_program"], (*masks[0], *carry_mask), current_axis()
    )
    if varies:
        outs, out_batched = batch_while(args, batched, **plain)
        return [*outs, NO_TAPE], [*out_batched, False]
    params |= {"cond_program": cond, "body_program": body, "record": record}
    carry = repeated(carry, masks[2], carry_mask, current_axis().size)
    outs = recording_while_p.bind(*for_cond, *for_body, *carry, **params)
    return outs, [*carry_mask, False]


def _evaluate(*values: Any, record: Program, **params: Any) -> list[Any]:
    return [*while_p.bind(*values, **without_record(params)), NO_TAPE]


recording_while_p = Primitive(
    "recording_while",
    infer=lambda *avals, record, **params: (*while_p.infer(*avals, **without_record(params)), TAPE),
    evaluate=_evaluate,
    batch=_batch,
    depends=lambda sets, record, **params: [*while_depends(sets, **without_record(params)), 0],
    multiple_results=True,
)
"""Operands are those of `while_loop`, results its results and the tape. Its parameters are those
of `while_loop` but `checkpoint`, and

    record: Program over (body consts…, carry…) giving (next carry…, what is written down…).
"""
