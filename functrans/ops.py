"""Reductions of the rows that belong to one segment: edges of a node, nodes of a graph, words of a
sentence. Under the names of `jax.ops`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import ConcretizationError, DTypeError, ShapeError
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy.indexing import at
from functrans.numpy.promotion import as_array, to_dtype
from functrans.primitives.windows import highest, lowest


def segment_sum(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: str | None = None,
) -> Any:
    """The sums of the rows of each segment; 0 where a segment has none.

    Args:
        data: an array (n, …).
        segment_ids: integers (n,), the segment of each row. Rows whose number is outside of
            [0, num_segments) are left out.
        num_segments: how many segments there are; one more than the largest number by default.
            Under `jit` it has to be given.
        indices_are_sorted: whether the numbers ascend; a promise.
        unique_indices: whether no number occurs twice; a promise.
        bucket_size: rows are reduced in groups of as many first, and the groups then, which loses
            fewer digits of long sums.
        mode: what happens to rows outside: "drop", the default, "clip" or "promise_in_bounds".

    Returns:
        An array (num_segments, …) of the dtype of `data`.

    Raises:
        ShapeError: `segment_ids` is no vector with one number per row, or `num_segments` negative.
        DTypeError: `segment_ids` are no integers.
        ConcretizationError: `num_segments` is missing where the numbers are not known.

    >>> segment_sum(np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), 4)
    array([2., 0., 5., 0.])
    """
    zero = dtype_of(data).type(0)
    how = _Writing(bucket_size, unique_indices, mode)
    return _segments("add", fnp.sum, zero, data, segment_ids, num_segments, how)


def segment_prod(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: str | None = None,
) -> Any:
    """The products of the rows of each segment; 1 where it has none. Arguments as in `segment_sum`.

    >>> segment_prod(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1]), 2)
    array([2., 4.])
    """
    one = dtype_of(data).type(1)
    how = _Writing(bucket_size, unique_indices, mode)
    return _segments("multiply", fnp.prod, one, data, segment_ids, num_segments, how)


def segment_max(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: str | None = None,
) -> Any:
    """The maxima of the rows of each segment; -inf, or the least integer, where it has none.

    Arguments as in `segment_sum`.

    >>> segment_max(np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), 3)
    array([  2., -inf,   4.])
    """
    least = lowest(dtype_of(data))
    how = _Writing(bucket_size, unique_indices, mode)
    return _segments("max", fnp.max, least, data, segment_ids, num_segments, how)


def segment_min(
    data: Any,
    segment_ids: Any,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: str | None = None,
) -> Any:
    """The minima of the rows of each segment; inf, or the greatest integer, where it has none.

    Arguments as in `segment_sum`.

    >>> segment_min(np.array([1.0, 2.0, 4.0]), np.array([2, 0, 2]), 3)
    array([ 2., inf,  1.])
    """
    most = highest(dtype_of(data))
    how = _Writing(bucket_size, unique_indices, mode)
    return _segments("min", fnp.min, most, data, segment_ids, num_segments, how)


class _Writing(NamedTuple):
    """How rows are written into their segments."""

    bucket_size: int | None
    unique: bool
    mode: str | None


def _segments(
    update: str,
    fold: Any,
    start: Any,
    data: Any,
    ids: Any,
    count: int | None,
    how: _Writing,
) -> Any:
    """`start` in every segment, with the rows of `data` taken in by a method of `at`."""
    data, ids = as_array(data), as_array(ids)
    _check(data, ids)
    count = _number_of_segments(ids) if count is None else int(count)
    if count < 0:
        raise ShapeError(f"num_segments must not be negative: got {count}.")
    # an update counts negative indices from the end, and these name no segment
    ids = fnp.where(ids < 0, 0 if how.mode == "clip" else count, ids)
    rows, options = shape_of(data)[1:], {"mode": how.mode or "drop", "unique_indices": how.unique}
    if how.bucket_size is None:
        return getattr(at(fnp.full((count, *rows), start))[ids], update)(data, **options)
    bucket = np.arange(shape_of(ids)[0]) // how.bucket_size
    groups = fnp.full((-(-shape_of(ids)[0] // how.bucket_size), count, *rows), start)
    folded = getattr(at(groups)[bucket, ids], update)(data, **options)
    return to_dtype(fold(folded, axis=0), dtype_of(data))


def _check(data: Any, ids: Any) -> None:
    if dtype_of(ids).kind not in "iu":
        raise DTypeError(f"segment_ids are integers: got {aval_of(ids)}. Use ids.astype(int).")
    if len(shape_of(ids)) != 1 or shape_of(data)[:1] != shape_of(ids):
        raise ShapeError(
            "segment_ids need one number for each element along the leading axis of data: "
            f"got data {aval_of(data)} and segment_ids {aval_of(ids)}."
        )


def _number_of_segments(ids: Any) -> int:
    known = ids.value if type(ids) is Tracer else ids
    if known is UNKNOWN:
        raise ConcretizationError(
            "segment_ids are not known while tracing, and the largest of them is the number of "
            "segments.\n  Pass num_segments, a number that does not depend on traced values."
        )
    return int(np.max(known, initial=-1)) + 1
