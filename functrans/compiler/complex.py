"""Arithmetic of complex scalars in terms of a Builder's real ones.

Products are not contracted, so that z * conj(z) is exactly real.
"""

from __future__ import annotations

import numpy as np

from functrans.compiler.llvm import Builder
from functrans.compiler.values import Complex, Value


def add(b: Builder, x: Complex, y: Complex, reassoc: bool = False) -> Complex:
    """x + y."""
    re, im = b.add(x.re, y.re, reassoc=reassoc), b.add(x.im, y.im, reassoc=reassoc)
    return Complex(re, im, x.dtype)


def sub(b: Builder, x: Complex, y: Complex, reassoc: bool = False) -> Complex:
    """x - y."""
    re, im = b.sub(x.re, y.re, reassoc=reassoc), b.sub(x.im, y.im, reassoc=reassoc)
    return Complex(re, im, x.dtype)


def mul(b: Builder, x: Complex, y: Complex, reassoc: bool = False) -> Complex:
    """x * y, by the four products."""

    def product(u: Value, v: Value) -> Value:
        return b.mul(u, v, exact=True)

    re = b.sub(product(x.re, y.re), product(x.im, y.im), exact=True)
    im = b.add(product(x.re, y.im), product(x.im, y.re), exact=True)
    return Complex(re, im, x.dtype)


def div(b: Builder, x: Complex, y: Complex) -> Complex:
    """x / y by Smith's method (CACM 5, 1962), as NumPy: no overflow of |y|²."""
    zero, one = b.const(0, y.re.dtype), b.const(1, y.re.dtype)
    swap = b.lt(b.abs(y.re), b.abs(y.im))
    large, small = b.select(swap, y.im, y.re), b.select(swap, y.re, y.im)
    u, v = b.select(swap, x.im, x.re), b.select(swap, x.re, x.im)
    by_zero = b.eq(large, zero)
    large = b.select(by_zero, zero, large)
    ratio = b.select(by_zero, zero, b.div(small, large))
    scale = b.div(one, b.add(large, b.mul(small, ratio)))
    re = b.mul(b.add(u, b.mul(v, ratio)), scale)
    im = b.mul(b.sub(v, b.mul(u, ratio)), scale)
    return Complex(re, b.select(swap, b.neg(im), im), x.dtype)


def abs(b: Builder, x: Complex) -> Value:
    """|x|, without overflow of |x|²."""
    from functrans.compiler import math

    return math.hypot(b, x.re, x.im)


def sign(b: Builder, x: Complex) -> Complex:
    """x / |x|; 0 for 0; a single infinite part wins."""
    zero = b.const(0, x.re.dtype)
    size = abs(b, x)
    at_zero, infinite = b.eq(size, zero), b.isinf(size)
    both = b.and_(b.isinf(x.re), b.isinf(x.im))

    def part(v: Value) -> Value:
        limit = b.select(b.isinf(v), b.sign(v), zero)
        limit = b.select(both, b.const(np.nan, v.dtype), limit)
        return b.select(at_zero, zero, b.select(infinite, limit, b.div(v, size)))

    re, im = part(x.re), part(x.im)
    nan = b.isnan(size)
    return Complex(b.select(nan, size, re), b.select(nan, size, im), x.dtype)


def compare(b: Builder, name: str, x: Complex, y: Complex) -> Value:
    """Equality of both parts, or lexicographic order (false with a nan in what decides)."""
    if name == "eq":
        return b.and_(b.eq(x.re, y.re), b.eq(x.im, y.im))
    if name == "ne":
        return b.or_(b.ne(x.re, y.re), b.ne(x.im, y.im))
    strict = "lt" if name in ("lt", "le") else "gt"
    known = b.not_(b.op(f"fcmp uno {x.im.type} {x.im.text}, {y.im.text}", np.bool_))
    first = b.and_(getattr(b, strict)(x.re, y.re), known)
    second = b.and_(b.eq(x.re, y.re), getattr(b, name)(x.im, y.im))
    return b.or_(first, second)
