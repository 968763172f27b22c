"""Connectionist temporal classification: labels without their times."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans import numpy as fnp
from functrans.core.errors import ShapeError
from functrans.core.types import shape_of
from functrans.lax import scan
from functrans.nn.activations import log_softmax


def ctc_loss(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: float = -1e5,
) -> Any:
    """-log of the probability of the labels, summed over all times at which they may occur.

    Args:
        logits: [batch, times, classes] floats, one class of which is the blank.
        logit_paddings: [batch, times], 1 where a time is not part of the sequence, else 0.
        labels: [batch, n] integers, without blanks.
        label_paddings: [batch, n], zeros and then ones where labels are not part of the sequence.
        blank_id: the class of the blank.
        log_epsilon: stands for log(0).

    Returns:
        [batch] losses; about -log_epsilon where there is too little time for the labels.

    Raises:
        ShapeError: the shapes do not fit together.

    Graves et al., Connectionist temporal classification, 2006.

    >>> logits = np.zeros((1, 2, 2))                      # two times, a blank and a letter
    >>> loss = ctc_loss(logits, np.zeros((1, 2)), np.array([[1]]), np.zeros((1, 1)))
    >>> np.exp(-loss).round(6)                            # "a", "a-" and "-a" of four
    array([0.75])
    """
    found = ctc_loss_with_forward_probs(
        logits,
        logit_paddings,
        labels,
        label_paddings,
        blank_id=blank_id,
        log_epsilon=log_epsilon,
    )
    return found[0]


def ctc_loss_with_forward_probs(
    logits: Any,
    logit_paddings: Any,
    labels: Any,
    label_paddings: Any,
    *,
    blank_id: int = 0,
    log_epsilon: float = -1e5,
) -> tuple[Any, Any, Any]:
    """`ctc_loss`, and the logarithms of the probabilities of all beginnings.

    Args:
        logits: and all others as for `ctc_loss`.

    Returns:
        (losses [batch], of beginnings that end with a blank after n labels
        [times, batch, n + 1], and with the n-th label [times, batch, n]).

    Raises:
        ShapeError: the shapes do not fit together.

    Graves et al., Connectionist temporal classification, 2006, section 4.1.

    >>> logits = np.zeros((1, 2, 2))
    >>> found = ctc_loss_with_forward_probs(
    ...     logits, np.zeros((1, 2)), np.array([[1]]), np.zeros((1, 1))
    ... )
    >>> np.exp(found[1][:, 0]).round(2).tolist()          # nothing yet; the letter, and a blank
    [[0.5, 0.0], [0.25, 0.25]]
    """
    _check_shapes(logits, logit_paddings, labels, label_paddings)
    log_probs = log_softmax(logits)
    dtype = log_probs.dtype
    batch, n = shape_of(labels)
    of_blank = log_probs[:, :, blank_id : blank_id + 1]
    of_labels = fnp.take_along_axis(log_probs, fnp.expand_dims(labels, 1), axis=2)
    never = fnp.full((batch, 1), log_epsilon, dtype)
    # two equal labels in a row need a blank between them
    repeated = fnp.concatenate([np.zeros((batch, 1), bool), labels[:, 1:] == labels[:, :-1]], 1)
    jump = fnp.where(repeated[:, :n], log_epsilon, 0.0).astype(dtype)

    def step(state: Any, at_time: Any) -> tuple[Any, Any]:
        blank, label = state
        p_blank, p_label, padded = at_time
        before = fnp.concatenate([never, label], axis=1)
        new_blank = fnp.logaddexp(blank, before) + p_blank
        begun = fnp.logaddexp(blank[:, :n], before[:, :n] + jump)
        new_label = fnp.logaddexp(label, begun) + p_label
        padded = fnp.expand_dims(padded > 0, 1)
        state = fnp.where(padded, blank, new_blank), fnp.where(padded, label, new_label)
        return state, state

    nothing = fnp.concatenate([fnp.zeros((batch, 1), dtype), fnp.tile(never, (1, n))], axis=1)
    times = of_blank, of_labels, fnp.asarray(logit_paddings)
    times = tuple(fnp.moveaxis(x, 1, 0) for x in times)
    (blank, label), probs = scan(step, (nothing, fnp.tile(never, (1, n))), times)
    ends = fnp.logaddexp(blank, fnp.concatenate([never, label], axis=1))
    length = n - fnp.sum(fnp.asarray(label_paddings) > 0, axis=1, keepdims=True)
    return -fnp.take_along_axis(ends, length, axis=1)[:, 0], *probs


def _check_shapes(logits: Any, logit_paddings: Any, labels: Any, label_paddings: Any) -> None:
    given = [shape_of(x) for x in (logits, logit_paddings, labels, label_paddings)]
    outer, inner = given[0][:2], given[2]
    fits = len(given[0]) == 3 and len(inner) == 2 and outer[0] == inner[0]
    if not fits or given[1] != outer or given[3] != inner:
        raise ShapeError(
            "ctc_loss needs logits [batch, times, classes], logit_paddings [batch, times], labels "
            f"[batch, n] and label_paddings [batch, n]: got {', '.join(map(str, given))}."
        )
