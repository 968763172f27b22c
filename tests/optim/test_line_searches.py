"""L-BFGS and line searches take Optax's steps where those are determined, and find minima."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import optim
from functrans.core.errors import TransformError


def valley(m: Any) -> Any:
    return lambda p: (p["a"] - 1) ** 2 + 10 * m.sum((p["b"] - p["a"] ** 2) ** 2)


def quartic(m: Any) -> Any:
    return lambda p: (
        m.sum((p["b"] - 0.5) ** 4 + p["b"] ** 2) + m.sum(p["b"] * p["a"]) + 2 * p["a"] ** 2
    )


def params() -> dict[str, Any]:
    return {"a": np.array(-1.2), "b": np.array([1.0, 0.3])}


# each with as many steps as are determined: what zoom tries beyond its first step is its own affair
SAME_STEPS = {
    "lbfgs without a search": lambda o: o.lbfgs(0.05, memory_size=3, linesearch=None),
    "unscaled": lambda o: o.lbfgs(0.01, memory_size=2, scale_init_precond=False, linesearch=None),
    "scheduled": lambda o: o.lbfgs(o.linear_schedule(0.05, 0.01, 5), linesearch=None),
    "scale_by_lbfgs": lambda o: o.chain(o.scale_by_lbfgs(4), o.scale(-0.1)),
    "backtracking": lambda o: o.chain(o.sgd(1.0), o.scale_by_backtracking_linesearch(30)),
    "backtracking, other numbers": lambda o: o.chain(
        o.sgd(1.0),
        o.scale_by_backtracking_linesearch(
            30, 0.1, 0.5, np.inf, max_learning_rate=2.0, atol=1e-3, rtol=1e-2, store_grad=True
        ),
    ),
    "backtracking without enough steps": lambda o: o.chain(
        o.sgd(1e-2), o.scale_by_backtracking_linesearch(1, slope_rtol=0.9)
    ),
    "backtracking along lbfgs": lambda o: o.lbfgs(
        linesearch=o.scale_by_backtracking_linesearch(15, store_grad=True)
    ),
    "after a clip": lambda o: o.chain(
        o.clip_by_global_norm(0.5), o.scale(-1.0), o.scale_by_backtracking_linesearch(15)
    ),
    "in other transformations": lambda o: o.apply_if_finite(
        o.chain(o.sgd(1.0), o.scale_by_backtracking_linesearch(15)), 3
    ),
}
SEARCHES = {
    "lbfgs": lambda o: o.lbfgs(),
    "lbfgs with little memory": lambda o: o.lbfgs(memory_size=1),
    "lbfgs with backtracking": lambda o: o.lbfgs(
        linesearch=o.scale_by_backtracking_linesearch(20, store_grad=True)
    ),
    "lbfgs with a longest step": lambda o: o.lbfgs(
        linesearch=o.scale_by_zoom_linesearch(20, max_learning_rate=1.0)
    ),
    "strict": lambda o: o.lbfgs(
        linesearch=o.scale_by_zoom_linesearch(30, curv_rtol=0.1, approx_dec_rtol=None)
    ),
}


def steps(m: Any, o: Any, f: Any, make: Any, grad: Any, count: int, wrap: Any = lambda f: f) -> Any:
    optimizer = make(o)

    def step(p: Any, state: Any) -> Any:
        value, g = grad(f)(p)
        updates, state = optimizer.update(g, state, p, value=value, grad=g, value_fn=f)
        return o.apply_updates(p, updates), state

    step = wrap(step)
    p = {k: m.asarray(x) for k, x in params().items()}
    state = optimizer.init(p)
    for _ in range(count):
        p, state = step(p, state)
    return p


@pytest.mark.parametrize("f", [valley, quartic])
@pytest.mark.parametrize("make", SAME_STEPS.values(), ids=list(SAME_STEPS))
def test_steps_are_those_of_optax(make: Any, f: Any) -> None:
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        want = steps(jax.numpy, optax, f(jax.numpy), make, jax.value_and_grad, 8, jax.jit)
    eager = steps(np, optim, f(ft.numpy), make, ft.value_and_grad, 8)
    compiled = steps(np, optim, f(ft.numpy), make, ft.value_and_grad, 8, ft.jit)
    for name in want:
        np.testing.assert_allclose(eager[name], want[name], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(compiled[name], eager[name], rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("make", SEARCHES.values(), ids=list(SEARCHES))
def test_minima_with_values_from_the_state(make: Any) -> None:
    f, optimizer = valley(ft.numpy), make(optim)

    @ft.jit
    def step(p: Any, state: Any) -> Any:
        value, g = optim.value_and_grad_from_state(f)(p, state=state)
        updates, state = optimizer.update(g, state, p, value=value, grad=g, value_fn=f)
        return optim.apply_updates(p, updates), state, value, g

    p = params()
    state = optimizer.init(p)
    for _ in range(80):
        before = p
        p, state, value, g = step(p, state)
        np.testing.assert_allclose(value, f(before), rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(g["b"], ft.grad(f)(before)["b"], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(p["a"], 1, atol=1e-5)
    np.testing.assert_allclose(p["b"], 1, atol=1e-5)


@pytest.mark.parametrize("rate", [1e-3, 1.0, 1e3])
def test_zoom_satisfies_the_strong_wolfe_conditions(rate: float) -> None:
    search = optim.scale_by_zoom_linesearch(30, slope_rtol=0.01, curv_rtol=0.2)
    optimizer = optim.chain(optim.scale(-rate), search)
    f, p = valley(ft.numpy), params()
    value, g = ft.value_and_grad(f)(p)
    state = optimizer.init(p)
    updates, (_, found) = optimizer.update(g, state, p, value=value, grad=g, value_fn=f)
    slope = lambda g: sum(float(np.sum(updates[k] * g[k])) for k in g)
    there = optim.apply_updates(p, updates)
    assert f(there) <= value + 0.01 * slope(g)
    assert abs(slope(ft.grad(f)(there))) <= 0.2 * abs(slope(g))
    assert found.info.decrease_error == found.info.curvature_error == 0
    assert found.learning_rate > 0 and found.value == f(there)


def test_arguments_of_the_function_pass_through_chains() -> None:
    f = lambda p, data: ft.numpy.sum((p - data) ** 2)
    optimizer = optim.masked(optim.lbfgs(), True)
    p, data = np.zeros(3), np.arange(3.0)
    state = optimizer.init(p)
    for _ in range(3):
        value, g = ft.value_and_grad(f)(p, data)
        updates, state = optimizer.update(
            g, state, p, value=value, grad=g, value_fn=f, data=data, unknown=1
        )
        p = p + updates
    np.testing.assert_allclose(p, data, atol=1e-9)


def test_float32_and_batches() -> None:
    f = lambda x, a: ft.numpy.sum((x - a) ** 2 + (x - a) ** 4)
    optimizer = optim.lbfgs()

    def solve(a: Any) -> Any:
        def step(_: Any, carry: Any) -> Any:
            x, state = carry
            value, g = optim.value_and_grad_from_state(f)(x, a, state=state)
            updates, state = optimizer.update(g, state, x, value=value, grad=g, value_fn=f, a=a)
            return optim.apply_updates(x, updates), state

        x = np.zeros(2, np.float32)
        return ft.lax.fori_loop(0, 20, step, (x, optimizer.init(x)))[0]

    a = np.array([0.5, 3.0, -20.0], np.float32)
    got = ft.jit(ft.vmap(solve))(a)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.stack([a, a], 1), rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: optim.lbfgs(memory_size=0), "memory_size of 1 or more: got 0"),
        (lambda: optim.scale_by_zoom_linesearch(5, initial_guess_strategy="x"), "'keep' and 'one'"),
        (
            lambda: optim.scale_by_lbfgs().update(
                np.ones(1), optim.scale_by_lbfgs().init(np.ones(1))
            ),
            "state, params",
        ),
        (
            lambda: optim.lbfgs().update(np.ones(1), optim.lbfgs().init(np.ones(1)), np.ones(1)),
            "got no value, grad, value_fn",
        ),
        (
            lambda: optim.value_and_grad_from_state(ft.numpy.sum)(
                np.ones(2), state=optim.sgd(0.1).init(np.ones(2))
            ),
            "one state of a line search.*got 0",
        ),
    ],
)
def test_refusals(call: Any, text: str) -> None:
    with pytest.raises(TransformError, match=text):
        call()
