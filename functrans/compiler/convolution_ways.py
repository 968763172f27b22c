"""The ways in which a convolution without gaps can be computed, as functions of its operands.

Wherever windows are read one shift after the other, each row of the operand is stored with its
padding, and the elements that one step of the windows meets lie together (`Flat`): then a shift is
an offset into the flat image, and one long loop goes over all rows of it at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from functrans.compiler.stored import stored
from functrans.compiler.tiles import panels_of, tile_for
from functrans.compiler.window_products import window_product_p
from functrans.core.types import Aval, shape_of
from functrans.primitives.arithmetic import select
from functrans.primitives.products import dot_general_p
from functrans.primitives.reductions import reduce_sum_p
from functrans.primitives.shaping import (
    concatenate_p,
    full,
    pad,
    reshape_p,
    slice_axis,
    slice_p,
    transpose_p,
)
from functrans.primitives.windows import Pairs, Sizes, windows_p

FEWEST_ROWS = 64
"""Places of a sample from which it is a product of its own."""


@dataclass(frozen=True)
class Layer:
    """The extents of a convolution without gaps: what is summed over `inputs` and `taps`.

    Attributes:
        dtype: of everything.
        groups: parts that have nothing to do with each other.
        by_batch: whether they are parts of the batch, not of the inputs.
        n, inputs, features: of every group.
        extents: the operand's space, before padding.
        taps, places: of a window, and of windows.
        strides, dilation: from window to window, and within one.
        padding: of the operand.
    """

    dtype: np.dtype
    groups: int
    by_batch: bool
    n: int
    inputs: int
    features: int
    extents: Sizes
    taps: Sizes
    places: Sizes
    strides: Sizes
    dilation: Sizes
    padding: Pairs

    @classmethod
    def of(cls, lhs: Aval, rhs: Aval, out: Aval, params: dict[str, Any]) -> Layer:
        batches = params["batch_group_count"]
        groups = params["feature_group_count"] * batches
        return cls(
            lhs.dtype,
            groups,
            batches > 1,
            lhs.shape[0] // batches,
            rhs.shape[1],
            rhs.shape[0] // groups,
            lhs.shape[2:],
            rhs.shape[2:],
            out.shape[2:],
            params["window_strides"],
            params["rhs_dilation"],
            params["padding"],
        )

    @property
    def rank(self) -> int:
        return len(self.taps)

    @property
    def pads(self) -> tuple[Sizes, Sizes]:
        """The padding before and after."""
        return tuple(low for low, _ in self.padding), tuple(high for _, high in self.padding)

    @property
    def padded(self) -> Sizes:
        """The operand's space with its padding."""
        return tuple(n + sum(p) for n, p in zip(self.extents, self.padding, strict=True))

    @cached_property
    def by_tap(self) -> Flat:
        """How all places lie in images that every tap shifts."""
        return Flat.of(self.places, self.strides, self.taps, self.dilation)

    @cached_property
    def by_place(self) -> Flat:
        """How all taps lie in images that every place shifts."""
        return Flat.of(self.taps, self.dilation, self.places, self.strides)


@dataclass(frozen=True)
class Flat:
    """Images of which each shift reads one run.

    Attributes:
        steps: of what is kept: so many images hold every `steps`-th element.
        extents: of an image, of which the first may exceed what is read.
        kept: what a run holds, up to rows that are longer.
        shifts: per shift, the number of the image and the place in it where the run begins.
        length: of a run.
    """

    steps: Sizes
    extents: Sizes
    kept: Sizes
    shifts: tuple[tuple[int, int], ...]
    length: int

    @classmethod
    def of(cls, kept: Sizes, steps: Sizes, shifted: Sizes, dilation: Sizes) -> Flat:
        far = [(k - 1) * d // s for k, d, s in zip(shifted, dilation, steps, strict=True)]
        extents = [n + m for n, m in zip(kept, far, strict=True)]
        if any(far[1:]):
            extents[0] += 1  # the last run goes on to the end of its last row
        rows = [math.prod(extents[a + 1 :]) for a in range(len(extents))]
        shifts = []
        for shift in np.ndindex(*shifted):
            places = [i * d for i, d in zip(shift, dilation, strict=True)]
            image = 0
            for place, step in zip(places, steps, strict=True):
                image = image * step + place % step
            begin = sum(p // s * r for p, s, r in zip(places, steps, rows, strict=True))
            shifts.append((image, begin))
        length = kept[0] * rows[0] if kept else 1
        return cls(steps, tuple(extents), kept, tuple(shifts), length)

    @property
    def size(self) -> int:
        return math.prod(self.extents)

    def images(self, x: Any, layer: Layer, inputs_first: bool = False) -> Any:
        """The operand as (groups, n, inputs, images, elements), or with inputs before n; stored if
        it is not so already."""
        low, _ = layer.pads
        wide = [e * s for e, s in zip(self.extents, self.steps, strict=True)]
        high = [w - n - p for w, n, p in zip(wide, layer.extents, low, strict=True)]
        # before axes are split: the index is plain there, and no division is left in it
        spread = _padded(x, low, high)
        split = _grouped(spread, layer)
        lead = shape_of(split)[:3]
        parts = [n for pair in zip(self.extents, self.steps, strict=True) for n in pair]
        split = reshape_p.bind(split, shape=(*lead, *parts))
        first = (0, 2, 1) if inputs_first else (0, 1, 2)
        order = (*range(4, 3 + len(parts), 2), *range(3, 3 + len(parts), 2))
        split = transpose_p.bind(split, permutation=(*first, *order))
        lead = shape_of(split)[:3]
        flat = reshape_p.bind(split, shape=(*lead, math.prod(self.steps), self.size))
        return flat if spread is x and max(self.steps, default=1) == 1 else stored(flat)

    def rows(self, w: Any, layer: Layer) -> Any:
        """The kernel as runs (groups, features, inputs, length), zeros where rows are longer."""
        flat = self._in_rows(w)
        shape = (layer.groups, layer.features, layer.inputs, self.length)
        shaped = reshape_p.bind(flat, shape=shape)
        return shaped if flat is w else stored(shaped)

    def mask(self) -> Any:
        """Where in a run a row is, not beyond its end; None if there is nothing beyond."""
        if self.extents[1:] == self.kept[1:]:
            return None
        inside = self._in_rows(full((1, 1, *self.kept), True, np.bool_))
        return stored(reshape_p.bind(inside, shape=(self.length,)))

    def _in_rows(self, x: Any) -> Any:
        """x (A, B, kept…) with rows of the images' extents."""
        high = [0, *[e - n for e, n in zip(self.extents[1:], self.kept[1:], strict=True)]]
        return _padded(x, [0] * len(self.kept), high[: len(self.kept)])

    def places(self, runs: Any) -> Any:
        """Runs (A, B, C, length) as (A, B, C, kept…)."""
        lead = shape_of(runs)[:3]
        if self.extents[1:] == self.kept[1:]:
            return reshape_p.bind(runs, shape=(*lead, *self.kept))
        whole = reshape_p.bind(stored(runs), shape=(*lead, *self.kept[:1], *self.extents[1:]))
        stop = (*lead, *self.kept)
        return slice_p.bind(whole, start=(0,) * len(stop), stop=stop, step=(1,) * len(stop))


def _padded(x: Any, low: Sequence[int], high: Sequence[int]) -> Any:
    """x (A, B, space…) with zeros around its space."""
    return pad(x, (0, 0, *low), (0, 0, *high), (0,) * (2 + len(low)))


def stored_as(x: Any, shape: Sequence[int]) -> Any:
    """x stored in loops over its own axes, then the same memory in another shape: whoever reads it
    divides no index."""
    return stored(reshape_p.bind(stored(x), shape=tuple(shape)))


def _grouped(x: Any, layer: Layer) -> Any:
    """The operand (N, C, space…) as (groups, n, inputs, space…)."""
    space = shape_of(x)[2:]
    if layer.by_batch:
        return reshape_p.bind(x, shape=(layer.groups, layer.n, layer.inputs, *space))
    x = reshape_p.bind(x, shape=(layer.n, layer.groups, layer.inputs, *space))
    return transpose_p.bind(x, permutation=(1, 0, *range(2, 3 + len(space))))


def _ungrouped(out: Any, layer: Layer, order: Sizes) -> Any:
    """The result from groups, n and features in some order, and places, as (N, O, places…)."""
    axes = (order.index(1), order.index(0), order.index(2))
    out = transpose_p.bind(out, permutation=(*axes, *range(3, 3 + layer.rank)))
    return reshape_p.bind(out, shape=(layer.n, layer.groups * layer.features, *layer.places))


def _kernel(w: Any, layer: Layer) -> Any:
    """The kernel (O, I, taps…) as (groups, features, inputs, taps)."""
    taps = math.prod(layer.taps)
    return reshape_p.bind(w, shape=(layer.groups, layer.features, layer.inputs, taps))


# --- the ways -------------------------------------------------------------------------------------


def by_tap(x: Any, w: Any, layer: Layer) -> Any:
    """Elementwise: for every input and tap, a shift of the operand times a number, summed."""
    flat = layer.by_tap
    images = flat.images(x, layer)
    kernel = _kernel(w, layer)
    total: Any = None
    for c in range(layer.inputs):
        for tap, shift in enumerate(flat.shifts):
            part = _run(images, shift, flat.length, c)
            number = slice_axis(slice_axis(kernel, 2, c, c + 1), 3, tap, tap + 1)
            number = reshape_p.bind(number, shape=(layer.groups, 1, layer.features, 1))
            term = part * number
            total = term if total is None else total + term
    return _ungrouped(flat.places(total), layer, (0, 1, 2))


def _run(images: Any, shift: tuple[int, int], length: int, c: int) -> Any:
    """What a shift reads of one input: (groups, n, 1, length)."""
    image, begin = shift
    groups, n = shape_of(images)[:2]
    start, stop = (0, 0, c, image, begin), (groups, n, c + 1, image + 1, begin + length)
    part = slice_p.bind(images, start=start, stop=stop, step=(1,) * 5)
    return reshape_p.bind(part, shape=(groups, n, 1, length))


def by_place(x: Any, w: Any, layer: Layer) -> Any:
    """A reduction for every place: the sum of the kernel times the window there."""
    flat = layer.by_place
    groups, n, features, inputs = layer.groups, layer.n, layer.features, layer.inputs
    images = flat.images(x, layer)
    rows = reshape_p.bind(flat.rows(w, layer), shape=(groups, 1, features, inputs, flat.length))
    # beyond a row the kernel has zeros, but the operand may have infinities
    mask = flat.mask()
    sums = []
    for image, begin in flat.shifts:
        start, stop = (0, 0, 0, image, begin), (groups, n, inputs, image + 1, begin + flat.length)
        window = slice_p.bind(images, start=start, stop=stop, step=(1,) * 5)
        window = reshape_p.bind(window, shape=(groups, n, 1, inputs, flat.length))
        terms = window * rows
        if mask is not None:
            terms = select(mask, terms, layer.dtype.type(0))
        total = reduce_sum_p.bind(terms, axes=(3, 4))
        sums.append(reshape_p.bind(total, shape=(groups, n, features, 1)))
    out = concatenate_p.bind(*sums, axis=3) if len(sums) > 1 else sums[0]
    out = reshape_p.bind(out, shape=(groups, n, features, *layer.places))
    return _ungrouped(out, layer, (0, 1, 2))


def product_first(x: Any, w: Any, layer: Layer) -> Any:
    """Every element times the kernel's numbers of every tap, then shifted products summed."""
    flat = layer.by_tap
    groups, features, taps = layer.groups, layer.features, len(flat.shifts)
    images = flat.images(x, layer, inputs_first=True)
    matrix = reshape_p.bind(images, shape=(groups, layer.inputs, layer.n * flat.size))
    kernel = transpose_p.bind(_kernel(w, layer), permutation=(0, 3, 1, 2))
    kernel = reshape_p.bind(kernel, shape=(groups, taps * features, layer.inputs))
    products = dot_general_p.bind(kernel, matrix, dimensions=(((2,), (1,)), ((0,), (0,))))
    products = reshape_p.bind(products, shape=(groups, taps, features, layer.n, flat.size))
    total: Any = None
    for tap, (_, begin) in enumerate(flat.shifts):
        part = slice_axis(slice_axis(products, 1, tap, tap + 1), 4, begin, begin + flat.length)
        part = reshape_p.bind(part, shape=(groups, features, layer.n, flat.length))
        total = part if total is None else total + part
    return _ungrouped(flat.places(total), layer, (0, 2, 1))


def plain_product(x: Any, w: Any, layer: Layer) -> Any:
    """The product of the operand itself: along every axis is one place, or one tap."""
    x = _padded(x, *layer.pads)
    steps = [
        s if t == 1 else d
        for s, d, t in zip(layer.strides, layer.dilation, layer.taps, strict=True)
    ]
    counts = [p if t == 1 else t for p, t in zip(layer.places, layer.taps, strict=True)]
    if (*counts,) != layer.padded or max(steps, default=1) > 1:
        stop = [(n - 1) * s + 1 for n, s in zip(counts, steps, strict=True)]
        lead = shape_of(x)[:2]
        start = (0,) * (2 + layer.rank)
        x = slice_p.bind(x, start=start, stop=(*lead, *stop), step=(1, 1, *steps))
    summed = [a + 2 for a, t in enumerate(layer.taps) if t > 1]
    if len(summed) < layer.rank:
        extents = [n for n in layer.taps if n > 1]
        w = reshape_p.bind(w, shape=(layer.features, layer.inputs, *extents))
    axes = (tuple(range(1, 2 + len(summed))), (1, *summed))
    out = dot_general_p.bind(w, x, dimensions=(axes, ((), ())))
    kept = len(shape_of(out))
    out = transpose_p.bind(out, permutation=(1, 0, *range(2, kept)))
    if summed:
        out = reshape_p.bind(out, shape=(layer.n, layer.features, *layer.places))
    return out


def by_windows(x: Any, w: Any, layer: Layer) -> Any:
    """The product of the matrix of all windows.

    Whichever of places and taps is longer comes last in the matrix, so that it is written in long
    runs; and a convolution and the one that gives its kernel's gradient have the same matrix.
    """
    groups, features, n = layer.groups, layer.features, layer.n
    kept_last = math.prod(layer.places[-1:]) >= math.prod(layer.taps[-1:])
    if kept_last:
        x = transpose_p.bind(x, permutation=(1, 0, *range(2, 2 + layer.rank)))
    x = _padded(x, *layer.pads)
    places, taps = (layer.places, layer.strides), (layer.taps, layer.dilation)
    outer, inner = (taps, places) if kept_last else (places, taps)
    # parameters in one order, else the two matrices would not be seen to be equal
    matrix = windows_p.bind(
        x, outer=outer[0], outer_steps=outer[1], inner=inner[0], inner_steps=inner[1]
    )
    summed, kept = layer.inputs * math.prod(layer.taps), n * math.prod(layer.places)
    kernel = reshape_p.bind(w, shape=(groups, features, summed))
    own, other = (1, groups) if layer.by_batch else (groups, 1)
    if kept_last:
        split, names = (own, summed, other, kept), "gsgk"
    else:
        split, names = (other, kept, own, summed), "gkgs"
    out = _product(kernel, matrix, split, names)
    out = reshape_p.bind(out, shape=(groups * features, n, *layer.places))
    return transpose_p.bind(out, permutation=(1, 0, *range(2, 2 + layer.rank)))


def rows_merged(layer: Layer) -> bool:
    """Whether samples are rows of one product, and not a product each, with too few rows."""
    return layer.n > 1 and math.prod(layer.places) < FEWEST_ROWS


def direct(x: Any, w: Any, layer: Layer) -> Any:
    """The product of all windows, which are read where they lie in the padded operand."""
    groups, n, inputs, features = layer.groups, layer.n, layer.inputs, layer.features
    size, places = math.prod(layer.padded), math.prod(layer.places)
    kernel = _panels(_kernel(w, layer), layer)
    merged = rows_merged(layer)
    images = _padded(x, *layer.pads)
    if merged:
        order = (0, 2, 1, *range(3, 3 + layer.rank))
        images = transpose_p.bind(_grouped(images, layer), permutation=order)
    batch = groups if merged else groups * n
    wide = kernel.shape[1] * kernel.shape[3]
    own = (wide, n) if merged else (n, wide)
    by_sample = not merged and not layer.by_batch
    out = window_product_p.bind(
        stored_as(images, (batch, groups * n * inputs * size // batch)),
        _offsets(layer.places, layer.strides, layer.padded),
        _offsets(layer.taps, layer.dilation, layer.padded),
        kernel,
        rows=n * places if merged else places,
        row_step=size,
        summed_step=n * size if merged else size,
        alike=n if layer.by_batch and not merged else 1,
        shape=(n, groups * wide, *layer.places) if by_sample else (groups, *own, *layer.places),
    )
    if by_sample:
        if wide == features:
            return out
        out = reshape_p.bind(out, shape=(n, groups, wide, *layer.places))
    axis = 1 if merged else 2
    order = (1, 0, 2) if by_sample else (0, 2, 1) if merged else (0, 1, 2)
    return _ungrouped(slice_axis(out, axis, 0, features), layer, order)


def _offsets(counts: Sizes, steps: Sizes, extents: Sizes) -> np.ndarray:
    """Where in an array of some extents the points of a lattice from its first element lie."""
    total = np.zeros(counts, np.int64)
    for a, step in enumerate(steps):
        row = step * math.prod(extents[a + 1 :])
        total += np.arange(counts[a]).reshape(-1, *[1] * (len(counts) - a - 1)) * row
    return total.reshape(-1)


def _panels(kernel: Any, layer: Layer) -> Any:
    """The kernel (groups, features, inputs, taps) as `window_product` takes it."""
    tile = tile_for(layer.features, layer.dtype)
    assert tile is not None
    panels, summed = panels_of(layer.features, tile), layer.inputs * math.prod(layer.taps)
    kernel = reshape_p.bind(kernel, shape=(layer.groups, layer.features, summed))
    kernel = pad(kernel, (0, 0, 0), (0, panels * tile.width - layer.features, 0), (0, 0, 0))
    kernel = reshape_p.bind(kernel, shape=(layer.groups, panels, tile.width, summed))
    return stored(transpose_p.bind(kernel, permutation=(0, 1, 3, 2)))


def _product(kernel: Any, matrix: Any, split: Sizes, names: str) -> Any:
    """Products over the axis named s, for every group; of the axes named g one has extent 1."""
    left = [a for a in range(4) if names[a] != "g" or split[a] > 1]
    matrix = reshape_p.bind(matrix, shape=tuple(split[a] for a in left))
    axes = {names[a]: i for i, a in enumerate(left)}
    if "g" in axes:
        dimensions: Any = (((2,), (axes["s"],)), ((0,), (axes["g"],)))
    else:
        kernel = reshape_p.bind(kernel, shape=shape_of(kernel)[1:])
        dimensions = (((1,), (axes["s"],)), ((), ()))
    return dot_general_p.bind(kernel, matrix, dimensions=dimensions)
