"""Linear filters with feedback: recursions in time, as loops."""

from __future__ import annotations

from typing import Any

import functrans.numpy as fnp
from functrans import lax
from functrans.core.errors import ShapeError
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy.joining import concatenate
from functrans.numpy.systems import inexact


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """`scipy.signal.lfilter`: a recursive or non-recursive filter, along one axis.

    With a[0] = 1, y[t] = Σ b[k] x[t - k] - Σ a[k] y[t - k], the second sum from k = 1. The loop is
    the transposed direct form II (Oppenheim & Schafer, Discrete-Time Signal Processing, 6.3).

    Args:
        b: the numerator's coefficients, a vector.
        a: the denominator's coefficients, a vector; all are divided by its first.
        x: an array of signals.
        axis: along which the signals lie.
        zi: the state before the first element: max(len(a), len(b)) - 1 numbers along the axis, and
            along others the extents of `x`, or 1. None for zeros.

    Returns:
        An array of the shape of `x`; with `zi` the pair of it and the last state.

    Raises:
        ShapeError: coefficients that are no vectors, or a state of another shape.

    >>> lfilter([1.0], [1.0, -0.5], np.array([1.0, 0.0, 0.0, 0.0])).tolist()
    [1.0, 0.5, 0.25, 0.125]
    >>> y, state = lfilter([0.5, 0.5], [1.0], np.array([2.0, 4.0]), zi=np.zeros(1))
    >>> y.tolist(), state.tolist()
    ([1.0, 3.0], [2.0])
    """
    b, a, x, *state = inexact(b, a, x, *([] if zi is None else [zi]))
    for v in (b, a):
        if len(shape_of(v)) != 1 or 0 in shape_of(v):
            raise ShapeError(f"lfilter needs vectors of coefficients: got {aval_of(v)}.")
    at = canonical_axis(axis, len(shape_of(x)))
    order = max(shape_of(b)[0], shape_of(a)[0]) - 1
    signal = fnp.moveaxis(x, at, 0)
    wanted = (order, *shape_of(signal)[1:])
    start = _start(state, at, wanted) if state else fnp.zeros(wanted, dtype_of(x))
    y, last = _recursion(b, a, signal, start)
    y = fnp.moveaxis(y, 0, at)
    return (y, fnp.moveaxis(last, 0, at)) if state else y


def _start(state: list[Any], axis: int, wanted: tuple[int, ...]) -> Any:
    (zi,) = state
    got = shape_of(zi)
    fits = len(got) == len(wanted) and got[axis] == wanted[0]
    zi = fnp.moveaxis(zi, axis, 0) if fits else zi
    if not fits or any(n not in (1, m) for n, m in zip(shape_of(zi), wanted, strict=True)):
        expected = (*wanted[1 : axis + 1], wanted[0], *wanted[axis + 1 :])
        raise ShapeError(
            f"lfilter needs zi of shape {expected} for these coefficients and signals: got shape "
            f"{got}."
        )
    return fnp.broadcast_to(zi, wanted)


def _recursion(b: Any, a: Any, x: Any, state: Any) -> tuple[Any, Any]:
    """(the filtered signals, the last state), of signals along the first axis."""
    order = shape_of(state)[0]
    # a column of coefficients for each signal
    b, a = (
        fnp.reshape(fnp.pad(v / a[0], (0, order + 1 - shape_of(v)[0])), (-1,) + (1,) * (x.ndim - 1))
        for v in (b, a)
    )
    if not order:
        return b[0] * x, state
    ends = fnp.zeros((1, *shape_of(x)[1:]), dtype_of(x))

    def step(z: Any, x: Any) -> tuple[Any, Any]:
        y = z[0] + b[0] * x
        shifted = concatenate([z[1:], ends])
        return shifted + b[1:] * x - a[1:] * y, y

    last, y = lax.scan(step, state, x)
    return y, last


def sosfilt(sos: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """`scipy.signal.sosfilt`: a filter in sections of second order, one after the other.

    Args:
        sos: (sections, 6) coefficients: b[0], b[1], b[2], a[0], a[1], a[2] of each section. a[0]
            need not be 1.
        x: an array of signals.
        axis: along which the signals lie.
        zi: the states before the first element, (sections, *the shape of `x` with 2 along the
            axis*). None for zeros.

    Returns:
        An array of the shape of `x`; with `zi` the pair of it and the last states.

    Raises:
        ShapeError: coefficients or states of another shape.

    >>> sosfilt([[1.0, 0.0, 0.0, 1.0, -0.5, 0.0]] * 2, np.array([1.0, 0.0, 0.0])).tolist()
    [1.0, 1.0, 0.75]
    """
    sos, y, *state = inexact(sos, x, *([] if zi is None else [zi]))
    if len(shape_of(sos)) != 2 or shape_of(sos)[1] != 6:
        raise ShapeError(f"sosfilt needs coefficients of shape (sections, 6): got {aval_of(sos)}.")
    sections = shape_of(sos)[0]
    if not state:
        for k in range(sections):
            y = lfilter(sos[k, :3], sos[k, 3:], y, axis)
        return y
    (states,) = state
    if not shape_of(states) or shape_of(states)[0] != sections:
        raise ShapeError(f"sosfilt needs states of {sections} sections: got {aval_of(states)}.")
    last = []
    for k in range(sections):
        y, z = lfilter(sos[k, :3], sos[k, 3:], y, axis, states[k])
        last.append(z)
    return y, fnp.stack(last)
