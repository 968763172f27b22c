"""`hinted_call`: the call of a Program that is run in another way, giving or taking hints.

`quick` computes what `plain` does and more: its further results are *hints*, and its first operands
are those of others. Hints save work and change no result, so they have no derivative: derivatives
are those of `plain`, and take no hints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core.dependence import depends
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.primitives.calls import infer_call, split, transpose_call
from functrans.transforms import forward
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.taylor import first_of


def _tangents(
    linearizing: bool, ts: list, primals: list, *, plain: Program, quick: Program, hints: int
) -> tuple[list, list]:
    outs, out_ts = forward.jvp(plain, primals[hints:], ts[hints:], linearizing=linearizing)
    count = len(plain.outputs)
    if len(quick.outputs) == count:
        return outs, out_ts
    results = hinted_call_p.bind(*primals, plain=plain, quick=quick, hints=hints)
    return [*outs, *results[count:]], [*out_ts, *[None] * (len(results) - count)]


def _transpose(cts: list, *operands: Any, plain: Program, quick: Program, hints: int) -> list:
    of_outs = cts[: len(plain.outputs)]
    return [*[None] * hints, *transpose_call(of_outs, *operands[hints:], program=plain)]


def _jet(
    operands: list, order: int, run: Any, *, plain: Program, quick: Program, hints: int
) -> list[Any]:
    outs = run(plain, operands[hints:])
    values = map(first_of, operands)
    results = hinted_call_p.bind(*values, plain=plain, quick=quick, hints=hints)
    return [*outs, *results[len(outs) :]]


def _batch(
    args: list, batched: list, *, plain: Program, quick: Program, hints: int
) -> tuple[list, Sequence[bool]]:
    axis, mask = current_axis(), tuple(batched)
    count = len(plain.outputs)
    own, more = split(batch_program(quick, mask, axis)[1], count)
    _, needed = batch_program(plain, mask[hints:], axis)
    every = tuple(a or b for a, b in zip(own, needed, strict=True))
    plain_batched, _ = batch_program(plain, mask[hints:], axis, force=every)
    quick_batched, outs = batch_program(quick, mask, axis, force=(*every, *more))
    results = hinted_call_p.bind(*args, plain=plain_batched, quick=quick_batched, hints=hints)
    return results, outs


hinted_call_p = Primitive(
    "hinted_call",
    infer=lambda *avals, plain, quick, hints: infer_call(quick, avals),
    evaluate=lambda *values, plain, quick, hints: evaluate(quick, values),
    forward=lambda ts, primals, **params: _tangents(False, ts, primals, **params),
    linearize=lambda ts, primals, **params: _tangents(True, ts, primals, **params),
    transpose=_transpose,
    jet=_jet,
    batch=_batch,
    depends=lambda sets, plain, quick, hints: depends(quick, sets),
    inline=lambda plain, quick, hints: quick,
    multiple_results=True,
)
