"""Fourier transforms agree with NumPy in values and dtypes, and are their own derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.core.errors import DTypeError, ShapeError
from functrans.test_util import check_grads
from tests.numpy.agreement import array, check, compare

DTYPES = ["float32", "float64", "complex64", "complex128", "int32", "bool"]
OF_REAL = ("rfft", "ihfft", "rfft2", "rfftn")
ALONG_ONE: list[dict[str, Any]] = [
    {},
    {"n": 3},
    {"n": 4},
    {"n": 9},
    {"axis": 0},
    {"axis": -2, "n": 2, "norm": "ortho"},
    {"norm": "forward"},
    {"norm": "backward"},
]
ALONG_SEVERAL: list[dict[str, Any]] = [
    {},
    {"s": (3, 6)},
    {"s": (-1, 3), "axes": (2, 0)},
    {"axes": (1,)},
    {"axes": (0, 1)},
    {"axes": (1, 1)},
    {"norm": "ortho"},
    {"norm": "forward"},
]
ONE = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL = ["fftn", "ifftn", "rfftn", "irfftn"]
TWO = ["fft2", "ifft2", "rfft2", "irfft2"]


def both(name: str) -> tuple[Any, Any]:
    return getattr(fnp.fft, name), getattr(np.fft, name)


def near(dtype: str) -> float:
    return 1e-5 if dtype in ("float32", "complex64") else 1e-12


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ONE + SEVERAL + TWO)
def test_transforms(name: str, dtype: str) -> None:
    if name in OF_REAL and dtype.startswith("complex"):
        dtype = dtype.replace("complex128", "float64").replace("complex64", "float32")
    for options in ALONG_ONE if name in ONE else ALONG_SEVERAL:
        if name in TWO and options.get("axes", (0, 1)) == (1,):
            options = {"axes": (0, 2)}
        check(*both(name), array((2, 5, 4), dtype), tolerance=near(dtype), **options)
    axes: dict[str, Any] = {} if name in ONE else {"axes": (1, 2)}
    check(*both(name), array((0, 3, 4), dtype), **axes)


@pytest.mark.parametrize("name", ["fft", "rfft", "irfft"])
def test_half_precision(name: str) -> None:
    check(*both(name), array((4,), "float16"), tolerance=1e-2)


def test_frequencies() -> None:
    for name in ("fftfreq", "rfftfreq"):
        ours, theirs = both(name)
        for n in (1, 4, 5):
            for d in (1.0, 0.25):
                np.testing.assert_array_equal(ours(n, d), theirs(n, d))
                traced = ft.jit(lambda d: ours(n, d))
                np.testing.assert_allclose(traced(d), theirs(n, d))
                assert traced(np.float32(d)).dtype == theirs(n, np.float32(d)).dtype
        np.testing.assert_allclose(ft.jit(lambda: ours(6))(), theirs(6))


@pytest.mark.parametrize("dtype", DTYPES)
def test_shifts(dtype: str) -> None:
    for name in ("fftshift", "ifftshift"):
        for options in ({}, {"axes": 1}, {"axes": (0, -1)}):
            check(*both(name), array((4, 5, 3), dtype), **options, tolerance=0)


DIFFERENTIATED: dict[str, Any] = {
    "fft": lambda x: fnp.fft.fft(x, 7),
    "ifft": lambda x: fnp.fft.ifft(x, norm="ortho"),
    "rfft": lambda x: fnp.fft.rfft(x.real, 6),
    "irfft": fnp.fft.irfft,
    "irfft, odd": lambda x: fnp.fft.irfft(x, 5, norm="forward"),
    "hfft": lambda x: fnp.fft.hfft(x, 5, norm="ortho"),
    "ihfft": lambda x: fnp.fft.ihfft(x.real),
    "fftn": fnp.fft.fftn,
    "rfft2": lambda x: fnp.fft.rfft2(x.real),
    "irfft2": fnp.fft.irfft2,
    "shift": lambda x: fnp.fft.fftshift(fnp.fft.ifftshift(x, 1)),
    "power spectrum": lambda x: fnp.abs(fnp.fft.rfft(x.real)) ** 2,
    "convolution": lambda x: fnp.fft.irfft(fnp.fft.rfft(x.real) * fnp.fft.rfft(x.real[::-1])),
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives(name: str, dtype: str) -> None:
    function, x = DIFFERENTIATED[name], array((3, 4), dtype) + 0.3
    check_grads(function, (x,), 2, rtol=1e-5, atol=1e-5)
    want = function(x)
    stack = np.stack([x, x])
    compare("jit", [ft.jit(function)(x)], [want], 1e-11)
    compare("vmap", [ft.jit(ft.vmap(function))(stack)], [np.stack([want, want])], 1e-11)
    axes = ft.vmap(function, in_axes=2, out_axes=1)(np.stack([x, x], 2))
    compare("vmap, other axes", [axes], [np.stack([want, want], 1)], 1e-11)

    def loss(v: Any) -> Any:
        return fnp.sum(fnp.sin(fnp.abs(function(v))))

    gradient = ft.grad(loss)(x)
    assert gradient.dtype == dtype
    compare("gradient", [ft.jit(ft.grad(loss))(x)], [gradient], 1e-10)
    compare("gradients", [ft.vmap(ft.grad(loss))(stack)], [np.stack([gradient] * 2)], 1e-10)


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
def test_transposes_are_transforms(norm: str) -> None:
    x = array((6,), "complex128")
    for function in (fnp.fft.fft, fnp.fft.ifft):
        transform = lambda v: function(v, norm=norm)
        (back,) = ft.linear_transpose(transform, x)(x)
        np.testing.assert_allclose(back, transform(x))
    matrix = ft.jacfwd(lambda v: fnp.fft.rfft(v, norm=norm))(x.real)
    np.testing.assert_allclose(matrix, np.fft.fft(np.eye(6), norm=norm)[:4], atol=1e-12)


def test_a_solver_by_spectra_in_a_loop() -> None:
    waves = fnp.fft.fftfreq(8, 1 / 8) * 2 * np.pi

    def run(u: Any) -> Any:
        def step(u: Any, _: Any) -> Any:
            slope = fnp.fft.ifft(1j * waves * fnp.fft.fft(u)).real
            return u - 0.001 * u * slope, fnp.sum(u**2)

        return lax.scan(step, u, None, length=5)

    u = np.sin(2 * np.pi * np.arange(8) / 8)
    compare("jit", list(ft.jit(run)(u)), list(run(u)), 1e-12)
    check_grads(run, (u,), 2, rtol=1e-5, atol=1e-5)
    loss = lambda u: fnp.sum(run(u)[0] ** 2)
    compare("gradient", [ft.jit(ft.grad(loss))(u)], [ft.grad(loss)(u)], 1e-11)


def test_errors() -> None:
    x = np.ones((2, 3))
    for call in (fnp.fft.fft, ft.jit(fnp.fft.fft, static_argnums=(1, 2))):
        with pytest.raises(ShapeError, match=r"a number or more, got n=0 for f64\[2,3\]"):
            call(x, 0)
        with pytest.raises(ShapeError, match="axis 2 is out of bounds"):
            call(x, None, 2)
    with pytest.raises(ShapeError, match="a number or more"):
        ft.jit(fnp.fft.fft)(np.ones(0))
    with pytest.raises(ShapeError, match="a number or more"):
        ft.jit(fnp.fft.irfft)(np.ones(1))
    with pytest.raises(DTypeError, match=r"rfft takes real numbers: got c128\[2,3\]"):
        fnp.fft.rfft(x * 1j)
    with pytest.raises(ValueError, match="norms 'backward', 'ortho' and 'forward', got 'unit'"):
        ft.jit(lambda x: fnp.fft.fft(x, norm="unit"))(x)
    with pytest.raises(ShapeError, match="an extent for each axis"):
        ft.jit(lambda x: fnp.fft.fftn(x, s=(2,), axes=(0, 1)))(x)
    with pytest.raises(TypeError, match="never written to"):
        ft.jit(lambda x: fnp.fft.fft(x, out=np.empty(3, complex)))(x)


@pytest.mark.parametrize("name", [n for n in np.fft.__all__ if not n.endswith("freq")])
def test_numpy_functions_dispatch(name: str) -> None:
    x = array((4, 6), "float64")
    function = getattr(np.fft, name)
    compare("jit", [ft.jit(function)(x)], [function(x)], 1e-12)
    assert set(fnp.fft.__all__) == set(np.fft.__all__)
