"""Eager, traced and compiled agree in value, shape, dtype and weak-typedness; inputs are safe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import numpy as fnp
from functrans.core.interpret import evaluate
from functrans.core.types import aval_of

# --- operands: every dtype, layout and kind of scalar ---------------------------------------------

DTYPES = ["?", "i1", "u1", "i4", "u4", "i8", "f4", "f8", "c8", "c16"]
SHAPES: list[tuple[int, ...]] = [(), (1,), (3,), (2, 1), (2, 3), (0,), (2, 0)]
LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.T.copy().T,
    "reversed": lambda x: x[::-1].copy()[::-1] if x.ndim else x,
    "strided": lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
    "read-only": lambda x: np.require(x, requirements=[]).copy(),
}
PYTHON = [0, 1, -2, 3, 0.0, 1.5, -0.25, 2j]


def operand(draw: Any) -> Any:
    if draw(st.booleans()) and draw(st.booleans()):
        return draw(st.sampled_from(PYTHON))
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(st.sampled_from(SHAPES))
    seed, layout = draw(st.integers(0, 99)), draw(st.sampled_from(list(LAYOUTS)))
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=shape) * 2, 1)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * np.round(rng.normal(size=shape), 1)
    if np.dtype(dtype).kind == "u":
        x = np.abs(x)
    array = LAYOUTS[layout](np.asarray(x.astype(dtype)))
    if layout == "read-only":
        array.flags.writeable = False
    return array[()] if draw(st.booleans()) else array  # 0-d ones as NumPy scalars too


# --- expressions ----------------------------------------------------------------------------------

UNARY: list[Callable[[Any], Any]] = [
    lambda x: -x if np.dtype(getattr(x, "dtype", type(x))) != bool else ~x,
    abs,
    fnp.sin,
    fnp.square,
    fnp.sign,
    fnp.isfinite,
    fnp.real,
    lambda x: fnp.sum(x, axis=-1) if fnp.ndim(x) else x,
    lambda x: fnp.mean(x),
    lambda x: fnp.ravel(x),
    lambda x: fnp.expand_dims(x, 0),
    lambda x: fnp.cumsum(x),
    lambda x: x * 2,
    lambda x: 1 + x,
    lambda x: x / 2,
    lambda x: 0.5 * x,
    lambda x: fnp.asarray(x, dtype="f4") if fnp.isrealobj(x) else x,
    lambda x: fnp.where(x == 1, x, 2),
]
BINARY: list[Callable[[Any, Any], Any]] = [
    lambda x, y: x + y,
    lambda x, y: x * y,
    fnp.subtract,
    lambda x, y: fnp.maximum(x, y),
    fnp.equal,
    lambda x, y: x / (1 + abs(y)),
    lambda x, y: fnp.where(x == y, x, y),
    lambda x, y: fnp.hypot(fnp.real(x), fnp.imag(y)),
    lambda x, y: fnp.power(abs(x) + 1, 2) + y,
]


@st.composite
def expressions(draw: Any) -> tuple[Callable[..., list[Any]], list[Any]]:
    """A function of a few operands that applies random operations, and the operands."""
    operands = [operand(draw) for _ in range(draw(st.integers(1, 3)))]
    plan = []
    for k in range(draw(st.integers(1, 5))):
        at = st.integers(0, len(operands) + k - 1)
        if draw(st.booleans()):
            plan.append((draw(st.sampled_from(UNARY)), (draw(at),)))
        else:
            plan.append((draw(st.sampled_from(BINARY)), (draw(at), draw(at))))

    def run(*args: Any) -> list[Any]:
        values = list(args)
        for f, places in plan:
            values.append(f(*[values[i] for i in places]))
        return values[len(args) :]

    return run, operands


def outcome(f: Callable[..., Any], *args: Any) -> Any:
    """Results, or the kind of the error: what NumPy refuses, every other way refuses too."""
    try:
        with np.errstate(all="ignore"):
            return f(*args)
    except (TypeError, ValueError, OverflowError) as error:
        return "overflow" if isinstance(error, OverflowError) else "refused"


@settings(max_examples=250, deadline=None, derandomize=True)
@given(expressions())
def test_eager_traced_and_compiled_agree(expression: Any) -> None:
    f, args = expression
    before = [np.array(x) for x in args]
    want = outcome(f, *args)
    if want == "overflow":
        return  # NumPy looks at the value of a Python integer; a Program has only its type
    got = outcome(ft.jit(f), *args)
    if isinstance(want, str) or isinstance(got, str):
        assert isinstance(want, str) and isinstance(got, str)
        return
    program = ft.make_program(f)(*args)
    program.check()
    traced = evaluate(program, args)
    for y, compiled, interpreted, aval in zip(want, got, traced, program.out_avals, strict=True):
        eager = aval_of(y)
        assert eager == aval, "traced differs in type from eager"
        assert aval_of(compiled) == aval, "compiled differs in type from traced"
        tolerance = 1e-4
        np.testing.assert_allclose(interpreted, y, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(compiled, y, rtol=tolerance, atol=tolerance)
    for x, b in zip(args, before, strict=True):
        np.testing.assert_array_equal(x, b)


def test_extrema_of_complex_numbers_compile() -> None:
    z = np.array([[1 + 2j, 3j, 1 - 1j], [-2 + 0j, -2 + 1j, -3j]])
    for f in (fnp.max, fnp.min):
        for axis in (None, 0, 1):
            want = f(z, axis=axis)
            np.testing.assert_array_equal(ft.jit(lambda z, f=f, a=axis: f(z, axis=a))(z), want)


def test_dtypes_of_one_layout_are_one() -> None:
    for x in (np.longlong(3), np.arange(3, dtype=np.longlong), np.ulonglong(3)):
        got = ft.jit(lambda y: y + y)(x)
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(got, x + x)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(expressions())
def test_results_of_compiled_calls_share_no_memory(expression: Any) -> None:
    f, args = expression
    compiled = ft.jit(f)
    results = [outcome(compiled, *args) for _ in range(2)]
    if isinstance(results[0], str):
        return
    arrays = [y for ys in results for y in ys if isinstance(y, np.ndarray) and y.size]
    inputs = [x for x in args if isinstance(x, np.ndarray) and x.size]
    for i, y in enumerate(arrays):
        assert y.flags.writeable
        assert not any(np.shares_memory(y, other) for other in [*arrays[:i], *inputs])
