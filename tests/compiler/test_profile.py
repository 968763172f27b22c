"""`profile` counts every entry, also in loops, and changes no result's schedule."""

import numpy as np
import pytest

import functrans as ft
import functrans.numpy as fnp


def _scan_of_products(x):
    big = fnp.zeros((40, 40)) + x
    return ft.lax.fori_loop(0, 7, lambda i, s: fnp.tanh(s @ big), big)


def test_entries_in_loops_are_counted_per_call():
    found = ft.profile(_scan_of_products, repeat=3)(0.1)
    calls = {row.name: row.calls for row in found.rows}
    assert calls["ft_gemm_f64"] == 7 and calls["ft_scan"] == 1
    (product,) = [row for row in found.rows if row.name == "ft_gemm_f64"]
    assert product.depth == 1
    assert product.flops == 2 * 40**3
    assert product.nbytes == 3 * 40 * 40 * 8


def test_times_add_up_and_are_shown():
    found = ft.profile(lambda x: (fnp.sum(x @ x), fnp.linalg.inv(x)))(np.eye(60))
    assert sum(row.seconds for row in found.rows if row.depth == 0) > 0
    text = str(found)
    for row in found.rows:
        assert row.name in text
    assert "test_profile.py" in text
    assert found.peak.float32 > 0 and found.peak.bandwidth > 0


@pytest.mark.parametrize("fun", [lambda x: x * 2.0, ft.jit(lambda x: x * 2.0)])
def test_plain_and_jitted_functions(fun):
    (row,) = ft.profile(fun)(np.ones(3)).rows
    assert row.calls == 1


def test_memory_analysis_is_what_is_allocated():
    def f(x):
        return fnp.sort(fnp.tanh(x @ x)) @ x, fnp.sum(x)

    x = np.ones((50, 50))
    lowered = ft.jit(f).lower(x)
    sizes = lowered.memory_analysis()
    executable = lowered._compiled()._executable
    assert sizes["argument_size_in_bytes"] == x.nbytes
    assert sizes["output_size_in_bytes"] == x.nbytes + 8
    assert sizes["temp_size_in_bytes"] == executable._arena
    (frame,) = executable._frames
    assert sizes["temp_size_in_bytes"] == frame.arena.nbytes - 64  # room to align it
    # the product, and what is sorted where it is
    assert 2 * x.nbytes <= sizes["temp_size_in_bytes"] <= 2 * x.nbytes + 128
    assert sizes["peak_memory_in_bytes"] == sum(
        size for name, size in sizes.items() if name != "peak_memory_in_bytes"
    )
