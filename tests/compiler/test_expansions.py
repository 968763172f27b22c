"""Convolutions and windows compile to native code, also their gradients, and equal evaluation."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax

CONVOLUTIONS = {  # shapes of lhs and rhs, and options
    "plain": ((2, 3, 8, 7), (4, 3, 3, 3), {"padding": "SAME"}),
    "strided": ((2, 3, 9, 8), (4, 3, 3, 2), {"padding": "VALID", "window_strides": (2, 3)}),
    "one by one": ((3, 4, 5, 5), (6, 4, 1, 1), {"padding": "VALID"}),
    "dilated": ((1, 2, 9, 9), (3, 2, 3, 3), {"padding": "SAME", "rhs_dilation": (2, 1)}),
    "gaps": ((1, 2, 4, 5), (3, 2, 3, 3), {"padding": ((1, 2), (2, 1)), "lhs_dilation": (2, 3)}),
    "feature groups": ((2, 6, 6, 6), (8, 3, 3, 3), {"padding": "SAME", "feature_group_count": 2}),
    "depthwise": ((2, 5, 6, 6), (5, 1, 3, 3), {"padding": "SAME", "feature_group_count": 5}),
    "batch groups": ((4, 3, 6, 6), (6, 3, 3, 3), {"padding": "SAME", "batch_group_count": 2}),
    "cropped": ((2, 2, 7, 7), (2, 2, 3, 3), {"padding": ((-1, 1), (0, -2))}),
    "one axis": ((2, 3, 20), (4, 3, 5), {"padding": "SAME"}),
    "three axes": ((1, 2, 4, 4, 4), (3, 2, 2, 2, 2), {"padding": "VALID"}),
}


@pytest.mark.parametrize("dtype", ["f4", "f8", "c16"])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_and_their_gradients(name, dtype):
    sx, sw, options = CONVOLUTIONS[name]
    options = {"window_strides": (1,) * (len(sx) - 2), **options}
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=sx).astype(dtype), rng.normal(size=sw).astype(dtype)

    def loss(x, w):
        y = lax.conv_general_dilated(x, w, **options)
        return fnp.sum(fnp.real(y * y * np.arange(1.0, y.size + 1).reshape(y.shape) / y.size))

    both = ft.value_and_grad(loss, (0, 1))
    compiled = ft.jit(both)
    tolerance = 1e-4 if dtype == "f4" else 1e-10
    for got, want in zip(ft.tree.leaves(compiled(x, w)), ft.tree.leaves(both(x, w)), strict=True):
        np.testing.assert_allclose(got, want, tolerance, tolerance)
    assert "NumPy" not in compiled.lower(x, w).source


WINDOWS = {
    "apart": {"window": (1, 2, 2), "strides": (1, 2, 2), "padding": "VALID"},
    "overlapping": {"window": (1, 3, 3), "strides": (1, 2, 1), "padding": "SAME"},
    "dilated": {"window": (1, 2, 3), "strides": (1, 1, 1), "padding": "VALID"},
}
FOLDS = {"max": (-np.inf, lax.max), "min": (np.inf, lax.min), "sum": (0.0, lax.add)}


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("name", WINDOWS)
def test_windows_and_their_gradients(name, fold):
    options = WINDOWS[name]
    init, combine = FOLDS[fold]
    more = {"window_dilation": (1, 2, 1)} if name == "dilated" else {}
    x = np.random.default_rng(0).integers(0, 9, (2, 8, 7)).astype(float)  # with ties
    x[0, 3, 3] = np.nan

    def pool(x):
        args = options["window"], options["strides"], options["padding"]
        return lax.reduce_window(x, init, combine, *args, **more)

    weights = np.random.default_rng(1).normal(size=pool(x).shape)
    both = ft.value_and_grad(lambda x: fnp.sum(fnp.nan_to_num(pool(x)) * weights))
    compiled = ft.jit(both)
    for got, want in zip(compiled(x), both(x), strict=True):
        np.testing.assert_allclose(got, want, 1e-12)
    np.testing.assert_array_equal(ft.jit(pool)(x), pool(x))
    assert "NumPy" not in compiled.lower(x).source


def test_a_convolution_and_its_kernel_s_gradient_share_their_windows():
    x, w = np.ones((2, 3, 8, 8)), np.ones((4, 3, 3, 3))

    def loss(w):
        return fnp.sum(lax.conv(x, w, (1, 1), "SAME") ** 2)

    source = ft.jit(ft.grad(loss)).lower(w).source
    kernels = [k for k in source.split("\n\n")[1:] if "f64[3,3,3,2,8,8] (out)" in k]
    assert len(kernels) == 1


def test_matrices_beyond_the_limit_are_left_to_numpy(monkeypatch, tmp_path):
    from functrans.compiler import convolutions

    monkeypatch.setattr(convolutions, "LARGEST_MATRIX", 1000)
    monkeypatch.setenv("FUNCTRANS_CACHE_DIR", str(tmp_path))  # no plan of before
    x, w = np.ones((2, 3, 9, 9)), np.ones((4, 3, 3, 3))
    compiled = ft.jit(lambda x, w: lax.conv(x, w, (1, 1), "SAME"))
    assert "NumPy: conv_general_dilated" in compiled.lower(x, w).source
    np.testing.assert_allclose(compiled(x, w), lax.conv(x, w, (1, 1), "SAME"))


def test_the_greatest_of_a_window_is_looked_for_among_the_same_numbers():
    x = np.random.default_rng(0).normal(size=(1, 64, 64)).astype(np.float32)

    def f(x, scale):
        y = x * scale + 0.1 * x  # cheap enough to be computed again, and contracted
        return fnp.sum(lax.reduce_window(y, -np.inf, lax.max, (1, 2, 2), (1, 2, 2), "VALID"))

    gradient = ft.jit(ft.grad(f))(x, np.float32(1.1))
    assert np.count_nonzero(gradient) == 32 * 32
    np.testing.assert_allclose(gradient, ft.grad(f)(x, np.float32(1.1)), rtol=1e-6)


RUNNING = ["cumsum", "cumprod", "cummax", "cummin"]
ALONG = {  # shape and axis
    "vector": ((7,), 0),
    "rows": ((3, 5), 1),
    "columns": ((3, 5), 0),
    "middle": ((2, 4, 3), 1),
    "one": ((3, 1), 1),
    "nothing": ((0, 3), 1),
}


def _numbers(shape, dtype):
    """With ties, zeros of both signs, nan and infinity, as far as the dtype has them."""
    rng = np.random.default_rng(0)
    x = rng.integers(-2, 3, shape).astype(dtype)
    if np.dtype(dtype).kind in "fc":
        x = x * np.array(0.5, dtype)
        special = rng.choice([0.0, -0.0, np.nan, np.inf, 1.5], shape)
        x = np.where(rng.random(shape) < 0.3, special, x).astype(dtype)
    return x


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "u1", "c16"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ALONG)
@pytest.mark.parametrize("function", RUNNING)
def test_cumulative_operations(function, name, reverse, dtype):
    if np.dtype(dtype).kind == "c" and function in ("cummax", "cummin"):
        return
    (shape, axis), run = ALONG[name], getattr(lax, function)
    x = _numbers(shape, dtype)
    compiled = ft.jit(lambda x: run(x, axis, reverse))
    with np.errstate(all="ignore"):
        want = run(x, axis, reverse)
    np.testing.assert_array_equal(compiled(x), want)
    assert compiled(x).dtype == want.dtype
    if x.dtype.kind == "f" and function == "cumsum":
        np.testing.assert_array_equal(np.signbit(compiled(x)), np.signbit(want))
    by_numpy = not x.size or (x.dtype.kind == "c" and function == "cumprod")
    assert ("NumPy" in compiled.lower(x).source) == by_numpy


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "u1", "bool", "c16"])
@pytest.mark.parametrize("name", [n for n in ALONG if n != "nothing"])
@pytest.mark.parametrize("function", [fnp.argmax, fnp.argmin])
def test_positions_of_extrema(function, name, dtype):
    shape, axis = ALONG[name]
    x = _numbers(shape, dtype)
    compiled = ft.jit(lambda x: function(x, axis))
    for y in (x, np.zeros_like(x), np.full_like(x, np.nan if x.dtype.kind in "fc" else 1)):
        np.testing.assert_array_equal(compiled(y), function(y, axis))
    assert compiled(x).dtype == np.int64
    assert ("NumPy" in compiled.lower(x).source) == (x.dtype.kind in "bc")


def test_positions_are_looked_for_among_the_same_numbers():
    x = np.random.default_rng(0).normal(size=(64, 100)).astype(np.float32)
    f = lambda x, s: fnp.argmax(x * s + 0.1 * x, 1)  # cheap enough to be computed again
    np.testing.assert_array_equal(ft.jit(f)(x, np.float32(1.1)), f(x, np.float32(1.1)))
