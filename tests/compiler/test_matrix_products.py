"""Products by our own kernel equal evaluation: every layout, size of tile, batch and share."""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.compiler import compile, matrix_products, tiles
from functrans.compiler.matrix_products import is_own
from functrans.compiler.products import Gemm

SIZES = {  # rows, terms, columns
    "one tile": (8, 16, 16),
    "partial tiles": (13, 20, 19),
    "several panels": (20, 24, 100),
    "terms in parts": (9, 1100, 40),
    "many rows": (700, 30, 33),
    "few rows": (9, 700, 64),
}
REGISTERS = {"AVX-512": (64, 32), "AVX2": (32, 16)}


@pytest.fixture
def every_product(monkeypatch, tmp_path):
    """Small ones too, and nothing compiled before."""
    monkeypatch.setattr(matrix_products, "FEWEST_FLOPS", 1)
    monkeypatch.setenv("FUNCTRANS_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compile, "_executables", {})


def _array(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def _check(f, *args):
    """That the compiled function gives what NumPy does, by our own kernel."""
    compiled = ft.jit(f)
    want = f(*args)
    bound = 1e-5 if want.dtype == "f4" else 1e-13
    np.testing.assert_allclose(compiled(*args), want, bound, bound * 10 * np.abs(want).max())
    source = compiled.lower(*args).source
    assert "in tiles of" in source
    return source


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("processor", REGISTERS)
@pytest.mark.parametrize("name", SIZES)
def test_every_layout(name, processor, dtype, monkeypatch, every_product):
    monkeypatch.setattr(tiles, "vector_registers", lambda: REGISTERS[processor])
    m, k, n = SIZES[name]
    x, y = _array((m, k), dtype), _array((k, n), dtype, 1)
    xt, yt = np.ascontiguousarray(x.T), np.ascontiguousarray(y.T)
    _check(lambda x, y: x @ y, x, y)
    _check(lambda x, y: x.T @ y, xt, y)
    _check(lambda x, y: x @ y.T, x, yt)
    _check(lambda x, y: x.T @ y.T, xt, yt)


BATCHES = {  # function, shapes of its arguments
    "batch": (lambda x, y: x @ y, (3, 20, 30), (3, 30, 40)),
    "two axes": (lambda x, y: x @ y, (2, 3, 9, 16), (2, 3, 16, 24)),
    "one matrix for all": (lambda x, y: fnp.einsum("ij,bjk->bik", x, y), (20, 30), (5, 30, 40)),
    "summed": (lambda x, y: fnp.einsum("bij,bkj->ik", x, y), (16, 9, 64), (16, 24, 64)),
}


@pytest.mark.parametrize("name", BATCHES)
def test_batches(name, every_product):
    f, sx, sy = BATCHES[name]
    _check(f, _array(sx, "f8"), _array(sy, "f8", 1))


def test_threads_share_rows_and_columns_and_give_the_same_bits():
    x, y = _array((300, 500), "f4"), _array((500, 400), "f4", 1)
    product = ft.jit(lambda x, y: x @ y)
    assert "pieces" in product.lower(x, y).source or ft.config.num_threads == 1
    with ft.config(num_threads=1):
        alone = ft.jit(lambda x, y: 1.0 * (x @ y))
        np.testing.assert_array_equal(alone(x, y), product(x, y))
        assert "pieces" not in alone.lower(x, y).source


def test_infinities_and_nans_stay_in_their_rows_and_columns(every_product):
    x, y = _array((13, 20), "f8"), _array((20, 19), "f8", 1)
    x[2, 3], y[4, 5] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        want = x @ y
    np.testing.assert_allclose(ft.jit(lambda x, y: x @ y)(x, y), want, 1e-12, 1e-12)


CHOICES = {  # rows, columns, terms, batch, dtype; whether it is ours; and if x is transposed
    "a layer": (128, 128, 64, 1, "f4", True, True),
    "heads": (64, 64, 16, 32, "f4", True, True),
    "small": (32, 32, 64, 1, "f4", False, False),
    "terms in one place of the cache": (512, 256, 512, 1, "f8", True, False),
    "few terms there": (512, 256, 128, 1, "f8", True, True),
    "by a vector": (4096, 1, 512, 1, "f4", False, False),
    "few columns": (1 << 12, 10, 64, 1, "f4", True, True),
    "two columns": (1 << 12, 2, 64, 1, "f4", False, False),
    "two rows": (2, 1 << 9, 1 << 9, 1, "f8", True, True),
    "outer": (1 << 12, 1 << 10, 8, 1, "f4", False, False),
    "a small outer": (1 << 9, 1 << 9, 4, 1, "f4", True, True),
    "many of few columns": (24, 8, 10, 300, "f8", True, True),
    "few of few columns": (24, 8, 10, 30, "f8", False, False),
    "beyond the caches": (2048, 2048, 2048, 1, "f8", False, False),
    "complex": (128, 128, 128, 1, "c16", False, False),
}


@pytest.mark.parametrize("name", CHOICES)
def test_which_products_are_ours(name, monkeypatch):
    m, n, k, batch, dtype, *expected = CHOICES[name]
    for transposed, ours in zip((False, True), expected, strict=True):
        gemm = Gemm(transposed, False, m, n, k, batch)
        monkeypatch.setattr(tiles, "vector_registers", lambda: (64, 32))
        assert is_own(gemm, np.dtype(dtype)) is ours
        monkeypatch.setattr(tiles, "vector_registers", lambda: (16, 16))
        assert not is_own(gemm, np.dtype(dtype))
