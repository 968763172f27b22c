"""How many threads run a kernel, and the workers that do.

Only loops over independent results are divided, so results do not depend on the number of threads;
where a reduction has too few, its blocks have some (functrans/compiler/blocks.py). Workers are
POSIX threads that wait in native code and never touch Python: the thread of the call alone looks
for Ctrl-C, and stops the others. Where there are none (Windows), kernels run on the calling thread.
One job is divided at a time: a call from another thread meanwhile runs undivided, which is as good
when all cores are busy.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

from functrans.compiler.engine import Effort, compile_module
from functrans.core.config import config, cores

SPLIT_NANOSECONDS = 60_000
"""Kernels estimated to take less run on one thread: waking another takes up to 10 µs."""
PIECE_NANOSECONDS = 20_000
"""What a piece takes at least."""
MOST_WORKERS = 255
_FUNCTIONS = ("ft_split", "ft_start_workers", "ft_forget_workers", "ft_worker_status")
_POSIX = (
    "pthread_create",
    "pthread_mutex_init",
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
    "pthread_cond_init",
    "pthread_cond_wait",
    "pthread_cond_broadcast",
    "pthread_self",
    "sched_yield",
)
_lock = threading.Lock()
_started = False


def num_threads() -> int:
    """Threads that may run a kernel: `functrans.config.num_threads`, or this process's cores.

    Raises:
        FunctransError: the environment variable is not a positive number.
    """
    chosen = config.num_threads
    if not _available():
        return 1
    return cores() if chosen is None else chosen


def pieces(
    extent: int,
    nanoseconds: float,
    least: float = SPLIT_NANOSECONDS,
    piece: float = PIECE_NANOSECONDS,
) -> int:
    """Into how many pieces to divide a loop that takes so long on one thread.

    Args:
        extent: its iterations.
        nanoseconds: for all of them.
        least: nanoseconds from which it is divided.
        piece: nanoseconds that a piece takes at least.
    """
    if nanoseconds < least or num_threads() == 1:
        return 1
    wanted = min(4 * num_threads(), int(nanoseconds / piece))
    return max(1, min(max(wanted, num_threads()), extent, 1 << 12))


def split_address() -> int:
    """The native function that divides a kernel; workers are started when it is first asked for."""
    global _started
    with _lock:
        if not _started:
            ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(_native()["ft_start_workers"])(
                min(num_threads() - 1, MOST_WORKERS)
            )
            _started = True
    return _native()["ft_split"]


@cache
def _available() -> bool:
    return sys.platform in ("linux", "darwin") and _pause() is not None


def _pause() -> str | None:
    """The call that tells the processor that a loop waits."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return "@llvm.x86.sse2.pause()"
    return "@llvm.aarch64.hint(i32 1)" if machine in ("aarch64", "arm64") else None


@cache
def _native() -> dict[str, int]:
    from functrans.compiler import runtime

    text = (Path(__file__).parent / "threads.ll").read_text("utf-8")
    pause = _pause() or ""
    name, argument = pause.rstrip(")").split("(")
    text = text.replace("PAUSE", pause).replace("MOST", str(MOST_WORKERS))
    text += f"\ndeclare void {name}({argument.split(' ')[0]})\nattributes #0 = {{ nounwind }}\n"
    process: Any = ctypes.CDLL(None)
    symbols = {
        f"ft_{name}": ctypes.cast(getattr(process, name), ctypes.c_void_p).value or 0
        for name in _POSIX
    }
    symbols["ft_poll"] = runtime.address_of("ft_poll")
    native = compile_module(text, _FUNCTIONS, symbols, Effort.TRANSLATE)
    install = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(runtime.address_of("ft_set_worker_status"))
    install(native["ft_worker_status"])
    return native


def _after_fork() -> None:
    """The child has no workers; they are started again when its next program is compiled."""
    global _lock, _started
    _lock = threading.Lock()
    if _started:
        _started = False
        ctypes.CFUNCTYPE(None)(_native()["ft_forget_workers"])()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
