"""What the tests of the namespace share: a function agrees with NumPy eagerly and when traced."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import functrans.numpy as fnp
from functrans.core.interpret import evaluate
from functrans.core.trace import Tracer, make_program_flat, trace
from functrans.core.types import aval_of


def array(shape: Sequence[int], dtype: Any, seed: int = 0) -> np.ndarray:
    """Values of a dtype with a few repeats, so that ties and equal values occur."""
    rng = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return rng.random(shape) < 0.5
    if kind in "iu":
        return rng.integers(0 if kind == "u" else -5, 6, shape).astype(dtype)
    values = np.round(rng.normal(size=shape) * 2, 1)
    if kind == "c":
        values = values + 1j * np.round(rng.normal(size=shape), 1)
    return np.asarray(values).astype(dtype)


def positive(shape: Sequence[int], dtype: Any, seed: int = 0) -> np.ndarray:
    """Positive values of a real dtype."""
    return (np.abs(array(shape, dtype, seed)) + 1).astype(dtype)


def sparse(x: np.ndarray) -> np.ndarray:
    """A non-contiguous array with the values of x."""
    wide = np.empty((*x.shape[:-1], x.shape[-1] * 2), x.dtype) if x.ndim else x
    if x.ndim:
        wide[..., ::2] = x
        return wide[..., ::2]
    return x


def leaves(x: Any) -> list[Any]:
    """The arrays in nested tuples and lists."""
    return [v for part in x for v in leaves(part)] if isinstance(x, tuple | list) else [x]


def is_operand(x: Any) -> bool:
    """Whether an argument is traced: arrays and NumPy scalars are, Python's values are not."""
    return isinstance(x, np.ndarray | np.generic)


def check(
    function: Callable[..., Any],
    reference: Callable[..., Any],
    *args: Any,
    tolerance: float | None = None,
    eager: bool = True,
    **kwargs: Any,
) -> None:
    """Assert that a function gives NumPy's values, shapes and dtypes: eagerly, traced with and
    without values, in its Program, and (for a list of arrays) traced inside a list."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = leaves(reference(*args, **kwargs))
        if eager:
            compare("eager", leaves(function(*args, **kwargs)), want, tolerance, exact_type=True)
        slots = [i for i, a in enumerate(args) if is_operand(a)]
        lists = [i for i, a in enumerate(args) if isinstance(a, list) and any(map(is_operand, a))]
        if not slots and not lists:
            return
        flat = [args[i] for i in slots] + [v for i in lists for v in args[i]]

        def run(values: Sequence[Any]) -> list[Any]:
            rest = iter(values)
            full = list(args)
            for i in slots:
                full[i] = next(rest)
            for i in lists:
                full[i] = [next(rest) for _ in args[i]]
            return leaves(function(*full, **kwargs))

        avals = [aval_of(v) for v in flat]
        program = make_program_flat(run, avals)
        program.check()
        assert [a.shape for a in program.out_avals] == [np.shape(w) for w in want]
        assert [a.dtype for a in program.out_avals] == [np.asarray(w).dtype for w in want]
        assert not any(a.weak_type for a in program.out_avals if a.dtype.kind != "b")
        compare("traced", evaluate(program, flat), want, tolerance)

        def concrete(values: Sequence[Any]) -> list[Any]:
            outs = run(values)
            known = [y.value if type(y) is Tracer else y for y in outs]
            compare("concrete", known, want, tolerance)
            return outs

        trace(concrete, avals, values=flat)


def compare(
    how: str, got: list[Any], want: list[Any], tolerance: float | None, exact_type: bool = False
) -> None:
    """Assert equal values (within tolerance), shapes and dtypes; and types if asked."""
    assert len(got) == len(want), how
    for g, w in zip(got, want, strict=True):
        if exact_type:
            assert type(g) is type(w), (how, type(g), type(w))
        g, w = np.asarray(g), np.asarray(w)
        assert g.shape == w.shape, (how, g.shape, w.shape)
        assert g.dtype == w.dtype, (how, g.dtype, w.dtype)
        if tolerance == 0 or w.dtype.kind in "biu":
            np.testing.assert_array_equal(g, w, err_msg=how)
        elif w.dtype.kind in "fc":
            eps = {2: 4e-3, 4: 2e-6, 8: 2e-6 if w.dtype.kind == "c" else 1e-12, 16: 1e-12}
            rtol = tolerance or eps[w.dtype.itemsize]
            np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol, err_msg=how)


def both(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """functrans's and NumPy's function of a name."""
    return getattr(fnp, name), getattr(np, name)
