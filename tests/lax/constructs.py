"""Control flow as functions of functions: each construct takes a body to a body, so they nest.

A body maps (x, t), both of R², to R²; x is the state that loops carry and t a parameter that bodies
close over. Every construct is written once over a namespace: `Structured` has functrans's
functions, `Plain` what they mean in Python on numbers, so that the same nest is built of either.
Predicates, trip counts and branch indices depend on x, so under vmap they differ by example.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core import tree

Body = Callable[[Any, Any], Any]


class Structured:
    """The functions under test."""

    cond = staticmethod(lax.cond)
    switch = staticmethod(lax.switch)
    while_loop = staticmethod(lax.while_loop)
    fori_loop = staticmethod(lax.fori_loop)
    scan = staticmethod(lax.scan)
    map = staticmethod(lax.map)
    associative_scan = staticmethod(lax.associative_scan)
    select = staticmethod(lax.select)
    vmap = staticmethod(ft.vmap)
    checkpoint = staticmethod(ft.checkpoint)
    jit = staticmethod(ft.jit)

    @staticmethod
    def custom_jvp(f: Body) -> Body:
        """With the rule that it has anyway."""
        ruled = ft.custom_jvp(f)
        ruled.defjvp(lambda primals, tangents: ft.jvp(f, primals, tangents))
        return ruled

    @staticmethod
    def custom_vjp(f: Body) -> Body:
        """With the rule that it has anyway."""
        ruled = ft.custom_vjp(f)
        ruled.defvjp(lambda *args: ft.vjp(f, *args), lambda pull, ct: pull(ct))
        return ruled

    @staticmethod
    def root(f: Body, start: Any) -> Any:
        def solve(f: Any, y: Any) -> Any:
            return lax.while_loop(lambda y: fnp.max(fnp.abs(f(y))) > 1e-14, lambda y: y - f(y), y)

        def dense(matvec: Any, b: Any) -> Any:
            return fnp.linalg.solve(ft.jacfwd(matvec)(fnp.zeros(2)), b)

        def tangent_solve(g: Any, y: Any) -> Any:
            return lax.custom_linear_solve(g, y, dense, transpose_solve=dense)

        return lax.custom_root(f, start, solve, tangent_solve)

    @staticmethod
    def solve_symmetric(matvec: Any, b: Any) -> Any:
        """By conjugate gradients, which end after two steps in R²."""

        def solve(matvec: Any, b: Any) -> Any:
            def step(_: Any, state: Any) -> Any:
                x, r, p = state
                ap = matvec(p)
                size = fnp.sum(r * r) / fnp.maximum(fnp.sum(p * ap), 1e-300)
                new = r - size * ap
                more = fnp.sum(new * new) / fnp.maximum(fnp.sum(r * r), 1e-300)
                return x + size * p, new, new + p * more

            return lax.fori_loop(0, 2, step, (b * 0.0, b, b))[0]

        return lax.custom_linear_solve(matvec, b, solve, symmetric=True)


def _stacked(rows: list[Any]) -> Any:
    return tree.map(lambda *parts: fnp.stack(parts), *rows)


class Plain:
    """What they mean."""

    checkpoint = staticmethod(lambda f: f)
    custom_jvp = staticmethod(lambda f: f)
    custom_vjp = staticmethod(lambda f: f)
    jit = staticmethod(lambda f: f)

    @staticmethod
    def cond(pred: Any, f: Any, g: Any, *operands: Any) -> Any:
        return f(*operands) if pred else g(*operands)

    @staticmethod
    def switch(index: Any, branches: Any, *operands: Any) -> Any:
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)

    @staticmethod
    def while_loop(cond: Any, body: Any, value: Any, checkpoint: int | None = None) -> Any:
        while cond(value):
            value = body(value)
        return value

    @staticmethod
    def fori_loop(lower: Any, upper: Any, body: Any, value: Any) -> Any:
        for i in range(int(lower), int(upper)):
            value = body(i, value)
        return value

    @staticmethod
    def scan(
        f: Any,
        carry: Any,
        xs: Any = None,
        length: Any = None,
        reverse: bool = False,
        unroll: int = 1,
        checkpoint: int | None = None,
    ) -> Any:
        leaves = tree.leaves(xs)
        steps = range(np.shape(leaves[0])[0] if leaves else length)
        ys = {}
        for i in reversed(steps) if reverse else steps:
            carry, ys[i] = f(carry, tree.map(lambda x, i=i: x[i], xs))
        return carry, _stacked([ys[i] for i in steps])

    @staticmethod
    def map(f: Any, xs: Any, batch_size: Any = None) -> Any:
        return _stacked([f(x) for x in xs])

    @staticmethod
    def associative_scan(fn: Any, elems: Any, reverse: bool = False) -> Any:
        count = np.shape(elems[0])[0]
        rows = [tree.map(lambda e, i=i: e[i : i + 1], elems) for i in range(count)]
        rows = rows[::-1] if reverse else rows
        for i in range(1, count):
            rows[i] = fn(rows[i - 1], rows[i])
        rows = rows[::-1] if reverse else rows
        return tree.map(lambda *parts: fnp.concatenate(parts), *rows)

    @staticmethod
    def select(pred: Any, x: Any, y: Any) -> Any:
        return fnp.stack([x[i] if pred[i] else y[i] for i in range(2)])

    @staticmethod
    def vmap(f: Any, in_axes: Any) -> Any:
        return lambda xs, t: _stacked([f(x, t) for x in xs])

    @staticmethod
    def root(f: Body, start: Any) -> Any:
        """The fixed point of a contraction, differentiated step by step."""
        y = start
        for _ in range(14):
            y = y - f(y)
        return y

    @staticmethod
    def solve_symmetric(matvec: Any, b: Any) -> Any:
        columns = [matvec(e) for e in np.eye(2)]
        return fnp.linalg.solve(fnp.stack(columns, axis=1), b)


# --- the constructs ----


def cond(s: Any, f: Body) -> Body:
    return lambda x, t: s.cond(
        x[0] + 0.1 * t[1] > 0.2, lambda y: f(y, t), lambda y: 0.4 * y * t + fnp.cos(y), x
    )


def switch(s: Any, f: Body) -> Body:
    def run(x: Any, t: Any) -> Any:
        branches = [lambda y: f(y, t) * y, lambda y: fnp.sin(y) - t, lambda y: f(t, y)]
        return s.switch(fnp.floor(2.0 * x[0] + 1.0).astype(int), branches, x)

    return run


def while_loop(s: Any, f: Body) -> Body:
    """One to three steps, counted by a part of the carry that has a derivative."""

    def run(x: Any, t: Any) -> Any:
        step = lambda c: {"r": c["r"] + 1.0, "y": f(c["y"], t * fnp.cos(0.3 * c["r"]))}
        return s.while_loop(lambda c: c["r"] < 1.6, step, {"r": fnp.sin(x[0]), "y": x})["y"]

    return run


def while_keeping_one(s: Any, f: Body) -> Body:
    """Up to four steps, each computed again from the first."""

    def run(x: Any, t: Any) -> Any:
        step = lambda c: (c[0] + 1, 0.9 * f(c[1], t) + 0.1 * c[1] * c[1])
        goes_on = lambda c: (c[0] < 4) & (c[1][0] < 0.7 * c[0] + 0.1)
        return s.while_loop(goes_on, step, (0, x), checkpoint=1)[1]

    return run


def scan_keeping_two(s: Any, f: Body) -> Body:
    """Four steps backward from two carries; slices with and without derivatives."""

    def run(x: Any, t: Any) -> Any:
        step = lambda c, w: (f(c, t * w[0]) + 0.1 * w[1], (c * w[1], w[0]))
        xs = (np.array([0.9, -0.4, 0.3, 1.1]), fnp.stack([t, x, x * t, t - x]))
        last, (ys, _) = s.scan(step, x, xs, reverse=True, checkpoint=2)
        return last + 0.2 * fnp.sum(ys, axis=0)

    return run


def fori_static(s: Any, f: Body) -> Body:
    return lambda x, t: s.fori_loop(1, 3, lambda i, y: f(y, t + 0.1 * i) - 0.1 * t, x)


def fori_traced(s: Any, f: Body) -> Body:
    """One or two steps."""
    return lambda x, t: s.fori_loop(
        (x[0] > 0.1).astype(int), 2, lambda i, y: f(y * (1.0 - 0.1 * i), t), x
    )


def scan(s: Any, f: Body) -> Body:
    """A carry with a counter; slices that are constants and slices that depend on x and t."""

    def run(x: Any, t: Any) -> Any:
        def step(c: Any, w: Any) -> Any:
            y = f(c["y"], t * w["w"])
            return {"y": y + 0.1 * c["k"], "k": c["k"] + 1}, (y * w["v"], c["k"])

        xs = {"w": np.array([0.9, -0.4]), "v": fnp.stack([t, x])}
        last, (ys, ks) = s.scan(step, {"y": x, "k": 0}, xs)
        return last["y"] + 0.3 * fnp.sum(ys, axis=0) + 0.01 * ks[1]

    return run


def scan_reverse(s: Any, f: Body) -> Body:
    """Every second step unrolled; the carry forgets x in its first step."""

    def run(x: Any, t: Any) -> Any:
        step = lambda c, v: ((f(v, t), c[0] * 0.5), c[0] * c[1])
        last, ys = s.scan(step, (x, t), fnp.stack([x, t * x, 0.7 * t]), reverse=True, unroll=2)
        return last[0] + last[1] - ys[0] * ys[2]

    return run


def scan_length(s: Any, f: Body) -> Body:
    return lambda x, t: s.scan(lambda c, _: (f(c, t), None), x, None, length=2)[0]


def map_rows(s: Any, f: Body) -> Body:
    return lambda x, t: fnp.sum(s.map(lambda y: f(y, t) * y, fnp.stack([x, x * t])), axis=0)


def map_batches(s: Any, f: Body) -> Body:
    rows = lambda x, t: fnp.stack([x, t, x - t])
    return lambda x, t: fnp.sum(
        s.map(lambda y: f(y, t), rows(x, t), batch_size=2) * [[0.5], [0.3], [0.4]], axis=0
    )


def associative_scan(s: Any, f: Body) -> Body:
    """Affine maps, whose coefficients are rows of the body."""

    def run(x: Any, t: Any) -> Any:
        compose = lambda a, b: (a[0] * b[0], b[0] * a[1] + b[1])
        elems = s.vmap(f, (0, None))(fnp.stack([x, t, 0.5 * x]), t), fnp.stack([t, x, t])
        a, b = s.associative_scan(compose, elems)
        return a[1] + 0.5 * b[2]

    return run


def select(s: Any, f: Body) -> Body:
    return lambda x, t: s.select(x > 0.0, f(x, t), 0.3 * x * t)


def root(s: Any, f: Body) -> Body:
    return lambda x, t: s.root(lambda y: y - x - 0.05 * fnp.sin(f(y, t)), fnp.stack([0.1, 0.2]))


def linear_solve(s: Any, f: Body) -> Body:
    return lambda x, t: s.solve_symmetric(
        lambda v: (2.0 + fnp.sin(f(x, t))) * v + 0.2 * fnp.sum(v), x + t
    )


def checkpoint(s: Any, f: Body) -> Body:
    return lambda x, t: s.checkpoint(f)(x, t * x) + t


def custom_jvp(s: Any, f: Body) -> Body:
    return lambda x, t: s.custom_jvp(f)(x + t, t) - x


def custom_vjp(s: Any, f: Body) -> Body:
    return lambda x, t: 0.7 * s.custom_vjp(f)(x, t * x) + t


def jit(s: Any, f: Body) -> Body:
    return lambda x, t: s.jit(f)(x, t) * x


def gradient(s: Any, f: Body) -> Body:
    """A derivative inside."""
    return lambda x, t: 0.5 * ft.grad(lambda y: fnp.sum(f(y, t) * t))(x) + 0.2 * x


CONSTRUCTS: dict[str, Callable[[Any, Body], Body]] = {
    f.__name__: f
    for f in (
        cond, switch, while_loop, while_keeping_one, fori_static, fori_traced, scan, scan_reverse,
        scan_keeping_two, scan_length, map_rows, map_batches, associative_scan, select, root,
        linear_solve, checkpoint, custom_jvp, custom_vjp, jit, gradient,
    )
}  # fmt: skip


def innermost(x: Any, t: Any) -> Any:
    return 0.6 * fnp.sin(x + t) + 0.3 * x[::-1] * t


def nest(names: tuple[str, ...], s: Any) -> Body:
    """The constructs around each other, the first outermost."""
    body: Body = innermost
    for name in reversed(names):
        body = CONSTRUCTS[name](s, body)
    return body
