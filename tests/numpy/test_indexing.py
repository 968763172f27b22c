"""`x[index]` and `at(x)[index]` are NumPy's, eagerly, in a Program, batched and differentiated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans.core.errors import ConcretizationError, DTypeError, IndexingError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of
from functrans.numpy.indexing import at, getitem
from functrans.primitives.constants import constant
from functrans.primitives.reductions import reduce_sum_p
from functrans.test_util import check_grads

S = slice


def run(fun, *args):
    """The result of a function as a checked Program evaluates it."""
    program = make_program_flat(lambda xs: [fun(*xs)], [aval_of(a) for a in args])
    program.check()
    return evaluate(program, list(args))[0]


def total(x):
    """The sum of a vector."""
    return reduce_sum_p.bind(x, axes=(0,))


def is_integers(entry) -> bool:
    """Whether an entry of an index is an integer or a non-empty integer array."""
    if isinstance(entry, bool) or entry is None or entry is Ellipsis or isinstance(entry, slice):
        return False
    array = np.asarray(entry)
    return array.dtype.kind in "iu" and array.size > 0


def with_arguments(index):
    """The index as a function of its integers, and these."""
    entries = index if isinstance(index, tuple) else (index,)
    where = [i for i, e in enumerate(entries) if is_integers(e)]

    def rebuild(*values):
        out = list(entries)
        for i, v in zip(where, values, strict=True):
            out[i] = v
        return tuple(out)

    return rebuild, [np.asarray(entries[i])[()] for i in where]


CASES = [
    ((5,), 2),
    ((5,), -1),
    ((5,), np.int8(-2)),
    ((5,), S(None)),
    ((5,), S(4, None, -2)),
    ((5,), S(10, -10, -1)),
    ((5,), S(3, 1)),
    ((5,), ()),
    ((5,), ...),
    ((5,), None),
    ((5,), [0, 0, -1]),
    ((5,), []),
    ((5,), np.array([True, False, True, True, False])),
    ((5,), True),
    ((5,), False),
    ((5,), np.array([[1, 2], [4, 0]], np.uint8)),
    ((), ()),
    ((), None),
    ((), (..., None)),
    ((), True),
    ((3, 4), (1, 2)),
    ((3, 4), (S(None), 1)),
    ((3, 4), (S(None, None, -1), S(1, None, 2))),
    ((3, 4), (..., 0)),
    ((3, 4), (None, S(1, 3), None, -1)),
    ((3, 4), ([0, 2], [1, -1])),
    ((3, 4), ([[0], [2]], [1, -1, 0])),
    ((3, 4), np.ix_([0, 2], [3, 1, 1])),
    ((3, 4), (S(None, None, -2), [1, 1, 3])),
    ((3, 4), ([1, 2], S(1, 3))),
    ((3, 4), np.arange(12).reshape(3, 4) % 3 == 0),
    ((3, 4), (np.array([True, False, True]), 2)),
    ((3, 4), (np.array([False] * 3), S(None))),
    ((2, 3, 4), (0, S(None), [1, 2])),
    ((2, 3, 4), (S(None), 0, [1, 2])),
    ((2, 3, 4), ([0, 1], S(None), [1, 2])),
    ((2, 3, 4), ([0, 1], ..., [1, 2])),
    ((2, 3, 4), (S(None), [0, 1], [1, 2])),
    ((2, 3, 4), (S(None), [0, 1], None, [1, 2])),
    ((2, 3, 4), (S(1, None), [[0], [1]], [1, 2])),
    ((2, 3, 4), (S(None), np.ones((3, 4), bool))),
    ((2, 3, 4), (1, np.eye(3, 4).astype(bool))),
    ((2, 3), (None, 1, ..., [0, 1])),
    ((0, 3), (S(None), [0, 2])),
    ((3, 0), ([1, 1], S(None))),
]
DTYPES = ["float64", "float32", "int32", "bool", "complex128"]


def name(value) -> str:
    return repr(value).replace("array", "").replace(" ", "")[:50] if value is not None else "None"


def sample(shape, dtype="float64", seed=0):
    data = np.random.default_rng(seed).normal(size=shape) * 10
    return data.astype(dtype)


@pytest.mark.parametrize(("shape", "index"), CASES, ids=name)
@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_as_numpy(shape, index, dtype):
    x = sample(shape, dtype)
    expected = x[index]
    rebuild, values = with_arguments(index)
    for result in (
        getitem(x, index),
        run(lambda x: getitem(x, index), x),
        run(lambda x, *values: getitem(x, rebuild(*values)), x, *values),
    ):
        assert np.shape(result) == np.shape(expected)
        assert result.dtype == expected.dtype
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(("shape", "index"), CASES, ids=name)
def test_reads_batched(shape, index):
    rebuild, values = with_arguments(index)
    xs = sample((3, *shape))
    # each example has its own indices: those of the case, shifted by one place and wrapped
    stacks = [np.stack([v, np.where(v > 0, v - 1, v), v]) for v in map(np.asarray, values)]
    for axes in ((0, 0), (None, 0), (0, None)):
        if axes[1] == 0 and not values and axes[0] is None:
            continue
        args = [xs if axes[0] == 0 else xs[0]]
        args += [s if axes[1] == 0 else s[0] for s in stacks]
        in_axes = (axes[0], *[axes[1]] * len(values))
        got = ft.vmap(lambda x, *v: getitem(x, rebuild(*v)), in_axes)(*args)
        for b in range(3):
            picked = [s[b] if axes[1] == 0 else s[0] for s in stacks]
            expected = (xs[b] if axes[0] == 0 else xs[0])[rebuild(*picked)]
            np.testing.assert_array_equal(got[b], expected)


@pytest.mark.parametrize(("shape", "index"), CASES, ids=name)
def test_reads_differentiate(shape, index):
    rebuild, values = with_arguments(index)
    check_grads(lambda x: getitem(x, index) ** 2, (sample(shape) / 10,), 2)
    check_grads(lambda x, *i: getitem(x, rebuild(*i)) ** 2, (sample(shape) / 10, *values), 2)


@pytest.mark.parametrize(("shape", "index"), CASES, ids=name)
def test_reads_compose_and_compile(shape, index):
    rebuild, values = with_arguments(index)
    x = sample(shape)

    def loss(x, *i):
        return ft.numpy.sum(getitem(x, rebuild(*i)) ** 3)

    wanted = expected_update(np.zeros(shape), index, "add", 3 * x[index] ** 2)
    mapped = ft.jit(ft.vmap(ft.grad(loss), (0, *[None] * len(values))))
    np.testing.assert_allclose(mapped(np.stack([x, x]), *values), np.stack([wanted] * 2))
    got = ft.grad(lambda x: ft.numpy.sum(ft.jit(ft.grad(loss))(x, *values)))(x)
    wanted = expected_update(np.zeros(shape), index, "add", 6 * x[index])
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def expected_update(x, index, op, v):
    out = np.array(x)
    if op == "set":
        out[index] = v
    else:
        ufunc = {"subtract": np.subtract, "multiply": np.multiply, "divide": np.divide}
        ufunc |= {"add": np.add, "min": np.minimum, "max": np.maximum, "power": np.power}
        ufunc[op].at(out, index, v)
    return out


OPS = ["set", "add", "subtract", "multiply", "divide", "power", "min", "max"]


@pytest.mark.parametrize(("shape", "index"), CASES, ids=name)
@pytest.mark.parametrize("op", OPS)
def test_updates_as_numpy(shape, index, op):
    x = np.abs(sample(shape)) + 0.5
    before = x.copy()
    v = np.abs(sample(np.shape(x[index]), seed=1)) / 10 + 0.5
    rebuild, values = with_arguments(index)
    for update in (v, 2.0, np.float64(2.0)):
        expected = expected_update(x, index, op, update)
        for result in (
            getattr(at(x)[index], op)(update),
            run(lambda x, v: getattr(at(x)[index], op)(v), x, update),
            run(lambda x, v, *i: getattr(at(x)[rebuild(*i)], op)(v), x, update, *values),
        ):
            assert result.shape == x.shape
            assert result.dtype == x.dtype
            np.testing.assert_allclose(result, expected, rtol=1e-12)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(("shape", "index"), CASES, ids=name)
@pytest.mark.parametrize("op", ["set", "add", "multiply", "max"])
def test_updates_batched(shape, index, op):
    rebuild, values = with_arguments(index)
    xs = sample((3, *shape))
    vs = sample((3, *np.shape(xs[0][index])), seed=1)
    stacks = [np.stack([v, np.where(v > 0, v - 1, v), v]) for v in map(np.asarray, values)]

    def update(x, v, *i):
        return getattr(at(x)[rebuild(*i)], op)(v)

    for flags in ((1, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1)):
        if flags == (0, 0, 1) and not values:
            continue
        arrays = [xs, vs, *stacks]
        mapped = [*flags[:2], *[flags[2]] * len(stacks)]
        args = [a if m else a[0] for a, m in zip(arrays, mapped, strict=True)]
        got = ft.vmap(update, tuple(0 if m else None for m in mapped))(*args)
        for b in range(3):
            example = [a[b] if m else a[0] for a, m in zip(arrays, mapped, strict=True)]
            np.testing.assert_allclose(got[b], update(*example), rtol=1e-12)


@pytest.mark.parametrize(("shape", "index"), CASES, ids=name)
@pytest.mark.parametrize("op", ["set", "add", "multiply", "divide", "min", "max"])
def test_updates_differentiate(shape, index, op):
    rebuild, values = with_arguments(index)
    x = np.abs(sample(shape)) / 10 + 0.5
    v = np.abs(sample(np.shape(x[index]), seed=1)) / 10 + 0.7
    check_grads(lambda x, v: getattr(at(x)[index], op)(v) ** 2, (x, v), 2)
    check_grads(lambda x, v, *i: getattr(at(x)[rebuild(*i)], op)(v) ** 2, (x, v, *values), 1)


@pytest.mark.parametrize(("shape", "index"), CASES, ids=name)
@pytest.mark.parametrize("op", ["set", "multiply"])
def test_updates_compose_and_compile(shape, index, op):
    rebuild, values = with_arguments(index)
    x = np.abs(sample(shape)) / 10 + 0.5
    v = np.abs(sample(np.shape(x[index]), seed=1)) / 10 + 0.7

    def loss(x, v, *i):
        return ft.numpy.sum(getattr(at(x)[rebuild(*i)], op)(v) ** 3)

    gradient = ft.grad(loss, (0, 1))
    wanted = gradient(x, v, *values)
    axes = (0, 0, *[None] * len(values))
    got = ft.jit(ft.vmap(gradient, axes))(np.stack([x, x]), np.stack([v, v]), *values)
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g, np.stack([w, w]), rtol=1e-12)


def test_products_of_repeated_updates_differentiate_at_zeros():
    index = np.array([1, 0, 1, 1, 2, 0])
    v = np.array([0.0, 2.0, 3.0, 0.5, 0.0, 1.5])
    x = np.array([1.0, 0.0, 2.0, 4.0])
    check_grads(lambda x, v: at(x)[index].multiply(v), (x, v), 2)
    check_grads(lambda x, v, i: at(x)[i].multiply(v), (x, v, index), 3)


def test_ties_of_extrema_share_the_derivative():
    x, v = np.array([1.0, 5.0]), np.array([5.0, 5.0, 2.0])
    index = np.array([1, 1, 0])
    gx, gv = ft.grad(lambda x, v: total(at(x)[index].max(v)), (0, 1))(x, v)
    np.testing.assert_allclose(gx, [0.0, 1 / 3])
    np.testing.assert_allclose(gv, [1 / 3, 1 / 3, 1.0])


# --- random indices -------------------------------------------------------------------------------


@st.composite
def shapes_and_indices(draw):
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=0, max_size=4)))
    entries: list = []
    axis, ellipsis_used = 0, False
    fancy = draw(st.sampled_from([(2, 3), (3,), (1,), (2, 1)]))
    while axis <= len(shape) and len(entries) < 7:
        kind = draw(st.sampled_from(["none", "bool", "ellipsis", "stop", *["axis"] * 6]))
        if kind == "none":
            entries.append(None)
        elif kind == "bool":
            entries.append(draw(st.sampled_from([True, np.bool_(True), False])))
        elif kind == "ellipsis" and not ellipsis_used:
            ellipsis_used = True
            entries.append(Ellipsis)
            axis += draw(st.integers(0, len(shape) - axis))
        elif kind == "stop":
            break
        elif kind == "axis" and axis < len(shape):
            entries.append(draw(axis_indices(shape[axis], fancy)))
            axis += 1
    return shape, tuple(entries)


@st.composite
def axis_indices(draw, extent, fancy):
    kind = draw(st.sampled_from(["slice", "int", "array", "list", "mask", "scalar array"]))
    if kind == "slice":
        bound = st.none() | st.integers(-extent - 2, extent + 2)
        return slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2, 3])))
    integers = st.integers(-extent, extent - 1)
    if kind == "int":
        return draw(integers)
    if kind == "scalar array":
        return np.array(draw(integers))
    if kind == "mask":
        mask = np.zeros(extent, bool)
        mask[draw(st.lists(st.integers(0, extent - 1), min_size=1, max_size=1))] = True
        return mask
    dtype = draw(st.sampled_from([np.int64, np.int32, np.int8]))
    shape = draw(st.sampled_from([fancy, fancy[-1:], (1,)]))
    count = int(np.prod(shape))
    values = draw(st.lists(integers, min_size=count, max_size=count))
    array = np.array(values, dtype).reshape(shape)
    return array.tolist() if kind == "list" else array


@settings(max_examples=400, deadline=None, derandomize=True)
@given(shapes_and_indices())
def test_random_indices_read_and_write_as_numpy(case):
    shape, index = case
    x = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    rebuild, values = with_arguments(index)
    try:
        expected = x[index]
    except IndexError:
        with pytest.raises(IndexError):
            run(lambda x: getitem(x, index), x)
        return
    got = run(lambda x: getitem(x, index), x)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_array_equal(got, expected)
    got = run(lambda x, *i: getitem(x, rebuild(*i)), x, *values)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_array_equal(got, expected)
    v = np.arange(1.0, 1 + np.size(expected)).reshape(np.shape(expected))
    for op in ("set", "add", "multiply"):
        wanted = expected_update(x, index, op, v)
        got = run(lambda x, v: getattr(at(x)[index], op)(v), x, v)
        np.testing.assert_allclose(got, wanted)
        got = run(lambda x, v, *i: getattr(at(x)[rebuild(*i)], op)(v), x, v, *values)
        np.testing.assert_allclose(got, wanted)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(shapes_and_indices())
def test_random_indices_batch_and_pull_back(case):
    shape, index = case
    x = np.arange(1.0, 1 + np.prod(shape, dtype=int)).reshape(shape)
    try:
        expected = x[index]
    except IndexError:
        return
    rebuild, values = with_arguments(index)
    xs = np.stack([x, -x])
    got = ft.vmap(lambda x, *i: getitem(x, rebuild(*i)), (0, *[None] * len(values)))(xs, *values)
    np.testing.assert_array_equal(got, np.stack([expected, -expected]))
    ct = np.arange(1.0, 1 + np.size(expected)).reshape(np.shape(expected))
    wanted = expected_update(np.zeros(shape), index, "add", ct)
    for fun, args in (
        (lambda x: getitem(x, index), [x]),
        (lambda x, *i: getitem(x, rebuild(*i)), [x, *values]),
    ):
        _, pull = ft.vjp(fun, *args)
        np.testing.assert_allclose(pull(np.asarray(ct)[()])[0], wanted)


# --- out of bounds --------------------------------------------------------------------------------


def test_index_arrays_that_broadcast_to_nothing_are_not_looked_at() -> None:
    x, nothing = np.zeros((3, 3)), np.zeros(0, int)
    assert ft.jit(lambda x: x[nothing, np.array([7])])(x).shape == x[nothing, np.array([7])].shape
    assert ft.jit(lambda x: x[False, np.array([7])])(x).shape == x[False, np.array([7])].shape


def test_known_indices_out_of_bounds_are_errors():
    x = np.arange(6.0).reshape(2, 3)
    for index in (2, -3, (0, 3), (S(None), [0, 3]), ([0, -3],), (0, 0, 0), (..., ...), 1.0, "a"):
        with pytest.raises(IndexError):
            getitem(x, index)
        with pytest.raises(IndexingError, match=r"test_indexing\.py"):
            run(lambda x, index=index: getitem(x, index), x)
        with pytest.raises(IndexingError, match=r"test_indexing\.py"):
            at(x)[index].set(0.0)
    with pytest.raises(IndexingError, match="index 3 is out of bounds for axis 1 with size 3"):
        run(lambda x: getitem(x, (0, 3)), x)
    with pytest.raises(IndexingError, match="boolean index has extent 3"):
        run(lambda x: getitem(x, np.array([True] * 3)), x)
    with pytest.raises(IndexingError, match="broadcast together"):
        run(lambda x: getitem(x, ([0, 1], [0, 1, 1])), x)


def test_traced_indices_clamp_on_reads_and_drop_on_writes():
    x = np.arange(5.0)
    index = np.array([0, 7, -1, -5, -6])
    np.testing.assert_array_equal(run(getitem, x, index), [0, 4, 4, 0, 0])
    got = run(lambda x, i: at(x)[i].set(9.0), x, np.array([5, -6, -2]))
    np.testing.assert_array_equal(got, [0, 1, 2, 9, 4])
    got = run(lambda x, i: at(x)[i].add(1.0), x, index)
    np.testing.assert_array_equal(got, [2, 1, 2, 3, 5])
    assert run(getitem, x, np.uint8(200)) == 4
    assert run(getitem, np.arange(300.0), np.int8(-1)) == 299


@pytest.mark.parametrize("traced", [False, True])
def test_modes(traced):
    x = np.arange(4.0)
    index = np.array([3, 4, -1, -9])

    def call(fun):
        return run(fun, x, index) if traced else fun(x, index)

    def read(**options):
        return call(lambda x, i: at(x)[i].get(**options))

    np.testing.assert_array_equal(read(mode="clip"), [3, 3, 3, 0])
    np.testing.assert_array_equal(read(mode="fill"), [3, np.nan, 3, np.nan])
    np.testing.assert_array_equal(read(mode="drop", fill_value=-1), [3, -1, 3, -1])
    np.testing.assert_array_equal(read(fill_value=7), [3, 7, 3, 7])
    write = call(lambda x, i: at(x)[i].set(9.0, mode="clip", unique_indices=False))
    np.testing.assert_array_equal(write, [9, 1, 2, 9])
    write = call(lambda x, i: at(x)[i].set(9.0, mode="drop", indices_are_sorted=True))
    np.testing.assert_array_equal(write, [0, 1, 2, 9])
    got = run(lambda x, i: at(x)[i].get(mode="promise_in_bounds"), x, np.array([1, -1]))
    np.testing.assert_array_equal(got, [1, 3])
    with pytest.raises(ValueError, match="mode must be"):
        read(mode="wrap")


def test_fill_value_by_dtype():
    for dtype, fill in (("int8", -128), ("uint8", 255), ("bool", True)):
        x = np.zeros(2, dtype)
        got = run(lambda x, i: at(x)[i].get(mode="fill"), x, np.array([5]))
        assert got.dtype == x.dtype
        assert got[0] == fill


def test_modes_differentiate():
    x, index = np.arange(1.0, 5.0), np.array([3, 4, -1, 1, -9])
    for mode in ("fill", "clip"):
        check_grads(
            lambda x, i, mode=mode: at(x)[i].get(mode=mode, fill_value=2.0) ** 2, (x, index), 2
        )
    for mode in ("drop", "clip"):
        for op in ("set", "add", "multiply", "min", "max"):
            check_grads(
                lambda x, v, i, mode=mode, op=op: getattr(at(x)[i], op)(v, mode=mode) ** 2,
                (x, np.array([2.5, 7.5, 3.5, 0.5, 4.5]), index),
                2,
            )


# --- masks, constants, errors ---------------------------------------------------------------------


def test_masks_with_values_work_under_grad():
    x = np.array([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(
        ft.grad(lambda x: total(getitem(x, x > 0) ** 2))(x), [2.0, 0.0, 6.0]
    )


def test_traced_masks():
    x = np.arange(6.0).reshape(2, 3)
    with pytest.raises(ConcretizationError, match=r"fnp\.where"):
        run(lambda x: getitem(x, x > 2), x)
    np.testing.assert_array_equal(
        run(lambda x: at(x)[x > 2].multiply(10.0), x), np.where(x > 2, 10 * x, x)
    )
    rows = run(lambda x, m: at(x)[m].set(1.0), x, np.array([False, True]))
    np.testing.assert_array_equal(rows, [[0, 1, 2], [1, 1, 1]])


def test_plain_arrays_refuse_traced_indices_and_constants_take_them():
    table = np.arange(10.0)
    for index in (np.int64(3), np.array([3, 4])):
        with pytest.raises(ConcretizationError, match=r"fnp\.take"):
            run(lambda i: table[i], index)
        np.testing.assert_array_equal(run(lambda i: getitem(table, i), index), table[index])
        got = run(lambda i: getitem(constant(table), i), index)
        np.testing.assert_array_equal(got, table[index])
    assert constant(table) is table
    gradient = ft.grad(lambda x, i: total(x * ft.numpy.asarray(table)[i]))(np.ones(2), index)
    np.testing.assert_array_equal(gradient, [3.0, 4.0])
    mapped = ft.vmap(lambda i: ft.numpy.asarray(table)[i])(np.array([3, -1, 99]))
    np.testing.assert_array_equal(mapped, [3.0, 9.0, 9.0])
    got = run(lambda x: getitem(x, constant(table > 7)), table)
    np.testing.assert_array_equal(got, [8.0, 9.0])
    assert run(lambda x: x if constant(np.array(True)) else 2 * x, 1.0) == 1.0


def test_slices_with_traced_bounds():
    x = np.arange(5.0)
    with pytest.raises(ConcretizationError, match="dynamic_slice"):
        run(lambda x, i: getitem(x, S(i, None)), x, 2)
    got = ft.jvp(lambda x, i: getitem(x, S(i, None)), (x, 2), (x, None))[1]
    np.testing.assert_array_equal(got, x[2:])


def test_lists_with_tracers():
    x = np.arange(5.0)
    got = run(lambda x, i: getitem(x, [i, 0, -1]), x, np.int64(2))
    np.testing.assert_array_equal(got, [2.0, 0.0, 4.0])


def test_updates_that_do_not_fit():
    x = np.zeros((2, 3))
    with pytest.raises(ShapeError, match=r"\(4,\)"):
        run(lambda x: at(x)[0].set(np.ones(4)), x)
    with pytest.raises(ShapeError, match=r"\(4,\).* \(3,\).* \(2, 3\)"):
        at(x)[0].set(np.ones(4))
    with pytest.raises(ShapeError, match=r"\(4, 5\).* \(2, 2, 3\).* \(2, 3\)"):
        at(x)[np.zeros((2, 2), int)].add(np.ones((4, 5)))
    with pytest.raises(DTypeError, match="complex"):
        at(x)[0].set(1j)
    np.testing.assert_array_equal(
        run(lambda x: at(x)[0].set(np.ones((1, 1, 3))), x), [[1, 1, 1], [0, 0, 0]]
    )
    ints = at(np.zeros(3, np.int32))[0].add(2.0)
    assert ints.dtype == np.int32


def test_apply_and_integer_division():
    x = np.array([1, 2, 3])
    np.testing.assert_array_equal(at(x)[1:].apply(lambda v: v * v), [1, 4, 9])
    for result in (at(x)[0].divide(2), run(lambda x: at(x)[0].divide(2), x)):
        np.testing.assert_array_equal(result, [0.5, 2.0, 3.0])
    np.testing.assert_array_equal(at(x)[[0, 0]].divide(np.array([2.0, 4.0])), [0.125, 2.0, 3.0])


def test_weak_scalars():
    got = run(lambda x: at(x)[...].set(3), 2.0)
    assert got.dtype == np.float64
    assert run(lambda x, i: getitem(x, i), np.arange(3.0), 1) == 1.0
