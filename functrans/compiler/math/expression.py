"""Operators on a Builder's values, so that the elementary functions read as formulas.

`@elementary` makes of `def f(x: Expr) -> Expr` a function that can be called with expressions
(inside this package) and as `f(b, x)` with values (by the compiler).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans.compiler.llvm import Builder
from functrans.compiler.values import Complex, Scalar

MANTISSA = {"float32": 23, "float64": 52}
BIAS = {"float32": 127, "float64": 1023}


class Expr:
    """A value and the builder that extends it. Python numbers take the dtype of the other side."""

    __slots__ = ("b", "v")

    def __init__(self, b: Builder, v: Scalar) -> None:
        self.b = b
        self.v = v

    @property
    def dtype(self) -> np.dtype:
        return self.v.dtype

    @property
    def kind(self) -> str:
        """The name of the dtype: the key of the tables."""
        return self.v.dtype.name

    def const(self, value: Any) -> Expr:
        """A constant of the same dtype."""
        return value if isinstance(value, Expr) else Expr(self.b, self.b.const(value, self.dtype))

    def _(self, name: str, *others: Any, **options: Any) -> Expr:
        operands = [self.const(o).v for o in others]
        return Expr(self.b, getattr(self.b, name)(self.v, *operands, **options))

    def __add__(self, y: Any) -> Expr:
        return self._("add", y)

    def __radd__(self, y: Any) -> Expr:
        return self.const(y) + self

    def __sub__(self, y: Any) -> Expr:
        return self._("sub", y)

    def __rsub__(self, y: Any) -> Expr:
        return self.const(y) - self

    def __mul__(self, y: Any) -> Expr:
        return self._("mul", y)

    def __rmul__(self, y: Any) -> Expr:
        return self.const(y) * self

    def __truediv__(self, y: Any) -> Expr:
        return self._("div", y)

    def __rtruediv__(self, y: Any) -> Expr:
        return self.const(y) / self

    def __neg__(self) -> Expr:
        return self._("neg")

    def __abs__(self) -> Expr:
        return self._("abs")

    def __lt__(self, y: Any) -> Expr:
        return self._("lt", y)

    def __le__(self, y: Any) -> Expr:
        return self._("le", y)

    def __gt__(self, y: Any) -> Expr:
        return self._("gt", y)

    def __ge__(self, y: Any) -> Expr:
        return self._("ge", y)

    def equals(self, y: Any) -> Expr:
        return self._("eq", y)

    def differs(self, y: Any) -> Expr:
        return self._("ne", y)

    def __and__(self, y: Any) -> Expr:
        return self._("and_", y)

    def __or__(self, y: Any) -> Expr:
        return self._("or_", y)

    def __xor__(self, y: Any) -> Expr:
        return self._("xor_", y)

    def __invert__(self) -> Expr:
        return self._("not_")

    def __lshift__(self, n: int) -> Expr:
        return self._shift("shl", n)

    def __rshift__(self, n: int) -> Expr:
        return self._shift("ashr" if self.dtype.kind == "i" else "lshr", n)

    def _shift(self, op: str, n: int) -> Expr:
        return Expr(self.b, self.b.op(f"{op} {self.v.type} {self.v.text}, {n}", self.dtype))

    def to(self, dtype: Any) -> Expr:
        """Converted."""
        return Expr(self.b, self.b.convert(self.v, np.dtype(dtype)))

    @property
    def bits(self) -> Expr:
        """The bits of a float as a signed integer."""
        return Expr(self.b, self.b.bitcast(self.v, np.dtype(f"i{self.dtype.itemsize}")))

    @property
    def as_float(self) -> Expr:
        """An integer's bits as a float."""
        return Expr(self.b, self.b.bitcast(self.v, np.dtype(f"f{self.dtype.itemsize}")))

    @property
    def isnan(self) -> Expr:
        return self._("isnan")

    @property
    def re(self) -> Expr:
        return Expr(self.b, self.b.real(self.v))

    @property
    def im(self) -> Expr:
        return Expr(self.b, self.b.imag(self.v))


class Elementary:
    """A function on expressions that the compiler calls with a Builder and values."""

    def __init__(self, real: Callable[..., Expr]) -> None:
        self.real = real
        self.complex: Callable[..., Expr] | None = None
        self.__name__ = real.__name__
        self.__doc__ = real.__doc__

    def for_complex(self, function: Callable[..., Expr]) -> Callable[..., Expr]:
        """Register the function to use on complex operands."""
        self.complex = function
        return function

    def __call__(self, first: Any, *rest: Any, **params: Any) -> Any:
        if isinstance(first, Expr):
            return self._chosen(first)(first, *rest, **params)
        operands = [Expr(first, v) for v in rest]
        return self._chosen(operands[0])(*operands, **params).v

    def _chosen(self, x: Expr) -> Callable[..., Expr]:
        if x.dtype.kind != "c":
            return self.real
        if self.complex is None:
            raise TypeError(f"{self.__name__} has no native complex form.")
        return self.complex


def elementary(real: Callable[..., Expr]) -> Elementary:
    """Make a function on expressions callable by the compiler."""
    return Elementary(real)


# --- functions of expressions ---------------------------------------------------------------------


def where(condition: Expr, x: Expr | float, y: Expr | float) -> Expr:
    """x where condition, else y; one of them may be a Python number."""
    x = x if isinstance(x, Expr) else y.const(x)  # type: ignore[union-attr]
    y = x.const(y)
    return Expr(x.b, x.b.select(condition.v, x.v, y.v))


def fma(x: Expr, y: Any, z: Any) -> Expr:
    """x y + z with one rounding."""
    return x._("fma", y, z)


def sqrt(x: Expr) -> Expr:
    """The square root."""
    return x._("sqrt")


def rint(x: Expr) -> Expr:
    """The nearest integer."""
    return x._("rint")


def copysign(x: Expr, y: Expr) -> Expr:
    """|x| with the sign of y."""
    return x._("copysign", y)


def complex_(re: Expr, im: Expr) -> Expr:
    """A complex number."""
    value = re.b.complex(re.v, im.v)
    assert isinstance(value, Complex)
    return Expr(re.b, value)


def least(x: Expr, y: Any) -> Expr:
    """y where y < x, else x: nan stays."""
    y = x.const(y)
    return where(x > y, y, x)


def most(x: Expr, y: Any) -> Expr:
    """y where y > x, else x: nan stays."""
    y = x.const(y)
    return where(x < y, y, x)


SPLIT = 6
"""From this many coefficients on, even and odd powers are summed apart."""


def polynomial(x: Expr, coefficients: Sequence[float]) -> Expr:
    """By Horner's rule, lowest power first; a long one as two of half the length in x².

    Loop iterations overlap only as far as the processor's window reaches, so a long chain of
    dependent operations costs time: see docs/elementary.md.
    """
    if len(coefficients) < SPLIT:
        return _horner(x, coefficients)
    square = exact_mul(x, x)
    odd = _horner(square, coefficients[1::2])
    return fma(odd, x, _horner(square, coefficients[0::2]))


def _horner(x: Expr, coefficients: Sequence[float]) -> Expr:
    total = x.const(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = fma(total, x, c)
    return total


def exact_sub(x: Expr, y: Any) -> Expr:
    """x - y, of the rounded operands: never fused with the product that made one."""
    return x._("sub", y, exact=True)


def exact_add(x: Expr, y: Any) -> Expr:
    """x + y, of the rounded operands."""
    return x._("add", y, exact=True)


def exact_mul(x: Expr, y: Any) -> Expr:
    """x * y, rounded."""
    return x._("mul", y, exact=True)


def fast_two_sum(x: Expr, y: Any) -> tuple[Expr, Expr]:
    """The rounded sum and its error, if |x| >= |y| (Dekker 1971)."""
    y = x.const(y)
    total = exact_add(x, y)
    return total, exact_sub(y, exact_sub(total, x))


def two_sum(x: Expr, y: Any) -> tuple[Expr, Expr]:
    """The rounded sum and its error (Knuth)."""
    y = x.const(y)
    total = exact_add(x, y)
    moved = exact_sub(total, x)
    return total, exact_add(exact_sub(x, exact_sub(total, moved)), exact_sub(y, moved))


def two_product(x: Expr, y: Any) -> tuple[Expr, Expr]:
    """The rounded product and its error."""
    y = x.const(y)
    product = exact_mul(x, y)
    return product, fma(x, y, -product)


def split_constant(value: Any, dtype: np.dtype, parts: int, bits: int = 0) -> list[float]:
    """An mpmath-like decimal string as a sum of floats; the first ones cut to `bits` bits."""
    from fractions import Fraction

    rest, result = Fraction(value), []
    for i in range(parts):
        part = float(dtype.type(float(rest)))
        if bits and i < parts - 1:
            mantissa, exponent = np.frexp(part)
            part = float(np.ldexp(np.rint(np.ldexp(mantissa, bits)), exponent - bits))
        result.append(part)
        rest -= Fraction(part)
    return result


LN2 = "0.6931471805599453094172321214581765680755001343602552541206800094933936"
LOG2E = "1.4426950408889634073599246810018921374266459541529859341354494069311092"
LOG10E = "0.4342944819032518276511289189166050822943970058036665661144537831658646"
LOG10_2 = "0.3010299956639811952137388947244930267681898814621085413104274611271082"
PI = "3.1415926535897932384626433832795028841971693993751058209749445923078164"


def rounding_shift(x: Expr) -> float:
    """1.5 · 2^mantissa: adding it rounds to an integer, which then stands in the low bits."""
    return 1.5 * 2.0 ** MANTISSA[x.kind]


def nearest_integer(x: Expr) -> tuple[Expr, Expr]:
    """rint(x) as a float and as a signed integer, for |x| < 2^(mantissa - 1)."""
    shift = x.const(rounding_shift(x))
    shifted = exact_add(x, shift)
    return exact_sub(shifted, shift), shifted.bits - shift.bits


def power_of_two(n: Expr) -> Expr:
    """2^n for an integer in the range of normal exponents."""
    kind = f"float{8 * n.dtype.itemsize}"
    return ((n + BIAS[kind]) << MANTISSA[kind]).as_float


def scale(x: Expr, n: Expr) -> Expr:
    """x 2^n, right also where the result is infinite or denormal (|n| below twice the bias)."""
    half = n >> 1
    return exact_mul(exact_mul(x, power_of_two(half)), power_of_two(n - half))
