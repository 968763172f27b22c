"""`scan`: a loop over the leading axis of arrays, as one equation that holds its body.

The body is a Program over (consts…, carry…, x…) giving (carry…, y…); consts are what every step
reads, carry is handed from step to step, the xs are read and the ys stacked along a leading axis.
Results are strongly typed, whatever the body's weak types are, so that eager and traced loops
agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core.dependence import loop_depends
from functrans.core.errors import DTypeError, OutOfMemoryError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Linear, Primitive
from functrans.core.program import Program, Var
from functrans.core.trace import make_program_flat, staging_trace
from functrans.core.types import Aval, dtype_of
from functrans.primitives import calls
from functrans.primitives.arithmetic import add_p, mul_p, sub_p
from functrans.primitives.branch_residuals import inlined, merged
from functrans.primitives.calls import nonzero, present, split, spread
from functrans.primitives.carries import (
    Counts,
    as_typed,
    batched_carry,
    either,
    instantiate,
    interleave,
    repeated,
    swap_leading,
)
from functrans.primitives.loop_series import moving, series_body, with_terms
from functrans.primitives.parts import without_invariants
from functrans.primitives.reductions import reduce_or_p
from functrans.primitives.residuals import Kept, keep
from functrans.primitives.shaping import full, iota
from functrans.primitives.work import equations_run, flops
from functrans.transforms.batching import current_axis
from functrans.transforms.forward import Nonzero, jvp
from functrans.transforms.linearize import Linearized, linearize_program
from functrans.transforms.series import joined
from functrans.transforms.transpose import transpose

# --- shape, value, cost ---------------------------------------------------------------------------


def _infer(
    *avals: Aval,
    program: Program,
    num_consts: int,
    num_carry: int,
    length: int,
    reverse: bool,
    unroll: int,
    checkpoint: int | None,
) -> tuple[Aval, ...]:
    want = program.in_avals
    if len(avals) != len(want):
        raise ShapeError(f"scan of {program.name} takes {len(want)} arrays, got {len(avals)}.")
    for i, (got, inner) in enumerate(zip(avals, want, strict=True)):
        shape = inner.shape if i < num_consts + num_carry else (length, *inner.shape)
        if got.shape != shape or got.dtype != inner.dtype:
            kind = ShapeError if got.shape != shape else DTypeError
            wanted = inner.update(shape=shape)
            raise kind(f"operand {i} of scan of {program.name} must be {wanted}, got {got}.")
    carry = [v.aval for v in program.inputs[num_consts : num_consts + num_carry]]
    for before, after in zip(carry, program.out_avals, strict=False):
        if before.shape != after.shape or before.dtype != after.dtype:
            raise ShapeError(f"scan's carry goes in as {before} and comes out as {after}.")
    ys = program.out_avals[num_carry:]
    return (
        *[a.strong() for a in carry],
        *[Aval((length, *y.shape), y.dtype) for y in ys],
    )


def _evaluate(
    *values: Any,
    program: Program,
    num_consts: int,
    num_carry: int,
    length: int,
    reverse: bool,
    unroll: int,
    checkpoint: int | None,
) -> list[Any]:
    if _worth_compiling(program, length):
        loop: dict[str, Any] = {"num_consts": num_consts, "num_carry": num_carry}
        loop |= {"length": length, "reverse": reverse, "unroll": unroll, "checkpoint": checkpoint}
        return calls.run_compiled(_alone(program, loop), values)
    consts, carry, xs = split(values, num_consts, num_carry)
    ys = _stacks([a.update(shape=(length, *a.shape)) for a in program.out_avals[num_carry:]])
    for i in reversed(range(length)) if reverse else range(length):
        outs = evaluate(program, [*consts, *carry, *[x[i] for x in xs]])
        carry = outs[:num_carry]
        for stack, y in zip(ys, outs[num_carry:], strict=True):
            stack[i] = y
    avals = program.in_avals[num_consts : num_consts + num_carry]
    return [*map(as_typed, carry, avals), *ys]


def _stacks(avals: list[Aval]) -> list[np.ndarray]:
    """Arrays for what every step gives."""
    try:
        return [np.empty(a.shape, a.dtype) for a in avals]
    except MemoryError:
        largest = max(avals, key=lambda a: a.nbytes)
        needed = sum(a.nbytes for a in avals) / 2**30
        raise OutOfMemoryError(
            f"scan has results of {needed:.3g} GiB, more than there is; the largest is {largest}, "
            f"{largest.nbytes / 2**30:.3g} GiB.\n  {OutOfMemoryError.advice}"
        ) from None


def _worth_compiling(program: Program, length: int) -> bool:
    return length * equations_run(program) >= calls.WORTH_COMPILING


def _alone(program: Program, loop: dict[str, Any]) -> Program:
    """The Program that is a scan and nothing else."""
    key = ("alone", *loop.values())
    if key not in program.cache:
        fixed = loop["num_consts"] + loop["num_carry"]
        stacked = [a.update(shape=(loop["length"], *a.shape)) for a in program.in_avals[fixed:]]
        program.cache[key] = make_program_flat(
            lambda args: scan_p.bind(*args, program=program, **loop),
            [*program.in_avals[:fixed], *stacked],
            program.name,
        )
    return program.cache[key]


# --- forward mode ---------------------------------------------------------------------------------


def _forward(
    ts: list, primals: list, *, program: Program, num_consts: int, num_carry: int, **loop: Any
) -> tuple[list, list]:
    counts = Counts(num_consts, num_carry)
    body, carry_nonzero, y_nonzero = jvp_body(program, counts, nonzero(ts))
    (consts, carry, xs), (const_ts, carry_ts, x_ts) = counts.divide(primals), counts.divide(ts)
    carry_ts = instantiate(carry_ts, carry, carry_nonzero)
    const_operands = [*consts, *present(const_ts)]
    carry_operands = [*carry, *present(carry_ts)]
    results = scan_p.bind(
        *const_operands,
        *carry_operands,
        *xs,
        *present(x_ts),
        program=body,
        num_consts=len(const_operands),
        num_carry=len(carry_operands),
        **loop,
    )
    outs, out_ts, ys, y_ts = split(results, num_carry, sum(carry_nonzero), len(y_nonzero))
    return [*outs, *ys], [*spread(out_ts, carry_nonzero), *spread(y_ts, y_nonzero)]


def jvp_body(program: Program, counts: Counts, masks: Nonzero) -> tuple[Program, Nonzero, Nonzero]:
    """Body over (consts, their tangents, carry, its tangents, xs, their tangents).

    Which parts of the carry have a tangent is the least fixed point: a part whose tangent is zero
    at first can get one from another part or a const.
    """
    key = ("loop jvp", counts, masks)
    if key not in program.cache:
        parts = [tuple(m) for m in counts.divide(masks)]
        while True:
            body, out_nonzero = _build_jvp_body(program, counts, parts)
            grown = either(parts[1], out_nonzero[: counts.carry])
            if grown == parts[1]:
                break
            parts[1] = grown
        program.cache[key] = body, parts[1], out_nonzero[counts.carry :]
    return program.cache[key]


def _build_jvp_body(
    program: Program, counts: Counts, masks: list[Nonzero]
) -> tuple[Program, Nonzero]:
    avals = [a for part in interleave(counts.divide(program.in_avals), masks) for a in part]
    sizes = [len(part) for part in interleave(counts.divide(program.in_avals), masks)]
    out_nonzero: Nonzero = ()

    def run(args: Sequence[Any]) -> list[Any]:
        nonlocal out_nonzero
        consts, const_ts, carry, carry_ts, xs, x_ts, _ = split(args, *sizes)
        groups = zip((const_ts, carry_ts, x_ts), masks, strict=True)
        ts = [t for group, mask in groups for t in spread(group, mask)]
        outs, out_ts = jvp(program, [*consts, *carry, *xs], ts)
        out_nonzero = nonzero(out_ts)
        n = counts.carry
        kept = instantiate(out_ts[:n], outs[:n], masks[1])
        kept = [t for t, keep in zip(kept, masks[1], strict=True) if keep]
        return [*outs[:n], *kept, *outs[n:], *present(out_ts[n:])]

    return make_program_flat(run, avals, f"jvp({program.name})"), out_nonzero


# --- linearisation --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _LinearScan:
    """A linearised scan.

    Attributes:
        kept: what the forward scan computes once, what it stacks, and of what the residuals of a
            step are made again.
        invariants: const tangents → what of them a step reads.
        linear: body over (these, invariants | carry tangents | values of the step, x tangents)
            giving (carry tangents, y tangents).
        carry_nonzero, y_nonzero: which outputs have a tangent.
    """

    kept: Kept
    invariants: Program
    linear: Program
    carry_nonzero: Nonzero
    y_nonzero: Nonzero


def _linearize(
    ts: list, primals: list, *, program: Program, num_consts: int, num_carry: int, **loop: Any
) -> tuple[list, list]:
    counts = Counts(num_consts, num_carry)
    if loop["checkpoint"] is not None and loop["length"]:
        from functrans.primitives.checkpointed_loops import linearize_scan

        return linearize_scan(ts, primals, program, counts, loop)
    compiled = staging_trace() is not None or _worth_compiling(program, loop["length"])
    parts = _linear_scan(program, counts, nonzero(ts), compiled)
    kept = parts.kept
    (consts, carry, xs), (const_ts, carry_ts, x_ts) = counts.divide(primals), counts.divide(ts)
    invariants = evaluate(kept.invariants, consts)
    read = [invariants[i] for i in kept.forward_reads]
    results = scan_p.bind(
        *read,
        *carry,
        *xs,
        program=kept.forward,
        num_consts=len(read),
        num_carry=num_carry,
        **loop,
    )
    outs, stacks = split(results, num_carry)
    taken = [reduce_or_p.bind(stacks[i], axes=(0,)) for i in kept.taken]
    late = evaluate(kept.late, [*taken, *[invariants[i] for i in kept.late_reads]])
    fixed = [*invariants, *late]
    const_operands = [
        *evaluate(parts.invariants, present(const_ts)),
        *[fixed[i] for i in kept.again_reads],
    ]
    carry_operands = present(instantiate(carry_ts, carry, parts.carry_nonzero))
    counted = lambda part, step: _counted(carry[part], step, loop["length"], loop["reverse"])
    values = [
        xs[at] if kind == "x" else stacks[at] if kind == "y" else counted(*at)
        for kind, at in kept.steps
    ]
    out_ts = scan_p.bind(
        *const_operands,
        *carry_operands,
        *values,
        *present(x_ts),
        program=parts.linear,
        num_consts=len(const_operands),
        num_carry=len(carry_operands),
        **loop,
    )
    last_ts, y_ts = split(out_ts, len(carry_operands))
    ys = stacks[: len(parts.y_nonzero)]
    return [*outs, *ys], [*spread(last_ts, parts.carry_nonzero), *spread(y_ts, parts.y_nonzero)]


def _counted(start: Any, step: int, length: int, reverse: bool) -> Any:
    """The values of a counter, in the order of the xs."""
    dtype = dtype_of(start)
    steps = iota((length,), 0, dtype)
    if reverse:
        steps = sub_p.bind(np.int64(length - 1).astype(dtype), steps)
    return add_p.bind(mul_p.bind(steps, np.int64(step).astype(dtype)), start)


def _linear_scan(program: Program, counts: Counts, masks: Nonzero, compiled: bool) -> _LinearScan:
    """With `compiled` calls of jitted functions are inlined, which shows what not to keep; without,
    they are what is fast about the loop."""
    key = ("scan linearize", counts, masks, compiled)
    if key not in program.cache:
        body, every = linearized_body(program, counts, masks)
        forward = inlined(body.forward, calls.call_p) if compiled else body.forward
        kept = keep(forward, len(program.outputs), counts)
        linear, consts = _linear_body(body, kept, every, program, counts)
        program.cache[key] = _LinearScan(
            kept,
            *without_invariants(linear, consts),
            tuple(counts.divide(every)[1]),
            body.out_nonzero[counts.carry :],
        )
    return program.cache[key]


def linearized_body(
    program: Program, counts: Counts, nonzero: Nonzero
) -> tuple[Linearized, Nonzero]:
    """The body linearised, and which of its inputs have a tangent in some step."""
    consts, carry, xs = (tuple(m) for m in counts.divide(nonzero))
    while True:
        body = linearize_program(program, (*consts, *carry, *xs))
        grown = either(carry, body.out_nonzero[: counts.carry])
        if grown == carry:
            return body, (*consts, *carry, *xs)
        carry = grown


def _linear_body(
    parts: Linearized, kept: Kept, masks: Nonzero, program: Program, counts: Counts
) -> tuple[Program, list[Var]]:
    """The linear Program with its operands in a scan's order, and every carry tangent given; and
    which are const tangents."""
    const_mask, carry_mask, _ = counts.divide(masks)
    tangent_avals = parts.linear.in_avals[parts.residual_count :]
    const_ts, carry_ts, x_ts = split(tangent_avals, sum(const_mask), sum(carry_mask))
    fixed, steps = split(kept.again.in_avals, len(kept.again_reads))
    carry_avals = counts.divide(program.in_avals)[1]

    def run(args: Sequence[Any]) -> list[Any]:
        same, cs, carry, moving, xs = split(args, *map(len, (fixed, const_ts, carry_ts, steps)))
        residuals = evaluate(kept.again, [*same, *moving])
        results = iter(evaluate(parts.linear, [*residuals, *cs, *carry, *xs]))
        outs = [next(results) if n else None for n in parts.out_nonzero]
        after = [
            full(aval.shape, 0, aval.dtype) if t is None else t
            for t, aval, n in zip(outs, carry_avals, carry_mask, strict=False)
            if n
        ]
        return [*after, *present(outs[counts.carry :])]

    avals = [*fixed, *const_ts, *carry_ts, *steps, *x_ts]
    linear = merged(make_program_flat(run, avals, f"linear({program.name})"))
    return linear, split(linear.inputs, len(fixed), len(const_ts))[1]


# --- transposition --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _BackwardScan:
    """A transposed scan: body over (fixed consts | carry cotangents, sums of const cotangents |
    fixed xs, y cotangents) giving (carry cotangents, sums | x cotangents); masks say which of the
    carry, consts and xs have a cotangent. The whole carry is linear, since functrans/transforms/
    linear_part.py takes out what is not."""

    body: Program
    carry: Nonzero
    consts: Nonzero
    xs: Nonzero


def _accumulate(
    cts: list,
    totals: list,
    *operands: Any,
    program: Program,
    num_consts: int,
    num_carry: int,
    reverse: bool,
    **loop: Any,
) -> list:
    counts = Counts(num_consts, num_carry)
    consts, carry, xs = counts.divide(operands)
    masks = tuple(type(x) is Linear for x in operands)
    ct_carry, ct_ys = split(cts, num_carry)
    plan = _backward_scan(program, counts, masks, nonzero(ct_carry), nonzero(ct_ys))
    const_avals, carry_avals, _ = counts.divide(program.in_avals)
    starts = [
        full(a.shape, 0, a.dtype) if ct is None else ct
        for ct, a, n in zip(ct_carry, carry_avals, plan.carry, strict=True)
        if n
    ]
    # to begin with a total spares an addition, but the loop waits for what gives it
    work = max(loop["length"] * flops(plan.body), 1)
    begins = [t is not None and a.size > work for t, a in zip(totals, const_avals, strict=False)]
    sums = [
        t if b else full(a.shape, 0, a.dtype)
        for a, t, b, n in zip(const_avals, totals, begins, plan.consts, strict=False)
        if n
    ]
    fixed_consts = _fixed(consts)
    results = scan_p.bind(
        *fixed_consts,
        *starts,
        *sums,
        *_fixed(xs),
        *present(ct_ys),
        program=plan.body,
        num_consts=len(fixed_consts),
        num_carry=len(starts) + len(sums),
        reverse=not reverse,
        **loop,
    )
    ct_carry, ct_consts, ct_xs = split(results, len(starts), len(sums))
    given = spread(ct_carry, plan.carry)
    own = [
        *spread(ct_consts, plan.consts),
        *[ct if type(x) is Linear else None for ct, x in zip(given, carry, strict=True)],
        *spread(ct_xs, plan.xs),
    ]
    begun = [b and n for b, n in zip(begins, plan.consts, strict=True)]
    begun += [False] * (len(own) - len(begun))
    return [ct if b else _sum(total, ct) for ct, total, b in zip(own, totals, begun, strict=True)]


def _sum(x: Any, y: Any) -> Any:
    """The sum of cotangents that are None where zero."""
    return y if x is None else x if y is None else add_p.bind(x, y)


def _fixed(operands: Sequence[Any]) -> list[Any]:
    return [x for x in operands if type(x) is not Linear]


def _backward_scan(
    program: Program,
    counts: Counts,
    masks: Nonzero,
    ct_carry: Nonzero,
    ct_ys: Nonzero,
) -> _BackwardScan:
    key = ("scan transpose", counts, masks, ct_carry, ct_ys)
    if key not in program.cache:
        const_mask, _, x_mask = counts.divide(masks)
        linear = (*const_mask, *(True,) * counts.carry, *x_mask)
        found = (ct_carry, (False,) * counts.consts)
        while True:
            body, results = _build_backward(program, counts, linear, *found, ct_ys)
            consts, carry, xs = (nonzero(part) for part in counts.divide(results))
            grown = either(found[0], carry), either(found[1], consts)
            if grown == found:
                break
            found = grown
        program.cache[key] = _BackwardScan(body, *found, xs)
    return program.cache[key]


def _build_backward(
    program: Program,
    counts: Counts,
    linear: Nonzero,
    ct_carry: Nonzero,
    ct_consts: Nonzero,
    ct_ys: Nonzero,
) -> tuple[Program, list[Any]]:
    const_avals, carry_avals, x_avals = counts.divide(program.in_avals)
    const_mask, _, x_mask = counts.divide(linear)
    groups = [
        _where(const_avals, const_mask, False),
        _where(carry_avals, ct_carry, True),
        _where(const_avals, ct_consts, True),
        _where(x_avals, x_mask, False),
        _where(program.out_avals[counts.carry :], ct_ys, True),
    ]
    results: list[Any] = []

    def run(args: Sequence[Any]) -> list[Any]:
        nonlocal results
        consts, cts, sums, xs, y_cts, _ = split(args, *map(len, groups))
        fixed = iter([*consts, *xs])
        operands = [
            Linear(v.aval.strong()) if n else next(fixed)
            for v, n in zip(program.inputs, linear, strict=True)
        ]
        out_cts = [*spread(cts, ct_carry), *spread(y_cts, ct_ys)]
        totals = [*spread(sums, ct_consts), *[None] * (len(operands) - counts.consts)]
        results = transpose(program, operands, out_cts, totals)
        own_consts, own_carry, own_xs = counts.divide(results)
        new_carry = [
            full(a.shape, 0, a.dtype) if ct is None else ct
            for ct, a, n in zip(own_carry, carry_avals, ct_carry, strict=True)
            if n
        ]
        new_sums = [total for total, n in zip(own_consts, ct_consts, strict=True) if n]
        return [*new_carry, *new_sums, *present(own_xs)]

    avals = [a for group in groups for a in group]
    return make_program_flat(run, avals, f"transpose({program.name})"), results


def _where(avals: Sequence[Aval], mask: Sequence[bool], value: bool) -> list[Aval]:
    """The avals at which the mask has the value; strong if these are cotangents."""
    return [a.strong() if value else a for a, m in zip(avals, mask, strict=True) if m is value]


# --- batching -------------------------------------------------------------------------------------


def _batch(
    args: list, batched: list, *, program: Program, num_consts: int, num_carry: int, **loop: Any
) -> tuple[list, list]:
    counts = Counts(num_consts, num_carry)
    consts, carry, xs = counts.divide(args)
    const_mask, given, x_mask = counts.divide(batched)
    body, carry_mask, y_batched = batched_carry(program, const_mask, given, x_mask)
    carry = repeated(carry, given, carry_mask, current_axis().size)
    xs = [swap_leading(x) if b else x for x, b in zip(xs, x_mask, strict=True)]
    outs = scan_p.bind(
        *consts, *carry, *xs, program=body, num_consts=num_consts, num_carry=num_carry, **loop
    )
    last, stacks = split(outs, num_carry)
    stacks = [swap_leading(y) if b else y for y, b in zip(stacks, y_batched, strict=True)]
    return [*last, *stacks], [*carry_mask, *y_batched]


def _depends(
    sets: Sequence[int], *, program: Program, num_consts: int, num_carry: int, **_: Any
) -> list[int]:
    return loop_depends(program, *split(sets, num_consts, num_carry))


def _jet(
    operands: list,
    order: int,
    run: Any,
    *,
    program: Program,
    num_consts: int,
    num_carry: int,
    **loop: Any,
) -> list[Any]:
    counts = Counts(num_consts, num_carry)
    groups = counts.divide(operands)
    masks = [moving(group) for group in groups]
    body, masks[1], out_moving = series_body(program, counts, masks, order)
    consts, carry, xs = (with_terms(g, m, order) for g, m in zip(groups, masks, strict=True))
    results = scan_p.bind(
        *consts, *carry, *xs, program=body, num_consts=len(consts), num_carry=len(carry), **loop
    )
    last, last_terms, ys, y_terms = split(
        results, num_carry, order * sum(masks[1]), len(out_moving) - num_carry
    )
    return joined([*last, *ys], [*last_terms, *y_terms], out_moving, order)


scan_p = Primitive(
    "scan",
    infer=_infer,
    evaluate=_evaluate,
    forward=_forward,
    linearize=_linearize,
    accumulate=_accumulate,
    jet=_jet,
    batch=_batch,
    depends=_depends,
    cost=lambda inputs, outputs, *, program, length, **_: length * flops(program),
    multiple_results=True,
)
