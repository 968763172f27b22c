"""The error function and its relatives, and the gamma function's logarithm and its derivative."""

from __future__ import annotations

import numpy as np

from functrans.compiler.math import coefficients as table
from functrans.compiler.math.exponential import exp_parts
from functrans.compiler.math.expression import (
    PI,
    Expr,
    copysign,
    elementary,
    exact_mul,
    exact_sub,
    fast_two_sum,
    fma,
    least,
    polynomial,
    rint,
    scale,
    split_constant,
    sqrt,
    two_product,
    where,
)
from functrans.compiler.math.logarithm import (
    at_the_edges,
    exponent_and_fraction,
    log,
    log_of_fraction,
)
from functrans.compiler.math.trigonometric import reduce, sine_and_cosine

ERFC_LIMIT = {"float32": 10.5, "float64": 27.5}
"""Beyond, erfc is zero."""
ERFCX_CENTRE = {"float32": 2.0, "float64": 4.0}
ERFCX_MEAN = 1.25
"""What the polynomial is added to: exact, and larger, so that the sum can be known exactly."""
ERF_SMALL, ERFC_SMALL = 0.9, 0.65


def _erfc_of_positive(x: Expr, exact: bool) -> Expr:
    """erfc(x) = exp(-x²) p((x - k) / (x + k)) / (1 + 2 x): one polynomial for all x >= 0.

    If it is to be exact, p and the quotient q are sums of two floats; 1 / p is a line, well enough
    for what is left.
    """
    x = least(x, ERFC_LIMIT[x.kind])
    k = ERFCX_CENTRE[x.kind]
    square, lost = two_product(x, x)
    n, s, lost = exp_parts(-square, -lost)
    tail = polynomial((x - k) / (x + k), table.ERFCX[x.kind])
    p, p_low = fast_two_sum(x.const(ERFCX_MEAN), tail)
    total = fma(x, 2, 1)
    q = p / total
    if not exact:
        return scale(fma(q, s, q), n)
    total_low = fma(x, 2, exact_sub(x.const(1), total))
    inverse = q * fma(p, -0.785, 1.78)
    q_low = (fma(-q, total, p) + (p_low - q * total_low)) * inverse
    return scale(q + fma(q, s, fma(q, lost, q_low)), n)


def _erf_part(x: Expr) -> Expr:
    """erf(x) / x - 1 for |x| < ERF_SMALL."""
    return polynomial(exact_mul(x, x), table.ERF[x.kind])


@elementary
def erf(x: Expr) -> Expr:
    """The error function."""
    size = abs(x)
    large = copysign(1 - _erfc_of_positive(size, exact=False), x)
    return where(size < ERF_SMALL, fma(x, _erf_part(x), x), large)


@elementary
def erfc(x: Expr) -> Expr:
    """1 - erf(x), accurate where that is small."""
    tail = _erfc_of_positive(abs(x), exact=True)
    apart, lost = fast_two_sum(x.const(1), -x)
    middle = apart + fma(-x, _erf_part(x), lost)
    outer = where(x < 0, 2 - tail, tail)
    return where(abs(x) < ERFC_SMALL, middle, outer)


@elementary
def erfinv(x: Expr) -> Expr:
    """The inverse error function, x times a polynomial in w = -log(1 - x²) or its root.

    After M. Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2011.
    """
    kind, size = x.kind, abs(x)
    w = -log_of_fraction(*exponent_and_fraction(exact_mul(1 - size, 1 + size), denormal=False))
    root = sqrt(where(w < 1, 1, w))
    if kind == "float32":
        centre, limit, tail = 2.5, 5.0, polynomial(root - 3, table.ERFINV_TAIL[kind])
    else:
        centre, limit = 3.125, 6.25
        middle = polynomial(root - 3.25, table.ERFINV_MIDDLE[kind])
        tail = where(w < 16, middle, polynomial(root - 5, table.ERFINV_TAIL[kind]))
    near = polynomial(w - centre, table.ERFINV_CENTRE[kind])
    y = x * where(w < limit, near, tail)
    y = where(size < 1, y, where(size.equals(1), copysign(x.const(np.inf), x), x.const(np.nan)))
    return y


# --- the gamma function ---------------------------------------------------------------------------

HALF_LOG_2PI = 0.91893853320467274178
ASYMPTOTIC = 8.0
"""From here on the asymptotic series are as exact as needed."""
DIGAMMA_ROOT = "1.4616321449683623412626595423257213284681962040064463512959884085987864"


@elementary
def lgamma(x: Expr) -> Expr:
    """log |Γ(x)|."""
    size = abs(x)
    y = _lgamma_of_positive(size)
    sine, _ = _sine_of_pi(x)
    reflected = log(split_constant(PI, x.dtype, 1)[0] / (size * abs(sine))) - y
    # tiny negative numbers: their sine times themselves is zero, and the logarithm is enough
    reflected = where(size < 1e-30, y, reflected)
    # numbers so large that log Γ of them overflows are whole, so their negatives are poles
    pole = where(x > -np.inf, np.inf, x)  # SciPy's is -inf at -inf
    return where(x < 0, where(y < np.inf, reflected, pole), y)


def _sine_of_pi(x: Expr) -> tuple[Expr, Expr]:
    """sin(π x) and cos(π x) up to a common sign."""
    angle = exact_sub(x, rint(x)) * split_constant(PI, x.dtype, 1)[0]
    quadrant, r = reduce(angle)
    sine, cosine = sine_and_cosine(r)
    odd = (quadrant & 1).differs(0)
    negative = quadrant < 0
    return where(odd, where(negative, -cosine, cosine), sine), where(
        odd, where(negative, sine, -sine), cosine
    )


def _lgamma_of_positive(x: Expr) -> Expr:
    """By a polynomial around 2 and the recurrence below 8, by Stirling's formula above."""
    y, product = x, x.const(1)
    for _ in range(6):
        above = y >= 2.5
        y = where(above, y - 1, y)
        product = where(above, product * y, product)
    low, lower = x < 1.5, x < 0.5
    t = where(low, where(lower, x, exact_sub(x, 1)), exact_sub(y, 2))
    factor = where(low, where(lower, x * (x + 1), x), product)
    large = x >= ASYMPTOTIC
    argument = where(large, x, factor)
    logarithm = at_the_edges(argument, log_of_fraction(*exponent_and_fraction(argument)))
    centre = t * polynomial(t, table.LGAMMA[x.kind])
    small = centre + where(low, -logarithm, logarithm)
    inverse = 1 / x
    series = inverse * polynomial(inverse * inverse, table.STIRLING[x.kind])
    far = fma(x - 0.5, logarithm - 1, series + (HALF_LOG_2PI - 0.5))
    return where(large, far, where(x.isnan, x, small))


@elementary
def digamma(x: Expr) -> Expr:
    """The derivative of log Γ(x)."""
    negative = x < 0
    y = _digamma_of_positive(where(negative, 1 - x, x))
    sine, cosine = _sine_of_pi(x)
    reflected = y - split_constant(PI, x.dtype, 1)[0] * cosine / sine
    pole = negative & rint(x).equals(x)
    at_zero = where(x.equals(0), copysign(x.const(np.inf), -x), y)
    return where(pole, x.const(np.nan), where(negative, reflected, at_zero))


def _digamma_of_positive(x: Expr) -> Expr:
    """Around its root by a polynomial on [1, 2], with the recurrence; asymptotically above 8."""
    # the sum of 1 / (x - i) as one fraction
    y, num, den = x, x.const(0), x.const(1)
    for _ in range(7):
        above = y >= 2
        y = where(above, y - 1, y)
        num = where(above, fma(num, y, den), num)
        den = where(above, den * y, den)
    below = x < 1
    y = where(below, x + 1, y)
    num, den = where(below, -1, num), where(below, x, den)
    root, root_low = split_constant(DIGAMMA_ROOT, x.dtype, 2)
    centre = (exact_sub(y, root) - root_low) * polynomial(y - 1.5, table.DIGAMMA[x.kind])
    inverse = 1 / x
    z = inverse * inverse
    far = log(x) - fma(z, polynomial(z, table.DIGAMMA_TAIL[x.kind]), 0.5 * inverse)
    return where(x >= ASYMPTOTIC, far, where(x.isnan, x, centre + num / den))
