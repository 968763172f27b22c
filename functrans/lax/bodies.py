"""From users' functions over trees to the closed Programs that loops and branches hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.program import Program, Var
from functrans.core.trace import Tracer, make_program_flat, trace
from functrans.core.types import (
    PYTHON_SCALARS,
    Aval,
    aval_of,
    described,
    dtype_of,
    promotion_key,
    result_dtype,
)
from functrans.primitives.arithmetic import convert
from functrans.transforms.api import FlatFunction, name_of


@dataclass
class Body:
    """A traced function: its Program, whose first inputs are the captured outer tracers."""

    program: Program
    captured: list[Tracer]
    out_tree: tree.TreeDef
    name: str

    @property
    def result(self) -> Any:
        """The tree of the result's avals."""
        return tree.unflatten(self.out_tree, list(self.program.out_avals))


def trace_body(
    fun: Callable[..., Any], in_tree: tree.TreeDef, avals: Sequence[Aval], name: str = ""
) -> Body:
    """Trace a function of trees without values, once.

    Args:
        fun: the user's function.
        in_tree: structure of (its positional arguments, {}).
        avals: of the leaves of its arguments.
        name: for people; the function's own by default.
    """
    flat = FlatFunction(fun, in_tree)
    name = name or name_of(fun)
    program, captured, _ = trace(flat, avals, name=name)
    assert flat.out_tree is not None
    return Body(program, captured, flat.out_tree, name)


def promoted_carry(
    names: Sequence[str], before: Sequence[Aval], after: Sequence[Aval]
) -> list[Aval]:
    """The avals a carry must go in with to come out as it goes in.

    A Python scalar as initial value is weak, and takes the dtype that the body gives it; anything
    else must keep its type.

    Raises:
        ShapeError, DTypeError: the body changes a leaf's shape or dtype; names the leaf.
    """
    result = []
    for name, a, b in zip(names, before, after, strict=True):
        if a.shape != b.shape:
            raise ShapeError(_carry_message(name, a, b, "shape"))
        if a.dtype == b.dtype:
            result.append(a)
        elif a.weak_type and result_dtype(promotion_key(a), promotion_key(b)) == b.dtype:
            result.append(b)
        else:
            raise DTypeError(_carry_message(name, a, b, "dtype"))
    return result


def _carry_message(name: str, before: Aval, after: Aval, which: str) -> str:
    cure = (
        f"Convert it in the body (.astype({str(before.dtype)!r})), or start from a value of "
        f"dtype {after.dtype}."
        if which == "dtype"
        else "What is carried must keep its shape; return what changes shape as an output instead."
    )
    return f"{name} goes in as {before} and comes out as {after}.\n  {cure}"


def check_carry_tree(name: str, expected: Any, got: Any) -> None:
    """TreeError if a body returns a carry of another structure than it takes."""
    difference = tree.structure_difference(expected, got, name)
    if difference:
        raise TreeError(f"the body must return what it carries as it takes it: {difference}.")


def paths(value: Any) -> list[str]:
    """The path of every leaf, as Python would write it."""
    return [p for p, _ in tree.named_leaves(value)]


def typed(x: Any, aval: Aval) -> Any:
    """x with the aval's dtype: Python scalars become NumPy scalars."""
    if type(x) in PYTHON_SCALARS:
        return aval.dtype.type(x)
    return x if dtype_of(x) == aval.dtype else convert(x, aval.dtype)


def common_captures(bodies: Sequence[Body]) -> tuple[list[Program], list[Tracer]]:
    """The Programs of several bodies over the same leading inputs, and the tracers these are."""
    union: dict[int, Tracer] = {}
    for body in bodies:
        union.update((id(t), t) for t in body.captured)
    programs = []
    for body in bodies:
        count = len(body.captured)
        own = dict(zip(map(id, body.captured), body.program.inputs, strict=False))
        inputs = [own.get(i) or Var(t.aval) for i, t in union.items()]
        rest = body.program.inputs[count:]
        p = body.program
        programs.append(Program([*inputs, *rest], p.equations, p.outputs, p.name))
    return programs, list(union.values())


def with_dtypes(program: Program, dtypes: Sequence[Any]) -> Program:
    """The Program with its outputs converted to the dtypes."""
    from functrans.core.interpret import evaluate

    if all(a.dtype == d for a, d in zip(program.out_avals, dtypes, strict=True)):
        return program
    return make_program_flat(
        lambda args: [
            typed(y, Aval((), d)) for y, d in zip(evaluate(program, args), dtypes, strict=True)
        ],
        program.in_avals,
        program.name,
    )


def check_positive(x: Any, what: str) -> None:
    """TransformError unless x is a positive int: `what` says the option and what it is."""
    if not isinstance(x, int | np.integer) or isinstance(x, bool) or x < 1:
        raise TransformError(f"{what}: a positive int, got {described(x)}.")


def check_real(value: Any, what: str) -> None:
    """DTypeError with the path of a leaf that is complex."""
    for path, x in tree.named_leaves(value):
        if dtype_of(x).kind == "c":
            raise DTypeError(
                f"{what}{path} must be real, got {described(x)}.\n  Write the equation for its "
                "real and imaginary part, as two leaves."
            )


def check_scalar(x: Any, what: str, kinds: str, wanted: str) -> Aval:
    """The aval of a predicate or index; an error unless it is a scalar of one of the kinds."""
    try:
        aval = aval_of(x)
    except DTypeError:
        raise DTypeError(f"{what} must be {wanted}, got {described(x)}.") from None
    if aval.shape:
        raise ShapeError(
            f"{what} must be a scalar, got {described(x)}.\n  For a choice per element use "
            "fnp.where(condition, a, b); to do it for every example of a batch, vmap."
        )
    if aval.dtype.kind not in kinds:
        cure = "Convert it with int(x), or x.astype(int) where it is traced."
        raise DTypeError(f"{what} must be {wanted}, got {described(x)}.\n  {cure}")
    return aval
