"""Who answers a call: NumPy itself when nothing is traced, the traced definition otherwise.

So an eager call gives NumPy's own result, type and cost, and a definition in this package need
only be right for tracers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from functrans.core.errors import DTypeError, FunctransError, ShapeError
from functrans.core.source import user_line
from functrans.core.trace import Trace, Tracer, staging_trace
from functrans.core.types import Aval, check_dtype, is_array_like

F = TypeVar("F", bound=Callable[..., Any])


class _NoValue:
    """The default of an argument whose absence differs from None."""

    def __repr__(self) -> str:
        return "<no value>"


NO_VALUE: Any = _NoValue()


def has_tracer(values: Any) -> bool:
    """Whether a tracer is among the values, or in a list or tuple among them.

    Raises:
        DTypeError: one of them is an array of objects or strings.
    """
    for x in values:
        kind = type(x)
        if kind is Tracer:
            return True
        if kind is np.ndarray:
            if x.dtype.kind not in "biufc":
                check_dtype(x.dtype)
        elif (kind is list or kind is tuple) and has_tracer(x):
            return True
    return False


def mirrors(numpy_function: Callable[..., Any]) -> Callable[[F], F]:
    """Decorate the traced definition of a NumPy function: without tracers NumPy is called.

    When NumPy refuses the arguments, the traced definition is asked for the reason, so that the
    error is the same sentence eagerly and under a trace. Where NumPy raises LinAlgError, traced
    definitions give nan or such a sentence, so they answer.
    """

    def decorate(traced: F) -> F:
        @wraps(traced)
        def function(*args: Any, **kwargs: Any) -> Any:
            if has_tracer(args) or (kwargs and has_tracer(kwargs.values())):
                return traced(*args, **kwargs)
            try:
                return numpy_function(*args, **kwargs)
            except FunctransError:
                raise
            except np.linalg.LinAlgError:
                return traced(*args, **kwargs)
            except (ValueError, TypeError, IndexError):
                explain(traced, args, kwargs)
                raise

        return function  # type: ignore[return-value]

    return decorate


def explain(traced: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> None:
    """Raise the ShapeError or DTypeError that the traced definition gives, if it gives one."""
    with Trace(staging=True, name=getattr(traced, "__name__", "")) as trace:

        def abstract(x: Any) -> Any:
            if isinstance(x, np.ndarray) and x.dtype.kind in "biufc":
                return trace.new_input(Aval(x.shape, x.dtype))
            return x

        try:
            traced(*[abstract(x) for x in args], **{k: abstract(x) for k, x in kwargs.items()})
        except (ShapeError, DTypeError) as error:
            reason = error
        except Exception:
            return
        else:
            return
    raise reason from None


def refuse(name: str, **arguments: Any) -> None:
    """TypeError if an argument that only makes sense eagerly was given to a traced call.

    Args:
        name: of the function.
        arguments: name=(value, default) pairs.
    """
    for argument, (value, default) in arguments.items():
        if value is not default:
            reason = {
                "out": "traced arrays are never written to; use the result",
                "subok": "traced arrays have no subclasses",
                "order": "traced arrays have no memory order",
            }.get(argument, "it is not supported for traced arrays")
            raise TypeError(f"{name} was given {argument}={value!r}: {reason}.{user_line()}")


def array_like(x: Any) -> bool:
    """Whether x is an array, number or tracer, or something that NumPy can make an array of."""
    return is_array_like(x) or hasattr(x, "__array__")


def creates(numpy_function: Callable[..., Any]) -> Callable[[F], F]:
    """As `mirrors`, for functions that make arrays of numbers and shapes.

    Under a staging trace the traced definition is used also without tracers: the array is then made
    by the program, not stored in it, and can be indexed with tracers.
    """

    def decorate(traced: F) -> F:
        eager = mirrors(numpy_function)(traced)

        @wraps(traced)
        def function(*args: Any, **kwargs: Any) -> Any:
            if staging_trace() is not None:
                return traced(*args, **kwargs)
            return eager(*args, **kwargs)

        return function  # type: ignore[return-value]

    return decorate
