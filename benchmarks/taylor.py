"""Derivatives of order 1 to 10 by Taylor mode and by nested forward mode; prints a Markdown table.

python -m benchmarks.taylor [--jax]. The function is a network of two hidden layers of 64 units,
of a number. First calls include tracing and compiling, without a cache; later ones are the least of
many.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ["FUNCTRANS_CACHE_DIR"] = tempfile.mkdtemp()

import functrans as ft

ORDERS = (1, 2, 3, 4, 6, 8, 10)
NESTED_UP_TO = 6
RNG = np.random.default_rng(0)
W1, W2, W3 = RNG.normal(size=64), RNG.normal(size=(64, 64)) / 8, RNG.normal(size=64) / 8


def network(xp: Any) -> Callable[[Any], Any]:
    return lambda x: xp.dot(W3, xp.tanh(W2 @ xp.tanh(W1 * x)))


def nested(jvp: Any, f: Any, order: int) -> Any:
    for _ in range(order):
        f = (lambda g: lambda x: jvp(g, (x,), (1.0,))[1])(f)
    return f


def timed(f: Callable[[Any], Any]) -> str:
    """First call and later ones."""
    start = time.perf_counter()
    f(0.3)
    first = time.perf_counter() - start
    times = []
    for _ in range(300):
        start = time.perf_counter()
        f(0.3)
        times.append(time.perf_counter() - start)
    return f"{first * 1e3:.0f} ms, {min(times) * 1e6:.1f} µs"


def jax_functions() -> tuple[Any, Any]:
    """(Taylor mode, nested forward mode) as functions of the order."""
    import jax
    from jax.experimental.jet import jet

    jax.config.update("jax_enable_x64", True)
    f = network(jax.numpy)

    def taylor(order: int) -> Any:
        series = ([1.0] + [0.0] * (order - 1),)
        g = jax.jit(lambda x: jet(f, (x,), series)[1][-1])
        return lambda x: jax.block_until_ready(g(x))

    def by_jvp(order: int) -> Any:
        g = jax.jit(nested(jax.jvp, f, order))
        return lambda x: jax.block_until_ready(g(x))

    return taylor, by_jvp


def main() -> None:
    f = network(ft.numpy)
    columns = {
        "`ft.derivative`": lambda n: ft.jit(ft.derivative(f, n)),
        "nested `ft.jvp`": lambda n: ft.jit(nested(ft.jvp, f, n)),
    }
    if "--jax" in sys.argv:
        columns["JAX `jet`"], columns["nested `jax.jvp`"] = jax_functions()
    print("| order |", " | ".join(columns), "|")
    print("|---|" + "---|" * len(columns))
    for n in ORDERS:
        cells = [
            timed(make(n)) if n <= NESTED_UP_TO or "nested" not in name else "–"
            for name, make in columns.items()
        ]
        print(f"| {n} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
