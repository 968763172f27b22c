"""`loop_tangent`: the derivative of a loop that stores nothing of its steps, a linear map.

A `while_loop` does not know how many steps there will be, so it cannot store residuals as it runs;
a `scan` with checkpoint=k is asked not to store them. Forward, the loop runs again with its
tangents. Backward it is a `loop_cotangent` (functrans/primitives/loop_cotangents.py), from carries
that it may have kept when it ran (functrans/primitives/checkpointed_loops.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from functrans.core.interpret import evaluate
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, aval_of
from functrans.primitives import revolve
from functrans.primitives.arithmetic import zeros_like
from functrans.primitives.calls import present, split, spread
from functrans.primitives.carries import Counts
from functrans.primitives.differentiated_loops import Loop, carry_program
from functrans.primitives.loop_cotangents import loop_cotangent_p
from functrans.primitives.loops import jvp_body, scan_p
from functrans.primitives.shaping import full
from functrans.primitives.while_loops import COUNT
from functrans.transforms import forward
from functrans.transforms.batching import batch_program, current_axis


def tangents_of_loop(
    count: Any, kept: Sequence[Any], operands: Sequence[Any], ts: Sequence[Any], loop: Loop
) -> list[Any]:
    """The tangents of a loop's results, None for zero, of those of its operands."""
    _, needed = carry_program(loop)
    operands = [x if n else zeros_like(x) for x, n in zip(operands, needed, strict=True)]
    loop = replace(loop, kept=tuple(aval_of(x).strong() for x in kept))
    out_ts = loop_tangent_p.bind(*kept, count, *operands, *present(ts), loop=loop)
    return spread(out_ts, (*loop.carry_nonzero, *loop.y_nonzero))


# --- forward --------------------------------------------------------------------------------------


def _again(loop: Loop) -> Program:
    """The loop with its tangents as a Program of all operands: what `loop_tangent` means."""
    key = ("loop tangents", loop)
    if key not in loop.body.cache:
        run = _while_again(loop) if loop.length is None else _scan_again(loop)
        avals = [*loop.kept, COUNT, *loop.in_avals, *loop.tangent_avals]
        loop.body.cache[key] = make_program_flat(run, avals, f"jvp({loop.body.name})")
    return loop.body.cache[key]


def _while_again(loop: Loop) -> Any:
    const_mask = loop.divide(loop.nonzero)[0]
    body, _, _ = jvp_body(loop.body, Counts(loop.consts, loop.carry), loop.nonzero)

    def run(args: Sequence[Any]) -> list[Any]:
        _, (count,), consts, carry, ts = split(args, len(loop.kept), 1, loop.consts, loop.carry)
        const_ts, carry_ts = split(ts, sum(const_mask))
        one = lambda _, values: evaluate(body, [*consts, *const_ts, *values])
        return revolve.repeat(count, one, [*carry, *carry_ts], loop.checkpoint)[loop.carry :]

    return run


def _scan_again(loop: Loop) -> Any:
    body, _, _ = jvp_body(loop.body, Counts(loop.consts, loop.carry), loop.nonzero)
    masks = loop.divide(loop.nonzero)
    ys = len(loop.y_nonzero)

    def run(args: Sequence[Any]) -> list[Any]:
        _, primals, ts = split(args, len(loop.kept) + 1, len(loop.nonzero))
        groups = loop.divide(primals)
        t_groups = split(ts, *map(sum, masks))[:3]
        consts, carry, xs = ([*a, *b] for a, b in zip(groups, t_groups, strict=True))
        results = scan_p.bind(
            *consts, *carry, *xs, program=body, num_consts=len(consts), num_carry=len(carry),
            length=loop.length, reverse=loop.reverse, unroll=1, checkpoint=loop.checkpoint,
        )  # fmt: skip
        _, carry_ts, _, y_ts = split(results, loop.carry, sum(loop.carry_nonzero), ys)
        return [*carry_ts, *y_ts]

    return run


def _infer(*avals: Aval, loop: Loop) -> tuple[Aval, ...]:
    return tuple(loop.out_avals)


def _forward(ts: list, primals: list, *, loop: Loop) -> tuple[list, list]:
    return forward.jvp(_again(loop), primals, ts)


def _linearize(ts: list, primals: list, *, loop: Loop) -> tuple[list, list]:
    return forward.jvp(_again(loop), primals, ts, linearizing=True)


def _batch(args: list, batched: list, *, loop: Loop) -> tuple[list, Sequence[bool]]:
    program, out_batched = batch_program(_again(loop), tuple(batched), current_axis())
    return evaluate(program, args), out_batched


# --- backward -------------------------------------------------------------------------------------


def _transpose(cts: list, *operands: Any, loop: Loop) -> list:
    fixed, linear = split(operands, len(loop.kept) + 1 + len(loop.nonzero))
    if any(type(x) is Linear for x in fixed):
        raise not_linear("loop_tangent")
    whole = [
        full(a.shape, 0, a.dtype) if ct is None else ct
        for ct, a in zip(cts, loop.out_avals, strict=True)
    ]
    results = loop_cotangent_p.bind(*fixed, *whole, loop=loop)
    given = [ct if type(x) is Linear else None for ct, x in zip(results, linear, strict=True)]
    return [*[None] * len(fixed), *given]


loop_tangent_p = Primitive(
    "loop_tangent",
    infer=_infer,
    evaluate=lambda *values, loop: evaluate(_again(loop), values),
    forward=_forward,
    linearize=_linearize,
    transpose=_transpose,
    jet=lambda operands, order, run, loop: run(_again(loop), operands),
    batch=_batch,
    inline=lambda loop: _again(loop),
    multiple_results=True,
)
