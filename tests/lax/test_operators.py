"""lax's operations are what NumPy says they are, eagerly and traced, and differentiate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from functrans.test_util import check_grads

x = np.array([[0.5, -1.5, 2.5], [3.0, 0.1, -0.7]])
v = np.array([3.0, 1.0, 2.0, 1.0])

CASES = [
    (
        "div",
        lambda: lax.div(np.array([-7, 7, -7, 7, 6]), np.array([2, -2, -2, 2, -3])),
        [-3, -3, 3, 3, -2],
    ),
    ("div of floats", lambda: lax.div(x, 2.0), x / 2),
    ("rem", lambda: lax.rem(np.array([-7, 7]), np.array([2, -2])), [-1, 1]),
    (
        "round away",
        lambda: lax.round(np.array([0.5, 1.5, -2.5, 0.49999999999999994])),
        [1, 2, -3, 0],
    ),
    ("round to even", lambda: lax.round(np.array([0.5, 1.5, -2.5]), 1), [0, 2, -2]),
    ("clamp", lambda: lax.clamp(0.0, x, 1.0), np.clip(x, 0, 1)),
    ("integer_pow", lambda: lax.integer_pow(x, 3), x**3),
    ("select", lambda: lax.select(x > 0, x, -x), np.abs(x)),
    ("select_n", lambda: lax.select_n(x > 0, -x, x), np.abs(x)),
    ("convert", lambda: lax.convert_element_type(x, np.int32), x.astype(np.int32)),
    ("full_like", lambda: lax.full_like(x, 2), np.full_like(x, 2)),
    ("iota", lambda: lax.broadcasted_iota(np.int32, (2, 3), 1), [[0, 1, 2]] * 2),
    ("broadcast", lambda: lax.broadcast(x, (2,)), np.stack([x, x])),
    (
        "broadcast_in_dim",
        lambda: lax.broadcast_in_dim(v, (2, 4, 3), (1,)),
        np.broadcast_to(v[:, None], (2, 4, 3)),
    ),
    ("reshape", lambda: lax.reshape(x, (3, 2), (1, 0)), x.T.reshape(3, 2)),
    ("rev", lambda: lax.rev(x, (0, 1)), x[::-1, ::-1]),
    ("pad", lambda: lax.pad(v, 9.0, [(1, -1, 1)]), [9, 3, 9, 1, 9, 2, 9]),
    ("slice", lambda: lax.slice(x, (0, 1), (2, 3), (1, 1)), x[:, 1:]),
    ("slice_in_dim", lambda: lax.slice_in_dim(x, -2, None, axis=1), x[:, -2:]),
    ("index_in_dim", lambda: lax.index_in_dim(x, -1, 1, keepdims=False), x[:, -1]),
    ("dynamic_slice", lambda: lax.dynamic_slice(x, (1, 5), (1, 2)), x[1:2, 1:3]),
    ("dynamic_slice, negative", lambda: lax.dynamic_slice(v, (-2,), (2,)), v[-2:]),
    ("dynamic_index", lambda: lax.dynamic_index_in_dim(x, 1, 0, keepdims=False), x[1]),
    (
        "dynamic_update",
        lambda: lax.dynamic_update_slice_in_dim(v, np.zeros(2), 1, 0),
        [3, 0, 0, 1],
    ),
    ("dynamic_update_index", lambda: lax.dynamic_update_index_in_dim(v, 7, 2, 0), [3, 1, 7, 1]),
    ("reduce_sum", lambda: lax.reduce_sum(x, (0,)), x.sum(0)),
    ("reduce_max", lambda: lax.reduce_max(x, (0, 1)), x.max()),
    ("reduce", lambda: lax.reduce(x, 1.0, lax.mul, (1,)), x.prod(1)),
    ("cumsum", lambda: lax.cumsum(v, reverse=True), np.cumsum(v[::-1])[::-1]),
    ("cummax", lambda: lax.cummax(v), np.maximum.accumulate(v)),
    ("argmax", lambda: lax.argmax(x, 1, np.int32), np.argmax(x, 1).astype(np.int32)),
    ("sort", lambda: lax.sort(x), np.sort(x)),
    ("dot", lambda: lax.dot(x, x.T), x @ x.T),
    (
        "dot_general",
        lambda: lax.dot_general(x[None], x[None], (((2,), (2,)), ((0,), (0,)))),
        (x @ x.T)[None],
    ),
    ("eq", lambda: lax.eq(v, 1.0), v == 1),
    ("max", lambda: lax.max(v, 2.0), np.maximum(v, 2)),
    ("neg", lambda: lax.neg(v), -v),
    (
        "population_count of two's complement",
        lambda: lax.population_count(np.array([-1, 5, -8, np.iinfo(int).min])),
        [64, 2, 61, 1],
    ),
]


@pytest.mark.parametrize(("call", "want"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_values(call: Any, want: Any) -> None:
    np.testing.assert_array_equal(call(), want)


@pytest.mark.parametrize("name", sorted(lax.NUMPY_NAMES))
def test_names_of_numpy_functions(name: str) -> None:
    if not hasattr(fnp, lax.NUMPY_NAMES[name]):
        pytest.skip("functrans.numpy does not have it")
    assert getattr(lax, name) is getattr(fnp, lax.NUMPY_NAMES[name])


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match=r"functrans\.lax.*no_such"):
        lax.no_such  # noqa: B018


@pytest.mark.parametrize(
    "f",
    [
        lambda x: lax.dynamic_slice(x, (0, 1), (2, 2)),
        lambda x: lax.dynamic_update_slice(x, x[:1, :1] * 2.0, (1, 1)),
        lambda x: lax.pad(x, 0.5, [(1, 0, 1), (0, -1, 0)]),
        lambda x: lax.reduce(x, 1.0, lax.mul, (1,)),
        lambda x: lax.broadcast_in_dim(x, (2, 4, 3), (0, 2)),
        lambda x: lax.top_k(x, 2)[0],
        lambda x: lax.select_n(x > 0.0, x * x, x),
        lambda x: lax.dot_general(x, x, (((1,), (1,)), ((), ()))),
    ],
)
def test_derivatives_and_batching(f: Any) -> None:
    check_grads(f, (x,), 2)
    batch = np.stack([x, 2 * x, x + 0.3])
    np.testing.assert_allclose(ft.vmap(f)(batch), np.stack([f(b) for b in batch]))
    np.testing.assert_allclose(ft.jit(f)(x), f(x))


def test_dynamic_starts_under_transforms() -> None:
    f = lambda x, i: lax.dynamic_index_in_dim(x, i, 1, keepdims=False)
    for i in range(-3, 3):
        np.testing.assert_array_equal(ft.jit(f)(x, i), x[:, i])
    np.testing.assert_array_equal(ft.vmap(f, (None, 0))(x, np.array([0, 2, -1])), x.T[[0, 2, -1]])
    gradient = ft.grad(lambda x, i: fnp.sum(f(x, i) ** 2))(x, 1)
    np.testing.assert_array_equal(gradient, [[0, -3, 0], [0, 0.2, 0]])
    starts = np.array([1, 0])
    out = ft.jit(lambda x, s: lax.dynamic_slice(x, s, (1, 2)))(x, starts)
    np.testing.assert_array_equal(out, x[1:2, :2])


def test_top_k_orders_ties_as_they_come() -> None:
    values, positions = lax.top_k(np.array([1.0, 3.0, 2.0, 3.0, 1.0]), 4)
    np.testing.assert_array_equal(values, [3, 3, 2, 1])
    np.testing.assert_array_equal(positions, [1, 3, 2, 0])
    values, _ = lax.top_k(x, 1, axis=0)
    np.testing.assert_array_equal(values, x.max(0, keepdims=True))


def test_errors() -> None:
    for k in (-1, 5, 9):  # v has four elements
        for f in (lax.top_k, ft.jit(lax.top_k, static_argnums=1)):
            with pytest.raises(ShapeError, match="top_k"):
                f(v, k)
    for run in (lax.pad, ft.jit(lax.pad, static_argnums=2)):
        with pytest.raises(ShapeError, match="negative extent"):
            run(v, 0.0, ((-3, -2, 0),))
        with pytest.raises(ShapeError, match="interior"):
            run(v, 0.0, ((0, 0, -1),))
    with pytest.raises(ShapeError, match="start indices"):
        lax.dynamic_slice(x, (1,), (1, 1))
    for run in (lax.dynamic_slice_in_dim, ft.jit(lax.dynamic_slice_in_dim, static_argnums=2)):
        with pytest.raises(ShapeError, match=r"block of shape \(9,\) does not fit into f64\[4\]"):
            run(v, 0, 9)
        with pytest.raises(ShapeError, match="does not fit"):
            run(v, 0, -1)
    for run in (lax.slice, ft.jit(lax.slice, static_argnums=(1, 2))):
        for start, stop in (0, 5), (-1, 4), (5, 5), (0, -1):
            with pytest.raises(ShapeError, match=r"is outside of f64\[4\]"):
                run(v, (start,), (stop,))
    for run in (lax.bitcast_convert_type, ft.jit(lax.bitcast_convert_type, static_argnums=1)):
        with pytest.raises(DTypeError, match="of one size"):
            run(v, np.int32)
    with pytest.raises(TypeError, match="float"):
        lax.integer_pow(v, 0.5)
    with pytest.raises(ShapeError, match="broadcast_in_dim"):
        lax.broadcast_in_dim(v, (2, 4), (0, 1))
    with pytest.raises(DTypeError, match="two cases"):
        lax.select_n(v > 0, v, v, v)
    with pytest.raises(ShapeError, match="out of bounds"):
        lax.index_in_dim(v, 4)
