"""A loop that is differentiated, and what its derivative reads of the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from functrans.core.dependence import depends, union
from functrans.core.program import Program
from functrans.core.simplify import drop_dead
from functrans.core.types import Aval
from functrans.primitives.calls import nonzero, split
from functrans.primitives.carries import Counts, instantiate
from functrans.primitives.loops import linearized_body
from functrans.transforms.forward import Nonzero
from functrans.transforms.linearize import linearize_program

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
    def is_recorded(self) -> bool:
        """Whether the backward pass may take memory for every step; what is kept is a tape then."""
        return self.length is None and self.checkpoint is None

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
