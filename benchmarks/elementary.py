"""Measure the compiler's elementary functions beside NumPy and JAX; writes docs/elementary.md.

python benchmarks/elementary.py [--jax]. Times are of arrays of 100,000 elements, the least of many
runs on one thread; errors are the largest of some thousand random points in the interval shown.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import scipy.special

from functrans.compiler import math as elementary
from functrans.compiler.engine import compile_module
from functrans.compiler.llvm import Builder

SIZE, POINTS = 100_000, 1500
TARGET = Path(__file__).parents[1] / "docs/elementary.md"
Row = tuple[str, Any, Any, str | None, list[tuple[float, float]]]

FUNCTIONS: list[Row] = [  # name, the truth, NumPy's or SciPy's, JAX's, the operands' intervals
    ("exp", mp.exp, np.exp, "exp", [(-10, 10)]),
    ("exp2", lambda x: mp.mpf(2) ** x, np.exp2, "exp2", [(-10, 10)]),
    ("expm1", mp.expm1, np.expm1, "expm1", [(-4, 4)]),
    ("log", mp.log, np.log, "log", [(0, 4)]),
    ("log2", lambda x: mp.log(x, 2), np.log2, "log2", [(0, 4)]),
    ("log10", mp.log10, np.log10, "log10", [(0, 4)]),
    ("log1p", mp.log1p, np.log1p, "log1p", [(-1, 4)]),
    ("sigmoid", lambda x: 1 / (1 + mp.exp(-x)), scipy.special.expit, "sigmoid", [(-10, 10)]),
    (
        "softplus",
        lambda x: mp.log1p(mp.exp(x)),
        lambda x: np.logaddexp(x, x.dtype.type(0)),
        "softplus",
        [(-10, 10)],
    ),
    ("tanh", mp.tanh, np.tanh, "tanh", [(-4, 4)]),
    ("sinh", mp.sinh, np.sinh, "sinh", [(-4, 4)]),
    ("cosh", mp.cosh, np.cosh, "cosh", [(-4, 4)]),
    ("sin", mp.sin, np.sin, "sin", [(-10, 10)]),
    ("cos", mp.cos, np.cos, "cos", [(-10, 10)]),
    ("tan", mp.tan, np.tan, "tan", [(-10, 10)]),
    ("arcsin", mp.asin, np.arcsin, "arcsin", [(-1, 1)]),
    ("arccos", mp.acos, np.arccos, "arccos", [(-1, 1)]),
    ("arctan", mp.atan, np.arctan, "arctan", [(-4, 4)]),
    ("arcsinh", mp.asinh, np.arcsinh, "arcsinh", [(-4, 4)]),
    ("arccosh", mp.acosh, np.arccosh, "arccosh", [(1, 9)]),
    ("arctanh", mp.atanh, np.arctanh, "arctanh", [(-1, 1)]),
    ("cbrt", lambda x: mp.sign(x) * mp.cbrt(abs(x)), np.cbrt, "cbrt", [(-4, 4)]),
    ("rsqrt", lambda x: 1 / mp.sqrt(x), lambda x: 1 / np.sqrt(x), "rsqrt", [(0, 4)]),
    ("erf", mp.erf, scipy.special.erf, "erf", [(-4, 4)]),
    ("erfc", mp.erfc, scipy.special.erfc, "erfc", [(-4, 8)]),
    ("erfinv", mp.erfinv, scipy.special.erfinv, "erf_inv", [(-1, 1)]),
    ("lgamma", lambda x: mp.re(mp.loggamma(x)), scipy.special.gammaln, "lgamma", [(2.2, 40)]),
    ("digamma", mp.digamma, scipy.special.digamma, "digamma", [(2, 40)]),
    ("pow", lambda x, y: x**y, np.power, "power", [(0, 4), (-9, 9)]),
    ("arctan2", mp.atan2, np.arctan2, "arctan2", [(-4, 4), (-4, 4)]),
    ("hypot", mp.hypot, np.hypot, "hypot", [(-4, 4), (-4, 4)]),
    (
        "logaddexp",
        lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))),
        np.logaddexp,
        "logaddexp",
        [(0, 9), (0, 9)],
    ),
]


NOTES = """

How they are made, and what limits them:

- Everything is inline and branch-free, so LLVM's loop vectoriser takes it: polynomials from
  `tools/fit_coefficients.py`, exponents through bit casts, sums of two floats where one is not
  enough.
- `sin`, `cos` and `tan` of arguments above 65,536 (float32) or 2^28 (float64) are the C
  library's. The call sits in vector variants of a helper function
  (`functrans/compiler/math/rare.py`), which test all lanes at once; it adds about 10 ms to a
  kernel's compile time.
- A long chain of dependent operations costs time although elements are independent: an iteration
  of float64 `pow` is 200 instructions, of which the processor's window holds two or three. Long
  polynomials are therefore summed as even and odd powers apart (5 to 15 % faster than Horner's
  rule).
- Denormal results slow any multiplication down: `exp` over [-104, 89] takes 0.5 ns in float32.
- Errors are at most 2 ulp over the whole domain, but: `erfinv`, `lgamma` and `digamma` 4 (the last
  two for positive arguments and away from their zeros; near zeros at negative arguments only the
  absolute error is small), `logaddexp` 2.5, and more where its result is small by cancellation.
"""


def kernel(name: str, dtype: np.dtype, count: int) -> Callable[..., None]:
    """A function (operands…, out) of arrays."""
    b = Builder()
    with b.loop("0", "%n") as i:
        operands = [b.load(f"%p{k}", i.text, dtype) for k in range(count)]
        b.store(getattr(elementary, name)(b, *operands), "%out", i.text)
    pointers = "".join(f"ptr noalias %p{k}, " for k in range(count))
    head = f"define void @measured({pointers}ptr noalias %out, i64 %n) {{\nentry:"
    ir = "\n".join([*b.declarations, head, *b.lines, "  ret void", "}"])
    address = compile_module(ir, ["measured"])["measured"]
    native = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (count + 1), ctypes.c_int64)(address)

    def run(*arrays: np.ndarray) -> None:
        native(*[a.ctypes.data for a in arrays], arrays[-1].size)

    return run


def least_ns(run: Callable[[], Any], repeats: int = 40) -> float:
    """The least time of a run, per element."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times) / SIZE * 1e9


def error(results: np.ndarray, operands: list[np.ndarray], truth: Any) -> float:
    """The largest error in ulp."""
    worst = 0.0
    with mp.workprec(200):
        for y, *point in zip(results, *operands, strict=True):
            exact = truth(*(mp.mpf(float(v)) for v in point))
            unit = np.spacing(max(abs(y.dtype.type(float(exact))), np.finfo(y.dtype).tiny))
            worst = max(worst, float(abs(mp.mpf(float(y)) - exact) / mp.mpf(float(unit))))
    return worst


def jax_function(name: str | None) -> Any:
    """JAX's function of this name, compiled; None without --jax."""
    if name is None or "--jax" not in sys.argv:
        return None
    import jax

    jax.config.update("jax_enable_x64", True)
    spaces = (jax.numpy, jax.nn, jax.lax, jax.scipy.special)
    return jax.jit(next(getattr(s, name) for s in spaces if hasattr(s, name)))


def measure(row: Row, dtype: np.dtype) -> str:
    """The cells of one function for one dtype."""
    name, truth, reference, jax_name, intervals = row
    rng = np.random.default_rng(0)
    operands = [rng.uniform(*span, SIZE).astype(dtype) for span in intervals]
    out = np.empty(SIZE, dtype)
    run = kernel(name, dtype, len(operands))
    ours = least_ns(lambda: run(*operands, out))
    with np.errstate(all="ignore"):
        theirs = least_ns(lambda: reference(*operands), 8)
    compiled = jax_function(jax_name)
    other = (
        "–"
        if compiled is None
        else (f"{least_ns(lambda: compiled(*operands).block_until_ready(), 15):.2f}")
    )
    ulp = error(out[:POINTS], [x[:POINTS] for x in operands], truth)
    return f" {ours:.2f} | {theirs:.2f} | {other} | {ulp:.2f} |"


def main() -> None:
    lines = [
        "# Elementary functions",
        "",
        "Written by `python benchmarks/elementary.py --jax`: nanoseconds per element of compiled",
        "loops over 100,000 elements beside NumPy (or SciPy) and JAX (which may use two threads,",
        "and whose dispatch is included), and our largest error over random points, in ulp.",
        "",
        "| function | interval | float32 ns | NumPy | JAX | ulp | float64 ns | NumPy | JAX | ulp |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in FUNCTIONS:
        if hasattr(elementary, row[0]):
            spans = " × ".join(f"[{a}, {b}]" for a, b in row[4])
            cells = "".join(measure(row, np.dtype(d)) for d in ("f4", "f8"))
            lines.append(f"| {row[0]} | {spans} |{cells}")
            print(lines[-1], flush=True)
    TARGET.write_text("\n".join(lines) + NOTES)


if __name__ == "__main__":
    main()
