"""Compiled Programs as text for people: the schedule, then every distinct kernel."""

from __future__ import annotations

from functrans.compiler.emitted import EmittedKernel, StoredKernel
from functrans.compiler.schedule import Block, Entry, Schedule
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


def _describe_entry(entry: Entry, schedule: Schedule) -> str:
    target = entry.target
    if isinstance(target, EmittedKernel | StoredKernel):
        name = target.name
    elif isinstance(target, str):
        name = target
    else:
        name = f"numpy_{target.__name__}"
    arguments = ", ".join(_slot_name(s, schedule) for s in entry.slots)
    comment = f"  # {entry.comment}" if entry.comment else ""
    return f"{name}({arguments}){comment}"


def _slot_name(slot: int, schedule: Schedule) -> str:
    if slot in schedule.inputs:
        return f"in{schedule.inputs.index(slot)}"
    if slot in schedule.outputs:
        return f"out{schedule.outputs.index(slot)}"
    return f"const{slot}" if slot in schedule.constants else f"tmp{slot}"
