"""A matrix by its own transpose: half of a product, by BLAS's `syrk`, and its mirror image.

`ft_gram_f32`, `_f64` take buffers x and out, and integers: 0 for x xᵀ, 1 for xᵀ x; the rows of the
result; over how many elements each of its elements is a sum. 1000 × 1000 float64: 11 ms, as a
product 17.
"""

from __future__ import annotations

import numpy as np

from functrans.compiler.blas import LETTERS
from functrans.compiler.emitted import arguments
from functrans.compiler.gemm import NAMES, REAL, boxed, constants
from functrans.compiler.llvm import Builder
from functrans.compiler.products import Gemm
from functrans.compiler.values import Value

FEWEST = 32
"""Rows of a result of which half a product saves more than the other half costs."""
TILE = 32
"""Rows and columns that are mirrored while they are in cache."""


def is_gram(gemm: Gemm, dtype: np.dtype) -> bool:
    """Whether a product of an array by itself is one of a matrix by its transpose."""
    turned = gemm.transpose_x != gemm.transpose_y
    return dtype.kind == "f" and turned and gemm.batch == 1 and gemm.m == gemm.n >= FEWEST


def gram_call(gemm: Gemm, dtype: np.dtype) -> tuple[str, tuple[int, ...]]:
    """The function and its integers."""
    name = NAMES[LETTERS[dtype.str[1:]]]
    return f"ft_gram_{name}", (int(gemm.transpose_x), gemm.n, gemm.k)


def gram_ir(bits: int) -> str:
    """The functions, for Fortran integers of so many bits."""
    declarations: dict[str, None] = {}
    functions = [_gram(letter, bits, declarations) for letter in REAL]
    return "\n".join([*declarations, *functions, "attributes #0 = { nounwind }\n"])


def _gram(letter: str, bits: int, declarations: dict[str, None]) -> str:
    """Fortran reads a row-major matrix as its transpose, and its upper triangle is our lower."""
    mirror = Builder()
    _mirror(mirror, np.dtype("f4" if letter == "s" else "f8"))
    declarations |= mirror.declarations
    body = "\n".join(mirror.lines)
    return f"""
{constants(letter)}
@ways_{letter} = private constant [2 x i8] c"TN"
@upper_{letter} = private constant i8 85
declare void @ft_blas_{letter}syrk({", ".join(["ptr"] * 10)})

define i64 @ft_gram_{NAMES[letter]}(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {{
entry:
{arguments(("x", "out"), ("turned", "n", "k"))}
  %way = getelementptr i8, ptr @ways_{letter}, i64 %turned
  %by.columns = icmp ne i64 %turned, 0
  %ld = select i1 %by.columns, i64 %n, i64 %k
{boxed(bits, ("n", "k", "ld"))}
  call void @ft_blas_{letter}syrk(ptr @upper_{letter}, ptr %way, ptr %n.box, ptr %k.box, \
ptr @one_{letter}, ptr %x, ptr %ld.box, ptr @zero_{letter}, ptr %out, ptr %n.box)
{body}
  ret i64 0
}}
"""


def _mirror(b: Builder, dtype: np.dtype) -> None:
    """out[i, j] = out[j, i] above the diagonal, tile by tile."""
    index = np.dtype(np.int64)
    n, tile, one = Value("%n", index), b.const(TILE, index), b.const(1, index)
    tiles = b.op(f"udiv i64 {b.add(n, b.const(TILE - 1, index)).text}, {TILE}", index)

    def span(number: Value) -> tuple[Value, Value]:
        begin = b.mul(number, tile)
        return begin, b.minimum(b.add(begin, tile), n)

    with b.loop("0", tiles.text) as row, b.loop(row.text, tiles.text) as column:
        first, last = span(row)
        begin, end = span(column)
        with b.loop(first.text, last.text) as i:
            after = b.maximum(begin, b.add(i, one))
            with b.loop(after.text, end.text) as j:
                value = b.load("%out", b.add(b.mul(j, n), i).text, dtype)
                b.store(value, "%out", b.add(b.mul(i, n), j).text)
