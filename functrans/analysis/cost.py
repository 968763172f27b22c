"""The cost of a Program, predicted from its equations and how the compiler groups them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from functrans.core.program import Equation, Program, Var
from functrans.transforms.inspect import make_program

FLOPS_PER_SECOND = 2e10
"""What one core does with its vector units busy; a nominal figure, for comparisons."""
BYTES_PER_SECOND = 1e10
"""What one core reads and writes beyond its caches; a nominal figure, for comparisons."""
SECONDS_PER_STEP = 1e-7
"""What a kernel or library call costs, however small."""


@dataclass(frozen=True)
class Cost:
    """What running a Program once takes.

    Attributes:
        flops: arithmetic operations; an elementary function counts as its instructions.
        bytes_moved: bytes of arrays that kernels and library calls read and write. What fuses
            into a kernel moves nothing.
        steps: kernels and library calls run.
    """

    flops: float = 0.0
    bytes_moved: float = 0.0
    steps: float = 0.0

    @property
    def seconds(self) -> float:
        """A roofline estimate on a nominal core: good for ratios, not for a stopwatch."""
        work = max(self.flops / FLOPS_PER_SECOND, self.bytes_moved / BYTES_PER_SECOND)
        return work + self.steps * SECONDS_PER_STEP

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.flops + other.flops,
            self.bytes_moved + other.bytes_moved,
            self.steps + other.steps,
        )

    def times(self, count: float) -> Cost:
        """The cost of `count` runs."""
        return Cost(self.flops * count, self.bytes_moved * count, self.steps * count)


def cost(fun: Callable[..., Any]) -> Callable[..., Cost]:
    """A function of the same arguments that predicts the Cost of `fun`, without running it.

    Args:
        fun: a function of arrays or trees of arrays, or of ShapeDtypeStructs in their place.

    >>> import functrans as ft
    >>> ft.analysis.cost(lambda x: x @ x)(np.ones((100, 100)))
    Cost(flops=2000000.0, bytes_moved=160000.0, steps=1.0)
    """
    program_of = make_program(fun)
    return lambda *args, **kwargs: program_cost(program_of(*args, **kwargs))


def program_cost(program: Program) -> Cost:
    """The Cost of a Program as the compiler simplifies and groups it."""
    if "cost" not in program.cache:
        program.cache["cost"] = _program_cost(program)
    return program.cache["cost"]


def _program_cost(program: Program) -> Cost:
    from functrans.compiler.fuse import partition  # the compiler loads when it is first needed
    from functrans.compiler.grouping import Kernel, Single
    from functrans.compiler.lower import prepare

    parts = partition(prepare(program))
    total = Cost()
    for equation in parts.inlined.values():
        total += Cost(equation.flops)
    for step in parts.steps:
        if isinstance(step, Single):
            total += _single_cost(step.equation)
        if not isinstance(step, Kernel):
            continue
        written = [v for v in step.values if v in parts.stored]
        flops = sum(m.equation.flops for m in step.members)
        total += Cost(flops, _nbytes([*step.reads, *written]), 1)
    return total


def _single_cost(equation: Equation) -> Cost:
    """Of a library call, or of control flow: as often as its Programs run, where that is known."""
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return program_cost(params["program"]).times(params["length"])
    if name == "cond":
        return max(map(program_cost, params["branches"]), key=lambda c: c.seconds)
    operands = {a for a in equation.inputs if isinstance(a, Var)}
    return Cost(equation.flops, _nbytes([*operands, *equation.outputs]), 1)


def _nbytes(variables: Any) -> float:
    return float(sum(v.aval.nbytes for v in variables))
