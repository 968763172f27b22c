"""Products of a matrix by its own transpose."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import numpy as fnp
from functrans.compiler.gram import is_gram
from functrans.compiler.products import Gemm

SHAPES = [(33, 700), (700, 65), (200, 400), (129, 1000), (500, 500)]
PRODUCTS = {
    "by rows": lambda x: x @ x.T,
    "by columns": lambda x: x.T @ x,
    "of something computed": lambda x: fnp.tanh(x) @ fnp.tanh(x).T,
    "covariances": lambda x: fnp.cov(x, rowvar=False),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_values(name: str, shape: tuple[int, int], dtype: Any) -> None:
    f, x = PRODUCTS[name], np.random.default_rng(0).normal(size=shape).astype(dtype)
    got, want = ft.jit(f)(x), f(x)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(got, got.T)
    scale = np.abs(want).max()
    np.testing.assert_allclose(got / scale, want / scale, 0, 40 * np.finfo(dtype).eps)


def test_derivatives_and_what_is_read_afterwards() -> None:
    x = np.random.default_rng(1).normal(size=(600, 600)) / 20
    f = lambda x: fnp.sum(fnp.sin((y := fnp.exp(x)) @ y.T) * y)
    np.testing.assert_allclose(ft.jit(ft.grad(f))(x), ft.grad(f)(x), 1e-9, 1e-9)
    assert "ft_gram_f64" in ft.jit(f).lower(x).source


def test_nan_comes_through() -> None:
    x = np.ones((400, 300))
    x[7, 3] = np.nan
    got = ft.jit(lambda x: x @ x.T)(x)
    assert np.isnan(got[7]).all() and np.isnan(got[:, 7]).all() and np.isnan(got).sum() == 799


@pytest.mark.parametrize(
    ("gemm", "dtype", "want"),
    [
        (Gemm(False, True, 50, 50, 9, 1), "f8", True),
        (Gemm(True, False, 50, 50, 9, 1), "f4", True),
        (Gemm(True, False, 50, 50, 9, 1), "c16", False),
        (Gemm(False, False, 50, 50, 50, 1), "f8", False),
        (Gemm(False, True, 50, 50, 9, 2), "f8", False),
        (Gemm(False, True, 20, 20, 9, 1), "f8", False),
    ],
)
def test_is_gram(gemm: Gemm, dtype: str, want: bool) -> None:
    assert is_gram(gemm, np.dtype(dtype)) is want


def test_a_square_by_itself_is_none() -> None:
    x = np.random.default_rng(2).normal(size=(700, 700))
    f = ft.jit(lambda x: x @ x)
    assert "ft_gram" not in f.lower(x).source
    np.testing.assert_allclose(f(x), x @ x, 1e-9, 1e-9)
