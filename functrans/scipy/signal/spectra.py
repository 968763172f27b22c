"""Spectra of signals cut into windowed segments: short-time transforms and their averages."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import functrans.numpy as fnp
from functrans import lax
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axis, dtype_of, shape_of
from functrans.numpy.indexing import at, getitem
from functrans.numpy.manipulation import strong
from functrans.numpy.promotion import to_dtype
from functrans.numpy.systems import inexact
from functrans.scipy.signal.trends import detrend as without_trend

EXTENSIONS: dict[str | None, dict[str, str]] = {
    "even": {"mode": "reflect"},
    "odd": {"mode": "reflect", "reflect_type": "odd"},
    "constant": {"mode": "edge"},
    "zeros": {"mode": "constant"},
}
"""By SciPy's name of what a signal is extended with, how `pad` does it."""


class Segments(NamedTuple):
    """How a signal is cut: a window of `length` every `step`, and transforms of length `nfft`."""

    window: Any
    length: int
    step: int
    nfft: int


def stft(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: str | bool | Callable[[Any], Any] = False,
    return_onesided: bool = True,
    boundary: str | None = "zeros",
    padded: bool = True,
    axis: int = -1,
    scaling: str = "spectrum",
) -> tuple[Any, Any, Any]:
    """`scipy.signal.stft`: Fourier transforms of windowed segments of a signal.

    Args:
        x: an array of signals.
        fs: the sampling frequency.
        window: a name or tuple that `scipy.signal.get_window` takes, or the window as a vector.
        nperseg: the length of a segment, by default 256 or that of the window; not more than the
            signal has.
        noverlap: how many elements two segments share; by default half a segment.
        nfft: the length of a transform, at least that of a segment; by default the same.
        detrend: what is taken from each segment: "constant" or "linear" as in `detrend`, a
            function of segments along the last axis, or False for nothing.
        return_onesided: of real signals, only the frequencies that are not negative.
        boundary: what extends the signal by half a segment on both sides: "zeros", "even", "odd",
            "constant", or None for nothing.
        padded: whether zeros are appended for the last segment to be whole.
        axis: along which the signals lie.
        scaling: "spectrum" for magnitudes, "psd" for what squares to a power spectral density.

    Returns:
        (frequencies, times, transforms): the frequencies along `axis`, the segments' times along a
        last axis.

    Raises:
        ShapeError: an empty signal, or windows that do not fit.
        ValueError: another boundary or scaling, or an overlap of whole segments.

    >>> f, t, z = stft(np.sin(np.arange(32.0)), nperseg=8)
    >>> f.shape, t.shape, z.shape
    ((5,), (9,), (5, 9))
    """
    if boundary is not None and boundary not in EXTENSIONS:
        raise ValueError(
            f"stft has the boundaries {tuple(EXTENSIONS)} and None: got {boundary!r}.{user_line()}"
        )
    x, ahead = _signal("stft", x, axis)
    cut = _segments("stft", window, nperseg, noverlap, nfft, x, shape_of(x)[-1])
    start = cut.length / 2
    if boundary is not None:
        widths = [(0, 0)] * (len(shape_of(x)) - 1) + [(cut.length // 2,) * 2]
        x, start = fnp.pad(x, widths, **EXTENSIONS[boundary]), 0.0
    if padded:
        missing = -(shape_of(x)[-1] - cut.length) % cut.step % cut.length
        x = _lengthened(x, shape_of(x)[-1] + missing)
    onesided = return_onesided and dtype_of(x).kind == "f"
    z = _transforms(x, cut, detrend, onesided)
    z = z * _amplitude("stft", cut.window, fs, scaling, "psd")
    times = (start + cut.step * np.arange(shape_of(z)[-2])) / fs
    # the frequencies go where the signals were, the segments stay last
    return _frequencies(cut.nfft, fs, onesided), times, fnp.moveaxis(z, -1, ahead)


def istft(
    Zxx: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    input_onesided: bool = True,
    boundary: bool = True,
    time_axis: int = -1,
    freq_axis: int = -2,
    scaling: str = "spectrum",
) -> tuple[Any, Any]:
    """`scipy.signal.istft`: the signal of which `stft` with the same arguments gives these.

    The segments' inverse transforms are windowed once more and added, then divided by the sum of
    the squares of the windows (Griffin & Lim, Signal Estimation from Modified Short-Time Fourier
    Transform, IEEE Trans. ASSP 32, 1984): the signal of least squares where no such one is.

    Args:
        Zxx: the transforms.
        fs: the sampling frequency.
        window: as in `stft`.
        nperseg: the length of a segment; by default what the number of frequencies says, an even
            one if they are one-sided.
        noverlap: how many elements two segments share; by default half a segment.
        nfft: the length of a transform; by default what the number of frequencies says.
        input_onesided: whether only frequencies that are not negative are there.
        boundary: whether half a segment is to be taken off on both sides.
        time_axis: along which the segments lie.
        freq_axis: along which the frequencies lie.
        scaling: as in `stft`.

    Returns:
        (times, signals): real if the frequencies are one-sided.

    Raises:
        ShapeError: fewer than two axes, or windows that do not fit.
        ValueError: another scaling, or an overlap of whole segments.

    >>> x = np.sin(np.arange(32.0))
    >>> t, y = istft(stft(x, nperseg=8)[2])
    >>> bool(np.allclose(x, y))
    True
    """
    (z,) = inexact(Zxx)
    rank = len(shape_of(z))
    when, which = canonical_axis(time_axis, rank), canonical_axis(freq_axis, rank)
    if when == which:
        raise ShapeError(f"istft needs two axes, for times and frequencies: got {aval_of(z)}.")
    z = fnp.moveaxis(z, (when, which), (-2, -1))
    size = shape_of(z)[-1]
    even = 2 * (size - 1) if input_onesided else size
    if nfft is None:
        nfft = nperseg if input_onesided and nperseg == even + 1 else even
    cut = _segments("istft", window, nperseg or even, noverlap, nfft, z, None)
    parts = (fnp.fft.irfft if input_onesided else fnp.fft.ifft)(z, cut.nfft)
    win = cut.window
    parts = getitem(parts, (..., slice(cut.length))) / _amplitude("istft", win, fs, scaling, "psd")
    weights = _added(fnp.broadcast_to(win * win, shape_of(parts)[-2:]), cut)
    x = _added(parts * win, cut) / fnp.where(weights > 1e-10, weights, 1)
    if boundary:
        x = getitem(x, (..., slice(cut.length // 2, shape_of(x)[-1] - cut.length // 2)))
    times = np.arange(shape_of(x)[-1]) / fs
    return times, fnp.moveaxis(x, -1, when - (which < when))


def csd(
    x: Any,
    y: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: str | bool | Callable[[Any], Any] = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """`scipy.signal.csd`: the cross power spectral density, by Welch's method.

    Args:
        x: an array of signals.
        y: an array of signals, None for `x`; the shorter ones are followed by zeros.
        fs: the sampling frequency.
        window: as in `stft`.
        nperseg: as in `stft`.
        noverlap: as in `stft`.
        nfft: as in `stft`.
        detrend: as in `stft`.
        return_onesided: of real signals, only the frequencies that are not negative.
        scaling: "density" for power per frequency, "spectrum" for power.
        axis: along which the signals lie.
        average: "mean" or "median" (less its bias) of the segments.

    Returns:
        (frequencies, densities): complex, the frequencies along `axis`.

    Raises:
        ShapeError: an empty signal, or windows that do not fit.
        ValueError: another scaling or average, or an overlap of whole segments.

    >>> f, p = csd(np.sin(np.arange(64.0)), np.cos(np.arange(64.0)), nperseg=16)
    >>> f.shape, p.dtype
    ((9,), dtype('complex128'))
    """
    same = y is None
    x, y = inexact(x, x if same else y)
    (x, ahead), (y, _) = _signal("csd", x, axis), _signal("csd", y, axis)
    n = max(shape_of(x)[-1], shape_of(y)[-1])
    cut = _segments("csd", window, nperseg, noverlap, nfft, x, n)
    onesided = return_onesided and dtype_of(x).kind == "f"
    p = _transforms(_lengthened(x, n), cut, detrend, onesided)
    q = p if same else _transforms(_lengthened(y, n), cut, detrend, onesided)
    power = fnp.conj(p) * q * _amplitude("csd", cut.window, fs, scaling, "density") ** 2
    if onesided:  # with the power of those left out: zero, and half of nfft, have no other
        others = 2 * np.arange(shape_of(power)[-1]) % cut.nfft != 0
        power = power * (1 + others).astype(dtype_of(power))
    density = _average(power, average)
    return _frequencies(cut.nfft, fs, onesided), fnp.moveaxis(density, -1, ahead)


def welch(
    x: Any,
    fs: Any = 1.0,
    window: Any = "hann",
    nperseg: int | None = None,
    noverlap: int | None = None,
    nfft: int | None = None,
    detrend: str | bool | Callable[[Any], Any] = "constant",
    return_onesided: bool = True,
    scaling: str = "density",
    axis: int = -1,
    average: str = "mean",
) -> tuple[Any, Any]:
    """`scipy.signal.welch`: the power spectral density, an average over segments.

    Args:
        x: an array of signals.
        fs: the sampling frequency.
        window: as in `stft`.
        nperseg: as in `stft`.
        noverlap: as in `stft`.
        nfft: as in `stft`.
        detrend: as in `stft`.
        return_onesided: of real signals, only the frequencies that are not negative.
        scaling: "density" for power per frequency, "spectrum" for power.
        axis: along which the signals lie.
        average: "mean" or "median" (less its bias) of the segments.

    Returns:
        (frequencies, densities): real, the frequencies along `axis` (P. Welch, The Use of Fast
        Fourier Transform for the Estimation of Power Spectra, IEEE Trans. Audio 15, 1967).

    Raises:
        ShapeError, ValueError: as in `csd`.

    >>> f, p = welch(np.sin(np.arange(64.0) * np.pi / 4), nperseg=16)
    >>> float(f[np.argmax(p)])
    0.125
    """
    options = (fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis)
    frequencies, density = csd(x, None, *options, average)
    return frequencies, density.real


# --- the steps ------------------------------------------------------------------------------------


def _signal(name: str, x: Any, axis: int) -> tuple[Any, int]:
    """(signals along the last axis, the axis where they were, counted from the first)."""
    (x,) = inexact(x)
    if not shape_of(x) or 0 in shape_of(x):
        raise ShapeError(f"{name} needs signals that are not empty: got {aval_of(x)}.")
    ahead = canonical_axis(axis, len(shape_of(x)))
    return fnp.moveaxis(x, ahead, -1), ahead


def _segments(
    name: str, window: Any, nperseg: Any, noverlap: Any, nfft: Any, like: Any, n: int | None
) -> Segments:
    """How signals of length n (any if None) are cut, by a window in the real dtype of `like`."""
    if isinstance(window, str | tuple):
        from scipy.signal import get_window

        length = 256 if nperseg is None else int(nperseg)
        if n is not None and length > n:
            if nperseg is not None:
                warnings.warn(
                    f"{name} of {n} elements has nperseg={n}, not {nperseg}", stacklevel=3
                )
            length = n
        window = get_window(window, length) if length > 0 else window
    else:
        window = strong(window)
        length = shape_of(window)[0] if len(shape_of(window)) == 1 else -1
        if length < 0 or nperseg not in (None, length) or (n is not None and length > n):
            raise ShapeError(
                f"{name} needs a vector as window, of nperseg elements and no more than the "
                f"signal: got {aval_of(window)} with nperseg={nperseg} and a signal of {n}."
            )
    shared = length // 2 if noverlap is None else int(noverlap)
    size = length if nfft is None else int(nfft)
    if length < 1 or not 0 <= shared < length or size < length:
        raise ValueError(
            f"{name} needs 0 <= noverlap < nperseg <= nfft: got noverlap={shared}, "
            f"nperseg={length}, nfft={size}.{user_line()}"
        )
    window = to_dtype(window, np.zeros(0, dtype_of(like)).real.dtype)
    return Segments(window, length, length - shared, size)


def _lengthened(x: Any, n: int) -> Any:
    return fnp.pad(x, [(0, 0)] * (len(shape_of(x)) - 1) + [(0, n - shape_of(x)[-1])])


def _places(count: int, cut: Segments) -> np.ndarray:
    """(count, length): where in the signal each element of each segment is."""
    return cut.step * np.arange(count)[:, None] + np.arange(cut.length)


def _transforms(x: Any, cut: Segments, trend: Any, onesided: bool) -> Any:
    """Transforms (..., segments, frequencies) of signals (..., n)."""
    count = (shape_of(x)[-1] - cut.length) // cut.step + 1
    parts = getitem(x, (..., _places(count, cut)))
    if callable(trend):
        parts = trend(parts)
    elif trend:
        parts = without_trend(parts, type=trend)
    return (fnp.fft.rfft if onesided else fnp.fft.fft)(parts * cut.window, cut.nfft)


def _added(parts: Any, cut: Segments) -> Any:
    """Signals (..., n) of segments (..., count, length), added where they overlap."""
    *outer, count, length = shape_of(parts)
    whole = fnp.zeros((*outer, length + (count - 1) * cut.step), dtype_of(parts))
    return at(whole)[..., _places(count, cut)].add(parts)


def _frequencies(n: int, fs: Any, onesided: bool) -> Any:
    return (np.fft.rfftfreq if onesided else np.fft.fftfreq)(n) * fs


def _amplitude(name: str, window: Any, fs: Any, scaling: str, density: str) -> Any:
    """What transforms are multiplied by for their squares to be powers, or powers per frequency."""
    if scaling not in ("spectrum", density):
        raise ValueError(
            f"{name} has the scalings 'spectrum' and {density!r}: got {scaling!r}.{user_line()}"
        )
    if scaling == "spectrum":
        return 1 / abs(fnp.sum(window))
    return 1 / fnp.sqrt(fs * fnp.sum(window * window))


def _average(power: Any, average: str) -> Any:
    """The mean or the median of (..., segments, frequencies) over the segments."""
    if average == "mean":
        return fnp.mean(power, axis=-2)
    if average != "median":
        raise ValueError(f"csd has the averages 'mean' and 'median': got {average!r}.{user_line()}")
    terms = 2.0 * np.arange(1, (shape_of(power)[-2] - 1) // 2 + 1)
    bias = 1 + float(np.sum(1 / (terms + 1) - 1 / terms))  # Allen et al., FINDCHIRP, 2012, (B.3)
    real, imaginary = (fnp.median(part, axis=-2) / bias for part in (power.real, power.imag))
    return lax.complex(real, imaginary)
