"""One fused loop nest: from a group of equations to LLVM IR, and to text that a person reads.

Sizes, strides and offsets above a small limit are run-time arguments, so the text of a kernel, and
with it the machine code, is the same for every size of the same structure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from functrans.compiler.forms import emitter, is_reduction
from functrans.compiler.grouping import Kernel
from functrans.compiler.index import (
    Condition,
    Counter,
    Dynamic,
    IndexExpr,
    Quotient,
    decided,
    flat,
    unflat,
)
from functrans.compiler.llvm import Builder, Value
from functrans.core.lowering import Indexed, Pointwise
from functrans.core.program import Atom, Equation, Literal, Var

BAKED = 8
"""Integers up to this size are constants of the kernel; larger ones are arguments."""
INDEX = np.dtype(np.int64)


@dataclass(frozen=True)
class EmittedKernel:
    """A kernel ready to compile.

    Attributes:
        name: of the native function; from the hash of the text, so equal kernels share it.
        ir: LLVM IR of its functions, without declarations.
        declarations: the module-level lines that it needs.
        buffers: the arrays it reads (variables or array literals), then those it writes.
        ints: its run-time integers.
        extent: trip count of the outermost loop.
        source: what it does, for people.
    """

    name: str
    ir: str
    declarations: tuple[str, ...]
    buffers: tuple[Atom, ...]
    outputs: tuple[Var, ...]
    ints: tuple[int, ...]
    extent: int
    source: str


@dataclass(frozen=True)
class Loop:
    """A loop over one or several merged axes of the iteration space."""

    axes: tuple[int, ...]
    counter: Counter
    reduced: bool


def emit_kernel(kernel: Kernel, inlined: dict[Var, Equation], stored: set[Var]) -> EmittedKernel:
    """The IR of a kernel.

    Args:
        kernel: from `fuse.partition`.
        inlined: equations computed where they are read.
        stored: variables that must be written to memory.
    """
    return _Emitter(kernel, inlined, stored).emit()


class _Emitter:
    """The state of emitting one kernel; also what `Indexed` lowerings see as `k`."""

    def __init__(self, kernel: Kernel, inlined: dict[Var, Equation], stored: set[Var]) -> None:
        self.kernel = kernel
        self.inlined = inlined
        self.stored = stored
        self.b = Builder()
        self.pointers: dict[Any, str] = {}
        self.buffers: list[Atom] = []
        self.written: list[Var] = []
        self.int_names: dict[int, str] = {}
        self.counters: dict[Counter, str] = {}
        self.memo: list[dict[Any, Value]] = [{}]
        self.loops = _loops(kernel, inlined)
        self.entry_lines: list[str] = []
        self.lines: list[str] = []
        self.depth = 0
        self.shown: dict[str, str] = {}
        self.equation: Equation | None = None

    # --- the whole kernel ---

    def emit(self) -> EmittedKernel:
        index = self._index()
        inner_kept = bool(self.loops) and not self.loops[-1].reduced
        if inner_kept and any(loop.reduced for loop in self.loops):
            self._emit_column_sums(index)
        else:
            self._emit_nest(index)
        return self._finish()

    def _index(self) -> list[IndexExpr]:
        """The multi-index of the iteration, axis by axis."""
        index: list[IndexExpr] = [IndexExpr()] * len(self.kernel.shape)
        for loop in self.loops:
            shape = tuple(self.kernel.shape[a] for a in loop.axes)
            parts = unflat(IndexExpr.of(loop.counter), shape)
            for axis, part in zip(loop.axes, parts, strict=True):
                index[axis] = part
        return index

    def _emit_nest(self, index: list[IndexExpr]) -> None:
        """Loops over what is kept; in each, stage by stage, a pass over what is reduced."""
        kept = [loop for loop in self.loops if not loop.reduced]
        folded = [loop for loop in self.loops if loop.reduced]
        row = self._kept_index(index)
        with self._nest(kept):
            for stage in range(1 + max(m.stage for m in self.kernel.members)):
                members = [m for m in self.kernel.members if m.stage == stage]
                for member in members:
                    if member.per_row:
                        self._compute(self._row_index(member.equation, row), member.equation)
                over_row = [m.equation for m in members if not m.per_row]
                if over_row:
                    self._emit_pass(index, row, folded, over_row)

    def _emit_pass(
        self, index: list[IndexExpr], row: list[IndexExpr], folded: list[Loop], members: list
    ) -> None:
        """One pass over a row: what is computed for each element, what is folded over all."""
        cells = {id(e): self._accumulator(e) for e in members if is_reduction(e)}
        with self._nest(folded):
            for equation in members:
                if is_reduction(equation):
                    self._fold(equation, cells[id(equation)], self._operand(equation, index))
                else:
                    self._compute(index, equation)
        for equation in members:
            if is_reduction(equation):
                cell, out = cells[id(equation)], equation.outputs[0]
                total = self.b.load(cell, None, out.aval.dtype)
                self.shown[_key(total)] = self.shown[cell]
                self.memo[-1][(out, tuple(row))] = total
                if out in self.stored:
                    self._store(out, row, total)

    def _row_index(self, equation: Equation, row: list[IndexExpr]) -> list[IndexExpr]:
        """The index of a row in the shape that a member computed once per row has."""
        return unflat(flat(row, self.kernel.row_shape), equation.outputs[0].aval.shape)

    def _emit_column_sums(self, index: list[IndexExpr]) -> None:
        """The innermost axis is kept: accumulate whole rows in the output, which stays in cache."""
        equations = [m.equation for m in self.kernel.members]
        reductions = [e for e in equations if is_reduction(e)]
        last = self.loops[-1]
        outer = [loop for loop in self.loops[:-1] if not loop.reduced]
        folded = [loop for loop in self.loops if loop.reduced]
        at = self._kept_index(index)
        with self._nest(outer):
            with self._nest([last]):
                for equation in reductions:
                    self._store(equation.outputs[0], at, self._identity(equation))
            with self._nest(folded), self._nest([last]):
                for equation in equations:
                    if not is_reduction(equation):
                        self._compute(index, equation)
                for equation in reductions:
                    out = equation.outputs[0]
                    before = self._load_output(out, at)
                    combined = equation.primitive.lower.combine(
                        self.b, before, self._operand(equation, index)
                    )
                    self._name(combined, f"{equation.primitive.name}(…)")
                    self._store(out, at, combined)

    def _compute(self, index: list[IndexExpr], equation: Equation) -> None:
        values = self._apply(equation, index)
        for var, value in zip(equation.outputs, values, strict=True):
            self.memo[-1][(var, tuple(index))] = value
            if var in self.stored:
                self._store(var, index, value)

    def _kept_index(self, index: list[IndexExpr]) -> list[IndexExpr]:
        return [i for axis, i in enumerate(index) if axis not in self.kernel.reduced]

    def _operand(self, equation: Equation, index: list[IndexExpr]) -> Value:
        return self._value(equation.inputs[0], index)

    def _identity(self, equation: Equation) -> Value:
        dtype = equation.outputs[0].aval.dtype
        return self.b.const(equation.primitive.lower.identity(dtype), dtype)

    def _accumulator(self, equation: Equation) -> str:
        cell = self._alloca(equation.outputs[0].aval.dtype)
        self.b.store(self._identity(equation), cell, None)
        self.shown[cell] = f"acc{len([k for k in self.shown if k.startswith('%cell')])}"
        self._line(f"{self.shown[cell]} = identity of {equation.primitive.name}")
        return cell

    def _fold(self, equation: Equation, cell: str, x: Value) -> None:
        dtype = equation.outputs[0].aval.dtype
        total = equation.primitive.lower.combine(self.b, self.b.load(cell, None, dtype), x)
        self.b.store(total, cell, None)
        name = equation.primitive.name.removeprefix("reduce_")
        self._line(f"{self.shown[cell]} = {name}({self.shown[cell]}, {self._show(x)})")

    # --- elements ---

    def _value(self, atom: Atom, index: Sequence[Any]) -> Value:
        """The element of an array at an index: from a register, computed, or loaded."""
        exprs = tuple(IndexExpr.of(i) for i in index)
        if type(atom) is Literal:
            return self._literal(atom, exprs)
        key = (atom, exprs)
        for scope in reversed(self.memo):
            if key in scope:
                return scope[key]
        equation = self.inlined.get(atom)  # type: ignore[arg-type]
        value = self._apply(equation, exprs)[0] if equation else self._load(atom, exprs)
        self.memo[-1][key] = value
        return value

    def _apply(self, equation: Equation, index: Sequence[IndexExpr]) -> list[Value]:
        lower = equation.primitive.lower
        if isinstance(lower, Indexed):
            outer, self.equation = self.equation, equation
            value = lower.emit(self, list(index), **equation.params)
            self.equation = outer
            return [value]
        assert isinstance(lower, Pointwise)
        operands = [self._value(a, _aligned(a, index)) for a in equation.inputs]
        emit = emitter(lower.emit)
        assert emit is not None  # fuse.is_elemental
        result = emit(self.b, *operands, **equation.params)
        values = list(result) if equation.primitive.multiple_results else [result]
        shown = ", ".join(map(self._show, operands))
        for value in values:
            self._name(value, f"{equation.primitive.name}({shown})", equation)
        return values

    def _literal(self, atom: Literal, index: tuple[IndexExpr, ...]) -> Value:
        if atom.aval.size == 1:
            value = self.b.const(np.asarray(atom.value).reshape(())[()], atom.aval.dtype)
            self.shown[_key(value)] = str(np.asarray(atom.value).reshape(())[()])
            return value
        return self._load(atom, index)

    def _load(self, atom: Atom, index: Sequence[IndexExpr]) -> Value:
        offset = flat(list(index), atom.aval.shape)
        value = self.b.load(self._pointer(atom), self._int(offset), atom.aval.dtype)
        self.shown[_key(value)] = self._element(atom, index)
        return value

    def _load_output(self, var: Var, index: Sequence[IndexExpr]) -> Value:
        pointer = self._pointer(var, written=True)
        value = self.b.load(pointer, self._int(flat(list(index), var.aval.shape)), var.aval.dtype)
        self.shown[_key(value)] = self._element(var, index)
        return value

    def _store(self, var: Var, index: Sequence[IndexExpr], value: Value) -> None:
        pointer = self._pointer(var, written=True)
        self.b.store(value, pointer, self._int(flat(list(index), var.aval.shape)))
        self._line(f"{self._element(var, index)} = {self._show(value)}")

    # --- what `Indexed` lowerings call ---

    @property
    def operands(self) -> int:
        assert self.equation is not None
        return len(self.equation.inputs)

    def aval(self, operand: int) -> Any:
        assert self.equation is not None
        return self.equation.inputs[operand].aval

    def read(self, operand: int, index: Sequence[Any]) -> Value:
        """The element of an operand at an index."""
        assert self.equation is not None
        return self._value(self.equation.inputs[operand], index)

    def read_flat(self, operand: int, index: Sequence[Any], shape: tuple[int, ...]) -> Value:
        """The element of an operand at the row-major position that `index` has in `shape`."""
        position = flat(list(index), shape)
        return self.read(operand, unflat(position, self.aval(operand).shape))

    def guard(
        self, conditions: Sequence[Condition], then: Callable[[], Value], other: Callable[[], Value]
    ) -> Value:
        """then() where all conditions hold, else other(); what is not taken is not computed."""
        open_conditions = []
        for condition in conditions:
            known = decided(condition)
            if known is False:
                return other()
            if known is None:
                open_conditions.append(condition)
        if not open_conditions:
            return then()
        flags = [self._condition(c) for c in open_conditions]
        total = flags[0]
        for flag in flags[1:]:
            total = self.b.and_(total, flag)
        self.shown[_key(total)] = " and ".join(map(str, open_conditions))
        return self.guard_value(total, then, other)

    def guard_value(
        self, condition: Value, then: Callable[[], Value], other: Callable[[], Value]
    ) -> Value:
        """As `guard`, for a condition that is a bool Value."""
        b = self.b
        yes, no, end = b.fresh_label("then"), b.fresh_label("else"), b.fresh_label("end")
        b.cond_br(condition, yes, no)
        self._line(f"if {self._show(condition)}:")
        cell: str | None = None
        dtype: Any = None
        name = f"v{len(self.shown)}"
        for label, branch in ((yes, then), (no, other)):
            b.label(label)
            if label == no:
                self._line("else:")
            with self._scope():
                value = branch()
                if cell is None:
                    dtype = value.dtype
                    cell = self._alloca(dtype)
                b.store(value, cell, None)
                self._line(f"{name} = {self._show(value)}")
            b.br(end)
        b.label(end)
        assert cell is not None
        result = b.load(cell, None, dtype)
        self.shown[_key(result)] = name
        return result

    def dynamic(self, value: Value, extent: int) -> IndexExpr:
        """An index read from an array, clamped to [0, extent)."""
        b = self.b
        wide = b.convert(value, INDEX)
        limit = Value(self._constant(extent - 1), INDEX)
        low = b.maximum(wide, b.const(0, INDEX))
        clamped = b.minimum(low, limit)
        return IndexExpr.of(Dynamic(clamped.text, f"clamp({self._show(value)})"))

    def index_value(self, index: Any, dtype: Any) -> Value:
        """An index expression as a value of a dtype."""
        expr = IndexExpr.of(index)
        value = self.b.convert(Value(self._int(expr), INDEX), np.dtype(dtype))
        self.shown[_key(value)] = str(expr)
        return value

    # --- integers ---

    def _int(self, expr: IndexExpr) -> str:
        """The SSA text of an index expression."""
        total: str | None = None
        for atom, factor in expr.terms:
            term = self._atom(atom)
            if factor != 1:
                term = self._op("mul nsw i64", term, self._constant(factor))
            total = term if total is None else self._op("add nsw i64", total, term)
        if total is None:
            return self._constant(expr.constant)
        if expr.constant:
            total = self._op("add nsw i64", total, self._constant(expr.constant))
        return total

    def _atom(self, atom: Any) -> str:
        if isinstance(atom, Dynamic):
            return atom.text
        if isinstance(atom, Counter):
            return self.counters[atom]
        assert isinstance(atom, Quotient)
        key = ("quotient", atom)
        for scope in reversed(self.memo):
            if key in scope:
                return scope[key].text
        text = self._floor_divide(atom)
        self.memo[-1][key] = Value(text, INDEX)
        return text

    def _floor_divide(self, atom: Quotient) -> str:
        x = self._int(atom.index)
        bounds = atom.index.bounds()
        if bounds is not None and bounds[0] >= 0:
            return self._op("udiv i64", x, str(atom.divisor))
        quotient = self._op("sdiv i64", x, str(atom.divisor))
        back = self._op("mul i64", quotient, str(atom.divisor))
        below = self._op("icmp slt i64", x, back)
        return self._op("sub i64", quotient, self._unary("zext i1", below, "to i64"))

    def _condition(self, condition: Condition) -> Value:
        x = self._int(condition.index)
        if condition.divisor:
            rest = self._op("srem i64", x, str(condition.divisor))
            return Value(self._op("icmp eq i64", rest, "0"), np.dtype(np.bool_))
        return Value(self._op("icmp sge i64", x, "0"), np.dtype(np.bool_))

    def _constant(self, number: int) -> str:
        if -BAKED <= number <= BAKED:
            return str(number)
        if number not in self.int_names:
            self.int_names[number] = f"%n{len(self.int_names)}"
        return self.int_names[number]

    def _op(self, op: str, x: str, y: str) -> str:
        name = self.b.fresh()
        self.b.raw(f"{name} = {op} {x}, {y}")
        return name

    def _unary(self, op: str, x: str, tail: str) -> str:
        name = self.b.fresh()
        self.b.raw(f"{name} = {op} {x} {tail}")
        return name

    # --- loops, scopes, buffers ---

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What is computed inside is not known outside."""
        self.memo.append({})
        self.depth += 1
        yield
        self.depth -= 1
        self.memo.pop()

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
        cell = f"%c{len(self.entry_lines)}"
        self.entry_lines.append(f"{cell} = alloca i64")
        first, last = (
            ("%lo", "%hi")
            if self._is_outermost(loop)
            else ("0", self._constant(loop.counter.extent))
        )
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
        self._line(f"for {loop.counter} in range({loop.counter.extent}):")
        with self._scope():
            yield
        following = self._op("add nuw nsw i64", copy, "1")
        b.raw(f"store i64 {following}, ptr {cell}")
        b.br(head)
        b.label(end)

    def _is_outermost(self, loop: Loop) -> bool:
        return self.splittable and loop is self.loops[0]

    @property
    def splittable(self) -> bool:
        """Whether ranges of the outermost loop may run apart: it keeps, and is opened once."""
        return bool(self.loops) and not self.loops[0].reduced

    def _alloca(self, dtype: np.dtype) -> str:
        cell = f"%cell{len(self.entry_lines)}"
        self.entry_lines.append(f"{cell} = alloca {self.b.memory_type(dtype)}")
        return cell

    def _pointer(self, atom: Atom, written: bool = False) -> str:
        key = atom if isinstance(atom, Var) else atom.key
        if key not in self.pointers:
            self.pointers[key] = f"%p{len(self.buffers)}"
            self.buffers.append(atom)
            if written:
                assert isinstance(atom, Var)
                self.written.append(atom)
        return self.pointers[key]

    # --- text ---

    def _show(self, value: Value) -> str:
        return self.shown.get(_key(value), _key(value))

    def _name(self, value: Value, text: str, equation: Equation | None = None) -> None:
        name = f"t{len(self.shown)}"
        self.shown[_key(value)] = name
        where = f"  # {equation.source}" if equation and equation.source else ""
        self._line(f"{name} = {text}{where}")

    def _line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def _element(self, atom: Atom, index: Sequence[IndexExpr]) -> str:
        """An element as the source shows it; by flat position where loops are merged."""
        merged = any(isinstance(a, Quotient) for i in index for a, _ in i.terms)
        position = flat(list(index), atom.aval.shape)
        shown = f"flat {position}" if merged else ", ".join(map(str, index))
        return f"{self._array_name(atom)}[{shown}]"

    def _array_name(self, atom: Atom) -> str:
        key = atom if isinstance(atom, Var) else atom.key
        return f"a{self.pointers[key][2:]}"

    def _finish(self) -> EmittedKernel:
        pointers = [f"ptr noalias %p{i}" for i in range(len(self.buffers))]
        ints = [f"i64 {name}" for name in self.int_names.values()]
        arguments = ", ".join([*pointers, *ints, "i64 %lo", "i64 %hi"])
        body = [
            f"define internal i64 @KERNEL.body({arguments}) #0 {{",
            "entry:",
            *(f"  {line}" for line in self.entry_lines),
            *self.b.lines,
            "  ret i64 0",
            "}",
        ]
        text = "\n".join([*body, *self._wrapper(arguments)])
        declarations = tuple(self.b.declarations)
        digest = hashlib.sha256("\n".join([text, *declarations]).encode()).hexdigest()[:20]
        name = f"k{digest}"
        signature = ", ".join(
            f"a{i}: {a.aval}" + (" (out)" if a in self.written else "")
            for i, a in enumerate(self.buffers)
        )
        header = [f"def {name}({signature}):"]
        return EmittedKernel(
            name,
            text.replace("@KERNEL", f"@{name}"),
            declarations,
            tuple(self.buffers),
            tuple(self.written),
            tuple(self.int_names),
            self.loops[0].counter.extent if self.splittable else 1,
            "\n".join(header + ["    " + line for line in self.lines]),
        )

    def _wrapper(self, arguments: str) -> list[str]:
        """The function of the common kernel signature, which unpacks and calls the body."""
        lines = ["define i64 @KERNEL(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) {", "entry:"]
        for i in range(len(self.buffers)):
            lines += [
                f"  %b{i} = getelementptr ptr, ptr %bufs, i64 {i}",
                f"  %p{i} = load ptr, ptr %b{i}",
            ]
        for i in range(len(self.int_names)):
            lines += [
                f"  %m{i} = getelementptr i64, ptr %ints, i64 {i}",
                f"  %n{i} = load i64, ptr %m{i}",
            ]
        call = arguments.replace("ptr noalias", "ptr")
        return [*lines, f"  %r = call i64 @KERNEL.body({call})", "  ret i64 %r", "}"]


def _key(value: Any) -> str:
    return value.text if hasattr(value, "text") else f"{value.re.text}+{value.im.text}j"


def _aligned(atom: Atom, index: Sequence[IndexExpr]) -> list[Any]:
    """The index into an operand that broadcasts to the index's space."""
    shape = atom.aval.shape
    tail = index[len(index) - len(shape) :]
    return [0 if n == 1 else i for n, i in zip(shape, tail, strict=True)]


# --- the loop structure ---------------------------------------------------------------------------


def _loops(kernel: Kernel, inlined: dict[Var, Equation]) -> list[Loop]:
    """The loops, outermost first: axes of extent one dropped, axes that go together merged."""
    axes = [a for a, n in enumerate(kernel.shape) if n != 1]
    groups: list[list[int]] = []
    apart = _boundaries(kernel, inlined)
    for axis in axes:
        same = (
            groups
            and (groups[-1][-1] in kernel.reduced) == (axis in kernel.reduced)
            and not any(d in apart for d in range(groups[-1][-1] + 1, axis + 1))
        )
        if same:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    loops = []
    for position, group in enumerate(groups):
        extent = int(np.prod([kernel.shape[a] for a in group], dtype=np.int64))
        reduced = group[0] in kernel.reduced
        loops.append(Loop(tuple(group), Counter(position, extent), reduced))
    if not loops or loops[-1].reduced:
        return [g for g in loops if not g.reduced] + [g for g in loops if g.reduced]
    kept_before = [g for g in loops[:-1] if not g.reduced]
    return kept_before + [g for g in loops[:-1] if g.reduced] + [loops[-1]]


def _boundaries(kernel: Kernel, inlined: dict[Var, Equation]) -> set[int]:
    """The axes d for which axes d-1 and d must stay two loops, because some operand is indexed by
    one of them only. (Merging them would be right too, but costs a division per element.)"""
    rank = len(kernel.shape)
    everything = set(range(1, rank))
    apart: set[int] = set()
    pending = [(m.equation, m.per_row) for m in kernel.members]
    ones = (1,) * len(kernel.reduced)
    seen: set[tuple[int, bool]] = set()
    while pending and apart != everything:
        equation, per_row = pending.pop()
        if (id(equation), per_row) in seen:
            continue
        seen.add((id(equation), per_row))
        if not _merges(equation):
            return everything
        for atom in equation.inputs:
            shape = atom.aval.shape
            if per_row and atom.aval.size == equation.outputs[0].aval.size:
                shape = (*kernel.row_shape, *ones)
            apart |= _boundaries_of(shape, kernel.shape)
            if isinstance(atom, Var) and atom in inlined:
                pending.append((inlined[atom], per_row))
    return apart


def _merges(equation: Equation) -> bool:
    if not isinstance(equation.primitive.lower, Indexed):
        return True
    return equation.primitive.name in ("broadcast", "copy") or (
        equation.primitive.name == "reshape"
        and equation.inputs[0].aval.size == equation.outputs[0].aval.size
        and not isinstance(equation.inputs[0], Literal)
        and equation.inputs[0].aval.shape == equation.outputs[0].aval.shape
    )


def _boundaries_of(shape: tuple[int, ...], full: tuple[int, ...]) -> set[int]:
    """Where an operand of this shape is indexed by one of two neighbouring axes and not both."""
    lead = len(full) - len(shape)
    if lead < 0:
        return set(range(1, len(full)))
    used = [axis >= lead and shape[axis - lead] != 1 for axis in range(len(full))]
    apart = set()
    for d in range(1, len(full)):
        if full[d] != 1 and any(used[d] != used[a] for a in range(d) if full[a] != 1):
            neighbour = max((a for a in range(d) if full[a] != 1), default=None)
            if neighbour is not None and used[d] != used[neighbour]:
                apart.add(d)
    return apart
