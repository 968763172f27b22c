"""Convolutions and correlations of any number of axes, as sums of windows or through transforms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axes, dtype_of, shape_of
from functrans.numpy.indexing import getitem
from functrans.numpy.manipulation import strong
from functrans.numpy.promotion import promote, to_dtype
from functrans.numpy.signals import sums_of_windows
from functrans.numpy.systems import inexact

MODES = ("full", "same", "valid")
METHODS = ("auto", "direct", "fft")
BOUNDARIES = {"fill": "constant", "wrap": "wrap", "symm": "symmetric"}
"""By SciPy's name of what lies beyond an image, NumPy's."""


def convolve(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """`scipy.signal.convolve`: the discrete convolution of two arrays of one rank.

    Args:
        in1: an array of n axes.
        in2: an array of n axes.
        mode: "full" for every place where the two overlap, "same" for the middle part of the shape
            of `in1`, "valid" for the places where one lies within the other.
        method: "direct" for sums of products, "fft" for `fftconvolve` (of integers rounded), "auto"
            for the cheaper of them; numbers without fractions are summed directly.

    Returns:
        An array of the common dtype; along each axis of extents k and m of extent k + m - 1 in mode
        "full", k in mode "same", |k - m| + 1 in mode "valid".

    Raises:
        ShapeError: the ranks differ, an array is empty, or in mode "valid" none fits in the other.
        ValueError: another mode or method.

    >>> convolve(np.array([1, 2, 3]), np.array([1, 10])).tolist()
    [1, 12, 23, 30]
    >>> convolve(np.ones((2, 2)), np.ones((3, 3)), "valid").tolist()
    [[4.0, 4.0], [4.0, 4.0]]
    """
    x, y = _operands("convolve", in1, in2, mode)
    if method not in METHODS:
        raise ValueError(f"convolve has the methods {METHODS}: got {method!r}.{user_line()}")
    if method == "fft" or (method == "auto" and _pays(x, y)):
        result = fftconvolve(x, y, mode)
        return result if dtype_of(x).kind in "fc" else to_dtype(fnp.round(result), dtype_of(x))
    return _direct(x, y, mode)


def correlate(in1: Any, in2: Any, mode: str = "full", method: str = "auto") -> Any:
    """`scipy.signal.correlate`: sums of products of in1 and the conjugate of in2 at every shift.

    Args:
        in1: an array of n axes.
        in2: an array of n axes.
        mode: as in `convolve`.
        method: as in `convolve`.

    Returns:
        The convolution of `in1` with the conjugate of `in2` in the opposite order.

    Raises:
        ShapeError, ValueError: as in `convolve`.

    >>> correlate(np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, 0.5])).tolist()
    [0.5, 2.0, 3.5, 3.0, 0.0]
    """
    x, y = _operands("correlate", in1, in2, mode)
    return convolve(x, _opposite(y), mode, method)


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """`scipy.signal.convolve2d`: the discrete convolution of two matrices.

    Args:
        in1: a matrix.
        in2: a matrix.
        mode: as in `convolve`.
        boundary: what lies beyond `in1`: "fill" (`fillvalue`), "wrap" (it begins again) or "symm"
            (its mirror image, with the border twice).
        fillvalue: the value beyond `in1` with "fill".

    Returns:
        A matrix of the common dtype, of the shape that `convolve` gives.

    Raises:
        ShapeError: not two matrices, one is empty, or in mode "valid" none fits in the other.
        ValueError: another mode or boundary.

    >>> convolve2d(np.eye(2), np.ones((1, 2)), "same", "wrap").tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    x, y = _operands("convolve2d", in1, in2, mode, 2)
    if mode == "valid" and _needs_swap(x, y):
        x, y = y, x
    return _bounded("convolve2d", x, fnp.flip(y), _pads(mode, shape_of(y)), boundary, fillvalue)


def correlate2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Any:
    """`scipy.signal.correlate2d`: sums of products of in1 and the conjugate of in2 at every shift.

    Args:
        in1: a matrix.
        in2: a matrix.
        mode: as in `convolve`; where an extent of `in2` is even, "same" begins one place later than
            with `correlate`, as in SciPy.
        boundary: as in `convolve2d`.
        fillvalue: as in `convolve2d`.

    Returns:
        A matrix of the common dtype, of the shape that `convolve` gives.

    Raises:
        ShapeError, ValueError: as in `convolve2d`.

    >>> correlate2d(np.eye(2), np.array([[1.0, 2.0]]), "valid").tolist()
    [[1.0], [2.0]]
    """
    x, y = _operands("correlate2d", in1, in2, mode, 2)
    if mode == "valid" and _needs_swap(x, y):
        return fnp.conj(_direct(x, _opposite(y), mode))  # SciPy conjugates the smaller one
    pads = [(after, before) for before, after in _pads(mode, shape_of(y))]
    return _bounded("correlate2d", x, fnp.conj(y), pads, boundary, fillvalue)


def fftconvolve(
    in1: Any, in2: Any, mode: str = "full", axes: int | Sequence[int] | None = None
) -> Any:
    """`scipy.signal.fftconvolve`: a convolution by way of Fourier transforms.

    Args:
        in1: an array of n axes.
        in2: an array of n axes.
        mode: as in `convolve`.
        axes: to convolve along, None for all; the others have equal extents, or 1.

    Returns:
        An array of the common dtype, of which integers and booleans make float64. Errors are those
        of a transform: relative to the largest elements.

    Raises:
        ShapeError: ranks or extents that do not fit, an array that is empty.
        ValueError: another mode.

    >>> fftconvolve([1.0, 2.0, 3.0], [1.0, 10.0]).round(9).tolist()
    [1.0, 12.0, 23.0, 30.0]
    """
    x, y = inexact(*_operands("fftconvolve", in1, in2, mode, None, axes))
    along = canonical_axes(axes, len(shape_of(x)))
    if not along:
        return x * y
    if mode == "valid" and _needs_swap(x, y, along):
        x, y = y, x
    n, m = ([shape_of(v)[a] for a in along] for v in (x, y))
    full = [k + j - 1 for k, j in zip(n, m, strict=True)]
    product = _through_transforms(x, y, full, along)
    parts = [slice(None)] * len(shape_of(x))
    for axis, k, j in zip(along, n, m, strict=True):
        middle = (j - 1) // 2
        ends = {"full": (0, k + j - 1), "same": (middle, middle + k), "valid": (j - 1, k)}
        parts[axis] = slice(*ends[mode])
    return getitem(product, tuple(parts))


def _through_transforms(x: Any, y: Any, full: Sequence[int], axes: Sequence[int]) -> Any:
    """The full convolution along the axes, followed by what transforms of a fast length add."""
    from scipy.fft import next_fast_len

    real = dtype_of(x).kind == "f"
    sizes = [next_fast_len(n, real) for n in full]
    there, back = (fnp.fft.rfftn, fnp.fft.irfftn) if real else (fnp.fft.fftn, fnp.fft.ifftn)
    product = there(x, sizes, axes) * there(y, sizes, axes)
    return to_dtype(back(product, sizes, axes), dtype_of(x))


def _operands(
    name: str, in1: Any, in2: Any, mode: str, rank: int | None = None, axes: Any = None
) -> list[Any]:
    """The operands in their common dtype, if their shapes fit each other and the mode."""
    x, y = promote(strong(in1), strong(in2))
    if mode not in MODES:
        raise ValueError(f"{name} has the modes {MODES}: got {mode!r}.{user_line()}")
    got = f"got {aval_of(x)} and {aval_of(y)}."
    wanted = len(shape_of(x)) if rank is None else rank
    if len(shape_of(x)) != wanted or len(shape_of(y)) != wanted:
        raise ShapeError(f"{name} needs {'matrices' if rank else 'arrays of one rank'}: {got}")
    if 0 in shape_of(x) + shape_of(y):
        raise ShapeError(f"{name} needs arrays that are not empty: {got}")
    along = canonical_axes(axes, wanted)
    for axis, (n, m) in enumerate(zip(shape_of(x), shape_of(y), strict=True)):
        if axis not in along and n != m and 1 not in (n, m):
            raise ShapeError(f"{name} needs equal extents, or 1, along axis {axis}: {got}")
    if mode == "valid":
        _needs_swap(x, y, along, f"{name} in mode 'valid' needs one array to fit in the other: ")
    return [x, y]


def _needs_swap(x: Any, y: Any, axes: Any = None, needs: str = "") -> bool:
    """Whether x fits in y, and y does not fit in x."""
    along = canonical_axes(axes, len(shape_of(x)))
    pairs = [(shape_of(x)[a], shape_of(y)[a]) for a in along]
    if all(n >= m for n, m in pairs):
        return False
    if needs and not all(n <= m for n, m in pairs):
        raise ShapeError(f"{needs}got {aval_of(x)} and {aval_of(y)}.")
    return True


def _opposite(y: Any) -> Any:
    return fnp.conj(fnp.flip(y))


def _pads(mode: str, window: Sequence[int]) -> list[tuple[int, int]]:
    """How many elements beyond an array a convolution with this window reads, before and behind."""
    if mode == "valid":
        return [(0, 0)] * len(window)
    return [(m - 1, m - 1) if mode == "full" else (m // 2, (m - 1) // 2) for m in window]


def _direct(x: Any, y: Any, mode: str) -> Any:
    if not shape_of(x):
        return x * y
    larger = math.prod(shape_of(y)) > math.prod(shape_of(x))
    if (mode == "full" and larger) or (mode == "valid" and _needs_swap(x, y)):
        x, y = y, x
    return sums_of_windows(x, fnp.flip(y), _pads(mode, shape_of(y)))


def _bounded(
    name: str, x: Any, y: Any, pads: list[tuple[int, int]], boundary: str, fillvalue: Any
) -> Any:
    """Sums of windows of x and what lies beyond it."""
    if boundary not in BOUNDARIES:
        raise ValueError(
            f"{name} has the boundaries {tuple(BOUNDARIES)}: got {boundary!r}.{user_line()}"
        )
    if boundary == "fill" and isinstance(fillvalue, int | float) and fillvalue == 0:
        return sums_of_windows(x, y, pads)
    values = {"constant_values": fillvalue} if boundary == "fill" else {}
    around = fnp.pad(x, pads, BOUNDARIES[boundary], **values)
    return sums_of_windows(around, y, [(0, 0)] * len(pads))


def _pays(x: Any, y: Any) -> bool:
    """Whether three transforms take less time than the products of all windows.

    By count; compiled, they met at 10 to 20 products for each step of a transform.
    """
    if dtype_of(x).kind not in "fc":
        return False
    full = math.prod(n + m - 1 for n, m in zip(shape_of(x), shape_of(y), strict=True))
    products = math.prod(shape_of(x)) * math.prod(shape_of(y))
    return products > 16 * full * max(math.log2(full), 1)
