"""Object code on disk, by the hash of what it was made from.

Machine code is only ever loaded from files and a directory that belong to the user and that nobody
else can write. A cache that cannot be used (unwritable, foreign, damaged) is ignored with one
warning in the life of the process; it is never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import sys
import tempfile
import time
import warnings
from pathlib import Path

from functrans.core.config import config

FORMAT = b"functrans-object-2\n"
"""First line of an entry; then the SHA-256 of the object code, then the code."""
SIZE_LIMIT = 512 << 20
"""Bytes kept on disk; the least recently used entries go first."""
STALE = 3600.0
"""Seconds after which a temporary file is what a killed process left behind."""

_ENTRY = re.compile("[0-9a-f]{64}[.]o")
"""Names of entries: the directory may be the user's own, with other files in it."""
_TEMPORARY = "functrans-tmp-"

_warned = False


def directory() -> Path:
    """Where object code is kept: `functrans.config.cache_dir`, or where the platform says."""
    if config.cache_dir is not None:
        return config.cache_dir
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "functrans"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "functrans" / "cache"
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG specification has relative paths ignored
    return (Path(xdg) if os.path.isabs(xdg) else Path.home() / ".cache") / "functrans"


def key_of(*parts: str) -> str:
    """The name of an entry made from these texts."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def load(key: str) -> bytes | None:
    """The object code of an entry; None if there is none that can be trusted."""
    try:
        folder = directory()
        path = folder / f"{key}.o"
        try:
            data = _read(folder, path)
        except FileNotFoundError:
            return None
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home directory
        _warn(f"cannot read it: {error}")
        return None
    if data is None:
        return None
    head, code = data[: len(FORMAT) + 32], data[len(FORMAT) + 32 :]
    if head != FORMAT + hashlib.sha256(code).digest():
        _warn(f"{path} is damaged and will be written anew")
        return None
    return code


def save(key: str, code: bytes) -> None:
    """Keep object code, atomically."""
    try:
        folder = directory()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_private(folder.stat(), folder):
            return
        _write(folder, f"{key}.o", FORMAT + hashlib.sha256(code).digest() + code)
        if key.startswith(("00", "40", "80", "c0")):  # one write in 64
            prune(folder)
    except (OSError, RuntimeError) as error:
        _warn(f"cannot write it: {error}")


def clear_cache() -> None:
    """Delete all object code from the disk cache.

    Code that this process has loaded goes on working.

    >>> import functrans as ft
    >>> ft.clear_cache()
    """
    with contextlib.suppress(RuntimeError):
        for path in directory().glob("*.o"):
            if _ENTRY.fullmatch(path.name):
                path.unlink(missing_ok=True)


def prune(folder: Path, limit: int | None = None) -> None:
    """Delete the least recently used entries beyond the size limit, and stale temporary files."""
    entries = []
    for item in os.scandir(folder):
        with contextlib.suppress(FileNotFoundError):  # another process prunes too
            status = item.stat()
            if _ENTRY.fullmatch(item.name):
                entries.append((status.st_mtime, status.st_size, item.path))
            elif item.name.startswith(_TEMPORARY) and status.st_mtime < time.time() - STALE:
                os.unlink(item.path)
    excess = sum(size for _, size, _ in entries) - (limit or config.cache_size or SIZE_LIMIT)
    for _, size, path in sorted(entries):
        if excess <= 0:
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        excess -= size


def _read(folder: Path, path: Path) -> bytes | None:
    with open(path, "rb") as file:
        # the file just opened is looked at, not its name, which could change in between
        if not (_is_private(folder.stat(), folder) and _is_private(os.fstat(file.fileno()), path)):
            return None
        data = file.read()
    with contextlib.suppress(OSError):  # a read-only cache is as good to read from
        os.utime(path)
    return data


def _write(folder: Path, name: str, data: bytes) -> None:
    """A reader in another process sees the whole file or none."""
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=_TEMPORARY)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, folder / name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _is_private(status: os.stat_result, path: Path) -> bool:
    """Whether only this user can change what was looked at."""
    if sys.platform == "win32":  # profiles are private there, and modes say nothing
        return True
    if status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    _warn(f"{path} belongs to or can be written by someone else, so code in it is not trusted")
    return False


def _warn(text: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        message = f"functrans goes on without its disk cache of compiled code: {text}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
