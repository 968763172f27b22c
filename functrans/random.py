"""Random numbers from explicit keys, bit for bit those of JAX (Threefry-2x32, partitionable).

A key is an array uint32[2]. Nothing here has hidden state: the same key gives the same numbers, and
`split` makes independent keys. Floats are float64 by default, as everywhere in functrans.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.primitives.arithmetic import bitcast_p, convert, max_p, shift_right_p
from functrans.primitives.random_bits import threefry2x32_p
from functrans.primitives.shaping import iota
from functrans.primitives.special import erfinv_p

UINT32 = np.dtype(np.uint32)
Shape = int | Sequence[int]


def key(seed: Any) -> Any:
    """A key from an integer seed.

    Args:
        seed: a Python int or an integer scalar; 64 bits of it count.

    Returns:
        uint32[2].

    >>> import functrans as ft
    >>> ft.random.key(7)
    array([0, 7], dtype=uint32)
    """
    if isinstance(seed, int | np.integer):
        wide = int(seed) & 0xFFFFFFFFFFFFFFFF
        return np.array([wide >> 32, wide & 0xFFFFFFFF], np.uint32)
    return _seed_words(seed)


PRNGKey = key


def split(key: Any, num: int | Sequence[int] = 2) -> Any:
    """Independent new keys from a key.

    Args:
        key: uint32[2].
        num: how many, or the leading shape of the result.

    Returns:
        uint32[num, 2].

    >>> import functrans as ft
    >>> ft.random.split(ft.random.key(0)).shape
    (2, 2)
    """
    shape = _shape(num)
    high, low = _threefry(_check_key(key), *_counters(shape))
    return fnp.stack([high, low], axis=-1)


def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and an integer, such as the number of a step.

    >>> import functrans as ft
    >>> ft.random.fold_in(ft.random.key(0), 3).shape
    (2,)
    """
    words = _seed_words(fnp.asarray(data).astype(np.uint32))
    high, low = _threefry(_check_key(key), words[0], words[1])
    return fnp.stack([high, low])


def bits(key: Any, shape: Shape = (), dtype: Any = None) -> Any:
    """Uniform random bits as unsigned integers (uint64 by default; uint8, 16, 32 too).

    >>> import functrans as ft
    >>> ft.random.bits(ft.random.key(0), (2,), np.uint32).dtype
    dtype('uint32')
    """
    wanted = np.dtype(np.uint64 if dtype is None else dtype)
    if wanted.kind != "u":
        raise DTypeError(f"random.bits gives unsigned integers, not {wanted}.")
    return _random_bits(_check_key(key), wanted, _shape(shape))


def uniform(
    key: Any, shape: Shape = (), dtype: Any = float, minval: Any = 0.0, maxval: Any = 1.0
) -> Any:
    """Uniform floats in [minval, maxval).

    >>> import functrans as ft
    >>> x = ft.random.uniform(ft.random.key(0), (3,), minval=-1.0)
    >>> bool(((x >= -1) & (x < 1)).all())
    True
    """
    dtype = _float_dtype(dtype, "uniform")
    shape = _shape(shape)
    info = np.finfo(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    low, high = fnp.asarray(minval).astype(dtype), fnp.asarray(maxval).astype(dtype)
    random = _random_bits(_check_key(key), unsigned, shape)
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
    dtype = _float_dtype(dtype, "normal")
    low = np.nextafter(np.array(-1, dtype), np.array(0, dtype))
    u = uniform(key, shape, dtype, low, 1)
    return np.sqrt(2).astype(dtype) * erfinv_p.bind(u)


def truncated_normal(
    key: Any, lower: Any, upper: Any, shape: Shape | None = None, dtype: Any = float
) -> Any:
    """Standard normal floats conditioned to lie between lower and upper."""
    from functrans.primitives.special import erf_p

    dtype = _float_dtype(dtype, "truncated_normal")
    low, high = fnp.asarray(lower).astype(dtype), fnp.asarray(upper).astype(dtype)
    shape = _broadcast(shape, low, high)
    root = np.sqrt(2).astype(dtype)
    u = uniform(key, shape, dtype, erf_p.bind(low / root), erf_p.bind(high / root))
    inside = root * erfinv_p.bind(u)
    return fnp.clip(inside, fnp.nextafter(low, dtype.type(np.inf)), fnp.nextafter(high, -np.inf))


def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = int) -> Any:
    """Uniform integers in [minval, maxval).

    >>> import functrans as ft
    >>> x = ft.random.randint(ft.random.key(0), (4,), 0, 10)
    >>> bool(((x >= 0) & (x < 10)).all())
    True
    """
    dtype = np.dtype(dtype)
    if dtype.kind not in "iu":
        raise DTypeError(f"random.randint gives integers, not {dtype}.")
    if dtype.itemsize < 4:  # small integers are drawn wide, where the bias cannot be seen
        wide = np.dtype(f"{dtype.kind}4")
        return randint(key, shape, minval, maxval, wide).astype(dtype)
    shape = _shape(shape)
    info = np.iinfo(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    beyond = fnp.asarray(maxval) > info.max
    low = fnp.clip(fnp.asarray(minval), info.min, info.max).astype(dtype)
    high = fnp.clip(fnp.asarray(maxval), info.min, info.max).astype(dtype)
    keys = split(_check_key(key))
    higher, lower = (_random_bits(keys[i], unsigned, shape) for i in range(2))
    one = unsigned.type(1)
    with np.errstate(over="ignore"):
        span = (high - low).astype(unsigned)
        span = fnp.where(high <= low, one, span)
        span = fnp.where(beyond & (high > low), span + one, span)  # 0: all of the dtype's range
        # two words, because one word modulo the span would not be uniform
        half = _modulo(unsigned.type(2 ** (info.bits // 2)), span)
        factor = _modulo(half * half, span)
        offset = _modulo(_modulo(higher, span) * factor + _modulo(lower, span), span)
        return low + offset.astype(dtype)


def _modulo(x: Any, span: Any) -> Any:
    """x modulo the span, where 0 stands for the number of all words."""
    everything = span == 0
    return fnp.where(everything, x, fnp.remainder(x, fnp.where(everything, 1, span)))


def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Any:
    """Booleans that are true with probability p.

    >>> import functrans as ft
    >>> ft.random.bernoulli(ft.random.key(0), 0.5, (3,)).dtype
    dtype('bool')
    """
    p = fnp.asarray(p)
    dtype = dtype_of(p) if dtype_of(p).kind == "f" else np.dtype(float)
    return uniform(key, _broadcast(shape, p), dtype) < p


def permutation(key: Any, x: Any, axis: int = 0, independent: bool = False) -> Any:
    """A random order of an array along an axis, or of range(x) for an int.

    >>> import functrans as ft
    >>> sorted(ft.random.permutation(ft.random.key(0), 5).tolist())
    [0, 1, 2, 3, 4]
    """
    if isinstance(x, int | np.integer):
        return _shuffle(key, fnp.arange(x), 0)
    x = fnp.asarray(x)
    if not shape_of(x):
        raise ShapeError("random.permutation takes an int or an array with at least one axis.")
    if independent or x.ndim == 1:
        return _shuffle(key, x, axis)
    order = _shuffle(key, fnp.arange(x.shape[axis]), 0)
    return fnp.take(x, order, axis=axis)


def choice(
    key: Any, a: Any, shape: Shape = (), replace: bool = True, p: Any = None, axis: int = 0
) -> Any:
    """Random elements of an array along an axis, or of range(a) for an int.

    Args:
        key: uint32[2].
        a: an array or an int.
        shape: of the sample.
        replace: whether an element may be drawn twice.
        p: probabilities of the elements; uniform if None.
        axis: of the array.
    """
    shape = _shape(shape)
    source = fnp.arange(a) if isinstance(a, int | np.integer) else fnp.asarray(a)
    count, draws = source.shape[axis], math.prod(shape)
    if not replace and draws > count:
        raise ShapeError(f"cannot draw {draws} of {count} elements without replacement.")
    if p is None:
        if replace:
            chosen = randint(key, shape, 0, count)
            return fnp.take(source, chosen, axis=axis)
        part = _first(permutation(key, source, axis), draws, axis)
    else:
        p = fnp.asarray(p).astype(float)
        if replace:
            cumulative = fnp.cumsum(p)
            r = cumulative[-1] * (1 - uniform(key, shape, dtype_of(cumulative)))
            return fnp.take(source, fnp.searchsorted(cumulative, r), axis=axis)
        scores = gumbel(key, (count,), dtype_of(p)) + fnp.log(p)
        order = fnp.argsort(-scores)[:draws]
        part = fnp.take(source, order, axis=axis)
    new_shape = (*source.shape[:axis], *shape, *source.shape[axis + 1 :])
    return fnp.reshape(part, new_shape)


def exponential(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Exponential floats of rate 1."""
    return -fnp.log1p(-uniform(key, shape, _float_dtype(dtype, "exponential")))


def gumbel(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard Gumbel floats."""
    dtype = _float_dtype(dtype, "gumbel")
    u = uniform(key, shape, dtype, minval=np.finfo(dtype).tiny, maxval=1.0)
    return -fnp.log(-fnp.log(u))


def laplace(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard Laplace floats."""
    dtype = _float_dtype(dtype, "laplace")
    u = uniform(key, shape, dtype, minval=-1.0 + np.finfo(dtype).epsneg, maxval=1.0)
    return fnp.sign(u) * fnp.log1p(-fnp.abs(u))


def logistic(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard logistic floats."""
    dtype = _float_dtype(dtype, "logistic")
    u = uniform(key, shape, dtype, minval=np.finfo(dtype).eps, maxval=1.0)
    return fnp.log(u) - fnp.log1p(-u)


def cauchy(key: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Standard Cauchy floats."""
    dtype = _float_dtype(dtype, "cauchy")
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
    dtype = _float_dtype(dtype, "lognormal")
    return fnp.exp(normal(key, _broadcast(shape, sigma), dtype) * fnp.asarray(sigma, dtype))


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
    dtype = _float_dtype(dtype, "pareto")
    return fnp.exp(exponential(key, _broadcast(shape, b), dtype) / fnp.asarray(b, dtype))


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
    dtype = _float_dtype(dtype, "rayleigh")
    u = uniform(key, _broadcast(shape, scale), dtype)
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
    dtype = _float_dtype(dtype, "weibull_min")
    power = 1 / fnp.asarray(concentration, dtype)
    return exponential(key, shape, dtype) ** power * fnp.asarray(scale, dtype)


def rademacher(key: Any, shape: Shape = (), dtype: Any = int) -> Any:
    """Signs: -1 or 1, each in half of the cases.

    >>> import functrans as ft
    >>> sorted({int(s) for s in ft.random.rademacher(ft.random.key(0), (20,))})
    [-1, 1]
    """
    return 2 * bernoulli(key, 0.5, shape).astype(dtype) - 1


def multivariate_normal(
    key: Any,
    mean: Any,
    cov: Any,
    shape: Shape | None = None,
    dtype: Any = float,
    method: str = "cholesky",
) -> Any:
    """Normal vectors with a mean and a covariance.

    Args:
        key: uint32[2].
        mean: floats [..., n].
        cov: floats [..., n, n], symmetric and positive definite; semidefinite for "eigh" and "svd".
        shape: the leading axes of the result; by default those of mean and cov, broadcast.
        dtype: of the result.
        method: of the square root of cov: "cholesky", "eigh" or "svd".

    Returns:
        floats [*shape, n], differentiable with respect to mean and cov.

    Raises:
        ShapeError: mean is no vector, or cov no matrix of its length.
        ValueError: there is no such method.

    >>> import functrans as ft
    >>> ft.random.multivariate_normal(ft.random.key(0), np.zeros(2), np.eye(2), (5,)).shape
    (5, 2)
    """
    dtype = _float_dtype(dtype, "multivariate_normal")
    mean, cov = fnp.asarray(mean, dtype), fnp.asarray(cov, dtype)
    if mean.ndim < 1 or cov.ndim < 2 or cov.shape[-2:] != (mean.shape[-1],) * 2:
        raise ShapeError(
            "random.multivariate_normal needs a mean [..., n] and a covariance [..., n, n]: got "
            f"{aval_of(mean)} and {aval_of(cov)}."
        )
    lead = np.broadcast_shapes(mean.shape[:-1], cov.shape[:-2]) if shape is None else _shape(shape)
    root = _square_root(cov, method)
    return mean + fnp.matvec(root, normal(key, (*lead, mean.shape[-1]), dtype))


def _square_root(cov: Any, method: str) -> Any:
    if method == "cholesky":
        return fnp.linalg.cholesky(cov)
    if method == "eigh":
        values, vectors = fnp.linalg.eigh(cov)
    elif method == "svd":
        vectors, values, _ = fnp.linalg.svd(cov)
    else:
        raise ValueError(f"method must be 'cholesky', 'eigh' or 'svd': got {method!r}.")
    return vectors * fnp.sqrt(values)[..., None, :]


def orthogonal(
    key: Any, n: int, shape: Shape = (), dtype: Any = float, m: int | None = None
) -> Any:
    """Orthogonal matrices, uniformly distributed: the factor Q of normal ones (Mezzadri 2007).

    Args:
        key: uint32[2].
        n: how many rows.
        shape: the leading axes of the result.
        dtype: of floats.
        m: how many columns; n by default. Of the two, the shorter ones are orthonormal.

    Returns:
        floats [*shape, n, m].

    >>> import functrans as ft
    >>> q = ft.random.orthogonal(ft.random.key(0), 3)
    >>> bool(np.allclose(q @ q.T, np.eye(3)))
    True
    """
    m = n if m is None else m
    tall = (*_shape(shape), max(n, m), min(n, m))
    q, r = fnp.linalg.qr(normal(key, tall, _float_dtype(dtype, "orthogonal")))
    signs = fnp.sign(fnp.diagonal(r, axis1=-2, axis2=-1))
    q = q * signs[..., None, :]
    return fnp.matrix_transpose(q) if n < m else q


def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Any:
    """Indices along an axis drawn with probabilities proportional to exp(logits).

    >>> import functrans as ft
    >>> ft.random.categorical(ft.random.key(0), np.zeros((4, 3))).shape
    (4,)
    """
    logits = fnp.asarray(logits)
    axis = axis % logits.ndim
    batch = tuple(n for i, n in enumerate(logits.shape) if i != axis)
    out = batch if shape is None else _shape(shape)
    lead = out[: len(out) - len(batch)]
    noise = gumbel(key, (*lead, *logits.shape), dtype_of(logits))
    return fnp.argmax(noise + logits, axis=axis + len(lead))


# --- the generator --------------------------------------------------------------------------------


def _threefry(key: Any, high: Any, low: Any) -> Any:
    return threefry2x32_p.bind(key[0], key[1], high, low)


def _seed_words(seed: Any) -> Any:
    """The two words of an integer scalar, high word first."""
    aval = aval_of(seed)
    if aval.shape or aval.dtype.kind not in "iu":
        raise DTypeError(f"a seed must be an integer scalar: got {aval}.")
    wide = convert(fnp.asarray(seed), np.int64) if aval.dtype.itemsize == 8 else None
    low = convert(fnp.asarray(seed), UINT32)
    high = fnp.zeros((), UINT32) if wide is None else convert(wide >> 32, UINT32)
    return fnp.stack([high, low])


def _counters(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The row-major position of every element, as high and low word."""
    size = math.prod(shape)
    position = fnp.reshape(iota((size,), 0, np.uint64), shape)
    low = convert(position, UINT32)
    return convert(position >> np.uint64(32), UINT32), low


def _random_bits(key: Any, dtype: np.dtype, shape: tuple[int, ...]) -> Any:
    first, second = _threefry(key, *_counters(shape))
    if dtype.itemsize == 8:
        return (convert(first, dtype) << np.uint64(32)) | convert(second, dtype)
    return convert(first ^ second, dtype)


def _shuffle(key: Any, x: Any, axis: int) -> Any:
    """Sorting by random words, often enough that ties do not show."""
    rounds = math.ceil(3 * math.log(max(1, x.size)) / math.log(np.iinfo(np.uint32).max))
    for _ in range(rounds):
        keys = split(key)
        key = keys[0]
        words = _random_bits(keys[1], UINT32, x.shape)
        x = lax.sort_key_val(words, x, dimension=axis)[1]
    return x


def _first(x: Any, count: int, axis: int) -> Any:
    return lax.slice_in_dim(x, 0, count, axis=axis)


# --- arguments ------------------------------------------------------------------------------------


def _shape(shape: Shape) -> tuple[int, ...]:
    return (int(shape),) if isinstance(shape, int | np.integer) else tuple(map(int, shape))


def _broadcast(shape: Shape | None, *args: Any) -> tuple[int, ...]:
    own = np.broadcast_shapes(*(shape_of(x) for x in args))
    return own if shape is None else _shape(shape)


def _check_key(key: Any) -> Any:
    aval = aval_of(key)
    if aval.shape != (2,) or aval.dtype != UINT32:
        raise DTypeError(
            f"a random key is an array u32[2] from random.key, split or fold_in: got {aval}. "
            "Batches of keys go through vmap."
        )
    return key


def _float_dtype(dtype: Any, name: str) -> np.dtype:
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError(f"random.{name} gives floats, not {dtype}.")
    return dtype
