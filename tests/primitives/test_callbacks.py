"""Callbacks are called once for each time that the program comes by, in its order, under every
transform; what they raise, or return of a wrong type, reaches the user as it is."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.trace import trace_depth

xs = np.array([0.5, 1.5, -2.0])
SCALAR = ft.ShapeDtypeStruct((), np.float64)


def by_print(log: list[Any], x: Any) -> Any:
    ft.debug.callback(lambda v: log.append(float(v)), x, ordered=True)
    return x * 2.0


def by_io(log: list[Any], x: Any) -> Any:
    def host(v: np.ndarray) -> Any:
        log.append(float(v))
        return np.float64(v) * 2.0

    # the result has no derivative, so that of the plain product is put in its place
    doubled = ft.io_callback(host, SCALAR, ft.stop_gradient(x))
    return x * 2.0 + (doubled - ft.stop_gradient(x * 2.0))


def scan(f: Any) -> Any:
    return lambda x: lax.scan(lambda c, _: (f(c) * x, None), x, None, length=2)[0]


def where_positive(f: Any) -> Any:
    return lambda x: lax.cond(x > 0, f, lambda x: x, x)


def to_ten(f: Any) -> Any:
    return lambda x: lax.while_loop(lambda c: abs(c) < 10, f, 4.0 * x)


def custom_jvp(f: Any) -> Any:
    g = ft.custom_jvp(f)
    g.defjvp(lambda p, t: (g(*p), 2.0 * t[0]))
    return g


def custom_vjp(f: Any) -> Any:
    g = ft.custom_vjp(f)
    g.defvjp(lambda x: (g(x), None), lambda _, ct: (2.0 * ct,))
    return g


CASES: dict[str, tuple[Callable[[Any], Any], list[float]]] = {
    "value": (lambda f: f(3.0), [3]),
    "jit": (lambda f: ft.jit(f)(3.0), [3]),
    "scan": (lambda f: scan(f)(3.0), [3, 18]),
    "jit of scan": (lambda f: ft.jit(scan(f))(3.0), [3, 18]),
    "while": (lambda f: lax.while_loop(lambda c: c < 10, f, 1.0), [1, 2, 4, 8]),
    "jit of while": (
        lambda f: ft.jit(lambda x: lax.while_loop(lambda c: c < 10, f, x))(1.0),
        [1, 2, 4, 8],
    ),
    "cond taken": (lambda f: ft.jit(lambda x: lax.cond(x > 0, f, lambda x: x, x))(1.0), [1]),
    "cond not taken": (lambda f: ft.jit(lambda x: lax.cond(x > 0, f, lambda x: x, x))(-1.0), []),
    "vmap": (lambda f: ft.vmap(f)(xs), list(xs)),
    "jit of vmap": (lambda f: ft.jit(ft.vmap(f))(xs), list(xs)),
    "vmap of vmap": (lambda f: ft.vmap(ft.vmap(f))(np.arange(4.0).reshape(2, 2)), [0, 2, 1, 3]),
    "vmap, not mapped": (lambda f: ft.vmap(lambda x: x + f(1.0))(xs), [1]),
    "vmap of scan": (
        lambda f: ft.vmap(lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=2)[0])(xs),
        [0.5, 1.5, -2, 1, 3, -4],
    ),
    "vmap of cond": (lambda f: ft.vmap(where_positive(f))(xs), [0.5, 1.5]),
    "vmap of vmap of cond": (
        lambda f: ft.vmap(ft.vmap(where_positive(f)))(xs[:, None]),
        [0.5, 1.5],
    ),
    "jit of vmap of cond": (lambda f: ft.jit(ft.vmap(where_positive(f)))(xs), [0.5, 1.5]),
    "vmap of grad of cond": (lambda f: ft.vmap(ft.grad(where_positive(f)))(xs), [0.5, 1.5]),
    "jit of grad of vmap of cond": (
        lambda f: ft.jit(ft.grad(lambda x: fnp.sum(ft.vmap(where_positive(f))(x))))(xs),
        [0.5, 1.5],
    ),
    "vmap of switch": (
        lambda f: ft.vmap(lambda i, x: lax.switch(i, [fnp.sin, f, fnp.cos], x))(np.arange(3), xs),
        [1.5],
    ),
    "vmap of while": (lambda f: ft.vmap(to_ten(f))(xs), [2, 4, 8, 6, -8]),
    "jit of vmap of while": (lambda f: ft.jit(ft.vmap(to_ten(f)))(xs), [2, 4, 8, 6, -8]),
    "grad": (lambda f: ft.grad(lambda x: f(x) ** 2)(3.0), [3]),
    "jit of grad": (lambda f: ft.jit(ft.grad(lambda x: f(x) ** 2))(3.0), [3]),
    "vmap of grad": (lambda f: ft.vmap(ft.grad(lambda x: f(x) ** 2))(xs), list(xs)),
    "grad of jit": (lambda f: ft.grad(ft.jit(f))(3.0), [3]),
    "grad of scan": (lambda f: ft.grad(scan(f))(3.0), [3, 18]),
    "jit of grad of scan": (lambda f: ft.jit(ft.grad(scan(f)))(3.0), [3, 18]),
    "jvp": (lambda f: ft.jvp(lambda x: f(x) ** 2, (3.0,), (1.0,)), [3]),
    "jvp of scan": (lambda f: ft.jvp(scan(f), (3.0,), (1.0,)), [3, 18]),
    "linearize of cond": (
        lambda f: ft.linearize(lambda x: lax.cond(x > 0, f, lambda x: x, x), 3.0)[1](1.0),
        [3],
    ),
    "hessian": (lambda f: ft.hessian(lambda x: f(x) ** 2)(3.0), [3]),
    "hessian of scan": (lambda f: ft.hessian(scan(f))(3.0), [3, 18]),
    "grad of grad of grad": (lambda f: ft.grad(ft.grad(ft.grad(lambda x: f(x) ** 3)))(3.0), [3]),
    "custom_jvp": (lambda f: ft.grad(custom_jvp(f))(3.0), [3]),
    "jvp of custom_jvp": (lambda f: ft.jvp(custom_jvp(f), (3.0,), (1.0,)), [3]),
    "jit of grad of custom_jvp": (lambda f: ft.jit(ft.grad(custom_jvp(f)))(3.0), [3]),
    "custom_jvp without derivative": (
        lambda f: ft.grad(lambda x: x * custom_jvp(f)(2.0))(3.0),
        [2],
    ),
    "custom_vjp": (lambda f: ft.grad(custom_vjp(f))(3.0), [3]),
    "jit of grad of custom_vjp": (lambda f: ft.jit(ft.grad(custom_vjp(f)))(3.0), [3]),
    "custom_vjp in scan": (lambda f: ft.grad(scan(custom_vjp(f)))(3.0), [3, 18]),
    "checkpoint": (lambda f: ft.grad(ft.checkpoint(f))(3.0), [3]),
    "jit of grad of checkpoint": (lambda f: ft.jit(ft.grad(ft.checkpoint(f)))(3.0), [3]),
    "vmap of grad of checkpoint": (lambda f: ft.vmap(ft.grad(ft.checkpoint(f)))(xs), list(xs)),
    "jit of hessian of checkpoint": (lambda f: ft.jit(ft.hessian(ft.checkpoint(f)))(3.0), [3]),
    "checkpoint in scan": (lambda f: ft.jit(ft.grad(scan(ft.checkpoint(f))))(3.0), [3, 18]),
    "checkpoint of scan": (lambda f: ft.jit(ft.grad(ft.checkpoint(scan(f))))(3.0), [3, 18]),
    "grad inside of jvp": (
        lambda f: ft.jvp(lambda x: x * ft.grad(lambda y: f(y) * x)(2.0), (3.0,), (1.0,)),
        [2],
    ),
}
kinds = pytest.mark.parametrize("call", [by_print, by_io])


@kinds
@pytest.mark.parametrize("case", CASES)
def test_once_each_and_in_order(case: str, call: Any) -> None:
    run, want = CASES[case]
    log: list[float] = []
    got = run(lambda x: call(log, x))
    assert log == want
    plain = run(lambda x: x * 2.0)
    for a, b in zip(ft.tree.leaves(got), ft.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b)


def test_effects_of_a_derivative_stay_in_order() -> None:
    log: list[Any] = []

    def f(x: Any) -> Any:
        note = lambda name: ft.debug.callback(lambda v: log.append((name, float(v))), x)
        note("before")
        y = scan(lambda c: by_print(log, c))(x)
        note("after")
        return y

    for run in (ft.grad(f), ft.jit(ft.grad(f)), lambda x: ft.jvp(f, (x,), (1.0,))):
        log.clear()
        run(3.0)
        assert log == [("before", 3.0), 3.0, 18.0, ("after", 3.0)]


@pytest.mark.parametrize("jit", [False, True])
def test_effects_of_a_loop_that_keeps_carries_happen_once_in_second_derivatives(jit: bool) -> None:
    log: list[float] = []

    def f(x: Any) -> Any:
        step = lambda c, _: (fnp.sin(by_print(log, c)), None)
        return lax.scan(step, x, length=5, checkpoint=2)[0]

    second = lambda x: ft.jvp(ft.grad(f), (x,), (1.0,))
    (ft.jit(second) if jit else second)(0.3)
    assert len(log) == 5


def test_an_effect_before_an_error_of_the_function_has_happened() -> None:
    log: list[float] = []

    def f(x: Any) -> Any:
        by_print(log, x)
        raise KeyError("later")

    with pytest.raises(KeyError, match="later"):
        ft.grad(f)(3.0)
    assert log == [3.0]


def test_results_of_io_callback_in_a_loop_under_an_eager_derivative() -> None:
    count = iter(range(100))
    draw = lambda: ft.io_callback(lambda: np.float64(next(count)), SCALAR)
    f = lambda x: lax.scan(lambda c, _: (c * x + draw(), None), 1.0, None, length=3)[0]
    assert ft.value_and_grad(f)(2.0) == (8.0 + 2.0 * 1 + 2.0, 12.0 + 1.0)  # draws 0, 1, 2
    assert next(count) == 3
    log: list[float] = []

    def shown(x: Any) -> Any:
        y = f(x)
        ft.debug.callback(lambda v: log.append(float(v)), y)
        return y

    count = iter(range(100))
    assert ft.grad(shown)(2.0) == 13.0 and log == [12.0]


def test_io_callback_keeps_state_runs_unused_and_is_not_merged() -> None:
    state: list[float] = []
    push = lambda x: ft.io_callback(lambda v: state.append(float(v)), None, x)

    @ft.jit
    def f(x: Any) -> Any:
        assert push(x) is None
        ft.io_callback(lambda v: (state.append(10.0 * v), np.float64(0))[1], SCALAR, x)
        push(x)
        return x

    assert f(1.0) == 1.0 and f(2.0) == 2.0
    assert state == [1, 10, 1, 2, 20, 2]
    out = ft.vmap(
        lambda x, y: ft.io_callback(lambda a, b: np.float64(a + b), SCALAR, x, y), (0, None)
    )
    np.testing.assert_array_equal(out(xs, 1.0), xs + 1)


# --- errors ---


def my_own_function(x: Any) -> Any:
    raise KeyError("mine")


WRAPPED = {
    "eager": lambda f: f(2.0),
    "jit": lambda f: ft.jit(f)(2.0),
    "vmap": lambda f: ft.vmap(f)(xs),
    "scan": lambda f: lax.scan(lambda c, _: (f(c), None), 2.0, None, length=2),
    "jit of scan": lambda f: ft.jit(lambda x: lax.scan(lambda c, _: (f(c), None), x, xs)[0])(2.0),
    "jit of while": lambda f: ft.jit(lambda x: lax.while_loop(lambda c: c < 9, f, x))(2.0),
    "jit of cond": lambda f: ft.jit(lambda x: lax.cond(x > 0, f, lambda x: x, x))(2.0),
    "jit of long scan": lambda f: ft.jit(
        lambda x: lax.scan(lambda c, _: (f(c), None), x, None, length=100_000)[0]
    )(2.0),
}


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("kind", ["pure", "io", "debug"])
def test_exceptions_come_with_their_own_traceback(kind: str, wrap: str) -> None:
    def f(x: Any) -> Any:
        if kind == "pure":
            return ft.pure_callback(my_own_function, SCALAR, x, vmap_method="sequential")
        if kind == "io":
            return ft.io_callback(my_own_function, SCALAR, x)
        ft.debug.callback(my_own_function, x)
        return x

    with pytest.raises(KeyError, match="mine") as error:
        WRAPPED[wrap](f)
    frame = traceback.extract_tb(error.value.__traceback__)[-1]
    assert frame.name == "my_own_function" and frame.filename == __file__
    assert trace_depth() == 0


@pytest.mark.parametrize("callback", [ft.pure_callback, ft.io_callback])
@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize(
    ("announced", "result", "error", "message"),
    [
        (SCALAR, np.zeros(2), ShapeError, r"f64\[\], got shape \(2,\)"),
        (SCALAR, np.float32(1), DTypeError, r"f64\[\], got dtype float32"),
        (SCALAR, (1.0, 2.0), TreeError, "expected a leaf, got a tuple"),
        ({"a": SCALAR}, {"b": 1.0}, TreeError, r"keys \['a'\], got keys \['b'\]"),
        ({"a": (SCALAR,)}, {"a": (np.zeros(1),)}, ShapeError, r"at result\['a'\]\[0\]"),
    ],
)
def test_wrong_results_are_named(
    announced: Any, result: Any, error: Any, message: str, jitted: bool, callback: Any
) -> None:
    def my_host(x: Any) -> Any:
        return result

    f = lambda x: callback(my_host, announced, x)
    with pytest.raises(error, match=message) as caught:
        (ft.jit(f) if jitted else f)(1.0)
    assert "my_host" in str(caught.value)


@pytest.mark.parametrize("callback", [ft.pure_callback, ft.io_callback])
def test_no_derivative(callback: Any) -> None:
    with pytest.raises(TransformError, match=r"_callback has no derivative.*custom_jvp"):
        ft.grad(lambda x: callback(np.sin, SCALAR, x))(1.0)
    assert ft.grad(lambda x: x * callback(np.sin, SCALAR, ft.stop_gradient(x)))(1.0) == np.sin(1.0)
    assert ft.grad(lambda x: x * callback(lambda i: np.float64(i), SCALAR, 3))(1.0) == 3.0


@pytest.mark.parametrize("method", ["sequential", "sequential_unrolled", "expand_dims"])
def test_pure_callback_in_loops_under_vmap(method: str) -> None:
    sine = lambda x: ft.pure_callback(np.sin, SCALAR, x, vmap_method=method)
    nested = lambda f: lambda x: lax.fori_loop(0, 3, lambda i, c: f(c) + x, x)
    want = ft.vmap(nested(fnp.sin))(xs)
    np.testing.assert_allclose(ft.vmap(nested(sine))(xs), want)
    np.testing.assert_allclose(ft.jit(ft.vmap(nested(sine)))(xs), want)
    chosen = lambda f: lambda x: lax.cond(x > 0, f, lambda x: -x, x)
    np.testing.assert_allclose(ft.jit(ft.vmap(chosen(sine)))(xs), ft.vmap(chosen(fnp.sin))(xs))


# --- one by one ---


@pytest.mark.parametrize(
    "method", ["sequential", "sequential_unrolled", "expand_dims", "broadcast_all"]
)
def test_pure_callback(method: str) -> None:
    shapes: list[tuple] = []

    def host(x: np.ndarray, y: np.ndarray) -> Any:
        assert type(x) is np.ndarray
        shapes.append((x.shape, y.shape))
        return {"s": x * y, "n": np.sum(x)} if x.ndim == 0 else {"s": x * y, "n": x + 0.0}

    def f(x: Any, y: Any) -> Any:
        like = ft.ShapeDtypeStruct((), np.float64)
        return ft.pure_callback(host, {"s": like, "n": like}, x, y, vmap_method=method)

    assert f(2.0, 3.0)["s"] == 6.0 and ft.jit(f)(2.0, 3.0)["s"] == 6.0
    shapes.clear()
    out = ft.vmap(f, (0, None))(xs, 2.0)
    np.testing.assert_array_equal(out["s"], 2 * xs)
    np.testing.assert_array_equal(out["n"], xs)
    want = {
        "sequential": [((), ())] * 3,
        "sequential_unrolled": [((), ())] * 3,
        "expand_dims": [((3,), (1,))],
        "broadcast_all": [((3,), (3,))],
    }
    assert shapes == want[method]


def test_pure_callback_has_a_derivative_only_if_it_is_given_one() -> None:
    like = ft.ShapeDtypeStruct((), np.float64)

    def host_sin(x: Any) -> Any:
        return ft.pure_callback(np.sin, like, x, vmap_method="broadcast_all")

    with pytest.raises(TransformError, match=r"pure_callback has no derivative.*custom_jvp"):
        ft.grad(host_sin)(1.0)
    f = ft.custom_jvp(host_sin)
    f.defjvp(lambda p, t: (f(p[0]), t[0] * ft.pure_callback(np.cos, like, p[0])))
    assert np.isclose(ft.grad(f)(1.0), np.cos(1.0))
    with pytest.raises(TransformError, match="vmap_method"):
        ft.vmap(lambda x: ft.pure_callback(np.cos, like, x))(xs)


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (lambda x: np.zeros(2), ShapeError),
        (lambda x: np.float32(1), DTypeError),
        (lambda x: (1.0, 2.0), TreeError),
    ],
)
def test_pure_callback_checks_what_it_gets(result: Any, kind: Any) -> None:
    with pytest.raises(kind, match="announce"):
        ft.pure_callback(result, ft.ShapeDtypeStruct((), np.float64), 1.0)


def test_pure_callback_cannot_write_into_the_callers_array() -> None:
    def rude(x: np.ndarray) -> np.ndarray:
        x += 1
        return x

    own = xs.copy()
    out = ft.pure_callback(rude, ft.ShapeDtypeStruct((3,), np.float64), own)
    np.testing.assert_array_equal(own, xs)
    np.testing.assert_array_equal(out, xs + 1)


def test_debug_sees_every_run_and_every_example(capsys: Any) -> None:
    def f(x: Any) -> Any:
        ft.debug.print("x={}", x)
        return x * x

    assert ft.grad(f)(2.0) == 4.0
    assert capsys.readouterr().out == "x=2.0\n"
    ft.vmap(f)(np.array([1.0, 2.0]))
    assert capsys.readouterr().out == "x=1.0\nx=2.0\n"
    program = ft.make_program(lambda: lax.scan(lambda c, _: (f(c), None), 2.0, None, length=2)[0])()
    assert capsys.readouterr().out == ""
    from functrans.core.interpret import evaluate

    evaluate(program, [])
    assert capsys.readouterr().out == "x=2.0\nx=4.0\n"
    seen: list[Any] = []
    ft.debug.callback(lambda x, k: seen.append((x, k)), 1.5, k=2)
    assert seen == [(1.5, 2)]
