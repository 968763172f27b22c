"""Batching: a Program run on operands of which some have an extra leading axis.

The batch axis is axis 0 of every batched value; `vmap` moves it there from wherever the caller has
it and back. One convention keeps the batching rule of a primitive to a line or two.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from functrans.core.effects import uses_axis_name
from functrans.core.errors import TransformError
from functrans.core.interpret import Environment
from functrans.core.primitive import registry
from functrans.core.program import Program, Var
from functrans.core.source import set_source
from functrans.core.trace import make_program_flat
from functrans.core.types import Aval, shape_of

Batched = tuple[bool, ...]


@dataclass(frozen=True)
class Axis:
    """The axis that is being mapped: its extent, and its name for collectives."""

    size: int
    name: Any = None


class _AxisStack(threading.local):
    def __init__(self) -> None:
        self.axes: list[Axis] = []
        self.named: list[Axis] = []


_batching = _AxisStack()


def current_axis() -> Axis:
    """The axis that the running batching rule maps over."""
    return _batching.axes[-1]


def axis_extent(name: Any) -> int:
    """The extent of the innermost open axis of this name; TransformError if there is none."""
    for axis in reversed(_batching.named):
        if axis.name == name:
            return axis.size
    known = [a.name for a in _batching.named]
    raise TransformError(
        f"no vmap with axis_name={name!r} is open here; open names: {known}.\n  Use one of them, "
        f"or call this inside of a function mapped by vmap(…, axis_name={name!r})."
    )


def open_axes() -> tuple[Axis, ...]:
    """The named axes that are open: a trace may depend on them besides its arguments."""
    return tuple(_batching.named)


@contextmanager
def named_axis(axis: Axis) -> Iterator[None]:
    """While the mapped function is traced, collectives can refer to the axis by its name."""
    if axis.name is None:
        yield
        return
    _batching.named.append(axis)
    try:
        yield
    finally:
        _batching.named.pop()


def batch(
    program: Program, args: Sequence[Any], batched: Sequence[bool], axis: Axis
) -> tuple[list[Any], list[bool]]:
    """The outputs of a Program over a batch, and which of them are batched.

    Args:
        program: any Program, for one example.
        args: values of its inputs; those with `batched` true have a leading axis of `axis.size`.
        batched: which inputs differ along the batch.
        axis: the mapped axis.
    """
    env = Environment(program.inputs, args)
    is_batched: set[Var] = {v for v, b in zip(program.inputs, batched, strict=True) if b}
    before = set_source(None)
    _batching.axes.append(axis)
    try:
        for equation in program.equations:
            set_source(equation.source)
            primitive, params = equation.primitive, equation.params
            values = env.read_all(equation.inputs)
            flags = [type(a) is Var and a in is_batched for a in equation.inputs]
            if not any(flags) and not uses_axis_name(params):
                env.write(equation, primitive.bind(*values, **params))
                continue
            if primitive.batch is None:
                raise NotImplementedError(f"{primitive.name} has no batching rule")
            outs, out_flags = primitive.batch(values, flags, **params)
            env.write(equation, outs)
            out_flags = out_flags if primitive.multiple_results else (out_flags,)
            is_batched.update(v for v, b in zip(equation.outputs, out_flags, strict=True) if b)
    finally:
        _batching.axes.pop()
        set_source(before)
    outs = env.read_all(program.outputs)
    return outs, [type(a) is Var and a in is_batched for a in program.outputs]


def batch_program(
    program: Program, batched: Batched, axis: Axis, force: Sequence[bool] | None = None
) -> tuple[Program, Batched]:
    """The Program over a batch, and which of its outputs are batched.

    Args:
        program: a closed Program, for one example.
        batched: which inputs have the batch axis.
        axis: the mapped axis.
        force: outputs that must be batched, repeated if they do not vary.
    """
    forced = (False,) * len(program.outputs) if force is None else tuple(force)
    key = ("batch", batched, axis, forced)
    if key not in program.cache:
        program.cache[key] = _build(program, batched, axis, forced)
    return program.cache[key]


def _build(program: Program, batched: Batched, axis: Axis, forced: Batched) -> Any:
    out_batched: Batched = ()

    def run(args: Sequence[Any]) -> list[Any]:
        nonlocal out_batched
        outs, flags = batch(program, args, batched, axis)
        outs = [
            repeat(x, axis.size) if f and not b else x
            for x, b, f in zip(outs, flags, forced, strict=True)
        ]
        out_batched = tuple(b or f for b, f in zip(flags, forced, strict=True))
        return outs

    avals = [
        Aval((axis.size, *a.shape), a.dtype) if b else a
        for a, b in zip(program.in_avals, batched, strict=True)
    ]
    return make_program_flat(run, avals, f"vmap({program.name})"), out_batched


def repeat(x: Any, size: int) -> Any:
    """x repeated along a new leading axis."""
    return registry["broadcast"].bind(x, shape=(size, *shape_of(x)))
