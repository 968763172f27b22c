"""Small loops and branches as one kernel: which ones, and that they do what the schedule does."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.compiler import lower as lowering

TABLE = np.linspace(0.0, 1.0, 1000)
SMALL = np.array([0.3, -0.5, 0.8])


def lorenz(x: Any) -> Any:
    def step(v: Any, _: Any) -> Any:
        return v + 0.01 * fnp.stack([10 * (v[1] - v[0]), v[0] * (28 - v[2]), v[0] * v[1]]), v[0]

    return lax.scan(step, x, None, length=50)


def kalman(x: Any) -> Any:
    a = np.eye(3) + 0.1 * np.tri(3)

    def step(c: Any, z: Any) -> Any:
        mean, cov = c
        mean, cov = a @ mean, a @ cov @ a.T + 0.1 * np.eye(3)
        gain = cov[:, 0] / (cov[0, 0] + 0.5)
        return (mean + gain * (z - mean[0]), cov - fnp.outer(gain, cov[0])), mean

    return lax.scan(step, (x, np.eye(3)), np.sin(np.arange(40.0)))


def reverse_with_mixed_types(x: Any) -> Any:
    def step(c: Any, i: Any) -> Any:
        n, flag, z = c
        n = n + i.astype(np.int32)
        return (n, flag ^ (i % 3 == 0), z * (1 + 0.1j) + x[0]), (n, flag, abs(z))

    carry = np.int32(1), np.bool_(False), 1 + 1j
    return lax.scan(step, carry, np.arange(7), reverse=True)


def dynamic_indices(x: Any) -> Any:
    def step(v: Any, i: Any) -> Any:
        j = (i * 7) % 3
        v = ft.at(v)[0].set(v[1]) + lax.dynamic_slice(fnp.asarray(TABLE), (i * 31,), (3,))
        return fnp.sin(v), v[j] + fnp.asarray(TABLE)[i * 100]

    return lax.scan(step, x, np.arange(9))


def nested_loops(x: Any) -> Any:
    def inner(c: Any) -> Any:
        return c[0] + 1, lax.cond(c[0] % 2 == 0, fnp.sin, lambda v: v * 1.1, c[1])

    def step(v: Any, w: Any) -> Any:
        v = lax.while_loop(lambda c: c[0] < 3 + fnp.sum(v) ** 2, inner, (0, v))[1]
        total, parts = lax.scan(lambda t, r: (t + r[0], t * r), 0.0, fnp.outer(v, v + w))
        return v + 0.1 * total, parts[1]

    return lax.scan(step, x, np.linspace(0, 1, 5))


def random_walk(x: Any) -> Any:
    def step(c: Any, key: Any) -> Any:
        new = c + 0.1 * ft.random.normal(key, (3,))
        accept = ft.random.uniform(key) < 0.7
        return fnp.where(accept, new, c), accept

    return lax.scan(step, x, ft.random.split(ft.random.key(0), 20))


def switching(x: Any) -> Any:
    branches = [fnp.sin, lambda v: v * v, lambda v: fnp.zeros_like(v), fnp.exp]
    return lax.scan(lambda v, i: (lax.switch(i, branches, v) * 0.9, v), x, np.arange(-1, 6))


def heavy_functions_of_many(x: Any) -> Any:
    weights = np.linspace(-1.0, 1.0, 48).reshape(16, 3)

    def step(v: Any, t: Any) -> Any:
        hidden = fnp.tanh((weights @ v).reshape(2, 8) * t)
        other = fnp.exp(1j * hidden[0]) * fnp.logaddexp(hidden[1], t)
        long = fnp.sin(fnp.concatenate([hidden[0], fnp.ones(25) * v[0]]))
        return 0.1 * weights.T @ hidden.reshape(-1) + long[-3:], (hidden, other, long)

    return lax.scan(step, x, np.arange(5.0))


FIT = [
    lorenz,
    kalman,
    reverse_with_mixed_types,
    dynamic_indices,
    nested_loops,
    random_walk,
    switching,
    heavy_functions_of_many,
]


def leaves(x: Any) -> list[np.ndarray]:
    return [np.asarray(y) for y in ft.tree.leaves(x)]


def assert_close(got: Any, want: Any) -> None:
    for g, w in zip(leaves(got), leaves(want), strict=True):
        assert g.dtype == w.dtype and g.shape == w.shape
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("f", FIT, ids=lambda f: f.__name__)
def test_small_loops_are_one_kernel_and_right(f: Callable[..., Any]) -> None:
    lowered = ft.jit(f).lower(SMALL)
    assert "scan in registers" in lowered.source
    assert "ft_scan" not in lowered.source and "NumPy:" not in lowered.source
    assert_close(lowered.compile()(SMALL), f(SMALL))


@pytest.mark.parametrize("f", FIT, ids=lambda f: f.__name__)
def test_registers_and_schedule_agree(f: Callable[..., Any], monkeypatch: Any) -> None:
    """The same Programs through the other way of running loops, derivatives included."""

    def loss(x: Any) -> Any:
        return sum(fnp.sum(fnp.sin(y)) for y in ft.tree.leaves(f(x)) if y.dtype.kind == "f")

    slope = ft.make_program(ft.grad(loss))(SMALL)
    want = [lowering_runs(p, SMALL) for p in (ft.make_program(f)(SMALL), slope)]
    monkeypatch.setattr(lowering, "emit_region", lambda *args: None)
    for program, result in zip(
        (renamed(ft.make_program(f)(SMALL)), renamed(slope)), want, strict=True
    ):
        assert_close(lowering_runs(program, SMALL), result)


LOOPS_OVER_ELEMENTS = {  # function of an array, its extents, whether a loop computes it
    "vectors": (fnp.tanh, (16,), True),
    "rows of vectors": (fnp.exp, (3, 8), True),
    "not whole vectors": (fnp.tanh, (14,), False),
    "many of these": (fnp.tanh, (45,), True),
    "few instructions": (lambda x: x * 2.0, (16,), False),
    "with a number": (lambda x: fnp.logaddexp(x, 0.5), (16,), True),
    "of broadcast rows": (lambda x: fnp.logaddexp(x, x[:1]), (2, 8), False),
    "empty": (fnp.tanh, (0,), False),
}


@pytest.mark.parametrize("name", LOOPS_OVER_ELEMENTS)
def test_heavy_functions_of_many_elements_are_loops(name: str) -> None:
    f, shape, expected = LOOPS_OVER_ELEMENTS[name]
    loop = lambda x: lax.scan(lambda c, _: (0.5 * f(c), None), x, None, length=4)[0]
    x = np.linspace(-1.0, 1.0, int(np.prod(shape))).reshape(shape)
    lowered = ft.jit(loop).lower(x)
    assert "scan in registers" in lowered.source
    assert (f"for i0 in range({x.size})" in lowered.source) is expected
    np.testing.assert_allclose(lowered.compile()(x), loop(x), rtol=1e-12, atol=1e-15)


def renamed(program: Any) -> Any:
    """An equal Program that the cache of compiled ones does not know."""
    from functrans.core.program import Program

    return Program(program.inputs, program.equations, program.outputs, "other")


def lowering_runs(program: Any, x: Any) -> Any:
    from functrans.compiler.compile import Compiled

    return Compiled(program)([x])


def test_what_is_too_large_runs_in_the_schedule() -> None:
    big = lambda x: lax.scan(lambda c, _: (fnp.sin(c), None), x, None, length=4)[0]
    source = ft.jit(big).lower(np.ones(1000)).source
    assert "ft_scan" in source and "in registers" not in source
    sorting = lambda x: lax.scan(lambda c, _: (fnp.sort(c)[::-1] * 0.9, None), x, None, length=4)[0]
    assert "ft_scan" in ft.jit(sorting).lower(SMALL).source
    np.testing.assert_allclose(ft.jit(sorting)(SMALL), sorting(SMALL))


@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 1025, 5000])
def test_lengths_share_a_kernel(length: int) -> None:
    f = ft.jit(lambda x, ys: lax.scan(lambda c, y: (c * 0.5 + y, c), x, ys))
    ys = np.arange(float(length))
    last, stack = f(1.0, ys)
    c = 1.0
    for k, y in enumerate(ys):
        assert stack[k] == c
        c = c * 0.5 + y
    assert last == c and stack.shape == (length,)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_a_loop_that_never_ends_is_interrupted() -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals go to the main thread")
    forever = ft.jit(lambda x: lax.while_loop(lambda v: v > -1.0, lambda v: fnp.sin(v) + 1.0, x))
    assert "in registers" in forever.lower(1.0).source

    class RangError(Exception):
        pass

    def ring(*_: Any) -> None:
        raise RangError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(RangError):
            forever(1.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert ft.jit(lambda x: lax.while_loop(lambda v: v < 9.0, lambda v: v * 2, x))(1.0) == 16.0
