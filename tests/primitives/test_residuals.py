"""What a scan keeps of each step for its backward pass: what nothing else gives, and only once.

A row is a function of (w, c, xs) with a loop in it, over a namespace as in tests/lax/constructs.py,
and the types that the loops of its gradient stack besides the results that the user asked for, by
step. w and c are of R³, xs of R⁴ˣ³, and loops take four steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.program import Equation, Program, programs_in
from functrans.core.simplify import share_equal
from functrans.transforms.inspect import make_program
from tests.lax.constructs import Plain, Structured

W, C, XS = np.array([0.3, 0.5, 0.7]), np.array([0.2, -0.4, 0.6]), np.linspace(-0.7, 1.0, 12)
XS = XS.reshape(4, 3)

CONSTANT = np.array([0.6, -0.3, 0.2])

VECTOR, MATRIX = np.array([0.4, 0.7]), np.array([[0.3, 0.2], [0.1, -0.5]])

STACKED: dict[str, tuple[Callable[..., Any], list[str]]] = {}


def stacks(*types: str) -> Any:
    def register(f: Any) -> Any:
        STACKED[f.__name__] = f, sorted(types)
        return f

    return register


def over(s: Any, f: Any, carry: Any, xs: Any, **options: Any) -> Any:
    """The last carry of a scan without results."""
    return s.scan(lambda c, x: (f(c, x), None), carry, xs, **options)[0]


# --- nothing ----


@stacks()
def linear_body(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return s.scan(lambda c, x: (0.5 * c[::-1] + x, 2.0 * c), c, xs)


@stacks()
def invariant_factor(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: np.array([0.1, 0.2, 0.3]) * c + x, c, xs)


@stacks()
def slices(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: c + x * x * (3.0 - x) + w * x, c, xs)


@stacks()
def carry_that_is_a_result(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return s.scan(lambda c, x: (c * c + x, c), c, xs)


@stacks()
def counter(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return s.fori_loop(1, 5, lambda i, c: c * (0.1 * i) + i, c)


@stacks()
def counter_of_a_scan_backward(s: Any, w: Any, c: Any, xs: Any) -> Any:
    step = lambda c, x: (c[0] + 3, c[1] * (0.1 * c[0]) + x)
    return over(s, step, (2, c), xs, reverse=True)[1]


@stacks()
def counter_that_wraps(s: Any, w: Any, c: Any, xs: Any) -> Any:
    step = lambda c, _: (c[0] + np.int8(-100), c[1] * (0.01 * c[0]))
    return over(s, step, (np.int8(-90), c), None, length=4)[1]


@stacks()
def element_at_a_counter(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return s.fori_loop(0, 4, lambda i, c: c + w[(i + 1) % 3] * xs[3 - i], c)


# --- the carry, or less ----


@stacks("f64[3]")
def square(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: c * c * x, c, xs)


@stacks("f64[3]")
def multiples_of_the_carry(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: (2.0 * c) * (2.0 * c) - c * x + c / 4.0 * (-c), c, xs)


@stacks("f64[3]")
def invariant_of_w(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: fnp.sin(w) * c + fnp.outer(w, w) @ x, c, xs)


@stacks("f64[3]")
def quotient(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: x / (1.5 + c), c, xs)


@stacks("f64[3]")
def result_of_tanh(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """The next carry is a result, of which the derivative is made; the carry is for w."""

    def step(c: Any, x: Any) -> Any:
        y = fnp.tanh(w * c + x)
        return y, y

    return s.scan(step, c, xs)


@stacks("f64[3]")
def exponential(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: fnp.exp(-c) + x, c, xs)


@stacks("f64[3]", "f64[3]")
def functions_of_slices(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """Each once, though both derivatives read the sine."""
    return over(s, lambda c, x: 0.5 * c + fnp.sin(x) * fnp.sin(x) * w, c, xs)


@stacks("f64[]")
def number_that_is_spread_out(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """The number, which is spread out again, and not the array."""
    return over(s, lambda c, x: fnp.sum(fnp.ones(3) * c * w * c), 0.3, None, length=4)


# --- comparisons ----


@stacks("bool[3]")
def where(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: fnp.where(c > x, 0.5 * c, x - c), c, xs)


@stacks("bool[3]", "bool[3]")
def maximum(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """Greater, and equal."""
    return over(s, lambda c, x: fnp.maximum(0.5 * c, x), c, xs)


@stacks("bool[3]")
def relu(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: ft.nn.relu(c) - x, c, xs)


@stacks("bool[3]", "f64[]")
def largest(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """Which it is, and of how many equal ones."""
    return over(s, lambda c, x: x - 0.5 * fnp.max(c), c, xs)


@stacks("f64[3]")
def absolute_value(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return over(s, lambda c, x: 0.5 * fnp.abs(c) - x, c, xs)


# --- nests ----


@stacks("f64[4,3]", "f64[3]")
def scan_in_scan(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """The carries of the loop inside, by step outside; those of one run, inside."""
    inner = lambda c: over(s, lambda d, x: fnp.sin(w) * d + x, c, xs)
    return over(s, lambda c, x: inner(c) + x, c, xs)


@stacks("f64[3]")
def jitted_body(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """What the call computes of w alone is no result of it that differs."""
    step = s.jit(lambda c, x: fnp.sin(w) * c * 2.0 * c + s.jit(lambda x: x * x)(x))
    return over(s, step, c, xs)


@stacks()
def linear_scan_in_scan(s: Any, w: Any, c: Any, xs: Any) -> Any:
    inner = lambda c: over(s, lambda d, x: 0.4 * d + x, c, xs)
    return over(s, lambda c, x: inner(c) + x, c, xs)


@stacks("f64[3]")
def scan_in_cond(s: Any, w: Any, c: Any, xs: Any) -> Any:
    loop = lambda c: over(s, lambda c, x: c * x * fnp.sin(w), c, xs)
    return s.cond(w[0] > 0.0, loop, lambda c: c * w, c)


@stacks("f64[3]")
def cond_in_scan(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """What its branch is, is asked of x again."""
    step = lambda c, x: s.cond(x[0] > 0.0, lambda c: c * c, lambda c: 2.0 * c, c)
    return over(s, step, c, xs)


# --- branches ----


def choosing(s: Any, f: Any, g: Any, carry: Any, xs: Any, **options: Any) -> Any:
    """The last carry of a loop whose steps take f where x[0] is positive."""
    return over(s, lambda c, x: s.cond(x[0] > 0.0, f, g, c), carry, xs, **options)


@stacks("bool[]")
def invariant_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """Whether a step took the branch; the sine of w, once."""
    v = fnp.sin(w)
    return choosing(s, lambda c: fnp.sin(CONSTANT + v) + c, lambda c: c + w[0], c, xs)


@stacks("bool[]", "f64[3]")
def invariant_factor_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return choosing(s, lambda c: c * fnp.exp(w), lambda c: c + w[0], c, xs)


@stacks("f64[3]")
def operand_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return choosing(s, lambda c: c * w, lambda c: c, c, xs)


@stacks()
def constant_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return choosing(s, lambda c: c * fnp.exp(CONSTANT), lambda c: c * CONSTANT, c, xs)


@stacks("bool[]", "bool[]", "f64[3]")
def invariants_in_both_branches(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return choosing(s, lambda c: c * fnp.exp(w), lambda c: c * fnp.cos(w), c, xs)


@stacks("bool[]", "bool[]", "f64[3]")
def invariants_in_a_switch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    choices = [lambda c: c * fnp.exp(w), lambda c: c * w, lambda c: c * fnp.cos(w)]
    return over(s, lambda c, x: s.switch(fnp.floor(3.0 * x[0]).astype(int), choices, c), c, xs)


@stacks("bool[]", "f64[3]")
def jit_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    product = s.jit(lambda c: c * w * s.jit(fnp.exp)(w))
    return choosing(s, product, lambda c: c, c, xs)


@stacks("f64[3]")
def checkpoint_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return choosing(s, s.checkpoint(lambda c: c * fnp.exp(w)), lambda c: c, c, xs)


@stacks("bool[]", "f64[3]")
def cond_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    inner = lambda x, c: s.cond(x[1] > 0.9, lambda c: c * fnp.exp(w), lambda c: c, c)
    return over(s, lambda c, x: s.cond(x[0] > 0.0, inner, lambda x, c: c, x, c), c, xs)


@stacks("bool[]", "f64[3]", "i32[]")
def cond_by_the_carry_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """Which branch it is, is not summed up again."""
    inner = lambda c: s.cond(fnp.sum(c) > 0.4, lambda c: c * fnp.exp(w), lambda c: c, c)
    return choosing(s, inner, lambda c: c, c, xs)


@stacks("bool[]", "f64[4,3]", "f64[3]")
def scan_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    loop = lambda c: over(s, lambda d, x: d * fnp.sin(w) + x, c, xs)
    return choosing(s, loop, lambda c: c, c, xs)


@stacks("bool[]", "bool[]", "bool[]", "f64[4,3]", "f64[3]", "i32[]")
def scan_with_branches_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    """Whether the loop inside took its branch is kept as well."""
    loop = lambda c: choosing(s, lambda d: d * fnp.sin(w), lambda d: d, c, xs[::-1])
    return choosing(s, loop, lambda c: c, c, xs)


@stacks("bool[]", "f64[3]")
def fori_loop_with_branches(s: Any, w: Any, c: Any, xs: Any) -> Any:
    step = lambda i, c: s.cond(i % 2 == 0, lambda c: c * fnp.exp(w), lambda c: c, c)
    return s.fori_loop(0, 4, step, c)


@stacks("f64[3]")
def multiples_of_the_carry_in_a_branch(s: Any, w: Any, c: Any, xs: Any) -> Any:
    return choosing(s, lambda c: (2.0 * c) * (2.0 * c) - c * c, lambda c: c, c, xs)


def scans(program: Program) -> Iterator[Equation]:
    for e in program.equations:
        if e.primitive.name == "scan":
            yield e
        for p in programs_in(e.params):
            yield from scans(p)


def loss(f: Any, s: Any) -> Any:
    return lambda w, c, xs: sum(fnp.sum(y * y) for y in ft.tree.leaves(f(s, w, c, xs)))


def gradient(f: Any) -> Any:
    return ft.grad(loss(f, Structured), (0, 1, 2))


@pytest.mark.parametrize("name", STACKED)
def test_what_is_stacked(name: str) -> None:
    f, want = STACKED[name]
    plain = scans(ft.make_program(lambda *args: f(Structured, *args))(W, C, XS))
    asked = {e.params["program"].name: len(e.outputs) for e in plain}
    bodies = [e.params["program"] for e in scans(ft.make_program(gradient(f))(W, C, XS))]
    forward = [b for b in bodies if b.name in asked]
    assert forward
    got = [str(v.aval) for b in forward for v in b.outputs[asked[b.name] :]]
    assert sorted(got) == want


@pytest.mark.parametrize("name", STACKED)
def test_derivatives_are_those_of_the_loop_written_out(name: str) -> None:
    f, _ = STACKED[name]
    want = ft.jacfwd(loss(f, Plain), (0, 1, 2))(W, C, XS)
    for way in (lambda g: g), ft.jit:
        for got, gradients in zip(way(gradient(f))(W, C, XS), want, strict=True):
            np.testing.assert_allclose(got, gradients, rtol=1e-12, atol=1e-12)
    along = lambda w, c, xs: fnp.sum(gradient(f)(w, c, xs)[1] * C)
    hessian = ft.jacfwd(ft.jacfwd(loss(f, Plain), 1), 1)(W, C, XS)
    np.testing.assert_allclose(ft.grad(along, 1)(W, C, XS), C @ hessian, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("f", [invariant_of_w, jitted_body, scan_in_scan, scan_in_cond])
def test_what_does_not_change_is_computed_outside_of_the_loops(f: Any) -> None:
    for e in scans(ft.make_program(gradient(f))(W, C, XS)):
        names = {inner.primitive.name for inner in e.params["program"].equations}
        assert names.isdisjoint({"sin", "cos"})


def test_constants_are_not_stacked_under_vmap() -> None:
    """Nor where every example has its own."""
    rows = np.stack([W, 2 * W])
    program = ft.make_program(ft.vmap(gradient(invariant_of_w), (0, None, None)))(rows, C, XS)
    for e in scans(program):
        carry = e.params["num_carry"]
        assert [v.aval.shape for v in e.outputs[carry:]] in ([], [(4, 2, 3)])


def test_equal_equations_are_shared() -> None:
    program = ft.make_program(lambda x: fnp.sin(x) * fnp.sin(x) + fnp.sin(-x) * -x)(1.0)
    shared = share_equal(program)
    shared.check()
    names = [e.primitive.name for e in shared.equations]
    assert names.count("sin") == 2 and names.count("neg") == 1
    assert share_equal(shared) is shared


EXTREMA = {
    "max": lambda y: fnp.max(y, 1),
    "at max": lambda y: ft.at(np.zeros((7, 100)))[np.arange(64) % 7].max(y),
}


@pytest.mark.parametrize("name", EXTREMA)
def test_extrema_are_looked_for_among_the_same_numbers(name: str) -> None:
    """Where the product is read twice it is not contracted into the sum, elsewhere it is."""

    def loss(x: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            y = x * c
            return 0.9 * c, fnp.sum(EXTREMA[name](y + 1.0)) + fnp.sum(y * y * y)

        return fnp.sum(ft.lax.scan(step, 0.7, x)[1])

    x = np.random.default_rng(0).normal(size=(5, 64, 100))
    np.testing.assert_allclose(ft.jit(ft.grad(loss))(x), ft.grad(loss)(x), 1e-12)


def test_invariant_residuals_are_not_stacked() -> None:
    def f(w: Any) -> Any:
        return lax.scan(lambda c, x: (fnp.dot(w * w, c), None), VECTOR, None, length=50)[0]

    _, push = ft.linearize(f, MATRIX)
    program = make_program(lambda w: ft.vjp(f, w)[1](VECTOR))(MATRIX)
    scans = [e for e in program.equations if e.primitive.name == "scan"]
    backward = scans[-1]
    counts = backward.params["num_consts"] + backward.params["num_carry"]
    stacked = [a.aval.shape for a in backward.inputs[counts:]]
    # of the residuals only the carry differs from step to step; w * w and 2 w do not
    assert stacked == [(50, 2)]
    assert push(np.zeros_like(MATRIX)).shape == (2,)


def test_residuals_that_are_the_xs_are_not_stored_again() -> None:
    def f(c: Any, xs: Any) -> Any:
        return lax.scan(lambda c, x: (c * x, None), c, xs)[0]

    forward = make_program(lambda c: ft.vjp(lambda c: f(c, C), c)[1](1.0))(2.0)
    first = next(e for e in forward.equations if e.primitive.name == "scan")
    assert [v.aval.shape for v in first.outputs] == [()]
