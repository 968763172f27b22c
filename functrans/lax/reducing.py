"""Reductions, cumulative operations and sorting under `jax.lax`'s names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core import tree
from functrans.core.types import canonical_axes, canonical_axis, dtype_of, shape_of
from functrans.lax.associative import associative_scan
from functrans.lax.loops import scan
from functrans.numpy.promotion import as_array, to_dtype
from functrans.primitives import reductions as r
from functrans.primitives.shaping import reshape_p, transpose_p
from functrans.primitives.sorting import sort_p, top_k_p

Axes = Sequence[int]


def _reduction(name: str, primitive: Any, what: str) -> Callable[..., Any]:
    def function(operand: Any, axes: Axes) -> Any:
        x = as_array(operand)
        return primitive.bind(x, axes=canonical_axes(tuple(axes), len(shape_of(x))))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The {what} over axes, in the operand's dtype."
    return function


reduce_sum = _reduction("reduce_sum", r.reduce_sum_p, "sum")
reduce_prod = _reduction("reduce_prod", r.reduce_prod_p, "product")
reduce_max = _reduction("reduce_max", r.reduce_max_p, "maximum")
reduce_min = _reduction("reduce_min", r.reduce_min_p, "minimum")
reduce_or = _reduction("reduce_or", r.reduce_or_p, "logical or")
reduce_and = _reduction("reduce_and", r.reduce_and_p, "logical and")


def reduce(
    operands: Any, init_values: Any, computation: Callable[..., Any], dimensions: Axes
) -> Any:
    """Fold elements over axes with any associative and commutative computation.

    Args:
        operands: a tree of arrays of one shape.
        init_values: a tree like it of scalars that are neutral for the computation.
        computation: (a, b) → their combination, trees of scalars or equally shaped arrays.
        dimensions: the axes to fold over.

    >>> from functrans import lax
    >>> float(reduce(np.array([1.0, 2.0, 3.0]), 0.0, lax.add, (0,)))
    6.0
    """
    leaves, treedef = tree.flatten(operands)
    xs = [as_array(x) for x in leaves]
    ndim = len(shape_of(xs[0]))
    axes = canonical_axes(tuple(dimensions), ndim)
    kept = [i for i in range(ndim) if i not in axes]
    shape = tuple(shape_of(xs[0])[i] for i in kept)
    rows = [
        reshape_p.bind(
            transpose_p.bind(x, permutation=(*axes, *kept)), shape=(_folded(x, axes), *shape)
        )
        for x in xs
    ]
    starts = [
        fnp.broadcast_to(to_dtype(as_array(i), dtype_of(x)), shape)
        for i, x in zip(tree.leaves(init_values), xs, strict=True)
    ]
    carry = tree.unflatten(treedef, starts)
    folded = tree.unflatten(treedef, rows)
    return scan(lambda c, x: (computation(c, x), None), carry, folded)[0]


def _folded(x: Any, axes: Axes) -> int:
    return int(np.prod([shape_of(x)[a] for a in axes], dtype=int))


def argmax(operand: Any, axis: int, index_dtype: Any = np.int64) -> Any:
    """The position of the maximum along an axis.

    >>> int(argmax(np.array([1.0, 3.0, 2.0]), 0))
    1
    """
    return _arg(r.argmax_p, operand, axis, index_dtype)


def argmin(operand: Any, axis: int, index_dtype: Any = np.int64) -> Any:
    """The position of the minimum along an axis.

    >>> int(argmin(np.array([1.0, 3.0, 0.0]), 0))
    2
    """
    return _arg(r.argmin_p, operand, axis, index_dtype)


def _arg(primitive: Any, operand: Any, axis: int, index_dtype: Any) -> Any:
    x = as_array(operand)
    place = canonical_axis(axis, len(shape_of(x)))
    return to_dtype(primitive.bind(x, axis=place), np.dtype(index_dtype))


def _cumulative(name: str, primitive: Any, what: str) -> Callable[..., Any]:
    def function(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
        x = as_array(operand)
        return primitive.bind(x, axis=canonical_axis(axis, len(shape_of(x))), reverse=reverse)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The running {what} along an axis, in the operand's dtype."
    return function


cumsum = _cumulative("cumsum", r.cumsum_p, "sum")
cumprod = _cumulative("cumprod", r.cumprod_p, "product")
cummax = _cumulative("cummax", r.cummax_p, "maximum")
cummin = _cumulative("cummin", r.cummin_p, "minimum")


def cumlogsumexp(operand: Any, axis: int = 0, reverse: bool = False) -> Any:
    """The running log of the sum of exponentials along an axis.

    >>> cumlogsumexp(np.zeros(2)).round(3)
    array([0.   , 0.693])
    """
    return associative_scan(fnp.logaddexp, as_array(operand), reverse=reverse, axis=axis)


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """Sorted along an axis; of a tuple of arrays, all by the first `num_keys` of them, stably.

    Of an array alone 0.0 and -0.0, which are equal, come in any order.

    >>> sort(np.array([3.0, 1.0, 2.0]))
    array([1., 2., 3.])
    """
    single = not isinstance(operand, tuple | list)
    xs = [as_array(x) for x in ([operand] if single else operand)]
    place = canonical_axis(dimension, len(shape_of(xs[0])))
    out = sort_p.bind(*xs, axis=place, num_keys=num_keys)
    return out[0] if single else tuple(out)


def sort_key_val(keys: Any, values: Any, dimension: int = -1, is_stable: bool = True) -> tuple:
    """Keys sorted along an axis, and values in the same order.

    >>> sort_key_val(np.array([3.0, 1.0]), np.array([30.0, 10.0]))
    (array([1., 3.]), array([10., 30.]))
    """
    return sort((keys, values), dimension)


def top_k(operand: Any, k: int, axis: int = -1) -> tuple[Any, Any]:
    """The k greatest elements along an axis, greatest first, and their positions (int64).

    Of equal elements the earlier come first; nan counts as greatest.

    Raises:
        ShapeError: k is greater than the extent.

    >>> values, positions = top_k(np.array([1.0, 3.0, 2.0]), 2)
    >>> values, positions
    (array([3., 2.]), array([1, 2]))
    """
    x = as_array(operand)
    place = canonical_axis(axis, len(shape_of(x)))
    values, positions = top_k_p.bind(x, k=k, axis=place)
    return values, positions
