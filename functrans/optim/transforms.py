"""The parts that optimizers are chained from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from functrans import numpy as fnp
from functrans.core import tree
from functrans.optim.base import (
    GradientTransformation,
    as_leaf,
    stateless,
)

ScalarOrSchedule = Any
"""A number, or a function from the step count to one."""


class TraceState(NamedTuple):
    """The velocity of momentum."""

    trace: Any


class ScaleByAdamState(NamedTuple):
    """Steps so far, and the first and second moment of the gradients."""

    count: Any
    mu: Any
    nu: Any


class ScaleByRmsState(NamedTuple):
    """The second moment of the gradients."""

    nu: Any


class ScaleByRssState(NamedTuple):
    """The sum of the squares of the gradients."""

    sum_of_squares: Any


class ScaleByLionState(NamedTuple):
    """Steps so far, and the first moment of the gradients."""

    count: Any
    mu: Any


class ScaleByScheduleState(NamedTuple):
    """Steps so far."""

    count: Any


def zeros_like(params: Any) -> Any:
    """A tree of zeros of the same shapes and dtypes."""
    return tree.map(fnp.zeros_like, params)


def scale(step_size: float) -> GradientTransformation:
    """Multiply updates by a constant."""
    return stateless(lambda updates, params: tree.map(lambda g: g * step_size, updates))


def scale_by_schedule(step_size_fn: Callable[[Any], Any]) -> GradientTransformation:
    """Multiply updates by a function of the step count, which starts at 0."""

    def update(updates: Any, state: ScaleByScheduleState, params: Any = None) -> tuple[Any, Any]:
        size = step_size_fn(state.count)
        scaled = tree.map(lambda g: as_leaf(g * size, g), updates)
        return scaled, ScaleByScheduleState(state.count + 1)

    return GradientTransformation(lambda params: ScaleByScheduleState(zero_count()), update)


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule, *, flip_sign: bool = True
) -> GradientTransformation:
    """Multiply updates by minus the learning rate, constant or scheduled."""
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    return scale(sign * learning_rate)


def trace(decay: float, nesterov: bool = False) -> GradientTransformation:
    """Momentum: velocity = gradient + decay × velocity; Nesterov's looks one step ahead."""

    def update(updates: Any, state: TraceState, params: Any = None) -> tuple[Any, TraceState]:
        velocity = tree.map(lambda g, t: g + decay * t, updates, state.trace)
        ahead = tree.map(lambda g, t: g + decay * t, updates, velocity) if nesterov else velocity
        return ahead, TraceState(velocity)

    return GradientTransformation(lambda params: TraceState(zeros_like(params)), update)


def scale_by_adam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Divide the mean of the gradients by the root of the mean of their squares.

    Kingma, Ba: Adam, a method for stochastic optimization (ICLR 2015); with `nesterov` as in
    Dozat: Incorporating Nesterov momentum into Adam (2016).
    """

    def update(updates: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        mu = moment(updates, state.mu, b1, 1)
        nu = moment(updates, state.nu, b2, 2)
        if nesterov:
            ahead = unbiased(mu, b1, count + 1)
            now = unbiased(updates, b1, count)
            mean = tree.map(lambda m, g: b1 * m + (1 - b1) * g, ahead, now)
        else:
            mean = unbiased(mu, b1, count)
        scaled = by_root(mean, unbiased(nu, b2, count), eps, eps_root)
        return scaled, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(no_moments, update)


def scale_by_rms(
    decay: float = 0.9, eps: float = 1e-8, initial_scale: float = 0.0
) -> GradientTransformation:
    """Divide by the root of a moving mean of squares (Tieleman, Hinton: RMSProp, 2012)."""

    def init(params: Any) -> ScaleByRmsState:
        return ScaleByRmsState(tree.map(lambda p: fnp.full_like(p, initial_scale), params))

    def update(updates: Any, state: ScaleByRmsState, params: Any = None) -> tuple[Any, Any]:
        nu = moment(updates, state.nu, decay, 2)
        scaled = tree.map(lambda g, v: g / fnp.sqrt(v + eps), updates, nu)
        return scaled, ScaleByRmsState(nu)

    return GradientTransformation(init, update)


def scale_by_rss(
    initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformation:
    """Divide by the root of the sum of all squares so far (Duchi et al.: Adagrad, 2011)."""

    def init(params: Any) -> ScaleByRssState:
        start = tree.map(lambda p: fnp.full_like(p, initial_accumulator_value), params)
        return ScaleByRssState(start)

    def update(updates: Any, state: ScaleByRssState, params: Any = None) -> tuple[Any, Any]:
        total = tree.map(lambda g, s: s + g * g, updates, state.sum_of_squares)

        def scaled(g: Any, s: Any) -> Any:
            return fnp.where(s > 0, g / fnp.sqrt(s + eps), fnp.zeros_like(g))

        return tree.map(scaled, updates, total), ScaleByRssState(total)

    return GradientTransformation(init, update)


def scale_by_lion(b1: float = 0.9, b2: float = 0.99) -> GradientTransformation:
    """The sign of a mean of gradients (Chen et al.: Symbolic discovery of optimizers, 2023)."""

    def init(params: Any) -> ScaleByLionState:
        return ScaleByLionState(zero_count(), zeros_like(params))

    def update(updates: Any, state: ScaleByLionState, params: Any = None) -> tuple[Any, Any]:
        signs = tree.map(lambda g, m: fnp.sign((1 - b1) * g + b1 * m), updates, state.mu)
        mu = moment(updates, state.mu, b2, 1)
        return signs, ScaleByLionState(state.count + 1, mu)

    return GradientTransformation(init, update)


def add_decayed_weights(weight_decay: float = 0.0, mask: Any = None) -> GradientTransformation:
    """Add weight_decay × params to updates.

    Args:
        weight_decay: the factor.
        mask: a tree of bools of the params' structure, or a function of params giving one; only
            leaves with true are decayed.
    """

    def decay(updates: Any, params: Any) -> Any:
        if params is None:
            raise ValueError("add_decayed_weights needs update(updates, state, params)")
        if mask is None:
            return tree.map(lambda g, p: g + weight_decay * p, updates, params)
        chosen = mask(params) if callable(mask) else mask
        return tree.map(lambda g, p, m: g + weight_decay * p if m else g, updates, params, chosen)

    return stateless(decay)


def set_to_zero() -> GradientTransformation:
    """Updates of zero: what belongs to them stays as it is."""
    return stateless(lambda updates, params: zeros_like(updates))


def clip(max_delta: float) -> GradientTransformation:
    """Clip every element of updates to [-max_delta, max_delta]."""
    return stateless(
        lambda updates, params: tree.map(lambda g: fnp.clip(g, -max_delta, max_delta), updates)
    )


def global_norm(updates: Any) -> Any:
    """The Euclidean norm of all leaves together.

    >>> import functrans as ft
    >>> float(ft.optim.global_norm({"a": np.array([3.0]), "b": np.array([4.0])}))
    5.0
    """
    squares = [fnp.sum(fnp.abs(g) ** 2) for g in tree.leaves(updates)]
    return fnp.sqrt(sum(squares[1:], squares[0])) if squares else fnp.zeros(())


def clip_by_global_norm(max_norm: float) -> GradientTransformation:
    """Scale updates down so that their global norm is at most max_norm.

    Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (2013).
    """

    def clipped(updates: Any, params: Any) -> Any:
        norm = global_norm(updates)
        small = norm < max_norm
        return tree.map(
            lambda g: fnp.where(small, g, as_leaf(g / as_leaf(norm, g) * max_norm, g)), updates
        )

    return stateless(clipped)


def zero_count() -> Any:
    """The step count before the first step."""
    return fnp.zeros((), fnp.int32)


def no_moments(params: Any) -> ScaleByAdamState:
    """The state of Adam and its relatives before the first step."""
    return ScaleByAdamState(zero_count(), zeros_like(params), zeros_like(params))


def by_root(mean: Any, square: Any, eps: float, eps_root: float = 0.0) -> Any:
    """A mean of gradients divided by the root of one of their squares."""
    return tree.map(lambda m, v: m / (fnp.sqrt(v + eps_root) + eps), mean, square)


def moment(updates: Any, moments: Any, decay: float, order: int) -> Any:
    """decay × moment + (1 - decay) × gradient to a power."""
    if order == 1:
        return tree.map(lambda g, m: (1 - decay) * g + decay * m, updates, moments)
    return tree.map(lambda g, m: (1 - decay) * _square(g) + decay * m, updates, moments)


def _square(g: Any) -> Any:
    return (g * g.conj()).real if g.dtype.kind == "c" else g * g


def unbiased(moments: Any, decay: float, count: Any) -> Any:
    """A moving mean that started at zero, divided by the weight of what it has seen."""
    return tree.map(lambda m: m / as_leaf(1 - decay ** count.astype(float), m), moments)
