"""Arithmetic inside functions that have limits at infinity.

The values are those of products, powers and differences. Their slopes differ where these are
infinite and meet a slope of 0 further out, or where the value itself would be inf - inf: the chain
rule would say nan there, and the function as a whole has a limit.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from functrans.core.primitive import Primitive
from functrans.core.types import dtype_of
from functrans.primitives.arithmetic import isinf_p, select
from functrans.primitives.elementwise import elementwise
from functrans.transforms.taylor import bilinear


def _jvp_inner_power(t: Any, x: Any, y: Any, *, exponent: int) -> Any:
    inside = select(isinf_p.bind(y), 0, x)
    return t * (reduce(lambda a, b: a * b, [inside] * (exponent - 1)) * exponent)


inner_power_p: Primitive = elementwise(
    "inner_power",  # x ** exponent, small and above 1, in a function that is constant far out
    lambda x, exponent: reduce(np.multiply, [x] * exponent),
    kinds="fc",
    jvp=_jvp_inner_power,
    emit="integer_pow",
    cost=1,
)


def _gated(x: Any, gate: Any) -> Any:
    return np.maximum(x, np.finfo(dtype_of(x)).min) * gate


def _emit_gated(b: Any, x: Any, gate: Any) -> Any:
    return b.mul(b.maximum(x, b.const(np.finfo(x.dtype).min, x.dtype)), gate)


gated_p: Primitive = elementwise(
    "gated",  # x times a gate that closes, to 0, at -inf and is constant at inf
    _gated,
    kinds="f",
    jvp=[
        lambda t, x, gate, y: t * gate,
        lambda t, x, gate, y: t * select(isinf_p.bind(x), 0, x),
    ],
    taylor=bilinear,
    emit=_emit_gated,
    cost=2,
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
