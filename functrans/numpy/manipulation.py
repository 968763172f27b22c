"""Shapes, axes, broadcasting and dtypes of arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.trace import Tracer
from functrans.core.types import (
    aval_of,
    broadcast_shapes,
    canonical_axes,
    canonical_axis,
    dtype_of,
    promotion_key,
    shape_of,
)
from functrans.numpy.dispatch import mirrors
from functrans.numpy.promotion import as_array, to_dtype
from functrans.primitives.arithmetic import convert
from functrans.primitives.shaping import (
    broadcast_p,
    reshape_p,
    transpose_p,
)

Axis = int | Sequence[int] | None


def strong(x: Any) -> Any:
    """An array operand with a strong dtype, from an array, scalar, tracer or nested sequence."""
    x = as_array(x)
    return to_dtype(x, aval_of(x).dtype)


def extents_of(shape: Any) -> tuple[int, ...]:
    """A tuple of ints from an int or a sequence of ints."""
    if isinstance(shape, Sequence | np.ndarray) and np.ndim(shape) == 1:
        return tuple(index(n) for n in shape)
    return (index(shape),)


# --- shape --------------------------------------------------------------------------------------


@mirrors(np.reshape)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    """`numpy.reshape`; one extent may be -1, and is then inferred.

    >>> import functrans.numpy as fnp
    >>> fnp.reshape(fnp.arange(4), (2, -1)).tolist()
    [[0, 1], [2, 3]]
    """
    x = strong(a)
    extents = _resolve(extents_of(shape), x)
    if order in ("C", "A", "K"):
        return x if shape_of(x) == extents else reshape_p.bind(x, shape=extents)
    if order != "F":
        raise TypeError(f"reshape does not know the order {order!r}; use 'C' or 'F'.{user_line()}")
    return transpose(reshape_p.bind(transpose(x), shape=extents[::-1]))


def _resolve(extents: tuple[int, ...], x: Any) -> tuple[int, ...]:
    """The extents with -1 replaced by what the size leaves for it."""
    unknown = extents.count(-1)
    size = math.prod(shape_of(x))
    if unknown == 0 and math.prod(extents) == size and min(extents, default=0) >= 0:
        return extents
    known = math.prod(n for n in extents if n != -1)
    if unknown != 1 or min(extents) < -1 or known == 0 or size % known:
        raise ShapeError(
            f"cannot reshape an array of type {aval_of(x)} into shape {extents}: it has {size} "
            f"elements."
        )
    return tuple(size // known if n == -1 else n for n in extents)


@mirrors(np.ravel)
def ravel(a: Any, order: str = "C") -> Any:
    """`numpy.ravel`: the elements as a one-dimensional array.

    >>> import functrans.numpy as fnp
    >>> fnp.ravel([[1, 2], [3, 4]]).tolist()
    [1, 2, 3, 4]
    """
    return reshape(a, -1, order)


@mirrors(np.squeeze)
def squeeze(a: Any, axis: Axis = None) -> Any:
    """`numpy.squeeze`: without the axes of extent one, or without those named.

    >>> import functrans.numpy as fnp
    >>> fnp.squeeze(fnp.ones((1, 3, 1))).shape
    (3,)
    """
    x = strong(a)
    shape = shape_of(x)
    if axis is None:
        axes = tuple(i for i, n in enumerate(shape) if n == 1)
    else:
        axes = canonical_axes(axis, len(shape))
    if any(shape[i] != 1 for i in axes):
        raise ShapeError(f"cannot squeeze axis {axis} of {aval_of(x)}: its extent is not one.")
    return reshape(x, tuple(n for i, n in enumerate(shape) if i not in axes))


@mirrors(np.expand_dims)
def expand_dims(a: Any, axis: int | Sequence[int]) -> Any:
    """`numpy.expand_dims`: with new axes of extent one at the given places of the result.

    >>> import functrans.numpy as fnp
    >>> fnp.expand_dims(fnp.ones(3), (0, 2)).shape
    (1, 3, 1)
    """
    x = strong(a)
    places = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    rank = len(shape_of(x)) + len(places)
    axes = canonical_axes(places, rank)
    rest = iter(shape_of(x))
    return reshape(x, tuple(1 if i in axes else next(rest) for i in range(rank)))


def at_least(a: Any, rank: int) -> Any:
    x = strong(a)
    shape = shape_of(x)
    if len(shape) >= rank:
        return x
    if rank == 3:
        wide = {0: (1, 1, 1), 1: (1, *shape, 1), 2: (*shape, 1)}[len(shape)]
        return reshape(x, wide)
    return reshape(x, (*(1,) * (rank - len(shape)), *shape))


def _each(arrays: tuple, rank: int) -> Any:
    results = tuple(at_least(a, rank) for a in arrays)
    return results[0] if len(results) == 1 else results


@mirrors(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """`numpy.atleast_1d`: scalars become arrays with one element.

    >>> import functrans.numpy as fnp
    >>> fnp.atleast_1d(3.0).shape
    (1,)
    """
    return _each(arys, 1)


@mirrors(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """`numpy.atleast_2d`: axes are put in front.

    >>> import functrans.numpy as fnp
    >>> fnp.atleast_2d([1.0, 2.0]).shape
    (1, 2)
    """
    return _each(arys, 2)


@mirrors(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """`numpy.atleast_3d`: a vector becomes (1, n, 1), a matrix (m, n, 1).

    >>> import functrans.numpy as fnp
    >>> fnp.atleast_3d([1.0, 2.0]).shape
    (1, 2, 1)
    """
    return _each(arys, 3)


# --- axes ---------------------------------------------------------------------------------------


@mirrors(np.transpose)
def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    """`numpy.transpose`: the axes in the given order, reversed by default.

    >>> import functrans.numpy as fnp
    >>> fnp.transpose(fnp.ones((2, 3, 4)), (1, 0, 2)).shape
    (3, 2, 4)
    """
    x = strong(a)
    rank = len(shape_of(x))
    if axes is None:
        order = tuple(range(rank))[::-1]
    else:
        order = canonical_axes(tuple(axes), rank)
        if len(order) != rank:
            raise ShapeError(f"transpose of {aval_of(x)} needs {rank} axes, got {tuple(axes)}.")
    return x if order == tuple(range(rank)) else transpose_p.bind(x, permutation=order)


permute_dims = transpose


@mirrors(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Any:
    """`numpy.matrix_transpose`: with the last two axes swapped.

    >>> import functrans.numpy as fnp
    >>> fnp.matrix_transpose(fnp.ones((2, 3, 4))).shape
    (2, 4, 3)
    """
    if len(shape_of(as_array(x))) < 2:
        raise ShapeError(f"matrix_transpose needs two axes or more: got {aval_of(x)}.")
    return swapaxes(x, -1, -2)


@mirrors(np.swapaxes)
def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    """`numpy.swapaxes`: with two axes interchanged.

    >>> import functrans.numpy as fnp
    >>> fnp.swapaxes(fnp.ones((2, 3, 4)), 0, -1).shape
    (4, 3, 2)
    """
    x = strong(a)
    order = list(range(len(shape_of(x))))
    i, j = canonical_axis(axis1, len(order)), canonical_axis(axis2, len(order))
    order[i], order[j] = order[j], order[i]
    return transpose(x, order)


@mirrors(np.moveaxis)
def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    """`numpy.moveaxis`: with axes moved to new places, the others in their order.

    >>> import functrans.numpy as fnp
    >>> fnp.moveaxis(fnp.ones((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = strong(a)
    rank = len(shape_of(x))
    sources = canonical_axes(source, rank, "source axis")
    destinations = canonical_axes(destination, rank, "destination axis")
    if len(sources) != len(destinations):
        raise ShapeError(
            f"moveaxis needs as many destinations as sources: {source}, {destination}."
        )
    order = [i for i in range(rank) if i not in sources]
    for place, axis in sorted(zip(destinations, sources, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


@mirrors(np.rollaxis)
def rollaxis(a: Any, axis: int, start: int = 0) -> Any:
    """`numpy.rollaxis`: with one axis rolled back to lie before `start`.

    >>> import functrans.numpy as fnp
    >>> fnp.rollaxis(fnp.ones((2, 3, 4)), 2).shape
    (4, 2, 3)
    """
    rank = len(shape_of(as_array(a)))
    axis = canonical_axis(axis, rank)
    start = start + rank if start < 0 else start
    if not 0 <= start <= rank:
        raise ShapeError(f"rollaxis: start {start} is out of bounds for {rank} axes.")
    return moveaxis(a, axis, start - 1 if axis < start else start)


# --- broadcasting -------------------------------------------------------------------------------


@mirrors(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    """`numpy.broadcast_to`: the array repeated to a shape.

    >>> import functrans.numpy as fnp
    >>> fnp.broadcast_to(fnp.arange(2), (2, 2)).tolist()
    [[0, 1], [0, 1]]
    """
    x = strong(array)
    extents = extents_of(shape)
    return x if shape_of(x) == extents else broadcast_p.bind(x, shape=extents)


@mirrors(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Any, ...]:
    """`numpy.broadcast_arrays`: all arrays with their common shape.

    >>> import functrans.numpy as fnp
    >>> [x.shape for x in fnp.broadcast_arrays(fnp.ones(3), fnp.ones((2, 1)))]
    [(2, 3), (2, 3)]
    """
    xs = [strong(x) for x in args]
    shape = broadcast_shapes(*[shape_of(x) for x in xs]) if xs else ()
    return tuple(broadcast_to(x, shape) for x in xs)


# --- type ---------------------------------------------------------------------------------------


@mirrors(np.astype)
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """`numpy.astype`: the elements converted to a dtype.

    >>> import functrans.numpy as fnp, numpy as np
    >>> fnp.astype(np.array([1.5]), fnp.int64).tolist()
    [1]
    """
    return convert(as_array(x), dtype)


@mirrors(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """`numpy.copy`; a traced array needs none, since nothing writes to it.

    >>> import functrans.numpy as fnp
    >>> fnp.copy([1, 2]).tolist()
    [1, 2]
    """
    return strong(a)


@mirrors(np.shape)
def shape(a: Any) -> tuple[int, ...]:
    """`numpy.shape`: the extents of the axes.

    >>> import functrans.numpy as fnp
    >>> fnp.shape([[1, 2]])
    (1, 2)
    """
    return shape_of(as_array(a))


@mirrors(np.ndim)
def ndim(a: Any) -> int:
    """`numpy.ndim`: the number of axes.

    >>> import functrans.numpy as fnp
    >>> fnp.ndim([[1, 2]])
    2
    """
    return len(shape_of(as_array(a)))


@mirrors(np.size)
def size(a: Any, axis: Axis = None) -> int:
    """`numpy.size`: the number of elements, or the extent along an axis.

    >>> import functrans.numpy as fnp
    >>> fnp.size([[1, 2]])
    2
    """
    extents = shape_of(as_array(a))
    return math.prod(extents[i] for i in canonical_axes(axis, len(extents)))


@mirrors(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """`numpy.result_type`: the dtype of a combination of arrays and dtypes.

    >>> import functrans.numpy as fnp
    >>> fnp.result_type(fnp.float32, 1.0)
    dtype('float32')
    """
    return np.result_type(*[_promoted_as(x) for x in arrays_and_dtypes])


def _promoted_as(x: Any) -> Any:
    """What NumPy promotes like x: the dtype of a traced array, or a number for a weak one."""
    if type(x) is not Tracer:
        return x
    key = promotion_key(x.aval)
    return key if isinstance(key, np.dtype) else key(0)


@mirrors(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """`numpy.can_cast`: whether a conversion between dtypes is allowed by a rule.

    >>> import functrans.numpy as fnp
    >>> fnp.can_cast(fnp.int32, fnp.float64)
    True
    """
    source, target = (x.dtype if type(x) is Tracer else x for x in (from_, to))
    return np.can_cast(source, target, casting)


@mirrors(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """`numpy.iscomplexobj`: whether the dtype is complex.

    >>> import functrans.numpy as fnp
    >>> fnp.iscomplexobj(1j)
    True
    """
    return dtype_of(as_array(x)).kind == "c"


@mirrors(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """`numpy.isrealobj`: whether the dtype is not complex.

    >>> import functrans.numpy as fnp
    >>> fnp.isrealobj(1.0)
    True
    """
    return dtype_of(as_array(x)).kind != "c"
