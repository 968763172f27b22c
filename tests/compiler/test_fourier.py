"""Transforms down columns that fall into few lines of the cache are transforms of rows."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp

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
    rng = np.random.default_rng(0)
    x = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    f = ft.jit(lambda x: transform(x, axis=axis, norm=norm))
    want = transform(x, axis=axis, norm=norm)
    got = f(x)
    assert got.dtype == want.dtype and got.shape == want.shape
    bound = {"c8": 1e-5, "c16": 1e-13}[dtype] * np.abs(want).max(initial=0.0)
    assert np.abs(got - want).max(initial=0.0) <= bound
    assert bool(f.lower(x).schedule.kernels()) is turned


def test_turns_are_part_of_what_comes_before_and_after():
    x = np.exp(1j * np.arange(64.0 * 256)).reshape(64, 256)
    f = ft.jit(lambda x: fnp.abs(fnp.fft.fft(x * 0.5, axis=0)))
    np.testing.assert_allclose(f(x), np.abs(np.fft.fft(x * 0.5, axis=0)), 1e-12, 1e-12)
    assert len(f.lower(x).schedule.main.entries) == 3
