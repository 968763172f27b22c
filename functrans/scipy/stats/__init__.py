"""`functrans.scipy.stats`: distributions as namespaces of functions, as in `jax.scipy.stats`."""

from functrans.scipy.stats.continuous import beta as beta
from functrans.scipy.stats.continuous import expon as expon
from functrans.scipy.stats.continuous import gamma as gamma
from functrans.scipy.stats.continuous import laplace as laplace
from functrans.scipy.stats.continuous import logistic as logistic
from functrans.scipy.stats.continuous import norm as norm
from functrans.scipy.stats.continuous import t as t
from functrans.scipy.stats.continuous import uniform as uniform
from functrans.scipy.stats.discrete import bernoulli as bernoulli
from functrans.scipy.stats.discrete import poisson as poisson
from functrans.scipy.stats.multivariate import multivariate_normal as multivariate_normal
