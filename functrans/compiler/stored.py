"""The identity whose result is an array in memory, not computed again wherever it is read.

It is the compiler's own. An `optimization_barrier` is the user's, or a checkpoint's: it keeps apart
what is before and after it until Programs are in their last form, and is then left out.
"""

from __future__ import annotations

from typing import Any

from functrans.core.primitive import Primitive

stored_p = Primitive("stored", infer=lambda x: x, evaluate=lambda x: x)


def stored(x: Any) -> Any:
    """x, of which whoever reads it reads the same numbers."""
    return stored_p.bind(x)
