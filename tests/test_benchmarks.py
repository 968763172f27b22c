"""The benchmark suite: its workloads run, and its page says what was measured."""

import numpy as np
import pytest

from benchmarks import report
from benchmarks.libraries import leaves_of, load
from benchmarks.workloads import WORKLOADS

SHORT = [n for n, w in WORKLOADS.items() if not w.first_only and "784" not in n and "CNN" not in n]


@pytest.mark.parametrize("name", SHORT)
def test_a_workload_gives_finite_numbers(name: str) -> None:
    function, args = WORKLOADS[name].make(load("functrans"))
    for leaf in leaves_of(function(*args)):
        assert np.all(np.isfinite(leaf))


def _figures(steady: float | None, cold: float) -> dict:
    return {
        "import": 0.05,
        "steady": steady,
        "primal": steady and steady / 2,
        "cold": cold,
        "warm": cold / 10,
        "again": None,
        "digest": [1.0],
    }


FOUND = {
    "fast": {"functrans": _figures(1e-3, 0.1), "jax": _figures(2e-3, 0.2), "torch": None},
    "slow": {"functrans": _figures(8e-3, 0.4), "jax": _figures(1e-3, 0.2)},
    "compile only": {"functrans": _figures(None, 1.0), "jax": None},
}


def test_the_page_has_ratios_and_their_geometric_means() -> None:
    text = report.page(FOUND, {"functrans": 0.05, "jax": 0.3})
    assert "| fast | 1 ms | 2 ms (0.50) | – | – | 2.0 |" in text
    assert "| slow | 8 ms | 1 ms (8.00) | – | – | 2.0 |" in text
    assert "Geometric mean of the ratios of steady-state times: **2.00** × jax." in text
    assert "Geometric mean of cold first calls: **1.00** × jax." in text
    assert "| compile only | 1 s | over 60 s |  | 100 ms | 150 ms |" in text
    assert "Import after NumPy: functrans 50 ms, jax 300 ms." in text


@pytest.mark.parametrize(("t", "expected"), [(None, "–"), (2.5, "2.5 s"), (3.2e-6, "3.2 µs")])
def test_times_are_shown_with_a_unit(t: float | None, expected: str) -> None:
    assert report.shown(t) == expected
