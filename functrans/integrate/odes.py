"""`odeint`: solutions of ordinary differential equations at given times, and their derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans.core import tree
from functrans.core.errors import ShapeError, TransformError, TreeError
from functrans.core.types import aval_of, described, dtype_of, shape_of
from functrans.integrate.steps import Problem, adaptive, fixed
from functrans.lax.bodies import check_real
from functrans.lax.loops import scan
from functrans.primitives.custom_vjp import custom_vjp
from functrans.transforms.api import check_callable
from functrans.transforms.autodiff import vjp
from functrans.transforms.inspect import closure_convert
from functrans.transforms.vmap import vmap


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    *args: Any,
    rtol: float = 1.4e-8,
    atol: float = 1.4e-8,
    mxstep: int = 100_000,
    hmax: float = np.inf,
    method: str = "dopri5",
    adjoint: bool = False,
) -> Any:
    """The y(t) with dy/dt = func(y, t, *args) and y(t[0]) = y0.

    Args:
        func: gives a tree like y. What it closes over gets derivatives too.
        y0: a tree of real arrays.
        t: times (n,), rising or falling; y0 belongs to the first.
        args: trees of arrays.
        rtol, atol: the error allowed in each step, relative to y and absolute.
        mxstep: steps between two times at most; then the rest of the result is nan.
        hmax: the longest step.
        method: "dopri5" chooses its steps by the tolerances; "rk4" takes one step of the classical
            method of order 4 from each time to the next.
        adjoint: compute derivatives by solving the adjoint equation backwards in time, with memory
            that does not grow with the steps. Reverse mode only. Otherwise the steps themselves
            are differentiated, in either mode, with their sizes held fast.

    Returns:
        A tree like y0 with a leading axis for the times.

    Raises:
        ShapeError, TreeError: t is no vector, or func gives something that is not like y0.
        DTypeError: y0 or what func gives is complex.
        TransformError: another method.

    Chen et al., Neural Ordinary Differential Equations, 2018, for the adjoint; else see
    functrans/integrate/tableaus.py.

    >>> import functrans as ft, numpy as np
    >>> from functrans.integrate import odeint
    >>> def end(rate):
    ...     return odeint(lambda y, t, rate: -rate * y, 1.0, np.array([0.0, 1.0]), rate)[-1]
    >>> round(float(end(2.0)), 6), round(float(ft.grad(end)(2.0)), 6)
    (0.135335, -0.135335)
    """
    check_callable(func, "odeint")
    if method not in ("dopri5", "rk4"):
        raise TransformError(f"odeint has methods 'dopri5' and 'rk4', not {method!r}.")
    times = _floating(t)
    if len(shape_of(times)) != 1 or not shape_of(times)[0]:
        raise ShapeError(f"odeint needs a vector of times: got {described(times)}.")
    check_real(y0, "odeint's y0")
    floats = [fnp.asarray(x) * np.float64(1) if dtype_of(x).kind in "biu" else fnp.asarray(x)
              for x in tree.leaves(y0)]  # fmt: skip
    flat, unravel = tree.ravel(tree.unflatten(tree.structure(y0), floats))

    def slope(y: Any, t: Any, *args: Any) -> Any:
        state = unravel(y)
        return _like(func(state, t, *args), state).astype(dtype_of(y))

    problem = Problem(slope, rtol, atol, mxstep, hmax)
    solve = adaptive if method == "dopri5" else fixed
    if adjoint:
        converted, consts = closure_convert(slope, flat, times[0], *args)
        ys = _with_adjoint(problem.with_slope(converted), solve)(flat, times, *args, *consts)
    else:
        ys = solve(problem, flat, times, args)
    return _each_row(unravel, ys)


def _like(slope: Any, state: Any) -> Any:
    """What func gave, as a vector."""
    difference = tree.structure_difference(state, slope)
    if difference:
        raise TreeError(f"odeint's func must give a tree like y0: {difference}.")
    for (path, y), s in zip(tree.named_leaves(state), tree.leaves(slope), strict=True):
        if shape_of(y) != shape_of(s):
            raise ShapeError(
                f"odeint's func must give arrays of the shapes of y0: y0{path} is {aval_of(y)}, "
                f"got {aval_of(s)}."
            )
    check_real(slope, "the result of odeint's func")
    return fnp.asarray(tree.ravel(slope)[0])


def _floating(x: Any) -> Any:
    x = fnp.asarray(x)
    return x.astype(np.float64) if dtype_of(x).kind in "biu" else x


def _each_row(unravel: Callable[[Any], Any], ys: Any) -> Any:
    """Vectors of all times as a tree with a leading axis."""
    return vmap(unravel)(ys)


def _with_adjoint(problem: Problem, solve: Callable[..., Any]) -> Callable[..., Any]:
    """The solution as a function of y0, times and arguments, with the adjoint's derivatives."""

    @custom_vjp
    def solution(y0: Any, times: Any, *args: Any) -> Any:
        return solve(problem, y0, times, args)

    def forward(y0: Any, times: Any, *args: Any) -> Any:
        ys = solve(problem, y0, times, args)
        return ys, (ys, times, args)

    def backward(kept: Any, cts: Any) -> Any:
        ys, times, args = kept
        return _solve_backwards(problem, solve, ys, times, args, cts)

    solution.defvjp(forward, backward)
    return solution


def _solve_backwards(
    problem: Problem, solve: Callable[..., Any], ys: Any, times: Any, args: Any, cts: Any
) -> tuple:
    """From the last time to the first: y, its adjoint, and the sums for times and arguments."""
    flat_args, unravel_args = tree.ravel(args) if tree.leaves(args) else (fnp.zeros(0), None)
    n, m = shape_of(ys)[1], shape_of(flat_args)[0]
    dtype = dtype_of(ys)

    def slope(y: Any, t: Any, flat: Any) -> Any:
        return problem.slope(y, t, *(unravel_args(flat) if unravel_args else ()))

    def together(state: Any, t: Any, flat: Any) -> Any:
        y, ct = state[:n], state[n : 2 * n]
        value, pull = vjp(lambda y, flat: slope(y, t, flat), y, flat)
        ct_y, ct_args = pull(-ct)
        return fnp.concatenate([value, ct_y, ct_args.astype(dtype)])

    whole = problem.with_slope(together)

    def step(carry: Any, row: Any) -> Any:
        ct, ct_args = carry
        y, later, earlier, ct_here = row
        start = fnp.concatenate([y, ct, ct_args])
        end = solve(whole, start, fnp.stack([later, earlier]), (flat_args,))[-1]
        return (end[n : 2 * n] + ct_here, end[2 * n :]), None

    start = (cts[-1], fnp.zeros(m, dtype))
    rows = (ys[1:], times[1:], times[:-1], cts[:-1])
    (ct, ct_args), _ = scan(step, start, rows, reverse=True)
    # a later time moves its own result along the slope; the first moves where y0 is
    slopes = vmap(lambda y, t: slope(y, t, flat_args))(ys, times)
    ct_times = fnp.sum(slopes * cts, axis=1)
    first = -fnp.sum(slopes[0] * (ct - cts[0]))
    ct_times = fnp.concatenate([fnp.reshape(first, (1,)), ct_times[1:]])
    given = unravel_args(ct_args.astype(dtype_of(flat_args))) if unravel_args else ()
    return (ct, ct_times.astype(dtype_of(times)), *given)
