"""Decompositions of stacks of matrices: eigh, eig, svd, qr, and pinv, which stands on one.

Their derivatives turn the bases that they give. How vectors of equal eigenvalues (or singular
values) turn among one another is a quotient 0 / 0 whose limit depends on the direction; it is
taken as zero, and so is 1 / s for a singular value of zero. So neither nan nor rounding errors
over rounding errors spread from there to what has a derivative: symmetric functions of the values,
projectors on whole spaces, the polar factor. What else the vectors do there is missing.

Sources: Giles, "Collected matrix derivative results for forward and reverse mode" (2008); Walter
and Lehmann, "Algorithmic differentiation of linear algebra functions" (2018) for qr; Wan and
Zhang, "Automatic differentiation for complex valued SVD" (2019) for the phases; Golub and Pereyra
(1973) for pinv; Golub and Van Loan, "Matrix computations", for the counts of flops.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Primitive
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import (
    abs_p,
    complex_dtype,
    complex_p,
    convert,
    imag_p,
    real_dtype,
    real_p,
    select,
    zeros_like,
)
from functrans.primitives.indexing import repeat_unbatched
from functrans.primitives.linear_algebra import (
    adjoint,
    check_matrices,
    check_square,
    conjugate,
    flops,
    half_triangle,
    on_stacks,
    product,
    solve_p,
    transposed,
    triangle,
    triangular_solve,
)
from functrans.primitives.reductions import argmax_p, reduce_max_p, reduce_sum_p
from functrans.primitives.shaping import iota, pad, reshape_p, slice_axis

# --- what the rules share -------------------------------------------------------------------------


def _over_stack(function: Callable[..., Any], finite: Any, *arrays: Any) -> list[Any]:
    """The results of function(*arrays), with nan for matrices that are not finite or for which
    NumPy's iteration does not converge.

    Args:
        function: of stacks, the matrices first; gives a sequence of stacks.
        finite: which of the matrices to give it.
        arrays: the stacks.
    """
    clean = arrays[0]
    if not finite.all():
        clean = np.where(finite[..., None, None], clean, clean.dtype.type(0))
    try:
        outs = function(clean, *arrays[1:])
    except np.linalg.LinAlgError:
        if arrays[0].ndim > 2:
            parts = [_over_stack(function, *xs) for xs in zip(finite, *arrays, strict=True)]
            return [np.stack(xs) for xs in zip(*parts, strict=True)]
        finite = np.False_
        outs = function(np.zeros_like(clean), *arrays[1:])
    if finite.all():
        return list(outs)
    return [np.where(_with_axes(finite, x.ndim), x, x.dtype.type(np.nan)) for x in outs]


def _with_axes(x: Any, rank: int) -> Any:
    return np.reshape(x, (*x.shape, *(1,) * (rank - x.ndim)))


def _all_finite(a: Any) -> Any:
    return np.isfinite(a).all((-2, -1))


def _reciprocal(x: Any, negligible: Any = 0) -> Any:
    """1 / x, and 0 where |x| is not more than what is negligible."""
    is_zero = abs_p.bind(x) <= negligible
    return select(is_zero, 0, 1 / select(is_zero, 1, x))


def _rounding(values: Any) -> Any:
    """How much equal eigenvalues (or singular values) of n come out apart, per matrix (…, 1, 1).

    LAPACK's bound has a factor that grows slowly with n. In 3,000 random bases of 2 to 20 vectors,
    half of which had one value, such values lay within 5.2 √n rounding errors of the largest, and
    of 300 within 1.2 √n.
    """
    *stack, n = shape_of(values)
    if not n:
        return zeros_like(reshape_p.bind(values, shape=(*stack, 1, n)))
    largest = reduce_max_p.bind(abs_p.bind(values), axes=(len(stack),))
    dtype = dtype_of(largest)
    factor = dtype.type(8 * math.sqrt(n) * np.finfo(dtype).eps)
    return reshape_p.bind(largest, shape=(*stack, 1, 1)) * factor


def _per_column(x: Any) -> Any:
    """A number per column, shaped to multiply matrices."""
    *stack, n = shape_of(x)
    return reshape_p.bind(x, shape=(*stack, 1, n))


def _real(x: Any) -> Any:
    return real_p.bind(x) if dtype_of(x).kind == "c" else x


def _pairs(x: Any, y: Any) -> Any:
    """The real parts of xᴴ y for each column x of the one and y of the other."""
    return _real(reduce_sum_p.bind(conjugate(x) * y, axes=(len(shape_of(x)) - 2,)))


def _block(x: Any, rows: slice, columns: slice) -> Any:
    rank = len(shape_of(x))
    for axis, part in ((rank - 2, rows), (rank - 1, columns)):
        start, stop, _ = part.indices(shape_of(x)[axis])
        if (start, stop) != (0, shape_of(x)[axis]):
            x = slice_axis(x, axis, start, stop)
    return x


def _placed(x: Any, first: tuple[int, int], shape: tuple[int, int]) -> Any:
    """Matrices of a shape that are zero but for x, whose first element is at row and column."""
    stack = (0,) * (len(shape_of(x)) - 2)
    rest = [n - i - k for n, i, k in zip(shape, first, shape_of(x)[-2:], strict=True)]
    return pad(x, (*stack, *first), (*stack, *rest), (0,) * len(shape_of(x)))


# --- eigh: eigenvalues in ascending order, eigenvectors; only one triangle is read ----------------


def _infer_eigh(a: Aval, *, lower: bool) -> tuple[Aval, Aval]:
    check_square("eigh", a)
    return Aval(a.shape[:-1], real_dtype(a.dtype)), a.strong()


def _evaluate_eigh(a: Any, *, lower: bool) -> list[Any]:
    a = np.asarray(a)
    read = _all_finite(np.tril(a) if lower else np.triu(a))
    return _over_stack(lambda x: np.linalg.eigh(x, "L" if lower else "U"), read, a)


def _hermitian(x: Any, lower: bool) -> Any:
    """The Hermitian matrices of which x has a triangle."""
    half = half_triangle(x if lower else adjoint(x))
    return half + adjoint(half)


def _jvp_eigh(tangents: list, primals: list, outs: list, *, lower: bool) -> list:
    """dλᵢ = (Vᴴ dA V)ᵢᵢ and dV = V (F ∘ Vᴴ dA V) with Fᵢⱼ = 1 / (λⱼ - λᵢ)."""
    values, vectors = outs
    moved = product(_hermitian(tangents[0], lower), vectors)
    columns = _per_column(values)
    gaps = _reciprocal(columns - transposed(columns), _rounding(values))
    turn = product(adjoint(vectors), moved) * convert(gaps, dtype_of(vectors))
    return [_pairs(vectors, moved), product(vectors, turn)]


eigh_p: Primitive = on_stacks(
    "eigh",
    infer=_infer_eigh,
    evaluate=_evaluate_eigh,
    jvp=_jvp_eigh,
    cost=lambda inputs, outputs, *, lower: flops(inputs, 9 * inputs[0].shape[-1] ** 3),
    multiple_results=True,
)

# --- eigvalsh: the eigenvalues alone, whose derivative has no quotient ----------------------------


def _evaluate_eigvalsh(a: Any, *, lower: bool) -> Any:
    a = np.asarray(a)
    read = _all_finite(np.tril(a) if lower else np.triu(a))
    (out,) = _over_stack(lambda x: [np.linalg.eigvalsh(x, "L" if lower else "U")], read, a)
    return out


def _jvp_eigvalsh(tangents: list, primals: list, values: Any, *, lower: bool) -> Any:
    """The vectors are needed. The values stay those that are known, to the last bit: what follows
    may compare with them, as the derivative of a maximum does."""
    _, vectors = eigh_p.bind(primals[0], lower=lower)
    return _pairs(vectors, product(_hermitian(tangents[0], lower), vectors))


eigvalsh_p: Primitive = on_stacks(
    "eigvalsh",
    infer=lambda a, lower: _infer_eigh(a, lower=lower)[0],
    evaluate=_evaluate_eigvalsh,
    jvp=_jvp_eigvalsh,
    cost=lambda inputs, outputs, *, lower: flops(inputs, 4 / 3 * inputs[0].shape[-1] ** 3),
)

# --- eig: eigenvalues and vectors of any square matrices, always complex --------------------------


def _infer_eig(a: Aval) -> tuple[Aval, Aval]:
    check_square("eig", a)
    dtype = complex_dtype(real_dtype(a.dtype))
    return Aval(a.shape[:-1], dtype), Aval(a.shape, dtype)


def _evaluate_eig(a: Any) -> list[Any]:
    a = np.asarray(a)
    dtype = complex_dtype(real_dtype(a.dtype))

    def decompose(x: Any) -> list[Any]:
        return [out.astype(dtype, copy=False) for out in np.linalg.eig(x)]

    return _over_stack(decompose, _all_finite(a), a)


def _jvp_eig(tangents: list, primals: list, outs: list) -> list:
    """With M = V⁻¹ dA V: dλᵢ = Mᵢᵢ and dV = V (F ∘ M), where Fᵢⱼ = 1 / (λⱼ - λᵢ).

    To that comes, for each vector, the multiple of itself that keeps its length one and its largest
    element real, as LAPACK gives it (Boeddeker et al. 2017, "On the computation of complex-valued
    gradients with application to statistically optimum beamforming"; Magnus 1985).
    """
    values, vectors = outs
    change = convert(tangents[0], dtype_of(vectors))
    moved = solve_p.bind(vectors, product(change, vectors))
    columns = _per_column(values)
    turn = product(vectors, moved * _reciprocal(columns - transposed(columns), _rounding(values)))
    down = len(shape_of(vectors)) - 2
    stretch = _pairs(vectors, turn)
    is_largest = _largest_real(vectors)
    aside = reduce_sum_p.bind(select(is_largest, imag_p.bind(turn), 0), axes=(down,))
    along = reduce_sum_p.bind(select(is_largest, real_p.bind(vectors), 0), axes=(down,))
    back = _per_column(complex_p.bind(stretch, aside / along))
    return [_diagonal(moved), turn - vectors * back]


def _largest_real(vectors: Any) -> Any:
    """Where the largest of the real elements of each column is."""
    down = len(shape_of(vectors)) - 2
    size = select(imag_p.bind(vectors) == 0, abs_p.bind(real_p.bind(vectors)), -1)
    place = argmax_p.bind(size, axis=down)
    return iota(shape_of(vectors), down, dtype_of(place)) == _per_column(place)


def _diagonal(x: Any) -> Any:
    alone = triangle(triangle(x, lower=True), lower=False)
    return reduce_sum_p.bind(alone, axes=(len(shape_of(x)) - 2,))


eig_p: Primitive = on_stacks(
    "eig",
    infer=_infer_eig,
    evaluate=_evaluate_eig,
    jvp=_jvp_eig,
    cost=lambda inputs, outputs: flops(inputs, 25 * inputs[0].shape[-1] ** 3),
    multiple_results=True,
)

# --- svd: U, s in descending order, Vᴴ ------------------------------------------------------------


def _infer_svd(a: Aval, *, full_matrices: bool) -> tuple[Aval, Aval, Aval]:
    check_matrices("svd", a)
    *stack, m, n = a.shape
    k = min(m, n)
    p, q = (m, n) if full_matrices else (k, k)
    return (
        Aval((*stack, m, p), a.dtype),
        Aval((*stack, k), real_dtype(a.dtype)),
        Aval((*stack, q, n), a.dtype),
    )


def _evaluate_svd(a: Any, *, full_matrices: bool) -> list[Any]:
    a = np.asarray(a)
    return _over_stack(lambda x: np.linalg.svd(x, full_matrices), _all_finite(a), a)


def _jvp_svd(tangents: list, primals: list, outs: list, *, full_matrices: bool) -> list:
    """Within the first k = min(m, n) vectors, with M = Uᴴ dA V: dsᵢ = Mᵢᵢ, dU = U (P + K) and
    dV = V (P - K), where Pᵢⱼ = (M + Mᴴ)ᵢⱼ / 2 (sⱼ - sᵢ) and Kᵢⱼ = (M - Mᴴ)ᵢⱼ / 2 (sⱼ + sᵢ).

    This is Giles's formula with his quotient by sⱼ² - sᵢ² taken apart, so that K, the only part in
    d(U Vᴴ), has no pole where singular values are equal; its diagonal turns the phases.
    """
    (change,), (u, s, vh) = tangents, outs
    v, k = adjoint(vh), shape_of(s)[-1]
    u_first, v_first = (_block(x, slice(None), slice(0, k)) for x in (u, v))
    u_image, v_image = product(change, v_first), product(adjoint(change), u_first)
    inside = product(adjoint(u_first), u_image) * dtype_of(u).type(0.5)
    columns, other = _per_column(s), adjoint(inside)
    rows, negligible = transposed(columns), _rounding(s)
    far = (inside + other) * convert(_reciprocal(columns - rows, negligible), dtype_of(u))
    near = (inside - other) * convert(_reciprocal(columns + rows, negligible), dtype_of(u))
    inverse = convert(_reciprocal(columns), dtype_of(u))
    return [
        _turned(u, far + near, u_image, inverse),
        _pairs(u_first, u_image),
        adjoint(_turned(v, far - near, v_image, inverse)),
    ]


def _turned(basis: Any, turn: Any, image: Any, inverse: Any) -> Any:
    """The change of orthonormal columns, of which the first k belong to singular values.

    Args:
        basis: matrices (…, m, p).
        turn: how these k turn among one another, skew-Hermitian (…, k, k).
        image: (…, m, k), dA applied to their partners on the other side; what of it is outside of
            their span, times `inverse`, is how they turn away from it.
        inverse: 1 / s, a number per column.
    """
    (m, p), k = shape_of(basis)[-2:], shape_of(turn)[-1]
    if p > k:
        below = _block(product(adjoint(basis), image), slice(k, p), slice(0, k)) * inverse
        placed = _placed(below, (k, 0), (p, p))
        return product(basis, _placed(turn, (0, 0), (p, p)) + placed - adjoint(placed))
    within = product(basis, turn)
    if m == k:
        return within
    return within + (image - product(basis, product(adjoint(basis), image))) * inverse


def _cost_svd(inputs: Sequence[Aval], outputs: Sequence[Aval], *, full_matrices: bool) -> float:
    k, n = sorted(inputs[0].shape[-2:])
    return flops(inputs, 4 * n * n * k + 22 * k**3 if full_matrices else 6 * n * k * k + 20 * k**3)


svd_p: Primitive = on_stacks(
    "svd",
    infer=_infer_svd,
    evaluate=_evaluate_svd,
    jvp=_jvp_svd,
    cost=_cost_svd,
    multiple_results=True,
)

# --- svdvals: the singular values alone, whose derivative has no quotient -------------------------


def _infer_svdvals(a: Aval) -> Aval:
    check_matrices("svdvals", a)
    return Aval((*a.shape[:-2], min(a.shape[-2:])), real_dtype(a.dtype))


def _evaluate_svdvals(a: Any) -> Any:
    a = np.asarray(a)
    (out,) = _over_stack(lambda x: [np.linalg.svd(x, compute_uv=False)], _all_finite(a), a)
    return out


def _jvp_svdvals(tangents: list, primals: list, values: Any) -> Any:
    u, _, vh = svd_p.bind(primals[0], full_matrices=False)
    return _pairs(u, product(tangents[0], adjoint(vh)))


def _cost_svdvals(inputs: Sequence[Aval], outputs: Sequence[Aval]) -> float:
    k, n = sorted(inputs[0].shape[-2:])
    return flops(inputs, 4 * n * k * k - 4 / 3 * k**3)


svdvals_p: Primitive = on_stacks(
    "svdvals",
    infer=_infer_svdvals,
    evaluate=_evaluate_svdvals,
    jvp=_jvp_svdvals,
    cost=_cost_svdvals,
)

# --- qr: Q with orthonormal columns, and the upper triangular R with a real diagonal --------------


def _infer_qr(a: Aval, *, complete: bool) -> tuple[Aval, Aval]:
    check_matrices("qr", a)
    *stack, m, n = a.shape
    p = m if complete else min(m, n)
    return Aval((*stack, m, p), a.dtype), Aval((*stack, p, n), a.dtype)


def _evaluate_qr(a: Any, *, complete: bool) -> list[Any]:
    a = np.asarray(a)
    mode: Any = "complete" if complete else "reduced"
    return _over_stack(lambda x: np.linalg.qr(x, mode), _all_finite(a), a)


def _jvp_qr(tangents: list, primals: list, outs: list, *, complete: bool) -> list:
    """dQ = Q Ω and dR = Qᴴ dA - Ω R, where Ω is skew-Hermitian, and below the diagonal as
    X = Qᴴ dA R⁻¹, of the first min(m, n) columns."""
    (change,), (q, r) = tangents, outs
    (m, p), k = shape_of(q)[-2:], min(shape_of(primals[0])[-2:])
    first = slice(0, k)
    square = _block(r, first, first)
    image = triangular_solve(
        square, _block(change, slice(None), first), lower=False, left_side=False
    )
    inside = product(adjoint(q), image)
    below = _placed(triangle(inside, lower=True, strict=True), (0, 0), (p, p))
    turn = below - adjoint(below)
    if dtype_of(q).kind == "c":
        turn = turn + _placed(_phases(inside), (0, 0), (p, p))
    dq = product(q, turn)
    if m > p:
        dq = dq + image - product(q, inside)
    return [dq, triangle(product(adjoint(q), change) - product(turn, r), lower=False)]


def _phases(x: Any) -> Any:
    """The imaginary parts of the diagonal, as diagonal matrices."""
    imaginary = imag_p.bind(x)
    on_diagonal = triangle(triangle(imaginary, lower=True), lower=False)
    return complex_p.bind(zeros_like(on_diagonal), on_diagonal)


def _cost_qr(inputs: Sequence[Aval], outputs: Sequence[Aval], *, complete: bool) -> float:
    m, n = inputs[0].shape[-2:]
    k, p = min(m, n), outputs[0].shape[-1]
    factor = 2 * m * n * k - 2 / 3 * k**3
    form = 4 * m * p * k - 2 * (m + p) * k * k + 4 / 3 * k**3
    return flops(inputs, factor + form)


qr_p: Primitive = on_stacks(
    "qr",
    infer=_infer_qr,
    evaluate=_evaluate_qr,
    jvp=_jvp_qr,
    cost=_cost_qr,
    multiple_results=True,
)

# --- pinv: singular values up to rcond times the largest are taken as zero ------------------------


def _infer_pinv(a: Aval, rcond: Aval) -> Aval:
    check_matrices("pinv", a)
    if rcond.shape != a.shape[:-2]:
        raise ShapeError(f"pinv needs a cutoff per matrix: got a: {a} and rcond: {rcond}.")
    if rcond.dtype != real_dtype(a.dtype):
        raise DTypeError(f"pinv needs a cutoff in the precision of a: got {a} and {rcond}.")
    *stack, m, n = a.shape
    return Aval((*stack, n, m), a.dtype)


def _evaluate_pinv(a: Any, rcond: Any) -> Any:
    a = np.asarray(a)
    finite = _all_finite(a)
    (out,) = _over_stack(lambda x, r: [np.linalg.pinv(x, r)], finite, a, np.asarray(rcond))
    return out


def _jvp_pinv(tangents: list, primals: list, inverse: Any) -> Any:
    """dA⁺ = -A⁺ dA A⁺ + A⁺ A⁺ᴴ dAᴴ (1 - A A⁺) + (1 - A⁺ A) dAᴴ A⁺ᴴ A⁺, which takes the rank as
    constant, and what is cut off as zero."""
    (change, _), (a, _) = tangents, primals
    if change is None:
        return None
    other, there = adjoint(change), adjoint(inverse)
    left, right = product(inverse, product(there, other)), product(product(other, there), inverse)
    return (
        left
        - product(product(left, a), inverse)
        + right
        - product(inverse, product(a, right))
        - product(product(inverse, change), inverse)
    )


def _batch_pinv(args: list, batched: list) -> tuple[Any, bool]:
    extent = next(shape_of(x)[0] for x, b in zip(args, batched, strict=True) if b)
    wide = [repeat_unbatched(x, b, extent) for x, b in zip(args, batched, strict=True)]
    return pinv_p.bind(*wide), True


def _cost_pinv(inputs: Sequence[Aval], outputs: Sequence[Aval]) -> float:
    k, n = sorted(inputs[0].shape[-2:])
    return _cost_svd(inputs, outputs, full_matrices=False) + flops(inputs, 2 * n * k * k)


pinv_p: Primitive = Primitive(
    "pinv",
    infer=_infer_pinv,
    evaluate=_evaluate_pinv,
    jvp=_jvp_pinv,
    batch=_batch_pinv,
    cost=_cost_pinv,
)
