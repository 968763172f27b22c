"""Every primitive × every transform, from one table: values, dtypes and derivatives agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.core.interpret import evaluate
from functrans.core.primitive import registry
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of
from functrans.test_util import check_grads
from tests.primitives.cases import CASES, Case

STRUCTURED = {
    # primitives that hold Programs or Python functions are held to their own tables
    "tests/primitives/test_control_flow.py": [
        "scan",
        "while_loop",
        "loop_tangent",
        "loop_cotangent",
        "loop_cotangent_change",
        "cond",
    ],
    "tests/primitives/test_revolve.py": ["hinted_call"],
    "tests/primitives/test_custom.py": [
        "call",
        "custom_jvp",
        "custom_vjp",
    ],
    "tests/primitives/test_custom_vjp_forward.py": ["custom_lin"],
    "tests/primitives/test_recorded_loops.py": ["recorded_loop"],
    "tests/primitives/test_tapes.py": ["recording_while"],
    "tests/primitives/test_checkpoints.py": ["checkpoint"],
    "tests/primitives/test_callbacks.py": ["pure_callback", "io_callback", "debug_callback"],
    "tests/primitives/test_collectives.py": [
        "psum",
        "pmax",
        "pmin",
        "all_gather",
        "ppermute",
        "axis_index",
    ],
    "tests/lax/test_solves.py": ["linear_solve"],
    "tests/compiler/test_window_products.py": ["window_product"],
    "tests/compiler/test_sorting.py": ["unstable_order"],
    "tests/compiler/test_expansions.py": ["stored"],
    "tests/test_random.py": ["threefry2x32"],
    "tests/primitives/test_indexing.py": [
        "gather",
        "scatter",
        "dynamic_slice",
        "dynamic_update_slice",
        "sort",
    ],
}


def differentiable(case: Case) -> list[int]:
    """The operands with respect to which a case can be differentiated."""
    return [i for i, x in enumerate(case.operands) if x.dtype.kind in "fc"] if case.smooth else []


def real_loss(case: Case) -> Any:
    """A real scalar of the case's result that weights every element differently."""

    def loss(*args: Any) -> Any:
        out = case(*args)
        outs = out if isinstance(out, list | tuple) else [out]
        total: Any = 0.0
        for y in outs:
            if y.dtype.kind not in "fc":
                continue
            weight = np.cos(np.arange(y.size, dtype=float)).reshape(y.shape)
            parts = [y.real, y.imag] if y.dtype.kind == "c" else [y]
            for part in parts:
                total = total + ft.numpy.sum(part * weight.astype(part.dtype))
        return total

    return loss


def tolerance(case: Case) -> dict[str, float]:
    single = any(x.dtype in (np.float32, np.complex64) for x in case.operands) or "f4" in case.name
    return {"rtol": 2e-5, "atol": 2e-5} if single else {"rtol": 1e-10, "atol": 1e-10}


def assert_same(got: Any, want: Any, **tol: float) -> None:
    gots = got if isinstance(got, list | tuple) else [got]
    wants = want if isinstance(want, list | tuple) else [want]
    assert len(gots) == len(wants)
    for g, w in zip(gots, wants, strict=True):
        assert np.shape(g) == np.shape(w)
        assert np.asarray(g).dtype == np.asarray(w).dtype
        np.testing.assert_allclose(g, w, **tol)


case_table = pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
smooth_table = pytest.mark.parametrize(
    "case",
    [c for c in CASES if differentiable(c)],
    ids=[c.name for c in CASES if differentiable(c)],
)


@case_table
def test_traced_and_compiled_agree_with_eager(case: Case) -> None:
    want = case(*case.operands)
    avals = [aval_of(x) for x in case.operands]
    many = registry[case.primitive].multiple_results
    program = make_program_flat(lambda xs: list(case(*xs)) if many else [case(*xs)], avals)
    program.check()
    got = evaluate(program, case.operands)
    assert_same(got if many else got[0], want, rtol=0, atol=0)
    assert_same(ft.jit(case.bind)(*case.operands), want, **tolerance(case))


@case_table
def test_vmap_is_a_loop(case: Case) -> None:
    if not case.operands:
        return
    n = len(case.operands)
    masks = {tuple([True] * n), *(tuple(i == j for j in range(n)) for i in range(n))}
    for mask in masks:
        stacked = [
            np.stack([x, x[::-1] if np.ndim(x) else x, x]) if m else x
            for x, m in zip(case.operands, mask, strict=True)
        ]
        axes = tuple(0 if m else None for m in mask)
        mapped = ft.vmap(case.bind, axes)
        got = mapped(*stacked)
        rows = [
            case(*[s[i] if m else s for s, m in zip(stacked, mask, strict=True)]) for i in range(3)
        ]
        if registry[case.primitive].multiple_results:
            want: Any = [np.stack(parts) for parts in zip(*rows, strict=True)]
        else:
            want = np.stack(rows)
        assert_same(got, want, **tolerance(case))
        assert_same(ft.jit(mapped)(*stacked), want, **tolerance(case))


@smooth_table
def test_derivatives_are_right_to_second_order(case: Case) -> None:
    wide = [x.astype({"f": "f8", "c": "c16"}.get(x.dtype.kind, x.dtype)) for x in case.operands]
    chosen = differentiable(case)

    def of_chosen(*xs: Any) -> Any:
        full = list(wide)
        for i, x in zip(chosen, xs, strict=True):
            full[i] = x
        return case(*full)

    check_grads(of_chosen, [wide[i] for i in chosen], order=case.order, rtol=2e-5, atol=2e-5)


@smooth_table
def test_gradients_compose_with_jit_and_vmap(case: Case) -> None:
    loss, chosen = real_loss(case), tuple(differentiable(case))
    gradient = ft.grad(loss, chosen)
    want = gradient(*case.operands)
    assert_same(ft.jit(gradient)(*case.operands), want, **tolerance(case))
    stacked = [np.stack([x, x]) for x in case.operands]
    want_rows = [np.stack([g, g]) for g in want]
    assert_same(ft.vmap(gradient)(*stacked), want_rows, **tolerance(case))
    assert_same(ft.jit(ft.vmap(gradient))(*stacked), want_rows, **tolerance(case))
    assert_same(ft.grad(ft.jit(loss), chosen)(*case.operands), want, **tolerance(case))


def test_every_primitive_has_a_row() -> None:
    elsewhere = {name for names in STRUCTURED.values() for name in names}
    missing = sorted(set(registry) - {c.primitive for c in CASES} - elsewhere)
    assert not missing, f"no cases in tests/primitives/cases.py for {missing}"
