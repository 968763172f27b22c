"""Determinants of stacks of matrices: det, slogdet, and the derivatives of det.

det is a polynomial, so it has derivatives at singular matrices too, where the formula det(a) a⁻¹
has not. They are primitives of their own: `cofactors`, the gradient, and `cofactors_along`, its
change in a direction, both evaluated by singular values, without a quotient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import complex_p, imag_p, real_dtype, real_p, zeros_like
from functrans.primitives.linear_algebra import (
    check_square,
    flops,
    inner,
    inv_p,
    on_stacks,
    over_stack,
    product,
    transposed,
)
from functrans.primitives.shaping import broadcast_p, reshape_p


def _infer_scalar(a: Aval) -> Aval:
    check_square("det", a)
    return a.update(shape=a.shape[:-2])


def _lu_flops(inputs: Sequence[Aval], outputs: Sequence[Aval]) -> float:
    return flops(inputs, 2 * inputs[0].shape[-1] ** 3 / 3)


def _svd_flops(inputs: Sequence[Aval], outputs: Sequence[Aval]) -> float:
    return flops(inputs, 22 * inputs[0].shape[-1] ** 3)


def _per_matrix(x: Any) -> Any:
    """A number per matrix, shaped to multiply matrices."""
    return reshape_p.bind(x, shape=(*shape_of(x), 1, 1))


# --- det ------------------------------------------------------------------------------------------

det_p: Primitive = on_stacks(
    "det",
    infer=_infer_scalar,
    evaluate=lambda a: np.linalg.det(np.asarray(a)),
    jvp=lambda tangents, primals, out: inner(cofactors_p.bind(primals[0]), tangents[0]),
    cost=_lu_flops,
)

# --- cofactors: the gradient of det ---------------------------------------------------------------


def _infer_cofactors(a: Aval) -> Aval:
    check_square("cofactors", a)
    return a.strong()


def _products_without_one(s: Any) -> Any:
    """For each element of the last axis, the product of all others."""
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, s[..., :0:-1]], -1), -1)[..., ::-1]
    return before * after


def _decompose(a: Any) -> tuple[Any, Any, Any, Any]:
    """det(u vh), u, s, vh of the singular value decomposition; nan where it does not exist."""
    finite = np.isfinite(a).all((-2, -1))
    u, s, vh = np.linalg.svd(np.where(finite[..., None, None], a, 0))
    scale = np.where(finite, np.linalg.det(u @ vh), np.nan).astype(a.dtype)
    return scale[..., None, None], u, s, vh


def _evaluate_cofactors(a: Any) -> Any:
    a = np.asarray(a)
    if a.shape[-1] <= 1:
        return np.ones_like(a)
    out = np.empty_like(a)
    with np.errstate(all="ignore"):
        inverse = over_stack(np.linalg.inv, a)
        condition = np.abs(a).sum(-1).max(-1) * np.abs(inverse).sum(-1).max(-1)
        # the product with the inverse loses a digit for each digit of the condition number
        good = condition < np.finfo(a.dtype).eps ** -0.25
        det = np.linalg.det(a[good])[..., None, None]
        out[good] = det * np.swapaxes(inverse[good], -1, -2)
        if not good.all():
            scale, u, s, vh = _decompose(a[~good])
            without = _products_without_one(s)[..., None, :]
            out[~good] = scale * ((u.conj() * without) @ vh.conj())
    return out


def _jvp_cofactors(tangents: list, primals: list, out: Any) -> Any:
    if shape_of(out)[-1] < 2:
        return None
    return cofactors_along_p.bind(primals[0], tangents[0])


cofactors_p: Primitive = on_stacks(
    "cofactors",
    infer=_infer_cofactors,
    evaluate=_evaluate_cofactors,
    jvp=_jvp_cofactors,
    cost=lambda inputs, outputs: flops(inputs, 4 * inputs[0].shape[-1] ** 3),
)

# --- cofactors_along: the derivative of cofactors at a in a direction e ---------------------------


def _infer_cofactors_along(a: Aval, e: Aval) -> Aval:
    check_square("cofactors_along", a)
    if a.shape != e.shape:
        raise ShapeError(f"cofactors_along needs matrices of one shape: got {a} and {e}.")
    if a.dtype != e.dtype:
        raise DTypeError(f"cofactors_along needs matrices of one dtype: got {a} and {e}.")
    return e.strong()


def _evaluate_cofactors_along(a: Any, e: Any) -> Any:
    a, e = np.asarray(a), np.asarray(e)
    n = a.shape[-1]
    if n < 2 or not a.size:
        return np.zeros_like(e)
    scale, u, s, vh = _decompose(a)
    direction = np.swapaxes(u, -1, -2).conj() @ e @ np.swapaxes(vh, -1, -2).conj()
    # without[i, j]: the product of all singular values but i and j
    one = np.eye(n, dtype=bool)
    without = _products_without_one(np.where(one, 1, s[..., None, :]))
    without = np.where(one, 0, without)
    out = -np.swapaxes(direction, -1, -2) * without
    on_diagonal = np.einsum("...k,...ik->...i", np.einsum("...kk->...k", direction), without)
    out[..., np.arange(n), np.arange(n)] = on_diagonal
    return (scale * (u.conj() @ out @ vh.conj())).astype(e.dtype)


def _jvp_cofactors_along(tangents: list, primals: list, out: Any) -> Any:
    (ta, te), (a, e) = tangents, primals
    terms = []
    if te is not None:
        terms.append(cofactors_along_p.bind(a, te))
    if ta is not None and shape_of(a)[-1] == 3:
        # of degree three in all: linear in a, and symmetric in a and e
        terms.append(cofactors_along_p.bind(ta, e))
    elif ta is not None and shape_of(a)[-1] > 3:
        terms.append(_third_derivative(a, e, ta))
    if not terms:
        return None
    return terms[0] if len(terms) == 1 else terms[0] + terms[1]


def _third_derivative(a: Any, e: Any, d: Any) -> Any:
    """The change of det(a) (tr(a⁻¹e) a⁻¹ - a⁻¹ e a⁻¹)ᵀ in the direction d.

    It has the inverse, so third and higher derivatives of det are nan at singular matrices larger
    than three by three.
    """
    inverse = inv_p.bind(a)
    x, y = product(inverse, e), product(inverse, d)
    xy, yx = product(x, y), product(y, x)
    flipped = transposed(x)
    trace_x, trace_y = (_per_matrix(inner(inverse, transposed(v))) for v in (e, d))
    crossed = _per_matrix(inner(flipped, y))
    identity_part = (trace_x * trace_y - crossed) * inverse
    rest = product(xy + yx - trace_y * x - trace_x * y, inverse)
    return _per_matrix(det_p.bind(a)) * transposed(identity_part + rest)


def _transpose_cofactors_along(ct: Any, a: Any, e: Any) -> list:
    # the second derivative of det is a symmetric form, so its matrix is its own transpose
    if type(a) is not Linear:
        return [None, cofactors_along_p.bind(a, ct)]
    if type(e) is Linear or a.aval.shape[-1] != 3:
        raise not_linear("cofactors_along")
    return [cofactors_along_p.bind(ct, e), None]


def _batch_cofactors_along(args: list, batched: list) -> tuple[Any, bool]:
    shape = next(shape_of(x) for x, b in zip(args, batched, strict=True) if b)
    wide = [
        x if b else broadcast_p.bind(x, shape=shape) for x, b in zip(args, batched, strict=True)
    ]
    return cofactors_along_p.bind(*wide), True


cofactors_along_p: Primitive = Primitive(
    "cofactors_along",
    infer=_infer_cofactors_along,
    evaluate=_evaluate_cofactors_along,
    jvp=_jvp_cofactors_along,
    transpose=_transpose_cofactors_along,
    batch=_batch_cofactors_along,
    cost=_svd_flops,
)

# --- slogdet: sign (or phase) and logarithm of the absolute value of det --------------------------


def _infer_slogdet(a: Aval) -> tuple[Aval, Aval]:
    check_square("slogdet", a)
    shape = a.shape[:-2]
    return Aval(shape, a.dtype), Aval(shape, real_dtype(a.dtype))


def _jvp_slogdet(tangents: list, primals: list, outs: list) -> list:
    # by the inverse and not by solve, so that what is linear in the tangent is only a sum
    change = inner(transposed(inv_p.bind(primals[0])), tangents[0])
    if dtype_of(change).kind != "c":
        return [None, change]
    turn = imag_p.bind(change)
    return [outs[0] * complex_p.bind(zeros_like(turn), turn), real_p.bind(change)]


slogdet_p: Primitive = on_stacks(
    "slogdet",
    infer=_infer_slogdet,
    evaluate=lambda a: list(np.linalg.slogdet(np.asarray(a))),
    jvp=_jvp_slogdet,
    cost=_lu_flops,
    multiple_results=True,
)

# --- lu_diagonal: what compiled code makes det and slogdet of -------------------------------------


def _infer_lu_diagonal(a: Aval) -> tuple[Aval, Aval]:
    check_square("lu_diagonal", a)
    return Aval(a.shape[:-2], real_dtype(a.dtype)), Aval(a.shape[:-1], a.dtype)


def _evaluate_lu_diagonal(a: Any) -> list[Any]:
    from scipy.linalg import lapack

    parity = np.ones(a.shape[:-2], real_dtype(a.dtype))
    diagonal = np.zeros(a.shape[:-1], a.dtype)
    (getrf,) = lapack.get_lapack_funcs(("getrf",), (a,))
    for i in np.ndindex(parity.shape if a.size else 0):
        factors, pivots, singular = getrf(a[i])
        exchanges = np.count_nonzero(pivots != np.arange(len(pivots)))
        parity[i] = 0 if singular else (-1) ** exchanges
        diagonal[i] = 0 if singular else np.diagonal(factors)
    return [parity, diagonal]


lu_diagonal_p: Primitive = on_stacks(
    "lu_diagonal",
    infer=_infer_lu_diagonal,
    evaluate=_evaluate_lu_diagonal,
    cost=_lu_flops,
    multiple_results=True,
)
"""The parity of the exchanges of rows, 1 or -1, and the diagonal of U, of a = P L U; both are 0 for
a singular matrix. It comes into Programs after all derivatives are taken."""
