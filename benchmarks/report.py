"""docs/performance.md and its figures, from what was measured."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"

Row = Mapping[str, Any]
Found = Mapping[str, Row]
PEERS = ("jax", "torch", "autograd")


def line(name: str, row: Row) -> str:
    """One workload on one line, for the terminal."""
    times = (
        f"{lib} {m.get('failed') or shown(m['steady'] or m['cold'])}" for lib, m in row.items()
    )
    ratios = (f"{ratio(row, p, 'steady'):.2f} × {p}" for p in row if ratio(row, p, "steady"))
    return " | ".join([name, *times, *ratios])


def page(found: Found) -> str:
    """The page."""
    return f"""# Performance

Written by `python -m benchmarks --peers jax,torch,autograd --write` on {machine()}.
Every library runs every workload in fresh processes, and their results are compared. Ratios below 1
mean that functrans is faster.

## Steady state

The least time of a call, dispatch and fresh outputs included. PyTorch and autograd run eagerly.
*× value* is the time of value and gradient over the time of the value alone.

{steady_table(found)}

{mean_line(found, "steady", "Geometric mean of the ratios of steady-state times")}
{best_line(found)}

![Steady state relative to each peer](figures/steady.svg)

## First calls

Tracing, compilation and the first call. *Cold*: with an empty cache; *second process*: with the
object code of the first on disk, without and with the import of the library. JAX keeps nothing
between processes by default.

{first_table(found)}

{mean_line(found, "cold", "Geometric mean of cold first calls")}
{warm_line(found)}

![First calls relative to JAX](figures/first.svg)

Import after NumPy: {imports(found)}.

Elementary functions one by one are in [elementary.md](elementary.md).
OPENBLAS_CORETYPE is unset for all of this: OpenBLAS chooses its kernels for the processor it finds.
"""


def imports(found: Found) -> str:
    """The least import time of each library, of all its processes."""
    times = {
        lib: [t for row in found.values() if (t := figure(row, lib, "import"))]
        for lib in ("functrans", *PEERS)
    }
    return ", ".join(f"{lib} {shown(min(each))}" for lib, each in times.items() if each)


def steady_table(found: Found) -> str:
    rows = []
    for name, row in found.items():
        own, primal = figure(row, "functrans", "steady"), figure(row, "functrans", "primal")
        if any(figure(row, library, "steady") for library in row):
            cells = [cell(row, library, "steady") for library in ("functrans", *PEERS)]
            rows.append([name, *cells, f"{own / primal:.1f}" if own and primal else ""])
    return table(["workload", "functrans", *(f"{p} (ratio)" for p in PEERS), "× value"], rows)


def first_table(found: Found) -> str:
    rows = []
    for name, row in found.items():
        warm, start = figure(row, "functrans", "warm"), figure(row, "functrans", "import")
        cells = [cell(row, library, "cold") for library in ("functrans", "jax")]
        rows.append([name, *cells, shown(warm), shown(warm and start and warm + start)])
        if figure(row, "functrans", "again"):
            cells = [cell(row, library, "again") for library in ("functrans", "jax")]
            warm = figure(row, "functrans", "again warm")
            rows.append([f"{name}: at the new size", *cells, shown(warm), ""])
    return table(["workload", "cold", "JAX cold (ratio)", "second process", "with import"], rows)


def table(head: list[str], rows: Iterable[list[str]]) -> str:
    rules = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rules, *rows])


def figure(row: Row, library: str, key: str) -> float | None:
    """What was measured; None where a library has no such figure."""
    return row.get(library, {}).get(key)


def cell(row: Row, library: str, key: str) -> str:
    """A time, with the ratio to it; why there is none where a library failed."""
    why = row.get(library, {}).get("failed")
    r = ratio(row, library, key)
    return why or shown(figure(row, library, key)) + (f" ({r:.2f})" if r else "")


def ratio(row: Row, peer: str, key: str) -> float | None:
    """functrans over a peer; None where one of them has no figure."""
    own, other = figure(row, "functrans", key), figure(row, peer, key)
    return own / other if own and other and peer != "functrans" else None


def ratios(found: Found, peer: str, key: str) -> dict[str, float]:
    """By workload, where both have a figure."""
    every = {name: ratio(row, peer, key) for name, row in found.items()}
    return {name: r for name, r in every.items() if r is not None}


def mean(values: Iterable[float]) -> float | None:
    """The geometric mean."""
    logs = [math.log(v) for v in values]
    return math.exp(sum(logs) / len(logs)) if logs else None


def mean_line(found: Found, key: str, what: str) -> str:
    means = {p: mean(ratios(found, p, key).values()) for p in PEERS}
    shown_means = ", ".join(f"**{m:.2f}** × {p}" for p, m in means.items() if m is not None)
    return f"{what}: {shown_means}." if shown_means else ""


def best_line(found: Found) -> str:
    """Against whichever peer is fastest at each workload."""
    worst = []
    for row in found.values():
        each = [r for p in PEERS if (r := ratio(row, p, "steady")) is not None]
        worst += [max(each)] if each else []
    m = mean(worst)
    return f"Against the fastest peer of each workload: **{m:.2f}** ×." if m else ""


def warm_line(found: Found) -> str:
    """The second process against JAX's cold first call, which keeps nothing between processes."""
    first, both, alone = [], [], []
    for row in found.values():
        warm, start = figure(row, "functrans", "warm"), figure(row, "functrans", "import")
        cold, other = figure(row, "jax", "cold"), figure(row, "jax", "import")
        if warm and start and cold and other:
            first.append(warm / cold)
            both.append((warm + start) / (cold + other))
            alone.append((warm + start) / cold)
    if not first:
        return ""
    return (
        f"Second process against JAX's cold first call: **{mean(first):.2f}** × without imports, "
        f"**{mean(both):.2f}** × with the imports of both, **{mean(alone):.2f}** × with the import "
        "of functrans alone (geometric means)."
    )


def write(text: str, found: Found) -> None:
    """The page and its figures, into docs/."""
    (DOCS / "performance.md").write_text(text)
    (DOCS / "figures").mkdir(exist_ok=True)
    draw(found, "steady", PEERS, "steady state: time of functrans / time of the peer", "steady.svg")
    draw(found, "cold", ("jax",), "first call, cold: time of functrans / time of JAX", "first.svg")


def draw(found: Found, key: str, peers: Iterable[str], title: str, file: str) -> None:
    """Ratios on a logarithmic axis, a row per workload."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "functrans"  # the same figure is the same file
    import matplotlib.pyplot as plt

    by_peer = {p: ratios(found, p, key) for p in peers}
    names = [n for n in found if any(n in r for r in by_peer.values())][::-1]
    figure, axes = plt.subplots(figsize=(8, 0.24 * len(names) + 1.2), layout="constrained")
    for peer, marker in zip(by_peer, "osd", strict=False):
        points = [(by_peer[peer][n], i) for i, n in enumerate(names) if n in by_peer[peer]]
        if points:
            axes.scatter(*zip(*points, strict=True), s=22, marker=marker, label=peer, zorder=3)
    axes.axvline(1, color="0.4", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel(f"{title}  (left of 1: functrans is faster)", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(fontsize=8, loc="lower left")
    figure.savefig(DOCS / "figures" / file, metadata={"Date": None})
    plt.close(figure)


def machine() -> str:
    """Cores, processor and Python."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}"


UNITS: list[tuple[str, float]] = [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)]


def shown(seconds: float | None) -> str:
    """A time with its unit."""
    if not seconds:
        return "–"
    unit, scale = next((u for u in UNITS if seconds >= u[1]), UNITS[-1])
    return f"{seconds / scale:.3g} {unit}"
