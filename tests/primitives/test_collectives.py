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
    ("pbroadcast", lambda v: lax.pbroadcast(v, "i", 1), np.stack([x[1]] * 3)),
    (
        "all_to_all",
        lambda v: lax.all_to_all(v[:1] * np.arange(1.0, 4.0), "i", 0, 0),
        np.arange(1.0, 4.0)[:, None] * x[:, 0],
    ),
    (
        "all_to_all, other axis",
        lambda v: lax.all_to_all(np.arange(1.0, 4.0)[:, None] * v, "i", 0, 1),
        np.arange(1.0, 4.0)[:, None, None] * x.T,
    ),
    (
        "all_to_all, tiled",
        lambda v: lax.all_to_all(np.arange(1.0, 7.0)[:, None] * v, "i", 0, 1, tiled=True),
        np.arange(1.0, 7.0).reshape(3, 2, 1) * x.ravel(),
    ),
    (
        "pswapaxes",
        lambda v: lax.pswapaxes(v[:, None] * np.arange(1.0, 4.0), "i", 1),
        np.stack([x.T * k for k in (1.0, 2.0, 3.0)]),
    ),
    ("psum_scatter", lambda v: lax.psum_scatter(np.arange(3.0) * v[0], "i"), np.arange(3) * 5.5),
    (
        "tree",
        lambda v: lax.psum({"a": v}, "i")["a"] + lax.pmean((v,), "i")[0],
        np.stack([x.sum(0) * 4 / 3] * 3),
    ),
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


BOTH = {
    **{f"{n} {a}": (lambda lax, v, n=n, a=a: getattr(lax, n)(v * v, a) * v)
       for n in ("psum", "pmean") for a in ("i", "j", ("i", "j"), ("j", "i"))},
    **{f"all_gather {a}": (lambda lax, v, a=a: lax.all_gather(v * v, a, axis=1) * v[0])
       for a in ("i", "j")},
    "tiled": lambda lax, v: lax.all_gather(v * v, "j", tiled=True),
    "ppermute": lambda lax, v: lax.ppermute(v * v, "j", [(0, 2), (2, 1), (1, 0)]) * v,
    "pshuffle": lambda lax, v: lax.pshuffle(v * v, "i", [1, 0]) * v,
    "all_to_all": lambda lax, v: lax.all_to_all(v * v, "i", 0, 0) + lax.psum(v, "j"),
    "axis_index": lambda lax, v: v * v * lax.axis_index(("j", "i")),
    "axis_size": lambda lax, v: v * v * lax.axis_size(("j", "i")),
    "pmax": lambda lax, v: lax.pmax(v, ("i", "j")),
    "pmin": lambda lax, v: lax.pmin(v, "j"),
    "pswapaxes": lambda lax, v: lax.pswapaxes(v, "i", 0),
    "psum_scatter": lambda lax, v: lax.psum_scatter(v, "i"),
}  # fmt: skip


@pytest.mark.parametrize("case", BOTH)
def test_values_and_derivatives_are_those_of_jax(case: str) -> None:
    jax = pytest.importorskip("jax")
    m = np.random.default_rng(0).normal(size=(2, 3, 2))

    def results(lib: Any, sin: Any) -> list[Any]:
        def nested(f: Any) -> Any:
            return lib.vmap(lib.vmap(f, axis_name="j"), axis_name="i")

        f = lambda v: BOTH[case](lib.lax, v)
        total = lambda m: sin(nested(f)(m)).sum()
        inside = lambda v: sin(f(v)).sum()
        out = [nested(f)(m)]
        if case not in ("pmax", "pmin"):  # which JAX does not differentiate
            out += [lib.grad(total)(m), lib.jvp(lib.grad(total), (m,), (m,))[1]]
            out += [
                nested(lib.grad(inside))(m),
                nested(lambda v: lib.jvp(inside, (v,), (v,))[1])(m),
            ]
            out += [nested(lambda v: lib.lax.scan(lambda c, _: (c + v, f(v)), v, None, 2))(m)[1]]
        return out

    with jax.enable_x64(True):
        want = results(jax, jax.numpy.sin)
    for a, b in zip(results(ft, fnp.sin), want, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def test_errors() -> None:
    with pytest.raises(TransformError, match="axis_name='j'"):
        mapped(lambda v: lax.psum(v, "j"))(x)
    with pytest.raises(TransformError, match="axis_name='i'"):
        lax.axis_index("i")
    with pytest.raises(TransformError, match="position 3 of an axis of extent 3"):
        mapped(lambda v: lax.pbroadcast(v, "i", 3))(x)
    with pytest.raises(ShapeError, match=r"all_to_all needs axis 0 of f64\[2\].*extent.*3"):
        mapped(lambda v: lax.all_to_all(v, "i", 0, 0))(x)
    with pytest.raises(ShapeError, match=r"a multiple of the extent"):
        mapped(lambda v: lax.all_to_all(v, "i", 0, 0, tiled=True))(x)
    with pytest.raises(TransformError, match=r"axis_name='j'.*open names: \['i'\]"):
        ft.grad(lambda x: fnp.sum(mapped(lambda v: lax.pmean(v, ("i", "j")))(x)))(x)
    with pytest.raises(TransformError, match="distinct positions"):
        mapped(lambda v: lax.ppermute(v, "i", [(0, 1), (1, 1)]))(x)
