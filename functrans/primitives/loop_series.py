"""Bodies of loops on power series: the carry has the coefficients beside the values.

What does not depend on t stays as it is; which parts of a carry do is the least fixed point, as in
forward mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core.interpret import evaluate
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.primitives.calls import split
from functrans.primitives.carries import Counts, either
from functrans.transforms.forward import Nonzero
from functrans.transforms.series import coefficients, series_program
from functrans.transforms.taylor import Series, first_of


def moving(operands: Sequence[Any]) -> Nonzero:
    """Which operands depend on t."""
    return tuple(type(x) is Series for x in operands)


def with_terms(operands: Sequence[Any], mask: Nonzero, order: int) -> list[Any]:
    """The operands' values, and behind them the coefficients of those of the mask."""
    return [*map(first_of, operands), *coefficients(operands, mask, order)]


def series_body(
    program: Program, counts: Counts, masks: list[Nonzero], order: int
) -> tuple[Program, Nonzero, Nonzero]:
    """The body with the coefficients of consts, carry and xs behind each; which of the carry and
    which of the outputs are series."""
    consts, carry, xs = masks
    ys = (False,) * (len(program.outputs) - counts.carry)
    while True:
        series, out_moving = series_program(program, (*consts, *carry, *xs), order, (*carry, *ys))
        grown = either(carry, out_moving[: counts.carry])
        if grown == carry:
            break
        carry = grown
    key = ("series body", consts, carry, xs, order)
    if key not in program.cache:
        terms = [order * sum(mask) for mask in (consts, carry, xs)]
        groups = counts.divide(program.in_avals)
        extra = split(series.in_avals[len(program.in_avals) :], *terms)
        avals = [a for pair in zip(groups, extra, strict=False) for part in pair for a in part]
        sizes = [n for pair in zip(map(len, groups), terms, strict=True) for n in pair]

        def run(args: Sequence[Any]) -> list[Any]:
            c, c_terms, v, v_terms, x, x_terms, _ = split(args, *sizes)
            outs = evaluate(series, [*c, *v, *x, *c_terms, *v_terms, *x_terms])
            firsts, rest = split(outs, len(out_moving))
            new, ys = split(firsts, counts.carry)
            new_terms, y_terms = split(rest, terms[1])
            return [*new, *new_terms, *ys, *y_terms]

        program.cache[key] = make_program_flat(run, avals, series.name)
    return program.cache[key], carry, out_moving
