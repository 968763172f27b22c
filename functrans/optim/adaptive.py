"""Relatives of Adam: other measures of how large the gradients of a parameter are."""

from __future__ import annotations

from typing import Any, NamedTuple

from functrans import numpy as fnp
from functrans.core import tree
from functrans.optim.base import GradientTransformation, as_leaf, stateless
from functrans.optim.transforms import (
    ScaleByAdamState,
    by_root,
    moment,
    no_moments,
    unbiased,
    zeros_like,
)


class ScaleByAmsgradState(NamedTuple):
    """Steps so far, both moments of the gradients, and the greatest second moment."""

    count: Any
    mu: Any
    nu: Any
    nu_max: Any


class ScaleByAdaDeltaState(NamedTuple):
    """The moving means of squared gradients and of squared updates."""

    e_g: Any
    e_x: Any


def scale_by_amsgrad(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0
) -> GradientTransformation:
    """Adam with the greatest second moment so far.

    Reddi, Kale, Kumar: On the convergence of Adam and beyond (ICLR 2018).
    """

    def init(params: Any) -> ScaleByAmsgradState:
        return ScaleByAmsgradState(*no_moments(params), zeros_like(params))

    def update(updates: Any, state: ScaleByAmsgradState, params: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        mu, nu = moment(updates, state.mu, b1, 1), moment(updates, state.nu, b2, 2)
        nu_max = tree.map(fnp.maximum, state.nu_max, unbiased(nu, b2, count))
        scaled = by_root(unbiased(mu, b1, count), nu_max, eps, eps_root)
        return scaled, ScaleByAmsgradState(count, mu, nu, nu_max)

    return GradientTransformation(init, update)


def scale_by_adamax(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformation:
    """Adam with a decaying maximum in place of the second moment (Kingma, Ba 2015, section 7)."""

    def update(updates: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        mu = moment(updates, state.mu, b1, 1)
        nu = tree.map(lambda g, v: fnp.maximum(fnp.abs(g) + eps, b2 * v), updates, state.nu)
        scaled = tree.map(lambda m, v: m / v, unbiased(mu, b1, count), nu)
        return scaled, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(no_moments, update)


def scale_by_belief(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-16, eps_root: float = 1e-16
) -> GradientTransformation:
    """Adam with the second moment of gradients less their mean.

    Zhuang et al.: AdaBelief optimizer (NeurIPS 2020).
    """

    def update(updates: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        mu = moment(updates, state.mu, b1, 1)
        surprise = tree.map(lambda g, m: g - m, updates, mu)
        nu = tree.map(lambda v: v + eps_root, moment(surprise, state.nu, b2, 2))
        scaled = by_root(unbiased(mu, b1, count), unbiased(nu, b2, count), eps)
        return scaled, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(no_moments, update)


def scale_by_radam(
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
) -> GradientTransformation:
    """Adam that divides by the second moment only once enough gradients went into it.

    Liu et al.: On the variance of the adaptive learning rate and beyond (ICLR 2020).

    Args:
        b1, b2: decays of the first and second moment.
        eps, eps_root: added to the root of the second moment, and below the root.
        threshold: how many gradients, as an average over them counts, are enough.
    """
    limit = 2 / (1 - b2) - 1

    def update(updates: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        mu, nu = moment(updates, state.mu, b1, 1), moment(updates, state.nu, b2, 2)
        steps = count.astype(float)
        decayed = b2**steps
        length = limit - 2 * steps * decayed / (1 - decayed)  # of the average, in gradients
        enough = length >= threshold
        reliable = fnp.where(enough, length, limit)  # no root of a negative number
        quotient = (reliable - 4) * (reliable - 2) * limit
        rectified = fnp.sqrt(quotient / ((limit - 4) * (limit - 2) * reliable))
        mean = unbiased(mu, b1, count)
        adapted = by_root(mean, unbiased(nu, b2, count), eps, eps_root)
        scaled = tree.map(
            lambda a, m: fnp.where(enough, a * as_leaf(rectified, a), m), adapted, mean
        )
        return scaled, ScaleByAdamState(count, mu, nu)

    return GradientTransformation(no_moments, update)


def scale_by_adadelta(rho: float = 0.9, eps: float = 1e-6) -> GradientTransformation:
    """Gradients by the root mean square of past updates over that of past gradients.

    Zeiler: ADADELTA, an adaptive learning rate method (2012).
    """

    def init(params: Any) -> ScaleByAdaDeltaState:
        return ScaleByAdaDeltaState(zeros_like(params), zeros_like(params))

    def update(updates: Any, state: ScaleByAdaDeltaState, params: Any = None) -> tuple[Any, Any]:
        e_g = moment(updates, state.e_g, rho, 2)
        scaled = tree.map(
            lambda g, e, x: fnp.sqrt(x + eps) / fnp.sqrt(e + eps) * g, updates, e_g, state.e_x
        )
        return scaled, ScaleByAdaDeltaState(e_g, moment(scaled, state.e_x, rho, 2))

    return GradientTransformation(init, update)


def scale_by_trust_ratio(
    trust_coefficient: float = 1.0, eps: float = 0.0
) -> GradientTransformation:
    """Give each leaf of updates a length in proportion to that of its parameters.

    You, Gitman, Ginsburg: Large batch training of convolutional networks (2017).

    Args:
        trust_coefficient: length of an update by that of its parameters.
        eps: added to the length of the gradients.

    Raises:
        ValueError: from update, where it is not given the parameters.

    >>> import functrans as ft
    >>> part = ft.optim.scale_by_trust_ratio()
    >>> params = np.array([3.0, 4.0])
    >>> part.update(np.array([0.0, 2.0]), part.init(params), params)[0]
    array([0., 5.])
    """

    def trusted(g: Any, p: Any) -> Any:
        own, step = fnp.linalg.norm(fnp.ravel(p)), fnp.linalg.norm(fnp.ravel(g))
        zero = (own == 0) | (step == 0)
        ratio = trust_coefficient * own / (fnp.where(zero, 1, step) + eps)
        return g * as_leaf(fnp.where(zero, 1, ratio), g)

    def scaled(updates: Any, params: Any) -> Any:
        if params is None:
            raise ValueError("scale_by_trust_ratio needs update(updates, state, params)")
        return tree.map(trusted, updates, params)

    return stateless(scaled)
