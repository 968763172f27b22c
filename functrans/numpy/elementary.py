"""NumPy's elementary functions: exponentials, logarithms, roots, trigonometry, hyperbolics, i0."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import mirrors
from functrans.numpy.manipulation import strong
from functrans.numpy.promotion import promote_for, to_dtype
from functrans.numpy.ufuncs import binary, unary
from functrans.primitives import arithmetic as p
from functrans.primitives import transcendental as t
from functrans.primitives.bessel import bessel_i_p
from functrans.primitives.identities import stop_gradient


def _scaled(x: Any, factor: Any) -> Any:
    return p.mul_p.bind(x, dtype_of(x).type(factor))


# --- exponentials and logarithms ------------------------------------------------------------------

exp = unary(np.exp, t.exp_p, ">>> float(fnp.exp(0.0))\n    1.0")
exp2 = unary(np.exp2, t.exp2_p)
expm1 = unary(np.expm1, t.expm1_p)
log = unary(np.log, t.log_p, ">>> float(fnp.log(1.0))\n    0.0")
log2 = unary(np.log2, t.log2_p)
log10 = unary(np.log10, t.log10_p)
log1p = unary(np.log1p, t.log1p_p)
logaddexp = binary(np.logaddexp, t.logaddexp_p)
logaddexp2 = binary(np.logaddexp2, t.logaddexp2_p)

# --- roots ----------------------------------------------------------------------------------------

sqrt = unary(np.sqrt, t.sqrt_p, ">>> float(fnp.sqrt(4.0))\n    2.0")
cbrt = unary(np.cbrt, t.cbrt_p)
hypot = binary(np.hypot, t.hypot_p)

# --- trigonometry ---------------------------------------------------------------------------------

sin = unary(np.sin, t.sin_p, ">>> float(fnp.sin(0.0))\n    0.0")
cos = unary(np.cos, t.cos_p, ">>> float(fnp.cos(0.0))\n    1.0")
tan = unary(np.tan, t.tan_p)
arcsin = asin = unary(np.arcsin, t.arcsin_p)
arccos = acos = unary(np.arccos, t.arccos_p)
arctan = atan = unary(np.arctan, t.arctan_p)
arctan2 = atan2 = binary(np.arctan2, t.arctan2_p)

# --- hyperbolics ----------------------------------------------------------------------------------

sinh = unary(np.sinh, t.sinh_p)
cosh = unary(np.cosh, t.cosh_p)
tanh = unary(np.tanh, t.tanh_p, ">>> float(fnp.tanh(0.0))\n    0.0")
arcsinh = asinh = unary(np.arcsinh, t.arcsinh_p)
arccosh = acosh = unary(np.arccosh, t.arccosh_p)
arctanh = atanh = unary(np.arctanh, t.arctanh_p)

# --- angles ---------------------------------------------------------------------------------------


def _times(factor: float) -> Any:
    return lambda x: _scaled(x, factor)


deg2rad = unary(np.deg2rad, _times(np.pi / 180))
radians = unary(np.radians, _times(np.pi / 180))
rad2deg = unary(np.rad2deg, _times(180 / np.pi))
degrees = unary(np.degrees, _times(180 / np.pi))


@mirrors(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """`numpy.angle`: the argument of complex numbers, 0 or pi for real ones.

    >>> import functrans.numpy as fnp
    >>> float(fnp.angle(1j, deg=True))
    90.0
    """
    x = strong(z)
    if dtype_of(x).kind == "c":
        out = arctan2(ufuncs.imag(x), ufuncs.real(x))
    else:
        out = arctan2(0, stop_gradient(x))  # a step
    return out * (180 / np.pi) if deg else out


@mirrors(np.sinc)
def sinc(x: Any) -> Any:
    """`numpy.sinc`: sin(pi x) / (pi x), 1 at 0.

    >>> import functrans.numpy as fnp
    >>> float(fnp.sinc(0.0))
    1.0
    """
    v = strong(x)
    v = to_dtype(v, np.dtype(float)) if dtype_of(v).kind not in "fc" else v
    y = v * np.pi
    # near zero the quotient has no derivatives; its Taylor series has all that double can show
    near = ufuncs.less(ufuncs.absolute(y), 0.03)
    dtype = dtype_of(y)
    away = p.select_p.bind(near, dtype.type(1), y)
    small = p.select_p.bind(near, y, dtype.type(0))  # not y, whose square may be infinite
    square = small * small
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72)))
    return p.select_p.bind(near, series, sin(away) / away)


def _ldexp(x: Any, exponent: Any) -> Any:
    dtype = dtype_of(x)
    # in three parts, so that 2**n is neither zero nor infinite while the result is finite
    first = ufuncs.floor_divide(exponent, 3)
    second = ufuncs.floor_divide(exponent - first, 2)
    out = x
    for part in (first, second, exponent - first - second):
        out = p.mul_p.bind(out, t.exp2_p.bind(to_dtype(part, dtype)))
    return out


@mirrors(np.frexp)
def frexp(x: Any, /) -> tuple[Any, Any]:
    """`numpy.frexp`: m and the integer n with x = m * 2**n and 0.5 <= |m| < 1.

    >>> import functrans.numpy as fnp
    >>> [float(v) for v in fnp.frexp(3.0)]
    [0.75, 2.0]
    """
    (x,) = promote_for(np.frexp, (x,))
    info, unsigned = np.finfo(dtype_of(x)), np.dtype(f"u{dtype_of(x).itemsize}")
    lift = info.nmant + 1
    is_small = ufuncs.less(ufuncs.absolute(x), info.tiny)  # subnormal: its exponent is not stored
    lifted = p.select_p.bind(is_small, x * dtype_of(x).type(2.0**lift), x)
    stored = p.shift_right_p.bind(
        p.bitcast_p.bind(lifted, dtype=unsigned), unsigned.type(info.nmant)
    )
    biased = p.convert(stored & unsigned.type(2**info.iexp - 1), np.int32)
    exponent = biased - np.int32(info.maxexp - 2) - p.select(is_small, np.int32(lift), np.int32(0))
    is_plain = ufuncs.logical_and(ufuncs.isfinite(x), ufuncs.not_equal(x, 0))
    exponent = p.select(is_plain, exponent, np.int32(0))
    return _ldexp(x, ufuncs.negative(exponent)), exponent


def _spacing(x: Any) -> Any:
    size = p.abs_p.bind(stop_gradient(x))
    gap = p.nextafter_p.bind(size, dtype_of(x).type(np.inf)) - size
    return p.select_p.bind(ufuncs.less(x, 0), p.neg_p.bind(gap), gap)


spacing = unary(np.spacing, _spacing, ">>> float(fnp.spacing(1.0)) == 2.0**-52\n    True")


@mirrors(np.i0)
def i0(x: Any) -> Any:
    """`numpy.i0`: the modified Bessel function of the first kind, of order 0.

    >>> import functrans.numpy as fnp
    >>> round(float(fnp.i0(1.0)), 6)
    1.266066
    """
    v = strong(x)
    if dtype_of(v).kind == "c":
        raise TypeError(f"i0 takes real numbers: got {aval_of(v)}.{user_line()}")
    v = v if dtype_of(v).kind == "f" else to_dtype(v, np.dtype(float))
    return bessel_i_p.bind(v, order=0, scaled=False)


@mirrors(np.ldexp)
def ldexp(x1: Any, x2: Any, /) -> Any:
    """`numpy.ldexp`: x1 * 2**x2.

    >>> import functrans.numpy as fnp
    >>> float(fnp.ldexp(1.0, 3))
    8.0
    """
    return _ldexp(*promote_for(np.ldexp, (x1, x2)))
