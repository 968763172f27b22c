"""Matrix products as native functions: LLVM IR that calls BLAS in either of its conventions.

`ft_gemm_f32`, `_f64`, `_c64`, `_c128` take buffers x, y, out and these integers:

    0, 1      how to take x and y: 0 as it is, 1 transposed, 2 conjugated and transposed
    2, 3, 4   m, n, k: out is m×n, op(x) is m×k, op(y) is k×n; all row-major
    5, 6, 7   elements from one row to the next of x, y, out
    8         batch: how many products
    9, 10, 11 elements from one x, y, out to the next
    12        1 to add to what out holds, 0 to overwrite it

BLAS is a symbol bound when the code is loaded, so the code is as good in another process.
"""

from __future__ import annotations

from functrans.compiler.blas import Blas

NAMES = {"s": "f32", "d": "f64", "c": "c64", "z": "c128"}
_TYPES = {"s": "float", "d": "double", "c": "{ float, float }", "z": "{ double, double }"}
_BYTES = {"s": 4, "d": 8, "c": 8, "z": 16}
_ONE = {
    "s": "1.0",
    "d": "1.0",
    "c": "{ float 1.0, float 0.0 }",
    "z": "{ double 1.0, double 0.0 }",
}
_SIZES = ("m", "n", "k", "ldx", "ldy", "ldo")


def gemm_ir(blas: Blas) -> str:
    """The four products."""
    adapter = _cblas_adapter if blas.convention == "cblas" else _fortran_adapter
    return _HEAD + "".join(_driver(letter) + adapter(letter, blas.bits) for letter in NAMES)


def gemm_symbols(blas: Blas) -> dict[str, int]:
    """The addresses that the module needs."""
    return {f"ft_blas_{letter}": address for letter, address in blas.gemm.items()}


_HEAD = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
@flags = private constant [3 x i8] c"NTC"
"""


def _driver(letter: str) -> str:
    """The loop over the batch. An empty sum is zeros here, whatever BLAS makes of k = 0."""
    size = _BYTES[letter]
    names = ("tx", "ty", *_SIZES[:3], "ldx", "ldy", "ldo", "batch", "sx", "sy", "so", "add")
    loads = "\n".join(
        f"  %{name}.at = getelementptr i64, ptr %ints, i64 {i}\n"
        f"  %{name} = load i64, ptr %{name}.at"
        for i, name in enumerate(names)
    )
    return f"""
define i64 @ft_gemm_{NAMES[letter]}(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {{
start:
{loads}
  %x.first = load ptr, ptr %bufs
  %y.buf = getelementptr ptr, ptr %bufs, i64 1
  %y.first = load ptr, ptr %y.buf
  %out.buf = getelementptr ptr, ptr %bufs, i64 2
  %out.first = load ptr, ptr %out.buf
  %mn = mul i64 %m, %n
  %nothing = icmp eq i64 %mn, 0
  br i1 %nothing, label %end, label %next

next:
  %i = phi i64 [ 0, %start ], [ %i.next, %done ]
  %x = phi ptr [ %x.first, %start ], [ %x.next, %done ]
  %y = phi ptr [ %y.first, %start ], [ %y.next, %done ]
  %out = phi ptr [ %out.first, %start ], [ %out.next, %done ]
  %more = icmp slt i64 %i, %batch
  br i1 %more, label %one, label %end

one:
  %empty = icmp eq i64 %k, 0
  br i1 %empty, label %zero, label %product

product:
  call void @product_{letter}(i64 %tx, i64 %ty, i64 %m, i64 %n, i64 %k, i64 %ldx, i64 %ldy, \
i64 %ldo, ptr %x, ptr %y, ptr %out, i64 %add)
  br label %done

zero:
  %r = phi i64 [ 0, %one ], [ %r.next, %zero.row ]
  %fresh = icmp eq i64 %add, 0
  %in = icmp slt i64 %r, %m
  %clear = and i1 %fresh, %in
  br i1 %clear, label %zero.row, label %done

zero.row:
  %row.offset = mul i64 %r, %ldo
  %row = getelementptr {_TYPES[letter]}, ptr %out, i64 %row.offset
  %bytes = mul i64 %n, {size}
  call void @llvm.memset.p0.i64(ptr %row, i8 0, i64 %bytes, i1 false)
  %r.next = add i64 %r, 1
  br label %zero

done:
  %x.next = getelementptr {_TYPES[letter]}, ptr %x, i64 %sx
  %y.next = getelementptr {_TYPES[letter]}, ptr %y, i64 %sy
  %out.next = getelementptr {_TYPES[letter]}, ptr %out, i64 %so
  %i.next = add i64 %i, 1
  br label %next

end:
  ret i64 0
}}
"""


def _cblas_adapter(letter: str, bits: int) -> str:
    """BLAS's C interface: row-major as asked, real scalars by value, complex ones by pointer."""
    of, integer, real = _TYPES[letter], f"i{bits}", letter in "sd"
    scalar = of if real else "ptr"
    one, zero = ("1.0", "0.0") if real else (f"@one_{letter}", f"@zero_{letter}")
    narrow, given = _narrowed(bits)
    order = "\n".join(
        f"  %{o}.wide = add i64 %{t}, 111\n  %{o} = trunc i64 %{o}.wide to i32"
        for o, t in (("ox", "tx"), ("oy", "ty"))
    )
    parameters = (
        f"i32, i32, i32, {integer}, {integer}, {integer}, {scalar}, ptr, {integer}, ptr, "
        f"{integer}, {scalar}, ptr, {integer}"
    )
    m, n, k, ldx, ldy, ldo = (f"{integer} {given[name]}" for name in _SIZES)
    return f"""
{_constants(letter)}
declare void @ft_blas_{letter}({parameters})

define internal void @product_{letter}{_PARAMETERS} #0 {{
{order}
{narrow}
  %adding = icmp ne i64 %add, 0
  %beta = select i1 %adding, {scalar} {one}, {scalar} {zero}
  call void @ft_blas_{letter}(i32 101, i32 %ox, i32 %oy, {m}, {n}, {k}, {scalar} {one}, ptr %x, \
{ldx}, ptr %y, {ldy}, {scalar} %beta, ptr %out, {ldo})
  ret void
}}
"""


def _fortran_adapter(letter: str, bits: int) -> str:
    """Fortran's interface is column-major, where out is its transpose: op(y)ᵀ op(x)ᵀ."""
    integer = f"i{bits}"
    narrow, given = _narrowed(bits)
    boxes = "\n".join(
        f"  %{name}.box = alloca {integer}\n  store {integer} {given[name]}, ptr %{name}.box"
        for name in _SIZES
    )
    return f"""
{_constants(letter)}
declare void @ft_blas_{letter}({", ".join(["ptr"] * 13)})

define internal void @product_{letter}{_PARAMETERS} #0 {{
{narrow}
{boxes}
  %ox = getelementptr i8, ptr @flags, i64 %tx
  %oy = getelementptr i8, ptr @flags, i64 %ty
  %adding = icmp ne i64 %add, 0
  %beta = select i1 %adding, ptr @one_{letter}, ptr @zero_{letter}
  call void @ft_blas_{letter}(ptr %oy, ptr %ox, ptr %n.box, ptr %m.box, ptr %k.box, \
ptr @one_{letter}, ptr %y, ptr %ldy.box, ptr %x, ptr %ldx.box, ptr %beta, ptr %out, ptr %ldo.box)
  ret void
}}
"""


_PARAMETERS = (
    "(i64 %tx, i64 %ty, i64 %m, i64 %n, i64 %k, i64 %ldx, i64 %ldy, i64 %ldo, "
    "ptr %x, ptr %y, ptr %out, i64 %add)"
)


def _constants(letter: str) -> str:
    of = _TYPES[letter]
    return (
        f"@one_{letter} = private constant {of} {_ONE[letter]}\n"
        f"@zero_{letter} = private constant {of} zeroinitializer"
    )


def _narrowed(bits: int) -> tuple[str, dict[str, str]]:
    """Instructions that bring the sizes to BLAS's integers, and their names then."""
    if bits == 64:
        return "", {name: f"%{name}" for name in _SIZES}
    lines = [f"  %{name}.int = trunc i64 %{name} to i{bits}" for name in _SIZES]
    return "\n".join(lines), {name: f"%{name}.int" for name in _SIZES}
