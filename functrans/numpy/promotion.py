"""From what users pass (arrays, scalars, lists) to operands that primitives take.

NumPy itself is asked which dtype an operation computes in (`ufunc.resolve_dtypes`), so promotion is
NumPy 2's by construction.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from functrans.core.errors import DTypeError
from functrans.core.source import user_line
from functrans.core.trace import Tracer, as_value
from functrans.core.types import PYTHON_SCALARS, aval_of, promotion_key, result_dtype
from functrans.primitives.arithmetic import convert


def as_array(x: Any) -> Any:
    """An operand from an array, scalar or nested sequence (which may contain tracers)."""
    kind = type(x)
    if kind is Tracer or kind is np.ndarray or kind in PYTHON_SCALARS:
        return as_value(x) if kind is np.ndarray else x
    if isinstance(x, list | tuple):
        from functrans.numpy.creation import asarray

        return asarray(x)
    if hasattr(x, "__array__") and not isinstance(x, np.ndarray | np.generic):
        return as_value(np.asarray(x))
    return as_value(x)


def ready(x: Tracer, other: Any) -> Any:
    """The other operand, if with it both are floats of one strong dtype; else None.

    The short way for the most frequent operands: two tracers, or a tracer and a number or array.
    """
    aval = x.aval
    dtype = aval.dtype
    if aval.weak_type or dtype.kind not in "fc":
        return None
    kind = type(other)
    if kind is Tracer:
        b = other.aval
        return other if (b.dtype is dtype or b.dtype == dtype) and not b.weak_type else None
    if kind is float or kind is int:
        return dtype.type(other)
    if kind is np.ndarray and other.dtype == dtype and other.dtype.isnative:
        return other
    return other if kind is dtype.type else None


def to_dtype(x: Any, dtype: np.dtype) -> Any:
    """x as a strong value of the dtype."""
    if type(x) is Tracer:
        return x if x.aval.dtype == dtype and not x.aval.weak_type else convert(x, dtype)
    if type(x) in PYTHON_SCALARS:
        try:
            return dtype.type(x)
        except OverflowError:
            raise OverflowError(
                f"Python integer {x} out of bounds for {dtype}{user_line()}"
            ) from None
    return x if x.dtype == dtype else x.astype(dtype)


def promote(*args: Any) -> list[Any]:
    """Operands converted to the dtype that NumPy gives to their combination."""
    xs = [as_array(x) for x in args]
    dtype = result_dtype(*[promotion_key(aval_of(x)) for x in xs])
    return [to_dtype(x, dtype) for x in xs]


@lru_cache(maxsize=4096)
def loop_dtypes(
    ufunc: np.ufunc, keys: tuple, dtype: np.dtype | None = None
) -> tuple[np.dtype, ...]:
    """The operand dtypes of the loop that a ufunc runs for operands of these types.

    Args:
        dtype: of the result, if the caller asks for one.
    """
    if all(isinstance(k, type) for k in keys):
        keys = tuple([np.dtype(k) for k in keys])  # of Python ints alone NumPy compares objects
    arguments = (*keys, *(None,) * ufunc.nout)
    if dtype is None:
        return ufunc.resolve_dtypes(arguments)[: ufunc.nin]
    signature = (*(None,) * ufunc.nin, *(dtype,) * ufunc.nout)
    return ufunc.resolve_dtypes(arguments, signature=signature)[: ufunc.nin]


def promote_for(ufunc: np.ufunc, args: Any, dtype: np.dtype | None = None) -> list[Any]:
    """Operands converted to the dtypes in which NumPy's ufunc would compute.

    Raises:
        DTypeError: the ufunc has no loop for them.
    """
    xs = [as_array(x) for x in args]
    keys = tuple([promotion_key(aval_of(x)) for x in xs])
    try:
        dtypes = loop_dtypes(ufunc, keys, dtype)
    except TypeError:
        shown = " and ".join(str(aval_of(x)) for x in xs)
        raise DTypeError(f"{ufunc.__name__} does not take {shown}.") from None
    return [to_dtype(x, d) for x, d in zip(xs, dtypes, strict=True)]
