"""Structured control flow and low-level operations, under JAX's names."""

# fmt: off
# ruff: noqa: I001
from typing import Any

from functrans.lax.associative import associative_scan
from functrans.lax.branches import cond, switch
from functrans.lax.convolution import (
    ConvDimensionNumbers, conv, conv_dimension_numbers, conv_general_dilated,
    conv_general_dilated_patches, conv_transpose, conv_with_general_padding, padtype_to_pads,
    reduce_window,
)
from functrans.lax.loops import fori_loop, map, scan, while_loop
from functrans.lax.operators import (
    NUMPY_NAMES, PRIMITIVE_NAMES, batch_matmul, bitcast_convert_type, broadcast, broadcast_in_dim,
    broadcasted_iota, clamp, complex, concatenate, convert_element_type, div, dot, dot_general,
    elementwise_function, expand_dims, full, full_like, integer_pow, iota, pad, population_count,
    rem, reshape, rev, round, select, select_n, shift_right_logical, squeeze, transpose,
)
from functrans.lax.parallel import (
    all_gather, all_to_all, axis_index, axis_size, pbroadcast, pmax, pmean, pmin, ppermute,
    pshuffle, psum, psum_scatter, pswapaxes,
)
from functrans.lax.reducing import (
    argmax, argmin, cumlogsumexp, cummax, cummin, cumprod, cumsum, reduce, reduce_and, reduce_max,
    reduce_min, reduce_or, reduce_prod, reduce_sum, sort, sort_key_val, top_k,
)
from functrans.lax.solves import custom_linear_solve, custom_root
from functrans.lax.slicing import (
    dynamic_index_in_dim, dynamic_slice, dynamic_slice_in_dim, dynamic_update_index_in_dim,
    dynamic_update_slice, dynamic_update_slice_in_dim, index_in_dim, index_take, slice,
    slice_in_dim,
)
from functrans.primitives.identities import optimization_barrier, stop_gradient

__all__ = [
    "ConvDimensionNumbers", "all_gather", "all_to_all", "argmax", "argmin", "associative_scan",
    "axis_index", "axis_size", "batch_matmul", "bitcast_convert_type", "broadcast",
    "broadcast_in_dim", "broadcasted_iota", "clamp", "complex", "concatenate", "cond", "conv",
    "conv_dimension_numbers", "conv_general_dilated", "conv_general_dilated_patches",
    "conv_transpose", "conv_with_general_padding", "convert_element_type", "cumlogsumexp", "cummax",
    "cummin", "cumprod", "cumsum", "custom_linear_solve", "custom_root", "div", "dot",
    "dot_general", "dynamic_index_in_dim", "dynamic_slice", "dynamic_slice_in_dim",
    "dynamic_update_index_in_dim", "dynamic_update_slice", "dynamic_update_slice_in_dim",
    "expand_dims", "fori_loop", "full", "full_like", "index_in_dim", "index_take", "integer_pow",
    "iota", "map", "optimization_barrier", "pad", "padtype_to_pads", "pbroadcast", "pmax", "pmean",
    "pmin", "population_count", "ppermute", "pshuffle", "psum", "psum_scatter", "pswapaxes",
    "reduce", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum",
    "reduce_window", "rem", "reshape", "rev", "round", "scan", "select", "select_n",
    "shift_right_logical", "slice",
    "slice_in_dim", "sort", "sort_key_val", "squeeze", "stop_gradient", "switch", "top_k",
    "transpose", "while_loop",
]
# fmt: on


def __getattr__(name: str) -> Any:
    """The elementwise functions, by the tables in operators.py."""
    function = elementwise_function(name)
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*__all__, *NUMPY_NAMES, *PRIMITIVE_NAMES})
