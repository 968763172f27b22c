"""Long sums of floats: of runs, whose results are added with what rounding loses.

A run is summed in as many parts as LLVM has vectors for; its error is that of adding some hundred
numbers, averaged over the parts. Runs are few, so Knuth's sum of two numbers and its error costs
nothing: the whole is as accurate as a run, for any length. Down columns a run is of rows.
"""

from __future__ import annotations

import numpy as np

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
RUN_OF_ROWS, RUN_OF_ROWS_OF_RESULTS, MOST_COLUMNS = 64, 8, 2048
"""Rows that are a run where columns are summed, and columns of which the sums of a run, and what
their totals lose, stay in cache."""


Place = tuple[str, str | None]
"""A pointer, and an index behind it."""


def is_long_sum(equation: Equation) -> bool:
    """Whether an equation is a sum whose order matters."""
    kind = equation.outputs[0].aval.dtype.kind
    return is_reduction(equation) and equation.primitive is reduce_sum_p and kind in "fc"


def add_run(b: Builder, run: Place, total: Place, rest: Place, dtype: np.dtype) -> None:
    """Add the sum of a run to a total and to what this has lost so far (Knuth's two-sum)."""
    x, y = b.load(*total, dtype), b.load(*run, dtype)
    both = b.add(x, y, exact=True)
    moved = b.sub(both, x, exact=True)
    lost_of_x = b.sub(x, b.sub(both, moved, exact=True), exact=True)
    lost = b.add(lost_of_x, b.sub(y, moved, exact=True), exact=True)
    b.store(both, *total)
    b.store(b.add(b.load(*rest, dtype), lost, exact=True), *rest)


def sum_of_runs(b: Builder, total: Place, rest: Place, dtype: np.dtype) -> Scalar:
    """A total with what it has lost; where that is nan, the total is, or infinite."""
    high, low = b.load(*total, dtype), b.load(*rest, dtype)
    return b.select(b.isnan(low), high, b.add(high, low, exact=True))
