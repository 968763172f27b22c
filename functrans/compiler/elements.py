"""What every kernel is emitted from: elements of arrays as scalar code, and the function around it.

An `Elements` turns (variable, index) into an LLVM value, by computing it where it is read or by
loading it, and writes a line for people beside it. Its subclasses add the loops. It is also what
`Indexed` lowerings see as `k`.

Sizes, strides and offsets above a small limit are run-time arguments, so the text of a kernel, and
with it the machine code, is the same for every size of the same structure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from functrans.compiler.emitted import EmittedKernel
from functrans.compiler.forms import emitter
from functrans.compiler.index import (
    Condition,
    Counter,
    Dynamic,
    IndexExpr,
    Quotient,
    decided,
    flat,
    reshaped,
)
from functrans.compiler.llvm import Builder
from functrans.compiler.values import Value
from functrans.core.lowering import Indexed, Pointwise
from functrans.core.program import Atom, Equation, Literal, Var

BAKED = 8
"""Integers up to this size are constants of the kernel; larger ones are arguments."""
PLAIN = frozenset({0.0, 0.5, 1.0, 2.0})
"""Numbers, up to their sign, that are constants of the kernel."""
INDEX = np.dtype(np.int64)
_NUMBER = re.compile(r"-?\d+")


class Elements:
    """The state of emitting one kernel.

    Args:
        inlined: equations computed where their results are read.
        overwritten: by result the array whose memory it takes.
    """

    def __init__(
        self, inlined: dict[Var, Equation], overwritten: dict[Var, Var] | None = None
    ) -> None:
        self.inlined = inlined
        self.overwritten = overwritten or {}
        self.b = Builder()
        self.pointers: dict[Any, str] = {}
        self.buffers: list[Atom] = []
        self.written: list[Var] = []
        self.int_names: dict[tuple[int, Any], str] = {}
        self.counters: dict[Counter, str] = {}
        self.memo: list[dict[Any, Value]] = [{}]
        self.entry_lines: list[str] = []
        self.lines: list[str] = []
        self.depth = 0
        self.shown: dict[str, str] = {}
        self.equation: Equation | None = None
        self.indices: list[IndexExpr] = []
        """Every index that was computed."""
        self.conditions: list[Condition] = []
        """Those that depend on the iteration."""
        self.gathers = False
        """Whether a loop collects elements that lie apart in vectors."""

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
        operands = [self._value(a, aligned(a, index)) for a in equation.inputs]
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
            value = self._number(atom)
            self.shown[shown_key(value)] = str(np.asarray(atom.value).reshape(())[()])
            return value
        return self._load(atom, index)

    def _number(self, atom: Literal) -> Value:
        """A number of the program: an argument, so that one kernel serves learning rates and batch
        sizes; but for the few that make simpler code.

        Infinity is one: LLVM would make max(a, select(c, x, -inf)) conditional if it knew, and a
        masked maximum then takes twenty times as long, one element at a time.
        """
        number, dtype = np.asarray(atom.value, atom.aval.dtype).reshape(()), atom.aval.dtype
        if dtype.kind != "f" or np.isnan(number) or float(abs(number)) in PLAIN:
            return self.b.const(number[()], dtype)
        width = 8 * dtype.itemsize
        bits = int(number.view(f"i{dtype.itemsize}"))
        key = ("number", id(atom), dtype)
        known = (bits, key) in self.int_names
        argument = self._argument(bits, key)
        name = f"%x{argument[2:]}"
        if not known:
            if width < 64:
                self.entry_lines.append(f"{name}.bits = trunc i64 {argument} to i{width}")
                argument = f"{name}.bits"
            kind = self.b.memory_type(dtype)
            self.entry_lines.append(f"{name} = bitcast i{width} {argument} to {kind}")
        return Value(name, dtype)

    def _load(self, atom: Atom, index: Sequence[IndexExpr]) -> Value:
        offset = flat(list(index), atom.aval.shape)
        value = self.b.load(self._pointer(atom), self._int(offset), atom.aval.dtype)
        self.shown[shown_key(value)] = self._element(atom, index)
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
        return self.read(operand, reshaped(list(index), shape, self.aval(operand).shape))

    def add(self, x: Value, y: Value) -> Value:
        """The sum of two elements."""
        total = self.b.add(x, y)
        self._name(total, f"add({self._show(x)}, {self._show(y)})", self.equation)
        return total

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
        self.conditions += open_conditions
        if not open_conditions:
            return then()
        flags = [self._condition(c) for c in open_conditions]
        total = flags[0]
        for flag in flags[1:]:
            total = self.b.and_(total, flag)
        self.shown[shown_key(total)] = " and ".join(map(str, open_conditions))
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
        self.shown[shown_key(result)] = name
        return result

    def dynamic(self, value: Value, extent: int) -> IndexExpr:
        """An index read from an array, clamped to [0, extent)."""
        b = self.b
        wide = b.convert(value, INDEX)
        known = self.index_of(wide)
        if known.is_constant:
            return IndexExpr.of(min(max(known.constant, 0), extent - 1))
        limit = Value(self._constant(extent - 1), INDEX)
        low = b.maximum(wide, b.const(0, INDEX))
        clamped = b.minimum(low, limit)
        return IndexExpr.of(Dynamic(clamped.text, f"clamp({self._show(value)})"))

    def index_of(self, value: Value) -> IndexExpr:
        """An integer value as an index; a number if it is a constant of the program."""
        if _NUMBER.fullmatch(value.text):
            return IndexExpr.of(int(value.text))
        return IndexExpr.of(Dynamic(value.text, self._show(value)))

    def index_value(self, index: Any, dtype: Any) -> Value:
        """An index expression as a value of a dtype."""
        expr = IndexExpr.of(index)
        value = self.b.convert(Value(self._int(expr), INDEX), np.dtype(dtype))
        self.shown[shown_key(value)] = str(expr)
        return value

    # --- integers ---

    def _int(self, expr: IndexExpr) -> str:
        """The SSA text of an index expression."""
        self.indices.append(expr)
        total: str | None = None
        for atom, factor in expr.terms:
            term = self._atom(atom)
            if factor != 1:
                term = self._op("mul nsw i64", term, self._constant(factor, atom))
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
        index = condition.index
        if condition.divisor:
            rest = self._op("srem i64", self._int(index), str(condition.divisor))
            return Value(self._op("icmp eq i64", rest, "0"), np.dtype(np.bool_))
        # two numbers are compared, and not one with zero, see misencoding.py
        if index.terms[0][1] < 0:
            comparison, bound, terms = "icmp sle i64", index.constant, -IndexExpr(index.terms)
        else:
            comparison, bound, terms = "icmp sge i64", -index.constant, IndexExpr(index.terms)
        x = self._int(terms)
        return Value(self._op(comparison, x, self._constant(bound)), np.dtype(np.bool_))

    def _constant(self, number: int, role: Any = None) -> str:
        """A number, as an argument of the kernel unless it is small.

        Equal numbers of different roles (stride of one loop, extent of another) are separate
        arguments, so that the kernel also serves shapes in which they differ.
        """
        if -BAKED <= number <= BAKED:
            return str(number)
        return self._argument(number, role if isinstance(role, Counter | str) else None)

    def _argument(self, number: int, role: Any) -> str:
        key = (number, role)
        if key not in self.int_names:
            self.int_names[key] = f"%n{len(self.int_names)}"
        return self.int_names[key]

    def _op(self, op: str, x: str, y: str) -> str:
        name = self.b.fresh()
        self.b.raw(f"{name} = {op} {x}, {y}")
        return name

    def _unary(self, op: str, x: str, tail: str) -> str:
        name = self.b.fresh()
        self.b.raw(f"{name} = {op} {x} {tail}")
        return name

    # --- scopes, buffers ---

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What is computed inside is not known outside."""
        self.memo.append({})
        self.depth += 1
        yield
        self.depth -= 1
        self.memo.pop()

    def _alloca(self, dtype: np.dtype, count: int = 1) -> str:
        cell = self.b.fresh("cell")
        self.entry_lines.append(f"{cell} = alloca [{count} x {self.b.memory_type(dtype)}]")
        return cell

    def _pointer(self, atom: Atom, written: bool = False) -> str:
        if isinstance(atom, Var):
            atom = self.overwritten.get(atom, atom)
        key = atom if isinstance(atom, Var) else atom.key
        if key not in self.pointers:
            self.pointers[key] = f"%p{len(self.buffers)}"
            self.buffers.append(atom)
        if written and atom not in self.written:
            assert isinstance(atom, Var)
            self.written.append(atom)
        return self.pointers[key]

    # --- text ---

    def _show(self, value: Value) -> str:
        return self.shown.get(shown_key(value), shown_key(value))

    def _name(self, value: Value, text: str, equation: Equation | None = None) -> None:
        name = f"t{len(self.shown)}"
        self.shown[shown_key(value)] = name
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
        key = self.overwritten.get(atom, atom) if isinstance(atom, Var) else atom.key
        return f"a{self.pointers[key][2:]}"

    def _finish(self, extent: int) -> EmittedKernel:
        """The kernel of what was emitted; `extent` is the trip count of its outermost loop."""
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
            tuple(number for number, _ in self.int_names),
            extent,
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
        for i, (number, role) in enumerate(self.int_names):
            lines += self._loaded(i, number, role)
        call = arguments.replace("ptr noalias", "ptr")
        return [*lines, f"  %r = call i64 @KERNEL.body({call})", "  ret i64 %r", "}"]

    def _loaded(self, i: int, number: int, role: Any) -> list[str]:
        """Loads an argument. That it is no constant means that it exceeds BAKED, and LLVM is told:
        padding a stack of images takes half the time for it. It is told of strides only where loops
        gather: not knowing, it makes vectors for strides of one and none for others, but a copy
        across rows, which has none, takes more registers."""
        place = f"  %m{i} = getelementptr i64, ptr %ints, i64 {i}"
        stride = isinstance(role, Counter) and not self.gathers
        if stride or isinstance(role, tuple):
            return [place, f"  %n{i} = load i64, ptr %m{i}"]
        kind, bound = ("smax", BAKED + 1) if number > 0 else ("smin", -BAKED - 1)
        self.b.declare(f"declare i64 @llvm.{kind}.i64(i64, i64)")
        return [
            place,
            f"  %l{i} = load i64, ptr %m{i}",
            f"  %n{i} = call i64 @llvm.{kind}.i64(i64 %l{i}, i64 {bound})",
        ]


def shown_key(value: Any) -> str:
    return value.text if hasattr(value, "text") else f"{value.re.text}+{value.im.text}j"


def aligned(atom: Atom, index: Sequence[IndexExpr]) -> list[Any]:
    """The index into an operand that broadcasts to the index's space."""
    shape = atom.aval.shape
    tail = index[len(index) - len(shape) :]
    return [0 if n == 1 else i for n, i in zip(shape, tail, strict=True)]
