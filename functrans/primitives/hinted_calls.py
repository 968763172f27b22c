"""`hinted_call`: the call of a Program that is run in another way, giving or taking hints.

`quick` computes what `plain` does and more: its further results are *hints*, and its first operands
are those of others. Hints save work and change no result, so they have no derivative: derivatives
are those of `plain`, and take no hints. `count` may name an operand that says how often something
is repeated; examples of a batch in which it differs are called one by one, where that is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from functrans.core.dependence import depends
from functrans.core.effects import without_effects
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval
from functrans.primitives.calls import infer_call, split, transpose_call
from functrans.primitives.carries import either
from functrans.primitives.lanes import is_worth_a_loop, one_by_one
from functrans.transforms import forward
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.taylor import first_of


def _tangents(
    linearizing: bool, ts: list, primals: list, *, plain: Program, hints: int, **params: Any
) -> tuple[list, list]:
    outs, out_ts = forward.jvp(plain, primals[hints:], ts[hints:], linearizing=linearizing)
    if len(params["quick"].outputs) == len(outs):
        return outs, out_ts
    more = _hints(primals, plain=plain, hints=hints, **params)
    return [*outs, *more], [*out_ts, *[None] * len(more)]


def _transpose(cts: list, *operands: Any, plain: Program, hints: int, **_: Any) -> list:
    of_outs = cts[: len(plain.outputs)]
    return [*[None] * hints, *transpose_call(of_outs, *operands[hints:], program=plain)]


def _jet(
    operands: list, order: int, run: Any, *, plain: Program, hints: int, **params: Any
) -> list[Any]:
    outs = run(plain, operands[hints:])
    return [*outs, *_hints(list(map(first_of, operands)), plain=plain, hints=hints, **params)]


def _hints(operands: list, *, plain: Program, quick: Program, **params: Any) -> list[Any]:
    """The further results alone: what has the others has the effects."""
    plain, quick = without_effects(plain), without_effects(quick)
    results = hinted_call_p.bind(*operands, plain=plain, quick=quick, **params)
    return results[len(plain.outputs) :]


def _batch(
    args: list, batched: list, *, plain: Program, quick: Program, hints: int, count: int | None
) -> tuple[list, Sequence[bool]]:
    params = {"plain": plain, "quick": quick, "hints": hints, "count": count}
    if count is not None and batched[count] and is_worth_a_loop([quick]):
        outs = one_by_one(hinted_call_p, args, batched, params)
        return outs, [True] * len(outs)
    axis, mask = current_axis(), tuple(batched)
    own, more = split(batch_program(quick, mask, axis)[1], len(plain.outputs))
    _, needed = batch_program(plain, mask[hints:], axis)
    every = either(tuple(own), needed)
    params["plain"], _ = batch_program(plain, mask[hints:], axis, force=every)
    params["quick"], out_batched = batch_program(quick, mask, axis, force=(*every, *more))
    return hinted_call_p.bind(*args, **params), out_batched


hinted_call_p = Primitive(
    "hinted_call",
    infer=lambda *avals, quick, **_: infer_call(quick, avals),
    evaluate=lambda *values, quick, **_: evaluate(quick, values),
    forward=lambda ts, primals, **params: _tangents(False, ts, primals, **params),
    linearize=lambda ts, primals, **params: _tangents(True, ts, primals, **params),
    transpose=_transpose,
    jet=_jet,
    batch=_batch,
    depends=lambda sets, quick, **_: depends(quick, sets),
    inline=lambda quick, **_: quick,
    multiple_results=True,
)


Run = Callable[[Sequence[Any]], list[Any]]


def call_with_hints(
    key: tuple,
    body: Program,
    avals: Sequence[Aval],
    plain: Run,
    quick: Run,
    operands: Sequence[Any],
) -> tuple[list, list]:
    """The results of `plain`, and those that `quick` has besides; both are kept with the body."""
    if key not in body.cache:
        body.cache[key] = [make_program_flat(run, avals, body.name) for run in (plain, quick)]
    programs = body.cache[key]
    results = hinted_call_p.bind(
        *operands, plain=programs[0], quick=programs[1], hints=0, count=None
    )
    outs, hints = split(results, len(programs[0].outputs))
    return outs, hints
