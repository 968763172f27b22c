"""Fourier transforms in compiled code: the loops of NumPy's transforms, called without Python.

`numpy.fft` has ufuncs, and a ufunc has C functions that transform rows. They compute what SciPy's
do, in the same time; a call of SciPy costs 5 µs, as much as four transforms of 256 numbers. For
every such function there is

    ft_fft_c128, ft_rfft_even_f64 …    x, out

whose loop is over all rows, with integers: elements of a row of x and of out; rows in a block; of x
and then of out the bytes from row to row, from element to element and from block to block; and the
bits of the scale, a float64. A row and its result may be one memory.

SciPy remains for lengths with a large prime factor, for which it takes two thirds of the time, and
where NumPy's ufuncs are not as expected.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np

from functrans.compiler.blas import LETTERS
from functrans.compiler.emitted import arguments
from functrans.compiler.gemm import NAMES
from functrans.core.program import Equation
from functrans.core.types import Aval
from functrans.primitives.shaping import transpose_p

SET = 4096
"""Bytes: addresses a multiple of them apart share a set of the lines of a cache."""
SHORTEST = 32
"""Elements of an axis that is worth transposing."""
LARGEST_FACTOR = 11
"""Of lengths that are transformed by their factors."""
FLOPS_PER_NANOSECOND = 6.0
"""On one core."""
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
STRIDES = ("row", "element", "block")


def by_rows(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """An `fft` or `ifft` along the last axis, where the elements of another fall into few lines of
    the cache: 512 transforms of 512 complex128 down the columns of a matrix take 0.84 ms, turned
    there and back 0.48."""
    (aval,), axis, norm = avals, equation.params["axis"], equation.params["norm"]
    stride = math.prod(aval.shape[axis + 1 :]) * aval.dtype.itemsize
    if axis == aval.ndim - 1 or aval.shape[axis] < SHORTEST or stride % SET or not aval.size:
        return None
    exchanged = list(range(aval.ndim))
    exchanged[axis], exchanged[-1] = aval.ndim - 1, axis
    permutation = tuple(exchanged)

    def transform(x: Any) -> Any:
        rows = transpose_p.bind(x, permutation=permutation)
        rows = equation.primitive.bind(rows, axis=aval.ndim - 1, norm=norm)
        return transpose_p.bind(rows, permutation=permutation)

    return transform


# --- calls ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A transform by a function of the runtime.

    Attributes:
        function: its name.
        ints: its integers.
        rows: how many there are.
    """

    function: str
    ints: tuple[int, ...]
    rows: int


def call_of(equation: Equation) -> Call | None:
    """How an equation is computed by NumPy's loops, if it is one that they compute."""
    if equation.primitive.name not in ("fft", "ifft", "rfft", "irfft"):
        return None
    (x,), (out,) = (a.aval for a in equation.inputs), (v.aval for v in equation.outputs)
    axis = equation.params["axis"]
    n, m = x.shape[axis], out.shape[axis]
    function = f"ft_{_kind(equation.primitive.name, n)}_{NAMES[LETTERS[x.dtype.str[1:]]]}"
    if not (x.size and _has_small_factors(max(n, m)) and function in loops()):
        return None
    before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    rows = after if after > 1 else before
    strides = [
        stride
        for aval, extent in ((x, n), (out, m))
        for stride in _strides(aval.dtype.itemsize, extent, after)
    ]
    return Call(function, (n, m, rows, *strides, _scale_bits(equation, max(n, m))), before * after)


def _kind(name: str, n: int) -> str:
    return name + ("_odd" if n % 2 else "_even") if name == "rfft" else name


def _strides(size: int, extent: int, after: int) -> tuple[int, int, int]:
    """Bytes from row to row in a block, from element to element, and from block to block."""
    if after == 1:
        return extent * size, size, 0
    return size, after * size, extent * after * size


def _has_small_factors(n: int) -> bool:
    for factor in range(2, LARGEST_FACTOR + 1):
        while n % factor == 0:
            n //= factor
    return n == 1


def _scale_bits(equation: Equation, n: int) -> int:
    """The bits of the number that NumPy's loop multiplies by."""
    forward = equation.primitive.name in ("fft", "rfft")
    norm = equation.params["norm"]
    if norm == "ortho":
        scale = 1 / math.sqrt(n)
    else:
        scale = 1.0 if forward == (norm == "backward") else 1 / n
    return int(np.float64(scale).view(np.int64))


# --- functions ------------------------------------------------------------------------------------


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
