"""An array of the user's as a value of the program that is being traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.trace import Tracer, staging_trace, top_trace
from functrans.primitives.shaping import copy_p


def constant(x: np.ndarray) -> Any:
    """An array as a tracer of the innermost (staging) trace; x itself while none is open.

    A plain `numpy.ndarray` cannot be indexed by a tracer, since NumPy wants its value. As a tracer
    it can; and since the value of a constant is known, `int()`, `if` and masks still work on it.
    """
    trace = staging_trace() or top_trace()
    if trace is None or type(x) is Tracer:
        return x
    tracer = trace.record(copy_p, (x,), {})
    tracer.value = x
    return tracer
