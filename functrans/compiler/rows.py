"""A row of a tape: arrays side by side, of one step of a loop."""

from __future__ import annotations

from collections.abc import Sequence

from functrans.core.types import Aval


class Row:
    """Where each array begins, and how many bytes there are.

    Args:
        avals: of the arrays.
        alignment: of where they begin.
    """

    def __init__(self, avals: Sequence[Aval], alignment: int) -> None:
        self.avals = avals
        self.offsets, end = [], 0
        for aval in avals:
            self.offsets.append(end)
            end += -(-aval.nbytes // alignment) * alignment
        self.nbytes = max(end, alignment)
