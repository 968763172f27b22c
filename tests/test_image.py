"""Images of other sizes are those of JAX, with derivatives in image, scale and place."""

import numpy as np
import pytest

import functrans as ft
from functrans.core.errors import ShapeError
from functrans.image import ResizeMethod, resize, scale_and_translate
from functrans.test_util import check_grads

RNG = np.random.default_rng(0)
METHODS = ("linear", "cubic", "lanczos3", "lanczos5")


@pytest.fixture(scope="module")
def jax_image():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield jax.image


def agree(f, image, want):
    for got in f(image), ft.jit(f)(image), ft.vmap(f)(image[None])[0]:
        assert got.dtype == want.dtype and got.shape == want.shape
        tolerance = 2e-5 if want.dtype.itemsize // (1 + (want.dtype.kind == "c")) == 4 else 1e-5
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("method", ["nearest", *METHODS])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((7, 5, 3), "f8"),
        ((3, 11, 3), "f4"),
        ((14, 2, 3), "c16"),
        ((6, 8, 3), "i8"),
        ((1, 0, 3), "f8"),
    ],
)
def test_resize_is_that_of_jax(jax_image, method, antialias, shape, dtype):
    image = (10 * RNG.normal(size=(7, 6, 3))).astype(dtype)
    want = np.asarray(jax_image.resize(image, shape, method, antialias))
    agree(lambda x: resize(x, shape, method, antialias), image, want)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("axes", "scale", "translation", "shape"),
    [
        ((0, 1), [1.5, 0.4], [0.3, -1.2], (9, 4)),
        ((-1,), [2.3], [-3.0], (5, 9)),
        ((1, 0), [1.0, -1.0], [0.0, 5.0], (5, 6)),
        ((0,), [1.0], [30.0], (5, 6)),
        ((), [], [], (5, 6)),
    ],
)
def test_scale_and_translate_is_that_of_jax(
    jax_image, method, antialias, axes, scale, translation, shape
):
    image = RNG.normal(size=(5, 6))
    moves = (axes, np.array(scale), np.array(translation), method, antialias)
    want = np.asarray(jax_image.scale_and_translate(image, shape, *moves))
    agree(lambda x: scale_and_translate(x, shape, *moves), image, want)


@pytest.mark.parametrize("method", METHODS)
def test_derivatives(method):
    image = RNG.normal(size=(5, 4))

    def moved(x, scale, translation):
        return scale_and_translate(x, (6, 3), (0, 1), scale, translation, method)

    check_grads(lambda x: resize(x, (3, 7), method), (image,), order=2)
    moves = np.array([1.37, 0.61]), np.array([0.413, -0.271])
    check_grads(moved, (image, *moves), order=1)
    check_grads(ft.jit(moved), (image, *moves), order=1)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("nearest", ResizeMethod.NEAREST),
        ("bilinear", ResizeMethod.LINEAR),
        ("triangle", ResizeMethod.LINEAR),
        ("bicubic", ResizeMethod.CUBIC),
        ("lanczos3", ResizeMethod.LANCZOS3),
        ("lanczos5", ResizeMethod.LANCZOS5),
    ],
)
def test_a_method_has_names(name, method):
    image = RNG.normal(size=4)
    assert ResizeMethod.from_string(name) is method
    np.testing.assert_array_equal(resize(image, (3,), name), resize(image, (3,), method))


def moved(shape, axes, scale, translation, method="linear"):
    scale, translation = np.array(scale), np.array(translation)
    return scale_and_translate(np.zeros((5, 6)), shape, axes, scale, translation, method)


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ShapeError, r"f64\[3\]: got \(4, 3\)", lambda: resize(np.zeros(3), (4, 3), "linear")),
        (ShapeError, r"got \(-1,\)", lambda: resize(np.zeros(3), (-1,), "linear")),
        (ShapeError, "not empty", lambda: resize(np.zeros(0), (2,), "nearest")),
        (ValueError, "nearest, linear.*'box'", lambda: resize(np.zeros(3), (2,), "box")),
        (ValueError, "got nearest", lambda: moved((5, 6), (0,), [1.0], [0.0], "nearest")),
        (ShapeError, "each of 1 axes", lambda: moved((5, 6), (0,), [1.0, 2.0], [0.0])),
        (ShapeError, r"keeps.*\(5, 7\)", lambda: moved((5, 7), (0,), [1.0], [0.0])),
        (ShapeError, "out of bounds", lambda: moved((5, 6), (2,), [1.0], [0.0])),
    ],
)
def test_mistakes_are_named(error, words, call):
    with pytest.raises(error, match=words):
        call()
