"""Reductions over windows that slide over an array: sums, products and extrema, as in pooling.

Windows extend over all axes (along most of them by one element). The operand is dilated by
`base_dilation`, then padded with the identity of the reduction (negative amounts crop); windows are
dilated by `window_dilation` and lie `window_strides` apart.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.lowering import Indexed
from functrans.core.primitive import Primitive
from functrans.core.types import Aval, aval_of, shape_of
from functrans.primitives.arithmetic import select
from functrans.primitives.indexing import gather, repeat_unbatched
from functrans.primitives.reductions import reduce_prod_p
from functrans.primitives.shaping import (
    full,
    iota,
    pad,
    pad_p,
    reshape_p,
    slice_p,
    transpose_p,
)

Pairs = tuple[tuple[int, int], ...]
Sizes = tuple[int, ...]

# --- extents --------------------------------------------------------------------------------------


def dilated(extent: int, dilation: int) -> int:
    """The extent of an axis with dilation - 1 gaps between its elements."""
    return (extent - 1) * dilation + 1 if extent else 0


def window_count(extent: int, window: int, stride: int, pads: tuple[int, int]) -> int:
    """How many windows fit into an axis, all after dilation."""
    return max((extent + sum(pads) - window) // stride + 1, 0) if extent + sum(pads) >= 0 else 0


def transposed_pads(
    extent: int, window: int, stride: int, pads: tuple[int, int], count: int
) -> tuple[int, int]:
    """The padding of what windows were summed to, from which windows sum back to the operand.

    Args:
        extent: of the operand, dilated.
        window: its extent, dilated.
        stride: between windows.
        pads: of the operand.
        count: of windows.
    """
    low = window - pads[0] - 1
    return low, extent + window - 1 - dilated(count, stride) - low


def _infer_windows(
    name: str,
    x: Aval,
    window_dimensions: Sizes,
    window_strides: Sizes,
    padding: Pairs,
    base_dilation: Sizes,
    window_dilation: Sizes,
) -> Aval:
    options = (window_dimensions, window_strides, padding, base_dilation, window_dilation)
    if any(len(o) != x.ndim for o in options):
        raise ShapeError(
            f"{name} of {x} needs an extent, stride, padding and dilations per axis: got windows "
            f"{window_dimensions}, strides {window_strides}, padding {padding}, dilations "
            f"{base_dilation} and {window_dilation}."
        )
    steps = (*window_dimensions, *window_strides, *base_dilation, *window_dilation)
    if any(n < 1 for n in steps):
        raise ShapeError(
            f"{name} of {x}: extents, strides and dilations of windows are positive: got windows "
            f"{window_dimensions}, strides {window_strides}, dilations {base_dilation} and "
            f"{window_dilation}."
        )
    wide = [dilated(n, d) for n, d in zip(x.shape, base_dilation, strict=True)]
    if any(n + low + high < 0 for n, (low, high) in zip(wide, padding, strict=True)):
        raise ShapeError(f"{name}: padding {padding} of {x} leaves a negative extent.")
    windows = [dilated(n, d) for n, d in zip(window_dimensions, window_dilation, strict=True)]
    return x.update(shape=list(map(window_count, wide, windows, window_strides, padding)))


def checked(infer: Callable[..., Aval], *values: Any, **params: Any) -> Aval:
    """What a shape rule says of operands that are about to be evaluated: strided views do not
    forgive what NumPy's functions refuse by themselves."""
    return infer(*map(aval_of, values), **params)


def batch_windows(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with windows of one element along a leading batch axis."""
    return {k: (((0, 0),) if k == "padding" else (1,)) + v for k, v in params.items()}


# --- evaluation -----------------------------------------------------------------------------------

_FEW = 8
"""Up to this extent a window is the fold of that many slices; longer ones grow by doubling."""


def _pad_axis(x: Any, axis: int, pads: tuple[int, int], dilation: int, fill: Any) -> Any:
    """x dilated and padded along one axis."""
    if pads == (0, 0) and dilation == 1:
        return x
    low, high, interior = ([0] * x.ndim for _ in range(3))
    low[axis], high[axis] = pads
    interior[axis] = dilation - 1
    return pad_p.evaluate(x, fill, low=low, high=high, interior=interior)


def _steps(x: Any, axis: int, start: int, stride: int, count: int) -> Any:
    """`count` elements of x along an axis, from a start and `stride` apart."""
    stop = start + (count - 1) * stride + 1
    return x[(slice(None),) * axis + (slice(start, stop, stride),)]


def _fold_axis(
    ufunc: np.ufunc, x: Any, axis: int, window: int, stride: int, dilation: int, count: int
) -> Any:
    """Windows along one axis of a padded array, folded: they are products of windows per axis."""
    out: Any = None
    if window <= _FEW or stride > 1:
        out = np.array(_steps(x, axis, 0, stride, count), order="K")
        for j in range(1, window):
            ufunc(out, _steps(x, axis, j * dilation, stride, count), out=out)
        return out
    # windows of 1, 2, 4, … elements; those of them that add up to `window` are put together
    block, size, start = x, 1, 0
    while True:
        if window & size:
            part = _steps(block, axis, start * dilation, 1, count)
            out = np.array(part) if out is None else ufunc(out, part, out=out)
            start += size
        if start == window:
            return out
        length = block.shape[axis] - size * dilation
        block = ufunc(
            _steps(block, axis, 0, 1, length), _steps(block, axis, size * dilation, 1, length)
        )
        size *= 2


def _evaluate_fold(
    ufunc: np.ufunc,
    identity: Callable[[np.dtype], Any],
    x: Any,
    *,
    window_dimensions: Sizes,
    window_strides: Sizes,
    padding: Pairs,
    base_dilation: Sizes,
    window_dilation: Sizes,
) -> Any:
    """One axis after the other."""
    source = x = np.asarray(x)
    fill = identity(x.dtype)
    options = zip(
        window_dimensions, window_strides, padding, base_dilation, window_dilation, strict=True
    )
    for axis, (window, stride, pads, base, dilation) in enumerate(options):
        if (window, stride, pads, base) == (1, 1, (0, 0), 1):
            continue
        x = _pad_axis(x, axis, pads, base, fill)
        count = window_count(x.shape[axis], dilated(window, dilation), stride, (0, 0))
        if count:
            x = _fold_axis(ufunc, x, axis, window, stride, dilation, count)
        else:
            x = np.empty((*x.shape[:axis], 0, *x.shape[axis + 1 :]), x.dtype)
    return np.array(x) if x is source else x


# --- reductions -----------------------------------------------------------------------------------


def _reduction(
    name: str, ufunc: np.ufunc, identity: Callable[[np.dtype], Any], **rules: Any
) -> Primitive:
    def cost(inputs: tuple, outputs: tuple, **params: Any) -> float:
        return outputs[0].size * sum(n - 1 for n in params["window_dimensions"])

    def infer(x: Aval, **params: Any) -> Aval:
        if x.dtype.kind == "c" and ufunc in (np.maximum, np.minimum):
            raise DTypeError(f"{name} needs an order, which complex numbers have not: got {x}.")
        return _infer_windows(name, x, **params)

    def evaluate(x: Any, **params: Any) -> Any:
        checked(infer, x, **params)
        return _evaluate_fold(ufunc, identity, x, **params)

    primitive = Primitive(
        name,
        infer=infer,
        evaluate=evaluate,
        batch=lambda args, batched, **params: (
            primitive.bind(args[0], **batch_windows(params)),
            True,
        ),
        cost=cost,
        **rules,
    )
    return primitive


def _transpose_sum(
    ct: Any,
    x: Any,
    *,
    window_dimensions: Sizes,
    window_strides: Sizes,
    padding: Pairs,
    base_dilation: Sizes,
    window_dilation: Sizes,
) -> list:
    extents = map(dilated, x.aval.shape, base_dilation)
    windows = map(dilated, window_dimensions, window_dilation)
    pads = map(transposed_pads, extents, windows, window_strides, padding, shape_of(ct))
    back = reduce_window_sum_p.bind(
        ct,
        window_dimensions=window_dimensions,
        window_strides=base_dilation,
        padding=tuple(pads),
        base_dilation=window_strides,
        window_dilation=window_dilation,
    )
    return [back]


reduce_window_sum_p: Primitive = _reduction(
    "reduce_window_sum",
    np.add,
    lambda dtype: dtype.type(0),
    jvp=lambda tangents, primals, out, **params: reduce_window_sum_p.bind(tangents[0], **params),
    transpose=_transpose_sum,
)


def _jvp_prod(tangents: list, primals: list, out: Any, **params: Any) -> Any:
    """The derivative of the product over every window's elements, which may be zero."""
    (t,), (x,) = tangents, primals
    rank = len(shape_of(x))
    patches = [window_patches(t, 0, **params)], [window_patches(x, 1, **params)]
    assert reduce_prod_p.jvp is not None
    return reduce_prod_p.jvp(*patches, out, axes=tuple(range(rank, 2 * rank)))


reduce_window_prod_p: Primitive = _reduction(
    "reduce_window_prod", np.multiply, lambda dtype: dtype.type(1), jvp=_jvp_prod
)


def lowest(dtype: np.dtype) -> Any:
    """The identity of the maximum."""
    if dtype.kind == "b":
        return np.False_
    return dtype.type(-np.inf if dtype.kind in "fc" else np.iinfo(dtype).min)


def highest(dtype: np.dtype) -> Any:
    """The identity of the minimum."""
    if dtype.kind == "b":
        return np.True_
    return dtype.type(np.inf if dtype.kind in "fc" else np.iinfo(dtype).max)


def _jvp_extremum(tangents: list, primals: list, out: Any, **params: Any) -> Any:
    """The tangent of the first element of the window, in C order, that attains the extremum."""
    (t,), (x,) = tangents, primals
    found = window_find_p.bind(x, out, **params)
    flat = reshape_p.bind(t, shape=(math.prod(shape_of(t)),))
    if _always_meet(shape_of(x), **params):
        return gather(flat, [found], (0,), "promise_in_bounds")
    return gather(flat, [found], (0,), "fill", 0)


def _always_meet(
    shape: Sizes,
    *,
    window_dimensions: Sizes,
    window_strides: Sizes,
    padding: Pairs,
    base_dilation: Sizes,
    window_dilation: Sizes,
) -> bool:
    """Whether it is plain that every window has an element of the operand."""
    dense = max(base_dilation + window_dilation, default=1) == 1 and 0 not in shape
    return dense and all(max(pads) < n for n, pads in zip(window_dimensions, padding, strict=True))


reduce_window_max_p: Primitive = _reduction(
    "reduce_window_max", np.maximum, lowest, jvp=_jvp_extremum
)
reduce_window_min_p: Primitive = _reduction(
    "reduce_window_min", np.minimum, highest, jvp=_jvp_extremum
)

# --- where in the operand -------------------------------------------------------------------------


def _infer_find(x: Aval, y: Aval, **params: Any) -> Aval:
    out = _infer_windows("window_find", x, **params)
    if y.shape != out.shape:
        raise ShapeError(f"window_find in {x} looks for {out.size} values {out.shape}: got {y}.")
    if y.dtype != x.dtype:
        raise DTypeError(f"window_find needs operands of one dtype: got {x} and {y}.")
    return out.update(dtype=np.int64)


def _evaluate_find(x: Any, y: Any, **params: Any) -> Any:
    out = checked(_infer_find, x, y, **params)
    if not out.size:
        return np.zeros(out.shape, out.dtype)
    return _find(np.asarray(x), np.asarray(y), **params)


def _find(
    x: Any,
    y: Any,
    *,
    window_dimensions: Sizes,
    window_strides: Sizes,
    padding: Pairs,
    base_dilation: Sizes,
    window_dilation: Sizes,
) -> Any:
    axes = range(x.ndim)
    spread = x
    for a in axes:
        spread = _pad_axis(spread, a, padding[a], base_dilation[a], x.dtype.type(0))
    has_nan = y.dtype.kind == "f" and bool(np.isnan(y).any())
    # taps count down, so that the first is the greatest; no tap is 0
    total = math.prod(window_dimensions)
    code = np.zeros_like(y, np.min_scalar_type(total), subok=False)
    origins = [np.arange(y.shape[a]) * window_strides[a] - padding[a][0] for a in axes]
    for tap, offset in enumerate(np.ndindex(*window_dimensions)):
        places = [o + j * d for o, j, d in zip(origins, offset, window_dilation, strict=True)]
        here = tuple(
            slice(j * d, j * d + (n - 1) * s + 1, s)
            for j, d, s, n in zip(offset, window_dilation, window_strides, y.shape, strict=True)
        )
        same = np.equal(spread[here], y)
        if has_nan:  # and so is an element of the window
            same |= np.isnan(spread[here])
        for a in axes:
            element, gap = np.divmod(places[a], base_dilation[a])
            inside = (gap == 0) & (element >= 0) & (element < x.shape[a])
            if not inside.all():
                same &= _along(inside, a, x.ndim)
        np.maximum(code, same * code.dtype.type(total - tap), out=code)
    # The place is a sum over axes of parts by window and by tap. With gaps in the operand it is in
    # units of elements times `unit`, of which all that are found are multiples.
    unit = math.prod(base_dilation)
    steps = [math.prod(x.shape[a + 1 :]) * unit // base_dilation[a] for a in axes]
    offsets = np.array(list(np.ndindex(*window_dimensions)), np.int64).reshape(total, x.ndim)
    by_tap = (offsets * np.array(window_dilation, np.int64)) @ np.array(steps, np.int64)
    found = by_tap[::-1].take(np.maximum(code, 1) - 1)
    for a in axes:
        found = found + _along(origins[a] * steps[a], a, x.ndim)
    if unit > 1:
        found //= unit
    return np.where(code > 0, found, -1)[()]


def _along(values: Any, axis: int, ndim: int) -> Any:
    """A vector as an array that extends along one of `ndim` axes."""
    return values.reshape((-1,) + (1,) * (ndim - axis - 1))


def _batch_find(args: list, batched: list, **params: Any) -> tuple[Any, bool]:
    count = next(shape_of(v)[0] for v, b in zip(args, batched, strict=True) if b)
    x, y = (repeat_unbatched(v, b, count) for v, b in zip(args, batched, strict=True))
    found = window_find_p.bind(x, y, **batch_windows(params))
    rank, size = len(shape_of(x)), math.prod(shape_of(x)[1:])
    before = iota((count, *(1,) * (rank - 1)), 0, np.int64) * np.int64(size)
    return select(found < np.int64(0), found, found - before), True


window_find_p: Primitive = Primitive(
    "window_find",
    infer=_infer_find,
    evaluate=_evaluate_find,
    batch=_batch_find,
    cost=lambda inputs, outputs, **params: (
        outputs[0].size * 2 * math.prod(params["window_dimensions"])
    ),
)
"""The place, in the flat operand, of each window's first element equal to a value, or -1."""


# --- all windows of an array, as the matrix that a convolution multiplies by ----------------------


def _infer_all(
    x: Aval, *, outer: Sizes, outer_steps: Sizes, inner: Sizes, inner_steps: Sizes
) -> Aval:
    rank = x.ndim - 2
    if any(len(s) != rank for s in (outer, outer_steps, inner, inner_steps)) or rank < 0:
        raise ShapeError(f"windows of {x} need {rank} extents and steps: got {outer} and {inner}.")
    for n, u, s, v, d in zip(x.shape[2:], outer, outer_steps, inner, inner_steps, strict=True):
        if u and v and (u - 1) * s + (v - 1) * d >= n:
            raise ShapeError(f"windows {outer} by {outer_steps} of {inner} leave {x}.")
    return x.update(shape=(x.shape[0], *outer, x.shape[1], *inner))


def _evaluate_all(
    x: Any, *, outer: Sizes, outer_steps: Sizes, inner: Sizes, inner_steps: Sizes
) -> Any:
    x = np.asarray(x)
    params = {"outer": outer, "outer_steps": outer_steps}
    out = checked(_infer_all, x, **params, inner=inner, inner_steps=inner_steps)
    if not out.size:
        return np.zeros(out.shape, out.dtype)
    space = x.strides[2:]
    strides = (
        x.strides[0],
        *[a * b for a, b in zip(space, outer_steps, strict=True)],
        x.strides[1],
        *[a * b for a, b in zip(space, inner_steps, strict=True)],
    )
    return np.lib.stride_tricks.as_strided(x, out.shape, strides, writeable=False)


def _transpose_all(
    ct: Any, x: Any, *, outer: Sizes, outer_steps: Sizes, inner: Sizes, inner_steps: Sizes
) -> list:
    """For every place in `outer`, the elements it had, put back with gaps between them."""
    total: Any = full(x.aval.shape, 0, x.aval.dtype)
    rank = len(outer)
    for place in np.ndindex(*outer) if math.prod(inner) else ():
        start = (0, *place, *(0,) * (rank + 1))
        stop = (x.aval.shape[0], *[i + 1 for i in place], *shape_of(ct)[rank + 1 :])
        part = slice_p.bind(ct, start=start, stop=stop, step=(1,) * len(start))
        part = reshape_p.bind(part, shape=(*x.aval.shape[:2], *inner))
        low = [i * s for i, s in zip(place, outer_steps, strict=True)]
        wide = [dilated(v, d) for v, d in zip(inner, inner_steps, strict=True)]
        high = [n - a - w for n, a, w in zip(x.aval.shape[2:], low, wide, strict=True)]
        gaps = [d - 1 for d in inner_steps]
        total = total + pad(part, (0, 0, *low), (0, 0, *high), (0, 0, *gaps))
    return [total]


def _batch_all(args: list, batched: list, **params: Any) -> tuple[Any, bool]:
    n, a, *rest = shape_of(args[0])
    out = windows_p.bind(reshape_p.bind(args[0], shape=(n * a, *rest)), **params)
    return reshape_p.bind(out, shape=(n, a, *shape_of(out)[1:])), True


windows_p: Primitive = Primitive(
    "windows",
    infer=_infer_all,
    evaluate=_evaluate_all,
    jvp=lambda tangents, primals, out, **params: windows_p.bind(tangents[0], **params),
    transpose=_transpose_all,
    batch=_batch_all,
    cost=lambda inputs, outputs, **params: 0,
    lower=Indexed(lambda k, index, **params: _read_windows(k, index, **params)),
)
"""out[a, u…, b, v…] = x[a, b, u · outer_steps + v · inner_steps …]: windows at the places `u` of
elements `v`, or the other way around."""


def _read_windows(
    k: Any, index: list, outer: Sizes, outer_steps: Sizes, inner: Sizes, inner_steps: Sizes
) -> Any:
    rank = len(outer)
    a, u, b, v = index[0], index[1 : rank + 1], index[rank + 1], index[rank + 2 :]
    place = [i * s + j * d for i, s, j, d in zip(u, outer_steps, v, inner_steps, strict=True)]
    return k.read(0, [a, b, *place])


def window_patches(
    x: Any,
    fill: Any,
    *,
    window_dimensions: Sizes,
    window_strides: Sizes,
    padding: Pairs,
    base_dilation: Sizes,
    window_dilation: Sizes,
) -> Any:
    """The elements of every window: an array of axes per window, then axes in the window.

    Args:
        x: an array.
        fill: a scalar for places in the padding and in gaps.
    """
    options = (window_dimensions, window_strides, padding, base_dilation, window_dilation)
    counts = _infer_windows("windows", aval_of(x), *options).shape
    low, high = zip(*padding, strict=True) if padding else ((), ())
    x = pad(x, low, high, tuple(b - 1 for b in base_dilation), fill)
    rank, extents = len(shape_of(x)), shape_of(x)
    axes = tuple(a for a in range(rank) if (window_dimensions[a], counts[a]) != (1, extents[a]))
    shape = (*counts, *window_dimensions)
    if not axes:
        return reshape_p.bind(x, shape=shape)
    indices = []
    for i, a in enumerate(axes):
        starts = np.arange(counts[a])[:, None] * window_strides[a]
        places = starts + np.arange(window_dimensions[a]) * window_dilation[a]
        mesh = [1] * (2 * len(axes))
        mesh[i], mesh[i + len(axes)] = places.shape
        indices.append(places.reshape(mesh))
    taken = gather(x, indices, axes, "promise_in_bounds")
    # axes: windows along `axes`, places along `axes`, the others
    others = [a for a in range(rank) if a not in axes]
    order = [axes.index(a) if a in axes else 2 * len(axes) + others.index(a) for a in range(rank)]
    order += [len(axes) + i for i in range(len(axes))]
    return reshape_p.bind(transpose_p.bind(taken, permutation=tuple(order)), shape=shape)
