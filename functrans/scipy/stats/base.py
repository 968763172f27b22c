"""What distributions share: densities and probabilities from their logarithms, or the reverse."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.primitives.arithmetic import select


class Distribution:
    """What distributions share: densities and probabilities from their logarithms."""

    @classmethod
    @abstractmethod
    def logpdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the density."""

    @classmethod
    def pdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The density; parameters are those of `logpdf`.

        >>> from functrans.scipy.stats import expon
        >>> float(expon.pdf(0.0))
        1.0
        """
        return fnp.exp(cls.logpdf(x, *parameters, **keywords))


class WithCdf(Distribution):
    """A distribution of which both tails are known, not their logarithms."""

    @classmethod
    @abstractmethod
    def cdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The probability of a value up to x."""

    @classmethod
    @abstractmethod
    def sf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The probability of a value above x."""

    @classmethod
    def logcdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the probability of a value up to x; parameters are those of `logpdf`.

        >>> from functrans.scipy.stats import expon
        >>> float(expon.logcdf(0.0))
        -inf
        """
        return log_of(cls.cdf(x, *parameters, **keywords))

    @classmethod
    def logsf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the probability of a value above x; parameters are those of `logpdf`.

        >>> from functrans.scipy.stats import expon
        >>> float(expon.logsf(2.0))
        -2.0
        """
        return log_of(cls.sf(x, *parameters, **keywords))


class WithLogcdf(Distribution):
    """A distribution of which the logarithms of both tails are known."""

    @classmethod
    @abstractmethod
    def logcdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the probability of a value up to x."""

    @classmethod
    @abstractmethod
    def logsf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the probability of a value above x."""

    @classmethod
    def cdf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The probability of a value up to x; parameters are those of `logpdf`.

        >>> from functrans.scipy.stats import expon
        >>> float(expon.cdf(np.inf))
        1.0
        """
        return fnp.exp(cls.logcdf(x, *parameters, **keywords))

    @classmethod
    def sf(cls, x: Any, *parameters: Any, **keywords: Any) -> Any:
        """The probability of a value above x; parameters are those of `logpdf`.

        >>> from functrans.scipy.stats import expon
        >>> float(expon.sf(0.0))
        1.0
        """
        return fnp.exp(cls.logsf(x, *parameters, **keywords))


def inside(condition: Any, function: Any, x: Any, safe: float, otherwise: float) -> Any:
    """function(x) where the condition holds, else a constant; x is `safe` there."""
    return select(condition, function(select(condition, x, safe)), otherwise)


def log_of(probability: Any) -> Any:
    """The logarithm, with no derivative where the probability is 0."""
    return inside(probability != 0, fnp.log, probability, 1.0, -np.inf)


def quantile(q: Any, value: Any) -> Any:
    """The value, and nan where q is no probability."""
    return select((q >= 0) & (q <= 1), value, np.nan)


def log_one_minus_exp(z: Any) -> Any:
    """log(1 - exp(-z)) for z > 0."""
    small = z < math.log(2)
    of_small = fnp.log(-fnp.expm1(-select(small, z, 1.0)))
    return select(small, of_small, fnp.log1p(-fnp.exp(-select(small, 1.0, z))))
