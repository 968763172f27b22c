"""Recover the parameters of the Lorenz system from noisy observations, through the solver.

Run it with `python examples/lorenz.py`. The loss integrates the system with `odeint` and compares
it with the data; its Jacobian goes through the adaptive solver in forward mode, and Gauss and
Newton's method needs a dozen compiled steps. It draws out/lorenz.png.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import functrans as ft
import functrans.numpy as fnp
from functrans.integrate import odeint

TRUE = np.array([10.0, 28.0, 8 / 3])
START = np.array([1.0, 1.0, 20.0])
NOISE = 0.5
console = Console(highlight=False)


def lorenz(s: Any, t: Any, p: Any) -> Any:
    """The slope of the Lorenz system with parameters (σ, ρ, β)."""
    x, y, z = s
    return fnp.stack([p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z])


def residuals(p: Any, times: Any, data: Any) -> Any:
    """What the solution with these parameters leaves of the data."""
    return fnp.ravel(odeint(lorenz, START, times, p, rtol=1e-8, atol=1e-8) - data)


@ft.jit
def step(p: Any, damping: Any, times: Any, data: Any) -> tuple[Any, Any]:
    """Levenberg and Marquardt's step, and the loss before it."""
    r = residuals(p, times, data)
    jacobian = ft.jacfwd(residuals)(p, times, data)
    normal = jacobian.T @ jacobian
    p = p - fnp.linalg.solve(normal + damping * fnp.diag(fnp.diag(normal)), jacobian.T @ r)
    return p, fnp.mean(r * r)


def main(horizon: float = 2.0, steps: int = 15, out_dir: Path | str = "out") -> float:
    """Fit and draw; returns the largest relative error of a parameter."""
    rng = np.random.default_rng(0)
    times = np.linspace(0.0, horizon, int(50 * horizon) + 1)
    clean = odeint(lorenz, START, times, TRUE)
    data = clean + NOISE * rng.normal(size=clean.shape)

    # what lies far ahead depends too much on the parameters: fit the beginning first
    p = np.array([8.0, 24.0, 2.0])
    history = [p]
    for part in (0.25, 0.5, 1.0):
        count = int(part * len(times))
        for _ in range(steps // 3):
            p, value = step(p, 0.01, times[:count], data[:count])
            history.append(p)
        console.print(
            f"first {part:4.0%} of the data: σ ρ β = {p.round(3)}, mean square {value:.3f}"
        )

    covariance = _covariance(p, times, data)
    table = Table("", "true", "found", "± standard error")
    for name, true, found, error in zip("σρβ", TRUE, p, np.sqrt(np.diag(covariance)), strict=True):
        table.add_row(name, f"{true:.4f}", f"{found:.4f}", f"{error:.4f}")
    console.print(table)
    _draw(times, clean, data, p, np.stack(history), Path(out_dir))
    return float(np.max(np.abs(p / TRUE - 1)))


def _covariance(p: Any, times: Any, data: Any) -> Any:
    """Of the estimate, to first order."""
    jacobian = ft.jit(ft.jacfwd(residuals))(p, times, data)
    return NOISE**2 * np.linalg.inv(jacobian.T @ jacobian)


def _draw(times: Any, clean: Any, data: Any, p: Any, history: Any, out_dir: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fitted = odeint(lorenz, START, times, p)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for i, (name, color) in enumerate(zip("xyz", ("C0", "C1", "C2"), strict=True)):
        left.plot(times, data[:, i], ".", color=color, markersize=3, alpha=0.5)
        left.plot(times, clean[:, i], color="0.6", linewidth=3)
        left.plot(times, fitted[:, i], color=color, linewidth=1.2, label=name)
    left.set_xlabel("time")
    left.set_title("data (dots), truth (grey) and fit")
    left.legend(loc="upper right")
    for i, name in enumerate("σρβ"):
        right.plot(history[:, i] / TRUE[i], marker="o", markersize=3, label=name)
    right.axhline(1.0, color="0.6", linewidth=1)
    right.set_xlabel("Gauss-Newton step")
    right.set_title("parameters relative to the truth")
    right.legend()
    out_dir.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_dir / "lorenz.png", dpi=120)
    plt.close(figure)
    console.print(f"drew {out_dir / 'lorenz.png'}")


if __name__ == "__main__":
    sys.exit(main() > 0.05)
