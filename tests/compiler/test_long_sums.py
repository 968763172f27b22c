"""Long sums: as accurate as pairwise ones, and right where they are infinite or nan."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import numpy as fnp

EPS = np.finfo(np.float32).eps
CASES: dict[str, tuple[tuple[int, ...], Any]] = {  # shape, axes
    "a run": ((8192,), None),
    "a run and an element": ((8193,), None),
    "rows": ((7, 100_003), 1),
    "blocks": ((3_000_000,), None),
    "blocks of a few rows": ((3, 400_001), 1),
    "around what is kept": ((300, 20, 400), (0, 2)),
    "around, runs within": ((11, 3, 20_000), (0, 2)),
    "a long row in many": ((300, 2, 256), (0, 2)),
    "columns": ((2000, 100), 0),
    "columns between": ((3, 5000, 16), 1),
    "blocks of columns": ((30_000, 64), 0),
    "columns of several axes": ((40, 50, 6, 7), (0, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_errors_are_those_of_a_few_additions(name: str) -> None:
    shape, axes = CASES[name]
    bound = 3 if "columns" in name else 2
    x = np.random.default_rng(0).random(shape, np.float32)
    wide = x.astype(np.float64)
    with ft.config(num_threads=2):
        got, squares = ft.jit(lambda x: (fnp.sum(x, axes), fnp.sum(x * x, axes)))(x)
        var = ft.jit(lambda x: fnp.var(x, axes))(x)
    np.testing.assert_allclose(got, wide.sum(axes), bound * EPS)
    np.testing.assert_allclose(squares, (wide * wide).sum(axes), bound * EPS)
    np.testing.assert_allclose(var, wide.var(axes), 2 * bound * EPS)


@pytest.mark.parametrize("name", CASES)
def test_what_cancels(name: str) -> None:
    """Large numbers that come and go cost no more than their own rounding."""
    shape, axes = CASES[name]
    x = np.random.default_rng(1).normal(size=shape) + 1j
    got = ft.jit(lambda x: fnp.sum(x, axes))(x)
    np.testing.assert_allclose(got, x.sum(axes), 1e-12, 1e-9)


@pytest.mark.parametrize(
    ("values", "want"),
    [
        ([np.inf], np.inf),
        ([-np.inf], -np.inf),
        ([np.inf, -np.inf], np.nan),
        ([np.nan], np.nan),
        ([3e38, 3e38], np.inf),
    ],
)
@pytest.mark.parametrize("place", [0, 8191, 8192, 20_000])
def test_infinite_and_nan(values: list[float], want: float, place: int) -> None:
    x = np.zeros(30_000, np.float32)
    x[place : place + len(values)] = values
    assert np.array_equal(ft.jit(fnp.sum)(x), np.float32(want), equal_nan=True)


def test_other_folds_of_the_same_pass() -> None:
    x = np.random.default_rng(2).normal(size=(3, 50_000)).astype(np.float32)
    f = lambda x: (fnp.sum(x, 1), fnp.max(x, 1), fnp.sum((x > 0).astype(int), 1), fnp.all(x < 9, 1))
    for got, want in zip(ft.jit(f)(x), f(x), strict=True):
        np.testing.assert_allclose(got, want, 1e-5, 1e-3)


def test_short_sums_are_as_they_were() -> None:
    source = ft.jit(lambda x: fnp.sum(x, 1)).lower(np.ones((30, 8192))).source
    assert "+=" not in source
