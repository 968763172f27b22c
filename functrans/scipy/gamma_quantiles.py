"""How quantiles of the gamma distribution move with its shape.

The distribution function is P = xᵃ exp(-x) / Γ(a + 1) times a series, and 1 - P, where x is large,
xᵃ exp(-x) / Γ(a) times a continued fraction (Abramowitz and Stegun 6.5.29 and 6.5.31). Both factors
are loops that run until nothing changes, so functrans differentiates them, to any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import lax
from functrans import numpy as fnp
from functrans.core.types import dtype_of, shape_of
from functrans.primitives.special import digamma_p
from functrans.transforms.autodiff import jvp
from functrans.transforms.vmap import vmap

_EPSILON = np.finfo(float).eps / 4


def log_quantile_slope(a: Any, log_x: Any) -> Any:
    """d log(x) / da at which the probability of values up to x stays.

    Args:
        a: the shape, positive.
        log_x: the logarithm of x.

    Returns:
        -∂P/∂a / (x ∂P/∂x), in a's dtype, computed in float64.

    >>> slope = log_quantile_slope(np.float64(2.0), np.log(3.0))
    >>> round(float(slope), 6)
    0.4406
    """
    shape = np.broadcast_shapes(shape_of(a), shape_of(log_x))
    flat = [fnp.reshape(fnp.broadcast_to(v, shape), (-1,)).astype(float) for v in (a, log_x)]
    return fnp.reshape(vmap(_slope)(*flat), shape).astype(dtype_of(a))


def _slope(a: Any, log_x: Any) -> Any:
    x = fnp.exp(log_x)
    one = np.float64(1)

    def below() -> Any:
        total, slope = jvp(lambda a: _series(a, x), (a,), (one,))
        return -(total * (log_x - digamma_p.bind(a + 1)) + slope) / a

    def above() -> Any:
        value, slope = _fraction_and_slope(a, x)
        return value * (log_x - digamma_p.bind(a)) + slope

    return lax.cond(x <= a + 1, below, above)


def _series(a: Any, x: Any) -> Any:
    """Σ xⁿ / (a + 1) … (a + n)."""

    def next_term(state: tuple) -> tuple:
        n, term, total = state
        term = term * x / (a + n)
        return n + 1, term, total + term

    start = np.float64(1), np.float64(1), np.float64(1)
    return lax.while_loop(lambda s: s[1] > _EPSILON * s[2], next_term, start)[2]


def _fraction_and_slope(a: Any, x: Any) -> tuple[Any, Any]:
    """1 / (x + 1 - a - 1 (1 - a) / (x + 3 - a - 2 (2 - a) / …)) by the method of Lentz, and d / da.

    For x > a + 1 no denominator is zero. The slope belongs to the loop, and is not left to `jvp`,
    as it goes on to change where a is an integer and the fraction itself ends.
    """

    def next_level(n: Any, a: Any, c: Any, d: Any, value: Any) -> tuple:
        numerator, level = n * (a - n), x + 1 - a + 2 * n
        d = 1 / (numerator * d + level)
        c = level + numerator / c
        return c, d, value * (c * d)

    def again(state: tuple) -> tuple:
        n, before, slopes, _ = state
        after, tangents = jvp(lambda *v: next_level(n, *v), (a, *before), (np.float64(1), *slopes))
        pairs = ((after[2], before[2]), (tangents[2], slopes[2]))
        changes = [fnp.abs(new - old) > _EPSILON * fnp.abs(new) for new, old in pairs]
        return n + 1, after, tangents, changes[0] | changes[1]

    first, zero = 1 / (x + 1 - a), np.float64(0)
    start = np.float64(1), (np.float64(1e300), first, first), (zero, first * first, first * first)
    _, (*_, value), (*_, slope), _ = lax.while_loop(lambda s: s[3], again, (*start, np.True_))
    return value, slope
