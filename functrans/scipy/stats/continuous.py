"""Continuous distributions: logpdf, pdf, and cdf and its kin where the special functions suffice.

Each takes arrays that broadcast, has the parameters of SciPy's, and gives -inf for the logarithm of
the density outside of the support, where its derivatives are 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.primitives.arithmetic import select
from functrans.scipy import special
from functrans.scipy.operands import floats
from functrans.scipy.special import HALF_LOG_2PI, log_expit, xlog1py, xlogy


class Distribution:
    """What distributions share: densities and probabilities from their logarithms."""

    @classmethod
    def logpdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the density.

        >>> float(norm.logpdf(0.0)) == -HALF_LOG_2PI
        True
        """
        raise NotImplementedError

    @classmethod
    def pdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The density; parameters are those of `logpdf`.

        >>> float(uniform.pdf(0.5))
        1.0
        """
        return fnp.exp(cls.logpdf(x, *parameters, **keywords))


class WithLogcdf(Distribution):
    """A distribution of which the logarithms of both tails are known."""

    @classmethod
    def logcdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> float(uniform.logcdf(1.0))
        0.0
        """
        raise NotImplementedError

    @classmethod
    def logsf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the probability of a value above x.

        >>> float(uniform.logsf(0.0))
        0.0
        """
        raise NotImplementedError

    @classmethod
    def cdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The probability of a value up to x; parameters are those of `logpdf`.

        >>> float(uniform.cdf(1.0))
        1.0
        """
        return fnp.exp(cls.logcdf(x, *parameters, **keywords))

    @classmethod
    def sf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The probability of a value above x; parameters are those of `logpdf`.

        >>> float(uniform.sf(0.0))
        1.0
        """
        return fnp.exp(cls.logsf(x, *parameters, **keywords))


def _inside(condition: Any, function: Any, x: Any, safe: float, otherwise: float) -> Any:
    """function(x) where the condition holds, else a constant; x is `safe` there."""
    return select(condition, function(select(condition, x, safe)), otherwise)


class norm(WithLogcdf):
    """The normal distribution with mean `loc` and standard deviation `scale`.

    >>> float(norm.logpdf(0.0)) == -0.5 * math.log(2 * math.pi)
    True
    >>> float(norm.cdf(0.0)), round(float(norm.logsf(40.0)), 6)
    (0.5, -804.608442)
    """

    @classmethod
    def logpdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> round(float(norm.logpdf(1.0, loc=1.0, scale=2.0)), 6)
        -1.612086
        """
        x, loc, scale = floats("norm.logpdf", x, loc, scale)
        z = (x - loc) / scale
        return -0.5 * (z * z) - fnp.log(scale) - HALF_LOG_2PI

    @classmethod
    def logcdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> round(float(norm.logcdf(0.0)), 6)
        -0.693147
        """
        x, loc, scale = floats("norm.logcdf", x, loc, scale)
        return special.log_ndtr((x - loc) / scale)

    @classmethod
    def logsf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value above x.

        >>> round(float(norm.logsf(0.0)), 6)
        -0.693147
        """
        x, loc, scale = floats("norm.logsf", x, loc, scale)
        return special.log_ndtr((loc - x) / scale)

    @classmethod
    def cdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value up to x.

        >>> float(norm.cdf(3.0, loc=3.0))
        0.5
        """
        x, loc, scale = floats("norm.cdf", x, loc, scale)
        return special.ndtr((x - loc) / scale)

    @classmethod
    def sf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value above x.

        >>> float(norm.sf(3.0, loc=3.0))
        0.5
        """
        x, loc, scale = floats("norm.sf", x, loc, scale)
        return special.ndtr((loc - x) / scale)


class expon(WithLogcdf):
    """The exponential distribution with mean `scale`, from `loc` on.

    >>> float(expon.logpdf(2.0)), float(expon.pdf(-1.0)), float(expon.sf(0.0))
    (-2.0, 0.0, 1.0)
    """

    @classmethod
    def logpdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> float(expon.logpdf(3.0, loc=1.0))
        -2.0
        """
        x, loc, scale = floats("expon.logpdf", x, loc, scale)
        z = (x - loc) / scale
        return select(z < 0, -np.inf, -z - fnp.log(scale))

    @classmethod
    def logcdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> round(float(expon.logcdf(math.log(2))), 6)
        -0.693147
        """
        x, loc, scale = floats("expon.logcdf", x, loc, scale)
        z = (x - loc) / scale
        return _inside(~(z <= 0), _log_one_minus_exp, z, 1.0, -np.inf)

    @classmethod
    def logsf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value above x.

        >>> float(expon.logsf(2.0))
        -2.0
        """
        x, loc, scale = floats("expon.logsf", x, loc, scale)
        z = (x - loc) / scale
        return select(z < 0, 0.0, -z)

    @classmethod
    def cdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value up to x.

        >>> round(float(expon.cdf(math.log(2))), 6)
        0.5
        """
        x, loc, scale = floats("expon.cdf", x, loc, scale)
        z = (x - loc) / scale
        return _inside(~(z < 0), lambda v: -fnp.expm1(-v), z, 0.0, 0.0)


def _log_one_minus_exp(z: Any) -> Any:
    """log(1 - exp(-z)) for z > 0."""
    small = z < math.log(2)
    of_small = fnp.log(-fnp.expm1(-select(small, z, 1.0)))
    return select(small, of_small, fnp.log1p(-fnp.exp(-select(small, 1.0, z))))


class uniform(WithLogcdf):
    """The uniform distribution from `loc` to `loc + scale`.

    >>> float(uniform.pdf(1.0, 0.0, 2.0)), float(uniform.cdf(0.5, 0.0, 2.0))
    (0.5, 0.25)
    """

    @classmethod
    def logpdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> float(uniform.logpdf(2.0))
        -inf
        """
        x, loc, scale = floats("uniform.logpdf", x, loc, scale)
        outside = (x < loc) | (x > loc + scale)
        return select(outside, -np.inf, select(fnp.isnan(x), np.nan, -fnp.log(scale)))

    @classmethod
    def logcdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> float(uniform.logcdf(0.0))
        -inf
        """
        z = cls.cdf(x, loc, scale)
        return _inside(z != 0, fnp.log, z, 1.0, -np.inf)

    @classmethod
    def logsf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value above x.

        >>> float(uniform.logsf(1.0))
        -inf
        """
        z = cls.sf(x, loc, scale)
        return _inside(z != 0, fnp.log, z, 1.0, -np.inf)

    @classmethod
    def cdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value up to x.

        >>> float(uniform.cdf(0.25))
        0.25
        """
        x, loc, scale = floats("uniform.cdf", x, loc, scale)
        return fnp.clip((x - loc) / scale, 0.0, 1.0)

    @classmethod
    def sf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value above x.

        >>> float(uniform.sf(0.25))
        0.75
        """
        x, loc, scale = floats("uniform.sf", x, loc, scale)
        return fnp.clip((loc + scale - x) / scale, 0.0, 1.0)


class laplace(WithLogcdf):
    """The Laplace distribution around `loc`.

    >>> float(laplace.pdf(0.0)), float(laplace.cdf(0.0))
    (0.5, 0.5)
    """

    @classmethod
    def logpdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> round(float(laplace.logpdf(1.0)), 6)
        -1.693147
        """
        x, loc, scale = floats("laplace.logpdf", x, loc, scale)
        return -fnp.abs((x - loc) / scale) - fnp.log(2 * scale)

    @classmethod
    def logcdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> round(float(laplace.logcdf(-1.0)), 6)
        -1.693147
        """
        x, loc, scale = floats("laplace.logcdf", x, loc, scale)
        z = (x - loc) / scale
        above = fnp.log1p(-0.5 * fnp.exp(-select(z > 0, z, 0.0)))
        return select(z > 0, above, z - math.log(2))

    @classmethod
    def logsf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value above x.

        >>> round(float(laplace.logsf(1.0)), 6)
        -1.693147
        """
        x, loc, scale = floats("laplace.logsf", x, loc, scale)
        return cls.logcdf(loc - x, 0, scale)


class logistic(WithLogcdf):
    """The logistic distribution around `loc`.

    >>> float(logistic.pdf(0.0)), float(logistic.cdf(0.0))
    (0.25, 0.5)
    """

    @classmethod
    def logpdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> round(float(logistic.logpdf(0.0)), 6)
        -1.386294
        """
        x, loc, scale = floats("logistic.logpdf", x, loc, scale)
        z = (x - loc) / scale
        return log_expit(z) + log_expit(-z) - fnp.log(scale)

    @classmethod
    def logcdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> round(float(logistic.logcdf(0.0)), 6)
        -0.693147
        """
        x, loc, scale = floats("logistic.logcdf", x, loc, scale)
        return log_expit((x - loc) / scale)

    @classmethod
    def logsf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value above x.

        >>> round(float(logistic.logsf(0.0)), 6)
        -0.693147
        """
        x, loc, scale = floats("logistic.logsf", x, loc, scale)
        return log_expit((loc - x) / scale)


class gamma(Distribution):
    """The gamma distribution with shape `a`.

    >>> float(gamma.logpdf(2.0, 1.0)), float(gamma.pdf(-1.0, 1.0))
    (-2.0, 0.0)
    """

    @classmethod
    def logpdf(cls, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> float(gamma.logpdf(1.0, 2.0))
        -1.0
        """
        x, a, loc, scale = floats("gamma.logpdf", x, a, loc, scale)
        z = (x - loc) / scale

        def density(v: Any) -> Any:
            return xlogy(a - 1, v) - v - special.gammaln(a) - fnp.log(scale)

        return _inside(~(z < 0), density, z, 1.0, -np.inf)


class beta(Distribution):
    """The beta distribution with shapes `a` and `b`, on [loc, loc + scale].

    >>> round(float(beta.pdf(0.5, 2.0, 2.0)), 6)
    1.5
    """

    @classmethod
    def logpdf(cls, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> float(beta.logpdf(2.0, 2.0, 2.0))
        -inf
        """
        x, a, b, loc, scale = floats("beta.logpdf", x, a, b, loc, scale)
        z = (x - loc) / scale

        def density(v: Any) -> Any:
            powers = xlogy(a - 1, v) + xlog1py(b - 1, -v)
            return powers - special.betaln(a, b) - fnp.log(scale)

        return _inside(~((z < 0) | (z > 1)), density, z, 0.5, -np.inf)


class t(Distribution):
    """Student's distribution with `df` degrees of freedom.

    >>> round(float(t.pdf(0.0, 1.0)) * math.pi, 6)
    1.0
    """

    @classmethod
    def logpdf(cls, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> round(float(t.logpdf(1.0, 3.0)), 6)
        -1.576253
        """
        x, df, loc, scale = floats("t.logpdf", x, df, loc, scale)
        z = (x - loc) / scale
        power = 0.5 * (df + 1) * fnp.log1p(z * z / df)
        return -special.betaln(0.5, 0.5 * df) - 0.5 * fnp.log(df) - fnp.log(scale) - power


__all__ = ["beta", "expon", "gamma", "laplace", "logistic", "norm", "t", "uniform"]
