"""What loops share: how their operands divide, and masks of what in them has a tangent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core.program import Program
from functrans.core.types import Aval, shape_of
from functrans.primitives.arithmetic import zeros_like
from functrans.primitives.calls import split
from functrans.primitives.shaping import transpose_p
from functrans.transforms.batching import Batched, batch_program, current_axis, repeat
from functrans.transforms.forward import Nonzero


@dataclass(frozen=True)
class Counts:
    """How the operands of a loop divide into consts, carry and the rest (xs)."""

    consts: int
    carry: int

    def divide(self, values: Sequence[Any]) -> list[list[Any]]:
        return split(values, self.consts, self.carry)


def interleave(avals: Sequence[Sequence[Aval]], masks: Sequence[Nonzero]) -> list[list[Aval]]:
    """Each group of avals, followed by the avals of the tangents of those with a nonzero one."""
    groups: list[list[Aval]] = []
    for group, mask in zip(avals, masks, strict=True):
        groups += [list(group), [a.strong() for a, n in zip(group, mask, strict=True) if n]]
    return groups


def instantiate(ts: Sequence[Any], primals: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    """The tangents, zeros in place of None where the mask holds."""
    return [
        zeros_like(x) if t is None and n else t for t, x, n in zip(ts, primals, mask, strict=True)
    ]


def either(a: Sequence[bool], b: Sequence[bool]) -> Nonzero:
    """The union of two masks."""
    return tuple(x or y for x, y in zip(a, b, strict=True))


def as_typed(x: Any, aval: Aval) -> Any:
    """A concrete value as NumPy array or scalar: Python scalars take the aval's dtype."""
    return x if isinstance(x, np.ndarray | np.generic) else aval.dtype.type(x)


def batched_carry(
    body: Program, consts: Sequence[bool], carry: Sequence[bool], xs: Sequence[bool] = ()
) -> tuple[Program, Batched, Batched]:
    """A body over a batch, given which of its inputs are batched: which of the carry are in some
    step, and which of its further outputs."""
    carry, further = tuple(carry), (False,) * (len(body.outputs) - len(carry))
    while True:
        every = (*consts, *carry, *xs)
        batched, outs = batch_program(body, every, current_axis(), force=(*carry, *further))
        grown = either(carry, outs[: len(carry)])
        if grown == carry:
            return batched, carry, outs[len(carry) :]
        carry = grown


def repeated(
    values: Sequence[Any], batched: Sequence[bool], wanted: Sequence[bool], size: int
) -> list[Any]:
    """The values, with a batch axis wherever one is wanted."""
    return [
        repeat(x, size) if w and not b else x
        for x, b, w in zip(values, batched, wanted, strict=True)
    ]


def swap_leading(x: Any) -> Any:
    """x with its first two axes swapped: scan's axis leads outside, the batch axis inside."""
    rank = len(shape_of(x))
    return transpose_p.bind(x, permutation=(1, 0, *range(2, rank)))
