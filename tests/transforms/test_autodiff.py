"""Derivatives of users' functions: right values, JAX's arguments and meanings, errors that help."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import numpy as fnp
from functrans.core.errors import DTypeError, TransformError, TreeError

X = np.array([0.5, -1.0, 2.0])
Y = np.array([0.3, 1.5, -0.7])
rng = np.random.default_rng(0)
W = rng.normal(size=(2, 3))


def f(x: Any, y: Any, z: Any = 1.0) -> Any:
    return fnp.sum(x**2) * y + z**3


def numerical(fun: Any, x: Any, eps: float = 1e-6) -> Any:
    """The Jacobian by central differences, of shape output + input."""
    x = np.asarray(x, float)
    columns = []
    for i in np.ndindex(*x.shape):
        step = np.zeros_like(x)
        step[i] = eps
        columns.append((np.asarray(fun(x + step)) - np.asarray(fun(x - step))) / (2 * eps))
    out = np.stack(columns, axis=-1)
    return out.reshape(*out.shape[:-1], *x.shape)


# --- grad: argnums --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argnums", "want"),
    [
        (0, 2 * X * 3),
        (1, np.sum(X**2)),
        (2, 12.0),
        (-1, 12.0),
        (-3, 2 * X * 3),
        (np.int64(1), np.sum(X**2)),
        ((0, 2), (2 * X * 3, 12.0)),
        ([1], (np.sum(X**2),)),
        ((-1, 0), (12.0, 2 * X * 3)),
        ((), ()),
    ],
    ids=repr,
)
def test_argnums(argnums: Any, want: Any) -> None:
    for transform in (ft.grad, lambda f, a: ft.jit(ft.grad(f, a))):
        got = transform(f, argnums)(X, 3.0, 2.0)
        assert type(got) is tuple if type(want) is tuple else True
        for g, w in zip(ft.tree.leaves(got), ft.tree.leaves(want), strict=True):
            np.testing.assert_allclose(g, w)
    value, got = ft.value_and_grad(f, argnums)(X, 3.0, 2.0)
    assert value == f(X, 3.0, 2.0)
    for g, w in zip(ft.tree.leaves(got), ft.tree.leaves(want), strict=True):
        np.testing.assert_allclose(g, w)


@pytest.mark.parametrize(("argnums", "named"), [(3, "3"), (-4, "-4"), ((0, 7), "7")])
@pytest.mark.parametrize(
    "transform", [ft.grad, ft.value_and_grad, ft.jacfwd, ft.jacrev, ft.hessian]
)
def test_argnums_that_are_no_argument(transform: Any, argnums: Any, named: str) -> None:
    with pytest.raises(TransformError, match=f"names argument {named}, but f was called with 3"):
        transform(f, argnums)(X, 3.0, 2.0)


@pytest.mark.parametrize("argnums", [(0, 0), (1, -2)])
def test_argnums_that_name_an_argument_twice(argnums: Any) -> None:
    with pytest.raises(TransformError, match="names an argument twice"):
        ft.grad(f, argnums)(X, 3.0, 2.0)


def test_argnums_of_the_wrong_type() -> None:
    with pytest.raises(TransformError, match="must be an int or a sequence of ints"):
        ft.grad(f, "x")(X, 3.0)
    with pytest.raises(TransformError, match="must be an int or a sequence of ints"):
        ft.grad(f, 1.0)(X, 3.0)
    with pytest.raises(TransformError, match="keyword arguments cannot be differentiated"):
        ft.grad(f, 2)(X, 3.0, z=2.0)


def test_keyword_and_other_arguments_pass_through() -> None:
    def g(x: Any, how: str, *, scale: Any, flag: bool = True) -> Any:
        assert how == "sum" and flag is False
        return fnp.sum(x) * scale

    np.testing.assert_array_equal(ft.grad(g)(X, "sum", scale=3.0, flag=False), [3.0] * 3)


def test_metadata_of_the_function_is_kept() -> None:
    def loss(x: Any) -> Any:
        """Its docstring."""
        return x

    for transform in (ft.grad, ft.jit, ft.vmap, ft.jacfwd, ft.hessian, ft.value_and_grad):
        assert transform(loss).__name__ == "loss" and transform(loss).__doc__ == "Its docstring."


# --- grad: values ---------------------------------------------------------------------------------


def test_gradients_of_trees() -> None:
    def loss(params: Any) -> Any:
        return fnp.sum(params["w"][0] * 2) + params["b"] ** 2 * fnp.sum(params["w"][1])

    params = {"w": [X, np.ones((2, 2))], "b": 3.0, "n": None, "e": ()}
    got = ft.grad(loss)(params)
    assert ft.tree.structure(got) == ft.tree.structure(params)
    np.testing.assert_array_equal(got["w"][0], [2.0] * 3)
    np.testing.assert_array_equal(got["w"][1], np.full((2, 2), 9.0))
    assert got["b"] == 24.0 and got["n"] is None and got["e"] == ()


def test_gradients_have_the_type_of_the_argument() -> None:
    for dtype in ("f4", "f8"):
        x = X.astype(dtype)
        for g in (ft.grad(lambda x: fnp.sum(x * 2.0)), ft.jit(ft.grad(lambda x: fnp.sum(x * 2)))):
            assert g(x).dtype == x.dtype and g(x).shape == x.shape
    assert ft.grad(lambda x: fnp.sum(x.astype(np.float64)))(X.astype("f4")).dtype == np.float32
    for x in (2.0, np.float64(2), np.array(2.0)):
        for g in (ft.grad(lambda x: x), ft.jit(ft.grad(lambda x: x))):
            assert type(g(x)) in (np.float64, np.ndarray) and np.shape(g(x)) == ()


def test_what_does_not_matter_has_a_zero_gradient() -> None:
    got = ft.grad(lambda x, y: 3.0, (0, 1))(X, {"a": X, "b": 1.0})
    np.testing.assert_array_equal(got[0], np.zeros(3))
    np.testing.assert_array_equal(got[1]["a"], np.zeros(3))
    assert got[1]["b"] == 0 and got[0].dtype == np.float64
    got = ft.grad(lambda x: fnp.sum(fnp.floor(x)) + fnp.sum(x > 0) * 1.0)(X)
    np.testing.assert_array_equal(got, np.zeros(3))


def test_the_gradient_is_a_fresh_array() -> None:
    x = X.copy()
    g = ft.grad(fnp.sum)(x)
    g[:] = 7
    np.testing.assert_array_equal(ft.grad(fnp.sum)(x), np.ones(3))
    np.testing.assert_array_equal(x, X)


def test_has_aux() -> None:
    def loss(x: Any) -> Any:
        return fnp.sum(x**2), {"doubled": 2 * x, "n": 3, "none": None, "square": fnp.sum(x) ** 2}

    for g in (ft.grad(loss, has_aux=True), ft.jit(ft.grad(loss, has_aux=True))):
        gradient, aux = g(X)
        np.testing.assert_array_equal(gradient, 2 * X)
        np.testing.assert_array_equal(aux["doubled"], 2 * X)
        assert aux["n"] == 3 and aux["none"] is None and aux["square"] == np.sum(X) ** 2
    (value, aux), gradient = ft.value_and_grad(loss, has_aux=True)(X)
    assert value == np.sum(X**2) and aux["n"] == 3
    value, pull, aux = ft.vjp(loss, X, has_aux=True)
    np.testing.assert_array_equal(pull(2.0)[0], 4 * X)
    value, tangent, aux = ft.jvp(loss, (X,), (np.ones(3),), has_aux=True)
    assert tangent == 2 * X.sum() and aux["square"] == np.sum(X) ** 2
    value, push, aux = ft.linearize(loss, X, has_aux=True)
    assert push(np.ones(3)) == 2 * X.sum() and aux["n"] == 3
    for jacobian in (ft.jacfwd, ft.jacrev):
        got, aux = jacobian(loss, has_aux=True)(X)
        np.testing.assert_array_equal(got, 2 * X)
    got, aux = ft.hessian(loss, has_aux=True)(X)
    np.testing.assert_array_equal(got, 2 * np.eye(3))


def test_aux_is_not_differentiated_through_the_outer_gradient_wrongly() -> None:
    def outer(x: Any) -> Any:
        g, aux = ft.grad(lambda y: (y**3, y**2), has_aux=True)(x)
        return g * aux

    assert ft.grad(outer)(2.0) == 3 * 4 * 2.0**3  # (3 x² · x²)'


@pytest.mark.parametrize("result", [lambda x: x, lambda x: (x, x, x), lambda x: [x, x]])
def test_has_aux_needs_a_pair(result: Any) -> None:
    with pytest.raises(TransformError, match=r"has_aux=True needs .* to return a pair"):
        ft.grad(result, has_aux=True)(1.0)


def test_holomorphic() -> None:
    z = np.complex128(1.5 + 0.5j)
    np.testing.assert_allclose(ft.grad(lambda z: z**3, holomorphic=True)(z), 3 * z**2)
    np.testing.assert_allclose(ft.grad(fnp.exp, holomorphic=True)(z), np.exp(z))
    zs = np.array([1 + 1j, 2 - 1j])
    for jacobian in (ft.jacfwd, ft.jacrev):
        got = jacobian(fnp.sin, holomorphic=True)(zs)
        np.testing.assert_allclose(got, np.diag(np.cos(zs)))
    got = ft.hessian(lambda z: fnp.sum(z**3), holomorphic=True)(zs)
    np.testing.assert_allclose(got, np.diag(6 * zs))
    with pytest.raises(TransformError, match="holomorphic=True needs complex arguments"):
        ft.grad(fnp.exp, holomorphic=True)(1.0)
    with pytest.raises(TransformError, match="complex"):
        ft.grad(abs, holomorphic=True)(z)


def test_complex_arguments_have_jaxs_conjugated_gradient() -> None:
    z = np.complex128(3 + 4j)
    # jax.grad(lambda z: jnp.abs(z)**2)(3+4j) is 6-8j: the conjugate of the steepest ascent
    np.testing.assert_allclose(ft.grad(lambda z: fnp.abs(z) ** 2)(z), 6 - 8j)
    np.testing.assert_allclose(ft.grad(lambda z: fnp.real(z * z))(z), 6 + 8j)
    np.testing.assert_allclose(ft.grad(lambda z: fnp.imag(z))(z), -1j)


# --- integers -------------------------------------------------------------------------------------


def test_integers_are_refused_unless_allowed() -> None:
    for x in (3, np.arange(3), True, np.int8(2), {"a": 1.0, "b": np.arange(2)}):
        with pytest.raises(TransformError, match="allow_int"):
            ft.grad(lambda x: 1.0)(x)
    with pytest.raises(TransformError, match=r"argument 0\['b'\] of .* is i64\[2\]"):
        ft.grad(lambda x: 1.0)({"a": 1.0, "b": np.arange(2)})
    got = ft.grad(lambda p: p["a"] * fnp.sum(p["b"]), allow_int=True)({"a": 2.0, "b": np.arange(4)})
    assert got["a"] == 6.0 and got["b"].dtype == ft.float0 and got["b"].shape == (4,)
    got = ft.jacrev(lambda n, x: n * x, (0, 1), allow_int=True)(np.arange(2), X[:2])
    assert got[0].dtype == ft.float0 and got[0].shape == (2, 2)
    np.testing.assert_array_equal(got[1], np.diag([0.0, 1.0]))


def test_integers_among_the_primals_of_jvp_and_vjp() -> None:
    g = lambda n, x: (n * x, n + 1)
    n = np.arange(3)
    for zero in (np.zeros(3, ft.float0), None):
        (_, _), (dy, dm) = ft.jvp(g, (n, X), (zero, np.ones(3)))
        np.testing.assert_array_equal(dy, n)
        assert dm.dtype == ft.float0 and dm.shape == (3,)
    (_, _), pull = ft.vjp(g, n, X)
    dn, dx = pull((np.ones(3), np.zeros(3, ft.float0)))
    assert dn.dtype == ft.float0
    np.testing.assert_array_equal(dx, n)
    (_y, _m), push = ft.linearize(g, n, X)
    dy, dm = push(np.zeros(3, ft.float0), np.ones(3))
    np.testing.assert_array_equal(dy, n)


# --- outputs that grad cannot take ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("fun", "message"),
    [
        (lambda x: x, r"to return a scalar, got f64\[3\].*fnp.sum.*jacrev"),
        (lambda x: fnp.sum(x)[None], r"a scalar, got f64\[1\]"),
        (lambda x: (fnp.sum(x), 1.0), "one scalar, got tuple with 2 leaves.*has_aux"),
        (lambda x: {"a": fnp.sum(x)}, "one scalar, got dict"),
        (lambda x: None, "one scalar, got NoneType"),
        (lambda x: fnp.argmax(x), "floating-point"),
        (lambda x: x[0] > 0, "floating-point"),
        (lambda x: 3, "floating-point"),
        (lambda x: fnp.sum(x) * 1j, "real number, got c128.*holomorphic"),
    ],
)
def test_outputs_that_are_no_real_scalar(fun: Any, message: str) -> None:
    import re

    for transform in (ft.grad, ft.value_and_grad):
        with pytest.raises(TransformError) as raised:
            transform(fun)(X)
        assert re.search(message, str(raised.value), re.S), str(raised.value)


def test_jacobians_refuse_integer_outputs() -> None:
    for jacobian in (ft.jacfwd, ft.jacrev):
        with pytest.raises(TransformError, match=r"output\[1\].*i64\[\].*has_aux=True"):
            jacobian(lambda x: (x, fnp.argmax(x)))(X)


# --- jvp, vjp, linearize --------------------------------------------------------------------------

SMOOTH: dict[str, Any] = {
    "sin": fnp.sin,
    "mlp": lambda x: fnp.tanh(W @ x),
    "softmax": lambda x: fnp.exp(x - fnp.max(x)) / fnp.sum(fnp.exp(x - fnp.max(x))),
    "outer": lambda x: fnp.outer(x, x * 2) + 1.0,
    "scalar": lambda x: fnp.sum(fnp.sin(x)) * fnp.prod(x),
    "slices": lambda x: x[::-1][:2] * x[1:],
    "sort": lambda x: fnp.sort(x) ** 2,
    "cumsum": lambda x: fnp.cumsum(x * x),
    "where": lambda x: fnp.where(x > 0, x**3, -x),
    "reused": lambda x: (x * x) * (x * x) + x * x,
    "linear": lambda x: W @ x,
    "constant": lambda x: np.arange(2.0),
}
smooth = pytest.mark.parametrize("name", list(SMOOTH))


@smooth
def test_all_modes_agree_with_differences(name: str) -> None:
    g = SMOOTH[name]
    want = numerical(g, X)
    v = np.array([1.0, -0.5, 0.25])
    for jacobian in (ft.jacfwd(g), ft.jacrev(g), ft.jit(ft.jacfwd(g)), ft.jit(ft.jacrev(g))):
        np.testing.assert_allclose(jacobian(X), want, rtol=1e-6, atol=1e-7)
    y, t = ft.jvp(g, (X,), (v,))
    np.testing.assert_allclose(y, g(X), rtol=1e-15)
    np.testing.assert_allclose(t, want @ v, rtol=1e-6, atol=1e-7)
    y, push = ft.linearize(g, X)
    np.testing.assert_allclose(push(v), want @ v, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(push(2 * v), 2 * push(v), rtol=1e-12)
    y, pull = ft.vjp(g, X)
    ct = np.cos(np.arange(np.size(y), dtype=float)).reshape(np.shape(y))[()]
    np.testing.assert_allclose(
        pull(ct)[0], np.tensordot(ct, want, np.ndim(y)), rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(pull(ct)[0], pull(ct)[0])  # it can be called again


@smooth
def test_second_derivatives_agree_in_all_orders_of_modes(name: str) -> None:
    g = lambda x: fnp.sum(SMOOTH[name](x) ** 2)
    want = numerical(ft.grad(g), X, 1e-5)
    v = np.array([1.0, -0.5, 0.25])
    for outer in (ft.jacfwd, ft.jacrev):
        for inner in (ft.jacfwd, ft.jacrev, ft.grad):
            np.testing.assert_allclose(outer(inner(g))(X), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ft.hessian(g)(X), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ft.hvp(g, (X,), (v,)), want @ v, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ft.grad(lambda x: ft.grad(g)(x) @ v)(X), want @ v, rtol=1e-5,
                               atol=1e-5)  # fmt: skip


def test_jacobians_of_trees_nest_output_outside_input() -> None:
    def g(p: Any, s: Any) -> Any:
        return {"y": p["a"] * s, "z": (fnp.sum(p["b"]) * p["a"],)}

    p = {"a": X, "b": np.ones((2, 2))}
    for jacobian in (ft.jacfwd, ft.jacrev):
        got = jacobian(g)(p, 2.0)
        assert got["y"]["a"].shape == (3, 3) and got["y"]["b"].shape == (3, 2, 2)
        np.testing.assert_array_equal(got["z"][0]["a"], 4 * np.eye(3))
        both = jacobian(g, (0, 1))(p, 2.0)
        assert type(both["y"]) is tuple
        np.testing.assert_array_equal(both["y"][1], X)
    h = ft.hessian(lambda p: fnp.sum(p["a"] ** 2) * fnp.sum(p["b"]))(p)
    assert h["a"]["b"].shape == (3, 2, 2) and h["b"]["a"].shape == (2, 2, 3)
    np.testing.assert_array_equal(h["a"]["a"], 8 * np.eye(3))


def test_hessian_of_several_arguments() -> None:
    got = ft.hessian(lambda x, y: x**2 * y**3, (0, 1))(2.0, 3.0)
    np.testing.assert_allclose(np.array(got, float), [[54.0, 108.0], [108.0, 72.0]])


def test_empty_and_zero_dimensional_arguments() -> None:
    e = np.zeros((0, 3))
    assert ft.grad(fnp.sum)(e).shape == (0, 3)
    assert ft.jacfwd(lambda x: x * 2)(e).shape == (0, 3, 0, 3)
    assert ft.jacrev(lambda x: x * 2)(e).shape == (0, 3, 0, 3)
    assert ft.hessian(lambda x: fnp.sum(x**2))(e).shape == (0, 3, 0, 3)
    assert ft.jacrev(fnp.sin)(0.0) == 1.0 and ft.jacfwd(fnp.sin)(np.array(0.0)) == 1.0


def test_known_values() -> None:
    """The worked examples of JAX's documentation."""
    assert ft.grad(fnp.tanh)(2.0) == pytest.approx(0.07065082485316443)
    assert ft.grad(ft.grad(ft.grad(fnp.tanh)))(2.0) == pytest.approx(0.25265407)
    got = ft.jvp(fnp.sin, (0.1,), (0.2,))
    np.testing.assert_allclose(got, (0.09983342, 0.19900084), rtol=1e-6)
    _primals, f_vjp = ft.vjp(lambda x, y: (fnp.sin(x), fnp.cos(y)), 0.5, 1.0)
    np.testing.assert_allclose(f_vjp((-0.7, 0.3)), (-0.61430776, -0.2524413), rtol=1e-6)
    f = lambda x: 3.0 * fnp.sin(x) + fnp.cos(x / 2.0)
    assert ft.jvp(f, (2.0,), (3.0,))[1] == pytest.approx(-5.007528, rel=1e-6)
    y, f_jvp = ft.linearize(f, 2.0)
    assert (y, f_jvp(4.0)) == (pytest.approx(3.2681944), pytest.approx(-6.676704))
    f = lambda x: fnp.asarray([x[0], 5 * x[2], 4 * x[1] ** 2 - 2 * x[2], x[2] * fnp.sin(x[0])])
    want = [[1, 0, 0], [0, 0, 5], [0, 16, -2], [1.6209068, 0, 0.84147096]]
    np.testing.assert_allclose(ft.jacfwd(f)(np.array([1.0, 2, 3])), want, rtol=1e-6)
    f = lambda x: fnp.asarray([x[0] ** 2 + x[1] ** 2, x[0] ** 3 * x[1]])
    np.testing.assert_allclose(
        ft.hessian(f)(np.array([1.0, 2.0])), [[[2, 0], [0, 2]], [[12, 3], [3, 0]]]
    )


def test_jvp_of_trees_and_zero_tangents() -> None:
    g = lambda p: {"s": p["x"] * p["y"], "t": p["x"]}
    _y, t = ft.jvp(g, ({"x": X, "y": 2.0},), ({"x": X, "y": None},))
    np.testing.assert_array_equal(t["s"], 2 * X)
    _y, t = ft.jvp(g, ({"x": X, "y": 2.0},), ({"x": None, "y": 1.0},))
    np.testing.assert_array_equal(t["s"], X)
    np.testing.assert_array_equal(t["t"], np.zeros(3))


@pytest.mark.parametrize(
    ("tangents", "error", "message"),
    [
        ((X,), TreeError, "structure of the primals"),
        (({"x": X}, X), TreeError, r"\[0\]"),
        (({"x": X, "y": (1.0, 2.0)}, X), TreeError, r"\['y'\]"),
        (
            ({"x": X[:2], "y": 1.0}, X),
            TransformError,
            r"argument\[0\]\['x'\].*shape \(3,\).*f64\[2\]",
        ),
        (
            ({"x": X, "y": 1.0}, X.astype("f4")),
            TransformError,
            r"argument\[1\].*dtype float64.*f32",
        ),
        (({"x": X, "y": 1j}, X), TransformError, r"argument\[0\]\['y'\]"),
        (({"x": X, "y": "text"}, X), DTypeError, "text"),
        (X, TransformError, "tuples"),
    ],
)
def test_tangents_that_do_not_fit(tangents: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        ft.jvp(lambda p, x: p["x"] * p["y"] * x, ({"x": X, "y": 1.0}, X), tangents)


@pytest.mark.parametrize(
    ("cotangent", "error", "message"),
    [
        (X, TreeError, "structure of the output"),
        ({"a": X}, TreeError, "keys"),
        ({"a": X[:2], "b": 1.0}, TransformError, r"output\['a'\].*shape \(3,\)"),
        ({"a": X.astype("f4"), "b": 1.0}, TransformError, r"output\['a'\].*dtype float64"),
        ({"a": X, "b": None}, TreeError, "None"),
    ],
)
def test_cotangents_that_do_not_fit(cotangent: Any, error: Any, message: str) -> None:
    _, pull = ft.vjp(lambda x: {"a": x * 2, "b": fnp.sum(x)}, X)
    with pytest.raises(error, match=message):
        pull(cotangent)


def test_integer_tangents_and_cotangents_take_the_dtype() -> None:
    assert ft.jvp(fnp.sin, (0.0,), (1,))[1] == 1.0
    np.testing.assert_array_equal(ft.vjp(lambda x: x * 2, X)[1](np.ones(3, int))[0], [2.0] * 3)


def test_callers_arrays_are_never_written() -> None:
    x, v = X.copy(), np.ones(3)
    for g in SMOOTH.values():
        ft.jvp(g, (x,), (v,))
        y, pull = ft.vjp(g, x)
        ct = np.ones(np.shape(y))
        pull(ct)
        assert (ct == 1).all()
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(v, np.ones(3))


# --- the maps that vjp and linearize return are trees ----


def test_pull_backs_and_push_forwards_are_trees_of_what_they_keep() -> None:
    f = lambda x, n: {"y": fnp.sin(x) * n, "n": n}
    x = np.array([0.5, 1.5])
    for run in (lambda g: g, ft.jit):
        _, pull = run(lambda x: ft.vjp(f, x, 3))(x)
        ct = {"y": np.ones(2), "n": np.zeros((), ft.float0)}
        np.testing.assert_allclose(pull(ct)[0], 3 * np.cos(x))
        assert any(np.shape(leaf) == (2,) for leaf in ft.tree.leaves(pull))
        assert "pullback of <lambda>" in repr(pull)
        _, push = run(lambda x: ft.linearize(fnp.sin, x))(x)
        np.testing.assert_allclose(push(np.ones(2)), np.cos(x))
        np.testing.assert_allclose(ft.jit(lambda push: push(np.ones(2)))(push), np.cos(x))
    _, pulls = ft.vmap(lambda x: ft.vjp(fnp.sin, x))(x)
    np.testing.assert_allclose(ft.vmap(lambda p: p(1.0)[0])(pulls), np.cos(x))


def test_a_custom_vjp_may_keep_a_pull_back() -> None:
    f = ft.custom_vjp(lambda x, y: fnp.sin(x) * y)
    f.defvjp(
        lambda x, y: ft.vjp(lambda x, y: fnp.sin(x) * y, x, y),
        lambda pull, ct: tuple(2.0 * t for t in pull(ct)),
    )
    plain = lambda x, y: fnp.sin(x) * y
    for run in (lambda g: g, ft.jit):
        got = run(ft.grad(f, (0, 1)))(0.5, 3.0)
        np.testing.assert_allclose(got, 2 * np.array(ft.grad(plain, (0, 1))(0.5, 3.0)))
        second = run(ft.grad(ft.grad(f)))(0.5, 3.0)
        np.testing.assert_allclose(second, 2 * ft.grad(ft.grad(plain))(0.5, 3.0))
    looped = lambda f: lambda x: ft.lax.fori_loop(0, 3, lambda i, c: f(c, 1.0), x)
    np.testing.assert_allclose(ft.grad(looped(f))(0.5), 8 * ft.grad(looped(plain))(0.5))
    xs = np.array([0.5, 1.5])
    got = ft.jit(ft.vmap(ft.grad(f), (0, None)))(xs, 3.0)
    np.testing.assert_allclose(got, 6 * np.cos(xs))
