"""A primitive: the name of an operation and every rule the library has for it, in one block.

The rules, all optional but `infer` and `evaluate`:

``infer(*avals, **params)``
    The aval (or tuple of avals, if `multiple_results`) of the result; or ShapeError, DTypeError.
``evaluate(*values, **params)``
    The result in NumPy; never writes to its operands.
``in_place(x, **params)``
    Makes x, an array, the result, whose type it has; for what a library computes so. The compiled
    form then needs no second array where nobody reads the operand any more.
``jvp(tangents, primals, outs, **params)``
    Tangent(s) of the outputs. A tangent is None where it is zero; `outs` are the outputs, already
    computed. With `multiple_results` returns a list (None for zero).
``forward(tangents, primals, **params)``
    (outs, out tangents) for primitives that hold Programs and compute both at once; it takes the
    place of `jvp`.
``linearize(tangents, primals, **params)``
    The same when the tangents are tracers of a linear trace: what depends on primals only must be
    split from what is linear. Where absent, `jvp` or `forward` is used.
``transpose(cts, *operands, **params)``
    For primitives that are linear in some operands: given the cotangent(s) of the outputs (a list
    with None for zero if `multiple_results`), and operands of which the linear ones are
    `Linear(aval)`, a list with the cotangent of each operand (None where not linear or zero).
``accumulate(cts, totals, *operands, **params)``
    The same added to what is given: `totals` has the cotangent of each operand so far, None for
    zero. For primitives that read a few places of a large array: to add to these takes less than to
    add an array that is zero elsewhere. It takes the place of `transpose`.
``taylor(primitive, k, y, *operands, **params)``
    Coefficient k of a truncated power series, see functrans/transforms/taylor.py. Where absent,
    the `jvp` rule determines it.
``jet(operands, order, run, **params)``
    The series of the results, for primitives that hold Programs; `run(program, operands)` are those
    of a Program.
``batch(args, batched, **params)``
    Result and batchedness when operands with `batched[i]` true have an extra leading axis. With
    `multiple_results` both are lists. The batch axis is axis 0 everywhere.
``depends(sets, **params)``
    For primitives that hold Programs, or have results of operands of their own: the set of each
    result, given those of the operands, see functrans/core/dependence.py. Where absent, every
    result depends on every operand.
``cost(inputs, outputs, **params)``
    Flops, given the avals; bytes moved follow from the avals.
``creates``
    Whether it makes a large array out of little (iota, broadcast): under a staging trace it is then
    recorded even without tracers, so that the program makes the array instead of storing it.
``inline(**params)``
    For primitives that hold a Program and, once no derivative is to be taken of them, only call it:
    that Program. The compiler puts its equations in place of the call.
``lower``
    The compiled form; see functrans/core/lowering.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from functrans.core.errors import TransformError
from functrans.core.types import Aval

registry: dict[str, Primitive] = {}
"""Every primitive by name; the tests walk it."""


def apply(primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    """What `bind` does; functrans/core/trace.py, which lies above, puts its function here."""
    raise RuntimeError("functrans.core.trace has not been imported")


class Linear:
    """Stands for an operand in which a transpose rule's primitive is linear."""

    __slots__ = ("aval",)

    def __init__(self, aval: Aval) -> None:
        self.aval = aval


def not_linear(name: str) -> TransformError:
    """The error of a transposition of what is not linear."""
    return TransformError(
        f"{name} is not linear in its operands, or cannot be run backwards.\n  linear_transpose "
        "needs a linear function, as do solvers, and a custom_jvp rule is to be linear in the "
        "tangents; vjp transposes the derivative of any function."
    )


def _from_zero(accumulate: Callable[..., list]) -> Callable[..., list]:
    """The `transpose` rule that adds to nothing."""
    return lambda cts, *operands, **params: accumulate(
        cts, [None] * len(operands), *operands, **params
    )


class Primitive:
    """One operation that a Program can contain, with its rules. See the top of this file."""

    def __init__(
        self,
        name: str,
        *,
        infer: Callable[..., Any],
        evaluate: Callable[..., Any],
        in_place: Callable[..., None] | None = None,
        jvp: Callable[..., Any] | None = None,
        forward: Callable[..., Any] | None = None,
        linearize: Callable[..., Any] | None = None,
        transpose: Callable[..., Any] | None = None,
        accumulate: Callable[..., list] | None = None,
        taylor: Callable[..., Any] | None = None,
        jet: Callable[..., Any] | None = None,
        batch: Callable[..., Any] | None = None,
        depends: Callable[..., list[int]] | None = None,
        cost: Callable[..., float] | None = None,
        inline: Callable[..., Any] | None = None,
        lower: Any = None,
        multiple_results: bool = False,
        effects: bool = False,
        creates: bool = False,
    ) -> None:
        if name in registry:
            raise ValueError(f"primitive {name!r} is defined twice")
        self.name = name
        self.infer = infer
        self.evaluate = evaluate
        self.in_place = in_place
        self.jvp = jvp
        self.forward = forward
        self.linearize = linearize
        self.transpose = transpose if accumulate is None else _from_zero(accumulate)
        self.accumulate = accumulate
        self.taylor = taylor
        self.jet = jet
        self.batch = batch
        self.depends = depends
        self.cost = cost
        self.inline = inline
        self.lower = lower
        self.multiple_results = multiple_results
        self.effects = effects
        self.creates = creates
        registry[name] = self

    def bind(self, *args: Any, **params: Any) -> Any:
        """Apply to values: record in the trace the tracers belong to, or evaluate with NumPy."""
        return apply(self, args, params)

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> Any:
        return (_named, (self.name,))


def _named(name: str) -> Primitive:
    """A primitive from a pickle, which holds its name: rules are code of this process."""
    return registry[name]
