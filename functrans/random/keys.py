"""Keys, the bits that are drawn from them, and what all samplers make of their arguments."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import ConcretizationError, DTypeError
from functrans.core.types import aval_of, shape_of
from functrans.primitives.arithmetic import convert
from functrans.primitives.random_bits import threefry2x32_p
from functrans.primitives.shaping import iota

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
    shape = sample_shape(num)
    high, low = _threefry(check_key(key), *_counters(shape))
    return fnp.stack([high, low], axis=-1)


def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and an integer, such as the number of a step.

    >>> import functrans as ft
    >>> ft.random.fold_in(ft.random.key(0), 3).shape
    (2,)
    """
    words = _seed_words(fnp.asarray(data).astype(np.uint32))
    high, low = _threefry(check_key(key), words[0], words[1])
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
    return random_bits(check_key(key), wanted, sample_shape(shape))


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


def random_bits(key: Any, dtype: np.dtype, shape: tuple[int, ...]) -> Any:
    """Words of random bits."""
    first, second = _threefry(key, *_counters(shape))
    if dtype.itemsize == 8:
        return (convert(first, dtype) << np.uint64(32)) | convert(second, dtype)
    return convert(first ^ second, dtype)


# --- what samplers make of their arguments --------------------------------------------------------


def sample_shape(shape: Shape) -> tuple[int, ...]:
    """A shape given as an int or a sequence; DTypeError if it is none."""
    extents = shape if isinstance(shape, Sequence | np.ndarray) else (shape,)
    try:
        return tuple(map(operator.index, extents))
    except ConcretizationError:
        raise
    except TypeError as error:
        raise DTypeError(
            f"a shape is an integer or a sequence of integers: got {shape!r}."
        ) from error


def common_shape(shape: Shape | None, *args: Any) -> tuple[int, ...]:
    """The shape of a sample; by default that to which the parameters broadcast."""
    own = np.broadcast_shapes(*(shape_of(x) for x in args))
    return own if shape is None else sample_shape(shape)


def check_key(key: Any) -> Any:
    """The key; DTypeError if it is none."""
    aval = aval_of(key)
    if aval.shape != (2,) or aval.dtype != UINT32:
        raise DTypeError(
            f"a random key is an array u32[2] from random.key, split or fold_in: got {aval}. "
            "Batches of keys go through vmap."
        )
    return key


def float_dtype(dtype: Any, name: str) -> np.dtype:
    """The dtype; DTypeError if it is none of floats."""
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise DTypeError(f"random.{name} gives floats, not {dtype}.")
    return dtype
