"""What a function is, without running it: its Program, its output types, what it closes over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, LeakedTracerError, TransformError
from functrans.core.interpret import evaluate
from functrans.core.trace import trace_depth
from functrans.core.types import ShapeDtypeStruct
from functrans.transforms.inspect import closure_convert, eval_shape, make_program


def test_eval_shape_computes_nothing() -> None:
    huge = ShapeDtypeStruct((10**6, 10**6), "float32")
    out = eval_shape(lambda x, *, s: {"y": x @ x.T, "s": (x.sum(), s)}, huge, s=2)
    assert out["y"] == ShapeDtypeStruct((10**6, 10**6), "float32")
    assert out["s"] == (ShapeDtypeStruct((), "float32"), ShapeDtypeStruct((), "int64"))
    assert out["s"][1].weak_type


def test_eval_shape_agrees_with_evaluation() -> None:
    def f(x: Any, n: Any) -> Any:
        return x * n, fnp.sum(x, axis=0), x > n

    args = (np.ones((2, 3), np.float32), np.int8(2))
    for struct, value in zip(eval_shape(f, *args), f(*args), strict=True):
        assert struct.shape == value.shape and struct.dtype == value.dtype


def test_eval_shape_inside_other_transforms() -> None:
    def f(x: Any) -> Any:
        assert eval_shape(lambda v: v * x, x) == ShapeDtypeStruct((), "float64")
        return x * x

    assert ft.grad(f)(3.0) == 6.0
    np.testing.assert_array_equal(ft.vmap(f)(np.arange(3.0)), [0.0, 1.0, 4.0])


def test_make_program_gives_a_closed_checked_program() -> None:
    x = {"a": np.arange(3.0), "b": 2.0}
    program = make_program(lambda x: x["a"] * x["b"] + 1.0)(x)
    program.check()
    assert len(program.inputs) == 2 and program.name == "<lambda>"
    np.testing.assert_array_equal(evaluate(program, [x["a"], 2.0])[0], x["a"] * 2 + 1)


def test_make_program_with_static_arguments_and_shapes() -> None:
    def f(n: Any, x: Any, mode: str = "up") -> Any:
        return x**n if mode == "up" else x / n

    program, shape = make_program(f, static_argnums=(0, 2), return_shape=True)(3, np.ones(2), "up")
    assert [e.primitive.name for e in program.equations] == ["integer_pow"]
    assert shape == ShapeDtypeStruct((2,), "float64")
    assert len(make_program(f, static_argnums=-1)(3.0, 2.0, "down").inputs) == 2


def test_make_program_of_derivatives_is_deterministic() -> None:
    f = lambda x: fnp.sum(x * x * x)
    programs = [make_program(ft.grad(f))(np.ones(3)) for _ in range(2)]
    assert programs[0] == programs[1] and hash(programs[0]) == hash(programs[1])


def test_closing_over_a_traced_value_is_an_error_that_names_the_way_out() -> None:
    with pytest.raises(LeakedTracerError, match="closure_convert"):
        ft.grad(lambda x: make_program(lambda y: x * y)(2.0) and x)(1.0)
    assert trace_depth() == 0


def test_errors_name_the_argument() -> None:
    with pytest.raises(DTypeError, match=r"\['b'\]"):
        eval_shape(lambda x: x, {"a": 1.0, "b": "text"})
    with pytest.raises(TransformError, match="takes a function"):
        make_program(3)
    with pytest.raises(TransformError, match="argnums"):
        make_program(lambda x: x, static_argnums=4)(1.0)


def test_closure_convert_lifts_traced_values_only() -> None:
    constant = np.arange(3.0)

    def scaled(a: Any, x: Any) -> Any:
        f, consts = closure_convert(lambda v: {"y": a * v * constant}, x)
        assert len(consts) <= 1
        return fnp.sum(f(x, *consts)["y"])

    assert ft.grad(scaled)(2.0, np.ones(3)) == 3.0
    np.testing.assert_array_equal(ft.grad(scaled, 1)(2.0, np.ones(3)), 2 * constant)
    f, consts = closure_convert(lambda v: v * constant, np.ones(3))
    assert consts == []
    np.testing.assert_array_equal(f(np.ones(3)), constant)
    with pytest.raises(TransformError, match=r"converted for f64\[3\]"):
        f(np.ones(2))
    with pytest.raises(TransformError, match="0 consts"):
        f(np.ones(3), 1.0)
