"""Products of arrays: every one is contractions of labelled axes by `dot_general`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import mirrors, refuse
from functrans.numpy.manipulation import broadcast_to, moveaxis, ravel, reshape, strong, transpose
from functrans.numpy.matrices import diagonal
from functrans.numpy.promotion import promote, promote_for
from functrans.primitives.products import dot_general_p
from functrans.primitives.reductions import reduce_or_p, reduce_sum_p

Labels = Sequence[int]


def contract(x: Any, x_labels: Labels, y: Any, y_labels: Labels, out_labels: Labels) -> Any:
    """The product of two arrays of one dtype, summed over the labels that the result lacks.

    Args:
        x, y: arrays of one dtype.
        x_labels, y_labels: a label per axis, distinct in each; axes of one label have one extent,
            or extent one, which broadcasts.
        out_labels: the labels of the result's axes, in order; each is one of the operands'.
    """
    extents: dict[int, int] = {}
    for labels, v in ((x_labels, x), (y_labels, y)):
        for label, n in zip(labels, shape_of(v), strict=True):
            extents[label] = n if extents.get(label, 1) == 1 else extents[label]
    x, x_labels = _without_broadcast_axes(x, x_labels, extents)
    y, y_labels = _without_broadcast_axes(y, y_labels, extents)
    x, x_labels = _summed(x, x_labels, (*y_labels, *out_labels))
    y, y_labels = _summed(y, y_labels, (*x_labels, *out_labels))
    shared = [label for label in x_labels if label in y_labels]
    batch = [label for label in shared if label in out_labels]
    summed = [label for label in shared if label not in out_labels]

    def axes(labels: Labels, wanted: Labels) -> tuple[int, ...]:
        return tuple(list(labels).index(label) for label in wanted)

    dimensions = (
        (axes(x_labels, summed), axes(y_labels, summed)),
        (axes(x_labels, batch), axes(y_labels, batch)),
    )
    out = dot_general_p.bind(x, y, dimensions=dimensions)
    rest = [label for label in (*x_labels, *y_labels) if label not in shared]
    have = [*batch, *rest]
    missing = [label for label in out_labels if label not in have]
    out = reshape(out, (*(1,) * len(missing), *shape_of(out)))
    out = transpose(out, axes([*missing, *have], out_labels))
    return broadcast_to(out, tuple(extents[label] for label in out_labels))


def _without_broadcast_axes(
    x: Any, labels: Labels, extents: dict[int, int]
) -> tuple[Any, list[int]]:
    """x without its axes of extent one, which take part in no sum and come back by broadcasting."""
    left = [m for m, n in zip(labels, shape_of(x), strict=True) if n == extents[m] and n != 1]
    return reshape(x, tuple(extents[m] for m in left)), left


def _summed(x: Any, labels: Labels, needed: Labels) -> tuple[Any, list[int]]:
    """x summed over the labels that nothing else has."""
    lone = tuple(i for i, m in enumerate(labels) if m not in needed)
    if lone:
        x = (reduce_or_p if dtype_of(x).kind == "b" else reduce_sum_p).bind(x, axes=lone)
    return x, [m for m in labels if m in needed]


def _matrix_product(ufunc: Any, x: Any, y: Any, core: tuple[Labels, Labels, Labels]) -> Any:
    """A product whose last axes have the labels of `core`; the axes before them broadcast."""
    x, y = promote_for(ufunc, (x, y))
    return _broadcasting(ufunc.__name__, x, y, core)


def _broadcasting(name: str, x: Any, y: Any, core: tuple[Labels, Labels, Labels]) -> Any:
    x_core, y_core, out_core = core
    x_shape, y_shape = shape_of(x), shape_of(y)
    x_lead, y_lead = len(x_shape) - len(x_core), len(y_shape) - len(y_core)
    if x_lead < 0 or y_lead < 0:
        raise ShapeError(
            f"{name} needs {len(x_core)} and {len(y_core)} axes at least: got {aval_of(x)} and "
            f"{aval_of(y)}."
        )
    known = dict(zip(x_core, x_shape[x_lead:], strict=True))
    for label, n in zip(y_core, y_shape[y_lead:], strict=True):
        if known.get(label, n) != n:
            raise ShapeError(_mismatch(name, x, y))
    rank = max(x_lead, y_lead)
    for n, m in zip(x_shape[:x_lead][::-1], y_shape[:y_lead][::-1], strict=False):
        if n != m and 1 not in (n, m):
            raise ShapeError(
                f"{name} needs leading axes that broadcast: got {aval_of(x)} and {aval_of(y)}."
            )
    lead = [-1 - i for i in range(rank)][::-1]
    return contract(
        x,
        [*lead[rank - x_lead :], *x_core],
        y,
        [*lead[rank - y_lead :], *y_core],
        [*lead, *out_core],
    )


def _mismatch(name: str, x: Any, y: Any) -> str:
    a, b = shape_of(x), shape_of(y)
    text = (
        f"{name} needs x's last axis to equal y's "
        f"{'first' if len(b) == 1 else 'last but one'}: got x: {aval_of(x)} and y: {aval_of(y)}."
        f"{user_line()}"
    )
    if len(b) == 2 and b[1] == a[-1]:
        return f"{text}\n  Did you mean x @ y.T ?"
    if len(a) == 2 and a[0] == (b[-2] if len(b) > 1 else b[0]):
        return f"{text}\n  Did you mean x.T @ y ?"
    return text


@mirrors(np.matmul)
def matmul(x1: Any, x2: Any, /, out: None = None, *, dtype: Any = None) -> Any:
    """`numpy.matmul`: the product of matrices in the last two axes; vectors are rows or columns.

    >>> import functrans.numpy as fnp
    >>> fnp.matmul([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    refuse("matmul", out=(out, None))
    x, y = promote_for(np.matmul, (x1, x2), None if dtype is None else np.dtype(dtype))
    ranks = len(shape_of(x)), len(shape_of(y))
    if 0 in ranks:
        raise ShapeError(f"matmul does not take scalars, use *: got {aval_of(x)} and {aval_of(y)}.")
    i, j, k = 1, 2, 3
    left, right = ([i, j] if ranks[0] > 1 else [j]), ([j, k] if ranks[1] > 1 else [j])
    result = [*left[:-1], *right[1:]]
    return _broadcasting("matmul", x, y, (left, right, result))


def _conjugate(x: Any) -> Any:
    return ufuncs.conj(x) if dtype_of(x).kind == "c" else x


@mirrors(np.vecdot)
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """`numpy.vecdot`: sums of conj(x1) * x2 along an axis.

    >>> import functrans.numpy as fnp
    >>> float(fnp.vecdot([1.0, 2.0], [3.0, 4.0]))
    11.0
    """
    x, y = promote_for(np.vecdot, (x1, x2))
    x, y = (moveaxis(v, axis, -1) if shape_of(v) else v for v in (x, y))
    return _broadcasting("vecdot", _conjugate(x), y, ([1], [1], []))


@mirrors(np.matvec)
def matvec(x1: Any, x2: Any, /) -> Any:
    """`numpy.matvec`: matrices times vectors, both stacked.

    >>> import functrans.numpy as fnp
    >>> fnp.matvec([[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    return _matrix_product(np.matvec, x1, x2, ([1, 2], [2], [1]))


@mirrors(np.vecmat)
def vecmat(x1: Any, x2: Any, /) -> Any:
    """`numpy.vecmat`: conjugated vectors times matrices, both stacked.

    >>> import functrans.numpy as fnp
    >>> fnp.vecmat([1, 1], [[1, 2], [3, 4]]).tolist()
    [4, 6]
    """
    return _matrix_product(np.vecmat, _conjugate(strong(x1)), x2, ([1], [1, 2], [2]))


@mirrors(np.dot)
def dot(a: Any, b: Any, out: None = None) -> Any:
    """`numpy.dot`: the sum of products over a's last axis and b's last but one.

    >>> import functrans.numpy as fnp
    >>> float(fnp.dot([1.0, 2.0], [3.0, 4.0]))
    11.0
    """
    refuse("dot", out=(out, None))
    x, y = _operands(a, b)
    if not shape_of(x) or not shape_of(y):
        return ufuncs.multiply(x, y)
    rank_x, rank_y = len(shape_of(x)), len(shape_of(y))
    along = rank_y - 2 if rank_y > 1 else 0
    if shape_of(x)[-1] != shape_of(y)[along]:
        raise ShapeError(_mismatch("dot", x, y))
    return dot_general_p.bind(x, y, dimensions=(((rank_x - 1,), (along,)), ((), ())))


def _operands(a: Any, b: Any) -> list[Any]:
    """Both with their common dtype, scalars strong as `numpy.asarray` makes them."""
    return promote(strong(a), strong(b))


@mirrors(np.vdot)
def vdot(a: Any, b: Any, /) -> Any:
    """`numpy.vdot`: the sum of conj(a) * b over all elements.

    >>> import functrans.numpy as fnp
    >>> complex(fnp.vdot([1j], [1j]))
    (1+0j)
    """
    x, y = _operands(a, b)
    return dot(_conjugate(ravel(x)), ravel(y))


@mirrors(np.inner)
def inner(a: Any, b: Any, /) -> Any:
    """`numpy.inner`: sums of products over the last axes.

    >>> import functrans.numpy as fnp
    >>> float(fnp.inner([1.0, 2.0], [3.0, 4.0]))
    11.0
    """
    x, y = _operands(a, b)
    if not shape_of(x) or not shape_of(y):
        return ufuncs.multiply(x, y)
    return tensordot(x, y, (-1, -1))


@mirrors(np.outer)
def outer(a: Any, b: Any, out: None = None) -> Any:
    """`numpy.outer`: all products of an element of a and one of b.

    >>> import functrans.numpy as fnp
    >>> fnp.outer([1, 2], [3, 4]).tolist()
    [[3, 4], [6, 8]]
    """
    refuse("outer", out=(out, None))
    return ufuncs.multiply(reshape(ravel(a), (-1, 1)), ravel(b))


@mirrors(np.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """`numpy.tensordot`: sums of products over given axes, or over the last of a and first of b.

    >>> import functrans.numpy as fnp
    >>> fnp.tensordot(fnp.ones((2, 3)), fnp.ones((3, 4)), 1).shape
    (2, 4)
    """
    x, y = _operands(a, b)
    rank_x, rank_y = len(shape_of(x)), len(shape_of(y))
    if isinstance(axes, Sequence | np.ndarray):
        first, second = axes
        of_x = list(first) if isinstance(first, Sequence | np.ndarray) else [first]
        of_y = list(second) if isinstance(second, Sequence | np.ndarray) else [second]
    else:
        of_x, of_y = list(range(rank_x - axes, rank_x)), list(range(axes))
    if len(of_x) != len(of_y):
        raise ShapeError(f"tensordot needs as many axes of a as of b: {axes}.")
    left = tuple(canonical_axis(i, rank_x) for i in of_x)
    right = tuple(canonical_axis(i, rank_y) for i in of_y)
    return dot_general_p.bind(x, y, dimensions=((left, right), ((), ())))


@mirrors(np.kron)
def kron(a: Any, b: Any) -> Any:
    """`numpy.kron`: the Kronecker product, blocks of b scaled by elements of a.

    >>> import functrans.numpy as fnp
    >>> fnp.kron([1, 10], [1, 2]).tolist()
    [1, 2, 10, 20]
    """
    x, y = _operands(a, b)
    rank = max(len(shape_of(x)), len(shape_of(y)))
    n = (*(1,) * (rank - len(shape_of(x))), *shape_of(x))
    m = (*(1,) * (rank - len(shape_of(y))), *shape_of(y))
    wide_x = reshape(x, tuple(k for i in n for k in (i, 1)))
    wide_y = reshape(y, tuple(k for i in m for k in (1, i)))
    product = ufuncs.multiply(wide_x, wide_y)
    return reshape(product, tuple(i * j for i, j in zip(n, m, strict=True)))


@mirrors(np.cross)
def cross(
    a: Any,
    b: Any,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Any:
    """`numpy.cross`: the vector product along axes of extent three (or two).

    >>> import functrans.numpy as fnp
    >>> fnp.cross([1, 0, 0], [0, 1, 0]).tolist()
    [0, 0, 1]
    """
    from functrans.numpy.joining import stack, unstack

    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = _operands(a, b)
    x, y = moveaxis(x, axisa, -1), moveaxis(y, axisb, -1)
    sizes = shape_of(x)[-1], shape_of(y)[-1]
    if any(n not in (2, 3) for n in sizes):
        raise ShapeError(
            f"cross needs vectors of two or three elements: got {aval_of(a)} and {aval_of(b)}."
        )
    u, v = unstack(x, axis=-1), unstack(y, axis=-1)
    third = u[0] * v[1] - u[1] * v[0]
    if sizes == (2, 2):
        return third
    zero = dtype_of(x).type(0)
    u2, v2 = (w[2] if len(w) == 3 else zero for w in (u, v))
    parts = [u[1] * v2 - u2 * v[1], u2 * v[0] - u[0] * v2, third]
    shape = np.broadcast_shapes(*[shape_of(w) for w in parts])
    return moveaxis(stack([broadcast_to(w, shape) for w in parts], -1), -1, axisc)


@mirrors(np.trace)
def trace(
    a: Any,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
    dtype: Any = None,
    out: None = None,
) -> Any:
    """`numpy.trace`: the sum of a diagonal.

    >>> import functrans.numpy as fnp
    >>> int(fnp.trace([[1, 2], [3, 4]]))
    5
    """
    from functrans.numpy.reductions import sum

    return sum(diagonal(a, offset, axis1, axis2), -1, dtype, out)
