"""Large reductions in blocks: the same bits for every number of threads, and one pass as before."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax, nn
from functrans import numpy as fnp
from functrans.compiler import blocks, threads
from functrans.compiler.compile import Compiled

LIMIT = 89_999
"""The fewest float64 elements whose sum is estimated to take long enough: (8 n + 8) / 12 ns."""
EXTENTS = (LIMIT - 1, LIMIT, 100_003, 131_072, 600_011)  # two of them prime

REDUCTIONS: dict[str, Callable[[Any], Any]] = {
    "sum": fnp.sum,
    "sum of squares": lambda x: fnp.sum(x * x),
    "prod": lambda x: fnp.prod(x),
    "max": fnp.max,
    "min": fnp.min,
    "any": lambda x: fnp.any(x == x[-2]),
    "all": lambda x: fnp.all(x != x[-2]),
    "argmax": fnp.argmax,
    "argmin": fnp.argmin,
    "several": lambda x: (fnp.sum(x), fnp.max(x), fnp.min(x * x)),
}
DTYPES = ("float64", "float32", "int64", "int8", "uint32", "bool", "complex128")

STAGES: dict[str, Callable[[Any], Any]] = {
    "softmax": nn.softmax,
    "log-sum-exp": nn.logsumexp,
    "variance": fnp.var,
    "normalised": lambda x: (x - fnp.mean(x)) / fnp.std(x),
    "gradient of log-softmax": ft.grad(lambda x: nn.log_softmax(x)[7] ** 2),
    "loss and gradient": ft.value_and_grad(lambda x: fnp.mean(fnp.tanh(x) ** 2)),
    "gradient of max": ft.grad(lambda x: fnp.max(x * x)),
    "loop": lambda x: lax.fori_loop(0, 3, lambda i, x: x / fnp.sum(x * x), x),
}


def agree(f: Callable[..., Any], *args: Any) -> None:
    """The same bits in every run on 1, 2 and 3 threads, and what NumPy finds up to rounding."""
    program = ft.make_program(f)(*args)
    runs = []
    for count in (1, 2, 3):
        with ft.config(num_threads=count):
            compiled = Compiled(program)
        runs += [[np.asarray(y) for y in compiled(list(args))] for _ in range(3)]
    for run in runs[1:]:
        assert [y.tobytes() for y in run] == [y.tobytes() for y in runs[0]]
    with np.errstate(all="ignore"):
        want = [np.asarray(y) for y in ft.tree.leaves(f(*args))]
    for got, expected in zip(runs[0], want, strict=True):
        assert got.dtype == expected.dtype
        # NumPy multiplies one after the other, so roundings of its own add up
        exact = got.dtype.kind not in "fc"
        precision = 0.0 if exact else 10 * args[0].size ** 0.5 * np.finfo(got.dtype).eps
        np.testing.assert_allclose(got, expected, precision, precision)


def example(shape: int | tuple[int, ...], dtype: Any) -> np.ndarray:
    """Numbers that are products and sums of moderate size, positive and negative."""
    x = 1.0 + 0.5 * np.sin(np.arange(1.0, np.prod(shape) + 1)) / np.sqrt(np.prod(shape))
    kind = np.dtype(dtype).kind
    if kind == "c":
        x = x * np.exp(0.1j * np.cos(np.arange(x.size)))
        x /= np.abs(x)
    elif kind in "iu":
        x = (np.arange(x.size) * 7919 % 251).astype(np.int64) - (120 if kind == "i" else 0)
    elif kind == "b":
        x = np.arange(x.size) % 3 > 0
    return x.astype(dtype).reshape(shape)


@pytest.mark.parametrize("extent", EXTENTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_any_number_of_threads_gives_the_same_bits(name: str, dtype: str, extent: int) -> None:
    agree(REDUCTIONS[name], example(extent, dtype))


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("shape", [(100_003,), (3, 70_001), (50_021, 4)])
def test_stages_agree(name: str, shape: tuple[int, ...]) -> None:
    f = STAGES[name]
    agree(lambda x: f(x.reshape(-1)) if "grad" in name else f(x), example(shape, np.float64))


SHAPES = ((3, 40_009), (40_009, 3), (200_000, 1), (4, 30_011, 2), (150, 5, 211), (90, 1500))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_columns_and_what_is_between(shape: tuple[int, ...]) -> None:
    x = example(shape, np.float64)
    for count in range(1, len(shape) + 1):
        for axes in combinations(range(len(shape)), count):
            agree(lambda x, axes=axes: (fnp.sum(fnp.sin(x), axis=axes), fnp.max(x, axis=axes)), x)


READS: dict[str, Callable[[Any], Any]] = {
    "transposed": lambda x: fnp.sum(x.T * fnp.cos(x.reshape(x.shape[::-1]))),
    "broadcast": lambda x: fnp.sum(x * x[0] + x[:, :1]),
    "sliced": lambda x: fnp.max(x[1:, ::-1] - x[:-1]),
    "gathered": lambda x: fnp.sum(x[fnp.arange(x.shape[0]) // 2, :]),
    "padded": lambda x: fnp.sum(fnp.pad(x, 2) ** 2, axis=0),
}


@pytest.mark.parametrize("name", READS)
def test_producers_with_indices_of_their_own(name: str) -> None:
    agree(READS[name], example((389, 401), np.float64))


@pytest.mark.parametrize("shape", [(1,), (13,), (3, 5), (5, 3), (2, 3, 4), (2, 2, 2, 2)], ids=str)
def test_blocks_may_be_short_or_empty(shape: tuple[int, ...], monkeypatch: Any) -> None:
    for constant, value in (
        ("SPLIT_NANOSECONDS", 0),
        ("PIECE_NANOSECONDS", 1e-9),
        ("SHORTEST", 1),
        ("MOST_BLOCKS", 6),
    ):
        monkeypatch.setattr(blocks, constant, value)
    x = example(shape, np.float64)
    for count in range(1, len(shape) + 1):
        for axes in combinations(range(len(shape)), count):
            agree(lambda x, axes=axes: fnp.sum(x * x.T.reshape(x.shape), axis=axes), x)
            agree(lambda x, axes=axes: nn.softmax(x, axis=axes), x)


@pytest.mark.parametrize("place", [0, 50_000, 100_002])
def test_a_nan_in_any_block_is_found(place: int) -> None:
    x = example(100_003, np.float64)
    x[place] = np.nan
    found = Compiled(ft.make_program(lambda x: (fnp.max(x), fnp.argmin(x), fnp.sum(x)))(x))([x])
    np.testing.assert_array_equal(found, [np.nan, place, np.nan])


@pytest.mark.parametrize(("shape", "axis"), [((2_000_003,), 0), ((700_001, 3), 0)], ids=str)
def test_sums_are_as_accurate_as_pairwise_ones(shape: tuple[int, ...], axis: int) -> None:
    x = np.abs(np.sin(np.arange(1.0, np.prod(shape) + 1))).astype(np.float32).reshape(shape)
    got = np.atleast_1d(ft.jit(lambda x: fnp.sum(x, axis=axis))(x))
    exact = np.array([math.fsum(column) for column in x.reshape(shape[0], -1).T.tolist()])
    bound = np.finfo(np.float32).eps * math.log2(shape[0])
    assert np.all(np.abs(got - exact) <= bound * exact)


def test_a_donated_array_is_overwritten_stage_by_stage() -> None:
    x = example(100_003, np.float64)
    want = x - nn.logsumexp(x)
    compiled = Compiled(ft.make_program(lambda x: x - nn.logsumexp(x))(x), donated=frozenset({0}))
    (got,) = compiled([x.copy()])
    np.testing.assert_allclose(got, want, 1e-12)
    assert compiled.overwritten == {0}


# --- what the kernels are -------------------------------------------------------------------------


def passes(f: Callable[..., Any], *args: Any) -> list[bool]:
    """By kernel of the schedule whether it is cut into blocks."""
    entries = Compiled(ft.make_program(f)(*args)).schedule.entries()
    return [re.search(r"in \d+ blocks", entry.comment) is not None for entry in entries]


@pytest.mark.parametrize(
    ("f", "shape", "expected"),
    [
        (fnp.sum, LIMIT - 1, [False]),
        (fnp.sum, LIMIT, [True, False]),
        (nn.softmax, 5_000, [False]),
        (nn.softmax, (3, 20_000), [False]),  # its stages find each row in cache
        (nn.logsumexp, 200_000, [True, False] * 2),
        (REDUCTIONS["several"], 200_000, [True, False]),
        (STAGES["loss and gradient"], 200_000, [True, False]),
    ],
)
def test_large_reductions_are_cut_and_stay_one_pass(
    f: Callable[..., Any], shape: int | tuple[int, ...], expected: list[bool]
) -> None:
    assert passes(f, example(shape, np.float64)) == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 100_000), [True, False]),  # a few rows: their elements are cut
        ((100, 3_000), [False]),  # enough rows to share as they are
    ],
)
def test_many_rows_are_shared_as_they_are(shape: tuple[int, ...], expected: list[bool]) -> None:
    assert passes(lambda x: fnp.sum(x, axis=1), example(shape, np.float64)) == expected


@pytest.mark.skipif(threads.num_threads() < 2, reason="one core, or no POSIX threads")
@pytest.mark.parametrize(
    ("f", "shape"),
    [
        (fnp.sum, (1_000_000,)),
        (lambda x: fnp.sum(x, axis=0), (300_000, 3)),
        (lambda x: fnp.sum(x, axis=0), (100, 10_000)),
        (lambda x: x / x[:, :1], (2, 500_000)),
    ],
)
def test_threads_share_what_is_large(f: Callable[..., Any], shape: tuple[int, ...]) -> None:
    first = next(iter(Compiled(ft.make_program(f)(example(shape, np.float64))).schedule.entries()))
    assert first.pieces >= threads.num_threads()
