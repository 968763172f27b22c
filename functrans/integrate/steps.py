"""Steps of solvers of dy/dt = slope(y, t, *args) for vectors y, from time to time.

Step sizes carry no derivatives: they are chosen, and the solution does not depend on them but for
the error that the tolerances allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import functrans.numpy as fnp
from functrans.core.types import dtype_of, shape_of
from functrans.integrate.tableaus import DORMAND_PRINCE, Tableau
from functrans.lax.loops import scan, while_loop
from functrans.primitives.identities import stop_gradient

SAFETY, SLOWEST, FASTEST = 0.9, 0.2, 10.0
"""Of the step that the error estimate allows; and by how much a step may shrink or grow."""


@dataclass(frozen=True)
class Problem:
    """What is solved and how exactly; see `odeint`."""

    slope: Callable[..., Any]
    rtol: float
    atol: float
    mxstep: int
    hmax: float

    def with_slope(self, slope: Callable[..., Any]) -> Problem:
        return replace(self, slope=slope)


def fixed(problem: Problem, y0: Any, times: Any, args: tuple) -> Any:
    """One step of the classical method of order 4 from each time to the next."""

    def step(y: Any, span: Any) -> Any:
        t, h = span
        k1 = problem.slope(y, t, *args)
        k2 = problem.slope(y + h / 2 * k1, t + h / 2, *args)
        k3 = problem.slope(y + h / 2 * k2, t + h / 2, *args)
        k4 = problem.slope(y + h * k3, t + h, *args)
        y = (y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)).astype(dtype_of(y))
        return y, y

    _, ys = scan(step, y0, (times[:-1], times[1:] - times[:-1]))
    return fnp.concatenate([y0[None], ys])


def adaptive(problem: Problem, y0: Any, times: Any, args: tuple) -> Any:
    """Steps of Dormand and Prince as long as the tolerances allow, interpolated at the times."""
    sign = stop_gradient(fnp.where(times[-1] < times[0], -1.0, 1.0)).astype(dtype_of(times))

    def slope(y: Any, t: Any) -> Any:
        """In a time that rises."""
        return (sign * problem.slope(y, sign * t, *args)).astype(dtype_of(y))

    rising = sign * times
    k0 = slope(y0, rising[0])
    h = _first_step(problem, slope, y0, rising[0], k0)
    line = fnp.stack([y0, fnp.zeros_like(y0), fnp.zeros_like(y0), fnp.zeros_like(y0), y0])
    state = (y0, k0, rising[0], h, rising[0], line)

    def advance(state: Any, target: Any) -> Any:
        state = _until(problem, slope, state, target)
        _, _, t, _, before, line = state
        part = fnp.where(t > before, (target - before) / fnp.where(t > before, t - before, 1), 0)
        y = _interpolated(line, part.astype(dtype_of(y0)))
        return state, fnp.where(t >= target, y, fnp.nan)

    _, ys = scan(advance, state, rising[1:])
    return fnp.concatenate([y0[None], ys])


def _until(problem: Problem, slope: Callable[..., Any], state: Any, target: Any) -> Any:
    """Steps until the target lies in the last of them."""
    method = DORMAND_PRINCE

    def go_on(loop: Any) -> Any:
        (_, _, t, h, *_), count = loop
        return (t < target) & (count < problem.mxstep) & (h > 0)

    def step(loop: Any) -> Any:
        (y, k, t, h, before, line), count = loop
        new, slopes = _stages(method, slope, y, k, t, h)
        scale = problem.atol + problem.rtol * fnp.maximum(fnp.abs(y), fnp.abs(new))
        rest = h * fnp.matmul(method.error.astype(dtype_of(y)), slopes)
        ratio = stop_gradient(_mean(rest / scale))
        good = ratio <= 1
        factor = SAFETY * fnp.maximum(ratio, 1e-10) ** (-1 / method.order)
        factor = fnp.clip(factor, SLOWEST, fnp.where(good, FASTEST, 1.0))
        longer = fnp.where(fnp.isfinite(ratio), h * factor, h * SLOWEST)
        longer = stop_gradient(fnp.minimum(longer, problem.hmax)).astype(dtype_of(h))
        coefficients = _coefficients(method, y, new, slopes, h)
        chosen = [
            fnp.where(good, a, b)
            for a, b in (
                (new, y),
                (slopes[-1], k),
                (t + h, t),
                (longer, longer),
                (t, before),
                (coefficients, line),
            )
        ]
        return tuple(chosen), count + 1

    return while_loop(go_on, step, (state, 0))[0]


def _stages(
    method: Tableau, slope: Callable[..., Any], y: Any, k: Any, t: Any, h: Any
) -> tuple[Any, Any]:
    """The end of a step and the slopes of all stages; the last is at the end."""
    dtype = dtype_of(y)
    slopes = [k]
    place = y
    for i in range(1, len(method.c)):
        weighed = [(w, s) for w, s in zip(method.a[i, :i], slopes, strict=True) if w]
        place = y + h.astype(dtype) * sum(dtype.type(w) * s for w, s in weighed)
        slopes.append(slope(place, t + dtype_of(t).type(method.c[i]) * h))
    return place, fnp.stack(slopes)


def _coefficients(method: Tableau, y: Any, new: Any, slopes: Any, h: Any) -> Any:
    h = h.astype(dtype_of(y))
    change = new - y
    bend = h * slopes[0] - change
    last = h * fnp.matmul(method.dense.astype(dtype_of(y)), slopes)
    return fnp.stack([y, change, bend, change - h * slopes[-1] - bend, last])


def _interpolated(line: Any, x: Any) -> Any:
    a, b, c, d, e = (line[i] for i in range(5))
    return a + x * (b + (1 - x) * (c + x * (d + (1 - x) * e)))


def _first_step(problem: Problem, slope: Callable[..., Any], y: Any, t: Any, k: Any) -> Any:
    """Hairer, Nørsett and Wanner, section II.4."""
    scale = problem.atol + problem.rtol * fnp.abs(y)
    d0, d1 = _mean(y / scale), _mean(k / scale)
    small = (d0 < 1e-5) | (d1 < 1e-5)
    h0 = fnp.where(small, 1e-6, 0.01 * d0 / fnp.where(d1 == 0, 1, d1)).astype(dtype_of(y))
    ahead = slope(y + h0 * k, t + h0.astype(dtype_of(t)))
    d2 = _mean((ahead - k) / scale) / h0
    most = fnp.maximum(d1, d2)
    flat = fnp.maximum(1e-6, h0 * 1e-3)
    h1 = fnp.where(most <= 1e-15, flat, (0.01 / fnp.where(most == 0, 1, most)) ** 0.2)
    h = fnp.minimum(fnp.minimum(100 * h0, h1), problem.hmax)
    return stop_gradient(h).astype(dtype_of(t))


def _mean(x: Any) -> Any:
    """The root of the mean square."""
    return fnp.sqrt(fnp.sum(x * x) / max(shape_of(x)[0], 1))
