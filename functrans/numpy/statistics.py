"""Covariance, counting into bins, membership, and functions applied along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.trace import Tracer
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.creation import linspace, zeros
from functrans.numpy.cumulative import diff
from functrans.numpy.dispatch import mirrors
from functrans.numpy.elementary import sqrt
from functrans.numpy.indexing import at, getitem
from functrans.numpy.joining import concatenate
from functrans.numpy.manipulation import moveaxis, ravel, reshape, strong, transpose
from functrans.numpy.matrices import diagonal
from functrans.numpy.products import matmul
from functrans.numpy.promotion import promote, to_dtype
from functrans.numpy.reductions import any, average, max, min, sum
from functrans.numpy.selection import clip, where
from functrans.numpy.sorting import searchsorted


@mirrors(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """`numpy.cov`: the covariance matrix of variables in rows.

    >>> import functrans.numpy as fnp
    >>> fnp.cov([[0.0, 2.0], [2.0, 0.0]]).tolist()
    [[2.0, -2.0], [-2.0, 2.0]]
    """
    x = _variables(m, rowvar)
    if y is not None:
        x = concatenate([x, _variables(y, rowvar)], 0)
    wanted = np.result_type(dtype_of(x), np.float64) if dtype is None else np.dtype(dtype)
    x = to_dtype(x, wanted)
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = None
    for w in (fweights, aweights):
        if w is not None:
            w = to_dtype(strong(w), np.dtype(float))
            weights = w if weights is None else weights * w
    if weights is None:
        total: Any = float(shape_of(x)[1])
        norm = total - ddof
    else:
        total = sum(weights)
        spread = sum(weights * aweights) if aweights is not None else total
        norm = total - ddof * spread / total
    away = x - average(x, 1, weights, keepdims=True)
    scaled = away if weights is None else away * weights
    out = matmul(scaled, ufuncs.conj(transpose(away)))
    return _without_unit_axes(out * ufuncs.true_divide(1, norm))


def _variables(m: Any, rowvar: bool) -> Any:
    x = strong(m)
    if len(shape_of(x)) > 2:
        raise ShapeError(f"cov needs a vector or a matrix: got {aval_of(x)}.")
    if len(shape_of(x)) < 2:
        return reshape(x, (1, -1))
    return x if rowvar else transpose(x)


def _without_unit_axes(x: Any) -> Any:
    return reshape(x, tuple(n for n in shape_of(x) if n != 1))


@mirrors(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """`numpy.corrcoef`: the matrix of correlation coefficients of variables in rows.

    >>> import functrans.numpy as fnp
    >>> fnp.corrcoef([[0.0, 2.0], [2.0, 0.0]]).round(6).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    c = cov(x, y, rowvar, dtype=dtype)
    if not shape_of(c):
        return c / c
    deviation = sqrt(ufuncs.real(diagonal(c)))
    c = c / reshape(deviation, (-1, 1)) / deviation
    if dtype_of(c).kind == "c":
        from functrans.primitives.arithmetic import complex_p

        return complex_p.bind(clip(ufuncs.real(c), -1, 1), clip(ufuncs.imag(c), -1, 1))
    return clip(c, -1, 1)


def bincount(
    x: Any, /, weights: Any = None, minlength: int = 0, *, length: int | None = None
) -> Any:
    """`numpy.bincount`: how often each integer occurs, or the sum of its weights.

    Args:
        x: a vector of integers that are not negative.
        weights: a vector as long.
        minlength: the least extent of the result.
        length: its extent, as in JAX; needed where the values of x are not known, as under `jit`.
            Larger integers are then not counted.

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
    if weights is None:
        return at(zeros(length, np.int64))[v].add(1)
    return at(zeros(length))[v].add(to_dtype(strong(weights), np.dtype(float)))


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
    x = ravel(a)
    n = shape_of(edges)[0] - 1
    x, compared = promote(x, edges)
    place = searchsorted(compared, x, "right") - 1
    # the last bin includes its right edge
    place = where(ufuncs.equal(x, getitem(compared, n)), n - 1, place)
    inside = ufuncs.logical_and(
        ufuncs.greater_equal(x, getitem(compared, 0)), ufuncs.less_equal(x, getitem(compared, n))
    )
    amounts = where(inside, 1 if weights is None else ravel(weights), 0)
    start = zeros(n, dtype_of(amounts))
    counts = at(start)[clip(place, 0, n - 1)].add(amounts)
    if density:
        return counts / (sum(counts) * diff(edges)), edges
    return counts, edges


@mirrors(np.isin)
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: Any = None,
) -> Any:
    """`numpy.isin`: which elements are among those of another array.

    >>> import functrans.numpy as fnp
    >>> fnp.isin([1, 2, 3], [2, 5]).tolist()
    [False, True, False]
    """
    x, values = strong(element), ravel(test_elements)
    found = any(ufuncs.equal(reshape(x, (*shape_of(x), 1)), values), -1)
    return ufuncs.logical_not(found) if invert else found


def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any
) -> Any:
    """`numpy.apply_along_axis`: a function of vectors mapped over all other axes, by `vmap`.

    >>> import functrans.numpy as fnp
    >>> fnp.apply_along_axis(fnp.sum, 0, fnp.ones((2, 3))).tolist()
    [2.0, 2.0, 2.0]
    """
    from functrans.transforms.vmap import vmap

    x = strong(arr)
    axis = canonical_axis(axis, len(shape_of(x)))
    moved = moveaxis(x, axis, -1)
    lead = shape_of(moved)[:-1]
    rows = reshape(moved, (-1, shape_of(moved)[-1]))
    out = vmap(lambda row: func1d(row, *args, **kwargs))(rows)
    out = reshape(out, (*lead, *shape_of(out)[1:]))
    inner = len(shape_of(out)) - len(lead)
    places = tuple(axis + i for i in np.arange(inner).tolist())
    return moveaxis(out, tuple(len(lead) + i for i in np.arange(inner).tolist()), places)


def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """`numpy.apply_over_axes`: a reduction over several axes, one after the other.

    >>> import functrans.numpy as fnp
    >>> fnp.apply_over_axes(fnp.sum, fnp.ones((2, 3)), [0, 1]).tolist()
    [[6.0]]
    """
    x = strong(a)
    rank = len(shape_of(x))
    for axis in axes if isinstance(axes, list | tuple) else (axes,):
        axis = canonical_axis(axis, rank)
        out = func(x, axis)
        if len(shape_of(out)) < rank:
            shape = shape_of(out)
            out = reshape(out, (*shape[:axis], 1, *shape[axis:]))
        x = out
    return x
