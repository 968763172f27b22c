"""Pytrees: nested tuples, lists, dicts, NamedTuples, None and registered classes, through optree.

The names are those of `jax.tree`. `None` is an empty subtree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import optree

from functrans.core.errors import TreeError

NAMESPACE = "functrans"
TreeDef = optree.PyTreeSpec

flatten: Callable[[Any], tuple[list[Any], TreeDef]] = partial(
    optree.tree_flatten, namespace=NAMESPACE
)
"""`flatten(tree)` gives the list of leaves and the tree definition.

>>> leaves, treedef = flatten({"b": (1, 2), "a": 3})
>>> leaves
[3, 1, 2]
"""


def unflatten(treedef: TreeDef, leaves: Sequence[Any]) -> Any:
    """The tree with this definition and these leaves.

    >>> leaves, treedef = flatten([1, (2, 3)])
    >>> unflatten(treedef, [10, 20, 30])
    [10, (20, 30)]
    """
    return optree.tree_unflatten(treedef, leaves)


def leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a tree, in order (dict keys sorted).

    >>> leaves({"x": 1, "y": [2, None, 3]})
    [1, 2, 3]
    """
    return optree.tree_leaves(tree, is_leaf=is_leaf, namespace=NAMESPACE)


def structure(tree: Any) -> TreeDef:
    """The tree definition."""
    return optree.tree_structure(tree, namespace=NAMESPACE)


def map(
    f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """Apply f to corresponding leaves of one or more trees of the same structure.

    Raises:
        TreeError: the structures differ; the message says where.

    >>> map(lambda a, b: a + b, {"x": 1, "y": 2}, {"x": 10, "y": 20})
    {'x': 11, 'y': 22}
    """
    try:
        return optree.tree_map(f, tree, *rest, is_leaf=is_leaf, namespace=NAMESPACE)
    except ValueError as error:
        for other in rest:
            difference = structure_difference(tree, other)
            if difference:
                raise TreeError(f"tree.map over trees that differ: {difference}") from error
        raise


def reduce(f: Callable[[Any, Any], Any], tree: Any, *initializer: Any) -> Any:
    """Fold f over the leaves.

    >>> reduce(lambda a, b: a + b, [1, (2, 3)])
    6
    """
    return optree.tree_reduce(f, tree, *initializer, namespace=NAMESPACE)


def all(tree: Any) -> bool:
    """Whether every leaf is true."""
    return optree.tree_all(tree, namespace=NAMESPACE)


def transpose(outer: TreeDef, inner: TreeDef, tree: Any) -> Any:
    """Turn an outer tree of inner trees into an inner tree of outer trees."""
    return optree.tree_transpose(outer, inner, tree)


def flatten_with_path(tree: Any) -> tuple[list[tuple[str, Any]], TreeDef]:
    """Leaves with their paths as Python would write them, such as ``['w'][0]``."""
    paths, values, treedef = optree.tree_flatten_with_path(tree, namespace=NAMESPACE)
    accessors = optree.tree_accessors(tree, namespace=NAMESPACE)
    names = [a.codify("") for a in accessors] if len(accessors) == len(values) else paths
    return [(str(n), v) for n, v in zip(names, values, strict=True)], treedef


def ravel(tree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All leaves as one flat vector, and the function that rebuilds the tree from such a vector.

    >>> import numpy as np
    >>> vector, unravel = ravel({"w": np.ones((2, 2)), "b": np.zeros(3)})
    >>> vector.shape
    (7,)
    >>> unravel(vector)["w"].shape
    (2, 2)
    """
    from functrans import numpy as fnp

    values, treedef = flatten(tree)
    arrays = [fnp.asarray(v) for v in values]
    if not arrays:
        return fnp.zeros(0), lambda vector: unflatten(treedef, [])
    shapes = [a.shape for a in arrays]
    dtypes = [a.dtype for a in arrays]
    sizes = [a.size for a in arrays]
    vector = fnp.concatenate([fnp.ravel(a) for a in arrays])

    def unravel(vector: Any) -> Any:
        parts, start = [], 0
        for shape, dtype, size in zip(shapes, dtypes, sizes, strict=True):
            part = vector[start : start + size]
            parts.append(fnp.reshape(part, shape).astype(dtype))
            start += size
        return unflatten(treedef, parts)

    return vector, unravel


def register_node(
    cls: type,
    flatten_func: Callable[[Any], tuple[Sequence[Any], Any]],
    unflatten_func: Callable[[Any, Sequence[Any]], Any],
) -> type:
    """Make instances of a class trees.

    Args:
        cls: the class.
        flatten_func: gives (children, hashable auxiliary data) of an instance.
        unflatten_func: builds an instance from (auxiliary data, children).
    """
    rebuild: Any = unflatten_func
    return optree.register_pytree_node(cls, flatten_func, rebuild, namespace=NAMESPACE)


def register_dataclass(
    cls: type,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] = (),
) -> type:
    """Make a dataclass a tree: `data_fields` are children, `meta_fields` static and hashable.

    Usable as a decorator. Without `data_fields`, every field not in `meta_fields` is a child.

    >>> import dataclasses
    >>> @register_dataclass
    ... @dataclasses.dataclass
    ... class Point:
    ...     x: float
    ...     y: float
    >>> leaves(Point(1.0, 2.0))
    [1.0, 2.0]
    """
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is not a dataclass; use tree.register_node")
    meta = tuple(meta_fields)
    names = [f.name for f in dataclasses.fields(cls) if f.init and f.name not in meta]
    data = tuple(data_fields if data_fields is not None else names)

    def to_children(x: Any) -> tuple[tuple, tuple]:
        return tuple(getattr(x, n) for n in data), tuple(getattr(x, n) for n in meta)

    def from_children(aux: tuple, children: Sequence[Any]) -> Any:
        fields = dict(zip(data, children, strict=True)) | dict(zip(meta, aux, strict=True))
        return cls(**fields)

    return register_node(cls, to_children, from_children)


def structure_difference(expected: Any, got: Any, path: str = "") -> str:
    """The first place where two trees differ in structure, as a sentence; empty if nowhere."""
    here = path or "at the top"
    a, b = structure(expected), structure(got)
    if a == b:
        return ""
    if a.is_leaf() or b.is_leaf() or a.type is not b.type:
        return f"{here}: expected {_kind(a, expected)}, got {_kind(b, got)}"
    ea, eb = a.entries(), b.entries()
    if list(ea) != list(eb):
        return f"{here}: expected {_kind(a, expected)} with keys {ea}, got keys {eb}"
    for entry, x, y in zip(ea, children(expected), children(got), strict=True):
        difference = structure_difference(x, y, f"{path}[{entry!r}]")
        if difference:
            return difference
    return f"{here}: expected {a}, got {b}"


def children(tree: Any) -> list[Any]:
    """The subtrees one level down."""
    return list(optree.tree_flatten_one_level(tree, namespace=NAMESPACE)[0])


def entries(tree: Any) -> list[Any]:
    """The keys, indices or field names of the subtrees one level down."""
    return list(structure(tree).entries())


def _kind(treedef: TreeDef, tree: Any) -> str:
    if treedef.is_leaf():
        return "a leaf"
    return "None" if tree is None else f"a {type(tree).__name__}"
