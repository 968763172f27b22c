"""`checkpoint` (`remat`): a call whose intermediate values are computed again in the backward pass.

Its linear part is recorded as one equation over (operands, saved values, tangents). When that is
transposed, the Program of the function runs again from the operands, behind an
optimization_barrier so that the compiler does not merge it with the first run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

from functrans.core import tree
from functrans.core.dependence import depends
from functrans.core.effects import has_effects, silent, without_effects
from functrans.core.errors import TransformError
from functrans.core.interpret import Environment, evaluate
from functrans.core.primitive import Linear, Primitive
from functrans.core.program import Equation, Program, Var
from functrans.core.simplify import drop_dead
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, described
from functrans.primitives.calls import call_p, infer_call, nonzero, present, split, spread
from functrans.primitives.custom import is_traced, trace_call
from functrans.primitives.identities import name_p, optimization_barrier_p
from functrans.primitives.products import dot_general_p
from functrans.primitives.work import flops
from functrans.transforms.api import check_callable, name_of
from functrans.transforms.batching import batch_program, current_axis
from functrans.transforms.forward import Nonzero, jvp_program
from functrans.transforms.linearize import linearize_program
from functrans.transforms.taylor import of_held
from functrans.transforms.transpose import transpose_program

Policy = Callable[..., bool]


class checkpoint_policies:
    """Which values a `checkpoint` keeps for the backward pass; the others are computed again.

    A policy is called with a primitive, the avals of its operands and its parameters, and says
    whether its results are kept.

    >>> checkpoint_policies.everything_saveable(dot_general_p)
    True
    """

    @staticmethod
    def everything_saveable(primitive: Primitive, *avals: Aval, **params: Any) -> bool:
        """Keep everything, as without checkpoint."""
        return True

    @staticmethod
    def nothing_saveable(primitive: Primitive, *avals: Aval, **params: Any) -> bool:
        """Keep only the arguments; the default."""
        return False

    @staticmethod
    def dots_saveable(primitive: Primitive, *avals: Aval, **params: Any) -> bool:
        """Keep the results of products, which are dear to compute."""
        return primitive is dot_general_p

    checkpoint_dots = dots_saveable

    @staticmethod
    def dots_with_no_batch_dims_saveable(primitive: Primitive, *avals: Aval, **params: Any) -> bool:
        """Keep the results of products without batch axes, such as those with weights."""
        return primitive is dot_general_p and not params["dimensions"][1][0]

    checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable

    @staticmethod
    def save_only_these_names(*names: str) -> Policy:
        """Keep what `checkpoint_name` gave one of these names."""
        chosen = frozenset(names)

        def policy(primitive: Primitive, *avals: Aval, **params: Any) -> bool:
            return primitive is name_p and params["name"] in chosen

        return policy

    @staticmethod
    def save_anything_except_these_names(*names: str) -> Policy:
        """Keep everything but what `checkpoint_name` gave one of these names."""
        refused = frozenset(names)

        def policy(primitive: Primitive, *avals: Aval, **params: Any) -> bool:
            return not (primitive is name_p and params["name"] in refused)

        return policy

    @staticmethod
    def save_any_names_but_these(*names: str) -> Policy:
        """Keep what has a name, but for these names."""
        refused = frozenset(names)

        def policy(primitive: Primitive, *avals: Aval, **params: Any) -> bool:
            return primitive is name_p and params["name"] not in refused

        return policy

    @staticmethod
    def save_from_both_policies(first: Policy, second: Policy) -> Policy:
        """Keep what either policy keeps."""

        def policy(primitive: Primitive, *avals: Aval, **params: Any) -> bool:
            return first(primitive, *avals, **params) or second(primitive, *avals, **params)

        return policy


def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    prevent_cse: bool = True,
    policy: Policy | None = None,
    static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (),
    concrete: bool = False,
) -> Callable[..., Any]:
    """The function, with its intermediate values computed again in the backward pass.

    Less memory for more time: what `grad` keeps of the function are its arguments alone, or what
    the policy names.

    Args:
        fun: any function of arrays or trees.
        prevent_cse: keep the compiler from merging the second run with the first.
        policy: which values to keep; see `checkpoint_policies`. None keeps only the arguments.
        static_argnums: positions of arguments that are no arrays.
        static_argnames: names of more such arguments, where they are given by keyword.
        concrete: accepted for JAX's signature.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> float(ft.grad(ft.checkpoint(lambda x: fnp.sin(fnp.sin(x))))(0.0))
    1.0
    """
    if fun is None:
        return lambda f: checkpoint(
            f,
            prevent_cse=prevent_cse,
            policy=policy,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
        )
    check_callable(fun, "checkpoint")
    if policy is not None and not callable(policy):
        raise TransformError(
            f"checkpoint's policy must be a function, got {described(policy)}.\n"
            "  checkpoint_policies has them, such as checkpoint_policies.dots_saveable."
        )
    numbers = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    names = {static_argnames} if isinstance(static_argnames, str) else set(static_argnames)

    @wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        fixed = {i + len(args) if i < 0 else i for i in numbers}
        given = tuple(x for i, x in enumerate(args) if i not in fixed)
        static = {k: v for k, v in kwargs.items() if k in names}
        named = {k: v for k, v in kwargs.items() if k not in names}
        if not is_traced((given, named)):
            return fun(*args, **kwargs)

        def of_given(given: tuple, named: dict[str, Any]) -> Any:
            rest = iter(given)
            full = [x if i in fixed else next(rest) for i, x in enumerate(args)]
            return fun(*full, **named, **static)

        call = trace_call(of_given, (given, named), name_of(fun))
        outs = checkpoint_p.bind(
            *call.captured,
            *call.leaves,
            program=call.program,
            policy=policy,
            prevent_cse=prevent_cse,
        )
        return tree.unflatten(call.out_tree, outs)

    return checkpointed


# --- rules ----------------------------------------------------------------------------------------


def _infer(*avals: Aval, program: Program, policy: Any, prevent_cse: bool) -> tuple[Aval, ...]:
    return infer_call(program, avals)


def _evaluate(*values: Any, program: Program, policy: Any, prevent_cse: bool) -> list[Any]:
    return evaluate(program, values)


def _forward(ts: list, primals: list, *, program: Program, **options: Any) -> tuple[list, list]:
    both, out_nonzero = jvp_program(program, nonzero(ts))
    results = checkpoint_p.bind(*primals, *present(ts), program=both, **options)
    outs, out_ts = split(results, len(out_nonzero))
    return outs, spread(out_ts, out_nonzero)


@dataclass(frozen=True)
class _Split:
    """A checkpointed Program, linearised: `forward` gives (outputs, saved values), `linear` takes
    (the inputs and saved values for which `used` holds, tangents) and computes whatever else it
    needs again."""

    forward: Program
    linear: Program
    used: tuple[bool, ...]
    out_nonzero: Nonzero


def _linearize(
    ts: list, primals: list, *, program: Program, policy: Any, prevent_cse: bool
) -> tuple[list, list]:
    parts = _split(program, nonzero(ts), policy)
    options = {"policy": policy, "prevent_cse": prevent_cse}
    results = checkpoint_p.bind(*primals, program=parts.forward, **options)
    outs, saved = split(results, len(parts.out_nonzero))
    kept = [x for x, u in zip([*primals, *saved], parts.used, strict=True) if u]
    out_ts = checkpoint_p.bind(*kept, *present(ts), program=parts.linear, **options)
    return outs, spread(out_ts, parts.out_nonzero)


def _split(program: Program, mask: Nonzero, policy: Policy | None) -> _Split:
    key = ("checkpoint", mask, policy)
    if key not in program.cache:
        program.cache[key] = _build_split(program, mask, policy)
    return program.cache[key]


def _build_split(program: Program, mask: Nonzero, policy: Policy | None) -> _Split:
    parts = linearize_program(_inlined(program), mask)
    forward, count = parts.forward, len(program.outputs)
    candidates = [v for e in forward.equations if _is_kept(e, policy) for v in e.outputs]
    # the recomputation takes what is kept as given, and says what of it it reads
    residuals = forward.outputs[count:]
    saved = set(candidates)
    stand_in = {v: Var(v.aval) for v in candidates}
    equations = [
        e.replace(inputs=[stand_in.get(a, a) if isinstance(a, Var) else a for a in e.inputs])
        for e in forward.equations
        if not saved.issuperset(e.outputs)
    ]
    wanted = [stand_in.get(a, a) if isinstance(a, Var) else a for a in residuals]
    again = Program([*stand_in.values(), *forward.inputs], equations, wanted, program.name)
    again = without_effects(again)
    again, used = drop_dead(again, keep_inputs_from=len(candidates))
    kept = [v for v, u in zip(candidates, used, strict=False) if u]
    first = Program(
        forward.inputs, forward.equations, [*forward.outputs[:count], *kept], program.name
    )
    first, _ = drop_dead(first)
    n_in, n_kept = len(program.inputs), len(kept)

    def run(args: Sequence[Any]) -> list[Any]:
        inputs, given, ts = split(args, n_in, n_kept)
        return evaluate(parts.linear, [*evaluate(again, [*given, *inputs]), *ts])

    avals = [*program.in_avals, *[v.aval for v in kept]]
    avals += [a.strong() for a, n in zip(program.in_avals, mask, strict=True) if n]
    linear = make_program_flat(run, avals, f"linear({program.name})")
    linear, used = drop_dead(linear, keep_inputs_from=n_in + n_kept)
    return _Split(first, linear, tuple(used[: n_in + n_kept]), parts.out_nonzero)


def _is_kept(equation: Equation, policy: Policy | None) -> bool:
    """Whether results are kept: by the policy, or since they come with an effect, which is not to
    happen again."""
    primitive, params = equation.primitive, equation.params
    if has_effects(equation) and (primitive.effects or silent(params) is None):
        return True
    return policy is not None and policy(primitive, *[a.aval for a in equation.inputs], **params)


def _inlined(program: Program) -> Program:
    """The Program with jitted calls in it replaced by their equations, for the policy to see."""
    if not any(e.primitive is call_p for e in program.equations):
        return program

    def run(args: Sequence[Any]) -> list[Any]:
        env = Environment(program.inputs, args)
        for e in program.equations:
            values = env.read_all(e.inputs)
            if e.primitive is call_p:
                env.write(e, evaluate(_inlined(e.params["program"]), values))
            else:
                env.write(e, e.primitive.bind(*values, **e.params))
        return env.read_all(program.outputs)

    return make_program_flat(run, program.in_avals, program.name)


def _accumulate(
    cts: list,
    totals: list,
    *operands: Any,
    program: Program,
    policy: Any,
    prevent_cse: bool,
) -> list:
    linear = tuple(type(x) is Linear for x in operands)
    backward, out_nonzero = transpose_program(program, linear, nonzero(cts), nonzero(totals))
    fixed = [x for x in operands if type(x) is not Linear]
    values = [*fixed, *present(cts), *present(totals)]
    if prevent_cse:
        # with the cotangents among its operands the barrier also holds back the second run
        values = optimization_barrier_p.bind(*values)
    results = checkpoint_p.bind(*values, program=backward, policy=policy, prevent_cse=prevent_cse)
    mine = iter(spread(results, out_nonzero))
    return [next(mine) if n else None for n in linear]


def _batch(args: list, batched: list, *, program: Program, **options: Any) -> tuple[list, Any]:
    batched_program, out_batched = batch_program(program, tuple(batched), current_axis())
    return checkpoint_p.bind(*args, program=batched_program, **options), out_batched


checkpoint_p = Primitive(
    "checkpoint",
    infer=_infer,
    evaluate=_evaluate,
    forward=_forward,
    linearize=_linearize,
    jet=of_held,
    accumulate=_accumulate,
    batch=_batch,
    depends=lambda sets, program, **_: depends(program, sets),
    cost=lambda inputs, outputs, *, program, **_: flops(program),
    inline=lambda program, policy, prevent_cse: program,
    multiple_results=True,
)

remat = checkpoint
