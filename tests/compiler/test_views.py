"""Operands of libraries that are pieces of arrays: read where they lie, at the right place."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax

RNG = np.random.default_rng(0)
W = RNG.normal(size=(8, 5))
X = RNG.normal(size=(6, 4, 8))

PIECES = {
    "a row": (lambda x: x[2] @ W, "f64[1,4,8] from byte 512"),
    "rows": (lambda x: x[1:4] @ W, "f64[3,4,8] from byte 256"),
    "rows of a row": (lambda x: x[3, 1:3] @ W, "f64[1,2,8] from byte 832"),
    "a piece of a row": (lambda x: x[3, 1, 2:7] @ W[:5], "f64[1,1,5] from byte 848"),
    "of a piece": (lambda x: (x[2:] * 1.0)[1:3, :2] @ W, None),
    "the beginning": (lambda x: x[0] @ W, None),
    "of what a kernel made": (lambda x: fnp.sin(x)[5] @ W, "from byte 1280"),
    "both operands": (lambda x: x[4] @ x[5].T, "from byte 1280"),
    "read by kernels too": (lambda x: (x[2] @ W, fnp.sum(x[2])), "from byte 512"),
    "a result itself": (lambda x: (x[2] @ W, x[2]), None),
    "columns": (lambda x: x[2, :, 1:6] @ W[:5], None),
    "every second": (lambda x: x[1::2] @ W, None),
    "of LAPACK": (lambda x: fnp.linalg.inv(x[1:3, :, :4])[1], None),
}


@pytest.mark.parametrize("case", PIECES)
def test_pieces(case):
    f, view = PIECES[case]
    compiled = ft.jit(f)
    for found, expected in zip(ft.tree.leaves(compiled(X)), ft.tree.leaves(f(X)), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    source = compiled.lower(X).source
    assert ("ft_within" in source) is (view is not None)
    assert view is None or view in source


def test_in_a_loop():
    """A body's views are of the array that the step has."""
    big = RNG.normal(size=(40, 4, 64))  # too much for registers
    v = RNG.normal(size=(64, 64)) / 8

    def f(xs):
        return lax.scan(lambda h, x: ((h + x[1:3]) @ v, x[3] @ v), fnp.zeros((2, 64)), xs)

    def loop(xs):
        h = np.zeros((2, 64))
        for x in xs:
            h = (h + x[1:3]) @ v
        return h, xs[:, 3] @ v

    compiled = ft.jit(f)
    assert "    ft_within" in compiled.lower(big).source
    for found, expected in zip(compiled(big), loop(big), strict=True):
        np.testing.assert_allclose(found, expected)


def test_what_they_lie_in_lives_as_long_as_they_do():
    """Temporaries made meanwhile do not take the memory of the array around a view."""

    def f(x):
        made = fnp.sin(x)
        y = x.reshape(24, 8)
        for _ in range(4):
            y = fnp.cos(y @ fnp.ones((8, 8)))  # products make arrays, one after the other
        return made[3] @ (y[:8] @ W)

    np.testing.assert_allclose(ft.jit(f)(X), f(X))


def test_donated_arrays_are_read_first():
    x = RNG.normal(size=(200, 100))
    f = ft.jit(lambda x: (x[50:150] @ x[:100], x * 2.0), donate_argnums=0)
    expected = x[50:150] @ x[:100], x * 2.0
    for found, right in zip(f(x.copy()), expected, strict=True):
        np.testing.assert_allclose(found, right)


OVERWRITTEN = {
    "a scatter": lambda x, i: x[1:4].at[i].add(1.0),
    "a scatter into what a kernel made": lambda x, i: fnp.sin(x)[1:4].at[i].add(1.0),
    "a loop": lambda x, i: lax.fori_loop(0, i[0], lambda j, v: v.at[j].set(v[j + 1]), x[1:4]),
    "a branch": lambda x, i: lax.cond(
        i[0] > 0, lambda v: v.at[i].set(2.0), lambda v: v.at[0].set(3.0), x[1:4]
    ),
}


@pytest.mark.parametrize("case", OVERWRITTEN)
def test_a_piece_that_is_overwritten_is_a_copy(case):
    f = lambda x, i: (OVERWRITTEN[case](fnp.asarray(x), i), fnp.sum(x), fnp.sin(x) + x)
    x, i = X.copy(), np.array([2, 0])
    expected = ft.vmap(f)(x[None], i[None])
    for found, right in zip(ft.jit(f)(x, i), expected, strict=True):
        np.testing.assert_allclose(found, right[0])
    np.testing.assert_array_equal(x, X)
