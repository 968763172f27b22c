"""How Fourier transforms are computed: along which axis, and by which function.

Those of functrans/compiler/transform_loops.py, whose rows threads divide. SciPy remains for lengths
with a large prime factor, for which it takes two thirds of the time, and where NumPy has not the
functions that are expected.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.compiler.blas import LETTERS
from functrans.compiler.gemm import NAMES
from functrans.compiler.transform_loops import loops
from functrans.core.program import Equation
from functrans.core.types import Aval
from functrans.primitives.shaping import transpose_p

SET = 4096
"""Bytes: addresses a multiple of them apart share a set of the lines of a cache."""
SHORTEST = 32
"""Elements of an axis that is worth transposing."""
LARGEST_FACTOR = 11
"""Of lengths that are transformed by their factors."""
FLOPS_PER_NANOSECOND = 6.0
"""On one core."""


def by_rows(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    """An `fft` or `ifft` along the last axis, where the elements of another fall into few lines of
    the cache: 512 transforms of 512 complex128 down the columns of a matrix take 0.84 ms, turned
    there and back 0.48."""
    (aval,), axis, norm = avals, equation.params["axis"], equation.params["norm"]
    stride = math.prod(aval.shape[axis + 1 :]) * aval.dtype.itemsize
    if axis == aval.ndim - 1 or aval.shape[axis] < SHORTEST or stride % SET or not aval.size:
        return None
    exchanged = list(range(aval.ndim))
    exchanged[axis], exchanged[-1] = aval.ndim - 1, axis
    permutation = tuple(exchanged)

    def transform(x: Any) -> Any:
        rows = transpose_p.bind(x, permutation=permutation)
        rows = equation.primitive.bind(rows, axis=aval.ndim - 1, norm=norm)
        return transpose_p.bind(rows, permutation=permutation)

    return transform


# --- calls ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A transform by a function of the runtime.

    Attributes:
        function: its name.
        ints: its integers.
        rows: how many there are.
    """

    function: str
    ints: tuple[int, ...]
    rows: int


def call_of(equation: Equation) -> Call | None:
    """How an equation is computed by NumPy's loops, if it is one that they compute."""
    if equation.primitive.name not in ("fft", "ifft", "rfft", "irfft"):
        return None
    (x,), (out,) = (a.aval for a in equation.inputs), (v.aval for v in equation.outputs)
    axis = equation.params["axis"]
    n, m = x.shape[axis], out.shape[axis]
    function = f"ft_{_kind(equation.primitive.name, n)}_{NAMES[LETTERS[x.dtype.str[1:]]]}"
    if not (x.size and _has_small_factors(max(n, m)) and function in loops()):
        return None
    before, after = math.prod(x.shape[:axis]), math.prod(x.shape[axis + 1 :])
    rows = after if after > 1 else before
    strides = [
        stride
        for aval, extent in ((x, n), (out, m))
        for stride in _strides(aval.dtype.itemsize, extent, after)
    ]
    return Call(function, (n, m, rows, *strides, _scale_bits(equation, max(n, m))), before * after)


def _kind(name: str, n: int) -> str:
    return name + ("_odd" if n % 2 else "_even") if name == "rfft" else name


def _strides(size: int, extent: int, after: int) -> tuple[int, int, int]:
    """Bytes from row to row in a block, from element to element, and from block to block."""
    if after == 1:
        return extent * size, size, 0
    return size, after * size, extent * after * size


def _has_small_factors(n: int) -> bool:
    for factor in range(2, LARGEST_FACTOR + 1):
        while n % factor == 0:
            n //= factor
    return n == 1


def _scale_bits(equation: Equation, n: int) -> int:
    """The bits of the number that NumPy's loop multiplies by."""
    forward = equation.primitive.name in ("fft", "rfft")
    norm = equation.params["norm"]
    if norm == "ortho":
        scale = 1 / math.sqrt(n)
    else:
        scale = 1.0 if forward == (norm == "backward") else 1 / n
    return int(np.float64(scale).view(np.int64))
