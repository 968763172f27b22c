"""The table of cases that every primitive is held to: a primitive without a row fails.

A row is a function of arrays that binds the primitive, and the operands to try it on. `smooth` rows
are differentiated; operands of integer or bool dtype never are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from functrans.core.primitive import Primitive, registry


@dataclass(frozen=True)
class Case:
    """One primitive on one set of operands.

    Attributes:
        primitive: its name in the registry.
        params: of the equation.
        operands: arrays or NumPy scalars.
        smooth: whether derivatives exist and are checked at these operands.
        order: to which order.
    """

    primitive: str
    operands: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    smooth: bool = True
    order: int = 2
    note: str = ""

    @property
    def name(self) -> str:
        types = "-".join(f"{x.dtype}{list(np.shape(x))}".replace(" ", "") for x in self.operands)
        return f"{self.primitive}-{types}-{self.note}".rstrip("-")

    def __call__(self, *args: Any) -> Any:
        return self.bind(*args)

    @property
    def bind(self) -> Callable[..., Any]:
        primitive: Primitive = registry[self.primitive]
        return lambda *args: primitive.bind(*args, **self.params)


def array(
    shape: Sequence[int], dtype: Any = np.float64, low: float = -2.0, high: float = 2.0
) -> Any:
    """Distinct reproducible values in a range, in an order that is not sorted."""
    dtype = np.dtype(dtype)
    n = int(np.prod(shape, dtype=int))
    rng = np.random.default_rng(n + 17 * len(shape) + dtype.num)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        floor = max(low, 0) if dtype.kind == "u" else low
        return rng.integers(int(floor * 3), int(high * 3) + 1, shape).astype(dtype)
    spread = (rng.permutation(n) + 0.5) / max(n, 1) * (high - low) + low + 0.0173
    values = spread.reshape(shape)
    if dtype.kind == "c":
        values = values + 1j * np.roll(values.reshape(-1), 1).reshape(shape) * 0.7
    return np.asarray(values, dtype)[()]


def strided(x: Any) -> Any:
    """The same values in memory with gaps."""
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


CASES: list[Case] = []


def case(primitive: str, *operands: Any, **kwargs: Any) -> None:
    CASES.append(Case(primitive, operands, **kwargs))


# --- elementwise: (name, dtypes, low, high, smooth) -----------------------------------------------

F, FC = ("f4", "f8"), ("f4", "f8", "c16")
ALL = ("?", "i4", "i8", "u1", "f4", "f8", "c16")
REAL = ("i4", "u2", "f4", "f8")
INT = ("i4", "i8", "u1")

UNARY: list[tuple[str, Sequence[str], float, float, bool]] = [
    ("neg", ("i4", "f4", "f8", "c16"), -2, 2, True),
    ("abs", ("i4", "f4", "f8", "c16"), -2, 2, True),
    ("sign", ("i4", "f4", "f8"), -2, 2, True),
    ("floor", F, -2, 2, True),
    ("ceil", F, -2, 2, True),
    ("rint", F, -2, 2, True),
    ("trunc", F, -2, 2, True),
    ("isnan", FC, -2, 2, False),
    ("isinf", FC, -2, 2, False),
    ("isfinite", FC, -2, 2, False),
    ("signbit", F, -2, 2, False),
    ("not", ("?", *INT), -2, 2, False),
    ("population_count", (*INT, "u4"), 0, 9, False),
    ("real", ("c8", "c16"), -2, 2, True),
    ("imag", ("c8", "c16"), -2, 2, True),
    ("conj", ("c8", "c16"), -2, 2, True),
    ("exp", FC, -2, 2, True),
    ("exp2", F, -2, 2, True),
    ("expm1", FC, -2, 2, True),
    ("log", FC, 0.3, 3, True),
    ("log2", F, 0.3, 3, True),
    ("log10", F, 0.3, 3, True),
    ("log1p", FC, -0.6, 2, True),
    ("sqrt", FC, 0.3, 3, True),
    ("rsqrt", FC, 0.3, 3, True),
    ("cbrt", F, 0.3, 3, True),
    ("sin", FC, -2, 2, True),
    ("cos", FC, -2, 2, True),
    ("tan", FC, -1, 1, True),
    ("arcsin", FC, -0.8, 0.8, True),
    ("arccos", FC, -0.8, 0.8, True),
    ("arctan", FC, -0.8, 0.8, True),
    ("sinh", FC, -2, 2, True),
    ("cosh", FC, -2, 2, True),
    ("tanh", FC, -1, 1, True),
    ("arcsinh", FC, -0.8, 0.8, True),
    ("arccosh", FC, 1.2, 3, True),
    ("arctanh", FC, -0.8, 0.8, True),
    ("erf", F, -2, 2, True),
    ("erfc", F, -2, 2, True),
    ("ndtri", F, 0.1, 0.9, True),
    ("expi", F, 0.3, 3, True),
    ("erfinv", F, -0.8, 0.8, True),
    ("lgamma", F, 0.4, 4, True),
    ("digamma", F, 0.4, 4, True),
    ("logistic", F, -2, 2, True),
    ("softplus", F, -2, 2, True),
    ("soft_sign", F, 0.3, 2, True),
]
BINARY: list[tuple[str, Sequence[str], float, float, bool]] = [
    ("add", ALL, -2, 2, True),
    ("sub", ("i4", "f4", "f8", "c16"), -2, 2, True),
    ("mul", ALL, -2, 2, True),
    ("div", FC, 0.5, 3, True),
    ("pow", ("f4", "f8", "c16"), 0.4, 2.2, True),
    ("gcd", INT, 0.4, 9, False),
    ("floor_divide", REAL, 0.4, 3, False),
    ("remainder", REAL, 0.4, 3, False),
    ("fmod", REAL, 0.4, 3, False),
    ("max", ("?", *REAL), -2, 2, True),
    ("min", ("?", *REAL), -2, 2, True),
    ("nextafter", F, -2, 2, False),
    ("copysign", F, 0.3, 2, True),
    ("complex", F, -2, 2, True),
    ("eq", ALL, -2, 2, False),
    ("ne", ALL, -2, 2, False),
    ("lt", ALL, -2, 2, False),
    ("le", ALL, -2, 2, False),
    ("gt", ALL, -2, 2, False),
    ("ge", ALL, -2, 2, False),
    ("and", ("?", *INT), 0, 3, False),
    ("or", ("?", *INT), 0, 3, False),
    ("xor", ("?", *INT), 0, 3, False),
    ("shift_left", INT, 0, 2, False),
    ("shift_right", INT, 0, 2, False),
    ("shift_right_logical", INT, 0, 2, False),
    ("arctan2", F, 0.3, 2, True),
    ("hypot", F, 0.3, 2, True),
    ("logaddexp", F, -2, 2, True),
    ("logaddexp2", F, -2, 2, True),
    ("excess", FC, -2, 2, True),
    ("gated", F, -2, 2, True),
]

for name, dtypes, low, high, smooth in UNARY:
    for dtype in dtypes:
        case(name, array((3, 4), dtype, low, high), smooth=smooth)
    case(name, array((), dtypes[-1], low, high), smooth=smooth)
    case(name, array((0, 3), dtypes[-1], low, high), smooth=False, note="empty")
    case(name, strided(array((2, 3), dtypes[-1], low, high)), smooth=smooth, note="strided")
for name, dtypes, low, high, smooth in BINARY:
    for dtype in dtypes:
        x = array((3, 4), dtype, low, high)
        y = array((4, 3), dtype, low, high).T
        apart = y + y.dtype.type(0.0371) if y.dtype.kind in "fc" else y  # no ties
        case(name, x, apart, smooth=smooth, note="strided")
    last = dtypes[-1]
    case(name, array((2, 1, 3), last, low, high), array((4, 1), last, low, high), smooth=smooth)
    scalar = array((), last, low, high)
    scalar = scalar * scalar.dtype.type(0.93) if last[0] in "fc" else scalar
    case(name, scalar, array((3,), last, low, high), smooth=smooth)
    case(name, array((0, 3), last, low, high), array((3,), last, low, high), smooth=False)

case("polygamma", array((3,), "f8", 0.4, 4), params={"order": 1})
for order in (0, 1, 2):
    for scaled in (False, True):
        for dtype in F:
            params = {"order": order, "scaled": scaled}
            case("bessel_i", array((3, 4), dtype), params=params, note=f"{order}{scaled}")
for order in (1, 2, 3):
    case("expn", array((3,), "f8", 0.4, 4), params={"order": order}, note=str(order))
for name in ("gammainc", "gammaincc", "zeta"):  # derivatives in the last operand alone
    case(name, array((3, 1), "f8", 1.2, 3), array((4,), "f8", 0.4, 3), smooth=False)
unit_ = array((4,), "f8", 0.1, 0.9)
case("betainc", array((3, 1), "f8", 1.2, 3), np.float64(2.0), unit_, smooth=False)
case("riemann_zeta", array((3,), "f8", 1.2, 3), smooth=False)
case("stop_gradient", array((3,)), smooth=False)
case("name", array((3,)), params={"name": "x"})
case("optimization_barrier", array((3,)), array((2, 2)))
for exponent in (-2, 0, 1, 2, 3, 5):
    case("integer_pow", array((4,), "f8", 0.4), params={"exponent": exponent}, note=str(exponent))
for exponent in (2, 3):
    case("inner_power", array((4,), "f4"), params={"exponent": exponent}, note=str(exponent))
    case("inner_power", array((4,), "c16"), params={"exponent": exponent}, note=str(exponent))
case("integer_pow", array((4,), "i4"), params={"exponent": 3})
case("integer_pow", array((4,), "c16"), params={"exponent": 3})
flags = array((3, 4), "?")
for dtype in ("i4", "f8", "c16"):
    case("select", flags, array((3, 4), dtype), array((4,), dtype))
case("select", np.bool_(True), array((2,)), array((2,), low=0.1))
for source, target in [
    ("f8", "f4"),
    ("f4", "f8"),
    ("i4", "f8"),
    ("f8", "i4"),
    ("?", "f4"),
    ("f8", "?"),
    ("f8", "c16"),
    ("c16", "c8"),
    ("u1", "i8"),
    ("c16", "f8"),
]:
    # narrowing is no function that differences could check; its derivative is that of widening
    smooth = (source, target) in [("f4", "f8"), ("f8", "c16")]
    case(
        "convert",
        array((2, 3), source),
        params={"dtype": np.dtype(target)},
        smooth=smooth,
        note=target,
    )
case("bitcast", array((3,), "f4"), params={"dtype": np.dtype("i4")}, smooth=False)

# --- shaping --------------------------------------------------------------------------------------

x23, x234 = array((2, 3)), array((2, 3, 4))
case("copy", x23)
for shape in [(6,), (3, 2), (1, 6, 1)]:
    case("reshape", x23, params={"shape": shape}, note=str(shape))
case("reshape", array((0, 3)), params={"shape": (3, 0)}, smooth=False)
case("reshape", array(()), params={"shape": (1, 1)})
for permutation in [(2, 0, 1), (1, 0, 2), (0, 1, 2)]:
    case("transpose", x234, params={"permutation": permutation}, note=str(permutation))
case("broadcast", array((3, 1)), params={"shape": (2, 3, 4)})
case("broadcast", array(()), params={"shape": (2, 2)})
case("iota", params={"shape": (3, 4), "axis": 1, "dtype": np.dtype("f4")}, smooth=False)
case("slice", x234, params={"start": (0, 1, 0), "stop": (2, 3, 4), "step": (1, 1, 3)})
case("slice", x23, params={"start": (1, 1), "stop": (1, 3), "step": (1, 1)}, smooth=False)
case("flip", x234, params={"axes": (0, 2)})
for low_, high_, interior in [
    ((1, 0), (2, 3), (0, 0)),
    ((-1, 1), (0, -1), (0, 0)),
    ((0, 2), (1, 0), (1, 2)),
    ((1, -1), (1, -1), (2, 1)),
]:
    params = {"low": low_, "high": high_, "interior": interior}
    case("pad", array((2, 4)), np.float64(0.5), params=params, note=str((low_, high_, interior)))
case("concatenate", array((2, 3)), array((2, 1)), array((2, 2)), params={"axis": 1})
case("concatenate", array((1, 3), "f4"), array((0, 3), "f4"), params={"axis": 0})

# --- reductions -----------------------------------------------------------------------------------

for axes in [(), (0,), (2,), (0, 2), (0, 1, 2), (1,)]:
    for name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min"):
        case(name, array((2, 3, 4), low=0.3), params={"axes": axes}, note=str(axes))
    for name in ("reduce_or", "reduce_and"):
        case(name, array((2, 3, 4), "?"), params={"axes": axes}, smooth=False, note=str(axes))
for dtype in ("i4", "f4", "c16"):
    case("reduce_sum", array((3, 4), dtype), params={"axes": (0,)})
    case("reduce_prod", array((3, 4), dtype, 0.3), params={"axes": (1,)})
case("reduce_prod", np.array([2.0, 0.0, 3.0, 0.5]), params={"axes": (0,)}, note="with zero")
case("reduce_sum", array((0, 3)), params={"axes": (0,)}, smooth=False, note="empty")
case("reduce_max", array((3, 0)), params={"axes": (0,)}, smooth=False, note="empty")
case("reduce_max", array((3, 4), "i4"), params={"axes": (1,)})
case("reduce_sum", strided(array((3, 4))), params={"axes": (1,)}, note="strided")
for name in ("argmax", "argmin"):
    for axis in (0, 1):
        case(name, x23, params={"axis": axis}, smooth=False)
for name in ("cumsum", "cumprod", "cummax", "cummin"):
    for axis, reverse in [(0, False), (1, True), (2, False)]:
        params = {"axis": axis, "reverse": reverse}
        case(name, array((2, 3, 4), low=0.3), params=params, note=f"{axis}{reverse}")

for k, axis in [(2, 2), (3, 1), (0, 0), (1, 0)]:
    case("top_k", x234, params={"k": k, "axis": axis}, smooth=k > 0, note=f"{k} of {axis}")

# --- products -------------------------------------------------------------------------------------

for sx, sy, dims in [
    ((3, 4), (4, 2), (((1,), (0,)), ((), ()))),
    ((4, 3), (4, 2), (((0,), (0,)), ((), ()))),
    ((3, 4), (2, 4), (((1,), (1,)), ((), ()))),
    ((4,), (4,), (((0,), (0,)), ((), ()))),
    ((3, 4), (4,), (((1,), (0,)), ((), ()))),
    ((5, 3, 4), (5, 4, 2), (((2,), (1,)), ((0,), (0,)))),
    ((3, 5, 4), (4, 2, 5), (((2,), (0,)), ((1,), (2,)))),
    ((2, 3, 4), (4, 3, 5), (((1, 2), (1, 0)), ((), ()))),
    ((2, 3), (4, 5), (((), ()), ((), ()))),
    ((3, 0), (0, 2), (((1,), (0,)), ((), ()))),
]:
    for dtype in ("f4", "f8", "c16", "i4"):
        smooth = 0 not in sx
        case(
            "dot_general",
            array(sx, dtype),
            array(sy, dtype),
            params={"dimensions": dims},
            smooth=smooth,
            note=str(dims),
        )

# --- convolutions and windows ---------------------------------------------------------------------


def convolution(rank: int, **options: Any) -> dict[str, Any]:
    """The parameters of a convolution, by default of stride 1 without padding."""
    ones = (1,) * rank
    plain: dict[str, Any] = {"window_strides": ones, "padding": ((0, 0),) * rank}
    plain |= {"lhs_dilation": ones, "rhs_dilation": ones}
    return plain | {"feature_group_count": 1, "batch_group_count": 1} | options


def windows(*sizes: int, **options: Any) -> dict[str, Any]:
    """The parameters of windows, by default of stride 1 without padding."""
    ones = (1,) * len(sizes)
    plain: dict[str, Any] = {"window_dimensions": sizes, "window_strides": ones}
    plain |= {"padding": ((0, 0),) * len(sizes), "base_dilation": ones, "window_dilation": ones}
    return plain | options


for dtype in ("i4", "f4", "f8", "c16"):
    params = convolution(2, padding=((1, 1), (0, 2)))
    case(
        "conv_general_dilated",
        array((2, 3, 4, 3), dtype),
        array((2, 3, 3, 2), dtype),
        params=params,
    )
for sx, sy, options in [
    ((2, 3), (4, 3), {}),
    ((2, 2, 5), (3, 2, 2), {"window_strides": (2,), "padding": ((2, -1),)}),
    ((1, 2, 4), (2, 2, 3), {"lhs_dilation": (3,), "rhs_dilation": (2,), "padding": ((1, 2),)}),
    ((2, 4, 4), (6, 2, 2), {"feature_group_count": 2, "padding": ((1, 0),)}),
    ((4, 2, 4), (6, 2, 2), {"batch_group_count": 2, "window_strides": (2,)}),
    ((1, 2, 2, 3, 2), (2, 2, 2, 1, 2), {"padding": ((1, 0), (0, 0), (0, 1))}),
]:
    params = convolution(len(sx) - 2, **options)
    note = str(list(options.values()))
    case("conv_general_dilated", array(sx), array(sy), params=params, note=note)
params = convolution(1)
case("conv_general_dilated", array((2, 0, 4)), array((3, 0, 2)), params=params, smooth=False)
case("conv_general_dilated", array((2, 3, 1)), array((3, 3, 2)), params=params, smooth=False)
for inner, steps in (((2, 3), (1, 2)), ((3, 1), (2, 1)), ((0, 2), (1, 1))):
    params = {"outer": (2, 2), "outer_steps": (1, 3), "inner": inner, "inner_steps": steps}
    case("windows", array((2, 3, 7, 8)), params=params, note=str(inner))


for name in ("sum", "prod", "max", "min"):
    for size, params in [
        ((3, 4), windows(2, 2)),
        ((2, 5), windows(1, 2, window_strides=(1, 2), padding=((0, 0), (1, 0)))),
        ((6,), windows(2, padding=((-1, 1),), base_dilation=(2,), window_dilation=(3,))),
        ((13,), windows(11, padding=((0, 3),))),
    ]:
        name_ = f"reduce_window_{name}"
        case(name_, array(size, low=0.3), params=params, note=str(params["padding"]))
    case(f"reduce_window_{name}", array((3, 4), "i4"), params=windows(2, 1))
    case(f"reduce_window_{name}", array((3, 4), "f4", 0.3), params=windows(2, 1))
    case(f"reduce_window_{name}", array((1, 4)), params=windows(2, 1), smooth=False, note="none")
case("reduce_window_sum", array((3, 4), "c16"), params=windows(2, 2))
x, params = array((3, 4)), windows(2, 2, padding=((1, 0), (0, 1)))
largest = registry["reduce_window_max"].bind(x, **params)
case("window_find", x, largest, params=params, smooth=False)
case("window_find", array((2, 3), "i4"), array((2, 3), "i4"), params=windows(1, 1), smooth=False)

# --- linear algebra -------------------------------------------------------------------------------


def invertible(shape: Sequence[int], dtype: Any, shift: float = 3.0) -> Any:
    """Square matrices that are far from singular."""
    return array(shape, dtype) + (shift * np.eye(shape[-1])).astype(dtype)


def options(name: str, *values: Any) -> list[dict[str, Any]]:
    """The parameters of which one takes these values."""
    return [{name: value} for value in values]


def positive_definite(shape: Sequence[int], dtype: Any) -> Any:
    """Hermitian positive definite matrices."""
    x = array(shape, dtype)
    return x @ np.swapaxes(x, -1, -2).conj() + np.eye(shape[-1], dtype=x.dtype)


def singular(n: int, rank: int, dtype: Any = "f8") -> Any:
    """A square matrix of a lower rank."""
    return array((n, rank), dtype) @ array((rank, n), dtype, -1.1)


for dtype in ("f4", "f8", "c8", "c16"):
    case("cholesky", positive_definite((3, 3), dtype))
    case("solve", invertible((3, 3), dtype), array((3, 2), dtype))
    for name in ("inv", "det", "slogdet", "cofactors"):
        case(name, invertible((3, 3), dtype))
    case("cofactors_along", invertible((3, 3), dtype), array((3, 3), dtype))
    case("lu_diagonal", invertible((3, 3), dtype), smooth=False)
for dtype in ("f8", "c16"):
    case("cholesky", positive_definite((2, 3, 3), dtype))
    case("solve", invertible((2, 3, 3), dtype), array((2, 3, 2), dtype))
    for name in ("inv", "det", "slogdet", "cofactors"):
        case(name, invertible((2, 3, 3), dtype))
    case("cofactors_along", invertible((4, 4), dtype), array((4, 4), dtype))
    case("cofactors_along", array((2, 2), dtype), array((2, 2), dtype))
    for rank in (2, 3):
        case("det", singular(4, rank, dtype), note=f"rank {rank}")
        # second order here is the third of det, which has the inverse
        case("cofactors", singular(4, rank, dtype), order=1, note=f"rank {rank}")
for name in ("inv", "det", "slogdet", "cofactors", "cholesky"):
    case(name, np.eye(1))
    case(name, np.zeros((0, 0)), smooth=False, note="empty")
    case(name, np.zeros((0, 3, 3)), smooth=False, note="empty stack")
case("inv", strided(invertible((4, 4), "f8")), note="strided")
case("det", array((2, 2)))
case("solve", invertible((3, 3), "f8"), np.zeros((3, 0)), smooth=False, note="empty")
case("solve", np.zeros((0, 0)), np.zeros((0, 2)), smooth=False, note="empty")
case("solve", strided(invertible((4, 4), "f8")), strided(array((4, 2))), note="strided")
case("inv", np.ones((2, 2)), smooth=False, note="singular")
case("solve", np.stack([np.eye(2), np.zeros((2, 2))]), array((2, 2, 1)), smooth=False)
case("cholesky", np.stack([np.eye(2), -np.eye(2)]), smooth=False, note="indefinite")
for dtype in ("f8", "c16"):
    for number in range(32):
        flags_ = [bool(number >> i & 1) for i in range(5)]
        names_ = ("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal")
        params = dict(zip(names_, flags_, strict=True))
        rhs = array((3, 2) if params["left_side"] else (2, 3), dtype)
        if dtype == "c16" or not params["conjugate_a"]:
            note = "".join("01"[f] for f in flags_)
            case("triangular_solve", invertible((3, 3), dtype), rhs, params=params, note=note)
for dtype in ("f4", "c8", "f8"):
    for left in (True, False):
        params = {
            "left_side": left,
            "lower": True,
            "transpose_a": False,
            "conjugate_a": False,
            "unit_diagonal": False,
        }
        rhs = array((2, 3, 4) if left else (2, 4, 3), dtype)
        note = "left" if left else "right"
        case("triangular_solve", invertible((2, 3, 3), dtype), rhs, params=params, note=note)
        case(
            "triangular_solve",
            np.zeros((0, 0), dtype),
            np.zeros((0, 0), dtype),
            params=params,
            smooth=False,
            note=note,
        )

# --- decompositions -------------------------------------------------------------------------------

# the phases of complex vectors are LAPACK's choice, and so are vectors that fill up a full basis
# by more than one: derivatives of what does not depend on them are in tests/numpy
LOWER, UPPER = options("lower", True, False)
THIN, FULL = options("full_matrices", False, True)
REDUCED, COMPLETE = options("complete", False, True)
for dtype in ("f4", "f8", "c8", "c16"):
    real = dtype[0] == "f"
    case("eig", array((3, 3), dtype) + np.diag([1, 3, 6]).astype(dtype))
    for params in (LOWER, UPPER):
        case("eigvalsh", invertible((3, 3), dtype), params=params)
        case("eigh", invertible((3, 3), dtype), params=params, smooth=real)
    for shape in ((3, 3), (4, 3), (3, 4), (2, 4, 3)):
        case("svdvals", array(shape, dtype))
        case("pinv", array(shape, dtype), np.full(shape[:-2], 1e-6, np.empty(0, dtype).real.dtype))
        case("qr", array(shape, dtype), params=REDUCED)
        case("qr", array(shape, dtype), params=COMPLETE, smooth=real)
        for params in (THIN, FULL):
            case("svd", array(shape, dtype), params=params, smooth=real)
for shape in ((0, 0), (0, 3), (3, 0), (2, 0, 3), (0, 3, 2)):
    case("svdvals", np.zeros(shape), smooth=False)
    case("pinv", np.zeros(shape), np.zeros(shape[:-2]), smooth=False)
    for params in (REDUCED, COMPLETE):
        case("qr", np.zeros(shape), params=params, smooth=False)
    for params in (THIN, FULL):
        case("svd", np.zeros(shape), params=params, smooth=False)
for shape in ((0, 0), (0, 3, 3)):
    case("eig", np.zeros(shape), smooth=False)
    case("eigvalsh", np.zeros(shape), params=LOWER, smooth=False)
    case("eigh", np.zeros(shape), params=LOWER, smooth=False)
case("eigh", strided(invertible((4, 4), "f8")), params=LOWER, note="strided")
for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 3)):
    for dtype in ("f4", "f8", "c16"):
        case("lu", array(shape, dtype))
for shape in ((0, 3), (3, 0), (0, 3, 2)):
    case("lu", np.zeros(shape), smooth=False, note="empty")
case("lu", np.ones((2, 2)), smooth=False, note="singular")
case("lu", strided(array((3, 4))), note="strided")
case("permutation", np.array([2, 2], "i4"), params={"rows": 3}, smooth=False)
case("permutation", np.array([[2, 1, 2], [0, 1, 2]], "i4"), params={"rows": 3}, smooth=False)
for dtype in ("f4", "f8", "c16"):
    case("solve_sylvester", *[array(s, dtype) + 3 for s in ((3, 3), (2, 2), (3, 2))])
stacks_ = [array((2, *s)) for s in ((3, 3), (2, 2), (3, 2))]
case("solve_sylvester", *stacks_, note="stack")
case("solve_sylvester", np.zeros((0, 0)), np.eye(2), np.zeros((0, 2)), smooth=False, note="empty")
case("svd", strided(array((4, 3))), params=THIN, note="strided")

# --- Fourier transforms ---------------------------------------------------------------------------

for precision in (1, 2):
    real, complex_ = f"f{4 * precision}", f"c{8 * precision}"
    for norm in ("backward", "ortho", "forward"):
        for name in ("fft", "ifft"):
            case(name, array((5,), complex_), params={"axis": 0, "norm": norm}, note=norm)
            case(name, array((3, 4), complex_), params={"axis": 0, "norm": norm}, note=norm)
        for extent in (4, 5, 1, 2):
            params = {"axis": 0, "norm": norm}
            case("rfft", array((extent, 2), real), params=params, note=norm)
            half = array((extent // 2 + 1, 2), complex_)
            case("irfft", half, params={**params, "n": extent}, note=f"{norm}-{extent}")
case("rfft", array((2, 4)), params={"axis": 1, "norm": "backward"})
case("irfft", array((2, 3), "c16"), params={"axis": 1, "norm": "backward", "n": 4})
case("fft", np.zeros((0, 3), "c16"), params={"axis": 1, "norm": "ortho"}, smooth=False)

COVERED = {c.primitive for c in CASES}
