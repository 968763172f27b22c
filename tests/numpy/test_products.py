"""Products agree with NumPy for all ranks, batch axes and subscripts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from tests.numpy.agreement import array, both, check, sparse

DTYPES = ["float32", "float64", "int32", "bool", "complex128"]


def pair(a: tuple[int, ...], b: tuple[int, ...], dtype: str = "float64") -> tuple[Any, Any]:
    return array(a, dtype), array(b, dtype, 1)


MATMULS = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (1, 3, 4)),
    ((5, 2, 1), (5, 1, 4)),
    ((5, 1, 1), (1, 1, 4)),
    ((0, 2, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((2, 3), (3, 0)),
]


@pytest.mark.parametrize(("a", "b"), MATMULS)
def test_matmul(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    check(*both("matmul"), *pair(a, b))
    check(lambda x, y: x @ y, lambda x, y: x @ y, *pair(a, b))


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_every_dtype(dtype: str) -> None:
    x, y = pair((3, 4), (4, 2), dtype)
    for name in ("matmul", "dot"):
        check(*both(name), x, y)
        check(*both(name), sparse(x), np.abs(y).astype("float32"))
    check(*both("vdot"), x, x)
    check(*both("inner"), x, x)
    check(*both("outer"), x, y)
    check(*both("tensordot"), x, y, 1)
    check(*both("trace"), x)
    check(*both("kron"), x, y)
    if dtype != "bool":
        check(*both("vecdot"), x, x)
        check(*both("cross"), *pair((5, 3), (5, 3), dtype))
        check(*both("matvec"), x, x[0])
        check(*both("vecmat"), x[:, 0], x)
        check(*both("einsum"), "ij,jk->ik", x, y)


OTHERS: list[tuple[str, tuple, dict[str, Any]]] = [
    ("dot", (array((), "float64"), array((3,), "float64")), {}),
    ("dot", (array((2, 3), "float64"), 2.0), {}),
    ("dot", (array((3,), "float64"), array((2, 3, 4), "float64")), {}),
    ("dot", (array((2, 3), "float64"), array((5, 3, 4), "float64")), {}),
    ("inner", pair((2, 3), (4, 3)), {}),
    ("inner", (array((2, 3), "float32"), np.float32(2)), {}),
    ("outer", pair((2,), (0,)), {}),
    ("tensordot", pair((2, 3, 4), (4, 3, 5)), {"axes": ([1, 2], [1, 0])}),
    ("tensordot", pair((2, 3), (4, 5)), {"axes": 0}),
    ("tensordot", pair((2, 3), (2, 3)), {"axes": 2}),
    ("tensordot", pair((2, 3), (3, 2)), {"axes": (-1, 0)}),
    ("vecdot", pair((4, 3), (3,)), {}),
    ("vecdot", pair((3, 4), (3, 4)), {"axis": 0}),
    ("matvec", pair((5, 2, 3), (3,)), {}),
    ("vecmat", pair((5, 2), (2, 3)), {}),
    ("kron", pair((2, 3), (4,)), {}),
    ("kron", pair((2,), (2, 1, 2)), {}),
    ("cross", pair((3,), (4, 3)), {}),
    ("cross", pair((3, 4), (3, 4)), {"axis": 0}),
    ("cross", pair((3, 4), (4, 3)), {"axisa": 0, "axisc": 0}),
    ("trace", (array((3, 4, 5), "float64"), 1, 2, 0), {}),
    ("trace", (array((3, 3), "int32"),), {"dtype": "float64"}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), OTHERS, ids=[o[0] for o in OTHERS])
def test_others(name: str, args: tuple, kwargs: dict[str, Any]) -> None:
    check(*both(name), *args, **kwargs)


EINSUMS: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("ij,jk", ((2, 3), (3, 4))),
    ("ij,jk->ki", ((2, 3), (3, 4))),
    ("ij->ji", ((2, 3),)),
    ("ji", ((2, 3),)),
    ("ij->", ((2, 3),)),
    ("ij->j", ((2, 3),)),
    ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)),
    ("iij->ji", ((3, 3, 2),)),
    ("iii->i", ((3, 3, 3),)),
    ("i,i", ((3,), (3,))),
    ("i,j->ij", ((3,), (2,))),
    ("i,j->ji", ((3,), (2,))),
    ("i,i->i", ((3,), (3,))),
    ("bij,bjk->bik", ((4, 2, 3), (4, 3, 5))),
    ("bhqd,bhkd->bhqk", ((2, 2, 3, 4), (2, 2, 5, 4))),
    ("...ij,...jk->...ik", ((6, 1, 2, 3), (5, 3, 4))),
    ("...ij,jk", ((5, 2, 3), (3, 4))),
    ("...,...", ((2, 3), (3,))),
    ("i...->...", ((2, 3, 4),)),
    ("ij,ij->", ((2, 3), (2, 3))),
    ("ij,kl->", ((2, 3), (4, 5))),
    ("ij,kl->il", ((2, 3), (4, 5))),
    ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 5))),
    ("ij,jk,kl,lm,mn->in", ((2, 3), (3, 4), (4, 2), (2, 3), (3, 5))),
    ("ij,ij,ij->i", ((2, 3), (2, 3), (2, 3))),
    ("i,j,k->kij", ((2,), (3,), (4,))),
    ("Ab,bA", ((2, 3), (3, 2))),
    ("zZ,Zy", ((2, 3), (3, 2))),
    ("ab,bc", ((2, 0), (0, 3))),
    (",ij", ((), (2, 3))),
]


@pytest.mark.parametrize(("subscripts", "shapes"), EINSUMS, ids=[e[0] for e in EINSUMS])
def test_einsum(subscripts: str, shapes: Any) -> None:
    operands = [array(s, "float64", k) for k, s in enumerate(shapes)]
    check(*both("einsum"), subscripts, *operands, tolerance=1e-10)


def test_einsum_of_lists() -> None:
    x, y = pair((2, 3), (3, 4))
    check(
        lambda a, b: fnp.einsum(a, [0, 1], b, [1, 2], [2, 0]),
        lambda a, b: np.einsum(a, [0, 1], b, [1, 2], [2, 0]),
        x,
        y,
    )
    check(
        lambda a, b: fnp.einsum(a, [..., 1], b, [1, 2]),
        lambda a, b: np.einsum(a, [..., 1], b, [1, 2]),
        x,
        y,
    )


def test_einsum_contracts_in_pairs_of_low_cost() -> None:
    x = np.ones((50, 50))
    v = np.ones(50)
    g = ft.grad(lambda a: fnp.einsum("ij,jk,k->", a, a, v))(x)
    np.testing.assert_allclose(g, np.ones((50, 50)) * 100)


def test_errors() -> None:
    with pytest.raises(ShapeError, match=r"f64\[32,64\] and y: f64\[10,64\].*\n?.*\n?.*y\.T"):
        fnp.matmul(np.ones((32, 64)), np.ones((10, 64)))
    with pytest.raises(ShapeError, match="scalars"):
        fnp.matmul(np.ones(3), 2.0)
    with pytest.raises(ShapeError, match="extents 2 and 3"):
        fnp.einsum("ij,ij->", np.ones((2, 2)), np.ones((2, 3)))
    with pytest.raises(ShapeError, match="do not fit"):
        fnp.einsum("ijk->", np.ones((2, 2)))
    with pytest.raises(ShapeError):
        fnp.tensordot(np.ones((2, 3)), np.ones((4, 3)), 1)
