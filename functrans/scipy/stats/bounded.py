"""Distributions of numbers above a bound, or between two.

The logarithm of the density is -inf outside of the support, where its derivatives are 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.primitives.arithmetic import select
from functrans.scipy import special
from functrans.scipy.operands import floats
from functrans.scipy.special import xlog1py, xlogy
from functrans.scipy.stats.base import (
    WithCdf,
    WithLogcdf,
    inside,
    log_one_minus_exp,
    quantile,
)


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

        >>> round(float(expon.logcdf(np.log(2))), 6)
        -0.693147
        """
        x, loc, scale = floats("expon.logcdf", x, loc, scale)
        z = (x - loc) / scale
        return inside(~(z <= 0), log_one_minus_exp, z, 1.0, -np.inf)

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

        >>> round(float(expon.cdf(np.log(2))), 6)
        0.5
        """
        x, loc, scale = floats("expon.cdf", x, loc, scale)
        z = (x - loc) / scale
        return inside(~(z < 0), lambda v: -fnp.expm1(-v), z, 0.0, 0.0)

    @classmethod
    def ppf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> round(float(expon.ppf(0.5)), 6)
        0.693147
        """
        q, loc, scale = floats("expon.ppf", q, loc, scale)
        return quantile(q, loc - scale * fnp.log1p(-q))


class uniform(WithCdf):
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

    @classmethod
    def ppf(cls, q: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> float(uniform.ppf(0.25, 0.0, 2.0))
        0.5
        """
        q, loc, scale = floats("uniform.ppf", q, loc, scale)
        return quantile(q, loc + scale * q)


class gamma(WithCdf):
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

        return inside(~(z < 0), density, z, 1.0, -np.inf)

    @classmethod
    def cdf(cls, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value up to x.

        >>> round(float(gamma.cdf(1.0, 1.0)), 6)
        0.632121
        """
        x, a, loc, scale = floats("gamma.cdf", x, a, loc, scale)
        return special.gammainc(a, fnp.maximum((x - loc) / scale, 0.0))

    @classmethod
    def sf(cls, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value above x.

        >>> round(float(gamma.sf(1.0, 1.0)), 6)
        0.367879
        """
        x, a, loc, scale = floats("gamma.sf", x, a, loc, scale)
        return special.gammaincc(a, fnp.maximum((x - loc) / scale, 0.0))


class chi2(WithCdf):
    """The chi-square distribution with `df` degrees of freedom: gamma of shape df / 2.

    >>> round(float(chi2.logpdf(1.0, 2.0)), 6)
    -1.193147
    """

    @classmethod
    def logpdf(cls, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> float(chi2.logpdf(-1.0, 2.0))
        -inf
        """
        x, df, loc, scale = floats("chi2.logpdf", x, df, loc, scale)
        return gamma.logpdf(x, 0.5 * df, loc, 2 * scale)

    @classmethod
    def cdf(cls, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value up to x.

        >>> round(float(chi2.cdf(2.0, 2.0)), 6)
        0.632121
        """
        x, df, loc, scale = floats("chi2.cdf", x, df, loc, scale)
        return gamma.cdf(x, 0.5 * df, loc, 2 * scale)

    @classmethod
    def sf(cls, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value above x.

        >>> round(float(chi2.sf(2.0, 2.0)), 6)
        0.367879
        """
        x, df, loc, scale = floats("chi2.sf", x, df, loc, scale)
        return gamma.sf(x, 0.5 * df, loc, 2 * scale)


class beta(WithCdf):
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

        return inside(~((z < 0) | (z > 1)), density, z, 0.5, -np.inf)

    @classmethod
    def cdf(cls, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value up to x, which has no derivative in a and b.

        >>> round(float(beta.cdf(0.5, 2.0, 1.0)), 6)
        0.25
        """
        x, a, b, loc, scale = floats("beta.cdf", x, a, b, loc, scale)
        return special.betainc(a, b, fnp.clip((x - loc) / scale, 0.0, 1.0))

    @classmethod
    def sf(cls, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The probability of a value above x, which has no derivative in a and b.

        >>> round(float(beta.sf(0.5, 2.0, 1.0)), 6)
        0.75
        """
        x, a, b, loc, scale = floats("beta.sf", x, a, b, loc, scale)
        return special.betainc(b, a, fnp.clip((loc + scale - x) / scale, 0.0, 1.0))


class pareto(WithLogcdf):
    """Pareto's distribution with exponent `b`, from `loc + scale` on.

    >>> round(float(pareto.pdf(2.0, 1.0)), 6), round(float(pareto.sf(2.0, 1.0)), 6)
    (0.25, 0.5)
    """

    @classmethod
    def logpdf(cls, x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the density.

        >>> float(pareto.logpdf(0.5, 1.0))
        -inf
        """
        x, b, loc, scale = floats("pareto.logpdf", x, b, loc, scale)
        z = (x - loc) / scale

        def density(v: Any) -> Any:
            return fnp.log(b) - (b + 1) * fnp.log(v) - fnp.log(scale)

        return inside(~(z < 1), density, z, 1.0, -np.inf)

    @classmethod
    def logcdf(cls, x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value up to x.

        >>> round(float(pareto.logcdf(2.0, 1.0)), 6)
        -0.693147
        """
        x, b, loc, scale = floats("pareto.logcdf", x, b, loc, scale)
        z = (x - loc) / scale

        def below(v: Any) -> Any:
            return log_one_minus_exp(b * fnp.log(v))

        return inside(~(z <= 1), below, z, 2.0, -np.inf)

    @classmethod
    def logsf(cls, x: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The logarithm of the probability of a value above x.

        >>> round(float(pareto.logsf(2.0, 1.0)), 6)
        -0.693147
        """
        x, b, loc, scale = floats("pareto.logsf", x, b, loc, scale)
        z = (x - loc) / scale
        return inside(~(z < 1), lambda v: -b * fnp.log(v), z, 1.0, 0.0)

    @classmethod
    def ppf(cls, q: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Any:
        """The value up to which the probability is q; nan where q is none.

        >>> round(float(pareto.ppf(0.5, 1.0)), 6)
        2.0
        """
        q, b, loc, scale = floats("pareto.ppf", q, b, loc, scale)
        return quantile(q, loc + scale * fnp.exp(-fnp.log1p(-q) / b))
