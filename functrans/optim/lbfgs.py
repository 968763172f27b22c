"""L-BFGS as a transformation of gradients: steps of Newton's kind from the last few gradients."""

from __future__ import annotations

from typing import Any, NamedTuple

from functrans import numpy as fnp
from functrans.core import tree
from functrans.core.errors import TransformError
from functrans.optim import transforms as t
from functrans.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    as_leaf,
    chain,
    identity,
)
from functrans.optim.line_searches import scale_by_zoom_linesearch
from functrans.scipy.optimize.limited_memory import (
    Pairs,
    curvature_scale,
    no_pairs,
    precondition,
    remember,
)


class ScaleByLBFGSState(NamedTuple):
    """Steps so far, where the last was taken from, the gradient there, and the last differences."""

    count: Any
    params: Any
    updates: Any
    diff_params_memory: Any
    diff_updates_memory: Any
    weights_memory: Any


def scale_by_lbfgs(
    memory_size: int = 10, scale_init_precond: bool = True
) -> GradientTransformation:
    """Multiply gradients by an estimate of the inverse Hessian.

    Differences without positive curvature are left out, so that steps against it lead down.

    Args:
        memory_size: differences of parameters and gradients that are kept.
        scale_init_precond: whether the multiple of the identity that they correct has the size of
            the last one's curvature, and makes a first step of length 1 at most.

    Raises:
        TransformError: memory_size is below 1, or update was not given params.

    Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989.

    >>> import functrans as ft
    >>> newton = ft.optim.chain(ft.optim.scale_by_lbfgs(), ft.optim.scale(-1.0))
    >>> x = np.array([3.0, -4.0])
    >>> state = newton.init(x)
    >>> for _ in range(3):
    ...     updates, state = newton.update(2 * x, state, x)
    ...     x = x + updates
    >>> x
    array([0., 0.])
    """
    if memory_size < 1:
        raise TransformError(f"scale_by_lbfgs needs a memory_size of 1 or more: got {memory_size}.")

    def init(params: Any) -> ScaleByLBFGSState:
        empty = t.zeros_like(params)
        return ScaleByLBFGSState(t.zero_count(), empty, empty, *no_pairs(params, memory_size))

    def update(
        updates: Any, state: ScaleByLBFGSState, params: Any = None
    ) -> tuple[Any, ScaleByLBFGSState]:
        if params is None:
            raise TransformError("scale_by_lbfgs needs update(updates, state, params).")
        count, last_params, last_updates, *memory = state
        started = count > 0

        def since(new: Any, old: Any) -> Any:
            return tree.map(lambda a, b: as_leaf(fnp.where(started, a - b, 0), b), new, old)

        step, change = since(params, last_params), since(updates, last_updates)
        pairs = remember(Pairs(*memory), count - 1, step, change)
        scale: Any = 1.0
        if scale_init_precond:
            first = 1 / fnp.maximum(1, t.global_norm(updates))
            scale = fnp.where(started, curvature_scale(step, change), first)
        scaled = precondition(pairs, count - 1, scale, updates)
        return scaled, ScaleByLBFGSState(count + 1, params, updates, *pairs)

    return GradientTransformation(init, update)


def lbfgs(
    learning_rate: t.ScalarOrSchedule | None = None,
    memory_size: int = 10,
    scale_init_precond: bool = True,
    linesearch: GradientTransformation | None = scale_by_zoom_linesearch(  # noqa: B008 - immutable
        max_linesearch_steps=20, initial_guess_strategy="one"
    ),
) -> GradientTransformationExtraArgs:
    """L-BFGS with a line search, for functions that are the same at every step.

    Args:
        learning_rate: a number or schedule by which steps are multiplied before the search.
        memory_size: differences of parameters and gradients that are kept.
        scale_init_precond: whether the identity that they correct is scaled, see `scale_by_lbfgs`.
        linesearch: the search along each step, or None for none.

    Returns:
        A transformation for
        `update(grad, state, params, value=value, grad=grad, value_fn=f)`.

    Raises:
        TransformError: update was not given these.

    Liu and Nocedal, On the limited memory BFGS method for large scale optimization, 1989.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> f = lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> optimizer, x = ft.optim.lbfgs(), np.array([-1.2, 1.0])
    >>> state = optimizer.init(x)
    >>> for _ in range(50):
    ...     value, grad = ft.optim.value_and_grad_from_state(f)(x, state=state)
    ...     updates, state = optimizer.update(grad, state, x, value=value, grad=grad, value_fn=f)
    ...     x = ft.optim.apply_updates(x, updates)
    >>> x.round(6)
    array([1., 1.])
    """
    return chain(
        scale_by_lbfgs(memory_size, scale_init_precond),
        t.scale(-1.0) if learning_rate is None else t.scale_by_learning_rate(learning_rate),
        identity() if linesearch is None else linesearch,
    )
