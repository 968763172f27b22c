"""Transposition: a Program linear in some inputs, run backwards on cotangents."""

from __future__ import annotations

from collections.abc import Sequence
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
        ct_of = {v: t for v, t in zip(program.inputs, totals, strict=False) if t is not None}
        for atom, ct in zip(program.outputs, cotangents, strict=True):
            _accumulate(ct_of, linear, atom, ct)
        for equation in reversed(backward):
            _transpose_equation(equation, values, linear, ct_of)
    finally:
        set_source(before)
    return [ct_of.get(v) for v in program.inputs]


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


def _transpose_equation(
    equation: Equation, values: dict[Var, Any], linear: set[Var], ct_of: dict[Var, Any]
) -> None:
    cts = [ct_of.pop(v, None) for v in equation.outputs]
    if all(ct is None for ct in cts):
        return
    primitive = equation.primitive
    set_source(equation.source)
    # no index, predicate or count is linear in anything
    counts = any(a in linear and a.aval.dtype.kind not in "fc" for a in equation.inputs)
    if primitive.transpose is None or counts:
        raise not_linear(primitive.name)
    operands = [
        a.value if type(a) is Literal else Linear(a.aval) if a in linear else values[a]
        for a in equation.inputs
    ]
    ct_in = cts if primitive.multiple_results else cts[0]
    if primitive.accumulate is None:
        results = primitive.transpose(ct_in, *operands, **equation.params)
    else:
        totals = [ct_of.pop(a, None) if type(a) is Var else None for a in equation.inputs]
        results = primitive.accumulate(ct_in, totals, *operands, **equation.params)
    for atom, ct in zip(equation.inputs, results, strict=True):
        _accumulate(ct_of, linear, atom, ct)


def _accumulate(ct_of: dict[Var, Any], linear: set[Var], atom: Atom, ct: Any) -> None:
    if ct is None or type(atom) is Literal or atom not in linear:
        return
    before = ct_of.get(atom)  # type: ignore[arg-type]
    ct_of[atom] = ct if before is None else registry["add"].bind(before, ct)  # type: ignore[index]
