"""The elementary functions of complex numbers, in terms of the real ones.

Registered on the real functions, so that one name serves both.
"""

from __future__ import annotations

import numpy as np

from functrans.compiler.math.exponential import (
    EXP_RANGE,
    cosh,
    exp,
    exp2,
    exp_of_sum,
    expm1,
    sinh,
    tanh,
)
from functrans.compiler.math.expression import (
    LN2,
    LOG2E,
    LOG10E,
    Expr,
    complex_,
    copysign,
    elementary,
    fma,
    split_constant,
    two_product,
    where,
)
from functrans.compiler.math.expression import sqrt as root_of
from functrans.compiler.math.logarithm import log, log1p, log2, log10, log_of_one_plus
from functrans.compiler.math.power import hypot, pow, rsqrt
from functrans.compiler.math.trigonometric import arctan2, cos, sin, tan


@elementary
def sqrt(x: Expr) -> Expr:
    """The square root, in the right half plane."""
    return root_of(x)


@elementary
def angle(x: Expr) -> Expr:
    """The argument of a complex number; of a real one 0 or π."""
    pi = split_constant("3.14159265358979323846264338327950288", x.dtype, 1)[0]
    return where(x.bits < 0, x.const(pi), 0)


@angle.for_complex
def _angle(z: Expr) -> Expr:
    return arctan2(z.im, z.re)


@exp.for_complex
def _exp(z: Expr) -> Expr:
    # half of the exponent apart: exp(re) alone may overflow where the result does not
    x, y = z.re, z.im
    large = x > EXP_RANGE[x.kind][1] - 2
    size = exp(where(large, x - 2, x))
    factor = where(large, float(np.exp(2.0)), x.const(1))
    re, im = size * cos(y) * factor, size * sin(y) * factor
    # a real argument stays real, also at infinity; e^-inf is zero whatever the angle
    nothing = x.equals(-np.inf)
    re = where(nothing, 0, where(y.equals(0), exp(x), re))
    return complex_(re, where(nothing, 0, where(y.equals(0), y, im)))


@exp2.for_complex
def _exp2(z: Expr) -> Expr:
    ln2 = split_constant(LN2, z.re.dtype, 1)[0]
    return exp(complex_(z.re * ln2, z.im * ln2))


@expm1.for_complex
def _expm1(z: Expr) -> Expr:
    # expm1(x) cos(y) - 2 sin(y/2)², as NumPy
    x, y = z.re, z.im
    half = sin(0.5 * y)
    re = fma(expm1(x), cos(y), -2 * half * half)
    return complex_(re, exp(x) * sin(y))


def _log_of_size(z: Expr) -> Expr:
    """log |z|; near the unit circle by log1p((|re| - 1)(|re| + 1) + im²) / 2."""
    x, y = z.re.__abs__(), z.im.__abs__()
    high, low = where(x < y, y, x), where(x < y, x, y)
    near = (high < 1.5) & (high > 0.5) & (low < 1.0)
    square, lost = two_product(low, low)
    product, rest = two_product(high - 1, high + 1)
    total = product + square
    error = (product - total) + square + (lost + rest)
    total = where(near, total, 0)
    close = 0.5 * log_of_one_plus(total, where(near, error, 0))
    return where(near, close, log(hypot(x, y)))


@log.for_complex
def _log(z: Expr) -> Expr:
    return complex_(_log_of_size(z), arctan2(z.im, z.re))


@log2.for_complex
def _log2(z: Expr) -> Expr:
    factor = split_constant(LOG2E, z.re.dtype, 1)[0]
    return complex_(_log_of_size(z) * factor, arctan2(z.im, z.re) * factor)


@log10.for_complex
def _log10(z: Expr) -> Expr:
    factor = split_constant(LOG10E, z.re.dtype, 1)[0]
    return complex_(_log_of_size(z) * factor, arctan2(z.im, z.re) * factor)


@log1p.for_complex
def _log1p(z: Expr) -> Expr:
    x, y = z.re, z.im
    # log|1 + z| = log1p(x (x + 2) + y²) / 2 while that does not cancel or overflow
    small = (x.__abs__() < 0.5) & (y.__abs__() < 0.5)
    square = where(small, fma(x, x + 2, y * y), 0)
    near = 0.5 * log_of_one_plus(square)
    return complex_(where(small, near, _log_of_size(complex_(x + 1, y))), arctan2(y, x + 1))


@sqrt.for_complex
def _sqrt(z: Expr) -> Expr:
    x, y = z.re, z.im
    # a power of four keeps |z| + |re| from overflowing or losing bits
    big = x.const(float(2.0 ** (90 if x.kind == "float32" else 900)))
    size = hypot(x, y)
    huge, tiny = size > big, size < 1 / big
    up = where(huge, 2.0**-40, where(tiny, 2.0**40, x.const(1)))
    back = where(huge, 2.0**20, where(tiny, 2.0**-20, x.const(1)))
    a, b = x * up, y * up
    t = root_of(0.5 * (a.__abs__() + hypot(a, b)))
    other = where(t.equals(0), 0, b.__abs__() / (t + t))
    left = x.bits < 0
    re, im = where(left, other, t) * back, where(left, t, other) * back
    infinite = y.__abs__().equals(np.inf)
    re, im = where(infinite, np.inf, re), where(infinite, np.inf, im)
    side = x.__abs__().equals(np.inf) & ~infinite
    re = where(side, where(left, where(y.isnan, y, 0), np.inf), re)
    im = where(side, where(left, np.inf, where(y.isnan, y, 0)), im)
    return complex_(re, copysign(im, y))


@rsqrt.for_complex
def _rsqrt(z: Expr) -> Expr:
    return 1 / sqrt(z)


def _product(sine: Expr, growing: Expr) -> Expr:
    """Their product, which is a zero where the sine is, also once the other factor is infinite."""
    return sine * where(sine.equals(0), copysign(sine.const(1), growing), growing)


@sin.for_complex
def _sin(z: Expr) -> Expr:
    return complex_(_product(sin(z.re), cosh(z.im)), cos(z.re) * sinh(z.im))


@cos.for_complex
def _cos(z: Expr) -> Expr:
    return complex_(cos(z.re) * cosh(z.im), -_product(sin(z.re), sinh(z.im)))


@sinh.for_complex
def _sinh(z: Expr) -> Expr:
    return complex_(sinh(z.re) * cos(z.im), _product(sin(z.im), cosh(z.re)))


@cosh.for_complex
def _cosh(z: Expr) -> Expr:
    return complex_(cosh(z.re) * cos(z.im), _product(sin(z.im), sinh(z.re)))


@tanh.for_complex
def _tanh(z: Expr) -> Expr:
    # Kahan 1987: with t = tan(y), s = sinh(x): ((1 + t²) s c + i t) / (1 + (1 + t²) s²)
    x, y = z.re, z.im
    limit = 11.0 if x.kind == "float32" else 22.0
    inside = where(x.__abs__() < limit, x, 0)
    t, s, c = tan(y), sinh(inside), cosh(inside)
    beta = fma(t, t, 1)
    below = fma(beta * s, s, 1)
    re, im = beta * s * c / below, t / below
    far = x.__abs__() >= limit
    decay = exp_of_sum(-2 * x.__abs__())
    re = where(far, copysign(x.const(1), x), where(x.isnan, x, re))
    faded = where(decay > 0, 4 * sin(y) * cos(y) * decay, copysign(x.const(0), y))
    im = where(far, faded, where(x.isnan, x, im))
    return complex_(re, im)


@tan.for_complex
def _tan(z: Expr) -> Expr:
    w = tanh(complex_(-z.im, z.re))
    return complex_(w.im, -w.re)


@pow.for_complex
def _pow(x: Expr, y: Expr) -> Expr:
    z = exp(y * log(x))
    zero = x.re.equals(0) & x.im.equals(0)
    nothing = y.re.equals(0) & y.im.equals(0)
    z = where(zero, x.const(0), z)
    return where(nothing, x.const(1), z)
