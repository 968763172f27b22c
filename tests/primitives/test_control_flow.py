"""Loops and branches under every transform are what the same Python loop or branch is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core import tree
from functrans.core.trace import trace_depth
from functrans.core.types import dtype_of
from functrans.primitives import calls
from functrans.test_util import check_grads
from functrans.transforms.inspect import make_program

xs3 = np.array([0.5, -0.2, 0.3])
mat = np.array([[0.3, 0.2], [0.1, -0.5]])
vec = np.array([0.4, 0.7])


def loop(f: Any, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> Any:
    """What scan means, as a Python loop."""
    leaves = tree.leaves(xs)
    count = leaves[0].shape[0] if leaves else length
    carry, ys = init, []
    for i in reversed(range(count)) if reverse else range(count):
        carry, y = f(carry, tree.map(lambda x: x[i], xs))
        ys.append(y)
    if reverse:
        ys.reverse()
    return carry, tree.map(lambda *parts: fnp.stack(parts), *ys)


def loop_while(cond: Any, body: Any, value: Any) -> Any:
    while cond(value):
        value = body(value)
    return value


def branch(pred: Any, f: Any, g: Any, *operands: Any) -> Any:
    return f(*operands) if pred else g(*operands)


def pick(index: Any, branches: Any, *operands: Any) -> Any:
    return branches[min(max(int(index), 0), len(branches) - 1)](*operands)


class Structured:
    """The functions under test, under the names the cases use."""

    scan = staticmethod(lax.scan)
    while_loop = staticmethod(lax.while_loop)
    cond = staticmethod(lax.cond)
    switch = staticmethod(lax.switch)


class Plain:
    """Their meanings in Python."""

    scan = staticmethod(loop)
    while_loop = staticmethod(loop_while)
    cond = staticmethod(branch)
    switch = staticmethod(pick)


# --- cases: a function of (the namespace, arrays), written once ----


def scan_sum(s: Any, xs: Any) -> Any:
    return s.scan(lambda c, x: (c + x, c * x), 0.0, xs)


def scan_rnn(s: Any, w: Any, h: Any, xs: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = fnp.dot(w, h) * (1.0 + x * x) - h * h
        return h, {"h": h, "x": x * h.sum()}

    return s.scan(step, h, xs)


def scan_reverse(s: Any, h: Any, xs: Any) -> Any:
    return s.scan(lambda c, x: ((c[1] * x, c[0] + x), c[0] * c[1]), (h, h * 2.0), xs, reverse=True)


def scan_without_xs(s: Any, a: Any) -> Any:
    return s.scan(lambda c, _: (c * a + 1.0, c), 1.5, None, length=4)


def scan_carry_gets_tangent_late(s: Any, a: Any) -> Any:
    # a reaches the third part of the carry after three steps only
    def step(c: Any, x: Any) -> Any:
        return (c[0] * 1.0 + a, c[0] * c[0], c[1] * 2.0), c[2]

    return s.scan(step, (0.1, 0.2, 0.3), xs3)


def scan_carry_forgets(s: Any, a: Any) -> Any:
    return s.scan(lambda c, x: (x * 1.0, c * c), a, xs3)


def scan_counter(s: Any, a: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        i, v = c
        return (i + 1, v * x + fnp.where(i % 2 == 0, v, 0.0)), i * v

    return s.scan(step, (0, a), xs3)


def scan_invariants(s: Any, w: Any, xs: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        scale = fnp.sum(w * w) * w[0]
        return c * scale + x * w[1], c

    return s.scan(step, 1.0, xs)


def scan_unused(s: Any, a: Any, xs: Any) -> Any:
    return s.scan(lambda c, x: (c, 2.0 * x), a, xs)[1]


def nested(s: Any, a: Any, xs: Any) -> Any:
    def inner(c: Any, x: Any) -> Any:
        return c * x + a, c * a

    def step(c: Any, x: Any) -> Any:
        def deep(c: Any) -> Any:
            last, ys = s.scan(inner, c, xs)
            return last + fnp.sum(ys) * x

        c = s.cond(x > 0.0, deep, lambda c: c * a * x, c)
        return c, c * c

    return s.scan(step, a, xs)


def cond_simple(s: Any, x: Any) -> Any:
    return s.cond(x > 1.0, lambda v: v * v * v, lambda v: v * 2.0, x)


def cond_closure(s: Any, x: Any, y: Any) -> Any:
    # the branches close over different values, and only one of them over y
    return s.cond(x > 1.0, lambda: {"a": x * x * y, "b": x}, lambda: {"a": x * x * x, "b": x * 2.0})


def cond_constant_branch(s: Any, x: Any) -> Any:
    return s.cond(x > 1.0, lambda v: v * v, lambda v: 0.0 * v + 3.0, x)


def switch_three(s: Any, x: Any) -> Any:
    fs = [lambda v: v, lambda v: v * v, lambda v: fnp.sum(v * v) * v]
    return s.switch(2, fs, x), s.switch(-4, fs, x), s.switch(9, fs, x)


def while_power(s: Any, x: Any) -> Any:
    return s.while_loop(lambda c: c[0] < 20.0, lambda c: (c[0] * x, c[1] + c[0]), (x, 0.0))


def while_closure(s: Any, x: Any, bound: Any) -> Any:
    return s.while_loop(lambda v: v < bound, lambda v: v * x + 1.0, 1.0)


def while_of_parts(s: Any, x: Any, w: Any) -> Any:
    # a counter without tangents, a part that stays, a part whose tangent comes from another
    def step(c: Any) -> Any:
        i, v, still, late = c
        return i + 1, fnp.sin(v) * w + still, still, late * 0.5 + v * x

    return s.while_loop(lambda c: c[0] < 5, step, (0, x, w, fnp.zeros_like(x)))


def while_never(s: Any, x: Any) -> Any:
    return s.while_loop(lambda v: v < 0.0, lambda v: v * v, x)


def while_in_scan(s: Any, a: Any, xs: Any) -> Any:
    def step(c: Any, x: Any) -> Any:
        grown = s.while_loop(lambda v: v < 4.0, lambda v: v * a + x * x, c)
        return grown * 0.3, grown

    return s.scan(step, 0.5, xs)


def loops_in_while_in_cond(s: Any, a: Any, xs: Any) -> Any:
    def step(c: Any) -> Any:
        total, ys = s.scan(lambda t, x: (t * 0.5 + x * a, t * x), c, xs)
        inner = s.while_loop(lambda v: v > 1.0, lambda v: v * 0.6, abs(total) + 1.5)
        return c + inner * inner + fnp.sum(ys * ys)

    def run(c: Any) -> Any:
        return s.while_loop(lambda v: v < 6.0, step, c)

    return s.cond(a > 0.0, run, lambda c: c * c, a)


def keeping(checkpoint: int | None) -> Any:
    """The functions under test, whose backward passes keep so many carries."""
    if checkpoint is None:
        return Structured
    return SimpleNamespace(
        scan=partial(lax.scan, checkpoint=checkpoint),
        while_loop=partial(lax.while_loop, checkpoint=checkpoint),
        cond=lax.cond,
        switch=lax.switch,
    )


@dataclass
class Case:
    function: Callable[..., Any]
    args: tuple
    checkpoint: int | None = None

    def structured(self, *args: Any) -> Any:
        return self.function(keeping(self.checkpoint), *args)

    def plain(self, *args: Any) -> Any:
        return self.function(Plain, *args)


CASES = [
    Case(scan_sum, (xs3,)),
    Case(scan_rnn, (mat, vec, xs3)),
    Case(scan_reverse, (1.3, xs3)),
    Case(scan_without_xs, (0.7,)),
    Case(scan_carry_gets_tangent_late, (0.7,)),
    Case(scan_carry_forgets, (0.7,)),
    Case(scan_counter, (0.7,)),
    Case(scan_invariants, (vec, xs3)),
    Case(scan_unused, (0.7, xs3)),
    Case(nested, (1.2, xs3)),
    Case(cond_simple, (2.0,)),
    Case(cond_simple, (0.5,)),
    Case(cond_closure, (2.0, 3.0)),
    Case(cond_closure, (0.5, 3.0)),
    Case(cond_constant_branch, (2.0,)),
    Case(cond_constant_branch, (0.5,)),
    Case(switch_three, (vec,)),
    Case(while_power, (1.7,)),
    Case(while_closure, (1.7, 30.0)),
    Case(while_of_parts, (vec, vec[::-1] * 0.7)),
    Case(while_never, (0.6,)),
    Case(while_in_scan, (1.4, xs3)),
    Case(loops_in_while_in_cond, (1.3, xs3)),
    Case(loops_in_while_in_cond, (-1.3, xs3)),
]
KEPT = [
    replace(case, checkpoint=1 + k % 3)
    for k, case in enumerate(CASES)
    if not case.function.__name__.startswith(("cond", "switch"))
]
CASES += KEPT
IDS = [f"{c.function.__name__}-{c.checkpoint or 'all'}-{i}" for i, c in enumerate(CASES)]
table = pytest.mark.parametrize("case", CASES, ids=IDS)


def total(f: Any) -> Any:
    """A scalar of all outputs of f."""

    def scalar(*args: Any) -> Any:
        result = 0.0
        for i, y in enumerate(tree.leaves(f(*args))):
            if dtype_of(y).kind == "f":
                result = result + fnp.sum(y * y) * (1.0 + 0.3 * i)
        return result

    return scalar


def same(got: Any, want: Any, tol: float = 1e-10) -> None:
    assert tree.structure(got) == tree.structure(want)
    for a, b in zip(tree.leaves(got), tree.leaves(want), strict=True):
        assert np.shape(a) == np.shape(b)
        if dtype_of(b) == ft.float0:  # the tangent of a counter
            assert dtype_of(a) == ft.float0
            continue
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)


def batches(args: tuple, count: int = 3) -> tuple:
    """Arguments with a leading axis along which they differ."""
    factors = np.array([0.9, 1.0, 1.15])[:count]
    return tuple(np.multiply.outer(factors, x) for x in args)


def examples(f: Any, batched: tuple, mapped: tuple) -> Any:
    rows = [f(*[x[i] if m else x for x, m in zip(batched, mapped, strict=True)]) for i in range(3)]
    return tree.map(lambda *parts: np.stack(parts), *rows)


# --- the properties ----


@table
def test_value(case: Case) -> None:
    same(case.structured(*case.args), case.plain(*case.args))


@table
def test_program_is_well_formed_and_evaluates(case: Case) -> None:
    program = make_program(case.structured)(*case.args)
    program.check()
    from functrans.core.interpret import evaluate

    outs = evaluate(program, list(case.args))
    same(outs, tree.leaves(case.plain(*case.args)))


@table
def test_jvp(case: Case) -> None:
    tangents = tuple(np.cos(np.asarray(x)) for x in case.args)
    same(
        ft.jvp(case.structured, case.args, tangents)[1],
        ft.jvp(case.plain, case.args, tangents)[1],
    )


@table
def test_linearize(case: Case) -> None:
    tangents = tuple(np.cos(np.asarray(x)) for x in case.args)
    value, push = ft.linearize(case.structured, *case.args)
    same(value, case.plain(*case.args))
    same(push(*tangents), ft.jvp(case.plain, case.args, tangents)[1])


@table
def test_gradient(case: Case) -> None:
    every = tuple(range(len(case.args)))
    got = ft.grad(total(case.structured), every)(*case.args)
    same(got, ft.grad(total(case.plain), every)(*case.args))


@table
def test_derivatives_against_differences(case: Case) -> None:
    # the third derivative of a loop that runs again for its backward pass takes half a minute
    again = case.checkpoint is not None or "while" in case.function.__name__
    order = 2 if again and case.function is not while_power else 3
    check_grads(case.structured, case.args, order, ("fwd", "rev"), atol=1e-4, rtol=1e-4)


@table
def test_second_order(case: Case) -> None:
    got = ft.hessian(total(case.structured))(*case.args)
    same(got, ft.hessian(total(case.plain))(*case.args), 1e-9)
    reverse_twice = ft.jacrev(ft.grad(total(case.structured)))(*case.args)
    same(reverse_twice, got, 1e-9)


@table
def test_vmap_over_every_set_of_arguments(case: Case) -> None:
    count = len(case.args)
    for bits in range(1, 2**count):
        mapped = tuple(bool(bits >> i & 1) for i in range(count))
        wide = batches(case.args)
        args = tuple(w if m else x for w, x, m in zip(wide, case.args, mapped, strict=True))
        axes = tuple(0 if m else None for m in mapped)
        same(ft.vmap(case.structured, axes)(*args), examples(case.plain, args, mapped))


@table
def test_vmap_of_grad_and_grad_of_vmap(case: Case) -> None:
    wide = batches(case.args)
    every = tuple(range(len(case.args)))
    mapped = (True,) * len(case.args)
    want = examples(ft.grad(total(case.plain), every), wide, mapped)
    same(ft.vmap(ft.grad(total(case.structured), every))(*wide), want)

    def batch_loss(*args: Any) -> Any:
        return fnp.sum(ft.vmap(total(case.structured))(*args))

    same(ft.grad(batch_loss, every)(*wide), want)


@table
def test_vmap_of_jvp(case: Case) -> None:
    wide = batches(case.args)
    mapped = (True,) * len(case.args)

    def tangents(f: Any) -> Any:
        def of(*args: Any) -> Any:
            leaves = tree.leaves(ft.jvp(f, args, args)[1])
            return [t for t in leaves if dtype_of(t) != ft.float0]

        return of

    same(ft.vmap(tangents(case.structured))(*wide), examples(tangents(case.plain), wide, mapped))


@table
def test_derived_programs_are_well_formed(case: Case) -> None:
    every = tuple(range(len(case.args)))
    make_program(ft.grad(total(case.structured), every))(*case.args).check()
    make_program(ft.vmap(ft.grad(total(case.structured), every)))(*batches(case.args)).check()
    forward = make_program(lambda *a: ft.jvp(ft.grad(total(case.structured), every), a, a))
    forward(*case.args).check()


@table
def test_jit(case: Case) -> None:
    same(ft.jit(case.structured)(*case.args), case.plain(*case.args))
    every = tuple(range(len(case.args)))
    want = ft.grad(total(case.plain), every)(*case.args)
    same(ft.jit(ft.grad(total(case.structured), every))(*case.args), want)
    same(ft.grad(ft.jit(total(case.structured)), every)(*case.args), want)


@table
def test_long_loops_go_on_in_compiled_code(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "WORTH_COMPILING", 1)
    same(case.structured(*case.args), case.plain(*case.args))
    every = tuple(range(len(case.args)))
    want = ft.grad(total(case.plain), every)(*case.args)
    same(ft.grad(total(case.structured), every)(*case.args), want)


# --- particular promises ----


def test_eager_and_traced_results_have_one_type() -> None:
    for case in CASES:
        eager = [np.asarray(y).dtype for y in tree.leaves(case.structured(*case.args))]
        traced = make_program(case.structured)(*case.args)
        assert eager == [a.dtype for a in traced.out_avals]


def test_weak_initial_carry_takes_the_type_of_the_body() -> None:
    carry, ys = lax.scan(lambda c, x: (c + x, c), 0.0, xs3.astype(np.float32))
    assert carry.dtype == np.float32 and ys.dtype == np.float32
    carry, _ = lax.scan(lambda c, x: (c + x, None), 0, xs3)
    assert carry.dtype == np.float64
    value = lax.while_loop(lambda v: v < 3, lambda v: v + np.float32(1), 0)
    assert value.dtype == np.float32 and value == 3
    assert lax.cond(True, lambda x: x, lambda x: 1.0, np.float32(2)).dtype == np.float32


def test_scan_of_no_steps_and_of_empty_trees() -> None:
    carry, ys = lax.scan(lambda c, x: (c + x, x), 1.0, np.zeros((0,)))
    assert carry == 1.0 and ys.shape == (0,)
    gradient = ft.grad(lambda a: lax.scan(lambda c, x: (c * x, None), a, np.zeros(0))[0])(2.0)
    assert gradient == 1.0
    assert lax.scan(lambda c, x: ((), None), (), None, length=3) == ((), None)


def test_fori_loop_is_a_scan_with_static_bounds_and_a_while_with_traced_ones() -> None:
    def power(n: Any, x: Any) -> Any:
        return lax.fori_loop(0, n, lambda i, v: v * x, 1.0)

    assert power(3, 2.0) == 8.0
    assert ft.grad(power, 1)(3, 2.0) == 12.0
    assert lax.fori_loop(2, 5, lambda i, v: v + i, 0) == 9
    assert lax.fori_loop(5, 2, lambda i, v: v + i, 7) == 7
    names = [e.primitive.name for e in make_program(power)(3, 2.0).equations]
    assert "while_loop" in names
    many = ft.vmap(power, (0, None))(np.array([0, 1, 4]), 2.0)
    np.testing.assert_array_equal(many, [1.0, 2.0, 16.0])
    assert ft.jvp(lambda x: ft.vmap(power, (0, None))(np.array([3]), x)[0], (2.0,), (1.0,))[1] == 12
    slopes = ft.vmap(ft.grad(power, 1), (0, None))(np.array([0, 1, 4]), 2.0)
    np.testing.assert_array_equal(slopes, [0.0, 1.0, 32.0])
    single = lax.fori_loop(0, 3, lambda i, v: v + i, np.float32(0))
    assert single.dtype == np.float32  # the counter is as weak as a Python int


def test_a_while_loop_that_the_gradient_does_not_pass_through() -> None:
    stop = ft.grad(lambda x: x * lax.while_loop(lambda v: v < 9.0, lambda v: v * 2.0, 1.0))
    assert stop(2.0) == 16.0


def test_batched_predicate_of_while_stops_each_example_in_its_time() -> None:
    start = np.array([1.0, 50.0, 200.0])
    out = ft.vmap(lambda v: lax.while_loop(lambda v: v < 100.0, lambda v: v * 2.0, v))(start)
    np.testing.assert_array_equal(out, [128.0, 100.0, 200.0])


def test_vmap_of_cond_selects_where_the_predicate_varies_and_only_there() -> None:
    f = lambda p, x: lax.cond(p, lambda x: x * x, lambda x: -x, x)
    x = np.array([1.0, 2.0, 3.0])
    varying = ft.vmap(f)(np.array([True, False, True]), x)
    np.testing.assert_array_equal(varying, [1.0, -2.0, 9.0])
    program = make_program(ft.vmap(f, (None, 0)))(True, x)
    assert "cond" in [e.primitive.name for e in program.equations]
    index = ft.vmap(lambda i: lax.switch(i, [lambda: 1.0, lambda: 2.0, lambda: 3.0]))
    np.testing.assert_array_equal(index(np.array([-5, 1, 7])), [1.0, 2.0, 3.0])


def test_switch_clamps_before_it_narrows_the_index() -> None:
    fs = [lambda: 0, lambda: 1, lambda: 2]
    assert lax.switch(2**40, fs) == 2
    assert lax.switch(np.int64(-(2**33)), fs) == 0
    assert lax.switch(np.uint8(200), fs) == 2


def test_a_number_is_true_as_predicate_where_it_is_not_zero() -> None:
    assert lax.cond(2, lambda: 1, lambda: 0) == 1
    assert lax.cond(0.0, lambda: 1, lambda: 0) == 0
    assert lax.cond(True, lambda x: x, lambda x: -x, operand=3) == 3
    assert lax.cond(True, lambda x: 5, lambda x: 6, operand=None) == 5


def test_body_is_traced_once() -> None:
    calls = []

    def step(c: Any, x: Any) -> Any:
        calls.append(1)
        return c * x, c

    ft.grad(lambda c: lax.scan(step, c, xs3)[0])(2.0)
    assert len(calls) == 1


def test_map_with_and_without_batches() -> None:
    x = np.arange(7.0)
    np.testing.assert_array_equal(lax.map(lambda v: v * v, x), x * x)
    for size in (1, 2, 3, 7):
        got = lax.map(lambda v: {"a": v * v}, x, batch_size=size)
        np.testing.assert_array_equal(got["a"], x * x)
    np.testing.assert_allclose(
        ft.grad(lambda x: fnp.sum(lax.map(lambda v: v * v, x, batch_size=2)))(x), 2 * x
    )


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(count: int, reverse: bool) -> None:
    rng = np.random.default_rng(count)
    a, b = rng.normal(size=(2, count, 3))

    def affine(f: Any, g: Any) -> Any:
        return f[0] * g[0], g[0] * f[1] + g[1]

    got = lax.associative_scan(affine, (a, b), reverse=reverse)
    order = range(count - 1, -1, -1) if reverse else range(count)
    state, rows = None, {}
    for i in order:
        state = (a[i], b[i]) if state is None else affine(state, (a[i], b[i]))
        rows[i] = state
    np.testing.assert_allclose(got[0], np.stack([rows[i][0] for i in range(count)]))
    np.testing.assert_allclose(got[1], np.stack([rows[i][1] for i in range(count)]))
    along = lax.associative_scan(lambda u, v: u * v, a.T, axis=1, reverse=reverse)
    want = np.cumprod(a[::-1], 0)[::-1] if reverse else np.cumprod(a, 0)
    np.testing.assert_allclose(along, want.T)
    check_grads(lambda a: lax.associative_scan(lambda u, v: u * v, a), (a,), 2)


# --- errors ----


def test_a_body_that_raises_leaves_no_state() -> None:
    class MineError(Exception):
        pass

    def step(c: Any, x: Any) -> Any:
        raise MineError

    with pytest.raises(MineError):
        ft.vmap(ft.grad(lambda x: lax.scan(step, x, xs3)[0]))(xs3)
    assert trace_depth() == 0
    assert ft.grad(lambda x: x * x)(2.0) == 4.0
