"""Minima of functions of many variables by quasi-Newton methods, as `jax.scipy.optimize` has them.

The solution has the derivatives of the equation that it solves, gradient = 0, so they do not depend
on the method; the loops themselves are not differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

import functrans.numpy as fnp
from functrans.core.errors import ShapeError, TransformError
from functrans.core.types import dtype_of, shape_of
from functrans.lax.bodies import check_real
from functrans.lax.loops import while_loop
from functrans.primitives.identities import stop_gradient
from functrans.scipy.optimize.implicit import implicit, vector, without_derivatives
from functrans.scipy.optimize.limited_memory import (
    Pairs,
    curvature_scale,
    is_curved,
    no_pairs,
    precondition,
    remember,
)
from functrans.scipy.optimize.line_search import Conditions, Point, line_search
from functrans.transforms.api import check_callable
from functrans.transforms.autodiff import grad, value_and_grad

CONVERGED, MAXITER, NO_STEP, NO_BRACKET = 0, 1, 3, 5
"""Statuses, with the numbers that JAX gives them."""


class OptimizeResults(NamedTuple):
    """What `minimize` found; the fields have the names of SciPy's OptimizeResult.

    Attributes:
        x: the solution, [n]; differentiable, as are fun and jac.
        success: whether the gradient's norm is within the tolerance.
        status: 0 if so; 1 after maxiter steps; 3 or 5 if a line search found nothing lower,
            with or without an interval that holds a minimum.
        fun: the function at x.
        jac: its gradient there, [n].
        hess_inv: the estimate of the inverse Hessian, [n, n]; None of "l-bfgs".
        nfev: evaluations of the function until it was found.
        njev: evaluations of its gradient.
        nit: steps taken.
    """

    x: Any
    success: Any
    status: Any
    fun: Any
    jac: Any
    hess_inv: Any
    nfev: Any
    njev: Any
    nit: Any


class Method(NamedTuple):
    """How a quasi-Newton method sees the inverse Hessian: its memory is a tree of arrays.

    Attributes:
        init: from the start to the memory.
        direction: (memory, step count, gradient) to the inverse Hessian times the gradient.
        learn: (memory, step count, step, change of the gradient) to the next memory.
        inverse: from the memory to the matrix, if there is one.
    """

    init: Callable[[Any], Any]
    direction: Callable[[Any, Any, Any], Any]
    learn: Callable[[Any, Any, Any, Any], Any]
    inverse: Callable[[Any], Any]


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: Sequence[Any] = (),
    method: str = "BFGS",
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> OptimizeResults:
    """A local minimum of fun(x, *args), by BFGS or its variant for many variables.

    Args:
        fun: from a vector [n] to a real scalar, differentiable. Derivatives of the solution go to
            args and to what it closes over.
        x0: where to start, [n]; gets no derivative.
        args: more arguments.
        method: "BFGS" keeps a matrix [n, n]; "l-bfgs" the last few steps.
        tol: the norm of the gradient that counts as zero, 1e-5 by default. Derivatives of the
            solution are as good as the solution: ask for more where they matter.
        options: maxiter (200 n), gtol (the same as tol), norm (the order of the gradient's norm,
            inf), line_search_maxiter (20); of "l-bfgs" also maxcor, the steps kept (10).

    Returns:
        OptimizeResults(x, success, status, fun, jac, hess_inv, nfev, njev, nit).

    Raises:
        ShapeError: x0 is not a vector, or fun(x0) not a scalar.
        DTypeError: x0 or fun(x0) is complex.
        TransformError: another method or option.

    Nocedal and Wright, Numerical Optimization (2006), algorithms 6.1 and 7.5.

    >>> import functrans as ft, functrans.numpy as fnp, numpy as np
    >>> from functrans.scipy import optimize
    >>> def valley(x, a):
    ...     return (a - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    >>> found = optimize.minimize(valley, np.array([-1.2, 1.0]), (1.0,), tol=1e-9)
    >>> bool(found.success), found.x.round(6)
    (True, array([1., 1.]))
    >>> solve = lambda a: optimize.minimize(valley, np.array([-1.2, 1.0]), (a,), tol=1e-9).x
    >>> ft.jacrev(solve)(1.0).round(4)
    array([1., 2.])
    """
    check_callable(fun, "minimize")
    if np.ndim(x0) != 1:
        raise ShapeError(
            f"minimize's x0 must be a vector: got the shape {shape_of(x0)}. For other trees of "
            "arrays, minimise a function of functrans.tree.ravel's vector."
        )
    chosen = _settings(method, tol, options, shape_of(x0)[0])
    start, _ = vector(x0, "minimize")
    quasi_newton = _limited_memory(chosen["maxcor"]) if "maxcor" in chosen else _bfgs()

    def objective(v: Any) -> Any:
        value = fun(v, *args)
        check_real(value, "the result of minimize's fun")
        if np.ndim(value):
            raise ShapeError(f"minimize's fun must give a scalar: got the shape {shape_of(value)}.")
        return fnp.asarray(value).astype(dtype_of(v))

    plain = value_and_grad(without_derivatives(objective, start))
    end = _descend(plain, start, quasi_newton, chosen)
    x = implicit(grad(objective), end.x)
    value, gradient = value_and_grad(objective)(x)
    hess_inv = quasi_newton.inverse(end.memory)
    success = end.status == CONVERGED
    return OptimizeResults(
        x, success, end.status, value, gradient, hess_inv, end.nfev, end.nfev, end.nit
    )


def _settings(
    method: str, tol: float | None, options: Mapping[str, Any] | None, n: int
) -> dict[str, Any]:
    """All options of a method; only that of the limited memory has maxcor."""
    chosen: dict[str, Any] = {
        "maxiter": 200 * n,
        "gtol": 1e-5 if tol is None else tol,
        "norm": np.inf,
        "line_search_maxiter": 20,
    }
    if method.lower() == "l-bfgs":
        chosen["maxcor"] = 10
    elif method.lower() != "bfgs":
        raise TransformError(f"minimize has methods 'BFGS' and 'l-bfgs', not {method!r}.")
    unknown = sorted(set(options or {}) - set(chosen))
    if unknown:
        known = sorted(chosen)
        raise TransformError(f"minimize with {method!r} has options {known}: got {unknown}.")
    return {**chosen, **(options or {})}


class _State(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    memory: Any
    status: Any
    nfev: Any
    nit: Any


def _descend(f: Callable[[Any], Any], x: Any, method: Method, chosen: Mapping[str, Any]) -> _State:
    ask = Conditions(maxiter=chosen["line_search_maxiter"])

    def converged(gradient: Any) -> Any:
        return fnp.linalg.norm(gradient, ord=chosen["norm"]) <= chosen["gtol"]

    def go_on(state: _State) -> Any:
        return (state.status < 0) & (state.nit < chosen["maxiter"])

    def step(state: _State) -> _State:
        x, value, gradient, memory, _, nfev, nit = state
        d = -method.direction(memory, nit, gradient)

        def along(t: Any) -> Any:
            there, g = f(x + t * d)
            return there, fnp.dot(g, d), g

        start = Point(fnp.zeros_like(value), value, fnp.dot(gradient, d), gradient)
        # the first direction is the gradient, whose length says nothing of distances
        first = fnp.where(nit == 0, 1 / fnp.maximum(1, fnp.linalg.norm(d)), 1.0)
        found = line_search(along, start, first, ask)
        best = found.point
        moved = best.t * d
        memory = method.learn(memory, nit, moved, best.gradient - gradient)
        stuck = fnp.where(found.bracketed, NO_STEP, NO_BRACKET)
        status = fnp.where(best.t > 0, -1, stuck)
        status = fnp.where(converged(best.gradient), CONVERGED, status)
        return _State(
            x + moved, best.value, best.gradient, memory, status, nfev + found.nit, nit + 1
        )

    value, gradient = f(x)
    status = fnp.where(converged(gradient), CONVERGED, -1)
    end = while_loop(go_on, step, _State(x, value, gradient, method.init(x), status, 1, 0))
    return end._replace(status=fnp.where(end.status < 0, MAXITER, end.status))


def _bfgs() -> Method:
    def learn(inverse: Any, nit: Any, s: Any, y: Any) -> Any:
        curvature = fnp.dot(s, y)
        good = is_curved(curvature)
        rho = 1 / fnp.where(good, curvature, 1)
        # the identity has the size of the inverse Hessian from the first step on
        scaled = fnp.where((nit == 0) & good, curvature_scale(s, y) * inverse, inverse)
        hy = fnp.matmul(scaled, y)
        mixed = fnp.outer(hy, s)
        both = (1 + rho * fnp.dot(y, hy)) * fnp.outer(s, s) - mixed - mixed.T
        return fnp.where(good, scaled + rho * both, inverse)

    return Method(
        lambda x: fnp.eye(shape_of(x)[0], dtype=dtype_of(x)),
        lambda inverse, nit, gradient: fnp.matmul(inverse, gradient),
        learn,
        stop_gradient,
    )


def _limited_memory(size: int) -> Method:
    def direction(memory: tuple[Pairs, Any], nit: Any, gradient: Any) -> Any:
        pairs, scale = memory
        return precondition(pairs, nit - 1, scale, gradient)

    def learn(memory: tuple[Pairs, Any], nit: Any, s: Any, y: Any) -> Any:
        return remember(memory[0], nit, s, y), curvature_scale(s, y)

    return Method(
        lambda x: (no_pairs(x, size), fnp.ones((), dtype_of(x))),
        direction,
        learn,
        lambda memory: None,
    )
