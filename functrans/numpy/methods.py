"""The operators, methods and attributes that make a Tracer look like a NumPy array.

core/trace.py defines the Tracer; this file gives it the NumPy namespace, which lies above it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.trace import Tracer
from functrans.numpy import ufuncs
from functrans.primitives import arithmetic as p

OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": ufuncs.operator(np.add, p.add_p),
    "sub": ufuncs.operator(np.subtract, p.sub_p),
    "mul": ufuncs.operator(np.multiply, p.mul_p),
    "truediv": ufuncs.operator(np.true_divide, p.div_p),
    "floordiv": ufuncs.operator(np.floor_divide, p.floor_divide_p),
    "mod": ufuncs.operator(np.remainder, p.remainder_p),
    "pow": ufuncs.power,
    "and": ufuncs.bitwise_and,
    "or": ufuncs.bitwise_or,
    "xor": ufuncs.bitwise_xor,
    "lshift": ufuncs.left_shift,
    "rshift": ufuncs.right_shift,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": ufuncs.equal,
    "ne": ufuncs.not_equal,
    "lt": ufuncs.less,
    "le": ufuncs.less_equal,
    "gt": ufuncs.greater,
    "ge": ufuncs.greater_equal,
}


def _install(name: str, function: Callable[[Any, Any], Any], reflected: bool) -> None:
    setattr(Tracer, f"__{name}__", lambda self, other: function(self, other))
    if reflected:
        setattr(Tracer, f"__r{name}__", lambda self, other: function(other, self))


for _name, _function in OPERATORS.items():
    _install(_name, _function, reflected=True)
for _name, _function in COMPARISONS.items():
    _install(_name, _function, reflected=False)
Tracer.__neg__ = lambda self: p.neg_p.bind(self)  # type: ignore[attr-defined]
Tracer.__pos__ = lambda self: self  # type: ignore[attr-defined]
Tracer.__abs__ = lambda self: p.abs_p.bind(self)  # type: ignore[attr-defined]
Tracer.__invert__ = lambda self: ufuncs.invert(self)  # type: ignore[attr-defined]
Tracer.__hash__ = None  # type: ignore[assignment]  # setting __eq__ later does not do it
