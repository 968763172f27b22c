"""Schedule → Executable: compile the kernels that are new, encode entries with addresses."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np

from functrans.compiler import callbacks, runtime, threads
from functrans.compiler.calls import ArraySpec
from functrans.compiler.emitted import TRAILER, EmittedKernel, StoredKernel
from functrans.compiler.engine import Effort, compile_module, load_module, module_key
from functrans.compiler.frames import Executable
from functrans.compiler.schedule import Block, Entry, Schedule
from functrans.core.program import Program

_lock = threading.RLock()
_kernels: dict[str, int] = {}
"""Addresses of the kernels compiled so far, by name: the same text serves every program."""

_modules: dict[str, str] = {}
"""The keys of the modules that they are in, likewise."""

CONTROL_FLOW = frozenset({
    "ft_scan", "ft_while", "ft_recording_while", "ft_reverse", "ft_cond", "ft_each", "ft_within",
})  # fmt: skip
"""Runtime functions that read their slots from the table itself, the first of their buffers."""

KERNEL_SYMBOLS = ("ft_poll", "ft_take", "ft_give_back")
"""Runtime functions that kernels call."""


def link(schedule: Schedule, program: Program) -> Executable:
    """Bind a schedule to addresses.

    Raises:
        KeyError: a stored kernel of the schedule is not on disk any more.
    """
    with _lock:
        _compile_missing(schedule)
        _load_stored(schedule)
    linker = _Linker()
    code, entries = linker.encode(schedule.main)
    arena, offsets = schedule.place()
    inputs = zip(program.in_avals, schedule.inputs, strict=True)
    outputs = zip(program.out_avals, schedule.outputs, strict=True)
    executable = Executable(
        code,
        entries,
        [ArraySpec(a.shape, a.dtype, slot, a.weak_type) for a, slot in inputs],
        [ArraySpec(a.shape, a.dtype, slot) for a, slot in outputs],
        schedule.slot_count,
        arena,
        offsets,
        schedule.constants,
        linker.keep,
        schedule.heirs,
        schedule.tapes,
    )
    for address in linker.python_kernels:
        weakref.finalize(executable, callbacks.release, address)
    return executable


def _compile_missing(schedule: Schedule) -> None:
    """A module of all kernels that this process has not got, and one of those written as they are
    to run."""
    missing = {n: k for n, k in schedule.kernels().items() if n not in _kernels}
    for effort, written in ((Effort.OPTIMIZE, False), (Effort.GENERATE, True)):
        kernels = {n: k for n, k in missing.items() if k.written is written}
        if not kernels:
            continue
        text = module_text(kernels.values())
        symbols = {n: runtime.address_of(n) for n in KERNEL_SYMBOLS if f"@{n}(" in text}
        _kernels.update(compile_module(text, list(kernels), symbols, effort))
        _modules.update(dict.fromkeys(kernels, module_key(text, effort)))


def _load_stored(schedule: Schedule) -> None:
    """The kernels of other processes, from the disk."""
    wanted: dict[str, list[str]] = {}
    for entry in schedule.entries():
        kernel = entry.target
        if isinstance(kernel, StoredKernel) and kernel.name not in _kernels:
            names = wanted.setdefault(kernel.module, [])
            if kernel.name not in names:
                names.append(kernel.name)
    for key, names in wanted.items():
        symbols = {n: runtime.address_of(n) for n in KERNEL_SYMBOLS}
        found = load_module(key, names, symbols)
        _kernels.update(found)
        _modules.update(dict.fromkeys(found, key))


def stored(kernel: EmittedKernel | StoredKernel) -> StoredKernel:
    """A kernel of a linked schedule as another process will find it."""
    return StoredKernel(kernel.name, _modules[kernel.name])


def module_text(kernels: Iterable[EmittedKernel]) -> str:
    """One module of several kernels."""
    kernels = list(kernels)
    declarations = dict.fromkeys(line for k in kernels for line in k.declarations)
    texts = [k.ir for k in kernels]
    return "\n".join([*declarations, *texts, TRAILER])


class _Linker:
    """Encodes blocks; what the code points to is kept in `keep`."""

    def __init__(self) -> None:
        self.keep: list[np.ndarray] = []
        self.python_kernels: list[int] = []

    def encode(self, block: Block) -> tuple[np.ndarray, int]:
        """The code of a block (see functrans/compiler/runtime.py) and its number of entries."""
        words: list[int] = []
        for entry in block.entries:
            address, ints = self._address(entry), self._ints(entry)
            if entry.pieces > 1:
                address, ints = threads.split_address(), [address, entry.pieces, *ints]
            array = np.array(ints or [0], np.int64)
            self.keep.append(array)
            slots = entry.slots[:1] if entry.target in CONTROL_FLOW else entry.slots
            words += [address, array.ctypes.data, entry.extent, len(slots), *slots]
        code = np.array(words, np.int64)
        self.keep.append(code)
        return code, len(block.entries)

    def _ints(self, entry: Entry) -> list[int]:
        ints: list[int] = []
        for x in entry.ints:
            if isinstance(x, Block):
                code, entries = self.encode(x)
                ints += [code.ctypes.data, entries]
            else:
                ints.append(x)
        return ints

    def _address(self, entry: Entry) -> int:
        target: Any = entry.target
        if isinstance(target, EmittedKernel | StoredKernel):
            return _kernels[target.name]
        if isinstance(target, str):
            return runtime.address_of(target)
        ins, outs = ([(a.shape, a.dtype) for a in avals] for avals in entry.specs)
        address = callbacks.python_kernel(target, ins, outs, entry.copy_inputs, target.in_place)
        self.python_kernels.append(address)
        return address
