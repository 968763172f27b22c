"""An array of the user's as a value of the program that is being traced."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.trace import Tracer, staging_trace
from functrans.primitives.shaping import copy_p


def constant(x: np.ndarray) -> Any:
    """An array as a tracer, while a trace without values is open (jit, vmap, a loop body).

    A plain `numpy.ndarray` cannot be indexed by a tracer without value; as a tracer itself it can.
    The value of a constant is known all the same: `int()`, `if`, shapes and masks work on it.
    Without such a trace x is returned: there every index has a value.
    """
    trace = staging_trace()
    if trace is None or type(x) is Tracer:
        return x
    tracer = trace.record(copy_p, (x,), {})
    tracer.value = x
    return tracer
