"""`functrans.scipy.linalg`: SciPy's linear algebra under SciPy's names, on stacks of matrices too.

As in functrans.numpy.linalg, a matrix without a result gives nan where SciPy raises LinAlgError.
Arguments about memory (overwrite_a and the like) and check_finite are taken and change nothing.
"""

from __future__ import annotations

from typing import Any

import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import linalg as numpy_linalg
from functrans.numpy.linalg import det, inv
from functrans.numpy.systems import (
    inexact,
    right_hand_sides,
    square,
    without_column,
)
from functrans.primitives import linear_algebra as p
from functrans.primitives.arithmetic import real_dtype
from functrans.primitives.lu import lu_p, permutation_p
from functrans.scipy.matrix_functions import expm, polar, solve_sylvester
from functrans.scipy.structured import block_diag, toeplitz

TRANSPOSITIONS = {0: 0, 1: 1, 2: 2, "N": 0, "T": 1, "C": 2}


def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Any:
    """`scipy.linalg.cholesky`: the upper triangular U with Uᴴ U = a, or the lower L with L Lᴴ = a.

    Args:
        a: Hermitian positive definite matrices (…, n, n); only that triangle is read, and only it
            gets derivatives.
        lower: which of the two.

    >>> import numpy as np
    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 1.0], [0.0, 2.0]]
    """
    return numpy_linalg.cholesky(a, upper=not lower, symmetrize_input=False)


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Any, bool]:
    """`scipy.linalg.cho_factor`: a Cholesky factor, and whether it is lower, for `cho_solve`.

    >>> import numpy as np
    >>> factor, lower = cho_factor(4 * np.eye(2))
    >>> factor.tolist(), lower
    ([[2.0, 0.0], [0.0, 2.0]], False)
    """
    return cholesky(a, lower), lower


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Any:
    """`scipy.linalg.cho_solve`: x with a x = b, from the factor of a that `cho_factor` gives.

    Args:
        c_and_lower: the factor (…, n, n) and whether it is lower.
        b: a vector (n,) or matrices (…, n, m).

    >>> import numpy as np
    >>> cho_solve(cho_factor(4 * np.eye(2)), np.ones(2)).tolist()
    [0.25, 0.25]
    """
    factor, lower = c_and_lower
    first = 0 if lower else 2
    half = solve_triangular(factor, b, trans=first, lower=lower)
    return solve_triangular(factor, half, trans=2 - first, lower=lower)


def solve_triangular(
    a: Any,
    b: Any,
    trans: int | str = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """`scipy.linalg.solve_triangular`: x with op(a) x = b for a triangle of a.

    Args:
        a: square matrices (…, n, n), of which one triangle is read.
        b: a vector (n,) or matrices (…, n, m).
        trans: op(a): 0 or "N" for a, 1 or "T" for its transpose, 2 or "C" for its adjoint.
        lower: read the lower triangle.
        unit_diagonal: take the diagonal as ones.

    Returns:
        An array like b; a zero on the diagonal gives infinities or nan.

    >>> import numpy as np
    >>> solve_triangular(np.array([[1.0, 0.0], [2.0, 4.0]]), np.array([1.0, 6.0]), lower=True)
    array([1., 1.])
    """
    op = _transposition(trans)
    x, y = inexact(a, b)
    p.check_square("solve_triangular", aval_of(x))
    x, y, vector = right_hand_sides("solve_triangular", x, y)
    out = p.triangular_solve(
        x,
        y,
        lower=lower,
        transpose_a=op > 0,
        conjugate_a=op == 2,
        unit_diagonal=unit_diagonal,
    )
    return without_column(out) if vector else out


def _transposition(trans: int | str) -> int:
    if trans not in TRANSPOSITIONS:
        raise ValueError(f"trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}.{user_line()}")
    return TRANSPOSITIONS[trans]


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
) -> Any:
    """`scipy.linalg.solve`: x with a x = b.

    Args:
        a: square matrices (…, n, n).
        b: a vector (n,) or matrices (…, n, m).
        lower: which triangle is read where only one is.
        assume_a: "pos" solves by a Cholesky factorisation, "sym" and "her" take a triangle as the
            whole, "upper triangular" and "lower triangular" by substitution; "gen" and None take
            any matrix.

    >>> import numpy as np
    >>> solve(4 * np.eye(2), np.ones(2), assume_a="pos").tolist()
    [0.25, 0.25]
    """
    if assume_a in (None, "gen", "general"):
        return numpy_linalg.solve(a, b)
    if assume_a in ("pos", "positive definite"):
        return cho_solve(cho_factor(a, lower), b)
    if assume_a in ("sym", "symmetric", "her", "hermitian"):
        return numpy_linalg.solve(_of_triangle(square("solve", a), lower, assume_a[0] == "h"), b)
    if assume_a in ("upper triangular", "lower triangular"):
        return solve_triangular(a, b, lower=assume_a[0] == "l")
    raise ValueError(f"solve does not know assume_a={assume_a!r}.{user_line()}")


# --- decompositions -------------------------------------------------------------------------------


def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
) -> Any:
    """`scipy.linalg.eigh`: w and v with a v = b v diag(w), for Hermitian matrices.

    Args:
        a: Hermitian matrices (…, n, n).
        b: Hermitian positive definite matrices (…, n, n); None for the identity.
        lower: which triangle of both is read, and gets derivatives.
        eigvals_only: give w alone.
        type: of the problem; only 1, the one above.

    Returns:
        (w, v), or w: eigenvalues in ascending order, and vectors with vᴴ b v = 1; nan where b is
        not positive definite.

    >>> import numpy as np
    >>> eigh(np.diag([2.0, 6.0]), np.diag([1.0, 4.0]), eigvals_only=True).tolist()
    [1.5, 2.0]
    """
    if type != 1:
        raise ValueError(f"eigh solves problems of type 1, got type={type!r}.{user_line()}")
    triangle = "L" if lower else "U"
    if b is None:
        if eigvals_only:
            return numpy_linalg.eigvalsh(a, triangle)
        return tuple(numpy_linalg.eigh(a, triangle))
    x, y = inexact(a, b)
    p.check_square("eigh", aval_of(x))
    x, y, _ = right_hand_sides("eigh", _of_triangle(x, lower, True), y)
    factor = cholesky(y if lower else p.adjoint(y), lower=True)
    half = p.triangular_solve(factor, x, lower=True)
    options = {"lower": True, "transpose_a": True, "conjugate_a": True}
    standard = p.triangular_solve(factor, half, left_side=False, **options)
    if eigvals_only:
        return numpy_linalg.eigvalsh(standard)
    values, vectors = numpy_linalg.eigh(standard)
    return values, p.triangular_solve(factor, vectors, **options)


def _of_triangle(x: Any, lower: bool, hermitian: bool) -> Any:
    """The Hermitian, or symmetric, matrices of which x has a triangle."""
    rest = p.transposed(p.triangle(x, lower, strict=True))
    return p.triangle(x, lower) + (p.conjugate(rest) if hermitian else rest)


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, Any]:
    """`scipy.linalg.lu_factor`: the factors of a = P L U in one array, for `lu_solve`.

    Args:
        a: matrices (…, m, n).

    Returns:
        (lu, piv): U with, below its diagonal, L (…, m, n); and the rows with which the first
        min(m, n) rows were exchanged, one after the other, int32.

    >>> import numpy as np
    >>> factors, pivots = lu_factor(np.array([[1.0, 2.0], [4.0, 4.0]]))
    >>> factors.tolist(), pivots.tolist()
    ([[4.0, 4.0], [0.25, 1.0]], [1, 1])
    """
    (x,) = inexact(a)
    p.check_matrices("lu", aval_of(x))
    factors, pivots = lu_p.bind(x)
    return factors, pivots


def lu_solve(
    lu_and_piv: tuple[Any, Any],
    b: Any,
    trans: int | str = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:
    """`scipy.linalg.lu_solve`: x with op(a) x = b, from the factors of a that `lu_factor` gives.

    Args:
        lu_and_piv: the factors (…, n, n) and the exchanges (…, n).
        b: a vector (n,) or matrices (…, n, m).
        trans: op(a): 0 or "N" for a, 1 or "T" for its transpose, 2 or "C" for its adjoint.

    >>> import numpy as np
    >>> lu_solve(lu_factor(4 * np.eye(2)), np.ones(2)).tolist()
    [0.25, 0.25]
    """
    op = _transposition(trans)
    factors, y = inexact(lu_and_piv[0], b)
    p.check_square("lu_solve", aval_of(factors))
    pivots = fnp.asarray(lu_and_piv[1])
    if shape_of(pivots) != shape_of(factors)[:-1]:
        raise ShapeError(
            "lu_solve needs an exchange per row of the factors: got "
            f"lu: {aval_of(factors)} and piv: {aval_of(pivots)}."
        )
    rows = shape_of(pivots)[-1]
    order = permutation_p.bind(pivots, rows=rows)
    factors, y, vector = right_hand_sides("lu_solve", factors, y)
    if op == 0:
        y = fnp.take_along_axis(y, _rows_of(order, y), -2)
        y = p.triangular_solve(factors, y, lower=True, unit_diagonal=True)
        y = p.triangular_solve(factors, y, lower=False)
    else:
        options = {"transpose_a": True, "conjugate_a": op == 2}
        y = p.triangular_solve(factors, y, lower=False, **options)
        y = p.triangular_solve(factors, y, lower=True, unit_diagonal=True, **options)
        y = fnp.take_along_axis(y, _rows_of(fnp.argsort(order, -1), y), -2)
    return without_column(y) if vector else y


def _rows_of(order: Any, y: Any) -> Any:
    """The order of rows, as indices of matrices."""
    return fnp.broadcast_to(order[..., None], shape_of(y))


def lu(
    a: Any,
    permute_l: bool = False,
    overwrite_a: bool = False,
    check_finite: bool = True,
    p_indices: bool = False,
) -> tuple[Any, ...]:
    """`scipy.linalg.lu`: a = P L U: a permutation, and triangles, L with ones on its diagonal.

    Args:
        a: matrices (…, m, n).
        permute_l: give (P L, U).
        p_indices: give P as positions (…, m), with a = L[P] U.

    Returns:
        (P, L, U): matrices (…, m, m), real, (…, m, k) and (…, k, n) with k = min(m, n).

    >>> import numpy as np
    >>> [x.tolist() for x in lu(np.array([[1.0, 2.0], [4.0, 4.0]]))]
    [[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.25, 1.0]], [[4.0, 4.0], [0.0, 1.0]]]
    """
    factors, pivots = lu_factor(a)
    m, n = shape_of(factors)[-2:]
    k = min(m, n)
    below = p.triangle(factors[..., :k], lower=True, strict=True)
    lower = below + fnp.eye(m, k, dtype=dtype_of(factors))
    upper = p.triangle(factors[..., :k, :], lower=False)
    order = permutation_p.bind(pivots, rows=m)
    if permute_l or p_indices:
        back = fnp.argsort(order, -1).astype(dtype_of(order))
        if p_indices and not permute_l:
            return back, lower, upper
        return fnp.take_along_axis(lower, _rows_of(back, lower), -2), upper
    places = fnp.arange(m)[:, None] == order[..., None, :]
    return places.astype(real_dtype(dtype_of(factors))), lower, upper


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: int | None = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """`scipy.linalg.qr`: a = Q R, with orthonormal columns and an upper triangular matrix.

    Args:
        a: matrices (…, m, n).
        mode: "full" for m columns of Q, "economic" for min(m, n), "r" for (R,) of m rows alone.
        pivoting: only False.

    >>> import numpy as np
    >>> [x.shape for x in qr(np.ones((4, 2)))], [x.shape for x in qr(np.eye(4, 2), mode="economic")]
    ([(4, 4), (4, 2)], [(4, 2), (2, 2)])
    """
    if pivoting:
        raise ValueError(f"qr has no pivoting=True.{user_line()}")
    if mode not in ("full", "r", "economic"):
        raise ValueError(f"qr has the modes full, r and economic, got {mode!r}.{user_line()}")
    q, r = numpy_linalg.qr(a, "reduced" if mode == "economic" else "complete")
    return (r,) if mode == "r" else (q, r)


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """`scipy.linalg.svd`: a = U diag(s) Vᴴ, as `functrans.numpy.linalg.svd`, in a plain tuple.

    >>> import numpy as np
    >>> [x.shape for x in svd(np.ones((4, 2)))]
    [(4, 4), (2,), (2, 2)]
    """
    out = numpy_linalg.svd(a, full_matrices, compute_uv)
    return tuple(out) if compute_uv else out


def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """`scipy.linalg.svdvals`: singular values, in descending order.

    >>> import numpy as np
    >>> svdvals(np.diag([1.0, -2.0])).tolist()
    [2.0, 1.0]
    """
    return numpy_linalg.svdvals(a)


__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "eigh",
    "expm",
    "inv",
    "lu",
    "lu_factor",
    "lu_solve",
    "polar",
    "qr",
    "solve",
    "solve_sylvester",
    "solve_triangular",
    "svd",
    "svdvals",
    "toeplitz",
]
