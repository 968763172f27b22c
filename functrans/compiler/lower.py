"""Simplified Program → Schedule: slots for arrays, an entry for every step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from functrans.compiler import blocks, fourier
from functrans.compiler.blas import LETTERS
from functrans.compiler.donation import heirs_of
from functrans.compiler.emitted import EmittedKernel
from functrans.compiler.expansions import expand
from functrans.compiler.forks import Fork, forked, is_alone
from functrans.compiler.fuse import Partition, partition
from functrans.compiler.gemm import NAMES
from functrans.compiler.gram import gram_call, is_gram
from functrans.compiler.grouping import Kernel, Single, Step, View
from functrans.compiler.invariants import hoist_invariants
from functrans.compiler.matrix_products import emit_product, is_own, product_pieces
from functrans.compiler.memory import Temporary
from functrans.compiler.merge_sort import emit_sort, nanoseconds
from functrans.compiler.products import batched_products, canonical_products, gemm_of
from functrans.compiler.registers import emit_region
from functrans.compiler.routines import ROUTINES, append_routine, lines_of
from functrans.compiler.scatter import emit_block_update, emit_scatter, is_scatter
from functrans.compiler.schedule import Block, Entry, NumpyCall, Schedule
from functrans.compiler.selection import NANOSECONDS, emit_selection, is_selection
from functrans.compiler.signature import Emitter
from functrans.compiler.simplify import drop_barriers, simplify
from functrans.compiler.small_products import emit_small_product, is_small
from functrans.compiler.sorting import is_native_sort
from functrans.compiler.stored import stored_p
from functrans.compiler.tapes import settle_tapes
from functrans.compiler.threads import SPLIT_NANOSECONDS, num_threads, pieces
from functrans.compiler.totals import begin_with_totals
from functrans.compiler.updates import Updates, is_in_place, of_program, update_late
from functrans.compiler.views import offset_of
from functrans.compiler.weights import instructions
from functrans.compiler.window_products import emit_window_product, flops, window_product_p
from functrans.core.program import Atom, Equation, Literal, Program, Var
from functrans.primitives.shaping import copy_p

BYTES_PER_NANOSECOND = 12.0
"""What one core reads and writes beyond its caches."""
BYTES_COMPUTED_PER_NANOSECOND = 128.0
"""Results that one core computes: a vector or so per cycle."""

FLOPS_PER_NANOSECOND = 8.0
"""Of small products on one core."""
INSTRUCTIONS_PER_NANOSECOND = 4.0
"""Of scalar code on one core."""
SLOTS_OF_LINES = 16
"""Slots so far apart are in different lines of a cache, also where it takes these in pairs."""
SINGLE_THREADED = 2 * (1 << 18)
"""Flops up to which BLAS leaves a product to one thread."""

TAPE_SLOTS = 3
"""Memory, its bytes, the rows written."""

StepLowering = Callable[["BlockLowering", Equation], None]
control_flow: dict[str, StepLowering] = {}
"""How control-flow primitives become entries; filled by functrans/compiler/loops.py."""


def prepare(program: Program) -> Program:
    """A Program after all PASSES."""
    known = program.cache.get("prepared")
    if known is None:
        known = program
        for step in PASSES:
            known = step(known)
        program.cache["prepared"] = known
    return known


def own_outputs(program: Program) -> Program:
    """Every output is an array of its own: copies of inputs, constants and repeated outputs, and
    what is stored already."""
    taken: set[Any] = set(program.inputs)
    equations = list(program.equations)
    outputs: list[Atom] = []
    before = {e.outputs[0]: e.inputs[0] for e in equations if e.primitive is stored_p}
    for atom in program.outputs:
        atom = before.get(atom, atom) if isinstance(atom, Var) else atom
        if isinstance(atom, Literal) or atom in taken:
            copy = Var(atom.aval)
            equations.append(Equation(copy_p, [atom], {}, [copy]))
            atom = copy
        taken.add(atom)
        outputs.append(atom)
    return Program(program.inputs, equations, outputs, program.name)


PASSES = (
    simplify,
    lambda program: settle_tapes(program, prepare),
    begin_with_totals,
    expand,
    batched_products,
    canonical_products,
    drop_barriers,
    lambda program: hoist_invariants(program, prepare),
    update_late,
    own_outputs,
)
"""Program → Program, in order."""


def lower(program: Program, donated: frozenset[int] = frozenset()) -> Schedule:
    """The schedule of a Program.

    Args:
        program: any Program.
        donated: inputs whose memory results may take.
    """
    from functrans.compiler import loops as loops  # registers how control flow is lowered

    program = prepare(program)
    lowering = Lowering()
    inputs = [lowering.new_slot() for _ in program.inputs]
    updates = of_program(program, prepare, donated)
    parts = partition(program, updates)
    heirs = heirs_of(program, parts, updates, donated) if donated else {}
    overwritten = {i for i in donated if program.inputs[i] in updates.until} | {*heirs.values()}
    outputs = [
        inputs[heirs[o]] if o in heirs else lowering.new_slot() for o in range(len(program.outputs))
    ]
    places: dict[Var, int] = dict(zip(program.inputs, inputs, strict=True))
    places |= dict(zip(program.outputs, outputs, strict=True))  # type: ignore[arg-type]
    main = BlockLowering(lowering, program, places, updates, parts).run()
    return Schedule(
        main, lowering.slot_count, inputs, outputs, lowering.constants, heirs,
        frozenset(overwritten), lowering.tapes,
    )  # fmt: skip


class Lowering:
    """What all blocks of one schedule share: the slots, the constants, the forms of kernels."""

    def __init__(self) -> None:
        self.slot_count = 1
        self.emitter = Emitter()
        self.constants: dict[int, np.ndarray] = {}
        self.constant_slots: dict[Any, int] = {}
        self.tapes: list[int] = []

    def new_slot(self) -> int:
        self.slot_count += 1
        return self.slot_count - 1

    def new_tape(self) -> int:
        """The first of the slots of a tape."""
        tape = self.slot_count
        self.slot_count += TAPE_SLOTS
        self.tapes.append(tape)
        return tape

    def constant(self, literal: Literal) -> int:
        """The slot of an array that is part of the program."""
        if literal.key not in self.constant_slots:
            slot = self.new_slot()
            array = np.array(literal.value, literal.aval.dtype, order="C", copy=True)
            self.constants[slot] = array
            self.constant_slots[literal.key] = slot
        return self.constant_slots[literal.key]

    def block(self, program: Program, places: dict[Var, int], updates: Updates) -> Block:
        """The entries of a prepared Program whose inputs and outputs have these slots."""
        return BlockLowering(self, program, places, updates, partition(program, updates)).run()


class BlockLowering:
    """Lowers one Program (the main one or a loop body) to one block."""

    def __init__(
        self,
        shared: Lowering,
        program: Program,
        places: dict[Var, int],
        updates: Updates,
        parts: Partition,
    ) -> None:
        self.shared = shared
        self.program = program
        self.updates = updates
        self.parts = parts
        self.places = dict(places)
        self.block = Block()
        self.sizes = {slot: v.aval.nbytes for v, slot in places.items()}
        """Bytes of slots, as far as they are known."""
        self.tapes: dict[Atom, int] = {}
        """The slots of those that loops write."""
        self.repeated: set[Var] = set()
        """Matrices that stand for a batch of the same."""
        self.within: dict[int, int] = {}
        """Slots of views that begin further on: view → the array that it lies in."""

    def run(self) -> Block:
        parts = self.parts
        self._place_early()
        steps: list[Step | Fork] = list(parts.steps)
        if num_threads() > 1:
            long = list(map(_is_long, parts.steps))
            steps = forked(parts.steps, long, self.updates, parts.stored, self.places)
        for step in steps:
            if isinstance(step, View):
                self._view(step.equation)
            elif isinstance(step, Single):
                self._single(step.equation)
            elif isinstance(step, Fork):
                self._fork(step)
            else:
                self._kernel(step)
        return self.block

    def _place_early(self) -> None:
        """What is overwritten by a result whose place is known is computed there."""
        for equation in reversed(self.program.equations):
            for operand, result in self.updates.shared(equation):
                if result in self.places:
                    self.places.setdefault(operand, self.places[result])

    # --- entries ---

    def append(self, entry: Entry) -> None:
        """Append an entry; temporaries among its slots live at least until it."""
        position = len(self.block.entries)
        self.block.entries.append(entry)
        for slot in entry.slots:
            self.touch(slot, position)
            entry.nbytes += self.sizes.get(slot, 0)

    def touch(self, slot: int, position: int) -> None:
        temporary = self.block.temporaries.get(self.within.get(slot, slot))
        if temporary is not None:
            temporary.last = max(temporary.last, position)

    def slot(self, atom: Atom) -> int:
        """Where an array is; a variable seen for the first time gets temporary memory."""
        if isinstance(atom, Literal):
            return self.shared.constant(atom)
        if atom not in self.places:
            self.places[atom] = self.temporary(atom.aval.nbytes)
        return self.places[atom]

    def temporary(self, nbytes: int) -> int:
        """A slot with memory that is born at the next entry."""
        slot = self.shared.new_slot()
        position = len(self.block.entries)
        self.block.temporaries[slot] = Temporary(nbytes, position, position)
        self.sizes[slot] = nbytes
        return slot

    def _view(self, equation: Equation) -> None:
        """Another name for the operand's memory; a slot of its own if it begins further on."""
        (operand,), (view,) = equation.inputs, equation.outputs
        source, offset = self.slot(operand), offset_of(equation)
        self.places[view] = source
        if equation.primitive.name == "broadcast":
            self.repeated.add(view)
        if offset:
            slot = self.places[view] = self.shared.new_slot()
            self.within[slot] = self.within.get(source, source)
            ints = (slot, source, offset)
            comment = f"{view.aval} from byte {offset}"
            self.append(Entry("ft_within", (0, source, slot), ints, comment=comment))
            self.sizes[slot] = view.aval.nbytes

    def _kernel(self, step: Kernel) -> None:
        """A kernel, or the kernels that threads can share in its place."""
        if 0 in step.shape and not any(
            v.aval.size for m in step.members for v in m.equation.outputs
        ):
            return
        emitted = self._emitted(step)
        nanoseconds = _nanoseconds(step, emitted)
        if blocks.is_narrow(step, emitted.extent, nanoseconds):
            for part in blocks.shareable(step, nanoseconds, self.parts.stored):
                self._append_kernel(part, self._emitted(part))
        else:
            self._append_kernel(step, emitted)

    def _emitted(self, step: Kernel) -> EmittedKernel:
        inlined, stored = self.parts.inlined, self.parts.stored
        return self.shared.emitter.emit(step, inlined, stored, self._overwritten(step))

    def _append_kernel(self, step: Kernel, emitted: EmittedKernel) -> None:
        parts = pieces(emitted.extent, _nanoseconds(step, emitted))
        comment = lines_of([m.equation for m in step.members])
        comment += f"  in {step.blocks} blocks" if step.blocks > 1 else ""
        self._call(emitted, comment, parts, float(step.weight * math.prod(step.shape)))

    def _call(
        self, kernel: EmittedKernel, comment: str, parts: int = 1, flops: float = 0.0
    ) -> None:
        """The entry of a kernel, which threads share in so many pieces."""
        slots = tuple(self.slot(a) for a in kernel.buffers)
        comment += f"  in {parts} pieces" if parts > 1 else ""
        entry = Entry(kernel, slots, kernel.ints, kernel.extent, comment, pieces=parts, flops=flops)
        self.append(entry)

    def _overwritten(self, step: Kernel) -> dict[Var, Var]:
        """The results of a kernel that take the place of an array which it reads."""
        slots = {self.places[v]: v for v in step.reads if v in self.places}
        results = [v for m in step.members for v in m.equation.outputs if v in self.places]
        return {
            v: slots[s] for v in results if (s := self.places[v]) in slots and slots[s] is not v
        }

    def _single(self, equation: Equation) -> None:
        links = self.updates.shared(equation)
        for operand, result in links:
            self.places[result] = self.slot(operand)
        if links and equation.primitive.name == "copy":
            return
        if links and equation.primitive.name == "dynamic_update_slice":
            self._block_update(equation)
            return
        rule = control_flow.get(equation.primitive.name)
        if rule is not None:
            if not self._region(equation):
                rule(self, equation)
            return
        if equation.primitive.name == "dot_general" and self._product(equation):
            return
        if equation.primitive.name in ROUTINES and append_routine(self, equation):
            return
        if is_scatter(equation):
            self._scatter(equation)
            return
        if is_native_sort(equation):
            self._by_rows(equation, emit_sort, nanoseconds(equation))
            return
        if is_selection(equation):
            self._by_rows(equation, emit_selection, equation.inputs[0].aval.size * NANOSECONDS)
            return
        if equation.primitive is window_product_p:
            self._window_product(equation)
            return
        if (transform := fourier.call_of(equation)) is not None:
            self._transform(equation, transform)
            return
        self._callback(equation)

    def _fork(self, fork: Fork) -> None:
        """Every step as a block of its own, which threads share unless one calls Python."""
        for step in fork.steps:
            # memory that is used outside of the blocks, too
            self.places |= {y: self.slot(x) for x, y in self.updates.shared(step.equation)}
            for atom in (*step.equation.inputs, *step.equation.outputs):
                self.slot(atom)
        outer, blocks = self.block, []
        for step in fork.steps:
            # loops set slots in every step: no two threads do in one line of the table
            self.shared.slot_count += SLOTS_OF_LINES
            self.block = Block()
            self._single(step.equation)
            blocks.append(self.block)
        self.shared.slot_count += SLOTS_OF_LINES
        self.block = outer
        used = {
            s: None for b in blocks for e in b.entries for s in e.slots if s not in b.temporaries
        }
        targets = [e.target for b in blocks for inner in b.walk() for e in inner.entries]
        count, python = len(blocks), any(isinstance(t, NumpyCall) for t in targets)
        entry = Entry("ft_each", (0, *used), tuple(blocks), count, f"{count} loops side by side")
        entry.pieces = 1 if python else count
        self.append(entry)

    def _region(self, equation: Equation) -> bool:
        """A loop or branch as one kernel, if its body is small."""
        emitted = emit_region(equation, prepare, self.updates.of(equation))
        if emitted is None:
            return False
        parts = 1
        if emitted.extent > 1:
            time = instructions(equation, prepare) / INSTRUCTIONS_PER_NANOSECOND
            parts = pieces(emitted.extent, time)
        comment = f"{equation.primitive.name} in registers  {lines_of([equation])}"
        self._call(emitted, comment, parts)
        return True

    def _scatter(self, equation: Equation) -> None:
        """A copy of the operand, and the kernel that writes the updates into it."""
        out = equation.outputs[0]
        if not out.aval.size:
            self.slot(out)
            return
        self.copied(equation.inputs[0], equation)
        self._call(emit_scatter(equation), f"scatter  {lines_of([equation])}")

    def copied(self, operand: Atom, equation: Equation) -> None:
        """The only result begins as a copy of an operand, unless they have one memory."""
        (out,) = equation.outputs
        slots = self.slot(operand), self.slot(out)
        if slots[0] != slots[1]:
            comment = f"operand of {equation.primitive.name}"
            self.append(Entry("ft_copy", slots, (out.aval.nbytes,), comment=comment))

    def _by_rows(
        self, equation: Equation, emit: Callable[[Equation], EmittedKernel], time: float
    ) -> None:
        """A kernel whose rows threads divide, and that takes so many nanoseconds."""
        emitted = emit(equation)
        parts = pieces(emitted.extent, time)
        if equation.inputs[0].aval.size:
            self._call(emitted, f"{equation.primitive.name}  {lines_of([equation])}", parts)
        for var in equation.outputs:
            self.slot(var)

    def _window_product(self, equation: Equation) -> None:
        """The kernel that multiplies windows, which threads divide."""
        emitted, work = emit_window_product(equation), flops(equation)
        parts = pieces(emitted.extent, work / FLOPS_PER_NANOSECOND)
        comment = f"product of windows {equation.outputs[0].aval}  {lines_of([equation])}"
        self._call(emitted, comment, parts, work)

    def _transform(self, equation: Equation, call: fourier.Call) -> None:
        """The rows of a Fourier transform, which threads divide."""
        (x,), (out,), flops = equation.inputs, equation.outputs, equation.flops
        parts = pieces(call.rows, flops / fourier.FLOPS_PER_NANOSECOND)
        comment = f"{equation.primitive.name} {out.aval}  {lines_of([equation])}"
        comment += f"  in {parts} pieces" if parts > 1 else ""
        slots = self.slot(x), self.slot(out)
        entry = Entry(
            call.function, slots, call.ints, call.rows, comment, flops=flops, pieces=parts
        )
        self.append(entry)

    def _block_update(self, equation: Equation) -> None:
        """The kernel that writes a block into an array which is overwritten."""
        if equation.inputs[1].aval.size:
            self._call(emit_block_update(equation), f"update  {lines_of([equation])}")

    def _product(self, equation: Equation) -> bool:
        gemm = gemm_of(equation)
        out = equation.outputs[0].aval
        if gemm is None or out.size == 0:
            return out.size == 0 and self.slot(equation.outputs[0]) >= 0
        same_x, same_y = (a in self.repeated for a in equation.inputs)
        gemm = replace(gemm, same_x=same_x, same_y=same_y)
        x, y = map(self.slot, equation.inputs)
        slots: tuple[int, ...] = (x, y, self.slot(equation.outputs[0]))
        small = is_small(gemm, out.dtype)
        own = not small and is_own(gemm, out.dtype)
        if gemm.k == 0 or (gemm.summed and not own):
            self.append(Entry("ft_fill0", slots[2:], (out.nbytes,), comment="of a product"))
        if gemm.k == 0:
            return True
        target: Any = f"ft_gemm_{NAMES[LETTERS[out.dtype.str[1:]]]}"
        ints, extent = tuple(gemm.ints), gemm.batch
        flops = 2.0 * gemm.m * gemm.k * gemm.n * gemm.batch
        alone = flops <= SINGLE_THREADED * gemm.batch and not gemm.summed
        parts = pieces(extent, flops / FLOPS_PER_NANOSECOND) if alone else 1
        if own:
            target = emit_product(equation, gemm)
            ints, extent = target.ints, target.extent
            parts = product_pieces(target.extent, gemm, out.dtype)
        elif small:
            target = emit_small_product(equation, gemm)
            # one buffer where both operands are one array
            ints, slots = target.ints, tuple(map(self.slot, target.buffers))
        elif x == y and is_gram(gemm, out.dtype):
            (target, ints), slots = gram_call(gemm, out.dtype), (x, slots[2])
            flops /= 2
        size = f"{gemm.m}x{gemm.k}x{gemm.n}" + (f" x{gemm.batch}" if gemm.batch != 1 else "")
        size += " summed" if gemm.summed else ""
        comment = f"matrix product {size}  {lines_of([equation])}"
        comment += f"  in {parts} pieces" if own and parts > 1 else ""
        self.append(Entry(target, slots, ints, extent, comment, flops=flops, pieces=parts))
        return True

    def _callback(self, equation: Equation) -> None:
        """What has no native form: its NumPy evaluation, called from the schedule."""
        primitive = equation.primitive
        in_place = is_in_place(equation)
        call = NumpyCall(primitive, dict(equation.params), in_place)
        ins, outs = equation.inputs, equation.outputs
        if in_place:
            self.copied(ins[0], equation)
            ins = ()
        slots = tuple(map(self.slot, (*ins, *outs)))
        specs = [a.aval for a in ins], [v.aval for v in outs]
        comment = f"NumPy: {primitive.name}  {lines_of([equation])}"
        # the user's own function may keep what it is given; NumPy's evaluations do not
        keeps = primitive.name in ("pure_callback", "io_callback", "debug_callback")
        self.append(Entry(call, slots, comment=comment, specs=specs, copy_inputs=keeps))


def _is_long(step: Step) -> bool:
    """Whether a step is worth a thread of its own."""
    if not isinstance(step, Single) or not is_alone(step.equation):
        return False
    time = instructions(step.equation, prepare) / INSTRUCTIONS_PER_NANOSECOND
    return time >= SPLIT_NANOSECONDS


def _nanoseconds(step: Kernel, emitted: EmittedKernel) -> float:
    """What a kernel takes on one thread, roughly: to move its bytes, or to compute on vectors."""
    moved = sum(a.aval.nbytes for a in emitted.buffers) / BYTES_PER_NANOSECOND
    width = max((a.aval.dtype.itemsize for a in emitted.buffers), default=8)
    operations = step.weight * math.prod(step.shape) * width
    return max(moved, operations / BYTES_COMPUTED_PER_NANOSECOND)
