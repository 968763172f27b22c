"""`recorded_loop`: the way back through a loop, reading what was written down of every step.

What is written lies on a *tape* that is as long as the loop. A `recording_loop` writes it while it
runs (functrans/primitives/recording_loops.py), and where there is none, or not this loop's, the
loop runs again to write it. That is what native code does (functrans/compiler/tapes.py). A Program
has no arrays whose extents depend on values: in it a tape is a number that says nothing, and what a
`recorded_loop` means is a Program that reverses the loop from a fixed number of carries
(functrans/primitives/revolve.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.dependence import depends
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval
from functrans.primitives import calls
from functrans.primitives.calls import infer_call, split
from functrans.primitives.carries import batched_carry, repeated
from functrans.primitives.work import equations_run
from functrans.transforms.batching import batch_program, current_axis

TAPE = Aval((), np.int64)
NO_TAPE = np.int64(0)
OWN_EQUATIONS = 50
"""That reversing the loop from carries takes for a step, besides those of the step."""


def _evaluate(tape: Any, count: Any, *values: Any, meaning: Program, **params: Any) -> list[Any]:
    step = OWN_EQUATIONS + sum(equations_run(params[k]) for k in ("forward", "backward"))
    if count * step < calls.WORTH_COMPILING:
        return evaluate(meaning, [count, *values])
    key = ("alone", *params.items())
    if key not in meaning.cache:
        meaning.cache[key] = make_program_flat(
            lambda args: recorded_loop_p.bind(NO_TAPE, *args, meaning=meaning, **params),
            meaning.in_avals,
            meaning.name,
        )
    return calls.run_compiled(meaning.cache[key], [count, *values])


def _batch(
    args: list, batched: list, *, meaning: Program, **params: Any
) -> tuple[list, Sequence[bool]]:
    if any(batched[:2]):
        program, out_batched = batch_program(meaning, tuple(batched[1:]), current_axis())
        return evaluate(program, args[1:]), out_batched
    counts = [2, *(params[k] for k in ("consts", "fixed", "carry"))]
    (given, consts, fixed, carry, state), masks = split(args, *counts), split(batched, *counts)
    params["forward"], carry_mask, written = batched_carry(params["forward"], masks[1], masks[3])
    steps = [*masks[2], *written]
    params["backward"], state_mask, _ = batched_carry(params["backward"], steps, masks[4])
    size = current_axis().size
    carry = repeated(carry, masks[3], carry_mask, size)
    state = repeated(state, masks[4], state_mask, size)
    every = (False, *masks[1], *masks[2], *carry_mask, *state_mask)
    params["meaning"], _ = batch_program(meaning, every, current_axis(), force=state_mask)
    outs = recorded_loop_p.bind(*given, *consts, *fixed, *carry, *state, **params)
    return outs, state_mask


recorded_loop_p = Primitive(
    "recorded_loop",
    infer=lambda tape, *avals, meaning, **_: infer_call(meaning, avals),
    evaluate=_evaluate,
    batch=_batch,
    depends=lambda sets, meaning, **_: depends(meaning, sets[1:]),
    multiple_results=True,
)
"""Operands are (tape, count, consts…, fixed…, first carry…, state…), results the state. Its
parameters:

    forward: Program over (consts…, carry…) giving (next carry…, what is written down…).
    backward: Program over (fixed…, what was written down…, state…) giving the state before.
    consts, fixed, carry: how many there are.
    sums: how many of the state, which begins with them, a step back only adds to.
    meaning: Program over all operands but the tape.
"""
