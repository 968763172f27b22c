"""`functrans.config`: the settings, from code or from environment variables."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from functrans.core.errors import FunctransError


class Config:
    """Settings; what is set in code counts before the environment, and that before the default.

    Attributes:
        num_threads: threads that may run a kernel; the cores of this process by default
            (FUNCTRANS_NUM_THREADS). Counts for what is compiled from then on.
        cache_dir: where compiled code is kept on disk; the platform's place for caches by default
            (FUNCTRANS_CACHE_DIR).
        cache_size: bytes kept there; 512 MiB by default (FUNCTRANS_CACHE_SIZE).
        dump_dir: a folder in which every compiled function leaves its Program, schedule, LLVM IR
            and assembly; none by default (FUNCTRANS_DUMP_DIR).

    >>> import functrans as ft
    >>> with ft.config(num_threads=1):
    ...     ft.config.num_threads
    1
    """

    num_threads: int | None
    cache_dir: Path | None
    cache_size: int | None
    dump_dir: Path | None

    def __init__(self) -> None:
        object.__setattr__(self, "_chosen", {})

    def __getattr__(self, name: str) -> Any:
        if name not in _READ:
            raise AttributeError(f"functrans has no setting {name!r}; it has {_known()}")
        if name in self._chosen:
            return self._chosen[name]
        variable = f"FUNCTRANS_{name.upper()}"
        text = os.environ.get(variable, "")
        return _READ[name](variable, text) if text else None

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _READ:
            raise FunctransError(f"functrans has no setting {name!r}; it has {_known()}")
        if value is None:
            self._chosen.pop(name, None)
        else:
            self._chosen[name] = _READ[name](name, str(value))

    @contextmanager
    def __call__(self, **settings: Any) -> Iterator[None]:
        """Settings for the time of a `with` block; for all threads."""
        before = dict(self._chosen)
        try:
            for name, value in settings.items():
                setattr(self, name, value)
            yield
        finally:
            object.__setattr__(self, "_chosen", before)

    def __repr__(self) -> str:
        return f"config({', '.join(f'{name}={getattr(self, name)!r}' for name in _READ)})"


def cores() -> int:
    """The cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _positive(name: str, text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise FunctransError(f"{name} must be a positive number: {text!r}")
    return int(text)


def _path(name: str, text: str) -> Path:
    return Path(text)


_READ = {"num_threads": _positive, "cache_dir": _path, "cache_size": _positive, "dump_dir": _path}


def _known() -> str:
    return ", ".join(_READ)


config = Config()
