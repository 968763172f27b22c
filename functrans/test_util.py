"""Checks of derivatives against central differences, for tests of functions and custom rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.types import dtype_of, float0
from functrans.transforms.autodiff import jvp, vjp

_TOLERANCE = {"f2": 1e-2, "f4": 4e-3, "f8": 1e-5, "c8": 4e-3, "c16": 1e-5}
"""Relative and absolute tolerance by dtype, for differences of the step below."""

_STEP = {"f2": 6e-2, "f4": 1e-2, "f8": 1e-4, "c8": 1e-2, "c16": 1e-4}
"""The step of the central difference that balances truncation against rounding."""


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: str | Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Check derivatives of a function, up to an order, against central differences.

    Args:
        f: a function of arrays or trees of arrays, smooth at `args`.
        args: tuple of its arguments; real or complex (integers are held fixed).
        order: 1 checks the first derivative, 2 also the derivative of that, and so on.
        modes: "fwd", "rev" or both; with both every combination up to the order is checked.
        atol: absolute tolerance; by default by dtype, 1e-5 for float64.
        rtol: relative tolerance; by default as `atol`.
        eps: length of the step; by default by dtype, 1e-4 for float64.

    Raises:
        AssertionError: a derivative differs; says in which mode, and for which leaf.

    >>> import functrans as ft
    >>> ft.test_util.check_grads(lambda x: x**3, (np.array([1.0, 2.0]),), order=2)
    """
    chosen = (modes,) if isinstance(modes, str) else tuple(modes)
    unknown = set(chosen) - {"fwd", "rev"}
    if unknown:
        raise ValueError(f"modes are 'fwd' and 'rev', got {sorted(unknown)}")
    _check(f, tuple(args), order, chosen, {"atol": atol, "rtol": rtol, "eps": eps}, "")


def _check(
    f: Callable[..., Any], args: tuple, order: int, modes: tuple, options: Any, after: str
) -> None:
    if "fwd" in modes:
        message = f"jvp{after}"
        check_jvp(f, partial(jvp, f), args, err_msg=message, **options)
        if order > 1:

            def f_jvp(primals: tuple, tangents: tuple) -> Any:
                # integer outputs have float0 tangents, which are not values to differentiate
                y, dy = jvp(f, primals, _spread(tangents, primals))
                return y, _inexact_leaves(dy)

            pair = (args, _inexact_leaves(args))
            _check(f_jvp, pair, order - 1, modes, options, f" of {message}")
    if "rev" in modes:
        message = f"vjp{after}"
        check_vjp(f, partial(vjp, f), args, err_msg=message, **options)
        if order > 1:

            def f_vjp(*args: Any) -> Any:
                y, pull = vjp(f, *args)
                return y, _inexact_leaves(pull(y))

            _check(f_vjp, args, order - 1, modes, options, f" of {message}")


def check_jvp(
    f: Callable[..., Any],
    f_jvp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Check a forward-mode derivative against a central difference in a random direction.

    Args:
        f: the function.
        f_jvp: (args, tangents) → (output, output tangent), such as `partial(jvp, f)`.
        args: tuple of arguments; the tolerances and the step are as in `check_grads`.
        err_msg: put before the message of the error.

    >>> import functrans as ft
    >>> check_jvp(lambda x: x * x, lambda x, t: (x[0] * x[0], 2 * x[0] * t[0]), (3.0,))
    """
    args = tuple(args)
    tangents = tree.map(partial(_random_like, np.random.RandomState(0)), args)
    value, tangent = f_jvp(args, tangents)
    expected_value = f(*args)
    compare(value, expected_value, atol, rtol, f"{err_msg}: value")
    expected = numerical_jvp(f, args, tangents, eps)
    compare(tangent, expected, atol, rtol, f"{err_msg}: tangent")


def check_vjp(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Check a reverse-mode derivative: ⟨ct, difference⟩ must equal ⟨vjp(ct), direction⟩.

    Args:
        f: the function.
        f_vjp: (*args) → (output, pull back), such as `partial(vjp, f)`.
        args: tuple of arguments; the tolerances and the step are as in `check_grads`.
        err_msg: put before the message of the error.

    >>> check_vjp(lambda x: x * x, lambda x: (x * x, lambda ct: (2 * x * ct,)), (3.0,))
    """
    args = tuple(args)
    value, pull = f_vjp(*args)
    compare(value, f(*args), atol, rtol, f"{err_msg}: value")
    rng = np.random.RandomState(0)
    tangents = tree.map(partial(_random_like, rng), args)
    cotangent = tree.map(partial(_random_like, rng), value)
    difference = numerical_jvp(f, args, tangents, eps)
    # the transpose, not the adjoint, is what vjp gives: hence the conjugates
    pulled = _conj(pull(_conj(cotangent)))
    got, expected = _inner(tangents, pulled), _inner(difference, cotangent)
    compare(got, expected, *_tolerances(value, args, atol, rtol), f"{err_msg}: inner product")


def numerical_jvp(
    f: Callable[..., Any], args: tuple, tangents: tuple, eps: float | None = None
) -> Any:
    """The central difference of f at args in the direction of the tangents, as a tree.

    >>> float(numerical_jvp(lambda x: x * x, (3.0,), (1.0,)).round(6))
    6.0
    """
    kinds = [_code(x) for x in tree.leaves(args) if dtype_of(x).kind in "fc"]
    step = eps if eps is not None else max((_STEP.get(k, 1e-4) for k in kinds), default=1e-4)

    def moved(by: float) -> Any:
        def move(x: Any, t: Any) -> Any:
            dtype = dtype_of(x)
            return x if dtype.kind not in "fc" else (np.asarray(x) + by * t).astype(dtype)[()]

        return f(*tree.map(move, args, tangents))

    def difference(a: Any, b: Any) -> Any:
        if dtype_of(a).kind not in "fc":
            return np.zeros(np.shape(a), float0)
        return ((np.asarray(a) - np.asarray(b)) / step).astype(dtype_of(a))

    return tree.map(difference, moved(step / 2), moved(-step / 2))


def compare(got: Any, expected: Any, atol: Any, rtol: Any, err_msg: str) -> None:
    """AssertionError unless two trees have equal structure, shapes, dtypes and close leaves."""
    difference = tree.structure_difference(expected, got)
    assert not difference, f"{err_msg}: the trees differ: {difference}"
    pairs = zip(tree.named_leaves(got), tree.leaves(expected), strict=True)
    for (path, x), y in pairs:
        where = f"{err_msg}{path and ' at '}{path}"
        assert np.shape(x) == np.shape(y), f"{where}: shapes {np.shape(x)} and {np.shape(y)}"
        assert dtype_of(x) == dtype_of(y), f"{where}: dtypes {dtype_of(x)} and {dtype_of(y)}"
        if dtype_of(x) == float0:
            continue
        default = _TOLERANCE.get(_code(x), 0.0)
        np.testing.assert_allclose(
            np.asarray(x),
            np.asarray(y),
            atol=default if atol is None else atol,
            rtol=default if rtol is None else rtol,
            err_msg=where,
        )


def _code(x: Any) -> str:
    dtype = dtype_of(x)
    return f"{dtype.kind}{dtype.itemsize}"


def _tolerances(value: Any, args: Any, atol: Any, rtol: Any) -> tuple[float, float]:
    """For the inner product, which is float64 whatever the precision of the leaves was."""
    codes = [_code(x) for x in tree.leaves((value, args))]
    default = max((_TOLERANCE[c] for c in codes if c in _TOLERANCE), default=1e-5)
    return default if atol is None else atol, default if rtol is None else rtol


def _random_like(rng: np.random.RandomState, x: Any) -> Any:
    dtype, shape = dtype_of(x), np.shape(x)
    if dtype.kind not in "fc":
        return np.zeros(shape, float0)
    sample = np.asarray(rng.randn(*shape))
    if dtype.kind == "c":
        sample = sample + 1j * rng.randn(*shape)
    return sample.astype(dtype)[()]


def _conj(x: Any) -> Any:
    return tree.map(lambda a: np.conj(a) if dtype_of(a).kind == "c" else a, x)


def _inner(x: Any, y: Any) -> np.float64:
    total = np.float64(0)
    for a, b in zip(tree.leaves(x), tree.leaves(y), strict=True):
        if dtype_of(a).kind in "fc":
            wide = np.complex128 if dtype_of(a).kind == "c" else np.float64
            total += np.real(np.vdot(np.asarray(a, wide), np.asarray(b, wide)))
    return total


def _inexact_leaves(x: Any) -> list[Any]:
    return [a for a in tree.leaves(x) if dtype_of(a).kind in "fc"]


def _spread(tangents: Sequence[Any], primals: tuple) -> tuple:
    """Tangents of the inexact leaves as a tree like the primals, float0 for the others."""
    rest = iter(tangents)
    leaves, treedef = tree.flatten(primals)
    full = [
        next(rest) if dtype_of(x).kind in "fc" else np.zeros(np.shape(x), float0) for x in leaves
    ]
    return tree.unflatten(treedef, full)
