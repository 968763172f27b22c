"""What is not arithmetic: dispatch, eager gradients, compile times of unrolled programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.libraries import Library
from benchmarks.workloads.training import mlp_step
from benchmarks.workloads.workload import ALL, JAX, Made, Workload


def dispatch(lib: Library) -> Made:
    """A call that does almost nothing to 20 small arrays."""
    return lib.jit(lambda xs: [x * 2.0 for x in xs]), ([np.ones(4) for _ in range(20)],)


def eager_gradient(lib: Library) -> Made:
    """A gradient of twenty operations without jit."""
    xp = lib.numpy

    def f(x: Any) -> Any:
        for _ in range(5):
            x = xp.tanh(x) * 1.5 + xp.sin(x)
        return xp.sum(x)

    return lib.value_and_grad(f), (np.linspace(0.0, 1.0, 100),)


def unrolled_chain(steps: int) -> Callable[[Library], Made]:
    """The gradient of a Python loop of elementwise steps."""

    def make(lib: Library) -> Made:
        xp = lib.numpy

        def f(x: Any) -> Any:
            for _ in range(steps):
                x = x + 0.01 * xp.sin(x)  # a gradient that neither vanishes nor explodes
            return xp.sum(x)

        return lib.jit(lib.value_and_grad(f)), (np.linspace(0.0, 1.0, 1000),)

    return make


def unrolled_rnn(steps: int) -> Callable[[Library], Made]:
    """The gradient of a recurrent network written as a Python loop."""

    def make(lib: Library) -> Made:
        xp = lib.numpy

        def f(w: Any, u: Any, xs: Any) -> Any:
            h = xp.zeros(32)
            for i in range(steps):
                h = xp.tanh(w @ h + u @ xs[i])
            return xp.sum(h * h)

        rng = np.random.default_rng(0)
        w, u = rng.normal(size=(32, 32)) / 6, rng.normal(size=(32, 8)) / 3
        return lib.jit(lib.value_and_grad(f, (0, 1))), (w, u, rng.normal(size=(steps, 8)))

    return make


def other_batch(lib: Library) -> tuple:
    """Arguments of the MLP step at another batch size."""
    return mlp_step((64, 128, 10), 96)(lib)[1]


WORKLOADS = [
    Workload("dispatch, 20 leaves", dispatch, ("jax", "autograd")),
    Workload("eager gradient of 20 operations", eager_gradient, ALL),
    Workload("MLP step at a new batch size", mlp_step((64, 128, 10), 128), again=other_batch),
    *(
        Workload(f"unrolled {kind}, {n:,} steps", make(n), JAX, first_only=True)
        for kind, make in (("chain", unrolled_chain), ("RNN", unrolled_rnn))
        for n in (100, 1000, 3000)
    ),
]
