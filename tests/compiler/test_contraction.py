"""Fused products and sums of kernels in registers: which there are, and that loops stay stable."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans.compiler.contraction import contracted

CALL = "call double @llvm.fmuladd.f64("
TEXTS = {  # lines, and what they become
    "a sum": (
        ["%p = fmul contract double %a, %b", "%s = fadd contract double %p, %c"],
        [f"%s = {CALL}double %a, double %b, double %c)"],
    ),
    "on the right": (
        ["%p = fmul contract double %a, 2.0", "%s = fadd contract double %c, %p"],
        [f"%s = {CALL}double %a, double 2.0, double %c)"],
    ),
    "a difference": (
        ["%p = fmul contract double %a, %b", "%s = fsub contract double %p, %c"],
        ["%s.neg = fneg double %c", f"%s = {CALL}double %a, double %b, double %s.neg)"],
    ),
    "subtracted": (
        ["%p = fmul contract double %a, %b", "%s = fsub contract double %c, %p"],
        ["%s.neg = fneg double %a", f"%s = {CALL}double %s.neg, double %b, double %c)"],
    ),
    "read twice": (
        [
            "%p = fmul contract double %a, %b",
            "%s = fadd contract double %p, %c",
            "%t = fadd contract double %p, %d",
        ],
        ["%p = fmul double %a, %b", "%s = fadd double %p, %c", "%t = fadd double %p, %d"],
    ),
    "squared": (
        ["%p = fmul contract double %a, %b", "%s = fadd contract double %p, %p"],
        ["%p = fmul double %a, %b", "%s = fadd double %p, %p"],
    ),
    "of two products one": (
        [
            "%p = fmul contract double %a, %b",
            "%q = fmul contract double %c, %d",
            "%s = fadd contract double %p, %q",
        ],
        ["%q = fmul double %c, %d", f"%s = {CALL}double %a, double %b, double %q)"],
    ),
    "exact": (
        ["%p = fmul double %a, %b", "%s = fadd contract double %p, %c"],
        ["%p = fmul double %a, %b", "%s = fadd double %p, %c"],
    ),
    "a reduction": (
        ["%p = fmul contract double %a, %b", "%s = fadd reassoc contract double %p, %c"],
        ["%p = fmul double %a, %b", "%s = fadd reassoc double %p, %c"],
    ),
    "float": (
        ["%p = fmul contract float %a, %b", "%s = fadd contract float %p, %c"],
        ["%s = call float @llvm.fmuladd.f32(float %a, float %b, float %c)"],
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_contracted(name: str) -> None:
    lines, want = TEXTS[name]
    got, declarations = contracted([f"  {line}" for line in lines])
    assert got == [f"  {line}" for line in want]
    assert len(declarations) == any("fmuladd" in line for line in want)


def test_a_product_is_not_moved_into_a_loop() -> None:
    product, total = "  %p = fmul contract double %a, %b", "  %s = fadd contract double %p, %c"
    assert contracted([product, "loop.3:", total])[0][0] == product.replace(" contract", "")
    assert len(contracted([product, "then.3:", total])[0]) == 2


def diffused(u: Any) -> Any:
    """A diffusion that is stable, and whose transpose is."""
    return u.at[1:-1].add(0.1 * (u[2:] - 2 * u[1:-1] + u[:-2]))


@pytest.mark.parametrize("n", [3, 5, 8, 14, 18, 20, 30, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loops_stay_stable(n: int, dtype: Any) -> None:
    def loop(u: Any) -> Any:
        return lax.fori_loop(0, 1000, lambda i, u: diffused(u), u)

    u = np.random.default_rng(n).normal(size=n).astype(dtype)

    def pulled_back(ct: Any) -> Any:
        return ft.vjp(loop, u)[1](ct)[0]

    for f in (loop, pulled_back):
        want = f(u)
        error = np.abs(ft.jit(f)(u) - want).max()
        assert error <= 1000 * np.finfo(dtype).eps * np.abs(want).max()
