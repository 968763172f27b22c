"""Gradients outside of jit are the same the first, second and third time."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import LeakedTracerError, TransformError
from functrans.transforms import remembered

X = np.linspace(0.2, 1.7, 6)
M = np.linspace(-1.0, 1.0, 12).reshape(3, 4)


def network(params: Any, x: Any) -> Any:
    for w, b in params:
        x = fnp.tanh(x @ w + b)
    return fnp.mean((x - 0.3) ** 2)


PARAMS = [(M.T.copy(), np.ones(3)), (M.copy(), np.zeros(4))]
CASES: dict[str, tuple[Callable[..., Any], tuple]] = {
    "elementwise": (lambda x: fnp.sum(fnp.tanh(x) * 1.5 + fnp.sin(x)), (X,)),
    "a scalar": (lambda x: x * fnp.exp(x) + 2 * x, (0.7,)),
    "a NumPy scalar": (lambda x: x * fnp.exp(x) + 2 * x, (np.float32(0.7),)),
    "used many times": (lambda x: fnp.sum(x * x * x + x) * fnp.max(x), (X,)),
    "broadcast": (lambda x: fnp.sum(M * x[:4] + x[0]), (X,)),
    "indexed": (lambda x: fnp.sum(x[::2] * x[np.array([0, 0, 1])]), (X,)),
    "updated": (lambda x: fnp.sum(fnp.asarray(x).at[2].set(x[0] ** 2) ** 3), (X,)),
    "selected": (lambda x: fnp.sum(fnp.where(x > 1.0, x * x, fnp.log(x))), (X,)),
    "reduced": (lambda m: fnp.prod(fnp.max(m, 1)) + fnp.std(m) + fnp.linalg.norm(m), (M,)),
    "sorted": (lambda x: fnp.sum(fnp.sort(-x)[:3] * x[:3]), (X,)),
    "linear algebra": (lambda m: fnp.sum(fnp.linalg.inv(m @ m.T + 4 * np.eye(3))), (M,)),
    "a tree": (network, (PARAMS, M[:, :4])),
    "unused": (lambda x: 3.0, (X,)),
    "the argument": (lambda x: x[2], (X,)),
    "float32": (lambda x: fnp.sum(x * x / (1 + x)), (X.astype(np.float32),)),
    "float32 and float64": (lambda x: fnp.sum(x * X), (X.astype(np.float32),)),
    "integers beside": (lambda x: fnp.sum(x * np.arange(6) ** 2), (X,)),
    "a loop": (lambda x: lax.fori_loop(0, 3, lambda i, c: c * x[i], 1.0), (X,)),
    "a jitted call": (lambda x: fnp.sum(ft.jit(fnp.sin)(x) * x), (X,)),
    "nan and inf": (lambda x: fnp.sum(fnp.sqrt(x) * x), (np.array([0.0, np.inf, np.nan, -1.0]),)),
}  # fmt: skip


def forget() -> None:
    remembered._seen.clear()
    remembered._last.clear()


def same(got: Any, want: Any, tol: float) -> None:
    assert ft.tree.structure(got) == ft.tree.structure(want)
    for a, b in zip(ft.tree.leaves(got), ft.tree.leaves(want), strict=True):
        assert np.shape(a) == np.shape(b)
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


@pytest.mark.parametrize("name", CASES)
def test_every_time_the_same(name: str) -> None:
    f, args = CASES[name]
    forget()
    gradient = ft.value_and_grad(f)
    with np.errstate(all="ignore"):
        first = gradient(*args)
        for _ in range(3):
            again = gradient(*args)
            assert type(again[0]) is type(first[0])
            same(again, first, 0.0)
        same(ft.jit(gradient)(*args), first, 2e-6 if "32" in name or "NumPy" in name else 1e-12)
        other = ft.tree.map(lambda x: x * 1.25, args)
        got = gradient(*other)
        forget()
        same(got, gradient(*other), 0.0)


def test_structures_are_told_apart() -> None:
    def power(x: Any, n: int) -> Any:
        return fnp.sum(x**n)

    for _ in range(3):
        for n in (2, 3, 4):
            np.testing.assert_allclose(ft.grad(power)(X, n), n * X ** (n - 1))
        for axis in (0, 1):
            got = ft.grad(lambda m, a=axis: fnp.sum(fnp.max(m, a) * fnp.arange(M.shape[1 - a])))(M)
            assert got[-1 if axis == 0 else 1, -1] == pytest.approx(3.0 if axis == 0 else 1.0)
        same(ft.grad(lambda x: fnp.sum(x * 2.0))(np.ones(3)), np.full(3, 2.0), 0.0)
        same(ft.grad(lambda x: fnp.sum(x * 2.0))(np.ones((2, 3))), np.full((2, 3), 2.0), 0.0)
        assert ft.grad(lambda x: fnp.sum(x * 2.0))(np.ones(3, np.float32)).dtype == np.float32
        same(ft.grad(lambda x, y: x * y, (0, 1))(2.0, 3.0), (3.0, 2.0), 0.0)
        same(ft.grad(lambda x, y: x * y, 1)(2.0, 3.0), np.float64(2.0), 0.0)


def test_constants_may_change_between_calls() -> None:
    for scale in (1.0, 2.0, 3.0, 4.0):
        data = X * scale
        same(ft.grad(lambda x, d=data, s=scale: fnp.sum(x * d) * s)(X), data * scale, 1e-15)


def test_the_path_of_python_control_flow_is_followed() -> None:
    def f(x: Any) -> Any:
        return fnp.sin(x) if x > 1.0 else x * x

    for x in (0.5, 2.0, 0.7, 2.5, 0.9, 3.0):
        assert ft.grad(f)(x) == pytest.approx(np.cos(x) if x > 1.0 else 2 * x)


WAYS: dict[str, Callable[[Any, Any], Any]] = {
    "as ever": lambda x, y: fnp.sum(y),
    "other first": lambda x, y: fnp.sum(x * 2.0),
    "one more": lambda x, y: fnp.sum(y) * 2.0,
    "other last": lambda x, y: fnp.prod(y),
    "fewer": lambda x, y: y[0],
    "of other operands": lambda x, y: fnp.sum(x),
    "an array for a number": lambda x, y: fnp.sum(y * np.arange(6.0)),
    "a number": lambda x, y: fnp.sum(y * 2.0),
    "another number": lambda x, y: fnp.sum(y * 3.0),
    "an integer": lambda x, y: fnp.sum(y * 3),
    "other parameters": lambda x, y: fnp.sum(y[::2]),
    "of these": lambda x, y: fnp.sum(y[::3]),
    "an effect": lambda x, y: fnp.sum(y) + ft.pure_callback(np.sum, 1.0, lax.stop_gradient(y)),
    "a jitted call": lambda x, y: ft.jit(fnp.sum)(y),
    "a constant": lambda x, y: 1.0,
}


@pytest.mark.parametrize("usual", ["as ever", "a number", "an array for a number", "of these"])
def test_what_a_function_does_may_change_between_calls(usual: str) -> None:
    def f(x: Any, way: str) -> Any:
        return WAYS[way](x, fnp.sin(x) * x)

    for way in WAYS:
        forget()
        want = ft.value_and_grad(f)(X, way)
        for _ in range(3):
            ft.grad(f)(X, usual)
        for _ in range(3):
            same(ft.value_and_grad(f)(X, way), want, 0.0)


def test_arguments_of_other_types_and_auxiliary_data_that_changes() -> None:
    forget()
    f = lambda x, n: (fnp.sum(x * x), [x, n, x * n])
    for x in (X, X, X, X.astype(np.float32), X[:3], np.float64(2.0), 2.0, X):
        for n in (2, 3.0, X[0]):
            gradient, aux = ft.grad(f, has_aux=True)(x, n)
            same(gradient, np.asarray(2 * x)[()], 0.0)
            same(aux, [x, n, np.asarray(x) * n], 1e-7)


def test_arrays_that_a_function_closes_over_are_not_kept() -> None:
    def differentiate() -> weakref.ref:
        data = np.arange(6.0)
        for _ in range(4):
            ft.grad(lambda x: fnp.sum(x * data))(X)
        return weakref.ref(data)

    assert differentiate()() is None


def test_a_tracer_of_the_call_before_is_an_error() -> None:
    kept: list[Any] = []

    def f(x: Any, leaked: bool) -> Any:
        kept.append(x)
        return fnp.sum(kept[-2] * x) if leaked else fnp.sum(x * x)

    for _ in range(4):
        ft.grad(f)(X, False)
    with pytest.raises(LeakedTracerError):
        ft.grad(f)(X, True)


def test_results_are_the_callers_own() -> None:
    f = lambda x: fnp.sum(x)
    for _ in range(4):
        got = ft.grad(f)(X)
        got += 5.0
        zero = ft.grad(lambda x: 3.0)(X)
        zero += 1.0
    np.testing.assert_array_equal(ft.grad(f)(X), np.ones(6))
    np.testing.assert_array_equal(ft.grad(lambda x: 3.0)(X), np.zeros(6))


def test_derivatives_of_gradients_and_auxiliary_data() -> None:
    f = lambda x: fnp.sum(fnp.sin(x) * x)
    for _ in range(3):
        np.testing.assert_allclose(
            ft.hessian(f)(X), np.diag(2 * np.cos(X) - X * np.sin(X)), atol=1e-12
        )
        slope = ft.grad(lambda x: fnp.sum(ft.grad(f)(x) ** 2))(X)
        g, h = np.cos(X) * X + np.sin(X), 2 * np.cos(X) - X * np.sin(X)
        np.testing.assert_allclose(slope, 2 * g * h, rtol=1e-12)
        gradient, aux = ft.grad(lambda x: (f(x), {"y": x * 2, "n": 3}), has_aux=True)(X)
        np.testing.assert_array_equal(aux["y"], X * 2)
        assert aux["n"] == 3
        np.testing.assert_allclose(gradient, g, rtol=1e-12)
        ct = ft.grad(lambda z: z * z, holomorphic=True)(1 + 2j)
        assert ct == 2 + 4j


def test_errors_come_every_time_and_leave_no_state() -> None:
    for _ in range(3):
        with pytest.raises(TransformError, match="scalar"):
            ft.grad(lambda x: x * 2.0)(X)
        with pytest.raises(ZeroDivisionError):
            ft.grad(lambda x: fnp.sum(x) / (1 // 0))(X)
        np.testing.assert_array_equal(ft.grad(lambda x: fnp.sum(x * x))(X), 2 * X)


def test_many_threads() -> None:
    forget()
    f = lambda x: fnp.sum(fnp.tanh(x) * x)
    want = ft.grad(f)(X)
    wrong: list[Any] = []

    def work() -> None:
        for _ in range(50):
            if not np.array_equal(ft.grad(f)(X), want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "CAPACITY", 5)
    forget()
    for n in range(2, 20):
        for _ in range(2):
            ft.grad(lambda x: fnp.sum(x * x))(np.ones(n))
    assert len(remembered._seen) <= 5 and len(remembered._last) <= 5
