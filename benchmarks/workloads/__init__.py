"""The workloads, a file per family: what is run, by which libraries, and what is measured of it."""

from __future__ import annotations

from benchmarks.workloads import arrays, loops, overhead, statistics, training
from benchmarks.workloads.workload import Workload

WORKLOADS: dict[str, Workload] = {
    w.name: w
    for family in (training, arrays, loops, statistics, overhead)
    for w in family.WORKLOADS
}
