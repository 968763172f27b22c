"""The compiler's elementary functions are within a few ulp of the truth, and right at the edges.

FUNCTRANS_TEST_POINTS sets the random points per range (default 150).
"""

import os
import re

import mpmath as mp
import numpy as np
import pytest
import scipy.special

from functrans.compiler import math as elementary

POINTS = int(os.environ.get("FUNCTRANS_TEST_POINTS", "150"))
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
PRECISION = 180

REFERENCES = {
    "exp2": lambda x: mp.mpf(2) ** x,
    "log2": lambda x: mp.log(x, 2),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "arcsin": mp.asin,
    "arccos": mp.acos,
    "arctan": mp.atan,
    "arcsinh": mp.asinh,
    "arccosh": mp.acosh,
    "arctanh": mp.atanh,
    "arctan2": mp.atan2,
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
    "rsqrt": lambda x: 1 / mp.sqrt(x),
    "pow": lambda x, y: x**y,
    "logaddexp": lambda x, y: max(x, y) + mp.log1p(mp.exp(-abs(x - y))),
    "logaddexp2": lambda x, y: max(x, y) + mp.log1p(mp.mpf(2) ** -abs(x - y)) / mp.log(2),
    "lgamma": lambda x: mp.re(mp.loggamma(x)),
}

TABLE = [  # name, ulp, ranges for both dtypes; "all" is log-uniform over all exponents
    ("exp", 1.2, [(-1, 1), (-87, 88)]),
    ("exp2", 1.2, [(-1, 1), (-149, 127)]),
    ("expm1", 1.2, [(-1, 1), (-18, 88), (0.2, 0.9), (-1e-6, 1e-6)]),
    ("log", 1.0, [(0.5, 2), "all"]),
    ("log2", 1.2, [(0.5, 2), "all"]),
    ("log10", 1.2, [(0.5, 2), "all"]),
    ("log1p", 1.2, [(-0.9, 1), (-1e-3, 1e-3), "all"]),
    ("sigmoid", 2.0, [(-1, 1), (-5, -1), (-88, 20)]),
    ("tanh", 1.8, [(-0.1, 0.1), (0.1, 0.5), (-10, 10)]),
    ("softplus", 2.0, [(-3, 3), (-87, 88)]),
    ("sinh", 1.8, [(-1, 1), (1, 2), (-88, 88)]),
    ("cosh", 1.8, [(-1, 1), (-88, 88)]),
    ("sin", 1.8, [(-4, 4), (-6e4, 6e4), (-1e8, 1e8), "all"]),
    ("cos", 1.8, [(-4, 4), (-6e4, 6e4), (-1e8, 1e8), "all"]),
    ("tan", 1.2, [(-4, 4), (-6e4, 6e4), (-1e8, 1e8), "all"]),
    ("arcsin", 1.8, [(-1, 1)]),
    ("arccos", 1.5, [(-1, 1), (0.95, 1)]),
    ("arctan", 1.4, [(-1, 1), (0.9, 1.1), (0.5, 0.7), (-20, 20), "all"]),
    ("arcsinh", 1.2, [(-1, 1), (-1e-3, 1e-3), "all"]),
    ("arccosh", 1.2, [(1, 1.1), (1, 50), (1, 1e30)]),
    ("arctanh", 1.2, [(-1, 1), (-1e-3, 1e-3)]),
    ("cbrt", 1.0, [(-2, 2), "all"]),
    ("rsqrt", 1.5, [(0.1, 4), "all"]),
    ("erf", 1.5, [(-1, 1), (-4, 4)]),
    ("erfc", 2.0, [(-2, 0.5), (0.4, 1), (1, 3), (3, 9)]),
    ("erfinv", 4.0, [(-1, 1), (0.9, 1), (-1e-3, 1e-3)]),
    ("lgamma", 4.0, [(1e-3, 0.9), (2.2, 10), (10, 1e3)]),
    ("digamma", 4.0, [(1e-3, 1.2), (1.6, 10), (10, 1e3)]),
]
BINARY = [
    ("pow", 1.2, [(0, 3, -30, 30), (0.9, 1.1, -300, 300), (1e-30, 1e30, -1, 1)]),
    (
        "arctan2",
        1.7,
        [
            (-3, 3, -3, 3),
            (0.9, 1.1, 0.9, 1.1),
            (1e38, 3e38, 1e38, 3e38),
            (-1e30, 1e30, -1, 1),
            (-1e-9, 1e-9, -1, 1),
        ],
    ),
    ("hypot", 1.5, [(-3, 3, -3, 3), (1e30, 1e36, 1e30, 1e36), (1e-36, 1e-30, 1e-36, 1e-30)]),
    ("logaddexp", 2.5, [(0, 9, 0, 9), (-80, 80, -80, 80)]),
    ("logaddexp2", 2.5, [(0, 9, 0, 9), (-80, 80, -80, 80)]),
]
AVAILABLE = [case for case in TABLE if hasattr(elementary, case[0])]


def draw(rng, span, dtype, positive):
    """Points of a range, as numbers of a dtype."""
    if span == "all":
        info = np.finfo(dtype)
        exponents = rng.uniform(info.minexp, info.maxexp - 1, POINTS)
        x = np.exp2(exponents)
        return (x if positive else x * rng.choice([-1, 1], POINTS)).astype(dtype)
    low, high = span
    x = rng.uniform(low, high, POINTS).astype(dtype)
    return x[(x > low) & (x < high)]


def ulps(got, exact, dtype):
    """The distance from the truth in units of the last place of the truth."""
    rounded = dtype.type(float(exact))
    if not np.isfinite(rounded):
        return 0.0 if got == rounded else np.inf
    if not np.isfinite(got):
        return np.inf
    unit = np.spacing(max(abs(rounded), np.finfo(dtype).tiny))
    return float(abs(mp.mpf(float(got)) - exact) / mp.mpf(float(unit)))


def worst(results, points, reference, dtype):
    """The largest error and where."""
    with mp.workprec(PRECISION), np.errstate(all="ignore"):
        return max(
            (ulps(y, reference(*(mp.mpf(float(v)) for v in p)), dtype), p)
            for y, p in zip(results, points, strict=True)
        )


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("name, limit, spans", AVAILABLE, ids=[c[0] for c in AVAILABLE])
def test_is_within_ulps_of_the_truth(native, name, limit, spans, dtype):
    rng = np.random.default_rng(0)
    run = native(getattr(elementary, name), [dtype], dtype)
    reference = REFERENCES.get(name) or getattr(mp, name)
    for span in spans:
        positive = name in ("log", "log2", "log10", "log1p", "rsqrt")
        x = draw(rng, span, dtype, positive)
        if dtype == DOUBLE and span == "all" and name in ("sin", "cos", "tan"):
            with mp.workprec(1400):
                exact = [reference(mp.mpf(float(v))) for v in x]
            error = max(ulps(y, e, dtype) for y, e in zip(run(x), exact, strict=True))
        else:
            error, _ = worst(run(x), [(v,) for v in x], reference, dtype)
        assert error <= limit, f"{name} is {error:.2f} ulp off in {span}"


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("name, limit, spans", BINARY, ids=[c[0] for c in BINARY])
def test_of_two_is_within_ulps_of_the_truth(native, name, limit, spans, dtype):
    rng = np.random.default_rng(0)
    run = native(getattr(elementary, name), [dtype, dtype], dtype)
    reference = REFERENCES.get(name) or getattr(mp, name)
    for low, high, low_2, high_2 in spans:
        x = rng.uniform(low, high, POINTS).astype(dtype)
        y = rng.uniform(low_2, high_2, POINTS).astype(dtype)
        error, where = worst(run(x, y), list(zip(x, y, strict=True)), reference, dtype)
        assert error <= limit, f"{name} is {error:.2f} ulp off at {where}"


NUMPY = {
    "sigmoid": scipy.special.expit,
    "softplus": lambda x: np.logaddexp(x, x.dtype.type(0)),
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "erf": scipy.special.erf,
    "erfc": scipy.special.erfc,
    "erfinv": lambda x: np.copysign(scipy.special.erfinv(x), x),  # SciPy loses the sign of -0
    "lgamma": lambda x: np.where(x < 1e-300, -np.log(x), scipy.special.gammaln(x)),
    "digamma": scipy.special.digamma,
    "pow": np.power,
}


def edges(dtype):
    """Zeros, denormals, ones, huge numbers, infinities, nan."""
    info = np.finfo(dtype)
    positive = [
        0,
        info.smallest_subnormal,
        5 * info.smallest_subnormal,
        info.tiny,
        1e-20,
        0.5,
        1,
        2,
        3,
        100,
        1e5,
        info.max / 4,
        info.max,
        np.inf,
        np.nan,
    ]
    return np.array([s * float(v) for v in positive for s in (1, -1)], dtype)


def assert_close_or_same(got, expected, dtype):
    """Equal where not finite, the same signs of zero, a few ulp elsewhere."""
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    info = np.finfo(dtype)
    np.testing.assert_allclose(
        got[finite], expected[finite], rtol=8 * info.eps, atol=2 * info.smallest_subnormal
    )
    zero = expected == 0
    np.testing.assert_array_equal(np.signbit(got[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("name", [c[0] for c in AVAILABLE])
def test_special_values_are_numpys(native, name, dtype):
    x = edges(dtype)
    with np.errstate(all="ignore"):
        expected = (NUMPY.get(name) or getattr(np, name))(x.astype(DOUBLE)).astype(dtype)
    if name in ("lgamma", "digamma"):  # SciPy's choices at poles and below are its own
        x, expected = x[x > 0], expected[x > 0]
    assert_close_or_same(native(getattr(elementary, name), [dtype], dtype)(x), expected, dtype)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("name", [c[0] for c in BINARY])
def test_special_values_of_two_are_numpys(native, name, dtype):
    values = edges(dtype)
    x, y = (v.ravel() for v in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        reference = NUMPY.get(name) or getattr(np, name)
        expected = reference(x.astype(DOUBLE), y.astype(DOUBLE)).astype(dtype)
    result = native(getattr(elementary, name), [dtype, dtype], dtype)(x, y)
    assert_close_or_same(result, expected, dtype)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("exponent", [-70, -64, -9, -3, -1, 0, 1, 2, 3, 5, 8, 9, 13, 63, 64, 65])
def test_integer_pow_is_numpys(native, exponent, dtype):
    x = np.random.default_rng(0).normal(size=200).astype(dtype) * 2
    run = native(lambda b, v: elementary.integer_pow(b, v, exponent=exponent), [dtype], dtype)
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.longdouble), exponent).astype(dtype)
    np.testing.assert_allclose(run(x), expected, rtol=4 * np.finfo(dtype).eps)
    if abs(exponent) > 8:  # what is multiplied more often is more exact
        info = np.finfo(dtype)
        np.testing.assert_allclose(run(x), expected, rtol=info.eps, atol=info.smallest_subnormal)
        special = np.concatenate([edges(dtype), [1e-35, -1e-35, 1e34, -1e34]]).astype(dtype)
        with np.errstate(all="ignore"):
            expected = np.power(special.astype(np.longdouble), exponent).astype(dtype)
        assert_close_or_same(run(special), expected, dtype)


@pytest.mark.parametrize("dtype", ["i1", "i4", "i8", "u2", "u8"])
def test_powers_of_integers_wrap(native, dtype):
    dtype = np.dtype(dtype)
    x, y = (v.ravel() for v in np.meshgrid(np.arange(0, 9), np.arange(0, 70)))
    result = native(elementary.pow, [dtype, dtype], dtype)(x, y)
    np.testing.assert_array_equal(result, np.power(x.astype(dtype), y.astype(dtype)))


COMPLEX = [
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
]


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_functions_are_numpys(native, name, dtype):
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(0)
    z = (3 * rng.normal(size=200) + 3j * rng.normal(size=200)).astype(dtype)
    z[:4] = [0, 1, -1, 1j]
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(z.astype("c16"))
    result = native(getattr(elementary, name), [dtype], dtype)(z)
    finite = np.isfinite(expected)
    eps = np.finfo(dtype).eps
    assert (abs(result[finite] - expected[finite]) <= 8 * eps * abs(expected[finite])).all()
    np.testing.assert_array_equal(result[~finite], expected[~finite])


@pytest.mark.parametrize("dtype", ["c8", "c16"])
@pytest.mark.parametrize("name", COMPLEX)
def test_complex_functions_on_the_axes_are_numpys(native, name, dtype):
    along = [-1000.0, -1.0, 0.0, 1.0, 1000.0]  # exp and what is made of it overflow at the ends
    parts = [(x, y) for x in along for y in (0.0, -0.0)]
    z = np.array(parts + [(y, x) for x, y in parts]).view("c16").ravel().astype(dtype)
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(z)
    result = native(getattr(elementary, name), [z.dtype], z.dtype)(z)
    for part in ("real", "imag"):
        got, want = getattr(result, part), getattr(expected, part)
        np.testing.assert_allclose(got, want, rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_powers_are_numpys(native, dtype):
    dtype = np.dtype(dtype)
    rng = np.random.default_rng(0)
    z, w = (rng.normal(size=(2, 200)) + 1j * rng.normal(size=(2, 200))).astype(dtype)
    result = native(elementary.pow, [dtype, dtype], dtype)(z, w)
    expected = z.astype("c16") ** w.astype("c16")
    np.testing.assert_allclose(result, expected, rtol=50 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
@pytest.mark.parametrize("name", [c[0] for c in AVAILABLE] + [c[0] for c in BINARY])
def test_loops_are_vectorised(optimized, name, dtype):
    count = 2 if name in [c[0] for c in BINARY] else 1
    text = optimized(getattr(elementary, name), [dtype] * count, dtype)
    packed = rf"v?(mul|div|add|sub|fn?m(add|sub)\d+|sqrt)p{'s' if dtype == SINGLE else 'd'}"
    assert re.search(rf"{packed}|fmla|fmul\s+v", text)
