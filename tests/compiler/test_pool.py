"""Large results take the memory of dead ones, are ordinary arrays, and nothing leaks."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from functrans.compiler import pool
from functrans.compiler.callbacks import python_kernel
from tests.compiler.schedules import (
    F8,
    Build,
    array,
    identity,
)

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
