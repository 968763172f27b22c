"""Convolutions as Programs of primitives that have a form of code, each in the cheapest way.

The ways stand in functrans/compiler/convolution_ways.py, what they cost in
functrans/compiler/convolution_costs.py. Both gradients of a convolution are convolutions again, so
each of the three is computed in its own way. One whose operand has gaps between its elements, as
for the operand's gradient of a strided convolution, becomes one without, for none of the zeros is
multiplied by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from functrans.compiler.convolution_blocks import cuts
from functrans.compiler.convolution_costs import CACHE, LARGEST, Choice, block_of, cheapest
from functrans.compiler.convolution_ways import Layer, stored_as
from functrans.compiler.products import GEMM_DTYPES
from functrans.core.program import Equation
from functrans.core.source import noted
from functrans.core.types import Aval, shape_of
from functrans.primitives.convolution import Phase, conv_general_dilated_p, phases_of
from functrans.primitives.shaping import (
    concatenate_p,
    flip_p,
    full,
    pad,
    reshape_p,
    slice_p,
    transpose_p,
)
from functrans.primitives.windows import Sizes


def convolution(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """The convolution in the cheapest way; None where it is left to NumPy."""
    lhs, rhs = avals
    out = equation.outputs[0].aval
    params = dict(equation.params)
    if not (lhs.size and rhs.size and out.size) or lhs.dtype not in GEMM_DTYPES:
        return None
    steps = (*params["window_strides"], *params["rhs_dilation"])
    if max(params["lhs_dilation"], default=1) > 1:
        if max(steps) > 1:
            return lambda x, w: _phase_by_phase(x, w, params, out)
        return lambda x, w: _by_phase(x, w, params, out.shape[2:])
    layer = Layer.of(lhs, rhs, out, params)
    choice = cheapest(layer)
    if choice.stored > CACHE:
        cut = next((c for c in cuts(layer) if c.along > 1), None)
        if cut is not None:
            some = block_of(choice.stored, cut.along)
            return lambda x, w: cut.loop(x, w, params, some)
    if choice.stored > LARGEST:
        return None
    return _chosen(choice, layer)


def _chosen(choice: Choice, layer: Layer) -> Callable[..., Any]:
    def compute(x: Any, w: Any) -> Any:
        with noted(f"convolution {choice.name}"):
            return choice.way(x, w, layer)

    return compute


def _phase_by_phase(x: Any, w: Any, params: dict[str, Any], out: Aval) -> Any:
    """Without the gaps' zeros: a convolution for every phase, as in evaluation."""
    names = "window_strides", "padding", "lhs_dilation", "rhs_dilation"
    options, taps = [params[n] for n in names], shape_of(w)[2:]
    total: Any = None
    for chosen in product(*map(phases_of, shape_of(x)[2:], taps, *options, out.shape[2:])):
        part = conv_general_dilated_p.bind(
            x,
            _taps_of(w, chosen),
            **params
            | {
                "window_strides": tuple(p.stride for p in chosen),
                "padding": tuple(p.padding for p in chosen),
                "lhs_dilation": (1,) * len(chosen),
                "rhs_dilation": tuple(p.dilation for p in chosen),
            },
        )
        part = _spread(part, chosen, out.shape[2:])
        total = part if total is None else total + part
    return full(out.shape, 0, out.dtype) if total is None else total


def _taps_of(w: Any, phases: Sequence[Phase]) -> Any:
    shape = shape_of(w)
    return slice_p.bind(
        w,
        start=(0, 0, *[p.taps.start for p in phases]),
        stop=shape,
        step=(1, 1, *[p.taps.step for p in phases]),
    )


def _spread(part: Any, phases: Sequence[Phase], places: Sizes) -> Any:
    """The result of phases at their places, zeros elsewhere."""
    low = [p.places.start for p in phases]
    gaps = [p.places.step - 1 for p in phases]
    ends = [a + (p.number - 1) * (g + 1) + 1 for a, g, p in zip(low, gaps, phases, strict=True)]
    high = [n - end for n, end in zip(places, ends, strict=True)]
    return pad(part, (0, 0, *low), (0, 0, *high), (0, 0, *gaps))


def _by_phase(x: Any, w: Any, params: dict[str, Any], places: Sizes) -> Any:
    """Without the gaps' zeros: places of the result that are as far apart as elements meet the same
    taps of the kernel. Each of these phases becomes a feature, and then a place again.

    With s the dilation and f = min(s, taps) the phases that meet anything, place s·q + r - a and
    tap s·m + f - 1 - r meet element q + m - (low + a - f + 1) / s, whatever the phase r is: a makes
    that a whole number.
    """
    steps, taps, extents = params["lhs_dilation"], shape_of(w)[2:], shape_of(x)[2:]
    axes = list(map(_Phases.of, steps, taps, extents, places, params["padding"]))
    ones = (1,) * len(axes)
    kernel = _kernel_by_phase(w, axes)
    options = {**params, "window_strides": ones, "lhs_dilation": ones}
    out = _alike(x, kernel, axes, [], options)
    n, features = shape_of(out)[:2]
    order = [a for i in range(2, 2 + len(axes)) for a in (i + len(axes), i)]
    out = transpose_p.bind(out, permutation=(0, 1, *order))
    unmet = [n for a in axes for n in (0, a.step - a.phases)]
    zeros = (0,) * (2 + len(unmet))
    out = pad(out, zeros, (0, 0, *unmet), zeros)
    out = stored_as(out, (n, features, *[a.count * a.step for a in axes]))
    if shape_of(out)[2:] == places:
        return out
    start = [a.skipped for a in axes]
    stop = [a + n for a, n in zip(start, places, strict=True)]
    return slice_p.bind(out, start=(0, 0, *start), stop=(n, features, *stop), step=(1, 1, *ones))


@dataclass(frozen=True)
class _Phases:
    """An axis whose operand has gaps.

    Attributes:
        step: from element to element.
        phases: that meet a tap.
        taps: that a phase meets, or one fewer.
        fewer: how many phases, the first, meet one tap fewer.
        skipped: places before the first of the result.
        count: of places of a phase.
        extent: of the operand.
        low: its padding, without gaps.
    """

    step: int
    phases: int
    taps: int
    fewer: int
    skipped: int
    count: int
    extent: int
    low: int

    @classmethod
    def of(cls, step: int, taps: int, extent: int, places: int, pads: tuple[int, int]) -> _Phases:
        phases, most = min(taps, step), -(-taps // step)
        skipped = (phases - 1 - pads[0]) % step
        low = (pads[0] + skipped - phases + 1) // step
        count = -(-(places + skipped) // step)
        return cls(step, phases, most, most * phases - taps, skipped, count, extent, low)

    @property
    def alike(self) -> list[tuple[int, int, int]]:
        """Phases that meet equally many taps: the first, the one after the last, how many taps."""
        ranges = [(0, self.fewer, self.taps - 1), (self.fewer, self.phases, self.taps)]
        return [r for r in ranges if r[0] < r[1]]


def _kernel_by_phase(w: Any, axes: Sequence[_Phases]) -> Any:
    """The kernel (O, I, taps…) as (O, phases…, I, taps of a phase…)."""
    features, inputs = shape_of(w)[:2]
    rank = len(axes)
    zeros = (0,) * (2 + rank)
    w = pad(w, zeros, (0, 0, *[a.fewer for a in axes]), zeros)
    w = reshape_p.bind(w, shape=(features, inputs, *[n for a in axes for n in (a.taps, a.phases)]))
    phases = tuple(range(3, 3 + 2 * rank, 2))
    w = flip_p.bind(w, axes=phases)
    return transpose_p.bind(w, permutation=(0, *phases, 1, *range(2, 2 + 2 * rank, 2)))


def _alike(x: Any, kernel: Any, axes: Sequence[_Phases], chosen: list, options: dict) -> Any:
    """The result (N, O, phases…, counts…): a convolution for all phases that meet equally many taps
    along every axis, of which some are `chosen` along the first axes."""
    if len(chosen) < len(axes):
        parts = [
            _alike(x, kernel, axes, [*chosen, some], options) for some in axes[len(chosen)].alike
        ]
        return concatenate_p.bind(*parts, axis=2 + len(chosen)) if len(parts) > 1 else parts[0]
    features, inputs = shape_of(kernel)[0], shape_of(kernel)[1 + len(axes)]
    first, last, taps = zip(*chosen, strict=True)
    part = slice_p.bind(
        kernel,
        start=(0, *first, 0, *(0,) * len(axes)),
        stop=(features, *last, inputs, *taps),
        step=(1,) * (2 + 2 * len(axes)),
    )
    phases = [b - a for a, b in zip(first, last, strict=True)]
    part = reshape_p.bind(part, shape=(features * math.prod(phases), inputs, *taps))
    pads = tuple(
        (a.low, a.count + t - 1 - a.extent - a.low) for a, t in zip(axes, taps, strict=True)
    )
    out = conv_general_dilated_p.bind(x, part, **{**options, "padding": pads})
    shape = (shape_of(out)[0], features, *phases, *shape_of(out)[2:])
    return reshape_p.bind(out, shape=shape)
