"""log and what is made of it: log1p, softplus, logaddexp, the inverse hyperbolic functions.

x = 2^e (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); log(1 + f) = f + q, where q is a small correction
to f, so that the last addition is nearly the only rounding.
"""

from __future__ import annotations

import numpy as np

from functrans.compiler.math import coefficients as table
from functrans.compiler.math.exponential import exp2, exp_of_sum
from functrans.compiler.math.expression import (
    LN2,
    LOG2E,
    LOG10_2,
    LOG10E,
    MANTISSA,
    Expr,
    copysign,
    elementary,
    exact_mul,
    exact_sub,
    fast_two_sum,
    fma,
    polynomial,
    split_constant,
    sqrt,
    two_product,
    two_sum,
    where,
)

NORMAL = {"float32": 2.0**-126, "float64": 2.0**-1022}
SQRT_HALF = {"float32": 0x3F3504F3, "float64": 0x3FE6A09E667F3BCD}
ONE_IS_LOST = {"float32": 2.0**26, "float64": 2.0**56}
SQUARE_IS_SAFE = {"float32": 2.0**30, "float64": 2.0**60}


def exponent_and_fraction(x: Expr, denormal: bool = True) -> tuple[Expr, Expr]:
    """e (an integer) and f with x = 2^e (1 + f), for positive x."""
    bits = MANTISSA[x.kind]
    tiny = x < NORMAL[x.kind]
    scaled = where(tiny, exact_mul(x, 2.0 ** (bits + 1)), x) if denormal else x
    e = (scaled.bits - SQRT_HALF[x.kind]) >> bits
    f = exact_sub((scaled.bits - (e << bits)).as_float, 1)
    return (where(tiny, e - (bits + 1), e) if denormal else e), f


def correction(f: Expr) -> Expr:
    """q = log(1 + f) - f."""
    square = exact_mul(f, f)
    if f.kind == "float32":
        return square * fma(f, polynomial(f, table.LOG[f.kind]), -0.5)
    s = f / (f + 2)
    z = s * s
    half = 0.5 * square
    return fma(s, fma(z, polynomial(z, table.ATANH_SERIES[f.kind]), half), -half)


def at_the_edges(x: Expr, y: Expr) -> Expr:
    """y, but the logarithm of infinity, zero and negative numbers."""
    y = where(x.equals(np.inf), x, y)
    return where(x > 0, y, where(x.equals(0), -np.inf, x.const(np.nan)))


def log_of_fraction(e: Expr, f: Expr, low: Expr | None = None) -> Expr:
    """log(2^e (1 + f + low))."""
    high_2, low_2 = split_constant(LN2, f.dtype, 2)
    n, q = e.to(f.dtype), correction(f)
    if low is not None:
        q = q + low
    return fma(n, high_2, f + fma(n, low_2, q))


def log_of_one_plus(x: Expr, low: Expr | None = None, doublings: Expr | None = None) -> Expr:
    """log(1 + x + low) for x > -1 and finite; + log(2) `doublings` times."""
    u, lost = two_sum(x.const(1), x)
    if low is not None:
        lost = lost + low
    e, f = exponent_and_fraction(u, denormal=False)
    back = ((-e) << MANTISSA[x.kind]) + x.const(1).bits
    # the lost part matters only while 1 does; beyond, 2^-e may not be a normal number
    lost = where(abs(x) < ONE_IS_LOST[x.kind], exact_mul(lost, back.as_float), 0)
    f, rest = fast_two_sum(f, lost)
    return log_of_fraction(e if doublings is None else e + doublings, f, rest)


@elementary
def log(x: Expr) -> Expr:
    """The natural logarithm."""
    return at_the_edges(x, log_of_fraction(*exponent_and_fraction(x)))


@elementary
def log2(x: Expr) -> Expr:
    """The logarithm to base 2."""
    e, f = exponent_and_fraction(x)
    return at_the_edges(x, e.to(x.dtype) + _times(f, LOG2E))


@elementary
def log10(x: Expr) -> Expr:
    """The logarithm to base 10."""
    high, low = split_constant(LOG10_2, x.dtype, 2)
    e, f = exponent_and_fraction(x)
    n = e.to(x.dtype)
    return at_the_edges(x, fma(n, high, _times(f, LOG10E, n * low)))


def _times(f: Expr, factor: str, more: Expr | None = None) -> Expr:
    """log(1 + f) factor + more, where only f's product needs the factor exactly."""
    high, low = split_constant(factor, f.dtype, 2)
    tail = f * low if more is None else fma(f, low, more)
    return fma(f, high, fma(correction(f), high, tail))


@elementary
def log1p(x: Expr) -> Expr:
    """log(1 + x), accurate near zero."""
    y = copysign(log_of_one_plus(x), x)
    y = where(x.equals(np.inf), x, y)
    return where(x > -1, y, where(x.equals(-1), -np.inf, x.const(np.nan)))


@elementary
def softplus(x: Expr) -> Expr:
    """log(1 + e^x)."""
    high = where(x < 0, 0, x)
    return high + log_of_one_plus(exp_of_sum(-abs(x)))


@elementary
def logaddexp(x: Expr, y: Expr) -> Expr:
    """log(e^x + e^y)."""
    high = x._("maximum", y)
    apart = high + log_of_one_plus(exp_of_sum(-abs(x - y)))
    return where(x.equals(y), x + split_constant(LN2, x.dtype, 1)[0], apart)


@elementary
def logaddexp2(x: Expr, y: Expr) -> Expr:
    """log2(2^x + 2^y)."""
    high = x._("maximum", y)
    e = log_of_one_plus(exp2(-abs(x - y)))
    return where(x.equals(y), x + 1, high + e * split_constant(LOG2E, x.dtype, 1)[0])


# --- inverse hyperbolic functions: log1p of a sum known to twice the precision --------------------


def _sqrt_of_sum(high: Expr, low: Expr) -> tuple[Expr, Expr]:
    """The square root of high + low as a sum."""
    root = sqrt(high)
    rest = fma(-root, root, high) + low
    return root, where(high > 0, rest / (root + root), 0)


@elementary
def arcsinh(x: Expr) -> Expr:
    """log(x + sqrt(x² + 1)), from log1p(x + x² / (1 + sqrt(x² + 1)))."""
    size = abs(x)
    large = size > SQUARE_IS_SAFE[x.kind]
    a = where(large, 0, size)
    square, lost = two_product(a, a)
    total, rest = two_sum(square, 1)
    root, root_low = _sqrt_of_sum(total, rest + lost)
    below, below_low = two_sum(root, 1)
    part = square / below
    part_low = (fma(-part, below, square) + fma(-part, below_low + root_low, lost)) / below
    high, low = fast_two_sum(where(large, size, a), part)
    ones = large.to(x.bits.dtype)
    y = log_of_one_plus(high, low + part_low, ones)
    y = where(size < np.inf, y, size)
    # where the square is denormal its error term is not exact, and arcsinh(x) is x
    return copysign(where(size < 2.0 ** -(MANTISSA[x.kind] // 2 + 2), size, y), x)


@elementary
def arccosh(x: Expr) -> Expr:
    """log(x + sqrt(x² - 1)), from log1p(t + sqrt(t (t + 2))), t = x - 1."""
    large = x > SQUARE_IS_SAFE[x.kind]
    t, t_low = two_sum(where(large, 1, x), -1)
    twice = t + 2
    square, lost = two_product(t, twice)
    # (t + t_low) (t + 2 + t_low) to first order, and what t + 2 lost
    lost = lost + fma(t_low, twice + t, t * exact_sub(t, exact_sub(twice, 2)))
    root, root_low = _sqrt_of_sum(square, lost)
    high, low = two_sum(t, root)
    y = log_of_one_plus(
        where(large, x, high), where(large, 0, low + (root_low + t_low)), large.to(x.bits.dtype)
    )
    y = where(x.equals(np.inf), x, y)
    return where(x >= 1, y, x.const(np.nan))


@elementary
def arctanh(x: Expr) -> Expr:
    """log1p(2x / (1 - x)) / 2."""
    size = abs(x)
    below, below_low = fast_two_sum(x.const(1), -size)
    twice = size + size
    ratio = where(size < 1, twice / below, 1)
    rest = (fma(-ratio, below, twice) - ratio * below_low) / below
    y = 0.5 * log_of_one_plus(ratio, where(size < 1, rest, 0))
    y = where(size.equals(1), np.inf, where(size < 2.0**-60, size, y))
    return copysign(where(size <= 1, y, x.const(np.nan)), x)
