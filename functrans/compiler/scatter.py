"""Updates of an array in its memory: `scatter` and `dynamic_update_slice` as loops over what they
write."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from functrans.compiler.elements import INDEX, Elements, aligned
from functrans.compiler.emitted import EmittedKernel
from functrans.compiler.index import Counter, IndexExpr, flat, unflat
from functrans.compiler.values import SUPPORTED, Scalar, Value
from functrans.core.program import Equation
from functrans.core.types import broadcast_shapes

COMBINE = {"add": "add", "mul": "mul", "min": "minimum", "max": "maximum"}
"""The Builder's method for every operation but set."""


def is_scatter(equation: Equation) -> bool:
    """Whether this is a scatter that can be emitted."""
    atoms = (*equation.inputs, *equation.outputs)
    return equation.primitive.name == "scatter" and all(a.aval.dtype in SUPPORTED for a in atoms)


def emit_scatter(equation: Equation) -> EmittedKernel:
    """The kernel that applies the updates to its output, which holds a copy of the operand."""
    return _Scatter({}).emit(equation)


def shapes_of(equation: Equation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape of the index arrays together, and of the rows that are written."""
    operand, axes = equation.inputs[0].aval, equation.params["axes"]
    lead = broadcast_shapes(*[a.aval.shape for a in equation.inputs[2:]])
    return lead, tuple(n for a, n in enumerate(operand.shape) if a not in axes)


def target_of(
    k: Elements, equation: Equation, lead: Sequence[Any]
) -> tuple[dict[int, IndexExpr], Value | None] | None:
    """Where the updates at an index of the index arrays go: an index for every indexed axis, and
    the condition under which they are not dropped. None if they are known to be dropped."""
    shape, params = equation.inputs[0].aval.shape, equation.params
    b = k.b
    target: dict[int, IndexExpr] = {}
    inside: Value | None = None
    for a, atom in zip(params["axes"], equation.inputs[2:], strict=True):
        value = b.convert(k._value(atom, aligned(atom, list(lead))), INDEX)
        if params["mode"] == "clip":
            target[a] = k.dynamic(value, shape[a])
            continue
        target[a] = k.index_of(value)
        if params["mode"] != "drop":
            continue
        if target[a].is_constant:
            if not 0 <= target[a].constant < shape[a]:
                return None
            continue
        here = b.and_(b.ge(value, b.const(0, INDEX)), b.lt(value, b.const(shape[a], INDEX)))
        inside = here if inside is None else b.and_(inside, here)
    return target, inside


def whole_index(target: dict[int, IndexExpr], row: Sequence[Any], rank: int) -> list[IndexExpr]:
    """The index into the operand of an element of a row."""
    rest = iter(row)
    return [target[a] if a in target else IndexExpr.of(next(rest)) for a in range(rank)]


def combined(k: Elements, equation: Equation, before: Scalar | None, update: Scalar) -> Scalar:
    """What an element becomes; `set` does not look at what it was."""
    op = equation.params["op"]
    return update if op == "set" else getattr(k.b, COMBINE[op])(before, update)


def emit_block_update(equation: Equation) -> EmittedKernel:
    """The kernel of a dynamic_update_slice whose output has its operand's memory."""
    return _BlockUpdate({}).emit(equation)


def begin_of(k: Elements, equation: Equation) -> list[IndexExpr]:
    """Where the block of a dynamic_update_slice begins, moved inside the array."""
    operand, update, *starts = equation.inputs
    extents = zip(starts, operand.aval.shape, update.aval.shape, strict=True)
    return [
        IndexExpr.of(0) if size == n else k.dynamic(k._value(start, []), n - size + 1)
        for start, n, size in extents
    ]


class _Updating(Elements):
    """An Elements with a loop over a flat counter."""

    @contextmanager
    def _counted(self, counter: Counter) -> Iterator[None]:
        with self.b.loop("0", self._constant(counter.extent, f"extent {counter}")) as i:
            self.counters[counter] = i.text
            self._line(f"for {counter} in range({counter.extent}):")
            with self._scope():
                yield

    def _write(
        self, equation: Equation, pointer: str, index: list[IndexExpr], update: Scalar
    ) -> None:
        """Store what an element of the equation's result becomes."""
        out, op = equation.outputs[0].aval, equation.params["op"]
        at = self._int(flat(index, out.shape))
        before = None if op == "set" else self.b.load(pointer, at, out.dtype)
        self.b.store(combined(self, equation, before, update), pointer, at)
        sign = "=" if op == "set" else op
        self._line(f"{self._element(equation.outputs[0], index)} {sign} {self._show(update)}")


class _BlockUpdate(_Updating):
    def emit(self, equation: Equation) -> EmittedKernel:
        update, out = equation.inputs[1], equation.outputs[0]
        pointer = self._pointer(out, written=True)
        begin = begin_of(self, equation)
        inside: list[IndexExpr] = []
        with ExitStack() as loops:
            for shape in _in_one_piece(update.aval.shape, out.aval.shape):
                counter = Counter(len(self.counters), math.prod(shape))
                loops.enter_context(self._counted(counter))
                inside += unflat(IndexExpr.of(counter), shape)
            index = [b + i for b, i in zip(begin, inside, strict=True)]
            self._write(equation, pointer, index, self._value(update, inside))
        return self._finish(1)


def _in_one_piece(block: Sequence[int], array: Sequence[int]) -> list[tuple[int, ...]]:
    """The extents of a block in an array, those together that one counter can go through."""
    groups: list[tuple[int, ...]] = []
    for n, whole in zip(block, array, strict=True):
        if groups and n == whole:
            groups[-1] = (*groups[-1], n)
        else:
            groups.append((n,))
    return groups


class _Scatter(_Updating):
    def emit(self, equation: Equation) -> EmittedKernel:
        updates, out = equation.inputs[1], equation.outputs[0]
        pointer = self._pointer(out, written=True)
        lead_shape, row_shape = shapes_of(equation)
        outer, inner = (Counter(i, math.prod(s)) for i, s in enumerate((lead_shape, row_shape)))
        lead = unflat(IndexExpr.of(outer), lead_shape)
        row = unflat(IndexExpr.of(inner), row_shape)
        b, end = self.b, self.b.fresh_label("end")
        with self._counted(outer):
            where = target_of(self, equation, lead)
            if where is None:
                return self._finish(1)
            target, inside = where
            index = whole_index(target, row, out.aval.ndim)
            if inside is not None:
                write = b.fresh_label("write")
                b.cond_br(inside, write, end)
                b.label(write)
            with self._counted(inner):
                self._write(equation, pointer, index, self._value(updates, [*lead, *row]))
            b.br(end)
            b.label(end)
        return self._finish(1)
