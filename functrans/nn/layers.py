"""Layers as pure pairs: `init(key, input_shape) -> (output_shape, params)`, `apply(params, x)`.

In the style of `jax.example_libraries.stax`. Shapes include the batch axis, which may be -1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from functrans import lax, random
from functrans import numpy as fnp
from functrans.core.types import ShapeDtypeStruct
from functrans.nn import initializers
from functrans.nn.activations import standardize
from functrans.transforms.inspect import eval_shape

Shape = tuple[int, ...]


class Layer(NamedTuple):
    """A layer: how to make its parameters, and what it computes from them."""

    init: Callable[[Any, Shape], tuple[Shape, Any]]
    apply: Callable[..., Any]


def dense(
    out_dim: int,
    kernel_init: Any = None,
    bias_init: Any = initializers.zeros,
    dtype: Any = float,
) -> Layer:
    """x @ w + b.

    >>> import functrans as ft
    >>> init, apply = ft.nn.dense(3)
    >>> shape, params = init(ft.random.key(0), (-1, 2))
    >>> shape, apply(params, np.ones((5, 2))).shape
    ((-1, 3), (5, 3))
    """
    kernel_init = kernel_init or initializers.glorot_normal()

    def init(key: Any, input_shape: Shape) -> tuple[Shape, Any]:
        keys = random.split(key)
        w = kernel_init(keys[0], (input_shape[-1], out_dim), dtype)
        b = bias_init(keys[1], (out_dim,), dtype)
        return (*input_shape[:-1], out_dim), {"w": w, "b": b}

    return Layer(init, lambda params, x, **_: fnp.matmul(x, params["w"]) + params["b"])


def conv(
    features: int,
    kernel_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str | Sequence[tuple[int, int]] = "SAME",
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
    kernel_init: Any = None,
    bias_init: Any = initializers.zeros,
    dtype: Any = float,
) -> Layer:
    """A convolution of (batch, space…, channels) with a kernel, plus a bias per feature.

    Args:
        features: how many channels the result has.
        kernel_size: the extents of the kernel; one int is a kernel over one axis of space.
        strides: steps between windows, one for all axes or one per axis.
        padding: "SAME", "VALID" or (low, high) per axis of space.
        kernel_dilation: steps between elements of the kernel, one for all axes or one per axis.
        feature_group_count: channels in so many groups meet features of their own.
        kernel_init: an initialiser of (space…, channels / groups, features); LeCun's normal one by
            default.
        bias_init: an initialiser of (features,); None for no bias.
        dtype: of the parameters.

    >>> import functrans as ft
    >>> init, apply = ft.nn.conv(8, (3, 3), strides=2)
    >>> shape, params = init(ft.random.key(0), (-1, 28, 28, 1))
    >>> shape, apply(params, np.ones((5, 28, 28, 1))).shape
    ((-1, 14, 14, 8), (5, 14, 14, 8))
    """
    kernel_init = kernel_init or initializers.lecun_normal()
    size = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
    steps, dilation = _per_axis(strides, len(size)), _per_axis(kernel_dilation, len(size))
    space = "HWDABEFG"[: len(size)]
    numbers = (f"N{space}C", f"{space}IO", f"N{space}C")

    def apply(params: Any, x: Any, **_: Any) -> Any:
        y = lax.conv_general_dilated(
            x,
            params["w"],
            steps,
            padding,
            rhs_dilation=dilation,
            dimension_numbers=numbers,
            feature_group_count=feature_group_count,
        )
        return y + params["b"] if "b" in params else y

    def init(key: Any, input_shape: Shape) -> tuple[Shape, Any]:
        keys = random.split(key)
        kernel_shape = (*size, input_shape[-1] // feature_group_count, features)
        params = {"w": kernel_init(keys[0], kernel_shape, dtype)}
        if bias_init is not None:
            params["b"] = bias_init(keys[1], (features,), dtype)
        return _shape_of_result(lambda x: apply(params, x), input_shape, dtype), params

    return Layer(init, apply)


def _per_axis(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _shape_of_result(fun: Callable[[Any], Any], input_shape: Shape, dtype: Any) -> Shape:
    """The shape of fun's result, whose batch axis is -1 if the input's is."""
    batch, *rest = input_shape
    out = eval_shape(fun, ShapeDtypeStruct((max(batch, 1), *rest), dtype)).shape
    return (batch, *out[1:]) if batch < 0 else out


def pooled(
    fun: Callable[..., Any],
    window_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
) -> Layer:
    """`max_pool`, `avg_pool` or `min_pool` as a layer; by default windows lie side by side.

    >>> import functrans as ft
    >>> init, apply = ft.nn.pooled(ft.nn.max_pool, (2, 2))
    >>> init(ft.random.key(0), (-1, 28, 28, 8))
    ((-1, 14, 14, 8), ())
    """
    steps = tuple(window_shape) if strides is None else tuple(strides)

    def apply(params: Any, x: Any, **_: Any) -> Any:
        return fun(x, tuple(window_shape), steps, padding)

    def init(key: Any, input_shape: Shape) -> tuple[Shape, Any]:
        return _shape_of_result(lambda x: apply((), x), input_shape, float), ()

    return Layer(init, apply)


def elementwise(fun: Callable[..., Any], **options: Any) -> Layer:
    """A function of one array as a layer without parameters."""
    return Layer(lambda key, shape: (shape, ()), lambda params, x, **_: fun(x, **options))


def layer_norm(epsilon: float = 1e-5, dtype: Any = float) -> Layer:
    """Standardise the last axis, then scale and shift it (Ba, Kiros, Hinton 2016)."""

    def init(key: Any, input_shape: Shape) -> tuple[Shape, Any]:
        n = input_shape[-1]
        return input_shape, {"scale": fnp.ones(n, dtype), "shift": fnp.zeros(n, dtype)}

    def apply(params: Any, x: Any, **_: Any) -> Any:
        return standardize(x, axis=-1, epsilon=epsilon) * params["scale"] + params["shift"]

    return Layer(init, apply)


def dropout(rate: float) -> Layer:
    """Zero a fraction of elements and scale the others up; needs `key=` where it is to act."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout takes a rate in [0, 1), got {rate}")

    def apply(params: Any, x: Any, key: Any = None, **_: Any) -> Any:
        if key is None or rate == 0:
            return x
        keep = random.bernoulli(key, 1 - rate, x.shape)
        return fnp.where(keep, x / (1 - rate), fnp.zeros_like(x))

    return Layer(lambda key, shape: (shape, ()), apply)


def embedding(count: int, dim: int, dtype: Any = float) -> Layer:
    """A row of a table for every integer."""

    def init(key: Any, input_shape: Shape) -> tuple[Shape, Any]:
        table = initializers.normal(1 / math.sqrt(dim))(key, (count, dim), dtype)
        return (*input_shape, dim), {"table": table}

    return Layer(init, lambda params, x, **_: fnp.take(params["table"], x, axis=0))


def flatten() -> Layer:
    """All axes but the first as one."""

    def init(key: Any, input_shape: Shape) -> tuple[Shape, Any]:
        return (input_shape[0], math.prod(input_shape[1:])), ()

    return Layer(init, lambda params, x, **_: fnp.reshape(x, (x.shape[0], -1)))


def serial(*layers: Layer) -> Layer:
    """One layer after the other; the parameters are a list."""

    def init(key: Any, input_shape: Shape) -> tuple[Shape, list]:
        params = []
        for layer, layer_key in zip(layers, _keys(key, len(layers)), strict=True):
            input_shape, layer_params = layer.init(layer_key, input_shape)
            params.append(layer_params)
        return input_shape, params

    def apply(params: Sequence[Any], x: Any, key: Any = None, **options: Any) -> Any:
        keys = [None] * len(layers) if key is None else _keys(key, len(layers))
        for layer, layer_params, layer_key in zip(layers, params, keys, strict=True):
            x = layer.apply(layer_params, x, key=layer_key, **options)
        return x

    return Layer(init, apply)


def _keys(key: Any, count: int) -> list[Any]:
    keys = random.split(key, count)
    return [keys[i] for i in range(count)]
