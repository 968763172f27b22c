"""Loops whose backward pass reads a tape: it is as long as the loop, or goes segment by segment."""

import itertools

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.compiler import recordings
from functrans.core.errors import OutOfMemoryError
from tests.primitives.steps import MODES, looped, unrolled

X = np.array([0.3, -0.7, 1.1])


def damped(i, v):
    return v - 0.1 * fnp.sin(v) * v[::-1]


def scaled_by(w):
    return lambda i, v: fnp.tanh(v * w[0] + w[1:].sum() * i * 0.01)


def tree(i, v):
    a, (b, c) = v
    return a * fnp.cos(b), (b + 0.1 * a[:2].sum(), c + a * b)


def branch(i, v):
    return lax.cond(v[0] > 0.2, lambda v: v * 0.9, lambda v: fnp.sin(v) + 0.3, v)


def inner(i, v):
    return lax.while_loop(lambda u: fnp.sum(u * u) > 1.0, lambda u: u * 0.7, v + 0.4)


def turned(i, z):
    return z * fnp.exp(1j * z.real) * 0.9


def network(i, v):
    hidden = fnp.tanh(fnp.outer(np.linspace(-1.0, 1.0, 8), v).reshape(-1) + 0.1 * i)
    return v * 0.8 + 0.1 * hidden.reshape(8, 3).sum(0)


def places(i, v):
    v = fnp.asarray(v)
    return v.at[(5 * i) % 12].set(fnp.sin(v[(7 * i) % 12]) + v[3])


def place_and_number(i, v):
    a, b = fnp.asarray(v[0]), v[1]
    return a.at[i % 12].add(fnp.cos(b)), b * 0.9 + a[(3 * i) % 12]


LOOPS = {  # loop → (arguments → the function of the step, the first value)
    "an array": lambda x: (damped, x),
    "a captured array": lambda x: (scaled_by(x), x * 0.5),
    "a tree": lambda x: (tree, (x, (x[0], fnp.zeros(3)))),
    "a branch": lambda x: (branch, x),
    "a loop inside": lambda x: (inner, x),
    "heavy functions of many": lambda x: (network, x),
    "complex": lambda x: (turned, x + 0.5j * x),
    "an array updated in place": lambda x: (places, fnp.concatenate([x, x + 1, x * 2, -x])),
    "an array and a number": lambda x: (
        place_and_number,
        (fnp.concatenate([x, x + 1, x * 2, -x]), x[0]),
    ),
    "float32": lambda x: (damped, x.astype(np.float32)),
    "nothing is read": lambda x: (lambda i, v: v + x, x),
}


def _loss(name, run, n):
    def loss(x):
        leaves = ft.tree.leaves(run(*LOOPS[name](x), n))
        return sum(fnp.sum(fnp.abs(y) ** 2) for y in leaves)

    return loss


def _compiled(f, *args):
    """The function compiled, whose backward pass is one `recorded_loop`."""
    compiled = ft.jit(f)
    assert "# recorded_loop in registers" in compiled.lower(*args).source
    return compiled


def _tolerance(name):
    return 1e-4 if name == "float32" else 1e-10


@pytest.mark.parametrize("n", [0, 1, 2, 40])
@pytest.mark.parametrize("name", LOOPS)
def test_the_gradient_is_that_of_the_unrolled_loop(name, n):
    gradient = _compiled(ft.grad(_loss(name, looped, n)), X)
    np.testing.assert_allclose(
        gradient(X), ft.grad(_loss(name, unrolled, n))(X), rtol=_tolerance(name), atol=1e-12
    )


@pytest.mark.parametrize("modes", MODES)
@pytest.mark.parametrize("name", [n for n in LOOPS if n != "float32"])
def test_derivatives_of_any_order_take_few_recorded_loops(name, modes):
    def derivative(run):
        f = _loss(name, run, 6)
        for mode in MODES[modes]:
            f = mode(f)
        return f

    compiled = ft.jit(derivative(looped))
    np.testing.assert_allclose(compiled(X), derivative(unrolled)(X), rtol=1e-9, atol=1e-9)
    loops = compiled.lower(X).source.count("# recorded_loop in registers")
    assert loops <= 2 ** (len(MODES[modes]) - 1)


TAPES = {  # bytes on the stack, bytes of rows; steps, so that no two of them are one Program
    "memory of the system": (0, 1 << 20, 31),
    "a step at a time": (4096, 1, 32),
    "segments on the stack": (4096, 200, 33),
    "segments in memory": (0, 500, 34),
}


@pytest.mark.parametrize("tape", TAPES)
@pytest.mark.parametrize("name", LOOPS)
def test_every_tape_gives_the_same_gradient(name, tape, monkeypatch):
    stack, limit, n = TAPES[tape]
    expected = ft.grad(_loss(name, unrolled, n))(X)
    monkeypatch.setattr(recordings, "STACK_BYTES", stack)
    monkeypatch.setattr(recordings, "TAPE_LIMIT", limit)
    gradient = _compiled(ft.grad(_loss(name, looped, n)), X)
    np.testing.assert_allclose(gradient(X), expected, rtol=_tolerance(name), atol=1e-12)


def halvings(x):
    """As many steps as the value asks for."""
    return lax.while_loop(lambda v: v > 1.0, lambda v: v * 0.5 + 0.1 * fnp.sin(v), x)


@pytest.mark.parametrize("count", [27, 29, 31, 33])
def test_names_of_many_cells_and_of_rows_differ(count):
    numbers = tuple(0.5 + k for k in range(count))

    def loss(run):
        return lambda x: run(lambda i, v: (v[0] * x + sum(v[1:]), *v[1:]), (x, *numbers), 3)[0]

    gradient = _compiled(ft.grad(loss(looped)), 1.5)
    np.testing.assert_allclose(gradient(1.5), ft.grad(loss(unrolled))(1.5), rtol=1e-12)


def test_examples_have_tapes_of_their_own():
    xs = np.linspace(0.5, 1e6, 40)
    expected = [ft.grad(halvings)(x) for x in xs]
    compiled = ft.jit(ft.vmap(ft.grad(halvings)))
    np.testing.assert_allclose(compiled(xs), expected, rtol=1e-12)
    assert "scan in registers" in compiled.lower(xs).source  # forward and backward, without blocks


ORDERS = list(itertools.product((ft.grad, ft.jacfwd, ft.jacrev), repeat=2))


@pytest.mark.parametrize(("outer", "middle"), ORDERS)
def test_further_derivatives(outer, middle):
    f = lambda x: halvings(x) ** 2
    expected = outer(
        middle(ft.grad(lambda x: unrolled(lambda i, v: v * 0.5 + 0.1 * fnp.sin(v), x, 7) ** 2))
    )
    np.testing.assert_allclose(ft.jit(outer(middle(ft.grad(f))))(60.0), expected(60.0), rtol=1e-10)


def test_no_memory_for_the_tape(monkeypatch):
    monkeypatch.setattr(recordings, "ROW_ALIGNMENT", 1 << 46)
    monkeypatch.setattr(recordings, "TAPE_LIMIT", 1 << 60)
    gradient = ft.jit(ft.grad(lambda x: fnp.sum(looped(damped, x, 35))))
    with pytest.raises(OutOfMemoryError, match="while_loop with checkpoint=k"):
        gradient(X)
