"""What an optimizer is: a pair of pure functions over trees of arrays, as in Optax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from functrans.core import tree


class GradientTransformation(NamedTuple):
    """`init(params) -> state` and `update(updates, state, params) -> (updates, state)`.

    Both are pure, and the state is a plain tree, so they work under `jit`, `grad` and `vmap`.
    """

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


class EmptyState(NamedTuple):
    """The state of a transformation that has none."""


def identity() -> GradientTransformation:
    """Leaves updates as they are."""
    return stateless(lambda updates, params: updates)


def stateless(f: Callable[[Any, Any], Any]) -> GradientTransformation:
    """The transformation `updates = f(updates, params)`."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return f(updates, params), state

    return GradientTransformation(lambda params: EmptyState(), update)


def chain(*transformations: GradientTransformation) -> GradientTransformation:
    """One transformation after the other.

    >>> import functrans as ft
    >>> optimizer = ft.optim.chain(ft.optim.clip(1.0), ft.optim.scale(-0.1))
    >>> updates, _ = optimizer.update(np.array([5.0, 0.5]), optimizer.init(np.zeros(2)))
    >>> updates
    array([-0.1 , -0.05])
    """

    def init(params: Any) -> tuple:
        return tuple(t.init(params) for t in transformations)

    def update(updates: Any, state: tuple, params: Any = None) -> tuple[Any, tuple]:
        if len(state) != len(transformations):
            raise ValueError(
                f"chain of {len(transformations)} transformations was given a state of "
                f"{len(state)} parts: call init on the same chain first."
            )
        new_state = []
        for transformation, part in zip(transformations, state, strict=True):
            updates, part = transformation.update(updates, part, params)
            new_state.append(part)
        return updates, tuple(new_state)

    return GradientTransformation(init, update)


def apply_updates(params: Any, updates: Any) -> Any:
    """params + updates, leaf by leaf, in the dtypes of params.

    >>> import functrans as ft
    >>> ft.optim.apply_updates({"w": np.ones(2)}, {"w": np.array([1.0, -1.0])})
    {'w': array([2., 0.])}
    """
    return tree.map(lambda p, u: as_leaf(p + u, p), params, updates)


def incremental_update(new_tensors: Any, old_tensors: Any, step_size: Any) -> Any:
    """step_size × new + (1 - step_size) × old: moving means of weights, slow target networks.

    >>> incremental_update({"w": np.ones(2)}, {"w": np.zeros(2)}, 0.25)
    {'w': array([0.25, 0.25])}
    """
    return tree.map(
        lambda new, old: step_size * new + (1.0 - step_size) * old, new_tensors, old_tensors
    )


def as_leaf(x: Any, like: Any) -> Any:
    """x in the dtype of another leaf."""
    dtype = getattr(like, "dtype", None)
    return x if dtype is None or x.dtype == dtype else x.astype(dtype)
