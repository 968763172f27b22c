"""Forward mode through custom_vjp is the transpose of the bwd rule, in every composition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import TransformError
from functrans.primitives.custom import SymbolicZero
from functrans.test_util import check_grads

xs = np.array([0.5, 1.5, -0.8])
ns = np.arange(3)
ys = np.array([0.2, -0.6, 1.1])
zs = np.array([0.3 + 0.4j, -0.7 + 0.2j, 0.1 - 0.9j])
rng = np.random.default_rng(0)


def ruled(fun: Any, fwd: Any, bwd: Any, symbolic_zeros: bool = False, **options: Any) -> Any:
    f = ft.custom_vjp(fun, **options)
    f.defvjp(fwd, bwd, symbolic_zeros=symbolic_zeros)
    return f


# --- rules that give the derivative, in all the forms that a rule may have ----


def product(x: Any, y: Any) -> Any:
    return x * x * y


def trees(p: Any, scale: Any) -> Any:
    return {"y": p["a"] * p["b"] * scale, "n": (p["a"],)}


def trees_bwd(kept: Any, ct: Any) -> Any:
    p, (scale,) = kept
    y = ct["y"] * scale
    return {"a": y * p["b"] + ct["n"][0], "b": y * p["a"]}, ct["y"] * p["a"] * p["b"]


def counted(x: Any, n: Any) -> Any:
    return x * n, n + 1


def pair(x: Any, y: Any) -> Any:
    return x * y, x * x


def pair_bwd(kept: Any, cts: Any) -> Any:
    """Adds what is not zero; forward mode asks for all."""
    x, y = kept
    by_x, by_y = [], []
    if not isinstance(cts[0], SymbolicZero):
        by_x, by_y = [cts[0] * y], [cts[0] * x]
    if not isinstance(cts[1], SymbolicZero):
        by_x.append(2.0 * x * cts[1])
    return sum(by_x) if by_x else None, sum(by_y) if by_y else None


def looped(x: Any, y: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, c: c * fnp.cos(y) + i * x, x * y)


def chosen(x: Any, y: Any) -> Any:
    return lax.cond(fnp.sum(x) > 0.0, lambda: fnp.sin(x) * y, lambda: x * y)


def chosen_bwd(kept: Any, ct: Any) -> Any:
    x, y = kept
    slope = lambda: (ct * fnp.cos(x) * y, ct * fnp.sin(x))
    return lax.cond(fnp.sum(x) > 0.0, slope, lambda: (ct * y, ct * x))


def first_only(x: Any, y: Any) -> Any:
    return fnp.sin(x) + 0.0 * y


spiral = lambda x: fnp.exp(1j * x)
modulus = lambda z: fnp.real(z * fnp.conj(z))
kept_all = lambda f: lambda *args: (f(*args), args)
by_product = ruled(
    product,
    lambda x, y: (by_product(x, y), {"x": x, "y": [y]}),
    lambda r, ct: (2.0 * r["x"] * r["y"][0] * ct, r["x"] * r["x"] * ct),
)
by_trees = ruled(trees, lambda p, s: (trees(p, s), (p, [s])), trees_bwd)
by_counted = ruled(counted, kept_all(counted), lambda r, ct: (ct[0] * r[1], None))
by_power = ruled(
    lambda n, x: x**n,
    lambda n, x: (x**n, x),
    lambda n, x, ct: (n * x ** (n - 1) * ct,),
    nondiff_argnums=(0,),
)
by_pair = ruled(
    pair, lambda x, y: (pair(x.value, y.value), (x.value, y.value)), pair_bwd, symbolic_zeros=True
)
by_pull = ruled(looped, lambda *args: ft.vjp(looped, *args), lambda pull, ct: pull(ct))
by_chosen = ruled(chosen, kept_all(chosen), chosen_bwd)
by_first = ruled(first_only, kept_all(first_only), lambda r, ct: (ct * fnp.cos(r[0]), None))
by_square = ruled(fnp.square, kept_all(fnp.square), lambda r, ct: (2.0 * r[0] * ct,))
by_spiral = ruled(
    spiral,
    lambda x: (spiral(x), spiral(x)),
    lambda y, ct: (fnp.real(1j * y * ct),),
)
by_modulus = ruled(modulus, kept_all(modulus), lambda r, ct: (2.0 * fnp.conj(r[0]) * ct,))

Case = tuple[Callable[..., Any], Callable[..., Any], tuple]
CASES: dict[str, Case] = {
    "residuals in a tree": (by_product, product, (xs, ys)),
    "arguments and results in trees": (by_trees, trees, ({"a": xs, "b": ys}, xs * ys)),
    "integers": (lambda x: by_counted(x, ns), lambda x: counted(x, ns), (xs,)),
    "a fixed argument": (lambda x: by_power(3, x), lambda x: x**3, (xs,)),
    "by keyword": (lambda x, y: by_product(y=y, x=x), product, (xs, ys)),
    "symbolic zeros": (by_pair, pair, (xs, ys)),
    "the pull-back of a loop": (by_pull, looped, (xs, ys)),
    "a branch on what is kept": (by_chosen, chosen, (xs, ys)),
    "None": (by_first, first_only, (xs, ys)),
    "complex": (by_square, fnp.square, (zs,)),
    "real to complex": (by_spiral, spiral, (xs,)),
    "complex to real": (by_modulus, modulus, (zs,)),
}
table = pytest.mark.parametrize("name", list(CASES))


def random_like(x: Any) -> Any:
    def of(leaf: Any) -> Any:
        t = rng.normal(size=leaf.shape)
        return t + 1j * rng.normal(size=leaf.shape) if leaf.dtype.kind == "c" else t

    return ft.tree.map(of, x)


def floating(out: Any) -> list[Any]:
    return [y for y in ft.tree.leaves(out) if y.dtype.kind in "fc"]


def compositions(f: Any, args: tuple, ts: tuple, others: tuple) -> dict[str, Any]:
    """Values that must not depend on whether f has a rule."""
    g = lambda *args: floating(f(*args))
    along = lambda *args: ft.jvp(g, args, ts)[1]
    push = lambda *ts: ft.jvp(g, args, ts)[1]
    out = g(*args)
    stacked = ft.tree.map(lambda a, b: np.stack([a, b, a + b]), args, others)
    steps = ft.tree.map(lambda a, b: np.stack([b, a, b]), ts, others)
    size = lambda *args: sum(fnp.sum(fnp.real(y) ** 2 + fnp.imag(y)) for y in g(*args))

    def looped(kind: str) -> Any:
        """Each step moves the arguments by a result."""

        def step(c: Any) -> Any:
            moved = 0.1 * sum(fnp.sum(fnp.real(y)) for y in g(*c))
            return ft.tree.map(lambda x: x * 0.9 + moved, c)

        if kind == "scan":
            return lambda *args: lax.scan(lambda c, _: (step(c), None), args, None, 3)[0]
        return lambda *args: lax.while_loop(
            lambda c: c[0] < 3, lambda c: (c[0] + 1, step(c[1])), (0, args)
        )[1]

    return {
        "jvp": along(*args),
        "jvp in one": ft.jvp(lambda x: g(x, *args[1:]), args[:1], ts[:1])[1],
        "jit": ft.jit(along)(*args),
        "jvp of jit": ft.jvp(ft.jit(g), args, ts)[1],
        "linearize": ft.linearize(g, *args)[1](*ts),
        "jit of linearize": ft.jit(lambda *args: ft.linearize(g, *args)[1](*ts))(*args),
        "jit of a linear map": ft.jit(ft.linearize(g, *args)[1])(*ts),
        "vmap of a linear map": ft.vmap(ft.linearize(g, *args)[1])(*steps),
        "linear_transpose": ft.linear_transpose(push, *args)(out),
        "linear_transpose of a linear map": ft.linear_transpose(
            lambda *ts: ft.linearize(g, *args)[1](*ts), *args
        )(out),
        "vmap of jvp": ft.vmap(lambda *a: ft.jvp(g, a[: len(args)], a[len(args) :])[1])(
            *stacked, *steps
        ),
        "jvp of vmap": ft.jvp(ft.vmap(g), stacked, steps)[1],
        "jvp of vmap, the first shared": ft.jvp(
            ft.vmap(g, (None, *[0] * (len(args) - 1)), axis_size=3),
            (args[0], *stacked[1:]),
            (ts[0], *steps[1:]),
        )[1],
        "vmap of linearize": ft.vmap(lambda *args: ft.linearize(g, *args)[1](*ts))(*stacked),
        "jvp of jvp": ft.jvp(along, args, others)[1],
        "jvp of linearize": ft.jvp(lambda *a: ft.linearize(g, *a)[1](*ts), args, others)[1],
        "vjp of linearize": ft.vjp(lambda *a: ft.linearize(g, *a)[1](*ts), *args)[1](out),
        "vjp of jvp": ft.vjp(along, *args)[1](out),
        "jvp of grad": ft.jvp(ft.grad(size), args, ts)[1],
        "jvp in scan": ft.jvp(looped("scan"), args, ts)[1],
        "jvp in while_loop": ft.jit(lambda *ts: ft.jvp(looped("while_loop"), args, ts)[1])(*ts),
    }


@table
def test_compositions(name: str) -> None:
    f, plain, args = CASES[name]
    directions = random_like(args), random_like(args)
    got, want = compositions(f, args, *directions), compositions(plain, args, *directions)
    for kind, value in want.items():
        for a, b in zip(ft.tree.leaves(got[kind]), ft.tree.leaves(value), strict=True):
            assert np.shape(a) == np.shape(b) and a.dtype == b.dtype, kind
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12, err_msg=kind)


@table
def test_derivatives_against_differences(name: str) -> None:
    f, _, args = CASES[name]
    check_grads(lambda *args: floating(f(*args)), args, 2, atol=1e-4, rtol=1e-4)


@table
def test_programs_are_well_formed(name: str) -> None:
    f, _, args = CASES[name]
    g = lambda *args: floating(f(*args))
    rows = ft.tree.map(lambda x: np.stack([x, x]), args)
    for h, points in ((g, args), (ft.vmap(g), rows)):
        ft.make_program(lambda *args, h=h: ft.jvp(h, args, args)[1])(*points).check()
        ft.make_program(lambda *args, h=h: ft.linearize(h, *args)[1](*args))(*points).check()


@pytest.mark.parametrize("way", [lambda f: f, ft.jit])
def test_the_rule_is_followed_not_the_function(way: Any) -> None:
    f = ruled(lambda x: x * x, lambda x: (x * x, x), lambda x, ct: (10.0 * ct,))
    assert way(lambda x: ft.jvp(f, (x,), (1.0,))[1])(3.0) == 10.0
    assert way(ft.jacfwd(f))(3.0) == way(ft.jacrev(f))(3.0) == 10.0
    assert way(lambda x: ft.jvp(ft.grad(f), (x,), (1.0,))[1])(3.0) == 0.0


def test_bwd_may_decide_by_values_of_what_is_kept() -> None:
    f = ruled(
        lambda x: x * x if x > 0 else -x,
        lambda x: (f(x), x),
        lambda x, ct: (ct * (2.0 * x if x > 0 else -1.0),),
    )
    assert [ft.jvp(f, (x,), (1.0,))[1] for x in (3.0, -3.0)] == [6.0, -1.0]
    assert ft.linearize(f, 3.0)[1](2.0) == 12.0
    assert ft.jvp(lambda x: ft.jvp(f, (x,), (1.0,))[1], (3.0,), (1.0,))[1] == 2.0


def test_inside_of_solvers_and_of_rules() -> None:
    sine = ruled(fnp.sin, kept_all(fnp.sin), lambda r, ct: (ct * fnp.cos(r[0]),))

    def newton(f: Any, y: Any) -> Any:
        return lax.fori_loop(0, 20, lambda i, y: y - f(y) / fnp.cos(y), y)

    def arcsine(a: Any) -> Any:
        return lax.custom_root(lambda y: sine(y) - a, 0.1, newton, lambda g, y: y / g(1.0))

    def quotient(a: Any) -> Any:
        divide = lambda matvec, b: b / matvec(1.0)
        return lax.custom_linear_solve(lambda x: x * sine(a), sine(2.0 * a), divide, symmetric=True)

    twice = ft.custom_jvp(lambda x: 2.0 * sine(x))
    twice.defjvp(lambda p, t: ft.jvp(lambda x: 2.0 * sine(x), p, t))
    for f, plain in (
        (arcsine, fnp.arcsin),
        (quotient, lambda a: fnp.sin(2.0 * a) / fnp.sin(a)),
        (twice, lambda x: 2.0 * fnp.sin(x)),
    ):
        for outer in (ft.grad, ft.jacfwd):
            for inner in (ft.grad, ft.jacfwd):
                np.testing.assert_allclose(
                    outer(inner(f))(0.3), ft.grad(ft.grad(plain))(0.3), rtol=1e-10
                )


def test_effects_of_bwd() -> None:
    """What depends on the residuals happens; cotangents, which there are none of, do not."""
    seen: list[float] = []

    def bwd(x: Any, ct: Any) -> Any:
        ft.debug.callback(lambda x: seen.append(float(x)), x)
        ft.debug.callback(lambda ct: seen.append(float(ct)), ct)
        return (2.0 * x * ct,)

    f = ruled(lambda x: x * x, lambda x: (x * x, x), bwd)
    assert ft.jvp(f, (3.0,), (1.0,))[1] == 6.0 and seen == [3.0]
    assert ft.jit(lambda x: ft.jvp(f, (x,), (1.0,))[1])(4.0) == 8.0 and seen == [3.0, 4.0]
    assert ft.grad(f)(5.0) == 10.0 and seen == [3.0, 4.0, 5.0, 1.0]


# --- rules that are not linear ----


def python_double(ct: Any) -> Any:
    like = ft.ShapeDtypeStruct(ct.shape, ct.dtype)
    return ft.pure_callback(lambda c: 2.0 * c, like, ct, vmap_method="sequential")


NOT_LINEAR: dict[str, tuple[Any, str]] = {
    "clipped": (lambda ct: fnp.clip(ct, -1.0, 1.0), "min is not linear"),
    "squared": (lambda ct: ct**2, "integer_pow is not linear"),
    "normalised": (lambda ct: ct / fnp.sqrt(fnp.sum(ct * ct)), "div is not linear"),
    "chosen": (lambda ct: fnp.where(ct > 0, ct, 0.0), "select is not linear"),
    "branching": (
        lambda ct: lax.cond(fnp.sum(ct) > 0, lambda: ct, lambda: -ct),
        "(cond|select) is not",
    ),
    "compared": (lambda ct: (ct > 0) * 1.0, "convert is not linear"),
    "shifted": (lambda ct: ct + 1.0, "adds a constant"),
    "from a callback": (python_double, "pure_callback is not linear in .*, or cannot be run"),
}


@pytest.mark.parametrize("name", list(NOT_LINEAR))
def test_rules_that_are_not_linear_serve_reverse_mode_only(name: str) -> None:
    change, reason = NOT_LINEAR[name]

    def my_bwd(x: Any, ct: Any) -> Any:
        return (change(ct),)

    def my_function(x: Any) -> Any:
        return x * 1.0

    f = ruled(my_function, lambda x: (x, x), my_bwd)
    weights = np.array([0.5, 3.0, -2.0])
    for way in (lambda g: g, ft.jit):
        gradient = way(ft.grad(lambda x: fnp.sum(f(x) * weights)))(xs)
        np.testing.assert_allclose(gradient, change(weights))
        once = lambda x: lax.scan(lambda c, _: (f(c), None), x, None, 1)[0]
        gradient = way(ft.grad(lambda x: fnp.sum(once(x) * weights)))(xs)
        np.testing.assert_allclose(gradient, change(weights))
        (pulled,) = ft.linear_transpose(way(ft.linearize(f, xs)[1]), xs)(weights)
        np.testing.assert_allclose(pulled, change(weights))
    for forward in (
        lambda: ft.jvp(f, (xs,), (xs,)),
        lambda: ft.jacfwd(f)(xs),
        lambda: ft.linearize(f, xs)[1](xs),
        lambda: ft.jvp(ft.jit(f), (xs,), (xs,)),
    ):
        with pytest.raises(
            TransformError, match=f"forward-mode.*my_function.*my_bwd.*{reason}"
        ) as error:
            forward()
        assert "custom_jvp" in str(error.value)


def test_only_what_is_asked_for_must_be_linear() -> None:
    f = ruled(product, kept_all(product), lambda r, ct: (2.0 * r[0] * r[1] * ct, ct * ct))
    assert ft.jvp(lambda x: f(x, 3.0), (2.0,), (1.0,))[1] == 12.0
    with pytest.raises(TransformError, match="mul is not linear"):
        ft.jvp(f, (2.0, 3.0), (1.0, 1.0))
