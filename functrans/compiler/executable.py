"""A linked schedule: encoded entries, frames of memory, and the call from Python.

A frame (table of slots and arena) serves one call at a time and is kept for the next; concurrent
calls take frames of their own.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from functrans.compiler import dispatch
from functrans.compiler.blas import find_gemm, gemm_address
from functrans.compiler.engine import compile_module
from functrans.compiler.kernel import EmittedKernel
from functrans.compiler.memory import ALIGNMENT
from functrans.compiler.native import runtime_ir
from functrans.compiler.schedule import Block, Entry, Schedule
from functrans.core.program import Program
from functrans.core.types import Aval

KERNEL_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)
_SCALAR_TYPES: dict[str, type] = {
    c: np.dtype(c).type for c in ("f4", "f8", "i4", "i8", "u4", "u8", "i2", "i1", "u1", "u2")
}
_addresses: dict[str, int] = {}
"""Native functions by name: the runtime's and all kernels compiled so far."""
_lock = threading.RLock()
_raised = threading.local()


class Executable:
    """A schedule that can be called with arrays of exactly the types it was made for."""

    def __init__(self, schedule: Schedule, program: Program) -> None:
        self._keep: list[Any] = [schedule.constants]
        resolve(schedule)
        code, entries = self._encode(schedule.main)
        self._arena, self._offsets = schedule.place()
        self._slot_count = schedule.slot_count
        self._constants = schedule.constants
        self._outputs = [(a.shape, a.dtype) for a in program.out_avals]
        arguments = [
            *zip(program.in_avals, schedule.inputs, strict=True),
            *zip(program.out_avals, schedule.outputs, strict=True),
        ]
        self._plan = _plan(code, entries, arguments, len(program.in_avals))
        address = _addresses["ft_dispatch"]
        self._call, definition = dispatch.make_callable(address, self._plan.ctypes.data)
        self._keep.append(definition)
        self._frames: list[_Frame] = []

    def __call__(self, leaves: Sequence[Any]) -> list[np.ndarray] | int:
        """Fresh output arrays, or the number (from 1) of the first leaf of another type.

        Raises:
            Whatever a Python function called by the schedule raised.
        """
        outputs = [np.empty(shape, dtype) for shape, dtype in self._outputs]
        try:
            frame = self._frames.pop()
        except IndexError:
            frame = _Frame(self._slot_count, self._arena, self._offsets, self._constants)
        status = self._call(frame.address, *leaves, *outputs)
        if status >= 0:
            self._frames.append(frame)
            return outputs if status == 0 else status
        # a stopped schedule may leave exchanged pointers behind, so its frame is dropped
        error, _raised.error = _raised.error, None
        raise error

    def _encode(self, block: Block) -> tuple[int, int]:
        """The address of a block's code and its number of entries."""
        words: list[int] = []
        for entry in block.entries:
            ints = np.array(self._ints(entry), np.int64)
            self._keep.append(ints)
            target = self._target(entry)
            slots = entry.slots[:1] if _is_control_flow(entry) else entry.slots
            words += [target, ints.ctypes.data, entry.extent, len(slots), *slots]
        code = np.array(words, np.int64)
        self._keep.append(code)
        return code.ctypes.data, len(block.entries)

    def _ints(self, entry: Entry) -> list[int]:
        ints: list[int] = []
        for x in entry.ints:
            ints += self._encode(x) if isinstance(x, Block) else [x]
        if isinstance(entry.target, str) and entry.target.startswith("ft_gemm"):
            dtype = {"f32": "f4", "f64": "f8", "c64": "c8", "c128": "c16"}[entry.target[8:]]
            ints.append(gemm_address(np.dtype(dtype)) or 0)
        return ints

    def _target(self, entry: Entry) -> int:
        if isinstance(entry.target, EmittedKernel):
            return _addresses[entry.target.name]
        if isinstance(entry.target, str):
            return _addresses[entry.target]
        kernel = KERNEL_TYPE(_python_kernel(entry.target, *entry.specs))
        self._keep.append(kernel)
        address = ctypes.cast(kernel, ctypes.c_void_p).value
        assert address is not None
        return address


class _Frame:
    """The table of slots and the arena of one call."""

    def __init__(
        self, slots: int, arena: int, offsets: dict[int, int], constants: dict[int, np.ndarray]
    ) -> None:
        self.table = np.zeros(slots, np.int64)
        self.arena = np.empty(arena + ALIGNMENT, np.uint8)
        base = -(-self.arena.ctypes.data // ALIGNMENT) * ALIGNMENT
        for slot, offset in offsets.items():
            self.table[slot] = base + offset
        for slot, array in constants.items():
            self.table[slot] = array.ctypes.data
        self.address = self.table.ctypes.data
        self.table[0] = self.address


def resolve(schedule: Schedule) -> None:
    """Compile the kernels that have no address yet, all in one module."""
    with _lock:
        if "ft_run" not in _addresses:
            _addresses.update(_runtime())
        missing = {n: k for n, k in schedule.kernels().items() if n not in _addresses}
        if missing:
            _addresses.update(compile_module(module_text(missing.values()), list(missing)))


def module_text(kernels: Any) -> str:
    """One module of several kernels."""
    declarations: dict[str, None] = {}
    for kernel in kernels:
        declarations |= dict.fromkeys(kernel.declarations)
    texts = [k.ir for k in kernels]
    return "\n".join([*declarations, *texts, "attributes #0 = { nounwind }"])


@cache
def _runtime() -> dict[str, int]:
    """Addresses of the runner, control flow, products and the dispatcher."""
    if not dispatch.layout_is_known():
        raise RuntimeError("this Python's objects have a memory layout that functrans cannot read")
    found = find_gemm()
    ir, names = runtime_ir(found[1] if found else 64)
    entry, declarations, entry_names = dispatch.dispatch_ir()
    text = "\n".join([*dict.fromkeys(declarations), ir, entry])
    return compile_module(text, names + entry_names)


def _plan(code: int, entries: int, arguments: Sequence[tuple[Aval, int]], inputs: int) -> Any:
    """What the dispatcher checks; see functrans/compiler/dispatch.py."""
    words = [code, entries, len(arguments), id(np.ndarray)]
    for position, (aval, slot) in enumerate(arguments):
        flags = dispatch.CONTIGUOUS | (dispatch.WRITEABLE if position >= inputs else 0)
        words += [id(aval.dtype), aval.ndim, slot, _scalar_type(aval), flags, *aval.shape]
    return np.array(words, np.int64)


def _scalar_type(aval: Aval) -> int:
    """The type of scalar object whose value lies where the dispatcher can point to it."""
    if aval.shape:
        return 0
    if aval.weak_type:
        return id(float) if aval.dtype == np.float64 else 0
    return id(_SCALAR_TYPES.get(aval.dtype.str[1:], 0)) if aval.dtype.kind in "fiu" else 0


def _is_control_flow(entry: Entry) -> bool:
    return entry.target in ("ft_scan", "ft_while", "ft_cond")


def _python_kernel(
    fun: Callable[..., Any], ins: Sequence[Aval], outs: Sequence[Aval]
) -> Callable[[int, int, int, int], int]:
    """A Python function of arrays with the signature of native functions."""

    def kernel(bufs: int, ints: int, lo: int, hi: int) -> int:
        try:
            pointers = (ctypes.c_void_p * (len(ins) + len(outs))).from_address(bufs)
            values = [_view(p, a) for p, a in zip(pointers, ins, strict=False)]
            results = fun(*values)
            for p, aval, y in zip(pointers[len(ins) :], outs, results, strict=True):
                _view(p, aval, writeable=True)[...] = y
        except BaseException as error:  # crosses native code; raised again by Executable
            _raised.error = error
            return 2
        return 0

    return kernel


def _view(address: int | None, aval: Aval, writeable: bool = False) -> np.ndarray:
    """The array at an address; 0-d ones too."""
    if aval.size == 0:
        return np.empty(aval.shape, aval.dtype)
    raw: Any = (ctypes.c_char * aval.nbytes).from_address(address or 0)
    array: np.ndarray = np.ndarray(aval.shape, aval.dtype, buffer=raw)
    array.flags.writeable = writeable
    return array
