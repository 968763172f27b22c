"""Reductions, cumulative functions agree with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans.numpy as fnp
from functrans.core.errors import ShapeError
from tests.numpy.agreement import array, both, check, sparse

DTYPES = ["float32", "float64", "int32", "uint8", "bool", "complex128"]
PLAIN = ["sum", "prod", "max", "min", "amax", "amin", "any", "all", "mean", "var", "std", "ptp"]
PLAIN += ["count_nonzero", "nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd"]
PLAIN += ["average"]
UNORDERED = {"max", "min", "amax", "amin", "ptp", "nanmax", "nanmin"}


def skipped(name: str, dtype: str) -> bool:
    if dtype == "bool" and name in ("ptp", "nanvar", "nanstd"):
        return True  # NumPy has no subtraction of booleans
    return dtype == "complex128" and name in UNORDERED


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PLAIN)
def test_axes(name: str, dtype: str) -> None:
    if skipped(name, dtype):
        return
    x = array((2, 3, 4), dtype)
    for axis in (None, 0, -1, (0, 2), (1, -1)):
        check(*both(name), x, axis=axis)
        check(*both(name), x, axis=axis, keepdims=True)
    check(*both(name), array((), dtype))
    check(*both(name), sparse(x), axis=1)


@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar"])
def test_nan_is_left_out(name: str) -> None:
    x = array((3, 4), "float64")
    x[0, 1] = x[2, :] = np.nan
    for axis in (None, 0, 1):
        check(*both(name), x, axis=axis)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "var", "std", "any", "all"])
def test_where(name: str) -> None:
    x, mask = array((3, 4), "float64"), array((3, 4), "bool", 2)
    mask[:, 0] = True
    more = {"initial": 0.5} if name in ("max", "min") else {}
    check(*both(name), x, axis=1, where=mask, **more)
    if name in ("sum", "prod"):
        check(*both(name), x, axis=0, where=mask[0], keepdims=True)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min"])
def test_initial(name: str) -> None:
    check(*both(name), array((3, 4), "float32"), axis=1, initial=1.5)
    check(*both(name), array((3, 0), "float64"), axis=1, initial=1.5)


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "cumsum", "cumprod"])
@pytest.mark.parametrize("dtype", ["float64", "complex128", "float32"])
def test_dtype(name: str, dtype: str) -> None:
    check(*both(name), array((3, 4), "int32"), axis=0, dtype=dtype)
    check(*both(name), array((3, 4), "float32"), axis=1, dtype=dtype)


@pytest.mark.parametrize("name", ["sum", "prod", "any", "all", "mean"])
def test_empty(name: str) -> None:
    check(*both(name), array((0, 3), "float64"), axis=0)
    check(*both(name), array((0, 3), "float64"))
    check(*both(name), array((0, 3), "float64"), axis=1)


def test_empty_extremum() -> None:
    with pytest.raises(ShapeError, match="no identity"):
        fnp.max(np.ones((0, 3)), axis=0)
    check(fnp.max, np.max, np.ones((0, 3)), axis=1)


@pytest.mark.parametrize("name", ["argmax", "argmin", "nanargmax", "nanargmin"])
@pytest.mark.parametrize("dtype", ["float64", "int32", "bool"])
def test_positions(name: str, dtype: str) -> None:
    x = array((3, 4), dtype)
    for axis in (None, 0, -1):
        check(*both(name), x, axis=axis)
        check(*both(name), x, axis=axis, keepdims=True)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_cumulative(name: str, dtype: str) -> None:
    x = array((3, 4), dtype)
    for axis in (None, 0, -1):
        check(*both(name), x, axis=axis)


OTHERS: list[tuple[str, tuple, dict[str, Any]]] = [
    ("cumulative_sum", (array((3, 4), "float64"),), {"axis": 1, "include_initial": True}),
    ("cumulative_prod", (array((4,), "int32"),), {}),
    ("var", (array((3, 4), "float64"),), {"ddof": 1}),
    ("std", (array((3, 4), "float32"),), {"correction": 1, "axis": 0}),
    ("var", (array((3, 4), "float16"),), {}),
    ("mean", (array((3, 4), "float16"),), {}),
    ("average", (array((3, 4), "float64"),), {"axis": 1, "weights": np.arange(1.0, 5)}),
    ("average", (array((3, 4), "int32"),), {"weights": np.ones((3, 4)), "returned": True}),
    ("diff", (array((3, 4), "float64"),), {}),
    ("diff", (array((3, 4), "int32"), 2, 0), {}),
    ("diff", (array((5,), "bool"),), {}),
    ("diff", (array((5,), "float32"),), {"prepend": 1.0, "append": np.ones(2, "float32")}),
    ("diff", (array((1,), "float32"), 3), {}),
    ("ediff1d", (array((2, 3), "float64"),), {"to_begin": 1.0, "to_end": [2.0, 3.0]}),
    ("trapezoid", (array((3, 4), "float64"),), {"dx": 0.5}),
    ("trapezoid", (array((3, 4), "float64"), array((3,), "float64")), {"axis": 0}),
    ("trapezoid", (array((3, 4), "int32"), array((3, 4), "float64")), {}),
    ("gradient", (array((5, 6), "float64"),), {}),
    ("gradient", (array((5,), "float32"), 0.5), {}),
    ("gradient", (array((5,), "float64"), np.array([0.0, 1, 3, 4, 7])), {}),
    ("gradient", (array((5, 6), "float64"), 2.0), {"axis": 1, "edge_order": 2}),
    ("gradient", (array((2,), "float64"),), {}),
    ("unwrap", (np.array([0.0, 3.0, 7.0, 12.0, 6.0, -3.0]),), {}),
    ("unwrap", (np.array([0, 3, 7, 12, 6, -3]),), {"period": 4}),
    ("unwrap", (np.array([0, 3, 7, 12, 6, -3]),), {"period": 5}),
]


@pytest.mark.parametrize(("name", "args", "kwargs"), OTHERS, ids=[o[0] for o in OTHERS])
def test_others(name: str, args: tuple, kwargs: dict[str, Any]) -> None:
    check(*both(name), *args, tolerance=1e-6 if args[0][0].dtype == "float32" else None, **kwargs)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(
    "name",
    [
        *("sum", "prod", "max", "min", "ptp", "any", "all", "count_nonzero"),
        *("argmax", "argmin", "cumsum", "cumprod", "nansum", "nanmax"),
    ],
)
def test_ufuncs_reduce_a_scalar_over_its_axis(name: str, axis: int) -> None:
    check(*both(name), np.array(3.0), axis=axis)


@pytest.mark.parametrize(("name", "axis"), [("sum", 1), ("sum", (0,)), ("mean", 0), ("var", -1)])
def test_others_refuse_an_axis_of_a_scalar(name: str, axis: Any) -> None:
    with pytest.raises(ShapeError, match="out of bounds"):
        both(name)[0](np.array(3.0), axis=axis)
