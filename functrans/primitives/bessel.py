"""Bessel functions Iₙ and exponential integrals Eₙ of integer order, evaluated by SciPy.

Derivatives lead to neighbouring orders, so they hold to any order, also where quotients would not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.types import dtype_of
from functrans.primitives.arithmetic import sign_p
from functrans.primitives.elementwise import elementwise
from functrans.primitives.transcendental import exp_p

# --- bessel_i: Iₙ(x), times exp(-|x|) if scaled ---------------------------------------------------

_NAMES = {(0, False): "i0", (1, False): "i1", (0, True): "i0e", (1, True): "i1e"}


def _bessel_i(x: Any, *, order: int, scaled: bool) -> Any:
    from scipy import special

    x = np.asarray(x)
    if (order, scaled) in _NAMES:
        value = getattr(special, _NAMES[order, scaled])(x)
    else:
        value = (special.ive if scaled else special.iv)(order, x)
    return np.asarray(value, x.dtype)[()]


def _jvp_bessel_i(t: Any, x: Any, y: Any, *, order: int, scaled: bool) -> Any:
    """2 Iₙ' = Iₙ₋₁ + Iₙ₊₁, and I₋₁ = I₁."""
    before, after = (
        bessel_i_p.bind(x, order=abs(n), scaled=scaled) for n in (order - 1, order + 1)
    )
    slope = (before + after) * dtype_of(x).type(0.5)
    return t * (slope - sign_p.bind(x) * y if scaled else slope)


bessel_i_p: Primitive = elementwise("bessel_i", _bessel_i, kinds="f", jvp=_jvp_bessel_i, cost=60)

# --- expn: Eₙ(x), the integral of exp(-x t) / tⁿ from 1 on ----------------------------------------


def _expn(x: Any, *, order: int) -> Any:
    from scipy import special

    x = np.asarray(x)
    value = special.exp1(x) if order == 1 else special.expn(order, x)
    return np.asarray(value, x.dtype)[()]


def _jvp_expn(t: Any, x: Any, y: Any, *, order: int) -> Any:
    return -t * (exp_p.bind(-x) / x if order == 1 else expn_p.bind(x, order=order - 1))


expn_p: Primitive = elementwise("expn", _expn, kinds="f", jvp=_jvp_expn, cost=100)

# --- expi: the principal value of the integral of exp(t) / t up to x ------------------------------


def _expi(x: Any) -> Any:
    from scipy import special

    x = np.asarray(x)
    return np.asarray(special.expi(x), x.dtype)[()]


expi_p: Primitive = elementwise(
    "expi", _expi, kinds="f", jvp=lambda t, x, y: t * (exp_p.bind(x) / x), cost=100
)
