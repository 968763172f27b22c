"""Windows and cumulative operations compile to native code, also their gradients, and equal
evaluation."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax

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


@pytest.mark.parametrize(
    ("shape", "axes"), [((33, 4, 7, 7), (0, 3)), ((16, 65, 2), (0, 2)), ((65, 32), 0), ((7, 33), 1)]
)
def test_extrema_are_looked_for_among_the_same_numbers(shape, axes):
    x = np.random.default_rng(0).normal(size=shape)

    def f(x):
        y = x * x * 0.3 + x * 1.7 - 0.2  # cheap enough to be computed again, and contracted
        return fnp.sum(fnp.max(y, axes)), y

    compare = lambda x: fnp.sum(f(x)[1] >= fnp.max(f(x)[1], axes, keepdims=True), axes)
    gradient, _ = ft.grad(f, has_aux=True)(x)
    compiled, _ = ft.jit(ft.grad(f, has_aux=True))(x)
    np.testing.assert_allclose(compiled, gradient, rtol=1e-12)
    np.testing.assert_array_equal(ft.jit(compare)(x), np.ones(compare(x).shape))
