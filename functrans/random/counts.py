"""Counts of events: Poisson, binomial and multinomial, by inversion or by rejection.

Each element has its own key and runs its own loop: inversion where few events are expected, else
Hörmann's transformed rejection ("The transformed rejection method for generating Poisson random
variables" and "The generation of binomial random variates", both 1993). They are no function of
their parameters that has a derivative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.types import aval_of
from functrans.primitives.identities import stop_gradient
from functrans.primitives.special import lgamma_p
from functrans.random.continuous import uniform
from functrans.random.keys import (
    Shape,
    check_key,
    common_shape,
    float_dtype,
    sample_shape,
    split,
)
from functrans.transforms.vmap import vmap

FEW = 10  # events, up to which inversion takes less time


def _each(sample: Callable[..., Any], key: Any, shape: tuple[int, ...], *parameters: Any) -> Any:
    """A sample of the shape, whose elements are drawn one by one, as float64."""
    size = math.prod(shape)
    flat = [fnp.reshape(fnp.broadcast_to(stop_gradient(p), shape), (size,)) for p in parameters]
    keys = split(check_key(key), size)
    return fnp.reshape(vmap(sample)(keys, *flat) if size else flat[0], shape)


def _inverted(key: Any, first: Any, ratio: Callable[[Any], Any], most: Any) -> Any:
    """The least k at which the distribution function reaches a uniform number.

    Args:
        key: uint32[2].
        first: the probability of 0.
        ratio: ratio(k), the probability of k divided by that of k - 1.
        most: the greatest k.
    """
    u = uniform(key)

    def next_count(state: tuple) -> tuple:
        k, probability, total = state
        probability = probability * ratio(k + 1)
        return k + 1, probability, total + probability

    start = np.float64(0), first, first
    return lax.while_loop(lambda s: (s[2] < u) & (s[0] < most), next_count, start)[0]


def _rejected(
    key: Any, a: Any, b: Any, center: Any, width: Any, squeeze: Any, log_density: Any
) -> Any:
    """Hörmann's transformed rejection.

    Args:
        key: uint32[2].
        a, b: of the transformation (2 a / (1/2 - |u|) + b) u + center of a uniform number u.
        center: as there.
        width: of the hat.
        squeeze: up to which v a candidate not too far out is taken at once.
        log_density: log_density(k), minus infinity where k has no probability.
    """

    def again(state: tuple) -> tuple:
        key, for_u, for_v = split(state[0], 3)
        u, v = uniform(for_u) - 0.5, uniform(for_v)
        inside = 0.5 - fnp.abs(u)
        k = fnp.floor((2 * a / inside + b) * u + center)
        is_quick = (inside >= 0.07) & (v <= squeeze)
        height = fnp.log(v * width / (a / (inside * inside) + b))
        return key, k, is_quick | (height <= log_density(k))

    start = key, np.float64(0), np.False_
    return lax.while_loop(lambda s: ~s[2], again, start)[1]


# --- Poisson --------------------------------------------------------------------------------------


def _poisson(key: Any, mean: Any) -> Any:
    def few() -> Any:
        return _inverted(key, fnp.exp(-mean), lambda k: mean / k, 100 * FEW)

    def many() -> Any:
        b = 0.931 + 2.53 * fnp.sqrt(mean)
        log_mean = fnp.log(mean)

        def log_density(k: Any) -> Any:
            inside = fnp.where(k < 0, 0.0, k)
            value = inside * log_mean - mean - lgamma_p.bind(inside + 1)
            return fnp.where(k < 0, -math.inf, value)

        width = 1.1239 + 1.1328 / (b - 3.4)
        squeeze = 0.9277 - 3.6224 / (b - 2)
        return _rejected(key, -0.059 + 0.02483 * b, b, mean + 0.43, width, squeeze, log_density)

    return lax.cond(mean >= FEW, many, few)


def poisson(key: Any, lam: Any, shape: Shape | None = None, dtype: Any = int) -> Any:
    """Poisson integers: how many of events occur that are independent, and `lam` in the mean.

    Args:
        key: uint32[2].
        lam: floats that are not negative, to be broadcast to the shape.
        shape: of the sample; by default that of lam.
        dtype: of integers.

    Returns:
        integers; -1 where lam is negative, infinite or nan.

    Raises:
        DTypeError: the dtype is none of integers.

    >>> import functrans as ft
    >>> bool(ft.random.poisson(ft.random.key(0), np.array([0.5, 1e6])).max() > 990_000)
    True
    """
    if np.dtype(dtype).kind not in "iu":
        raise DTypeError(f"random.poisson gives integers, not {np.dtype(dtype)}.")
    lam = fnp.asarray(lam, float)
    is_proper = (lam >= 0) & (lam < math.inf)
    counts = _each(_poisson, key, common_shape(shape, lam), fnp.where(is_proper, lam, 0))
    return fnp.where(is_proper, counts, -1).astype(dtype)


# --- binomial -------------------------------------------------------------------------------------


def _binomial(key: Any, n: Any, p: Any) -> Any:
    rare = fnp.minimum(p, 1 - p)
    odds, mean = rare / (1 - rare), n * rare

    def few() -> Any:
        return _inverted(key, (1 - rare) ** n, lambda k: odds * (n + 1 - k) / k, n)

    def many() -> Any:
        deviation = fnp.sqrt(mean * (1 - rare))
        b = 1.15 + 2.53 * deviation
        a = -0.0873 + 0.0248 * b + 0.01 * rare
        mode = fnp.floor((n + 1) * rare)
        peak = lgamma_p.bind(mode + 1) + lgamma_p.bind(n - mode + 1)

        def log_density(k: Any) -> Any:
            """Relative to that of the mode."""
            is_out = (k < 0) | (k > n)
            inside = fnp.where(is_out, mode, k)
            ways = peak - lgamma_p.bind(inside + 1) - lgamma_p.bind(n - inside + 1)
            return fnp.where(is_out, -math.inf, ways + (inside - mode) * fnp.log(odds))

        width = (2.83 + 5.1 / b) * deviation
        return _rejected(key, a, b, mean + 0.5, width, 0.92 - 4.2 / b, log_density)

    count = lax.cond(mean >= FEW, many, few)
    return fnp.where(p <= 0.5, count, n - count)


def binomial(key: Any, n: Any, p: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Binomial counts: how many of n trials succeed, each with probability p.

    Args:
        key: uint32[2].
        n: integers or floats with integer values, to be broadcast to the shape.
        p: probabilities, to be broadcast to the shape.
        shape: of the sample; by default that of n and p, broadcast.
        dtype: of floats, as in JAX.

    Returns:
        floats with integer values; nan where n is negative or p no probability.

    >>> import functrans as ft
    >>> float(ft.random.binomial(ft.random.key(0), 10, 1.0))
    10.0
    """
    dtype = float_dtype(dtype, "binomial")
    n, p = fnp.asarray(n, float), fnp.asarray(p, float)
    is_proper = (n >= 0) & (n < math.inf) & (p >= 0) & (p <= 1)
    trials = fnp.where(is_proper, n, 0)
    counts = _each(_binomial, key, common_shape(shape, n, p), trials, fnp.where(is_proper, p, 0))
    return fnp.where(is_proper, counts, math.nan).astype(dtype)


def multinomial(key: Any, n: Any, p: Any, *, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Multinomial counts: how many of n trials have each of k outcomes.

    Args:
        key: uint32[2].
        n: integers or floats with integer values [...].
        p: probabilities [..., k], whose sums are one.
        shape: of the result, with k last; by default that of n and p, broadcast.
        dtype: of floats, as in JAX.

    Returns:
        floats [..., k] with integer values whose sums are n.

    Raises:
        ShapeError: p is no vector.

    >>> import functrans as ft
    >>> float(ft.random.multinomial(ft.random.key(0), 10, np.array([0.2, 0.3, 0.5])).sum())
    10.0
    """
    dtype = float_dtype(dtype, "multinomial")
    n, p = fnp.asarray(n, float), fnp.asarray(p, float)
    if not p.ndim:
        raise ShapeError(f"random.multinomial needs probabilities [..., k]: got {aval_of(p)}.")
    own = (*np.broadcast_shapes(n.shape, p.shape[:-1]), p.shape[-1])
    shape = own if shape is None else sample_shape(shape)
    p = fnp.moveaxis(fnp.broadcast_to(p, shape), -1, 0)
    rest = fnp.flip(fnp.cumsum(fnp.flip(p, 0), 0), 0)

    def outcome(left: Any, inputs: tuple) -> tuple:
        key, p, rest = inputs
        share = fnp.where(rest > 0, fnp.clip(p / fnp.where(rest > 0, rest, 1), 0, 1), 0)
        count = binomial(key, left, share)
        return left - count, count

    start = fnp.broadcast_to(n, shape[:-1])
    _, counts = lax.scan(outcome, start, (split(key, shape[-1]), p, rest))
    return fnp.moveaxis(counts, 0, -1).astype(dtype)
