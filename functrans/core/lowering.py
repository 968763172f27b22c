"""How a primitive can be compiled: the four forms that its `lower` rule may have.

A primitive without one becomes a schedule entry that calls its NumPy evaluation.
The compiler (functrans/compiler) gives each form its meaning; `b` is always a
`functrans.compiler.llvm.Builder`, and values are scalars of the element type.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pointwise:
    """out[i] = emit(b, x[i], y[i], …, **params), operands broadcast as in NumPy.

    A string names the Builder's method, or the elementary function in functrans/compiler/math.

    `cost` is roughly the number of arithmetic instructions, which decides between computing
    an element again and storing it. With `multiple_results` emit returns a list of values.
    """

    emit: Callable[..., Any] | str
    cost: int = 1


@dataclass(frozen=True)
class Indexed:
    """out[index] is read from elements of the operands, wherever they are.

    emit(k, index, **params) -> Value: `k.read(i, index)` is the element of operand i at a list of
    index expressions (functrans/compiler/index.py: `IndexExpr`, which add, multiply by ints and
    compare), `k.aval(i)` its aval, `k.b` the Builder, `k.add(x, y)` the sum of two elements,
    `k.guard(condition, then, otherwise)` a lazy choice. Indexed primitives cost no pass over memory
    of their own. `cost` is that of finding out where to read: a choice keeps a loop from being
    vectorised.
    """

    emit: Callable[..., Any]
    cost: int = 0


@dataclass(frozen=True)
class Reduce:
    """out = fold of combine over the `axes` parameter, from `identity(dtype)`.

    combine(b, accumulator, x) -> Value; `reassociate` lets the compiler vectorise it.
    """

    combine: Callable[..., Any]
    identity: Callable[[Any], Any]


@dataclass(frozen=True)
class Library:
    """A call of native library code: entry(avals_in, avals_out, **params) describes it.

    Returns a `functrans.compiler.schedule.Call`, or None where the library has no routine for
    these types, and then NumPy evaluates.
    """

    entry: Callable[..., Any]
