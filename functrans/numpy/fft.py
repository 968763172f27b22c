"""`functrans.numpy.fft`: NumPy's discrete Fourier transforms under NumPy's names.

Transforms of several axes are transforms along one after the other, as in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError, ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import creates, mirrors, refuse
from functrans.numpy.joining import roll
from functrans.numpy.manipulation import strong
from functrans.numpy.promotion import to_dtype
from functrans.numpy.selection import where
from functrans.numpy.systems import inexact
from functrans.primitives import fourier as p
from functrans.primitives.shaping import iota

Axes = Sequence[int] | None


# --- what the functions share ---------------------------------------------------------------------


def _operand(name: str, a: Any, axis: int, norm: str | None, out: None) -> tuple[Any, int, str]:
    """a in single or double precision, the axis counted from the first, and the norm."""
    refuse(name, out=(out, None))
    if norm not in (None, *p.INVERSE_NORM):
        raise ValueError(
            f"{name} has the norms 'backward', 'ortho' and 'forward', got {norm!r}.{user_line()}"
        )
    (x,) = inexact(a)
    if dtype_of(x) == np.float16:
        x = to_dtype(x, np.dtype(np.float32))
    return x, canonical_axis(axis, len(shape_of(x))), norm or "backward"


def _extent(name: str, x: Any, n: int) -> int:
    if index(n) < 1:
        raise ShapeError(f"{name} needs a number or more, got n={n} for {aval_of(x)}.")
    return index(n)


def _complex_transform(name: str, primitive: Any, a: Any, n: Any, axis: int, rest: tuple) -> Any:
    x, axis, norm = _operand(name, a, axis, *rest)
    extent = _extent(name, x, shape_of(x)[axis] if n is None else n)
    return primitive.bind(p.as_complex(p.resized(x, axis, extent)), axis=axis, norm=norm)


# --- along one axis -------------------------------------------------------------------------------


@mirrors(np.fft.fft)
def fft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.fft`: the sums of a[j] exp(-2πi jk / n) over j.

    Args:
        a: an array of any dtype.
        n: how many elements along the axis: a is cropped, or followed by zeros.
        axis: to transform.
        norm: "backward" or None for the sums, "forward" to divide them by n, "ortho" by √n.

    Returns:
        Complex numbers.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.fft([1.0, 0.0, 0.0]).tolist()
    [(1+0j), (1+0j), (1+0j)]
    """
    return _complex_transform("fft", p.fft_p, a, n, axis, (norm, out))


@mirrors(np.fft.ifft)
def ifft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.ifft`: the inverse of `fft` with the same arguments.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.ifft(fnp.fft.fft([1.0, 2.0])).tolist()
    [(1+0j), (2+0j)]
    """
    return _complex_transform("ifft", p.ifft_p, a, n, axis, (norm, out))


@mirrors(np.fft.rfft)
def rfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.rfft`: the first n // 2 + 1 elements of `fft` of real numbers.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.rfft([1.0, 2.0, 3.0, 4.0]).tolist()
    [(10+0j), (-2+2j), (-2+0j)]
    """
    x, axis, norm = _operand("rfft", a, axis, norm, out)
    if dtype_of(x).kind == "c":
        raise DTypeError(f"rfft takes real numbers: got {aval_of(x)}. Use fft, or x.real.")
    extent = _extent("rfft", x, shape_of(x)[axis] if n is None else n)
    return p.rfft_p.bind(p.resized(x, axis, extent), axis=axis, norm=norm)


@mirrors(np.fft.irfft)
def irfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.irfft`: the inverse of `rfft`: n real numbers, by default an even number.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.irfft(fnp.fft.rfft([1.0, 2.0, 3.0]), 3).round(9).tolist()
    [1.0, 2.0, 3.0]
    """
    x, axis, norm = _operand("irfft", a, axis, norm, out)
    extent = _extent("irfft", x, 2 * (shape_of(x)[axis] - 1) if n is None else n)
    half = p.as_complex(p.resized(x, axis, extent // 2 + 1))
    result = p.irfft_p.bind(half, axis=axis, norm=norm, n=extent)
    return to_dtype(result, np.fft.irfft(np.zeros(2, dtype_of(strong(a)))).dtype)


@mirrors(np.fft.hfft)
def hfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.hfft`: `fft` of what is Hermitian and of which a is the first half; real.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.hfft([1.0, 2.0, 3.0]).tolist()
    [8.0, -2.0, 0.0, -2.0]
    """
    return irfft(ufuncs.conjugate(a), n, axis, p.INVERSE_NORM.get(norm or "backward", norm), out)


@mirrors(np.fft.ihfft)
def ihfft(
    a: Any, n: int | None = None, axis: int = -1, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.ihfft`: the inverse of `hfft`.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.ihfft([8.0, -2.0, 0.0, -2.0]).real.tolist()
    [1.0, 2.0, 3.0]
    """
    norm = p.INVERSE_NORM.get(norm or "backward", norm)
    return ufuncs.conjugate(rfft(a, n, axis, norm, out))


# --- along several axes ---------------------------------------------------------------------------


def _steps(name: str, a: Any, s: Any, axes: Axes, halved: bool = False) -> list[tuple[int, int]]:
    """(extent, axis) of the transforms of `name`, of which the last axis may come in half."""
    shape = shape_of(strong(a))
    if axes is None:
        axes = range(-len(shape if s is None else s), 0)
    places = [canonical_axis(axis, len(shape)) for axis in axes]
    if s is None:
        s = [-1] * len(places)
        if halved and places:
            s[-1] = 2 * (shape[places[-1]] - 1)
    if len(s) != len(places):
        raise ShapeError(f"{name} needs an extent for each axis: got s={s} and axes={axes}.")
    return [(shape[i] if n == -1 else index(n), i) for n, i in zip(s, places, strict=True)]


def _each(function: Callable[..., Any], a: Any, steps: Any, norm: str | None) -> Any:
    for n, axis in steps:
        a = function(a, n, axis, norm)
    return a


@mirrors(np.fft.fftn)
def fftn(
    a: Any, s: Any = None, axes: Axes = None, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.fftn`: `fft` along several axes.

    Args:
        a: an array of any dtype.
        s: the extents to which these axes are cropped or filled up with zeros, -1 for their own.
        axes: to transform; None for all, or for the last len(s).
        norm: as for `fft`.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.fftn([[1.0, 0.0], [0.0, 0.0]]).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    refuse("fftn", out=(out, None))
    return _each(fft, a, reversed(_steps("fftn", a, s, axes)), norm)


@mirrors(np.fft.ifftn)
def ifftn(
    a: Any, s: Any = None, axes: Axes = None, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.ifftn`: the inverse of `fftn`.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.ifftn([[4.0, 0.0], [0.0, 0.0]]).real.tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    refuse("ifftn", out=(out, None))
    return _each(ifft, a, reversed(_steps("ifftn", a, s, axes)), norm)


@mirrors(np.fft.rfftn)
def rfftn(
    a: Any, s: Any = None, axes: Axes = None, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.rfftn`: `rfft` along the last of the axes, then `fft` along the others.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.rfftn(fnp.ones((2, 4))).shape
    (2, 3)
    """
    refuse("rfftn", out=(out, None))
    *others, (n, axis) = _steps("rfftn", a, s, axes)
    return _each(fft, rfft(a, n, axis, norm), reversed(others), norm)


@mirrors(np.fft.irfftn)
def irfftn(
    a: Any, s: Any = None, axes: Axes = None, norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.irfftn`: the inverse of `rfftn`.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.irfftn(fnp.fft.rfftn(fnp.ones((2, 4)))).tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    refuse("irfftn", out=(out, None))
    *others, (n, axis) = _steps("irfftn", a, s, axes, halved=True)
    return irfft(_each(ifft, a, others, norm), n, axis, norm)


@mirrors(np.fft.fft2)
def fft2(
    a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.fft2`: `fftn` along two axes.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.fft2(fnp.ones((5, 2, 2)))[0].real.tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    return fftn(a, s, axes, norm, out)


@mirrors(np.fft.ifft2)
def ifft2(
    a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.ifft2`: `ifftn` along two axes.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.ifft2(fnp.ones((2, 2))).real.tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return ifftn(a, s, axes, norm, out)


@mirrors(np.fft.rfft2)
def rfft2(
    a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.rfft2`: `rfftn` along two axes.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.rfft2(fnp.ones((5, 2, 4))).shape
    (5, 2, 3)
    """
    return rfftn(a, s, axes, norm, out)


@mirrors(np.fft.irfft2)
def irfft2(
    a: Any, s: Any = None, axes: Axes = (-2, -1), norm: str | None = None, out: None = None
) -> Any:
    """`numpy.fft.irfft2`: `irfftn` along two axes.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.irfft2(fnp.ones((5, 2, 3))).shape
    (5, 2, 4)
    """
    return irfftn(a, s, axes, norm, out)


# --- frequencies ----------------------------------------------------------------------------------


@creates(np.fft.fftfreq)
def fftfreq(n: int, d: Any = 1.0, device: Any = None) -> Any:
    """`numpy.fft.fftfreq`: the frequencies of `fft` of n samples, d apart.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.fftfreq(4, 0.5).tolist()
    [0.0, 0.5, -1.0, -0.5]
    """
    places = iota((index(n),), 0, np.int64)
    return where(places < (n + 1) // 2, places, places - n) * (1.0 / (n * strong(d)))


@creates(np.fft.rfftfreq)
def rfftfreq(n: int, d: Any = 1.0, device: Any = None) -> Any:
    """`numpy.fft.rfftfreq`: the frequencies of `rfft` of n samples, d apart.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.rfftfreq(4, 0.5).tolist()
    [0.0, 0.5, 1.0]
    """
    return iota((index(n) // 2 + 1,), 0, np.int64) * (1.0 / (n * strong(d)))


def _shift(x: Any, axes: Any, sign: int) -> Any:
    x = strong(x)
    rank = len(shape_of(x))
    given = range(rank) if axes is None else (axes,) if isinstance(axes, int) else axes
    places = [canonical_axis(axis, rank) for axis in given]
    return roll(x, [sign * (shape_of(x)[i] // 2) for i in places], places)


@mirrors(np.fft.fftshift)
def fftshift(x: Any, axes: int | Axes = None) -> Any:
    """`numpy.fft.fftshift`: with the frequency zero in the middle of the axes, by default of all.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.fftshift([0, 1, 2, -2, -1]).tolist()
    [-2, -1, 0, 1, 2]
    """
    return _shift(x, axes, 1)


@mirrors(np.fft.ifftshift)
def ifftshift(x: Any, axes: int | Axes = None) -> Any:
    """`numpy.fft.ifftshift`: the inverse of `fftshift`.

    >>> import functrans.numpy as fnp
    >>> fnp.fft.ifftshift([-2, -1, 0, 1, 2]).tolist()
    [0, 1, 2, -2, -1]
    """
    return _shift(x, axes, -1)


__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]
