"""How much a Program does."""

from __future__ import annotations

from functrans.core.program import Program, programs_in


def flops(program: Program) -> float:
    """The sum of the costs of a Program's equations."""
    return sum(e.flops for e in program.equations)


def equations_run(program: Program) -> int:
    """How many equations a Program evaluates, roughly: a while loop is taken to run ten times."""
    if "equations run" not in program.cache:
        total = 0
        for e in program.equations:
            times = e.params.get("length", 10 if e.primitive.name == "while_loop" else 1)
            total += 1 + times * sum(map(equations_run, programs_in(e.params)))
        program.cache["equations run"] = total
    return program.cache["equations run"]
