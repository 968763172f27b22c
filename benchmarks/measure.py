"""One measurement in this process: `python -m benchmarks.measure LIBRARY WORKLOAD`.

Prints a line of JSON: seconds to import, seconds of the first call, least seconds of a later call,
and a digest of the result for comparing libraries.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

SECONDS = 1.5
"""How long the steady state is sampled."""


def main(library: str, workload: str) -> None:
    """Measure and print."""
    import numpy as np

    start = time.perf_counter()
    importlib.import_module(library)
    imported = time.perf_counter() - start
    if workload == "import":
        print(json.dumps({"import": imported}))
        return
    from benchmarks.workloads import WORKLOADS, load

    lib = load(library)
    function, args = WORKLOADS[workload](lib)
    args = _map(lib.asarray, args)
    start = time.perf_counter()
    result = lib.block(function(*args))
    first = time.perf_counter() - start
    times = []
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _i in range(_batch(times)):
            lib.block(function(*args))
        times.append((time.perf_counter() - start) / _batch(times))
    leaves = [np.asarray(x, float) for x in _leaves(result)]
    digest = [float(np.sum(np.abs(x))) for x in leaves]
    print(json.dumps({"import": imported, "first": first, "steady": min(times), "digest": digest}))


def _batch(times: list[float]) -> int:
    """Calls per sample: enough that reading the clock does not count."""
    return 1 if not times or times[0] > 2e-4 else 20


def _map(f: Any, x: Any) -> Any:
    if isinstance(x, list | tuple):
        return type(x)(_map(f, y) for y in x)
    return f(x)


def _leaves(x: Any) -> list[Any]:
    return [leaf for y in x for leaf in _leaves(y)] if isinstance(x, list | tuple) else [x]


if __name__ == "__main__":
    main(*sys.argv[1:])
