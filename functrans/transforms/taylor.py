"""Truncated power series of values, and rules for their coefficients.

A `Series` stands for x(t) = x₀ + x₁ t + x₂ t² + … . Its coefficients are computed when they are
asked for, each once. A rule `taylor(primitive, k, y, *operands, **params)` gives coefficient k ≥ 1
of the result y from coefficients up to k of the operands and, as in the recurrence for a quotient,
those below k of y itself. Coefficients are None where they are zero. Operands that do not depend on
t are plain values.

Most primitives need no rule: y' = jvp(x; x') determines the series of y from that of x and the
jvp rule (functrans/transforms/series.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from functrans.core.types import dtype_of


class Series:
    """A truncated power series.

    Args:
        first: coefficient 0.
        order: the highest power whose coefficient is known.
        make: k → coefficient k, for k from 1 to order; None for zero.
    """

    __slots__ = ("_known", "_make", "first", "order")

    def __init__(self, first: Any, order: int, make: Callable[[int], Any]) -> None:
        self.first = first
        self.order = order
        self._make = make
        self._known: dict[int, Any] = {}

    def __getitem__(self, k: int) -> Any:
        """Coefficient k."""
        if k == 0:
            return self.first
        if k not in self._known:
            self._known[k] = self._make(k)
        return self._known[k]


def first_of(x: Any) -> Any:
    """The value at t = 0."""
    return x.first if type(x) is Series else x


def coefficient(x: Any, k: int) -> Any:
    """Coefficient k of an operand."""
    if type(x) is Series:
        return x[k]
    return x if k == 0 else None


def linear(*places: int) -> Callable[..., Any]:
    """The rule of what is linear in the operands at these places together (by default in all)."""

    def rule(primitive: Any, k: int, y: Series, *operands: Any, **params: Any) -> Any:
        from functrans.primitives.arithmetic import zeros_like

        terms = {i: coefficient(operands[i], k) for i in places or range(len(operands))}
        if all(term is None for term in terms.values()):
            return None
        filled = [
            x if i not in terms else zeros_like(x) if terms[i] is None else terms[i]
            for i, x in enumerate(map(first_of, operands))
        ]
        return primitive.bind(*filled, **params)

    return rule


def bilinear(primitive: Any, k: int, y: Series, a: Any, b: Any, **params: Any) -> Any:
    """The rule of a product: the sum of the products of coefficients whose powers make k."""
    pairs = ((coefficient(a, i), coefficient(b, k - i)) for i in range(k + 1))
    return total(
        primitive.bind(p, q, **params) for p, q in pairs if p is not None and q is not None
    )


def quotient(primitive: Any, k: int, y: Series, a: Any, b: Any) -> Any:
    """The rule of y = a / b, from y b = a."""
    from functrans.primitives.arithmetic import mul_p, sub_p

    rest = total(
        mul_p.bind(y[k - i], b[i])
        for i in range(1, k + 1)
        if type(b) is Series and b[i] is not None and y[k - i] is not None
    )
    top = coefficient(a, k)
    if rest is not None:
        top = -rest if top is None else sub_p.bind(top, rest)
    return None if top is None else primitive.bind(top, first_of(b))


def total(terms: Iterable[Any]) -> Any:
    """The sum of terms of one type; None if there are none."""
    from functrans.primitives.arithmetic import add_p

    result = None
    for term in terms:
        result = term if result is None else add_p.bind(result, term)
    return result


def scaled(term: Any, factor: float) -> Any:
    """A coefficient times a number."""
    from functrans.primitives.arithmetic import mul_p

    return term if term is None or factor == 1 else mul_p.bind(term, dtype_of(term).type(factor))


def of_held(operands: list[Any], order: int, run: Callable[..., list[Any]], **params: Any) -> Any:
    """The `jet` rule of a primitive that only runs the Program it holds."""
    return run(params["program"], operands)
