"""Python's operators on tracers: the ufuncs, with weak types as Python's own scalars have them.

They are what eager gradients spend their time in, so the common cases (two tracers, or a tracer
and a number or array, of one float dtype) go straight to the primitive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.trace import Tracer, apply_primitive
from functrans.core.types import aval_of, promotion_key, result_dtype
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import array_like
from functrans.numpy.promotion import as_array, ready
from functrans.primitives import arithmetic as p

Binary = Callable[[Any, Any], Any]


def operator(primitive: Primitive, strong: Binary) -> tuple[Binary, Binary]:
    """The operator and its reflection.

    Args:
        primitive: computes it on operands of one dtype.
        strong: the ufunc, for all other operands than two weak ones.
    """

    def forward(self: Tracer, other: Any) -> Any:
        direct = ready(self, other)
        if direct is not None:
            return apply_primitive(primitive, (self, direct), {})
        return _general(primitive, strong, self, other, other)

    def reflected(self: Tracer, other: Any) -> Any:
        direct = ready(self, other)
        if direct is not None:
            return apply_primitive(primitive, (direct, self), {})
        return _general(primitive, strong, other, self, other)

    return forward, reflected


def _general(primitive: Primitive, strong: Binary, x: Any, y: Any, other: Any) -> Any:
    if type(other) not in (int, float, bool, complex, Tracer, list, tuple) and not array_like(
        other
    ):
        return NotImplemented
    xs = [as_array(x), as_array(y)]
    avals = [aval_of(v) for v in xs]
    if not (avals[0].weak_type and avals[1].weak_type):
        return strong(*xs)
    dtype = result_dtype(*[promotion_key(a) for a in avals])
    if primitive is p.div_p and dtype.kind != "c":
        dtype = np.dtype(np.float64)
    if dtype.kind == "b" or primitive is p.pow_p:
        return strong(*xs)
    return primitive.bind(*[_weak(v, dtype) for v in xs])


def _weak(x: Any, dtype: np.dtype) -> Any:
    """A weak value of the dtype from a weak value."""
    if aval_of(x).dtype == dtype:
        return x
    if type(x) is Tracer:
        return p.convert_p.bind(x, dtype=dtype, weak_type=True)
    return dtype.type(x).item()


def comparison(primitive: Primitive, strong: Binary) -> Binary:
    """The comparing operator; it needs no reflection, Python mirrors it."""

    def forward(self: Tracer, other: Any) -> Any:
        direct = ready(self, other)
        if direct is not None:
            return apply_primitive(primitive, (self, direct), {})
        if not (type(other) is Tracer or isinstance(other, list | tuple) or array_like(other)):
            return NotImplemented
        return strong(self, other)

    return forward


def power(self: Tracer, other: Any) -> Any:
    """`x ** y`, with exponents that are whole numbers or 1/2 computed as NumPy's operator does."""
    aval = self.aval
    kind = type(other)
    if aval.dtype.kind in "fc" and (kind is int or kind is float) and -64 <= other <= 64:
        whole = int(other)
        if whole == other:
            return apply_primitive(p.integer_pow_p, (self,), {"exponent": whole})
        if other == 0.5:
            return square_root(self)
    if aval.dtype.kind == "b" and not aval.weak_type and kind is int and other == 2:
        return ufuncs.square(self)  # int8, where power would give int64
    return _general(p.pow_p, ufuncs.power, self, other, other)


def reflected_power(self: Tracer, other: Any) -> Any:
    """`y ** x`."""
    return _general(p.pow_p, ufuncs.power, other, self, other)


def absolute(self: Tracer) -> Any:
    """`abs(x)`, weak as Python's is."""
    return p.abs_p.bind(self) if self.aval.weak_type else ufuncs.absolute(self)


def square_root(x: Tracer) -> Any:
    """The square root of a float tracer."""
    from functrans.primitives.transcendental import sqrt_p

    return sqrt_p.bind(x)


OPERATORS: dict[str, tuple[Binary, Binary]] = {
    "add": operator(p.add_p, ufuncs.add),
    "sub": operator(p.sub_p, ufuncs.subtract),
    "mul": operator(p.mul_p, ufuncs.multiply),
    "truediv": operator(p.div_p, ufuncs.divide),
    "floordiv": operator(p.floor_divide_p, ufuncs.floor_divide),
    "mod": operator(p.remainder_p, ufuncs.remainder),
    "pow": (power, reflected_power),
    "and": operator(p.and_p, ufuncs.bitwise_and),
    "or": operator(p.or_p, ufuncs.bitwise_or),
    "xor": operator(p.xor_p, ufuncs.bitwise_xor),
    "lshift": operator(p.shift_left_p, ufuncs.left_shift),
    "rshift": operator(p.shift_right_p, ufuncs.right_shift),
}
COMPARISONS: dict[str, Binary] = {
    "eq": comparison(p.eq_p, ufuncs.equal),
    "ne": comparison(p.ne_p, ufuncs.not_equal),
    "lt": comparison(p.lt_p, ufuncs.less),
    "le": comparison(p.le_p, ufuncs.less_equal),
    "gt": comparison(p.gt_p, ufuncs.greater),
    "ge": comparison(p.ge_p, ufuncs.greater_equal),
}
