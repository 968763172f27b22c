"""Powers and roots: pow, integer_pow, cbrt, hypot, rsqrt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.compiler.math import coefficients as table
from functrans.compiler.math.exponential import EXP_RANGE, clamp, exp_of_sum
from functrans.compiler.math.expression import (
    LN2,
    MANTISSA,
    Expr,
    copysign,
    elementary,
    exact_mul,
    fast_two_sum,
    fma,
    nearest_integer,
    polynomial,
    power_of_two,
    rint,
    split_constant,
    sqrt,
    two_product,
    where,
)
from functrans.compiler.math.logarithm import NORMAL, exponent_and_fraction

MULTIPLIED = 8
"""Up to this exponent a float is multiplied by itself (3 roundings)."""
COMPENSATED = 64
"""Up to this one with the errors of the products: to 9 in a ninth of the time of pow."""


@elementary
def pow(x: Expr, y: Expr) -> Expr:
    """x^y, with the special values of C."""
    if x.dtype.kind in "iu":
        return _power_of_integers(x, y)
    size = abs(x)
    magnitude = _power_in_double(size, y) if x.kind == "float32" else _power(size, y)
    magnitude = where(size.equals(1), 1, magnitude)  # also to an infinite power
    whole = rint(y).equals(y)
    half = exact_mul(y, 0.5)
    odd = whole & rint(half).differs(half)
    signed = where((x.bits < 0) & odd, -magnitude, magnitude)
    undefined = (x < 0) & (x > -np.inf) & ~whole
    z = where(undefined, x.const(np.nan), signed)
    z = where(x.isnan | y.isnan, x + y, z)
    return where(y.equals(0) | x.equals(1), 1, z)


def _power_in_double(size: Expr, y: Expr) -> Expr:
    """exp2(y log2(x)) in float64, which has bits to spare for a float32 and no denormals of one."""
    x, y = size.to(np.float64), y.to(np.float64)
    e, f = exponent_and_fraction(x, denormal=False)
    s = f / (f + 2)
    logarithm = fma(s, polynomial(s * s, table.LOG2_SHORT[x.kind]), e.to(x.dtype))
    logarithm = where(x.equals(0), -np.inf, where(x < np.inf, logarithm, x))
    n, exponent = nearest_integer(clamp(y * logarithm, (-200.0, 200.0)))
    r = fma(y, logarithm, -n)
    r = where(abs(r) <= 0.75, r, 0)  # beyond the clamp
    z = exact_mul(polynomial(r, table.EXP2_SHORT[x.kind]), power_of_two(exponent))
    return z.to(np.float32)


def _power(size: Expr, y: Expr) -> Expr:
    """exp(y log(x)), the logarithm and the product to twice the precision."""
    high, low = _log_in_two(size)
    high = where(size.equals(0), -np.inf, where(size.equals(np.inf), np.inf, high))
    product, lost = two_product(high, y)
    lost = fma(low, y, lost)
    return exp_of_sum(product, where(abs(product) < EXP_RANGE[y.kind][1] * 2, lost, 0))


def _log_in_two(x: Expr) -> tuple[Expr, Expr]:
    """log(x) as a sum, to about 2^-66: 2 s + s z (2/3 + z p(z)), all but p in two parts."""
    e, f = exponent_and_fraction(x)
    below, below_low = fast_two_sum(x.const(2), f)
    inverse = 1 / below
    s = exact_mul(f, inverse)
    s_low = (fma(-s, below, f) - s * below_low) * inverse
    z, z_low = two_product(s, s)
    z_low = fma(s + s, s_low, z_low)
    first, first_low = split_constant("2/3", x.dtype, 2)
    w, w_low = fast_two_sum(x.const(first), z * polynomial(z, table.ATANH_TAIL[x.kind]))
    t, t_low = _product(z, z_low, w, w_low + first_low)
    tail, tail_low = _product(s, s_low, t, t_low)
    high, low = fast_two_sum(s + s, tail)
    low = low + (tail_low + (s_low + s_low))
    # the first part of ln 2 has so few bits that its multiples are exact
    ln2, ln2_low = split_constant(LN2, x.dtype, 2, bits=41)
    n = e.to(x.dtype)
    total, rest = fast_two_sum(exact_mul(n, ln2), high)
    rest = fma(n, ln2_low, rest + low)
    # where n = 0 the sum's larger part is `high`
    zero = n.equals(0)
    return fast_two_sum(where(zero, high, total), where(zero, low, rest))


def _product(x: Expr, x_low: Expr, y: Expr, y_low: Expr) -> tuple[Expr, Expr]:
    high, low = two_product(x, y)
    return high, fma(x, y_low, fma(x_low, y, low))


def _power_of_integers(x: Expr, y: Expr) -> Expr:
    """By repeated squaring, modulo the width; a negative exponent gives what rounds to zero."""
    total, square = x.const(1), x
    for bit in range(8 * x.dtype.itemsize - (x.dtype.kind == "i")):
        total = where(((y >> bit) & 1).differs(0), total * square, total)
        square = square * square
    if x.dtype.kind == "u":
        return total
    minus = where((y & 1).differs(0), -1, x.const(1))
    inverse = where(x.equals(1), 1, where(x.equals(-1), minus, x.const(0)))
    return where(y < 0, inverse, total)


def _integer_pow(x: Expr, *, exponent: int) -> Expr:
    """x to a fixed integer power."""
    size = abs(exponent)
    if x.dtype.kind == "f" and size > COMPENSATED:
        return pow(x, x.const(exponent))
    if x.dtype.kind == "f" and size > MULTIPLIED:
        return _compensated_power(x, exponent)
    if exponent < 0:
        return x.const(1) / _integer_pow(x, exponent=size)
    return _multiplied(x, exponent, lambda a, b: a * b) if exponent else x.const(1)


def _compensated_power(x: Expr, exponent: int) -> Expr:
    """The same from products in two parts, the small one being the error of the large one."""
    base = x, x.const(0)
    if exponent < 0:
        inverse = 1 / x
        base = inverse, where(inverse.equals(0), 0, fma(-x, inverse, 1) * inverse)
    high, low = _multiplied(base, abs(exponent), lambda a, b: _product(*a, *b))
    return where((abs(high) < np.inf) & (abs(high) > 0), high + low, high)


def _multiplied(x: Any, exponent: int, multiply: Callable[[Any, Any], Any]) -> Any:
    """x to a positive integer power by repeated squaring."""
    total, square = None, x
    while exponent:
        if exponent & 1:
            total = square if total is None else multiply(total, square)
        exponent >>= 1
        square = multiply(square, square) if exponent else square
    return total


integer_pow = elementary(_integer_pow)
integer_pow.__name__ = "integer_pow"
integer_pow.for_complex(_integer_pow)


@elementary
def cbrt(x: Expr) -> Expr:
    """The cube root: x = m 2^3k, a polynomial start, Newton's steps with one division."""
    size = abs(x)
    e, f = exponent_and_fraction(size)
    _, third = nearest_integer(e.to(x.dtype) * (1 / 3))
    left = e - (third + third + third)
    m = exact_mul(f + 1, power_of_two(left))
    start = polynomial(f, table.CBRT[x.kind])
    factor = where(left < 0, 2.0 ** (-1 / 3), where(left > 0, 2.0 ** (1 / 3), x.const(1)))
    t = start * factor
    slope = x.const(1 / 3) / m
    for _ in range(1 if x.kind == "float32" else 2):
        square, lost = two_product(t, t)
        residual = fma(-lost, t, fma(-square, t, m))
        t = fma(t * slope, residual, t)
    y = copysign(exact_mul(t, power_of_two(third)), x)
    return where((size < np.inf) & (size > 0), y, x)


@elementary
def hypot(x: Expr, y: Expr) -> Expr:
    """sqrt(x² + y²), scaled by a power of two so that no square overflows."""
    x, y = abs(x), abs(y)
    high, low = where(x < y, y, x), where(x < y, x, y)
    bits = MANTISSA[x.kind]
    tiny = high < NORMAL[x.kind] * 2.0 ** (bits + 3)
    huge = high > 1 / NORMAL[x.kind] / 4
    up = 2.0 ** (2 * bits)
    factor = where(tiny, up, where(huge, 1 / up, x.const(1)))
    back = where(tiny, 1 / up, where(huge, up, x.const(1)))
    # the power of two just below `high`
    top = (exact_mul(high, factor).bits & _exponent_mask(x)).as_float
    inverse = ((x.const(1).bits + x.const(1).bits) - top.bits).as_float
    a, b = exact_mul(exact_mul(high, factor), inverse), exact_mul(exact_mul(low, factor), inverse)
    root = sqrt(fma(b, b, exact_mul(a, a)))
    z = exact_mul(exact_mul(root, top), back)
    z = where(high.equals(0), 0, z)
    z = where(x.isnan | y.isnan, x + y, z)
    return where(x.equals(np.inf) | y.equals(np.inf), np.inf, z)


def _exponent_mask(x: Expr) -> int:
    width = 8 * x.dtype.itemsize - 1
    return (1 << width) - (1 << MANTISSA[x.kind])


@elementary
def rsqrt(x: Expr) -> Expr:
    """1 / sqrt(x)."""
    return 1 / sqrt(x)
