"""dot_product_attention is the sum that its definition says, masked, grouped, compiled, derived."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.core.errors import DTypeError, ShapeError
from functrans.test_util import check_grads
from tests.numpy.agreement import array

attention = ft.nn.dot_product_attention
B, T, S, N, H = 2, 3, 5, 4, 6


def reference(q: Any, k: Any, v: Any, bias: Any, allowed: Any, scale: float) -> Any:
    """One head and one query after the other."""
    out = np.empty(q.shape)
    for b, t, n in np.ndindex(q.shape[:3]):
        head = n // (q.shape[2] // k.shape[2])
        logits = scale * (k[b, :, head] @ q[b, t, n]) + bias[b, n, t]
        weights = np.where(allowed[b, n, t], np.exp(logits), 0)
        out[b, t, n] = weights / weights.sum() @ v[b, :, head]
    return out


LOGITS = (B, N, T, S)
MASK = array(LOGITS, "f8", 5) > -0.5
MASK[..., 0] = True
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "scale": {"scale": 0.3},
    "bias": {"bias": array(LOGITS, "f8", 4)},
    "bias of heads": {"bias": array((1, N, 1, S), "f8", 4)},
    "mask": {"mask": MASK},
    "mask of keys": {"mask": MASK[:, :1, :1]},
    "causal": {"is_causal": True},
    "all": {"bias": array((T, S), "f8", 4), "mask": MASK, "is_causal": True, "scale": 2.0},
}


@pytest.mark.parametrize("shared", [4, 2, 1])
@pytest.mark.parametrize("name", OPTIONS)
def test_values_and_derivatives(name: str, shared: int) -> None:
    options = OPTIONS[name]
    other = (B, S, shared, H)
    q, k, v = (array(s, "f8", i) for i, s in enumerate([(B, T, N, H), other, other]))
    bias = np.broadcast_to(options.get("bias", 0.0), LOGITS)
    allowed = np.broadcast_to(options.get("mask", True), LOGITS)
    if "is_causal" in options:
        allowed = allowed & np.tri(T, S, dtype=bool)
    want = reference(q, k, v, bias, allowed, options.get("scale", H**-0.5))

    def ours(q: Any, k: Any, v: Any) -> Any:
        return attention(q, k, v, **options)

    for dtype, near in ((np.float64, 1e-12), (np.float32, 1e-5)):
        xs = [x.astype(dtype) for x in (q, k, v)]
        own = {n: x.astype(dtype) if n == "bias" else x for n, x in options.items()}
        for got in (attention(*xs, **own), ft.jit(lambda *x: attention(*x, **own))(*xs)):
            assert got.dtype == dtype
            np.testing.assert_allclose(got, want, rtol=near, atol=near)
    many = ft.jit(ft.vmap(ours))(*[np.stack([x, x]) for x in (q, k, v)])
    np.testing.assert_allclose(many[1], want, rtol=1e-12, atol=1e-12)
    check_grads(ours, (q, k, v), 2, rtol=1e-4, atol=1e-4)
    if "bias" in options:
        rest = {n: x for n, x in options.items() if n != "bias"}
        check_grads(lambda b: attention(q, k, v, b, **rest), (options["bias"],), 2, rtol=1e-4)


def test_without_a_batch() -> None:
    q, k = array((T, N, H), "f8"), array((S, N, H), "f8", 1)
    got = attention(q, k, k, is_causal=True)
    assert got.shape == q.shape
    np.testing.assert_allclose(got, attention(q[None], k[None], k[None], is_causal=True)[0])


def test_a_query_that_may_attend_nowhere_gets_the_mean() -> None:
    q = array((1, T, N, H), "f8")
    mask = np.ones((1, 1, T, T), bool)
    mask[:, :, 1] = False
    np.testing.assert_allclose(attention(q, q, q, mask=mask)[0, 1], q[0].mean(0), atol=1e-12)
    assert np.isfinite(ft.grad(lambda x: attention(x, q, q, mask=mask).sum())(q)).all()


def test_half_precision() -> None:
    q = array((1, T, N, H), "f8")
    got = attention(*[q.astype(np.float16)] * 3)
    assert got.dtype == np.float16
    np.testing.assert_allclose(got, attention(q, q, q), atol=5e-3)


def test_errors() -> None:
    q = np.ones((B, T, N, H))
    with pytest.raises(ShapeError, match="key and value of one shape"):
        attention(q, q, q[:, :1])
    with pytest.raises(ShapeError, match="as many features"):
        attention(q, q[..., :2], q[..., :2])
    with pytest.raises(ShapeError, match="one batch"):
        attention(q, q[:1], q[:1])
    with pytest.raises(ShapeError, match="or a multiple"):
        attention(q, q[:, :, :3], q[:, :, :3])
    with pytest.raises(ShapeError, match="a bias that broadcasts to the logits"):
        attention(q, q, q, np.ones((N, T, 9)))
    with pytest.raises(DTypeError, match="a boolean mask"):
        attention(q, q, q, mask=np.ones((T, T)))
