"""Activation functions, with the names and conventions of `jax.nn`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.types import aval_of, dtype_of
from functrans.numpy.promotion import promote_for
from functrans.primitives import special
from functrans.primitives.identities import stop_gradient
from functrans.primitives.limits import excess_p, gated_p, inner_power_p


def _float(x: Any) -> Any:
    """x as floats."""
    return promote_for(np.exp, (x,))[0]


def relu(x: Any) -> Any:
    """max(x, 0); the derivative at 0 is 0.

    >>> import functrans as ft
    >>> ft.nn.relu(np.array([-1.0, 2.0]))
    array([0., 2.])
    """
    x = fnp.asarray(x)
    return fnp.where(x <= 0, fnp.zeros_like(x), x)  # not x > 0: nan stays nan


def relu6(x: Any) -> Any:
    """min(max(x, 0), 6)."""
    x = fnp.asarray(x)
    return fnp.where(x >= 6, fnp.full_like(x, 6), relu(x))


def leaky_relu(x: Any, negative_slope: float = 1e-2) -> Any:
    """x where positive, else negative_slope × x."""
    x = _float(x)
    return fnp.where(x >= 0, x, negative_slope * x)


def elu(x: Any, alpha: float = 1.0) -> Any:
    """x where positive, else alpha × (exp(x) - 1)."""
    x = _float(x)
    # exp is not evaluated at large x, where its infinity would make a nan of the derivative
    return fnp.where(x > 0, x, alpha * fnp.expm1(fnp.where(x > 0, 0.0, x)))


def selu(x: Any) -> Any:
    """The self-normalising scaled elu (Klambauer et al. 2017)."""
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return scale * elu(x, alpha)


def celu(x: Any, alpha: float = 1.0) -> Any:
    """max(x, 0) + min(0, alpha × (exp(x / alpha) - 1))."""
    x = _float(x)
    return fnp.where(x > 0, x, alpha * fnp.expm1(fnp.where(x > 0, 0.0, x) / alpha))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)).

    >>> import functrans as ft
    >>> float(ft.nn.sigmoid(0.0))
    0.5
    """
    return special.logistic_p.bind(_float(x))


def log_sigmoid(x: Any) -> Any:
    """log(sigmoid(x)), without overflow."""
    return -softplus(-_float(x))


def log1mexp(x: Any) -> Any:
    """log(1 - exp(-x)) for positive x, without cancellation (Mächler 2012).

    >>> import functrans as ft
    >>> round(float(ft.nn.log1mexp(1e-9)), 6)
    -20.723266
    """
    x = _float(x)
    far = x > math.log(2)
    near = fnp.log(-fnp.expm1(-fnp.where(far, 1.0, x)))
    return fnp.where(far, fnp.log1p(-fnp.exp(-fnp.where(far, x, 1.0))), near)


def squareplus(x: Any, b: Any = 4) -> Any:
    """(x + √(x² + b)) / 2, a softplus without exponentials (Barron 2021).

    Args:
        x: floats or integers.
        b: how far from zero it bends: 0 gives relu, 4 the curvature of softplus there.

    >>> import functrans as ft
    >>> float(ft.nn.squareplus(0.0)), float(ft.nn.squareplus(1.5))
    (1.0, 2.0)
    """
    x = _float(x)
    return 0.5 * (x + fnp.sqrt(x * x + b))


def identity(x: Any) -> Any:
    """The array as it is."""
    return fnp.asarray(x)


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return special.softplus_p.bind(_float(x))


def silu(x: Any) -> Any:
    """x × sigmoid(x), also called swish."""
    x = _float(x)
    return gated_p.bind(x, sigmoid(x))


swish = silu


def gelu(x: Any, approximate: bool = True) -> Any:
    """x × Φ(x), with the usual tanh approximation or exactly (Hendrycks, Gimpel 2016)."""
    x = _float(x)
    if approximate:
        inner = math.sqrt(2 / math.pi) * (x + 0.044715 * inner_power_p.bind(x, exponent=3))
        return 0.5 * gated_p.bind(x, 1 + fnp.tanh(inner))
    return 0.5 * gated_p.bind(x, special.erfc_p.bind(-x * dtype_of(x).type(math.sqrt(0.5))))


def mish(x: Any) -> Any:
    """x × tanh(softplus(x))."""
    x = _float(x)
    return gated_p.bind(x, fnp.tanh(softplus(x)))


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    return fnp.tanh(x)


def soft_sign(x: Any) -> Any:
    """x / (1 + |x|)."""
    return special.soft_sign_p.bind(_float(x))


def hard_sigmoid(x: Any) -> Any:
    """relu6(x + 3) / 6."""
    return relu6(_float(x) + 3.0) / 6.0


def hard_silu(x: Any) -> Any:
    """x × hard_sigmoid(x)."""
    x = _float(x)
    outside = (x <= -3) | (x >= 3)
    inside = fnp.where(outside, 0.0, x)  # inf times the slope 0 would be nan
    return fnp.where(outside, relu(x), inside * (inside + 3.0) / 6.0)


hard_swish = hard_silu


def hard_tanh(x: Any) -> Any:
    """x clipped to [-1, 1]."""
    x = fnp.asarray(x)
    return fnp.where(x > 1, 1, fnp.where(x < -1, -1, x)).astype(dtype_of(x))


def glu(x: Any, axis: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second."""
    first, second = fnp.split(fnp.asarray(x), 2, axis)
    return first * sigmoid(second)


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """log(Σ b exp(a)) over axes, without overflow.

    >>> import functrans as ft
    >>> float(ft.nn.logsumexp(np.array([1000.0, 1000.0]))) == 1000 + math.log(2)
    True
    """
    a = _float(a)
    # the maximum only scales, so it carries no derivative
    peak = stop_gradient(fnp.max(a, axis=axis, keepdims=True))
    if b is not None or return_sign:
        # terms that are all 0 have the sign 0, whatever their weights
        peak = fnp.where(peak == -np.inf, fnp.zeros_like(peak), peak)
    terms = fnp.exp(excess_p.bind(a, peak))
    total = fnp.sum(terms if b is None else b * terms, axis=axis, keepdims=keepdims)
    sign = fnp.sign(total)
    shift = peak if keepdims else fnp.reshape(peak, total.shape)
    out = fnp.log(fnp.abs(total) if return_sign else total) + shift
    return (out, sign) if return_sign else out


def log_softmax(x: Any, axis: Any = -1) -> Any:
    """x - logsumexp(x) along an axis."""
    x = _float(x)
    shifted = x - stop_gradient(fnp.max(x, axis=axis, keepdims=True))
    return shifted - fnp.log(fnp.sum(fnp.exp(shifted), axis=axis, keepdims=True))


def softmax(x: Any, axis: Any = -1) -> Any:
    """exp(x) / Σ exp(x) along an axis.

    >>> import functrans as ft
    >>> ft.nn.softmax(np.zeros(4))
    array([0.25, 0.25, 0.25, 0.25])
    """
    x = _float(x)
    exponentials = fnp.exp(x - stop_gradient(fnp.max(x, axis=axis, keepdims=True)))
    return exponentials / fnp.sum(exponentials, axis=axis, keepdims=True)


def standardize(x: Any, axis: Any = -1, epsilon: float = 1e-5) -> Any:
    """x with mean 0 and variance 1 along axes."""
    x = _float(x)
    centred = x - fnp.mean(x, axis=axis, keepdims=True)
    variance = fnp.mean(centred * centred, axis=axis, keepdims=True)
    return centred / fnp.sqrt(variance + epsilon)


def one_hot(x: Any, num_classes: int, dtype: Any = float, axis: int = -1) -> Any:
    """Ones at the positions x along a new axis, zeros elsewhere.

    >>> import functrans as ft
    >>> ft.nn.one_hot(np.array([0, 2]), 3)
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    x = fnp.asarray(x)
    rank = aval_of(x).ndim + 1
    axis = axis % rank
    classes = fnp.arange(num_classes).reshape([-1 if i == axis else 1 for i in range(rank)])
    return (fnp.expand_dims(x, axis) == classes).astype(dtype)
