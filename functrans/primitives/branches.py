"""`cond`: a choice between Programs by an index, as one equation; `switch` is the same.

Operands are (index, …); every branch takes the rest. Out-of-range indices are clamped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core.dependence import depends, union
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Linear, Primitive
from functrans.core.program import Atom, Program
from functrans.core.simplify import drop_dead, share_equal
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval
from functrans.primitives.arithmetic import eq_p, le_p
from functrans.primitives.calls import infer_call, nonzero, present, split, spread
from functrans.primitives.carries import as_typed, either
from functrans.primitives.lanes import is_worth_a_branch, one_by_one
from functrans.primitives.loop_series import moving, with_terms
from functrans.primitives.shaping import full
from functrans.primitives.while_loops import choose
from functrans.primitives.work import flops
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.forward import Nonzero, jvp_program
from functrans.transforms.linearize import linearize_program
from functrans.transforms.series import joined, series_program
from functrans.transforms.transpose import transpose_program

INDEX = np.dtype(np.int32)
Branches = tuple[Program, ...]


def _infer(index: Aval, *avals: Aval, branches: Branches) -> tuple[Aval, ...]:
    if index.shape or index.dtype != INDEX:
        raise DTypeError(f"cond takes a scalar int32 index, got {index}.")
    results = [[a.strong() for a in infer_call(b, avals)] for b in branches]
    for i, other in enumerate(results):
        if other != results[0]:
            raise ShapeError(f"branch 0 of cond gives {results[0]}, branch {i} gives {other}.")
    return tuple(results[0])


def _evaluate(index: Any, *values: Any, branches: Branches) -> list[Any]:
    branch = branches[min(max(int(index), 0), len(branches) - 1)]
    return list(map(as_typed, evaluate(branch, values), branch.out_avals))


# --- forward mode ---------------------------------------------------------------------------------


def _forward(ts: list, primals: list, *, branches: Branches) -> tuple[list, list]:
    mask = nonzero(ts[1:])
    programs, out_nonzero = _jvp_branches(branches, mask)
    results = cond_p.bind(*primals, *present(ts[1:]), branches=programs)
    outs, out_ts = split(results, len(out_nonzero))
    return outs, spread(out_ts, out_nonzero)


def _jvp_branches(branches: Branches, mask: Nonzero) -> tuple[Branches, Nonzero]:
    pairs = [jvp_program(b, mask) for b in branches]
    count = len(branches[0].outputs)
    every = _union([n for _, n in pairs])
    avals = [a for a, n in zip(branches[0].out_avals, every, strict=True) if n]
    return tuple(
        filled(p, count, [m for m, n in zip(own, every, strict=True) if n], avals)
        for p, own in pairs
    ), every


def _union(masks: Sequence[Nonzero]) -> Nonzero:
    return tuple(any(ms) for ms in zip(*masks, strict=True))


def filled(program: Program, keep: int, has: Sequence[bool], avals: Sequence[Aval]) -> Program:
    """The Program with zeros of `avals` among its outputs, from `keep` on, where it has none."""
    if all(has):
        return program
    key = ("filled", keep, tuple(has), tuple(avals))
    if key not in program.cache:

        def run(args: Sequence[Any]) -> list[Any]:
            outs = evaluate(program, args)
            rest = iter(outs[keep:])
            more = [
                next(rest) if h else full(a.shape, 0, a.dtype)
                for h, a in zip(has, avals, strict=True)
            ]
            return [*outs[:keep], *more]

        program.cache[key] = make_program_flat(run, program.in_avals, program.name)
    return program.cache[key]


# --- linearisation --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _LinearBranches:
    """Linearised branches: `forward` gives (outputs, slots), `linear` takes (operands that are
    residuals, slots, tangents). A slot holds a residual of whichever branch was taken, so branches
    share slots of equal type; `operands` says which operands the linear branches read."""

    forward: Branches
    linear: Branches
    operands: tuple[int, ...]
    out_nonzero: Nonzero


def _linearize(ts: list, primals: list, *, branches: Branches) -> tuple[list, list]:
    index, *values = primals
    parts = _linear_branches(branches, nonzero(ts[1:]))
    results = cond_p.bind(index, *values, branches=parts.forward)
    outs, slots = split(results, len(parts.out_nonzero))
    read = [values[i] for i in parts.operands]
    out_ts = cond_p.bind(index, *read, *slots, *present(ts[1:]), branches=parts.linear)
    return outs, spread(out_ts, parts.out_nonzero)


def _linear_branches(branches: Branches, mask: Nonzero) -> _LinearBranches:
    key = ("cond linearize", branches, mask)
    cache = branches[0].cache
    if key not in cache:
        cache[key] = _build_linear_branches(branches, mask)
    return cache[key]


def _build_linear_branches(branches: Branches, mask: Nonzero) -> _LinearBranches:
    parts = [linearize_program(b, mask) for b in branches]
    count = len(branches[0].outputs)
    every = _union([p.out_nonzero for p in parts])
    # equal terms have one slot
    forwards = [share_equal(p.forward) for p in parts]
    slots: list[Aval] = []
    operands: list[int] = []
    places = [_places(f, count, slots, operands) for f in forwards]
    forward = [_slotted(f, count, o, slots) for f, o in zip(forwards, places, strict=True)]
    avals = branches[0].in_avals
    tangents = [a.strong() for a, n in zip(avals, mask, strict=True) if n]
    reads = [avals[i] for i in operands]
    out_avals = [a for a, n in zip(branches[0].out_avals, every, strict=True) if n]
    linear = []
    for p, own in zip(parts, places, strict=True):
        where = [operands.index(i) if kind == "operand" else len(operands) + i for kind, i in own]
        skip = len(reads) + len(slots)

        def run(args: Sequence[Any], p: Any = p, where: Any = where, skip: int = skip) -> list:
            return evaluate(p.linear, [*[args[i] for i in where], *args[skip:]])

        program = make_program_flat(run, [*reads, *slots, *tangents], p.linear.name)
        has = [m for m, n in zip(p.out_nonzero, every, strict=True) if n]
        linear.append(filled(program, 0, has, out_avals))
    return _LinearBranches(tuple(forward), tuple(linear), tuple(operands), every)


def _places(
    forward: Program, count: int, slots: list[Aval], operands: list[int]
) -> list[tuple[str, int]]:
    """Where the residuals of a branch are: among the operands, or in slots, which may be added."""
    places: dict[Atom, tuple[str, int]] = {}
    places.update((v, ("operand", i)) for i, v in enumerate(forward.inputs))
    taken: set[int] = set()
    for r in forward.outputs[count:]:
        if r not in places:
            aval = r.aval.strong()
            free = [i for i, a in enumerate(slots) if a == aval and i not in taken]
            if not free:
                free = [len(slots)]
                slots.append(aval)
            taken.add(free[0])
            places[r] = "slot", free[0]
    own = [places[r] for r in forward.outputs[count:]]
    operands += [i for kind, i in dict.fromkeys(own) if kind == "operand" and i not in operands]
    return own


def _slotted(program: Program, count: int, own: Sequence[Any], slots: Sequence[Aval]) -> Program:
    """The forward branch with its residuals in their slots, and zeros in the slots of others."""
    residual_of = {
        i: a for (kind, i), a in zip(own, program.outputs[count:], strict=True) if kind == "slot"
    }
    present_ones = [residual_of[i] for i in sorted(residual_of)]
    shorter = Program(
        program.inputs, program.equations, [*program.outputs[:count], *present_ones], program.name
    )
    return filled(
        drop_dead(shorter)[0], count, [i in residual_of for i in range(len(slots))], slots
    )


# --- transposition --------------------------------------------------------------------------------


def _accumulate(cts: list, totals: list, index: Any, *operands: Any, branches: Branches) -> list:
    linear = tuple(type(x) is Linear for x in operands)
    has_total = nonzero(totals[1:])
    pairs = [transpose_program(b, linear, nonzero(cts), has_total) for b in branches]
    every = _union([n for _, n in pairs])
    linear_avals = [x.aval for x in operands if type(x) is Linear]
    avals = [a for a, n in zip(linear_avals, every, strict=True) if n]
    backward = tuple(
        filled(p, 0, [m for m, n in zip(own, every, strict=True) if n], avals) for p, own in pairs
    )
    fixed = [x for x in operands if type(x) is not Linear]
    given = [*present(cts), *present(totals)]
    results = cond_p.bind(index, *fixed, *given, branches=backward)
    return [None, *spread_twice(results, every, linear)]


def spread_twice(values: Sequence[Any], inner: Sequence[bool], outer: Sequence[bool]) -> list[Any]:
    """Values at those of the `outer` places that `inner` names, None elsewhere."""
    mine = iter(spread(values, inner))
    return [next(mine) if n else None for n in outer]


# --- batching -------------------------------------------------------------------------------------


def _batch(args: list, batched: list, *, branches: Branches) -> tuple[list, list]:
    axis = current_axis()
    (index, *values), (index_varies, *mask) = args, batched
    if index_varies:
        if is_worth_a_branch(branches):
            outs = one_by_one(cond_p, args, batched, {"branches": branches})
            return outs, [True] * len(outs)
        everything = (True,) * len(branches[0].outputs)
        programs = [batch_program(b, tuple(mask), axis, force=everything)[0] for b in branches]
        results = [evaluate(p, values) for p in programs]
        chosen = [_pick(index, group) for group in zip(*results, strict=True)]
        return chosen, [True] * len(chosen)
    out_batched = _union([batch_program(b, tuple(mask), axis)[1] for b in branches])
    programs = [batch_program(b, tuple(mask), axis, force=out_batched)[0] for b in branches]
    return cond_p.bind(index, *values, branches=tuple(programs)), list(out_batched)


def _pick(index: Any, results: Sequence[Any]) -> Any:
    """Example by example the result of the branch that its index names, with clamping."""
    chosen = results[-1]
    for i in reversed(range(len(results) - 1)):
        here = le_p.bind(index, INDEX.type(0)) if i == 0 else eq_p.bind(index, INDEX.type(i))
        chosen = choose(here, results[i], chosen)
    return chosen


def _depends(sets: Sequence[int], *, branches: Branches) -> list[int]:
    index, *values = sets
    every = zip(*[depends(b, values) for b in branches], strict=True)
    return [index | union(outs) for outs in every]


def _jet(operands: list, order: int, run: Any, *, branches: Branches) -> list[Any]:
    index, *values = operands
    mask = moving(values)
    outs: Nonzero = (False,) * len(branches[0].outputs)
    for branch in branches:
        outs = either(outs, series_program(branch, mask, order, outs)[1])
    programs = tuple(series_program(b, mask, order, outs)[0] for b in branches)
    results = cond_p.bind(index, *with_terms(values, mask, order), branches=programs)
    firsts, terms = split(results, len(outs))
    return joined(firsts, terms, outs, order)


cond_p = Primitive(
    "cond",
    infer=_infer,
    evaluate=_evaluate,
    forward=_forward,
    linearize=_linearize,
    accumulate=_accumulate,
    jet=_jet,
    batch=_batch,
    depends=_depends,
    cost=lambda inputs, outputs, *, branches: max(flops(b) for b in branches),
    multiple_results=True,
)
