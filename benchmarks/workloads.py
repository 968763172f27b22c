"""The workloads, written once for both libraries: `np_like` is functrans.numpy or jax.numpy.

A workload gives a jitted function and its arguments. `Library` hides what the two call differently.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Library:
    """functrans or JAX, as the workloads see it."""

    name: str
    numpy: Any
    jit: Callable[..., Any]
    value_and_grad: Callable[..., Any]
    asarray: Callable[[Any], Any]
    block: Callable[[Any], Any]


def load(name: str) -> Library:
    """Import a library, with 64-bit types on."""
    if name == "functrans":
        import functrans as ft

        return Library(name, ft.numpy, ft.jit, ft.value_and_grad, np.asarray, lambda x: x)
    import jax

    jax.config.update("jax_enable_x64", True)
    return Library(
        name, jax.numpy, jax.jit, jax.value_and_grad, jax.numpy.asarray, jax.block_until_ready
    )


Workload = Callable[[Library], tuple[Callable[..., Any], tuple]]


def mlp_step(sizes: tuple[int, ...], batch: int) -> Workload:
    """Cross entropy of an MLP, its gradient and an Adam step, float32."""

    def make(lib: Library) -> tuple[Callable[..., Any], tuple]:
        xp = lib.numpy

        def loss(params: Any, x: Any, y: Any) -> Any:
            for i, (w, b) in enumerate(params):
                x = x @ w + b
                x = xp.tanh(x) if i + 1 < len(params) else x
            peak = xp.max(x, axis=1, keepdims=True)
            total = xp.log(xp.sum(xp.exp(x - peak), axis=1, keepdims=True)) + peak
            return -xp.mean(xp.sum(y * (x - total), axis=1))

        def step(params: Any, mean: Any, square: Any, count: Any, x: Any, y: Any) -> Any:
            value, gradient = lib.value_and_grad(loss)(params, x, y)
            count = count + 1
            first, second = 1 - 0.9**count, 1 - 0.999**count

            def each(f: Callable[..., Any], *trees: Any) -> Any:
                rows = zip(*trees, strict=True)
                return [tuple(map(f, *row)) for row in rows]

            mean = each(lambda m, g: 0.9 * m + 0.1 * g, mean, gradient)
            square = each(lambda v, g: 0.999 * v + 0.001 * g * g, square, gradient)
            params = each(
                lambda p, m, v: p - 1e-3 * (m / first) / (xp.sqrt(v / second) + 1e-8),
                params,
                mean,
                square,
            )
            return params, mean, square, count, value

        rng = np.random.default_rng(0)
        single = np.float32
        pairs = list(itertools.pairwise(sizes))
        params = [
            ((rng.normal(size=p) / p[0] ** 0.5).astype(single), np.zeros(p[1], single))
            for p in pairs
        ]
        zeros = [tuple(np.zeros_like(w) for w in layer) for layer in params]
        x = rng.normal(size=(batch, sizes[0])).astype(single)
        y = np.eye(sizes[-1], dtype=single)[rng.integers(0, sizes[-1], batch)]
        return lib.jit(step), (params, zeros, zeros, single(0), x, y)

    return make


def rosenbrock(n: int) -> Workload:
    """Value and gradient of the Rosenbrock function, float64."""

    def make(lib: Library) -> tuple[Callable[..., Any], tuple]:
        def f(x: Any) -> Any:
            return lib.numpy.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

        return lib.jit(lib.value_and_grad(f)), (np.linspace(-1.0, 1.5, n),)

    return make


def chain(dtype: str) -> Workload:
    """tanh(x) exp(-x²) + sin(x) over 10⁶ elements."""

    def make(lib: Library) -> tuple[Callable[..., Any], tuple]:
        xp = lib.numpy
        x = np.linspace(-3, 3, 10**6).astype(dtype)
        return lib.jit(lambda x: xp.tanh(x) * xp.exp(-x * x) + xp.sin(x)), (x,)

    return make


def dispatch(leaves: int) -> Workload:
    """A call that does almost nothing to many small arrays."""

    def make(lib: Library) -> tuple[Callable[..., Any], tuple]:
        return lib.jit(lambda xs: [x * 2.0 for x in xs]), ([np.ones(4) for _ in range(leaves)],)

    return make


def softmax() -> Workload:
    """A row-wise softmax of 1000 × 1000, float32."""

    def make(lib: Library) -> tuple[Callable[..., Any], tuple]:
        xp = lib.numpy

        def f(x: Any) -> Any:
            e = xp.exp(x - xp.max(x, axis=1, keepdims=True))
            return e / xp.sum(e, axis=1, keepdims=True)

        x = np.random.default_rng(0).normal(size=(1000, 1000)).astype(np.float32)
        return lib.jit(f), (x,)

    return make


WORKLOADS: dict[str, Workload] = {
    "MLP + Adam step 64-32-10, batch 32": mlp_step((64, 32, 10), 32),
    "MLP + Adam step 64-128-10, batch 128": mlp_step((64, 128, 10), 128),
    "MLP + Adam step 784-512-512-10, batch 128": mlp_step((784, 512, 512, 10), 128),
    "Rosenbrock value and gradient, n = 10": rosenbrock(10),
    "Rosenbrock value and gradient, n = 10^6": rosenbrock(10**6),
    "elementwise chain, 10^6, float64": chain("f8"),
    "elementwise chain, 10^6, float32": chain("f4"),
    "softmax 1000 x 1000, float32": softmax(),
    "dispatch, 20 leaves": dispatch(20),
}
