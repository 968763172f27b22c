"""Polynomials by their coefficients, highest power first: values, arithmetic, fits and roots."""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.errors import ConcretizationError, ShapeError
from functrans.core.trace import UNKNOWN, Tracer
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.numpy import reductions, ufuncs
from functrans.numpy.creation import ones, zeros
from functrans.numpy.decompositions import eigvals, lstsq
from functrans.numpy.dispatch import mirrors, refuse
from functrans.numpy.elementary import sqrt
from functrans.numpy.index_functions import take
from functrans.numpy.indexing import at, getitem
from functrans.numpy.joining import concatenate
from functrans.numpy.manipulation import reshape, strong
from functrans.numpy.matrices import eye, vander
from functrans.numpy.promotion import promote, to_dtype
from functrans.numpy.selection import where
from functrans.numpy.signals import convolve
from functrans.numpy.sorting import argsort
from functrans.numpy.systems import inexact
from functrans.primitives.arithmetic import complex_dtype, real_dtype, zeros_like
from functrans.primitives.shaping import pad, slice_axis


@mirrors(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """`numpy.polyval`: a polynomial with coefficients p, highest power first, at x.

    >>> import functrans.numpy as fnp
    >>> float(fnp.polyval([1.0, 0.0, 2.0], 3.0))
    11.0
    """
    coefficients = strong(p)
    x = strong(x)
    y = zeros_like(x)
    for i in range(shape_of(coefficients)[0]):
        y = y * x + getitem(coefficients, i)
    return y


@mirrors(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """`numpy.polyadd`: the sum of two polynomials.

    >>> import functrans.numpy as fnp
    >>> fnp.polyadd([1, 2], [3]).tolist()
    [1, 5]
    """
    x, y = promote(strong(a1), strong(a2))
    n = np.maximum(shape_of(x)[0], shape_of(y)[0])
    return pad(x, (n - shape_of(x)[0],), (0,), (0,)) + pad(y, (n - shape_of(y)[0],), (0,), (0,))


@mirrors(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """`numpy.polysub`: the difference of two polynomials.

    >>> import functrans.numpy as fnp
    >>> fnp.polysub([1, 2], [3]).tolist()
    [1, -1]
    """
    return polyadd(a1, ufuncs.negative(strong(a2)))


@mirrors(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """`numpy.polymul`: the product of two polynomials.

    >>> import functrans.numpy as fnp
    >>> fnp.polymul([1, 1], [1, -1]).tolist()
    [1, 0, -1]
    """
    return convolve(a1, a2)


@mirrors(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """`numpy.polyint`: the m-th antiderivative of a polynomial, with integration constants k.

    >>> import functrans.numpy as fnp
    >>> fnp.polyint([2.0, 1.0]).tolist()
    [1.0, 1.0, 0.0]
    """
    x = strong(p)
    constants = [0.0] * m if k is None else list(np.broadcast_to(k, (m,)))
    for constant in constants:
        powers = np.arange(shape_of(x)[0], 0, -1)
        x = concatenate([x / powers, reshape(strong(constant), (1,))])
    return x


@mirrors(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """`numpy.polyder`: the m-th derivative of a polynomial.

    >>> import functrans.numpy as fnp
    >>> fnp.polyder([1, 0, 2]).tolist()
    [2, 0]
    """
    x = strong(p)
    for _ in range(m):
        n = shape_of(x)[0]
        powers = np.arange(n - 1, 0, -1)
        x = slice_axis(x, 0, 0, n - 1) * powers
    return x


@mirrors(np.polyfit)
def polyfit(
    x: Any,
    y: Any,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: Any = None,
    cov: Any = False,
) -> Any:
    """`numpy.polyfit`: the polynomial of a degree that fits points best, by least squares.

    `full` and `cov` are for arrays that are not traced.

    >>> import functrans.numpy as fnp
    >>> fnp.polyfit([0.0, 1.0, 2.0], [1.0, 3.0, 5.0], 1).round(6).tolist()
    [2.0, 1.0]
    """
    refuse("polyfit", full=(full, False), cov=(cov, False))
    x, y = strong(x) + 0.0, strong(y) + 0.0
    if len(shape_of(x)) != 1 or len(shape_of(y)) not in (1, 2) or shape_of(x) != shape_of(y)[:1]:
        raise ShapeError(
            "polyfit needs a vector x that is not empty, and y with as many values or rows: "
            f"got {aval_of(x)} and {aval_of(y)}."
        )
    powers = vander(x, deg + 1)
    if w is not None:
        weights = strong(w) + 0.0
        powers = powers * reshape(weights, (-1, 1))
        y = y * reshape(weights, (-1,) + (1,) * (len(shape_of(y)) - 1))
    size = sqrt(reductions.sum(powers * powers, 0))
    rcond = shape_of(x)[0] * np.finfo(dtype_of(x)).eps if rcond is None else rcond
    fit = lstsq(powers / size, y, rcond)[0]
    return fit / reshape(size, (-1,) + (1,) * (len(shape_of(y)) - 1))


@mirrors(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """`numpy.polydiv`: quotient and remainder of two polynomials.

    Where values are not known, the remainder keeps zeros in front: it is as long as u, as in JAX.

    >>> import functrans.numpy as fnp
    >>> [w.tolist() for w in fnp.polydiv([3.0, 5.0, 2.0], [2.0, 1.0])]
    [[1.5, 1.75], [0.25]]
    """
    x, y = promote(*[reshape(strong(w), (-1,)) for w in inexact(u, v)])
    m, n = shape_of(x)[0], shape_of(y)[0]
    if m < n:
        return zeros(1, dtype_of(x)), x
    quotient = []
    for k in np.arange(m - n + 1).tolist():
        quotient.append(getitem(x, k) / getitem(y, 0))
        x = at(x)[k : k + n].add(-quotient[-1] * y)
        x = at(x)[k].set(0)  # and not what rounding leaves of it
    return concatenate([reshape(q, (1,)) for q in quotient]), _without_zeros_in_front(x)


def _without_zeros_in_front(x: Any) -> Any:
    """x as NumPy trims it, if its values are known."""
    if type(x) is not Tracer or x.value is UNKNOWN:
        return x
    places = np.flatnonzero(~np.isclose(x.value, 0, rtol=1e-14))
    n = shape_of(x)[0]
    return slice_axis(x, 0, int(places[0]) if places.size else n - 1, n)


def poly(seq_of_zeros: Any) -> Any:
    """`numpy.poly`: the polynomial with given zeros, or the characteristic one of a matrix.

    Args:
        seq_of_zeros: a vector (n,), or a square matrix (n, n).

    Returns:
        Coefficients (n + 1,), the first of which is one; complex if the zeros are, also where they
        come in pairs, or if the matrix is.

    Raises:
        ShapeError: it is neither.

    >>> import functrans.numpy as fnp
    >>> fnp.poly([1.0, 2.0]).tolist(), fnp.poly(fnp.eye(2)).tolist()
    ([1.0, -3.0, 2.0], [1.0, -2.0, 1.0])
    """
    (x,) = inexact(seq_of_zeros)
    dtype, shape = dtype_of(x), shape_of(x)
    if len(shape) == 2 and shape[0] == shape[1] != 0:
        x = eigvals(x)
    elif len(shape) > 1:
        raise ShapeError(f"poly needs a vector or a square matrix: got {aval_of(x)}.")
    coefficients = ones(1, dtype_of(x))
    for k in range(x.size):
        coefficients = convolve(coefficients, at(ones(2, dtype_of(x)))[1].set(-x.reshape(-1)[k]))
    return coefficients if dtype_of(coefficients) == dtype else ufuncs.real(coefficients)


def roots(p: Any, *, strip_zeros: bool = True) -> Any:
    """`numpy.roots`: the zeros of a polynomial, as eigenvalues of its companion matrix.

    Args:
        p: a vector of coefficients (n,), highest power first.
        strip_zeros: leave out zeros at the front, so that there are fewer roots, which needs known
            values. Otherwise, as in JAX, there are n - 1 roots, those that do not exist being nan
            at the end.

    Returns:
        Complex numbers (n - 1,), or fewer. Derivatives exist where all roots differ.

    Raises:
        ShapeError: p is no vector.
        ConcretizationError: zeros are to be left out of values that are not known.

    >>> import functrans as ft
    >>> import functrans.numpy as fnp
    >>> fnp.roots([1.0, -3.0, 2.0]).round(9).tolist()
    [(2+0j), (1+0j)]
    >>> largest = lambda p: fnp.max(fnp.roots(p, strip_zeros=False).real)
    >>> ft.jit(ft.grad(largest))(np.array([1.0, -3.0, 2.0])).round(9).tolist()
    [-4.0, -2.0, -1.0]
    """
    (x,) = inexact(p)
    if len(shape_of(x)) > 1:
        raise ShapeError(f"roots needs a vector of coefficients: got {aval_of(x)}.")
    x = reshape(x, (-1,))
    if strip_zeros:
        return _roots_of_stripped(x)
    return _roots_then_nan(x)


def _roots_then_nan(x: Any) -> Any:
    """The roots, the largest first, and nan for as many as there are zeros in front.

    In the companion matrix the latter are rows with a number on the diagonal that exceeds all roots
    (Cauchy's bound), so that they are known from the others and leave the vectors independent.
    """
    n = shape_of(x)[0]
    if n < 2:
        return zeros(0, complex_dtype(real_dtype(dtype_of(x))))
    leading = where(reductions.any(x != 0), reductions.argmax(x != 0), n)
    shifted = take(x, ufuncs.remainder(np.arange(n) + leading, n))
    shifted = where(np.arange(n) < n - leading, shifted, 0)
    absent = np.arange(n - 1) >= n - 1 - leading
    with np.errstate(all="ignore"):  # where all coefficients are zero
        matrix = _companion(shifted)
    bound = 2 * (1 + reductions.max(ufuncs.absolute(matrix)))
    beyond = to_dtype(bound * np.eye(n - 1), dtype_of(matrix))
    values = eigvals(where(reshape(absent, (-1, 1)), beyond, matrix))
    values = take(values, argsort(-ufuncs.absolute(values)))
    values = take(values, np.arange(n - 1) + leading, mode="clip")
    return where(absent, complex(np.nan, np.nan), values)


def _roots_of_stripped(x: Any) -> Any:
    """The roots of a polynomial whose zero coefficients at both ends are known."""
    known = x.value if type(x) is Tracer else x
    if known is UNKNOWN:
        raise ConcretizationError(
            f"how many roots a polynomial of type {aval_of(x)} has is not known while tracing.\n"
            "  Give roots strip_zeros=False; those that do not exist are then nan."
        )
    places = np.flatnonzero(np.asarray(known))
    dtype = complex_dtype(real_dtype(dtype_of(x)))
    if not places.size:
        return zeros(0, dtype)
    first, last = places[0], places[-1]
    inner = slice_axis(x, 0, int(first), int(last) + 1)
    values = eigvals(_companion(inner)) if last > first else zeros(0, dtype)
    return concatenate([values, zeros(shape_of(x)[0] - 1 - int(last), dtype)])


def _companion(p: Any) -> Any:
    """The matrix whose eigenvalues are the roots; the first coefficient is not zero."""
    shifts = eye(shape_of(p)[0] - 1, k=-1, dtype=dtype_of(p))
    return at(shifts)[0].set(-getitem(p, slice(1, None)) / getitem(p, 0))
