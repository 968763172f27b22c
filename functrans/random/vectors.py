"""Normal vectors, orthogonal matrices, and points of a ball."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.types import aval_of
from functrans.random.continuous import exponential, normal
from functrans.random.gammas import generalized_normal
from functrans.random.keys import Shape, float_dtype, sample_shape, split


def multivariate_normal(
    key: Any,
    mean: Any,
    cov: Any,
    shape: Shape | None = None,
    dtype: Any = float,
    method: str = "cholesky",
) -> Any:
    """Normal vectors with a mean and a covariance.

    Args:
        key: uint32[2].
        mean: floats [..., n].
        cov: floats [..., n, n], symmetric and positive definite; semidefinite for "eigh" and "svd".
        shape: the leading axes of the result; by default those of mean and cov, broadcast.
        dtype: of the result.
        method: of the square root of cov: "cholesky", "eigh" or "svd".

    Returns:
        floats [*shape, n], differentiable with respect to mean and cov.

    Raises:
        ShapeError: mean is no vector, or cov no matrix of its length.
        ValueError: there is no such method.

    >>> import functrans as ft
    >>> ft.random.multivariate_normal(ft.random.key(0), np.zeros(2), np.eye(2), (5,)).shape
    (5, 2)
    """
    dtype = float_dtype(dtype, "multivariate_normal")
    mean, cov = fnp.asarray(mean, dtype), fnp.asarray(cov, dtype)
    if mean.ndim < 1 or cov.ndim < 2 or cov.shape[-2:] != (mean.shape[-1],) * 2:
        raise ShapeError(
            "random.multivariate_normal needs a mean [..., n] and a covariance [..., n, n]: got "
            f"{aval_of(mean)} and {aval_of(cov)}."
        )
    own = np.broadcast_shapes(mean.shape[:-1], cov.shape[:-2])
    lead = own if shape is None else sample_shape(shape)
    root = _square_root(cov, method)
    return mean + fnp.matvec(root, normal(key, (*lead, mean.shape[-1]), dtype))


def _square_root(cov: Any, method: str) -> Any:
    if method == "cholesky":
        return fnp.linalg.cholesky(cov)
    if method == "eigh":
        values, vectors = fnp.linalg.eigh(cov)
    elif method == "svd":
        vectors, values, _ = fnp.linalg.svd(cov)
    else:
        raise ValueError(f"method must be 'cholesky', 'eigh' or 'svd': got {method!r}.")
    return vectors * fnp.sqrt(values)[..., None, :]


def orthogonal(
    key: Any, n: int, shape: Shape = (), dtype: Any = float, m: int | None = None
) -> Any:
    """Orthogonal matrices, uniformly distributed: the factor Q of normal ones (Mezzadri 2007).

    Args:
        key: uint32[2].
        n: how many rows.
        shape: the leading axes of the result.
        dtype: of floats.
        m: how many columns; n by default. Of the two, the shorter ones are orthonormal.

    Returns:
        floats [*shape, n, m].

    >>> import functrans as ft
    >>> q = ft.random.orthogonal(ft.random.key(0), 3)
    >>> bool(np.allclose(q @ q.T, np.eye(3)))
    True
    """
    m = n if m is None else m
    tall = (*sample_shape(shape), max(n, m), min(n, m))
    q, r = fnp.linalg.qr(normal(key, tall, float_dtype(dtype, "orthogonal")))
    signs = fnp.sign(fnp.diagonal(r, axis1=-2, axis2=-1))
    q = q * signs[..., None, :]
    return fnp.matrix_transpose(q) if n < m else q


def ball(key: Any, d: int, p: float = 2, shape: Shape = (), dtype: Any = float) -> Any:
    """Points of the unit ball of the p-norm, uniformly distributed (Barthe et al. 2005).

    Args:
        key: uint32[2].
        d: the dimension.
        p: of the norm, positive.
        shape: the leading axes of the result.
        dtype: of floats.

    Returns:
        floats [*shape, d].

    >>> import functrans as ft
    >>> points = ft.random.ball(ft.random.key(0), 3, shape=(100,))
    >>> bool((np.linalg.norm(points, axis=-1) <= 1).all())
    True
    """
    dtype, shape, keys = float_dtype(dtype, "ball"), sample_shape(shape), split(key)
    direction = generalized_normal(keys[0], p, (*shape, d), dtype)
    beyond = exponential(keys[1], shape, dtype)
    length = (fnp.sum(fnp.abs(direction) ** p, axis=-1) + beyond) ** (1 / p)
    return direction / length[..., None]
