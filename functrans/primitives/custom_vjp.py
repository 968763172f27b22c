"""`custom_vjp`: a function whose reverse-mode derivative is given by a pair of functions.

Forward mode is the transpose of the second of them. That it is linear in the cotangent is asked
only there: reverse mode calls it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.dependence import depends
from functrans.core.errors import TransformError, TreeError
from functrans.core.primitive import Linear, Primitive
from functrans.core.program import Program
from functrans.core.source import call_user
from functrans.core.trace import Trace, make_program_flat, trace_depth
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
from functrans.transforms.batching import Axis, current_axis, repeat
from functrans.transforms.forward import Nonzero, jvp
from functrans.transforms.linear_functions import check_zero_at_zero
from functrans.transforms.transpose import transpose


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

    Its forward-mode derivative follows by transposition where the second function is linear in the
    cotangent; else there is none, and asking for it is a TransformError.

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
    >>> float(ft.grad(f)(3.0)), float(ft.jvp(f, (3.0,), (2.0,))[1])
    (30.0, 60.0)
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

    @property
    def names(self) -> tuple[str, str, str]:
        return self.rule.names

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


# --- derivatives ----------------------------------------------------------------------------------


def _differentiate(
    tangents: Callable[..., list],
    ts: list,
    primals: list,
    *,
    program: Program,
    rule: Any,
    num_consts: int,
) -> tuple[list, list]:
    """The outputs by the fwd rule, and their tangents as `custom_lin` or as what it stands for."""
    (const_ts, ts), (_, primals) = split(ts, num_consts), split(primals, num_consts)
    no_const_tangents(const_ts, program.name)
    mask = nonzero(ts)
    outs, residuals, info = rule.forward(primals, mask)
    operands = [*residuals, *present(ts)]
    avals = tuple(aval_of(y).strong() for y in outs)
    out_ts = tangents(
        *operands,
        rule=rule,
        info=info,
        mask=mask,
        in_avals=tuple(map(aval_of, operands)),
        out_avals=avals,
        num_residuals=len(residuals),
    )
    return outs, [t if a.dtype.kind in "fc" else None for t, a in zip(out_ts, avals, strict=True)]


def _pushforward(
    *operands: Any,
    rule: Any,
    info: Any,
    mask: Nonzero,
    in_avals: Sequence[Aval],
    out_avals: Sequence[Aval],
    num_residuals: int,
) -> list[Any]:
    """The tangents of the outputs, None where zero, given the residuals and the nonzero tangents.

    Bwd takes cotangents of the outputs to those of the arguments; where that is linear it is the
    transpose of the derivative, and transposed again the derivative itself.
    """
    residuals, ts = split(operands, num_residuals)
    of, _, bwd = rule.names
    floating = [a.dtype.kind in "fc" for a in out_avals]
    # not staging, so that what depends on residuals alone is computed where their values are known
    with Trace(staging=False, name=bwd) as backward:
        cts = [backward.new_input(a) for a, f in zip(out_avals, floating, strict=True) if f]
        results = rule.backward(info, residuals, spread(cts, floating))
        mine = [ct for ct, n in zip(results, mask, strict=True) if n]
        linear, captured = backward.finish(present(mine))
    given = [t for t, ct in zip(ts, mine, strict=True) if ct is not None]
    try:
        found = transpose(linear, [*captured, *[Linear(ct.aval) for ct in cts]], given)
        check_zero_at_zero(linear, captured)
    except TransformError as error:
        raise _no_forward_mode(of, bwd, error) from None
    found_ts = iter(found[len(captured) :])
    return [next(found_ts) if f else None for f in floating]


def _no_forward_mode(name: str, bwd: str, error: TransformError) -> TransformError:
    reason, line = error.args[0].split("\n")[0], error.line
    result = TransformError(
        f"can't apply forward-mode differentiation (jvp, jacfwd) to {name}, which is a custom_vjp "
        f"function: its bwd rule {bwd} would have to be transposed, but {reason}\n"
        "  Make it linear in the cotangent, or define the derivative with custom_jvp, which serves "
        "both modes."
    )
    result.line = line or result.line
    return result


custom_vjp_p: Primitive = Primitive(
    "custom_vjp",
    infer=lambda *avals, program, rule, num_consts: infer_call(program, avals),
    evaluate=evaluate_call,
    forward=partial(_differentiate, _pushforward),
    linearize=lambda *args, **params: _differentiate(custom_lin_p.bind, *args, **params),
    batch=batch_custom(BatchedVjpRule, lambda: custom_vjp_p),
    depends=lambda sets, program, **_: depends(program, sets),
    inline=lambda program, rule, num_consts: program,
    multiple_results=True,
)

# --- what linearize records -----------------------------------------------------------------------


def _whole_pushforward(*operands: Any, out_avals: Sequence[Aval], **params: Any) -> list[Any]:
    """The same with zeros as arrays."""
    out_ts = _pushforward(*operands, out_avals=out_avals, **params)
    return [
        full(a.shape, 0, a.dtype) if t is None else t
        for t, a in zip(out_ts, out_avals, strict=True)
    ]


def _evaluate_lin(
    *values: Any, num_residuals: int, out_avals: Sequence[Aval], **params: Any
) -> list[Any]:
    if any(np.any(t) for t in values[num_residuals:]):
        return _whole_pushforward(
            *values, num_residuals=num_residuals, out_avals=out_avals, **params
        )
    # what divides an equation into its linear part and the rest runs it at zero, also where the
    # rule, which will run backwards, cannot be transposed
    return [np.zeros(a.shape, a.dtype)[()] for a in out_avals]


def _lin_program(in_avals: Sequence[Aval], **params: Any) -> Program:
    """The pushforward as ordinary equations over residuals and tangents."""
    return make_program_flat(
        lambda args: _whole_pushforward(*args, in_avals=in_avals, **params),
        in_avals,
        params["rule"].names[0],
    )


def _differentiate_lin(
    linearizing: bool, ts: list, primals: list, *, num_residuals: int, mask: Nonzero, **params: Any
) -> tuple[list, list]:
    residual_ts, own_ts = split(ts, num_residuals)
    if any(t is not None for t in residual_ts):
        program = _lin_program(num_residuals=num_residuals, mask=mask, **params)
        return jvp(program, primals, ts, linearizing=linearizing)
    outs = custom_lin_p.bind(*primals, num_residuals=num_residuals, mask=mask, **params)
    # the derivative of what is linear is itself, which keeps bwd as its transpose
    of_those = nonzero(spread(own_ts, mask))
    operands = [*primals[:num_residuals], *present(own_ts)]
    params["in_avals"] = tuple(map(aval_of, operands))
    return outs, custom_lin_p.bind(*operands, num_residuals=num_residuals, mask=of_those, **params)


def _transpose_lin(
    cts: list, *operands: Any, rule: Any, info: Any, mask: Nonzero, num_residuals: int, **_: Any
) -> list:
    residuals = operands[:num_residuals]
    results = rule.backward(info, residuals, cts)
    return [
        *[None] * num_residuals,
        *[ct for ct, n in zip(results, mask, strict=True) if n],
    ]


def _batch_lin(
    args: list,
    batched: list,
    *,
    rule: Any,
    info: Any,
    mask: Nonzero,
    out_avals: Sequence[Aval],
    num_residuals: int,
    **_: Any,
) -> tuple[list, list]:
    axis = current_axis()
    residual_flags, flags = split(batched, num_residuals)
    shared = [b is False for b in spread(flags, mask)]
    outs = custom_lin_p.bind(
        *args,
        rule=BatchedVjpRule(rule, tuple(not s for s in shared), axis),
        info=(info, tuple(residual_flags)),
        mask=mask,
        in_avals=tuple(map(aval_of, args)),
        out_avals=tuple(a.update(shape=(axis.size, *a.shape)) for a in out_avals),
        num_residuals=num_residuals,
    )
    return outs, [True] * len(outs)


custom_lin_p: Primitive = Primitive(
    "custom_lin",
    infer=lambda *avals, out_avals, **_: out_avals,
    evaluate=_evaluate_lin,
    forward=partial(_differentiate_lin, False),
    linearize=partial(_differentiate_lin, True),
    transpose=_transpose_lin,
    batch=_batch_lin,
    inline=_lin_program,
    multiple_results=True,
)
