"""Nothing is left behind by a function that raises, and no thread disturbs another.

Whatever a traced function, a rule, or a Python function called from compiled code raises comes out
as it is, and the next trace or call works, in this thread and in every other.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import ConcretizationError, ShapeError, TransformError
from functrans.core.source import set_source
from functrans.core.trace import trace_depth
from functrans.transforms import batching

Function = Callable[[Any], Any]

X = np.array([0.4, -0.7, 1.1])
VECTOR = ft.ShapeDtypeStruct((3,), np.float64)
THREADS = 8


class BoomError(Exception):
    pass


class AbortError(BaseException):
    """As KeyboardInterrupt: no `except Exception` sees it."""


def state() -> list[Any]:
    """All that tracing keeps between calls in this thread; `AT_REST` in a thread at rest."""
    source = set_source(None)
    set_source(source)
    axes = batching._batching
    return [trace_depth(), list(axes.axes), list(axes.named), source, np.geterr()]


AT_REST: list[Any] = [0, [], [], None, np.geterr()]


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns a hundred times as often as they do ordinarily."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], None], count: int = THREADS) -> None:
    """Run `work(number)` in threads that start together; the first exception of any comes out."""
    barrier = threading.Barrier(count)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(30)
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads), "threads wait for each other"
    if raised:
        raise raised[0]


# --- where a function can raise -------------------------------------------------------------------


def total(f: Function) -> Function:
    return lambda x: fnp.sum(f(x))


def scanned(f: Function) -> Function:
    return lambda x: lax.scan(lambda c, w: (c + f(w), c), x, fnp.stack([x, x + 1]))[1]


def custom_jvp_function(f: Function) -> Function:
    g = ft.custom_jvp(f)
    g.defjvp(lambda primals, tangents: (g(primals[0]), 2.0 * tangents[0]))
    return ft.grad(total(g))


def custom_jvp_rule(f: Function) -> Function:
    g = ft.custom_jvp(fnp.sin)
    g.defjvp(lambda primals, tangents: (fnp.sin(primals[0]), f(primals[0]) * tangents[0]))
    return ft.grad(total(g))


def custom_vjp_forward(f: Function) -> Function:
    g = ft.custom_vjp(fnp.sin)
    g.defvjp(lambda x: (f(x), x), lambda x, ct: (ct * x,))
    return lambda x: ft.vjp(g, x)[0]


def custom_vjp_backward(f: Function) -> Function:
    g = ft.custom_vjp(fnp.sin)
    g.defvjp(lambda x: (fnp.sin(x), x), lambda x, ct: (f(x) * ct,))
    return ft.grad(total(g))


PLACES: dict[str, Callable[[Function], Function]] = {
    "jit": ft.jit,
    "grad": lambda f: ft.grad(total(f)),
    "value_and_grad": lambda f: ft.value_and_grad(total(f)),
    "jvp": lambda f: lambda x: ft.jvp(f, (x,), (x,)),
    "vjp": lambda f: lambda x: ft.vjp(f, x)[1](x)[0],
    "linearize": lambda f: lambda x: ft.linearize(f, x)[1](x),
    "jacfwd": ft.jacfwd,
    "jacrev": ft.jacrev,
    "hessian": lambda f: ft.hessian(total(f)),
    "hvp": lambda f: lambda x: ft.hvp(total(f), (x,), (x,))[1],
    "vmap": ft.vmap,
    "vmap with a name": lambda f: ft.vmap(
        lambda x: f(x) + lax.psum(x, "i"), axis_name="i", in_axes=0
    ),
    "checkpoint": lambda f: ft.grad(total(ft.checkpoint(f))),
    "make_program": lambda f: lambda x: ft.make_program(f)(x) and f(x),
    "eval_shape": lambda f: lambda x: ft.eval_shape(f, x) and f(x),
    "closure_convert": lambda f: lambda x: ft.closure_convert(f, x)[0](x),
    "linear_transpose": lambda f: lambda x: ft.linear_transpose(lambda t: f(x) * t, x)(x)[0],
    "custom_jvp": custom_jvp_function,
    "custom_jvp rule": custom_jvp_rule,
    "custom_vjp forward": custom_vjp_forward,
    "custom_vjp backward": custom_vjp_backward,
    "scan": scanned,
    "map": lambda f: lambda x: lax.map(f, fnp.stack([x, x])),
    "fori_loop": lambda f: lambda x: lax.fori_loop(0, 3, lambda i, y: f(y), x),
    "while body": lambda f: lambda x: lax.while_loop(lambda y: y[0] > 9, f, x),
    "while condition": lambda f: lambda x: lax.while_loop(lambda y: f(y)[0] > 9, fnp.sin, x),
    "cond": lambda f: lambda x: lax.cond(fnp.sum(x) > 0, f, fnp.cos, x),
    "branch not taken": lambda f: lambda x: lax.cond(fnp.sum(x) > 9, f, fnp.cos, x),
    "switch": lambda f: lambda x: lax.switch(1, [fnp.sin, f], x),
    "associative_scan": lambda f: lambda x: lax.associative_scan(lambda a, b: f(a) + b, x),
    "custom_root": lambda f: (
        lambda x: lax.custom_root(lambda y: y - f(x), x, lambda g, y: y - g(y), lambda g, y: y)
    ),
    "jit in jit": lambda f: ft.jit(lambda x: ft.jit(f)(x) + 1),
    "jit of grad": lambda f: ft.jit(ft.grad(total(f))),
    "grad of jit": lambda f: ft.grad(total(ft.jit(f))),
    "grad of scan": lambda f: ft.grad(total(scanned(f))),
    "vmap of scan": lambda f: ft.vmap(lambda s: scanned(f)(s * X)),
    "jit of vmap of grad of scan": lambda f: ft.jit(
        ft.vmap(lambda s: ft.grad(total(scanned(f)))(s * X))
    ),
    "scan of vmap of grad": lambda f: scanned(ft.vmap(ft.grad(lambda v: fnp.sum(f(v))))),
    "grad of cond of jit": lambda f: ft.grad(
        total(lambda x: lax.cond(fnp.sum(x) > 0, ft.jit(f), fnp.cos, x))
    ),
}

FAILURES: dict[str, tuple[type[BaseException], Function]] = {}


def failing(name: str, error: type[BaseException]) -> Callable[[Function], Function]:
    def add(f: Function) -> Function:
        FAILURES[name] = error, f
        return f

    return add


@failing("an exception", BoomError)
def _raises(y: Any) -> Any:
    raise BoomError("in the function")


@failing("an abort", AbortError)
def _aborts(y: Any) -> Any:
    raise AbortError


@failing("shapes that do not fit", ShapeError)
def _misfits(y: Any) -> Any:
    return fnp.reshape(y, (7, 2))


class FailsAtFirst:
    """sin that raises in the first call, and only then."""

    def __init__(self, fail: Function) -> None:
        self.fail, self.calls = fail, 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        y = fnp.sin(x) * 1.0
        return self.fail(y) if self.calls == 1 else y


def assert_equal(got: Any, want: Any) -> None:
    for g, w in zip(ft.tree.leaves(got), ft.tree.leaves(want), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-12)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("place", PLACES)
def test_the_next_trace_works(place: str, failure: str) -> None:
    """Also of the same transformed function, which may have kept something of the first trace."""
    error, fail = FAILURES[failure]
    want = PLACES[place](lambda x: fnp.sin(x) * 1.0)(X)
    again = PLACES[place](FailsAtFirst(fail))
    with pytest.raises(error):
        again(X)
    assert state() == AT_REST
    assert_equal(again(X), want)
    assert state() == AT_REST


@pytest.mark.parametrize("place", ["jit", "vmap", "scan", "fori_loop", "while body", "jit of grad"])
def test_asking_for_a_value_leaves_nothing_behind(place: str) -> None:
    with pytest.raises(ConcretizationError):
        PLACES[place](lambda x: x if fnp.sum(x) > 0 else -x)(X)
    assert state() == AT_REST
    assert_equal(ft.grad(total(fnp.sin))(X), np.cos(X))


def test_a_function_that_catches_what_its_part_raised_goes_on() -> None:
    """The trace that is open around the one that failed is as it was."""

    def robust(place: str) -> Function:
        def f(x: Any) -> Any:
            before = state()
            with pytest.raises(BoomError):
                PLACES[place](_raises)(X)
            assert state() == before
            with pytest.raises(BoomError):
                PLACES[place](lambda y: _raises(y * x))(X)
            assert state() == before
            return fnp.sin(x)

        return f

    rules = {p for p in PLACES if p.startswith("custom_")}
    for place in PLACES.keys() - rules - {"linear_transpose"}:
        assert_equal(ft.jit(robust(place))(X), np.sin(X))
        assert_equal(ft.grad(total(robust(place)))(X), np.cos(X))
        assert_equal(ft.vmap(robust(place))(X), np.sin(X))
        assert state() == AT_REST


def test_failing_in_every_thread_at_once(switching: None) -> None:
    want = {place: wrap(lambda x: fnp.sin(x) * 1.0)(X) for place, wrap in PLACES.items()}

    def work(number: int) -> None:
        places = list(PLACES)
        order = places[number * 5 :] + places[: number * 5]
        for k, place in enumerate(order):
            if (k + number) % 2:
                with pytest.raises(BoomError):
                    PLACES[place](FailsAtFirst(_raises))(X)
            assert state()[:4] == AT_REST[:4]
            assert_equal(PLACES[place](lambda x: fnp.sin(x) * 1.0)(X), want[place])
            assert state()[:4] == AT_REST[:4]

    in_threads(work)


# --- tracing at once ------------------------------------------------------------------------------


def test_open_traces_of_threads_are_independent() -> None:
    """In step: while every thread is inside a trace of its own kind, all go on, one by one."""
    kinds = ["jit", "grad", "vmap", "scan", "vjp", "hessian", "jit of grad", "vmap with a name"]
    plain = {kind: PLACES[kind](lambda x: fnp.sin(x) * 1.0)(X) for kind in kinds}
    barrier = threading.Barrier(len(kinds) + 1)

    def work(number: int) -> None:
        if number == len(kinds):  # this one traces nothing
            for _ in range(4):
                barrier.wait(30)
                assert trace_depth() == 0
                assert type(fnp.sin(X)) is np.ndarray
                assert type(fnp.zeros(3)) is np.ndarray  # a staging trace would record it
            return
        steps = 0

        def f(x: Any) -> Any:
            nonlocal steps
            for _ in range(4 if steps == 0 else 0):
                steps += 1
                barrier.wait(30)
                x = x + fnp.zeros(())
            return fnp.sin(x) * 1.0

        assert_equal(PLACES[kinds[number]](f)(X), plain[kinds[number]])

    in_threads(work, len(kinds) + 1)


def test_a_named_axis_is_open_in_its_own_thread_only() -> None:
    inside, looked = threading.Event(), threading.Event()
    seen: list[BaseException] = []

    def look() -> None:
        inside.wait(30)
        try:
            lax.axis_size("mine")
        except Exception as error:
            seen.append(error)
        looked.set()

    def f(x: Any) -> Any:
        inside.set()
        looked.wait(30)
        return x * lax.axis_size("mine")

    thread = threading.Thread(target=look)
    thread.start()
    got = ft.vmap(f, axis_name="mine")(X)
    thread.join()
    assert_equal(got, 3 * X)
    assert len(seen) == 1 and isinstance(seen[0], TransformError)


def test_one_transformed_function_traced_in_many_threads(switching: None) -> None:
    """Programs keep what was derived from them: many threads may derive it at once."""

    def f(x: Any) -> Any:
        y = lax.scan(lambda c, w: (fnp.tanh(c * w + x[0]), c), x, fnp.stack([x, 2 * x]))[0]
        return fnp.sum(lax.cond(x[0] > 0, fnp.sin, fnp.cos, y) * ft.checkpoint(fnp.exp)(x))

    inner = ft.jit(f)
    transformed = [
        ft.grad(inner),
        ft.jacfwd(ft.grad(inner)),
        ft.vmap(ft.grad(lambda s: inner(s * X))),
        ft.jit(ft.hessian(inner)),
    ]
    want = [
        ft.grad(f)(X),
        ft.jacfwd(ft.grad(f))(X),
        ft.vmap(ft.grad(lambda s: f(s * X)))(X),
        ft.hessian(f)(X),
    ]

    def work(number: int) -> None:
        for k in range(2 * len(want)):
            at = (k + number) % len(want)
            assert_equal(transformed[at](X), want[at])

    in_threads(work)


# --- calling compiled functions at once -----------------------------------------------------------


def test_a_compiled_function_called_from_many_threads(switching: None) -> None:
    """From the first call on, which compiles, with arguments of several types."""
    w = np.cos(np.arange(36.0)).reshape(6, 6)

    def f(x: Any, s: Any) -> Any:
        y = fnp.tanh(x @ w.astype(x.dtype)) * s
        z = lax.fori_loop(0, 5, lambda i, c: fnp.sin(c + y), y)
        return {"z": z, "t": fnp.sum(z), "m": fnp.sort(z, axis=-1)[..., ::-1]}

    def plain(x: Any, s: Any) -> Any:
        y = np.tanh(x @ w.astype(x.dtype)) * s
        z = y
        for _ in range(5):
            z = np.sin(z + y)
        return {"z": z, "t": np.sum(z), "m": np.sort(z, axis=-1)[..., ::-1]}

    compiled = ft.jit(f)

    def work(number: int) -> None:
        rng = np.random.default_rng(number)
        for k in range(30):
            shape = [(6,), (4, 6), (2, 3, 6)][(k + number) % 3]
            x = rng.normal(size=shape).astype(["f8", "f4"][k % 2])
            got, want = compiled(x, 0.5), plain(x, 0.5)
            for name, y in want.items():
                assert got[name].dtype == y.dtype and np.shape(got[name]) == np.shape(y)
                np.testing.assert_allclose(got[name], y, rtol=1e-4 if k % 2 else 1e-10, atol=1e-5)

    in_threads(work)


def test_results_stay_what_they_were_while_other_threads_call(switching: None) -> None:
    """Nobody's result lies in memory that a later call, of any thread, writes to."""
    compiled = ft.jit(lambda x: (fnp.cumsum(x), x * 2, fnp.sum(x)))

    def work(number: int) -> None:
        kept = []
        for k in range(40):
            x = np.full(500, number + k / 64)
            kept.append((x, compiled(x)))
        for x, (sums, double, total) in kept:
            np.testing.assert_allclose(sums, np.cumsum(x), rtol=1e-12)
            np.testing.assert_array_equal(double, 2 * x)
            np.testing.assert_allclose(total, np.sum(x), rtol=1e-12)

    in_threads(work)


def test_large_arrays_divided_between_workers_from_many_threads(switching: None) -> None:
    compiled = ft.jit(lambda x: (fnp.exp(fnp.sin(x)) * x, fnp.sum(fnp.tanh(x), axis=-1)))
    x = np.linspace(-3, 3, 1_200_000).reshape(300, 4000)
    want = np.exp(np.sin(x)) * x, np.sum(np.tanh(x), axis=-1)

    def work(number: int) -> None:
        for _ in range(2):
            y, row = compiled(x + number)
            if number == 0:
                np.testing.assert_allclose(y, want[0], rtol=1e-10, atol=1e-12)
                np.testing.assert_allclose(row, want[1], rtol=1e-10, atol=1e-10)
            some = x[7] + number
            np.testing.assert_allclose(y[7], np.exp(np.sin(some)) * some, rtol=1e-10, atol=1e-12)

    in_threads(work, 4)


# --- Python functions called from compiled code ---------------------------------------------------


def calling(callback: Callable[..., Any]) -> dict[str, Function]:
    """Compiled functions of X that call a function of a vector somewhere."""
    call = lambda x: ft.pure_callback(callback, VECTOR, x)
    return {
        "alone": ft.jit(lambda x: call(x)),
        "amid others": ft.jit(lambda x: fnp.sin(call(x * 2) + 1)),
        "in jit in jit": ft.jit(lambda x: ft.jit(call)(x) + x),
        "in scan": ft.jit(lambda x: lax.scan(lambda c, _: (call(c), c), x, None, length=3)[0]),
        "in while_loop": ft.jit(
            lambda x: lax.while_loop(
                lambda s: s[0] < 3, lambda s: (s[0] + 1, call(s[1])), (0, x)
            )[1]
        ),
        "in cond": ft.jit(lambda x: lax.cond(x[0] > 0, call, fnp.sin, x)),
        "in scan in scan": ft.jit(
            lambda x: lax.fori_loop(
                0, 2, lambda i, y: lax.fori_loop(0, 2, lambda j, z: call(z), y), x
            )
        ),
        "eagerly": call,
        "eagerly in scan": lambda x: lax.scan(lambda c, _: (call(c), c), x, None, length=3)[0],
    }  # fmt: skip


@pytest.mark.parametrize("where", calling(np.sin))
@pytest.mark.parametrize("error", [BoomError("mine"), AbortError("mine"), KeyboardInterrupt()])
def test_an_exception_of_a_callback_comes_out_and_the_next_call_works(
    where: str, error: BaseException
) -> None:
    want = calling(np.sin)[where](X)
    fail = False

    def callback(x: Any) -> Any:
        if fail:
            raise error
        return np.sin(x)

    f = calling(callback)[where]
    for fail in (False, True, True, False):  # the callback reads it
        if not fail:
            assert_equal(f(X), want)
            continue
        with pytest.raises(type(error)) as caught:
            f(X)
        assert caught.value is error
        assert "callback" in [entry.name for entry in caught.traceback]
        assert state() == AT_REST


def test_the_first_call_may_be_the_one_that_fails() -> None:
    for where in calling(np.sin):
        f = calling(FailsAtFirst(_raises))[where]
        with pytest.raises(BoomError):
            f(X)
        np.testing.assert_array_equal(f(X), calling(np.sin)[where](X))


def test_a_step_of_a_loop_that_fails_halfway() -> None:
    """The loop's buffers are put back: the next call starts from its own first values."""
    limit = np.inf

    def callback(x: Any) -> Any:
        if x[0] > limit:
            raise BoomError(float(x[0]))
        return x + 1

    f = calling(callback)["in scan in scan"]
    assert_equal(f(X), X + 4)
    for steps in range(4):
        limit = X[0] + steps - 0.5
        with pytest.raises(BoomError) as caught:
            f(X)
        np.testing.assert_allclose(caught.value.args[0], X[0] + steps)
    limit = np.inf
    assert_equal(f(X), X + 4)


def test_exceptions_of_callbacks_stay_in_their_thread(switching: None) -> None:
    def callback(x: Any) -> Any:
        if x[0] < 0:
            raise BoomError(float(x[0]))
        return x * 2

    compiled = calling(callback)
    del compiled["in cond"]  # takes its other branch for negative numbers
    want = [{n: f(np.full(3, 1.0 + i)) for n, f in compiled.items()} for i in range(THREADS)]

    def work(number: int) -> None:
        for k, (name, f) in enumerate(list(compiled.items()) * 3):
            if (k + number) % 2:
                with pytest.raises(BoomError) as caught:
                    f(np.full(3, -1.0 - number))
                assert caught.value.args[0] in (-1.0 - number, 2 * (-1.0 - number))
            else:
                np.testing.assert_array_equal(f(np.full(3, 1.0 + number)), want[number][name])

    in_threads(work)


def test_a_callback_may_use_the_library() -> None:
    """It runs inside compiled code, but outside every trace."""
    inner = ft.jit(ft.grad(lambda y: fnp.sum(y**3)))

    def callback(x: Any) -> Any:
        assert trace_depth() == 0
        return inner(x) + ft.vmap(lambda v: v * 2)(x)

    for where, f in calling(callback).items():
        if where == "alone":
            assert_equal(f(X), 3 * X**2 + 2 * X)
        else:
            f(X)
    assert state() == AT_REST


def test_debug_callbacks_that_raise() -> None:
    seen: list[float] = []

    def look(x: Any) -> None:
        seen.append(float(x))
        if x > 1:
            raise BoomError

    @ft.jit
    def f(x: Any) -> Any:
        ft.debug.callback(look, x)
        return x + 1

    assert f(0.5) == 1.5
    with pytest.raises(BoomError):
        f(2.0)
    assert f(0.25) == 1.25
    assert seen == [0.5, 2.0, 0.25]
