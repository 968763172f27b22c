"""Vectors as sets: unions, intersections and differences, sorted.

How many elements they have depends on values: where these are not known, a `size` is needed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.errors import ConcretizationError
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.creation import full
from functrans.numpy.dispatch import has_tracer
from functrans.numpy.index_functions import nonzero, take
from functrans.numpy.joining import concatenate
from functrans.numpy.manipulation import ravel
from functrans.numpy.promotion import promote, to_dtype
from functrans.numpy.reductions import min
from functrans.numpy.selection import clip, where
from functrans.numpy.sorting import argsort, searchsorted, sort, starts_of_runs, unique
from functrans.numpy.statistics import isin


def union1d(ar1: Any, ar2: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """`numpy.union1d`: the elements of either array.

    Args:
        ar1, ar2: arrays, taken as flat.
        size: how many to return; needed under `jit` and `vmap`. Surplus ones are cut off.
        fill_value: what missing ones are; by default the least element.

    >>> import functrans as ft
    >>> union1d([3, 1], [1, 2])
    array([1, 2, 3])
    >>> ft.jit(lambda x, y: union1d(x, y, size=4, fill_value=0))(np.array([3, 1]), np.array([1, 2]))
    array([1, 2, 3, 0])
    """
    if size is None:
        if not has_tracer((ar1, ar2)):
            return np.union1d(ar1, ar2)
        _need_values("union1d", ar1, ar2)
    return unique(concatenate(promote(ravel(ar1), ravel(ar2))), size=size, fill_value=fill_value)


def intersect1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    return_indices: Any = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """`numpy.intersect1d`: the elements of both arrays.

    Args:
        ar1, ar2: arrays, taken as flat.
        assume_unique: no array has an element twice.
        return_indices: give also where each element is first in ar1 and in ar2; missing ones are
            the numbers of elements there.
        size, fill_value: as in `union1d`.

    >>> intersect1d([3, 1, 2], [2, 3, 5], return_indices=True)
    (array([2, 3]), array([2, 0]), array([0, 1]))
    """
    if size is None:
        if not has_tracer((ar1, ar2)):
            return np.intersect1d(ar1, ar2, assume_unique, return_indices)
        _need_values("intersect1d", ar1, ar2)
    x, y = promote(ravel(ar1), ravel(ar2))
    order, other = argsort(x), argsort(y)
    x, y = take(x, order), take(y, other)
    places = _chosen(_is_first(x) & isin(x, y), size)
    values = _taken(x, places, fill_value)
    if not return_indices:
        return values
    index = _taken(order, places, shape_of(x)[0])
    there = take(other, searchsorted(y, values), mode="clip")
    return values, index, where(places < shape_of(x)[0], there, shape_of(y)[0])


def setdiff1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """`numpy.setdiff1d`: the elements of the first array that are not in the second.

    Args:
        ar1, ar2: arrays, taken as flat.
        assume_unique: no array has an element twice; the order is then that of ar1.
        size: as in `union1d`.
        fill_value: what missing ones are; by default 0.

    >>> setdiff1d([3, 1, 2, 3], [2, 5])
    array([1, 3])
    """
    if size is None:
        if not has_tracer((ar1, ar2)):
            return np.setdiff1d(ar1, ar2, assume_unique)
        _need_values("setdiff1d", ar1, ar2)
    x = ravel(ar1)
    if assume_unique:
        kept = isin(x, ar2, invert=True)
    else:
        x = sort(x)
        kept = _is_first(x) & isin(x, ar2, invert=True)
    return _taken(x, _chosen(kept, size), 0 if fill_value is None else fill_value)


def setxor1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """`numpy.setxor1d`: the elements of exactly one of two arrays; arguments as `intersect1d`.

    >>> setxor1d([3, 1, 2], [2, 3, 5])
    array([1, 5])
    """
    if size is None:
        if not has_tracer((ar1, ar2)):
            return np.setxor1d(ar1, ar2, assume_unique)
        _need_values("setxor1d", ar1, ar2)
    x, y = (sort(v) for v in promote(ravel(ar1), ravel(ar2)))
    alone = concatenate(
        [_is_first(x) & isin(x, y, invert=True), _is_first(y) & isin(y, x, invert=True)]
    )
    both = concatenate([x, y])
    order = argsort(both)
    return _taken(take(both, order), _chosen(take(alone, order), size), fill_value)


def _need_values(name: str, *arrays: Any) -> None:
    for x in arrays:
        if type(x) is Tracer and x.value is UNKNOWN:
            raise ConcretizationError(
                f"how many elements {name} has of an array of type {aval_of(x)} is not known while "
                f"tracing.\n  Give {name} a static size= (and fill_value=)."
            )


def _is_first(x: Any) -> Any:
    """Which elements of a sorted vector differ from the one before."""
    return starts_of_runs(x.reshape(-1, 1), True) if x.size else full(0, True)


def _chosen(mask: Any, size: int | None) -> Any:
    """Where the mask is true; its extent for what is missing of `size` places."""
    return nonzero(mask, size=size, fill_value=shape_of(mask)[0])[0]


def _taken(x: Any, places: Any, fill_value: Any) -> Any:
    """The elements at these places; beyond the end the fill value, by default the first of them."""
    n, size = shape_of(x)[0], shape_of(places)[0]
    if not n or not size:
        return full(size, 0 if fill_value is None else fill_value, dtype_of(x))
    if fill_value is None:
        return take(x, where(places < n, places, clip(min(places), 0, n - 1)))
    fill = to_dtype(fill_value, dtype_of(x))
    return where(ufuncs.less(places, n), take(x, clip(places, 0, n - 1)), fill)
