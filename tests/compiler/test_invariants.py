"""What is the same in every step of a loop: computed once, with the same results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp

N = 40
A = np.random.default_rng(0).normal(size=(N, N)) / 8
V = np.linspace(-1.0, 1.0, N)
B = np.cos(np.arange(N * 3.0)).reshape(N, 3)
SYSTEM = A + 4 * np.eye(N)

Loop = Callable[[Callable[[Any], Any], Any], Any]


def by_scan(step: Callable[[Any], Any], x: Any) -> Any:
    return lax.scan(lambda c, _: (step(c), None), x, None, length=5)[0]


def by_fori(step: Callable[[Any], Any], x: Any) -> Any:
    return lax.fori_loop(0, 5, lambda i, c: step(c), x)


def by_while(step: Callable[[Any], Any], x: Any) -> Any:
    condition = lambda s: (s[0] < 5) & (s[1].sum() < 1e9)
    return lax.while_loop(condition, lambda s: (s[0] + 1, step(s[1])), (0, x))[1]


def mapped(step: Callable[[Any], Any], x: Any) -> Any:
    return lax.map(lambda i: step(x * i), np.arange(5.0))


def with_cond(a: Any, v: Any) -> Any:
    return lax.cond(v[0] > 0, lambda: fnp.exp(a) @ v / N, lambda: fnp.sin(a) @ v)


def nested(a: Any, v: Any) -> Any:
    return by_scan(lambda v: fnp.sin(fnp.exp(a)) @ v / N, v)


STEPS: dict[str, tuple[Callable[[Any, Any], Any], Any, Any, int]] = {
    # step, constant, start, entries before the loop that are there because of it
    "elementwise and long": (lambda a, v: v + fnp.sum(fnp.sin(a) * v, 1), A, V, 1),
    "elementwise and short": (lambda a, v: v + fnp.sum((a + 1) * v, 1) / N, A, V, 0),
    "an array for a product": (lambda a, v: (a + 1) @ v / N, A, V, 1),
    "a transpose for a factor": (lambda a, v: fnp.linalg.inv(a.T) @ v, SYSTEM, V, 3),
    "a product": (lambda a, v: (a @ a.T) @ v, A, V, 1),
    "a reduction": (lambda a, v: v * fnp.max(a, 0) + fnp.sum(a, 1), A, V, 2),
    "a broadcast of a reduction": (lambda a, v: v / N * fnp.sum(a, 0), A, A, 1),
    "an outer product": (lambda a, v: v - a[:, None] * a, V, A, 0),
    "a system": (lambda a, v: fnp.linalg.solve(a, v), SYSTEM, V, 4),
    "a system of matrices": (lambda a, b: fnp.linalg.solve(a, b), SYSTEM, B, 4),
    "a complex system": (lambda a, b: fnp.linalg.solve(a, b), SYSTEM + 1j * A, B + 0j, 4),
    "a system that varies": (lambda a, v: fnp.linalg.solve(a * v[0], v), SYSTEM, V, 0),
    "a choice": (with_cond, A, V, 0),
    "a loop in the loop": (nested, A, V, 1),
}


@pytest.mark.parametrize("loop", [by_scan, by_fori, by_while, mapped])
@pytest.mark.parametrize("name", STEPS)
def test_values_and_derivatives(name: str, loop: Loop) -> None:
    step, a, v, _ = STEPS[name]
    if loop is mapped and name == "a broadcast of a reduction":
        v = v[0]

    def f(a: Any, v: Any) -> Any:
        return loop(lambda v: step(a, v) + v * 0.25, v)

    def total(a: Any, v: Any) -> Any:
        return fnp.sum(fnp.sin(fnp.real(f(a, v))))

    np.testing.assert_allclose(ft.jit(f)(a, v), f(a, v), 1e-9, 1e-9)
    if loop is not by_while:
        both = ft.grad(total, (0, 1))
        for got, want in zip(ft.jit(both)(a, v), both(a, v), strict=True):
            np.testing.assert_allclose(got, want, 1e-8, 1e-8)


@pytest.mark.parametrize("name", STEPS)
def test_they_come_before_the_loop(name: str) -> None:
    step, a, v, count = STEPS[name]
    wide = np.zeros(1000)  # for which there is no place in registers

    def f(a: Any, v: Any, w: Any) -> Any:
        return lax.fori_loop(0, 5, lambda i, s: (step(a, s[0]) + s[0] * 0.25, s[1] + 1), (v, w))

    entries = ft.jit(f).lower(a, v, wide).schedule.main.entries
    names = [str(e.target) for e in entries]
    assert names[-1] == "ft_scan" and len(names) - 1 == count


def test_a_singular_system_has_no_solution() -> None:
    a = np.ones((N, N))
    f = ft.jit(lambda a, v: by_fori(lambda v: fnp.linalg.solve(a, v), v))
    assert np.isnan(f(a, V)).all()


def test_what_is_given_back_and_bodies_that_serve_twice() -> None:
    def f(a: Any, v: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            return fnp.tanh(a) @ c, fnp.tanh(a)

        once, every = lax.scan(step, v, None, length=3)
        return once, every, lax.scan(step, 2 * v, None, length=3)[0]

    for got, want in zip(ft.jit(f)(A, V), f(A, V), strict=True):
        np.testing.assert_allclose(got, want, 1e-12, 1e-12)


def test_no_steps() -> None:
    def f(a: Any, v: Any) -> Any:
        return by_while(lambda v: fnp.linalg.solve(a, v), v + 1e12), lax.scan(
            lambda c, _: (fnp.exp(a) @ c, None), v, None, length=0
        )[0]

    for got, want in zip(ft.jit(f)(SYSTEM, V), f(SYSTEM, V), strict=True):
        np.testing.assert_array_equal(got, want)


def test_effects_happen_in_every_step() -> None:
    seen: list[int] = []

    def f(a: Any, v: Any) -> Any:
        def step(v: Any) -> Any:
            lax_sum = fnp.sum(fnp.exp(a))
            ft.debug.callback(lambda x: seen.append(1), lax_sum)
            return fnp.exp(a) @ v / N

        return by_fori(step, v)

    np.testing.assert_allclose(ft.jit(f)(A, V), f(A, V), 1e-12, 1e-12)
    assert len(seen) == 10
