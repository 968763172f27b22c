"""Distributions of integers: logpmf, pmf, and cdf where it is elementary."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.primitives.arithmetic import select
from functrans.scipy.operands import floats
from functrans.scipy.special import gammaln, xlog1py, xlogy


class Discrete:
    """What distributions of integers share."""

    @classmethod
    def logpmf(cls, k: Any, *parameters: Any, **keywords: Any) -> Any:
        """The logarithm of the probability of k.

        >>> float(poisson.logpmf(0, 2.0))
        -2.0
        """
        raise NotImplementedError

    @classmethod
    def pmf(cls, k: Any, *parameters: Any, **keywords: Any) -> Any:
        """The probability of k; parameters are those of `logpmf`.

        >>> float(bernoulli.pmf(1, 0.25))
        0.25
        """
        return fnp.exp(cls.logpmf(k, *parameters, **keywords))


class poisson(Discrete):
    """The Poisson distribution with mean `mu`.

    >>> float(poisson.logpmf(0, 2.0)), float(poisson.pmf(-1, 2.0))
    (-2.0, 0.0)
    """

    @classmethod
    def logpmf(cls, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k; -inf where k is no integer from `loc` on.

        >>> float(poisson.logpmf(0.5, 2.0))
        -inf
        """
        k, mu, loc = floats("poisson.logpmf", k, mu, loc)
        n = k - loc
        inside = ~((n < 0) | (fnp.floor(n) != n))
        safe = select(inside, n, 0.0)
        return select(inside, xlogy(safe, mu) - gammaln(safe + 1) - mu, -np.inf)


class bernoulli(Discrete):
    """The distribution of 0 and 1, in which 1 has probability `p`.

    >>> float(bernoulli.pmf(1, 0.25)), float(bernoulli.pmf(0, 0.25)), float(bernoulli.pmf(2, 0.25))
    (0.25, 0.75, 0.0)
    """

    @classmethod
    def logpmf(cls, k: Any, p: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k.

        >>> float(bernoulli.logpmf(0, 0.0))
        0.0
        """
        k, p, loc = floats("bernoulli.logpmf", k, p, loc)
        n = k - loc
        inside = (n == 0) | (n == 1) | fnp.isnan(n)
        safe = select(inside, n, 0.0)
        return select(inside, xlogy(safe, p) + xlog1py(1 - safe, -p), -np.inf)

    @classmethod
    def cdf(cls, k: Any, p: Any, loc: Any = 0) -> Any:
        """The probability of a value up to k.

        >>> float(bernoulli.cdf(0, 0.25))
        0.75
        """
        k, p, loc = floats("bernoulli.cdf", k, p, loc)
        n = fnp.floor(k - loc)
        below = select(n < 0, 0.0, select(n < 1, 1 - p, 1.0))
        return select(fnp.isnan(n), np.nan, below)


__all__ = ["bernoulli", "poisson"]
