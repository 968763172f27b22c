"""The address of the matrix product in the BLAS that NumPy itself has loaded.

NumPy's extension module is linked to its BLAS, so the dynamic linker finds the symbol through it:
no second library, no second pool of threads, no import of SciPy. Where no known name resolves,
products are left to NumPy.
"""

from __future__ import annotations

import ctypes
from functools import cache

import numpy as np

_LETTERS = {"f4": "s", "f8": "d", "c8": "c", "c16": "z"}
_NAMES = (
    ("scipy_cblas_{}gemm64_", 64),  # the wheels of NumPy
    ("cblas_{}gemm64_", 64),
    ("cblas_{}gemm$NEWLAPACK$ILP64", 64),  # Accelerate
    ("scipy_cblas_{}gemm", 32),
    ("cblas_{}gemm", 32),  # conda, Debian, MKL
)
"""Names of the C interface, and the width of its integers."""


@cache
def find_gemm() -> tuple[dict[str, int], int] | None:
    """Addresses of the products by dtype code, and the bits of their integers; None if unknown."""
    from numpy._core import _multiarray_umath

    try:
        library = ctypes.CDLL(_multiarray_umath.__file__)
    except OSError:
        return None
    for pattern, bits in _NAMES:
        try:
            addresses = {
                code: _address(library, pattern.format(letter)) for code, letter in _LETTERS.items()
            }
        except AttributeError:
            continue
        return addresses, bits
    return None


def gemm_address(dtype: np.dtype) -> int | None:
    """The address of the product of this dtype, or None."""
    found = find_gemm()
    return None if found is None else found[0].get(dtype.str[1:])


def _address(library: ctypes.CDLL, name: str) -> int:
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert address is not None
    return address
