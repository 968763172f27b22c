"""Collectives over an axis that vmap names: psum, pmax, pmin, all_gather, ppermute, axis_index.

Each is for one example an equation that names the axis; batching over that axis turns it into a
reduction or permutation of axis 0, and batching over another axis leaves it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core.errors import TransformError
from functrans.core.primitive import Primitive
from functrans.core.types import Aval, dtype_of
from functrans.primitives.arithmetic import convert, eq_p
from functrans.primitives.carries import swap_leading
from functrans.primitives.indexing import gather
from functrans.primitives.reductions import reduce_max_p, reduce_min_p, reduce_sum_p
from functrans.primitives.shaping import iota
from functrans.transforms.batching import current_axis, repeat

INDEX = np.dtype(np.int64)


def collective(
    name: str,
    *,
    shared: Callable[..., Any],
    reduced: Callable[..., tuple[Any, bool]],
    jvp: Any = None,
    transpose: Any = None,
    infer: Any = None,
    elsewhere: Any = None,
) -> Primitive:
    """Define a collective with the parameters `axis_name` and `axis_size`.

    Args:
        name: of the primitive.
        shared: its value where the operand is the same for all examples, from the operand.
        reduced: (result, batchedness) from an operand with the axis in front.
        jvp, transpose, infer: as in Primitive.
        elsewhere: what to do with the result when another axis is mapped; its operand was batched.
    """

    def batch(args: list, batched: list, **params: Any) -> tuple[Any, bool]:
        if current_axis().name != params["axis_name"]:
            out = primitive.bind(*args, **params)
            return (out if elsewhere is None or not batched[0] else elsewhere(out)), batched[0]
        x = args[0]
        if not batched[0]:
            x = repeat(x, params["axis_size"])
        return reduced(x, **params)

    primitive = Primitive(
        name,
        infer=infer or (lambda x, **params: x.strong()),
        evaluate=shared,
        jvp=jvp,
        transpose=transpose,
        batch=batch,
        cost=lambda inputs, outputs, **params: inputs[0].size,
        creates=True,
    )
    return primitive


psum_p: Primitive = collective(
    "psum",
    shared=lambda x, axis_name, axis_size: np.multiply(x, dtype_of(x).type(axis_size)),
    reduced=lambda x, **_: (reduce_sum_p.bind(x, axes=(0,)), False),
    jvp=lambda tangents, primals, out, **params: psum_p.bind(tangents[0], **params),
    transpose=lambda ct, x, **params: [psum_p.bind(ct, **params)],
)


def _jvp_extremum(tangents: list, primals: list, out: Any, **params: Any) -> Any:
    """Examples that attain the extremum share its derivative equally."""
    attains = convert(eq_p.bind(primals[0], out), dtype_of(out))
    share = attains / psum_p.bind(attains, **params)
    return psum_p.bind(tangents[0] * share, **params)


pmax_p = collective(
    "pmax",
    shared=lambda x, axis_name, axis_size: np.asarray(x)[()],
    reduced=lambda x, **_: (reduce_max_p.bind(x, axes=(0,)), False),
    jvp=_jvp_extremum,
)
pmin_p = collective(
    "pmin",
    shared=lambda x, axis_name, axis_size: np.asarray(x)[()],
    reduced=lambda x, **_: (reduce_min_p.bind(x, axes=(0,)), False),
    jvp=_jvp_extremum,
)


def _infer_gather(x: Aval, *, axis_name: Any, axis_size: int) -> Aval:
    return Aval((axis_size, *x.shape), x.dtype)


def _transpose_all_gather(ct: Any, x: Any, **params: Any) -> list:
    """Example i collects what every example sent to its row i."""
    total = psum_p.bind(ct, **params)
    return [gather(total, [axis_index_p.bind(**params)], (0,))]


all_gather_p: Primitive = collective(
    "all_gather",
    shared=lambda x, axis_name, axis_size: np.broadcast_to(x, (axis_size, *np.shape(x))),
    reduced=lambda x, **_: (x, False),
    jvp=lambda tangents, primals, out, **params: all_gather_p.bind(tangents[0], **params),
    transpose=_transpose_all_gather,
    infer=_infer_gather,
    elsewhere=swap_leading,
)


def _permuted(
    x: Any, *, axis_name: Any, axis_size: int, permutation: tuple[tuple[int, int], ...]
) -> tuple[Any, bool]:
    source = np.full(axis_size, axis_size, INDEX)
    for begin, end in permutation:
        source[end] = begin
    return gather(x, [source], (0,), mode="fill", fill=0), True


def _no_shared_permutation(x: Any, **params: Any) -> Any:
    raise TransformError("ppermute of a value outside of the vmap that names its axis")


ppermute_p: Primitive = collective(
    "ppermute",
    shared=_no_shared_permutation,
    reduced=_permuted,
    jvp=lambda tangents, primals, out, **params: ppermute_p.bind(tangents[0], **params),
    transpose=lambda ct, x, *, permutation, **params: [
        ppermute_p.bind(ct, permutation=tuple((b, a) for a, b in permutation), **params)
    ],
)


def _batch_axis_index(
    args: list, batched: list, *, axis_name: Any, axis_size: int
) -> tuple[Any, bool]:
    if current_axis().name != axis_name:
        return axis_index_p.bind(axis_name=axis_name, axis_size=axis_size), False
    return iota((axis_size,), 0, INDEX), True


def _no_index(*, axis_name: Any, axis_size: int) -> Any:
    raise TransformError(f"axis_index({axis_name!r}) outside of the vmap that names the axis")


axis_index_p = Primitive(
    "axis_index",
    infer=lambda axis_name, axis_size: Aval((), INDEX),
    evaluate=_no_index,
    batch=_batch_axis_index,
    cost=lambda inputs, outputs, **params: 0,
    creates=True,
)
