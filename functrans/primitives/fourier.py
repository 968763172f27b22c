"""Discrete Fourier transforms along an axis: fft, ifft, and rfft, irfft between real and complex.

They are linear, so each is its own derivative. `norm` is NumPy's: by what the transform is scaled.
SciPy computes them: NumPy takes seven times as long for rows of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.core.config import config, cores
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import Primitive
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import (
    complex_dtype,
    complex_p,
    conj_p,
    real_dtype,
    real_p,
    zeros_like,
)
from functrans.primitives.shaping import pad, unary_linear

SUPPORTED = tuple(np.dtype(c) for c in ("f4", "f8", "c8", "c16"))
SHARED = 1 << 16
"""Real numbers from which on threads share the rows of a transform."""
INVERSE_NORM = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""The norm with which the inverse transform is scaled as the transform is with this one."""


def resized(x: Any, axis: int, extent: int) -> Any:
    """x cropped, or with zeros at its end, to an extent along an axis."""
    none = (0,) * len(shape_of(x))
    high = (*none[:axis], extent - shape_of(x)[axis], *none[axis + 1 :])
    return pad(x, none, high, none)


def _transform(
    name: str,
    kind: str,
    transpose: Callable[..., Any],
    result: Callable[..., Aval],
    in_place: bool = False,
) -> Primitive:
    """Define a transform.

    Args:
        name: of the primitive, and of SciPy's function.
        kind: of its operand's dtype.
        transpose: `transpose(ct, aval, axis=, norm=, …)`, the operand's cotangent.
        result: `result(aval, axis=, …)`, the type of the result.
        in_place: the result has the operand's type, and may take its memory.
    """

    def infer(x: Aval, *, axis: int, norm: str, **params: Any) -> Aval:
        if x.dtype not in SUPPORTED or x.dtype.kind != kind:
            wanted = "complex64 or complex128" if kind == "c" else "float32 or float64"
            raise DTypeError(f"{name} takes {wanted}: got {x}.")
        if not 0 <= axis < x.ndim:
            raise ShapeError(f"{name} along axis {axis} of {x}, which has {x.ndim} axes.")
        if not x.shape[axis] or params.get("n") == 0:
            raise ShapeError(f"{name} needs a number or more along axis {axis}: got {x}.")
        return result(x, axis=axis, **params).strong()

    def evaluate(x: Any, **params: Any) -> Any:
        from scipy import fft  # 0.1 s

        numbers = np.size(x) * (2 if kind == "c" else 1)
        workers = (config.num_threads or cores()) if numbers >= SHARED else 1
        return getattr(fft, name)(x, workers=workers, **params)

    def overwrite(x: np.ndarray, **params: Any) -> None:
        y = evaluate(x, overwrite_x=True, **params)
        if y.ctypes.data != x.ctypes.data:  # SciPy may, and need not
            np.copyto(x, y)

    def cost(inputs: Sequence[Aval], outputs: Sequence[Aval], *, axis: int, **_: Any) -> float:
        long = max(inputs[0].shape[axis], outputs[0].shape[axis])
        whole = max(inputs[0].size, outputs[0].size)
        return (5 if kind == "c" and name != "irfft" else 2.5) * whole * math.log2(max(long, 2))

    return unary_linear(
        name,
        infer=infer,
        evaluate=evaluate,
        in_place=overwrite if in_place else None,
        transpose=transpose,
        batch=lambda shape, *, axis, **params: {"axis": axis + 1, **params},
        cost=cost,
    )


# --- complex → complex, symmetric matrices --------------------------------------------------------


def _symmetric(name: str) -> Primitive:
    primitive: Primitive = _transform(
        name,
        "c",
        lambda ct, aval, **params: primitive.bind(ct, **params),
        lambda x, axis: x,
        in_place=True,
    )
    return primitive


fft_p = _symmetric("fft")
ifft_p = _symmetric("ifft")

# --- real → the first half of its transform, whose other half is the conjugate --------------------


def _half(x: Aval, *, axis: int) -> Aval:
    shape = (*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :])
    return Aval(shape, complex_dtype(x.dtype))


def _transpose_rfft(ct: Any, aval: Aval, *, axis: int, norm: str) -> Any:
    return real_p.bind(fft_p.bind(resized(ct, axis, aval.shape[axis]), axis=axis, norm=norm))


rfft_p: Primitive = _transform(
    "rfft",
    "f",
    _transpose_rfft,
    _half,
)

# --- the first half of a transform → n real numbers -----------------------------------------------


def _whole(x: Aval, *, axis: int, n: int) -> Aval:
    if x.shape[axis] != n // 2 + 1:
        raise ShapeError(f"irfft to {n} numbers along axis {axis} needs {n // 2 + 1}: got {x}.")
    return Aval((*x.shape[:axis], n, *x.shape[axis + 1 :]), real_dtype(x.dtype))


def _transpose_irfft(ct: Any, aval: Aval, *, axis: int, norm: str, n: int) -> Any:
    """All but the first coefficient, and the last for even n, stand for their conjugates too."""
    half = conj_p.bind(rfft_p.bind(ct, axis=axis, norm=INVERSE_NORM[norm]))
    weights = np.full(aval.shape[axis], 2, dtype_of(half))
    weights[0] = 1
    if n % 2 == 0:
        weights[-1] = 1
    return half * weights.reshape(-1, *(1,) * (aval.ndim - axis - 1))


irfft_p: Primitive = _transform(
    "irfft",
    "c",
    _transpose_irfft,
    _whole,
)


def as_complex(x: Any) -> Any:
    """Floats as complex numbers; complex numbers as they are."""
    return x if dtype_of(x).kind == "c" else complex_p.bind(x, zeros_like(x))
