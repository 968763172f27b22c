"""Pytrees: nested tuples, lists, dicts, NamedTuples, None and registered classes, through optree.

The names are those of `jax.tree`. `None` is an empty subtree.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import optree

from functrans.core.errors import TreeError

NAMESPACE = "functrans"
TreeDef = optree.PyTreeSpec
Path = optree.PyTreeAccessor
Partial = optree.functools.partial
"""`functools.partial` as a tree: what is bound are its children, the function is static.

>>> f = Partial(pow, 2.0)
>>> leaves(f), f(3.0)
([2.0], 8.0)
"""
UNSPECIFIED = object()

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


def structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeDef:
    """The tree definition."""
    return optree.tree_structure(tree, is_leaf=is_leaf, namespace=NAMESPACE)


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
        _tell_difference("map", tree, rest, error)
        raise


def map_with_path(
    f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """Apply f to the path of every leaf and to the leaves there.

    Args:
        f: (path, leaf, *leaves of the rest) → a leaf; `keystr` shows a path.
        tree: a tree.
        rest: trees of the same structure.
        is_leaf: whether a subtree is to be taken as a leaf.

    Returns:
        A tree of this structure.

    Raises:
        TreeError: the structures differ; the message says where.

    >>> map_with_path(lambda path, x: (keystr(path), x), {"w": [1.0], "b": 2.0})
    {'w': [("['w'][0]", 1.0)], 'b': ("['b']", 2.0)}
    """
    try:
        return optree.tree_map_with_accessor(f, tree, *rest, is_leaf=is_leaf, namespace=NAMESPACE)
    except ValueError as error:
        _tell_difference("map_with_path", tree, rest, error)
        raise


def _tell_difference(name: str, tree: Any, rest: Sequence[Any], error: ValueError) -> None:
    for other in rest:
        difference = structure_difference(tree, other)
        if difference:
            raise TreeError(f"tree.{name} over trees that differ: {difference}") from error


def reduce(
    f: Callable[[Any, Any], Any],
    tree: Any,
    initializer: Any = UNSPECIFIED,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Fold f over the leaves, from the first one or `initializer` on.

    >>> reduce(lambda a, b: a + b, [1, (2, 3)])
    6
    """
    start = () if initializer is UNSPECIFIED else (initializer,)
    return functools.reduce(f, leaves(tree, is_leaf), *start)


def all(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether every leaf is true."""
    return optree.tree_all(tree, is_leaf=is_leaf, namespace=NAMESPACE)


def all_leaves(iterable: Iterable[Any], is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether every element is a leaf.

    >>> all_leaves([1, 2.0]), all_leaves([1, (2.0,)])
    (True, False)
    """
    return optree.all_leaves(iterable, is_leaf=is_leaf, namespace=NAMESPACE)


def transpose(outer: TreeDef, inner: TreeDef | None, tree: Any) -> Any:
    """Turn an outer tree of inner trees into an inner tree of outer trees.

    Args:
        outer: the definition of the outer tree.
        inner: the definition of the inner trees; None for that of the first of them.
        tree: what is transposed.

    Returns:
        An inner tree of outer trees.

    Raises:
        TreeError: `tree` has another structure.

    >>> transpose(structure([0, 0]), None, [{"x": 1, "y": 2}, {"x": 3, "y": 4}])
    {'x': [1, 3], 'y': [2, 4]}
    """
    try:
        of = structure(outer.flatten_up_to(tree)[0]) if inner is None else inner
    except (ValueError, IndexError) as error:
        raise TreeError(f"tree.transpose needs trees within {outer}: got {tree!r}.") from error
    if structure(tree) != outer.compose(of):
        raise TreeError(
            f"tree.transpose needs a tree of structure {outer.compose(of)}: got {structure(tree)}."
        )
    return optree.tree_transpose(outer, of, tree)


def broadcast(
    prefix_tree: Any, full_tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> Any:
    """The structure of a tree, with leaves of a tree prefix of it.

    Args:
        prefix_tree: a tree that has leaves where `full_tree` has subtrees.
        full_tree: a tree.
        is_leaf: whether a subtree is to be taken as a leaf.

    Returns:
        A tree of the structure of `full_tree`; each leaf is that of the prefix above it.

    Raises:
        TreeError: `prefix_tree` is no prefix of `full_tree`.

    >>> broadcast((1, 2), (0, {"a": 0, "b": 0}))
    (1, {'a': 2, 'b': 2})
    """
    try:
        return optree.tree_broadcast_prefix(
            prefix_tree, full_tree, is_leaf=is_leaf, namespace=NAMESPACE
        )
    except ValueError as error:
        difference = structure_difference(prefix_tree, full_tree)
        raise TreeError(f"tree.broadcast of a tree that is no prefix: {difference}.") from error


def flatten_with_path(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[Path, Any]], TreeDef]:
    """The leaves with their paths, and the tree definition.

    Args:
        tree: a tree.
        is_leaf: whether a subtree is to be taken as a leaf.

    Returns:
        ([(path, leaf), …], tree definition). A path is a tuple with an object for every step, of
        which `entry` is the key, index or name; `path(tree)` is the leaf, `keystr(path)` its name.

    >>> tree = {"w": [1.0, 2.0]}
    >>> [(path, leaf), _], _ = flatten_with_path(tree)
    >>> [step.entry for step in path], path(tree), leaf
    (['w', 0], 1.0, 1.0)
    """
    paths, values, treedef = optree.tree_flatten_with_accessor(
        tree, is_leaf=is_leaf, namespace=NAMESPACE
    )
    return list(zip(paths, values, strict=True)), treedef


def leaves_with_path(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> list[tuple[Path, Any]]:
    """The leaves with their paths, as `flatten_with_path` gives them.

    >>> [keystr(path) for path, _ in leaves_with_path({"w": [1.0, 2.0]})]
    ["['w'][0]", "['w'][1]"]
    """
    return flatten_with_path(tree, is_leaf)[0]


def keystr(path: Path, *, simple: bool = False, separator: str = "") -> str:
    """A path as Python would write it.

    Args:
        path: a path, of `flatten_with_path` and its kin.
        simple: only keys, indices and names, without brackets, dots and quotes.
        separator: between the steps.

    >>> [(path, _)] = leaves_with_path({"w": [1.0]})
    >>> keystr(path), keystr(path, simple=True, separator="/")
    ("['w'][0]", 'w/0')
    """
    steps = (str(step.entry) if simple else step.codify("") for step in path)
    return separator.join(steps)


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves with the names of their paths, for messages.

    >>> named_leaves({"w": [1.0]})
    [("['w'][0]", 1.0)]
    """
    return [(keystr(path), leaf) for path, leaf in leaves_with_path(tree)]


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
    flatten_func: Callable[[Any], tuple[Any, ...]],
    unflatten_func: Callable[[Any, Sequence[Any]], Any],
    path_entry_type: type[optree.PyTreeEntry] = optree.AutoEntry,
) -> type:
    """Make instances of a class trees.

    Args:
        cls: the class.
        flatten_func: gives (children, hashable auxiliary data) of an instance; a third element
            is the children's names in paths.
        unflatten_func: builds an instance from (auxiliary data, children).
        path_entry_type: a step of a path, such as `optree.GetAttrEntry`, which is written `.name`.
    """
    rebuild: Any = unflatten_func
    return optree.register_pytree_node(
        cls, flatten_func, rebuild, path_entry_type=path_entry_type, namespace=NAMESPACE
    )


def register_static(cls: type) -> type:
    """Make instances of a class trees without leaves; they need `==` and a hash.

    >>> @register_static
    ... class Name(str): ...
    >>> leaves([Name("x"), 1.0])
    [1.0]
    """
    return register_node(cls, lambda x: ((), x), lambda x, _: x)


def static(**options: Any) -> Any:
    """A field of a dataclass that `register_dataclass` takes as static.

    Args:
        options: those of `dataclasses.field`.

    >>> @register_dataclass
    ... @dataclasses.dataclass
    ... class Power:
    ...     base: float
    ...     exponent: int = static(default=2)
    >>> leaves(Power(3.0))
    [3.0]
    """
    metadata = {**(options.pop("metadata", None) or {}), "static": True}
    return dataclasses.field(metadata=metadata, **options)


def register_dataclass(
    cls: type,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] = (),
) -> type:
    """Make a dataclass a tree: `data_fields` are children, `meta_fields` static and hashable.

    Usable as a decorator. Without `data_fields`, every field is a child that is not in
    `meta_fields` and no `static` one.

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
    fields = [f for f in dataclasses.fields(cls) if f.init]
    meta = tuple(meta_fields)
    if data_fields is None:
        meta += tuple(f.name for f in fields if f.metadata.get("static") and f.name not in meta)
        data_fields = [f.name for f in fields if f.name not in meta]
    data = tuple(data_fields)

    def to_children(x: Any) -> tuple[tuple, tuple, tuple]:
        return tuple(getattr(x, n) for n in data), tuple(getattr(x, n) for n in meta), data

    def from_children(aux: tuple, children: Sequence[Any]) -> Any:
        fields = dict(zip(data, children, strict=True)) | dict(zip(meta, aux, strict=True))
        return cls(**fields)

    return register_node(cls, to_children, from_children, optree.GetAttrEntry)


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
