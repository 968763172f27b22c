"""LLVM IR of kernels that treat the matrices of stacks, which lie one behind another, in turn.

The loop that threads divide is over *groups* of matrices, each of which has memory of its own to
work in. A range of groups is treated in the memory of its first.
"""

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
    scratch: Sequence[str] = (),
) -> str:
    """The function `ft_<kind>_<dtype>`.

    Args:
        kind: of the function's name.
        letter: BLAS's for the dtype.
        ints: the names of the kernel's integers, in order; `count` is how many matrices there are.
            After these it gets how many groups there are, and the bytes that one group has of each
            piece of memory to work in.
        setup: instructions before the first matrix.
        buffers: for a name, which buffer it is, and where `setup` has the elements of one matrix.
        work: the blocks that treat the matrices at %name, the i-th of which they are; they end at
            the label %done.
        scratch: the names of the memory to work in, which is in the buffers from the second on.
    """
    places_to_work = "\n".join(
        f"  %{name}.offset = mul i64 %lo, %{name}.bytes\n"
        f"  %{name} = getelementptr i8, ptr %{name}.all, i64 %{name}.offset"
        for name in scratch
    )
    firsts = "\n".join(
        f"  %{name}.buf = getelementptr ptr, ptr %bufs, i64 {place}\n"
        f"  %{name}.start = load ptr, ptr %{name}.buf\n"
        f"  %{name}.skipped = mul i64 %first, {size}\n"
        f"  %{name}.first = getelementptr {TYPES[letter]}, ptr %{name}.start, i64 %{name}.skipped"
        for name, (place, size) in buffers.items()
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
{_loads([*ints, "groups", *(f"{name}.bytes" for name in scratch)])}
{setup}
{pointers(1, *(f"{name}.all" for name in scratch))}
{places_to_work}
  %before = mul i64 %lo, %count
  %first = udiv i64 %before, %groups
  %until = mul i64 %hi, %count
  %last = udiv i64 %until, %groups
{firsts}
  br label %next

next:
  %i = phi i64 [ %first, %start ], [ %i.next, %done ]
{places}
  %more = icmp slt i64 %i, %last
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


def letters(*names: str) -> str:
    """Instructions that put integers into memory as letters, at %name.c."""
    return "\n".join(
        f"  %{name}.c = alloca i8\n  %{name}.8 = trunc i64 %{name} to i8\n"
        f"  store i8 %{name}.8, ptr %{name}.c"
        for name in names
    )


def pointers(first: int, *names: str) -> str:
    """Instructions that load the pointers of buffers, from one of them on, as %name."""
    return "\n".join(
        f"  %{name}.buf = getelementptr ptr, ptr %bufs, i64 {first + i}\n"
        f"  %{name} = load ptr, ptr %{name}.buf"
        for i, name in enumerate(names)
    )


def turn(letter: str) -> str:
    """The function `turn_d` or `turn_z(from, to, rows, columns, read)`, which transposes a matrix.

    The result is 0.0 if all elements that count are finite, else nan; those count that are not
    above the diagonal (read = 1), not below it (2), or all (0).
    """
    of = TYPES[letter]
    term = "  %term = fmul double %value, 0.0"
    if letter == "z":
        term = f"""\
  %re = extractvalue {of} %value, 0
  %im = extractvalue {of} %value, 1
  %re.term = fmul double %re, 0.0
  %im.term = fmul double %im, 0.0
  %term = fadd double %re.term, %im.term"""
    return f"""
define internal double @turn_{letter}(ptr %from, ptr %to, i64 %rows, i64 %columns, i64 %read) #0 {{
start:
  %lower = icmp eq i64 %read, 1
  %upper = icmp eq i64 %read, 2
  br label %strip

strip:                                   ; eight rows at a time, whose cache lines stay while read
  %r = phi i64 [ 0, %start ], [ %r.end, %strip.done ]
  %strip.sum = phi double [ 0.0, %start ], [ %sum.next, %strip.done ]
  %r.some = add i64 %r, 8
  %whole = icmp slt i64 %r.some, %rows
  %r.end = select i1 %whole, i64 %r.some, i64 %rows
  br label %column

column:
  %c = phi i64 [ 0, %strip ], [ %c.next, %column.done ]
  %column.sum = phi double [ %strip.sum, %strip ], [ %sum.next, %column.done ]
  %to.row = mul i64 %c, %rows
  br label %element

element:
  %e = phi i64 [ %r, %column ], [ %e.next, %element ]
  %sum = phi double [ %column.sum, %column ], [ %sum.next, %element ]
  %from.row = mul i64 %e, %columns
  %from.index = add i64 %from.row, %c
  %to.index = add i64 %to.row, %e
  %from.at = getelementptr {of}, ptr %from, i64 %from.index
  %to.at = getelementptr {of}, ptr %to, i64 %to.index
  %value = load {of}, ptr %from.at
  store {of} %value, ptr %to.at
{term}
  %is.above = icmp slt i64 %e, %c
  %is.below = icmp sgt i64 %e, %c
  %above.lower = and i1 %is.above, %lower
  %below.upper = and i1 %is.below, %upper
  %unread = or i1 %above.lower, %below.upper
  %counts = select i1 %unread, double 0.0, double %term
  %sum.next = fadd double %sum, %counts
  %e.next = add i64 %e, 1
  %elements = icmp slt i64 %e.next, %r.end
  br i1 %elements, label %element, label %column.done

column.done:
  %c.next = add i64 %c, 1
  %more.columns = icmp slt i64 %c.next, %columns
  br i1 %more.columns, label %column, label %strip.done

strip.done:
  %more.rows = icmp slt i64 %r.end, %rows
  br i1 %more.rows, label %strip, label %end

end:
  ret double %sum.next
}}
"""


def _loads(names: Sequence[str]) -> str:
    """Instructions that load the integers of a kernel, in order, as %name."""
    return "\n".join(
        f"  %{name}.at = getelementptr i64, ptr %ints, i64 {i}\n"
        f"  %{name} = load i64, ptr %{name}.at"
        for i, name in enumerate(names)
    )
