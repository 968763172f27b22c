"""gather, scatter, dynamic slices and sort as primitives: every rule, eager, batched, compiled."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest

import functrans as ft
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of
from functrans.primitives.dynamic import dynamic_slice_p, dynamic_update_slice_p
from functrans.primitives.indexing import gather, scatter
from functrans.primitives.sorting import argsort, lexsort, sort_p, take_along
from functrans.test_util import check_grads


def run(fun, *args):
    """The result of a function as a checked Program evaluates it."""
    program = make_program_flat(lambda xs: [fun(*xs)], [aval_of(a) for a in args])
    program.check()
    return evaluate(program, list(args))[0]


def check(fun, *args, floats=()):
    """fun is the same eagerly, traced, compiled, and mapped over any choice of its arguments; and
    its derivatives in the arguments numbered by `floats` are right to second order."""
    expected = fun(*args)
    for result in (run(fun, *args), ft.jit(fun)(*args)):
        assert result.shape == expected.shape
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=1e-12)
    stacks = [np.stack([a, np.flip(a), a]) for a in map(np.asarray, args)]
    for mapped in itertools.product((True, False), repeat=len(args)):
        if not any(mapped):
            continue
        axes = tuple(0 if m else None for m in mapped)
        inputs = [s if m else s[0] for s, m in zip(stacks, mapped, strict=True)]
        got = ft.vmap(fun, axes)(*inputs)
        compiled = ft.jit(ft.vmap(fun, axes))(*inputs)
        for b in range(3):
            row = [s[b] if m else s[0] for s, m in zip(stacks, mapped, strict=True)]
            np.testing.assert_allclose(got[b], fun(*row), rtol=1e-12)
            np.testing.assert_allclose(compiled[b], fun(*row), rtol=1e-12)

    def of_floats(*values):
        full = list(args)
        for i, v in zip(floats, values, strict=True):
            full[i] = v
        return fun(*full)

    if floats:
        check_grads(of_floats, tuple(args[i] for i in floats), 2)
        scaled = ft.vmap(lambda s, *v: of_floats(*[s * x for x in v]), (0, *[None] * len(floats)))
        check_grads(scaled, (np.array([1.0, 2.0]), *[args[i] for i in floats]), 1)


def floats(shape, seed=0):
    return np.random.default_rng(seed).uniform(0.5, 2.0, shape)


I = np.array  # noqa: E741
GATHERS = [
    ((5,), [I(3)], (0,)),
    ((5,), [I([3, 3, 0])], (0,)),
    ((5,), [I([[3], [7]])], (0,)),
    ((5, 4), [I([3, -2, 9])], (1,)),
    ((5, 4), [I([3, 3]), I([0, 0])], (0, 1)),
    ((5, 4), [I([3, 1]), I([0, 2])], (1, 0)),
    ((3, 5, 4), [I([[1], [2]], np.int32), I([0, 3, 3])], (2, 0)),
    ((3, 5, 4), [I([], np.int64)], (1,)),
    ((0, 4), [I([1, 2])], (1,)),
]


@pytest.mark.parametrize(("shape", "indices", "axes"), GATHERS, ids=str)
@pytest.mark.parametrize("mode", ["clip", "fill"])
def test_gather(shape, indices, axes, mode):
    check(lambda x, *i: gather(x, i, axes, mode, 7.0), floats(shape), *indices, floats=(0,))


@pytest.mark.parametrize(("shape", "indices", "axes"), GATHERS, ids=str)
@pytest.mark.parametrize("mode", ["clip", "drop"])
@pytest.mark.parametrize("op", ["set", "add", "mul", "min", "max"])
def test_scatter(shape, indices, axes, mode, op):
    x = floats(shape)
    updates = floats(gather(x, indices, axes).shape, seed=1)
    check(lambda x, u, *i: scatter(x, u, i, axes, op, mode), x, updates, *indices, floats=(0, 1))


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint64", "bool", "complex64"])
@pytest.mark.parametrize("op", ["set", "add", "mul", "min", "max"])
def test_scatter_dtypes(dtype, op):
    x = np.array([1, 0, 2, 3]).astype(dtype)
    u = np.array([1, 1, 0]).astype(dtype)
    out = scatter(x, u, [np.array([1, 1, 2])], (0,), op)
    assert out.dtype == x.dtype
    if op == "add" and dtype != "bool":
        np.testing.assert_array_equal(out, [1, 2, 2, 3])


def test_wide_rows_and_unique_promises_change_nothing():
    x, index = floats((4, 600)), np.array([2, 2, 0])
    u = floats((3, 600), 1)
    expected = x.copy()
    np.add.at(expected, index, u)
    np.testing.assert_allclose(scatter(x, u, [index], (0,), "add"), expected)
    got = scatter(x, u[:2], [np.array([3, 0])], (0,), "max", unique=True)
    np.testing.assert_allclose(got[3], np.maximum(x[3], u[0]))


@pytest.mark.parametrize("order", ["C", "F"])
def test_the_last_of_several_updates_wins(order):
    rng = np.random.default_rng(0)
    index = np.asarray(rng.integers(0, 4, (5, 6)), order=order)
    updates = np.asarray(floats((5, 6)), order=order)
    expected = np.zeros(4)
    for i, u in zip(index.ravel(), updates.ravel(), strict=True):
        expected[i] = u
    got = scatter(np.zeros(4), updates, [index], (0,), "set")
    np.testing.assert_array_equal(got, expected)
    _, pull = ft.vjp(lambda u: scatter(np.zeros(4), u, [index], (0,), "set"), updates)
    (gradient,) = pull(np.arange(1.0, 5.0))
    assert np.count_nonzero(gradient) == len(np.unique(index))
    np.testing.assert_array_equal(gradient[gradient > 0], index[gradient > 0] + 1.0)


BLOCKS = [
    ((5,), (2,), (1,)),
    ((5,), (2,), (4,)),
    ((5,), (2,), (-3,)),
    ((5,), (5,), (2,)),
    ((4, 5), (2, 3), (1, 1)),
    ((4, 5), (4, 3), (0, 9)),
    ((4, 5), (2, 5), (3, 0)),
    ((3, 4, 5), (1, 4, 2), (2, 0, 1)),
    ((3,), (0,), (1,)),
    ((), (), ()),
]


@pytest.mark.parametrize(("shape", "sizes", "starts"), BLOCKS)
def test_dynamic_slice(shape, sizes, starts):
    x, starts = floats(shape), [np.int64(s) for s in starts]
    check(lambda x, *s: dynamic_slice_p.bind(x, *s, sizes=sizes), x, *starts, floats=(0,))


@pytest.mark.parametrize("op", ["set", "add"])
@pytest.mark.parametrize(("shape", "sizes", "starts"), BLOCKS)
def test_dynamic_update_slice(op, shape, sizes, starts):
    x, update, starts = floats(shape), floats(sizes, 1), [np.int64(s) for s in starts]
    write = partial(dynamic_update_slice_p.bind, op=op)
    check(write, x, update, *starts, floats=(0, 1))
    wide = np.stack([x, x, x])
    if shape:  # each example its own start
        begins = [np.array([0, s, 1]) for s in starts]
        got = ft.vmap(write, (0, None, *[0] * len(begins)))(wide, update, *begins)
        for b in range(3):
            row = write(x, update, *[s[b] for s in begins])
            np.testing.assert_array_equal(got[b], row)


@pytest.mark.parametrize("axis", [0, 1])
def test_sort_of_several_operands(axis):
    rng = np.random.default_rng(3)
    key = rng.integers(0, 3, (4, 5))
    second, value = rng.normal(size=(4, 5)), rng.normal(size=(4, 5))
    for keys in (1, 2, 3):
        for n in range(3):
            check(
                lambda k, s, v, keys=keys, n=n: sort_p.bind(k, s, v, axis=axis, num_keys=keys)[n],
                key,
                second,
                value,
                floats=(1, 2) if n else (),
            )
    rows = [np.moveaxis(v, axis, 0) for v in (key, second, value)]
    out = [np.moveaxis(v, axis, 0) for v in sort_p.bind(key, second, value, axis=axis, num_keys=2)]
    for j in range(rows[0].shape[1]):
        columns = [r[:, j].tolist() for r in rows]
        assert list(zip(*[o[:, j].tolist() for o in out], strict=True)) == sorted(
            zip(*columns, strict=True), key=lambda t: t[:2]
        )


def test_sort_is_stable_and_puts_nan_last():
    x = np.array([np.nan, 2.0, -np.inf, 2.0, np.nan, np.inf])
    for order in (
        argsort(x, 0),
        run(lambda x: argsort(x, 0), x),
        ft.jit(lambda x: argsort(x, 0))(x),
    ):
        np.testing.assert_array_equal(order, [2, 1, 3, 5, 0, 4])
    ties = np.array([0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(lexsort((ties, x), 0), [2, 1, 3, 5, 0, 4])


def test_take_along():
    x = floats((3, 4))
    order = np.argsort(x, 1)
    check(lambda x, o: take_along(x, o, 1), x, order, floats=(0,))


def test_operands_that_do_not_fit():
    x = np.zeros((3, 4))
    with pytest.raises(DTypeError, match="integer indices"):
        run(lambda x, i: gather(x, [i], (0,)), x, 0.5)
    with pytest.raises(ShapeError, match="broadcast together"):
        run(lambda x, i, j: gather(x, [i, j], (0, 1)), x, np.arange(2), np.arange(3))
    with pytest.raises(ShapeError, match="empty axis"):
        run(lambda x, i: gather(x, [i], (0,)), np.zeros((0, 3)), 0)
    with pytest.raises(ShapeError, match=r"updates of shape \(2, 4\)"):
        run(lambda x, u, i: scatter(x, u, [i], (0,)), x, np.zeros((2, 3)), np.arange(2))
    with pytest.raises(DTypeError, match="dtype"):
        run(lambda x, u: scatter(x, u, [np.arange(2)], (0,)), x, np.zeros((2, 4), int))
    with pytest.raises(ShapeError, match="does not fit"):
        run(lambda x: dynamic_slice_p.bind(x, 0, 0, sizes=(4, 4)), x)
    with pytest.raises(ShapeError, match="one shape"):
        run(lambda x, y: sort_p.bind(x, y, axis=0, num_keys=1)[0], x, x.T)
