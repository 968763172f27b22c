"""Krylov solvers find what numpy.linalg.solve does, with its derivatives, on vectors and trees."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import ShapeError, TransformError
from functrans.scipy.sparse.linalg import bicgstab, cg, gmres
from functrans.test_util import check_grads

N = 12


def _matrix(kind: str, dtype: str = "f8") -> np.ndarray:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(N, N))
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.normal(size=(N, N))
    return (a @ a.conj().T / N + np.eye(N) if kind == "definite" else a / 4 + 2 * np.eye(N)).astype(
        dtype
    )


SOLVERS = {
    "cg": (cg, "definite", {}),
    "bicgstab": (bicgstab, "general", {}),
    "gmres": (gmres, "general", {}),
    "gmres restarted": (gmres, "general", {"restart": 4}),
    "gmres, incremental": (gmres, "general", {"solve_method": "incremental"}),
    "gmres, incremental, restarted": (
        gmres,
        "general",
        {"solve_method": "incremental", "restart": 4},
    ),
    "cg, preconditioned": (cg, "definite", {"M": np.diag(1 / np.diag(_matrix("definite")))}),
    "gmres, preconditioned": (gmres, "general", {"M": np.diag(1 / np.diag(_matrix("general")))}),
}
solvers = pytest.mark.parametrize("name", SOLVERS)


@solvers
@pytest.mark.parametrize("jitted", [False, True])
def test_the_solution_is_that_of_elimination(name: str, jitted: bool) -> None:
    solver, kind, options = SOLVERS[name]
    a, b = _matrix(kind), np.arange(1.0, N + 1)
    run = (lambda f: ft.jit(f)) if jitted else (lambda f: f)
    x, info = run(lambda a, b: solver(a, b, tol=1e-12, **options))(a, b)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-8)
    assert info == 0


@pytest.mark.parametrize("name", ["cg", "bicgstab", "gmres"])
def test_complex_systems(name: str) -> None:
    solver, kind, _ = SOLVERS[name]
    a, b = _matrix(kind, "c16"), np.arange(1.0, N + 1) * (1 + 2j)
    x, info = solver(a, b, tol=1e-12)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-8)
    assert info == 0


@solvers
def test_derivatives_do_not_depend_on_the_steps(name: str) -> None:
    solver, kind, options = SOLVERS[name]
    a = _matrix(kind)

    def solution(s, b):
        matrix = a + s * np.eye(N)
        return solver(lambda v: matrix @ v, b, tol=1e-13, **options)[0]

    args = np.float64(0.3), np.cos(np.arange(N))
    check_grads(solution, args, order=2, rtol=1e-5, atol=1e-5)
    gradient = ft.grad(lambda s, b: fnp.sum(solution(s, b) ** 2), (0, 1))
    inverse = np.linalg.inv(a + 0.3 * np.eye(N))
    x = inverse @ args[1]
    np.testing.assert_allclose(gradient(*args)[1], 2 * inverse.T @ x, rtol=1e-7)


def test_batches_have_a_system_each() -> None:
    a, bs = _matrix("definite"), np.random.default_rng(1).normal(size=(3, N))
    xs, infos = ft.vmap(lambda b: cg(a, b, tol=1e-12))(bs)
    np.testing.assert_allclose(xs, np.linalg.solve(a, bs.T).T, rtol=1e-8)
    assert not infos.any()


def test_trees_are_vectors() -> None:
    b = {"x": np.array([1.0, 2.0]), "y": np.float64(3.0)}

    def matvec(v):
        return {"x": 2 * v["x"] + v["y"], "y": 5 * v["y"] + fnp.sum(v["x"])}

    x, info = cg(matvec, b, tol=1e-12)
    assert info == 0
    for got, want in zip(ft.tree.leaves(matvec(x)), ft.tree.leaves(b), strict=True):
        np.testing.assert_allclose(got, want)


def test_the_incremental_method_stops_within_a_krylov_space() -> None:
    a, b = _matrix("general"), np.ones(N)
    products = {}
    for method in ("batched", "incremental"):
        count: list[int] = []

        def matvec(v, count=count):
            ft.debug.callback(lambda: count.append(1))
            return a @ v

        x, info = gmres(matvec, b, tol=1e-3, solve_method=method)
        assert info == 0 and np.linalg.norm(a @ x - b) <= 1e-3 * np.linalg.norm(b)
        products[method] = len(count)
    assert products["incremental"] < products["batched"]
    with pytest.raises(TransformError, match="'batched' or 'incremental', got 'other'"):
        gmres(a, b, solve_method="other")


def test_what_does_not_converge_says_so() -> None:
    a, b = _matrix("general"), np.ones(N)
    assert gmres(a, b, tol=1e-12, restart=2, maxiter=2)[1] == 2
    assert bicgstab(a, b, tol=1e-14, maxiter=1)[1] == 1


def test_matrices_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"A of shape \(12, 12\) and b of shape \(3,\)"):
        cg(_matrix("definite"), np.ones(3))
