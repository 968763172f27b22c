"""Checkpoints of loops: every step once, in reverse order, from as few runs as can be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from math import comb
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import TransformError
from functrans.core.interpret import evaluate
from functrans.core.trace import make_program_flat
from functrans.primitives.online_revolve import keep_online
from functrans.primitives.revolve import division, keep, reverse
from functrans.primitives.while_loops import COUNT


@cache
def fewest_runs(steps: int, slots: int) -> int:
    """Runs of the body forward that reverse a loop takes at least, by dynamic programming.

    One slot holds the first carry; the last carry is run to and not kept.
    """
    if steps <= 1:
        return 0
    if slots == 1:
        return steps * (steps - 1) // 2
    return min(
        m + fewest_runs(steps - m, slots - 1) + fewest_runs(m, slots) for m in range(1, steps)
    )


def reversal(steps: int, slots: int, online: bool) -> tuple[list[tuple[int, int]], Counter[int]]:
    """The (number, carry) of the steps as they are reversed; how often each was run forward."""
    order: list[tuple[int, int]] = []
    runs: Counter[int] = Counter()

    def run(i: Any, x: Any) -> Any:
        runs[int(i)] += 1
        assert i == x
        return np.int64(x + 1)

    def note(i: Any, x: Any, state: Any) -> Any:
        order.append((int(i), int(x)))
        return state

    scalar = ft.ShapeDtypeStruct((), np.int64)
    step = lambda i, carry: [ft.pure_callback(run, scalar, i, carry[0])]
    back = lambda i, carry, state: [ft.pure_callback(note, scalar, i, carry[0], state[0])]

    def forward_and_back(args: Any) -> Any:
        (count,), first = args, [np.int64(0)]
        if online:
            total, _, kept = keep_online(lambda v: v[0] < count, first, step, slots, list)
            return [total, *reverse(kept, 1, first, step, back, slots)]
        _, kept = keep(count, first, step, slots)
        return [count, *reverse(kept, 1, first, step, back, slots)]

    program = make_program_flat(forward_and_back, [COUNT], "reversal")
    assert evaluate(program, [np.int64(steps)])[0] == steps
    return order, runs


SLOTS = [1, 2, 3, 4, 7]
STEPS = [0, 1, 2, 3, 4, 5, 8, 13, 21, 34, 60]


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("steps", STEPS)
def test_every_step_in_reverse_order_and_no_run_too_many(steps: int, slots: int) -> None:
    order, runs = reversal(steps, slots, online=False)
    assert order == [(i, i) for i in reversed(range(steps))]
    assert runs.total() == fewest_runs(steps, slots)


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("steps", STEPS)
def test_no_step_runs_more_often_than_it_must_where_nobody_knows_how_many_there_are(
    steps: int, slots: int
) -> None:
    """A step is run r times at most, r being the least with C(slots + r, slots) >= steps."""
    order, runs = reversal(steps, slots, online=True)
    assert order == [(i, i) for i in reversed(range(steps))]
    fewest = next(r for r in range(steps + 1) if comb(slots + r, slots) >= steps)
    assert max(runs.values(), default=0) <= max(fewest, min(steps, 1))
    known = fewest_runs(steps, slots) + min(steps, 1)  # this loop runs its last step too
    assert known <= runs.total() <= 1.2 * known


@pytest.mark.parametrize(
    ("steps", "slots"),
    [
        (steps, slots)
        for steps in (3, 10, 99, 1000, 10**6, 10**12)
        for slots in (2, 3, 10, 384)
        if steps > slots  # what fits is not divided
    ],
)
def test_divisions_leave_both_parts_at_their_optimum(steps: int, slots: int) -> None:
    """The runs of a whole are those of its parts: t(l, s) = r l - C(s + r, s + 1)."""
    divide = make_program_flat(lambda a: [division(*a)], [COUNT, COUNT], "division")
    (m,) = map(int, evaluate(divide, [np.int64(steps), np.int64(slots)]))

    def runs(steps: int, slots: int) -> int:
        r, reach = 0, 1
        while reach < steps:
            r += 1
            reach = reach * (slots + r) // r
        return r * steps - reach * r // (slots + 1)

    assert 0 < m < steps
    assert runs(steps, slots) == m + runs(m, slots) + runs(steps - m, slots - 1)


@pytest.mark.parametrize("kind", ["scan", "while_loop", "fori_loop"])
def test_memory_is_that_of_the_kept_carries(kind: str) -> None:
    steps, size = 1000, 500

    def f(x: Any, n: Any, k: int) -> Any:
        step = lambda v: fnp.sin(v) * x + v * 0.3
        if kind == "scan":
            y = lax.scan(lambda v, _: (step(v), None), x, None, steps, checkpoint=k)[0]
        elif kind == "while_loop":
            goes_on = lambda c: c[0] < n
            y = lax.while_loop(goes_on, lambda c: (c[0] + 1, step(c[1])), (0, x), checkpoint=k)[1]
        else:
            y = lax.fori_loop(0, n, lambda _, v: step(v), x, checkpoint=k)
        return fnp.sum(y)

    x = np.linspace(0.1, 0.7, size)
    ordinary = lambda x: lax.fori_loop(0, steps, lambda _, v: fnp.sin(v) * x + v * 0.3, x)
    want = ft.grad(lambda x: fnp.sum(ordinary(x)))(x)
    carries = {}
    for k in (3, 10, 50):
        compiled = ft.jit(ft.grad(f), static_argnums=2).lower(x, steps, k)
        carries[k] = compiled.memory_analysis()["temp_size_in_bytes"] / (8 * size)
        np.testing.assert_allclose(compiled.compile()(x, steps), want, rtol=1e-12)
    assert carries[50] < 100
    assert abs(carries[50] - carries[10] - 40) < 1
    assert abs(carries[10] - carries[3] - 7) < 1


SECOND: dict[str, Callable[[Any], Any]] = {
    "reverse over reverse": lambda f: ft.grad(ft.grad(f)),
    "forward over reverse": lambda f: lambda x: ft.jvp(ft.grad(f), (x,), (1.0,))[1],
    "reverse over forward": lambda f: ft.grad(lambda x: ft.jvp(f, (x,), (1.0,))[1]),
}


HESSIANS: dict[str, Callable[[Any], Any]] = {
    "forward over reverse": ft.hessian,
    "batched pull-back of a pull-back": lambda f: ft.jacrev(ft.jacrev(f)),
    "forward over a batched pull-back": lambda f: ft.jacfwd(ft.jacrev(f)),
    "reverse over forward": lambda f: ft.jacrev(ft.jacfwd(f)),
    "gradients of a batch": lambda f: (
        lambda x: ft.grad(lambda xs: fnp.sum(ft.vmap(ft.grad(f))(xs)[0]))(fnp.stack([x, x]))[0]
    ),
}


@pytest.mark.parametrize("order", HESSIANS)
@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("kind", ["scan", "while_loop"])
@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_what_was_kept_has_no_part_in_second_derivatives(
    order: str, k: int, kind: str, wrap: Any
) -> None:
    def f(x: Any, k: int | None) -> Any:
        step = lambda v: fnp.sin(v) * x + v * 0.3
        if kind == "scan":
            return fnp.sum(lax.scan(lambda v, _: (step(v), None), x, None, 20, checkpoint=k)[0])
        goes_on, count = lambda c: c[0] < 20, lambda c: (c[0] + 1, step(c[1]))
        return fnp.sum(lax.while_loop(goes_on, count, (0, x), checkpoint=k)[1])

    x = np.linspace(0.5, 1.2, 3)
    want = ft.jacfwd(ft.jacfwd(lambda x: f(x, None)))(x)
    got = wrap(HESSIANS[order](lambda x: f(x, k)))(x)
    if order == "gradients of a batch":
        want = want.sum(axis=0)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", SECOND)
def test_memory_of_second_derivatives_does_not_grow_with_the_steps(order: str) -> None:
    def f(x: Any, steps: int, k: int | None) -> Any:
        step = lambda v, _: (fnp.sin(v) * x + v * 0.3, None)
        return lax.scan(step, x, None, steps, checkpoint=k)[0]

    taken = []
    for steps in (300, 1500):
        compiled = ft.jit(SECOND[order](lambda x, n=steps: f(x, n, 4))).lower(0.7)
        want = ft.jvp(ft.grad(lambda x, n=steps: f(x, n, None)), (0.7,), (1.0,))[1]
        np.testing.assert_allclose(compiled.compile()(0.7), want, rtol=1e-9)
        taken.append(compiled.memory_analysis()["temp_size_in_bytes"])
    assert taken[0] == taken[1]


def test_what_the_derivative_does_not_read_of_a_carry_is_not_kept() -> None:
    def f(x: Any, summed: bool) -> Any:
        step = lambda c: (c[0] + 1, fnp.sin(c[1]) * x, c[2] + c[1] if summed else c[2])
        last = lax.while_loop(lambda c: c[0] < 100, step, (0, x, 0.0 * x))
        return fnp.sum(last[1] + last[2])

    x = np.linspace(0.1, 0.7, 64)
    kept = []
    for summed in (False, True):
        compiled = ft.jit(ft.grad(lambda x, s=summed: f(x, s))).lower(x)
        want = ft.jacfwd(lambda x, s=summed: f(x, s))(x)
        np.testing.assert_allclose(compiled.compile()(x), want, rtol=1e-12)
        kept.append(compiled.memory_analysis()["temp_size_in_bytes"])
    assert kept[1] - kept[0] < 4 * x.nbytes


@pytest.mark.parametrize("checkpoint", [0, -1, 2.0, True, "all"])
def test_checkpoint_must_be_a_number_of_carries(checkpoint: Any) -> None:
    calls = [
        lambda: lax.scan(lambda c, x: (c, x), 1.0, np.ones(3), checkpoint=checkpoint),
        lambda: lax.while_loop(lambda c: c < 3, lambda c: c + 1, 1, checkpoint=checkpoint),
        lambda: lax.fori_loop(0, 3, lambda i, c: c, 1.0, checkpoint=checkpoint),
    ]
    for call in calls:
        with pytest.raises(TransformError, match=f"a positive int, got .*: {checkpoint!r}"):
            call()


def test_too_much_to_keep_is_an_error_that_says_what_to_do() -> None:
    def f(x: Any) -> Any:
        return fnp.sum(lax.scan(lambda c, _: (fnp.sin(c) * x, None), x, None, 10**11)[0])

    compile_it = ft.jit(ft.grad(f)).lower(np.ones(1000)).compile
    with pytest.raises(MemoryError, match=r"(?s)GiB.*of scan.*test_revolve.*checkpoint=k"):
        compile_it()


@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit inside"])
@pytest.mark.parametrize("steps", [8, 10**5], ids=["in NumPy", "compiled"])
def test_too_much_to_keep_outside_of_jit_is_the_same_error(wrap: Any, steps: int) -> None:
    """There, it is what loops and jitted functions return that may not fit."""

    def f(x: Any) -> Any:
        step = lambda c, _: (c * c, fnp.broadcast_to(fnp.sin(c), (10**13 // steps,)))
        return fnp.sum(lax.scan(step, x, None, steps)[1][:, 0])

    with pytest.raises(MemoryError, match=r"(?s)GiB.*test_revolve.*checkpoint=k"):
        ft.grad(wrap(f))(0.5)


@pytest.mark.parametrize("steps", [0, 1, 2, 127, 128, 129, 1000, 128**2, 128**2 + 1, 40_000])
def test_reverse_mode_of_a_while_loop_of_many_steps(steps: int) -> None:
    """The numbers of steps around those at which checkpoints take another level."""

    def f(x: Any, n: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, v: fnp.sin(v) * x + v * 1e-3 * (i % 3), x)

    values, slopes = lax.scan(
        lambda c, i: ((fnp.sin(c[0]) * 1.5 + c[0] * 1e-3 * (i % 3),
                       (fnp.cos(c[0]) * 1.5 + 1e-3 * (i % 3)) * c[1] + fnp.sin(c[0])), None),
        (1.5, 1.0), np.arange(steps),
    )[0]  # fmt: skip
    value, slope = ft.jit(ft.value_and_grad(f))(1.5, steps)
    np.testing.assert_allclose(value, values, rtol=1e-10)
    np.testing.assert_allclose(slope, slopes, rtol=1e-8)


def test_checkpoints_of_large_carries_take_bounded_memory() -> None:
    def f(x: Any, n: Any) -> Any:
        return fnp.sum(lax.fori_loop(0, n, lambda i, v: fnp.sin(v) * x, x))

    x = np.linspace(0.1, 1.0, 200_000)
    compiled = ft.jit(ft.grad(f)).lower(x, 30)
    assert compiled.memory_analysis()["temp_size_in_bytes"] < 400 << 20
    want = ft.grad(lambda x: f(x, 30))(x)  # known bounds: a scan, which keeps every step
    np.testing.assert_allclose(compiled.compile()(x, 30), want, rtol=1e-12)
