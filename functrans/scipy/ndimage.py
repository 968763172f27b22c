"""`scipy.ndimage`: images between their pixels, differentiable in the image and in the places."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans import lax
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy.indexing import getitem
from functrans.numpy.manipulation import strong
from functrans.numpy.promotion import to_dtype


def map_coordinates(
    input: Any, coordinates: Sequence[Any], order: int, mode: str = "constant", cval: Any = 0.0
) -> Any:
    """`scipy.ndimage.map_coordinates`: an array read between its elements, by interpolation.

    Args:
        input: an array of n axes.
        coordinates: n arrays of one shape, the place of each result along each axis; a place at an
            integer is that of an element.
        order: 0 for the nearest element, 1 for linear interpolation.
        mode: what lies beyond the border: "constant" (`cval`; SciPy's "grid-constant"), "nearest",
            "wrap" (SciPy's "grid-wrap"), "mirror" or "reflect".
        cval: the value beyond the border in mode "constant".

    Returns:
        An array of the shape of the coordinates and the dtype of `input`; integers are rounded.

    Raises:
        ShapeError: not one array of coordinates for each axis.
        ValueError: another order or mode.

    >>> x = np.arange(6.0).reshape(2, 3)
    >>> map_coordinates(x, [np.array([0.5, 0.0]), np.array([0.5, 1.75])], 1)
    array([2.  , 1.75])
    """
    x = strong(input)
    if len(coordinates) != len(shape_of(x)):
        raise ShapeError(
            f"map_coordinates needs coordinates for each axis of {aval_of(x)}: got "
            f"{len(coordinates)} of them."
        )
    if order not in (0, 1) or mode not in PLACES:
        raise ValueError(
            f"map_coordinates has the orders 0 and 1 and the modes {', '.join(PLACES)}: got order "
            f"{order!r} and mode {mode!r}.{user_line()}"
        )
    nodes = [_nearest(c) if order == 0 else _neighbours(c) for c in map(_floats, coordinates)]
    total = reduce(fnp.add, (_term(x, corner, mode, cval) for corner in itertools.product(*nodes)))
    whole = dtype_of(x).kind in "iu"
    return to_dtype(lax.round(total) if whole else total, dtype_of(x))


def _mirror(i: Any, n: int) -> Any:
    return abs((i + n - 1) % max(2 * (n - 1), 1) - (n - 1))


PLACES: dict[str, Callable[[Any, int], Any]] = {
    "constant": lambda i, n: fnp.clip(i, 0, n - 1),
    "nearest": lambda i, n: fnp.clip(i, 0, n - 1),
    "wrap": lambda i, n: i % n,
    "mirror": _mirror,
    "reflect": lambda i, n: (_mirror(2 * i + 1, 2 * n + 1) - 1) // 2,
}
"""By mode: the index i of an element of n, from one that may be outside."""


def _floats(x: Any) -> Any:
    x = strong(x)
    return x if dtype_of(x).kind == "f" else to_dtype(x, np.dtype(float))


def _nearest(at: Any) -> list[tuple[Any, Any]]:
    return [(lax.round(at).astype(int), 1)]


def _neighbours(at: Any) -> list[tuple[Any, Any]]:
    below = fnp.floor(at)
    index, share = below.astype(int), at - below
    return [(index, 1 - share), (index + 1, share)]


def _term(x: Any, corner: Sequence[tuple[Any, Any]], mode: str, cval: Any) -> Any:
    """What one corner of the cells contributes: its elements times their weights."""
    shape = shape_of(x)
    places = tuple(PLACES[mode](i, n) for (i, _), n in zip(corner, shape, strict=True))
    values = getitem(x, places)
    if mode == "constant":
        inside = [(i >= 0) & (i < n) for (i, _), n in zip(corner, shape, strict=True)]
        values = fnp.where(reduce(fnp.logical_and, inside), values, fnp.asarray(cval, dtype_of(x)))
    return values * math.prod(weight for _, weight in corner)
