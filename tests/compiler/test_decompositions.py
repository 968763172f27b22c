"""Decompositions compile without NumPy, and equal the evaluation's, signs of vectors included."""

import ctypes
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import lax
from functrans.compiler import blas, runtime
from functrans.compiler.decompositions import decompositions_ir, lapack_names
from functrans.compiler.engine import Effort, compile_module
from functrans.primitives.decompositions import (
    eigh_p,
    eigvalsh_p,
    pinv_p,
    qr_p,
    svd_p,
    svdvals_p,
)

DTYPES = ["f4", "f8", "c8", "c16"]
SHAPES = [
    (1, 1),
    (3, 3),
    (5, 2),
    (2, 5),
    (2, 4, 4),
    (2, 3, 6, 2),
    (2, 2, 40),
    (70, 70),
    (100, 7),
    (0, 3, 3),
    (0, 3),
    (3, 0),
    (0, 0),
]
RECTANGULAR = {
    "svd": (svd_p, {"full_matrices": True}),
    "svd, reduced": (svd_p, {"full_matrices": False}),
    "svdvals": (svdvals_p, {}),
    "qr": (qr_p, {"complete": True}),
    "qr, reduced": (qr_p, {"complete": False}),
}
SQUARE = {
    "eigh": (eigh_p, {"lower": True}),
    "eigh, upper": (eigh_p, {"lower": False}),
    "eigvalsh": (eigvalsh_p, {"lower": True}),
    "eigvalsh, upper": (eigvalsh_p, {"lower": False}),
}
ALL = RECTANGULAR | SQUARE


def _random(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def _assert_as_evaluated(name, a):
    primitive, params = ALL[name]
    compiled = ft.jit(lambda a: primitive.bind(a, **params))
    given = a.copy()
    found, wanted = compiled(a), primitive.bind(a, **params)
    pairs = zip(found, wanted, strict=True) if primitive.multiple_results else [(found, wanted)]
    tolerance = 1e-4 if a.dtype in ("f4", "c8") else 1e-10
    for x, y in pairs:
        np.testing.assert_allclose(x, y, tolerance, tolerance)
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
    assert "NumPy" not in compiled.lower(a).source or not a.size
    np.testing.assert_array_equal(a, given)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ALL)
def test_every_shape(name, dtype):
    for shape in SHAPES:
        if name in RECTANGULAR or shape[-1] == shape[-2]:
            _assert_as_evaluated(name, _random(shape, dtype))


@pytest.mark.parametrize("dtype", ["f4", "c16"])
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 2), (2, 0), (1, 1)])
def test_what_is_not_finite_becomes_nan_and_leaves_the_others(name, dtype, value, place):
    a = _random((3, 4, 4), dtype)
    a[1][place] = value  # of which eigh may not read what is in one triangle
    _assert_as_evaluated(name, a)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "matrix", [np.zeros((4, 4)), np.ones((4, 4)), np.eye(4), 1e200 * np.eye(4)]
)
def test_special_matrices(name, matrix):
    _assert_as_evaluated(name, matrix)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 4), (5, 2), (2, 5), (3, 4, 3)])
def test_the_pseudoinverse_drops_small_singular_values(shape, dtype):
    a = _random(shape, dtype)
    a[..., -1] = a[..., 0]
    a = np.concatenate([a[None], np.zeros_like(a)[None], np.full_like(a, np.nan)[None]])
    rcond = np.full(a.shape[:-2], 1e-5, a.real.dtype)
    compiled = ft.jit(pinv_p.bind)
    tolerance = 1e-4 if dtype in ("f4", "c8") else 1e-10
    np.testing.assert_allclose(compiled(a, rcond), pinv_p.bind(a, rcond), tolerance, tolerance)
    assert "NumPy" not in compiled.lower(a, rcond).source


FUNCTIONS = {
    "eigvalsh": lambda a: fnp.sum(fnp.linalg.eigvalsh(a + a.T) ** 3),
    "eigh": lambda a: fnp.sum(fnp.linalg.eigh(a + a.T)[1][:, -1] ** 4),
    "svd": lambda a: fnp.sum(fnp.linalg.svd(a, full_matrices=False)[0][:, 0] ** 4),
    "svdvals": lambda a: fnp.sum(fnp.linalg.svdvals(a) ** 3),
    "qr": lambda a: fnp.sum(fnp.linalg.qr(a)[1] ** 3),
    "pinv": lambda a: fnp.sum(fnp.linalg.pinv(a) ** 2),
    "norm": lambda a: fnp.linalg.norm(a, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_maps_and_gradients(name):
    f = FUNCTIONS[name]
    stack = _random((5, 3, 3), "f8")

    def loop(stack):
        return lax.scan(lambda c, a: (c + f(a + 0.01 * c), None), 0.0, stack)[0]

    for g in (loop, ft.grad(loop), ft.vmap(f), ft.vmap(ft.grad(f))):
        compiled = ft.jit(g)
        np.testing.assert_allclose(compiled(stack), g(stack), 1e-8, 1e-10)
        assert "NumPy" not in compiled.lower(stack).source


def test_threads_that_call_at_once_have_their_own_memory():
    stack = _random((40, 200, 4, 4), "f8")
    values = ft.jit(fnp.linalg.svdvals)
    values(stack[0])
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(values, stack))
    np.testing.assert_allclose(found, np.linalg.svdvals(stack), 1e-12)


def test_an_iteration_that_does_not_converge_gives_nan():
    bits, _ = blas.find_lapack(lapack_names("d"))
    pointers = [ctypes.c_void_p] * 14

    @ctypes.CFUNCTYPE(None, *pointers)
    def gesdd(*arguments):
        integer = ctypes.c_int64 if bits == 64 else ctypes.c_int32
        integer.from_address(arguments[-1]).value = 3

    fails = ctypes.cast(gesdd, ctypes.c_void_p).value
    symbols = {f"ft_blas_{name}": fails for name in lapack_names("d")}
    ir = decompositions_ir("d", bits)
    address = compile_module(ir, ["ft_svdvals_f64"], symbols, Effort.TRANSLATE)["ft_svdvals_f64"]
    a, matrix, work, values = np.ones((2, 3, 3)), np.empty(9), np.empty(9), np.ones((3, 3))
    buffers = [a, matrix, work, work, work, values]
    ints = np.array([ord("N"), 3, 3, 0, 0, 3, 2, 9, 1, 72, 72, 72, 72])
    table = np.array([x.ctypes.data for x in buffers])
    assert runtime.KERNEL_TYPE(address)(table.ctypes.data, ints.ctypes.data, 0, 1) == 0
    assert np.isnan(values[:2]).all() and (values[2] == 1).all()
