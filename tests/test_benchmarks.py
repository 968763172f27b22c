"""The benchmark suite: workloads run, results are compared, and the page says what was found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import report
from benchmarks.__main__ import difference
from benchmarks.libraries import load
from benchmarks.trees import leaves_of
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.workload import Workload

SHORT = [n for n, w in WORKLOADS.items() if not w.first_only and "784" not in n and "CNN" not in n]


@pytest.mark.parametrize("name", SHORT)
def test_a_workload_gives_finite_numbers(name: str) -> None:
    library, workload = load("functrans"), WORKLOADS[name]
    function, args = workload.make(library)
    calls = [args, *([workload.again(library)] if workload.again else [])]
    for leaf in leaves_of([function(*each) for each in calls]):
        assert np.all(np.isfinite(leaf))


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ([[1.0, 2.0]], [[1.0, 2.0 + 1e-9]], None),
        ([[1.0, 2.0]], [[2.0, 1.0]], "differs by 1"),
        ([[1.0, -2.0]], [[1.0, 2.0]], "differs by 4"),
        ([[1.0, np.nan]], [[1.0, 2.0]], "differs by nan"),
        ([[1.0]], [[1.0, 2.0]], "is float64[1] and float64[2]"),
        ([[1.0], [2.0]], [[1.0]], "2 arrays and 1"),
        ([[1]], [[1.0]], "is int64[1] and float64[1]"),
    ],
)
def test_results_are_compared_by_value(
    own: list[Any], other: list[Any], expected: str | None, tmp_path: Path
) -> None:
    np.savez(tmp_path / "own.npz", *own)
    np.savez(tmp_path / "other.npz", *other)
    workload = Workload("", lambda lib: (lib.jit, ()))
    found = difference(workload, tmp_path / "own.npz", tmp_path / "other.npz")
    assert found is expected if expected is None else expected in str(found)


def _figures(steady: float | None, cold: float) -> dict[str, float | None]:
    return {
        "import": 0.05,
        "steady": steady,
        "primal": steady and steady / 2,
        "cold": cold,
        "warm": cold / 10,
        "again": None,
        "again warm": None,
    }


FOUND: dict[str, dict[str, dict[str, Any]]] = {
    "fast": {"functrans": _figures(1e-3, 0.1), "jax": _figures(2e-3, 0.2)},
    "slow": {"functrans": _figures(8e-3, 0.4), "jax": _figures(1e-3, 0.2)},
    "compile only": {"functrans": _figures(None, 1.0), "jax": {"failed": "over 60 s"}},
    "broken": {"functrans": {"failed": "error"}, "jax": _figures(1e-3, 0.2)},
}


def test_the_page_has_ratios_and_their_geometric_means() -> None:
    text = report.page(FOUND)
    assert "| fast | 1 ms | 2 ms (0.50) | – | – | 2.0 |" in text
    assert "| slow | 8 ms | 1 ms (8.00) | – | – | 2.0 |" in text
    assert "Geometric mean of the ratios of steady-state times: **2.00** × jax." in text
    assert "Geometric mean of cold first calls: **1.00** × jax." in text
    assert "| compile only | 1 s | over 60 s | 100 ms | 150 ms |" in text
    assert "Import after NumPy: functrans 50 ms, jax 50 ms." in text


def test_a_workload_that_fails_stays_on_the_page() -> None:
    text = report.page(FOUND)
    assert "| broken | error | 1 ms | – | – |  |" in text
    assert "| broken | error | 200 ms | – | – |" in text
    assert report.line("broken", FOUND["broken"]) == "broken | functrans error | jax 1 ms"


@pytest.mark.parametrize(("t", "expected"), [(None, "–"), (2.5, "2.5 s"), (3.2e-6, "3.2 µs")])
def test_times_are_shown_with_a_unit(t: float | None, expected: str) -> None:
    assert report.shown(t) == expected
