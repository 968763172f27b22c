"""Control flow nested to depth three × transforms: what the same nest of Python loops gives.

Rows are nests of the constructs in constructs.py, columns the transforms below. A column says how
functrans computes something of a body and, where that is not the same in words, how its meaning is
computed from the Python nest: second derivatives in forward mode, batches by a loop. Every column
is run eagerly, as a traced Program evaluated with NumPy, or compiled. FUNCTRANS_TABLE=1 runs all of
it (hours); by default a fixed sample, in which every construct meets every column.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import numpy as fnp
from functrans.core import tree
from functrans.core.interpret import evaluate
from functrans.test_util import check_grads
from tests.lax.constructs import CONSTRUCTS, Body, Plain, Structured, nest

X, T = np.array([0.43, -0.7]), np.array([0.37, 0.81])
XS = np.array([X, [-0.62, 0.3], [0.9, 0.52]])
TS = np.array([T, [0.7, -0.25], [-0.4, 0.66]])
DX, DT = np.array([0.8, -0.5]), np.array([0.3, 1.1])
BOTH = (0, 1)

# --- columns: functions from a body to a function of x and t ----


def loss(f: Body) -> Body:
    def of(x: Any, t: Any) -> Any:
        y = f(x, t)
        return fnp.sum(y * y * np.array([1.0, 0.6])) + y[1]

    return of


def along(f: Body) -> Body:
    """The derivative in one direction, forward."""
    return lambda x, t: ft.jvp(f, (x, t), (DX, DT))[1]


def linearized(f: Body) -> Body:
    return lambda x, t: ft.linearize(f, x, t)[1](DX, DT)


def pulled(f: Body) -> Body:
    def of(x: Any, t: Any) -> Any:
        y, pull = ft.vjp(f, x, t)
        return y, pull(np.array([0.3, -1.2]))

    return of


def transposed(f: Body) -> Body:
    """Of the derivative beside the value, which the transposition has to tell apart."""

    def of(x: Any, t: Any) -> Any:
        push = lambda dx, dt: ft.jvp(f, (x, t), (dx, dt))[1]
        return f(x, t), ft.linear_transpose(push, x, t)(np.array([0.3, -1.2]))

    return of


def jacobian_pulled(f: Body) -> Body:
    def of(x: Any, t: Any) -> Any:
        rows = ft.jacfwd(f, BOTH)(x, t)
        return f(x, t), tuple(np.array([0.3, -1.2]) @ j for j in rows)

    return of


def inner(pair: Any) -> Any:
    return fnp.sum(pair[0] * DX) + fnp.sum(pair[1] * DT)


grad = lambda f: ft.grad(f, BOTH)
forward_gradient = lambda f: ft.jacfwd(f, BOTH)
forward_over_forward = lambda f: forward_gradient(along(loss(f)))
same = lambda f: f
examples = lambda f: (
    lambda x, t: tree.map(
        lambda *rows: np.stack(rows), *[f(x, t) for x, t in zip(x, t, strict=True)]
    )
)


def mapped(f: Body) -> Body:
    """Over rows of both arguments."""
    return lambda x, t: ft.vmap(f)(*rows(x, t))


def looped(f: Body) -> Body:
    return lambda x, t: examples(f)(*rows(x, t))


def rows(x: Any, t: Any) -> tuple[Any, Any]:
    return x + (XS - X), t + (TS - T)


def mapped_x(f: Body) -> Body:
    """Predicates and trip counts differ, the parameter does not."""
    return lambda x, t: ft.vmap(f, (0, None), out_axes=-1)(rows(x, t)[0], t)


def looped_x(f: Body) -> Body:
    of = lambda x, t: examples(f)(rows(x, t)[0], [t] * 3)
    return lambda x, t: tree.map(lambda y: np.moveaxis(y, 0, -1), of(x, t))


def mapped_t(f: Body) -> Body:
    """The parameter differs, trip counts (mostly) do not."""
    return lambda x, t: ft.vmap(f, (None, 1))(x, rows(x, t)[1].T)


def looped_t(f: Body) -> Body:
    return lambda x, t: examples(f)([x] * 3, rows(x, t)[1])


def summed_batch(f: Body) -> Body:
    return lambda x, t: fnp.sum(ft.vmap(loss(f))(*rows(x, t)))


def summed_examples(f: Body) -> Body:
    def of(x: Any, t: Any) -> Any:
        every = looped(forward_gradient(loss(f)))(x, t)
        return tuple(np.sum(g, axis=0) for g in every)

    return of


Column = tuple[Callable[[Body], Body], Callable[[Body], Body]]
COLUMNS: dict[str, Column] = {
    "value": (same, same),
    "jvp": (along, along),
    "linearize": (linearized, along),
    "vjp": (pulled, jacobian_pulled),
    "linear_transpose": (transposed, jacobian_pulled),
    "grad": (lambda f: grad(loss(f)), lambda f: forward_gradient(loss(f))),
    "jacfwd": (lambda f: ft.jacfwd(f, BOTH), lambda f: ft.jacfwd(f, BOTH)),
    "jacrev": (lambda f: ft.jacrev(f, BOTH), lambda f: ft.jacfwd(f, BOTH)),
    "checkpoint": (lambda f: grad(loss(ft.checkpoint(f))), lambda f: forward_gradient(loss(f))),
    "hvp forward over forward": (forward_over_forward, forward_over_forward),
    "hvp forward over reverse": (lambda f: along(grad(loss(f))), forward_over_forward),
    "hvp reverse over forward": (lambda f: grad(along(loss(f))), forward_over_forward),
    "hvp reverse over reverse": (
        lambda f: grad(lambda x, t: inner(grad(loss(f))(x, t))),
        forward_over_forward,
    ),
    "hessian": (
        lambda f: ft.hessian(loss(f), BOTH),
        lambda f: forward_gradient(forward_gradient(loss(f))),
    ),
    "vmap": (mapped, looped),
    "vmap x": (mapped_x, looped_x),
    "vmap t": (mapped_t, looped_t),
    "vmap of jvp": (lambda f: mapped_x(along(f)), lambda f: looped_x(along(f))),
    "vmap of grad": (
        lambda f: mapped(grad(loss(f))),
        lambda f: looped(forward_gradient(loss(f))),
    ),
    "vmap of vmap": (lambda f: mapped_x(mapped_t(f)), lambda f: looped_x(looped_t(f))),
    "grad of vmap": (lambda f: grad(summed_batch(f)), summed_examples),
    "jvp of vmap of grad": (
        lambda f: along(mapped_x(grad(loss(f)))),
        lambda f: looped_x(forward_over_forward(f)),
    ),
}


# --- ways to run ----


def staged(f: Body) -> Body:
    """Traced without values, checked, and evaluated equation by equation."""

    def run(x: Any, t: Any) -> Any:
        program, shape = ft.make_program(f, return_shape=True)(x, t)
        program.check()
        return tree.unflatten(tree.structure(shape), evaluate(program, [x, t]))

    return run


WAYS: dict[str, Callable[[Body], Body]] = {"eager": same, "staged": staged, "jit": ft.jit}


def agree(names: tuple[str, ...], column: str, way: str) -> None:
    transform, meaning = COLUMNS[column]
    want = meaning(nest(names, Plain))(X, T)
    got = WAYS[way](transform(nest(names, Structured)))(X, T)
    assert tree.structure(got) == tree.structure(want)
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert np.shape(g) == np.shape(w) and np.asarray(g).dtype == np.float64
        np.testing.assert_allclose(g, w, rtol=1e-8, atol=1e-9)


# --- rows ----

EVERYTHING = "FUNCTRANS_TABLE" in os.environ


def sample(depth: int, count: int, seed: int) -> list[tuple[tuple[str, ...], str, str]]:
    """Nests of a depth with a column and a way: each nest once before any twice."""
    nests = list(itertools.product(CONSTRUCTS, repeat=depth))
    cells = list(itertools.product(COLUMNS, WAYS))
    if EVERYTHING:
        rows = itertools.product(nests, cells)
    else:
        draw = random.Random(seed)
        draw.shuffle(nests)
        draw.shuffle(cells)
        rows = zip(itertools.cycle(nests), itertools.cycle(cells))
    there = ((names, *cell) for names, cell in rows)
    return list(there if EVERYTHING else itertools.islice(there, count))


def cell_id(value: Any) -> str:
    return " ".join(value) if isinstance(value, tuple) else value


SINGLE = [
    ((name,), column, way)
    for i, name in enumerate(CONSTRUCTS)
    for j, column in enumerate(COLUMNS)
    for k, way in enumerate(WAYS)
    if EVERYTHING or (i + j) % len(WAYS) == k
]


@pytest.mark.parametrize(("names", "column", "way"), SINGLE, ids=cell_id)
def test_single_constructs(names: tuple[str, ...], column: str, way: str) -> None:
    agree(names, column, way)


@pytest.mark.parametrize(("names", "column", "way"), sample(2, 60, 0), ids=cell_id)
def test_pairs(names: tuple[str, ...], column: str, way: str) -> None:
    agree(names, column, way)


@pytest.mark.parametrize(("names", "column", "way"), sample(3, 16, 1), ids=cell_id)
def test_triples(names: tuple[str, ...], column: str, way: str) -> None:
    agree(names, column, way)


@pytest.mark.parametrize("name", list(CONSTRUCTS))
def test_derivatives_against_differences(name: str) -> None:
    check_grads(nest((name,), Structured), (X, T), 2, atol=1e-4, rtol=1e-4)
