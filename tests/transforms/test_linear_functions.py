"""`linear_transpose`: of linear functions the transpose, of others an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, TransformError

X = np.array([0.5, -1.0, 2.0])
Y = np.array([0.3, 1.5, -0.7])
rng = np.random.default_rng(0)
W = rng.normal(size=(2, 3))


def test_linear_transpose() -> None:
    A = rng.normal(size=(4, 3))
    t = ft.linear_transpose(lambda x: A @ x, X)
    ct = rng.normal(size=4)
    np.testing.assert_allclose(t(ct)[0], A.T @ ct)
    np.testing.assert_allclose(ft.jit(lambda c: t(c)[0])(ct), A.T @ ct)
    g = lambda x, y: {"s": x[:2] - 2 * y, "d": fnp.sum(x)}
    shapes = (ft.ShapeDtypeStruct((3,), "f8"), ft.ShapeDtypeStruct((2,), "f8"))
    x, y = ft.linear_transpose(g, *shapes)({"s": np.array([1.0, 2.0]), "d": 3.0})
    np.testing.assert_array_equal(x, [4, 5, 3])
    np.testing.assert_array_equal(y, [-2, -4])


def test_linear_transpose_twice_is_the_function() -> None:
    A = rng.normal(size=(4, 3))
    f = lambda x: fnp.cumsum(A @ x[::-1])
    twice = ft.linear_transpose(lambda c: ft.linear_transpose(f, X)(c)[0], np.ones(4))
    np.testing.assert_allclose(twice(X)[0], f(X))


@pytest.mark.parametrize(
    "fun",
    [
        fnp.sin,
        lambda x: x * x,
        lambda x: fnp.exp(x) * 2,
        ft.jit(lambda x: x * x),
        lambda x: lax.fori_loop(0, 3, lambda i, y: y * x, x),
        lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, x * c[1]), (0, x))[1],
        lambda x: lax.while_loop(lambda y: fnp.sum(y) < 9, lambda y: 2 * y, x),
        lambda x: lax.cond(x[0] > 0, lambda x: x, lambda x: 2 * x, x),
        lambda x: fnp.where(x > 0, x, 2 * x),
        lambda x: W[0] * x[fnp.argmax(x)],
        lambda x: x[fnp.argsort(x)],
        lambda x: fnp.roll(x, fnp.argmax(x)),
    ],
)
def test_linear_transpose_of_what_is_not_linear(fun: Any) -> None:
    with pytest.raises(TransformError, match="not linear"):
        ft.linear_transpose(fun, X)(X)


def test_linear_transpose_of_integers() -> None:
    with pytest.raises(DTypeError, match=r"argument\[1\]\['n'\] is i64\[3\]"):
        ft.linear_transpose(lambda x, p: x * p["n"], X, {"n": np.arange(3)})


def powers(x: Any) -> Any:
    return lax.fori_loop(0, 2, lambda i, y: y * fnp.sin(x) + fnp.ones(3), x)


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * c[0]), (0, x))[1],
        lambda x: lax.fori_loop(0, 3, lambda i, c: (c[0] * 2, c[1] + c[0] * x), (1, x))[1],
        lambda x: fnp.multiply(*ft.jit(lambda x: (2 * x, Y))(x)),
        lambda x: fnp.multiply(*ft.checkpoint(lambda x: (2 * x, Y))(x)),
        lambda x: fnp.multiply(*lax.cond(Y[0] > 0, lambda x: (x, Y), lambda x: (-x, Y), x)),
        lambda x: fnp.multiply(*ft.jvp(ft.checkpoint(powers), (Y,), (x,))),
    ],
)
def test_linear_transpose_of_what_is_linear_in_part(fun: Any) -> None:
    """Equations with results that the linear argument does not reach."""
    want = ft.jacfwd(fun)(X).T @ Y
    for way in fun, ft.jit(fun):
        np.testing.assert_allclose(ft.linear_transpose(way, X)(Y)[0], want)
        np.testing.assert_allclose(ft.jit(ft.linear_transpose(way, X))(Y)[0], want)


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: x + 1.0,
        lambda x: Y - 2 * x,
        lambda x: {"linear": x, "constant": Y},
        lambda x: fnp.concatenate([x, Y]),
        lambda x: fnp.stack([Y, x]),
        lambda x: fnp.where(Y > 0, x, 1.0),
        lambda x: fnp.pad(x, 1, constant_values=2.0),
        lambda x: ft.at(np.ones(5))[1:4].set(x),
        lambda x: ft.at(np.ones(5))[1:4].add(x),
        lambda x: lax.dynamic_update_slice(np.ones(5), x, (1,)),
        lambda x: x + 1j,
        lambda x: lax.complex(x, Y),
        ft.jit(lambda x: 2 * x + 1.0),
        ft.checkpoint(lambda x: x - 1.0),
        lambda x: lax.cond(Y[0] > Y[1], lambda x: x + 1, lambda x: x + 2, x),
        lambda x: lax.scan(lambda c, _: (2 * c + 1.0, None), x, None, length=2)[0],
        lambda x: lax.scan(lambda c, _: (c + x, None), Y, None, length=2)[0],
        lambda x: lax.scan(lambda c, w: (c, c * w + Y), x, Y)[1],
        lambda x: lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, c[1] + Y), (0, x))[1],
        lambda x: ft.vmap(lambda a, b: a + b)(x, Y),
        lambda x: ft.jvp(lambda x, y: x * y, (Y, Y), (x, Y))[1],
    ],
)
def test_linear_transpose_of_what_is_affine(fun: Any) -> None:
    ct = ft.tree.map(lambda y: np.ones(y.shape, y.dtype), ft.eval_shape(fun, X))
    for run in ft.linear_transpose(fun, X), ft.jit(lambda ct: ft.linear_transpose(fun, X)(ct)):
        with pytest.raises(TransformError, match="affine, not linear"):
            run(ct)


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: x + fnp.zeros(3),
        lambda x: fnp.concatenate([fnp.zeros(2), x, fnp.zeros_like(x)]),
        lambda x: fnp.where(Y > 0, x, 0.0) + fnp.pad(x[1:], (0, 1)),
        lambda x: ft.at(fnp.zeros(5))[1:4].set(x),
        lambda x: (x + 1.0) - 1.0,
        lambda x: x * Y + x * np.inf,
        lambda x: x * np.nan,
        lambda x: lax.scan(lambda c, w: (c + w, c * 2), fnp.zeros(()), x),
        lambda x: lax.scan(lambda c, _: (x, None), Y, None, length=2)[0],
        lambda x: lax.custom_linear_solve(lambda y: y * Y, x, lambda f, b: b / Y, symmetric=True),
        lambda x: fnp.multiply(*lax.optimization_barrier((x, Y))),
        lambda x: ft.vjp(ft.checkpoint(lambda x: x * fnp.sin(x)), Y)[1](x)[0],
        lambda x: ft.linearize(lambda x: fnp.max(x) * fnp.sort(x), Y)[1](x),
        lambda x: ft.jvp(lambda x: lax.fori_loop(0, 3, lambda i, c: c * x, Y), (Y,), (x,))[1],
    ],
)
def test_linear_transpose_of_what_is_zero_at_zero(fun: Any) -> None:
    """Constants that add nothing, which the derivative rules make themselves, are no mistake."""
    ct = ft.tree.map(lambda y: np.ones(y.shape, y.dtype), ft.eval_shape(fun, X))
    (want,) = ft.vjp(fun, X)[1](ct)
    np.testing.assert_allclose(ft.linear_transpose(fun, X)(ct)[0], want)
    np.testing.assert_allclose(ft.jit(lambda ct: ft.linear_transpose(fun, X)(ct)[0])(ct), want)


only_backward = ft.custom_vjp(lambda x: 2 * x)
only_backward.defvjp(lambda x: (2 * x, None), lambda _, ct: (3 * ct,))


@pytest.mark.parametrize(
    ("fun", "factor"),
    [
        (ft.linearize(only_backward, Y)[1], 3.0),
        (ft.linearize(ft.jit(lambda x: only_backward(fnp.sin(x))), Y)[1], 3.0 * np.cos(Y)),
        (lambda x: lax.map(ft.linearize(only_backward, 0.3)[1], x), 3.0),
    ],
)
def test_linear_transpose_of_what_only_runs_backwards(fun: Any, factor: Any) -> None:
    for way in fun, ft.jit(fun):
        np.testing.assert_allclose(ft.linear_transpose(way, X)(Y)[0], factor * Y)


def test_the_check_for_constants_repeats_no_effect() -> None:
    """It runs the function once more: without printing, and not at all if an effect has results."""
    calls: list[float] = []

    def printing(x: Any) -> Any:
        ft.debug.callback(calls.append, Y[0])
        return 2.0 * x

    ft.linear_transpose(printing, 1.0)(1.0)
    assert len(calls) == 1


def test_constants_known_later_are_taken_for_zero() -> None:
    transposed = lambda b: ft.linear_transpose(lambda x: 2.0 * x + b, 1.0)(1.0)[0]
    assert ft.jit(transposed)(0.0) == 2.0 and ft.vmap(transposed)(np.zeros(2)).tolist() == [2.0] * 2
    with pytest.raises(TransformError, match="affine"):
        ft.grad(lambda b: transposed(b) * b)(1.0)


def test_linear_transpose_of_scan_with_a_counter() -> None:
    def linear(x: Any) -> Any:
        def step(c: Any, w: Any) -> Any:
            i, v = c
            return (i + 1, v * w + x * i), v * i

        return lax.scan(step, (1.0, x * 0.0), X)[1]

    (got,) = ft.linear_transpose(linear, 1.0)(np.array([1.0, 2.0, 3.0]))
    want = np.dot(ft.jacfwd(linear)(1.0), [1.0, 2.0, 3.0])
    np.testing.assert_allclose(got, want)
