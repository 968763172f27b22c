"""Matrices with a structure, made of their parts: block diagonal and Toeplitz."""

from __future__ import annotations

from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.types import aval_of, shape_of
from functrans.numpy.manipulation import strong
from functrans.numpy.promotion import to_dtype


def block_diag(*arrs: Any) -> Any:
    """`scipy.linalg.block_diag`: matrices one after the other on the diagonal, zeros elsewhere.

    Args:
        arrs: matrices (…, mᵢ, nᵢ) whose leading axes broadcast; a vector is one row, a number a
            matrix of one element.

    Returns:
        Matrices (…, Σ mᵢ, Σ nᵢ) of the common dtype.

    Raises:
        ShapeError: the leading axes do not broadcast.

    >>> import numpy as np
    >>> block_diag(np.ones((1, 2)), 3.0).tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 3.0]]
    """
    xs = [fnp.atleast_2d(strong(a)) for a in arrs] or [np.zeros((1, 0))]
    dtype = fnp.result_type(*xs)
    try:
        stack = np.broadcast_shapes(*[shape_of(x)[:-2] for x in xs])
    except ValueError:
        shown = ", ".join(str(aval_of(x)) for x in xs)
        raise ShapeError(f"block_diag needs leading axes that broadcast: got {shown}.") from None
    width, left, rows = sum(shape_of(x)[-1] for x in xs), 0, []
    for x in xs:
        m, n = shape_of(x)[-2:]
        wide = fnp.broadcast_to(to_dtype(x, dtype), (*stack, m, n))
        rows.append(fnp.pad(wide, [(0, 0)] * (len(stack) + 1) + [(left, width - left - n)]))
        left += n
    return fnp.concatenate(rows, -2)


def toeplitz(c: Any, r: Any = None) -> Any:
    """`scipy.linalg.toeplitz`: matrices that are constant along each diagonal.

    Args:
        c: first columns (…, m).
        r: first rows (…, n), of which the first element is not read; None for the conjugate of c.

    Returns:
        Matrices (…, m, n).

    >>> toeplitz([1, 2, 3], [1, 4, 5, 6]).tolist()
    [[1, 4, 5, 6], [2, 1, 4, 5], [3, 2, 1, 4]]
    """
    column = fnp.atleast_1d(strong(c))
    row = fnp.conj(column) if r is None else fnp.atleast_1d(strong(r))
    dtype = fnp.result_type(column, row)
    try:
        stack = np.broadcast_shapes(shape_of(column)[:-1], shape_of(row)[:-1])
    except ValueError:
        raise ShapeError(
            "toeplitz needs leading axes that broadcast: got "
            f"c: {aval_of(column)} and r: {aval_of(row)}."
        ) from None
    m, n = shape_of(column)[-1], shape_of(row)[-1]
    parts = [to_dtype(fnp.flip(column, -1), dtype), to_dtype(row[..., 1:], dtype)]
    # every row is a window of the first column upwards and then the first row
    diagonals = fnp.concatenate(
        [fnp.broadcast_to(x, (*stack, shape_of(x)[-1])) for x in parts], axis=-1
    )
    if not m * n:
        return fnp.zeros((*stack, m, n), dtype)
    return fnp.take(diagonals, fnp.arange(m - 1, -1, -1)[:, None] + fnp.arange(n), axis=-1)
