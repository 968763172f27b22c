"""Convolutions and reductions over windows, under `jax.lax`'s names."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from functrans import numpy as fnp
from functrans.core import tree
from functrans.core.errors import ShapeError, TreeError
from functrans.core.source import user_line
from functrans.core.trace import Tracer
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.lax.reducing import reduce
from functrans.numpy.promotion import as_array, promote, to_dtype
from functrans.primitives import windows as w
from functrans.primitives.arithmetic import convert
from functrans.primitives.convolution import conv_general_dilated_p
from functrans.primitives.shaping import flip_p, reshape_p, transpose_p

Padding = str | Sequence[tuple[int, int]]


class ConvDimensionNumbers(NamedTuple):
    """Where the axes of a convolution are: of lhs and result (N, C, space…), of rhs (O, I, space…).

    Attributes:
        lhs_spec: the axis of lhs that is the batch, that of the features, those of space.
        rhs_spec: the axis of rhs that is its features, that of its inputs, those of space.
        out_spec: as lhs_spec, of the result.
    """

    lhs_spec: Sequence[int]
    rhs_spec: Sequence[int]
    out_spec: Sequence[int]


DimensionNumbers = None | ConvDimensionNumbers | Sequence[str]


def conv_dimension_numbers(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: DimensionNumbers
) -> ConvDimensionNumbers:
    """The places of axes from three strings such as ("NHWC", "HWIO", "NHWC").

    Args:
        lhs_shape: of rank n + 2.
        rhs_shape: of rank n + 2.
        dimension_numbers: strings of one letter per axis, in which N is the batch, C features,
            O the kernel's features, I its inputs and any others space; None for (N, C, space…) and
            (O, I, space…); or the result of this function.

    Raises:
        ShapeError: they do not name the axes of arrays of these shapes.

    >>> conv_dimension_numbers((1, 8, 8, 3), (3, 3, 3, 16), ("NHWC", "HWIO", "NHWC")).lhs_spec
    (0, 3, 1, 2)
    """
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    rank = len(lhs_shape)
    if rank != len(rhs_shape) or rank < 2:
        raise ShapeError(
            f"a convolution needs operands of one rank, two or more: got shapes {tuple(lhs_shape)} "
            f"and {tuple(rhs_shape)}."
        )
    if dimension_numbers is None:
        return ConvDimensionNumbers(*(tuple(range(rank)),) * 3)
    specs = tuple(dimension_numbers)
    letters = ("NC", "OI", "NC")
    fits = len(specs) == 3 and all(
        isinstance(s, str) and len(s) == len(set(s)) == rank and set(own) <= set(s)
        for s, own in zip(specs, letters, strict=True)
    )
    spaces = [set(s) - set(own) for s, own in zip(specs, letters, strict=True)] if fits else []
    if not fits or not spaces[0] == spaces[1] == spaces[2]:
        raise ShapeError(
            f"dimension numbers are three strings of {rank} letters for shapes {tuple(lhs_shape)} "
            f"and {tuple(rhs_shape)}, such as {_default_letters(rank)}: got {specs}."
        )
    order = [letter for letter in specs[1] if letter not in "OI"]
    return ConvDimensionNumbers(
        *(
            tuple(s.index(letter) for letter in (*own, *order))
            for s, own in zip(specs, letters, strict=True)
        )
    )


def _default_letters(rank: int) -> tuple[str, str, str]:
    space = "HWDABEFG"[: rank - 2]
    return f"N{space}C", f"{space}IO", f"N{space}C"


def padtype_to_pads(
    in_shape: Sequence[int],
    window_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str,
) -> list[tuple[int, int]]:
    """The padding that a name means, as (low, high) per axis.

    Args:
        in_shape: extents of the operand.
        window_shape: extents of the windows, after dilation.
        window_strides: steps between windows.
        padding: "VALID" for none; "SAME" for ⌈extent / stride⌉ windows, of an odd amount the
            greater part high; "SAME_LOWER" likewise, the greater part low.

    >>> padtype_to_pads((8, 8), (3, 2), (1, 1), "SAME")
    [(1, 1), (0, 1)]
    """
    name = padding.upper() if isinstance(padding, str) else padding
    if name == "VALID":
        return [(0, 0)] * len(in_shape)
    if name not in ("SAME", "SAME_LOWER"):
        raise _not_padding(padding)
    ranks = {len(in_shape), len(window_shape), len(window_strides)}
    if len(ranks) > 1 or min(window_strides, default=1) < 1:
        raise ShapeError(
            f"padding {padding!r} of extents {tuple(in_shape)} needs a window and a positive "
            f"stride for each: got windows {tuple(window_shape)} and strides "
            f"{tuple(window_strides)}."
        )
    pads = []
    for n, window, stride in zip(in_shape, window_shape, window_strides, strict=True):
        total = max((-(-n // stride) - 1) * stride + window - n, 0)
        less, more = total // 2, total - total // 2
        pads.append((less, more) if name == "SAME" else (more, less))
    return pads


def _not_padding(padding: Any) -> ValueError:
    return ValueError(
        f"padding is 'VALID', 'SAME', 'SAME_LOWER' or (low, high) per axis: got {padding!r}."
        f"{user_line()}"
    )


def _explicit(
    padding: Padding, extents: Sequence[int], windows: Sequence[int], strides: Sequence[int]
) -> w.Pairs:
    if isinstance(padding, str):
        return tuple(padtype_to_pads(extents, windows, strides, padding))
    return _pairs(padding)


def _pairs(padding: Any) -> w.Pairs:
    try:
        return tuple((operator.index(low), operator.index(high)) for low, high in padding)
    except (TypeError, ValueError):
        raise _not_padding(padding) from None


def _ints(values: Any, rank: int) -> w.Sizes:
    return (1,) * rank if values is None else tuple(map(operator.index, values))


# --- convolutions ---------------------------------------------------------------------------------


def conv_general_dilated(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: DimensionNumbers = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """A convolution over n axes of space (the kernel is not flipped).

    Args:
        lhs: an array of rank n + 2, by default (N, C, space…).
        rhs: the kernel, of rank n + 2, by default (O, C / feature_group_count, space…).
        window_strides: n steps between windows.
        padding: (low, high) for each of n axes, negative amounts crop; or "SAME", "VALID",
            "SAME_LOWER" (see `padtype_to_pads`).
        lhs_dilation: n steps between elements of lhs; more than 1 is a transposed convolution.
        rhs_dilation: n steps between elements of the kernel.
        dimension_numbers: the layouts, see `conv_dimension_numbers`.
        feature_group_count: of this many groups of lhs's features each meets its own features of
            the kernel.
        batch_group_count: of this many groups of lhs's batch likewise.
        precision: accepted for JAX's signature.
        preferred_element_type: the dtype to compute in.

    Returns:
        An array of rank n + 2, by default (N / batch_group_count, O, space…).

    Raises:
        ShapeError: the shapes, groups or layouts do not fit together.

    >>> x, kernel = np.ones((1, 4, 4, 3)), np.ones((3, 3, 3, 8))
    >>> conv_general_dilated(
    ...     x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ... ).shape
    (1, 4, 4, 8)
    """
    x, y = promote(lhs, rhs)
    if preferred_element_type is not None:
        x, y = (convert(v, np.dtype(preferred_element_type)) for v in (x, y))
    numbers = conv_dimension_numbers(shape_of(x), shape_of(y), dimension_numbers)
    x, y = _permuted(x, numbers.lhs_spec), _permuted(y, numbers.rhs_spec)
    rank = len(shape_of(x)) - 2
    strides = _ints(window_strides, rank)
    if len(strides) != rank:
        raise ShapeError(
            f"a convolution needs arrays (N, C, space…) and a stride for each axis of space: got "
            f"lhs {aval_of(lhs)}, with extents {shape_of(x)[2:]} of space, and strides {strides}."
        )
    dilations = _ints(lhs_dilation, rank), _ints(rhs_dilation, rank)
    windows = list(map(w.dilated, shape_of(y)[2:], dilations[1]))
    out = conv_general_dilated_p.bind(
        x,
        y,
        window_strides=strides,
        padding=_pads_of_conv(padding, shape_of(x)[2:], windows, strides, dilations[0]),
        lhs_dilation=dilations[0],
        rhs_dilation=dilations[1],
        feature_group_count=int(feature_group_count),
        batch_group_count=int(batch_group_count),
    )
    return _permuted(out, np.argsort(numbers.out_spec))


def _pads_of_conv(
    padding: Padding,
    extents: Sequence[int],
    windows: Sequence[int],
    strides: Sequence[int],
    lhs_dilation: Sequence[int],
) -> w.Pairs:
    if isinstance(padding, str) and max(lhs_dilation, default=1) > 1:
        raise ShapeError(
            f"padding {padding!r} of a convolution with lhs_dilation={tuple(lhs_dilation)} could "
            f"mean several things: give (low, high) per axis, or use conv_transpose."
        )
    return _explicit(padding, extents, windows, strides)


def _permuted(x: Any, axes: Sequence[int] | np.ndarray) -> Any:
    order = tuple(int(a) for a in axes)
    if len(order) != len(shape_of(x)):
        raise ShapeError(
            f"dimension numbers of {len(order)} axes for {aval_of(x)}, which has "
            f"{len(shape_of(x))}."
        )
    return x if order == tuple(range(len(order))) else transpose_p.bind(x, permutation=order)


def conv(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: str,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """A convolution of (N, C, space…) with a kernel (O, C, space…).

    >>> conv(np.ones((1, 3, 4, 4)), np.ones((8, 3, 3, 3)), (1, 1), "VALID").shape
    (1, 8, 2, 2)
    """
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, preferred_element_type=preferred_element_type
    )


def conv_with_general_padding(
    lhs: Any,
    rhs: Any,
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """As `conv`, with (low, high) padding per axis of space and dilations.

    >>> x, kernel = np.ones((1, 3, 5)), np.ones((8, 3, 3))
    >>> conv_with_general_padding(x, kernel, (2,), [(1, 0)], None, (2,)).shape
    (1, 8, 1)
    """
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        preferred_element_type=preferred_element_type,
    )


def conv_transpose(
    lhs: Any,
    rhs: Any,
    strides: Sequence[int],
    padding: Padding,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: DimensionNumbers = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: Any = None,
    use_consistent_padding: bool = False,
) -> Any:
    """A transposed convolution: a convolution of lhs with strides - 1 zeros between its elements.

    Args:
        lhs: an array of rank n + 2, by default (N, space…, C).
        rhs: the kernel, of rank n + 2, by default (space…, I, O).
        strides: n factors by which space grows.
        padding: "SAME" or "VALID" of the convolution whose gradient this is; or (low, high) per
            axis of the dilated lhs.
        rhs_dilation: n steps between elements of the kernel.
        dimension_numbers: the layouts, see `conv_dimension_numbers`.
        transpose_kernel: flip the kernel's space and exchange its inputs and features, so that
            this is the gradient of a convolution with the kernel, as `Conv2DTranspose` of others.
        precision: accepted for JAX's signature.
        preferred_element_type: the dtype to compute in.
        use_consistent_padding: (low, high) are, as strings are, of the convolution whose gradient
            this is.

    >>> conv_transpose(np.ones((1, 4, 4, 3)), np.ones((3, 3, 3, 8)), (2, 2), "SAME").shape
    (1, 8, 8, 8)
    """
    x, y = promote(lhs, rhs)
    rank = len(shape_of(x)) - 2
    if dimension_numbers is None:
        dimension_numbers = _default_letters(rank + 2)
    numbers = conv_dimension_numbers(shape_of(x), shape_of(y), dimension_numbers)
    steps, dilation = _ints(strides, rank), _ints(rhs_dilation, rank)
    if isinstance(padding, str) or use_consistent_padding:
        extents = [shape_of(y)[a] for a in numbers.rhs_spec[2:]]
        windows = list(map(w.dilated, extents, dilation))
        wanted = [padding] * rank if isinstance(padding, str) else _pairs(padding)
        if len(wanted) != rank:
            raise ShapeError(
                f"a convolution over {rank} axes of space has {len(wanted)} values in "
                f"padding={wanted}: got lhs {aval_of(x)} and rhs {aval_of(y)}."
            )
        padding = list(map(_pads_of_transposed, windows, steps, wanted))
    if transpose_kernel:
        y = flip_p.bind(y, axes=tuple(numbers.rhs_spec[2:]))
        y = fnp.swapaxes(y, numbers.rhs_spec[0], numbers.rhs_spec[1])
    return conv_general_dilated(
        x,
        y,
        (1,) * rank,
        padding,
        steps,
        dilation,
        numbers,
        preferred_element_type=preferred_element_type,
    )


def _pads_of_transposed(window: int, stride: int, padding: Any) -> tuple[int, int]:
    """The padding of the dilated operand, given that of the convolution that is transposed."""
    if not isinstance(padding, str):
        low, high = padding
        return window - low - 1, window - high - 1
    name = padding.upper()
    if name == "SAME":
        total = window + stride - 2
        low = window - 1 if stride > window - 1 else -(-total // 2)
        return low, total - low
    if name == "VALID":
        return window - 1, stride - 1 + max(window - stride, 0)
    raise ValueError(
        f"padding of a transposed convolution is 'SAME', 'VALID' or (low, high) per axis: got "
        f"{padding!r}.{user_line()}"
    )


def conv_general_dilated_patches(
    lhs: Any,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: Padding,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: DimensionNumbers = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Any:
    """The windows that a convolution multiplies with a kernel, as features: (N, C × window, …).

    Args:
        lhs: an array of rank n + 2, by default (N, C, space…).
        filter_shape: n extents of windows.
        window_strides: n steps between windows.
        padding: as of `conv_general_dilated`.
        lhs_dilation: n steps between elements of lhs.
        rhs_dilation: n steps between elements of a window.
        dimension_numbers: the layouts, see `conv_dimension_numbers`.
        precision: accepted for JAX's signature.
        preferred_element_type: the dtype of the result.

    Returns:
        An array of rank n + 2; its features are lhs's features × places in the window.

    >>> conv_general_dilated_patches(np.ones((1, 3, 8, 8)), (2, 2), (2, 2), "VALID").shape
    (1, 12, 4, 4)
    """
    x = as_array(lhs)
    if preferred_element_type is not None:
        x = convert(x, np.dtype(preferred_element_type))
    window = tuple(map(operator.index, filter_shape))
    numbers = conv_dimension_numbers(shape_of(x), (1, 1, *window), dimension_numbers)
    x = _permuted(x, numbers.lhs_spec)
    rank, (n, c, *extents) = len(window), shape_of(x)
    strides, dilation = _ints(window_strides, rank), _ints(rhs_dilation, rank)
    gaps = _ints(lhs_dilation, rank)
    windows = list(map(w.dilated, window, dilation))
    pads = _pads_of_conv(padding, extents, windows, strides, gaps)
    one = (1, 1)
    patches = w.window_patches(
        to_dtype(x, dtype_of(x)),
        0,
        window_dimensions=(*one, *window),
        window_strides=(*one, *strides),
        padding=((0, 0), (0, 0), *pads),
        base_dilation=(*one, *gaps),
        window_dilation=(*one, *dilation),
    )
    # axes: N, C, windows, 1, 1, window
    counts = shape_of(patches)[2 : 2 + rank]
    order = (0, 1, *range(2 + rank, 4 + 2 * rank), *range(2, 2 + rank))
    out = transpose_p.bind(patches, permutation=order)
    out = reshape_p.bind(out, shape=(n, c * math.prod(window), *counts))
    return _permuted(out, np.argsort(numbers.out_spec))


# --- windows --------------------------------------------------------------------------------------


def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[..., Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: Padding = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """Fold the elements of windows that slide over an array.

    Sums, products and extrema (`lax.add`, `mul`, `max`, `min` or functrans.numpy's) have fast
    forms; an extremum's derivative is that of the first element that attains it. Any other
    associative computation is folded over an array of all windows.

    Args:
        operand: an array, or a tree of arrays of one shape.
        init_value: a scalar, or a tree of scalars: what padding holds and every fold begins with.
        computation: (a, b) → their combination, trees of equally shaped arrays.
        window_dimensions: the windows' extent along every axis.
        window_strides: steps between windows; 1 by default.
        padding: (low, high) per axis, or "SAME", "VALID", "SAME_LOWER".
        base_dilation: steps between elements of the operand.
        window_dilation: steps between elements of a window.

    Returns:
        An array with an element per window, or a tree of them.

    >>> from functrans import lax
    >>> reduce_window(np.arange(5.0), 0.0, lax.add, (2,))
    array([1., 3., 5., 7.])
    """
    leaves, treedef = tree.flatten(operand)
    starts, start_tree = tree.flatten(init_value)
    if treedef != start_tree or not leaves:
        raise TreeError(
            f"reduce_window needs an initial value for each operand: got operands {treedef} and "
            f"values {start_tree}."
        )
    xs = [as_array(x) for x in leaves]
    xs = [to_dtype(x, dtype_of(x)) for x in xs]
    inits = [to_dtype(as_array(i), dtype_of(x)) for i, x in zip(starts, xs, strict=True)]
    if any(map(shape_of, inits)) or len(set(map(shape_of, xs))) > 1:
        raise ShapeError(
            f"reduce_window needs operands of one shape and scalars to begin with: got "
            f"{', '.join(str(aval_of(v)) for v in (*xs, *inits))}."
        )
    params = _window_params(
        shape_of(xs[0]),
        window_dimensions,
        window_strides,
        padding,
        base_dilation,
        window_dilation,
    )
    if len(xs) == 1:
        out = _reduce_by_primitive(xs[0], inits[0], computation, params)
        if out is not None:
            return tree.unflatten(treedef, [out])
    rank = len(shape_of(xs[0]))
    patches = [w.window_patches(x, i, **params) for x, i in zip(xs, inits, strict=True)]
    return reduce(
        tree.unflatten(treedef, patches),
        tree.unflatten(treedef, inits),
        computation,
        range(rank, 2 * rank),
    )


def _window_params(
    shape: Sequence[int],
    window: Sequence[int],
    strides: Any,
    padding: Padding,
    base_dilation: Any,
    window_dilation: Any,
) -> dict[str, Any]:
    rank = len(shape)
    sizes, steps, base, dilation = (
        _ints(v, rank) for v in (window, strides, base_dilation, window_dilation)
    )
    if not all(len(v) == rank for v in (sizes, steps, base, dilation)):
        raise ShapeError(
            f"reduce_window of an array of shape {tuple(shape)} needs an extent, a stride and "
            f"dilations for each axis: got windows {sizes}, strides {steps}, dilations {base} and "
            f"{dilation}."
        )
    windows = list(map(w.dilated, sizes, dilation))
    return {
        "window_dimensions": sizes,
        "window_strides": steps,
        "padding": _explicit(padding, shape, windows, steps),
        "base_dilation": base,
        "window_dilation": dilation,
    }


def _reduce_by_primitive(x: Any, init: Any, computation: Any, params: dict[str, Any]) -> Any:
    """The reduction by the primitive for this computation; None where there is none."""
    fitting = [p for known, p in _PRIMITIVES if any(computation is f for f in known)]
    dtype = dtype_of(x)
    if not fitting or dtype.kind == "b" or (dtype.kind == "c" and fitting[0] in _EXTREMA):
        return None
    primitive = fitting[0]
    neutral = _EXTREMA[primitive](dtype) if primitive in _EXTREMA else _NEUTRAL[primitive]
    if type(init) is not Tracer and init == neutral:
        return primitive.bind(x, **params)
    # an extremum may take another value in at the end, however often padding would have
    return computation(primitive.bind(x, **params), init) if primitive in _EXTREMA else None


_PRIMITIVES = (
    ((fnp.add, np.add, operator.add), w.reduce_window_sum_p),
    ((fnp.multiply, np.multiply, operator.mul), w.reduce_window_prod_p),
    ((fnp.maximum, np.maximum), w.reduce_window_max_p),
    ((fnp.minimum, np.minimum), w.reduce_window_min_p),
)
_NEUTRAL = {w.reduce_window_sum_p: 0, w.reduce_window_prod_p: 1}
_EXTREMA = {w.reduce_window_max_p: w.lowest, w.reduce_window_min_p: w.highest}
