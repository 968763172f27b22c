"""Simplification: each identity does what it says, and none changes a result, not even its bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import numpy as fnp
from functrans.compiler.lower import own_outputs, prepare
from functrans.compiler.simplify import drop_barriers, drop_unused, rewrite, simplify
from functrans.core.interpret import evaluate
from functrans.core.primitive import registry
from functrans.core.program import Literal, Program
from functrans.core.simplify import inline_calls
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, aval_of

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 5e-324, 1.7e308, 0.1])
X = np.arange(6.0).reshape(2, 3)


def bind(name: str, *args: Any, **params: Any) -> Any:
    return registry[name].bind(*args, **params)


def program_of(f: Callable[..., Any], *args: Any) -> Program:
    return make_program_flat(lambda xs: _listed(f(*xs)), [aval_of(x) for x in args])


def _listed(x: Any) -> list[Any]:
    return list(x) if isinstance(x, list | tuple) else [x]


def names(program: Program) -> list[str]:
    return [e.primitive.name for e in program.equations]


def bits(x: Any) -> bytes:
    return np.asarray(x).tobytes()


def check(f: Callable[..., Any], *args: Any) -> Program:
    """The simplified Program, checked to be well formed and to give the same bits."""
    program = program_of(f, *args)
    simple = simplify(program)
    simple.check()
    assert simple.in_avals == program.in_avals and simple.out_avals == program.out_avals
    with np.errstate(all="ignore"):
        for got, want in zip(evaluate(simple, args), evaluate(program, args), strict=True):
            assert bits(got) == bits(want)
    return simple


T = lambda x, *p: bind("transpose", x, permutation=p)
R = lambda x, *s: bind("reshape", x, shape=s)

IDENTITIES: dict[str, tuple[Callable[..., Any], tuple[Any, ...], list[str]]] = {
    "x * 1": (lambda x: x * np.float64(1), (SPECIAL,), []),
    "1 * x": (lambda x: np.float64(1) * x, (SPECIAL,), []),
    "x / 1": (lambda x: x / np.float64(1), (SPECIAL,), []),
    "-(-x)": (lambda x: fnp.negative(-x), (SPECIAL,), []),
    "x * 1 of integers": (lambda x: x * np.int64(1), (np.arange(3),), []),
    "convert to itself": (lambda x: bind("convert", x, dtype=x.dtype), (X,), []),
    "reshape to itself": (lambda x: R(x, 2, 3), (X,), []),
    "reshape of reshape": (lambda x: R(R(x, 6), 3, 2), (X,), ["reshape"]),
    "reshape there and back": (lambda x: R(R(x, 6), 2, 3), (X,), []),
    "transpose of transpose": (lambda x: T(T(x, 1, 0), 1, 0), (X,), []),
    "transpose by nothing": (lambda x: T(x, 0, 1), (X,), []),
    "transposes composed": (
        lambda x: T(T(x, 1, 2, 0), 1, 0, 2),
        (np.arange(24.0).reshape(2, 3, 4),),
        ["transpose"],
    ),
    "broadcast to itself": (lambda x: bind("broadcast", x, shape=(2, 3)), (X,), []),
    "broadcast operand": (
        lambda x, y: x + bind("broadcast", y, shape=(2, 3)),
        (X, X[0]),
        ["add"],
    ),
    "reduction over no axes": (lambda x: bind("reduce_sum", x, axes=()), (X,), []),
    "select of equals": (lambda c, x: bind("select", c, x, x), (X > 2, X), []),
    "select by True": (lambda x, y: bind("select", np.bool_(True), x, y), (X, -X), []),
    "select by False": (lambda x, y: bind("select", np.bool_(False), x, y), (X, -X), []),
    "first power": (lambda x: bind("integer_pow", x, exponent=1), (SPECIAL,), []),
    "square": (lambda x: bind("integer_pow", x, exponent=2), (SPECIAL,), ["mul"]),
    "stop_gradient": (lambda x: bind("stop_gradient", x), (X,), []),
    "name": (lambda x: registry["name"].bind(x, name="here"), (X,), []),
    "common terms": (lambda x: fnp.sin(x) + fnp.sin(x), (X,), ["sin", "add"]),
    "common terms in other order": (lambda x, y: (x + y) * (y + x), (X, X + 1), ["add", "mul"]),
    "common terms of literals": (lambda x: (x + 2.0) * (x + 2.0), (X,), ["add", "mul"]),
    "dead": (lambda x: [x * 2.0, fnp.sin(x)][:1], (X,), ["mul"]),
    "constants": (lambda x: x * bind("add", np.float64(2), np.float64(3)), (X,), ["mul"]),
    "transposed product": (lambda x, y: T(x @ y.T, 1, 0), (X, X + 1), ["dot_general"]),
    "call": (lambda x: ft.jit(lambda y: ft.jit(fnp.sqrt)(y) * 2.0)(x), (X,), ["sqrt", "mul"]),
    "barrier": (lambda x: bind("optimization_barrier", x, x), (X,), ["optimization_barrier"]),
}


@pytest.mark.parametrize("name", list(IDENTITIES))
def test_identity(name: str) -> None:
    f, args, want = IDENTITIES[name]
    assert names(check(f, *args)) == want


STAYS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "x * 0": (lambda x: x * np.float64(0), (SPECIAL,)),
    "x + 0": (lambda x: x + np.float64(0), (SPECIAL,)),
    "x - 0": (lambda x: x - np.float64(0), (SPECIAL,)),
    "0 - x": (lambda x: np.float64(0) - x, (SPECIAL,)),
    "x - x": (lambda x: x - x, (SPECIAL,)),
    "x / x": (lambda x: x / x, (SPECIAL,)),
    "x * -1": (lambda x: x * np.float64(-1), (SPECIAL,)),
    "x == x": (lambda x: x == x, (SPECIAL,)),
    "max of itself": (lambda x: fnp.maximum(x, x), (SPECIAL,)),
    "complex times one": (
        lambda z: z * np.complex128(1),
        (np.array([complex(np.inf, 1), complex(-0.0, -1.0), complex(np.nan, 2)]),),
    ),
    "complex over one": (
        lambda z: z / np.complex128(1),
        (np.array([complex(np.inf, 1), complex(-0.0, -1.0)]),),
    ),
    "zeroth power": (lambda x: bind("integer_pow", x, exponent=0), (SPECIAL,)),
    "narrowing and widening": (lambda x: x.astype("f4").astype("f8"), (SPECIAL,)),
    "weak to strong": (lambda x: bind("convert", x, dtype=np.dtype("f8")), (2.0,)),
    "times an array of ones": (lambda x: x * np.ones((2, 3)), (X[0],)),
    "times one of more axes": (lambda x: x * np.ones((1, 1)), (X[0],)),
    "different parameters": (lambda x: x[0] + x[1], (X,)),
    "different fills of one meaning": (lambda x: fnp.pad(x, 1) + fnp.flip(fnp.pad(x, 1)), (X,)),
}


@pytest.mark.parametrize("name", list(STAYS))
def test_what_only_looks_like_an_identity_stays(name: str) -> None:
    f, args = STAYS[name]
    assert names(check(f, *args))


FLOATS = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(FLOATS, min_size=1, max_size=4),
    st.lists(
        st.sampled_from(["add", "sub", "mul", "div", "neg", "max", "min", "square", "select"]),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, np.inf, np.nan]), min_size=8, max_size=8),
    st.lists(st.booleans(), min_size=8, max_size=8),
)
def test_no_rewriting_changes_a_bit(
    values: list[float], operations: list[str], constants: list[float], sides: list[bool]
) -> None:
    """Chains of operations on constants 0, -0, 1, inf, nan: not even the sign of a zero changes."""

    def f(x: Any) -> Any:
        y = x
        for name, c, left in zip(operations, constants, sides, strict=False):
            if name == "neg":
                y = -y
            elif name == "square":
                y = bind("integer_pow", y, exponent=2)
            elif name == "select":
                y = bind("select", np.bool_(left), y, -x)
            else:
                y = bind(name, *((np.float64(c), y) if left else (y, np.float64(c))))
        return [y, bind("div", np.float64(1), y)]

    program = program_of(f, np.array(values))
    simple = simplify(program)
    simple.check()
    with np.errstate(all="ignore"):
        got, want = evaluate(simple, [np.array(values)]), evaluate(program, [np.array(values)])
        compiled = ft.jit(f)(np.array(values))
    for g, c, w in zip(got, compiled, want, strict=True):
        np.testing.assert_array_equal(np.isnan(g), np.isnan(w))
        np.testing.assert_array_equal(np.isnan(c), np.isnan(w))
        known = ~np.isnan(w)  # a nan's sign and payload mean nothing
        assert bits(np.asarray(g)[known]) == bits(np.asarray(w)[known])
        assert bits(np.asarray(c)[known]) == bits(np.asarray(w)[known])


def test_signs_of_zeros_do_not_merge() -> None:
    f = lambda x: [x * np.float64(0.0), x * np.float64(-0.0)]
    simple = check(f, np.ones(3))
    assert len(simple.equations) == 2


def test_folding_is_of_small_constants_only() -> None:
    small = check(lambda x: x + bind("iota", shape=(3,), axis=0, dtype=np.dtype("f8")) * 2.0, X)
    assert names(small) == ["add"]
    large = check(
        lambda x: x + bind("iota", shape=(300,), axis=0, dtype=np.dtype("f8")) * 2.0, np.ones(300)
    )
    assert "iota" in names(large)


def test_folding_keeps_the_type() -> None:
    simple = check(lambda x: [np.float32(2) * x, bind("add", np.int8(100), np.int8(100))], X[0])
    literal = simple.outputs[1]
    assert (
        isinstance(literal, Literal) and literal.aval == Aval((), np.int8) and literal.value == -56
    )


def test_effects_are_neither_dropped_nor_merged() -> None:
    def f(x: Any) -> Any:
        ft.debug.callback(lambda v: None, x)
        ft.debug.callback(lambda v: None, x)
        return x * 2.0

    simple = simplify(ft.make_program(f)(X))
    assert names(simple).count("debug_callback") == 2


def test_barriers_keep_apart_what_they_separate() -> None:
    def f(x: Any) -> Any:
        (y,) = bind("optimization_barrier", x)
        return fnp.sin(x) + fnp.sin(y)

    assert names(check(f, X)) == ["optimization_barrier", "sin", "sin", "add"]
    assert names(prepare(program_of(f, X))) == ["sin", "sin", "add"]
    assert names(drop_barriers(program_of(f, X))).count("sin") == 2


def test_passes_alone() -> None:
    f = lambda x: ft.jit(lambda y: fnp.sqrt(y) * np.float64(1) + 0 * fnp.square(y))(x)
    program = program_of(f, X)
    for step in (inline_calls, rewrite, drop_unused, drop_barriers, own_outputs, prepare):
        simple = step(program)
        simple.check()
        np.testing.assert_array_equal(evaluate(simple, [X])[0], evaluate(program, [X])[0])
        again = step(simple)
        assert again == simple, f"{step.__name__} does more when run again"


def test_every_output_is_an_array_of_its_own() -> None:
    program = program_of(lambda x: [x, x, np.float64(2), x * 2.0, X], X)
    own = own_outputs(program)
    own.check()
    assert len({id(v) for v in own.outputs}) == 5
    assert not set(own.outputs) & set(own.inputs)
    assert names(own).count("copy") == 4


def test_equal_programs_after_simplification_of_different_writing() -> None:
    f = simplify(program_of(lambda x: fnp.sin(x) * np.float64(1), X))
    g = simplify(program_of(lambda x: fnp.sin(fnp.negative(-x)), X))
    assert f == g


def test_ten_thousand_equations_simplify_in_linear_time() -> None:
    def f(x: Any) -> Any:
        for _ in range(5000):
            x = fnp.sin(x) * np.float64(1)
        return x

    program = program_of(f, X)
    simple = simplify(program)
    assert len(simple.equations) == 5000
