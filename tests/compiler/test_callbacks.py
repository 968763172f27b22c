"""Python functions in a schedule: an exception comes through as it is, in its own thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from functrans.compiler.callbacks import python_kernel, release
from functrans.compiler.frames import Executable
from tests.compiler.schedules import (
    F8,
    Build,
    array,
)


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
