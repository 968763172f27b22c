"""Solutions with derivatives by the implicit function theorem, of unknowns that are trees."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans.core import tree
from functrans.core.errors import ShapeError
from functrans.core.types import dtype_of, shape_of
from functrans.lax.bodies import check_real
from functrans.lax.solves import custom_linear_solve, custom_root
from functrans.primitives.identities import stop_gradient
from functrans.scipy.sparse.linalg import gmres
from functrans.transforms.inspect import closure_convert
from functrans.transforms.vmap import vmap

DENSE = 64
"""Unknowns up to which linear systems are written down as matrices."""


def implicit(residual: Callable[[Any], Any], x: Any) -> Any:
    """x, known to solve residual(x) = 0, with the derivatives of that solution."""
    return custom_root(residual, stop_gradient(x), lambda _, found: found, linear)


def linear(g: Callable[[Any], Any], y: Any) -> Any:
    """The v for which g(v) = y, for linear g; with derivatives in both modes."""
    solve = _dense if shape_of(y)[0] <= DENSE else _matrix_free
    return custom_linear_solve(g, y, solve, solve)


def _dense(g: Callable[[Any], Any], y: Any) -> Any:
    matrix = vmap(g, out_axes=1)(fnp.eye(shape_of(y)[0], dtype=dtype_of(y)))
    return fnp.linalg.solve(matrix, y)


def _matrix_free(g: Callable[[Any], Any], y: Any) -> Any:
    tol = 1e-6 if dtype_of(y) == np.float32 else 1e-12
    return gmres(g, y, tol=tol)[0]


def without_derivatives(f: Callable[[Any], Any], x: Any) -> Callable[[Any], Any]:
    """f with what it closes over held fast, so that a solver's steps are not differentiated."""
    converted, consts = closure_convert(f, x)
    held = [stop_gradient(c) for c in consts]
    return lambda v: converted(v, *held)


def vector(x0: Any, name: str) -> tuple[Any, Callable[[Any], Any]]:
    """The start as a vector of floats without derivatives, and the way back."""
    check_real(x0, f"{name}'s x0")
    leaves = [fnp.asarray(x) for x in tree.leaves(x0)]
    wide = [x if dtype_of(x).kind == "f" else x.astype(np.float64) for x in leaves]
    vector, unravel = tree.ravel(tree.unflatten(tree.structure(x0), wide))
    return stop_gradient(vector), unravel


def like(y: Any, v: Any, name: str) -> Any:
    check_real(y, f"the result of {name}'s fun")
    vector = tree.ravel(y)[0]
    if shape_of(vector) != shape_of(v):
        raise ShapeError(
            f"{name}'s fun must give as many numbers as x0 has, {shape_of(v)[0]}: got "
            f"{shape_of(vector)[0]}."
        )
    return fnp.asarray(vector).astype(dtype_of(v))


def tolerance(tol: float | None, x: Any) -> float:
    return (1e-5 if dtype_of(x) == np.float32 else 1e-10) if tol is None else tol


def largest(x: Any) -> Any:
    return fnp.max(fnp.abs(x), initial=0.0)
