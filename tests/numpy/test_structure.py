"""Functions that create, move and join elements agree with NumPy in value, shape and dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import ConcretizationError, DTypeError, ShapeError
from functrans.core.trace import Trace, Tracer, make_program_flat
from functrans.core.types import Aval
from tests.numpy.agreement import array, both, check, sparse

DTYPES = ["float32", "float64", "int32", "bool", "complex128"]
A = array((2, 3, 4), "float64")
V = array((5,), "float32")
M = array((3, 3), "int32")
E = array((0, 3), "float64")
S = np.array(1.5)

MOVES: list[tuple[str, tuple, dict[str, Any]]] = [
    ("reshape", (A, (4, -1)), {}),
    ("reshape", (A, 24), {}),
    ("reshape", (A, (6, 4)), {"order": "F"}),
    ("reshape", (E, (3, 0, 2)), {}),
    ("reshape", (S, (1, 1)), {}),
    ("ravel", (A,), {}),
    ("ravel", (A,), {"order": "F"}),
    ("ravel", (S,), {}),
    ("ravel", (E,), {}),
    ("squeeze", (A[:1],), {}),
    ("squeeze", (A[:1, :, :1],), {"axis": (0, -1)}),
    ("expand_dims", (A, 1), {}),
    ("expand_dims", (A, (0, -1)), {}),
    ("expand_dims", (S, 0), {}),
    ("atleast_1d", (S,), {}),
    ("atleast_1d", (S, A), {}),
    ("atleast_2d", (V,), {}),
    ("atleast_3d", (V,), {}),
    ("atleast_3d", (M,), {}),
    ("transpose", (A,), {}),
    ("transpose", (A, (1, -1, 0)), {}),
    ("permute_dims", (A, (1, 2, 0)), {}),
    ("matrix_transpose", (A,), {}),
    ("swapaxes", (A, 0, -1), {}),
    ("moveaxis", (A, 0, -1), {}),
    ("moveaxis", (A, (0, 1), (-1, 0)), {}),
    ("rollaxis", (A, 2), {}),
    ("rollaxis", (A, 0, 3), {}),
    ("broadcast_to", (V, (2, 5)), {}),
    ("broadcast_to", (S, (2, 0)), {}),
    ("concatenate", ([A, A[:, :1]],), {"axis": 1}),
    ("concatenate", ([A, V],), {"axis": None}),
    ("concatenate", ([V, M[0]],), {}),
    ("concatenate", ([V, M[0]],), {"dtype": "float64"}),
    ("concatenate", (A,), {"axis": 0}),
    ("stack", ([V, V + 1],), {}),
    ("stack", ([A, A],), {"axis": -1}),
    ("stack", ([S, S],), {}),
    ("vstack", ([V, V],), {}),
    ("hstack", ([V, V],), {}),
    ("hstack", ([M, M],), {}),
    ("dstack", ([V, V],), {}),
    ("column_stack", ([V, V],), {}),
    ("append", (V, 1.0), {}),
    ("append", (M, M), {"axis": 1}),
    ("split", (A, 2), {"axis": 2}),
    ("split", (V, [1, 3]), {}),
    ("split", (V, [1, 7, 3]), {}),
    ("array_split", (V, 3), {}),
    ("hsplit", (A, 3), {}),
    ("vsplit", (A, 2), {}),
    ("dsplit", (A, [1]), {}),
    ("unstack", (A,), {"axis": 1}),
    ("tile", (A, 2), {}),
    ("tile", (V, (2, 3)), {}),
    ("tile", (A, (2, 1)), {}),
    ("tile", (S, 3), {}),
    ("repeat", (A, 2), {}),
    ("repeat", (A, 2), {"axis": 1}),
    ("repeat", (A, [0, 2, 1]), {"axis": 1}),
    ("repeat", (S, 3), {}),
    ("resize", (V, (2, 4)), {}),
    ("resize", (V, 0), {}),
    ("flip", (A,), {}),
    ("flip", (A, (0, -1)), {}),
    ("fliplr", (M,), {}),
    ("flipud", (M,), {}),
    ("rot90", (M,), {}),
    ("rot90", (A, 2), {}),
    ("rot90", (A, -1, (1, 2)), {}),
    ("roll", (A, 5), {}),
    ("roll", (A, -1, 1), {}),
    ("roll", (A, (1, 2), (0, 2)), {}),
    ("roll", (A, np.array([1, 2]), (0, 2)), {}),
    ("roll", (E, 1), {}),
    ("delete", (V, 1), {}),
    ("delete", (A, [0, 2], 1), {}),
    ("delete", (A, slice(0, 2), 2), {}),
    ("insert", (V, 1, 9.0), {}),
    ("insert", (V, [1, 3], 9.0), {}),
    ("insert", (M, 1, 7, 0), {}),
    ("insert", (M, [0, 2], [[1, 2]], 1), {}),
    ("astype", (A, "int32"), {}),
    ("copy", (A,), {}),
    ("diagonal", (M,), {}),
    ("diagonal", (A, 1, 2, 0), {}),
    ("diagonal", (A, -1, 1, 2), {}),
    ("diagonal", (A, 9), {}),
    ("diag", (M,), {}),
    ("diag", (V,), {}),
    ("diag", (V, 2), {}),
    ("diag", (V, -1), {}),
    ("diag", (V[:0], -1), {}),
    ("diagflat", (M, 1), {}),
    ("tril", (A,), {}),
    ("tril", (M, -1), {}),
    ("triu", (A, 1), {}),
    ("vander", (V, 3), {}),
    ("vander", (M[0],), {"increasing": True}),
    ("meshgrid", (V, M[0]), {}),
    ("meshgrid", (V, M[0]), {"indexing": "ij", "sparse": True}),
    ("broadcast_arrays", (V, M[:, :1]), {}),
    ("full_like", (A, 2), {}),
    ("zeros_like", (M,), {}),
    ("ones_like", (M,), {"dtype": "float32", "shape": (2,)}),
    ("linspace", (V, V + 1, 4), {}),
    ("linspace", (S, 3, 5), {"endpoint": False, "retstep": True}),
    ("linspace", (A, 2.0, 3), {"axis": -1}),
    ("linspace", (V[0], V[1], 5), {"dtype": "int32"}),
    ("logspace", (S, 2.5, 4), {}),
    ("geomspace", (S, 20.0, 4), {}),
    ("array", ([S, S],), {}),
    ("asarray", ([V, V],), {"dtype": "float64"}),
    ("shape", (A,), {}),
    ("ndim", (A,), {}),
    ("size", (A, 1), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), MOVES, ids=[m[0] for m in MOVES])
def test_moving_elements(name: str, args: tuple, kwargs: dict[str, Any]) -> None:
    if name in ("shape", "ndim", "size"):
        return _check_static(name, args)
    tolerance = 1e-6 if name in ("linspace", "logspace", "geomspace", "vander") else 0
    eager = name not in ("broadcast_arrays",)
    check(*both(name), *args, tolerance=tolerance, eager=eager, **kwargs)


def _check_static(name: str, args: tuple) -> None:
    fun, reference = both(name)
    with Trace(staging=True) as trace:
        x = trace.new_input(Aval(args[0].shape, args[0].dtype))
        assert fun(x, *args[1:]) == reference(*args)


@pytest.mark.parametrize("dtype", DTYPES)
def test_moving_elements_of_every_dtype(dtype: str) -> None:
    x = array((3, 4), dtype)
    for v in (x, sparse(x)):
        check(*both("transpose"), v)
        check(*both("concatenate"), [v, v[:1]])
        check(*both("roll"), v, 3)
        check(*both("tril"), v)
        check(*both("diag"), v[0])
        check(*both("pad"), v, 2, mode="reflect")


PADS: list[tuple[Any, dict[str, Any]]] = [
    (2, {}),
    ((1, 2), {"constant_values": 3}),
    (((1, 2), (0, 3)), {"constant_values": ((1, 2), (3, 4))}),
    (((1, 2), (0, 3)), {"mode": "edge"}),
    (3, {"mode": "reflect"}),
    (7, {"mode": "reflect"}),
    (3, {"mode": "reflect", "reflect_type": "odd"}),
    (7, {"mode": "reflect", "reflect_type": "odd"}),
    (7, {"mode": "symmetric"}),
    (9, {"mode": "wrap"}),
    ((2, 3), {"mode": "linear_ramp", "end_values": (1, 5)}),
    (2, {"mode": "maximum"}),
    (2, {"mode": "minimum", "stat_length": 2}),
    (2, {"mode": "mean"}),
    (2, {"mode": "median"}),
    (3, {"mode": "symmetric", "reflect_type": "odd"}),
    (9, {"mode": "symmetric", "reflect_type": "odd"}),
    ({0: 1, -1: (2, 0)}, {}),
]


@pytest.mark.parametrize("dtype", ["float64", "int32"])
@pytest.mark.parametrize(("width", "kwargs"), PADS)
def test_pad(width: Any, kwargs: dict[str, Any], dtype: str) -> None:
    check(*both("pad"), array((3, 4), dtype), width, tolerance=1e-12, **kwargs)


CREATIONS: list[tuple[str, tuple, dict[str, Any]]] = [
    ("zeros", ((2, 3),), {}),
    ("zeros", (3, "int32"), {}),
    ("ones", ((),), {}),
    ("ones", (2,), {"dtype": bool}),
    ("full", ((2, 2), 7), {}),
    ("full", (2, 1.5, "float32"), {}),
    ("arange", (5,), {}),
    ("arange", (1, 9, 3), {}),
    ("arange", (5, 0, -2), {}),
    ("arange", (0.5, 2.0, 0.1), {}),
    ("arange", (3.0,), {"dtype": "float32"}),
    ("arange", (3, 1), {}),
    ("linspace", (0, 1, 7), {}),
    ("linspace", (0, 1, 1), {}),
    ("linspace", (0, 1, 0), {}),
    ("linspace", (0, 10, 4), {"dtype": int}),
    ("logspace", (0, 2, 5), {}),
    ("geomspace", (1, 100, 3), {}),
    ("geomspace", (-1, -100, 3), {}),
    ("eye", (3,), {}),
    ("eye", (2, 4, 1), {"dtype": "int32"}),
    ("identity", (2,), {}),
    ("tri", (3, 4, -1), {}),
    ("indices", ((2, 3),), {}),
    ("indices", ((2, 3),), {"sparse": True}),
    ("meshgrid", ([1, 2], [3.0]), {}),
    ("array", ([[1, 2], [3, 4]],), {"ndmin": 3}),
    ("asarray", (3,), {}),
    ("full_like", ([1, 2], 1.5), {}),
    ("empty", ((2, 0),), {}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), CREATIONS, ids=[c[0] for c in CREATIONS])
def test_creation(name: str, args: tuple, kwargs: dict[str, Any]) -> None:
    fun, reference = both(name)
    want = reference(*args, **kwargs)
    want = list(want) if isinstance(want, tuple) else [want]
    got = fun(*args, **kwargs)
    got = list(got) if isinstance(got, tuple) else [got]

    def run(_: Any) -> list[Any]:
        out = fun(*args, **kwargs)
        outs = list(out) if isinstance(out, tuple) else [out]
        assert all(isinstance(y, Tracer) for y in outs if np.shape(y) != ())
        return outs

    from functrans.core.interpret import evaluate

    program = make_program_flat(run, [])
    program.check()
    for values in (got, evaluate(program, [])):
        for g, w in zip(values, want, strict=True):
            g = np.asarray(g)
            assert (g.shape, g.dtype) == (w.shape, w.dtype)
            np.testing.assert_allclose(g, w, rtol=1e-12)


def test_nested_lists_with_tracers() -> None:
    x = np.float32(2.0)
    check(lambda v: fnp.array([[v, 1.0], [0, v]]), lambda v: np.array([[v, 1.0], [0, v]]), x)
    check(
        lambda a, b: fnp.block([[a, b], [b, a]]),
        lambda a, b: np.block([[a, b], [b, a]]),
        np.ones((2, 2)),
        np.float32(3) * np.ones((2, 2)),
    )
    check(lambda v: fnp.block([v, 1.0]), lambda v: np.block([v, 1.0]), np.ones(2))
    check(lambda v: fnp.stack([v, [1, 2]]), lambda v: np.stack([v, [1, 2]]), np.ones(2))


def test_constants_become_traced_under_staging() -> None:
    table = np.arange(10.0)

    def run(args: Any) -> list[Any]:
        return [fnp.asarray(table)[args[0]]]

    program = make_program_flat(run, [Aval((), np.int64)])
    program.check()


def test_traced_shift() -> None:
    check(fnp.roll, np.roll, np.arange(5.0), np.int64(2), eager=False)


def test_errors() -> None:
    with pytest.raises(ShapeError, match=r"reshape .*f64\[3\]"):
        fnp.reshape(np.ones(3), (2, -1))
    with pytest.raises(ShapeError, match="squeeze"):
        fnp.squeeze(np.ones((2, 3)), 0)
    with pytest.raises(ShapeError, match="stack"):
        fnp.stack([np.ones(2), np.ones(3)])
    with pytest.raises(DTypeError):
        fnp.asarray(["a", "b"])
    with Trace(staging=True) as trace:
        n = trace.new_input(Aval((), np.int64))
        with pytest.raises(ConcretizationError, match="static"):
            fnp.arange(n)
        with pytest.raises(ConcretizationError):
            fnp.zeros(n)
        with pytest.raises(TypeError, match="out="):
            fnp.concatenate([trace.new_input(Aval((2,), float))], out=np.ones(2))


BRACKETS = [
    lambda xp, x: xp.r_[x, x],
    lambda xp, x: xp.r_[0, x, 1:4, 0:1:3j],
    lambda xp, x: xp.r_[x[0], 2.5],
    lambda xp, x: xp.r_["-1", x[None], x[None]],
    lambda xp, x: xp.r_["0,2", x, x],
    lambda xp, x: xp.r_["0,2,0", x, x],
    lambda xp, x: xp.r_["1,3,1", x[None], x[None]],
    lambda xp, x: xp.r_["0,3,0", x[None], x[None]],
    lambda xp, x: xp.c_[x, x],
    lambda xp, x: xp.c_[x[:, None], x, x],
    lambda xp, x: xp.c_[x[None], 0, 0],
    lambda xp, x: x[xp.s_[1:]] + xp.mgrid[:2] + xp.ogrid[:2],
]


@pytest.mark.parametrize("k", range(len(BRACKETS)))
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_brackets(k: int, dtype: str) -> None:
    f = BRACKETS[k]
    check(lambda x: f(fnp, x), lambda x: f(np, x), array((3,), dtype))


@pytest.mark.parametrize("name", ["diag_indices_from", "tril_indices_from", "triu_indices_from"])
def test_indices_of_shapes(name: str) -> None:
    x = array((3, 3), "float64")
    check(lambda x: x[getattr(fnp, name)(x)], lambda x: x[getattr(np, name)(x)], x)


VECTORIZED: list[tuple[Any, str | None, list[tuple[int, ...]]]] = [
    (lambda x: x * 2, None, [(2, 3)]),
    (lambda x, y: x * y, None, [(2, 1), (1, 3)]),
    (lambda x, y: x * y, None, [(1, 1), (1,)]),
    (lambda x, y: x * y, None, [(), (0, 2)]),
    (lambda x, y: (x + y, x - y), None, [(4, 1, 3), (2, 1)]),
    (lambda x, y: (x * y).sum(), "(n),(n)->()", [(2, 1, 3), (4, 3)]),
    (lambda x, y: x @ y, "(n,m),(m)->(n)", [(2, 3), (5, 3)]),
    (lambda x: (x.sum(), x[::-1]), "(n)->(),(n)", [(2, 3)]),
]


@pytest.mark.parametrize(("function", "signature", "shapes"), VECTORIZED)
def test_vectorize(function: Any, signature: str | None, shapes: list[tuple[int, ...]]) -> None:
    args = [array(shape, "float64", seed) for seed, shape in enumerate(shapes)]
    # functions of scalars are broadcast by NumPy itself, which cannot vectorize empty arrays
    wanted = np.vectorize(function, signature=signature) if signature else function
    check(fnp.vectorize(function, signature=signature), wanted, *args)


def test_vectorize_passes_on_what_is_excluded() -> None:
    power = fnp.vectorize(lambda x, n, *, scale: scale * x**n, excluded={1})
    assert power(np.arange(3.0), 2, scale=3).tolist() == [0.0, 3.0, 12.0]


@pytest.mark.parametrize(
    ("signature", "shapes", "message"),
    [
        ("(n),(n)->()", [(2, 3), (2,)], "signature '\\(n\\),\\(n\\)->\\(\\)'"),
        ("(n),(n)->()", [(3,), ()], "f64\\[3\\], f64\\[\\]"),
        ("(n),(n)->(n)", [(3,), (3,)], "results f64\\[\\]"),
        (None, [(2,), (3,)], "do not broadcast"),
    ],
)
def test_vectorize_names_what_does_not_fit(signature: Any, shapes: Any, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        fnp.vectorize(lambda x, y: (x * y).sum(), signature=signature)(*map(np.ones, shapes))


def test_brackets_without_matrices() -> None:
    with pytest.raises(ValueError, match="'c' is no directive"):
        ft.jit(lambda x: fnp.r_["c", x])(np.ones(2))
