"""The native functions under every schedule, compiled once: the runner, loops, branches, products.

Every kernel has one signature: `i64 kernel(ptr bufs, ptr ints, i64 lo, i64 hi)`, with the data
pointers of its buffers, its integers, and the range of its outermost loop; it returns 0, or another
number (a *status*) to stop the schedule.

A schedule is data: an int64 array of entries, one after the other,

    function, address of its ints, extent, buffer count, slot, slot, …

`i64 ft_run(ptr code, i64 entries, ptr slots)` calls each function with the pointers that the table
has in these slots and the range [0, extent). Slot 0 holds the table's own address: a kernel that
takes it as its first buffer can read and set slots, which is how loops and branches work. Slots of
an entry beyond those a function reads are harmless.

| kernel | buffers | ints |
|---|---|---|
| `ft_scan` | table | length, code, entries, reverse, moving count, carry count, then rows of both |
| `ft_while` | table | test code, entries, flag slot, body code, entries, carry count, carry rows |
| `ft_recording_while` | table | see below |
| `ft_reverse` | table | see below |
| `ft_cond` | table | slot of the int32 index, branch count, then code, entries per branch |
| `ft_cond64` | table | the same with an int64 index |
| `ft_each` | table | code, entries of every block; its loop is over the blocks |
| `ft_within` | table | slot set, slot read, bytes: the first points so far behind the second |
| `ft_copy` | source, target | bytes |
| `ft_fill0` | target | bytes |
| `ft_gemm_f32`, `_f64`, `_c64`, `_c128` | x, y, out | see functrans/compiler/gemm.py |
| `ft_gram_f32`, `_f64` | x, out | see functrans/compiler/gram.py |
| `ft_cholesky_f32` …, `ft_triangular_f32` … | | see functrans/compiler/triangular.py |
| `ft_solve_f32` … | a, scratch, pivots, x | see functrans/compiler/lu.py |
| `ft_lu_diagonal_f64` … | | see functrans/compiler/determinants.py |
| `ft_eigh_f64` …, `ft_svd_f64` …, `ft_qr_f64` … | | see functrans/compiler/decompositions.py |
| `ft_fft_c128` …, `ft_rfft_even_f64` … | x, out | see functrans/compiler/transform_loops.py |

A *moving row* is `slot set, slot of the stacked array, bytes per step`: before every step the slot
is set to that step's slice (inputs and outputs alike; the last slice first if reverse).

A *carry row* is `slot read, slot written, bytes, slot of the first value, slot of the last value`.
Both buffers belong to the loop. The first value is copied to the slot read, the body reads it there
and writes the next to the slot written, and after every step the two pointers are exchanged. At the
end the slot read is copied to that of the last value (a loop of no steps copies first to last), and
the pointers are put back, also after a failure, so that frames serve again and loops nest.

A *tape* is three slots that are a loop's own: memory, its bytes, and the number of rows that were
written on it or -1. A *part row* is `slot, offset in a row of the tape`: before every step the slot
is set to that place in the step's row. `ft_recording_while` takes what `ft_while` takes, `tape,
bytes of a row, number of parts, limit` after the number of carries, part rows after the carry rows.
The tape grows up to the limit; of a loop that needs more it has nothing.

`ft_reverse` takes a state back through the rows of a tape. If they are not those of as many steps
as there were, it runs the loop again to write them, in segments that fit into the limit. Its ints
are `slot of the number of steps, code and entries of a step forward, of a step back, number of
carries, of states, of parts, tape, bytes of a row, bytes of a carry, limit`, then carry rows, state
rows, part rows. In these carry rows the last column is the place of a value among those that a
segment begins with.

The flag of a while loop is one byte; an index is clamped to the branches there are. Loops look for
Ctrl-C about twenty times a second, or after every step that takes longer, and then stop with
INTERRUPTED, Python's error being set.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from functrans.compiler import transform_loops
from functrans.compiler.blas import find_blas, find_lapack, find_triangular
from functrans.compiler.engine import Effort, compile_module, keep_for_ever
from functrans.compiler.gemm import DOUBLE, NAMES, REAL, gemm_ir, gemm_symbols
from functrans.compiler.lu import lu_ir
from functrans.compiler.triangular import triangular_ir

RAISED = 1
"""Status of a Python function called by a schedule that raised."""
INTERRUPTED = 2
"""Status of a loop that found a signal's exception."""
NO_MEMORY = 3
"""Status of a kernel that found no memory for what it writes down of its steps."""

KERNEL_TYPE = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)
RUN_TYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)

_CONTROL = (
    "ft_run",
    "ft_scan",
    "ft_while",
    "ft_recording_while",
    "ft_reverse",
    "ft_cond",
    "ft_cond64",
    "ft_each",
    "ft_within",
    "ft_copy",
    "ft_fill0",
    "ft_poll",
    "ft_take",
    "ft_give_back",
    "ft_set_worker_status",
)
_CALLS = ("ft_dispatch", "ft_leaves", "ft_views")
_POOL = tuple(f"ft_pool_{name}" for name in ("malloc", "calloc", "realloc", "free", "limit"))
_FILES = ("runtime.ll", "tapes.ll", "dispatch.ll", "leaves.ll", "pool.ll")
_PRODUCTS = tuple(f"ft_gemm_{name}" for name in NAMES.values())
_TRIANGULAR = tuple(
    f"ft_{kind}_{name}" for kind in ("cholesky", "triangular", "solve") for name in NAMES.values()
)
_GRAMS = tuple(f"ft_gram_{NAMES[x]}" for x in REAL)
_DIAGONALS = tuple(f"ft_lu_diagonal_{NAMES[x]}" for x in DOUBLE)
_DECOMPOSITIONS = ("eigh", "eigvalsh", "svd", "svdvals", "qr")
_TIMERS = ("ft_start_timer", "ft_stop_timer")
_PYTHON = (
    "PyDict_GetItem",
    "PyDict_Size",
    "PyErr_BadArgument",
    "PyErr_CheckSignals",
    "PyErr_Occurred",
    "PyEval_RestoreThread",
    "PyEval_SaveThread",
    "PyGILState_Ensure",
    "PyGILState_Release",
    "PyList_New",
    "PyLong_AsLongLongAndOverflow",
    "PyLong_AsVoidPtr",
    "PyMem_RawFree",
    "PyMem_RawMalloc",
    "PyMem_RawRealloc",
    "PyLong_FromLongLong",
    "Py_DecRef",
    "Py_IncRef",
)
_METH_FASTCALL = 0x0080
_NUMPY = {"PyArray_NewFromDescr": 94, "PyDataMem_SetHandler": 304}
"""Places in NumPy's table of functions, which never change."""


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def native_function(name: str, plan: np.ndarray) -> Callable[..., Any]:
    """A Python callable of a native METH_FASTCALL function whose self is a plan."""
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    create = new(("PyCFunction_NewEx", ctypes.pythonapi))
    return create(ctypes.addressof(_definition(name)), plan, None)


@cache
def _definition(name: str) -> _MethodDef:
    """CPython reads the definition also when it destroys a function, so it lives for ever."""
    return keep_for_ever(_MethodDef(name.encode(), address_of(name), _METH_FASTCALL, None))


def address_of(name: str) -> int:
    """The address of a native function; BLAS is looked for when the first product is asked for."""
    return _loaders().get(name, _control)()[name]


@cache
def _loaders() -> dict[str, Callable[[], dict[str, int]]]:
    """What loads a function, by its name; modules are compiled and loaded when one is asked for."""
    groups = [(_PRODUCTS, _products), (_TRIANGULAR, _triangular), (_DIAGONALS, _diagonals)]
    loaders: dict[str, Callable[[], dict[str, int]]] = {}
    for names, load in (*groups, (_GRAMS, _grams), (_TIMERS, _timers)):
        loaders |= dict.fromkeys(names, load)
    for letter in DOUBLE:
        names = _decomposition_names(letter)
        loaders |= dict.fromkeys(names, partial(_decompositions, letter))
    loaders |= {name: partial(_transform, name) for name in transform_loops.FUNCTIONS}
    return loaders


def _text(name: str) -> str:
    """A file of LLVM IR beside this one."""
    return (Path(__file__).parent / name).read_text("utf-8")


@cache
def _control() -> dict[str, int]:
    text = "".join(_text(name) for name in _FILES)
    return compile_module(text, [*_CONTROL, *_CALLS, *_POOL], _control_symbols(), Effort.TRANSLATE)


@cache
def _products() -> dict[str, int]:
    blas = find_blas()
    return compile_module(gemm_ir(blas), _PRODUCTS, gemm_symbols(blas), Effort.TRANSLATE)


@cache
def _triangular() -> dict[str, int]:
    bits, routines = find_triangular()
    symbols = {f"ft_blas_{name}": address for name, address in routines.items()}
    text = triangular_ir(bits) + lu_ir(bits)
    return compile_module(text, _TRIANGULAR, symbols, Effort.TRANSLATE)


@cache
def _grams() -> dict[str, int]:
    from functrans.compiler.gram import gram_ir

    bits, routines = find_lapack(("ssyrk", "dsyrk"))
    symbols = {f"ft_blas_{name}": address for name, address in routines.items()}
    return compile_module(gram_ir(bits), _GRAMS, symbols, Effort.GENERATE)


@cache
def _diagonals() -> dict[str, int]:
    from functrans.compiler.determinants import diagonal_ir  # with the primitives, for few programs

    bits, routines = find_triangular()
    symbols = {f"ft_blas_{x}getrf": routines[f"{x}getrf"] for x in DOUBLE}
    return compile_module(diagonal_ir(bits), _DIAGONALS, symbols, Effort.GENERATE)


@cache
def _decompositions(letter: str) -> dict[str, int]:
    from functrans.compiler.decompositions import decompositions_ir, lapack_names

    bits, routines = find_lapack(lapack_names(letter))
    symbols = {f"ft_blas_{name}": address for name, address in routines.items()}
    text = decompositions_ir(letter, bits)
    return compile_module(text, _decomposition_names(letter), symbols, Effort.GENERATE)


def _decomposition_names(letter: str) -> tuple[str, ...]:
    return tuple(f"ft_{kind}_{NAMES[letter]}" for kind in _DECOMPOSITIONS)


@cache
def _transform(name: str) -> dict[str, int]:
    text, symbols = transform_loops.fourier_ir(name), transform_loops.fourier_symbols(name)
    return compile_module(text, [name], symbols, Effort.TRANSLATE)


@cache
def _timers() -> dict[str, int]:
    return compile_module(
        _text("timers.ll"), _TIMERS, {"ft_clock": _pointer(_clock())}, Effort.TRANSLATE
    )


def _control_symbols() -> dict[str, int]:
    symbols = {name: _pointer(getattr(ctypes.pythonapi, name)) for name in _PYTHON}
    symbols |= {name: _numpy_function(index) for name, index in _NUMPY.items()}
    symbols["ft_clock"] = _pointer(_clock())
    return symbols


def _pointer(function: object) -> int:
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return address


def _numpy_function(index: int) -> int:
    """An address out of the table that NumPy gives to C extensions."""
    from numpy._core._multiarray_umath import _ARRAY_API  # type: ignore[attr-defined]

    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    table = get(("PyCapsule_GetPointer", ctypes.pythonapi))(_ARRAY_API, None)
    address = ctypes.c_void_p.from_address(table + index * ctypes.sizeof(ctypes.c_void_p)).value
    assert address is not None
    return address


def _clock() -> object:
    """C11's timespec_get, which Microsoft's library exports under another name."""
    if sys.platform == "win32":
        return ctypes.CDLL("ucrtbase")._timespec64_get
    return ctypes.CDLL(None).timespec_get
