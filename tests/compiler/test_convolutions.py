"""Convolutions compile to native code in the cheapest way; every way equals evaluation."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax, nn
from functrans.compiler import compile, convolutions, tiles
from functrans.compiler import convolution_costs as costs
from functrans.compiler import convolution_ways as ways
from functrans.compiler.convolution_ways import Layer
from functrans.core.types import aval_of
from functrans.primitives.convolution import conv_general_dilated_p

CONVOLUTIONS = {  # shapes of lhs and rhs, and options
    "plain": ((2, 3, 8, 7), (4, 3, 3, 3), {"padding": "SAME"}),
    "strided": ((2, 3, 9, 8), (4, 3, 3, 2), {"padding": "VALID", "window_strides": (2, 3)}),
    "one by one": ((3, 4, 5, 5), (6, 4, 1, 1), {"padding": "VALID"}),
    "dilated": ((1, 2, 9, 9), (3, 2, 3, 3), {"padding": "SAME", "rhs_dilation": (2, 1)}),
    "gaps and strides": (
        (1, 2, 4, 5),
        (3, 2, 3, 3),
        {"padding": ((1, 2), (2, 1)), "lhs_dilation": (2, 3), "window_strides": (1, 2)},
    ),
    "short kernel": ((1, 2, 5, 4), (3, 2, 1, 2), {"padding": "VALID", "window_strides": (2, 3)}),
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


# --- the ways -------------------------------------------------------------------------------------


def _params(rank, options):
    ones = (1,) * rank
    default = {
        "window_strides": ones,
        "padding": ((0, 0),) * rank,
        "lhs_dilation": ones,
        "rhs_dilation": ones,
        "feature_group_count": 1,
        "batch_group_count": 1,
    }
    return {**default, **options}


LAYERS = {  # shapes of lhs and rhs, and options
    "padded": ((2, 3, 6, 5), (4, 3, 3, 2), {"padding": ((1, 2), (0, 1))}),
    "cropped": ((2, 2, 7, 7), (2, 2, 3, 3), {"padding": ((-1, 1), (0, -2))}),
    "strided": ((2, 2, 9, 8), (3, 2, 3, 2), {"window_strides": (2, 3)}),
    "dilated": ((1, 2, 9, 9), (3, 2, 3, 3), {"rhs_dilation": (2, 1), "padding": ((1, 1), (0, 0))}),
    "both": ((1, 2, 11, 9), (3, 2, 3, 2), {"window_strides": (2, 1), "rhs_dilation": (3, 2)}),
    "depthwise": ((2, 5, 6, 6), (5, 1, 3, 3), {"feature_group_count": 5, "padding": ((1, 1),) * 2}),
    "groups": ((2, 6, 6, 6), (8, 3, 3, 3), {"feature_group_count": 2}),
    "batch groups": ((4, 3, 6, 6), (6, 3, 3, 3), {"batch_group_count": 2}),
    "one by one": ((3, 4, 5, 5), (6, 4, 1, 1), {"window_strides": (1, 2)}),
    "one place": ((3, 4, 5, 2), (6, 4, 5, 2), {}),
    "a place, a tap": ((3, 4, 5, 6), (6, 4, 5, 1), {"padding": ((0, 0), (1, 0))}),
    "one axis": ((2, 3, 20), (4, 3, 5), {"window_strides": (2,), "padding": ((2, 2),)}),
    "three axes": ((1, 2, 4, 3, 4), (3, 2, 2, 2, 3), {"padding": ((0, 1), (1, 0), (1, 1))}),
}


def _layer(x, w, params):
    out = conv_general_dilated_p.infer(aval_of(x), aval_of(w), **params)
    return Layer.of(aval_of(x), aval_of(w), out, params)


def _cases():
    for name, (sx, sw, options) in LAYERS.items():
        params = _params(len(sx) - 2, options)
        layer = _layer(np.zeros(sx), np.zeros(sw), params)
        yield from ((way, name) for way, applies in APPLIES.items() if applies(layer))


APPLIES = {
    ways.by_tap: lambda layer: True,
    ways.by_place: lambda layer: True,
    ways.by_windows: lambda layer: True,
    ways.direct: lambda layer: True,
    ways.product_first: lambda layer: max(layer.strides) == 1,
    ways.plain_product: lambda layer: (
        layer.groups == 1 and all(1 in pair for pair in zip(layer.taps, layer.places, strict=True))
    ),
}


@pytest.mark.parametrize(("way", "name"), list(_cases()))
def test_every_way_is_the_convolution(way, name):
    sx, sw, options = LAYERS[name]
    params = _params(len(sx) - 2, options)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=sx), rng.normal(size=sw)
    want = conv_general_dilated_p.bind(x, w, **params)
    np.testing.assert_allclose(way(x, w, _layer(x, w, params)), want, 1e-12, 1e-12)


@pytest.mark.parametrize("way", [ways.by_tap, ways.by_place, ways.product_first, ways.direct])
def test_infinities_stay_in_the_windows_that_have_them(way):
    x, w = np.ones((1, 1, 6, 6)), np.ones((1, 1, 3, 3))
    x[0, 0, 1, 0] = np.inf
    params = _params(2, {})
    with np.errstate(invalid="ignore"):
        got = way(x, w, _layer(x, w, params))
    np.testing.assert_array_equal(got, conv_general_dilated_p.bind(x, w, **params))


GAPS = {  # steps of the operand's elements, of windows and within them; padding
    "strides": (2, 3, 1, (1, 2)),
    "strides that share a factor": (4, 2, 1, (0, 1)),
    "dilation": (3, 1, 2, (2, 0)),
    "dilation that shares a factor": (2, 1, 2, (1, 1)),
    "all of them": (2, 2, 3, (-1, 3)),
    "cropped": (3, 2, 2, (-2, -1)),
}


@pytest.mark.parametrize("name", GAPS)
def test_zeros_in_gaps_are_not_multiplied_by(name):
    gaps, stride, dilation, pads = GAPS[name]
    options = {
        "window_strides": (stride, 1),
        "padding": (pads, (0, 0)),
        "lhs_dilation": (gaps, 1),
        "rhs_dilation": (dilation, 1),
    }
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(2, 3, 9, 4)), rng.normal(size=(4, 3, 3, 2))
    spread = np.zeros((2, 3, 8 * gaps + 1, 4))
    spread[:, :, ::gaps] = x
    dense = lax.conv_general_dilated(spread, w, **options | {"lhs_dilation": (1, 1)})
    conv = lambda x, w: lax.conv_general_dilated(x, w, **options)
    np.testing.assert_allclose(conv(x, w), dense, 1e-12, 1e-12)
    np.testing.assert_allclose(ft.jit(conv)(x, w), dense, 1e-12, 1e-12)
    w[1, 2, 1] = np.inf
    with np.errstate(invalid="ignore"):
        want, got = conv(x, w), ft.jit(conv)(x, w)
    np.testing.assert_allclose(got, want, 1e-12, 1e-12)


# --- the choice -----------------------------------------------------------------------------------

CHOICES = {  # shapes of x and w, stride, padding, groups; of the result, and of both gradients
    "LeNet, first": ((64, 1, 28, 28), (6, 1, 5, 5), 1, 2, 1),
    "ResNet": ((32, 64, 8, 8), (64, 64, 3, 3), 1, 1, 1),
    "depthwise": ((8, 96, 14, 14), (96, 1, 3, 3), 1, 1, 96),
    "pointwise": ((8, 96, 14, 14), (192, 96, 1, 1), 1, 0, 1),
    "FIR": ((1, 1, 1 << 14), (1, 1, 31), 1, 15, 1),
    "patches": ((2, 3, 64, 64), (32, 3, 16, 16), 16, 0, 1),
}
EXPECTED = {
    "LeNet, first": ("tap by tap", "products first", "direct"),
    "ResNet": ("direct", "direct", "direct"),
    "depthwise": ("tap by tap", "tap by tap", "place by place"),
    "pointwise": ("plain product", "plain product", "plain product"),
    "FIR": ("tap by tap", "tap by tap", "place by place"),
    "patches": ("direct", "plain product", "direct"),
}
SHORT = {
    name: tuple("windows" if w == "direct" else w for w in EXPECTED[name]) for name in EXPECTED
}


@pytest.fixture
def no_plans(monkeypatch, tmp_path):
    """Nothing compiled before, neither by this process nor by others."""
    monkeypatch.setenv("FUNCTRANS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compile, "_executables", {})


@pytest.fixture
def short_vectors(monkeypatch, no_plans):
    """A processor on which windows are stored."""
    monkeypatch.setattr(tiles, "vector_registers", lambda: (16, 32))


@pytest.mark.parametrize(("registers", "expected"), [((64, 32), EXPECTED), ((16, 32), SHORT)])
@pytest.mark.parametrize("name", CHOICES)
def test_the_source_says_which_way_was_chosen(name, registers, expected, monkeypatch, no_plans):
    monkeypatch.setattr(tiles, "vector_registers", lambda: registers)
    sx, sw, stride, pads, groups = CHOICES[name]
    rank = len(sx) - 2
    x, w = np.ones(sx, "f4"), np.ones(sw, "f4")

    def conv(x, w):
        padding = [(pads, pads)] * rank
        return lax.conv_general_dilated(x, w, (stride,) * rank, padding, feature_group_count=groups)

    ct = np.ones(ft.eval_shape(conv, x, w).shape, "f4")
    functions = (
        conv,
        lambda x, w: ft.vjp(lambda x: conv(x, w), x)[1](ct)[0],
        lambda x, w: ft.vjp(lambda w: conv(x, w), w)[1](ct)[0],
    )
    for f, way in zip(functions, expected[name], strict=True):
        source = ft.jit(f).lower(x, w).source
        assert f"convolution {way}" in source
        assert "NumPy" not in source


def test_products_of_pixels_copy_nothing():
    x, w = np.ones((4, 32, 16, 16), "f4"), np.ones((64, 32, 1, 1), "f4")

    def loss(x, w):
        return fnp.sum(lax.conv(x, w, (1, 1), "VALID") ** 2)

    both = ft.jit(ft.grad(loss, (0, 1)))
    for got, want in zip(both(x, w), ft.grad(loss, (0, 1))(x, w), strict=True):
        np.testing.assert_allclose(got, want, 1e-4)
    source = both.lower(x, w).source
    assert "64x32x256 x4" in source  # the result, sample by sample
    assert "summed" in source  # the kernel's gradient
    rows = "f32[4,16,16,32] (out)", "f32[32,4,16,16] (out)", "f32[64,4,16,16] (out)"
    assert not any(shape in source for shape in rows)


def test_pixels_with_channels_last_are_one_product():
    _, apply = nn.conv(64, (1, 1), bias_init=None)
    x, w = np.ones((4, 16, 16, 32), "f4"), np.ones((1, 1, 32, 64), "f4")
    compiled = ft.jit(lambda x, w: apply({"w": w}, x))
    np.testing.assert_allclose(compiled(x, w), apply({"w": w}, x))
    assert "1024x32x64" in compiled.lower(x, w).source


def test_a_convolution_and_its_kernel_s_gradient_share_their_windows(short_vectors):
    x, w = np.ones((8, 16, 8, 8), "f4"), np.ones((64, 16, 3, 3), "f4")

    def loss(w, x):
        return fnp.sum(lax.conv(x, w, (1, 1), "SAME") ** 2)

    source = ft.jit(ft.grad(loss)).lower(w, x).source
    assert source.count("f32[16,3,3,8,8,8] (out)") == 1


BLOCKS = {  # shapes of x and w, padding, groups of features; and loops
    "samples": ((12, 16, 8, 6), (48, 16, 3, 3), "SAME", 1, ("samples, 12", "inputs, 12")),
    "rows": ((1, 16, 12, 8), (48, 16, 3, 3), "SAME", 1, ("rows, 4",)),
    "strided rows": ((1, 32, 17, 16), (48, 32, 3, 2), "VALID", 1, ("rows, 8",)),
    "depthwise": ((8, 32, 8, 8), (32, 1, 3, 3), "SAME", 32, ("samples, 8",)),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_what_exceeds_the_caches_comes_in_blocks(name, monkeypatch, short_vectors):
    sx, sw, padding, groups, loops = BLOCKS[name]
    for module in (costs, convolutions):
        monkeypatch.setattr(module, "CACHE", 1 << 16)
    monkeypatch.setattr(costs, "BLOCK", 1 << 15)
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=sx), rng.normal(size=sw)

    def loss(x, w):
        strides = (2, 1) if name == "strided rows" else (1, 1)
        y = lax.conv_general_dilated(x, w, strides, padding, feature_group_count=groups)
        return fnp.sum(y**2)

    both = ft.jit(ft.grad(loss, (0, 1)))
    for got, want in zip(both(x, w), ft.grad(loss, (0, 1))(x, w), strict=True):
        np.testing.assert_allclose(got, want, 1e-10, 1e-10)
    source = both.lower(x, w).source
    for loop in loops:
        assert f"scan of {loop} steps" in source


def test_windows_beyond_the_limit_are_left_to_numpy(monkeypatch, short_vectors):
    monkeypatch.setattr(convolutions, "LARGEST", 1000)
    x, w = np.ones((2, 30, 9, 9)), np.ones((4, 30, 3, 3))
    compiled = ft.jit(lambda x, w: lax.conv(x, w, (1, 1), "SAME"))
    assert "NumPy: conv_general_dilated" in compiled.lower(x, w).source
    np.testing.assert_allclose(compiled(x, w), lax.conv(x, w, (1, 1), "SAME"))
