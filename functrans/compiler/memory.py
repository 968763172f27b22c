"""The memory plan: an offset in one arena for every temporary, by liveness."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

ALIGNMENT = 64
"""Bytes; a cache line, and the width of the widest vector register."""


@dataclass
class Temporary:
    """A block of memory that is needed from step `first` to step `last`, both included."""

    nbytes: int
    first: int
    last: int
    offset: int = -1


def plan(temporaries: Iterable[Temporary]) -> int:
    """Give every temporary an offset such that no two that live at once overlap.

    First fit in order of birth, into the gaps that the dead have left. The work grows with the
    number of gaps, which stay few since neighbours join, and not with the number of the living.

    Returns:
        The size of the arena in bytes.
    """
    arena = _Arena()
    living: list[tuple[int, int, Temporary]] = []  # a heap by the time of death
    for number, block in enumerate(sorted(temporaries, key=lambda t: t.first)):
        while living and living[0][0] < block.first:
            dead = heapq.heappop(living)[2]
            arena.give_back(dead.offset, _aligned(dead.nbytes))
        block.offset = arena.take(_aligned(block.nbytes))
        heapq.heappush(living, (block.last, number, block))
    return arena.size


class _Arena:
    """Memory of which `size` bytes are known to be needed, with its gaps in order of offset."""

    def __init__(self) -> None:
        self.size = 0
        self._starts: list[int] = []
        self._ends: list[int] = []

    def take(self, nbytes: int) -> int:
        """The offset of the lowest gap with room; the arena grows if there is none."""
        starts, ends = self._starts, self._ends
        for at, (start, end) in enumerate(zip(starts, ends, strict=True)):
            if end - start >= nbytes:
                starts[at] += nbytes
                if starts[at] == end:
                    del starts[at], ends[at]
                return start
        start = self.size
        if ends and ends[-1] == self.size:  # the last gap is too short by itself
            start = starts.pop()
            ends.pop()
        self.size = start + nbytes
        return start

    def give_back(self, start: int, nbytes: int) -> None:
        """Make a gap of a block, joined with the gaps on both sides of it."""
        starts, ends = self._starts, self._ends
        end = start + nbytes
        at = bisect_left(starts, start)
        if at < len(starts) and starts[at] == end:
            end = ends[at]
            del starts[at], ends[at]
        if at and ends[at - 1] == start:
            ends[at - 1] = end
        else:
            starts.insert(at, start)
            ends.insert(at, end)


def _aligned(nbytes: int) -> int:
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
