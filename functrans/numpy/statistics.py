"""Covariance, membership, and functions applied along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import mirrors
from functrans.numpy.elementary import sqrt
from functrans.numpy.joining import concatenate
from functrans.numpy.manipulation import moveaxis, ravel, reshape, strong, transpose
from functrans.numpy.matrices import diagonal
from functrans.numpy.products import matmul
from functrans.numpy.promotion import to_dtype
from functrans.numpy.reductions import any, average, sum
from functrans.numpy.selection import clip


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
