"""Norms of vectors and matrices, whose derivative is 0 where they have none: at zero.

Zero is a subgradient of every norm there, where the quotient x / |x| would be nan, as in gradients
of distances between equal points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axes, dtype_of, shape_of
from functrans.numpy import reductions, ufuncs
from functrans.numpy.dispatch import mirrors
from functrans.numpy.elementary import sqrt
from functrans.numpy.manipulation import moveaxis, ravel, reshape, strong
from functrans.numpy.promotion import to_dtype
from functrans.primitives.arithmetic import full_like, select_p, zeros_like
from functrans.primitives.decompositions import svdvals_p

Axis = int | Sequence[int] | None


def _operand(x: Any) -> Any:
    x = strong(x)
    return x if dtype_of(x).kind in "fc" else to_dtype(x, np.dtype(float))


def _apart_from_zero(function: Any, x: Any, at_zero: float = 0.0) -> Any:
    """function(x), with the given value and derivative 0 where x is 0."""
    is_zero = ufuncs.equal(x, 0)
    y = function(select_p.bind(is_zero, full_like(x, 1), x))
    return select_p.bind(is_zero, full_like(y, at_zero), y)


def _euclidean(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if dtype_of(x).kind == "c":
        squares = ufuncs.square(ufuncs.real(x)) + ufuncs.square(ufuncs.imag(x))
    else:
        squares = ufuncs.square(x)
    return _apart_from_zero(sqrt, reductions.sum(squares, axes, keepdims=keepdims))


def _of_vectors(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if order is None or order == 2:
        return _euclidean(x, axes, keepdims)
    if isinstance(order, str):
        raise ValueError(f"Invalid norm order {order!r} for vectors{user_line()}")
    size = ufuncs.absolute(x)
    if order == np.inf:
        return reductions.max(size, axes, keepdims=keepdims)
    if order == -np.inf:
        return reductions.min(size, axes, keepdims=keepdims)
    if order == 0:
        count = reductions.sum(ufuncs.not_equal(x, 0), axes, keepdims=keepdims)
        return to_dtype(count, dtype_of(size))
    if order == 1:
        return reductions.sum(size, axes, keepdims=keepdims)
    power = dtype_of(size).type(order)
    beyond = np.inf if order < 0 else 0.0  # 0 ** order
    powers = _apart_from_zero(lambda v: ufuncs.power(v, power), size, beyond)
    total = reductions.sum(powers, axes, keepdims=keepdims)
    # for negative orders an element of zero makes the total infinite and the norm zero
    known = ufuncs.isfinite(total) if order < 0 else None
    finite = total if known is None else select_p.bind(known, total, zeros_like(total))
    return _apart_from_zero(lambda v: ufuncs.power(v, 1 / power), finite)


def _of_matrices(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    rows, columns = axes
    if order is None or order in ("fro", "f"):
        return _euclidean(x, axes, keepdims)
    if order in (2, -2, "nuc"):
        out = _of_singular_values(moveaxis(x, axes, (-2, -1)), order)
    elif order in (1, -1):
        out = _extreme_sum(x, order, rows, columns)
    elif order in (np.inf, -np.inf):
        out = _extreme_sum(x, order, columns, rows)
    else:
        raise ValueError(f"Invalid norm order {order!r} for matrices{user_line()}")
    shape = [1 if i in axes else n for i, n in enumerate(shape_of(x)) if keepdims or i not in axes]
    return reshape(out, tuple(shape))


def _of_singular_values(x: Any, order: Any) -> Any:
    s = _apart_from_zero(lambda v: v, svdvals_p.bind(x))
    if order == "nuc":
        return reductions.sum(s, -1)
    # equal ones share the derivative, so it does not depend on which vectors they were given
    return reductions.max(s, -1) if order == 2 else reductions.min(s, -1)


def _extreme_sum(x: Any, order: Any, summed: int, rest: int) -> Any:
    extremum = reductions.max if order > 0 else reductions.min
    sums = reductions.sum(ufuncs.absolute(x), summed, keepdims=True)
    return extremum(sums, rest, keepdims=True)


@mirrors(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """`numpy.linalg.norm`: the norm of vectors along an axis, or of matrices in two.

    Args:
        x: an array.
        ord: for vectors any number, inf or -inf; for matrices "fro", "nuc", 1, -1, 2, -2, inf,
            -inf; None for the root of the sum of squares.
        axis: of the vectors, or the two of the matrices; None for all of x.

    Returns:
        Norms; the derivative of a norm that is zero is zero, and so is its share from elements, or
        singular values, that are zero.

    >>> import functrans as ft
    >>> import functrans.numpy as fnp
    >>> float(fnp.linalg.norm([3.0, 4.0]))
    5.0
    >>> ft.grad(fnp.linalg.norm)(np.zeros(2)).tolist()
    [0.0, 0.0]
    """
    v = _operand(x)
    rank = len(shape_of(v))
    if axis is None and ord is None:
        out = _euclidean(ravel(v), (0,), False)
        return reshape(out, (1,) * rank) if keepdims else out
    axes = canonical_axes(axis, rank)
    if len(axes) == 1:
        return _of_vectors(v, ord, axes, keepdims)
    if len(axes) == 2:
        return _of_matrices(v, ord, axes, keepdims)
    raise ShapeError(
        f"norm needs one axis for vectors or two for matrices: got {aval_of(v)} and axis={axis}."
    )


@mirrors(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """`numpy.linalg.vector_norm`: the norm over axes, of which all elements are one vector.

    >>> import functrans.numpy as fnp
    >>> float(fnp.linalg.vector_norm([[1.0, 1.0], [1.0, 1.0]]))
    2.0
    """
    v = _operand(x)
    return _of_vectors(v, ord, canonical_axes(axis, len(shape_of(v))), keepdims)


@mirrors(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """`numpy.linalg.matrix_norm`: the norms of matrices, in the last two axes.

    >>> import functrans.numpy as fnp
    >>> float(fnp.linalg.matrix_norm([[1.0, 2.0], [3.0, 4.0]], ord=1))
    6.0
    """
    v = _operand(x)
    rank = len(shape_of(v))
    if rank < 2:
        raise ShapeError(f"matrix_norm needs two axes or more: got {aval_of(v)}.")
    return _of_matrices(v, ord, (rank - 2, rank - 1), keepdims)


__all__ = ["matrix_norm", "norm", "vector_norm"]
