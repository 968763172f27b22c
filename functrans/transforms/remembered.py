"""Gradients outside of jit of functions seen before: the backward pass as one Python function.

Outside of jit a gradient starts from a new Program in every call, whose derivation (jvp rules, a
linear Program, its transposition) costs several times the NumPy operations that it leads to. But it
depends on the structure of the Program alone. So when a structure comes by for the second time, it
is derived with tracers in place of all the values that the trace knows. What comes out is written
down as a straight line of calls of NumPy, and does the backward pass from then on: the same
operations on the same values. The next call of the function is traced along this Program.

This holds for primitives without Programs in them: a loop, a branch, a rule of the user's or a
jitted call may be derived otherwise at other values, or is compiled anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np

from functrans.core.program import Literal, Program, Var, params_key
from functrans.core.retrace import Path, lift_constants
from functrans.core.simplify import drop_dead
from functrans.core.trace import make_program_flat, trace_depth
from functrans.core.types import Aval
from functrans.transforms.api import Traced
from functrans.transforms.forward import Nonzero
from functrans.transforms.linear_maps import owned, pull_back
from functrans.transforms.linearize import linearize

CAPACITY = 1024
"""Structures remembered; the oldest goes first."""
LONGEST = 2000
"""Equations of a Program that is remembered."""

_seen: dict[Hashable, Path | None] = {}
"""By structure; None for those that came by once."""
_last: dict[Hashable, Path] = {}
"""By the code of a function what it was when its gradient was last taken."""
_BACKWARD = "backward"
"""Under this the cache of a path's Program has its Backward."""


def path(fun: Any) -> Path | None:
    """What a function was when its gradient was last taken, to trace it along."""
    if trace_depth():
        return None
    return _last.get(getattr(fun, "__code__", None))


def gradient(fun: Any, traced: Traced, mask: Nonzero, seed: Any) -> list[Any] | None:
    """The cotangents of a function's own arguments, if it was seen before.

    Args:
        fun: a scalar function.
        traced: the same at concrete arguments.
        mask: with respect to which of its arguments to differentiate.
        seed: the cotangent of its value.

    Returns:
        As `pull_back`; None if the ordinary way has to be taken.
    """
    program = traced.program
    if traced.known is None or trace_depth():
        return None
    if _BACKWARD in program.cache:  # it was traced along a path
        return program.cache[_BACKWARD](traced, [])
    structure = None if traced.captured_count else _structure(program, mask)
    if structure is None:
        return None
    key, constants = structure
    try:
        way = _seen[key]
    except KeyError:
        _remember(_seen, key, None)
        return None
    except TypeError:  # a parameter that cannot be hashed
        return None
    if way is None:
        way = Path(program)
        way.program.cache[_BACKWARD] = Backward(program, mask, seed)
        _seen[key] = way
    _remember(_last, getattr(fun, "__code__", None), way)
    return way.program.cache[_BACKWARD](traced, constants)


def _remember(table: dict[Hashable, Any], key: Hashable, value: Any) -> None:
    while key not in table and len(table) >= CAPACITY:
        table.pop(next(iter(table)), None)
    table[key] = value


def _structure(program: Program, mask: Nonzero) -> tuple[Hashable, list[Any]] | None:
    """What decides over the derivation, as a key, and the values of the Program's constants."""
    if len(program.equations) > LONGEST:
        return None
    numbers: dict[Any, int] = {v: i for i, v in enumerate(program.inputs)}
    key: list[Hashable] = [mask, *[_type(v.aval) for v in program.inputs]]
    literals: list[Any] = []
    for equation in program.equations:
        primitive = equation.primitive
        if primitive.forward is not None or primitive.linearize is not None or primitive.effects:
            return None
        key.append(primitive)
        for atom in equation.inputs:
            if type(atom) is Literal:
                literals.append(atom.value)
                key.append(_type(atom.aval))
            else:
                key.append(numbers[atom])
        if equation.params:
            key.append(params_key(equation.params))
        for var in equation.outputs:
            numbers[var] = len(numbers)
    key.append(numbers.get(program.outputs[0]))
    return tuple(key), literals


def _type(aval: Aval) -> Hashable:
    return aval.shape, aval.dtype, aval.weak_type


class Backward:
    """The backward pass of all Programs of one structure."""

    def __init__(self, program: Program, mask: Nonzero, seed: Any) -> None:
        lifted, constants = lift_constants(program)
        results = [v for e in lifted.equations for v in e.outputs]
        variables = [*lifted.inputs, *results]
        own = [v.aval for v in program.inputs]

        def run(values: Sequence[Any]) -> list[Any]:
            known = dict(zip(variables, values, strict=True))
            primals = values[: len(lifted.inputs)]
            whole = (*(False,) * len(constants), *mask)
            _, linear = linearize(lifted, primals, whole, known)
            return pull_back(linear, [seed], own)

        avals = [v.aval for v in variables]
        derived = make_program_flat(run, avals, f"grad({program.name})")
        derived, used = drop_dead(derived, keep_inputs_from=len(variables))
        at, first = [i for i, u in enumerate(used) if u], len(lifted.inputs)
        self._inputs = [i for i in at if i < first]
        places = [(n, k) for n, e in enumerate(program.equations) for k in range(len(e.outputs))]
        self._results = [places[i - first] for i in at if i >= first]
        self._run = _straight_line(derived)

    def __call__(self, traced: Traced, constants: Sequence[Any]) -> list[Any]:
        known, equations = traced.known, traced.program.equations
        assert known is not None
        inputs = [*constants, *traced.primals]
        values = [inputs[i] for i in self._inputs]
        values += [known[equations[n].outputs[k]] for n, k in self._results]
        return [owned(x) for x in self._run(*values)]


def _straight_line(program: Program) -> Callable[..., list[Any]]:
    """A Python function that evaluates the equations one after the other."""
    names: dict[Any, str] = {v: f"x{i}" for i, v in enumerate(program.inputs)}
    scope: dict[str, Any] = {}
    last = _last_uses(program)
    lines = [f"def backward({', '.join(names.values())}):"]

    def shown(atom: Any) -> str:
        if type(atom) is Var:
            return names[atom]
        name = f"c{len(scope)}"
        scope[name] = atom.value
        return name

    for number, equation in enumerate(program.equations):
        evaluate, params = equation.primitive.evaluate, equation.params
        function = f"f{len(scope)}"
        scope[function] = partial(evaluate, **params) if params else evaluate
        operands = ", ".join(map(shown, equation.inputs))
        for var in equation.outputs:
            names[var] = f"x{len(names)}"
        results = ", ".join(names[v] for v in equation.outputs)
        comma = "," if equation.primitive.multiple_results and len(equation.outputs) == 1 else ""
        lines.append(f"    {results}{comma} = {function}({operands})")
        dead = [names[v] for v in last.get(number, ())]
        if dead:
            lines.append(f"    del {', '.join(dead)}")
    outputs = [
        f"{shown(a)}.copy()" if type(a) is Literal and isinstance(a.value, np.ndarray) else shown(a)
        for a in program.outputs
    ]
    lines.append(f"    return [{', '.join(outputs)}]")
    exec("\n".join(lines), scope)
    return scope["backward"]


def _last_uses(program: Program) -> dict[int, list[Var]]:
    """By equation the variables that no later one reads; they need not live on."""
    kept = set(program.outputs)
    found: dict[int, list[Var]] = {}
    seen: set[Any] = set()
    for number in range(len(program.equations) - 1, -1, -1):
        equation = program.equations[number]
        for var in dict.fromkeys((*equation.inputs, *equation.outputs)):
            if type(var) is Var and var not in seen and var not in kept:
                found.setdefault(number, []).append(var)
            seen.add(var)
    return found
