"""Determinants in compiled code: from the factors that LAPACK finds, by NumPy's formula.

`ft_lu_diagonal_f64`, `_c128` take buffers a, with a stack of matrices; memory for
one matrix and for n words; and for `parity` and `diagonal`, the results of the primitive
`lu_diagonal`; and these integers: n, how many matrices, what functrans/compiler/stacks.py wants.

As in NumPy it is done in double precision, and matrices are transposed on the way, since Fortran
reads columns first: so pivots, the sign of a nan and what counts as singular are NumPy's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.compiler.decompositions import reduced_svd
from functrans.compiler.gemm import DOUBLE, TYPES, boxed
from functrans.compiler.stacks import over_stack, pointers, turn
from functrans.core.program import Equation
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import (
    abs_p,
    complex_p,
    convert,
    lt_p,
    real_dtype,
    select,
    sign_p,
    zeros_like,
)
from functrans.primitives.determinants import lu_diagonal_p
from functrans.primitives.linear_algebra import conjugate, product
from functrans.primitives.reductions import reduce_prod_p, reduce_sum_p
from functrans.primitives.shaping import broadcast_p, concatenate_p, full, reshape_p, slice_axis
from functrans.primitives.transcendental import exp_p, log_p

LARGEST_GRADIENT = 12
"""Beyond, NumPy's evaluation, which has no singular values where the inverse is as good, is faster
than they are by more than its call from native code takes."""

# --- as Programs ----------------------------------------------------------------------------------


def determinant(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any]:
    """det(a) = sign exp(log |det(a)|), which does not overflow on the way."""
    return _determinant


def _determinant(a: Any) -> Any:
    sign, logarithm = _sign_and_logarithm(a)
    size = exp_p.bind(logarithm)
    if dtype_of(size) != dtype_of(sign):
        size = complex_p.bind(size, zeros_like(size))
    return convert(sign * size, dtype_of(a))


def sign_and_logarithm(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any]:
    """slogdet."""

    def slogdet(a: Any) -> list[Any]:
        sign, logarithm = _sign_and_logarithm(a)
        return [convert(sign, dtype_of(a)), convert(logarithm, real_dtype(dtype_of(a)))]

    return slogdet


def _sign_and_logarithm(a: Any) -> tuple[Any, Any]:
    """In double precision."""
    *stack, n, _ = shape_of(a)
    dtype = np.dtype(np.complex128 if dtype_of(a).kind == "c" else np.float64)
    if 0 in (*stack, n):
        return full(stack, 1, dtype), full(stack, 0, np.float64)
    parity, diagonal = lu_diagonal_p.bind(convert(a, dtype))
    axes = (len(stack),)
    if dtype.kind == "c":
        signs = sign_p.bind(diagonal)
    else:  # nan has one too
        one = full(shape_of(diagonal), 1, dtype)
        signs = select(lt_p.bind(diagonal, zeros_like(diagonal)), -one, one)
    sign = convert(parity, dtype) * reduce_prod_p.bind(signs, axes=axes)
    return sign, reduce_sum_p.bind(log_p.bind(abs_p.bind(diagonal)), axes=axes)


def gradient(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """cofactors: of matrices up to three by three the minors, else by singular values."""
    n = avals[0].shape[-1]
    if not avals[0].size or not 2 <= n <= LARGEST_GRADIENT:
        return None
    if n > 3:
        return _cofactors
    return lambda a: _spoiled(_turned(a) if n == 2 else _minors(a, a), a)


def _cofactors(a: Any) -> Any:
    """det(u vh) conj(u d vh), where d has for each singular value the product of all others."""
    u, s, vh = reduced_svd(a)
    *stack, n = shape_of(s)
    square = (*stack, n, n)
    rows = broadcast_p.bind(reshape_p.bind(s, shape=(*stack, 1, n)), shape=square)
    one = broadcast_p.bind(np.eye(n, dtype=bool), shape=square)
    without = reduce_prod_p.bind(select(one, 1, rows), axes=(len(stack) + 1,))
    scaled = convert(reshape_p.bind(without, shape=(*stack, 1, n)), dtype_of(a))
    scale = reshape_p.bind(_determinant(product(u, vh)), shape=(*stack, 1, 1))
    left = conjugate(u) * broadcast_p.bind(scale * scaled, shape=square)
    return product(left, conjugate(vh))


def gradient_along(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """cofactors_along, likewise."""
    n = avals[0].shape[-1]
    if not 2 <= n <= 3:
        return None
    return lambda a, e: _spoiled(_turned(e) if n == 2 else _minors(a, e) + _minors(e, a), a)


def _spoiled(x: Any, a: Any) -> Any:
    """x, with nan for the matrices of a that are not finite."""
    stack = shape_of(a)[:-2]
    nothing = reduce_sum_p.bind(a * dtype_of(a).type(0), axes=(len(stack), len(stack) + 1))
    return x + broadcast_p.bind(reshape_p.bind(nothing, shape=(*stack, 1, 1)), shape=shape_of(x))


def _turned(a: Any) -> Any:
    """The cofactors of two by two matrices."""
    signs = np.array([[1, -1], [-1, 1]], dtype_of(a))
    return _rolled(a, 1, 1) * broadcast_p.bind(signs, shape=shape_of(a))


def _minors(x: Any, y: Any) -> Any:
    """The products of a row of x with one of y of three by three matrices, as minors have them."""
    return _rolled(x, 1, 1) * _rolled(y, 2, 2) - _rolled(x, 1, 2) * _rolled(y, 2, 1)


def _rolled(x: Any, rows: int, columns: int) -> Any:
    """Element (i + rows, j + columns) of each matrix in place of (i, j), counted around."""
    *stack, n, _ = shape_of(x)
    for axis, start in ((len(stack), rows), (len(stack) + 1, columns)):
        parts = slice_axis(x, axis, start, n), slice_axis(x, axis, 0, start)
        x = concatenate_p.bind(*parts, axis=axis)
    return x


# --- native ---------------------------------------------------------------------------------------


def diagonal_ints(equation: Equation) -> tuple[int, ...]:
    """The integers of a `lu_diagonal`."""
    a = equation.inputs[0].aval
    n = a.shape[-1]
    return n, a.size // max(n * n, 1)


def diagonal_ir(bits: int) -> str:
    """The functions, for Fortran integers of so many bits."""
    return (
        "".join(turn(x) + _diagonal(x, bits) for x in DOUBLE) + "\nattributes #0 = { nounwind }\n"
    )


def _diagonal(letter: str, bits: int) -> str:
    of = TYPES[letter]
    setup = f"""\
  %info = alloca i64
{boxed(bits, ("n",))}
{pointers(3, "parity")}
  %sa = mul i64 %n, %n"""
    work = f"""\
  call double @turn_{letter}(ptr %a, ptr %factors, i64 %n, i64 %n, i64 0)
  store i64 0, ptr %info
  call void @ft_blas_{letter}getrf(ptr %n.box, ptr %n.box, ptr %factors, ptr %n.box, ptr %pivots, \
ptr %info)
  %status = load i{bits}, ptr %info
  %singular = icmp ne i{bits} %status, 0
  br label %pivot

pivot:
  %k = phi i64 [ 0, %work ], [ %k.next, %stored ]
  %sign = phi double [ 1.0, %work ], [ %sign.next, %stored ]
  %k.next = add i64 %k, 1
  %pivot.at = getelementptr i{bits}, ptr %pivots, i64 %k
  %pivot.int = load i{bits}, ptr %pivot.at
  %pivot.wide = {f"sext i{bits} %pivot.int to i64" if bits < 64 else "add i64 %pivot.int, 0"}
  %same = icmp eq i64 %pivot.wide, %k.next            ; they count from one
  %turned = fneg double %sign
  %sign.next = select i1 %same, double %sign, double %turned
  %place = getelementptr {of}, ptr %diagonal, i64 %k
  br i1 %singular, label %clear, label %keep

clear:
  store {of} zeroinitializer, ptr %place
  br label %stored

keep:
  %step = add i64 %n, 1
  %offset = mul i64 %k, %step
  %found.at = getelementptr {of}, ptr %factors, i64 %offset
  %found = load {of}, ptr %found.at
  store {of} %found, ptr %place
  br label %stored

stored:
  %pivots.left = icmp slt i64 %k.next, %n
  br i1 %pivots.left, label %pivot, label %finish

finish:
  %parity.found = select i1 %singular, double 0.0, double %sign.next
  %parity.at = getelementptr double, ptr %parity, i64 %i
  store double %parity.found, ptr %parity.at
  br label %done"""
    buffers = {"a": (0, "%sa"), "diagonal": (4, "%n")}
    return f"""
declare void @ft_blas_{letter}getrf({", ".join(["ptr"] * 6)})
""" + over_stack("lu_diagonal", letter, ("n", "count"), setup, buffers, work, ("factors", "pivots"))
