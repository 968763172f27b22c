"""Long loops that need nothing of each other run side by side, and give what they give in a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.compiler import threads
from functrans.scipy import special

pytestmark = pytest.mark.skipif(threads.num_threads() < 2, reason="one core, or no POSIX threads")

STEPS = 2000
LENGTHS = 40, 300
"""A carry that one kernel keeps in registers, and one that entries of a schedule work on."""


def loop(x: Any, a: Any, steps: int = STEPS) -> Any:
    return lax.fori_loop(0, steps, lambda i, c: fnp.tanh(a * c[::-1] + x), x)


def stacked(x: Any, a: Any) -> Any:
    return lax.scan(lambda c, _: (fnp.sin(a * c) + x, c[0]), x, None, length=STEPS)[1]


def count_down(x: Any, a: Any) -> Any:
    """Overwrites an array in every step."""
    body = lambda i, c: c.at[i % 7].set(fnp.sum(fnp.sin(c)) * a)
    return lax.fori_loop(0, STEPS, body, x)


def in_turn(x: Any) -> Any:
    """The second loop starts from the first, the third does not."""
    y = loop(x, 0.5)
    return loop(y + 1.0, 0.4) + loop(x, 0.3)


def overwriting(x: Any) -> Any:
    """One loop may take the memory of y, which the other reads."""
    y = x * 2.0
    return count_down(y, 0.1), loop(y, 0.5), y[0]


def in_a_loop(x: Any) -> Any:
    step = lambda c, _: (0.5 * loop(c, 0.5) + 0.5 * loop(c, -0.5), None)
    return lax.scan(step, fnp.tile(x, 10), None, length=3)[0]


def with_python(x: Any) -> Any:
    body = lambda i, c: 0.1 * special.polygamma(1, 0.1 * fnp.cos(c) + 2.0) * x
    return lax.fori_loop(0, STEPS, body, x) + loop(x, 0.5)


CASES = {  # function, how many loops run side by side
    "two": (lambda x: loop(x, 0.5) + loop(x, -0.5), [2]),
    "three": (lambda x: loop(x, 0.5) + loop(x, -0.5) * loop(x, 0.1), [3]),
    "what is stacked": (lambda x: stacked(x, 0.5) + stacked(x, 0.1)[::-1], [2]),
    "one after the other": (lambda x: loop(loop(x, 0.5) * 2.0, 0.4), []),
    "one needs another": (in_turn, [2]),
    "two, then two": (
        lambda x: loop(y := loop(x, 0.5) + loop(x, -0.5), 0.5) * loop(y, 0.1),
        [2, 2],
    ),
    "what is read gets names": (lambda x: loop(x, 0.5) + loop(x.reshape(2, -1), 0.5).ravel(), [2]),
    "short": (lambda x: loop(x, 0.5, 3) + loop(x, 0.1, 3), []),
    "overwriting": (overwriting, [2]),
    "in a loop": (in_a_loop, [2]),
    "with Python": (with_python, [2]),
}


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("name", CASES)
def test_loops_side_by_side_give_what_they_give_in_a_row(name, length):
    f, expected = CASES[name]
    x = np.random.default_rng(0).normal(size=length)
    compiled = ft.jit(f)
    for _ in range(3):
        for got, want in zip(ft.tree.leaves(compiled(x)), ft.tree.leaves(f(x)), strict=True):
            np.testing.assert_allclose(got, want, 1e-12, 1e-12)
    lines = compiled.lower(x).source.splitlines()
    assert [int(s.split("# ")[1].split()[0]) for s in lines if "side by side" in s] == expected


def test_gradients_and_one_thread():
    x = np.random.default_rng(0).normal(size=300)
    f = ft.grad(lambda x: fnp.sum(loop(x, 0.5) * loop(x, -0.5)))
    compiled = ft.jit(f)
    np.testing.assert_allclose(together := compiled(x), f(x), 1e-12, 1e-12)
    assert compiled.lower(x).source.count("side by side") == 2
    with ft.config(num_threads=1):
        alone = ft.jit(lambda x: 1.0 * f(x))
        np.testing.assert_array_equal(alone(x), together)
        assert "side by side" not in alone.lower(x).source


def test_profiles_show_what_runs_side_by_side():
    x = np.random.default_rng(0).normal(size=300)
    shown = str(ft.profile(CASES["two"][0])(x))
    assert "2 loops side by side" in shown
    assert shown.count(f"{STEPS} steps") == 2
