"""Looking at a function without running it: its Program, its output types, what it closes over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from functrans.core import tree
from functrans.core.errors import DTypeError, TransformError
from functrans.core.interpret import evaluate
from functrans.core.trace import make_program_flat, trace
from functrans.core.types import Aval, ShapeDtypeStruct, aval_of
from functrans.transforms.api import FlatFunction, check_callable, flatten_call, name_of
from functrans.transforms.autodiff import resolve_argnums


def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The shapes and dtypes of a function's results, found without computing anything.

    Args:
        fun: a function of arrays or trees of arrays.
        args: its arguments, in which ShapeDtypeStructs may stand for arrays.
        kwargs: more of them, by keyword.

    Returns:
        The result's tree, of ShapeDtypeStructs.

    >>> import numpy as np
    >>> eval_shape(lambda x, y: x * y, ShapeDtypeStruct((3, 1), "float32"), np.ones(2))
    ShapeDtypeStruct(shape=(3, 2), dtype=float64)
    """
    check_callable(fun, "eval_shape")
    avals, in_tree = _abstract((args, kwargs))
    flat = FlatFunction(fun, in_tree)
    program, _, _ = trace(flat, avals, name=name_of(fun))
    return flat.rebuild(list(map(_struct, program.out_avals)))


def make_program(
    fun: Callable[..., Any],
    static_argnums: int | Sequence[int] = (),
    return_shape: bool = False,
) -> Callable[..., Any]:
    """A function of the same arguments that gives the Program of `fun` (JAX's `make_jaxpr`).

    Args:
        fun: a function of arrays or trees of arrays.
        static_argnums: positions of arguments that are no arrays and stay as they are.
        return_shape: return (Program, tree of ShapeDtypeStructs of the result).

    Raises:
        LeakedTracerError: fun closes over a value that is itself being traced.

    >>> print(make_program(lambda x: x * 2.0 + 1.0)(3.0))  # doctest: +ELLIPSIS
    { lambda a:f64*[] .
        b:f64*[] = mul a 2.0 ...
        c:f64*[] = add b 1.0 ...
      in (c,) }
    """
    check_callable(fun, "make_program")

    @wraps(fun)
    def program_of(*args: Any, **kwargs: Any) -> Any:
        fixed = resolve_argnums(static_argnums, args, name_of(fun))
        given = tuple(x for i, x in enumerate(args) if i not in fixed)

        def of_given(*given: Any, **kwargs: Any) -> Any:
            rest = iter(given)
            return fun(*[x if i in fixed else next(rest) for i, x in enumerate(args)], **kwargs)

        avals, in_tree = _abstract((given, kwargs))
        flat = FlatFunction(of_given, in_tree)
        program = make_program_flat(flat, avals, name_of(fun))
        if not return_shape:
            return program
        return program, flat.rebuild(list(map(_struct, program.out_avals)))

    return program_of


def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list]:
    """A function that takes as arguments the traced values that `fun` closes over, and those.

    For functions that are passed to a custom_jvp or custom_vjp function, whose derivative is with
    respect to its arguments alone.

    Args:
        fun: a function of arrays or trees of arrays.
        example_args: arguments of the shapes and dtypes it will be called with.

    Returns:
        (converted, consts): `converted(*args, *consts)` is `fun(*args)`.

    >>> import functrans as ft
    >>> def scaled(a, x):
    ...     f, consts = closure_convert(lambda x: a * x, x)
    ...     return f(x, *consts)
    >>> float(ft.grad(scaled)(2.0, 3.0))
    3.0
    """
    check_callable(fun, "closure_convert")
    leaves, in_tree = flatten_call(example_args, {})
    flat = FlatFunction(fun, in_tree)
    avals = [aval_of(x) for x in leaves]
    program, captured, _ = trace(flat, avals, name=name_of(fun))
    count = len(example_args)

    def converted(*args_and_consts: Any) -> Any:
        args, consts = args_and_consts[:count], args_and_consts[count:]
        if len(consts) != len(captured):
            raise TransformError(
                f"{name_of(fun)}, converted, takes {count} arguments and {len(captured)} consts, "
                f"got {len(args_and_consts)} values."
            )
        own, _ = flatten_call(args, {})
        difference = tree.structure_difference((example_args, {}), (args, {}))
        if difference:
            raise TransformError(f"{name_of(fun)} was converted for other arguments: {difference}")
        for x, aval in zip(own, avals, strict=True):
            got = aval_of(x)
            if got.shape != aval.shape or got.dtype != aval.dtype:
                raise TransformError(f"{name_of(fun)} was converted for {aval}, got {got}.")
        return flat.rebuild(evaluate(program, [*consts, *own]))

    converted.__name__ = name_of(fun)
    return converted, list(captured)


def _abstract(args: Any) -> tuple[list[Aval], tree.TreeDef]:
    """The avals of the leaves of arguments; DTypeError with the path of one that is no array."""
    leaves, treedef = tree.flatten(args)
    avals = []
    for i, leaf in enumerate(leaves):
        try:
            avals.append(aval_of(leaf))
        except DTypeError as error:
            path = tree.named_leaves(args)[i][0]
            raise DTypeError(f"argument {path}: {error}") from None
    return avals, treedef


def _struct(aval: Aval) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(aval.shape, aval.dtype, aval.weak_type)
