"""Arrays under another name: what libraries read, and lies in memory as a piece of another array.

Kernels compute the element of a reshaped or sliced array from that of its operand, with no array
between. A library needs an address: that of the operand, or one further on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from functrans.compiler.forms import is_fused
from functrans.compiler.products import is_repeated
from functrans.compiler.stored import stored_p
from functrans.compiler.updates import Updates
from functrans.core.program import Equation, Program, Var


def choose_views(
    program: Program, consumers: Mapping[Var, Sequence[Equation]], updates: Updates
) -> set[Var]:
    """Stored variables, reshaped and sliced ones that libraries read, and matrices that are
    repeated in a batch of products."""
    views: set[Var] = set()
    outputs = set(program.outputs)
    for equation in reversed(program.equations):
        if not _may_be_view(equation):
            continue
        (operand,), (var,) = equation.inputs, equation.outputs
        if equation.primitive.name == "broadcast":
            called = is_repeated(equation, consumers[var])
        else:
            called = equation.primitive is stored_p or any(
                (c.outputs and c.outputs[0] in views) or not is_fused(c) for c in consumers[var]
            )
        if called and var not in outputs and updates.until.keys().isdisjoint((operand, var)):
            views.add(var)
    return views


def offset_of(view: Equation) -> int:
    """How many bytes after its operand a view begins."""
    if view.primitive.name != "slice":
        return 0
    (operand,) = view.inputs
    elements = 0
    for n, start in zip(operand.aval.shape, view.params["start"], strict=True):
        elements = elements * n + start
    return elements * operand.aval.dtype.itemsize


def _may_be_view(equation: Equation) -> bool:
    name = equation.primitive.name
    if name not in ("reshape", "broadcast", "slice", stored_p.name):
        return False
    return isinstance(equation.inputs[0], Var) and (name != "slice" or _is_contiguous(equation))


def _is_contiguous(equation: Equation) -> bool:
    """Whether a slice is one piece: whole along the axes behind the first of several elements."""
    before, after = equation.inputs[0].aval.shape, equation.outputs[0].aval.shape
    first = next((axis for axis, n in enumerate(after) if n != 1), len(after))
    steps = equation.params["step"]
    return before[first + 1 :] == after[first + 1 :] and steps[first : first + 1] in ((1,), ())
