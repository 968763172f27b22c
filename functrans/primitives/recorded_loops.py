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
from functrans.primitives.arithmetic import lt_p
from functrans.primitives.calls import infer_call, split
from functrans.primitives.carries import batched_carry, repeated
from functrans.primitives.reductions import reduce_max_p
from functrans.primitives.while_loops import COUNT, choose
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
    if batched[1]:
        return _batch_of_lengths(args, batched, meaning=meaning, **params)
    counts = [2, *(params[k] for k in ("consts", "fixed", "carry"))]
    (given, consts, fixed, carry, state), masks = split(args, *counts), split(batched, *counts)
    tape = NO_TAPE if batched[0] else given[0]  # every example had its own
    params["forward"], carry_mask, written = batched_carry(params["forward"], masks[1], masks[3])
    steps = [*masks[2], *written]
    params["backward"], state_mask, _ = batched_carry(params["backward"], steps, masks[4])
    size = current_axis().size
    carry = repeated(carry, masks[3], carry_mask, size)
    state = repeated(state, masks[4], state_mask, size)
    every = (False, *masks[1], *masks[2], *carry_mask, *state_mask)
    params["meaning"], _ = batch_program(meaning, every, current_axis(), force=state_mask)
    outs = recorded_loop_p.bind(tape, given[1], *consts, *fixed, *carry, *state, **params)
    return outs, state_mask


def _batch_of_lengths(
    args: list, batched: list, *, meaning: Program, **params: Any
) -> tuple[list, Sequence[bool]]:
    """All go back from the last step of the longest, and each changes from its own last one on."""
    size = current_axis().size
    counts = [1, *(params[k] for k in ("consts", "fixed", "carry"))]
    (lengths,), consts, fixed, carry, state = split(args[1:], *counts)
    _, const_mask, fixed_mask, given, state_given = split(batched[1:], *counts)
    forward, carry_mask, written = batched_carry(params["forward"], const_mask, given)
    every = (True,) * len(state)
    steps = [*fixed_mask, *written]
    backward, _, _ = batched_carry(params["backward"], steps, every)
    masks = (True, *const_mask, *fixed_mask, *carry_mask, *every)
    meaning, _ = batch_program(meaning, masks, current_axis(), force=every)
    params["forward"] = forward
    params["backward"] = _of_lengths(backward, len(fixed), len(steps) - len(fixed), size)
    params["meaning"] = _meaning_of_lengths(meaning, len(consts) + len(fixed), size)
    params["fixed"] += 1
    count = reduce_max_p.bind(lengths, axes=(0,))
    carry = repeated(carry, given, carry_mask, size)
    state = repeated(state, state_given, every, size)
    operands = [*consts, *fixed, lengths, *carry, *state, count - 1]
    *outs, _ = recorded_loop_p.bind(NO_TAPE, count, *operands, **params)
    return outs, every


def _of_lengths(backward: Program, fixed: int, written: int, size: int) -> Program:
    """A step back (fixed…, lengths, what was written down…, state…, its number) of a batch."""

    def run(args: Sequence[Any]) -> list[Any]:
        same, (lengths,), rows, (*state, i) = split(args, fixed, 1, written)
        before = evaluate(backward, [*same, *rows, *state])
        mine = lt_p.bind(i, lengths)
        return [*[choose(mine, x, y) for x, y in zip(before, state, strict=True)], i - 1]

    same, rest = split(backward.in_avals, fixed)
    avals = [*same, Aval((size,), np.int64), *rest, COUNT]
    return make_program_flat(run, avals, backward.name)


def _meaning_of_lengths(meaning: Program, before: int, size: int) -> Program:
    """What a batch means, with lengths behind so many operands, and the number of the last step."""

    def run(args: Sequence[Any]) -> list[Any]:
        (count,), same, (lengths,), (*rest, i) = split(args, 1, before, 1)
        return [*evaluate(meaning, [lengths, *same, *rest]), i - count]

    same, rest = split(meaning.in_avals[1:], before)
    avals = [COUNT, *same, Aval((size,), np.int64), *rest, COUNT]
    return make_program_flat(run, avals, meaning.name)


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
