"""Derivatives of solutions from the equation they solve: custom_linear_solve, custom_root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from functrans.core import tree
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.trace import trace_depth
from functrans.core.types import aval_of, described
from functrans.lax.bodies import Body, paths, trace_body, typed
from functrans.primitives.custom import trace_call
from functrans.primitives.custom_jvp import JvpRule, custom_jvp_p
from functrans.primitives.linear_solves import System, linear_solve_p
from functrans.transforms.api import check_callable, flatten_args
from functrans.transforms.autodiff import jvp, linearize
from functrans.transforms.inspect import closure_convert, eval_shape
from functrans.transforms.linear_functions import transposed_map


def custom_linear_solve(
    matvec: Callable[[Any], Any],
    b: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    transpose_solve: Callable[[Callable[[Any], Any], Any], Any] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """The x for which matvec(x) = b, by any solver, with derivatives from that equation.

    The solver's own steps are not differentiated: it may use while_loop, or pure_callback.

    Args:
        matvec: a linear function from a tree like b to a tree like b; may close over values that
            are differentiated.
        b: the right-hand side, an array or tree of arrays.
        solve: (matvec, b) → x.
        transpose_solve: (transposed matvec, b) → x, for reverse mode.
        symmetric: matvec is its own transpose, and `solve` serves for it.
        has_aux: solve and transpose_solve return (x, auxiliary data), such as how many steps were
            taken; the data has no derivative.

    Returns:
        x, or (x, the auxiliary data of `solve`) with `has_aux`.

    Raises:
        TreeError, ShapeError, DTypeError: matvec or solve give something that is not like b.
        TransformError: reverse mode without transpose_solve or symmetric.

    >>> import numpy as np, functrans as ft
    >>> from functrans import lax
    >>> def solution(a):
    ...     divide = lambda matvec, b: b / matvec(1.0)
    ...     return lax.custom_linear_solve(lambda x: a * x, 6.0, divide, symmetric=True)
    >>> float(solution(2.0)), float(ft.grad(solution)(2.0))
    (3.0, -1.5)
    """
    for function in (matvec, solve):
        check_callable(function, "custom_linear_solve")
    leaves, _ = flatten_args(b, "custom_linear_solve's b")
    avals = [aval_of(x).strong() for x in leaves]
    in_tree = tree.structure(((b,), {}))

    def checked(function: Callable[..., Any], what: str, has_aux: bool) -> Body:
        def like_b(v: Any) -> Any:
            out, aux = _with_aux(function(v), what, has_aux)
            difference = tree.structure_difference(v, out)
            if difference:
                raise TreeError(f"{what} must give a tree like b: {difference}.")
            return out, aux

        body = trace_body(like_b, in_tree, avals, what)
        for path, want, got in zip(paths(b), avals, body.program.out_avals, strict=False):
            if got.shape != want.shape or got.dtype != want.dtype:
                kind = ShapeError if got.shape != want.shape else DTypeError
                raise kind(f"{what} must give {want} as b{path}, got {got}.")
        return body

    forward = checked(matvec, "matvec", False)
    solver = checked(lambda v: solve(matvec, v), "solve", has_aux)
    backward = solver if symmetric else None
    if transpose_solve is not None:
        vecmat = transposed_map(matvec, b)
        transposed = transpose_solve
        backward = checked(
            lambda v: transposed(lambda u: vecmat(u)[0], v), "transpose_solve", has_aux
        )
    last = [] if backward is None else backward.captured
    outs = linear_solve_p.bind(
        *forward.captured,
        *solver.captured,
        *last,
        *[typed(x, a) for x, a in zip(leaves, avals, strict=True)],
        matvec=forward.program,
        solve=solver.program,
        transpose_solve=None if backward is None else backward.program,
        system=System((len(forward.captured), len(solver.captured), len(last))),
    )
    x, aux = tree.unflatten(solver.out_tree, list(outs))
    return (x, aux) if has_aux else x


def _with_aux(result: Any, what: str, has_aux: bool) -> tuple[Any, Any]:
    """(solution, auxiliary data) from what a solver returned."""
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise TransformError(
            f"has_aux=True needs {what} to return a pair (x, auxiliary data), got "
            f"{described(result)}."
        )
    return result


def custom_root(
    f: Callable[[Any], Any],
    initial_guess: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    tangent_solve: Callable[[Callable[[Any], Any], Any], Any],
    has_aux: bool = False,
) -> Any:
    """The x for which f(x) = 0, by any solver, with derivatives by the implicit function theorem.

    Args:
        f: a function from a tree to a tree like it; the derivative is with respect to the values
            that it closes over.
        initial_guess: where the solver starts.
        solve: (f, initial_guess) → the root. It may close over what is differentiated too: the
            derivative does not depend on how the root was found.
        tangent_solve: (g, y) → the x for which g(x) = y, for linear g; for reverse mode it must be
            linear in y, as custom_linear_solve is, or `lambda g, y: y / g(1.0)` for scalars.
        has_aux: solve returns (root, auxiliary data), such as how many steps were taken; the data
            has no derivative.

    Returns:
        The root, or (root, auxiliary data) with `has_aux`.

    Raises:
        TreeError, ShapeError, DTypeError: what f, solve or tangent_solve give is not like the
            guess.

    >>> import functrans as ft
    >>> from functrans import lax
    >>> def newton(f, x):
    ...     return lax.while_loop(lambda x: abs(f(x)) > 1e-12, lambda x: x - f(x) / (2 * x), x)
    >>> def sqrt(a):
    ...     return lax.custom_root(lambda x: x * x - a, 1.0, newton, lambda g, y: y / g(1.0))
    >>> round(float(sqrt(4.0)), 6), round(float(ft.grad(sqrt)(4.0)), 6)
    (2.0, 0.25)
    """
    for function in (f, solve, tangent_solve):
        check_callable(function, "custom_root")
    leaves, treedef = flatten_args(initial_guess, "custom_root's initial_guess")
    guess = tree.unflatten(treedef, [typed(x, aval_of(x)) for x in leaves])
    converted, consts = closure_convert(f, guess)
    _check_like(guess, eval_shape(f, guess), "f must give values")

    def root(guess: Any, consts: Any) -> Any:
        x, aux = _with_aux(solve(lambda x: converted(x, *consts), guess), "solve", has_aux)
        _check_like(guess, x, "solve must give a root")
        return x, aux

    def tangent(x: Any, change: Any, consts: Any) -> Any:
        # linearize, not jvp: a loop with its tangents is one loop, which has no transpose
        _, g = linearize(lambda x: converted(x, *consts), x)
        dx = tangent_solve(g, tree.map(lambda t: -t, change))
        _check_like(x, dx, "tangent_solve must give a tangent")
        return dx

    if trace_depth():
        x, aux = _traced_root(converted, root, tangent, guess, consts)
    else:  # nothing is differentiated: no rule, and the solver sees numbers
        x, aux = root(guess, consts)
    return (x, aux) if has_aux else x


def _traced_root(
    converted: Callable[..., Any],
    root: Callable[..., Any],
    tangent: Callable[..., Any],
    guess: Any,
    consts: list,
) -> Any:
    """A root whose rule has all that it reads as arguments, also what the solvers close over."""
    tangent, of_tangent = closure_convert(tangent, guess, guess, consts)
    found = lambda guess, consts, of_tangent: root(guess, consts)
    call = trace_call(found, (guess, consts, of_tangent), "root")

    def bind(args: tuple) -> Any:
        outs = custom_jvp_p.bind(*tree.leaves(args), program=call.program, rule=rule, num_consts=0)
        return tree.unflatten(call.out_tree, outs)

    def root_jvp(args: tuple, tangents: tuple) -> Any:
        _, _, consts, of_tangent = args
        x, aux = bind(args)
        _, change = jvp(lambda *consts: converted(x, *consts), tuple(consts), tuple(tangents[2]))
        return (x, aux), (tangent(x, change, consts, *of_tangent), None)

    args = (call.captured, guess, consts, of_tangent)
    avals = call.program.out_avals
    rule = JvpRule(root_jvp, "root", (), tree.structure(args), call.out_tree, avals, False)
    return bind(args)


def _check_like(expected: Any, got: Any, what: str) -> None:
    """An error unless two trees have the same structure, shapes and dtypes."""
    difference = tree.structure_difference(expected, got)
    if difference:
        raise TreeError(f"{what} of the guess's structure: {difference}.")
    for path, a, b in zip(paths(expected), *map(tree.leaves, (expected, got)), strict=True):
        a, b = aval_of(a), aval_of(b)
        if a.shape != b.shape or (a.dtype != b.dtype and not b.weak_type):
            kind = ShapeError if a.shape != b.shape else DTypeError
            raise kind(f"{what}{path} of type {a}, as the guess's, got {b}.")
