"""`dot_general` as a product of the library: which layouts it takes, and how to get there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.compiler.simplify import Rewriter
from functrans.core.program import Atom, Equation, Program, Var
from functrans.core.types import Aval
from functrans.primitives.products import Dimensions
from functrans.primitives.shaping import transpose_p

GEMM_DTYPES = frozenset(np.dtype(d) for d in ("f4", "f8", "c8", "c16"))


@dataclass(frozen=True)
class Gemm:
    """out[b] = op(x[b]) op(y[b]), row-major: what the library is told; strides in elements."""

    transpose_x: bool
    transpose_y: bool
    m: int
    n: int
    k: int
    batch: int

    @property
    def ints(self) -> list[int]:
        m, n, k = self.m, self.n, self.k
        ldx = m if self.transpose_x else k
        ldy = k if self.transpose_y else n
        shape = [int(self.transpose_x), int(self.transpose_y), m, n, k]
        return [*shape, max(ldx, 1), max(ldy, 1), max(n, 1), m * k, k * n, m * n, 0]


def gemm_of(equation: Equation) -> Gemm | None:
    """The library call for a product, or None if its operands are not laid out for one."""
    x, y = (a.aval for a in equation.inputs)
    if x.dtype not in GEMM_DTYPES:
        return None
    (cx, cy), (bx, by) = equation.params["dimensions"]
    pairs = sorted(zip(cx, cy, strict=True))
    cx, cy = tuple(i for i, _ in pairs), tuple(j for _, j in pairs)
    tx, ty = _layout(x, cx, bx), _layout(y, cy, by)
    if tx is None or ty is None:
        return None
    k = math.prod(x.shape[i] for i in cx)
    batch = math.prod(x.shape[i] for i in bx)
    m = math.prod(n for i, n in enumerate(x.shape) if i not in cx and i not in bx)
    n = math.prod(n for i, n in enumerate(y.shape) if i not in cy and i not in by)
    return Gemm(tx == "contracting first", ty == "contracting last", m, n, k, batch)


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
    (cx, cy), (bx, by) = equation.params["dimensions"]
    x, y = equation.inputs
    x, cx, bx = _arranged(equation, x, cx, bx, rewriter)
    y, cy, by = _arranged(equation, y, cy, by, rewriter)
    dimensions: Dimensions = ((cx, cy), (bx, by))
    params: dict[str, Any] = {"dimensions": dimensions}
    return Equation(equation.primitive, [x, y], params, equation.outputs, equation.source)


def _arranged(
    equation: Equation, x: Atom, contracting: tuple, batch: tuple, rewriter: Rewriter
) -> tuple[Atom, tuple[int, ...], tuple[int, ...]]:
    """The operand as batch axes, other axes, contracting axes in the order of the equation."""
    rank = x.aval.ndim
    rest = tuple(i for i in range(rank) if i not in contracting and i not in batch)
    order = (*batch, *rest, *contracting)
    if order != tuple(range(rank)):
        var: Var = rewriter.emit(equation, transpose_p, [x], permutation=order)
        x = var
    n = len(batch)
    return x, tuple(range(rank - len(contracting), rank)), tuple(range(n))
