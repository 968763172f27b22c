"""LLVM's error with the signs of vectors is noticed, and results are right."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.compiler import misencoding

ASSEMBLY = {
    "\tvmovmskpd\t%xmm16, %ebx": True,
    "\tvmovmskps\t%ymm31, %eax": True,
    "\tvpmovmskb\t%xmm20, %eax": True,
    "\tvmovmskpd\t%xmm6, %ebx": False,
    "\tvpmovq2m\t%zmm23, %k3": False,
}


@pytest.mark.parametrize("line", ASSEMBLY)
def test_instructions_that_llvm_encodes_wrongly_are_noticed(line):
    assert misencoding.is_in(f"\tret\n{line}\n\tret") is ASSEMBLY[line]


TEST = "  %a = icmp slt <2 x i64> %x, zeroinitializer\n"
IR = {
    TEST + "  %b = extractelement <2 x i1> %a, i64 1": True,
    TEST + "  %c = xor <2 x i1> %a, %d\n  %b = bitcast <2 x i1> %c to i2": True,
    TEST + "  %b = select <2 x i1> %a, <2 x i64> %x, <2 x i64> %y": False,
    TEST + "  %b = extractelement <2 x i1> %d, i64 1": False,
    "  %a = icmp sgt <4 x i32> %x, splat (i32 -1)\n  %b = extractelement <4 x i1> %a, i64 0": True,
    "  %a = icmp slt <16 x i32> %x, zeroinitializer\n  %b = bitcast <16 x i1> %a to i16": False,
    "  %a = icmp slt <2 x i64> %x, %y\n  %b = extractelement <2 x i1> %a, i64 0": False,
}


@pytest.mark.parametrize("text", IR)
def test_signs_that_are_taken_apart(text):
    assert misencoding.may_be(text) is IR[text]


def test_functions_without_them_are_left_out():
    taken_apart = next(iter(IR))
    ir = f"""@table = constant i64 3

define i1 @whole() {{
{TEST}  ret i1 true
}}

; Function Attrs: nounwind
define internal noundef i1 @"of one"(i64 %0) #0 {{
entry:
{taken_apart}
  %z = call i1 @helper()
  ret i1 %b
}}

declare double @sin(double)

define i1 @helper() {{
  ret i1 true
}}

attributes #0 = {{ nounwind }}
"""
    part = misencoding.suspects(ir)
    assert part is not None
    for kept in ("@table", '@"of one"', "define i1 @helper", "@sin", "attributes #0"):
        assert kept in part
    assert "@whole" not in part
    assert misencoding.suspects(ir.replace("extractelement", "insertelement")) is None


def test_conditions_of_code_that_llvm_puts_into_vectors():
    """Of 16 conditions at once LLVM kept some in registers that it could not name."""

    def f(x):
        a = fnp.pad(x, (1, 1), mode="reflect")
        a = a + fnp.flip(a, 0)
        return fnp.sum(fnp.concatenate([a, fnp.flip(a, 0)]))

    x = np.random.default_rng(0).normal(size=200_000)
    np.testing.assert_allclose(ft.jit(f)(x), f(x), rtol=1e-9)
