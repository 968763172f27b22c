"""Convolutions as loops over blocks, for which what they store stays in the caches.

The body of each loop is a convolution again, which may become a loop over blocks of another axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from functrans.compiler.convolution_ways import Layer, stored_as
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of, shape_of
from functrans.primitives.convolution import conv_general_dilated_p
from functrans.primitives.dynamic import dynamic_slice_p
from functrans.primitives.loops import scan_p
from functrans.primitives.shaping import full, pad, reshape_p, transpose_p
from functrans.primitives.windows import dilated


class Cut(NamedTuple):
    """A loop over blocks: of an axis so long, `loop(x, w, params, some)` takes `some` at a time."""

    along: int
    loop: Callable[[Any, Any, dict[str, Any], int], Any]


def cuts(layer: Layer) -> list[Cut]:
    """The loops that a convolution can be, the one that reads and writes least first."""
    found = []
    kernel = layer.features * layer.inputs * np.prod(layer.taps)
    result = layer.features * layer.n * np.prod(layer.places)
    # the results of blocks of inputs are added up, those of other blocks read the kernel again
    if kernel > 2 * result and (layer.groups == 1 or layer.by_batch):
        found.append(Cut(layer.inputs, _by_inputs))
    if not layer.by_batch:
        found.append(Cut(layer.n, _by_samples))
    if layer.rank:
        found.append(Cut(layer.places[0], _by_rows))
    return found


def _by_samples(x: Any, w: Any, params: dict[str, Any], some: int) -> Any:
    """Blocks of the batch."""
    n, *rest = shape_of(x)
    block = aval_of(x).update(shape=(some, *rest))
    body = make_program_flat(
        lambda values: [conv_general_dilated_p.bind(values[1], values[0], **params)],
        [aval_of(w), block],
        "samples",
    )
    ys = _scan(body, [w], [], [reshape_p.bind(x, shape=(n // some, some, *rest))])
    return stored_as(ys, (n, *shape_of(ys)[2:]))


def _by_inputs(x: Any, w: Any, params: dict[str, Any], some: int) -> Any:
    """Blocks of what is summed: in the kernel's gradient of a convolution, of the batch."""
    blocks = []
    for v in (x, w):
        outer, inputs, *space = shape_of(v)
        order = (1, 0, *range(2, 2 + len(space)))
        swapped = transpose_p.bind(v, permutation=order)
        shape = (inputs // some, some, outer, *space)
        blocks.append(reshape_p.bind(swapped, shape=shape))

    def add_block(values: Sequence[Any]) -> list:
        total, *pair = values
        lhs, rhs = (transpose_p.bind(v, permutation=order) for v in pair)
        return [total + conv_general_dilated_p.bind(lhs, rhs, **params)]

    out = conv_general_dilated_p.infer(aval_of(x), aval_of(w), **params)
    avals = [aval_of(b).update(shape=shape_of(b)[1:]) for b in blocks]
    body = make_program_flat(add_block, [out, *avals], "inputs")
    return _scan(body, [], [full(out.shape, 0, out.dtype)], blocks)


def _by_rows(x: Any, w: Any, params: dict[str, Any], some: int) -> Any:
    """Blocks of places along the first axis of space; what windows of two of them meet is read
    twice."""
    out = conv_general_dilated_p.infer(aval_of(x), aval_of(w), **params)
    (low, high), *others = params["padding"]
    rest = (0,) * len(others)
    x = pad(x, (0, 0, low, *rest), (0, 0, high, *rest), (0,) * (3 + len(rest)))
    stride = params["window_strides"][0]
    reach = (some - 1) * stride + dilated(shape_of(w)[2], params["rhs_dilation"][0])
    sizes = (*shape_of(x)[:2], reach, *shape_of(x)[3:])
    options = {**params, "padding": ((0, 0), *others)}
    zeros = [np.int64(0)] * len(rest)

    def rows(values: Sequence[Any]) -> list:
        x, w, start = values
        starts = [np.int64(0), np.int64(0), start, *zeros]
        block = dynamic_slice_p.bind(x, *starts, sizes=sizes)
        return [conv_general_dilated_p.bind(block, w, **options)]

    starts = np.arange(0, out.shape[2], some) * stride
    avals = [aval_of(x), aval_of(w), aval_of(starts[0])]
    ys = _scan(make_program_flat(rows, avals, "rows"), [x, w], [], [starts])
    order = (1, 2, 0, *range(3, 1 + out.ndim))
    return stored_as(transpose_p.bind(ys, permutation=order), out.shape)


def _scan(body: Program, consts: list, carry: list, xs: list) -> Any:
    return scan_p.bind(
        *consts,
        *carry,
        *xs,
        program=body,
        num_consts=len(consts),
        num_carry=len(carry),
        length=shape_of(xs[0])[0],
        reverse=False,
        unroll=1,
        checkpoint=None,
    )[0]
