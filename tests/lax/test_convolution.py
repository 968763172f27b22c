"""Layouts, named paddings and transposed convolutions are JAX's; windows fold any computation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax, nn
from functrans import numpy as fnp
from functrans.core.errors import ShapeError, TreeError
from functrans.test_util import check_grads

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("numbers", "want"),
    [
        (None, ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3))),
        (("NHWC", "HWIO", "NHWC"), ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))),
        (("NCHW", "OIHW", "NCHW"), ((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3))),
        # the axes of space come in the kernel's order
        (("CWNH", "IHOW", "HNWC"), ((2, 0, 3, 1), (2, 0, 1, 3), (1, 3, 0, 2))),
    ],
)
def test_dimension_numbers(numbers: Any, want: Any) -> None:
    shape = (2, 3, 4, 5)
    got = lax.conv_dimension_numbers(shape, shape, numbers)
    assert got == lax.ConvDimensionNumbers(*want)
    assert lax.conv_dimension_numbers(shape, shape, got) is got


@pytest.mark.parametrize(
    "numbers",
    [
        ("NHWC", "HWIO"),
        ("NHW", "HWI", "NHW"),
        ("NHWC", "HWIO", "NHDC"),
        ("NHHC", "HHIO", "NHHC"),
        ("NHWX", "HWIO", "NHWC"),
        (1, 2, 3),
    ],
)
def test_wrong_dimension_numbers_are_named(numbers: Any) -> None:
    with pytest.raises(ShapeError, match="dimension numbers are three strings of 4 letters"):
        lax.conv_dimension_numbers((1, 2, 3, 4), (1, 2, 3, 4), numbers)


def test_layouts_are_permutations_of_one_convolution() -> None:
    x, w = RNG.normal(size=(2, 3, 6, 5)), RNG.normal(size=(4, 3, 3, 2))
    options: Any = {"window_strides": (2, 1), "padding": [(1, 0), (0, 2)]}
    want = lax.conv_general_dilated(x, w, **options)
    axes = {"x": "NCHW", "w": "OIHW"}

    def moved(v: Any, own: str, to: str) -> Any:
        return v.transpose([own.index(letter) for letter in to])

    for lhs, rhs, out in [("NHWC", "HWIO", "NHWC"), ("WNCH", "HOIW", "CHNW")]:
        got = lax.conv_general_dilated(
            moved(x, axes["x"], lhs),
            moved(w, axes["w"], rhs),
            **options,
            dimension_numbers=(lhs, rhs, out),
        )
        np.testing.assert_allclose(got, moved(want, "NCHW", out), rtol=1e-12)


@pytest.mark.parametrize(
    ("padding", "want"),
    [
        ("VALID", [(0, 0), (0, 0), (0, 0)]),
        ("SAME", [(1, 1), (1, 2), (0, 0)]),
        ("same_lower", [(1, 1), (2, 1), (0, 0)]),
    ],
)
def test_named_paddings(padding: str, want: Any) -> None:
    assert lax.padtype_to_pads((6, 7, 5), (3, 4, 1), (1, 1, 2), padding) == want


def test_same_padding_counts_the_dilated_kernel() -> None:
    x, w = np.ones((1, 1, 9)), np.ones((1, 1, 3))
    assert lax.conv_general_dilated(x, w, (2,), "SAME", rhs_dilation=(3,)).shape == (1, 1, 5)
    assert lax.conv(x, w, (4,), "SAME").shape == (1, 1, 3)
    got = lax.conv_with_general_padding(x, w, (1,), [(1, 1)], (2,), None)
    assert got.shape == (1, 1, 17)


def test_unknown_paddings_are_refused() -> None:
    x, w = np.ones((1, 1, 9)), np.ones((1, 1, 3))
    with pytest.raises(ValueError, match="'VALID', 'SAME', 'SAME_LOWER' or"):
        lax.conv(x, w, (1,), "FULL")
    with pytest.raises(ShapeError, match=r"\(N, C, space…\).*f64\[4,4\].*\(1, 1\)"):
        lax.conv_general_dilated(np.ones((4, 4)), np.ones((3, 3)), (1, 1), "SAME")
    with pytest.raises(ShapeError, match="use conv_transpose"):
        lax.conv_general_dilated(x, w, (1,), "SAME", lhs_dilation=(2,))
    with pytest.raises(ShapeError, match="one rank"):
        lax.conv(x, w[0], (1,), "VALID")


def test_operands_promote_as_in_numpy() -> None:
    x, w = np.ones((1, 1, 4), "f4"), np.ones((1, 1, 2), "f8")
    assert lax.conv(x, w, (1,), "VALID").dtype == np.float64
    assert lax.conv(x, x, (1,), "VALID", preferred_element_type="f8").dtype == np.float64


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_transposed_convolution_is_the_gradient(padding: str, strides: tuple[int, int]) -> None:
    """With the kernel transposed too it takes cotangents of a convolution to its operand."""
    numbers = ("NHWC", "HWIO", "NHWC")
    x, w = RNG.normal(size=(2, 6, 6, 3)), RNG.normal(size=(3, 3, 3, 4))
    forward = lambda x: lax.conv_general_dilated(x, w, strides, padding, dimension_numbers=numbers)
    y, pull = ft.vjp(forward, x)
    ct = RNG.normal(size=y.shape)
    got = lax.conv_transpose(
        ct, w, strides, padding, dimension_numbers=numbers, transpose_kernel=True
    )
    want = pull(ct)[0][:, : got.shape[1], : got.shape[2]]
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-10)


def test_transposed_convolution_with_pads_of_the_convolution() -> None:
    x, w = RNG.normal(size=(1, 4, 2)), RNG.normal(size=(3, 2, 5))
    got = lax.conv_transpose(x, w, (2,), [(1, 0)], use_consistent_padding=True)
    want = lax.conv_transpose(x, w, (2,), [(1, 2)])
    np.testing.assert_array_equal(got, want)


def test_patches_times_a_kernel_are_the_convolution() -> None:
    x, w = RNG.normal(size=(2, 3, 6, 5)), RNG.normal(size=(4, 3, 3, 2))
    options: Any = {"window_strides": (2, 1), "padding": "SAME", "rhs_dilation": (1, 2)}
    patches = lax.conv_general_dilated_patches(x, (3, 2), **options)
    got = np.einsum("nkhw,ok->nohw", patches, w.reshape(4, -1))
    np.testing.assert_allclose(got, lax.conv_general_dilated(x, w, **options), rtol=1e-12)
    f = lambda x: lax.conv_general_dilated_patches(x, (3, 2), **options) ** 2
    check_grads(f, (x,), order=2)


def test_gradient_of_a_convolution_compiles() -> None:
    x, w = RNG.normal(size=(2, 6, 6, 3)), RNG.normal(size=(3, 3, 3, 4))

    def loss(x: Any, w: Any) -> Any:
        y = lax.conv_general_dilated(
            x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return fnp.sum(fnp.tanh(y))

    want = ft.grad(loss, (0, 1))(x, w)
    for got in (ft.jit(ft.grad(loss, (0, 1)))(x, w), ft.grad(ft.jit(loss), (0, 1))(x, w)):
        for g, v in zip(got, want, strict=True):
            np.testing.assert_allclose(g, v, rtol=1e-10, atol=1e-12)


# --- reduce_window --------------------------------------------------------------------------------

FOLDS = [
    (lax.add, np.sum, 0.0),
    (lax.mul, np.prod, 1.0),
    (fnp.maximum, np.max, -np.inf),
    (np.minimum, np.min, np.inf),
    (lambda a, b: a + b, np.sum, 0.0),
    (lambda a, b: fnp.hypot(a, b), np.linalg.norm, 0.0),
]


@pytest.mark.parametrize(("computation", "fold", "start"), FOLDS)
def test_reduce_window_folds(computation: Any, fold: Any, start: float) -> None:
    x = RNG.normal(size=(5, 4))
    f = lambda x: lax.reduce_window(x, start, computation, (2, 3), (1, 1), [(0, 0), (1, 0)])
    rows = np.pad(x, ((0, 0), (1, 0)), constant_values=start)
    view = np.lib.stride_tricks.sliding_window_view(rows, (2, 3))
    want = np.array([[fold(window.ravel()) for window in row] for row in view])
    np.testing.assert_allclose(f(x), want, rtol=1e-12)
    np.testing.assert_allclose(ft.jit(f)(x), want, rtol=1e-12)
    check_grads(f, (x,), order=2)


@pytest.mark.parametrize(
    "options",
    [
        {"window_strides": (3, 1)},
        {"padding": [(-1, 2), (2, -2)], "window_strides": (2, 1)},
        {"base_dilation": (2, 1), "window_dilation": (1, 3), "padding": "SAME"},
        {"padding": [(0, -4), (0, 0)]},
    ],
)
def test_general_computations_fold_the_windows_of_fast_ones(options: Any) -> None:
    x = np.round(RNG.normal(size=(5, 4)))
    ct = RNG.normal(size=lax.reduce_window(x, 1.0, lax.mul, (2, 2), **options).shape)

    def transforms(x: Any, computation: Any) -> Any:
        y, pull = ft.vjp(lambda x: lax.reduce_window(x, 1.0, computation, (2, 2), **options), x)
        return y, *pull(ct)

    want = transforms(x, lax.mul)
    general = lambda x: transforms(x, lambda a, b: a * b)
    for run in (general, ft.jit(general)):
        for got, fast in zip(run(x), want, strict=True):
            np.testing.assert_allclose(got, fast, rtol=1e-12, atol=1e-12)


def test_initial_values_that_are_not_neutral() -> None:
    x = np.array([-3.0, 1.0, 2.0, -5.0])
    relu = lambda x: lax.reduce_window(x, 0.0, lax.max, (2,), (2,))
    np.testing.assert_array_equal(relu(x), [1, 2])
    np.testing.assert_array_equal(ft.grad(lambda x: relu(x).sum())(x), [0, 1, 1, 0])
    total = lambda start: lax.reduce_window(x, start, lax.add, (2,))
    np.testing.assert_array_equal(total(10.0), [8, 13, 7])
    np.testing.assert_array_equal(ft.jit(total)(10.0), [8, 13, 7])


def test_integers_and_bools_reduce_in_their_dtype() -> None:
    x = np.array([3, -1, 2], "i4")
    got = lax.reduce_window(x, np.iinfo("i4").min, lax.max, (2,), padding="SAME")
    assert got.dtype == np.int32 and got.tolist() == [3, 2, 2]
    flags = np.array([True, False, False])
    got = lax.reduce_window(flags, False, lax.bitwise_or, (2,))
    assert got.dtype == np.bool_ and got.tolist() == [True, False]


def test_trees_of_operands_fold_together() -> None:
    x = RNG.normal(size=6)
    places = np.arange(6)

    def greater(a: Any, b: Any) -> Any:
        first = a[0] >= b[0]
        return tuple(fnp.where(first, u, v) for u, v in zip(a, b, strict=True))

    values, found = lax.reduce_window((x, places), (-np.inf, -1), greater, (3,))
    view = np.lib.stride_tricks.sliding_window_view(x, 3)
    np.testing.assert_array_equal(values, view.max(-1))
    np.testing.assert_array_equal(found, view.argmax(-1) + np.arange(4))
    with pytest.raises(TreeError, match="initial value for each operand"):
        lax.reduce_window((x, places), 0.0, greater, (3,))


def test_windows_of_another_rank_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"array of shape \(3, 4\)"):
        lax.reduce_window(np.ones((3, 4)), 0.0, lax.add, (2,))


# --- bad input ------------------------------------------------------------------------------------

X, KERNEL, ROW = np.ones((2, 3, 5)), np.ones((4, 3, 2)), np.ones((3, 4))
PAIRS = r"'VALID', 'SAME', 'SAME_LOWER' or \(low, high\) per axis: got "
BAD: list[tuple[Any, type[Exception], str]] = [
    (
        lambda x: lax.conv_general_dilated(x, KERNEL, (1, 1), "SAME"),
        ShapeError,
        r"\(5,\).*\(1, 1\)",
    ),
    (lambda x: lax.conv_general_dilated(x, KERNEL, (0,), "SAME"), ShapeError, r"\(5,\).*\(0,\)"),
    (lambda x: lax.conv_general_dilated(x, KERNEL, (1.5,), "SAME"), TypeError, "integer"),
    (lambda x: lax.conv_general_dilated(x, KERNEL, (1,), [1]), ValueError, PAIRS + r"\[1\]"),
    (lambda x: lax.conv_general_dilated(x, KERNEL, (1,), 1), ValueError, PAIRS + "1"),
    (lambda x: lax.conv_general_dilated(x, KERNEL, (1,), [(1, 0.5)]), ValueError, PAIRS),
    (
        lambda x: lax.conv_general_dilated(
            x, np.ones((2, 5, 4)), (1,), "SAME", dimension_numbers=("NCH", "HIO", "NCH")
        ),
        ShapeError,
        r"\(O, I, space…\) f64\[4,5,2\]",
    ),
    (
        lambda x: lax.conv_transpose(
            x, np.ones((3, 5, 2)), (1,), [(0, 0)] * 2, use_consistent_padding=True
        ),
        ShapeError,
        r"2 values in padding",
    ),
    (lambda x: lax.conv_general_dilated_patches(x, (2,), (1, 1), "SAME"), ShapeError, r"\(1, 1\)"),
    (lambda x: lax.conv_general_dilated_patches(x, (2,), (0,), "VALID"), ShapeError, "positive"),
    (lambda x: lax.conv_general_dilated_patches(x, (0,), (1,), "VALID"), ShapeError, "positive"),
    (lambda x: lax.conv_general_dilated_patches(x, (2,), (1,), [(-3, -3)]), ShapeError, "negative"),
    (lambda x: lax.conv_general_dilated_patches(x, (2,), (1,), [(0, 0)] * 2), ShapeError, "2,3,5"),
    (lambda x: lax.reduce_window(x, ROW, lax.add, (1, 1, 2)), ShapeError, r"scalar.*f64\[3,4\]"),
    (
        lambda x: lax.reduce_window((x, ROW), (0.0, 0.0), lambda a, b: a, (1, 1, 2)),
        ShapeError,
        r"one shape.*f64\[2,3,5\].*f64\[3,4\]",
    ),
    (lambda x: nn.max_pool(x, (2,), (0,), "SAME"), ShapeError, r"\(2, 3, 5\).*\(1, 0, 1\)"),
    (lambda x: nn.avg_pool(x, (2,), (1,), [1]), ValueError, PAIRS),
]


@pytest.mark.parametrize(("f", "error", "words"), BAD)
def test_bad_input_is_named(f: Any, error: type[Exception], words: str) -> None:
    for run in (f, ft.jit(f)):
        with pytest.raises(error, match=words):
            run(X)
