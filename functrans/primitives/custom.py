"""`custom_jvp` and `custom_vjp`: functions that bring their own derivative.

Each is a call equation that holds the Program of the function and a rule. A rule speaks in leaves;
the user's functions speak in trees, and batching wraps one rule in another, so that every transform
sees the same two interfaces: `rule(primals, tangents)`, and `rule.forward`/`rule.backward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.source import user_line
from functrans.core.trace import UNKNOWN, Tracer, as_value, trace
from functrans.core.types import Aval, aval_of, float0
from functrans.primitives.arithmetic import convert, zeros_like
from functrans.primitives.calls import call_p, infer_call, nonzero, present, split, spread
from functrans.primitives.loops import as_typed
from functrans.primitives.reductions import reduce_sum_p
from functrans.primitives.shaping import full
from functrans.transforms.api import FlatFunction, check_callable, flatten_args, name_of
from functrans.transforms.batching import (
    Axis,
    batch,
    batch_program,
    current_axis,
    named_axis,
    repeat,
)
from functrans.transforms.linearize import linearize


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


@dataclass(frozen=True, eq=False)
class CustomVJPPrimal:
    """What fwd gets for each leaf with symbolic_zeros=True.

    Attributes:
        value: of the leaf.
        perturbed: whether a derivative with respect to it is asked for.
    """

    value: Any
    perturbed: bool


@dataclass
class _Call:
    """A call of a custom function: its Program on leaves, and how the trees look."""

    program: Program
    captured: list[Tracer]
    leaves: list[Any]
    in_tree: tree.TreeDef
    out_tree: tree.TreeDef


def trace_call(fun: Callable[..., Any], args: tuple, name: str) -> _Call:
    """Trace a function at arguments, with their values if all of them are known."""
    leaves, in_tree = flatten_args(args)
    flat = FlatFunction(fun, tree.structure((args, {})))
    avals = [aval_of(x) for x in leaves]
    known = all(type(x) is not Tracer or x.value is not UNKNOWN for x in leaves)
    program, captured, _ = trace(flat, avals, leaves if known else None, name)
    assert flat.out_tree is not None
    return _Call(program, captured, leaves, in_tree, flat.out_tree)


def is_traced(values: Any) -> bool:
    """Whether a leaf of the tree is a tracer."""
    return any(type(x) is Tracer for x in tree.leaves(values))


def _with_fixed(
    fun: Callable[..., Any], args: tuple, positions: Sequence[int], name: str
) -> tuple[Callable[..., Any], tuple, tuple]:
    """The function of the other arguments; those; and the fixed ones."""
    count = len(args)
    fixed = sorted({int(i) + count if i < 0 else int(i) for i in positions})
    if fixed and not (fixed[0] >= 0 and fixed[-1] < count):
        raise TransformError(
            f"nondiff_argnums={tuple(positions)} of {name}, but it was called with {count} arguments."
        )
    rest = tuple(x for i, x in enumerate(args) if i not in fixed)

    def of_rest(*rest: Any) -> Any:
        it = iter(rest)
        return fun(*[args[i] if i in fixed else next(it) for i in range(count)])

    return of_rest, rest, tuple(args[i] for i in fixed)


def _bind_keywords(fun: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> tuple:
    """All arguments by position, with defaults; the rules take them that way."""
    import inspect

    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):
        if kwargs:
            raise TransformError(
                f"{name_of(fun)} has no signature to resolve keyword arguments with."
            ) from None
        return args
    bound = signature.bind(*args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise TransformError(
            f"{name_of(fun)} has keyword-only arguments {sorted(bound.kwargs)}, which its rules "
            "have no place for."
        )
    return bound.args


# --- custom_jvp ----------------------------------------------------------------------------------------


class custom_jvp:
    """A function whose forward-mode derivative (and so every derivative) is given by a rule.

    Args:
        fun: the function.
        nondiff_argnums: positions of arguments that are passed to the rule first, as they are.

    >>> import functrans as ft
    >>> @ft.custom_jvp
    ... def f(x):
    ...     return x * x
    >>> @f.defjvp
    ... def f_jvp(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return f(x), 10.0 * x * t
    >>> float(f(3.0)), float(ft.grad(f)(3.0))
    (9.0, 30.0)
    """

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        check_callable(fun, "custom_jvp")
        update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.jvp: Callable[..., Any] | None = None
        self.symbolic_zeros = False

    def defjvp(self, jvp: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Set the rule: (*nondiff arguments, primals, tangents) → (output, output tangent).

        With `symbolic_zeros` tangents that are zero are `SymbolicZero` objects.
        """
        check_callable(jvp, "defjvp")
        self.jvp, self.symbolic_zeros = jvp, symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """Set a rule per argument: (tangent, output, *primals) → its share of the output tangent.

        None where the output does not depend on the argument.
        """
        if self.nondiff_argnums:
            raise TransformError("defjvps cannot be used with nondiff_argnums; use defjvp.")

        def jvp(primals: tuple, tangents: tuple) -> Any:
            out = self(*primals)
            shares = [
                rule(t, out, *primals)
                for rule, t in zip(jvps, tangents, strict=True)
                if rule is not None
            ]
            if not shares:
                return out, tree.map(zeros_like, out)
            total = shares[0]
            for share in shares[1:]:
                total = tree.map(lambda a, b: a + b, total, share)
            return out, total

        jvp.__name__ = f"{name_of(self.fun)}_jvp"
        self.defjvp(jvp)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.jvp is None:
            raise TransformError(
                f"no derivative is defined for the custom_jvp function {name_of(self.fun)}: "
                "use its defjvp or defjvps."
            )
        args = _bind_keywords(self.fun, args, kwargs)
        fun, rest, fixed = _with_fixed(self.fun, args, self.nondiff_argnums, name_of(self.fun))
        if not is_traced(rest):
            return self.fun(*args)
        call = trace_call(fun, rest, name_of(self.fun))
        rule = JvpRule(
            self.jvp,
            name_of(self.fun),
            fixed,
            call.in_tree,
            call.out_tree,
            call.program.out_avals,
            self.symbolic_zeros,
        )
        outs = custom_jvp_p.bind(
            *call.captured,
            *call.leaves,
            program=call.program,
            rule=rule,
            num_consts=len(call.captured),
        )
        return tree.unflatten(call.out_tree, outs)


@dataclass(frozen=True, eq=False)
class JvpRule:
    """The user's jvp rule, on leaves."""

    fun: Callable[..., Any]
    of: str
    fixed: tuple
    in_tree: tree.TreeDef
    out_tree: tree.TreeDef
    out_avals: Sequence[Aval]
    symbolic_zeros: bool

    def __repr__(self) -> str:
        return name_of(self.fun)

    def __call__(self, primals: Sequence[Any], ts: Sequence[Any]) -> tuple[list, list]:
        """Outputs and their tangents; a tangent is None where zero."""
        given = [self._tangent(t, x) for t, x in zip(ts, primals, strict=True)]
        result = self.fun(
            *self.fixed,
            tree.unflatten(self.in_tree, list(primals)),
            tree.unflatten(self.in_tree, given),
        )
        where = f"the jvp rule {name_of(self.fun)} of {self.of}"
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TransformError(
                f"{where} must return a pair (output, tangent), got {type(result).__name__}."
            )
        outs = matched_leaves(result[0], self.out_tree, self.out_avals, where, "output")
        out_ts = matched_leaves(
            result[1], self.out_tree, self.out_avals, where, "tangent", zeros=True
        )
        return outs, out_ts

    def _tangent(self, t: Any, x: Any) -> Any:
        if t is not None:
            return t
        aval = aval_of(x)
        if self.symbolic_zeros:
            return SymbolicZero(aval)
        return zeros_like(x) if aval.dtype.kind in "fc" else np.zeros(aval.shape, float0)


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
    leaves = tree.leaves(value, is_leaf=lambda x: x is None) if zeros else tree.leaves(value)
    if not (zeros and len(leaves) == len(avals) and any(x is None for x in leaves)):
        difference = tree.structure_difference(expected, value)
        if difference:
            raise TreeError(f"{where} must return a {what} of the right structure: {difference}.")
    result: list[Any] = []
    paths = [p for p, _ in tree.flatten_with_path(expected)[0]]
    for path, x, aval in zip(paths, leaves, avals, strict=True):
        place = f"{what}{path}"
        if zeros and _is_zero(x, aval):
            result.append(None)
            continue
        x = as_value(x, f"{place} of {where}")
        got = aval_of(x)
        if got.shape != aval.shape:
            raise ShapeError(f"{where} must return a {place} of type {aval}, got {got}.")
        if got.dtype != aval.dtype:
            if not got.weak_type:
                raise DTypeError(f"{where} must return a {place} of type {aval}, got {got}.")
            x = convert(x, aval.dtype)
        result.append(as_typed(x, aval) if type(x) is not Tracer else x)
    return result


def _is_zero(x: Any, aval: Aval) -> bool:
    if x is None or isinstance(x, SymbolicZero):
        return True
    return getattr(x, "dtype", None) == float0 or aval.dtype.kind not in "fc"


def _no_const_tangents(ts: Sequence[Any], name: str) -> None:
    if any(t is not None for t in ts):
        raise TransformError(
            f"{name} has a custom derivative, which is with respect to its arguments only, but it "
            f"closes over a value that is differentiated.{user_line()}\n  Pass that value as an "
            "argument (functrans.closure_convert helps)."
        )


def _forward_jvp(
    ts: list, primals: list, *, program: Program, rule: Any, num_consts: int
) -> tuple[list, list]:
    (const_ts, ts), (_, primals) = split(ts, num_consts), split(primals, num_consts)
    _no_const_tangents(const_ts, program.name)
    return rule(primals, ts)


def _linearize_jvp(
    ts: list, primals: list, *, program: Program, rule: Any, num_consts: int
) -> tuple[list, list]:
    """The rule's Program with its linear part in the linear trace, the rest outside of it."""
    (const_ts, ts), (_, primals) = split(ts, num_consts), split(primals, num_consts)
    _no_const_tangents(const_ts, program.name)
    mask = nonzero(ts)
    out_nonzero: tuple[bool, ...] = ()

    def run(args: Sequence[Any]) -> list[Any]:
        nonlocal out_nonzero
        own, own_ts = split(args, len(primals))
        outs, out_ts = rule(own, spread(own_ts, mask))
        out_nonzero = nonzero(out_ts)
        return [*outs, *present(out_ts)]

    avals = [aval_of(x) for x in primals]
    avals += [a.strong() for a, n in zip(avals, mask, strict=True) if n]
    known = all(type(x) is not Tracer or x.value is not UNKNOWN for x in primals)
    given = present(ts)
    # a rule may decide in Python by the values of the primals, when there are any
    values = [*primals, *given] if known else None
    traced, captured, _ = trace(run, avals, values, f"jvp({program.name})")
    count = len(program.outputs)
    if not any(True for _ in traced.subprograms()):
        results = evaluate(traced, [*captured, *primals, *given])
        return results[:count], spread(results[count:], out_nonzero)
    # Calls and loops that mix primals and tangents must be split, which linearisation does: the
    # derivative of a linear function is that function, and nothing is lost.
    zeros = [zeros_like(t) for t in given]
    of = [False] * (len(captured) + len(primals)) + [True] * len(given)
    outs, linear = linearize(traced, [*captured, *primals, *zeros], of)
    tangents = linear.apply(given)
    return outs[:count], spread(tangents[count:], out_nonzero)


def example(aval: Aval, batched: bool) -> Aval:
    """The aval of one example of a batch."""
    return aval.update(shape=aval.shape[1:]) if batched else aval


@dataclass(frozen=True, eq=False)
class BatchedJvpRule:
    """A jvp rule for one example as one for a batch; every output is batched."""

    rule: Any
    batched: tuple[bool, ...]
    axis: Axis

    def __repr__(self) -> str:
        return f"vmap({self.rule})"

    def __call__(self, primals: Sequence[Any], ts: Sequence[Any]) -> tuple[list, list]:
        mask = nonzero(ts)
        out_nonzero: tuple[bool, ...] = ()

        def run(args: Sequence[Any]) -> list[Any]:
            nonlocal out_nonzero
            own, own_ts = split(args, len(primals))
            outs, out_ts = self.rule(own, spread(own_ts, mask))
            out_nonzero = nonzero(out_ts)
            return [*outs, *present(out_ts)]

        flags = [*self.batched, *[b for b, n in zip(self.batched, mask, strict=True) if n]]
        results, _ = run_batched(run, [*primals, *present(ts)], flags, self.axis)
        outs, out_ts = split(results, len(out_nonzero))
        return outs, spread(out_ts, out_nonzero)


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


def _batch_custom(make_rule: Any, primitive: Callable[[], Primitive]) -> Callable[..., Any]:
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


def _strong_outputs(avals: Sequence[Aval], program: Program) -> tuple[Aval, ...]:
    return tuple(a.strong() for a in infer_call(program, avals))


def _evaluate_call(*values: Any, program: Program, rule: Any, num_consts: int) -> list[Any]:
    return list(map(as_typed, evaluate(program, values), program.out_avals))


custom_jvp_p = Primitive(
    "custom_jvp",
    infer=lambda *avals, program, rule, num_consts: _strong_outputs(avals, program),
    evaluate=_evaluate_call,
    forward=_forward_jvp,
    linearize=_linearize_jvp,
    transpose=lambda cts, *operands, program, rule, num_consts: call_p.transpose(  # type: ignore[misc]
        cts, *operands, program=program
    ),
    batch=_batch_custom(BatchedJvpRule, lambda: custom_jvp_p),
    inline=lambda program, rule, num_consts: program,
    multiple_results=True,
)


# --- custom_vjp ----------------------------------------------------------------------------------------


class custom_vjp:
    """A function whose reverse-mode derivative is given by a pair of functions.

    Args:
        fun: the function.
        nondiff_argnums: positions of arguments that are passed to fwd in their places and to bwd
            first, as they are.

    >>> import functrans as ft
    >>> @ft.custom_vjp
    ... def f(x):
    ...     return x * x
    >>> f.defvjp(lambda x: (x * x, x), lambda x, ct: (10.0 * x * ct,))
    >>> float(ft.grad(f)(3.0))
    30.0
    """

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: Sequence[int] = ()) -> None:
        check_callable(fun, "custom_vjp")
        update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)
        self.fwd: Callable[..., Any] | None = None
        self.bwd: Callable[..., Any] | None = None
        self.symbolic_zeros = False

    def defvjp(
        self,
        fwd: Callable[..., Any],
        bwd: Callable[..., Any],
        symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:
        """Set the rule.

        Args:
            fwd: takes the function's arguments, returns (output, residuals), any tree.
            bwd: (*nondiff arguments, residuals, cotangent of the output) → a tuple with the
                cotangent of each argument, None where zero.
            symbolic_zeros: fwd gets `CustomVJPPrimal` leaves, bwd `SymbolicZero` for zeros.
            optimize_remat: accepted for JAX's signature; nothing to optimize here.
        """
        check_callable(fwd, "defvjp")
        check_callable(bwd, "defvjp")
        self.fwd, self.bwd, self.symbolic_zeros = fwd, bwd, symbolic_zeros

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None or self.bwd is None:
            raise TransformError(
                f"no derivative is defined for the custom_vjp function {name_of(self.fun)}: "
                "use its defvjp."
            )
        args = _bind_keywords(self.fun, args, kwargs)
        fun, rest, fixed = _with_fixed(self.fun, args, self.nondiff_argnums, name_of(self.fun))
        if not is_traced(rest):
            return self.fun(*args)
        fwd, _, _ = _with_fixed(self.fwd, args, self.nondiff_argnums, name_of(self.fun))
        call = trace_call(fun, rest, name_of(self.fun))
        rule = VjpRule(
            fwd,
            self.bwd,
            (name_of(self.fun), name_of(self.fwd), name_of(self.bwd)),
            fixed,
            call.in_tree,
            call.out_tree,
            [aval_of(x).strong() for x in call.leaves],
            call.program.out_avals,
            self.symbolic_zeros,
        )
        outs = custom_vjp_p.bind(
            *call.captured,
            *call.leaves,
            program=call.program,
            rule=rule,
            num_consts=len(call.captured),
        )
        return tree.unflatten(call.out_tree, outs)


@dataclass(frozen=True, eq=False)
class VjpRule:
    """The user's fwd and bwd, on leaves."""

    fwd: Callable[..., Any]
    bwd: Callable[..., Any]
    names: tuple[str, str, str]
    fixed: tuple
    in_tree: tree.TreeDef
    out_tree: tree.TreeDef
    in_avals: Sequence[Aval]
    out_avals: Sequence[Aval]
    symbolic_zeros: bool

    def __repr__(self) -> str:
        return f"{self.names[1]}, {self.names[2]}"

    def forward(self, primals: Sequence[Any], mask: Sequence[bool]) -> tuple[list, list, Any]:
        """Outputs, leaves of the residuals, and their structure."""
        given: list[Any] = list(primals)
        if self.symbolic_zeros:
            given = [CustomVJPPrimal(x, n) for x, n in zip(primals, mask, strict=True)]
        result = self.fwd(*tree.unflatten(self.in_tree, given))
        where = f"the fwd rule {self.names[1]} of {self.names[0]}"
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TransformError(
                f"{where} must return a pair (output, residuals), got {type(result).__name__}."
            )
        outs = matched_leaves(result[0], self.out_tree, self.out_avals, where, "output")
        residuals, treedef = tree.flatten(result[1])
        return outs, [as_value(r, f"a residual of {where}") for r in residuals], treedef

    def backward(self, treedef: Any, residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        """The cotangents of the primals, None where zero."""
        given = [
            ct if ct is not None else self._zero(a)
            for ct, a in zip(cts, self.out_avals, strict=True)
        ]
        result = self.bwd(
            *self.fixed,
            tree.unflatten(treedef, list(residuals)),
            tree.unflatten(self.out_tree, given),
        )
        where = f"the bwd rule {self.names[2]} of {self.names[0]}"
        arguments = tree.children(tree.unflatten(self.in_tree, list(self.in_avals)))
        if not isinstance(result, tuple | list) or len(result) != len(arguments):
            got = f"{len(result)} of them" if isinstance(result, tuple | list) else type(result)
            raise TreeError(
                f"{where} must return a tuple of {len(arguments)} cotangents, one per argument, "
                f"got {got}."
            )
        leaves: list[Any] = []
        for i, (ct, argument) in enumerate(zip(result, arguments, strict=True)):
            avals, part = tree.flatten(argument)
            if ct is None:
                leaves += [None] * len(avals)
            else:
                what = f"cotangent [{i}]"
                leaves += matched_leaves(ct, part, avals, where, what, zeros=True)
        return leaves

    def _zero(self, aval: Aval) -> Any:
        if self.symbolic_zeros:
            return SymbolicZero(aval)
        if aval.dtype.kind not in "fc":
            return np.zeros(aval.shape, float0)
        return full(aval.shape, 0, aval.dtype)


@dataclass(frozen=True, eq=False)
class BatchedVjpRule:
    """The rule for one example as one for a batch; every output is batched."""

    rule: Any
    batched: tuple[bool, ...]
    axis: Axis

    def __repr__(self) -> str:
        return f"vmap({self.rule})"

    def forward(self, primals: Sequence[Any], mask: Sequence[bool]) -> tuple[list, list, Any]:
        count, inner = 0, None

        def run(args: Sequence[Any]) -> list[Any]:
            nonlocal count, inner
            outs, residuals, inner = self.rule.forward(args, mask)
            count = len(outs)
            return [*outs, *residuals]

        results, flags = run_batched(run, primals, self.batched, self.axis, force=False)
        outs = [
            y if b else repeat(y, self.axis.size)
            for y, b in zip(results[:count], flags[:count], strict=True)
        ]
        return outs, results[count:], (inner, tuple(flags[count:]))

    def backward(self, info: Any, residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        inner, flags = info
        mask = nonzero(cts)
        found: tuple[bool, ...] = ()

        def run(args: Sequence[Any]) -> list[Any]:
            nonlocal found
            own, own_cts = split(args, len(residuals))
            results = self.rule.backward(inner, own, spread(own_cts, mask))
            found = nonzero(results)
            return present(results)

        values = [*residuals, *present(cts)]
        batched = [*flags, *[True] * sum(mask)]
        results, _ = run_batched(run, values, batched, self.axis)
        # an argument that all examples share collects the cotangents of all
        shared = [not b for b, n in zip(self.batched, found, strict=True) if n]
        summed = [
            reduce_sum_p.bind(ct, axes=(0,)) if s else ct
            for ct, s in zip(results, shared, strict=True)
        ]
        return spread(summed, found)


def _no_forward_mode(name: str) -> TransformError:
    return TransformError(
        f"can't apply forward-mode differentiation (jvp, jacfwd) to {name}, which is a custom_vjp "
        f"function.{user_line()}\n  Define its derivative with custom_jvp, which serves both modes."
    )


def _forward_vjp(ts: list, primals: list, *, program: Program, **_: Any) -> Any:
    raise _no_forward_mode(program.name)


def _linearize_vjp(
    ts: list, primals: list, *, program: Program, rule: Any, num_consts: int
) -> tuple[list, list]:
    (const_ts, ts), (_, primals) = split(ts, num_consts), split(primals, num_consts)
    _no_const_tangents(const_ts, program.name)
    mask = nonzero(ts)
    outs, residuals, info = rule.forward(primals, mask)
    avals = tuple(aval_of(y).strong() for y in outs)
    out_ts = custom_lin_p.bind(
        *residuals,
        *present(ts),
        rule=rule,
        info=info,
        mask=mask,
        out_avals=avals,
        num_residuals=len(residuals),
        name=program.name,
    )
    return outs, [t if a.dtype.kind in "fc" else None for t, a in zip(out_ts, avals, strict=True)]


def _transpose_lin(
    cts: list, *operands: Any, rule: Any, info: Any, mask: Any, num_residuals: int, **_: Any
) -> list:
    residuals = operands[:num_residuals]
    results = rule.backward(info, residuals, cts)
    return [
        *[None] * num_residuals,
        *[ct for ct, n in zip(results, mask, strict=True) if n],
    ]


def _evaluate_lin(*values: Any, name: str, **_: Any) -> Any:
    raise _no_forward_mode(name)


def _batch_lin(args: list, batched: list, *, name: str, **_: Any) -> Any:
    raise _no_forward_mode(name)


custom_lin_p = Primitive(
    "custom_lin",
    infer=lambda *avals, out_avals, **_: out_avals,
    evaluate=_evaluate_lin,
    transpose=_transpose_lin,
    batch=_batch_lin,
    multiple_results=True,
)

custom_vjp_p = Primitive(
    "custom_vjp",
    infer=lambda *avals, program, rule, num_consts: _strong_outputs(avals, program),
    evaluate=_evaluate_call,
    forward=_forward_vjp,
    linearize=_linearize_vjp,
    batch=_batch_custom(BatchedVjpRule, lambda: custom_vjp_p),
    inline=lambda program, rule, num_consts: program,
    multiple_results=True,
)


