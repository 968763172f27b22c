"""Elementwise operations, conversions and shapes under `jax.lax`'s names.

They take operands that broadcast and promote as in functrans.numpy, where JAX's are strict.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from functrans.core.primitive import registry
from functrans.core.types import aval_of, canonical_axes, canonical_axis, dtype_of, shape_of
from functrans.numpy.promotion import as_array, promote, promote_for, to_dtype
from functrans.primitives import arithmetic as p
from functrans.primitives import shaping as s
from functrans.primitives.products import dot_general_p

# --- elementwise ----------------------------------------------------------------------------------

NUMPY_NAMES = {
    "abs": "abs",
    "acos": "arccos",
    "acosh": "arccosh",
    "add": "add",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_and": "bitwise_and",
    "bitwise_not": "invert",
    "bitwise_or": "bitwise_or",
    "bitwise_xor": "bitwise_xor",
    "cbrt": "cbrt",
    "ceil": "ceil",
    "conj": "conj",
    "cos": "cos",
    "cosh": "cosh",
    "eq": "equal",
    "exp": "exp",
    "exp2": "exp2",
    "expm1": "expm1",
    "floor": "floor",
    "ge": "greater_equal",
    "gt": "greater",
    "imag": "imag",
    "is_finite": "isfinite",
    "le": "less_equal",
    "log": "log",
    "log1p": "log1p",
    "lt": "less",
    "max": "maximum",
    "min": "minimum",
    "mul": "multiply",
    "ne": "not_equal",
    "neg": "negative",
    "nextafter": "nextafter",
    "pow": "power",
    "real": "real",
    "reciprocal": "reciprocal",
    "shift_left": "left_shift",
    "shift_right_arithmetic": "right_shift",
    "sign": "sign",
    "sin": "sin",
    "sinh": "sinh",
    "sqrt": "sqrt",
    "square": "square",
    "sub": "subtract",
    "tan": "tan",
    "tanh": "tanh",
}
"""lax's names of what functrans.numpy has under NumPy's."""

PRIMITIVE_NAMES = {
    "bessel_i0e": "i0e",
    "bessel_i1e": "i1e",
    "digamma": "digamma",
    "erf": "erf",
    "erf_inv": "erfinv",
    "erfc": "erfc",
    "lgamma": "lgamma",
    "logistic": "sigmoid",
    "rsqrt": "rsqrt",
}
"""lax's names of real functions of one operand that are primitives of this name."""


def elementwise_function(name: str) -> Callable[..., Any]:
    """The elementwise function that `lax.<name>` is; AttributeError if there is none."""
    if name in NUMPY_NAMES and hasattr(fnp, NUMPY_NAMES[name]):
        return getattr(fnp, NUMPY_NAMES[name])
    primitive = registry.get(PRIMITIVE_NAMES.get(name, ""))
    if primitive is None:
        raise AttributeError(f"module 'functrans.lax' has no attribute {name!r}")

    def function(x: Any) -> Any:
        x = as_array(x)
        dtype = dtype_of(x)
        return primitive.bind(to_dtype(x, dtype if dtype.kind in "fc" else np.dtype(float)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"`jax.lax.{name}`: the primitive {primitive.name}, elementwise."
    return function


def div(x: Any, y: Any) -> Any:
    """x / y; of integers the quotient rounded towards zero.

    >>> int(div(-7, 2)), float(div(1.0, 4.0))
    (-3, 0.25)
    """
    x, y = promote(x, y)
    if dtype_of(x).kind not in "iu":
        return p.div_p.bind(*promote_for(np.true_divide, (x, y)))
    quotient = p.floor_divide_p.bind(x, y)
    inexact = p.ne_p.bind(p.mul_p.bind(quotient, y), x)
    zero = dtype_of(x).type(0)
    negative = p.xor_p.bind(p.lt_p.bind(x, zero), p.lt_p.bind(y, zero))
    one = p.convert(p.and_p.bind(inexact, negative), dtype_of(x))
    return p.add_p.bind(quotient, one)


def rem(x: Any, y: Any) -> Any:
    """The remainder of `div`, which has the sign of x.

    >>> int(rem(-7, 2)), float(rem(-7.5, 2.0))
    (-1, -1.5)
    """
    x, y = promote(x, y)
    return p.fmod_p.bind(x, y)


def round(x: Any, rounding_method: int = 0) -> Any:
    """The nearest integer; halves go away from zero (method 0) or to even (method 1).

    >>> float(round(2.5)), float(round(2.5, 1))
    (3.0, 2.0)
    """
    x = as_array(x)
    if int(rounding_method) == 1:
        return fnp.rint(x)
    size = fnp.floor(fnp.abs(x) + dtype_of(x).type(0.5))
    # adding 0.5 to the greatest number below 0.5 rounds to 1
    below = p.lt_p.bind(fnp.abs(x), dtype_of(x).type(0.5))
    return p.sign_p.bind(x) * p.select(below, 0.0, size)


def integer_pow(x: Any, y: int) -> Any:
    """x to a static integer power.

    >>> float(integer_pow(2.0, 3))
    8.0
    """
    x, exponent = as_array(x), operator.index(y)
    return p.integer_pow_p.bind(to_dtype(x, dtype_of(x)), exponent=exponent)


def shift_right_logical(x: Any, y: Any) -> Any:
    """x shifted right with zeros coming in.

    >>> int(shift_right_logical(np.int8(-1), np.int8(4)))
    15
    """
    return p.shift_right_logical_p.bind(*promote(x, y))


def population_count(x: Any) -> Any:
    """The number of bits that are one; of negative numbers, in two's complement.

    >>> population_count(np.array([7, -1], np.int32))
    array([ 3, 32], dtype=int32)
    """
    return p.population_count_p.bind(as_array(x))


def complex(x: Any, y: Any) -> Any:
    """The complex number with these real and imaginary parts.

    >>> complex(1.0, 2.0).item()
    (1+2j)
    """
    return p.complex_p.bind(*promote(x, y))


def clamp(min: Any, x: Any, max: Any) -> Any:
    """x moved into [min, max].

    >>> clamp(0.0, np.array([-1.0, 0.5, 2.0]), 1.0)
    array([0. , 0.5, 1. ])
    """
    return fnp.minimum(fnp.maximum(x, min), max)


def select(pred: Any, on_true: Any, on_false: Any) -> Any:
    """on_true where pred, else on_false.

    >>> select(np.array([True, False]), np.ones(2), np.zeros(2))
    array([1., 0.])
    """
    return p.select_p.bind(as_array(pred), *promote(on_true, on_false))


def select_n(which: Any, *cases: Any) -> Any:
    """cases[which] element by element; with a bool `which`, False takes the first of two.

    >>> select_n(np.array([0, 2, 1]), np.zeros(3), np.ones(3), np.full(3, 2.0))
    array([0., 2., 1.])
    """
    which, values = as_array(which), promote(*cases)
    if dtype_of(which).kind == "b":
        if len(values) > 2:
            raise DTypeError("select_n with a bool selector takes two cases at most.")
        return values[0] if len(values) == 1 else p.select_p.bind(which, values[1], values[0])
    kind = dtype_of(which).type
    chosen = values[-1]
    for i in reversed(range(len(values) - 1)):
        here = (p.le_p if i == 0 else p.eq_p).bind(which, kind(i))
        chosen = p.select_p.bind(here, values[i], chosen)
    return chosen


# --- types and creation ---------------------------------------------------------------------------


def convert_element_type(operand: Any, new_dtype: Any) -> Any:
    """The operand with another dtype.

    >>> convert_element_type(np.array([1.7]), "int32")
    array([1], dtype=int32)
    """
    return p.convert(as_array(operand), np.dtype(new_dtype))


def bitcast_convert_type(operand: Any, new_dtype: Any) -> Any:
    """The same bits as another dtype of the same size.

    Raises:
        DTypeError: the sizes differ.

    >>> int(bitcast_convert_type(np.float32(1.0), "int32"))
    1065353216
    """
    x, dtype = as_array(operand), np.dtype(new_dtype)
    p.bitcast_p.infer(aval_of(x), dtype=dtype)  # NumPy makes several elements of one
    return p.bitcast_p.bind(x, dtype=dtype)


def full(shape: Sequence[int], fill_value: Any, dtype: Any = None) -> Any:
    """An array filled with a scalar.

    >>> full((2,), 3.0)
    array([3., 3.])
    """
    return fnp.full(shape, fill_value, dtype)


def full_like(x: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    """An array of x's shape and dtype filled with a scalar; x may be a ShapeDtypeStruct.

    >>> full_like(np.ones(2), 3.0)
    array([3., 3.])
    """
    aval = aval_of(x)
    chosen = aval.dtype if dtype is None else np.dtype(dtype)
    return s.full(aval.shape if shape is None else tuple(shape), fill_value, chosen)


def iota(dtype: Any, size: int) -> Any:
    """0, 1, …, size - 1.

    >>> iota("float32", 3)
    array([0., 1., 2.], dtype=float32)
    """
    return s.iota((int(size),), 0, np.dtype(dtype))


def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Any:
    """An array that counts along one axis.

    >>> broadcasted_iota(int, (2, 2), 1)
    array([[0, 1],
           [0, 1]])
    """
    return s.iota(tuple(shape), canonical_axis(dimension, len(shape)), np.dtype(dtype))


# --- shapes ---------------------------------------------------------------------------------------


def broadcast(operand: Any, sizes: Sequence[int]) -> Any:
    """The operand repeated along new leading axes.

    >>> broadcast(np.ones(2), (3,)).shape
    (3, 2)
    """
    x = as_array(operand)
    return s.broadcast_p.bind(x, shape=(*sizes, *shape_of(x)))


def broadcast_in_dim(
    operand: Any, shape: Sequence[int], broadcast_dimensions: Sequence[int]
) -> Any:
    """The operand broadcast to a shape, its axis i being axis broadcast_dimensions[i] of that.

    >>> broadcast_in_dim(np.ones(2), (2, 3), (0,)).shape
    (2, 3)
    """
    x = as_array(operand)
    own = shape_of(x)
    dims = tuple(broadcast_dimensions)
    if len(dims) != len(own) or list(dims) != sorted(set(dims)):
        raise ShapeError(
            f"broadcast_in_dim of {aval_of(x)} needs an increasing axis of the result for each of "
            f"its axes, got {dims}."
        )
    wide = [1] * len(shape)
    for axis, n in zip(dims, own, strict=True):
        wide[axis] = n
    return s.broadcast_p.bind(s.reshape_p.bind(x, shape=tuple(wide)), shape=tuple(shape))


def reshape(operand: Any, new_sizes: Sequence[int], dimensions: Any = None) -> Any:
    """The operand in another shape, its axes permuted by `dimensions` before.

    >>> reshape(np.arange(4.0), (2, 2)).shape
    (2, 2)
    """
    x = as_array(operand) if dimensions is None else transpose(operand, dimensions)
    return fnp.reshape(x, tuple(new_sizes))


def transpose(operand: Any, permutation: Sequence[int]) -> Any:
    """The operand with its axes permuted.

    >>> transpose(np.ones((2, 3)), (1, 0)).shape
    (3, 2)
    """
    return s.transpose_p.bind(as_array(operand), permutation=tuple(permutation))


def rev(operand: Any, dimensions: Sequence[int]) -> Any:
    """The operand reversed along axes.

    >>> rev(np.arange(3.0), (0,))
    array([2., 1., 0.])
    """
    x = as_array(operand)
    return s.flip_p.bind(x, axes=canonical_axes(tuple(dimensions), len(shape_of(x))))


def squeeze(array: Any, dimensions: Sequence[int]) -> Any:
    """The array without these axes of extent one.

    >>> squeeze(np.ones((1, 2)), (0,)).shape
    (2,)
    """
    return fnp.squeeze(as_array(array), tuple(dimensions))


def expand_dims(array: Any, dimensions: Sequence[int]) -> Any:
    """The array with axes of extent one at these places of the result.

    >>> expand_dims(np.ones(2), (0, 2)).shape
    (1, 2, 1)
    """
    return fnp.expand_dims(as_array(array), tuple(dimensions))


def concatenate(operands: Sequence[Any], dimension: int) -> Any:
    """Arrays one after the other along an axis.

    >>> concatenate([np.ones(1), np.zeros(1)], 0)
    array([1., 0.])
    """
    return fnp.concatenate(list(operands), dimension)


def pad(operand: Any, padding_value: Any, padding_config: Sequence[tuple[int, int, int]]) -> Any:
    """The operand with a value around it (negative amounts crop) and between its elements.

    Args:
        operand: an array.
        padding_value: a scalar.
        padding_config: (low, high, interior) per axis.

    >>> pad(np.ones(2), 0.0, [(1, 0, 1)])
    array([0., 1., 0., 1.])
    """
    x = as_array(operand)
    value = to_dtype(as_array(padding_value), dtype_of(x))
    if len(padding_config) != len(shape_of(x)) or any(c[2] < 0 for c in padding_config):
        raise ShapeError(
            f"pad of {aval_of(x)} needs (low, high, interior) per axis, the last not negative: got "
            f"{padding_config}."
        )
    low, high, interior = zip(*padding_config, strict=True) if padding_config else ((), (), ())
    return s.pad_p.bind(x, value, low=tuple(low), high=tuple(high), interior=tuple(interior))


# --- products -------------------------------------------------------------------------------------


def dot_general(
    lhs: Any,
    rhs: Any,
    dimension_numbers: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
    out_sharding: Any = None,
) -> Any:
    """The product of two arrays over contracting and batch axes.

    Args:
        lhs: an array.
        rhs: an array.
        dimension_numbers: ((lhs contracting, rhs contracting), (lhs batch, rhs batch)) axes.
        precision: accepted for JAX's signature.
        preferred_element_type: the dtype to compute in.
        out_sharding: accepted for JAX's signature.

    Returns:
        An array with the batch axes, then the rest of lhs, then the rest of rhs.

    >>> dot_general(np.ones((2, 3)), np.ones((3, 4)), (((1,), (0,)), ((), ()))).shape
    (2, 4)
    """
    x, y = promote(lhs, rhs)
    if preferred_element_type is not None:
        x, y = (p.convert(v, np.dtype(preferred_element_type)) for v in (x, y))
    ranks = len(shape_of(x)), len(shape_of(y))
    dimensions = tuple(
        tuple(canonical_axes(tuple(axes), n) for axes, n in zip(pair, ranks, strict=True))
        for pair in dimension_numbers
    )
    return dot_general_p.bind(x, y, dimensions=dimensions)


def dot(lhs: Any, rhs: Any, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product of vectors and matrices.

    >>> float(dot(np.ones(3), np.ones(3)))
    3.0
    """
    ranks = len(shape_of(as_array(lhs))), len(shape_of(as_array(rhs)))
    if not all(1 <= r <= 2 for r in ranks):
        raise ShapeError(f"dot takes vectors and matrices, got operands of ranks {ranks}.")
    numbers = (((ranks[0] - 1,), (0,)), ((), ()))
    return dot_general(lhs, rhs, numbers, precision, preferred_element_type)


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Any:
    """Products of stacks of matrices.

    >>> batch_matmul(np.ones((5, 2, 3)), np.ones((5, 3, 4))).shape
    (5, 2, 4)
    """
    return fnp.matmul(lhs, rhs)
