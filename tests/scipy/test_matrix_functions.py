"""functrans.scipy.linalg's factors and functions of matrices: values, compiled, derived."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from functrans.test_util import check_grads
from tests.numpy.agreement import array

fl, sl = ft.scipy.linalg, scipy.linalg
TOLERANCE = {"f": 2e-5, "d": 1e-11, "F": 2e-5, "D": 1e-11}


def same(ours: Any, theirs: Any) -> None:
    """Equal trees in shapes, dtypes and, nearly, values."""
    if isinstance(theirs, tuple | list):
        assert isinstance(ours, tuple)
        for x, y in zip(ours, theirs, strict=True):
            same(x, y)
        return
    assert (np.shape(ours), ours.dtype) == (np.shape(theirs), theirs.dtype)
    near = TOLERANCE.get(theirs.dtype.char, 0) * max(1, np.max(np.abs(theirs), initial=0))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=near)


# --- rows: (function's name, shapes of operands, options) -----------------------------------------

ROWS: list[tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]]] = [
    ("expm", ((3, 3),), {}),
    ("expm", ((2, 4, 4),), {}),
    ("expm", ((1, 1),), {}),
    ("block_diag", ((2, 3), (2,), ()), {}),
    ("block_diag", ((2, 1, 2), (2, 2)), {}),
    ("toeplitz", ((3,),), {}),
    ("toeplitz", ((3,), (4,)), {}),
    ("toeplitz", ((2, 3), (2, 2)), {}),
    ("lu", ((3, 3),), {}),
    ("lu", ((4, 2),), {}),
    ("lu", ((2, 4),), {"permute_l": True}),
    ("lu", ((2, 3, 3),), {"p_indices": True}),
    ("lu_factor", ((4, 3),), {}),
    ("lu_factor", ((2, 3, 3),), {}),
    ("polar", ((3, 3),), {}),
    ("polar", ((4, 2),), {"side": "left"}),
    ("polar", ((2, 2, 3),), {}),
    ("solve_sylvester", ((3, 3), (2, 2), (3, 2)), {}),
]


@pytest.mark.parametrize(("name", "shapes", "options"), ROWS, ids=str)
def test_agrees_with_scipy(name: str, shapes: tuple, options: dict[str, Any]) -> None:
    for dtype in ("float32", "float64", "complex64", "complex128"):
        xs = [array(s, dtype, i) for i, s in enumerate(shapes)]
        want = getattr(sl, name)(*xs, **options)

        def ours(*v: Any) -> Any:
            return getattr(fl, name)(*v, **options)

        same(ours(*xs), want)
        same(ft.jit(ours)(*xs), want)
        many = ft.jit(ft.vmap(ours))(*[np.stack([x, x]) for x in xs])
        same(ft.tree.map(lambda y: y[1], many), want)
    check_grads(ours, xs, 2, rtol=1e-4, atol=1e-4)
    check_grads(ours, [array(s, "f8", i) for i, s in enumerate(shapes)], 2, rtol=1e-4, atol=1e-4)


# --- expm -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.0, 1e-8, 0.1, 5.3, 5.5, 40.0, 600.0])
def test_expm_of_all_sizes(scale: float) -> None:
    x = array((4, 4), "f8")
    x = x * (scale / np.abs(x).sum(0).max())
    want = sl.expm(x)
    for got in (fl.expm(x), ft.jit(fl.expm)(x)):
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.abs(want).max())
    triangle = np.triu(x)
    got = fl.expm(triangle, upper_triangular=True)
    want = sl.expm(triangle)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.abs(want).max())


def test_expm_of_a_stack_squares_each_as_needed() -> None:
    x = array((3, 3), "f8")
    stack = np.stack([x / 100, x, x * 20])
    gradient = ft.grad(lambda a: fnp.sum(fnp.log1p(fl.expm(a) ** 2)))
    want = np.stack([gradient(a) for a in stack])
    for got in (ft.vmap(gradient)(stack), ft.jit(ft.vmap(gradient))(stack), gradient(stack)):
        np.testing.assert_allclose(got, want, rtol=1e-9)
    frechet = np.stack([sl.expm_frechet(a, x, compute_expm=False) for a in stack])
    _, along = ft.jvp(fl.expm, (stack,), (np.stack([x] * 3),))
    np.testing.assert_allclose(along, frechet, rtol=1e-9, atol=1e-9 * np.abs(frechet).max())
    check_grads(fl.expm, (x * 3,), 2, rtol=1e-4, atol=1e-4)


def test_expm_without_a_result() -> None:
    for bad in (np.nan, np.inf):
        with np.errstate(invalid="ignore"):
            got = fl.expm(np.stack([np.eye(2), np.array([[1.0, bad], [0.0, 1.0]])]))
        np.testing.assert_allclose(got[0], np.e * np.eye(2))
        assert np.isnan(got[1]).all()
    far = -1e7 * np.eye(2)
    assert np.isnan(fl.expm(far, max_squarings=16)).all()
    assert np.array_equal(fl.expm(far), np.zeros((2, 2)))
    assert fl.expm(np.zeros((0, 0))).shape == (0, 0)
    assert fl.expm(np.zeros((2, 2), int)).dtype == np.float64


# --- lu -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
def test_lu_solve(trans: Any) -> None:
    for dtype in ("float32", "float64", "complex64", "complex128"):
        a = array((4, 4), dtype)
        for b in (array((4,), dtype, 1), array((4, 2), dtype, 2)):
            code = "NTC".index(trans) if isinstance(trans, str) else trans
            want = sl.lu_solve(sl.lu_factor(a), b, trans=code)
            near = TOLERANCE[want.dtype.char] * 100
            for factors in (sl.lu_factor(a), fl.lu_factor(a)):
                got = fl.lu_solve(factors, b, trans=trans)
                assert got.dtype == want.dtype
                np.testing.assert_allclose(got, want, rtol=near, atol=near)

            def solved(a: Any, b: Any) -> Any:
                return fl.lu_solve(fl.lu_factor(a), b, trans=trans)

            many = ft.jit(ft.vmap(solved))(np.stack([a, a]), np.stack([b, b]))
            np.testing.assert_allclose(many[1], want, rtol=near, atol=near)
            got = fl.lu_solve(fl.lu_factor(np.stack([a, a])), b, trans=trans)
            np.testing.assert_allclose(got[1], want, rtol=near, atol=near)
    check_grads(solved, (a, b), 2, rtol=1e-4, atol=1e-4)


def test_lu_of_singular_matrices() -> None:
    for a in (np.zeros((2, 2)), np.ones((3, 3)), np.zeros((0, 3))):
        for got, want in zip(fl.lu(a), sl.lu(a), strict=True):
            np.testing.assert_array_equal(got, want)


# --- polar ----------------------------------------------------------------------------------------


def test_polar_where_singular_values_are_equal() -> None:
    """(1 + h e)'s orthonormal factor is 1 + h k + h² (k² - k s - s k) / 2 + …, e = s + k."""
    e = array((3, 3), "f8")
    s, k = (e + e.T) / 2, (e - e.T) / 2

    def along(h: Any) -> Any:
        return fl.polar(np.eye(3) + h * e)[0]

    first, second = ft.jacfwd(along), ft.jacfwd(ft.jacrev(along))
    np.testing.assert_allclose(first(0.0), k, atol=1e-12)
    np.testing.assert_allclose(second(0.0), k @ k - k @ s - s @ k, atol=1e-12)


# --- errors ---------------------------------------------------------------------------------------

ERRORS: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: fl.expm(np.ones((2, 3))), ShapeError, "expm needs square matrices"),
    (lambda: fl.polar(np.eye(2), "top"), ValueError, "'right' or 'left', got 'top'"),
    (lambda: fl.polar(np.ones(2)), ShapeError, "polar needs matrices"),
    (lambda: fl.lu(np.ones(2)), ShapeError, "lu needs matrices"),
    (lambda: fl.lu_solve((np.eye(2), [0]), np.ones(2)), ShapeError, "exchange per row"),
    (lambda: fl.lu_solve((np.eye(2), [0, 1]), np.ones(3)), ShapeError, "as many rows of b"),
    (lambda: fl.lu_solve((np.eye(2), [0, 1]), np.ones(2), 4), ValueError, "trans must be"),
    (lambda: fl.solve_sylvester(np.eye(2), np.eye(3), np.eye(2)), ShapeError, "columns as of b"),
    (lambda: fl.block_diag(np.ones((2, 1, 1)), np.ones((3, 1, 1))), ShapeError, "block_diag needs"),
    (lambda: fl.toeplitz(np.ones((2, 1)), np.ones((3, 1))), ShapeError, "toeplitz needs"),
]


@pytest.mark.parametrize(("call", "error", "message"), ERRORS, ids=[e[2] for e in ERRORS])
def test_errors(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_edges_of_structured_matrices() -> None:
    for args in ((), (np.ones(0), np.ones((2, 1))), (1, 2.5)):
        same(fl.block_diag(*args), sl.block_diag(*args))
    for args in ((np.ones(0), np.ones(2)), (2,), ([1, 2], [1.5]), ([1, 2j],)):
        same(fl.toeplitz(*args), sl.toeplitz(*args))
