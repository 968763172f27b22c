"""One measurement in this process: `python -m benchmarks.measure LIBRARY WORKLOAD [FILE]`.

Prints a line of JSON: seconds to import, seconds of the first call, least seconds of a later call,
and of the primal alone where there is one. The results go to FILE, for comparing libraries.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

SECONDS = 1.0
"""How long the steady state is sampled."""


def main(library: str, name: str, file: str | None = None) -> None:
    """Measure and print."""
    import numpy as np

    start = time.perf_counter()
    importlib.import_module(library)
    found: dict[str, Any] = {"import": time.perf_counter() - start}

    from benchmarks.libraries import load
    from benchmarks.trees import leaves_of, map_tree
    from benchmarks.workloads import WORKLOADS

    lib, workload = load(library), WORKLOADS[name]
    function, args = workload.make(lib)
    args = map_tree(lib.asarray, args)
    start = time.perf_counter()
    result = lib.block(function(*args))
    found["first"] = time.perf_counter() - start
    # copies: a library may update its arguments in place in later calls
    values = [np.array(x) for x in leaves_of(result)]
    if not workload.first_only:
        found["steady"] = least(lambda: lib.block(function(*args)))
    if workload.primal is not None:
        primal, args = workload.primal(lib)
        args = map_tree(lib.asarray, args)
        found["primal"] = least(lambda: lib.block(primal(*args)))
    if workload.again is not None:
        args = map_tree(lib.asarray, workload.again(lib))
        start = time.perf_counter()
        result = lib.block(function(*args))
        found["again"] = time.perf_counter() - start
        values += [np.array(x) for x in leaves_of(result)]
    if file is not None:
        np.savez(file, *values)
    print(json.dumps(found))


def least(call: Callable[[], Any]) -> float:
    """The least time of a call."""
    call()
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        # so many calls that reading the clock does not count
        calls = 1 if not times or min(times) > 2e-4 else 20
        start = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - start) / calls)
    return min(times)


if __name__ == "__main__":
    main(*sys.argv[1:])
