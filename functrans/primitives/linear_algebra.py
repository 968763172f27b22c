"""Dense linear algebra on stacks of matrices: cholesky, triangular_solve, solve, inv.

Matrices are in the last two axes, the axes before them are a stack; so batching is an axis more.
A matrix without a result (singular, or not positive definite) gets nan, as in JAX, where NumPy
raises: compiled code cannot raise, and one bad matrix should not spoil the rest of its stack.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import conj_p, eq_p, ge_p, gt_p, select, select_p, zeros_like
from functrans.primitives.products import dot_general_p
from functrans.primitives.reductions import reduce_sum_p
from functrans.primitives.shaping import broadcast_p, iota, reshape_p, transpose_p

# --- what the rules share -------------------------------------------------------------------------

SUPPORTED = tuple(np.dtype(c) for c in ("f4", "f8", "c8", "c16"))


def check_matrices(name: str, *avals: Aval) -> None:
    """DTypeError, ShapeError unless all are stacks of matrices of one dtype that LAPACK knows."""
    shown = " and ".join(map(str, avals))
    if any(a.dtype not in SUPPORTED for a in avals):
        raise DTypeError(
            f"{name} takes float32, float64, complex64 and complex128: got {shown}. "
            "Convert first, e.g. with x.astype(float)."
        )
    if any(a.dtype != avals[0].dtype for a in avals):
        raise DTypeError(f"{name} needs operands of one dtype: got {shown}.")
    if any(a.ndim < 2 for a in avals):
        raise ShapeError(f"{name} needs matrices, arrays of two axes or more: got {shown}.")


def check_square(name: str, a: Aval) -> None:
    """DTypeError, ShapeError unless `a` is a stack of square matrices."""
    check_matrices(name, a)
    if a.shape[-1] != a.shape[-2]:
        raise ShapeError(
            f"{name} needs square matrices: got {a}, whose last two axes have extents "
            f"{a.shape[-2]} and {a.shape[-1]}."
        )


def transposed(x: Any) -> Any:
    """Matrices with rows and columns exchanged."""
    rank = len(shape_of(x))
    return transpose_p.bind(x, permutation=(*range(rank - 2), rank - 1, rank - 2))


def conjugate(x: Any) -> Any:
    """The conjugate; x itself if it is real."""
    return conj_p.bind(x) if dtype_of(x).kind == "c" else x


def adjoint(x: Any) -> Any:
    """The conjugate transpose of matrices."""
    return conjugate(transposed(x))


def product(x: Any, y: Any) -> Any:
    """Matrix products of two stacks of one shape."""
    rank = len(shape_of(x))
    stack = tuple(range(rank - 2))
    return dot_general_p.bind(x, y, dimensions=(((rank - 1,), (rank - 2,)), (stack, stack)))


def inner(x: Any, y: Any) -> Any:
    """Sums over the last two axes of the products of elements, without conjugation."""
    rank = len(shape_of(x))
    return reduce_sum_p.bind(x * y, axes=(rank - 2, rank - 1))


def _rows_and_columns(x: Any) -> tuple[Any, Any]:
    shape = shape_of(x)[-2:]
    return iota(shape, 0, np.int64), iota(shape, 1, np.int64)


def triangle(x: Any, lower: bool, strict: bool = False) -> Any:
    """x with zeros outside of a triangle, `strict` if also on the diagonal."""
    rows, columns = _rows_and_columns(x)
    first, second = (rows, columns) if lower else (columns, rows)
    return select((gt_p if strict else ge_p).bind(first, second), x, zeros_like(x))


def half_triangle(x: Any) -> Any:
    """The lower triangle with half of the diagonal: x = h + hᴴ for Hermitian x."""
    rows, columns = _rows_and_columns(x)
    halved = select_p.bind(eq_p.bind(rows, columns), x * dtype_of(x).type(0.5), x)
    return triangle(halved, lower=True)


def over_stack(function: Callable[..., Any], *arrays: Any) -> Any:
    """function(*arrays), with nan for matrices for which NumPy raises LinAlgError.

    The result has the shape and dtype of the last array.
    """
    try:
        return function(*arrays)
    except np.linalg.LinAlgError:
        if arrays[0].ndim == 2:
            return np.full(arrays[-1].shape, np.nan, arrays[-1].dtype)
        return np.stack([over_stack(function, *parts) for parts in zip(*arrays, strict=True)])


def flops(inputs: Sequence[Aval], per_matrix: float) -> float:
    """Flops for the whole stack; a complex product counts for four."""
    a = inputs[0]
    return math.prod(a.shape[:-2]) * per_matrix * (4 if a.dtype.kind == "c" else 1)


def on_stacks(name: str, **rules: Any) -> Primitive:
    """Define a primitive of one operand, a stack of matrices: batching is an axis more."""

    def batch(args: list, batched: list, **params: Any) -> tuple[Any, Any]:
        out = primitive.bind(*args, **params)
        return out, [True] * len(out) if primitive.multiple_results else True

    primitive = Primitive(name, batch=batch, **rules)
    return primitive


# --- cholesky: L, lower, with L Lᴴ = A; only the lower triangle of A is read ----------------------


def _infer_cholesky(a: Aval) -> Aval:
    check_square("cholesky", a)
    return a.strong()


def _evaluate_cholesky(a: Any) -> Any:
    # nan above the diagonal of a matrix without a factor becomes zero, so that it is triangular
    return np.tril(over_stack(np.linalg.cholesky, np.asarray(a)))


def _jvp_cholesky(tangents: list, primals: list, factor: Any) -> Any:
    """dL = L Φ(L⁻¹ dA L⁻ᴴ), Φ the lower triangle with half of the diagonal (Murray 2016)."""
    # the function reads the lower triangle, so what dA has above it does not count
    half = half_triangle(tangents[0])
    change = half + adjoint(half)
    left = triangular_solve(factor, change, lower=True)
    both = triangular_solve(
        factor, left, lower=True, left_side=False, transpose_a=True, conjugate_a=True
    )
    return product(factor, half_triangle(both))


cholesky_p: Primitive = on_stacks(
    "cholesky",
    infer=_infer_cholesky,
    evaluate=_evaluate_cholesky,
    jvp=_jvp_cholesky,
    cost=lambda inputs, outputs: flops(inputs, inputs[0].shape[-1] ** 3 / 3),
)

# --- systems: shapes and batching of triangular_solve and solve -----------------------------------


def _infer_system(name: str, a: Aval, b: Aval, left_side: bool) -> Aval:
    check_matrices(name, a, b)
    check_square(name, a)
    if a.shape[:-2] != b.shape[:-2]:
        raise ShapeError(f"{name} needs one shape of stack: got a: {a} and b: {b}.")
    axis = -2 if left_side else -1
    if a.shape[-1] != b.shape[axis]:
        raise ShapeError(
            f"{name} needs as many {'rows' if left_side else 'columns'} of b as of a: got a: {a} "
            f"and b: {b}."
        )
    return b.strong()


def _batch_system(
    primitive: Primitive, args: list, batched: list, left_side: bool, params: dict[str, Any]
) -> tuple[Any, bool]:
    a, b = args
    if batched[0]:
        if not batched[1]:
            b = broadcast_p.bind(b, shape=(shape_of(a)[0], *shape_of(b)))
        return primitive.bind(a, b, **params), True
    # one matrix for all: the batch joins the right-hand sides, and is factorised once
    count, *stack, n, m = shape_of(b)
    k = len(stack)
    if left_side:  # (batch, stack, n, m) → (stack, n, batch, m)
        there, wide = (*range(1, k + 2), 0, k + 2), (*stack, n, count * m)
        narrow, back = (*stack, n, count, m), (k + 1, *range(k + 1), k + 2)
    else:  # (batch, stack, n, m) → (stack, batch, n, m)
        there, wide = (*range(1, k + 1), 0, k + 1, k + 2), (*stack, count * n, m)
        narrow, back = (*stack, count, n, m), (k, *range(k), k + 1, k + 2)
    together = reshape_p.bind(transpose_p.bind(b, permutation=there), shape=wide)
    out = reshape_p.bind(primitive.bind(a, together, **params), shape=narrow)
    return transpose_p.bind(out, permutation=back), True


def _right_hand_sides(b: Aval, left_side: bool) -> int:
    return b.shape[-1 if left_side else -2]


# --- triangular_solve -----------------------------------------------------------------------------


def triangular_solve(
    a: Any,
    b: Any,
    *,
    lower: bool,
    left_side: bool = True,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Any:
    """x with op(a) x = b, or x op(a) = b if not `left_side`, for a triangle of a.

    Args:
        a: matrices (…, n, n), of which only the lower (or upper) triangle is read.
        b: matrices (…, n, m), or (…, m, n) if not `left_side`.
        transpose_a, conjugate_a: make op(a) of a.
        unit_diagonal: take the diagonal as ones, whatever it holds.
    """
    return triangular_solve_p.bind(
        a,
        b,
        lower=lower,
        left_side=left_side,
        transpose_a=transpose_a,
        conjugate_a=conjugate_a and dtype_of(a).kind == "c",
        unit_diagonal=unit_diagonal,
    )


def _infer_triangular_solve(a: Aval, b: Aval, *, left_side: bool, **_: Any) -> Aval:
    return _infer_system("triangular_solve", a, b, left_side)


def _evaluate_triangular_solve(
    a: Any,
    b: Any,
    *,
    lower: bool,
    left_side: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> Any:
    from scipy.linalg import blas

    a, b = np.asarray(a), np.asarray(b)
    out = np.empty(b.shape, b.dtype)
    if not out.size:
        return out
    if conjugate_a and not transpose_a:
        a = a.conj()  # BLAS conjugates only together with a transposition
    trans = 0 if not transpose_a else 2 if conjugate_a else 1
    (trsm,) = blas.get_blas_funcs(("trsm",), (a, b))
    for index in np.ndindex(a.shape[:-2]):
        # BLAS reads columns first: it is given the transposed system, which costs no copies
        out[index] = trsm(
            1.0,
            a[index].T,
            b[index].T,
            side=int(left_side),
            lower=int(not lower),
            trans_a=trans,
            diag=int(unit_diagonal),
        ).T
    return out


def _jvp_triangular_solve(
    tangents: list, primals: list, x: Any, *, left_side: bool, **params: Any
) -> Any:
    (ta, tb), (a, _) = tangents, primals
    right = tb
    if ta is not None:
        change = triangle(ta, params["lower"], strict=params["unit_diagonal"])
        if params["transpose_a"]:
            change = transposed(change)
        if params["conjugate_a"]:
            change = conjugate(change)
        moved = product(change, x) if left_side else product(x, change)
        right = -moved if tb is None else tb - moved
    return triangular_solve_p.bind(a, right, left_side=left_side, **params)


def _transpose_triangular_solve(
    ct: Any, a: Any, b: Any, *, transpose_a: bool, **params: Any
) -> list:
    if type(a) is Linear:
        raise not_linear("triangular_solve")
    return [None, triangular_solve_p.bind(a, ct, transpose_a=not transpose_a, **params)]


triangular_solve_p: Primitive = Primitive(
    "triangular_solve",
    infer=_infer_triangular_solve,
    evaluate=_evaluate_triangular_solve,
    jvp=_jvp_triangular_solve,
    transpose=_transpose_triangular_solve,
    batch=lambda args, batched, **params: _batch_system(
        triangular_solve_p, args, batched, params["left_side"], params
    ),
    cost=lambda inputs, outputs, *, left_side, **_: flops(
        inputs, inputs[0].shape[-1] ** 2 * _right_hand_sides(inputs[1], left_side)
    ),
)

# --- solve: x with a x = b, for any square a ------------------------------------------------------


def _infer_solve(a: Aval, b: Aval) -> Aval:
    return _infer_system("solve", a, b, left_side=True)


def _evaluate_solve(a: Any, b: Any) -> Any:
    return over_stack(np.linalg.solve, np.asarray(a), np.asarray(b))


def _jvp_solve(tangents: list, primals: list, x: Any) -> Any:
    """dx from a dx = db - da x."""
    (ta, tb), (a, _) = tangents, primals
    right = tb
    if ta is not None:
        moved = product(ta, x)
        right = -moved if tb is None else tb - moved
    return solve_p.bind(a, right)


def _transpose_solve(ct: Any, a: Any, b: Any) -> list:
    if type(a) is Linear:
        raise not_linear("solve")
    return [None, solve_p.bind(transposed(a), ct)]


def _cost_solve(inputs: Sequence[Aval], outputs: Sequence[Aval]) -> float:
    n, m = inputs[1].shape[-2:]
    return flops(inputs, 2 * n**3 / 3 + 2 * n**2 * m)


solve_p: Primitive = Primitive(
    "solve",
    infer=_infer_solve,
    evaluate=_evaluate_solve,
    jvp=_jvp_solve,
    transpose=_transpose_solve,
    batch=lambda args, batched: _batch_system(solve_p, args, batched, True, {}),
    cost=_cost_solve,
)

# --- inv ------------------------------------------------------------------------------------------


def _infer_inv(a: Aval) -> Aval:
    check_square("inv", a)
    return a.strong()


def _jvp_inv(tangents: list, primals: list, inverse: Any) -> Any:
    return -product(product(inverse, tangents[0]), inverse)


inv_p: Primitive = on_stacks(
    "inv",
    infer=_infer_inv,
    evaluate=lambda a: over_stack(np.linalg.inv, np.asarray(a)),
    jvp=_jvp_inv,
    cost=lambda inputs, outputs: flops(inputs, 2 * inputs[0].shape[-1] ** 3),
)
