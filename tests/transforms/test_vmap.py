"""vmap is a loop over examples: axes as trees, any nesting, errors that name the leaf."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import lax
from functrans import numpy as fnp
from functrans.core.errors import ShapeError, TransformError

rng = np.random.default_rng(1)
A = rng.normal(size=(4, 3))
B = rng.normal(size=(4, 3))
T = rng.normal(size=(2, 4, 3))


def same(got: Any, want: Any) -> None:
    assert np.shape(got) == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=1e-13)


# --- axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_axes", "args", "want"),
    [
        (0, (A, B), [a @ b for a, b in zip(A, B, strict=True)]),
        (1, (A, B), [a @ b for a, b in zip(A.T, B.T, strict=True)]),
        (-1, (A, B), [a @ b for a, b in zip(A.T, B.T, strict=True)]),
        ((0, None), (A, B[0]), A @ B[0]),
        ((None, 1), (A[:, 0], B), A[:, 0] @ B),
        ([0, -2], (A, B), [a @ b for a, b in zip(A, B, strict=True)]),
        ((0, 1), (A, A.T), np.sum(A * A, 1)),
    ],
    ids=str,
)
def test_in_axes(in_axes: Any, args: Any, want: Any) -> None:
    mapped = ft.vmap(fnp.dot, in_axes)
    same(mapped(*args), np.asarray(want))
    same(ft.jit(mapped)(*args), np.asarray(want))


def test_in_axes_as_trees() -> None:
    def f(p: Any, x: Any) -> Any:
        return p["w"] @ x + p["b"][0] * p["b"][1]

    p = {"w": T, "b": (A[0][:2], 2.0)}
    want = np.stack([T[:, i] @ B[i] + A[0][:2] * 2.0 for i in range(4)])
    for axes in (({"w": 1, "b": None}, 0), ({"w": 1, "b": (None, None)}, 0)):
        same(ft.vmap(f, axes)(p, B), want)
    same(ft.vmap(f, ({"w": 1, "b": (0, None)}, 0))({"w": T, "b": (A[:, :2], 2.0)}, B),
         np.stack([T[:, i] @ B[i] + A[i, :2] * 2.0 for i in range(4)]))  # fmt: skip


def test_keyword_arguments_are_mapped_over_axis_0() -> None:
    same(ft.vmap(lambda x, *, y: x @ y)(A, y=B), np.sum(A * B, 1))
    same(ft.vmap(lambda x, *, y: x @ y, in_axes=(1,))(A.T, y=B), np.sum(A * B, 1))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_out_axes(axis: int) -> None:
    want = np.moveaxis(np.stack([np.outer(a, a) for a in A]), 0, axis)
    same(ft.vmap(lambda a: fnp.outer(a, a), out_axes=axis)(A), want)
    same(ft.jit(ft.vmap(lambda a: fnp.outer(a, a), out_axes=axis))(A), want)


def test_out_axes_as_trees_and_unmapped_outputs() -> None:
    f = lambda a: {"x": a, "y": (a[0], 3.0), "n": None}
    got = ft.vmap(f, out_axes={"x": 1, "y": (0, None), "n": None})(A)
    same(got["x"], A.T)
    same(got["y"][0], A[:, 0])
    assert got["y"][1] == 3.0 and got["n"] is None
    got = ft.vmap(f)(A)
    same(got["y"][1], np.full(4, 3.0))
    got = ft.vmap(lambda a: (a, a), out_axes=[0, 1])(A)
    same(got[1], A.T)


def test_in_and_out_axes_of_zero_sized_and_single_batches() -> None:
    for n in (0, 1):
        got = ft.vmap(lambda a: fnp.sum(a) * a)(A[:n])
        assert got.shape == (n, 3)
        assert ft.jit(ft.vmap(lambda a: fnp.sum(a) * a))(A[:n]).shape == (n, 3)


def test_axis_size() -> None:
    same(ft.vmap(lambda: fnp.arange(2.0), axis_size=3)(), np.tile(np.arange(2.0), (3, 1)))
    got = ft.vmap(lambda x: x * 2, in_axes=None, axis_size=2)(A[0])
    same(got, np.stack([2 * A[0]] * 2))


# --- values ---------------------------------------------------------------------------------------

FUNCTIONS: dict[str, Any] = {
    "elementwise": lambda x: fnp.tanh(x) * 2 + 1,
    "reduction": lambda x: fnp.sum(x) + fnp.max(x),
    "matmul": lambda x: x @ A.T,
    "indexing": lambda x: x[::-1][1:] * x[[0, 1]],
    "gather by value": lambda x: fnp.asarray(A)[fnp.argmax(x)],
    "scatter": lambda x: ft.at(fnp.zeros(3))[fnp.argmax(x)].set(x[0]),
    "where": lambda x: fnp.where(x > 0, x, fnp.exp(x)),
    "sort": lambda x: fnp.sort(x),
    "cumsum": lambda x: fnp.cumsum(x),
    "outer": lambda x: fnp.outer(x, x),
    "solve": lambda x: fnp.concatenate([x, x[:1]]).reshape(2, 2),
    "scan": lambda x: lax.scan(lambda c, v: (c * 0.5 + v, c), 0.0, x)[1],
    "while": lambda x: lax.while_loop(lambda c: c < 10.0, lambda c: c * 2, fnp.abs(x[0]) + 0.1),
    "cond": lambda x: lax.cond(x[0] > 0, lambda v: v * 2, fnp.sin, x),
    "constant": lambda x: fnp.arange(3),
    "integers": lambda x: (x * 10).astype(int) % 3,
}


@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_vmap_is_a_loop(name: str) -> None:
    f = FUNCTIONS[name]
    want = np.stack([np.asarray(f(a)) for a in A])
    for mapped in (ft.vmap(f), ft.jit(ft.vmap(f)), ft.vmap(ft.jit(f))):
        got = mapped(A)
        assert got.dtype == want.dtype
        same(got, want)
    twice = np.stack([[np.asarray(f(a)) for a in t] for t in T])
    for mapped in (ft.vmap(ft.vmap(f)), ft.jit(ft.vmap(ft.vmap(f)))):
        same(mapped(T), twice)
    same(ft.vmap(ft.vmap(f), in_axes=1, out_axes=1)(T), twice)
    same(ft.vmap(ft.vmap(f, in_axes=1), in_axes=2)(T.transpose(2, 1, 0)), twice)


@pytest.mark.parametrize("name", ["elementwise", "reduction", "matmul", "scan", "where", "sort"])
def test_vmap_of_grad_and_grad_of_vmap(name: str) -> None:
    f = lambda x: fnp.sum(FUNCTIONS[name](x) ** 2)
    want = np.stack([ft.grad(f)(a) for a in A])
    same(ft.vmap(ft.grad(f))(A), want)
    same(ft.grad(lambda x: fnp.sum(ft.vmap(f)(x)))(A), want)
    same(ft.jit(ft.vmap(ft.grad(f)))(A), want)
    hessians = np.stack([ft.hessian(f)(a) for a in A])
    np.testing.assert_allclose(ft.vmap(ft.hessian(f))(A), hessians, rtol=1e-10, atol=1e-12)
    _y, t = ft.jvp(ft.vmap(f), (A,), (B,))
    np.testing.assert_allclose(t, np.sum(want * B, 1), rtol=1e-12)


def test_axis_name_collectives() -> None:
    got = ft.vmap(lambda x: x / lax.psum(x, "i"), axis_name="i")(A)
    same(got, A / A.sum(0))
    nested = ft.vmap(ft.vmap(lambda x: lax.psum(x, ("i"))[0], axis_name="j"), axis_name="i")
    same(nested(T), np.broadcast_to(T.sum(0)[:, 0], (2, 4)))


def test_callers_arrays_are_not_written_and_results_are_fresh() -> None:
    a = A.copy()
    out = ft.vmap(lambda x: ft.at(x)[0].set(7.0))(a)
    assert (out[:, 0] == 7).all()
    same(a, A)


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("in_axes", "args", "error", "message"),
    [
        ((0,), (A, B), TransformError, "in_axes has 1 entries for 2 positional arguments"),
        ("0", (A,), TransformError, "in_axes must be an int, None or a tuple"),
        (({"x": 0},), ({"y": A},), TransformError, r"in_axes\[0\]"),
        (({"x": 0, "y": {"z": 0}},), ({"x": A, "y": A},), TransformError, r"in_axes\[0\]\['y'\]"),
        (((0, 0),), ([A, A],), TransformError, r"in_axes\[0\] is .* a tree like what is there"),
        (0, (A, B[:2]), ShapeError, r"argument 1 is f64\[2,3\], mapped over axis 0"),
        (0, ({"a": A, "b": B[:3]},), ShapeError, r"\['b'\] is f64\[3,3\]"),
        (2, (A,), ShapeError, "vmap over axis 2 of argument.*f64.4,3.*has no such"),
        (0, (A, 3.0), ShapeError, "None in in_axes"),
        (None, (A,), TransformError, "at least one mapped argument"),
        (((0, "x"),), ((A, B),), TransformError, r"in_axes"),
    ],
)
def test_in_axes_that_do_not_fit(in_axes: Any, args: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ft.vmap(lambda *xs: xs, in_axes)(*args)


@pytest.mark.parametrize(
    ("out_axes", "error", "message"),
    [
        (None, TransformError, "out_axes is None for an output that differs"),
        (3, ShapeError, "out_axes 3 is out of bounds"),
        ((0, 0, 0), TransformError, "out_axes is .* a tree like what is there"),
        ({"a": 0}, TransformError, "out_axes is .* a tree like what is there"),
    ],
)
def test_out_axes_that_do_not_fit(out_axes: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ft.vmap(lambda a: (a, a), out_axes=out_axes)(A)


def test_axis_size_that_contradicts() -> None:
    with pytest.raises(ShapeError, match="axis_size is 3"):
        ft.vmap(lambda a: a, axis_size=3)(A)


def test_a_weak_counter_of_a_loop_that_examples_leave_at_different_times() -> None:
    def f(x):
        step = lambda c: (c[0] + 1, c[1] * 2.0)
        return lax.while_loop(lambda c: (c[0] < 4) & (c[1] < 5.0), step, (0, x))

    counts, values = ft.vmap(f)(np.array([1.0, 0.1, 7.0]))
    np.testing.assert_array_equal(counts, [3, 4, 0])
    np.testing.assert_allclose(values, [8.0, 1.6, 7.0])
