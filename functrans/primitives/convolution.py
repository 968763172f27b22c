"""`conv_general_dilated`: sums of products of a kernel and the windows of an array.

One layout: lhs (N, C, space…), rhs (O, I, space…), result (N, O, space…). As everywhere in this
field the kernel is not flipped. Features (of lhs and result) or the batch may come in groups that
have nothing to do with each other: C = groups × I, and O is groups × features per group.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.types import Aval, aval_of, shape_of
from functrans.primitives.shaping import flip_p, full, reshape_p, transpose_p
from functrans.primitives.windows import (
    Pairs,
    Sizes,
    checked,
    dilated,
    transposed_pads,
    window_count,
)
from functrans.transforms.taylor import bilinear

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
    both = f"got lhs (N, C, space…) {lhs} and rhs (O, I, space…) {rhs}"
    if lhs.dtype != rhs.dtype or lhs.dtype.kind == "b":
        raise DTypeError(f"a convolution needs operands of one numeric dtype: {both}.")
    if lhs.ndim != rhs.ndim or lhs.ndim < 2:
        raise ShapeError(f"a convolution needs operands of one rank, two or more: {both}.")
    options: dict[str, Any] = {
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


def _evaluate(lhs: Any, rhs: Any, **params: Any) -> Any:
    out = checked(_infer, lhs, rhs, **params)
    x, w = np.asarray(lhs), np.asarray(rhs)
    if not (x.size and w.size and out.size):
        return np.zeros(out.shape, out.dtype)
    batches = params["batch_group_count"]
    groups = params["feature_group_count"] * batches
    if batches > 1:
        x = _split(x, 0, groups)
    else:
        x = _split(x, 1, groups).swapaxes(0, 1)
    y = _convolve_dilated(
        x,
        _split(w, 0, groups),
        params["window_strides"],
        params["padding"],
        params["lhs_dilation"],
        params["rhs_dilation"],
        out.shape[2:],
    )
    return y.swapaxes(0, 1).reshape(out.shape)


def _split(x: Any, axis: int, groups: int) -> Any:
    return x.reshape(*x.shape[:axis], groups, x.shape[axis] // groups, *x.shape[axis + 1 :])


def _convolve_dilated(
    x: Any,
    w: Any,
    strides: Sizes,
    pads: Pairs,
    lhs_dilation: Sizes,
    rhs_dilation: Sizes,
    counts: Sizes,
) -> Any:
    """Places of the result some steps apart meet the same taps of the kernel: a convolution for
    each of these phases with a part of the kernel, which multiplies by none of the gaps' zeros."""
    if max(lhs_dilation, default=1) == 1:
        return _convolve(x, w, strides, pads, rhs_dilation, counts)
    axes = x.shape[3:], w.shape[3:], strides, pads, lhs_dilation, rhs_dilation, counts
    out = None
    for chosen in product(*map(phases_of, *axes)):
        places, taps, steps, pad, dilation, count = zip(*chosen, strict=True)
        part = _convolve(x, w[(..., *taps)], steps, pad, dilation, count)
        if out is None:
            out = np.zeros_like(part, shape=(*part.shape[:3], *counts))
        out[(..., *places)] = part
    return np.zeros((*x.shape[:2], w.shape[1], *counts), x.dtype) if out is None else out


class Phase(NamedTuple):
    """Along one axis: places that meet the same taps, and the convolution that takes one to the
    other where lhs has no gaps.

    Attributes:
        places: of the result.
        taps: of the kernel.
        stride, padding, dilation: of the convolution.
        number: of places.
    """

    places: slice
    taps: slice
    stride: int
    padding: tuple[int, int]
    dilation: int
    number: int


def phases_of(
    extent: int,
    window: int,
    stride: int,
    pads: tuple[int, int],
    lhs_dilation: int,
    rhs_dilation: int,
    count: int,
) -> list[Phase]:
    """The phases of an axis, without those that meet nothing but gaps."""
    phases = []
    period = lhs_dilation // math.gcd(lhs_dilation, rhs_dilation)
    apart = lhs_dilation // math.gcd(lhs_dilation, stride)
    step = apart * stride // lhs_dilation
    for place in range(min(apart, count)):
        origin = place * stride - pads[0]
        meeting = [
            k for k in range(min(period, window)) if (origin + k * rhs_dilation) % lhs_dilation == 0
        ]
        if not meeting:
            continue
        tap = meeting[0]
        dilation = period * rhs_dilation // lhs_dilation
        low = -((origin + tap * rhs_dilation) // lhs_dilation)
        some = -(-(count - place) // apart)
        reach = (some - 1) * step + dilated(-(-(window - tap) // period), dilation)
        places, taps = slice(place, None, apart), slice(tap, None, period)
        padding = low, reach - extent - low
        phases.append(Phase(places, taps, step, padding, dilation, some))
    return phases


def _convolve(
    x: Any, w: Any, strides: Sizes, pads: Pairs, rhs_dilation: Sizes, counts: Sizes
) -> Any:
    """The result where lhs has no gaps, by whichever way moves least memory."""
    x = _padded(x, pads)
    if x.shape[2] == 1 < x.shape[0] and x.strides[0] < x.strides[-1]:
        return _tap_by_tap(x, w, strides, rhs_dilation, counts)
    if 2 * w.shape[1] * math.prod(x.shape[3:]) <= x.shape[2] * math.prod(counts):
        return _multiply_then_shift(x, w, strides, rhs_dilation, counts)
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
    layout = _Layout.of(patches, len(counts))
    out = layout.new_result(w.shape[1], patches)
    _multiply(patches, w, out, layout, add=False)
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


def _shifts(
    window: Sizes, strides: Sizes, dilation: Sizes, counts: Sizes
) -> Iterator[tuple[Sizes, tuple[slice, ...]]]:
    """Every tap of the kernel, and where in lhs it lies for all places of the result."""
    for tap in np.ndindex(*window):
        yield (
            tap,
            tuple(
                slice(i * d, i * d + (n - 1) * s + 1, s)
                for i, d, s, n in zip(tap, dilation, strides, counts, strict=True)
            ),
        )


def _tap_by_tap(x: Any, w: Any, strides: Sizes, dilation: Sizes, counts: Sizes) -> Any:
    """Where each of many channels, last in memory, is a group: no matrix to multiply by, but whole
    arrays for every tap."""
    groups, n = x.shape[:2]
    features = w.shape[1]
    out = np.zeros_like(x, shape=(groups, n, features, *counts))
    some = max(1, _BLOCK // max(out[:, :1].nbytes, 1))
    space = (1,) * len(counts)
    for begin in range(0, n, some):
        rows, target = x[:, begin : begin + some], out[:, begin : begin + some]
        term = np.empty_like(target)
        for tap, place in _shifts(w.shape[3:], strides, dilation, counts):
            factor = w[(..., 0, *tap)].reshape(groups, 1, features, *space)
            np.multiply(rows[(..., *place)], factor, out=term)
            target += term
    return out


def _multiply_then_shift(x: Any, w: Any, strides: Sizes, dilation: Sizes, counts: Sizes) -> Any:
    """Where features are few: every element times all taps first, then windows of products summed,
    which are fewer than the elements of windows of lhs."""
    groups, n, inputs = x.shape[:3]
    features, window, space = w.shape[1], w.shape[3:], x.shape[3:]
    out = np.zeros((groups, n, features, *counts), x.dtype)
    kernel = np.moveaxis(w, (1, 2), (-2, -1)).reshape(groups, 1, -1, inputs)
    some = max(1, _BLOCK // (groups * kernel.shape[2] * math.prod(space) * x.itemsize))
    for begin in range(0, n, some):
        rows, target = x[:, begin : begin + some], out[:, begin : begin + some]
        products = np.matmul(kernel, rows.reshape(*rows.shape[:3], -1))
        products = products.reshape(*rows.shape[:2], *window, features, *space)
        for tap, place in _shifts(window, strides, dilation, counts):
            target += products[(slice(None), slice(None), *tap, slice(None), *place)]
    return out


_BLOCK = 1 << 22
"""Bytes of windows that are copied and multiplied at a time: what a cache holds."""


@dataclass(frozen=True)
class _Layout:
    """In which order the axes of windows become a matrix; what lies together in memory comes last.

    The axes of `patches` are (G, N, places…, C, taps…). Copying them is much of the work where
    there are few features.

    Attributes:
        kept: N and places in order.
        summed: C and taps in order.
        kept_last: whether rows are `summed` and columns `kept`.
        splittable: axes along which the work can be divided, in the order in which it should be.
    """

    kept: Sizes
    summed: Sizes
    kept_last: bool
    splittable: Sizes

    @staticmethod
    def of(patches: Any, rank: int) -> _Layout:
        strides, c = patches.strides, 2 + rank
        places, taps = tuple(range(2, c)), tuple(range(c + 1, c + 1 + rank))
        n_last = rank > 0 and patches.shape[1] > 1 and strides[1] < strides[places[-1]]
        c_last = rank > 0 and patches.shape[c] > 1 and strides[c] < strides[taps[-1]]
        kept = (*places, 1) if n_last else (1, *places)
        summed = (*taps, c) if c_last else (c, *taps)
        c_first = strides[c] > strides[1]
        return _Layout(
            kept,
            summed,
            _run(patches, kept) > _run(patches, summed),
            (c, *kept[:-1]) if c_first else (*kept[:-1], c),
        )

    def new_result(self, features: int, patches: Any) -> Any:
        """An array (G, N, O, places…) in that order in memory in which it will be written."""
        if not self.kept_last:
            order = (*self.kept, 0, -1)
        elif self.kept[0] == 1:
            order = (1, 0, -1, *self.kept[1:])
        else:
            order = (0, -1, *self.kept)
        stored = np.empty([features if a < 0 else patches.shape[a] for a in order], patches.dtype)
        places = range(2, len(order) - 1)
        return stored.transpose([order.index(a) for a in (0, 1, -1, *places)])


def _run(patches: Any, axes: Sizes) -> int:
    """How many elements lie one after the other in memory along the last of these axes."""
    run = 1
    for a in reversed(axes):
        if patches.shape[a] > 1:
            if patches.strides[a] != run * patches.itemsize:
                break
            run *= patches.shape[a]
    return run


def _multiply(patches: Any, w: Any, out: Any, layout: _Layout, add: bool) -> None:
    """out = (or +=) windows times kernel, block by block."""
    axis = next((a for a in layout.splittable if patches.shape[a] > 1), None)
    if patches.nbytes > _BLOCK and axis is not None:
        c = out.ndim - 1
        half = patches.shape[axis] // 2
        for part in (slice(half), slice(half, None)):
            some = patches[(slice(None),) * axis + (part,)]
            if axis == c:
                _multiply(some, w[:, :, part], out, layout, add or part.start is not None)
            else:
                place = axis if axis == 1 else axis + 1
                _multiply(some, w, out[(slice(None),) * place + (part,)], layout, add)
        return
    rank = out.ndim - 3
    groups, features, terms = w.shape[0], w.shape[1], math.prod(w.shape[2:])
    taps = (2, *range(3, 3 + rank))
    order = taps if layout.summed[0] == 2 + rank else (*taps[1:], 2)
    kernel = w.transpose(0, 1, *order).reshape(groups, features, terms)
    places = tuple(range(3, 3 + rank))
    if not layout.kept_last:
        matrix = patches.transpose(0, *layout.kept, *layout.summed).reshape(groups, -1, terms)
        kept = (*places, 1) if layout.kept[0] != 1 else (1, *places)
        target = _merged(out.transpose(0, *kept, 2), groups, -1, features)
        factors = matrix, kernel.swapaxes(1, 2)
    elif layout.kept[0] == 1:
        n = patches.shape[1]
        matrix = patches.transpose(0, 1, *layout.summed, *layout.kept[1:])
        target = _merged(out, groups, n, features, -1)
        factors = kernel[:, None], matrix.reshape(groups, n, terms, -1)
    else:
        matrix = patches.transpose(0, *layout.summed, *layout.kept).reshape(groups, terms, -1)
        target = _merged(out.transpose(0, 2, *places, 1), groups, features, -1)
        factors = kernel, matrix
    if add:
        target += np.matmul(*factors)
    else:
        np.matmul(*factors, out=target)


def _merged(x: Any, *shape: int) -> Any:
    """x in another shape, of which it must be a view."""
    y = x.reshape(shape)
    assert np.may_share_memory(x, y)
    return y


# --- derivatives ----------------------------------------------------------------------------------


def _jvp(tangents: list, primals: list, out: Any, **params: Any) -> Any:
    (tx, ty), (x, y) = tangents, primals
    from_x = None if tx is None else conv_general_dilated_p.bind(tx, y, **params)
    from_y = None if ty is None else conv_general_dilated_p.bind(x, ty, **params)
    if from_x is None or from_y is None:
        return from_y if from_x is None else from_x
    return from_x + from_y


def _transpose(ct: Any, lhs: Any, rhs: Any, **params: Any) -> list:
    if type(lhs) is Linear and type(rhs) is Linear:
        raise not_linear("conv_general_dilated")
    if type(lhs) is Linear:
        return [_transpose_lhs(ct, lhs.aval, rhs, **params), None]
    return [None, _transpose_rhs(ct, lhs, rhs.aval, **params)]


def _pads_back(
    ct: Any, lhs: Any, rhs: Any, strides: Sizes, pads: Pairs, lhs_dilation: Sizes, rhs_dilation: Any
) -> tuple[tuple[int, int], ...]:
    """The padding of the cotangent under which windows of the kernel's extents give back lhs."""
    extents = map(dilated, shape_of(lhs)[2:], lhs_dilation)
    windows = map(dilated, shape_of(rhs)[2:], rhs_dilation)
    return tuple(map(transposed_pads, extents, windows, strides, pads, shape_of(ct)[2:]))


def _transpose_lhs(
    ct: Any,
    lhs: Aval,
    rhs: Any,
    *,
    window_strides: Sizes,
    padding: Pairs,
    lhs_dilation: Sizes,
    rhs_dilation: Sizes,
    feature_group_count: int,
    batch_group_count: int,
) -> Any:
    """The cotangent's windows times the kernel flipped, its inputs and features exchanged."""
    groups = feature_group_count * batch_group_count
    kernel = _exchange(rhs, groups)
    space = tuple(range(2, lhs.ndim))
    if space:
        kernel = flip_p.bind(kernel, axes=space)
    out = conv_general_dilated_p.bind(
        ct,
        kernel,
        window_strides=lhs_dilation,
        padding=_pads_back(ct, lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation),
        lhs_dilation=window_strides,
        rhs_dilation=rhs_dilation,
        feature_group_count=groups,
        batch_group_count=1,
    )
    if batch_group_count == 1:
        return out
    return _into(_out_of(out, 1, groups), 1, 0)


def _exchange(rhs: Any, groups: int) -> Any:
    """The kernel (groups × O, I, …) as (groups × I, O, …)."""
    return _swap(rhs if groups == 1 else _into(_out_of(rhs, 0, groups), 0, 1))


def _transpose_rhs(
    ct: Any,
    lhs: Any,
    rhs: Aval,
    *,
    window_strides: Sizes,
    padding: Pairs,
    lhs_dilation: Sizes,
    rhs_dilation: Sizes,
    feature_group_count: int,
    batch_group_count: int,
) -> Any:
    """The windows that lhs has where the cotangent lies, summed over the batch."""
    if not math.prod(shape_of(ct)):
        return full(rhs.shape, 0, rhs.dtype)
    extents = map(dilated, shape_of(lhs)[2:], lhs_dilation)
    windows = map(dilated, rhs.shape[2:], rhs_dilation)
    reach = map(dilated, shape_of(ct)[2:], window_strides)
    pads = tuple(
        (low, span + window - 1 - extent - low)
        for extent, window, span, (low, _) in zip(extents, windows, reach, padding, strict=True)
    )
    out = conv_general_dilated_p.bind(
        _swap(lhs),
        _swap(ct),
        window_strides=rhs_dilation,
        padding=pads,
        lhs_dilation=lhs_dilation,
        rhs_dilation=window_strides,
        feature_group_count=batch_group_count,
        batch_group_count=feature_group_count,
    )
    return _swap(out)


# --- axes -----------------------------------------------------------------------------------------


def _swap(x: Any) -> Any:
    """x with its first two axes exchanged."""
    return transpose_p.bind(x, permutation=(1, 0, *range(2, len(shape_of(x)))))


def _out_of(x: Any, axis: int, count: int) -> Any:
    """x with an axis split into `count` groups and the rest."""
    shape = shape_of(x)
    split = (*shape[:axis], count, shape[axis] // count, *shape[axis + 1 :])
    return reshape_p.bind(x, shape=split)


def _into(x: Any, source: int, destination: int) -> Any:
    """x without its axis `source`, which becomes the slower part of axis `destination` of the
    others."""
    order = [a for a in range(len(shape_of(x))) if a != source]
    order.insert(destination, source)
    if order != sorted(order):
        x = transpose_p.bind(x, permutation=tuple(order))
    shape = shape_of(x)
    merged = shape[destination] * shape[destination + 1]
    return reshape_p.bind(x, shape=(*shape[:destination], merged, *shape[destination + 2 :]))


# --- batching -------------------------------------------------------------------------------------


def _batch(args: list, batched: list, **params: Any) -> tuple[Any, bool]:
    """The batch axis becomes part of N or O of the operand that has it; of the groups of both."""
    lhs, rhs = args
    features, batches = params["feature_group_count"], params["batch_group_count"]
    groups = features * batches
    count = shape_of(lhs if batched[0] else rhs)[0]
    if not count:
        rows = [aval_of(v) for v in args]
        rows = [a.update(a.shape[1:]) if b else a for a, b in zip(rows, batched, strict=True)]
        out = _infer(*rows, **params)
        return full((0, *out.shape), 0, out.dtype), True
    if all(batched):
        by_batch = batches > 1
        key = "batch_group_count" if by_batch else "feature_group_count"
        more = {**params, key: groups * count}
        out = conv_general_dilated_p.bind(
            _into(lhs, 0, 0 if by_batch else 1), _into(rhs, 0, 0), **more
        )
        return _to_front(_out_of(out, 1, count), 1), True
    if batched[0]:
        if batches > 1:  # groups × batch axis × rest
            lhs = _into(_into(_out_of(lhs, 1, batches), 0, 1), 0, 0)
        else:
            lhs = _into(lhs, 0, 0)
        out = conv_general_dilated_p.bind(lhs, rhs, **params)
        return _out_of(out, 0, count), True
    if groups > 1:
        rhs = _into(_into(_out_of(rhs, 1, groups), 0, 1), 0, 0)
    else:
        rhs = _into(rhs, 0, 0)
    out = conv_general_dilated_p.bind(lhs, rhs, **params)
    if groups == 1:
        return _to_front(_out_of(out, 1, count), 1), True
    split = _out_of(_out_of(out, 1, groups), 2, count)
    return _into(_to_front(split, 2), 2, 2), True


def _to_front(x: Any, axis: int) -> Any:
    others = [a for a in range(len(shape_of(x))) if a != axis]
    return transpose_p.bind(x, permutation=(axis, *others))


def _cost(inputs: tuple, outputs: tuple, **params: Any) -> float:
    return 2 * outputs[0].size * math.prod(inputs[1].shape[1:])


conv_general_dilated_p: Primitive = Primitive(
    "conv_general_dilated",
    infer=_infer,
    evaluate=_evaluate,
    jvp=_jvp,
    transpose=_transpose,
    taylor=bilinear,
    batch=_batch,
    cost=_cost,
)
"""Parameters: window_strides, padding ((low, high) per axis of space, negative amounts crop),
lhs_dilation, rhs_dilation (steps between elements), feature_group_count, batch_group_count."""
