"""Loops go over memory in the order that pays, and LLVM is told of every one what pays."""

import re

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp
from functrans import nn
from functrans.compiler.emitted import AS_IT_STANDS, ONE_BY_ONE

MATRIX, IMAGES = (40, 56), (4, 12, 14, 14)
LOOPS = {  # function, shape; marks of the loops, innermost first
    "contiguous": (lambda x: x * 2.0 + 1.0, MATRIX, [""]),
    "copy across rows": (lambda x: x.T, MATRIX, [ONE_BY_ONE, AS_IT_STANDS]),
    "reversed copy across rows": (lambda x: x[::-1].T, MATRIX, [ONE_BY_ONE, AS_IT_STANDS]),
    "arithmetic across rows": (lambda x: x.T * 2.0, MATRIX, ["", AS_IT_STANDS]),
    "reversed arithmetic": (lambda x: fnp.tanh(x[::-1].T), MATRIX, ["", AS_IT_STANDS]),
    "short around long": (
        lambda x: x.transpose((2, 0, 1, 3)).copy(),
        (40, 3, 5, 30),
        ["", AS_IT_STANDS, AS_IT_STANDS],
    ),
    "short in distant rows": (lambda x: x[..., :7] * 2.0, IMAGES, ["", ONE_BY_ONE]),
}

BACKWARD = r"add nuw nsw i64 .*, 1\n  store .*\n  br label %loop[.]\d+(.*)"
"""A jump back follows the store of a counter."""


def lowered(f, shape):
    """A function that gives compiled what it gives evaluated, lowered."""
    x = np.random.default_rng(0).normal(size=shape)
    compiled = ft.jit(f)
    np.testing.assert_allclose(compiled(x), f(x), 1e-14, 1e-13)
    return compiled.lower(x)


@pytest.mark.parametrize("name", LOOPS)
def test_loops_are_marked_by_what_pays(name):
    *case, marks = LOOPS[name]
    (kernel,) = lowered(*case).schedule.kernels().values()
    assert re.findall(BACKWARD, kernel.ir) == marks


TILED = {  # function, shape; extents of the loops, outermost first
    "copy across rows": (lambda x: x.T, (160, 264), [33, 40, 8, 4]),
    "not whole tiles": (lambda x: x.T, (162, 264), [264, 162]),
    "rows too short to matter": (lambda x: x.T, (264, 120), [120, 264]),
    "few rows": (lambda x: x.T, (4, 264), [264, 4]),
    "reversed": (lambda x: x[:, ::-1].T, (160, 264), [33, 40, 8, 4]),
    "and along rows": (lambda x: x + x.T * 2.0, (136, 136), [17, 34, 8, 4]),
    "batch": (lambda x: x.transpose((0, 2, 1)) + 1.0, (3, 160, 136), [3, 17, 40, 8, 4]),
    "axes between": (lambda x: x.transpose((2, 1, 0)) + 1.0, (16, 3, 136), [17, 3, 4, 8, 4]),
    "padded": (lambda x: fnp.pad(x.T, 4), (160, 264), [34, 42, 8, 4]),
    "heavy": (lambda x: fnp.tanh(x.T), (160, 264), [264, 160]),
    "heavy, and rows conflict": (lambda x: fnp.tanh(x.T), (160, 256), [32, 40, 8, 4]),
}


@pytest.mark.parametrize("name", TILED)
def test_loops_across_rows_go_tile_by_tile(name):
    *case, extents = TILED[name]
    found = re.findall(r"for i\d+ in range\((\d+)\)", lowered(*case).source)
    assert list(map(int, found)) == extents


CUT = {  # function, shape; extents of the loops, outermost first
    "heads side by side": (
        lambda x: x.transpose((0, 2, 1, 3)).reshape(2, 6, 20) * 2.0,
        (2, 4, 6, 5),
        [2, 6, 4, 5],
    ),
    "all in a row": (lambda x: x.transpose((1, 0, 2)).reshape(-1) + 1.0, (3, 4, 5), [4, 3, 5]),
    "twice": (lambda x: x.transpose((2, 1, 0, 3)).reshape(-1) + 1.0, (3, 4, 5, 6), [5, 4, 3, 6]),
    "across rows": (lambda x: x.T.reshape(-1) + 1.0, (160, 264), [33, 40, 8, 4]),
    "folded": (lambda x: x.transpose((1, 0, 2)).reshape(4, 15).max(1), (3, 4, 5), [4, 3, 5]),
    "folded before": (
        lambda x: x.transpose((1, 0, 2)).reshape(4, 15).max(0),
        (3, 4, 5),
        [3, 5, 4, 3, 5],
    ),
    "reversed": (lambda x: x.swapaxes(0, 1)[:, ::-1].reshape(12) + 1.0, (3, 4), [4, 3]),
    "repeated": (lambda x: fnp.repeat(x, 6) * 2.0, (7,), [7, 6]),
    "in pieces that do not fit": (lambda x: fnp.repeat(x, 6)[:40] * 2.0, (7,), [40]),
}


@pytest.mark.parametrize("name", CUT)
def test_loops_are_cut_where_an_index_divides_their_counter(name):
    *case, extents = CUT[name]
    source = lowered(*case).source
    found = re.findall(r"for i\d+ in range\((\d+)\)", source)
    assert list(map(int, found)) == extents
    assert ("//" in source) is ("fit" in name)


def four(x):
    """Of four elements of other rows each."""
    return (x * 2.0 + x[::-1] * x[:, ::-1] + x[::-1, ::-1]).T


EXCHANGED = {  # function, shape; counters, outermost first
    "columns read, a row written": (lambda x: four(x.copy()), (100, 60), ["i1", "i0"]),
    "a batch": (lambda x: four(x[0]) + four(x[1]), (2, 50, 60), ["i1", "i0"]),
    "one column read": (lambda x: x.T * 2.0, (100, 60), ["i0", "i1"]),
    "written rows conflict": (four, (128, 60), ["i0", "i1"]),
    "read and written rows conflict": (four, (128, 128), ["i0", "i1", "i2", "i3"]),
    "few rows": (four, (100, 12), ["i0", "i1"]),
    "columns folded": (lambda x: fnp.sum(four(x), 1), (100, 60), ["i0", "i1"]),
    "Hessian": (
        ft.hessian(lambda x: fnp.sum((x[1:] - x[:-1] ** 2) ** 2)),
        (90,),
        ["i1", "i0", "i0", "i0"],
    ),
}


@pytest.mark.parametrize("name", EXCHANGED)
def test_loops_are_exchanged_where_fewer_indices_jump_then(name):
    *case, counters = EXCHANGED[name]
    found = re.findall(r"for (i\d+) in range", lowered(*case).source)
    assert found[-len(counters) :] == counters


ACCUMULATORS = {  # function of what is folded, shape, axes; how many there are
    "groups": (fnp.sum, (3, 20, 5, 8), (1, 3), 8),
    "extrema": (fnp.max, (3, 20, 5, 16), (1, 3), 16),
    "products": (fnp.prod, (3, 20, 5, 4), (1, 3), 4),
    "flags": (lambda x, axes: fnp.any(x > 2.5, axes), (3, 20, 5, 8), (1, 3), 8),
    "complex": (lambda x, axes: fnp.sum(x * (1 + 2j), axes), (3, 20, 5, 8), (1, 3), 8),
    "two": (lambda x, axes: fnp.sum(x, axes) + fnp.max(x, axes), (3, 20, 5, 32), (1, 3), 32),
    "in two passes": (fnp.var, (3, 20, 5, 8), (1, 3), 8),
    "one loop": (fnp.sum, (30, 8), (1,), 1),
    "merged loops": (fnp.sum, (3, 20, 8), (1, 2), 1),
    "not as long as a vector": (fnp.sum, (3, 20, 5, 7), (1, 3), 1),
    "columns": (fnp.sum, (20, 3, 8), (0,), 0),
    "heavy": (lambda x, axes: fnp.sum(fnp.tanh(x), axes), (3, 20, 5, 32), (1, 3), 1),
}


@pytest.mark.parametrize("name", ACCUMULATORS)
def test_iterations_of_a_short_innermost_loop_have_accumulators(name):
    fold, shape, axes, count = ACCUMULATORS[name]
    kernels = lowered(lambda x: fold(x, axes), shape).schedule.kernels().values()
    ir = "\n".join(kernel.ir for kernel in kernels)
    found = set(map(int, re.findall(r"%cell\S* = alloca \[(\d+) x", ir)))
    assert found == ({count} if count else set())


SEGMENTS = {  # function, shape; ranges of the innermost loops
    "rolled": (lambda x: fnp.roll(x, 1) - x * 2.0, (5000,), ["1", "1, 5000"]),
    "both ways": (
        lambda x: fnp.roll(x, 2) - x + fnp.roll(x, -1),
        (5000,),
        ["2", "2, 4999", "4999, 5000"],
    ),
    "along rows": (lambda x: fnp.roll(x, -3, 1) * 2.0, (40, 60), ["57", "57, 60"]),
    "padded": (lambda x: fnp.pad(x * 2.0, 3), (4000,), ["3", "3, 4003", "4003, 4006"]),
    "put together": (
        lambda x: fnp.concatenate([x, x * 2.0, x[:, :5]], 1),
        (30, 40),
        ["40", "40, 80", "80, 85"],
    ),
    "reversed": (lambda x: fnp.pad(x[::-1], (2, 0)) * 1.5, (4000,), ["2", "2, 4002"]),
    "across the rows alone": (lambda x: fnp.roll(x, 1, 0) * 2.0, (400, 6), ["6"]),
    "short": (lambda x: fnp.roll(x, 1, 1) * 2.0, (400, 12), ["12"]),
    "few": (lambda x: fnp.roll(x, 1) * 2.0, (50,), ["50"]),
    "of many": (lambda x: fnp.concatenate([x] * 20) * 2.0, (400,), ["8000"]),
    "of many, and large": (
        lambda x: fnp.concatenate([x, x * 2.0, x + 1.0, -x, x - 3.0, 3.0 - x], 1),
        (400, 7),
        ["7", "7, 14", "14, 21", "21, 28", "28, 35", "35, 42"],
    ),
    "of many, heavy and large": (
        lambda x: fnp.concatenate([fnp.tanh(x + i) for i in range(6)], 1),
        (400, 8),
        ["48"],
    ),
    "single ones": (lambda x: fnp.stack([x, x * 2.0, -x], 1), (100,), ["100"]),
    "too many single ones": (lambda x: fnp.stack([x] * 40, 1), (100,), ["100", "40"]),
    "folded": (lambda x: fnp.sum(fnp.abs(fnp.roll(x, 1) - x)), (5000,), ["1", "1, 5000"]),
    "rows folded": (
        lambda x: fnp.sum(fnp.maximum(fnp.roll(x, -2, 1), x), 1),
        (50, 60),
        ["58", "58, 60"],
    ),
    "two passes": (
        lambda x: nn.softmax(fnp.concatenate([x, x * 2.0], 1)),
        (60, 40),
        ["40", "40, 80"] * 3,
    ),
    "columns folded": (lambda x: fnp.sum(fnp.roll(x, 1, 1), 0), (50, 60), ["60"]),
    "for threads": (lambda x: fnp.roll(x, 7) * 2.0, (400_001,), ["7", "7, 400001"]),
}


CONDITIONAL = {
    "across the rows alone",
    "short",
    "few",
    "of many",
    "of many, heavy and large",
    "too many single ones",
    "columns folded",
}


@pytest.mark.parametrize("name", SEGMENTS)
def test_loops_are_cut_where_a_condition_changes(name):
    *case, ranges = SEGMENTS[name]
    source = lowered(*case).source
    inner = re.findall(r"for i\d+ in range\((.+)\)", source)[-len(ranges) :]
    assert inner == ranges
    assert ("if " in source) is (name in CONDITIONAL)
