"""Schedules on disk, by what their Programs say: a second process does not lower them again.

A plan is the schedule with its kernels by name and the keys of their object code. It is found by
the hash of the Program's structure, of functrans's own files and of what lowering depends on
besides. Programs that hold functions of the user (callbacks, primitives) have no plan.
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from functrans.compiler import cache as disk
from functrans.compiler.emitted import EmittedKernel, StoredKernel
from functrans.compiler.engine import target
from functrans.compiler.link import stored
from functrans.compiler.schedule import Block, Entry, Schedule
from functrans.compiler.threads import num_threads
from functrans.core.primitive import Primitive
from functrans.core.program import Program
from functrans.core.types import Aval
from functrans.primitives import OWN


def plan_key(program: Program, donated: frozenset[int]) -> str | None:
    """The name of a Program's plan; None if it depends on what another process cannot know."""
    try:
        digest = _digest((program, donated))
    except _UnstableError:
        return None
    return disk.key_of("plan", *target(), _version(), str(num_threads()), digest)


def _digest(x: Any) -> str:
    parts: list[str] = []
    _describe(x, parts)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _digest_of_program(program: Program) -> str:
    """Found once: Programs hold others, and these are often the same ones."""
    if "digest" not in program.cache:
        # primitives of others may mean something else next time
        own = all(e.primitive in OWN for e in program.equations)
        program.cache["digest"] = _digest(program.key) if own else None
    if program.cache["digest"] is None:
        raise _UnstableError
    return program.cache["digest"]


def load_plan(key: str) -> Schedule | None:
    """The schedule of an earlier process."""
    data = disk.load(key)
    if data is None:
        return None
    try:
        return pickle.loads(data)
    except (AttributeError, ImportError, KeyError, pickle.UnpicklingError):
        return None  # of a primitive, say, that is not defined here


def save_plan(key: str, schedule: Schedule) -> None:
    """Keep a linked schedule."""
    disk.save(key, pickle.dumps(replace(schedule, main=_by_name(schedule.main)), protocol=5))


def _by_name(block: Block) -> Block:
    entries: list[Entry] = []
    for entry in block.entries:
        kernel = entry.target
        if isinstance(kernel, EmittedKernel | StoredKernel):
            kernel = stored(kernel)
        ints = tuple([_by_name(x) if isinstance(x, Block) else x for x in entry.ints])
        entries.append(replace(entry, target=kernel, ints=ints))
    return Block(entries, block.temporaries)


class _UnstableError(Exception):
    """Something has no meaning in another process."""


def _describe(x: Any, parts: list[str]) -> None:
    """Append texts of a value that are equal in every process, and only for equal values."""
    kind = type(x)
    if kind in _AS_TEXT:
        parts.append(kind.__name__ + _AS_TEXT[kind](x))
    elif isinstance(x, Program):
        parts.append(f"program {_digest_of_program(x)}")
    elif kind is tuple or kind is list:
        parts.append(f"{kind.__name__} {len(x)}")
        for y in x:
            _describe(y, parts)
    elif isinstance(x, np.ndarray | np.generic):
        parts.append(f"array {x.dtype.str} {x.shape} {x.tobytes().hex()}")
    elif isinstance(x, np.dtype):
        parts.append(f"dtype {x.str}")
    elif kind is type:
        parts.append(f"type {x.__module__}.{x.__qualname__}")
    elif is_dataclass(kind) and kind.__module__.startswith("functrans."):
        parts.append(f"{kind.__module__}.{kind.__qualname__}")
        _describe([getattr(x, field.name) for field in fields(kind)], parts)
    elif kind is frozenset:
        parts.append(f"frozenset {len(x)}")
        parts.extend(sorted(map(_digest, x)))
    else:
        raise _UnstableError


def _aval(x: Aval) -> str:
    return f"{x.dtype.str}{x.shape}{x.weak_type}"


_AS_TEXT: dict[type, Callable[[Any], str]] = {
    Aval: _aval,
    Primitive: lambda x: x.name,
    bool: str,
    bytes: bytes.hex,
    complex: lambda x: f"{x.real.hex()} {x.imag.hex()}",
    float: float.hex,
    int: str,
    str: str,
    type(None): str,
}


@cache
def _version() -> str:
    """Of functrans: a changed file makes other schedules, perhaps."""
    root = Path(__file__).parent.parent
    files = []
    for folder in ("core", "transforms", "primitives", "compiler", "compiler/math"):
        for item in os.scandir(root / folder):
            if item.name.endswith((".py", ".ll")):
                status = item.stat()
                files.append(f"{folder}/{item.name} {status.st_mtime_ns} {status.st_size}")
    return disk.key_of(*sorted(files))
