"""`functrans.scipy.stats`: distributions as namespaces of functions, as in `jax.scipy.stats`."""

from functrans.scipy.stats.bounded import beta as beta
from functrans.scipy.stats.bounded import chi2 as chi2
from functrans.scipy.stats.bounded import expon as expon
from functrans.scipy.stats.bounded import gamma as gamma
from functrans.scipy.stats.bounded import pareto as pareto
from functrans.scipy.stats.bounded import uniform as uniform
from functrans.scipy.stats.discrete import bernoulli as bernoulli
from functrans.scipy.stats.discrete import betabinom as betabinom
from functrans.scipy.stats.discrete import binom as binom
from functrans.scipy.stats.discrete import geom as geom
from functrans.scipy.stats.discrete import nbinom as nbinom
from functrans.scipy.stats.discrete import poisson as poisson
from functrans.scipy.stats.line import cauchy as cauchy
from functrans.scipy.stats.line import gumbel_l as gumbel_l
from functrans.scipy.stats.line import gumbel_r as gumbel_r
from functrans.scipy.stats.line import laplace as laplace
from functrans.scipy.stats.line import logistic as logistic
from functrans.scipy.stats.line import norm as norm
from functrans.scipy.stats.line import t as t
from functrans.scipy.stats.line import vonmises as vonmises
from functrans.scipy.stats.multivariate import dirichlet as dirichlet
from functrans.scipy.stats.multivariate import multinomial as multinomial
from functrans.scipy.stats.multivariate import multivariate_normal as multivariate_normal
