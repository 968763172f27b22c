"""What `x[index]` means: every index that NumPy reads, as slices, then index arrays, then a shape.

A `Plan` is made from the index and the array's shape alone. Reading by it is: slice each axis; drop
the axes with an integer; gather at the index arrays; move their common axes into place; insert new
axes. Writing (functrans/numpy/indexing.py) goes the same way backwards.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np

from functrans.core.errors import ConcretizationError, IndexingError, ShapeError
from functrans.core.source import user_line
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import broadcast_shapes, shape_of
from functrans.primitives.arithmetic import convert, select_p

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """An index, resolved against the shape of the array it is for.

    Attributes:
        base: the array's shape, with an axis of extent one for each scalar boolean in the index.
        start, stop, step: the slice of each axis, with positive step; a known integer is a slice
            of extent one.
        flipped: of the kept axes, those that are read backwards.
        dropped: axes with a known integer, which go after slicing.
        axes: of the kept axes, those with an index array or a traced integer.
        indices: their index arrays, not negative.
        lead: the common shape of the index arrays.
        position: where the axes of `lead` stand among the kept axes without an index array.
        shape: of the result, new axes included.
        in_bounds: whether all index arrays are known, and so are within bounds.
    """

    base: Shape
    start: Shape
    stop: Shape
    step: Shape
    flipped: Shape
    dropped: Shape
    axes: Shape
    indices: tuple[Any, ...]
    lead: Shape
    position: int
    shape: Shape
    in_bounds: bool

    @property
    def sliced(self) -> Shape:
        """The shape after slicing."""
        return tuple(
            max(0, -(-(b - a) // s))
            for a, b, s in zip(self.start, self.stop, self.step, strict=True)
        )

    @property
    def kept(self) -> Shape:
        """The shape after slicing and dropping."""
        return tuple(n for i, n in enumerate(self.sliced) if i not in self.dropped)

    @property
    def rest(self) -> Shape:
        """Of the kept axes, those without an index array."""
        return tuple(i for i in range(len(self.kept)) if i not in self.axes)

    @property
    def whole(self) -> bool:
        """Whether the slices take everything there is."""
        return self.sliced == self.base

    def is_unique(self) -> bool:
        """Whether the index arrays are known to name no element twice."""
        if not self.in_bounds or self.lead == ():
            return self.lead == ()
        extents = [self.kept[a] for a in self.axes]
        full = [np.broadcast_to(i, self.lead).reshape(-1) for i in self.indices]
        flat = np.ravel_multi_index(full, extents)
        return np.unique(flat).size == flat.size


@dataclass
class _Place:
    """An integer or an array of integers in an index."""

    value: Any
    """int, int64 ndarray or tracer."""
    inserted: bool = field(default=False)
    """It stands for a scalar boolean, and indexes an axis that is made for it."""

    @property
    def is_array(self) -> bool:
        return shape_of(self.value) != ()


def has_traced_index(index: Any) -> bool:
    """Whether a tracer is part of an index."""
    kind = type(index)
    if kind is tuple or kind is list:
        return any(map(has_traced_index, index))
    if kind is slice:
        return any(type(v) is Tracer for v in (index.start, index.stop, index.step))
    return kind is Tracer


def parse(shape: Shape, index: Any, checked: bool = True) -> Plan:
    """The plan of an index into an array of this shape.

    Args:
        shape: of the array.
        index: anything NumPy's `x[index]` takes, tracers included.
        checked: known indices that are out of bounds are an error; otherwise they are left to the
            mode of the gather or scatter, as traced ones are.

    Raises:
        IndexingError: too many indices, one that is out of bounds, or something that is no index.
        ConcretizationError: a traced boolean mask, or a slice with traced bounds.
    """
    items = _items(shape, index)
    fancy = any(type(item) is _Place and item.is_array for item in items)
    extents = iter(shape)
    base: list[int] = []
    slices: list[tuple[int, int, int]] = []
    flipped, dropped, axes, indices = [], [], [], []
    before: list[int | None] = []  # of the result, its axes without those of the index arrays
    places: list[int] = []  # where among these the advanced indices stand
    for item in items:
        if item is None:
            before.append(None)
            continue
        kept = len(slices) - len(dropped)
        extent = 1 if type(item) is _Place and item.inserted else next(extents)
        base.append(extent)
        if type(item) is slice:
            a, b, s, backwards = _resolve_slice(item, extent)
            slices.append((a, b, s))
            flipped += [kept] if backwards else []
            before.append(max(0, -(-(b - a) // s)))
            continue
        if fancy or type(item.value) is Tracer:
            places.append(len(before))
        value = _resolve(item.value, len(slices), extent, shape, checked)
        if type(value) is int:
            dropped.append(len(slices))
            slices.append((value, value + 1, 1))
        else:
            axes.append(kept)
            indices.append(value)
            slices.append((0, extent, 1))
    lead = _common_shape(indices)
    at = places[0] if places and len(set(places)) == 1 else 0
    result = [1 if n is None else n for n in before]
    columns = zip(*slices, strict=True) if slices else ((), (), ())
    start, stop, step = (tuple(column) for column in columns)
    return Plan(
        base=tuple(base),
        start=start,
        stop=stop,
        step=step,
        flipped=tuple(flipped),
        dropped=tuple(dropped),
        axes=tuple(axes),
        indices=tuple(indices),
        lead=lead,
        position=sum(n is not None for n in before[:at]),
        shape=(*result[:at], *lead, *result[at:]),
        in_bounds=checked and not any(type(i) is Tracer for i in indices),
    )


def _items(shape: Shape, index: Any) -> list[Any]:
    """The index as a list of None, slice and _Place, with one slice or place for every axis."""
    raw = list(index) if isinstance(index, tuple) else [index]
    items: list[Any] = []
    ellipsis_at: int | None = None
    for entry in raw:
        if entry is Ellipsis:
            if ellipsis_at is not None:
                raise _error("an index can only have a single ellipsis ('...')")
            ellipsis_at = len(items)
        elif entry is None or type(entry) is slice:
            items.append(entry)
        else:
            used = sum(_uses_axis(item) for item in items)
            if ellipsis_at is not None:  # masks are checked against the axes they fall on
                used = len(shape) - sum(map(_axes_of, raw[raw_position(raw, entry) :]))
            items += _places(entry, shape, used)
    missing = len(shape) - sum(map(_uses_axis, items))
    if missing < 0:
        raise _error(
            f"too many indices for an array of shape {shape}: {len(shape) - missing} were given"
        )
    where = len(items) if ellipsis_at is None else ellipsis_at
    return items[:where] + [slice(None)] * missing + items[where:]
