"""Distributions of integers: logpmf, pmf, and cdf where it is elementary."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.types import dtype_of
from functrans.primitives.arithmetic import select
from functrans.scipy.operands import floats
from functrans.scipy.special import betaln, gammaincc, gammaln, xlog1py, xlogy


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


def _where(inside: Any, logarithm: Any, n: Any) -> Any:
    """logarithm(n) where n is inside, nan where it is nan, and else -inf."""
    of_inside = logarithm(select(inside, n, 1.0))
    return select(inside, of_inside, select(fnp.isnan(n), n, -np.inf))


def _log_ways(n: Any, k: Any) -> Any:
    """The logarithm of the number of ways to choose k of n."""
    return -betaln(1 + n - k, 1 + k) - fnp.log1p(n)


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
        inside = (n >= 0) & (fnp.floor(n) == n)
        return _where(inside, lambda n: xlogy(n, mu) - gammaln(n + 1) - mu, n)

    @classmethod
    def cdf(cls, k: Any, mu: Any, loc: Any = 0) -> Any:
        """The probability of a value up to k.

        >>> round(float(poisson.cdf(1, 1.0)), 6)
        0.735759
        """
        k, mu, loc = floats("poisson.cdf", k, mu, loc)
        n = fnp.floor(k - loc)
        return select(n < 0, 0.0, gammaincc(select(n < 0, 0.0, n) + 1, mu))


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

    @classmethod
    def ppf(cls, q: Any, p: Any) -> Any:
        """The least value up to which the probability is q or more; nan where q is none.

        >>> float(bernoulli.ppf(0.8, 0.25))
        1.0
        """
        q, p = floats("bernoulli.ppf", q, p)
        is_proper = (q >= 0) & (q <= 1) & (p >= 0) & (p <= 1)
        return select(is_proper, (q > 1 - p).astype(dtype_of(q)), np.nan)


class binom(Discrete):
    """The distribution of how many of n trials succeed, each with probability p.

    >>> round(float(binom.pmf(1, 2, 0.25)), 6)
    0.375
    """

    @classmethod
    def logpmf(cls, k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k.

        >>> float(binom.logpmf(3, 2, 0.25))
        -inf
        """
        k, n, p, loc = floats("binom.logpmf", k, n, p, loc)
        k = k - loc
        inside = (k >= 0) & (k <= n) & (fnp.floor(k) == k)
        n = select(inside, n, 1.0)

        def logarithm(k: Any) -> Any:
            return _log_ways(n, k) + xlogy(k, p) + xlog1py(n - k, -p)

        return _where(inside, logarithm, k)


class betabinom(Discrete):
    """The binomial distribution of n trials whose probability has a beta distribution.

    >>> round(float(betabinom.pmf(1, 2, 1.0, 1.0)), 6)
    0.333333
    """

    @classmethod
    def logpmf(cls, k: Any, n: Any, a: Any, b: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k.

        >>> float(betabinom.logpmf(3, 2, 1.0, 1.0))
        -inf
        """
        k, n, a, b, loc = floats("betabinom.logpmf", k, n, a, b, loc)
        k = k - loc
        inside = (k >= 0) & (k <= n) & (fnp.floor(k) == k)
        n = select(inside, n, 1.0)

        def logarithm(k: Any) -> Any:
            return _log_ways(n, k) + betaln(k + a, n - k + b) - betaln(a, b)

        return _where(inside, logarithm, k)


class geom(Discrete):
    """The distribution of how many trials the first success of probability p takes.

    >>> float(geom.pmf(2, 0.5))
    0.25
    """

    @classmethod
    def logpmf(cls, k: Any, p: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k.

        >>> float(geom.logpmf(0, 0.5))
        -inf
        """
        k, p, loc = floats("geom.logpmf", k, p, loc)
        k = k - loc
        inside = (k >= 1) & (fnp.floor(k) == k)
        return _where(inside, lambda k: xlog1py(k - 1, -p) + fnp.log(p), k)


class nbinom(Discrete):
    """The distribution of how many failures there are before the n-th success of probability p.

    >>> round(float(nbinom.pmf(1, 2, 0.5)), 6)
    0.25
    """

    @classmethod
    def logpmf(cls, k: Any, n: Any, p: Any, loc: Any = 0) -> Any:
        """The logarithm of the probability of k.

        >>> float(nbinom.logpmf(-1, 2, 0.5))
        -inf
        """
        k, n, p, loc = floats("nbinom.logpmf", k, n, p, loc)
        k = k - loc
        inside = (k >= 0) & (fnp.floor(k) == k)

        def logarithm(k: Any) -> Any:
            ways = gammaln(k + n) - gammaln(k + 1) - gammaln(n)
            return ways + xlogy(n, p) + xlog1py(k, -p)

        return _where(inside, logarithm, k)
