"""Products of windows read in place: every tile, whole and partial, equals evaluation."""

import numpy as np
import pytest

from functrans.compiler import tiles
from functrans.compiler.compile import Compiled
from functrans.compiler.tiles import tile_for
from functrans.compiler.window_products import window_product_p
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of

CASES = {  # batch, groups, alike; rows, of which a table has; what is summed, of which a table has
    "one tile": (1, 1, 1, (8, 8), (5, 5)),
    "a row": (1, 1, 1, (1, 1), (3, 3)),
    "part of a tile": (2, 1, 1, (13, 13), (7, 7)),
    "tables go on": (1, 1, 1, (30, 6), (20, 4)),
    "groups in turn": (6, 3, 1, (9, 9), (4, 2)),
    "groups in runs": (6, 3, 2, (9, 3), (4, 4)),
    "sums in parts": (2, 1, 1, (21, 21), (1100, 10)),
    "several items": (1, 1, 1, (700, 7), (3, 3)),
}
REGISTERS = {"AVX-512": (64, 32), "AVX2": (32, 16)}


def _operands(case, panels, width, dtype):
    batch, groups, alike, (rows, own_rows), (summed, own_summed) = CASES[case]
    rng = np.random.default_rng(0)
    row_step, summed_step = 11, 17
    row_places = rng.integers(0, 50, own_rows)
    summed_places = rng.integers(0, 50, own_summed)
    elements = 100 + row_step * (rows // own_rows) + summed_step * (summed // own_summed)
    x = rng.normal(size=(batch, elements)).astype(dtype)
    w = rng.normal(size=(groups, panels, summed, width)).astype(dtype)
    params = {
        "rows": rows,
        "row_step": row_step,
        "summed_step": summed_step,
        "alike": alike,
        "shape": (batch, panels * width, rows),
    }
    return (x, row_places, summed_places, w), params


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("processor", REGISTERS)
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_equals_evaluation(case, processor, dtype, monkeypatch):
    monkeypatch.setattr(tiles, "vector_registers", lambda: REGISTERS[processor])
    for features in (3, 20, 40):
        tile = tile_for(features, np.dtype(dtype))
        panels = tiles.panels_of(features, tile)
        args, params = _operands(case, panels, tile.width, dtype)
        program = make_program_flat(
            lambda xs, params=params: [window_product_p.bind(*xs, **params)],
            list(map(aval_of, args)),
        )
        (got,) = Compiled(program)(list(args))
        want = window_product_p.evaluate(*args, **params)
        bound = 2e-5 if dtype == "f4" else 1e-13
        np.testing.assert_allclose(got, want, bound, bound * np.abs(want).max())


def test_evaluation_is_the_sum_that_the_file_promises():
    (x, row_places, summed_places, w), params = _operands("groups in runs", 2, 3, "f8")
    out = window_product_p.evaluate(x, row_places, summed_places, w, **params)
    b, f, i = 4, 5, 7  # of the third group, the second panel, beyond the table of rows
    at = row_places[i % 3] + i // 3 * 11
    total = sum(
        x[b, at + summed_places[k % 4] + k // 4 * 17] * w[b // 2 % 3, f // 3, k, f % 3]
        for k in range(4)
    )
    np.testing.assert_allclose(out[b, f, i], total)
