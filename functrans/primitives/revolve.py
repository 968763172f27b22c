"""Revolve: the carries of a loop, last first, from a few that are kept and runs of the body.

The backward pass of a loop needs the carry of every step in reverse order. With a number of slots
for carries, a range of steps is divided where the binomial schedule puts its next checkpoint: from
s slots C(s + r, s) steps can be reversed when none is run forward more than r times, and no
schedule needs fewer runs (Griewank & Walther, Algorithm 799: Revolve, ACM TOMS 26, 2000). What fits
into the free slots is kept whole and reversed at once, so a loop with enough slots runs once.

`keep` runs a loop forward and keeps what `reverse` starts from. The number of steps may be known at
run time only: the schedule is computed in the loops that follow it, which the compiler makes native
code like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core.trace import trace
from functrans.core.types import aval_of, shape_of
from functrans.primitives.arithmetic import convert, min_p
from functrans.primitives.calls import split
from functrans.primitives.dynamic import dynamic_slice_p, dynamic_update_slice_p
from functrans.primitives.shaping import full, reshape_p
from functrans.primitives.while_loops import while_p

Values = list[Any]
Step = Callable[[Any, Values], Values]
Kept = Values
"""What is kept of a loop that has run: of the last range the first step, its slot and the number of
steps; the last slot that stays in use; the steps whose carries the slots hold; where the slots are,
if not in order; the slots, stacked."""


def keep(
    count: Any, values: Values, step: Step, slots: int, held: Callable[[Values], Values] = list
) -> tuple[Values, Kept]:
    """Run all steps but the last, and keep carries on the way, in the trace that is open.

    Args:
        count: how many steps there are, an int64 scalar.
        values: those of step 0.
        step: (number, its values) → the next values.
        slots: how many carries are kept, at least 1; one more is worked on.
        held: what of the values is kept.

    Returns:
        The values of the last step, and what is kept.
    """
    stacks = [full((slots + 1, *shape_of(x)), 0, aval_of(x).dtype) for x in held(values)]
    begins = full((slots + 1,), 0, np.int64)
    stacks = put(stacks, np.int64(0), held(values))
    return _Sweep(step, slots, held, []).fill(count, np.int64(0), begins, stacks, values)


def reverse(
    kept: Kept,
    parts: int,
    state: Values,
    step: Step,
    back: Callable[[Any, Values, Values], Values],
    slots: int,
) -> Values:
    """The state after `back` of every step from the last to the first, in the trace that is open.

    Args:
        kept: of the loop.
        parts: arrays of a carry.
        state: what `back` hands on.
        step: (number, its carry) → the next carry.
        back: (number, its carry, state) → state.
        slots: as for `keep`.
    """
    (first, base, size, top, begins), places, stacks = split(kept, 5, len(kept) - 5 - parts)
    sweep = _Sweep(step, slots, list, places)
    top, state = sweep.drain([first, base, size, top, begins], stacks, state, back)

    def one_range(values: Values) -> Values:
        (end, top, begins), stacks, state = split(values, 3, parts)
        carry = sweep.read(stacks, top)
        _, (first, *rest) = sweep.fill(end, top, begins, stacks, carry)
        head, _, stacks = split([first, *rest], 5, len(places))
        top, state = sweep.drain(head, stacks, state, back)
        return [first, top, head[4], *stacks, *state]

    values = loop(lambda v: v[0] > 0, one_range, [first, top, begins, *stacks, *state])
    return values[3 + parts :]


@dataclass(frozen=True)
class _Sweep:
    """The steps of one range after another. `top` is the last slot in use."""

    step: Step
    slots: int
    held: Callable[[Values], Values]
    places: Values

    def _place(self, slot: Any) -> Any:
        return at(self.places, slot)[0] if self.places else slot

    def read(self, stacks: Values, slot: Any) -> Values:
        return at(stacks, self._place(slot))

    def _write(self, stacks: Values, slot: Any, values: Values) -> Values:
        return put(stacks, self._place(slot), self.held(values))

    def fill(
        self, end: Any, top: Any, begins: Any, stacks: Values, values: Values
    ) -> tuple[Values, Kept]:
        """Divide the steps from the last slot's to `end` until the rest fits into the free slots,
        and keep that: the values of its last step, and what is kept."""
        parts = len(stacks)

        def divide(v: Values) -> Values:
            (top, begins), stacks, values = split(v, 2, parts)
            begin = at([begins], top)[0]
            size = division(end - begin, self.slots - top)
            values = self._advance(begin, size, values)
            (begins,) = put([begins], top + 1, [begin + size])
            return [top + 1, begins, *self._write(stacks, top + 1, values), *values]

        is_long = lambda v: self._is_long(end, v[0], v[1])
        (top, begins), stacks, values = split(
            loop(is_long, divide, [top, begins, *stacks, *values]), 2, parts
        )
        begin, free = at([begins], top)[0], self.slots - 1 - top
        size = min_p.bind(end - begin, free + 1)
        first = end - size
        # without a free slot the last step alone is left, and its carry is one more than are kept
        base = top + convert(first > begin, np.int64)
        values = self._advance(begin, first - begin, values)
        values, stacks = self._keep_all(first, base, size, values, stacks)
        return values, [first, base, size, top, begins, *self.places, *stacks]

    def _is_long(self, end: Any, top: Any, begins: Any) -> Any:
        """Whether a range does not fit into the free slots, and there are some to divide it."""
        free = self.slots - 1 - top
        return (end - at([begins], top)[0] > free + 1) & (free > 0)

    def _advance(self, begin: Any, count: Any, values: Values) -> Values:
        """The values after `count` steps from step `begin`."""
        return repeat(count, lambda i, values: self.step(begin + i, values), values)

    def _keep_all(
        self, first: Any, base: Any, size: Any, values: Values, stacks: Values
    ) -> tuple[Values, Values]:
        """Put the values of `size` steps from step `first` into the slots from `base`."""
        count = len(values)

        def one(i: Any, v: Values) -> Values:
            values, stacks = split(v, count)
            values = self.step(first + i, values)
            return [*values, *self._write(stacks, base + i + 1, values)]

        stacks = self._write(stacks, base, values)
        values, stacks = split(repeat(size - 1, one, [*values, *stacks]), count)
        return values, stacks

    def drain(
        self, head: Values, stacks: Values, state: Values, back: Callable[..., Values]
    ) -> tuple[Any, Values]:
        """Reverse the range that is kept whole: the last slot then in use, the state."""
        first, base, size, top, begins = head

        def one(i: Any, state: Values) -> Values:
            j = size - 1 - i
            return back(first + j, self.read(stacks, base + j), state)

        begin = at([begins], top)[0]
        return top - convert(first <= begin, np.int64), repeat(size, one, state)


def division(steps: Any, slots: Any) -> Any:
    """How many steps to run before the next checkpoint is kept; traced or not.

    With r runs of each step at most, β(s, r - 1) steps go before it if that leaves β(s - 1, r - 1)
    or more after it, which keeps both parts at their own optimum.
    """

    def grow(v: Values) -> Values:
        runs, reach, _ = v
        return [runs + 1, reach * (slots + runs + 1) // (runs + 1), reach]

    runs, _, before = loop(lambda v: v[1] < steps, grow, [np.int64(1), slots + 1, np.int64(1)])
    return min_p.bind(before, steps - before * slots // (slots + runs - 1))


# --- loops over traced counts, and slots ----------------------------------------------------------


def loop(
    test: Callable[[Values], Any],
    body: Callable[[Values], Values],
    values: Sequence[Any],
    checkpoint: int | None = None,
) -> Values:
    """`while test(values): values = body(values)` in the trace that is open."""
    avals = [aval_of(x).strong() for x in values]
    goes_on, test_consts, _ = trace(lambda v: [test(list(v))], avals, name="goes on")
    step, consts, _ = trace(lambda v: list(map(strong, body(list(v)))), avals, name="step")
    return while_p.bind(
        *test_consts, *consts, *values, cond_program=goes_on, body_program=step,
        cond_consts=len(test_consts), body_consts=len(consts), checkpoint=checkpoint,
    )  # fmt: skip


def repeat(
    count: Any,
    body: Callable[[Any, Values], Values],
    values: Sequence[Any],
    checkpoint: int | None = None,
) -> Values:
    """body(i, values) for i below count."""
    one = lambda v: [v[0] + 1, v[1], *body(v[0], v[2:])]
    return loop(lambda v: v[0] < v[1], one, [np.int64(0), count, *values], checkpoint)[2:]


def at(stacks: Sequence[Any], j: Any) -> Values:
    """Entry j of every stack."""
    entries = []
    for stack in stacks:
        shape = shape_of(stack)
        starts = [j, *[np.int64(0)] * (len(shape) - 1)]
        block = dynamic_slice_p.bind(stack, *starts, sizes=(1, *shape[1:]))
        entries.append(reshape_p.bind(block, shape=shape[1:]))
    return entries


def put(stacks: Sequence[Any], j: Any, values: Sequence[Any]) -> Values:
    """The stacks with values as their entries j."""
    results = []
    for stack, x in zip(stacks, values, strict=True):
        shape = shape_of(x)
        starts = [j, *[np.int64(0)] * len(shape)]
        block = reshape_p.bind(strong(x), shape=(1, *shape))
        results.append(dynamic_update_slice_p.bind(stack, block, *starts, op="set"))
    return results


def strong(x: Any) -> Any:
    """x with a strong type."""
    aval = aval_of(x)
    return convert(x, aval.dtype) if aval.weak_type else x
