"""Transformations made of others: for some of the parameters, with hyperparameters in the state,
on gradients of several steps, on finite ones only."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from functrans import lax
from functrans import numpy as fnp
from functrans.core import tree
from functrans.core.trace import Tracer
from functrans.core.types import dtype_of
from functrans.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    with_extra_args_support,
)
from functrans.optim.transforms import zero_count, zeros_like


class MaskedNode(NamedTuple):
    """Stands where a leaf was that a transformation does not see; it has no leaves itself."""


class MaskedState(NamedTuple):
    inner_state: Any


def masked(inner: GradientTransformation, mask: Any) -> GradientTransformationExtraArgs:
    """Transform some leaves only, and let the others through as they are.

    Args:
        inner: the transformation of these.
        mask: a tree of bools, true for what is transformed, whose leaves may stand for whole
            subtrees; or a function of the parameters or updates that gives it.

    >>> import functrans as ft
    >>> halved = ft.optim.masked(ft.optim.scale(0.5), {"w": True, "b": False})
    >>> updates = {"w": np.ones(2), "b": np.ones(2)}
    >>> halved.update(updates, halved.init(updates))[0]
    {'w': array([0.5, 0.5]), 'b': array([1., 1.])}
    """
    transformation = with_extra_args_support(inner)

    def chosen(values: Any) -> Any:
        return mask(values) if callable(mask) else mask

    def seen(choice: Any, values: Any) -> Any:
        return tree.map(lambda m, x: x if m else MaskedNode(), choice, values)

    def init(params: Any) -> MaskedState:
        return MaskedState(transformation.init(seen(chosen(params), params)))

    def update(
        updates: Any, state: MaskedState, params: Any = None, **extra: Any
    ) -> tuple[Any, MaskedState]:
        choice = chosen(updates)
        known = None if params is None else seen(choice, params)
        new, inner_state = transformation.update(
            seen(choice, updates), state.inner_state, known, **extra
        )
        merged = tree.map(lambda m, old, new: new if m else old, choice, updates, new)
        return merged, MaskedState(inner_state)

    return GradientTransformationExtraArgs(init, update)


class PartitionState(NamedTuple):
    inner_states: Any


def partition(
    transforms: Mapping[Any, GradientTransformation], param_labels: Any
) -> GradientTransformationExtraArgs:
    """A transformation for each group of leaves.

    Args:
        transforms: the transformation of each label.
        param_labels: a tree with the label of each leaf, or of a whole subtree; or a function of
            the parameters or updates that gives it.

    Raises:
        ValueError: a label that has no transformation.

    >>> import functrans as ft
    >>> some = ft.optim.partition(
    ...     {"on": ft.optim.sgd(0.1), "off": ft.optim.set_to_zero()}, {"w": "on", "b": "off"}
    ... )
    >>> params = {"w": np.ones(2), "b": np.ones(2)}
    >>> some.update(params, some.init(params))[0]
    {'w': array([-0.1, -0.1]), 'b': array([0., 0.])}
    """

    def labels(values: Any) -> Any:
        found = param_labels(values) if callable(param_labels) else param_labels
        unknown = {label for label in tree.leaves(found) if label not in transforms}
        if unknown:
            raise ValueError(
                f"param_labels has the labels {sorted(map(repr, unknown))}, for which there is no "
                f"transformation: there are {sorted(map(repr, transforms))}."
            )
        return found

    def group(label: Any, transform: GradientTransformation) -> GradientTransformationExtraArgs:
        return masked(transform, lambda values: tree.map(lambda x: x == label, labels(values)))

    groups = {label: group(label, transform) for label, transform in transforms.items()}

    def init(params: Any) -> PartitionState:
        return PartitionState({label: part.init(params) for label, part in groups.items()})

    def update(
        updates: Any, state: PartitionState, params: Any = None, **extra: Any
    ) -> tuple[Any, PartitionState]:
        states = {}
        for label, part in groups.items():
            updates, states[label] = part.update(
                updates, state.inner_states[label], params, **extra
            )
        return updates, PartitionState(states)

    return GradientTransformationExtraArgs(init, update)


multi_transform = partition


class InjectHyperparamsState(NamedTuple):
    count: Any
    hyperparams: dict[str, Any]
    inner_state: Any


def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation], static_args: str | Iterable[str] = ()
) -> Callable[..., GradientTransformationExtraArgs]:
    """An optimizer whose numbers are part of its state, where they can be read and replaced.

    Args:
        inner_factory: a function that makes an optimizer, such as `adam`.
        static_args: names of arguments that stay as they are.

    Returns:
        A function of the same arguments. Numbers among them are in `state.hyperparams`, and so is
        what functions of the step count, schedules, gave last.

    >>> import functrans as ft
    >>> optimizer = ft.optim.inject_hyperparams(ft.optim.sgd)(learning_rate=0.5)
    >>> state = optimizer.init(np.zeros(2))
    >>> state.hyperparams["learning_rate"] = np.array(0.25)
    >>> optimizer.update(np.ones(2), state)[0]
    array([-0.25, -0.25])
    """
    static = {static_args} if isinstance(static_args, str) else set(static_args)

    def make(*args: Any, **kwargs: Any) -> GradientTransformationExtraArgs:
        bound = inspect.signature(inner_factory).bind(*args, **kwargs)
        bound.apply_defaults()
        given = {name: x for name, x in bound.arguments.items() if name not in static}
        schedules = {name: x for name, x in given.items() if callable(x)}
        numbers = {name: x for name, x in given.items() if _is_number(x)}

        def inner(values: dict[str, Any]) -> GradientTransformationExtraArgs:
            bound.arguments.update(values)
            return with_extra_args_support(inner_factory(*bound.args, **bound.kwargs))

        def at_step(count: Any, values: dict[str, Any], like: Any) -> dict[str, Any]:
            values = {**values, **{name: f(count) for name, f in schedules.items()}}
            leaves = tree.leaves(like)
            dtype = dtype_of(leaves[0]) if leaves else np.dtype(float)
            return {name: fnp.asarray(x, dtype) for name, x in values.items()}

        def init(params: Any) -> InjectHyperparamsState:
            count = zero_count()
            values = at_step(count, numbers, params)
            return InjectHyperparamsState(count, values, inner(values).init(params))

        def update(
            updates: Any, state: InjectHyperparamsState, params: Any = None, **extra: Any
        ) -> tuple[Any, InjectHyperparamsState]:
            values = at_step(state.count, state.hyperparams, updates)
            updates, inner_state = inner(values).update(updates, state.inner_state, params, **extra)
            return updates, InjectHyperparamsState(state.count + 1, values, inner_state)

        return GradientTransformationExtraArgs(init, update)

    return make


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float | np.ndarray | np.number | Tracer) and not isinstance(x, bool)


class ApplyIfFiniteState(NamedTuple):
    notfinite_count: Any
    last_finite: Any
    total_notfinite: Any
    inner_state: Any


def apply_if_finite(
    inner: GradientTransformation, max_consecutive_errors: int
) -> GradientTransformationExtraArgs:
    """Skip steps whose updates are not finite, as long as there are few of them in a row.

    Args:
        inner: the optimizer, which does not see what is skipped.
        max_consecutive_errors: after as many skipped steps the next one is taken.

    >>> import functrans as ft
    >>> careful = ft.optim.apply_if_finite(ft.optim.sgd(1.0), 5)
    >>> careful.update(np.array([1.0, np.nan]), careful.init(np.zeros(2)))[0]
    array([0., 0.])
    """
    transformation = with_extra_args_support(inner)

    def init(params: Any) -> ApplyIfFiniteState:
        return ApplyIfFiniteState(zero_count(), np.True_, zero_count(), transformation.init(params))

    def update(
        updates: Any, state: ApplyIfFiniteState, params: Any = None, **extra: Any
    ) -> tuple[Any, ApplyIfFiniteState]:
        finite = tree.reduce(
            fnp.logical_and, tree.map(lambda g: fnp.all(fnp.isfinite(g)), updates), np.True_
        )
        wrong = fnp.where(finite, 0, state.notfinite_count + 1)
        updates, inner_state = lax.cond(
            finite | (wrong > max_consecutive_errors),
            lambda: transformation.update(updates, state.inner_state, params, **extra),
            lambda: (zeros_like(updates), state.inner_state),
        )
        total = state.total_notfinite + fnp.where(finite, 0, 1).astype(np.int32)
        return updates, ApplyIfFiniteState(wrong.astype(np.int32), finite, total, inner_state)

    return GradientTransformationExtraArgs(init, update)


class MultiStepsState(NamedTuple):
    mini_step: Any
    gradient_step: Any
    inner_opt_state: Any
    acc_grads: Any


class MultiSteps:
    """An optimizer that takes a step with the mean of k gradients, and none between.

    Args:
        opt: the optimizer.
        every_k_schedule: k, or a function of the number of steps taken that gives it.
        use_grad_mean: the mean of the gradients, or otherwise their sum.

    >>> import functrans as ft
    >>> pairs = ft.optim.MultiSteps(ft.optim.sgd(1.0), every_k_schedule=2)
    >>> state = pairs.init(np.zeros(1))
    >>> first, state = pairs.update(np.array([1.0]), state)
    >>> second, state = pairs.update(np.array([2.0]), state)
    >>> first.tolist(), second.tolist(), bool(pairs.has_updated(state))
    ([0.0], [-1.5], True)
    """

    def __init__(
        self,
        opt: GradientTransformation,
        every_k_schedule: int | Callable[[Any], Any],
        use_grad_mean: bool = True,
    ) -> None:
        self.inner_opt = with_extra_args_support(opt)
        self._every = every_k_schedule if callable(every_k_schedule) else lambda _: every_k_schedule
        self._use_grad_mean = use_grad_mean

    def init(self, params: Any) -> MultiStepsState:
        """The state before the first gradient."""
        opt_state = self.inner_opt.init(params)
        return MultiStepsState(zero_count(), zero_count(), opt_state, zeros_like(params))

    def update(
        self, updates: Any, state: MultiStepsState, params: Any = None, **extra: Any
    ) -> tuple[Any, MultiStepsState]:
        """Take one more gradient in; the updates are 0 unless it is the last of k."""
        step, taken, opt_state, sums = state

        def into(total: Any, g: Any) -> Any:
            return total + (g - total) / (step + 1) if self._use_grad_mean else total + g

        sums = tree.map(lambda a, g: into(a, g).astype(dtype_of(a)), sums, updates)
        last = step >= self._every(taken) - 1

        def take() -> tuple[Any, Any, Any]:
            return *self.inner_opt.update(sums, opt_state, params, **extra), zeros_like(sums)

        new, opt_state, sums = lax.cond(last, take, lambda: (zeros_like(sums), opt_state, sums))
        step = fnp.where(last, 0, step + 1).astype(np.int32)
        taken = taken + fnp.where(last, 1, 0).astype(np.int32)
        return new, MultiStepsState(step, taken, opt_state, sums)

    def has_updated(self, state: MultiStepsState) -> Any:
        """Whether the last call of `update` took a step."""
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformationExtraArgs:
        """The same as a pair of functions."""
        return GradientTransformationExtraArgs(self.init, self.update)
