"""Arithmetic inside functions that have limits at infinity.

The values are those of products, powers and differences. Their slopes differ where these are
infinite and meet a slope of 0 further out, or where the value itself would be inf - inf: the chain
rule would say nan there, and the function as a whole has a limit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.types import dtype_of
from functrans.primitives.arithmetic import isinf_p, select
from functrans.primitives.elementwise import elementwise
from functrans.transforms.taylor import bilinear


def _power(x: Any, exponent: int) -> Any:
    """By multiplication: NumPy's own cube takes the time of a logarithm."""
    return x if exponent == 1 else x * x if exponent == 2 else x * x * x


inner_power_p: Primitive = elementwise(
    "inner_power",  # x ** 2 or x ** 3 in a function that is constant far out
    lambda x, *, exponent: _power(x, exponent),
    kinds="fc",
    jvp=lambda t, x, y, *, exponent: (
        t * (_power(select(isinf_p.bind(y), 0, x), exponent - 1) * exponent)
    ),
    emit="integer_pow",
)


gated_p: Primitive = elementwise(
    "gated",  # x times a gate that is constant at both infinities
    np.multiply,
    kinds="f",
    jvp=[
        lambda t, x, gate, y: t * gate,
        lambda t, x, gate, y: t * select(isinf_p.bind(x), 0, x),
    ],
    taylor=bilinear,
    emit="mul",
)


def _excess(x: Any, peak: Any) -> Any:
    if np.isfinite(peak).all():
        return np.subtract(x, peak)
    return np.asarray(np.where(x == peak, dtype_of(x).type(0), x - peak))[()]


excess_p: Primitive = elementwise(
    "excess",  # x - peak, and 0 where both are the same infinity
    _excess,
    kinds="fc",
    jvp=[lambda t, x, peak, y: t, lambda t, x, peak, y: -t],
    emit=lambda b, x, peak: b.select(b.eq(x, peak), b.const(0, x.dtype), b.sub(x, peak)),
    cost=2,
)
