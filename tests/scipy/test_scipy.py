"""functrans.scipy agrees with SciPy in values and dtypes, and its derivatives are right."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.linalg
import scipy.special
import scipy.stats

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import DTypeError, ShapeError, TransformError
from functrans.test_util import check_grads
from tests.numpy.agreement import array

fs = ft.scipy
INF, NAN = math.inf, math.nan


def spread(low: float, high: float, count: int = 7) -> np.ndarray:
    """Values in a range that avoid its ends and its middle."""
    return low + (high - low) * (np.arange(count) + 0.31) / count


def agree(ours: Any, theirs: Any, *args: Any, rtol: float = 1e-12, **kwargs: Any) -> None:
    """Assert equal values in float64 and float32, eagerly, under jit and under vmap."""
    for dtype, near in ((np.float64, rtol), (np.float32, 2e-5)):
        xs = [x.astype(dtype) if isinstance(x, np.ndarray) else x for x in args]
        with np.errstate(all="ignore"):
            # SciPy in float64: it is the accuracy of ours that is tested
            want = np.asarray(theirs(*[np.asarray(x, np.float64) for x in xs], **kwargs))
            got = ours(*xs, **kwargs)
            compiled = ft.jit(lambda *v: ours(*v, **kwargs))(*xs)
        for y in (got, compiled):
            assert np.shape(y) == want.shape
            assert y.dtype == dtype
            np.testing.assert_allclose(y, want, rtol=near, atol=near * 1e-3)


# --- special: (name, arguments, edges at which values agree too) ----------------------------------

EDGES = np.array([-INF, -3.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, INF, NAN])
SPECIAL: list[tuple[str, tuple[Any, ...], tuple[Any, ...]]] = [
    ("erf", (spread(-3, 3),), (EDGES,)),
    ("erfc", (spread(-3, 3),), (EDGES,)),
    ("erfinv", (spread(-0.95, 0.95),), (np.array([-1.0, 0.0, 1.0]),)),
    ("ndtr", (spread(-5, 5),), (EDGES,)),
    ("log_ndtr", (spread(-8, 5),), (np.array([-INF, -1e4, -50, -21, -19, -11, -9, 0, 8, INF]),)),
    ("gammaln", (spread(0.2, 20),), (np.array([1.0, 2.0, INF]),)),
    ("digamma", (spread(0.2, 20),), (np.array([1.0, 2.0]),)),
    ("psi", (spread(0.2, 20),), (np.array([1.0, 2.0]),)),
    ("betaln", (spread(0.2, 5), spread(0.3, 8)), (np.array([1.0]), np.array([1.0]))),
    ("gamma", (spread(-2.9, 9),), (EDGES,)),
    ("gammasgn", (spread(-2.9, 9),), (EDGES[1:],)),
    ("beta", (spread(0.2, 5), spread(0.3, 8)), (np.array([1.0]), np.array([1.0]))),
    ("factorial", (spread(0.2, 9),), (np.array([-2.0, 0.0, 3.0, 20.0]),)),
    ("expit", (spread(-5, 5),), (EDGES,)),
    ("log_expit", (spread(-5, 5),), (EDGES,)),
    ("logit", (spread(0.05, 0.95),), (np.array([0.0, 1e-30, 0.3, 0.5000001, 0.65, 1.0, -1.0]),)),
    ("xlogy", (spread(0.2, 3), spread(0.1, 4)), (EDGES[:, None], EDGES)),
    ("xlog1py", (spread(0.2, 3), spread(-0.7, 4)), (EDGES[:, None], EDGES)),
    ("entr", (spread(0.1, 3),), (EDGES,)),
    ("rel_entr", (spread(0.2, 3), spread(0.1, 4)), (EDGES[1:-2, None], EDGES[1:-2])),
    ("kl_div", (spread(0.2, 3), spread(0.1, 4)), (EDGES[1:-2, None], EDGES[1:-2])),
    ("ndtri", (spread(0.05, 0.95),), (np.array([-1.0, 0.0, 1e-30, 0.5, 1.0, 2.0, NAN]),)),
    ("i0", (spread(-4, 4),), (EDGES,)),
    ("i0e", (spread(-4, 4) + 0.1,), (EDGES,)),
    ("i1", (spread(-4, 4),), (EDGES,)),
    ("i1e", (spread(-4, 4) + 0.1,), (EDGES,)),
    ("expi", (spread(-3, 3) + 0.1,), (EDGES,)),
    ("exp1", (spread(0.2, 4),), (EDGES,)),
]


@pytest.mark.parametrize(("name", "args", "edges"), SPECIAL, ids=[s[0] for s in SPECIAL])
def test_special(name: str, args: tuple, edges: tuple) -> None:
    ours, theirs = getattr(fs.special, name), getattr(scipy.special, name)
    rtol = 1e-11 if name in ("betaln", "log_ndtr") else 1e-12
    agree(ours, theirs, *args, rtol=rtol)
    agree(ours, theirs, *edges, rtol=rtol)
    scalars = [x[2] for x in args]
    agree(ours, theirs, *[np.asarray(x) for x in scalars], rtol=rtol)
    assert type(ours(*scalars)) is np.float64
    with np.errstate(divide="ignore"):
        assert ours(*[np.ones(2, int)] * len(args)).dtype == np.float64
    check_grads(ours, args, 2, rtol=1e-4, atol=1e-4)
    mapped = ft.vmap(ours)(*args)
    np.testing.assert_allclose(mapped, ours(*args), rtol=1e-13)
    with pytest.raises(DTypeError, match=name if name != "psi" else "digamma"):
        ours(*[x + 0j for x in args])


UFUNCS = [s[0] for s in SPECIAL if isinstance(getattr(scipy.special, s[0]), np.ufunc)]


@pytest.mark.parametrize("name", UFUNCS)
def test_ufuncs_of_scipy_dispatch(name: str) -> None:
    args = next(s[1] for s in SPECIAL if s[0] == name)
    function = getattr(scipy.special, name)
    np.testing.assert_allclose(ft.jit(lambda *v: function(*v))(*args), function(*args), rtol=1e-11)


def test_sums_of_exponentials() -> None:
    x = array((3, 4), "f8")
    for axis in (None, 0, 1, (0, 1)):
        for name in ("logsumexp", "softmax", "log_softmax"):
            ours, theirs = getattr(fs.special, name), getattr(scipy.special, name)
            agree(ours, theirs, x, axis=axis)
            agree(ours, theirs, x + 1000, axis=axis)
            check_grads(lambda v: ours(v, axis=axis), (x,), 2, rtol=1e-4, atol=1e-4)
    weights = np.abs(array((3, 4), "f8", 1))
    got = fs.special.logsumexp(x, axis=1, b=weights, keepdims=True)
    np.testing.assert_allclose(got, scipy.special.logsumexp(x, axis=1, b=weights, keepdims=True))
    got, sign = fs.special.logsumexp(x, b=-weights, return_sign=True)
    want, want_sign = scipy.special.logsumexp(x, b=-weights, return_sign=True)
    np.testing.assert_allclose([got, sign], [want, want_sign])


# --- special functions of which some arguments are held fixed: (name, shapes, last, its edges) ----

UNIT = np.array([-0.5, 0.0, 0.3, 1.0, 1.5, NAN])
SHAPED: list[tuple[str, tuple[float, ...], np.ndarray, np.ndarray]] = [
    *[(name, (a,), spread(0.1, 6), EDGES)
      for name in ("gammainc", "gammaincc") for a in (0.4, 1.0, 2.5, 0.0, -1.0, INF)],
    *[("betainc", shapes, spread(0.05, 0.95), UNIT)
      for shapes in ((0.5, 0.5), (1.0, 1.0), (2.0, 3.5), (1.0, 4.0), (-1.0, 2.0))],
    *[("zeta", (x,), spread(0.3, 5), EDGES) for x in (1.5, 2.0, 7.0, 1.0, 0.5)],
]  # fmt: skip


@pytest.mark.parametrize(("name", "shapes", "last", "edges"), SHAPED, ids=str)
def test_special_with_shapes(name: str, shapes: tuple, last: Any, edges: Any) -> None:
    ours, theirs = getattr(fs.special, name), getattr(scipy.special, name)
    fixed = [np.asarray(s) for s in shapes]
    agree(ours, theirs, *fixed, last, rtol=1e-12)
    agree(ours, theirs, *fixed, edges, rtol=1e-12)
    with np.errstate(all="ignore"):
        smooth = np.isfinite(ours(*shapes, last)).all() and 0.0 not in shapes
    if smooth:
        check_grads(lambda x: ours(*shapes, x), (last,), 3, rtol=1e-3, atol=1e-3)
        compiled = ft.jit(ft.vmap(ft.grad(lambda x: ours(*shapes, x))))(last)
        np.testing.assert_allclose(compiled, ft.vmap(ft.grad(lambda x: ours(*shapes, x)))(last))
    refused = {"zeta": ("x",), "betainc": ("a", "b")}.get(name, ())
    for i, argument in enumerate(refused):
        with pytest.raises(TransformError, match=f"{name} has no known derivative.* to {argument}"):
            ft.grad(ours, i)(*shapes, 0.5)


def test_derivatives_of_incomplete_gamma_functions_in_the_shape() -> None:
    """Against differences in 50 digits, also where the continued fraction ends."""
    shapes, quantiles = (0.1, 0.5, 1.0, 2.0, 3.0, 10.3, 100.0), (1e-6, 0.2, 0.5, 0.9, 1 - 1e-6)
    a, q = (v.reshape(-1) for v in np.meshgrid(shapes, quantiles))
    x = scipy.special.gammaincinv(a, q)
    with mpmath.workdps(50):
        step = mpmath.mpf(10) ** -15

        def exact(a: float, x: float) -> float:
            low, high = (mpmath.gammainc(a + s, 0, x, regularized=True) for s in (-step, step))
            return float((high - low) / (2 * step))

        want = np.vectorize(exact)(a, x)
    for name, sign in (("gammainc", 1), ("gammaincc", -1)):
        function = getattr(fs.special, name)
        gradient = ft.grad(lambda a, f=function: fnp.sum(f(a, x)))
        np.testing.assert_allclose(gradient(a), sign * want, rtol=1e-10)
        np.testing.assert_allclose(ft.jit(gradient)(a), sign * want, rtol=1e-10)
        inner = (np.array([0.7, 1.0, 2.5, 4.0]), np.array([0.5, 2.9, 3.0, 4.5]))
        check_grads(function, inner, 2, rtol=1e-4, atol=1e-4)
        for edge in (0.0, INF):
            assert ft.grad(function)(1.5, edge) == 0
    single = ft.grad(fs.special.gammainc)(np.float32(1.5), np.float32(2.0))
    assert single.dtype == np.float32


def test_riemann_zeta() -> None:
    agree(fs.special.zeta, scipy.special.zeta, np.array([-2.5, 0.0, 0.5, 1.0, 2.0, 60.0, NAN]))
    with pytest.raises(TransformError, match="zeta has no known derivative with respect to x"):
        ft.grad(fs.special.zeta)(2.0)


def test_expn() -> None:
    for n in range(4):
        ours, theirs = lambda x: fs.special.expn(n, x), lambda x: scipy.special.expn(n, x)
        agree(ours, theirs, spread(0.2, 4))
        check_grads(ours, (spread(0.2, 4),), 3, rtol=1e-3, atol=1e-3)
    with pytest.raises(DTypeError, match="order as a Python int from 0 on"):
        fs.special.expn(-1, 1.0)


def test_polygamma() -> None:
    for n in range(4):
        agree(lambda x: fs.special.polygamma(n, x), lambda x: scipy.special.polygamma(n, x),
              spread(0.5, 5), rtol=1e-10)  # fmt: skip


EDGE_SLOPES: list[tuple[str, tuple[float, ...], tuple[float, ...]]] = [
    ("xlogy", (0.0, 3.0), (math.log(3.0), 0.0)),
    ("xlogy", (0.0, 0.0), (-INF, 0.0)),
    ("xlogy", (0.0, INF), (INF, 0.0)),
    ("xlogy", (2.0, 0.0), (-INF, INF)),
    ("xlog1py", (0.0, 2.0), (math.log(3.0), 0.0)),
    ("xlog1py", (0.0, -1.0), (-INF, 0.0)),
    ("entr", (0.0,), (INF,)),
    ("rel_entr", (0.0, 2.0), (-INF, 0.0)),
    ("rel_entr", (0.0, 0.0), (0.0, 0.0)),
    ("kl_div", (0.0, 2.0), (-INF, 1.0)),
    ("logit", (0.5,), (4.0,)),
    ("logit", (0.0,), (INF,)),
    ("log_ndtr", (-1e8,), (1e8,)),
    ("log_ndtr", (50.0,), (0.0,)),
    ("log_expit", (-1000.0,), (1.0,)),
    ("log_expit", (1000.0,), (0.0,)),
    ("ndtri", (0.0,), (INF,)),
    ("ndtri", (0.5,), (math.sqrt(2 * math.pi),)),
    ("i0", (0.0,), (0.0,)),
    ("i0e", (0.0,), (0.0,)),
    ("i1", (0.0,), (0.5,)),
    ("i1e", (0.0,), (0.5,)),
    ("exp1", (0.0,), (-INF,)),
    ("exp1", (INF,), (0.0,)),
]


@pytest.mark.parametrize(("name", "at", "slopes"), EDGE_SLOPES, ids=lambda v: str(v))
def test_derivatives_at_edges(name: str, at: tuple, slopes: tuple) -> None:
    gradient = ft.grad(getattr(fs.special, name), tuple(range(len(at))))
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(gradient(*at), slopes, rtol=1e-12)
        np.testing.assert_allclose(ft.jit(gradient)(*at), slopes, rtol=1e-12)


def test_mixed_derivatives_where_the_factor_is_zero() -> None:
    for name, x, y in (("xlogy", 0.0, 4.0), ("xlog1py", 0.0, 3.0)):
        f = getattr(fs.special, name)
        assert ft.grad(ft.grad(f, 0), 1)(x, y) == ft.grad(ft.grad(f, 1), 0)(x, y) == 0.25


def test_densities_at_edges() -> None:
    for name, shapes, at, slope in (
        ("gammainc", (1.0,), 0.0, 1.0),
        ("gammainc", (2.0,), 0.0, 0.0),
        ("gammainc", (0.5,), 0.0, INF),
        ("gammaincc", (3.0,), INF, 0.0),
        ("betainc", (1.0, 2.0), 0.0, 2.0),
        ("betainc", (2.0, 1.0), 1.0, 2.0),
        ("betainc", (1.0, 1.0), 0.0, 1.0),
    ):
        gradient = ft.grad(getattr(fs.special, name), len(shapes))
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(gradient(*shapes, at), slope, rtol=1e-12)
            np.testing.assert_allclose(ft.jit(gradient)(*shapes, at), slope, rtol=1e-12)
    fourth = ft.grad(ft.grad(ft.grad(fs.special.i1)))
    np.testing.assert_allclose(fourth(0.0), 3 / 8)


def test_betaln_of_large_arguments() -> None:
    values = np.array([0.3, 2.0, 9.99, 10.0, 10.01, 30.0, 1e3, 1e7, 1e12])
    a, b = values[:, None], values
    with mpmath.workdps(50):  # SciPy's has nine digits of the largest ones

        def exact(x: float, y: float) -> float:
            x, y = mpmath.mpf(x), mpmath.mpf(y)
            return float(mpmath.loggamma(x) + mpmath.loggamma(y) - mpmath.loggamma(x + y))

        want = np.vectorize(exact)(a, b)
    np.testing.assert_allclose(fs.special.betaln(a, b), want, rtol=3e-14)
    # the derivative is digamma(a) - digamma(a + b), of which values cancel
    gradient = ft.grad(lambda a: fnp.sum(fs.special.betaln(a, b)))(a[:7])
    slopes = scipy.special.digamma(a[:7]) - scipy.special.digamma(a[:7] + b)
    np.testing.assert_allclose(gradient[:, 0], slopes.sum(1), rtol=1e-12)
    few = np.array([0.3, 9.0, 10.0, 11.0, 40.0])
    check_grads(fs.special.betaln, (few[:, None], few), 2, rtol=1e-4, atol=1e-4)
    got = fs.stats.t.logpdf(1.0, 1e12)
    np.testing.assert_allclose(got, scipy.stats.norm.logpdf(1.0), rtol=1e-11)


def test_log_ndtr_is_smooth_where_its_forms_meet() -> None:
    x = np.array([-20.001, -20.0, -19.999, -0.001, 0.001, 0.02])
    check_grads(fs.special.log_ndtr, (x,), 2, rtol=1e-4, atol=1e-4)


# --- linalg ---------------------------------------------------------------------------------------


def matrix(n: int, dtype: str) -> np.ndarray:
    return array((n, n), dtype) + 9 * np.eye(n, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_linalg(dtype: str) -> None:
    a, root = matrix(4, dtype), array((4, 4), dtype, 2)
    positive = root @ root.conj().T + np.eye(4, dtype=dtype)
    vector, block = array((4,), dtype, 3), array((4, 2), dtype, 4)
    near = 2e-4 if dtype in ("float32", "complex64") else 1e-11

    def same(ours: Any, theirs: Any) -> None:
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=near, atol=near)

    sl, fl = scipy.linalg, fs.linalg
    same(fl.inv(a), sl.inv(a))
    same(np.asarray(fl.det(a), dtype), np.asarray(sl.det(a), dtype))
    for lower in (False, True):
        # only one triangle is read
        half = np.tril(positive) if lower else np.triu(positive)
        same(fl.cholesky(half, lower=lower), sl.cholesky(half, lower=lower))
        for b in (vector, block):
            want = sl.solve(positive, b)
            same(fl.cho_solve(fl.cho_factor(half, lower), b), want)
            same(fl.cho_solve(sl.cho_factor(positive, lower), b), want)
            same(fl.solve(half, b, lower=lower, assume_a="pos"), want)
            same(fl.solve(half, b, lower=lower, assume_a="her"), want)
            for trans in (0, 1, 2, "N", "T", "C"):
                for unit in (False, True):
                    options = {"trans": trans, "lower": lower, "unit_diagonal": unit}
                    triangle = a / (9 if unit else 1)
                    got = fl.solve_triangular(triangle, b, **options)
                    same(got, sl.solve_triangular(triangle, b, **options))
    for b in (vector, block):
        same(fl.solve(a, b), sl.solve(a, b))
        symmetric = a + a.T
        same(fl.solve(np.triu(symmetric), b, assume_a="sym"), sl.solve(symmetric, b))
        same(
            fl.solve(a, b, assume_a="upper triangular"),
            sl.solve_triangular(a, b),
        )
    stack = np.stack([a, a + 1])
    got = fl.solve_triangular(stack, block, lower=True)
    same(got, np.stack([sl.solve_triangular(m, block, lower=True) for m in stack]))


DECOMPOSITIONS: list[tuple[str, dict[str, Any]]] = [
    ("svd", {}),
    ("svd", {"full_matrices": False}),
    ("svd", {"compute_uv": False}),
    ("svdvals", {}),
    ("qr", {}),
    ("qr", {"mode": "economic"}),
    ("qr", {"mode": "r"}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize(("name", "options"), DECOMPOSITIONS, ids=str)
def test_decompositions(name: str, options: dict[str, Any], dtype: str) -> None:
    ours, theirs = getattr(fs.linalg, name), getattr(scipy.linalg, name)
    near = 1e-4 if dtype in ("float32", "complex64") else 1e-10
    for shape in ((4, 2), (2, 4), (3, 3)):
        x = array(shape, dtype)
        got, want = ours(x, **options), theirs(x, **options)
        assert type(got) is type(want)
        for g, w in zip(got, want, strict=True):
            assert (g.shape, g.dtype) == (w.shape, w.dtype)
            np.testing.assert_allclose(np.abs(g), np.abs(w), rtol=near, atol=near)  # but for signs


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
@pytest.mark.parametrize("lower", [True, False])
def test_eigh(lower: bool, dtype: str) -> None:
    x, root = array((4, 4), dtype, 1), array((4, 4), dtype, 2)
    positive = root @ root.conj().T + np.eye(4, dtype=dtype)
    near = 1e-3 if dtype in ("float32", "complex64") else 1e-10
    a, b = x + x.conj().T, positive
    if lower:  # only one triangle is read
        a, b = np.tril(a), np.tril(b)
    for args in ((a,), (a, b)) if lower else ((np.triu(a),), (np.triu(a), np.triu(b))):
        w, v = fs.linalg.eigh(*args, lower=lower)
        want, vectors = scipy.linalg.eigh(*args, lower=lower)
        assert (w.dtype, v.dtype) == (want.dtype, vectors.dtype)
        np.testing.assert_allclose(w, want, rtol=near, atol=near)
        np.testing.assert_allclose(np.abs(v), np.abs(vectors), rtol=near, atol=near)
        values = fs.linalg.eigh(*args, lower=lower, eigvals_only=True)
        np.testing.assert_allclose(values, want, rtol=near, atol=near)


def test_derivatives_of_eigh() -> None:
    def modes(a: Any, root: Any) -> Any:
        w, v = fs.linalg.eigh(a + a.T, root @ root.T + fnp.eye(3))
        return w, fnp.abs(v)

    operands = matrix(3, "f8") / 5, array((3, 3), "f8", 2)
    check_grads(modes, operands, 2, rtol=1e-4, atol=1e-4)
    many = ft.jit(ft.vmap(modes))(*[np.stack([x, x]) for x in operands])
    for got, want in zip(many, modes(*operands), strict=True):
        np.testing.assert_allclose(got, np.stack([want, want]), rtol=1e-10, atol=1e-10)


def test_derivatives_of_linalg() -> None:
    a, b = matrix(3, "f8") / 5, array((3, 2), "f8")
    fl = fs.linalg
    for function in (
        lambda a, b: fl.solve_triangular(a, b, trans=1),
        lambda a, b: fl.solve_triangular(a, b[:, 0], lower=True, unit_diagonal=True),
        lambda a, b: fl.cho_solve(fl.cho_factor(a + a.T), b),
        lambda a, b: fl.solve(a + a.T, b, assume_a="pos", lower=True),
        lambda a, b: fl.solve(a, b, assume_a="sym"),
        lambda a, b: fl.cholesky(a + a.T) @ b,
    ):
        check_grads(function, (a, b), 2, rtol=1e-4, atol=1e-4)
        want = function(a, b)
        np.testing.assert_allclose(ft.jit(function)(a, b), want, rtol=1e-12)
        many = ft.vmap(function)(np.stack([a, a]), np.stack([b, b]))
        np.testing.assert_allclose(many, np.stack([want, want]), rtol=1e-12)


def test_errors_of_linalg() -> None:
    fl = fs.linalg
    with pytest.raises(ValueError, match="trans must be"):
        fl.solve_triangular(np.eye(2), np.ones(2), trans=3)
    with pytest.raises(ValueError, match="assume_a"):
        fl.solve(np.eye(2), np.ones(2), assume_a="banded")
    with pytest.raises(ShapeError, match=r"f64\[2,2\] and b: f64\[3\]"):
        fl.solve_triangular(np.eye(2), np.ones(3))
    for wrong in (fl.cho_factor, fl.eigh, lambda a: fl.eigh(a, np.eye(2))):
        with pytest.raises(ShapeError, match="square"):
            wrong(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"eigh.*a: f64\[2,2\] and b: f64\[3,3\]"):
        fl.eigh(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="type=2"):
        fl.eigh(np.eye(2), np.eye(2), type=2)
    with pytest.raises(ValueError, match="full, r and economic, got 'raw'"):
        fl.qr(np.eye(2), mode="raw")
    with pytest.raises(ValueError, match="pivoting"):
        fl.qr(np.eye(2), pivoting=True)


def test_an_array_of_orders_is_refused() -> None:
    with pytest.raises(DTypeError, match="order as a Python int: got"):
        fs.special.polygamma(np.arange(3), np.ones(3))
