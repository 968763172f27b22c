"""Distributions of vectors: multivariate normal, Dirichlet, multinomial."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, shape_of
from functrans.primitives.arithmetic import select
from functrans.scipy.linalg import solve_triangular
from functrans.scipy.operands import floats
from functrans.scipy.special import HALF_LOG_2PI, gammaln, xlogy


class multivariate_normal:
    """The normal distribution of vectors.

    >>> round(float(multivariate_normal.logpdf(fnp.zeros(2), fnp.zeros(2), fnp.eye(2))), 6)
    -1.837877
    """

    @classmethod
    def logpdf(cls, x: Any, mean: Any, cov: Any, allow_singular: None = None) -> Any:
        """The logarithm of the density.

        Args:
            x: vectors (…, n), or numbers if the mean is a number.
            mean: (…, n), or a number.
            cov: covariances (…, n, n), or a number: the variance of each element.
            allow_singular: not taken: the density is computed by a Cholesky factorisation.

        Returns:
            (…); nan where a covariance is not positive definite.

        >>> round(float(multivariate_normal.logpdf(0.0, 0.0, 1.0)), 6)
        -0.918939
        """
        if allow_singular is not None:
            raise NotImplementedError(
                f"multivariate_normal.logpdf does not take allow_singular.{user_line()}"
            )
        x, mean, cov = floats("multivariate_normal.logpdf", x, mean, cov)
        n = shape_of(mean)[-1] if shape_of(mean) else 1
        y = x - mean
        if not shape_of(mean):
            if shape_of(cov):
                raise ShapeError(_mismatch(mean, cov))
            return -0.5 * (y * y / cov) - HALF_LOG_2PI - 0.5 * fnp.log(cov)
        if not shape_of(cov):
            squares = fnp.sum(y * y, axis=-1)
            return -0.5 * (squares / cov) - n * (HALF_LOG_2PI + 0.5 * fnp.log(cov))
        if shape_of(cov)[-2:] != (n, n):
            raise ShapeError(_mismatch(mean, cov))
        factor = fnp.linalg.cholesky(cov)
        if len(shape_of(cov)) == 2:
            # one covariance: the vectors are right-hand sides of one system
            columns = fnp.matrix_transpose(fnp.reshape(y, (-1, n)))
            z = fnp.reshape(
                fnp.matrix_transpose(solve_triangular(factor, columns, lower=True)), shape_of(y)
            )
        else:
            z = solve_triangular(factor, fnp.expand_dims(y, -1), lower=True)[..., 0]
        logarithms = fnp.log(fnp.linalg.diagonal(factor))
        return -0.5 * fnp.sum(z * z, axis=-1) - n * HALF_LOG_2PI - fnp.sum(logarithms, axis=-1)

    @classmethod
    def pdf(cls, x: Any, mean: Any, cov: Any) -> Any:
        """The density; arguments are those of `logpdf`.

        >>> round(float(multivariate_normal.pdf(0.0, 0.0, 1.0)), 6)
        0.398942
        """
        return fnp.exp(cls.logpdf(x, mean, cov))


class dirichlet:
    """The Dirichlet distribution of positive numbers whose sum is one.

    >>> round(float(dirichlet.pdf(fnp.array([0.2, 0.8]), fnp.ones(2))), 6)
    1.0
    """

    @classmethod
    def logpdf(cls, x: Any, alpha: Any) -> Any:
        """The logarithm of the density.

        Args:
            x: numbers along the first axis (n, …), or all but the last of them, as in SciPy.
            alpha: positive numbers (n,).

        Returns:
            (…); -inf outside of the support.

        >>> round(float(dirichlet.logpdf(fnp.array([0.2, 0.3]), fnp.ones(3))), 6)
        0.693147
        """
        x, alpha = floats("dirichlet.logpdf", x, alpha)
        shape, n = shape_of(x), aval_of(alpha).size
        if len(shape_of(alpha)) != 1 or not shape or shape[0] not in (n, n - 1):
            raise ShapeError(
                "dirichlet needs numbers (n, …) or (n - 1, …) for alpha (n,): got x: "
                f"{aval_of(x)} and alpha: {aval_of(alpha)}.{user_line()}"
            )
        if shape[0] == n - 1:
            x = fnp.concatenate([x, 1 - fnp.sum(x, axis=0, keepdims=True)])
        is_inside = fnp.all(x >= 0, axis=0) & (fnp.abs(fnp.sum(x, axis=0) - 1) < 1e-5)
        safe = select(is_inside, x, 1.0)
        powers = xlogy(fnp.reshape(alpha - 1, (n,) + (1,) * (len(shape) - 1)), safe)
        constant = gammaln(fnp.sum(alpha)) - fnp.sum(gammaln(alpha))
        return select(is_inside, fnp.sum(powers, axis=0) + constant, -np.inf)

    @classmethod
    def pdf(cls, x: Any, alpha: Any) -> Any:
        """The density; arguments are those of `logpdf`.

        >>> round(float(dirichlet.pdf(fnp.array([0.2, 0.3]), fnp.ones(3))), 6)
        2.0
        """
        return fnp.exp(cls.logpdf(x, alpha))


class multinomial:
    """The distribution of how many of n trials have each of several outcomes.

    >>> round(float(multinomial.pmf(fnp.array([1, 1]), 2, fnp.array([0.5, 0.5]))), 6)
    0.5
    """

    @classmethod
    def logpmf(cls, x: Any, n: Any, p: Any) -> Any:
        """The logarithm of the probability of counts.

        Args:
            x: counts (…, k).
            n: how many trials (…).
            p: probabilities (…, k), whose sum is one.

        Returns:
            (…); -inf where the counts are no integers from 0 on whose sum is n.

        >>> float(multinomial.logpmf(fnp.array([1, 2]), 2, fnp.array([0.5, 0.5])))
        -inf
        """
        x, n, p = floats("multinomial.logpmf", x, n, p)
        is_inside = fnp.all((x >= 0) & (fnp.floor(x) == x), axis=-1) & (fnp.sum(x, axis=-1) == n)
        safe = select(fnp.expand_dims(is_inside, -1), x, 0.0)
        value = gammaln(n + 1) + fnp.sum(xlogy(safe, p) - gammaln(safe + 1), axis=-1)
        return select(is_inside, value, -np.inf)

    @classmethod
    def pmf(cls, x: Any, n: Any, p: Any) -> Any:
        """The probability of counts; arguments are those of `logpmf`.

        >>> round(float(multinomial.pmf(fnp.array([2, 0]), 2, fnp.array([0.5, 0.5]))), 6)
        0.25
        """
        return fnp.exp(cls.logpmf(x, n, p))


def _mismatch(mean: Any, cov: Any) -> str:
    return (
        "multivariate_normal needs covariances (…, n, n) for means (…, n): got mean: "
        f"{aval_of(mean)} and cov: {aval_of(cov)}.{user_line()}"
    )
