"""Learning rates as functions of the step count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import TransformError

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


def piecewise_interpolate_schedule(
    interpolate_type: str,
    init_value: float,
    boundaries_and_scales: Mapping[int, float] | None = None,
) -> Schedule:
    """init_value, multiplied by a scale until each boundary is reached, smoothly between them.

    Args:
        interpolate_type: "linear", or "cosine" for half a cosine.
        init_value: the value at step 0.
        boundaries_and_scales: from steps to what the value before is multiplied by until then.

    Raises:
        TransformError: another type.
        ValueError: a negative scale.

    >>> schedule = piecewise_interpolate_schedule("linear", 1.0, {10: 0.5, 20: 0.0})
    >>> [float(schedule(count)) for count in (0, 5, 10, 15, 30)]
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    shapes = {"linear": lambda x: x, "cosine": lambda x: 0.5 * (1 - fnp.cos(np.pi * x))}
    if interpolate_type not in shapes:
        raise TransformError(
            "piecewise_interpolate_schedule has the types 'linear' and 'cosine', not "
            f"{interpolate_type!r}."
        )
    table = sorted((boundaries_and_scales or {}).items())
    if any(scale < 0 for _, scale in table):
        raise ValueError("piecewise_interpolate_schedule takes non-negative scales")

    def schedule(count: Any) -> Any:
        value: Any = init_value
        begin, level = 0, init_value
        for boundary, scale in table:
            part = fnp.clip((count - begin) / (boundary - begin), 0.0, 1.0)
            value = value + level * (scale - 1) * shapes[interpolate_type](part)
            begin, level = boundary, level * scale
        return value

    return schedule


def linear_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    pct_final: float = 0.85,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Up to peak_value in a line, down as far in another, and slowly to the end.

    Args:
        transition_steps: steps until the end.
        peak_value: the greatest value.
        pct_start: the part of the steps until then.
        pct_final: the part of the steps until the value is that of the start again.
        div_factor: peak_value divided by the value of the start.
        final_div_factor: the value of the start divided by that of the end.

    Smith, Topin, Super-convergence: very fast training of neural networks using large learning
    rates, 2017.

    >>> schedule = linear_onecycle_schedule(100, 1.0)
    >>> [round(float(schedule(count)), 6) for count in (0, 30, 85, 100)]
    [0.04, 1.0, 0.04, 4e-06]
    """
    turns = {
        int(pct_start * transition_steps): div_factor,
        int(pct_final * transition_steps): 1 / div_factor,
        transition_steps: 1 / final_div_factor,
    }
    return piecewise_interpolate_schedule("linear", peak_value / div_factor, turns)


def cosine_onecycle_schedule(
    transition_steps: int,
    peak_value: float,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:
    """Half a cosine up to peak_value and another one down.

    Args:
        transition_steps: steps until the end.
        peak_value: the greatest value.
        pct_start: the part of the steps until then.
        div_factor: peak_value divided by the value of the start.
        final_div_factor: the value of the start divided by that of the end.

    Smith, Topin, Super-convergence: very fast training of neural networks using large learning
    rates, 2017.

    >>> schedule = cosine_onecycle_schedule(100, 1.0)
    >>> [round(float(schedule(count)), 6) for count in (0, 15, 30, 100)]
    [0.04, 0.52, 1.0, 4e-06]
    """
    turns = {
        int(pct_start * transition_steps): div_factor,
        transition_steps: 1 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, turns)


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


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    """Linear to peak_value, which then stays.

    >>> schedule = warmup_constant_schedule(0.0, 1.0, 4)
    >>> [float(schedule(count)) for count in (0, 1, 4, 100)]
    [0.0, 0.25, 1.0, 1.0]
    """
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_exponential_decay_schedule(
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:
    """Linear to peak_value, and then exponential_decay, whose steps count from there.

    >>> schedule = warmup_exponential_decay_schedule(0.0, 1.0, 4, 10, 0.5)
    >>> [float(schedule(count)) for count in (0, 4, 14, 24)]
    [0.0, 1.0, 0.5, 0.25]
    """
    decay = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return join_schedules(
        [linear_schedule(init_value, peak_value, warmup_steps), decay], [warmup_steps]
    )


def sgdr_schedule(cosine_kwargs: Iterable[Mapping[str, Any]]) -> Schedule:
    """Warm restarts: one warmup_cosine_decay_schedule after the other.

    Args:
        cosine_kwargs: the arguments of each; its decay_steps say when the next one begins.

    Loshchilov, Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.

    >>> cycle = dict(init_value=0.0, peak_value=1.0, warmup_steps=1, decay_steps=10)
    >>> schedule = sgdr_schedule([cycle, {**cycle, "peak_value": 0.5}])
    >>> [float(schedule(count)) for count in (0, 1, 10, 11)]
    [0.0, 1.0, 0.0, 0.5]
    """
    cycles = list(cosine_kwargs)
    ends = np.cumsum([cycle["decay_steps"] for cycle in cycles])
    parts = [warmup_cosine_decay_schedule(**cycle) for cycle in cycles]
    return join_schedules(parts, [int(end) for end in ends[:-1]])
