"""NumPy's protocols on tracers: `np.sin(x)` and `np.sum(x)` become the fnp functions of that name.

So functions written with plain NumPy trace as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from functrans.core.source import user_line
from functrans.core.trace import Tracer


@lru_cache(maxsize=1)
def namespace() -> ModuleType:
    """functrans.numpy, which imports this module."""
    import functrans.numpy as fnp

    return fnp


@lru_cache(maxsize=1024)
def _counterpart(module: str, name: str) -> Callable[..., Any] | None:
    """functrans's function for the NumPy function of this module and name, if there is one."""
    found: Any = namespace()
    for part in module.split(".")[1:]:
        # numpy.linalg, numpy.fft; private modules hold functions of the main namespace
        found = getattr(found, part, found) if not part.startswith("_") else found
    function = getattr(found, name, None)
    return function if callable(function) else None


def _missing(name: str) -> TypeError:
    return TypeError(
        f"numpy.{name} has no form for traced arrays in functrans.numpy.{user_line()}\n"
        "  Write it with functions that have one, or use functrans.pure_callback for code that "
        "must run in NumPy."
    )


REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}
ACCUMULATIONS = {"add": "cumsum", "multiply": "cumprod"}


def array_ufunc(self: Tracer, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """`ufunc(*inputs)`, `ufunc.reduce(x)`, … where an input (or out) is a tracer."""
    if kwargs:
        _check_out(ufunc, kwargs)
    if method == "__call__":
        function = _ufunc(ufunc)
        return function(*inputs, **kwargs) if kwargs else function(*inputs)
    name = ufunc.__name__
    fnp = namespace()
    if method == "reduce" and name in REDUCTIONS:
        x, *rest = inputs
        axis = rest[0] if rest else kwargs.pop("axis", 0)
        return getattr(fnp, REDUCTIONS[name])(x, axis, **kwargs)
    if method == "accumulate" and name in ACCUMULATIONS:
        x, *rest = inputs
        axis = rest[0] if rest else kwargs.pop("axis", 0)
        return getattr(fnp, ACCUMULATIONS[name])(x, axis, **kwargs)
    if method == "accumulate" and name in ("maximum", "minimum"):
        from functrans.numpy.cumulative import running_extremum

        return running_extremum(ufunc, *inputs, **kwargs)
    if method == "outer" and len(inputs) == 2:
        a, b = (fnp.asarray(v) for v in inputs)
        return _ufunc(ufunc)(fnp.reshape(a, (*a.shape, *(1,) * b.ndim)), b, **kwargs)
    if method == "at":
        raise TypeError(
            f"numpy.{name}.at changes an array in place, and traced arrays are immutable."
            f"{user_line()}\n  Write x = x.at[index].add(value) or the like."
        )
    raise _missing(f"{name}.{method}")


@lru_cache(maxsize=512)
def _ufunc(ufunc: np.ufunc) -> Callable[..., Any]:
    function = _counterpart("numpy", ufunc.__name__)
    if function is None:
        function = _special(ufunc)
    if function is None:
        raise _missing(ufunc.__name__)
    return function


def _special(ufunc: np.ufunc) -> Callable[..., Any] | None:
    """The function for one of SciPy's ufuncs."""
    try:
        from functrans.scipy import special  # type: ignore[attr-defined]
    except ImportError:
        return None
    function: Callable[..., Any] | None = getattr(special, ufunc.__name__, None)
    return function


def _check_out(ufunc: np.ufunc, kwargs: dict[str, Any]) -> None:
    out = kwargs.pop("out", None)
    if out is None or (type(out) is tuple and all(x is None for x in out)):
        return
    raise TypeError(
        f"numpy.{ufunc.__name__} was to write a traced result into an array (out=, or an operator "
        f"like += on a NumPy array).{user_line()}\n"
        "  Write x = x + y instead of x += y, and use results instead of out=; "
        "fnp.asarray(x) makes an array that += replaces."
    )


def array_function(self: Tracer, func: Any, types: Any, args: tuple, kwargs: dict) -> Any:
    """`np.sum(x)` and the like, where an argument is a tracer."""
    module = getattr(func, "__module__", None) or "numpy"
    function = _counterpart(module, func.__name__)
    if function is None or function is func:
        raise _missing(f"{module.removeprefix('numpy').strip('.')}.{func.__name__}".strip("."))
    return function(*args, **kwargs)


def array_namespace(self: Tracer, *, api_version: str | None = None) -> ModuleType:
    """The namespace of the Array API standard: functrans.numpy."""
    return namespace()
