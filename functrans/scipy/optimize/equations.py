"""Roots and fixed points, with derivatives by the implicit function theorem.

The derivative of a solution is that of the equation it solves (`custom_root`): it does not depend
on the method, the start or the number of steps, costs one linear system, and holds as well as the
solution does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import functrans.numpy as fnp
from functrans.core.errors import TransformError
from functrans.core.types import dtype_of, shape_of
from functrans.lax.loops import while_loop
from functrans.numpy.indexing import at
from functrans.primitives.identities import stop_gradient
from functrans.scipy.optimize.implicit import (
    DENSE,
    implicit,
    largest,
    like,
    tolerance,
    vector,
    without_derivatives,
)
from functrans.scipy.sparse.linalg import gmres
from functrans.transforms.api import check_callable
from functrans.transforms.autodiff import jacfwd, jvp

HALVINGS = 30


class Solution(NamedTuple):
    """What a solver found; the fields have the names of SciPy's OptimizeResult.

    Attributes:
        x: the solution, of the structure of the start; differentiable.
        success: whether the tolerance was reached. Without, x and its derivatives mean little.
        nit: steps taken.
        fun: what is left: the function at x, or f(x) - x.
    """

    x: Any
    success: Any
    nit: Any
    fun: Any


def root(
    fun: Callable[..., Any],
    x0: Any,
    args: Sequence[Any] = (),
    method: str = "newton",
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> Solution:
    """The x for which fun(x, *args) = 0, by Newton's method with a line search.

    Args:
        fun: from a tree like x0 to a tree like x0. Derivatives go to args and to what it closes
            over.
        x0: where to start; gets no derivative.
        args: more arguments.
        method: "newton" solves for steps with the whole Jacobian; "krylov" with products by it.
        tol: the largest element of |fun(x)| that counts as zero; 1e-10 by default (1e-5 for
            float32).
        options: maxiter (50).

    Returns:
        Solution(x, success, nit, fun).

    Raises:
        ShapeError: fun(x0) is not like x0.
        DTypeError: x0 or fun(x0) is complex.
        TransformError: another method.

    Nocedal and Wright, Numerical Optimization, section 11.2.

    >>> import functrans as ft, numpy as np
    >>> from functrans.scipy import optimize
    >>> def solve(a):
    ...     return optimize.root(lambda x: x**3 + x - a, 1.0).x
    >>> round(float(solve(10.0)), 6), round(float(ft.grad(solve)(10.0)), 6)
    (2.0, 0.076923)
    """
    check_callable(fun, "root")
    if method not in ("newton", "krylov"):
        raise TransformError(f"root has methods 'newton' and 'krylov', not {method!r}.")
    start, unravel = vector(x0, "root")
    most = dict(options or {}).get("maxiter", 50)
    limit = tolerance(tol, start)

    def residual(v: Any) -> Any:
        return like(fun(unravel(v), *args), v, "root")

    plain = without_derivatives(residual, start)
    dense = method == "newton" and shape_of(start)[0] <= 10 * DENSE
    x, steps = _newton(plain, start, limit, most, dense)
    x = implicit(residual, x)
    rest = residual(x)
    return Solution(unravel(x), stop_gradient(largest(rest) <= limit), steps, unravel(rest))


def fixed_point(
    fun: Callable[..., Any],
    x0: Any,
    args: Sequence[Any] = (),
    xtol: float | None = None,
    maxiter: int = 500,
    method: str = "anderson",
) -> Solution:
    """The x for which x = fun(x, *args), by iteration.

    Args:
        fun: from a tree like x0 to a tree like x0, a contraction near the solution.
        x0: where to start; gets no derivative.
        args: more arguments of fun.
        xtol: the largest element of |fun(x) - x| that counts as zero; 1e-10 by default (1e-5 for
            float32).
        maxiter: steps at most.
        method: "iteration" repeats fun; "anderson" extrapolates from the last five steps.

    Returns:
        Solution(x, success, nit, fun).

    Raises:
        ShapeError: fun(x0) is not like x0.
        DTypeError: x0 or fun(x0) is complex.
        TransformError: another method.

    Walker and Ni, Anderson acceleration for fixed-point iterations, 2011.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> from functrans.scipy import optimize
    >>> def solve(a):
    ...     return optimize.fixed_point(lambda x: fnp.cos(a * x), 0.5).x
    >>> round(float(solve(1.0)), 6), round(float(ft.grad(solve)(1.0)), 6)
    (0.739085, -0.297474)
    """
    check_callable(fun, "fixed_point")
    if method not in ("iteration", "anderson"):
        known = "'iteration' and 'anderson'"
        raise TransformError(f"fixed_point has methods {known}, not {method!r}.")
    start, unravel = vector(x0, "fixed_point")
    limit = tolerance(xtol, start)

    def image(v: Any) -> Any:
        return like(fun(unravel(v), *args), v, "fixed_point")

    plain = without_derivatives(image, start)
    depth = 1 if method == "iteration" else min(5, shape_of(start)[0])
    x, steps = _anderson(plain, start, limit, maxiter, depth)
    x = implicit(lambda v: image(v) - v, x)
    rest = image(x) - x
    return Solution(unravel(x), stop_gradient(largest(rest) <= limit), steps, unravel(rest))


# --- solvers of vectors ---------------------------------------------------------------------------


def _newton(f: Callable[[Any], Any], x: Any, limit: Any, most: int, dense: bool) -> tuple[Any, Any]:
    def direction(x: Any, value: Any) -> Any:
        if dense:
            return -fnp.linalg.solve(jacfwd(f)(x), value)
        return -gmres(lambda v: jvp(f, (x,), (v,))[1], value, tol=1e-6)[0]

    def go_on(state: Any) -> Any:
        _, value, k = state
        return (largest(value) > limit) & (k < most)

    def step(state: Any) -> Any:
        x, value, k = state
        d = direction(x, value)
        before = fnp.sum(value * value)

        def too_long(trial: Any) -> Any:
            t, _, there, halvings = trial
            enough = fnp.sum(there * there) <= (1 - 1e-4 * t) * before
            return fnp.logical_not(enough) & (halvings < HALVINGS)

        def halve(trial: Any) -> Any:
            t, _, _, halvings = trial
            return t / 2, x + t / 2 * d, f(x + t / 2 * d), halvings + 1

        one = fnp.ones((), dtype_of(x))
        _, x, value, _ = while_loop(too_long, halve, (one, x + d, f(x + d), 0))
        return x, value, k + 1

    x, _, steps = while_loop(go_on, step, (x, f(x), 0))
    return x, steps


def _anderson(
    f: Callable[[Any], Any], x: Any, limit: Any, most: int, depth: int
) -> tuple[Any, Any]:
    """The next iterate is the mix of the last images whose residuals cancel best."""
    n, dtype = shape_of(x)[0], dtype_of(x)
    ridge = 1e-6 if dtype == np.float32 else 1e-14

    def go_on(state: Any) -> Any:
        *_, last, k = state
        return (last > limit) & (k < most)

    def step(state: Any) -> Any:
        x, images, residuals, _, k = state
        y = f(x)
        place = k % depth
        images, residuals = at(images)[place].set(y), at(residuals)[place].set(y - x)
        if depth > 1:
            used = (fnp.arange(depth) <= k).astype(dtype)
            products = fnp.matmul(residuals, residuals.T)
            scale = fnp.maximum(fnp.max(fnp.abs(products)), np.finfo(dtype).tiny)
            products = products / scale + ridge * fnp.eye(depth, dtype=dtype)
            products = products + fnp.diag(1 - used)
            weights = fnp.linalg.solve(products, used) * used
            total = fnp.sum(weights)
            mixed = fnp.matmul(weights / fnp.where(total == 0, 1, total), images)
            y = fnp.where((total != 0) & fnp.all(fnp.isfinite(mixed)), mixed, y)
        return y, images, residuals, largest(f(y) - y), k + 1

    empty = fnp.zeros((depth, n), dtype)
    x, _, _, _, steps = while_loop(go_on, step, (x, empty, empty, largest(f(x) - x), 0))
    return x, steps
