"""Signals smoothed by polynomials of least squares, which are products with constant weights."""

from __future__ import annotations

from math import perm
from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy.indexing import getitem
from functrans.numpy.signals import sums_of_windows
from functrans.numpy.systems import inexact

ENDS = {"mirror": "reflect", "nearest": "edge", "wrap": "wrap", "constant": "constant"}
"""By SciPy's name of what lies beyond the ends, NumPy's."""


def savgol_filter(
    x: Any,
    window_length: int,
    polyorder: int,
    deriv: int = 0,
    delta: float = 1.0,
    axis: int = -1,
    mode: str = "interp",
    cval: Any = 0.0,
) -> Any:
    """`scipy.signal.savgol_filter`: each element by the polynomial that fits those around it.

    Args:
        x: an array of signals.
        window_length: how many elements each polynomial fits, an odd number.
        polyorder: the degree of the polynomials, below `window_length`.
        deriv: which derivative of them is wanted, 0 for their values.
        delta: the distance between elements, for derivatives.
        axis: along which the signals lie.
        mode: what lies beyond the ends: "mirror", "nearest", "wrap" or "constant" (`cval`); with
            "interp", the first and the last polynomial give the elements that have no own.
        cval: the value beyond the ends in mode "constant".

    Returns:
        An array of the shape of `x`, of floats or complex numbers (A. Savitzky and M. Golay,
        Smoothing and Differentiation of Data, Analytical Chemistry 36, 1964).

    Raises:
        ShapeError: in mode "interp", signals shorter than a window.
        ValueError: an even window, a degree that it does not determine, or another mode.

    >>> savgol_filter(np.array([1.0, 0.0, 2.0, 1.0, 3.0]), 3, 1).round(3).tolist()
    [0.5, 1.0, 1.0, 2.0, 2.5]
    """
    (x,) = inexact(x)
    m, half = window_length, window_length // 2
    if m % 2 == 0 or not 0 <= polyorder < m:
        raise ValueError(
            "savgol_filter needs an odd window_length and 0 <= polyorder < window_length: got "
            f"window_length={m} and polyorder={polyorder}.{user_line()}"
        )
    if mode != "interp" and mode not in ENDS:
        raise ValueError(
            f"savgol_filter has the modes interp, {', '.join(ENDS)}: got {mode!r}.{user_line()}"
        )
    at = canonical_axis(axis, len(shape_of(x)))
    x = fnp.moveaxis(x, at, -1)
    if mode == "interp" and shape_of(x)[-1] < m:
        raise ShapeError(
            f"savgol_filter in mode 'interp' needs signals of a window of {m} or more elements: "
            f"got {aval_of(x)}."
        )
    fits = (_fits(m, polyorder, deriv) / delta**deriv).astype(dtype_of(x))
    if mode == "interp":
        first, last = getitem(x, (..., slice(m))), getitem(x, (..., slice(-m, None)))
        ends = first @ fits[:half].T, last @ fits[half + 1 :].T
        result = fnp.concatenate([ends[0], _windows(x, fits[half]), ends[1]], axis=-1)
    else:
        widths = [(0, 0)] * (len(shape_of(x)) - 1) + [(half, half)]
        values = {"constant_values": cval} if mode == "constant" else {}
        result = _windows(fnp.pad(x, widths, ENDS[mode], **values), fits[half])
    return fnp.moveaxis(result, -1, at)


def _windows(x: Any, weights: np.ndarray) -> Any:
    """The weighted sums of all windows along the last axis."""
    rows = fnp.reshape(x, (-1, shape_of(x)[-1]))
    sums = sums_of_windows(rows, weights[None], [(0, 0), (0, 0)])
    return fnp.reshape(sums, (*shape_of(x)[:-1], shape_of(sums)[1]))


def _fits(m: int, degree: int, deriv: int) -> np.ndarray:
    """(m, m): the polynomial's derivative at each place of a window, in terms of its elements."""
    places = np.arange(m) - m // 2.0
    powers = np.arange(degree + 1)
    slopes = [perm(k, deriv) * places ** max(k - deriv, 0) for k in powers.tolist()]
    return np.stack(slopes, axis=1) @ np.linalg.pinv(places[:, None] ** powers)
