"""Distributions agree with SciPy in values and dtypes, and their derivatives are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from functrans.test_util import check_grads
from tests.numpy.agreement import array
from tests.scipy.test_scipy import INF, NAN, agree, spread

fs = ft.scipy


X = spread(-3, 3)
P = spread(0.4, 2.5)
CONTINUOUS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "norm": (X, ()),
    "expon": (np.abs(X), ()),
    "uniform": (spread(0.05, 0.9), ()),
    "laplace": (X, ()),
    "logistic": (X, ()),
    "gamma": (np.abs(X), (P,)),
    "beta": (spread(0.05, 0.9), (P, P[::-1])),
    "t": (X, (P,)),
    "cauchy": (X, ()),
    "gumbel_l": (X, ()),
    "gumbel_r": (X, ()),
    "chi2": (np.abs(X), (P,)),
    "pareto": (np.abs(X) + 1, (P,)),
}
ON_THE_LINE = ("norm", "laplace", "logistic", "t", "cauchy", "gumbel_l", "gumbel_r")
OUTSIDE = np.array([-2.0, -0.5, 0.0, 1.0, 1.5, 40.0, NAN])


@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name: str) -> None:
    x, shapes = CONTINUOUS[name]
    ours, theirs = getattr(fs.stats, name), getattr(scipy.stats, name)
    scale, loc = P[::-1] + 0.1, X / 7
    for method in ("logpdf", "pdf", "logcdf", "cdf", "logsf", "sf"):
        function = getattr(ours, method, None)
        if function is None:
            assert "pdf" not in method
            continue
        reference = getattr(theirs, method)
        agree(function, reference, x, *shapes, rtol=1e-10)
        agree(function, reference, x * scale + loc, *shapes, loc, scale, rtol=1e-10)
        agree(function, reference, x[:, None], *shapes, 0.0, scale, rtol=1e-10)
        few = [s[2] for s in shapes]
        agree(function, reference, OUTSIDE, *[np.asarray(s) for s in few], rtol=1e-10)
        assert type(function(x[0], *few)) is np.float64

        def standard(*args: Any) -> Any:
            *rest, at, width = args
            return function(rest[0] * width + at, *rest[1:], at, width)

        # loc and scale moved by hand keep the point inside the support
        if name == "beta" and "pdf" not in method:  # no derivative in its shapes
            check_grads(lambda x: function(x, *shapes), (x,), 2, rtol=2e-4, atol=2e-4)
            continue
        check_grads(standard, (x, *shapes, loc, scale), 2, rtol=2e-4, atol=2e-4)
        check_grads(lambda *v: function(*v), (x, *shapes), 2, rtol=2e-4, atol=2e-4)
    gradient = ft.grad(lambda v: ours.logpdf(v, *few))
    if name not in ON_THE_LINE:
        assert float(gradient(-0.5)) == 0.0


QUANTILES = [
    (name, method)
    for name in CONTINUOUS
    for method in ("ppf", "isf")
    if hasattr(getattr(fs.stats, name), method)
]


@pytest.mark.parametrize(("name", "method"), QUANTILES)
def test_quantiles(name: str, method: str) -> None:
    shapes = CONTINUOUS[name][1]
    ours, theirs = (getattr(getattr(s.stats, name), method) for s in (fs, scipy))
    q, scale, loc = spread(0.03, 0.97), P[::-1] + 0.1, X / 7
    agree(ours, theirs, q, *shapes, rtol=1e-10)
    agree(ours, theirs, q, *shapes, loc, scale, rtol=1e-10)
    few = [np.asarray(s[2]) for s in shapes]
    agree(ours, theirs, np.array([-0.1, 0.0, 1.0, 1.1, NAN]), *few, rtol=1e-10)
    check_grads(ours, (q, *shapes, loc, scale), 2, rtol=2e-4, atol=2e-4)


def test_far_tails() -> None:
    for x in (10.0, 40.0, 300.0):
        for name in ("norm", "expon", "laplace", "logistic"):
            ours, theirs = getattr(fs.stats, name), getattr(scipy.stats, name)
            np.testing.assert_allclose(ours.logsf(x), theirs.logsf(x), rtol=1e-11)
            np.testing.assert_allclose(ours.logcdf(x), theirs.logcdf(x), rtol=1e-11)
            assert np.isfinite(ft.grad(ours.logsf)(x))


def test_discrete_distributions() -> None:
    k = np.array([-1.0, 0.0, 1.0, 2.0, 7.0, 0.5])
    for mu in (0.3, 2.0, 11.0):
        agree(fs.stats.poisson.logpmf, scipy.stats.poisson.logpmf, k, mu, rtol=1e-11)
        agree(fs.stats.poisson.pmf, scipy.stats.poisson.pmf, k, mu, 1.0, rtol=1e-11)
    counts = np.arange(4)
    assert fs.stats.poisson.logpmf(counts, 2.0).dtype == np.float64
    check_grads(lambda mu: fs.stats.poisson.logpmf(counts, mu), (P[:4],), 2)
    for p in (0.0, 0.25, 1.0):
        for method in ("logpmf", "pmf", "cdf"):
            ours, theirs = (
                getattr(fs.stats.bernoulli, method),
                getattr(scipy.stats.bernoulli, method),
            )
            agree(ours, theirs, k, p)
            agree(ours, theirs, k, p, 1.0)
    bits = np.array([0, 1, 1])
    check_grads(lambda p: fs.stats.bernoulli.logpmf(bits, p), (np.array([0.2, 0.5, 0.9]),), 2)


K = np.array([-1.0, 0.0, 1.0, 2.0, 7.0, 0.5, NAN])
DISCRETE: dict[str, tuple[Any, ...]] = {
    "poisson": (2.3,),
    "bernoulli": (0.3,),
    "binom": (5.0, 0.3),
    "betabinom": (5.0, 1.3, 0.7),
    "geom": (0.3,),
    "nbinom": (2.5, 0.3),
}


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_of_integers(name: str) -> None:
    ours, theirs = getattr(fs.stats, name), getattr(scipy.stats, name)
    shapes = [np.asarray(s) for s in DISCRETE[name]]
    for method in ("logpmf", "pmf"):
        agree(getattr(ours, method), getattr(theirs, method), K[:-1], *shapes, rtol=1e-10)
        agree(getattr(ours, method), getattr(theirs, method), K[:-1], *shapes, 1.0, rtol=1e-10)
    assert np.isnan(ours.logpmf(K, *shapes)[-1])
    counts, p = np.array([1, 1, 0 if name == "bernoulli" else 2]), shapes[-1] + np.arange(3) / 10
    check_grads(lambda p: ours.logpmf(counts, *shapes[:-1], p), (p,), 2, rtol=1e-4, atol=1e-4)
    compiled = ft.jit(ft.vmap(lambda k: ours.logpmf(k, *shapes)))(counts)
    np.testing.assert_allclose(compiled, ours.logpmf(counts, *shapes), rtol=1e-12)


def test_distribution_functions_of_integers() -> None:
    agree(fs.stats.poisson.cdf, scipy.stats.poisson.cdf, K[:-1], np.asarray(2.3), rtol=1e-10)
    check_grads(
        lambda mu: fs.stats.poisson.cdf(np.arange(3), mu), (P[:3],), 2, rtol=1e-4, atol=1e-4
    )
    q = np.array([-0.1, 0.0, 0.3, 0.7, 0.70001, 1.0, 1.1])
    np.testing.assert_array_equal(fs.stats.bernoulli.ppf(q, 0.3), [NAN, 0, 0, 0, 1, 1, NAN])


def test_von_mises() -> None:
    agree(fs.stats.vonmises.logpdf, scipy.stats.vonmises.logpdf, X, P, rtol=1e-10)
    agree(fs.stats.vonmises.pdf, scipy.stats.vonmises.pdf, X, P, rtol=1e-10)
    check_grads(fs.stats.vonmises.logpdf, (X, P), 2, rtol=1e-4, atol=1e-4)


def test_dirichlet() -> None:
    ours, theirs, alpha = fs.stats.dirichlet, scipy.stats.dirichlet, np.array([0.7, 1.0, 2.5])
    x = np.array([[0.2, 0.5], [0.3, 0.25], [0.5, 0.25]])
    for method in ("logpdf", "pdf"):
        want = [getattr(theirs, method)(x[:, i], alpha) for i in range(2)]
        for points in (x, x[:-1]):
            np.testing.assert_allclose(getattr(ours, method)(points, alpha), want, rtol=1e-12)
    assert ours.logpdf(x * 2, alpha).tolist() == [-INF, -INF]
    check_grads(ours.logpdf, (x[:-1], alpha), 2, rtol=1e-4, atol=1e-4)
    with pytest.raises(ShapeError, match=r"dirichlet needs .* x: f64\[3,2\] and alpha: f64\[5\]"):
        ours.logpdf(x, np.ones(5))


def test_multinomial() -> None:
    ours, theirs, p = fs.stats.multinomial, scipy.stats.multinomial, np.array([0.2, 0.3, 0.5])
    x = np.array([[2, 1, 0], [0, 0, 3], [1, 1, 2], [-1, 2, 2]])
    for method in ("logpmf", "pmf"):
        want = [getattr(theirs, method)(row, 3, p) for row in x]
        for function in (getattr(ours, method), ft.jit(getattr(ours, method))):
            np.testing.assert_allclose(function(x, 3, p), want, rtol=1e-12)
    check_grads(lambda p: ours.logpmf(x[:2], 3, p), (p,), 2, rtol=1e-4, atol=1e-4)


def test_multivariate_normal() -> None:
    root = array((3, 3), "f8")
    cov, mean, x = root @ root.T + np.eye(3), array((3,), "f8", 1), array((5, 3), "f8", 2)
    ours, theirs = fs.stats.multivariate_normal, scipy.stats.multivariate_normal
    want = theirs.logpdf(x, mean, cov)
    np.testing.assert_allclose(ours.logpdf(x, mean, cov), want, rtol=1e-12)
    np.testing.assert_allclose(ours.pdf(x, mean, cov), np.exp(want), rtol=1e-12)
    np.testing.assert_allclose(ours.logpdf(x[0], mean, cov), want[0], rtol=1e-12)
    np.testing.assert_allclose(ft.jit(ours.logpdf)(x, mean, cov), want, rtol=1e-12)
    mapped = ft.vmap(ours.logpdf, (0, None, None))(x, mean, cov)
    np.testing.assert_allclose(mapped, want, rtol=1e-12)
    stack = np.stack([cov, 2 * cov])
    both = [theirs.logpdf(x[0], mean, c) for c in stack]
    np.testing.assert_allclose(ours.logpdf(x[0], mean, stack), both, rtol=1e-12)
    np.testing.assert_allclose(ours.logpdf(x, mean, 2.0), theirs.logpdf(x, mean, 2 * np.eye(3)))
    np.testing.assert_allclose(ours.logpdf(x, 1.0, 2.0), scipy.stats.norm.logpdf(x, 1, 2**0.5))
    check_grads(
        lambda x, m, r: ours.logpdf(x, m, fnp.matmul(r, r.T) + fnp.eye(3)), (x, mean, root), 2
    )
    with pytest.raises(ShapeError, match=r"mean: f64\[3\] and cov: f64\[2,2\]"):
        ours.logpdf(x, mean, np.eye(2))
    assert np.isnan(ours.logpdf(x, mean, -cov)).all()
