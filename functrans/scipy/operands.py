"""What the special functions and distributions make of their arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.errors import DTypeError
from functrans.core.types import aval_of, promotion_key, result_dtype
from functrans.numpy.promotion import as_array, to_dtype


def floats(name: str, *args: Any) -> list[Any]:
    """The operands in their common real dtype, of which integers and booleans make float64.

    Raises:
        DTypeError: one is complex.
    """
    xs = [as_array(x) for x in args]
    dtype = result_dtype(*[promotion_key(aval_of(x)) for x in xs])
    if dtype.kind == "c":
        shown = " and ".join(str(aval_of(x)) for x in xs)
        raise DTypeError(f"{name} takes real numbers: got {shown}.")
    return [to_dtype(x, dtype if dtype.kind == "f" else np.dtype(float)) for x in xs]
