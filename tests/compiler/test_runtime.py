"""Native functions do what their NumPy or Python counterpart does, alone, nested and from threads;
a leaf that does not fit is refused before anything runs; an exception comes through as it is."""

from __future__ import annotations

import ctypes
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from functrans.compiler import blas, calls, gemm, pool, runtime
from functrans.compiler.callbacks import python_kernel, release
from functrans.compiler.calls import ArraySpec
from functrans.compiler.engine import compile_module
from functrans.compiler.frames import Executable

F8, I8, I4, B1 = (np.dtype(c) for c in ("f8", "i8", "i4", "?"))


class Build:
    """A schedule being written: slots, entries, and everything that must stay alive."""

    def __init__(self) -> None:
        self.slots, self.arena = 1, 0
        self.offsets: dict[int, int] = {}
        self.constants: dict[int, np.ndarray] = {}
        self.keep: list[Any] = []

    def slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def temporary(self, nbytes: int = 8) -> int:
        slot = self.slot()
        self.offsets[slot] = self.arena
        self.arena += -(-max(nbytes, 1) // 64) * 64
        return slot

    def constant(self, value: Any, dtype: Any = F8) -> int:
        slot = self.slot()
        self.constants[slot] = np.array(value, dtype)
        return slot

    def ints(self, *values: int) -> int:
        array = np.array(values or (0,), np.int64)
        self.keep.append(array)
        return array.ctypes.data

    def entry(
        self, function: str | int, slots: Sequence[int], ints: Sequence[int] = ()
    ) -> list[int]:
        address = runtime.address_of(function) if isinstance(function, str) else function
        return [address, self.ints(*ints), 1, len(slots), *slots]

    def python(self, fun: Callable, ins: Sequence[int], outs: Sequence[int], dtypes: str) -> Any:
        """An entry that calls fun on 0-d arrays."""
        specs = [((), np.dtype(c)) for c in dtypes.split()]
        address = python_kernel(fun, specs[: len(ins)], specs[len(ins) :])
        return self.entry(address, [*ins, *outs])

    def block(self, *entries: list[int]) -> tuple[int, int]:
        code = np.array(list(itertools.chain(*entries)), np.int64)
        self.keep.append(code)
        return code.ctypes.data, len(entries)

    def executable(
        self,
        entries: Sequence[list[int]],
        ins: Sequence[ArraySpec],
        outs: Sequence[ArraySpec],
        **options: Any,
    ) -> Executable:
        code = np.array(list(itertools.chain(*entries)), np.int64)
        constants = self.constants
        return Executable(
            code,
            len(entries),
            ins,
            outs,
            self.slots,
            self.arena,
            self.offsets,
            constants,
            self.keep,
            **options,
        )


def add_entry(b: Build, x: int, y: int, out: int) -> list[int]:
    """out = x + y for one double."""
    return b.entry(compile_module(ADD, ["add"])["add"], [x, y, out])


ADD = """
define i64 @add(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) {
  %x = load ptr, ptr %bufs
  %y.at = getelementptr ptr, ptr %bufs, i64 1
  %y = load ptr, ptr %y.at
  %out.at = getelementptr ptr, ptr %bufs, i64 2
  %out = load ptr, ptr %out.at
  %a = load double, ptr %x
  %b = load double, ptr %y
  %c = fadd double %a, %b
  store double %c, ptr %out
  ret i64 0
}
"""


def array(shape: tuple[int, ...], slot: int, dtype: Any = F8, weak: bool = False) -> ArraySpec:
    return ArraySpec(shape, np.dtype(dtype), slot, weak)


@pytest.fixture(params=["native", "python"])
def any_dispatcher(request: Any, monkeypatch: Any) -> str:
    """Both ways from Python into a schedule."""
    if request.param == "python":
        monkeypatch.setattr(calls, "layout_is_known", lambda: False)
    return request.param


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


def cumulative_sum(b: Build, n: int, reverse: bool, xs: int, ys: int, last: int) -> list[int]:
    """scan(lambda c, x: (c + x, c + x), 0, xs)"""
    x, y, read, written = b.slot(), b.slot(), b.temporary(), b.temporary()
    zero = b.constant(0.0)
    code, count = b.block(add_entry(b, read, x, written), b.entry("ft_copy", [written, y], [8]))
    rows = [x, xs, 8, y, ys, 8, read, written, 8, zero, last]
    return b.entry("ft_scan", [0], [n, code, count, int(reverse), 2, 1, *rows])


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


# --- from Python into a schedule ---


def identity(spec: ArraySpec, **options: Any) -> Executable:
    """Copies its input."""
    b = Build()
    b.slots = 3
    nbytes = spec.dtype.itemsize * int(np.prod(spec.shape))
    out = ArraySpec(spec.shape, spec.dtype, 2)
    return b.executable([b.entry("ft_copy", [1, 2], [nbytes])], [spec], [out], **options)


X = np.arange(6.0).reshape(2, 3)
REFUSED = {
    "float32": X.astype("f4"),
    "int64": X.astype("i8"),
    "big endian": X.astype(">f8"),
    "fewer dimensions": X.ravel(),
    "more dimensions": X[None],
    "other extent": np.zeros((2, 4)),
    "transposed": np.asfortranarray(X),
    "strided": np.zeros((2, 6))[:, ::2],
    "unaligned": np.frombuffer(b"x" * 49, np.float64, 6, 1).reshape(2, 3),
    "record array": X.view(np.recarray),
    "masked": np.ma.masked_array(X),
    "list": X.tolist(),
    "float": 1.0,
    "None": None,
    "scalar": np.float64(1),
}


@pytest.mark.parametrize("what", REFUSED)
def test_leaf_of_another_type_is_refused(what: str, any_dispatcher: str) -> None:
    run = identity(array((2, 3), 1))
    assert run([REFUSED[what]]) == 1
    np.testing.assert_array_equal(run([X])[0], X)


def test_the_first_leaf_refused_is_named_and_nothing_runs(any_dispatcher: str) -> None:
    b = Build()
    b.slots = 4
    ran: list[int] = []
    entry = b.python(lambda: ran.append(1) or (), [], [], "")
    run = b.executable([entry], [array((2,), 1 + i) for i in range(3)], [])
    good, bad = np.zeros(2), np.zeros(3)
    assert run([good, good, bad]) == 3
    assert run([good, bad, bad]) == 2
    assert not ran
    assert run([good, good, good]) == [] and ran == [1]


@pytest.mark.parametrize("leaves", [[], [X, X]])
def test_wrong_number_of_leaves(leaves: list[Any], any_dispatcher: str) -> None:
    with pytest.raises(TypeError):
        identity(array((2, 3), 1))(leaves)


@pytest.mark.parametrize("code", list("?bhilBHILefdFD"))
def test_numpy_scalar_is_a_leaf(code: str, any_dispatcher: str) -> None:
    dtype = np.dtype(code)
    run = identity(array((), 1, dtype))
    value = dtype.type(1) if dtype.kind in "b" else dtype.type(3)
    for leaf in (value, np.array(value)):
        (got,) = run([leaf])
        assert type(got) is np.ndarray and got.shape == () and got.dtype == dtype
        assert got == value
    other = np.float32(1) if code != "f" else np.float64(1)
    assert run([other]) == 1
    assert run([1.0]) == run([1]) == run([True]) == 1


WEAK = [(B1, True), (B1, False), (I8, 3), (I8, -(2**63)), (F8, -2.5), (np.dtype("c16"), 1 - 2j)]


@pytest.mark.parametrize(("dtype", "value"), WEAK)
def test_python_scalar_is_a_weak_leaf(dtype: np.dtype, value: Any, any_dispatcher: str) -> None:
    run = identity(array((), 1, dtype, weak=True))
    assert run([value])[0] == value
    assert run([np.array(value, dtype)]) == 1
    assert run([dtype.type(value)]) == 1
    assert run([2**63 if dtype == I8 else "x"]) == 1


def test_equal_dtypes_are_one(any_dispatcher: str) -> None:
    run = identity(array((2,), 1, np.dtype("q")))
    np.testing.assert_array_equal(run([np.arange(2)])[0], [0, 1])


def test_results_are_fresh(any_dispatcher: str) -> None:
    run = identity(array((2, 3), 1))
    first, second = run([X])[0], run([X])[0]
    assert first is not second and not np.shares_memory(first, second)
    assert first.flags.owndata and first.flags.writeable


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 1, 2, 1, 2)])
def test_any_rank(shape: tuple[int, ...], any_dispatcher: str) -> None:
    given = np.random.default_rng(0).standard_normal(shape)
    (got,) = identity(array(shape, 1))([np.array(given)])
    assert got.shape == shape
    np.testing.assert_array_equal(got, given)


def test_donated_array_is_the_result(any_dispatcher: str) -> None:
    run = identity(array((2, 3), 1), donations={0: 0})
    mine = X.copy()
    assert run([mine])[0] is mine
    frozen = X.copy()
    frozen.flags.writeable = False
    assert run([frozen]) == 1
    with pytest.raises(ValueError, match="another type"):
        Executable(np.zeros(0, np.int64), 0, [array((2,), 1)], [array((3,), 2)], 3,
                   donations={0: 0})  # fmt: skip


def test_read_only_input_is_accepted(any_dispatcher: str) -> None:
    frozen = X.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(identity(array((2, 3), 1))([frozen])[0], X)


def test_leaves_may_be_any_sequence(any_dispatcher: str) -> None:
    np.testing.assert_array_equal(identity(array((2, 3), 1))((X,))[0], X)


# --- the memory of large results ---

LARGE = pool.THRESHOLD // 8


@pytest.fixture
def empty_pool() -> Any:
    pool.clear()
    yield
    pool.clear()


def test_large_results_take_over_memory_of_dead_ones(empty_pool: None) -> None:
    run = identity(array((LARGE,), 1))
    given = np.arange(float(LARGE))
    (first,) = run([given])
    place = first.ctypes.data
    assert place % 64 == 0 and first.flags.owndata and first.base is None
    (second,) = run([given])
    assert not np.shares_memory(first, second)
    view = first[10:20]
    del first
    assert run([given])[0].ctypes.data != place  # the view still needs it
    del view
    assert run([given])[0].ctypes.data == place
    np.testing.assert_array_equal(second, given)


def test_memory_goes_back_to_the_pool_and_the_system(empty_pool: None) -> None:
    run = identity(array((LARGE,), 1))
    given = np.zeros(LARGE)
    results = [run([given])[0] for _ in range(100)]
    assert pool.held() == 0
    del results
    assert pool.held() == 64 * 8 * LARGE  # no more blocks than the table has room for
    pool.clear()
    assert pool.held() == 0


def test_pool_is_bounded(empty_pool: None) -> None:
    run = identity(array((LARGE,), 1))
    results = [run([np.zeros(LARGE)])[0] for _ in range(10)]
    pool._set_limit(4 * 8 * LARGE)
    try:
        del results
    finally:
        held = pool.held()
    assert held == 4 * 8 * LARGE


def test_pooled_arrays_are_ordinary(empty_pool: None) -> None:
    (x,) = identity(array((LARGE,), 1))([np.arange(float(LARGE))])
    x.resize(2 * LARGE, refcheck=False)
    np.testing.assert_array_equal(x, [*range(LARGE), *[0] * LARGE])
    x.resize(3, refcheck=False)
    np.testing.assert_array_equal(x, [0, 1, 2])
    np.testing.assert_array_equal(np.sort(x.copy()), [0, 1, 2])
    x.shape = (3, 1)
    assert pickle.loads(pickle.dumps(x)).shape == (3, 1)


def test_results_may_outlive_everything() -> None:
    """Results and executables are destroyed at any time while the interpreter ends."""
    code = (
        "import sys, atexit\n"
        "import numpy as np\n"
        "from functrans.compiler import runtime\n"
        "from functrans.compiler.frames import Executable\n"
        "from functrans.compiler.calls import ArraySpec\n"
        "d, n = np.dtype('f8'), 100_000\n"
        "ints = np.array([8 * n])\n"
        "code = np.array([runtime.address_of('ft_copy'), ints.ctypes.data, 1, 2, 1, 2])\n"
        "spec = [ArraySpec((n,), d, 1)], [ArraySpec((n,), d, 2)]\n"
        "run = Executable(code, 1, *spec, 3, keep=[ints])\n"
        "class Late:\n"
        "    def __init__(self): self.me, self.run, self.x = self, run, run([np.zeros(n)])\n"
        "np.late = sys.late = late = Late()\n"
        "atexit.register(lambda x: None, late)\n"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, timeout=120)
    assert done.returncode == 0


def test_references_are_neither_lost_nor_leaked() -> None:
    b = Build()
    b.slots = 3

    def double(x: np.ndarray) -> Any:
        if x[0] < 0:
            raise ValueError
        return (2 * x,)

    address = python_kernel(double, [((2,), F8)], [((2,), F8)])
    run = b.executable([b.entry(address, [1, 2])], [array((2,), 1)], [array((2,), 2)])
    good, bad, odd = np.ones(2), -np.ones(2), np.ones(3)

    def use() -> list[int]:
        for _ in range(50):
            run([good])
            assert run([odd]) == 1
            with pytest.raises(ValueError):
                run([bad])
        return [sys.getrefcount(x) for x in (good, bad, odd)]

    use()
    before = use(), sys.getrefcount(F8)
    for _ in range(3):
        after = use(), sys.getrefcount(F8)
    assert before == after


def test_many_threads_at_once(any_dispatcher: str) -> None:
    """Every thread gets its own answers: frames are never shared."""
    b = Build()
    n = 64
    xs, ys, last = b.slot(), b.slot(), b.slot()
    entry = cumulative_sum(b, n, False, xs, ys, last)
    run = b.executable([entry], [array((n,), xs)], [array((n,), ys), array((), last)])
    wrong: list[Any] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(60):
            given = rng.integers(0, 100, n).astype(float)
            got, end = run([given])
            if not (np.array_equal(got, np.cumsum(given)) and end == given.sum()):
                wrong.append(given)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert sorted(run._free) == sorted(f.address for f in run._frames)


# --- Python functions in a schedule ---


def one_callback(fun: Callable, out_shape: tuple[int, ...] = (2,), **options: Any) -> Executable:
    b = Build()
    b.slots = 3
    address = python_kernel(fun, [((2,), F8)], [(out_shape, F8)], **options)
    entry = b.entry(address, [1, 2])
    return b.executable([entry], [array((2,), 1)], [array(out_shape, 2)])


def test_callback_exception_is_that_very_one(any_dispatcher: str) -> None:
    error = KeyError("mine")

    def fail(x: np.ndarray) -> Any:
        raise error

    run = one_callback(fail)
    with pytest.raises(KeyError) as caught:
        run([np.zeros(2)])
    assert caught.value is error
    assert "fail" in [entry.name for entry in caught.traceback]


def test_callback_exceptions_stay_in_their_thread(any_dispatcher: str) -> None:
    def fail(x: np.ndarray) -> Any:
        time.sleep(0.001)
        raise ValueError(int(x[0]))

    run = one_callback(fail)
    wrong = []

    def work(i: int) -> None:
        for _ in range(10):
            try:
                run([np.full(2, float(i))])
            except ValueError as error:
                if error.args != (i,):
                    wrong.append((i, error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_callback_may_call_the_same_executable(any_dispatcher: str) -> None:
    def halve(x: np.ndarray) -> Any:
        return (x,) if x[0] < 1 else run([x / 2])

    run = one_callback(halve)
    np.testing.assert_array_equal(run([np.array([8.0, 4.0])])[0], [0.5, 0.25])


def test_callback_inputs_are_read_only_views_or_copies(any_dispatcher: str) -> None:
    kept: list[np.ndarray] = []
    run = one_callback(lambda x: (kept.append(x) or x,))
    run([np.ones(2)])
    assert not kept[0].flags.writeable
    given = np.ones(2)
    run = one_callback(lambda x: (kept.append(x) or x,), copy_inputs=True)
    run([given])
    assert not np.shares_memory(kept[1], given)


@pytest.mark.parametrize(
    ("result", "error"),
    [
        ((np.zeros(3),), ValueError),
        ((np.zeros(()),), ValueError),
        ((), ValueError),
        ((np.zeros(2), np.zeros(2)), ValueError),
        ((np.zeros(2, complex),), TypeError),
        (None, TypeError),
    ],
)
def test_wrong_callback_result_is_an_error(result: Any, error: type, any_dispatcher: str) -> None:
    with pytest.raises(error):
        one_callback(lambda x: result)([np.zeros(2)])


def test_callback_of_empty_arrays(any_dispatcher: str) -> None:
    run = one_callback(lambda x: (np.zeros((0, 3)),), out_shape=(0, 3))
    assert run([np.zeros(2)])[0].shape == (0, 3)


def test_release_forgets_a_kernel() -> None:
    address = python_kernel(lambda: (), [], [])
    release(address)
    release(address)
