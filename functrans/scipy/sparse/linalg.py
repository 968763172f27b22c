"""Krylov solvers of A x = b that only multiply by A, as in `jax.scipy.sparse.linalg`.

Derivatives are those of the solution, by `custom_linear_solve`: they do not depend on how many
steps were taken, and reverse mode solves one system with the transpose of A.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans.core import tree
from functrans.core.errors import ShapeError, TransformError
from functrans.core.types import described, dtype_of, is_array_like, shape_of
from functrans.lax.loops import fori_loop, while_loop
from functrans.lax.solves import custom_linear_solve
from functrans.numpy.indexing import at
from functrans.primitives.identities import stop_gradient
from functrans.scipy.linalg import solve_triangular

Map = Callable[[Any], Any]


def cg(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, Any]:
    """Solve A x = b by conjugate gradients, for Hermitian positive definite A.

    Args:
        A: a matrix, or a linear function of trees like b.
        b: the right-hand side, an array or tree of arrays.
        x0: where to start; zeros by default.
        tol, atol: stop when |b - A x| ≤ max(tol |b|, atol).
        maxiter: steps at most; ten times the number of unknowns by default.
        M: a preconditioner, approximately the inverse of A: a matrix or function.

    Returns:
        (x, info): info is 0 if the tolerance was reached, else the number of steps allowed.

    Raises:
        ShapeError: A is a matrix of another size than b.

    Hestenes and Stiefel, 1952.

    >>> import numpy as np
    >>> x, info = cg(np.array([[4.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0]))
    >>> x.round(4), int(info)
    (array([0.0909, 0.6364]), 0)
    """
    return _solve(_cg, A, b, x0, tol, atol, maxiter, M, symmetric=True)


def bicgstab(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    maxiter: int | None = None,
    M: Any = None,
) -> tuple[Any, Any]:
    """Solve A x = b by stabilised biconjugate gradients, for any invertible A. As `cg`.

    van der Vorst, 1992.

    >>> import numpy as np
    >>> x, info = bicgstab(np.array([[4.0, 1.0], [-1.0, 3.0]]), np.array([1.0, 2.0]))
    >>> x.round(4), int(info)
    (array([0.0769, 0.6923]), 0)
    """
    return _solve(_bicgstab, A, b, x0, tol, atol, maxiter, M)


def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Any, Any]:
    """Solve A x = b by the method of minimal residuals, for any invertible A. As `cg`.

    Args:
        restart: size of the Krylov space that is kept; maxiter counts restarts.
        solve_method: "batched" builds each Krylov space whole; "incremental" looks at the residual
            after every product with A and stops within a space, which saves products and takes
            more time for each.

    Raises:
        TransformError: solve_method is neither.

    Saad and Schultz, 1986.

    >>> import numpy as np
    >>> x, info = gmres(np.array([[4.0, 1.0], [-1.0, 3.0]]), np.array([1.0, 2.0]))
    >>> x.round(4), int(info)
    (array([0.0769, 0.6923]), 0)
    """
    if solve_method not in ("batched", "incremental"):
        raise TransformError(
            f"solve_method must be 'batched' or 'incremental', got {solve_method!r}."
        )
    method = partial(_gmres, restart, solve_method == "incremental")
    return _solve(method, A, b, x0, tol, atol, maxiter, M)


def _solve(
    solver: Callable[..., Any],
    A: Any,
    b: Any,
    x0: Any,
    tol: float,
    atol: float,
    maxiter: int | None,
    M: Any,
    symmetric: bool = False,
) -> tuple[Any, Any]:
    """The solution with its derivatives, whether it is one, and trees as vectors for the solver."""
    flat, unravel = tree.ravel(b)
    flat = fnp.asarray(flat)
    if dtype_of(flat).kind not in "fc":
        flat = flat.astype(np.float64)
    multiply, prepare = _as_map(A, b, unravel, "A"), _as_map(M, b, unravel, "M")
    start = fnp.zeros_like(flat) if x0 is None else stop_gradient(tree.ravel(x0)[0])
    if shape_of(start) != shape_of(flat):
        raise ShapeError(
            f"x0 must be a tree like b, of {shape_of(flat)[0]} numbers: got {described(x0)}."
        )
    most = 10 * shape_of(flat)[0] if maxiter is None else maxiter

    def solve(matvec: Map, rhs: Any) -> Any:
        limit = fnp.maximum(tol * _norm(rhs), atol)
        return solver(matvec, rhs, start, limit, most, prepare)

    real = dtype_of(flat).kind == "f"
    x = custom_linear_solve(multiply, flat, solve, solve, symmetric=symmetric and real)
    rest = _norm(flat - multiply(x))
    info = fnp.where(rest <= fnp.maximum(tol * _norm(flat), atol) * 1.5, 0, most)
    return unravel(x), stop_gradient(info)


def _as_map(A: Any, b: Any, unravel: Callable[[Any], Any], name: str) -> Map:
    """A matrix or a function of trees as a function of vectors; the identity for None."""
    if A is None:
        return lambda v: v
    if callable(A):
        return lambda v: tree.ravel(A(unravel(v)))[0]
    wanted = f"{name} must be a function, or a matrix and b a vector of its size"
    if not is_array_like(A):
        raise TransformError(f"{wanted}: got {described(A)}.")
    shape, size = shape_of(A), shape_of(tree.ravel(b)[0])[0]
    if shape != (size, size) or shape_of(b) != (size,):
        raise ShapeError(f"{wanted}: got {name} of shape {shape} and b of shape {shape_of(b)}.")
    return lambda v: fnp.matmul(A, v)


def _norm(x: Any) -> Any:
    return fnp.sqrt(fnp.sum(fnp.real(x * fnp.conj(x))))


def _dot(x: Any, y: Any) -> Any:
    return fnp.sum(fnp.conj(x) * y)


def _ratio(x: Any, y: Any) -> Any:
    """x / y, and 0 where y is 0: a method that has broken down stands still."""
    return fnp.where(y == 0, 0, x / fnp.where(y == 0, 1, y))


def _cg(A: Map, b: Any, x: Any, limit: Any, most: int, M: Map) -> Any:
    r = b - A(x)
    z = M(r)

    def go_on(state: Any) -> Any:
        _, r, _, _, k = state
        return (_norm(r) > limit) & (k < most)

    def step(state: Any) -> Any:
        x, r, gamma, p, k = state
        q = A(p)
        alpha = _ratio(gamma, _dot(p, q))
        x, r = x + alpha * p, r - alpha * q
        z = M(r)
        new = _dot(r, z)
        return x, r, new, z + _ratio(new, gamma) * p, k + 1

    return while_loop(go_on, step, (x, r, _dot(r, z), z, 0))[0]


def _bicgstab(A: Map, b: Any, x: Any, limit: Any, most: int, M: Map) -> Any:
    r = b - A(x)
    shadow = r
    one = fnp.ones((), dtype_of(r))

    def go_on(state: Any) -> Any:
        _, r, *_, k = state
        return (_norm(r) > limit) & (k < most)

    def step(state: Any) -> Any:
        x, r, p, v, rho, alpha, omega, k = state
        new = _dot(shadow, r)
        beta = _ratio(new, rho) * _ratio(alpha, omega)
        p = r + beta * (p - omega * v)
        p_hat = M(p)
        v = A(p_hat)
        alpha = _ratio(new, _dot(shadow, v))
        s = r - alpha * v
        s_hat = M(s)
        t = A(s_hat)
        omega = _ratio(_dot(t, s), _dot(t, t))
        x = x + alpha * p_hat + omega * s_hat
        return x, s - omega * t, p, v, new, alpha, omega, k + 1

    zero = fnp.zeros_like(r)
    return while_loop(go_on, step, (x, r, zero, zero, one, one, one, 0))[0]


def _gmres(restart: int, early: bool, A: Map, b: Any, x: Any, limit: Any, most: int, M: Map) -> Any:
    """Preconditioned on the right, so that the residual is that of the system itself."""
    size = min(restart, shape_of(b)[0])

    def go_on(state: Any) -> Any:
        x, k = state
        return (_norm(b - A(x)) > limit) & (k < most)

    def step(state: Any) -> Any:
        x, k = state
        return x + M(_least_residual(A, b - A(x), M, size, limit if early else None)), k + 1

    return while_loop(go_on, step, (x, 0))[0]


def _least_residual(A: Map, r: Any, M: Map, size: int, limit: Any) -> Any:
    """The y in a Krylov space for which |r - A M y| is least, by Arnoldi's process.

    With a limit the space is not built further than it takes for the residual to reach it.
    """
    dtype, n = dtype_of(r), shape_of(r)[0]
    beta = _norm(r).astype(dtype)
    basis = at(fnp.zeros((size + 1, n), dtype))[0].set(_ratio(r, beta))
    rotations = fnp.zeros((size, 2), dtype)
    right = at(fnp.zeros(size + 1, dtype))[0].set(beta)

    def grow(k: Any, state: Any) -> Any:
        basis, triangle, rotations, right = state
        w = A(M(basis[k]))
        h = fnp.zeros(size + 1, dtype)
        for _ in range(2):  # a second pass restores what rounding took of orthogonality
            part = fnp.matmul(fnp.conj(basis), w)
            w, h = w - fnp.matmul(part, basis), h + part
        height = _norm(w).astype(dtype)
        # nothing new in this direction: the space is complete
        height = fnp.where(fnp.abs(height) <= 1e-14 * fnp.abs(beta), 0, height)
        basis = at(basis)[k + 1].set(_ratio(w, height))
        h = at(h)[k + 1].set(height)
        h = fori_loop(0, k, lambda i, h: _rotate(h, i, rotations[i]), h)
        rotation = _rotation(h[k], h[k + 1])
        rotations = at(rotations)[k].set(rotation)
        triangle = at(triangle)[:, k].set(_rotate(h, k, rotation)[:size])
        return basis, triangle, rotations, _rotate(right, k, rotation)

    state = basis, fnp.zeros((size, size), dtype), rotations, right
    if limit is None:
        basis, triangle, _, right = fori_loop(0, size, grow, state)
    else:
        # the last entry of the rotated right-hand side is the norm of the residual
        _, (basis, triangle, _, right) = while_loop(
            lambda s: (s[0] < size) & (fnp.abs(s[1][3][s[0]]) > limit),
            lambda s: (s[0] + 1, grow(s[0], s[1])),
            (0, state),
        )
    diagonal = fnp.diagonal(triangle)
    triangle = triangle + fnp.diag(fnp.where(diagonal == 0, 1, 0).astype(dtype))
    y = solve_triangular(triangle, fnp.where(diagonal == 0, 0, right[:size]))
    return fnp.matmul(y, basis[:size])


def _rotation(a: Any, b: Any) -> Any:
    """Givens's rotation (c, s) that takes (a, b) to (r, 0)."""
    size = fnp.sqrt(fnp.abs(a) ** 2 + fnp.abs(b) ** 2)
    phase = fnp.where(a == 0, 1, _ratio(a, fnp.abs(a)))
    c = fnp.where(size == 0, 1, _ratio(fnp.abs(a), size)).astype(dtype_of(a))
    s = fnp.where(size == 0, 0, _ratio(phase * fnp.conj(b), size)).astype(dtype_of(a))
    return fnp.stack([c, s])


def _rotate(v: Any, i: Any, rotation: Any) -> Any:
    c, s = rotation[0], rotation[1]
    first, second = v[i], v[i + 1]
    v = at(v)[i].set(c * first + s * second)
    return at(v)[i + 1].set(c * second - fnp.conj(s) * first)
