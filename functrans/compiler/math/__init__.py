"""The elementary functions as LLVM IR: f(b, x) appends the operations and returns the value."""

from functrans.compiler.math.complex import angle, sqrt
from functrans.compiler.math.exponential import cosh, exp, exp2, expm1, sigmoid, sinh, tanh
from functrans.compiler.math.logarithm import (
    arccosh,
    arcsinh,
    arctanh,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logaddexp2,
    softplus,
)
from functrans.compiler.math.power import cbrt, hypot, integer_pow, pow, rsqrt
from functrans.compiler.math.special import digamma, erf, erfc, erfinv, lgamma
from functrans.compiler.math.trigonometric import (
    arccos,
    arcsin,
    arctan,
    arctan2,
    cos,
    sin,
    tan,
)

logistic = sigmoid
