"""vmap: a function of one example becomes a function of a batch."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from functrans.core import tree
from functrans.core.errors import ShapeError, TransformError
from functrans.core.primitive import registry
from functrans.core.trace import trace
from functrans.core.types import Aval, aval_of, described, shape_of
from functrans.transforms.api import (
    FlatFunction,
    argument_paths,
    check_callable,
    flatten_call,
    name_of,
)
from functrans.transforms.batching import Axis, batch, named_axis, repeat


def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """Map a function over an axis of its arguments, without a loop.

    Args:
        fun: a function of one example.
        in_axes: which axis of each argument to map: an int, None for an argument shared by all
            examples, or a tuple with an entry (int, None, or a tree prefix) per argument. Keyword
            arguments are mapped over axis 0.
        out_axes: where the mapped axis goes in the outputs; a tree prefix of the output.
        axis_name: a name for collectives such as `lax.psum`.
        axis_size: the extent, needed only if no argument is mapped.

    Raises:
        TransformError: in_axes does not match the arguments (names the leaf).
        ShapeError: mapped axes have different extents, or do not exist.

    >>> import numpy as np, functrans as ft, functrans.numpy as fnp
    >>> ft.vmap(fnp.dot)(np.ones((3, 2)), np.arange(6.0).reshape(3, 2))
    array([1., 5., 9.])
    """
    check_callable(fun, "vmap")
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)

    @wraps(fun)
    def vmap_fun(*args: Any, **kwargs: Any) -> Any:
        leaves, in_tree = flatten_call(args, kwargs)
        axes = _leaf_axes(in_axes, args, kwargs)
        size = _axis_size(leaves, axes, args, kwargs, axis_size)
        moved = [_to_front(x, a) for x, a in zip(leaves, axes, strict=True)]
        flat = FlatFunction(fun, in_tree)
        avals = [_example(aval_of(x), a is not None) for x, a in zip(moved, axes, strict=True)]
        axis = Axis(size, axis_name)
        with named_axis(axis):
            program, captured, _ = trace(flat, avals, name=name_of(fun))
        batched = [False] * len(captured) + [a is not None for a in axes]
        outs, flags = batch(program, [*captured, *moved], batched, axis)
        return _place(flat.rebuild(list(range(len(outs)))), outs, flags, out_axes, size)

    return vmap_fun


def _leaf_axes(in_axes: Any, args: tuple, kwargs: dict[str, Any]) -> list[int | None]:
    """The mapped axis of every leaf of (args, kwargs)."""
    if not (in_axes is None or isinstance(in_axes, int | tuple)):
        raise TransformError(f"in_axes must be an int, None or a tuple, got {in_axes!r}.")
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise TransformError(
            f"in_axes has {len(in_axes)} entries for {len(args)} positional arguments."
        )
    per_argument = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(args)
    axes: list[int | None] = []
    for i, (axis, argument) in enumerate(zip(per_argument, args, strict=True)):
        axes += broadcast_prefix(axis, argument, f"in_axes[{i}]")
    return axes + [0] * len(tree.leaves(kwargs))


def broadcast_prefix(prefix: Any, full: Any, what: str) -> list[Any]:
    """One entry per leaf of `full` from a tree prefix whose leaves are ints or None.

    Raises:
        TransformError: the prefix's structure is not a prefix of the tree's.
    """
    if prefix is None or isinstance(prefix, int):
        return [prefix] * len(tree.leaves(full))
    if tree.structure(full).is_leaf():
        raise TransformError(f"{what} is {prefix!r}, but must be an int or None for an array.")
    if type(prefix) is not type(full) or tree.entries(prefix) != tree.entries(full):
        raise TransformError(
            f"{what} is {prefix!r}, but must be an int, None, or a tree like what is there, "
            f"{described(full)}."
        )
    result: list[Any] = []
    parts = zip(tree.entries(full), tree.children(prefix), tree.children(full), strict=True)
    for entry, axis, part in parts:
        result += broadcast_prefix(axis, part, f"{what}[{entry!r}]")
    return result


def _axis_size(
    leaves: list, axes: list, args: tuple, kwargs: dict[str, Any], given: int | None
) -> int:
    sizes: dict[int, str] = {}
    paths = argument_paths(args, kwargs)
    for path, x, axis in zip(paths, leaves, axes, strict=True):
        if axis is None:
            continue
        shape = shape_of(x)
        if not -len(shape) <= axis < len(shape):
            raise ShapeError(
                f"vmap over axis {axis} of {path}, which is {aval_of(x)} and has no such "
                "axis. Use None in in_axes for arguments that all examples share."
            )
        sizes.setdefault(shape[axis], f"{path} is {aval_of(x)}, mapped over axis {axis}")
    if given is not None:
        sizes.setdefault(given, f"axis_size is {given}")
    if len(sizes) > 1:
        raise ShapeError(
            "vmap needs one extent along the mapped axes: " + "; ".join(sizes.values()) + "."
        )
    if not sizes:
        raise TransformError("vmap needs at least one mapped argument, or axis_size.")
    return next(iter(sizes))


def _to_front(x: Any, axis: int | None) -> Any:
    return x if axis is None else _move(x, axis, 0)


def _move(x: Any, source: int, destination: int) -> Any:
    rank = len(shape_of(x))
    source, destination = source % rank, destination % rank
    if source == destination:
        return x
    order = [i for i in range(rank) if i != source]
    order.insert(destination, source)
    return registry["transpose"].bind(x, permutation=tuple(order))


def _example(aval: Aval, mapped: bool) -> Aval:
    return aval.update(shape=aval.shape[1:]) if mapped else aval


def _place(numbered: Any, outs: list, flags: list, out_axes: Any, size: int) -> Any:
    """The output tree, every leaf with its mapped axis where `out_axes` wants it."""
    axes = broadcast_prefix(_tuple_like(out_axes, numbered), numbered, "out_axes")
    results = []
    for x, batched, axis in zip(outs, flags, axes, strict=True):
        if axis is None:
            if batched:
                raise TransformError(
                    "out_axes is None for an output that differs between examples.\n  Give the "
                    "axis along which to stack the examples' outputs."
                )
            results.append(x)
            continue
        full = x if batched else repeat(x, size)
        rank = len(shape_of(full))
        if not -rank <= axis < rank:
            raise ShapeError(f"out_axes {axis} is out of bounds for an output of {rank} axes.")
        results.append(_move(full, 0, axis))
    return tree.unflatten(tree.structure(numbered), results)


def _tuple_like(out_axes: Any, numbered: Any) -> Any:
    """A list of axes stands for a tuple of outputs, as in JAX."""
    return (
        tuple(out_axes) if isinstance(out_axes, list) and isinstance(numbered, tuple) else out_axes
    )
