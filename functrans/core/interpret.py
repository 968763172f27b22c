"""Running a Program on values: arrays (NumPy evaluates) or tracers (it is recorded anew)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from functrans.core.program import Atom, Equation, Literal, Program, Var
from functrans.core.source import set_source
from functrans.core.types import weakened


class Environment:
    """The values of a Program's variables while it is being interpreted."""

    __slots__ = ("values",)

    def __init__(self, variables: Iterable[Var], values: Iterable[Any]) -> None:
        self.values: dict[Var, Any] = dict(zip(variables, values, strict=True))

    def read(self, atom: Atom) -> Any:
        return atom.value if type(atom) is Literal else self.values[atom]  # type: ignore[index]

    def read_all(self, atoms: Iterable[Atom]) -> list[Any]:
        values = self.values
        return [a.value if type(a) is Literal else values[a] for a in atoms]  # type: ignore[index]

    def write(self, equation: Equation, result: Any) -> None:
        if equation.primitive.multiple_results:
            self.values.update(zip(equation.outputs, result, strict=True))
        else:
            self.values[equation.outputs[0]] = result


def evaluate(program: Program, args: Sequence[Any]) -> list[Any]:
    """The outputs of a Program on arrays or tracers."""
    env = Environment(program.inputs, args)
    before = set_source(None)
    try:
        for equation in program.equations:
            set_source(equation.source)
            inputs = env.read_all(equation.inputs)
            env.write(equation, equation.primitive.bind(*inputs, **equation.params))
    finally:
        set_source(before)
    return weakened(env.read_all(program.outputs), program.out_avals)
