"""Examples one by one, or a few together: a loop or branch under vmap as a loop over the batch.

Where examples differ in which branch they take or in how many steps they need, a batch of them has
to run all branches, and as many steps as the slowest example. One by one each runs its own. In
compiled code that is a loop around the loop: of scalar code, or of kernels over the arrays of one
example. Of loops whose numbers make vectors it is a loop over blocks of examples, which take about
the time of one; the last of a block that is not done goes on alone. Neither is done with large
products, which are worth more together, nor with what has no such form (sorts, cumulative
operations, calls of NumPy). With effects examples always go one by one, since these must not happen
for an example that does not come by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core.effects import has_effects, uses_axis_name
from functrans.core.lowering import Indexed, Pointwise, Reduce
from functrans.core.primitive import Primitive
from functrans.core.program import Equation, Program, programs_in
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, aval_of, shape_of
from functrans.primitives.calls import split
from functrans.primitives.loops import scan_p
from functrans.primitives.shaping import broadcast_p, concatenate_p, reshape_p, slice_axis
from functrans.transforms.batching import Axis, batch_program, current_axis

BRANCH_WORK = 10_000
"""Instructions of a branch without loops that take longer than to choose it for one example."""
VECTOR = 8
"""Numbers to a multiple of which examples are run together."""
BLOCK = 16
"""Examples at most that are."""
BLOCK_SIZE = 100
"""Elements of an array that they have together; larger ones are not computed in registers."""
BLOCK_WORK = 4_000
"""Instructions of a step of all of them."""
PRODUCT_LIMIT = 512
"""Flops of a product that is not worth more in a batch."""
BY_MATRIX = frozenset({
    "cholesky", "triangular_solve", "solve", "inv", "det", "slogdet",
    "eigh", "eigvalsh", "svd", "svdvals", "qr", "pinv",
})  # fmt: skip
"""What runs matrix by matrix in a batch, too."""
IDENTITIES = ("stop_gradient", "name", "optimization_barrier")
BY_ELEMENT = ("argmax", "argmin", "cumsum", "cumprod", "cummax", "cummin", "scatter")
DIVISIONS = ("floor_divide", "remainder", "div", "fmod")
LOOPS = ("scan", "while_loop", "loop_tangent", "loop_cotangent", "loop_cotangent_change")


def one_by_one(
    primitive: Primitive,
    args: Sequence[Any],
    batched: Sequence[bool],
    params: dict[str, Any],
    together: int = 1,
) -> list[Any]:
    """The results of an equation for every example, in order, stacked: a scan over the batch, or
    over blocks of so many examples."""
    shared = [x for x, b in zip(args, batched, strict=True) if not b]
    rows = [x for x, b in zip(args, batched, strict=True) if b]
    size = current_axis().size

    def body(values: Sequence[Any]) -> list[Any]:
        consts, xs = split(values, len(shared))
        a, b = iter(consts), iter(xs)
        return primitive.bind(*[next(b) if m else next(a) for m in batched], **params)

    avals = [aval_of(x) for x in shared]
    avals += [aval_of(x).update(shape=shape_of(x)[1:]) for x in rows]
    program = make_program_flat(body, avals, f"each {primitive.name}")
    if together > 1:
        mask = (*[False] * len(shared), *[True] * len(rows))
        every = (True,) * len(program.outputs)
        program, _ = batch_program(program, mask, Axis(together), force=every)
        rows = [_blocks(x, together) for x in rows]
    results = scan_p.bind(
        *shared, *rows, program=program, num_consts=len(shared), num_carry=0,
        length=-(-size // together), reverse=False, unroll=1, checkpoint=None,
    )  # fmt: skip
    return results if together == 1 else [_unblocked(y, size) for y in results]


def _blocks(x: Any, size: int) -> Any:
    """Blocks of so many rows, the last one filled up with its last row."""
    count, *row = shape_of(x)
    missing = -count % size
    if missing:
        last = broadcast_p.bind(slice_axis(x, 0, count - 1, count), shape=(missing, *row))
        x = concatenate_p.bind(x, last, axis=0)
    return reshape_p.bind(x, shape=((count + missing) // size, size, *row))


def _unblocked(x: Any, count: int) -> Any:
    """The first rows of all blocks."""
    blocks, size, *row = shape_of(x)
    x = reshape_p.bind(x, shape=(blocks * size, *row))
    return x if count == blocks * size else slice_axis(x, 0, 0, count)


def together(programs: Sequence[Program], carry: Sequence[Aval]) -> int:
    """How many examples of a loop take less time together, all as many steps as the slowest of
    them, than one by one: as many as make a few vectors; 1 if what they compute makes none.

    Args:
        programs: that a step runs.
        carry: what it hands on.
    """
    if _acts(programs) or any(map(_is_scalar, programs)):
        return 1
    work = max(sum(map(_work, programs)), 1)
    largest = max(*map(_largest, programs), *[a.size for a in carry], 1)
    count = int(min(BLOCK, BLOCK_SIZE // largest, BLOCK_WORK // work))
    return max(count // VECTOR * VECTOR, 1)


def is_worth_a_loop(programs: Sequence[Program]) -> bool:
    """Whether examples of a loop of these Programs are better run one by one than together."""
    return _acts(programs) or sum(map(_work, programs)) < float("inf")


def is_worth_a_branch(branches: Sequence[Program]) -> bool:
    """Whether it is better to choose a branch for every example than to run all for all."""
    if _acts(branches):
        return True
    work = sum(map(_work, branches))
    return work < float("inf") and (work >= BRANCH_WORK or any(map(_has_loops, branches)))


def _acts(programs: Sequence[Program]) -> bool:
    """Whether there are effects, and no named axis, for which the examples must stay together."""
    equations = [e for p in programs for e in p.equations]
    return any(map(has_effects, equations)) and not any(uses_axis_name(e.params) for e in equations)


def _has_loops(program: Program) -> bool:
    """Whether a Program's cost is that of a loop, so that not to run it saves something."""
    if "has loops" not in program.cache:
        program.cache["has loops"] = any(
            e.primitive.name in LOOPS or any(map(_has_loops, programs_in(e.params)))
            for e in program.equations
        )
    return program.cache["has loops"]


def _is_scalar(program: Program) -> bool:
    """Whether there is something that processors have no vectors for, or a loop inside that may not
    end for an example which is done."""
    if "is scalar" not in program.cache:
        program.cache["is scalar"] = any(
            e.primitive.name == "while_loop"
            or (e.primitive.name in DIVISIONS and e.outputs[0].aval.dtype.kind in "iu")
            or any(v.aval.dtype.kind == "c" for v in e.outputs)
            or any(map(_is_scalar, programs_in(e.params)))
            for e in program.equations
        )
    return program.cache["is scalar"]


def _largest(program: Program) -> int:
    """Elements of the largest array that is computed."""
    if "largest" not in program.cache:
        sizes = [v.aval.size for e in program.equations for v in e.outputs]
        sizes += [_largest(p) for e in program.equations for p in programs_in(e.params)]
        program.cache["largest"] = max(sizes, default=0)
    return program.cache["largest"]


def _work(program: Program) -> float:
    if "scalar work" not in program.cache:
        program.cache["scalar work"] = sum(map(_own_work, program.equations))
    return program.cache["scalar work"]


def _own_work(equation: Equation) -> float:
    """Scalar instructions; infinite where examples are to stay together, or nothing may be
    repeated."""
    primitive, params = equation.primitive, equation.params
    if has_effects(equation) or uses_axis_name(params):
        return float("inf")
    inner = list(programs_in(params))
    if inner:
        return sum(map(_work, inner))
    avals = [a.aval for a in equation.inputs], [v.aval for v in equation.outputs]
    if isinstance(primitive.lower, Pointwise | Indexed):
        return max(primitive.lower.cost, 1) * sum(v.size for v in avals[1])
    if primitive.name in IDENTITIES:
        return 0.0
    if isinstance(primitive.lower, Reduce) or primitive.name in BY_ELEMENT:
        return max((a.size for a in (*avals[0], *avals[1])), default=0)
    if primitive.name in BY_MATRIX and primitive.cost is not None:
        return equation.flops
    if primitive.name == "dot_general":
        return equation.flops if equation.flops <= PRODUCT_LIMIT else float("inf")
    return float("inf")
