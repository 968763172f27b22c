"""Sylvester's equation for stacks of matrices: x with a x + x b = q, by Schur decompositions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.types import Aval, shape_of
from functrans.primitives.indexing import repeat_unbatched
from functrans.primitives.linear_algebra import (
    check_matrices,
    check_square,
    flops,
    over_stack,
    product,
    transposed,
)


def _infer_sylvester(a: Aval, b: Aval, q: Aval) -> Aval:
    check_matrices("solve_sylvester", a, b, q)
    check_square("solve_sylvester", a)
    check_square("solve_sylvester", b)
    shape = (*a.shape[:-1], b.shape[-1])
    if a.shape[:-2] != b.shape[:-2] or q.shape != shape:
        raise ShapeError(
            "solve_sylvester needs as many rows of q as of a, as many columns as of b, and one "
            f"shape of stack: got a: {a}, b: {b} and q: {q}."
        )
    return q.strong()


def _evaluate_sylvester(a: Any, b: Any, q: Any) -> Any:
    from scipy import linalg

    a, b, q = np.asarray(a), np.asarray(b), np.asarray(q)
    out = np.full_like(q, np.nan)
    for i in np.ndindex(q.shape[:-2] if q.size else 0):
        if np.isfinite(a[i]).all() and np.isfinite(b[i]).all():
            out[i] = over_stack(linalg.solve_sylvester, a[i], b[i], q[i])
    return out


def _jvp_sylvester(tangents: list, primals: list, x: Any) -> Any:
    """a dx + dx b = dq - da x - x db."""
    (ta, tb, right), (a, b, _) = tangents, primals
    for term in (
        None if ta is None else product(ta, x),
        None if tb is None else product(x, tb),
    ):
        if term is not None:
            right = -term if right is None else right - term
    return sylvester_p.bind(a, b, right)


def _transpose_sylvester(ct: Any, a: Any, b: Any, q: Any) -> list:
    if type(a) is Linear or type(b) is Linear:
        raise not_linear("solve_sylvester")
    return [None, None, sylvester_p.bind(transposed(a), transposed(b), ct)]


def _batch_sylvester(args: list, batched: list) -> tuple[Any, bool]:
    extent = next(shape_of(x)[0] for x, b in zip(args, batched, strict=True) if b)
    wide = [repeat_unbatched(x, b, extent) for x, b in zip(args, batched, strict=True)]
    return sylvester_p.bind(*wide), True


def _cost_sylvester(inputs: Sequence[Aval], outputs: Sequence[Aval]) -> float:
    m, n = outputs[0].shape[-2:]
    return flops(inputs, 25 * (m**3 + n**3) + 5 * m * n * (m + n))


sylvester_p: Primitive = Primitive(
    "solve_sylvester",
    infer=_infer_sylvester,
    evaluate=_evaluate_sylvester,
    jvp=_jvp_sylvester,
    transpose=_transpose_sylvester,
    batch=_batch_sylvester,
    cost=_cost_sylvester,
)
