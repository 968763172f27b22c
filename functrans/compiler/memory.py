"""The memory plan: an offset in one arena for every temporary, by liveness."""

from __future__ import annotations

from collections.abc import Sequence
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


def plan(temporaries: Sequence[Temporary]) -> int:
    """Give every temporary an offset such that no two that live at once overlap.

    First fit in order of birth, into the gaps that the dead have left.

    Returns:
        The size of the arena in bytes.
    """
    size = 0
    live: list[Temporary] = []  # sorted by offset
    for block in sorted(temporaries, key=lambda t: t.first):
        live = [t for t in live if t.last >= block.first]
        block.offset, at = _first_gap(live, _aligned(block.nbytes))
        live.insert(at, block)
        size = max(size, block.offset + _aligned(block.nbytes))
    return size


def _first_gap(live: Sequence[Temporary], nbytes: int) -> tuple[int, int]:
    """The lowest offset with room between the live blocks, and its position among them."""
    offset = 0
    for at, block in enumerate(live):
        if block.offset - offset >= nbytes:
            return offset, at
        offset = block.offset + _aligned(block.nbytes)
    return offset, len(live)


def _aligned(nbytes: int) -> int:
    return -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
