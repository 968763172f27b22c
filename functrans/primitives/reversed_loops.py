"""The backward pass of a loop: every step's cotangents are pulled back, the last step first.

What a step's pullback reads is computed again. Where nobody asks for bounded memory the loop runs
once more and writes all of it down (`recorded_loop`); else carries are computed again from a few
that are kept (functrans/primitives/revolve.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core.interpret import evaluate
from functrans.core.program import Atom, Program, Var
from functrans.core.simplify import drop_dead
from functrans.core.trace import make_program_flat
from functrans.primitives import revolve
from functrans.primitives.arithmetic import add_p, zeros_like
from functrans.primitives.calls import present, split, spread
from functrans.primitives.differentiated_loops import Loop, carry_program
from functrans.primitives.recorded_loops import recorded_loop_p
from functrans.primitives.shaping import full
from functrans.primitives.while_loops import COUNT
from functrans.transforms.linearize import linearize_program
from functrans.transforms.transpose import transpose_program


def backward(loop: Loop) -> Program:
    """(kept, count, consts, first carry, xs, cotangents of the results) → those of the tangents."""
    return _program(loop, "backward", lambda *args: _Backward(*args).revolved)


def recorded(loop: Loop) -> Program:
    """The same for a loop that has kept nothing, by a `recorded_loop`."""
    return _program(loop, "recorded", lambda *args: _Backward(*args).recorded)


def _program(loop: Loop, way: str, run_of: Any) -> Program:
    key = (way, loop)
    if key not in loop.body.cache:

        def run(args: Sequence[Any]) -> list[Any]:
            kept, (count,), operands, cts = split(args, len(loop.kept), 1, len(loop.nonzero))
            return run_of(loop, operands, cts)(count, kept)

        avals = [*loop.kept, COUNT, *loop.in_avals, *loop.out_avals]
        loop.body.cache[key] = make_program_flat(run, avals, f"transpose({loop.body.name})")
    return loop.body.cache[key]


class _Step:
    """What the backward pass of a loop does with one step. The state is (sums of the consts'
    cotangents, the carry's cotangents, the xs' cotangents so far)."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.again, needed = carry_program(loop)
        self.needed = loop.divide(needed)[1]
        self.parts = linearize_program(loop.body, loop.nonzero)
        mask = (*(False,) * self.parts.residual_count, *(True,) * sum(loop.nonzero))
        given = (True,) * sum(self.parts.out_nonzero)
        self.transposed, self.has = transpose_program(self.parts.linear, mask, given)

    def forward(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """What is read of the next carry, and the residuals, given the body's inputs."""
        outs, residuals = split(evaluate(self.parts.forward, inputs), len(self.loop.body.outputs))
        return self.read(outs), residuals

    def read(self, carry: Sequence[Any]) -> list[Any]:
        """What the derivative reads of a carry, which the values begin with."""
        return [revolve.strong(x) for x, n in zip(carry, self.needed, strict=False) if n]

    def pull(
        self, residuals: Sequence[Any], sums: list, carry_cts: list, y_cts: Sequence[Any]
    ) -> tuple[list, list, list]:
        """The sums and the carry's cotangents before a step, and the cotangents of its xs."""
        loop = self.loop
        of_outs = [*spread(carry_cts, loop.carry_nonzero), *spread(y_cts, loop.y_nonzero)]
        has_ct = zip(of_outs, self.parts.out_nonzero, strict=True)
        given = present([ct if n else None for ct, n in has_ct])
        results = iter(evaluate(self.transposed, [*residuals, *given]))
        pulled = [next(results) if h else None for h in self.has]
        to_consts, to_carry, to_xs = split(pulled, len(sums), len(carry_cts))
        sums = [s if c is None else add_p.bind(s, c) for s, c in zip(sums, to_consts, strict=True)]
        carry_cts = [
            zeros_like(ct) if c is None else c for ct, c in zip(carry_cts, to_carry, strict=True)
        ]
        return sums, carry_cts, to_xs


class _Backward:
    """Runs a loop backward inside a trace, from sums that begin with zero if none are given."""

    def __init__(
        self, loop: Loop, operands: Sequence[Any], cts: Sequence[Any], sums: list | None = None
    ) -> None:
        self.loop = loop
        self.step = _Step(loop)
        self.consts, self.carry, self.xs = loop.divide(operands)
        self.carry_cts, self.y_cts = split(cts, sum(loop.carry_nonzero))
        const_mask, _, x_mask = loop.divide(loop.nonzero)
        self.sums = _zeros(self.consts, const_mask) if sums is None else sums
        self.x_cts = _zeros(self.xs, x_mask)

    def recorded(self, count: Any, kept: list[Any]) -> list[Any]:
        """By a loop that writes down what is read of every step."""
        assert not kept and not self.xs  # a while loop that ran without keeping anything
        first = self.step.read(self.carry)
        operands = [count, *self.consts, *first, *self.sums, *self.carry_cts]
        parts = _recorded_parts(self.loop)
        return recorded_loop_p.bind(*operands, consts=len(self.consts), carry=len(first), **parts)

    def revolved(self, count: Any, kept: list[Any]) -> list[Any]:
        """From a few carries."""
        step = lambda i, carry: evaluate(self.step.again, self._inputs(i, carry))
        first, slots = self.step.read(self.carry), self.loop.slots
        if not self.loop.kept:
            _, kept = revolve.keep(count, first, step, slots)
        state = [*self.sums, *self.carry_cts, *self.x_cts]
        return revolve.reverse(kept, len(first), state, step, self._back, slots)

    def _inputs(self, i: Any, carry: Sequence[Any]) -> list[Any]:
        xs = revolve.at(self.xs, self.loop.place(i)) if self.xs else []
        parts = iter(carry)
        every = [next(parts) if n else x for x, n in zip(self.carry, self.step.needed, strict=True)]
        return [*self.consts, *every, *xs]

    def _back(self, i: Any, carry: list, state: list) -> list:
        """The state before step i; given is what the derivative reads of its carry."""
        _, residuals = self.step.forward(self._inputs(i, carry))
        sums, carry_cts, x_cts = split(state, len(self.sums), len(self.carry_cts))
        y_cts = revolve.at(self.y_cts, self.loop.place(i)) if self.y_cts else []
        sums, carry_cts, to_xs = self.step.pull(residuals, sums, carry_cts, y_cts)
        x_cts = [
            stack if c is None else revolve.put([stack], self.loop.place(i), [c])[0]
            for stack, c in zip(x_cts, to_xs, strict=True)
        ]
        return [*sums, *carry_cts, *x_cts]


def _zeros(values: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    return [zeros_like(x) for x, n in zip(values, mask, strict=True) if n]


def _recorded_parts(loop: Loop) -> dict[str, Program]:
    """The Programs of a `recorded_loop`, kept with the body."""
    key = ("recorded parts", loop)
    if key not in loop.body.cache:
        loop.body.cache[key] = _build_recorded_parts(loop)
    return loop.body.cache[key]


def _build_recorded_parts(loop: Loop) -> dict[str, Program]:
    step = _Step(loop)
    consts, carry, _ = loop.divide(loop.in_avals)
    read = [a.strong() for a, n in zip(carry, step.needed, strict=True) if n]
    sum_avals = [a.strong() for a, n in zip(consts, loop.nonzero, strict=False) if n]

    def inputs(consts: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        rest = iter(values)
        every = zip(carry, step.needed, strict=True)
        return [*consts, *[next(rest) if n else full(a.shape, 0, a.dtype) for a, n in every]]

    def forward(args: Sequence[Any]) -> list[Any]:
        after, residuals = step.forward(inputs(*split(args, loop.consts)))
        return [*after, *residuals]

    whole, _ = drop_dead(make_program_flat(forward, [*consts, *read], loop.body.name))
    residuals = whole.outputs[len(read) :]
    known: list[Atom] = list(whole.inputs[: loop.consts])
    written = list(dict.fromkeys(a for a in residuals if isinstance(a, Var) and a not in known))
    known += written

    def back(args: Sequence[Any]) -> list[Any]:
        values, state = split(args, len(known))
        place = dict(zip(known, values, strict=True))
        given = [place[a] if isinstance(a, Var) else a.value for a in residuals]
        sums, carry_cts = split(state, len(sum_avals))
        sums, carry_cts, _ = step.pull(given, sums, carry_cts, [])
        return [*sums, *carry_cts]

    def meaning(args: Sequence[Any]) -> list[Any]:
        (count,), consts, values, sums, carry_cts = split(
            args, 1, loop.consts, len(read), len(sum_avals)
        )
        return _Backward(loop, inputs(consts, values), carry_cts, sums).revolved(count, [])

    outputs = [*whole.outputs[: len(read)], *written]
    state = [*sum_avals, *loop.out_avals]
    avals = [a.aval for a in known]
    return {
        "forward": Program(whole.inputs, whole.equations, outputs, whole.name),
        "backward": make_program_flat(back, [*avals, *state], f"transpose({whole.name})"),
        "meaning": make_program_flat(meaning, [COUNT, *consts, *read, *state], whole.name),
    }
