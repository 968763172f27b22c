"""Images between their pixels are those of SciPy, with derivatives in the image and the places."""

import numpy as np
import pytest
import scipy.ndimage

import functrans as ft
from functrans.core.errors import ShapeError
from functrans.scipy.ndimage import map_coordinates
from functrans.test_util import check_grads

SCIPY_MODES = {
    "constant": "grid-constant",
    "nearest": "nearest",
    "wrap": "grid-wrap",
    "mirror": "mirror",
    "reflect": "reflect",
}
RNG = np.random.default_rng(0)
PLACES = RNG.uniform(-6, 9, (2, 3, 7))


@pytest.mark.parametrize("mode", SCIPY_MODES)
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("shape", [(4, 5), (1, 3)])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i4"])
def test_values_are_those_of_scipy(mode, order, shape, dtype):
    x = (100 * RNG.normal(size=shape)).astype(dtype)

    def f(x, places):
        return map_coordinates(x, places, order, mode, 7.0)

    options = {"order": order, "mode": SCIPY_MODES[mode], "cval": 7.0, "output": float}
    want = scipy.ndimage.map_coordinates(x, PLACES, **options)
    if dtype == "i4":
        want = np.round(want)
    for got in f(x, PLACES), ft.jit(f)(x, PLACES), ft.vmap(f, (None, 1))(x, PLACES):
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=2e-5 if dtype == "f4" else 1e-12, atol=1e-4)


@pytest.mark.parametrize("mode", SCIPY_MODES)
def test_derivatives_in_image_and_places(mode):
    x, places = RNG.normal(size=(4, 5)), RNG.uniform(-3, 7, (2, 6)).round(1) + 0.03
    check_grads(lambda x, p: map_coordinates(x, p, 1, mode, 0.5), (x, places), order=2)
    assert not ft.grad(lambda p: map_coordinates(x, p, 0, mode).sum())(places).any()


@pytest.mark.parametrize(
    ("error", "words", "arguments"),
    [
        (ShapeError, r"each axis of f64\[4,5\]: got 1", ([np.zeros(3)], 1)),
        (ValueError, "orders 0 and 1.*order 3", (np.zeros((2, 3)), 3)),
        (ValueError, "constant, nearest.*'edge'", (np.zeros((2, 3)), 1, "edge")),
    ],
)
def test_mistakes_are_named(error, words, arguments):
    with pytest.raises(error, match=words):
        map_coordinates(np.zeros((4, 5)), *arguments)
