"""Large results get memory that an earlier result of the same size has left.

A step that returns twenty arrays of 1.6 MB spent 13 of its 15 ms on page faults of fresh memory.
The pool is a NumPy memory handler (functrans/compiler/pool.ll), so results own their memory as any
array does, and it comes back when they die. What is held is bounded, oldest out first.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

from functrans.compiler import runtime
from functrans.compiler.engine import keep_for_ever

THRESHOLD = 1 << 16
"""Bytes from which on a result is worth it; smaller ones the C library keeps at hand itself."""
LIMIT = 512 << 20
"""Bytes held for later, at the most."""

_NAME = b"mem_handler"


class _Handler(ctypes.Structure):
    """NumPy's PyDataMem_Handler."""

    _fields_ = (
        ("name", ctypes.c_char * 127),
        ("version", ctypes.c_uint8),
        ("context", ctypes.c_void_p),
        ("malloc", ctypes.c_void_p),
        ("calloc", ctypes.c_void_p),
        ("realloc", ctypes.c_void_p),
        ("free", ctypes.c_void_p),
    )


@cache
def handler() -> Any:
    """The capsule that NumPy takes as a memory handler. It lives as long as the process."""
    functions = [
        runtime.address_of(f"ft_pool_{f}") for f in ("malloc", "calloc", "realloc", "free")
    ]
    structure = keep_for_ever(_Handler(b"functrans", 1, None, *functions))
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
        ("PyCapsule_New", ctypes.pythonapi)
    )
    return new(ctypes.addressof(structure), keep_for_ever(_NAME), None)


def held() -> int:
    """Bytes held for later results."""
    return _set_limit(LIMIT)


def clear() -> None:
    """Give all memory held for later results back."""
    _set_limit(0)
    _set_limit(LIMIT)


def _set_limit(nbytes: int) -> int:
    function = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_int64)  # keeps the GIL
    return function(runtime.address_of("ft_pool_limit"))(nbytes)
