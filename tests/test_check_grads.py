"""check_grads accepts right derivatives and refuses wrong ones, in each mode and at each order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import functrans as ft
from functrans import numpy as fnp
from functrans.primitives.custom_jvp import custom_jvp
from functrans.primitives.custom_vjp import custom_vjp
from functrans.test_util import check_grads, check_jvp, check_vjp, numerical_jvp

x3 = np.array([0.5, -1.5, 2.0])

RIGHT = [
    ("scalar", lambda x: x * x * x, (1.5,)),
    ("arrays", lambda x, y: x * y / (1.0 + x * x), (x3, x3[::-1])),
    ("trees", lambda p: {"y": (p["a"] * p["b"][0],)}, ({"a": x3, "b": (2.0,)},)),
    ("integers", lambda x, n: (x * n, n + 1), (x3, np.arange(3))),
    ("float32", lambda x: x * x * x, (x3.astype(np.float32),)),
    ("holomorphic", lambda z: z * z * z, (x3 + 1j * x3[::-1],)),
    ("complex", lambda z: fnp.real(z * fnp.conj(z)), (np.complex128(1 + 2j),)),
    ("complex64", lambda z: z * z, (np.complex64(1 + 2j),)),
    ("empty", lambda x: x * x, (np.zeros((0, 2)),)),
    ("constant", lambda x: 3.0, (1.0,)),
]


@pytest.mark.parametrize(("f", "args"), [r[1:] for r in RIGHT], ids=[r[0] for r in RIGHT])
@pytest.mark.parametrize("order", [1, 2])
def test_right_derivatives_pass(f: Any, args: tuple, order: int) -> None:
    check_grads(f, args, order)
    check_grads(f, args, order, modes="fwd")
    check_grads(f, args, order, modes=["rev"])


def wrong_at_first(x: Any) -> Any:
    f = custom_jvp(lambda x: x * x)
    f.defjvp(lambda p, t: (f(p[0]), 2.1 * p[0] * t[0]))
    return f(x)


def wrong_at_second(x: Any) -> Any:
    slope = custom_jvp(lambda x: 2.0 * x)
    slope.defjvp(lambda p, t: (slope(p[0]), 2.1 * t[0]))
    f = custom_jvp(lambda x: x * x)
    f.defjvp(lambda p, t: (f(p[0]), slope(p[0]) * t[0]))
    return f(x)


def wrong_in_reverse(x: Any) -> Any:
    f = custom_vjp(lambda x: x * x)
    f.defvjp(lambda x: (x * x, x), lambda x, ct: (x * ct,))
    return f(x)


@pytest.mark.parametrize("mode", ["fwd", "rev"])
def test_wrong_derivatives_fail_and_the_message_says_where(mode: str) -> None:
    with pytest.raises(AssertionError, match="jvp" if mode == "fwd" else "vjp"):
        check_grads(wrong_at_first, (x3,), 1, mode)
    check_grads(wrong_at_second, (x3,), 1, mode)
    with pytest.raises(AssertionError, match="jvp of jvp" if mode == "fwd" else "vjp of vjp"):
        check_grads(wrong_at_second, (x3,), 2, mode)


def test_mixed_orders_are_checked() -> None:
    with pytest.raises(AssertionError):
        check_grads(wrong_in_reverse, (x3,), 1, "rev")
    messages = []
    for mode in (("fwd",), ("rev",), ("fwd", "rev")):
        with pytest.raises(AssertionError) as error:
            check_grads(wrong_at_second, (x3,), 2, mode)
        messages.append(str(error.value))
    assert all(messages)


def test_a_wrong_value_or_structure_fails() -> None:
    with pytest.raises(AssertionError, match="value"):
        check_jvp(lambda x: x * x, lambda x, t: (x[0] * 2, 2 * x[0] * t[0]), (3.0,))
    with pytest.raises(AssertionError, match="tangent"):
        check_jvp(lambda x: x * x, lambda x, t: (x[0] * x[0], x[0] * t[0]), (3.0,))
    with pytest.raises(AssertionError, match="trees differ"):
        check_vjp(lambda x: (x, x), lambda x: (x, lambda ct: (ct,)), (3.0,))
    with pytest.raises(AssertionError, match="dtypes"):
        check_jvp(
            lambda x: x * x, lambda x, t: (x[0] * x[0], (2 * x[0] * t[0]).astype("f4")), (x3,)
        )


def test_tolerances_and_step() -> None:
    nearly = custom_jvp(lambda x: x * x)
    nearly.defjvp(lambda p, t: (p[0] * p[0], 2.001 * p[0] * t[0]))
    with pytest.raises(AssertionError):
        check_grads(nearly, (x3,), 1)
    check_grads(nearly, (x3,), 1, rtol=1e-2, atol=1e-2)
    # a step of 1 is exact for a quadratic and not for a cubic
    check_grads(lambda x: x * x, (x3,), 1, eps=1.0)
    with pytest.raises(AssertionError):
        check_grads(lambda x: x * x * x, (x3,), 1, eps=1.0)
    with pytest.raises(ValueError, match="modes"):
        check_grads(lambda x: x, (x3,), 1, modes=("forward",))


def test_numerical_jvp_of_trees() -> None:
    out = numerical_jvp(lambda p: {"s": p[0] * p[1]}, ((2.0, 3.0),), ((1.0, 0.5),))
    np.testing.assert_allclose(out["s"], 4.0, rtol=1e-8)


def test_it_works_on_transformed_functions() -> None:
    check_grads(ft.vmap(lambda x: x * x), (x3,), 2)
    check_grads(ft.grad(lambda x: fnp.sum(x**3)), (x3,), 2)
    check_grads(ft.jit(lambda x: x * x), (x3,), 2)
