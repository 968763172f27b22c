"""What branches inside of loops compute again for their derivative happens only if they were taken.

Rows and the loops that they are made of are those of test_residuals.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from tests.lax.constructs import Plain, Structured
from tests.primitives.test_residuals import STACKED, XS, C, W, choosing, gradient, loss, over

IN_BRANCHES = [name for name in STACKED if "branch" in name or "switch" in name]
NEVER, SOMETIMES = -1.0 - XS**2, XS


@pytest.mark.parametrize("name", IN_BRANCHES)
def test_examples_take_their_own_branches(name: str) -> None:
    f, _ = STACKED[name]
    args = W, np.stack([C, -C, 2 * C]), np.stack([XS, -XS, XS[::-1]])
    plain = ft.jacfwd(loss(f, Plain), (0, 1, 2))
    want = [
        np.stack(rows)
        for rows in zip(*[plain(W, c, xs) for c, xs in zip(*args[1:], strict=True)], strict=True)
    ]
    batched = ft.vmap(gradient(f), (None, 0, 0))
    of_batch = lambda w, c, xs: fnp.sum(ft.vmap(loss(f, Structured), (None, 0, 0))(w, c, xs))
    whole = ft.grad(of_batch, (0, 1, 2))
    for way in (lambda g: g), ft.jit:
        for got, gradients in zip(way(batched)(*args), want, strict=True):
            np.testing.assert_allclose(got, gradients, rtol=1e-12, atol=1e-12)
        got_w, *others = way(whole)(*args)
        np.testing.assert_allclose(got_w, want[0].sum(0), rtol=1e-12, atol=1e-12)
        for got, gradients in zip(others, want[1:], strict=True):
            np.testing.assert_allclose(got, gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", IN_BRANCHES)
def test_second_derivatives_agree_in_every_order_of_the_modes(name: str) -> None:
    f, _ = STACKED[name]
    want = ft.jacfwd(ft.jacfwd(loss(f, Plain), 0), 0)(W, C, XS)
    of = loss(f, Structured)
    for outer in ft.jacfwd, ft.jacrev:
        for inner in ft.jacfwd, ft.jacrev:
            second = ft.jit(outer(inner(of, 0), 0))
            np.testing.assert_allclose(second(W, C, XS), want, rtol=1e-10, atol=1e-12)


def never_ends(w: Any) -> Any:
    return lax.while_loop(lambda v: fnp.all(v > 0.0), lambda v: v + 1.0, w)


FAILING = {
    "has no derivative": (np.zeros(3), lambda w: fnp.sqrt(w) + fnp.log(w)),
    "is not a number": (-W, lambda w: fnp.sqrt(w)),
    "raises": (-W, lambda w: fnp.diag(fnp.linalg.cholesky(fnp.diag(w)))),
    "never ends": (W, lambda w: never_ends(lax.stop_gradient(w))),
}


@pytest.mark.parametrize("name", FAILING)
@pytest.mark.parametrize("way", [lambda g: g, ft.jit], ids=["eager", "jit"])
def test_what_no_step_takes_is_not_computed(name: str, way: Any) -> None:
    w, f = FAILING[name]

    def of(w: Any, c: Any) -> Any:
        branches = lambda c, w: c * f(w), lambda c, w: c * w * w
        loop = over(Structured, lambda c, x: lax.cond(x[0] > 0.0, *branches, c, w), c, NEVER)
        return fnp.sum(loop * loop)

    plain = lambda w, c: fnp.sum((c * w**8) ** 2)
    got, want = way(ft.grad(of, (0, 1)))(w, C), ft.grad(plain, (0, 1))(w, C)
    np.testing.assert_allclose(got, want, rtol=1e-12)
    along = lambda of: ft.grad(lambda w, c: fnp.sum(ft.grad(of)(w, c) * C), (0, 1))
    np.testing.assert_allclose(way(along(of))(w, C), along(plain)(w, C), rtol=1e-11)


@pytest.mark.parametrize(("xs", "times"), [(NEVER, 0), (SOMETIMES, 3)], ids=["never", "twice"])
def test_it_is_computed_once_more_after_the_loop(xs: Any, times: int) -> None:
    calls = []

    def sine(w: Any) -> Any:
        calls.append(w)
        return np.sin(w)

    def of(c: Any, w: Any) -> Any:
        factor = lambda w: ft.pure_callback(sine, ft.ShapeDtypeStruct((3,), np.float64), w)
        branches = lambda c, w: c * factor(w), lambda c, w: c
        return fnp.sum(over(Structured, lambda c, x: lax.cond(x[0] > 0.0, *branches, c, w), c, xs))

    got = ft.jit(ft.grad(of))(C, W)
    np.testing.assert_allclose(got, np.sin(W) ** max(times - 1, 0), rtol=1e-12)
    assert len(calls) == times


@pytest.mark.parametrize("way", [lambda g: g, ft.jit], ids=["eager", "jit"])
def test_effects_in_branches_happen_once_a_step(way: Any) -> None:
    seen: list[float] = []

    def noisy(c: Any) -> Any:
        ft.debug.callback(lambda x: seen.append(float(x)), fnp.sum(c))
        return c * fnp.exp(W)

    of = lambda c: fnp.sum(choosing(Structured, noisy, lambda c: c, c, SOMETIMES))
    way(ft.grad(of))(C)
    steps = int(np.sum(SOMETIMES[:, 0] > 0))
    want = [np.sum(C * np.exp(W) ** i) for i in range(steps)]
    np.testing.assert_allclose(seen, want, rtol=1e-12)


def test_a_loop_without_steps_takes_no_branch() -> None:
    of = lambda w: fnp.sum(choosing(Structured, lambda c: c * fnp.exp(w), lambda c: c, C, XS[:0]))
    np.testing.assert_array_equal(ft.jit(ft.grad(of))(W), np.zeros(3))


def test_memory_does_not_grow_with_the_steps() -> None:
    w = np.linspace(0.0, 1e-3, 1000)

    def nbytes(steps: int) -> int:
        def of(c: Any, xs: Any) -> Any:
            taken = lambda c: c * fnp.exp(w).sum() / 1000
            body = lambda c, x: (lax.cond(x > 0, taken, lambda c: c + w[0], c), None)
            return fnp.sum(lax.scan(body, c, xs)[0])

        lowered = ft.jit(ft.grad(of)).lower(np.ones(1000), np.ones(steps))
        return lowered.memory_analysis()["temp_size_in_bytes"]

    assert nbytes(2000) - nbytes(1000) < 10 * 1000
