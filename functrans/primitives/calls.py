"""The call of a jitted Program, as one equation that every transform maps over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from functrans.core.dependence import depends
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Linear, Primitive
from functrans.core.program import Atom, Program
from functrans.core.types import Aval
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.forward import jvp_program
from functrans.transforms.linearize import Linearized, linearize_program
from functrans.transforms.taylor import of_held
from functrans.transforms.transpose import transpose_program

run_compiled: Callable[[Program, Sequence[Any]], list[Any]] = evaluate
"""How a call is evaluated outside a trace. The compiler puts its own function here on import."""


WORTH_COMPILING = 20_000
"""Equations that a loop evaluates one by one, at a microsecond each or more, before compiled code
takes over, which takes a tenth of a second to make."""


def infer_call(program: Program, avals: Sequence[Aval]) -> tuple[Aval, ...]:
    """The outputs of a call, once its operands are found to be of the Program's input types."""
    if len(avals) != len(program.in_avals):
        raise ShapeError(f"{program.name} takes {len(program.in_avals)} arrays, got {len(avals)}.")
    for i, (got, want) in enumerate(zip(avals, program.in_avals, strict=True)):
        if got.shape != want.shape or got.dtype != want.dtype:
            kind = ShapeError if got.shape != want.shape else DTypeError
            raise kind(f"input {i} of {program.name or 'the program'} is {want}, got {got}.")
    return program.out_avals


def split(values: Sequence[Any], *counts: int) -> list[list[Any]]:
    """The values in consecutive parts of the given lengths, and the rest."""
    parts, begin = [], 0
    for n in counts:
        parts.append(list(values[begin : begin + n]))
        begin += n
    return [*parts, list(values[begin:])]


def spread(values: Sequence[Any], where: Sequence[bool]) -> list[Any]:
    """The values at the places where `where` holds, None elsewhere."""
    rest = iter(values)
    return [next(rest) if w else None for w in where]


def present(values: Sequence[Any]) -> list[Any]:
    """The values that are not None."""
    return [v for v in values if v is not None]


def nonzero(values: Sequence[Any]) -> tuple[bool, ...]:
    """Which values are not None."""
    return tuple(v is not None for v in values)


def _forward_call(ts: list, primals: list, *, program: Program) -> tuple[list, list]:
    both, out_nonzero = jvp_program(program, nonzero(ts))
    results = call_p.bind(*primals, *present(ts), program=both)
    outs, out_ts = split(results, len(out_nonzero))
    return outs, spread(out_ts, out_nonzero)


def _linearize_call(ts: list, primals: list, *, program: Program) -> tuple[list, list]:
    parts = linearize_program(program, nonzero(ts))
    forward, given = _without_copies(parts)
    results = call_p.bind(*primals, program=forward)
    outs, made = split(results, len(parts.out_nonzero))
    rest = iter(made)
    residuals = [next(rest) if i is None else primals[i] for i in given]
    out_ts = call_p.bind(*residuals, *present(ts), program=parts.linear)
    return outs, spread(out_ts, parts.out_nonzero)


def _without_copies(parts: Linearized) -> tuple[Program, list[int | None]]:
    """The forward Program without residuals that are its inputs, and which input each one is."""
    if "without copies" not in parts.forward.cache:
        p, count = parts.forward, len(parts.out_nonzero)
        position: dict[Atom, int] = {v: i for i, v in enumerate(p.inputs)}
        given = [position.get(a) for a in p.outputs[count:]]
        made = [a for a in p.outputs[count:] if a not in position]
        forward = Program(p.inputs, p.equations, [*p.outputs[:count], *made], p.name)
        p.cache["without copies"] = forward, given
    return parts.forward.cache["without copies"]


def transpose_call(cts: list, *operands: Any, program: Program) -> list:
    return _accumulate_call(cts, [None] * len(operands), *operands, program=program)


def _accumulate_call(cts: list, totals: list, *operands: Any, program: Program) -> list:
    linear = tuple(type(x) is Linear for x in operands)
    backward, out_nonzero = transpose_program(program, linear, nonzero(cts), nonzero(totals))
    fixed = [x for x in operands if type(x) is not Linear]
    values = [*fixed, *present(cts), *present(totals)]
    results = iter(call_p.bind(*values, program=backward))
    mine = iter([next(results) if n else None for n in out_nonzero])
    return [next(mine) if n else None for n in linear]


def _batch_call(args: list, batched: list, *, program: Program) -> tuple[list, Sequence[bool]]:
    batched_program, out_batched = batch_program(program, tuple(batched), current_axis())
    return call_p.bind(*args, program=batched_program), out_batched


call_p = Primitive(
    "call",
    infer=lambda *avals, program: infer_call(program, avals),
    evaluate=lambda *values, program: run_compiled(program, values),
    forward=_forward_call,
    linearize=_linearize_call,
    accumulate=_accumulate_call,
    jet=of_held,
    batch=_batch_call,
    depends=lambda sets, program: depends(program, sets),
    inline=lambda program: program,
    multiple_results=True,
)
