"""Whether a loop or branch is small enough for one function of scalar code, and how large it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from functrans.compiler.forms import is_elemental, is_reduction, own_weight
from functrans.compiler.scatter import is_scatter
from functrans.compiler.updates import (
    NOTHING,
    Links,
    Updates,
    carried,
    in_branch,
    way_back,
    way_there,
)
from functrans.core.lowering import Indexed
from functrans.core.program import Equation, Program, Var

WEIGHT_LIMIT = 8000
"""Scalar instructions in a region at most: compile time grows with them."""
SIZE_LIMIT = 100
"""Elements of an array that is computed in registers."""
STACK_LIMIT = 4096
"""Elements of what an inner loop stacks or updates, which lives on the stack."""
TOO_MUCH = float("inf")
WHILE_STEPS = 8
"""Of a while loop, where it is to be guessed what takes long."""
RECORDED = ("forward", "forward", "backward")
"""The Programs of a `recorded_loop`, each as often as a step runs it."""

Prepared = Callable[[Program], Program]


def weight(
    equation: Equation, prepared: Prepared, links: Links = (), outermost: bool = False
) -> float:
    """Scalar instructions of an equation in a region; infinite where it has no scalar form."""
    name, outputs = equation.primitive.name, equation.outputs
    if name == "cond":
        return _cond_weight(equation, prepared, links)
    if name in ("scan", "while_loop"):
        return _loop_weight(equation, prepared, links, outermost)
    if name == "recorded_loop":
        return _recorded_weight(equation, prepared, links, outermost)
    if any(v.aval.size > SIZE_LIMIT for v in outputs) and not links:
        return TOO_MUCH
    if is_elemental(equation):
        if links:
            return 0 if name == "copy" else equation.inputs[1].aval.size
        # where an element lies is known here: only loops have to find out
        indexed = isinstance(equation.primitive.lower, Indexed)
        return (1 if indexed else max(own_weight(equation), 1)) * outputs[0].aval.size
    if is_reduction(equation):
        return _bounded(equation.inputs[0].aval.size)
    if is_scatter(equation):
        return _bounded(4 * equation.inputs[1].aval.size + (0 if links else outputs[0].aval.size))
    if name == "dot_general":
        return _bounded(equation.flops)
    return TOO_MUCH


def _bounded(count: float) -> float:
    return count if count <= SIZE_LIMIT**1.5 else TOO_MUCH


def _cond_weight(equation: Equation, prepared: Prepared, links: Links) -> float:
    shared = {result for _, result in links}
    if any(v.aval.size > SIZE_LIMIT for k, v in enumerate(equation.outputs) if k not in shared):
        return TOO_MUCH
    branches = [prepared(p) for p in equation.params["branches"]]
    return sum(_program_weight(p, prepared, in_branch(p, links, prepared)) for p in branches)


def _loop_weight(equation: Equation, prepared: Prepared, links: Links, outermost: bool) -> float:
    params, outputs = equation.params, equation.outputs
    updates = carried(equation, prepared)
    is_scan = equation.primitive.name == "scan"
    count = params["num_carry"] if is_scan else len(outputs)
    if not _have_room(outputs[:count], updates, links, outermost):
        return TOO_MUCH
    if not outermost and any(v.aval.size > STACK_LIMIT for v in outputs[count:]):
        return TOO_MUCH
    if is_scan:
        return _program_weight(prepared(params["program"]), prepared, updates)
    test, body = prepared(params["cond_program"]), prepared(params["body_program"])
    return _program_weight(test, prepared) + _program_weight(body, prepared, updates)


def _have_room(results: Sequence[Var], updates: Updates, links: Links, outermost: bool) -> bool:
    """Whether what a loop carries fits into registers, or is updated in memory that there is."""
    elsewhere = {result for _, result in links}
    for k, var in enumerate(results):
        if k not in updates.results:
            limit: float = SIZE_LIMIT
        else:
            limit = TOO_MUCH if outermost or k in elsewhere else STACK_LIMIT
        if var.aval.size > limit:
            return False
    return True


def _recorded_weight(
    equation: Equation, prepared: Prepared, links: Links, outermost: bool
) -> float:
    forward, backward = (prepared(equation.params[k]) for k in ("forward", "backward"))
    there, back = way_there(equation, prepared), way_back(equation, prepared)
    carry = forward.inputs[equation.params["consts"] :]
    # the carry is updated on the tape
    if not _have_room(equation.outputs, back, links, outermost) or not _have_room(
        carry, there, (), outermost=True
    ):
        return TOO_MUCH
    forward_weight = _program_weight(forward, prepared, there)
    return _program_weight(backward, prepared, back) + 2 * forward_weight


def _program_weight(program: Program, prepared: Prepared, updates: Updates = NOTHING) -> float:
    total = 0.0
    for k, atom in enumerate(program.outputs):
        if atom.aval.size > SIZE_LIMIT and k not in updates.results:
            return TOO_MUCH
    for equation in program.equations:
        total += weight(equation, prepared, updates.of(equation))
        if total > WEIGHT_LIMIT:
            return TOO_MUCH
    return total


def instructions(equation: Equation, prepared: Prepared) -> float:
    """How many a region runs, roughly."""
    name, params = equation.primitive.name, equation.params
    if name == "cond":
        return max(_instructions_of(prepared(p), prepared) for p in params["branches"])
    if name == "scan":
        return params["length"] * _instructions_of(prepared(params["program"]), prepared)
    if name == "while_loop":
        programs = params["cond_program"], params["body_program"]
        return WHILE_STEPS * sum(_instructions_of(prepared(p), prepared) for p in programs)
    if name == "recorded_loop":
        return WHILE_STEPS * sum(_instructions_of(prepared(params[p]), prepared) for p in RECORDED)
    # what is updated in place is less than the whole, whose weight is infinite
    return min(weight(equation, prepared), SIZE_LIMIT)


def _instructions_of(program: Program, prepared: Prepared) -> float:
    return sum(instructions(e, prepared) for e in program.equations)
