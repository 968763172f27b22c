"""Matrix products as native functions: LLVM IR that calls BLAS in either of its conventions.

`ft_gemm_f32`, `_f64`, `_c64`, `_c128` take buffers x, y, out and these integers:

    0, 1      how to take x and y: 0 as it is, 1 transposed, 2 conjugated and transposed
    2, 3, 4   m, n, k: out is m×n, op(x) is m×k, op(y) is k×n; all row-major
    5, 6, 7   elements from one row to the next of x, y, out
    8, 9, 10  elements from one x, y, out to the next
    11        1 to add to what out holds, 0 to overwrite it

The range of a call is a range of a batch of products.

Where m or n is 1 it is the product by a vector, ten times as fast (512×512 float32: 11 µs).
BLAS is a symbol bound when the code is loaded, so the code is as good in another process.
"""

from __future__ import annotations

from functrans.compiler.blas import Blas

NAMES = {"s": "f32", "d": "f64", "c": "c64", "z": "c128"}
DOUBLE = ("d", "z")
REAL = ("s", "d")
TYPES = {"s": "float", "d": "double", "c": "{ float, float }", "z": "{ double, double }"}
BYTES = {"s": 4, "d": 8, "c": 8, "z": 16}
_ONE = {
    "s": "1.0",
    "d": "1.0",
    "c": "{ float 1.0, float 0.0 }",
    "z": "{ double 1.0, double 0.0 }",
}
_SIZES = ("m", "n", "k", "ldx", "ldy", "ldo")
_VECTOR_SIZES = ("rows", "cols", "ldm", "inc", "inco")


def gemm_ir(blas: Blas) -> str:
    """The four products."""
    adapter = _cblas_adapter if blas.convention == "cblas" else _fortran_adapter
    return _HEAD + "".join(_driver(letter) + adapter(letter, blas.bits) for letter in NAMES)


def gemm_symbols(blas: Blas) -> dict[str, int]:
    """The addresses that the module needs."""
    routines = {"gemm": blas.gemm, "gemv": blas.gemv}
    return {
        f"ft_blas_{letter}{routine}": address
        for routine, addresses in routines.items()
        for letter, address in addresses.items()
    }


_HEAD = """
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
@flags = private constant [3 x i8] c"NTC"
"""


def _driver(letter: str) -> str:
    """The loop over a range of the batch. An empty sum is zeros, whatever BLAS makes of k = 0."""
    size = BYTES[letter]
    names = ("tx", "ty", *_SIZES[:3], "ldx", "ldy", "ldo", "sx", "sy", "so", "add")
    loads = "\n".join(
        f"  %{name}.at = getelementptr i64, ptr %ints, i64 {i}\n"
        f"  %{name} = load i64, ptr %{name}.at"
        for i, name in enumerate(names)
    )
    return f"""
define i64 @ft_gemm_{NAMES[letter]}(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {{
start:
{loads}
  %x.whole = load ptr, ptr %bufs
  %y.buf = getelementptr ptr, ptr %bufs, i64 1
  %y.whole = load ptr, ptr %y.buf
  %out.buf = getelementptr ptr, ptr %bufs, i64 2
  %out.whole = load ptr, ptr %out.buf
  %x.skipped = mul i64 %lo, %sx
  %y.skipped = mul i64 %lo, %sy
  %out.skipped = mul i64 %lo, %so
  %x.first = getelementptr {TYPES[letter]}, ptr %x.whole, i64 %x.skipped
  %y.first = getelementptr {TYPES[letter]}, ptr %y.whole, i64 %y.skipped
  %out.first = getelementptr {TYPES[letter]}, ptr %out.whole, i64 %out.skipped
  %mn = mul i64 %m, %n
  %nothing = icmp eq i64 %mn, 0
  %one.row = icmp eq i64 %m, 1
  %one.column = icmp eq i64 %n, 1
  %is.thin = or i1 %one.row, %one.column
  %how = or i64 %tx, %ty
  %is.plain = icmp ult i64 %how, 2                    ; a conjugate needs gemm
  %by.vector = and i1 %is.thin, %is.plain
  br i1 %nothing, label %end, label %next

next:
  %i = phi i64 [ %lo, %start ], [ %i.next, %done ]
  %x = phi ptr [ %x.first, %start ], [ %x.next, %done ]
  %y = phi ptr [ %y.first, %start ], [ %y.next, %done ]
  %out = phi ptr [ %out.first, %start ], [ %out.next, %done ]
  %more = icmp slt i64 %i, %hi
  br i1 %more, label %one, label %end

one:
  %empty = icmp eq i64 %k, 0
  br i1 %empty, label %zero, label %product

product:
  br i1 %by.vector, label %vector, label %matrix

matrix:
  call void @by_matrix_{letter}{_ARGUMENTS}
  br label %done

vector:
  call void @by_vector_{letter}{_ARGUMENTS}
  br label %done

zero:
  %r = phi i64 [ 0, %one ], [ %r.next, %zero.row ]
  %fresh = icmp eq i64 %add, 0
  %in = icmp slt i64 %r, %m
  %clear = and i1 %fresh, %in
  br i1 %clear, label %zero.row, label %done

zero.row:
  %row.offset = mul i64 %r, %ldo
  %row = getelementptr {TYPES[letter]}, ptr %out, i64 %row.offset
  %bytes = mul i64 %n, {size}
  call void @llvm.memset.p0.i64(ptr %row, i8 0, i64 %bytes, i1 false)
  %r.next = add i64 %r, 1
  br label %zero

done:
  %x.next = getelementptr {TYPES[letter]}, ptr %x, i64 %sx
  %y.next = getelementptr {TYPES[letter]}, ptr %y, i64 %sy
  %out.next = getelementptr {TYPES[letter]}, ptr %out, i64 %so
  %i.next = add i64 %i, 1
  br label %next

end:
  ret i64 0
}}
"""


def _cblas_adapter(letter: str, bits: int) -> str:
    """BLAS's C interface: row-major as asked, real scalars by value, complex ones by pointer."""
    i, real = f"i{bits}", letter in "sd"
    scalar = TYPES[letter] if real else "ptr"
    one, zero = ("1.0", "0.0") if real else (f"@one_{letter}", f"@zero_{letter}")
    narrow, given = _narrowed(bits, _SIZES)
    m, n, k, ldx, ldy, ldo = (f"{i} {given[name]}" for name in _SIZES)
    narrow_vector, given = _narrowed(bits, _VECTOR_SIZES)
    rows, cols, ldm, inc, inco = (f"{i} {given[name]}" for name in _VECTOR_SIZES)
    beta = f"""
  %adding = icmp ne i64 %add, 0
  %beta = select i1 %adding, {scalar} {one}, {scalar} {zero}"""
    return f"""
{constants(letter)}
declare void @ft_blas_{letter}gemm(i32, i32, i32, {i}, {i}, {i}, {scalar}, ptr, {i}, ptr, {i}, \
{scalar}, ptr, {i})
declare void @ft_blas_{letter}gemv(i32, i32, {i}, {i}, {scalar}, ptr, {i}, ptr, {i}, {scalar}, \
ptr, {i})

define internal void @by_matrix_{letter}{_ARGUMENTS} #0 {{
{_flag("ox", "tx")}
{_flag("oy", "ty")}
{narrow}{beta}
  call void @ft_blas_{letter}gemm(i32 101, i32 %ox, i32 %oy, {m}, {n}, {k}, {scalar} {one}, \
ptr %x, {ldx}, ptr %y, {ldy}, {scalar} %beta, ptr %out, {ldo})
  ret void
}}

define internal void @by_vector_{letter}{_ARGUMENTS} #0 {{
{_VECTOR_CASES}
{_flag("order", "turned")}
{narrow_vector}{beta}
  call void @ft_blas_{letter}gemv(i32 101, i32 %order, {rows}, {cols}, {scalar} {one}, \
ptr %matrix, {ldm}, ptr %vector, {inc}, {scalar} %beta, ptr %out, {inco})
  ret void
}}
"""


def _fortran_adapter(letter: str, bits: int) -> str:
    """Fortran's interface is column-major, where every matrix is its transpose."""
    one, zero = f"@one_{letter}", f"@zero_{letter}"
    beta = f"""
  %adding = icmp ne i64 %add, 0
  %beta = select i1 %adding, ptr {one}, ptr {zero}"""
    return f"""
{constants(letter)}
declare void @ft_blas_{letter}gemm({", ".join(["ptr"] * 13)})
declare void @ft_blas_{letter}gemv({", ".join(["ptr"] * 11)})

define internal void @by_matrix_{letter}{_ARGUMENTS} #0 {{
{boxed(bits, _SIZES)}
  %ox = getelementptr i8, ptr @flags, i64 %tx
  %oy = getelementptr i8, ptr @flags, i64 %ty{beta}
  call void @ft_blas_{letter}gemm(ptr %oy, ptr %ox, ptr %n.box, ptr %m.box, ptr %k.box, ptr {one}, \
ptr %y, ptr %ldy.box, ptr %x, ptr %ldx.box, ptr %beta, ptr %out, ptr %ldo.box)
  ret void
}}

define internal void @by_vector_{letter}{_ARGUMENTS} #0 {{
{_VECTOR_CASES}
{boxed(bits, _VECTOR_SIZES)}
  %other = xor i64 %turned, 1
  %order = getelementptr i8, ptr @flags, i64 %other{beta}
  call void @ft_blas_{letter}gemv(ptr %order, ptr %cols.box, ptr %rows.box, ptr {one}, \
ptr %matrix, ptr %ldm.box, ptr %vector, ptr %inc.box, ptr %beta, ptr %out, ptr %inco.box)
  ret void
}}
"""


_ARGUMENTS = (
    "(i64 %tx, i64 %ty, i64 %m, i64 %n, i64 %k, i64 %ldx, i64 %ldy, i64 %ldo, "
    "ptr %x, ptr %y, ptr %out, i64 %add)"
)

_VECTOR_CASES = """\
  ; n = 1: op(x) times a column; m = 1: op(y) transposed times a row. The matrix lies in memory as
  ; rows × cols, to be transposed if it is turned.
  %column = icmp eq i64 %n, 1
  %not.ty = xor i64 %ty, 1
  %turned = select i1 %column, i64 %tx, i64 %not.ty
  %is.turned = icmp ne i64 %turned, 0
  %long = select i1 %column, i64 %m, i64 %n
  %rows = select i1 %is.turned, i64 %k, i64 %long
  %cols = select i1 %is.turned, i64 %long, i64 %k
  %matrix = select i1 %column, ptr %x, ptr %y
  %ldm = select i1 %column, i64 %ldx, i64 %ldy
  %vector = select i1 %column, ptr %y, ptr %x
  %x.turned = icmp ne i64 %tx, 0
  %y.turned = icmp ne i64 %ty, 0
  %inc.x = select i1 %x.turned, i64 %ldx, i64 1
  %inc.y = select i1 %y.turned, i64 1, i64 %ldy
  %inc = select i1 %column, i64 %inc.y, i64 %inc.x
  %inco = select i1 %column, i64 %ldo, i64 1"""


def _flag(name: str, transposed: str) -> str:
    """The C interface's number for a way to take a matrix."""
    return f"  %{name}.wide = add i64 %{transposed}, 111\n  %{name} = trunc i64 %{name}.wide to i32"


def constants(letter: str) -> str:
    of = TYPES[letter]
    return (
        f"@one_{letter} = private constant {of} {_ONE[letter]}\n"
        f"@zero_{letter} = private constant {of} zeroinitializer"
    )


def nan_of(letter: str) -> str:
    """A typed constant: nan, in both parts of a complex number."""
    nan = f"{'float' if letter in 'sc' else 'double'} 0x7FF8000000000000"
    return nan if letter in "sd" else f"{TYPES[letter]} {{ {nan}, {nan} }}"


def _narrowed(bits: int, names: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """Instructions that bring numbers to BLAS's integers, and their names then."""
    if bits == 64:
        return "", {name: f"%{name}" for name in names}
    lines = [f"  %{name}.int = trunc i64 %{name} to i{bits}" for name in names]
    return "\n".join(lines), {name: f"%{name}.int" for name in names}


def boxed(bits: int, names: tuple[str, ...]) -> str:
    """Instructions that put numbers into memory as BLAS's integers, at %name.box."""
    narrow, given = _narrowed(bits, names)
    boxes = [
        f"  %{name}.box = alloca i{bits}\n  store i{bits} {given[name]}, ptr %{name}.box"
        for name in names
    ]
    return "\n".join([narrow, *boxes])
