"""Random nestings of loops, branches, calls and custom rules are what they are unrolled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.primitives.checkpoints import checkpoint, checkpoint_policies
from functrans.primitives.custom_jvp import custom_jvp
from functrans.primitives.custom_vjp import custom_vjp
from functrans.transforms.inspect import make_program

Body = Callable[[Any, Any], Any]
"""(state, parameter) → state, both vectors of two elements."""


def as_explicit_vjp(f: Body) -> Body:
    g = custom_vjp(f)
    g.defvjp(lambda c, w: (f(c, w), (c, w)), lambda r, ct: ft.vjp(f, *r)[1](ct))
    return g


def as_custom_jvp(f: Body) -> Body:
    g = custom_jvp(f)
    g.defjvp(lambda primals, tangents: ft.jvp(f, primals, tangents))
    return g


WRAPPERS: list[Callable[[Body], Body]] = [
    ft.jit,
    checkpoint,
    lambda f: checkpoint(f, policy=checkpoint_policies.everything_saveable),
    as_custom_jvp,
    as_explicit_vjp,
]


def simple(rng: np.random.RandomState) -> tuple[Body, Body]:
    a, kind = rng.uniform(-1, 1, size=2), rng.randint(4)
    bodies: list[Body] = [
        lambda c, w: c * w + a,
        lambda c, w: c * c * 0.3 - w[::-1] * a,
        lambda c, w: fnp.stack([c[1] * w[0], c[0] + w[1]]),
        lambda c, w: fnp.where(c > a, c * 0.5, w * c * 0.7),
    ]
    return bodies[kind], bodies[kind]


def build(rng: np.random.RandomState, depth: int) -> tuple[Body, Body]:
    """A random structured body, and the same unrolled."""
    if depth == 0:
        return simple(rng)
    (f, f0), (g, g0) = build(rng, depth - 1), build(rng, depth - 1)
    kind = rng.randint(6)
    if kind == 0:
        xs = rng.uniform(-1, 1, size=(rng.randint(1, 4), 2))
        reverse = bool(rng.randint(2))

        def scanned(c: Any, w: Any) -> Any:
            last, ys = lax.scan(lambda c, x: (f(c, w * x), c * x), c, xs, reverse=reverse)
            return last + fnp.sum(ys, axis=0) * 0.1

        def unrolled(c: Any, w: Any) -> Any:
            total = c * 0.0
            for x in xs[::-1] if reverse else xs:
                total = total + c * x
                c = f0(c, w * x)
            return c + total * 0.1

        return scanned, unrolled
    if kind == 1:
        pivot = rng.uniform(-0.3, 0.3)
        return (
            lambda c, w: lax.cond(c[0] > pivot, f, g, c, w),
            lambda c, w: f0(c, w) if c[0] > pivot else g0(c, w),
        )
    if kind == 2:
        n = rng.randint(0, 4)

        def repeated(c: Any, w: Any) -> Any:
            for _ in range(n):
                c = f0(c, w)
            return c

        return lambda c, w: lax.fori_loop(0, n, lambda i, c: f(c, w), c), repeated
    if kind == 3:
        wrap = WRAPPERS[rng.randint(len(WRAPPERS))]
        return wrap(f), f0
    if kind == 4:
        return lambda c, w: g(f(c, w), w * 0.5), lambda c, w: g0(f0(c, w), w * 0.5)
    scale = rng.uniform(-1, 1, size=(3, 2))

    def mapped(c: Any, w: Any) -> Any:
        return fnp.sum(ft.vmap(f, (0, None))(c * scale, w), axis=0) * 0.4

    def summed(c: Any, w: Any) -> Any:
        return sum(f0(c * s, w) for s in scale) * 0.4

    return mapped, summed


@pytest.mark.parametrize("seed", range(40))
def test_random_structure(seed: int) -> None:
    rng = np.random.RandomState(seed)
    f, f0 = build(rng, depth=1 + seed % 4)
    c, w = rng.uniform(-1, 1, size=(2, 2))
    loss = lambda h: lambda c, w: fnp.sum(h(c, w) ** 2)
    tol = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(f(c, w), f0(c, w), **tol)
    want = ft.grad(loss(f0), (0, 1))(c, w)
    np.testing.assert_allclose(ft.grad(loss(f), (0, 1))(c, w), want, **tol)
    second = ft.jacrev(ft.grad(loss(f0)))(c, w)
    np.testing.assert_allclose(ft.jacrev(ft.grad(loss(f)))(c, w), second, **tol)
    np.testing.assert_allclose(ft.hessian(loss(f))(c, w), second, **tol)
    many = rng.uniform(-1, 1, size=(3, 2))
    each = np.stack([ft.grad(loss(f0))(row, w) for row in many])
    np.testing.assert_allclose(ft.vmap(ft.grad(loss(f)), (0, None))(many, w), each, **tol)
    batch_loss = lambda m, w: fnp.sum(ft.vmap(loss(f), (0, None))(m, w))
    np.testing.assert_allclose(ft.grad(batch_loss)(many, w), each, **tol)
    for derived, args in (
        (ft.grad(loss(f)), (c, w)),
        (ft.vmap(ft.grad(loss(f)), (0, None)), (many, w)),
        (ft.jacrev(ft.grad(loss(f))), (c, w)),
    ):
        make_program(derived)(*args).check()
    compiled = ft.jit(ft.vmap(ft.grad(loss(f)), (0, None)))
    np.testing.assert_allclose(compiled(many, w), each, **tol)
