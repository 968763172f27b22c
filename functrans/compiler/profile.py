"""`profile`: where a compiled function spends its time, entry by entry of its schedule.

The measuring itself is in functrans/compiler/stopwatches.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np

from functrans.compiler.jit import JitFunction, jit


@dataclass(frozen=True)
class Row:
    """One entry of the schedule.

    Attributes:
        name: of the kernel or library call.
        depth: 0 outside of loops; time of entries inside is contained in that of the loop's.
        calls: per call of the function.
        seconds: in all its calls, per call of the function.
        flops, nbytes: per call of the entry, as the compiler estimates them; 0 if it does not.
        comment: what it is, and the user's lines.
    """

    name: str
    depth: int
    calls: float
    seconds: float
    flops: float
    nbytes: float
    comment: str


@dataclass(frozen=True)
class Peak:
    """What this machine reaches: Gflop/s of products of float32 and float64, GB/s of copies."""

    float32: float
    float64: float
    bandwidth: float


@dataclass(frozen=True)
class Profile:
    """Times of a compiled function; print it, or read `rows`.

    Attributes:
        rows: in the order of the schedule.
        seconds: of a whole call, stopwatches included; the least of the calls made.
        peak: of the machine, measured once per process.
    """

    rows: list[Row]
    seconds: float
    peak: Peak

    def __str__(self) -> str:
        lines = [
            f"{self.seconds * 1e6:.1f} µs a call; this machine reaches {self.peak.float32:.0f} "
            f"(float32) and {self.peak.float64:.0f} (float64) Gflop/s in products, "
            f"{self.peak.bandwidth:.1f} GB/s in copies",
            f"{'µs':>10} {'%':>5} {'calls':>7} {'Gflop/s':>8} {'GB/s':>7}  step",
        ]
        for row in sorted(self.rows, key=lambda r: -r.seconds):
            each = row.seconds / row.calls if row.calls else 0.0
            speed = f"{row.flops / each / 1e9:.1f}" if row.flops and each else ""
            flow = f"{row.nbytes / each / 1e9:.1f}" if row.nbytes and each else ""
            share = 100 * row.seconds / max(self.seconds, 1e-12)
            lines.append(
                f"{row.seconds * 1e6:10.2f} {share:5.1f} {row.calls:7.0f} {speed:>8} {flow:>7}  "
                f"{'  ' * row.depth}{row.name}  {row.comment}"
            )
        return "\n".join(lines)


def profile(fun: Callable[..., Any], *, repeat: int = 20) -> Callable[..., Profile]:
    """A function of the same arguments that runs `fun` compiled and says where its time goes.

    Args:
        fun: a function of arrays, or what `jit` made of one.
        repeat: how often it is run; times are means over the runs after the first.

    Returns:
        A function that returns a Profile.

    Raises:
        What `jit(fun)` raises for these arguments.

    >>> import functrans as ft, functrans.numpy as fnp, numpy as np
    >>> found = ft.profile(lambda x: fnp.sum(fnp.tanh(x @ x)))(np.ones((64, 64)))
    >>> [row.calls for row in found.rows]
    [1.0, 1.0]
    >>> print(str(found).splitlines()[1])
            µs     %   calls  Gflop/s    GB/s  step
    """
    compiled = fun if isinstance(fun, JitFunction) else jit(fun)

    def profiled(*args: Any, **kwargs: Any) -> Profile:
        from functrans.compiler.stopwatches import measure

        lowered = compiled.lower(*args, **kwargs)
        leaves = lowered.leaves(*args, **kwargs)
        rows, seconds = measure(lowered.schedule, lowered.program, leaves, repeat)
        return Profile(rows, seconds, machine_peak())

    return profiled


@cache
def machine_peak() -> Peak:
    """The best of a few products of 1024 × 1024 matrices, and of copies of 64 MB."""

    def best(run: Callable[[], Any]) -> float:
        times = []
        for _ in range(4):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        return min(times)

    speeds = []
    for dtype in (np.float32, np.float64):
        x = np.ones((1024, 1024), dtype)
        out = np.empty_like(x)
        speeds.append(2 * 1024**3 / best(partial(np.matmul, x, x, out=out)) / 1e9)
    source, target = np.ones(1 << 23), np.ones(1 << 23)
    moved = 2 * source.nbytes / best(partial(np.copyto, target, source)) / 1e9
    return Peak(speeds[0], speeds[1], moved)
