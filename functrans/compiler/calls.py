"""From a list of leaves to a running schedule: what is checked of each leaf, and by whom.

`dispatcher` gives a callable `(address of a table of slots, list of leaves)`. It returns the list
of output arrays; or the number (from 1) of the first leaf it does not accept, nothing having been
run; or a status, negated, if the schedule stopped. It is the native function ft_dispatch, which
reads Python's objects in memory: 0.14 µs, 2 ns a leaf, 70 ns an output. An interpreter whose
objects look otherwise than assumed gets the same in Python, slower.

The plan of ft_dispatch is an int64 array:

    code, entries, inputs, outputs, type of arrays, type of lists;
    per input:  dtype, ndim, slot, flags, boxed type, integer type, cell, extents …
    per output: dtype, ndim, slot, donated input (from 1) or 0, memory handler or 0, extents …

Types and dtypes are addresses of objects. A *boxed* type is one whose objects keep their value at
byte 16, so a pointer into the object serves (NumPy scalars, Python's float and complex); a Python
int or bool is put into a cell, a word at the end of the table.
"""

from __future__ import annotations

import ctypes
import math
import sys
import sysconfig
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from functrans.compiler import pool, runtime

Dispatcher = Callable[[int, list[Any]], "list[np.ndarray] | int"]

CONTIGUOUS = 0x0001 | 0x0100
"""NPY_ARRAY_C_CONTIGUOUS and NPY_ARRAY_ALIGNED."""
WRITEABLE = 0x0400
_BOXED_KINDS = "biufc"


@dataclass(frozen=True)
class ArraySpec:
    """An input or output of a schedule.

    Attributes:
        shape, dtype: of the array.
        slot: where its address belongs.
        weak: whether it is a Python scalar; otherwise it is an array or NumPy scalar. Inputs only.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    slot: int
    weak: bool = False

    def __post_init__(self) -> None:
        # of the dtypes that are equal (C's long and long long), the one that arrays commonly have
        object.__setattr__(self, "dtype", np.dtype(self.dtype.str))

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def python_type(self) -> type:
        """The Python type of a weak scalar of this dtype."""
        return {"b": bool, "i": int, "f": float, "c": complex}[self.dtype.kind]


def dispatcher(
    code: np.ndarray,
    entries: int,
    inputs: Sequence[ArraySpec],
    outputs: Sequence[ArraySpec],
    cells: int,
    donations: dict[int, int],
) -> tuple[Dispatcher, list[Any]]:
    """The callable for a schedule, and what must live as long as it.

    Args:
        code, entries: the schedule.
        inputs, outputs: of the schedule, in the order of leaves and results.
        cells: index of the first of the table's words for Python integers, one per input.
        donations: output → input whose memory it takes; that very array is returned.
    """
    if not layout_is_known():
        slow = PythonDispatcher(code, entries, inputs, outputs, cells, donations)
        return slow, [code]
    plan = make_plan(code, entries, inputs, outputs, cells, donations)
    dtypes = [spec.dtype for spec in (*inputs, *outputs)]  # the plan has only their addresses
    return runtime.native_function("ft_dispatch", plan), [code, dtypes]


def make_plan(
    code: np.ndarray,
    entries: int,
    inputs: Sequence[ArraySpec],
    outputs: Sequence[ArraySpec],
    cells: int,
    donations: dict[int, int],
) -> np.ndarray:
    """The plan of ft_dispatch."""
    words = [code.ctypes.data, entries, len(inputs), len(outputs), id(np.ndarray), id(list)]
    given_up = set(donations.values())
    for i, spec in enumerate(inputs):
        words += _input_row(spec, cells + i, i in given_up)
    for i, spec in enumerate(outputs):
        donated = donations[i] + 1 if i in donations else 0
        large = not donated and spec.nbytes >= pool.THRESHOLD
        memory = id(pool.handler()) if large else 0
        words += [id(spec.dtype), len(spec.shape), spec.slot, donated, memory, *spec.shape]
    return np.array(words, np.int64)


def _input_row(spec: ArraySpec, cell: int, donated: bool) -> list[int]:
    array_type, boxed, integer = _accepted(spec, donated)
    flags = CONTIGUOUS | (WRITEABLE if donated else 0)
    descr = id(spec.dtype) if array_type else 0
    return [descr, len(spec.shape), spec.slot, flags, boxed, integer, cell, *spec.shape]


def _accepted(spec: ArraySpec, donated: bool) -> tuple[int, int, int]:
    """Whether arrays are accepted, the boxed type, the integer type; 0 for none."""
    if spec.weak:
        python_type = spec.python_type
        if python_type in (int, bool):
            return 0, 0, id(python_type)
        return 0, id(python_type), 0
    if spec.shape or donated or spec.dtype.kind not in _BOXED_KINDS or spec.dtype.itemsize > 16:
        return 1, 0, 0
    if spec.dtype.char in "gG":  # long double keeps its value at a multiple of 16 bytes
        return 1, 0, 0
    return 1, id(spec.dtype.type), 0


class PythonDispatcher:
    """The same as ft_dispatch, without knowledge of how objects lie in memory."""

    def __init__(
        self,
        code: np.ndarray,
        entries: int,
        inputs: Sequence[ArraySpec],
        outputs: Sequence[ArraySpec],
        cells: int,
        donations: dict[int, int],
    ) -> None:
        self._code, self._entries = code.ctypes.data, entries
        self._inputs, self._outputs, self._donations = inputs, outputs, donations
        # keeps the GIL, so that an exception a loop found is noticed
        signature = ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p
        self._run = ctypes.PYFUNCTYPE(*signature)(runtime.address_of("ft_run"))

    def __call__(self, table: int, leaves: list[Any]) -> list[np.ndarray] | int:
        if len(leaves) != len(self._inputs):
            raise TypeError("bad argument type for built-in operation")
        arrays = []
        donated = set(self._donations.values())
        for i, (leaf, spec) in enumerate(zip(leaves, self._inputs, strict=True)):
            array = _as_array(leaf, spec, i in donated)
            if array is None:
                return i + 1
            arrays.append(array)
        results = [
            leaves[self._donations[o]] if o in self._donations else np.empty(spec.shape, spec.dtype)
            for o, spec in enumerate(self._outputs)
        ]
        for spec, array in zip((*self._inputs, *self._outputs), (*arrays, *results), strict=True):
            ctypes.c_int64.from_address(table + 8 * spec.slot).value = array.ctypes.data
        status = self._run(self._code, self._entries, table)
        return results if status == 0 else -status


def _as_array(leaf: Any, spec: ArraySpec, donated: bool) -> np.ndarray | None:
    """The leaf as an array of the type compiled for, or None if it is not one."""
    if spec.weak:
        if type(leaf) is not spec.python_type:
            return None
        try:
            return np.array(leaf, spec.dtype)
        except OverflowError:
            return None
    if type(leaf) is np.ndarray:
        flags = leaf.flags
        good = flags.c_contiguous and flags.aligned and (flags.writeable or not donated)
        return leaf if good and leaf.dtype is spec.dtype and leaf.shape == spec.shape else None
    if spec.shape == () and not donated and type(leaf) is spec.dtype.type:
        return np.array(leaf, spec.dtype)
    return None


@cache
def layout_is_known() -> bool:
    """Whether objects of this interpreter lie in memory as functrans/compiler/dispatch.ll has it.

    Looked at on samples, within the sizes that the objects say they have.
    """
    if sys.implementation.name != "cpython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return False
    if ctypes.sizeof(ctypes.c_void_p) != 8 or sys.byteorder != "little":
        return False
    return _array_is_known() and _list_is_known() and all(map(_scalar_is_known, _SAMPLES))


_SAMPLES = (
    2.5,
    1.5 - 2j,
    np.float64(2.5),
    np.float32(2.5),
    np.float16(2.5),
    np.complex128(1 - 2j),
    np.complex64(1 - 2j),
    *(np.dtype(code).type(100) for code in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")),
    np.True_,
)


def _array_is_known() -> bool:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    if np.ndarray.__basicsize__ < 72:
        return False
    words = (ctypes.c_int64 * 9).from_address(id(x))
    if words[1] != id(np.ndarray) or words[2] != x.ctypes.data:
        return False
    if words[3] & 0xFFFFFFFF != 2 or words[7] != id(x.dtype):
        return False
    dims = (ctypes.c_int64 * 2).from_address(words[4])
    frozen = x.view()
    frozen.flags.writeable = False
    other = (ctypes.c_int64 * 9).from_address(id(frozen))
    flags = [w & (CONTIGUOUS | WRITEABLE) for w in (words[8], other[8])]
    return tuple(dims) == (2, 3) and flags == [CONTIGUOUS | WRITEABLE, CONTIGUOUS]


def _list_is_known() -> bool:
    items = ["a", "b", "c"]
    if list.__basicsize__ < 32:
        return False
    words = (ctypes.c_int64 * 4).from_address(id(items))
    if words[1] != id(list) or words[2] != 3:
        return False
    return list((ctypes.c_int64 * 3).from_address(words[3])) == [id(x) for x in items]


def _scalar_is_known(x: Any) -> bool:
    dtype = np.dtype(type(x))
    if type(x).__basicsize__ < 16 + dtype.itemsize:
        return False
    words = (ctypes.c_int64 * 2).from_address(id(x))
    return words[1] == id(type(x)) and ctypes.string_at(id(x) + 16, dtype.itemsize) == (
        np.array(x, dtype).tobytes()
    )


def view_plan(specs: Sequence[tuple[tuple[int, ...], np.dtype]], inputs: int) -> np.ndarray:
    """The plan of ft_views: the arrays that a kernel's buffers are, the inputs read-only."""
    words = [len(specs), id(np.ndarray)]
    for i, (shape, dtype) in enumerate(specs):
        flags = CONTIGUOUS | (WRITEABLE if i >= inputs else 0)
        words += [id(dtype), len(shape), flags, *shape]
    return np.array(words, np.int64)


def view_at(address: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """The array at an address, without native help."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes == 0:
        return np.empty(shape, dtype)
    memory = memoryview((ctypes.c_char * nbytes).from_address(address))
    return np.frombuffer(memory, dtype).reshape(shape)
