"""Losses give Optax's values and derivatives, for compiled batches too."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans.core.errors import ShapeError
from functrans.optim import losses
from functrans.test_util import check_grads

R = np.random.default_rng(0)
X, Z = R.normal(size=(3, 4)), R.normal(size=(3, 4)) * 40
SIGNS = np.where(R.normal(size=(3, 4)) > 0, 1.0, -1.0)
YES_NO = (SIGNS + 1) / 2
P = R.dirichlet(np.ones(4), 3)
P_WITH_ZEROS = np.where(P < 0.2, 0.0, P)
LOG_P = np.log(R.dirichlet(np.ones(4), 3))
CLASSES = np.array([0, 3, 1])
HERE = np.array([[True, True, False, True], [False] * 4, [True, False, True, True]])
LONG = R.normal(size=(3, 6, 5))
LONG_PADDED = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0, 0, 0, 0, 0, 1.0]])
WORDS = np.array([[1, 2, 2], [3, 1, 4], [1, 1, 0]])
WORDS_PADDED = np.array([[0, 0, 0], [0, 1, 1], [0, 0, 1.0]])

# (name, arguments of which the first is differentiated, keywords)
CASES: list[tuple[str, tuple, dict[str, Any]]] = [
    ("squared_error", (X, P), {}),
    ("l2_loss", (X,), {}),
    ("huber_loss", (X, P), {"delta": 0.5}),
    ("log_cosh", (Z, P), {}),
    ("cosine_similarity", (X, P), {}),
    ("cosine_distance", (X, P), {"epsilon": 1e-3}),
    ("softmax_cross_entropy", (Z, P), {}),
    ("softmax_cross_entropy", (X, P), {"axis": 0}),
    ("softmax_cross_entropy_with_integer_labels", (Z, CLASSES), {}),
    ("safe_softmax_cross_entropy", (Z, P_WITH_ZEROS), {}),
    ("poly_loss_cross_entropy", (X, P), {}),
    ("poly_loss_cross_entropy", (X, P), {"epsilon": -1.0, "axis": 0}),
    ("smooth_labels", (P, 0.1), {}),
    ("smooth_labels", (P, 0.1), {"axis": 0}),
    ("sigmoid_binary_cross_entropy", (Z, P), {}),
    ("sigmoid_focal_loss", (X, YES_NO), {}),
    ("sigmoid_focal_loss", (Z, YES_NO), {"alpha": 0.25, "gamma": 0.5}),
    ("sigmoid_focal_loss", (X, P), {"alpha": 0.7, "gamma": 1.5}),
    ("hinge_loss", (X, SIGNS), {}),
    ("perceptron_loss", (X, SIGNS), {}),
    ("sparsemax_loss", (X, YES_NO), {}),
    ("sparsemax_loss", (Z, YES_NO), {}),
    ("multiclass_hinge_loss", (X, CLASSES), {}),
    ("multiclass_perceptron_loss", (X, CLASSES), {}),
    ("kl_divergence", (LOG_P, P_WITH_ZEROS), {}),
    ("kl_divergence", (LOG_P, P), {"axis": 0}),
    ("kl_divergence_with_log_targets", (LOG_P, X), {}),
    ("generalized_kl_divergence", (X, P), {}),
    ("triplet_margin_loss", (X, P, LOG_P), {"margin": 2.0}),
    ("triplet_margin_loss", (X, LOG_P, P), {"norm_degree": 4, "axis": 0, "eps": 0.1}),
    ("ntxent", (LONG[0], np.array([0, 1, 0, 2, 1, 0])), {}),
    ("ntxent", (LONG[1] * 1e3, np.array([1, 1, 1, 0, 0, 2])), {"temperature": 0.01}),
    ("ranking_softmax_loss", (X, P), {}),
    ("ranking_softmax_loss", (X, P), {"where": HERE, "weights": np.abs(Z)}),
    ("ranking_softmax_loss", (X, P), {"where": HERE, "reduce_fn": None}),
    ("ranking_softmax_loss", (X, P), {"reduce_fn": None}),
    ("ctc_loss", (LONG, LONG_PADDED, WORDS, WORDS_PADDED), {}),
    ("ctc_loss", (LONG * 20, LONG_PADDED, WORDS, WORDS_PADDED), {}),
    ("ctc_loss", (LONG, LONG_PADDED, WORDS % 4, WORDS_PADDED), {"blank_id": 4}),
    ("ctc_loss", (LONG[:, :3], np.zeros((3, 3)), WORDS, np.zeros((3, 3))), {}),
]
ROWS = [pytest.param(*case, id=f"{case[0]}-{i}") for i, case in enumerate(CASES)]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "args", "options"), ROWS)
def test_values_and_derivatives_are_those_of_optax(name: str, args: tuple, options: dict) -> None:
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    theirs, ours = getattr(optax.losses, name), getattr(losses, name)
    assert getattr(ft.optim, name) is ours
    first, *rest = args
    with jax.enable_x64(True):
        want = theirs(*args, **options)
        total = lambda x: jax.numpy.sum(theirs(x, *rest, **options))
        slope = jax.grad(total)(jax.numpy.asarray(first))
    loss = lambda x: ours(x, *rest, **options)
    np.testing.assert_allclose(loss(first), want, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ft.jit(loss)(first), want, rtol=1e-9, atol=1e-12)
    got = ft.jit(ft.grad(lambda x: ft.numpy.sum(loss(x))))(first)
    np.testing.assert_allclose(got, slope, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("name", "args", "options"), ROWS)
def test_batches_and_float32(name: str, args: tuple, options: dict) -> None:
    first, *rest = args
    loss = lambda x: getattr(losses, name)(x, *rest, **options)
    two = np.stack([first, first[::-1]])
    np.testing.assert_allclose(ft.vmap(loss)(two), np.stack([loss(x) for x in two]), rtol=1e-9)
    as_single = lambda x: np.float32(x) if np.asarray(x).dtype == np.float64 else x
    single = getattr(losses, name)(
        *map(as_single, args), **{k: as_single(x) for k, x in options.items()}
    )
    assert single.dtype == np.float32


def _alignments(word: list[int], times: int, classes: int) -> list[tuple[int, ...]]:
    """All paths that are the word when what repeats is merged and blanks (0) are dropped."""

    def read(path: tuple[int, ...]) -> list[int]:
        return [b for a, b in zip((0, *path), path, strict=False) if b != a and b]

    return [p for p in product(range(classes), repeat=times) if read(p) == word]


@pytest.mark.parametrize("word", [[], [1], [1, 2], [1, 1], [2, 1, 2], [1, 1, 1]])
def test_ctc_sums_over_all_alignments(word: list[int]) -> None:
    logits = R.normal(size=(5, 3))
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    paths = _alignments(word, 5, 3)
    want = sum(np.prod(probs[np.arange(5), list(path)]) for path in paths)
    labels, padded = np.ones((1, 4), int), (np.arange(4) >= len(word))[None].astype(float)
    labels[0, : len(word)] = word
    loss = lambda x: losses.ctc_loss(x[None], np.zeros((1, 5)), labels, padded)[0]
    np.testing.assert_allclose(np.exp(-loss(logits)), want, rtol=1e-10)
    check_grads(loss, (logits,), order=2, rtol=1e-5, atol=1e-6)


def test_ctc_forward_probabilities_are_those_of_optax() -> None:
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    args = LONG, LONG_PADDED, WORDS, WORDS_PADDED
    with jax.enable_x64(True):
        want = optax.losses.ctc_loss_with_forward_probs(*args)
    for ours, theirs in zip(losses.ctc_loss_with_forward_probs(*args), want, strict=True):
        theirs = np.asarray(theirs)
        assert ours.shape == theirs.shape
        # what is padded has no probability that would mean anything
        ours, theirs = ours[:4], theirs[:4]
        likely = theirs > -1e4
        np.testing.assert_array_equal(ours > -1e4, likely)
        np.testing.assert_allclose(ours[likely], theirs[likely], rtol=1e-9)


def test_distances_of_odd_degree() -> None:
    want = max(np.abs(X[0] - P[0]).sum() - np.abs(X[0] - LOG_P[0]).sum() + 1, 0)
    got = losses.triplet_margin_loss(X[0], P[0], LOG_P[0], norm_degree=1, eps=0.0)
    np.testing.assert_allclose(got, want)


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 5, 3), (2, 4), (2, 3), (2, 3)],
        [(2, 5, 3), (2, 5), (3, 3), (3, 3)],
        [(2, 5, 3), (2, 5), (2, 3), (2, 2)],
        [(5, 3), (5,), (3,), (3,)],
    ],
)
def test_shapes_of_ctc(shapes: list[tuple[int, ...]]) -> None:
    logits, padded, labels, labels_padded = map(np.zeros, shapes)
    with pytest.raises(ShapeError, match=r"ctc_loss needs logits \[batch, times, classes\]"):
        losses.ctc_loss(logits, padded, labels.astype(int), labels_padded)
