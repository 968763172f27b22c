"""Attention: averages of values, weighted by how queries match keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.nn.activations import softmax


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
) -> Any:
    """`jax.nn.dot_product_attention`: softmax(scale · query · keyᵀ + bias) · value, for every head.

    Args:
        query: (B, T, N, H), or (T, N, H): batch, position, head, feature.
        key: (B, S, K, H), or (S, K, H). Each of its heads serves N / K heads of the query, one
            after the other (grouped queries; K = 1 is multi-query attention).
        value: of key's shape.
        bias: added to the logits; of a shape that broadcasts to (B, N, T, S), or to (N, T, S)
            where there is no batch.
        mask: booleans, likewise: a query attends where it is true. One that may attend nowhere
            gets the mean of all values.
        scale: of the products of queries and keys; None for 1 / √H.
        is_causal: let a query attend only to positions up to its own.

    Returns:
        Like query. The softmax is computed in float32 at least.

    Raises:
        ShapeError: shapes that do not fit together.
        DTypeError: the mask is not boolean.

    >>> query = key = np.zeros((1, 3, 2, 4))
    >>> value = np.arange(3.0).reshape(1, 3, 1, 1) * np.ones((1, 3, 2, 4))
    >>> dot_product_attention(query, key, value, is_causal=True)[0, :, 0, 0].tolist()
    [0.0, 0.5, 1.0]
    """
    q, k, v = (fnp.asarray(x) for x in (query, key, value))
    _check_operands(q, k, v)
    if len(shape_of(q)) == 3:
        q, k, v = (x[None] for x in (q, k, v))
    (batch, targets, heads, features), (_, sources, shared, _) = shape_of(q), shape_of(k)
    grouped = fnp.reshape(q, (batch, targets, shared, heads // shared, features))
    logits = fnp.einsum("btkgh,bskh->bkgts", grouped, k)
    logits = fnp.reshape(logits, (batch, heads, targets, sources))
    logits = fnp.astype(logits, np.promote_types(dtype_of(logits), np.float32))
    logits = logits * (1 / math.sqrt(features) if scale is None else scale)
    if bias is not None:
        logits = fnp.astype(logits + _broadcasting("bias", bias, logits), dtype_of(logits))
    logits = _masked(logits, mask, is_causal)
    weights = fnp.astype(softmax(logits, -1), dtype_of(k))
    weights = fnp.reshape(weights, (batch, shared, heads // shared, targets, sources))
    out = fnp.einsum("bkgts,bskh->btkgh", weights, v)
    return fnp.reshape(out, shape_of(query))


def _check_operands(q: Any, k: Any, v: Any) -> None:
    shown = f"got query: {aval_of(q)}, key: {aval_of(k)} and value: {aval_of(v)}."
    rank = len(shape_of(q))
    if rank not in (3, 4) or len(shape_of(k)) != rank or shape_of(k) != shape_of(v):
        raise ShapeError(
            "dot_product_attention needs a query (B, T, N, H), and a key and value of one shape "
            f"(B, S, K, H), or all without B: {shown}"
        )
    (*batch, _, heads, features), (*same, _, shared, others) = shape_of(q), shape_of(k)
    if batch != same or features != others:
        raise ShapeError(
            f"dot_product_attention needs one batch, and as many features of query and key: {shown}"
        )
    if not shared or heads % shared:
        raise ShapeError(
            "dot_product_attention needs as many heads of the query as of the key, or a multiple: "
            f"{shown}"
        )


def _broadcasting(name: str, x: Any, logits: Any) -> Any:
    try:
        fits = np.broadcast_shapes(shape_of(x), shape_of(logits)) == shape_of(logits)
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"dot_product_attention needs a {name} that broadcasts to the logits (B, N, T, S): got "
            f"{aval_of(x)} and logits {aval_of(logits)}."
        )
    return x


def _masked(logits: Any, mask: Any, is_causal: bool) -> Any:
    """The logits, and a large negative number where nothing is to be attended to.

    Not -inf, of which the softmax of a query without any position would be nan.
    """
    allowed = None
    if mask is not None:
        if dtype_of(mask) != np.bool_:
            raise DTypeError(f"dot_product_attention needs a boolean mask: got {aval_of(mask)}.")
        allowed = _broadcasting("mask", mask, logits)
    if is_causal:
        targets, sources = shape_of(logits)[-2:]
        causal = fnp.tri(targets, sources, dtype=bool)
        allowed = causal if allowed is None else allowed & causal
    if allowed is None:
        return logits
    dtype = dtype_of(logits)
    return fnp.where(allowed, logits, dtype.type(-0.7 * np.finfo(dtype).max))
