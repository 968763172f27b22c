"""Long sums of floats: of runs, whose results are added with what rounding loses.

A run is summed in as many parts as LLVM has vectors for; its error is that of adding some hundred
numbers, averaged over the parts. Runs are few, so Knuth's sum of two numbers and its error costs
nothing: the whole is as accurate as a run, and so at least as pairwise summation, for any length.
Down columns a run is of rows.
"""

from __future__ import annotations

from functrans.compiler.elements import Elements, shown_key
from functrans.compiler.forms import is_reduction
from functrans.compiler.llvm import Builder
from functrans.compiler.values import Scalar
from functrans.core.program import Equation
from functrans.primitives.reductions import reduce_sum_p

RUN = 8192
"""Elements of a run."""
SHORTEST_RUN = 256
"""Elements of a loop in a loop that are a run as they are."""
RUN_OF_RESULTS = 16
"""Of results of blocks, which are sums of many elements each."""
MANY_BLOCKS = 32
"""Blocks of rows of which each may be one sum."""
RUN_OF_ROWS, MOST_COLUMNS = 64, 2048
"""Rows that are a run where columns are summed, and columns of which the sums of a run, and what
their totals lose, stay in cache."""


def is_long_sum(equation: Equation) -> bool:
    """Whether an equation is a sum whose order matters."""
    kind = equation.outputs[0].aval.dtype.kind
    return is_reduction(equation) and equation.primitive is reduce_sum_p and kind in "fc"


def two_sum(b: Builder, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """The rounded sum and its error."""
    total = b.add(x, y, exact=True)
    moved = b.sub(total, x, exact=True)
    lost = b.sub(x, b.sub(total, moved, exact=True), exact=True)
    return total, b.add(lost, b.sub(y, moved, exact=True), exact=True)


def with_lost(b: Builder, total: Scalar, lost: Scalar) -> Scalar:
    """A total with what was lost on the way; where that is nan, the total is, or infinite."""
    return b.select(b.isnan(lost), total, b.add(total, lost, exact=True))


def add_run(k: Elements, run: str, total: str, rest: str, equation: Equation) -> None:
    """Add the sum of a run to a total and what it has lost so far; all are cells."""
    b, dtype = k.b, equation.outputs[0].aval.dtype
    found, lost = two_sum(b, b.load(total, None, dtype), b.load(run, None, dtype))
    b.store(found, total, None)
    b.store(b.add(b.load(rest, None, dtype), lost, exact=True), rest, None)


def sum_of_runs(k: Elements, total: str, rest: str, equation: Equation) -> Scalar:
    """The total with what it has lost."""
    b, dtype = k.b, equation.outputs[0].aval.dtype
    found = with_lost(b, b.load(total, None, dtype), b.load(rest, None, dtype))
    k.shown[shown_key(found)] = k.shown[total]
    return found
