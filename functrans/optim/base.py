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


class GradientTransformationExtraArgs(GradientTransformation):
    """A transformation whose `update` takes more arguments by name, such as `value` and `grad`.

    Those that it does not know, it ignores: each part of a chain is given all of them.
    """


def with_extra_args_support(
    transformation: GradientTransformation,
) -> GradientTransformationExtraArgs:
    """The same transformation, ignoring arguments that it does not take.

    >>> halved = with_extra_args_support(stateless(lambda g, _: g / 2))
    >>> halved.update(np.ones(2), halved.init(np.ones(2)), None, value=1.0)[0]
    array([0.5, 0.5])
    """
    if isinstance(transformation, GradientTransformationExtraArgs):
        return transformation

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        return transformation.update(updates, state, params)

    return GradientTransformationExtraArgs(transformation.init, update)


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


def chain(*transformations: GradientTransformation) -> GradientTransformationExtraArgs:
    """One transformation after the other; all are given what `update` is given by name.

    >>> import functrans as ft
    >>> optimizer = ft.optim.chain(ft.optim.clip(1.0), ft.optim.scale(-0.1))
    >>> updates, _ = optimizer.update(np.array([5.0, 0.5]), optimizer.init(np.zeros(2)))
    >>> updates
    array([-0.1 , -0.05])
    """
    parts = [with_extra_args_support(t) for t in transformations]

    def init(params: Any) -> tuple:
        return tuple(part.init(params) for part in parts)

    def update(updates: Any, state: tuple, params: Any = None, **extra: Any) -> tuple[Any, tuple]:
        if len(state) != len(parts):
            raise ValueError(
                f"chain of {len(parts)} transformations was given a state of "
                f"{len(state)} parts: call init on the same chain first."
            )
        new_state = []
        for part, part_state in zip(parts, state, strict=True):
            updates, part_state = part.update(updates, part_state, params, **extra)
            new_state.append(part_state)
        return updates, tuple(new_state)

    return GradientTransformationExtraArgs(init, update)


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
