"""Taylor mode: a Program run on truncated power series.

An equation whose primitive has a `taylor` rule follows it. For the others there is one law: the
derivative of y(t) = f(x(t)) is y' = jvp(f)(x; x'). Its right side is a Program, so it is run on
series in turn, and coefficient k of y is coefficient k - 1 of that, over k. Nothing is computed
before it is asked for, and an equation on operands that it was run on before gives the series that
it gave then: so the exponential in its own derivative is that exponential, the sine in the
derivative of its cosine that sine, and every order costs one more term of a few sums.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any

from functrans.core.interpret import Environment
from functrans.core.primitive import Primitive
from functrans.core.program import Program, params_key
from functrans.core.source import set_source
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, aval_of, dtype_of
from functrans.transforms.forward import Nonzero, jvp_program
from functrans.transforms.taylor import Series, coefficient, first_of, scaled


def series_of(program: Program, operands: Sequence[Any]) -> list[Any]:
    """The outputs of a Program, as Series or, where they do not depend on t, as values.

    Args:
        program: any Program.
        operands: Series or values of its inputs.
    """
    return _Run().run(program, operands)


class _Run:
    """The series made so far, by the equation and the operands that they came from."""

    def __init__(self) -> None:
        self.made: dict[Hashable, tuple[list[Any], Any]] = {}
        self.derivatives: dict[int, tuple[Any, Series]] = {}  # with what they are of, by its id

    def run(self, program: Program, operands: Sequence[Any]) -> list[Any]:
        env = Environment(program.inputs, operands)
        before = set_source(None)
        try:
            for equation in program.equations:
                set_source(equation.source)
                values = env.read_all(equation.inputs)
                if any(type(x) is Series for x in values):
                    results = self._apply(equation.primitive, values, equation.params)
                    env.values.update(zip(equation.outputs, results, strict=True))
                else:
                    env.write(equation, equation.primitive.bind(*values, **equation.params))
        finally:
            set_source(before)
        return env.read_all(program.outputs)

    def _apply(self, primitive: Primitive, operands: list[Any], params: Any) -> list[Any]:
        key = (primitive, params_key(params), *map(id, operands))
        if key not in self.made:
            results = self._new(primitive, operands, params)
            self.made[key] = results, operands  # the operands live as long as their identities
        return self.made[key][0]

    def _new(self, primitive: Primitive, operands: list[Any], params: Any) -> list[Any]:
        order = min(x.order for x in operands if type(x) is Series)
        if primitive.jet is not None:
            return primitive.jet(operands, order, self.run, **params)
        result = primitive.bind(*map(first_of, operands), **params)
        firsts = result if primitive.multiple_results else [result]
        if primitive.taylor is not None and dtype_of(result).kind in "fc":
            return [self._by_rule(primitive, operands, params, result, order)]
        return self._by_jvp(primitive, operands, params, firsts, order)

    def _derivative(self, x: Series) -> Any:
        """The series of x'; a value where no more than its first coefficient is known."""
        if id(x) not in self.derivatives:
            first = _zeros(x.first) if x[1] is None else x[1]
            more = Series(first, x.order - 1, lambda k: scaled(x[k + 1], k + 1))
            self.derivatives[id(x)] = (first if x.order == 1 else more), x
        return self.derivatives[id(x)][0]

    def _by_rule(
        self, primitive: Primitive, operands: list[Any], params: Any, first: Any, order: int
    ) -> Series:
        rule = primitive.taylor
        assert rule is not None
        y = Series(first, order, lambda k: rule(primitive, k, y, *operands, **params))
        return y

    def _by_jvp(
        self, primitive: Primitive, operands: list[Any], params: Any, firsts: Any, order: int
    ) -> list[Any]:
        moving = tuple(type(x) is Series for x in operands)
        avals = tuple(map(aval_of, map(first_of, operands)))
        program, nonzero = _jvp_of_one(_One(primitive, avals, params), moving)
        slopes: list[Any] = []

        def slope(i: int) -> Any:
            if not slopes:
                tangents = [self._derivative(x) for x in operands if type(x) is Series]
                found = iter(self.run(program, [*operands, *tangents])[len(firsts) :])
                slopes.extend(next(found) if n else None for n in nonzero)
            return slopes[i]

        def series(i: int, first: Any) -> Any:
            if not nonzero[i]:
                return first
            return Series(first, order, lambda k: scaled(coefficient(slope(i), k - 1), 1 / k))

        return [series(i, y) for i, y in enumerate(firsts)]


def _zeros(x: Any) -> Any:
    from functrans.primitives.arithmetic import zeros_like

    return zeros_like(x)


class _One:
    """An equation by itself, as a key: a primitive, the types of its operands, parameters."""

    def __init__(self, primitive: Primitive, avals: tuple[Aval, ...], params: Any) -> None:
        self.primitive, self.avals, self.params = primitive, avals, params
        self._key = (primitive, avals, params_key(params))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _One) and self._key == other._key


@lru_cache(maxsize=4096)
def _jvp_of_one(one: _One, moving: Nonzero) -> tuple[Program, Nonzero]:
    """The jvp of the Program of one equation, and which results have a tangent."""

    def run(values: Sequence[Any]) -> list[Any]:
        result = one.primitive.bind(*values, **one.params)
        return list(result) if one.primitive.multiple_results else [result]

    program = make_program_flat(run, list(one.avals), one.primitive.name)
    return jvp_program(program, moving)


# --- Programs of series ---------------------------------------------------------------------------


def series_program(
    program: Program, moving: Nonzero, order: int, force: Nonzero
) -> tuple[Program, Nonzero]:
    """The Program (inputs, coefficients 1 to order of the moving ones) → the same of its outputs.

    Args:
        program: a closed Program.
        moving: which inputs are series.
        order: of the series.
        force: outputs that shall be series, with coefficients of zero if they do not depend on t.

    Returns:
        The Program, and which of its outputs are series.
    """
    key = ("series", moving, order, force)
    if key not in program.cache:
        program.cache[key] = _build(program, moving, order, force)
    return program.cache[key]


def _build(program: Program, moving: Nonzero, order: int, force: Nonzero) -> Any:
    count = len(program.inputs)
    out_moving: Nonzero = ()

    def run(args: Sequence[Any]) -> list[Any]:
        nonlocal out_moving
        outs = series_of(program, joined(args[:count], args[count:], moving, order))
        out_moving = tuple(type(y) is Series or f for y, f in zip(outs, force, strict=True))
        return [*map(first_of, outs), *coefficients(outs, out_moving, order)]

    extra = [a.strong() for a, m in zip(program.in_avals, moving, strict=True) if m]
    avals = [*program.in_avals, *[a for a in extra for _ in range(order)]]
    return make_program_flat(run, avals, f"jet({program.name})"), out_moving


def joined(
    values: Sequence[Any], rest: Sequence[Any], moving: Sequence[bool], order: int
) -> list[Any]:
    """Values with their coefficients, which follow one another in `rest`, as Series."""
    operands, at = [], 0
    for x, m in zip(values, moving, strict=True):
        if m:
            operands.append(Series(x, order, _term_of(rest[at : at + order])))
            at += order
        else:
            operands.append(x)
    return operands


def _term_of(terms: Sequence[Any]) -> Callable[[int], Any]:
    return lambda k: terms[k - 1]


def coefficients(operands: Sequence[Any], moving: Sequence[bool], order: int) -> list[Any]:
    """The coefficients from 1 to order of the moving operands, one after the other."""
    found = []
    for x, m in zip(operands, moving, strict=True):
        for k in range(1, order + 1) if m else ():
            term = coefficient(x, k)
            found.append(_zeros(first_of(x)) if term is None else term)
    return found
