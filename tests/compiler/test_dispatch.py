"""From Python into a schedule: a leaf that does not fit is refused before anything runs, and every
thread gets its own answers."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from functrans.compiler.frames import Executable
from tests.compiler.schedules import (
    B1,
    F8,
    I8,
    Build,
    array,
    cumulative_sum,
    identity,
)

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
