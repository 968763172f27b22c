"""Calls of Python functions from Programs: pure_callback for values, debug for effects,
io_callback for both."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import DTypeError, ShapeError, TransformError, TreeError
from functrans.core.primitive import Primitive
from functrans.core.trace import bind_staged
from functrans.core.types import Aval, aval_of, shape_of
from functrans.primitives.elementwise import insert_axes
from functrans.primitives.lanes import one_by_one
from functrans.primitives.shaping import concatenate_p, reshape_p, slice_axis
from functrans.transforms.api import check_callable, flatten_call, name_of
from functrans.transforms.batching import current_axis, repeat

VMAP_METHODS = (
    None,
    "sequential",
    "sequential_unrolled",
    "expand_dims",
    "broadcast_all",
)

# --- pure_callback --------------------------------------------------------------------------------


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """Call a pure Python function on NumPy arrays from inside a traced or compiled function.

    Args:
        callback: a function of NumPy arrays without side effects; may run any number of times.
        result_shape_dtypes: tree of ShapeDtypeStructs (or arrays) like the callback's result.
        args: trees of arrays.
        sharding: accepted for JAX's signature.
        vmap_method: what happens under vmap. "sequential": called once per example;
            "expand_dims": called once with a leading axis on every argument, of extent one where
            the argument is not mapped; "broadcast_all": the same with that axis repeated;
            None: an error.
        kwargs: more arguments, by keyword.

    Raises:
        TreeError, ShapeError, DTypeError: the callback's result is not what was announced.
        TransformError: differentiated; wrap it in custom_jvp or custom_vjp.

    >>> import functrans as ft
    >>> shape = ft.ShapeDtypeStruct((), np.float64)
    >>> float(ft.pure_callback(lambda x: np.float64(x) ** 2, shape, 3.0))
    9.0
    """
    check_callable(callback, "pure_callback")
    if vmap_method not in VMAP_METHODS:
        raise TransformError(f"vmap_method must be one of {VMAP_METHODS}, got {vmap_method!r}")
    leaves, in_tree = flatten_call(args, kwargs)
    result_leaves, out_tree = tree.flatten(result_shape_dtypes)
    avals = tuple(aval_of(x).strong() for x in result_leaves)
    outs = pure_callback_p.bind(
        *leaves,
        callback=_FlatCallback(callback, in_tree, out_tree),
        avals=avals,
        vmap_method=vmap_method,
    )
    return tree.unflatten(out_tree, outs)


class _FlatCallback:
    """The user's function on leaves; `__name__` is for printing."""

    def __init__(
        self, fun: Callable[..., Any], in_tree: tree.TreeDef, out_tree: tree.TreeDef
    ) -> None:
        self.fun, self.in_tree, self.out_tree = fun, in_tree, out_tree
        self.__name__ = name_of(fun)

    def __call__(self, *leaves: Any) -> Any:
        args, kwargs = tree.unflatten(self.in_tree, list(leaves))
        return self.fun(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _FlatCallback)
            and self.fun is other.fun
            and self.in_tree == other.in_tree
            and self.out_tree == other.out_tree
        )

    def __hash__(self) -> int:
        return hash((id(self.fun), self.in_tree))


def _evaluate(*values: Any, callback: Any, avals: tuple[Aval, ...], vmap_method: Any) -> list[Any]:
    # a copy keeps the callback from writing into the caller's arrays or the program's buffers
    result = callback(*[np.array(v) for v in values])
    expected = tree.unflatten(callback.out_tree, list(avals))
    where = f"the callback {callback.__name__}"
    difference = tree.structure_difference(expected, result)
    if difference:
        raise TreeError(f"{where} must return what result_shape_dtypes announces: {difference}.")
    outs = []
    for (path, x), aval in zip(tree.named_leaves(result), avals, strict=True):
        y = np.asarray(x)
        if y.shape != aval.shape:
            raise ShapeError(
                f"{where} was announced to return {aval}{path and ' at result'}{path}, got shape "
                f"{y.shape}."
            )
        if y.dtype != aval.dtype:
            if not aval_of(x).weak_type or not np.can_cast(y.dtype, aval.dtype, "same_kind"):
                raise DTypeError(
                    f"{where} was announced to return {aval}{path and ' at result'}{path}, got "
                    f"dtype {y.dtype}."
                )
            y = y.astype(aval.dtype)
        outs.append(np.array(y)[()])
    return outs


def _no_derivative(name: str, callback: Any) -> list:
    raise TransformError(
        f"{name} has no derivative: {callback.__name__} is Python code that cannot be "
        "traced. Give its derivative with custom_jvp or custom_vjp around the call, or pass "
        "stop_gradient(x)."
    )


def _batch(
    args: list, batched: list, *, callback: Any, avals: tuple[Aval, ...], vmap_method: Any
) -> tuple[list, list]:
    size = current_axis().size
    every = [True] * len(avals)
    if vmap_method is None:
        raise TransformError(
            f"vmap over a pure_callback needs to know how: pass vmap_method=, one of "
            f"{VMAP_METHODS[1:]}, for {callback.__name__}."
        )
    if vmap_method in ("expand_dims", "broadcast_all"):
        once = vmap_method == "expand_dims"
        wide = [
            x if b else insert_axes(x, 0, 1) if once else repeat(x, size)
            for x, b in zip(args, batched, strict=True)
        ]
        wide_avals = tuple(Aval((size, *a.shape), a.dtype) for a in avals)
        outs = pure_callback_p.bind(
            *wide, callback=callback, avals=wide_avals, vmap_method=vmap_method
        )
        return outs, every
    params = {"callback": callback, "avals": avals, "vmap_method": vmap_method}
    if vmap_method == "sequential_unrolled":
        rows = [
            pure_callback_p.bind(
                *[_row(x, i) if b else x for x, b in zip(args, batched, strict=True)], **params
            )
            for i in range(size)
        ]
        columns = zip(*rows, strict=True)
        return [
            concatenate_p.bind(*[insert_axes(y, 0, 1) for y in column], axis=0)
            for column in columns
        ], every
    return one_by_one(pure_callback_p, args, batched, params), every


def _row(x: Any, i: int) -> Any:
    return reshape_p.bind(slice_axis(x, 0, i, i + 1), shape=shape_of(x)[1:])


pure_callback_p = Primitive(
    "pure_callback",
    infer=lambda *operands, callback, avals, vmap_method: avals,
    evaluate=_evaluate,
    jvp=lambda ts, primals, outs, *, callback, **_: _no_derivative("pure_callback", callback),
    batch=_batch,
    multiple_results=True,
)

# --- io_callback ----------------------------------------------------------------------------------


def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a Python function with side effects from inside a traced or compiled function.

    It is called once each time the program comes by, whether or not its result is used, in the
    program's order; under `vmap` once per example, in the order of the batch.

    Args:
        callback: a function of NumPy arrays.
        result_shape_dtypes: tree of ShapeDtypeStructs (or arrays) like the callback's result;
            None if it gives none.
        args: trees of arrays.
        sharding: accepted for JAX's signature.
        ordered: accepted for JAX's signature; calls are in the program's order anyway.
        kwargs: more arguments, by keyword.

    Raises:
        TreeError, ShapeError, DTypeError: the callback's result is not what was announced.
        TransformError: differentiated with respect to its arguments.

    >>> import functrans as ft
    >>> counter = iter(range(10))
    >>> draw = lambda: np.int64(next(counter))
    >>> number = ft.jit(lambda: ft.io_callback(draw, ft.ShapeDtypeStruct((), np.int64)))
    >>> int(number()), int(number())
    (0, 1)
    """
    check_callable(callback, "io_callback")
    leaves, in_tree = flatten_call(args, kwargs)
    result_leaves, out_tree = tree.flatten(result_shape_dtypes)
    outs = bind_staged(
        io_callback_p,
        *leaves,
        callback=_FlatCallback(callback, in_tree, out_tree),
        avals=tuple(aval_of(x).strong() for x in result_leaves),
    )
    return tree.unflatten(out_tree, outs)


def _batch_io(
    args: list, batched: list, *, callback: Any, avals: tuple[Aval, ...]
) -> tuple[list, list]:
    outs = one_by_one(io_callback_p, args, batched, {"callback": callback, "avals": avals})
    return outs, [True] * len(outs)


io_callback_p = Primitive(
    "io_callback",
    infer=lambda *operands, callback, avals: avals,
    evaluate=lambda *values, callback, avals: _evaluate(
        *values, callback=callback, avals=avals, vmap_method=None
    ),
    jvp=lambda ts, primals, outs, *, callback, avals: _no_derivative("io_callback", callback),
    batch=_batch_io,
    multiple_results=True,
    effects=True,
    creates=True,
)

# --- debug ----------------------------------------------------------------------------------------


def _evaluate_debug(*values: Any, callback: Any) -> list[Any]:
    callback(*[np.array(v)[()] for v in values])
    return []


def _batch_debug(args: list, batched: list, *, callback: Any) -> tuple[list, list]:
    return one_by_one(debug_callback_p, args, batched, {"callback": callback}), []


debug_callback_p = Primitive(
    "debug_callback",
    infer=lambda *operands, callback: (),
    evaluate=_evaluate_debug,
    batch=_batch_debug,
    multiple_results=True,
    effects=True,
    # recorded under a staging trace even without traced operands, so that it runs on every call
    creates=True,
)


class debug:
    """Looking into a traced or compiled function: `debug.print`, `debug.callback`."""

    @staticmethod
    def callback(
        callback: Callable[..., Any], *args: Any, ordered: bool = False, **kwargs: Any
    ) -> None:
        """Call a Python function on the values of arrays whenever the program runs.

        Args:
            callback: a function of NumPy arrays; its result is ignored. Under vmap it is called
                for every example.
            args: trees of arrays.
            ordered: accepted for JAX's signature; calls are in the program's order anyway.
            kwargs: more arguments, by keyword.

        >>> debug.callback(lambda x: print("x is", x), 1.5)
        x is 1.5
        """
        check_callable(callback, "debug.callback")
        leaves, in_tree = flatten_call(args, kwargs)
        bind_staged(
            debug_callback_p,
            *leaves,
            callback=_FlatCallback(callback, in_tree, tree.structure(None)),
        )

    @staticmethod
    def print(fmt: str, *args: Any, ordered: bool = False, **kwargs: Any) -> None:
        """Print values of arrays whenever the program runs.

        Args:
            fmt: a format string, as for `str.format`.
            args: trees of arrays that fill it.
            ordered: accepted for JAX's signature.
            kwargs: more of them, by keyword.

        >>> debug.print("x = {} and y = {y:.2f}", 1, y=2.0)
        x = 1 and y = 2.00
        """

        def show(*args: Any, **kwargs: Any) -> None:
            sys.stdout.write(fmt.format(*args, **kwargs) + "\n")

        debug.callback(show, *args, ordered=ordered, **kwargs)
