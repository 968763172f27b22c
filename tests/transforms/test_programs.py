"""Every transform of Programs gives a well-formed Program that computes the right thing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.compiler.lower import prepare
from functrans.compiler.simplify import simplify
from functrans.core.interpret import evaluate
from functrans.core.program import Program
from functrans.core.simplify import drop_dead
from functrans.transforms.batching import Axis, batch_program
from functrans.transforms.forward import jvp_program
from functrans.transforms.linearize import linearize_program
from functrans.transforms.transpose import transpose_program

X = np.array([0.5, -1.0, 2.0])
M = np.arange(6.0).reshape(2, 3) / 7 - 0.4

TABLE: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "identity": (lambda x: x, (X,)),
    "constant": (lambda x: np.arange(2.0), (X,)),
    "nothing": (lambda x: (), (X,)),
    "same output twice": (lambda x: (x * 2.0,) * 2, (X,)),
    "unused input": (lambda x, y: x * 2.0, (X, M)),
    "arithmetic": (lambda x, y: (x * y + x / (y**2 + 1.0)) - y, (X, M)),
    "weak": (lambda x: x * 2 + 1.0, (3.0,)),
    "mixed dtypes": (lambda x, y: x.astype(np.float32) * y, (X, M.astype("f4"))),
    "integers": (lambda x, n: (x * n, n + 1, x > 0), (X, np.arange(3))),
    "reductions": (lambda x: (fnp.sum(x, 0), fnp.max(x), fnp.prod(x, 1)), (M,)),
    "cumulative": (lambda x: (fnp.cumsum(x, 1), fnp.cumprod(x, 0)), (M,)),
    "shaping": (lambda x: (x.T, x.reshape(3, 2), x[::-1, 1:], fnp.pad(x, 1)), (M,)),
    "indexing": (lambda x: (x[[0, 1, 0]], ft.at(x)[0].add(1.0), x[:, -1]), (M,)),
    "products": (lambda x, y: (x @ y, fnp.outer(y, y)), (M, X)),
    "complex": (lambda x: fnp.abs(fnp.exp(1j * x)) + fnp.real((x + 1j) ** 2), (X,)),
    "sort": (lambda x: (fnp.sort(x), fnp.argsort(x)), (X,)),
    "jit": (lambda x: ft.jit(lambda y: fnp.sin(y) * y)(x) + 1.0, (X,)),
    "checkpoint": (lambda x: ft.checkpoint(lambda y: fnp.sin(y) * y)(x), (X,)),
    "scan": (lambda x: lax.scan(lambda c, v: (fnp.sin(c) + v, c * v), 0.5, x), (X,)),
    "cond": (lambda x: lax.cond(fnp.sum(x) > 0, fnp.sin, lambda v: v * 2.0, x), (X,)),
    "fori": (lambda x: lax.fori_loop(0, 3, lambda i, c: fnp.sin(c) * x, x), (X,)),
    "while": (lambda x: lax.while_loop(lambda c: fnp.sum(c) < 9, lambda c: c + x * x, x), (X,)),
    "empty": (lambda x: (fnp.sum(x), x * 2.0), (np.zeros((0, 3)),)),
    "derivative": (lambda x: ft.grad(lambda y: fnp.sum(fnp.sin(y) * x))(x), (X,)),
}
rows = pytest.mark.parametrize("name", list(TABLE))


def program_of(name: str) -> tuple[Program, list[Any]]:
    f, args = TABLE[name]
    program = ft.make_program(f)(*args)
    program.check()
    return program, list(args)


def tangents_of(args: Sequence[Any], mask: Sequence[bool]) -> list[Any]:
    """A tangent for every argument that has one: of its type, not weak."""
    return [
        np.asarray(np.cos(np.arange(np.size(x)) + 1.0).reshape(np.shape(x)), np.asarray(x).dtype)[
            ()
        ]
        for x, m in zip(args, mask, strict=True)
        if m
    ]


def masks_of(args: Sequence[Any]) -> list[tuple[bool, ...]]:
    """All inputs that can be differentiated, and each alone."""
    can = [np.asarray(x).dtype.kind in "fc" for x in args]
    alone = [tuple(c and i == j for j, c in enumerate(can)) for i in range(len(args)) if can[i]]
    return [*dict.fromkeys([tuple(can), *alone])]


def close(got: Sequence[Any], want: Sequence[Any], tol: float = 1e-12) -> None:
    for g, w in zip(got, want, strict=True):
        assert np.shape(g) == np.shape(w) and np.asarray(g).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(g, w, rtol=tol, atol=tol)


@rows
def test_jvp_program(name: str) -> None:
    program, args = program_of(name)
    for mask in masks_of(args):
        ts = tangents_of(args, mask)
        derived, out_mask = jvp_program(program, mask)
        derived.check()
        outs = evaluate(derived, [*args, *ts])
        count = len(program.outputs)
        close(outs[:count], evaluate(program, args))
        for y, has in zip(program.outputs, out_mask, strict=True):
            assert not has or y.aval.dtype.kind in "fc"
        if any(np.asarray(x).dtype == np.float32 for x in args):
            continue
        eps = 1e-6
        step = iter(ts)
        moved = [(x, next(step)) if m else (x, 0 * x) for x, m in zip(args, mask, strict=True)]
        plus = evaluate(program, [x + eps * t if np.any(t) else x for x, t in moved])
        minus = evaluate(program, [x - eps * t if np.any(t) else x for x, t in moved])
        found = iter(outs[count:])
        for p, m, has in zip(plus, minus, out_mask, strict=True):
            if np.asarray(p).dtype.kind in "fc":
                want = (np.asarray(p) - np.asarray(m)) / (2 * eps)
                got = next(found) if has else np.zeros(np.shape(p))
                np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
        derived_again, _ = jvp_program(derived, (True,) * len(derived.inputs)) if all(
            v.aval.dtype.kind in "fc" for v in derived.inputs
        ) else (derived, ())  # fmt: skip
        derived_again.check()


@rows
def test_linearize_and_transpose_program(name: str) -> None:
    program, args = program_of(name)
    for mask in masks_of(args):
        ts = tangents_of(args, mask)
        split = linearize_program(program, mask)
        split.forward.check()
        split.linear.check()
        outs = evaluate(split.forward, args)
        count = len(program.outputs)
        assert len(outs) == count + split.residual_count
        close(outs[:count], evaluate(program, args))
        residuals = outs[count:]
        pushed = evaluate(split.linear, [*residuals, *ts])
        derived, _out_mask = jvp_program(program, mask)
        assert sum(split.out_nonzero) == len(pushed)
        close(pushed, evaluate(derived, [*args, *ts])[count:])

        linear = (False,) * len(residuals) + (True,) * len(ts)
        nonzero = (True,) * len(pushed)
        transposed, has = transpose_program(split.linear, linear, nonzero)
        transposed.check()
        waves = [np.sin(np.arange(np.size(y)) + 1.0).reshape(np.shape(y)) for y in pushed]
        cts = [w.astype(y.dtype)[()] for w, y in zip(waves, pushed, strict=True)]
        pulled = iter(evaluate(transposed, [*residuals, *cts]))
        inner = sum(np.sum(next(pulled) * t) for t, h in zip(ts, has, strict=True) if h)
        want = sum(np.sum(c * t) for c, t in zip(cts, pushed, strict=True))
        np.testing.assert_allclose(inner, want, rtol=1e-4 if name == "mixed dtypes" else 1e-10)


@rows
def test_batch_program(name: str) -> None:
    program, args = program_of(name)
    axis = Axis(3)
    choices = [(True,) * len(args)] + [
        tuple(i == j for j in range(len(args))) for i in range(len(args))
    ]
    for mask in dict.fromkeys(choices):
        stacked = [np.stack([x, x * 2, x]) if m else x for x, m in zip(args, mask, strict=True)]
        derived, out_mask = batch_program(program, mask, axis)
        derived.check()
        outs = evaluate(derived, stacked)
        per_example = [
            evaluate(program, [s[i] if m else s for s, m in zip(stacked, mask, strict=True)])
            for i in range(3)
        ]
        for k, (out, m) in enumerate(zip(outs, out_mask, strict=True)):
            want = [r[k] for r in per_example]
            np.testing.assert_allclose(out, np.stack(want) if m else want[0], rtol=1e-6, atol=1e-12)
        forced, all_out = batch_program(program, mask, axis, (True,) * len(program.outputs))
        forced.check()
        assert all(all_out)
        for x in evaluate(forced, stacked):
            assert np.shape(x)[0] == 3


@rows
def test_derived_programs_are_kept(name: str) -> None:
    program, args = program_of(name)
    mask = masks_of(args)[0]
    assert jvp_program(program, mask) is jvp_program(program, mask)
    assert batch_program(program, (True,) * len(args), Axis(3)) is batch_program(
        program, (True,) * len(args), Axis(3)
    )


@rows
def test_simplification_and_preparation(name: str) -> None:
    program, args = program_of(name)
    derived, _ = jvp_program(program, masks_of(args)[0])
    inputs = [*args, *tangents_of(args, masks_of(args)[0])]
    for p, values in [(program, args), (derived, inputs)]:
        want = evaluate(p, values)
        for step in (simplify, prepare, lambda p: drop_dead(p)[0]):
            simple = step(p)
            simple.check()
            assert simple.out_avals == p.out_avals and simple.in_avals == p.in_avals
            close(evaluate(simple, values), want)


@rows
def test_source_lines_survive_transforms(name: str) -> None:
    program, args = program_of(name)
    derived, _ = jvp_program(program, masks_of(args)[0])
    for equation in [*derived.equations, *simplify(derived).equations]:
        assert equation.source is not None
        assert equation.source.file in ("test_programs.py",), equation.source
