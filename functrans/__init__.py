"""functrans: functional transforms of NumPy programs, compiled for the CPU."""

from functrans import numpy as numpy
from functrans.compiler.cache import clear_cache as clear_cache
from functrans.compiler.jit import jit as jit
from functrans.core import tree as tree
from functrans.core.types import ShapeDtypeStruct as ShapeDtypeStruct
from functrans.core.types import float0 as float0
from functrans.transforms.autodiff import grad as grad
from functrans.transforms.autodiff import hessian as hessian
from functrans.transforms.autodiff import hvp as hvp
from functrans.transforms.autodiff import jacfwd as jacfwd
from functrans.transforms.autodiff import jacrev as jacrev
from functrans.transforms.autodiff import jvp as jvp
from functrans.transforms.autodiff import linear_transpose as linear_transpose
from functrans.transforms.autodiff import linearize as linearize
from functrans.transforms.autodiff import value_and_grad as value_and_grad
from functrans.transforms.autodiff import vjp as vjp
from functrans.transforms.vmap import vmap as vmap
