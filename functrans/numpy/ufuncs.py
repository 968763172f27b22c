"""NumPy's elementwise functions over the elementwise primitives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.types import aval_of, promotion_key, result_dtype
from functrans.numpy.promotion import as_array, promote_for, to_dtype
from functrans.primitives import arithmetic as p


def binary(ufunc: np.ufunc, primitive: Primitive) -> Callable[[Any, Any], Any]:
    """The traced form of a NumPy ufunc of two operands that one primitive computes."""

    def function(x: Any, y: Any, /) -> Any:
        return primitive.bind(*promote_for(ufunc, (x, y)))

    return _named(function, ufunc)


def unary(ufunc: np.ufunc, primitive: Primitive) -> Callable[[Any], Any]:
    """The traced form of a NumPy ufunc of one operand that one primitive computes."""

    def function(x: Any, /) -> Any:
        return primitive.bind(*promote_for(ufunc, (x,)))

    return _named(function, ufunc)


def operator(ufunc: np.ufunc, primitive: Primitive) -> Callable[[Any, Any], Any]:
    """As `binary`, but two weak operands give a weak result, as Python's own scalars do."""
    strong = binary(ufunc, primitive)

    def function(x: Any, y: Any) -> Any:
        if type(x) is type(y) and x.aval.dtype == y.aval.dtype and not x.aval.weak_type:
            return primitive.bind(x, y) if x.aval.dtype.kind in "fc" else strong(x, y)
        xs = [as_array(x), as_array(y)]
        avals = [aval_of(v) for v in xs]
        if not all(a.weak_type for a in avals):
            return strong(*xs)
        dtype = result_dtype(*[promotion_key(a) for a in avals])
        if primitive is p.div_p and dtype.kind != "c":
            dtype = np.dtype(np.float64)
        return primitive.bind(*[_weak(v, dtype) for v in xs])

    return _named(function, ufunc)


def _weak(x: Any, dtype: np.dtype) -> Any:
    """A weak value of the dtype from a weak value."""
    aval = aval_of(x)
    if aval.dtype == dtype:
        return x
    return dtype.type(x).item() if not hasattr(x, "aval") else to_dtype(x, dtype)


def _named(function: Any, ufunc: np.ufunc) -> Any:
    function.__name__ = function.__qualname__ = ufunc.__name__
    function.__doc__ = f"`numpy.{ufunc.__name__}`, for arrays and traced arrays."
    return function


add = binary(np.add, p.add_p)
subtract = binary(np.subtract, p.sub_p)
multiply = binary(np.multiply, p.mul_p)
true_divide = divide = binary(np.true_divide, p.div_p)
floor_divide = binary(np.floor_divide, p.floor_divide_p)
remainder = mod = binary(np.remainder, p.remainder_p)
equal = binary(np.equal, p.eq_p)
not_equal = binary(np.not_equal, p.ne_p)
less = binary(np.less, p.lt_p)
less_equal = binary(np.less_equal, p.le_p)
greater = binary(np.greater, p.gt_p)
greater_equal = binary(np.greater_equal, p.ge_p)
bitwise_and = binary(np.bitwise_and, p.and_p)
bitwise_or = binary(np.bitwise_or, p.or_p)
bitwise_xor = binary(np.bitwise_xor, p.xor_p)
left_shift = binary(np.left_shift, p.shift_left_p)
right_shift = binary(np.right_shift, p.shift_right_p)
negative = unary(np.negative, p.neg_p)
absolute = unary(np.absolute, p.abs_p)
invert = unary(np.invert, p.not_p)


def power(x: Any, y: Any, /) -> Any:
    """`numpy.power`; an integer Python exponent becomes repeated multiplication."""
    x, y = as_array(x), as_array(y)
    if type(y) is int and -64 <= y <= 64 and aval_of(x).dtype.kind in "fc":
        return p.integer_pow_p.bind(to_dtype(x, aval_of(x).dtype), exponent=y)
    return p.pow_p.bind(*promote_for(np.power, (x, y)))
