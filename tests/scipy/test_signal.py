"""Convolutions, filters and spectra are SciPy's, compiled and batched too, with derivatives."""

import numpy as np
import pytest
import scipy.signal

import functrans as ft
from functrans import tree
from functrans.core.errors import ShapeError
from functrans.scipy import signal
from functrans.test_util import check_grads

RNG = np.random.default_rng(0)


def real(*shape):
    return RNG.normal(size=shape)


def single(*shape):
    return RNG.normal(size=shape).astype("f4")


def whole(*shape):
    return RNG.integers(-9, 9, shape)


def complicated(*shape):
    return real(*shape) + 1j * real(*shape)


STABLE = np.array([1.5, -0.4, 0.2])
SECTIONS = scipy.signal.butter(4, 0.3, output="sos")
MODES = ("full", "same", "valid")
SHAPES = [((9,), (4,)), ((3,), (6,)), ((5, 6), (2, 3)), ((2, 3), (4, 5)), ((4, 3, 5), (2, 3, 2))]
BOUNDARIES = ("fill", "wrap", "symm")

# (function, arguments, static options)
CASES = [
    *(
        (name, (make(*a), make(*b)), {"mode": mode})
        for name in ("convolve", "correlate", "fftconvolve")
        for mode in MODES
        for a, b in SHAPES
        for make in (real, complicated)
    ),
    *(
        (name, (make(*a), make(*b)), {"mode": "same"})
        for name in ("convolve", "correlate", "fftconvolve", "convolve2d", "correlate2d")
        for a, b in (SHAPES[2],)
        for make in (single, whole)
    ),
    *(
        (name, (complicated(*a), complicated(*b)), {"mode": mode, "boundary": boundary})
        for name in ("convolve2d", "correlate2d")
        for mode in MODES
        for boundary in BOUNDARIES
        for a, b in SHAPES[2:4]
    ),
    ("convolve2d", (real(3, 4), real(2, 2)), {"fillvalue": 2.5}),
    ("correlate2d", (real(3, 4), real(2, 2)), {"fillvalue": 2.5, "mode": "same"}),
    ("convolve", (real(), real()), {}),
    ("convolve", (whole(5), whole(3)), {"method": "fft"}),
    ("convolve", (real(5), real(3)), {"method": "direct"}),
    ("correlate", (real(400), real(300)), {}),
    ("fftconvolve", (real(3, 5), real(1, 4)), {"axes": 1}),
    ("fftconvolve", (real(3, 5), real(3, 4)), {"axes": [-1], "mode": "same"}),
    ("detrend", (real(3, 7),), {}),
    ("detrend", (real(7, 3),), {"axis": 0, "type": "constant"}),
    ("detrend", (complicated(9),), {"bp": [2, 5]}),
    ("detrend", (whole(9),), {"bp": 4}),
    ("lfilter", (real(3), STABLE, real(8)), {}),
    ("lfilter", (real(1), STABLE, real(2, 8, 2)), {"axis": 1}),
    ("lfilter", (real(4), STABLE[:1], real(2, 8)), {"axis": 0}),
    ("lfilter", (real(1), STABLE[:1], real(8)), {}),
    ("lfilter", (single(3), STABLE.astype("f4"), single(8)), {}),
    ("lfilter", (complicated(3), STABLE, real(8)), {}),
    ("sosfilt", (SECTIONS, real(9)), {}),
    ("sosfilt", (SECTIONS, real(9, 2)), {"axis": 0}),
    ("savgol_filter", (real(2, 9),), {"window_length": 5, "polyorder": 2}),
    ("savgol_filter", (single(9),), {"window_length": 3, "polyorder": 1, "mode": "constant"}),
    *(
        (
            "savgol_filter",
            (real(12, 2),),
            {"window_length": 7, "polyorder": 3, "deriv": 1, "delta": 0.5, "axis": 0, "mode": mode},
        )
        for mode in ("interp", "mirror", "nearest", "wrap")
    ),
    ("savgol_filter", (whole(9),), {"window_length": 5, "polyorder": 0, "deriv": 1}),
    ("stft", (real(2, 40),), {"nperseg": 8}),
    ("stft", (real(41, 2),), {"nperseg": 9, "axis": 0, "noverlap": 6, "nfft": 12}),
    ("stft", (complicated(40),), {"nperseg": 8, "return_onesided": False, "scaling": "psd"}),
    ("stft", (single(40),), {"nperseg": 8, "boundary": "even", "fs": 3.0, "detrend": "linear"}),
    ("stft", (real(40),), {"nperseg": 8, "boundary": "odd", "window": "boxcar"}),
    ("stft", (real(43),), {"nperseg": 8, "boundary": "constant", "window": ("kaiser", 3.0)}),
    ("stft", (real(43),), {"nperseg": 8, "boundary": None, "padded": False, "fs": 2.0}),
    ("stft", (real(43),), {"nperseg": None, "window": np.arange(1.0, 7.0), "padded": False}),
    ("welch", (real(2, 40),), {"nperseg": 8}),
    ("welch", (single(41),), {"nperseg": 9, "fs": 4.0, "scaling": "spectrum"}),
    ("welch", (complicated(40),), {"nperseg": 8, "return_onesided": False, "detrend": False}),
    ("welch", (real(60, 2),), {"nperseg": 8, "axis": 0, "average": "median"}),
    ("welch", (whole(60),), {}),
    ("csd", (real(40), real(40)), {"nperseg": 8}),
    ("csd", (real(40), real(32)), {"nperseg": 9, "average": "median", "nfft": 16}),
    ("csd", (real(2, 40), real(40)), {"nperseg": 8, "window": "hamming", "noverlap": 2}),
    ("csd", (complicated(40), complicated(40)), {"nperseg": 8, "return_onesided": False}),
    ("istft", (complicated(5, 9),), {}),
    ("istft", (complicated(5, 9),), {"nperseg": 9, "fs": 2.0}),
    ("istft", (complicated(2, 5, 9),), {"scaling": "psd", "noverlap": 6}),
    ("istft", (complicated(9, 2, 8),), {"time_axis": 0, "freq_axis": -1, "input_onesided": False}),
    ("istft", (complicated(5, 9, 2),), {"time_axis": 1, "freq_axis": 0, "boundary": False}),
    ("istft", (complicated(5, 9).astype("c8"),), {"window": "hamming"}),
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(CASES)]


def arrays(value):
    return tree.leaves(value)


@pytest.mark.filterwarnings("ignore::UserWarning")  # SciPy's, of short signals
@pytest.mark.parametrize(("name", "arguments", "options"), CASES, ids=IDS)
def test_values_are_those_of_scipy(name, arguments, options):
    def f(*args):
        return getattr(signal, name)(*args, **options)

    want = arrays(getattr(scipy.signal, name)(*arguments, **options))
    if name == "istft":  # SciPy has as many times as the first axis has elements
        want[0] = np.arange(max(want[1].shape)) / options.get("fs", 1.0)
    batched = ft.vmap(f)(*(np.stack([a, a]) for a in arguments))
    for got in f(*arguments), ft.jit(f)(*arguments), tree.map(lambda x: x[1], batched):
        for g, w in zip(arrays(got), want, strict=True):
            assert g.dtype == w.dtype and g.shape == w.shape
            tolerance = 1e-12 if w.dtype.itemsize // (1 + (w.dtype.kind == "c")) == 8 else 1e-4
            np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance * 10)


@pytest.mark.parametrize(
    ("f", "arguments"),
    [
        (lambda x, y: signal.convolve(x, y, "same"), (real(5, 4), real(2, 3))),
        (lambda x, y: signal.fftconvolve(x, y, "valid"), (real(6), real(3))),
        (lambda x, y: signal.correlate2d(x, y, "same", "symm"), (real(4, 3), real(2, 3))),
        (lambda x: signal.detrend(x, bp=3), (real(7),)),
        (signal.lfilter, (real(3), STABLE, real(6))),
        (lambda b, x, z: signal.lfilter(b, STABLE, x, zi=z), (real(3), real(6), real(2))),
        (signal.sosfilt, (SECTIONS, real(6))),
        (lambda x: signal.savgol_filter(x, 3, 1) ** 2, (real(6),)),
        (lambda x: abs(signal.stft(x, nperseg=4)[2]) ** 2, (real(11),)),
        (lambda x, w: abs(signal.stft(x, window=w)[2]) ** 2, (real(11), 2 + real(4))),
        (lambda z: signal.istft(z + 1j * z * z)[1], (real(4, 5),)),
        (lambda x, fs: signal.welch(x, fs, nperseg=6)[1], (real(13), 2.0)),
        (lambda x, y: abs(signal.csd(x, y, nperseg=6)[1]) ** 2, (real(13), real(12))),
    ],
)
def test_derivatives(f, arguments):
    check_grads(f, arguments, order=2)
    check_grads(ft.jit(f), arguments, order=1)


@pytest.mark.parametrize("axis", [0, 1])
def test_filters_in_pieces_are_filters_of_the_whole(axis):
    x = real(8, 8)
    first, second = np.split(x, 2, axis)
    for f, coefficients, shape in (
        (signal.lfilter, (real(4), STABLE), (3, 1) if axis == 0 else (1, 3)),
        (
            signal.sosfilt,
            (SECTIONS,),
            (2, 2, 8) if axis == 0 else (2, 8, 2),
        ),
    ):
        a, z = f(*coefficients, first, axis, np.zeros(shape))
        b, z = f(*coefficients, second, axis, z)
        want = getattr(scipy.signal, f.__name__)(*coefficients, x, axis, np.zeros(shape))
        np.testing.assert_allclose(np.concatenate([a, b], axis), want[0], rtol=1e-10)
        np.testing.assert_allclose(z, want[1], rtol=1e-10)


@pytest.mark.parametrize("noverlap", [4, 6, 7])
def test_istft_undoes_stft(noverlap):
    x = real(3, 50)
    z = signal.stft(x, nperseg=8, noverlap=noverlap)[2]
    y = signal.istft(z, noverlap=noverlap)[1]
    np.testing.assert_allclose(y[:, :50], x, atol=1e-12)


def test_a_function_takes_the_trend_of_segments():
    x = real(40)
    f = {"detrend": lambda s: s - s.mean(-1, keepdims=True), "nperseg": 8}
    np.testing.assert_allclose(signal.welch(x, **f)[1], scipy.signal.welch(x, **f)[1], rtol=1e-12)


def test_a_segment_longer_than_the_signal_is_told():
    with pytest.warns(UserWarning, match="nperseg=5, not 8"):
        assert signal.welch(real(5), nperseg=8)[0].shape == (3,)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ShapeError, "one rank.*4,5.*f64.3.", lambda: signal.convolve(real(4, 5), real(3))),
        (ShapeError, "not empty", lambda: signal.correlate(real(0), real(3))),
        (ShapeError, "fit in the other", lambda: signal.convolve(real(2, 3), real(3, 2), "valid")),
        (ShapeError, "needs matrices", lambda: signal.convolve2d(real(3), real(3))),
        (ShapeError, "axis 0", lambda: signal.fftconvolve(real(2, 3), real(3, 3), axes=1)),
        (ValueError, "modes.*'half'", lambda: signal.convolve(real(2), real(2), "half")),
        (ValueError, "methods.*'slow'", lambda: signal.convolve(real(2), real(2), method="slow")),
        (
            ValueError,
            "boundaries.*'edge'",
            lambda: signal.convolve2d(real(2, 2), real(2, 2), "full", "edge"),
        ),
        (ValueError, "types.*'square'", lambda: signal.detrend(real(3), type="square")),
        (ShapeError, r"bp=\[5\]", lambda: signal.detrend(real(3), bp=[5])),
        (ShapeError, "vectors of coef", lambda: signal.lfilter(real(2, 2), real(2), real(3))),
        (
            ShapeError,
            r"zi of shape \(1,\).*\(2,\)",
            lambda: signal.lfilter(real(2), real(2), real(3), zi=real(2)),
        ),
        (ShapeError, r"\(sections, 6\).*2,5", lambda: signal.sosfilt(real(2, 5), real(3))),
        (ShapeError, "2 sections", lambda: signal.sosfilt(real(2, 6), real(3), zi=real(1, 2))),
        (ValueError, "window_length=4", lambda: signal.savgol_filter(real(9), 4, 2)),
        (ValueError, "modes.*'edge'", lambda: signal.savgol_filter(real(9), 3, 2, mode="edge")),
        (ShapeError, r"window of 5.*f64\[3\]", lambda: signal.savgol_filter(real(3), 5, 2)),
        (ShapeError, "not empty", lambda: signal.stft(real(0))),
        (ShapeError, "as window", lambda: signal.welch(real(9), window=real(4), nperseg=5)),
        (ValueError, "noverlap=4", lambda: signal.welch(real(9), nperseg=4, noverlap=4)),
        (ValueError, "boundaries.*'wrap'", lambda: signal.stft(real(9), boundary="wrap")),
        (ValueError, "scalings.*'energy'", lambda: signal.csd(real(9), None, scaling="energy")),
        (ValueError, "averages.*'mode'", lambda: signal.welch(real(9), average="mode")),
        (ShapeError, "two axes", lambda: signal.istft(real(4, 4), time_axis=0, freq_axis=0)),
    ],
)
def test_mistakes_are_named(error, words, call):
    with pytest.raises(error, match=words):
        call()
