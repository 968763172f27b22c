"""`linear_solve`: the solution of A x = b for a linear function A and any solver, as one equation.

It holds three Programs: A itself (matvec), the solver for A, and one for its transpose. Derivatives
come from the equation A x = b, not from the steps of the solver: dx solves A dx = db - dA x, and
the cotangent of b solves the transposed system. Operands are the consts of the three, then b;
results are x and whatever else the solver gives, which has no derivative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from functrans.core.errors import TransformError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval
from functrans.primitives.arithmetic import neg_p, sub_p
from functrans.primitives.branches import filled
from functrans.primitives.calls import split
from functrans.primitives.carries import as_typed, repeated
from functrans.primitives.shaping import full
from functrans.primitives.work import flops
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.forward import jvp
from functrans.transforms.transpose import transpose_program


@dataclass(frozen=True)
class System:
    """A linear system: Programs over (own consts…, vector…) → vector, and their const counts."""

    consts: tuple[int, int, int]

    def divide(self, operands: Sequence[Any]) -> list[list[Any]]:
        """The consts of matvec, of solve, of transpose_solve, and b."""
        return split(operands, *self.consts)


def _infer(*avals: Aval, solve: Program, **others: Any) -> tuple[Aval, ...]:
    return tuple(a.strong() for a in solve.out_avals)


def _evaluate(*values: Any, solve: Program, system: System, **others: Any) -> list[Any]:
    _, consts, _, b = system.divide(values)
    return list(map(as_typed, evaluate(solve, [*consts, *b]), solve.out_avals))


def _forward(ts: list, primals: list, **params: Any) -> tuple[list, list]:
    outs = linear_solve_p.bind(*primals, **params)
    return outs, _tangents(ts, primals, outs, False, **params)


def _linearize(ts: list, primals: list, **params: Any) -> tuple[list, list]:
    outs = linear_solve_p.bind(*primals, **params)
    return outs, _tangents(ts, primals, outs, True, **params)


def _tangents(
    ts: list, primals: list, outs: list, linearizing: bool, *, matvec: Program, **params: Any
) -> list:
    """dx from A dx = db - dA x. How the solver depends on its consts does not matter."""
    system: System = params["system"]
    const_ts, _, _, b_ts = system.divide(ts)
    consts, others, transposed, b = system.divide(primals)
    x, aux = split(outs, len(b))
    right: list[Any] = list(b_ts)
    if any(t is not None for t in const_ts):
        inputs, tangents = [*consts, *x], [*const_ts, *[None] * len(x)]
        _, moved = jvp(matvec, inputs, tangents, linearizing=linearizing)
        right = [_difference(t, m) for t, m in zip(b_ts, moved, strict=True)]
    if all(t is None for t in right):
        return [None] * len(outs)
    avals = matvec.out_avals
    whole = [
        full(a.shape, 0, a.dtype) if t is None else t for t, a in zip(right, avals, strict=True)
    ]
    results = linear_solve_p.bind(*consts, *others, *transposed, *whole, matvec=matvec, **params)
    return [*results[: len(b)], *[None] * len(aux)]


def _difference(x: Any, y: Any) -> Any:
    if y is None:
        return x
    return neg_p.bind(y) if x is None else sub_p.bind(x, y)


def _transpose(
    cts: list,
    *operands: Any,
    matvec: Program,
    solve: Program,
    transpose_solve: Program | None,
    system: System,
) -> list:
    if transpose_solve is None:
        raise TransformError(
            "reverse mode through custom_linear_solve needs transpose_solve= (or symmetric=True)."
        )
    consts, for_solve, for_transposed, b = system.divide(operands)
    avals = matvec.out_avals
    whole = [
        full(a.shape, 0, a.dtype) if ct is None else ct for ct, a in zip(cts, avals, strict=False)
    ]
    n_consts, n_solve, n_transposed = system.consts
    results = linear_solve_p.bind(
        *consts,
        *for_transposed,
        *for_solve,
        *whole,
        matvec=_transposed(matvec, n_consts),
        solve=transpose_solve,
        transpose_solve=solve,
        system=System((n_consts, n_transposed, n_solve)),
    )
    return [*[None] * (len(operands) - len(b)), *results[: len(b)]]


def _transposed(matvec: Program, n_consts: int) -> Program:
    linear = tuple(i >= n_consts for i in range(len(matvec.inputs)))
    program, has = transpose_program(matvec, linear, (True,) * len(matvec.outputs))
    return filled(program, 0, has, matvec.in_avals[n_consts:])


def _batch(
    args: list,
    batched: list,
    *,
    matvec: Program,
    solve: Program,
    transpose_solve: Program | None,
    system: System,
) -> tuple[list, list]:
    axis = current_axis()
    consts, for_solve, for_transposed, b = system.divide(args)
    flags = system.divide(batched)
    every = (True,) * len(b)

    def wide(program: Program, own: Sequence[bool]) -> Program:
        force = (True,) * len(program.outputs)
        return batch_program(program, (*own, *every), axis, force=force)[0]

    outs = linear_solve_p.bind(
        *consts,
        *for_solve,
        *for_transposed,
        *repeated(b, flags[3], every, axis.size),
        matvec=wide(matvec, flags[0]),
        solve=wide(solve, flags[1]),
        transpose_solve=None if transpose_solve is None else wide(transpose_solve, flags[2]),
        system=system,
    )
    return outs, [True] * len(outs)


def _inline(
    matvec: Program, solve: Program, transpose_solve: Program | None, system: System
) -> Program:
    """The solver alone, over all operands."""
    key = ("inline", matvec, transpose_solve, system)
    if key not in solve.cache:
        n_matvec, n_solve, n_transposed = system.consts
        unused = [] if transpose_solve is None else transpose_solve.in_avals[:n_transposed]
        avals = [
            *matvec.in_avals[:n_matvec],
            *solve.in_avals[:n_solve],
            *unused,
            *solve.in_avals[n_solve:],
        ]

        def run(args: Sequence[Any]) -> list[Any]:
            _, consts, _, b = system.divide(args)
            return evaluate(solve, [*consts, *b])

        solve.cache[key] = make_program_flat(run, avals, solve.name)
    return solve.cache[key]


linear_solve_p: Primitive = Primitive(
    "linear_solve",
    infer=_infer,
    evaluate=_evaluate,
    forward=_forward,
    linearize=_linearize,
    transpose=_transpose,
    batch=_batch,
    cost=lambda inputs, outputs, *, solve, **_: flops(solve),
    inline=_inline,
    multiple_results=True,
)
