"""Optimizers as pure state-update functions, under Optax's names."""

from functrans.optim import losses as losses
from functrans.optim import schedules as schedules
from functrans.optim.adaptive import scale_by_adadelta as scale_by_adadelta
from functrans.optim.adaptive import scale_by_adamax as scale_by_adamax
from functrans.optim.adaptive import scale_by_amsgrad as scale_by_amsgrad
from functrans.optim.adaptive import scale_by_belief as scale_by_belief
from functrans.optim.adaptive import scale_by_radam as scale_by_radam
from functrans.optim.adaptive import scale_by_trust_ratio as scale_by_trust_ratio
from functrans.optim.base import EmptyState as EmptyState
from functrans.optim.base import GradientTransformation as GradientTransformation
from functrans.optim.base import GradientTransformationExtraArgs as GradientTransformationExtraArgs
from functrans.optim.base import apply_updates as apply_updates
from functrans.optim.base import chain as chain
from functrans.optim.base import identity as identity
from functrans.optim.base import incremental_update as incremental_update
from functrans.optim.base import with_extra_args_support as with_extra_args_support
from functrans.optim.lbfgs import lbfgs as lbfgs
from functrans.optim.lbfgs import scale_by_lbfgs as scale_by_lbfgs
from functrans.optim.line_searches import (
    scale_by_backtracking_linesearch as scale_by_backtracking_linesearch,
)
from functrans.optim.line_searches import scale_by_zoom_linesearch as scale_by_zoom_linesearch
from functrans.optim.line_searches import value_and_grad_from_state as value_and_grad_from_state
from functrans.optim.losses import cosine_distance as cosine_distance
from functrans.optim.losses import cosine_similarity as cosine_similarity
from functrans.optim.losses import ctc_loss as ctc_loss
from functrans.optim.losses import ctc_loss_with_forward_probs as ctc_loss_with_forward_probs
from functrans.optim.losses import generalized_kl_divergence as generalized_kl_divergence
from functrans.optim.losses import hinge_loss as hinge_loss
from functrans.optim.losses import huber_loss as huber_loss
from functrans.optim.losses import kl_divergence as kl_divergence
from functrans.optim.losses import kl_divergence_with_log_targets as kl_divergence_with_log_targets
from functrans.optim.losses import l2_loss as l2_loss
from functrans.optim.losses import log_cosh as log_cosh
from functrans.optim.losses import multiclass_hinge_loss as multiclass_hinge_loss
from functrans.optim.losses import multiclass_perceptron_loss as multiclass_perceptron_loss
from functrans.optim.losses import ntxent as ntxent
from functrans.optim.losses import perceptron_loss as perceptron_loss
from functrans.optim.losses import poly_loss_cross_entropy as poly_loss_cross_entropy
from functrans.optim.losses import ranking_softmax_loss as ranking_softmax_loss
from functrans.optim.losses import safe_softmax_cross_entropy as safe_softmax_cross_entropy
from functrans.optim.losses import sigmoid_binary_cross_entropy as sigmoid_binary_cross_entropy
from functrans.optim.losses import sigmoid_focal_loss as sigmoid_focal_loss
from functrans.optim.losses import smooth_labels as smooth_labels
from functrans.optim.losses import softmax_cross_entropy as softmax_cross_entropy
from functrans.optim.losses import (
    softmax_cross_entropy_with_integer_labels as softmax_cross_entropy_with_integer_labels,
)
from functrans.optim.losses import sparsemax_loss as sparsemax_loss
from functrans.optim.losses import squared_error as squared_error
from functrans.optim.losses import triplet_margin_loss as triplet_margin_loss
from functrans.optim.optimizers import adabelief as adabelief
from functrans.optim.optimizers import adadelta as adadelta
from functrans.optim.optimizers import adagrad as adagrad
from functrans.optim.optimizers import adam as adam
from functrans.optim.optimizers import adamax as adamax
from functrans.optim.optimizers import adamw as adamw
from functrans.optim.optimizers import amsgrad as amsgrad
from functrans.optim.optimizers import lamb as lamb
from functrans.optim.optimizers import lion as lion
from functrans.optim.optimizers import nadam as nadam
from functrans.optim.optimizers import nadamw as nadamw
from functrans.optim.optimizers import radam as radam
from functrans.optim.optimizers import rmsprop as rmsprop
from functrans.optim.optimizers import sgd as sgd
from functrans.optim.schedules import constant_schedule as constant_schedule
from functrans.optim.schedules import cosine_decay_schedule as cosine_decay_schedule
from functrans.optim.schedules import cosine_onecycle_schedule as cosine_onecycle_schedule
from functrans.optim.schedules import exponential_decay as exponential_decay
from functrans.optim.schedules import join_schedules as join_schedules
from functrans.optim.schedules import linear_onecycle_schedule as linear_onecycle_schedule
from functrans.optim.schedules import linear_schedule as linear_schedule
from functrans.optim.schedules import piecewise_constant_schedule as piecewise_constant_schedule
from functrans.optim.schedules import (
    piecewise_interpolate_schedule as piecewise_interpolate_schedule,
)
from functrans.optim.schedules import polynomial_schedule as polynomial_schedule
from functrans.optim.schedules import sgdr_schedule as sgdr_schedule
from functrans.optim.schedules import warmup_constant_schedule as warmup_constant_schedule
from functrans.optim.schedules import warmup_cosine_decay_schedule as warmup_cosine_decay_schedule
from functrans.optim.schedules import (
    warmup_exponential_decay_schedule as warmup_exponential_decay_schedule,
)
from functrans.optim.transforms import add_decayed_weights as add_decayed_weights
from functrans.optim.transforms import clip as clip
from functrans.optim.transforms import clip_by_global_norm as clip_by_global_norm
from functrans.optim.transforms import global_norm as global_norm
from functrans.optim.transforms import scale as scale
from functrans.optim.transforms import scale_by_adam as scale_by_adam
from functrans.optim.transforms import scale_by_learning_rate as scale_by_learning_rate
from functrans.optim.transforms import scale_by_lion as scale_by_lion
from functrans.optim.transforms import scale_by_rms as scale_by_rms
from functrans.optim.transforms import scale_by_rss as scale_by_rss
from functrans.optim.transforms import scale_by_schedule as scale_by_schedule
from functrans.optim.transforms import set_to_zero as set_to_zero
from functrans.optim.transforms import trace as trace
from functrans.optim.wrappers import MaskedNode as MaskedNode
from functrans.optim.wrappers import MultiSteps as MultiSteps
from functrans.optim.wrappers import apply_if_finite as apply_if_finite
from functrans.optim.wrappers import inject_hyperparams as inject_hyperparams
from functrans.optim.wrappers import masked as masked
from functrans.optim.wrappers import multi_transform as multi_transform
from functrans.optim.wrappers import partition as partition
