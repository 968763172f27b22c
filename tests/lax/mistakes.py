"""Mistakes as data: functions that make one, the error each must meet, and where each is made."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import FunctransError
from functrans.core.trace import trace_depth

X = np.array([0.5, -1.0, 2.0])

# what runs a function of x on X; the function's result is dropped, or returned beside x
CONTEXTS: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "eager": lambda f: f(X),
    "jit": lambda f: ft.jit(f)(X),
    "grad": lambda f: ft.grad(lambda x: (f(x), fnp.sum(x))[1])(X),
    "jvp": lambda f: ft.jvp(f, (X,), (X,)),
    "vmap": lambda f: ft.vmap(f)(np.stack([X, X])),
    "jit of grad": lambda f: ft.jit(ft.grad(lambda x: (f(x), fnp.sum(x))[1]))(X),
    "scan": lambda f: lax.scan(lambda c, _: (c, f(c)), X, None, length=2),
    "while": lambda f: lax.while_loop(lambda c: c[0] < 1, lambda c: (f(c), c)[1], X),
    "cond": lambda f: lax.cond(True, f, lambda x: x, X),
    "checkpoint": lambda f: ft.grad(ft.checkpoint(lambda x: (f(x), fnp.sum(x))[1]))(X),
}
ALL = tuple(CONTEXTS)
WITHOUT_VALUES = ("jit", "vmap", "jit of grad", "scan", "while", "cond")


class Mistake(NamedTuple):
    """What must happen to who makes a mistake.

    Attributes:
        make: makes it with x, a vector of three.
        kind: the exception.
        patterns: found in its message.
        where: in which CONTEXTS.
    """

    make: Callable[[Any], Any]
    kind: type[Exception]
    patterns: tuple[str, ...]
    where: tuple[str, ...]


class Mistakes(list[Mistake]):
    """A table that functions are put into by decoration: `@mistake(kind, *patterns)`."""

    def __call__(
        self, kind: type[Exception], *patterns: str, where: tuple[str, ...] = ALL
    ) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        def register(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self.append(Mistake(make, kind, patterns, where))
            return make

        return register

    def rows(self) -> Any:
        """Every mistake in every context, for a test of (row, context)."""
        rows = [pytest.param(m, c, id=f"{m.make.__name__}-{c}") for m in self for c in m.where]
        return pytest.mark.parametrize(("row", "context"), rows)


# what nobody but who wrote functrans can know
JARGON = re.compile(r"\bTracer|\b\w+_p\b|treedef|PyTreeSpec|<class|of_rest|of_given|like_b")


def check(row: Mistake, context: str) -> None:
    """The error is of its kind, says what it must, names the mistake's line, leaves no state."""
    with pytest.raises(row.kind) as raised:
        CONTEXTS[context](row.make)
    error = raised.value
    message = str(error)
    for pattern in row.patterns:
        assert re.search(pattern, message), message
    assert not JARGON.search(message), message
    assert error.__cause__ is None and (error.__suppress_context__ or error.__context__ is None)
    if isinstance(error, FunctransError):
        file = re.escape(Path(row.make.__code__.co_filename).name)
        (named,) = re.findall(rf"^  at {file}:(\d+) in", message, re.MULTILINE)
        assert int(named) in _lines_of(row.make), message
    assert trace_depth() == 0


def _lines_of(fun: Any) -> set[int]:
    """The lines of a function and of the functions written in it."""
    codes, lines = [fun.__code__], set()
    while codes:
        code = codes.pop()
        lines |= {line for _, _, line in code.co_lines() if line}
        codes += [c for c in code.co_consts if hasattr(c, "co_lines")]
    return lines
