"""functrans: functional transforms of NumPy programs, compiled for the CPU.

What not every program needs is imported when it is first named: that takes 0.02 s.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from functrans import analysis as analysis
from functrans import lax as lax
from functrans import numpy as numpy
from functrans.analysis.modes import jacobian as jacobian
from functrans.compiler.cache import clear_cache as clear_cache
from functrans.compiler.jit import jit as jit
from functrans.compiler.profile import profile as profile
from functrans.core import tree as tree
from functrans.core.config import config as config
from functrans.core.types import ShapeDtypeStruct as ShapeDtypeStruct
from functrans.core.types import float0 as float0
from functrans.numpy.indexing import at as at
from functrans.primitives.callbacks import debug as debug
from functrans.primitives.callbacks import io_callback as io_callback
from functrans.primitives.callbacks import pure_callback as pure_callback
from functrans.primitives.checkpoints import checkpoint as checkpoint
from functrans.primitives.checkpoints import checkpoint_policies as checkpoint_policies
from functrans.primitives.checkpoints import remat as remat
from functrans.primitives.custom_jvp import custom_jvp as custom_jvp
from functrans.primitives.custom_vjp import custom_vjp as custom_vjp
from functrans.primitives.identities import checkpoint_name as checkpoint_name
from functrans.primitives.identities import stop_gradient as stop_gradient
from functrans.transforms.autodiff import grad as grad
from functrans.transforms.autodiff import hessian as hessian
from functrans.transforms.autodiff import hvp as hvp
from functrans.transforms.autodiff import jacfwd as jacfwd
from functrans.transforms.autodiff import jacrev as jacrev
from functrans.transforms.autodiff import jvp as jvp
from functrans.transforms.autodiff import linearize as linearize
from functrans.transforms.autodiff import value_and_grad as value_and_grad
from functrans.transforms.autodiff import vjp as vjp
from functrans.transforms.inspect import closure_convert as closure_convert
from functrans.transforms.inspect import eval_shape as eval_shape
from functrans.transforms.inspect import make_program as make_program
from functrans.transforms.jet import derivative as derivative
from functrans.transforms.jet import jet as jet
from functrans.transforms.linear_functions import linear_transpose as linear_transpose
from functrans.transforms.vmap import vmap as vmap

if _TYPE_CHECKING:
    from functrans import image as image
    from functrans import integrate as integrate
    from functrans import nn as nn
    from functrans import ops as ops
    from functrans import optim as optim
    from functrans import random as random
    from functrans import scipy as scipy
    from functrans import test_util as test_util
    from functrans import tree_util as tree_util

_LATER = frozenset(
    ["image", "integrate", "nn", "ops", "optim", "random", "scipy", "test_util", "tree_util"]
)


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _import_module(f"functrans.{name}")
    raise AttributeError(f"module 'functrans' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({name for name in globals() if not name.startswith("_")} | _LATER)
