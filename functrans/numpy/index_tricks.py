"""Arrays written with brackets, `r_` and `c_`, and what is known of an array's shape alone."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from functrans.core.source import user_line
from functrans.core.types import shape_of
from functrans.numpy.creation import asarray
from functrans.numpy.dispatch import has_tracer
from functrans.numpy.joining import concatenate
from functrans.numpy.manipulation import expand_dims, result_type, strong

# known numbers only
mgrid = np.mgrid
ogrid = np.ogrid
s_ = np.s_
index_exp = np.index_exp


class Brackets:
    """Concatenation in brackets: `numpy.r_` and `numpy.c_`. Numbers and slices become vectors.

    A first string "axis,ndim,place" says along which axis, how many axes each part has at least,
    and where its own come among them; any other string is a ValueError.

    >>> import functrans.numpy as fnp
    >>> fnp.r_[0.0, 1:4, fnp.ones(2)].tolist()
    [0.0, 1.0, 2.0, 3.0, 1.0, 1.0]
    >>> fnp.c_[np.arange(2), np.zeros(2)].tolist()
    [[0.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, eager: Any, axis: int, ndim: int, place: int) -> None:
        self.eager = eager
        self.directive = (axis, ndim, place)

    def __getitem__(self, key: Any) -> Any:
        items = key if isinstance(key, tuple) else (key,)
        if not has_tracer(items):
            return self.eager[key]
        axis, ndim, place = self.directive
        if isinstance(items[0], str):
            axis, ndim, place = self._given(items[0])
            items = items[1:]
        items = tuple(np.r_[v] if isinstance(v, slice) else v for v in items)
        dtype = result_type(*items)
        return concatenate([_part(asarray(v, dtype), ndim, place) for v in items], axis)

    def _given(self, text: str) -> tuple[int, int, int]:
        """What a string says, completed by the directive of these brackets."""
        given = text.split(",")
        if len(given) > 3 or not all(re.fullmatch(r" *-?\d+ *", n) for n in given):
            raise ValueError(f"{text!r} is no directive like '0,2': up to three ints.{user_line()}")
        axis, ndim, place = (*map(int, given), *self.directive[len(given) :])
        return axis, ndim, place


def _part(x: Any, ndim: int, place: int) -> Any:
    """x with at least ndim axes, its own first one at a place among them (the last if -1)."""
    rank = len(shape_of(x))
    new = ndim - rank
    if new <= 0:
        return x
    first = place if place >= 0 else place + new + 1
    return expand_dims(x, tuple(i for i in range(ndim) if not first <= i < first + rank))


r_ = Brackets(np.r_, 0, 1, -1)
c_ = Brackets(np.c_, -1, 2, 0)


def diag_indices_from(arr: Any) -> tuple[np.ndarray, ...]:
    """`numpy.diag_indices_from`: the indices of the main diagonal of an array.

    >>> [i.tolist() for i in diag_indices_from(np.zeros((2, 2)))]
    [[0, 1], [0, 1]]
    """
    return np.diag_indices_from(_nothing(arr))


def tril_indices_from(arr: Any, k: int = 0) -> tuple[np.ndarray, ...]:
    """`numpy.tril_indices_from`: the indices of the elements on and below the k-th diagonal.

    >>> [i.tolist() for i in tril_indices_from(np.zeros((2, 2)))]
    [[0, 1, 1], [0, 0, 1]]
    """
    return np.tril_indices_from(_nothing(arr), k)


def triu_indices_from(arr: Any, k: int = 0) -> tuple[np.ndarray, ...]:
    """`numpy.triu_indices_from`: the indices of the elements on and above the k-th diagonal.

    >>> [i.tolist() for i in triu_indices_from(np.zeros((2, 2)))]
    [[0, 0, 1], [0, 1, 1]]
    """
    return np.triu_indices_from(_nothing(arr), k)


def _nothing(arr: Any) -> np.ndarray:
    """An array of arr's shape that takes no memory."""
    return np.broadcast_to(np.False_, shape_of(strong(arr)))
