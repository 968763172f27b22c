"""`pad` in NumPy's modes: constants, or slices of the array itself, flipped where the mode says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import mirrors
from functrans.numpy.joining import concatenate, pick
from functrans.numpy.manipulation import broadcast_to, reshape, strong
from functrans.numpy.promotion import as_array, to_dtype
from functrans.numpy.quantiles import median
from functrans.numpy.reductions import max, mean, min
from functrans.primitives import shaping
from functrans.primitives.shaping import slice_axis

Pair = tuple[Any, Any]
STATISTICS: dict[str, Callable[..., Any]] = {
    "maximum": max,
    "minimum": min,
    "mean": mean,
    "median": median,
}


@mirrors(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Any:
    """`numpy.pad` in the modes constant, empty, edge, reflect, symmetric, wrap, linear_ramp,
    maximum, minimum, mean, median; with a function of its own only arrays that are not traced.

    >>> import functrans.numpy as fnp
    >>> fnp.pad([1, 2, 3], 1, mode="reflect").tolist()
    [2, 1, 2, 3, 2]
    """
    x = strong(array)
    rank = len(shape_of(x))
    if isinstance(pad_width, dict):
        widths = [(0, 0)] * rank
        for axis, width in pad_width.items():
            widths[axis] = width if isinstance(width, tuple) else (width, width)
    else:
        widths = _pairs(pad_width, rank, "pad_width")
    widths = [(int(a), int(b)) for a, b in widths]
    if any(n < 0 for pair in widths for n in pair):
        raise ValueError("index can't contain negative values")
    if callable(mode):
        raise TypeError(f"pad with a function is not supported for traced arrays.{user_line()}")
    return _padded(x, widths, mode, kwargs)


def _padded(x: Any, widths: list[Pair], mode: str, kwargs: dict[str, Any]) -> Any:
    rank = len(widths)
    if mode in ("constant", "empty"):
        values = _take(kwargs, "constant_values", 0) if mode == "constant" else 0
        return _constant(x, widths, values)
    if mode == "linear_ramp":
        ends = _pairs(_take(kwargs, "end_values", 0), rank, "end_values")
        return _along(x, widths, lambda v, axis, a, b: _ramp(v, axis, a, b, ends[axis]))
    if mode in STATISTICS:
        lengths = _take(kwargs, "stat_length", None)
        parts = [(None, None)] * rank if lengths is None else _pairs(lengths, rank, "stat_length")
        function = STATISTICS[mode]
        return _along(x, widths, lambda v, axis, a, b: _stat(v, axis, a, b, function, parts[axis]))
    if mode in ("reflect", "symmetric"):
        odd = _take(kwargs, "reflect_type", "even") == "odd"
        return _along(x, widths, lambda v, axis, a, b: _mirrored(v, axis, a, b, mode, odd))
    if mode in ("edge", "wrap"):
        _take(kwargs, "", None)
        return _along(x, widths, lambda v, axis, a, b: _copied(v, axis, a, b, mode))
    raise ValueError(f"pad has no mode {mode!r}{user_line()}")


def _take(kwargs: dict[str, Any], name: str, default: Any) -> Any:
    """The one keyword that a mode has; ValueError for others."""
    unknown = set(kwargs) - {name}
    if unknown:
        raise ValueError(f"unsupported keyword arguments for this mode of pad: {sorted(unknown)}")
    return kwargs.get(name, default)


def _pairs(value: Any, rank: int, name: str) -> list[Pair]:
    """(before, after) for each axis, from a number, (n,), (before, after), or pairs per axis."""
    if not isinstance(value, Sequence | np.ndarray):
        return [(value, value)] * rank
    rows = list(value)
    if all(not isinstance(v, Sequence | np.ndarray) for v in rows):
        if len(rows) == 1:
            return [(rows[0], rows[0])] * rank
        if len(rows) == 2:
            return [(rows[0], rows[1])] * rank
    elif len(rows) in (1, rank):
        pairs = [tuple(v) if len(v) == 2 else (v[0], v[0]) for v in rows]
        return pairs * rank if len(rows) == 1 else pairs
    raise ValueError(f"pad got {name}={value!r}, which does not fit {rank} axes{user_line()}")


def _constant(x: Any, widths: list[Pair], values: Any) -> Any:
    zeros = (0,) * len(widths)
    pairs = _pairs(values, len(widths), "constant_values")
    first = pairs[0][0] if pairs else 0
    if all(v is first for pair in pairs for v in pair):
        fill = to_dtype(as_array(first), dtype_of(x))
        return shaping.pad(x, [a for a, _ in widths], [b for _, b in widths], zeros, fill)
    for axis, ((a, b), (u, v)) in enumerate(zip(widths, pairs, strict=True)):
        for low, high, value in ((a, 0, u), (0, b, v)):
            lows, highs = [0] * len(widths), [0] * len(widths)
            lows[axis], highs[axis] = low, high
            filled = to_dtype(as_array(value), dtype_of(x))
            x = shaping.pad(x, lows, highs, zeros, filled)
    return x


def _along(x: Any, widths: list[Pair], ends: Callable[[Any, int, int, int], Pair]) -> Any:
    """x with, axis by axis, what `ends` gives before and after it."""
    for axis, (a, b) in enumerate(widths):
        if not a and not b:
            continue
        if shape_of(x)[axis] == 0:
            raise ShapeError(
                f"pad cannot extend the empty axis {axis} of {aval_of(x)} in this mode; use "
                f"'constant' or 'empty'."
            )
        before, after = ends(x, axis, a, b)
        parts = [v for v, n in ((before, a), (x, 1), (after, b)) if n]
        x = concatenate(parts, axis)
    return x


def _edge(x: Any, axis: int, last: bool) -> Any:
    i = shape_of(x)[axis] - 1 if last else 0
    return slice_axis(x, axis, i, i + 1)


def _with_extent(x: Any, axis: int, n: int) -> Any:
    shape = shape_of(x)
    return broadcast_to(x, (*shape[:axis], n, *shape[axis + 1 :]))


def _copied(x: Any, axis: int, a: int, b: int, mode: str) -> Pair:
    n = shape_of(x)[axis]
    if mode == "edge":
        return (
            _with_extent(_edge(x, axis, False), axis, a),
            _with_extent(_edge(x, axis, True), axis, b),
        )
    return pick(x, np.arange(-a, 0) % n, axis), pick(x, np.arange(b) % n, axis)


def _mirrored(x: Any, axis: int, a: int, b: int, mode: str, odd: bool) -> Pair:
    n = shape_of(x)[axis]
    if n == 1 and mode == "reflect":
        return _copied(x, axis, a, b, "edge")
    positions = np.arange(-a, n + b)
    period = 2 * n if mode == "symmetric" else 2 * (n - 1)
    within = positions % period
    turned = period - 1 - within if mode == "symmetric" else period - within
    source = np.where(within < n, within, turned)
    before, after = pick(x, source[:a], axis), pick(x, source[a + n :], axis)
    if not odd:
        return before, after
    # each turn at an edge continues the array point-symmetrically: v -> 2 edge - v
    first, last = _edge(x, axis, False), _edge(x, axis, True)
    step = last - first
    laps = np.floor_divide(positions, period // 2)
    flipped = laps % 2 == 1
    shape = [1] * len(shape_of(x))

    def extend(v: Any, where: slice) -> Any:
        shape[axis] = len(laps[where])
        turns = reshape(laps[where].astype(np.int64), tuple(shape))
        odd_lap = reshape(flipped[where], tuple(shape))
        turns = to_dtype(turns, dtype_of(x))
        shifted = v + step * turns
        reversed_ = first + last - v + step * turns
        from functrans.numpy.selection import where as choose

        return choose(odd_lap, reversed_, shifted)

    return extend(before, slice(0, a)), extend(after, slice(a + n, None))


def _ramp(x: Any, axis: int, a: int, b: int, ends: Pair) -> Pair:
    from functrans.numpy.creation import linspace

    def towards(edge: Any, end: Any, n: int, rising: bool) -> Any:
        shape = [m for i, m in enumerate(shape_of(edge)) if i != axis]
        inner = reshape(edge, tuple(shape))
        ramp = linspace(end, inner, n, endpoint=False, axis=axis)
        ramp = to_dtype(_floored(ramp, dtype_of(x)), dtype_of(x))
        return ramp if rising else shaping.flip_p.bind(ramp, axes=(axis,))

    before = towards(_edge(x, axis, False), ends[0], a, True) if a else None
    after = towards(_edge(x, axis, True), ends[1], b, False) if b else None
    return before, after


def _floored(ramp: Any, dtype: np.dtype) -> Any:
    """As NumPy's linspace gives integers."""
    return ufuncs.floor(ramp) if dtype.kind in "iu" else ramp


def _stat(x: Any, axis: int, a: int, b: int, function: Any, lengths: Pair) -> Pair:
    n = shape_of(x)[axis]
    results = []
    for count, length, last in ((a, lengths[0], False), (b, lengths[1], True)):
        taken = n if length is None else int(np.minimum(length, n))
        part = slice_axis(x, axis, n - taken if last else 0, n if last else taken)
        value = function(part, axis, keepdims=True)
        if dtype_of(x).kind in "iu":
            value = ufuncs.rint(value)
        results.append(_with_extent(to_dtype(value, dtype_of(x)), axis, count))
    return results[0], results[1]
