"""Index expressions: the arithmetic is NumPy's, and there is no division that ranges rule out."""

import itertools

import numpy as np
import pytest

from functrans.compiler.index import Counter, IndexExpr, reshaped

SHAPES = [
    (),
    (1,),
    (24,),
    (4, 6),
    (6, 4),
    (2, 3, 4),
    (1, 8, 3),
    (8, 1, 3),
    (2, 12, 1),
    (3, 2, 2, 2),
]
PAIRS = [(a, b) for a, b in itertools.product(SHAPES, repeat=2) if np.prod(a) == np.prod(b)]


@pytest.mark.parametrize(("shape", "other"), PAIRS)
def test_reshaped_indices(shape, other):
    places = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    there = places.reshape(other)
    for index in np.ndindex(shape):
        found = reshaped(list(index), shape, other)
        assert all(i.is_constant for i in found)
        assert there[tuple(i.constant for i in found)] == places[index]


def test_an_axis_that_both_shapes_have_is_not_divided():
    i, j = (IndexExpr.of(Counter(k, 100)) for k in range(2))  # more than the extents
    assert reshaped([i, j], (90, 99), (90, 1, 99)) == [i, IndexExpr(), j]
    assert reshaped([i, j], (90, 99), (9, 10, 99))[2] == j


DIVISIONS = [  # (expression of a counter below 24, divisor) → the quotients that are left
    (lambda i: i, 24, 0),
    (lambda i: i, 6, 1),
    (lambda i: i * 6 + 5, 6, 0),
    (lambda i: i // 6, 4, 0),
    (lambda i: i // 6, 2, 1),
    (lambda i: (i // 2 + 1) // 3, 2, 1),
    (lambda i: i % 6, 6, 0),
    (lambda i: i - 30, 7, 1),
]


def _value(expr: IndexExpr, number: int) -> int:
    total = expr.constant
    for atom, factor in expr.terms:
        inside = number if isinstance(atom, Counter) else _value(atom.index, number) // atom.divisor
        total += factor * inside
    return total


@pytest.mark.parametrize("case", range(len(DIVISIONS)))
def test_divisions(case):
    make, divisor, left = DIVISIONS[case]
    expr = make(IndexExpr.of(Counter(0, 24)))
    quotient, rest = expr // divisor, expr % divisor
    for number in range(24):
        value = make(number)
        assert (_value(quotient, number), _value(rest, number)) == divmod(value, divisor)
    assert len(quotient.quotients) == left
    low, high = quotient.bounds()
    assert low <= min(make(n) // divisor for n in range(24))
    assert high >= max(make(n) // divisor for n in range(24))
