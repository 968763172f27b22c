"""Python's search for cyclic garbage, put off while many objects are made that all stay.

A trace and what the compiler makes of it are hundreds of thousands of objects, none of them
garbage, and every few hundred new ones Python looks for cycles among them: a third of the time of
a first call of an unrolled program of 3,000 steps.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside = 0
_was_enabled = False


@contextmanager
def collection_put_off() -> Iterator[None]:
    """While any thread is in here nothing is collected; what was enabled is so again afterwards."""
    global _inside, _was_enabled
    with _lock:
        if not _inside:
            _was_enabled = gc.isenabled()
            gc.disable()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside and _was_enabled:
                gc.enable()
