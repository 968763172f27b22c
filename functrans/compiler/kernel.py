"""One fused loop nest: from a group of equations to LLVM IR, and to text that a person reads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np

from functrans.compiler.blocks import FEW_ITERATIONS, block_size
from functrans.compiler.elements import BAKED, INDEX, Elements, shown_key
from functrans.compiler.emitted import AS_IT_STANDS, ONE_BY_ONE, EmittedKernel
from functrans.compiler.forms import is_reduction
from functrans.compiler.grouping import Kernel
from functrans.compiler.index import Counter, IndexExpr, flat, unflat
from functrans.compiler.long_sums import (
    MANY_BLOCKS,
    MOST_COLUMNS,
    RUN,
    RUN_OF_RESULTS,
    RUN_OF_ROWS,
    RUN_OF_ROWS_OF_RESULTS,
    SHORTEST_RUN,
    Place,
    add_run,
    is_long_sum,
    sum_of_runs,
)
from functrans.compiler.nests import (
    TILE,
    VECTORISED,
    Cut,
    Loop,
    boundaries,
    breaks,
    crossed,
    divided,
    exchanged,
    indexed_apart,
    longest,
    loops_of,
    vectors_in,
)
from functrans.compiler.values import Value
from functrans.core.program import Equation, Var

VECTORS = (4, 8)
"""Iterations of a loop that fill a vector, or a few."""
LANES = (4, 8, 16, 32)
"""Iterations of the innermost loop of a fold over several that have an accumulator each."""
LANES_WEIGHT = 320
"""Instructions in these."""
WORTH_GATHERING = 2
"""Instructions for every element that lies apart from its neighbours, from which on it pays to
collect such elements in vectors: 32 transposed matrices of 64×64 are copied in 32 µs with them and
22 without, multiplied and summed in 32 and 45, and the tanh of a larger one takes 0.30 ms and
0.58."""


def emit_kernel(
    kernel: Kernel,
    inlined: dict[Var, Equation],
    stored: set[Var],
    overwritten: dict[Var, Var] | None = None,
) -> EmittedKernel:
    """The IR of a kernel.

    Args:
        kernel: from `fuse.partition`.
        inlined: equations computed where they are read.
        stored: variables that must be written to memory.
        overwritten: by result the array that it reads and whose memory it takes.
    """
    apart = boundaries(kernel, inlined)
    if apart is None:
        return _emit_indexed(kernel, inlined, stored, overwritten or {})
    return _Emitter(kernel, inlined, stored, overwritten or {}, apart).emit()


def _emit_indexed(
    kernel: Kernel,
    inlined: dict[Var, Equation],
    stored: set[Var],
    overwritten: dict[Var, Var],
) -> EmittedKernel:
    """The IR of a kernel with index operations: with merged loops if no index gets a division, with
    loops cut in two where that saves one, and in tiles, or in another order and in segments."""
    everything = set(range(1, len(kernel.shape)))
    emitter = partial(_Emitter, kernel, inlined, stored, overwritten)
    best = emitter(everything)
    emitted = best.emit()
    apart = indexed_apart(best.loops, best.indices)
    if len(loops_of(kernel, apart)) != len(best.loops):
        merged = emitter(apart)
        other = merged.emit()
        if merged.divisions <= best.divisions and set(other.buffers) == set(emitted.buffers):
            best, emitted = merged, other
    while cut := divided(best.loops, best.indices):
        smaller = emitter(best.apart, [*best.cuts, cut])
        other = smaller.emit()
        if smaller.divisions >= best.divisions:
            break
        best, emitted = smaller, other
    if tiles := crossed(best.loops, best.indices, kernel.weight):
        tiled = emitter(best.apart, best.cuts, tiles)
        other = tiled.emit()
        return other if tiled.divisions <= best.divisions else emitted
    if inner := exchanged(best.loops, best.indices):
        best = emitter(best.apart, best.cuts, inner=inner)
        emitted = best.emit()
    if points := breaks(kernel, best.loops, best.conditions):
        return emitter(best.apart, best.cuts, points=points, inner=best.inner).emit()
    return emitted


class _Emitter(Elements):
    """Adds the loops of a `Kernel`, stage by stage."""

    def __init__(
        self,
        kernel: Kernel,
        inlined: dict[Var, Equation],
        stored: set[Var],
        overwritten: dict[Var, Var],
        apart: set[int],
        cuts: Sequence[Cut] = (),
        tiled: Sequence[Loop] = (),
        points: Sequence[int] = (),
        inner: Loop | None = None,
    ) -> None:
        super().__init__(inlined, overwritten)
        self.kernel = kernel
        self.stored = stored
        self.apart = apart
        self.loops = loops_of(kernel, apart)
        self.cuts = cuts
        self.digits = {loop.axes: [loop] for loop in self.loops}
        """The loops over the same axes, the outermost first."""
        for loop, size in cuts:
            self._cut(loop, size)
        self.tiles = [self._cut(*tile) for tile in zip(tiled, TILE if tiled else (), strict=True)]
        for within in self.tiles:  # in the order of the loops around them, after all of these
            self.loops.remove(within)
            self.loops.append(within)
        self.inner = inner
        if inner is not None:
            self.loops.remove(inner)
            self.loops.append(inner)
        over_blocks = Loop((), Counter(len(self.loops), kernel.blocks), False)
        self.block = over_blocks if kernel.blocks > 1 else None
        self.shared = self._shared()
        self.bounds: dict[Loop, tuple[str, str, str]] = {}
        """Where loops begin and end, and that for people, if it is not their whole extent, or if it
        is the same for all sizes of arrays."""
        self.scalar_loops: set[Loop] = set()
        """Those whose iterations LLVM is not to put into vectors."""
        self.extents: list[int] = []
        """Of the loops in the order in which they begin."""
        self.points = points
        self.segment: Counter | int | None = None
        """What stands for the counter of the innermost loop, where it is cut at these points."""
        for within in self.tiles:
            n = str(within.counter.extent)
            self.bounds[within] = "0", n, n

    def _cut(self, loop: Loop, size: int) -> Loop:
        """Make two loops of one; the inner one, which is returned, has so many iterations."""
        over = replace(loop, counter=replace(loop.counter, extent=loop.counter.extent // size))
        within = replace(loop, counter=Counter(len(self.loops), size))
        for loops in (self.loops, self.digits[loop.axes]):
            place = loops.index(loop)
            loops[place : place + 1] = [over, within]
        return within

    @property
    def divisions(self) -> int:
        """How many there are in indices."""
        return sum(len(i.quotients) for i in self.indices)

    def _shared(self) -> Loop | None:
        """The loop whose iterations may run apart, which threads share."""
        if self.block is not None:
            return self.block
        kept = [loop for loop in self.loops if not loop.reduced]
        if self.kernel.inner:
            return longest(kept, FEW_ITERATIONS) if kept else None
        return self.loops[0] if self.loops and not self.loops[0].reduced else None

    def emit(self) -> EmittedKernel:
        index = self._index()
        inner_kept = bool(self.loops) and not self.loops[-1].reduced
        with self._over_blocks():
            if inner_kept and any(loop.reduced for loop in self.loops):
                self._emit_column_sums(index)
            else:
                self._emit_nest(index)
        return self._finish(self.shared.counter.extent if self.shared else 1)

    def _index(self) -> list[IndexExpr]:
        """The multi-index of the iteration, axis by axis."""
        index: list[IndexExpr] = [IndexExpr()] * len(self.kernel.shape)
        for axes, loops in self.digits.items():
            at = flat(list(map(self._counter, loops)), tuple(x.counter.extent for x in loops))
            parts = unflat(at, tuple(self.kernel.shape[a] for a in axes))
            for axis, part in zip(axes, parts, strict=True):
                index[axis] = part
        return index

    def _counter(self, loop: Loop) -> Counter | int:
        if self.segment is not None and loop == self.loops[-1]:
            return self.segment
        return loop.counter

    def _segments(self, innermost: list[Loop]) -> Iterator[list[Loop]]:
        """The innermost loop, if there is one, or the segments that it is cut into."""
        if not self.points:
            yield innermost
            return
        (loop,) = innermost
        segments = list(itertools.pairwise([0, *self.points, loop.counter.extent]))
        lengths = [end - begin for begin, end in segments]
        vectors = vectors_in(lengths)
        for begin, end in segments:
            if max(lengths) == 1 and loop != self.shared and loop not in self.bounds:
                self.segment = begin
                yield []
                continue
            self.segment = counter = replace(loop.counter, begin=begin, extent=end)
            part = replace(loop, counter=counter)
            self.bounds[part] = self._bounds_within(loop, begin, end)
            if len(vectors) > VECTORISED or end - begin not in vectors:
                self.scalar_loops.add(part)
            yield [part]
        self.segment = None

    def _bounds_within(self, loop: Loop, begin: int, end: int) -> tuple[str, str, str]:
        """Where a segment of a loop begins and ends, and that for people."""
        first, last = (
            self._constant(n, f"{x} {loop.counter}") for n, x in ((begin, "begin"), (end, "end"))
        )
        if loop == self.shared or loop in self.bounds:
            whole = [Value(text, INDEX) for text in self._bounds(loop)[:2]]
            first = self.b.maximum(whole[0], Value(first, INDEX)).text
            last = self.b.minimum(whole[1], Value(last, INDEX)).text
        return first, last, f"{begin}, {end}" if begin else str(end)

    def _emit_nest(self, index: list[IndexExpr]) -> None:
        """Loops over what is kept; in each, stage by stage, a pass over what is reduced, or if
        nothing is, over the innermost loop."""
        kept = [loop for loop in self.loops if not loop.reduced]
        outer, inner = kept, self.loops[len(kept) :]
        if not self.kernel.folds:
            outer, inner = kept[:-1], kept[-1:]
        row = self._kept_index(index)
        with self._nest(outer):
            for stage in range(self.kernel.stages):
                members = [m for m in self.kernel.members if m.stage == stage]
                for member in members:
                    if member.per_row:
                        self._compute(self._row_index(member.equation, row), member.equation)
                over_row = [m.equation for m in members if not m.per_row]
                if over_row:
                    self._emit_pass(row, inner, over_row)

    def _emit_pass(self, row: list[IndexExpr], inner: list[Loop], members: list) -> None:
        """One pass over a row: what is computed for each element, what is folded over all."""
        lanes = self._lanes(inner)
        cells = {e: self._accumulators(e, lanes) for e in members if is_reduction(e)}
        runs = self._runs(inner, lanes)
        long = [e for e in members if runs is not None and is_long_sum(e)]
        totals = {e: (self._accumulators(e, 1), self._accumulators(e, 1)) for e in long}
        with self._nest(inner[:-1]), self._in_runs(inner[-1:], runs if long else None):
            for equation in long:
                self.b.store(self._identity(equation), cells[equation], None)
            for last in self._segments(inner[-1:]):
                with self._nest(last):
                    index = self._index()
                    for equation in members:
                        if is_reduction(equation):
                            x = self._operand(equation, index)
                            lane = self.counters[inner[-1].counter] if lanes > 1 else None
                            self._fold(equation, cells[equation], lane, x)
                        else:
                            self._compute(index, equation)
            for equation in long:
                total, rest = totals[equation]
                places = (cells[equation], None), (total, None), (rest, None)
                add_run(self.b, *places, equation.outputs[0].aval.dtype)
                self._line(f"{self.shown[total]} += {self.shown[cells[equation]]}")
        for equation in members:
            if is_reduction(equation):
                out = equation.outputs[0]
                if equation in totals:
                    total, rest = totals[equation]
                    found = sum_of_runs(self.b, (total, None), (rest, None), out.aval.dtype)
                    self.shown[shown_key(found)] = self.shown[total]
                else:
                    found = self._total(equation, cells[equation], lanes)
                self.memo[-1][(out, tuple(row))] = found
                if out in self.stored:
                    self._store(out, self._result_index(row), found)

    def _runs(self, inner: list[Loop], lanes: int) -> int | None:
        """Iterations of the innermost loop after which long sums are added up, if they are."""
        if lanes > 1 or self.points or not (inner and inner[-1].reduced):
            return None
        length = self._length(inner[-1])
        size = RUN_OF_RESULTS if self.kernel.of_blocks else RUN
        if length > size:
            return size
        return length if len(inner) > 1 and length >= SHORTEST_RUN else None

    def _length(self, loop: Loop) -> int:
        """The iterations of a loop, if it is the one that blocks divide those of one."""
        extent = loop.counter.extent
        if self.block is None or loop is not self._divided():
            return extent
        return block_size(extent, self.block.counter.extent)

    @contextmanager
    def _in_runs(self, innermost: list[Loop], size: int | None) -> Iterator[None]:
        """The loop over runs of so many iterations, if the innermost loop has more."""
        if size is None or size >= self._length(innermost[0]):
            yield
            return
        (loop,) = innermost
        first, last, shown = self._bounds(loop)
        before = self.bounds.get(loop)
        count = -(-self._length(loop) // size)
        runs = Loop((), Counter(len(self.loops) + 1, count), True)
        with self._loop(runs):
            step = self._constant(size, "run")
            skipped = self._op("mul nuw nsw i64", self.counters[runs.counter], step)
            begin = self._op("add nuw nsw i64", first, skipped)
            end = Value(self._op("add nuw nsw i64", begin, step), INDEX)
            end = self.b.minimum(end, Value(last, INDEX))
            text = f"{size} * {runs.counter}, {size} * ({runs.counter} + 1)  within {shown}"
            self.bounds[loop] = begin, end.text, text
            yield
        del self.bounds[loop]
        if before is not None:
            self.bounds[loop] = before

    def _row_index(self, equation: Equation, row: list[IndexExpr]) -> list[IndexExpr]:
        """The index of a row in the shape that a member computed once per row has."""
        return unflat(flat(row, self.kernel.row_shape), equation.outputs[0].aval.shape)

    def _emit_column_sums(self, index: list[IndexExpr]) -> None:
        """The innermost axis is kept: accumulate whole rows in the output, which stays in cache."""
        equations = [m.equation for m in self.kernel.members]
        reductions = [e for e in equations if is_reduction(e)]
        first = next(i for i, loop in enumerate(self.loops) if loop.reduced)
        folded = [loop for loop in self.loops if loop.reduced]
        outer, inner = self.loops[:first], self.loops[first + len(folded) :]
        at = self._result_index(self._kept_index(index))
        if inner[-1].counter.extent in VECTORS:
            # LLVM unrolls the short loop and makes vectors of it; left alone, it would take them
            # across iterations of the loop around, and sort elements into them
            self.scalar_loops.add([*folded, *inner][-2])
        size = self._run_of_rows(folded, inner)
        long = [e for e in reductions if size is not None and is_long_sum(e)]
        runs, rests = ({e: self._row_of_cells(e, inner) for e in long} for _ in range(2))
        each = inner if long else []

        def places(e: Equation) -> tuple[Place, Place, Place, np.dtype]:
            run, rest = self._cell(runs[e], inner), self._cell(rests[e], inner)
            return run, self._place(e.outputs[0], at), rest, e.outputs[0].aval.dtype

        with self._nest(outer):
            with self._nest(inner):
                for equation in reductions:
                    self._store(equation.outputs[0], at, self._identity(equation))
                for equation in long:
                    self.b.store(self._identity(equation), *self._cell(rests[equation], inner))
            with self._in_runs(folded[:1], size if long else None):
                with self._nest(each):
                    for equation in long:
                        self.b.store(self._identity(equation), *self._cell(runs[equation], inner))
                with self._nest(folded), self._nest(inner):
                    for equation in equations:
                        if not is_reduction(equation):
                            self._compute(index, equation)
                    for equation in reductions:
                        self._fold_column(equation, index, at, inner, runs.get(equation))
                with self._nest(each):
                    for equation in long:
                        add_run(self.b, *places(equation))
                        self._line(f"{self._element(equation.outputs[0], at)} += run of rows")
            with self._nest(each):
                for equation in long:
                    self._store(equation.outputs[0], at, sum_of_runs(self.b, *places(equation)[1:]))

    def _run_of_rows(self, folded: list[Loop], inner: list[Loop]) -> int | None:
        """Iterations of the outermost folded loop after which long sums are added up, if they are:
        the errors of many blocks cancel."""
        size = RUN_OF_ROWS_OF_RESULTS if self.kernel.of_blocks else RUN_OF_ROWS
        few = self.block is None or self.block.counter.extent < MANY_BLOCKS
        columns = math.prod(loop.counter.extent for loop in inner)
        is_long = self._length(folded[0]) > 4 * size
        return size if few and is_long and columns <= MOST_COLUMNS else None

    def _fold_column(
        self,
        equation: Equation,
        index: list[IndexExpr],
        at: list[IndexExpr],
        inner: list[Loop],
        run: str | None,
    ) -> None:
        """Combine an element with what its column has been folded to, or the run of rows has."""
        (out,) = equation.outputs
        place = self._place(out, at) if run is None else self._cell(run, inner)
        shown = self._element(out, at) if run is None else self.shown[run]
        before = self.b.load(*place, out.aval.dtype)
        self.shown[shown_key(before)] = shown
        x = self._operand(equation, index)
        combined = equation.primitive.lower.combine(self.b, before, x)
        self._name(combined, f"{equation.primitive.name}(…)")
        self.b.store(combined, *place)
        self._line(f"{shown} = {self._show(combined)}")

    def _place(self, var: Var, index: Sequence[IndexExpr]) -> tuple[str, str]:
        """Where an element of a result is."""
        return self._pointer(var, written=True), self._int(flat(list(index), var.aval.shape))

    def _row_of_cells(self, equation: Equation, inner: list[Loop]) -> str:
        """A cell for every column."""
        columns = math.prod(loop.counter.extent for loop in inner)
        cell = self._alloca(equation.outputs[0].aval.dtype, columns)
        self.shown[cell] = f"row{len([k for k in self.shown if k.startswith('%cell')])}"
        return cell

    def _cell(self, row: str, inner: list[Loop]) -> tuple[str, str]:
        """The cell of the column that the loops have come to."""
        extents = tuple(loop.counter.extent for loop in inner)
        return row, self._int(flat([IndexExpr.of(loop.counter) for loop in inner], extents))

    def _compute(self, index: list[IndexExpr], equation: Equation) -> None:
        values = self._apply(equation, index)
        for var, value in zip(equation.outputs, values, strict=True):
            self.memo[-1][(var, tuple(index))] = value
            if var in self.stored:
                self._store(var, index, value)

    def _kept_index(self, index: list[IndexExpr]) -> list[IndexExpr]:
        return [i for axis, i in enumerate(index) if axis not in self.kernel.reduced]

    def _result_index(self, row: list[IndexExpr]) -> list[IndexExpr]:
        """Where the result of a reduction over a row is: if of a block, along the block's axis."""
        if self.block is None:
            return row
        axis = self.kernel.block_axis
        return [*row[:axis], IndexExpr.of(self.block.counter), *row[axis:]]

    def _operand(self, equation: Equation, index: list[IndexExpr]) -> Value:
        return self._value(equation.inputs[0], index)

    def _identity(self, equation: Equation) -> Value:
        dtype = equation.outputs[0].aval.dtype
        return self.b.const(equation.primitive.lower.identity(dtype), dtype)

    def _lanes(self, inner: list[Loop]) -> int:
        """Accumulators of a pass: one for each iteration of its innermost loop if these are few,
        and LLVM makes a vector of them."""
        if len(inner) < 2 or not inner[-1].reduced or self.points:
            return 1
        short, n = inner[-1], inner[-1].counter.extent
        if n not in LANES or n * self.kernel.weight > LANES_WEIGHT:
            return 1
        whole = "0", str(n), str(n)
        if self.bounds.setdefault(short, whole) != whole:
            return 1
        self.scalar_loops.add(inner[-2])
        return n

    def _accumulators(self, equation: Equation, lanes: int) -> str:
        cell = self._alloca(equation.outputs[0].aval.dtype, lanes)
        identity = self._identity(equation)
        for lane in range(lanes):
            self.b.store(identity, cell, str(lane))
        self.shown[cell] = f"acc{len([k for k in self.shown if k.startswith('%cell')])}"
        self._line(f"{self.shown[cell]} = identity of {equation.primitive.name}")
        return cell

    def _fold(self, equation: Equation, cell: str, lane: str | None, x: Value) -> None:
        dtype = equation.outputs[0].aval.dtype
        total = equation.primitive.lower.combine(self.b, self.b.load(cell, lane, dtype), x)
        self.b.store(total, cell, lane)
        name = equation.primitive.name.removeprefix("reduce_")
        self._line(f"{self.shown[cell]} = {name}({self.shown[cell]}, {self._show(x)})")

    def _total(self, equation: Equation, cell: str, lanes: int) -> Value:
        dtype = equation.outputs[0].aval.dtype
        parts = [self.b.load(cell, str(lane), dtype) for lane in range(lanes)]
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=True)
            parts = [equation.primitive.lower.combine(self.b, x, y) for x, y in pairs]
        self.shown[shown_key(parts[0])] = self.shown[cell]
        return parts[0]

    def _divided(self) -> Loop:
        """The loop that blocks divide."""
        assert self.block is not None
        return longest([loop for loop in self.loops if loop.reduced], self.block.counter.extent)

    @contextmanager
    def _over_blocks(self) -> Iterator[None]:
        """The loop over blocks, if there is one, which cuts one of those that are folded."""
        if self.block is None:
            yield
            return
        k = self.block.counter
        cut = self._divided()
        extent = cut.counter.extent
        size = block_size(extent, k.extent)
        with self._loop(self.block):
            begin = self._op("mul nuw nsw i64", self.counters[k], self._constant(size, "block"))
            end = self._op("add nuw nsw i64", begin, self._constant(size, "block"))
            whole = self._constant(extent, f"extent {cut.counter}")
            end = self.b.minimum(Value(end, INDEX), Value(whole, INDEX)).text
            text = f"{size} * {k}, min({size} * ({k} + 1), {extent})"
            self.bounds[cut] = begin, end, text
            yield

    @contextmanager
    def _nest(self, loops: Sequence[Loop]) -> Iterator[None]:
        if not loops:
            yield
            return
        with self._loop(loops[0]), self._nest(loops[1:]):
            yield

    @contextmanager
    def _loop(self, loop: Loop) -> Iterator[None]:
        b = self.b
        self.extents.append(loop.counter.extent - loop.counter.begin)
        place = len(self.extents), len(self.indices)
        cell = b.fresh("c")
        self.entry_lines.append(f"{cell} = alloca i64")
        first, last, shown = self._bounds(loop)
        head, body, end = b.fresh_label("loop"), b.fresh_label("body"), b.fresh_label("done")
        b.raw(f"store i64 {first}, ptr {cell}")
        b.br(head)
        b.label(head)
        copy = b.fresh()
        b.raw(f"{copy} = load i64, ptr {cell}")
        go_on = self._op("icmp slt i64", copy, last)
        b.cond_br(Value(go_on, np.dtype(np.bool_)), body, end)
        b.label(body)
        self.counters[loop.counter] = copy
        self._line(f"for {loop.counter} in range({shown}):")
        with self._scope():
            yield
        following = self._op("add nuw nsw i64", copy, "1")
        b.raw(f"store i64 {following}, ptr {cell}")
        b.raw(f"br label %{head}{self._hint(loop, *place)}")
        b.label(end)

    def _hint(self, loop: Loop, loops: int, indices: int) -> str:
        """What LLVM is told of a loop, given how many loops and indices were before its body."""
        inside = self.extents[loops:]
        if any(n > BAKED for n in inside) or (inside and self.tiles):
            return AS_IT_STANDS
        far = [i for i in self.indices[indices:] if abs(i.coefficient(loop.counter)) > BAKED]
        worth = not inside and self.kernel.weight >= WORTH_GATHERING * len(far)
        if loop in self.scalar_loops or (far and not worth):
            return ONE_BY_ONE
        self.gathers |= bool(far)
        return AS_IT_STANDS if loop.counter is self.segment else ""

    def _bounds(self, loop: Loop) -> tuple[str, str, str]:
        """Where a loop begins and ends, and that for people."""
        extent = loop.counter.extent
        if loop is self.shared:
            return "%lo", "%hi", str(extent)
        if loop in self.bounds:
            return self.bounds[loop]
        return "0", self._constant(extent, f"extent {loop.counter}"), str(extent)
