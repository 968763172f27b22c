"""Fit the polynomials of the elementary functions: writes functrans/compiler/math/coefficients.py.

Each is a minimax polynomial for a weighted error, by Remez' exchange in 60 digits (mpmath). Run:
python tools/fit_coefficients.py, which prints each fit's error as a power of two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mpmath import mp, mpf

mp.dps = 60
Function = Callable[[Any], Any]
TARGET = Path(__file__).parents[1] / "functrans/compiler/math/coefficients.py"


@dataclass(frozen=True)
class Fit:
    """p with weight(x) * (p(x) - f(x)) as small as possible on an interval.

    `degrees` is by dtype; `interval` and `f` too where they are dicts.
    """

    name: str
    formula: str
    f: Any
    interval: Any
    degrees: dict[str, int]
    weight: Function = lambda x: mpf(1)


def remez(f: Function, a: Any, b: Any, degree: int, weight: Function) -> tuple[list, Any]:
    """The coefficients, lowest first, and the largest weighted error."""
    a, b = mpf(a), mpf(b)
    middle, half = (a + b) / 2, (b - a) / 2
    count = degree + 2
    nodes = [mp.cos(mp.pi * (count - 1 - i) / (count - 1)) for i in range(count)]
    grid = [mp.cos(mp.pi * i / (24 * count)) for i in range(24 * count, -1, -1)]
    on_grid = [(f(middle + half * t), weight(middle + half * t)) for t in grid]
    for _ in range(12):
        rows, right = [], []
        for i, t in enumerate(nodes):
            x = middle + half * t
            rows.append([mp.chebyt(k, t) for k in range(degree + 1)] + [(-1) ** i / weight(x)])
            right.append(f(x))
        solution = mp.lu_solve(mp.matrix(rows), mp.matrix(right))
        c, level = list(solution)[:-1], abs(solution[degree + 1])
        errors = [w * (clenshaw(c, t) - y) for t, (y, w) in zip(grid, on_grid, strict=True)]
        nodes = alternation(grid, errors, count)
        worst = max(map(abs, errors))
        if worst < level * mpf("1.02"):
            break
    return to_powers(c, middle, half), worst


def clenshaw(c: list, t: Any) -> Any:
    """The value of a Chebyshev series."""
    u = v = mpf(0)
    for coefficient in reversed(c[1:]):
        u, v = coefficient + 2 * t * u - v, u
    return c[0] + t * u - v


def alternation(grid: list, errors: list, count: int) -> list:
    """The places of the largest errors with alternating signs."""
    peaks: list[tuple[Any, Any]] = []
    for t, e in zip(grid, errors, strict=True):
        if peaks and (peaks[-1][1] > 0) == (e > 0):
            if abs(e) > abs(peaks[-1][1]):
                peaks[-1] = (t, e)
        else:
            peaks.append((t, e))
    while len(peaks) > count:
        peaks.pop(0 if abs(peaks[0][1]) < abs(peaks[-1][1]) else -1)
    if len(peaks) < count:
        raise ArithmeticError(f"only {len(peaks)} of {count} alternations")
    return [t for t, _ in peaks]


def to_powers(c: list, middle: Any, half: Any) -> list:
    """A Chebyshev series in (x - middle) / half as powers of x."""
    t0, t1 = [mpf(1)], [mpf(0), mpf(1)]
    total = [mpf(0)] * len(c)
    for k, coefficient in enumerate(c):
        term = t0 if k == 0 else t1
        for i, v in enumerate(term):
            total[i] += coefficient * v
        if k:
            following = [mpf(0)] + [2 * v for v in t1]
            for i, v in enumerate(t0):
                following[i] -= v
            t0, t1 = t1, following
    result = [mpf(0)] * len(c)
    for i, v in enumerate(total):
        for j in range(i + 1):
            share = mp.binomial(i, j) * (-middle) ** (i - j)
            result[j] += v * share / half**i
    return result


def series(f: Function, limit: Any) -> Function:
    """f, but its limit at zero, where the formula has no value."""
    return lambda x: mpf(limit) if abs(x) < mpf("1e-25") else f(x)


def in_square(f: Function, limit: Any) -> Function:
    """f(x) as a function of z = x²."""
    return series(lambda z: f(mp.sqrt(z)), limit)


def scaled_erfc(k: int) -> Function:
    """(1 + 2 x) exp(x²) erfc(x) - 1.25 as a function of t = (x - k) / (x + k)."""

    def f(t: Any) -> Any:
        x = k * (1 + t) / (1 - t)
        return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x) - 1.25

    return f


def erfinv_of(w: Any) -> Any:
    """erfinv(x) / x at x = sqrt(1 - e^-w)."""
    if abs(w) < mpf("1e-25"):
        return mp.sqrt(mp.pi) / 2
    x = mp.sqrt(-mp.expm1(-w))
    return mp.erfinv(x) / x


def stirling(x: Any) -> Any:
    """x times the remainder of Stirling's formula."""
    return x * (mp.loggamma(x) - (x - 0.5) * mp.log(x) + x - mp.log(2 * mp.pi) / 2)


DIGAMMA_ROOT = mp.findroot(mp.digamma, 1.46163214496836)

LN2_HALF = mp.log(2) / 2 * mpf("1.01")
ROOT = {"low": mp.sqrt(mpf(1) / 2) - 1, "high": mp.sqrt(2) - 1}
S2 = (ROOT["high"] / (2 + ROOT["high"])) ** 2 * mpf("1.01")


def log_tail(f: Any) -> Any:
    return (mp.log1p(f) - f + f * f / 2) / f**3


def atanh_tail(z: Any) -> Any:
    """(2 atanh(s) - 2 s) / (s z), z = s²."""
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / (s * z)


FITS = [
    Fit(
        "EXP",
        "exp(r) = 1 + r + r² p(r)",
        series(lambda r: (mp.expm1(r) - r) / r**2, 0.5),
        (-LN2_HALF, LN2_HALF),
        {"float32": 4, "float64": 9},
        lambda r: r**2 + mpf("1e-12"),
    ),
    Fit(
        "EXPM1",
        "exp(r) - 1 = r + r² p(r), small relative to r",
        series(lambda r: (mp.expm1(r) - r) / r**2, 0.5),
        (-LN2_HALF, LN2_HALF),
        {"float32": 5, "float64": 10},
        lambda r: abs(r) + mpf("1e-12"),
    ),
    Fit(
        "EXP2",
        "2^r = 1 + r p(r)",
        series(lambda r: (mpf(2) ** r - 1) / r, mp.log(2)),
        (-0.505, 0.505),
        {"float32": 5, "float64": 10},
        lambda r: abs(r) + mpf("1e-12"),
    ),
    Fit(
        "LOG",
        "log(1 + f) = f - f²/2 + f³ p(f), float32",
        series(log_tail, mpf(1) / 3),
        (ROOT["low"], ROOT["high"]),
        {"float32": 7},
        lambda f: f**2 + mpf("1e-12"),
    ),
    Fit(
        "ATANH_SERIES",
        "log(1 + f) = 2 s + s z p(z), s = f / (2 + f), z = s²",
        series(atanh_tail, mpf(2) / 3),
        (0, S2),
        {"float64": 6},
    ),
    Fit(
        "ATANH_TAIL",
        "log(1 + f) = 2 s + s z (2/3 + z p(z)) to more than double precision, for pow",
        series(lambda z: (atanh_tail(z) - mpf(2) / 3) / z, mpf(2) / 5),
        (0, S2),
        {"float64": 7},
        lambda z: z * z + mpf("1e-12"),
    ),
    Fit(
        "LOG2_SHORT",
        "log2(1 + f) = s p(z), for float32 results",
        series(lambda z: atanh_tail(z) * z / mp.log(2) + 2 / mp.log(2), 2 / mp.log(2)),
        (mpf(0), S2),
        {"float64": 4},
    ),
    Fit(
        "EXP2_SHORT",
        "2^r = p(r), for float32 results",
        lambda r: mpf(2) ** r,
        (-0.5, 0.5),
        {"float64": 6},
    ),
    Fit(
        "CBRT",
        "cbrt(1 + f), where an iteration starts",
        lambda f: mp.cbrt(1 + f),
        (ROOT["low"], ROOT["high"]),
        {"float32": 4, "float64": 4},
    ),
    Fit(
        "SIN",
        "sin(r) = r + r³ p(r²) on [-π/4, π/4]",
        in_square(lambda r: (mp.sin(r) - r) / r**3, mpf(-1) / 6),
        {"float32": (0, 0.81**2), "float64": (0, 0.79**2)},
        {"float32": 2, "float64": 5},
        lambda z: z + mpf("1e-12"),
    ),
    Fit(
        "COS",
        "cos(r) = 1 - r²/2 + r⁴ p(r²) on [-π/4, π/4]",
        in_square(lambda r: (mp.cos(r) - 1 + r * r / 2) / r**4, mpf(1) / 24),
        {"float32": (0, 0.81**2), "float64": (0, 0.79**2)},
        {"float32": 2, "float64": 5},
        lambda z: z**2 + mpf("1e-12"),
    ),
    Fit(
        "ARCTAN",
        "arctan(t) = t + t³ p(t²) on [-0.6, 0.6]",
        in_square(lambda t: (mp.atan(t) - t) / t**3, mpf(-1) / 3),
        (0, 0.36),
        {"float32": 5, "float64": 13},
        lambda z: z + mpf("1e-12"),
    ),
    Fit(
        "ARCSIN",
        "arcsin(t) = t + t³ p(t²) on [-1/2, 1/2]",
        in_square(lambda t: (mp.asin(t) - t) / t**3, mpf(1) / 6),
        (0, 0.25),
        {"float32": 4, "float64": 11},
        lambda z: z + mpf("1e-12"),
    ),
    Fit(
        "ERF",
        "erf(x) = x + x p(x²) on [0, 0.9]",
        in_square(lambda x: mp.erf(x) / x - 1, 2 / mp.sqrt(mp.pi) - 1),
        (0, 0.81),
        {"float32": 5, "float64": 11},
    ),
    Fit(
        "ERFCX",
        "(1 + 2 x) exp(x²) erfc(x) = 1.25 + p((x - k) / (x + k)), k = 2 or 4 (after N. Juffa)",
        {"float32": scaled_erfc(2), "float64": scaled_erfc(4)},
        {"float32": (-1, 0.7), "float64": (-1, 0.75)},
        {"float32": 11, "float64": 22},
    ),
    Fit(
        "ERFINV_CENTRE",
        "erfinv(x) = x p(w - c), w = -log(1 - x²), w < 2 c, c = 2.5 or 3.125",
        {"float32": lambda t: erfinv_of(t + 2.5), "float64": lambda t: erfinv_of(t + 3.125)},
        {"float32": (-2.5, 2.5), "float64": (-3.125, 3.125)},
        {"float32": 9, "float64": 23},
    ),
    Fit(
        "ERFINV_MIDDLE",
        "erfinv(x) = x p(sqrt(w) - 3.25), w < 16",
        lambda t: erfinv_of((t + 3.25) ** 2),
        (-0.751, 0.751),
        {"float64": 20},
    ),
    Fit(
        "ERFINV_TAIL",
        "erfinv(x) = x p(sqrt(w) - c), c = 3 or 5",
        {
            "float32": lambda t: erfinv_of((t + 3) ** 2),
            "float64": lambda t: erfinv_of((t + 5) ** 2),
        },
        {"float32": (-0.77, 1.1), "float64": (-1.001, 1.15)},
        {"float32": 11, "float64": 20},
    ),
    Fit(
        "LGAMMA",
        "lgamma(2 + t) = t p(t)",
        series(lambda t: mp.loggamma(2 + t) / t, 1 - mp.euler),
        (-0.5, 0.5),
        {"float32": 8, "float64": 18},
    ),
    Fit(
        "STIRLING",
        "lgamma(x) = (x - 1/2) log(x) - x + log(2 π) / 2 + p(1 / x²) / x, x >= 8",
        series(lambda z: stirling(1 / mp.sqrt(z)), mpf(1) / 12),
        (0, mpf(1) / 64),
        {"float32": 2, "float64": 6},
    ),
    Fit(
        "DIGAMMA",
        "digamma(x) = (x - root) p(x - 1.5) on [1, 2]",
        lambda t: mp.digamma(t + 1.5) / (t + 1.5 - DIGAMMA_ROOT),
        (-0.5, 0.5),
        {"float32": 10, "float64": 22},
    ),
    Fit(
        "DIGAMMA_TAIL",
        "digamma(x) = log(x) - 1 / (2 x) - z p(z), z = 1 / x², x >= 8",
        series(
            lambda z: (mp.log(z) / -2 - mp.sqrt(z) / 2 - mp.digamma(1 / mp.sqrt(z))) / z,
            mpf(1) / 12,
        ),
        (0, mpf(1) / 64),
        {"float32": 2, "float64": 6},
    ),
    Fit(
        "SINH",
        "sinh(t) = t + t³ p(t²) on [-1, 1]",
        in_square(lambda t: (mp.sinh(t) - t) / t**3, mpf(1) / 6),
        (0, 1),
        {"float32": 3, "float64": 6},
        lambda z: z + mpf("1e-12"),
    ),
]

HEADER = '''"""Coefficients of the elementary functions, lowest power first; written by a program.

Minimax polynomials by Remez' exchange: tools/fit_coefficients.py, which has the functions, the
intervals and the weights. The comment gives the largest weighted error before rounding.
"""

'''


def write(fits: list[Fit]) -> str:
    """The text of coefficients.py."""
    text = HEADER
    for fit in fits:
        text += f"# {fit.formula}\n{fit.name} = {{\n"
        for dtype, degree in fit.degrees.items():
            a, b = fit.interval[dtype] if isinstance(fit.interval, dict) else fit.interval
            f = fit.f[dtype] if isinstance(fit.f, dict) else fit.f
            c, worst = remez(f, a, b, degree, fit.weight)
            print(f"{fit.name:16} {dtype} degree {degree:2}  2^{float(mp.log(worst, 2)):.1f}")
            rounded = [repr(float(np.dtype(dtype).type(float(v)))) for v in c]
            lines = "".join(f"        {v},\n" for v in rounded)
            text += f'    "{dtype}": (  # 2^{float(mp.log(worst, 2)):.1f}\n{lines}    ),\n'
        text += "}\n"
    return text


if __name__ == "__main__":
    chosen = [f for f in FITS if not sys.argv[1:] or f.name in sys.argv[1:]]
    written = write(chosen)
    if len(chosen) == len(FITS):
        TARGET.write_text(written)
