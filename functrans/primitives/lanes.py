"""Examples one by one: a loop or branch under vmap as a loop over the batch.

Where examples differ in which branch they take or in how many steps they need, a batch of them has
to run all branches, and as many steps as the slowest example. One by one each runs its own. In
compiled code that is a loop around the loop, of scalar code; so it is only done where the body is
of that kind, without large products, which are worth more together, and without calls of NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core.effects import has_effects, uses_axis_name
from functrans.core.lowering import Indexed, Pointwise, Reduce
from functrans.core.primitive import Primitive
from functrans.core.program import Equation, Program, programs_in
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of, shape_of
from functrans.primitives.calls import split
from functrans.primitives.loops import scan_p
from functrans.transforms.batching import current_axis

WORK_LIMIT = 8000
"""Instructions of a body that stays scalar code, with its derivatives."""
PRODUCT_LIMIT = 512
"""Flops of a product that is not worth more in a batch."""
LOOPS = ("scan", "while_loop", "loop_tangent", "checkpointed_loop")


def one_by_one(
    primitive: Primitive, args: Sequence[Any], batched: Sequence[bool], params: dict[str, Any]
) -> list[Any]:
    """The results of an equation for every example, in order, stacked: a scan over the batch."""
    shared = [x for x, b in zip(args, batched, strict=True) if not b]
    rows = [x for x, b in zip(args, batched, strict=True) if b]

    def body(values: Sequence[Any]) -> list[Any]:
        consts, xs = split(values, len(shared))
        a, b = iter(consts), iter(xs)
        return primitive.bind(*[next(b) if m else next(a) for m in batched], **params)

    avals = [aval_of(x) for x in shared]
    avals += [aval_of(x).update(shape=shape_of(x)[1:]) for x in rows]
    program = make_program_flat(body, avals, f"each {primitive.name}")
    return scan_p.bind(
        *shared, *rows, program=program, num_consts=len(shared), num_carry=0,
        length=current_axis().size, reverse=False, unroll=1, checkpoint=None,
    )  # fmt: skip


def is_scalar_code(programs: Sequence[Program]) -> bool:
    """Whether examples of these Programs are better run one by one than together."""
    return sum(map(_work, programs)) <= WORK_LIMIT


def has_loops(program: Program) -> bool:
    """Whether a Program's cost is that of a loop, so that not to run it saves something."""
    if "has loops" not in program.cache:
        program.cache["has loops"] = any(
            e.primitive.name in LOOPS or any(map(has_loops, programs_in(e.params)))
            for e in program.equations
        )
    return program.cache["has loops"]


def _work(program: Program) -> float:
    if "scalar work" not in program.cache:
        program.cache["scalar work"] = sum(map(_own_work, program.equations))
    return program.cache["scalar work"]


def _own_work(equation: Equation) -> float:
    """Scalar instructions; infinite where there is no scalar code, or nothing may be repeated."""
    primitive, params = equation.primitive, equation.params
    if has_effects(equation) or uses_axis_name(params):
        return float("inf")
    inner = list(programs_in(params))
    if inner:
        return sum(map(_work, inner))
    size = max((a.aval.size for a in (*equation.inputs, *equation.outputs)), default=0)
    if isinstance(primitive.lower, Pointwise | Indexed):
        return max(primitive.lower.cost, 1) * sum(v.aval.size for v in equation.outputs)
    if isinstance(primitive.lower, Reduce) or primitive.name == "scatter":
        return size
    if primitive.name == "dot_general" and primitive.cost is not None:
        avals = [a.aval for a in equation.inputs], [v.aval for v in equation.outputs]
        flops = primitive.cost(*avals, **params)
        return flops if flops <= PRODUCT_LIMIT else float("inf")
    return float("inf")
