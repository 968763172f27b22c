"""Garbage collection is put off while functions are traced and compiled, and only then."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest

import functrans as ft
from functrans.core.garbage import collection_put_off


@pytest.fixture(params=[True, False], ids=["enabled", "disabled"])
def enabled(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether collection is enabled around."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_it_is_off_inside_and_as_it_was_afterwards(enabled: bool) -> None:
    with collection_put_off():
        assert not gc.isenabled()
        with collection_put_off():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled() == enabled
    with pytest.raises(KeyError), collection_put_off():
        raise KeyError
    assert gc.isenabled() == enabled


def test_the_last_thread_to_leave_turns_it_on(enabled: bool) -> None:
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with collection_put_off():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with collection_put_off():
        thread.start()
        entered.wait()
    assert not gc.isenabled()
    leave.set()
    thread.join()
    assert gc.isenabled() == enabled


def test_a_first_call(enabled: bool) -> None:
    seen: list[bool] = []

    def f(x: object) -> object:
        seen.append(gc.isenabled())
        return x

    ft.jit(f)(np.ones(3))
    assert seen == [False]
    assert gc.isenabled() == enabled
