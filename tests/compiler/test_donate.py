"""Donated arguments: results are the same, wherever they are written."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import TransformError

N = 20_000
RNG = np.random.default_rng(0)
X, Y, Z = (RNG.normal(size=N) for _ in range(3))
M = RNG.normal(size=(150, 140))
S = RNG.normal(size=(120, 120))


def adam(p: Any, m: Any, v: Any, g: Any) -> Any:
    m = 0.9 * m + 0.1 * g
    v = 0.99 * v + 0.01 * g * g
    return p - 0.1 * m / (fnp.sqrt(v) + 1e-8), m, v


def loop(x: Any) -> Any:
    return lax.fori_loop(0, 50, lambda i, x: x.at[i].set(x[i + 1] * 2.0), x)


def recurrence(x: Any, y: Any) -> Any:
    return lax.scan(lambda c, w: (c * 0.5 + w[0], c * w[1]), 0.0, (x, y))[1]


def layers(x: Any, w: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, x: fnp.tanh(x @ w), x)


Made = tuple[Callable[..., Any], tuple, Any]
CASES: dict[str, tuple[Callable[..., Any], tuple, set[int] | None]] = {
    # the function, its arguments (all but those beyond `donated` are given up), results that are
    # written over an argument; None where that is not said
    "an update": (lambda x: x * 2.0 + 1.0, (X,), {0}),
    "Adam": (adam, (X, Y, Z**2, X[::-1].copy()), {0, 1, 2}),
    "unchanged": (lambda x: x, (X,), {0}),
    "exchanged": (lambda x, y: (y, x), (X, Y), {0, 1}),
    "exchanged and changed": (lambda x, y: (y + x, x - y), (X, Y), None),
    "each from the other": (lambda x, y: (fnp.sin(y), fnp.cos(x)), (X, Y), None),
    "read again by a later result": (lambda x: (x + 1.0, fnp.sum(x)), (X,), None),
    "read again by a result over other elements": (lambda x: (x + 1.0, x[::-1] * 2.0), (X,), None),
    "backwards": (lambda x: x[::-1] + 1.0, (X,), set()),
    "shifted": (lambda x: fnp.roll(x, 1) + x, (X,), set()),
    "transposed": (lambda s: s.T * 2.0, (S,), set()),
    "transposed and not": (lambda s: s + s.T, (S,), set()),
    "rows": (lambda m: ft.nn.softmax(m), (M,), {0}),
    "rows, and their input": (lambda m: ft.nn.softmax(m) * m, (M,), {0}),
    "columns": (lambda m: m - fnp.mean(m, axis=0), (M,), None),
    "another view of it": (
        lambda m, w: (m.reshape(140, 150) @ w, m * 2.0 + m.reshape(140, 150).T),
        (M, RNG.normal(size=(150, 3))),
        None,
    ),
    "a product": (lambda s: s @ s, (S,), set()),
    "after a product": (lambda s, t: fnp.tanh(s @ t), (S, S + 1.0), None),
    "through NumPy": (lambda x: fnp.cumsum(x), (X,), set()),
    "after NumPy": (lambda x: fnp.cumsum(x) * 2.0, (X,), {0}),
    "a loop": (loop, (X,), {0}),
    "a loop, and its start": (lambda x: loop(x) + x, (X,), None),
    "slices of a loop": (recurrence, (X, Y), None),
    "a loop of products": (layers, (S, S / 20.0), None),
    "a scatter": (lambda x: x.at[np.array([3, 1, 3])].add(1.0), (X,), {0}),
    "a scatter of itself": (lambda x: x.at[:5].set(x[5:10]), (X,), None),
    "a smaller type": (lambda x: x.astype(np.float32), (X,), set()),
    "another shape": (lambda m: m.reshape(-1) * 2.0, (M,), set()),
    "broadcast": (lambda m, x: m * x[:140], (M, X), {0}),
    "two readers": (lambda x, y: (x * y, x / (1.0 + y * y)), (X, Y), None),
    "a tree": (lambda d: {"a": d["b"] * 2.0, "b": d["a"] + d["b"]}, ({"a": X, "b": Y},), None),
    "a jitted call": (lambda x: ft.jit(lambda x: x * 3.0)(x) + 1.0, (X,), {0}),
    "a branch": (lambda x: lax.cond(x[0] > 0, lambda x: x * 2.0, lambda x: x - 1.0, x), (X,), None),
}


def given_up(f: Any, args: tuple) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jitted = ft.jit(f, donate_argnums=tuple(range(len(args))))
        jitted.lower(*args).compile()
        return jitted


@pytest.mark.parametrize("name", CASES)
def test_results_are_the_same(name: str) -> None:
    f, args, over = CASES[name]
    want = ft.tree.leaves(ft.jit(f)(*args))
    jitted = given_up(f, args)
    for _ in range(2):
        mine = ft.tree.map(np.array, args)
        given = ft.tree.leaves(mine)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = ft.tree.leaves(jitted(*mine))
        for a, b in zip(got, want, strict=True):
            np.testing.assert_array_equal(a, b)
        heirs = {i for i, y in enumerate(got) if any(y is x for x in given)}
        assert over is None or heirs == over
        for i, a in enumerate(got):
            for b in got[:i]:
                assert not np.shares_memory(a, b)


@pytest.mark.parametrize("name", CASES)
def test_memory_analysis_counts_what_is_shared(name: str) -> None:
    f, args, over = CASES[name]
    memory = given_up(f, args).lower(*args).memory_analysis()
    plain = ft.jit(f).lower(*args).memory_analysis()
    assert plain["alias_size_in_bytes"] == 0
    parts = ("argument", "output", "constant", "temp")
    total = sum(memory[f"{part}_size_in_bytes"] for part in parts)
    assert memory["peak_memory_in_bytes"] == total - memory["alias_size_in_bytes"]
    if over is not None:
        outs = ft.tree.leaves(ft.jit(f)(*args))
        assert memory["alias_size_in_bytes"] == sum(outs[i].nbytes for i in over)


step = lambda x, y: (x * 2.0 + y, y - 1.0)


@pytest.mark.parametrize("donated", [0, 1, -1, (0, 1)])
def test_other_arguments_keep_their_values(donated: Any) -> None:
    jitted = ft.jit(step, donate_argnums=donated)
    x, y = X.copy(), Y.copy()
    got = jitted(x, y)
    for a, b in zip(got, step(X, Y), strict=True):
        np.testing.assert_array_equal(a, b)
    chosen = {p % 2 for p in (donated if isinstance(donated, tuple) else (donated,))}
    for i, (mine, before) in enumerate([(x, X), (y, Y)]):
        if i not in chosen:
            np.testing.assert_array_equal(mine, before)


def fresh() -> np.ndarray:
    return X.copy()


UNUSABLE: dict[str, Callable[[], np.ndarray]] = {
    "a view": lambda: np.concatenate([X, X])[:N],
    "every second": lambda: np.repeat(X, 2)[::2],
    "read-only": lambda: np.frombuffer(X.tobytes()),
    "a subclass": lambda: X.copy().view(np.recarray),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_arrays_that_are_not_the_callers_to_give_keep_their_values(name: str) -> None:
    x = UNUSABLE[name]()
    before = np.array(x)
    got = ft.jit(lambda x: x * 2.0, donate_argnums=0)(x)
    np.testing.assert_array_equal(got, before * 2.0)
    np.testing.assert_array_equal(x, before)


def test_one_array_for_two_arguments() -> None:
    jitted = ft.jit(step, donate_argnums=(0, 1))
    x = fresh()
    for a, b in zip(jitted(x, x), step(X, X), strict=True):
        np.testing.assert_array_equal(a, b)
    half = ft.jit(lambda x, y: (x + y[0], fnp.sum(y)), donate_argnums=0)
    x = fresh()
    got = half(x, x[: N // 2])
    np.testing.assert_array_equal(got[0], X + X[0])
    assert got[1] == pytest.approx(np.sum(X[: N // 2]))


def test_small_arrays_and_scalars() -> None:
    jitted = ft.jit(lambda x, s, t: (x + s, s * 2.0, t + 1), donate_argnums=(0, 1, 2))
    x = np.ones(3)
    got = jitted(x, 2.0, np.float64(4.0))
    np.testing.assert_array_equal(got[0], 3.0)
    np.testing.assert_array_equal(x, 1.0)
    assert got[1:] == (4.0, 5.0)


def test_by_name_and_with_static_arguments() -> None:
    def f(n: int, x: Any, *, y: Any) -> Any:
        return x * n, y + n

    jitted = ft.jit(f, static_argnums=0, donate_argnums=1, donate_argnames="y")
    x, y = fresh(), fresh()
    a, b = jitted(3, x, y=y)
    assert a is x
    assert b is y
    compiled = ft.jit(f, static_argnums=0, donate_argnums=1).lower(3, X, y=Y).compile()
    x = fresh()
    assert compiled(x, y=Y)[0] is x


def test_inside_other_transforms_nothing_is_given_up() -> None:
    inner = ft.jit(lambda x: fnp.sin(x) * 2.0, donate_argnums=0)
    x = fresh()
    np.testing.assert_allclose(ft.grad(lambda x: fnp.sum(inner(x)))(x), 2.0 * np.cos(X))
    np.testing.assert_allclose(ft.vmap(inner)(x.reshape(2, -1)).ravel(), 2.0 * np.sin(X))
    np.testing.assert_allclose(ft.jit(lambda x: inner(x) + x)(x), 2.0 * np.sin(X) + X)
    np.testing.assert_array_equal(x, X)


def test_what_cannot_be_used_is_said_once() -> None:
    jitted = ft.jit(lambda d: fnp.sum(d["w"]), donate_argnums=0)
    with pytest.warns(UserWarning, match=r"argument \[0\]\['w'\] \(f64\[20000\]\)"):
        jitted({"w": X})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jitted({"w": X})


ERRORS: dict[str, tuple[str, Callable[[], Any]]] = {
    "no such position": ("has 2, but .* takes 2", lambda: ft.jit(step, donate_argnums=2)),
    "no static one": ("static_argnums has 2", lambda: ft.jit(step, static_argnums=2)),
    "not ints": ("must be ints, got 'x'", lambda: ft.jit(step, donate_argnums="x")),
    "a bool": ("must be ints", lambda: ft.jit(step, donate_argnums=True)),
    "no such name": ("donate_argnames names 'q'", lambda: ft.jit(step, donate_argnames="q")),
    "static too": ("both static and donated", lambda: ft.jit(
        step, static_argnums=0, donate_argnames="x")),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    message, call = ERRORS[name]
    with pytest.raises(TransformError, match=message):
        call()


def test_arrays_that_no_result_can_take_are_not_copied() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = ft.jit(lambda x, y: fnp.sum(x) + y, donate_argnums=(0, 1)).lower(X, Y).compile()
    assert compiled._compiled.donated == {0, 1}
    assert len(compiled._compiled.overwritten) == 1  # of two, for one result


def test_what_a_loop_uses_up_is_overwritten_without_an_heir() -> None:
    def f(x: Any) -> Any:
        return fnp.sum(lax.fori_loop(0, 9, lambda i, x: x.at[i].set(x[i + 1]), x))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = fresh()
        np.testing.assert_allclose(ft.jit(f, donate_argnums=0)(x), f(X))
    assert not np.array_equal(x, X)


def test_views_among_many_leaves_are_found() -> None:
    jitted = ft.jit(lambda xs: [x + 1.0 for x in xs], donate_argnums=0)
    x, y = fresh(), Y.copy()
    for leaves in ([x, x, y], [x, y, x[:]], [x, np.frombuffer(memoryview(x)), y]):
        want = [np.array(leaf) + 1.0 for leaf in leaves]
        for a, b in zip(jitted(list(leaves)), want, strict=True):
            np.testing.assert_array_equal(a, b)
        y = Y.copy()
