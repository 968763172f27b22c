"""Where in the user's code an equation came from."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any, NamedTuple

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_is_internal: dict[str, bool] = {}


class Source(NamedTuple):
    """A line of the user's: the code object and the line number in it; and what to say of it."""

    code: CodeType
    line: int
    note: str = ""

    @property
    def file(self) -> str:
        return os.path.basename(self.code.co_filename)

    def __str__(self) -> str:
        note = f": {self.note}" if self.note else ""
        return f"{self.file}:{self.line} ({self.code.co_name}){note}"

    def explain(self) -> str:
        """The line as an error shows it: file, line, function and the text of the line."""
        import linecache

        text = linecache.getline(self.code.co_filename, self.line).strip()
        tail = f":  {text}" if text else ""
        return f"at {self.file}:{self.line} in {self.code.co_name}{tail}"

    def __reduce__(self) -> Any:
        return (_restored, (self.code.co_filename, self.code.co_name, self.line, self.note))


def _restored(filename: str, name: str, line: int, note: str) -> Source:
    """A Source from a pickle: code objects do not pickle, what is shown of them does."""
    return Source(_restored.__code__.replace(co_filename=filename, co_name=name), line, note)


class _Around(NamedTuple):
    """A scope in which lines further in than the frame come before its source."""

    source: Source | None
    frame: FrameType


class _Scope(threading.local):
    source: Any = None  # a Source, an _Around, or None


_local = _Scope()
_sources: dict[tuple[int, int], Source] = {}


def current_source() -> Source | None:
    """The innermost line outside functrans and NumPy, or the one set by `source_scope`."""
    scoped, end = _local.source, None
    if scoped is not None:
        if type(scoped) is Source:
            return scoped
        scoped, end = scoped
    frame, internal = sys._getframe(1), _is_internal
    while frame is not end:
        code = frame.f_code
        name = code.co_filename
        # every equation comes by here, with five frames of functrans on top of the user's
        if not (internal[name] if name in internal else _internal(name)):
            # the line of an instruction takes a search, and the same ones come again and again
            key = (id(code), frame.f_lasti)
            source = _sources.get(key)
            if source is None or source.code is not code:
                if len(_sources) > 50_000:
                    _sources.clear()
                source = _sources[key] = Source(code, frame.f_lineno)
            return source
        frame = frame.f_back  # type: ignore[assignment]  # ends as None
    return scoped


@contextmanager
def source_scope(source: Source | None) -> Iterator[None]:
    """Equations made here carry this source: what a rule adds belongs to the user's line."""
    before = _local.source
    _local.source = source if source is not None else before
    try:
        yield
    finally:
        _local.source = before


@contextmanager
def noted(note: str) -> Iterator[None]:
    """Equations made here carry the current source with a note for people."""
    source = current_source()
    with source_scope(None if source is None else source._replace(note=note)):
        yield


def call_user(fun: Callable[..., Any], *args: Any) -> Any:
    """fun(*args), for a function of the user's that a rule calls: lines in it go before the scope's
    source, which stands for what functrans does."""
    before = _local.source
    if before is None:
        return fun(*args)
    _local.source = _Around(current_source(), sys._getframe())
    try:
        return fun(*args)
    finally:
        _local.source = before


def set_source(source: Source | None) -> Source | None:
    """Set the scope's source and return the one before: `source_scope` for inner loops."""
    before = _local.source
    _local.source = source
    return before


def user_line(prefix: str = "\n  ") -> str:
    """The current user line as a suffix for an error message, or nothing."""
    source = current_source()
    return f"{prefix}{source.explain()}" if source is not None else ""


def _internal(filename: str) -> bool:
    known = _is_internal.get(filename)
    if known is None:
        known = filename.startswith((_PACKAGE, "<frozen")) or any(
            os.sep + os.path.join("site-packages", library) + os.sep in filename
            for library in ("numpy", "optree")
        )
        _is_internal[filename] = known
    return known
