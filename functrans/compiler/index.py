"""Index expressions: integers that are affine in loop counters, with the rest as opaque atoms.

Offsets stay affine for as long as possible, because an offset `i * stride + j` is what lets loops
be merged and vectorised. Division, remainder and values read from arrays become atoms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Counter:
    """The counter of one loop of a kernel, from `begin` to extent - 1."""

    position: int
    extent: int
    begin: int = 0

    def __str__(self) -> str:
        return f"i{self.position}"


@dataclass(frozen=True)
class Quotient:
    """index // divisor, for an index that may be negative (floors)."""

    index: IndexExpr
    divisor: int

    def __str__(self) -> str:
        return f"({self.index}) // {self.divisor}"


@dataclass(frozen=True)
class Dynamic:
    """An index read from an array: the SSA value (int64) and its name for people."""

    text: str
    name: str

    def __str__(self) -> str:
        return self.name


Atom = Counter | Quotient | Dynamic


@dataclass(frozen=True)
class Condition:
    """index >= 0 (the one comparison that all others reduce to), or its divisibility."""

    index: IndexExpr
    divisor: int = 0

    def __str__(self) -> str:
        return f"({self.index}) % {self.divisor} == 0" if self.divisor else f"{self.index} >= 0"


class IndexExpr:
    """A sum of integer multiples of atoms plus a constant. Immutable and hashable."""

    __slots__ = ("_hash", "constant", "terms")

    def __init__(self, terms: tuple[tuple[Atom, int], ...] = (), constant: int = 0) -> None:
        self.terms = terms
        self.constant = constant
        self._hash: int | None = None

    @staticmethod
    def of(x: Any) -> IndexExpr:
        if isinstance(x, IndexExpr):
            return x
        if isinstance(x, Counter | Quotient | Dynamic):
            return IndexExpr(((x, 1),))
        return IndexExpr((), int(x))

    @property
    def is_constant(self) -> bool:
        return not self.terms

    @property
    def quotients(self) -> list[Quotient]:
        return [a for a, _ in self.terms if isinstance(a, Quotient)]

    def coefficient(self, atom: Atom) -> int:
        return next((c for a, c in self.terms if a == atom), 0)

    def __add__(self, other: Any) -> IndexExpr:
        if isinstance(other, int):
            return IndexExpr(self.terms, self.constant + other) if other else self
        other = IndexExpr.of(other)
        merged = dict(self.terms)
        for atom, c in other.terms:
            merged[atom] = merged.get(atom, 0) + c
        terms = tuple((a, c) for a, c in merged.items() if c)
        return IndexExpr(terms, self.constant + other.constant)

    __radd__ = __add__

    def __mul__(self, factor: int) -> IndexExpr:
        if factor == 1:
            return self
        if factor == 0:
            return IndexExpr()
        return IndexExpr(tuple((a, c * factor) for a, c in self.terms), self.constant * factor)

    __rmul__ = __mul__

    def __neg__(self) -> IndexExpr:
        return self * -1

    def __sub__(self, other: Any) -> IndexExpr:
        return self + IndexExpr.of(other) * -1

    def __rsub__(self, other: Any) -> IndexExpr:
        return IndexExpr.of(other) - self

    def bounds(self) -> tuple[int, int] | None:
        """The least and greatest value, if every atom is a loop counter or a quotient of such."""
        low = high = self.constant
        for atom, c in self.terms:
            bounds = _bounds(atom)
            if bounds is None:
                return None
            low, high = low + min(c * x for x in bounds), high + max(c * x for x in bounds)
        return low, high

    def __floordiv__(self, divisor: int) -> IndexExpr:
        if divisor == 1:
            return self
        whole = tuple((a, c // divisor) for a, c in self.terms if c % divisor == 0)
        rest = IndexExpr(
            tuple((a, c) for a, c in self.terms if c % divisor), self.constant % divisor
        )
        base = IndexExpr(whole, self.constant // divisor)
        bounds = rest.bounds()
        if bounds is not None and bounds[0] >= 0 and bounds[1] < divisor:
            return base
        if len(rest.terms) == 1:  # a // m + n is (a + n * m) // m
            ((inner, factor),) = rest.terms
            if factor == 1 and isinstance(inner, Quotient):
                together = inner.index + rest.constant * inner.divisor
                return base + together // (inner.divisor * divisor)
        return base + Quotient(rest, divisor)

    def __mod__(self, divisor: int) -> IndexExpr:
        return self - (self // divisor) * divisor

    def __ge__(self, other: Any) -> Condition:
        return Condition(self - other)

    def __lt__(self, other: Any) -> Condition:
        return Condition(IndexExpr.of(other) - self + -1)

    def divisible(self, divisor: int) -> Condition:
        return Condition(self, divisor)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, IndexExpr)
            and self.constant == other.constant
            and dict(self.terms) == dict(other.terms)
        )

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.constant, frozenset(self.terms)))
        return self._hash

    def __str__(self) -> str:
        parts = [str(a) if c == 1 else f"{c} * {a}" for a, c in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts).replace("+ -", "- ")


def _bounds(atom: Atom) -> tuple[int, int] | None:
    if isinstance(atom, Counter):
        return atom.begin, max(atom.extent - 1, atom.begin)
    if isinstance(atom, Quotient) and (inside := atom.index.bounds()) is not None:
        return inside[0] // atom.divisor, inside[1] // atom.divisor
    return None


def decided(condition: Condition) -> bool | None:
    """Whether the condition always or never holds over the loops, None if it depends."""
    if condition.divisor:
        only = condition.index
        if only.is_constant:
            return only.constant % condition.divisor == 0
        return None
    bounds = condition.index.bounds()
    if bounds is None:
        return None
    if bounds[0] >= 0:
        return True
    return False if bounds[1] < 0 else None


def flat(index: list[Any], shape: tuple[int, ...]) -> IndexExpr:
    """The row-major position of a multi-index."""
    total = IndexExpr()
    stride = 1
    for i, n in zip(reversed(index), reversed(shape), strict=True):
        if n != 1:
            total = total + IndexExpr.of(i) * stride
        stride *= n
    return total


def unflat(position: IndexExpr, shape: tuple[int, ...]) -> list[IndexExpr]:
    """The multi-index of a row-major position."""
    index: list[IndexExpr] = []
    outermost = next((axis for axis, n in enumerate(shape) if n > 1), 0)
    for axis, n in reversed(list(enumerate(shape))):
        if n <= 1:  # no index at all if the extent is 0: the loops do not run
            index.append(IndexExpr())
            continue
        index.append(position if axis == outermost else position % n)
        position = position // n
    return index[::-1]


def reshaped(index: list[Any], shape: tuple[int, ...], other: tuple[int, ...]) -> list[IndexExpr]:
    """The multi-index in an array of another shape of the element that has `index` in this one.

    Axes are taken together only until both shapes agree: an axis that both have needs no division,
    its index being less than its extent, even where the extents of the loops do not say so.
    """
    if not shape or 0 in shape:
        return [IndexExpr()] * len(other)
    result: list[IndexExpr] = []
    begin, size, other_size, end = 0, 1, 1, 0
    for until in range(1, len(shape) + 1):
        size *= shape[until - 1]
        while other_size < size:
            other_size *= other[end]
            end += 1
        if other_size == size:
            end = end if until < len(shape) else len(other)  # with the ones that are left
            position = flat(index[begin:until], shape[begin:until])
            result += unflat(position, other[len(result) : end])
            begin = until
    return result
