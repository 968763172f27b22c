"""Decompositions as native functions: LLVM IR that calls LAPACK as NumPy does, so that the results
are the same, signs of vectors included: in double precision, whatever the operand's, and with
matrices transposed on the way there and back, since Fortran reads columns first.

A matrix that is not finite, or for which the iteration does not converge, becomes nan. For f64 and
c128 there are, with the sizes of LAPACK's work arrays among the integers, and after these what
functrans/compiler/stacks.py wants,

    ft_eigh_f64      a, matrix, work, rwork, iwork, values, vectors
    ft_eigvalsh_f64  a, matrix, work, rwork, iwork, values
        integers: letter of the triangle, what of a is read (1 lower, 2 upper), n, count, sizes of
        work, rwork and iwork
    ft_svd_f64       a, matrix, left, right, work, rwork, iwork, u, s, vh
    ft_svdvals_f64   a, matrix, work, rwork, iwork, s
        integers: letter of what is wanted, m, n, columns of u, rows of vh, min(m, n), count, size
        of work
    ft_qr_f64        a, matrix, tau, work, q, r
        integers: m, n, columns of q, min(m, n), count, size of work
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from functrans.compiler.blas import LETTERS, find_lapack
from functrans.compiler.gemm import BYTES, TYPES, boxed
from functrans.compiler.stacks import letters, over_stack, pointers, turn
from functrans.core.program import Equation
from functrans.core.types import Aval, dtype_of, shape_of
from functrans.primitives.arithmetic import convert, gt_p, real_dtype, select
from functrans.primitives.decompositions import svd_p
from functrans.primitives.linear_algebra import conjugate, product, transposed
from functrans.primitives.reductions import reduce_max_p
from functrans.primitives.shaping import broadcast_p, reshape_p

Sizes = tuple[int, ...]


def lapack_names(letter: str) -> tuple[str, ...]:
    """The routines that the functions of a dtype call, by BLAS's letter."""
    names = ("syevd", "orgqr") if letter == "d" else ("heevd", "ungqr")
    return tuple(letter + name for name in (*names, "gesdd", "geqrf"))


# --- as Programs ----------------------------------------------------------------------------------


def in_double(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """A decomposition in double precision, as NumPy does it."""
    if avals[0].dtype.itemsize == _wide(avals[0].dtype).itemsize or not avals[0].size:
        return None
    many, primitive = equation.primitive.multiple_results, equation.primitive

    def decompose(a: Any) -> Any:
        outs = primitive.bind(convert(a, _wide(dtype_of(a))), **equation.params)
        outs = outs if many else [outs]
        outs = [convert(x, v.aval.dtype) for x, v in zip(outs, equation.outputs, strict=True)]
        return outs if many else outs[0]

    return decompose


def pseudoinverse(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """pinv: conj(a) = u s vh, whose small singular values count as infinite."""
    if not avals[0].size:
        return None

    def pinv(a: Any, rcond: Any) -> Any:
        u, s, vh = reduced_svd(conjugate(a))
        *stack, k = shape_of(s)
        largest = reduce_max_p.bind(s, axes=(len(stack),))
        cutoff = reshape_p.bind(rcond * largest, shape=(*stack, 1))
        large = gt_p.bind(s, broadcast_p.bind(cutoff, shape=shape_of(s)))
        inverse = select(large, 1 / select(large, s, 1), 0 * s)
        rows = reshape_p.bind(inverse, shape=(*stack, k, 1))
        wide = broadcast_p.bind(convert(rows, dtype_of(a)), shape=shape_of(transposed(u)))
        return product(transposed(vh), wide * transposed(u))

    return pinv


def reduced_svd(a: Any) -> list[Any]:
    """The singular value decomposition, computed in double precision."""
    dtype = dtype_of(a)
    outs = svd_p.bind(convert(a, _wide(dtype)), full_matrices=False)
    types = dtype, real_dtype(dtype), dtype
    return [convert(x, t) for x, t in zip(outs, types, strict=True)]


def _wide(dtype: np.dtype) -> np.dtype:
    return np.result_type(dtype, np.float64)


# --- integers and memory --------------------------------------------------------------------------


def eigh_ints(equation: Equation) -> Sizes | None:
    """The integers of `eigh` and `eigvalsh`."""
    a, lower = equation.inputs[0].aval, equation.params["lower"]
    n = a.shape[-1]
    letter, read = (ord("L"), 1) if lower else (ord("U"), 2)
    return (letter, read, n, a.size // (n * n), *_eigh_work(equation)) if a.size else None


def eigh_scratch(equation: Equation) -> Sizes:
    """The bytes of their matrix and work arrays."""
    a = equation.inputs[0].aval
    work, rwork, iwork = _eigh_work(equation)
    size = a.dtype.itemsize
    return a.shape[-1] ** 2 * size, work * size, rwork * size // 2, 8 * iwork


def _eigh_work(equation: Equation) -> Sizes:
    """The sizes of work, rwork and iwork."""
    n, letter = equation.inputs[0].aval.shape[-1], _letter(equation)
    wanted = "V" if equation.primitive.name == "eigh" else "N"
    given = (wanted, "L", n, WORK, n, WORK, WORK, -1)
    if letter == "d":
        asked = _asked(letter, 0, (*given, IWORK, -1, WORK))
        return asked[6], 0, asked[8]
    asked = _asked(letter, 0, (*given, WORK, -1, IWORK, -1, WORK))
    return asked[6], asked[8], asked[10]


def svd_ints(equation: Equation) -> Sizes | None:
    """The integers of `svd` and `svdvals`."""
    a = equation.inputs[0].aval
    if not a.size:
        return None
    (m, n), (p, q) = a.shape[-2:], _svd_vectors(equation)
    wanted, work = _svd_wanted(equation), _svd_work(equation)
    return ord(wanted), m, n, p, q, min(m, n), a.size // (m * n), work


def svd_scratch(equation: Equation) -> Sizes:
    """The bytes of their matrices and work arrays."""
    m, n = equation.inputs[0].aval.shape[-2:]
    size, k = equation.inputs[0].aval.dtype.itemsize, min(m, n)
    p, q = _svd_vectors(equation)
    matrices = [m * n * size, m * p * size, q * n * size] if p else [m * n * size]
    # by LAPACK's documentation
    rwork = max(5 * k * k + 5 * k, 2 * max(m, n) * k + 2 * k * k + k) if p else 7 * k
    return *matrices, _svd_work(equation) * size, rwork * size // 2, 64 * k


def _svd_wanted(equation: Equation) -> str:
    if equation.primitive.name == "svdvals":
        return "N"
    return "A" if equation.params["full_matrices"] else "S"


def _svd_vectors(equation: Equation) -> tuple[int, int]:
    """How many vectors there are on the left and on the right."""
    if equation.primitive.name == "svdvals":
        return 0, 0
    u, _, vh = (x.aval.shape for x in equation.outputs)
    return u[-1], vh[-2]


def _svd_work(equation: Equation) -> int:
    (m, n), letter = equation.inputs[0].aval.shape[-2:], _letter(equation)
    _, q = _svd_vectors(equation)
    given = (_svd_wanted(equation), m, n, WORK, m, WORK, WORK, m, WORK, q or m, WORK, -1)
    more = (IWORK, WORK) if letter == "d" else (WORK, IWORK, WORK)
    return _asked(letter, 2, (*given, *more))[10]


def qr_ints(equation: Equation) -> Sizes | None:
    """The integers of `qr`."""
    a, q = equation.inputs[0].aval, equation.outputs[0].aval
    (m, n), p = a.shape[-2:], q.shape[-1]
    return (m, n, p, min(m, n), a.size // (m * n), _qr_work(equation)) if a.size else None


def qr_scratch(equation: Equation) -> Sizes:
    """The bytes of its matrix and work arrays."""
    a, q = equation.inputs[0].aval, equation.outputs[0].aval
    (m, n), size = a.shape[-2:], a.dtype.itemsize
    return m * max(n, q.shape[-1]) * size, min(m, n) * size, _qr_work(equation) * size


def _qr_work(equation: Equation) -> int:
    a, q = equation.inputs[0].aval, equation.outputs[0].aval
    (m, n), p, letter = a.shape[-2:], q.shape[-1], _letter(equation)
    factors = _asked(letter, 3, (m, n, WORK, m, WORK, WORK, -1, WORK))[5]
    basis = _asked(letter, 1, (m, p, min(m, n), WORK, m, WORK, WORK, -1, WORK))[6]
    return max(factors, basis, n, p)


def _letter(equation: Equation) -> str:
    return LETTERS[equation.inputs[0].aval.dtype.str[1:]]


WORK, IWORK = "work", "iwork"
"""Arrays among the arguments of a routine that is asked for sizes: of numbers, and of integers."""


@cache
def _asked(letter: str, routine: int, arguments: tuple[int | str, ...]) -> list[int]:
    """What a routine of `lapack_names` leaves in the arrays among its arguments: where a size is
    given as -1, it computes nothing and says there which is the best."""
    names = lapack_names(letter)
    bits, addresses = find_lapack(names)
    integer, number = np.dtype(f"i{bits // 8}"), np.dtype("f8")
    cells = [
        np.frombuffer(x.encode().ljust(16), np.uint8).copy()
        if isinstance(x, str)
        else np.frombuffer(np.full(2, x, integer).tobytes().ljust(16), np.uint8).copy()
        for x in arguments
    ]
    pointers = [ctypes.c_void_p] * len(cells)
    function = ctypes.CFUNCTYPE(None, *pointers)(addresses[names[routine]])
    function(*[x.ctypes.data for x in cells])
    types = [integer if x == IWORK else number for x in arguments]
    found = zip(cells, types, arguments, strict=True)
    return [int(np.ceil(x.view(t)[0])) if a in (WORK, IWORK) else 0 for x, t, a in found]


# --- native ---------------------------------------------------------------------------------------


def decompositions_ir(letter: str, bits: int) -> str:
    """The functions of one dtype, for Fortran integers of so many bits."""
    eigh, orgqr, gesdd, geqrf = lapack_names(letter)
    counts = {eigh: 11, orgqr: 9, gesdd: 14, geqrf: 8}
    if letter == "z":
        counts |= {eigh: 13, gesdd: 15}
    declared = "".join(
        f"declare void @ft_blas_{name}({', '.join(['ptr'] * count)})\n"
        for name, count in counts.items()
    )
    parts = [_eigh(letter, bits, True), _eigh(letter, bits, False)]
    parts += [_svd(letter, bits, True), _svd(letter, bits, False), _qr(letter, bits)]
    head = "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)\n" + turn(letter)
    return head + _HEAD + declared + "".join(parts) + "\nattributes #0 = { nounwind }\n"


_HEAD = f"""
@values.only = private constant i8 {ord("N")}
@vectors.too = private constant i8 {ord("V")}

"""


def _checked(bits: int, call: str, kept: str, results: dict[str, tuple[str, str]]) -> str:
    """Blocks that call LAPACK if %nothing is zero, and keep the results if %info is; else all bits
    of the results are set, which is a nan.

    Args:
        bits: of Fortran's integers.
        call: instructions.
        kept: likewise, after a success.
        results: by pointer the type and the number of elements.
    """
    nan = "\n".join(
        f"""\
  {name}.end = getelementptr {kind}, ptr {name}, i64 {count}
  {name}.from.int = ptrtoint ptr {name} to i64
  {name}.to.int = ptrtoint ptr {name}.end to i64
  {name}.bytes = sub i64 {name}.to.int, {name}.from.int
  call void @llvm.memset.p0.i64(ptr {name}, i8 -1, i64 {name}.bytes, i1 false)"""
        for name, (kind, count) in results.items()
    )
    return f"""\
  store i64 0, ptr %info
  %finite = fcmp oeq double %nothing, 0.0
  br i1 %finite, label %call, label %spoil

call:
{call}
  %status = load i{bits}, ptr %info
  %good = icmp eq i{bits} %status, 0
  br i1 %good, label %keep, label %spoil

keep:
{kept}
  br label %done

spoil:
{nan}
  br label %done"""


def _eigh(letter: str, bits: int, vectors: bool) -> str:
    of = TYPES[letter]
    setup = f"""\
  %info = alloca i64
{letters("uplo")}
{boxed(bits, ("n", "lwork", "lrwork", "liwork"))}
{pointers(5, "values")}
  %sa = mul i64 %n, %n"""
    complex_work = "" if letter == "d" else "ptr %rwork, ptr %lrwork.box, "
    call = f"""\
  call void @ft_blas_{lapack_names(letter)[0]}(ptr @{"vectors.too" if vectors else "values.only"}, \
ptr %uplo.c, ptr %n.box, ptr %matrix, ptr %n.box, ptr %w, ptr %space, ptr %lwork.box, \
{complex_work}ptr %iwork, ptr %liwork.box, ptr %info)"""
    results, buffers, kept = {"%w": ("double", "%n")}, {"a": (0, "%sa")}, ""
    if vectors:
        results["%vectors"], buffers["vectors"] = (of, "%sa"), (6, "%sa")
        kept = f"  call double @turn_{letter}(ptr %matrix, ptr %vectors, i64 %n, i64 %n, i64 0)"
    work = f"""\
  %w.offset = mul i64 %i, %n
  %w = getelementptr double, ptr %values, i64 %w.offset
  %nothing = call double @turn_{letter}(ptr %a, ptr %matrix, i64 %n, i64 %n, i64 %read)
{_checked(bits, call, kept, results)}"""
    ints = ("uplo", "read", "n", "count", "lwork", "lrwork", "liwork")
    scratch = ("matrix", "space", "rwork", "iwork")
    name = "eigh" if vectors else "eigvalsh"
    return over_stack(name, letter, ints, setup, buffers, work, scratch)


def _svd(letter: str, bits: int, vectors: bool) -> str:
    of = TYPES[letter]
    parts = ("left", "right") if vectors else ()
    scratch = ("matrix", *parts, "space", "rwork", "iwork")
    setup = f"""\
  %info = alloca i64
{letters("wanted")}
{boxed(bits, ("m", "n", "q", "lwork"))}
{pointers(8 if vectors else 5, "values")}
  %sa = mul i64 %m, %n
  %su = mul i64 %m, %p
  %sv = mul i64 %q, %n"""
    left, right, rows = ("left", "right", "q") if vectors else ("matrix", "matrix", "m")
    complex_work = "" if letter == "d" else "ptr %rwork, "
    call = f"""\
  call void @ft_blas_{letter}gesdd(ptr %wanted.c, ptr %m.box, ptr %n.box, ptr %matrix, ptr %m.box, \
ptr %s, ptr %{left}, ptr %m.box, ptr %{right}, ptr %{rows}.box, ptr %space, ptr %lwork.box, \
{complex_work}ptr %iwork, ptr %info)"""
    results, buffers, kept = {"%s": ("double", "%k")}, {"a": (0, "%sa")}, ""
    if vectors:
        results |= {"%u": (of, "%su"), "%vh": (of, "%sv")}
        buffers |= {"u": (7, "%su"), "vh": (9, "%sv")}
        kept = f"""\
  call double @turn_{letter}(ptr %left, ptr %u, i64 %p, i64 %m, i64 0)
  call double @turn_{letter}(ptr %right, ptr %vh, i64 %n, i64 %q, i64 0)"""
    work = f"""\
  %s.offset = mul i64 %i, %k
  %s = getelementptr double, ptr %values, i64 %s.offset
  %nothing = call double @turn_{letter}(ptr %a, ptr %matrix, i64 %m, i64 %n, i64 0)
{_checked(bits, call, kept, results)}"""
    ints = ("wanted", "m", "n", "p", "q", "k", "count", "lwork")
    name = "svd" if vectors else "svdvals"
    return over_stack(name, letter, ints, setup, buffers, work, scratch)


def _qr(letter: str, bits: int) -> str:
    of = TYPES[letter]
    setup = f"""\
  %info = alloca i64
{boxed(bits, ("m", "n", "p", "k", "lwork"))}
  %sa = mul i64 %m, %n
  %sq = mul i64 %m, %p
  %sr = mul i64 %p, %n
  %sr.bytes = mul i64 %sr, {BYTES[letter]}"""
    call = f"""\
  call void @ft_blas_{letter}geqrf(ptr %m.box, ptr %n.box, ptr %matrix, ptr %m.box, ptr %tau, \
ptr %space, ptr %lwork.box, ptr %info)
  call void @llvm.memset.p0.i64(ptr %r, i8 0, i64 %sr.bytes, i1 false)
  br label %column

column:                                               ; of r, down to the diagonal
  %c = phi i64 [ 0, %call ], [ %c.next, %column.done ]
  %c.next = add i64 %c, 1
  %down = icmp slt i64 %c.next, %k
  %height = select i1 %down, i64 %c.next, i64 %k
  %from.column = mul i64 %c, %m
  br label %row

row:
  %j = phi i64 [ 0, %column ], [ %j.next, %row ]
  %from.index = add i64 %from.column, %j
  %from = getelementptr {of}, ptr %matrix, i64 %from.index
  %to.row = mul i64 %j, %n
  %to.index = add i64 %to.row, %c
  %to = getelementptr {of}, ptr %r, i64 %to.index
  %element = load {of}, ptr %from
  store {of} %element, ptr %to
  %j.next = add i64 %j, 1
  %rows = icmp slt i64 %j.next, %height
  br i1 %rows, label %row, label %column.done

column.done:
  %columns = icmp slt i64 %c.next, %n
  br i1 %columns, label %column, label %basis

basis:
  call void @ft_blas_{lapack_names(letter)[1]}(ptr %m.box, ptr %p.box, ptr %k.box, ptr %matrix, \
ptr %m.box, ptr %tau, ptr %space, ptr %lwork.box, ptr %info)"""
    kept = f"  call double @turn_{letter}(ptr %matrix, ptr %q, i64 %p, i64 %m, i64 0)"
    results = {"%q": (of, "%sq"), "%r": (of, "%sr")}
    work = f"""\
  %nothing = call double @turn_{letter}(ptr %a, ptr %matrix, i64 %m, i64 %n, i64 0)
{_checked(bits, call, kept, results)}"""
    buffers = {"a": (0, "%sa"), "q": (4, "%sq"), "r": (5, "%sr")}
    ints, scratch = ("m", "n", "p", "k", "count", "lwork"), ("matrix", "tau", "space")
    return over_stack("qr", letter, ints, setup, buffers, work, scratch)
