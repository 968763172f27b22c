"""Convolutions and matrix products one by one, beside PyTorch and NumPy; prints Markdown tables.

python -m benchmarks.products [--torch]. All libraries use the cores there are; float32. The least
of many calls: the forward pass of a layer, both its gradients, and products in the three layouts
that a layer and its gradients have.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

os.environ["FUNCTRANS_CACHE_DIR"] = tempfile.mkdtemp()

import functrans as ft
import functrans.numpy as fnp
from benchmarks.measure import least
from functrans import lax

LAYERS = [  # samples, inputs, extent, features, taps, stride
    (64, 16, 28, 32, 3, 1),
    (16, 64, 28, 64, 3, 1),
    (32, 64, 14, 128, 3, 1),
    (8, 3, 64, 32, 3, 1),
    (8, 128, 14, 128, 3, 1),
    (32, 32, 14, 64, 5, 1),
    (16, 64, 28, 64, 1, 1),
    (16, 64, 28, 128, 3, 2),
    (1, 64, 56, 64, 3, 1),
]
PRODUCTS = [(128, 64, 128), (32, 512, 512), (128, 784, 512), (512, 128, 512), (256, 256, 256)]
RNG = np.random.default_rng(0)


def array(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def convolution_row(layer: Sequence[int], torch: Any) -> str:
    """Milliseconds of the forward pass and of value and gradients, and the ratios."""
    n, inputs, extent, features, taps, stride = layer
    x, w = array(n, inputs, extent, extent), array(features, inputs, taps, taps)
    pads = [(taps // 2, taps // 2)] * 2

    def conv(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(x, w, (stride, stride), pads)

    def loss(x: Any, w: Any) -> Any:
        return fnp.sum(conv(x, w) ** 2)

    forward, gradients = ft.jit(conv), ft.jit(ft.grad(loss, (0, 1)))
    own = [least(lambda: forward(x, w)), least(lambda: gradients(x, w))]
    peer = torch_times(torch, x, w, stride, taps // 2) if torch else [None, None]
    flops = 2.0 * forward(x, w).size * inputs * taps * taps
    name = f"{n}×{inputs}×{extent}×{extent}, {features} of {taps}×{taps}, stride {stride}"
    cells = [shown(a, b) for a, b in zip(own, peer, strict=True)]
    return f"| {name} | {' | '.join(cells)} | {flops / own[0] / 1e9:.0f} |"


def torch_times(torch: Any, x: Any, w: Any, stride: int, pad: int) -> list[float]:
    x, w = (torch.tensor(v, requires_grad=True) for v in (x, w))
    conv = lambda: torch.nn.functional.conv2d(x, w, stride=stride, padding=pad)

    def forward() -> Any:
        with torch.no_grad():
            return conv()

    return [least(forward), least(lambda: torch.autograd.grad((conv() ** 2).sum(), (x, w)))]


def product_row(m: int, k: int, n: int) -> str:
    """Microseconds beside NumPy's BLAS, of x y, xᵀ y and x yᵀ."""
    layouts: list[tuple[Callable[[Any, Any], Any], Any, Any]] = [
        (lambda x, y: x @ y, array(m, k), array(k, n)),
        (lambda x, y: x.T @ y, array(k, m), array(k, n)),
        (lambda x, y: x @ y.T, array(m, k), array(n, k)),
    ]
    cells = []
    for f, x, y in layouts:
        compiled = ft.jit(f)
        own, numpy = least(partial(compiled, x, y)), least(partial(f, x, y))
        cells.append(shown(own, numpy))
    return f"| {m}×{k} by {k}×{n} | {' | '.join(cells)} |"


def shown(own: float, peer: float | None) -> str:
    time = f"{own * 1e3:.2f} ms" if own >= 1e-3 else f"{own * 1e6:.0f} µs"
    return time if peer is None else f"{time} ({own / peer:.2f})"


def main() -> None:
    torch = None
    if "--torch" in sys.argv:
        import torch
    print("| convolution | forward (× PyTorch) | gradients (× PyTorch) | forward, Gflop/s |")
    print("|---|--:|--:|--:|")
    for layer in LAYERS:
        print(convolution_row(layer, torch), flush=True)
    print("\n| product | x y (× NumPy) | xᵀ y | x yᵀ |\n|---|--:|--:|--:|")
    for m, k, n in PRODUCTS:
        print(product_row(m, k, n), flush=True)


if __name__ == "__main__":
    main()
