"""Matrix products in compiled code: batches of small ones are unrolled, thin ones and those of
integers are sums, all equal NumPy's."""

import itertools

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.primitives.products import dot_general_p

SIZES = [
    *itertools.product((1, 2, 3, 8), (1, 2, 5, 8), (1, 3, 8)),
    (10, 10, 10),
    (16, 3, 12),
    (2, 16, 8),
]


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
@pytest.mark.parametrize("flags", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_batches_of_small_products(flags, dtype):
    tx, ty = flags
    rng = np.random.default_rng(0)
    for m, n, k in SIZES:
        x = rng.normal(size=(9, k, m) if tx else (9, m, k)).astype(dtype)
        y = rng.normal(size=(9, n, k) if ty else (9, k, n)).astype(dtype)

        def f(x, y):
            return (x.swapaxes(1, 2) if tx else x) @ (y.swapaxes(1, 2) if ty else y)

        compiled = ft.jit(f)
        np.testing.assert_allclose(compiled(x, y), f(x, y), 1e-4, 1e-5)
        unrolled = "unrolled" in compiled.lower(x, y).source
        assert unrolled == (dtype != "c16" and k > 1)


SQUARES = {
    "x @ x": lambda x: x @ x,
    "x @ x.T": lambda x: x @ x.swapaxes(1, 2),
    "a power": lambda x: fnp.linalg.matrix_power(x, 5),
}


@pytest.mark.parametrize("case", SQUARES)
@pytest.mark.parametrize("n", [3, 64])
def test_both_operands_may_be_one_array(case, n):
    f = lambda x: (SQUARES[case](x), x + 1.0)
    x = np.random.default_rng(0).normal(size=(12, n, n))
    before = x.copy()
    for found, expected in zip(ft.jit(f)(x), f(before), strict=True):
        np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(("shape", "batch"), [((20, 9, 20), 4), ((2, 3, 4), 3), ((17, 9, 9), 4)])
def test_other_batches_are_the_library_s(shape, batch):
    m, k, n = shape
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(batch, m, k)), rng.normal(size=(batch, k, n))
    compiled = ft.jit(lambda x, y: x @ y)
    np.testing.assert_allclose(compiled(x, y), x @ y, 1e-12, 1e-12)
    assert "ft_gemm" in compiled.lower(x, y).source


SUMS = {  # dtype, shapes of both operands, equation of einsum
    "dot": ("f8", (5000,), (5000,), "i,i"),
    "many dots": ("f4", (900, 16), (900, 16), "ij,ij->i"),
    "dots of columns": ("c16", (16, 300), (16, 300), "ji,ji->i"),
    "points": ("f8", (2000, 3), (3, 3), "ij,jk"),
    "points, turned": ("f4", (3, 2000), (3, 3), "ji,kj->ik"),
    "normal equations": ("f8", (3, 1500), (1500, 3), "ij,jk"),
    "two columns": ("f8", (70, 90), (90, 2), "ij,jk"),
    "vectors": ("f8", (40, 20, 30), (40, 30), "bij,bj->bi"),
    "small and complex": ("c8", (90, 4, 5), (90, 5, 3), "bij,bjk->bik"),
    "over two axes": ("f8", (40, 9, 15), (40, 9, 15), "ijk,ijk->i"),
    "integers": ("i8", (20, 30), (30, 10), "ij,jk"),
    "narrow integers": ("i1", (7, 20), (20, 30), "ij,jk"),
    "unsigned": ("u4", (4, 9, 20), (4, 20, 9), "bij,bjk->bki"),
    "bools": ("?", (9, 30), (30, 9), "ij,jk"),
}


@pytest.mark.parametrize("name", SUMS)
def test_sums_of_products(name):
    dtype, of_x, of_y, equation = SUMS[name]
    rng = np.random.default_rng(0)
    x, y = ((9 * rng.normal(size=s)).astype(dtype) for s in (of_x, of_y))
    f = ft.jit(lambda x, y: fnp.einsum(equation, x, y))
    got, want = f(x, y), np.einsum(equation, x, y)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, {"f4": 1e-4, "c8": 1e-4}.get(dtype, 1e-11), 1e-3)
    source = f.lower(x, y).source
    assert not any(other in source for other in ("ft_gemm", "NumPy", "unrolled", "tiles"))


def test_gradients_of_thin_products():
    x = np.random.default_rng(0).normal(size=(1500, 3))
    w = np.random.default_rng(1).normal(size=(3, 3))
    f = ft.grad(lambda x, w: fnp.sum(fnp.tanh(x @ w) ** 2), argnums=(0, 1))
    for compiled, expected in zip(ft.jit(f)(x, w), f(x, w), strict=True):
        np.testing.assert_allclose(compiled, expected, 1e-11, 1e-12)


def test_gradients_of_small_products_are_unrolled_too():
    x = np.random.default_rng(0).normal(size=(16, 3, 4))
    y = np.random.default_rng(1).normal(size=(16, 4, 2))
    f = ft.grad(lambda x, y: fnp.sum((x @ y) ** 2), argnums=(0, 1))
    for compiled, expected in zip(ft.jit(f)(x, y), f(x, y), strict=True):
        np.testing.assert_allclose(compiled, expected, 1e-12)
    assert "ft_gemm" not in ft.jit(f).lower(x, y).source


OUTER = [  # shapes and dimensions whose contracted axes have extent one
    ((3, 1), (1, 4), (((1,), (0,)), ((), ()))),
    ((2, 3, 1), (2, 1, 4), (((2,), (1,)), ((0,), (0,)))),
    ((1, 3), (5, 1, 2), (((0,), (1,)), ((), ()))),
    ((3, 2), (4, 2), (((), ()), ((1,), (1,)))),
    ((1, 1, 3), (1, 1), (((0, 1), (1, 0)), ((), ()))),
]


@pytest.mark.parametrize(("sx", "sy", "dimensions"), OUTER)
def test_outer_products_are_elementwise(sx, sy, dimensions):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=sx), rng.normal(size=sy)
    compiled = ft.jit(lambda x, y: dot_general_p.bind(x, y, dimensions=dimensions))
    expected = dot_general_p.bind(x, y, dimensions=dimensions)
    got = compiled(x, y)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected)
    assert "gemm" not in compiled.lower(x, y).source


MIDDLE = {  # shapes and contracted axes, of which one lies between others; and what is called
    "matrix first": ((24, 16), (3, 16, 20, 20), ((1,), (1,)), "24x16x400 x3"),
    "matrix last": ((3, 16, 400), (16, 24), ((1,), (0,)), "400x16x24 x3"),
    "two batch axes": ((24, 16), (2, 3, 16, 400), ((1,), (2,)), "24x16x400 x6"),
    "large matrix": ((400, 160), (3, 160, 8), ((1,), (1,)), "400x160x24 "),
    "sum over batch": ((3, 24, 400), (3, 16, 400), ((0, 2), (0, 2)), "24x400x16 x3 summed"),
    "sum over few": ((3, 200, 5), (3, 300, 5), ((0, 2), (0, 2)), "200x15x300 "),
}


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
@pytest.mark.parametrize("name", MIDDLE)
def test_products_over_a_middle_axis(name, dtype):
    sx, sy, contracted, called = MIDDLE[name]
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=s).astype(dtype) for s in (sx, sy))
    f = lambda x, y: dot_general_p.bind(x, y, dimensions=(contracted, ((), ())))
    compiled = ft.jit(f)
    tolerance = 1e-3 if dtype == "f4" else 1e-10
    np.testing.assert_allclose(compiled(x, y), f(x, y), tolerance, tolerance)
    assert f"matrix product {called}" in compiled.lower(x, y).source


@pytest.mark.parametrize("m", [4, 20])
@pytest.mark.parametrize("first", [True, False])
def test_one_matrix_for_a_whole_batch_is_not_copied(first, m):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(m, m)), rng.normal(size=(50, m, m))
    f = lambda x, y: x @ y if first else y @ x
    compiled = ft.jit(lambda x, y: f(fnp.broadcast_to(x, y.shape), y))
    np.testing.assert_allclose(compiled(x, y), f(x, y), 1e-12, 1e-12)
    lowered = compiled.lower(x, y)
    assert lowered.memory_analysis()["temp_size_in_bytes"] == 0
    assert ("unrolled" in lowered.source) == (m == 4)
