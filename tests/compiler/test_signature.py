"""Kernels of one form are emitted once, whatever their variables are."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.compiler.lower import lower
from functrans.core.interpret import evaluate
from functrans.transforms.inspect import make_program


def _unrolled(step, count):
    def f(x, w):
        total = 0.0
        for i in range(count):
            x = step(x, w, i)
            total = total + fnp.sum(x * x)
        return total

    return f


STEPS = {
    "elementwise": lambda x, w, i: fnp.sin(x) * 1.01 + 0.1,
    "product": lambda x, w, i: fnp.tanh(w @ x),
    "row": lambda x, w, i: fnp.exp(x - fnp.max(x)) / fnp.sum(fnp.exp(x - fnp.max(x))) + w[0],
    "an array constant": lambda x, w, i: fnp.cos(x + np.arange(4.0)),
}


@pytest.mark.parametrize("name", STEPS)
def test_an_unrolled_loop_has_a_few_distinct_kernels(name):
    f = ft.grad(_unrolled(STEPS[name], 60), argnums=(0, 1))
    x, w = np.linspace(0.1, 0.9, 4), np.linspace(-1.0, 1.0, 16).reshape(4, 4)
    program = make_program(f)(x, w)
    assert len(lower(program).kernels()) <= 16
    for compiled, expected in zip(ft.jit(f)(x, w), evaluate(program, [x, w]), strict=True):
        np.testing.assert_allclose(compiled, expected, rtol=1e-10)


def test_kernels_that_differ_in_a_constant_are_apart():
    def f(x):
        return [fnp.sum(fnp.sin(x * c)) for c in (1.5, 2.5, 1.5)]

    x = np.arange(4.0)
    for compiled, expected in zip(ft.jit(f)(x), f(x), strict=True):
        np.testing.assert_allclose(compiled, expected, rtol=1e-12)


def test_kernels_serve_other_batch_sizes_and_learning_rates():
    def step(rate):
        def update(w, x):
            return w - rate * ft.grad(lambda w: fnp.mean(fnp.tanh(x @ w) ** 2))(w)

        return ft.jit(update)

    def kernels(batch, width, rate):
        x, w = np.ones((batch, 32), np.float32), np.ones((32, width), np.float32)
        expected = w - rate * ft.grad(lambda w: fnp.mean(fnp.tanh(x @ w) ** 2))(w)
        np.testing.assert_allclose(step(rate)(w, x), expected, rtol=1e-5)
        return set(step(rate).lower(w, x).schedule.kernels())

    first = kernels(64, 64, 0.1)
    assert kernels(96, 64, 0.1) == first
    assert kernels(96, 80, 0.03) == first
