"""The kernel that finds the few greatest elements of rows, without sorting them: LLVM IR.

The k greatest so far stand in order in the result. A vector of elements at a time is compared with
the least of them, and almost always none is greater: of a row in random order k * log(n / k)
elements are put in. The ten greatest of 5,000 float32 take 0.5 µs; sorting them takes 70.
"""

from __future__ import annotations

from functrans.compiler.emitted import EmittedKernel, again, arguments, kernel_of_text
from functrans.compiler.llvm import Builder
from functrans.compiler.merge_sort import less
from functrans.compiler.values import is_real
from functrans.core.program import Equation
from functrans.core.types import Aval
from functrans.primitives.sorting import top_k_p

LANES = 16
"""Elements that are compared at once."""
MOST = 64
"""Elements that are put in their place one by one; sorting finds more of them sooner."""
SHARE = 8
"""Rows are at least so many times as long."""
NANOSECONDS = 0.4
"""Of an element."""


def is_selection(equation: Equation) -> bool:
    """Whether this is a `top_k` that can be emitted."""
    return equation.primitive is top_k_p and finds_few(equation.inputs[0].aval, **equation.params)


def finds_few(x: Aval, k: int, axis: int) -> bool:
    """Whether elements along the last axis are better found than sorted."""
    return is_real(x) and axis == x.ndim - 1 and 0 < k <= MOST and k * SHARE <= x.shape[axis]


def emit_selection(equation: Equation) -> EmittedKernel:
    """The kernel of a native `top_k`; its loop is over rows."""
    (x,), (values, positions) = equation.inputs, equation.outputs
    n = x.aval.shape[-1]
    return kernel_of_text(
        _text(x.aval),
        (),
        [("x", x), ("values", values), ("positions", positions)],
        equation.outputs,
        (n, equation.params["k"]),
        x.aval.size // n,
        "the greatest elements of rows, in order",
        written=False,
    )


def _text(x: Aval) -> str:
    return _rows(x) + _offer(x) + _put(x)


def _rows(x: Aval) -> str:
    """The kernel: the loop over rows, and along them by whole vectors."""
    kind = Builder.memory_type(x.dtype)
    many, mask = f"<{LANES} x {kind}>", f"i{LANES}"
    return f"""
define i64 @KERNEL(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {{
entry:
{arguments(("x", "values", "positions"), ("n", "k"))}
  %last = sub i64 %k, 1
  %some = icmp slt i64 %lo, %hi
  br i1 %some, label %row.loop, label %end

row.loop:
  %row = phi i64 [ %lo, %entry ], [ %row.next, %row.done ]
  %from = mul i64 %row, %n
  %to = mul i64 %row, %k
  %source = getelementptr {kind}, ptr %x, i64 %from
  %best = getelementptr {kind}, ptr %values, i64 %to
  %places = getelementptr i64, ptr %positions, i64 %to
  %least.ptr = getelementptr {kind}, ptr %best, i64 %last
  br label %first

first:                                 ; the first k are put in without a comparison with the least
  %f = phi i64 [ 0, %row.loop ], [ %f.next, %first ]
  call void @KERNEL.put(ptr %source, ptr %best, ptr %places, i64 %f, i64 %f)
{again("f", "%k", "first", "chunk")}

chunk:
  %c = phi i64 [ %k, %first ], [ %stop, %chunk.done ]
  %whole.stop = add i64 %c, {LANES}
  %whole = icmp ule i64 %whole.stop, %n
  %stop = select i1 %whole, i64 %whole.stop, i64 %n
  br i1 %whole, label %compare, label %ready

compare:
  %chunk.ptr = getelementptr {kind}, ptr %source, i64 %c
  %xs = load {many}, ptr %chunk.ptr, align {x.dtype.itemsize}
  %least = load {kind}, ptr %least.ptr
  %least.lane = insertelement {many} poison, {kind} %least, i64 0
  %leasts = shufflevector {many} %least.lane, {many} poison, <{LANES} x i32> zeroinitializer
{less("greater", "%leasts", "%xs", x.dtype, many)}
  %bits = bitcast <{LANES} x i1> %greater to {mask}
  %any = icmp ne {mask} %bits, 0
  br i1 %any, label %ready, label %chunk.done

ready:
  br label %element

element:
  %j = phi i64 [ %c, %ready ], [ %j.next, %element ]
  call void @KERNEL.offer(ptr %source, ptr %best, ptr %places, i64 %j, i64 %last)
{again("j", "%stop", "element", "chunk.done")}

chunk.done:                            ; rows are longer than k
  %chunks.left = icmp ult i64 %stop, %n
  br i1 %chunks.left, label %chunk, label %row.done

row.done:
{again("row", "%hi", "row.loop", "end")}

end:
  ret i64 0
}}
"""


def _offer(x: Aval) -> str:
    """The function that puts an element in if it is greater than the least so far."""
    kind = Builder.memory_type(x.dtype)
    return f"""
define internal void @KERNEL.offer(ptr %source, ptr %best, ptr %places, i64 %i, i64 %last) #0 {{
  %x.ptr = getelementptr {kind}, ptr %source, i64 %i
  %x = load {kind}, ptr %x.ptr
  %least.ptr = getelementptr {kind}, ptr %best, i64 %last
  %least = load {kind}, ptr %least.ptr
{less("greater", "%least", "%x", x.dtype)}
  br i1 %greater, label %take, label %leave

take:
  call void @KERNEL.put(ptr %source, ptr %best, ptr %places, i64 %i, i64 %last)
  ret void

leave:
  ret void
}}
"""


def _put(x: Aval) -> str:
    """The function that puts an element before those that are less."""
    kind = Builder.memory_type(x.dtype)
    return f"""
; of those behind it, the one at position `end` falls out
define internal void @KERNEL.put(ptr %source, ptr %best, ptr %places, i64 %i, i64 %end) #0 {{
entry:
  %x.ptr = getelementptr {kind}, ptr %source, i64 %i
  %x = load {kind}, ptr %x.ptr
  br label %look

look:
  %at = phi i64 [ %end, %entry ], [ %before, %move ]
  %before = sub i64 %at, 1
  %inside = icmp ne i64 %at, 0
  br i1 %inside, label %compare, label %found

compare:
  %other.ptr = getelementptr {kind}, ptr %best, i64 %before
  %other = load {kind}, ptr %other.ptr
{less("after", "%other", "%x", x.dtype)}
  br i1 %after, label %move, label %found

move:
  %to.ptr = getelementptr {kind}, ptr %best, i64 %at
  store {kind} %other, ptr %to.ptr
  %place.ptr = getelementptr i64, ptr %places, i64 %before
  %place = load i64, ptr %place.ptr
  %place.to = getelementptr i64, ptr %places, i64 %at
  store i64 %place, ptr %place.to
  br label %look

found:
  %mine = getelementptr {kind}, ptr %best, i64 %at
  store {kind} %x, ptr %mine
  %my.place = getelementptr i64, ptr %places, i64 %at
  store i64 %i, ptr %my.place
  ret void
}}
"""
