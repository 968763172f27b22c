"""Floats by the inverse of a distribution function, of uniform ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import lax
from functrans import numpy as fnp
from functrans.primitives.arithmetic import bitcast_p, max_p, shift_right_p
from functrans.primitives.special import erf_p, erfinv_p
from functrans.random.keys import (
    Shape,
    check_key,
    common_shape,
    float_dtype,
    random_bits,
    sample_shape,
    split,
)


def uniform(
    key: Any, shape: Shape = (), dtype: Any = float, minval: Any = 0.0, maxval: Any = 1.0
) -> Any:
    """Uniform floats in [minval, maxval).

    >>> import functrans as ft
    >>> x = ft.random.uniform(ft.random.key(0), (3,), minval=-1.0)
    >>> bool(((x >= -1) & (x < 1)).all())
    True
    """
    dtype = float_dtype(dtype, "uniform")
    shape = sample_shape(shape)
    info = np.finfo(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    low, high = fnp.asarray(minval).astype(dtype), fnp.asarray(maxval).astype(dtype)
    random = random_bits(check_key(key), unsigned, shape)
    # the high bits as the mantissa of a float in [1, 2)
    mantissa = shift_right_p.bind(random, unsigned.type(info.bits - info.nmant))
    one_bits = np.array(1.0, dtype).view(unsigned)[()]
    floats = bitcast_p.bind(mantissa | one_bits, dtype=dtype) - dtype.type(1)
    return max_p.bind(low, floats * (high - low) + low)


def normal(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard normal floats (complex: real and imaginary part of variance 1/2).

    >>> import functrans as ft
    >>> ft.random.normal(ft.random.key(0), (2, 3)).shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}")
        keys = split(key)
        re, im = normal(keys[0], shape, part), normal(keys[1], shape, part)
        return lax.complex(re, im) / np.sqrt(2).astype(part)
    dtype = float_dtype(dtype, "normal")
    low = np.nextafter(np.array(-1, dtype), np.array(0, dtype))
    u = uniform(key, shape, dtype, low, 1)
    return np.sqrt(2).astype(dtype) * erfinv_p.bind(u)


def truncated_normal(
    key: Any, lower: Any, upper: Any, shape: Shape | None = None, dtype: Any = float
) -> Any:
    """Standard normal floats conditioned to lie between lower and upper."""
    dtype = float_dtype(dtype, "truncated_normal")
    low, high = fnp.asarray(lower).astype(dtype), fnp.asarray(upper).astype(dtype)
    shape = common_shape(shape, low, high)
    root = np.sqrt(2).astype(dtype)
    u = uniform(key, shape, dtype, erf_p.bind(low / root), erf_p.bind(high / root))
    inside = root * erfinv_p.bind(u)
    return fnp.clip(inside, fnp.nextafter(low, dtype.type(np.inf)), fnp.nextafter(high, -np.inf))


def exponential(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Exponential floats of rate 1."""
    return -fnp.log1p(-uniform(key, shape, float_dtype(dtype, "exponential")))


def gumbel(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard Gumbel floats."""
    dtype = float_dtype(dtype, "gumbel")
    u = uniform(key, shape, dtype, minval=np.finfo(dtype).tiny, maxval=1.0)
    return -fnp.log(-fnp.log(u))


def laplace(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard Laplace floats."""
    dtype = float_dtype(dtype, "laplace")
    u = uniform(key, shape, dtype, minval=-1.0 + np.finfo(dtype).epsneg, maxval=1.0)
    return fnp.sign(u) * fnp.log1p(-fnp.abs(u))


def logistic(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard logistic floats."""
    dtype = float_dtype(dtype, "logistic")
    u = uniform(key, shape, dtype, minval=np.finfo(dtype).eps, maxval=1.0)
    return fnp.log(u) - fnp.log1p(-u)


def cauchy(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard Cauchy floats."""
    dtype = float_dtype(dtype, "cauchy")
    u = uniform(key, shape, dtype, minval=np.finfo(dtype).eps, maxval=1.0)
    return fnp.tan(dtype.type(np.pi) * (u - dtype.type(0.5)))


def lognormal(key: Any, sigma: Any = 1.0, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Floats whose logarithms are normal, of mean 0 and standard deviation sigma.

    Args:
        key: uint32[2].
        sigma: floats, to be broadcast to the shape.
        shape: of the sample; by default that of sigma.
        dtype: of floats.

    >>> import functrans as ft
    >>> ft.random.lognormal(ft.random.key(0), np.array([0.5, 2.0])).shape
    (2,)
    """
    dtype = float_dtype(dtype, "lognormal")
    return fnp.exp(normal(key, common_shape(shape, sigma), dtype) * fnp.asarray(sigma, dtype))


def pareto(key: Any, b: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Pareto floats, at least 1, with the density b / x ** (b + 1).

    Args:
        key: uint32[2].
        b: positive floats, to be broadcast to the shape.
        shape: of the sample; by default that of b.
        dtype: of floats.

    >>> import functrans as ft
    >>> bool(ft.random.pareto(ft.random.key(0), 3.0, (100,)).min() >= 1)
    True
    """
    dtype = float_dtype(dtype, "pareto")
    return fnp.exp(exponential(key, common_shape(shape, b), dtype) / fnp.asarray(b, dtype))


def rayleigh(key: Any, scale: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Rayleigh floats: lengths of plane vectors whose parts are normal with deviation `scale`.

    Args:
        key: uint32[2].
        scale: floats, to be broadcast to the shape.
        shape: of the sample; by default that of scale.
        dtype: of floats.

    >>> import functrans as ft
    >>> ft.random.rayleigh(ft.random.key(0), 2.0, (3,)).shape
    (3,)
    """
    dtype = float_dtype(dtype, "rayleigh")
    u = uniform(key, common_shape(shape, scale), dtype)
    return fnp.asarray(scale, dtype) * fnp.sqrt(-2 * fnp.log(u))


def weibull_min(
    key: Any, scale: Any, concentration: Any, shape: Shape = (), dtype: Any = float
) -> Any:
    """Weibull floats: `scale` times exponential ones to the power of 1 / concentration.

    Args:
        key: uint32[2].
        scale, concentration: positive floats, to be broadcast with the sample.
        shape: of the sample.
        dtype: of floats.

    >>> import functrans as ft
    >>> ft.random.weibull_min(ft.random.key(0), 2.0, 1.5, (3,)).shape
    (3,)
    """
    dtype = float_dtype(dtype, "weibull_min")
    power = 1 / fnp.asarray(concentration, dtype)
    return exponential(key, shape, dtype) ** power * fnp.asarray(scale, dtype)


def maxwell(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Maxwell floats: lengths of vectors in space whose parts are standard normal.

    >>> import functrans as ft
    >>> bool(ft.random.maxwell(ft.random.key(0), (100,)).min() > 0)
    True
    """
    parts = normal(key, (*sample_shape(shape), 3), float_dtype(dtype, "maxwell"))
    return fnp.linalg.vector_norm(parts, axis=-1)


def double_sided_maxwell(
    key: Any, loc: Any, scale: Any, shape: Shape = (), dtype: Any = float
) -> Any:
    """Floats whose distance from `loc`, divided by `scale`, is a Maxwell float.

    Args:
        key: uint32[2].
        loc, scale: floats; the sample has their axes after those of the shape.
        shape: of the sample, for each of loc and scale.
        dtype: of floats.

    >>> import functrans as ft
    >>> ft.random.double_sided_maxwell(ft.random.key(0), 1.0, 2.0, (3,)).shape
    (3,)
    """
    dtype = float_dtype(dtype, "double_sided_maxwell")
    loc, scale = fnp.asarray(loc, dtype), fnp.asarray(scale, dtype)
    shape = (*sample_shape(shape), *np.broadcast_shapes(loc.shape, scale.shape))
    keys = split(key)
    distance = maxwell(keys[0], shape, dtype)
    return loc + scale * distance * fnp.where(uniform(keys[1], shape) < 0.5, 1, -1).astype(dtype)


def triangular(
    key: Any, left: Any, mode: Any, right: Any, shape: Shape | None = None, dtype: Any = float
) -> Any:
    """Floats from left to right, whose density rises up to the mode and falls from there.

    Args:
        key: uint32[2].
        left, mode, right: floats, to be broadcast to the shape.
        shape: of the sample; by default that of the parameters, broadcast.
        dtype: of floats.

    >>> import functrans as ft
    >>> bool(ft.random.triangular(ft.random.key(0), 0.0, 1.0, 3.0, (100,)).max() < 3)
    True
    """
    dtype = float_dtype(dtype, "triangular")
    left, mode, right = (fnp.asarray(v, dtype) for v in (left, mode, right))
    u = uniform(key, common_shape(shape, left, mode, right), dtype)
    width, rise, fall = right - left, mode - left, right - mode
    is_low = u * width < rise
    # each square root where it is taken, so that the other's slope is not asked for
    low = left + fnp.sqrt(fnp.where(is_low, u * width * rise, 1))
    high = right - fnp.sqrt(fnp.where(is_low, 1, (1 - u) * width * fall))
    return fnp.where(is_low, low, high)


def wald(key: Any, mean: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Wald floats (inverse Gaussian) of scale one (Michael, Schucany and Haas 1976).

    Args:
        key: uint32[2].
        mean: positive floats, to be broadcast to the shape.
        shape: of the sample; by default that of the mean.
        dtype: of floats.

    >>> import functrans as ft
    >>> bool(ft.random.wald(ft.random.key(0), 2.0, (100,)).min() > 0)
    True
    """
    dtype = float_dtype(dtype, "wald")
    mean = fnp.asarray(mean, dtype)
    shape, keys = common_shape(shape, mean), split(key)
    square, u = normal(keys[0], shape, dtype) ** 2, uniform(keys[1], shape, dtype)
    reach = mean * square
    # the smaller root of the quadratic, without the difference of nearly equal numbers
    low = 2 * mean / (2 + reach + fnp.sqrt(reach * (4 + reach)))
    return fnp.where(u * (mean + low) < mean, low, mean * mean / low)
