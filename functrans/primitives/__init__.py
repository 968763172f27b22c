"""What a program can say: every primitive, a file per family."""

from functrans.core.primitive import registry as _registry
from functrans.primitives import arithmetic as arithmetic
from functrans.primitives import bessel as bessel
from functrans.primitives import branches as branches
from functrans.primitives import callbacks as callbacks
from functrans.primitives import calls as calls
from functrans.primitives import checkpointed_loops as checkpointed_loops
from functrans.primitives import checkpoints as checkpoints
from functrans.primitives import collectives as collectives
from functrans.primitives import constants as constants
from functrans.primitives import convolution as convolution
from functrans.primitives import custom_jvp as custom_jvp
from functrans.primitives import custom_vjp as custom_vjp
from functrans.primitives import decompositions as decompositions
from functrans.primitives import determinants as determinants
from functrans.primitives import dynamic as dynamic
from functrans.primitives import fourier as fourier
from functrans.primitives import identities as identities
from functrans.primitives import incomplete as incomplete
from functrans.primitives import indexing as indexing
from functrans.primitives import limits as limits
from functrans.primitives import linear_algebra as linear_algebra
from functrans.primitives import linear_solves as linear_solves
from functrans.primitives import loop_cotangents as loop_cotangents
from functrans.primitives import loop_tangents as loop_tangents
from functrans.primitives import loops as loops
from functrans.primitives import lu as lu
from functrans.primitives import products as products
from functrans.primitives import random_bits as random_bits
from functrans.primitives import recorded_loops as recorded_loops
from functrans.primitives import recording_loops as recording_loops
from functrans.primitives import reductions as reductions
from functrans.primitives import shaping as shaping
from functrans.primitives import sorting as sorting
from functrans.primitives import special as special
from functrans.primitives import sylvester as sylvester
from functrans.primitives import transcendental as transcendental
from functrans.primitives import while_loops as while_loops
from functrans.primitives import windows as windows

OWN = frozenset(_registry.values())
"""functrans's own primitives; users may define more."""
