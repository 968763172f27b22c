"""Tracing: leaks are found, exceptions leave nothing behind, errors name line and way out."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import (
    ConcretizationError,
    DTypeError,
    LeakedTracerError,
    ShapeError,
    TransformError,
)
from functrans.core.trace import trace_depth

X = np.array([0.5, -1.0, 2.0])

TRANSFORMS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "jit": lambda f: ft.jit(f)(X),
    "vmap": lambda f: ft.vmap(f)(np.stack([X, X])),
    "grad": lambda f: ft.grad(f)(X),
    "jvp": lambda f: ft.jvp(f, (X,), (X,)),
    "vjp": lambda f: ft.vjp(f, X),
    "linearize": lambda f: ft.linearize(f, X),
    "jacfwd": lambda f: ft.jacfwd(f)(X),
    "jacrev": lambda f: ft.jacrev(f)(X),
    "make_program": lambda f: ft.make_program(f)(X),
    "eval_shape": lambda f: ft.eval_shape(f, X),
    "linear_transpose": lambda f: ft.linear_transpose(f, X),
    "scan": lambda f: lax.scan(lambda c, _: (f(c), None), X, None, length=2),
    "cond": lambda f: ft.jit(lambda x: lax.cond(x[0] > 0, f, f, x))(X),
    "checkpoint": lambda f: ft.grad(ft.checkpoint(f))(X),
    "grad of jit": lambda f: ft.grad(ft.jit(f))(X),
    "jit of vmap of grad": lambda f: ft.jit(ft.vmap(ft.grad(f)))(np.stack([X, X])),
}
every_transform = pytest.mark.parametrize("name", list(TRANSFORMS))


class BoomError(Exception):
    pass


def works() -> bool:
    """Whether tracing is as it was before anything happened."""
    assert trace_depth() == 0
    np.testing.assert_allclose(ft.jit(ft.grad(lambda x: fnp.sum(x**2)))(X), 2 * X)
    return True


@every_transform
def test_an_exception_while_tracing_leaves_nothing_behind(name: str) -> None:
    def raises(x: Any) -> Any:
        fnp.sin(x)
        raise BoomError

    with pytest.raises(BoomError):
        TRANSFORMS[name](raises)
    assert works()


@every_transform
def test_a_shape_error_names_the_line_and_leaves_nothing_behind(name: str) -> None:
    def mismatch(x: Any) -> Any:
        return fnp.sum(x + fnp.ones(5))  # the line at fault

    with pytest.raises(ShapeError, match="the line at fault"):
        TRANSFORMS[name](mismatch)
    assert works()


def test_an_exception_deep_in_nested_transforms() -> None:
    def raises(x: Any) -> Any:
        raise BoomError

    @ft.jit
    def middle(x: Any) -> Any:
        try:
            return ft.grad(lambda v: ft.vmap(raises)(v).sum())(x)
        except BoomError:
            assert trace_depth() == 1
            return x * 2

    np.testing.assert_array_equal(middle(X), 2 * X)
    assert works()


def test_threads_trace_on_their_own() -> None:
    """Every thread has its own stack: exceptions and open traces of one do not reach another."""
    barrier = threading.Barrier(4)
    wrong: list[Any] = []

    def run(number: int) -> None:
        def f(x: Any) -> Any:
            barrier.wait(10)  # all four are inside a trace now
            if number % 2:
                raise BoomError
            return fnp.sum(x * number)

        try:
            got = ft.grad(f)(X)
            if not np.array_equal(got, np.full(3, float(number))):
                wrong.append(got)
        except BoomError:
            pass
        if trace_depth() or not works():
            wrong.append(number)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- leaks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["jit", "vmap", "grad", "jvp", "vjp", "jacrev", "scan"])
@pytest.mark.parametrize(
    "use",
    [
        lambda x: x + 1,
        lambda x: fnp.sin(x),
        lambda x: bool(x[0] > 0),
        lambda x: np.asarray(x),
        lambda x: ft.jit(lambda y: y + x)(1.0),
        lambda x: ft.grad(lambda y: (y * x).sum())(1.0),
    ],
    ids=["+", "sin", "bool", "asarray", "closed over by jit", "closed over by grad"],
)
def test_a_leaked_tracer_is_found(name: str, use: Callable[[Any], Any]) -> None:
    leaked: list[Any] = []

    def leaks(x: Any) -> Any:
        leaked.append(x)
        return fnp.sum(x) if name in ("grad", "jit") else x

    TRANSFORMS[name](leaks)
    with pytest.raises(LeakedTracerError) as raised:
        use(leaked[0])
    assert ("leaks" if name != "scan" else "lambda") in str(raised.value)
    assert "Return it from the function" in str(raised.value)
    assert works()


def test_a_tracer_of_another_thread_is_found() -> None:
    caught: list[Any] = []

    def f(x: Any) -> Any:
        def use() -> None:
            try:
                x * 2
            except LeakedTracerError as error:
                caught.append(error)

        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
        return fnp.sum(x)

    ft.grad(f)(X)
    assert len(caught) == 1


def test_an_inner_tracer_returned_by_side_effect() -> None:
    def outer(x: Any) -> Any:
        kept: list[Any] = []
        ft.grad(lambda y: kept.append(y) or (y * x).sum())(x)
        return kept[0].sum()

    for transform in (ft.grad, ft.jit):
        with pytest.raises(LeakedTracerError):
            transform(outer)(X)
        assert works()


# --- concretisation -------------------------------------------------------------------------------

CONCRETE: list[tuple[str, Callable[[Any], Any], str]] = [
    ("if", lambda x: 1.0 if x[0] > 0 else 2.0, "lax.cond"),
    ("while", lambda x: [x for _ in iter(lambda: bool(x[0] > 0), False)], "lax.while_loop"),
    ("and", lambda x: (x[0] > 0) and (x[1] > 0), "& | ~"),
    ("int", lambda x: int(x[0]), "x.astype"),
    ("float", lambda x: float(x[0]), "static_argnums"),
    ("complex", lambda x: complex(x[0]), "static_argnames"),
    ("range", lambda x: range(x.astype(int)[0]), "lax.fori_loop"),
    ("list index", lambda x: [1, 2, 3][x.astype(int)[0]], "fnp.take"),
    ("numpy index", lambda x: np.arange(3)[x.astype(int)[0]], "fnp.take"),
    ("format", lambda x: f"{x[0]:.2f}", "debug.print"),
    ("asarray", lambda x: np.asarray(x), "functrans.pure_callback"),
    ("shape", lambda x: fnp.zeros(x.astype(int)[0]), "static_argnums"),
]


@pytest.mark.parametrize(("what", "f", "advice"), CONCRETE, ids=[c[0] for c in CONCRETE])
@pytest.mark.parametrize("name", ["jit", "vmap", "scan", "make_program"])
def test_concretisation_errors_name_the_line_and_the_way_out(
    what: str, f: Callable[[Any], Any], advice: str, name: str
) -> None:
    with pytest.raises(ConcretizationError) as raised:
        TRANSFORMS[name](f)
    message = str(raised.value)
    assert advice in message
    assert "test_tracing.py" in message and "<lambda>" in message
    assert works()


def test_python_control_flow_under_derivatives() -> None:
    def f(x: Any) -> Any:
        total = 0.0
        for i, v in enumerate(x):
            if v > 0 and int(v * 2) % 2 == 0:
                total = total + v**2 * float(i)
            while abs(total) > 3:
                total = total / 2
        return total + x[int(x[2])] * len(f"{x[0]:.2f}")

    def reference(x: Any) -> Any:
        return np.array([(f(x + 1e-6 * e) - f(x - 1e-6 * e)) / 2e-6 for e in np.eye(3)])

    x = np.array([0.25, 1.25, 1.25])
    want = reference(x)
    np.testing.assert_allclose(ft.grad(f)(x), want, rtol=1e-6)
    np.testing.assert_allclose(ft.jacfwd(f)(x), want, rtol=1e-6)
    np.testing.assert_allclose(ft.jvp(f, (x,), (np.ones(3),))[1], want.sum(), rtol=1e-6)
    _value, push = ft.linearize(f, x)
    np.testing.assert_allclose(push(np.ones(3)), want.sum(), rtol=1e-6)
    assert ft.hessian(f)(x).shape == (3, 3)


def test_values_are_seen_under_derivatives_also_when_nested() -> None:
    seen: list[float] = []

    def f(x: Any) -> Any:
        seen.append(float(ft.stop_gradient(x)))
        return x**3 if x > 0 else -x

    assert ft.grad(ft.grad(f))(2.0) == 12.0
    assert ft.grad(lambda y: ft.grad(f)(y) * y)(2.0) == 36.0
    assert ft.grad(f)(-2.0) == -1.0
    assert set(seen) == {2.0, -2.0}


TAKEN_OUT = {
    "float": lambda x: float(x),
    "complex": lambda x: complex(x),
    "item": lambda x: x.item(),
    "math": lambda x: math.sin(x),
    "assignment": lambda x: np.zeros(3).__setitem__(0, x),
}


@pytest.mark.parametrize("name", list(TAKEN_OUT))
def test_no_number_is_taken_out_of_what_is_differentiated(name: str) -> None:
    """It would be a constant, and the derivative silently wrong."""
    for transform in (ft.grad, lambda f: lambda x: ft.jvp(f, (x,), (1.0,))):
        with pytest.raises((ConcretizationError, ValueError)) as raised:
            transform(TAKEN_OUT[name])(2.0)
        error = raised.value
        message = str(error if isinstance(error, ConcretizationError) else error.__cause__)
        assert "derivative would be lost" in message and "stop_gradient" in message
    assert works()


def test_python_control_flow_inside_vmap_of_grad_is_refused() -> None:
    with pytest.raises(ConcretizationError, match="vmap"):
        ft.vmap(ft.grad(lambda x: x if x > 0 else -x))(X)
    assert works()


def test_repr_says_type_and_value() -> None:
    seen: list[str] = []
    ft.grad(lambda x: seen.append(repr(x)) or x)(2.0)
    ft.jit(lambda x: seen.append(repr(x)) or x)(X)
    assert "2.0" in seen[0] and "f64*[]" in seen[0] and seen[1] == "Tracer<f64[3]>"


# --- what goes in and out -------------------------------------------------------------------------


@every_transform
def test_what_is_no_array_is_refused_going_in(name: str) -> None:
    for bad in ("text", np.array(["a"]), object(), np.array([None])):
        with pytest.raises(DTypeError, match=r"argument|dtype"):
            ft.jit(lambda x: 1.0)(bad)
        with pytest.raises(DTypeError):
            ft.grad(lambda x: 1.0)({"w": bad})
    assert works()


def test_the_path_of_what_is_no_array_is_named() -> None:
    with pytest.raises(DTypeError, match=r"\['b'\]\[1\]"):
        ft.jit(lambda p: p["a"])({"a": 1.0, "b": (2.0, "text")})
    with pytest.raises(DTypeError, match=r"must return arrays or numbers at result\['y'\]"):
        ft.jit(lambda x: {"y": "text"})(1.0)


def test_what_is_no_function_is_refused() -> None:
    for transform in (ft.jit, ft.grad, ft.vmap, ft.jacfwd, ft.jacrev, ft.make_program):
        with pytest.raises(TransformError, match="takes a function"):
            transform(3)


def test_results_may_be_constants_arguments_and_nothing() -> None:
    f = lambda x: {"c": 3, "x": x, "none": None, "a": np.arange(2)}
    for g in (f, ft.jit(f)):
        out = g(X)
        assert out["c"] == 3 and out["none"] is None
        np.testing.assert_array_equal(out["x"], X)
        np.testing.assert_array_equal(out["a"], [0, 1])
    assert ft.jit(lambda: None)() is None and ft.jit(lambda x: ())(1.0) == ()


def test_a_tracer_is_unhashable_as_an_array_is() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        ft.jit(lambda x: {x: 1})(X)
