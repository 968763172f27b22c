"""The examples run in a short form: what they promise, on less work."""

from __future__ import annotations

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_digits(tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "digits.py"))["main"]
    assert main(epochs=8, out_dir=tmp_path) >= 0.94
    assert (tmp_path / "digits.png").stat().st_size > 10_000


def test_lorenz(tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "lorenz.py"))["main"]
    assert main(horizon=1.0, steps=12, out_dir=tmp_path) < 0.05
    assert (tmp_path / "lorenz.png").stat().st_size > 10_000


def test_kalman(tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "kalman.py"))["main"]
    assert main(count=1000, out_dir=tmp_path) < 3
    assert (tmp_path / "kalman.png").stat().st_size > 10_000


def test_pendulum(tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "pendulum.py"))["main"]
    assert main(steps=2000, updates=5, out_dir=tmp_path) > 0
    assert (tmp_path / "pendulum.png").stat().st_size > 10_000


def test_equilibrium(tmp_path: Path) -> None:
    main = runpy.run_path(str(EXAMPLES / "equilibrium.py"))["main"]
    assert main(epochs=4, out_dir=tmp_path) > 0.8
    assert (tmp_path / "equilibrium.png").stat().st_size > 10_000
