"""Functions of whole matrices: the exponential, polar factors, Sylvester's equation."""

from __future__ import annotations

from typing import Any

import functrans.numpy as fnp
from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.lax.loops import fori_loop
from functrans.numpy import linalg as numpy_linalg
from functrans.numpy.systems import inexact, square, stacked
from functrans.primitives import linear_algebra as p
from functrans.primitives.arithmetic import real_dtype
from functrans.primitives.custom_jvp import custom_jvp
from functrans.primitives.identities import stop_gradient
from functrans.primitives.sylvester import sylvester_p

DEGREE = 13
RADIUS = 5.371920351148152
"""The 1-norm up to which the approximant has the digits of float64 (Higham 2005, table 2.3)."""


def expm(A: Any, *, upper_triangular: bool = False, max_squarings: int | None = None) -> Any:
    """`scipy.linalg.expm`: the exponential of matrices, Σ Aᵏ / k!.

    A Padé approximant of A / 2ˢ, squared s times (Higham, The scaling and squaring method for the
    matrix exponential revisited, 2005); s depends on the matrix, also within a stack.

    Args:
        A: square matrices (…, n, n).
        upper_triangular: they are, so that systems are solved by substitution.
        max_squarings: give nan to matrices that need more, as JAX does beyond 16; None for as many
            as it takes, as in SciPy.

    Returns:
        Matrices like A, floats or complex; nan where A is not finite.

    Raises:
        ShapeError: the matrices are not square.

    >>> import numpy as np
    >>> expm(np.array([[0.0, 1.0], [0.0, 0.0]])).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    x = square("expm", A)
    if not aval_of(x).size:
        return x

    def exponential(a: Any) -> Any:
        return _exponential(a, upper_triangular, max_squarings)

    return fnp.vectorize(exponential, signature="(n,n)->(n,n)")(x)


def _exponential(a: Any, upper_triangular: bool, max_squarings: int | None) -> Any:
    norm = fnp.max(fnp.sum(fnp.abs(stop_gradient(a)), 0))
    excess = fnp.where(fnp.isfinite(norm), norm / RADIUS, 1)
    squarings = fnp.ceil(fnp.log2(fnp.maximum(excess, 1))).astype(int)
    scale = fnp.exp2(-squarings).astype(real_dtype(dtype_of(a)))
    odd, even = _pade(a * scale)
    if upper_triangular:
        root = p.triangular_solve(even - odd, even + odd, lower=False)
    else:
        root = p.solve_p.bind(even - odd, even + odd)
    result = fori_loop(0, squarings, lambda _, r: r @ r, root)
    if max_squarings is None:
        return result
    return fnp.where(squarings > max_squarings, dtype_of(a).type(fnp.nan), result)


def _pade(a: Any) -> tuple[Any, Any]:
    """The odd and the even part of the numerator; the denominator is their difference."""
    c = [1.0]
    for k in range(1, DEGREE + 1):
        c.append(c[-1] * (DEGREE - k + 1) / (k * (2 * DEGREE - k + 1)))
    one = fnp.eye(shape_of(a)[-1], dtype=dtype_of(a))
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    high = a6 @ (c[13] * a6 + c[11] * a4 + c[9] * a2)
    odd = a @ (high + c[7] * a6 + c[5] * a4 + c[3] * a2 + c[1] * one)
    high = a6 @ (c[12] * a6 + c[10] * a4 + c[8] * a2)
    return odd, high + c[6] * a6 + c[4] * a4 + c[2] * a2 + c[0] * one


def polar(a: Any, side: str = "right") -> tuple[Any, Any]:
    """`scipy.linalg.polar`: a = U P, with orthonormal columns or rows and a semidefinite matrix.

    By singular values; derivatives are those of matrices of full rank, also where singular values
    are equal.

    Args:
        a: matrices (…, m, n).
        side: "right" for U P, "left" for P U.

    Returns:
        (U, P): matrices (…, m, n), and Hermitian positive semidefinite ones, (…, n, n) or, on the
        left, (…, m, m).

    >>> import numpy as np
    >>> unitary, semidefinite = polar(np.diag([2.0, -3.0]))
    >>> np.diag(unitary).tolist(), np.diag(semidefinite).tolist()
    ([1.0, -1.0], [2.0, 3.0])
    """
    if side not in ("right", "left"):
        raise ValueError(f"side must be 'right' or 'left', got {side!r}.{user_line()}")
    (x,) = inexact(a)
    p.check_matrices("polar", aval_of(x))
    wide = shape_of(x)[-2] < shape_of(x)[-1]
    unitary = p.adjoint(_orthonormal(p.adjoint(x))) if wide else _orthonormal(x)
    half = p.adjoint(unitary) @ x if side == "right" else x @ p.adjoint(unitary)
    return unitary, (half + p.adjoint(half)) * dtype_of(x).type(0.5)


@custom_jvp
def _orthonormal(a: Any) -> Any:
    """U of a = U P, for at least as many rows as columns."""
    u, _, vh = numpy_linalg.svd(a, full_matrices=False)
    return u @ vh


@_orthonormal.defjvp
def _jvp_orthonormal(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    """dU = U Ω + (1 - U Uᴴ) dA P⁻¹ with P Ω + Ω P = Uᴴ dA - dAᴴ U.

    Not the derivatives of singular vectors, which do not exist where singular values are equal.
    """
    (a,), (t,) = primals, tangents
    u = _orthonormal(a)
    inside = p.adjoint(u) @ t
    semidefinite = p.adjoint(u) @ a
    turn = sylvester_p.bind(semidefinite, semidefinite, inside - p.adjoint(inside))
    if shape_of(a)[-2] == shape_of(a)[-1]:
        return u, u @ turn
    outside = p.solve_p.bind(p.adjoint(semidefinite), p.adjoint(t - u @ inside))
    return u, u @ turn + p.adjoint(outside)


def solve_sylvester(a: Any, b: Any, q: Any) -> Any:
    """`scipy.linalg.solve_sylvester`: x with a x + x b = q.

    Args:
        a: square matrices (…, m, m).
        b: square matrices (…, n, n).
        q: matrices (…, m, n).

    Returns:
        Matrices (…, m, n); of no use where an eigenvalue of a is the negative of one of b.

    Raises:
        ShapeError: shapes that do not fit.

    >>> import numpy as np
    >>> solve_sylvester(np.eye(2), np.eye(1), np.ones((2, 1))).tolist()
    [[0.5], [0.5]]
    """
    x, y, z = inexact(a, b, q)
    p.check_matrices("solve_sylvester", *[aval_of(v) for v in (x, y, z)])
    x, y = stacked("solve_sylvester", x, y, 2)
    x, z = stacked("solve_sylvester", x, z, 2)
    y, z = stacked("solve_sylvester", y, z, 2)
    return sylvester_p.bind(x, y, z)
