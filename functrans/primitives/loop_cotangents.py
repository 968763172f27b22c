"""`loop_cotangent`: the pullback of a loop that stores nothing of its steps; and its derivative.

Let J be the Jacobian of a loop at its operands x, and s cotangents of its results: this is Jᵀ s. It
changes with x, in a direction w, by the gradient of <w, Jᵀ s> = <s, J w>: second derivatives are
symmetric. And J w is what a loop over the carry and its tangents ends with. So the derivative of a
pullback, in either mode, is the pullback of that loop, and so on: a loop that is differentiated any
number of times is reversed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from functrans.core.dependence import depends, union
from functrans.core.interpret import evaluate
from functrans.core.primitive import Linear, Primitive, not_linear, registry
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval
from functrans.primitives.arithmetic import zeros_like
from functrans.primitives.calls import nonzero, present, split, spread
from functrans.primitives.carries import Counts, instantiate
from functrans.primitives.differentiated_loops import Loop, carry_program
from functrans.primitives.elementwise import add_any
from functrans.primitives.hinted_calls import hinted_call_p
from functrans.primitives.lanes import is_worth_a_loop, one_by_one, together
from functrans.primitives.loops import jvp_body, linearized_body
from functrans.primitives.reversed_loops import backward, recorded, recorded_parts
from functrans.primitives.shaping import full
from functrans.primitives.while_loops import COUNT
from functrans.transforms import forward
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.forward import Nonzero

# --- Jᵀ s -----------------------------------------------------------------------------------------


def _meaning(loop: Loop) -> Program:
    """What `loop_cotangent` means, as a Program of all operands."""
    key = ("loop cotangents", loop)
    if key not in loop.body.cache:
        plain, hints = backward(replace(loop, kept=())), len(loop.kept)
        count = hints if _together(loop) == 1 else None
        quick = recorded(loop) if loop.is_recorded else backward(loop)
        loop.body.cache[key] = make_program_flat(
            lambda args: hinted_call_p.bind(
                *args, plain=plain, quick=quick, hints=hints, count=count
            ),
            quick.in_avals,
            quick.name,
        )
    return loop.body.cache[key]


def _together(loop: Loop) -> int:
    """How many examples go back together."""
    if not loop.is_recorded:
        return 1
    return together(
        [loop.body, recorded_parts(loop).backward], [*loop.tangent_avals, *loop.out_avals]
    )


def _forward(ts: list, primals: list, *, loop: Loop) -> tuple[list, list]:
    """One loop gives both, if all of the operands in question have a tangent."""
    given, operands, cts = split(primals, len(loop.kept) + 1, len(loop.nonzero))
    _, operand_ts, ct_ts = split(ts, len(given), len(loop.nonzero))
    if any(t is None for t, n in zip(operand_ts, loop.nonzero, strict=True) if n):
        return _linearize(ts, primals, loop=loop)
    changes, outs = _second(
        loop, given[-1], operands, operand_ts, cts, ct_ts, loop.nonzero, of_tangents=True
    )
    return _chosen(outs, loop.nonzero), changes


def _linearize(ts: list, primals: list, *, loop: Loop) -> tuple[list, list]:
    outs = loop_cotangent_p.bind(*primals, loop=loop)
    given, operands, cts = split(primals, len(loop.kept) + 1, len(loop.nonzero))
    _, operand_ts, ct_ts = split(ts, len(given), len(loop.nonzero))
    total: list[Any] = [None] * len(outs)
    if present(ct_ts):
        every = instantiate(ct_ts, cts, (True,) * len(cts))
        total = loop_cotangent_p.bind(*given, *operands, *every, loop=loop)
    if present(operand_ts):
        changes = loop_cotangent_change_p.bind(
            given[-1], *operands, *cts, *present(operand_ts),
            loop=replace(loop, kept=()), mask=nonzero(operand_ts),
        )  # fmt: skip
        total = [y if x is None else add_any(x, y) for x, y in zip(total, changes, strict=True)]
    return outs, total


def _transpose(cts: list, *operands: Any, loop: Loop) -> list:
    fixed, linear = split(operands, len(loop.kept) + 1 + len(loop.nonzero))
    if any(type(x) is Linear for x in fixed):
        raise not_linear("loop_cotangent")
    results = registry["loop_tangent"].bind(*fixed, *_filled(cts, loop.tangent_avals), loop=loop)
    return [*[None] * len(fixed), *_for_linear(results, linear)]


def _batch(args: list, batched: list, *, loop: Loop) -> tuple[list, Sequence[bool]]:
    block = _together(loop)
    if batched[len(loop.kept)] and is_worth_a_loop([loop.body]) and current_axis().size > block:
        outs = one_by_one(loop_cotangent_p, args, batched, {"loop": loop}, block)
        return outs, [True] * len(outs)
    program, out_batched = batch_program(_meaning(loop), tuple(batched), current_axis())
    return evaluate(program, args), out_batched


def _depends(sets: Sequence[int], *, loop: Loop) -> list[int]:
    """On all cotangents, which `_transpose` takes together; but where operands of the loop depend
    on something too, as the tangents among them may linearly, results are told apart."""
    given, cts = split(sets, len(loop.kept) + 1 + len(loop.nonzero))
    if any(given):
        return depends(_meaning(loop), sets)
    return [union(cts)] * len(loop.tangent_avals)


loop_cotangent_p = Primitive(
    "loop_cotangent",
    infer=lambda *avals, loop: tuple(loop.tangent_avals),
    evaluate=lambda *values, loop: evaluate(_meaning(loop), values),
    forward=_forward,
    linearize=_linearize,
    transpose=_transpose,
    jet=lambda operands, order, run, loop: run(_meaning(loop), operands),
    batch=_batch,
    depends=_depends,
    inline=lambda loop: _meaning(loop),
    multiple_results=True,
)
"""Operands are (kept…, count, operands of the loop…, cotangents of its results…), results the
cotangents of those operands that the loop is differentiated with respect to."""


# --- how it changes with the operands -------------------------------------------------------------


def _second(
    loop: Loop,
    count: Any,
    operands: Sequence[Any],
    ts: Sequence[Any],
    cts: Sequence[Any],
    ct_ts: Sequence[Any],
    wanted: Nonzero,
    of_tangents: bool = False,
) -> tuple[list[Any], list[Any]]:
    """The pullback of a loop over the carry and its tangents.

    Args:
        loop: without tangents.
        count: of steps.
        operands, ts: of the loop, and their tangents; None for zero.
        cts, ct_ts: cotangents of the tangents of its results, and of these themselves or None.
        wanted: of which operands.
        of_tangents: whether the cotangents of tangents are wanted too.

    Returns:
        The cotangents of the operands that are wanted; and by operand that of its tangent, or None.
    """
    counts = Counts(loop.consts, loop.carry)
    body, carry_mask, y_mask = jvp_body(loop.body, counts, nonzero(ts))
    values, (const_ts, carry_ts, x_ts) = loop.divide(operands), loop.divide(ts)
    tangents = [const_ts, instantiate(carry_ts, values[1], carry_mask), x_ts]
    masks = list(map(nonzero, tangents))
    groups = list(zip(values, map(present, tangents), strict=True))
    both = Counts(*(len(x) + len(t) for x, t in groups[:2]))
    own = [
        flag
        for mine, (_, t) in zip(loop.divide(wanted), groups, strict=True)
        for flag in (*mine, *(of_tangents,) * len(t))
    ]
    linear, every = linearized_body(body, both, tuple(own))
    second = replace(
        loop, body=body, consts=both.consts, carry=both.carry, nonzero=every,
        y_nonzero=linear.out_nonzero[both.carry :], kept=(),
    )  # fmt: skip
    _, needed = carry_program(second)
    flat = [x for x, t in groups for x in (*x, *t)]
    flat = [x if n else zeros_like(x) for x, n in zip(flat, needed, strict=True)]
    ends = _ends(loop, ct_ts, cts, carry_mask, y_mask)
    ends = _chosen(ends, (*second.carry_nonzero, *second.y_nonzero))
    results = loop_cotangent_p.bind(count, *flat, *_filled(ends, second.out_avals), loop=second)
    parts = split(spread(results, every), *(len(x) for group in groups for x in group))
    of_ts = [y for part, mask in zip(parts[1::2], masks, strict=True) for y in spread(part, mask)]
    return _chosen([y for part in parts[:-1:2] for y in part], wanted), of_ts


def _ends(
    loop: Loop, own: Sequence[Any], of_ts: Sequence[Any], carry_mask: Nonzero, y_mask: Nonzero
) -> list[Any]:
    """The cotangents of the results with those of their tangents, in the order of a loop over
    both; None for zero."""
    every = (*loop.carry_nonzero, *loop.y_nonzero)
    groups = zip(
        split(spread(own, every), loop.carry),
        split(spread(of_ts, every), loop.carry),
        (carry_mask, y_mask),
        strict=True,
    )
    return [ct for mine, ts, mask in groups for ct in (*mine, *_chosen(ts, mask))]


def _chosen(values: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    """The values for which the mask holds."""
    return [x for x, n in zip(values, mask, strict=True) if n]


def _filled(values: Sequence[Any], avals: Sequence[Aval]) -> list[Any]:
    """The values, zeros in place of None."""
    pairs = zip(values, avals, strict=True)
    return [full(a.shape, 0, a.dtype) if x is None else x for x, a in pairs]


def _for_linear(cts: Sequence[Any], operands: Sequence[Any]) -> list[Any]:
    """The cotangents of those operands that are linear."""
    pairs = zip(cts, operands, strict=True)
    return [ct if type(x) is Linear else None for ct, x in pairs]


def _meaning_of_change(loop: Loop, mask: Nonzero) -> Program:
    """What `loop_cotangent_change` means, as a Program of all operands."""
    key = ("loop cotangents' change", loop, mask)
    if key not in loop.body.cache:

        def run(args: Sequence[Any]) -> list[Any]:
            (count,), operands, cts, ts = split(args, 1, len(mask), len(loop.out_avals))
            none = [None] * len(cts)
            return _second(loop, count, operands, spread(ts, mask), cts, none, loop.nonzero)[0]

        ts = [a.strong() for a in _chosen(loop.in_avals, mask)]
        avals = [COUNT, *loop.in_avals, *loop.out_avals, *ts]
        loop.body.cache[key] = make_program_flat(run, avals, f"jvp({loop.body.name})")
    return loop.body.cache[key]


def _transpose_change(cts: list, *operands: Any, loop: Loop, mask: Nonzero) -> list:
    """A second derivative is symmetric: what was the direction is wanted, and the other way."""
    fixed, linear = split(operands, 1 + len(mask) + len(loop.out_avals))
    if any(type(x) is Linear for x in fixed):
        raise not_linear("loop_cotangent_change")
    (count,), values, s = split(fixed, 1, len(mask))
    direction = spread(_filled(cts, loop.tangent_avals), loop.nonzero)
    results, _ = _second(loop, count, values, direction, s, [None] * len(s), mask)
    return [*[None] * len(fixed), *_for_linear(results, linear)]


def _batch_change(
    args: list, batched: list, *, loop: Loop, mask: Nonzero
) -> tuple[list, Sequence[bool]]:
    program = _meaning_of_change(loop, mask)
    program, out_batched = batch_program(program, tuple(batched), current_axis())
    return evaluate(program, args), out_batched


loop_cotangent_change_p = Primitive(
    "loop_cotangent_change",
    infer=lambda *avals, loop, mask: tuple(loop.tangent_avals),
    evaluate=lambda *values, loop, mask: evaluate(_meaning_of_change(loop, mask), values),
    forward=lambda ts, primals, loop, mask: forward.jvp(
        _meaning_of_change(loop, mask), primals, ts
    ),
    linearize=lambda ts, primals, loop, mask: forward.jvp(
        _meaning_of_change(loop, mask), primals, ts, linearizing=True
    ),
    transpose=_transpose_change,
    jet=lambda operands, order, run, loop, mask: run(_meaning_of_change(loop, mask), operands),
    batch=_batch_change,
    inline=lambda loop, mask: _meaning_of_change(loop, mask),
    multiple_results=True,
)
"""Operands are (count, operands of the loop…, cotangents of its results…, changes of those operands
for which `mask` holds…)."""
