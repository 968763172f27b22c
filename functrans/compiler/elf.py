"""Object code into this process on Linux and x86-64, without LLVM.

Importing LLVM costs half of what a second process takes for its first call, and loading a few
kilobytes of finished code needs none of it: sections are copied, and the handful of relocations
that LLVM writes for position-independent code are applied. (System V ABI for AMD64, section 4.4.)
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SECTION = np.dtype(
    "u4,u4,u8,u8,u8,u8,u4,u4,u8,u8", align=False
)  # name, type, flags, address, offset, size, link, info, alignment, entry size
SYMBOL = np.dtype("u4,u1,u1,u2,u8,u8")  # name, info, other, section, value, size
RELOCATION = np.dtype("u8,u4,u4,i8")  # offset, type, symbol, addend

WRITABLE, ALLOCATED = 1, 2
SYMBOL_TABLE, RELOCATIONS, EMPTY = 2, 4, 8
ABSOLUTE, COMMON = 0xFFF1, 0xFFF2
BY_ADDRESS, BY_DISTANCE, BY_DISTANCE_64 = {1}, {2, 4}, {24}
BY_TABLE = {9, 41, 42}
"""Types of relocation: R_X86_64_64; _PC32, _PLT32; _PC64; _GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX."""
JUMP = bytes.fromhex("ff2500000000")
"""jmp [rip]: to the address that follows. External functions lie farther away than 2 GB."""


def available() -> bool:
    """Whether object code can be loaded by this module here."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and bool(processor())


@cache
def processor() -> str:
    """What identifies the instructions that this processor has; empty if it cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return ""
    wanted = ("vendor_id", "cpu family", "model", "stepping", "flags")
    found = {line.split(":")[0].strip(): line for line in reversed(lines) if ":" in line}
    return "\n".join(found[w] for w in wanted) if all(w in found for w in wanted) else ""


def load(code: bytes, names: Sequence[str], symbols: Mapping[str, int]) -> dict[str, int]:
    """The addresses of functions of an object file, whose memory is never given back.

    Args:
        code: a relocatable ELF file.
        names: of the functions wanted.
        symbols: addresses of functions that the process does not export by this name.

    Raises:
        RuntimeError: a symbol is not found, or the file is of another kind.
    """
    return _Object(code, symbols).load(names)


class _Object:
    """An object file on its way into memory."""

    def __init__(self, code: bytes, symbols: Mapping[str, int]) -> None:
        if code[:5] != b"\x7fELF\x02" or code[18] != 62:
            raise RuntimeError("this is no object code for x86-64")
        self.code, self.given = code, symbols
        begin = int.from_bytes(code[0x28:0x30], "little")
        count = int.from_bytes(code[0x3C:0x3E], "little")
        self.sections = np.frombuffer(code, SECTION, count, begin).tolist()
        (table,) = [s for s in self.sections if s[1] == SYMBOL_TABLE]
        self.symbols = self._table(table, SYMBOL)
        self.texts = self._bytes(self.sections[table[6]])
        self.places: dict[int, int] = {}
        self.table: dict[int, int] = {}
        self.jumps: dict[int, int] = {}

    def _bytes(self, section: Any) -> bytes:
        return self.code[section[4] : section[4] + section[5]]

    def _table(self, section: Any, dtype: np.dtype) -> list[Any]:
        return np.frombuffer(self._bytes(section), dtype).tolist()

    def _name(self, symbol: Any) -> str:
        return self.texts[symbol[0] : self.texts.index(b"\0", symbol[0])].decode()

    def load(self, names: Sequence[str]) -> dict[str, int]:
        relocations = [
            (s[7], r)
            for s in self.sections
            if s[1] == RELOCATIONS and self.sections[s[7]][2] & ALLOCATED
            for r in self._table(s, RELOCATION)
        ]
        fixed, size = self._lay_out(relocations)
        self.memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        view = (ctypes.c_char * size).from_buffer(self.memory)
        self.base = ctypes.addressof(view)
        for index, place in self.places.items():
            section = self.sections[index]
            if section[1] != EMPTY:
                self.memory[place : place + section[5]] = self._bytes(section)
        for number, place in self.table.items():
            self._write(place, self._address(number), 8)
        for number, place in self.jumps.items():
            self.memory[place : place + 6] = JUMP
            self._write(place + 6, self._address(number), 8)
        for index, relocation in relocations:
            self._apply(self.places[index], *relocation)
        if _protect()(self.base, fixed, 1 | 4):  # readable, executable
            raise RuntimeError("this process may not make memory executable")
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(view))  # code is called from everywhere
        wanted = set(names)
        found = {self._name(s): n for n, s in enumerate(self.symbols) if s[3] and s[0]}
        missing = wanted - found.keys()
        if missing:
            raise RuntimeError(f"the object code does not define {sorted(missing)}")
        return {name: self._address(found[name]) for name in names}

    def _lay_out(self, relocations: list[Any]) -> tuple[int, int]:
        """Places for sections, for the table of addresses and for jumps; what is written to at run
        time comes on pages of its own. Returns where these begin, and the size."""
        end = 0
        for writable in (0, WRITABLE):
            for index, section in enumerate(self.sections):
                flags = section[2]
                if flags & ALLOCATED and flags & WRITABLE == writable:
                    end = _aligned(end, max(section[8], 1))
                    self.places[index] = end
                    end += section[5]
            if not writable:
                end = _aligned(end, 16)
                for _, (_, kind, number, _) in relocations:
                    external = self.symbols[number][3] == 0
                    wanted = self.table if kind in BY_TABLE else self.jumps
                    if (kind in BY_TABLE or external) and number not in wanted:
                        wanted[number] = end
                        end += 16
                end = fixed = _aligned(end, mmap.PAGESIZE)
        return fixed, max(_aligned(end, mmap.PAGESIZE), mmap.PAGESIZE)

    def _address(self, number: int) -> int:
        symbol = self.symbols[number]
        section, value = symbol[3], symbol[4]
        if section == 0:
            return self._external(self._name(symbol)) if symbol[0] else 0
        if section == ABSOLUTE:
            return value
        if section == COMMON or section not in self.places:
            raise RuntimeError(f"the object code has no place for {self._name(symbol)}")
        return self.base + self.places[section] + value

    def _external(self, name: str) -> int:
        if name in self.given:
            return self.given[name]
        for library in _process():
            function = getattr(library, name, None)
            if function is not None:
                return ctypes.cast(function, ctypes.c_void_p).value or 0
        raise RuntimeError(f"the object code calls {name}, which this process has not")

    def _apply(self, section: int, offset: int, kind: int, number: int, addend: int) -> None:
        place = section + offset
        here = self.base + place
        if kind in BY_ADDRESS:
            self._write(place, self._address(number) + addend, 8)
        elif kind in BY_TABLE:
            self._write(place, self.base + self.table[number] + addend - here, 4)
        elif kind in BY_DISTANCE:
            jump = self.jumps.get(number)
            target = self._address(number) if jump is None else self.base + jump
            self._write(place, target + addend - here, 4)
        elif kind in BY_DISTANCE_64:
            self._write(place, self._address(number) + addend - here, 8)
        else:
            raise RuntimeError(f"the object code has relocations of the unknown type {kind}")

    def _write(self, place: int, number: int, width: int) -> None:
        signed = number < 0 or width == 4
        self.memory[place : place + width] = number.to_bytes(width, "little", signed=signed)


def _aligned(n: int, to: int) -> int:
    return -(-n // to) * to


@cache
def _process() -> tuple[Any, ...]:
    """Where functions of the C library and of mathematics are."""
    return ctypes.CDLL(None), ctypes.CDLL("libm.so.6")


@cache
def _protect() -> Callable[..., int]:
    function = ctypes.CDLL(None).mprotect
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    return function
