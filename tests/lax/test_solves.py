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
    with pytest.raises(TreeError, match="solve must give a tree like b"):
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


# --- auxiliary data, roots in roots, wrong results ---


def counting(f: Any, x: Any) -> Any:
    """Newton's method, and how many steps it took."""

    def step(state: Any) -> Any:
        x, k = state
        return x - f(x) / ft.grad(f)(x), k + 1

    return lax.while_loop(lambda s: (abs(f(s[0])) > 1e-12) & (s[1] < 99), step, (x, 0))


divide = lambda g, y: y / g(1.0)


def counted_root(a: Any) -> Any:
    f = lambda x: x**3 - a
    return lax.custom_root(f, 1.0, lambda f, x: counting(f, x), divide, has_aux=True)


def test_root_with_auxiliary_data() -> None:
    x, steps = counted_root(8.0)
    assert np.isclose(x, 2.0) and steps == 7
    many = np.array([1.0, 8.0, 27.0])
    for run in (lambda f: f, ft.jit):
        slope, steps = run(ft.grad(counted_root, has_aux=True))(8.0)
        assert np.isclose(slope, 1 / 12) and steps == 7
        roots, steps = run(ft.vmap(counted_root))(many)
        np.testing.assert_allclose(roots, [1, 2, 3])
        np.testing.assert_array_equal(steps, [0, 7, 9])
    (_, n), (dx, dn) = ft.jvp(counted_root, (8.0,), (1.0,))
    assert np.isclose(dx, 1 / 12) and n == 7 and dn.dtype == ft.float0
    check_grads(lambda a: counted_root(a)[0], (8.0,), 2)


def test_a_root_within_a_root() -> None:
    def inner(x: Any, a: Any) -> Any:
        root = lax.custom_root(lambda y: y**3 + y - x * a, 0.5, counting, divide, has_aux=True)
        return root[0]

    def outer(a: Any) -> Any:
        return lax.custom_root(lambda x: inner(x, a) + x - a, 0.7, counting, divide, has_aux=True)[
            0
        ]

    # x = 1 for a = 2, where y = 1: y' = (x + a x') / (3 y² + 1) = 1 - x'
    assert np.isclose(outer(2.0), 1.0) and np.isclose(ft.jit(ft.grad(outer))(2.0), 0.5)
    check_grads(outer, (2.0,), 2, atol=1e-4, rtol=1e-4)
    many = np.array([1.0, 2.0, 3.0])
    want = [ft.grad(outer)(a) for a in many]
    np.testing.assert_allclose(ft.jit(ft.vmap(ft.grad(outer)))(many), want, rtol=1e-9)


@pytest.mark.parametrize("has_aux", [False, True])
@pytest.mark.parametrize("symmetric", [False, True])
def test_linear_solve_with_auxiliary_data(symmetric: bool, has_aux: bool) -> None:
    def direct(matvec: Any, b: Any) -> Any:
        x = fnp.linalg.solve(ft.jacfwd(matvec)(b * 0.0), b)
        return (x, {"n": 3, "sum": fnp.sum(b)}) if has_aux else x

    skew = 0.0 if symmetric else 1.0
    base = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]])
    base[0, 1] += skew
    b = np.array([1.0, 2.0, 3.0])

    def solution(s: Any, b: Any) -> Any:
        return lax.custom_linear_solve(
            lambda v: base @ v + s * v,
            b,
            direct,
            None if symmetric else direct,
            symmetric=symmetric,
            has_aux=has_aux,
        )

    first = lambda s, b: solution(s, b)[0] if has_aux else solution(s, b)
    want = np.linalg.solve(base + 0.3 * np.eye(3), b)
    for run in (lambda f: f, ft.jit):
        out = run(solution)(0.3, b)
        np.testing.assert_allclose(out[0] if has_aux else out, want)
        if has_aux:
            assert out[1]["n"] == 3 and out[1]["sum"] == 6.0
    check_grads(first, (0.3, b), 2, atol=1e-4, rtol=1e-4)
    got = ft.jit(ft.vmap(first, (0, None)))(np.array([0.3, 0.3]), b)
    np.testing.assert_allclose(got, [want, want])
    loss = lambda s, b: fnp.sum(fnp.sin(first(s, b)))
    plain = lambda s, b: fnp.sum(fnp.sin(fnp.linalg.solve(base + s * np.eye(3), b)))
    for f in (ft.hessian, lambda f, n: ft.jacrev(ft.jacrev(f, n), n)):
        got = ft.tree.leaves(ft.vmap(f(loss, (0, 1)), (0, None))(np.array([0.3, 0.4]), b))
        want = ft.tree.leaves(ft.vmap(f(plain, (0, 1)), (0, None))(np.array([0.3, 0.4]), b))
        for x, y in zip(got, want, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)


WRONG = [
    (
        lambda: lax.custom_root(lambda x: x, 0.5, lambda f, x: x, divide, True),
        TransformError,
        "pair",
    ),
    (
        lambda: lax.custom_root(lambda x: fnp.stack([x, x]), 0.5, lambda f, x: x, divide),
        ShapeError,
        r"f must give values of type f64\[\].*f64\[2\]",
    ),
    (
        lambda: lax.custom_root(lambda x: x, 0.5, lambda f, x: fnp.stack([x, x]), divide),
        ShapeError,
        "solve must give a root of type",
    ),
    (
        lambda: lax.custom_root(lambda x: x, {"a": 0.5}, lambda f, x: x["a"], divide),
        TreeError,
        "solve must give a root of the guess's structure",
    ),
    (
        lambda: ft.grad(
            lambda a: lax.custom_root(
                lambda x: x - a, 0.5, lambda f, x: x, lambda g, y: fnp.stack([y, y])
            )
        )(1.0),
        ShapeError,
        "tangent_solve must give a tangent of type",
    ),
    (
        lambda: lax.custom_linear_solve(lambda v: v, 1.0, lambda mv, b: b, has_aux=True),
        TransformError,
        "needs solve to return a pair",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_wrong_results_are_named(call: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_root_of_a_function_with_a_loop_and_a_linear_solve_for_its_tangent() -> None:
    def fixed_point(a: Any) -> Any:
        loop = lambda x: lax.fori_loop(0, 2, lambda _, y: 0.3 * fnp.sin(y) * y + a, x)
        f = lambda x: x - 0.5 * fnp.sin(loop(x))
        solve = lambda f, x: lax.fori_loop(0, 40, lambda _, x: x - f(x), x)
        divide = lambda g, y: y / g(1.0)
        return lax.custom_root(
            f, 0.1, solve, lambda g, y: lax.custom_linear_solve(g, y, divide, divide)
        )

    check_grads(fixed_point, (0.2,), 2)


def test_solvers_of_a_root_may_close_over_what_is_differentiated() -> None:
    """Their share in the first derivative is none, in the second that of tangent_solve."""

    def root(a: Any) -> Any:
        f = lambda x: x**3 + fnp.exp(a) * x - 1.3
        slope = lambda x: 3 * x**2 + fnp.exp(a)
        solve = lambda f, x: lax.fori_loop(0, 20, lambda _, x: x - f(x) / slope(x), x)

        def damped(g: Any, y: Any) -> Any:
            step = lambda _, x: x + (y - g(x)) / (fnp.exp(a) + 3.0)
            return lax.fori_loop(0, 60, step, 0.0 * y)

        by_steps = lambda g, y: lax.custom_linear_solve(g, y, damped, symmetric=True)
        return lax.custom_root(f, 1.0, solve, by_steps)

    nested = lambda a: lax.scan(lambda c, _: (root(c), None), a, None, length=2)[0]
    for f in (root, nested, ft.jit(root)):
        check_grads(f, (0.4,), 2, atol=1e-4, rtol=1e-4)
    many = np.array([0.2, 0.4])
    for f in (ft.grad(root), ft.grad(ft.grad(root))):
        got = ft.jit(ft.vmap(f))(many)
        np.testing.assert_allclose(got, [f(a) for a in many], rtol=1e-9)
