"""`einsum`: NumPy finds the order of contraction by cost, each step is one `dot_general`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, shape_of
from functrans.numpy.dispatch import mirrors, refuse
from functrans.numpy.manipulation import strong, transpose
from functrans.numpy.matrices import diagonal
from functrans.numpy.products import contract
from functrans.numpy.promotion import promote, to_dtype
from functrans.numpy.reductions import sum

Labels = tuple[int, ...]
_ELLIPSIS = -1000


@mirrors(np.einsum)
def einsum(
    *operands: Any, out: None = None, dtype: Any = None, optimize: Any = True, **kwargs: Any
) -> Any:
    """`numpy.einsum`: sums of products by Einstein's convention.

    Args:
        operands: subscripts ("ij,jk->ik") and arrays, or arrays and lists of axis labels in turn.
        optimize: as `numpy.einsum_path` takes it; True finds an order of low cost.

    Raises:
        ShapeError: axes of one label have different extents, or subscripts do not fit an operand.

    >>> import functrans.numpy as fnp
    >>> fnp.einsum("ij,j->i", [[1, 2], [3, 4]], [1, 1]).tolist()
    [3, 7]
    """
    refuse("einsum", out=(out, None))
    arrays, terms, result = _parse(operands)
    xs = promote(*[strong(x) for x in arrays])
    if dtype is not None:
        xs = [to_dtype(x, np.dtype(dtype)) for x in xs]
    pairs = [_without_repeats(x, term) for x, term in zip(xs, terms, strict=True)]
    extents = _extents(pairs)
    shapes = tuple(tuple(extents[m] for m in labels) for _, labels in pairs)
    path = _path(tuple(labels for _, labels in pairs), shapes, result, _hashable(optimize))
    for step in path:
        chosen = [pairs.pop(i) for i in sorted(step, reverse=True)][::-1]
        while len(chosen) > 1:
            needed = {m for _, labels in (*pairs, *chosen[2:]) for m in labels} | set(result)
            chosen[:2] = [_pair(chosen[0], chosen[1], needed, extents)]
        pairs.append(chosen[0])
    (x, labels) = pairs[0]
    return _finish(x, labels, result, extents)


def _pair(
    a: tuple[Any, Labels], b: tuple[Any, Labels], needed: set[int], extents: dict[int, int]
) -> tuple[Any, Labels]:
    (x, x_labels), (y, y_labels) = a, b
    labels = tuple(m for m in dict.fromkeys((*x_labels, *y_labels)) if m in needed)
    return contract(x, x_labels, y, y_labels, labels), labels


def _finish(x: Any, labels: Labels, result: Labels, extents: dict[int, int]) -> Any:
    """Sum over the labels that the result lacks, and order the rest."""
    extra = tuple(i for i, m in enumerate(labels) if m not in result)
    x = sum(x, extra, x.dtype) if extra else x
    left = [m for m in labels if m in result]
    return transpose(x, [left.index(m) for m in result])


def _hashable(optimize: Any) -> Any:
    return tuple(map(tuple, optimize[1:])) if isinstance(optimize, list) else optimize


@lru_cache(maxsize=1024)
def _path(terms: tuple[Labels, ...], shapes: Any, result: Labels, optimize: Any) -> Any:
    """The steps of the contraction: positions of the operands that each takes together."""
    if len(terms) <= 2 or optimize is False:
        return (tuple(range(len(terms))),)
    if isinstance(optimize, tuple) and optimize and isinstance(optimize[0], tuple):
        return optimize
    strategy = ("optimal" if len(terms) <= 5 else "greedy") if optimize is True else optimize
    # NumPy's list form takes the labels 0 to 51
    number = {m: i for i, m in enumerate(dict.fromkeys(m for term in terms for m in term))}
    arguments: list[Any] = []
    for term, shape in zip(terms, shapes, strict=True):
        arguments += [np.broadcast_to(np.float64(0), shape), [number[m] for m in term]]
    path, _ = np.einsum_path(*arguments, [number[m] for m in result], optimize=strategy)
    return tuple(tuple(step) for step in path[1:])


def _extents(pairs: Sequence[tuple[Any, Labels]]) -> dict[int, int]:
    extents: dict[int, int] = {}
    for x, labels in pairs:
        for label, n in zip(labels, shape_of(x), strict=True):
            known = extents.get(label, 1)
            if n != known and 1 not in (n, known):
                shown = ", ".join(str(aval_of(v)) for v, _ in pairs)
                raise ShapeError(
                    f"einsum label {_name(label)!r} has extents {known} and {n} in operands "
                    f"{shown}."
                )
            extents[label] = n if known == 1 else known
    return extents


def _without_repeats(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """The diagonal over axes that share a label."""
    for label in labels:
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            n, m = shape_of(x)[i], shape_of(x)[j]
            if n != m:
                raise ShapeError(
                    f"einsum label {_name(label)!r} has extents {n} and {m} in {aval_of(x)}."
                )
            x = diagonal(x, 0, i, j)
            labels = (*(v for k, v in enumerate(labels) if k not in (i, j)), label)
    return x, labels


# --- subscripts -----------------------------------------------------------------------------------


def _parse(operands: tuple[Any, ...]) -> tuple[list[Any], list[Labels], Labels]:
    """The arrays, the labels of their axes, and the labels of the result.

    Letters become their place in the alphabet, axes of an ellipsis -1, -2, … from its end.
    """
    if isinstance(operands[0], str):
        text = operands[0].replace(" ", "")
        arrays = list(operands[1:])
        left, arrow, right = text.partition("->")
        terms = [_letters(t) for t in left.split(",")]
        result = _letters(right) if arrow else None
    else:
        paired = len(operands) // 2
        arrays = list(operands[0 : 2 * paired : 2])
        terms = [_items(t) for t in operands[1 : 2 * paired : 2]]
        result = _items(operands[-1]) if len(operands) % 2 else None
    if len(terms) != len(arrays):
        raise ValueError(f"einsum got {len(terms)} subscripts for {len(arrays)} operands")
    labels = [_expand(t, x) for t, x in zip(terms, arrays, strict=True)]
    rank = max((-m for t in labels for m in t if m < 0), default=0)
    dots = tuple(-1 - i for i in range(rank))[::-1]
    if result is None:
        every = [m for t in terms for m in t if m != _ELLIPSIS]
        return arrays, labels, (*dots, *sorted(m for m in set(every) if every.count(m) == 1))
    place = result.index(_ELLIPSIS) if _ELLIPSIS in result else None
    expanded = result if place is None else (*result[:place], *dots, *result[place + 1 :])
    for m in expanded:
        if expanded.count(m) > 1 or all(m not in t for t in labels):
            raise ValueError(
                f"einsum's output label {_name(m)!r} is repeated or in no operand{user_line()}"
            )
    return arrays, labels, expanded


def _letters(term: str) -> Labels:
    head, dots, tail = term.partition("...")
    if not all(c.isascii() and c.isalpha() for c in head + tail):
        raise ValueError(f"einsum subscripts may be letters and one '...': got {term!r}")
    numbers = [tuple(map(_number, part)) for part in (head, tail)]
    return (*numbers[0], *((_ELLIPSIS,) if dots else ()), *numbers[1])


def _number(letter: str) -> int:
    # NumPy orders the implicit result by the letters' codes, capitals first
    return ord(letter) - 65 if letter.isupper() else ord(letter) - 97 + 26


def _name(label: int) -> str:
    if label < 0:
        return "..."
    return chr(label + 65) if label < 26 else chr(label - 26 + 97)


def _items(term: Sequence[Any]) -> Labels:
    return tuple(_ELLIPSIS if m is Ellipsis else int(m) for m in term)


def _expand(term: Labels, x: Any) -> Labels:
    rank = len(shape_of(strong(x)))
    if _ELLIPSIS not in term:
        if len(term) != rank:
            raise ShapeError(
                f"einsum subscripts {''.join(map(_name, term))!r} do not fit an operand of type "
                f"{aval_of(strong(x))}."
            )
        return term
    count = rank - len(term) + 1
    if count < 0:
        raise ShapeError(f"einsum has more subscripts than {aval_of(strong(x))} has axes.")
    place = term.index(_ELLIPSIS)
    return (*term[:place], *range(-count, 0), *term[place + 1 :])
