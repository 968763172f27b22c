"""Revolve: the carries of a loop, last first, from a few that are kept and runs of the body.

The backward pass of a loop needs the carry of every step in reverse order. With a number of slots
for carries, a range of steps is divided where the binomial schedule puts its next checkpoint: from
s slots C(s + r, s) steps can be reversed when none is run forward more than r times, and no
schedule needs fewer runs (Griewank & Walther, Algorithm 799: Revolve, ACM TOMS 26, 2000). What fits
into the free slots is kept whole and reversed at once, so a loop with enough slots runs once.

The number of steps may be known at run time only: the schedule is computed in the loop that follows
it, which the compiler makes native code like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def reverse_steps(
    count: Any,
    carry: Values,
    state: Values,
    step: Callable[[Any, Values], Values],
    back: Callable[[Any, Values, Values], Values],
    slots: int,
) -> Values:
    """The state after `back` of every step from the last to the first, in the trace that is open.

    Args:
        count: how many steps, an int64 scalar.
        carry: that of step 0.
        state: what `back` hands on.
        step: (number, its carry) → the next carry.
        back: (number, its carry, state) → state.
        slots: how many carries are kept, at least 1; one more is worked on.
    """
    return _Revolve(step, back, slots, len(carry)).run(count, carry, state)


class _Revolve:
    """Carried between ranges: `end`, below which steps are left; `top`, the last slot in use;
    `begins`, the steps whose carries the slots hold; the slots, stacked; the state."""

    def __init__(self, step: Any, back: Any, slots: int, parts: int) -> None:
        self.step, self.back, self.slots, self.parts = step, back, slots, parts

    def run(self, count: Any, carry: Values, state: Values) -> Values:
        stacks = [full((self.slots + 1, *shape_of(x)), 0, aval_of(x).dtype) for x in carry]
        begins = full((self.slots + 1,), 0, np.int64)
        values = [count, np.int64(0), begins, *put(stacks, np.int64(0), carry), *state]
        values = loop(lambda v: v[0] > 0, self._range, values)
        return values[3 + self.parts :]

    def _range(self, values: Values) -> Values:
        """Divide the last range of steps until it fits into the free slots, and reverse it."""
        (end, top, begins), stacks, state = split(values, 3, self.parts)
        top, begins, *stacks = loop(
            lambda v: self._is_long(end, v[0], v[1]),
            lambda v: self._divide(end, v[0], v[1], v[2:]),
            [top, begins, *stacks],
        )
        begin, free = self._begin(top, begins), self.slots - 1 - top
        size = min_p.bind(end - begin, free + 1)
        first = end - size
        # without a free slot the last step alone is left, and its carry is one more than are kept
        base = top + convert(first > begin, np.int64)
        carry = self._advance(begin, first - begin, at(stacks, top))
        stacks = self._keep(first, base, size, carry, put(stacks, base, carry))

        def one(i: Any, state: Values) -> Values:
            j = size - 1 - i
            return self.back(first + j, at(stacks, base + j), state)

        state = repeat(size, one, state)
        return [first, top - convert(first <= begin, np.int64), begins, *stacks, *state]

    def _begin(self, top: Any, begins: Any) -> Any:
        return at([begins], top)[0]

    def _is_long(self, end: Any, top: Any, begins: Any) -> Any:
        """Whether a range does not fit into the free slots, and there are some to divide it."""
        free = self.slots - 1 - top
        return (end - self._begin(top, begins) > free + 1) & (free > 0)

    def _divide(self, end: Any, top: Any, begins: Any, stacks: Values) -> Values:
        begin = self._begin(top, begins)
        size = division(end - begin, self.slots - top)
        carry = self._advance(begin, size, at(stacks, top))
        (begins,) = put([begins], top + 1, [begin + size])
        return [top + 1, begins, *put(stacks, top + 1, carry)]

    def _advance(self, begin: Any, count: Any, carry: Values) -> Values:
        """The carry after `count` steps from step `begin`."""
        return repeat(count, lambda i, carry: self.step(begin + i, carry), carry)

    def _keep(self, first: Any, base: Any, size: Any, carry: Values, stacks: Values) -> Values:
        """Put the carries of the steps after `first` into the slots after `base`."""

        def one(i: Any, values: Values) -> Values:
            carry, stacks = split(values, self.parts)
            carry = self.step(first + i, carry)
            return [*carry, *put(stacks, base + i + 1, carry)]

        return repeat(size - 1, one, [*carry, *stacks])[self.parts :]


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
        results.append(dynamic_update_slice_p.bind(stack, block, *starts))
    return results


def strong(x: Any) -> Any:
    """x with a strong type."""
    aval = aval_of(x)
    return convert(x, aval.dtype) if aval.weak_type else x
