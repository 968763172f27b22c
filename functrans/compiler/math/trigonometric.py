"""sin, cos, tan by Cody–Waite reduction to [-π/4, π/4], and their inverses.

Up to LIMIT the reduction is three fused operations, which lose nothing; larger arguments take the
rare path to the C library.
"""

from __future__ import annotations

from functrans.compiler.math import coefficients as table
from functrans.compiler.math.expression import (
    PI,
    Expr,
    copysign,
    elementary,
    exact_mul,
    fast_two_sum,
    fma,
    most,
    nearest_integer,
    polynomial,
    split_constant,
    sqrt,
    two_product,
    two_sum,
    where,
)
from functrans.compiler.math.rare import otherwise_call

LIMIT = {"float32": 65536.0, "float64": 2.0**28}
TWO_OVER_PI = "0.6366197723675813430755350534900574481378385829618257949906693762355872"


def _half_pi(scale: int = 2) -> str:
    from fractions import Fraction

    return str(Fraction(PI) / scale)


def reduce(x: Expr) -> tuple[Expr, Expr]:
    """n as an integer and r with x = n π/2 + r."""
    n, quadrant = nearest_integer(x * split_constant(TWO_OVER_PI, x.dtype, 1)[0])
    r = x
    for part in split_constant(_half_pi(), x.dtype, 3):
        r = fma(n, -part, r)
    return quadrant, r


def reduce_twice(x: Expr) -> tuple[Expr, Expr, Expr]:
    """n, r and what rounding r lost: the tangent doubles an error of r at π/4."""
    n, quadrant = nearest_integer(x * split_constant(TWO_OVER_PI, x.dtype, 1)[0])
    first, second, third = split_constant(_half_pi(), x.dtype, 3)
    product, lost = two_product(n, -second)
    r, rest = two_sum(fma(n, -first, x), product)
    rest = fma(n, -third, rest + lost)
    return quadrant, *fast_two_sum(r, rest)


def sine_and_cosine(r: Expr) -> tuple[Expr, Expr]:
    """On [-π/4, π/4]."""
    z = exact_mul(r, r)
    sine = fma(r * z, polynomial(z, table.SIN[r.kind]), r)
    cosine = fma(z * z, polynomial(z, table.COS[r.kind]), fma(z, -0.5, 1))
    return sine, cosine


def _flip(y: Expr, quadrant: Expr) -> Expr:
    """-y where bit 1 of the quadrant is set."""
    width = 8 * y.dtype.itemsize
    return (y.bits ^ ((quadrant >> 1) << (width - 1))).as_float


def _odd(quadrant: Expr) -> Expr:
    return (quadrant & 1).differs(0)


@elementary
def sin(x: Expr) -> Expr:
    """The sine."""
    quadrant, r = reduce(x)
    sine, cosine = sine_and_cosine(r)
    y = _flip(where(_odd(quadrant), cosine, sine), quadrant)
    y = where(x.equals(0), x, y)  # the sign of zero
    return otherwise_call(y, x, LIMIT[x.kind], "sin", x)


@elementary
def cos(x: Expr) -> Expr:
    """The cosine."""
    quadrant, r = reduce(x)
    sine, cosine = sine_and_cosine(r)
    y = _flip(where(_odd(quadrant), sine, cosine), quadrant + 1)
    return otherwise_call(y, x, LIMIT[x.kind], "cos", x)


@elementary
def tan(x: Expr) -> Expr:
    """The tangent."""
    quadrant, r, rest = reduce_twice(x)
    z = exact_mul(r, r)
    sine = fast_two_sum(r, fma(r * z, polynomial(z, table.SIN[r.kind]), rest))
    near, lost = fast_two_sum(r.const(1), -0.5 * z)
    cosine = fast_two_sum(near, fma(z * z, polynomial(z, table.COS[r.kind]), lost - r * rest))
    odd = _odd(quadrant)
    num, num_low = (where(odd, -c, s) for c, s in zip(cosine, sine, strict=True))
    den, den_low = (where(odd, s, c) for c, s in zip(cosine, sine, strict=True))
    inverse = 1 / den
    y = exact_mul(num, inverse)
    y = fma(fma(-y, den, num) + (num_low - y * den_low), inverse, y)
    y = where(x.equals(0), x, y)
    return otherwise_call(y, x, LIMIT[x.kind], "tan", x)


# --- inverses -------------------------------------------------------------------------------------


LARGE = {"float32": 2.0**126, "float64": 2.0**1022}
"""Sums of two numbers below are finite."""
ARCTAN_MIDDLE = 0.6
"""Ratios from here to 1 are π/4 and a small angle."""


def _arctan_of_ratio(num: Expr, den: Expr) -> Expr:
    """arctan(num / den) for positive num and den whose sum is finite, in [0, π/2]."""
    above = num > den
    small, large = where(above, den, num), where(above, num, den)
    equal = small.equals(large)
    middle = (small > ARCTAN_MIDDLE * large) | (equal & (large > 0))
    t = where(middle, small - large, small) / where(middle, small + large, large)
    t = where(equal, 0, t)  # inf / inf and 0 / 0 as well
    z = t * t
    y = fma(t * z, polynomial(z, table.ARCTAN[t.kind]), t)
    half, quarter = (split_constant(_half_pi(k), num.dtype, 2) for k in (2, 4))
    high, low = (
        where(middle, q, where(above, h, num.const(0))) for h, q in zip(half, quarter, strict=True)
    )
    return high + (where(above, -y, y) + low)


@elementary
def arctan(x: Expr) -> Expr:
    """The inverse tangent."""
    return copysign(_arctan_of_ratio(abs(x), x.const(1)), x)


@elementary
def arctan2(y: Expr, x: Expr) -> Expr:
    """The angle of the point (x, y)."""
    high, low = split_constant(PI, x.dtype, 2)
    shrunk = where(most(abs(y), abs(x)) > LARGE[x.kind], x.const(0.25), x.const(1))
    angle = _arctan_of_ratio(abs(y) * shrunk, abs(x) * shrunk)
    angle = where(x.bits < 0, high - (angle - low), angle)
    angle = where(x.isnan | y.isnan, x + y, angle)
    return copysign(angle, y)


def _arcsin_tail(t: Expr, z: Expr) -> Expr:
    """arcsin(t) - t, |t| <= 1/2."""
    return t * z * polynomial(z, table.ARCSIN[t.kind])


@elementary
def arcsin(x: Expr) -> Expr:
    """The inverse sine; above 1/2 by π/2 - 2 arcsin(sqrt((1 - x) / 2))."""
    high, low = split_constant(_half_pi(), x.dtype, 2)
    size = abs(x)
    outer = size > 0.5
    z = where(outer, fma(size, -0.5, 0.5), x * x)
    t = where(outer, sqrt(z), size)
    tail = _arcsin_tail(t, z)
    y = where(outer, high - (2 * t + (2 * tail - low)), t + tail)
    return copysign(y, x)


@elementary
def arccos(x: Expr) -> Expr:
    """The inverse cosine."""
    high, low = split_constant(_half_pi(), x.dtype, 2)
    size = abs(x)
    outer = size > 0.5
    z = where(outer, fma(size, -0.5, 0.5), x * x)
    t = where(outer, sqrt(z), x)
    tail = _arcsin_tail(t, z)
    near = 2 * (t + tail)
    far = 2 * (high - (t + (tail - low)))
    return where(outer, where(x < 0, far, near), high - (t + (tail - low)))
