"""`while`: a loop that runs as long as a condition on its carry holds, as one equation.

Operands are (condition consts…, body consts…, carry…). The number of steps is not known before it
has run, so it stores no residuals; functrans/primitives/loop_tangents.py has the derivative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from functrans.core.dependence import depends, loop_depends
from functrans.core.effects import without_effects
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, shape_of
from functrans.primitives import calls
from functrans.primitives.arithmetic import convert, gt_p, select_p
from functrans.primitives.calls import nonzero, present, split, spread
from functrans.primitives.carries import Counts, as_typed, either, instantiate, repeated
from functrans.primitives.elementwise import insert_axes
from functrans.primitives.lanes import is_worth_a_loop, one_by_one, together
from functrans.primitives.loop_series import moving, series_body, with_terms
from functrans.primitives.loops import jvp_body
from functrans.primitives.reductions import reduce_or_p, reduce_sum_p
from functrans.primitives.work import flops
from functrans.transforms.batching import Axis, batch_program, current_axis
from functrans.transforms.series import joined
from functrans.transforms.taylor import first_of

BOOL = Aval((), np.bool_)
COUNT = Aval((), np.int64)
FEW = 1
"""Examples that take less time one after the other than as a vector."""


def _infer(
    *avals: Aval,
    cond_program: Program,
    body_program: Program,
    cond_consts: int,
    body_consts: int,
    checkpoint: int | None,
) -> tuple[Aval, ...]:
    carry = body_program.in_avals[body_consts:]
    want = [*cond_program.in_avals[:cond_consts], *body_program.in_avals[:body_consts], *carry]
    if len(avals) != len(want):
        raise ShapeError(f"while_loop takes {len(want)} arrays, got {len(avals)}.")
    for i, (got, inner) in enumerate(zip(avals, want, strict=True)):
        if got.shape != inner.shape or got.dtype != inner.dtype:
            kind = ShapeError if got.shape != inner.shape else DTypeError
            raise kind(f"operand {i} of while_loop must be {inner}, got {got}.")
    for before, after in zip(carry, body_program.out_avals, strict=True):
        if before.shape != after.shape or before.dtype != after.dtype:
            raise ShapeError(f"while_loop's carry goes in as {before} and comes out as {after}.")
    if [a.strong() for a in cond_program.out_avals] != [BOOL]:
        raise DTypeError(f"while_loop's condition must be {BOOL}, got {cond_program.out_avals}.")
    return tuple(a.strong() for a in carry)


def _evaluate(
    *values: Any,
    cond_program: Program,
    body_program: Program,
    cond_consts: int,
    body_consts: int,
    checkpoint: int | None,
) -> list[Any]:
    for_cond, for_body, carry = split(values, cond_consts, body_consts)
    work = 0
    while evaluate(cond_program, [*for_cond, *carry])[0]:
        if work >= calls.WORTH_COMPILING:
            loop = _alone(cond_program, body_program, cond_consts, body_consts, checkpoint)
            return calls.run_compiled(loop, [*for_cond, *for_body, *carry])
        carry = evaluate(body_program, [*for_body, *carry])
        work += len(cond_program.equations) + len(body_program.equations)
    return list(map(as_typed, carry, body_program.in_avals[body_consts:]))


def _alone(
    cond_program: Program,
    body_program: Program,
    cond_consts: int,
    body_consts: int,
    checkpoint: int | None,
) -> Program:
    """The Program that is a while loop and nothing else."""
    key = ("alone", cond_program, cond_consts, body_consts, checkpoint)
    if key not in body_program.cache:
        body_program.cache[key] = make_program_flat(
            lambda args: while_p.bind(
                *args,
                cond_program=cond_program,
                body_program=body_program,
                cond_consts=cond_consts,
                body_consts=body_consts,
                checkpoint=checkpoint,
            ),
            [*cond_program.in_avals[:cond_consts], *body_program.in_avals],
            body_program.name,
        )
    return body_program.cache[key]


def _tangents(
    ts: list,
    primals: list,
    *,
    cond_program: Program,
    body_program: Program,
    cond_consts: int,
    body_consts: int,
    checkpoint: int | None,
) -> tuple[list, list]:
    """One while loop over the carry and its tangents."""
    const_ts, carry_ts = split(ts[cond_consts:], body_consts)
    for_cond, for_body, carry = split(primals, cond_consts, body_consts)
    counts, mask = Counts(body_consts, len(carry)), nonzero([*const_ts, *carry_ts])
    body, carry_nonzero, _ = jvp_body(body_program, counts, mask)
    carry_ts = present(instantiate(carry_ts, carry, carry_nonzero))
    body_operands = [*for_body, *present(const_ts)]
    results = while_p.bind(
        *for_cond,
        *body_operands,
        *carry,
        *carry_ts,
        cond_program=_ignoring(cond_program, body.in_avals[len(body_operands) + len(carry) :]),
        body_program=body,
        cond_consts=cond_consts,
        body_consts=len(body_operands),
        checkpoint=checkpoint,
    )
    outs, out_ts = split(results, len(carry))
    return outs, spread(out_ts, carry_nonzero)


def _linearize(ts: list, primals: list, **params: Any) -> tuple[list, list]:
    """The values and the number of steps; the tangents from a loop of so many steps."""
    from functrans.primitives.checkpointed_loops import while_keeping
    from functrans.primitives.differentiated_loops import Loop, by_rules, differentiated
    from functrans.primitives.loop_tangents import tangents_of_loop
    from functrans.primitives.recording_loops import while_recording

    operands = primals[params["cond_consts"] :]
    body, consts = params["body_program"], params["body_consts"]
    loop = Loop(
        without_effects(body), consts, len(operands) - consts, checkpoint=params["checkpoint"]
    )
    loop, ts = differentiated(loop, operands, ts[params["cond_consts"] :])
    params["body_program"] = by_rules(body, loop)
    keeping = while_recording if loop.checkpoint is None else while_keeping
    (*outs, count), kept = keeping(loop, primals, **params)
    return outs, tangents_of_loop(count, kept, operands, ts, loop)


def while_counting(operands: Sequence[Any], **params: Any) -> list[Any]:
    """The results of a while loop, and the number of steps."""
    return while_p.bind(*operands, np.int64(0), **counting_params(params))


def counting_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a while loop whose last carry is the number of steps done."""
    return {
        **params,
        "cond_program": _ignoring(params["cond_program"], [COUNT]),
        "body_program": _counting(params["body_program"], params["body_consts"]),
    }


def _counting(program: Program, consts: int) -> Program:
    """The body with the number of steps done as one more part of the carry."""
    key = ("counting", consts)
    if key not in program.cache:
        program.cache[key] = make_program_flat(
            lambda args: [*evaluate(program, args[:-1]), args[-1] + 1],
            [*program.in_avals, COUNT],
            program.name,
        )
    return program.cache[key]


def _ignoring(program: Program, avals: Sequence[Aval]) -> Program:
    """The Program with further inputs that it does not use."""
    key = ("ignoring", tuple(avals))
    if key not in program.cache:
        count = len(program.inputs)
        program.cache[key] = make_program_flat(
            lambda args: evaluate(program, args[:count]),
            [*program.in_avals, *avals],
            program.name,
        )
    return program.cache[key]


# --- batching -------------------------------------------------------------------------------------


def batch_while(
    args: list,
    batched: list,
    *,
    cond_program: Program,
    body_program: Program,
    cond_consts: int,
    body_consts: int,
    checkpoint: int | None,
) -> tuple[list, list]:
    axis = current_axis()
    counts = Counts(cond_consts, body_consts)
    for_cond, for_body, carry = counts.divide(args)
    cond_mask, body_mask, carry_mask = (tuple(m) for m in counts.divide(batched))
    own = {
        "cond_program": cond_program,
        "body_program": body_program,
        "cond_consts": cond_consts,
        "body_consts": body_consts,
        "checkpoint": checkpoint,
    }
    block = together([cond_program, body_program], body_program.in_avals[body_consts:])
    while True:
        cond, (varies,) = batch_program(cond_program, (*cond_mask, *carry_mask), axis)
        if varies and is_worth_a_loop([cond_program, body_program]) and axis.size > block:
            return one_by_one(while_p, args, batched, own, block), [True] * len(carry)
        if varies and not all(carry_mask):
            # examples stop at different times, so whatever the loop changes differs between them
            carry_mask = (True,) * len(carry_mask)
            continue
        body, outs = batch_program(body_program, (*body_mask, *carry_mask), axis, force=carry_mask)
        grown = either(carry_mask, outs)
        if grown == carry_mask:
            break
        carry_mask = grown
    carry = repeated(carry, counts.divide(batched)[2], carry_mask, axis.size)
    if varies:
        both = [*for_cond, *for_body]
        body = _selecting(cond, body, cond_consts, body_consts, axis)
        results = while_p.bind(
            *for_cond,
            *both,
            *carry,
            cond_program=_more_go_on(cond, FEW if block > 1 else 0),
            body_program=body,
            cond_consts=cond_consts,
            body_consts=len(both),
            checkpoint=checkpoint,
        )
        if block > 1:  # the last few, whom the others need not wait for
            mask = [*cond_mask, *body_mask, *carry_mask]
            results = one_by_one(while_p, [*both, *results], mask, own)
    else:
        results = while_p.bind(
            *for_cond,
            *for_body,
            *carry,
            cond_program=cond,
            body_program=body,
            cond_consts=cond_consts,
            body_consts=body_consts,
            checkpoint=checkpoint,
        )
    return results, list(carry_mask)


def _more_go_on(cond: Program, few: int) -> Program:
    """Whether more than a few examples go on."""
    key = ("more go on", few)
    if key not in cond.cache:

        def run(args: Sequence[Any]) -> list[Any]:
            (going,) = evaluate(cond, args)
            if few == 0:
                return [reduce_or_p.bind(going, axes=(0,))]
            return [
                gt_p.bind(reduce_sum_p.bind(convert(going, np.int64), axes=(0,)), np.int64(few))
            ]

        cond.cache[key] = make_program_flat(run, cond.in_avals, f"any({cond.name})")
    return cond.cache[key]


def _selecting(
    cond: Program, body: Program, cond_consts: int, body_consts: int, axis: Axis
) -> Program:
    """The body that leaves the examples whose condition no longer holds as they are."""
    key = ("selecting", cond, cond_consts, body_consts, axis)
    if key in body.cache:
        return body.cache[key]

    def run(args: Sequence[Any]) -> list[Any]:
        for_cond, for_body, carry = split(args, cond_consts, body_consts)
        goes_on = evaluate(cond, [*for_cond, *carry])[0]
        new = evaluate(body, [*for_body, *carry])
        return [choose(goes_on, y, x) for y, x in zip(new, carry, strict=True)]

    avals = [*cond.in_avals[:cond_consts], *body.in_avals]
    body.cache[key] = make_program_flat(run, avals, body.name)
    return body.cache[key]


def choose(condition: Any, x: Any, y: Any) -> Any:
    """x or y example by example: the condition's one axis is the batch axis of both."""
    return select_p.bind(insert_axes(condition, 1, len(shape_of(x)) - 1), x, y)


def while_depends(
    sets: Sequence[int],
    *,
    cond_program: Program,
    body_program: Program,
    cond_consts: int,
    body_consts: int,
    **_: Any,
) -> list[int]:
    for_cond, for_body, carry = split(sets, cond_consts, body_consts)
    outs = loop_depends(body_program, for_body, carry)
    (steps,) = depends(cond_program, [*for_cond, *outs])
    return [steps | out for out in outs]


def _jet(
    operands: list,
    order: int,
    run: Any,
    *,
    cond_program: Program,
    body_program: Program,
    cond_consts: int,
    body_consts: int,
    checkpoint: int | None,
) -> list[Any]:
    for_cond, for_body, carry = split(operands, cond_consts, body_consts)
    masks = [moving(for_body), moving(carry), ()]
    body, mask, _ = series_body(body_program, Counts(body_consts, len(carry)), masks, order)
    consts, values = with_terms(for_body, masks[0], order), with_terms(carry, mask, order)
    results = while_p.bind(
        *map(first_of, for_cond),
        *consts,
        *values,
        cond_program=_ignoring(cond_program, body.in_avals[len(consts) + len(carry) :]),
        body_program=body,
        cond_consts=cond_consts,
        body_consts=len(consts),
        checkpoint=checkpoint,
    )
    firsts, terms = split(results, len(carry))
    return joined(firsts, terms, mask, order)


while_p = Primitive(
    "while_loop",
    infer=_infer,
    evaluate=_evaluate,
    forward=_tangents,
    linearize=_linearize,
    jet=_jet,
    batch=batch_while,
    depends=while_depends,
    # one step: how many there will be is not known
    cost=lambda inputs, outputs, *, cond_program, body_program, **_: (
        flops(cond_program) + flops(body_program)
    ),
    multiple_results=True,
)
