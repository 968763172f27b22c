"""`python -m benchmarks [--peers jax,torch,autograd] [--only TEXT] [--runs N] [--write]`.

Every library runs every workload in processes of its own: cold (empty cache), warm (a second
process with the cache of the first), and steady state (the least time of many calls). The values
of the results are compared between libraries. `--write` makes docs/performance.md and its figures;
`--results FILE` adds what is measured to what the file holds, so that the suite can run in parts.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import report
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import Workload

TIMEOUT = 60.0
"""Seconds after which a process is given up; the page then says that it took longer."""

TOLERANCES = {"float32": 1e-3, "float64": 1e-7}
"""Largest difference of two results, relative to the largest number of the array."""

Measured = dict[str, Any]  # figures by name, or {"failed": why there are none}


def measure(library: str, workload: str, cache: str, values: Path | None = None) -> Measured:
    """One fresh process."""
    environment = {**os.environ, "FUNCTRANS_CACHE_DIR": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    # a machine may pin OpenBLAS, and with it some of the libraries, to an older processor's kernels
    environment.pop("OPENBLAS_CORETYPE", None)
    command = [sys.executable, "-m", "benchmarks.measure", library, workload]
    command += [str(values)] if values else []
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"over {TIMEOUT:.0f} s"}
    if done.returncode:
        print(f"{library}, {workload}:\n{done.stderr}", file=sys.stderr)
        return {"failed": "error"}
    return json.loads(done.stdout.splitlines()[-1])


def best(library: str, workload: str, runs: int, values: Path) -> Measured:
    """The least of several cold processes, and of warm ones with their cache."""
    kinds: dict[str, list[Measured]] = {"cold": [], "warm": []}
    if library != "functrans":  # the others keep nothing between processes
        del kinds["warm"]
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            for found in kinds.values():
                found.append(measure(library, workload, cache, values))
                if "failed" in found[-1]:
                    return found[-1]

    def least(key: str, *of: str) -> float | None:
        return min((m[key] for kind in of for m in kinds.get(kind, ()) if key in m), default=None)

    everything = {key: least(key, "cold", "warm") for key in ("import", "steady", "primal")}
    return {
        **everything,
        "cold": least("first", "cold"),
        "warm": least("first", "warm"),
        "again": least("again", "cold"),
        "again warm": least("again", "warm"),
    }


def difference(workload: Workload, own: Path, other: Path) -> str | None:
    """How the results of two libraries differ; None if they agree."""
    with np.load(own) as ours, np.load(other) as theirs:
        if len(ours.files) != len(theirs.files):
            return f"{len(ours.files)} arrays and {len(theirs.files)}"
        for name in ours.files:
            a, b = ours[name], theirs[name]
            if a.shape != b.shape or a.dtype != b.dtype:
                return f"{name} is {a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}"
            allowed = workload.tolerance or TOLERANCES.get(str(b.dtype), 0.0)
            error = float(np.max(np.abs(a - b), initial=0.0))
            scale = float(np.max(np.abs(b), initial=0.0))
            if not error <= allowed * scale:  # a nan is a difference too
                return f"{name} differs by {error:.2g}, where numbers go up to {scale:.2g}"
    return None


def row(workload: Workload, peers: list[str], runs: int) -> dict[str, Measured]:
    """One workload by all libraries that take part."""
    with tempfile.TemporaryDirectory() as folder:
        libraries = ["functrans", *(p for p in peers if p in workload.peers)]
        files = {library: Path(folder, f"{library}.npz") for library in libraries}
        found = {lib: best(lib, workload.name, runs, file) for lib, file in files.items()}
        for peer in libraries[1:]:
            if "failed" not in found["functrans"] and "failed" not in found[peer]:
                why = difference(workload, files["functrans"], files[peer])
                if why is not None:
                    print(f"{workload.name}: functrans and {peer}: {why}", file=sys.stderr)
                    found[peer] = {"failed": "other result"}
        return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", default="jax", help="comma-separated; empty for none")
    parser.add_argument("--only", default="", help="workloads whose name contains this")
    parser.add_argument("--runs", type=int, default=1, help="processes of each kind")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--results", type=Path, help="a JSON file to add to, and to report")
    options = parser.parse_args()
    peers = [p for p in options.peers.split(",") if p]
    known: dict[str, dict[str, Measured]] = {}
    if options.results and options.results.exists():
        known = json.loads(options.results.read_text())
    for name, workload in WORKLOADS.items():
        if options.only in name:
            known[name] = known.get(name, {}) | row(workload, peers, options.runs)
            print(report.line(name, known[name]), flush=True)
            if options.results:
                options.results.write_text(json.dumps(known, indent=1))
    found = {name: known[name] for name in WORKLOADS if name in known}
    page = report.page(found)
    if options.write:
        report.write(page, found)
    else:
        print(page)
    if any(
        m.get("failed") in ("error", "other result") for r in found.values() for m in r.values()
    ):
        raise SystemExit("Some workloads failed, or gave another result than functrans did.")


if __name__ == "__main__":
    main()
