"""The native entry point of a compiled function: checks its arguments' types and runs the schedule.

It has CPython's vectorcall-like signature (METH_FASTCALL) and reads array objects directly, which
makes a call cost tenths of a microsecond. Its `self` is the address of a plan:

    code, entries, argument count, address of the ndarray type, then per argument
    dtype object, dimensions, slot, scalar type accepted if 0-d (or 0), flags required, extents …

The first Python argument is the address of the frame's table of slots.
"""

from __future__ import annotations

import ctypes
import sys
import sysconfig
from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.compiler.llvm import Value
from functrans.compiler.native import I64, Function

CONTIGUOUS = 0x0001 | 0x0100
"""NPY_ARRAY_C_CONTIGUOUS and ALIGNED."""
WRITEABLE = 0x0400
METH_FASTCALL = 0x0080

# Offsets in bytes, from numpy/ndarraytypes.h and CPython's object.h; `layout_is_known` checks them.
TYPE, DATA, NDIM, DIMS, DESCR, FLAGS = 8, 16, 24, 32, 56, 64
SCALAR_VALUE = 16


def layout_is_known() -> bool:
    """Whether array and scalar objects of this interpreter lie in memory as assumed here."""
    if sysconfig.get_config_var("Py_GIL_DISABLED") or sys.implementation.name != "cpython":
        return False
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    raw = (ctypes.c_int64 * 9).from_address(id(x))
    dims = (ctypes.c_int64 * 2).from_address(raw[DIMS // 8])
    scalar = ctypes.c_float.from_address(id(s := np.float32(2.5)) + SCALAR_VALUE).value
    number = ctypes.c_double.from_address(id(p := 2.5) + SCALAR_VALUE).value
    return (
        raw[TYPE // 8] == id(np.ndarray)
        and raw[DATA // 8] == x.ctypes.data
        and raw[NDIM // 8] & 0xFFFFFFFF == 2
        and (dims[0], dims[1]) == x.shape
        and raw[DESCR // 8] == id(x.dtype)
        and raw[FLAGS // 8] & (CONTIGUOUS | WRITEABLE) == CONTIGUOUS | WRITEABLE
        and scalar == float(s)
        and number == p
    )


def write_dispatch(f: Function) -> None:
    """Check every argument, set its slot; then run without the GIL."""
    b = f.b
    for line in (
        "declare ptr @PyLong_AsVoidPtr(ptr)",
        "declare ptr @PyLong_FromLong(i64)",
        "declare ptr @PyEval_SaveThread()",
        "declare void @PyEval_RestoreThread(ptr)",
    ):
        b.declare(line)
    plan = b.op("call ptr @PyLong_AsVoidPtr(ptr %self)", I64).text
    table = b.op(f"call ptr @PyLong_AsVoidPtr(ptr {_item(f, '0')})", I64).text
    code, entries, count, array_type = (f.integer(plan, i) for i in range(4))
    at = f.cell()
    f.set(at, f.number(4))
    with b.loop("0", count.text) as i:
        spec = f.offset(plan, f.get(at))
        following = b.add(i, f.number(1))
        _check_argument(f, _item(f, following.text), spec, table, array_type, following)
        f.set(at, b.add(f.get(at), b.add(f.integer(spec, 1), f.number(5))))
    state = b.op("call ptr @PyEval_SaveThread()", I64).text
    run = f"call i64 @ft_run(ptr {f.pointer(code)}, i64 {entries.text}, ptr {table})"
    status = b.op(run, I64)
    b.raw(f"call void @PyEval_RestoreThread(ptr {state})")
    f.set(f.status, b.neg(status))
    interrupted = b.eq(status, f.number(-1))
    b.cond_br(interrupted, "raise", "fail")


def dispatch_ir() -> tuple[str, list[str], list[str]]:
    """The function's text, what it declares, its name. Its exit `fail` returns a Python int:
    0 for success, i > 0 if argument i is refused, -status if the schedule stopped."""
    f = Function()
    write_dispatch(f)
    text = "\n".join(
        [
            "define ptr @ft_dispatch(ptr %self, ptr %args, i64 %nargs) {",
            "entry:",
            *f.cells,
            *f.b.lines,
            "fail:",
            f"  %code.out = load i64, ptr {f.status}",
            "  %object = call ptr @PyLong_FromLong(i64 %code.out)",
            "  ret ptr %object",
            "raise:",
            "  ret ptr null",
            "}",
        ]
    )
    return text, [*f.b.declarations], ["ft_dispatch"]


def _item(f: Function, index: str) -> str:
    place = f.b.op(f"getelementptr ptr, ptr %args, i64 {index}", I64).text
    return f.b.op(f"load ptr, ptr {place}", I64).text


def _field(f: Function, obj: str, offset: int, dtype: Any = np.int64) -> Value:
    place = f.b.op(f"getelementptr i8, ptr {obj}, i64 {offset}", I64).text
    return f.b.load(place, None, dtype)


def _check_argument(
    f: Function, obj: str, spec: str, table: str, array_type: Value, number: Value
) -> None:
    """Set the slot of an argument, or leave with its number if its type is another."""
    b = f.b
    kind = _field(f, obj, TYPE)
    array, scalar, done = (b.fresh_label(n) for n in ("array", "scalar", "done"))
    f.set(f.status, number)
    data = f.cell()
    b.cond_br(b.eq(kind, array_type), array, scalar)
    b.label(scalar)
    wanted = f.integer(spec, 3)
    inside = b.op(f"ptrtoint ptr {obj} to i64", I64)
    f.set(data, b.add(inside, f.number(SCALAR_VALUE)))
    b.cond_br(b.eq(kind, wanted), done, "fail")
    b.label(array)
    good = b.eq(_field(f, obj, DESCR), f.integer(spec, 0))
    ndim = b.convert(_field(f, obj, NDIM, np.int32), I64)
    good = b.and_(good, b.eq(ndim, f.integer(spec, 1)))
    required = f.integer(spec, 4)
    flags = b.convert(_field(f, obj, FLAGS, np.int32), I64)
    good = b.and_(good, b.eq(b.and_(flags, required), required))
    fits = b.fresh_label("fits")
    b.cond_br(good, fits, "fail")
    b.label(fits)
    dims = f.pointer(_field(f, obj, DIMS))
    with b.loop("0", ndim.text) as axis:
        extent = f.integer(spec, b.add(axis, f.number(5)))
        same = b.fresh_label("same")
        b.cond_br(b.eq(f.integer(dims, axis), extent), same, "fail")
        b.label(same)
    f.set(data, _field(f, obj, DATA))
    b.br(done)
    b.label(done)
    b.store(f.get(data), table, f.integer(spec, 2).text)


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


def make_callable(address: int, plan_address: int) -> tuple[Callable[..., Any], Any]:
    """A Python callable of the native dispatcher bound to a plan, and what must outlive it."""
    definition = _MethodDef(b"compiled", address, METH_FASTCALL, None)
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return new(ctypes.addressof(definition), plan_address, None), definition
