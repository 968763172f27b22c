"""Long sums of floats: of runs, whose results are added with what rounding loses.

A run is summed in as many parts as LLVM has vectors for; its error is that of adding some hundred
numbers, averaged over the parts. Runs are few, so Knuth's sum of two numbers and its error costs
nothing: the whole is as accurate as a run, and so at least as pairwise summation, for any length.
"""

from __future__ import annotations

from functrans.compiler.elements import Elements, shown_key
from functrans.compiler.forms import is_reduction
from functrans.compiler.values import Value
from functrans.core.program import Equation
from functrans.primitives.reductions import reduce_sum_p

RUN = 8192
"""Elements of a run."""
SHORTEST_RUN = 256
"""Elements of a loop in a loop that are a run as they are."""
RUN_OF_RESULTS = 16
"""Of results of blocks, which are sums of many elements each."""


def is_long_sum(equation: Equation) -> bool:
    """Whether an equation is a sum whose order matters."""
    kind = equation.outputs[0].aval.dtype.kind
    return is_reduction(equation) and equation.primitive is reduce_sum_p and kind in "fc"


def add_run(k: Elements, run: str, total: str, rest: str, equation: Equation) -> None:
    """Add the sum of a run to a total and what it has lost so far; all are cells."""
    b, dtype = k.b, equation.outputs[0].aval.dtype
    x, y = b.load(total, None, dtype), b.load(run, None, dtype)
    both = b.add(x, y, exact=True)
    moved = b.sub(both, x, exact=True)
    lost = b.add(
        b.sub(x, b.sub(both, moved, exact=True), exact=True),
        b.sub(y, moved, exact=True),
        exact=True,
    )
    b.store(both, total, None)
    b.store(b.add(b.load(rest, None, dtype), lost, exact=True), rest, None)


def sum_of_runs(k: Elements, total: str, rest: str, equation: Equation) -> Value:
    """The total with what it has lost, unless that is nan: then the total is, or infinite."""
    b, dtype = k.b, equation.outputs[0].aval.dtype
    high, low = b.load(total, None, dtype), b.load(rest, None, dtype)
    found = b.select(b.isnan(low), high, b.add(high, low, exact=True))
    k.shown[shown_key(found)] = k.shown[total]
    return found
