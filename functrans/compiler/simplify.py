"""Program → Program, same results with less work: inline, identities, folding, common terms, dead.

No rewriting changes a result, not even the sign of a zero or a nan: `x * 1` goes, `x * 0` and
`x + 0.0` stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from functrans.core.effects import has_effects
from functrans.core.lowering import Pointwise
from functrans.core.primitive import registry
from functrans.core.program import Atom, Equation, Literal, Program, Var, params_key
from functrans.core.simplify import drop_dead, inline_calls
from functrans.core.types import Aval, broadcast_shapes

FOLD_LIMIT = 64
"""Constants of at most so many elements are computed at compile time."""

COMMUTATIVE = frozenset({"add", "mul", "eq", "ne", "and", "or", "xor"})


def simplify(program: Program) -> Program:
    """All passes in order: each leaves a well-formed Program that computes the same."""
    for step in (inline_calls, rewrite, drop_unused, rewrite, drop_unused):
        program = step(program)
    return program


def drop_unused(program: Program) -> Program:
    """Without equations whose results nobody reads; all inputs stay."""
    return drop_dead(program)[0]


def drop_barriers(program: Program) -> Program:
    """Without optimization barriers, and what was computed for them alone: no pass after this one
    merges equal equations."""
    if all(e.primitive.name != "optimization_barrier" for e in program.equations):
        return program
    renamed: dict[Var, Atom] = {}
    equations = []
    for equation in program.equations:
        inputs = [renamed.get(a, a) if isinstance(a, Var) else a for a in equation.inputs]
        if equation.primitive.name == "optimization_barrier":
            renamed.update(zip(equation.outputs, inputs, strict=True))
        else:
            equations.append(equation.replace(inputs))
    outputs = [renamed.get(a, a) if isinstance(a, Var) else a for a in program.outputs]
    return drop_unused(Program(program.inputs, equations, outputs, program.name))


class Rewriter:
    """One forward pass: names what each old variable became, and finds equal equations."""

    def __init__(self) -> None:
        self.replaced: dict[Var, Atom] = {}
        self.producer: dict[Var, Equation] = {}
        self.seen: dict[Any, tuple[Var, ...]] = {}
        self.equations: list[Equation] = []

    def name(self, atom: Atom) -> Atom:
        return self.replaced.get(atom, atom) if isinstance(atom, Var) else atom

    def produced_by(self, atom: Atom, primitive: str) -> Equation | None:
        """The equation that computes an atom, if it is of this primitive."""
        equation = self.producer.get(atom) if isinstance(atom, Var) else None
        return equation if equation is not None and equation.primitive.name == primitive else None

    def add(self, equation: Equation) -> tuple[Var, ...]:
        """Append an equation, or give the outputs of an equal one that is already there."""
        apart = has_effects(equation) or equation.primitive.name == "optimization_barrier"
        key = None if apart else _equation_key(equation)
        if key is not None:
            known = self.seen.get(key)
            if known is not None:
                return known
            self.seen[key] = equation.outputs
        self.equations.append(equation)
        for var in equation.outputs:
            self.producer[var] = equation
        return equation.outputs

    def emit(self, like: Equation, primitive: Any, inputs: list[Atom], **params: Any) -> Var:
        """Append a new equation of one output, attributed to the line of another."""
        from functrans.core.program import infer_outputs

        (aval,) = infer_outputs(primitive, [a.aval for a in inputs], params)
        return self.add(Equation(primitive, inputs, params, [Var(aval)], like.source))[0]


def rewrite(program: Program) -> Program:
    """Identities, constant folding and common subexpressions, in one pass."""
    rewriter = Rewriter()
    for old in program.equations:
        equation = old.replace([rewriter.name(a) for a in old.inputs])
        equation = _without_broadcasts(equation, rewriter)
        result = _rewritten(equation, rewriter)
        rewriter.replaced.update(zip(old.outputs, result, strict=True))
    outputs = [rewriter.name(a) for a in program.outputs]
    return Program(program.inputs, rewriter.equations, outputs, program.name)


def _rewritten(equation: Equation, rewriter: Rewriter) -> Any:
    folded = _fold(equation)
    if folded is not None:
        return [_one_number(literal, equation, rewriter) for literal in folded]
    rule = IDENTITIES.get(equation.primitive.name)
    if rule is not None:
        result = rule(equation, rewriter)
        if result is not None and result.aval == equation.outputs[0].aval:
            return [result]
    return rewriter.add(equation)


def _without_broadcasts(equation: Equation, rewriter: Rewriter) -> Equation:
    """Elementwise operands before they were broadcast, where the others give the shape anyway."""
    if not isinstance(equation.primitive.lower, Pointwise) or len(equation.inputs) < 2:
        return equation
    inputs = list(equation.inputs)
    for i, operand in enumerate(inputs):
        inner = rewriter.produced_by(operand, "broadcast")
        if inner is None:
            continue
        shapes = [a.aval.shape for j, a in enumerate(inputs) if j != i]
        shape = broadcast_shapes(inner.inputs[0].aval.shape, *shapes)
        if shape == equation.outputs[0].aval.shape:
            inputs[i] = inner.inputs[0]
    return equation.replace(inputs)


def _one_number(literal: Literal, equation: Equation, rewriter: Rewriter) -> Atom:
    """An array of equal numbers as the broadcast of one, which kernels need not load."""
    array = np.asarray(literal.value)
    if array.size < 2:
        return literal
    rows = array.reshape(array.size, 1).view(np.uint8)
    if (rows != rows[0]).any():
        return literal
    number = Literal(array.reshape(-1)[0], Aval((), literal.aval.dtype, literal.aval.weak_type))
    return rewriter.emit(equation, registry["broadcast"], [number], shape=literal.aval.shape)


def _fold(equation: Equation) -> list[Literal] | None:
    """The outputs as literals, where all operands are and they are small."""
    if equation.primitive.effects or not all(type(a) is Literal for a in equation.inputs):
        return None
    if any(v.aval.size > FOLD_LIMIT for v in equation.outputs) or equation.primitive.lower is None:
        return None
    if equation.primitive.name == "broadcast" and equation.inputs[0].aval.size == 1:
        return None  # kernels take the number itself
    with np.errstate(all="ignore"):
        values = [a.value for a in equation.inputs]  # type: ignore[union-attr]
        out = equation.primitive.evaluate(*values, **equation.params)
    outs = out if equation.primitive.multiple_results else (out,)
    return [
        Literal(np.asarray(y, v.aval.dtype)[()], v.aval)
        for y, v in zip(outs, equation.outputs, strict=True)
    ]


def _equation_key(equation: Equation) -> Any:
    inputs: Any = tuple(a if isinstance(a, Var) else a.key for a in equation.inputs)
    if equation.primitive.name in COMMUTATIVE:
        inputs = frozenset(inputs) if len(set(inputs)) == 2 else inputs
    return (equation.primitive.name, inputs, params_key(equation.params))


# --- identities -----------------------------------------------------------------------------------


def _is_one(atom: Atom) -> bool:
    return type(atom) is Literal and atom.aval.size == 1 and bool(np.all(atom.value == 1))


def _multiply(e: Equation, r: Rewriter) -> Atom | None:
    x, y = e.inputs
    if x.aval.dtype.kind == "c":
        return None  # an infinite part times the zero of 1 + 0j is nan
    return x if _is_one(y) else y if _is_one(x) else None


def _divide(e: Equation, r: Rewriter) -> Atom | None:
    x, y = e.inputs
    return x if _is_one(y) and x.aval.dtype.kind != "c" else None


def _negate(e: Equation, r: Rewriter) -> Atom | None:
    inner = r.produced_by(e.inputs[0], "neg")
    return inner.inputs[0] if inner else None


def _same_type(e: Equation, r: Rewriter) -> Atom | None:
    """A conversion, reshape, broadcast or copy to the type that its operand has."""
    return e.inputs[0]


def _reshape(e: Equation, r: Rewriter) -> Atom | None:
    if e.inputs[0].aval == e.outputs[0].aval:
        return e.inputs[0]
    inner = r.produced_by(e.inputs[0], "reshape")
    if inner is None:
        return None
    return r.emit(e, e.primitive, [inner.inputs[0]], **e.params)


def _transpose(e: Equation, r: Rewriter) -> Atom | None:
    permutation = e.params["permutation"]
    if permutation == tuple(range(len(permutation))):
        return e.inputs[0]
    inner = r.produced_by(e.inputs[0], "transpose")
    if inner is not None:
        first = inner.params["permutation"]
        composed = tuple(first[p] for p in permutation)
        if composed == tuple(range(len(composed))):
            return inner.inputs[0]
        source = inner.inputs[0]
        product = _transposed_product(e, source, composed, r)
        return product or r.emit(e, e.primitive, [source], permutation=composed)
    return _transposed_product(e, e.inputs[0], permutation, r)


def _transposed_product(e: Equation, x: Atom, permutation: Any, r: Rewriter) -> Atom | None:
    """(x y)ᵀ = yᵀ xᵀ: the same product with its operands exchanged."""
    inner = r.produced_by(x, "dot_general")
    if inner is None:
        return None
    (cx, cy), (bx, by) = inner.params["dimensions"]
    x, y = inner.inputs
    n, left = len(bx), x.aval.ndim - len(cx) - len(bx)
    right = y.aval.ndim - len(cy) - len(by)
    batch = tuple(range(n))
    exchanged = (*batch, *range(n + left, n + left + right), *range(n, n + left))
    if permutation != exchanged:
        return None
    return r.emit(e, inner.primitive, [y, x], dimensions=((cy, cx), (by, bx)))


def _outer_product(e: Equation, r: Rewriter) -> Atom | None:
    """A product over axes of extent one: every element times every other, which fuses."""
    contracting, batch = e.params["dimensions"]
    x, y = e.inputs
    if math.prod(x.aval.shape[a] for a in contracting[0]) != 1 or x.aval.dtype.kind == "b":
        return None
    rest = [
        tuple(a for a in range(z.aval.ndim) if a not in contracting[i] and a not in batch[i])
        for i, z in enumerate(e.inputs)
    ]
    operands: list[Atom] = []
    for i, z in enumerate((x, y)):
        lead = [z.aval.shape[a] for a in batch[i]]
        own = [z.aval.shape[a] for a in rest[i]]
        shape = [*lead, *own, *[1] * len(rest[1])] if i == 0 else [*lead, *[1] * len(rest[0]), *own]
        order = (*batch[i], *rest[i], *contracting[i])
        moved = r.emit(e, registry["transpose"], [z], permutation=order)
        operands.append(r.emit(e, registry["reshape"], [moved], shape=tuple(shape)))
    return r.emit(e, registry["mul"], operands)


def _product(e: Equation, r: Rewriter) -> Atom | None:
    """A transposed operand becomes a choice of axes, which costs the library nothing."""
    outer = _outer_product(e, r)
    if outer is not None:
        return outer
    inputs, axes = (
        list(e.inputs),
        [list(pair) for pair in zip(*e.params["dimensions"], strict=True)],
    )
    changed = False
    for i, operand in enumerate(e.inputs):
        inner = r.produced_by(operand, "transpose")
        if inner is None:
            continue
        permutation = inner.params["permutation"]
        contracting, batch = axes[i]
        rest = [a for a in range(len(permutation)) if a not in contracting and a not in batch]
        moved = [permutation[a] for a in rest]
        if moved != sorted(moved):
            continue  # the result's axes would come in another order
        inputs[i] = inner.inputs[0]
        axes[i] = [tuple(permutation[a] for a in group) for group in (contracting, batch)]
        changed = True
    if not changed:
        return None
    (cx, bx), (cy, by) = axes
    return r.emit(
        e, e.primitive, inputs, dimensions=((tuple(cx), tuple(cy)), (tuple(bx), tuple(by)))
    )


def _select(e: Equation, r: Rewriter) -> Atom | None:
    condition = e.inputs[0]
    if type(condition) is Literal and not condition.aval.shape:
        return e.inputs[1] if condition.value else e.inputs[2]
    return e.inputs[1] if e.inputs[1] is e.inputs[2] else None


def _reduction(e: Equation, r: Rewriter) -> Atom | None:
    return e.inputs[0] if not e.params["axes"] else None


def _integer_pow(e: Equation, r: Rewriter) -> Atom | None:
    """Small powers as products, which may be shared; other exponents are the kernel's."""
    x, exponent = e.inputs[0], e.params["exponent"]
    if exponent == 1:
        return x
    if exponent not in (2, 3):
        return None
    multiply = registry["mul"]
    square = r.emit(e, multiply, [x, x])
    return square if exponent == 2 else r.emit(e, multiply, [square, x])


IDENTITIES: Mapping[str, Callable[[Equation, Rewriter], Atom | None]] = {
    "mul": _multiply,
    "div": _divide,
    "neg": _negate,
    "convert": _same_type,
    "broadcast": _same_type,
    "reshape": _reshape,
    "transpose": _transpose,
    "dot_general": _product,
    "select": _select,
    "integer_pow": _integer_pow,
    "inner_power": _integer_pow,
    "stop_gradient": _same_type,
    "name": _same_type,
    "copy": _same_type,
    **dict.fromkeys(
        ["reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_or", "reduce_and"],
        _reduction,
    ),
}
"""Per primitive, an atom equal to its result if there is a simpler one (of the same type)."""
