"""Pooling: the maximum, minimum or mean of windows, channels last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy.promotion import as_array
from functrans.primitives.windows import highest, lowest

Padding = str | Sequence[tuple[int, int]]


def pool(
    inputs: Any,
    init: Any,
    reduce_fn: Callable[..., Any],
    window_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: Padding,
) -> Any:
    """Fold windows of each channel by any computation; see `functrans.lax.reduce_window`.

    Args:
        inputs: an array (batch axes…, space…, channels); there may be no batch axis.
        init: the scalar that padding holds and every fold begins with.
        reduce_fn: (a, b) → their combination.
        window_shape: the windows' extents along the axes of space.
        strides: steps between windows; 1 by default.
        padding: "SAME", "VALID" or (low, high) per axis of space.

    Returns:
        An array (batch axes…, windows…, channels).

    >>> from functrans import lax
    >>> pool(np.ones((1, 4, 4, 3)), 0.0, lax.add, (2, 2), (2, 2), "VALID").shape
    (1, 2, 2, 3)
    """
    x = as_array(inputs)
    steps = (1,) * len(window_shape) if strides is None else tuple(strides)
    lead = len(shape_of(x)) - len(window_shape) - 1
    if lead < 0 or len(steps) != len(window_shape):
        raise ShapeError(
            f"pooling over windows {tuple(window_shape)} with strides {steps} needs an array "
            f"(batch…, space…, channels) with {len(window_shape)} axes of space: got {aval_of(x)}."
        )
    ones = (1,) * lead
    if not isinstance(padding, str):
        padding = (*((0, 0),) * lead, *padding, (0, 0))
    return lax.reduce_window(
        x, init, reduce_fn, (*ones, *window_shape, 1), (*ones, *steps, 1), padding
    )


def max_pool(
    inputs: Any,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Padding = "VALID",
) -> Any:
    """The maximum of windows, as `flax.linen.max_pool`.

    The derivative is that of the first element in C order that attains the maximum.

    Args:
        inputs: an array (batch axes…, space…, channels).
        window_shape: the windows' extents along the axes of space.
        strides: steps between windows; 1 by default.
        padding: "SAME", "VALID" or (low, high) per axis of space, of values below all others.

    Returns:
        An array (batch axes…, windows…, channels).

    >>> max_pool(np.arange(16.0).reshape(1, 4, 4, 1), (2, 2), (2, 2)).ravel()
    array([ 5.,  7., 13., 15.])
    """
    x = as_array(inputs)
    return pool(x, lowest(dtype_of(x)), lax.max, window_shape, strides, padding)


def min_pool(
    inputs: Any,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Padding = "VALID",
) -> Any:
    """The minimum of windows, as `flax.linen.min_pool`; arguments as of `max_pool`.

    >>> min_pool(np.arange(16.0).reshape(1, 4, 4, 1), (2, 2), (2, 2)).ravel()
    array([ 0.,  2.,  8., 10.])
    """
    x = as_array(inputs)
    return pool(x, highest(dtype_of(x)), lax.min, window_shape, strides, padding)


def avg_pool(
    inputs: Any,
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
) -> Any:
    """The mean of windows, as `flax.linen.avg_pool`.

    Args:
        inputs: an array (batch axes…, space…, channels).
        window_shape: the windows' extents along the axes of space.
        strides: steps between windows; 1 by default.
        padding: "SAME", "VALID" or (low, high) per axis of space, of zeros.
        count_include_pad: divide by the extent of the window also where it reaches into padding;
            else by the number of elements that it has.

    Returns:
        An array (batch axes…, windows…, channels).

    >>> avg_pool(np.ones((1, 3, 1)), (2,), (1,), "SAME").ravel()
    array([1. , 1. , 0.5])
    >>> avg_pool(np.ones((1, 3, 1)), (2,), (1,), "SAME", count_include_pad=False).ravel()
    array([1., 1., 1.])
    """
    x = as_array(inputs)
    if dtype_of(x).kind not in "fc":
        x = fnp.asarray(x, dtype=float)
    total = pool(x, 0, lax.add, window_shape, strides, padding)
    if count_include_pad:
        return total / math.prod(window_shape)
    shape = shape_of(x)
    lead = len(shape) - len(window_shape) - 1
    ones = np.ones((*(1,) * lead, *shape[lead:-1], 1), dtype_of(x))
    return total / pool(ones, 0, lax.add, window_shape, strides, padding)
