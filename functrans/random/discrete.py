"""Integers, booleans and signs, of uniform bits or floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import DTypeError
from functrans.core.types import dtype_of
from functrans.random.continuous import gumbel, uniform
from functrans.random.keys import Shape, check_key, common_shape, random_bits, sample_shape, split


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
    shape = sample_shape(shape)
    info = np.iinfo(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    beyond = fnp.asarray(maxval) > info.max
    low = fnp.clip(fnp.asarray(minval), info.min, info.max).astype(dtype)
    high = fnp.clip(fnp.asarray(maxval), info.min, info.max).astype(dtype)
    keys = split(check_key(key))
    higher, lower = (random_bits(keys[i], unsigned, shape) for i in range(2))
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
    return uniform(key, common_shape(shape, p), dtype) < p


def rademacher(key: Any, shape: Shape = (), dtype: Any = int) -> Any:
    """Signs: -1 or 1, each in half of the cases.

    >>> import functrans as ft
    >>> sorted({int(s) for s in ft.random.rademacher(ft.random.key(0), (20,))})
    [-1, 1]
    """
    return 2 * bernoulli(key, 0.5, shape).astype(dtype) - 1


def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Any:
    """Indices along an axis drawn with probabilities proportional to exp(logits).

    >>> import functrans as ft
    >>> ft.random.categorical(ft.random.key(0), np.zeros((4, 3))).shape
    (4,)
    """
    logits = fnp.asarray(logits)
    axis = axis % logits.ndim
    batch = tuple(n for i, n in enumerate(logits.shape) if i != axis)
    out = batch if shape is None else sample_shape(shape)
    lead = out[: len(out) - len(batch)]
    noise = gumbel(key, (*lead, *logits.shape), dtype_of(logits))
    return fnp.argmax(noise + logits, axis=axis + len(lead))


def geometric(key: Any, p: Any, shape: Shape | None = None, dtype: Any = int) -> Any:
    """Geometric integers: how many trials the first success of probability p takes.

    Args:
        key: uint32[2].
        p: probabilities, to be broadcast to the shape.
        shape: of the sample; by default that of p.
        dtype: of integers.

    >>> import functrans as ft
    >>> bool(ft.random.geometric(ft.random.key(0), 0.5, (100,)).min() >= 1)
    True
    """
    if np.dtype(dtype).kind not in "iu":
        raise DTypeError(f"random.geometric gives integers, not {np.dtype(dtype)}.")
    p = fnp.asarray(p, float)
    u = uniform(key, common_shape(shape, p))
    return (fnp.floor(fnp.log(u) / fnp.log1p(-p)) + 1).astype(dtype)
