"""The operators, methods and attributes that make a Tracer look like a NumPy array.

core/trace.py defines the Tracer; this file gives it the NumPy namespace, which lies above it.
"""

from __future__ import annotations

from functrans.core.trace import Tracer
from functrans.numpy import operators, ufuncs
from functrans.primitives import arithmetic as p

for _name, (_forward, _reflected) in operators.OPERATORS.items():
    setattr(Tracer, f"__{_name}__", _forward)
    setattr(Tracer, f"__r{_name}__", _reflected)
for _name, _compare in operators.COMPARISONS.items():
    setattr(Tracer, f"__{_name}__", _compare)
Tracer.__neg__ = lambda self: p.neg_p.bind(self)  # type: ignore[attr-defined]
Tracer.__pos__ = lambda self: self  # type: ignore[attr-defined]
Tracer.__abs__ = lambda self: ufuncs.absolute(self)  # type: ignore[attr-defined]
Tracer.__invert__ = lambda self: ufuncs.invert(self)  # type: ignore[attr-defined]
Tracer.__hash__ = None  # type: ignore[assignment]  # setting __eq__ later does not do it
