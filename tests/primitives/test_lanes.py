"""Under vmap every example runs its own branch and its own number of steps, or those of a few."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.program import Equation, Program, programs_in
from functrans.primitives import lanes
from functrans.transforms.inspect import make_program


def collatz(n: Any) -> Any:
    step = lambda s: (fnp.where(s[0] % 2 == 0, s[0] // 2, 3 * s[0] + 1), s[1] + 1)
    return lax.while_loop(lambda s: s[0] > 1, step, (n, 0))


def newton(c: Any) -> Any:
    return lax.while_loop(
        lambda x: abs(x + fnp.exp(x) - c) > 1e-9,
        lambda x: x - (x + fnp.exp(x) - c) / (1.0 + fnp.exp(x)),
        c * 0.0 + 1.0,
    )


def choice(x: Any) -> Any:
    many = lambda x: lax.fori_loop(0, 30, lambda i, v: fnp.sin(v) + x, x)
    return lax.cond(x > 0.5, many, lambda x: x * 2.0, x)


def nested(x: Any) -> Any:
    def outer(s: Any) -> Any:
        inner = lax.while_loop(lambda v: v[0] < s[0], lambda v: (v[0] + 1, v[1] * 0.9), (0, x))
        return s[0] + 1, s[1] + inner[1]

    return lax.while_loop(lambda s: (s[1] < 3.0) & (s[0] < 9), outer, (0, x))[1]


def pair(x: Any, y: Any) -> Any:
    return lax.while_loop(lambda s: s[0] < y, lambda s: (s[0] + x, s[1] * s[0]), (x, x))


def relaxed(x: Any) -> Any:
    """A body of 4000 numbers: more than scalar code."""
    grid = fnp.linspace(0.1, 1.0, 4000) * x
    step = lambda v: 0.6 * v + 0.4 * fnp.tanh(fnp.roll(v, 1) + grid)
    return fnp.mean(lax.while_loop(lambda v: fnp.mean(v) < 0.5 + 0.1 * x, step, grid * 0.1))


def solved(x: Any) -> Any:
    a = fnp.eye(12) * 2.0 + x / 12.0
    step = lambda v: fnp.linalg.solve(a, v + 1.0)
    return fnp.sum(lax.while_loop(lambda v: fnp.sum(v) < 3.0 - x / 2.0, step, fnp.zeros(12)))


def iterated(x: Any) -> Any:
    a = fnp.diag(fnp.linspace(0.1, 1.0, 12)) * x + 0.01
    step = lambda m: m * 0.7 + 0.02 * fnp.linalg.eigh(m)[0]
    return fnp.linalg.slogdet(lax.while_loop(lambda m: fnp.trace(m) > 2.0, step, a))[1]


def adapted(x: Any) -> Any:
    """With what has no form per element: the step is chosen without being differentiated."""

    def step(v: Any) -> Any:
        size = ft.stop_gradient(fnp.cumsum(v)[fnp.argmax(v)])
        return v * 0.8 + 0.01 * size * x

    return fnp.sum(lax.while_loop(lambda v: fnp.sum(v) > 1.0, step, fnp.linspace(0.1, 1.0, 4) * x))


def large_branches(x: Any) -> Any:
    grid = fnp.linspace(0.1, 1.0, 2000) * x
    many = lambda v: fnp.sin(v) * fnp.exp(-v * v)
    return fnp.mean(
        lax.switch(fnp.asarray(x, dtype=np.int32), [many, fnp.tanh, lambda v: v * 2.0], grid)
    )


def weighted(x: Any) -> Any:
    """Of many numbers that it captures a step reads some."""
    w = fnp.linspace(0.1, 1.0, 50) * x
    step = lambda s: (s[0] + 1, s[1] * 0.8 + 0.1 * fnp.sin(fnp.take(w, 3 * s[0]) * s[1]))
    return lax.while_loop(lambda s: (s[1] > 0.3) & (s[0] < 12), step, (0, 1.0 + x))[1]


REALS = np.array([0.2, 0.55, 0.9, 1.7, 2.5])
CASES: dict[str, tuple[Callable[..., Any], tuple, Any]] = {
    "integers": (collatz, (np.arange(1, 12),), 0),
    "reals": (newton, (REALS,), 0),
    "a branch": (choice, (REALS,), 0),
    "loops in loops": (nested, (REALS,), 0),
    "large arrays": (relaxed, (REALS,), 0),
    "systems": (solved, (REALS,), 0),
    "decompositions": (iterated, (REALS,), 0),
    "steps that are chosen": (adapted, (REALS,), 0),
    "large branches": (large_branches, (REALS,), 0),
    "one argument mapped": (pair, (0.3, REALS), (None, 0)),
    "the other mapped": (pair, (REALS, 3.0), (0, None)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_as_one_by_one(name: str, wrap: Any) -> None:
    f, args, in_axes = CASES[name]
    axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
    count = max(np.size(x) for x in args)
    rows = [
        f(*[x if a is None else x[i] for x, a in zip(args, axes, strict=True)])
        for i in range(count)
    ]
    want = ft.tree.map(lambda *parts: np.stack(parts), *rows)
    got = wrap(ft.vmap(f, in_axes))(*args)
    ft.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), got, want)


@pytest.mark.parametrize(
    "f", [newton, choice, nested, adapted, relaxed, solved, iterated, large_branches]
)
@pytest.mark.parametrize(
    "derivative",
    [
        lambda f: ft.vmap(ft.grad(f)),
        lambda f: ft.grad(lambda x: fnp.sum(ft.vmap(f)(x))),
        lambda f: lambda x: ft.jvp(ft.vmap(f), (x,), (np.ones_like(x),))[1],
    ],
    ids=["vmap of grad", "grad of vmap", "jvp of vmap"],
)
def test_derivatives(f: Any, derivative: Any) -> None:
    want = [ft.grad(f)(float(x)) for x in REALS]
    np.testing.assert_allclose(ft.jit(derivative(f))(REALS), want, rtol=1e-10)


def loops_in(program: Program) -> list[Equation]:
    """The while loops of a Program, at any depth."""
    found = [e for e in program.equations if e.primitive.name == "while_loop"]
    return found + [
        w for e in program.equations for p in programs_in(e.params) for w in loops_in(p)
    ]


@pytest.mark.parametrize("f", [newton, nested, choice, weighted])
@pytest.mark.parametrize("count", [3, 16, 37])
@pytest.mark.parametrize("derivative", [lambda f: f, ft.grad, lambda f: ft.jacfwd(ft.grad(f))])
def test_batches_of_any_size(f: Any, count: int, derivative: Any) -> None:
    xs = np.linspace(0.2, 2.5, count)
    want = np.stack([derivative(f)(x) for x in xs])
    np.testing.assert_allclose(ft.jit(ft.vmap(derivative(f)))(xs), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("steps", [[5] * 3 + [90] + [5] * 20, [0] * 24, [7] * 24, [1, 40] * 12])
@pytest.mark.parametrize("derivative", [lambda f: f, ft.grad])
def test_any_number_of_steps_beside_any_other(steps: list[int], derivative: Any) -> None:
    def f(x: Any, n: Any) -> Any:
        step = lambda s: (s[0] + 1, s[1] - 0.1 * fnp.sin(s[1] * x))
        return lax.while_loop(lambda s: s[0] < n, step, (0, x))[1]

    xs, counts = np.linspace(0.2, 2.5, 24), np.array(steps)
    want = np.stack([derivative(f)(x, n) for x, n in zip(xs, counts, strict=True)])
    got = ft.jit(ft.vmap(derivative(f)))(xs, counts)
    np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize("differentiate", [False, True])
def test_loops_of_a_few_numbers_run_block_by_block(differentiate: bool) -> None:
    f = ft.grad(newton) if differentiate else newton
    program = make_program(ft.vmap(f))(np.linspace(0.2, 2.5, 100))
    scans = [e for e in program.equations if e.primitive.name == "scan"]
    assert scans
    assert {e.params["length"] for e in scans} == {-(-100 // lanes.BLOCK)}


@pytest.mark.parametrize("f", [collatz, nested])
def test_loops_are_those_of_one_example(f: Any) -> None:
    x = np.arange(1, 12) if f is collatz else REALS
    loops = loops_in(make_program(ft.vmap(f))(x))
    assert loops
    assert not any(v.aval.size > 4 for e in loops for v in e.outputs)


@pytest.mark.parametrize("f", [relaxed, solved, iterated, large_branches])
def test_bodies_over_arrays_are_those_of_one_example(f: Any) -> None:
    inside = [e for e in make_program(ft.vmap(f))(REALS).equations if e.primitive.name == "scan"]
    assert len(inside) == 1
    (program,) = programs_in(inside[0].params)
    alone = make_program(f)(0.9)
    names = {"while_loop", "cond"}
    kept = [e for e in program.equations if e.primitive.name in names]
    assert [e.outputs[-1].aval for e in kept] == [
        e.outputs[-1].aval for e in alone.equations if e.primitive.name in names
    ]


@pytest.mark.parametrize("k", [None, 3])
def test_a_batch_of_gradients_needs_the_memory_of_one(k: int | None) -> None:
    def f(x: Any) -> Any:
        grid = fnp.linspace(0.1, 1.0, 500) * x
        step = lambda v: 0.9 * v + 0.1 * fnp.tanh(v + grid)
        return fnp.mean(lax.while_loop(lambda v: fnp.mean(v) < 0.5, step, grid, checkpoint=k))

    def taken(count: int) -> int:
        batch = ft.jit(ft.vmap(ft.grad(f)))
        return batch.lower(np.linspace(0.2, 0.9, count)).memory_analysis()["temp_size_in_bytes"]

    each = (taken(100) - taken(10)) / 90
    assert each < 500 * 8 * (5 if k is None else k + 5)


W = np.linspace(-0.3, 0.3, 32 * 32).reshape(32, 32)


def test_large_products_stay_together() -> None:
    def f(x: Any) -> Any:
        return lax.while_loop(lambda v: fnp.sum(v * v) > 0.1, lambda v: fnp.tanh(W @ v) * 0.5, x)

    x = np.linspace(-1.0, 1.0, 5 * 32).reshape(5, 32)
    program = make_program(ft.vmap(f))(x)
    assert [e.primitive.name for e in program.equations].count("while_loop") == 1
    want = np.stack([f(row) for row in x])
    np.testing.assert_allclose(ft.jit(ft.vmap(f))(x), want, rtol=1e-12)


def test_collectives_stay_together() -> None:
    def f(x: Any) -> Any:
        total = lambda v: lax.psum(v, "i")
        return lax.while_loop(lambda v: v + total(v) < 50.0, lambda v: v + total(v) * 0.1 + 1.0, x)

    got = ft.vmap(f, axis_name="i")(REALS)
    assert got.shape == REALS.shape


def test_effects_of_a_loop_are_not_repeated_by_its_derivative() -> None:
    seen: list[float] = []

    def f(x: Any, kind: str) -> Any:
        def step(v: Any) -> Any:
            ft.debug.callback(lambda v: seen.append(float(v)), v)
            return v * 2.0

        if kind == "while":
            return lax.while_loop(lambda v: v < 10.0, step, x)
        return lax.scan(lambda v, _: (step(v), None), x, None, 4, checkpoint=2)[0]

    for kind in ("while", "scan"):
        for wrap in (lambda g: g, ft.jit):
            seen.clear()
            assert wrap(ft.grad(lambda x, kind=kind: f(x, kind)))(1.0) == 16.0
            assert seen == [1.0, 2.0, 4.0, 8.0]
