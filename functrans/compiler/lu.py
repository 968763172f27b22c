"""Square systems as native functions: LLVM IR that factorises by LAPACK and substitutes by BLAS.

`ft_solve_f32`, `_f64`, `_c64`, `_c128` take buffers a, with a stack of matrices; memory for one
matrix and for n words; and x, which holds the right-hand sides; and these integers:

    0   n: a is n×n
    1   columns of x
    2   how many systems
    3…  see functrans/compiler/stacks.py

Fortran sees a transposed, aᵀ = P L U, and so x: xᵀ P L U = bᵀ. That is two triangular systems from
the right, and then exchanges of columns of xᵀ, which are rows of x: nothing is transposed. The
solution of a singular system is nan.
"""

from __future__ import annotations

from functrans.compiler.gemm import BYTES, NAMES, TYPES, boxed, nan_of
from functrans.compiler.stacks import over_stack
from functrans.core.program import Equation

FLAGS = {"right": "R", "upper": "U", "lower": "L", "plain": "N", "turned": "T", "unit": "U"}
"""Fortran's letters."""


def solve_ints(equation: Equation) -> tuple[int, ...]:
    """The integers of a `solve`."""
    a, b = (x.aval for x in equation.inputs)
    n, columns = b.shape[-2:]
    return n, columns, a.size // max(n * n, 1)


def lu_scratch(equation: Equation) -> tuple[int, int]:
    """The bytes of one matrix and of its pivots."""
    a = equation.inputs[0].aval
    n = a.shape[-1]
    return n * n * a.dtype.itemsize, 8 * n


def lu_ir(bits: int) -> str:
    """The functions, for Fortran integers of so many bits; they stand beside the triangular ones,
    whose declarations they share."""
    flags = [f"@{name} = private constant i8 {ord(x)}\n" for name, x in FLAGS.items()]
    copy = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)\n"
    return "".join([copy, *flags, *[_solve(letter, bits) for letter in NAMES]])


def _solve(letter: str, bits: int) -> str:
    of = TYPES[letter]
    setup = f"""\
  %one = add i64 0, 1
  %info = alloca i64
{boxed(bits, ("n", "columns", "one"))}
  %sa = mul i64 %n, %n
  %bytes = mul i64 %sa, {BYTES[letter]}
  %sx = mul i64 %n, %columns
  %single = icmp eq i64 %columns, 1"""
    work = f"""\
  call void @llvm.memcpy.p0.p0.i64(ptr %factors, ptr %a, i64 %bytes, i1 false)
  store i64 0, ptr %info
  call void @ft_blas_{letter}getrf(ptr %n.box, ptr %n.box, ptr %factors, ptr %n.box, ptr %pivots, \
ptr %info)
  %status = load i{bits}, ptr %info
  %singular = icmp ne i{bits} %status, 0
  br i1 %singular, label %spoil, label %substitute

spoil:
  %k = phi i64 [ 0, %work ], [ %k.next, %spoil ]
  %cell = getelementptr {of}, ptr %x, i64 %k
  store {nan_of(letter)}, ptr %cell
  %k.next = add i64 %k, 1
  %spoils = icmp slt i64 %k.next, %sx
  br i1 %spoils, label %spoil, label %done

substitute:
  br i1 %single, label %vector, label %matrix

vector:
  call void @ft_blas_{letter}trsv(ptr @upper, ptr @turned, ptr @plain, ptr %n.box, ptr %factors, \
ptr %n.box, ptr %x, ptr %one.box)
  call void @ft_blas_{letter}trsv(ptr @lower, ptr @turned, ptr @unit, ptr %n.box, ptr %factors, \
ptr %n.box, ptr %x, ptr %one.box)
  br label %exchange

matrix:
  call void @ft_blas_{letter}trsm(ptr @right, ptr @upper, ptr @plain, ptr @plain, \
ptr %columns.box, ptr %n.box, ptr @one_{letter}, ptr %factors, ptr %n.box, ptr %x, ptr %columns.box)
  call void @ft_blas_{letter}trsm(ptr @right, ptr @lower, ptr @plain, ptr @unit, \
ptr %columns.box, ptr %n.box, ptr @one_{letter}, ptr %factors, ptr %n.box, ptr %x, ptr %columns.box)
  br label %exchange

exchange:                                             ; the last pivot first
  %left = phi i64 [ %n, %vector ], [ %n, %matrix ], [ %row, %exchanged ]
  %any = icmp sgt i64 %left, 0
  br i1 %any, label %pivot, label %done

pivot:
  %row = sub i64 %left, 1
  %pivot.at = getelementptr i{bits}, ptr %pivots, i64 %row
  %pivot.int = load i{bits}, ptr %pivot.at
  %pivot.wide = {f"sext i{bits} %pivot.int to i64" if bits < 64 else "add i64 %pivot.int, 0"}
  %other = sub i64 %pivot.wide, 1
  %same = icmp eq i64 %row, %other
  br i1 %same, label %exchanged, label %rows

rows:
  %row.offset = mul i64 %row, %columns
  %other.offset = mul i64 %other, %columns
  %row.start = getelementptr {of}, ptr %x, i64 %row.offset
  %other.start = getelementptr {of}, ptr %x, i64 %other.offset
  br label %swap

swap:
  %c = phi i64 [ 0, %rows ], [ %c.next, %swap ]
  %here = getelementptr {of}, ptr %row.start, i64 %c
  %there = getelementptr {of}, ptr %other.start, i64 %c
  %mine = load {of}, ptr %here
  %yours = load {of}, ptr %there
  store {of} %yours, ptr %here
  store {of} %mine, ptr %there
  %c.next = add i64 %c, 1
  %swaps = icmp slt i64 %c.next, %columns
  br i1 %swaps, label %swap, label %exchanged

exchanged:
  br label %exchange"""
    buffers = {"a": (0, "%sa"), "x": (3, "%sx")}
    return f"""
declare void @ft_blas_{letter}getrf({", ".join(["ptr"] * 6)})
""" + over_stack(
        "solve", letter, ("n", "columns", "count"), setup, buffers, work, ("factors", "pivots")
    )
