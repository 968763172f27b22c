"""Loops and branches over small arrays as one native function, every element in a register.

A `scan`, `while_loop`, `cond` or `recorded_loop` whose body is cheap enough is unrolled to scalar
code: an array of the body is a list of scalars, the carry lives in stack cells that LLVM turns into
registers, the slices of stacked arrays are read and written in place, and so are the elements of a
carried array that the body updates (functrans/compiler/updates.py). Loops nest. Bodies that are too
large or contain what has no scalar form run as blocks of the schedule
(functrans/compiler/loops.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from functrans.compiler.contraction import contracted
from functrans.compiler.elements import INDEX, Elements, shown_key
from functrans.compiler.emitted import EmittedKernel
from functrans.compiler.forms import is_elemental, is_reduction, own_weight
from functrans.compiler.index import Counter, IndexExpr, flat, unflat
from functrans.compiler.llvm import Builder
from functrans.compiler.places import Cells, Memory, Place
from functrans.compiler.recordings import emit_recording
from functrans.compiler.scatter import (
    begin_of,
    combined,
    is_scatter,
    shapes_of,
    target_of,
    whole_index,
)
from functrans.compiler.updates import NOTHING, Links, Updates, carried, in_branch
from functrans.compiler.values import Scalar, Value
from functrans.compiler.weights import SIZE_LIMIT, WEIGHT_LIMIT, weight
from functrans.core.program import Atom, Equation, Literal, Program, Var
from functrans.core.types import Aval

LOOP_WEIGHT = 12
"""Instructions of an element from which many are computed in a loop: written out for 128 elements,
tanh takes LLVM a second."""
LANES = 8
"""Elements of a vector. Where some are left over there have to be MANY_LANES for a loop to pay."""
MANY_LANES = 32
POLL_EVERY = 1024
"""Steps of a loop between looks for Ctrl-C."""


def emit_region(
    equation: Equation, prepared: Callable[[Program], Program], links: Links = ()
) -> EmittedKernel | None:
    """The kernel of a control-flow equation, or None if it does not fit into registers.

    Args:
        equation: a scan, while_loop, cond or recorded_loop.
        prepared: the compiler's passes over a Program, for bodies.
        links: its operands and results that have the same memory.
    """
    if weight(equation, prepared, links, outermost=True) > WEIGHT_LIMIT:
        return None
    return _Region(prepared).emit(equation, links)


# --- emission -------------------------------------------------------------------------------------


def _makes_vectors(equation: Equation) -> bool:
    """Whether a loop over the elements is one over vectors, that lie together in every operand."""
    size = equation.outputs[0].aval.size
    enough = size >= MANY_LANES or (size > 0 and size % LANES == 0)
    return enough and all(a.aval.size in (1, size) for a in equation.inputs)


class _Region(Elements):
    """Emits equations as straight-line scalar code, with loops and branches around it."""

    def __init__(self, prepared: Callable[[Program], Program]) -> None:
        super().__init__({})
        self.prepared = prepared
        self.places: dict[Var, Place] = {}
        self.outermost: Equation | None = None
        self.updates = NOTHING
        self.taken: list[str] = []
        """Cells that point to memory which is to be given back."""

    def emit(self, equation: Equation, links: Links) -> EmittedKernel:
        self.outermost = equation
        for atom in equation.inputs:
            if isinstance(atom, Var):
                self.places[atom] = Memory(self._pointer(atom), None, atom.aval)
        self.updates = Updates(links={id(equation): list(links)})
        for operand, result in self.updates.shared(equation):
            self.places[operand] = self._output(result)
        self._run([equation])
        for var in equation.outputs:
            place = self.places[var]
            if isinstance(place, list):
                out = Memory(self._pointer(var, written=True), None, var.aval)
                self._write(place, out, self._array_name(var))
        self.b.lines, declarations = contracted(self.b.lines)
        for line in declarations:
            self.b.declare(line)
        return self._finish(equation.params["length"] if self._runs_apart(equation) else 1)

    def _runs_apart(self, equation: Equation) -> bool:
        """Whether threads can share the steps of a loop: that of the kernel, which carries nothing,
        as the loop over examples that `vmap` makes of loops (functrans/primitives/lanes.py)."""
        is_own = equation is self.outermost and equation.primitive.name == "scan"
        return is_own and not equation.params["num_carry"] and not self.updates.of(equation)

    def _body(self, program: Program, updates: Updates = NOTHING) -> None:
        """The equations of a Program whose inputs have places."""
        outer, self.updates = self.updates, updates
        self._run(program.equations)
        self.updates = outer

    def _run(self, equations: Sequence[Equation]) -> None:
        rules = {
            "scan": self._scan,
            "while_loop": self._while,
            "cond": self._cond,
            "recorded_loop": lambda equation: emit_recording(self, equation),
        }
        for equation in equations:
            rule = rules.get(equation.primitive.name)
            if rule is not None:
                rule(equation)
            elif self.updates.of(equation) and not self._is_register_scatter(equation):
                self._update(equation)
            elif is_elemental(equation):
                self._elementwise(equation)
            elif is_reduction(equation):
                self.places[equation.outputs[0]] = self._reduction(equation)
            elif is_scatter(equation):
                self.places[equation.outputs[0]] = self._scatter(equation)
            else:
                self.places[equation.outputs[0]] = self._product(equation)

    # --- equations ---

    def _elementwise(self, equation: Equation) -> None:
        shape = equation.outputs[0].aval.shape
        if own_weight(equation) >= LOOP_WEIGHT and _makes_vectors(equation):
            self._elementwise_in_a_loop(equation)
            return
        rows = [self._apply(equation, list(map(IndexExpr.of, i))) for i in np.ndindex(shape)]
        for k, var in enumerate(equation.outputs):
            self.places[var] = [row[k] for row in rows]

    def _elementwise_in_a_loop(self, equation: Equation) -> None:
        """The same where it would be many instructions. LLVM makes vectors of the loop."""
        aval = equation.outputs[0].aval
        results = [self._array(v.aval) for v in equation.outputs]
        for atom in equation.inputs:
            if atom.aval.size > 1:
                self._in_memory(atom)
        counter = Counter(0, aval.size)
        self._line(f"for {counter} in range({aval.size}):")
        with self.b.loop("0", str(aval.size)) as i, self._scope():
            self.counters[counter] = i.text
            at = IndexExpr.of(counter)
            values = self._apply(equation, unflat(at, aval.shape))
            for value, memory in zip(values, results, strict=True):
                self._write_one(value, memory, at)
        self.places.update(zip(equation.outputs, results, strict=True))

    def _reduction(self, equation: Equation) -> list[Scalar]:
        operand, axes = equation.inputs[0], equation.params["axes"]
        lower, aval = equation.primitive.lower, equation.outputs[0].aval
        totals: dict[tuple[int, ...], Scalar] = {}
        for index in np.ndindex(operand.aval.shape):
            kept = tuple(i for a, i in enumerate(index) if a not in axes)
            x = self._value(operand, index)
            totals[kept] = lower.combine(self.b, totals[kept], x) if kept in totals else x
        identity = self.b.const(lower.identity(aval.dtype), aval.dtype)
        result = [totals.get(i, identity) for i in np.ndindex(aval.shape)]
        self._name_all(result, equation)
        return result

    def _product(self, equation: Equation) -> list[Scalar]:
        (cx, cy), (bx, by) = equation.params["dimensions"]
        x, y = equation.inputs
        free_x = [a for a in range(x.aval.ndim) if a not in (*cx, *bx)]
        free_y = [a for a in range(y.aval.ndim) if a not in (*cy, *by)]
        aval = equation.outputs[0].aval
        result = []
        for index in np.ndindex(aval.shape):
            n, m = len(bx), len(bx) + len(free_x)
            at_x = dict(zip([*bx, *free_x], index[:m], strict=True))
            at_y = dict(zip([*by, *free_y], (*index[:n], *index[m:]), strict=True))
            total = None
            for k in np.ndindex(tuple(x.aval.shape[a] for a in cx)):
                left = {**at_x, **dict(zip(cx, k, strict=True))}
                right = {**at_y, **dict(zip(cy, k, strict=True))}
                term = self.b.mul(
                    self._value(x, [left[a] for a in range(x.aval.ndim)]),
                    self._value(y, [right[a] for a in range(y.aval.ndim)]),
                )
                total = term if total is None else self.b.add(total, term)
            result.append(self.b.const(0, aval.dtype) if total is None else total)
        self._name_all(result, equation)
        return result

    def _is_register_scatter(self, equation: Equation) -> bool:
        """Whether a scatter is of values in registers, few enough to stay there."""
        operand = self._place(equation.inputs[0])
        return isinstance(operand, list) and len(operand) <= SIZE_LIMIT

    def _own(self, atom: Atom) -> Memory:
        """An array in memory from now on, to be written to."""
        memory = self._in_memory(atom)
        assert isinstance(atom, Var)
        self.places[atom] = memory
        return memory

    def _update(self, equation: Equation) -> None:
        """Write into an array in memory, which then is the result."""
        memory = self._own(equation.inputs[0])
        if is_scatter(equation):
            self._scatter_into(memory, equation)
        elif equation.primitive.name == "dynamic_update_slice":
            begin, update = begin_of(self, equation), equation.inputs[1]
            for inside in np.ndindex(update.aval.shape):
                at = flat([b + i for b, i in zip(begin, inside, strict=True)], memory.aval.shape)
                self._put(equation, self._value(update, inside), memory, at)
        self.places[equation.outputs[0]] = memory

    def _scatter(self, equation: Equation) -> list[Scalar]:
        """The updates one after the other; on the stack if any of their places is computed."""
        out = equation.outputs[0].aval
        values = list(self._elements(equation.inputs[0]))
        if all(isinstance(a, Literal) for a in equation.inputs[2:]):
            self._scatter_among(values, equation)
        else:
            memory = self._array(out)
            self._write(values, memory, self._place_name(memory))
            self._scatter_into(memory, equation)
            values = [self._read(memory, IndexExpr.of(k)) for k in range(out.size)]
        self._name_all(values, equation)
        return values

    def _scatter_among(self, values: list[Scalar], equation: Equation) -> None:
        """Replace elements whose places are numbers of the program."""
        updates, out = equation.inputs[1], equation.outputs[0].aval
        lead_shape, row_shape = shapes_of(equation)
        for lead in np.ndindex(lead_shape):
            where = target_of(self, equation, lead)
            if where is None:
                continue
            for row in np.ndindex(row_shape):
                at = flat(whole_index(where[0], row, out.ndim), out.shape).constant
                update = self._value(updates, [*lead, *row])
                values[at] = combined(self, equation, values[at], update)

    def _scatter_into(self, memory: Memory, equation: Equation) -> None:
        """Write the updates into an array in memory, one after the other."""
        out, updates = equation.outputs[0].aval, equation.inputs[1]
        lead_shape, row_shape = shapes_of(equation)
        for lead in np.ndindex(lead_shape):
            where = target_of(self, equation, lead)
            if where is None:
                continue
            target, inside = where
            end = self.b.fresh_label("end")
            if inside is not None:
                write = self.b.fresh_label("write")
                self.b.cond_br(inside, write, end)
                self.b.label(write)
            with self._scope():
                for row in np.ndindex(row_shape):
                    position = flat(whole_index(target, row, out.ndim), out.shape)
                    update = self._value(updates, [*lead, *row])
                    self._put(equation, update, memory, position)
            if inside is not None:
                self.b.br(end)
                self.b.label(end)

    def _put(self, equation: Equation, update: Scalar, memory: Memory, at: IndexExpr) -> None:
        """Write what an element of the equation's result becomes."""
        before = None if equation.params["op"] == "set" else self._read(memory, at)
        self._write_one(combined(self, equation, before, update), memory, at)

    # --- control flow ---

    def _scan(self, equation: Equation) -> None:
        params = equation.params
        body = self.prepared(params["program"])
        n_consts, n_carry = params["num_consts"], params["num_carry"]
        moving = slice(n_consts + n_carry, None)
        stacked_in = [self._in_memory(a) for a in equation.inputs[moving]]
        stacked_out = [self._stacked(v, equation) for v in equation.outputs[n_carry:]]
        self._bind(body.inputs[:n_consts], equation.inputs[:n_consts])
        updates = carried(equation, self.prepared)
        cells = self._carry(equation, n_consts, n_carry, updates)
        length = super()._constant(params["length"])
        self._line(f"for step in range({params['length']}):")
        bounds = ("%lo", "%hi") if self._runs_apart(equation) else ("0", length)
        with self.b.loop(*bounds) as step, self._scope():
            at = step.text
            if params["reverse"]:
                at = self._op("sub nsw i64", self._op("sub nsw i64", length, "1"), at)
            self._bind_cells(body.inputs[n_consts : n_consts + n_carry], cells)
            for var, whole in zip(body.inputs[moving], stacked_in, strict=True):
                self.places[var] = self._slice(whole, at, var.aval)
            self._body(body, updates)
            for atom, whole in zip(body.outputs[n_carry:], stacked_out, strict=True):
                name = self._place_name(whole)
                self._write(self._elements(atom), self._slice(whole, at, atom.aval), name)
            self._store_cells(body.outputs[:n_carry], cells)
            if params["length"] > POLL_EVERY:
                self._poll(step)
        self._load_results(equation.outputs[:n_carry], cells)
        for var, whole in zip(equation.outputs[n_carry:], stacked_out, strict=True):
            self.places[var] = whole

    def _while(self, equation: Equation) -> None:
        params, b = equation.params, self.b
        test, body = self.prepared(params["cond_program"]), self.prepared(params["body_program"])
        n_test, n_body = params["cond_consts"], params["body_consts"]
        self._bind(test.inputs[:n_test], equation.inputs[:n_test])
        self._bind(body.inputs[:n_body], equation.inputs[n_test : n_test + n_body])
        updates = carried(equation, self.prepared)
        cells = self._carry(equation, n_test + n_body, len(equation.outputs), updates)
        counter = self._alloca(INDEX)
        b.store(b.const(0, INDEX), counter, None)
        head, inside, end = (b.fresh_label(n) for n in ("while", "body", "done"))
        b.br(head)
        b.label(head)
        self._line("while True:")
        with self._scope():
            self._bind_cells(test.inputs[n_test:], cells)
            self._body(test)
            (go_on,) = self._elements(test.outputs[0])
            self._line(f"if not {self._show(go_on)}: break")
            b.cond_br(go_on, inside, end)
            b.label(inside)
            for mine, theirs in zip(body.inputs[n_body:], test.inputs[n_test:], strict=True):
                self.places[mine] = self.places[theirs]
            self._body(body, updates)
            self._store_cells(body.outputs, cells)
            step = b.load(counter, None, INDEX)
            b.store(b.add(step, b.const(1, INDEX)), counter, None)
            self._poll(step)
            b.br(head)
        b.label(end)
        self._load_results(equation.outputs, cells)

    def _cond(self, equation: Equation) -> None:
        b, branches = self.b, [self.prepared(p) for p in equation.params["branches"]]
        (index,) = self._elements(equation.inputs[0])
        links = self.updates.of(equation)
        shared = {result: self._own(equation.inputs[operand]) for operand, result in links}
        results = [shared.get(k) or self._new_cells(v.aval) for k, v in enumerate(equation.outputs)]
        end = b.fresh_label("end")
        for number, branch in enumerate(branches):
            following = None
            if number < len(branches) - 1:
                here, following = b.fresh_label("branch"), b.fresh_label("other")
                chosen = b.le(index, b.const(number, index.dtype))
                b.cond_br(chosen, here, following)
                b.label(here)
                self._line(f"{'el' if number else ''}if {self._show(index)} <= {number}:")
            else:
                self._line("else:")
            with self._scope():
                self._bind(branch.inputs, equation.inputs[1:])
                self._body(branch, in_branch(branch, links, self.prepared))
                self._store_cells(branch.outputs, results)
            b.br(end)
            if following is not None:
                b.label(following)
        b.label(end)
        self._load_results(equation.outputs, results)

    def _poll(self, step: Value) -> None:
        """Leave the kernel, now and then, if Python has a Ctrl-C to handle."""
        b = self.b
        look, fine, stop = (b.fresh_label(n) for n in ("look", "fine", "stop"))
        low = self._op("and i64", step.text, str(POLL_EVERY - 1))
        due = self._op("icmp eq i64", low, str(POLL_EVERY - 1))
        b.cond_br(Value(due, np.dtype(np.bool_)), look, fine)
        b.label(look)
        b.declare("declare i64 @ft_poll(ptr)")
        status = b.op(f"call i64 @ft_poll(ptr {self._clock()})", INDEX)
        b.cond_br(b.eq(status, b.const(0, INDEX)), fine, stop)
        b.label(stop)
        self._leave(status.text)
        b.label(fine)

    def _leave(self, status: str) -> None:
        """Return from the kernel in the middle of it."""
        for cell in self.taken:
            self._give_back(cell)
        self.b.raw(f"ret i64 {status}")

    def _give_back(self, cell: str) -> None:
        """The memory that a cell points to, if any."""
        taken = self.b.fresh()
        self.b.raw(f"{taken} = load ptr, ptr {cell}")
        self.b.raw(f"call void @ft_give_back(ptr {taken})")

    def _clock(self) -> str:
        """The cell in which `ft_poll` notes when it last looked."""
        if "%clock = alloca i64" not in self.entry_lines:
            self.entry_lines += ["%clock = alloca i64", "store i64 0, ptr %clock"]
        return "%clock"

    # --- places ---

    def _bind(self, variables: Sequence[Var], atoms: Sequence[Atom]) -> None:
        for var, atom in zip(variables, atoms, strict=True):
            self.places[var] = self._place(atom)

    def _place(self, atom: Atom) -> Place:
        if isinstance(atom, Var):
            return self.places[atom]
        if atom.aval.size <= SIZE_LIMIT:
            return self._elements(atom)
        return Memory(self._pointer(atom), None, atom.aval)

    def _elements(self, atom: Atom) -> list[Scalar]:
        """All elements of an array as values."""
        place = self.places.get(atom) if isinstance(atom, Var) else None
        if isinstance(place, list):
            return place
        return [self._value(atom, index) for index in np.ndindex(atom.aval.shape)]

    def _load(self, atom: Atom, index: Sequence[IndexExpr]) -> Scalar:
        position = flat(list(index), atom.aval.shape)
        if isinstance(atom, Literal):
            if position.is_constant:
                element = np.asarray(atom.value).reshape(-1)[position.constant]
                value = self.b.const(element, atom.aval.dtype)
                self.shown[shown_key(value)] = str(element)
                return value
            return self._read(Memory(self._pointer(atom), None, atom.aval), position)
        place = self.places[atom]
        if isinstance(place, list) and position.is_constant:
            return place[position.constant]
        return self._read(self._in_memory(atom), position)

    def _read(self, memory: Memory, position: IndexExpr) -> Scalar:
        at = self._int(position)
        if memory.begin is not None:
            at = self._op("add nsw i64", memory.begin, at)
        value = self.b.load(memory.pointer, at, memory.aval.dtype)
        begin = f"step * {memory.aval.size} + " if memory.begin is not None else ""
        self.shown[shown_key(value)] = f"{self._place_name(memory)}[{begin}{position}]"
        return value

    def _write_one(self, value: Scalar, memory: Memory, position: IndexExpr) -> None:
        self._store_at(value, memory, self._int(position))
        self._line(f"{self._place_name(memory)}[{position}] = {self._show(value)}")

    def _store_at(self, value: Scalar, memory: Memory, at: str) -> None:
        if memory.begin is not None:
            at = self._op("add nsw i64", memory.begin, at)
        self.b.store(value, memory.pointer, at)

    def _write(self, values: Sequence[Scalar], memory: Memory, name: str) -> None:
        for k, value in enumerate(values):
            self._store_at(value, memory, str(k))
        begin = f"step * {memory.aval.size}:" if memory.begin is not None else ":"
        self._line(f"{name}[{begin}] = {', '.join(map(self._show, values))}")

    def _in_memory(self, atom: Atom) -> Memory:
        """An array whose elements are looked up by an index that the program computes."""
        place = self._place(atom)
        if isinstance(place, Memory):
            return place
        key = ("spilled", atom)
        for scope in reversed(self.memo):
            if key in scope:
                return scope[key]  # type: ignore[return-value]
        memory = self._array(atom.aval)
        self._write(place, memory, self._place_name(memory))
        self.memo[-1][key] = memory  # type: ignore[assignment]
        return memory

    def _array(self, aval: Aval) -> Memory:
        name = self.b.fresh("array")
        kind = Builder.memory_type(aval.dtype)
        self.entry_lines.append(f"{name} = alloca [{max(aval.size, 1)} x {kind}], align 64")
        return Memory(name, None, aval)

    def _stacked(self, var: Var, equation: Equation) -> Memory:
        """Where a loop stacks a result: the kernel's own output, or the stack."""
        return self._output(var) if equation is self.outermost else self._array(var.aval)

    def _output(self, var: Var) -> Memory:
        return Memory(self._pointer(var, written=True), None, var.aval)

    def _slice(self, whole: Memory, step: str, aval: Aval) -> Memory:
        begin = self._op("mul nsw i64", step, str(aval.size))
        if whole.begin is not None:
            begin = self._op("add nsw i64", whole.begin, begin)
        return Memory(whole.pointer, begin, aval)

    def _constant(self, number: int, role: Any = None) -> str:
        """Positions are part of the kernel: there are too many of them for arguments."""
        return str(number)

    def _number(self, atom: Literal) -> Value:
        """Numbers too: arguments would take the registers that the loop's values are kept in."""
        return self.b.const(np.asarray(atom.value).reshape(())[()], atom.aval.dtype)

    # --- cells: values that a loop or branch hands on, or the memory where it updates them ---

    def _new_cells(self, aval: Aval) -> list[str]:
        return [self._alloca(aval.dtype) for _ in range(aval.size)]

    def _carry(self, equation: Equation, first: int, count: int, updates: Updates) -> list[Cells]:
        """Where a loop's carry is, with the first values in it."""
        inits = equation.inputs[first : first + count]
        shared = dict(self.updates.of(equation))
        cells: list[Cells] = []
        for k, (init, var) in enumerate(zip(inits, equation.outputs, strict=False)):
            if k not in updates.results:
                cells.append(self._new_cells(init.aval))
            elif first + k in shared:
                cells.append(self._own(init))
            else:
                memory = self._stacked(var, equation)
                self._copy(init, memory)
                cells.append(memory)
        self._store_cells(inits, cells)
        return cells

    def _copy(self, atom: Atom, memory: Memory) -> None:
        """Fill an array in memory with another."""
        place = self._place(atom)
        if not isinstance(place, Memory):
            self._write(place, memory, self._place_name(memory))
            return
        source, nbytes = place.pointer, memory.aval.nbytes
        if place.begin is not None:
            begin = self._op("mul nsw i64", place.begin, str(memory.aval.dtype.itemsize))
            source = self._op("getelementptr i8, ptr", place.pointer, f"i64 {begin}")
        self.b.declare("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        length = super()._constant(nbytes)
        self.b.raw(
            f"call void @llvm.memcpy.p0.p0.i64(ptr {memory.pointer}, ptr {source}, "
            f"i64 {length}, i1 false)"
        )
        self._line(f"{self._place_name(memory)}[:] = {self._place_name(place)}")

    def _store_cells(self, atoms: Sequence[Atom], cells: Sequence[Cells]) -> None:
        pairs = [(a, c) for a, c in zip(atoms, cells, strict=True) if not isinstance(c, Memory)]
        values = [self._elements(a) for a, _ in pairs]
        for row, (_, places) in zip(values, pairs, strict=True):
            for value, cell in zip(row, places, strict=True):
                self.b.store(value, cell, None)
                self._line(f"{self._cell_name(cell)} = {self._show(value)}")

    def _bind_cells(self, variables: Sequence[Var], cells: Sequence[Cells]) -> None:
        for var, row in zip(variables, cells, strict=True):
            if isinstance(row, Memory):
                self.places[var] = row
                continue
            values = [self.b.load(cell, None, var.aval.dtype) for cell in row]
            for cell, value in zip(row, values, strict=True):
                self.shown[shown_key(value)] = self._cell_name(cell)
            self.places[var] = values

    _load_results = _bind_cells

    # --- text ---

    def _cell_name(self, cell: str) -> str:
        return f"c{cell.removeprefix('%cell')}"

    def _place_name(self, memory: Memory) -> str:
        pointer = memory.pointer.removeprefix("%")
        return f"a{pointer[1:]}" if pointer.startswith("p") else pointer

    def _name_all(self, values: Sequence[Scalar], equation: Equation) -> None:
        operands = ", ".join(str(a.aval) for a in equation.inputs)
        for k, value in enumerate(values):
            self._name(value, f"{equation.primitive.name}({operands})[{k}]", equation)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What is computed inside is not known outside; nor are the places of its variables."""
        outer = dict(self.places)
        with super()._scope():
            yield
        self.places = outer
