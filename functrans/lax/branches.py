"""Choices: cond and switch, over functions and trees, as in `jax.lax`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from functrans.core import tree
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.types import Aval, aval_of, described, promote_dtypes
from functrans.lax.bodies import (
    Body,
    check_scalar,
    common_captures,
    paths,
    trace_body,
    with_dtypes,
)
from functrans.primitives.arithmetic import convert, max_p, min_p, ne_p
from functrans.primitives.branches import INDEX, cond_p
from functrans.transforms.api import check_callable, flatten_args


class _Absent:
    """The default of `operand`, which may be None."""


_ABSENT = _Absent()


def cond(
    pred: Any,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
    operand: Any = _ABSENT,
    linear: Any = None,
) -> Any:
    """`true_fun(*operands) if pred else false_fun(*operands)`, where pred may be traced.

    Both functions are traced once; only the chosen one runs. Under `vmap` over the predicate each
    example runs its own, where they have loops, much work or effects; else both run for every
    example, and the results are selected.

    Args:
        pred: a scalar bool, or a number that counts as true where it is not zero.
        true_fun: a function of the operands.
        false_fun: a function of the operands giving the same structure, shapes and dtypes.
        operands: trees of arrays.
        operand: a single operand, as an alternative.
        linear: ignored; there for JAX's signature.

    Raises:
        TreeError, ShapeError, DTypeError: the results differ (names the leaf), or pred is not a
            scalar.

    >>> from functrans import lax
    >>> float(lax.cond(True, lambda x: x + 1, lambda x: x - 1, 2.0))
    3.0
    """
    check_callable(true_fun, "cond")
    check_callable(false_fun, "cond")
    aval = check_scalar(pred, "cond's predicate", "biuf", "a scalar bool")
    index = pred if aval.dtype.kind == "b" else ne_p.bind(pred, aval.dtype.type(0))
    operands = _operands("cond", operands, operand)
    # branch 0 is the false one, as bools count
    names = ("true_fun", "false_fun")
    return _choose(convert(index, INDEX), (false_fun, true_fun), operands, names[::-1], "cond")


def switch(
    index: Any, branches: Sequence[Callable[..., Any]], *operands: Any, operand: Any = _ABSENT
) -> Any:
    """`branches[index](*operands)`, where the index may be traced; it is clamped to the range.

    Args:
        index: a scalar integer.
        branches: functions of the operands giving the same structure, shapes and dtypes.
        operands: trees of arrays.
        operand: a single operand, as an alternative.

    Raises:
        TreeError, ShapeError, DTypeError: the results differ (names the leaf), or the index is
            not a scalar integer.

    >>> from functrans import lax
    >>> float(lax.switch(1, [lambda x: x, lambda x: x * x, lambda x: -x], 3.0))
    9.0
    """
    if not isinstance(branches, Sequence) or not branches:
        raise TransformError(
            f"switch needs a sequence of one branch or more, got {described(branches)}."
        )
    for i, branch in enumerate(branches):
        check_callable(branch, f"switch, as branch {i},")
    aval = check_scalar(index, "switch's index", "iu", "a scalar integer")
    operands = _operands("switch", operands, operand)
    if len(branches) == 1:
        return branches[0](*operands)
    kind = aval.dtype.type
    # before the conversion, in which a large index would wrap around
    clamped = min_p.bind(max_p.bind(_strong(index, aval), kind(0)), kind(len(branches) - 1))
    names = [f"branch {i}" for i in range(len(branches))]
    return _choose(convert(clamped, INDEX), branches, operands, names, "switch")


def _strong(x: Any, aval: Aval) -> Any:
    return convert(x, aval.dtype)


def _operands(what: str, operands: tuple, operand: Any) -> tuple:
    if operand is _ABSENT:
        return operands
    if operands:
        raise TransformError(f"{what} takes operands by position or as operand=, not both.")
    return (operand,)


def _choose(
    index: Any,
    functions: Sequence[Callable[..., Any]],
    operands: tuple,
    names: Sequence[str],
    what: str,
) -> Any:
    leaves, _ = flatten_args(operands, f"{what}'s operand")
    in_tree = tree.structure((operands, {}))
    avals = [aval_of(x) for x in leaves]
    bodies = [trace_body(f, in_tree, avals) for f in functions]
    dtypes = _common_dtypes(bodies, names, what)
    programs, captured = common_captures(bodies)
    outs = cond_p.bind(
        index,
        *captured,
        *leaves,
        branches=tuple(with_dtypes(p, dtypes) for p in programs),
    )
    return tree.unflatten(bodies[0].out_tree, list(outs))


def _common_dtypes(bodies: Sequence[Body], names: Sequence[str], what: str) -> list[Any]:
    """The dtypes of the results, to which Python scalars returned by some branches are promoted."""
    first = bodies[0]
    for body, name in zip(bodies[1:], names[1:], strict=True):
        difference = tree.structure_difference(first.result, body.result)
        if difference:
            raise TreeError(
                f"{what} needs branches that return the same structure; {name} differs from "
                f"{names[0]} {difference}."
            )
    dtypes = []
    columns = zip(*[b.program.out_avals for b in bodies], strict=True)
    for path, column in zip(paths(first.result), columns, strict=True):
        strong = [a for a in column if not a.weak_type] or list(column)
        dtype = promote_dtypes(*column) if len(strong) < len(column) else strong[0].dtype
        shown = "; ".join(f"{n} gives {a}" for n, a in zip(names, column, strict=True))
        where = f"{what} needs branches that return the same types: at result{path} {shown}."
        if any(a.shape != column[0].shape for a in column):
            raise ShapeError(where)
        if any(a.dtype != dtype for a in strong) and not all(a.weak_type for a in column):
            raise DTypeError(f"{where}\n  Convert with .astype in one of them.")
        if all(a.weak_type for a in column):
            dtype = promote_dtypes(*column)
        dtypes.append(dtype)
    return dtypes


__all__ = ["cond", "switch"]
