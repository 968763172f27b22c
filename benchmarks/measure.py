"""One measurement in this process: `python -m benchmarks.measure LIBRARY WORKLOAD`.

Prints a line of JSON: seconds to import, seconds of the first call, least seconds of a later call,
of the primal alone where there is one, and a digest of the result for comparing libraries.
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


def main(library: str, name: str) -> None:
    """Measure and print."""
    import numpy as np

    start = time.perf_counter()
    importlib.import_module(library)
    found: dict[str, Any] = {"import": time.perf_counter() - start}
    if name != "import":
        from benchmarks.libraries import leaves_of, load, map_tree
        from benchmarks.workloads import WORKLOADS

        lib, workload = load(library), WORKLOADS[name]
        function, args = workload.make(lib)
        args = map_tree(lib.asarray, args)
        start = time.perf_counter()
        result = lib.block(function(*args))
        found["first"] = time.perf_counter() - start
        found["digest"] = [digest(np.asarray(x)) for x in leaves_of(result)]
        if not workload.first_only:
            found["steady"] = least(lambda: lib.block(function(*args)))
        if workload.primal is not None:
            primal, args = workload.primal(lib)
            args = map_tree(lib.asarray, args)
            found["primal"] = least(lambda: lib.block(primal(*args)))
        if workload.again is not None:
            args = map_tree(lib.asarray, workload.again())
            start = time.perf_counter()
            lib.block(function(*args))
            found["again"] = time.perf_counter() - start
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


def digest(x: Any) -> float:
    """The sum of absolute values."""
    import numpy as np

    return float(np.sum(np.abs(np.asarray(x, float))))


if __name__ == "__main__":
    main(*sys.argv[1:])
