"""The backward pass of a loop: every step's cotangents are pulled back, the last step first.

Where nobody asks for bounded memory, what a step's pullback reads was written down when the loop
ran, or is when it runs again (functrans/primitives/recorded_loops.py); else it is computed again
from a few carries that are kept (functrans/primitives/revolve.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from functrans.core.interpret import evaluate
from functrans.core.program import Program
from functrans.core.simplify import drop_dead
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval
from functrans.primitives import revolve
from functrans.primitives.arithmetic import zeros_like
from functrans.primitives.calls import present, split, spread
from functrans.primitives.differentiated_loops import Loop, carry_program
from functrans.primitives.parts import without_invariants
from functrans.primitives.recorded_loops import NO_TAPE, recorded_loop_p
from functrans.primitives.residuals import record
from functrans.primitives.shaping import full
from functrans.primitives.while_loops import COUNT
from functrans.transforms.linearize import linearize_program
from functrans.transforms.transpose import transpose_program


def backward(loop: Loop) -> Program:
    """(kept, count, consts, first carry, xs, cotangents of the results) → those of the tangents."""
    return _program(loop, "backward", _Backward.revolved)


def recorded(loop: Loop) -> Program:
    """The same for a loop that has kept a tape or nothing, by a `recorded_loop`."""
    return _program(loop, "recorded", _Backward.recorded)


def _program(loop: Loop, way: str, way_of: Any) -> Program:
    key = (way, loop)
    if key not in loop.body.cache:

        def run(args: Sequence[Any]) -> list[Any]:
            kept, (count,), operands, cts = split(args, len(loop.kept), 1, len(loop.nonzero))
            backward = _Backward(loop, operands, cts)
            sums, rest = split(way_of(backward, count, kept), len(backward.sums))
            return [*backward.step.of_consts(sums), *rest]

        avals = [*loop.kept, COUNT, *loop.in_avals, *loop.out_avals]
        loop.body.cache[key] = make_program_flat(run, avals, f"transpose({loop.body.name})")
    return loop.body.cache[key]


class _Step:
    """What the backward pass of a loop does with one step. The state is (sums of cotangents of what
    the steps read of the consts, the carry's cotangents, the xs' cotangents so far)."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.again, needed = carry_program(loop)
        self.needed = loop.divide(needed)[1]
        self.parts = linearize_program(loop.body, loop.nonzero)
        residuals, consts, _ = split(
            self.parts.linear.inputs, self.parts.residual_count, sum(loop.divide(loop.nonzero)[0])
        )
        self.invariants, rest = without_invariants(self.parts.linear, consts)
        summed = set(rest.inputs[: len(self.invariants.outputs)])
        self.transposed, self.has = transpose_program(
            rest,
            tuple(v not in residuals for v in rest.inputs),
            (True,) * sum(self.parts.out_nonzero),
            tuple(v in summed for v in rest.inputs),
        )

    @property
    def sum_avals(self) -> Sequence[Aval]:
        """Of what is summed over the steps: the cotangents of what they read of the consts."""
        return self.invariants.out_avals

    def of_consts(self, sums: Sequence[Any]) -> list[Any]:
        """The cotangents of the consts."""
        every = (True,) * len(self.invariants.inputs)
        program, has = transpose_program(self.invariants, every, (True,) * len(sums))
        cts = iter(evaluate(program, sums))
        return [
            next(cts) if h else full(v.aval.shape, 0, v.aval.dtype)
            for v, h in zip(self.invariants.inputs, has, strict=True)
        ]

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
        results = iter(evaluate(self.transposed, [*residuals, *given, *sums]))
        pulled = [next(results) if h else None for h in self.has]
        sums, to_carry, to_xs = split(pulled, len(sums), len(carry_cts))
        carry_cts = [
            zeros_like(ct) if c is None else c for ct, c in zip(carry_cts, to_carry, strict=True)
        ]
        return sums, carry_cts, to_xs


def _step(loop: Loop) -> _Step:
    """The step of a loop, kept with the body: its Programs are made once."""
    return _kept("step back", _Step, loop)


def _kept(name: str, make: Callable[[Loop], Any], loop: Loop) -> Any:
    """What is made of a loop, whatever it keeps; once, since the body has it then."""
    loop = replace(loop, kept=())
    if (name, loop) not in loop.body.cache:
        loop.body.cache[name, loop] = make(loop)
    return loop.body.cache[name, loop]


class _Backward:
    """Runs a loop backward inside a trace, from sums that begin with zero if none are given."""

    def __init__(
        self, loop: Loop, operands: Sequence[Any], cts: Sequence[Any], sums: list | None = None
    ) -> None:
        self.loop = loop
        self.step = _step(loop)
        self.consts, self.carry, self.xs = loop.divide(operands)
        self.carry_cts, self.y_cts = split(cts, sum(loop.carry_nonzero))
        zeros = [full(a.shape, 0, a.dtype) for a in self.step.sum_avals]
        self.sums = zeros if sums is None else sums
        x_mask = loop.divide(loop.nonzero)[2]
        self.x_cts = [zeros_like(x) for x, n in zip(self.xs, x_mask, strict=True) if n]

    def recorded(self, count: Any, kept: list[Any]) -> list[Any]:
        """From a tape of what is read of every step."""
        assert not self.xs  # only scans have some, which stack what is read
        (tape,) = kept or [NO_TAPE]
        parts = recorded_parts(self.loop)
        fixed = evaluate(parts.invariants, self.consts)
        first = self.step.read(self.carry)
        return recorded_loop_p.bind(
            tape, count, *self.consts, *fixed, *first, *self.sums, *self.carry_cts,
            forward=parts.forward, backward=parts.backward, meaning=parts.meaning,
            consts=len(self.consts), fixed=len(fixed), carry=len(first), sums=len(self.sums),
        )  # fmt: skip

    def revolved(self, count: Any, kept: list[Any]) -> list[Any]:
        """From a few carries."""
        step = lambda i, carry: evaluate(self.step.again, self._inputs(i, carry))
        first, slots = self.step.read(self.carry), self.loop.slots
        if not kept:
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


@dataclass(frozen=True)
class RecordedParts:
    """How a loop divides that writes down what its backward pass reads.

    Attributes:
        record: body over (consts…, carry…) giving (next carry…, what is written down…).
        forward: the same of what the derivative reads of the carry, and nothing else of it.
        invariants: consts → what the backward pass reads and no step changes.
        backward: (invariants…, what is written down…, state…) → the state before.
        meaning: what a `recorded_loop` of these means.
    """

    record: Program
    forward: Program
    invariants: Program
    backward: Program
    meaning: Program


def recorded_parts(loop: Loop) -> RecordedParts:
    """These parts, kept with the body."""
    return _kept("recorded parts", _build_recorded_parts, loop)


def _build_recorded_parts(loop: Loop) -> RecordedParts:
    step = _step(loop)
    consts, carry, _ = loop.divide(loop.in_avals)
    read = [a.strong() for a, n in zip(carry, step.needed, strict=True) if n]
    sums = [a.strong() for a in step.sum_avals]
    state = [*sums, *loop.out_avals]
    divided = record(step.parts.forward, len(carry), loop.consts)

    def inputs(consts: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        rest = iter(values)
        every = zip(carry, step.needed, strict=True)
        return [*consts, *[next(rest) if n else full(a.shape, 0, a.dtype) for a, n in every]]

    def forward(args: Sequence[Any]) -> list[Any]:
        outs, written = split(
            evaluate(divided.forward, inputs(*split(args, loop.consts))), loop.carry
        )
        return [*step.read(outs), *written]

    def back(args: Sequence[Any]) -> list[Any]:
        values, sum_cts, carry_cts = split(args, len(divided.again.inputs), len(sums))
        residuals = evaluate(divided.again, values)
        sum_cts, carry_cts, _ = step.pull(residuals, sum_cts, carry_cts, [])
        return [*sum_cts, *carry_cts]

    fixed = len(divided.invariants.outputs)

    def meaning(args: Sequence[Any]) -> list[Any]:
        (count,), consts, _, values, sum_cts, carry_cts = split(
            args, 1, loop.consts, fixed, len(read), len(sums)
        )
        operands = inputs(consts, values)
        return _Backward(loop, operands, carry_cts, sum_cts).revolved(count, [])

    name = loop.body.name
    of_meaning = [COUNT, *consts, *divided.invariants.out_avals, *read, *state]
    return RecordedParts(
        divided.forward,
        drop_dead(make_program_flat(forward, [*consts, *read], name))[0],
        divided.invariants,
        make_program_flat(back, [*divided.again.in_avals, *state], f"transpose({name})"),
        make_program_flat(meaning, of_meaning, name),
    )
