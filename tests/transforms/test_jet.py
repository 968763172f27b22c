"""Taylor mode gives the derivatives that nested forward mode gives, and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import TransformError, TreeError
from functrans.core.types import dtype_of
from functrans.scipy import special
from tests.primitives.cases import CASES


def nested(f: Callable[[Any], Any], order: int) -> Callable[[Any], Any]:
    """The derivative of a function of a number by jvp of jvp of …"""
    for _ in range(order):
        f = (lambda g: lambda x: ft.jvp(g, (x,), (1.0,))[1])(f)
    return f


# --- closed forms ----

CLOSED: dict[str, tuple[Callable[[Any], Any], Callable[[int, float], float]]] = {
    "exp": (fnp.exp, lambda n, x: math.exp(x)),
    "sin": (fnp.sin, lambda n, x: math.sin(x + n * math.pi / 2)),
    "cos": (fnp.cos, lambda n, x: math.cos(x + n * math.pi / 2)),
    "1 / (1 - x)": (lambda x: 1.0 / (1.0 - x), lambda n, x: math.factorial(n) / (1 - x) ** (n + 1)),
    "log": (fnp.log, lambda n, x: (-1) ** (n - 1) * math.factorial(n - 1) / x**n),
    "x ** 4": (lambda x: x**4, lambda n, x: math.perm(4, n) * x ** (4 - n) if n <= 4 else 0.0),
    "x ** -2": (lambda x: x**-2, lambda n, x: (-1) ** n * math.factorial(n + 1) / x ** (n + 2)),
    "x ** 2.5": (
        lambda x: x**2.5,
        lambda n, x: math.prod(2.5 - i for i in range(n)) * x ** (2.5 - n),
    ),
    "x exp(x)": (lambda x: x * fnp.exp(x), lambda n, x: (x + n) * math.exp(x)),
    "sinh": (fnp.sinh, lambda n, x: math.sinh(x) if n % 2 == 0 else math.cosh(x)),
}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_ten_derivatives(name: str, wrap: Any) -> None:
    f, truth = CLOSED[name]
    x = 0.7
    value, derivatives = wrap(lambda x: ft.jet(f, (x,), ([1.0] + [0.0] * 9,)))(x)
    np.testing.assert_allclose(value, f(x), rtol=1e-15)
    for n, got in enumerate(derivatives, 1):
        np.testing.assert_allclose(got, truth(n, x), rtol=1e-13 * 2**n)
        np.testing.assert_allclose(ft.derivative(f, n)(x), truth(n, x), rtol=1e-13 * 2**n)


COMPOSED: dict[str, Callable[[Any], Any]] = {
    "tanh": lambda x: fnp.tanh(2.0 * x),
    "x ** x": lambda x: x**x,
    "erf": lambda x: special.erf(x) * x,
    "gamma": lambda x: special.gammaln(x + 1.5) + special.digamma(x + 1.0),
    "arcs": lambda x: fnp.arctan(x) * fnp.arcsin(x) + fnp.arccosh(x + 1.5),
    "quotients": lambda x: fnp.sin(fnp.exp(x)) / (1 + x * x) + fnp.sqrt(x) / fnp.log1p(x),
    "sigmoid": lambda x: special.expit(x) * ft.nn.softplus(x),
    "logsumexp": lambda x: special.logsumexp(fnp.stack([x, 2.0 * x, x * x])),
    "complex": lambda x: fnp.abs(fnp.exp(1j * x) * (x + 2j)) ** 2,
}


@pytest.mark.parametrize("name", COMPOSED)
def test_against_nested_forward_mode(name: str) -> None:
    f = COMPOSED[name]
    for n in range(1, 6):
        np.testing.assert_allclose(
            ft.derivative(f, n)(0.37), nested(f, n)(0.37), rtol=1e-9, atol=1e-12
        )


# --- every primitive ----


def floats(x: Any) -> bool:
    return dtype_of(x).kind in "fc"


SMOOTH = [c for c in CASES if c.smooth and c.order >= 2 and any(map(floats, c.operands))]


@pytest.mark.parametrize("case", SMOOTH, ids=lambda c: c.name)
def test_every_primitive_to_order_three(case: Any) -> None:
    """Along a curved path x + t v + t² w."""
    moving = [i for i, x in enumerate(case.operands) if floats(x)]
    xs = [case.operands[i] for i in moving]
    rng = np.random.default_rng(0)

    def direction(x: Any) -> Any:
        v = rng.normal(size=np.shape(x)) * 0.1
        v = v + 0.1j * rng.normal(size=np.shape(x)) if dtype_of(x).kind == "c" else v
        return np.asarray(v).astype(x.dtype)[()]

    vs, ws = [direction(x) for x in xs], [direction(x) for x in xs]

    def f(*args: Any) -> Any:
        operands = list(case.operands)
        for i, x in zip(moving, args, strict=True):
            operands[i] = x
        return [y for y in ft.tree.leaves(case(*operands)) if floats(y)]

    single = any(x.dtype.itemsize // (2 if x.dtype.kind == "c" else 1) == 4 for x in xs)

    def along(t: Any) -> Any:
        return f(*[x + t.astype(x.dtype) * (v + t.astype(x.dtype) * w)
                   for x, v, w in zip(xs, vs, ws, strict=True)])  # fmt: skip

    zeros = [np.zeros_like(x) for x in xs]
    series = [[v, 2 * w, z] for v, w, z in zip(vs, ws, zeros, strict=True)]
    _, derivatives = ft.jet(f, tuple(xs), [list(s) for s in series])
    t = np.asarray(0.0, np.float32 if single else np.float64)
    want = along
    tol = 2e-3 if single else 1e-8
    for got in derivatives:
        want = (lambda g: lambda t: ft.jvp(g, (t,), (np.ones_like(t),))[1])(want)
        for a, b in zip(got, want(fnp.asarray(t)), strict=True):
            np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


# --- control flow ----

MATRIX = np.array([[0.3, 0.2], [0.1, -0.5]])


def scan(x: Any) -> Any:
    def step(c: Any, w: Any) -> Any:
        return {"a": fnp.sin(c["a"] * x) + w, "k": c["k"] + 1}, c["a"] * w

    start = {"a": fnp.stack([x, 2 * x]), "k": 0}
    c, ys = lax.scan(step, start, np.array([0.1, 0.2, 0.3]))
    return fnp.sum(MATRIX @ c["a"]) + fnp.sum(ys)


def late_scan(x: Any) -> Any:
    step = lambda c, _: ((c[0] + x, c[0] * c[0], 2.0 * c[1]), c[2])
    return fnp.sum(lax.scan(step, (0.1, 0.2, 0.3), None, 4)[1])


def while_loop(x: Any) -> Any:
    step = lambda c: (c[0] + 1, fnp.exp(-c[1]) * x)
    return lax.while_loop(lambda c: c[0] < 4, step, (0, x))[1]


def cond(x: Any) -> Any:
    return lax.cond(x > 0.2, lambda: fnp.sin(x) * x, lambda: 1.0 * x) * lax.cond(
        x > 0.5, lambda x: 3.0, lambda x: x, x
    )


def linear_algebra(x: Any) -> Any:
    a = fnp.eye(2) * 2.0 + x * (MATRIX @ MATRIX.T)
    y = fnp.linalg.solve(a, fnp.stack([x, x * x]))
    return (
        fnp.sum(y) + fnp.linalg.det(a) + fnp.sum(fnp.linalg.cholesky(a)) + fnp.linalg.inv(a)[0, 1]
    )


def pieces(x: Any) -> Any:
    row = fnp.stack([x, x * x, 1.0 - x])
    return fnp.max(row) + abs(x - 1.0) + fnp.sort(row)[1] * fnp.prod(row) + fnp.cumprod(row)[1]


def root(x: Any) -> Any:
    newton = lambda f, y: lax.while_loop(
        lambda y: abs(f(y)) > 1e-13, lambda y: y - f(y) / (3 * y**2 + 1), y
    )
    return lax.custom_root(lambda y: y**3 + y - x, 0.1, newton, lambda g, b: b / g(1.0))


def nested_loops(x: Any) -> Any:
    inner = lambda i, v: lax.cond(i > 1, lambda v: v * x, fnp.sin, v)
    return lax.fori_loop(0, 3, lambda i, v: lax.fori_loop(0, 3, inner, v) + x, x)


def called(x: Any) -> Any:
    return ft.jit(lambda x: fnp.sin(x) * x)(x) + ft.checkpoint(lambda x: fnp.exp(x) * x)(x)


def derivatives_inside(x: Any) -> Any:
    return ft.grad(lambda y: fnp.sin(y * y))(x) + ft.grad(while_loop)(x)


CONTROL = [scan, late_scan, while_loop, cond, linear_algebra, pieces, root, nested_loops, called,
           derivatives_inside]  # fmt: skip


@pytest.mark.parametrize("f", CONTROL, ids=lambda f: f.__name__)
@pytest.mark.parametrize("wrap", [lambda f: f, ft.jit], ids=["eager", "jit"])
def test_control_flow_and_solvers(f: Any, wrap: Any) -> None:
    for n in range(1, 5):
        got, want = wrap(ft.derivative(f, n))(0.37), nested(f, n)(0.37)
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)


# --- rules, transforms, trees ----


def test_custom_rules() -> None:
    @ft.custom_jvp
    def f(x: Any) -> Any:
        return fnp.exp(x)

    f.defjvp(lambda p, t: (f(p[0]), 2.0 * t[0] * f(p[0])))  # not what f computes
    np.testing.assert_allclose(ft.derivative(f, 12)(0.3), 2.0**12 * np.exp(0.3), rtol=1e-12)

    @ft.custom_vjp
    def g(x: Any) -> Any:
        return fnp.exp(x)

    g.defvjp(lambda x: (g(x), g(x)), lambda y, ct: (2.0 * y * ct,))  # not what g computes either
    np.testing.assert_allclose(ft.derivative(g, 12)(0.3), 2.0**12 * np.exp(0.3), rtol=1e-12)


def test_under_transforms() -> None:
    x = np.array([0.2, 0.5])
    second = ft.derivative(while_loop, 2)
    rows = [nested(while_loop, 3)(float(v)) for v in x]
    np.testing.assert_allclose(ft.vmap(ft.grad(second))(x), rows, rtol=1e-10)
    np.testing.assert_allclose(ft.jit(ft.vmap(ft.derivative(second)))(x), rows, rtol=1e-10)
    assert ft.derivative(lambda x: ft.derivative(fnp.sin, 2)(x) * x)(0.3) == pytest.approx(
        -np.sin(0.3) - 0.3 * np.cos(0.3)
    )


def test_trees_and_zero_series() -> None:
    def f(params: Any, x: Any, n: Any) -> Any:
        return {"y": params["w"] * x**2 + n, "n": n + 1}

    args = {"w": np.array([1.0, 2.0])}, 3.0, 4
    terms = [{"w": np.array([1.0, 0.0])}, {"w": None}]
    value, (first, second) = ft.jet(f, args, (terms, [1.0, None], [None, None]))
    np.testing.assert_allclose(value["y"], [13.0, 22.0])
    np.testing.assert_allclose(first["y"], [9.0 + 6.0, 12.0])
    np.testing.assert_allclose(second["y"], [2 * 6.0 + 2.0, 4.0])
    assert first["n"].dtype == ft.float0
    assert ft.jet(f, args, ([None], [None], [None]))[1][0]["y"].tolist() == [0.0, 0.0]


def test_other_arguments_and_results() -> None:
    f = lambda a, x, *, s: {"p": a * x**3 * s, "q": (x, a)}
    got = ft.derivative(f, 2, argnum=1)(np.array([1.0, 2.0]), 2.0, s=3.0)
    np.testing.assert_allclose(got["p"], [36.0, 72.0])
    assert got["q"][0] == 0.0
    assert ft.derivative(lambda x: x**2, 0)(3.0) == 9.0
    assert ft.derivative(lambda x: x**2, 1, argnum=-1)(3.0) == 6.0


def test_the_work_grows_as_the_square_of_the_order() -> None:
    def f(x: Any) -> Any:
        return fnp.sin(fnp.exp(x) * fnp.tanh(x))

    counts = [
        len(ft.make_program(lambda x, n=n: ft.jet(f, (x,), ([1.0] * n,)))(0.3).equations)
        for n in (4, 8, 16)
    ]
    assert counts[1] < 4.5 * counts[0]
    assert counts[2] < 4.5 * counts[1]


ERRORS: dict[str, tuple[type, str, Callable[[], Any]]] = {
    "lengths": (
        TransformError,
        "same number of derivatives.*1 for argument 0, 2 for argument 1",
        lambda: ft.jet(fnp.add, (1.0, 2.0), ([1.0], [1.0, 0.0])),
    ),
    "none": (TransformError, "1 or more", lambda: ft.jet(fnp.sin, (1.0,), ([],))),
    "arguments": (TransformError, "1 primals but series for 2", lambda: ft.jet(
        fnp.sin, (1.0,), ([1.0], [1.0]))),
    "no list": (TransformError, "argument 0 must be the list", lambda: ft.jet(
        fnp.sin, (1.0,), (1.0,))),
    "shape": (TransformError, r"argument\[0\] must have shape \(2,\)", lambda: ft.jet(
        fnp.sin, (np.ones(2),), ([np.ones(3)],))),
    "tree": (TreeError, "structure", lambda: ft.jet(
        lambda d: d["a"], ({"a": 1.0},), ([{"b": 1.0}],))),
    "order": (TransformError, "order must be an int", lambda: ft.derivative(fnp.sin, -1)),
    "array": (TransformError, r"scalar float, but argument 0 .* is f64\[2\].*vmap", lambda: (
        ft.derivative(fnp.sin)(np.ones(2)))),
    "integer": (TransformError, "scalar float", lambda: ft.derivative(fnp.sin)(1)),
    "argnum": (TransformError, "argnum=3", lambda: ft.derivative(fnp.sin, 1, 3)(1.0)),
    "callback": (TransformError, "pure_callback", lambda: ft.derivative(lambda x: ft.pure_callback(
        np.sin, ft.ShapeDtypeStruct((), np.float64), x))(1.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str) -> None:
    kind, message, call = ERRORS[name]
    with pytest.raises(kind, match=message):
        call()
