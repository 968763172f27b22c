"""What a Program needs besides its operands: effects to happen, named axes to be open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from functrans.core.primitive import Primitive
from functrans.core.program import Equation, Program, programs_in


def has_effects(equation: Equation) -> bool:
    """Whether an equation does something besides computing its results, perhaps in a subprogram."""
    return acts(equation.primitive, equation.params)


def _program_has_effects(program: Program) -> bool:
    if "effects" not in program.cache:
        program.cache["effects"] = any(map(has_effects, program.equations))
    return program.cache["effects"]


def has_ruled_effects(equation: Equation) -> bool:
    """Whether there are effects in a function with a derivative rule, which may repeat them."""
    if "rule" in equation.params:
        return has_effects(equation)
    return any(map(_program_has_ruled_effects, programs_in(equation.params)))


def _program_has_ruled_effects(program: Program) -> bool:
    if "ruled effects" not in program.cache:
        program.cache["ruled effects"] = any(map(has_ruled_effects, program.equations))
    return program.cache["ruled effects"]


def silent(params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parameters with Programs that compute the same without effects.

    None if there is no such Program, since an effect has results.
    """
    if not all(map(_can_be_silent, programs_in(params))):
        return None

    def quiet(value: Any) -> Any:
        return _silent_program(value) if isinstance(value, Program) else value

    return {k: tuple(map(quiet, v)) if type(v) is tuple else quiet(v) for k, v in params.items()}


def without_effects(program: Program) -> Program:
    """The Program without its effects, for running again; as it is if they have results."""
    return _silent_program(program) if _can_be_silent(program) else program


def _can_be_silent(program: Program) -> bool:
    """Whether no effect in it has results."""
    if "can be silent" not in program.cache:
        program.cache["can be silent"] = all(
            not (e.primitive.effects and e.outputs)
            and all(map(_can_be_silent, programs_in(e.params)))
            for e in program.equations
        )
    return program.cache["can be silent"]


def _silent_program(program: Program) -> Program:
    if not _program_has_effects(program):
        return program
    if "silent" not in program.cache:
        equations = [
            Equation(e.primitive, e.inputs, silent(e.params) or {}, e.outputs, e.source)
            for e in program.equations
            if not e.primitive.effects
        ]
        program.cache["silent"] = Program(program.inputs, equations, program.outputs, program.name)
    return program.cache["silent"]


def uses_axis_name(params: Mapping[str, Any]) -> bool:
    """Whether an equation with these parameters refers to a named axis, perhaps in a subprogram.

    It may then differ along that axis even where its operands do not.
    """
    if params.get("axis_name") is not None:
        return True
    return any(map(_program_uses_axis_name, programs_in(params)))


def _program_uses_axis_name(program: Program) -> bool:
    if "axis names" not in program.cache:
        program.cache["axis names"] = any(uses_axis_name(e.params) for e in program.equations)
    return program.cache["axis names"]


def acts(primitive: Primitive, params: Mapping[str, Any]) -> bool:
    """Whether an equation of this primitive would have effects."""
    return primitive.effects or any(map(_program_has_effects, programs_in(params)))


def belongs_to_trace(params: Mapping[str, Any]) -> bool:
    """Whether Programs held in the parameters must be recorded where something is being traced,
    even without traced operands: their effects belong to the run, their axes to the vmap, and the
    arrays they create would be recorded there one by one."""
    return any(
        _program_has_effects(p) or _program_uses_axis_name(p) or _program_creates(p)
        for p in programs_in(params)
    )


def _program_creates(program: Program) -> bool:
    if "creates" not in program.cache:
        program.cache["creates"] = any(
            e.primitive.creates or any(map(_program_creates, programs_in(e.params)))
            for e in program.equations
        )
    return program.cache["creates"]
