"""Which results of a Program depend on which of its inputs, seen through what its equations hold.

Sets are the bits of an int: every input is given one, and a result's is their union over what it
depends on.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

from functrans.core.program import Atom, Equation, Program, Var


def depends(program: Program, sets: Sequence[int]) -> list[int]:
    """The set of every output, given those of the inputs; kept, as transposition asks each time."""
    key = ("depends", tuple(sets))
    if key not in program.cache:
        program.cache[key] = _walk(program, sets)
    return program.cache[key]


def _walk(program: Program, sets: Sequence[int]) -> list[int]:
    of = dict(zip(program.inputs, sets, strict=True))
    for e in program.equations:
        of.update(zip(e.outputs, equation_depends(e, [_set(of, a) for a in e.inputs]), strict=True))
    return [_set(of, a) for a in program.outputs]


def equation_depends(equation: Equation, sets: Sequence[int]) -> list[int]:
    """The set of every result of an equation, given those of its operands."""
    rule = equation.primitive.depends
    if rule is not None:
        return rule(sets, **equation.params)
    return [union(sets)] * len(equation.outputs)


def loop_depends(
    program: Program, consts: Sequence[int], carry: Sequence[int], xs: Sequence[int] = ()
) -> list[int]:
    """The sets of a loop's last carry and ys, given its body and those of what it starts from."""
    carry = list(carry)
    while True:
        outs = depends(program, [*consts, *carry, *xs])
        grown = [a | b for a, b in zip(carry, outs, strict=False)]
        if grown == carry:
            return [*carry, *outs[len(carry) :]]
        carry = grown


def union(sets: Sequence[int]) -> int:
    return reduce(or_, sets, 0)


def _set(of: dict[Var, int], atom: Atom) -> int:
    return of[atom] if isinstance(atom, Var) else 0
