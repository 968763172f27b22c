"""Time against memory of a gradient through a million steps; writes into docs/checkpointing.md.

python -m benchmarks.checkpointing [--jax]. The loop is Runge–Kutta's method on the Lorenz system,
three numbers in its carry. Times are the least of three runs; memory is that of the temporaries.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import functrans as ft
from benchmarks.libraries import load
from benchmarks.workloads.loops import lorenz

STEPS, H = 1_000_000, 1e-5
KEPT = [3, 5, 10, 20, 50, 100, 384, 1000, 10_000, 100_000, None]
DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- measured: python -m benchmarks.checkpointing -->\n", "<!-- end -->"


def trajectory(library: str, **options: Any) -> Callable[[Any], Any]:
    """The sum of the state after all steps, as a function of the system's parameters."""
    return lorenz(load(library), STEPS, H, **options)[0]


def runs_of_a_step(slots: int | None) -> int:
    """How often a step is run forward at most: the least r with C(slots + r, r) >= STEPS."""
    r, reach = 0, 1
    while slots is not None and reach < STEPS:
        r += 1
        reach = reach * (slots + r) // r
    return r


def least(f: Callable[[Any], Any], x: Any, repeats: int = 3) -> float:
    """The least seconds of a call, after one to compile."""
    f(x)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        f(x)
        times.append(time.perf_counter() - start)
    return min(times)


def measure(kept: int | None, p: Any) -> tuple[float, float, float]:
    """Seconds of the gradient, of a product of the Hessian with a vector, and bytes."""
    gradient = ft.grad(trajectory("functrans", checkpoint=kept))
    first = ft.jit(gradient)
    second = ft.jit(lambda p: ft.jvp(gradient, (p,), (np.ones(3),))[1])
    memory = first.lower(p).memory_analysis()["temp_size_in_bytes"]
    return least(first, p), least(second, p), memory


def jax_seconds(p: Any) -> float:
    """JAX's gradient, which keeps every step."""
    import jax

    gradient = jax.jit(jax.grad(trajectory("jax")))
    return least(lambda p: jax.block_until_ready(gradient(p)), p)


def table(rows: list[tuple[int | None, float, float, float]], forward: float) -> str:
    """The measurements as Markdown."""
    lines = [
        "| carries kept | runs of a step | temporaries | gradient | × forward | Hessian · vector |",
        "|---|---|---|---|---|---|",
    ]
    for kept, first, second, memory in rows:
        name = "what is read of every step" if kept is None else f"{kept:,}"
        size = f"{memory / 1e6:.1f} MB" if memory >= 1e5 else f"{memory / 1e3:.1f} kB"
        lines.append(
            f"| {name} | {runs_of_a_step(kept)} | {size} | {first * 1e3:.0f} ms "
            f"| {first / forward:.1f} | {second * 1e3:.0f} ms |"
        )
    return "\n".join(lines) + f"\n\nThe loop itself takes {forward * 1e3:.1f} ms."


def draw(rows: list[tuple[int | None, float, float, float]]) -> None:
    """docs/figures/checkpointing.svg."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "functrans"
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    axes.loglog([r[3] for r in rows], [r[1] for r in rows], "o-", label="gradient")
    axes.loglog([r[3] for r in rows], [r[2] for r in rows], "s--", label="Hessian · vector")
    for kept, first, _, memory in rows:
        text = "all" if kept is None else str(kept)
        axes.annotate(text, (memory, first), xytext=(0, -12), textcoords="offset points")
    axes.set(xlabel="temporaries of the gradient, bytes", ylabel="seconds")
    axes.set_title("A million steps: carries kept, time and memory")
    axes.legend()
    figure.savefig(DOCS / "figures/checkpointing.svg", metadata={"Date": None})


def main() -> None:
    p = np.array([10.0, 28.0, 8 / 3])
    forward = least(ft.jit(trajectory("functrans")), p)
    rows = [(kept, *measure(kept, p)) for kept in KEPT]
    text = table(rows, forward)
    if "--jax" in sys.argv:
        text += f" JAX 0.10's gradient, which keeps every step, takes {jax_seconds(p):.2f} s."
    draw(rows)
    page = DOCS / "checkpointing.md"
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{text}\n\n{END}{after}")
    print(text)


if __name__ == "__main__":
    main()
