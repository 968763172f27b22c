"""Determinants and their derivatives compile without NumPy, and equal the evaluation's."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.compiler.determinants import LARGEST_GRADIENT
from functrans.primitives.determinants import cofactors_along_p, cofactors_p, lu_diagonal_p

pytestmark = pytest.mark.filterwarnings("ignore:.* encountered in")
DTYPES = ["f4", "f8", "c8", "c16"]
NAN, INF = np.nan, np.inf
MATRICES = {
    "one": [[3.0]],
    "an exchange": [[1.0, 2], [3, 4]],
    "singular": [[1.0, 2], [2, 4]],
    "of rank two": [[1.0, 2, 3], [4, 5, 6], [7, 8, 9]],
    "zeros": np.zeros((3, 3)),
    "a nan pivot": [[NAN, 1], [1, 1]],
    "nan": [[1, NAN], [2, 1]],
    "nan and zero": [[0, NAN], [0, 1.0]],
    "infinite": [[INF, 1], [1, 1]],
    "infinite beside": [[1, INF], [1, 1]],
    "large on the way": np.diag([1e30, 1e30, 1e-30, 1e-25]),
    "odd": np.random.default_rng(0).normal(size=(7, 7)),
    "beyond eight rows": np.random.default_rng(1).normal(size=(19, 19)),
    "stack": np.random.default_rng(2).normal(size=(2, 3, 4, 4)),
    "with a singular one": np.stack([np.eye(3), np.ones((3, 3)), -np.eye(3)[::-1]]),
    "no rows": np.zeros((0, 0)),
    "no rows in a stack": np.zeros((2, 0, 0)),
    "no matrix": np.zeros((0, 3, 3)),
}


def _matrix(name, dtype):
    a = np.asarray(MATRICES[name]).astype(dtype)
    return a * (1 + 0.5j) if a.dtype.kind == "c" else a


def _tolerance(dtype):
    return 1e-4 if dtype in ("f4", "c8") else 1e-10


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MATRICES)
def test_determinants_are_numpy_s(name, dtype):
    a = _matrix(name, dtype)
    given = a.copy()
    for function in ("det", "slogdet"):
        compiled = ft.jit(getattr(fnp.linalg, function))
        found, wanted = compiled(a), getattr(np.linalg, function)(a)
        pairs = zip(found, wanted, strict=True) if function == "slogdet" else [(found, wanted)]
        for x, y in pairs:
            np.testing.assert_allclose(x, y, _tolerance(dtype))
            assert np.asarray(x).dtype == np.asarray(y).dtype
        assert "NumPy" not in compiled.lower(a).source
    np.testing.assert_array_equal(a, given)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_diagonal_multiplies_to_the_determinant(dtype):
    a = _matrix("odd", dtype)
    for parity, diagonal in (lu_diagonal_p.bind(a), ft.jit(lu_diagonal_p.bind)(a)):
        np.testing.assert_allclose(parity * np.prod(diagonal), np.linalg.det(a), _tolerance(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [n for n in MATRICES if n != "large on the way"])
def test_cofactors_keep_their_quality_at_singular_matrices(name, dtype):
    a = _matrix(name, dtype)
    e = np.random.default_rng(3).normal(size=a.shape).astype(dtype)
    for primitive, operands in ((cofactors_p, (a,)), (cofactors_along_p, (a, e))):
        compiled = ft.jit(primitive.bind)
        wanted = primitive.bind(*operands)
        finite = wanted[np.isfinite(wanted)]
        scale = np.abs(finite).max(initial=1.0)
        np.testing.assert_allclose(
            compiled(*operands), wanted, _tolerance(dtype), scale * _tolerance(dtype)
        )
        largest = LARGEST_GRADIENT if primitive is cofactors_p else 3
        native = 2 <= a.shape[-1] <= largest
        assert ("NumPy" not in compiled.lower(*operands).source) == native or not a.size


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_loops_of_determinants_and_their_gradients(n, dtype):
    rng = np.random.default_rng(n)
    stack = rng.normal(size=(6, n, n)).astype(dtype)
    stack = stack * (1 + 0.3j) if dtype == "c16" else stack

    def loop(stack):
        def step(carry, a):
            sign, logarithm = fnp.linalg.slogdet(a)
            det = fnp.real(fnp.linalg.det(a) * fnp.conj(sign))
            return carry + det + 0.1 * logarithm, det

        total, dets = lax.scan(step, 0.0, stack)
        return total + fnp.sum(dets)

    np.testing.assert_allclose(ft.jit(loop)(stack), loop(stack), 1e-11)
    assert "NumPy" not in ft.jit(loop).lower(stack).source
    gradient = ft.grad(loop)
    np.testing.assert_allclose(ft.jit(gradient)(stack), gradient(stack), 1e-8)
    assert "NumPy" not in ft.jit(gradient).lower(stack).source or n == 1
    each = ft.vmap(fnp.linalg.det)
    np.testing.assert_allclose(ft.jit(each)(stack), np.linalg.det(stack), 1e-11)


def test_threads_that_call_at_once_have_their_own_memory():
    stack = np.random.default_rng(0).normal(size=(40, 500, 4, 4))
    det = ft.jit(fnp.linalg.det)
    det(stack[0])
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(det, stack))
    np.testing.assert_allclose(found, np.linalg.det(stack), 1e-9)
