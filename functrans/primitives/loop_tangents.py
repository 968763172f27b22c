"""`loop_tangent`: the derivative of a loop that stores nothing of its steps, a linear map.

A `while_loop` does not know how many steps there will be, so residuals have no place to be stored;
a `scan` with checkpoint=k is asked not to store them. Forward, the loop runs again with its
tangents. Backward, the carries of the steps are computed again, last first, from a few that are
kept (functrans/primitives/revolve.py), and every step is linearised where it is pulled back. Loops
may have kept them when they ran (functrans/primitives/checkpointed_loops.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from functrans.core.dependence import depends, union
from functrans.core.interpret import evaluate
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.program import Program
from functrans.core.simplify import drop_dead
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, aval_of
from functrans.primitives import revolve
from functrans.primitives.arithmetic import add_p, zeros_like
from functrans.primitives.calls import nonzero, present, split, spread
from functrans.primitives.carries import Counts, instantiate
from functrans.primitives.hinted_calls import hinted_call_p
from functrans.primitives.loops import linearized_body, scan_jvp_body, scan_p
from functrans.primitives.shaping import full
from functrans.primitives.while_loops import COUNT, jvp_body
from functrans.transforms import forward
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.forward import Nonzero
from functrans.transforms.linearize import linearize_program
from functrans.transforms.transpose import transpose_program

SLOTS = 384
"""Carries that are kept where the user does not say how many: 9 million steps then run forward
three times at most."""
FEWEST_SLOTS = 16
MEMORY_LIMIT = 256 << 20
"""Bytes that they may take; larger carries get fewer slots, but not fewer than FEWEST_SLOTS."""


@dataclass(frozen=True)
class Loop:
    """A loop, and with respect to what it is differentiated.

    Attributes:
        body: Program over (consts…, carry…, x…) giving (carry…, y…).
        consts, carry: how many there are.
        nonzero: which inputs of the body have a tangent, the carry's being those of every step.
        y_nonzero: which ys have one.
        length: the number of steps if it is known; None for a while loop, which has no xs and ys.
        reverse: whether the last x comes first.
        checkpoint: how many carries the backward pass keeps; None for the default.
        kept: what the loop has kept when it ran; empty if it ran without keeping anything.
    """

    body: Program
    consts: int
    carry: int
    nonzero: Nonzero = ()
    y_nonzero: Nonzero = ()
    length: int | None = None
    reverse: bool = False
    checkpoint: int | None = None
    kept: tuple[Aval, ...] = ()

    @property
    def programs(self) -> tuple[Program, ...]:
        return (self.body,)

    def divide(self, values: Sequence[Any]) -> list[list[Any]]:
        """(consts, carry, xs) among values per input of the body."""
        return split(values, self.consts, self.carry)

    @property
    def carry_nonzero(self) -> Nonzero:
        return self.nonzero[self.consts : self.consts + self.carry]

    @property
    def in_avals(self) -> list[Aval]:
        """Of consts, first carry and whole xs."""
        consts, carry, xs = self.divide(self.body.in_avals)
        return [*consts, *carry, *map(self._stacked, xs)]

    @property
    def tangent_avals(self) -> list[Aval]:
        """Of the tangents of consts, first carry and whole xs."""
        pairs = zip(self.in_avals, self.nonzero, strict=True)
        return [a.strong() for a, n in pairs if n]

    @property
    def out_avals(self) -> list[Aval]:
        """Of the tangents of last carry and whole ys."""
        whole = [*self.body.out_avals[: self.carry], *self.y_avals]
        nonzero = (*self.carry_nonzero, *self.y_nonzero)
        return [a.strong() for a, n in zip(whole, nonzero, strict=True) if n]

    @property
    def y_avals(self) -> list[Aval]:
        """Of the whole ys."""
        return [self._stacked(a) for a in self.body.out_avals[self.carry :]]

    def place(self, i: Any) -> Any:
        """Which of the xs step i reads, and which of the ys it makes."""
        assert self.length is not None
        return self.length - 1 - i if self.reverse else i

    def _stacked(self, aval: Aval) -> Aval:
        assert self.length is not None  # only scans have xs and ys
        return Aval((self.length, *aval.shape), aval.dtype)

    @property
    def slots(self) -> int:
        """How many carries the backward pass keeps."""
        slots = self.checkpoint
        if slots is None:
            nbytes = sum(a.nbytes for a in carry_program(self)[0].out_avals)
            slots = int(np.clip(MEMORY_LIMIT // max(nbytes, 1), FEWEST_SLOTS, SLOTS))
        return slots if self.length is None else max(1, min(slots, self.length))


def differentiated(loop: Loop, operands: Sequence[Any], ts: Sequence[Any]) -> tuple[Loop, list]:
    """The loop with the masks of the tangents of its operands (consts, carry, xs), and these, with
    zeros for a carry that gets a tangent later."""
    body, every = linearized_body(loop.body, Counts(loop.consts, loop.carry), nonzero(ts))
    const_ts, carry_ts, x_ts = loop.divide(ts)
    carry_nonzero, y_nonzero = loop.divide(every)[1], body.out_nonzero[loop.carry :]
    ts = [*const_ts, *instantiate(carry_ts, loop.divide(operands)[1], carry_nonzero), *x_ts]
    return replace(loop, nonzero=nonzero(ts), y_nonzero=y_nonzero), ts


def tangents_of_loop(
    count: Any, kept: Sequence[Any], operands: Sequence[Any], ts: Sequence[Any], loop: Loop
) -> list[Any]:
    """The tangents of a loop's results, None for zero, of those of its operands."""
    _, needed = carry_program(loop)
    operands = [x if n else zeros_like(x) for x, n in zip(operands, needed, strict=True)]
    loop = replace(loop, kept=tuple(aval_of(x).strong() for x in kept))
    out_ts = loop_tangent_p.bind(*kept, count, *operands, *present(ts), loop=loop)
    return spread(out_ts, (*loop.carry_nonzero, *loop.y_nonzero))


def carry_program(loop: Loop) -> tuple[Program, Nonzero]:
    """The part of the body that gives what its derivative reads of the carry in some step, sums
    for example being left out; and which inputs of the body the derivative reads."""
    key = ("carry", loop)
    if key not in loop.body.cache:
        loop.body.cache[key] = _build_carry_program(loop)
    return loop.body.cache[key]


def _build_carry_program(loop: Loop) -> tuple[Program, Nonzero]:
    body = loop.body
    forward = linearize_program(body, loop.nonzero).forward
    reads = depends(forward, [1 << i for i in range(len(body.inputs))])
    carry = range(loop.consts, loop.consts + loop.carry)
    read = union(reads[len(body.outputs) :])
    while True:
        grown = union([read, *[out for i, out in zip(carry, reads, strict=False) if read >> i & 1]])
        if grown == read:
            break
        read = grown
    needed = tuple(bool(read >> i & 1) for i in range(len(body.inputs)))
    outputs = [after for i, after in zip(carry, forward.outputs, strict=False) if needed[i]]
    return drop_dead(Program(forward.inputs, forward.equations, outputs, body.name))[0], needed


def by_rules(body: Program, loop: Loop) -> Program:
    """The loop's body, with what its linearisation puts in place of functions with reverse rules:
    these have no forward mode, which second derivatives of the loop may ask for."""
    key = ("by rules", loop.nonzero)
    if key not in body.cache:
        forward = linearize_program(body, loop.nonzero).forward
        outputs = forward.outputs[: len(body.outputs)]
        body.cache[key] = drop_dead(Program(forward.inputs, forward.equations, outputs, body.name))[
            0
        ]
    return body.cache[key]


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
    const_mask, carry_mask, _ = map(tuple, loop.divide(loop.nonzero))
    body, _ = jvp_body(loop.body, loop.consts, const_mask, carry_mask)

    def run(args: Sequence[Any]) -> list[Any]:
        _, (count,), consts, carry, ts = split(args, len(loop.kept), 1, loop.consts, loop.carry)
        const_ts, carry_ts = split(ts, sum(const_mask))
        one = lambda _, values: evaluate(body, [*consts, *const_ts, *values])
        return revolve.repeat(count, one, [*carry, *carry_ts], loop.checkpoint)[loop.carry :]

    return run


def _scan_again(loop: Loop) -> Any:
    body, _, _ = scan_jvp_body(loop.body, Counts(loop.consts, loop.carry), loop.nonzero)
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
    plain = _backward(replace(loop, kept=()))
    hints = len(loop.kept)
    results = hinted_call_p.bind(
        *fixed, *whole, plain=plain, quick=_backward(loop), hints=hints, count=hints
    )
    given = [ct if type(x) is Linear else None for ct, x in zip(results, linear, strict=True)]
    return [*[None] * len(fixed), *given]


def _backward(loop: Loop) -> Program:
    """(kept, count, consts, first carry, xs, cotangents of the results) → those of the tangents."""
    key = ("loop backward", loop)
    if key not in loop.body.cache:

        def run(args: Sequence[Any]) -> list[Any]:
            kept, (count,), operands, cts = split(args, len(loop.kept), 1, len(loop.nonzero))
            return _Backward(loop, operands, cts).run(count, kept)

        avals = [*loop.kept, COUNT, *loop.in_avals, *loop.out_avals]
        loop.body.cache[key] = make_program_flat(run, avals, f"transpose({loop.body.name})")
    return loop.body.cache[key]


class _Backward:
    """Runs a loop backward inside a trace. The state is (sums of the consts' cotangents, the
    carry's cotangents, the xs' cotangents so far)."""

    def __init__(self, loop: Loop, operands: Sequence[Any], cts: Sequence[Any]) -> None:
        self.loop = loop
        self.consts, self.carry, self.xs = loop.divide(operands)
        self.carry_cts, self.y_cts = split(cts, sum(loop.carry_nonzero))
        self.again, needed = carry_program(loop)
        self.needed = loop.divide(needed)[1]
        self.parts = linearize_program(loop.body, loop.nonzero)
        residuals = self.parts.residual_count
        mask = (*(False,) * residuals, *(True,) * sum(loop.nonzero))
        given = (True,) * sum(self.parts.out_nonzero)
        self.transposed, self.has = transpose_program(self.parts.linear, mask, given)

    def run(self, count: Any, kept: list[Any]) -> list[Any]:
        masks = self.loop.divide(self.loop.nonzero)
        zeros = [
            [zeros_like(x) for x, n in zip(group, mask, strict=True) if n]
            for group, mask in zip((self.consts, self.xs), (masks[0], masks[2]), strict=True)
        ]
        step = lambda i, carry: evaluate(self.again, self._inputs(i, carry))
        first = [revolve.strong(x) for x, n in zip(self.carry, self.needed, strict=True) if n]
        slots = self.loop.slots
        if not self.loop.kept:
            _, kept = revolve.keep(count, first, step, slots)
        state = [*zeros[0], *self.carry_cts, *zeros[1]]
        return revolve.reverse(kept, len(first), state, step, self._back, slots)

    def _inputs(self, i: Any, carry: Sequence[Any]) -> list[Any]:
        xs = revolve.at(self.xs, self.loop.place(i)) if self.xs else []
        parts = iter(carry)
        every = [next(parts) if n else x for x, n in zip(self.carry, self.needed, strict=True)]
        return [*self.consts, *every, *xs]

    def _back(self, i: Any, carry: list, state: list) -> list:
        """The state before step i; given is what the derivative reads of its carry."""
        loop, parts = self.loop, self.parts
        outs = evaluate(parts.forward, self._inputs(i, carry))
        residuals = outs[len(loop.body.outputs) :]
        sums, carry_cts, x_cts = split(state, sum(loop.nonzero[: loop.consts]), len(self.carry_cts))
        y_cts = revolve.at(self.y_cts, self.loop.place(i)) if self.y_cts else []
        of_outs = [*spread(carry_cts, loop.carry_nonzero), *spread(y_cts, loop.y_nonzero)]
        given = present(
            [ct if n else None for ct, n in zip(of_outs, parts.out_nonzero, strict=True)]
        )
        results = iter(evaluate(self.transposed, [*residuals, *given]))
        pulled = [next(results) if h else None for h in self.has]
        to_consts, to_carry, to_xs = split(pulled, len(sums), len(carry_cts))
        sums = [s if c is None else add_p.bind(s, c) for s, c in zip(sums, to_consts, strict=True)]
        carry_cts = [
            zeros_like(ct) if c is None else c for ct, c in zip(carry_cts, to_carry, strict=True)
        ]
        x_cts = [
            stack if c is None else revolve.put([stack], self.loop.place(i), [c])[0]
            for stack, c in zip(x_cts, to_xs, strict=True)
        ]
        return [*sums, *carry_cts, *x_cts]


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
