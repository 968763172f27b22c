"""Linearisation: a Program at given inputs, split into its value and a linear Program.

There is no partial evaluator. The forward-mode rules run with primal values as they are and
tangents as tracers of a fresh trace; what depends on primals only goes wherever their values live
(NumPy, or an outer trace), so exactly the linear part is recorded (functrans/core/trace.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from functrans.core.interpret import evaluate
from functrans.core.program import Program
from functrans.core.simplify import drop_dead
from functrans.core.trace import Trace, make_program_flat
from functrans.transforms.forward import Nonzero, jvp


@dataclass(frozen=True)
class LinearMap:
    """A linear function of tangents: a Program over (residuals, nonzero input tangents).

    Attributes:
        program: gives the tangents of those outputs for which `out_nonzero` holds.
        residuals: values of the leading inputs of the Program.
        in_nonzero: which inputs of the linearised Program have a tangent.
        out_nonzero: which of its outputs depend on them.
    """

    program: Program
    residuals: list[Any]
    in_nonzero: Nonzero
    out_nonzero: Nonzero

    def apply(self, tangents: Sequence[Any]) -> list[Any]:
        """Output tangents (None where zero) for the nonzero input tangents."""
        outs = iter(evaluate(self.program, [*self.residuals, *tangents]))
        return [next(outs) if n else None for n in self.out_nonzero]


def linearize(
    program: Program,
    primals: Sequence[Any],
    nonzero: Sequence[bool],
    known: Mapping[Any, Any] | None = None,
) -> tuple[list[Any], LinearMap]:
    """The outputs of a Program at `primals`, and its derivative there as a LinearMap.

    Args:
        program: any Program.
        primals: values of its inputs.
        nonzero: with respect to which inputs to differentiate.
        known: values of variables computed before (by the concrete trace).
    """
    with Trace(staging=False, name=program.name) as linear:
        tangents = [
            linear.new_input(v.aval.strong()) if n else None
            for v, n in zip(program.inputs, nonzero, strict=True)
        ]
        outs, out_tangents = jvp(program, primals, tangents, known, linearizing=True)
        out_nonzero = tuple(t is not None for t in out_tangents)
        lin, captured = linear.finish([t for t in out_tangents if t is not None])
    lin, used = drop_dead(lin, keep_inputs_from=len(captured))
    residuals = [c for c, u in zip(captured, used, strict=False) if u]
    return outs, LinearMap(lin, residuals, tuple(nonzero), out_nonzero)


@dataclass(frozen=True)
class Linearized:
    """A linearised Program as two Programs, so that both halves can be compiled and kept.

    Attributes:
        forward: inputs → (outputs, residuals).
        linear: (residuals, nonzero input tangents) → nonzero output tangents.
        out_nonzero: which outputs have a tangent.
        residual_count: how many residuals pass from one to the other.
    """

    forward: Program
    linear: Program
    out_nonzero: Nonzero
    residual_count: int


def linearize_program(program: Program, nonzero: Nonzero) -> Linearized:
    """Split a closed Program into a forward Program and a linear Program."""
    key = ("linearize", nonzero)
    if key not in program.cache:
        program.cache[key] = _build(program, nonzero)
    return program.cache[key]


def _build(program: Program, nonzero: Nonzero) -> Linearized:
    linear_map: LinearMap | None = None

    def run(args: Sequence[Any]) -> list[Any]:
        nonlocal linear_map
        outs, linear_map = linearize(program, args, nonzero)
        return [*outs, *linear_map.residuals]

    forward = make_program_flat(run, program.in_avals, program.name)
    assert linear_map is not None
    return Linearized(
        forward, linear_map.program, linear_map.out_nonzero, len(linear_map.residuals)
    )
