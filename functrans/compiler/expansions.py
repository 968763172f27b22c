"""Primitives without a form of code as Programs of primitives that have one: convolutions, windows,
cumulative operations, positions of extrema, inverses.

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

from functrans.compiler.llvm import SUPPORTED
from functrans.compiler.products import GEMM_DTYPES
from functrans.compiler.simplify import drop_unused, inline_into, rewrite
from functrans.core.program import Atom, Equation, Program, Var
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, shape_of
from functrans.primitives.arithmetic import (
    add_p,
    eq_p,
    max_p,
    min_p,
    mul_p,
    ne_p,
    or_p,
    select,
)
from functrans.primitives.identities import optimization_barrier_p
from functrans.primitives.linear_algebra import solve_p
from functrans.primitives.loops import scan_p
from functrans.primitives.products import dot_general_p
from functrans.primitives.reductions import reduce_max_p, reduce_min_p
from functrans.primitives.shaping import (
    broadcast_p,
    full,
    iota,
    pad,
    reshape_p,
    slice_p,
    transpose_p,
)
from functrans.primitives.windows import dilated, highest, lowest, window_count, windows_p

LARGEST_MATRIX = 1 << 28
"""Bytes that the matrix of windows may take; beyond, NumPy convolves block by block."""
MOST_SLICES = 32
"""Elements of a window up to which its reduction is a fold of slices."""

Sizes = tuple[int, ...]


def expand(program: Program) -> Program:
    """Every equation that an expansion exists for as the equations of the expansion."""
    if not any(e.primitive.name in EXPANSIONS for e in program.equations):
        return program
    equations: list[Equation] = []
    renamed: dict[Var, Atom] = {}
    for equation in program.equations:
        inputs = [renamed.get(a, a) if isinstance(a, Var) else a for a in equation.inputs]
        inner = _expansion(equation)
        if inner is None:
            equations.append(equation.replace(inputs))
            continue
        before = len(equations)
        results = inline_into(equations, inner, dict(zip(inner.inputs, inputs, strict=True)))
        for new in equations[before:]:
            new.source = equation.source
        renamed.update(zip(equation.outputs, results, strict=True))
    outputs = [renamed.get(a, a) if isinstance(a, Var) else a for a in program.outputs]
    return drop_unused(rewrite(Program(program.inputs, equations, outputs, program.name)))


def _expansion(equation: Equation) -> Program | None:
    rule = EXPANSIONS.get(equation.primitive.name)
    avals = [a.aval for a in equation.inputs]
    function = rule(equation, avals) if rule else None
    if function is None:
        return None
    return make_program_flat(lambda xs: [function(*xs)], avals, equation.primitive.name)


# --- convolutions ---------------------------------------------------------------------------------


def _convolution(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
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


def _fold(combine: Any, identity: Callable[[np.dtype], Any]) -> Callable[..., Any]:
    def rule(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
        if not _few(equation, avals):
            return None
        fill = identity(avals[0].dtype)
        return lambda x: reduce(combine.bind, _slices(x, fill, dict(equation.params)))

    return rule


def _find(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
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


# --- arg-extrema, cumulative operations, inverses -------------------------------------------------


def _arg_extremum(extremum: Any) -> Callable[..., Any]:
    """The first position of what the reduction finds; of nan, which it finds if there is one."""

    def rule(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
        (x_aval,) = avals
        axis = equation.params["axis"]
        if x_aval.dtype.kind not in "iuf" or not x_aval.size:
            return None

        def position(x: Any) -> Any:
            # the extremum must be found among the same numbers: see _find
            (x,) = optimization_barrier_p.bind(x)
            found = extremum.bind(x, axes=(axis,))
            kept = tuple(1 if a == axis else n for a, n in enumerate(x_aval.shape))
            same = eq_p.bind(x, reshape_p.bind(found, shape=kept))
            if x_aval.dtype.kind == "f":
                same = or_p.bind(same, ne_p.bind(x, x))
            places = iota(x_aval.shape, axis, np.int64)
            beyond = full(x_aval.shape, x_aval.shape[axis], np.int64)
            return reduce_min_p.bind(select(same, places, beyond), axes=(axis,))

        return position

    return rule


def _running(combine: Any, identity: Callable[[np.dtype], Any], kinds: str) -> Callable[..., Any]:
    """A loop along the axis, which hands on the last result."""

    def rule(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
        (x_aval,), (axis, reverse) = avals, (equation.params["axis"], equation.params["reverse"])
        if not x_aval.size or x_aval.dtype.kind not in kinds or x_aval.dtype not in SUPPORTED:
            return None
        there = (axis, *[a for a in range(x_aval.ndim) if a != axis])
        row = Aval([n for a, n in enumerate(x_aval.shape) if a != axis], x_aval.dtype)
        body = make_program_flat(lambda xs: [combine.bind(*xs)] * 2, [row, row], combine.name)

        def along(x: Any) -> Any:
            first = full(row.shape, identity(row.dtype), row.dtype)
            _, ys = scan_p.bind(
                first,
                transpose_p.bind(x, permutation=there),
                program=body,
                num_consts=0,
                num_carry=1,
                length=x_aval.shape[axis],
                reverse=reverse,
                unroll=1,
                checkpoint=None,
            )
            back = tuple(int(a) for a in np.argsort(there))
            return transpose_p.bind(ys, permutation=back)

        return along

    return rule


def _inverse(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    (a_aval,) = avals
    if a_aval.dtype not in GEMM_DTYPES:
        return None
    identity = np.eye(a_aval.shape[-1], dtype=a_aval.dtype)
    return lambda a: solve_p.bind(a, broadcast_p.bind(identity, shape=a_aval.shape))


EXPANSIONS: dict[str, Callable[[Equation, Sequence[Aval]], Callable[..., Any] | None]] = {
    "conv_general_dilated": _convolution,
    "reduce_window_sum": _fold(add_p, lambda dtype: dtype.type(0)),
    "reduce_window_prod": _fold(mul_p, lambda dtype: dtype.type(1)),
    "reduce_window_max": _fold(max_p, lowest),
    "reduce_window_min": _fold(min_p, highest),
    "window_find": _find,
    "argmax": _arg_extremum(reduce_max_p),
    "argmin": _arg_extremum(reduce_min_p),
    "inv": _inverse,
    # from -0.0, which keeps the sign of a first zero
    "cumsum": _running(add_p, lambda dtype: -dtype.type(0), "iufc"),
    # no complex ones: 1 times infinity would have a nan
    "cumprod": _running(mul_p, lambda dtype: dtype.type(1), "iuf"),
    "cummax": _running(max_p, lowest, "iuf"),
    "cummin": _running(min_p, highest, "iuf"),
}
"""Per primitive, a function of the same operands built of others; None where it does not pay."""
