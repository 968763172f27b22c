"""Convolutions and windows are what loops over their definition give, and differentiate to order 2.

The loops are plain Python; derivatives are checked against differences.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, ShapeError
from functrans.primitives import convolution as convolutions
from functrans.primitives.convolution import conv_general_dilated_p
from functrans.primitives.windows import (
    reduce_window_max_p,
    reduce_window_min_p,
    reduce_window_prod_p,
    reduce_window_sum_p,
)
from functrans.test_util import check_grads
from tests.primitives.cases import array, convolution, windows


def loop_windows(x: Any, fill: Any, p: dict[str, Any]) -> dict[tuple[int, ...], list[Any]]:
    """The elements of every window by its place, from the definition."""
    wide = [(n - 1) * b + 1 if n else 0 for n, b in zip(x.shape, p["base_dilation"], strict=True)]
    spread = np.full(wide, fill, x.dtype)
    spread[tuple(slice(None, None, b) for b in p["base_dilation"])] = x
    reach = [
        (n - 1) * d + 1 for n, d in zip(p["window_dimensions"], p["window_dilation"], strict=True)
    ]
    counts = [
        max((n + low + high - r) // s + 1, 0)
        for n, (low, high), r, s in zip(wide, p["padding"], reach, p["window_strides"], strict=True)
    ]
    out: dict[tuple[int, ...], list[Any]] = {}
    for place in np.ndindex(*counts):
        out[place] = []
        for tap in np.ndindex(*p["window_dimensions"]):
            at = tuple(
                i * s + j * d - low
                for i, s, j, d, (low, _) in zip(
                    place, p["window_strides"], tap, p["window_dilation"], p["padding"], strict=True
                )
            )
            inside = all(0 <= a < n for a, n in zip(at, wide, strict=True))
            out[place].append(spread[at] if inside else x.dtype.type(fill))
    return out


def loop_convolution(x: Any, w: Any, p: dict[str, Any]) -> Any:
    """A convolution from the definition, one sample and feature at a time."""
    features, batches = p["feature_group_count"], p["batch_group_count"]
    window = {
        "window_dimensions": w.shape[2:],
        "window_strides": p["window_strides"],
        "padding": p["padding"],
        "base_dilation": p["lhs_dilation"],
        "window_dilation": p["rhs_dilation"],
    }
    n, o, inputs = x.shape[0] // batches, w.shape[0], w.shape[1]
    counts = tuple(np.max(list(loop_windows(x[0, 0], 0, window)) or [(-1,) * (x.ndim - 2)], 0) + 1)
    out = np.zeros((n, o, *counts), x.dtype)
    for i, j in product(range(n), range(o)):
        group = j // (o // (features * batches))
        row = x[i + group * n * (batches > 1)]
        first = group * inputs * (features > 1)
        for c in range(inputs):
            for place, values in loop_windows(row[first + c], 0, window).items():
                out[(i, j, *place)] += np.sum(np.array(values) * w[j, c].reshape(-1))
    return out


CONVOLUTIONS = [
    (
        (size, kernel),
        {"window_strides": stride, "padding": pads, "lhs_dilation": lhs, "rhs_dilation": rhs},
    )
    for size, kernel, stride, pads, lhs, rhs in [
        ((5,), (3,), (1,), ((0, 0),), (1,), (1,)),
        ((5,), (3,), (2,), ((1, 1),), (1,), (1,)),
        ((6,), (2,), (3,), ((2, -1),), (1,), (2,)),
        ((4,), (3,), (1,), ((2, 1),), (2,), (1,)),
        ((4,), (4,), (2,), ((3, 2),), (3,), (2,)),
        ((4,), (5,), (3,), ((4, 5),), (6,), (4,)),
        ((3,), (1,), (1,), ((-5, 7),), (1,), (1,)),
        ((2,), (4,), (1,), ((0, 0),), (1,), (1,)),
        ((5, 4), (3, 2), (1, 1), ((1, 1), (0, 1)), (1, 1), (1, 1)),
        ((5, 4), (3, 2), (2, 1), ((1, 2), (-1, 1)), (1, 2), (1, 2)),
        ((4, 4), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)),
        ((4, 5), (2, 3), (2, 3), ((0, 2), (2, 2)), (3, 2), (2, 1)),
        ((3, 2, 4), (2, 2, 3), (1, 2, 1), ((1, 0), (1, 1), (0, 1)), (1, 1, 2), (1, 1, 1)),
        ((2, 3, 2), (1, 2, 2), (2, 3, 1), ((-1, 2), (2, -1), (1, 0)), (2, 1, 3), (1, 2, 2)),
        ((7,), (2,), (4,), ((0, 0),), (1,), (1,)),
        ((3, 4), (6, 6), (1, 2), ((3, 2), (3, 1)), (1, 1), (1, 1)),
        ((), (), (), (), (), ()),
    ]
]
GROUPS = [(1, 1), (2, 1), (1, 2), (3, 1)]
RNG = np.random.default_rng(0)
MEMORY = {
    "channels first": lambda x: np.ascontiguousarray(x),
    "channels last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1),
    "batch last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0),
}


def operands(shapes: Any, groups: tuple[int, int], inputs: int, features: int) -> tuple[Any, Any]:
    size, kernel = shapes
    by_feature, by_batch = groups
    lhs = array((2 * by_batch, inputs * by_feature, *size))
    return lhs, array((features * by_feature * by_batch, inputs, *kernel))


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize(("shapes", "options"), CONVOLUTIONS)
def test_convolution_is_its_definition(
    shapes: Any, options: dict, groups: tuple[int, int], memory: str
) -> None:
    counts = {"feature_group_count": groups[0], "batch_group_count": groups[1]}
    p = convolution(len(shapes[0]), **options, **counts)
    for inputs, features in [(2, 2), (1, 2), (5, 1)]:
        x, w = operands(shapes, groups, inputs, features)
        got = conv_general_dilated_p.bind(MEMORY[memory](x), MEMORY[memory](w), **p)
        want = loop_convolution(x, w, p)
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("memory", MEMORY)
def test_blocks_of_a_large_convolution_join(memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    p = convolution(2, padding=((1, 1), (1, 1)), window_strides=(2, 1))
    for shape, kernel, more in [
        ((3, 4, 6, 5), (5, 4, 3, 3), {}),
        ((1, 3, 6, 5), (4, 3, 3, 3), {}),
        ((3, 1, 6, 5), (4, 1, 3, 3), {}),
        ((3, 4, 6, 5), (8, 1, 3, 3), {"feature_group_count": 4}),
        ((3, 6, 6, 5), (1, 6, 3, 3), {}),
        ((3, 2, 6, 5), (3, 2, 5, 4), {"window_strides": (1, 1)}),
    ]:
        x, w = MEMORY[memory](array(shape)), MEMORY[memory](array(kernel))
        want = conv_general_dilated_p.bind(x, w, **p | more)
        for block in (1, 200, 2000):
            with monkeypatch.context() as patch:
                patch.setattr(convolutions, "_BLOCK", block)
                got = conv_general_dilated_p.bind(x, w, **p | more)
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", GROUPS[:3])
@pytest.mark.parametrize(("shapes", "options"), CONVOLUTIONS)
def test_derivatives_of_convolution(shapes: Any, options: dict, groups: tuple[int, int]) -> None:
    counts = {"feature_group_count": groups[0], "batch_group_count": groups[1]}
    p = convolution(len(shapes[0]), **options, **counts)
    x, w = operands(shapes, groups, 2, 1)
    f = lambda x, w: conv_general_dilated_p.bind(x, w, **p)
    check_grads(f, (x, w), order=2)
    if (shapes, options) in CONVOLUTIONS[4:14:5]:  # a few, as each compiles a dozen functions
        check_grads(ft.jit(f), (x, w), order=2)


@pytest.mark.parametrize(
    ("shapes", "options", "groups", "dtype"),
    [
        (*row, GROUPS[(i + j) % 3], dtype)
        for i, row in enumerate(CONVOLUTIONS)
        for j, dtype in enumerate(("f8", ("f4", "c16")[i % 2]))
    ],
)
def test_every_transform_of_convolution_is_its_definition(
    shapes: Any, options: dict, groups: tuple[int, int], dtype: str
) -> None:
    """To second order, which for a product of two operands is a sum of convolutions."""
    counts = {"feature_group_count": groups[0], "batch_group_count": groups[1]}
    p = convolution(len(shapes[0]), **options, **counts)
    pairs = [operands(shapes, groups, 2, 1) for _ in range(3)]
    primals, t, u = [tuple(normal(v.shape, dtype) for v in pair) for pair in pairs]
    both = lambda a, b: loop_convolution(a, b, p)
    bilinear = lambda a, b: both(a[0], b[1]) + both(b[0], a[1])
    y, dy, along, mixed = both(*primals), bilinear(primals, t), bilinear(primals, u), bilinear(t, u)
    ct = normal(y.shape, dtype)
    transforms = to_second_order(lambda x, w: conv_general_dilated_p.bind(x, w, **p))
    for run in (transforms, ft.jit(transforms)):
        value, tangent, pulled, curved = run(primals, t, ct)
        near(value, y)
        near(tangent, dy)
        near(inner(pulled, u), np.sum(ct * along))
        near(inner(curved, u), np.sum(ct * (dy * along + y * mixed)))


def normal(shape: Any, dtype: str = "f8") -> Any:
    values = RNG.normal(size=(2, *shape))
    return np.asarray(values[0] + 1j * values[1] if dtype[0] == "c" else values[0], dtype)


def to_second_order(f: Any) -> Any:
    """(primals, t, ct) → f, its tangent along t, its pullback of ct, and the derivative along t of
    the pullback of ct · f, which is a Hessian of ct · f² / 2 times t."""

    def transforms(primals: Any, t: Any, ct: Any) -> Any:
        value, tangent = ft.jvp(f, primals, t)
        pull = lambda *primals: ft.vjp(f, *primals)[1](ct * f(*primals))
        return value, tangent, ft.vjp(f, *primals)[1](ct), ft.jvp(pull, primals, t)[1]

    return transforms


def inner(a: Any, b: Any) -> Any:
    assert all(np.shape(x) == y.shape and x.dtype == y.dtype for x, y in zip(a, b, strict=True))
    return sum(np.sum(x * y) for x, y in zip(a, b, strict=True))


def near(got: Any, want: Any) -> None:
    assert np.shape(got) == np.shape(want) and got.dtype == want.dtype
    tolerance = 2e-3 if got.dtype == np.float32 else 1e-9
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        (((4, 3), (2, 2)), {"padding": ((1, 0), (0, 1)), "window_strides": (1, 2)}),
        (((5,), (3,)), {"padding": ((-1, 3),), "lhs_dilation": (2,), "rhs_dilation": (2,)}),
    ],
)
@pytest.mark.parametrize("groups", GROUPS[:3])
@pytest.mark.parametrize("mask", [(True, False), (False, True), (True, True)])
def test_vmap_of_convolution_and_of_its_gradient(
    groups: tuple[int, int], mask: tuple[bool, bool], shapes: Any, options: dict
) -> None:
    counts = {"feature_group_count": groups[0], "batch_group_count": groups[1]}
    p = convolution(len(shapes[0]), **options, **counts)
    x, w = operands(shapes, groups, 2, 3)

    def gradient(x: Any, w: Any) -> Any:
        return ft.grad(lambda x, w: fnp.sum(conv_general_dilated_p.bind(x, w, **p) ** 2), (0, 1))(
            x, w
        )

    stacks = [np.stack([v, -v, 2 * v]) if m else v for v, m in zip((x, w), mask, strict=True)]
    rows = [
        gradient(*[s[i] if m else s for s, m in zip(stacks, mask, strict=True)]) for i in range(3)
    ]
    mapped = ft.vmap(gradient, tuple(0 if m else None for m in mask))
    for run in (mapped, ft.jit(mapped)):
        for got, want in zip(run(*stacks), zip(*rows, strict=True), strict=True):
            np.testing.assert_allclose(got, np.stack(want), rtol=1e-10, atol=1e-10)
    none = [np.zeros((0, *v.shape)) if m else v for v, m in zip((x, w), mask, strict=True)]
    axes = tuple(0 if m else None for m in mask)
    out = ft.vmap(lambda x, w: conv_general_dilated_p.bind(x, w, **p), axes)(*none)
    assert out.shape == (0, *conv_general_dilated_p.bind(x, w, **p).shape)


@pytest.mark.parametrize("dtype", ["i4", "f4", "f8", "c8", "c16"])
def test_dtypes_of_convolution(dtype: str) -> None:
    p = convolution(1, padding=((1, 1),))
    x, w = array((2, 3, 5), dtype), array((4, 3, 3), dtype)
    f = lambda x, w: conv_general_dilated_p.bind(x, w, **p)
    eager, compiled = f(x, w), ft.jit(f)(x, w)
    assert eager.dtype == compiled.dtype == np.dtype(dtype)
    np.testing.assert_allclose(eager, loop_convolution(x, w, p), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(eager, compiled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "w", "out", "options"),
    [
        ((0, 3, 5), (4, 3, 3), (0, 4, 3), {}),
        ((2, 0, 5), (4, 0, 3), (2, 4, 3), {}),
        ((2, 3, 5), (0, 3, 3), (2, 0, 3), {}),
        ((2, 3, 0), (4, 3, 3), (2, 4, 0), {}),
        ((2, 3, 2), (4, 3, 3), (2, 4, 0), {}),
        ((2, 3, 2), (4, 3, 3), (2, 4, 0), {"window_strides": (2,), "rhs_dilation": (2,)}),
        ((2, 3, 0), (4, 3, 3), (2, 4, 2), {"padding": ((2, 2),), "lhs_dilation": (2,)}),
        ((2, 3, 4), (4, 3, 2), (2, 4, 1), {"padding": ((-4, 2),)}),
        ((2, 0, 5), (4, 0, 3), (2, 4, 3), {"feature_group_count": 2}),
        ((0, 3, 5), (4, 3, 3), (0, 4, 3), {"batch_group_count": 2}),
    ],
)
def test_empty_convolutions(x: Any, w: Any, out: Any, options: dict) -> None:
    p = convolution(1) | options
    primals = np.ones(x), np.ones(w)
    transforms = to_second_order(lambda x, w: conv_general_dilated_p.bind(x, w, **p))
    mapped = ft.vmap(lambda ct: transforms(primals, primals, ct))
    for run in (mapped, ft.jit(mapped)):
        for count in (0, 2):
            results = ft.tree.leaves(run(np.ones((count, *out))))
            assert [r.shape[1:] for r in results] == [out, out, x, w, x, w]
            assert not any(map(np.any, results))


@pytest.mark.parametrize(
    ("x", "w", "options", "words"),
    [
        ((2, 3, 5), (4, 2, 3), {}, "f64[2,3,5] and rhs (O, I, space…) f64[4,2,3]"),
        ((2, 3, 5), (4, 3), {}, "one rank, two or more: got lhs (N, C, space…) f64[2,3,5]"),
        ((2, 4, 5), (3, 2, 3), {"feature_group_count": 2}, "rhs's features, axis 0, are no 2"),
        ((3, 2, 5), (4, 2, 3), {"batch_group_count": 2}, "lhs's batch, axis 0, is no 2"),
        ((2, 3, 5), (4, 3, 3), {"window_strides": (1, 1)}, "window_strides=(1, 1)"),
        ((2, 3, 5), (4, 3, 3), {"rhs_dilation": (0,)}, "rhs_dilation=(0,)"),
        ((2, 3, 5), (4, 3, 3), {"padding": ((-4, -4),)}, "negative extent"),
        (
            (4, 4, 5),
            (4, 2, 3),
            {"batch_group_count": 2, "feature_group_count": 2},
            "feature groups or batch groups",
        ),
    ],
)
def test_errors_say_both_shapes(x: Any, w: Any, options: dict, words: str) -> None:
    p = convolution(1) | options
    f = lambda x, w: conv_general_dilated_p.bind(x, w, **p)
    for run in (f, ft.jit(f)):
        with pytest.raises(ShapeError) as error:
            run(np.ones(x), np.ones(w))
        assert words in str(error.value)
        assert "test_convolution.py:" in str(error.value)


def test_operands_of_two_dtypes_are_refused() -> None:
    f = lambda x, w: conv_general_dilated_p.bind(x, w, **convolution(1))
    for run in (f, ft.jit(f)):
        with pytest.raises(DTypeError, match=r"f64\[2,3,5\] and rhs .* f32\[4,3,3\]"):
            run(np.ones((2, 3, 5)), np.ones((4, 3, 3), "f4"))


# --- windows --------------------------------------------------------------------------------------

WINDOWS = [
    ((6,), windows(2)),
    ((6,), windows(3, window_strides=(2,), padding=((1, 2),))),
    ((5,), windows(2, base_dilation=(2,), window_dilation=(3,), padding=((2, 0),))),
    ((5,), windows(2, padding=((-1, -2),))),
    ((30,), windows(13, padding=((3, 2),), window_dilation=(2,))),
    ((24,), windows(16)),
    ((24,), windows(11, window_strides=(4,))),
    ((4, 5), windows(2, 2, window_strides=(2, 2))),
    ((4, 5), windows(3, 2, window_strides=(1, 2), padding=((1, 1), (0, 1)))),
    ((3, 4, 3), windows(2, 1, 2, base_dilation=(1, 2, 1), padding=((0, 1), (1, 0), (0, 0)))),
    ((), windows()),
    ((1,), windows(3)),
    ((4,), windows(5, window_strides=(2,))),
    ((0, 3), windows(2, 2)),
    ((0,), windows(2, padding=((1, 2),), base_dilation=(2,))),
    ((2, 0, 3), windows(1, 1, 2)),
    ((7,), windows(2, window_strides=(4,))),
    ((40,), windows(37, window_strides=(2,))),
    ((8, 7), windows(6, 6, padding=((2, 1), (-1, 2)), window_strides=(2, 1))),
    ((3, 2, 4), windows(2, 2, 2, padding=((-1, 2), (1, 1), (2, -2)), window_strides=(2, 3, 1))),
    ((3, 3), windows(2, 2, base_dilation=(2, 3), window_dilation=(3, 2), padding=((2, 2), (0, 3)))),
]
MONOIDS = [
    (reduce_window_sum_p, np.sum, 0.0),
    (reduce_window_prod_p, np.prod, 1.0),
    (reduce_window_max_p, np.max, -np.inf),
    (reduce_window_min_p, np.min, np.inf),
]


@pytest.mark.parametrize(
    ("primitive", "fold", "fill"), MONOIDS, ids=lambda v: str(getattr(v, "__name__", v))
)
@pytest.mark.parametrize(("shape", "p"), WINDOWS)
def test_windows_are_their_definition(
    primitive: Any, fold: Any, fill: float, shape: Any, p: Any
) -> None:
    x = np.asarray(array(shape))
    got = primitive.bind(x, **p)
    folded = {place: fold(values) for place, values in loop_windows(x, fill, p).items()}
    assert got.size == len(folded)
    for place, value in folded.items():
        np.testing.assert_allclose(got[place], value, rtol=1e-12)
    assert got is not x and not np.may_share_memory(got, x)


@pytest.mark.parametrize(("primitive", "fill"), [(m[0], m[2]) for m in MONOIDS], ids=str)
@pytest.mark.parametrize(
    ("shape", "p", "dtype"), [(*row, ("f8", "f4")[i % 2]) for i, row in enumerate(WINDOWS)]
)
def test_every_transform_of_windows_is_its_definition(
    primitive: Any, fill: float, shape: Any, p: Any, dtype: str
) -> None:
    """To second order, of values with zeros and ties."""
    f = lambda x: primitive.bind(x, **p)
    xs = np.round(normal((2, *shape), dtype))
    t, u = normal(shape, dtype), normal(shape, dtype)
    wants = [loop_derivatives(primitive, x, t, u, fill, p) for x in xs]
    ct = normal(wants[0][0].shape, dtype)
    transforms = to_second_order(f)
    along = ft.vmap(lambda x: transforms((x,), (t,), ct), -1)
    for run in (along, ft.jit(along)):
        results = run(np.moveaxis(xs, 0, -1))
        for i, (y, dy, du, mixed) in enumerate(wants):
            value, tangent, pulled, curved = ft.tree.map(lambda r, i=i: r[i], results)
            near(value, y)
            near(tangent, dy)
            near(inner(pulled, (u,)), np.sum(ct * du))
            if np.all(np.isfinite(y)):  # the extremum of padding alone is not
                near(inner(curved, (u,)), np.sum(ct * (dy * du + y * mixed)))


def loop_derivatives(primitive: Any, x: Any, t: Any, u: Any, fill: float, p: dict) -> tuple:
    """The folds of all windows, their derivatives along t, along u and along both."""
    values = loop_windows(x, fill, p)
    tangents = [loop_windows(v, np.nan, p) for v in (t, u)]  # nan: no element of the operand
    out = tuple(np.zeros(primitive.bind(x, **p).shape, x.dtype) for _ in range(4))
    for place, window in values.items():
        dt, du = (np.array(v[place], x.dtype) for v in tangents)
        inside = np.flatnonzero(~np.isnan(dt))
        v, dt, du = np.array(window, x.dtype)[inside], dt[inside], du[inside]
        if primitive is reduce_window_sum_p:
            results = v.sum(), dt.sum(), du.sum(), 0
        elif primitive is reduce_window_prod_p:
            n = range(len(v))
            one = lambda d: sum(d[i] * np.prod(np.delete(v, i)) for i in n)
            pairs = ((i, j) for i in n for j in n if i != j)
            two = sum(dt[i] * du[j] * np.prod(np.delete(v, (i, j))) for i, j in pairs)
            results = v.prod(), one(dt), one(du), two
        elif len(v):
            best = (np.argmax if primitive is reduce_window_max_p else np.argmin)(v)
            results = v[best], dt[best], du[best], 0
        else:
            results = fill, 0, 0, 0
        for array_, result in zip(out, results, strict=True):
            array_[place] = result
    return out


@pytest.mark.parametrize("primitive", [m[0] for m in MONOIDS], ids=str)
@pytest.mark.parametrize(("shape", "p"), [w for w in WINDOWS if np.prod(w[0]) in range(1, 25)])
def test_derivatives_of_windows(primitive: Any, shape: Any, p: Any) -> None:
    x = array(shape)
    if np.all(np.isfinite(primitive.bind(x, **p))):  # the extremum of padding alone is not
        f = lambda x: fnp.sin(primitive.bind(x, **p))
        check_grads(f, (x,), order=2)
        if (shape, p) in WINDOWS[2:9:6]:
            check_grads(ft.jit(f), (x,), order=2)


@pytest.mark.parametrize("primitive", [reduce_window_max_p, reduce_window_min_p], ids=str)
def test_of_equal_elements_the_first_has_the_derivative(primitive: Any) -> None:
    x, p = np.ones((4, 4)), windows(2, 2, window_strides=(2, 2))
    got = ft.grad(lambda x: fnp.sum(primitive.bind(x, **p)))(x)
    want = np.zeros((4, 4))
    want[::2, ::2] = 1
    np.testing.assert_array_equal(got, want)


def test_nan_is_the_extremum_and_has_the_derivative() -> None:
    x, p = np.array([1.0, np.nan, 3.0, 2.0]), windows(2, window_strides=(2,))
    value, gradient = ft.value_and_grad(lambda x: fnp.sum(reduce_window_max_p.bind(x, **p)))(x)
    assert np.isnan(value)
    np.testing.assert_array_equal(gradient, [0, 1, 1, 0])


def test_product_with_zeros_has_the_product_of_the_others() -> None:
    x = np.array([2.0, 0.0, 3.0, 0.0, 0.0])
    got = ft.jacrev(lambda x: reduce_window_prod_p.bind(x, **windows(2)))(x)
    want = [[0, 2, 0, 0, 0], [0, 3, 0, 0, 0], [0, 0, 0, 3, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(got, want)


def test_vmap_of_the_gradient_of_a_windowed_maximum() -> None:
    p = windows(1, 3, 2, window_strides=(1, 2, 1), padding=((0, 0), (1, 1), (1, 0)))
    gradient = ft.grad(lambda x: fnp.sum(reduce_window_max_p.bind(x, **p) ** 3))
    xs = array((3, 2, 5, 4))
    want = np.stack([gradient(x) for x in xs])
    np.testing.assert_allclose(ft.vmap(gradient)(xs), want)
    np.testing.assert_allclose(ft.jit(ft.vmap(gradient))(xs), want)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window_dimensions": (2,)}, "f64[4,5] needs an extent"),
        ({"window_dimensions": (0, 2)}, "positive"),
        ({"padding": ((-3, -3), (0, 0))}, "negative extent"),
    ],
)
def test_errors_of_windows(options: dict, words: str) -> None:
    p = windows(2, 2) | options
    f = lambda x: reduce_window_sum_p.bind(x, **p)
    for run in (f, ft.jit(f)):
        with pytest.raises(ShapeError) as error:
            run(np.ones((4, 5)))
        assert words in str(error.value)


def test_complex_numbers_have_no_maximum() -> None:
    with pytest.raises(DTypeError, match="needs an order"):
        reduce_window_max_p.bind(np.ones(3, "c16"), **windows(2))
