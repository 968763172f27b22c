"""Gamma floats by rejection, differentiable in their shape, and what is made of them."""

from __future__ import annotations

import math
from typing import Any

from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.types import aval_of, dtype_of
from functrans.nn.activations import softmax
from functrans.primitives.custom_jvp import custom_jvp
from functrans.random.continuous import exponential, normal, uniform
from functrans.random.discrete import rademacher
from functrans.random.keys import Shape, check_key, common_shape, float_dtype, sample_shape, split
from functrans.scipy.gamma_quantiles import log_quantile_slope
from functrans.transforms.vmap import vmap


def _log_gamma(key: Any, a: Any) -> Any:
    """The logarithm of one gamma float (Marsaglia and Tsang 2000).

    It is that of shape a + 1, if a < 1, and of a uniform number to the power of 1 / a. The order in
    which the keys are used is that of JAX.
    """
    dtype, is_small = dtype_of(a), a < 1
    d = fnp.where(is_small, a + 1, a) - 1 / 3
    c = 1 / (3 * fnp.sqrt(d))

    def is_rejected(state: tuple) -> Any:
        _, x, v, u = state
        square = x * x
        outside = u >= 1 - 0.0331 * square * square
        return outside & (fnp.log(u) >= square / 2 + d * (1 - v + fnp.log(v)))

    def again(state: tuple) -> tuple:
        key, for_x, for_u = split(state[0], 3)
        x, v = _positive_cube(for_x, c)
        return key, x, v, uniform(for_u, (), dtype)

    key, for_boost = split(key)
    zero, one, two = dtype.type(0), dtype.type(1), dtype.type(2)
    v = lax.while_loop(is_rejected, again, (key, zero, one, two))[2]
    boost = fnp.where(is_small, -exponential(for_boost, (), dtype) / fnp.where(is_small, a, 1), 0)
    return fnp.where(a >= 0, fnp.log(d) + fnp.log(v) + boost, math.nan)


def _positive_cube(key: Any, c: Any) -> tuple[Any, Any]:
    """A normal float x for which 1 + c x is positive, and the cube of that."""

    def again(state: tuple) -> tuple:
        key, mine = split(state[0])
        x = normal(mine, (), dtype_of(c))
        return key, x, 1 + x * c

    start = key, dtype_of(c).type(0), dtype_of(c).type(-1)
    _, x, v = lax.while_loop(lambda state: state[2] <= 0, again, start)
    return x, v * v * v


@custom_jvp
def _log_gammas(a: Any, keys: Any) -> Any:
    return vmap(_log_gamma)(keys, a)


# implicit reparameterisation (Figurnov, Mohamed and Mnih 2018): the sample moves with a so that its
# quantile stays
_log_gammas.defjvps(lambda t, y, a, keys: t * log_quantile_slope(a, y), None)


def loggamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Logarithms of gamma floats, also where these are too small for the dtype.

    Args:
        key: uint32[2].
        a: positive floats, the shape parameters, to be broadcast to the shape of the sample.
        shape: of the sample; by default that of a.
        dtype: of floats.

    Returns:
        floats, differentiable with respect to a.

    >>> import functrans as ft
    >>> bool(np.isfinite(ft.random.loggamma(ft.random.key(0), 1e-6)))
    True
    """
    dtype = float_dtype(dtype, "loggamma")
    a = fnp.asarray(a, dtype)
    shape = common_shape(shape, a)
    size = math.prod(shape)
    flat = fnp.reshape(fnp.broadcast_to(a, shape), (size,))
    keys = split(check_key(key), size)
    return fnp.reshape(_log_gammas(flat, keys) if size else flat, shape)


def gamma(key: Any, a: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Gamma floats of scale one, with the density xᵃ⁻¹ exp(-x) / Γ(a).

    Arguments are those of `loggamma`. The derivative with respect to a is that at which the
    probability of values up to the sample does not change (Figurnov, Mohamed and Mnih 2018).

    >>> import functrans as ft
    >>> import functrans.numpy as fnp
    >>> mean = lambda a: fnp.mean(ft.random.gamma(ft.random.key(0), a, (100_000,)))
    >>> round(float(mean(3.0)), 1), round(float(ft.grad(mean)(3.0)), 1)
    (3.0, 1.0)
    """
    return fnp.exp(loggamma(key, a, shape, float_dtype(dtype, "gamma")))


def beta(key: Any, a: Any, b: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Beta floats, with the density xᵃ⁻¹ (1 - x)ᵇ⁻¹ / Β(a, b).

    Args:
        key: uint32[2].
        a, b: positive floats, to be broadcast to the shape.
        shape: of the sample; by default that of a and b, broadcast.
        dtype: of floats.

    Returns:
        floats from 0 to 1, differentiable with respect to a and b.

    >>> import functrans as ft
    >>> ft.random.beta(ft.random.key(0), 2.0, np.array([1.0, 3.0])).shape
    (2,)
    """
    dtype = float_dtype(dtype, "beta")
    a, b = fnp.asarray(a, dtype), fnp.asarray(b, dtype)
    shape, keys = common_shape(shape, a, b), split(key)
    logarithms = [loggamma(k, v, shape, dtype) for k, v in ((keys[0], a), (keys[1], b))]
    return softmax(fnp.stack(logarithms), axis=0)[0]


def dirichlet(key: Any, alpha: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Dirichlet vectors: positive, with the sum one.

    Args:
        key: uint32[2].
        alpha: positive floats [..., n].
        shape: the leading axes of the result; by default those of alpha.
        dtype: of floats.

    Returns:
        floats [*shape, n], differentiable with respect to alpha.

    Raises:
        ShapeError: alpha is no vector.

    >>> import functrans as ft
    >>> x = ft.random.dirichlet(ft.random.key(0), np.ones(3), (4,))
    >>> x.shape, bool(np.allclose(x.sum(-1), 1))
    ((4, 3), True)
    """
    dtype = float_dtype(dtype, "dirichlet")
    alpha = fnp.asarray(alpha, dtype)
    if not alpha.ndim:
        raise ShapeError(f"random.dirichlet needs vectors [..., n]: got {aval_of(alpha)}.")
    lead = alpha.shape[:-1] if shape is None else sample_shape(shape)
    return softmax(loggamma(key, alpha, (*lead, alpha.shape[-1]), dtype), axis=-1)


def chisquare(key: Any, df: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Sums of the squares of `df` standard normal floats; df need not be an integer.

    Args:
        key: uint32[2].
        df: positive floats, to be broadcast to the shape.
        shape: of the sample; by default that of df.
        dtype: of floats.

    >>> import functrans as ft
    >>> bool(ft.random.chisquare(ft.random.key(0), 3.0) > 0)
    True
    """
    dtype = float_dtype(dtype, "chisquare")
    return 2 * gamma(key, fnp.asarray(df, dtype) / 2, shape, dtype)


def t(key: Any, df: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Student's floats with `df` degrees of freedom; arguments are those of `chisquare`.

    >>> import functrans as ft
    >>> ft.random.t(ft.random.key(0), 3.0, (2,)).shape
    (2,)
    """
    dtype = float_dtype(dtype, "t")
    half = fnp.asarray(df, dtype) / 2
    shape, keys = common_shape(shape, half), split(key)
    return normal(keys[0], shape, dtype) * fnp.sqrt(half / gamma(keys[1], half, shape, dtype))


def f(key: Any, dfnum: Any, dfden: Any, shape: Shape | None = None, dtype: Any = float) -> Any:
    """Fisher's floats: quotients of two chi-square floats, each divided by its degrees of freedom.

    Args:
        key: uint32[2].
        dfnum, dfden: positive floats, to be broadcast to the shape.
        shape: of the sample; by default that of both, broadcast.
        dtype: of floats.

    >>> import functrans as ft
    >>> bool(ft.random.f(ft.random.key(0), 3.0, 5.0) > 0)
    True
    """
    dtype = float_dtype(dtype, "f")
    dfnum, dfden = fnp.asarray(dfnum, dtype), fnp.asarray(dfden, dtype)
    shape, keys = common_shape(shape, dfnum, dfden), split(key)
    above, below = chisquare(keys[1], dfnum, shape, dtype), chisquare(keys[0], dfden, shape, dtype)
    return above / dfnum / (below / dfden)


def generalized_normal(key: Any, p: Any, shape: Shape = (), dtype: Any = float) -> Any:
    """Floats with a density proportional to exp(-|x|ᵖ).

    Args:
        key: uint32[2].
        p: a positive float.
        shape: of the sample.
        dtype: of floats.

    >>> import functrans as ft
    >>> ft.random.generalized_normal(ft.random.key(0), 4.0, (3,)).shape
    (3,)
    """
    dtype, keys = float_dtype(dtype, "generalized_normal"), split(key)
    size = loggamma(keys[0], 1 / fnp.asarray(p, dtype), shape, dtype)
    return fnp.exp(size / p) * rademacher(keys[1], shape, dtype)
