"""What form of code an equation can take: computed per element, folded, or neither."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from functrans.compiler import math as elementary
from functrans.compiler.llvm import Builder
from functrans.compiler.values import SUPPORTED
from functrans.core.lowering import Indexed, Pointwise, Reduce
from functrans.core.program import Equation

Shape = tuple[int, ...]


def is_elemental(equation: Equation) -> bool:
    """Whether the result is a function from index to element that kernels can compute."""
    lower = equation.primitive.lower
    if isinstance(lower, Pointwise):
        return _supported(equation) and _has_emitter(equation)
    return isinstance(lower, Indexed) and _supported(equation)


@lru_cache(maxsize=1024)
def emitter(emit: Callable[..., Any] | str) -> Callable[..., Any] | None:
    """The function that emits an element: a method of Builder or an elementary function by name."""
    if not isinstance(emit, str):
        return emit
    return getattr(Builder, emit, None) or getattr(elementary, emit, None)


def is_reduction(equation: Equation) -> bool:
    return isinstance(equation.primitive.lower, Reduce) and _supported(equation)


def is_fused(equation: Equation) -> bool:
    """Whether kernels compute the result, and read the operands element by element."""
    return is_elemental(equation) or is_reduction(equation)


def iteration_shape(equation: Equation) -> Shape:
    """The loops an equation needs: those of its operand if it reduces, else of its result."""
    source = equation.inputs[0] if is_reduction(equation) else equation.outputs[0]
    return source.aval.shape


def _has_emitter(equation: Equation) -> bool:
    """Whether the element can be emitted; some elementary functions have no complex form."""
    found = emitter(equation.primitive.lower.emit)
    if found is None or getattr(found, "complex", True) is not None:
        return found is not None
    return all(a.aval.dtype.kind != "c" for a in equation.inputs)


def _supported(equation: Equation) -> bool:
    # asked of every equation several times
    for atom in equation.inputs:
        if atom.aval.dtype not in SUPPORTED:
            return False
    for var in equation.outputs:  # noqa: SIM110 - a generator takes twice as long
        if var.aval.dtype not in SUPPORTED:
            return False
    return True


def own_weight(equation: Equation) -> int:
    """Roughly the instructions that an element of an equation's own takes."""
    lower = equation.primitive.lower
    return lower.cost if isinstance(lower, Pointwise | Indexed) else 0
