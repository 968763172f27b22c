"""Training steps: loss, gradient and update of small networks."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.libraries import Library
from benchmarks.workloads.workload import TORCH, Made, Workload


def training(
    make_loss: Callable[[Library], Callable[..., Any]], params: Any, *data: np.ndarray
) -> Callable[[Library], Made]:
    """A step that returns the new parameters, Adam's state and the loss."""
    dtype = params[0][0].dtype

    def make(lib: Library) -> Made:
        step = lib.nn.adam_step(make_loss(lib))
        zeros = [tuple(np.zeros_like(w) for w in layer) for layer in params]
        return lib.jit(step), (params, (zeros, zeros, dtype.type(0)), *data)

    return make


def _normal(rng: Any, *shape: int, dtype: str = "f4") -> np.ndarray:
    fan = int(np.prod(shape[:-1])) or 1
    return (rng.normal(size=shape) / fan**0.5).astype(dtype)


def mlp_step(sizes: tuple[int, ...], batch: int, dtype: str = "f4") -> Callable[[Library], Made]:
    """Cross entropy of an MLP."""
    rng = np.random.default_rng(0)
    pairs = list(itertools.pairwise(sizes))
    params = [(_normal(rng, *p, dtype=dtype), np.zeros(p[1], dtype)) for p in pairs]
    x = rng.normal(size=(batch, sizes[0])).astype(dtype)
    y = np.eye(sizes[-1], dtype=dtype)[rng.integers(0, sizes[-1], batch)]

    def make_loss(lib: Library) -> Callable[..., Any]:
        def loss(params: Any, x: Any, y: Any) -> Any:
            for i, (w, b) in enumerate(params):
                x = x @ w + b
                x = lib.numpy.tanh(x) if i + 1 < len(params) else x
            return lib.nn.cross_entropy(x, y)

        return loss

    return training(make_loss, params, x, y)


def cnn_step(batch: int = 64) -> Callable[[Library], Made]:
    """Two 3×3 convolutions with max pooling and a dense layer, on 28×28 images."""
    # With seed 0 the greatest two values of one of 10⁵ windows are 7e-9 apart, less than float32
    # resolves: rounding then decides which of them gets the gradient, in every library its own way.
    rng = np.random.default_rng(1)
    params = [
        (rng.normal(size=(16, 1, 3, 3)).astype("f4") / 3, np.zeros(16, "f4")),
        (rng.normal(size=(32, 16, 3, 3)).astype("f4") / 12, np.zeros(32, "f4")),
        (_normal(rng, 32 * 49, 10), np.zeros(10, "f4")),
    ]
    x = rng.normal(size=(batch, 1, 28, 28)).astype("f4")
    y = np.eye(10, dtype="f4")[rng.integers(0, 10, batch)]

    def make_loss(lib: Library) -> Callable[..., Any]:
        xp = lib.numpy

        def loss(params: Any, x: Any, y: Any) -> Any:
            for w, b in params[:2]:
                x = lib.nn.pool(xp.tanh(lib.nn.conv(x, w, b)))
            w, b = params[2]
            return lib.nn.cross_entropy(xp.reshape(x, (batch, 32 * 49)) @ w + b, y)

        return loss

    return training(make_loss, params, x, y)


def transformer_step(layers: int = 2, d: int = 64, t: int = 64, batch: int = 8) -> Any:
    """Pre-norm blocks of four heads with a SiLU MLP; regression on the outputs."""
    rng = np.random.default_rng(0)
    heads = 4
    block = [(d, 3 * d), (d, d), (d, 4 * d), (4 * d, d)]
    params = [tuple(_normal(rng, *s) for s in block) for _ in range(layers)]
    x = rng.normal(size=(batch, t, d)).astype("f4")
    y = rng.normal(size=(batch, t, d)).astype("f4")

    def make_loss(lib: Library) -> Callable[..., Any]:
        xp = lib.numpy

        def attention(x: Any, w: Any, out: Any) -> Any:
            qkv = xp.reshape(x @ w, (batch, t, 3, heads, d // heads))
            q, k, v = (xp.swapaxes(qkv[:, :, i], 1, 2) for i in range(3))
            mixed = lib.nn.attention(q, k, v)
            return xp.reshape(xp.swapaxes(mixed, 1, 2), (batch, t, d)) @ out

        def loss(params: Any, x: Any, y: Any) -> Any:
            for qkv, out, up, down in params:
                x = x + attention(lib.nn.layer_norm(x), qkv, out)
                x = x + lib.nn.silu(lib.nn.layer_norm(x) @ up) @ down
            return xp.mean((x - y) ** 2)

        return loss

    return training(make_loss, params, x, y)


def lstm_step(h: int = 64, t: int = 32, batch: int = 16, d: int = 16) -> Any:
    """An LSTM over sequences, its last state regressed."""
    rng = np.random.default_rng(0)
    params = [(_normal(rng, d, 4 * h), _normal(rng, h, 4 * h), np.zeros(4 * h, "f4"))]
    params += [(_normal(rng, h, 1),)]
    xs = rng.normal(size=(t, batch, d)).astype("f4")
    y = rng.normal(size=(batch, 1)).astype("f4")

    def make_loss(lib: Library) -> Callable[..., Any]:
        def loss(params: Any, xs: Any, y: Any) -> Any:
            last = lib.nn.lstm(xs, *params[0])
            return lib.numpy.mean((last @ params[1][0] - y) ** 2)

        return loss

    return training(make_loss, params, xs, y)


def per_example(batch: int = 128) -> Callable[[Library], Made]:
    """A gradient of an MLP per example."""
    rng = np.random.default_rng(0)
    params = [
        (_normal(rng, 64, 32), np.zeros(32, "f4")),
        (_normal(rng, 32, 10), np.zeros(10, "f4")),
    ]
    x = rng.normal(size=(batch, 64)).astype("f4")
    y = np.eye(10, dtype="f4")[rng.integers(0, 10, batch)]

    def make(lib: Library) -> Made:
        xp = lib.numpy

        def loss(params: Any, x: Any, y: Any) -> Any:
            (w, b), (v, c) = params
            z = xp.tanh(x @ w + b) @ v + c
            return -xp.sum(y * (z - xp.log(xp.sum(xp.exp(z)))))

        grad = getattr(lib.more, "inner_grad", lib.grad)
        return lib.jit(lib.more.vmap(grad(loss), (None, 0, 0))), (params, x, y)

    return make


WORKLOADS = [
    Workload("MLP + Adam 64-32-10, batch 32, f32", mlp_step((64, 32, 10), 32), TORCH),
    Workload("MLP + Adam 64-32-10, batch 32, f64", mlp_step((64, 32, 10), 32, "f8"), TORCH),
    Workload("MLP + Adam 64-128-10, batch 128, f32", mlp_step((64, 128, 10), 128), TORCH),
    Workload("MLP + Adam 64-128-10, batch 128, f64", mlp_step((64, 128, 10), 128, "f8"), TORCH),
    Workload(
        "MLP + Adam 784-512-512-10, batch 128, f32", mlp_step((784, 512, 512, 10), 128), TORCH
    ),
    Workload(
        "MLP + Adam 784-512-512-10, batch 128, f64", mlp_step((784, 512, 512, 10), 128, "f8"), TORCH
    ),
    Workload("CNN 28×28 step, batch 64, f32", cnn_step(), TORCH),
    Workload("transformer step, 2 layers, f32", transformer_step(), TORCH),
    Workload("LSTM step, h 64, T 32, f32", lstm_step(), TORCH),
    Workload("per-example gradients of an MLP, f32", per_example(), TORCH),
]
