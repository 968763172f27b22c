"""Transposition: a Program linear in some inputs, run backwards on cotangents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from functrans.core.primitive import Linear, not_linear, registry
from functrans.core.program import Atom, Equation, Literal, Program, Var
from functrans.core.source import set_source
from functrans.core.trace import make_program_flat
from functrans.transforms.forward import Nonzero
from functrans.transforms.linear_part import linear_part


def transpose(
    program: Program,
    operands: Sequence[Any],
    cotangents: Sequence[Any],
    totals: Sequence[Any] = (),
) -> list[Any]:
    """Cotangents of the linear operands of a Program.

    Args:
        program: linear in the operands given as `Linear(aval)`, the others being fixed.
        operands: a value or `Linear` per input.
        cotangents: of the outputs; None where zero.
        totals: per operand what its cotangent is added to, None for nothing; empty for nothing.

    Returns:
        For every operand its cotangent; None where zero or not linear.

    Raises:
        TransformError: an equation is not linear in what depends on the linear operands.
    """
    values: dict[Var, Any] = {}
    linear: set[Var] = set()
    for var, x in zip(program.inputs, operands, strict=True):
        if type(x) is Linear:
            linear.add(var)
        else:
            values[var] = x
    before = set_source(None)
    try:
        backward = _run_known(program, values, linear)
        cts = _Cotangents(linear)
        for atom, ct in [
            *zip(program.inputs, totals, strict=False),
            *zip(program.outputs, cotangents, strict=True),
        ]:
            cts.add(atom, ct)
        for equation in reversed(backward):
            _transpose_equation(equation, values, cts)
        return [cts.take(v) for v in program.inputs]
    finally:
        set_source(before)


def transpose_program(
    program: Program, linear: Nonzero, ct_nonzero: Nonzero, has_total: Nonzero = ()
) -> tuple[Program, Nonzero]:
    """The Program (fixed inputs, nonzero output cotangents) → nonzero cotangents of linear inputs.

    Args:
        program: as for `transpose`.
        linear: which inputs are linear.
        ct_nonzero: which outputs have a cotangent.
        has_total: to the cotangents of which inputs something is added, the last operands of what
            is returned; empty for none.

    Returns:
        The Program, and for each linear input whether it has a cotangent.
    """
    has_total = tuple(has_total) or (False,) * len(linear)
    key = ("transpose", linear, ct_nonzero, has_total)
    if key not in program.cache:
        program.cache[key] = _build(program, linear, ct_nonzero, has_total)
    return program.cache[key]


def _build(
    program: Program, linear: Nonzero, ct_nonzero: Nonzero, has_total: Nonzero
) -> tuple[Program, Nonzero]:
    fixed = [a for a, n in zip(program.in_avals, linear, strict=True) if not n]
    nonzero: Nonzero = ()

    def run(args: Sequence[Any]) -> list[Any]:
        nonlocal nonzero
        values, rest = iter(args[: len(fixed)]), iter(args[len(fixed) :])
        operands = [
            Linear(a) if n else next(values) for a, n in zip(program.in_avals, linear, strict=True)
        ]
        given = [next(rest) if n else None for n in ct_nonzero]
        totals = [next(rest) if n else None for n in has_total]
        cts = transpose(program, operands, given, totals)
        mine = [ct for ct, n in zip(cts, linear, strict=True) if n]
        nonzero = tuple(ct is not None for ct in mine)
        return [ct for ct in mine if ct is not None]

    cts = [a.strong() for a, n in zip(program.out_avals, ct_nonzero, strict=True) if n]
    totals = [a.strong() for a, n in zip(program.in_avals, has_total, strict=True) if n]
    return make_program_flat(run, fixed + cts + totals, f"transpose({program.name})"), nonzero


def _run_known(program: Program, values: dict[Var, Any], linear: set[Var]) -> list[Equation]:
    """Evaluate what does not depend on the linear operands; return equations for what does."""
    backward = []
    for equation in program.equations:
        set_source(equation.source)
        if any(a in linear for a in equation.inputs if type(a) is Var):
            backward.append(linear_part(equation, values, linear))
            continue
        inputs = [a.value if type(a) is Literal else values[a] for a in equation.inputs]
        out = equation.primitive.bind(*inputs, **equation.params)
        outs = out if equation.primitive.multiple_results else (out,)
        values.update(zip(equation.outputs, outs, strict=True))
    return backward


class _Cotangents:
    """The cotangents of linear variables so far; and what is to be added to some places of them,
    which waits until they are read, since it takes least if there is a total to add it to."""

    def __init__(self, linear: set[Var]) -> None:
        self.linear = linear
        self._totals: dict[Var, Any] = {}
        self._waiting: dict[Var, list[Callable[[Any], Any]]] = {}

    def add(self, atom: Atom, ct: Any) -> None:
        if ct is None or type(atom) is not Var or atom not in self.linear:
            return
        total = self._totals.get(atom)
        self._totals[atom] = ct if total is None else registry["add"].bind(total, ct)

    def add_later(self, var: Var, added_to: Callable[[Any], Any]) -> None:
        """Add what a function of the total, or of None, gives."""
        self._waiting.setdefault(var, []).append(added_to)

    def take(self, var: Var) -> Any:
        """The cotangent of a variable, which has none afterwards; None where zero."""
        total = self._totals.pop(var, None)
        for added_to in self._waiting.pop(var, ()):
            total = added_to(total)
        return total


def _transpose_equation(equation: Equation, values: dict[Var, Any], cts: _Cotangents) -> None:
    of_outputs = [cts.take(v) for v in equation.outputs]
    if all(ct is None for ct in of_outputs):
        return
    primitive, linear = equation.primitive, cts.linear
    set_source(equation.source)
    # no index, predicate or count is linear in anything
    counts = any(a in linear and a.aval.dtype.kind not in "fc" for a in equation.inputs)
    if primitive.transpose is None or counts:
        raise not_linear(primitive.name)
    operands = [
        a.value if type(a) is Literal else Linear(a.aval) if a in linear else values[a]
        for a in equation.inputs
    ]
    given = of_outputs if primitive.multiple_results else of_outputs[0]
    if primitive.accumulate is None:
        results = primitive.transpose(given, *operands, **equation.params)
    elif not primitive.multiple_results:
        _accumulate_later(equation, given, operands, cts)
        return
    else:
        totals = [cts.take(a) if type(a) is Var else None for a in equation.inputs]
        results = primitive.accumulate(given, totals, *operands, **equation.params)
    for atom, ct in zip(equation.inputs, results, strict=True):
        cts.add(atom, ct)


def _accumulate_later(equation: Equation, ct: Any, operands: list[Any], cts: _Cotangents) -> None:
    """Of a primitive that is linear in its first operand."""
    others = [None] * (len(operands) - 1)
    accumulate, params = equation.primitive.accumulate, equation.params
    assert accumulate is not None

    def added_to(total: Any) -> Any:
        set_source(equation.source)
        return accumulate(ct, [total, *others], *operands, **params)[0]

    (var, *_) = equation.inputs
    assert type(var) is Var
    cts.add_later(var, added_to)
