"""Derivatives where a formula for them has infinity times zero: their limits, in every mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import nn
from functrans import numpy as fnp
from functrans.scipy import special

INF, NAN = np.inf, np.nan


def _logsumexp(x: Any, y: float, weights: Any = None) -> Any:
    return nn.logsumexp(fnp.stack([x, y]), b=None if weights is None else np.array(weights))


def _exact_gelu(x: Any) -> Any:
    return nn.gelu(x, approximate=False)


# a function, its arguments, the argument of the derivative, the derivative
CASES: dict[str, tuple[Callable[..., Any], tuple[float, ...], int, float]] = {
    "rel_entr in y at x = 0": (special.rel_entr, (0.0, 2.0), 1, 0.0),
    "rel_entr in y at inf": (special.rel_entr, (1.0, INF), 1, 0.0),
    "rel_entr in x at 0": (special.rel_entr, (0.0, 2.0), 0, -INF),
    "rel_entr inside": (special.rel_entr, (0.5, 2.0), 0, np.log(0.25) + 1.0),
    "kl_div in y at x = 0": (special.kl_div, (0.0, 2.0), 1, 1.0),
    "kl_div in y at inf": (special.kl_div, (1.0, INF), 1, 1.0),
    "xlogy in y at both 0": (special.xlogy, (0.0, 0.0), 1, 0.0),
    "xlogy in x at y = 0": (special.xlogy, (0.0, 0.0), 0, -INF),
    "xlog1py in y at x = 0, y = -1": (special.xlog1py, (0.0, -1.0), 1, 0.0),
    "0 ** y below 0": (fnp.power, (0.0, -1.0), 1, -INF),
    "0 ** y at 0": (fnp.power, (0.0, 0.0), 1, -INF),
    "0 ** y above 0": (fnp.power, (0.0, 2.0), 1, 0.0),
    "0 ** nan": (fnp.power, (0.0, NAN), 1, NAN),
    "x ** 0 at 0": (fnp.power, (0.0, 0.0), 0, 0.0),
    "betaln of nan": (special.betaln, (NAN, 700.0), 1, NAN),
    "sqrt at -0.0": (fnp.sqrt, (-0.0,), 0, INF),
    "x ** 0.5 at -0.0": (lambda x: x**0.5, (-0.0,), 0, INF),
    "hypot at inf": (fnp.hypot, (-INF, 1.0), 0, -1.0),
    "hypot beside inf": (fnp.hypot, (-INF, 1.0), 1, 0.0),
    "hypot at two infs": (fnp.hypot, (INF, INF), 0, NAN),
    "hard_silu at nan": (nn.hard_silu, (NAN,), 0, NAN),
    "hard_silu at inf": (nn.hard_silu, (INF,), 0, 1.0),
    "hard_silu at -inf": (nn.hard_silu, (-INF,), 0, 0.0),
    "trigamma at negative x": (special.digamma, (-1.5,), 0, 9.379246644989124),
    "hypot at the origin": (fnp.hypot, (0.0, 0.0), 0, 0.0),
    "logsumexp at inf": (lambda x: _logsumexp(x, 1.0), (INF,), 0, 1.0),
    "logsumexp beside inf": (lambda x: _logsumexp(x, INF), (1.0,), 0, 0.0),
    "logsumexp at two infs": (lambda x: _logsumexp(x, INF), (INF,), 0, 0.5),
    "logsumexp at -inf": (lambda x: _logsumexp(x, -INF), (-INF,), 0, 0.5),
    "logsumexp at -inf beside 1": (lambda x: _logsumexp(x, 1.0), (-INF,), 0, 0.0),
    "logsumexp at -inf beside inf": (lambda x: _logsumexp(x, INF), (-INF,), 0, 0.0),
    "logsumexp at nan": (lambda x: _logsumexp(x, INF), (NAN,), 0, NAN),
    "logsumexp at inf, weighted": (lambda x: _logsumexp(x, INF, [3.0, 1.0]), (INF,), 0, 0.75),
    "std of equal numbers": (lambda x: fnp.std(fnp.stack([x, 2.0])), (2.0,), 0, 0.0),
    "std of one": (lambda x: fnp.std(fnp.stack([x])), (2.0,), 0, 0.0),
    "std beside nan": (lambda x: fnp.std(fnp.stack([x, NAN])), (2.0,), 0, NAN),
    "nanstd of equal numbers": (lambda x: fnp.nanstd(fnp.stack([x, 2.0, NAN])), (2.0,), 0, 0.0),
    "nanstd in nan": (lambda x: fnp.nanstd(fnp.stack([x, 2.0, 2.0])), (NAN,), 0, 0.0),
    "nanstd of nan": (lambda x: fnp.nanstd(fnp.stack([x, NAN])), (NAN,), 0, 0.0),
    "silu at inf": (nn.silu, (INF,), 0, 1.0),
    "silu at -inf": (nn.silu, (-INF,), 0, 0.0),
    "silu at nan": (nn.silu, (NAN,), 0, NAN),
    "gelu at inf": (nn.gelu, (INF,), 0, 1.0),
    "gelu at -inf": (nn.gelu, (-INF,), 0, 0.0),
    "gelu far out": (nn.gelu, (1e300,), 0, 1.0),
    "gelu at nan": (nn.gelu, (NAN,), 0, NAN),
    "exact gelu at inf": (_exact_gelu, (INF,), 0, 1.0),
    "exact gelu at -inf": (_exact_gelu, (-INF,), 0, 0.0),
    "mish at inf": (nn.mish, (INF,), 0, 1.0),
    "mish at -inf": (nn.mish, (-INF,), 0, 0.0),
    "soft_sign at inf": (nn.soft_sign, (INF,), 0, 0.0),
    "soft_sign at -inf": (nn.soft_sign, (-INF,), 0, 0.0),
    "soft_sign far out": (nn.soft_sign, (1e10,), 0, 1.0 / (1.0 + 1e10) ** 2),
    "relu at nan": (nn.relu, (NAN,), 0, 1.0),
    "hard_tanh at nan": (nn.hard_tanh, (NAN,), 0, 1.0),
    "hard_sigmoid at nan": (nn.hard_sigmoid, (NAN,), 0, 1.0 / 6.0),
    "entr at inf": (special.entr, (INF,), 0, -INF),
    "entr at 0": (special.entr, (0.0,), 0, INF),
    "sinc far out": (fnp.sinc, (1e300,), 0, np.cos(1e300 * np.pi) / 1e300),
    "angle of 0": (fnp.angle, (0.0,), 0, 0.0),
    "x ** -0.5 at -0.0": (lambda x: x**-0.5, (-0.0,), 0, -INF),
}
MODES: dict[str, Callable[[Any], Any]] = {
    "forward": lambda f: lambda x: ft.jvp(f, (x,), (1.0,))[1],
    "reverse": ft.grad,
    "compiled forward": lambda f: ft.jit(lambda x: ft.jvp(f, (x,), (1.0,))[1]),
    "compiled reverse": lambda f: ft.jit(ft.grad(f)),
}


def check(case: tuple, derivative: Callable[[Any], Any]) -> None:
    f, args, i, want = case
    along = lambda x: f(*args[:i], x, *args[i + 1 :])
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(derivative(along)(args[i]), want, rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_derivative(name: str, mode: str) -> None:
    check(CASES[name], MODES[mode])


# as above, the second derivative
SECOND: dict[str, tuple[Callable[..., Any], tuple[float, ...], int, float]] = {
    "arctanh at inf": (fnp.arctanh, (INF,), 0, 0.0),
    "arctanh at -inf": (fnp.arctanh, (-INF,), 0, 0.0),
    "arctanh inside": (fnp.arctanh, (0.5,), 0, 1.0 / 0.75**2),
    "arcsinh at inf": (fnp.arcsinh, (INF,), 0, 0.0),
    "hypot at inf": (fnp.hypot, (INF, 1.0), 0, 0.0),
    "hypot inside": (fnp.hypot, (3.0, 4.0), 0, 16.0 / 125.0),
    "hard_silu at inf": (nn.hard_silu, (INF,), 0, 0.0),
    "arctanh at 1": (fnp.arctanh, (1.0,), 0, INF),
    "arctan at inf": (fnp.arctan, (INF,), 0, 0.0),
    "arctan at -inf": (fnp.arctan, (-INF,), 0, 0.0),
    "arctan inside": (fnp.arctan, (2.0,), 0, -4.0 / 25.0),
    "erf at inf": (special.erf, (INF,), 0, 0.0),
    "erfc at -inf": (special.erfc, (-INF,), 0, 0.0),
    "ndtr at inf": (special.ndtr, (INF,), 0, 0.0),
    "log_ndtr at inf": (special.log_ndtr, (INF,), 0, 0.0),
    "0 ** y below 0": (fnp.power, (0.0, -1.0), 1, INF),
    "0 ** y at 0": (fnp.power, (0.0, 0.0), 1, INF),
    "0 ** y above 0": (fnp.power, (0.0, 2.0), 1, 0.0),
    "0 ** nan": (fnp.power, (0.0, NAN), 1, NAN),
    "silu at inf": (nn.silu, (INF,), 0, 0.0),
    "silu at -inf": (nn.silu, (-INF,), 0, 0.0),
    "gelu at inf": (nn.gelu, (INF,), 0, 0.0),
    "gelu far out": (nn.gelu, (-1e300,), 0, 0.0),
    "exact gelu at inf": (_exact_gelu, (INF,), 0, 0.0),
    "mish at inf": (nn.mish, (INF,), 0, 0.0),
    "soft_sign at inf": (nn.soft_sign, (INF,), 0, 0.0),
    "entr at inf": (special.entr, (INF,), 0, 0.0),
}
SECOND_MODES: dict[str, Callable[[Any], Any]] = {
    "forward over reverse": lambda f: lambda x: ft.jvp(ft.grad(f), (x,), (1.0,))[1],
    "reverse over forward": lambda f: ft.grad(lambda x: ft.jvp(f, (x,), (1.0,))[1]),
    "reverse over reverse": lambda f: ft.grad(ft.grad(f)),
    "compiled": lambda f: ft.jit(ft.hessian(f)),
}


@pytest.mark.parametrize("mode", SECOND_MODES)
@pytest.mark.parametrize("name", SECOND)
def test_second_derivative(name: str, mode: str) -> None:
    check(SECOND[name], SECOND_MODES[mode])


def test_a_rule_whose_tangent_is_zero_is_not_asked() -> None:
    asked = []

    @ft.custom_jvp
    def f(x: Any, y: Any) -> Any:
        return x * y

    f.defjvps(
        lambda t, out, x, y: asked.append("x") or t * y,
        lambda t, out, x, y: asked.append("y") or t * x,
    )
    assert ft.grad(f, 1)(2.0, 3.0) == 2.0
    assert asked == ["y"]


VALUES: dict[str, tuple[Callable[..., Any], tuple[float, ...], float]] = {
    "betaln in a of nan": (special.betaln, (NAN, 700.0), NAN),
    "betaln in b of nan": (special.betaln, (700.0, NAN), NAN),
    "gammaln far below 0": (special.gammaln, (np.float32(-1e38),), INF),
    "gammaln of -inf": (special.gammaln, (-INF,), -INF),
    "gammaln of a negative number": (special.gammaln, (-2.5,), -0.05624371649767405),
    "x ** -0.5 of -0.0": (fnp.power, (-0.0, -0.5), INF),
    "silu of inf": (nn.silu, (INF,), INF),
    "logsumexp of inf": (lambda x: _logsumexp(x, 1.0), (INF,), INF),
    "logsumexp of -inf": (lambda x: _logsumexp(x, -INF), (-INF,), -INF),
    "logsumexp of -inf, weighted": (lambda x: _logsumexp(x, -INF, [-1.0, 0.0]), (-INF,), -INF),
}


@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("name", VALUES)
def test_value(name: str, wrap: Any) -> None:
    f, args, want = VALUES[name]
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(wrap(f)(*args), want, rtol=1e-12)


def test_the_complex_root_has_one_infinite_slope_at_0_in_every_mode() -> None:
    slopes = [
        lambda z: ft.jvp(fnp.sqrt, (z,), (1.0 + 0.0j,))[1],
        ft.grad(fnp.sqrt, holomorphic=True),
        ft.jit(ft.grad(fnp.sqrt, holomorphic=True)),
    ]
    with np.errstate(all="ignore"):
        assert [abs(slope(0j)) for slope in slopes] == [INF] * 3


def test_a_sum_of_exponentials_of_nothing_has_no_sign() -> None:
    with np.errstate(all="ignore"):
        assert nn.logsumexp(np.full(2, -INF), return_sign=True) == (-INF, 0.0)
