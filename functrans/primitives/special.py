"""Special functions: error functions, gamma functions, logistic and softplus.

SciPy evaluates them outside compiled code, and is imported at the first use.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.types import dtype_of, shape_of
from functrans.primitives.arithmetic import integer_pow_p
from functrans.primitives.elementwise import elementwise
from functrans.primitives.limits import inner_power_p
from functrans.primitives.transcendental import exp_p


def _scipy(name: str) -> Any:
    """SciPy's function of this name, which keeps the dtype of its operand."""

    def evaluate(x: Any) -> Any:
        from scipy import special

        x = np.asarray(x)
        return np.asarray(getattr(special, name)(x), x.dtype)[()]

    return evaluate


def _constant(x: Any, value: float) -> Any:
    return dtype_of(x).type(value)


_SLOPE = 2 / math.sqrt(math.pi)

erf_p: Primitive = elementwise(
    "erf",
    _scipy("erf"),
    kinds="f",
    jvp=lambda t, x, y: t * exp_p.bind(-inner_power_p.bind(x, exponent=2)) * _constant(x, _SLOPE),
    emit="erf",
    cost=25,
)
erfc_p: Primitive = elementwise(
    "erfc",
    _scipy("erfc"),
    kinds="f",
    jvp=lambda t, x, y: t * exp_p.bind(-inner_power_p.bind(x, exponent=2)) * _constant(x, -_SLOPE),
    emit="erfc",
    cost=30,
)
erfinv_p: Primitive = elementwise(
    "erfinv",
    _scipy("erfinv"),
    kinds="f",
    jvp=lambda t, x, y: t * exp_p.bind(y * y) * _constant(x, 1 / _SLOPE),
    emit="erfinv",
    cost=30,
)


def _polygamma(x: Any, *, order: int) -> Any:
    from scipy import special

    x = np.asarray(x)
    return np.asarray(special.polygamma(order, x), x.dtype)[()]


lgamma_p: Primitive = elementwise(
    "lgamma",
    _scipy("gammaln"),
    kinds="f",
    jvp=lambda t, x, y: t * digamma_p.bind(x),
    emit="lgamma",
    cost=60,
)
digamma_p: Primitive = elementwise(
    "digamma",
    _scipy("digamma"),
    kinds="f",
    jvp=lambda t, x, y: t * polygamma_p.bind(x, order=1),
    emit="digamma",
    cost=60,
)
polygamma_p: Primitive = elementwise(
    "polygamma",
    _polygamma,
    kinds="f",
    jvp=lambda t, x, y, order: t * polygamma_p.bind(x, order=order + 1),
    cost=100,
)


def _logistic(x: Any) -> Any:
    x = np.asarray(x)
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1 / (1 + small), small / (1 + small)), x.dtype)[()]


def _softplus(x: Any) -> Any:
    return np.logaddexp(x, np.zeros(shape_of(x), dtype_of(x)))


logistic_p: Primitive = elementwise(
    "logistic", _logistic, kinds="f", jvp=lambda t, x, y: t * (y * (1 - y)), emit="sigmoid", cost=16
)
softplus_p: Primitive = elementwise(
    "softplus",
    _softplus,
    kinds="f",
    jvp=lambda t, x, y: t * logistic_p.bind(x),
    emit="softplus",
    cost=25,
)
soft_sign_p: Primitive = elementwise(
    "soft_sign",
    lambda x: x / (1 + np.abs(x)),
    kinds="f",
    # not the quotient's rule, whose two terms cancel far out
    jvp=lambda t, x, y: t * integer_pow_p.bind(1 + abs(x), exponent=-2),
    emit=lambda b, x: b.div(x, b.add(b.abs(x), b.const(1, x.dtype))),
    cost=6,
)
