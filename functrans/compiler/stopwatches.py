"""A schedule with a stopwatch around every entry, also in the bodies of loops.

Reading the clock costs about 30 ns per entry. A kernel that threads share is timed as a whole.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from functrans.compiler.compile import contiguous
from functrans.compiler.describe import target_name
from functrans.compiler.link import link
from functrans.compiler.profile import Row
from functrans.compiler.schedule import Block, Entry, Schedule
from functrans.core.program import Program


def measure(
    schedule: Schedule, program: Program, leaves: list[Any], repeat: int
) -> tuple[list[Row], float]:
    """A row per entry, means over `repeat` runs, and the least seconds of a run."""
    timed = _Timed(schedule)
    executable = link(timed.schedule, program)
    arrays = [contiguous(x, a) for x, a in zip(leaves, program.in_avals, strict=True)]
    executable(arrays)
    timed.cells[:] = 0
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        executable(arrays)
        times.append(time.perf_counter() - start)
    rows = [
        Row(
            target_name(entry),
            depth,
            float(timed.cells[i, 2]) / repeat,
            float(timed.cells[i, 1]) / repeat * 1e-9,
            entry.flops,
            entry.nbytes,
            entry.comment,
        )
        for i, (entry, depth) in enumerate(timed.entries)
    ]
    return rows, min(times)


class _Timed:
    """A copy of a schedule with stopwatches, and their cells: start, nanoseconds, calls."""

    def __init__(self, schedule: Schedule) -> None:
        self.entries: list[tuple[Entry, int]] = []
        count = sum(len(b.entries) for b in schedule.main.walk())
        self.cells = np.zeros((max(count, 1), 3), np.int64)
        self.schedule = replace(schedule, main=self._block(schedule.main, 0))

    def _block(self, block: Block, depth: int) -> Block:
        """Temporaries live from entry to entry, of which there are three now for each."""
        temporaries = {
            slot: replace(t, first=3 * t.first, last=3 * t.last + 2)
            for slot, t in block.temporaries.items()
        }
        entries: list[Entry] = []
        for entry in block.entries:
            cell = self.cells.ctypes.data + 24 * len(self.entries)
            self.entries.append((entry, depth))
            ints = [self._block(x, depth + 1) if isinstance(x, Block) else x for x in entry.ints]
            entries.append(Entry("ft_start_timer", (), (cell,)))
            entries.append(replace(entry, ints=tuple(ints)))
            entries.append(Entry("ft_stop_timer", (), (cell,)))
        return Block(entries, temporaries)
