"""Convolutions and reductions over windows as Programs of primitives that have a form of code.

A convolution is a product by the matrix of all windows, whose gradients are convolutions again. A
reduction over windows is elementwise: the fold of as many slices as a window has elements.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np

from functrans.compiler.products import GEMM_DTYPES
from functrans.core.program import Equation
from functrans.core.types import Aval, shape_of
from functrans.primitives.arithmetic import eq_p, ne_p, or_p, select
from functrans.primitives.identities import optimization_barrier_p
from functrans.primitives.products import dot_general_p
from functrans.primitives.shaping import full, iota, pad, reshape_p, slice_p, transpose_p
from functrans.primitives.windows import dilated, window_count, windows_p

LARGEST_MATRIX = 1 << 28
"""Bytes that the matrix of windows may take; beyond, NumPy convolves block by block."""
MOST_SLICES = 32
"""Elements of a window up to which its reduction is a fold of slices."""

Sizes = tuple[int, ...]

# --- convolutions ---------------------------------------------------------------------------------


def convolution(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    lhs, rhs = avals
    out = equation.outputs[0].aval
    terms = rhs.size // max(rhs.shape[0], 1)
    size = out.size // max(rhs.shape[0], 1) * terms * equation.params["feature_group_count"]
    if not (lhs.size and rhs.size and out.size) or lhs.dtype not in GEMM_DTYPES:
        return None
    if size * lhs.dtype.itemsize > LARGEST_MATRIX:
        return None
    return lambda x, w: _convolve(x, w, out.shape, **equation.params)


def _convolve(
    x: Any,
    w: Any,
    shape: Sizes,
    *,
    window_strides: Sizes,
    padding: Sequence[tuple[int, int]],
    lhs_dilation: Sizes,
    rhs_dilation: Sizes,
    feature_group_count: int,
    batch_group_count: int,
) -> Any:
    """The result (N, O, places…) of x (N, C, space…) and w (O, I, taps…).

    Whichever of places and taps is longer comes last in the matrix of windows, so that it is
    written in long runs; and a convolution and the one that gives its kernel's gradient have the
    same matrix.
    """
    n, c = shape_of(x)[:2]
    features, taps, places = shape_of(w)[0], shape_of(w)[2:], shape[2:]
    groups = feature_group_count * batch_group_count
    kept_last = math.prod(places[-1:]) >= math.prod(taps[-1:])
    if kept_last:
        x = transpose_p.bind(x, permutation=(1, 0, *range(2, len(shape))))
    by_place, by_tap = (places, window_strides), (taps, rhs_dilation)
    matrix = _windows(x, padding, lhs_dilation, *((by_tap, by_place)[:: 1 if kept_last else -1]))
    summed, kept = c // feature_group_count * math.prod(taps), n // batch_group_count
    kept *= math.prod(places)
    kernel = reshape_p.bind(w, shape=(groups, features // groups, summed))
    if kept_last:
        split, names = (feature_group_count, summed, batch_group_count, kept), "gsgk"
    else:
        split, names = (batch_group_count, kept, feature_group_count, summed), "gkgs"
    out = _product(kernel, matrix, split, names)
    out = reshape_p.bind(out, shape=(features, shape[0], *places))
    return transpose_p.bind(out, permutation=(1, 0, *range(2, len(shape))))


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


def _windows(
    x: Any,
    padding: Sequence[tuple[int, int]],
    dilation: Sizes,
    outer: tuple[Sizes, Sizes],
    inner: tuple[Sizes, Sizes],
) -> Any:
    """The matrix of windows of x (A, B, space…) with gaps and zeros: (A, outer…, B, inner…)."""
    low, high = zip(*padding, strict=True) if padding else ((), ())
    gaps = (0, 0, *[d - 1 for d in dilation])
    x = pad(x, (0, 0, *low), (0, 0, *high), gaps)
    return windows_p.bind(
        x, outer=outer[0], outer_steps=outer[1], inner=inner[0], inner_steps=inner[1]
    )


# --- reductions over windows ----------------------------------------------------------------------


def _slices(x: Any, fill: Any, params: dict[str, Any]) -> list[Any]:
    """For every element of a window, an array of it in all windows, in C order."""
    low, high = zip(*params["padding"], strict=True) if params["padding"] else ((), ())
    x = pad(x, low, high, tuple(b - 1 for b in params["base_dilation"]), fill)
    window, strides = params["window_dimensions"], params["window_strides"]
    dilation, extents = params["window_dilation"], shape_of(x)
    spans = map(dilated, window, dilation)
    counts = list(map(window_count, extents, spans, strides, ((0, 0),) * len(extents)))
    parts = []
    for tap in product(*map(range, window)):
        start = tuple(i * d for i, d in zip(tap, dilation, strict=True))
        reach = zip(start, counts, strides, strict=True)
        stop = tuple(a + (n - 1) * s + 1 for a, n, s in reach)
        parts.append(slice_p.bind(x, start=start, stop=stop, step=strides))
    return parts


def _few(equation: Equation, avals: Sequence[Aval]) -> bool:
    slices = math.prod(equation.params["window_dimensions"])
    return slices <= MOST_SLICES and equation.outputs[0].aval.size > 0 and avals[0].size > 0


def fold(combine: Any, identity: Callable[[np.dtype], Any]) -> Callable[..., Any]:
    def rule(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
        if not _few(equation, avals):
            return None
        fill = identity(avals[0].dtype)
        return lambda x: reduce(combine.bind, _slices(x, fill, dict(equation.params)))

    return rule


def find(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """The first element of each window that equals a value, nan being equal to nan."""
    params = dict(equation.params)
    if not _few(equation, avals) or max(params["base_dilation"], default=1) > 1:
        return None
    x_aval, y_aval = avals
    steps = [math.prod(x_aval.shape[a + 1 :]) for a in range(x_aval.ndim)]

    def rule(x: Any, y: Any) -> Any:
        # x must be the numbers that y was found among: computed twice, they could differ in a bit
        (x,) = optimization_barrier_p.bind(x)
        inside = _slices(full(x_aval.shape, True, np.bool_), np.False_, params)
        padded = any(p > 0 for pair in params["padding"] for p in pair)
        # where the first element of a window lies, and how far from it the others
        first: Any = np.int64(0)
        for a, step in enumerate(steps):
            stride, (low, _) = params["window_strides"][a], params["padding"][a]
            first = first + (iota(y_aval.shape, a, np.int64) * (stride * step) - low * step)
        found: Any = full(y_aval.shape, -1, np.int64)
        slices = _slices(x, x_aval.dtype.type(0), params)
        taps = list(product(*map(range, params["window_dimensions"])))
        for tap, part, valid in reversed(list(zip(taps, slices, inside, strict=True))):
            same = eq_p.bind(part, y)
            if x_aval.dtype.kind == "f":
                same = or_p.bind(same, ne_p.bind(part, part) & ne_p.bind(y, y))
            if padded:
                same = same & valid
            offsets = zip(tap, params["window_dilation"], steps, strict=True)
            found = select(same, first + np.int64(sum(i * d * s for i, d, s in offsets)), found)
        return found

    return rule
