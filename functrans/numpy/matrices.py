"""Matrices of a special form: identity, triangles, diagonals, Vandermonde."""

from __future__ import annotations

from operator import index
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.creation import zeros
from functrans.numpy.dispatch import creates, mirrors
from functrans.numpy.manipulation import broadcast_to, moveaxis, ravel, reshape, strong
from functrans.numpy.promotion import to_dtype
from functrans.primitives import shaping
from functrans.primitives.arithmetic import convert, select_p
from functrans.primitives.shaping import concatenate_p, iota, slice_axis


def _offset_rows_columns(n: int, m: int, k: int) -> tuple[Any, Any]:
    """Row indices plus k, and column indices, that broadcast to (n, m)."""
    rows = reshape(iota((n,), 0, np.int64), (n, 1))
    return rows + k, iota((m,), 0, np.int64)


@creates(np.eye)
def eye(
    N: int,
    M: int | None = None,
    k: int = 0,
    dtype: Any = float,
    order: Any = "C",
    *,
    device: Any = None,
    like: Any = None,
) -> Any:
    """`numpy.eye`: ones on a diagonal.

    >>> import functrans.numpy as fnp
    >>> fnp.eye(2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    rows, columns = _offset_rows_columns(index(N), index(N if M is None else M), index(k))
    return convert(ufuncs.equal(rows, columns), dtype)


@creates(np.identity)
def identity(n: int, dtype: Any = None, *, like: Any = None) -> Any:
    """`numpy.identity`: the identity matrix.

    >>> import functrans.numpy as fnp
    >>> fnp.identity(1).tolist()
    [[1.0]]
    """
    return eye(n, dtype=float if dtype is None else dtype)


@creates(np.tri)
def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = float, *, like: Any = None) -> Any:
    """`numpy.tri`: ones on and below a diagonal.

    >>> import functrans.numpy as fnp
    >>> fnp.tri(2).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    rows, columns = _offset_rows_columns(index(N), index(N if M is None else M), index(k))
    return convert(ufuncs.greater_equal(rows, columns), dtype)


def _triangle(m: Any, k: int, lower: bool) -> Any:
    x = strong(m)
    if len(shape_of(x)) == 1:
        x = broadcast_to(x, shape_of(x) * 2)
    if len(shape_of(x)) < 2:
        raise ShapeError(f"a triangle needs an array with axes: got {aval_of(m)}.")
    rows, columns = shape_of(x)[-2:]
    below = tri(rows, columns, k if lower else k - 1, bool)
    zero = dtype_of(x).type(0)
    return select_p.bind(below, x, zero) if lower else select_p.bind(below, zero, x)


@mirrors(np.tril)
def tril(m: Any, k: int = 0) -> Any:
    """`numpy.tril`: with zeros above a diagonal.

    >>> import functrans.numpy as fnp
    >>> fnp.tril(fnp.ones((2, 2))).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    return _triangle(m, k, lower=True)


@mirrors(np.triu)
def triu(m: Any, k: int = 0) -> Any:
    """`numpy.triu`: with zeros below a diagonal.

    >>> import functrans.numpy as fnp
    >>> fnp.triu(fnp.ones((2, 2))).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return _triangle(m, k, lower=False)


@mirrors(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """`numpy.diagonal`: the elements on a diagonal of two axes, as the last axis.

    >>> import functrans.numpy as fnp
    >>> fnp.diagonal([[1, 2], [3, 4]]).tolist()
    [1, 4]
    """
    x = strong(a)
    rank = len(shape_of(x))
    if rank < 2:
        raise ShapeError(f"diagonal needs two axes or more: got {aval_of(x)}.")
    x = moveaxis(x, (canonical_axis(axis1, rank), canonical_axis(axis2, rank)), (-2, -1))
    *lead, n, m = shape_of(x)
    first = offset if offset >= 0 else -offset * m
    count = max(0, min(n, m - offset) if offset >= 0 else min(n + offset, m))
    # in the flattened matrix the diagonal is every (m + 1)-th element
    flat = reshape(x, (*lead, n * m))
    if count == 0:
        return slice_axis(flat, rank - 2, 0, 0)
    return slice_axis(flat, rank - 2, first, first + (count - 1) * (m + 1) + 1, m + 1)


@mirrors(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """`numpy.diag`: the matrix with a vector on a diagonal, or the diagonal of a matrix.

    >>> import functrans.numpy as fnp
    >>> fnp.diag([1, 2]).tolist()
    [[1, 0], [0, 2]]
    """
    x = strong(v)
    if len(shape_of(x)) == 2:
        return diagonal(x, k)
    if len(shape_of(x)) != 1:
        raise ShapeError(f"diag needs a vector or a matrix: got {aval_of(x)}.")
    count = shape_of(x)[0]
    n = count + abs(k)
    if count == 0:
        return zeros((n, n), dtype_of(x))
    # spread the vector so that its elements are n + 1 apart in the flattened matrix
    low = k if k >= 0 else -k * n
    high = n * n - low - (count + (count - 1) * n)
    return reshape(shaping.pad(x, (low,), (high,), (n,)), (n, n))


@mirrors(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """`numpy.diagflat`: the matrix with all elements on a diagonal.

    >>> import functrans.numpy as fnp
    >>> fnp.diagflat([[1], [2]]).tolist()
    [[1, 0], [0, 2]]
    """
    return diag(ravel(v), k)


@mirrors(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """`numpy.vander`: the matrix of powers of a vector, highest first.

    >>> import functrans.numpy as fnp
    >>> fnp.vander([2, 3], 3).tolist()
    [[4, 2, 1], [9, 3, 1]]
    """
    column = strong(x)
    if len(shape_of(column)) != 1:
        raise ShapeError(f"vander needs a vector: got {aval_of(column)}.")
    count = shape_of(column)[0] if N is None else index(N)
    dtype = np.result_type(dtype_of(column), int)
    column = reshape(to_dtype(column, dtype), (-1, 1))
    powers = [broadcast_to(dtype.type(1), shape_of(column))]
    for _ in range(count - 1):
        powers.append(powers[-1] * column)
    powers = powers[:count] if increasing else powers[:count][::-1]
    if not powers:
        return zeros((shape_of(column)[0], 0), dtype)
    return powers[0] if count == 1 else concatenate_p.bind(*powers, axis=1)
