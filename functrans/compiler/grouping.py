"""Members into kernels: loop nests that compute several equations over one iteration space.

Members of a kernel read one another in registers. A kernel that folds its last axes works row by
row, in *stages*: a pass over the row computes and folds what it can; the results are values of the
row, and members that need them (softmax needs the maximum, then the sum) come in the next pass,
while the row is in cache.

A member joins a kernel only if all it reads comes from earlier steps or from that kernel, so one
pass over the equations makes no cycle.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from functrans.compiler.forms import Shape, is_reduction, iteration_shape, own_weight
from functrans.core.lowering import Indexed
from functrans.core.program import Equation, Var

KERNEL_LIMIT = 160
"""Instructions after which a chain is cut, so that compile time stays linear in the program."""
SHORT_LIMIT = 40
"""The same in a program with chains beyond LONG_CHAIN: they are unrolled loops, whose pieces are
alike, and LLVM takes several times longer for each element of a long piece than of a short one."""
LONG_CHAIN = 8 * KERNEL_LIMIT
ARRAY_LIMIT = 24
"""Arrays a kernel touches at most: more streams than the hardware prefetches."""
LOOK_BACK = 4
"""How many of the latest kernels of a shape are considered, so that grouping is linear."""


@dataclass
class Member:
    """An equation of a kernel: over the whole iteration space, or once per row; and its stage.

    `weight` is roughly what an element takes, with what is inlined into it.
    """

    equation: Equation
    per_row: bool
    stage: int
    weight: int


@dataclass
class Kernel:
    """A step that is one loop nest over `shape`; `reduced` are the axes its reductions fold.

    Those with much to do and a short outermost loop say what else threads can share, see
    functrans/compiler/blocks.py: an `inner` one of the independent loops, or so many `blocks` of
    what is folded, for each of which the reductions have results of their own along `block_axis`;
    a kernel `of_blocks` folds these.
    """

    shape: Shape
    reduced: tuple[int, ...] = ()
    members: list[Member] = field(default_factory=list)
    values: dict[Var, Member] = field(default_factory=dict)
    weight: int = 0
    reads: set[Var] = field(default_factory=set)
    inner: bool = False
    blocks: int = 1
    of_blocks: bool = False

    @property
    def block_axis(self) -> int:
        """Of results of blocks: the last if members can follow in the row, else the first."""
        return len(self.row_shape) if self.by_rows else 0

    @property
    def row_shape(self) -> Shape:
        return tuple(n for a, n in enumerate(self.shape) if a not in self.reduced)

    @property
    def by_rows(self) -> bool:
        """Whether it folds its last axes, so that results of a row can be used in the row."""
        n = len(self.reduced)
        return n > 0 and self.reduced == tuple(range(len(self.shape) - n, len(self.shape)))

    @property
    def folds(self) -> bool:
        """Whether there are reductions among its members, if only over axes of one element."""
        return any(is_reduction(m.equation) for m in self.members)

    @property
    def stages(self) -> int:
        return 1 + max(m.stage for m in self.members)

    def is_row_value(self, var: Var) -> bool:
        member = self.values.get(var)
        return member is not None and (member.per_row or is_reduction(member.equation))

    def streams(self, reads: Reads) -> int:
        """Arrays of more than a number per row that it would touch with a member that reads so."""
        outside = (self.reads | reads.all) - self.values.keys()
        return len(outside) + sum(not self.is_row_value(v) for v in self.values)

    def available(self, var: Var) -> int:
        """The first stage in which a member can use a value of this kernel."""
        member = self.values[var]
        return member.stage + (1 if is_reduction(member.equation) else 0)


@dataclass
class Single:
    """A step that is one equation: a library call, control flow, or a call of NumPy."""

    equation: Equation


@dataclass
class View:
    """A step that computes nothing: the result is memory of its operand."""

    equation: Equation


Step = Kernel | Single | View


@dataclass
class Reads:
    """What a member reads, seen through what is inlined into it."""

    aligned: set[Var] = field(default_factory=set)
    """Arrays of the iteration's shape, read at its own index."""
    rows: dict[Var, int] = field(default_factory=dict)
    """Arrays with one element per row, and how many last axes make up the row."""
    elsewhere: set[Var] = field(default_factory=set)
    equations: list[Equation] = field(default_factory=list)
    """The inlined equations."""

    @property
    def all(self) -> set[Var]:
        return self.aligned | set(self.rows) | self.elsewhere


class Grouper:
    """Builds the steps of a Program in order.

    Attributes:
        steps: so far.
        stored: variables that must exist as arrays.
        limit: instructions of a chain.
    """

    def __init__(self, inlined: dict[Var, Equation], stored: set[Var], limit: int) -> None:
        self.inlined = inlined
        self.limit = limit
        self.steps: list[Step] = []
        self.stored = stored
        self._step_of: dict[Var, int] = {}
        self._full: dict[Shape, list[int]] = defaultdict(list)
        self._rows: dict[Shape, list[int]] = defaultdict(list)

    def single(self, equation: Equation) -> None:
        """A step of its own, after everything so far."""
        self.stored.update(a for a in equation.inputs if isinstance(a, Var))
        self._step_of.update(dict.fromkeys(equation.outputs, len(self.steps)))
        self.steps.append(Single(equation))

    def view(self, equation: Equation) -> None:
        """Another name for an array, which must exist."""
        (operand,), (var,) = equation.inputs, equation.outputs
        assert isinstance(operand, Var)  # views.choose_views
        self.stored.add(operand)
        self._step_of[var] = len(self.steps)
        self.steps.append(View(equation))

    def place(self, equation: Equation) -> None:
        """Add a member to an open kernel that it fits, or to a new one."""
        shape = iteration_shape(equation)
        reads = member_reads(equation, self.inlined)
        weight = sum(map(own_weight, reads.equations)) + own_weight(equation) + 1
        position, per_row = self._find(equation, shape, reads, weight)
        if position is None:
            position, per_row = len(self.steps), False
            self.steps.append(Kernel(shape))
            self._full[shape].append(position)
        kernel = self.steps[position]
        assert isinstance(kernel, Kernel)
        self._add(kernel, position, equation, per_row, reads, weight)

    def _find(
        self, equation: Equation, shape: Shape, reads: Reads, weight: int
    ) -> tuple[int | None, bool]:
        """The kernel that a member fits, and whether it is computed once per row there.

        The latest of those that fold rows, where it is at hand for the next fold of the row; else
        the latest.
        """
        candidates = [(p, False) for p in self._full[shape][-LOOK_BACK:]]
        if not is_reduction(equation):
            candidates += [(p, True) for p in self._rows[_squeezed(shape)][-LOOK_BACK:]]
        for position, per_row in sorted(candidates, key=self._preference, reverse=True):
            kernel = self.steps[position]
            assert isinstance(kernel, Kernel)
            small = kernel.weight + weight <= 2 * self.limit
            if not small or kernel.streams(reads) > ARRAY_LIMIT:
                continue
            fits = self._fits_row if per_row else self._fits_full
            if fits(kernel, position, equation, reads):
                return position, per_row
        return None, False

    def _preference(self, candidate: tuple[int, bool]) -> tuple[bool, int, bool]:
        position, per_row = candidate
        kernel = self.steps[position]
        assert isinstance(kernel, Kernel)
        return kernel.by_rows and len(kernel.reduced) < len(kernel.shape), position, per_row

    def _before(self, var: Var, position: int) -> bool:
        return self._step_of.get(var, -1) < position

    def _fits_full(self, kernel: Kernel, position: int, equation: Equation, reads: Reads) -> bool:
        if is_reduction(equation) and kernel.reduced not in ((), equation.params["axes"]):
            return False
        within_row = all(
            self._before(v, position)
            or (kernel.is_row_value(v) and kernel.by_rows and len(kernel.reduced) == axes)
            for v, axes in reads.rows.items()
        )
        return (
            within_row
            and all(self._before(v, position) for v in reads.elsewhere)
            and all(self._before(v, position) or not kernel.is_row_value(v) for v in reads.aligned)
            and all(self._step_of.get(v, -1) <= position for v in reads.aligned)
        )

    def _fits_row(self, kernel: Kernel, position: int, equation: Equation, reads: Reads) -> bool:
        others = reads.elsewhere | set(reads.rows)
        inside = [v for v in reads.aligned if not self._before(v, position)]
        return (
            bool(inside)
            and all(kernel.is_row_value(v) for v in inside)
            and all(self._before(v, position) for v in others)
        )

    def _add(
        self,
        kernel: Kernel,
        position: int,
        equation: Equation,
        per_row: bool,
        reads: Reads,
        weight: int,
    ) -> None:
        inside = [v for v in (*reads.aligned, *reads.rows) if v in kernel.values]
        stage = max((kernel.available(v) for v in inside), default=0)
        member = Member(equation, per_row, stage, weight)
        for var in inside:
            # a value of the whole row is gone from the registers in a later pass: read it back
            if not kernel.is_row_value(var) and kernel.values[var].stage < stage:
                self.stored.add(var)
        self.stored.update(v for v in reads.all if v not in kernel.values)
        kernel.members.append(member)
        kernel.weight += weight
        kernel.values.update(dict.fromkeys(equation.outputs, member))
        kernel.reads.update(reads.all)
        self._step_of.update(dict.fromkeys(equation.outputs, position))
        if is_reduction(equation) and not kernel.reduced:
            kernel.reduced = equation.params["axes"]
            if kernel.by_rows:
                self._rows[_squeezed(kernel.row_shape)].append(position)


def member_reads(equation: Equation, inlined: dict[Var, Equation]) -> Reads:
    """The arrays that a member reads, and at which index.

    The index is followed through the inlined equations as one of: that of the iteration (0), that
    of its row of the last `n` axes (n), or any other (None).
    """
    reads = Reads()
    shape = iteration_shape(equation)
    pending: list[tuple[Equation, int | None]] = [(equation, 0)]
    seen: set[tuple[int, int | None]] = set()
    while pending:
        current, index = pending.pop()
        for atom in current.inputs:
            if not isinstance(atom, Var):
                continue
            below = _index_of(current, atom.aval.shape, index, shape)
            producer = inlined.get(atom)
            if producer is None:
                _note(reads, atom, below)
            elif (id(producer), below) not in seen:
                seen.add((id(producer), below))
                reads.equations.append(producer)
                pending.append((producer, below))
    for var in reads.elsewhere:
        reads.aligned.discard(var)
        reads.rows.pop(var, None)
    for var in reads.aligned & set(reads.rows):
        reads.aligned.discard(var)
        del reads.rows[var]
        reads.elsewhere.add(var)
    return reads


def _note(reads: Reads, var: Var, index: int | None) -> None:
    if index is None or reads.rows.get(var, index) != index:
        reads.elsewhere.add(var)
    elif index == 0:
        reads.aligned.add(var)
    else:
        reads.rows[var] = index


def _index_of(equation: Equation, shape: Shape, index: int | None, full: Shape) -> int | None:
    """How an equation computed at `index` reads an operand of this shape."""
    if index is None:
        return None
    out = iteration_shape(equation)
    if isinstance(equation.primitive.lower, Indexed) and equation.primitive.name != "copy":
        keeps_order = equation.primitive.name == "reshape" and _squeezed(shape) == _squeezed(out)
        return index if keeps_order else None
    if shape == out:
        return index
    if index == 0 and len(shape) == len(full):
        ones = next((n for n in range(len(shape)) if shape[len(shape) - 1 - n] != 1), len(shape))
        kept = len(full) - ones
        if ones and shape[:kept] == full[:kept] and full[kept:] != shape[kept:]:
            return ones
    return None


def _squeezed(shape: Shape) -> Shape:
    return tuple(n for n in shape if n != 1)
