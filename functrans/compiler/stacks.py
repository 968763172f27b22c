"""LLVM IR of kernels that treat the matrices of stacks, which lie one behind another, in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from functrans.compiler.gemm import NAMES, TYPES


def over_stack(
    kind: str,
    letter: str,
    ints: Sequence[str],
    setup: str,
    buffers: Mapping[str, tuple[int, str]],
    work: str,
) -> str:
    """The function `ft_<kind>_<dtype>`.

    Args:
        kind: of the function's name.
        letter: BLAS's for the dtype.
        ints: the names of the kernel's integers, in order; `count` is how many matrices there are.
        setup: instructions before the first matrix.
        buffers: for a name, which buffer it is, and where `setup` has the elements of one matrix.
        work: the blocks that treat the matrices at %name; they end at the label %done.
    """
    firsts = "\n".join(
        f"  %{name}.buf = getelementptr ptr, ptr %bufs, i64 {place}\n"
        f"  %{name}.first = load ptr, ptr %{name}.buf"
        for name, (place, _) in buffers.items()
    )
    places = "\n".join(
        f"  %{name} = phi ptr [ %{name}.first, %start ], [ %{name}.next, %done ]"
        for name in buffers
    )
    steps = "\n".join(
        f"  %{name}.next = getelementptr {TYPES[letter]}, ptr %{name}, i64 {size}"
        for name, (_, size) in buffers.items()
    )
    return f"""
define i64 @ft_{kind}_{NAMES[letter]}(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {{
start:
{_loads(ints)}
{setup}
{firsts}
  br label %next

next:
  %i = phi i64 [ 0, %start ], [ %i.next, %done ]
{places}
  %more = icmp slt i64 %i, %count
  br i1 %more, label %work, label %end

work:
{work}

done:
{steps}
  %i.next = add i64 %i, 1
  br label %next

end:
  ret i64 0
}}
"""


def scratch(first: int, *names: str) -> str:
    """Instructions that load the pointers of memory to work in, from a buffer on, as %name."""
    return "\n".join(
        f"  %{name}.buf = getelementptr ptr, ptr %bufs, i64 {first + i}\n"
        f"  %{name} = load ptr, ptr %{name}.buf"
        for i, name in enumerate(names)
    )


def _loads(names: Sequence[str]) -> str:
    """Instructions that load the integers of a kernel, in order, as %name."""
    return "\n".join(
        f"  %{name}.at = getelementptr i64, ptr %ints, i64 {i}\n"
        f"  %{name} = load i64, ptr %{name}.at"
        for i, name in enumerate(names)
    )
