"""Cotangents of arrays that are read in places are added up where they are."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax

N = 300
W = np.linspace(-1.0, 2.0, N)
M = np.stack([W, W**2, 0.5 - W], axis=1)


def summed(step, first=0.0, n=20):
    return lax.fori_loop(0, n, step, first)


def while_summed(step, first=0.0, n=20):
    return lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, step(*s)), (0, first))[1]


def one_place(w):
    return summed(lambda i, c: 0.9 * c + fnp.sin(w[i]))


def one_place_in_while(w):
    return while_summed(lambda i, c: 0.9 * c + fnp.sin(w[i]))


def several_places(w):
    return summed(lambda i, c: c * w[i] + w[2 * i] * w[(7 * i) % N], 1.0)


def several_places_in_while(w):
    return while_summed(lambda i, c: c * w[i] + w[2 * i] * w[(7 * i) % N], 1.0)


def arrays_of_places(w):
    at = np.arange(5)
    return summed(lambda i, c: fnp.tanh(c + w[i + at * i]), fnp.ones(5)).sum()


def blocks(w):
    def step(i, c):
        block = lax.dynamic_slice(w, (3 * i,), (4,))
        return fnp.tanh(0.5 * c + block * lax.dynamic_slice(w, (i,), (4,)))

    return summed(step, fnp.ones(4)).sum()


def out_of_bounds(w):
    fill = lambda i: w.at[40 * i].get(mode="fill", fill_value=2.0)
    return summed(lambda i, c: c * 0.9 + w.at[40 * i].get(mode="clip") + fill(i) ** 2)


def filled(w):
    """An array of which each element is made of the one before."""
    step = lambda i, a: a.at[i + 1].set(fnp.sin(a[i]) * w[i])
    return summed(step, (0.0 * w).at[0].set(0.5), 30).sum()


def filled_in_while(w):
    step = lambda i, a: a.at[i + 1].set(fnp.sin(a[i]) * w[i])
    return while_summed(step, (0.0 * w).at[0].set(0.5), 30).sum()


def branches(w):
    def step(i, c):
        left, right = lambda: c * w[i], lambda: c + fnp.cos(w[3 * i])
        return lax.cond(i % 3 == 0, left, right)

    return summed(step, 1.0)


def one_branch(w):
    return summed(lambda i, c: lax.cond(i % 2 == 0, lambda: c + w[i] ** 2, lambda: 0.9 * c), 1.0)


def nested_loops(w):
    inner = lambda i: summed(lambda j, d: fnp.sin(d + w[7 * i + j]), 0.1, 7)
    return summed(lambda i, c: 0.9 * c + inner(i))


def nested_while_loops(w):
    inner = lambda i: while_summed(lambda j, d: fnp.sin(d + w[7 * i + j]), 0.1, 7)
    return while_summed(lambda i, c: 0.9 * c + inner(i))


def calls(w):
    read = ft.jit(lambda w, i: w[i] * w[i + 1])
    return summed(lambda i, c: 0.9 * c + read(w, i))


def checkpoints(w):
    read = ft.checkpoint(lambda w, i: fnp.sin(w[i] * w[i + 1]))
    return summed(lambda i, c: 0.9 * c + read(w, i))


def checkpointed_loop(w):
    return lax.fori_loop(0, 20, lambda i, c: 0.9 * c + fnp.sin(c * w[i]), 1.0, checkpoint=3)


def read_whole_too(w):
    return summed(lambda i, c: c * 0.9 + w[i] * fnp.sum(w * c)) + fnp.sum(w**2)


def the_loop_carries_it(w):
    def step(i, s):
        c, v = s
        return c + v[i], v * 0.9

    return summed(step, (0.0, w))[0]


def it_is_read_and_carried(w):
    def step(i, v):
        return v * 0.9 + w[i] * v[i]

    return summed(step, w).sum()


def places_that_do_not_change(w):
    return summed(lambda i, c: fnp.tanh(c * w[3] + w[-1] * w[i] + fnp.sum(w[4:6])), 0.3)


def places_that_do_not_change_in_while(w):
    return while_summed(lambda i, c: fnp.tanh(c * w[3] + w[-1] * w[i] + fnp.sum(w[4:6])), 0.3)


def taken(w):
    return summed(lambda i, c: fnp.tanh(c + fnp.take(w, 3 * i)))


def exchanged(w):
    def step(i, a):
        here, there = fnp.stack([i, 40 - i]), fnp.stack([40 - i, i])
        return a.at[here].set(0.9 * a[there])

    return fnp.sum(summed(step, w, 30) ** 2)


def read_after_it_is_updated(w):
    def step(i, s):
        a, x = s
        return a.at[3 * i].add(x), 0.9 * x + a[3 * i] + w[i]

    a, x = summed(step, (w, 0.5))
    return fnp.sum(a * a) + x


def straight_line(w):
    return w[3] * w[4] + fnp.sum(w[fnp.array([3, 5, 3])] ** 2) + fnp.sum(w)


def rows(w):
    m = fnp.stack([w, w * w], axis=1)
    return summed(lambda i, c: fnp.tanh(0.5 * c + m[i]), fnp.zeros(2)).sum()


FUNCTIONS = [
    one_place, one_place_in_while, several_places, several_places_in_while, arrays_of_places,
    blocks, out_of_bounds, filled, filled_in_while, branches, one_branch, nested_loops,
    nested_while_loops, calls, checkpoints, checkpointed_loop, read_whole_too, the_loop_carries_it,
    it_is_read_and_carried, places_that_do_not_change, places_that_do_not_change_in_while, taken,
    exchanged, read_after_it_is_updated, straight_line, rows,
]  # fmt: skip


@pytest.mark.parametrize("f", FUNCTIONS)
def test_reverse_mode_is_forward_mode(f):
    expected = ft.jacfwd(f)(W)
    np.testing.assert_allclose(ft.grad(f)(W), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(ft.jit(ft.grad(f))(W), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_second_derivatives(f):
    direction = np.cos(np.arange(N))
    along = lambda x: ft.jvp(f, (x,), (direction,))[1]
    expected = ft.jvp(ft.grad(f), (W,), (direction,))[1]
    twice = ft.jit(ft.grad(lambda x: fnp.vdot(ft.grad(f)(x), direction)))
    np.testing.assert_allclose(ft.jit(ft.grad(along))(W), expected, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(twice(W), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("f", FUNCTIONS)
def test_batches(f):
    ws = np.stack([W, W[::-1] * 0.5])
    expected = np.stack([ft.grad(f)(w) for w in ws])
    batched = ft.jit(ft.vmap(ft.grad(f)))
    np.testing.assert_allclose(batched(ws), expected, rtol=1e-10, atol=1e-12)
    total = lambda ws: fnp.sum(ft.vmap(f)(ws))
    np.testing.assert_allclose(ft.jit(ft.grad(total))(ws), expected, rtol=1e-10, atol=1e-12)


def _elements_per_step(f, n):
    """Of the arrays that the kernels inside of loops write whole."""
    source = ft.jit(ft.grad(f)).lower(np.ones(n)).source
    schedule = source.split("\n\n")[0].splitlines()
    inside = {line.split("(")[0].strip() for line in schedule if line.startswith(" ")}
    kernels = [k for k in source.split("\n\n")[1:] if k[4:25] in inside]
    return [line for k in kernels for line in k.splitlines() if f"range({n})" in line]


IN_PLACES = [
    one_place, one_place_in_while, several_places, several_places_in_while, arrays_of_places,
    blocks, out_of_bounds, filled, filled_in_while, branches, one_branch, nested_loops,
    nested_while_loops, calls, rows, places_that_do_not_change, places_that_do_not_change_in_while,
    taken, exchanged, read_after_it_is_updated,
]  # fmt: skip


@pytest.mark.parametrize("f", IN_PLACES)
def test_a_step_costs_what_it_reads(f):
    assert not _elements_per_step(f, 5000)


def test_what_is_read_whole_is_added_whole():
    assert _elements_per_step(read_whole_too, 5000)
