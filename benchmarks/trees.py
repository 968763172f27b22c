"""Nested lists, tuples and dicts, for libraries that have no trees of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def map_tree(f: Callable[[Any], Any], x: Any) -> Any:
    """f of every leaf of nested lists, tuples and dicts."""
    if isinstance(x, dict):
        return {k: map_tree(f, v) for k, v in x.items()}
    if isinstance(x, list | tuple):
        return type(x)([map_tree(f, y) for y in x])
    return x if x is None else f(x)


def leaves_of(x: Any) -> list[Any]:
    """The leaves of nested lists, tuples and dicts."""
    if isinstance(x, dict):
        return [leaf for k in sorted(x) for leaf in leaves_of(x[k])]
    if isinstance(x, list | tuple):
        return [leaf for y in x for leaf in leaves_of(y)]
    return [] if x is None else [x]
