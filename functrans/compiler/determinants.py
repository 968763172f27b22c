"""Determinants in compiled code: from the factors that LAPACK finds, by NumPy's formula.

`ft_lu_diagonal_f32`, `_f64`, `_c64`, `_c128` take buffers a, with a stack of matrices; memory for
one matrix and for n words; and for `parity` and `diagonal`, the results of the primitive
`lu_diagonal`; and these integers: n, how many matrices.

The matrices are transposed on the way, since Fortran reads columns first: so the pivots, and
with them the sign of a nan and whether a matrix counts as singular, are those of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.compiler.gemm import NAMES, TYPES, boxed
from functrans.compiler.stacks import over_stack, scratch
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
from functrans.primitives.reductions import reduce_prod_p, reduce_sum_p
from functrans.primitives.shaping import broadcast_p, concatenate_p, full, reshape_p, slice_axis
from functrans.primitives.transcendental import exp_p, log_p

# --- as Programs ----------------------------------------------------------------------------------


def determinant(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any]:
    """det(a) = sign exp(log |det(a)|), which does not overflow on the way."""

    def det(a: Any) -> Any:
        sign, logarithm = _sign_and_logarithm(a)
        size = exp_p.bind(logarithm)
        return sign * (size if dtype_of(a).kind == "f" else complex_p.bind(size, zeros_like(size)))

    return det


def sign_and_logarithm(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any]:
    """slogdet."""
    return _sign_and_logarithm


def _sign_and_logarithm(a: Any) -> list[Any]:
    *stack, n, _ = shape_of(a)
    dtype = dtype_of(a)
    if 0 in (*stack, n):
        return [full(stack, 1, dtype), full(stack, 0, real_dtype(dtype))]
    parity, diagonal = lu_diagonal_p.bind(a)
    axes = (len(stack),)
    if dtype.kind == "c":
        signs = sign_p.bind(diagonal)
    else:  # nan has one too
        one = full(shape_of(diagonal), 1, dtype)
        signs = select(lt_p.bind(diagonal, zeros_like(diagonal)), -one, one)
    sign = convert(parity, dtype) * reduce_prod_p.bind(signs, axes=axes)
    return [sign, reduce_sum_p.bind(log_p.bind(abs_p.bind(diagonal)), axes=axes)]


def gradient(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """cofactors; of matrices up to three by three the minors themselves."""
    n = avals[0].shape[-1]
    if not 2 <= n <= 3:
        return None
    return lambda a: _spoiled(_turned(a) if n == 2 else _minors(a, a), a)


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
    head = "declare i64 @llvm.smin.i64(i64, i64)\n"
    return head + "".join(_diagonal(x, bits) for x in NAMES) + "\nattributes #0 = { nounwind }\n"


def _diagonal(letter: str, bits: int) -> str:
    of, real = TYPES[letter], "float" if letter in "sc" else "double"
    setup = f"""\
  %info = alloca i64
{boxed(bits, ("n",))}
{scratch(1, "factors", "pivots", "parity")}
  %sa = mul i64 %n, %n"""
    work = f"""\
  br label %rows

rows:                                    ; eight rows at a time, whose cache lines stay while read
  %r = phi i64 [ 0, %work ], [ %r.end, %column.done ]
  %r.some = add i64 %r, 8
  %r.end = call i64 @llvm.smin.i64(i64 %r.some, i64 %n)
  br label %column

column:
  %c = phi i64 [ 0, %rows ], [ %c.next, %column.end ]
  %to.row = mul i64 %c, %n
  br label %element

element:
  %e = phi i64 [ %r, %column ], [ %e.next, %element ]
  %from.row = mul i64 %e, %n
  %from = add i64 %from.row, %c
  %to = add i64 %to.row, %e
  %from.at = getelementptr {of}, ptr %a, i64 %from
  %to.at = getelementptr {of}, ptr %factors, i64 %to
  %value = load {of}, ptr %from.at
  store {of} %value, ptr %to.at
  %e.next = add i64 %e, 1
  %elements = icmp slt i64 %e.next, %r.end
  br i1 %elements, label %element, label %column.end

column.end:
  %c.next = add i64 %c, 1
  %columns = icmp slt i64 %c.next, %n
  br i1 %columns, label %column, label %column.done

column.done:
  %rows.left = icmp slt i64 %r.end, %n
  br i1 %rows.left, label %rows, label %factorize

factorize:
  store i64 0, ptr %info
  call void @ft_blas_{letter}getrf(ptr %n.box, ptr %n.box, ptr %factors, ptr %n.box, ptr %pivots, \
ptr %info)
  %status = load i{bits}, ptr %info
  %singular = icmp ne i{bits} %status, 0
  br label %pivot

pivot:
  %k = phi i64 [ 0, %factorize ], [ %k.next, %stored ]
  %sign = phi {real} [ 1.0, %factorize ], [ %sign.next, %stored ]
  %k.next = add i64 %k, 1
  %pivot.at = getelementptr i{bits}, ptr %pivots, i64 %k
  %pivot.int = load i{bits}, ptr %pivot.at
  %pivot.wide = {f"sext i{bits} %pivot.int to i64" if bits < 64 else "add i64 %pivot.int, 0"}
  %same = icmp eq i64 %pivot.wide, %k.next            ; they count from one
  %turned = fneg {real} %sign
  %sign.next = select i1 %same, {real} %sign, {real} %turned
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
  %parity.found = select i1 %singular, {real} 0.0, {real} %sign.next
  %parity.at = getelementptr {real}, ptr %parity, i64 %i
  store {real} %parity.found, ptr %parity.at
  br label %done"""
    buffers = {"a": (0, "%sa"), "diagonal": (4, "%n")}
    return f"""
declare void @ft_blas_{letter}getrf({", ".join(["ptr"] * 6)})
""" + over_stack("lu_diagonal", letter, ("n", "count"), setup, buffers, work)
