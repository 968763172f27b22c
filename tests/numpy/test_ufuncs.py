"""Every ufunc agrees with NumPy in value, shape and dtype, for every dtype and kind of operand."""

from __future__ import annotations

import numpy as np
import pytest

import functrans.numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from tests.numpy.agreement import array, both, check, positive, sparse

DTYPES = ["float32", "float64", "int32", "bool", "complex128"]
UFUNCS = sorted(
    {n for n in dir(np) if isinstance(getattr(np, n), np.ufunc) and hasattr(fnp, n)}
    - {"matmul", "vecdot", "matvec", "vecmat", "ldexp"}
)
UNARY = [n for n in UFUNCS if getattr(np, n).nin == 1]
BINARY = [n for n in UFUNCS if getattr(np, n).nin == 2]


def accepts(name: str, *args: object) -> bool:
    """Whether NumPy has a loop for these operands."""
    with np.errstate(all="ignore"):
        try:
            getattr(np, name)(*args)
        except (TypeError, ValueError):
            return False
    return True


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, dtype: str) -> None:
    for x in (
        array((2, 3), dtype),
        array((), dtype, 1),
        array((0, 2), dtype),
        sparse(array((4,), dtype)),
    ):
        if not accepts(name, x):
            with pytest.raises(TypeError):
                check(*both(name), x)
            continue
        check(*both(name), x)
        check(*both(name), x[()] if x.ndim == 0 else x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str, dtype: str) -> None:
    shift = "shift" in name
    make = positive if (shift or name in ("power", "pow")) and dtype in ("int32", "bool") else array
    x, y = array((2, 3), dtype), make((3,), dtype, 1)
    cases = [(x, y), (x[0, 0], y), (sparse(x), make((2, 1), dtype, 3)), (x[:0], y)]
    cases += [(x, 2), (x, 2.0), (3, y), (x, True), (x, array((3,), "float32", 2))]
    for a, b in cases:
        if accepts(name, a, b):
            check(*both(name), a, b)
        else:
            with pytest.raises((TypeError, ValueError)):
                check(*both(name), a, b)


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 1e300, -1e-300])


@pytest.mark.parametrize("name", UNARY)
def test_unary_special_values(name: str) -> None:
    if accepts(name, SPECIAL):
        check(*both(name), SPECIAL)


@pytest.mark.parametrize("name", [n for n in UNARY if accepts(n, 1j) and n != "reciprocal"])
def test_unary_at_complex_zeros(name: str) -> None:
    check(*both(name), np.array([0j, -0.0 + 0j, complex(0, -0.0), complex(-0.0, -0.0)]))


@pytest.mark.parametrize("name", BINARY)
def test_binary_special_values(name: str) -> None:
    if accepts(name, SPECIAL, SPECIAL):
        check(*both(name), SPECIAL[:, None], SPECIAL)


@pytest.mark.parametrize("name", ["sin", "add", "multiply", "sqrt"])
def test_dtype_argument(name: str) -> None:
    args = [array((3,), "float32")] * getattr(np, name).nin
    check(*both(name), *args, dtype="float64")


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("divmod", (array((3,), "float64"), 0.7)),
        ("divmod", (array((3,), "int32"), 3)),
        ("modf", (SPECIAL,)),
        ("real", (array((3,), "complex128"),)),
        ("imag", (array((3,), "complex128"),)),
        ("imag", (array((3,), "float32"),)),
        ("angle", (array((3,), "complex128"),)),
        ("angle", (array((3,), "float32"), True)),
        ("round", (array((5,), "float64") * 1.2345, 2)),
        ("round", (array((5,), "float64") * 123.45, -1)),
        ("round", (array((5,), "int32") * 7, -1)),
        ("round", (array((5,), "complex128") * 1.2345, 1)),
        ("round", (array((5,), "bool"),)),
        ("angle", (array((5,), "bool"),)),
        ("angle", (array((5,), "float32"),)),
        ("around", (array((5,), "float32"),)),
        ("fix", (array((5,), "float64"),)),
        ("float_power", (positive((3,), "int32"), 2)),
        ("float_power", (positive((3,), "float32"), -1)),
        ("isposinf", (SPECIAL,)),
        ("isneginf", (SPECIAL,)),
        ("sinc", (np.linspace(-2, 2, 41),)),
        ("sinc", (np.linspace(-0.02, 0.02, 41).astype("float32"),)),
        ("ldexp", (array((3,), "float64"), array((3,), "int32", 1))),
        ("ldexp", (np.array([1.5, 1e-300, 2.0]), np.array([3, 1100, -1060]))),
        ("nan_to_num", (SPECIAL,)),
        ("nan_to_num", (SPECIAL[:7].astype("float32"), True, 7.0, 8.0, 9.0)),
        ("nan_to_num", (SPECIAL * (1 + 1j),)),
        ("power", (array((3,), "float32"), 3)),
        ("power", (array((3,), "float32"), -2)),
        ("power", (array((3,), "int32"), 0)),
    ],
)
def test_other_elementwise(name: str, args: tuple) -> None:
    check(*both(name), *args)


def test_names_are_numpys() -> None:
    for name in UFUNCS:
        function = getattr(fnp, name)
        assert function.__name__ == getattr(np, name).__name__, name
        assert function.__doc__


@pytest.mark.parametrize("value", [300, -1, 10**30])
def test_comparison_with_integers_outside_of_the_dtype(value: int) -> None:
    for name in ("less", "equal", "greater_equal", "not_equal"):
        check(*both(name), np.array([1, 200], "uint8"), value)


def test_out_of_bounds_python_integer() -> None:
    with pytest.raises(OverflowError, match="300"):
        check(*both("add"), np.array([1], "uint8"), 300)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 2.0])
def test_powers_of_bools(exponent: float) -> None:
    power = lambda x: x**exponent
    check(power, power, array((5,), "bool"))


def test_negative_integer_power() -> None:
    with pytest.raises(ValueError, match="negative integer powers"):
        check(*both("power"), np.array([1, 2]), -1, eager=False)


def test_errors_name_types() -> None:
    with pytest.raises(ShapeError, match=r"f64\[3\] and f64\[2\]"):
        fnp.add(np.ones(3), np.ones(2))
    with pytest.raises(DTypeError, match="bitwise_and"):
        fnp.bitwise_and(np.ones(3), np.ones(3))
    with pytest.raises(DTypeError):
        fnp.sin(np.array(["a"]))
    with pytest.raises(DTypeError):
        fnp.add(np.array([None]), 1)
