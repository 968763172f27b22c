"""Which sorts compiled code does itself, and the others, and `top_k`, as Programs of these.

The native form (functrans/compiler/merge_sort.py) is stable, by one real key along the last axis,
with at most one operand beside it. Other axes are brought last; positions are sorted with the key,
and other operands gathered by them; several keys are taken one after the other. What needs no sort
is a selection (functrans/compiler/selection.py). NumPy sorts long rows in vectors, and is called
where that takes less, the call from native code included.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.compiler.selection import finds_few, is_selection
from functrans.compiler.values import SUPPORTED, is_real
from functrans.core.program import Equation
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, aval_of, dtype_of, shape_of
from functrans.primitives.arithmetic import (
    and_p,
    convert,
    eq_p,
    ne_p,
    not_p,
    or_p,
    shift_left_p,
)
from functrans.primitives.branches import INDEX, cond_p
from functrans.primitives.reductions import cumsum_p, reduce_or_p
from functrans.primitives.shaping import concatenate_p, full, iota, slice_axis, transpose_p
from functrans.primitives.sorting import (
    is_long_row,
    sort_p,
    take_along,
    top_k_by_sort,
    top_k_p,
    unstable_order_p,
)

LONGEST_NARROW = 512
"""Elements of a row of one or two bytes each, beyond which NumPy, which sorts them by counting, is
faster with its call from native code."""
LONGEST_ALONE, FEW = 16, 200
"""Elements of a row without another operand, and of all rows, beyond both of which NumPy is faster:
a thousand rows of 64 float64 in 57 µs instead of 250, a row of a million in 5 ms instead of 45."""
HAS_VECTORS = platform.machine().lower() in ("x86_64", "amd64")
"""Whether NumPy finds positions in vectors; values it sorts so on other processors, too."""


# --- other forms as Programs ----------------------------------------------------------------------


def by_one_key(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """A `sort` as sorts by one key along the last axis; None if it is one, or NumPy's."""
    axis, num_keys = equation.params["axis"], equation.params["num_keys"]
    keys, rank = avals[:num_keys], avals[0].ndim
    if not all(map(is_key, (aval.update(shape=(aval.shape[axis],)) for aval in keys))):
        return None
    if is_native_sort(equation) or any(a.dtype not in SUPPORTED for a in avals):
        return None
    if len(avals) == 1 and axis == rank - 1:
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
    shape, avals = shape_of(operands[0]), [aval_of(x) for x in operands]
    last = len(shape) - 1
    if len(operands) == 1 or (_one_key(avals, num_keys) and not is_long(avals)):
        return sort_p.bind(*operands, axis=last, num_keys=1)
    if num_keys == 1 and is_long(avals):
        order, key = _long_order(operands[0])
        return [key, *(take_along(x, order, last) for x in operands[1:])]
    order = iota(shape, last, np.int64)
    for place, key in enumerate(reversed(operands[:num_keys])):  # the last key first
        moved = take_along(key, order, last) if place else key
        _, order = sort_p.bind(moved, order, axis=last, num_keys=1)
    return [take_along(x, order, last) for x in operands]


def _long_order(key: Any) -> tuple[Any, Any]:
    """The positions that sort long rows stably, and the sorted rows.

    NumPy finds positions in vectors if they need not be stable. If there are equal elements, their
    positions are then put in order.
    """
    shape = shape_of(key)
    last = len(shape) - 1
    order = unstable_order_p.bind(key)
    found = take_along(key, order, last)
    before, after = slice_axis(found, last, 0, shape[-1] - 1), slice_axis(found, last, 1, shape[-1])
    same = eq_p.bind(after, before)
    if dtype_of(key).kind == "f":
        same = or_p.bind(same, ne_p.bind(before, before))  # only nan comes after nan

    def in_order(xs: Sequence[Any]) -> list[Any]:
        key, order, _, same = xs
        first = full((*shape[:-1], 1), 0, np.int64)
        runs = cumsum_p.bind(
            convert(not_p.bind(same), np.dtype(np.int64)), axis=last, reverse=False
        )
        runs = concatenate_p.bind(first, runs, axis=last)
        # sorted as one number, the positions of equal elements come in order within these
        keys = or_p.bind(shift_left_p.bind(runs, full(shape, 32, np.int64)), order)
        (keys,) = sort_p.bind(keys, axis=last, num_keys=1)
        order = and_p.bind(keys, full(shape, (1 << 32) - 1, np.int64))
        return [order, take_along(key, order, last)]

    values = (key, order, found, same)
    avals = [aval_of(x) for x in values]
    as_they_are = make_program_flat(lambda xs: [xs[1], xs[2]], avals, "distinct")
    branches = as_they_are, make_program_flat(in_order, avals, "equal")
    some = reduce_or_p.bind(same, axes=tuple(range(last + 1)))
    order, found = cond_p.bind(convert(some, INDEX), *values, branches=branches)
    return order, found


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
    short = last and not is_long(avals)
    return short and is_key(avals[0]) and _one_key(avals, equation.params["num_keys"])


def is_long(avals: Sequence[Aval]) -> bool:
    """Whether NumPy takes less."""
    row = avals[0].shape[-1]
    if len(avals) == 1:
        return row > LONGEST_ALONE and avals[0].size > FEW
    return HAS_VECTORS and is_long_row(row)


def is_key(aval: Aval) -> bool:
    """Whether a native kernel sorts by such rows."""
    long = aval.dtype.itemsize <= 2 and aval.shape[-1] > LONGEST_NARROW
    return is_real(aval) and not long


def _one_key(avals: Sequence[Aval], num_keys: int) -> bool:
    return num_keys == 1 and len(avals) <= 2 and all(map(is_real, avals))
