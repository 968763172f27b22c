"""associative_scan: all prefix combinations in logarithmic depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from functrans.core import tree
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.types import aval_of, canonical_axis, shape_of
from functrans.lax.bodies import paths
from functrans.primitives.arithmetic import add_p
from functrans.primitives.shaping import concatenate_p, flip_p, pad, slice_axis
from functrans.transforms.api import check_callable, flatten_args, name_of


def associative_scan(
    fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """All prefixes of an associative operation: out[i] = fn(…fn(x[0], x[1])…, x[i]).

    Done on halves, so the depth is logarithmic and every step is a batch of operations.

    Args:
        fn: (a, b) → their combination; associative, and elementwise along `axis` (it is called
            on batches of elements).
        elems: a tree of arrays of one extent along `axis`.
        reverse: combine from the last element on, as if the arrays were flipped before and after.
        axis: the axis along which to combine.

    Raises:
        ShapeError: the arrays have different extents.

    >>> import numpy as np
    >>> associative_scan(lambda a, b: a * b, np.array([1.0, 2.0, 3.0, 4.0]))
    array([ 1.,  2.,  6., 24.])
    """
    check_callable(fn, "associative_scan")
    leaves, treedef = flatten_args(elems, "associative_scan's elems")
    if not leaves:
        raise TransformError("associative_scan needs at least one array.")
    names = [f"elems{path}" for path in paths(elems)]
    places = [
        canonical_axis(axis, len(shape_of(x)), f"associative_scan: {name} is {aval_of(x)}, axis")
        for x, name in zip(leaves, names, strict=True)
    ]
    extents = {shape_of(x)[p] for x, p in zip(leaves, places, strict=True)}
    if len(extents) != 1:
        shown = "; ".join(f"{n} is {aval_of(x)}" for n, x in zip(names, leaves, strict=True))
        raise ShapeError(f"associative_scan along axis {axis} needs one extent: {shown}.")
    if reverse:
        leaves = [flip_p.bind(x, axes=(p,)) for x, p in zip(leaves, places, strict=True)]

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        first = tree.unflatten(treedef, a)
        result = fn(first, tree.unflatten(treedef, b))
        difference = tree.structure_difference(first, result, "elems")
        if difference:
            raise TreeError(f"{where} must return a tree like elems: {difference}.")
        combined = tree.leaves(result)
        for name, x, y in zip(names, map(aval_of, a), map(aval_of, combined), strict=True):
            if x.shape != y.shape or x.dtype != y.dtype:
                kind = ShapeError if x.shape != y.shape else DTypeError
                raise kind(
                    f"{where} got {x} of {name} and returned {y}.\n  It is called on batches of "
                    "elements and must keep their shape and dtype; vmap makes a function of one "
                    "element one of a batch."
                )
        return combined

    where = f"associative_scan's function {name_of(fn)}"

    out = _scan(combine, leaves, places)
    if reverse:
        out = [flip_p.bind(x, axes=(p,)) for x, p in zip(out, places, strict=True)]
    return tree.unflatten(treedef, out)


def _scan(combine: Callable[[list, list], list], elems: list[Any], places: list[int]) -> list[Any]:
    """Combine neighbours, scan those, and fill in the elements between."""
    extent = shape_of(elems[0])[places[0]]
    if extent < 2:
        return elems

    def cut(xs: list[Any], start: int, stop: int, step: int = 1) -> list[Any]:
        return [slice_axis(x, p, start, stop, step) for x, p in zip(xs, places, strict=True)]

    pairs = combine(cut(elems, 0, extent - 1, 2), cut(elems, 1, extent, 2))
    odd = _scan(combine, pairs, places)
    count = shape_of(odd[0])[places[0]]
    before = cut(odd, 0, count - 1) if extent % 2 == 0 else odd
    even = combine(before, cut(elems, 2, extent, 2))
    first = cut(elems, 0, 1)
    even = [concatenate_p.bind(a, b, axis=p) for a, b, p in zip(first, even, places, strict=True)]
    return [_interleave(a, b, p) for a, b, p in zip(even, odd, places, strict=True)]


def _interleave(even: Any, odd: Any, axis: int) -> Any:
    """even[0], odd[0], even[1], odd[1], … along an axis."""
    rank = len(shape_of(even))
    same = shape_of(even)[axis] == shape_of(odd)[axis]

    def along(n: int) -> tuple[int, ...]:
        return tuple(n if i == axis else 0 for i in range(rank))

    a = pad(even, along(0), along(1 if same else 0), along(1))
    b = pad(odd, along(1), along(0 if same else 1), along(1))
    return add_p.bind(a, b)
