"""`dot_general`: the product of two arrays over contracting and batch axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.types import Aval, shape_of
from functrans.primitives.shaping import transpose_p
from functrans.transforms.taylor import bilinear

Dimensions = tuple[tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]]
"""((lhs contracting, rhs contracting), (lhs batch, rhs batch)), as in JAX."""


def _rest(rank: int, *used: tuple[int, ...]) -> tuple[int, ...]:
    taken = {a for axes in used for a in axes}
    return tuple(a for a in range(rank) if a not in taken)


def _infer(x: Aval, y: Aval, *, dimensions: Dimensions) -> Aval:
    (cx, cy), (bx, by) = dimensions
    if x.dtype != y.dtype:
        raise DTypeError(f"dot_general needs operands of one dtype: got {x} and {y}.")
    paired = [(i, j, "contracting") for i, j in zip(cx, cy, strict=True)]
    paired += [(i, j, "batch") for i, j in zip(bx, by, strict=True)]
    for i, j, what in paired:
        if x.shape[i] != y.shape[j]:
            raise ShapeError(
                f"a product needs {what} axes of one extent: axis {i} of {x} and axis {j} of {y}."
            )
    batch = [x.shape[i] for i in bx]
    left = [x.shape[i] for i in _rest(x.ndim, cx, bx)]
    right = [y.shape[i] for i in _rest(y.ndim, cy, by)]
    return x.update(shape=batch + left + right)


def _evaluate(x: Any, y: Any, *, dimensions: Dimensions) -> Any:
    (cx, cy), (bx, by) = dimensions
    x, y = np.asarray(x), np.asarray(y)
    if not bx:
        return np.tensordot(x, y, (cx, cy))[()]
    rx, ry = _rest(x.ndim, cx, bx), _rest(y.ndim, cy, by)
    batch = [x.shape[i] for i in bx]
    left, right = [x.shape[i] for i in rx], [y.shape[i] for i in ry]
    inner = int(np.prod([x.shape[i] for i in cx], dtype=int))
    a = x.transpose(*bx, *rx, *cx).reshape(*batch, int(np.prod(left, dtype=int)), inner)
    b = y.transpose(*by, *cy, *ry).reshape(*batch, inner, int(np.prod(right, dtype=int)))
    return np.matmul(a, b).reshape(batch + left + right)


def _jvp(tangents: list, primals: list, out: Any, *, dimensions: Dimensions) -> Any:
    (tx, ty), (x, y) = tangents, primals
    from_x = None if tx is None else dot_general_p.bind(tx, y, dimensions=dimensions)
    from_y = None if ty is None else dot_general_p.bind(x, ty, dimensions=dimensions)
    if from_x is None or from_y is None:
        return from_y if from_x is None else from_x
    return from_x + from_y


def _transpose(ct: Any, x: Any, y: Any, *, dimensions: Dimensions) -> list:
    if type(x) is Linear and type(y) is Linear:
        raise not_linear("dot_general")
    if type(x) is Linear:
        return [_transpose_lhs(ct, x.aval, y, dimensions, swapped=False), None]
    (cx, cy), (bx, by) = dimensions
    return [None, _transpose_lhs(ct, y.aval, x, ((cy, cx), (by, bx)), swapped=True)]


def _transpose_lhs(ct: Any, x: Aval, y: Any, dimensions: Dimensions, swapped: bool) -> Any:
    """The cotangent of the left operand; `swapped` if it was the right one, so that ct has the
    axes of y's rest before those of x's."""
    (cx, cy), (bx, by) = dimensions
    rank_y = len(shape_of(y))
    rest_x, rest_y = _rest(x.ndim, cx, bx), _rest(rank_y, cy, by)
    n_batch, n_rest_x, n_rest_y = len(bx), len(rest_x), len(rest_y)
    begin = n_batch if swapped else n_batch + n_rest_x
    ct_rest_y = tuple(range(begin, begin + n_rest_y))
    batch = (tuple(range(n_batch)), by)
    product = dot_general_p.bind(ct, y, dimensions=((ct_rest_y, rest_y), batch))
    # axes of the product: batch, rest of x, then the contracting axes in the order of y
    order_of_cx = [cx[cy.index(j)] for j in sorted(cy)]
    axes_of_x = [*bx, *rest_x, *order_of_cx]
    permutation = tuple(int(i) for i in np.argsort(axes_of_x))
    if permutation == tuple(range(len(permutation))):
        return product
    return transpose_p.bind(product, permutation=permutation)


def _batch(args: list, batched: list, *, dimensions: Dimensions) -> tuple[Any, bool]:
    (cx, cy), (bx, by) = dimensions
    x, y = args

    def up(axes: tuple[int, ...], by_one: bool) -> tuple[int, ...]:
        return tuple(a + 1 for a in axes) if by_one else axes

    wide = (up(cx, batched[0]), up(cy, batched[1])), (up(bx, batched[0]), up(by, batched[1]))
    if all(batched):
        contracting, (wbx, wby) = wide
        out = dot_general_p.bind(x, y, dimensions=(contracting, ((0, *wbx), (0, *wby))))
        return out, True
    out = dot_general_p.bind(x, y, dimensions=wide)
    # an unshared batch axis lands after the common batch axes, in the rest of its operand
    n_batch = len(bx)
    rest_x = len(shape_of(x)) - len(cx) - n_batch
    at = n_batch if batched[0] else n_batch + rest_x
    rank = len(shape_of(out))
    order = (at, *[i for i in range(rank) if i != at])
    return (out if at == 0 else transpose_p.bind(out, permutation=order)), True


def _cost(inputs: tuple, outputs: tuple, *, dimensions: Dimensions) -> float:
    (cx, _), _ = dimensions
    return 2 * outputs[0].size * int(np.prod([inputs[0].shape[i] for i in cx], dtype=int))


dot_general_p = Primitive(
    "dot_general",
    infer=_infer,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    taylor=bilinear,
    batch=_batch,
    cost=_cost,
)
