"""Custom derivatives, checkpoint and callbacks mean the same in every composition of transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.trace import trace_depth
from functrans.primitives.checkpoints import checkpoint, checkpoint_policies
from functrans.primitives.custom import SymbolicZero
from functrans.primitives.custom_jvp import custom_jvp
from functrans.primitives.custom_vjp import CustomVJPPrimal, custom_vjp
from functrans.primitives.identities import (
    optimization_barrier,
    stop_gradient,
)
from functrans.test_util import check_grads
from functrans.transforms.inspect import closure_convert, make_program

xs = np.array([0.5, 1.5, -2.0])


# --- three ways to write x² y, with derivatives that are right ----


@custom_jvp
def by_jvp(x: Any, y: Any) -> Any:
    return x * x * y


@by_jvp.defjvp
def by_jvp_rule(primals: Any, tangents: Any) -> Any:
    (x, y), (tx, ty) = primals, tangents
    return by_jvp(x, y), 2.0 * x * y * tx + x * x * ty


@custom_vjp
def by_vjp(x: Any, y: Any) -> Any:
    return x * x * y


by_vjp.defvjp(
    lambda x, y: (by_vjp(x, y), {"x": x, "y": y}),
    lambda r, ct: (2.0 * r["x"] * r["y"] * ct, r["x"] * r["x"] * ct),
)


@checkpoint
def by_checkpoint(x: Any, y: Any) -> Any:
    return x * x * y


@custom_jvp
def by_jvp_of_loop(x: Any, y: Any) -> Any:
    return lax.fori_loop(0, 2, lambda i, c: c * x, y + 0.0 * x)


# a rule whose Program holds loops over primals and tangents at once
by_jvp_of_loop.defjvp(
    lambda p, t: ft.jvp(lambda x, y: lax.fori_loop(0, 2, lambda i, c: c * x, y + 0.0 * x), p, t)
)


@custom_jvp
def by_jvps(x: Any, y: Any) -> Any:
    return x * x * y


by_jvps.defjvps(lambda t, out, x, y: 2.0 * x * y * t, lambda t, out, x, y: x * x * t)

FUNCTIONS = [by_jvp, by_vjp, by_checkpoint, by_jvp_of_loop, by_jvps]
table = pytest.mark.parametrize("f", FUNCTIONS, ids=["jvp", "vjp", "remat", "jvp-of-loop", "jvps"])


def plain(x: Any, y: Any) -> Any:
    return x * x * y


def compositions(f: Any) -> dict[str, Any]:
    """Values that must not depend on which of the functions f is."""
    x, y = 1.3, 0.7
    both = (0, 1)
    grad = ft.grad(f, both)

    def in_scan(x: Any) -> Any:
        return lax.scan(lambda c, w: (f(c, x) + w, c), 0.5, xs)[0]

    def in_cond(x: Any, y: Any) -> Any:
        return lax.cond(x > 0.0, f, lambda x, y: x + y, x, y)

    def batch_loss(x: Any, y: Any) -> Any:
        return fnp.sum(ft.vmap(f, (0, None))(x, y))

    return {
        "value": f(x, y),
        "grad": grad(x, y),
        "grad of grad": ft.grad(lambda x: fnp.sin(ft.grad(f)(x, y)))(x)
        if hasattr(fnp, "sin")
        else ft.grad(ft.grad(f))(x, y),
        "third": ft.grad(ft.grad(ft.grad(f, 1)))(x, y),
        "jacrev of jacrev": ft.jacrev(ft.jacrev(f, both), both)(x, y),
        "vmap": ft.vmap(f, (0, None))(xs, y),
        "vmap out": ft.vmap(f, (None, 0), out_axes=-1)(xs, xs),
        "vmap of grad": ft.vmap(grad)(xs, xs),
        "vmap of grad, shared": ft.vmap(grad, (0, None))(xs, y),
        "grad of vmap": ft.grad(batch_loss, both)(xs, y),
        "vmap of vmap": ft.vmap(ft.vmap(f, (0, None)), (None, 0))(xs, xs),
        "grad of vmap of grad": ft.grad(
            lambda y: fnp.sum(ft.vmap(ft.grad(f), (0, None))(xs, y) ** 2)
        )(y),
        "scan": ft.grad(in_scan)(x),
        "vmap of scan": ft.vmap(ft.grad(in_scan))(xs),
        "scan twice": ft.grad(ft.grad(in_scan))(x),
        "cond": ft.grad(in_cond, both)(x, y),
        "vmap of cond": ft.vmap(ft.grad(in_cond, both))(xs, xs),
        "arrays": ft.grad(lambda x: fnp.sum(f(x, x * 2.0)))(xs),
        "broadcast": ft.grad(lambda y: fnp.sum(f(xs, fnp.broadcast_to(y, (3,)))))(2.0),
        "jit": ft.jit(f)(x, y),
        "jit of grad": ft.jit(grad)(x, y),
        "grad of jit": ft.grad(ft.jit(f), both)(x, y),
        "jit of vmap of grad": ft.jit(ft.vmap(ft.grad(ft.jit(f), both)))(xs, xs),
        "grad of grad of jit": ft.grad(ft.grad(ft.jit(f)))(x, y),
    }


@table
def test_compositions(f: Any) -> None:
    got, want = compositions(f), compositions(plain)
    for name, value in want.items():
        for a, b in zip(ft.tree.leaves(got[name]), ft.tree.leaves(value), strict=True):
            assert np.shape(a) == np.shape(b), name
            np.testing.assert_allclose(a, b, rtol=1e-12, err_msg=name)


@table
def test_derivatives_against_differences(f: Any) -> None:
    check_grads(f, (1.3, 0.7), 3, atol=1e-4, rtol=1e-4)


@table
def test_programs_are_well_formed(f: Any) -> None:
    make_program(f)(1.0, 2.0).check()
    make_program(ft.grad(f))(1.0, 2.0).check()
    make_program(ft.vmap(ft.grad(f)))(xs, xs).check()
    make_program(ft.grad(lambda x: lax.scan(lambda c, w: (f(c, w), c), x, xs)[0]))(1.0).check()


@table
def test_forward_mode(f: Any) -> None:
    got = ft.jvp(f, (1.3, 0.7), (1.0, 2.0))
    np.testing.assert_allclose(got, ft.jvp(plain, (1.3, 0.7), (1.0, 2.0)))
    np.testing.assert_allclose(ft.hessian(f)(1.3, 0.7), ft.hessian(plain)(1.3, 0.7), rtol=1e-12)
    got = ft.vmap(lambda x: ft.jvp(f, (x, 2.0), (1.0, 0.0))[1])(xs)
    np.testing.assert_allclose(got, 4 * xs)


# --- what the rules are given ----


def test_rules_are_used_and_may_be_wrong_on_purpose() -> None:
    @custom_jvp
    def f(x: Any) -> Any:
        return x * x

    f.defjvp(lambda p, t: (f(p[0]), 10.0 * t[0]))
    assert ft.grad(f)(3.0) == 10.0 and ft.jvp(f, (3.0,), (1.0,))[1] == 10.0

    @custom_vjp
    def clip_gradient(x: Any, bound: Any) -> Any:
        return x

    clip_gradient.defvjp(
        lambda x, bound: (x, bound),
        lambda bound, ct: (fnp.minimum(fnp.maximum(ct, -bound), bound), None),
    )
    gradient = ft.grad(lambda x: fnp.sum(clip_gradient(x, 0.5) * np.array([0.1, 3.0, -9.0])))
    np.testing.assert_array_equal(gradient(xs), [0.1, 0.5, -0.5])


def test_trees_keywords_and_defaults() -> None:
    @custom_vjp
    def f(p: Any, scale: Any = 2.0) -> Any:
        return {"y": p["a"] * p["b"] * scale, "n": (p["a"],)}

    def fwd(p: Any, scale: Any) -> Any:
        return f(p, scale), (p, [scale])

    def bwd(residuals: Any, ct: Any) -> Any:
        p, (scale,) = residuals
        y = ct["y"] * scale
        return {"a": y * p["b"] + ct["n"][0], "b": y * p["a"]}, ct["y"] * p["a"] * p["b"]

    f.defvjp(fwd, bwd)
    p = {"a": 2.0, "b": 3.0}
    loss = lambda p, **kw: f(p, **kw)["y"] ** 2 + f(p, **kw)["n"][0]
    assert ft.grad(loss)(p) == {"a": 2 * 12 * 6 + 1, "b": 2 * 12 * 4}
    assert ft.grad(lambda s: loss(p, scale=s))(2.0) == 2 * 12 * 6


def test_nondiff_argnums() -> None:
    @custom_jvp
    def unused(x: Any) -> Any:
        return x

    apply = custom_jvp(lambda f, x, n: f(x) * n, nondiff_argnums=(0, 2))
    apply.defjvp(lambda f, n, p, t: (f(p[0]) * n, 100.0 * n * t[0]))
    assert ft.grad(lambda x: apply(lambda v: v * v, x, 3))(2.0) == 300.0
    assert apply(lambda v: v * v, 2.0, 3) == 12.0

    power = custom_vjp(lambda x, n: x**n, nondiff_argnums=(1,))
    power.defvjp(lambda x, n: (x**n, x), lambda n, x, ct: (ct * n * x ** (n - 1),))
    assert ft.grad(power)(2.0, 3) == 12.0
    np.testing.assert_allclose(ft.vmap(ft.grad(power), (0, None))(xs, 3), 3 * xs**2)
    with pytest.raises(TransformError, match="no derivative is defined"):
        unused(1.0)


@pytest.mark.parametrize("fixed", [{"nondiff_argnames": ("n",)}, {"nondiff_argnames": "n"}])
def test_nondiff_argnames(fixed: Any) -> None:
    def power(x: Any, n: int = 2, y: Any = 1.0) -> Any:
        assert isinstance(n, int)
        return x**n * y

    f = custom_jvp(power, **fixed)
    f.defjvp(lambda n, p, t: (f(p[0], n, p[1]), 7.0 * n * t[0] + p[0] ** n * t[1]))
    g = custom_vjp(power, **fixed)
    g.defvjp(lambda x, n, y: (g(x, n, y), x), lambda n, x, ct: (7.0 * n * ct, x**n * ct))
    for h in (f, g):
        for run in (lambda h: h, ft.jit):
            assert run(ft.grad(lambda x, h=h: h(x, n=3)))(2.0) == 21.0
            assert run(ft.grad(h))(2.0) == 14.0
            assert run(ft.grad(lambda y, h=h: h(2.0, 3, y)))(5.0) == 8.0
        np.testing.assert_array_equal(ft.vmap(ft.grad(lambda x, h=h: h(x, n=3)))(xs), [21.0] * 3)
    with pytest.raises(TransformError, match=r"no positional argument 'm', only \['x', 'n', 'y'\]"):
        custom_jvp(power, nondiff_argnames="m")


@pytest.mark.parametrize("custom", [custom_jvp, custom_vjp])
def test_keyword_only_arguments_keep_their_defaults(custom: Any) -> None:
    f = custom(lambda x, *, k=3.0: x * k)
    if custom is custom_jvp:
        f.defjvp(lambda p, t: (f(*p), 7.0 * t[0]))
    else:
        f.defvjp(lambda x: (f(x), None), lambda _, ct: (7.0 * ct,))
    assert f(2.0) == 6.0 and ft.grad(f)(2.0) == 7.0
    with pytest.raises(TransformError, match=r"keyword-only arguments \['k'\]"):
        f(2.0, k=1.0)


@pytest.mark.parametrize(
    ("argument", "cotangent", "want"),
    [
        ({"a": 2.0, "b": (3.0, 4.0)}, lambda ct: {"a": ct, "b": None}, [1.0, 0.0, 0.0]),
        ({"a": 2.0, "b": (3.0, 4.0)}, lambda ct: {"a": ct, "b": (None, ct)}, [1.0, 0.0, 1.0]),
        ({"a": 2.0, "b": (3.0, 4.0)}, lambda ct: None, [0.0, 0.0, 0.0]),
        ({"a": 2.0, "b": None}, lambda ct: {"a": ct, "b": None}, [1.0]),
        ({"a": 2.0, "b": 3}, lambda ct: {"a": ct, "b": None}, [1.0, "float0"]),
        ({"a": 2.0, "b": 3}, lambda ct: {"a": ct, "b": np.zeros((), ft.float0)}, [1.0, "float0"]),
    ],
)
def test_none_and_float0_are_zero_cotangents(argument: Any, cotangent: Any, want: Any) -> None:
    f = custom_vjp(lambda p: p["a"] * 2.0)
    f.defvjp(lambda p: (f(p), None), lambda _, ct: (cotangent(ct),))
    for run in (lambda f: f, ft.jit, lambda f: ft.jit(ft.jit(f))):
        leaves = ft.tree.leaves(run(ft.grad(f, allow_int=True))(argument))
        assert ["float0" if x.dtype == ft.float0 else x for x in leaves] == want


def test_integers_have_float0_tangents() -> None:
    seen: list[Any] = []
    f = custom_jvp(lambda x, i: (x * i, i + 1))

    def rule(primals: Any, tangents: Any) -> Any:
        seen.append(tangents[1].dtype)
        return f(*primals), (tangents[0] * primals[1], np.zeros((), ft.float0))

    f.defjvp(rule)
    (y, n), (dy, dn) = ft.jvp(lambda x: f(x, 3), (2.0,), (1.0,))
    assert (y, n, dy, dn.dtype) == (6.0, 4, 3.0, ft.float0)
    assert ft.grad(lambda x: f(x, 3)[0])(2.0) == 3.0
    np.testing.assert_array_equal(
        ft.vmap(ft.grad(lambda x, i: f(x, i)[0]))(xs, np.arange(3)), [0, 1, 2]
    )
    assert set(seen) == {np.dtype(ft.float0)}


# --- rules in each other, and in every loop and branch ----


def sine_by(kind: str) -> Any:
    """sin(x) y, whose derivatives come by one way or another."""
    direct = lambda x, y: fnp.sin(x) * y
    slope = lambda p, t: fnp.cos(p[0]) * p[1] * t[0] + fnp.sin(p[0]) * t[1]
    f: Any
    match kind:
        case "jvp":
            f = custom_jvp(direct)
            f.defjvp(lambda p, t: (f(*p), slope(p, t)))
        case "vjp":
            f = custom_vjp(direct)
            f.defvjp(
                lambda x, y: (f(x, y), {"x": x, "rest": [y]}),
                lambda r, ct: (fnp.cos(r["x"]) * r["rest"][0] * ct, fnp.sin(r["x"]) * ct),
            )
        case "jvp in vjp" | "vjp in vjp":
            inner = sine_by(kind[:3])
            f = custom_vjp(lambda x, y: inner(x, y))
            f.defvjp(lambda x, y: (inner(x, y), (x, y)), lambda r, ct: ft.vjp(inner, *r)[1](ct))
        case "vjp in jvp":
            inner = sine_by("vjp")
            f = custom_jvp(lambda x, y: inner(x, y))
            f.defjvp(
                lambda p, t: (inner(*p), fnp.cos(p[0]) * p[1] * t[0] + inner(p[0], 1.0) * t[1])
            )
        case _:
            policy = checkpoint_policies.everything_saveable if "all" in kind else None
            f = checkpoint(sine_by(kind[-3:]), policy=policy)
    return f


def placed(f: Any, where: str) -> Any:
    def scan_of(f: Any) -> Any:
        return lambda x, y: lax.scan(lambda c, w: (f(c, y) * w, c), x, np.arange(1.0, 4.0))[0]

    return {
        "while": lambda x, y: lax.while_loop(
            lambda c: c[0] < 3, lambda c: (c[0] + 1, f(c[1], y)), (0, x)
        )[1],
        "fori": lambda x, y: lax.fori_loop(0, 3, lambda i, c: f(c, y) + c, x),
        "scan": scan_of(f),
        "cond": lambda x, y: lax.cond(fnp.sum(x) > 0, f, lambda x, y: x * y, x, y),
        "cond in scan": scan_of(lambda c, y: lax.cond(c > 0.5, f, lambda x, y: x * y, c, y)),
        "checkpoint": checkpoint(lambda x, y: f(f(x, y), y)),
        "jit": ft.jit(lambda x, y: f(x, f(x, y))),
    }[where]


@pytest.mark.parametrize(
    "where", ["while", "fori", "scan", "cond", "cond in scan", "checkpoint", "jit"]
)
@pytest.mark.parametrize(
    "kind",
    ["jvp", "vjp", "jvp in vjp", "vjp in vjp", "vjp in jvp", "remat of jvp", "remat, all, of vjp"],
)
def test_rules_nest_in_each_other_and_in_control_flow(kind: str, where: str) -> None:
    both = (0, 1)

    def values(f: Any) -> dict[str, Any]:
        f = placed(f, where)
        return {
            "grad": ft.grad(f, both)(0.7, 1.3),
            "vmap of grad": ft.vmap(ft.grad(f, both), (0, None))(xs, 1.3),
            "jit of grad of vmap": ft.jit(
                ft.grad(lambda x, y: fnp.sum(ft.vmap(f, (0, None))(x, y) ** 2), both)
            )(xs, 1.3),
            "reverse twice": ft.jacrev(ft.jacrev(f, both), both)(0.7, 1.3),
            "jvp": ft.jvp(f, (0.7, 1.3), (1.0, 2.0)),
            "linearize": ft.linearize(f, 0.7, 1.3)[1](1.0, 2.0),
            "hessian": ft.jit(ft.hessian(f, both))(0.7, 1.3),
            "forward twice": ft.jacfwd(ft.jacfwd(f, both), both)(0.7, 1.3),
        }

    got, want = values(sine_by(kind)), values(lambda x, y: fnp.sin(x) * y)
    for name, value in want.items():
        for a, b in zip(ft.tree.leaves(got[name]), ft.tree.leaves(value), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12, err_msg=name)


def test_symbolic_zeros() -> None:
    seen: list[Any] = []
    f = custom_jvp(lambda x, y: x * y)

    def rule(primals: Any, tangents: Any) -> Any:
        seen[:] = [type(t) is SymbolicZero for t in tangents]
        (x, y), (tx, ty) = primals, tangents
        total = fnp.zeros(()) + 0.0
        for t, other in ((tx, y), (ty, x)):
            if type(t) is not SymbolicZero:
                total = total + t * other
        return x * y, total

    f.defjvp(rule, symbolic_zeros=True)
    assert ft.grad(f, 1)(2.0, 3.0) == 2.0 and seen == [True, False]

    g = custom_vjp(lambda x, y: (x * y, x))

    def fwd(x: Any, y: Any) -> Any:
        assert isinstance(x, CustomVJPPrimal)
        seen[:] = [x.perturbed, y.perturbed]
        return (x.value * y.value, x.value), (x.value, y.value)

    def bwd(r: Any, cts: Any) -> Any:
        seen.append(type(cts[1]) is SymbolicZero)
        return cts[0] * r[1], cts[0] * r[0]

    g.defvjp(fwd, bwd, symbolic_zeros=True)
    assert ft.grad(lambda x: g(x, 3.0)[0])(2.0) == 3.0
    assert seen == [True, False, True]


def test_python_control_flow_in_functions_and_rules_outside_jit() -> None:
    @custom_jvp
    def f(x: Any) -> Any:
        return x * x if x > 0 else -x

    @f.defjvp
    def rule(p: Any, t: Any) -> Any:
        return f(p[0]), (2.0 * p[0] * t[0] if p[0] > 0 else -t[0])

    g = custom_vjp(lambda x: x * x if x > 0 else -x)
    g.defvjp(lambda x: (g(x), x), lambda x, ct: (ct * (2.0 * x if x > 0 else -1.0),))
    h = checkpoint(lambda x: x * x if x > 0 else -x)
    for function in (f, g, h):
        assert [ft.grad(function)(v) for v in (3.0, -3.0)] == [6.0, -1.0]
        assert ft.grad(ft.grad(function))(3.0) == 2.0


def test_closed_over_values_are_constants_and_differentiating_them_is_an_error() -> None:
    def outer(a: Any, x: Any) -> Any:
        f = custom_vjp(lambda x: a * x)
        f.defvjp(lambda x: (f(x), None), lambda _, ct: (ct * a,))
        return f(x)

    assert ft.grad(outer, 1)(2.0, 3.0) == 2.0
    np.testing.assert_array_equal(ft.vmap(ft.grad(outer, 1))(xs, xs), xs)
    with pytest.raises(TransformError, match="closes over a value that is differentiated"):
        ft.grad(outer)(2.0, 3.0)

    def converted(a: Any, x: Any) -> Any:
        f, consts = closure_convert(lambda x: a * x, x)
        g = custom_vjp(lambda x, *consts: f(x, *consts))
        g.defvjp(
            lambda x, *consts: (f(x, *consts), (x, consts)),
            lambda r, ct: (ct * r[1][0], ct * r[0]),
        )
        return g(x, *consts)

    assert ft.grad(converted)(2.0, 3.0) == 3.0


RULE_ERRORS = [
    ("jvp", lambda p, t: p[0], TransformError, "must return a pair"),
    ("jvp", lambda p, t: ((p[0], p[0]), (t[0], t[0])), TreeError, "right structure"),
    ("jvp", lambda p, t: (p[0], fnp.stack([t[0]] * 2)), ShapeError, r"tangent of type f64\[3\]"),
    ("jvp", lambda p, t: (p[0], t[0].astype("f4")), DTypeError, r"f64\[3\], got f32\[3\]"),
    ("jvp", lambda p, t: (p[0].astype("f4"), t[0]), DTypeError, "output of type"),
    ("fwd", lambda x: x, TransformError, "must return a pair"),
    ("fwd", lambda x: ({"a": x}, None), TreeError, "right structure"),
    ("bwd", lambda r, ct: ct, TreeError, "one per argument"),
    ("bwd", lambda r, ct: (ct, ct), TreeError, "tuple of 1, one per argument"),
    ("bwd", lambda r, ct: (fnp.sum(ct),), ShapeError, r"cotangents\[0\] of type f64\[3\], got"),
    ("bwd", lambda r, ct: ({"x": ct},), TreeError, "right structure"),
    ("bwd", lambda r, ct: (ct.astype("f4"),), DTypeError, r"f64\[3\], got f32\[3\]"),
    ("bwd", lambda r, ct: ct[0], TreeError, "one per argument"),
    ("fwd", lambda x: (fnp.sum(x), None), ShapeError, r"output of type f64\[3\], got f64\[\]"),
    ("fwd", lambda x: (x, x, x), TransformError, "must return a pair"),
]


@pytest.mark.parametrize(("which", "rule", "kind", "message"), RULE_ERRORS)
def test_errors_of_rules_name_the_rule(which: str, rule: Any, kind: Any, message: str) -> None:
    def my_function(x: Any) -> Any:
        return x * 1.0

    rule.__name__ = "my_rule"
    if which == "jvp":
        f: Any = custom_jvp(my_function)
        f.defjvp(rule)
    else:
        f = custom_vjp(my_function)
        f.defvjp(
            rule if which == "fwd" else lambda x: (x, None),
            rule if which == "bwd" else lambda r, ct: (ct,),
        )
    with pytest.raises(kind, match=message) as error:
        ft.grad(lambda x: fnp.sum(f(x)))(xs)
    assert "my_rule" in str(error.value) and "my_function" in str(error.value)
    assert trace_depth() == 0


# --- identities ----


def test_stop_gradient_at_every_level() -> None:
    f = lambda x: x * stop_gradient(x * x)
    assert ft.grad(f)(3.0) == 9.0
    assert ft.grad(ft.grad(f))(3.0) == 0.0
    np.testing.assert_array_equal(ft.vmap(ft.grad(f))(xs), xs * xs)
    np.testing.assert_array_equal(ft.jit(ft.vmap(ft.grad(f)))(xs), xs * xs)
    assert ft.jvp(f, (3.0,), (1.0,))[1] == 9.0
    assert stop_gradient({"a": 1, "b": xs})["a"] == 1
    assert isinstance(ft.grad(lambda x: x * np.asarray(stop_gradient(x)))(3.0), float)


def test_optimization_barrier_is_the_identity_under_transforms() -> None:
    f = lambda x: fnp.sum(optimization_barrier({"a": x, "b": 2.0 * x})["b"] * x)
    check_grads(f, (xs,), 2)
    np.testing.assert_allclose(ft.vmap(ft.grad(f))(xs), 4 * xs)


@pytest.mark.parametrize("kind", ["while_loop", "scan", "scan with checkpoint"])
def test_the_rule_of_custom_vjp_is_used_in_the_body_of_a_loop(kind: str) -> None:
    @ft.custom_vjp
    def f(x):
        return fnp.sin(x)

    f.defvjp(lambda x: (fnp.sin(x), x), lambda x, ct: (10.0 * ct * fnp.cos(x),))

    def three_times(x):
        if kind == "while_loop":
            step = lambda c: (c[0] + 1, f(c[1]))
            return lax.while_loop(lambda c: c[0] < 3, step, (0, x))[1]
        kept = None if kind == "scan" else 1
        return lax.scan(lambda v, _: (f(v), None), x, None, 3, checkpoint=kept)[0]

    want = 1000.0 * ft.grad(lambda x: fnp.sin(fnp.sin(fnp.sin(x))))(0.3)
    for wrap in (lambda g: g, ft.jit):
        np.testing.assert_allclose(wrap(ft.grad(three_times))(0.3), want, rtol=1e-12)


def _with_jvp(f: Any) -> Any:
    wrapped = ft.custom_jvp(f)
    wrapped.defjvp(lambda primals, tangents: (f(*primals), 2.0 * tangents[0]))
    return wrapped


def _with_vjp(f: Any) -> Any:
    wrapped = ft.custom_vjp(f)
    wrapped.defvjp(lambda x: (f(x), None), lambda kept, ct: (2.0 * ct,))
    return wrapped


@pytest.mark.parametrize(
    "wrap",
    [_with_jvp, _with_vjp, ft.checkpoint, lambda f: lambda x: ft.stop_gradient(f(x))],
    ids=["custom_jvp", "custom_vjp", "checkpoint", "stop_gradient"],
)
def test_a_python_number_stays_weak(wrap: Any) -> None:
    twice = wrap(lambda x: x * 2.0)
    assert ft.make_program(twice)(1.0).out_avals[0].weak_type
    assert type(twice(1.0)) is type(ft.jit(twice)(1.0)) is float
    scaled = lambda x: twice(x) * np.float32(1)
    assert scaled(1.0).dtype == ft.jit(scaled)(1.0).dtype == np.float32
    assert ft.vjp(scaled, 1.0)[0].dtype == np.float32
