"""The NumPy namespace over the primitives: NumPy's functions under NumPy's names."""

# fmt: off
# ruff: noqa: I001
from functrans.numpy import methods as methods
from functrans.numpy.constants import (
    bartlett, blackman, bool, bool_, broadcast_shapes, cdouble, complex128, complex64,
    complexfloating, csingle, diag_indices, double, dtype, e, einsum_path, errstate, euler_gamma,
    finfo, float16, float32, float64, floating, generic, half, hamming, hanning, iinfo, inexact,
    inf, int16, int32, int64, int8, int_, intc, integer, intp, isdtype, isscalar, issubdtype,
    iterable, kaiser, mask_indices, nan, ndarray, ndindex, newaxis, number, pi, promote_types,
    set_printoptions, signedinteger, single, tril_indices, triu_indices, uint, uint16, uint32,
    uint64, uint8, unsignedinteger,
)
from functrans.numpy.creation import (
    arange, array, asanyarray, asarray, ascontiguousarray, empty, empty_like, fromfunction, full,
    full_like, geomspace, indices, linspace, logspace, meshgrid, ones, ones_like, zeros, zeros_like,
)
from functrans.numpy.cumulative import (
    cumprod, cumsum, cumulative_prod, cumulative_sum, diff, ediff1d, gradient, trapezoid, unwrap,
)
from functrans.numpy.einsum import (
    einsum,
)
from functrans.numpy.elementary import (
    acos, acosh, angle, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh, asin, asinh,
    atan, atan2, atanh, cbrt, cos, cosh, deg2rad, degrees, exp, exp2, expm1, frexp, hypot, i0,
    ldexp, log, log10, log1p, log2, logaddexp, logaddexp2, rad2deg, radians, sin, sinc, sinh,
    spacing, sqrt, tan, tanh,
)
from functrans.numpy import fft as fft
from functrans.numpy.index_tricks import (
    c_, diag_indices_from, index_exp, mgrid, ogrid, r_, s_, tril_indices_from, triu_indices_from,
)
from functrans.numpy.joining import (
    append, array_split, block, column_stack, concat, concatenate, delete, dsplit, dstack, flip,
    fliplr, flipud, hsplit, hstack, insert, repeat, resize, roll, rot90, split, stack, tile,
    unstack, vsplit, vstack,
)
from functrans.numpy import linalg as linalg
from functrans.numpy.manipulation import (
    astype, atleast_1d, atleast_2d, atleast_3d, broadcast_arrays, broadcast_to, can_cast, copy,
    expand_dims, iscomplexobj, isrealobj, matrix_transpose, moveaxis, ndim, permute_dims, ravel,
    reshape, result_type, rollaxis, shape, size, squeeze, swapaxes, transpose,
)
from functrans.numpy.matrices import (
    diag, diagflat, diagonal, eye, identity, tri, tril, triu, vander,
)
from functrans.numpy.padding import (
    pad,
)
from functrans.numpy.products import (
    cross, dot, inner, kron, matmul, matvec, outer, tensordot, trace, vdot, vecdot, vecmat,
)
from functrans.numpy.quantiles import (
    median, nanmedian, nanpercentile, nanquantile, percentile, quantile,
)
from functrans.numpy.reductions import (
    all, amax, amin, any, argmax, argmin, average, count_nonzero, max, mean, min, prod, ptp, std,
    sum, var,
)
from functrans.numpy.selection import (
    allclose, array_equal, array_equiv, clip, heaviside, isclose, iscomplex, isreal, nan_to_num,
    piecewise, select, where,
)
from functrans.numpy.nanreductions import (
    nanargmax, nanargmin, nancumprod, nancumsum, nanmax, nanmean, nanmin, nanprod, nanstd, nansum,
    nanvar,
)
from functrans.numpy.signals import (
    convolve, correlate, interp,
)
from functrans.numpy.polynomials import (
    poly, polyadd, polyder, polydiv, polyfit, polyint, polymul, polysub, polyval, roots,
)
from functrans.numpy.sorting import (
    argpartition, argsort, digitize, lexsort, partition, searchsorted, sort, sort_complex, unique,
    unique_all, unique_counts, unique_inverse, unique_values,
)
from functrans.numpy.statistics import (
    apply_along_axis, apply_over_axes, corrcoef, cov, isin,
)
from functrans.numpy.histograms import (
    bincount, histogram, histogram2d, histogram_bin_edges, histogramdd,
)
from functrans.numpy.sets import (
    intersect1d, setdiff1d, setxor1d, union1d,
)
from functrans.numpy.packing import (
    packbits, unpackbits,
)
from functrans.numpy.ufuncs import (
    abs, absolute, add, around, bitwise_and, bitwise_count, bitwise_invert, bitwise_left_shift,
    bitwise_not, bitwise_or, bitwise_right_shift, bitwise_xor, ceil, conj, conjugate, copysign,
    divide, divmod, equal, fabs, fix, float_power, floor, floor_divide, fmax, fmin, fmod, gcd,
    greater, greater_equal, imag, invert, isfinite, isinf, isnan, isneginf, isposinf, lcm,
    left_shift, less, less_equal, logical_and, logical_not, logical_or, logical_xor, maximum,
    minimum, mod, modf, multiply, negative, nextafter, not_equal, positive, pow, power, real,
    reciprocal, remainder, right_shift, rint, round, sign, signbit, square, subtract, true_divide,
    trunc,
)
from functrans.numpy.vectorizing import (
    vectorize,
)
from functrans.numpy.indexing import (
    at,
)
from functrans.numpy.index_functions import (
    argwhere, choose, compress, extract, fill_diagonal, flatnonzero, ix_, nonzero, put,
    put_along_axis, ravel_multi_index, take, take_along_axis, trim_zeros, unravel_index,
)
