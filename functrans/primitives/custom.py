"""What custom_jvp and custom_vjp share: calling a user's function on trees, checking what it gives.

Each is a call equation that holds the Program of the function and a rule. A rule speaks in leaves;
the user's functions speak in trees, and batching wraps one rule in another, so that every transform
sees the same two interfaces: `rule(primals, tangents)`, and `rule.forward`/`rule.backward`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.trace import UNKNOWN, Tracer, as_value, trace
from functrans.core.types import Aval, aval_of, described, float0
from functrans.primitives.arithmetic import convert
from functrans.primitives.carries import as_typed
from functrans.primitives.shaping import full
from functrans.transforms.api import FlatFunction, flatten_args, name_of
from functrans.transforms.batching import (
    Axis,
    batch,
    batch_program,
    current_axis,
    named_axis,
    repeat,
)


class SymbolicZero:
    """Stands for a zero tangent or cotangent in a rule defined with symbolic_zeros=True."""

    __slots__ = ("aval", "dtype", "shape")

    def __init__(self, aval: Aval) -> None:
        self.aval = aval.strong()
        self.shape, self.dtype = aval.shape, aval.dtype

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval})"

    def instantiate(self) -> Any:
        """The zero as an array."""
        return full(self.shape, 0, self.dtype)


@dataclass
class Call:
    """A call of a custom function: its Program on leaves, and how the trees look."""

    program: Program
    captured: list[Tracer]
    leaves: list[Any]
    in_tree: tree.TreeDef
    out_tree: tree.TreeDef


def trace_call(fun: Callable[..., Any], args: tuple, name: str) -> Call:
    """Trace a function at arguments, with their values if all of them are known."""
    leaves, in_tree = flatten_args(args)
    flat = FlatFunction(fun, tree.structure((args, {})))
    avals = [aval_of(x) for x in leaves]
    known = all(type(x) is not Tracer or x.value is not UNKNOWN for x in leaves)
    program, captured, _ = trace(flat, avals, leaves if known else None, name)
    assert flat.out_tree is not None
    return Call(program, captured, leaves, in_tree, flat.out_tree)


def is_traced(values: Any) -> bool:
    """Whether a leaf of the tree is a tracer."""
    return any(type(x) is Tracer for x in tree.leaves(values))


def fixed_positions(
    fun: Callable[..., Any], argnums: int | Sequence[int], argnames: str | Sequence[str]
) -> tuple[int, ...]:
    """Where the arguments stand that are not differentiated, given by position or by name."""
    positions = [argnums] if isinstance(argnums, int) else list(argnums)
    for i in positions:
        if not isinstance(i, int | np.integer):
            raise TransformError(
                f"nondiff_argnums of {name_of(fun)} must be ints, got {described(i)}.\n  Names go "
                "into nondiff_argnames."
            )
    names = [argnames] if isinstance(argnames, str) else list(argnames)
    if not names:
        return tuple(positions)
    parameters = inspect.signature(fun).parameters
    order = [
        n for n, p in parameters.items() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    for name in names:
        if name not in order:
            raise TransformError(
                f"nondiff_argnames={tuple(names)}: {name_of(fun)} has no positional argument "
                f"{name!r}, only {order}."
            )
    return (*positions, *map(order.index, names))


def with_fixed(
    fun: Callable[..., Any], args: tuple, positions: Sequence[int], name: str
) -> tuple[Callable[..., Any], tuple, tuple]:
    """The function of the other arguments; those; and the fixed ones."""
    count = len(args)
    fixed = sorted({int(i) + count if i < 0 else int(i) for i in positions})
    if fixed and not (fixed[0] >= 0 and fixed[-1] < count):
        raise TransformError(
            f"{name} has nondiff_argnums={tuple(positions)}, but its positional arguments are "
            f"only {count} here."
        )
    rest = tuple(x for i, x in enumerate(args) if i not in fixed)

    def of_rest(*rest: Any) -> Any:
        it = iter(rest)
        return fun(*[args[i] if i in fixed else next(it) for i in range(count)])

    return of_rest, rest, tuple(args[i] for i in fixed)


def positional(fun: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> tuple:
    """All arguments by position, with defaults; the rules take them that way."""
    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):
        if kwargs:
            raise TransformError(
                f"{name_of(fun)} has no signature to resolve keyword arguments with."
            ) from None
        return args
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TransformError(f"{name_of(fun)}: {error}.") from None
    bound.apply_defaults()
    unplaced = sorted(kwargs.keys() & bound.kwargs.keys())
    if unplaced:
        raise TransformError(
            f"{name_of(fun)} has keyword-only arguments {unplaced}, which its rules have no place "
            "for.\n  Make them positional, or bind them with functools.partial first."
        )
    return bound.args


def matched_leaves(
    value: Any,
    treedef: tree.TreeDef,
    avals: Sequence[Aval],
    where: str,
    what: str,
    zeros: bool = False,
) -> list[Any]:
    """The leaves of what a rule returned, checked against the types they must have.

    With `zeros`, None, SymbolicZero and float0 stand for zero and give None.

    Raises:
        TreeError, ShapeError, DTypeError: names the rule and the leaf.
    """
    expected = tree.unflatten(treedef, list(avals))
    leaves, difference = _leaves_like(expected, value, "", zeros)
    if difference:
        raise TreeError(f"{where} must return {what} of the right structure: {difference}.")
    result: list[Any] = []
    paths = [p for p, _ in tree.named_leaves(expected)]
    for path, x, aval in zip(paths, leaves, avals, strict=True):
        place = f"{what}{path}"
        if zeros and _is_zero(x, aval):
            result.append(None)
            continue
        try:
            x = as_value(x)
        except DTypeError:
            wrong = f"{where} must return {place} of type {aval}, got {described(x)}."
            raise DTypeError(wrong) from None
        got = aval_of(x)
        wrong = f"{where} must return {place} of type {aval}, got {got}."
        if got.shape != aval.shape:
            raise ShapeError(wrong)
        if got.dtype != aval.dtype:
            if not got.weak_type:
                raise DTypeError(f"{wrong}\n  Convert it with .astype({str(aval.dtype)!r}).")
            x = convert(x, aval.dtype)
        result.append(as_typed(x, aval) if type(x) is not Tracer else x)
    return result


def _leaves_like(expected: Any, value: Any, path: str, zeros: bool) -> tuple[list[Any], str]:
    """One leaf of `value` per leaf of `expected`, and where they differ in structure if they do.

    With `zeros` None may stand for any subtree.
    """
    of, got = tree.structure(expected), tree.structure(value)
    if of == got:
        return tree.leaves(value), ""
    if zeros and value is None:
        return [None] * of.num_leaves, ""
    if of.is_leaf() or of.type is not got.type or of.entries() != got.entries():
        return [], tree.structure_difference(expected, value, path)
    leaves: list[Any] = []
    parts = zip(of.entries(), tree.children(expected), tree.children(value), strict=True)
    for entry, a, b in parts:
        more, difference = _leaves_like(a, b, f"{path}[{entry!r}]", zeros)
        if difference:
            return [], difference
        leaves += more
    return leaves, ""


def _is_zero(x: Any, aval: Aval) -> bool:
    if x is None or isinstance(x, SymbolicZero):
        return True
    return getattr(x, "dtype", None) == float0 or aval.dtype.kind not in "fc"


def no_const_tangents(ts: Sequence[Any], name: str) -> None:
    if any(t is not None for t in ts):
        raise TransformError(
            f"{name} has a custom derivative, which is with respect to its arguments only, but it "
            f"closes over a value that is differentiated.\n  Pass that value as an "
            "argument (functrans.closure_convert helps)."
        )


def example(aval: Aval, batched: bool) -> Aval:
    """The aval of one example of a batch."""
    return aval.update(shape=aval.shape[1:]) if batched else aval


def run_batched(
    run: Callable[[Sequence[Any]], list[Any]],
    values: Sequence[Any],
    batched: Sequence[bool],
    axis: Axis,
    force: bool = True,
) -> tuple[list[Any], list[bool]]:
    """A flat function of one example applied to a batch; with `force` every result is batched."""
    avals = [example(aval_of(x), b) for x, b in zip(values, batched, strict=True)]
    with named_axis(axis):
        program, captured, _ = trace(run, avals)
    outs, flags = batch(
        program, [*captured, *values], [False] * len(captured) + list(batched), axis
    )
    if not force:
        return outs, list(flags)
    outs = [y if b else repeat(y, axis.size) for y, b in zip(outs, flags, strict=True)]
    return outs, [True] * len(outs)


def batch_custom(make_rule: Any, primitive: Callable[[], Primitive]) -> Callable[..., Any]:
    def rule(
        args: list, batched: list, *, program: Program, rule: Any, num_consts: int
    ) -> tuple[list, list]:
        axis = current_axis()
        every = (True,) * len(program.outputs)
        batched_program, _ = batch_program(program, tuple(batched), axis, force=every)
        outs = primitive().bind(
            *args,
            program=batched_program,
            rule=make_rule(rule, tuple(batched[num_consts:]), axis),
            num_consts=num_consts,
        )
        return outs, list(every)

    return rule


def evaluate_call(*values: Any, program: Program, rule: Any, num_consts: int) -> list[Any]:
    return evaluate(program, values)
