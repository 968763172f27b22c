"""Transforms in random order to depth four: right, well-formed, and the same traced and compiled.

A transform here takes a function of a tree of arrays that gives one, and gives another such
function of the same argument, so any sequence of them is one. What a sequence computes is compared
with the same sequence in which one transform, drawn at random, is replaced by arithmetic that knows
nothing of Programs: a difference quotient, a Python loop, or nothing at all. Eager, compiled and
interpreted it has the same values and the same types, weak ones included.

FUNCTRANS_COMPOSITIONS=N pytest here draws N sequences, anew every time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import lax, nn
from functrans import numpy as fnp
from functrans.core.errors import TransformError
from functrans.core.interpret import evaluate
from functrans.core.types import Aval, aval_of, dtype_of

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


def halving(x: Any) -> Any:
    """A number of steps that depends on the values."""

    def step(state: Any) -> Any:
        i, y = state
        return i + 1, 0.5 * fnp.sin(y) + 0.1 * x * y

    return lax.while_loop(lambda s: fnp.sum(s[1] ** 2) > 0.0567, step, (0, x))[1]


def newton(x: Any) -> Any:
    """The root of y + y³ = x, differentiated implicitly."""
    residual = lambda y: y + y**3 - x

    def solve(g: Any, y: Any) -> Any:
        step = lambda i, y: y - g(y) / (1 + 3 * y**2)
        return lax.fori_loop(0, 30, step, y)

    return lax.custom_root(residual, 0.5 * x, solve, lambda g, y: y / g(fnp.ones_like(y)))


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
    "while loop": halving,
    "custom_root": newton,
    "associative scan": lambda x: lax.associative_scan(lambda a, b: fnp.tanh(a * b) + a + b, x),
    "map": lambda x: lax.map(lambda w: fnp.sum(fnp.cos(w * x)), fnp.stack([x[0], x[1] * x[2]])),
    "fft": lambda x: fnp.real(fnp.fft.ifft(fnp.fft.fft(x) * fnp.exp(1j * x))),
    "gradient inside": lambda x: ft.grad(lambda y: fnp.sum(fnp.sin(y) * x))(x * x),
    "vmap inside": lambda x: ft.vmap(lambda a: lax.cond(a > 0.3456, fnp.sin, fnp.cos, a) * x)(x),
    "constant": lambda x: (np.arange(3.0), 1.5, x[0]),
}

SCALAR_FUNCTIONS: dict[str, Function] = {
    "polynomial": lambda x: 2 * x**3 - x + 1,
    "identity": lambda x: x,
    "tanh": lambda x: fnp.tanh(x) * x,
    "operators": lambda x: abs(-x) ** 2.5 / (1 + x) - 3,
    "constants": lambda x: (1.5, x * 2, np.float32(2)),
    "pair": lambda x: {"sin": fnp.sin(x), "both": (x, x * np.arange(2.0))},
    "where": lambda x: fnp.where(x > 0.1, x * x, 0.0),
    "power": lambda x: lax.fori_loop(0, 3, lambda i, y: y * x, 1.0),
    "cond": lambda x: lax.cond(x > 0.1, lambda y: y * 2.0, lambda y: y * y, x),
    "scan": lambda x: lax.scan(lambda c, w: (c * x + w, c), x * 1.0, np.arange(3.0)),
    "while": lambda x: lax.while_loop(lambda y: y < 3.14, lambda y: y * (1 + x * x), x),
    "custom_jvp": lambda x: softly(x) + x,
    "checkpoint": lambda x: ft.checkpoint(lambda y: fnp.sin(y) * y)(x),
    "jit inside": lambda x: ft.jit(lambda y: y * y + 1)(x),
    "complex inside": lambda x: fnp.real((x + 1j) ** 3),
}

TREE_FUNCTIONS: dict[str, Function] = {
    "layer": lambda p: fnp.tanh(p["w"] @ fnp.ones(2) + p["b"]),
    "loss": lambda p: fnp.sum(nn.log_softmax(p["w"] * 2)) * p["b"],
    "update": lambda p: ft.tree.map(lambda x: x - 0.1 * x * x, p),
    "half": lambda p: {"w": p["w"][0]},
    "scan": lambda p: lax.scan(lambda c, w: (c * w[0] + w[1], c), p["b"], p["w"]),
    "cond": lambda p: lax.cond(p["b"] > 0, lambda p: p["w"] * p["b"], lambda p: p["w"], p),
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
    """A tangent, of the types of x."""
    along = lambda v: np.cos(2.0 * np.arange(np.size(v)) + 1).reshape(np.shape(v))
    return ft.tree.map(lambda v: along(v).astype(dtype_of(v))[()], x)


def units(x: Any) -> list[list[Any]]:
    """For each leaf of x its unit vectors, as trees like x."""
    leaves, treedef = ft.tree.flatten(x)
    zeros = [np.zeros(np.shape(v)) for v in leaves]
    return [
        [
            ft.tree.unflatten(treedef, [*zeros[:k], e, *zeros[k + 1 :]])
            for e in np.eye(np.size(v)).reshape(-1, *np.shape(v))
        ]
        for k, v in enumerate(leaves)
    ]


def slope(f: Function, x: Any, along: Any) -> Any:
    """The derivative along a direction by a difference quotient of fourth order."""
    at = [f(ft.tree.map(lambda v, t: v + k * EPS * t, x, along)) for k in (-2, -1, 1, 2)]
    return ft.tree.map(lambda a, b, c, d: (a - 8 * b + 8 * c - d) / (12 * EPS), *at)


def numeric_gradient(f: Function) -> Function:
    def gradient(x: Any) -> Any:
        g = lambda v: total(f(v))
        rows = [fnp.stack([slope(g, x, e) for e in some]) for some in units(x)]
        leaves, treedef = ft.tree.flatten(x)
        pairs = zip(rows, leaves, strict=True)
        return ft.tree.unflatten(treedef, [r.reshape(np.shape(v)) for r, v in pairs])

    return gradient


def numeric_columns(f: Function) -> Function:
    """The Jacobian: the tree of the output, and at every leaf the tree of the input."""

    def columns(x: Any) -> Any:
        leaves, in_tree = ft.tree.flatten(x)
        out_tree = ft.tree.structure(f(x))
        parts = []
        for v, some in zip(leaves, units(x), strict=True):
            rows = zip(*[ft.tree.leaves(slope(f, x, e)) for e in some], strict=True)
            shape = np.shape(v)
            parts.append([fnp.stack(r, -1).reshape(*np.shape(r[0]), *shape) for r in rows])
        outs = [ft.tree.unflatten(in_tree, list(column)) for column in zip(*parts, strict=True)]
        return ft.tree.unflatten(out_tree, outs)

    return columns


def mapped(f: Function) -> Function:
    examples = lambda v: fnp.stack([v, 0.5 * v, 0.3 + v], axis=0)
    return lambda x: ft.vmap(f)(ft.tree.map(examples, x))


def looped(f: Function) -> Function:
    def run(x: Any) -> Any:
        at = [x, ft.tree.map(lambda v: 0.5 * v, x), ft.tree.map(lambda v: 0.3 + v, x)]
        return ft.tree.map(lambda *rows: fnp.stack(rows), *map(f, at))

    return run


def mapped_last(f: Function) -> Function:
    examples = lambda v: fnp.stack([v, 0.3 + v], axis=-1)
    scaled = lambda x, s: f(ft.tree.map(lambda v: v * s, x))
    return lambda x: ft.vmap(scaled, in_axes=(-1, None), out_axes=-1)(ft.tree.map(examples, x), 0.9)


def looped_last(f: Function) -> Function:
    def run(x: Any) -> Any:
        at = [ft.tree.map(lambda v: v * 0.9, x), ft.tree.map(lambda v: (0.3 + v) * 0.9, x)]
        return ft.tree.map(lambda *rows: fnp.stack(rows, axis=-1), *map(f, at))

    return run


def retraced(f: Function) -> Function:
    """Through a Program and its evaluation."""

    def run(x: Any) -> Any:
        program, shape = ft.make_program(f, return_shape=True)(x)
        program.check()
        return ft.tree.unflatten(ft.tree.structure(shape), evaluate(program, ft.tree.leaves(x)))

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
        lambda f: lambda x: ft.tree.map(lambda v: 2.0 * v, numeric_gradient(f)(x)),
    ),
    "linearize": (
        lambda f: lambda x: ft.linearize(f, x)[1](direction(x)),
        lambda f: lambda x: slope(f, x, direction(x)),
    ),
    "jacfwd": (ft.jacfwd, numeric_columns),
    "jacrev": (ft.jacrev, numeric_columns),
    "hessian": (
        lambda f: ft.hessian(lambda x: total(f(x))),
        lambda f: numeric_columns(ft.grad(lambda x: total(f(x)))),
    ),
    "hvp": (
        lambda f: lambda x: ft.hvp(lambda y: total(f(y)), (x,), (direction(x),)),
        lambda f: lambda x: slope(ft.grad(lambda y: total(f(y))), x, direction(x)),
    ),
}

FORWARD = {"jvp", "linearize", "jacfwd"}
REVERSE = {"grad", "value_and_grad", "vjp", "jacrev", "hessian", "hvp"}


def has_forward_mode(function: str, names: list[str]) -> bool:
    """custom_vjp functions have reverse mode only: the innermost derivative must be that."""
    innermost = next((name for name in names if name in FORWARD | REVERSE), "")
    return function != "custom_vjp" or innermost not in FORWARD


def compose(f: Function, names: list[str], replaced: int = -1) -> Function:
    for k, name in enumerate(names):
        f = TRANSFORMS[name][1 if k == replaced else 0](f)
    return f


def agree(got: Any, want: Any, tolerance: float) -> None:
    """Equal trees of nearly equal arrays."""
    assert not ft.tree.structure_difference(want, got)
    for g, w in zip(ft.tree.leaves(got), ft.tree.leaves(want), strict=True):
        assert np.shape(g) == np.shape(w)
        scale = max(1.0, float(np.max(np.abs(w), initial=0)))
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance * scale)


def types(x: Any) -> list[Aval]:
    return [aval_of(v) for v in ft.tree.leaves(x)]


def check_stages(f: Function, x: Any, got: Any, tolerance: float) -> None:
    """Compiled and interpreted give what eager gave, of the same types; the Program is good."""
    program, shapes = ft.make_program(f, return_shape=True)(x)
    program.check()
    assert types(got) == program.out_avals, "traced differs in type from eager"
    assert not ft.tree.structure_difference(shapes, got)
    interpreted = evaluate(program, ft.tree.leaves(x))
    assert types(interpreted) == program.out_avals, "interpreted differs in type from traced"
    agree(interpreted, ft.tree.leaves(got), tolerance)
    compiled = ft.jit(f)(x)
    assert types(compiled) == program.out_avals, "compiled differs in type from traced"
    agree(compiled, got, tolerance)


VECTOR = np.array([0.4, -0.7, 1.1])
TREE = {"w": np.array([[0.3, -0.6], [1.2, 0.8]]), "b": 0.4}
POINTS: dict[str, tuple[dict[str, Function], Any]] = {
    "vector": (FUNCTIONS, VECTOR),
    "single": (FUNCTIONS, VECTOR.astype("f4")),
    "scalar": (SCALAR_FUNCTIONS, np.float64(0.7)),
    "number": (SCALAR_FUNCTIONS, 0.7),
    "array": (SCALAR_FUNCTIONS, np.array(0.7)),
    "tree": (TREE_FUNCTIONS, TREE),
}
CASES = [(point, name) for point, (table, _) in POINTS.items() for name in table]
WIDE = {"jacfwd", "jacrev", "vmap", "vmap last", "hessian"}


def check(point: str, function: str, names: list[str], k: int) -> None:
    """The sequence of transforms of the function there, number k replaced in the comparison."""
    if not has_forward_mode(function, names):
        return
    table, x = POINTS[point]
    f = compose(table[function], names)
    got = f(x)
    if point == "single":
        check_stages(f, x, got, 2e-3)
        agree(got, f(x.astype("f8")), 2e-3)  # differences would say nothing in this precision
        return
    check_stages(f, x, got, 1e-9)
    if has_forward_mode(function, [*names[:k], *names[k + 1 :]]):
        agree(compose(table[function], names, k)(x), got, 2e-5)


sequences = st.lists(st.sampled_from(list(TRANSFORMS)), min_size=2, max_size=4).filter(
    # results of a thousand numbers say nothing more
    lambda names: sum(1 + (n == "hessian") for n in names if n in WIDE) <= 3
)


@settings(
    max_examples=int(os.environ.get("FUNCTRANS_COMPOSITIONS", "260")),
    deadline=None,
    derandomize="FUNCTRANS_COMPOSITIONS" not in os.environ,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(st.sampled_from(CASES), sequences, st.integers(0, 3))
def test_random_compositions(case: tuple[str, str], names: list[str], k: int) -> None:
    check(*case, names, k % len(names))


@pytest.mark.parametrize("function", list(FUNCTIONS))
@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_each_transform_of_each_function(function: str, name: str) -> None:
    if not has_forward_mode(function, [name]):
        with pytest.raises(TransformError, match="custom_jvp"):
            compose(FUNCTIONS[function], [name])(VECTOR)
        return
    f = FUNCTIONS[function]
    want = compose(f, [name], 0)(VECTOR)
    agree(compose(f, [name])(VECTOR), want, 1e-6)
    agree(compose(f, [name, "jit"])(VECTOR), want, 1e-6)


@pytest.mark.parametrize(("point", "function"), [c for c in CASES if c[0] not in ("vector",)])
def test_each_transform_gives_the_same_types_in_every_stage(point: str, function: str) -> None:
    """Of single precision, scalars that are weak and ones that are not, and trees."""
    for name in TRANSFORMS:
        try:
            check(point, function, [name], 0)
        except Exception as error:
            error.add_note(f"under {name}")
            raise
