"""`jet` and `derivative`: higher derivatives along a curve, by Taylor mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import TransformError
from functrans.core.types import aval_of
from functrans.transforms.api import (
    check_callable,
    name_of,
    split_outputs,
    trace_at,
    zeros_of,
)
from functrans.transforms.linear_maps import match_tangents, owned
from functrans.transforms.series import series_of
from functrans.transforms.taylor import Series, coefficient, scaled


def jet(
    fun: Callable[..., Any], primals: Sequence[Any], series: Sequence[Sequence[Any]]
) -> tuple[Any, list[Any]]:
    """The derivatives of fun(x(t)) with respect to t, given those of x(t), all at once.

    Args:
        fun: a function of arrays or trees of arrays.
        primals: tuple or list of its arguments, x(0).
        series: per argument its derivatives x'(0), x''(0), … (not divided by factorials), each a
            tree like the argument; None for zero. All arguments have as many.

    Returns:
        fun(x(0)), and the list of its derivatives with respect to t up to the same order, each a
        tree like the result.

    Raises:
        TransformError: arguments have different numbers of derivatives, or none.
        TreeError, TransformError: a derivative does not match its argument (names the leaf).

    The cost of order n is that of fun times n² / 2 or so, where n-fold nested `jvp` costs 2ⁿ.

    >>> import functrans as ft, functrans.numpy as fnp
    >>> y, (dy, d2y, d3y) = ft.jet(fnp.sin, (0.0,), ([1.0, 0.0, 0.0],))
    >>> float(y), float(dy), float(d2y), float(d3y)
    (0.0, 1.0, 0.0, -1.0)

    Source: Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 13; Bettencourt, Johnson &
    Duvenaud, Taylor-mode automatic differentiation for higher-order derivatives in JAX (2019).
    """
    check_callable(fun, "jet")
    order = _order(primals, series)
    args = tuple(primals)
    matched = [match_tangents(args, _terms(args, series, k)) for k in range(order)]
    traced = trace_at(fun, args, {})
    fixed = [[None] * order] * traced.captured_count
    terms = [*fixed, *zip(*matched, strict=True)]
    operands = [_series(x, t, order) for x, t in zip(traced.primals, terms, strict=True)]
    with np.errstate(all="ignore"):
        results = series_of(traced.program, operands)
        derivatives = [[_derivative(y, k) for y in results] for k in range(1, order + 1)]
    firsts, _ = split_outputs(traced, [coefficient(y, 0) for y in results])
    rebuild = traced.flat.rebuild
    return rebuild(firsts), [rebuild(list(map(owned, ys))) for ys in derivatives]


def derivative(fun: Callable[..., Any], order: int = 1, argnum: int = 0) -> Callable[..., Any]:
    """The function that computes the derivative of some order with respect to a number.

    Args:
        fun: a function whose argument `argnum` is a scalar float; it returns a tree of arrays.
        order: how often to differentiate, 0 or more.
        argnum: the position of the argument.

    Returns:
        A function of the arguments of fun; its result is like that of fun.

    Raises:
        TransformError: a negative order; an argument that is no scalar float (use `vmap` for
            functions applied to every element of an array, `jet` for curves in other spaces).

    >>> import functrans as ft, functrans.numpy as fnp
    >>> third = ft.derivative(lambda x: x**5, order=3)
    >>> float(third(2.0))
    240.0
    """
    check_callable(fun, "derivative")
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise TransformError(f"derivative's order must be an int, 0 or more; got {order!r}.")

    @wraps(fun)
    def derivative_fun(*args: Any, **kwargs: Any) -> Any:
        if not -len(args) <= argnum < len(args):
            raise TransformError(
                f"derivative: argnum={argnum}, but {name_of(fun)} got {len(args)} arguments."
            )
        x = args[argnum]
        _check_scalar(x, f"argument {argnum} of {name_of(fun)}")
        if order == 0:
            return fun(*args, **kwargs)
        before, after = args[: argnum % len(args)], args[argnum % len(args) + 1 :]
        along = lambda x: fun(*before, x, *after, **kwargs)
        along.__name__ = name_of(fun)
        return jet(along, (x,), ([1.0, *[None] * (order - 1)],))[1][-1]

    return derivative_fun


def _order(primals: Any, series: Any) -> int:
    """The common number of derivatives."""
    if not isinstance(primals, tuple | list) or not isinstance(series, tuple | list):
        raise TransformError("jet takes tuples of primals and of series, one entry per argument.")
    if len(primals) != len(series):
        raise TransformError(f"jet got {len(primals)} primals but series for {len(series)}.")
    for i, s in enumerate(series):
        if not isinstance(s, tuple | list):
            raise TransformError(
                f"jet's series for argument {i} must be the list of its derivatives, got "
                f"{type(s).__name__}."
            )
    orders = {len(s) for s in series}
    if len(orders) != 1 or 0 in orders:
        shown = ", ".join(f"{len(s)} for argument {i}" for i, s in enumerate(series))
        raise TransformError(
            f"jet needs the same number of derivatives for every argument, 1 or more; got {shown}."
        )
    return orders.pop()


def _terms(args: tuple, series: Sequence[Sequence[Any]], k: int) -> tuple:
    """Entry k of the series of every argument, with None for every leaf in place of None."""
    return tuple(
        tree.map(lambda _: None, x) if s[k] is None else s[k]
        for x, s in zip(args, series, strict=True)
    )


def _check_scalar(x: Any, what: str) -> None:
    leaves = tree.leaves(x)
    aval = aval_of(leaves[0]) if len(leaves) == 1 and leaves[0] is x else None
    if aval is None or aval.shape or aval.dtype.kind != "f":
        shown = aval if aval is not None else type(x).__name__
        raise TransformError(
            f"derivative differentiates with respect to a scalar float, but {what} is {shown}. "
            "For a function of every element of an array use vmap(derivative(f)); for curves in "
            "other spaces, jet."
        )


def _series(x: Any, derivatives: Sequence[Any], order: int) -> Any:
    """A Series from derivatives; the value itself if it does not move."""
    if all(d is None for d in derivatives):
        return x
    return Series(x, order, lambda k: scaled(derivatives[k - 1], 1 / math.factorial(k)))


def _derivative(y: Any, k: int) -> Any:
    term = coefficient(y, k)
    if term is None:
        return zeros_of(aval_of(coefficient(y, 0)))
    return scaled(term, float(math.factorial(k)))
