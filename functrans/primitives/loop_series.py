"""Loops and branches on power series: one loop whose carry has the coefficients beside the values.

What does not depend on t stays as it is; which parts of a carry do is the least fixed point, as in
forward mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core.interpret import evaluate
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.primitives.branches import Branches, cond_p
from functrans.primitives.calls import split
from functrans.primitives.loops import Counts, either, scan_p
from functrans.primitives.while_loops import ignoring, while_p
from functrans.transforms.forward import Nonzero
from functrans.transforms.series import coefficients, joined, series_program
from functrans.transforms.taylor import Series, first_of


def _moving(operands: Sequence[Any]) -> Nonzero:
    return tuple(type(x) is Series for x in operands)


def _cond(operands: list[Any], order: int, *, branches: Branches) -> list[Any]:
    index, *values = operands
    moving = _moving(values)
    outs: Nonzero = (False,) * len(branches[0].outputs)
    for branch in branches:
        outs = either(outs, series_program(branch, moving, order, outs)[1])
    programs = tuple(series_program(b, moving, order, outs)[0] for b in branches)
    given = [*map(first_of, values), *coefficients(values, moving, order)]
    results = cond_p.bind(index, *given, branches=programs)
    firsts, rest = split(results, len(outs))
    return joined(firsts, rest, outs, order)


def _scan(
    operands: list[Any],
    order: int,
    *,
    program: Program,
    num_consts: int,
    num_carry: int,
    **loop: Any,
) -> list[Any]:
    counts = Counts(num_consts, num_carry)
    groups = counts.divide(operands)
    masks = [_moving(group) for group in groups]
    body, masks[1], out_moving = _scan_body(program, counts, masks, order)
    both = [
        [*map(first_of, group), *coefficients(group, mask, order)]
        for group, mask in zip(groups, masks, strict=True)
    ]
    results = scan_p.bind(
        *both[0], *both[1], *both[2], program=body,
        num_consts=len(both[0]), num_carry=len(both[1]), **loop,
    )  # fmt: skip
    carry, carry_terms, ys, y_terms = split(
        results, num_carry, order * sum(masks[1]), len(out_moving) - num_carry
    )
    return joined([*carry, *ys], [*carry_terms, *y_terms], out_moving, order)


def _scan_body(
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


def _while(
    operands: list[Any],
    order: int,
    *,
    cond_program: Program,
    body_program: Program,
    cond_consts: int,
    body_consts: int,
    checkpoint: int | None,
) -> list[Any]:
    for_cond, for_body, carry = split(operands, cond_consts, body_consts)
    counts = Counts(body_consts, len(carry))
    masks = [_moving(for_body), _moving(carry), ()]
    body, moving, _ = _scan_body(body_program, counts, masks, order)
    consts = [*map(first_of, for_body), *coefficients(for_body, masks[0], order)]
    values = [*map(first_of, carry), *coefficients(carry, moving, order)]
    terms = body.in_avals[len(consts) + len(carry) :]
    results = while_p.bind(
        *map(first_of, for_cond), *consts, *values,
        cond_program=ignoring(cond_program, terms), body_program=body,
        cond_consts=cond_consts, body_consts=len(consts), checkpoint=checkpoint,
    )  # fmt: skip
    firsts, rest = split(results, len(carry))
    return joined(firsts, rest, moving, order)


cond_p.jet = _cond
scan_p.jet = _scan
while_p.jet = _while
