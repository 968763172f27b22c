"""Layers and training steps as each library's users write them.

For the libraries that fuse, these are formulas; for PyTorch its own functions, which are its
fastest, and its optimizer, which updates in place.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.trees import leaves_of, map_tree

RATE, DECAY1, DECAY2, SMALL = 1e-3, 0.9, 0.999, 1e-8
"""Adam's parameters, PyTorch's defaults."""


def formulas(xp: Any, value_and_grad: Callable[..., Any], lax: Any = None) -> SimpleNamespace:
    """For functrans, JAX and autograd; `lax` is for convolutions and loops."""

    def softmax(x: Any) -> Any:
        e = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
        return e / xp.sum(e, axis=-1, keepdims=True)

    def layer_norm(x: Any, scale: Any = None, shift: Any = None) -> Any:
        centred = x - xp.mean(x, axis=-1, keepdims=True)
        y = centred / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + 1e-5)
        return y if scale is None else y * scale + shift

    def cross_entropy(x: Any, y: Any) -> Any:
        """The mean over rows of the cross entropy between softmax(x) and y."""
        peak = xp.max(x, axis=1, keepdims=True)
        total = xp.log(xp.sum(xp.exp(x - peak), axis=1, keepdims=True)) + peak
        return -xp.mean(xp.sum(y * (x - total), axis=1))

    def silu(x: Any) -> Any:
        return x / (1 + xp.exp(-x))

    def attention(q: Any, k: Any, v: Any) -> Any:
        return softmax(q @ xp.swapaxes(k, -2, -1) * q.shape[-1] ** -0.5) @ v

    def lstm(xs: Any, w: Any, u: Any, b: Any) -> Any:
        """The last output for xs of shape (time, batch, features); gates in PyTorch's order."""
        h = u.shape[0]

        def step(carry: Any, x: Any) -> Any:
            c, s = carry
            z = x @ w + s @ u + b
            i, f, g, o = (z[:, k * h : (k + 1) * h] for k in range(4))
            i, f, o = (1 / (1 + xp.exp(-gate)) for gate in (i, f, o))
            c = f * c + i * xp.tanh(g)
            return (c, o * xp.tanh(c)), None

        zero = xp.zeros((xs.shape[1], h), xs.dtype)
        return lax.scan(step, (zero, zero), xs)[0][1]

    def conv(x: Any, w: Any, b: Any) -> Any:
        return lax.conv_general_dilated(x, w, (1, 1), "SAME") + b[:, None, None]

    def pool(x: Any) -> Any:
        low = np.asarray(-np.inf, x.dtype)
        return lax.reduce_window(x, low, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")

    def each(f: Callable[..., Any], *trees: Any) -> Any:
        return [tuple(map(f, *row)) for row in zip(*trees, strict=True)]

    def adam_step(loss: Callable[..., Any]) -> Callable[..., Any]:
        """From parameters, Adam's state and data to new parameters, state and the loss."""

        def update(p: Any, m: Any, v: Any, first: Any, second: Any) -> Any:
            return p - RATE * (m / first) / (xp.sqrt(v / second) + SMALL)

        def step(params: Any, state: Any, *data: Any) -> Any:
            value, gradient = value_and_grad(loss)(params, *data)
            mean, square, count = state
            count = count + 1
            first, second = 1 - DECAY1**count, 1 - DECAY2**count
            mean = each(lambda m, g: DECAY1 * m + (1 - DECAY1) * g, mean, gradient)
            square = each(lambda v, g: DECAY2 * v + (1 - DECAY2) * g * g, square, gradient)
            params = each(lambda p, m, v: update(p, m, v, first, second), params, mean, square)
            return params, (mean, square, count), value

        return step

    return SimpleNamespace(
        softmax=softmax,
        layer_norm=layer_norm,
        cross_entropy=cross_entropy,
        silu=silu,
        attention=attention,
        lstm=lstm,
        conv=conv,
        pool=pool,
        adam_step=adam_step,
    )


def of_torch() -> SimpleNamespace:
    """PyTorch's own."""
    import torch

    functional = torch.nn.functional

    def layer_norm(x: Any, scale: Any = None, shift: Any = None) -> Any:
        return functional.layer_norm(x, x.shape[-1:], scale, shift, 1e-5)

    def lstm(xs: Any, w: Any, u: Any, b: Any) -> Any:
        zero = xs.new_zeros((1, xs.shape[1], u.shape[0]))
        weights = (w.T, u.T, b, torch.zeros_like(b))
        flags = (True, 1, 0.0, False, False, False)  # biases, layers, dropout, train, both ways …
        return torch.lstm(xs, (zero, zero), weights, *flags)[1][0]

    def adam_step(loss: Callable[..., Any]) -> Callable[..., Any]:
        held: Any = None
        optimizer: Any = None

        def step(params: Any, _: Any, *data: Any) -> Any:
            nonlocal held, optimizer
            if optimizer is None:  # later calls go on from what the earlier ones have reached
                held = map_tree(lambda x: x.detach().clone().requires_grad_(True), params)
                betas = (DECAY1, DECAY2)
                optimizer = torch.optim.Adam(leaves_of(held), RATE, betas, SMALL, fused=True)
            optimizer.zero_grad()
            value = loss(held, *data)
            value.backward()
            optimizer.step()
            mean, square, count = (
                [optimizer.state[p][key] for p in leaves_of(held)]
                for key in ("exp_avg", "exp_avg_sq", "step")
            )
            new = [p.detach() for p in leaves_of(held)]
            return new, (mean, square, count[0].to(value.dtype)), value.detach()

        return step

    return SimpleNamespace(
        softmax=lambda x: torch.softmax(x, -1),
        layer_norm=layer_norm,
        cross_entropy=functional.cross_entropy,
        silu=functional.silu,
        attention=functional.scaled_dot_product_attention,
        lstm=lstm,
        conv=lambda x, w, b: functional.conv2d(x, w, b, padding="same"),
        pool=lambda x: functional.max_pool2d(x, 2),
        adam_step=adam_step,
    )
