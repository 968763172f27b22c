"""What the compiler made of a Program, as files for people: see `functrans.config.dump_dir`."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from functrans.compiler.describe import describe, schedule_graph
from functrans.compiler.engine import emit_assembly
from functrans.compiler.link import module_text
from functrans.compiler.schedule import Schedule
from functrans.core.program import Program


def dump(program: Program, schedule: Schedule, folder: Path) -> Path:
    """Write Program, schedule, graph, LLVM IR and assembly into a folder of their own.

    Returns:
        That folder, named by the function and the Program.
    """
    text = str(program)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    name = re.sub(r"\W+", "_", program.name or "program").strip("_")
    target = folder / f"{name or 'program'}-{digest}"
    target.mkdir(parents=True, exist_ok=True)
    kernels = module_text(schedule.kernels().values())
    files = {
        "program.txt": text,
        "schedule.txt": describe(schedule, program),
        "schedule.dot": schedule_graph(schedule).dot(),
        "kernels.ll": kernels,
    }
    if schedule.kernels():
        files["kernels.s"] = emit_assembly(kernels)
    for file, content in files.items():
        (target / file).write_text(content + "\n", "utf-8")
    return target
