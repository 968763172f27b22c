"""Factors and systems in compiled code are BLAS's own, and equal the evaluation's."""

import itertools

import numpy as np
import pytest

import functrans as ft
from functrans.compiler import blas
from functrans.compiler.decompositions import lapack_names
from functrans.primitives.linear_algebra import cholesky_p, inv_p, solve_p, triangular_solve_p

FLAGS = list(itertools.product([False, True], repeat=5))


def _random(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("columns", [1, 3])
def test_triangular_solve_takes_every_flag(dtype, columns):
    a = _random((2, 4, 4), dtype) + 4 * np.eye(4, dtype=dtype)
    for lower, left, transpose, conjugate, unit in FLAGS:
        if conjugate and np.dtype(dtype).kind != "c":
            continue
        b = _random((2, 4, columns) if left else (2, columns, 4), dtype, 1)
        params = {
            "lower": lower,
            "left_side": left,
            "transpose_a": transpose,
            "conjugate_a": conjugate,
            "unit_diagonal": unit,
        }
        solve = ft.jit(lambda a, b: triangular_solve_p.bind(a, b, **params))
        tolerance = 1e-4 if dtype in ("f4", "c8") else 1e-11
        expected = triangular_solve_p.bind(a, b, **params)
        np.testing.assert_allclose(solve(a, b), expected, tolerance, tolerance)
        assert ("NumPy" in solve.lower(a, b).source) == (conjugate and not transpose)


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (3, 4, 4), (2, 0, 0), (0, 3, 3)])
def test_cholesky_reads_the_lower_triangle(shape, dtype):
    x = _random(shape, dtype)
    a = x @ np.conj(np.swapaxes(x, -1, -2)) + 3 * np.eye(shape[-1], dtype=dtype)
    a = np.tril(a) + np.triu(_random(shape, dtype, 2), 1)
    given = a.copy()
    factor = ft.jit(cholesky_p.bind)
    np.testing.assert_allclose(factor(a), cholesky_p.bind(a), 1e-4, 1e-4)
    np.testing.assert_array_equal(a, given)
    assert "NumPy" not in factor.lower(a).source or not a.size


@pytest.mark.parametrize("dtype", ["f4", "c16"])
def test_a_matrix_without_a_factor_becomes_nan_and_leaves_the_others(dtype):
    good = 2 * np.eye(3, dtype=dtype)
    bad = good.copy()
    bad[1, 1] = -1
    found = ft.jit(cholesky_p.bind)(np.stack([good, bad, good]))
    np.testing.assert_array_equal(found, cholesky_p.bind(np.stack([good, bad, good])))
    assert np.isnan(found[1]).sum() == 6 and not np.isnan(found[[0, 2]]).any()


SYSTEMS = {  # shapes of a and b
    "one": ((1, 1), (1, 2)),
    "vector": ((5, 5), (5, 1)),
    "several": ((5, 5), (5, 3)),
    "large": ((70, 70), (70, 40)),
    "stack": ((3, 4, 4), (3, 4, 2)),
    "stack of vectors": ((2, 3, 4, 4), (2, 3, 4, 1)),
    "nothing": ((0, 3, 3), (0, 3, 2)),
}


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_solve_exchanges_rows(name, dtype):
    a, b = (_random(shape, dtype, i) for i, shape in enumerate(SYSTEMS[name]))
    given = a.copy(), b.copy()
    solve = ft.jit(solve_p.bind)
    tolerance = 2e-2 if dtype in ("f4", "c8") else 1e-10
    np.testing.assert_allclose(solve(a, b), solve_p.bind(a, b), tolerance, tolerance)
    inverse = ft.jit(inv_p.bind)
    np.testing.assert_allclose(inverse(a), inv_p.bind(a), tolerance, tolerance)
    assert "NumPy" not in solve.lower(a, b).source + inverse.lower(a).source or not a.size
    np.testing.assert_array_equal(a, given[0])
    np.testing.assert_array_equal(b, given[1])


@pytest.mark.parametrize("dtype", ["f4", "c16"])
@pytest.mark.parametrize("columns", [1, 2])
def test_the_solution_of_a_singular_system_is_nan_and_leaves_the_others(columns, dtype):
    a = np.stack([np.eye(3)[::-1], np.ones((3, 3)), np.diag([1.0, 2.0, 4.0])]).astype(dtype)
    b = _random((3, 3, columns), dtype)
    found = ft.jit(solve_p.bind)(a, b)
    np.testing.assert_allclose(found, solve_p.bind(a, b), 1e-5)
    assert np.isnan(found[1]).all() and not np.isnan(found[[0, 2]]).any()


def test_scipy_gives_the_routines_where_numpy_does_not(monkeypatch):
    bits, routines = blas.find_triangular()
    assert bits in (32, 64) and all(routines.values())
    monkeypatch.setattr(blas, "_lapack_from_numpy", lambda names: None)
    for names in (tuple(routines), *map(lapack_names, "dz")):
        bits, others = blas.find_lapack.__wrapped__(names)
        assert bits == 32 and others.keys() == set(names) and all(others.values())
