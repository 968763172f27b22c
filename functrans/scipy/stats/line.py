"""Distributions of all numbers, and of angles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.primitives.arithmetic import select
from functrans.scipy import special
from functrans.scipy.operands import floats
from functrans.scipy.special import HALF_LOG_2PI, log_expit
from functrans.scipy.stats.base import (
    Distribution,
    WithCdf,
    WithLogcdf,
    log_one_minus_exp,
    quantile,
)


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

    @classmethod
    def ppf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> round(float(norm.ppf(0.975)), 6)
        1.959964
        """
        q, loc, scale = floats("norm.ppf", q, loc, scale)
        return loc + scale * special.ndtri(q)

    @classmethod
    def isf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value above which the probability is q; nan where q is none.

        >>> round(float(norm.isf(0.025)), 6)
        1.959964
        """
        q, loc, scale = floats("norm.isf", q, loc, scale)
        return loc - scale * special.ndtri(q)


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

    @classmethod
    def ppf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> float(laplace.ppf(0.5)) == 0
        True
        """
        q, loc, scale = floats("laplace.ppf", q, loc, scale)
        is_low = q < 0.5
        tail = fnp.log(2 * select(is_low, q, 1 - q))
        return loc + scale * select(is_low, tail, -tail)


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

    @classmethod
    def ppf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> float(logistic.ppf(0.5))
        0.0
        """
        q, loc, scale = floats("logistic.ppf", q, loc, scale)
        return loc + scale * special.logit(q)

    @classmethod
    def isf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value above which the probability is q; nan where q is none.

        >>> float(logistic.isf(0.5)) == 0
        True
        """
        q, loc, scale = floats("logistic.isf", q, loc, scale)
        return loc - scale * special.logit(q)


class cauchy(WithCdf):
    """Cauchy's distribution around `loc`.

    >>> round(float(cauchy.pdf(0.0)) * math.pi, 6), float(cauchy.cdf(0.0))
    (1.0, 0.5)
    """

    @classmethod
    def logpdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> round(float(cauchy.logpdf(1.0)), 6)
        -1.837877
        """
        x, loc, scale = floats("cauchy.logpdf", x, loc, scale)
        z = (x - loc) / scale
        return -math.log(math.pi) - fnp.log1p(z * z) - fnp.log(scale)

    @classmethod
    def cdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value up to x.

        >>> float(cauchy.cdf(1.0))
        0.75
        """
        x, loc, scale = floats("cauchy.cdf", x, loc, scale)
        return fnp.arctan2(scale, loc - x) / math.pi

    @classmethod
    def sf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value above x.

        >>> float(cauchy.sf(1.0))
        0.25
        """
        x, loc, scale = floats("cauchy.sf", x, loc, scale)
        return fnp.arctan2(scale, x - loc) / math.pi

    @classmethod
    def ppf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> round(float(cauchy.ppf(0.75)), 6)
        1.0
        """
        q, loc, scale = floats("cauchy.ppf", q, loc, scale)
        return quantile(q, loc - scale * _cotangent(q))

    @classmethod
    def isf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value above which the probability is q; nan where q is none.

        >>> round(float(cauchy.isf(0.75)), 6)
        -1.0
        """
        q, loc, scale = floats("cauchy.isf", q, loc, scale)
        return quantile(q, loc + scale * _cotangent(q))


def _cotangent(q: Any) -> Any:
    """cot(π q), with all digits near 0."""
    return select(q == 1, -np.inf, 1 / fnp.tan(math.pi * q))


class gumbel_r(WithLogcdf):
    """Gumbel's distribution of maxima.

    >>> round(float(gumbel_r.cdf(0.0)), 6)
    0.367879
    """

    @classmethod
    def logpdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> float(gumbel_r.logpdf(0.0))
        -1.0
        """
        x, loc, scale = floats("gumbel_r.logpdf", x, loc, scale)
        z = (x - loc) / scale
        return -z - fnp.exp(-z) - fnp.log(scale)

    @classmethod
    def logcdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> float(gumbel_r.logcdf(0.0))
        -1.0
        """
        x, loc, scale = floats("gumbel_r.logcdf", x, loc, scale)
        return -fnp.exp((loc - x) / scale)

    @classmethod
    def logsf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value above x.

        >>> round(float(gumbel_r.logsf(50.0)), 6)
        -50.0
        """
        x, loc, scale = floats("gumbel_r.logsf", x, loc, scale)
        z = (x - loc) / scale
        is_far = z > 40  # exp(-z) is less than any rounding error
        near = log_one_minus_exp(fnp.exp(-select(is_far, 0.0, z)))
        return select(is_far, -z, near)

    @classmethod
    def ppf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> round(float(gumbel_r.ppf(0.5)), 6)
        0.366513
        """
        q, loc, scale = floats("gumbel_r.ppf", q, loc, scale)
        return quantile(q, loc - scale * fnp.log(-fnp.log(q)))


class gumbel_l(WithLogcdf):
    """Gumbel's distribution of minima: that of maxima, mirrored.

    >>> round(float(gumbel_l.sf(0.0)), 6)
    0.367879
    """

    @classmethod
    def logpdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> float(gumbel_l.logpdf(0.0)) == float(gumbel_r.logpdf(0.0))
        True
        """
        x, loc, scale = floats("gumbel_l.logpdf", x, loc, scale)
        return gumbel_r.logpdf(loc - x, 0, scale)

    @classmethod
    def logcdf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> float(gumbel_l.logcdf(0.0)) == float(gumbel_r.logsf(0.0))
        True
        """
        x, loc, scale = floats("gumbel_l.logcdf", x, loc, scale)
        return gumbel_r.logsf(loc - x, 0, scale)

    @classmethod
    def logsf(cls, x: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value above x.

        >>> float(gumbel_l.logsf(0.0)) == float(gumbel_r.logcdf(0.0))
        True
        """
        x, loc, scale = floats("gumbel_l.logsf", x, loc, scale)
        return gumbel_r.logcdf(loc - x, 0, scale)

    @classmethod
    def ppf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> round(float(gumbel_l.ppf(0.5)), 6)
        -0.366513
        """
        q, loc, scale = floats("gumbel_l.ppf", q, loc, scale)
        return quantile(q, loc + scale * fnp.log(-fnp.log1p(-q)))


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


class vonmises(Distribution):
    """The von Mises distribution of angles with concentration `kappa`.

    >>> round(float(vonmises.pdf(0.0, 0.0)) * 2 * math.pi, 6)
    1.0
    """

    @classmethod
    def logpdf(cls, x: Any, kappa: Any) -> Any:
        """The logarithm of the density.

        >>> round(float(vonmises.logpdf(0.0, 1.0)), 6)
        -1.073791
        """
        x, kappa = floats("vonmises.logpdf", x, kappa)
        height = math.log(2 * math.pi) + fnp.log(special.i0e(kappa))
        return kappa * (fnp.cos(x) - 1) - height
