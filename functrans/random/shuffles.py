"""Random orders and choices of the elements of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.types import dtype_of, shape_of
from functrans.random.continuous import gumbel, uniform
from functrans.random.discrete import randint
from functrans.random.keys import UINT32, Shape, random_bits, sample_shape, split


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
    shape = sample_shape(shape)
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


def _shuffle(key: Any, x: Any, axis: int) -> Any:
    """Sorting by random words, often enough that ties do not show."""
    rounds = math.ceil(3 * math.log(max(1, x.size)) / math.log(np.iinfo(np.uint32).max))
    for _ in range(rounds):
        keys = split(key)
        key = keys[0]
        words = random_bits(keys[1], UINT32, x.shape)
        x = lax.sort_key_val(words, x, dimension=axis)[1]
    return x


def _first(x: Any, count: int, axis: int) -> Any:
    return lax.slice_in_dim(x, 0, count, axis=axis)
