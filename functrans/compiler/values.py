"""Scalars in LLVM IR: which dtypes there are, and how their values and types are written.

Bools are i1 in registers and i8 in memory. Signedness is that of the numpy dtype. A complex scalar
is a pair of real ones.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core.types import Aval

REGISTER_TYPES = {
    np.dtype(name): text
    for name, text in {
        "bool": "i1",
        "int8": "i8",
        "int16": "i16",
        "int32": "i32",
        "int64": "i64",
        "uint8": "i8",
        "uint16": "i16",
        "uint32": "i32",
        "uint64": "i64",
        "float32": "float",
        "float64": "double",
    }.items()
}
"""The LLVM type of a real scalar in a register."""

SUPPORTED = frozenset(REGISTER_TYPES) | {np.dtype(np.complex64), np.dtype(np.complex128)}
BOOL = np.dtype(np.bool_)


def is_real(aval: Aval) -> bool:
    """Whether the elements of an array are real scalars that have a register."""
    return aval.dtype in REGISTER_TYPES


@dataclass(frozen=True, slots=True)
class Value:
    """A real scalar: the name of an SSA value, or a constant, and its numpy dtype."""

    text: str
    dtype: np.dtype

    @property
    def type(self) -> str:
        """Its LLVM type in a register."""
        return REGISTER_TYPES[self.dtype]


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex scalar: real and imaginary part, and the complex dtype."""

    re: Value
    im: Value
    dtype: np.dtype


Scalar = Any
"""A Value or a Complex: what the arithmetic of a Builder takes and gives."""


def part_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the parts of a complex dtype; other dtypes are their own."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def constant_text(value: Any, dtype: np.dtype) -> str:
    """A real constant as LLVM writes it, exactly."""
    if dtype == BOOL:
        return "true" if value else "false"
    if dtype.kind != "f":
        return str(int(value))
    # a float32 is written as the double that it equals
    bits = struct.unpack("<Q", struct.pack("<d", float(dtype.type(value))))[0]
    return f"0x{bits:016X}"


def suffix(dtype: np.dtype) -> str:
    """How an overloaded intrinsic names a type."""
    return f"{'f' if dtype.kind == 'f' else 'i'}{bits(dtype)}"


def bits(dtype: np.dtype) -> int:
    """Of a value in a register."""
    return 1 if dtype == BOOL else 8 * dtype.itemsize


def cast_name(source: np.dtype, target: np.dtype) -> str | None:
    """The instruction that converts real numbers; None if the bits stay as they are."""
    signed = source.kind == "i"
    if target.kind == "f":
        if source.kind == "f":
            return "fpext" if target.itemsize > source.itemsize else "fptrunc"
        return "sitofp" if signed else "uitofp"
    if bits(source) == bits(target):
        return None
    if bits(source) > bits(target):
        return "trunc"
    return "sext" if signed else "zext"
