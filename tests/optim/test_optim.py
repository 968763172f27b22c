"""Optimizers take Optax's steps, under jit too; schedules give Optax's values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import optim
from functrans.core.errors import TransformError

OPTIMIZERS = {
    "sgd": lambda o: o.sgd(0.1),
    "momentum": lambda o: o.sgd(0.1, momentum=0.9),
    "nesterov": lambda o: o.sgd(0.1, momentum=0.9, nesterov=True),
    "adam": lambda o: o.adam(0.1),
    "nadam": lambda o: o.nadam(0.1),
    "adamw": lambda o: o.adamw(0.1, weight_decay=0.1),
    "adamw masked": lambda o: o.adamw(0.1, weight_decay=0.1, mask={"w": True, "b": False}),
    "rmsprop": lambda o: o.rmsprop(0.1, decay=0.8),
    "rmsprop momentum": lambda o: o.rmsprop(0.1, momentum=0.5),
    "adagrad": lambda o: o.adagrad(0.1),
    "nadamw": lambda o: o.nadamw(0.1, weight_decay=0.1),
    "amsgrad": lambda o: o.amsgrad(0.1, b2=0.5),
    "adamax": lambda o: o.adamax(0.1),
    "adabelief": lambda o: o.adabelief(0.1),
    "radam": lambda o: o.radam(0.1),
    "adadelta": lambda o: o.adadelta(10.0),
    "lamb": lambda o: o.lamb(0.05, weight_decay=0.01),
    "lion": lambda o: o.lion(0.01),
    "clipped": lambda o: o.chain(o.clip_by_global_norm(0.5), o.adam(0.1)),
    "elementwise clip": lambda o: o.chain(o.clip(0.2), o.sgd(0.1)),
    "scheduled": lambda o: o.adam(o.linear_schedule(0.1, 0.01, 5)),
    "masked": lambda o: o.chain(o.masked(o.clip(0.2), {"w": True, "b": False}), o.sgd(0.1)),
    "masked by a function": lambda o: o.chain(
        o.masked(o.trace(0.5), lambda p: {"w": False, "b": True}), o.adam(0.1)
    ),
    "two optimizers": lambda o: o.multi_transform(
        {"fast": o.adamw(0.1), "slow": o.sgd(0.01)}, {"w": "fast", "b": "slow"}
    ),
    "frozen": lambda o: o.partition(
        {"on": o.adam(0.1), "off": o.set_to_zero()}, lambda p: {"w": "on", "b": "off"}
    ),
    "injected": lambda o: o.inject_hyperparams(o.adamw)(
        learning_rate=o.linear_schedule(0.1, 0.01, 5), weight_decay=0.1
    ),
    "injected, with a trust ratio": lambda o: o.inject_hyperparams(o.lamb)(0.05, weight_decay=0.1),
    "injected in part": lambda o: o.inject_hyperparams(o.lamb, static_args="weight_decay")(0.1),
    "of three gradients": lambda o: o.MultiSteps(o.adam(0.3), every_k_schedule=3),
    "of more and more": lambda o: o.MultiSteps(
        o.sgd(0.1), every_k_schedule=lambda n: n + 1, use_grad_mean=False
    ),
    "if finite": lambda o: o.apply_if_finite(o.adam(0.1), 3),
}
SCHEDULES = {
    "constant": lambda o: o.constant_schedule(0.3),
    "linear": lambda o: o.linear_schedule(1.0, 0.1, 10, 3),
    "polynomial": lambda o: o.polynomial_schedule(1.0, 0.1, 2.0, 10),
    "exponential": lambda o: o.exponential_decay(1.0, 5, 0.5),
    "staircase": lambda o: o.exponential_decay(1.0, 5, 0.5, 2, True, 0.3),
    "cosine": lambda o: o.cosine_decay_schedule(1.0, 12, 0.1),
    "warmup": lambda o: o.warmup_cosine_decay_schedule(0.0, 1.0, 5, 20, 0.1),
    "one cycle": lambda o: o.cosine_onecycle_schedule(20, 0.5),
    "one cycle of lines": lambda o: o.linear_onecycle_schedule(20, 0.5, 0.2, 0.6, 10.0, 100.0),
    "interpolated": lambda o: o.piecewise_interpolate_schedule("cosine", 1.0, {3: 0.5, 8: 0.1}),
    "restarts": lambda o: o.sgdr_schedule(
        [
            {"init_value": 0.1, "peak_value": x, "warmup_steps": 2, "decay_steps": 7}
            for x in (1.0, 0.5, 0.25)
        ]
    ),
    "warmup, then constant": lambda o: o.warmup_constant_schedule(0.1, 0.5, 7),
    "warmup, then exponential": lambda o: o.warmup_exponential_decay_schedule(
        0.1, 1.0, 4, 3, 0.7, 2, end_value=0.3
    ),
    "joined": lambda o: o.join_schedules(
        [o.constant_schedule(1.0), o.linear_schedule(0.5, 0.0, 5)], [6]
    ),
    "piecewise": lambda o: o.piecewise_constant_schedule(1.0, {3: 0.5, 8: 0.1}),
}


def loss(params: Any) -> Any:
    return ft.numpy.sum((params["w"] - 0.5) ** 2 * 3) + ft.numpy.sum(params["b"] ** 4)


def params() -> dict[str, np.ndarray]:
    return {"w": np.linspace(-1, 1, 6).reshape(2, 3), "b": np.array([1.0, -0.5])}


def run(optimizer: Any, steps: int = 12, wrap: Any = lambda f: f) -> Any:
    def step(p: Any, state: Any) -> Any:
        updates, state = optimizer.update(ft.grad(loss)(p), state, p)
        return optim.apply_updates(p, updates), state

    step = wrap(step)
    p = params()
    state = optimizer.init(p)
    for _ in range(steps):
        p, state = step(p, state)
    return p


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_steps_are_those_of_optax(make: Any) -> None:
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        optimizer, p = make(optax), jax.tree.map(jax.numpy.asarray, params())
        state = optimizer.init(p)
        for _ in range(12):
            gradient = {"w": 6 * (p["w"] - 0.5), "b": 4 * p["b"] ** 3}
            updates, state = optimizer.update(gradient, state, p)
            p = optax.apply_updates(p, updates)
    got = run(make(optim))
    for name in p:
        np.testing.assert_allclose(got[name], p[name], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=list(OPTIMIZERS))
def test_compiled_steps_are_the_eager_ones_and_descend(make: Any) -> None:
    eager, compiled = run(make(optim)), run(make(optim), wrap=ft.jit)
    for name in eager:
        np.testing.assert_allclose(compiled[name], eager[name], rtol=1e-9)
    assert loss(eager) < loss(params())


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=list(SCHEDULES))
def test_schedules_are_those_of_optax(make: Any) -> None:
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        want = [float(make(optax)(count)) for count in range(25)]
    got = [float(make(optim)(np.int32(count))) for count in range(25)]
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)
    compiled = ft.jit(make(optim))
    np.testing.assert_allclose([float(compiled(np.int32(c))) for c in range(25)], got, rtol=1e-9)


def test_updates_keep_the_dtype_of_the_params() -> None:
    p = {"w": np.ones(3, np.float32)}
    optimizer = optim.adam(optim.cosine_decay_schedule(0.1, 10))
    updates, state = optimizer.update({"w": np.ones(3, np.float32)}, optimizer.init(p), p)
    assert optim.apply_updates(p, updates)["w"].dtype == np.float32
    assert all(x.dtype in (np.float32, np.int32) for x in ft.tree.leaves(state))


def test_a_state_of_another_chain_is_refused() -> None:
    optimizer = optim.chain(optim.clip(1.0), optim.sgd(0.1))
    with pytest.raises(ValueError, match="init on the same chain"):
        optimizer.update(params(), (), params())


def test_steps_that_are_not_finite_are_skipped_a_few_times() -> None:
    optimizer = optim.apply_if_finite(optim.sgd(1.0, momentum=0.9), 2)
    update = ft.jit(optimizer.update)
    good, bad = np.array([1.0, 2.0]), np.array([1.0, np.inf])
    state = optimizer.init(good)
    taken = []
    for g in (good, bad, bad, bad, good):
        updates, state = update(g, state)
        taken.append(bool(updates.any()))
    assert taken == [True, False, False, True, True]
    assert (int(state.notfinite_count), int(state.total_notfinite)) == (0, 3)
    assert bool(state.last_finite)


def test_injected_numbers_are_read_and_replaced_under_jit() -> None:
    optimizer = optim.inject_hyperparams(optim.adamw)(0.1, weight_decay=0.0)
    p = params()
    state = optimizer.init(p)
    assert {"b1", "eps", "learning_rate", "weight_decay"} <= set(state.hyperparams)
    state.hyperparams["learning_rate"] = np.array(0.0)
    updates, state = ft.jit(optimizer.update)(ft.grad(loss)(p), state, p)
    assert not updates["w"].any()
    float32 = optimizer.init({"w": np.ones(2, np.float32)})
    assert float32.hyperparams["b1"].dtype == np.float32


def test_labels_without_a_transformation_are_named() -> None:
    optimizer = optim.multi_transform({"a": optim.sgd(0.1)}, {"w": "a", "b": "none such"})
    with pytest.raises(ValueError, match=r"none such.*'a'"):
        optimizer.init(params())


def test_types_of_interpolation_are_named() -> None:
    with pytest.raises(TransformError, match="'linear' and 'cosine', not 'cubic'"):
        optim.piecewise_interpolate_schedule("cubic", 1.0)
