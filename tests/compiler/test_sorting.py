"""Short rows are sorted without NumPy, long ones by it; with the evaluation's order to the bit,
which is stable where there is another operand."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.compiler import lower, sorting
from functrans.compiler.compile import Compiled
from functrans.primitives.sorting import LONG_ROW, sort_p

REAL = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"]


def _numbers(shape, dtype, seed=0):
    """With ties, zeros of both signs, nan of both signs and infinities, as the dtype has them."""
    rng = np.random.default_rng(seed)
    if dtype == "?":
        return rng.integers(0, 2, shape).astype(bool)
    if np.dtype(dtype).kind in "iu":
        x = rng.integers(-9, 9, shape).astype(dtype)
        return np.where(rng.random(shape) < 0.1, np.iinfo(dtype).max, x)
    special = rng.choice([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf], shape)
    return np.where(rng.random(shape) < 0.3, special, rng.integers(-9, 9, shape)).astype(dtype)


def _assert_same_bits(found, wanted):
    for x, y in zip(found, wanted, strict=True):
        assert x.dtype == y.dtype and x.shape == y.shape
        x, y = np.ascontiguousarray(x), np.ascontiguousarray(y)
        np.testing.assert_array_equal(x.view(np.uint8), y.view(np.uint8))


@pytest.mark.parametrize("dtype", REAL)
def test_rows_of_every_length(dtype):
    for n in (0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 100, 255, 300):
        x = _numbers((3, n), dtype, n)
        given = [x, np.arange(x.size).reshape(x.shape)]
        copies = [y.copy() for y in given]
        sort = ft.jit(lambda *xs: sort_p.bind(*xs, axis=1, num_keys=1))
        _assert_same_bits(sort(*given), sort_p.bind(*given, axis=1, num_keys=1))
        _assert_same_bits(given, copies)
        assert "NumPy" not in sort.lower(*given).source


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("shape", [(5,), (9, 16), (300,), (2, 3, 70)])
def test_one_operand(shape, dtype):
    x = _numbers(shape, dtype)
    given = x.copy()
    sort = ft.jit(lambda x: sort_p.bind(x, axis=x.ndim - 1, num_keys=1)[0])
    np.testing.assert_array_equal(sort(x), np.sort(x))
    np.testing.assert_array_equal(x, given)
    short = x.size <= sorting.FEW or x.shape[-1] <= sorting.LONGEST_ALONE
    assert ("NumPy" in sort.lower(x).source) is not short


LONG = LONG_ROW
STABLE = {  # of rows that NumPy orders, and that are put right where elements are equal
    "distinct": lambda dtype: np.random.default_rng(0).permutation(3 * LONG).astype(dtype),
    "equal": lambda dtype: np.ones(LONG, dtype),
    "a few": lambda dtype: _numbers((2 * LONG,), dtype),
    "rows": lambda dtype: _numbers((3, LONG + 5), dtype),
    "first axis": lambda dtype: _numbers((LONG, 2), dtype),
    "one pair": lambda dtype: np.append(np.arange(float(LONG)), 7.0).astype(dtype),
}


@pytest.mark.parametrize("dtype", ["i4", "i8", "u4", "u8", "f4", "f8"])
@pytest.mark.parametrize("name", STABLE)
def test_long_rows_are_ordered_stably(name, dtype):
    x = STABLE[name](dtype)
    axis = int(np.argmax(x.shape))
    given = [x, np.arange(x.size, dtype="f8").reshape(x.shape), x.astype("c16")]
    order = np.argsort(x, axis, kind="stable")
    wanted = [np.take_along_axis(y, order, axis) for y in given]
    _assert_same_bits(sort_p.bind(*given, axis=axis, num_keys=1), wanted)
    sort = ft.jit(lambda *xs: sort_p.bind(*xs, axis=axis, num_keys=1))
    _assert_same_bits(sort(*given), wanted)


ORDERS = {
    "ascending": np.arange(1000.0),
    "descending": -np.arange(1000.0),
    "equal": np.zeros(1000),
    "two runs": np.concatenate([np.arange(600.0), np.arange(400.0)]),
    "nan": np.full(1000, np.nan),
    "large": np.random.default_rng(0).normal(size=100_003),
}


@pytest.mark.parametrize("name", ORDERS)
def test_orders(name):
    x = ORDERS[name]
    np.testing.assert_array_equal(ft.jit(fnp.sort)(x), np.sort(x))
    np.testing.assert_array_equal(ft.jit(fnp.argsort)(x), np.argsort(x, kind="stable"))


SORTS = {  # dtypes of the operands, how many are keys, shape, axis, whether it is native
    "first axis": (["f8"], 1, (9, 4), 0, True),
    "middle axis": (["i4"], 1, (2, 20, 3), 1, True),
    "beside": (["f4", "f8"], 1, (5, 12), 1, True),
    "beside, first axis": (["u1", "?"], 1, (12, 5), 0, True),
    "complex beside": (["f8", "c16"], 1, (4, 11), 1, True),
    "three": (["f8", "i4", "f4"], 1, (4, 11), 1, True),
    "two keys": (["u1", "f8"], 2, (4, 30), 1, True),
    "three keys and one beside": (["?", "u1", "i4", "f8"], 3, (40, 3), 0, True),
    "complex": (["c16"], 1, (4, 11), 1, False),
    "half": (["f2"], 1, (4, 11), 1, False),
    "a complex key": (["i4", "c8"], 2, (4, 11), 1, False),
    "narrow and long": (["u1"], 1, (2, sorting.LONGEST_NARROW + 1), 1, False),
    "nothing": (["f8", "i4"], 1, (0, 5), 1, True),
    "rows of nothing": (["f8"], 1, (5, 0), 1, True),
    "long rows": (["f8"], 1, (5, 100), 1, False),
    "long columns": (["i4"], 1, (100, 5), 0, False),
}


@pytest.mark.parametrize("name", SORTS)
def test_operands_keys_and_axes(name):
    dtypes, num_keys, shape, axis, native = SORTS[name]
    operands = [_numbers(shape, t, i) for i, t in enumerate(dtypes)]
    sort = ft.jit(lambda *xs: sort_p.bind(*xs, axis=axis, num_keys=num_keys))
    found, wanted = sort(*operands), sort_p.bind(*operands, axis=axis, num_keys=num_keys)
    for x, y in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(x, y)
    assert ("NumPy" not in sort.lower(*operands).source) == native


SELECTIONS = {  # shape, k, axis, whether without a sort
    "one": ((3, 50), 1, 1, True),
    "few": ((3, 2, 500), 9, 2, True),
    "no whole vector": ((3, 12), 1, 1, True),
    "first axis": ((100, 4), 5, 0, True),
    "most": ((2, 64 * 8 + 3), 64, 1, True),
    "many": ((4, 30), 10, 1, False),
    "all": ((4, 30), 30, 1, False),
    "none": ((4, 30), 0, 1, False),
    "of nothing": ((0, 30), 2, 1, True),
}


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("dtype", REAL)
def test_selections(dtype, name):
    shape, k, axis, found = SELECTIONS[name]
    x = _numbers(shape, dtype)
    select = ft.jit(lambda x: lax.top_k(x, k, axis))
    _assert_same_bits(select(x), lax.top_k(x, k, axis))
    source = select.lower(x).source
    assert "NumPy" not in source and ("# top_k" in source) == (found and x.size > 0)


@pytest.mark.parametrize("name", ORDERS)
def test_selections_of_orders(name):
    x = ORDERS[name]
    _assert_same_bits(ft.jit(lambda x: lax.top_k(x, 40))(x), lax.top_k(x, 40))


FUNCTIONS = {
    "sort": lambda x: fnp.sort(x, axis=0),
    "descending": lambda x: fnp.sort(x, axis=1, descending=True),
    "argsort": lambda x: fnp.argsort(x, axis=1),
    "median": lambda x: fnp.median(x, axis=1),
    "quantile": lambda x: fnp.quantile(x, np.array([0.1, 0.7]), axis=0),
    "top_k": lambda x: lax.top_k(x, 2),
    "unique": lambda x: fnp.unique(x, size=5),
    "lexsort": lambda x: fnp.lexsort((x[0], x[1])),
    "searched": lambda x: fnp.searchsorted(fnp.sort(x[0]), x[1]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_stands_on_sort(name):
    f = FUNCTIONS[name]
    x = np.random.default_rng(0).integers(-5, 5, (6, 23)).astype(float)
    compiled = ft.jit(f)
    for got, want in zip(ft.tree.leaves(compiled(x)), ft.tree.leaves(f(x)), strict=True):
        np.testing.assert_allclose(got, want, 1e-14)
    assert "NumPy: unstable" not in compiled.lower(x).source


@pytest.mark.parametrize("n", [3, 9, 40])
def test_loops_maps_and_gradients(n):
    x = np.random.default_rng(n).normal(size=(5, n))
    weights = np.arange(1.0, n + 1)

    def loop(x):
        def step(carry, row):
            order = fnp.argsort(row * carry)
            total = fnp.sum(fnp.sort(row * carry) * weights) + row[order[0]]
            return carry + 0.01 * fnp.median(row), total

        last, totals = lax.scan(step, 1.0, x)
        return last + fnp.sum(totals)

    for f in (loop, ft.grad(loop), ft.vmap(fnp.sort), ft.hessian(lambda x: loop(x) ** 2)):
        compiled = ft.jit(f)
        np.testing.assert_allclose(compiled(x), f(x), 1e-9, 1e-9)
        assert "NumPy" not in compiled.lower(x).source


def test_rows_are_divided_among_threads(monkeypatch):
    x = _numbers((500, 77), "f8")
    monkeypatch.setattr(lower, "pieces", lambda extent, nanoseconds: min(extent, 7))
    divided = Compiled(ft.make_program(lambda x: fnp.argsort(x, axis=1))(x))
    assert divided([x])[0].tobytes() == np.argsort(x, 1, kind="stable").tobytes()


def test_threads_that_call_at_once_have_their_own_memory():
    stack = np.random.default_rng(0).normal(size=(40, 50, 333))
    sort = ft.jit(lambda x: fnp.sort(x, axis=1))
    sort(stack[0])
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(sort, stack))
    np.testing.assert_array_equal(found, np.sort(stack, 2))
