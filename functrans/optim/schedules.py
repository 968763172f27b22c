"""Learning rates as functions of the step count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from functrans import numpy as fnp

Schedule = Callable[[Any], Any]


def constant_schedule(value: float) -> Schedule:
    """The same value at every step."""
    return lambda count: value


def polynomial_schedule(
    init_value: float,
    end_value: float,
    power: float,
    transition_steps: int,
    transition_begin: int = 0,
) -> Schedule:
    """From init_value to end_value along (1 - fraction)^power."""

    def schedule(count: Any) -> Any:
        steps = fnp.clip(count - transition_begin, 0, transition_steps)
        fraction = 1 - steps / transition_steps
        return (init_value - end_value) * fraction**power + end_value

    return schedule


def linear_schedule(
    init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From init_value to end_value in equal steps.

    >>> import functrans as ft
    >>> float(ft.optim.schedules.linear_schedule(1.0, 0.0, 10)(4))
    0.6
    """
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """init_value × decay_rate^(count / transition_steps), bounded by end_value."""

    def schedule(count: Any) -> Any:
        late = count - transition_begin
        exponent = late / transition_steps
        exponent = fnp.floor(exponent) if staircase else exponent
        value = fnp.where(late <= 0, init_value, init_value * decay_rate**exponent)
        if end_value is None:
            return value
        bound = fnp.maximum if decay_rate < 1 else fnp.minimum
        return bound(value, end_value)

    return schedule


def cosine_decay_schedule(
    init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0
) -> Schedule:
    """Half a cosine from init_value to alpha × init_value (Loshchilov, Hutter, SGDR, 2017)."""

    def schedule(count: Any) -> Any:
        fraction = fnp.minimum(count, decay_steps) / decay_steps
        cosine = 0.5 * (1 + fnp.cos(np.pi * fraction))
        return init_value * ((1 - alpha) * cosine**exponent + alpha)

    return schedule


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: Mapping[int, float] | None = None
) -> Schedule:
    """init_value, multiplied by a scale from each boundary on."""
    table = dict(boundaries_and_scales or {})
    if any(scale < 0 for scale in table.values()):
        raise ValueError("piecewise_constant_schedule takes non-negative scales")

    def schedule(count: Any) -> Any:
        value: Any = init_value
        for boundary, scale in sorted(table.items()):
            value = value * fnp.where(count >= boundary, scale, 1.0)
        return value

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; each counts from its own boundary."""

    def schedule(count: Any) -> Any:
        value = schedules[0](count)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            value = fnp.where(count < boundary, value, following(count - boundary))
        return value

    return schedule


def warmup_cosine_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float = 0.0,
    exponent: float = 1.0,
) -> Schedule:
    """Linear to peak_value, then half a cosine to end_value; decay_steps counts both."""
    alpha = 0.0 if peak_value == 0 else end_value / peak_value
    return join_schedules(
        [
            linear_schedule(init_value, peak_value, warmup_steps),
            cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent),
        ],
        [warmup_steps],
    )
