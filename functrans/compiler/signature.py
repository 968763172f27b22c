"""What kernels of one form share: their structure with variables as numbers.

An unrolled loop has the same kernel in every step, of other variables. It is emitted once.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from functrans.compiler.emitted import EmittedKernel
from functrans.compiler.grouping import Kernel
from functrans.compiler.kernel import emit_kernel
from functrans.core.program import Atom, Equation, Literal, Var, params_key


class Emitter:
    """Emits the kernels of one schedule, each form once."""

    def __init__(self) -> None:
        self._forms: dict[Hashable, tuple[EmittedKernel, dict[Var, int]]] = {}

    def emit(
        self,
        kernel: Kernel,
        inlined: dict[Var, Equation],
        stored: set[Var],
        overwritten: dict[Var, Var],
    ) -> EmittedKernel:
        """The IR of a kernel, see `emit_kernel`."""
        form = _Form(inlined, stored)
        key = (
            form.of(kernel),
            tuple((form.numbers[a], form.numbers[b]) for a, b in overwritten.items()),
        )
        if key not in self._forms:
            self._forms[key] = emit_kernel(kernel, inlined, stored, overwritten), form.numbers
        known, numbers = self._forms[key]
        if numbers is form.numbers:
            return known
        own = list(form.numbers)

        def renamed(atom: Any) -> Any:
            return own[numbers[atom]] if isinstance(atom, Var) else atom

        buffers = tuple(map(renamed, known.buffers))
        return replace(known, buffers=buffers, outputs=tuple(map(renamed, known.outputs)))


class _Form:
    """Numbers variables in the order in which a walk over a kernel meets them."""

    def __init__(self, inlined: dict[Var, Equation], stored: set[Var]) -> None:
        self.inlined, self.stored = inlined, stored
        self.numbers: dict[Var, int] = {}
        self._key: list[Hashable] = []

    def of(self, kernel: Kernel) -> Hashable:
        """The form of a kernel."""
        self._key = [kernel.shape, kernel.reduced, kernel.inner, kernel.blocks]
        for member in kernel.members:
            self._key.append((member.per_row, member.stage))
            self._equation(member.equation)
        return tuple(self._key)

    def _equation(self, equation: Equation) -> None:
        operands = tuple([self._atom(a) for a in equation.inputs])
        results = []
        for var in equation.outputs:
            self.numbers.setdefault(var, len(self.numbers))
            results.append((var.aval, var in self.stored))
        name = equation.primitive.name
        self._key.append((name, params_key(equation.params), operands, *results))

    def _atom(self, atom: Atom) -> Hashable:
        if isinstance(atom, Literal):
            return atom.key
        if atom not in self.numbers:
            producer = self.inlined.get(atom)
            if producer is not None:
                self._equation(producer)
            else:
                self.numbers[atom] = len(self.numbers)
                self._key.append(atom.aval)
        return self.numbers[atom]
