"""LLVM is told of every loop what pays: not to copy long ones, when to gather distant elements."""

import re

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.compiler.emitted import AS_IT_STANDS, ONE_BY_ONE

MATRIX, IMAGES = (40, 56), (4, 12, 14, 14)
LOOPS = {  # function, shape; marks of the loops, innermost first
    "contiguous": (lambda x: x * 2.0 + 1.0, MATRIX, [""]),
    "copy across rows": (lambda x: x.T, MATRIX, [ONE_BY_ONE, AS_IT_STANDS]),
    "reversed copy across rows": (lambda x: x[::-1].T, MATRIX, [ONE_BY_ONE, AS_IT_STANDS]),
    "arithmetic across rows": (lambda x: x.T * 2.0, MATRIX, ["", AS_IT_STANDS]),
    "reversed arithmetic": (lambda x: fnp.tanh(x[::-1].T), MATRIX, ["", AS_IT_STANDS]),
    "short around long": (
        lambda x: x.transpose((2, 0, 1, 3)).copy(),
        (40, 3, 5, 30),
        ["", AS_IT_STANDS, AS_IT_STANDS],
    ),
    "short in distant rows": (lambda x: x[..., :7] * 2.0, IMAGES, ["", ONE_BY_ONE]),
}

BACKWARD = r"add nuw nsw i64 .*, 1\n  store .*\n  br label %loop[.]\d+(.*)"
"""A jump back follows the store of a counter."""


@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_marked_by_what_pays(name):
    f, shape, marks = LOOPS[name]
    x = np.random.default_rng(0).normal(size=shape)
    compiled = ft.jit(f)
    np.testing.assert_allclose(compiled(x), f(x), 1e-14)
    (kernel,) = compiled.lower(x).schedule.kernels().values()
    assert re.findall(BACKWARD, kernel.ir) == marks
