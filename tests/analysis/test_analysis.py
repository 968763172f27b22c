"""The cost model and the comparison of modes: counts that can be known, and choices that follow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.analysis import Cost, compare_modes, cost
from functrans.core.errors import TransformError

X = np.linspace(0.1, 1.0, 12).reshape(3, 4)


def chain(x: Any) -> Any:
    return fnp.tanh(x) * fnp.exp(-x * x)


COSTS: dict[str, tuple[Any, tuple, Cost]] = {
    "product": (lambda x, y: x @ y, (np.ones((5, 7)), np.ones((7, 3))), Cost(210, 568, 1)),
    "sum": (fnp.sum, (np.ones(1000),), Cost(1000, 8008, 1)),
    "fused chain moves its ends only": (lambda x: x * x + x, (np.ones(100),), Cost(200, 1600, 1)),
    "common terms count once": (lambda x: (x * 2.0) + (x * 2.0), (np.ones(9),), Cost(18, 144, 1)),
    "dead code is free": (lambda x: (fnp.sin(x), x * 2.0)[1], (np.ones(9),), Cost(9, 144, 1)),
    "scan": (
        lambda x: lax.scan(lambda c, _: (c * 2.0, None), x, None, length=10)[0],
        (np.ones(5),),
        Cost(50, 800, 10),
    ),
}


@pytest.mark.parametrize("name", list(COSTS))
def test_known_costs(name: str) -> None:
    f, args, want = COSTS[name]
    assert cost(f)(*args) == want
    structs = [ft.ShapeDtypeStruct(x.shape, x.dtype) for x in args]
    assert cost(f)(*structs) == want


def test_cond_costs_its_dearer_branch() -> None:
    f = lambda x: lax.cond(x[0] > 0, lambda y: y @ fnp.outer(y, y), lambda y: y * 2.0, x)
    assert cost(f)(np.ones(50)).flops >= 2 * 50 * 50


def test_cost_analysis_of_a_lowered_function() -> None:
    assert ft.jit(lambda x: x @ x).lower(np.ones((10, 10))).cost_analysis() == {
        "flops": 2000.0,
        "bytes accessed": 1600.0,
    }


SHAPES: dict[str, tuple[Any, Any, int, int, str]] = {
    "many to one": (lambda x: fnp.sum(chain(x)), np.linspace(-1, 1, 3000), 3000, 1, "reverse"),
    "one to many": (lambda t: chain(t * np.linspace(0, 1, 3000)), 0.5, 1, 3000, "forward"),
    "tree to tree": (
        lambda p: {"y": fnp.sum(p["a"] @ p["b"]), "z": fnp.sin(p["b"])[0, 0]},
        {"a": np.ones((40, 50)), "b": np.linspace(0, 1, 2000).reshape(50, 40)},
        4000,
        2,
        "reverse",
    ),
}


@pytest.mark.parametrize("name", list(SHAPES))
def test_comparison(name: str, tmp_path: Path) -> None:
    f, x, n, m, want = SHAPES[name]
    result = compare_modes(f, max_passes=32)(x)
    assert (result.inputs, result.outputs) == (n, m)
    assert (result.forward.passes, result.reverse.passes) == (n, m)
    assert result.forward.measured_passes == min(n, 32)
    assert result.compared == min(n, 32) * min(m, 32)
    assert result.disagreement < 1e-12
    assert result.recommendation == want
    best, other = (result.forward, result.reverse)[:: 1 if want == "forward" else -1]
    assert best.predicted.seconds < other.predicted.seconds
    assert best.peak_bytes < other.peak_bytes
    assert result.forward.residual_bytes == 0
    table = str(result)
    assert f"take {want}" in table and f"{n:,}" in table and "≈" in table
    result.plot(tmp_path / "modes.png")
    assert (tmp_path / "modes.png").stat().st_size > 1000


def test_residuals_are_what_the_backward_pass_reads() -> None:
    assert compare_modes(lambda x: fnp.sum(fnp.exp(x)))(X).reverse.residual_bytes == X.nbytes
    assert compare_modes(lambda x: fnp.sum(3 * x))(X).reverse.residual_bytes == 0
    assert compare_modes(lambda x: fnp.sum(x * x))(X).reverse.residual_bytes == 0  # x itself


def test_comparison_follows_python_control_flow_and_argnums() -> None:
    def f(n: int, x: Any) -> Any:
        return fnp.sum(x) * 2 if x[0, 0] > 0 else x

    assert compare_modes(f, argnums=1)(3, X).outputs == 1
    assert compare_modes(f, argnums=1)(3, -X).outputs == 12


def test_comparison_refuses_what_has_no_real_jacobian() -> None:
    with pytest.raises(TransformError, match="argument to be real floating"):
        compare_modes(fnp.sum)(np.arange(3))
    with pytest.raises(TransformError, match="result to be real floating"):
        compare_modes(lambda x: x > 0)(X)


@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobian_modes_agree(mode: str) -> None:
    def f(a: Any, b: Any) -> Any:
        return fnp.sin(a) * b["w"], {"s": fnp.sum(b["w"] ** 2)}

    args = (X[0], {"w": X[1]})
    got = ft.jacobian(f, argnums=(0, 1), mode=mode)(*args)
    want = ft.jacrev(f, argnums=(0, 1))(*args)
    assert ft.tree.structure(got) == ft.tree.structure(want)
    ft.tree.map(np.testing.assert_allclose, got, want)


@pytest.mark.parametrize(("n", "m", "taken"), [(1, 40, ft.jacfwd), (40, 1, ft.jacrev)])
def test_jacobian_takes_the_cheaper_mode(n: int, m: int, taken: Any) -> None:
    f = lambda x: fnp.sin(np.ones((m, n)) @ x)
    programs = {t: ft.make_program(t(f))(np.ones(n)) for t in (ft.jacfwd, ft.jacrev)}
    assert programs[ft.jacfwd] != programs[ft.jacrev]
    assert ft.make_program(ft.jacobian(f))(np.ones(n)) == programs[taken]


def test_jacobian_with_aux_holomorphic_and_under_jit() -> None:
    y, aux = ft.jacobian(lambda x: (x**2, x + 1), has_aux=True)(X[0])
    np.testing.assert_allclose(y, np.diag(2 * X[0]))
    np.testing.assert_array_equal(aux, X[0] + 1)
    z = np.array([1 + 2j, 3.0])
    np.testing.assert_allclose(ft.jacobian(lambda z: z**2, holomorphic=True)(z), np.diag(2 * z))
    np.testing.assert_allclose(ft.jit(ft.jacobian(fnp.sin))(X[0]), np.diag(np.cos(X[0])))


def test_jacobian_of_an_unknown_mode() -> None:
    with pytest.raises(ValueError, match='"auto", "forward" or "reverse"'):
        ft.jacobian(fnp.sin, mode="backward")
