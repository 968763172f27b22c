"""What `x[index]` means: every index that NumPy reads, as slices, then index arrays, then a shape.

A `Plan` is made from the index and the array's shape alone. Reading by it is: slice each axis; drop
the axes with an integer; gather at the index arrays; move their common axes into place; insert new
axes. Writing (functrans/numpy/indexing.py) goes the same way backwards.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core.errors import ConcretizationError, IndexingError, ShapeError
from functrans.core.source import user_line
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import broadcast_shapes, shape_of
from functrans.numpy.promotion import as_array
from functrans.primitives.arithmetic import add_p, convert, lt_p, select_p
from functrans.primitives.indexing import default_fill

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
    inserted: bool = False
    """It stands for a scalar boolean, and indexes an axis that is made for it."""
    mask_extent: int | None = None
    """It comes from a boolean array, of this extent along the axis."""

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
    flipped: list[int] = []
    dropped: list[int] = []
    axes: list[int] = []
    indices: list[Any] = []
    before: list[int | None] = []  # of the result, its axes without those of the index arrays
    at = gaps = 0  # where among these the advanced indices begin
    runs: list[int] = []  # how many other items were before each of them
    empty = any(type(i) is _Place and 0 in shape_of(i.value) for i in items)
    for item in items:
        gaps += type(item) is not _Place
        if item is Ellipsis:
            continue
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
            at, runs = (at if runs else len(before)), [*runs, gaps]
        # as in NumPy, index arrays that broadcast to nothing read nothing, wherever they point
        looked_at = checked and (type(item.value) is int or not empty)
        value = _resolve(item, len(slices), extent, shape, looked_at)
        if type(value) is int:
            dropped.append(len(slices))
            slices.append((value, value + 1, 1))
        else:
            axes.append(kept)
            indices.append(value)
            slices.append((0, extent, 1))
    lead = _common_shape(indices)
    at = at if len(set(runs)) == 1 else 0  # separated index arrays go first
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
    """The index as a list of None, slice and _Place, with one slice or place for every axis.

    An Ellipsis is only left where it stands for no axis.
    """
    items: list[Any] = []
    ellipsis_at: int | None = None
    for entry in index if isinstance(index, tuple) else (index,):
        if entry is Ellipsis:
            if ellipsis_at is not None:
                raise _error("an index can only have a single ellipsis ('...')")
            ellipsis_at = len(items)
        elif entry is None or type(entry) is slice:
            items.append(entry)
        else:
            items += _places(entry)
    used = sum(type(item) is slice or (item is not None and not item.inserted) for item in items)
    if used > len(shape):
        raise _error(f"too many indices for an array of shape {shape}: {used} were given")
    where = len(items) if ellipsis_at is None else ellipsis_at
    filling: list[Any] = [slice(None)] * (len(shape) - used)
    if ellipsis_at is not None and not filling:
        filling = [Ellipsis]  # an empty one still separates index arrays
    return items[:where] + filling + items[where:]


def _places(entry: Any) -> list[_Place]:
    """The integer or integer arrays of one entry of an index that is no slice."""
    if isinstance(entry, list | tuple):
        entry = _from_sequence(entry)
    if type(entry) is Tracer:
        if entry.aval.dtype.kind in "iu":
            return [_Place(entry)]
        if entry.aval.dtype.kind != "b":
            raise _error(f"{_KINDS}; got a traced {entry.aval}")
        if entry.value is UNKNOWN:
            raise _traced_mask(entry)
        entry = np.asarray(entry.value)
    elif not isinstance(entry, bool | np.ndarray):
        try:
            return [_Place(operator.index(entry))]
        except TypeError:
            pass
    array = np.asarray(entry)
    if array.dtype.kind in "iu":
        return [_Place(array.astype(np.int64) if array.ndim else int(array))]
    if array.dtype.kind != "b":
        shown = repr(entry) if np.ndim(entry) == 0 else f"an array of dtype {array.dtype}"
        raise _error(f"{_KINDS}; got {shown}")
    if array.ndim == 0:
        return [_Place(np.zeros(int(array), np.int64), inserted=True)]
    found = array.nonzero()
    return [_Place(i, mask_extent=n) for i, n in zip(found, array.shape, strict=True)]


def _from_sequence(entry: Any) -> Any:
    """A list in an index as an array, as NumPy reads it: an empty one holds integers."""
    if has_traced_index(list(entry)):
        return as_array(list(entry))
    array = np.asarray(entry)
    return array.astype(np.int64) if array.size == 0 else array


def _resolve_slice(item: slice, extent: int) -> tuple[int, int, int, bool]:
    """(start, stop, step) with positive step, and whether the elements are read backwards."""
    if has_traced_index(item):
        bounds = (item.start, item.stop, item.step)
        if any(type(v) is Tracer and v.value is UNKNOWN for v in bounds):
            raise ConcretizationError(
                f"a slice needs start, stop and step whose values are known, since they decide the "
                f"result's shape: got {item}.\n  Use lax.dynamic_slice_in_dim(x, "
                "start, size) for a slice of fixed size at a traced start, fnp.where(mask, x, 0) "
                "for a traced size, or static_argnums."
            )
    start, stop, step = item.indices(extent)
    count = len(range(start, stop, step))
    if count == 0:
        return 0, 0, 1, False
    last = start + (count - 1) * step
    if step < 0:
        return last, start + 1, -step, True
    return start, last + 1, step, False


def _resolve(place: _Place, axis: int, extent: int, shape: Shape, checked: bool) -> Any:
    if place.mask_extent is not None and place.mask_extent != extent:
        raise _error(
            f"the boolean index has extent {place.mask_extent} along axis {axis}, where the array "
            f"of shape {shape} has {extent}"
        )
    return resolve(place.value, axis, extent, checked)


def resolve(index: Any, axis: int, extent: int, checked: bool = True) -> Any:
    """An index, of which negative values count from the end, as one that counts from zero.

    Args:
        index: an int, an int64 array or a tracer of integers.
        axis: for the error.
        extent: of the axis.
        checked: known indices must be in bounds.

    Returns:
        An int if it is one and in bounds; otherwise an array or tracer.
    """
    if type(index) is Tracer:
        return from_zero(index, extent)
    low = high = index
    if type(index) is not int:
        low, high = (int(index.min()), int(index.max())) if index.size else (0, -1)
    inside = -extent <= low and high < extent
    if checked and not inside:
        wrong = low if low < -extent else high
        raise _error(f"index {wrong} is out of bounds for axis {axis} with size {extent}")
    if type(index) is int:
        index = index + extent if index < 0 else index
        return index if inside else np.int64(index)
    return np.where(index < 0, index + extent, index) if low < 0 else index


def from_zero(index: Any, extent: int) -> Any:
    """A traced index, of which negative values count from the end, as one that counts from zero."""
    dtype = index.aval.dtype
    if dtype.itemsize < 4 or dtype == np.uint64 or extent > np.iinfo(dtype).max:
        index = convert(index, np.int64)
    if dtype.kind == "u":
        return index
    zero, extent = index.dtype.type(0), index.dtype.type(extent)
    return select_p.bind(lt_p.bind(index, zero), add_p.bind(index, extent), index)


def _common_shape(indices: list[Any]) -> Shape:
    try:
        return broadcast_shapes(*[shape_of(i) for i in indices]) if indices else ()
    except ShapeError:
        shown = " and ".join(str(shape_of(i)) for i in indices)
        raise _error(f"index arrays must broadcast together: got shapes {shown}") from None


# --- modes --------------------------------------------------------------------------------------

READ_MODES = {"fill": "fill", "drop": "fill", "clip": "clip"}
WRITE_MODES = {"fill": "drop", "drop": "drop", "clip": "clip"}


def mode_of(mode: Any, known: dict[str, str]) -> str:
    """The mode of a gather or scatter for a user's, or JAX's, name of it."""
    name = str(getattr(mode, "name", mode)).lower()
    if name in ("promise_in_bounds", *known):
        return known.get(name, name)
    raise ValueError(
        f"mode must be 'fill', 'drop', 'clip' or 'promise_in_bounds', got {mode!r}.{user_line()}"
    )


def fill_as_scalar(value: Any, dtype: np.dtype) -> Any:
    """The fill value as a Python scalar of the dtype's kind."""
    if value is None:
        return default_fill(dtype)
    if type(value) is Tracer:
        value = value.concrete("fill_value", "Give a number; use fnp.where for a traced one.")
    return dtype.type(value).item()


# --- errors -------------------------------------------------------------------------------------


def _traced_mask(mask: Tracer) -> ConcretizationError:
    return ConcretizationError(
        f"a boolean index selects as many elements as it has true values, and the values of this "
        f"mask, of type {mask.aval}, are not known while tracing.\n"
        "  Use fnp.where(mask, x, y) instead of x[mask], x.at[mask].set(scalar) instead of an "
        "assignment, or fnp.nonzero(mask, size=n) to get at most n positions."
    )


def _error(message: str) -> IndexingError:
    return IndexingError(f"{message}.")


_KINDS = (
    "only integers, slices (`:`), ellipsis (`...`), numpy.newaxis (`None`) and integer or boolean "
    "arrays are valid indices"
)
