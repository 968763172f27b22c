"""Collectives over the axes that `vmap(axis_name=…)` names, as in `jax.lax`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from functrans.core import tree
from functrans.core.errors import ShapeError, TransformError
from functrans.core.primitive import Primitive
from functrans.core.trace import as_value, bind_staged
from functrans.core.types import PYTHON_SCALARS, aval_of, canonical_axis, dtype_of, shape_of
from functrans.primitives import collectives as c
from functrans.primitives.arithmetic import convert
from functrans.primitives.indexing import gather
from functrans.primitives.shaping import reshape_p, transpose_p
from functrans.transforms.batching import axis_extent


def _names(axis_name: Any) -> tuple:
    return tuple(axis_name) if isinstance(axis_name, tuple | list) else (axis_name,)


def axis_size(axis_name: Any) -> int:
    """The extent of a named axis (of several: their product), a Python int.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: x * axis_size("i"), axis_name="i")(np.ones(3))
    array([3., 3., 3.])
    """
    total = 1
    for name in _names(axis_name):
        total *= axis_extent(name)
    return total


def axis_index(axis_name: Any) -> Any:
    """The position of the example along a named axis, an int64 scalar.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: x * axis_index("i"), axis_name="i")(np.ones(3))
    array([0., 1., 2.])
    """
    index: Any = None
    for name in _names(axis_name):
        extent = axis_extent(name)
        own = bind_staged(c.axis_index_p, axis_name=name, axis_size=extent)
        index = own if index is None else index * extent + own
    return index


def _each(primitive: Primitive, x: Any, axis_name: Any, **params: Any) -> Any:
    def apply(leaf: Any) -> Any:
        leaf = _strong(leaf)
        for name in _names(axis_name):
            size = axis_extent(name)
            leaf = bind_staged(primitive, leaf, axis_name=name, axis_size=size, **params)
        return leaf

    return tree.map(apply, x)


def _strong(x: Any) -> Any:
    x = as_value(x)
    return dtype_of(x).type(x) if type(x) in PYTHON_SCALARS else x


def psum(x: Any, axis_name: Any) -> Any:
    """The sum over a named axis; of a Python number, that number times the extent.

    Args:
        x: an array or tree of arrays.
        axis_name: the name, or a tuple of names.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: x / psum(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([0.25, 0.75])
    """

    def one(leaf: Any) -> Any:
        if type(leaf) in PYTHON_SCALARS:
            return leaf * axis_size(axis_name)
        leaf = convert(leaf, "int64") if aval_of(leaf).dtype.kind == "b" else leaf
        return _each(c.psum_p, leaf, axis_name)

    return tree.map(one, x)


def pmean(x: Any, axis_name: Any) -> Any:
    """The mean over a named axis.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: x - pmean(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([-1.,  1.])
    """
    size = axis_size(axis_name)
    return tree.map(lambda leaf: leaf / size, psum(x, axis_name))


def pmax(x: Any, axis_name: Any) -> Any:
    """The maximum over a named axis.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: x - pmax(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([-2.,  0.])
    """
    return _each(c.pmax_p, x, axis_name)


def pmin(x: Any, axis_name: Any) -> Any:
    """The minimum over a named axis.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: x - pmin(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([0., 2.])
    """
    return _each(c.pmin_p, x, axis_name)


def all_gather(x: Any, axis_name: Any, *, axis: int = 0, tiled: bool = False) -> Any:
    """The values of all examples along a named axis.

    Args:
        x: an array or tree of arrays.
        axis_name: the name, or a tuple of names.
        axis: where the new axis goes, or with `tiled` the axis along which to concatenate.
        tiled: concatenate instead of stacking.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: all_gather(x, "i"), axis_name="i")(np.array([1.0, 3.0]))
    array([[1., 3.],
           [1., 3.]])
    """
    names = _names(axis_name)

    def apply(leaf: Any) -> Any:
        shape = shape_of(leaf)
        if len(names) > 1:
            out = leaf
            for name in reversed(names):
                out = _each(c.all_gather_p, out, name)
            out = reshape_p.bind(out, shape=(axis_size(names), *shape))
        else:
            out = _each(c.all_gather_p, leaf, names[0])
        place = canonical_axis(axis, len(shape) + (not tiled))
        rank = len(shape) + 1
        order = [i for i in range(rank) if i != 0]
        order.insert(place, 0)
        moved = out if place == 0 else transpose_p.bind(out, permutation=tuple(order))
        if not tiled:
            return moved
        size = shape_of(moved)[place] * shape[place]
        return reshape_p.bind(moved, shape=(*shape[:place], size, *shape[place + 1 :]))

    return tree.map(lambda leaf: apply(_strong(leaf)), x)


def psum_scatter(x: Any, axis_name: Any, *, scatter_dimension: int = 0, tiled: bool = False) -> Any:
    """The sum over a named axis, of which example i keeps the i-th slice.

    Args:
        x: an array or tree of arrays; its `scatter_dimension` has the axis's extent (with `tiled`
            a multiple of it).
        axis_name: the name.
        scatter_dimension: the axis that is divided among the examples.
        tiled: keep the axis, with a block of it, instead of dropping it.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: psum_scatter(x, "i"), axis_name="i")(np.eye(2) * 3)
    array([3., 3.])
    """
    size = axis_size(axis_name)
    index = axis_index(axis_name)

    def apply(leaf: Any) -> Any:
        total = psum(leaf, axis_name)
        shape = shape_of(total)
        axis = canonical_axis(scatter_dimension, len(shape))
        if shape[axis] % size or not (tiled or shape[axis] == size):
            raise ShapeError(
                f"psum_scatter over {size} examples cannot divide axis {axis} of {aval_of(total)}."
            )
        block = shape[axis] // size
        cut = reshape_p.bind(total, shape=(*shape[:axis], size, block, *shape[axis + 1 :]))
        own = gather(cut, [index], (axis,))
        if tiled:
            return own
        return reshape_p.bind(own, shape=(*shape[:axis], *shape[axis + 1 :]))

    return tree.map(apply, x)


def ppermute(x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    """Send values between examples; those to whom nothing is sent get zeros.

    Args:
        x: an array or tree of arrays.
        axis_name: the name.
        perm: pairs (from, to) of positions along the axis.

    Raises:
        TransformError: a position is named twice, or does not exist.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: ppermute(x, "i", [(0, 1), (1, 2)]), axis_name="i")(np.arange(1.0, 4.0))
    array([0., 1., 2.])
    """
    size = axis_extent(axis_name)
    pairs = tuple((int(a), int(b)) for a, b in perm)
    for end in zip(*pairs, strict=True):
        if len(set(end)) != len(end) or not all(0 <= i < size for i in end):
            raise TransformError(
                f"ppermute needs pairs of distinct positions below {size}, got {list(pairs)}."
            )
    return _each(c.ppermute_p, x, axis_name, permutation=pairs)


def pshuffle(x: Any, axis_name: Any, perm: Sequence[int]) -> Any:
    """Example i gets the value of example perm[i].

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: pshuffle(x, "i", [2, 0, 1]), axis_name="i")(np.arange(3.0))
    array([2., 0., 1.])
    """
    return ppermute(x, axis_name, list(zip(perm, range(len(perm)), strict=True)))


def all_to_all(
    x: Any, axis_name: Any, split_axis: int, concat_axis: int, *, tiled: bool = False
) -> Any:
    """Example i gets the i-th slice along `split_axis` of every example, stacked on `concat_axis`.

    Args:
        x: an array or tree of arrays whose `split_axis` has the extent of the named axis (with
            `tiled` a multiple of it).
        axis_name: the name, or a tuple of names.
        split_axis: the axis that is divided among the examples.
        concat_axis: where the axis over the senders goes, or with `tiled` the axis along which
            what they send is concatenated.
        tiled: divide `split_axis` into blocks and keep it.

    >>> import numpy as np, functrans as ft
    >>> x = np.arange(4.0).reshape(2, 2)
    >>> ft.vmap(lambda row: all_to_all(row, "i", 0, 0), axis_name="i")(x)
    array([[0., 2.],
           [1., 3.]])
    """
    size = axis_size(axis_name)
    index = axis_index(axis_name)

    def apply(leaf: Any) -> Any:
        shape = shape_of(leaf)
        axis = canonical_axis(split_axis, len(shape))
        place = canonical_axis(concat_axis, len(shape))
        if shape[axis] % size or not (tiled or shape[axis] == size):
            wanted = "a multiple of the extent" if tiled else "the extent"
            raise ShapeError(
                f"all_to_all needs axis {axis} of {aval_of(leaf)} to have {wanted} of the named "
                f"axis, {size}."
            )
        block = shape[axis] // size
        cut = reshape_p.bind(leaf, shape=(*shape[:axis], size, block, *shape[axis + 1 :]))
        own = gather(all_gather(cut, axis_name), [index], (axis + 1,))
        kept = [*shape[:axis], *([block] if tiled else []), *shape[axis + 1 :]]
        sent = reshape_p.bind(own, shape=(size, *kept))
        order = list(range(1, len(kept) + 1))
        order.insert(place, 0)
        moved = sent if place == 0 else transpose_p.bind(sent, permutation=tuple(order))
        if not tiled:
            return moved
        kept[place] *= size
        return reshape_p.bind(moved, shape=tuple(kept))

    return tree.map(apply, x)


def pswapaxes(x: Any, axis_name: Any, axis: int) -> Any:
    """The named axis and an axis of the array exchanged: `all_to_all` with both axes the same.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda row: pswapaxes(row, "i", 0), axis_name="i")(np.arange(4.0).reshape(2, 2))
    array([[0., 2.],
           [1., 3.]])
    """
    return all_to_all(x, axis_name, axis, axis)


def pbroadcast(x: Any, axis_name: Any, source: int) -> Any:
    """The value of the example at position `source`, for all examples.

    >>> import numpy as np, functrans as ft
    >>> ft.vmap(lambda x: pbroadcast(x, "i", 1), axis_name="i")(np.arange(3.0))
    array([1., 1., 1.])
    """
    size = axis_size(axis_name)
    if not 0 <= source < size:
        raise TransformError(f"pbroadcast from position {source} of an axis of extent {size}.")
    return tree.map(lambda leaf: gather(all_gather(leaf, axis_name), [source], (0,)), x)
