"""A linked schedule that can be called from Python, and the memory that a call works in."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from functrans.compiler.callbacks import take_exception
from functrans.compiler.calls import ArraySpec, dispatcher
from functrans.compiler.runtime import NO_MEMORY
from functrans.core.errors import OutOfMemoryError

ALIGNMENT = 64
"""Bytes; a cache line, and the width of the widest vector register."""


class Frame:
    """The table of slots and the arena of one call at a time.

    Args:
        slots: words of the table; word 0 holds the table's own address.
        arena: bytes of memory for temporaries, aligned to 64.
        offsets: slot → place in the arena.
        constants: slot → address.
    """

    def __init__(
        self, slots: int, arena: int, offsets: Mapping[int, int], constants: Mapping[int, int]
    ) -> None:
        self.table = np.zeros(max(slots, 1), np.int64)
        self.arena = np.empty(arena + ALIGNMENT, np.uint8)
        base = -(-self.arena.ctypes.data // ALIGNMENT) * ALIGNMENT
        for slot, offset in offsets.items():
            self.table[slot] = base + offset
        for slot, address in constants.items():
            self.table[slot] = address
        self.address = self.table.ctypes.data
        self.table[0] = self.address


class ResultSizeError(MemoryError):
    """There is no memory for the arrays that a schedule returns."""


class Executable:
    """A schedule bound to addresses, callable with arrays of exactly the types it was made for.

    Args:
        code, entries: the encoded schedule, see functrans/compiler/runtime.py.
        inputs, outputs: shape, dtype and slot of each, in the order of leaves and results.
        slots: size of the table of slots.
        arena, offsets: memory for temporaries, and the place of each slot in it.
        constants: arrays that slots point to.
        keep: whatever else the schedule points to (ints, sub-schedules, Python kernels).
        donations: output → input whose memory it takes; that array itself is then the result. The
            array must not be passed as another input too.
        tapes: slots of memory that loops have taken and kept.
    """

    def __init__(
        self,
        code: np.ndarray,
        entries: int,
        inputs: Sequence[ArraySpec],
        outputs: Sequence[ArraySpec],
        slots: int,
        arena: int = 0,
        offsets: Mapping[int, int] | None = None,
        constants: Mapping[int, np.ndarray] | None = None,
        keep: Sequence[Any] = (),
        donations: Mapping[int, int] | None = None,
        tapes: Sequence[int] = (),
    ) -> None:
        constants = constants or {}
        given_up = dict(donations or {})
        _check_donations(given_up, inputs, outputs)
        self._slots = slots + len(inputs)  # the last words are cells for Python integers
        self._arena, self._offsets = arena, dict(offsets or {})
        self._constants = {slot: array.ctypes.data for slot, array in constants.items()}
        self._call, alive = dispatcher(code, entries, inputs, outputs, slots, given_up)
        self._keep = [alive, list(constants.values()), list(keep)]
        self._frames: list[Frame] = []
        self._free = [self._new_frame()]
        if tapes:
            weakref.finalize(self, _give_back, self._frames, list(tapes))

    def __call__(self, leaves: Sequence[Any]) -> list[np.ndarray] | int:
        """Fresh output arrays, or the number (from 1) of the first leaf not acceptable.

        Safe from many threads: each call has a frame to itself.

        Raises:
            Whatever a Python function called by the schedule raised, or KeyboardInterrupt.
            ResultSizeError: before anything is run.
            OutOfMemoryError: a loop had no memory for what its backward pass reads.
        """
        try:
            frame = self._free.pop()
        except IndexError:
            frame = self._new_frame()
        try:
            # a list of our own: while the GIL is released nobody can take the arrays out of it
            result = self._call(frame, [*leaves])
        except MemoryError as error:  # what functions raise does not come by here
            raise ResultSizeError(*error.args) from None
        finally:
            self._free.append(frame)
        if type(result) is int and result < 0:
            if result == -NO_MEMORY:
                missing = "There is no memory for what a loop keeps of its steps."
                raise OutOfMemoryError(f"{missing} {OutOfMemoryError.advice}")
            raise take_exception()
        return result

    def _new_frame(self) -> int:
        frame = Frame(self._slots, self._arena, self._offsets, self._constants)
        self._frames.append(frame)
        return frame.address


def _give_back(frames: list[Frame], tapes: list[int]) -> None:
    for frame in frames:
        for slot in tapes:
            ctypes.pythonapi.PyMem_RawFree(ctypes.c_void_p(int(frame.table[slot])))
            frame.table[slot] = 0


def _check_donations(
    donations: dict[int, int], inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> None:
    for o, i in donations.items():
        given, taken = inputs[i], outputs[o]
        if (given.shape, given.dtype, given.weak) != (taken.shape, taken.dtype, False):
            raise ValueError(f"output {o} cannot take the memory of input {i}, of another type")
    if len(set(donations.values())) < len(donations):
        raise ValueError("an input can be donated to one output only")
