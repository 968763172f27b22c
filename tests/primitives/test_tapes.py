"""Large loops write on a tape while they run; where nobody can read it, they run again."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.compiler import tapes
from functrans.core.errors import OutOfMemoryError
from tests.primitives.steps import MODES, looped, unrolled

N = 40
W = np.random.default_rng(0).normal(size=(N, N)) / 8.0
X = np.linspace(0.0, 1.0, N)


def product(w, x):
    return lambda i, v: fnp.tanh(w @ v + 0.1 * i), x


def invariants(w, x):
    return lambda i, v: fnp.tanh((w * w.T) @ v) * fnp.exp(x), x


def tree(w, x):
    def step(i, v):
        a, (b, total) = v
        return fnp.sin(w @ a) * b, (fnp.cos(a), total + a)

    return step, (x, (1.0 - x, fnp.zeros(N)))


def branch(w, x):
    return lambda i, v: lax.cond(v[3] > 0.1, lambda v: w @ v, lambda v: fnp.sin(v), v), x


def rows(w, x):
    """What it carries is updated in place, and read where it was not."""
    return lambda i, a: a.at[i % N].set(fnp.tanh(a @ fnp.asarray(w)[i % N])), w + x


def inner(w, x):
    small = lambda v: fnp.sum(v * v) > 1.0
    return lambda i, v: lax.while_loop(small, lambda u: 0.7 * (w @ u), v + 0.4), x


def sorts(w, x):
    return lambda i, v: fnp.sort(w @ v)[::-1] * 0.9, x


def complex_numbers(w, x):
    return lambda i, z: fnp.exp(1j * (w @ z).real) * z * 0.9, x + 0.5j * x


LOOPS = [product, invariants, tree, branch, rows, inner, sorts, complex_numbers]


def _loss(loop, run, n):
    def loss(w, x):
        leaves = ft.tree.leaves(run(*loop(w, x), n))
        return sum(fnp.sum(fnp.abs(y) ** 2) for y in leaves)

    return loss


def _gradient(loop, run, n):
    return ft.grad(_loss(loop, run, n), argnums=(0, 1))


def _close(got, expected):
    for g, e in zip(ft.tree.leaves(got), ft.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [0, 1, 2, 25])
@pytest.mark.parametrize("loop", LOOPS)
def test_the_gradient_is_that_of_the_unrolled_loop(loop, n):
    gradient = ft.jit(_gradient(loop, looped, n))
    expected = _gradient(loop, unrolled, n)(W, X)
    assert "from the tape" in gradient.lower(W, X).source
    _close(gradient(W, X), expected)
    _close(gradient(W, X), expected)  # on the tape of the first call
    _close(_gradient(loop, looped, n)(W, X), expected)


@pytest.mark.parametrize("limit", [1, 30_000, 100_000])
@pytest.mark.parametrize("loop", LOOPS)
def test_what_does_not_fit_on_the_tape_goes_in_segments(loop, limit, monkeypatch):
    n = 20 + len(str(limit))  # the limit is not part of what a compiled Program is known by
    monkeypatch.setattr(tapes, "TAPE_LIMIT", limit)
    gradient = ft.jit(_gradient(loop, looped, n))
    expected = _gradient(loop, unrolled, n)(W, X)
    _close(gradient(W, X), expected)
    _close(gradient(W, X), expected)


def test_the_number_of_steps_differs_from_call_to_call():
    gradient = ft.jit(lambda w, x, n: _gradient(product, looped, n)(w, x))
    for n in (3, 0, 50, 1, 7):
        _close(gradient(W, X, n), _gradient(product, unrolled, n)(W, X))


@pytest.mark.parametrize("modes", MODES)
@pytest.mark.parametrize("loop", [product, tree, rows])
def test_further_derivatives(loop, modes):
    def derivative(run):
        f = lambda x: _loss(loop, run, 4)(W, x)
        for mode in MODES[modes]:
            f = mode(f)
        return f

    _close(ft.jit(derivative(looped))(X), derivative(unrolled)(X))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_batch_of_loops_of_equal_length_has_one_tape(loop):
    xs = np.stack([X, X[::-1] + 0.1, X * 0.3])
    batched = lambda run: lambda w: ft.vmap(_gradient(loop, run, 6), (None, 0))(w, xs)
    _close(ft.jit(batched(looped))(W), batched(unrolled)(W))


def test_a_batch_of_loops_of_equal_length_reads_the_tape():
    loss = lambda w, xs: fnp.sum(ft.vmap(lambda x: looped(*product(w, x), 6))(xs))
    xs = np.stack([X, X[::-1]])
    assert "from the tape" in ft.jit(ft.grad(loss)).lower(W, xs).source


def test_loops_that_end_at_different_times():
    def loss(x):
        going = lambda v: fnp.sum(v * v) > 1.0
        return fnp.sum(lax.while_loop(going, lambda v: fnp.sin(W @ v), x))

    xs = np.stack([X * 0.1, X * 3.0, X * 9.0])
    _close(ft.jit(ft.vmap(ft.grad(loss)))(xs), np.stack([ft.grad(loss)(x) for x in xs]))


def test_two_ways_back_read_one_tape():
    def both(w, x):
        y, pullback = ft.vjp(lambda w: looped(*product(w, x), 9), w)
        return pullback(fnp.ones_like(y)), pullback(y)

    compiled = ft.jit(both)
    assert compiled.lower(W, X).source.count("from the tape") == 2
    y, pullback = ft.vjp(lambda w: unrolled(*product(w, X), 9), W)
    _close(compiled(W, X), (pullback(np.ones_like(y)), pullback(y)))


def test_ways_back_elsewhere_run_the_loop_again():
    def outer(w, xs):  # whose loop over the rows keeps no tapes
        step = lambda total, x: (total + _loss(product, looped, 5)(w, x), None)
        return lax.scan(step, 0.0, xs)[0]

    xs = np.stack([X, X[::-1]])
    gradient = ft.jit(ft.grad(outer))
    source = gradient.lower(W, xs).source
    assert "running it again" in source and "from the tape" not in source
    expected = sum(_gradient(product, unrolled, 5)(W, x)[0] for x in xs)
    _close(gradient(W, xs), expected)


def test_calls_at_the_same_time_have_tapes_of_their_own():
    from concurrent.futures import ThreadPoolExecutor

    gradient = ft.jit(lambda w, x, n: _gradient(product, looped, n)(w, x))
    counts = [5, 60, 30, 1] * 4
    expected = {n: _gradient(product, unrolled, n)(W, X) for n in set(counts)}
    gradient(W, X, 2)
    with ThreadPoolExecutor(4) as pool:
        for n, got in zip(counts, pool.map(lambda n: gradient(W, X, n), counts), strict=True):
            _close(got, expected[n])


def test_effects_happen_once():
    seen = []

    def step(i, v):
        ft.debug.callback(lambda i: seen.append(int(i)), i)
        return fnp.tanh(W @ v)

    gradient = ft.jit(ft.grad(lambda x: fnp.sum(looped(step, x, 3))))
    gradient(X)
    assert seen == [0, 1, 2]


def test_no_memory_for_a_row(monkeypatch):
    monkeypatch.setattr(tapes, "ALIGNMENT", 1 << 50)
    gradient = ft.jit(ft.grad(lambda x: fnp.sum(looped(*product(W, x), 35))))
    with pytest.raises(OutOfMemoryError, match="while_loop with checkpoint=k"):
        gradient(X)
