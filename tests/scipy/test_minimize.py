"""Minima are found by strong Wolfe steps, and have the derivatives of gradient = 0."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import DTypeError, ShapeError, TransformError
from functrans.scipy.optimize import minimize
from functrans.scipy.optimize.line_search import Conditions, Point, line_search
from functrans.test_util import check_grads


def _valley(x, a=1.0):
    return fnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (a - x[:-1]) ** 2)


def _himmelblau(x):
    return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2


def _soft(x, a):
    return fnp.logaddexp(x, -x).sum() + 0.5 * fnp.sum((x - a) ** 2) + x[0] * x[1]


def _walled(x):
    return -fnp.sum(fnp.log(1 - x * x)) - x[0]  # nan beyond |x| = 1


MINIMA = {
    "valley": (_valley, [-1.2, 1.0], [1.0, 1.0]),
    "long valley": (_valley, [-1.2, 1.0, -0.5, 2.0, 0.0, 1.5], np.ones(6)),
    "one of four": (_himmelblau, [1.0, 1.0], [3.0, 2.0]),
    "badly scaled": (
        lambda x: fnp.sum(10.0 ** fnp.arange(4) * (x - 1) ** 2),
        np.zeros(4),
        np.ones(4),
    ),
    "walled": (_walled, [0.99, -0.9], [np.sqrt(2) - 1, 0.0]),
    "quartic": (lambda x: fnp.sum((x - 2) ** 2 + (x - 2) ** 4), [50.0], [2.0]),
}


@pytest.mark.parametrize("method", ["BFGS", "l-bfgs"])
@pytest.mark.parametrize(("fun", "start", "want"), MINIMA.values(), ids=list(MINIMA))
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_minima(fun, start, want, method):
    solve = lambda x: minimize(fun, x, method=method, tol=1e-9)
    for found in (solve(np.array(start)), ft.jit(solve)(np.array(start))):
        assert found.success and found.status == 0
        np.testing.assert_allclose(found.x, want, atol=1e-7)
        np.testing.assert_allclose(found.fun, fun(found.x), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(found.jac, 0, atol=1e-8)
        assert found.nit <= found.nfev == found.njev < 120


def test_the_inverse_hessian_of_a_quadratic():
    a = np.diag([1.0, 2.0, 5.0]) + 0.3
    found = minimize(lambda x: 0.5 * x @ a @ x, np.ones(3), tol=1e-11)
    np.testing.assert_allclose(found.hess_inv, np.linalg.inv(a), atol=1e-2)
    assert minimize(lambda x: x @ x, np.ones(3), method="l-bfgs").hess_inv is None


@pytest.mark.parametrize("method", ["BFGS", "l-bfgs"])
def test_derivatives_are_those_of_the_equation(method):
    a = np.array([0.3, -1.0, 2.0])
    x = lambda a: minimize(_soft, np.zeros(3), (a,), method=method, tol=1e-12).x
    check_grads(x, (a,), order=2, rtol=1e-4, atol=1e-5)
    hessian = ft.hessian(lambda x: _soft(x, a))(x(a))
    np.testing.assert_allclose(ft.jit(ft.jacrev(x))(a), np.linalg.inv(hessian), atol=1e-7)
    closed = lambda a: minimize(lambda x: _soft(x, a), np.zeros(3), method=method, tol=1e-12)
    np.testing.assert_allclose(ft.grad(lambda a: closed(a).fun)(a), a - x(a), atol=1e-8)
    np.testing.assert_allclose(ft.jacfwd(lambda a: closed(a).jac)(a), 0, atol=1e-8)


@pytest.mark.parametrize("method", ["BFGS", "l-bfgs"])
def test_batches_of_minima(method):
    solve = lambda a: minimize(_valley, np.array([-1.2, 1.0]), (a,), method=method, tol=1e-8).x
    a = np.array([0.5, 1.0, 2.0])
    np.testing.assert_allclose(ft.vmap(solve)(a), np.stack([a, a**2], 1), atol=1e-6)


def test_many_variables():
    n = 1000
    target = np.cos(np.arange(n))
    fun = lambda x, b: fnp.sum(fnp.cosh(x - b)) + 0.5 * fnp.sum((x[1:] - x[:-1]) ** 2)
    solve = lambda b: minimize(
        fun, np.zeros(n), (b,), method="l-bfgs", tol=1e-8, options={"maxcor": 5}
    )
    found = ft.jit(solve)(target)
    assert found.success
    # shifting every b shifts every x
    tangent = ft.jvp(lambda b: solve(b).x, (target,), (np.ones(n),))[1]
    np.testing.assert_allclose(tangent, 1, atol=1e-5)


def test_float32_stays_float32():
    found = minimize(_himmelblau, np.array([1.0, 1.0], np.float32), tol=1e-2)
    assert found.success and found.x.dtype == found.fun.dtype == found.hess_inv.dtype == np.float32


@pytest.mark.parametrize(
    ("fun", "settings", "status"),
    [
        (_valley, {"options": {"maxiter": 2}}, 1),
        (lambda x: fnp.sum(x), {"options": {"maxiter": 5}}, 1),
        (lambda x: fnp.sum(x**2) + 1, {"tol": 0.0}, 0),
        (lambda x: 1e6 * fnp.sum((x - 1) ** 4), {"options": {"line_search_maxiter": 0}}, 5),
        (lambda x: 1e6 * (x[1] - 1.01) ** 2, {"options": {"line_search_maxiter": 1}}, 3),
        (lambda x: fnp.sum(x) * fnp.nan, {}, 5),
        (lambda x: fnp.sum(x**2), {"options": {"gtol": 1e-3, "norm": 2}}, 0),
    ],
)
def test_statuses(fun, settings, status):
    found = ft.jit(lambda x: minimize(fun, x, **settings))(np.array([-1.2, 1.0]))
    assert found.status == status and found.success == (status == 0)


LINES = {
    "parabola": lambda t: (t - 3) ** 2,
    "step too long": lambda t: (t - 1e-4) ** 2,
    "step too short": lambda t: (t - 1e4) ** 2,
    "of Moré and Thuente": lambda t: -t / (t**2 + 2),
    "waves": lambda t: fnp.cos(t) + 0.05 * t**2 - t,
    "wall": lambda t: -fnp.log(0.5 - t) - 5 * t,
}


@pytest.mark.parametrize("f", LINES.values(), ids=list(LINES))
@pytest.mark.parametrize("curvature", [0.9, 0.1])
@pytest.mark.filterwarnings("ignore:.*in (log|divide):RuntimeWarning")
def test_steps_satisfy_the_strong_wolfe_conditions(f, curvature):
    def along(t):
        value, slope = ft.value_and_grad(f)(t)
        return value, slope, slope

    start = Point(0.0, *along(0.0))
    found = ft.jit(lambda: line_search(along, start, 1.0, Conditions(curvature=curvature)))()
    p = found.point
    assert found.success and p.t > 0
    assert p.value <= start.value + 1e-4 * p.t * start.slope
    assert abs(p.slope) <= curvature * abs(start.slope)


@pytest.mark.parametrize("a", [0.3, 20.7])
def test_steps_have_derivatives_in_both_modes(a):
    def step(a):
        def along(t):
            value, slope = ft.value_and_grad(lambda t: (t - a) ** 2 + (t - a) ** 4)(t)
            return value, slope, slope

        start = Point(0.0, *along(0.0))
        return line_search(along, start, 1.0, Conditions(curvature=0.01)).point.t

    check_grads(step, (np.float64(a),), order=1, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: minimize(fnp.sum, np.ones((2, 2))), ShapeError, r"must be a vector.*\(2, 2\)"),
        (lambda: minimize(fnp.sum, 1.0), ShapeError, "must be a vector"),
        (lambda: minimize(fnp.sum, np.ones(2), method="cg"), TransformError, "'BFGS' and 'l-bfgs'"),
        (
            lambda: minimize(fnp.sum, np.ones(2), options={"maxcor": 3}),
            TransformError,
            r"options \['gtol'.*got \['maxcor'\]",
        ),
        (lambda: minimize(fnp.sum, np.ones(2) * 1j), DTypeError, "minimize's x0 must be real"),
        (lambda: minimize(lambda x: 1j * x[0], np.ones(2)), DTypeError, "minimize's fun must be"),
        (lambda: minimize(lambda x: x, np.ones(2)), ShapeError, r"a scalar.*\(2,\)"),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
