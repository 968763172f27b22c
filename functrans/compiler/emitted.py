"""Kernels as the rest of the compiler sees them: emitted now, or known by name from the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from functrans.core.program import Atom, Var

ONE_BY_ONE = ", !llvm.loop !0"
"""After the jump back of a loop whose iterations are not to be put into vectors."""
AS_IT_STANDS = ", !llvm.loop !2"
"""After the jump back of a loop around long ones, which LLVM would write once for each of a few
iterations: that takes several times as long to compile, and runs no faster."""
TRAILER = """\
attributes #0 = { nounwind alwaysinline }
!0 = distinct !{!0, !1}
!1 = !{!"llvm.loop.vectorize.enable", i1 false}
!2 = distinct !{!2, !3}
!3 = !{!"llvm.loop.unroll.disable"}"""
"""What a module of kernels ends with, since their text refers to it. Bodies are inlined before
anything else, so that they are optimised once."""


@dataclass(frozen=True)
class EmittedKernel:
    """A kernel ready to compile.

    Attributes:
        name: of the native function; from the hash of the text, so equal kernels share it.
        ir: LLVM IR of its functions, without declarations.
        declarations: the module-level lines that it needs.
        buffers: the arrays it reads (variables or array literals), then those it writes.
        ints: its run-time integers.
        extent: trip count of the outermost loop.
        source: what it does, for people.
        written: it has the instructions that it should have, and LLVM optimises nothing.
    """

    name: str
    ir: str
    declarations: tuple[str, ...]
    buffers: tuple[Atom, ...]
    outputs: tuple[Var, ...]
    ints: tuple[int, ...]
    extent: int
    source: str
    written: bool = False


@dataclass(frozen=True)
class StoredKernel:
    """A kernel whose object code an earlier process has left in the disk cache.

    Attributes:
        name: of the native function.
        module: the key of the object code that defines it.
    """

    name: str
    module: str


def kernel_of_text(
    text: str,
    declarations: Sequence[str],
    buffers: Sequence[tuple[str, Atom]],
    outputs: Sequence[Var],
    ints: Sequence[int],
    extent: int,
    what: str,
    written: bool = True,
) -> EmittedKernel:
    """The kernel whose text calls it @KERNEL.

    Args:
        text, declarations, outputs, ints, extent, written: as of an EmittedKernel.
        buffers: with their names, for people.
        what: the line that says what it does, for people.
    """
    name = f"k{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    shown = ", ".join(f"{x}: {a.aval}" for x, a in buffers)
    return EmittedKernel(
        name,
        text.replace("@KERNEL", f"@{name}"),
        tuple(declarations),
        tuple(a for _, a in buffers),
        tuple(outputs),
        tuple(ints),
        extent,
        f"def {name}({shown}):\n    {what}",
        written,
    )


def again(counter: str, stop: str, loop: str, after: str) -> str:
    """The end of a loop: back to its block `loop` with the next number while that is below `stop`,
    else on to the block `after`."""
    return (
        f"  %{counter}.next = add i64 %{counter}, 1\n"
        f"  %{counter}.more = icmp ult i64 %{counter}.next, {stop}\n"
        f"  br i1 %{counter}.more, label %{loop}, label %{after}"
    )


def arguments(buffers: Sequence[str], ints: Sequence[str]) -> str:
    """Instructions that load the buffers and integers of a kernel, under these names."""
    loads = [("buf", "ptr", "%bufs", name, i) for i, name in enumerate(buffers)]
    loads += [("int", "i64", "%ints", name, i) for i, name in enumerate(ints)]
    return "\n".join(
        f"  %{name}.{what} = getelementptr {kind}, ptr {array}, i64 {i}\n"
        f"  %{name} = load {kind}, ptr %{name}.{what}"
        for what, kind, array, name, i in loads
    )
