"""Compiled Programs as text for people: the schedule, then every distinct kernel."""

from __future__ import annotations

from functrans.compiler.emitted import EmittedKernel, StoredKernel
from functrans.compiler.schedule import Block, Entry, Schedule
from functrans.core.graph import Graph
from functrans.core.program import Program


def describe(schedule: Schedule, program: Program) -> str:
    """The schedule of a Program entry by entry, and the kernels it calls."""
    arena, _ = schedule.place()
    kernels = schedule.kernels()
    head = [
        f"# {program.name or 'program'}: {_types(program.in_avals)} → {_types(program.out_avals)}",
        f"# {_counted(_count(schedule.main), 'step')}, "
        f"{_counted(len(kernels), 'distinct kernel')}, "
        f"{arena} bytes of temporaries",
    ]
    body = _describe_block(schedule.main, schedule, "")
    return "\n\n".join(["\n".join(head + body), *(k.source for k in kernels.values())])


def schedule_graph(schedule: Schedule) -> Graph:
    """Steps as nodes, arrays as arrows; what is inside of loops is drawn beside the loop."""
    graph = Graph()
    made: dict[int, str] = {}
    for i, slot in enumerate(schedule.inputs):
        graph.nodes[f"in{i}"] = (f"input {i}", True)
        made[slot] = f"in{i}"
    _add_steps(graph, schedule.main, schedule, made, "s")
    for i, slot in enumerate(schedule.outputs):
        graph.nodes[f"out{i}"] = (f"output {i}", True)
        if slot in made:
            graph.edges.append((made[slot], f"out{i}", ""))
    return graph


def _add_steps(
    graph: Graph, block: Block, schedule: Schedule, made: dict[int, str], prefix: str
) -> None:
    for number, entry in enumerate(block.entries):
        name = f"{prefix}{number}"
        title = target_name(entry)
        graph.nodes[name] = (f"{title}\n{entry.comment}" if entry.comment else title, False)
        for slot in dict.fromkeys(entry.slots):
            if slot in made:
                graph.edges.append((made[slot], name, _slot_name(slot, schedule)))
        for i, child in enumerate(x for x in entry.ints if isinstance(x, Block)):
            _add_steps(graph, child, schedule, {}, f"{name}_{i}_")
            if child.entries:
                graph.edges.append((name, f"{name}_{i}_0", "runs"))
        made.update(dict.fromkeys(_written(entry), name))


def _written(entry: Entry) -> tuple[int, ...]:
    """The slots that an entry writes."""
    kernel = entry.target
    if isinstance(kernel, EmittedKernel):
        pairs = zip(entry.slots, kernel.buffers, strict=True)
        return tuple(slot for slot, atom in pairs if atom in kernel.outputs)
    if any(isinstance(x, Block) for x in entry.ints):
        return entry.slots
    return entry.slots[-max(len(entry.specs[1]), 1) :]


def _count(block: Block) -> int:
    return sum(len(b.entries) for b in block.walk())


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _types(avals: tuple) -> str:
    return ", ".join(map(str, avals)) or "nothing"


def _describe_block(block: Block, schedule: Schedule, indent: str) -> list[str]:
    lines = []
    for entry in block.entries:
        lines.append(indent + _describe_entry(entry, schedule))
        for x in entry.ints:
            if isinstance(x, Block):
                lines += _describe_block(x, schedule, indent + "    ")
    return lines


def target_name(entry: Entry) -> str:
    """The kernel or library function that an entry calls."""
    target = entry.target
    if isinstance(target, EmittedKernel | StoredKernel):
        return target.name
    return target if isinstance(target, str) else f"numpy_{target.__name__}"


def _describe_entry(entry: Entry, schedule: Schedule) -> str:
    name = target_name(entry)
    arguments = ", ".join(_slot_name(s, schedule) for s in entry.slots)
    comment = f"  # {entry.comment}" if entry.comment else ""
    return f"{name}({arguments}){comment}"


def _slot_name(slot: int, schedule: Schedule) -> str:
    if slot in schedule.inputs:
        return f"in{schedule.inputs.index(slot)}"
    if slot in schedule.outputs:
        return f"out{schedule.outputs.index(slot)}"
    return f"const{slot}" if slot in schedule.constants else f"tmp{slot}"
