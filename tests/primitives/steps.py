"""A step applied n times, by a while loop and unrolled; and ways to differentiate a function."""

import functrans as ft
import functrans.numpy as fnp
from functrans import lax


def looped(step, first, n):
    return lax.while_loop(lambda v: v[0] < n, lambda v: (v[0] + 1, step(*v)), (0, first))[1]


def unrolled(step, first, n):
    for i in range(n):
        first = step(i, first)
    return first


def _forward(f):
    return lambda x: ft.jvp(f, (x,), (fnp.ones_like(x),))[1]


def _reverse(f):
    return ft.grad(lambda x: fnp.sum(f(x)))


MODES = {  # the innermost first
    "reverse over reverse": (_reverse, _reverse),
    "forward over reverse": (_reverse, _forward),
    "reverse over forward": (_forward, _reverse),
    "reverse over forward over reverse": (_reverse, _forward, _reverse),
    "reverse three times": (_reverse, _reverse, _reverse),
    "forward twice over reverse": (_reverse, _forward, _forward),
}
