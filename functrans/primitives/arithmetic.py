"""Arithmetic, comparison, logic, bits, rounding and selection: elementwise primitives."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.lowering import Pointwise
from functrans.core.primitive import Linear, Primitive
from functrans.core.types import PYTHON_SCALARS, Aval, check_dtype, dtype_of, shape_of
from functrans.primitives.elementwise import BOOL, elementwise
from functrans.transforms.taylor import quotient

INEXACT = "fc"
REAL = "biuf"
INTEGER = "iu"


def zeros_like(x: Any) -> Any:
    """Zeros of x's shape and dtype."""
    from functrans.primitives.shaping import full

    return full(shape_of(x), 0, dtype_of(x))


def full_like(x: Any, value: Any) -> Any:
    """An array of x's shape and dtype, filled with a Python scalar."""
    from functrans.primitives.shaping import full

    return full(shape_of(x), value, dtype_of(x))


def select(condition: Any, x: Any, y: Any) -> Any:
    """x where condition, else y; Python scalars take the dtype of the other branch."""
    if type(x) in PYTHON_SCALARS:  # not isinstance: numpy.float64 is a float too
        x = dtype_of(y).type(x)
    elif type(y) in PYTHON_SCALARS:
        y = dtype_of(x).type(y)
    return select_p.bind(condition, x, y)


# --- arithmetic -------------------------------------------------------------------------------

add_p: Primitive = elementwise(
    "add",
    np.add,
    linear_in=(0, 1),
    jvp=[lambda t, x, y, z: t, lambda t, x, y, z: t],
    transpose=lambda i, ct, x, y: ct,
    emit=lambda b, x, y: b.or_(x, y) if x.dtype == BOOL else b.add(x, y),
)
sub_p: Primitive = elementwise(
    "sub",
    np.subtract,
    kinds="iufc",
    linear_in=(0, 1),
    jvp=[lambda t, x, y, z: t, lambda t, x, y, z: -t],
    transpose=lambda i, ct, x, y: ct if i == 0 else -ct,
    emit="sub",
)
mul_p: Primitive = elementwise(
    "mul",
    np.multiply,
    linear_in=(0, 1),
    bilinear=True,
    transpose=lambda i, ct, x, y: ct * y if i == 0 else x * ct,
    emit=lambda b, x, y: b.and_(x, y) if x.dtype == BOOL else b.mul(x, y),
)
div_p: Primitive = elementwise(
    "div",
    np.true_divide,
    kinds=INEXACT,
    linear_in=(0,),
    jvp=[None, lambda t, x, y, z: -t * (z / y)],
    transpose=lambda i, ct, x, y: ct / y,
    taylor=quotient,
    emit="div",
    cost=4,
)
neg_p: Primitive = elementwise(
    "neg",
    np.negative,
    kinds="iufc",
    linear_in=(0,),
    transpose=lambda i, ct, x: -ct,
    emit="neg",
)


def _jvp_pow(t: Any, x: Any, y: Any, z: Any) -> Any:
    # y == 0 has derivative 0 also at x == 0, where x ** (y - 1) is infinite
    safe = select(y == 0, 1, y)
    return t * select(y == 0, 0, y * x ** (safe - 1))


def _jvp_pow_exponent(t: Any, x: Any, y: Any, z: Any) -> Any:
    from functrans.primitives.transcendental import log_p

    # 0 ** y does not change with y > 0, and log(0) would make nan of it; below it falls from inf
    if dtype_of(y).kind != "c":
        return t * (z * log_p.bind(select((x == 0) & (y > 0), 1, x)))
    there = select(y == 0, full_like(z, -np.inf), 0)
    return t * select(x == 0, there, z * log_p.bind(select(x == 0, 1, x)))


pow_p: Primitive = elementwise(
    "pow",
    np.power,
    kinds="iufc",
    jvp=[_jvp_pow, _jvp_pow_exponent],
    emit="pow",
    cost=30,
)


def _integer_pow(x: Any, *, exponent: int) -> Any:
    if exponent >= 0 or dtype_of(x).kind in "fc":
        return np.power(x, exponent) if exponent != 2 else np.multiply(x, x)
    raise ValueError("Integers to negative integer powers are not allowed.")


def _jvp_integer_pow(t: Any, x: Any, y: Any, *, exponent: int) -> Any:
    if exponent == 0:
        return None
    if exponent == 1:
        return t
    factor = x if exponent == 2 else integer_pow_p.bind(x, exponent=exponent - 1)
    return t * (factor * exponent)


integer_pow_p: Primitive = elementwise(
    "integer_pow",
    _integer_pow,
    kinds="iufc",
    jvp=_jvp_integer_pow,
    emit="integer_pow",
    cost=3,
)

floor_divide_p: Primitive = elementwise(
    "floor_divide",
    np.floor_divide,
    kinds="iuf",
    emit="floor_divide",
    cost=8,
)
remainder_p: Primitive = elementwise(
    "remainder",
    np.remainder,
    kinds="iuf",
    jvp=[lambda t, x, y, z: t, lambda t, x, y, z: -t * floor_divide_p.bind(x, y)],
    emit="remainder",
    cost=8,
)
fmod_p: Primitive = elementwise(
    "fmod",
    np.fmod,
    kinds="iuf",
    jvp=[lambda t, x, y, z: t, lambda t, x, y, z: -t * trunc_p.bind(x / y)],
    emit="fmod",
    cost=8,
)


def _jvp_abs(t: Any, x: Any, y: Any) -> Any:
    if dtype_of(x).kind != "c":
        return t * sign_p.bind(x)
    direction = x / convert(select(y == 0, 1, y), dtype_of(x))
    return real_p.bind(conj_p.bind(direction) * t)


def real_dtype(dtype: np.dtype, **_: Any) -> np.dtype:
    """The dtype of the real part."""
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else dtype


def complex_dtype(dtype: np.dtype, *_: Any) -> np.dtype:
    """The complex dtype with parts of this dtype."""
    return dtype if dtype.kind == "c" else np.dtype(f"c{max(dtype.itemsize, 4) * 2}")


abs_p: Primitive = elementwise("abs", np.absolute, jvp=_jvp_abs, result=real_dtype, emit="abs")
sign_p: Primitive = elementwise("sign", np.sign, kinds="iufc", emit="sign", cost=3)

# --- extrema: a tie shares the derivative equally, as in JAX -----------------------------------


def _share(chosen: Any, other: Any, x: Any) -> Any:
    """1 where chosen is the result, 1/2 where both are."""
    return select(chosen, select(other, full_like(x, 0.5), full_like(x, 1)), zeros_like(x))


def _extremum(name: str, evaluate: Any, emit: Any) -> Primitive:
    return elementwise(
        name,
        evaluate,
        kinds="biufc",
        jvp=[
            lambda t, x, y, z: t * _share(x == z, y == z, z),
            lambda t, x, y, z: t * _share(y == z, x == z, z),
        ],
        emit=emit,
        cost=2,
    )


max_p: Primitive = _extremum("max", np.maximum, "maximum")
min_p: Primitive = _extremum("min", np.minimum, "minimum")

# --- rounding: piecewise constant, so no derivative ----------------------------------------------

floor_p: Primitive = elementwise("floor", np.floor, kinds="f", emit="floor")
ceil_p: Primitive = elementwise("ceil", np.ceil, kinds="f", emit="ceil")
rint_p: Primitive = elementwise("rint", np.rint, kinds="fc", emit="rint")
trunc_p: Primitive = elementwise("trunc", np.trunc, kinds="f", emit="trunc")
nextafter_p: Primitive = elementwise("nextafter", np.nextafter, kinds="f")
copysign_p: Primitive = elementwise(
    "copysign",
    np.copysign,
    kinds="f",
    jvp=[lambda t, x, y, z: t * sign_p.bind(x) * sign_p.bind(z), None],
    emit="copysign",
)

# --- comparison and logic -------------------------------------------------------------------------


def _to_bool(*_: np.dtype) -> np.dtype:
    return BOOL


eq_p: Primitive = elementwise("eq", np.equal, result=_to_bool, emit="eq")
ne_p: Primitive = elementwise("ne", np.not_equal, result=_to_bool, emit="ne")
lt_p: Primitive = elementwise("lt", np.less, result=_to_bool, emit="lt")
le_p: Primitive = elementwise("le", np.less_equal, result=_to_bool, emit="le")
gt_p: Primitive = elementwise("gt", np.greater, result=_to_bool, emit="gt")
ge_p: Primitive = elementwise("ge", np.greater_equal, result=_to_bool, emit="ge")

isnan_p: Primitive = elementwise("isnan", np.isnan, kinds=INEXACT, result=_to_bool, emit="isnan")
isinf_p: Primitive = elementwise("isinf", np.isinf, kinds=INEXACT, result=_to_bool, emit="isinf")
isfinite_p: Primitive = elementwise(
    "isfinite", np.isfinite, kinds=INEXACT, result=_to_bool, emit="isfinite"
)
signbit_p: Primitive = elementwise(
    "signbit", np.signbit, kinds="f", result=_to_bool, emit="signbit"
)

# --- bits -----------------------------------------------------------------------------------------

and_p: Primitive = elementwise("and", np.bitwise_and, kinds="biu", emit="and_")
or_p: Primitive = elementwise("or", np.bitwise_or, kinds="biu", emit="or_")
xor_p: Primitive = elementwise("xor", np.bitwise_xor, kinds="biu", emit="xor_")
not_p: Primitive = elementwise("not", np.invert, kinds="biu", emit="not_")
shift_left_p: Primitive = elementwise("shift_left", np.left_shift, kinds=INTEGER, emit="shl")
shift_right_p: Primitive = elementwise("shift_right", np.right_shift, kinds=INTEGER, emit="shr")


def _shift_right_logical(x: Any, n: Any) -> Any:
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    return np.right_shift(np.asarray(x).view(unsigned), np.asarray(n).view(unsigned)).view(x.dtype)


def _emit_shift_right_logical(b: Any, x: Any, n: Any) -> Any:
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    shifted = b.shr(b.bitcast(x, unsigned), b.bitcast(n, unsigned))
    return b.bitcast(shifted, x.dtype)


shift_right_logical_p: Primitive = elementwise(
    "shift_right_logical",
    _shift_right_logical,
    kinds=INTEGER,
    emit=_emit_shift_right_logical,
)


def _population_count(x: Any) -> Any:
    # NumPy counts the bits of |x|
    unsigned = np.dtype(f"u{x.dtype.itemsize}")
    return np.bitwise_count(np.asarray(x).view(unsigned)).astype(x.dtype)[()]


population_count_p: Primitive = elementwise(
    "population_count",
    _population_count,
    kinds=INTEGER,
    emit=lambda b, x: b.intrinsic("ctpop", x),
)

gcd_p: Primitive = elementwise("gcd", np.gcd, kinds="iu", cost=60)

# --- complex parts --------------------------------------------------------------------------------


def _complex(x: Any, y: Any) -> Any:
    out = np.empty(np.broadcast_shapes(np.shape(x), np.shape(y)), complex_dtype(dtype_of(x)))
    out.real, out.imag = x, y
    return out[()]


real_p: Primitive = elementwise(
    "real",
    lambda x: np.array(np.real(x))[()],
    kinds="c",
    result=real_dtype,
    linear_in=(0,),
    transpose=lambda i, ct, x: complex_p.bind(ct, zeros_like(ct)),
    emit="real",
)
imag_p: Primitive = elementwise(
    "imag",
    lambda x: np.array(np.imag(x))[()],
    kinds="c",
    result=real_dtype,
    linear_in=(0,),
    transpose=lambda i, ct, x: complex_p.bind(zeros_like(ct), -ct),
    emit="imag",
)
complex_p: Primitive = elementwise(
    "complex",
    _complex,
    kinds="f",
    result=complex_dtype,
    linear_in=(0, 1),
    jvp=[
        lambda t, x, y, z: complex_p.bind(t, zeros_like(t)),
        lambda t, x, y, z: complex_p.bind(zeros_like(t), t),
    ],
    transpose=lambda i, ct, x, y: real_p.bind(ct) if i == 0 else -imag_p.bind(ct),
    emit="complex",
)
conj_p: Primitive = elementwise(
    "conj",
    np.conjugate,
    kinds="c",
    linear_in=(0,),
    transpose=lambda i, ct, x: conj_p.bind(ct),
    emit="conj",
)

# --- selection and conversion --------------------------------------------------------------------


def _transpose_select(i: int, ct: Any, condition: Any, x: Any, y: Any) -> Any:
    zero = zeros_like(ct)
    return select_p.bind(condition, ct, zero) if i == 1 else select_p.bind(condition, zero, ct)


def _jvp_select(i: int) -> Any:
    def rule(t: Any, condition: Any, x: Any, y: Any, z: Any) -> Any:
        zero = zeros_like(t)
        return select_p.bind(condition, t, zero) if i == 1 else select_p.bind(condition, zero, t)

    return rule


def _infer_select(condition: Aval, x: Aval, y: Aval) -> Aval:
    from functrans.core.errors import DTypeError, ShapeError
    from functrans.primitives.elementwise import broadcast_shapes

    if condition.dtype != BOOL or x.dtype != y.dtype:
        raise DTypeError(
            f"select needs a bool condition and branches of one dtype: got {condition}, {x}, {y}."
        )
    try:
        shape = broadcast_shapes(condition.shape, x.shape, y.shape)
    except ShapeError:
        raise ShapeError(
            f"select needs shapes that broadcast: got {condition}, {x} and {y}."
        ) from None
    return Aval(shape, x.dtype, x.weak_type and y.weak_type and shape == ())


select_p: Primitive = elementwise(
    "select",
    lambda condition, x, y: np.asarray(np.where(condition, x, y))[()],
    linear_in=(1, 2),
    transpose=_transpose_select,
    jvp=[None, _jvp_select(1), _jvp_select(2)],
    emit="select",
    same_dtype=False,
)
select_p.infer = _infer_select


def _infer_convert(x: Aval, *, dtype: np.dtype, weak_type: bool = False) -> Aval:
    return Aval(x.shape, check_dtype(dtype), weak_type)


def _evaluate_convert(x: Any, *, dtype: np.dtype, weak_type: bool = False) -> Any:
    x = np.asarray(x)
    if x.dtype.kind == "c" and dtype.kind not in "cb":
        x = x.real
    converted = x.astype(dtype)
    return converted.item() if weak_type and not converted.ndim else converted[()]


def _jvp_convert(tangents: list, primals: list, y: Any, *, dtype: np.dtype, **_: Any) -> Any:
    return convert_p.bind(tangents[0], dtype=dtype) if dtype.kind in "fc" else None


def _transpose_convert(ct: Any, x: Linear, **_: Any) -> list:
    return [convert(ct, x.aval.dtype)]


convert_p: Primitive = Primitive(
    "convert",
    infer=_infer_convert,
    evaluate=_evaluate_convert,
    jvp=_jvp_convert,
    transpose=_transpose_convert,
    batch=lambda args, batched, **params: (convert_p.bind(*args, **params), True),
    cost=lambda inputs, outputs, **_: outputs[0].size,
    lower=Pointwise(lambda b, x, dtype, weak_type=False: b.convert(x, dtype)),
)


def convert(x: Any, dtype: Any) -> Any:
    """x with another dtype, strongly typed; x itself if it has it already."""
    dtype = np.dtype(dtype)
    if getattr(x, "dtype", None) == dtype and not getattr(x, "weak_type", False):
        return x
    return convert_p.bind(x, dtype=dtype)


def _infer_bitcast(x: Aval, *, dtype: np.dtype) -> Aval:
    from functrans.core.errors import DTypeError

    if x.dtype.itemsize != dtype.itemsize:
        raise DTypeError(f"bitcast needs dtypes of one size: got {x} and {dtype}.")
    return Aval(x.shape, dtype)


bitcast_p: Primitive = Primitive(
    "bitcast",
    infer=_infer_bitcast,
    evaluate=lambda x, dtype: np.array(x).view(dtype)[()],
    batch=lambda args, batched, **params: (bitcast_p.bind(*args, **params), True),
    cost=lambda inputs, outputs, dtype: 0,
    lower=Pointwise("bitcast"),
)
