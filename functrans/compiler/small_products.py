"""Batches of small matrix products as kernels of their own, unrolled, a row of the result a vector.

A call of the library costs as much as a few hundred multiplications, so up to 16 in every extent it
is left out: 10,000 products of 4 × 4 float64 matrices take 0.02 ms instead of 0.9.
"""

from __future__ import annotations

import numpy as np

from functrans.compiler.elements import Elements
from functrans.compiler.emitted import EmittedKernel
from functrans.compiler.index import Counter
from functrans.compiler.products import LARGEST_UNROLLED, Gemm
from functrans.compiler.values import Value
from functrans.core.program import Equation

MOST = 1000
"""Multiplications of a product that is unrolled."""
MOST_TURNED = 128
"""Elements of a factor that is transposed on the way: its vectors are made one by one."""
FEWEST = 8
"""Products in a batch from which a kernel pays for its compilation."""


def is_small(gemm: Gemm, dtype: np.dtype) -> bool:
    """Whether a batch of products is better unrolled."""
    m, n, k = gemm.m, gemm.n, gemm.k
    short = max(m, n, k) <= LARGEST_UNROLLED and m * n * k <= MOST
    short &= not gemm.transpose_y or n * k <= MOST_TURNED
    return dtype.kind == "f" and short and gemm.batch >= FEWEST and not gemm.summed


def emit_small_product(equation: Equation, gemm: Gemm) -> EmittedKernel:
    """The kernel of buffers x, y, out over a range of the batch."""
    return _SmallProduct({}).emit(equation, gemm)


class _SmallProduct(Elements):
    def emit(self, equation: Equation, gemm: Gemm) -> EmittedKernel:
        x, y = equation.inputs
        out = equation.outputs[0]
        pointers = self._pointer(x), self._pointer(y), self._pointer(out, written=True)
        counter = Counter(0, gemm.batch)
        self._line(f"for {counter} in range({gemm.batch}):")
        self.depth += 1
        self._line(f"{gemm.m}x{gemm.k}x{gemm.n} product, unrolled  # {equation.source}")
        with self.b.loop("%lo", "%hi") as i:
            _Unrolled(self, out.aval.dtype, gemm, pointers, i).emit()
        return self._finish(gemm.batch)


_LLVM = {"f": "float", "d": "double"}


class _Unrolled:
    """The instructions of one product of a batch."""

    def __init__(
        self,
        k: Elements,
        dtype: np.dtype,
        gemm: Gemm,
        pointers: tuple[str, str, str],
        i: Value,
    ) -> None:
        self.b, self.type, self.dtype, self.gemm = k.b, _LLVM[dtype.char], dtype, gemm
        self.x, self.y, self.out = (
            self._named(f"getelementptr {self.type}, ptr {p}, i64 {self._at(i, size)}")
            for p, size in zip(pointers, gemm.steps, strict=True)
        )

    def emit(self) -> None:
        """A row of the result is a sum of rows of y; of a column, a sum of columns of x."""
        g = self.gemm
        if g.n > 1:
            rows = [self._vector(self.y, r, g.k, g.n, g.transpose_y) for r in range(g.k)]
            for i in range(g.m):
                numbers = [self._number(self.x, i, j, g.m, g.k, g.transpose_x) for j in range(g.k)]
                self._store(self._sum(numbers, rows, g.n), i * g.n, g.n)
        else:
            columns = [self._vector(self.x, c, g.k, g.m, not g.transpose_x) for c in range(g.k)]
            numbers = [self._load(self.y, j) for j in range(g.k)]
            self._store(self._sum(numbers, columns, g.m), 0, g.m)

    def _sum(self, numbers: list[str], vectors: list[str], n: int) -> str:
        """Of every number times its vector."""
        total = ""
        kind = f"<{n} x {self.type}>"
        for number, vector in zip(numbers, vectors, strict=True):
            single = self._named(f"insertelement {kind} poison, {self.type} {number}, i64 0")
            mask = f"<{n} x i32> zeroinitializer"
            splat = self._named(f"shufflevector {kind} {single}, {kind} poison, {mask}")
            term = self._named(f"fmul contract {kind} {splat}, {vector}")
            total = self._named(f"fadd contract {kind} {total}, {term}") if total else term
        return total

    def _vector(self, pointer: str, row: int, rows: int, n: int, transposed: bool) -> str:
        """A row of a matrix; of the matrix that is stored transposed, if it is."""
        if not transposed:
            at = self._named(f"getelementptr {self.type}, ptr {pointer}, i64 {row * n}")
            return self._named(f"load <{n} x {self.type}>, ptr {at}, align {self.dtype.itemsize}")
        vector = "poison"
        for j in range(n):
            number = self._load(pointer, j * rows + row)
            vector = self._named(
                f"insertelement <{n} x {self.type}> {vector}, {self.type} {number}, i64 {j}"
            )
        return vector

    def _number(
        self, pointer: str, i: int, j: int, rows: int, columns: int, transposed: bool
    ) -> str:
        return self._load(pointer, j * rows + i if transposed else i * columns + j)

    def _load(self, pointer: str, offset: int) -> str:
        at = self._named(f"getelementptr {self.type}, ptr {pointer}, i64 {offset}")
        return self._named(f"load {self.type}, ptr {at}")

    def _store(self, vector: str, offset: int, n: int) -> None:
        at = self._named(f"getelementptr {self.type}, ptr {self.out}, i64 {offset}")
        kind = f"<{n} x {self.type}>"
        self.b.raw(f"store {kind} {vector}, ptr {at}, align {self.dtype.itemsize}")

    def _at(self, i: Value, size: int) -> str:
        return self._named(f"mul nsw i64 {i.text}, {size}")

    def _named(self, text: str) -> str:
        name = self.b.fresh()
        self.b.raw(f"{name} = {text}")
        return name
