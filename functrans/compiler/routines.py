"""Equations that routines of the runtime compute: their buffers, integers and memory to work in.

Threads divide a stack of matrices among them, in groups, if the matrices are so small that BLAS
leaves each to one thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from functrans.compiler.blas import LETTERS
from functrans.compiler.decompositions import (
    eigh_ints,
    eigh_scratch,
    qr_ints,
    qr_scratch,
    svd_ints,
    svd_scratch,
)
from functrans.compiler.determinants import diagonal_ints
from functrans.compiler.gemm import NAMES
from functrans.compiler.lu import lu_scratch, solve_ints
from functrans.compiler.products import GEMM_DTYPES
from functrans.compiler.schedule import Entry
from functrans.compiler.threads import pieces
from functrans.compiler.triangular import cholesky_ints, triangular_ints
from functrans.core.program import Equation
from functrans.core.types import Aval

if TYPE_CHECKING:
    from functrans.compiler.lower import BlockLowering


@dataclass(frozen=True)
class Routine:
    """A function of the runtime for dtypes that LAPACK knows.

    Its buffers are the operands, the memory to work in, and the results.

    Attributes:
        function: its name, without the dtype.
        ints: its integers; None for what it cannot take.
        scratch: bytes of each piece of memory to work in.
        alone: elements of a matrix in the last operand up to which BLAS leaves it to one thread, so
            that threads can share the stack; measured with OpenBLAS.
        in_place: the last operand is copied to the result, and is no buffer of its own.
        double: it takes double precision only.
    """

    function: str
    ints: Callable[[Equation], tuple[int, ...] | None]
    alone: int
    scratch: Callable[[Equation], Sequence[int]] = lambda equation: ()
    in_place: bool = False
    double: bool = False


ROUTINES = {
    "cholesky": Routine("cholesky", cholesky_ints, 2500, in_place=True),
    "triangular_solve": Routine("triangular", triangular_ints, 600, in_place=True),
    "solve": Routine("solve", solve_ints, 600, lu_scratch, in_place=True),
    "lu_diagonal": Routine("lu_diagonal", diagonal_ints, 6400, lu_scratch, double=True),
    "eigh": Routine("eigh", eigh_ints, 600, eigh_scratch, double=True),
    "eigvalsh": Routine("eigvalsh", eigh_ints, 2500, eigh_scratch, double=True),
    "svd": Routine("svd", svd_ints, 1600, svd_scratch, double=True),
    "svdvals": Routine("svdvals", svd_ints, 6400, svd_scratch, double=True),
    "qr": Routine("qr", qr_ints, 4096, qr_scratch, double=True),
}
"""By the name of the primitive."""
FLOPS_PER_NANOSECOND = 3.0
"""Of LAPACK on small matrices, on one core."""
LARGEST = 80
"""Rows and columns of matrices whose stack threads share at most."""
LINE = 64
"""Bytes of a cache line, which groups do not share."""
_DOUBLE = frozenset(map(np.dtype, ("f8", "c16")))


def append_routine(block: BlockLowering, equation: Equation) -> bool:
    """The call of a routine; False if there is none for these operands."""
    name, out = equation.primitive.name, equation.outputs[0].aval
    routine = ROUTINES[name]
    dtype = equation.inputs[0].aval.dtype
    taken = dtype in (_DOUBLE if routine.double else GEMM_DTYPES)
    ints = routine.ints(equation) if taken and out.size else None
    if ints is None:
        return False
    inputs = equation.inputs
    if routine.in_place:
        block.copied(inputs[-1], equation)
        inputs = inputs[:-1]
    operands, results = [*map(block.slot, inputs)], [*map(block.slot, equation.outputs)]
    avals = [a.aval for a in equation.inputs], [v.aval for v in equation.outputs]
    flops = equation.flops
    groups = _groups(routine, avals[0], flops)
    sizes = [-(-nbytes // LINE) * LINE for nbytes in routine.scratch(equation)]
    scratch = [block.temporary(groups * nbytes) for nbytes in sizes]
    target = f"ft_{routine.function}_{NAMES[LETTERS[dtype.str[1:]]]}"
    comment = f"{name} {out}  {lines_of([equation])}"
    comment += f"  in {groups} pieces" if groups > 1 else ""
    slots, ints = (*operands, *scratch, *results), (*ints, groups, *sizes)
    block.append(Entry(target, slots, ints, groups, comment, avals, pieces=groups, flops=flops))
    return True


def _groups(routine: Routine, operands: Sequence[Aval], flops: float) -> int:
    """How many parts of a stack are treated side by side."""
    largest = max(extent for a in operands for extent in a.shape[-2:])
    if largest > LARGEST or math.prod(operands[-1].shape[-2:]) > routine.alone:
        return 1
    return pieces(math.prod(operands[0].shape[:-2]), flops / FLOPS_PER_NANOSECOND)


def lines_of(equations: Sequence[Equation]) -> str:
    """The user's lines that equations come from, each once."""
    lines = dict.fromkeys(str(e.source) for e in equations if e.source)
    return ", ".join(lines)
