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


@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_values(wrap: Any) -> None:
    with np.errstate(all="ignore"):
        assert np.isnan(wrap(special.betaln)(NAN, 700.0))
        assert np.isnan(wrap(special.betaln)(700.0, NAN))
        assert wrap(special.gammaln)(np.float32(-1e38)) == INF
        np.testing.assert_allclose(wrap(special.gammaln)(-2.5), -0.05624371649767405)
