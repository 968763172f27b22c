"""Machine code is what the IR says, also where LLVM has to be watched."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.compiler import engine

ASSEMBLY = {
    "\tvmovmskpd\t%xmm16, %ebx": True,
    "\tvmovmskps\t%ymm31, %eax": True,
    "\tvpmovmskb\t%xmm20, %eax": True,
    "\tvmovmskpd\t%xmm6, %ebx": False,
    "\tvpmovq2m\t%zmm23, %k3": False,
}


@pytest.mark.parametrize("line", ASSEMBLY)
def test_instructions_that_llvm_encodes_wrongly_are_noticed(line):
    assert bool(engine.MISENCODED.search(f"\tret\n{line}\n\tret")) is ASSEMBLY[line]


def test_conditions_of_code_that_llvm_puts_into_vectors():
    """Of 16 conditions at once LLVM kept some in registers that it could not name."""

    def f(x):
        a = fnp.pad(x, (1, 1), mode="reflect")
        a = a + fnp.flip(a, 0)
        return fnp.sum(fnp.concatenate([a, fnp.flip(a, 0)]))

    x = np.random.default_rng(0).normal(size=200_000)
    np.testing.assert_allclose(ft.jit(f)(x), f(x), rtol=1e-9)
