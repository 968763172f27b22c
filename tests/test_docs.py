"""Every example in README.md, CONTRIBUTING.md and docs/*.md runs, and prints what the page says."""

from __future__ import annotations

import doctest
import linecache
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from functrans.core import primitive

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WITHOUT_EXAMPLES = {"performance.md", "elementary.md", "design.md"}
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """The ```python blocks of a page, each with the line on which its code begins."""
    for match in FENCE.finditer(text):
        if match[1] == "python":
            yield text.count("\n", 0, match.start(2)) + 1, match[2]


def run_block(path: Path, line: int, code: str, names: dict[str, Any]) -> None:
    """Run one block in the page's namespace: a doctest if it has prompts, else plain code."""
    if not re.search(r"^\s*>>> ", code, re.MULTILINE):
        # the padding gives tracebacks the page's line numbers
        exec(compile("\n" * (line - 1) + code, str(path), "exec"), names)
        return
    name = f"{path.name}:{line}"
    test = doctest.DocTestParser().get_doctest(code, {}, name, str(path), line - 1)
    for i, example in enumerate(test.examples):
        # errors quote lines of functions that an earlier block defined
        lines = example.source.splitlines(keepends=True)
        linecache.cache[f"<doctest {name}[{i}]>"] = len(example.source), None, lines, name
    # get_doctest copies its globals; a page's blocks share one namespace
    test.globs = names
    report: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=FLAGS).run(
        test, out=report.append, clear_globs=False
    )
    if failed:
        pytest.fail("".join(report), pytrace=False)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = list(blocks(path.read_text(encoding="utf-8")))
    assert found or path.name in WITHOUT_EXAMPLES, f"{path.name} has no ```python block"
    # pages may write files
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    monkeypatch.setattr(primitive, "registry", dict(primitive.registry))  # pages may add some
    with np.printoptions(legacy=False):
        for line, code in found:
            run_block(path, line, code, names)
