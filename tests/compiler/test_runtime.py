"""Native functions do what their NumPy or Python counterpart does, alone and nested."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from functrans.compiler import blas, calls, gemm, runtime
from functrans.compiler.engine import compile_module
from tests.compiler.schedules import (
    B1,
    I4,
    I8,
    Build,
    add_entry,
    array,
    cumulative_sum,
)

# --- the runner and memory ---


def test_layout_of_this_interpreter_is_known() -> None:
    assert calls.layout_is_known()


@pytest.mark.parametrize("count", [0, 1, 3, 300, 5000])
def test_run_gathers_any_number_of_buffers(count: int) -> None:
    seen = []
    kernel = runtime.KERNEL_TYPE(
        lambda bufs, ints, lo, hi: (
            seen.append(
                ([*np.frombuffer((ctypes.c_int64 * count).from_address(bufs), np.int64)], lo, hi)
            )
            or 0
        )
    )
    address = ctypes.cast(kernel, ctypes.c_void_p).value
    table = np.arange(count) * 7 + 1
    names = np.arange(count)[::-1]
    code = np.array([address, 0, 11, count, *names], np.int64)
    run = runtime.RUN_TYPE(runtime.address_of("ft_run"))
    assert run(code.ctypes.data, 1, table.ctypes.data) == 0
    assert seen == [([*(table[::-1])], 0, 11)] if count else len(seen) == 1


def test_run_stops_at_the_first_failure() -> None:
    calls_made = []

    def kernel(status: int) -> Any:
        return runtime.KERNEL_TYPE(lambda *_: calls_made.append(status) or status)

    kernels = [kernel(s) for s in (0, 0, 5, 0)]
    code = np.array(
        [[ctypes.cast(k, ctypes.c_void_p).value, 0, 1, 0] for k in kernels], np.int64
    ).ravel()
    run = runtime.RUN_TYPE(runtime.address_of("ft_run"))
    assert run(code.ctypes.data, 4, np.zeros(1, np.int64).ctypes.data) == 5
    assert calls_made == [0, 0, 5]


@pytest.mark.parametrize("n", [0, 1, 3, 1000])
def test_copy_and_fill(n: int) -> None:
    b = Build()
    x, y, z = b.slot(), b.slot(), b.slot()
    entries = [b.entry("ft_copy", [x, y], [8 * n]), b.entry("ft_fill0", [z], [8 * n])]
    run = b.executable(entries, [array((n,), x)], [array((n,), y), array((n,), z)])
    given = np.arange(n) + 1.0
    copied, zeros = run([given])
    assert copied is not given
    np.testing.assert_array_equal(copied, given)
    np.testing.assert_array_equal(zeros, np.zeros(n))


# --- loops and branches ---


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_scan(n: int, reverse: bool) -> None:
    b = Build()
    xs, ys, last = b.slot(), b.slot(), b.slot()
    entry = cumulative_sum(b, n, reverse, xs, ys, last)
    run = b.executable([entry], [array((n,), xs)], [array((n,), ys), array((), last)])
    given = np.arange(n) + 1.5
    expected = np.cumsum(given[::-1])[::-1] if reverse else np.cumsum(given)
    for _ in range(3):  # the frame serves again
        got, end = run([given])
        np.testing.assert_array_equal(got, expected)
        assert end == given.sum()


@pytest.mark.parametrize(("outer", "inner"), [(0, 3), (3, 0), (1, 1), (3, 3), (4, 5)])
def test_scan_in_scan(outer: int, inner: int) -> None:
    """Prefix sums of each row, and the sum of the rows' sums."""
    b = Build()
    xs, ys, total = b.slot(), b.slot(), b.slot()
    row, out_row, row_sum = b.slot(), b.slot(), b.temporary()
    read, written, zero = b.temporary(), b.temporary(), b.constant(0.0)
    body = b.block(
        cumulative_sum(b, inner, False, row, out_row, row_sum),
        add_entry(b, read, row_sum, written),
    )
    rows = [row, xs, 8 * inner, out_row, ys, 8 * inner, read, written, 8, zero, total]
    entry = b.entry("ft_scan", [0], [outer, *body, 0, 2, 1, *rows])
    shape = (outer, inner)
    run = b.executable([entry], [array(shape, xs)], [array(shape, ys), array((), total)])
    given = np.random.default_rng(0).integers(0, 9, shape).astype(float)
    for _ in range(2):
        got, end = run([given])
        np.testing.assert_array_equal(got, np.cumsum(given, axis=1))
        assert end == given.sum()


def count_to(b: Build, start: int, stop: int, result: int) -> list[int]:
    """while_loop(lambda i: i < stop, lambda i: i + 1, start)"""
    read, written, flag, one = b.temporary(), b.temporary(), b.temporary(1), b.constant(1.0)
    test = b.block(b.python(lambda i, n: (i < n,), [read, stop], [flag], "f8 f8 ?"))
    body = b.block(add_entry(b, read, one, written))
    return b.entry("ft_while", [0], [*test, flag, *body, 1, read, written, 8, start, result])


@pytest.mark.parametrize("steps", [-1, 0, 1, 2, 5, 300])
def test_while(steps: int) -> None:
    b = Build()
    start, stop, result = b.slot(), b.slot(), b.slot()
    entry = count_to(b, start, stop, result)
    run = b.executable([entry], [array((), start), array((), stop)], [array((), result)])
    for _ in range(2):
        (got,) = run([np.array(2.0), np.array(2.0 + steps)])
        assert got == 2.0 + max(steps, 0)


def test_while_in_scan() -> None:
    b = Build()
    xs, ys, x, y, zero = b.slot(), b.slot(), b.slot(), b.slot(), b.constant(0.0)
    body = b.block(count_to(b, zero, x, y))
    entry = b.entry("ft_scan", [0], [5, *body, 0, 2, 0, x, xs, 8, y, ys, 8])
    run = b.executable([entry], [array((5,), xs)], [array((5,), ys)])
    given = np.array([3.0, 0.0, 1.0, 2.5, 4.0])
    for _ in range(2):
        np.testing.assert_array_equal(run([given])[0], np.ceil(given))


def test_scan_in_while() -> None:
    """Doubles a number by a scan of two steps until it is large enough."""
    b = Build()
    start, limit, result = b.slot(), b.slot(), b.slot()
    read, written, flag, zero = b.temporary(), b.temporary(), b.temporary(1), b.constant(0.0)
    inner, inner_out = b.temporary(), b.temporary()
    step = b.block(add_entry(b, inner, read, inner_out))
    row = [inner, inner_out, 8, zero, written]
    test = b.block(b.python(lambda i, n: (i < n,), [read, limit], [flag], "f8 f8 ?"))
    body = b.block(b.entry("ft_scan", [0], [2, *step, 0, 0, 1, *row]))
    ints = [*test, flag, *body, 1, read, written, 8, start, result]
    entry = b.entry("ft_while", [0], ints)
    run = b.executable([entry], [array((), start), array((), limit)], [array((), result)])
    for limit_value, expected in [(1.0, 3.0), (4.0, 6.0), (90.0, 96.0)]:
        assert run([np.array(3.0), np.array(limit_value)])[0] == expected


@pytest.mark.parametrize(("name", "dtype"), [("ft_cond", I4), ("ft_cond64", I8)])
@pytest.mark.parametrize("index", [-(2**31), -1, 0, 1, 2, 3, 2**31 - 1])
def test_cond_clamps_its_index(name: str, dtype: np.dtype, index: int) -> None:
    b = Build()
    i, out = b.slot(), b.slot()
    blocks = [b.block(b.entry("ft_copy", [b.constant(float(k)), out], [8])) for k in (10, 11, 12)]
    entry = b.entry(name, [0], [i, 3, *itertools.chain(*blocks)])
    run = b.executable([entry], [array((), i, dtype)], [array((), out)])
    assert run([np.array(index, dtype)])[0] == 10 + min(max(index, 0), 2)


def test_cond_in_scan_in_cond() -> None:
    """Sums the entries that are at least zero."""
    b = Build()
    xs, total, x, zero = b.slot(), b.slot(), b.slot(), b.constant(0.0)
    read, written, index = b.temporary(), b.temporary(), b.temporary(4)
    choose = b.python(lambda v: (np.int32(v >= 0),), [x], [index], "f8 i4")
    keep = b.block(b.entry("ft_copy", [read, written], [8]))
    more = b.block(add_entry(b, read, x, written))
    body = b.block(choose, b.entry("ft_cond", [0], [index, 2, *keep, *more]))
    ints = [6, *body, 0, 1, 1, x, xs, 8, read, written, 8, zero, total]
    outer = b.block(b.entry("ft_scan", [0], ints))
    always = b.constant(0, I4)
    entry = b.entry("ft_cond", [0], [always, 1, *outer])
    run = b.executable([entry], [array((6,), xs)], [array((), total)])
    given = np.array([1.0, -2.0, 3.0, -4.0, 5.0, 0.0])
    assert run([given])[0] == 9.0


def test_a_frame_serves_again_after_a_failure_inside_loops() -> None:
    b = Build()
    xs, total, x, zero = b.slot(), b.slot(), b.slot(), b.constant(0.0)
    read, written = b.temporary(), b.temporary()

    def checked(c: np.ndarray, v: np.ndarray) -> tuple[np.ndarray]:
        if v < 0:
            raise ValueError("negative")
        return (c + v,)

    body = b.block(b.python(checked, [read, x], [written], "f8 f8 f8"))
    ints = [3, *body, 0, 1, 1, x, xs, 8, read, written, 8, zero, total]
    run = b.executable([b.entry("ft_scan", [0], ints)], [array((3,), xs)], [array((), total)])
    for given in ([1, 2, 3], [1, -2, 3], [4, 5, 6], [-1, 1, 1], [7, 8, -9], [1, 1, 1]):
        if min(given) < 0:
            with pytest.raises(ValueError, match="negative"):
                run([np.array(given, float)])
        else:
            assert run([np.array(given, float)])[0] == sum(given)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C raises, also where the shell that started the tests has its jobs ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="raises a signal the POSIX way")
@pytest.mark.parametrize("kind", ["while", "scan"])
def test_loops_can_be_interrupted(kind: str, any_dispatcher: str, ctrl_c: None) -> None:
    b = Build()
    start, result, one = b.slot(), b.slot(), b.constant(1.0)
    read, written, flag = b.temporary(), b.temporary(), b.constant(1, B1)
    body = b.block(add_entry(b, read, one, written))
    carry = [read, written, 8, start, result]
    if kind == "while":
        entry = b.entry("ft_while", [0], [*b.block(), flag, *body, 1, *carry])
    else:
        entry = b.entry("ft_scan", [0], [2**60, *body, 0, 0, 1, *carry])
    run = b.executable([entry], [array((), start)], [array((), result)])
    pid = os.getpid()
    waiter = f"import os, signal, time; time.sleep(0.3); os.kill({pid}, signal.SIGINT)"
    timer = subprocess.Popen([sys.executable, "-S", "-c", waiter])
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run([np.array(0.0)])
    timer.wait()
    assert time.monotonic() - begin < 30
    assert len(run._free) == len(run._frames)


# --- matrix products ---

CONVENTIONS = {"numpy": blas.from_numpy, "scipy": blas.from_scipy}


@pytest.mark.parametrize("source", CONVENTIONS)
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 4, 5), (1, 7, 5), (6, 1, 3), (0, 3, 4), (3, 0, 4),
                                  (3, 4, 0), (33, 17, 65)])  # fmt: skip
@pytest.mark.parametrize("letter", gemm.NAMES)
def test_gemm(source: str, size: tuple[int, int, int], letter: str) -> None:
    found = CONVENTIONS[source]()
    assert found is not None
    names = [f"ft_gemm_{name}" for name in gemm.NAMES.values()]
    address = compile_module(gemm.gemm_ir(found), names, gemm.gemm_symbols(found))
    product = runtime.KERNEL_TYPE(address[f"ft_gemm_{gemm.NAMES[letter]}"])
    dtype = np.dtype({v: k for k, v in blas.LETTERS.items()}[letter])
    m, n, k = size
    flags = (0, 1, 2) if dtype.kind == "c" else (0, 1)
    rng = np.random.default_rng(1)

    def draw(*shape: int) -> np.ndarray:
        x = rng.standard_normal(shape)
        return (x + 1j * rng.standard_normal(shape)).astype(dtype) if dtype.kind == "c" else (
            x.astype(dtype)
        )  # fmt: skip

    def put(x: np.ndarray, how: int) -> np.ndarray:
        x = x.conj() if how == 2 else x
        return np.ascontiguousarray(x.swapaxes(-1, -2)) if how else x

    for tx, ty, batch, add in itertools.product(flags, flags, (0, 1, 3), (0, 1)):
        x, y = draw(batch, m, k), draw(batch, k, n)
        out = draw(batch, m, n) if add else np.full((batch, m, n), np.nan, dtype)
        expected = x @ y + (out if add else 0)
        given = put(x, tx), put(y, ty), out
        rows = [max(z.shape[-1], 1) for z in given]
        ints = np.array([tx, ty, m, n, k, *rows, m * k, k * n, m * n, add], np.int64)
        bufs = np.array([z.ctypes.data for z in given], np.int64)
        assert product(bufs.ctypes.data, ints.ctypes.data, 0, batch) == 0
        np.testing.assert_allclose(out, expected, rtol=1e-4 if dtype.char in "fF" else 1e-12,
                                   atol=1e-4 if dtype.char in "fF" else 1e-12)  # fmt: skip


def test_gemm_of_parts_of_larger_matrices() -> None:
    x, y, out = np.ones((4, 8)), np.arange(60.0).reshape(6, 10), np.zeros((4, 9))
    ints = np.array([0, 0, 3, 5, 4, 8, 10, 9, 0, 0, 0, 0], np.int64)
    bufs = np.array([z.ctypes.data for z in (x, y, out)], np.int64)
    kernel = runtime.KERNEL_TYPE(runtime.address_of("ft_gemm_f64"))
    kernel(bufs.ctypes.data, ints.ctypes.data, 0, 1)
    expected = np.zeros((4, 9))
    expected[:3, :5] = x[:3, :4] @ y[:4, :5]
    np.testing.assert_array_equal(out, expected)


def test_both_sources_of_blas_are_found_here() -> None:
    assert blas.from_numpy() is not None and blas.from_scipy() is not None
    assert blas.find_blas() == blas.from_numpy()


def test_scipy_is_used_where_numpy_exports_nothing(monkeypatch: Any) -> None:
    monkeypatch.setattr(blas, "_CBLAS_NAMES", ())
    assert blas.find_blas.__wrapped__().convention == "fortran"
