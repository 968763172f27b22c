"""Random numbers from explicit keys, in the bits of JAX (Threefry-2x32, partitionable).

A key is an array uint32[2]. Nothing here has hidden state: the same key gives the same numbers, and
`split` makes independent keys. Floats are float64 by default, as everywhere in functrans.
"""

# fmt: off
from functrans.random.continuous import (
    cauchy,
    double_sided_maxwell,
    exponential,
    gumbel,
    laplace,
    logistic,
    lognormal,
    maxwell,
    normal,
    pareto,
    rayleigh,
    triangular,
    truncated_normal,
    uniform,
    wald,
    weibull_min,
)
from functrans.random.counts import binomial, multinomial, poisson
from functrans.random.discrete import bernoulli, categorical, geometric, rademacher, randint
from functrans.random.gammas import (
    beta,
    chisquare,
    dirichlet,
    f,
    gamma,
    generalized_normal,
    loggamma,
    t,
)
from functrans.random.keys import PRNGKey, bits, fold_in, key, split
from functrans.random.shuffles import choice, permutation
from functrans.random.vectors import ball, multivariate_normal, orthogonal
