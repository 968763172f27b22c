"""`recorded_loop`: a loop that is run again and writes down of every step what its way back reads.

Native code writes on a tape that is as long as the loop (functrans/compiler/recordings.py). A
Program has no arrays whose extents depend on values; what this one means is a Program that reverses
the loop from a fixed number of carries (functrans/primitives/revolve.py), and wherever the loop is
not small enough for one native function, that is what runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core.dependence import depends
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.primitives.calls import infer_call
from functrans.transforms.batching import batch_program, current_axis


def _batch(args: list, batched: list, *, meaning: Program, **_: Any) -> tuple[list, Sequence[bool]]:
    program, out_batched = batch_program(meaning, tuple(batched), current_axis())
    return evaluate(program, args), out_batched


recorded_loop_p = Primitive(
    "recorded_loop",
    infer=lambda *avals, meaning, **_: infer_call(meaning, avals),
    evaluate=lambda *values, meaning, **_: evaluate(meaning, values),
    batch=_batch,
    depends=lambda sets, meaning, **_: depends(meaning, sets),
    multiple_results=True,
)
"""Operands are (count, consts…, first carry…, state…), results the state. Its parameters:

    forward: Program over (consts…, carry…) giving (next carry…, what is written down…).
    backward: Program over (consts…, what was written down…, state…) giving the state before.
    consts, carry: how many there are.
    meaning: Program over all operands.
"""
