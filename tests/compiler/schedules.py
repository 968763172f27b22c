"""Schedules written by hand, for tests of what runs them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.compiler import runtime
from functrans.compiler.callbacks import python_kernel
from functrans.compiler.calls import ArraySpec
from functrans.compiler.engine import compile_module
from functrans.compiler.frames import Executable

F8, I8, I4, B1 = (np.dtype(c) for c in ("f8", "i8", "i4", "?"))


class Build:
    """A schedule being written: slots, entries, and everything that must stay alive."""

    def __init__(self) -> None:
        self.slots, self.arena = 1, 0
        self.offsets: dict[int, int] = {}
        self.constants: dict[int, np.ndarray] = {}
        self.keep: list[Any] = []

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def temporary(self, nbytes: int = 8) -> int:
        slot = self.slot()
        self.offsets[slot] = self.arena
        self.arena += -(-max(nbytes, 1) // 64) * 64
        return slot

    def constant(self, value: Any, dtype: Any = F8) -> int:
        slot = self.slot()
        self.constants[slot] = np.array(value, dtype)
        return slot

    def ints(self, *values: int) -> int:
        array = np.array(values or (0,), np.int64)
        self.keep.append(array)
        return array.ctypes.data

    def entry(
        self, function: str | int, slots: Sequence[int], ints: Sequence[int] = ()
    ) -> list[int]:
        address = runtime.address_of(function) if isinstance(function, str) else function
        return [address, self.ints(*ints), 1, len(slots), *slots]

    def python(self, fun: Callable, ins: Sequence[int], outs: Sequence[int], dtypes: str) -> Any:
        """An entry that calls fun on 0-d arrays."""
        specs = [((), np.dtype(c)) for c in dtypes.split()]
        address = python_kernel(fun, specs[: len(ins)], specs[len(ins) :])
        return self.entry(address, [*ins, *outs])

    def block(self, *entries: list[int]) -> tuple[int, int]:
        code = np.array(list(itertools.chain(*entries)), np.int64)
        self.keep.append(code)
        return code.ctypes.data, len(entries)

    def executable(
        self,
        entries: Sequence[list[int]],
        ins: Sequence[ArraySpec],
        outs: Sequence[ArraySpec],
        **options: Any,
    ) -> Executable:
        code = np.array(list(itertools.chain(*entries)), np.int64)
        constants = self.constants
        return Executable(
            code,
            len(entries),
            ins,
            outs,
            self.slots,
            self.arena,
            self.offsets,
            constants,
            self.keep,
            **options,
        )


def add_entry(b: Build, x: int, y: int, out: int) -> list[int]:
    """out = x + y for one double."""
    return b.entry(compile_module(ADD, ["add"])["add"], [x, y, out])


ADD = """
define i64 @add(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) {
  %x = load ptr, ptr %bufs
  %y.at = getelementptr ptr, ptr %bufs, i64 1
  %y = load ptr, ptr %y.at
  %out.at = getelementptr ptr, ptr %bufs, i64 2
  %out = load ptr, ptr %out.at
  %a = load double, ptr %x
  %b = load double, ptr %y
  %c = fadd double %a, %b
  store double %c, ptr %out
  ret i64 0
}
"""


def array(shape: tuple[int, ...], slot: int, dtype: Any = F8, weak: bool = False) -> ArraySpec:
    return ArraySpec(shape, np.dtype(dtype), slot, weak)


def cumulative_sum(b: Build, n: int, reverse: bool, xs: int, ys: int, last: int) -> list[int]:
    """scan(lambda c, x: (c + x, c + x), 0, xs)"""
    x, y, read, written = b.slot(), b.slot(), b.temporary(), b.temporary()
    zero = b.constant(0.0)
    code, count = b.block(add_entry(b, read, x, written), b.entry("ft_copy", [written, y], [8]))
    rows = [x, xs, 8, y, ys, 8, read, written, 8, zero, last]
    return b.entry("ft_scan", [0], [n, code, count, int(reverse), 2, 1, *rows])


def identity(spec: ArraySpec, **options: Any) -> Executable:
    """Copies its input."""
    b = Build()
    b.slots = 3
    nbytes = spec.dtype.itemsize * int(np.prod(spec.shape))
    out = ArraySpec(spec.shape, spec.dtype, 2)
    return b.executable([b.entry("ft_copy", [1, 2], [nbytes])], [spec], [out], **options)
