"""`custom_vjp`: a function whose reverse-mode derivative is given by a pair of functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.dependence import depends
from functrans.core.errors import TransformError, TreeError
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.source import call_user
from functrans.core.trace import trace_depth
from functrans.core.types import Aval, aval_of, described, float0
from functrans.primitives.calls import infer_call, nonzero, present, split, spread
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
from functrans.primitives.reductions import reduce_sum_p
from functrans.primitives.shaping import full
from functrans.transforms.api import check_callable, flatten_args, name_of
from functrans.transforms.batching import (
    Axis,
    repeat,
)
from functrans.transforms.taylor import of_held


@dataclass(frozen=True, eq=False)
class CustomVJPPrimal:
    """What fwd gets for each leaf with symbolic_zeros=True.

    Attributes:
        value: of the leaf.
        perturbed: whether a derivative with respect to it is asked for.
    """

    value: Any
    perturbed: bool


class custom_vjp:
    """A function whose reverse-mode derivative is given by a pair of functions.

    Args:
        fun: the function.
        nondiff_argnums: positions of arguments that are passed to fwd in their places and to bwd
            first, as they are.
        nondiff_argnames: names of more such arguments.

    >>> import functrans as ft
    >>> @ft.custom_vjp
    ... def f(x):
    ...     return x * x
    >>> f.defvjp(lambda x: (x * x, x), lambda x, ct: (10.0 * x * ct,))
    >>> float(ft.grad(f)(3.0))
    30.0
    """

    def __init__(
        self,
        fun: Callable[..., Any],
        nondiff_argnums: int | Sequence[int] = (),
        nondiff_argnames: str | Sequence[str] = (),
    ) -> None:
        check_callable(fun, "custom_vjp")
        update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = fixed_positions(fun, nondiff_argnums, nondiff_argnames)
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
        args = positional(self.fun, args, kwargs)
        fun, rest, fixed = with_fixed(self.fun, args, self.nondiff_argnums, name_of(self.fun))
        if not is_traced(rest) and not trace_depth():
            return self.fun(*args)
        fwd, _, _ = with_fixed(self.fwd, args, self.nondiff_argnums, name_of(self.fun))
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
        result = call_user(self.fwd, *tree.unflatten(self.in_tree, given))
        where = f"the fwd rule {self.names[1]} of {self.names[0]}"
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise TransformError(
                f"{where} must return a pair (output, residuals), got {described(result)}."
            )
        outs = matched_leaves(result[0], self.out_tree, self.out_avals, where, "output")
        residuals, treedef = flatten_args(result[1], f"residuals of {where}: residuals")
        return outs, residuals, treedef

    def backward(self, treedef: Any, residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        """The cotangents of the primals, None where zero."""
        given = [
            ct if ct is not None else self._zero(a)
            for ct, a in zip(cts, self.out_avals, strict=True)
        ]
        result = call_user(
            self.bwd,
            *self.fixed,
            tree.unflatten(treedef, list(residuals)),
            tree.unflatten(self.out_tree, given),
        )
        where = f"the bwd rule {self.names[2]} of {self.names[0]}"
        arguments = tree.children(tree.unflatten(self.in_tree, list(self.in_avals)))
        if not isinstance(result, tuple | list) or len(result) != len(arguments):
            one = "\n  A tuple of one has a comma: (ct,)." if len(arguments) == 1 else ""
            raise TreeError(
                f"{where} must return a tuple of {len(arguments)}, one per argument, got "
                f"{described(result)}.{one}"
            )
        leaves: list[Any] = []
        for i, (ct, argument) in enumerate(zip(result, arguments, strict=True)):
            avals, part = tree.flatten(argument)
            if ct is None:
                leaves += [None] * len(avals)
            else:
                leaves += matched_leaves(ct, part, avals, where, f"cotangents[{i}]", zeros=True)
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
        f"function.\n  Define its derivative with custom_jvp, which serves both modes."
    )


def _forward_vjp(ts: list, primals: list, *, program: Program, **_: Any) -> Any:
    raise _no_forward_mode(program.name)


def _linearize_vjp(
    ts: list, primals: list, *, program: Program, rule: Any, num_consts: int
) -> tuple[list, list]:
    (const_ts, ts), (_, primals) = split(ts, num_consts), split(primals, num_consts)
    no_const_tangents(const_ts, program.name)
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


def _evaluate_lin(
    *values: Any, name: str, num_residuals: int, out_avals: Sequence[Aval], **_: Any
) -> list[Any]:
    """All that is known forward of a linear function: it is zero at zero."""
    if any(np.any(t) for t in values[num_residuals:]):
        raise _no_forward_mode(name)
    return [np.zeros(a.shape, a.dtype)[()] for a in out_avals]


def _batch_lin(args: list, batched: list, *, name: str, **_: Any) -> Any:
    raise _no_forward_mode(name)


custom_lin_p: Primitive = Primitive(
    "custom_lin",
    infer=lambda *avals, out_avals, **_: out_avals,
    evaluate=_evaluate_lin,
    transpose=_transpose_lin,
    batch=_batch_lin,
    multiple_results=True,
)

custom_vjp_p: Primitive = Primitive(
    "custom_vjp",
    infer=lambda *avals, program, rule, num_consts: infer_call(program, avals),
    evaluate=evaluate_call,
    forward=_forward_vjp,
    linearize=_linearize_vjp,
    jet=of_held,
    batch=batch_custom(BatchedVjpRule, lambda: custom_vjp_p),
    depends=lambda sets, program, **_: depends(program, sets),
    inline=lambda program, rule, num_consts: program,
    multiple_results=True,
)
