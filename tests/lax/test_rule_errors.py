"""Mistakes in custom rules and in what solvers are given: errors name line, leaf and types."""

from __future__ import annotations

from typing import Any

import numpy as np

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import (
    ConcretizationError,
    DTypeError,
    ShapeError,
    TransformError,
    TreeError,
)
from functrans.integrate import odeint
from functrans.scipy import optimize
from functrans.scipy.sparse import linalg as sparse
from tests.lax.mistakes import Mistake, Mistakes, check

mistake = Mistakes()


# --- custom rules ---------------------------------------------------------------------------------


def jvp_of(rule: Any, fun: Any = lambda x: {"y": x * 2.0}) -> Any:
    """A custom_jvp function with a rule."""
    f = ft.custom_jvp(fun)
    f.defjvp(rule)
    return f


def vjp_of(fwd: Any, bwd: Any, fun: Any = lambda x: {"y": x * 2.0}) -> Any:
    """A custom_vjp function with a rule."""
    f = ft.custom_vjp(fun)
    f.defvjp(fwd, bwd)
    return f


@mistake(TransformError, "custom_jvp function my_f", "defjvp")
def jvp_rule_missing(x: Any) -> Any:
    def my_f(x: Any) -> Any:
        return x

    return ft.custom_jvp(my_f)(x)


@mistake(TransformError, "custom_vjp function my_f", "defvjp")
def vjp_rule_missing(x: Any) -> Any:
    def my_f(x: Any) -> Any:
        return x

    return ft.custom_vjp(my_f)(x)


@mistake(TransformError, r"pair \(output, tangent\)", "jvp rule")
def jvp_rule_returns_no_pair(x: Any) -> Any:
    f = jvp_of(lambda p, t: p[0])
    return ft.jvp(f, (x,), (x,))


@mistake(TreeError, r"right structure: .*keys \['y'\], got keys \['z'\]", "jvp rule")
def jvp_rule_wrong_tree(x: Any) -> Any:
    f = jvp_of(lambda p, t: ({"y": p[0]}, {"z": t[0]}))
    return ft.jvp(f, (x,), (x,))


@mistake(ShapeError, r"tangent\['y'\] of type f64\[3\], got f64\[\]", "jvp rule")
def jvp_rule_wrong_shape(x: Any) -> Any:
    f = jvp_of(lambda p, t: ({"y": p[0]}, {"y": fnp.sum(t[0])}))
    return ft.jvp(f, (x,), (x,))


@mistake(DTypeError, r"tangent\['y'\] of type f64\[3\], got f32\[3\]", "jvp rule", "astype")
def jvp_rule_wrong_dtype(x: Any) -> Any:
    f = jvp_of(lambda p, t: ({"y": p[0]}, {"y": t[0].astype("f4")}))
    return ft.grad(lambda x: fnp.sum(f(x)["y"]))(x)


@mistake(ShapeError, r"output\['y'\] of type f64\[3\], got f64\[2\]", "jvp rule")
def jvp_rule_wrong_output(x: Any) -> Any:
    f = jvp_of(lambda p, t: ({"y": p[0][:2]}, {"y": t[0]}))
    return ft.jvp(f, (x,), (x,))


@mistake(TransformError, "defjvps", "2 rules", "1 positional argument")
def jvps_wrong_count(x: Any) -> Any:
    f = ft.custom_jvp(lambda x: x * 2.0)
    f.defjvps(lambda t, out, x: t, lambda t, out, x: t)
    return ft.jvp(f, (x,), (x,))


@mistake(TransformError, r"pair \(output, residuals\)", "fwd rule")
def fwd_returns_no_pair(x: Any) -> Any:
    f = vjp_of(lambda x: {"y": x}, lambda r, ct: (ct["y"],))
    return ft.vjp(f, x)


@mistake(TreeError, "output", "fwd rule")
def fwd_wrong_tree(x: Any) -> Any:
    f = vjp_of(lambda x: (x, None), lambda r, ct: (ct["y"],))
    return ft.vjp(f, x)


@mistake(ShapeError, r"output\['y'\] of type f64\[3\], got f64\[\]", "fwd rule")
def fwd_wrong_shape(x: Any) -> Any:
    f = vjp_of(lambda x: ({"y": fnp.sum(x)}, None), lambda r, ct: (ct["y"],))
    return ft.vjp(f, x)


@mistake(DTypeError, r"residuals\['r'\]", "fwd rule", "str")
def fwd_residual_string(x: Any) -> Any:
    f = vjp_of(lambda x: ({"y": x}, {"r": "text"}), lambda r, ct: (ct["y"],))
    return ft.vjp(f, x)


@mistake(TreeError, "tuple of 1, one per argument", "bwd rule", "got a tuple of 2")
def bwd_wrong_count(x: Any) -> Any:
    f = vjp_of(lambda x: ({"y": x}, None), lambda r, ct: (ct["y"], ct["y"]))
    return ft.grad(lambda x: fnp.sum(f(x)["y"]))(x)


@mistake(TreeError, "tuple of 1", "bwd rule", r"got an array of type f64\[3\]", r"\(ct,\)")
def bwd_returns_array(x: Any) -> Any:
    f = vjp_of(lambda x: ({"y": x}, None), lambda r, ct: ct["y"])
    return ft.grad(lambda x: fnp.sum(f(x)["y"]))(x)


@mistake(TreeError, "bwd rule", r"cotangents\[0\].*expected a dict, got a leaf")
def bwd_wrong_tree(x: Any) -> Any:
    f = vjp_of(lambda p: ({"y": p["a"]}, None), lambda r, ct: (ct["y"],), lambda p: {"y": p["a"]})
    return ft.grad(lambda x: fnp.sum(f({"a": x})["y"]))(x)


@mistake(ShapeError, "bwd rule", r"cotangents\[0\]\['a'\] of type f64\[3\], got f64\[\]")
def bwd_wrong_shape(x: Any) -> Any:
    bwd = lambda r, ct: ({"a": fnp.sum(ct["y"])},)
    f = vjp_of(lambda p: ({"y": p["a"]}, None), bwd, lambda p: {"y": p["a"]})
    return ft.grad(lambda x: fnp.sum(f({"a": x})["y"]))(x)


@mistake(DTypeError, "bwd rule", r"cotangents\[0\] of type f64\[3\], got str: 'no'")
def bwd_returns_string(x: Any) -> Any:
    f = vjp_of(lambda x: ({"y": x}, None), lambda r, ct: ("no",))
    return ft.grad(lambda x: fnp.sum(f(x)["y"]))(x)


@mistake(DTypeError, "bwd rule", r"cotangents\[0\] of type f64\[3\], got f32\[3\]", "astype")
def bwd_wrong_dtype(x: Any) -> Any:
    f = vjp_of(lambda x: ({"y": x}, None), lambda r, ct: (ct["y"].astype("f4"),))
    return ft.grad(lambda x: fnp.sum(f(x)["y"]))(x)


@mistake(TypeError, "positional argument")
def bwd_takes_one(x: Any) -> Any:
    f = vjp_of(lambda x: ({"y": x}, None), lambda r: (r,))
    return ft.grad(lambda x: fnp.sum(f(x)["y"]))(x)


@mistake(TransformError, "forward-mode.*min is not linear", "custom_jvp")
def jvp_of_clipped_cotangents(x: Any) -> Any:
    f = vjp_of(lambda x: ({"y": x}, None), lambda r, ct: (fnp.clip(ct["y"], -1.0, 1.0),))
    return ft.jvp(f, (x,), (x,))


@mistake(TransformError, r"nondiff_argnums=\(3,\)", "positional arguments are only 1")
def nondiff_argnums_out_of_range(x: Any) -> Any:
    f = ft.custom_jvp(lambda x: x, nondiff_argnums=(3,))
    f.defjvp(lambda n, p, t: (p[0], t[0]))
    return f(x)


@mistake(TransformError, "nondiff_argnums.*must be ints, got str: 'x'", "nondiff_argnames")
def nondiff_argnums_string(x: Any) -> Any:
    return ft.custom_vjp(lambda x: x, nondiff_argnums="x")


@mistake(TransformError, "closes over a value that is differentiated")
def nondiff_argument_differentiated(x: Any) -> Any:
    f = ft.custom_vjp(lambda x, n: x * n, nondiff_argnums=(1,))
    f.defvjp(lambda x, n: (x * n, None), lambda n, r, ct: (ct * n,))
    return ft.grad(lambda n: fnp.sum(f(x, n)))(2.0)


@mistake(TransformError, "my_f: got an unexpected keyword argument 'k'")
def custom_unknown_keyword(x: Any) -> Any:
    def my_f(x: Any) -> Any:
        return x

    return jvp_of(lambda p, t: (p[0], t[0]), my_f)(x, k=1)


@mistake(TransformError, "my_f: missing a required argument: 'y'")
def custom_missing_argument(x: Any) -> Any:
    def my_f(x: Any, y: Any) -> Any:
        return x

    return vjp_of(lambda x, y: (x, None), lambda r, ct: (ct, ct), my_f)(x)


@mistake(TransformError, r"keyword-only arguments \['k'\]", "functools.partial")
def custom_keyword_only(x: Any) -> Any:
    return jvp_of(lambda p, t: (p[0], t[0]), lambda x, *, k=1.0: x)(x, k=2.0)


@mistake(TransformError, "closes over a value that is differentiated", "closure_convert")
def custom_closes_over_differentiated(x: Any) -> Any:
    def loss(a: Any) -> Any:
        f = jvp_of(lambda p, t: (p[0] * a, t[0] * a), lambda x: x * a)
        return fnp.sum(f(x))

    return ft.grad(loss)(2.0)


@mistake(TransformError, "custom_jvp takes a function")
def custom_not_callable(x: Any) -> Any:
    return ft.custom_jvp(3.0)


@mistake(TransformError, "defvjp takes a function")
def rule_not_callable(x: Any) -> Any:
    return ft.custom_vjp(lambda x: x).defvjp(None, lambda r, ct: (ct,))


@mistake(TransformError, "checkpoint's policy", "'dots'", "checkpoint_policies")
def checkpoint_policy_string(x: Any) -> Any:
    return ft.checkpoint(lambda x: x, policy="dots")


@mistake(TransformError, "sin is not linear", "vjp")
def transpose_of_sine(x: Any) -> Any:
    return ft.linear_transpose(lambda x: fnp.sin(x) * 2.0, x)(x)


@mistake(TransformError, "mul is not linear", "vjp")
def transpose_of_square(x: Any) -> Any:
    return ft.linear_transpose(lambda x: x * x, x)(x)


@mistake(TransformError, "affine, not linear", "the line at fault", "value at 0 is not 0", "vjp")
def transpose_of_a_sum_with_a_constant(x: Any) -> Any:
    def f(x: Any) -> Any:
        y = 2.0 * x
        y = y + 1.0  # the line at fault
        return fnp.sin(0.5) * y

    return ft.linear_transpose(f, x)(x)


@mistake(TransformError, "affine, not linear", "the line at fault")
def transpose_of_a_jitted_sum_with_a_constant(x: Any) -> Any:
    @ft.jit
    def f(x: Any) -> Any:
        return fnp.concatenate([2.0 * x, np.ones(1)])  # the line at fault

    return ft.linear_transpose(f, x)(np.ones(4))


@mistake(TransformError, "affine, not linear", "lax.fori_loop")
def transpose_of_a_loop_that_adds_a_constant(x: Any) -> Any:
    return ft.linear_transpose(lambda x: lax.fori_loop(0, 2, lambda i, c: 2 * c + 1.0, x), x)(x)


@mistake(TransformError, "scan is not linear")
def transpose_of_loop_that_is_not_linear(x: Any) -> Any:
    f = lambda x: lax.fori_loop(0, 2, lambda i, c: fnp.sin(c), x)
    return ft.linear_transpose(f, x)(x)


@mistake(TreeError, "cotangent.*structure of the output")
def transpose_wrong_cotangent(x: Any) -> Any:
    return ft.linear_transpose(lambda x: {"y": x}, x)(x)


@mistake(ShapeError, r"shapes that broadcast: got f64\[3\] and f64\[2\]", "the line at fault")
def mistake_in_bwd(x: Any) -> Any:
    def bwd(r: Any, ct: Any) -> Any:
        return (fnp.add(ct, fnp.ones(2)),)  # the line at fault

    f = vjp_of(lambda x: (x, None), bwd, lambda x: x * 2.0)
    return ft.grad(lambda x: fnp.sum(f(x)))(x)


@mistake(ShapeError, r"shapes that broadcast: got f64\[3\] and f64\[2\]", "the line at fault")
def mistake_in_fwd(x: Any) -> Any:
    def fwd(x: Any) -> Any:
        return fnp.add(x, fnp.ones(2)), None  # the line at fault

    return ft.vjp(vjp_of(fwd, lambda r, ct: (ct,), lambda x: x * 2.0), x)


@mistake(ShapeError, r"shapes that broadcast: got f64\[3\] and f64\[2\]", "the line at fault")
def mistake_in_a_jvp_rule(x: Any) -> Any:
    def rule(p: Any, t: Any) -> Any:
        return p[0], fnp.add(t[0], fnp.ones(2))  # the line at fault

    return ft.grad(lambda x: fnp.sum(jvp_of(rule, lambda x: x * 2.0)(x)))(x)


@mistake(ConcretizationError, "lax.cond", "the line at fault")
def python_if_in_bwd(x: Any) -> Any:
    def bwd(r: Any, ct: Any) -> Any:
        return (ct if ct[0] > 0 else -ct,)  # the line at fault

    f = vjp_of(lambda x: (x, None), bwd, lambda x: x * 2.0)
    return ft.jit(ft.grad(lambda x: fnp.sum(f(x))))(x)


@mistake(ShapeError, r"shapes that broadcast: got f64\[3\] and f64\[2\]", "the line at fault")
def mistake_in_a_tangent_solve(x: Any) -> Any:
    def tangent_solve(g: Any, y: Any) -> Any:
        return fnp.add(y, fnp.ones(2))  # the line at fault

    root = lambda a: lax.custom_root(lambda y: y - a, x, lambda f, y: y, tangent_solve)
    return ft.jvp(root, (x,), (x,))


# --- equations and solvers ------------------------------------------------------------------------


@mistake(ShapeError, r"f must give", r"f64\[3\]", r"f64\[2\]")
def custom_root_wrong_shape(x: Any) -> Any:
    return lax.custom_root(lambda y: y[:2], x, lambda f, y: y, lambda g, y: y)


@mistake(TreeError, "solve must give a root of the guess's structure", "got a tuple")
def custom_root_wrong_tree(x: Any) -> Any:
    return lax.custom_root(lambda y: y, x, lambda f, y: (y, y), lambda g, y: y)


@mistake(TransformError, "custom_root takes a function")
def custom_root_not_callable(x: Any) -> Any:
    return lax.custom_root(x, x, lambda f, y: y, lambda g, y: y)


@mistake(ShapeError, r"matvec must give f64\[3\]", r"got f64\[2\]")
def custom_linear_solve_wrong_matvec(x: Any) -> Any:
    return lax.custom_linear_solve(lambda v: v[:2], x, lambda mv, b: b)


@mistake(DTypeError, r"solve must give f64\[3\]", r"got f32\[3\]")
def custom_linear_solve_wrong_dtype(x: Any) -> Any:
    return lax.custom_linear_solve(lambda v: v, x, lambda mv, b: b.astype("f4"))


@mistake(TransformError, "custom_linear_solve takes a function")
def custom_linear_solve_not_callable(x: Any) -> Any:
    return lax.custom_linear_solve(lambda v: v, x, None)


@mistake(TransformError, "mul is not linear")
def custom_linear_solve_not_linear(x: Any) -> Any:
    solve = lambda matvec, b: matvec(b)
    return lax.custom_linear_solve(lambda v: v * v, x, solve, transpose_solve=solve)


@mistake(TreeError, "matvec must give a tree like b.*expected a leaf, got a tuple")
def custom_linear_solve_wrong_tree(x: Any) -> Any:
    return lax.custom_linear_solve(lambda v: (v, v), x, lambda mv, b: b)


@mistake(TransformError, "transpose_solve=")
def custom_linear_solve_without_transpose(x: Any) -> Any:
    return ft.grad(lambda b: fnp.sum(lax.custom_linear_solve(lambda v: v, b, lambda mv, b: b)))(x)


@mistake(ShapeError, r"odeint's func.*y0\['a'\]\[0\] is f64\[3\], got f64\[2\]")
def odeint_wrong_shape(x: Any) -> Any:
    return odeint(lambda y, t: {"a": (y["a"][0][:2],)}, {"a": (x,)}, np.array([0.0, 1.0]))


@mistake(TreeError, "like y0", "expected a dict, got a leaf")
def odeint_wrong_tree(x: Any) -> Any:
    return odeint(lambda y, t: y["a"], {"a": x}, np.array([0.0, 1.0]))


@mistake(TransformError, "odeint takes a function")
def odeint_not_callable(x: Any) -> Any:
    return odeint(x, x, np.array([0.0, 1.0]))


@mistake(ShapeError, "vector of times: got float: 1.0|vector of times: got an array of type f64")
def odeint_scalar_time(x: Any) -> Any:
    return odeint(lambda y, t: y, x, 1.0)


@mistake(TransformError, "'dopri5' and 'rk4', not 'euler'")
def odeint_method(x: Any) -> Any:
    return odeint(lambda y, t: y, x, np.array([0.0, 1.0]), method="euler")


@mistake(ShapeError, "root's fun must give as many numbers as x0 has, 3: got 2")
def root_wrong_shape(x: Any) -> Any:
    return optimize.root(lambda y: y[:2], x)


@mistake(TransformError, "root takes a function")
def root_not_callable(x: Any) -> Any:
    return optimize.root(x, x)


@mistake(TransformError, "root has methods 'newton' and 'krylov', not 'bisect'")
def root_method(x: Any) -> Any:
    return optimize.root(lambda y: y, x, method="bisect")


@mistake(ShapeError, "fixed_point's fun must give as many numbers as x0 has, 3: got 2")
def fixed_point_wrong_shape(x: Any) -> Any:
    return optimize.fixed_point(lambda y: y[:2], x)


@mistake(TransformError, "fixed_point takes a function")
def fixed_point_not_callable(x: Any) -> Any:
    return optimize.fixed_point(x, x)


@mistake(ShapeError, r"matvec must give f64\[3\] as b, got f64\[2\]")
def cg_wrong_shape(x: Any) -> Any:
    return sparse.cg(lambda v: v[:2], x)


@mistake(ShapeError, r"got A of shape \(2, 2\) and b of shape \(3,\)")
def cg_wrong_matrix(x: Any) -> Any:
    return sparse.cg(np.eye(2), x)


@mistake(TransformError, "A must be a function, or a matrix.*got str: 'A'")
def cg_not_callable(x: Any) -> Any:
    return sparse.cg("A", x)


@mistake(ShapeError, r"x0 must be a tree like b, of 3 numbers: got an array of type f64\[2\]")
def cg_wrong_start(x: Any) -> Any:
    return sparse.cg(lambda v: v, x, x[:2])


# --- the test -------------------------------------------------------------------------------------


@mistake.rows()
def test_mistakes(row: Mistake, context: str) -> None:
    check(row, context)
