"""Counting into bins: of integers, of numbers and of points in several dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.trace import Tracer
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.creation import linspace, zeros
from functrans.numpy.cumulative import diff
from functrans.numpy.dispatch import mirrors
from functrans.numpy.indexing import at, getitem
from functrans.numpy.joining import stack
from functrans.numpy.manipulation import ravel, reshape, strong
from functrans.numpy.promotion import promote, to_dtype
from functrans.numpy.reductions import max, min, sum
from functrans.numpy.selection import clip, where
from functrans.numpy.sorting import searchsorted


def bincount(
    x: Any, /, weights: Any = None, minlength: int = 0, *, length: int | None = None
) -> Any:
    """`numpy.bincount`: how often each integer occurs, or the sum of its weights.

    Args:
        x: a vector of integers that are not negative.
        weights: a vector as long.
        minlength: the least extent of the result.
        length: its extent, as in JAX; needed where the values of x are not known, as under `jit`.
            Larger integers are then not counted, and negative ones as 0.

    >>> import functrans.numpy as fnp
    >>> fnp.bincount([0, 2, 2]).tolist()
    [1, 0, 2]
    """
    if length is None and type(x) is not Tracer and type(weights) is not Tracer:
        return np.bincount(x, weights, minlength)
    v = strong(x)
    if len(shape_of(v)) != 1 or dtype_of(v).kind not in "iu":
        raise TypeError(f"bincount needs a vector of integers: got {aval_of(v)}.{user_line()}")
    if length is None:
        advice = "The length of the result depends on it: give length=."
        known = np.asarray(v.concrete("bincount", advice) if type(v) is Tracer else v)
        length = int(np.maximum(known.max(initial=-1) + 1, minlength))
    v = ufuncs.maximum(v, 0)  # as in JAX; an index that is negative would count from the end
    if weights is None:
        return at(zeros(length, np.int64))[v].add(1, mode="drop")
    return at(zeros(length))[v].add(to_dtype(strong(weights), np.dtype(float)), mode="drop")


@mirrors(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """`numpy.histogram_bin_edges`: the edges of bins of equal width; the number must be given.

    >>> import functrans.numpy as fnp
    >>> fnp.histogram_bin_edges([0.0, 2.0], 2).tolist()
    [0.0, 1.0, 2.0]
    """
    if isinstance(bins, str):
        raise TypeError(f"bins={bins!r} depends on the values of a traced array.{user_line()}")
    if np.ndim(bins) == 1:
        return strong(bins)
    x = ravel(a)
    x = x if dtype_of(x).kind in "fc" else to_dtype(x, np.dtype(float))
    low, high = (min(x), max(x)) if range is None else range
    same = ufuncs.equal(low, high)
    low, high = where(same, low - 0.5, low), where(same, high + 0.5, high)
    return linspace(low, high, int(bins) + 1)


@mirrors(np.histogram)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Any, Any]:
    """`numpy.histogram`: how many elements lie in each bin, and the edges of the bins.

    >>> import functrans.numpy as fnp
    >>> counts, edges = fnp.histogram([0.0, 0.5, 2.0], 2)
    >>> counts.tolist()
    [2, 1]
    """
    edges = histogram_bin_edges(a, bins, range, weights)
    place, inside = _places(ravel(a), edges)
    amounts = where(inside, 1 if weights is None else ravel(weights), 0)
    counts = at(zeros(shape_of(edges)[0] - 1, dtype_of(amounts)))[place].add(amounts)
    if density:
        return counts / (sum(counts) * diff(edges)), edges
    return counts, edges


def _places(x: Any, edges: Any) -> tuple[Any, Any]:
    """For each element the bin that it lies in, and whether it lies in any."""
    n = shape_of(edges)[0] - 1
    x, edges = promote(x, edges)
    place = searchsorted(edges, x, "right") - 1
    # the last bin includes its right edge
    place = where(ufuncs.equal(x, getitem(edges, n)), n - 1, place)
    inside = ufuncs.logical_and(
        ufuncs.greater_equal(x, getitem(edges, 0)), ufuncs.less_equal(x, getitem(edges, n))
    )
    return clip(place, 0, n - 1), inside


@mirrors(np.histogramdd)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: bool | None = None, weights: Any = None
) -> tuple[Any, Any]:
    """`numpy.histogramdd`: how many points lie in each box of a grid, and the edges of its bins.

    Args:
        sample: points (n, d), or a list of d vectors (n,).
        bins: the number of bins, or a list with a number or a vector of edges per dimension.
        range: a list of pairs (lowest, highest edge), or None, per dimension.
        density: divide by the number of points and the volumes of boxes.
        weights: a vector (n,).

    Returns:
        Floats with d axes, and a tuple of d vectors of edges.

    >>> import functrans.numpy as fnp
    >>> counts, edges = fnp.histogramdd(fnp.array([[0.0, 0.0], [0.1, 0.9], [1.0, 1.0]]), 2)
    >>> counts.tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    points = stack(list(sample), 1) if isinstance(sample, list | tuple) else strong(sample)
    if len(shape_of(points)) != 2:
        points = reshape(points, (-1, 1)) if len(shape_of(points)) == 1 else points
        if len(shape_of(points)) != 2:
            raise ShapeError(f"histogramdd needs points (n, d): got {aval_of(points)}.")
    d = shape_of(points)[1]
    columns = [getitem(points, (slice(None), i)) for i in np.arange(d).tolist()]
    per_axis = zip(columns, _per_axis("bins", bins, d), _per_axis("range", range, d), strict=True)
    edges = tuple(histogram_bin_edges(x, b, r) for x, b, r in per_axis)
    shape = tuple(shape_of(e)[0] - 1 for e in edges)
    box: Any = 0
    inside: Any = True
    for x, e, n in zip(columns, edges, shape, strict=True):
        place, within = _places(x, e)
        box, inside = box * n + place, ufuncs.logical_and(inside, within)
    amount = 1.0 if weights is None else to_dtype(ravel(weights), np.dtype(float))
    amounts = where(inside, amount, 0)
    counts = reshape(at(zeros(math.prod(shape)))[box].add(amounts), shape)
    if density:
        counts = counts / sum(counts)
        for i, e in enumerate(edges):
            counts = counts / reshape(diff(e), (-1,) + (1,) * (d - 1 - i))
    return counts, edges


def _per_axis(name: str, value: Any, d: int) -> Sequence[Any]:
    """One value per dimension."""
    if not hasattr(value, "__len__"):
        return [value] * d
    if len(value) != d:
        raise ShapeError(f"histogramdd of {d} dimensions needs {d} {name}: got {len(value)}.")
    return value


@mirrors(np.histogram2d)
def histogram2d(
    x: Any,
    y: Any,
    bins: Any = 10,
    range: Any = None,
    density: bool | None = None,
    weights: Any = None,
) -> tuple[Any, Any, Any]:
    """`numpy.histogram2d`: how many points lie in each rectangle, and the edges in x and in y.

    Arguments are those of `histogramdd`; `bins` may also be one vector of edges for both.

    >>> import functrans.numpy as fnp
    >>> fnp.histogram2d(fnp.array([0.0, 0.1, 1.0]), fnp.array([0.0, 0.9, 1.0]), 2)[0].tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    for_both = hasattr(bins, "__len__") and len(bins) > 2
    counts, (first, second) = histogramdd(
        [x, y], [bins, bins] if for_both else bins, range, density, weights
    )
    return counts, first, second
