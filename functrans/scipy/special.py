"""`functrans.scipy.special`: SciPy's special functions under SciPy's names.

Arguments are real; integers are float64. Values and derivatives at the edges of a domain are the
limits from inside: `xlogy(0, y)` is 0 and its derivative in x is log(y).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import DTypeError
from functrans.core.types import described, dtype_of
from functrans.nn import activations
from functrans.primitives import special as p
from functrans.primitives.arithmetic import select
from functrans.primitives.custom_jvp import custom_jvp
from functrans.primitives.limits import inner_power_p
from functrans.scipy.integrals import (
    betainc,
    exp1,
    expi,
    expn,
    gammainc,
    gammaincc,
    i0,
    i0e,
    i1,
    i1e,
    ndtri,
    zeta,
)
from functrans.scipy.operands import floats

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


# --- error functions ------------------------------------------------------------------------------


def erf(x: Any) -> Any:
    """`scipy.special.erf`: the error function.

    >>> float(erf(0.0))
    0.0
    """
    return p.erf_p.bind(*floats("erf", x))


def erfc(x: Any) -> Any:
    """`scipy.special.erfc`: 1 - erf(x), without cancellation.

    >>> float(erfc(0.0))
    1.0
    """
    return p.erfc_p.bind(*floats("erfc", x))


def erfinv(y: Any) -> Any:
    """`scipy.special.erfinv`: the inverse of `erf`.

    >>> float(erfinv(0.0))
    0.0
    """
    return p.erfinv_p.bind(*floats("erfinv", y))


def ndtr(x: Any) -> Any:
    """`scipy.special.ndtr`: the distribution function of the standard normal.

    >>> float(ndtr(0.0))
    0.5
    """
    (x,) = floats("ndtr", x)
    return 0.5 * p.erfc_p.bind(-x * dtype_of(x).type(math.sqrt(0.5)))


def _split(x: Any) -> tuple[Any, Any, Any]:
    """Where x is so far out that the asymptotic series of ndtr has all digits, x there, the series.

    The conditions are selections, not extrema, which would halve derivatives at the border.
    """
    border = -20.0 if dtype_of(x) == np.float64 else -10.0
    is_far = x <= border
    z = select(is_far, x, border)
    inverse_square = 1 / (z * z)
    series = 1.0
    # 1 - 1/x² + 3/x⁴ - 15/x⁶ + … by Horner's rule
    for k in range(19, 0, -2):
        series = 1 - k * inverse_square * series
    return is_far, z, series


@custom_jvp
def _log_ndtr(x: Any) -> Any:
    is_far, z, series = _split(x)
    tail = ndtr(-fnp.abs(select(is_far, 0.0, x)))
    near = select(x > 0, fnp.log1p(-tail), fnp.log(select(x > 0, 1.0, tail)))
    far = -0.5 * (z * z) - fnp.log(-z) - HALF_LOG_2PI + fnp.log(series)
    return select(is_far, far, near)


@_log_ndtr.defjvp
def _jvp_log_ndtr(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    (x,), (t,) = primals, tangents
    y = _log_ndtr(x)
    is_far, z, series = _split(x)
    # far out the density divided by ndtr would be a difference of large exponents
    inside = select(is_far, 0.0, x)
    square = inner_power_p.bind(inside, exponent=2)
    near = fnp.exp(-0.5 * square - HALF_LOG_2PI - select(is_far, 0.0, y))
    return y, t * select(is_far, -z / series, near)


def log_ndtr(x: Any) -> Any:
    """`scipy.special.log_ndtr`: log(ndtr(x)), accurate in both tails.

    >>> round(float(log_ndtr(-50.0)), 6)
    -1254.831361
    """
    return _log_ndtr(*floats("log_ndtr", x))


# --- gamma functions ------------------------------------------------------------------------------


def gammaln(x: Any) -> Any:
    """`scipy.special.gammaln`: the logarithm of |Γ(x)|.

    >>> float(gammaln(1.0))
    0.0
    """
    return p.lgamma_p.bind(*floats("gammaln", x))


def digamma(x: Any) -> Any:
    """`scipy.special.digamma`: the derivative of log Γ(x).

    >>> round(float(digamma(1.0)), 6)
    -0.577216
    """
    return p.digamma_p.bind(*floats("digamma", x))


psi = digamma


def polygamma(n: int, x: Any) -> Any:
    """`scipy.special.polygamma`: the derivative of order n + 1 of log Γ(x), for a Python int n.

    >>> round(float(polygamma(1, 1.0)), 6)
    1.644934
    """
    if not isinstance(n, int | np.integer):
        raise DTypeError(f"polygamma needs its order as a Python int: got {described(n)}.")
    (x,) = floats("polygamma", x)
    return p.digamma_p.bind(x) if n == 0 else p.polygamma_p.bind(x, order=int(n))


def _stirling_rest(x: Any) -> Any:
    """log Γ(x) minus the first terms of Stirling's series, for x from 10 on."""
    square = 1 / (x * x)
    rest = 0.0
    for coefficient in STIRLING:
        rest = coefficient + square * rest
    return rest / x


STIRLING = (-691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)


def betaln(a: Any, b: Any) -> Any:
    """`scipy.special.betaln`: the logarithm of |Β(a, b)|, also of large arguments.

    >>> round(float(betaln(2.0, 1.0)), 6)
    -0.693147
    """
    a, b = floats("betaln", a, b)
    # large arguments are taken out of log Γ, whose values would cancel (as in TOMS 708)
    low, high = select(a <= b, a, b), select(a <= b, b, a)
    one_large, both_large = (high >= 10) & (low > 0), low >= 10
    small_low, small_high = select(both_large, 1.0, low), select(one_large, 1.0, high)
    direct = gammaln(small_low) + gammaln(small_high) - gammaln(small_low + small_high)
    p_, q = select(one_large, low, 1.0), select(one_large, high, 10.0)
    share = fnp.log1p(-p_ / (p_ + q))
    rest = _stirling_rest(q) - _stirling_rest(p_ + q)
    single = gammaln(small_low) + rest + p_ - p_ * fnp.log(p_ + q) + (q - 0.5) * share
    large = select(both_large, low, 10.0)
    quotient = fnp.log(large / (large + q))
    double = HALF_LOG_2PI - 0.5 * fnp.log(q) + rest + _stirling_rest(large)
    double = double + (large - 0.5) * quotient + q * fnp.log1p(-large / (large + q))
    result = select(both_large, double, select(one_large, single, direct))
    return select(fnp.isnan(a) | fnp.isnan(b), (a + b) ** 2, result)  # nan, with all derivatives


def gammasgn(x: Any) -> Any:
    """`scipy.special.gammasgn`: the sign of Γ(x); nan at the poles below zero.

    >>> float(gammasgn(-0.5))
    -1.0
    """
    (x,) = floats("gammasgn", x)
    below = fnp.floor(x)
    sign = select(below % 2 == 0, fnp.ones_like(x), -fnp.ones_like(x))
    sign = select(x < 0, select(below == x, fnp.full_like(x, np.nan), sign), fnp.copysign(1, x))
    return select(fnp.isnan(x), x, sign)


def gamma(x: Any) -> Any:
    """`scipy.special.gamma`: Γ(x), by its logarithm.

    >>> round(float(gamma(5.0)), 9)
    24.0
    """
    return gammasgn(x) * fnp.exp(gammaln(x))


def beta(a: Any, b: Any) -> Any:
    """`scipy.special.beta`: Β(a, b) = Γ(a) Γ(b) / Γ(a + b), by its logarithm.

    >>> round(float(beta(2.0, 3.0)), 9)
    0.083333333
    """
    a, b = floats("beta", a, b)
    return gammasgn(a) * gammasgn(b) * gammasgn(a + b) * fnp.exp(betaln(a, b))


def factorial(n: Any) -> Any:
    """`scipy.special.factorial`: n! = Γ(n + 1) as a float; 0 for negative n.

    >>> round(float(factorial(4)), 9)
    24.0
    """
    (n,) = floats("factorial", n)
    return select(n < 0, fnp.zeros_like(n), gamma(select(n < 0, fnp.zeros_like(n), n) + 1))


# --- logistic functions ---------------------------------------------------------------------------


def expit(x: Any) -> Any:
    """`scipy.special.expit`: 1 / (1 + exp(-x)).

    >>> float(expit(0.0))
    0.5
    """
    return p.logistic_p.bind(*floats("expit", x))


def log_expit(x: Any) -> Any:
    """`scipy.special.log_expit`: log(expit(x)), without overflow.

    >>> float(log_expit(-1000.0))
    -1000.0
    """
    return -p.softplus_p.bind(*[-v for v in floats("log_expit", x)])


def logit(x: Any) -> Any:
    """`scipy.special.logit`: log(x / (1 - x)), the inverse of `expit`.

    >>> float(logit(0.5))
    0.0
    """
    (x,) = floats("logit", x)
    middle = (x > 0.3) & (x < 0.65)
    # near one half the logarithm of a quotient close to one would lose digits
    s = 2 * (select(middle, x, 0.5) - 0.5)
    outside = select(middle, 0.25, x)
    return select(middle, fnp.log1p(s) - fnp.log1p(-s), fnp.log(outside) - fnp.log1p(-outside))


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """`scipy.special.logsumexp`: log(Σ b exp(a)) over axes, without overflow.

    >>> float(logsumexp(np.array([1000.0, 1000.0]))) == 1000 + math.log(2)
    True
    """
    return activations.logsumexp(a, axis, b, keepdims, return_sign)


def softmax(x: Any, axis: Any = None) -> Any:
    """`scipy.special.softmax`: exp(x) / Σ exp(x) over axes, by default all.

    >>> softmax(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """
    return activations.softmax(x, axis)


def log_softmax(x: Any, axis: Any = None) -> Any:
    """`scipy.special.log_softmax`: log(softmax(x)) over axes, by default all.

    >>> log_softmax(np.zeros(1))
    array([0.])
    """
    return activations.log_softmax(x, axis)


# --- entropies ------------------------------------------------------------------------------------


def _quotient(x: Any, y: Any) -> Any:
    """x / y, and 0 where both are 0."""
    nothing = (x == 0) & (y == 0)
    return select(nothing, 0.0, x / select(nothing, 1.0, y))


@custom_jvp
def _xlogy(x: Any, y: Any) -> Any:
    nothing = (x == 0) & ~fnp.isnan(y)
    return select(nothing, 0.0, x * fnp.log(select(nothing, 1.0, y)))


_xlogy.defjvps(
    lambda t, out, x, y: fnp.broadcast_to(t * fnp.log(y), out.shape),
    lambda t, out, x, y: fnp.broadcast_to(t * _quotient(x, y), out.shape),
)


def xlogy(x: Any, y: Any) -> Any:
    """`scipy.special.xlogy`: x log(y), and 0 where x is 0.

    >>> import functrans as ft
    >>> float(xlogy(0.0, 0.0)), float(ft.grad(xlogy)(0.0, 1.0))
    (0.0, 0.0)
    """
    return _xlogy(*floats("xlogy", x, y))


@custom_jvp
def _xlog1py(x: Any, y: Any) -> Any:
    nothing = (x == 0) & ~fnp.isnan(y)
    return select(nothing, 0.0, x * fnp.log1p(select(nothing, 0.0, y)))


_xlog1py.defjvps(
    lambda t, out, x, y: fnp.broadcast_to(t * fnp.log1p(y), out.shape),
    lambda t, out, x, y: fnp.broadcast_to(t * _quotient(x, 1 + y), out.shape),
)


def xlog1py(x: Any, y: Any) -> Any:
    """`scipy.special.xlog1py`: x log(1 + y), and 0 where x is 0.

    >>> float(xlog1py(0.0, -1.0))
    0.0
    """
    return _xlog1py(*floats("xlog1py", x, y))


@custom_jvp
def _entr(x: Any) -> Any:
    inside = select(x < 0, 1.0, x)
    return select(x < 0, -np.inf, -_xlogy(inside, inside))


# xlogy's slopes in both arguments would add inf / inf at inf
_entr.defjvps(lambda t, out, x: -t * select(x < 0, 0.0, fnp.log(select(x < 0, 1.0, x)) + 1.0))


def entr(x: Any) -> Any:
    """`scipy.special.entr`: -x log(x), 0 at 0 and -inf below.

    >>> float(entr(1.0)) == 0.0, float(entr(-1.0))
    (True, -inf)
    """
    (x,) = floats("entr", x)
    return _entr(x)


def _proper_ratio(x: Any, y: Any) -> tuple[Any, Any, Any]:
    """Where x log(x / y) is defined, and x and x / y there, 1 elsewhere."""
    inside = (x >= 0) & (y > 0)
    safe_x = select(inside, x, 1.0)
    return inside, safe_x, safe_x / select(inside, y, 1.0)


@custom_jvp
def _rel_entr(x: Any, y: Any) -> Any:
    inside, safe_x, ratio = _proper_ratio(x, y)
    infinity = dtype_of(x).type(np.inf)
    edge = select((x == 0) & (y == 0), 0.0, infinity)
    outside = select(fnp.isnan(x) | fnp.isnan(y), np.nan, edge)
    return select(inside, xlogy(safe_x, ratio), outside)


def _rel_entr_in_x(t: Any, out: Any, x: Any, y: Any) -> Any:
    inside, _, ratio = _proper_ratio(x, y)
    return fnp.broadcast_to(t * select(inside, fnp.log(ratio) + 1.0, 0.0), out.shape)


def _rel_entr_in_y(t: Any, out: Any, x: Any, y: Any) -> Any:
    inside, _, ratio = _proper_ratio(x, y)
    return fnp.broadcast_to(-t * select(inside, ratio, 0.0), out.shape)


_rel_entr.defjvps(_rel_entr_in_x, _rel_entr_in_y)


def rel_entr(x: Any, y: Any) -> Any:
    """`scipy.special.rel_entr`: x log(x / y), 0 at x = 0 and inf where x or y is negative.

    >>> float(rel_entr(1.0, 1.0)), float(rel_entr(0.0, 1.0)), float(rel_entr(1.0, 0.0))
    (0.0, 0.0, inf)
    """
    return _rel_entr(*floats("rel_entr", x, y))


def kl_div(x: Any, y: Any) -> Any:
    """`scipy.special.kl_div`: x log(x / y) - x + y, inf where x or y is negative.

    >>> float(kl_div(1.0, 1.0)), float(kl_div(0.0, 2.0))
    (0.0, 2.0)
    """
    x, y = floats("kl_div", x, y)
    return rel_entr(x, y) - x + y


__all__ = [
    "betainc",
    "betaln",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp1",
    "expi",
    "expit",
    "expn",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "kl_div",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "rel_entr",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]
