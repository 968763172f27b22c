"""Exponentials, logarithms, roots, trigonometric and hyperbolic functions and their inverses.

Derivatives are written in terms of the result where that is cheaper or more accurate.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.types import dtype_of
from functrans.primitives.arithmetic import (
    full_like,
    integer_pow_p,
    isfinite_p,
    isinf_p,
    select,
    sign_p,
    zeros_like,
)
from functrans.primitives.elementwise import elementwise
from functrans.primitives.limits import inner_power_p

LN2, LN10 = math.log(2), math.log(10)


def _scaled(t: Any, factor: float) -> Any:
    """t times a constant, in t's own precision."""
    return t * dtype_of(t).type(factor)


# --- exponentials and logarithms ------------------------------------------------------------------

exp_p: Primitive = elementwise(
    "exp", np.exp, kinds="fc", jvp=lambda t, x, y: t * y, emit="exp", cost=12
)
exp2_p: Primitive = elementwise(
    "exp2", np.exp2, kinds="fc", jvp=lambda t, x, y: _scaled(t * y, LN2), emit="exp2", cost=12
)
expm1_p: Primitive = elementwise(
    "expm1", np.expm1, kinds="fc", jvp=lambda t, x, y: t * (y + 1), emit="expm1", cost=15
)
log_p: Primitive = elementwise(
    "log", np.log, kinds="fc", jvp=lambda t, x, y: t / x, emit="log", cost=15
)
log2_p: Primitive = elementwise(
    "log2", np.log2, kinds="fc", jvp=lambda t, x, y: _scaled(t / x, 1 / LN2), emit="log2", cost=15
)
log10_p: Primitive = elementwise(
    "log10",
    np.log10,
    kinds="fc",
    jvp=lambda t, x, y: _scaled(t / x, 1 / LN10),
    emit="log10",
    cost=15,
)
log1p_p: Primitive = elementwise(
    "log1p", np.log1p, kinds="fc", jvp=lambda t, x, y: t / (x + 1), emit="log1p", cost=15
)


def _logaddexp(name: str, evaluate: Any, exponential: Any) -> Any:
    half = -LN2 if exponential is exp_p else -1.0

    def share(x: Any, y: Any, z: Any) -> Any:
        # at an infinite maximum the difference is nan: the infinite term has all of the
        # derivative, or half of it where both are infinite
        tied = select(y == z, full_like(z, half), zeros_like(z))
        beyond = select(x == z, tied, full_like(z, -np.inf))
        difference = select(isinf_p.bind(z), beyond, x - z)
        return exponential.bind(difference)

    return elementwise(
        name,
        evaluate,
        kinds="f",
        jvp=[lambda t, x, y, z: t * share(x, y, z), lambda t, x, y, z: t * share(y, x, z)],
        emit=name,
        cost=30,
    )


logaddexp_p: Primitive = _logaddexp("logaddexp", np.logaddexp, exp_p)
logaddexp2_p: Primitive = _logaddexp("logaddexp2", np.logaddexp2, exp2_p)

# --- roots ----------------------------------------------------------------------------------------

sqrt_p: Primitive = elementwise(
    "sqrt",
    np.sqrt,
    kinds="fc",
    # the root of -0.0 is -0.0, its slope +inf; nothing follows the division, which at a complex 0
    # is the infinity without a direction, and its products are nan
    jvp=lambda t, x, y: t / (2 * (y + 0.0)),
    emit="sqrt",
    cost=6,
)
rsqrt_p: Primitive = elementwise(
    "rsqrt",
    lambda x: 1 / np.sqrt(x),
    kinds="fc",
    jvp=lambda t, x, y: t * -0.5 * (y / x),
    emit="rsqrt",
    cost=8,
)
cbrt_p: Primitive = elementwise(
    "cbrt",
    np.cbrt,
    kinds="f",
    # a power, not a quotient of squares, so that the second derivative at 0 is infinite, not nan
    jvp=lambda t, x, y: _scaled(t * integer_pow_p.bind(y, exponent=-2), 1 / 3),
    emit="cbrt",
    cost=20,
)


def _direction(x: Any, y: Any, z: Any) -> Any:
    """x / z, or its limit: 0 at the origin, where the distance has no slope, ±1 at x = ±inf."""
    far = isinf_p.bind(x)
    limit = select(isfinite_p.bind(y), sign_p.bind(x), full_like(x, np.nan))
    near = select(far, 0, x) / select((z == 0) | far, 1, z)
    return select(z == 0, 0, select(far, limit, near))


hypot_p: Primitive = elementwise(
    "hypot",
    np.hypot,
    kinds="f",
    jvp=[lambda t, x, y, z: t * _direction(x, y, z), lambda t, x, y, z: t * _direction(y, x, z)],
    emit="hypot",
    cost=10,
)

# --- trigonometric --------------------------------------------------------------------------------

sin_p: Primitive = elementwise(
    "sin", np.sin, kinds="fc", jvp=lambda t, x, y: t * cos_p.bind(x), emit="sin", cost=18
)
cos_p: Primitive = elementwise(
    "cos", np.cos, kinds="fc", jvp=lambda t, x, y: -t * sin_p.bind(x), emit="cos", cost=18
)
tan_p: Primitive = elementwise(
    "tan", np.tan, kinds="fc", jvp=lambda t, x, y: t * (1 + y * y), emit="tan", cost=25
)
arcsin_p: Primitive = elementwise(
    "arcsin",
    np.arcsin,
    kinds="fc",
    jvp=lambda t, x, y: t * rsqrt_p.bind((1 - x) * (1 + x)),
    emit="arcsin",
    cost=20,
)
arccos_p: Primitive = elementwise(
    "arccos",
    np.arccos,
    kinds="fc",
    jvp=lambda t, x, y: -t * rsqrt_p.bind((1 - x) * (1 + x)),
    emit="arccos",
    cost=20,
)
arctan_p: Primitive = elementwise(
    "arctan",
    np.arctan,
    kinds="fc",
    jvp=lambda t, x, y: t / (1 + inner_power_p.bind(x, exponent=2)),
    emit="arctan",
    cost=20,
)


def _over_square(x: Any, y: Any) -> Any:
    """x / (x² + y²), whose squares would overflow or underflow in float32 at 1e20 or 1e-23."""
    distance = hypot_p.bind(x, y)
    return x / distance / distance


arctan2_p: Primitive = elementwise(
    "arctan2",
    np.arctan2,
    kinds="f",
    jvp=[
        lambda t, x, y, z: t * _over_square(y, x),
        lambda t, x, y, z: -t * _over_square(x, y),
    ],
    emit="arctan2",
    cost=25,
)

# --- hyperbolic -----------------------------------------------------------------------------------

sinh_p: Primitive = elementwise(
    "sinh", np.sinh, kinds="fc", jvp=lambda t, x, y: t * cosh_p.bind(x), emit="sinh", cost=20
)
cosh_p: Primitive = elementwise(
    "cosh", np.cosh, kinds="fc", jvp=lambda t, x, y: t * sinh_p.bind(x), emit="cosh", cost=20
)
tanh_p: Primitive = elementwise(
    "tanh", np.tanh, kinds="fc", jvp=lambda t, x, y: t * (1 - y * y), emit="tanh", cost=15
)


def _arcsinh_slope(x: Any) -> Any:
    if dtype_of(x).kind == "c":
        return rsqrt_p.bind(x * x + 1)
    return 1 / hypot_p.bind(x, full_like(x, 1))  # the square of x may overflow


arcsinh_p: Primitive = elementwise(
    "arcsinh",
    np.arcsinh,
    kinds="fc",
    jvp=lambda t, x, y: t * _arcsinh_slope(x),
    emit="arcsinh",
    cost=25,
)
arccosh_p: Primitive = elementwise(
    "arccosh",
    np.arccosh,
    kinds="fc",
    jvp=lambda t, x, y: t * (rsqrt_p.bind(x - 1) * rsqrt_p.bind(x + 1)),
    emit="arccosh",
    cost=25,
)
arctanh_p: Primitive = elementwise(
    "arctanh",
    np.arctanh,
    kinds="fc",
    # a sum, not the product of 1 - x and 1 + x, whose second derivative at 1 is inf - inf
    jvp=lambda t, x, y: t * (0.5 / (1 - x) + 0.5 / (1 + x)),
    emit="arctanh",
    cost=25,
)
