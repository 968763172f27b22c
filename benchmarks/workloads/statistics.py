"""Likelihoods with linear algebra in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.libraries import Library
from benchmarks.workloads.workload import TORCH, Made, gradient


def gaussian_process(lib: Library, n: int = 200) -> Made:
    """The log marginal likelihood of a Gaussian process in its hyperparameters."""
    xp = lib.numpy

    def f(p: Any, x: Any, y: Any) -> Any:
        d = (x[:, None] - x[None, :]) / xp.exp(p[0])
        k = xp.exp(p[1] - 0.5 * d * d) + xp.exp(p[2]) * xp.eye(n)
        factor = lib.more.cholesky(k)
        z = lib.more.triangular(factor, y)
        diagonal = xp.sum(xp.log(xp.sum(factor * xp.eye(n), axis=1)))
        return 0.5 * xp.sum(z * z) + diagonal

    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 10, n))
    return f, (np.array([0.0, 0.0, -2.0]), x, np.sin(x) + 0.1 * rng.normal(size=n))


def mixture(lib: Library, n: int = 1000, d: int = 10, k: int = 25) -> Made:
    """ADBench's Gaussian mixture: log likelihood with a Wishart prior on the covariances."""
    xp = lib.numpy
    rows, columns = np.tril_indices(d, -1)
    place = np.zeros((d, d, len(rows)))
    place[rows, columns, np.arange(len(rows))] = 1

    def f(p: Any, x: Any, place: Any) -> Any:
        weights, means, logs, lower = p
        scale = xp.exp(logs)
        matrices = xp.einsum("ijl,kl->kij", place, lower)
        centred = x[:, None, :] - means[None, :, :]
        z = scale[None] * centred + xp.einsum("kij,nkj->nki", matrices, centred)
        value = weights + xp.sum(logs, axis=1) - 0.5 * xp.sum(z * z, axis=2)
        peak = xp.max(value, axis=1, keepdims=True)
        fit = xp.sum(xp.log(xp.sum(xp.exp(value - peak), axis=1)) + peak[:, 0])
        top = xp.max(weights, axis=0)
        total = top + xp.log(xp.sum(xp.exp(weights - top)))
        prior = 0.5 * (xp.sum(scale * scale) + xp.sum(lower * lower)) - xp.sum(logs)
        return fit - n * total - prior

    rng = np.random.default_rng(0)
    shapes = ((k,), (k, d), (k, d), (k, len(rows)))
    params = tuple(rng.normal(size=s) * 0.5 for s in shapes)
    return f, (params, rng.normal(size=(n, d)), place)


WORKLOADS = [
    gradient("Gaussian process, n = 200, gradient", gaussian_process, TORCH),
    gradient("ADBench GMM, d 10, K 25, n 1000, gradient", mixture, TORCH),
]
