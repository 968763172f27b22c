"""Swing a pendulum up by a controller that is trained through 10,000 simulated steps.

Run it with `python examples/pendulum.py`. The motor is too weak to lift the pendulum at once. The
controller is a small network; the simulation is one `lax.scan`, compiled with its gradient to a
native loop. It draws out/pendulum.png.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

import functrans as ft
import functrans.numpy as fnp
from functrans import lax, optim

STEP = 1e-3
TORQUE = 0.7
"""Of what holding the pendulum level would take."""
HIDDEN = 8
console = Console(highlight=False)


class Controller(NamedTuple):
    """A network of (cos angle, sin angle, speed) with one hidden layer."""

    w: Any
    b: Any
    v: Any

    def torque(self, angle: Any, speed: Any) -> Any:
        """Between -TORQUE and TORQUE."""
        sensed = fnp.stack([fnp.cos(angle), fnp.sin(angle), 0.3 * speed])
        return TORQUE * fnp.tanh(self.v @ fnp.tanh(self.w @ sensed + self.b))


def simulate(controller: Controller, start: Any, steps: int) -> tuple[Any, Any]:
    """Angles (0 hangs down) and torques of every step, by the symplectic method of Euler."""

    def step(state: Any, _: Any) -> Any:
        angle, speed = state
        u = controller.torque(angle, speed)
        speed = speed + STEP * (u - fnp.sin(angle) - 0.02 * speed) * 9.81
        angle = angle + STEP * speed
        return (angle, speed), (angle, speed, u)

    _, (angles, speeds, torques) = lax.scan(step, (start, 0.0 * start), None, steps)
    return angles, (speeds, torques)


def cost(controller: Controller, start: Any, steps: int) -> Any:
    """How far from upright, more if fast there and later, and a little for torque."""
    angles, (speeds, torques) = simulate(controller, start, steps)
    weight = np.linspace(0.0, 2.0, steps) ** 2
    distance = 1 + fnp.cos(angles)
    return fnp.mean(weight * distance * (1 + 0.05 * speeds**2) + 0.01 * torques**2)


def train(steps: int, updates: int) -> tuple[Controller, list[float]]:
    """The trained controller and the costs on the way."""
    rate = optim.cosine_decay_schedule(0.01, updates)
    optimizer = optim.chain(optim.clip_by_global_norm(0.5), optim.adam(rate))

    @ft.jit
    def update(controller: Controller, state: Any, start: Any) -> Any:
        value, gradient = ft.value_and_grad(cost)(controller, start, steps)
        changes, state = optimizer.update(gradient, state, controller)
        return optim.apply_updates(controller, changes), state, value

    rng = np.random.default_rng(2)
    controller = Controller(rng.normal(size=(HIDDEN, 3)), np.zeros(HIDDEN), rng.normal(size=HIDDEN))
    state = optimizer.init(controller)
    best, least, costs = controller, np.inf, []
    for _ in track(range(updates), "training", console=console):
        before = controller
        controller, state, value = update(controller, state, 0.05)
        costs.append(float(value))
        if costs[-1] < least:
            best, least = before, costs[-1]
    return best, costs


def main(steps: int = 10_000, updates: int = 3000, out_dir: Path | str = "out") -> float:
    """Train and draw; returns the mean height (0 down, 2 up) over the last tenth."""
    began = time.perf_counter()
    controller, costs = train(steps, updates)
    seconds = time.perf_counter() - began
    console.print(f"{updates} updates through {steps:,} steps in {seconds:.1f} s, compilation too")
    angles, (_, torques) = ft.jit(simulate, static_argnums=2)(controller, 0.05, steps)
    height = 1 - np.cos(angles)
    _draw(height, torques, costs, Path(out_dir))
    last = float(np.mean(height[-steps // 10 :]))
    console.print(f"cost {costs[0]:.3f} → {min(costs):.3f}, height at the end {last:.3f} of 2")
    return last


def _draw(height: Any, torques: Any, costs: list[float], out_dir: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    times = STEP * np.arange(1, len(height) + 1)
    left.plot(times, height, label="height (2 is upright)")
    left.plot(times, torques / TORQUE, linewidth=0.8, label="torque / limit")
    left.set(xlabel="time in s", title="the swing-up")
    left.legend()
    right.semilogy(costs)
    right.set(xlabel="update", title="cost of the controller")
    out_dir.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_dir / "pendulum.png", dpi=120)
    plt.close(figure)
    console.print(f"drew {out_dir / 'pendulum.png'}")


if __name__ == "__main__":
    sys.exit(main() < 1.5)
