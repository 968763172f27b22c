"""Cholesky factors and triangular systems as native functions: LLVM IR that calls BLAS and LAPACK.

`ft_cholesky_f32`, `_f64`, `_c64`, `_c128` take a buffer with a stack of matrices, whose lower
triangles they replace by factors and whose upper ones by zeros (a matrix without a factor becomes
nan); and these integers: n, how many matrices, and what functrans/compiler/stacks.py wants.

`ft_triangular_f32`, … take buffers a and x, which holds the right-hand sides, and these integers:

    0, 1, 2, 3   Fortran's letters for side, triangle, transposition, unit diagonal
    4, 5         rows and columns of x as Fortran sees it, which are columns and rows in C
    6            n: a is n×n
    7            how many systems
    8            1 if x is one vector per system, of n elements
    9            see functrans/compiler/stacks.py

Fortran reads columns first, so it sees every matrix transposed; `triangular_ints` takes that
into account, and nothing is copied.
"""

from __future__ import annotations

from functrans.compiler.gemm import BYTES, NAMES, TYPES, boxed, constants, nan_of
from functrans.compiler.stacks import letters, over_stack
from functrans.core.program import Equation


def cholesky_ints(equation: Equation) -> tuple[int, ...]:
    """The integers of a `cholesky`."""
    a = equation.inputs[0].aval
    n = a.shape[-1]
    return n, a.size // max(n * n, 1)


def triangular_ints(equation: Equation) -> tuple[int, ...] | None:
    """The integers of a `triangular_solve`; None if the library cannot take it as it is."""
    a, b = (x.aval for x in equation.inputs)
    params = equation.params
    left, transpose = params["left_side"], params["transpose_a"]
    if params["conjugate_a"] and not transpose:
        return None  # BLAS conjugates only together with a transposition
    n = a.shape[-1]
    columns, rows = b.shape[-2:]
    systems = a.size // max(n * n, 1)
    vector = (rows if left else columns) == 1 and not params["conjugate_a"]
    # of a vector: op(a) x = b as it stands, or x op(a) = b, which is op(a)ᵀ xᵀ = bᵀ
    plain = (transpose if left else not transpose) if vector else not transpose
    letters = (
        "R" if left else "L",
        "U" if params["lower"] else "L",
        "N" if plain else "C" if params["conjugate_a"] else "T",
        "U" if params["unit_diagonal"] else "N",
    )
    return (*map(ord, letters), rows, columns, n, systems, int(vector))


def triangular_ir(bits: int) -> str:
    """The functions, for Fortran integers of so many bits."""
    head = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n"
    parts = [constants(x) + _cholesky(x, bits) + _triangular(x, bits) for x in NAMES]
    return head + "".join(parts) + "\nattributes #0 = { nounwind }\n"


def _triangular(letter: str, bits: int) -> str:
    flags = ("side", "uplo", "trans", "diag")
    setup = f"""\
{letters(*flags)}
  %one = add i64 0, 1
{boxed(bits, ("rows", "columns", "n", "one"))}
  %sa = mul i64 %n, %n
  %sx = mul i64 %rows, %columns
  %single = icmp ne i64 %vector, 0"""
    work = f"""\
  br i1 %single, label %one.side, label %sides

one.side:
  call void @ft_blas_{letter}trsv(ptr %uplo.c, ptr %trans.c, ptr %diag.c, ptr %n.box, ptr %a, \
ptr %n.box, ptr %x, ptr %one.box)
  br label %done

sides:
  call void @ft_blas_{letter}trsm(ptr %side.c, ptr %uplo.c, ptr %trans.c, ptr %diag.c, \
ptr %rows.box, ptr %columns.box, ptr @one_{letter}, ptr %a, ptr %n.box, ptr %x, ptr %rows.box)
  br label %done"""
    ints = (*flags, "rows", "columns", "n", "count", "vector")
    buffers = {"a": (0, "%sa"), "x": (1, "%sx")}
    return f"""
declare void @ft_blas_{letter}trsm({", ".join(["ptr"] * 11)})
declare void @ft_blas_{letter}trsv({", ".join(["ptr"] * 8)})
""" + over_stack("triangular", letter, ints, setup, buffers, work)


def _cholesky(letter: str, bits: int) -> str:
    of, size = TYPES[letter], BYTES[letter]
    setup = f"""\
  %uplo = alloca i8
  store i8 {ord("U")}, ptr %uplo
  %info = alloca i64
{boxed(bits, ("n",))}
  %s = mul i64 %n, %n"""
    work = f"""\
  store i64 0, ptr %info
  call void @ft_blas_{letter}potrf(ptr %uplo, ptr %n.box, ptr %a, ptr %n.box, ptr %info)
  %status = load i{bits}, ptr %info
  %failed = icmp ne i{bits} %status, 0
  br label %row

row:                                                  ; zeros right of the diagonal, nan left
  %r = phi i64 [ 0, %work ], [ %r.next, %row.done ]
  %in = icmp slt i64 %r, %n
  br i1 %in, label %clear, label %done

clear:
  %r.next = add i64 %r, 1
  %row.offset = mul i64 %r, %n
  %row.start = getelementptr {of}, ptr %a, i64 %row.offset
  %right = getelementptr {of}, ptr %row.start, i64 %r.next
  %width = sub i64 %n, %r.next
  %bytes = mul i64 %width, {size}
  call void @llvm.memset.p0.i64(ptr %right, i8 0, i64 %bytes, i1 false)
  br i1 %failed, label %spoil, label %row.done

spoil:
  %c = phi i64 [ 0, %clear ], [ %c.next, %spoil ]
  %at = getelementptr {of}, ptr %row.start, i64 %c
  store {nan_of(letter)}, ptr %at
  %c.next = add i64 %c, 1
  %go.on = icmp sle i64 %c.next, %r
  br i1 %go.on, label %spoil, label %row.done

row.done:
  br label %row"""
    return f"""
declare void @ft_blas_{letter}potrf({", ".join(["ptr"] * 5)})
""" + over_stack("cholesky", letter, ("n", "count"), setup, {"a": (0, "%s")}, work)
