"""Reductions that leave out nan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.core.types import dtype_of
from functrans.numpy import reductions, ufuncs
from functrans.numpy.cumulative import cumprod, cumsum
from functrans.numpy.dispatch import NO_VALUE, mirrors, refuse
from functrans.numpy.manipulation import strong
from functrans.numpy.selection import where as choose

Axis = int | Sequence[int] | None


def _replaced(a: Any, value: Any) -> Any:
    """a with a number in the place of nan."""
    x = strong(a)
    if dtype_of(x).kind not in "fc":
        return x
    return choose(ufuncs.isnan(x), dtype_of(x).type(value), x)


def _present(a: Any, where: Any = True) -> Any:
    """Which elements take part."""
    present = ufuncs.logical_not(ufuncs.isnan(strong(a)))
    return present if where is True else ufuncs.logical_and(present, where)


@mirrors(np.nansum)
def nansum(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:
    """`numpy.nansum`.

    >>> import functrans.numpy as fnp
    >>> float(fnp.nansum([1.0, fnp.nan]))
    1.0
    """
    return reductions.sum(_replaced(a, 0), axis, dtype, out, keepdims, initial, where)


@mirrors(np.nanprod)
def nanprod(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    initial: Any = NO_VALUE,
    where: Any = True,
) -> Any:
    """`numpy.nanprod`.

    >>> import functrans.numpy as fnp
    >>> float(fnp.nanprod([2.0, fnp.nan]))
    2.0
    """
    return reductions.prod(_replaced(a, 1), axis, dtype, out, keepdims, initial, where)


def _nan_extremum(reduce: Any, value: float, a: Any, axis: Axis, out: None, keepdims: Any) -> Any:
    x = strong(a)
    if dtype_of(x).kind not in "fc":
        return reduce(x, axis, out, keepdims)
    result = reduce(_replaced(x, value), axis, out, keepdims)
    nothing = ufuncs.logical_not(reductions.any(_present(x), axis, keepdims=keepdims))
    return choose(nothing, dtype_of(x).type(np.nan), result)


@mirrors(np.nanmax)
def nanmax(a: Any, axis: Axis = None, out: None = None, keepdims: Any = False) -> Any:
    """`numpy.nanmax`; nan where every element is.

    >>> import functrans.numpy as fnp
    >>> float(fnp.nanmax([1.0, fnp.nan]))
    1.0
    """
    return _nan_extremum(reductions.max, -np.inf, a, axis, out, keepdims)


@mirrors(np.nanmin)
def nanmin(a: Any, axis: Axis = None, out: None = None, keepdims: Any = False) -> Any:
    """`numpy.nanmin`; nan where every element is.

    >>> import functrans.numpy as fnp
    >>> float(fnp.nanmin([1.0, fnp.nan]))
    1.0
    """
    return _nan_extremum(reductions.min, np.inf, a, axis, out, keepdims)


@mirrors(np.nanargmax)
def nanargmax(a: Any, axis: int | None = None, out: None = None, *, keepdims: Any = False) -> Any:
    """`numpy.nanargmax`; under a trace 0 where every element is nan.

    >>> import functrans.numpy as fnp
    >>> int(fnp.nanargmax([fnp.nan, 1.0]))
    1
    """
    return reductions.argmax(_replaced(a, -np.inf), axis, out, keepdims=keepdims)


@mirrors(np.nanargmin)
def nanargmin(a: Any, axis: int | None = None, out: None = None, *, keepdims: Any = False) -> Any:
    """`numpy.nanargmin`; under a trace 0 where every element is nan.

    >>> import functrans.numpy as fnp
    >>> int(fnp.nanargmin([fnp.nan, 1.0]))
    1
    """
    return reductions.argmin(_replaced(a, np.inf), axis, out, keepdims=keepdims)


@mirrors(np.nanmean)
def nanmean(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = False,
    *,
    where: Any = True,
) -> Any:
    """`numpy.nanmean`.

    >>> import functrans.numpy as fnp
    >>> float(fnp.nanmean([1.0, fnp.nan]))
    1.0
    """
    return reductions.mean(a, axis, dtype, out, keepdims, where=_present(a, where))


@mirrors(np.nanvar)
def nanvar(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """`numpy.nanvar`.

    >>> import functrans.numpy as fnp
    >>> float(fnp.nanvar([1.0, 3.0, fnp.nan]))
    1.0
    """
    refuse("nanvar", out=(out, None))
    present = _present(a, where)
    ddof = ddof if correction is NO_VALUE else correction
    x = _replaced(a, 0)
    result = reductions.var(x, axis, dtype, out, ddof, keepdims, where=present, mean=mean)
    left = reductions.sum(present, axis, keepdims=keepdims)
    return choose(ufuncs.less_equal(left, ddof), dtype_of(result).type(np.nan), result)


@mirrors(np.nanstd)
def nanstd(
    a: Any,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = NO_VALUE,
    correction: Any = NO_VALUE,
) -> Any:
    """`numpy.nanstd`.

    >>> import functrans.numpy as fnp
    >>> float(fnp.nanstd([1.0, 3.0, fnp.nan]))
    1.0
    """
    return reductions.root_of_variance(
        nanvar(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction)
    )


@mirrors(np.nancumsum)
def nancumsum(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """`numpy.nancumsum`.

    >>> import functrans.numpy as fnp
    >>> fnp.nancumsum([1.0, fnp.nan, 2.0]).tolist()
    [1.0, 1.0, 3.0]
    """
    return cumsum(_replaced(a, 0), axis, dtype, out)


@mirrors(np.nancumprod)
def nancumprod(a: Any, axis: int | None = None, dtype: Any = None, out: None = None) -> Any:
    """`numpy.nancumprod`.

    >>> import functrans.numpy as fnp
    >>> fnp.nancumprod([2.0, fnp.nan, 2.0]).tolist()
    [2.0, 2.0, 4.0]
    """
    return cumprod(_replaced(a, 1), axis, dtype, out)
