"""The schedule: which native function runs on which buffers in which order, as data.

A buffer is a *slot* of the frame's table of pointers. Blocks are lists of entries; control-flow
entries refer to further blocks. `functrans/compiler/runtime.py` walks the encoded form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from functrans.compiler.emitted import EmittedKernel, StoredKernel
from functrans.compiler.memory import Temporary, plan
from functrans.core.primitive import Primitive
from functrans.core.types import Aval


@dataclass(frozen=True, eq=False)
class NumpyCall:
    """The NumPy evaluation of a primitive, as a function of arrays; or what it does in place."""

    primitive: Primitive
    params: Mapping[str, Any]
    in_place: bool = False

    @property
    def __name__(self) -> str:
        return self.primitive.name

    def __call__(self, *values: Any) -> Any:
        with np.errstate(all="ignore"):
            if self.in_place:
                assert self.primitive.in_place is not None
                return self.primitive.in_place(*values, **self.params)
            out = self.primitive.evaluate(*values, **self.params)
        return out if self.primitive.multiple_results else (out,)


@dataclass
class Entry:
    """One call of native code.

    Attributes:
        target: a kernel, the name of a runtime function, or a Python function of arrays.
        slots: its buffers.
        ints: its integers; a Block stands for (address of its code, number of entries).
        extent: trip count of its outermost loop.
        pieces: into how many parts that loop is divided among threads.
        comment: what it is, for people.
        specs: for a Python function, the avals of its inputs and of its outputs.
        copy_inputs: give a Python function arrays of its own, because it may keep them.
        flops, nbytes: arithmetic operations and bytes read and written, estimated; 0 if unknown.
    """

    target: EmittedKernel | StoredKernel | str | NumpyCall
    slots: tuple[int, ...]
    ints: tuple[int | Block, ...] = ()
    extent: int = 1
    comment: str = ""
    specs: tuple[Sequence[Aval], Sequence[Aval]] = ((), ())
    copy_inputs: bool = False
    pieces: int = 1
    flops: float = 0.0
    nbytes: float = 0.0


@dataclass
class Block:
    """Entries that run one after the other, with the temporaries that only they use."""

    entries: list[Entry] = field(default_factory=list)
    temporaries: dict[int, Temporary] = field(default_factory=dict)
    """Slot → memory; first and last are positions of entries."""
    pieces: list[tuple[Block, Temporary]] = field(default_factory=list)
    """The memory of each child, once planned."""

    def children(self) -> Iterator[tuple[int, Block]]:
        """The blocks that entries run, each with the position of its entry."""
        for position, entry in enumerate(self.entries):
            for x in entry.ints:
                if isinstance(x, Block):
                    yield position, x

    def walk(self) -> Iterator[Block]:
        """This block and all blocks below it, innermost first."""
        for _, child in self.children():
            yield from child.walk()
        yield self


@dataclass
class Schedule:
    """A whole compiled Program before its kernels have addresses.

    Attributes:
        main: the outermost block.
        slot_count: size of the table of pointers; slot 0 holds the table's own address.
        inputs, outputs: the slots of the Program's inputs and outputs.
        constants: arrays that slots point to.
        heirs: output → input whose memory it takes; both have one slot.
        overwritten: the inputs that are not what they were afterwards: those with an heir, and
            those that a loop or scatter has used up.
        tapes: the first slot of each tape, see functrans/compiler/runtime.py.
    """

    main: Block
    slot_count: int
    inputs: list[int]
    outputs: list[int]
    constants: dict[int, np.ndarray]
    heirs: dict[int, int] = field(default_factory=dict)
    overwritten: frozenset[int] = frozenset()
    tapes: list[int] = field(default_factory=list)

    def entries(self) -> Iterator[Entry]:
        """Every entry of every block."""
        for block in self.main.walk():
            yield from block.entries

    def kernels(self) -> dict[str, EmittedKernel]:
        """The distinct kernels by name, of those that were emitted in this process."""
        found: dict[str, EmittedKernel] = {}
        for entry in self.entries():
            if isinstance(entry.target, EmittedKernel):
                found.setdefault(entry.target.name, entry.target)
        return found

    def place(self) -> tuple[int, dict[int, int]]:
        """The size of the arena, and the offset in it of every temporary slot."""
        offsets: dict[int, int] = {}
        size = _plan_block(self.main)
        _collect(self.main, 0, offsets)
        return size, offsets


def _plan_block(block: Block) -> int:
    """Plan a block; each child gets one piece of memory for the time of its entry."""
    pieces = []
    for position, child in block.children():
        piece = Temporary(_plan_block(child), position, position)
        pieces.append((child, piece))
    block.pieces = pieces
    return plan([*block.temporaries.values(), *(piece for _, piece in pieces)])


def _collect(block: Block, base: int, offsets: dict[int, int]) -> None:
    for slot, temporary in block.temporaries.items():
        offsets[slot] = base + temporary.offset
    for child, piece in block.pieces:
        _collect(child, base + piece.offset, offsets)
