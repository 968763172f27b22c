"""`functrans.numpy.linalg`: NumPy's linear algebra under NumPy's names.

Where NumPy raises LinAlgError for a value (a singular matrix, one that is not positive definite),
these give nan, as JAX does: so eager, traced and compiled calls agree, and a bad matrix leaves the
rest of its stack alone. Shapes that do not fit raise ShapeError.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import Any, NamedTuple

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy import matrices, products
from functrans.numpy.decompositions import (
    cond,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    lstsq,
    matrix_rank,
    pinv,
    qr,
    svd,
    svdvals,
)
from functrans.numpy.dispatch import mirrors
from functrans.numpy.manipulation import broadcast_to, matrix_transpose, reshape, strong, transpose
from functrans.numpy.norms import matrix_norm, norm, vector_norm
from functrans.numpy.products import matmul, tensordot, vecdot
from functrans.numpy.systems import inexact, right_hand_sides, square, without_column
from functrans.primitives import determinants as d
from functrans.primitives import linear_algebra as p

LinAlgError = np.linalg.LinAlgError
"""NumPy's; only eager calls of functions that are NumPy's own raise it."""


class SlogdetResult(NamedTuple):
    """The sign of a determinant (for complex matrices its phase), and log |determinant|."""

    sign: Any
    logabsdet: Any


# --- factorisations and systems -------------------------------------------------------------------


def cholesky(a: Any, /, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    """`numpy.linalg.cholesky`: the lower triangular L with L Lᴴ = a, or the upper Lᴴ.

    Args:
        a: Hermitian positive definite matrices (…, n, n).
        upper: return Lᴴ.
        symmetrize_input: as in JAX, use (a + aᴴ) / 2, so that derivatives are Hermitian. Otherwise
            only the triangle in which the result lies is read.

    Returns:
        Triangular matrices; nan where the matrix is not positive definite.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]]).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    x = square("cholesky", a)
    if symmetrize_input:
        x = (x + p.adjoint(x)) * dtype_of(x).type(0.5)
    elif upper:
        x = p.adjoint(x)
    factor = p.cholesky_p.bind(x)
    return p.adjoint(factor) if upper else factor


def solve(a: Any, b: Any) -> Any:
    """`numpy.linalg.solve`: x with a x = b.

    Args:
        a: square matrices (…, n, n).
        b: one vector (n,) or matrices of right-hand sides (…, n, m).

    Returns:
        An array like b; nan where a is singular.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0]).tolist()
    [1.0, 1.0]
    """
    x, y = inexact(a, b)
    x = square("solve", x)
    x, y, vector = right_hand_sides("solve", x, y)
    out = p.solve_p.bind(x, y)
    return without_column(out) if vector else out


def inv(a: Any) -> Any:
    """`numpy.linalg.inv`: inverse matrices; nan where a is singular.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    return p.inv_p.bind(square("inv", a))


def tensorsolve(a: Any, b: Any, axes: Sequence[int] | None = None) -> Any:
    """`numpy.linalg.tensorsolve`: x with tensordot(a, x, x.ndim) = b.

    Args:
        a: an array (*b.shape, *x.shape), with as many elements in b as in x.
        b: an array.
        axes: axes of a to put last before, in this order.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.tensorsolve(2 * fnp.eye(6).reshape(3, 2, 6), fnp.ones((3, 2))).tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    x, y = inexact(a, b)
    last = [canonical_axis(axis, len(shape_of(x))) for axis in axes or ()]
    x = transpose(x, [i for i in range(len(shape_of(x))) if i not in last] + last)
    rows, columns = shape_of(x)[: len(shape_of(y))], shape_of(x)[len(shape_of(y)) :]
    size = math.prod(rows)
    if size != aval_of(y).size or size != math.prod(columns):
        raise ShapeError(
            "tensorsolve needs as many elements in b as in the first and in the other axes of a: "
            f"got a: {aval_of(x)} and b: {aval_of(y)}."
        )
    return reshape(solve(reshape(x, (size, size)), reshape(y, (size,))), columns)


def tensorinv(a: Any, ind: int = 2) -> Any:
    """`numpy.linalg.tensorinv`: the inverse of tensordot(a, ·), where `ind` axes come first.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.tensorinv(fnp.eye(6).reshape(2, 3, 6)).shape
    (6, 2, 3)
    """
    (x,) = inexact(a)
    if ind <= 0:
        raise ValueError(f"tensorinv needs ind from 1 on, got {ind}.{user_line()}")
    rows, columns = shape_of(x)[:ind], shape_of(x)[ind:]
    size = math.prod(rows)
    if size != math.prod(columns):
        raise ShapeError(
            f"tensorinv needs as many elements in the first {ind} axes as in the others: got "
            f"{aval_of(x)}."
        )
    return reshape(inv(reshape(x, (size, size))), (*columns, *rows))


def det(a: Any) -> Any:
    """`numpy.linalg.det`: determinants.

    First and second derivatives are right at singular matrices too; from the third on they need
    an inverse, unless the matrices are three by three or smaller.

    >>> import functrans as ft
    >>> import functrans.numpy as fnp
    >>> float(fnp.linalg.det([[2.0, 0.0], [0.0, 1.0]]))
    2.0
    >>> ft.grad(fnp.linalg.det)(np.diag([0.0, 4.0])).tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    return d.det_p.bind(square("det", a))


def slogdet(a: Any) -> SlogdetResult:
    """`numpy.linalg.slogdet`: the sign (or phase) and the logarithm of |determinant|.

    >>> import functrans.numpy as fnp
    >>> sign, logarithm = fnp.linalg.slogdet([[-1.0, 0.0], [0.0, 1.0]])
    >>> float(sign), float(logarithm)
    (-1.0, 0.0)
    """
    return SlogdetResult(*d.slogdet_p.bind(square("slogdet", a)))


# --- powers and chains ----------------------------------------------------------------------------


def matrix_power(a: Any, n: int) -> Any:
    """`numpy.linalg.matrix_power`: the product of n copies, of the inverse if n is negative.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.matrix_power([[1, 1], [0, 1]], 5).tolist()
    [[1, 5], [0, 1]]
    """
    x, n = strong(a), index(n)
    aval = aval_of(x)
    if aval.ndim < 2 or aval.shape[-1] != aval.shape[-2]:
        raise ShapeError(f"matrix_power needs square matrices: got {aval}.")
    if n == 0:
        return broadcast_to(matrices.eye(aval.shape[-1], dtype=aval.dtype), aval.shape)
    if n < 0:
        x, n = inv(x), -n
    result = None
    while True:
        if n & 1:
            result = x if result is None else matmul(result, x)
        n >>= 1
        if not n:
            return result
        x = matmul(x, x)


@mirrors(np.linalg.multi_dot)
def multi_dot(arrays: Sequence[Any], *, out: None = None) -> Any:
    """`numpy.linalg.multi_dot`: the product of a chain of matrices, in the order that is cheapest.

    The first and the last may be vectors.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.multi_dot([fnp.ones((2, 9)), fnp.ones((9, 2)), fnp.ones(2)]).tolist()
    [18.0, 18.0]
    """
    if out is not None:
        raise TypeError(f"traced arrays are never written to; use the result.{user_line()}")
    xs = [strong(x) for x in arrays]
    if len(xs) < 2:
        raise ValueError(f"multi_dot needs two arrays or more, got {len(xs)}.{user_line()}")
    ranks = [len(shape_of(x)) for x in xs]
    if ranks[0] == 1:
        xs[0] = reshape(xs[0], (1, -1))
    if ranks[-1] == 1:
        xs[-1] = reshape(xs[-1], (-1, 1))
    if any(len(shape_of(x)) != 2 for x in xs):
        shown = ", ".join(str(aval_of(x)) for x in arrays)
        raise ShapeError(f"multi_dot needs matrices, and vectors only at the ends: got {shown}.")
    result = _chain(xs, _cheapest(xs), 0, len(xs) - 1)
    kept = [n for n, r in zip(shape_of(result), (ranks[0], ranks[-1]), strict=True) if r != 1]
    return reshape(result, tuple(kept))


def _cheapest(xs: Sequence[Any]) -> dict[tuple[int, int], int]:
    """For each part i…j of the chain, after which of its matrices to divide it."""
    extents = [shape_of(x)[0] for x in xs] + [shape_of(xs[-1])[1]]
    count = len(xs)
    costs = {(i, i): 0 for i in range(count)}
    divisions = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            options = [
                costs[i, k] + costs[k + 1, j] + extents[i] * extents[k + 1] * extents[j + 1]
                for k in range(i, j)
            ]
            costs[i, j] = min(options)
            divisions[i, j] = i + options.index(costs[i, j])
    return divisions


def _chain(xs: Sequence[Any], divisions: dict[tuple[int, int], int], i: int, j: int) -> Any:
    if i == j:
        return xs[i]
    k = divisions[i, j]
    return matmul(_chain(xs, divisions, i, k), _chain(xs, divisions, k + 1, j))


# --- functions whose arguments differ from those of the main namespace ----------------------------


def _matrices(name: str, x: Any) -> Any:
    x = strong(x)
    if len(shape_of(x)) < 2:
        raise ShapeError(f"{name} needs two axes or more: got {aval_of(x)}.")
    return x


def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """`numpy.linalg.diagonal`: the diagonals of matrices, in the last two axes.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.diagonal(fnp.ones((5, 3, 3))).shape
    (5, 3)
    """
    return matrices.diagonal(_matrices("diagonal", x), offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """`numpy.linalg.trace`: the sums of the diagonals of matrices, in the last two axes.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.trace(fnp.ones((2, 3, 3))).tolist()
    [3.0, 3.0]
    """
    return products.trace(_matrices("trace", x), offset, -2, -1, dtype)


def outer(x1: Any, x2: Any, /) -> Any:
    """`numpy.linalg.outer`: all products of an element of one vector and one of another.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    x, y = strong(x1), strong(x2)
    if len(shape_of(x)) != 1 or len(shape_of(y)) != 1:
        raise ShapeError(f"outer needs vectors: got {aval_of(x)} and {aval_of(y)}.")
    return products.outer(x, y)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """`numpy.linalg.cross`: the vector product of vectors of three elements.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.cross([1, 0, 0], [0, 1, 0]).tolist()
    [0, 0, 1]
    """
    x, y = strong(x1), strong(x2)
    if any(not shape_of(v) or shape_of(v)[axis] != 3 for v in (x, y)):
        raise ShapeError(
            f"cross needs vectors of three elements: got {aval_of(x)} and {aval_of(y)}."
        )
    return products.cross(x, y, axis=axis)


__all__ = [
    "LinAlgError",
    "SlogdetResult",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]
