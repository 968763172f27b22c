"""Runge–Kutta methods as data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tableau:
    """An explicit method of Runge and Kutta whose last stage is the first of the next step.

    Attributes:
        c: times of the stages, as parts of a step.
        a: row i weighs the slopes of stages before i for the place of stage i.
        error: weights of the slopes in the estimate of the error.
        dense: weights of the slopes in the last coefficient of the interpolation.
        order: of the error estimate's step control.
    """

    c: np.ndarray
    a: np.ndarray
    error: np.ndarray
    dense: np.ndarray
    order: int


DORMAND_PRINCE = Tableau(
    c=np.array([0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1]),
    a=np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [1 / 5, 0, 0, 0, 0, 0],
            [3 / 40, 9 / 40, 0, 0, 0, 0],
            [44 / 45, -56 / 15, 32 / 9, 0, 0, 0],
            [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0],
            [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0],
            [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
        ]
    ),
    error=np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40]),
    dense=np.array(
        [
            -12715105075 / 11282082432,
            0,
            87487479700 / 32700410799,
            -10690763975 / 1880347072,
            701980252875 / 199316789632,
            -1453857185 / 822651844,
            69997945 / 29380423,
        ]
    ),
    order=5,
)
"""Dormand and Prince 1980, of orders 5 and 4; interpolation of order 4 as in Hairer, Nørsett and
Wanner, Solving Ordinary Differential Equations I, section II.6."""
