"""NumPy's ufuncs of arithmetic, comparison, logic, bits, rounding; how a ufunc is defined."""

from __future__ import annotations

import operator as python_operator
from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.source import user_line
from functrans.core.trace import Tracer
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy.dispatch import explain, has_tracer, mirrors, refuse
from functrans.numpy.promotion import as_array, promote_for, ready, to_dtype
from functrans.primitives import arithmetic as p
from functrans.primitives.elementwise import broadcast_shapes
from functrans.primitives.shaping import full

Compute = Callable[..., Any]


def unary(ufunc: np.ufunc, compute: Primitive | Compute, example: str = "") -> Callable[..., Any]:
    """functrans's form of a NumPy ufunc of one operand.

    Args:
        ufunc: NumPy's; it evaluates calls without tracers, and gives the dtypes of the others.
        compute: a primitive, or a function of operands that have the dtypes of the ufunc's loop.
        example: a doctest.
    """
    run: Compute = compute.bind if isinstance(compute, Primitive) else compute

    is_closed = "d->d" in ufunc.types

    def function(x: Any, /, **kwargs: Any) -> Any:
        if type(x) is Tracer:
            if is_closed and not kwargs and x.aval.dtype.kind == "f" and not x.aval.weak_type:
                return run(x)
        elif not has_tracer((x,)):
            return _eager(ufunc, traced, (x,), kwargs)
        return traced(x, **kwargs)

    def traced(x: Any, /, **kwargs: Any) -> Any:
        dtype = _only_dtype(ufunc, kwargs) if kwargs else None
        return run(*promote_for(ufunc, (x,), dtype))

    return _named(function, ufunc, example)


def binary(ufunc: np.ufunc, compute: Primitive | Compute, example: str = "") -> Callable[..., Any]:
    """functrans's form of a NumPy ufunc of two operands; arguments as `unary`."""
    run: Compute = compute.bind if isinstance(compute, Primitive) else compute

    is_closed = "dd->d" in ufunc.types or "dd->?" in ufunc.types

    def function(x1: Any, x2: Any, /, **kwargs: Any) -> Any:
        if type(x1) is Tracer:
            if is_closed and not kwargs and x1.aval.dtype.kind == "f":
                other = ready(x1, x2)
                if other is not None:
                    return run(x1, other)
        elif type(x2) is Tracer:
            if is_closed and not kwargs and x2.aval.dtype.kind == "f":
                other = ready(x2, x1)
                if other is not None:
                    return run(other, x2)
        elif not has_tracer((x1, x2)):
            return _eager(ufunc, traced, (x1, x2), kwargs)
        return traced(x1, x2, **kwargs)

    def traced(x1: Any, x2: Any, /, **kwargs: Any) -> Any:
        dtype = _only_dtype(ufunc, kwargs) if kwargs else None
        return run(*promote_for(ufunc, (x1, x2), dtype))

    return _named(function, ufunc, example)


def comparison(ufunc: np.ufunc, primitive: Primitive, example: str = "") -> Callable[..., Any]:
    """A comparing ufunc, which also takes Python integers outside of the other operand's dtype."""

    def function(x1: Any, x2: Any, /, **kwargs: Any) -> Any:
        if type(x1) is not Tracer and type(x2) is not Tracer and not has_tracer((x1, x2)):
            return _eager(ufunc, traced, (x1, x2), kwargs)
        return traced(x1, x2, **kwargs)

    def traced(x1: Any, x2: Any, /, **kwargs: Any) -> Any:
        if kwargs:
            _only_dtype(ufunc, {k: v for k, v in kwargs.items() if k != "dtype"})
        try:
            a, b = promote_for(ufunc, (x1, x2))
            return primitive.bind(a, b) if dtype_of(a) == dtype_of(b) else mixed(a, b)
        except OverflowError:
            # such an integer is on the same side of every value of the dtype
            a, b = (x if type(x) is int else dtype_of(x).type(0) for x in (x1, x2))
            return full(broadcast_shapes(shape_of(x1), shape_of(x2)), bool(ufunc(a, b)), np.bool_)

    def mixed(a: Any, b: Any) -> Any:
        """int64 with uint64, which NumPy compares as numbers: there is no dtype for both."""
        first = dtype_of(a).kind == "i"
        negative = (a if first else b) < 0
        unsigned = primitive.bind(p.convert(a, np.uint64), p.convert(b, np.uint64))
        beyond = ufunc(-1, 0) if first else ufunc(0, -1)
        return negative & beyond | ~negative & unsigned

    return _named(function, ufunc, example)


def _eager(ufunc: np.ufunc, traced: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    try:
        return ufunc(*args, **kwargs)
    except (ValueError, TypeError):
        explain(traced, args, kwargs)
        raise


def _only_dtype(ufunc: np.ufunc, kwargs: dict[str, Any]) -> np.dtype | None:
    """The dtype argument; TypeError for the arguments of ufuncs that traced calls do not take."""
    kwargs = dict(kwargs)
    dtype = kwargs.pop("dtype", None)
    out = kwargs.pop("out", None)
    where = kwargs.pop("where", True)
    if type(out) is tuple and len(out) == 1:
        (out,) = out
    refuse(ufunc.__name__, out=(out, None))
    if where is not True:
        raise TypeError(
            f"{ufunc.__name__} was given where=: what a ufunc leaves out is undefined without "
            f"out=; use fnp.where(condition, {ufunc.__name__}(...), otherwise).{user_line()}"
        )
    for name in ("casting", "order", "subok", "signature"):
        if name in kwargs:
            refuse(ufunc.__name__, **{name: (kwargs.pop(name), None)})
    if kwargs:
        raise TypeError(
            f"{ufunc.__name__} got an unexpected keyword argument {next(iter(kwargs))!r}"
        )
    return None if dtype is None else np.dtype(dtype)


def _named(function: Any, ufunc: np.ufunc, example: str) -> Any:
    function.__name__ = function.__qualname__ = ufunc.__name__
    text = (ufunc.__doc__ or "").split("\n\n")
    summary = " ".join(text[1].split()) if len(text) > 1 else ""
    doctest = f"\n\n    >>> import functrans.numpy as fnp\n    {example}\n    " if example else ""
    function.__doc__ = f"`numpy.{ufunc.__name__}`: {summary}{doctest}"
    function.ufunc = ufunc
    return function


def identity(x: Any) -> Any:
    """The operand itself: what rounding does to integers."""
    return x


def truth(x: Any) -> Any:
    """x as booleans: whether each element is not zero."""
    dtype = dtype_of(x)
    if dtype.kind == "b":
        return x
    return p.ne_p.bind(to_dtype(x, dtype), dtype.type(0))


def _never(x: Any) -> Any:
    return full(shape_of(x), False, np.bool_)


def _inexact_only(primitive: Primitive, otherwise: Compute) -> Compute:
    return lambda x: primitive.bind(x) if dtype_of(x).kind in "fc" else otherwise(x)


# --- arithmetic -------------------------------------------------------------------------------

add = binary(np.add, p.add_p)
subtract = binary(np.subtract, p.sub_p)
multiply = binary(np.multiply, p.mul_p)
true_divide = divide = binary(np.true_divide, p.div_p)
floor_divide = binary(np.floor_divide, p.floor_divide_p)
remainder = mod = binary(np.remainder, p.remainder_p)
fmod = binary(np.fmod, p.fmod_p)
negative = unary(np.negative, p.neg_p)
positive = unary(np.positive, identity)
absolute = abs = unary(np.absolute, lambda x: x if dtype_of(x).kind in "bu" else p.abs_p.bind(x))
fabs = unary(np.fabs, p.abs_p)
sign = unary(np.sign, p.sign_p)
square = unary(np.square, lambda x: p.integer_pow_p.bind(x, exponent=2))
conjugate = conj = unary(np.conjugate, lambda x: p.conj_p.bind(x) if dtype_of(x).kind == "c" else x)


def _reciprocal(x: Any) -> Any:
    one = dtype_of(x).type(1)
    return p.div_p.bind(one, x) if dtype_of(x).kind in "fc" else _integer_reciprocal(x)


def _integer_reciprocal(x: Any) -> Any:
    dtype = dtype_of(x)
    is_one = p.eq_p.bind(p.abs_p.bind(x) if dtype.kind == "i" else x, dtype.type(1))
    zero_case = dtype.type(np.reciprocal(np.ones(1, dtype) * 0)[0])
    is_zero = p.eq_p.bind(x, dtype.type(0))
    return p.select_p.bind(is_one, x, p.select_p.bind(is_zero, zero_case, dtype.type(0)))


reciprocal = unary(np.reciprocal, _reciprocal)


def _power(x: Any, y: Any, dtype: np.dtype | None = None) -> Any:
    x, y = as_array(x), as_array(y)
    if type(y) in (int, np.int64) and -64 <= y <= 64:
        base, _ = promote_for(np.power, (x, y), dtype)
        if y < 0 and dtype_of(base).kind in "iu":
            raise ValueError(
                f"Integers to negative integer powers are not allowed.{user_line()}\n"
                "  Convert the base to float first, e.g. with x.astype(float)."
            )
        return p.integer_pow_p.bind(base, exponent=int(y))
    return p.pow_p.bind(*promote_for(np.power, (x, y), dtype))


@mirrors(np.power)
def power(x1: Any, x2: Any, /, **kwargs: Any) -> Any:
    """`numpy.power`; an integer Python exponent becomes repeated multiplication.

    >>> import functrans.numpy as fnp
    >>> float(fnp.power(3.0, 2))
    9.0
    """
    return _power(x1, x2, _only_dtype(np.power, kwargs) if kwargs else None)


pow = power


@mirrors(np.float_power)
def float_power(x1: Any, x2: Any, /) -> Any:
    """`numpy.float_power`: power in at least double precision.

    >>> import functrans.numpy as fnp
    >>> float(fnp.float_power(2, -1))
    0.5
    """
    exponent = x2 if type(x2) is int else promote_for(np.float_power, (x1, x2))[1]
    return _power(promote_for(np.float_power, (x1, x2))[0], exponent)


@mirrors(np.divmod)
def divmod(x1: Any, x2: Any, /) -> tuple[Any, Any]:
    """`numpy.divmod`: the floor of the quotient, and the remainder.

    >>> import functrans.numpy as fnp
    >>> [int(v) for v in fnp.divmod(7, 2)]
    [3, 1]
    """
    return floor_divide(x1, x2), remainder(x1, x2)


@mirrors(np.real)
def real(val: Any) -> Any:
    """`numpy.real`: the real part.

    >>> import functrans.numpy as fnp
    >>> float(fnp.real(1 + 2j))
    1.0
    """
    x = as_array(val)
    return p.real_p.bind(x) if dtype_of(x).kind == "c" else x


@mirrors(np.imag)
def imag(val: Any) -> Any:
    """`numpy.imag`: the imaginary part, zero for real arrays.

    >>> import functrans.numpy as fnp
    >>> float(fnp.imag(1 + 2j))
    2.0
    """
    x = as_array(val)
    return p.imag_p.bind(x) if dtype_of(x).kind == "c" else p.zeros_like(x)


# --- extrema ----------------------------------------------------------------------------------

maximum = binary(np.maximum, p.max_p)
minimum = binary(np.minimum, p.min_p)


def _ignoring_nan(primitive: Primitive) -> Compute:
    def compute(x: Any, y: Any) -> Any:
        if dtype_of(x).kind not in "fc":
            return primitive.bind(x, y)
        either = primitive.bind(x, y)
        chosen = p.select_p.bind(p.isnan_p.bind(x), y, either)
        return p.select_p.bind(p.isnan_p.bind(y), x, chosen)

    return compute


fmax = binary(np.fmax, _ignoring_nan(p.max_p))
fmin = binary(np.fmin, _ignoring_nan(p.min_p))

# --- comparison -------------------------------------------------------------------------------

equal = comparison(np.equal, p.eq_p)
not_equal = comparison(np.not_equal, p.ne_p)
less = comparison(np.less, p.lt_p)
less_equal = comparison(np.less_equal, p.le_p)
greater = comparison(np.greater, p.gt_p)
greater_equal = comparison(np.greater_equal, p.ge_p)
isnan = unary(np.isnan, _inexact_only(p.isnan_p, _never))
isinf = unary(np.isinf, _inexact_only(p.isinf_p, _never))
isfinite = unary(
    np.isfinite,
    _inexact_only(p.isfinite_p, lambda x: full(shape_of(x), True, np.bool_)),
)
signbit = unary(np.signbit, p.signbit_p)

# --- logic: any dtype, by truth -----------------------------------------------------------------


def _logical(ufunc: np.ufunc, primitive: Primitive) -> Callable[..., Any]:
    def compute(x: Any, y: Any) -> Any:
        return primitive.bind(truth(x), truth(y))

    return binary(ufunc, compute)


logical_and = _logical(np.logical_and, p.and_p)
logical_or = _logical(np.logical_or, p.or_p)
logical_xor = _logical(np.logical_xor, p.xor_p)
logical_not = unary(np.logical_not, lambda x: p.not_p.bind(truth(x)))

# --- bits -------------------------------------------------------------------------------------

bitwise_and = binary(np.bitwise_and, p.and_p)
bitwise_or = binary(np.bitwise_or, p.or_p)
bitwise_xor = binary(np.bitwise_xor, p.xor_p)
invert = bitwise_not = bitwise_invert = unary(np.invert, p.not_p)
left_shift = bitwise_left_shift = binary(np.left_shift, p.shift_left_p)
right_shift = bitwise_right_shift = binary(np.right_shift, p.shift_right_p)
bitwise_count = unary(
    np.bitwise_count,
    lambda x: p.convert(
        p.population_count_p.bind(p.abs_p.bind(x) if dtype_of(x).kind == "i" else x), np.uint8
    ),
)

# --- divisors: of integers ----------------------------------------------------------------------

gcd = binary(np.gcd, p.gcd_p, ">>> int(fnp.gcd(12, 18))\n    6")


def _lcm(x: Any, y: Any) -> Any:
    divisor = p.gcd_p.bind(x, y)
    nothing = p.eq_p.bind(divisor, dtype_of(x).type(0))
    part = p.floor_divide_p.bind(x, p.select_p.bind(nothing, dtype_of(x).type(1), divisor))
    return absolute(p.mul_p.bind(part, y))


lcm = binary(np.lcm, _lcm, ">>> int(fnp.lcm(4, 6))\n    12")

# --- rounding: integers are their own ---------------------------------------------------------

floor = unary(np.floor, lambda x: p.floor_p.bind(x) if dtype_of(x).kind == "f" else x)
ceil = unary(np.ceil, lambda x: p.ceil_p.bind(x) if dtype_of(x).kind == "f" else x)
trunc = unary(np.trunc, lambda x: p.trunc_p.bind(x) if dtype_of(x).kind == "f" else x)
rint = unary(np.rint, p.rint_p)
nextafter = binary(np.nextafter, p.nextafter_p)
copysign = binary(np.copysign, p.copysign_p)


@mirrors(np.fix)
def fix(x: Any) -> Any:
    """`numpy.fix`: rounding towards zero.

    >>> import functrans.numpy as fnp
    >>> fnp.fix([1.7, -1.7]).tolist()
    [1.0, -1.0]
    """
    return trunc(x)


@mirrors(np.round)
def round(a: Any, decimals: int = 0, out: None = None) -> Any:
    """`numpy.round`: to the given number of decimals, halves to even.

    >>> import functrans.numpy as fnp
    >>> float(fnp.round(2.675, 1))
    2.7
    """
    refuse("round", out=(out, None))
    x = as_array(a)
    x = to_dtype(x, aval_of(x).dtype)
    decimals = python_operator.index(decimals)
    dtype = dtype_of(x)
    if dtype.kind == "b":
        return p.convert(x, np.float16) if decimals == 0 else x
    if dtype.kind in "iu":
        return x if decimals >= 0 else _round_integer(x, 10**-decimals)
    if decimals == 0:
        return p.rint_p.bind(x)
    scale = dtype.type(10.0 ** np.abs(decimals))
    if decimals > 0:
        return p.div_p.bind(p.rint_p.bind(p.mul_p.bind(x, scale)), scale)
    return p.mul_p.bind(p.rint_p.bind(p.div_p.bind(x, scale)), scale)


around = round


def _round_integer(x: Any, unit: int) -> Any:
    """NumPy's own rounding of integers to tens: through float64."""
    wide = p.convert(x, np.float64)
    scale = np.float64(unit)
    rounded = p.mul_p.bind(p.rint_p.bind(p.div_p.bind(wide, scale)), scale)
    return p.convert(rounded, dtype_of(x))


@mirrors(np.modf)
def modf(x: Any, /) -> tuple[Any, Any]:
    """`numpy.modf`: the fractional and the integral part, both with x's sign.

    >>> import functrans.numpy as fnp
    >>> [float(v) for v in fnp.modf(-1.5)]
    [-0.5, -1.0]
    """
    (x,) = promote_for(np.modf, (x,))
    whole = p.trunc_p.bind(x)
    zero = p.zeros_like(x)
    part = p.select_p.bind(p.isinf_p.bind(x), zero, p.sub_p.bind(x, whole))
    # copysign only matters to the sign of zero, and has no tangent there
    return p.select_p.bind(p.eq_p.bind(part, zero), p.copysign_p.bind(zero, x), part), whole


@mirrors(np.isposinf)
def isposinf(x: Any) -> Any:
    """`numpy.isposinf`: which elements are positive infinity.

    >>> import functrans.numpy as fnp, numpy as np
    >>> bool(fnp.isposinf(np.inf))
    True
    """
    return logical_and(isinf(x), logical_not(signbit(x)))


@mirrors(np.isneginf)
def isneginf(x: Any) -> Any:
    """`numpy.isneginf`: which elements are negative infinity.

    >>> import functrans.numpy as fnp, numpy as np
    >>> bool(fnp.isneginf(-np.inf))
    True
    """
    return logical_and(isinf(x), signbit(x))
