"""`dot_general` as a product of the library: which layouts it takes, and how to get there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.compiler.simplify import Rewriter, drop_unused, rewrite
from functrans.core.program import Atom, Equation, Program, Var
from functrans.core.types import Aval
from functrans.primitives.arithmetic import and_p, mul_p
from functrans.primitives.products import Dimensions, dot_general_p
from functrans.primitives.reductions import reduce_or_p, reduce_sum_p
from functrans.primitives.shaping import broadcast_p, reshape_p, transpose_p

LARGEST_UNROLLED = 16
"""Extents up to which functrans/compiler/small_products.py takes a batch of products."""
GEMM_DTYPES = frozenset(np.dtype(d) for d in ("f4", "f8", "c8", "c16"))


@dataclass(frozen=True)
class Gemm:
    """out[b] = op(x[b]) op(y[b]), row-major: what the library is told; strides in elements.

    One operand may be the same for the whole batch, or the products of the batch may be summed.
    """

    transpose_x: bool
    transpose_y: bool
    m: int
    n: int
    k: int
    batch: int
    same_x: bool = False
    same_y: bool = False
    summed: bool = False

    @property
    def steps(self) -> tuple[int, int, int]:
        """Elements from one x, y, out of the batch to the next."""
        m, n, k = self.m, self.n, self.k
        return m * k * (not self.same_x), k * n * (not self.same_y), m * n * (not self.summed)

    @property
    def ints(self) -> list[int]:
        m, n, k = self.m, self.n, self.k
        ldx = m if self.transpose_x else k
        ldy = k if self.transpose_y else n
        shape = [int(self.transpose_x), int(self.transpose_y), m, n, k]
        return [*shape, max(ldx, 1), max(ldy, 1), max(n, 1), *self.steps, int(self.summed)]


def gemm_of(equation: Equation) -> Gemm | None:
    """The library call for a product, or None if its operands are not laid out for one."""
    x, y = (a.aval for a in equation.inputs)
    if x.dtype not in GEMM_DTYPES:
        return None
    (cx, cy), (bx, by) = equation.params["dimensions"]
    pairs = sorted(zip(cx, cy, strict=True))
    cx, cy = tuple(i for i, _ in pairs), tuple(j for _, j in pairs)
    m = math.prod(n for i, n in enumerate(x.shape) if i not in cx and i not in bx)
    n = math.prod(n for i, n in enumerate(y.shape) if i not in cy and i not in by)
    tx, ty = _layout(x, cx, bx), _layout(y, cy, by)
    summed = (tx is None or ty is None) and _leads(cx, cy, bx) and _copies_cost_more(x, m, n)
    if summed:
        cx, bx, cy, by = cx[1:], cx[:1], cy[1:], cy[:1]
        tx, ty = _layout(x, cx, bx), _layout(y, cy, by)
    if tx is None or ty is None:
        return None
    k = math.prod(x.shape[i] for i in cx)
    batch = math.prod(x.shape[i] for i in bx)
    turned = tx == "contracting first", ty == "contracting last"
    return Gemm(*turned, m, n, k, batch, summed=summed)


MANY = 4096
"""Multiplications from which products of floats may be sums: smaller ones are loops' own."""
FEW_INTEGERS = 500
"""Multiplications up to which a loop in registers takes a product of integers as it is."""
SMALL, SMALL_RESULT, SMALL_COMPLEX = 32, 16, 512
"""Elements of a factor, and of a result, that stay in registers; and multiplications of a small
product of complex numbers."""
THIN, NARROW = 3, 8
"""Columns that are not worth a call of the library, and that fit into a vector or two."""


def by_sums(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """A product as a sum of products, with what makes its operands in the same pass; None where a
    library or functrans/compiler/matrix_products.py takes less.

    Integers, which no library has: 200 × 200 of int64 0.26 ms, in NumPy 3.5. Vectors: 10,000 dot
    products of 16 float64 10 µs instead of 250. Thin matrices: 10⁵ points times 3 × 3 0.04 ms
    instead of 0.13, (3 × 10⁴)(10⁴ × 3) 7 µs instead of 43.
    """
    x_aval, y_aval = avals
    (cx, cy), (bx, by) = equation.params["dimensions"]
    of_x = tuple(i for i in range(x_aval.ndim) if i not in (*cx, *bx))
    of_y = tuple(i for i in range(y_aval.ndim) if i not in (*cy, *by))
    batch, rows, summed = ([x_aval.shape[i] for i in axes] for axes in (bx, of_x, cx))
    columns = [y_aval.shape[i] for i in of_y]
    if not _are_sums_better(x_aval.dtype, *map(math.prod, (batch, rows, summed, columns))):
        return None
    of_bools = x_aval.dtype.kind == "b"
    multiply, total = (and_p, reduce_or_p) if of_bools else (mul_p, reduce_sum_p)
    shape = (*batch, *rows, *summed, *columns)
    first = len(batch) + len(rows)
    axes = tuple(range(first, first + len(summed)))

    def product(x: Any, y: Any) -> Any:
        x = transpose_p.bind(x, permutation=(*bx, *of_x, *cx))
        y = transpose_p.bind(y, permutation=(*by, *cy, *of_y))
        x = reshape_p.bind(x, shape=(*batch, *rows, *summed, *(1 for _ in columns)))
        y = reshape_p.bind(y, shape=(*batch, *(1 for _ in rows), *summed, *columns))
        x, y = (broadcast_p.bind(a, shape=shape) for a in (x, y))
        return total.bind(multiply.bind(x, y), axes=axes)

    return product


def _are_sums_better(dtype: np.dtype, batch: int, m: int, k: int, n: int) -> bool:
    """For `batch` products of m × k by k × n."""
    work = batch * m * k * n
    if dtype.kind in "biu":
        return work > FEW_INTEGERS
    if dtype not in GEMM_DTYPES or work < MANY:
        return False
    if m == n == 1:
        return True
    if dtype.kind == "c":
        return batch >= 8 and m * k * n <= SMALL_COMPLEX
    if max(m, k, n) <= LARGEST_UNROLLED and batch >= 8:
        return False  # unrolled
    small = (k * n <= SMALL and n <= NARROW) or (min(m, n) > 1 and m * n <= SMALL_RESULT)
    return small or (n <= THIN and (n > 1 or batch > 1))


def _leads(cx: tuple[int, ...], cy: tuple[int, ...], batch: tuple[int, ...]) -> bool:
    """Whether the first axis of both operands is one over which the product sums."""
    return not batch and len(cx) > 1 and cx[0] == cy[0] == 0


COPIED_PER_CALL = 1 << 15
"""Bytes that are copied in cache in the time that a call of the library costs: 0.5 µs."""


def _copies_cost_more(x: Aval, m: int, n: int) -> bool:
    """Whether a product for every index of x's first axis costs less than to copy operands.

    Each of them reads and writes the whole result again; a copy reads and writes both operands.
    """
    k = x.size // max(m * x.shape[0], 1)
    return COPIED_PER_CALL + 2 * m * n * x.dtype.itemsize < 2 * (m + n) * k * x.dtype.itemsize


def _layout(x: Aval, contracting: tuple[int, ...], batch: tuple[int, ...]) -> str | None:
    """Where the contracting axes lie, if the array is a batch of plain matrices."""
    n = len(batch)
    if batch != tuple(range(n)):
        return None
    rest = tuple(i for i in range(n, x.ndim) if i not in contracting)
    if (*rest, *contracting) == tuple(range(n, x.ndim)):
        return "contracting last"
    if (*contracting, *rest) == tuple(range(n, x.ndim)):
        return "contracting first"
    return None


def batched_products(program: Program) -> Program:
    """Batches of products, each with the same matrix, in place of those products that are over a
    middle axis of an operand and would need a copy of it."""
    if all(_middle(e) is None for e in program.equations):
        return program
    rewriter = Rewriter()
    for old in program.equations:
        equation = old.replace([rewriter.name(a) for a in old.inputs])
        middle = _middle(equation)
        if middle is None:
            results: Any = rewriter.add(equation)
        else:
            results = [_batched(equation, middle, rewriter)]
        rewriter.replaced.update(zip(old.outputs, results, strict=True))
    outputs = [rewriter.name(a) for a in program.outputs]
    return drop_unused(rewrite(Program(program.inputs, rewriter.equations, outputs, program.name)))


def _middle(equation: Equation) -> int | None:
    """Which operand is a stack of matrices over whose first axis the product is, the other being a
    matrix by which it is cheaper to multiply each than to bring that axis to an end."""
    if equation.primitive.name != "dot_general" or gemm_of(equation) is not None:
        return None
    (cx, cy), (batch, _) = equation.params["dimensions"]
    if batch or len(cx) != 1 or equation.inputs[0].aval.dtype not in GEMM_DTYPES:
        return None
    for i, axis in enumerate((cx[0], cy[0])):
        stack, matrix = equation.inputs[i].aval, equation.inputs[1 - i].aval
        if matrix.ndim == 2 and 0 < axis < stack.ndim - 1 and stack.size and matrix.size:
            samples = math.prod(stack.shape[:axis])
            copied = 2 * stack.nbytes // samples
            return i if COPIED_PER_CALL + matrix.nbytes < copied else None
    return None


def _batched(equation: Equation, i: int, rewriter: Rewriter) -> Atom:
    """The product with operand `i` a batch of matrices, the other repeated for each."""
    contracting, _ = equation.params["dimensions"]
    stack, matrix = equation.inputs[i], equation.inputs[1 - i]
    axis = contracting[i][0]
    lead = stack.aval.shape[:axis]
    repeated = rewriter.emit(equation, broadcast_p, [matrix], shape=(*lead, *matrix.aval.shape))
    batch = tuple(range(axis))
    operands: list[Atom] = [repeated, repeated]
    operands[i] = stack
    axes = [(axis + contracting[1 - i][0],)] * 2
    axes[i] = (axis,)
    dimensions = (tuple(axes), (batch, batch))
    out = rewriter.emit(equation, dot_general_p, operands, dimensions=dimensions)
    if i == 0:
        return out
    # the matrix's axis comes first in the product that this one stands for
    order = (axis, *batch, *range(axis + 1, out.aval.ndim))
    return rewriter.emit(equation, transpose_p, [out], permutation=order)


def is_repeated(equation: Equation, consumers: Sequence[Equation]) -> bool:
    """Whether a broadcast need not exist, since it is the same matrix in whole batches."""
    x, out = equation.inputs[0], equation.outputs[0]
    new = out.aval.ndim - x.aval.ndim
    if equation.primitive.name != "broadcast" or x.aval.shape != out.aval.shape[new:] or not new:
        return False
    return all(_takes_repeated(c, out, new) for c in consumers)


def _takes_repeated(equation: Equation, var: Var, new: int) -> bool:
    if equation.primitive.name != "dot_general" or equation.inputs[0] is equation.inputs[1]:
        return False
    batch = equation.params["dimensions"][1][equation.inputs.index(var)]
    return batch == tuple(range(new)) and gemm_of(equation) is not None


def canonical_products(program: Program) -> Program:
    """Transposes in front of those products whose operands the library cannot take as they are."""
    products = [e for e in program.equations if e.primitive.name == "dot_general"]
    if all(gemm_of(e) for e in products):
        return program
    rewriter = Rewriter()
    for old in program.equations:
        equation = old.replace([rewriter.name(a) for a in old.inputs])
        if equation.primitive.name == "dot_general" and gemm_of(equation) is None:
            equation = _with_transposes(equation, rewriter)
        rewriter.replaced.update(zip(old.outputs, rewriter.add(equation), strict=True))
    outputs = [rewriter.name(a) for a in program.outputs]
    return Program(program.inputs, rewriter.equations, outputs, program.name)


def _with_transposes(equation: Equation, rewriter: Rewriter) -> Equation:
    """The product with contracting axes in the order that the larger operand has them in, which
    then need not be copied if they are its first or last."""
    operands = list(equation.inputs)
    contracting, batches = equation.params["dimensions"]
    larger = int(operands[1].aval.size > operands[0].aval.size)
    pairs = sorted(zip(*contracting, strict=True), key=lambda pair: pair[larger])
    axes, leading = [tuple(pair[i] for pair in pairs) for i in range(2)], list(batches)
    for i, x in enumerate(operands):
        if _layout(x.aval, axes[i], leading[i]) is None:
            order = _order(x.aval, axes[i], leading[i])
            operands[i] = rewriter.emit(equation, transpose_p, [x], permutation=order)
            axes[i] = tuple(range(len(order) - len(pairs), len(order)))
            leading[i] = tuple(range(len(leading[i])))
    dimensions: Dimensions = ((axes[0], axes[1]), (leading[0], leading[1]))
    params: dict[str, Any] = {"dimensions": dimensions}
    return Equation(equation.primitive, operands, params, equation.outputs, equation.source)


def _order(x: Aval, contracting: Sequence[int], batch: Sequence[int]) -> tuple[int, ...]:
    """Batch axes, other axes, contracting axes."""
    rest = [i for i in range(x.ndim) if i not in contracting and i not in batch]
    return (*batch, *rest, *contracting)
