"""Special functions that integrals and series define, with SciPy's values: part of scipy.special.

Compiled code calls SciPy for them. Their derivatives are closed forms, where there are any.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.errors import DTypeError
from functrans.core.types import described
from functrans.primitives import bessel, incomplete
from functrans.primitives.arithmetic import select
from functrans.primitives.custom_jvp import custom_jvp
from functrans.primitives.transcendental import exp_p, log_p
from functrans.scipy.gamma_quantiles import log_quantile_slope
from functrans.scipy.operands import floats

# --- distributions --------------------------------------------------------------------------------


def ndtri(y: Any) -> Any:
    """`scipy.special.ndtri`: the quantile of the standard normal, the inverse of `ndtr`.

    >>> round(float(ndtri(0.975)), 6)
    1.959964
    """
    return incomplete.ndtri_p.bind(*floats("ndtri", y))


@custom_jvp
def _gammainc(a: Any, x: Any) -> Any:
    return incomplete.gammainc_p.bind(a, x)


@custom_jvp
def _gammaincc(a: Any, x: Any) -> Any:
    return incomplete.gammaincc_p.bind(a, x)


def _gammainc_slope(a: Any, x: Any) -> Any:
    """The derivative of gammainc in a: that in log(x) times how log(x) would have to move."""
    is_inside = (x > 0) & (x < np.inf) & (a > 0) & (a < np.inf)
    shape, near = select(is_inside, a, 1), select(is_inside, x, 1)
    density = near * incomplete.gamma_density(shape, near)
    return select(is_inside, -density * log_quantile_slope(shape, log_p.bind(near)), 0)


_gammainc.defjvps(
    lambda t, y, a, x: t * _gammainc_slope(a, x),
    lambda t, y, a, x: t * incomplete.gamma_density(a, x),
)
_gammaincc.defjvps(
    lambda t, y, a, x: -t * _gammainc_slope(a, x),
    lambda t, y, a, x: -t * incomplete.gamma_density(a, x),
)


def gammainc(a: Any, x: Any) -> Any:
    """`scipy.special.gammainc`: the share of the integral of tᵃ⁻¹ exp(-t) that lies below x.

    Args:
        a: the shape, not negative.
        x: not negative.

    >>> import functrans as ft
    >>> round(float(gammainc(1.0, 2.0)), 6)  # 1 - exp(-2)
    0.864665
    >>> round(float(ft.grad(gammainc)(1.0, 2.0)), 6)
    -0.220825
    """
    return _gammainc(*floats("gammainc", a, x))


def gammaincc(a: Any, x: Any) -> Any:
    """`scipy.special.gammaincc`: 1 - gammainc(a, x), without cancellation.

    >>> round(float(gammaincc(1.0, 2.0)), 6)  # exp(-2)
    0.135335
    """
    return _gammaincc(*floats("gammaincc", a, x))


def betainc(a: Any, b: Any, x: Any) -> Any:
    """`scipy.special.betainc`: the share of the integral of tᵃ⁻¹ (1 - t)ᵇ⁻¹ that lies below x.

    Args:
        a, b: the shapes, positive. There are no derivatives with respect to them.
        x: from 0 to 1.

    Raises:
        TransformError: a or b is differentiated.

    >>> round(float(betainc(2.0, 1.0, 0.5)), 6)
    0.25
    """
    return incomplete.betainc_p.bind(*floats("betainc", a, b, x))


# --- zeta -----------------------------------------------------------------------------------------


def zeta(x: Any, q: Any = None) -> Any:
    """`scipy.special.zeta`: the Hurwitz zeta function Σ (k + q)⁻ˣ; without q, Riemann's.

    Args:
        x: the exponent. There is no derivative with respect to it.
        q: where the sum starts; None for 1, with the continuation to x < 1.

    Raises:
        TransformError: x is differentiated.

    >>> round(float(zeta(2.0)), 6), round(float(zeta(2.0, 2.0)), 6)
    (1.644934, 0.644934)
    """
    if q is None:
        return incomplete.riemann_zeta_p.bind(*floats("zeta", x))
    return incomplete.zeta_p.bind(*floats("zeta", x, q))


# --- modified Bessel functions --------------------------------------------------------------------


def i0(x: Any) -> Any:
    """`scipy.special.i0`: the modified Bessel function of order 0.

    >>> round(float(i0(1.0)), 6)
    1.266066
    """
    return bessel.bessel_i_p.bind(*floats("i0", x), order=0, scaled=False)


def i0e(x: Any) -> Any:
    """`scipy.special.i0e`: exp(-|x|) i0(x), without overflow.

    >>> round(float(i0e(1000.0)), 6)
    0.012617
    """
    return bessel.bessel_i_p.bind(*floats("i0e", x), order=0, scaled=True)


def i1(x: Any) -> Any:
    """`scipy.special.i1`: the modified Bessel function of order 1, the derivative of `i0`.

    >>> round(float(i1(1.0)), 6)
    0.565159
    """
    return bessel.bessel_i_p.bind(*floats("i1", x), order=1, scaled=False)


def i1e(x: Any) -> Any:
    """`scipy.special.i1e`: exp(-|x|) i1(x), without overflow.

    >>> round(float(i1e(1000.0)), 6)
    0.012611
    """
    return bessel.bessel_i_p.bind(*floats("i1e", x), order=1, scaled=True)


# --- exponential integrals ------------------------------------------------------------------------


def expi(x: Any) -> Any:
    """`scipy.special.expi`: the principal value of the integral of exp(t) / t from -∞ to x.

    >>> round(float(expi(1.0)), 6)
    1.895118
    """
    return bessel.expi_p.bind(*floats("expi", x))


def exp1(x: Any) -> Any:
    """`scipy.special.exp1`: the integral of exp(-x t) / t from 1 to ∞.

    >>> round(float(exp1(1.0)), 6)
    0.219384
    """
    return bessel.expn_p.bind(*floats("exp1", x), order=1)


def expn(n: int, x: Any) -> Any:
    """`scipy.special.expn`: the integral of exp(-x t) / tⁿ from 1 to ∞, for a Python int n >= 0.

    >>> round(float(expn(2, 1.0)), 6)
    0.148496
    """
    if not isinstance(n, int | np.integer) or n < 0:
        raise DTypeError(f"expn needs its order as a Python int from 0 on: got {described(n)}.")
    (x,) = floats("expn", x)
    return exp_p.bind(-x) / x if n == 0 else bessel.expn_p.bind(x, order=int(n))
