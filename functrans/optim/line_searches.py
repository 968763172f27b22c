"""Learning rates found anew at every step, by looking along the updates."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from functrans import numpy as fnp
from functrans.core import tree
from functrans.core.errors import TransformError
from functrans.core.types import dtype_of
from functrans.lax import cond, while_loop
from functrans.optim.base import GradientTransformationExtraArgs, apply_updates, as_leaf
from functrans.optim.transforms import zeros_like
from functrans.scipy.optimize.limited_memory import inner
from functrans.scipy.optimize.line_search import Conditions, Found, Point, line_search
from functrans.transforms.autodiff import value_and_grad


class BacktrackingLinesearchInfo(NamedTuple):
    """Points tried, and by how much the last one failed to decrease enough."""

    num_linesearch_steps: Any
    decrease_error: Any


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """The step last taken; the value there, and the gradient if it is stored."""

    learning_rate: Any
    value: Any
    grad: Any
    info: BacktrackingLinesearchInfo


class ZoomLinesearchInfo(NamedTuple):
    """Points tried, and by how much the last one failed the conditions."""

    num_linesearch_steps: Any
    decrease_error: Any
    curvature_error: Any


class ScaleByZoomLinesearchState(NamedTuple):
    """The step last taken, and the value and the gradient there."""

    learning_rate: Any
    value: Any
    grad: Any
    info: ZoomLinesearchInfo


def scale_by_backtracking_linesearch(
    max_backtracking_steps: int,
    slope_rtol: float = 1e-4,
    decrease_factor: float = 0.8,
    increase_factor: float = 1.5,
    max_learning_rate: float = 1.0,
    atol: float = 0.0,
    rtol: float = 0.0,
    store_grad: bool = False,
) -> GradientTransformationExtraArgs:
    """Shorten updates until the value decreases enough (Armijo's condition).

    Args:
        max_backtracking_steps: how often at most.
        slope_rtol: the part of what the slope promises by which the value must fall.
        decrease_factor: by what steps are multiplied that are too long.
        increase_factor: by what the last step is multiplied to give the first one to try; infinite
            for the longest.
        max_learning_rate: the longest step.
        atol: absolute tolerance of the condition.
        rtol: tolerance relative to the value before.
        store_grad: whether the gradient at the new place is kept for `value_and_grad_from_state`.

    Returns:
        A transformation for
        `update(updates, state, params, value=…, grad=…, value_fn=…)`, where further arguments by
        name are those of value_fn.

    Raises:
        TransformError: update was not given params, value, grad and value_fn.

    Armijo 1966; Nocedal and Wright, Numerical Optimization (2006), algorithm 3.1.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> search = ft.optim.scale_by_backtracking_linesearch(20)
    >>> optimizer = ft.optim.chain(ft.optim.sgd(1.0), search)
    >>> f = lambda x: fnp.sum(x**4)
    >>> x = np.array([2.0, 1.0])
    >>> value, grad = ft.value_and_grad(f)(x)
    >>> updates, _ = optimizer.update(
    ...     grad, optimizer.init(x), x, value=value, grad=grad, value_fn=f
    ... )
    >>> bool(f(x + updates) < value)
    True
    """

    def init(params: Any) -> ScaleByBacktrackingLinesearchState:
        one = _real_ones(params)
        info = BacktrackingLinesearchInfo(0, one * np.inf)
        stored = zeros_like(params) if store_grad else None
        return ScaleByBacktrackingLinesearchState(one, one * np.inf, stored, info)

    def update(
        updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, ScaleByBacktrackingLinesearchState]:
        value, grad, f = _given("scale_by_backtracking_linesearch", params, extra)
        kept = dtype_of(state.learning_rate)
        slope = inner(updates, grad)

        def at_step(t: Any) -> tuple[Any, Any]:
            there = fnp.asarray(f(_along(params, updates, t))).astype(kept)
            allowed = (1 + rtol) * value + atol + slope_rtol * t * slope
            error = fnp.maximum(there - allowed, 0)
            return there, fnp.where(fnp.isnan(error), np.inf, error).astype(kept)

        def too_long(trial: Any) -> Any:
            _, _, error, k = trial
            return (error > 0) & (k <= max_backtracking_steps)

        def shorten(trial: Any) -> Any:
            t, _, _, k = trial
            t = (t * decrease_factor).astype(kept)
            return t, *at_step(t), k + 1

        first = fnp.minimum(increase_factor * state.learning_rate, max_learning_rate).astype(kept)
        t, there, error, k = while_loop(too_long, shorten, (first, *at_step(first), 1))
        stored = value_and_grad(f)(_along(params, updates, t))[1] if store_grad else None
        info = BacktrackingLinesearchInfo(k, error)
        return _scaled(updates, t), ScaleByBacktrackingLinesearchState(t, there, stored, info)

    return GradientTransformationExtraArgs(init, update)


def scale_by_zoom_linesearch(
    max_linesearch_steps: int,
    max_learning_rate: float | None = None,
    tol: float = 0.0,
    increase_factor: float = 2.0,
    slope_rtol: float = 1e-4,
    curv_rtol: float = 0.9,
    approx_dec_rtol: float | None = 1e-6,
    stepsize_precision: float = 1e-5,
    initial_guess_strategy: str = "keep",
) -> GradientTransformationExtraArgs:
    """Scale updates so that the value and its slope decrease enough (strong Wolfe conditions).

    Args:
        max_linesearch_steps: points tried at most.
        max_learning_rate: the longest step.
        tol: absolute tolerance of both conditions.
        increase_factor: by what steps grow until they are long enough.
        slope_rtol: the part of what the slope promises by which the value must fall.
        curv_rtol: the part of the slope that may be left.
        approx_dec_rtol: relative rise of the value up to which its slope alone tells of a
            decrease; None for none.
        stepsize_precision: where the interval is as narrow, a step that decreases enough will do.
        initial_guess_strategy: "keep" starts with the last step, "one" with 1, which suits methods
            of Newton's kind.

    Returns:
        A transformation for
        `update(updates, state, params, value=…, grad=…, value_fn=…)`, where further arguments by
        name are those of value_fn. The value and gradient found are in the state, for
        `value_and_grad_from_state`.

    Raises:
        TransformError: another strategy, or update was not given params, value, grad and value_fn.

    Nocedal and Wright, Numerical Optimization (2006), algorithms 3.5 and 3.6; Hager and Zhang, A
    new conjugate gradient method with guaranteed descent, 2005.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> search = ft.optim.scale_by_zoom_linesearch(15)
    >>> optimizer = ft.optim.chain(ft.optim.sgd(1.0), search)
    >>> f = lambda x: fnp.sum(x**4)
    >>> x = np.array([2.0, 1.0])
    >>> value, grad = ft.value_and_grad(f)(x)
    >>> updates, state = optimizer.update(
    ...     grad, optimizer.init(x), x, value=value, grad=grad, value_fn=f
    ... )
    >>> bool(f(x + updates) < value)
    True
    """
    if initial_guess_strategy not in ("keep", "one"):
        raise TransformError(
            "scale_by_zoom_linesearch has the initial_guess_strategy 'keep' and 'one', not "
            f"{initial_guess_strategy!r}."
        )
    ask = Conditions(
        maxiter=max_linesearch_steps,
        decrease=slope_rtol,
        curvature=curv_rtol,
        approximate=-np.inf if approx_dec_rtol is None else approx_dec_rtol,
        slack=tol,
        growth=increase_factor,
        longest=np.inf if max_learning_rate is None else max_learning_rate,
        narrow=stepsize_precision,
    )

    def init(params: Any) -> ScaleByZoomLinesearchState:
        one = _real_ones(params)
        info = ZoomLinesearchInfo(0, one * np.inf, one * np.inf)
        return ScaleByZoomLinesearchState(one, one * np.inf, zeros_like(params), info)

    def update(
        updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, ScaleByZoomLinesearchState]:
        value, grad, f = _given("scale_by_zoom_linesearch", params, extra)
        kept = dtype_of(state.learning_rate)

        def numbers(*values: Any) -> list[Any]:
            return [fnp.asarray(x).astype(kept) for x in values]

        def along(t: Any) -> tuple[Any, Any, Any]:
            there, g = value_and_grad(f)(_along(params, updates, t))
            return *numbers(there, inner(updates, g)), g

        zero, before, slope = numbers(0, value, inner(updates, grad))
        start = Point(zero, before, slope, grad)
        first = state.learning_rate if initial_guess_strategy == "keep" else fnp.ones((), kept)
        found = line_search(along, start, first, ask)
        p = found.point
        info = _zoom_info(start, found, ask)
        return _scaled(updates, p.t), ScaleByZoomLinesearchState(p.t, p.value, p.gradient, info)

    return GradientTransformationExtraArgs(init, update)


def value_and_grad_from_state(value_fn: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """`value_and_grad` that takes both from the state of a line search if they are there.

    Args:
        value_fn: from the parameters, and more arguments, to a scalar.

    Returns:
        A function `(params, *args, state=…, **kwargs) -> (value, grad)`. Both are computed where
        the state has none yet. It is for functions that are the same at every step.

    Raises:
        TransformError: no part of the state, or more than one, has a value and a gradient.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> f = lambda x: fnp.sum(x**2)
    >>> optimizer, x = ft.optim.lbfgs(), np.array([3.0, -4.0])
    >>> state = optimizer.init(x)
    >>> for _ in range(3):
    ...     value, grad = ft.optim.value_and_grad_from_state(f)(x, state=state)
    ...     updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=f)
    ...     x = ft.optim.apply_updates(x, updates)
    >>> float(f(x)) < 1e-12
    True
    """

    def from_state(params: Any, *args: Any, state: Any, **kwargs: Any) -> tuple[Any, Any]:
        found = list(_searches(state))
        if len(found) != 1:
            raise TransformError(
                "value_and_grad_from_state needs one state of a line search that stores the "
                f"gradient (zoom, or backtracking with store_grad=True): got {len(found)}."
            )
        value, grad = found[0].value, found[0].grad

        def compute() -> tuple[Any, Any]:
            new, g = value_and_grad(value_fn)(params, *args, **kwargs)
            return fnp.asarray(new).astype(dtype_of(value)), tree.map(as_leaf, g, grad)

        return cond(fnp.isfinite(value), lambda: (value, grad), compute)

    return from_state


def _searches(state: Any) -> Iterator[Any]:
    """The states of line searches within a state that hold a gradient."""
    if isinstance(state, ScaleByZoomLinesearchState | ScaleByBacktrackingLinesearchState):
        if state.grad is not None:
            yield state
    elif isinstance(state, dict):
        for part in state.values():
            yield from _searches(part)
    elif isinstance(state, tuple | list):
        for part in state:
            yield from _searches(part)


def _given(name: str, params: Any, extra: dict[str, Any]) -> tuple[Any, Any, Callable[[Any], Any]]:
    """value, grad, and value_fn as a function of the parameters alone."""
    given = {"params": params, **extra}
    missing = [k for k in ("params", "value", "grad", "value_fn") if given.get(k) is None]
    if missing:
        raise TransformError(
            f"{name} needs update(updates, state, params, value=value, grad=grad, value_fn=f): "
            f"got no {', '.join(missing)}."
        )
    f = extra["value_fn"]
    known = inspect.signature(f).parameters.values()
    rest = {k: x for k, x in extra.items() if k not in ("value", "grad", "value_fn")}
    if not any(p.kind is p.VAR_KEYWORD for p in known):
        rest = {k: x for k, x in rest.items() if k in {p.name for p in known}}
    return extra["value"], extra["grad"], lambda p: f(p, **rest)


def _zoom_info(start: Point, found: Found, ask: Conditions) -> ZoomLinesearchInfo:
    p = found.point
    fall = p.value - start.value - ask.decrease * p.t * start.slope - ask.slack
    bend = fnp.abs(p.slope) - ask.curvature * fnp.abs(start.slope) - ask.slack
    return ZoomLinesearchInfo(found.nit, fnp.maximum(fall, 0), fnp.maximum(bend, 0))


def _along(params: Any, updates: Any, t: Any) -> Any:
    return apply_updates(params, _scaled(updates, t))


def _scaled(updates: Any, t: Any) -> Any:
    return tree.map(lambda u: as_leaf(t * u, u), updates)


def _real_ones(params: Any) -> Any:
    """1 in the dtype that real inner products of the parameters have."""
    return fnp.ones((), dtype_of(inner(params, params)))
