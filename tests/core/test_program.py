"""Programs: printed readably, equal by structure, checked, picklable."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import FunctransError, ProgramError, ShapeError
from functrans.core.interpret import evaluate
from functrans.core.primitive import Primitive, registry
from functrans.core.program import Equation, Literal, Program, Var
from functrans.core.types import Aval

F = Aval((), np.float64)
V = Aval((3,), np.float64)
add, mul, sin = registry["add"], registry["mul"], registry["sin"]


def layer(x: Any, w: Any) -> Any:
    return fnp.tanh(fnp.sum(x * w))


def nested(x: Any) -> Any:
    y = ft.jit(lambda v: v * 2.0)(x)
    return lax.fori_loop(0, 3, lambda i, c: fnp.sin(c) + i, y)


def make(equations: list[Equation], inputs: list[Var], outputs: list[Any]) -> Program:
    return Program(inputs, equations, outputs)


# --- printing -------------------------------------------------------------------------------------


def test_print_shows_types_parameters_and_the_users_lines() -> None:
    text = str(ft.make_program(layer)(np.ones(3), np.ones(3)))
    lines = text.splitlines()
    assert lines[0] == "{ lambda a:f64[3] b:f64[3] ."
    assert lines[1].split("#")[0].strip() == "c:f64[3] = mul a b"
    assert lines[2].split("#")[0].strip() == "d:f64[] = reduce_sum[axes=(0,)] c"
    assert lines[-1] == "  in (e,) }"
    line = layer.__code__.co_firstlineno + 1
    assert all(f"# test_program.py:{line} (layer)" in text for text in lines[1:-1])


def test_print_of_nested_programs_is_indented() -> None:
    text = str(ft.make_program(nested)(1.0))
    assert "call[" in text and text.count("{ lambda") >= 3
    assert text.count("{") == text.count("}")


def test_print_of_many_variables_never_repeats_a_name() -> None:
    def f(x: Any) -> Any:
        for _ in range(1000):
            x = x + 1.0
        return x

    lines = str(ft.make_program(f)(np.float64(1))).splitlines()[1:-1]
    names = [line.split(":")[0].strip() for line in lines]
    assert len(set(names)) == 1000 and names[25] == "ba"


def test_literals_print_by_value_and_arrays_by_type() -> None:
    assert repr(Literal(2.0)) == "2.0"
    assert repr(Literal(np.float32(2))) == "2.0:f32[]"
    assert repr(Literal(np.ones((2, 2)))) == "<f64[2,2]>"


def test_printing_and_transforming_ten_thousand_equations() -> None:
    x = Var(F)
    equations, last = [], x
    for _ in range(10_000):
        out = Var(F)
        equations.append(Equation(sin, [last], {}, [out]))
        last = out
    program = make(equations, [x], [last])
    program.check()
    assert len(str(program).splitlines()) == 10_002
    assert hash(program) == hash(make(equations, [x], [last]))
    assert pickle.loads(pickle.dumps(program)) == program


# --- equality -------------------------------------------------------------------------------------


def test_equality_is_of_structure_not_of_lines_or_names() -> None:
    p = ft.make_program(lambda x: fnp.sin(x) * 2.0)(np.ones(3))
    q = ft.make_program(lambda v: 2.0 * 0 + fnp.sin(v) * 2.0)(np.ones(3))
    r = ft.make_program(lambda y: fnp.sin(y) * 2.0)(np.ones(3))
    assert p == r and hash(p) == hash(r) and p != q and p != "p"


@pytest.mark.parametrize(
    "other",
    [
        lambda x: fnp.cos(x) * 2.0,
        lambda x: fnp.sin(x) * 3.0,
        lambda x: fnp.sin(x).astype(float) * 2.0,
        lambda x: (fnp.sin(x) * 2.0,) * 2,
        lambda x: fnp.sin(x) * -2.0,
    ],
)
def test_what_computes_something_else_is_not_equal(other: Any) -> None:
    f = lambda x: fnp.sin(x) * 2.0
    x = np.ones(3, np.float32)
    assert ft.make_program(f)(x) != ft.make_program(other)(x)


def test_types_are_part_of_the_structure() -> None:
    f = lambda x: x * 2.0
    programs = [ft.make_program(f)(x) for x in (1.0, np.float64(1), np.float32(1), np.ones(1))]
    assert len(set(programs)) == 4


def test_literals_are_equal_bit_for_bit() -> None:
    assert Literal(0.0).key != Literal(-0.0).key
    assert Literal(np.nan).key == Literal(float("nan")).key
    assert Literal(1.0).key != Literal(np.float64(1)).key != Literal(1).key
    assert Literal(np.arange(3)).key == Literal(np.arange(6)[::2] // 2).key


def test_parameters_that_compare_equal_but_differ_make_programs_differ() -> None:
    gather = registry["gather"]

    def reading(fill: Any) -> Any:
        out = Var(Aval((1,), np.float64))
        x, i = Var(V), Var(Aval((1,), np.int64))
        params = {"axes": (0,), "mode": "fill", "fill": fill}
        return make([Equation(gather, [x, i], params, [out])], [x, i], [out])

    assert reading(0.0) != reading(-0.0)
    assert reading(1.5) == reading(1.5) and reading(float("nan")) == reading(float("nan"))
    args = [np.ones(3), np.array([9])]
    from functrans.compiler.compile import compile_program

    signs = [np.signbit(compile_program(reading(f))(args)[0]) for f in (0.0, -0.0)]
    assert [bool(s[0]) for s in signs] == [False, True]


# --- check ----------------------------------------------------------------------------------------


def bad_programs() -> dict[str, Program]:
    x, y, z, flag = Var(V), Var(V), Var(V), Var(Aval((3,), bool))
    wrong = Var(Aval((2,), np.float64))
    stray = Var(V)
    inner = Program([x], [Equation(sin, [stray], {}, [y])], [y])
    call = registry["call"]
    return {
        "uses a variable of type f64[3] that is not bound": make(
            [Equation(sin, [stray], {}, [y])], [x], [y]
        ),
        "the outputs uses": make([], [x], [stray]),
        "bound twice, again by an input": make([], [x, x], [x]),
        "bound twice, again by equation 1 (cos)": make(
            [Equation(sin, [x], {}, [y]), Equation(registry["cos"], [x], {}, [y])], [x], [y]
        ),
        "equation 0 (sin) is declared to give": make(
            [Equation(sin, [x], {}, [wrong])], [x], [wrong]
        ),
        "infers (bool[3],)": make([Equation(registry["lt"], [x, x], {}, [z])], [x], [z]),
        "equation 0 (sin) uses": make([Equation(call, [z], {"program": inner}, [wrong])], [z], []),
        "used": make([Equation(mul, [x, flag], {}, [y])], [x, flag], [y]),
    }


@pytest.mark.parametrize("message", list(bad_programs()))
def test_check_finds(message: str) -> None:
    program = bad_programs()[message]
    if message == "used":  # the primitive itself refuses the operands
        with pytest.raises(FunctransError, match="dtype"):
            program.check()
        return
    with pytest.raises((ProgramError, ShapeError)) as raised:
        program.check()
    if message != "equation 0 (sin) uses":
        assert message in str(raised.value)


def test_check_accepts_what_is_traced() -> None:
    for f, args in [(layer, (np.ones(3), np.ones(3))), (nested, (1.0,))]:
        ft.make_program(f)(*args).check()


# --- pickling -------------------------------------------------------------------------------------


def test_a_pickled_program_is_equal_and_runs() -> None:
    program = ft.make_program(nested)(np.float64(0.3))
    again = pickle.loads(pickle.dumps(program))
    again.check()
    assert again == program and str(again) == str(program)
    assert evaluate(again, [np.float64(0.3)]) == evaluate(program, [np.float64(0.3)])
    assert all(isinstance(e.primitive, Primitive) for e in again.equations)
    assert again.equations[0].primitive is program.equations[0].primitive


def test_a_program_loads_in_another_process(tmp_path: Any) -> None:
    program = ft.make_program(layer)(np.arange(3.0), np.ones(3))
    (tmp_path / "program.pickle").write_bytes(pickle.dumps(program))
    code = (
        "import pickle, sys, functrans, numpy as np\n"
        "from functrans.core.interpret import evaluate\n"
        "p = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(evaluate(p, [np.arange(3.0), np.ones(3)])[0] == np.tanh(3.0), '(layer)' in str(p))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "program.pickle")]
    assert subprocess.check_output(command, text=True).split() == ["True", "True"]


def test_pickles_do_not_carry_what_was_derived() -> None:
    program = ft.make_program(layer)(np.ones(3), np.ones(3))
    small = len(pickle.dumps(program))
    evaluate(program, [np.ones(3), np.ones(3)])
    program.cache["something"] = np.zeros(10_000)
    assert len(pickle.dumps(program)) == small


def test_primitive_names_are_taken_once() -> None:
    with pytest.raises(ValueError, match="defined twice"):
        Primitive("sin", infer=sin.infer, evaluate=np.sin)


def test_subprograms_are_one_level_down() -> None:
    program = ft.make_program(lambda x: ft.jit(nested)(x))(1.0)
    (outer,) = program.subprograms()
    assert len(list(outer.subprograms())) >= 2
