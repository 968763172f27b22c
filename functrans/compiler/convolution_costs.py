"""What each way to compute a convolution costs, and which costs least: functions of shapes alone.

A cost is nanoseconds on one core: operations by what a core computes, and bytes by what it moves.
Only ratios matter, so the constants are those of one machine (AMD EPYC of 2024 with AVX-512, one
thread, OpenBLAS of NumPy 2), by timing the ways on layers of LeNet, ResNet and MobileNet and on FIR
filters; what is chosen for them is the fastest way, or within 40 % of it, but where the fastest
would take too long to compile.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from functrans.compiler import convolution_ways as ways
from functrans.compiler.convolution_ways import Flat, Layer
from functrans.compiler.tiles import panels_of, tile_for

PRODUCT_BYTES = 900.0
"""Operands of multiplications and additions per nanosecond in products: 225 Gflop/s in float32."""
KERNEL_BYTES = 360.0
"""The same in a kernel over long rows: 90 Gflop/s in float32."""
THIN = 4.0
"""A product whose extent is this much in any direction takes twice as long for each operation."""
CYCLE = 0.25
"""A cycle of the processor."""
CALL = 300.0
"""What a call of the library takes."""
CACHED = 60.0
"""Bytes moved per nanosecond within the caches."""
UNCACHED = 12.0
"""Bytes moved per nanosecond beyond."""
CACHE = 1 << 23
"""Bytes of an array up to which it is taken to stay in the caches."""
RUN = 1.6
"""To begin a run of elements that lie together, when windows are copied."""
PACKED = 0.3
"""To put an element of the kernel into a panel."""
ROW = 10.0
"""To begin a row of a kernel, or to end it with a sum."""

BLOCK = 1 << 21
"""Bytes of a block of windows. A 3×3 convolution of 32×16×32×32 (float32) takes 2.0 ms with blocks
of 2 MB, and 3.2 with one matrix of 19 MB; blocks of 0.5 to 5 MB are as good."""
LARGEST = 1 << 28
"""Bytes of windows of one block at most; beyond, NumPy convolves."""
MOST_TERMS = 32
"""Of an element that a kernel computes at once: compile time grows with them, to 0.1 s."""
MOST_SUMS = 16, 32
"""Reductions in a pass over several axes, and over one. To compile 25 over several takes 0.7 s."""


@dataclass(frozen=True)
class Choice:
    """How to compute a convolution.

    Attributes:
        name: for people.
        way: a function of functrans/compiler/convolution_ways.py.
        cost: nanoseconds, roughly.
        stored: bytes of the largest array that the way needs beside operands and result.
    """

    name: str
    way: Callable
    cost: float
    stored: float


def cheapest(layer: Layer) -> Choice:
    """The way that costs least."""
    return min((price(layer) for price in PRICES if _applies(price, layer)), key=_cost)


def block_of(stored: float, along: int) -> int:
    """How many of `along` at a time, a divisor of it, store no more than BLOCK, if one does."""
    fitting = max(1, int(along * BLOCK / stored))
    return max(n for n in range(1, fitting + 1) if along % n == 0)


def _cost(choice: Choice) -> float:
    return choice.cost


# --- parts of costs -------------------------------------------------------------------------------


def _sizes(layer: Layer) -> tuple[int, int]:
    """Elements of the operand with its padding, and of the result."""
    samples = layer.groups * layer.n
    x = samples * layer.inputs * math.prod(layer.padded)
    return x, samples * layer.features * math.prod(layer.places)


def _moved(layer: Layer, elements: float, times: int = 2) -> float:
    """An array that is written and read so many times in all."""
    nbytes = elements * layer.dtype.itemsize
    return times * nbytes / (CACHED if nbytes <= CACHE else UNCACHED)


def _moved_in_blocks(layer: Layer, elements: float, samples: int, times: int = 2) -> float:
    """The same of an array of which a loop over samples makes a block at a time."""
    return samples * _moved(layer, elements / samples, times)


def _computed(layer: Layer, terms: float, rate: float) -> float:
    """Multiplications, each with an addition; complex ones are four."""
    each = 4 if layer.dtype.kind == "c" else 1
    real = layer.dtype.itemsize // (2 if each == 4 else 1)
    return 2 * terms * each * real / rate


def _product(layer: Layer, m: float, n: float, k: float, batch: int = 1) -> float:
    thin = math.prod(1 + THIN / extent for extent in (m, n, k))
    return batch * CALL + thin * _computed(layer, batch * m * n * k, PRODUCT_BYTES)


def _images(layer: Layer, flat: Flat) -> float:
    """Elements of stored images."""
    size = flat.size * math.prod(flat.steps)
    return layer.groups * layer.n * layer.inputs * size


def _kept_images(layer: Layer, images: float) -> float:
    """Bytes of images for which blocks pay: along one axis they are read as a stream. An FIR filter
    over 4 million float32 takes 7 ms, and 11 in blocks."""
    return images * layer.dtype.itemsize if layer.rank > 1 else 0.0


# --- the ways -------------------------------------------------------------------------------------


def _windows(layer: Layer) -> Choice:
    x, out = _sizes(layer)
    taps, places = math.prod(layer.taps), math.prod(layer.places)
    matrix = layer.groups * layer.n * layer.inputs * taps * places
    longest = max((*layer.taps[-1:], *layer.places[-1:]), default=1)
    # the kernel's gradient is summed over samples, which are its inputs
    samples = layer.inputs if taps > places else layer.n
    cost = RUN * matrix / longest + _moved_in_blocks(layer, matrix, samples)
    cost += _moved(layer, x) + _moved(layer, out)
    kept, summed = layer.n * places, layer.inputs * taps
    cost += _product(layer, layer.features, kept, summed, layer.groups)
    return Choice("windows", ways.by_windows, cost, matrix * layer.dtype.itemsize)


def _plain(layer: Layer) -> Choice:
    x, _ = _sizes(layer)
    kept, summed = layer.n * math.prod(layer.places), layer.inputs * math.prod(layer.taps)
    strided = layer.padded != layer.extents or max(layer.strides, default=1) > 1
    cost = _product(layer, layer.features, kept, summed) + strided * _moved(layer, x)
    return Choice("plain product", ways.plain_product, cost, 0)


def _taps(layer: Layer) -> Choice:
    flat = layer.by_tap
    images = _images(layer, flat)
    rows = layer.groups * layer.n * layer.features
    terms = rows * flat.length * layer.inputs * math.prod(layer.taps)
    cost = _moved(layer, images) + _moved(layer, rows * flat.length, 3)
    cost += _computed(layer, terms, KERNEL_BYTES) + ROW * rows
    return Choice("tap by tap", ways.by_tap, cost, _kept_images(layer, images))


def _places(layer: Layer) -> Choice:
    flat = layer.by_place
    images = _images(layer, flat)
    sums = layer.groups * layer.n * layer.features * math.prod(layer.places)
    kernel = layer.groups * layer.features * layer.inputs * flat.length
    cost = _moved(layer, images) + _moved(layer, kernel)
    cost += _computed(layer, sums * layer.inputs * flat.length, KERNEL_BYTES)
    # every row of the kernel is a loop of its own, and every place has a sum in it
    cost += ROW * sums + ROW * layer.groups * layer.n * layer.features * layer.inputs
    return Choice("place by place", ways.by_place, cost, _kept_images(layer, images))


def _products(layer: Layer) -> Choice:
    flat = layer.by_tap
    images = _images(layer, flat)
    taps = math.prod(layer.taps)
    products = layer.groups * taps * layer.features * layer.n * flat.size
    rows = layer.groups * layer.n * layer.features * flat.length
    columns = layer.n * flat.size
    cost = (
        _moved(layer, images) + _moved_in_blocks(layer, products, layer.n, 3) + _moved(layer, rows)
    )
    cost += _product(layer, taps * layer.features, columns, layer.inputs, layer.groups)
    nbytes = products * layer.dtype.itemsize
    return Choice("products first", ways.product_first, cost, nbytes)


def _direct(layer: Layer) -> Choice:
    tile = tile_for(layer.features, layer.dtype)
    assert tile is not None
    places, summed = math.prod(layer.places), layer.inputs * math.prod(layer.taps)
    merged = ways.rows_merged(layer)
    samples, rows = (1, layer.n * places) if merged else (layer.n, places)
    tiles = layer.groups * samples * -(-rows // tile.rows) * panels_of(layer.features, tile)
    x, out = _sizes(layer)
    # a tile ends with its transposition
    cost = CYCLE * tiles * (summed * tile.cycles + 4 * tile.width)
    cost += _moved(layer, x) + PACKED * layer.groups * layer.features * summed
    if merged or layer.features % tile.width:
        cost += _moved(layer, out)
    return Choice("direct", ways.direct, cost, 0)


PRICES = (_windows, _plain, _taps, _places, _products, _direct)


def _applies(price: Callable[[Layer], Choice], layer: Layer) -> bool:
    taps, places = math.prod(layer.taps), math.prod(layer.places)
    if price is _plain:
        pairs = zip(layer.taps, layer.places, strict=True)
        return layer.groups == 1 and all(1 in pair for pair in pairs)
    if price is _taps:
        return layer.inputs * taps <= MOST_TERMS
    if price is _places:
        return 1 < places <= MOST_SUMS[layer.rank < 2]
    if price is _direct:
        return layer.dtype.kind == "f" and tile_for(layer.features, layer.dtype) is not None
    if price is _products:
        return 1 < taps <= MOST_TERMS and max(layer.strides, default=1) == 1
    return True
