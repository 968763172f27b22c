"""What the functions of fnp.linalg and scipy.linalg make of their arguments before a primitive."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.types import aval_of, promotion_key, result_dtype, shape_of
from functrans.numpy.manipulation import broadcast_to, reshape, strong
from functrans.numpy.promotion import to_dtype
from functrans.primitives import linear_algebra as p


def inexact(*arrays: Any) -> list[Any]:
    """The arrays in the dtype in which NumPy computes: integers and booleans are float64."""
    xs = [strong(x) for x in arrays]
    keys = [promotion_key(aval_of(x)) for x in xs]
    double = np.dtype(float)
    dtype = result_dtype(*[k if k.kind in "fc" else double for k in keys])
    return [to_dtype(x, dtype) for x in xs]


def square(name: str, a: Any) -> Any:
    """The operand as a stack of square matrices of floats or complex numbers.

    Raises:
        ShapeError, DTypeError: it is not one; with the user's line.
    """
    (x,) = inexact(a)
    p.check_square(name, aval_of(x))
    return x


def stacked(name: str, a: Any, b: Any, core: int) -> tuple[Any, Any]:
    """a and b with their leading axes broadcast; the last two of a, `core` of b are not leading."""
    a_stack, b_stack = shape_of(a)[:-2], shape_of(b)[: len(shape_of(b)) - core]
    try:
        stack = np.broadcast_shapes(a_stack, b_stack)
    except ValueError:
        raise ShapeError(
            f"{name} needs leading axes that broadcast: got a: {aval_of(a)} and b: {aval_of(b)}."
        ) from None
    wide_a = broadcast_to(a, (*stack, *shape_of(a)[-2:]))
    return wide_a, broadcast_to(b, (*stack, *shape_of(b)[len(shape_of(b)) - core :]))


def right_hand_sides(name: str, a: Any, b: Any, rows: int = -1) -> tuple[Any, Any, bool]:
    """a and b ready for a primitive of systems, and whether b was one vector.

    Args:
        a: square matrices (…, n, n).
        b: one vector (n,), or matrices (…, n, m).
        rows: the axis of a whose extent b's must equal.
    """
    vector = len(shape_of(b)) == 1
    if not shape_of(b) or shape_of(a)[rows] != shape_of(b)[-1 if vector else -2]:
        raise ShapeError(
            f"{name} needs as many rows of b as of a: got a: {aval_of(a)} and b: {aval_of(b)}."
        )
    if not vector:
        return (*stacked(name, a, b, 2), False)
    if len(shape_of(a)) == 2:
        return a, reshape(b, (-1, 1)), True
    column = broadcast_to(reshape(b, (-1, 1)), (*shape_of(a)[:-1], 1))
    return a, column, True


def without_column(x: Any) -> Any:
    """x without its last axis, of extent one."""
    return reshape(x, shape_of(x)[:-1])
