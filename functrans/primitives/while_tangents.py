"""`while_tangent`: the derivative of a while loop, linear in its tangents, in both directions.

Forward it runs the loop again with its tangents. Backward it needs the carry of every step in
reverse order, and how many steps there are is known only at run time, so nothing can be stored for
each of them. Instead carries are computed again from checkpoints: a level cuts its steps into at
most SLOTS segments and keeps the carry at the start of each; the lowest level keeps every carry of
its segment. With three levels a loop of SLOTS³ steps (two million) takes three runs of the body
forward besides the backward ones, in memory for 3 · SLOTS carries (multi-level checkpointing, after
Griewank & Walther, Evaluating Derivatives, ch. 12); a longer one takes more runs, not more memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core.interpret import evaluate
from functrans.core.primitive import Linear, Primitive, not_linear
from functrans.core.program import Program
from functrans.core.trace import make_program_flat, trace
from functrans.core.types import Aval, aval_of, shape_of
from functrans.primitives.arithmetic import add_p, max_p, min_p, zeros_like
from functrans.primitives.branches import INDEX, cond_p
from functrans.primitives.calls import call_p, split
from functrans.primitives.dynamic import dynamic_slice_p
from functrans.primitives.loops import scan_p
from functrans.primitives.shaping import reshape_p
from functrans.primitives.while_loops import jvp_body, while_p
from functrans.transforms import forward
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.forward import Nonzero
from functrans.transforms.linearize import linearize_program
from functrans.transforms.transpose import transpose_program

SLOTS = 128
"""Carries that a level keeps."""
LEVELS = 3
MEMORY_LIMIT = 256 << 20
"""Bytes that the kept carries of all levels may take; larger carries get fewer slots."""
COUNT = Aval((), np.int64)


@dataclass(frozen=True)
class Step:
    """The body of a loop, and with respect to what it is differentiated.

    Attributes:
        body: Program over (consts…, carry…) giving (carry…).
        consts: how many consts.
        const_mask, carry_mask: which have a tangent; the carry's mask is that of every step.
    """

    body: Program
    consts: int
    const_mask: Nonzero
    carry_mask: Nonzero

    @property
    def carry_avals(self) -> list[Aval]:
        return [a.strong() for a in self.body.in_avals[self.consts :]]

    @property
    def slots(self) -> int:
        """How many carries a level keeps."""
        nbytes = sum(a.nbytes for a in self.carry_avals)
        return int(np.clip(MEMORY_LIMIT // max(LEVELS * nbytes, 1), 4, SLOTS))


def tangent_loop(
    count: Any, consts: Sequence[Any], carry: Sequence[Any], ts: Sequence[Any], step: Step
) -> list[Any]:
    """The nonzero tangents of a loop's results: `count` steps with nonzero tangents of operands."""
    return while_tangent_p.bind(count, *consts, *carry, *ts, step=step)


# --- forward --------------------------------------------------------------------------------------


def _avals(step: Step) -> list[Aval]:
    """Of the operands: the number of steps, consts, first carry, tangents of both."""
    consts, carry = split(step.body.in_avals, step.consts)
    masks = zip((consts, carry), (step.const_mask, step.carry_mask), strict=True)
    tangents = [a.strong() for group, mask in masks for a, n in zip(group, mask, strict=True) if n]
    return [COUNT, *consts, *carry, *tangents]


def _divide(step: Step, operands: Sequence[Any]) -> list[list[Any]]:
    """(consts, carry, const tangents, carry tangents) of the operands after the count."""
    sizes = step.consts, len(step.carry_mask), sum(step.const_mask)
    return split(operands[1:], *sizes)


def _again(step: Step) -> Program:
    """The loop with its tangents as a Program of all operands: what `while_tangent` means."""
    key = ("while tangents", step)
    if key not in step.body.cache:
        body, _ = jvp_body(step.body, step.consts, step.const_mask, step.carry_mask)

        def run(operands: Sequence[Any]) -> list[Any]:
            consts, carry, const_ts, carry_ts = _divide(step, operands)
            values = [*carry, *carry_ts]

            def one(_: Any, values: Sequence[Any]) -> list[Any]:
                return evaluate(body, [*consts, *const_ts, *values])

            return _repeat(operands[0], one, values)[len(carry) :]

        step.body.cache[key] = make_program_flat(run, _avals(step), f"jvp({step.body.name})")
    return step.body.cache[key]


def _infer(*avals: Aval, step: Step) -> tuple[Aval, ...]:
    return tuple(a for a, n in zip(step.carry_avals, step.carry_mask, strict=True) if n)


def _forward(ts: list, primals: list, *, step: Step) -> tuple[list, list]:
    return forward.jvp(_again(step), primals, ts)


def _linearize(ts: list, primals: list, *, step: Step) -> tuple[list, list]:
    return forward.jvp(_again(step), primals, ts, linearizing=True)


def _batch(args: list, batched: list, *, step: Step) -> tuple[list, Sequence[bool]]:
    program, out_batched = batch_program(_again(step), tuple(batched), current_axis())
    return evaluate(program, args), out_batched


# --- backward -------------------------------------------------------------------------------------


def _transpose(cts: list, *operands: Any, step: Step) -> list:
    _, consts, carry, _, _ = split(operands, 1, step.consts, len(step.carry_mask), 0)
    if any(type(x) is Linear for x in (operands[0], *consts, *carry)):
        raise not_linear("while_tangent")
    avals = [a for a, n in zip(step.carry_avals, step.carry_mask, strict=True) if n]
    full = instantiate_avals(cts, avals)
    results = call_p.bind(operands[0], *consts, *carry, *full, program=_backward(step))
    fixed = 1 + step.consts + len(step.carry_mask)
    return [None] * fixed + [
        ct if type(x) is Linear else None for ct, x in zip(results, operands[fixed:], strict=True)
    ]


def instantiate_avals(cts: Sequence[Any], avals: Sequence[Aval]) -> list[Any]:
    """The cotangents, zeros in place of None."""
    from functrans.transforms.api import zeros_of

    return [zeros_of(a) if ct is None else ct for ct, a in zip(cts, avals, strict=True)]


def _backward(step: Step) -> Program:
    """(count, consts, first carry, cotangents of the last carry) → cotangents of the tangents."""
    key = ("while backward", step)
    if key not in step.body.cache:
        avals = [COUNT, *step.body.in_avals]
        avals += [a for a, n in zip(step.carry_avals, step.carry_mask, strict=True) if n]

        def run(args: Sequence[Any]) -> list[Any]:
            (count,), consts, carry, cts = split(args, 1, step.consts, len(step.carry_mask))
            carry = [_strong(x) for x in carry]
            sums = [zeros_like(c) for c, n in zip(consts, step.const_mask, strict=True) if n]
            reverse = _Reverse(step, consts)
            sums, cts = split(reverse.steps(LEVELS - 1, carry, count, [*sums, *cts]), len(sums))
            return [*sums, *cts]

        name = f"transpose({step.body.name})"
        step.body.cache[key] = make_program_flat(run, avals, name)
    return step.body.cache[key]


class _Reverse:
    """Runs a loop backward inside a trace. State: sums of const cotangents, cotangents of carry."""

    def __init__(self, step: Step, consts: Sequence[Any]) -> None:
        self.step = step
        self.consts = consts
        split_body = linearize_program(step.body, (*step.const_mask, *step.carry_mask))
        self.linear = split_body
        tangents = sum(step.const_mask) + sum(step.carry_mask)
        mask = (False,) * split_body.residual_count + (True,) * tangents
        ones = (True,) * sum(split_body.out_nonzero)
        self.transposed, self.has = transpose_program(split_body.linear, mask, ones)

    def steps(self, level: int, carry: list, count: Any, state: list) -> list:
        """The state before `count` steps that begin at a carry."""
        if level == 0:
            return self._lowest(carry, count, state)
        slots = self.step.slots
        each = max_p.bind((count + (slots - 1)) // slots, np.int64(slots**level))
        segments = (count + (each - 1)) // each
        kept = self._keep(carry, each, (segments - 1) * each)

        def segment(k: Any, state: Sequence[Any]) -> list:
            j = segments - 1 - k
            mine = min_p.bind(each, count - j * each)
            return self.steps(level - 1, _at(kept, j), mine, list(state))

        return _repeat(segments, segment, state)

    def _lowest(self, carry: list, count: Any, state: list) -> list:
        """As `steps`, keeping every carry; more steps than slots are done block by block."""
        slots = self.step.slots
        blocks = (count + (slots - 1)) // slots

        def block(k: Any, state: Sequence[Any]) -> list:
            begin = (blocks - 1 - k) * slots
            size = min_p.bind(np.int64(slots), count - begin)
            kept = self._keep(self._advance(carry, begin), np.int64(1), size - 1)

            def one(i: Any, state: Sequence[Any]) -> list:
                return self._one(_at(kept, size - 1 - i), list(state))

            return _repeat(size, one, state)

        return _repeat(blocks, block, state)

    def _one(self, carry: list, state: list) -> list:
        """The state before one step that begins at a carry."""
        outs = evaluate(self.linear.forward, [*self.consts, *carry])
        residuals = outs[len(carry) :]
        sums, cts = split(state, sum(self.step.const_mask))
        every = iter(cts)
        of_carry = [next(every) if n else None for n in self.step.carry_mask]
        given = [ct for ct, n in zip(of_carry, self.linear.out_nonzero, strict=True) if n]
        results = iter(evaluate(self.transposed, [*residuals, *given]))
        pulled = [next(results) if h else None for h in self.has]
        to_consts, to_carry = split(pulled, len(sums))
        sums = [s if c is None else add_p.bind(s, c) for s, c in zip(sums, to_consts, strict=True)]
        cts = [zeros_like(ct) if c is None else c for ct, c in zip(cts, to_carry, strict=True)]
        return [*sums, *cts]

    def _advance(self, carry: list, count: Any) -> list:
        body = lambda _, carry: evaluate(self.step.body, [*self.consts, *carry])
        return _repeat(count, body, carry)

    def _keep(self, carry: list, each: Any, count: Any) -> list:
        """The carries at the start of segments of `each` steps, stacked; `count` steps are run."""
        length = self.step.slots

        def one(args: Sequence[Any]) -> list:
            done, carry = args[0], list(args[1:])
            todo = min_p.bind(each, count - done)
            new = self._when(todo > 0, lambda c: self._advance(c, todo), carry)
            return [done + max_p.bind(todo, np.int64(0)), *new, *carry]

        operands = [np.int64(0), *carry]
        program, captured, _ = trace(one, [COUNT, *self.step.carry_avals], name="keep")
        results = scan_p.bind(
            *captured, *operands, program=program, num_consts=len(captured),
            num_carry=len(operands), length=length, reverse=False, unroll=1,
        )  # fmt: skip
        return results[len(operands) :]

    def _when(self, condition: Any, f: Callable[[list], list], carry: list) -> list:
        """f(carry) where the condition holds, else the carry itself."""
        avals = self.step.carry_avals
        then, captured, _ = trace(lambda args: f(list(args)), avals, name="step")
        count = len(captured)
        same = make_program_flat(
            lambda args: list(args[count:]), [*[x.aval for x in captured], *avals], "stay"
        )
        index = condition.astype(INDEX)
        return cond_p.bind(index, *captured, *carry, branches=(same, then))


def _repeat(count: Any, body: Callable[[Any, Sequence[Any]], list], values: Sequence[Any]) -> list:
    """body(i, values) for i below count, as a while loop in the trace that is open."""
    operands = [np.int64(0), count, *values]
    avals = [COUNT, COUNT, *[aval_of(x).strong() for x in values]]
    test, test_consts, _ = trace(lambda a: [a[0] < a[1]], avals, name="goes on")
    step, consts, _ = trace(
        lambda a: [a[0] + 1, a[1], *map(_strong, body(a[0], a[2:]))], avals, name="step"
    )
    results = while_p.bind(
        *test_consts, *consts, *operands, cond_program=test, body_program=step,
        cond_consts=len(test_consts), body_consts=len(consts),
    )  # fmt: skip
    return results[2:]


def _at(stacks: Sequence[Any], j: Any) -> list:
    """Entry j of every stack."""
    entries = []
    for stack in stacks:
        shape = shape_of(stack)
        starts = [j, *[np.int64(0)] * (len(shape) - 1)]
        block = dynamic_slice_p.bind(stack, *starts, sizes=(1, *shape[1:]))
        entries.append(reshape_p.bind(block, shape=shape[1:]))
    return entries


def _strong(x: Any) -> Any:
    aval = aval_of(x)
    if not aval.weak_type:
        return x
    from functrans.primitives.arithmetic import convert

    return convert(x, aval.dtype)


while_tangent_p = Primitive(
    "while_tangent",
    infer=_infer,
    evaluate=lambda *values, step: evaluate(_again(step), values),
    forward=_forward,
    linearize=_linearize,
    transpose=_transpose,
    batch=_batch,
    inline=lambda step: _again(step),
    multiple_results=True,
)
