"""Decompositions agree with NumPy; derivatives of what does not depend on a choice of vectors are
right, also where eigenvalues or singular values are equal or zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.core.errors import DTypeError, ShapeError
from functrans.test_util import check_grads
from tests.numpy.agreement import array, check, compare, leaves, sparse
from tests.numpy.test_linalg import both, tolerance

la = fnp.linalg
DTYPES = ["float32", "float64", "complex64", "complex128", "int32", "bool"]
STACKS: list[tuple[int, ...]] = [(), (2, 3), (0,)]


def adjoint(x: Any) -> Any:
    return fnp.conj(fnp.matrix_transpose(x))


def hermitian(x: Any) -> Any:
    return x | np.swapaxes(x, -1, -2) if x.dtype == bool else x + np.swapaxes(x, -1, -2).conj()


# --- values ---------------------------------------------------------------------------------------

OF_HERMITIAN: list[tuple[str, dict[str, Any]]] = [
    ("eigh", {}),
    ("eigh", {"UPLO": "L"}),
    ("eigh", {"UPLO": "u"}),
    ("eigvalsh", {}),
    ("eigvalsh", {"UPLO": "U"}),
    ("svd", {"hermitian": True}),
    ("svd", {"hermitian": True, "compute_uv": False}),
    ("pinv", {"hermitian": True}),
    ("matrix_rank", {"hermitian": True}),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "kwargs"), OF_HERMITIAN, ids=str)
def test_of_hermitian_matrices(name: str, kwargs: dict[str, Any], dtype: str) -> None:
    near = tolerance(dtype) * 10
    for stack in STACKS:
        for n in (1, 2, 5) if name == "pinv" else (0, 1, 2, 5):
            x = hermitian(array((*stack, n, n), dtype, n))
            if dtype == "bool":
                x = np.broadcast_to(np.eye(n, dtype=bool), x.shape)
            check(*both(name), x, tolerance=near, **kwargs)
            if "UPLO" in kwargs:  # reads that triangle alone
                read = np.tril if kwargs["UPLO"] == "L" else np.triu
                check(*both(name), read(x), tolerance=near, **kwargs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["eig", "eigvals"])
def test_of_square_matrices(name: str, dtype: str) -> None:
    ours, theirs = both(name)

    def reference(x: Any) -> Any:
        want = theirs(x)
        parts = want if name == "eig" else [want]
        return [np.asarray(w, np.result_type(w, np.complex64)) for w in parts]

    for stack in STACKS:
        for n in (0, 1, 2, 5):
            x = array((*stack, n, n), dtype, n)
            x = np.ones_like(x) if dtype == "bool" else x
            check(ours, reference, x, tolerance=tolerance(dtype) * 10)


OF_ANY: list[tuple[str, dict[str, Any]]] = [
    ("svd", {}),
    ("svd", {"full_matrices": False}),
    ("svd", {"compute_uv": False}),
    ("svdvals", {}),
    ("qr", {}),
    ("qr", {"mode": "complete"}),
    ("qr", {"mode": "r"}),
    ("matrix_rank", {}),
    ("matrix_rank", {"tol": 1.5}),
    ("matrix_rank", {"rtol": 0.3}),
]
SHAPES = [(3, 3), (4, 2), (2, 4), (1, 3), (3, 0), (0, 3), (0, 0)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "kwargs"), OF_ANY, ids=str)
def test_of_any_matrices(name: str, kwargs: dict[str, Any], dtype: str) -> None:
    for stack in STACKS:
        for shape in SHAPES:
            x = array((*stack, *shape), dtype, sum(shape) + 1)
            if dtype == "bool":
                x = x | np.eye(*shape, dtype=bool)
            check(*both(name), x, tolerance=tolerance(dtype) * 10, **kwargs)
    check(*both(name), sparse(array((3, 4), "f8")), **kwargs, tolerance=1e-11)


@pytest.mark.parametrize("dtype", DTYPES[:4])
@pytest.mark.parametrize("kwargs", [{}, {"rcond": 0.3}, {"rtol": None}, {"rtol": 0.3}], ids=str)
def test_pinv(kwargs: dict[str, Any], dtype: str) -> None:
    for shape in (*SHAPES, (2, 4, 3), (0, 4, 3)):
        x = array(shape, dtype, sum(shape) + 1)
        check(*both("pinv"), x, tolerance=tolerance(dtype) * 10, **kwargs)


def test_cutoffs_per_matrix() -> None:
    x, cutoffs = array((3, 4, 3), "f8", 1), np.array([0.0, 0.5, 0.9])
    check(*both("pinv"), x, cutoffs, tolerance=1e-11)
    check(*both("matrix_rank"), x, cutoffs * 5)
    check(*both("matrix_rank"), x, rtol=cutoffs)
    for y in (np.zeros(3), np.ones(3), np.float64(0), np.int64(2)):
        check(*both("matrix_rank"), y, eager=False)
        assert la.matrix_rank(y) == np.linalg.matrix_rank(y)
    check(*both("matrix_rank"), np.ones((2, 4, 3)))


@pytest.mark.parametrize("dtype", DTYPES[:-1])
@pytest.mark.parametrize(("m", "n"), [(5, 3), (3, 5), (3, 3), (3, 0), (0, 3)])
def test_lstsq(m: int, n: int, dtype: str) -> None:
    a = array((m, n), dtype, 2)
    for b in ((m,), (m, 2), (m, 0)):
        check(*both("lstsq"), a, array(b, dtype, 3), tolerance=tolerance(dtype) * 100)
    check(*both("lstsq"), a, array((m, 2), "float64", 3), tolerance=tolerance(dtype) * 100)


def test_lstsq_cuts_off_small_singular_values() -> None:
    a, b = np.diag([4.0, 2.0, 1e-17]), np.ones(3)
    check(*both("lstsq"), a, b, tolerance=1e-12)
    check(*both("lstsq"), a, b, -1, tolerance=1e-12)
    check(*both("lstsq"), a, b, 0.6, tolerance=1e-12)
    _, squares, rank, _ = la.lstsq(np.ones((3, 2)), np.arange(3.0))
    assert (rank, squares.round(9).tolist()) == (1, [2.0])  # NumPy gives no sum for this rank


@pytest.mark.parametrize("order", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"])
@pytest.mark.parametrize("dtype", DTYPES[:-1])
def test_cond(order: Any, dtype: str) -> None:
    for stack in ((), (2,)):
        x = (array((*stack, 3, 3), dtype, 3) + 5 * np.eye(3)).astype(dtype)
        check(*both("cond"), x, order, tolerance=tolerance(dtype) * 10)
        if order in (None, 2, -2):
            check(*both("cond"), x[..., :2], order, tolerance=tolerance(dtype) * 10)


@pytest.mark.parametrize("order", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro", "nuc"])
def test_cond_of_singular_matrices_is_infinite(order: Any) -> None:
    stack = np.stack([np.eye(2), np.zeros((2, 2)), np.full((2, 2), np.nan)])
    for call in (la.cond, ft.jit(la.cond, static_argnums=1)):
        assert np.isfinite(call(stack, order)).tolist() == [True, False, False]
        assert np.isnan(call(stack, order)).tolist() == [False, False, True]


# --- derivatives ----------------------------------------------------------------------------------


def by_eigh(function: Any) -> Any:
    def of_matrix(x: Any) -> Any:
        values, vectors = la.eigh((x + adjoint(x)) / 2)
        return (vectors * function(values)[..., None, :]) @ adjoint(vectors)

    return of_matrix


def by_svd(function: Any) -> Any:
    def of_matrix(x: Any) -> Any:
        u, s, vh = la.svd(x, full_matrices=False)
        return (u * function(s)[..., None, :]) @ vh

    return of_matrix


def full_svd(x: Any) -> Any:
    u, s, vh = la.svd(x)
    k = s.shape[-1]
    rest_u, rest_v = u[..., k:], adjoint(vh)[..., k:]
    within = fnp.abs(u[..., :k]) ** 2, fnp.abs(vh[..., :k, :]) ** 2
    return *within, rest_u @ adjoint(rest_u), rest_v @ adjoint(rest_v)


def complete_qr(x: Any) -> Any:
    q, r = la.qr(x, mode="complete")
    rest = q[..., min(x.shape[-2:]) :]
    return q @ r, r, rest @ adjoint(rest)


def least_squares(x: Any) -> Any:
    a = x[(0,) * (x.ndim - 2)]
    return la.lstsq(a, fnp.sin(a[:, :2]))[:2]


DIFFERENTIATED: dict[str, Any] = {
    "eigh, exp": by_eigh(lambda w: fnp.exp(w / 3)),
    "eigh, vectors": lambda x: fnp.abs(la.eigh((x + adjoint(x)) / 2).eigenvectors) ** 2,
    "eigh, upper triangle": lambda x: fnp.abs(la.eigh(x, "U").eigenvectors) ** 2,
    "eigh, lower triangle": lambda x: la.eigh(x, "L").eigenvalues,
    "eigvalsh": la.eigvalsh,
    "eigvalsh, upper triangle": lambda x: la.eigvalsh(x, "U"),
    "svd, hermitian": lambda x: fnp.abs(la.svd(x, hermitian=True).Vh),
    "svdvals, hermitian": lambda x: la.svd(x, compute_uv=False, hermitian=True),
    "svd, identity": by_svd(lambda s: s),
    "svd, tanh": by_svd(fnp.tanh),
    "svd, polar": by_svd(fnp.ones_like),
    "svd, full": full_svd,
    "svdvals": la.svdvals,
    "qr": la.qr,
    "qr, complete": complete_qr,
    "qr, r": lambda x: la.qr(x, "r"),
    "pinv": la.pinv,
    "pinv, hermitian": lambda x: la.pinv(x, hermitian=True),
    "lstsq": least_squares,
    "cond": la.cond,
    "cond, nuc": lambda x: la.cond(x, "nuc"),
    "norm, nuc": lambda x: la.matrix_norm(x, ord="nuc"),
    "norm, 2": lambda x: la.matrix_norm(x, ord=2),
    "norm, -2": lambda x: la.matrix_norm(x, ord=-2),
}
SQUARE_ONLY = ("eig", "svd, hermitian", "svdvals, hermitian", "pinv, hermitian", "cond, nuc")


def operand(name: str, shape: tuple[int, int], dtype: str, stack: tuple[int, ...] = ()) -> Any:
    """Matrices whose singular values, and eigenvalues of the symmetric part, are apart."""
    x = array((*stack, *shape), dtype, 7) * 0.4
    return (x + np.eye(*shape) * np.arange(1, shape[1] + 1)).astype(dtype)


def shapes_for(name: str) -> list[tuple[int, int]]:
    return [(3, 3)] if name.startswith(SQUARE_ONLY) else [(3, 3), (5, 3), (3, 5)]


@pytest.mark.parametrize("name", DIFFERENTIATED)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_derivatives(name: str, dtype: str) -> None:
    for shape in shapes_for(name):
        for stack in ((), (2,)):
            x = operand(name, shape, dtype, stack)
            check_grads(DIFFERENTIATED[name], (x,), 2, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", DIFFERENTIATED)
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_jit_and_vmap_agree_with_eager(name: str, dtype: str) -> None:
    function, near = DIFFERENTIATED[name], 1e-3 if dtype in ("float32", "complex64") else 1e-9
    x = operand(name, shapes_for(name)[-1], dtype, (2,))
    rows = [leaves(function(v)) for v in x]
    want = [np.stack(parts) for parts in zip(*rows, strict=True)]
    compare("vmap", leaves(ft.vmap(function)(x)), want, near)
    compare("jit of vmap", leaves(ft.jit(ft.vmap(function))(x)), want, near)

    def loss(v: Any) -> Any:
        return sum(fnp.sum(fnp.sin(fnp.abs(y))) for y in leaves(function(v)))

    gradients = np.stack([ft.grad(loss)(v) for v in x])
    assert gradients.dtype == dtype
    compare("gradient", [ft.jit(ft.grad(loss))(x[0])], [gradients[0]], near)
    compare("gradient of jit", [ft.grad(ft.jit(loss))(x[0])], [gradients[0]], near)
    compare("gradients", [ft.jit(ft.vmap(ft.grad(loss)))(x)], [gradients], near)


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_jacobians_agree_in_every_mode(name: str) -> None:
    function, x = DIFFERENTIATED[name], operand(name, shapes_for(name)[-1], "float64")
    t = np.cos(np.arange(x.size)).reshape(x.shape)
    forward, reverse = ft.jacfwd(function)(x), ft.jit(ft.jacrev(function))(x)
    compare("reverse", leaves(reverse), leaves(forward), 1e-9)
    along = [np.tensordot(j, t, 2) for j in leaves(forward)]
    compare("linearize", leaves(ft.linearize(function, x)[1](t)), along, 1e-9)
    _, series = ft.jet(lambda v: leaves(function(v)), (x,), ((t, np.zeros_like(t)),))
    compare("jet", series[0], along, 1e-9)


def test_hermitian_input_has_a_hermitian_gradient() -> None:
    x = hermitian(array((3, 3), "c16", 2))
    g = ft.grad(lambda a: fnp.sum(la.eigvalsh(a) ** 3).real)(x)
    np.testing.assert_allclose(g, g.conj().T)
    triangle = ft.grad(lambda a: fnp.sum(la.eigvalsh(a, "L") ** 3))(x)
    np.testing.assert_array_equal(triangle, np.tril(triangle))


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("stack", [(), (2,)], ids=str)
def test_derivatives_of_eigenvalues_and_vectors(stack: tuple[int, ...], dtype: str) -> None:
    x = array((*stack, 4, 4), dtype, 3)

    def parts(x: Any) -> Any:
        values, vectors = la.eig(x)
        # squares, since the sign of a vector is LAPACK's choice
        return [part(v) for v in (values, vectors**2) for part in (fnp.real, fnp.imag)]

    check_grads(parts, (x,), order=2)
    check_grads(lambda x: fnp.abs(la.eigvals(x)), (x,), order=2)
    jacobian = ft.jacrev(lambda x: la.eigvals(x).real)
    np.testing.assert_allclose(ft.jit(jacobian)(x), jacobian(x), rtol=1e-9, atol=1e-9)


def test_vectors_of_equal_eigenvalues_give_no_nan() -> None:
    x = np.diag([1.0, 1.0, 2.0])
    assert ft.grad(lambda x: fnp.sum(la.eigvals(x)).real)(x).tolist() == np.eye(3).tolist()
    assert np.isfinite(ft.grad(lambda x: fnp.sum(la.eig(x)[1].real ** 3))(x)).all()


def test_third_derivatives() -> None:
    x = operand("", (3, 3), "float64")
    for name in ("eigh, exp", "svd, tanh", "qr", "pinv", "eigvalsh"):
        check_grads(DIFFERENTIATED[name], (x,), 3, modes="fwd", rtol=1e-3, atol=1e-3)


# --- equal and zero values ------------------------------------------------------------------------

TIES: dict[str, np.ndarray] = {
    "identity": np.eye(3),
    "two equal": np.diag([2.0, 2.0, 1.0]),
    "opposite": np.diag([1.0, 2.0, -2.0]),
    "tall": np.eye(4, 3),
    "wide": np.eye(3, 4),
    "complex": np.diag([1j, 1.0, -1.0]),
    "unitary": np.array([[0.0, 1.0], [1.0, 0.0]]),
}
RIGHT_AT_TIES: dict[str, tuple[Any, int]] = {  # with the order up to which it is
    "polar": (by_svd(fnp.ones_like), 1),
    "nuclear norm": (lambda x: la.norm(x, "nuc"), 2),
    "sum of squares": (lambda x: fnp.sum(la.svdvals(x) ** 2), 1),
    "sum of logarithms": (lambda x: fnp.sum(fnp.log(la.svdvals(x))), 1),
    "trace": (lambda x: fnp.sum(la.eigvalsh(x[..., :3, :])) if x.shape[0] == x.shape[1] else x, 2),
    "pinv": (la.pinv, 2),
    "lstsq": (lambda x: la.lstsq(x, fnp.ones(x.shape[0]))[0], 2),
    "cube of eigenvalues": (lambda x: fnp.sum(la.eigvalsh(x @ adjoint(x)) ** 3), 1),
}


@pytest.mark.parametrize("name", RIGHT_AT_TIES)
@pytest.mark.parametrize("where", TIES)
def test_derivatives_are_right_at_equal_values(name: str, where: str) -> None:
    function, order = RIGHT_AT_TIES[name]
    check_grads(function, (TIES[where],), order, rtol=1e-4, atol=1e-4)


def top(x: Any) -> Any:
    vectors = la.eigh(x).eigenvectors[:, 3:]
    return vectors @ adjoint(vectors)


EQUAL = np.array([1.0, 1.0, 1.0, 2.0, 2.0])


def test_projectors_on_whole_spaces_are_right_at_equal_values() -> None:
    check_grads(top, (np.diag(EQUAL),), 1, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(10))
def test_values_that_are_equal_but_for_rounding(seed: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.normal(size=(5, 5))).Q for _ in range(2))
    for values in (EQUAL, EQUAL - 1):
        check_grads(top, ((left * values) @ left.T,), 1, rtol=1e-5, atol=1e-5)
    check_grads(lambda x: la.norm(x, "nuc"), ((left * EQUAL) @ right,), 2, rtol=1e-4, atol=1e-4)


def test_nan_does_not_spread_from_equal_or_zero_values() -> None:
    def everything(x: Any) -> Any:
        parts = [*la.eigh(x), *la.svd(x), *la.svd(x, full_matrices=False)]
        return sum(fnp.sum(fnp.cos(part)) for part in parts)

    for x in (np.eye(3), np.zeros((3, 3)), np.ones((3, 3)), np.diag([1.0, 0.0, 0.0])):
        for transform in (ft.grad, ft.hessian, lambda f: ft.jit(ft.grad(f))):
            assert np.isfinite(transform(everything)(x)).all()
    for shape in ((2, 3), (3, 2), (3, 3)):
        for order in (2, -2, "nuc"):
            gradient = ft.grad(lambda x: la.norm(x, order))(np.zeros(shape))
            np.testing.assert_array_equal(gradient, np.zeros(shape))


def test_equal_largest_singular_values_share_the_derivative_of_the_norm() -> None:
    gradient = ft.grad(lambda x: la.norm(x, 2))
    np.testing.assert_allclose(gradient(np.eye(4)), np.eye(4) / 4)
    np.testing.assert_allclose(gradient(np.diag([3.0, 1.0, -3.0])), np.diag([0.5, 0.0, -0.5]))


# --- matrices that are not finite, errors, dispatch -----------------------------------------------


@np.errstate(all="ignore")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float32", "complex128"])
def test_matrices_that_are_not_finite_give_nan(bad: float, dtype: str) -> None:
    good = array((3, 3), dtype, 1)
    stack = np.stack([good, good, good])
    stack[1, 2, 1] = bad
    for function in (
        la.eigh,
        lambda x: la.eigh(x, "L"),
        la.eigvalsh,
        la.svd,
        la.svdvals,
        la.qr,
        la.pinv,
        lambda x: la.norm(x, "nuc", axis=(-2, -1)),
        lambda x: la.norm(x, 2, axis=(-2, -1)),
    ):
        for call in (function, ft.jit(function), ft.vmap(function)):
            wants = leaves(function(good))
            for out, want in zip(leaves(call(stack)), wants, strict=True):
                assert np.isnan(out[1]).all()
                np.testing.assert_allclose(out[::2], np.stack([want, want]), rtol=1e-5, atol=1e-6)
    # what is not read does not matter
    assert np.isfinite(la.eigvalsh(stack[1], "U")).all()
    assert np.isnan(la.lstsq(stack[1], good)[0]).all()
    assert la.matrix_rank(stack).tolist() == [3, 0, 3]


def test_iterations_that_do_not_converge_give_nan(monkeypatch: Any) -> None:
    svd = np.linalg.svd

    def failing(x: Any, *args: Any, **kwargs: Any) -> Any:
        if (x == 7).any():
            raise np.linalg.LinAlgError("SVD did not converge")
        return svd(x, *args, **kwargs)

    monkeypatch.setattr(np.linalg, "svd", failing)
    stack = np.stack([np.eye(2), np.full((2, 2), 7.0), np.eye(2)])
    for call in (la.svd, la.svdvals, lambda x: la.svd(x[None])):
        for out in leaves(call(stack)):
            assert np.isnan(out).reshape(3, -1).all(1).tolist() == [False, True, False]


def test_in_a_loop() -> None:
    def step(carry: Any, x: Any) -> Any:
        q, r = la.qr(x + carry)
        return q * 0.5, (la.svdvals(x @ carry), la.eigvalsh(x), la.pinv(r)[0])

    def run(xs: Any) -> Any:
        return lax.scan(step, np.eye(3), xs)

    def loss(xs: Any) -> Any:
        return sum(fnp.sum(fnp.sin(y)) for y in leaves(run(xs)))

    xs = np.stack([operand("", (3, 3), "float64") + i for i in range(4)])
    compare("jit", leaves(ft.jit(run)(xs)), leaves(run(xs)), 1e-10)
    compare("gradient", [ft.jit(ft.grad(loss))(xs)], [ft.grad(loss)(xs)], 1e-9)
    check_grads(loss, (xs,), 2, rtol=1e-4, atol=1e-4)


def test_errors() -> None:
    for name in ("eigh", "eigvalsh"):
        function = getattr(la, name)
        for call in (function, ft.jit(function), ft.vmap(function)):
            with pytest.raises(ShapeError, match=rf"{name}.*square.*f64\[.*2,3\]"):
                call(np.ones((4, 2, 3)))
        with pytest.raises(ValueError, match="UPLO must be 'L', 'U' or None, got 'X'"):
            function(np.eye(2), "X")
    for name in ("svd", "svdvals", "qr", "pinv", "cond", "eigh", "lstsq"):
        function = getattr(la, name)
        others = (np.ones(2),) if name == "lstsq" else ()
        with pytest.raises(ShapeError, match=rf"{name}.*two axes.*f64\[2\]"):
            function(np.ones(2), *others)
        with pytest.raises(DTypeError, match=rf"{name}.*f16"):
            function(np.ones((2, 2), np.float16), *(o.astype(np.float16) for o in others))
    with pytest.raises(ValueError, match="modes reduced, complete and r, got 'full'"):
        la.qr(np.eye(2), "full")
    with pytest.raises(ValueError, match="not both"):
        la.pinv(np.eye(2), 0.1, rtol=0.1)
    with pytest.raises(ValueError, match="not both"):
        la.matrix_rank(np.eye(2), 0.1, rtol=0.1)
    with pytest.raises(ShapeError, match=r"as many rows: got a: f64\[2,2\] and b: f64\[3\]"):
        la.lstsq(np.eye(2), np.ones(3))
    with pytest.raises(ShapeError, match=r"with elements: got f64\[0,2\]"):
        la.cond(np.ones((0, 2)))
    with pytest.raises(ShapeError, match="square"):
        la.cond(np.ones((3, 2)), 1)


DISPATCHED: list[Any] = [
    np.linalg.eigh,
    np.linalg.eigvalsh,
    np.linalg.svd,
    np.linalg.svdvals,
    np.linalg.qr,
    np.linalg.pinv,
    np.linalg.matrix_rank,
    np.linalg.cond,
    lambda a: np.linalg.lstsq(a, np.ones(3)),
    lambda a: np.linalg.lstsq(np.eye(3), a),
    lambda a: np.linalg.eigh(a, UPLO="U"),
    lambda a: np.linalg.norm(a, "nuc"),
    lambda a: np.linalg.matrix_norm(a, ord=2),
]


@pytest.mark.parametrize("function", DISPATCHED)
def test_numpy_functions_dispatch(function: Any) -> None:
    x = hermitian(array((3, 3), "f8", 1))
    want, got = function(x), ft.jit(function)(x)
    compare("jit", leaves(got), leaves(want), 1e-11)
    assert getattr(got, "_fields", None) == getattr(want, "_fields", None)
