"""Losses per example, with Optax's names."""

from functrans.optim.losses.alignments import ctc_loss as ctc_loss
from functrans.optim.losses.alignments import (
    ctc_loss_with_forward_probs as ctc_loss_with_forward_probs,
)
from functrans.optim.losses.classification import hinge_loss as hinge_loss
from functrans.optim.losses.classification import multiclass_hinge_loss as multiclass_hinge_loss
from functrans.optim.losses.classification import (
    multiclass_perceptron_loss as multiclass_perceptron_loss,
)
from functrans.optim.losses.classification import perceptron_loss as perceptron_loss
from functrans.optim.losses.classification import poly_loss_cross_entropy as poly_loss_cross_entropy
from functrans.optim.losses.classification import (
    safe_softmax_cross_entropy as safe_softmax_cross_entropy,
)
from functrans.optim.losses.classification import (
    sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy,
)
from functrans.optim.losses.classification import sigmoid_focal_loss as sigmoid_focal_loss
from functrans.optim.losses.classification import smooth_labels as smooth_labels
from functrans.optim.losses.classification import softmax_cross_entropy as softmax_cross_entropy
from functrans.optim.losses.classification import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from functrans.optim.losses.classification import sparsemax_loss as sparsemax_loss
from functrans.optim.losses.comparisons import ntxent as ntxent
from functrans.optim.losses.comparisons import ranking_softmax_loss as ranking_softmax_loss
from functrans.optim.losses.comparisons import triplet_margin_loss as triplet_margin_loss
from functrans.optim.losses.divergences import (
    generalized_kl_divergence as generalized_kl_divergence,
)
from functrans.optim.losses.divergences import kl_divergence as kl_divergence
from functrans.optim.losses.divergences import (
    kl_divergence_with_log_targets as kl_divergence_with_log_targets,
)
from functrans.optim.losses.regression import cosine_distance as cosine_distance
from functrans.optim.losses.regression import cosine_similarity as cosine_similarity
from functrans.optim.losses.regression import huber_loss as huber_loss
from functrans.optim.losses.regression import l2_loss as l2_loss
from functrans.optim.losses.regression import log_cosh as log_cosh
from functrans.optim.losses.regression import squared_error as squared_error
