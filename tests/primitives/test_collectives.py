"""Collectives over vmap's named axes are what NumPy computes on the whole batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import ShapeError, TransformError
from functrans.test_util import check_grads

x = np.array([[0.5, -1.5], [3.0, 0.1], [2.0, 4.0]])


def mapped(f: Any, **kwargs: Any) -> Any:
    return ft.vmap(f, axis_name="i", **kwargs)


CASES = [
    ("psum", lambda v: lax.psum(v, "i"), np.stack([x.sum(0)] * 3)),
    ("pmean", lambda v: lax.pmean(v, "i"), np.stack([x.mean(0)] * 3)),
    ("pmax", lambda v: lax.pmax(v, "i"), np.stack([x.max(0)] * 3)),
    ("pmin", lambda v: lax.pmin(v, "i"), np.stack([x.min(0)] * 3)),
    ("all_gather", lambda v: lax.all_gather(v, "i"), np.stack([x] * 3)),
    ("all_gather, axis", lambda v: lax.all_gather(v, "i", axis=1), np.stack([x.T] * 3)),
    ("tiled", lambda v: lax.all_gather(v, "i", tiled=True), np.stack([x.ravel()] * 3)),
    (
        "ppermute",
        lambda v: lax.ppermute(v, "i", [(0, 1), (2, 0)]),
        np.stack([x[2], x[0], 0 * x[0]]),
    ),
    ("pshuffle", lambda v: lax.pshuffle(v, "i", [1, 2, 0]), x[[1, 2, 0]]),
    ("normalize", lambda v: v / lax.psum(v * v, "i"), x / (x * x).sum(0)),
]
table = pytest.mark.parametrize(("f", "want"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])


@table
def test_values(f: Any, want: Any) -> None:
    np.testing.assert_allclose(mapped(f)(x), want)
    np.testing.assert_allclose(ft.jit(mapped(f))(x), want)
    np.testing.assert_allclose(mapped(ft.jit(f))(x), want)


@table
def test_derivatives(f: Any, want: Any) -> None:
    check_grads(mapped(f), (x,), 2)


@table
def test_inside_other_batches_loops_and_branches(f: Any, want: Any) -> None:
    stack = np.stack([x, x * 2.0])
    np.testing.assert_allclose(ft.vmap(mapped(f))(stack), np.stack([mapped(f)(s) for s in stack]))
    swapped = ft.vmap(lambda s: mapped(lambda u: ft.vmap(lambda w: f(u * w))(s))(x))
    weights = np.array([[1.0, 2.0]])
    direct = np.stack([mapped(f)(x * w) for w in weights[0]], 1)
    np.testing.assert_allclose(swapped(weights)[0], direct)

    def twice(v: Any) -> Any:
        return lax.scan(lambda c, _: (c, f(v)), 0.0, None, length=2)[1]

    np.testing.assert_allclose(mapped(twice)(x), np.stack([want, want], 1))
    chosen = mapped(lambda v: lax.cond(True, f, lambda v: f(v) * 0.0, v))
    np.testing.assert_allclose(chosen(x), want)


def test_gradient_inside_the_mapped_function_is_of_the_sum_over_examples() -> None:
    inside = mapped(ft.grad(lambda v: fnp.sum(lax.psum(v * v, "i") * v)))(x)
    outside = ft.grad(lambda x: fnp.sum(mapped(lambda v: lax.psum(v * v, "i") * v)(x)))(x)
    np.testing.assert_allclose(inside, outside)


def test_values_that_do_not_vary() -> None:
    out = mapped(lambda v: v * lax.psum(np.ones(2), "i") * lax.psum(1, "i"))(x)
    np.testing.assert_allclose(out, 9 * x)
    assert mapped(lambda v: v * lax.axis_size("i"))(x).tolist() == (3 * x).tolist()
    np.testing.assert_array_equal(mapped(lambda v: lax.axis_index("i"))(x), [0, 1, 2])
    loop = mapped(lambda v: lax.fori_loop(0, 3, lambda k, c: c + lax.axis_index("i"), 0))
    np.testing.assert_array_equal(loop(x), [0, 3, 6])
    shared = mapped(lambda u, v: lax.pmax(u, "i") + v, in_axes=(None, 0))
    np.testing.assert_array_equal(shared(np.ones(2), x), 1 + x)


def test_several_axes() -> None:
    m = np.arange(6.0).reshape(2, 3)
    f = lambda g: ft.vmap(ft.vmap(g, axis_name="j"), axis_name="i")(m)
    np.testing.assert_array_equal(f(lambda v: lax.psum(v, ("i", "j"))), np.full((2, 3), 15))
    np.testing.assert_array_equal(f(lambda v: lax.psum(v, "i")), np.stack([m.sum(0)] * 2))
    np.testing.assert_array_equal(f(lambda v: lax.axis_index(("i", "j"))), m)
    assert f(lambda v: lax.all_gather(v, ("i", "j"))).shape == (2, 3, 6)
    np.testing.assert_array_equal(f(lambda v: lax.all_gather(v, ("i", "j")))[0, 0], m.ravel())


def test_scatter_and_all_to_all() -> None:
    m = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(mapped(lambda r: lax.psum_scatter(r, "i"))(m), m.sum(0))
    wide = np.arange(18.0).reshape(3, 6)
    got = mapped(lambda r: lax.psum_scatter(r, "i", tiled=True))(wide)
    np.testing.assert_array_equal(got, wide.sum(0).reshape(3, 2))
    np.testing.assert_array_equal(mapped(lambda r: lax.all_to_all(r, "i", 0, 0))(m), m.T)
    with pytest.raises(ShapeError, match="psum_scatter"):
        mapped(lambda r: lax.psum_scatter(r, "i"))(x)


def test_errors() -> None:
    with pytest.raises(TransformError, match="axis_name='j'"):
        mapped(lambda v: lax.psum(v, "j"))(x)
    with pytest.raises(TransformError, match="axis_name='i'"):
        lax.axis_index("i")
    with pytest.raises(TransformError, match="distinct positions"):
        mapped(lambda v: lax.ppermute(v, "i", [(0, 1), (1, 1)]))(x)
