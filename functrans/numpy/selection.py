"""Functions that choose between elements, and elementwise functions composed of choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.source import user_line
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import NO_VALUE, mirrors, refuse
from functrans.numpy.manipulation import broadcast_arrays, strong
from functrans.numpy.promotion import as_array, promote, to_dtype
from functrans.primitives import arithmetic as p
from functrans.primitives.reductions import reduce_and_p


@mirrors(np.where)
def where(condition: Any, x: Any = NO_VALUE, y: Any = NO_VALUE, /) -> Any:
    """`numpy.where`: x where the condition holds, else y.

    With the condition alone, the indices where it holds: their number must be known, so that form
    does not work under `jit`.

    >>> import functrans.numpy as fnp
    >>> fnp.where([True, False], 1, 2).tolist()
    [1, 2]
    """
    if x is NO_VALUE or y is NO_VALUE:
        if x is not y:
            raise ValueError("either both or neither of x and y should be given")
        from functrans.numpy.index_functions import nonzero

        return nonzero(condition)
    chosen = ufuncs.truth(strong(condition))
    return p.select_p.bind(chosen, *promote(x, y))


@mirrors(np.select)
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """`numpy.select`: for each element the choice of the first condition that holds.

    >>> import functrans.numpy as fnp
    >>> x = fnp.arange(4)
    >>> fnp.select([x < 1, x > 2], [x - 10, x + 10], 0).tolist()
    [-10, 0, 0, 13]
    """
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if len(condlist) == 0:
        raise ValueError("select with an empty condition list is not possible")
    *choices, out = promote(*choicelist, default)
    for condition, choice in zip(reversed(list(condlist)), reversed(choices), strict=True):
        flags = strong(condition)
        if dtype_of(flags).kind != "b":
            raise TypeError(f"select needs boolean conditions: got {aval_of(flags)}.{user_line()}")
        out = p.select_p.bind(flags, choice, out)
    return out


@mirrors(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """`numpy.piecewise`: functions or constants, each where its condition holds.

    Every function is evaluated on all of x, so that the shape does not depend on the conditions.

    >>> import functrans.numpy as fnp
    >>> x = fnp.linspace(-1, 1, 3)
    >>> fnp.piecewise(x, [x < 0, x >= 0], [lambda v: -v, 2]).tolist()
    [1.0, 2.0, 2.0]
    """
    x = strong(x)
    conditions = list(condlist) if isinstance(condlist, list | tuple) else [condlist]
    functions = list(funclist)
    if len(functions) not in (len(conditions), len(conditions) + 1):
        raise ValueError(
            f"piecewise with {len(conditions)} conditions needs {len(conditions)} or "
            f"{len(conditions) + 1} functions, got {len(functions)}"
        )
    otherwise = functions.pop() if len(functions) > len(conditions) else 0

    def value(function: Any) -> Any:
        result = function(x, *args, **kw) if callable(function) else function
        return to_dtype(as_array(result), dtype_of(x))

    out = p.add_p.bind(p.zeros_like(x), value(otherwise))
    for condition, function in zip(conditions, functions, strict=True):
        out = p.select_p.bind(ufuncs.truth(strong(condition)), value(function), out)
    return out


@mirrors(np.clip)
def clip(
    a: Any,
    a_min: Any = NO_VALUE,
    a_max: Any = NO_VALUE,
    out: None = None,
    *,
    min: Any = NO_VALUE,
    max: Any = NO_VALUE,
) -> Any:
    """`numpy.clip`: the elements limited to an interval; None leaves a side open.

    >>> import functrans.numpy as fnp
    >>> fnp.clip([-1.0, 0.5, 2.0], 0, 1).tolist()
    [0.0, 0.5, 1.0]
    """
    refuse("clip", out=(out, None))
    low = min if a_min is NO_VALUE else a_min
    high = max if a_max is NO_VALUE else a_max
    low = None if low is NO_VALUE else low
    high = None if high is NO_VALUE else high
    bounds = [b for b in (low, high) if b is not None]
    x, *bounds = promote(a, *bounds)
    x = strong(x)
    if low is not None:
        x = p.max_p.bind(x, bounds[0])
    if high is not None:
        x = p.min_p.bind(x, bounds[-1])
    return x


@mirrors(np.nan_to_num)
def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Any:
    """`numpy.nan_to_num`: nan and infinities replaced by numbers.

    >>> import functrans.numpy as fnp, numpy as np
    >>> fnp.nan_to_num([np.nan, 1.0]).tolist()
    [0.0, 1.0]
    """
    x = strong(x)
    dtype = dtype_of(x)
    if dtype.kind == "c":
        parts = [
            nan_to_num(part, copy, nan, posinf, neginf)
            for part in (p.real_p.bind(x), p.imag_p.bind(x))
        ]
        return p.complex_p.bind(*parts)
    if dtype.kind != "f":
        return x
    limits = np.finfo(dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    finite = p.select_p.bind(p.isnan_p.bind(x), to_dtype(as_array(nan), dtype), x)
    finite = p.select_p.bind(ufuncs.isposinf(x), to_dtype(as_array(high), dtype), finite)
    return p.select_p.bind(ufuncs.isneginf(x), to_dtype(as_array(low), dtype), finite)


def _heaviside(x: Any, h: Any) -> Any:
    dtype = dtype_of(x)
    step = p.convert(p.gt_p.bind(x, dtype.type(0)), dtype)
    step = p.select_p.bind(p.eq_p.bind(x, dtype.type(0)), h, step)
    return p.select_p.bind(p.isnan_p.bind(x), x, step)


heaviside = ufuncs.binary(np.heaviside, _heaviside)


@mirrors(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """`numpy.isclose`: where |a - b| <= atol + rtol * |b|.

    >>> import functrans.numpy as fnp
    >>> bool(fnp.isclose(1.0, 1.0 + 1e-9))
    True
    """
    x, y = promote(a, b)
    if dtype_of(y).kind not in "fc":
        x, y = to_dtype(x, np.dtype(float)), to_dtype(y, np.dtype(float))
    near = ufuncs.less_equal(ufuncs.absolute(x - y), atol + rtol * ufuncs.absolute(y))
    result = ufuncs.logical_or(ufuncs.logical_and(near, ufuncs.isfinite(y)), ufuncs.equal(x, y))
    if equal_nan:
        both = ufuncs.logical_and(ufuncs.isnan(x), ufuncs.isnan(y))
        result = ufuncs.logical_or(result, both)
    return result


def _all(x: Any) -> Any:
    return reduce_and_p.bind(x, axes=tuple(range(len(shape_of(x)))))


@mirrors(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-05, atol: Any = 1e-08, equal_nan: bool = False) -> Any:
    """`numpy.allclose`: whether all elements are close.

    >>> import functrans.numpy as fnp
    >>> bool(fnp.allclose([1.0], [1.0 + 1e-9]))
    True
    """
    return _all(isclose(a, b, rtol, atol, equal_nan))


@mirrors(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """`numpy.array_equal`: whether shapes and all elements agree.

    >>> import functrans.numpy as fnp
    >>> bool(fnp.array_equal([1, 2], [1, 2]))
    True
    """
    x, y = strong(a1), strong(a2)
    if shape_of(x) != shape_of(y):
        return np.bool_(False)
    same = ufuncs.equal(x, y)
    if equal_nan:
        same = ufuncs.logical_or(same, ufuncs.logical_and(ufuncs.isnan(x), ufuncs.isnan(y)))
    return _all(same)


@mirrors(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Any:
    """`numpy.array_equiv`: whether the arrays broadcast together and all elements agree.

    >>> import functrans.numpy as fnp
    >>> bool(fnp.array_equiv([1, 1], 1))
    True
    """
    try:
        x, y = broadcast_arrays(strong(a1), strong(a2))
    except ShapeError:
        return np.bool_(False)
    return _all(ufuncs.equal(x, y))


@mirrors(np.isreal)
def isreal(x: Any) -> Any:
    """`numpy.isreal`: which elements have no imaginary part.

    >>> import functrans.numpy as fnp
    >>> fnp.isreal([1j, 1.0]).tolist()
    [False, True]
    """
    return ufuncs.equal(ufuncs.imag(x), 0)


@mirrors(np.iscomplex)
def iscomplex(x: Any) -> Any:
    """`numpy.iscomplex`: which elements have an imaginary part.

    >>> import functrans.numpy as fnp
    >>> fnp.iscomplex([1j, 1.0]).tolist()
    [True, False]
    """
    return ufuncs.not_equal(ufuncs.imag(x), 0)
