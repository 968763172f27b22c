"""The NumPy namespace over the primitives."""

from functrans.numpy import methods as methods
from functrans.numpy.ufuncs import *
