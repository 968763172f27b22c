"""Linear algebra agrees with NumPy in values, dtypes and stacks, and its derivatives are right."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from functrans.test_util import check_grads
from tests.numpy.agreement import array, check, compare, leaves, sparse

INEXACT = ["float32", "float64", "complex64", "complex128"]
DTYPES = [*INEXACT, "int32", "bool"]
STACKS: list[tuple[int, ...]] = [(), (4,), (2, 3), (0,)]


def both(name: str) -> tuple[Any, Any]:
    return getattr(fnp.linalg, name), getattr(np.linalg, name)


def square(n: int, dtype: str = "float64", stack: tuple[int, ...] = ()) -> np.ndarray:
    """Matrices far from singular."""
    x = array((*stack, n, n), dtype, n)
    return x if dtype == "bool" else (x + 9 * np.eye(n)).astype(dtype)


def positive_definite(n: int, dtype: str = "float64", stack: tuple[int, ...] = ()) -> np.ndarray:
    x = array((*stack, n, n), dtype, n)
    if dtype == "bool":
        return np.broadcast_to(np.eye(n, dtype=bool), x.shape)
    return (x @ np.swapaxes(x, -1, -2).conj() + np.eye(n)).astype(dtype)


def tolerance(dtype: str) -> float:
    return 3e-5 if dtype in ("float32", "complex64") else 1e-11


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stack", STACKS, ids=str)
@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "cholesky"])
def test_functions_of_one_matrix(name: str, stack: tuple[int, ...], dtype: str) -> None:
    for n in (1, 3) if dtype == "bool" else (0, 1, 2, 5):
        if name == "inv" and dtype == "bool":
            x = positive_definite(n, dtype, stack)
        else:
            x = (positive_definite if name == "cholesky" else square)(n, dtype, stack)
        check(*both(name), x, tolerance=tolerance(dtype))
        if n:
            check(*both(name), sparse(x), tolerance=tolerance(dtype))


TENSORS: list[tuple[str, tuple[int, ...], tuple[Any, ...]]] = [
    ("tensorsolve", (2, 3, 6), ((2, 3),)),
    ("tensorsolve", (6, 2, 3), ((2, 3), (0,))),
    ("tensorsolve", (2, 2, 3, 3), ((2, 3), (0, 2))),
    ("tensorinv", (2, 3, 6), ()),
    ("tensorinv", (6, 3, 2), (1,)),
]


@pytest.mark.parametrize(("name", "shape", "rest"), TENSORS, ids=str)
@pytest.mark.parametrize("dtype", INEXACT)
def test_tensor_equations(name: str, shape: Any, rest: Any, dtype: str) -> None:
    x = np.random.default_rng(6).normal(size=shape).astype(dtype)
    if name == "tensorsolve":
        rest = (array(rest[0], dtype, 1), *rest[1:])
    check(*both(name), x, *rest, tolerance=100 * tolerance(dtype))
    operands, fixed = ((x, rest[0]), rest[1:]) if name == "tensorsolve" else ((x,), rest)
    if dtype == "float64":
        check_grads(lambda *v: getattr(fnp.linalg, name)(*v, *fixed), operands, order=2)
    with pytest.raises(ShapeError, match=f"{name} needs as many"):
        getattr(fnp.linalg, name)(x[:1], *rest)


SYSTEMS = [
    ((3, 3), (3,)),
    ((3, 3), (3, 2)),
    ((3, 3), (5, 3, 2)),
    ((5, 3, 3), (3, 2)),
    ((5, 3, 3), (3,)),
    ((5, 3, 3), (5, 3, 2)),
    ((2, 1, 3, 3), (5, 3, 2)),
    ((3, 3), (3, 0)),
    ((0, 0), (0, 2)),
    ((0, 0), (0,)),
    ((0, 3, 3), (0, 3, 2)),
]


@pytest.mark.parametrize(("a", "b"), SYSTEMS)
def test_solve(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    for dtype in DTYPES[:-1]:
        rhs = array(b, dtype, 1)
        check(*both("solve"), square(a[-1], dtype, a[:-2]), rhs, tolerance=tolerance(dtype))
    for dtypes in [("float32", "int8"), ("float32", "float64"), ("complex64", "float64")]:
        left = square(a[-1], dtypes[0], a[:-2])
        check(*both("solve"), left, array(b, dtypes[1]), tolerance=3e-5)


OTHERS: list[tuple[str, tuple, dict[str, Any]]] = [
    ("cholesky", (positive_definite(3),), {"upper": True}),
    ("cholesky", (positive_definite(3, "complex128", (2,)),), {"upper": True}),
    ("matrix_power", (square(3, "int32"), 0), {}),
    ("matrix_power", (square(3, "int32"), 5), {}),
    ("matrix_power", (square(3, "int32"), -2), {}),
    ("matrix_power", (square(3, "complex128", (2,)), 3), {}),
    ("matrix_power", (square(3, "float32", (2,)), -1), {}),
    ("multi_dot", ([array((3, 4), "f8"), array((4, 2), "f8"), array((2, 5), "f8")],), {}),
    ("multi_dot", ([array((4,), "f8"), array((4, 2), "f8"), array((2, 5), "f8")],), {}),
    ("multi_dot", ([array((4,), "f8"), array((4, 2), "f8"), array((2,), "f8")],), {}),
    ("multi_dot", ([array((4, 4), "i4"), array((4,), "f4")],), {}),
    ("diagonal", (array((2, 3, 4), "f8"),), {"offset": 1}),
    ("trace", (array((2, 3, 4), "f8"),), {"offset": -1}),
    ("trace", (array((2, 3, 3), "i4"),), {"dtype": "f8"}),
    ("outer", (array((3,), "f8"), array((2,), "f8")), {}),
    ("cross", (array((4, 3), "f8"), array((3,), "f8")), {}),
    ("cross", (array((3, 4), "f8"), array((3, 4), "f8")), {"axis": 0}),
    ("matmul", (array((3, 4), "f8"), array((4, 2), "f8")), {}),
    ("matrix_transpose", (array((2, 3, 4), "f8"),), {}),
    ("vecdot", (array((3, 4), "c16"), array((3, 4), "c16")), {}),
    ("tensordot", (array((3, 4), "f8"), array((4, 2), "f8")), {"axes": 1}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), OTHERS, ids=[o[0] for o in OTHERS])
def test_others(name: str, args: tuple, kwargs: dict[str, Any]) -> None:
    check(*both(name), *args, **kwargs, tolerance=3e-6 if "f4" in str(args) else 2e-6)


# --- norms ----------------------------------------------------------------------------------------

VECTOR_ORDERS = [None, 0, 1, 2, 3, 0.5, 1.5, -1, -2.5, np.inf, -np.inf]
MATRIX_ORDERS = [None, "fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf]


@pytest.mark.parametrize("dtype", DTYPES)
def test_norms(dtype: str) -> None:
    x = array((3, 4), dtype) + np.asarray(1, dtype)
    stack = array((2, 3, 4), dtype) + np.asarray(1, dtype)
    near = tolerance(dtype)
    check(*both("norm"), stack, tolerance=near)
    check(*both("norm"), stack, keepdims=True, tolerance=near)
    check(*both("norm"), array((), dtype), tolerance=near)
    for order in VECTOR_ORDERS:
        check(*both("norm"), x[0], order, tolerance=near)
        check(*both("norm"), stack, order, axis=1, tolerance=near)
        check(*both("norm"), stack, order, axis=-1, keepdims=True, tolerance=near)
        if order is not None:
            check(*both("vector_norm"), stack, ord=order, tolerance=near)
            check(*both("vector_norm"), stack, ord=order, axis=(0, 2), tolerance=near)
            check(*both("vector_norm"), x, ord=order, axis=0, keepdims=True, tolerance=near)
    for order in MATRIX_ORDERS:
        check(*both("norm"), x, order, tolerance=near)
        check(*both("norm"), stack, order, axis=(2, 0), tolerance=near)
        check(*both("norm"), stack, order, axis=(0, 1), keepdims=True, tolerance=near)
        if order is not None:
            check(*both("matrix_norm"), stack, ord=order, tolerance=near)
            check(*both("matrix_norm"), stack, ord=order, keepdims=True, tolerance=near)


@pytest.mark.parametrize("order", VECTOR_ORDERS)
def test_norms_of_zeros(order: Any) -> None:
    with np.errstate(divide="ignore"):
        check(*both("norm"), np.array([0.0, 2.0, 0.0]), order)
        check(*both("norm"), np.zeros(3), order)
    gradient = ft.grad(lambda x: fnp.linalg.norm(x, order))
    assert not gradient(np.zeros(3)).any()
    assert np.isfinite(gradient(np.array([0.0, 2.0, 0.0]))).all()
    assert np.isfinite(ft.jit(gradient)(np.array([0.0, 2.0, 0.0]))).all()


def test_norm_at_zero_has_finite_derivatives_of_second_order() -> None:
    assert np.isfinite(ft.hessian(fnp.linalg.norm)(np.zeros(2))).all()
    distances = ft.grad(lambda x: fnp.sum(fnp.linalg.norm(x[:, None] - x[None], axis=-1)))
    assert np.isfinite(distances(array((3, 2), "f8"))).all()


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives_of_norms(dtype: str) -> None:
    x = array((3, 4), dtype) + np.linspace(0.15, 0.4, 12).reshape(3, 4).astype(dtype)
    for order in VECTOR_ORDERS:
        check_grads(lambda v: fnp.linalg.norm(v, order, axis=1), (x,), 2, rtol=1e-4, atol=1e-4)
    for order in MATRIX_ORDERS:
        check_grads(lambda v: fnp.linalg.norm(v, order), (x,), 2, rtol=1e-4, atol=1e-4)


# --- derivatives ----------------------------------------------------------------------------------


def hermitian(x: Any) -> Any:
    return fnp.matmul(x, fnp.conj(fnp.matrix_transpose(x))) + fnp.eye(x.shape[-1])


DIFFERENTIATED: dict[str, Any] = {
    "cholesky": lambda x: fnp.linalg.cholesky(hermitian(x)),
    "cholesky, upper": lambda x: fnp.linalg.cholesky(hermitian(x), upper=True),
    "cholesky, lower triangle": lambda x: fnp.linalg.cholesky(hermitian(x), symmetrize_input=False),
    "inv": fnp.linalg.inv,
    "det": fnp.linalg.det,
    "slogdet": lambda x: fnp.linalg.slogdet(x),
    "solve": lambda x: fnp.linalg.solve(x, x[..., :2] * x[..., 1:3]),
    "solve, vector": lambda x: fnp.linalg.solve(x, x[(0,) * (x.ndim - 1)]),
    "matrix_power": lambda x: fnp.linalg.matrix_power(x / 5, -3),
    "multi_dot": lambda x: fnp.linalg.multi_dot([x[(0,) * (x.ndim - 2)]] * 3) / 100,
}


@pytest.mark.parametrize("name", DIFFERENTIATED)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives(name: str, dtype: str) -> None:
    function = DIFFERENTIATED[name]
    for stack in ((), (2,)):
        x = array((*stack, 3, 3), dtype) * 0.4 + 2 * np.eye(3)
        check_grads(function, (x,), 2, rtol=3e-5, atol=3e-5)


@pytest.mark.parametrize("name", DIFFERENTIATED)
@pytest.mark.parametrize("dtype", INEXACT)
def test_jit_and_vmap_agree_with_eager(name: str, dtype: str) -> None:
    function = DIFFERENTIATED[name]
    x = array((4, 3, 3), dtype) * np.asarray(0.4, dtype) + 2 * np.eye(3, dtype=dtype)
    rows = [leaves(function(v)) for v in x]
    want = [np.stack(parts) for parts in zip(*rows, strict=True)]
    near = 1e-4 if dtype in ("float32", "complex64") else 1e-9
    compare("vmap", leaves(ft.vmap(function)(x)), want, near)
    compare("jit of vmap", leaves(ft.jit(ft.vmap(function))(x)), want, near)
    compare("jit", leaves(ft.jit(function)(x[0])), rows[0], near)

    def loss(v: Any) -> Any:
        return sum(fnp.sum(fnp.abs(y) ** 2) for y in leaves(function(v)))

    gradients = [ft.grad(loss)(v) for v in x]
    compare("gradient", leaves(ft.jit(ft.grad(loss))(x[0])), gradients[:1], near * 10)
    compare("gradients", [ft.vmap(ft.grad(loss))(x)], [np.stack(gradients)], near * 10)


def test_third_derivatives() -> None:
    x = square(4) / 5
    for function in (fnp.linalg.det, fnp.linalg.inv, lambda v: fnp.linalg.slogdet(v)[1]):
        check_grads(function, (x,), 3, modes="fwd", rtol=1e-4, atol=1e-4)
        check_grads(function, (x,), 3, modes="rev", rtol=1e-4, atol=1e-4)
    check_grads(fnp.linalg.det, (x,), 4, modes="fwd", rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("n", "rank"), [(2, 1), (3, 2), (3, 1), (3, 0), (5, 4), (5, 3), (6, 3)])
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives_of_det_at_singular_matrices(n: int, rank: int, dtype: str) -> None:
    x = array((n, rank), dtype) @ array((rank, n), dtype, 1) * 0.2
    check_grads(fnp.linalg.det, (x,), 2, rtol=3e-5, atol=3e-5)
    if n <= 3:
        check_grads(fnp.linalg.det, (x,), 4, modes="fwd", rtol=1e-4, atol=1e-4)
        check_grads(fnp.linalg.det, (x,), 3, modes="rev", rtol=1e-4, atol=1e-4)


def test_gradient_of_det_is_accurate_near_singular_matrices() -> None:
    u, _, v = np.linalg.svd(array((4, 4), "f8"))
    exact = u @ np.diag([0.0, 0.0, 0.0, 6.0]) @ v * np.linalg.det(u @ v)
    for small in (1e-3, 1e-6, 1e-9, 1e-13, 0.0):
        x = u @ np.diag([3.0, 2.0, 1.0, small]) @ v
        near = exact + np.linalg.det(u @ v) * small * u @ np.diag([2.0, 3.0, 6.0, 0.0]) @ v
        np.testing.assert_allclose(ft.grad(fnp.linalg.det)(x), near, rtol=1e-12, atol=1e-12)


def test_gradient_of_a_log_density_is_symmetric() -> None:
    gradient = ft.grad(lambda a: fnp.sum(fnp.log(fnp.diag(fnp.linalg.cholesky(a)))))
    a = positive_definite(4)
    np.testing.assert_allclose(gradient(a), np.linalg.inv(a) / 2, rtol=1e-10)


def test_many_right_hand_sides_share_a_factorisation() -> None:
    a = square(3)
    program = ft.make_program(ft.vmap(lambda b: fnp.linalg.solve(a, b)))(np.ones((100, 3)))
    (equation,) = [e for e in program.equations if e.primitive.name == "solve"]
    assert [x.aval.shape for x in equation.inputs] == [(3, 3), (3, 100)]


# --- matrices without a result, errors, dispatch --------------------------------------------------


def test_nan_where_there_is_no_result() -> None:
    good, bad = square(2), np.ones((2, 2))
    stack = np.stack([good, bad, good])
    for function in (fnp.linalg.inv, lambda a: fnp.linalg.solve(a, np.ones(2))):
        assert np.isnan(function(bad)).all()
        for out in (function(stack), ft.jit(function)(stack), ft.vmap(function)(stack)):
            assert np.isnan(out[1]).all()
            np.testing.assert_allclose(out[0], function(good))
    indefinite = np.stack([np.eye(2), -np.eye(2)])
    out = fnp.linalg.cholesky(indefinite)
    np.testing.assert_array_equal(out[0], np.eye(2))
    np.testing.assert_array_equal(out[1], [[np.nan, 0], [np.nan, np.nan]])
    np.testing.assert_array_equal(ft.jit(fnp.linalg.cholesky)(indefinite), out)
    assert float(fnp.linalg.slogdet(bad).logabsdet) == -np.inf


def test_errors() -> None:
    for name in ("inv", "det", "slogdet", "cholesky"):
        function = getattr(fnp.linalg, name)
        for call in (function, ft.jit(function), ft.vmap(function)):
            with pytest.raises(ShapeError, match=rf"{name}.*square.*f64\[.*2,3\]"):
                call(np.ones((4, 2, 3)))
        with pytest.raises(ShapeError, match="two axes"):
            function(np.ones(3))
        with pytest.raises(DTypeError, match="f16"):
            function(np.ones((2, 2), np.float16))
    with pytest.raises(ShapeError, match=r"a: f64\[3,3\] and b: f64\[4,2\]"):
        fnp.linalg.solve(np.eye(3), np.ones((4, 2)))
    with pytest.raises(ShapeError, match=r"broadcast: got a: f64\[2,3,3\] and b: f64\[5,3,1\]"):
        fnp.linalg.solve(np.ones((2, 3, 3)), np.ones((5, 3, 1)))
    with pytest.raises(ShapeError, match="test_linalg"):
        fnp.linalg.inv(np.ones((2, 3)))
    with pytest.raises(ShapeError, match=r"f64\[2,3\]"):
        fnp.linalg.matrix_power(np.ones((2, 3)), 2)
    with pytest.raises(ShapeError, match="three elements"):
        fnp.linalg.cross(np.ones(2), np.ones(2))
    with pytest.raises(ShapeError, match="vectors"):
        fnp.linalg.outer(np.ones((2, 2)), np.ones(2))
    with pytest.raises(ValueError, match="order"):
        ft.jit(lambda x: fnp.linalg.norm(x, "fro"))(np.ones(3))
    with pytest.raises(ShapeError, match="norm"):
        ft.jit(lambda x: fnp.linalg.norm(x, 1, axis=(0, 1, 2)))(np.ones((2, 2, 2)))


def test_numpy_functions_dispatch() -> None:
    x = square(3)
    for function in (
        lambda a: np.linalg.solve(a, np.ones(3)),
        lambda a: np.linalg.solve(x, a),
        np.linalg.inv,
        np.linalg.det,
        np.linalg.slogdet,
        np.linalg.norm,
        np.linalg.trace,
        lambda a: np.linalg.cholesky(a @ a.T),
        lambda a: np.linalg.matrix_power(a, 3),
        lambda a: np.linalg.multi_dot([a, a, a]),
        lambda a: np.linalg.matrix_norm(a, ord=1),
    ):
        compare("jit", leaves(ft.jit(function)(x)), leaves(function(x)), 1e-12)
    result = ft.jit(np.linalg.slogdet)(x)
    assert result._fields == np.linalg.slogdet(x)._fields


def test_costs_are_known() -> None:
    from functrans.core.primitive import registry
    from functrans.core.types import Aval

    one, many = Aval((10, 10), np.float64), Aval((7, 10, 10), np.complex128)
    for name in ("cholesky", "inv", "det", "cofactors", "svdvals"):
        cost = registry[name].cost
        assert cost is not None
        assert cost((many,), (many,)) == pytest.approx(28 * cost((one,), (one,)))
    assert registry["cholesky"].cost((one,), (one,)) == pytest.approx(1000 / 3)  # type: ignore[misc]


def test_scipy_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, functrans as ft, numpy as np; ft.numpy.linalg.inv(np.eye(2)); "
        "ft.scipy.stats.expon.logpdf(np.ones(2)); "
        "assert not any(m.split('.')[0] == 'scipy' for m in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
