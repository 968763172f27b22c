"""Optimizers: each a chain of a few transformations, with Optax's names and defaults."""

from __future__ import annotations

from typing import Any

from functrans.optim import adaptive
from functrans.optim import transforms as t
from functrans.optim.base import GradientTransformation, chain, identity


def sgd(
    learning_rate: t.ScalarOrSchedule, momentum: float | None = None, nesterov: bool = False
) -> GradientTransformation:
    """Gradient descent, optionally with (Nesterov) momentum.

    >>> import functrans as ft
    >>> optimizer = ft.optim.sgd(0.1)
    >>> updates, state = optimizer.update(np.array([1.0]), optimizer.init(np.zeros(1)))
    >>> updates
    array([-0.1])
    """
    momentum_part = identity() if momentum is None else t.trace(momentum, nesterov)
    return _stepping(learning_rate, momentum_part)


def adam(
    learning_rate: t.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam: m / (√v + eps) of unbiased moving means m of gradients and v of their squares.

    Kingma, Ba: Adam, a method for stochastic optimization (ICLR 2015).

    >>> import functrans as ft, functrans.numpy as fnp
    >>> optimizer = ft.optim.adam(0.1)
    >>> x = np.array([1.0, -2.0])
    >>> state = optimizer.init(x)
    >>> for _ in range(200):
    ...     updates, state = optimizer.update(ft.grad(lambda x: fnp.sum(x**2))(x), state)
    ...     x = ft.optim.apply_updates(x, updates)
    >>> bool(np.abs(x).max() < 1e-2)
    True
    """
    return _stepping(learning_rate, t.scale_by_adam(b1, b2, eps, eps_root, nesterov=nesterov))


def nadam(
    learning_rate: t.ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformation:
    """Adam with Nesterov momentum (Dozat 2016)."""
    return adam(learning_rate, b1, b2, eps, nesterov=True)


def adamw(
    learning_rate: t.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 1e-4,
    mask: Any = None,
    *,
    nesterov: bool = False,
) -> GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov, Hutter, ICLR 2019)."""
    return _stepping(
        learning_rate,
        t.scale_by_adam(b1, b2, eps, eps_root, nesterov=nesterov),
        t.add_decayed_weights(weight_decay, mask),
    )


def nadamw(
    learning_rate: t.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 1e-4,
    mask: Any = None,
) -> GradientTransformation:
    """AdamW with Nesterov momentum (Dozat 2016)."""
    return adamw(learning_rate, b1, b2, eps, eps_root, weight_decay, mask, nesterov=True)


def amsgrad(
    learning_rate: t.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
) -> GradientTransformation:
    """Adam whose second moment never falls (Reddi, Kale, Kumar 2018)."""
    return _stepping(learning_rate, adaptive.scale_by_amsgrad(b1, b2, eps, eps_root))


def adamax(
    learning_rate: t.ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> GradientTransformation:
    """Adam in the maximum norm (Kingma, Ba 2015)."""
    return _stepping(learning_rate, adaptive.scale_by_adamax(b1, b2, eps))


def adabelief(
    learning_rate: t.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
) -> GradientTransformation:
    """Adam that steps far where gradients are as they were on the mean (Zhuang et al. 2020)."""
    return _stepping(learning_rate, adaptive.scale_by_belief(b1, b2, eps, eps_root))


def radam(
    learning_rate: t.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    threshold: float = 5.0,
) -> GradientTransformation:
    """Adam that starts as momentum, until its second moment is reliable (Liu et al. 2020).

    >>> import functrans as ft
    >>> optimizer = ft.optim.radam(0.1)
    >>> updates, _ = optimizer.update(np.array([2.0]), optimizer.init(np.zeros(1)))
    >>> updates.round(6)
    array([-0.2])
    """
    return _stepping(learning_rate, adaptive.scale_by_radam(b1, b2, eps, eps_root, threshold))


def adadelta(
    learning_rate: t.ScalarOrSchedule, rho: float = 0.9, eps: float = 1e-6
) -> GradientTransformation:
    """Adadelta: steps in the units of the parameters (Zeiler 2012)."""
    return _stepping(learning_rate, adaptive.scale_by_adadelta(rho, eps))


def lamb(
    learning_rate: t.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
    mask: Any = None,
) -> GradientTransformation:
    """Adam with a step for each leaf in proportion to its length, for large batches (You 2020).

    >>> import functrans as ft
    >>> optimizer, w = ft.optim.lamb(0.1), np.array([3.0])
    >>> updates, _ = optimizer.update(np.array([1e-3]), optimizer.init(w), w)
    >>> updates.round(6)
    array([-0.3])
    """
    return _stepping(
        learning_rate,
        t.scale_by_adam(b1, b2, eps, eps_root),
        t.add_decayed_weights(weight_decay, mask),
        adaptive.scale_by_trust_ratio(),
    )


def rmsprop(
    learning_rate: t.ScalarOrSchedule,
    decay: float = 0.9,
    eps: float = 1e-8,
    initial_scale: float = 0.0,
    momentum: float | None = None,
    nesterov: bool = False,
) -> GradientTransformation:
    """RMSProp: gradients divided by the root of a moving mean of squares (Hinton 2012)."""
    return chain(
        t.scale_by_rms(decay, eps, initial_scale),
        t.scale_by_learning_rate(learning_rate),
        identity() if momentum is None else t.trace(momentum, nesterov),
    )


def adagrad(
    learning_rate: t.ScalarOrSchedule, initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformation:
    """Adagrad: gradients divided by the root of the sum of squares (Duchi et al. 2011)."""
    return _stepping(learning_rate, t.scale_by_rss(initial_accumulator_value, eps))


def lion(
    learning_rate: t.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.99,
    weight_decay: float = 1e-3,
    mask: Any = None,
) -> GradientTransformation:
    """Lion: steps of the sign of a mean of gradients (Chen et al. 2023)."""
    return _stepping(
        learning_rate,
        t.scale_by_lion(b1, b2),
        t.add_decayed_weights(weight_decay, mask),
    )


def _stepping(
    learning_rate: t.ScalarOrSchedule, *parts: GradientTransformation
) -> GradientTransformation:
    """The parts in order, and a step down what they give."""
    return chain(*parts, t.scale_by_learning_rate(learning_rate))
