"""`python -m benchmarks [--peers jax] [--only TEXT] [--write]`: a table of ratios.

Every library runs every workload in processes of its own: cold (empty cache), warm (second
process), and steady state (the least time of many calls). Results are compared between libraries.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.workloads import WORKLOADS

REPORT = Path(__file__).parent.parent / "docs" / "performance.md"


def measure(library: str, workload: str, cache: str) -> dict[str, Any]:
    """One fresh process."""
    environment = {**os.environ, "FUNCTRANS_CACHE_DIR": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # a machine may pin OpenBLAS, and with it some of the libraries, to an older processor's kernels
    environment.pop("OPENBLAS_CORETYPE", None)
    command = [sys.executable, "-m", "benchmarks.measure", library, workload]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{library}, {workload}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def best(library: str, workload: str, runs: int) -> dict[str, Any]:
    """The least of several cold processes, and of warm ones with their cache."""
    cold, warm = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(measure(library, workload, cache))
            warm.append(measure(library, workload, cache))
    everything = cold + warm
    return {
        "import": min(r["import"] for r in everything),
        "cold": min(r["first"] for r in cold),
        "warm": min(r["first"] for r in warm),
        "steady": min(r["steady"] for r in everything),
        "digest": cold[0]["digest"],
    }


def compare(name: str, a: list[float], b: list[float]) -> None:
    """Stop if two libraries do not agree."""
    for x, y in zip(a, b, strict=True):
        if not math.isclose(x, y, rel_tol=2e-3, abs_tol=1e-4):
            raise SystemExit(f"{name}: the libraries disagree: {x} and {y}")


def run(peers: list[str], only: str, runs: int) -> str:
    """The table as Markdown."""
    head = ["workload", "functrans"]
    head += [f"{p}" for p in peers] + [f"ratio to {p}" for p in peers]
    head += ["first call", *[f"{p}" for p in peers], "second process"]
    rows = [head, ["---"] * len(head)]
    ratios: dict[str, list[float]] = {p: [] for p in peers}
    for name in WORKLOADS:
        if only not in name:
            continue
        own = best("functrans", name, runs)
        others = {p: best(p, name, runs) for p in peers}
        row = [name, _time(own["steady"])]
        row += [_time(o["steady"]) for o in others.values()]
        for p, other in others.items():
            compare(name, own["digest"], other["digest"])
            ratios[p].append(own["steady"] / other["steady"])
            row.append(f"{ratios[p][-1]:.2f}")
        row += [_time(own["cold"]), *[_time(o["cold"]) for o in others.values()]]
        row.append(_time(own["warm"]))
        rows.append(row)
        print(" | ".join(row), flush=True)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    for p, values in ratios.items():
        mean = math.exp(sum(map(math.log, values)) / max(len(values), 1))
        lines.append(f"\nGeometric mean of the steady-state ratios to {p}: **{mean:.2f}**")
    with tempfile.TemporaryDirectory() as cache:
        imports = {
            lib: min(measure(lib, "import", cache)["import"] for _ in range(5))
            for lib in ["functrans", *peers]
        }
    shown = ", ".join(f"{lib} {_time(t)}" for lib, t in imports.items())
    lines.append(f"\nImport after NumPy: {shown}.")
    return "\n".join(lines)


def report(table: str) -> str:
    """The page docs/performance.md."""
    return f"""# Performance

Written by `python -m benchmarks --peers jax --write` on {_machine()}. Every figure is the least of
several fresh processes; steady state is the least time of a call, dispatch and fresh outputs
included. OPENBLAS_CORETYPE is unset: OpenBLAS chooses its kernels for the processor it
finds. *First call* is tracing, compilation and the call in a process with an empty cache;
*second process* is the same with the object code of the first on disk. Ratios below 1 mean that
functrans is faster.

{table}

Elementary functions one by one are in [elementary.md](elementary.md).
"""


def _machine() -> str:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", default="jax", help="comma-separated; empty for none")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--runs", type=int, default=2, help="processes of each kind")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    found = run([p for p in options.peers.split(",") if p], options.only, options.runs)
    print(found)
    if options.write:
        REPORT.write_text(report(found))
