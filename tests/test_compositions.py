"""Transforms in random order to depth four: right, well-formed, and the same traced and compiled.

A transform here takes a function R^shape → tree of arrays and gives another such function, so any
sequence of them is one. What a sequence computes is compared with the same sequence in which one
transform, drawn at random, is replaced by arithmetic that knows nothing of Programs: a difference
quotient, a Python loop, or nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax, nn
from functrans import numpy as fnp
from functrans.core.interpret import evaluate
from functrans.core.types import aval_of

Function = Callable[[Any], Any]

# --- functions of three numbers -------------------------------------------------------------------

W = np.sin(np.arange(9.0)).reshape(3, 3)


@ft.custom_jvp
def softly(x: Any) -> Any:
    return fnp.log1p(fnp.exp(x))


@softly.defjvp
def _softly_jvp(primals: Any, tangents: Any) -> Any:
    return softly(primals[0]), nn.sigmoid(primals[0]) * tangents[0]


@ft.custom_vjp
def cubed(x: Any) -> Any:
    return x**3


cubed.defvjp(lambda x: (x**3, x), lambda x, ct: (3 * x**2 * ct,))


def recurrence(x: Any) -> Any:
    def step(carry: Any, w: Any) -> Any:
        new = fnp.tanh(w * carry + x)
        return new, new[0] * carry

    return lax.scan(step, x, np.linspace(0.1, 1, 4))


def branching(x: Any) -> Any:
    return lax.cond(x[0] > 0.2345, lambda y: fnp.sin(y) * y, lambda y: fnp.exp(y) - y[::-1], x)


def nested(x: Any) -> Any:
    def outer(i: Any, y: Any) -> Any:
        return lax.fori_loop(0, 2, lambda j, z: lax.switch(j, [fnp.sin, fnp.tanh], z) + 0.1 * y, y)

    return lax.fori_loop(0, 3, outer, x)


FUNCTIONS: dict[str, Function] = {
    "elementwise": lambda x: fnp.sin(x) * fnp.exp(-x * x) + fnp.sqrt(x * x + 1),
    "product": lambda x: W @ x * (x @ W),
    "sum of cubes": lambda x: fnp.sum(x**3),
    "softmax": lambda x: nn.softmax(W @ x),
    "logsumexp": lambda x: nn.logsumexp(x * x),
    "tree": lambda x: {"a": x[0] * x[1:], "b": (fnp.cos(x[2]), x.reshape(3, 1) * x)},
    "indexing": lambda x: x[[2, 0, 0, 1]] * ft.at(x)[1].set(x[0] ** 2)[np.array([0, 1, 1, 2])],
    "scatter": lambda x: ft.at(fnp.zeros(5) + x[0])[np.array([1, 3, 1])].add(x * x),
    "dynamic slice": lambda x: lax.dynamic_slice(x * x, (fnp.argmax(x) - 1,), (2,)),
    "sort": lambda x: fnp.sort(fnp.sin(3 * x)) * x,
    "cumulative": lambda x: fnp.cumsum(x * x) + fnp.cumprod(x),
    "where": lambda x: fnp.where(x > 0.3456, x**3, fnp.tanh(x)),
    "complex inside": lambda x: fnp.abs(fnp.exp(1j * x) + x * (2 + 1j)) ** 2,
    "solve": lambda x: fnp.linalg.solve(W + 3 * np.eye(3), x) * x,
    "determinant": lambda x: fnp.linalg.det(fnp.outer(x, x) + np.eye(3)),
    "convolution": lambda x: fnp.convolve(x, fnp.sin(x)),
    "einsum": lambda x: fnp.einsum("i,ij,j->j", x, W, fnp.cos(x)),
    "custom_jvp": lambda x: softly(x) * x,
    "custom_vjp": lambda x: fnp.sum(cubed(fnp.sin(x))),
    "checkpoint": lambda x: ft.checkpoint(lambda y: fnp.sin(fnp.exp(y)))(x) * x,
    "jit inside": lambda x: ft.jit(lambda y: fnp.tanh(y) ** 2)(x) + x,
    "scan": recurrence,
    "cond": branching,
    "nested loops": nested,
    "reductions": lambda x: fnp.max(x) * fnp.prod(x) + fnp.var(x) + fnp.mean(x**2),
}

# --- transforms of functions ----------------------------------------------------------------------

EPS = 1e-4


def total(y: Any) -> Any:
    """A real number of a tree that weights every element differently."""
    result: Any = 0.0
    for k, leaf in enumerate(ft.tree.leaves(y)):
        weight = np.cos(np.arange(np.size(leaf)) + k).reshape(np.shape(leaf))
        result = result + fnp.sum(leaf * weight)
    return result


def direction(x: Any) -> Any:
    return np.cos(2.0 * np.arange(np.size(x)) + 1).reshape(np.shape(x))


def slope(f: Function, x: Any, along: Any) -> Any:
    """The derivative along a direction by a difference quotient of fourth order."""
    at = [f(x + k * EPS * along) for k in (-2, -1, 1, 2)]
    return ft.tree.map(lambda a, b, c, d: (a - 8 * b + 8 * c - d) / (12 * EPS), *at)


def numeric_gradient(f: Function) -> Function:
    def gradient(x: Any) -> Any:
        units = np.eye(np.size(x)).reshape(-1, *np.shape(x))
        rows = [slope(lambda v: total(f(v)), x, e) for e in units]
        return fnp.stack(rows).reshape(np.shape(x))

    return gradient


def numeric_columns(f: Function) -> Function:
    def columns(x: Any) -> Any:
        units = np.eye(np.size(x)).reshape(-1, *np.shape(x))
        rows = [slope(f, x, e) for e in units]
        stack = lambda *parts: fnp.stack(parts, axis=-1).reshape(*np.shape(parts[0]), *np.shape(x))
        return ft.tree.map(stack, *rows)

    return columns


def mapped(f: Function) -> Function:
    return lambda x: ft.vmap(f)(fnp.stack([x, 0.5 * x, x[::-1]], axis=0))


def looped(f: Function) -> Function:
    return lambda x: ft.tree.map(
        lambda *rows: fnp.stack(rows), *[f(y) for y in (x, 0.5 * x, x[::-1])]
    )


def mapped_last(f: Function) -> Function:
    def run(x: Any) -> Any:
        return ft.vmap(lambda y, s: f(y * s), in_axes=(-1, None), out_axes=-1)(
            fnp.stack([x, 0.3 + x], axis=-1), 0.9
        )

    return run


def looped_last(f: Function) -> Function:
    return lambda x: ft.tree.map(
        lambda *rows: fnp.stack(rows, axis=-1), f(x * 0.9), f((0.3 + x) * 0.9)
    )


def retraced(f: Function) -> Function:
    """Through a Program and its evaluation."""

    def run(x: Any) -> Any:
        program, shape = ft.make_program(f, return_shape=True)(ft.ShapeDtypeStruct((3,), float))
        program.check()
        return ft.tree.unflatten(ft.tree.structure(shape), evaluate(program, [x]))

    return run


same = lambda f: f

TRANSFORMS: dict[str, tuple[Callable[[Function], Function], Callable[[Function], Function]]] = {
    "jit": (ft.jit, same),
    "checkpoint": (ft.checkpoint, same),
    "program": (retraced, same),
    "vmap": (mapped, looped),
    "vmap last": (mapped_last, looped_last),
    "jvp": (
        lambda f: lambda x: ft.jvp(f, (x,), (direction(x),))[1],
        lambda f: lambda x: slope(f, x, direction(x)),
    ),
    "grad": (lambda f: ft.grad(lambda x: total(f(x))), numeric_gradient),
    "value_and_grad": (
        lambda f: lambda x: ft.value_and_grad(lambda y: total(f(y)))(x),
        lambda f: lambda x: (total(f(x)), numeric_gradient(f)(x)),
    ),
    "vjp": (
        lambda f: lambda x: ft.vjp(lambda y: total(f(y)), x)[1](2.0)[0],
        lambda f: lambda x: 2.0 * numeric_gradient(f)(x),
    ),
    "linearize": (
        lambda f: lambda x: ft.linearize(f, x)[1](direction(x)),
        lambda f: lambda x: slope(f, x, direction(x)),
    ),
    "jacfwd": (ft.jacfwd, numeric_columns),
    "jacrev": (ft.jacrev, numeric_columns),
}

POINT = np.array([0.4, -0.7, 1.1])


def compose(f: Function, names: list[str], replaced: int = -1) -> Function:
    for k, name in enumerate(names):
        f = TRANSFORMS[name][1 if k == replaced else 0](f)
    return f


def agree(got: Any, want: Any, **tolerance: float) -> None:
    assert ft.tree.structure(got) == ft.tree.structure(want)
    for g, w in zip(ft.tree.leaves(got), ft.tree.leaves(want), strict=True):
        assert np.shape(g) == np.shape(w)
        np.testing.assert_allclose(g, w, **tolerance)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.sampled_from(list(FUNCTIONS)),
    st.lists(st.sampled_from(list(TRANSFORMS)), min_size=2, max_size=4),
    st.integers(0, 3),
)
def test_random_compositions(function: str, names: list[str], k: int) -> None:
    k %= len(names)
    if sum(name in ("jacfwd", "jacrev", "vmap", "vmap last") for name in names) > 3:
        return  # results of a thousand numbers say nothing more
    f = compose(FUNCTIONS[function], names)
    got = f(POINT)
    agree(ft.jit(f)(POINT), got, rtol=1e-9, atol=1e-9)
    program, shapes = ft.make_program(f, return_shape=True)(POINT)
    program.check()
    for y, s in zip(ft.tree.leaves(got), ft.tree.leaves(shapes), strict=True):
        assert aval_of(y).shape == s.shape and aval_of(y).dtype == s.dtype
    agree(evaluate(program, [POINT]), ft.tree.leaves(got), rtol=1e-9, atol=1e-9)
    reference = compose(FUNCTIONS[function], names, k)
    agree(reference(POINT), got, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("function", list(FUNCTIONS))
@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_each_transform_of_each_function(function: str, name: str) -> None:
    f = FUNCTIONS[function]
    want = compose(f, [name], 0)(POINT)
    agree(compose(f, [name])(POINT), want, rtol=1e-6, atol=1e-6)
    agree(compose(f, [name, "jit"])(POINT), want, rtol=1e-6, atol=1e-6)
