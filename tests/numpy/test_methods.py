"""Tracers have NumPy's operators, methods and attributes, and speak its protocols."""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import ConcretizationError
from functrans.core.trace import Trace, Tracer, make_program_flat
from functrans.core.types import Aval
from tests.numpy.agreement import array, check

X = array((3, 4), "float64")
F = array((3, 4), "float32", 1)
N = array((3, 4), "int32", 2) + 7
B = array((3, 4), "bool", 3)
C = array((3, 4), "complex128", 4)

ARITHMETIC = [operator.add, operator.sub, operator.mul, operator.truediv]
DIVISION = [operator.floordiv, operator.mod, divmod]
BITS = [operator.and_, operator.or_, operator.xor]
COMPARE = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


def swapped(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: f(y, x)


@pytest.mark.parametrize("op", [*ARITHMETIC, *DIVISION, *COMPARE, operator.pow])
@pytest.mark.parametrize("x", [np.abs(X) + 1, np.abs(F) + 1, N], ids=["f64", "f32", "i32"])
def test_operators(op: Any, x: np.ndarray) -> None:
    others = [2, 2.5, np.float32(3), np.float64(2), np.int64(2), x[0], x, np.array(3)]
    for other in others:
        # one side is traced, then the other, then both
        check(lambda v, o=other: op(v, o), lambda v, o=other: op(v, o), x)
        if not (isinstance(other, np.generic | np.ndarray) and op is divmod):
            check(lambda v, o=other: op(o, v), lambda v, o=other: op(o, v), x)
        if isinstance(other, np.ndarray | np.generic):
            check(op, op, x, other)


@pytest.mark.parametrize("op", BITS)
def test_bit_operators(op: Any) -> None:
    check(op, op, N, N[0])
    check(op, op, B, B[0])
    check(lambda v: op(v, 3), lambda v: op(v, 3), N)
    check(lambda v: op(3, v), lambda v: op(3, v), N)
    check(lambda v: op(v, True), lambda v: op(v, True), B)


def test_shifts_and_unary() -> None:
    check(lambda v: v << 2, lambda v: v << 2, N)
    check(lambda v: 1 << v, lambda v: 1 << v, N)
    check(lambda v: v >> 1, lambda v: v >> 1, N)
    for op in (operator.neg, operator.pos, abs):
        check(op, op, X)
        check(op, op, N)
    check(operator.invert, operator.invert, N)
    check(operator.invert, operator.invert, B)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 2.0, 3.0, -1.0, 1.5, 70])
def test_powers(exponent: float) -> None:
    check(lambda v: v**exponent, lambda v: v**exponent, np.abs(X) + 0.5)
    check(lambda v: exponent**v, lambda v: exponent**v, np.abs(F))


METHODS: list[Callable[[Any], Any]] = [
    lambda x: x.T,
    lambda x: x.mT,
    lambda x: x.real,
    lambda x: x.imag,
    lambda x: x.conj(),
    lambda x: x.conjugate(),
    lambda x: x.sum(),
    lambda x: x.sum(0),
    lambda x: x.sum(axis=1, keepdims=True),
    lambda x: x.mean(1),
    lambda x: x.var(0, ddof=1),
    lambda x: x.prod(1),
    lambda x: x.any(),
    lambda x: x.all(axis=0),
    lambda x: x.cumsum(1),
    lambda x: x.cumprod(0),
    lambda x: x.dot(x.T),
    lambda x: x.reshape(2, 6),
    lambda x: x.reshape((4, -1)),
    lambda x: x.reshape(-1),
    lambda x: x.reshape((4, 3), order="F"),
    lambda x: x.ravel(),
    lambda x: x.flatten(),
    lambda x: x.transpose(),
    lambda x: x.transpose(1, 0),
    lambda x: x.transpose((1, 0)),
    lambda x: x.swapaxes(0, 1),
    lambda x: x[:1].squeeze(0),
    lambda x: x.copy(),
    lambda x: x.repeat(2, 1),
    lambda x: x.diagonal(1),
    lambda x: x.trace(),
    lambda x: x.take([0, 2], 1),
    lambda x: x.astype("complex64"),
    lambda x: x[1],
    lambda x: x[..., None, 1:3],
    lambda x: x[[0, 2]],
    lambda x: list(x),
    lambda x: x @ x.T,
    lambda x: np.ones((2, 3)) @ x,
    lambda x: list(x.flat),
    lambda x: copy.copy(x),
    lambda x: copy.deepcopy(x),
]
REAL: list[Callable[[Any], Any]] = [
    lambda x: x.max(1),
    lambda x: x.min(),
    lambda x: x.argmax(0),
    lambda x: x.argmin(),
    lambda x: x.clip(0, 1),
    lambda x: x.clip(min=0),
    lambda x: x.round(1),
    lambda x: x.argsort(0, kind="stable"),
    lambda x: x[0].argpartition(1)[:1],
    lambda x: x[:, 0].searchsorted(0.5),
    lambda x: x.compress([True, False, True], axis=0),
    lambda x: (x > 0).astype(int).choose([x, 2 * x]),
    lambda x: x.astype("int32"),
    lambda x: round(x, 1) if isinstance(x, Tracer) else np.round(x, 1),
    lambda x: x.view("int64"),
]


@pytest.mark.parametrize("k", range(len(METHODS)))
@pytest.mark.parametrize("x", [X, C], ids=["f64", "c128"])
def test_methods(k: int, x: np.ndarray) -> None:
    check(METHODS[k], METHODS[k], x, eager=False)


@pytest.mark.parametrize("k", range(len(REAL)))
def test_methods_of_real_arrays(k: int) -> None:
    check(REAL[k], REAL[k], X, eager=False)


def test_attributes() -> None:
    def run(args: Any) -> Any:
        (x,) = args
        assert (x.shape, x.ndim, x.size, x.dtype, x.itemsize, x.nbytes) == (
            (3, 4), 2, 12, np.float32, 4, 48,
        )  # fmt: skip
        assert len(x) == 3
        assert [row.shape for row in x] == [(4,)] * 3
        assert x.device == "cpu"
        assert x.__array_namespace__() is fnp
        return [x]

    make_program_flat(run, [Aval((3, 4), np.float32)])


def test_values_outside_of_jit() -> None:
    def f(x: Any) -> Any:
        assert ft.stop_gradient(x) == 3.0
        assert int(x) == 3
        assert 3.0 in x.reshape(1)
        assert x == 3
        assert bool(x > 2)
        assert (x == None) is False  # noqa: E711
        table = np.arange(10)
        assert table[(x * 0).astype(int)] == 0
        assert list(table[fnp.argsort(x.reshape(1))]) == [0]
        return x * 2

    assert ft.grad(f)(3.0) == 2.0


PLAIN: list[Callable[[Any], Any]] = [
    lambda x: np.sum(x, axis=0),
    lambda x: np.mean(x),
    lambda x: np.max(x, axis=1, keepdims=True),
    lambda x: np.ones(4) * x,
    lambda x: np.float64(2) * x,
    lambda x: x + np.ones((3, 1)),
    lambda x: np.ones(4) - x,
    lambda x: np.ones(4) < x,
    lambda x: np.concatenate([x, x[:1]]),
    lambda x: np.stack([x, x], axis=-1),
    lambda x: np.where(x > 0, x, 0),
    lambda x: np.clip(x, 0, 1),
    lambda x: np.reshape(x, (2, 6)),
    lambda x: np.transpose(x),
    lambda x: np.dot(x, np.ones(4)),
    lambda x: np.matmul(x, np.ones(4)),
    lambda x: np.einsum("ij,kj->ik", x, x),
    lambda x: np.outer(x, x),
    lambda x: np.tensordot(x, x, ([0, 1], [0, 1])),
    lambda x: np.cumsum(x, axis=1),
    lambda x: np.diff(x),
    lambda x: np.zeros_like(x),
    lambda x: np.pad(x, 1),
    lambda x: np.roll(x, 1),
    lambda x: np.add.reduce(x),
    lambda x: np.multiply.reduce(x, axis=1),
    lambda x: np.maximum.reduce(x, axis=None),
    lambda x: np.add.accumulate(x, axis=1),
    lambda x: np.add.outer(x[0], x[1]),
    lambda x: np.square(x),
    lambda x: np.negative(x),
    lambda x: np.maximum(x, 0),
    lambda x: np.heaviside(x, 0.5),
    lambda x: np.absolute(x),
    lambda x: np.median(x, axis=0),
    lambda x: np.sort(x),
    lambda x: np.take(x, [0, 1], axis=1),
    lambda x: np.interp(x, [-1.0, 0.0, 1.0], [0.0, 1.0, 4.0]),
    lambda x: np.isclose(x, 0.0),
]


@pytest.mark.parametrize("k", range(len(PLAIN)))
def test_plain_numpy_functions_trace(k: int) -> None:
    check(PLAIN[k], PLAIN[k], X, eager=False)


def test_shape_protocol() -> None:
    with Trace(staging=True) as trace:
        x = trace.new_input(Aval((3, 4), np.float32))
        assert np.shape(x) == (3, 4)
        assert np.ndim(x) == 2
        assert np.size(x) == 12
        assert np.result_type(x, 1.0) == fnp.result_type(x, np.ones(2, np.float32)) == np.float32
        assert fnp.result_type(x, float) == fnp.result_type(x, np.ones(2)) == np.float64
        assert np.iscomplexobj(x) is False


def test_weak_scalars_stay_weak() -> None:
    def run(args: Any) -> Any:
        (s,) = args
        return [s * 2.0, s + 1, 1.0 / s, -s, s**2, fnp.add(s, s), np.float32(1) * s]

    program = make_program_flat(run, [Aval((), float, weak_type=True)])
    program.check()
    assert [a.weak_type for a in program.out_avals] == [True] * 5 + [False] * 2
    assert program.out_avals[-1].dtype == np.float32


def test_in_place_changes_are_refused() -> None:
    with Trace(staging=True) as trace:
        x = trace.new_input(Aval((3,), float))
        with pytest.raises(TypeError, match=r"x\.at\[index\]\.set"):
            x[0] = 1.0
        with pytest.raises(TypeError, match="immutable"):
            x.fill(0)
        with pytest.raises(TypeError, match="immutable"):
            np.add.at(x, 0, 1.0)
        y = np.ones(3)
        with pytest.raises(TypeError, match="x = x \\+ y"):
            y += x
        with pytest.raises(TypeError, match="out="):
            np.sum(x, out=np.array(0.0))
        with pytest.raises(TypeError, match="where"):
            np.add(x, x, where=np.ones(3, bool))
        with pytest.raises(TypeError, match="has no form"):
            np.isnat(x)
        with pytest.raises(ConcretizationError):
            np.asarray(x)
        with pytest.raises(ConcretizationError):
            x.item()
        with pytest.raises(TypeError, match="zero-dimensional"):
            iter(x[0])
        with pytest.raises(TypeError):
            hash(x)


def test_unsupported_operands() -> None:
    with Trace(staging=True) as trace:
        x = trace.new_input(Aval((3,), float))
        with pytest.raises(TypeError):
            x + "a"
        with pytest.raises(TypeError):
            x * object()
        assert (x == "a") is False


@pytest.mark.parametrize("ufunc", [np.maximum, np.minimum, np.add, np.multiply])
@pytest.mark.parametrize("axis", [0, 1])
def test_ufuncs_accumulate_traced_arrays(ufunc: np.ufunc, axis: int) -> None:
    x = np.array([[3.0, 1.0, 2.0], [0.5, 4.0, 1.5]])
    got = ft.jit(lambda x: ufunc.accumulate(x, axis=axis))(x)
    np.testing.assert_array_equal(got, ufunc.accumulate(x, axis=axis))
