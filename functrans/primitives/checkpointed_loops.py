"""Loops that keep some of their carries while they run, for their backward pass to start from.

Revolve says which, where the number of steps is known (functrans/primitives/revolve.py); where it
is not, they are chosen online (functrans/primitives/online_revolve.py). To whatever differentiates
such a loop again it is the loop that it was: what is kept are hints
(functrans/primitives/hinted_calls.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.effects import without_effects
from functrans.core.interpret import evaluate
from functrans.core.program import Program
from functrans.primitives import revolve
from functrans.primitives.calls import split
from functrans.primitives.carries import Counts
from functrans.primitives.differentiated_loops import (
    Loop,
    by_rules,
    carry_program,
    differentiated,
)
from functrans.primitives.hinted_calls import Run, call_with_hints
from functrans.primitives.loop_tangents import tangents_of_loop
from functrans.primitives.loops import scan_p
from functrans.primitives.online_revolve import keep_online
from functrans.primitives.shaping import full
from functrans.primitives.while_loops import while_counting


def while_keeping(loop: Loop, operands: Sequence[Any], **params: Any) -> tuple[list, list]:
    """(results…, number of steps) of a while loop, and what it keeps.

    Args:
        loop: what is differentiated, and with respect to what.
        operands, params: of the equation.
    """
    cond, body, cond_consts = (params[k] for k in ("cond_program", "body_program", "cond_consts"))

    def quick(args: Sequence[Any]) -> list[Any]:
        for_cond, consts, carry = split(args, cond_consts, loop.consts)
        count, outs, kept = keep_online(
            lambda values: evaluate(cond, [*for_cond, *values])[0],
            carry,
            lambda i, values: evaluate(body, [*consts, *values]),
            loop.slots,
            lambda values: _held(loop, values),
        )
        return [*outs, count, *kept]

    return counting_with_hints("keeping", loop, operands, params, quick)


def counting_with_hints(
    kind: str, loop: Loop, operands: Sequence[Any], params: dict[str, Any], quick: Run
) -> tuple[list, list]:
    """(results…, number of steps) of a while loop, and what `quick` gives besides."""
    cond, body = params["cond_program"], params["body_program"]
    plain = lambda args: while_counting(args, **params)
    avals = [*cond.in_avals[: params["cond_consts"]], *body.in_avals]
    return call_with_hints((kind, loop, cond), body, avals, plain, quick, operands)


def linearize_scan(
    ts: list, primals: list, program: Program, counts: Counts, params: dict[str, Any]
) -> tuple[list, list]:
    """The values of a scan with checkpoint=k, and its tangents from a loop that runs again."""
    loop = Loop(
        without_effects(program), counts.consts, counts.carry, length=params["length"],
        reverse=params["reverse"], checkpoint=params["checkpoint"],
    )  # fmt: skip
    loop, ts = differentiated(loop, primals, ts)
    body = by_rules(program, loop)
    own = {"program": body, "num_consts": counts.consts, "num_carry": counts.carry, **params}
    outs, kept = _scan_keeping(loop, primals, own)
    return outs, tangents_of_loop(np.int64(params["length"]), kept, primals, ts, loop)


def _scan_keeping(loop: Loop, operands: Sequence[Any], params: dict[str, Any]) -> tuple[list, list]:
    """The results of a scan, and what it keeps."""
    body = params["program"]

    def quick(args: Sequence[Any]) -> list[Any]:
        consts, carry, xs = loop.divide(args)
        ys = [full(a.shape, 0, a.dtype) for a in loop.y_avals]

        def step(i: Any, values: list[Any]) -> list[Any]:
            carry, ys = split(values, loop.carry)
            outs = evaluate(body, [*consts, *carry, *revolve.at(xs, loop.place(i))])
            carry, y = split(outs, loop.carry)
            return [*map(revolve.strong, carry), *revolve.put(ys, loop.place(i), y)]

        count, held = np.int64(params["length"]), lambda values: _held(loop, values)
        values, kept = revolve.keep(count, [*carry, *ys], step, loop.slots, held)
        return [*step(count - 1, values), *kept]

    plain = lambda args: scan_p.bind(*args, **params)
    return call_with_hints(("keeping", loop), body, loop.in_avals, plain, quick, operands)


def _held(loop: Loop, values: Sequence[Any]) -> list[Any]:
    """What the derivative reads of the carry, which the values begin with."""
    needed = loop.divide(carry_program(loop)[1])[1]
    return [revolve.strong(x) for x, n in zip(values, needed, strict=False) if n]
