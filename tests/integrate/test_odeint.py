"""`odeint` against closed forms and SciPy, and its derivatives in all modes against differences."""

import numpy as np
import pytest
import scipy.integrate

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.integrate import odeint
from functrans.test_util import check_grads

TIMES = np.linspace(0.0, 2.0, 9)


def _pendulum(s, t, p):
    return fnp.stack([s[1], -p * fnp.sin(s[0]) - 0.1 * s[1] + 0.2 * fnp.cos(t)])


def _reference(s0, times, p):
    def f(t, s):
        return [s[1], -p * np.sin(s[0]) - 0.1 * s[1] + 0.2 * np.cos(t)]

    span = times[0], times[-1]
    return scipy.integrate.solve_ivp(f, span, s0, "DOP853", times, rtol=1e-12, atol=1e-12).y.T


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("times", [TIMES, TIMES[::-1], np.array([0.0, 0.01, 5.0]), TIMES + 3])
def test_a_driven_pendulum(times, jitted):
    solve = lambda s0, p: odeint(_pendulum, s0, times, p, rtol=1e-9, atol=1e-9)
    s0 = np.array([1.0, 0.5])
    got = (ft.jit(solve) if jitted else solve)(s0, 4.0)
    np.testing.assert_allclose(got, _reference(s0, times, 4.0), atol=2e-7)


@pytest.mark.parametrize(("rtol", "bound"), [(1e-4, 1e-2), (1e-8, 1e-6), (1e-11, 1e-9)])
def test_tolerances_are_kept(rtol, bound):
    y = odeint(lambda y, t: -y, 1.0, TIMES, rtol=rtol, atol=rtol)
    assert np.max(np.abs(y - np.exp(-TIMES))) < bound


def test_the_classical_method_is_of_order_four():
    def error(n):
        t = np.linspace(0.0, 2.0, n + 1)
        return abs(odeint(lambda y, t: y * np.cos(t), 1.0, t, method="rk4")[-1] - np.exp(np.sin(2)))

    assert 3.7 < np.log2(error(20) / error(40)) < 4.3


@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_derivatives_of_the_steps_in_both_modes(method):
    def solve(s0, p, t):
        return odeint(_pendulum, s0, t, p, method=method, rtol=1e-10, atol=1e-10)

    args = (np.array([1.0, 0.5]), np.float64(4.0), np.array([0.1, 0.5, 0.9]))
    check_grads(solve, args, order=1, rtol=1e-4, atol=1e-4)


def test_the_adjoint_equals_the_derivative_of_the_steps():
    def loss(s0, p, t, adjoint):
        ys = odeint(_pendulum, s0, t, p, rtol=1e-10, atol=1e-10, adjoint=adjoint)
        return fnp.sum(ys * np.arange(1.0, 7.0).reshape(3, 2))

    args = (np.array([1.0, 0.5]), 4.0, np.array([0.1, 0.5, 0.9]))
    for jitted in (lambda f: f, ft.jit):
        steps, adjoint = (
            jitted(ft.grad(lambda *a, flag=flag: loss(*a, flag), (0, 1, 2)))(*args)
            for flag in (False, True)
        )
        for a, b in zip(steps, adjoint, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("count", [3, np.array([1, 2])])
def test_the_adjoint_of_closures_and_of_integer_arguments(count):
    def loss(p, adjoint):
        f = lambda y, t, n: -p * y * n
        options = {"rtol": 1e-10, "atol": 1e-10, "adjoint": adjoint}
        return fnp.sum(odeint(f, np.ones(2), np.array([0.0, 1.0]), count, **options))

    for jitted in (lambda f: f, ft.jit):
        steps, adjoint = (jitted(ft.grad(lambda p, a=a: loss(p, a)))(2.0) for a in (False, True))
        np.testing.assert_allclose(adjoint, steps, rtol=1e-7)


def test_trees_batches_and_single_precision():
    def f(y, t, rate):
        return {"a": -rate * y["a"], "b": fnp.cos(t) + 0 * y["b"]}

    y0 = {"a": np.ones(2, np.float32), "b": np.float32(0)}
    rates = np.array([1.0, 2.0], np.float32)
    times = TIMES.astype(np.float32)
    ys = ft.vmap(lambda r: odeint(f, y0, times, r, rtol=1e-5, atol=1e-6))(rates)
    assert ys["a"].dtype == np.float32 and ys["a"].shape == (2, 9, 2)
    np.testing.assert_allclose(ys["a"][1, :, 0], np.exp(-2 * times), atol=1e-4)
    np.testing.assert_allclose(ys["b"][0], np.sin(times), atol=1e-4)


def test_too_many_steps_give_nan():
    ys = odeint(lambda y, t: -1000 * y, 1.0, np.array([0.0, 1.0]), mxstep=5)
    assert ys[0] == 1 and np.isnan(ys[1])


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: odeint(lambda y, t: y, 1.0, 2.0), ShapeError, "vector of times"),
        (lambda: odeint(lambda y, t: y[:1], np.ones(2), TIMES), ShapeError, "a tree like y0"),
        (lambda: odeint(lambda y, t: (y[1], y[0]), [1.0, 2.0], TIMES), TreeError, "like y0"),
        (lambda: odeint(lambda y, t: y, 1.0, TIMES, method="euler"), TransformError, "'rk4'"),
        (lambda: odeint(lambda y, t: y, (1.0, 1j), TIMES), DTypeError, r"y0\[1\] must be real"),
        (lambda: odeint(lambda y, t: 1j * y, 1.0, TIMES), DTypeError, "odeint's func must be real"),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error, match=text):
        call()
