"""Distributions of vectors: the multivariate normal."""

from __future__ import annotations

from typing import Any

from functrans import numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, shape_of
from functrans.scipy.linalg import solve_triangular
from functrans.scipy.operands import floats
from functrans.scipy.special import HALF_LOG_2PI


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


def _mismatch(mean: Any, cov: Any) -> str:
    return (
        "multivariate_normal needs covariances (…, n, n) for means (…, n): got mean: "
        f"{aval_of(mean)} and cov: {aval_of(cov)}.{user_line()}"
    )


__all__ = ["multivariate_normal"]
