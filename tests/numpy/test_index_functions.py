"""Functions that take elements by index or find indices give NumPy's answers, traced and not."""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
from functrans.core.errors import ConcretizationError, IndexingError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of
from functrans.numpy import index_functions as f
from functrans.test_util import check_grads


def run(fun, *args):
    """The results of a function as a checked Program evaluates it."""
    many = None

    def flat(xs):
        nonlocal many
        out = fun(*xs)
        many = isinstance(out, tuple)
        return list(out) if many else [out]

    program = make_program_flat(flat, [aval_of(a) for a in args])
    program.check()
    outs = evaluate(program, list(args))
    return tuple(outs) if many else outs[0]


def same(got, want):
    assert np.shape(got) == np.shape(want)
    assert np.asarray(got).dtype == np.asarray(want).dtype
    np.testing.assert_array_equal(got, want)


X = np.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("indices", [1, [0, 1, 1], [[0], [-1]], np.uint8([1]), []], ids=str)
def test_take(axis, indices):
    want = np.take(X, np.asarray(indices, int), axis)
    same(f.take(X, indices, axis), want)
    same(run(lambda x: f.take(x, indices, axis), X), want)
    i = np.asarray(indices, None if np.size(indices) else int)[()]
    same(run(lambda x, i: f.take(x, i, axis), X, i), want)
    same(run(lambda i: f.take(X, i, axis), i), want)
    check_grads(lambda x: f.take(x, indices, axis) ** 2, (X,), 2)


@pytest.mark.parametrize("mode", ["wrap", "clip"])
def test_take_modes(mode):
    index = np.array([-9, -1, 0, 3, 8])
    for axis in (0, 2, None):
        want = np.take(X, index, axis, mode=mode)
        same(f.take(X, index, axis, mode=mode), want)
        same(run(lambda x, i, axis=axis: f.take(x, i, axis, mode=mode), X, index), want)
    same(run(lambda x, i: f.take(x, i), np.arange(3.0), np.array([9, -1])), [np.nan, 2.0])
    same(f.take(np.arange(3.0), np.array([9, 1]), mode="fill"), [np.nan, 1.0])
    same(f.take(np.arange(3), np.array([9, 1]), fill_value=-1), [-1, 1])
    with pytest.raises(IndexingError):
        f.take(X, 9, 0)
    with pytest.raises(IndexingError, match="out of bounds"):
        run(lambda x: f.take(x, 9, 0), X)
    with pytest.raises(IndexingError, match="integer"):
        run(lambda x, i: f.take(x, i), X, 0.5)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_along_axis(axis):
    x = np.random.default_rng(0).normal(size=(3, 4))
    order = np.argsort(x, axis)
    want = np.take_along_axis(x, order, axis)
    same(f.take_along_axis(x, order, axis), want)
    same(run(lambda x, o: f.take_along_axis(x, o, axis), x, order), want)
    same(run(lambda x: f.take_along_axis(x, order, axis), x), want)
    check_grads(lambda x: f.take_along_axis(x, order, axis), (x,), 2)
    values = np.random.default_rng(1).normal(size=order.shape)
    expected = x.copy()
    np.put_along_axis(expected, order, values, axis)
    same(f.put_along_axis(x, order, values, axis, inplace=False), expected)
    same(
        run(lambda x, o, v: f.put_along_axis(x, o, v, axis, inplace=False), x, order, values),
        expected,
    )
    check_grads(lambda x, v: f.put_along_axis(x, order, v, axis, inplace=False), (x, values), 2)


def test_along_axis_broadcasts():
    x = np.arange(12.0).reshape(3, 4)
    for index in (np.array([[1, -1]]), np.array([[0], [2], [1]])):
        want = np.take_along_axis(x, index, 1)
        same(run(lambda x, i: f.take_along_axis(x, i, 1), x, index), want)
        expected = x.copy()
        np.put_along_axis(expected, index, 5.0, 1)
        same(run(lambda x, i: f.put_along_axis(x, i, 5.0, 1, inplace=False), x, index), expected)
    with pytest.raises(ShapeError, match="as many axes"):
        run(lambda x, i: f.take_along_axis(x, i, 1), x, np.array([0]))
    with pytest.raises(ValueError, match="inplace=False"):
        f.put_along_axis(x, np.array([[0]]), 1.0, 1)
    same(
        run(lambda x, i: f.take_along_axis(x, i, 1, fill_value=-1.0), x, np.array([[7]])),
        np.full((3, 1), -1.0),
    )


def test_put_and_fill_diagonal():
    for indices, values in (([1, 5], [8.0, 9.0]), ([1, 5, -1], [7.0]), ([0], [1.0, 2.0])):
        want = X.copy()
        np.put(want, indices, values)
        same(f.put(X, indices, values, inplace=False), want)
        same(
            run(
                lambda x, i, v: f.put(x, i, v, inplace=False),
                X,
                *map(np.asarray, (indices, values)),
            ),
            want,
        )
    for shape, wrap in (((3, 3), False), ((5, 2), False), ((5, 2), True), ((2, 4), True)):
        for value in (3.0, np.array([1.0, 2.0])):
            want = np.zeros(shape)
            np.fill_diagonal(want, value, wrap)
            x = np.zeros(shape)
            same(f.fill_diagonal(x, value, wrap, inplace=False), want)
            same(run(lambda x, w=wrap, v=value: f.fill_diagonal(x, v, w, inplace=False), x), want)
    cube = np.zeros((3, 3, 3))
    want = cube.copy()
    np.fill_diagonal(want, 1.0)
    same(f.fill_diagonal(cube, 1.0, inplace=False), want)
    with pytest.raises(ShapeError):
        f.fill_diagonal(np.zeros((2, 3, 3)), 1.0, inplace=False)


def test_choose():
    a = np.array([[0, 1], [2, 1]])
    choices = [np.float64(3.0), np.array([5.0, 6.0]), np.arange(4.0).reshape(2, 2)]
    same(run(lambda a, *c: f.choose(a, list(c)), a, *choices), np.choose(a, choices))
    table = np.arange(6).reshape(3, 2)
    same(run(lambda a, t: f.choose(a, t), np.array([2, 0]), table), np.choose([2, 0], table))
    for mode in ("wrap", "clip"):
        b = np.array([-1, 7])
        same(
            run(lambda b, t, mode=mode: f.choose(b, t, mode=mode), b, table),
            np.choose(b, table, mode=mode),
        )
    check_grads(lambda *c: f.choose(a, list(c)), tuple(choices), 1)


@pytest.mark.parametrize("order", ["C", "F"])
def test_index_arithmetic(order):
    flat = np.array([[0, 5, 23], [11, 7, 1]])
    want = np.unravel_index(flat, (2, 3, 4), order)
    got = run(lambda i: f.unravel_index(i, (2, 3, 4), order), flat)
    for g, w in zip(got, want, strict=True):
        same(g, w)
    same(run(lambda *i: f.ravel_multi_index(i, (2, 3, 4), order=order), *want), flat)
    same(
        run(lambda *i: f.ravel_multi_index(i, (2, 3), mode="wrap"), np.array([5]), np.array([-1])),
        np.ravel_multi_index(([5], [-1]), (2, 3), mode="wrap"),
    )
    mesh = run(lambda a, b: f.ix_(a, b), np.array([0, 1]), np.array([2, 0]))
    same(X[0][mesh], X[0][np.ix_([0, 1], [2, 0])])


MASKS = [
    np.array([0, 3, 0, 4]),
    np.array([[True, False], [False, True], [True, True]]),
    np.zeros((2, 2)),
    np.array([1.5, np.nan]),
    np.zeros((0, 2)),
]


@pytest.mark.parametrize("a", MASKS, ids=str)
def test_nonzero(a):
    want = np.nonzero(a)
    count = len(want[0])
    for g, w in zip(f.nonzero(a), want, strict=True):
        same(g, w)
    for size in (count, count + 2, max(count - 1, 0)):
        cut = min(size, count)
        for got in (f.nonzero(a, size=size), run(lambda a, n=size: f.nonzero(a, size=n), a)):
            for g, w in zip(got, want, strict=True):
                same(g, np.concatenate([w[:cut], np.zeros(size - cut, int)]))
        for g, w in zip(
            run(lambda a, n=size: f.nonzero(a, size=n, fill_value=-7), a), want, strict=True
        ):
            same(g, np.concatenate([w[:cut], np.full(size - cut, -7)]))
    same(run(lambda a: f.flatnonzero(a, size=count), a), np.flatnonzero(a))
    same(run(lambda a: f.argwhere(a, size=count), a), np.argwhere(a))
    same(f.argwhere(a), np.argwhere(a))
    same(f.flatnonzero(a), np.flatnonzero(a))


def test_nonzero_needs_values_or_a_size():
    a = np.array([0.0, 2.0])
    with pytest.raises(ConcretizationError, match="size="):
        run(lambda a: f.nonzero(a), a)
    with pytest.raises(ShapeError):
        f.nonzero(np.float64(1.0))
    # under grad there are values
    assert ft.grad(lambda x: f.take(x, f.nonzero(x)[0], 0)[0] * 3.0)(a).tolist() == [0.0, 3.0]
    got = ft.vmap(lambda a: f.nonzero(a, size=2, fill_value=9)[0])(np.eye(3))
    same(got, [[0, 9], [1, 9], [2, 9]])
    assert f.argwhere(np.float64(3.0)).shape == (1, 0)


def test_compress_and_extract():
    for axis, condition in (
        (0, [True, False]),
        (1, [False, True, True]),
        (None, [True, False, True]),
    ):
        want = np.compress(condition, X, axis)
        same(f.compress(condition, X, axis), want)
        same(run(lambda x, c=condition, a=axis: f.compress(c, x, a), X), want)
        size = want.shape[axis or 0]
        c = np.array(condition)
        same(run(lambda c, x, a=axis, n=size: f.compress(c, x, a, size=n), c, X), want)
    same(f.compress([True, False], np.array([1.0, 2.0]), size=3, fill_value=9), [1.0, 9.0, 9.0])
    same(run(lambda x: f.extract(X > 20, x), X), np.extract(X > 20, X))
    same(run(lambda m, x: f.extract(m, x, size=4), X > 20, X), [21.0, 22.0, 23.0, 0.0])
    with pytest.raises(ConcretizationError, match="size="):
        run(lambda x: f.extract(x > 2, x), X)
