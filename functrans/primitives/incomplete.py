"""Incomplete gamma and beta functions, the normal quantile and zeta functions, by SciPy.

Derivatives in the shapes of the incomplete functions, and in the exponent of zeta, have no closed
form: they are refused, with the name of the argument. (functrans.scipy.special.gammainc has that in
its shape, by a loop.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.errors import TransformError
from functrans.core.primitive import Primitive
from functrans.core.types import dtype_of
from functrans.primitives.arithmetic import isinf_p, select
from functrans.primitives.elementwise import elementwise
from functrans.primitives.limits import inner_power_p
from functrans.primitives.special import lgamma_p
from functrans.primitives.transcendental import exp_p, log1p_p, log_p


def _scipy(name: str) -> Callable[..., Any]:
    """SciPy's function of this name, which keeps the dtype of its operands."""

    def evaluate(*xs: Any) -> Any:
        from scipy import special

        dtype = np.asarray(xs[0]).dtype
        return np.asarray(getattr(special, name)(*xs), dtype)[()]

    return evaluate


def _unknown(function: str, argument: str) -> Callable[..., Any]:
    """The jvp rule of an argument in which no derivative is known."""

    def refuse(*_: Any) -> Any:
        raise TransformError(
            f"{function} has no known derivative with respect to {argument}. Hold {argument} "
            f"fixed: with ft.stop_gradient({argument}), or as an argument that is not "
            "differentiated."
        )

    return refuse


def _times_log(n: Any, x: Any, log: Primitive) -> Any:
    """n log(x), and 0 where n is 0, also where the logarithm is infinite."""
    nothing = (n == 0) & isinf_p.bind(log.bind(x))
    return select(nothing, 0, n * log.bind(select(nothing, dtype_of(x).type(0.5), x)))


# --- incomplete gamma functions: (a, x) -----------------------------------------------------------


def gamma_density(a: Any, x: Any) -> Any:
    """xᵃ⁻¹ exp(-x) / Γ(a), the derivative of gammainc in x."""
    is_far = (x == np.inf) | (a == np.inf)
    one = dtype_of(x).type(1)
    shape, near = select(is_far, one, a), select(is_far, one, x)
    density = exp_p.bind(_times_log(shape - 1, near, log_p) - near - lgamma_p.bind(shape))
    return select(is_far, 0, density)


gammainc_p: Primitive = elementwise(
    "gammainc",
    _scipy("gammainc"),
    kinds="f",
    jvp=(_unknown("gammainc", "a"), lambda t, a, x, y: t * gamma_density(a, x)),
    cost=200,
)
gammaincc_p: Primitive = elementwise(
    "gammaincc",
    _scipy("gammaincc"),
    kinds="f",
    jvp=(_unknown("gammaincc", "a"), lambda t, a, x, y: -t * gamma_density(a, x)),
    cost=200,
)

# --- incomplete beta function: (a, b, x) ----------------------------------------------------------


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """xᵃ⁻¹ (1 - x)ᵇ⁻¹ / Β(a, b), the derivative of betainc in x."""
    logarithm = lgamma_p.bind(a + b) - lgamma_p.bind(a) - lgamma_p.bind(b)
    powers = _times_log(a - 1, x, log_p) + _times_log(b - 1, -x, log1p_p)
    return exp_p.bind(logarithm + powers)


betainc_p: Primitive = elementwise(
    "betainc",
    _scipy("betainc"),
    kinds="f",
    jvp=(
        _unknown("betainc", "a"),
        _unknown("betainc", "b"),
        lambda t, a, b, x, y: t * _beta_density(a, b, x),
    ),
    cost=300,
)

# --- the quantile of the standard normal ----------------------------------------------------------

_ROOT = math.sqrt(2 * math.pi)

ndtri_p: Primitive = elementwise(
    "ndtri",
    _scipy("ndtri"),
    kinds="f",
    jvp=lambda t, p, y: (
        t * (exp_p.bind(inner_power_p.bind(y, exponent=2) * 0.5) * dtype_of(y).type(_ROOT))
    ),
    cost=40,
)

# --- zeta functions: Σ (k + q)⁻ˣ, and Riemann's, with q = 1, continued to x < 1 -------------------

zeta_p: Primitive = elementwise(
    "zeta",
    _scipy("zeta"),
    kinds="f",
    jvp=(_unknown("zeta", "x"), lambda t, x, q, y: -t * (x * zeta_p.bind(x + 1, q))),
    cost=200,
)
riemann_zeta_p: Primitive = elementwise(
    "riemann_zeta", _scipy("zeta"), kinds="f", jvp=_unknown("zeta", "x"), cost=200
)
