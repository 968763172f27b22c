"""Primitives without a form of code as Programs of primitives that have one.

Here are the pass and its table; the rules that need more than a few lines have files of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.compiler.convolutions import convolution
from functrans.compiler.decompositions import in_double, pseudoinverse
from functrans.compiler.determinants import (
    determinant,
    gradient,
    gradient_along,
    sign_and_logarithm,
)
from functrans.compiler.fourier import by_rows
from functrans.compiler.products import GEMM_DTYPES, by_sums
from functrans.compiler.simplify import drop_unused, rewrite
from functrans.compiler.sorting import by_one_key, fewest
from functrans.compiler.stored import stored
from functrans.compiler.values import SUPPORTED
from functrans.compiler.windows import find, fold
from functrans.core.program import Atom, Equation, Program, Var
from functrans.core.simplify import inline_into
from functrans.core.source import source_scope
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval
from functrans.primitives.arithmetic import (
    add_p,
    convert,
    eq_p,
    max_p,
    min_p,
    mul_p,
    ne_p,
    or_p,
    select,
)
from functrans.primitives.linear_algebra import solve_p
from functrans.primitives.loops import scan_p
from functrans.primitives.reductions import reduce_max_p, reduce_min_p
from functrans.primitives.shaping import broadcast_p, full, iota, reshape_p, transpose_p
from functrans.primitives.windows import highest, lowest


def expand(program: Program) -> Program:
    """Every equation that an expansion exists for as the equations of the expansion."""
    return expanded(program, _expansion)


def expanded(program: Program, expansion: Callable[[Equation], Program | None]) -> Program:
    """Equations as those of the Programs that `expansion` gives for them, if it does."""
    equations: list[Equation] = []
    renamed: dict[Var, Atom] = {}
    any_is = False
    for equation in program.equations:
        inputs = [renamed.get(a, a) if isinstance(a, Var) else a for a in equation.inputs]
        inner = expansion(equation)
        if inner is None:
            equations.append(equation.replace(inputs))
            continue
        any_is = True
        results = inline_into(equations, inner, dict(zip(inner.inputs, inputs, strict=True)))
        renamed.update(zip(equation.outputs, results, strict=True))
    if not any_is:
        return program
    outputs = [renamed.get(a, a) if isinstance(a, Var) else a for a in program.outputs]
    return drop_unused(rewrite(Program(program.inputs, equations, outputs, program.name)))


def traced(equation: Equation, function: Callable[..., Any]) -> Program:
    """A function of an equation's operands that computes its results, as a Program."""
    many = equation.primitive.multiple_results

    def run(xs: Sequence[Any]) -> list[Any]:
        return list(function(*xs)) if many else [function(*xs)]

    with source_scope(equation.source):
        avals = [a.aval for a in equation.inputs]
        return make_program_flat(run, avals, equation.primitive.name)


def _expansion(equation: Equation) -> Program | None:
    rule = EXPANSIONS.get(equation.primitive.name)
    function = rule(equation, [a.aval for a in equation.inputs]) if rule else None
    # an expansion may use others
    return None if function is None else expand(traced(equation, function))


# --- positions of extrema, cumulative operations, inverses ----------------------------------------


def _arg_extremum(extremum: Any) -> Callable[..., Any]:
    """The first position of what the reduction finds; of nan, which it finds if there is one."""

    def rule(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
        (x_aval,) = avals
        axis = equation.params["axis"]
        if x_aval.dtype.kind not in "iuf" or not x_aval.size:
            return None

        def position(x: Any) -> Any:
            # the extremum must be found among the same numbers: see convolutions.py, find
            x = stored(x)
            found = extremum.bind(x, axes=(axis,))
            kept = tuple(1 if a == axis else n for a, n in enumerate(x_aval.shape))
            same = eq_p.bind(x, reshape_p.bind(found, shape=kept))
            if x_aval.dtype.kind == "f":
                same = or_p.bind(same, ne_p.bind(x, x))
            extent = x_aval.shape[axis]
            # as many as numbers fit into a vector
            narrow = x_aval.dtype.itemsize <= 4 and extent <= np.iinfo(np.int32).max
            dtype = np.dtype(np.int32 if narrow else np.int64)
            places, beyond = iota(x_aval.shape, axis, dtype), full(x_aval.shape, extent, dtype)
            first = reduce_min_p.bind(select(same, places, beyond), axes=(axis,))
            return convert(first, np.dtype(np.int64))

        return position

    return rule


def _running(combine: Any, identity: Callable[[np.dtype], Any], kinds: str) -> Callable[..., Any]:
    """A loop along the axis, which hands on the last result."""

    def rule(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
        (x_aval,), (axis, reverse) = avals, (equation.params["axis"], equation.params["reverse"])
        if not x_aval.size or x_aval.dtype.kind not in kinds or x_aval.dtype not in SUPPORTED:
            return None
        there = (axis, *[a for a in range(x_aval.ndim) if a != axis])
        row = Aval([n for a, n in enumerate(x_aval.shape) if a != axis], x_aval.dtype)
        body = make_program_flat(lambda xs: [combine.bind(*xs)] * 2, [row, row], combine.name)

        def along(x: Any) -> Any:
            first = full(row.shape, identity(row.dtype), row.dtype)
            _, ys = scan_p.bind(
                first,
                transpose_p.bind(x, permutation=there),
                program=body,
                num_consts=0,
                num_carry=1,
                length=x_aval.shape[axis],
                reverse=reverse,
                unroll=1,
                checkpoint=None,
            )
            back = tuple(int(a) for a in np.argsort(there))
            return transpose_p.bind(ys, permutation=back)

        return along

    return rule


def _inverse(equation: Equation, avals: Sequence[Aval]) -> Callable[..., Any] | None:
    (a_aval,) = avals
    if a_aval.dtype not in GEMM_DTYPES:
        return None
    identity = np.eye(a_aval.shape[-1], dtype=a_aval.dtype)
    return lambda a: solve_p.bind(a, broadcast_p.bind(identity, shape=a_aval.shape))


EXPANSIONS: dict[str, Callable[[Equation, Sequence[Aval]], Callable[..., Any] | None]] = {
    "conv_general_dilated": convolution,
    "dot_general": by_sums,
    "reduce_window_sum": fold(add_p, lambda dtype: dtype.type(0)),
    "reduce_window_prod": fold(mul_p, lambda dtype: dtype.type(1)),
    "reduce_window_max": fold(max_p, lowest),
    "reduce_window_min": fold(min_p, highest),
    "window_find": find,
    "argmax": _arg_extremum(reduce_max_p),
    "argmin": _arg_extremum(reduce_min_p),
    "inv": _inverse,
    "sort": by_one_key,
    "fft": by_rows,
    "ifft": by_rows,
    "top_k": fewest,
    **dict.fromkeys(("eigh", "eigvalsh", "svd", "svdvals", "qr"), in_double),
    "pinv": pseudoinverse,
    "det": determinant,
    "slogdet": sign_and_logarithm,
    "cofactors": gradient,
    "cofactors_along": gradient_along,
    # from -0.0, which keeps the sign of a first zero
    "cumsum": _running(add_p, lambda dtype: -dtype.type(0), "iufc"),
    # no complex ones: 1 times infinity would have a nan
    "cumprod": _running(mul_p, lambda dtype: dtype.type(1), "iuf"),
    "cummax": _running(max_p, lowest, "iuf"),
    "cummin": _running(min_p, highest, "iuf"),
}
"""Per primitive, a function of the same operands built of others; None where it does not pay."""
