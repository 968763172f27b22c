"""Images of another size: along each axis, a matrix of weights times the image. As `jax.image`."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, canonical_axes, dtype_of, shape_of
from functrans.numpy.manipulation import strong
from functrans.numpy.promotion import to_dtype
from functrans.numpy.systems import inexact


class ResizeMethod(enum.Enum):
    """How elements between those of an image are made of them.

    >>> ResizeMethod.from_string("bilinear")
    <ResizeMethod.LINEAR: 1>
    """

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4

    @staticmethod
    def from_string(s: str) -> ResizeMethod:
        """The method of this name.

        Raises:
            ValueError: there is none.
        """
        if s not in NAMES:
            raise ValueError(f"Images are resized by {', '.join(NAMES)}: got {s!r}.{user_line()}")
        return NAMES[s]


NAMES = {
    "nearest": ResizeMethod.NEAREST,
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), ResizeMethod.LINEAR),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), ResizeMethod.CUBIC),
    "lanczos3": ResizeMethod.LANCZOS3,
    "lanczos5": ResizeMethod.LANCZOS5,
}


def _triangle(x: Any) -> Any:
    return fnp.maximum(0, 1 - x)


def _keys_cubic(x: Any) -> Any:
    """R. Keys, Cubic Convolution Interpolation, IEEE Trans. ASSP 29, 1981, equation (15)."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return fnp.where(x < 1, near, fnp.where(x < 2, far, 0))


def _lanczos(radius: int) -> Callable[[Any], Any]:
    return lambda x: fnp.where(x < radius, fnp.sinc(x) * fnp.sinc(x / radius), 0)


KERNELS: dict[ResizeMethod, Callable[[Any], Any]] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.CUBIC: _keys_cubic,
    ResizeMethod.LANCZOS3: _lanczos(3),
    ResizeMethod.LANCZOS5: _lanczos(5),
}
"""By method, the weight of an element at a distance, in elements."""


def resize(
    image: Any, shape: Sequence[int], method: str | ResizeMethod, antialias: bool = True
) -> Any:
    """`jax.image.resize`: an image of another shape.

    Args:
        image: an array.
        shape: the extent of each axis; axes of batches and channels keep theirs.
        method: "nearest", "linear", "cubic", "lanczos3", "lanczos5", or a `ResizeMethod`.
        antialias: where an axis gets shorter, whether weights extend over as many more elements.

    Returns:
        An array of this shape; with "nearest" of the dtype of `image`, else floats or complex
        numbers.

    Raises:
        ShapeError: not an extent for each axis, or elements are to be made of none.
        ValueError: another method.

    >>> resize(np.array([0.0, 1.0]), (4,), "linear").tolist()
    [0.0, 0.25, 0.75, 1.0]
    >>> resize(np.array([[1, 2], [3, 4]]), (2, 4), "nearest").tolist()
    [[1, 1, 2, 2], [3, 3, 4, 4]]
    """
    x, method = strong(image), _method(method)
    before, after = shape_of(x), _extents("resize", x, shape)
    if any(n == 0 and m > 0 for n, m in zip(before, after, strict=True)):
        raise ShapeError(f"resize needs an image that is not empty: got {aval_of(x)}.")
    changed = [axis for axis, n in enumerate(before) if n != after[axis]]
    if method is ResizeMethod.NEAREST:
        for axis in changed:
            n, m = before[axis], after[axis]
            x = fnp.take(x, (2 * np.arange(m) + 1) * n // (2 * m), axis=axis)
        return x
    scales = {axis: (max(after[axis], 1) / before[axis], 0.0) for axis in changed}
    return _resampled(x, after, scales, KERNELS[method], antialias)


def scale_and_translate(
    image: Any,
    shape: Sequence[int],
    spatial_dims: Sequence[int],
    scale: Any,
    translation: Any,
    method: str | ResizeMethod,
    antialias: bool = True,
) -> Any:
    """`jax.image.scale_and_translate`: an image, scaled and moved within another shape.

    The middle of element i is at i + 1/2, and goes to (i + 1/2) scale + translation.

    Args:
        image: an array.
        shape: the extent of each axis.
        spatial_dims: the k axes that are scaled; others keep their extents.
        scale: (k,) factors, one for each of these axes.
        translation: (k,) translations, in elements of the result.
        method: as in `resize`, without "nearest".
        antialias: as in `resize`, where a scale is below 1.

    Returns:
        An array of this shape, of floats or complex numbers: 0 where nothing of `image` is.

    Raises:
        ShapeError: shapes or axes that do not fit.
        ValueError: another method.

    >>> x = np.array([1.0, 2.0, 3.0])
    >>> scale_and_translate(x, (5,), (0,), np.array([1.0]), np.array([1.5]), "linear").tolist()
    [0.0, 1.0, 1.5, 2.5, 3.0]
    """
    x, method = strong(image), _method(method)
    if method is ResizeMethod.NEAREST:
        raise ValueError(
            "scale_and_translate has the methods linear, cubic, lanczos3 and lanczos5: got "
            f"nearest.{user_line()}"
        )
    after = _extents("scale_and_translate", x, shape)
    axes = canonical_axes(tuple(spatial_dims), len(shape_of(x)))
    scale, translation = inexact(scale, translation)
    if shape_of(scale) != (len(axes),) or shape_of(translation) != (len(axes),):
        raise ShapeError(
            f"scale_and_translate needs a scale and a translation for each of {len(axes)} axes: "
            f"got {aval_of(scale)} and {aval_of(translation)}."
        )
    if any(after[a] != n for a, n in enumerate(shape_of(x)) if a not in axes):
        raise ShapeError(
            f"scale_and_translate along axes {axes} keeps the other extents of {aval_of(x)}: got "
            f"shape {after}."
        )
    moves = {axis: (scale[k], translation[k]) for k, axis in enumerate(axes)}
    return _resampled(x, after, moves, KERNELS[method], antialias)


def _method(method: str | ResizeMethod) -> ResizeMethod:
    return ResizeMethod.from_string(method) if isinstance(method, str) else method


def _extents(name: str, x: Any, shape: Sequence[int]) -> tuple[int, ...]:
    extents = tuple(index(n) for n in shape)
    if len(extents) != len(shape_of(x)) or any(n < 0 for n in extents):
        raise ShapeError(f"{name} needs an extent for each axis of {aval_of(x)}: got {extents}.")
    return extents


def _resampled(
    x: Any, after: tuple[int, ...], moves: dict[int, tuple[Any, Any]], kernel: Any, antialias: bool
) -> Any:
    """x scaled and translated along axes, first along those that shrink most: fewer products."""
    (x,) = inexact(x)
    before = shape_of(x)
    for axis in sorted(moves, key=lambda a: after[a] / max(before[a], 1)):
        weights = _weights(before[axis], after[axis], *moves[axis], kernel, antialias)
        product = fnp.tensordot(to_dtype(weights, dtype_of(x)), x, (1, axis))
        x = fnp.moveaxis(product, 0, axis)
    return x


def _weights(
    before: int, after: int, scale: Any, translation: Any, kernel: Any, antialias: bool
) -> Any:
    """(after, before): what each element of an axis contributes to each of the new one."""
    places = (np.arange(after) + 0.5 - translation) / scale - 0.5
    width = fnp.maximum(1 / scale, 1.0) if antialias else 1.0
    weights = kernel(abs(places[:, None] - np.arange(before)) / width)
    total = fnp.sum(weights, axis=1, keepdims=True)
    some = abs(total) > 1000 * float(np.finfo(np.float32).eps)  # else beyond all elements
    inside = (places >= -0.5) & (places <= before - 0.5)
    return fnp.where(some & inside[:, None], weights / fnp.where(some, total, 1), 0)
