"""Initial weights: functions `init(key, shape, dtype)`, with the names of `jax.nn.initializers`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans import random
from functrans.core.errors import ShapeError
from functrans.numpy.indexing import at

Initializer = Callable[..., Any]


def zeros(key: Any, shape: Sequence[int], dtype: Any = float) -> Any:
    """Zeros."""
    return fnp.zeros(tuple(shape), dtype)


def ones(key: Any, shape: Sequence[int], dtype: Any = float) -> Any:
    """Ones."""
    return fnp.ones(tuple(shape), dtype)


def constant(value: Any, dtype: Any = float) -> Initializer:
    """The same value everywhere."""
    return lambda key, shape, dtype=dtype: fnp.full(tuple(shape), value, dtype)


def uniform(scale: float = 1e-2, dtype: Any = float) -> Initializer:
    """Uniform in [0, scale)."""
    return lambda key, shape, dtype=dtype: _times(random.uniform(key, shape, dtype), scale)


def normal(stddev: float = 1e-2, dtype: Any = float) -> Initializer:
    """Normal with mean 0."""
    return lambda key, shape, dtype=dtype: _times(random.normal(key, shape, dtype), stddev)


def truncated_normal(
    stddev: float = 1e-2, dtype: Any = float, lower: float = -2.0, upper: float = 2.0
) -> Initializer:
    """Normal with mean 0, cut at `lower` and `upper` standard deviations."""
    return lambda key, shape, dtype=dtype: _times(
        random.truncated_normal(key, lower, upper, shape, dtype), stddev
    )


def variance_scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: int = -2,
    out_axis: int = -1,
    dtype: Any = float,
) -> Initializer:
    """Weights whose variance is scale / fan.

    Args:
        scale: the factor.
        mode: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal", "normal" or "uniform".
        in_axis, out_axis: of the weights; the others are a receptive field.
        dtype: of the weights, by default.
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        receptive = math.prod(shape) / (shape[in_axis] * shape[out_axis])
        fans = {"fan_in": shape[in_axis] * receptive, "fan_out": shape[out_axis] * receptive}
        fans["fan_avg"] = (fans["fan_in"] + fans["fan_out"]) / 2
        if mode not in fans:
            raise ValueError(f"variance_scaling takes a mode of {sorted(fans)}, got {mode!r}")
        variance = scale / fans[mode]
        if distribution == "normal":
            return _times(random.normal(key, shape, dtype), math.sqrt(variance))
        if distribution == "uniform":
            bound = math.sqrt(3 * variance)
            return random.uniform(key, shape, dtype, -bound, bound)
        if distribution == "truncated_normal":
            cut = 0.87962566103423978  # the standard deviation of a normal cut at ±2
            drawn = random.truncated_normal(key, -2, 2, shape, dtype)
            return _times(drawn, math.sqrt(variance) / cut)
        raise ValueError(f"variance_scaling does not know the distribution {distribution!r}")

    return init


def glorot_uniform(**axes: Any) -> Initializer:
    """Uniform with variance 1 / fan_avg (Glorot, Bengio 2010)."""
    return variance_scaling(1.0, "fan_avg", "uniform", **axes)


def glorot_normal(**axes: Any) -> Initializer:
    """Truncated normal with variance 1 / fan_avg (Glorot, Bengio 2010)."""
    return variance_scaling(1.0, "fan_avg", "truncated_normal", **axes)


def lecun_uniform(**axes: Any) -> Initializer:
    """Uniform with variance 1 / fan_in (LeCun et al. 1998)."""
    return variance_scaling(1.0, "fan_in", "uniform", **axes)


def lecun_normal(**axes: Any) -> Initializer:
    """Truncated normal with variance 1 / fan_in (LeCun et al. 1998)."""
    return variance_scaling(1.0, "fan_in", "truncated_normal", **axes)


def he_uniform(**axes: Any) -> Initializer:
    """Uniform with variance 2 / fan_in (He et al. 2015).

    >>> import functrans as ft
    >>> ft.nn.initializers.he_uniform()(ft.random.key(0), (3, 2), np.float32).shape
    (3, 2)
    """
    return variance_scaling(2.0, "fan_in", "uniform", **axes)


def he_normal(**axes: Any) -> Initializer:
    """Truncated normal with variance 2 / fan_in (He et al. 2015)."""
    return variance_scaling(2.0, "fan_in", "truncated_normal", **axes)


def orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = float) -> Initializer:
    """Random orthogonal columns, or rows where there are fewer of those (Saxe et al. 2014).

    Args:
        scale: their length.
        column_axis: the axis of the shape along which columns are numbered; all others number rows.
        dtype: the dtype where a call names none.

    Returns:
        A function (key, shape, dtype) → array, of two axes or more.

    Raises:
        ShapeError: a shape of fewer than two axes, when it is called.

    >>> import functrans as ft
    >>> w = ft.nn.initializers.orthogonal()(ft.random.key(0), (4, 2))
    >>> np.allclose(w.T @ w, np.eye(2))
    True
    """

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        if len(shape) < 2:
            raise ShapeError(f"orthogonal needs a shape of two axes or more: got {tuple(shape)}.")
        if 0 in shape:
            return fnp.zeros(tuple(shape), dtype)
        columns = shape[column_axis]
        rest = np.delete(shape, column_axis).tolist()
        q = random.orthogonal(key, math.prod(rest), (), dtype, columns)
        return _times(fnp.moveaxis(q.reshape(*rest, columns), -1, column_axis), scale)

    return init


def delta_orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = float) -> Initializer:
    """Kernels (space…, inputs, outputs) that are orthogonal in the middle and 0 around it.

    Arguments as for `orthogonal`. Xiao et al.: Dynamical Isometry and a Mean Field Theory of CNNs
    (2018).

    Raises:
        ShapeError: there are not one to three axes of space, or more inputs than outputs.

    >>> import functrans as ft
    >>> w = ft.nn.initializers.delta_orthogonal()(ft.random.key(0), (3, 2, 2))
    >>> fnp.linalg.norm(w, axis=(1, 2)).round(6)
    array([0.      , 1.414214, 0.      ])
    """
    matrix = orthogonal(scale, column_axis)

    def init(key: Any, shape: Sequence[int], dtype: Any = dtype) -> Any:
        *space, inputs, outputs = shape
        if len(space) not in (1, 2, 3):
            raise ShapeError(
                f"delta_orthogonal needs a shape of three to five axes: got {tuple(shape)}."
            )
        if outputs < inputs:
            raise ShapeError(
                f"delta_orthogonal needs at least as many outputs as inputs: got {tuple(shape)}."
            )
        middle = tuple((n - 1) // 2 for n in space)
        return at(fnp.zeros(tuple(shape), dtype))[middle].set(matrix(key, shape[-2:], dtype))

    return init


xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


def _times(x: Any, factor: float) -> Any:
    return x * np.asarray(factor, x.dtype)[()]
