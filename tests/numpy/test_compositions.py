"""Functions that are compositions agree with NumPy, and their derivatives are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import ConcretizationError, ShapeError
from functrans.core.trace import Trace
from functrans.core.types import Aval
from functrans.test_util import check_grads
from tests.numpy.agreement import array, both, check, leaves

X = array((3, 4), "float64")
F = array((3, 4), "float32", 1)
N = array((3, 4), "int32", 2)
B = array((3, 4), "bool", 3)
C = array((3, 4), "complex128", 4)
V = np.array([0.5, -1.0, 2.0, 3.5, 1.0])

CASES: list[tuple[str, tuple, dict[str, Any]]] = [
    ("where", (B, X, F), {}),
    ("where", (B, F, 1.0), {}),
    ("where", (B, 1, 2), {}),
    ("where", (N, X[0], 0), {}),
    ("where", (B[:, :1], C, X), {}),
    ("clip", (X, -1, 1), {}),
    ("clip", (F, -1.0, None), {}),
    ("clip", (F, None, 0.5), {}),
    ("clip", (N, -1.5, 2), {}),
    ("clip", (X, X[0], 2.0), {}),
    ("clip", (X,), {"max": 0.0}),
    ("clip", (X,), {}),
    ("heaviside", (X, 0.5), {}),
    ("isclose", (X, X + 1e-9), {}),
    ("isclose", (N, X), {}),
    ("isclose", (np.array([np.nan, np.inf, 1]), np.array([np.nan, np.inf, 2])), {}),
    ("isclose", (np.array([np.nan, 1.0]), np.array([np.nan, 1.0])), {"equal_nan": True}),
    ("isreal", (C,), {}),
    ("iscomplex", (C,), {}),
    ("iscomplex", (X,), {}),
    ("polyval", (V, X), {}),
    ("polyval", (N[0], 2), {}),
    ("polyadd", (V, V[:2]), {}),
    ("polymul", (V, V[:2]), {}),
    ("polysub", (V, V[:2]), {}),
    ("polyint", (V,), {}),
    ("polyint", (V, 2, [1.0, 2.0]), {}),
    ("polyder", (V,), {}),
    ("polyder", (V, 2), {}),
    ("polyfit", (np.arange(5.0), V, 2), {}),
    ("polyfit", (np.arange(5, dtype="int32"), np.outer(V, V), 1), {"w": np.arange(1.0, 6.0)}),
    ("convolve", (V, V[:2]), {}),
    ("convolve", (V[:2], V), {}),
    ("convolve", (V, V[:3], "same"), {}),
    ("convolve", (V, V[:4], "same"), {}),
    ("convolve", (V, N[0], "valid"), {}),
    ("convolve", (np.arange(90.0), np.arange(40.0)), {}),
    ("correlate", (V, V[:3]), {}),
    ("correlate", (V[:3], V), {}),
    ("correlate", (C[0], C[1], "full"), {}),
    ("correlate", (V, V[:2], "same"), {}),
    ("correlate", (B[0], B[1, :3], "full"), {}),
    ("convolve", (B[0], B[1, :3]), {}),
    ("convolve", (N[0].astype("uint8"), N[1].astype("uint8")), {}),
    ("polydiv", (V[:2], V), {}),
    ("poly", (V,), {}),
    ("poly", (F[:3, :3],), {}),
    ("poly", (N[0],), {}),
    ("poly", (C[0],), {}),
    ("i0", (X,), {}),
    ("i0", (F,), {}),
    ("i0", (N,), {}),
    ("frexp", (np.array([0.0, 3.0, -1e-310, np.inf, np.nan, 1e300, -0.1]),), {}),
    ("frexp", (np.array([0.0, 3.0, -1e-40, np.inf, 0.1], "float32"),), {}),
    ("spacing", (np.array([0.0, 1.0, -3.0, 1e300, 5e-324]),), {}),
    *[
        ("packbits", (array(shape, dtype), axis, order), {})
        for shape in ((3, 4), (2, 17), (0,))
        for dtype in ("bool", "int32")
        for axis in (None, 0, -1)
        for order in ("big", "little")
    ],
    *[
        ("unpackbits", (array((3, 4), "uint8") * 50, axis, count, order), {})
        for axis, count in ((None, None), (0, 5), (1, -3), (1, 40))
        for order in ("big", "little")
    ],
    ("interp", (X, np.array([-2.0, 0.0, 1.0]), np.array([1.0, 3.0, 2.0])), {}),
    ("interp", (X, [-2.0, 0.0, 1.0], np.array([1.0, 3.0, 2.0])), {"left": 0.0, "right": 9.0}),
    ("interp", (F, [-2.0, 0.0, 1.0], C[0, :3]), {}),
    ("interp", (X, [0.0, 90.0, 200.0], V[:3]), {"period": 360}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), CASES, ids=[c[0] for c in CASES])
def test_agrees(name: str, args: tuple, kwargs: dict[str, Any]) -> None:
    check(*both(name), *args, **kwargs)


P = np.array([0.0, 1.0, -3.5, 2.0, 0.5, 0.0])


def by_size(x: np.ndarray) -> np.ndarray:
    return x[np.argsort(-np.abs(x), kind="stable")].astype(complex)


def test_roots() -> None:
    for p in (P, P[1:], N[1], F[0], C[0], P[:1], np.zeros(3), np.array([0.0, 0.0, 2.0])):
        want = by_size(np.roots(p))
        np.testing.assert_allclose(by_size(fnp.roots(p)), want, rtol=1e-6)
        got = ft.jit(lambda p: fnp.roots(p, strip_zeros=False))(p)
        assert got.shape == (len(p) - 1,) and got.dtype == fnp.roots(p).dtype
        np.testing.assert_allclose(got[: len(want)], want, rtol=1e-6)
        assert np.isnan(got[len(want) :]).all()
    size = lambda p: fnp.abs(fnp.roots(p))
    check_grads(size, (P[1:-1],), order=2)
    total = lambda p: fnp.sum(fnp.roots(p, strip_zeros=False)[:3].imag ** 2)
    for p in (P, P[:-1], np.concatenate([[0.0, 0.0], P])):
        of_known = ft.grad(lambda p: fnp.sum(fnp.roots(p)[:3].imag ** 2))(p)
        np.testing.assert_allclose(ft.jit(ft.grad(total))(p), of_known, rtol=1e-9, atol=1e-9)
    with pytest.raises(ConcretizationError, match="strip_zeros=False"):
        ft.jit(fnp.roots)(P)
    with pytest.raises(ShapeError, match="roots needs a vector"):
        fnp.roots(X)


def test_quotients_of_polynomials() -> None:
    for u, v in ((V, V[:2]), (V, V[:1]), (C[0], V[2:]), (N[0], N[1, 1:])):
        quotient, rest = ft.jit(fnp.polydiv)(u, v)
        want, want_rest = np.polydiv(u, v)
        np.testing.assert_allclose(quotient, want, rtol=1e-12)
        np.testing.assert_allclose(np.trim_zeros(rest, "f"), np.trim_zeros(want_rest, "f"))
        assert rest.shape == u.shape
        known = ft.jvp(lambda u, v=v: fnp.polydiv(u, v)[1], (u + 0.0,), (u + 0.0,))[0]
        np.testing.assert_allclose(known, want_rest, atol=1e-12)


def test_trim_zeros() -> None:
    x = np.zeros((5, 6))
    x[1:3, 2:5] = np.arange(6.0).reshape(2, 3)
    for trim in ("fb", "f", "b"):
        for axis in (None, 0, (0, 1), -1):
            want = np.trim_zeros(x, trim, axis)
            gradient = ft.grad(lambda x, t=trim, a=axis: fnp.sum(fnp.trim_zeros(x, t, a) ** 2))(x)
            np.testing.assert_array_equal(fnp.trim_zeros(x, trim, axis), want)
            np.testing.assert_array_equal(gradient, 2 * x)
    with pytest.raises(ConcretizationError, match="trim_zeros"):
        ft.jit(fnp.trim_zeros)(x)


def test_select_and_piecewise() -> None:
    check(
        lambda x: fnp.select([x < 0, x > 1], [x, x * 2], 5),
        lambda x: np.select([x < 0, x > 1], [x, x * 2], 5),
        X,
    )
    functions = [lambda v: v * v, -1.0, lambda v: v]
    check(
        lambda x: fnp.piecewise(x, [x < 0, x > 1], functions),
        lambda x: np.piecewise(x, [x < 0, x > 1], functions),
        X,
    )


def test_comparisons_of_arrays() -> None:
    assert fnp.array_equal(X, X) is True
    assert fnp.allclose(X, X + 1e-12) is True
    for name, other in (("array_equal", X + 1), ("array_equiv", X[0]), ("allclose", X)):
        check(*both(name), X, other, eager=True)
    check(*both("array_equal"), X, V)
    check(*both("array_equiv"), X, V)


def test_where_with_one_argument_needs_values() -> None:
    with Trace(staging=True) as trace:
        x = trace.new_input(Aval((3,), float))
        with pytest.raises(ConcretizationError):
            fnp.where(x > 0)
    assert ft.grad(lambda x: x[fnp.where(x > 0)].sum())(np.array([1.0, -1.0])).tolist() == [1, 0]


DERIVATIVES: list[tuple[Callable[..., Any], tuple]] = [
    (lambda x: fnp.matmul(x, x.T), (X,)),
    (lambda x, y: fnp.matmul(x, y), (array((2, 1, 3, 4), "float64"), array((5, 4, 2), "float64"))),
    (lambda x, y: fnp.einsum("ij,jk,ik->i", x, y, x @ y), (X, X.T)),
    (lambda x: fnp.einsum("ii->i", x), (X[:, :3],)),
    (lambda x, y: fnp.kron(x, y), (X[:2, :2], X[0])),
    (lambda x, y: fnp.cross(x, y), (X[:, :3], X[:, 1:])),
    (lambda x: fnp.mean(x, 1), (X,)),
    (lambda x: fnp.var(x, 0, ddof=1), (X,)),
    (lambda x: fnp.std(x, 0), (X,)),
    (lambda x: fnp.prod(x, 1), (X,)),
    (lambda x: fnp.cumsum(x, 1), (X,)),
    (lambda x: fnp.cumprod(x, 0), (X,)),
    (lambda x: fnp.diff(x, 2), (X,)),
    (lambda x: fnp.gradient(x, axis=1), (X,)),
    (lambda x: fnp.trapezoid(x, fnp.arange(4.0)), (X,)),
    (lambda x: fnp.pad(x, 2, mode="reflect"), (X,)),
    (lambda x: fnp.pad(x, ((1, 2), (2, 0)), mode="wrap"), (X,)),
    (lambda x: fnp.pad(x, 2, mode="linear_ramp"), (X,)),
    (lambda x: fnp.diag(x[0], 1), (X,)),
    (lambda x: fnp.diagonal(x, -1), (X,)),
    (lambda x: fnp.tril(x), (X,)),
    (lambda x: fnp.roll(x, 2, 1), (X,)),
    (lambda x: fnp.repeat(x, [1, 0, 2], 0), (X,)),
    (lambda x: fnp.tile(x, (2, 2)), (X,)),
    (lambda x: fnp.rot90(x), (X,)),
    (lambda x: fnp.insert(x, [1, 2], 5.0, axis=1), (X,)),
    (lambda x: fnp.convolve(x, x[:2]), (V,)),
    (lambda x, y: fnp.correlate(x, y, "full"), (V, V[:3])),
    (lambda p, x: fnp.polyval(p, x), (V, X)),
    (lambda u, v: [w[-2:] for w in fnp.polydiv(u, v)], (V, V[2:])),
    (lambda z: fnp.poly(z), (V,)),
    (lambda a: fnp.poly(a), (X[:, :3],)),
    (lambda x: fnp.i0(x), (X,)),
    (lambda x: fnp.frexp(x)[0], (X + 0.013,)),
    (lambda w: fnp.histogramdd(X, 2, weights=w)[0], (V[:3],)),
    (lambda x, y, w: fnp.polyfit(x, y, 1, w=w), (np.sqrt(np.arange(5.0)), V, V + 3)),
    (lambda x, y: fnp.interp(x, [-3.0, 0.05, 2.0], y), (X[0] + 0.013, V[:3])),
    (lambda x: fnp.where(x > 0.13, x**2, -x), (X,)),
    (lambda x: fnp.nan_to_num(x), (X,)),
    (lambda x: fnp.average(x, weights=x**2 + 1), (X,)),
    (lambda x: fnp.linspace(x[0], x[1], 5), (X,)),
    (lambda x: fnp.sinc(x), (np.array([0.0, 0.001, 0.3, -1.5]),)),
    (lambda x: fnp.logaddexp(x, x.T), (X[:, :3],)),
    (lambda x: fnp.hypot(x, x[0] + 0.3), (X,)),
    (lambda x: x**0.5 + x**2.0 + x**-1 + 2.0**x, (np.abs(X) + 1,)),
    (lambda x: fnp.power(x, 2.5), (np.abs(X) + 1,)),
]


@pytest.mark.parametrize("k", range(len(DERIVATIVES)))
def test_derivatives(k: int) -> None:
    function, args = DERIVATIVES[k]
    check_grads(function, args, order=2)


@pytest.mark.parametrize("k", range(len(DERIVATIVES)))
def test_vmap(k: int) -> None:
    function, args = DERIVATIVES[k]
    stacked = [np.stack([a, a * 0.9, a + 0.2]) for a in args]
    got = leaves(ft.vmap(function)(*stacked))
    rows = [leaves(function(*[a[i] for a in stacked])) for i in range(3)]
    for g, want in zip(got, zip(*rows, strict=True), strict=True):
        np.testing.assert_allclose(g, np.stack(want), rtol=1e-9, atol=1e-9)


def test_sinc_has_its_second_derivative_at_zero() -> None:
    second = ft.grad(ft.grad(fnp.sinc))(0.0)
    np.testing.assert_allclose(second, -(np.pi**2) / 3, rtol=1e-12)


STATISTICS: list[tuple[str, tuple, dict[str, Any]]] = [
    ("cov", (X,), {}),
    ("cov", (X, X[:1]), {"rowvar": True, "ddof": 0}),
    ("cov", (X,), {"rowvar": False, "bias": True}),
    ("cov", (V,), {}),
    ("cov", (C,), {}),
    ("cov", (X,), {"aweights": np.arange(1.0, 5), "fweights": np.array([1, 2, 1, 3])}),
    ("corrcoef", (X,), {}),
    ("corrcoef", (C,), {}),
    ("histogram", (X,), {}),
    ("histogram", (X, 4, (-1.0, 2.0)), {"density": True}),
    ("histogram", (X, [-3.0, -1.0, 0.0, 2.0]), {"weights": np.arange(12.0).reshape(3, 4)}),
    ("histogram", (N,), {"bins": 5}),
    ("histogramdd", (X,), {"bins": 3}),
    ("histogramdd", (X[:, :2],), {"bins": [2, [-3.0, -1.0, 0.0, 2.0]], "density": True}),
    ("histogramdd", (N[:, :2],), {"range": [(-1, 3), None], "weights": V[:3]}),
    ("histogram2d", (X[0], X[1]), {}),
    ("histogram2d", (X[0], X[1], [-2.0, 0.0, 1.0, 2.0]), {}),
    ("histogram2d", (X[0], X[1], (2, 3)), {"density": True}),
    ("isin", (N, np.array([1, 2])), {}),
    ("isin", (N, [1, 2]), {"invert": True}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), STATISTICS, ids=[s[0] for s in STATISTICS])
def test_statistics(name: str, args: tuple, kwargs: dict[str, Any]) -> None:
    check(*both(name), *args, **kwargs)


def test_bincount() -> None:
    x = np.array([0, 3, 1, 3])
    np.testing.assert_array_equal(fnp.bincount(x), np.bincount(x))
    np.testing.assert_array_equal(ft.jit(lambda v: fnp.bincount(v, length=5))(x), [1, 1, 0, 2, 0])
    for f in (fnp.bincount, ft.jit(fnp.bincount, static_argnames="length")):
        np.testing.assert_array_equal(f(np.array([-1, 2, 7]), length=3), [1, 0, 1])
    weighted = ft.grad(lambda w: (fnp.bincount(x, w) ** 2).sum())(np.arange(4.0))
    np.testing.assert_allclose(weighted, [0, 8, 4, 8])


def test_apply_along_axis() -> None:
    cube = array((2, 3, 4), "float64")
    for axis in (0, 1, -1):
        for function in (np.sum, lambda v: v[:2], lambda v: np.outer(v[:2], v[:2])):
            check(
                lambda x, f=function, i=axis: fnp.apply_along_axis(f, i, x),
                lambda x, f=function, i=axis: np.apply_along_axis(f, i, x),
                cube,
            )
    check(
        lambda x: fnp.apply_over_axes(fnp.sum, x, [0, 2]),
        lambda x: x.sum((0, 2), keepdims=True),
        cube,
    )


def test_convolutions_of_long_vectors_store_no_windows() -> None:
    x, y = np.arange(100_000.0), np.arange(1000.0)
    for f in fnp.convolve, ft.grad(lambda x, y: fnp.sum(fnp.convolve(x, y) ** 2), argnums=(0, 1)):
        memory = ft.jit(f).lower(x, y).memory_analysis()
        assert memory["temp_size_in_bytes"] < 100 * x.nbytes  # the windows: 1000 times
