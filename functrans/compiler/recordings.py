"""A `recorded_loop` as scalar code: forward it writes on a tape what the way back reads.

The tape has a row per step. It lies on the stack if it is short; else it is memory of the system,
TAPE_LIMIT bytes at most: a loop of more steps is run in segments whose first carries are written
down before, and every segment is run again on the way back. So a step is run forward twice at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from functrans.compiler import runtime
from functrans.compiler.elements import INDEX
from functrans.compiler.places import Cells, Memory
from functrans.compiler.rows import Row
from functrans.compiler.updates import way_back, way_there
from functrans.compiler.values import Value
from functrans.core.program import Atom, Equation, Program, Var
from functrans.primitives.calls import split

if TYPE_CHECKING:
    from functrans.compiler.registers import _Region

TAPE_LIMIT = 16 << 20
"""Bytes of what is written down of steps. The gradient of a Runge–Kutta solver takes 3.3 times as
long as its values while this suffices, and 4.2 times in segments; with four times as much, and
fresh pages from the system in every call, a million steps take 5.9 times as long."""
STACK_BYTES = 4096
"""Of a tape that lies on the stack."""
ROW_ALIGNMENT = 8


def emit_recording(k: _Region, equation: Equation) -> None:
    """The code of a `recorded_loop` inside of a region, whose operands have places."""
    params = equation.params
    _, (count,), consts, fixed, carry, state = split(
        equation.inputs, 1, 1, params["consts"], params["fixed"], params["carry"]
    )
    (steps,) = k._elements(count)
    recording = _Recording(k, equation, (consts, fixed), steps.text)
    states = k._carry(equation, len(equation.inputs) - len(state), len(state), recording.updates)
    with recording.tape():
        cells = recording.cells(carry)
        recording.write_segments(cells)
        k._line("for segment in reversed(segments):")
        with k.b.loop("0", recording.segments) as j, k._scope():
            recording.reverse_segment(k._op("sub i64", recording.last, j.text), cells, states)
    k._load_results(equation.outputs, states)


class _Recording:
    """The loops of one `recorded_loop`, and its tape: first carries of segments, then rows."""

    def __init__(self, k: _Region, equation: Equation, same: tuple[list, list], count: str) -> None:
        params = equation.params
        self.k, self.count = k, count
        self.consts, self.fixed = same
        self.forward: Program = k.prepared(params["forward"])
        self.backward: Program = k.prepared(params["backward"])
        self.there = way_there(equation, k.prepared)
        self.updates = way_back(equation, k.prepared)
        n = params["carry"]
        self.carry = Row([a.aval for a in self.forward.outputs[:n]], ROW_ALIGNMENT)
        self.row = Row([a.aval for a in self.forward.outputs[n:]], ROW_ALIGNMENT)
        op = k._op
        most = str(max(TAPE_LIMIT // self.row.nbytes, 1))
        self.size = self._minimum(self._maximum(count, "1"), most)
        """Steps of a segment."""
        self.segments = op(
            "udiv i64", op("add i64", count, op("sub i64", self.size, "1")), self.size
        )
        self.last = op("sub i64", self.segments, "1")
        # what is updated in place lies behind the first carries
        places = op("add i64", self.segments, "1") if self.there.results else self.segments
        self.rows_at = op("mul i64", places, str(self.carry.nbytes))
        self.base = ""

    def _minimum(self, x: str, y: str) -> str:
        return self.k.b.minimum(Value(x, INDEX), Value(y, INDEX)).text

    def _maximum(self, x: str, y: str) -> str:
        return self.k.b.maximum(Value(x, INDEX), Value(y, INDEX)).text

    @contextmanager
    def tape(self) -> Iterator[None]:
        """Memory for the time of what is written inside."""
        k, b = self.k, self.k.b
        room, cell = b.fresh("tape"), b.fresh("taken")
        k.entry_lines += [
            f"{room} = alloca [{STACK_BYTES} x i8], align 64",
            f"{cell} = alloca ptr",
        ]
        b.raw(f"store ptr null, ptr {cell}")  # of the last time, if a loop comes by here again
        nbytes = k._op("mul i64", self.size, str(self.row.nbytes))
        nbytes = k._op("add i64", nbytes, self.rows_at)
        large = k._op("icmp ugt i64", nbytes, str(STACK_BYTES))
        take, none, ready = (b.fresh_label(n) for n in ("take", "none", "tape"))
        before = b.block
        b.cond_br(Value(large, np.dtype(np.bool_)), take, ready)
        b.label(take)
        b.declare("declare ptr @ft_take(i64)")
        b.declare("declare void @ft_give_back(ptr)")
        taken = b.fresh()
        b.raw(f"{taken} = call ptr @ft_take(i64 {nbytes})")
        b.raw(f"store ptr {taken}, ptr {cell}")
        missing = k._op("icmp eq ptr", taken, "null")
        b.cond_br(Value(missing, np.dtype(np.bool_)), none, ready)
        b.label(none)
        k._leave(str(runtime.NO_MEMORY))
        b.label(ready)
        self.base = b.fresh()
        b.raw(f"{self.base} = phi ptr [ {room}, %{before} ], [ {taken}, %{take} ]")
        k.taken.append(cell)
        yield
        k._give_back(k.taken.pop())

    def cells(self, carry: Sequence[Atom]) -> list[Cells]:
        """Where the carry is, with the first one in it."""
        k = self.k
        here = _arrays(self.carry, k, self.base, "0", self.segments)
        cells = [
            here[number] if number in self.there.results else k._new_cells(a.aval)
            for number, a in enumerate(carry)
        ]
        self._set(cells, carry)
        return cells

    def _set(self, cells: Sequence[Cells], carry: Sequence[Atom]) -> None:
        for cell, atom in zip(cells, carry, strict=True):
            if isinstance(cell, Memory):
                self.k._copy(atom, cell)
        self.k._store_cells(carry, cells)

    def write_segments(self, cells: list) -> None:
        """Run all segments but the last, and write down the first carry of each."""
        k = self.k
        k._line(f"for segment in segments:  # of {TAPE_LIMIT // self.row.nbytes} steps at most")
        with k.b.loop("0", self.segments) as j, k._scope():
            places = _arrays(self.carry, k, self.base, "0", j.text)
            first = [Var(m.aval) for m in places]
            k._bind_cells(first, cells)
            for number, (atom, place) in enumerate(zip(first, places, strict=True)):
                if number in self.there.results:
                    k._copy(atom, place)
                else:
                    self._write([place], [atom])
            more = k._op("icmp slt i64", j.text, self.last)
            steps = k._op(f"select i1 {more}, i64", self.size, "i64 0")
            k._line("for step in segment, but for the last:")
            with k.b.loop("0", steps) as i, k._scope():
                self._step(cells)
                k._poll(i)

    def reverse_segment(self, number: str, cells: list, states: list) -> None:
        """Write down the steps of a segment, and take the state back through them."""
        k, b = self.k, self.k.b
        places = _arrays(self.carry, k, self.base, "0", number)
        first = [Var(m.aval) for m in places]
        k.places.update(zip(first, places, strict=True))
        self._set(cells, first)
        begin = k._op("mul i64", number, self.size)
        steps = self._minimum(self.size, k._op("sub i64", self.count, begin))
        k._line("for step in segment:")
        with b.loop("0", steps) as i, k._scope():
            residuals = self._step(cells)
            self._write(_arrays(self.row, k, self.base, self.rows_at, i.text), residuals)
            k._poll(i)
        last = k._op("sub i64", steps, "1")
        k._line("for step in reversed(segment):")
        with b.loop("0", steps) as i, k._scope():
            places = _arrays(self.row, k, self.base, self.rows_at, k._op("sub i64", last, i.text))
            self._back(places, states)
            k._poll(i)

    def _step(self, cells: list) -> Sequence[Any]:
        """One step forward; what is to be written down."""
        k, n = self.k, len(self.consts)
        k._bind(self.forward.inputs[:n], self.consts)
        k._bind_cells(self.forward.inputs[n:], cells)
        k._body(self.forward, self.there)
        after, residuals = split(self.forward.outputs, len(cells))
        k._store_cells(after, cells)
        return residuals

    def _back(self, places: Sequence[Memory], states: list) -> None:
        k, inputs = self.k, self.backward.inputs
        fixed, tape, state = split(inputs, len(self.fixed), len(places))
        k._bind(fixed, self.fixed)
        k.places.update(zip(tape, places, strict=True))
        k._bind_cells(state, states)
        k._body(self.backward, self.updates)
        k._store_cells(self.backward.outputs, states)

    def _write(self, places: Sequence[Memory], atoms: Sequence[Any]) -> None:
        for atom, memory in zip(atoms, places, strict=True):
            self.k._write(self.k._elements(atom), memory, self.k._place_name(memory))


def _arrays(row: Row, k: _Region, base: str, begin: str, number: str) -> list[Memory]:
    """The arrays of a row, the rows beginning so many bytes after the base."""
    start = k._op("add i64", begin, k._op("mul i64", number, str(row.nbytes)))
    places = []
    for aval, offset in zip(row.avals, row.offsets, strict=True):
        at, place = k._op("add i64", start, str(offset)), k.b.fresh("tape")
        k.b.raw(f"{place} = getelementptr i8, ptr {base}, i64 {at}")
        places.append(Memory(place, None, aval))
    return places
