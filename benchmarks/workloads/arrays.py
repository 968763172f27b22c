"""Whole-array programs without loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.libraries import Library
from benchmarks.workloads.workload import ALL, JAX, TORCH, Made, Workload, gradient


def chain(dtype: str) -> Callable[[Library], Made]:
    """tanh(x) exp(-x²) + sin(x) over 10⁶ elements."""

    def make(lib: Library) -> Made:
        xp = lib.numpy
        x = np.linspace(-3, 3, 10**6).astype(dtype)
        return lib.jit(lambda x: xp.tanh(x) * xp.exp(-x * x) + xp.sin(x)), (x,)

    return make


def softmax(lib: Library) -> Made:
    """A row-wise softmax of 1000 × 1000, float32."""
    return lib.jit(lib.nn.softmax), (
        np.random.default_rng(0).normal(size=(1000, 1000)).astype("f4"),
    )


def layer_norm(lib: Library) -> Made:
    """The sum of squares of a layer normalisation of 512 × 1024."""

    def f(x: Any, scale: Any, shift: Any) -> Any:
        return lib.numpy.sum(lib.nn.layer_norm(x, scale, shift) ** 2)

    rng = np.random.default_rng(0)
    x, scale = rng.normal(size=(512, 1024)).astype("f4"), rng.normal(size=1024).astype("f4")
    return f, (x, scale, np.ones(1024, "f4"))


def entropy(lib: Library) -> Made:
    """Cross entropy of 512 × 1000 logits."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(512, 1000)).astype("f4")
    y = np.eye(1000, dtype="f4")[rng.integers(0, 1000, 512)]
    return lib.nn.cross_entropy, (x, y)


def rosenbrock(n: int) -> Callable[[Library], Made]:
    """The Rosenbrock function, float64."""

    def make(lib: Library) -> Made:
        def f(x: Any) -> Any:
            return lib.numpy.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

        return f, (np.linspace(-1.0, 1.5, n),)

    return make


def rosenbrock_hessian(lib: Library) -> Made:
    """The dense Hessian at n = 100."""
    f, args = rosenbrock(100)(lib)
    return lib.jit(lib.more.hessian(f)), args


def pairwise(lib: Library) -> Made:
    """The sum of distances between 400 points of 8 coordinates and 400 others."""
    xp = lib.numpy

    def f(a: Any, b: Any) -> Any:
        d = a[:, None, :] - b[None, :, :]
        return xp.sum(xp.sqrt(xp.sum(d * d, axis=-1) + 1e-6))

    rng = np.random.default_rng(0)
    return f, (rng.normal(size=(400, 8)), rng.normal(size=(400, 8)))


def n_body(lib: Library) -> Made:
    """The potential energy of 256 bodies; its gradient is the forces."""
    xp = lib.numpy

    def f(x: Any, m: Any) -> Any:
        d = x[:, None, :] - x[None, :, :]
        r = xp.sqrt(xp.sum(d * d, axis=-1) + 0.01)
        return -0.5 * xp.sum(m[:, None] * m[None, :] / r)

    rng = np.random.default_rng(0)
    return f, (rng.normal(size=(256, 3)), rng.uniform(1, 2, size=256))


def small_products(lib: Library) -> Made:
    """The sum of squares of 10,000 products of 4 × 4 matrices."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 10_000, 4, 4))
    return lambda x, y: lib.numpy.sum((x @ y) ** 2), (x, y)


WORKLOADS = [
    Workload("elementwise chain, 10⁶, f64", chain("f8"), TORCH),
    Workload("elementwise chain, 10⁶, f32", chain("f4"), TORCH),
    Workload("softmax 1000 × 1000, f32", softmax, TORCH),
    gradient("layer norm + gradient 512 × 1024, f32", layer_norm, TORCH, (0, 1, 2)),
    gradient("cross entropy + gradient 512 × 1000, f32", entropy, TORCH),
    gradient("Rosenbrock + gradient, n = 10", rosenbrock(10), ALL),
    gradient("Rosenbrock + gradient, n = 10³", rosenbrock(10**3), ALL),
    gradient("Rosenbrock + gradient, n = 10⁶", rosenbrock(10**6), ALL),
    Workload("Rosenbrock Hessian, n = 100", rosenbrock_hessian, JAX),
    gradient("pairwise distances + gradient, 400 × 400 × 8", pairwise, TORCH, (0, 1)),
    gradient("n-body forces, 256 bodies", n_body, TORCH),
    gradient("10,000 products of 4 × 4 + gradient", small_products, TORCH, (0, 1)),
]
