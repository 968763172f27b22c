"""Object code on disk, by the hash of what it was made from.

Machine code is only ever loaded from a directory that belongs to the user and that nobody else can
write. A cache that cannot be used (unwritable, foreign, damaged) is ignored with one warning.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
from pathlib import Path

FORMAT = b"functrans-1\n"
SIZE_LIMIT = 512 << 20
"""Bytes kept on disk; the least recently used files go first."""

_warned = False
_writes = 0


def directory() -> Path:
    """Where object code is kept: `FUNCTRANS_CACHE_DIR`, or the platform's place for caches."""
    chosen = os.environ.get("FUNCTRANS_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "functrans"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "functrans" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "functrans"


def key_of(*parts: str) -> str:
    """The name of an entry made from these texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def load(key: str) -> bytes | None:
    """The object code of an entry; None if there is none that can be trusted."""
    path = directory() / f"{key}.o"
    try:
        if not path.exists() or not _trusted(path.parent):
            return None
        data = path.read_bytes()
        os.utime(path)
    except OSError as error:
        _warn(f"cannot read {path}: {error}")
        return None
    head, code = data[: len(FORMAT) + 32], data[len(FORMAT) + 32 :]
    if head != FORMAT + hashlib.sha256(code).digest():
        _warn(f"{path} is damaged and will be written anew")
        return None
    return code


def save(key: str, code: bytes) -> None:
    """Keep object code, atomically; failing to is no error."""
    global _writes
    folder = directory()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _trusted(folder):
            return
        handle, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            file.write(FORMAT + hashlib.sha256(code).digest() + code)
        os.replace(name, folder / f"{key}.o")
        _writes += 1
        if _writes % 64 == 1:
            _prune(folder)
    except OSError as error:
        _warn(f"cannot write to {folder}: {error}")


def clear_cache() -> None:
    """Delete all object code from the disk cache.

    >>> import functrans as ft
    >>> ft.clear_cache()
    """
    for path in directory().glob("*.o"):
        path.unlink(missing_ok=True)


def _trusted(folder: Path) -> bool:
    """Whether only this user can put code there."""
    if sys.platform == "win32":
        return True
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        _warn(f"{folder} belongs to or can be written by someone else, so it is not used")
        return False
    return True


def _prune(folder: Path) -> None:
    files = sorted(((p.stat().st_mtime, p.stat().st_size, p) for p in folder.glob("*.o")))
    excess = sum(size for _, size, _ in files) - SIZE_LIMIT
    for _, size, path in files:
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size


def _warn(text: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        warnings.warn(f"functrans compiles without its disk cache: {text}", stacklevel=2)
