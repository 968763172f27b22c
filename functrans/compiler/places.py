"""Where a region keeps the elements of an array: in registers, in stack cells, or in memory."""

from __future__ import annotations

from dataclasses import dataclass

from functrans.compiler.values import Scalar
from functrans.core.types import Aval


@dataclass(frozen=True)
class Memory:
    """An array in memory: its pointer, and the SSA value of the position where it begins."""

    pointer: str
    begin: str | None
    aval: Aval


Place = list[Scalar] | Memory
"""Where the elements of an array are: in registers, row-major, or in memory."""
Cells = list[str] | Memory
"""Where a value is between steps: a stack cell per element, or an array in memory."""
