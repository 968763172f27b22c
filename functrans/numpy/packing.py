"""Bits packed into bytes, and taken out of them."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import mirrors
from functrans.numpy.manipulation import moveaxis, reshape, strong
from functrans.numpy.promotion import to_dtype
from functrans.numpy.reductions import sum
from functrans.primitives.shaping import pad, slice_axis

BYTE = np.dtype(np.uint8)


def _shifts(bitorder: str) -> np.ndarray:
    if bitorder not in ("big", "little"):
        raise ValueError(f"bitorder must be 'big' or 'little', got {bitorder!r}.{user_line()}")
    up = np.arange(8, dtype=BYTE)
    return up if bitorder == "little" else up[::-1]


def _along(a: Any, axis: int | None) -> tuple[Any, int]:
    """The array with the axis last, or flat; and the axis."""
    x = strong(a)
    if axis is None or not shape_of(x):
        return reshape(x, (-1,)), 0
    axis = canonical_axis(axis, len(shape_of(x)))
    return moveaxis(x, axis, -1), axis


def _extended(x: Any, high: int) -> Any:
    """x with zeros at the end of its last axis, or without its last elements."""
    rank, extent = len(shape_of(x)), shape_of(x)[-1]
    if high < 0:
        return slice_axis(x, rank - 1, 0, extent + high)
    return pad(x, (0,) * rank, (*(0,) * (rank - 1), high), (0,) * rank)


@mirrors(np.packbits)
def packbits(a: Any, axis: int | None = None, bitorder: str = "big") -> Any:
    """`numpy.packbits`: bytes of which each bit tells whether an element is not zero.

    Args:
        a: booleans or integers.
        axis: along which to take eight elements for a byte; None for those of the flat array.
        bitorder: "big" if the first element is the highest bit, or "little".

    >>> import functrans.numpy as fnp
    >>> fnp.packbits([1, 0, 0, 0, 0, 0, 0, 0, 1]).tolist()
    [128, 128]
    """
    x, axis = _along(a, axis)
    if dtype_of(x).kind not in "biu":
        raise TypeError(f"packbits needs booleans or integers: got {aval_of(x)}.{user_line()}")
    bits = _extended(to_dtype(ufuncs.not_equal(x, 0), BYTE), -shape_of(x)[-1] % 8)
    bits = reshape(bits, (*shape_of(x)[:-1], shape_of(bits)[-1] // 8, 8))
    bytes_ = sum(ufuncs.left_shift(bits, _shifts(bitorder)), -1, dtype=BYTE)
    return moveaxis(bytes_, -1, axis)


@mirrors(np.unpackbits)
def unpackbits(
    a: Any, axis: int | None = None, count: int | None = None, bitorder: str = "big"
) -> Any:
    """`numpy.unpackbits`: the bits of bytes, as 0 and 1.

    Args:
        a: uint8.
        axis: along which to put the bits; None for those of the flat array.
        count: how many to return, with zeros after the last; if negative, how many to leave out.
        bitorder: "big" if the highest bit comes first, or "little".

    >>> import functrans.numpy as fnp, numpy as np
    >>> fnp.unpackbits(np.array([130], np.uint8)).tolist()
    [1, 0, 0, 0, 0, 0, 1, 0]
    """
    x, axis = _along(a, axis)
    if dtype_of(x) != BYTE:
        raise TypeError(f"unpackbits needs uint8: got {aval_of(x)}.{user_line()}")
    bits = ufuncs.right_shift(reshape(x, (*shape_of(x), 1)), _shifts(bitorder)) & BYTE.type(1)
    extent = 8 * shape_of(x)[-1]
    bits = reshape(bits, (*shape_of(x)[:-1], extent))
    if count is not None:
        bits = _extended(bits, index(count) - (extent if count >= 0 else 0))
    return moveaxis(bits, -1, axis)
