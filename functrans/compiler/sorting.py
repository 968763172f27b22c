"""Which sorts compiled code does itself, and the others, and `top_k`, as Programs of these.

The native form (functrans/compiler/merge_sort.py) is stable, by one real key along the last axis,
with at most one operand beside it. Other axes are brought last; positions are sorted with the key,
and other operands gathered by them; several keys are taken one after the other. What needs no sort
is a selection (functrans/compiler/selection.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.compiler.selection import finds_few, is_selection
from functrans.compiler.values import SUPPORTED, is_real
from functrans.core.program import Equation
from functrans.core.types import Aval, aval_of, shape_of
from functrans.primitives.shaping import iota, transpose_p
from functrans.primitives.sorting import sort_p, take_along, top_k_by_sort, top_k_p

LONGEST_NARROW = 512
"""Elements of a row of one or two bytes each, beyond which NumPy, which sorts them by counting, is
faster with its call from native code."""


# --- other forms as Programs ----------------------------------------------------------------------


def by_one_key(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """A `sort` as sorts by one key along the last axis; None if it is one, or NumPy's."""
    axis, num_keys = equation.params["axis"], equation.params["num_keys"]
    keys, rank = avals[:num_keys], avals[0].ndim
    if not all(map(is_key, (aval.update(shape=(aval.shape[axis],)) for aval in keys))):
        return None
    if is_native_sort(equation) or any(a.dtype not in SUPPORTED for a in avals):
        return None
    there = (*[a for a in range(rank) if a != axis], axis)
    back = tuple(int(a) for a in np.argsort(there))

    def sort(*operands: Any) -> list[Any]:
        moved = [transpose_p.bind(x, permutation=there) for x in operands]
        outs = _sorted(moved, num_keys)
        return [transpose_p.bind(x, permutation=back) for x in outs]

    return sort


def _sorted(operands: list[Any], num_keys: int) -> list[Any]:
    """Operands sorted along their last axis."""
    shape = shape_of(operands[0])
    last = len(shape) - 1
    if _one_key([aval_of(x) for x in operands], num_keys):
        return sort_p.bind(*operands, axis=last, num_keys=1)
    order = iota(shape, last, np.int64)
    for place, key in enumerate(reversed(operands[:num_keys])):  # the last key first
        moved = take_along(key, order, last) if place else key
        _, order = sort_p.bind(moved, order, axis=last, num_keys=1)
    return [take_along(x, order, last) for x in operands]


def fewest(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """A `top_k` as one along the last axis if it finds few, else as a sort; None if it is that one,
    or NumPy's."""
    ((x_aval,), k, axis) = avals, equation.params["k"], equation.params["axis"]
    if is_selection(equation) or not is_real(x_aval):
        return None
    there = (*[a for a in range(x_aval.ndim) if a != axis], axis)
    back = tuple(int(a) for a in np.argsort(there))

    def found(x: Any) -> list[Any]:
        moved = transpose_p.bind(x, permutation=there)
        if not finds_few(aval_of(moved), k, x_aval.ndim - 1):
            return top_k_by_sort(x, k, axis)
        outs = top_k_p.bind(moved, k=k, axis=x_aval.ndim - 1)
        return [transpose_p.bind(y, permutation=back) for y in outs]

    return found


# --- the native form ------------------------------------------------------------------------------


def is_native_sort(equation: Equation) -> bool:
    """Whether this is a sort that can be emitted."""
    if equation.primitive is not sort_p:
        return False
    avals = [a.aval for a in equation.inputs]
    last = equation.params["axis"] == avals[0].ndim - 1
    return last and is_key(avals[0]) and _one_key(avals, equation.params["num_keys"])


def is_key(aval: Aval) -> bool:
    """Whether a native kernel sorts by such rows."""
    long = aval.dtype.itemsize <= 2 and aval.shape[-1] > LONGEST_NARROW
    return is_real(aval) and not long


def _one_key(avals: Sequence[Aval], num_keys: int) -> bool:
    return num_keys == 1 and len(avals) <= 2 and all(map(is_real, avals))
