"""Functions that make arrays: from values, of one value, ranges, grids, and special matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import numpy as np

from functrans.core.errors import ShapeError
from functrans.core.trace import Tracer, as_value, staging_trace
from functrans.core.types import canonical_axis, check_dtype, dtype_of, shape_of
from functrans.numpy import ufuncs
from functrans.numpy.dispatch import creates, has_tracer
from functrans.numpy.manipulation import broadcast_to, extents_of, moveaxis, ravel, reshape, strong
from functrans.numpy.promotion import as_array, to_dtype
from functrans.primitives import shaping
from functrans.primitives.arithmetic import convert
from functrans.primitives.constants import constant
from functrans.primitives.shaping import concatenate_p, iota, slice_axis

# --- from values --------------------------------------------------------------------------------


def asarray(
    a: Any,
    dtype: Any = None,
    order: Any = None,
    *,
    device: Any = None,
    copy: bool | None = None,
    like: Any = None,
) -> Any:
    """`numpy.asarray`; nested lists may contain tracers.

    Under `jit` and `vmap` the result is always traced, so `fnp.asarray(constant)[traced_index]`
    works.

    >>> import functrans.numpy as fnp
    >>> fnp.asarray([1, 2.5]).tolist()
    [1.0, 2.5]
    """
    if has_tracer((a,)):
        return _traced_array(a, dtype)
    out = np.asarray(a, dtype, order, copy=copy)
    return _staged(out)


def array(
    object: Any,
    dtype: Any = None,
    *,
    copy: bool | None = True,
    order: Any = "K",
    subok: bool = False,
    ndmin: int = 0,
    like: Any = None,
) -> Any:
    """`numpy.array`; nested lists may contain tracers.

    >>> import functrans.numpy as fnp
    >>> fnp.array([1, 2], dtype=fnp.float32).dtype
    dtype('float32')
    """
    if has_tracer((object,)):
        x = _traced_array(object, dtype)
        shape = shape_of(x)
        return reshape(x, (*(1,) * (ndmin - len(shape)), *shape)) if len(shape) < ndmin else x
    return _staged(np.array(object, dtype, copy=copy, order=order, subok=subok, ndmin=ndmin))


def asanyarray(a: Any, dtype: Any = None, order: Any = None) -> Any:
    """`numpy.asanyarray`: as `asarray`.

    >>> import functrans.numpy as fnp
    >>> fnp.asanyarray(1.5).shape
    ()
    """
    return asarray(a, dtype, order)


ascontiguousarray = asanyarray


def _staged(x: np.ndarray) -> Any:
    """A constant as a value of the program that is being traced for jit or vmap, if one is."""
    if x.dtype.kind not in "biufc":
        check_dtype(x.dtype)
    return x if staging_trace() is None else constant(as_value(x))


def _traced_array(x: Any, dtype: Any) -> Any:
    """An array from a tracer or from nested sequences of them."""
    if not isinstance(x, list | tuple):
        array = strong(x)
    else:
        rows = [
            _traced_array(v, None)
            if has_tracer((v,))
            else strong(v if isinstance(v, np.ndarray | np.generic) else np.asarray(v))
            for v in x
        ]
        shapes = {shape_of(r) for r in rows}
        if len(shapes) != 1:
            raise ShapeError(f"cannot make an array of rows with the shapes {sorted(shapes)}.")
        common = np.result_type(*[dtype_of(r) for r in rows])
        wide = [reshape(to_dtype(r, common), (1, *shape_of(r))) for r in rows]
        array = wide[0] if len(wide) == 1 else concatenate_p.bind(*wide, axis=0)
    return array if dtype is None else convert(array, dtype)


# --- of one value ---------------------------------------------------------------------------------


@creates(np.full)
def full(
    shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", *, device: Any = None
) -> Any:
    """`numpy.full`: an array filled with a value, which may be traced.

    >>> import functrans.numpy as fnp
    >>> fnp.full(2, 7).tolist()
    [7, 7]
    """
    value = strong(fill_value)
    if dtype is not None:
        value = to_dtype(value, np.dtype(dtype))
    return _repeated(value, extents_of(shape))


@creates(np.zeros)
def zeros(
    shape: Any, dtype: Any = float, order: Any = "C", *, device: Any = None, like: Any = None
) -> Any:
    """`numpy.zeros`.

    >>> import functrans.numpy as fnp
    >>> fnp.zeros((1, 2)).tolist()
    [[0.0, 0.0]]
    """
    return _filled(shape, 0, dtype)


@creates(np.ones)
def ones(
    shape: Any, dtype: Any = float, order: Any = "C", *, device: Any = None, like: Any = None
) -> Any:
    """`numpy.ones`.

    >>> import functrans.numpy as fnp
    >>> fnp.ones(2).tolist()
    [1.0, 1.0]
    """
    return _filled(shape, 1, dtype)


@creates(np.zeros)
def empty(
    shape: Any, dtype: Any = float, order: Any = "C", *, device: Any = None, like: Any = None
) -> Any:
    """`numpy.empty`; the elements are zero, since nothing could be written to them.

    >>> import functrans.numpy as fnp
    >>> fnp.empty(2).shape
    (2,)
    """
    return _filled(shape, 0, dtype)


def _filled(shape: Any, value: int, dtype: Any) -> Any:
    dtype = check_dtype(np.dtype(float if dtype is None else dtype))
    return shaping.full(extents_of(shape), value, dtype)


def _filled_like(a: Any, value: int, dtype: Any, shape: Any) -> Any:
    x = as_array(a)
    wanted = dtype_of(x) if dtype is None else dtype
    return _filled(shape_of(x) if shape is None else shape, value, wanted)


@creates(np.zeros_like)
def zeros_like(
    a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None
) -> Any:
    """`numpy.zeros_like`.

    >>> import functrans.numpy as fnp
    >>> fnp.zeros_like([1.5, 2.5]).tolist()
    [0.0, 0.0]
    """
    return _filled_like(a, 0, dtype, shape)


@creates(np.ones_like)
def ones_like(
    a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None
) -> Any:
    """`numpy.ones_like`.

    >>> import functrans.numpy as fnp
    >>> fnp.ones_like([1.5, 2.5]).tolist()
    [1.0, 1.0]
    """
    return _filled_like(a, 1, dtype, shape)


@creates(np.zeros_like)
def empty_like(
    a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None
) -> Any:
    """`numpy.empty_like`; the elements are zero.

    >>> import functrans.numpy as fnp
    >>> fnp.empty_like([1.5, 2.5]).shape
    (2,)
    """
    return _filled_like(a, 0, dtype, shape)


@creates(np.full_like)
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: Any = "K",
    subok: bool = True,
    shape: Any = None,
) -> Any:
    """`numpy.full_like`.

    >>> import functrans.numpy as fnp
    >>> fnp.full_like([1.5, 2.5], 3).tolist()
    [3.0, 3.0]
    """
    x = as_array(a)
    value = to_dtype(as_array(fill_value), dtype_of(x) if dtype is None else np.dtype(dtype))
    return _repeated(value, shape_of(x) if shape is None else extents_of(shape))


def _repeated(value: Any, shape: tuple[int, ...]) -> Any:
    """A value broadcast to a shape by the primitive, so that the program makes the array."""
    return value if shape_of(value) == shape else shaping.broadcast_p.bind(value, shape=shape)


# --- ranges ---------------------------------------------------------------------------------------


@creates(np.arange)
def arange(
    start: Any,
    stop: Any = None,
    step: Any = None,
    dtype: Any = None,
    *,
    device: Any = None,
    like: Any = None,
) -> Any:
    """`numpy.arange`; the bounds decide the shape, so they must be known when tracing.

    >>> import functrans.numpy as fnp
    >>> fnp.arange(1, 7, 2).tolist()
    [1, 3, 5]
    """
    low, high, by = [_known(v, "arange") for v in (start, stop, step)]
    if high is None:
        low, high = 0, low
    by = 1 if by is None else by
    kinds = [np.asarray(v).dtype for v in (low, high, by)]
    wanted = np.result_type(*kinds) if dtype is None else np.dtype(dtype)
    if by == 0:
        raise ZeroDivisionError("arange needs a step that is not zero")
    count = max(0, math.ceil((high - low) / by))
    if wanted.kind not in "iuf":
        eager: Any = np.arange
        return _staged(eager(low, high, by, dtype=wanted))
    first = wanted.type(low)
    second = wanted.type(low + by)
    if wanted.kind in "iu":
        first, second = int(first), int(second)
    delta = wanted.type(second - first)
    counted = iota((count,), 0, wanted)
    scaled = counted if delta == 1 else counted * delta
    return scaled if first == 0 else scaled + wanted.type(first)


def _known(x: Any, name: str) -> Any:
    if type(x) is Tracer:
        advice = "It decides the shape of the result: make it a static argument."
        x = np.asarray(x.concrete(name, advice))[()]
    return x.item() if isinstance(x, np.ndarray) else x


@creates(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """`numpy.linspace`: evenly spaced numbers; start and stop may be traced arrays.

    >>> import functrans.numpy as fnp
    >>> fnp.linspace(0, 1, 3).tolist()
    [0.0, 0.5, 1.0]
    """
    count = index(num)
    if count < 0:
        raise ValueError(f"Number of samples, {count}, must be non-negative.")
    low, high = strong(start), strong(stop)
    common = np.result_type(*[dtype_of(x) for x in (low, high)], np.float64)
    if all(dtype_of(x).kind in "fc" and dtype_of(x).itemsize <= 8 for x in (low, high)):
        common = np.result_type(dtype_of(low), dtype_of(high), 0.0)
    low, high = to_dtype(low, common), to_dtype(high, common)
    wanted = common if dtype is None else np.dtype(dtype)
    parts = count - 1 if endpoint else count
    delta = high - low
    shape = shape_of(delta)
    counted = reshape(iota((count,), 0, common), (count, *(1,) * len(shape)))
    step = delta / parts if parts > 0 else delta * np.nan
    out = counted * step + low if parts > 0 else counted * delta + low
    if endpoint and count > 1:
        last = reshape(broadcast_to(high, shape), (1, *shape))
        out = concatenate_p.bind(slice_axis(out, 0, 0, count - 1), last, axis=0)
    out = moveaxis(out, 0, canonical_axis(axis, len(shape) + 1))
    if wanted.kind in "iu":
        out = ufuncs.floor(out)
    out = convert(out, wanted)
    return (out, step) if retstep else out


@creates(np.logspace)
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`numpy.logspace`: powers of the base with evenly spaced exponents.

    >>> import functrans.numpy as fnp
    >>> fnp.logspace(0, 2, 3).tolist()
    [1.0, 10.0, 100.0]
    """
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    base = strong(base)
    if len(shape_of(base)):
        base = reshape(base, (*shape_of(base)[:axis], 1, *shape_of(base)[axis:]))
    out = ufuncs.power(base, exponents)
    return out if dtype is None else convert(out, dtype)


@creates(np.geomspace)
def geomspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`numpy.geomspace`: numbers whose ratios are equal.

    >>> import functrans.numpy as fnp
    >>> fnp.geomspace(1, 4, 3).tolist()
    [1.0, 2.0, 4.0]
    """
    from functrans.numpy.elementary import log10

    low, high = strong(start), strong(stop)
    floats = np.result_type(dtype_of(low), dtype_of(high), np.float64)
    if all(dtype_of(x).kind == "f" for x in (low, high)):
        floats = np.result_type(dtype_of(low), dtype_of(high))
    low, high = to_dtype(low, floats), to_dtype(high, floats)
    # NumPy divides by the sign of the start, so that negative ranges work too
    sign = ufuncs.sign(low)
    exponents = linspace(log10(low / sign), log10(high / sign), num, endpoint, axis=axis)
    out = ufuncs.power(dtype_of(exponents).type(10), exponents) * sign
    return convert(out, floats if dtype is None else dtype)


# --- grids ----------------------------------------------------------------------------------------


@creates(np.meshgrid)
def meshgrid(
    *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Any, ...]:
    """`numpy.meshgrid`: coordinate arrays from coordinate vectors.

    >>> import functrans.numpy as fnp
    >>> [x.shape for x in fnp.meshgrid([1, 2, 3], [4, 5])]
    [(2, 3), (2, 3)]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    vectors = [ravel(asarray(x)) for x in xi]
    places = list(range(len(vectors)))
    if indexing == "xy" and len(places) > 1:
        places[:2] = [1, 0]
    rank = len(vectors)
    shape = [0] * rank
    for place, v in zip(places, vectors, strict=True):
        shape[place] = shape_of(v)[0]
    open_grid = [
        reshape(v, tuple(shape[place] if i == place else 1 for i in range(rank)))
        for place, v in zip(places, vectors, strict=True)
    ]
    return tuple(open_grid if sparse else [_repeated(v, tuple(shape)) for v in open_grid])


@creates(np.indices)
def indices(dimensions: Sequence[int], dtype: Any = int, sparse: bool = False) -> Any:
    """`numpy.indices`: for each axis, an array of the indices along it.

    >>> import functrans.numpy as fnp
    >>> fnp.indices((2, 2)).tolist()
    [[[0, 0], [1, 1]], [[0, 1], [0, 1]]]
    """
    extents = extents_of(dimensions)
    rank = len(extents)
    if sparse:
        return tuple(
            reshape(iota((n,), 0, dtype), tuple(n if i == k else 1 for i in range(rank)))
            for k, n in enumerate(extents)
        )
    grids = [reshape(iota(extents, k, dtype), (1, *extents)) for k in range(rank)]
    if not grids:
        return shaping.full((0,), 0, np.dtype(dtype))
    return grids[0] if rank == 1 else concatenate_p.bind(*grids, axis=0)


def fromfunction(
    function: Callable[..., Any],
    shape: Sequence[int],
    *,
    dtype: Any = float,
    like: Any = None,
    **kwargs: Any,
) -> Any:
    """`numpy.fromfunction`: a function of the index arrays.

    >>> import functrans.numpy as fnp
    >>> fnp.fromfunction(lambda i, j: i + j, (2, 2)).tolist()
    [[0.0, 1.0], [1.0, 2.0]]
    """
    grids = indices(shape, dtype)
    return function(*[grids[i] for i in range(len(shape))], **kwargs)
