"""The functions of `functrans.tree` under the names of `jax.tree_util`."""

from __future__ import annotations

from typing import Any

from functrans.core.tree import Partial as Partial
from functrans.core.tree import all as tree_all
from functrans.core.tree import all_leaves as all_leaves
from functrans.core.tree import broadcast as tree_broadcast
from functrans.core.tree import flatten as tree_flatten
from functrans.core.tree import flatten_with_path as tree_flatten_with_path
from functrans.core.tree import keystr as keystr
from functrans.core.tree import leaves as tree_leaves
from functrans.core.tree import leaves_with_path as tree_leaves_with_path
from functrans.core.tree import map as tree_map
from functrans.core.tree import map_with_path as tree_map_with_path
from functrans.core.tree import reduce as tree_reduce
from functrans.core.tree import register_dataclass as register_dataclass
from functrans.core.tree import register_node as register_pytree_node
from functrans.core.tree import register_static as register_static
from functrans.core.tree import structure as tree_structure
from functrans.core.tree import transpose as tree_transpose
from functrans.core.tree import unflatten as tree_unflatten


def register_pytree_node_class(cls: Any) -> Any:
    """Make instances of a class trees by its methods `tree_flatten` and `tree_unflatten`.

    Args:
        cls: a class: `tree_flatten()` gives (children, hashable auxiliary data), the class method
            `tree_unflatten(auxiliary data, children)` an instance.

    Returns:
        The class.

    >>> @register_pytree_node_class
    ... class Interval:
    ...     def __init__(self, low, high):
    ...         self.low, self.high = low, high
    ...     def tree_flatten(self):
    ...         return (self.low, self.high), None
    ...     @classmethod
    ...     def tree_unflatten(cls, _, children):
    ...         return cls(*children)
    >>> tree_map(lambda x: 2 * x, Interval(1.0, 2.0)).high
    4.0
    """
    return register_pytree_node(cls, lambda x: x.tree_flatten(), cls.tree_unflatten)


__all__ = [
    "Partial",
    "all_leaves",
    "keystr",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_static",
    "tree_all",
    "tree_broadcast",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
]
