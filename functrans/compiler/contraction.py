"""Which products and sums of a kernel in registers become one fused operation: decided in its text.

Elsewhere the flag `contract` leaves that to LLVM. In a loop that carries values in registers it may
not be left: LLVM computes some values twice, in lanes of different vectors, and carries both on as
one number. Where it then fuses the one and not the other, the two differ by a rounding, each feeds
the other in the next step, and the difference can grow exponentially although the loop is stable.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_PRODUCT = re.compile(r"  (%\w+) = fmul contract (\w+) ([^,]+), (.+)")
_SUM = re.compile(r"  (%\w+) = f(add|sub) contract (\w+) ([^,]+), (.+)")
_REGISTER = re.compile(r"%\w+(?:\.\w+)*")
_LOOPS = ("loop.", "while.")
"""Labels of blocks that are repeated: what is computed before them stays there."""
_SUFFIX = {"half": "f16", "float": "f32", "double": "f64"}


def contracted(lines: Sequence[str]) -> tuple[list[str], list[str]]:
    """A function's text without `contract`: a product that is read by one sum or difference, in no
    loop that it is not in, and by nothing else, is part of it.

    Sums that may be reordered, of reductions, stay sums of products.

    Returns:
        The text, and the declarations that it needs.
    """
    reads = Counter(name for line in lines for name in _REGISTER.findall(line))
    products: dict[str, tuple[int, re.Match[str]]] = {}
    declarations: dict[str, None] = {}
    result: list[str] = []
    for line in lines:
        if line.startswith(_LOOPS):
            products.clear()
        elif (product := _PRODUCT.fullmatch(line)) and reads[product[1]] == 2:
            products[product[1]] = len(result), product  # named here and where it is read
        elif total := _SUM.fullmatch(line):
            part = next((x for x in total.groups()[3:] if x in products), None)
            if part is not None:
                place, product = products.pop(part)
                result[place] = ""
                result += _fused(total, product)
                declarations[_declaration(total[3])] = None
                continue
        result.append(line)
    return [line.replace(" contract ", " ") for line in result if line], list(declarations)


def _declaration(kind: str) -> str:
    return f"declare {kind} @llvm.fmuladd.{_SUFFIX[kind]}({kind}, {kind}, {kind})"


def _fused(total: re.Match[str], product: re.Match[str]) -> list[str]:
    """The lines in place of a sum or difference of which one part is a product."""
    name, op, kind, left, right = total.groups()
    part, _, x, y = product.groups()
    other, lines = right if left == part else left, []
    if op == "sub":
        negated = f"{name}.neg"
        lines.append(f"  {negated} = fneg {kind} {other if left == part else x}")
        x, other = (x, negated) if left == part else (negated, other)
    call = f"call {kind} @llvm.fmuladd.{_SUFFIX[kind]}({kind} {x}, {kind} {y}, {kind} {other})"
    return [*lines, f"  {name} = {call}"]
