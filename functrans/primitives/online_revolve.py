"""Carries kept of a loop while it runs, when nobody knows how many steps there will be.

Where the number of steps is known, Revolve (functrans/primitives/revolve.py) says which carries to
keep. Where it is not, every carry is kept as it comes, and room is made by giving up one that is
*dispensable*: one before another of higher level. Carries come with level 0; when none is
dispensable, the last kept gives way to the new one, which gets the next level, so that those before
it become so. Whenever the loop ends, what is kept lets every step be run as few times as any
schedule can do with so many slots (Wang, Moin & Iaccarino, Minimal repetition dynamic checkpointing
algorithm for unsteady adjoint calculation, SIAM J. Sci. Comput. 31, 2009).

The kept carries are in order of time in a gap buffer: those before the gap, of which the ones from
`low` are dispensable, and those after it. Only numbers move in it; carries stay in their slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of, shape_of
from functrans.primitives.arithmetic import convert
from functrans.primitives.branches import INDEX, cond_p
from functrans.primitives.calls import split
from functrans.primitives.revolve import Kept, Step, Values, at, loop, put, repeat
from functrans.primitives.shaping import full, iota

KEEP_FIRST = 1 << 62
"""Level of the first carry, which is never given up."""
COLUMNS = 3
"""Of the buffer: the steps whose carries are kept, their levels, their slots."""
MARKS = 4
"""Positions in the buffer: the first that is dispensable, the end of what is before the gap, the
begin and the end of what is after it."""


def keep_online(
    goes_on: Callable[[Values], Any],
    values: Values,
    step: Step,
    slots: int,
    held: Callable[[Values], Values],
) -> tuple[Any, Values, Kept]:
    """Run `while goes_on(values): values = step(i, values)` and keep carries on the way.

    Args:
        goes_on: whether there is another step.
        values: those of step 0.
        step: (number, its values) → the next values.
        slots: how many carries are kept, at least 1; one more is worked on.
        held: what of the values is kept.

    Returns:
        The number of steps, the last values, and what `revolve.reverse` needs.
    """
    stacks = [full((slots + 1, *shape_of(x)), 0, aval_of(x).dtype) for x in held(values)]
    buffer = [*[full((2 * slots + 2,), 0, np.int64)] * 2, iota((2 * slots + 2,), 0, np.int64)]
    groups = (1, MARKS, COLUMNS, len(stacks))

    def one(v: Values) -> Values:
        (i,), marks, buffer, stacks, values = split(v, *groups)
        slot, *order = _admit(slots + 1, i, marks, buffer)
        return [i + 1, *order, *put(stacks, slot, held(values)), *step(i, values)]

    first = [np.int64(0), *[np.int64(0)] * MARKS, *buffer, *stacks, *values]
    results = loop(lambda v: goes_on(split(v, *groups)[-1]), one, first)
    (count,), marks, buffer, stacks, values = split(results, *groups)
    return count, values, [*_in_order(count, marks, buffer), *stacks]


def _admit(capacity: int, i: Any, marks: Values, buffer: Values) -> Values:
    """The slot for the carry of step i, and the buffer with it."""
    low, before, after, end = marks
    full_up = before + end - after >= capacity
    way = convert(full_up, INDEX) * (1 + convert(before <= low, INDEX))
    slot, level, *rest = _branch(way, [_fresh, _give_up, _promote], [*marks, *buffer])
    (low, before, after, end), buffer = split(rest, MARKS)
    buffer = put(buffer, end, [i, level, slot])
    return [slot, low, before, after, end + 1, *buffer]


def _fresh(v: Sequence[Any]) -> Values:
    """A slot that was never used."""
    end = v[3]
    return [end, convert(end == 0, np.int64) * KEEP_FIRST, *v]


def _give_up(v: Sequence[Any]) -> Values:
    """The slot of the last dispensable carry."""
    (low, before, after, end), buffer = split(v, MARKS)
    return [
        at(buffer[2:], before - 1)[0],
        np.int64(0) * before,
        low,
        before - 1,
        after,
        end,
        *buffer,
    ]


def _promote(v: Sequence[Any]) -> Values:
    """The slot of the last carry, with the next level."""
    marks, buffer = split(v, MARKS)
    end, buffer = _without_gap(marks, buffer)
    last = end - 1
    _, levels, places = buffer
    level = at([levels], last)[0] + 1
    is_lower = lambda v: at([levels], v[0] - 1)[0] < level
    (low,) = loop(is_lower, lambda v: [v[0] - 1], [last])
    return [at([places], last)[0], level, low, last, last, last, *buffer]


def _without_gap(marks: Values, buffer: Values) -> tuple[Any, Values]:
    """How many are kept, and the buffer with all of them at its beginning."""
    _, before, after, end = marks
    move = lambda j, buffer: put(buffer, before + j, at(buffer, after + j))
    return before + end - after, repeat(end - after, move, buffer)


def _in_order(count: Any, marks: Values, buffer: Values) -> Values:
    """What `revolve.reverse` starts from: the last range is of the steps at the end that are all
    kept."""
    end, (begins, _, places) = _without_gap(marks, buffer)
    is_kept = lambda v: (v[0] < end) & (at([begins], end - 1 - v[0])[0] == count - 1 - v[0])
    (size,) = loop(is_kept, lambda v: [v[0] + 1], [np.int64(0)])
    return [count - size, end - size, size, end - size, begins, places]


def _branch(
    index: Any, functions: Sequence[Callable[[Sequence[Any]], Values]], values: Values
) -> Values:
    """The results of one of the functions in the trace that is open."""
    avals = [aval_of(x).strong() for x in values]
    programs = tuple(make_program_flat(f, avals, f.__name__) for f in functions)
    return cond_p.bind(index, *values, branches=programs)
