"""Random numbers are JAX's, bit for bit, eagerly, traced, batched and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import functrans as ft
from functrans import random
from functrans.core.errors import DTypeError, ShapeError

# printed by JAX 0.10.2 with 64-bit types, for PRNGKey(42)
KNOWN_BITS = [2098992034, 2919706841, 2646866425]
KNOWN_SPLIT = [[1832780943, 270669613], [64467757, 2916123636]]
KNOWN_PERMUTATION = [4, 2, 5, 3, 0, 1]
KNOWN_UNIFORM = [0.4267275666499091, 0.015010069515314584]
SEEDS = [0, 7, 2**40 + 5, -3]


def same(got: Any, want: Any) -> None:
    want = np.asarray(want)
    assert np.asarray(got).dtype == want.dtype
    np.testing.assert_array_equal(got, want)


DRAWS = {
    "split": lambda r, k, f: r.split(k, 5),
    "fold_in": lambda r, k, f: r.fold_in(k, 9),
    "bits8": lambda r, k, f: r.bits(k, (3, 5), np.uint8),
    "bits16": lambda r, k, f: r.bits(k, (3, 5), np.uint16),
    "bits32": lambda r, k, f: r.bits(k, (3, 5), np.uint32),
    "bits64": lambda r, k, f: r.bits(k, (3, 5), np.uint64),
    "uniform32": lambda r, k, f: r.uniform(k, (3, 5), np.float32),
    "uniform64": lambda r, k, f: r.uniform(k, (3, 5), np.float64),
    "randint32": lambda r, k, f: r.randint(k, (20,), 3, 50, np.int32),
    "randint64": lambda r, k, f: r.randint(k, (20,), -3, 50, np.int64),
    "randint8": lambda r, k, f: r.randint(k, (20,), 0, 256, np.uint8),
    "randint all": lambda r, k, f: r.randint(k, (20,), 0, 2**32, np.uint32),
    "bernoulli": lambda r, k, f: r.bernoulli(k, 0.3, (9,)),
    "permutation": lambda r, k, f: r.permutation(k, 20),
    "permutation of rows": lambda r, k, f: r.permutation(k, f.arange(12.0).reshape(4, 3)),
    "choice": lambda r, k, f: r.choice(k, 10, (4,)),
    "choice without replacement": lambda r, k, f: r.choice(k, 10, (4,), replace=False),
    "categorical": lambda r, k, f: r.categorical(k, f.zeros((4, 3))),
}
table = pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))


@table
@pytest.mark.parametrize("seed", SEEDS)
def test_streams_are_those_of_jax(draw: Any, seed: int) -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        want = draw(jax.random, jax.random.PRNGKey(seed), jax.numpy)
        same(draw(random, random.PRNGKey(seed), ft.numpy), want)


@pytest.mark.parametrize("dtype, tol", [(np.float32, 2e-4), (np.float64, 1e-11)])
def test_normals_are_those_of_jax_but_for_rounding(dtype: Any, tol: float) -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        want = jax.random.normal(jax.random.PRNGKey(3), (1000,), dtype)
    got = random.normal(random.key(3), (1000,), dtype)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=tol, atol=tol)


COV = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.1], [0.0, 0.1, 1.5]])
MEANS = np.arange(6.0).reshape(2, 3)
SHAPES = np.array([0.2, 1.0, 3.5, 50.0])
CLOSE = {
    "lognormal": lambda r, k: r.lognormal(k, np.array([0.5, 2.0]), (5, 2)),
    "pareto": lambda r, k: r.pareto(k, 3.0, (5,)),
    "rayleigh": lambda r, k: r.rayleigh(k, np.array([0.5, 2.0])),
    "weibull_min": lambda r, k: r.weibull_min(k, 2.0, 1.5, (5,)),
    "rademacher": lambda r, k: r.rademacher(k, (9,)),
    "rademacher32": lambda r, k: r.rademacher(k, (9,), np.float32),
    "multivariate_normal": lambda r, k: r.multivariate_normal(k, MEANS, COV),
    "multivariate_normal of a shape": lambda r, k: r.multivariate_normal(k, MEANS[0], COV, (4, 2)),
    "orthogonal": lambda r, k: r.orthogonal(k, 4),
    "orthogonal wide": lambda r, k: r.orthogonal(k, 2, (3,), m=4),
    "orthogonal tall": lambda r, k: r.orthogonal(k, 4, m=2),
    "gamma": lambda r, k: r.gamma(k, SHAPES, (5, 4)),
    "loggamma": lambda r, k: r.loggamma(k, SHAPES * 1e-3, (5, 4)),
    "beta": lambda r, k: r.beta(k, SHAPES, 2.0),
    "dirichlet": lambda r, k: r.dirichlet(k, SHAPES, (5,)),
    "chisquare": lambda r, k: r.chisquare(k, SHAPES),
    "t": lambda r, k: r.t(k, SHAPES),
    "f": lambda r, k: r.f(k, SHAPES, 3.0),
    "generalized_normal": lambda r, k: r.generalized_normal(k, 3.0, (5,)),
    "ball": lambda r, k: r.ball(k, 3, 1.5, (5,)),
    "maxwell": lambda r, k: r.maxwell(k, (5,)),
    "double_sided_maxwell": lambda r, k: r.double_sided_maxwell(k, 1.0, SHAPES, (5,)),
    "triangular": lambda r, k: r.triangular(k, 0.0, SHAPES, 60.0),
    "wald": lambda r, k: r.wald(k, SHAPES, (5, 4)),
    "geometric": lambda r, k: r.geometric(k, np.array([0.1, 0.5]), (20, 2)),
}


@pytest.mark.parametrize("draw", CLOSE.values(), ids=list(CLOSE))
def test_made_of_normals_and_the_like_they_are_those_of_jax_but_for_rounding(draw: Any) -> None:
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        want = np.asarray(draw(jax.random, jax.random.PRNGKey(3)))
    key = random.key(3)
    for got in (draw(random, key), ft.jit(lambda k: draw(random, k))(key)):
        assert np.asarray(got).dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
    batch = ft.vmap(lambda k: draw(random, k))(np.stack([key, key]))
    np.testing.assert_allclose(batch[1], want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", ["cholesky", "eigh", "svd"])
def test_normal_vectors_have_their_covariance_and_derivatives(method: str) -> None:
    def draw(mean: Any, cov: Any) -> Any:
        return random.multivariate_normal(random.key(1), mean, cov, (20_000,), method=method)

    np.testing.assert_allclose(np.cov(draw(MEANS[0], COV).T), COV, atol=0.06)
    second = lambda cov: ft.numpy.mean(draw(np.zeros(3), (cov + cov.T) / 2)[:, 0] ** 2)
    np.testing.assert_allclose(ft.grad(second)(COV), np.diag([1.0, 0.0, 0.0]), atol=0.06)


@table
def test_compiled_and_batched_draws_are_the_eager_ones(draw: Any) -> None:
    keys = random.split(random.key(11), 3)
    rows = np.stack([draw(random, k, ft.numpy) for k in keys])
    same(ft.jit(lambda k: draw(random, k, ft.numpy))(keys[0]), rows[0])
    same(ft.vmap(lambda k: draw(random, k, ft.numpy))(keys), rows)
    same(ft.jit(ft.vmap(lambda k: draw(random, k, ft.numpy)))(keys), rows)


def test_known_numbers() -> None:
    key = random.key(42)
    same(random.bits(key, (3,), np.uint32), np.array(KNOWN_BITS, np.uint32))
    same(random.split(key), np.array(KNOWN_SPLIT, np.uint32))
    same(random.permutation(key, 6), np.array(KNOWN_PERMUTATION))
    np.testing.assert_array_equal(random.uniform(key, (2,)), KNOWN_UNIFORM)


def test_distributions_have_their_moments() -> None:
    key = random.key(1)
    moments = {
        random.uniform: (0.5, 1 / 12),
        random.normal: (0.0, 1.0),
        random.exponential: (1.0, 1.0),
        random.gumbel: (np.euler_gamma, np.pi**2 / 6),
        random.laplace: (0.0, 2.0),
        random.logistic: (0.0, np.pi**2 / 3),
    }
    for draw, (mean, variance) in moments.items():
        x = draw(key, (40_000,))
        assert abs(x.mean() - mean) < 5 * np.sqrt(variance / x.size), draw.__name__
        assert abs(x.var() / variance - 1) < 0.1, draw.__name__
    cut = random.truncated_normal(key, -1.0, 0.5, (1000,))
    assert (cut > -1).all() and (cut < 0.5).all()


K, N = random.key(5), 20_000
SAMPLES = {
    "gamma 0.1": (lambda: random.gamma(K, 0.1, (N,)), stats.gamma(0.1)),
    "gamma 7": (lambda: random.gamma(K, 7.0, (N,)), stats.gamma(7)),
    "gamma 1e6": (lambda: random.gamma(K, 1e6, (N,)), stats.gamma(1e6)),
    "beta": (lambda: random.beta(K, 0.5, 3.0, (N,)), stats.beta(0.5, 3)),
    "dirichlet": (lambda: random.dirichlet(K, np.arange(1.0, 4), (N,))[:, 0], stats.beta(1, 5)),
    "chisquare": (lambda: random.chisquare(K, 3.0, (N,)), stats.chi2(3)),
    "t": (lambda: random.t(K, 2.5, (N,)), stats.t(2.5)),
    "f": (lambda: random.f(K, 3.0, 5.0, (N,)), stats.f(3, 5)),
    "generalized_normal": (lambda: random.generalized_normal(K, 4.0, (N,)), stats.gennorm(4)),
    "maxwell": (lambda: random.maxwell(K, (N,)), stats.maxwell()),
    "triangular": (lambda: random.triangular(K, 0.0, 1.0, 4.0, (N,)), stats.triang(0.25, 0, 4)),
    "wald": (lambda: random.wald(K, 2.0, (N,)), stats.invgauss(2.0)),
    "radius of a ball": (
        lambda: np.linalg.norm(random.ball(K, 3, shape=(N,)), axis=-1) ** 3,
        stats.uniform(),
    ),
    "poisson 0.3": (lambda: random.poisson(K, 0.3, (N,)), stats.poisson(0.3)),
    "poisson 9": (lambda: random.poisson(K, 9.0, (N,)), stats.poisson(9)),
    "poisson 12": (lambda: random.poisson(K, 12.0, (N,)), stats.poisson(12)),
    "poisson 1e6": (lambda: random.poisson(K, 1e6, (N,)), stats.poisson(1e6)),
    "binomial 10": (lambda: random.binomial(K, 10, 0.3, (N,)), stats.binom(10, 0.3)),
    "binomial 1000": (lambda: random.binomial(K, 1000, 0.999, (N,)), stats.binom(1000, 0.999)),
    "binomial 50": (lambda: random.binomial(K, 50, 0.7, (N,)), stats.binom(50, 0.7)),
    "binomial 1e9": (lambda: random.binomial(K, 10**9, 0.3, (N,)), stats.binom(10**9, 0.3)),
    "geometric": (lambda: random.geometric(K, 0.3, (N,)), stats.geom(0.3)),
}


@pytest.mark.parametrize(("draw", "law"), SAMPLES.values(), ids=list(SAMPLES))
def test_samples_have_their_distribution(draw: Any, law: Any) -> None:
    """Counts of values between quantiles (chi-square), and moments where there are four."""
    x = draw()
    edges = np.unique(law.ppf(np.linspace(0, 1, 21)[1:-1]))
    shares = np.diff([0.0, *law.cdf(edges), 1.0])
    counts = np.histogram(x, [-np.inf, *np.nextafter(edges, np.inf), np.inf])[0]
    kept = shares > 1e-9
    assert counts[~kept].sum() == 0
    assert stats.chisquare(counts[kept], shares[kept] / shares[kept].sum() * N).pvalue > 1e-3
    mean, variance, _, kurtosis = law.stats("mvsk")
    if np.isfinite(kurtosis):
        assert abs(x.mean() - mean) < 5 * np.sqrt(variance / N)
        assert abs(x.var() / variance - 1) < 5 * np.sqrt((kurtosis + 2) / N)


def test_multinomial_counts_add_up() -> None:
    p = np.array([0.2, 0.0, 0.3, 0.5])
    draw = ft.jit(lambda k: random.multinomial(k, 20, p, shape=(N, 4)))
    x = draw(K)
    np.testing.assert_array_equal(x.sum(-1), 20)
    np.testing.assert_allclose(x.mean(0), 20 * p, atol=0.1)
    np.testing.assert_allclose(np.cov(x.T), 20 * (np.diag(p) - np.outer(p, p)), atol=0.2)
    np.testing.assert_array_equal(x, random.multinomial(K, 20, p, shape=(N, 4)))


COUNTS = {
    "poisson": lambda k: random.poisson(k, np.array([0.0, 2.0, 40.0])),
    "binomial": lambda k: random.binomial(k, 30, np.array([0.1, 0.5, 1.0]), (2, 3)),
    "multinomial": lambda k: random.multinomial(k, np.array([5, 40]), np.full(3, 1 / 3)),
    "gamma": lambda k: random.gamma(k, SHAPES),
}


@pytest.mark.parametrize("draw", COUNTS.values(), ids=list(COUNTS))
def test_loops_per_element_give_the_same_compiled_and_batched(draw: Any) -> None:
    keys = random.split(random.key(11), 3)
    rows = np.stack([draw(k) for k in keys])
    for got in (ft.vmap(draw)(keys), ft.jit(ft.vmap(draw))(keys)):
        np.testing.assert_allclose(got, rows, rtol=1e-13)
    np.testing.assert_allclose(ft.jit(draw)(keys[0]), rows[0], rtol=1e-13)


def test_parameters_that_are_none_give_none() -> None:
    assert random.poisson(K, np.array([-1.0, np.nan, np.inf])).tolist() == [-1] * 3
    assert np.isnan(random.binomial(K, np.array([-1, 3, 3]), np.array([0.5, 1.5, -0.5]))).all()
    assert np.isnan(random.gamma(K, np.array([-0.5, np.nan]))).all()
    assert random.gamma(K, np.zeros((0, 2))).shape == (0, 2)
    assert random.poisson(K, np.zeros(0)).shape == (0,)


OF_SHAPE = {
    "gamma": (lambda r, k, a: r.gamma(k, a), stats.gamma.ppf, stats.gamma.cdf),
    "loggamma": (
        lambda r, k, a: r.loggamma(k, a),
        lambda q, a: np.log(stats.gamma.ppf(q, a)),
        lambda y, a: stats.gamma.cdf(np.exp(y), a),
    ),
    "chisquare": (lambda r, k, a: r.chisquare(k, a), stats.chi2.ppf, stats.chi2.cdf),
}


@pytest.mark.parametrize(("draw", "ppf", "cdf"), OF_SHAPE.values(), ids=list(OF_SHAPE))
def test_samples_move_with_their_shape_as_quantiles_do(draw: Any, ppf: Any, cdf: Any) -> None:
    a = np.array([0.3, 0.9, 1.0, 2.0, 5.5, 30.0])
    y = draw(random, K, a)
    q, step = cdf(y, a), 1e-5 * a
    want = (ppf(q, a + step) - ppf(q, a - step)) / (2 * step)
    gradient = ft.grad(lambda a: ft.numpy.sum(draw(random, K, a)))
    forward = ft.jvp(lambda a: draw(random, K, a), (a,), (np.ones(6),))[1]
    for got in (gradient(a), ft.jit(gradient)(a), forward):
        np.testing.assert_allclose(got, want, rtol=1e-5)


@pytest.mark.parametrize("name", ["beta", "dirichlet", "t", "f"])
def test_derivatives_in_shapes_are_those_of_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    a = SHAPES + 0.01  # at a = 1 JAX's is not that of the quantile
    rest = (2.5,) if name in ("beta", "f") else ()

    def total(r: Any, f: Any, key: Any) -> Any:
        return lambda a: f.sum(getattr(r, name)(key, a, *rest) * f.arange(1.0, 5.0))

    with jax.enable_x64(True):
        want = jax.grad(total(jax.random, jax.numpy, jax.random.PRNGKey(3)))(a)
    got = ft.grad(total(random, ft.numpy, random.key(3)))(a)
    np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)


def test_wrong_keys_are_explained() -> None:
    with pytest.raises(DTypeError, match="random key"):
        random.uniform(np.zeros(2))
    with pytest.raises(DTypeError, match="floats"):
        random.uniform(random.key(0), (2,), np.int32)
    with pytest.raises(ShapeError, match="got f64\\[2\\] and f64\\[3,3\\]"):
        random.multivariate_normal(random.key(0), np.zeros(2), COV)
    with pytest.raises(ShapeError, match="dirichlet needs vectors"):
        random.dirichlet(random.key(0), 1.0)
    with pytest.raises(ShapeError, match="multinomial needs probabilities"):
        random.multinomial(random.key(0), 3, 1.0)
    for shape in (0.5, (2, 2.5), "a"):
        with pytest.raises(DTypeError, match="a shape is an integer or a sequence of integers"):
            random.uniform(random.key(0), shape)
    for name in ("poisson", "geometric"):
        with pytest.raises(DTypeError, match=f"random.{name} gives integers"):
            getattr(random, name)(random.key(0), 0.5, dtype=float)
    with pytest.raises(ShapeError, match="without replacement"):
        random.choice(random.key(0), 3, (4,), replace=False)
