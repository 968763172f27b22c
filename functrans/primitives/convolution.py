"""`conv_general_dilated`: sums of products of a kernel and the windows of an array.

One layout: lhs (N, C, space…), rhs (O, I, space…), result (N, O, space…). As everywhere in this
field the kernel is not flipped. Features (of lhs and result) or the batch may come in groups that
have nothing to do with each other: C = groups × I, and O is groups × features per group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.shaping import flip_p, full, reshape_p, transpose_p
from functrans.primitives.windows import Pairs, Sizes, dilated, transposed_pads, window_count

# --- shapes ---------------------------------------------------------------------------------------


def _infer(
    lhs: Aval,
    rhs: Aval,
    *,
    window_strides: Sizes,
    padding: Pairs,
    lhs_dilation: Sizes,
    rhs_dilation: Sizes,
    feature_group_count: int,
    batch_group_count: int,
) -> Aval:
    both = f"got lhs {lhs} and rhs {rhs}"
    if lhs.dtype != rhs.dtype or lhs.dtype.kind == "b":
        raise DTypeError(f"a convolution needs operands of one numeric dtype: {both}.")
    if lhs.ndim != rhs.ndim or lhs.ndim < 2:
        raise ShapeError(
            f"a convolution needs lhs (N, C, space…) and rhs (O, I, space…) of one rank: {both}."
        )
    options = {
        "window_strides": window_strides,
        "padding": padding,
        "lhs_dilation": lhs_dilation,
        "rhs_dilation": rhs_dilation,
    }
    for name, values in options.items():
        if len(values) != lhs.ndim - 2:
            raise ShapeError(
                f"a convolution over {lhs.ndim - 2} axes of space has {len(values)} values in "
                f"{name}={values}: {both}."
            )
        if name != "padding" and any(v < 1 for v in values):
            raise ShapeError(f"{name}={values} of a convolution must be positive: {both}.")
    _check_groups(lhs, rhs, feature_group_count, batch_group_count, both)
    extents = list(map(dilated, lhs.shape[2:], lhs_dilation))
    if any(n + low + high < 0 for n, (low, high) in zip(extents, padding, strict=True)):
        raise ShapeError(f"padding {padding} of a convolution leaves a negative extent: {both}.")
    windows = map(dilated, rhs.shape[2:], rhs_dilation)
    counts = map(window_count, extents, windows, window_strides, padding)
    return lhs.update(shape=(lhs.shape[0] // batch_group_count, rhs.shape[0], *counts))


def _check_groups(lhs: Aval, rhs: Aval, features: int, batches: int, both: str) -> None:
    if features < 1 or batches < 1 or (features > 1 and batches > 1):
        raise ShapeError(
            f"a convolution has feature groups or batch groups: feature_group_count={features}, "
            f"batch_group_count={batches}."
        )
    if lhs.shape[1] != rhs.shape[1] * features:
        times = f" times feature_group_count={features}" if features > 1 else ""
        raise ShapeError(
            f"a convolution needs lhs's features, axis 1, to be rhs's inputs, axis 1{times}: "
            f"{both}."
        )
    if rhs.shape[0] % (features * batches):
        raise ShapeError(f"rhs's features, axis 0, are no {features * batches} groups: {both}.")
    if lhs.shape[0] % batches:
        raise ShapeError(f"lhs's batch, axis 0, is no {batches} groups: {both}.")


# --- evaluation: windows as the rows or columns of a matrix, times the kernel ---------------------
#
# Here lhs is (G, N, C, space…), rhs (G, O, C, space…), the result (G, N, O, space…).


def _evaluate(
    lhs: Any,
    rhs: Any,
    *,
    window_strides: Sizes,
    padding: Pairs,
    lhs_dilation: Sizes,
    rhs_dilation: Sizes,
    feature_group_count: int,
    batch_group_count: int,
) -> Any:
    x, w = np.asarray(lhs), np.asarray(rhs)
    extents = map(dilated, x.shape[2:], lhs_dilation)
    windows = map(dilated, w.shape[2:], rhs_dilation)
    counts = tuple(map(window_count, extents, windows, window_strides, padding))
    n, c, o, groups = *x.shape[:2], w.shape[0], feature_group_count * batch_group_count
    if batch_group_count > 1:
        n //= groups
        x = x.reshape(groups, n, *x.shape[1:])
    else:
        x = x.reshape(n, groups, c // groups, *x.shape[2:]).swapaxes(0, 1)
    w = w.reshape(groups, o // groups, *w.shape[1:])
    if not (x.size and w.size and math.prod(counts)):
        return np.zeros((n, o, *counts), x.dtype)
    if max(lhs_dilation, default=1) == 1:
        out = _convolve(x, w, window_strides, padding, rhs_dilation, counts)
    else:
        out = _convolve_dilated(x, w, window_strides, padding, lhs_dilation, rhs_dilation, counts)
    return out.swapaxes(0, 1).reshape(n, o, *counts)


def _convolve_dilated(
    x: Any,
    w: Any,
    strides: Sizes,
    pads: Pairs,
    lhs_dilation: Sizes,
    rhs_dilation: Sizes,
    counts: Sizes,
) -> Any:
    """Every lhs_dilation-th place of the result meets the same taps of the kernel: as many
    convolutions with parts of the kernel, none of which multiplies by the gaps' zeros."""
    phases = list(
        map(_phases, x.shape[3:], w.shape[3:], strides, pads, lhs_dilation, rhs_dilation, counts)
    )
    out = _new_result(x, w, counts)
    if math.prod(len(p) for p in phases) < math.prod(map(min, lhs_dilation, counts)):
        out[...] = 0
    for chosen in product(*phases):
        places, taps, pad, dilation, count = zip(*chosen, strict=True)
        part = _convolve(x, w[(..., *taps)], strides, pad, dilation, count)
        out[(..., *places)] = part
    return out


def _phases(
    extent: int,
    window: int,
    stride: int,
    pads: tuple[int, int],
    lhs_dilation: int,
    rhs_dilation: int,
    count: int,
) -> list[tuple[slice, slice, tuple[int, int], int, int]]:
    """Along one axis: places of the result, taps of the kernel that meet elements there, and the
    padding, dilation and count of the convolution that takes the taps to the places."""
    phases = []
    period = lhs_dilation // math.gcd(lhs_dilation, rhs_dilation)
    for place in range(min(lhs_dilation, count)):
        origin = place * stride - pads[0]
        meeting = [
            k for k in range(min(period, window)) if (origin + k * rhs_dilation) % lhs_dilation == 0
        ]
        if not meeting:
            continue
        tap = meeting[0]
        dilation = period * rhs_dilation // lhs_dilation
        low = -((origin + tap * rhs_dilation) // lhs_dilation)
        some = -(-(count - place) // lhs_dilation)
        reach = (some - 1) * stride + dilated(-(-(window - tap) // period), dilation)
        phases.append(
            (
                slice(place, None, lhs_dilation),
                slice(tap, None, period),
                (low, reach - extent - low),
                dilation,
                some,
            )
        )
    return phases


def _convolve(
    x: Any, w: Any, strides: Sizes, pads: Pairs, rhs_dilation: Sizes, counts: Sizes
) -> Any:
    x = _padded(x, pads)
    space = x.strides[3:]
    patches = np.lib.stride_tricks.as_strided(
        x,
        (*x.shape[:2], *counts, x.shape[2], *w.shape[3:]),
        (
            *x.strides[:2],
            *[a * b for a, b in zip(space, strides, strict=True)],
            x.strides[2],
            *[a * b for a, b in zip(space, rhs_dilation, strict=True)],
        ),
        writeable=False,
    )
    plan = _Plan(patches, len(counts))
    out = plan.new_result(w)
    plan.multiply(patches, w, out, add=False)
    return out


def _padded(x: Any, pads: Pairs) -> Any:
    """x with zeros around its last axes (negative amounts crop), in its own order in memory."""
    if all(p == (0, 0) for p in pads):
        return x
    shape, source, into = list(x.shape), [slice(None)] * 3, [slice(None)] * 3
    for a, (low, high) in enumerate(pads, 3):
        n = shape[a]
        shape[a] = n + low + high
        begin = min(max(0, -low), n)
        end = max(begin, min(n, n + high))
        source.append(slice(begin, end))
        into.append(slice(begin + low, end + low) if end > begin else slice(0, 0))
    x = x[tuple(source)]
    if list(x.shape) == shape:
        return x
    out = np.zeros_like(x, shape=shape)
    out[tuple(into)] = x
    return out


_BLOCK = 1 << 22
"""Bytes of windows that are copied and multiplied at a time: what a cache holds."""


class _Plan:
    """In which order the axes of windows become rows and columns of a matrix.

    The axes of `patches` are (G, N, places…, C, taps…). Copying it is most of the work where the
    kernel is small; what lies together in memory is to come last.
    """

    def __init__(self, patches: Any, rank: int) -> None:
        strides = patches.strides
        places, taps = tuple(range(2, 2 + rank)), tuple(range(3 + rank, 3 + 2 * rank))
        c = 2 + rank
        self.rank, self.c = rank, c
        n_last = rank > 0 and patches.shape[1] > 1 and strides[1] < strides[places[-1]]
        c_last = rank > 0 and patches.shape[c] > 1 and strides[c] < strides[taps[-1]]
        self.kept = (*places, 1) if n_last else (1, *places)
        self.summed = (*taps, c) if c_last else (c, *taps)
        self.kept_last = _run(patches, self.kept) > _run(patches, self.summed)
        outer = strides[c] > strides[1]
        self.splittable = [*[c] * outer, *self.kept[:-1], *[c] * (not outer)]

    def new_result(self, w: Any) -> Any:
        raise NotImplementedError

    def multiply(self, patches: Any, w: Any, out: Any, add: bool) -> None:
        raise NotImplementedError
