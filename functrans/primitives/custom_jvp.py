"""`custom_jvp`: a function whose derivative is given by a forward-mode rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.dependence import depends
from functrans.core.errors import TransformError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.source import call_user
from functrans.core.trace import UNKNOWN, Tracer, trace, trace_depth
from functrans.core.types import Aval, aval_of, described, float0
from functrans.primitives.arithmetic import zeros_like
from functrans.primitives.calls import call_p, infer_call, nonzero, present, split, spread
from functrans.primitives.custom import (
    SymbolicZero,
    batch_custom,
    evaluate_call,
    fixed_positions,
    is_traced,
    matched_leaves,
    no_const_tangents,
    positional,
    run_batched,
    trace_call,
    with_fixed,
)
from functrans.transforms.api import check_callable, name_of
from functrans.transforms.batching import (
    Axis,
)
from functrans.transforms.linearize import linearize


class custom_jvp:
    """A function whose forward-mode derivative (and so every derivative) is given by a rule.

    Args:
        fun: the function.
        nondiff_argnums: positions of arguments that are passed to the rule first, as they are.
        nondiff_argnames: names of more such arguments.

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

    def __init__(
        self,
        fun: Callable[..., Any],
        nondiff_argnums: int | Sequence[int] = (),
        nondiff_argnames: str | Sequence[str] = (),
    ) -> None:
        check_callable(fun, "custom_jvp")
        update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = fixed_positions(fun, nondiff_argnums, nondiff_argnames)
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
            if len(jvps) != len(primals):
                raise TransformError(
                    f"defjvps of {name_of(self.fun)} gave {len(jvps)} rules, but it has "
                    f"{len(primals)} positional arguments here: each needs one, or None."
                )
            out = self(*primals)
            shares = [
                rule(tree.map(_instantiated, t), out, *primals)
                for rule, t in zip(jvps, tangents, strict=True)
                if rule is not None and not _is_zero(t)
            ]
            if not shares:
                return out, tree.map(zeros_like, out)
            total = shares[0]
            for share in shares[1:]:
                total = tree.map(lambda a, b: a + b, total, share)
            return out, total

        jvp.__name__ = f"{name_of(self.fun)}_jvp"
        # a rule whose tangent is zero is not asked, so that its infinite slope does not count
        self.defjvp(jvp, symbolic_zeros=True)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.jvp is None:
            raise TransformError(
                f"no derivative is defined for the custom_jvp function {name_of(self.fun)}: "
                "use its defjvp or defjvps."
            )
        args = positional(self.fun, args, kwargs)
        fun, rest, fixed = with_fixed(self.fun, args, self.nondiff_argnums, name_of(self.fun))
        if not is_traced(rest) and not trace_depth():
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


def _is_zero(tangent: Any) -> bool:
    return all(type(t) is SymbolicZero for t in tree.leaves(tangent))


def _instantiated(t: Any) -> Any:
    if type(t) is not SymbolicZero:
        return t
    return t.instantiate() if t.dtype.kind in "fc" else np.zeros(t.shape, float0)


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
        result = call_user(
            self.fun,
            *self.fixed,
            tree.unflatten(self.in_tree, list(primals)),
            tree.unflatten(self.in_tree, given),
        )
        where = f"the jvp rule {name_of(self.fun)} of {self.of}"
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TransformError(
                f"{where} must return a pair (output, tangent), got {described(result)}."
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


def _forward_jvp(
    ts: list, primals: list, *, program: Program, rule: Any, num_consts: int
) -> tuple[list, list]:
    (const_ts, ts), (_, primals) = split(ts, num_consts), split(primals, num_consts)
    no_const_tangents(const_ts, program.name)
    return rule(primals, ts)


def _linearize_jvp(
    ts: list, primals: list, *, program: Program, rule: Any, num_consts: int
) -> tuple[list, list]:
    """The rule's Program with its linear part in the linear trace, the rest outside of it."""
    (const_ts, ts), (_, primals) = split(ts, num_consts), split(primals, num_consts)
    no_const_tangents(const_ts, program.name)
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


custom_jvp_p: Primitive = Primitive(
    "custom_jvp",
    infer=lambda *avals, program, rule, num_consts: infer_call(program, avals),
    evaluate=evaluate_call,
    forward=_forward_jvp,
    linearize=_linearize_jvp,
    transpose=lambda cts, *operands, program, rule, num_consts: call_p.transpose(  # type: ignore[misc]
        cts, *operands, program=program
    ),
    batch=batch_custom(BatchedJvpRule, lambda: custom_jvp_p),
    depends=lambda sets, program, **_: depends(program, sets),
    inline=lambda program, rule, num_consts: program,
    multiple_results=True,
)
