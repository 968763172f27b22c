"""Arrays that a loop carries and changes a little in every step: updated where they are.

`a.at[i].set(x)` makes a new array. In the body of a loop that hands it on, nobody needs the old one
once the update is done, so the update may write into its memory: a step then costs the elements
that it writes and not the size of the array. What a carried array goes through, from the body's
input to its output, is a chain of *links*: updates, copies, and inner loops or branches that do
nothing else with it. A chain counts if whatever else reads a link's operand comes before the link;
the partition into steps (functrans/compiler/fuse.py) keeps that order. Loops and scatters overwrite
what the same Program computed before and does not read again, too; so do blocks, if they are small
and the array must exist before and after. What replaces most of an array is none of this: one pass
makes it anew, with what computes the block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from functrans.compiler.forms import is_elemental
from functrans.compiler.routines import ROUTINES
from functrans.compiler.scatter import is_scatter
from functrans.compiler.sorting import is_native_sort
from functrans.core.effects import has_effects
from functrans.core.program import Equation, Literal, Program, Var

SMALL = 8
"""Elements of an array up to which a loop keeps it in registers, or makes a new one."""
MOVES = ("dynamic_update_slice", "copy")
LOOPS = ("scan", "while_loop", "recording_while")
CONTROL_FLOW = (*LOOPS, "cond", "recorded_loop")
PATCH = 16
"""How many times larger an array is than a block that is written after the array was computed,
instead of in the same pass."""
OTHER_NAMES = ("reshape", "stored")
"""Their result may be their operand's memory."""


Links = Sequence[tuple[int, int]]
"""(operand, result) pairs of an equation that have the same memory."""


@dataclass(frozen=True)
class Updates:
    """What a Program updates where it is.

    Attributes:
        results: the outputs that end in the memory of an input.
        links: by the id of the equation.
        until: by variable that is overwritten, where in the Program its link stands.
    """

    results: frozenset[int] = frozenset()
    links: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    until: dict[Var, int] = field(default_factory=dict)

    def of(self, equation: Equation) -> Links:
        """The links that an equation is; most are none."""
        return self.links.get(id(equation), ())

    def shared(self, equation: Equation) -> list[tuple[Var, Var]]:
        """The operands and results of an equation that have one memory."""
        pairs = ((equation.inputs[i], equation.outputs[k]) for i, k in self.of(equation))
        return [(operand, result) for operand, result in pairs if isinstance(operand, Var)]


NOTHING = Updates()


def update_late(program: Program) -> Program:
    """Put what may be a link just before the first that reads its result.

    Whatever reads the operand, and in Python came between the two, then comes before the link.
    """
    waiting: dict[Var, Equation] = {}
    order: dict[Equation, None] = {}
    for equation in program.equations:
        for atom in equation.inputs:
            if isinstance(atom, Var) and atom in waiting:
                order[waiting[atom]] = None
        if _may_update(equation):
            waiting.update(dict.fromkeys(equation.outputs, equation))
        else:
            order[equation] = None
    order.update(dict.fromkeys(waiting.values()))
    return Program(program.inputs, list(order), program.outputs, program.name)


def _may_update(equation: Equation) -> bool:
    name = equation.primitive.name
    if name not in ("dynamic_update_slice", "scatter", *CONTROL_FLOW) and not _library(equation):
        return False
    return any(v.aval.size > SMALL for v in equation.outputs) and not has_effects(equation)


def carried(equation: Equation, prepared: Callable[[Program], Program]) -> Updates:
    """The parts of a loop's carry that its body updates, and how.

    Args:
        equation: one of LOOPS.
        prepared: the compiler's passes over a Program, for bodies.
    """
    params = equation.params
    if equation.primitive.name == "scan":
        body, first, count = prepared(params["program"]), params["num_consts"], params["num_carry"]
    else:
        body, first = prepared(step_of(equation)), params["body_consts"]
        count = len(equation.inputs) - params["cond_consts"] - first
    return between(body, [(first + k, k) for k in range(count)], prepared)


def way_there(equation: Equation, prepared: Callable[[Program], Program]) -> Updates:
    """The parts of its carry that a `recorded_loop` updates."""
    first, count = equation.params["consts"], equation.params["carry"]
    pairs = [(first + k, k) for k in range(count)]
    return between(prepared(equation.params["forward"]), pairs, prepared)


def way_back(equation: Equation, prepared: Callable[[Program], Program]) -> Updates:
    """The parts of its state that a `recorded_loop` updates."""
    backward = prepared(equation.params["backward"])
    count = len(equation.outputs)
    first = len(backward.inputs) - count
    return between(backward, [(first + k, k) for k in range(count)], prepared)


def step_of(equation: Equation) -> Program:
    """The body of a while loop, with what it writes down if it does."""
    params = equation.params
    return params["record"] if "record" in params else params["body_program"]


def in_branch(branch: Program, links: Links, prepared: Callable[[Program], Program]) -> Updates:
    """What a branch of a cond with these links updates."""
    return between(branch, [(operand - 1, result) for operand, result in links], prepared)


def of_program(
    program: Program,
    prepared: Callable[[Program], Program],
    donated: frozenset[int] = frozenset(),
) -> Updates:
    """What a Program updates of what it has computed itself, and of inputs that are given up."""
    return between(program, (), prepared, donated)


def between(
    program: Program,
    pairs: Links,
    prepared: Callable[[Program], Program],
    donated: frozenset[int] = frozenset(),
) -> Updates:
    """The chains of a Program among pairs of an input and the output that replaces it."""
    key = ("updates", tuple(pairs), donated)
    if key not in program.cache:
        search = _Search(program, prepared)
        chains = [(result, search.chain(i, result)) for i, result in pairs]
        found = [link for _, chain in chains for link in chain or ()]
        found += search.of_locals(donated)
        links: dict[int, list[tuple[int, int]]] = {}
        until: dict[Var, int] = {}
        for position, var, link in found:
            if var not in until:
                links.setdefault(id(program.equations[position]), []).append(link)
                until[var] = position
        results = frozenset(result for result, chain in chains if chain is not None)
        program.cache[key] = Updates(results, links, until)
    return program.cache[key]


Chain = list[tuple[int, Var, tuple[int, int]]]
"""Per link: its position in the Program, the variable that it overwrites, operand and result."""


class _Search:
    """Looks for the links of a Program.

    Attributes:
        end: a position after all equations, where outputs are read.
        readers: the positions that read each variable, in order.
    """

    def __init__(self, program: Program, prepared: Callable[[Program], Program]) -> None:
        self.program = program
        self.prepared = prepared
        self.end = len(program.equations)
        self.readers: dict[Var, list[int]] = {}
        atoms = [*(e.inputs for e in program.equations), program.outputs]
        for position, read in enumerate(atoms):
            for atom in read:
                if isinstance(atom, Var):
                    self.readers.setdefault(atom, []).append(position)

    def chain(self, operand: int, result: int) -> Chain | None:
        """The links from an input to an output; None if there is another way or none."""
        var, end = self.program.inputs[operand], self.program.outputs[result]
        if var.aval.size <= SMALL:
            return None
        chain: Chain = []
        while var is not end:
            positions = self.readers.get(var, [])
            if not positions or positions[-1] == self.end:
                return None
            equation = self.program.equations[positions[-1]]
            link = _link(equation, var, self.prepared)
            if link is None:
                return None
            chain.append((positions[-1], var, link))
            var = equation.outputs[link[1]]
        return chain if self.readers[var].count(self.end) == 1 else None

    def of_locals(self, donated: frozenset[int]) -> Chain:
        """The links that overwrite what an earlier equation has computed, or a donated input."""
        computed: set[Var] = {self.program.inputs[i] for i in donated}
        by_loops: set[Var] = set()
        links: Chain = []
        for position, equation in enumerate(self.program.equations):
            name = equation.primitive.name
            overwrites = name in CONTROL_FLOW or is_scatter(equation) or _library(equation)
            candidates = computed if overwrites or name in MOVES else set()
            for var in candidates.intersection(equation.inputs):
                if self.readers[var][-1] != position or var.aval.size <= SMALL:
                    continue
                # what no loop made may be computed where it is updated, in one pass
                if not (overwrites or var in by_loops or self._is_patch(equation, var)):
                    continue
                link = _link(equation, var, self.prepared)
                if link is not None:
                    links.append((position, var, link))
            if name not in OTHER_NAMES:
                computed.update(equation.outputs)
            if name in CONTROL_FLOW:
                by_loops.update(equation.outputs)
        return links

    def _is_patch(self, equation: Equation, array: Var) -> bool:
        """Whether a small block is written into what is an array before and after it."""
        if equation.primitive.name != "dynamic_update_slice":
            return False
        later = self.readers.get(equation.outputs[0], [self.end])
        exists = len(self.readers[array]) > 1 and (len(later) > 1 or later[-1] == self.end)
        return exists and PATCH * equation.inputs[1].aval.size <= array.aval.size


def _link(
    equation: Equation, var: Var, prepared: Callable[[Program], Program]
) -> tuple[int, int] | None:
    """Which operand an equation may overwrite with which result, if it reads var only there."""
    places = [i for i, atom in enumerate(equation.inputs) if atom is var]
    if len(places) != 1:
        return None
    (place,) = places
    name, params = equation.primitive.name, equation.params
    if is_scatter(equation) or (name in MOVES and is_elemental(equation)):
        return (0, 0) if place == 0 and not _is_most(equation) else None
    if _library(equation):
        return (place, 0) if place == len(equation.inputs) - 1 else None
    if name in LOOPS:
        fixed = (
            params["num_consts"]
            if name == "scan"
            else (params["cond_consts"] + params["body_consts"])
        )
        result = place - fixed
        return (place, result) if result in carried(equation, prepared).results else None
    if name == "recorded_loop":
        result = place - len(equation.inputs) + len(equation.outputs)
        return (place, result) if result in way_back(equation, prepared).results else None
    if name == "cond":
        branches = [prepared(p) for p in params["branches"]]
        for result in range(len(equation.outputs)):
            if all(in_branch(b, [(place, result)], prepared).results for b in branches):
                return place, result
    return None


def _is_most(equation: Equation) -> bool:
    """Whether a block at a known place is most of its array, which one pass then makes anew."""
    if equation.primitive.name != "dynamic_update_slice":
        return False
    operand, block, *starts = equation.inputs
    known = all(isinstance(s, Literal) for s in starts)
    return known and 2 * block.aval.size > operand.aval.size


def _library(equation: Equation) -> bool:
    """Whether a library replaces the last operand by the result."""
    routine = ROUTINES.get(equation.primitive.name)
    return (routine is not None and routine.in_place) or is_in_place(equation)


def is_in_place(equation: Equation) -> bool:
    """Whether NumPy or SciPy makes the only operand the result."""
    if equation.primitive.in_place is None or len(equation.inputs) != 1:
        return False
    return not is_native_sort(equation)
