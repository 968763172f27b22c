"""Reductions over windows as Programs of primitives that have a form of code.

They are elementwise: the fold of as many slices as a window has elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from functrans.compiler.stored import stored
from functrans.core.program import Equation
from functrans.core.types import Aval, shape_of
from functrans.primitives.arithmetic import eq_p, ne_p, or_p, select
from functrans.primitives.shaping import full, iota, pad, slice_p
from functrans.primitives.windows import dilated, window_count

MOST_SLICES = 32
"""Elements of a window up to which its reduction is a fold of slices."""


def _slices(x: Any, fill: Any, params: dict[str, Any]) -> list[Any]:
    """For every element of a window, an array of it in all windows, in C order."""
    low, high = zip(*params["padding"], strict=True) if params["padding"] else ((), ())
    x = pad(x, low, high, tuple(b - 1 for b in params["base_dilation"]), fill)
    window, strides = params["window_dimensions"], params["window_strides"]
    dilation, extents = params["window_dilation"], shape_of(x)
    spans = map(dilated, window, dilation)
    counts = list(map(window_count, extents, spans, strides, ((0, 0),) * len(extents)))
    parts = []
    for tap in product(*map(range, window)):
        start = tuple(i * d for i, d in zip(tap, dilation, strict=True))
        reach = zip(start, counts, strides, strict=True)
        stop = tuple(a + (n - 1) * s + 1 for a, n, s in reach)
        parts.append(slice_p.bind(x, start=start, stop=stop, step=strides))
    return parts


def _few(equation: Equation, avals: Sequence[Aval]) -> bool:
    slices = math.prod(equation.params["window_dimensions"])
    return slices <= MOST_SLICES and equation.outputs[0].aval.size > 0 and avals[0].size > 0


def fold(combine: Any, identity: Callable[[np.dtype], Any]) -> Callable[..., Any]:
    def rule(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
        if not _few(equation, avals):
            return None
        fill = identity(avals[0].dtype)
        return lambda x: reduce(combine.bind, _slices(x, fill, dict(equation.params)))

    return rule


def find(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """The first element of each window that equals a value, nan being equal to nan."""
    params = dict(equation.params)
    if not _few(equation, avals) or max(params["base_dilation"], default=1) > 1:
        return None
    x_aval, y_aval = avals
    steps = [math.prod(x_aval.shape[a + 1 :]) for a in range(x_aval.ndim)]

    def rule(x: Any, y: Any) -> Any:
        # x must be the numbers that y was found among: computed twice, they could differ in a bit
        x = stored(x)
        inside = _slices(full(x_aval.shape, True, np.bool_), np.False_, params)
        padded = any(p > 0 for pair in params["padding"] for p in pair)
        # where the first element of a window lies, and how far from it the others
        first: Any = np.int64(0)
        for a, step in enumerate(steps):
            stride, (low, _) = params["window_strides"][a], params["padding"][a]
            first = first + (iota(y_aval.shape, a, np.int64) * (stride * step) - low * step)
        found: Any = full(y_aval.shape, -1, np.int64)
        slices = _slices(x, x_aval.dtype.type(0), params)
        taps = list(product(*map(range, params["window_dimensions"])))
        for tap, part, valid in reversed(list(zip(taps, slices, inside, strict=True))):
            same = eq_p.bind(part, y)
            if x_aval.dtype.kind == "f":
                same = or_p.bind(same, ne_p.bind(part, part) & ne_p.bind(y, y))
            if padded:
                same = same & valid
            offsets = zip(tap, params["window_dilation"], steps, strict=True)
            found = select(same, first + np.int64(sum(i * d * s for i, d, s in offsets)), found)
        return found

    return rule
