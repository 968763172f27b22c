"""Steps along a line that satisfy the strong Wolfe conditions.

Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6, as one loop: the interval
of the second has an infinite end until the first has found a bracket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import functrans.numpy as fnp
from functrans.core import tree
from functrans.core.types import dtype_of
from functrans.lax.loops import while_loop


class Point(NamedTuple):
    """A place on the line: the function there, its slope along the line and its gradient."""

    t: Any
    value: Any
    slope: Any
    gradient: Any


class Found(NamedTuple):
    """The best point, whether it satisfies the conditions, whether a bracket was found, and steps.

    A point at t = 0 is the start: nothing lower was found.
    """

    point: Point
    success: Any
    bracketed: Any
    nit: Any


class Conditions(NamedTuple):
    """What is asked of a step, and how it is looked for.

    Attributes:
        maxiter: points tried at most.
        decrease: the part of what the slope promises by which the value must fall (c1).
        curvature: the part of the first slope that may be left (c2).
        approximate: relative rise of the value up to which the slope alone tells of a decrease,
            since rounding hides it in the value (Hager and Zhang, 2005).
        slack: absolute tolerance of both conditions.
        growth: by what steps grow until there is a bracket.
        longest: the longest step.
        narrow: width of a bracket from which on a step that decreases enough will do.
    """

    maxiter: Any = 30
    decrease: Any = 1e-4
    curvature: Any = 0.9
    approximate: Any = 1e-6
    slack: Any = 0.0
    growth: Any = 2.0
    longest: Any = np.inf
    narrow: Any = 0.0


def line_search(
    along: Callable[[Any], tuple[Any, Any, Any]], start: Point, first: Any, ask: Conditions
) -> Found:
    """A step that satisfies the strong Wolfe conditions.

    Args:
        along: from a number t to the value, the slope and the gradient, a tree, at that step.
        start: the point of t = 0; its slope is negative.
        first: the first step to try.
        ask: the conditions.
    """

    def decreased(p: Point) -> Any:
        enough = p.value <= start.value + ask.decrease * p.t * start.slope + ask.slack
        flat = p.value <= start.value + ask.approximate * fnp.abs(start.value)
        return enough | (flat & (p.slope <= (2 * ask.decrease - 1) * start.slope + ask.slack))

    def go_on(state: Any) -> Any:
        _, _, _, k, _, over = state
        return (k < ask.maxiter) & fnp.logical_not(over)

    def step(state: Any) -> Any:
        t, low, high, k, _, _ = state
        there = Point(t, *along(t))
        fell = decreased(there)
        found = fell & (fnp.abs(there.slope) <= -ask.curvature * start.slope + ask.slack)
        # comparisons with nan are false, so that a step into nan is one too long
        lower = fell & (there.value < low.value)
        # an infinite end counts as beyond: a rising slope brackets a minimum
        turned = fnp.where(high.t > low.t, there.slope, -there.slope) >= 0
        high = _either(lower, _either(turned, _bare(low), high), _bare(there))
        low = _either(lower | found, there, low)
        width = fnp.abs(high.t - low.t)
        over = found | ((low.t > 0) & ((width <= ask.narrow) | (low.t >= ask.longest)))
        bracketed = fnp.isfinite(high.t)
        t = fnp.where(bracketed, _between(low, high), fnp.minimum(ask.growth * t, ask.longest))
        return t, low, high, k + 1, found, over

    infinite = fnp.full_like(start.t, np.inf)
    high = Point(infinite, infinite, infinite, ())
    t = fnp.minimum(first, ask.longest).astype(dtype_of(start.t))
    no = np.False_
    _, low, high, k, found, _ = while_loop(go_on, step, (t, start, high, 0, no, no))
    return Found(low, found, fnp.isfinite(high.t), k)


def _between(low: Point, high: Point) -> Any:
    """The minimum of the cubic through both ends, unless it is near one (equation 3.59)."""
    known = fnp.isfinite(high.t) & (high.t != low.t)
    known = known & fnp.isfinite(high.value) & fnp.isfinite(high.slope)
    end = _either(known, high, _bare(low)._replace(t=low.t + 1))
    width = end.t - low.t
    a = low.slope + end.slope - 3 * (end.value - low.value) / width
    square = a * a - low.slope * end.slope
    b = fnp.sign(width) * fnp.sqrt(fnp.maximum(square, 0.0))
    below = end.slope - low.slope + 2 * b
    fraction = 1 - (end.slope + b - a) / fnp.where(below == 0, 1, below)
    inside = known & (square >= 0) & (fraction >= 0.1) & (fraction <= 0.9)
    # of an infinite end the result is not used, but zero cotangents times it would be nan
    gap = fnp.where(fnp.isfinite(high.t), high.t, low.t) - low.t
    return low.t + fnp.where(inside, fraction, 0.5) * gap


def _bare(p: Point) -> Point:
    return p._replace(gradient=())


def _either(condition: Any, a: Point, b: Point) -> Any:
    return tree.map(lambda x, y: fnp.where(condition, x, y), a, b)
