"""An inverse Hessian kept as the last few steps and the changes of the gradient that they made.

Nocedal, Updating quasi-Newton matrices with limited storage, 1980; Liu and Nocedal, On the limited
memory BFGS method for large scale optimization, 1989.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import functrans.numpy as fnp
from functrans.core import tree
from functrans.core.types import dtype_of, shape_of
from functrans.lax.loops import fori_loop
from functrans.numpy.indexing import at


class Pairs(NamedTuple):
    """Ring buffers of steps and changes, trees with a first axis, and of 1 / (step · change).

    What was not written yet, or had no curvature, has a weight of 0, and so no effect.
    """

    steps: Any
    changes: Any
    weights: Any


def no_pairs(x: Any, size: int) -> Pairs:
    """Room for as many pairs of the structure of x."""
    empty = tree.map(lambda leaf: fnp.zeros((size, *shape_of(leaf)), dtype_of(leaf)), x)
    return Pairs(empty, empty, fnp.zeros(size, dtype_of(inner(x, x))))


def remember(pairs: Pairs, place: Any, step: Any, change: Any) -> Pairs:
    """The pairs with that of a place, modulo their number, written over."""
    place = place % shape_of(pairs.weights)[0]
    curvature = inner(step, change)
    good = is_curved(curvature)
    weight = fnp.where(good, 1 / fnp.where(good, curvature, 1), 0)

    def write(buffers: Any, values: Any) -> Any:
        return tree.map(lambda b, v: at(b)[place].set(v), buffers, values)

    return Pairs(
        write(pairs.steps, step),
        write(pairs.changes, change),
        at(pairs.weights)[place].set(weight),
    )


def is_curved(curvature: Any) -> Any:
    """Whether step · change is positive and has an inverse; less is left of steps to nowhere."""
    return curvature > np.finfo(dtype_of(curvature)).tiny


def curvature_scale(step: Any, change: Any) -> Any:
    """(step · change) / (change · change), the size of the inverse Hessian; 1 without curvature."""
    above, below = inner(step, change), inner(change, change)
    good = (above > 0) & (below > 0)
    return fnp.where(good, above / fnp.where(good, below, 1), 1)


def precondition(pairs: Pairs, newest: Any, scale: Any, gradient: Any) -> Any:
    """The inverse Hessian times the gradient, in two loops over the pairs.

    Args:
        pairs: the memory.
        newest: the place of the newest pair.
        scale: the multiple of the identity that the pairs correct.
        gradient: a tree.
    """
    size = shape_of(pairs.weights)[0]

    def read(buffers: Any, place: Any) -> Any:
        return tree.map(lambda b: fnp.take(b, place, axis=0), buffers)

    def newest_first(i: Any, carry: Any) -> Any:
        q, parts = carry
        place = (newest - i) % size
        part = fnp.take(pairs.weights, place) * inner(read(pairs.steps, place), q)
        return _add(q, -part, read(pairs.changes, place)), at(parts)[place].set(part)

    def oldest_first(i: Any, r: Any) -> Any:
        place = (newest + 1 + i) % size
        part = fnp.take(pairs.weights, place) * inner(read(pairs.changes, place), r)
        return _add(r, fnp.take(parts, place) - part, read(pairs.steps, place))

    empty = fnp.zeros_like(pairs.weights)
    q, parts = fori_loop(0, size, newest_first, (gradient, empty))
    return fori_loop(0, size, oldest_first, tree.map(lambda x: _like(scale * x, x), q))


def inner(a: Any, b: Any) -> Any:
    """The real inner product of two trees."""
    products = tree.map(lambda x, y: fnp.sum((fnp.conj(x) * y).real), a, b)
    return sum(tree.leaves(products)[1:], tree.leaves(products)[0])


def _add(x: Any, factor: Any, y: Any) -> Any:
    return tree.map(lambda a, b: _like(a + factor * b, a), x, y)


def _like(x: Any, leaf: Any) -> Any:
    return fnp.asarray(x).astype(dtype_of(leaf))
