"""Programs as text that a person can read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from functrans.core.program import Atom, Equation, Program, Var


def format_program(program: Program, indent: str = "") -> str:
    """The Program in the notation of docs/design.md, with the user's lines as comments."""
    names: dict[Var, str] = {}
    fresh = _letters()

    def bind(var: Var) -> str:
        names[var] = next(fresh)
        return f"{names[var]}:{var.aval}"

    def use(atom: Atom) -> str:
        return names[atom] if isinstance(atom, Var) else repr(atom)

    head = f"{indent}{{ lambda {' '.join(map(bind, program.inputs))} ."
    lines = [_format_equation(e, bind, use, indent + "    ") for e in program.equations]
    outputs = ", ".join(map(use, program.outputs)) + ("," if len(program.outputs) == 1 else "")
    return "\n".join([head, *lines, f"{indent}  in ({outputs}) }}"])


def _format_equation(equation: Equation, bind: Any, use: Any, indent: str) -> str:
    inputs = " ".join(map(use, equation.inputs))
    outputs = " ".join(map(bind, equation.outputs)) or "_"
    params = _format_params(equation.params, indent)
    text = f"{indent}{outputs} = {equation.primitive.name}{params} {inputs}".rstrip()
    if equation.source is None:
        return text
    if "\n" in text:
        return text + f"  # {equation.source}"
    return f"{text:<56}  # {equation.source}"


def _format_params(params: Any, indent: str) -> str:
    shown = [f"{k}={_format_value(v, indent)}" for k, v in params.items() if v is not None]
    if not shown:
        return ""
    if any("\n" in s for s in shown):
        inner = ("\n" + indent + "  ").join(shown)
        return f"[\n{indent}  {inner}\n{indent}]"
    return f"[{' '.join(shown)}]"


def _format_value(value: Any, indent: str) -> str:
    if isinstance(value, Program):
        return format_program(value, indent + "    ").lstrip()
    if type(value) is tuple and value and all(isinstance(p, Program) for p in value):
        inner = "".join("\n" + format_program(p, indent + "    ") for p in value)
        return f"({inner} )"
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return str(value)


def _letters() -> Iterator[str]:
    """a, b, …, z, ba, bb, …"""
    number = 0
    while True:
        n, text = number, ""
        while True:
            text = chr(ord("a") + n % 26) + text
            n //= 26
            if n == 0:
                break
        yield text
        number += 1
