"""The linear part of an equation some of whose results do not depend on its linear operands.

A jitted function with a derivative beside its value, a loop with a counter: one equation gives what
a transposition has to know and what it runs backwards. Linearised at any value of the linear
operands, it falls into these two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core.dependence import depends, equation_depends
from functrans.core.interpret import evaluate
from functrans.core.primitive import not_linear, registry
from functrans.core.program import Equation, Program, Var
from functrans.core.simplify import drop_dead, inline_calls
from functrans.core.trace import make_program_flat
from functrans.transforms.api import zeros_of
from functrans.transforms.linearize import Linearized, linearize_program


def linear_part(equation: Equation, values: dict[Var, Any], linear: set[Var]) -> Equation:
    """The equation to run backwards.

    Args:
        equation: it has operands among the linear variables.
        values: of variables that are not linear; the results that are not linear are added.
        linear: variables that depend on the linear operands; the results that do are added.

    Raises:
        TransformError: the results do not depend linearly on them.
    """
    primitive = equation.primitive
    if primitive.depends is None:
        linear.update(equation.outputs)
        return equation
    mask = [type(a) is Var and a in linear for a in equation.inputs]
    results = [bool(d) for d in equation_depends(equation, mask)]
    linear.update(v for v, n in zip(equation.outputs, results, strict=True) if n)
    if all(results) and primitive.transpose is not None:
        return equation
    known, parts = _divided(equation, mask, results)
    operands = [
        zeros_of(a.aval) if n else values[a] if isinstance(a, Var) else a.value
        for a, n in zip(equation.inputs, mask, strict=True)
    ]
    residuals = [Var(a) for a in parts.linear.in_avals[: parts.residual_count]]
    fixed = [v for v, n in zip(equation.outputs, results, strict=True) if not n]
    values.update(zip([*fixed, *residuals], evaluate(known, operands), strict=True))
    return Equation(
        registry["call"],
        [*residuals, *[a for a, n in zip(equation.inputs, mask, strict=True) if n]],
        {"program": parts.linear},
        [v for v, n in zip(equation.outputs, parts.out_nonzero, strict=True) if n],
        equation.source,
    )


def _divided(
    equation: Equation, mask: Sequence[bool], results: Sequence[bool]
) -> tuple[Program, Linearized]:
    """The Program of the results that are not linear and of residuals, and what is linear."""
    primitive = equation.primitive
    alone = make_program_flat(
        lambda args: primitive.bind(*args, **equation.params),
        [a.aval for a in equation.inputs],
        primitive.name,
    )
    parts = linearize_program(alone, tuple(mask))
    if _reads_linear(parts, mask, len(results)) and "rule" not in equation.params:
        # a checkpoint keeps operands to compute what it needs again, whether linear or not
        parts = linearize_program(inline_calls(alone, primitive), tuple(mask))
    if _reads_linear(parts, mask, len(results)):
        raise not_linear(primitive.name)
    forward = parts.forward
    outputs = forward.outputs
    kept = [a for a, n in zip(outputs, results, strict=False) if not n]
    kept += outputs[len(results) :]
    return drop_dead(Program(forward.inputs, forward.equations, kept, primitive.name))[0], parts


def _reads_linear(parts: Linearized, mask: Sequence[bool], count: int) -> bool:
    """Whether a residual depends on a linear operand."""
    return any(depends(parts.forward, mask)[count:])
