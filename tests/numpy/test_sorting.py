"""Sorting, searching and quantiles give NumPy's answers traced and batched, and differentiate."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import functrans as ft
from functrans.core.errors import ConcretizationError, DTypeError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of
from functrans.numpy import quantiles, sorting
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
    np.testing.assert_allclose(got, want, rtol=1e-6 if got.dtype == np.float32 else 1e-12)


def sample(shape, dtype="float64", seed=0):
    x = np.random.default_rng(seed).normal(size=shape) * 5
    return (x + 1j * x.round()).astype(dtype) if dtype == "complex128" else x.astype(dtype)


NAN = np.array([[3.0, np.nan, 1.0, 1.0], [np.nan, np.nan, -np.inf, np.inf]])
ARRAYS = [
    sample((5,)),
    sample((3, 4)),
    sample((2, 3, 4), "int32"),
    NAN,
    sample((0,)),
    sample((3, 0)),
    sample((3, 40), "int64") // 5,
]
ARRAYS += [sample((4, 2), d) for d in ("float32", "uint8", "bool", "complex128")]


@pytest.mark.parametrize("options", [{"stable": True}, {"kind": "stable"}])
def test_zeros_of_both_signs_stay_in_their_order_if_asked_for(options):
    zeros = np.where(np.arange(300) % 3 == 0, -0.0, 0.0)
    found = run(lambda x: sorting.sort(x, **options), zeros)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(zeros))


@pytest.mark.parametrize("x", ARRAYS, ids=lambda x: f"{x.dtype}{x.shape}")
@pytest.mark.parametrize("axis", [-1, 0, None])
def test_sort(x, axis):
    same(run(lambda x: sorting.sort(x, axis), x), np.sort(x, axis))
    order = np.argsort(x, axis, kind="stable")
    same(run(lambda x: sorting.argsort(x, axis), x), order)
    for kind in (None, "stable", "quicksort"):
        same(sorting.argsort(x, axis, kind), order)
    same(sorting.sort(x, axis, descending=True), np.flip(np.sort(x, axis), axis or 0))
    same(
        run(lambda x: sorting.sort(x, axis, descending=True), x),
        sorting.sort(x, axis, descending=True),
    )
    down = sorting.argsort(x, axis, descending=True)
    same(run(lambda x: sorting.argsort(x, axis, descending=True), x), down)
    if x.dtype.kind == "i":
        np.testing.assert_array_equal(down, np.argsort(-x, axis, kind="stable"))


def test_sort_batches_and_differentiates():
    x = sample((3, 4))
    same(ft.vmap(lambda r: sorting.sort(r))(x), np.sort(x, 1))
    same(ft.vmap(lambda r: sorting.sort(r), in_axes=1)(x), np.sort(x.T, 1))
    for axis in (0, 1, None):
        check_grads(lambda x, axis=axis: sorting.sort(x, axis) ** 2, (x,), 2)
    check_grads(lambda x: sorting.partition(x, 1), (x,), 1)


@pytest.mark.parametrize("axis", [-1, 0])
def test_lexsort(axis):
    keys = np.random.default_rng(0).integers(0, 3, (3, 4, 5))
    want = np.lexsort(keys, axis)
    same(run(lambda k: sorting.lexsort(k, axis), keys), want)
    same(run(lambda *k: sorting.lexsort(k, axis), *keys), want)
    floats = np.where(keys == 2, np.nan, keys)
    same(run(lambda k: sorting.lexsort(k, axis), floats), np.lexsort(floats, axis))
    mapped = ft.vmap(lambda a, b: sorting.lexsort((a, b)), in_axes=(0, None))(keys[0], keys[1][0])
    np.testing.assert_array_equal(mapped, [np.lexsort((r, keys[1][0])) for r in keys[0]])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 9])
def test_searchsorted(side, n):
    rng = np.random.default_rng(n)
    a = np.sort(rng.integers(0, 6, n).astype(float))
    v = np.concatenate([a, a - 0.5, a + 0.5, [np.nan, np.inf, -np.inf]])
    for table in (a, np.append(a, [np.nan, np.nan])):
        same(
            run(lambda a, v: sorting.searchsorted(a, v, side), table, v),
            np.searchsorted(table, v, side),
        )
    same(run(lambda v: sorting.searchsorted(a, v, side), 2.0), np.searchsorted(a, 2.0, side))
    shuffled = rng.permutation(a)
    order = np.argsort(shuffled)
    same(
        run(lambda a, v: sorting.searchsorted(a, v, side, sorter=order), shuffled, v),
        np.searchsorted(a, v, side),
    )
    same(run(lambda a: sorting.searchsorted(a, np.arange(3)), np.arange(5)), np.arange(3))


def test_digitize():
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.9, 3.0, 9.0])
    for bins in (np.array([0.0, 1.0, 3.0]), np.array([3.0, 1.0, 0.0]), np.array([1.0])):
        for right in (False, True):
            same(
                run(lambda x, b: sorting.digitize(x, b, right), x, bins),
                np.digitize(x, bins, right),
            )


# --- unique ---------------------------------------------------------------------------------------

UNIQUE = [
    np.array([3, 1, 3, 2, 1, 1]),
    np.array([[2.0, np.nan], [np.nan, 1.0], [2.0, 0.0]]),
    np.array([1.5]),
    np.array([True, False, True]),
]


@pytest.mark.parametrize("x", UNIQUE, ids=lambda x: f"{x.dtype}{x.shape}")
@pytest.mark.parametrize("equal_nan", [True, False])
def test_unique_with_a_size(x, equal_nan):
    want = np.unique(x, True, True, True, equal_nan=equal_nan)
    n = len(want[0])

    def call(size, fill=None):
        return run(
            lambda x: sorting.unique(
                x, True, True, True, equal_nan=equal_nan, size=size, fill_value=fill
            ),
            x,
        )

    for got, expected in zip(call(n), want, strict=True):
        same(got, expected)
    values, index, inverse, counts = call(n + 2, 0)
    same(values[:n], want[0])
    np.testing.assert_array_equal(values[n:], 0)
    np.testing.assert_array_equal(counts, [*want[3], 0, 0])
    np.testing.assert_array_equal(inverse, want[2])
    np.testing.assert_array_equal(index[:n], want[1])
    assert call(n + 2)[0][-1] == want[0][0]
    if n > 1:
        np.testing.assert_array_equal(call(n - 1)[0], want[0][: n - 1])
        np.testing.assert_array_equal(call(n - 1)[3], want[3][: n - 1])


def test_unique_rows():
    x = np.array([[1, 2, 1], [0, 5, 0], [1, 2, 1], [1, 1, 9]])
    for axis in (0, 1):
        want = np.unique(x, True, True, True, axis)
        n = want[0].shape[axis]
        got = run(lambda x, axis=axis, n=n: sorting.unique(x, True, True, True, axis, size=n), x)
        for g, w in zip(got, want, strict=True):
            same(g, w)


def test_unique_of_known_and_unknown_values():
    x = np.array([3.0, 1.0, 3.0])
    np.testing.assert_array_equal(
        ft.grad(lambda x: ft.numpy.sum(sorting.unique(x) ** 2))(x), [6.0, 2.0, 0.0]
    )
    with pytest.raises(ConcretizationError, match="size="):
        run(lambda x: sorting.unique(x), x)
    assert sorting.unique_all(x).counts.tolist() == [1, 2]
    assert sorting.unique_inverse(x).inverse_indices.tolist() == [1, 0, 1]


# --- quantiles ------------------------------------------------------------------------------------

QS = [0.3, 0, 1, np.array([0.0, 0.25, 0.5, 1.0]), np.array([[0.1], [0.9]]), np.float32(0.4)]


@pytest.mark.parametrize("method", quantiles.POSITIONS)
@pytest.mark.parametrize("q", QS, ids=repr)
def test_quantile_methods(method, q):
    for x in (sample((5,)), sample((6,), "float32"), sample((7,), "int32"), np.array([2.0])):
        want = np.quantile(x, q, method=method)
        same(run(lambda x: quantiles.quantile(x, q, method=method), x), want)
        same(run(lambda x, q: quantiles.quantile(x, q, method=method), x, q), want)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_quantiles_over_axes(axis, keepdims):
    x = sample((3, 4, 5))
    holes = np.where(x > 4, np.nan, x)
    holes[0, 0] = np.nan
    for q in (0.3, np.array([0.2, 0.7])):
        for name, data in (("quantile", x), ("quantile", holes), ("nanquantile", holes)):
            with _quiet():
                want = getattr(np, name)(data, q, axis, keepdims=keepdims)
            same(
                run(lambda d: getattr(quantiles, name)(d, q, axis, keepdims=keepdims), data),
                want,
            )
        same(
            run(lambda d: quantiles.percentile(d, q * 100, axis), x),
            np.percentile(x, q * 100, axis),
        )
    for name, data in (("median", x), ("median", holes), ("nanmedian", holes)):
        with _quiet():
            want = getattr(np, name)(data, axis, keepdims=keepdims)
        same(run(lambda d: getattr(quantiles, name)(d, axis, keepdims=keepdims), data), want)


def _quiet():
    return warnings.catch_warnings(action="ignore")


@pytest.mark.parametrize("dtype", ["float32", "int16", "bool", "complex128", "float16"])
@pytest.mark.parametrize("n", [1, 4, 5])
def test_median_dtypes(dtype, n):
    x = sample((n,), dtype)
    same(run(quantiles.median, x), np.median(x))


@pytest.mark.parametrize("dtype", ["float32", "int16"])
@pytest.mark.parametrize("axis", [0, None])
def test_medians_of_nothing_are_nan(dtype, axis):
    x = np.zeros((0, 3), dtype)
    with _quiet():
        same(run(lambda x: quantiles.median(x, axis), x), np.median(x, axis))
        same(run(lambda x: quantiles.nanmedian(x, axis), x), np.nanmedian(x, axis))
        same(run(lambda x: quantiles.nanquantile(x, 0.5, axis), x), np.nanquantile(x, 0.5, axis))
    for call in (
        quantiles.quantile,
        lambda x, q, axis: run(lambda x: quantiles.quantile(x, q, axis), x),
    ):
        with pytest.raises(IndexError):
            call(x, 0.5, axis)


def test_quantiles_differentiate_and_batch():
    x = sample((3, 4))
    check_grads(lambda x: quantiles.median(x, 1) ** 2, (x,), 2)
    check_grads(lambda x, q: quantiles.quantile(x, q, 1), (x, np.array([0.13, 0.77])), 2)
    check_grads(lambda x: quantiles.nanmedian(x), (x,), 1)
    same(ft.vmap(quantiles.median)(x), np.median(x, 1))
    same(
        ft.vmap(quantiles.quantile)(x, np.array([0.1, 0.5, 0.8])),
        np.array([np.quantile(r, q) for r, q in zip(x, (0.1, 0.5, 0.8), strict=True)]),
    )


def test_errors_of_sorting():
    with pytest.raises(ShapeError):
        run(lambda x: sorting.sort(x), np.float64(1.0))
    with pytest.raises(ShapeError):
        run(lambda x: sorting.sort(x, 1), np.ones(3))
    with pytest.raises(ValueError, match="range"):
        run(lambda x: quantiles.quantile(x, 1.5), np.ones(3))
    with pytest.raises(ValueError, match="no method"):
        run(lambda x: quantiles.quantile(x, 0.5, method="best"), np.ones(3))
    with pytest.raises(DTypeError):
        run(lambda x: quantiles.quantile(x, 0.5), np.ones(3, complex))
    with pytest.raises(ShapeError):
        run(lambda x: sorting.partition(x, 7), np.ones(3))
