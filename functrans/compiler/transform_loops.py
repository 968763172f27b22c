"""The C functions under NumPy's Fourier transforms, and native functions that call them.

`numpy.fft` has ufuncs, and a ufunc has C functions that transform rows. They compute what SciPy's
do, in the same time; a call of SciPy costs 5 µs, as much as four transforms of 256 numbers. For
every such function there is

    ft_fft_c128, ft_rfft_even_f64 …    x, out

whose loop is over all rows, with integers: elements of a row of x and of out; rows in a block; of x
and then of out the bytes from row to row, from element to element and from block to block; and the
bits of the scale, a float64. A row and its result may be one memory.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from functrans.compiler.emitted import arguments

_COMPLEX = {"Dd->D": "c128", "Ff->F": "c64"}
_REAL = {"dd->D": "f64", "ff->F": "f32"}
_UFUNCS = {
    "fft": ("fft", _COMPLEX),
    "ifft": ("ifft", _COMPLEX),
    "rfft_even": ("rfft_n_even", _REAL),
    "rfft_odd": ("rfft_n_odd", _REAL),
    "irfft": ("irfft", {"Dd->d": "c128", "Ff->f": "c64"}),
}
"""By our name, NumPy's, and our names of its types."""
FUNCTIONS = tuple(
    f"ft_{kind}_{name}" for kind, (_, types) in _UFUNCS.items() for name in types.values()
)
"""Ours, of which those exist whose function NumPy has."""
STRIDES = ("row", "element", "block")


class _Ufunc(ctypes.Structure):
    """The first of what NumPy's PyUFuncObject holds after the head of an object."""

    _fields_: ClassVar = [
        ("nin", ctypes.c_int),
        ("nout", ctypes.c_int),
        ("nargs", ctypes.c_int),
        ("identity", ctypes.c_int),
        ("functions", ctypes.POINTER(ctypes.c_void_p)),
        ("data", ctypes.POINTER(ctypes.c_void_p)),
        ("ntypes", ctypes.c_int),
        ("reserved", ctypes.c_int),
        ("name", ctypes.c_char_p),
    ]


@dataclass(frozen=True)
class Loop:
    """A function of NumPy's.

    Attributes:
        address: of the function.
        data: the address that it is given as its last argument, or 0.
    """

    address: int
    data: int


@cache
def loops() -> dict[str, Loop]:
    """NumPy's functions, by the names of ours that call them."""
    if sys.implementation.name != "cpython":
        return {}
    try:
        # the stubs leave out what is private
        from numpy.fft import _pocketfft_umath as module  # type: ignore[attr-defined]
    except ImportError:
        return {}
    return {
        f"ft_{kind}_{types[signature]}": loop
        for kind, (name, types) in _UFUNCS.items()
        for signature, loop in _loops_of(getattr(module, name, None)).items()
        if signature in types
    }


def _loops_of(ufunc: Any) -> dict[str, Loop]:
    """The functions of a ufunc by their types; none if it does not look as it should in memory."""
    if type(ufunc) is not np.ufunc:
        return {}
    inside = _Ufunc.from_address(id(ufunc) + object.__basicsize__)
    if (inside.nin, inside.nout, inside.nargs, inside.ntypes) != (2, 1, 3, len(ufunc.types)):
        return {}
    if inside.name != ufunc.__name__.encode():
        return {}
    data = inside.data if inside.data else [0] * inside.ntypes
    return {
        types: Loop(inside.functions[i] or 0, data[i] or 0) for i, types in enumerate(ufunc.types)
    }


def fourier_ir(name: str) -> str:
    """The function of that name."""
    wide = name.endswith(("f64", "c128"))
    scale = "%scale" if wide else "%scale.narrow"
    data = f"@{name}.data" if loops()[name].data else "null"
    names = ("n", "m", "rows", *(f"{x}.{to}" for x in ("x", "out") for to in STRIDES))
    places = "\n".join(
        f"  %{x}.skip = mul i64 %block, %{x}.block\n"
        f"  %{x}.within = mul i64 %row, %{x}.row\n"
        f"  %{x}.start = getelementptr i8, ptr %{x}.all, i64 %{x}.skip\n"
        f"  %{x}.first = getelementptr i8, ptr %{x}.start, i64 %{x}.within"
        for x in ("x", "out")
    )
    return f"""
declare void @{name}.loop(ptr, ptr, ptr, ptr)
{f"declare void {data}()" if data != "null" else ""}

define i64 @{name}(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {{
start:
{arguments(("x.all", "out.all"), names)}
  %scale.at = getelementptr double, ptr %ints, i64 {len(names)}
  %scale = load double, ptr %scale.at
  %scale.narrow = fptrunc double %scale to float
  %scale.box = alloca double
  store {"double" if wide else "float"} {scale}, ptr %scale.box
  %args = alloca [3 x ptr]
  %sizes = alloca [3 x i64]
  %strides = alloca [5 x i64]
{_fields("args", "ptr", {1: "%scale.box"})}
{_fields("sizes", "i64", {1: "%n", 2: "%m"})}
{_fields("strides", "i64", {0: "%x.row", 1: "0", 2: "%out.row"})}
{_fields("strides", "i64", {3: "%x.element", 4: "%out.element"})}
  br label %next

next:
  %i = phi i64 [ %lo, %start ], [ %i.next, %work ]
  %more = icmp slt i64 %i, %hi
  br i1 %more, label %work, label %end

work:
  %block = udiv i64 %i, %rows
  %row = urem i64 %i, %rows
  %left = sub i64 %rows, %row
  %wanted = sub i64 %hi, %i
  %count = call i64 @llvm.umin.i64(i64 %left, i64 %wanted)
{places}
{_fields("args", "ptr", {0: "%x.first", 2: "%out.first"})}
{_fields("sizes", "i64", {0: "%count"})}
  call void @{name}.loop(ptr %args, ptr %sizes, ptr %strides, ptr {data})
  %i.next = add i64 %i, %count
  br label %next

end:
  ret i64 0
}}
declare i64 @llvm.umin.i64(i64, i64)
attributes #0 = {{ nounwind }}
"""


def _fields(array: str, kind: str, values: dict[int, str]) -> str:
    """Instructions that set elements of an array."""
    return "\n".join(
        f"  %{array}.{value[1:] or value}.to = getelementptr {kind}, ptr %{array}, i64 {i}\n"
        f"  store {kind} {value}, ptr %{array}.{value[1:] or value}.to"
        for i, value in values.items()
    )


def fourier_symbols(name: str) -> dict[str, int]:
    """The addresses that the function needs."""
    loop = loops()[name]
    return {f"{name}.loop": loop.address, f"{name}.data": loop.data}
