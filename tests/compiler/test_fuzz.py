"""Random Programs give compiled what they give interpreted.

Values are kept within [-4, 4] and every step is continuous in them, so rounding cannot grow into a
difference and whatever differs is a wrong element. Longer runs: FUNCTRANS_FUZZ=2000 pytest here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from functrans.compiler.compile import Compiled
from functrans.compiler.simplify import simplify
from functrans.core.interpret import evaluate
from functrans.core.primitive import registry
from functrans.core.program import Program
from functrans.core.trace import make_program_flat
from functrans.core.types import aval_of, dtype_of, shape_of
from functrans.primitives.calls import call_p

BATCHES = 12
"""Batches in an ordinary run; each is one module of PER_BATCH Programs."""
PER_BATCH = 5
DTYPES = ("f8", "f8", "f4", "i4", "i8", "u1", "?", "c16")
EXTENTS = (0, 1, 1, 2, 3, 4, 5, 7, 9, 18)

Array = Any


def bind(name: str, *args: Any, **params: Any) -> Any:
    return registry[name].bind(*args, **params)


def broadcastable(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return all(1 in (m, n) or m == n for m, n in zip(a[::-1], b[::-1], strict=False))


class Writer:
    """Writes one random function: keeps a pool of arrays and applies random primitives to them.

    `exact` holds the ids of arrays whose elements carry no rounding: comparisons, rounding, sorting
    and reading at computed places, which would turn a last digit into a difference, take those.
    """

    def __init__(self, rng: np.random.Generator, pool: Sequence[Array]) -> None:
        self.rng = rng
        self.pool = list(pool)
        self.exact = {id(x) for x in pool}
        self.keep: list[Array] = list(pool)

    # --- choosing ---

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def pick(self, kinds: str = "biufc", exact: bool = False) -> Array:
        found = [x for x in self.pool if dtype_of(x).kind in kinds]
        if exact:
            found = [x for x in found if id(x) in self.exact]
        if not found:
            raise LookupError
        # later arrays more often, so that chains get deep
        weights = np.arange(1, len(found) + 1, dtype=float)
        return found[self.rng.choice(len(found), p=weights / weights.sum())]

    def partner(self, x: Array, exact: bool = False) -> Array:
        """An array of x's dtype that broadcasts with it."""
        shape = shape_of(x)
        found = [
            y
            for y in self.pool
            if dtype_of(y) == dtype_of(x)
            and (not exact or id(y) in self.exact)
            and broadcastable(shape, shape_of(y))
        ]
        if not found or self.chance(0.25):
            value = self.rng.integers(-3, 4) if dtype_of(x).kind != "u" else self.rng.integers(4)
            return self.note(dtype_of(x).type(value), True)
        return found[self.rng.integers(len(found))]

    def axis(self, x: Array) -> int:
        if not shape_of(x):
            raise LookupError
        return int(self.rng.integers(len(shape_of(x))))

    def axes(self, x: Array) -> tuple[int, ...]:
        return tuple(a for a in range(len(shape_of(x))) if self.chance(0.5))

    # --- growing ---

    def note(self, x: Array, exact: bool) -> Array:
        self.keep.append(x)  # ids stay taken
        if exact:
            self.exact.add(id(x))
        return x

    def add(self, x: Array, *sources: Array, exact: bool = True) -> None:
        """Keep a result, bounded, if it is not too large."""
        aval = aval_of(x)
        if aval.size > 4000 or aval.ndim > 4:
            return
        if aval.dtype.kind == "f" and not exact:
            x = bind("sin", x)
        elif aval.dtype.kind == "c" and not exact:
            parts = [bind("sin", bind(part, x)) for part in ("real", "imag")]
            x = bind("complex", *parts)
        self.note(x, exact and all(id(s) in self.exact for s in sources))
        self.pool.append(x)

    def successor(self, x: Array) -> Array:
        """A later array of x's type: what a loop carries on in its place."""
        exact = dtype_of(x).kind in "biu"
        found = [y for y in self.pool if aval_of(y).strong() == aval_of(x).strong()]
        found = [y for y in found if not exact or id(y) in self.exact]
        return found[-1] if found else x

    def step(self) -> None:
        move = STEPS[self.rng.integers(len(STEPS))]
        try:
            move(self)
        except LookupError:
            return


def arithmetic(w: Writer) -> None:
    x = w.pick("iufc")
    y = w.partner(x)
    name = ["add", "sub", "mul", "max", "min"][w.rng.integers(3 if dtype_of(x).kind == "c" else 5)]
    pair = (x, y) if w.chance(0.5) else (y, x)
    w.add(bind(name, *pair), x, y, exact=dtype_of(x).kind in "iu" or name in ("max", "min"))


def smooth(w: Writer) -> None:
    x = w.pick("f")
    name = ["tanh", "sin", "cos", "neg", "abs", "exp", "logistic", "softplus", "erf"]
    chosen = name[w.rng.integers(len(name))]
    x = bind("tanh", x) if chosen == "exp" else x
    w.add(bind(chosen, x), x, exact=chosen in ("neg", "abs"))


def rounding(w: Writer) -> None:
    x = w.pick("f", exact=True)
    name = ["floor", "ceil", "rint", "trunc", "sign", "isnan", "signbit"][w.rng.integers(7)]
    w.add(bind(name, x), x)


def comparison(w: Writer) -> None:
    x = w.pick("biuf", exact=True)
    y = w.partner(x, exact=True)
    w.add(bind(["eq", "ne", "lt", "le", "gt", "ge"][w.rng.integers(6)], x, y), x, y)


def bits(w: Writer) -> None:
    x = w.pick("biu")
    y = w.partner(x)
    name = ["and", "or", "xor", "not"][w.rng.integers(4)]
    w.add(bind(name, x) if name == "not" else bind(name, x, y), x, y)


def integer_division(w: Writer) -> None:
    x = w.pick("iu")
    y = w.partner(x)
    y = bind("select", bind("eq", y, dtype_of(y).type(0)), dtype_of(y).type(3), y)
    w.add(bind(["floor_divide", "remainder", "fmod"][w.rng.integers(3)], x, y), x)


def choice(w: Writer) -> None:
    condition = w.pick("b", exact=True)
    found = [x for x in w.pool if broadcastable(shape_of(x), shape_of(condition))]
    x = found[w.rng.integers(len(found))]
    y = w.partner(x)
    if not broadcastable(shape_of(y), shape_of(condition)):
        y = x
    w.add(bind("select", condition, x, y), condition, x, y)


def conversion(w: Writer) -> None:
    x = w.pick()
    kind = dtype_of(x).kind
    exact = id(x) in w.exact
    to = [t for t in DTYPES if kind != "c" or t == "c16"]
    to = [t for t in to if exact or np.dtype(t).kind in "fc"]  # truncation is not continuous
    target = np.dtype(to[w.rng.integers(len(to))])
    if kind == "f" and target.kind == "u":
        x = bind("abs", x)  # negative floats have no unsigned value, and C leaves open what comes
    same = target.kind not in "f" or kind == "b" or target.itemsize >= dtype_of(x).itemsize
    w.add(bind("convert", w.note(x, exact), dtype=target), x, exact=True)
    if not same:
        w.exact.discard(id(w.pool[-1]))


def reduction(w: Writer) -> None:
    x = w.pick()
    kind, axes = dtype_of(x).kind, w.axes(x)
    names = {"b": ["reduce_or", "reduce_and", "reduce_max", "reduce_min"]}.get(
        kind, ["reduce_sum", "reduce_max", "reduce_min"]
    )
    names = ["reduce_sum"] if kind == "c" else names
    names = [*names, "reduce_prod"] if kind in "iu" else names
    name = names[w.rng.integers(len(names))]
    count = int(np.prod([shape_of(x)[a] for a in axes], dtype=int))
    if name in ("reduce_max", "reduce_min") and (not count or not np.prod(shape_of(x))):
        return  # extrema of nothing are infinite, or an error
    if name == "reduce_sum" and kind in "fc":
        x = bind("mul", x, dtype_of(x).type(1 / max(count, 1)))
    w.add(bind(name, x, axes=axes), x, exact=kind not in "fc" or name != "reduce_sum")


def row_pattern(w: Writer) -> None:
    """A reduction combined again with what it reduced, as in softmax and normalisation."""
    x = w.pick("f")
    shape = shape_of(x)
    first = w.axis(x)
    axes = w.axes(x) if w.chance(0.3) else tuple(range(first, len(shape)))
    count = int(np.prod([shape[a] for a in axes], dtype=int))
    if not np.prod(shape, dtype=int):
        return
    name = ["reduce_sum", "reduce_max", "reduce_min"][w.rng.integers(3)]
    scaled = bind("mul", x, dtype_of(x).type(1 / max(count, 1))) if name == "reduce_sum" else x
    row = bind(name, scaled, axes=axes)
    row = bind("tanh", row) if w.chance(0.4) else row
    if w.chance(0.3):
        w.add(row, exact=False)
    kept = tuple(1 if a in axes else n for a, n in enumerate(shape))
    row = bind("reshape", row, shape=kept)
    row = bind("broadcast", row, shape=shape) if w.chance(0.5) else row
    w.add(bind(["sub", "add", "mul"][w.rng.integers(3)], x, row), exact=False)


def position(w: Writer) -> None:
    x = w.pick("iuf", exact=True)
    axis = w.axis(x)
    if shape_of(x)[axis]:
        w.add(bind(["argmax", "argmin"][w.rng.integers(2)], x, axis=axis), x)


def running(w: Writer) -> None:
    x = w.pick("iuf")
    axis = w.axis(x)
    name = ["cumsum", "cummax", "cummin"][w.rng.integers(3)]
    exact = name != "cumsum" or dtype_of(x).kind in "iu"
    w.add(bind(name, x, axis=axis, reverse=w.chance(0.5)), x, exact=exact)


def reshaping(w: Writer) -> None:
    x = w.pick()
    size = int(np.prod(shape_of(x), dtype=int))
    shape: list[int] = []
    rest = size
    while rest > 1:
        divisors = [d for d in range(2, rest + 1) if rest % d == 0]
        shape.append(divisors[w.rng.integers(len(divisors))])
        rest //= shape[-1]
    if not size:
        shape = [0, int(w.rng.integers(4))]
    w.rng.shuffle(shape)
    if w.chance(0.3):
        shape.insert(int(w.rng.integers(len(shape) + 1)), 1)
    w.add(bind("reshape", x, shape=tuple(shape)), x)


def permuting(w: Writer) -> None:
    x = w.pick()
    order = tuple(int(a) for a in w.rng.permutation(len(shape_of(x))))
    w.add(bind("transpose", x, permutation=order), x)


def broadcasting(w: Writer) -> None:
    x = w.pick()
    shape = [n if n != 1 or w.chance(0.5) else int(w.rng.integers(4)) for n in shape_of(x)]
    while len(shape) < 3 and w.chance(0.4):
        shape.insert(0, int(w.rng.integers(4)))
    w.add(bind("broadcast", x, shape=tuple(shape)), x)


def slicing(w: Writer) -> None:
    x = w.pick()
    bounds = [sorted(w.rng.integers(0, n + 1, 2)) for n in shape_of(x)]
    params = {
        "start": tuple(int(a) for a, _ in bounds),
        "stop": tuple(int(b) for _, b in bounds),
        "step": tuple(int(w.rng.integers(1, 4)) for _ in bounds),
    }
    w.add(bind("slice", x, **params), x)


def flipping(w: Writer) -> None:
    x = w.pick()
    w.add(bind("flip", x, axes=w.axes(x)), x)


def padding(w: Writer) -> None:
    x = w.pick()
    low, high, interior = (tuple(int(v) for v in w.rng.integers(a, b, len(shape_of(x))))
                           for a, b in ((-2, 4), (-2, 4), (0, 3)))  # fmt: skip
    spread = [n + max(n - 1, 0) * i for n, i in zip(shape_of(x), interior, strict=True)]
    if any(s + a + b < 0 for s, a, b in zip(spread, low, high, strict=True)):
        return
    fill = dtype_of(x).type(w.rng.integers(3))
    w.add(bind("pad", x, fill, low=low, high=high, interior=interior), x)


def joining(w: Writer) -> None:
    x = w.pick()
    axis = w.axis(x)
    parts = [x]
    for y in w.pool:
        same = dtype_of(y) == dtype_of(x) and len(shape_of(y)) == len(shape_of(x))
        if same and len(parts) < 4:
            rest = [n for a, n in enumerate(shape_of(y)) if a != axis]
            if rest == [n for a, n in enumerate(shape_of(x)) if a != axis]:
                parts.append(y)
    w.rng.shuffle(parts)  # type: ignore[arg-type]
    w.add(bind("concatenate", *parts, axis=axis), *parts)


def reading(w: Writer) -> None:
    """A gather whose indices may lie outside."""
    x, index = w.pick(), w.pick("iu", exact=True)
    axis = w.axis(x)
    if not shape_of(x)[axis] or len(shape_of(index)) > 2:
        return
    mode = ["clip", "fill"][w.rng.integers(2)]
    fill = dtype_of(x).type(2) if mode == "fill" else None
    w.add(bind("gather", x, index, axes=(axis,), mode=mode, fill=fill), x, index)


def block(w: Writer) -> None:
    x, start = w.pick(), w.pick("i", exact=True)
    if not all(shape_of(x)) or not np.prod(shape_of(start)):
        return
    start = bind("reduce_max", start, axes=tuple(range(len(shape_of(start)))))
    sizes = tuple(int(w.rng.integers(1, n + 1)) for n in shape_of(x))
    got = bind("dynamic_slice", x, *[start] * len(sizes), sizes=sizes)
    w.add(got, x, start)
    if w.chance(0.5):
        update = bind("neg", got) if dtype_of(x).kind in "if" else got
        starts, op = [start] * len(sizes), "set" if w.chance(0.5) else "add"
        w.add(bind("dynamic_update_slice", x, update, *starts, op=op), x, start)


def ordering(w: Writer) -> None:
    x = w.pick("iuf", exact=True)
    w.add(bind("sort", x, axis=w.axis(x), num_keys=1)[0], x)


def product(w: Writer) -> None:
    x = w.pick("fc")
    if len(shape_of(x)) not in (2, 3):
        return
    y = x
    for z in w.pool:
        if dtype_of(z) == dtype_of(x) and len(shape_of(z)) == 2 and w.chance(0.5):
            y = z
    pairs = [
        (i, j)
        for i, m in enumerate(shape_of(x))
        for j, n in enumerate(shape_of(y))
        if m == n
    ]  # fmt: skip
    if not pairs:
        return
    i, j = pairs[w.rng.integers(len(pairs))]
    scale = dtype_of(x).type(1 / max(shape_of(x)[i], 1))
    dimensions = (((i,), (j,)), ((), ()))
    rest = [
        (a, b)
        for a in range(len(shape_of(x)))
        for b in range(len(shape_of(y)))
        if a != i and b != j and shape_of(x)[a] == shape_of(y)[b]
    ]
    if rest and w.chance(0.4):
        a, b = rest[w.rng.integers(len(rest))]
        dimensions = (((i,), (j,)), ((a,), (b,)))
    w.add(bind("dot_general", bind("mul", x, scale), y, dimensions=dimensions), x, y, exact=False)


def counting(w: Writer) -> None:
    shape = tuple(int(w.rng.integers(1, 5)) for _ in range(w.rng.integers(1, 3)))
    axis = int(w.rng.integers(len(shape)))
    w.add(bind("iota", shape=shape, axis=axis, dtype=np.dtype(["i8", "f8"][w.rng.integers(2)])))
    if dtype_of(w.pool[-1]).kind == "f":
        w.exact.add(id(w.pool[-1]))


def calling(w: Writer) -> None:
    """A few steps as a Program of their own, called."""
    operands = [w.pick() for _ in range(2)]

    def run(xs: Sequence[Any]) -> list[Any]:
        inner = Writer(w.rng, xs)
        inner.exact = {id(x) for x, o in zip(xs, operands, strict=True) if id(o) in w.exact}
        for _ in range(3):
            inner.step()
        return [inner.pool[-1]]

    program = make_program_flat(run, [aval_of(x) for x in operands])
    (out,) = call_p.bind(*operands, program=program)
    w.add(out, exact=False)


def looping(w: Writer) -> None:
    """A few steps as the body of a scan, with what it reads, carries, counts and stacks."""
    consts, carry = [w.pick() for _ in range(2)], [w.pick() for _ in range(w.rng.integers(1, 3))]
    length = int(w.rng.integers(0, 6))
    counts = w.note(np.arange(length), True)

    def body(args: Sequence[Any]) -> list[Any]:
        inner = Writer(w.rng, args)
        same = zip(args, consts, strict=False)
        inner.exact = {id(x) for x, o in same if id(o) in w.exact}
        # a carry that is rounded in some step is so in all of them
        mine = args[len(consts) : -1]
        inner.exact |= {id(x) for x in mine if dtype_of(x).kind in "biu"} | {id(args[-1])}
        for _ in range(w.rng.integers(1, 6)):
            inner.step()
        return [*(inner.successor(x) for x in mine), inner.pool[-1]]

    aval = aval_of(counts).update(shape=())
    program = make_program_flat(body, [*map(aval_of, [*consts, *carry]), aval])
    outs = bind(
        "scan", *consts, *carry, counts, program=program, num_consts=len(consts),
        num_carry=len(carry), length=length, reverse=w.chance(0.4), unroll=1, checkpoint=None,
    )  # fmt: skip
    for out in outs:
        w.add(out, exact=False)


def choosing(w: Writer) -> None:
    """A few steps of two branches."""
    x = w.pick()
    flag = bind("convert", w.pick("b", exact=True), dtype=np.dtype(np.int32))
    if 0 in shape_of(flag):
        raise LookupError
    if shape_of(flag):
        flag = bind("reduce_max", flag, axes=tuple(range(len(shape_of(flag)))))

    def branch(args: Sequence[Any]) -> list[Any]:
        inner = Writer(w.rng, args)
        inner.exact = {id(args[0])} if id(x) in w.exact else set()
        for _ in range(2):
            inner.step()
        return [inner.successor(args[0])]

    branches = tuple(make_program_flat(branch, [aval_of(x)]) for _ in range(2))
    (out,) = bind("cond", flag, x, branches=branches)
    w.add(out, exact=False)


STEPS: list[Callable[[Writer], None]] = [
    arithmetic, arithmetic, arithmetic, smooth, smooth, rounding, comparison, bits,
    integer_division, choice, conversion, reduction, reduction, row_pattern, row_pattern,
    row_pattern, position, running,
    reshaping, reshaping, permuting, permuting, broadcasting, slicing, flipping, padding, joining,
    reading, block, ordering, product, counting, calling, looping, looping, choosing,
]  # fmt: skip


def random_array(rng: np.random.Generator) -> Any:
    shape = tuple(int(rng.choice(EXTENTS)) for _ in range(rng.integers(0, 4)))
    dtype = np.dtype(DTYPES[rng.integers(len(DTYPES))])
    if dtype.kind == "b":
        return (rng.random(shape) < 0.5)[()]
    if dtype.kind in "iu":
        return rng.integers(0 if dtype.kind == "u" else -4, 5, shape).astype(dtype)[()]
    values = rng.integers(-15, 16, shape) / 4
    if dtype.kind == "c":
        values = values + 1j * rng.integers(-15, 16, shape) / 4
    return np.asarray(values, dtype)[()]


def random_program(seed: int) -> tuple[Program, list[Any]]:
    """A Program with a few outputs, and arguments for it."""
    rng = np.random.default_rng(seed)
    args = [random_array(rng) for _ in range(rng.integers(1, 5))]

    def run(xs: Sequence[Any]) -> list[Any]:
        w = Writer(rng, xs)
        for _ in range(rng.integers(2, 24)):
            w.step()
        count = int(rng.integers(1, 4))
        outs = [w.pool[-1 - i] for i in range(min(count, len(w.pool)))]
        return [*outs, w.pick()] if w.chance(0.3) else outs

    return make_program_flat(run, [aval_of(x) for x in args], f"fuzz{seed}"), args


def assert_equal(got: Sequence[Any], want: Sequence[Any], program: Program) -> None:
    single = any(v.aval.dtype == np.float32 for e in program.equations for v in e.outputs)
    for g, w in zip(got, want, strict=True):
        assert (np.shape(g), np.asarray(g).dtype) == (np.shape(w), np.asarray(w).dtype)
        inexact = np.asarray(w).dtype.kind in "fc"
        tolerance = (2e-3 if single else 1e-7) if inexact else 0
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)


def check(seed: int) -> None:
    """One Program: well formed, the same after simplification, and the same compiled, whether or
    not its arguments are given up."""
    program, args = random_program(seed)
    try:
        program.check()
        want = evaluate(program, args)
        simple = simplify(program)
        simple.check()
        assert_equal(evaluate(simple, args), want, program)
        before = [np.array(x) for x in args]
        assert_equal(Compiled(program)(args), want, program)
        for x, b in zip(args, before, strict=True):
            np.testing.assert_array_equal(x, b)
        given_up = frozenset(i for i, a in enumerate(program.in_avals) if not a.weak_type)
        assert_equal(Compiled(program, given_up)(args), want, program)
    except Exception as error:
        error.add_note(f"seed {seed}:\n{program}")
        raise


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_programs(batch: int) -> None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(batch * PER_BATCH, (batch + 1) * PER_BATCH):
            check(seed)


@pytest.mark.skipif("FUNCTRANS_FUZZ" not in os.environ, reason="set FUNCTRANS_FUZZ=N")
def test_many_random_programs() -> None:
    """FUNCTRANS_FUZZ=N runs N Programs from seed FUNCTRANS_FUZZ_START (1000)."""
    start = int(os.environ.get("FUNCTRANS_FUZZ_START", "1000"))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(start, start + int(os.environ["FUNCTRANS_FUZZ"])):
            check(seed)
