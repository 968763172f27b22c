"""Transforms of transforms: closures over several levels, and no confusion of perturbations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp

X = np.array([0.5, -1.0, 2.0])
identity: Callable[[Any], Any] = lambda f: f
maybe_jit = pytest.mark.parametrize("wrap", [identity, ft.jit], ids=["eager", "jit"])


def derivative(f: Any, x: Any) -> Any:
    return ft.jvp(f, (x,), (1.0,))[1]


@maybe_jit
def test_perturbations_are_not_confused(wrap: Any) -> None:
    """Siskind and Pearlmutter's example, d/dx (x · d/dy (x + y)) = 1, in all pairs of modes."""
    for outer in (derivative, lambda f, x: ft.grad(f)(x)):
        for inner in (derivative, lambda f, x: ft.grad(f)(x)):
            got = wrap(lambda x: outer(lambda x: x * inner(lambda y: x + y, 1.0), x))(1.0)
            assert got == 1.0
            got = wrap(lambda x: outer(lambda x: x * inner(lambda y: x * y, 2.0), x))(3.0)
            assert got == 6.0


@maybe_jit
def test_an_inner_derivative_at_the_outer_variable(wrap: Any) -> None:
    f = lambda x: x * ft.grad(lambda y: y**2 * x)(x)  # 2 x³
    assert wrap(ft.grad(f))(3.0) == 54.0
    assert wrap(ft.grad(ft.grad(f)))(3.0) == 36.0
    assert wrap(lambda x: derivative(f, x))(3.0) == 54.0


@maybe_jit
def test_a_curried_function_keeps_its_perturbations_apart(wrap: Any) -> None:
    """Manzyuk's bug: a derivative of a function that returns a function."""
    s = lambda u: lambda g: lambda x: g(x + u)
    d = lambda f, x: derivative(f, x)
    shifted = lambda x: d(lambda u: s(u)(lambda z: z**3)(x), 0.0)
    assert wrap(shifted)(2.0) == 12.0
    twice = lambda x: d(lambda u: d(lambda v: s(v)(lambda z: s(u)(lambda w: w**3)(z))(x), 0.0), 0.0)
    assert wrap(twice)(2.0) == 12.0  # 6 x


@maybe_jit
def test_closures_over_tracers_of_several_levels(wrap: Any) -> None:
    def f(a: Any) -> Any:
        def g(b: Any) -> Any:
            def h(c: Any) -> Any:
                return a * b**2 * c**3 + a * c

            return ft.grad(h)(a) * b + a

        return ft.grad(g)(a) + ft.jvp(lambda b: a * b**2, (a,), (a,))[1]

    # h' = 3 a b² c² + a at c = a: 3 a³ b² + a; g = 3 a³ b³ + a b + a; g' at b = a: 9 a⁵ + a
    a = 1.3
    np.testing.assert_allclose(wrap(f)(a), 9 * a**5 + a + 2 * a**3)
    np.testing.assert_allclose(wrap(ft.grad(f))(a), 45 * a**4 + 1 + 6 * a**2)
    np.testing.assert_allclose(ft.grad(wrap(f))(a), 45 * a**4 + 1 + 6 * a**2)
    np.testing.assert_allclose(
        wrap(ft.vmap(f))(np.array([a, 2.0])), [9 * v**5 + v + 2 * v**3 for v in (a, 2.0)]
    )


@maybe_jit
def test_functions_closing_over_an_outer_tracer_inside_every_transform(wrap: Any) -> None:
    inner: dict[str, Callable[[Any], Any]] = {
        "jit": lambda x: ft.jit(lambda y: y * x)(2.0),
        "vmap": lambda x: fnp.sum(ft.vmap(lambda y: y * x)(X)),
        "grad": lambda x: ft.grad(lambda y: y**2 * x)(2.0),
        "linearize": lambda x: ft.linearize(lambda y: y**2 * x, 2.0)[1](1.0),
        "vjp": lambda x: ft.vjp(lambda y: y**2 * x, 2.0)[1](1.0)[0],
        "jacfwd": lambda x: fnp.sum(ft.jacfwd(lambda y: y * x)(X)),
        "checkpoint": lambda x: ft.checkpoint(lambda y: y * x)(2.0),
        "scan": lambda x: lax.scan(lambda c, y: (c + y * x, None), 0.0, X)[0],
        "cond": lambda x: lax.cond(True, lambda y: y * x, lambda y: y, 2.0),
        "while": lambda x: lax.fori_loop(0, 3, lambda i, c: c + x, 0.0),
        "jit of grad of vmap": lambda x: ft.jit(
            ft.grad(lambda y: fnp.sum(ft.vmap(lambda z: z * x * y)(X)))
        )(1.0),
    }
    slopes = {"jit": 2.0, "vmap": X.sum(), "grad": 4.0, "linearize": 4.0, "vjp": 4.0, "jacfwd": 3.0,
              "checkpoint": 2.0, "scan": X.sum(), "cond": 2.0, "while": 3.0,
              "jit of grad of vmap": X.sum()}  # fmt: skip
    for name, f in inner.items():
        np.testing.assert_allclose(wrap(f)(1.5), 1.5 * slopes[name], err_msg=name)
        np.testing.assert_allclose(
            wrap(lambda x: derivative(f, x))(1.5), slopes[name], err_msg=name
        )
        if name != "while":
            np.testing.assert_allclose(wrap(ft.grad(f))(1.5), slopes[name], err_msg=name)
        np.testing.assert_allclose(
            wrap(ft.vmap(f))(np.array([1.0, 2.0])),
            np.array([1.0, 2.0]) * slopes[name],
            err_msg=name,
        )


@maybe_jit
def test_grad_of_vmap_of_grad(wrap: Any) -> None:
    f = lambda w: fnp.sum(ft.vmap(ft.grad(lambda x: w * x**3))(X))  # Σ 3 w x²
    np.testing.assert_allclose(wrap(ft.grad(f))(2.0), 3 * np.sum(X**2))
    g = lambda w: fnp.sum(ft.vmap(ft.grad(lambda x: (w * x) ** 3))(X))  # Σ 3 w³ x²
    np.testing.assert_allclose(wrap(ft.grad(ft.grad(g)))(2.0), 18 * 2.0 * np.sum(X**2))


@maybe_jit
def test_high_orders(wrap: Any) -> None:
    f = fnp.sin
    wants = [np.cos(0.3), -np.sin(0.3), -np.cos(0.3), np.sin(0.3), np.cos(0.3)]
    for want in wants:
        f = ft.grad(f)
        np.testing.assert_allclose(wrap(f)(0.3), want, rtol=1e-12)


@maybe_jit
def test_vmap_of_vmap_with_crossed_axes(wrap: Any) -> None:
    table = wrap(ft.vmap(ft.vmap(lambda x, y: x * y, (None, 0)), (0, None)))(X, X[:2])
    np.testing.assert_array_equal(table, np.outer(X, X[:2]))
    hess = wrap(ft.vmap(ft.vmap(ft.grad(lambda x, y: x * y**2, 1), (None, 0)), (0, None)))(X, X)
    np.testing.assert_array_equal(hess, 2 * np.outer(X, X))


def test_grad_through_the_result_of_a_pull_back() -> None:
    """Reverse over reverse with the pull-back applied outside of the function it came from."""

    def f(x: Any) -> Any:
        y, pull = ft.vjp(lambda v: fnp.sin(v) * x, x)
        (ct,) = pull(y)
        return ct

    x = 0.7
    value = lambda x: np.sin(x) * x * (np.cos(x) * x)
    numeric = (value(x + 1e-6) - value(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(f(x), value(x))
    np.testing.assert_allclose(ft.grad(f)(x), numeric, rtol=1e-8)
    np.testing.assert_allclose(ft.jit(ft.grad(f))(x), numeric, rtol=1e-8)


AROUND: dict[str, Callable[[Any], Any]] = {
    "vmap": lambda along: ft.vmap(along)(np.eye(3)),
    "jit": lambda along: np.stack([ft.jit(along)(t) for t in np.eye(3)]),
    "transpose": lambda along: np.stack([ft.linear_transpose(along, X)(t)[0] for t in np.eye(3)]),
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("kind", ["scan", "while_loop", "cond", "checkpointed"])
def test_a_derivative_at_constants_runs_loops_that_create_arrays(kind: str, around: str) -> None:
    """The gradient at a known point has values, and so has what its loops create."""
    step = lambda c: fnp.sin(c) * fnp.arange(500.0)[3:6]
    count = lambda c: (c[0] + 1, step(c[1]))
    goes_on = lambda c: c[0] < 4
    loops: dict[str, Callable[[Any], Any]] = {
        "scan": lambda x: lax.scan(lambda c, _: (step(c), None), x, None, 4)[0],
        "while_loop": lambda x: lax.while_loop(goes_on, count, (0, x))[1],
        "cond": lambda x: lax.cond(fnp.sum(x) > 0, step, lambda c: c, x),
        "checkpointed": lambda x: lax.while_loop(goes_on, count, (0, x), checkpoint=2)[1],
    }
    gradient = ft.grad(lambda x: fnp.sum(loops[kind](x) ** 2))
    got = AROUND[around](lambda t: ft.jvp(gradient, (X,), (t,))[1])
    np.testing.assert_allclose(got, ft.jit(ft.jacfwd(gradient))(X), rtol=1e-12)


def test_a_linear_map_made_outside_is_used_inside() -> None:
    _, push = ft.linearize(lambda x: x**3, 2.0)
    assert ft.grad(lambda t: push(t) ** 2)(1.0) == 2 * 12.0**2
    np.testing.assert_array_equal(ft.vmap(push)(X), 12 * X)
    np.testing.assert_array_equal(ft.jit(push)(3.0), 36.0)
    _, pull = ft.vjp(lambda x: x**3, 2.0)
    np.testing.assert_array_equal(ft.vmap(lambda c: pull(c)[0])(X), 12 * X)


def test_newtons_method_differentiates_through_its_own_gradient() -> None:
    def root(a: Any) -> Any:
        x = a
        for _ in range(6):
            f = lambda v: v**2 - a
            x = x - f(x) / ft.grad(f)(x)
        return x

    np.testing.assert_allclose(root(2.0), np.sqrt(2))
    np.testing.assert_allclose(ft.grad(root)(2.0), 0.5 / np.sqrt(2), rtol=1e-8)
    np.testing.assert_allclose(ft.jit(ft.grad(root))(2.0), 0.5 / np.sqrt(2), rtol=1e-8)


def test_jit_inside_out() -> None:
    """A jitted function is the same inside every transform as without jit."""
    f = lambda x: fnp.sum(fnp.tanh(x) ** 2)
    g = ft.jit(f)
    np.testing.assert_allclose(ft.grad(g)(X), ft.grad(f)(X))
    np.testing.assert_allclose(ft.hessian(g)(X), ft.hessian(f)(X))
    np.testing.assert_allclose(ft.jit(ft.grad(ft.jit(g)))(X), ft.grad(f)(X))
    np.testing.assert_allclose(ft.vmap(ft.jit(ft.grad(g)))(X[None]), ft.grad(f)(X)[None])
    np.testing.assert_allclose(ft.jit(ft.jit(ft.jit(g)))(X), f(X))
