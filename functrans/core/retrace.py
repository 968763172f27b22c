"""A trace along a Program that was traced before, for as long as the function does the same again.

Outside of jit a function runs anew in every call, and mostly it does what it did the last time. An
operation that is the next one of the known Program needs neither a shape rule nor a variable nor an
equation: only its value is computed. From the first one that differs on, the trace is an ordinary
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.program import Atom, Equation, Literal, Program, Var, params_key
from functrans.core.trace import UNKNOWN, Trace, Tracer, outside
from functrans.core.types import Aval


class Path:
    """A Program to trace along.

    Attributes:
        program: of the same equations, whose leading inputs stand for the constants.
        inputs: of the traced Program.
        steps: what an operation has to agree with (primitive, operands, parameters), and the
            equation that it then is. Arrays among the operands have None for a value, so that
            they are not kept.
    """

    def __init__(self, program: Program) -> None:
        self.inputs = program.inputs
        self.program, self._constants = lift_constants(program)
        self.steps = [
            (e.primitive, tuple(map(_bare, e.inputs)), params_key(e.params), lifted)
            for e, lifted in zip(program.equations, self.program.equations, strict=True)
        ]

    def starts_at(self, avals: Sequence[Aval]) -> bool:
        """Whether it is of a function of such arguments."""
        return [v.aval for v in self.inputs] == avals

    def taken(self, count: int, constants: Sequence[Any]) -> list[Equation]:
        """The first equations, with these constants."""
        values = dict(zip(self._constants, constants, strict=False))

        def actual(atom: Atom) -> Atom:
            return Literal(values[atom], atom.aval) if atom in values else atom

        return [e.replace(list(map(actual, e.inputs))) for e in self.program.equations[:count]]


class Retrace(Trace):
    """A trace with values along a path; `name` is that of the traced function."""

    __slots__ = ("_at", "_constants", "_path")

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(staging=False, name=name)
        self._path = path
        self._at = 0
        """How many of its steps came by; -1 after an operation that differs."""
        self._constants: list[Any] = []

    def new_input(self, aval: Aval, value: Any = UNKNOWN) -> Tracer:
        var = self._path.inputs[len(self.inputs)]
        self.inputs.append(var)
        self.values[var] = value
        return Tracer(self, var, value)

    def record(self, primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
        # eager derivatives spend their time here, hence one loop over the operands
        at, steps, count = self._at, self._path.steps, len(self._constants)
        if 0 <= at < len(steps):
            expected, atoms, key, equation = steps[at]
            agree = primitive is expected and len(args) == len(atoms)
            if agree and (not (params or key) or params_key(params) == key):
                values = []
                for x, atom in zip(args, atoms, strict=True):
                    if type(x) is Tracer:
                        if x.variable is not atom or x.owner is not self:
                            break
                        values.append(x.value)
                    elif type(atom) is Literal and _is_like(x, atom):
                        values.append(x)
                        self._constants.append(x)
                    else:
                        break
                else:
                    self._at = at + 1
                    return self._follow(equation, values)
                del self._constants[count:]
        if at >= 0:
            self._leave()
        return super().record(primitive, args, params)

    def _follow(self, equation: Equation, values: list[Any]) -> Any:
        outputs = equation.outputs
        if not equation.primitive.multiple_results:
            var = outputs[0]
            self.values[var] = out = equation.primitive.evaluate(*values, **equation.params)
            return Tracer(self, var, out)
        with outside():
            results = equation.primitive.evaluate(*values, **equation.params)
        self.values.update(zip(outputs, results, strict=True))
        return [Tracer(self, v, y) for v, y in zip(outputs, results, strict=True)]

    def _leave(self) -> None:
        """Go on as a trace that has recorded the equations so far."""
        self.equations = self._path.taken(self._at, self._constants)
        self._at = -1

    def finish(self, outputs: Sequence[Any]) -> tuple[Program, list[Any]]:
        """As of any trace; if the path was followed to its end its program and constants."""
        program = self._path.program
        if self._at == len(program.equations):
            found = [y.variable if type(y) is Tracer and y.owner is self else None for y in outputs]
            if found == list(program.outputs):
                return program, self._constants
        if self._at >= 0:
            self._leave()
        return super().finish(outputs)


def lift_constants(program: Program) -> tuple[Program, list[Var]]:
    """The Program with its constants as leading inputs, in the order in which they occur."""
    constants: list[Var] = []

    def lifted(atom: Atom) -> Atom:
        if type(atom) is not Literal:
            return atom
        constants.append(Var(atom.aval))
        return constants[-1]

    equations = [e.replace(list(map(lifted, e.inputs))) for e in program.equations]
    inputs = [*constants, *program.inputs]
    return Program(inputs, equations, program.outputs, program.name), constants


def _bare(atom: Atom) -> Atom:
    if type(atom) is Literal and isinstance(atom.value, np.ndarray):
        return Literal(None, atom.aval)
    return atom


def _is_like(x: Any, constant: Literal) -> bool:
    """Whether x is of the constant's type."""
    if constant.value is not None:
        return type(x) is type(constant.value)
    aval = constant.aval
    return type(x) is np.ndarray and x.shape == aval.shape and x.dtype == aval.dtype
