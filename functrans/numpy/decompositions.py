"""Decompositions of `functrans.numpy.linalg`, and what stands on them: pinv, lstsq, rank, cond.

Where equal eigenvalues or singular values leave vectors undetermined, derivatives follow the choice
that functrans/primitives/decompositions.py tells.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import reductions, ufuncs
from functrans.numpy.dispatch import NO_VALUE
from functrans.numpy.index_functions import take_along_axis
from functrans.numpy.joining import flip
from functrans.numpy.manipulation import broadcast_to, expand_dims, reshape, strong
from functrans.numpy.norms import norm
from functrans.numpy.products import matmul
from functrans.numpy.promotion import to_dtype
from functrans.numpy.selection import where
from functrans.numpy.sorting import argsort, sort
from functrans.numpy.systems import inexact, square, without_column
from functrans.primitives import decompositions as d
from functrans.primitives import linear_algebra
from functrans.primitives.arithmetic import real_dtype, select


class EighResult(NamedTuple):
    """Eigenvalues in ascending order, and eigenvectors in the columns of matrices."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """Eigenvalues, and right eigenvectors in the columns of matrices."""

    eigenvalues: Any
    eigenvectors: Any


class SVDResult(NamedTuple):
    """The three factors: U, the singular values in descending order, and Vᴴ."""

    U: Any
    S: Any
    Vh: Any


class QRResult(NamedTuple):
    """Orthonormal columns, and an upper triangular matrix."""

    Q: Any
    R: Any


# --- Hermitian matrices ---------------------------------------------------------------------------


def _symmetrized(x: Any) -> Any:
    return (x + linear_algebra.adjoint(x)) * dtype_of(x).type(0.5)


def _hermitian(name: str, a: Any, UPLO: str | None) -> tuple[Any, bool]:
    """The matrices to decompose, and whether their lower triangle is read."""
    x = square(name, a)
    if UPLO is None:
        return _symmetrized(x), True
    if UPLO.upper() not in ("L", "U"):
        raise ValueError(f"UPLO must be 'L', 'U' or None, got {UPLO!r}.{user_line()}")
    return x, UPLO.upper() == "L"


def eigh(a: Any, UPLO: str | None = None) -> EighResult:
    """`numpy.linalg.eigh`: eigenvalues and eigenvectors of Hermitian matrices.

    Args:
        a: Hermitian matrices (…, n, n).
        UPLO: "L" or "U" to read that triangle only, which then has all of the derivative; None for
            (a + aᴴ) / 2, as JAX does, so that derivatives are Hermitian.

    Returns:
        Real eigenvalues (…, n) in ascending order, and eigenvectors in the columns of (…, n, n);
        nan where the matrix is not finite. How the vectors of equal eigenvalues (less apart than
        rounding errors) turn among one another is taken as zero in derivatives: first derivatives
        of symmetric functions of the eigenvalues and of projectors on whole spaces are right
        there, others may lack that part. (Giles 2008.)

    >>> import functrans.numpy as fnp
    >>> values, vectors = fnp.linalg.eigh([[2.0, 0.0], [0.0, 1.0]])
    >>> values.tolist(), vectors.tolist()
    ([1.0, 2.0], [[0.0, 1.0], [1.0, 0.0]])
    """
    x, lower = _hermitian("eigh", a, UPLO)
    return EighResult(*d.eigh_p.bind(x, lower=lower))


def eigvalsh(a: Any, UPLO: str | None = None) -> Any:
    """`numpy.linalg.eigvalsh`: eigenvalues of Hermitian matrices, in ascending order.

    Arguments are those of `eigh`; the derivative has no quotient by differences of eigenvalues.

    >>> import functrans as ft
    >>> import functrans.numpy as fnp
    >>> fnp.linalg.eigvalsh([[2.0, 1.0], [1.0, 2.0]]).round(9).tolist()
    [1.0, 3.0]
    >>> ft.grad(lambda a: fnp.sum(fnp.linalg.eigvalsh(a)))(np.ones((2, 2))).round(9).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    x, lower = _hermitian("eigvalsh", a, UPLO)
    return d.eigvalsh_p.bind(x, lower=lower)


# --- square matrices ------------------------------------------------------------------------------


def eig(a: Any) -> EigResult:
    """`numpy.linalg.eig`: eigenvalues and right eigenvectors of square matrices.

    Args:
        a: matrices (…, n, n).

    Returns:
        Eigenvalues (…, n) in LAPACK's order, and eigenvectors in the columns of (…, n, n): complex
        always, as their dtype must not depend on values; nan where the matrix is not finite.
        Vectors have length one, and their largest element is real. Derivatives exist where all
        eigenvalues differ; those of vectors lack, where two are equal, how these turn among one
        another, as in `eigh`. (Boeddeker et al. 2017.)

    >>> import functrans.numpy as fnp
    >>> values, vectors = fnp.linalg.eig([[0.0, 1.0], [-1.0, 0.0]])
    >>> values.tolist()
    [1j, -1j]
    """
    return EigResult(*d.eig_p.bind(square("eig", a)))


def eigvals(a: Any) -> Any:
    """`numpy.linalg.eigvals`: eigenvalues of square matrices, those of `eig`, complex always.

    >>> import functrans as ft
    >>> import functrans.numpy as fnp
    >>> fnp.linalg.eigvals([[2.0, 1.0], [0.0, 3.0]]).tolist()
    [(2+0j), (3+0j)]
    >>> ft.grad(lambda a: fnp.linalg.eigvals(a)[1].real)(np.diag([2.0, 3.0])).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    return d.eig_p.bind(square("eigvals", a))[0]


# --- any matrices ---------------------------------------------------------------------------------


def _matrices(name: str, a: Any) -> Any:
    (x,) = inexact(a)
    linear_algebra.check_matrices(name, aval_of(x))
    return x


def qr(a: Any, mode: str = "reduced") -> Any:
    """`numpy.linalg.qr`: a = Q R, with orthonormal columns and an upper triangular matrix.

    Args:
        a: matrices (…, m, n).
        mode: "reduced" for min(m, n) columns of Q, "complete" for m, "r" for R alone.

    Returns:
        (Q, R), or R; nan where the matrix is not finite. Derivatives exist where the first
        min(m, n) columns are independent. (Walter and Lehmann 2018.)

    >>> import functrans.numpy as fnp
    >>> q, r = fnp.linalg.qr(fnp.ones((4, 1)))
    >>> q.round(9).tolist(), r.round(9).tolist()
    ([[-0.5], [-0.5], [-0.5], [-0.5]], [[-2.0]])
    """
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"qr has the modes reduced, complete and r, got {mode!r}.{user_line()}")
    result = QRResult(*d.qr_p.bind(_matrices("qr", a), complete=mode == "complete"))
    return result.R if mode == "r" else result


def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """`numpy.linalg.svd`: a = U diag(S) Vᴴ, the singular value decomposition.

    Args:
        a: matrices (…, m, n).
        full_matrices: make U and Vᴴ square, and not of min(m, n) columns and rows.
        compute_uv: give all three factors, and not the singular values alone.
        hermitian: take them from eigenvalues and vectors of (a + aᴴ) / 2.

    Returns:
        (U, S, Vh), or S; nan where the matrix is not finite. How the vectors of equal singular
        values turn among one another is taken as zero in derivatives, as in `eigh`, and how those
        of a singular value of zero turn against the others. (Giles 2008; Wan and Zhang 2019.)

    >>> import functrans.numpy as fnp
    >>> u, s, vh = fnp.linalg.svd([[0.0, 2.0], [1.0, 0.0]])
    >>> s.tolist(), (u * s @ vh).tolist()
    ([2.0, 1.0], [[0.0, 2.0], [1.0, 0.0]])
    """
    if not hermitian:
        x = _matrices("svd", a)
        if not compute_uv:
            return d.svdvals_p.bind(x)
        return SVDResult(*d.svd_p.bind(x, full_matrices=bool(full_matrices)))
    if not compute_uv:
        return sort(ufuncs.abs(eigvalsh(a)), descending=True)
    values, vectors = eigh(a)
    s = ufuncs.abs(values)
    order = flip(argsort(s), -1)  # of equal ones the last is first, as in NumPy
    u = take_along_axis(vectors, expand_dims(order, -2), -1)
    negative = expand_dims(take_along_axis(values, order, -1) < 0, -2)
    return SVDResult(
        u, take_along_axis(s, order, -1), linear_algebra.adjoint(where(negative, -u, u))
    )


def svdvals(x: Any, /) -> Any:
    """`numpy.linalg.svdvals`: singular values, in descending order.

    The derivative has no quotient by differences of singular values.

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.svdvals([[0.0, 2.0], [1.0, 0.0]]).tolist()
    [2.0, 1.0]
    """
    return d.svdvals_p.bind(_matrices("svdvals", x))


# --- what stands on singular values ---------------------------------------------------------------


def _epsilon(x: Any) -> Any:
    """The rounding error that NumPy expects of singular values, relative to the largest."""
    return max(shape_of(x)[-2:]) * np.finfo(dtype_of(x)).eps


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NO_VALUE) -> Any:
    """`numpy.linalg.pinv`: the pseudo-inverse of Moore and Penrose.

    Args:
        a: matrices (…, m, n).
        rcond: singular values up to this times the largest are taken as zero; a number, or one per
            matrix. By default 1e-15.
        hermitian: take (a + aᴴ) / 2 for a.
        rtol: the same as rcond; None for max(m, n) times the dtype's epsilon.

    Returns:
        Matrices (…, n, m); nan where the matrix is not finite. The derivative is that for a
        constant rank, which needs no differences of singular values (Golub and Pereyra 1973).

    >>> import functrans.numpy as fnp
    >>> fnp.linalg.pinv([[2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]).tolist()
    [[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """
    x = _matrices("pinv", a)
    if hermitian:
        x = _symmetrized(square("pinv", x))
    if rtol is not NO_VALUE and rcond is not None:
        raise ValueError(f"pinv takes rcond or rtol, not both.{user_line()}")
    if rcond is None:
        rcond = 1e-15 if rtol is NO_VALUE else _epsilon(x) if rtol is None else rtol
    cutoff = to_dtype(strong(rcond), real_dtype(dtype_of(x)))
    return d.pinv_p.bind(x, broadcast_to(cutoff, shape_of(x)[:-2]))


def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Any, Any, Any, Any]:
    """`numpy.linalg.lstsq`: x for which |b - a x| is least, and of those the shortest.

    Args:
        a: a matrix (m, n).
        b: a vector (m,), or right-hand sides (m, k).
        rcond: singular values up to this times the largest are taken as zero; None for max(m, n)
            times the dtype's epsilon, negative for that epsilon.

    Returns:
        x (n,) or (n, k); the sums of squares of b - a x, (1,) or (k,) if m > n, else (0,); the rank
        of a; its singular values. As shapes do not depend on values, the sums are there for any
        rank, where NumPy leaves them out if it is less than n. The derivative of x is that of
        `pinv`.

    >>> import functrans.numpy as fnp
    >>> x, squares, rank, s = fnp.linalg.lstsq([[1.0], [1.0]], [1.0, 3.0])
    >>> x.round(9).tolist(), squares.round(9).tolist(), int(rank)
    ([2.0], [2.0], 1)
    """
    x, y = inexact(a, b)
    linear_algebra.check_matrices("lstsq", aval_of(x))
    if len(shape_of(x)) != 2 or len(shape_of(y)) not in (1, 2) or shape_of(x)[0] != shape_of(y)[0]:
        raise ShapeError(
            "lstsq needs a matrix a, and a vector or matrix b with as many rows: got a: "
            f"{aval_of(x)} and b: {aval_of(y)}."
        )
    (m, n), vector = shape_of(x), len(shape_of(y)) == 1
    y = reshape(y, (m, 1)) if vector else y
    if rcond is None:
        rcond = _epsilon(x)
    epsilon = np.finfo(dtype_of(x)).eps
    rcond = where(ufuncs.less(rcond, 0), epsilon, rcond)
    solution = matmul(pinv(x, rcond), y)
    squares = reductions.sum(ufuncs.square(ufuncs.abs(y - matmul(x, solution))), 0)
    s = svdvals(x)
    rank = matrix_rank(x, rtol=rcond)
    return (
        without_column(solution) if vector else solution,
        squares if m > n else squares[:0],
        to_dtype(rank, np.dtype(np.int32)),
        s,
    )


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    """`numpy.linalg.matrix_rank`: how many singular values are not small.

    Args:
        A: matrices (…, m, n); of a vector or a number, whether it is not zero.
        tol: how large a small one may be; a number, or one per matrix.
        hermitian: take singular values from eigenvalues.
        rtol: the same relative to the largest; None for max(m, n) times the dtype's epsilon.

    Returns:
        Integers (…); 0 where the matrix is not finite.

    >>> import functrans.numpy as fnp
    >>> int(fnp.linalg.matrix_rank(fnp.ones((3, 3))))
    1
    """
    if tol is not None and rtol is not None:
        raise ValueError(f"matrix_rank takes tol or rtol, not both.{user_line()}")
    if len(shape_of(A)) < 2:
        return to_dtype(reductions.any(ufuncs.not_equal(A, 0)), np.dtype(int))
    s = svd(A, compute_uv=False, hermitian=hermitian)
    if tol is None:
        largest = reductions.max(s, -1, keepdims=True, initial=0)
        (x,) = inexact(A)
        tol = largest * (_epsilon(x) if rtol is None else expand_dims(rtol, -1))
    else:
        tol = expand_dims(tol, -1)
    return reductions.count_nonzero(ufuncs.greater(s, tol), -1)


def cond(x: Any, p: Any = None) -> Any:
    """`numpy.linalg.cond`: the condition number |x| |x⁻¹|.

    Args:
        x: matrices (…, m, n), square unless p is None, 2 or -2.
        p: the order of the norm, as in `norm`; None for 2.

    Returns:
        Real numbers (…); inf where x is singular, nan where it has a nan.

    >>> import functrans.numpy as fnp
    >>> float(fnp.linalg.cond([[4.0, 0.0], [0.0, 2.0]]))
    2.0
    """
    a = _matrices("cond", x)
    if 0 in shape_of(a)[-2:]:
        raise ShapeError(f"cond needs matrices with elements: got {aval_of(a)}.")
    with np.errstate(all="ignore"):
        if p in (None, 2, -2):
            s = svdvals(a)
            large, small = reductions.max(s, -1), reductions.min(s, -1)
            r = ufuncs.divide(small, large) if p == -2 else ufuncs.divide(large, small)
        else:
            inverse = linear_algebra.inv_p.bind(square("cond", a))
            r = norm(a, p, axis=(-2, -1)) * norm(inverse, p, axis=(-2, -1))
    has_nan = reductions.any(ufuncs.isnan(a), axis=(-2, -1))
    return select(ufuncs.isnan(r) & ~has_nan, math.inf, r)
