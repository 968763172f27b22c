"""A deep equilibrium network on handwritten digits: a layer that is its own fixed point.

Run it with `python examples/equilibrium.py`. The hidden state solves z = tanh(W z + U x + b) by
`optimize.fixed_point`; its gradient is that of the equation, so training remembers none of the
solver's steps. It draws out/equilibrium.png.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track
from sklearn.datasets import load_digits

import functrans as ft
import functrans.numpy as fnp
from functrans import optim
from functrans.scipy import optimize

BATCH, WIDTH, TEST = 64, 48, 360
console = Console(highlight=False)


class Params(NamedTuple):
    """The weights: hidden to hidden, image to hidden, bias, hidden to classes."""

    w: Any
    u: Any
    b: Any
    out: Any


def equilibrium(params: Params, images: Any) -> Any:
    """The hidden states [n, WIDTH], all images' in one equation; and whether it was solved."""
    # a matrix of norm below one makes the layer a contraction
    w = 0.9 * params.w / (0.9 + fnp.sqrt(fnp.sum(params.w**2)))
    drive = images @ params.u + params.b

    def layer(z: Any) -> Any:
        return fnp.tanh(z @ w + drive)

    start = np.zeros((images.shape[0], WIDTH))
    found = optimize.fixed_point(layer, start, xtol=1e-8, method="iteration", maxiter=300)
    return found


def loss(params: Params, images: Any, labels: Any) -> Any:
    """The mean cross entropy."""
    logits = equilibrium(params, images).x @ params.out
    return fnp.mean(optim.losses.softmax_cross_entropy_with_integer_labels(logits, labels))


optimizer = optim.adam(3e-3)


@ft.jit
def train_step(params: Params, state: Any, images: Any, labels: Any) -> Any:
    """Loss, implicit gradient and update."""
    value, gradient = ft.value_and_grad(loss)(params, images, labels)
    updates, state = optimizer.update(gradient, state, params)
    return optim.apply_updates(params, updates), state, value


@ft.jit
def predict(params: Params, images: Any) -> Any:
    """The most likely classes, and how many steps the equation took."""
    found = equilibrium(params, images)
    return fnp.argmax(found.x @ params.out, axis=-1), found.nit


def main(epochs: int = 12, out_dir: Path | str = "out") -> float:
    """Train and draw; returns the test accuracy."""
    rng = np.random.default_rng(0)
    digits = load_digits()
    order = rng.permutation(len(digits.target))
    images, labels = digits.data[order] / 16, digits.target[order]
    test_images, test_labels = images[:TEST], labels[:TEST]
    images, labels = images[TEST:], labels[TEST:]
    params = Params(
        rng.normal(size=(WIDTH, WIDTH)) / WIDTH,
        rng.normal(size=(64, WIDTH)) / 8,
        np.zeros(WIDTH),
        rng.normal(size=(WIDTH, 10)) / WIDTH**0.5,
    )
    state = optimizer.init(params)
    losses, accuracies, steps = [], [], []
    for _ in track(range(epochs), "training", console=console):
        shuffled = rng.permutation(len(labels))
        for batch in np.split(shuffled[: len(labels) // BATCH * BATCH], len(labels) // BATCH):
            params, state, value = train_step(params, state, images[batch], labels[batch])
            losses.append(float(value))
        guesses, nit = predict(params, test_images)
        accuracies.append(float(np.mean(guesses == test_labels)))
        steps.append(int(nit))
    console.print(f"test accuracy {accuracies[-1]:.4f}; the equation takes {steps[-1]} iterations")
    _draw(losses, accuracies, steps, Path(out_dir))
    return accuracies[-1]


def _draw(losses: list, accuracies: list, steps: list, out_dir: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.semilogy(losses, linewidth=0.8)
    left.set(xlabel="step", title="training loss")
    epochs = np.arange(1, len(accuracies) + 1)
    right.plot(epochs, accuracies, marker="o", markersize=3, label="test accuracy")
    right.set(xlabel="epoch", title=f"test accuracy {accuracies[-1]:.1%}")
    other = right.twinx()
    other.plot(epochs, steps, color="C1", label="iterations to the fixed point")
    other.set_ylim(0, None)
    lines = [*right.get_lines(), *other.get_lines()]
    right.legend(lines, [line.get_label() for line in lines], loc="lower right")
    out_dir.mkdir(parents=True, exist_ok=True)
    figure.savefig(out_dir / "equilibrium.png", dpi=120)
    plt.close(figure)
    console.print(f"drew {out_dir / 'equilibrium.png'}")


if __name__ == "__main__":
    sys.exit(main() < 0.9)
