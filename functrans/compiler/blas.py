"""Addresses of BLAS's products and LAPACK's routines in the library that NumPy or SciPy has loaded.

NumPy's extension module is linked to its BLAS, so the dynamic linker finds the symbols through it:
no second library, no second pool of threads, no import of SciPy. Where no known name resolves, the
pointers that SciPy exports to Cython are used, with Fortran's conventions.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cache

LETTERS = {"f4": "s", "f8": "d", "c8": "c", "c16": "z"}
"""BLAS's letter for a dtype."""

_CBLAS_NAMES = (  # with {} for the routine; and the width of integers
    ("scipy_cblas_{}64_", 64),  # the wheels of NumPy
    ("cblas_{}64_", 64),
    ("cblas_{}$NEWLAPACK$ILP64", 64),  # Accelerate
    ("cblas_{}_64", 64),
    ("scipy_cblas_{}", 32),
    ("cblas_{}$NEWLAPACK", 32),
    ("cblas_{}", 32),  # conda, Debian, MKL
)

_FORTRAN_NAMES = (
    ("scipy_{}_64_", 64),
    ("{}_64_", 64),
    ("{}$NEWLAPACK$ILP64", 64),
    ("scipy_{}_", 32),
    ("{}$NEWLAPACK", 32),
    ("{}_", 32),
)
TRIANGULAR = ("trsm", "trsv", "potrf", "getrf")
"""The routines of triangular matrices and of factors, all called in Fortran's convention."""


@dataclass(frozen=True)
class Blas:
    """Where the products are and how to call them.

    Attributes:
        convention: "cblas" (row-major, scalars by value if real) or "fortran" (column-major, all by
            pointer).
        bits: the width of its integers.
        gemm, gemv: addresses of the products by matrices and by vectors, by BLAS's letter.
    """

    convention: str
    bits: int
    gemm: dict[str, int]
    gemv: dict[str, int]


@cache
def find_blas() -> Blas:
    """The products to use in this process.

    Raises:
        ImportError: neither NumPy nor SciPy gives any.
    """
    found = from_numpy() or from_scipy()
    if found is None:
        raise ImportError("functrans found no BLAS in NumPy or SciPy: reinstall scipy")
    return found


def from_numpy() -> Blas | None:
    """Through the C interface of the library that NumPy is linked to."""
    library = _numpy_library()
    for pattern, bits in _CBLAS_NAMES if library else ():
        try:
            gemm, gemv = (
                {s: _address(library, pattern.format(s + routine)) for s in LETTERS.values()}
                for routine in ("gemm", "gemv")
            )
        except AttributeError:
            continue
        return Blas("cblas", bits, gemm, gemv)
    return None


def from_scipy() -> Blas | None:
    """Through the pointers that SciPy exports to Cython; importing them costs 0.2 s."""
    try:
        from scipy.linalg import cython_blas
    except ImportError:
        return None
    exported = cython_blas.__pyx_capi__
    if b"int *" not in _capsule_name(exported["dgemm"]):
        return None
    gemm, gemv = (
        {s: _capsule_pointer(exported[s + routine]) for s in LETTERS.values()}
        for routine in ("gemm", "gemv")
    )
    return Blas("fortran", 32, gemm, gemv)


def find_triangular() -> tuple[int, dict[str, int]]:
    """The routines TRIANGULAR of every dtype, see `find_lapack`."""
    return find_lapack(tuple(x + routine for routine in TRIANGULAR for x in LETTERS.values()))


@cache
def find_lapack(names: tuple[str, ...]) -> tuple[int, dict[str, int]]:
    """The width of integers, and the addresses of routines in Fortran's convention by their names.

    Raises:
        ImportError: neither NumPy nor SciPy gives them.
    """
    found = _lapack_from_numpy(names) or _lapack_from_scipy(names)
    if found is None:
        raise ImportError("functrans found no LAPACK in NumPy or SciPy: reinstall scipy")
    return found


def _lapack_from_numpy(names: tuple[str, ...]) -> tuple[int, dict[str, int]] | None:
    library = _numpy_library()
    for pattern, bits in _FORTRAN_NAMES if library else ():
        try:
            return bits, {name: _address(library, pattern.format(name)) for name in names}
        except AttributeError:
            continue
    return None


def _lapack_from_scipy(names: tuple[str, ...]) -> tuple[int, dict[str, int]] | None:
    try:
        from scipy.linalg import cython_blas, cython_lapack
    except ImportError:
        return None
    exported = {**cython_blas.__pyx_capi__, **cython_lapack.__pyx_capi__}
    if b"int *" not in _capsule_name(exported["dpotrf"]):
        return None
    return 32, {name: _capsule_pointer(exported[name]) for name in names}


def _numpy_library() -> ctypes.CDLL | None:
    """The library of NumPy through which the linker finds its BLAS."""
    from numpy._core import _multiarray_umath  # type: ignore[attr-defined]

    try:
        return ctypes.CDLL(_multiarray_umath.__file__)
    except OSError:
        return None


def _address(library: ctypes.CDLL | None, name: str) -> int:
    address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
    assert address is not None
    return address


def _capsule_name(capsule: object) -> bytes:
    function = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)
    return function(("PyCapsule_GetName", ctypes.pythonapi))(capsule)


def _capsule_pointer(capsule: object) -> int:
    function = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    return function(("PyCapsule_GetPointer", ctypes.pythonapi))(capsule, _capsule_name(capsule))
