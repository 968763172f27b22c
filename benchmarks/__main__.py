"""`python -m benchmarks [--peers jax,torch,autograd] [--only TEXT] [--runs N] [--write]`.

Every library runs every workload in processes of its own: cold (empty cache), warm (a second
process with the cache of the first), and steady state (the least time of many calls). Results are
compared between libraries. `--write` makes docs/performance.md and its figures.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import report
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import Workload

TIMEOUT = 60.0
"""Seconds after which a process is given up; the page then says that it took longer."""

Measured = dict[str, Any]


def measure(library: str, workload: str, cache: str) -> Measured | None:
    """One fresh process; None if it took too long."""
    environment = {**os.environ, "FUNCTRANS_CACHE_DIR": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # a machine may pin OpenBLAS, and with it some of the libraries, to an older processor's kernels
    environment.pop("OPENBLAS_CORETYPE", None)
    command = [sys.executable, "-m", "benchmarks.measure", library, workload]
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise SystemExit(f"{library}, {workload}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def best(library: str, workload: str, runs: int) -> Measured | None:
    """The least of several cold processes, and of warm ones with their cache."""
    cold, warm = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            found = measure(library, workload, cache)
            if found is None:
                return None
            cold.append(found)
            if library == "functrans":  # the others keep nothing between processes
                again = measure(library, workload, cache)
                assert again is not None  # the cold one was faster than the limit
                warm.append(again)
    everything = cold + warm

    def least(key: str, of: list[Measured]) -> float | None:
        return min((r[key] for r in of if key in r), default=None)

    result = {key: least(key, everything) for key in ("import", "steady", "primal")}
    return {
        **result,
        "cold": least("first", cold),
        "warm": least("first", warm),
        "again": least("again", cold),
        "digest": cold[0]["digest"],
    }


def compare(workload: Workload, peer: str, a: list[float], b: list[float]) -> None:
    """Stop if two libraries do not agree."""
    for x, y in zip(a, b, strict=True):
        if not math.isclose(x, y, rel_tol=workload.tolerance, abs_tol=1e-4):
            raise SystemExit(f"{workload.name}: functrans gives {x}, {peer} {y}")


def run(peers: list[str], only: str, runs: int) -> dict[str, dict[str, Measured | None]]:
    """What was measured, by workload and library."""
    found: dict[str, dict[str, Measured | None]] = {}
    for name, workload in WORKLOADS.items():
        if only not in name:
            continue
        libraries = ["functrans", *(p for p in peers if p in workload.peers)]
        row = {library: best(library, name, runs) for library in libraries}
        own = row["functrans"]
        for peer, other in row.items():
            if own is not None and other is not None:
                compare(workload, peer, own["digest"], other["digest"])
        found[name] = row
        print(report.line(name, row), flush=True)
    return found


def imports(peers: list[str]) -> dict[str, float]:
    """Seconds to import each library after NumPy."""
    with tempfile.TemporaryDirectory() as cache:
        times = {}
        for library in ["functrans", *peers]:
            each = [measure(library, "import", cache) for _ in range(3)]
            times[library] = min(m["import"] for m in each if m is not None)
        return times


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", default="jax", help="comma-separated; empty for none")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--runs", type=int, default=1, help="processes of each kind")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    peers = [p for p in options.peers.split(",") if p]
    found = run(peers, options.only, options.runs)
    page = report.page(found, imports(peers))
    print(page)
    if options.write:
        report.write(page, found)


if __name__ == "__main__":
    main()
