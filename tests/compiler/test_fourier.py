"""Fourier transforms in compiled code: as eager ones, by NumPy's loops where these compute them."""

from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.compiler import transform_loops

LENGTHS = [1, 2, 7, 12, 13, 30, 77, 128]
TRANSFORMS = {  # by name: the function, whether of complex numbers, of how many for a length
    "fft": (fnp.fft.fft, True, lambda n: n),
    "ifft": (fnp.fft.ifft, True, lambda n: n),
    "rfft": (fnp.fft.rfft, False, lambda n: n),
    "irfft": (fnp.fft.irfft, True, lambda n: n // 2 + 1),
}


def numbers(shape: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng(0)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if dtype[0] == "c" else x).astype(dtype)


def agree(f: Any, x: Any) -> None:
    want, got = f(x), ft.jit(f)(x)
    assert got.dtype == want.dtype and got.shape == want.shape
    bound = {4: 1e-5, 8: 1e-13}[want.real.dtype.itemsize] * np.abs(want).max(initial=0.0)
    assert np.abs(got - want).max(initial=0.0) <= bound


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_lengths(name: str, n: int, axis: int, double: bool) -> None:
    f, is_complex, given = TRANSFORMS[name]
    shape = [3, 4, 5]
    shape[axis] = given(n)
    params = {"n": n} if name == "irfft" else {}
    x = numbers(
        tuple(shape), ("c" if is_complex else "f") + str((8 if double else 4) << is_complex)
    )
    for norm in ("backward", "ortho", "forward"):
        agree(lambda x, norm=norm: f(x, axis=axis, norm=norm, **params), x)
    lowered = ft.jit(lambda x: f(x, axis=axis, **params)).lower(x)
    assert ("numpy_" in lowered.source) is (n == 13)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_rows_are_divided(threads: int) -> None:
    z = numbers((90, 7, 120), "c16")
    with ft.config(num_threads=threads):
        for axis in (0, 1, 2):
            agree(
                lambda z, axis=axis: fnp.fft.ifft(fnp.fft.fft(z * 2, axis=axis) + z, axis=axis), z
            )


def test_numpy_has_every_function() -> None:
    assert set(transform_loops.loops()) == set(transform_loops.FUNCTIONS)


@pytest.mark.parametrize("found", [np.add, np.exp, np.vecdot, object(), None])
def test_what_is_not_as_expected_is_left_to_scipy(monkeypatch: Any, found: Any) -> None:
    """A ufunc of other types or none; and then SciPy is called."""
    from numpy.fft import _pocketfft_umath as module

    x, f = numbers((3, 12), "c16"), lambda x: fnp.fft.fft(x) * 0.125
    want = f(x)
    monkeypatch.setattr(module, "fft", found)
    transform_loops.loops.cache_clear()
    try:
        assert {n.split("_")[1] for n in transform_loops.loops()} == {"ifft", "rfft", "irfft"}
        assert "numpy_fft" in ft.jit(f).lower(x).source
        np.testing.assert_allclose(ft.jit(f)(x), want, 1e-12, 1e-12)
    finally:
        transform_loops.loops.cache_clear()


CASES = {  # shape, dtype, axis, whether they are turned
    "columns": ((40, 256), "c16", 0, True),
    "single precision": ((40, 512), "c8", 0, True),
    "middle": ((2, 33, 2, 128), "c16", 1, True),
    "rows": ((40, 256), "c16", 1, False),
    "other strides": ((40, 255), "c16", 0, False),
    "short": ((31, 256), "c16", 0, False),
    "nothing": ((0, 40, 256), "c16", 1, False),
}


@pytest.mark.parametrize("norm", ["backward", "ortho", "forward"])
@pytest.mark.parametrize("transform", [fnp.fft.fft, fnp.fft.ifft])
@pytest.mark.parametrize("name", CASES)
def test_along_axes(name, transform, norm):
    shape, dtype, axis, turned = CASES[name]
    x = numbers(shape, dtype)
    agree(lambda x: transform(x, axis=axis, norm=norm), x)
    lowered = ft.jit(lambda x: transform(x, axis=axis, norm=norm)).lower(x)
    assert bool(lowered.schedule.kernels()) is turned


def test_turns_are_part_of_what_comes_before_and_after():
    x = np.exp(1j * np.arange(64.0 * 256)).reshape(64, 256)
    f = ft.jit(lambda x: fnp.abs(fnp.fft.fft(x * 0.5, axis=0)))
    np.testing.assert_allclose(f(x), np.abs(np.fft.fft(x * 0.5, axis=0)), 1e-12, 1e-12)
    assert len(f.lower(x).schedule.main.entries) == 3
