"""Learn the noise levels of a Kalman filter by maximum likelihood.

Run it with `python examples/kalman.py`. A car moves with unknown random accelerations and is seen
with unknown noise. The filter's log likelihood is one `lax.scan`, its gradient one compiled loop,
and Newton's method with `ft.hessian` finds both levels. It draws out/kalman.png.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import functrans as ft
import functrans.numpy as fnp
from functrans import lax

STEP = 0.1
MOVE = np.array([[1, STEP], [0, 1]])
PUSH = np.array([STEP**2 / 2, STEP])
SEEN = np.array([1.0, 0.0])
TRUE = np.array([0.8, 0.5])
"""Standard deviations of accelerations and of observations."""
console = Console(highlight=False)


def kalman_filter(levels: Any, observations: Any) -> tuple[Any, Any, Any]:
    """The log likelihood, and the mean and variance of the place after each observation.

    Args:
        levels: logarithms of the standard deviations of accelerations and of observations.
        observations: places [T].
    """
    push, noise = fnp.exp(2 * levels[0]), fnp.exp(2 * levels[1])
    unrest = push * PUSH[:, None] * PUSH[None, :]

    def step(belief: Any, y: Any) -> Any:
        mean, spread = belief
        mean, spread = MOVE @ mean, MOVE @ spread @ MOVE.T + unrest
        surprise, variance = y - mean[0], spread[0, 0] + noise
        gain = spread[:, 0] / variance
        mean = mean + gain * surprise
        spread = spread - gain[:, None] * spread[None, 0, :]
        fit = -0.5 * (surprise**2 / variance + fnp.log(2 * np.pi * variance))
        return (mean, spread), (fit, mean[0], spread[0, 0])

    start = fnp.zeros(2), 10.0 * fnp.eye(2)
    _, (fits, means, variances) = lax.scan(step, start, observations)
    return fnp.sum(fits), means, variances


def misfit(levels: Any, observations: Any) -> Any:
    """The negative log likelihood."""
    return -kalman_filter(levels, observations)[0]


@ft.jit
def newton_step(levels: Any, observations: Any) -> tuple[Any, Any, Any]:
    """A step bounded to a factor of e, the misfit before it, and the curvature."""
    value, gradient = ft.value_and_grad(misfit)(levels, observations)
    curvature = ft.hessian(misfit)(levels, observations)
    # where the misfit is not convex, turn negative curvature around
    a, b, c = curvature[0, 0], curvature[0, 1], curvature[1, 1]
    shift = fnp.maximum(0.0, 1e-3 - (a + c) / 2 + fnp.sqrt(((a - c) / 2) ** 2 + b * b))
    move = fnp.linalg.solve(curvature + shift * fnp.eye(2), gradient)
    return levels - fnp.clip(move, -1.0, 1.0), value, curvature


def simulate(count: int) -> tuple[np.ndarray, np.ndarray]:
    """True places, and what was seen of them."""
    rng = np.random.default_rng(1)
    state, places = np.zeros(2), []
    for _ in range(count):
        state = MOVE @ state + PUSH * TRUE[0] * rng.normal()
        places.append(state[0])
    return np.array(places), np.array(places) + TRUE[1] * rng.normal(size=count)


def main(count: int = 2000, steps: int = 15, out_dir: Path | str = "out") -> float:
    """Fit and draw; returns the largest error of a level in standard errors."""
    places, observations = simulate(count)
    levels = np.log([5.0, 5.0])
    history = [levels]
    curvature = np.eye(2)
    for i in range(steps):
        levels, value, curvature = newton_step(levels, observations)
        history.append(levels)
        if i % 3 == 0 or i == steps - 1:
            console.print(f"step {i:2}: misfit {value:10.3f}, levels {np.exp(levels).round(4)}")
    errors = np.sqrt(np.diag(np.linalg.inv(curvature)))
    for name, level, true, error in zip(
        ("acceleration", "observation"), np.exp(levels), TRUE, errors, strict=True
    ):
        console.print(f"{name:13}: {level:.3f} ± {level * error:.3f}, true {true}")
    _draw(places, observations, levels, np.exp(np.stack(history)), Path(out_dir))
    return float(np.max(np.abs(levels - np.log(TRUE)) / errors))


def _draw(places: Any, observations: Any, levels: Any, history: Any, out_dir: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, means, variances = ft.jit(kalman_filter)(levels, observations)
    shown = slice(0, min(300, len(places)))
    time = STEP * np.arange(len(places))[shown]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(time, observations[shown], ".", color="0.6", markersize=3, label="seen")
    left.plot(time, places[shown], color="0.2", label="true")
    wide = 2 * np.sqrt(variances[shown])
    left.fill_between(time, means[shown] - wide, means[shown] + wide, alpha=0.3, color="C0")
    left.plot(time, means[shown], color="C0", label="filtered, ± 2 σ")
    left.set(xlabel="time", title="the place of the car")
    left.legend()
    for i, name in enumerate(("acceleration", "observation")):
        right.semilogy(history[:, i], marker="o", markersize=3, color=f"C{i}", label=name)
        right.axhline(TRUE[i], color=f"C{i}", linewidth=0.8, linestyle="--")
    right.set(xlabel="Newton step", title="noise levels, true ones dashed")
    right.legend()
    out_dir.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_dir / "kalman.png", dpi=120)
    plt.close(figure)
    console.print(f"drew {out_dir / 'kalman.png'}")


if __name__ == "__main__":
    sys.exit(main() > 3)
