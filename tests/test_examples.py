"""The examples run in a short form: what they promise, on less work."""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_digits(tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "digits.py"))["main"]
    assert main(epochs=8, out_dir=tmp_path) >= 0.94
    assert (tmp_path / "digits.png").stat().st_size > 10_000
