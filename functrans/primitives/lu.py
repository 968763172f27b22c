"""LU factors of stacks of matrices by Gaussian elimination with exchanges of rows.

L, with ones on its diagonal that are not stored, and U share one array, as in LAPACK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Primitive
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import convert, eq_p
from functrans.primitives.linear_algebra import (
    check_matrices,
    flops,
    on_stacks,
    product,
    triangle,
    triangular_solve,
)
from functrans.primitives.shaping import broadcast_p, concatenate_p, iota, reshape_p, slice_axis
from functrans.primitives.sorting import take_along

INDEX = np.dtype(np.int32)

# --- lu: the factors, and with which row each row was exchanged in its turn -----------------------


def _infer_lu(a: Aval) -> tuple[Aval, Aval]:
    check_matrices("lu", a)
    return a.strong(), Aval((*a.shape[:-2], min(a.shape[-2:])), INDEX)


def _evaluate_lu(a: Any) -> list[Any]:
    from scipy.linalg import lapack

    a = np.asarray(a)
    factors = np.empty_like(a)
    pivots = np.empty((*a.shape[:-2], min(a.shape[-2:])), INDEX)
    (getrf,) = lapack.get_lapack_funcs(("getrf",), (a,))
    for i in np.ndindex(a.shape[:-2] if a.size else 0):
        factors[i], pivots[i], _ = getrf(a[i])
    return [factors, pivots]


def _jvp_lu(tangents: list, primals: list, outs: list) -> list:
    """dL = L tril(X) without the diagonal and dU = triu(X) U, where X = L⁻¹ Π dA U⁻¹.

    L and U are made square by columns and rows of the identity.
    """
    (change,), (factors, pivots) = tangents, outs
    m, n = shape_of(factors)[-2:]
    k, rank = min(m, n), len(shape_of(factors))
    order = reshape_p.bind(permutation_p.bind(pivots, rows=m), shape=(*shape_of(factors)[:-1], 1))
    order = broadcast_p.bind(order, shape=shape_of(factors))
    moved = take_along(change, order, rank - 2)
    lower = _completed(slice_axis(factors, rank - 1, 0, k), rank - 1)
    upper = _completed(slice_axis(factors, rank - 2, 0, k), rank - 2)
    inside = triangular_solve(lower, moved, lower=True, unit_diagonal=True)
    inside = triangular_solve(upper, inside, lower=False, left_side=False)
    unit = triangle(lower, lower=True, strict=True)
    below = triangle(inside, lower=True, strict=True)
    above = product(triangle(inside, lower=False), triangle(upper, lower=False))
    return [product(unit, below) + below + above, None]


def _completed(x: Any, axis: int) -> Any:
    """x made square along an axis by columns, or rows, of the identity."""
    shape, rank = shape_of(x), len(shape_of(x))
    n = max(shape[-2:])
    if shape[axis] == n:
        return x
    rest = [*shape]
    rest[axis] = n - shape[axis]
    rows, columns = iota(rest[-2:], 0, INDEX), iota(rest[-2:], 1, INDEX)
    offset = INDEX.type(shape[axis])
    first, second = (rows, columns) if axis == rank - 1 else (columns, rows)
    one = convert(eq_p.bind(first, second + offset), dtype_of(x))
    identity = broadcast_p.bind(one, shape=tuple(rest))
    return concatenate_p.bind(x, identity, axis=axis)


def _cost_lu(inputs: Sequence[Aval], outputs: Sequence[Aval]) -> float:
    k, n = sorted(inputs[0].shape[-2:])
    return flops(inputs, n * k * k - k**3 / 3)


lu_p: Primitive = on_stacks(
    "lu",
    infer=_infer_lu,
    evaluate=_evaluate_lu,
    jvp=_jvp_lu,
    cost=_cost_lu,
    multiple_results=True,
)

# --- permutation: where the rows come from, after all exchanges -----------------------------------


def _infer_permutation(pivots: Aval, *, rows: int) -> Aval:
    if pivots.dtype.kind not in "iu":
        raise DTypeError(f"permutation needs pivots that are integers: got {pivots}.")
    if not pivots.ndim or pivots.shape[-1] > rows:
        raise ShapeError(f"permutation needs up to {rows} pivots: got {pivots}.")
    return Aval((*pivots.shape[:-1], rows), INDEX)


def _evaluate_permutation(pivots: Any, *, rows: int) -> Any:
    pivots = np.asarray(pivots)
    out = np.empty((*pivots.shape[:-1], rows), INDEX)
    for i in np.ndindex(pivots.shape[:-1]):
        order = np.arange(rows, dtype=INDEX)
        for k, pivot in enumerate(pivots[i]):
            order[k], order[pivot] = order[pivot], order[k]
        out[i] = order
    return out


permutation_p: Primitive = on_stacks(
    "permutation",
    infer=_infer_permutation,
    evaluate=_evaluate_permutation,
    cost=lambda inputs, outputs, *, rows: outputs[0].size + inputs[0].size,
)
