"""exp and what is made of it: exp2, expm1, sigmoid, hyperbolic functions.

x = n ln 2 + r with |r| <= ln(2)/2; a polynomial in r; 2^n through the bits of the exponent.
"""

from __future__ import annotations

from functrans.compiler.math import coefficients as table
from functrans.compiler.math.expression import (
    LN2,
    LOG2E,
    Expr,
    copysign,
    elementary,
    exact_mul,
    exact_sub,
    fast_two_sum,
    fma,
    least,
    most,
    nearest_integer,
    polynomial,
    power_of_two,
    scale,
    split_constant,
    where,
)

EXP_RANGE = {"float32": (-104.0, 90.0), "float64": (-746.0, 711.0)}
"""Beyond, exp is zero and exp / 2 infinite; inside, its exponent fits in two factors."""
EXP2_RANGE = {"float32": (-151.0, 129.0), "float64": (-1076.0, 1025.0)}
EXPM1_RANGE = {"float32": (-20.0, 89.0), "float64": (-40.0, 710.0)}
TANH_LIMIT = {"float32": 20.0, "float64": 44.0}
LARGEST_EXPONENT = {"float32": 127, "float64": 1023}


def clamp(x: Expr, bounds: tuple[float, float]) -> Expr:
    """x within bounds; nan stays."""
    return most(least(x, bounds[1]), bounds[0])


def by_ln2(x: Expr, more: Expr | None = None) -> tuple[Expr, Expr, Expr]:
    """n as an integer, r and what rounding r lost: x + more = n ln 2 + r + lost."""
    high, low = split_constant(LN2, x.dtype, 2)
    n, exponent = nearest_integer(x * split_constant(LOG2E, x.dtype, 1)[0])
    first = fma(n, -high, x)  # exact: see Muller, Elementary Functions, on Cody-Waite with fma
    r = fma(n, -low, first) if more is None else first + fma(n, -low, more)
    lost = fma(n, -low, first - r) if more is None else exact_sub(first, r) + fma(n, -low, more)
    return exponent, r, lost


def exp_parts(x: Expr, low: Expr | None = None) -> tuple[Expr, Expr, Expr]:
    """n, s and what s lost, with exp(x + low) = 2^n (1 + s), for a small correction `low`."""
    n, r, lost = by_ln2(clamp(x, EXP_RANGE[x.kind]), low)
    return n, fma(exact_mul(r, r), polynomial(r, table.EXP[x.kind]), r), lost


def exp_of_sum(x: Expr, low: Expr | None = None, shift: int = 0) -> Expr:
    """exp(x + low) 2^shift for a small correction `low`."""
    n, s, _ = exp_parts(x, low)
    return scale(1 + s, n + shift if shift else n)


@elementary
def exp(x: Expr) -> Expr:
    """e^x."""
    return exp_of_sum(x)


@elementary
def exp2(x: Expr) -> Expr:
    """2^x."""
    x = clamp(x, EXP2_RANGE[x.kind])
    n, exponent = nearest_integer(x)
    r = x - n
    return scale(fma(r, polynomial(r, table.EXP2[x.kind]), 1), exponent)


@elementary
def expm1(x: Expr) -> Expr:
    """e^x - 1, accurate near zero."""
    high, low, doubled = _expm1(clamp(x, EXPM1_RANGE[x.kind]))
    y = high + low
    return copysign(where(doubled, y + y, y), x)


def _expm1(x: Expr) -> tuple[Expr, Expr, Expr]:
    """e^x - 1 as a sum, and whether it stands for its double."""
    n, r, lost = by_ln2(x)
    q = polynomial(r, table.EXPM1[x.kind])
    high, low = fast_two_sum(r, fma(r * r, q, lost))
    # 2^n itself overflows one step before the result does
    top = n > LARGEST_EXPONENT[x.kind]
    power = power_of_two(where(top, n - 1, n))
    return fma(power, high, power - 1), power * low, top


@elementary
def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e^-x), from e = e^-|x| so that neither tail overflows; as e / (1 + e), for x < 0, it
    needs what the rounding of e and of the quotient lost."""
    n, s, _ = exp_parts(-abs(x))
    power = scale(x.const(1), n)
    e = fma(power, s, power)
    total = 1 + e
    q = where(x < 0, e, 1) / total
    rest = fma(power, s, fma(-q, total, power))
    return where(x < 0, fma(rest, 1 - q, q), q)


@elementary
def tanh(x: Expr) -> Expr:
    """The hyperbolic tangent, e / (e + 2) with e = expm1(2 |x|), and what the rounding of e and of
    the quotient lost; e = 2^n - 1 + 2^n s."""
    size = abs(x)
    n, r, lost = by_ln2(least(size + size, TANH_LIMIT[x.kind]))
    s, s_low = fast_two_sum(r, fma(r * r, polynomial(r, table.EXPM1[x.kind]), lost))
    power = power_of_two(n)
    less = power - 1
    e = fma(power, s, less)
    e_low = fma(power, s_low, fma(power, s, exact_sub(less, e)))
    total = e + 2
    q = e / total
    rest = fma(-q, total, e) + fma(-q, e_low, e_low)
    return copysign(fma(rest, fma(q, -0.5, 0.5), q), x)


@elementary
def sinh(x: Expr) -> Expr:
    """The hyperbolic sine: a polynomial below 1, else (e^x - e^-x) / 2."""
    size, z = abs(x), x * x
    small = fma(x * z, polynomial(z, table.SINH[x.kind]), x)
    half = exp_of_sum(size, shift=-1)
    return where(size < 1, small, copysign(half - 0.25 / half, x))


@elementary
def cosh(x: Expr) -> Expr:
    """The hyperbolic cosine."""
    half = exp_of_sum(abs(x), shift=-1)
    return half + 0.25 / half
