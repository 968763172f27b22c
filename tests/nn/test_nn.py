"""Activations are those of `jax.nn`, with safe derivatives; initialisers have their variance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import nn
from functrans.core.errors import ShapeError

ACTIVATIONS = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "swish",
    "sigmoid",
    "log_sigmoid",
    "softplus",
    "soft_sign",
    "squareplus",
    "identity",
    "hard_sigmoid",
    "hard_silu",
    "hard_tanh",
    "mish",
    "softmax",
    "log_softmax",
    "logsumexp",
    "standardize",
    "glu",
]
X = np.array([[-30.0, -2.5, -0.3, 0.1], [0.7, 2.0, 6.5, 90.0]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_gradients_are_those_of_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    weight = np.arange(1.0, 9.0).reshape(2, 4)

    def total(f: Any, lib: Any) -> Any:
        def loss(x: Any) -> Any:
            y = f(x)
            return (
                lib.sum(y * weight[: len(y)] if y.ndim == 1 else y * weight[:, : y.shape[1]])
                if y.ndim
                else y
            )

        return loss

    f = getattr(nn, name)
    with jax.enable_x64(True):
        g = getattr(jax.nn, name)
        np.testing.assert_allclose(f(X), g(X), rtol=1e-6, atol=1e-12)
        want = jax.grad(total(g, jax.numpy))(X)
        np.testing.assert_allclose(ft.grad(total(f, ft.numpy))(X), want, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ft.jit(f)(X), f(X), rtol=1e-12)


def test_gradients_at_the_corners() -> None:
    assert ft.grad(nn.relu)(0.0) == 0.0
    for name in ("elu", "softplus", "log_sigmoid", "sigmoid"):
        for x in (-1e4, 1e4):
            assert np.isfinite(ft.grad(getattr(nn, name))(x)), name


@pytest.mark.parametrize("kind", ["he", "glorot", "lecun"])
@pytest.mark.parametrize("shape", ["uniform", "normal"])
def test_initialisers_have_their_variance(kind: str, shape: str) -> None:
    init = getattr(nn.initializers, f"{kind}_{shape}")()
    w = init(ft.random.key(0), (200, 100), np.float32)
    want = {"he": 2 / 200, "glorot": 1 / 150, "lecun": 1 / 200}[kind]
    assert w.dtype == np.float32
    assert abs(w.var() / want - 1) < 0.05


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("orthogonal", (5, 3), {}),
        ("orthogonal", (2, 4, 9), {"scale": 2.0, "column_axis": 0}),
        ("orthogonal", (0, 3), {}),
        ("delta_orthogonal", (3, 4, 4), {}),
        ("delta_orthogonal", (4, 3, 2, 5), {"scale": 0.5}),
        ("delta_orthogonal", (2, 3, 5, 2, 2), {}),
    ],
)
def test_orthogonal_initialisers_are_those_of_jax(name: str, shape: Any, options: Any) -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        want = getattr(jax.nn.initializers, name)(**options)(jax.random.PRNGKey(3), shape)
    for dtype in np.float64, np.float32:
        got = getattr(nn.initializers, name)(**options)(ft.random.key(3), shape, dtype)
        assert got.dtype == dtype
        if dtype == np.float64:
            np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def test_orthogonal_initialisers_name_shapes_that_have_no_such_matrix() -> None:
    key = ft.random.key(0)
    with pytest.raises(ShapeError, match="two axes"):
        nn.initializers.orthogonal()(key, (3,))
    with pytest.raises(ShapeError, match="three to five"):
        nn.initializers.delta_orthogonal()(key, (3, 3))
    with pytest.raises(ShapeError, match="as many outputs as inputs"):
        nn.initializers.delta_orthogonal()(key, (3, 5, 4))


def test_a_network_of_layers_trains_under_jit() -> None:
    init, apply = nn.serial(nn.dense(16), nn.elementwise(nn.tanh), nn.layer_norm(), nn.dense(1))
    shape, params = init(ft.random.key(0), (-1, 2))
    assert shape == (-1, 1)
    x = ft.random.normal(ft.random.key(1), (64, 2))
    y = (x[:, :1] * x[:, 1:] > 0).astype(float)
    optimizer = ft.optim.adam(0.02)

    @ft.jit
    def step(params: Any, state: Any) -> Any:
        def loss(p: Any) -> Any:
            return ft.numpy.mean((apply(p, x) - y) ** 2)

        value, gradient = ft.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state, params)
        return ft.optim.apply_updates(params, updates), state, value

    state, values = optimizer.init(params), []
    for _ in range(150):
        params, state, value = step(params, state)
        values.append(value)
    assert values[-1] < 0.2 * values[0]


def test_dropout_acts_only_with_a_key() -> None:
    _, apply = nn.dropout(0.5)
    x = np.ones(1000)
    assert apply((), x) is x
    dropped = apply((), x, key=ft.random.key(0))
    assert set(np.unique(dropped)) == {0.0, 2.0}
    assert abs(dropped.mean() - 1) < 0.15


@pytest.mark.parametrize("name", ["relu", "relu6", "hard_sigmoid", "hard_tanh"])
def test_nan_stays_nan(name: str) -> None:
    function = getattr(ft.nn, name)
    assert np.isnan(function(np.nan))
    assert np.isnan(ft.jit(function)(np.full(3, np.nan))).all()


def test_log1mexp_is_that_of_jax() -> None:
    jax = pytest.importorskip("jax")
    x = np.array([1e-12, 0.1, np.log(2), 0.7, 5.0, 40.0, 800.0])
    with jax.enable_x64(True):
        want, slope = jax.nn.log1mexp(x), jax.vmap(jax.grad(jax.nn.log1mexp))(x)
    np.testing.assert_allclose(nn.log1mexp(x), want, rtol=1e-12)
    np.testing.assert_allclose(ft.vmap(ft.grad(nn.log1mexp))(x), slope, rtol=1e-6)


def test_dense_layers_name_the_shapes_that_do_not_fit() -> None:
    init, apply = nn.dense(2)
    _, params = init(ft.random.key(0), (4,))
    with pytest.raises(ShapeError, match=r"x: f64\[5,3\] and y: f64\[4,2\]"):
        apply(params, np.ones((5, 3)))
