"""Between the user's functions over trees and flat Programs: flatten, trace, unflatten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import DTypeError, TransformError
from functrans.core.program import Program
from functrans.core.retrace import Path, Retrace
from functrans.core.trace import Tracer, as_value, trace
from functrans.core.types import Aval, aval_of, described, weakened


def name_of(fun: Any) -> str:
    """The name of a function, for Programs and errors."""
    return getattr(fun, "__name__", None) or type(fun).__name__


def check_callable(fun: Any, transform: str) -> None:
    """TransformError unless fun can be called."""
    if not callable(fun):
        raise TransformError(f"{transform} takes a function, got {described(fun)}.")


def flatten_args(args: Any, what: str = "argument") -> tuple[list[Any], tree.TreeDef]:
    """Leaves and structure of arguments; DTypeError with the path of a leaf that is no array."""
    leaves, treedef = tree.flatten(args)
    try:
        return [as_value(x) for x in leaves], treedef
    except DTypeError:
        for path, leaf in tree.named_leaves(args):
            try:
                as_value(leaf)
            except DTypeError as error:
                raise DTypeError(f"{what}{path}: {error}") from None
        raise


def flatten_call(args: tuple, kwargs: dict[str, Any]) -> tuple[list[Any], tree.TreeDef]:
    """Leaves and structure of the arguments of a call, (args, kwargs)."""
    leaves, treedef = tree.flatten((args, kwargs))
    try:
        return [as_value(x) for x in leaves], treedef
    except DTypeError:
        for path, leaf in zip(argument_paths(args, kwargs), leaves, strict=True):
            try:
                as_value(leaf)
            except DTypeError as error:
                raise DTypeError(f"{path}: {error}") from None
        raise


def argument_paths(args: tuple, kwargs: dict[str, Any]) -> list[str]:
    """What to call every leaf of the arguments of a call: "argument 0['w']"."""
    named = [*enumerate(args), *((k, kwargs[k]) for k in sorted(kwargs))]
    return [f"argument {n}{path}" for n, x in named for path, _ in tree.named_leaves(x)]


@dataclass
class FlatFunction:
    """A user's function as one from a list of leaves to a list of leaves.

    After a call `out_tree` is the structure of the result, and `aux` what came with it.
    """

    fun: Callable[..., Any]
    in_tree: tree.TreeDef
    has_aux: bool = False
    out_tree: tree.TreeDef | None = field(default=None, init=False)
    aux: Any = field(default=None, init=False)

    def __call__(self, leaves: Sequence[Any]) -> list[Any]:
        args, kwargs = tree.unflatten(self.in_tree, leaves)
        result = self.fun(*args, **kwargs)
        if self.has_aux:
            result, self.aux = _split_aux(self.fun, result)
        outs, self.out_tree = tree.flatten(result)
        return [_output(x, self.fun, result) for x in outs]

    def rebuild(self, outs: Sequence[Any]) -> Any:
        assert self.out_tree is not None
        return tree.unflatten(self.out_tree, outs)


@dataclass
class Traced:
    """A user's function traced at some arguments: what every derivative starts from."""

    flat: FlatFunction
    program: Program
    primals: list[Any]
    """Captured outer tracers, then the leaves of the arguments: the inputs of the Program."""
    captured_count: int
    known: dict[Any, Any] | None
    aux: Any


def trace_at(
    fun: Callable[..., Any],
    args: tuple,
    kwargs: dict[str, Any],
    has_aux: bool = False,
    path: Path | None = None,
) -> Traced:
    """Trace a function at arguments, with their concrete values where they have them.

    Args:
        fun: takes and returns trees of arrays.
        args, kwargs: its arguments.
        has_aux: it returns (output, auxiliary data).
        path: what it was when it was traced before.
    """
    leaves, in_tree = flatten_call(args, kwargs)
    flat = FlatFunction(fun, in_tree, has_aux)
    avals = [aval_of(x) for x in leaves]

    def run(inputs: Sequence[Any]) -> list[Any]:
        outs = flat(inputs)
        if not has_aux:
            return outs
        aux_leaves, aux_tree = tree.flatten(flat.aux)
        flat.aux = (aux_tree, len(aux_leaves))
        return [*outs, *aux_leaves]

    name = name_of(fun)
    own = Retrace(path, name) if path is not None and path.starts_at(avals) else None
    with np.errstate(all="ignore"):
        program, captured, known = trace(run, avals, leaves, name, own)
    primals = [*captured, *leaves]
    concrete = not any(type(x) is Tracer for x in primals)
    return Traced(flat, program, primals, len(captured), known if concrete else None, flat.aux)


def split_outputs(traced: Traced, outs: Sequence[Any]) -> tuple[list[Any], Any]:
    """The outputs proper, and the auxiliary data rebuilt with its values."""
    outs = weakened(outs, traced.program.out_avals)
    if not traced.flat.has_aux:
        return outs, None
    aux_tree, count = traced.aux
    at = len(outs) - count
    return list(outs[:at]), tree.unflatten(aux_tree, list(outs[at:]))


def zeros_of(aval: Aval) -> Any:
    """Zero cotangent or tangent of a value: of its dtype, or float0 where it has no tangents."""
    from functrans.core.types import float0
    from functrans.primitives.shaping import full

    if aval.dtype.kind not in "fc":
        return np.zeros(aval.shape, float0)
    return full(aval.shape, 0, aval.dtype)


def _split_aux(fun: Callable[..., Any], result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple) or len(result) != 2:
        raise TransformError(
            f"has_aux=True needs {name_of(fun)} to return a pair (output, aux), got "
            f"{described(result)}."
        )
    return result


def _output(x: Any, fun: Callable[..., Any], result: Any) -> Any:
    try:
        return as_value(x, "a result")
    except DTypeError:
        paths = [p for p, leaf in tree.named_leaves(result) if leaf is x]
        where = f" at result{paths[0]}" if paths and paths[0] else ""
        raise DTypeError(
            f"{name_of(fun)} must return arrays or numbers{where}, "
            f"got {type(x).__name__}: {x!r:.60}"
        ) from None
