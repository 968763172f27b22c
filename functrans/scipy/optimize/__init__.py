"""`functrans.scipy.optimize`: roots, fixed points and minima, with derivatives of the solutions."""

from functrans.scipy.optimize.equations import Solution as Solution
from functrans.scipy.optimize.equations import fixed_point as fixed_point
from functrans.scipy.optimize.equations import root as root
from functrans.scipy.optimize.minima import OptimizeResults as OptimizeResults
from functrans.scipy.optimize.minima import minimize as minimize
