"""The error function and its relatives, and the gamma function's logarithm and its derivative."""

from __future__ import annotations

from functrans.compiler.math import coefficients as table
from functrans.compiler.math.exponential import exp_of_sum
from functrans.compiler.math.expression import (
    Expr,
    copysign,
    elementary,
    fma,
    least,
    polynomial,
    two_product,
    where,
)

ERFC_LIMIT = {"float32": 10.5, "float64": 27.5}
"""Beyond, erfc is zero."""
ERFCX_CENTRE = {"float32": 2.0, "float64": 4.0}
ERF_SMALL = 0.9


def erfc_of_positive(x: Expr) -> Expr:
    """erfc(x) = exp(-x²) p((x - k) / (x + k)) / (1 + 2 x): one polynomial for all x >= 0."""
    x = least(x, ERFC_LIMIT[x.kind])
    k = ERFCX_CENTRE[x.kind]
    t = (x - k) / (x + k)
    square, lost = two_product(x, x)
    decay = exp_of_sum(-square, -lost)
    return decay * (polynomial(t, table.ERFCX[x.kind]) / fma(x, 2, 1))


def _erf_small(x: Expr) -> Expr:
    z = x * x
    return fma(x, polynomial(z, table.ERF[x.kind]), x)


@elementary
def erf(x: Expr) -> Expr:
    """The error function."""
    size = abs(x)
    large = copysign(1 - erfc_of_positive(size), x)
    return where(size < ERF_SMALL, _erf_small(x), large)


@elementary
def erfc(x: Expr) -> Expr:
    """1 - erf(x), accurate where that is small."""
    tail = erfc_of_positive(abs(x))
    middle = 1 - _erf_small(x)
    outer = where(x < 0, 2 - tail, tail)
    return where(abs(x) < 0.5, middle, outer)
