"""The IR: a Program is a list of equations over typed variables, in A-normal form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import numpy as np

from functrans.core.errors import ProgramError
from functrans.core.primitive import Primitive
from functrans.core.source import Source
from functrans.core.types import Aval, aval_of

_INEXACT = (float, complex, np.inexact)


@final
class Var:
    """A typed variable; its identity is its name."""

    __slots__ = ("aval",)

    def __init__(self, aval: Aval) -> None:
        self.aval = aval


@final
class Literal:
    """A constant operand: a Python scalar (weak), a NumPy scalar or an array."""

    __slots__ = ("_key", "aval", "value")

    def __init__(self, value: Any, aval: Aval | None = None) -> None:
        self.value = value
        self.aval = aval if aval is not None else aval_of(value)
        self._key: tuple | None = None

    @property
    def key(self) -> tuple:
        """What two literals share exactly when they are the same constant, bit for bit."""
        if self._key is None:
            data = np.ascontiguousarray(np.asarray(self.value, self.aval.dtype)).tobytes()
            self._key = (self.aval, data)
        return self._key

    def __repr__(self) -> str:
        if self.aval.shape:
            return f"<{self.aval}>"
        value = np.asarray(self.value)[()]
        return f"{value}" if self.aval.weak_type else f"{value}:{self.aval}"


Atom = Var | Literal


class Equation:
    """outputs = primitive[params] inputs, and the user's line it came from."""

    __slots__ = ("inputs", "outputs", "params", "primitive", "source")

    def __init__(
        self,
        primitive: Primitive,
        inputs: Sequence[Atom],
        params: Mapping[str, Any],
        outputs: Sequence[Var],
        source: Source | None = None,
    ) -> None:
        self.primitive = primitive
        self.inputs = tuple(inputs)
        self.params = params
        self.outputs = tuple(outputs)
        self.source = source

    @property
    def flops(self) -> float:
        """What its primitive says that it takes; 0 if that says nothing."""
        if self.primitive.cost is None:
            return 0.0
        inputs, outputs = [a.aval for a in self.inputs], [v.aval for v in self.outputs]
        return float(self.primitive.cost(inputs, outputs, **self.params))

    def replace(
        self, inputs: Sequence[Atom] | None = None, outputs: Sequence[Var] | None = None
    ) -> Equation:
        return Equation(
            self.primitive,
            self.inputs if inputs is None else inputs,
            self.params,
            self.outputs if outputs is None else outputs,
            self.source,
        )


class Program:
    """A function as data: inputs, equations, outputs. Immutable; equal when structurally equal.

    Attributes:
        inputs: the variables it is a function of.
        equations: in an order in which every variable is bound before it is used.
        outputs: variables or literals.
        name: the name of the function it was traced from, for people.
    """

    __slots__ = ("_hash", "_key", "cache", "equations", "inputs", "name", "outputs")

    def __init__(
        self,
        inputs: Sequence[Var],
        equations: Sequence[Equation],
        outputs: Sequence[Atom],
        name: str = "",
    ) -> None:
        self.inputs = tuple(inputs)
        self.equations = tuple(equations)
        self.outputs = tuple(outputs)
        self.name = name
        self._key: tuple | None = None
        self._hash: int | None = None
        self.cache: dict[Any, Any] = {}
        """What transforms and the compiler derived from this Program, by their own keys."""

    @property
    def in_avals(self) -> tuple[Aval, ...]:
        return tuple(v.aval for v in self.inputs)

    @property
    def out_avals(self) -> tuple[Aval, ...]:
        return tuple(v.aval for v in self.outputs)

    @property
    def key(self) -> tuple:
        """The structure as a hashable tuple: variables by number, constants by value."""
        if self._key is None:
            self._key = _structure(self)
        return self._key

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash(self.key)
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Program) and hash(self) == hash(other) and self.key == other.key

    def __str__(self) -> str:
        from functrans.core.printer import format_program

        return format_program(self)

    def __repr__(self) -> str:
        return str(self)

    def __reduce__(self) -> Any:
        return (Program, (self.inputs, self.equations, self.outputs, self.name))

    def subprograms(self) -> Iterator[Program]:
        """The Programs held by the equations, one level down."""
        for equation in self.equations:
            yield from programs_in(equation.params)

    def to_dot(self) -> str:
        """The Program as a graph in Graphviz's language, to be drawn by `dot -Tsvg`.

        >>> import functrans as ft
        >>> print(ft.make_program(lambda x: x * x)(2.0).to_dot())  # doctest: +ELLIPSIS
        digraph {
          ...
          in0 -> e0 [label="f64*[]", fontsize=9];
          ...
        """
        from functrans.core.graph import program_graph

        return program_graph(self).dot()

    def to_mermaid(self) -> str:
        """The Program as a graph in the language of Mermaid, which GitHub draws."""
        from functrans.core.graph import program_graph

        return program_graph(self).mermaid()

    def check(self) -> None:
        """Re-infer every shape and dtype and check the scoping.

        Raises:
            ProgramError: a variable is used before it is bound or bound twice, or an equation's
                outputs are not what its primitive infers.
        """
        bound: set[Var] = set()
        for var in self.inputs:
            _bind(bound, var, "an input")
        for number, equation in enumerate(self.equations):
            where = f"equation {number} ({equation.primitive.name})"
            for atom in equation.inputs:
                _used(bound, atom, where)
            _check_types(equation, where)
            for var in equation.outputs:
                _bind(bound, var, where)
            for program in programs_in(equation.params):
                program.check()
        for atom in self.outputs:
            _used(bound, atom, "the outputs")


def programs_in(params: Mapping[str, Any]) -> Iterator[Program]:
    """The Programs among an equation's parameters, also inside tuples and what has `programs`."""
    for value in params.values():
        if isinstance(value, Program):
            yield value
        elif type(value) is tuple:
            yield from (p for p in value if isinstance(p, Program))
        elif hasattr(value, "programs"):
            yield from value.programs


def infer_outputs(
    primitive: Primitive, avals: Sequence[Aval], params: Mapping[str, Any]
) -> tuple[Aval, ...]:
    """The output avals of an equation, always as a tuple."""
    out = primitive.infer(*avals, **params)
    return tuple(out) if primitive.multiple_results else (out,)


def params_key(params: Mapping[str, Any]) -> tuple:
    """What equations of one meaning share: numbers bit for bit, as 0.0 == -0.0 and nan != nan."""
    return tuple([
        (k, (type(v), np.asarray(v).tobytes()) if isinstance(v, _INEXACT) else v)
        for k, v in params.items()
    ])  # fmt: skip


def _bind(bound: set[Var], var: Var, where: str) -> None:
    if var in bound:
        raise ProgramError(f"a variable of type {var.aval} is bound twice, again by {where}")
    bound.add(var)


def _used(bound: set[Var], atom: Atom, where: str) -> None:
    if isinstance(atom, Var) and atom not in bound:
        raise ProgramError(f"{where} uses a variable of type {atom.aval} that is not bound")


def _check_types(equation: Equation, where: str) -> None:
    inferred = infer_outputs(equation.primitive, [a.aval for a in equation.inputs], equation.params)
    declared = tuple(v.aval for v in equation.outputs)
    if inferred != declared:
        raise ProgramError(f"{where} is declared to give {declared} but infers {inferred}")


def _structure(program: Program) -> tuple:
    number: dict[Var, int] = {v: i for i, v in enumerate(program.inputs)}

    def name(atom: Atom) -> Any:
        return number[atom] if isinstance(atom, Var) else atom.key

    rows = []
    for equation in program.equations:
        inputs = tuple(map(name, equation.inputs))
        for var in equation.outputs:
            number[var] = len(number)
        avals = tuple(v.aval for v in equation.outputs)
        rows.append((equation.primitive.name, inputs, params_key(equation.params), avals))
    return (program.in_avals, tuple(rows), tuple(map(name, program.outputs)))
