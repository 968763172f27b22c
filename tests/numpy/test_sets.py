"""Set functions agree with NumPy, under jit with a size too, and have derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import ConcretizationError

NAMES = ["union1d", "intersect1d", "setdiff1d", "setxor1d"]
NAN = np.nan
PAIRS = [
    (np.array([3, 1, 3, 2]), np.array([2, 5, 3])),
    (np.array([[3.5, 1.0], [NAN, NAN]]), np.array([1.0, NAN])),
    (np.array([1, 2]), np.array([1.5, 2.0])),
    (np.array([True, False]), np.array([True])),
    (np.array([], int), np.array([4, 4])),
    (np.array([4, 4]), np.array([], int)),
]


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_with_a_size_they_are_those_of_numpy(name: str, pair: tuple) -> None:
    ours, want = getattr(fnp, name), getattr(np, name)(*pair)
    np.testing.assert_array_equal(ours(*pair), want)
    n = len(want)
    for size in (n, n + 2, max(n - 1, 0)):
        got = ft.jit(lambda x, y, m=size: ours(x, y, size=m, fill_value=1))(*pair)
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, [*want[:size], *[1] * (size - n)])
    if n:
        default = 0 if name == "setdiff1d" else want[0]
        np.testing.assert_array_equal(ours(*pair, size=n + 1)[-1], default)


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_and_batches(name: str) -> None:
    x, y = np.array([3.0, 1.0, 2.0]), np.array([2.0, 5.0])
    f = getattr(fnp, name)

    def loss(x: Any, y: Any, **size: int) -> Any:
        return fnp.sum(f(x, y, **size) ** 2)

    n = len(f(x, y))
    known = ft.grad(loss, (0, 1))
    compiled = ft.jit(ft.grad(lambda x, y: loss(x, y, size=n), (0, 1)))
    for a, b in zip(known(x, y), compiled(x, y), strict=True):
        np.testing.assert_array_equal(a, b)
    assert sum(np.count_nonzero(g) for g in known(x, y)) == n
    rows = ft.vmap(lambda x: f(x, y, size=n))(np.stack([x, x[::-1]]))
    np.testing.assert_array_equal(rows, [f(x, y)] * 2)
    with pytest.raises(ConcretizationError, match=f"{name}.*size="):
        ft.jit(f)(x, y)


def test_where_common_elements_are() -> None:
    x, y = PAIRS[0]
    want = np.intersect1d(x, y, return_indices=True)
    got = ft.jit(lambda x, y: fnp.intersect1d(x, y, return_indices=True, size=3))(x, y)
    for g, w, missing in zip(got, want, (2, 4, 3), strict=True):
        np.testing.assert_array_equal(g, [*w, missing])


def test_unique_operands_keep_their_order() -> None:
    x, y = np.array([5, 1, 4, 2]), np.array([1])
    want = np.setdiff1d(x, y, assume_unique=True)
    got = ft.jit(lambda x, y: fnp.setdiff1d(x, y, assume_unique=True, size=3))(x, y)
    np.testing.assert_array_equal(got, want)
