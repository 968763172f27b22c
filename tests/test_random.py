"""Random numbers are JAX's, bit for bit, eagerly, traced, batched and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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


def test_wrong_keys_are_explained() -> None:
    with pytest.raises(DTypeError, match="random key"):
        random.uniform(np.zeros(2))
    with pytest.raises(DTypeError, match="floats"):
        random.uniform(random.key(0), (2,), np.int32)
    with pytest.raises(ShapeError, match="got f64\\[2\\] and f64\\[3,3\\]"):
        random.multivariate_normal(random.key(0), np.zeros(2), COV)
    with pytest.raises(ShapeError, match="without replacement"):
        random.choice(random.key(0), 3, (4,), replace=False)
