"""Threefry-2x32: a block cipher as a counter-based random number generator.

Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011), 20 rounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from functrans.core.errors import DTypeError
from functrans.core.lowering import Pointwise
from functrans.core.primitive import Primitive
from functrans.core.types import Aval, broadcast_shapes, shape_of
from functrans.primitives.elementwise import insert_axes

UINT32 = np.dtype(np.uint32)
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA
"""What the third key word is completed with, from the Skein hash function."""


def _infer(k0: Aval, k1: Aval, x0: Aval, x1: Aval) -> tuple[Aval, Aval]:
    if any(a.dtype != UINT32 for a in (k0, k1, x0, x1)):
        raise DTypeError(f"threefry2x32 takes uint32 words: got {k0}, {k1}, {x0}, {x1}.")
    out = Aval(broadcast_shapes(k0.shape, k1.shape, x0.shape, x1.shape), UINT32)
    return out, out


def _evaluate(k0: Any, k1: Any, x0: Any, x1: Any) -> list[Any]:
    k0, k1, x0, x1 = (np.asarray(v, UINT32) for v in (k0, k1, x0, x1))
    shape = np.broadcast_shapes(k0.shape, k1.shape, x0.shape, x1.shape)
    keys = (k0, k1, k0 ^ k1 ^ UINT32.type(PARITY))
    with np.errstate(over="ignore"):
        a = np.array(np.broadcast_to(x0 + k0, shape))
        b = np.array(np.broadcast_to(x1 + k1, shape))
        for group in range(5):
            for r in ROTATIONS[group % 2]:
                a += b
                b = (b << UINT32.type(r)) | (b >> UINT32.type(32 - r))
                b ^= a
            a += keys[(group + 1) % 3]
            b += keys[(group + 2) % 3] + UINT32.type(group + 1)
    return [a[()], b[()]]


def _emit(b: Any, k0: Any, k1: Any, x0: Any, x1: Any) -> list[Any]:
    def number(n: int) -> Any:
        return b.const(n, UINT32)

    def rotate(x: Any, r: int) -> Any:
        return b.or_(b.shl(x, number(r)), b.shr(x, number(32 - r)))

    keys = (k0, k1, b.xor_(b.xor_(k0, k1), number(PARITY)))
    u, v = b.add(x0, k0), b.add(x1, k1)
    for group in range(5):
        for r in ROTATIONS[group % 2]:
            u = b.add(u, v)
            v = b.xor_(rotate(v, r), u)
        u = b.add(u, keys[(group + 1) % 3])
        v = b.add(b.add(v, keys[(group + 2) % 3]), number(group + 1))
    return [u, v]


def _batch(args: list, batched: list) -> tuple[Any, list[bool]]:
    rank = max(len(shape_of(x)) - f for x, f in zip(args, batched, strict=True))
    aligned = [
        insert_axes(x, 1, rank + 1 - len(shape_of(x))) if f and len(shape_of(x)) <= rank else x
        for x, f in zip(args, batched, strict=True)
    ]
    return threefry2x32_p.bind(*aligned), [True, True]


threefry2x32_p: Primitive = Primitive(
    "threefry2x32",
    infer=_infer,
    evaluate=_evaluate,
    batch=_batch,
    cost=lambda inputs, outputs: 100 * outputs[0].size,
    lower=Pointwise(_emit, cost=100),
    multiple_results=True,
)
