"""`jit`: specialise a function on its arguments' types, compile it once, call native code after.

The fast path flattens the arguments, looks up the tree definition, and hands the leaves to the
native dispatcher, which checks their types itself; only what it refuses is looked at in Python.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import update_wrapper, wraps
from typing import TYPE_CHECKING, Any

import numpy as np

from functrans.core import tree
from functrans.core.errors import TransformError
from functrans.core.garbage import collection_put_off
from functrans.core.program import Program
from functrans.core.trace import Tracer, trace
from functrans.core.types import Aval, aval_of, float0
from functrans.primitives import calls
from functrans.primitives.calls import call_p
from functrans.transforms.api import FlatFunction, check_callable, flatten_call, name_of
from functrans.transforms.batching import open_axes

if TYPE_CHECKING:
    from functrans.compiler.compile import Compiled
    from functrans.compiler.leaves import Flattener
    from functrans.compiler.schedule import Schedule


def compile_program(program: Program, donated: Iterable[int] = ()) -> Compiled:
    """The compiled form of a Program; the compiler is loaded when first needed."""
    from functrans.compiler.compile import compile_program

    return compile_program(program, donated)


def run_program(program: Program, values: Sequence[Any]) -> list[Any]:
    """The outputs of a Program on arrays, compiled."""
    return compile_program(program)(list(values))


calls.run_compiled = run_program


def jit(
    fun: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Sequence[int] = (),
    donate_argnames: str | Iterable[str] = (),
    inline: bool = False,
) -> Any:
    """Compile a function: the first call with arguments of some types compiles, later ones run.

    Args:
        fun: a pure function of arrays, scalars and trees of them.
        static_argnums: positions of arguments that Python code of fun needs as values (sizes,
            flags, functions); hashable. Each value is compiled for anew.
        static_argnames: the same by name.
        donate_argnums, donate_argnames: arguments whose memory the caller gives up: results of
            their shapes and dtypes are written over them where that is safe, and then are those
            very arrays, instead of fresh ones. Do not use what was donated after the call.
            Arrays below 64 KiB, views and read-only arrays keep their memory.
        inline: inside another trace, put the equations in place instead of a call.

    Returns:
        A function of the same arguments, with `lower(*args)` to look inside.

    Raises:
        ConcretizationError: fun asks for the value of a traced array (says what to write instead).
        TransformError: a static argument is not hashable; an argument is both static and donated,
            or there is none at that position or of that name.

    >>> import functrans as ft, functrans.numpy as fnp, numpy as np
    >>> step = ft.jit(lambda x: fnp.sum(fnp.tanh(x)) * 2.0)
    >>> float(step(np.zeros(3)))
    0.0
    """
    if fun is None:
        return lambda f: jit(
            f,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            donate_argnums=donate_argnums,
            donate_argnames=donate_argnames,
            inline=inline,
        )
    check_callable(fun, "jit")
    static = _chosen_arguments(fun, static_argnums, static_argnames, "static")
    donated = _chosen_arguments(fun, donate_argnums, donate_argnames, "donate")
    both = (static[0] & donated[0]) | (static[1] & donated[1])
    if both:
        raise TransformError(
            f"argument {min(map(str, both))} of {name_of(fun)} is both static and donated"
        )
    return JitFunction(fun, static, donated, inline)


Arguments = tuple[frozenset[int], frozenset[str]]
"""Positions and names."""


class Specialization:
    """A function traced for one tree structure, static values and argument types."""

    __slots__ = ("captured", "in_tree", "out_tree", "program", "ready")

    def __init__(
        self,
        program: Program,
        in_tree: tree.TreeDef,
        out_tree: tree.TreeDef,
        captured: list[Tracer],
    ) -> None:
        self.program = program
        self.in_tree = in_tree
        self.out_tree = out_tree
        self.captured = captured
        self.ready: Ready | None = None

    def compile(self, donated: Iterable[int]) -> Ready:
        """What calls use; compiled once."""
        if self.ready is None:
            from functrans.compiler.leaves import flattener

            compiled = compile_program(self.program, donated)
            self.ready = Ready(flattener(self.in_tree), compiled, self.out_tree)
        return self.ready


@dataclass(frozen=True, slots=True)
class Ready:
    """A compiled specialization: how its leaves are found, what runs, what it returns."""

    leaves_of: Flattener
    compiled: Compiled
    out_tree: tree.TreeDef


class JitFunction:
    """What `jit` returns; call it as the function it compiles."""

    def __init__(
        self, fun: Callable[..., Any], static: Arguments, donated: Arguments, inline: bool
    ) -> None:
        update_wrapper(self, fun)
        self._fun = fun
        self._static_positions, self._static_names = static
        self._has_static = bool(self._static_positions or self._static_names)
        self._donated_positions, self._donated_names = donated
        self._inline = inline
        self._specializations: dict[Any, Specialization] = {}
        self._recent: dict[Any, Ready] = {}
        self._latest: Ready | None = None
        """What the last call used; none where arguments are static, which are no leaves."""
        self._lock = threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        latest = self._latest
        if latest is not None and not open_axes():
            leaves = latest.leaves_of(args, kwargs)
            outs = None if leaves is None else latest.compiled.try_call(leaves)
            if outs is not None:
                return tree.unflatten(latest.out_tree, outs)
        return self._flattened_call(args, kwargs)

    def _flattened_call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        if self._has_static:
            key, dynamic_args, dynamic_kwargs = self._split(args, kwargs)
        else:
            key, dynamic_args, dynamic_kwargs = None, args, kwargs
        leaves, in_tree = tree.flatten((dynamic_args, dynamic_kwargs))
        recent = None if open_axes() else self._recent.get((in_tree, key))
        if recent is not None:
            outs = recent.compiled.try_call(leaves)
            if outs is not None:
                self._latest = None if self._has_static else recent
                return tree.unflatten(recent.out_tree, outs)
        return self._slow_call(key, dynamic_args, dynamic_kwargs)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Trace and lower for these arguments (arrays or ShapeDtypeStructs) without running.

        >>> import functrans as ft
        >>> lowered = ft.jit(lambda x: x * 2.0).lower(1.5)
        >>> print(lowered.program)  # doctest: +ELLIPSIS
        { lambda a:f64*[] .
        ...
        """
        key, dynamic_args, dynamic_kwargs = self._split(args, kwargs)
        leaves, in_tree = tree.flatten((dynamic_args, dynamic_kwargs))
        special = self._specialization(key, in_tree, [aval_of(x) for x in leaves])
        return Lowered(special, self._donated(key, dynamic_args, dynamic_kwargs))

    def clear_cache(self) -> None:
        """Forget every specialisation."""
        with self._lock:
            self._specializations.clear()
            self._recent.clear()
            self._latest = None

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else _bound(self, instance)

    def __repr__(self) -> str:
        return f"jit({name_of(self._fun)})"

    def _slow_call(self, key: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
        leaves, in_tree = flatten_call(args, kwargs)
        special = self._specialization(key, in_tree, [aval_of(x) for x in leaves])
        traced = special.captured or any(type(x) is Tracer for x in leaves)
        if traced or open_axes():
            outs = self._bind(special, leaves)
            return tree.unflatten(special.out_tree, outs)
        ready = special.ready
        if ready is None:
            ready = special.compile(self._donated(key, args, kwargs))
            _warn_of_unused(ready.compiled, (args, kwargs), self._fun)
        outs = ready.compiled(leaves)
        self._recent[(in_tree, key)] = ready
        self._latest = None if self._has_static else ready
        return tree.unflatten(special.out_tree, outs)

    def _bind(self, special: Specialization, leaves: list[Any]) -> list[Any]:
        operands = [*special.captured, *leaves]
        if self._inline:
            from functrans.core.interpret import evaluate

            return evaluate(special.program, operands)
        return call_p.bind(*operands, program=special.program)

    def _specialization(self, key: Any, in_tree: Any, avals: list[Aval]) -> Specialization:
        full_key = (key, in_tree, tuple(avals), open_axes())
        known = self._specializations.get(full_key)
        if known is not None:
            return known
        flat = FlatFunction(_with_float0_as_nodes(self._with_static(key)), in_tree)
        with collection_put_off():
            program, captured, _ = trace(flat, avals, name=name_of(self._fun))
        assert flat.out_tree is not None
        special = Specialization(program, in_tree, flat.out_tree, captured)
        if not captured:
            with self._lock:
                self._specializations.setdefault(full_key, special)
        return special

    def _donated(self, key: Any, args: tuple, kwargs: dict[str, Any]) -> list[int]:
        """The leaves of the dynamic arguments that are donated."""
        if not self._donated_positions and not self._donated_names:
            return []
        static = {i for i, _ in key[0]} if key is not None else set()
        count = len(args) + len(static)
        chosen = {p + count if p < 0 else p for p in self._donated_positions}
        places = [i for i in range(count) if i not in static]
        flags = (
            tuple(
                tree.map(lambda _, i=i: i in chosen, x) for i, x in zip(places, args, strict=True)
            ),
            {k: tree.map(lambda _, k=k: k in self._donated_names, x) for k, x in kwargs.items()},
        )
        return [n for n, flag in enumerate(tree.leaves(flags)) if flag]

    # --- static arguments ---

    def _split(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, tuple, dict[str, Any]]:
        """The static values as a hashable key, and the other arguments."""
        positions = {p + len(args) if p < 0 else p for p in self._static_positions}
        static = tuple((i, x) for i, x in enumerate(args) if i in positions)
        named = tuple(sorted((k, x) for k, x in kwargs.items() if k in self._static_names))
        for name, x in (*static, *named):
            _check_hashable(name, x, self._fun)
        dynamic = tuple(x for i, x in enumerate(args) if i not in positions)
        rest = {k: x for k, x in kwargs.items() if k not in self._static_names}
        key = (static, named, tuple(type(x) for _, x in (*static, *named)))
        return (key if static or named else None), dynamic, rest

    def _with_static(self, key: Any) -> Callable[..., Any]:
        """The function of the dynamic arguments alone."""
        if key is None:
            return self._fun
        static, named, _ = key

        def of_dynamic(*dynamic: Any, **kwargs: Any) -> Any:
            args = list(dynamic)
            for position, x in static:
                args.insert(position, x)
            return self._fun(*args, **kwargs, **dict(named))

        of_dynamic.__name__ = name_of(self._fun)
        return of_dynamic


class _Float0:
    """A float0 array as a tree without leaves, since there is nothing in it to compute."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape


tree.register_node(_Float0, lambda x: ((), x.shape), lambda shape, _: np.zeros(shape, float0))


def _with_float0_as_nodes(fun: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the derivatives of integers among its results as part of their tree."""

    @wraps(fun)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = fun(*args, **kwargs)
        if not any(getattr(x, "dtype", None) == float0 for x in tree.leaves(result)):
            return result
        return tree.map(
            lambda x: _Float0(x.shape) if getattr(x, "dtype", None) == float0 else x, result
        )

    return wrapped


class Lowered:
    """A function lowered for given argument types: look at each stage, or compile it."""

    def __init__(self, special: Specialization, donated: Sequence[int]) -> None:
        self._donated = donated
        self._special = special

    @property
    def program(self) -> Program:
        """The traced Program."""
        return self._special.program

    @property
    def out_tree(self) -> tree.TreeDef:
        return self._special.out_tree

    @property
    def source(self) -> str:
        """What the compiler made: the schedule and every distinct kernel, readable."""
        return self._compiled().source

    def to_dot(self) -> str:
        """The compiled schedule as a graph in Graphviz's language, to be drawn by `dot -Tsvg`."""
        from functrans.compiler.describe import schedule_graph

        return schedule_graph(self.schedule).dot()

    def to_mermaid(self) -> str:
        """The compiled schedule as a graph in the language of Mermaid."""
        from functrans.compiler.describe import schedule_graph

        return schedule_graph(self.schedule).mermaid()

    def cost_analysis(self) -> dict[str, float]:
        """Flops and bytes moved, predicted from the Program."""
        from functrans.analysis.cost import program_cost

        cost = program_cost(self._special.program)
        return {"flops": cost.flops, "bytes accessed": cost.bytes_moved}

    def memory_analysis(self) -> dict[str, int]:
        """Bytes of arguments, outputs, constants and temporaries (the arena)."""
        return self._compiled().memory

    def compile(self) -> CompiledFunction:
        """The compiled function; arguments must have the types it was lowered for."""
        return CompiledFunction(self, self._compiled())

    def leaves(self, *args: Any, **kwargs: Any) -> list[Any]:
        """The leaves of arguments of the tree structure that this was lowered for.

        Raises:
            TransformError: they have another structure.
        """
        leaves, in_tree = flatten_call(args, kwargs)
        if in_tree != self._special.in_tree:
            raise TransformError(f"compiled for arguments {self._special.in_tree}, got {in_tree}")
        return leaves

    @property
    def schedule(self) -> Schedule:
        """The steps of the compiled function, as data."""
        return self._compiled().schedule

    def _compiled(self) -> Compiled:
        return self._special.compile(self._donated).compiled


class CompiledFunction:
    """A function compiled for given argument types: call it, or ask what it takes."""

    def __init__(self, lowered: Lowered, compiled: Compiled) -> None:
        self._compiled = compiled
        self._lowered = lowered
        self.cost_analysis = lowered.cost_analysis
        self.memory_analysis = lowered.memory_analysis

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves = self._lowered.leaves(*args, **kwargs)
        return tree.unflatten(self._lowered.out_tree, self._compiled(leaves))

    @property
    def source(self) -> str:
        """The schedule and every distinct kernel, readable."""
        return self._lowered.source


def _chosen_arguments(fun: Callable[..., Any], argnums: Any, argnames: Any, what: str) -> Arguments:
    """Positions and names of arguments, each completed from the other through the signature."""
    single = isinstance(argnums, int | np.integer)
    given = () if argnums is None else (argnums,) if single else tuple(argnums)
    if any(isinstance(n, bool) or not isinstance(n, int | np.integer) for n in given):
        raise TransformError(f"{what}_argnums of {name_of(fun)} must be ints, got {argnums!r}")
    positions = set(map(int, given))
    names = {argnames} if isinstance(argnames, str) else set(argnames or ())
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        return frozenset(positions), frozenset(names)
    variadic = any(p.kind is p.VAR_KEYWORD for p in parameters)
    known = [p.name for p in parameters]
    for name in names:
        if name not in known and not variadic:
            raise TransformError(f"{what}_argnames names {name!r}, which {name_of(fun)} lacks")
    _check_positions(positions, parameters, fun, what)
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    from_names = {i for i, name in enumerate(known) if name in names and name in positional}
    from_positions = {positional[p] for p in positions if -len(positional) <= p < len(positional)}
    return frozenset(positions | from_names), frozenset(names | from_positions)


def _check_positions(positions: set[int], parameters: list[Any], fun: Any, what: str) -> None:
    kinds = [p.kind for p in parameters]
    variadic = inspect.Parameter.VAR_POSITIONAL in kinds
    count = sum(k in (k.POSITIONAL_ONLY, k.POSITIONAL_OR_KEYWORD) for k in kinds)
    for p in sorted(positions):
        if not variadic and not -count <= p < count:
            raise TransformError(
                f"{what}_argnums has {p}, but {name_of(fun)} takes {count} positional arguments"
            )


def _warn_of_unused(compiled: Compiled, arguments: tuple[tuple, dict], fun: Any) -> None:
    """Say which large donated arrays no result can take."""
    wasted = compiled.donated - compiled.overwritten
    if not wasted:
        return
    paths = [path for part in arguments for path, _ in tree.named_leaves(part)]
    shown = ", ".join(
        f"argument {paths[i]} ({compiled.program.in_avals[i]})" for i in sorted(wasted)
    )
    warnings.warn(
        f"{name_of(fun)}: no result of the same type can take the memory of the donated {shown}: "
        "none is like it, or it is still read when the result is written. It is left as it is.",
        stacklevel=4,
    )


def _check_hashable(name: Any, x: Any, fun: Callable[..., Any]) -> None:
    try:
        hash(x)
    except TypeError:
        kind = "a traced array" if type(x) is Tracer else f"{type(x).__name__}"
        raise TransformError(
            f"static argument {name!r} of {name_of(fun)} must be hashable, got {kind}: {x!r:.60}. "
            "Use a tuple instead of a list, or pass it as an ordinary (traced) argument."
        ) from None


def _bound(function: JitFunction, instance: Any) -> Callable[..., Any]:
    """The method of an instance, as for a plain function."""

    def method(*args: Any, **kwargs: Any) -> Any:
        return function(instance, *args, **kwargs)

    return update_wrapper(method, function)
