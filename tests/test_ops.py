"""Segments: each result is NumPy's reduction of the rows that carry its number."""

from __future__ import annotations

import numpy as np
import pytest

import functrans as ft
from functrans import ops
from functrans.core.errors import ConcretizationError, DTypeError, ShapeError
from functrans.test_util import check_grads

IDS = np.array([2, 0, 2, -1, 5, 0, 2])  # -1 and 5 are no segments of four; 1 and 3 are empty
FOLDS = {
    "segment_sum": (np.sum, 0),
    "segment_prod": (np.prod, 1),
    "segment_max": (np.max, None),
    "segment_min": (np.min, None),
}
DATA = {
    "vector": np.array([0.5, -1.5, 2.0, 3.0, 4.0, 1.25, -0.75]),
    "rows": np.arange(14.0).reshape(7, 2) / 7 - 0.9,
    "int32": np.array([3, 1, -2, 5, 7, 4, 6], np.int32),
    "bool": np.array([True, False, True, True, False, True, False]),
}


def by_hand(name: str, data: np.ndarray, ids: np.ndarray, count: int) -> np.ndarray:
    fold, start = FOLDS[name]
    out = []
    for i in range(count):
        rows = data[ids == i]
        if start is None and not len(rows):
            kind = data.dtype.kind
            low = -np.inf if kind == "f" else False if kind == "b" else np.iinfo(data.dtype).min
            high = np.inf if kind == "f" else True if kind == "b" else np.iinfo(data.dtype).max
            out.append(np.full(data.shape[1:], low if name == "segment_max" else high, data.dtype))
        else:
            out.append(fold(rows, axis=0).astype(data.dtype))
    return np.array(out)


@pytest.mark.parametrize("name", FOLDS)
@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize("bucket_size", [None, 3])
def test_each_segment_is_the_fold_of_its_rows(name, kind, bucket_size):
    def f(data, ids):
        return getattr(ops, name)(data, ids, 4, bucket_size=bucket_size)

    data = DATA[kind]
    expected = by_hand(name, data, IDS, 4)
    for found in f(data, IDS), ft.jit(f)(data, IDS), ft.vmap(f)(data[None], IDS[None])[0]:
        assert found.dtype == data.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_the_number_of_segments_is_one_more_than_the_largest_known_id():
    assert ops.segment_sum(np.ones(3), np.array([0, 3, 1])).tolist() == [1, 1, 0, 1]
    with pytest.raises(ConcretizationError, match="num_segments"):
        ft.jit(ops.segment_sum)(np.ones(3), np.array([0, 3, 1]))


@pytest.mark.parametrize("name", FOLDS)
def test_derivatives_are_those_of_the_folds(name):
    check_grads(lambda x: getattr(ops, name)(x, IDS % 4, 4)[::2], [DATA["rows"]], order=2)


@pytest.mark.parametrize("mode", ["clip", "drop"])
def test_mode_says_what_becomes_of_ids_beyond_the_last(mode):
    found = ops.segment_sum(np.ones(3), np.array([0, 1, 7]), 2, mode=mode)
    assert found.tolist() == ([1, 2] if mode == "clip" else [1, 1])


@pytest.mark.parametrize(
    ("error", "words", "call"),
    [
        (ShapeError, "leading", lambda: ops.segment_sum(np.ones(3), np.zeros(2, int), 2)),
        (ShapeError, "leading", lambda: ops.segment_max(np.float64(1), np.zeros(2, int), 2)),
        (ShapeError, "negative", lambda: ops.segment_min(np.ones(3), np.zeros(3, int), -1)),
        (DTypeError, "integers", lambda: ops.segment_prod(np.ones(3), np.zeros(3), 2)),
    ],
)
def test_mistakes_are_named(error, words, call):
    with pytest.raises(error, match=words):
        call()
