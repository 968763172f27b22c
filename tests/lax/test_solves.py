"""Derivatives of solutions come from the equation, whatever the solver does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import ShapeError, TransformError, TreeError
from functrans.core.types import ShapeDtypeStruct
from functrans.primitives.callbacks import pure_callback
from functrans.test_util import check_grads
from functrans.transforms.inspect import make_program

rng = np.random.default_rng(0)
general = rng.normal(size=(4, 4)) + 4 * np.eye(4)
symmetric = general @ general.T
b = rng.normal(size=4)


def conjugate_gradients(matvec: Any, b: Any) -> Any:
    """A solver that reverse mode cannot go through."""

    def step(state: Any) -> Any:
        x, r, p = state
        ap = matvec(p)
        alpha = fnp.sum(r * r) / fnp.sum(p * ap)
        new = r - alpha * ap
        return x + alpha * p, new, new + p * (fnp.sum(new * new) / fnp.sum(r * r))

    start = (b * 0.0, b, b)
    return lax.while_loop(lambda s: fnp.sum(s[1] * s[1]) > 1e-26, step, start)[0]


def by_cg(a: Any, b: Any) -> Any:
    return lax.custom_linear_solve(lambda x: fnp.dot(a, x), b, conjugate_gradients, symmetric=True)


def by_callback(a: Any, b: Any) -> Any:
    like = ShapeDtypeStruct((4,), np.float64)

    def host(a: Any, b: Any) -> Any:
        return np.linalg.solve(a, b[..., None])[..., 0]

    def solve(matrix: Any) -> Any:
        return lambda _, b: pure_callback(host, like, matrix, b, vmap_method="broadcast_all")

    return lax.custom_linear_solve(lambda x: fnp.dot(a, x), b, solve(a), transpose_solve=solve(a.T))


@pytest.mark.parametrize(
    ("f", "a"), [(by_cg, symmetric), (by_callback, general)], ids=["cg", "callback"]
)
def test_linear_solve_under_every_transform(f: Any, a: Any) -> None:
    np.testing.assert_allclose(f(a, b), np.linalg.solve(a, b), rtol=1e-8)
    np.testing.assert_allclose(ft.jit(f)(a, b), np.linalg.solve(a, b), rtol=1e-8)
    of_b = lambda b: f(a, b)
    check_grads(of_b, (b,), 2, atol=1e-4, rtol=1e-4)
    if f is by_callback:
        check_grads(f, (a, b), 2, atol=1e-4, rtol=1e-4)
    inverse = np.linalg.inv(a)
    np.testing.assert_allclose(ft.jacrev(of_b)(b), inverse, rtol=1e-6)
    np.testing.assert_allclose(ft.jacfwd(of_b)(b), inverse, rtol=1e-6)
    loss = lambda a, b: fnp.sum(f(a, b) ** 2)
    x = inverse @ b
    want = -np.outer(inverse.T @ (2 * x), x)
    np.testing.assert_allclose(ft.grad(loss)(a, b), want, rtol=1e-5, atol=1e-9)
    stack = np.stack([b, 2 * b, b[::-1]])
    got = ft.vmap(ft.grad(loss), (None, 0))(a, stack)
    each = np.stack([ft.grad(loss)(a, v) for v in stack])
    np.testing.assert_allclose(got, each, rtol=1e-5, atol=1e-9)
    matrices = np.stack([a, a * 1.5])
    batched = ft.vmap(f, (0, None))(matrices, b)
    np.testing.assert_allclose(batched, np.stack([f(m, b) for m in matrices]), rtol=1e-7)
    total = ft.grad(lambda m: fnp.sum(ft.vmap(loss, (0, None))(m, b)))(matrices)
    np.testing.assert_allclose(
        total, np.stack([ft.grad(loss)(m, b) for m in matrices]), rtol=1e-5, atol=1e-9
    )
    make_program(ft.grad(loss))(a, b).check()


def test_linear_solve_of_trees() -> None:
    def solution(s: Any) -> Any:
        matvec = lambda p: {"u": s * p["u"] + p["v"], "v": p["u"] + 3.0 * p["v"]}

        def solve(_: Any, r: Any) -> Any:
            det = 3.0 * s - 1.0
            return {"u": (3.0 * r["u"] - r["v"]) / det, "v": (s * r["v"] - r["u"]) / det}

        return lax.custom_linear_solve(matvec, {"u": 1.0, "v": 2.0}, solve, symmetric=True)

    check_grads(solution, (2.0,), 2)


def test_linear_solve_errors() -> None:
    with pytest.raises(TransformError, match="transpose_solve="):
        ft.grad(lambda c: lax.custom_linear_solve(lambda x: c * x, c, lambda f, b: b / 2.0))(2.0)
    with pytest.raises(ShapeError, match=r"matvec must give f64\[4\]"):
        lax.custom_linear_solve(lambda x: x[:2], b, lambda f, b: b)
    with pytest.raises(TreeError, match="what solve gives"):
        lax.custom_linear_solve(lambda x: x, b, lambda f, b: (b, b))


def newton(f: Any, x: Any) -> Any:
    def step(state: Any) -> Any:
        x, _ = state
        y, slope = ft.jvp(f, (x,), (fnp.ones_like(x),))
        return x - y / slope, y

    return lax.while_loop(lambda s: abs(s[1]) > 1e-13, step, (x, x * 0.0 + 1.0))[0]


def cube_root(a: Any) -> Any:
    return lax.custom_root(lambda x: x * x * x - a, 1.0, newton, lambda g, y: y / g(1.0))


def test_root_under_every_transform() -> None:
    np.testing.assert_allclose(cube_root(8.0), 2.0)
    np.testing.assert_allclose(ft.grad(cube_root)(8.0), 1 / 12)
    np.testing.assert_allclose(ft.grad(ft.grad(cube_root))(8.0), -2 / 9 * 8 ** (-5 / 3))
    check_grads(cube_root, (8.0,), 2)
    many = np.array([1.0, 8.0, 27.0])
    np.testing.assert_allclose(ft.vmap(cube_root)(many), [1, 2, 3])
    want = many ** (-2 / 3) / 3
    np.testing.assert_allclose(ft.vmap(ft.grad(cube_root))(many), want)
    np.testing.assert_allclose(ft.jit(ft.vmap(ft.grad(cube_root)))(many), want)
    np.testing.assert_allclose(ft.grad(lambda a: fnp.sum(ft.vmap(cube_root)(a)))(many), want)


def test_root_of_a_system_with_a_linear_solve_for_its_tangent() -> None:
    def fixed_point(w: Any) -> Any:
        f = lambda x: x - 0.3 * fnp.tanh(fnp.dot(w, x) + 1.0)

        def solve(f: Any, x: Any) -> Any:
            return lax.while_loop(lambda x: fnp.max(fnp.abs(f(x))) > 1e-14, lambda x: x - f(x), x)

        def tangent_solve(g: Any, y: Any) -> Any:
            direct = lambda f, r: fnp.linalg.solve(ft.jacfwd(f)(r * 0.0), r)
            return lax.custom_linear_solve(g, y, direct, transpose_solve=direct)

        return lax.custom_root(f, np.zeros(2), solve, tangent_solve)

    if not hasattr(fnp, "linalg"):
        pytest.skip("functrans.numpy has no linalg yet")
    w = np.array([[0.2, -0.5], [0.4, 0.3]])
    check_grads(fixed_point, (w,), 2, atol=1e-4, rtol=1e-4)
