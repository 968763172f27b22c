"""`functrans.scipy.linalg`: SciPy's linear algebra under SciPy's names, on stacks of matrices too.

As in functrans.numpy.linalg, a matrix without a result gives nan where SciPy raises LinAlgError.
Arguments about memory (overwrite_a and the like) and check_finite are taken and change nothing.
"""

from __future__ import annotations

from typing import Any

from functrans.core.source import user_line
from functrans.core.types import aval_of
from functrans.numpy import linalg as numpy_linalg
from functrans.numpy.linalg import det, inv
from functrans.numpy.systems import (
    inexact,
    right_hand_sides,
    square,
    without_column,
)
from functrans.primitives import linear_algebra as p

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
    if trans not in TRANSPOSITIONS:
        raise ValueError(f"trans must be 0, 1, 2, 'N', 'T' or 'C', got {trans!r}.{user_line()}")
    op = TRANSPOSITIONS[trans]
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
    "cho_factor",
    "cho_solve",
    "cholesky",
    "det",
    "eigh",
    "inv",
    "qr",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
]
