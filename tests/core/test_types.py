"""Types and promotion: NumPy 2's, with weak Python scalars, the same eager, traced and compiled."""

from __future__ import annotations

import operator
import pickle
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import functrans as ft
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.types import (
    Aval,
    ShapeDtypeStruct,
    aval_of,
    broadcast_shapes,
    canonical_axes,
    canonical_axis,
    promote_dtypes,
    result_dtype,
    short_dtype,
    weakened,
)

DTYPES = ("?", "i1", "i4", "i8", "u1", "u8", "f2", "f4", "f8", "c8", "c16")
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "<": operator.lt,
    "==": operator.eq,
    "&": operator.and_,
    "<<": operator.lshift,
}
WEAK = ("+", "-", "*", "/", "//", "%")
"""Operators that give a Python scalar of Python scalars, traced too."""

arrays = st.sampled_from([np.ones(s, d) for d in DTYPES for s in ((), (2,), (1, 2))])
scalars = st.sampled_from([np.dtype(d).type(1) for d in DTYPES])
python_scalars = st.sampled_from([True, 2, 2.0, 2j])
operands = st.one_of(arrays, scalars, python_scalars)


def outcome(f: Callable[..., Any], *args: Any) -> Any:
    """The type of a result, or that there is none."""
    try:
        return aval_of(f(*args))
    except (TypeError, ValueError):
        return "refused"


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.sampled_from(list(OPERATORS)), st.one_of(arrays, scalars), operands, st.booleans())
def test_operators_promote_as_numpy(name: str, x: Any, y: Any, swap: bool) -> None:
    pair = (y, x) if swap else (x, y)
    with np.errstate(all="ignore"):
        want = outcome(OPERATORS[name], *pair)
        if isinstance(want, Aval):  # 2j + numpy.float64(1) is Python's complex
            want = want.strong()
        got = outcome(lambda *v: ft.vjp(OPERATORS[name], *v)[0], *pair)
        shape = outcome(lambda *v: ft.eval_shape(OPERATORS[name], *v), *pair)
    assert got == want
    assert shape == want


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.sampled_from(list(OPERATORS)), operands, operands, st.booleans())
def test_eager_traced_and_compiled_agree(name: str, x: Any, y: Any, chained: bool) -> None:
    def f(x: Any, y: Any) -> Any:
        z = OPERATORS[name](x, y)
        return (z, z * x) if chained else (z, 1)

    with np.errstate(all="ignore"):
        try:
            program = ft.make_program(f)(x, y)
        except (TypeError, ValueError):
            with pytest.raises((TypeError, ValueError)):
                ft.jit(f)(x, y)
            return
        program.check()
        want = list(program.out_avals)
        assert [aval_of(v) for v in ft.vjp(f, x, y)[0]] == want
        assert [aval_of(v) for v in evaluate(program, [x, y])] == want
        assert [aval_of(v) for v in ft.jit(f)(x, y)] == want


@pytest.mark.parametrize("x", [3, 2.5, 1 + 2j], ids=type)
@pytest.mark.parametrize("y", [2, 1.5, 2j], ids=type)
@pytest.mark.parametrize("name", WEAK)
def test_weak_operands_give_what_python_gives(name: str, x: Any, y: Any) -> None:
    f = OPERATORS[name]
    try:
        want = f(x, y)
    except TypeError:  # // and % of complex numbers
        return
    for got in (ft.jit(f)(x, y), ft.vjp(f, x, y)[0]):
        assert type(got) is type(want)
        np.testing.assert_allclose(got, want, rtol=1e-15)


def test_a_weak_result_stays_weak_in_what_follows() -> None:
    f = lambda n: (n * 2 + 1) * np.float32(1)
    for g in (f, ft.jit(f), lambda n: ft.vjp(f, n)[0]):
        assert aval_of(g(3.0)) == Aval((), np.float32)


def test_functions_of_weak_values_are_strong_as_in_numpy() -> None:
    for f in (fnp.sin, lambda x: fnp.add(x, x), fnp.asarray):
        assert not aval_of(ft.jit(f)(1.0)).weak_type
        assert aval_of(ft.jit(f)(1.0)).dtype == np.float64


def test_a_python_scalar_out_of_bounds_is_refused_as_in_numpy() -> None:
    for f in (lambda x: x + 300, ft.jit(lambda x: x + 300)):
        with pytest.raises(OverflowError, match="300"):
            f(np.uint8(1))


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "aval"),
    [
        (True, Aval((), bool, True)),
        (3, Aval((), np.int64, True)),
        (3.0, Aval((), np.float64, True)),
        (3j, Aval((), np.complex128, True)),
        (Colour.RED, Aval((), np.int64, True)),
        (np.float32(1), Aval((), np.float32)),
        (np.float64(1), Aval((), np.float64)),
        (np.ones((2, 0), ">i2"), Aval((2, 0), np.int16)),
        (ShapeDtypeStruct((3,), "f4"), Aval((3,), np.float32)),
    ],
    ids=repr,
)
def test_aval_of(value: Any, aval: Aval) -> None:
    got = aval_of(value)
    assert got == aval and got.dtype.isnative and hash(got) == hash(aval)


@pytest.mark.parametrize(
    "value", ["text", None, [1.0], {}, np.array(["a"]), np.array([None]), np.datetime64(1, "s")]
)
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(DTypeError):
        aval_of(value)


def test_avals_are_values() -> None:
    a = Aval([2, 3], "f4")
    assert (a.shape, a.ndim, a.size, a.nbytes) == ((2, 3), 2, 6, 24)
    assert a == Aval((2, 3), np.float32) and a != Aval((2, 3), "f4", True) and a != "f32[2,3]"
    assert str(a) == "f32[2,3]" and str(Aval((), "i8", True)) == "i64*[]"
    assert Aval((), "f8", True).strong() == Aval((), "f8")
    assert a.update(shape=()) == Aval((), "f4") and a.update(dtype="u1") == Aval((2, 3), "u1")
    assert pickle.loads(pickle.dumps(a)) == a


def test_short_names() -> None:
    names = {"?": "bool", "i1": "i8", "u2": "u16", "f2": "f16", "f8": "f64", "c16": "c128"}
    assert {d: short_dtype(np.dtype(d)) for d in names} == names


@given(st.lists(st.sampled_from(DTYPES), min_size=1, max_size=4))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_promotion_is_numpys(names: list[str]) -> None:
    assert promote_dtypes(*[Aval((), d) for d in names]) == np.result_type(*names)
    assert result_dtype(np.dtype("f4"), float) == np.float32
    assert promote_dtypes(Aval((), "i4"), Aval((), "f8", True)) == np.float64


def test_weakened_values_are_python_scalars() -> None:
    values = [np.float64(1), np.float64(2), np.ones(2), 3]
    avals = [Aval((), "f8", True), Aval((), "f8"), Aval((2,), "f8"), Aval((), "i8", True)]
    assert [type(v) for v in weakened(values, avals)] == [float, np.float64, np.ndarray, int]


def test_shapes_and_axes() -> None:
    assert broadcast_shapes((3, 1), (4,), ()) == (3, 4)
    with pytest.raises(ShapeError, match=r"\(3,\) and \(4,\)"):
        broadcast_shapes((3,), (4,))
    assert canonical_axis(-1, 3) == 2
    assert canonical_axes(None, 2) == (0, 1) and canonical_axes([-1, 0], 3) == (2, 0)
    with pytest.raises(ShapeError, match="axis 3 is out of bounds"):
        canonical_axis(3, 3)
    with pytest.raises(ShapeError, match="twice"):
        canonical_axes((0, -2), 2)


def test_shape_dtype_struct() -> None:
    s = ShapeDtypeStruct([2, 3], ">f4")
    assert s.dtype == np.float32 and s.dtype.isnative and (s.ndim, s.size) == (2, 6)
    assert s == ShapeDtypeStruct((2, 3), "f4") and hash(s) == hash(ShapeDtypeStruct((2, 3), "f4"))
    assert s != ShapeDtypeStruct((3, 2), "f4")
    with pytest.raises(DTypeError):
        ShapeDtypeStruct((), "O")
