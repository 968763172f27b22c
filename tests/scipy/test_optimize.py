"""Roots and fixed points solve their equations, and have the derivatives of the solutions."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import DTypeError, ShapeError, TransformError
from functrans.scipy.optimize import fixed_point, root
from functrans.test_util import check_grads


def _system(x, a):
    return fnp.stack([x[0] ** 2 + x[1] - a, fnp.exp(x[0]) - x[1] * a])


@pytest.mark.parametrize("method", ["newton", "krylov"])
@pytest.mark.parametrize("jitted", [False, True])
def test_a_root_of_two_equations(method, jitted):
    def solve(a):
        return root(_system, np.array([1.0, 1.0]), (a,), method=method, tol=1e-12)

    found = (ft.jit(solve) if jitted else solve)(3.0)
    assert found.success and 0 < found.nit < 20
    np.testing.assert_allclose(_system(found.x, 3.0), 0, atol=1e-10)
    np.testing.assert_allclose(found.fun, 0, atol=1e-10)


@pytest.mark.parametrize("method", ["newton", "krylov"])
def test_derivatives_of_roots_to_second_order(method):
    def x(a):
        return root(_system, np.array([1.0, 1.0]), (a,), method=method, tol=1e-13).x

    check_grads(x, (np.float64(3.0),), order=2, rtol=1e-5, atol=1e-5)
    batched = ft.vmap(x)(np.array([2.0, 3.0, 4.0]))
    np.testing.assert_allclose(batched, np.stack([x(a) for a in (2.0, 3.0, 4.0)]), rtol=1e-9)
    np.testing.assert_allclose(ft.jit(ft.jacrev(x))(3.0), ft.jacfwd(x)(3.0), rtol=1e-8)


def test_a_line_search_where_newton_s_steps_are_too_long():
    found = root(fnp.arctan, 20.0)
    assert found.success
    np.testing.assert_allclose(found.x, 0, atol=1e-9)


def test_trees_and_closures():
    def solve(p):
        f = lambda s: {"u": s["u"] ** 3 - p["c"], "v": s["v"] - s["u"] * p["d"]}
        return root(f, {"u": np.ones(2), "v": np.zeros(2)}).x["v"]

    p = {"c": np.array([8.0, 27.0]), "d": np.array([1.0, 2.0])}
    np.testing.assert_allclose(solve(p), [2.0, 6.0])
    check_grads(solve, (p,), order=1)


def test_what_has_no_root_says_so():
    assert not root(lambda x: x * x + 1.0, 0.3, options={"maxiter": 10}).success


@pytest.mark.parametrize("method", ["iteration", "anderson"])
def test_fixed_points_and_their_derivatives(method):
    w = np.random.default_rng(0).normal(size=(5, 5)) / 6

    def x(b):
        found = fixed_point(lambda x, b: fnp.tanh(w @ x + b), np.zeros(5), (b,), method=method)
        return found.x

    b = np.linspace(-1.0, 1.0, 5)
    np.testing.assert_allclose(np.tanh(w @ x(b) + b), x(b), rtol=1e-8)
    check_grads(x, (b,), order=2, rtol=1e-4, atol=1e-4)
    slope = np.diag(1 - x(b) ** 2)
    np.testing.assert_allclose(ft.jacrev(x)(b), np.linalg.solve(np.eye(5) - slope @ w, slope), 1e-7)


def test_anderson_takes_fewer_steps():
    f = lambda x: 0.97 * fnp.cos(x)
    plain = fixed_point(f, np.full(3, 0.1), method="iteration")
    fast = fixed_point(f, np.full(3, 0.1), method="anderson")
    assert plain.success and fast.success and fast.nit < plain.nit


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: root(lambda x: x[:1], np.ones(2)), ShapeError, "as many numbers as x0 has, 2"),
        (lambda: root(lambda x: x, 1.0, method="hybr"), TransformError, "'newton' and 'krylov'"),
        (lambda: fixed_point(lambda x: x, 1.0, method="x"), TransformError, "'anderson'"),
        (lambda: root(lambda x: x * x + 1, 1j), DTypeError, "root's x0 must be real, got complex"),
        (lambda: root(lambda x: x * x + 1j, 1.0), DTypeError, "root's fun must be real.*c128"),
        (lambda: fixed_point(lambda x: 1j * x, 1.0), DTypeError, "fixed_point's fun must be real"),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
