"""A loop without an end stops at Ctrl-C, wherever it runs, and leaves no state."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.trace import trace_depth
from tests.lax.mistakes import X


def endless(x: Any) -> Any:
    return lax.while_loop(lambda c: fnp.sum(c) < 1e9, lambda c: fnp.sin(c), x)


def example(x: Any) -> Any:
    """Endless from 1 on."""
    return lax.while_loop(lambda v: v > 0, lambda v: fnp.where(x < 1.0, v - 1.0, v + 1.0), x + 9.0)


def side_by_side(x: Any) -> Any:
    ends = lax.fori_loop(0, 200_000, lambda i, c: fnp.sin(c), x)
    return ends + lax.fori_loop(0, 2**60, lambda i, c: fnp.sin(c), x)


SLOW = ft.jit(lambda x: lax.fori_loop(0, 2**60, lambda i, c: c @ c, x))
EXAMPLES = ft.jit(ft.vmap(example))

ENDLESS = {
    "eager": endless,
    "jit": ft.jit(endless),
    "grad": ft.grad(lambda x: fnp.sum(endless(x))),
    "jit of grad": ft.jit(ft.grad(lambda x: fnp.sum(endless(x)))),
    "vmap": lambda x: ft.vmap(endless)(fnp.stack([x, x])),
    "in scan": ft.jit(lambda x: lax.scan(lambda c, _: (endless(c), None), x, length=2)),
    "fori": lambda x: lax.fori_loop(0, 2**60, lambda i, c: fnp.sin(c), x),
    "traced fori": lambda x: ft.jit(
        lambda x, n: lax.fori_loop(0, n, lambda i, c: fnp.sin(c), x)
    )(x, 2**60),
    # the thread of the call may be the one that has ended
    "side by side": lambda x: ft.jit(side_by_side)(x),
    "side by side, large": lambda x: ft.jit(side_by_side)(np.ones(1000)),
    # a second a few steps: to look every so many would be to look twice a minute
    "slow steps": lambda x: SLOW(np.zeros((1500, 1500))),
    "all of many examples": lambda x: EXAMPLES(np.full(20_000, 1.0)),
    # a thread other than that of the call may be the one that does not end
    "the last of many examples": lambda x: EXAMPLES(np.linspace(0.0, 1.0, 20_000)),
}  # fmt: skip


@pytest.mark.skipif(sys.platform == "win32", reason="raises a signal the POSIX way")
@pytest.mark.parametrize("name", ENDLESS)
def test_ctrl_c_ends_a_loop_that_does_not(name: str) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # time enough to get into compiled code; interrupted before, tracing and compiling end as well
    wait = f"import os, signal, time; time.sleep(1); os.kill({os.getpid()}, signal.SIGINT)"
    timer = subprocess.Popen([sys.executable, "-S", "-c", wait])
    try:
        with pytest.raises(KeyboardInterrupt):
            ENDLESS[name](X)
        timer.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    assert trace_depth() == 0
    np.testing.assert_array_equal(ft.jit(lambda x: x + 1.0)(X), X + 1.0)
