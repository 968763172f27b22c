"""The native functions under every schedule: the runner, loops and branches, matrix products.

Every native function has one signature: `i64 f(ptr bufs, ptr ints, i64 lo, i64 hi)`, with the data
pointers of its buffers, its integers, and the range of its outermost loop; it returns 0, or another
number to stop the schedule.

An entry of an encoded block is `function, ints, extent, buffer count, slot, slot, …` (i64 each).
Slot 0 of the table of pointers holds the table's own address, so control flow can change slots.

| function | ints |
|---|---|
| ft_scan | length, code, entries, reverse, moving count, carry count, moving rows, carry rows |
| ft_while | test code, entries, flag slot, body code, entries, carry count, carry rows |
| ft_cond | slot of the int32 index, branch count, (code, entries) per branch |
| ft_fill0 | bytes |
| ft_gemm_* | transpose x, transpose y, m, n, k, ldx, ldy, ldo, batch, strides of x, y, out, 0, BLAS |

A moving row is `slot set per step, slot of the stacked array, bytes per step`; a carry row is `slot
read, slot written, bytes, slot of the first value, slot of the last value`. After every step the
pointers in the slots read and written are exchanged, and put back at the end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from functrans.compiler.llvm import BOOL, Builder, Value

I64 = np.dtype(np.int64)
SIGNATURE = "(ptr %bufs, ptr %ints, i64 %lo, i64 %hi)"
POLL_EVERY = 1 << 16
"""Steps of a while loop between two looks for Ctrl-C."""


class Function:
    """A native function being written: local cells for what changes, and a failure exit."""

    def __init__(self) -> None:
        self.b = Builder()
        self.cells: list[str] = []
        self.status = self.cell()

    def cell(self) -> str:
        name = f"%cell{len(self.cells)}"
        self.cells.append(f"  {name} = alloca i64")
        return name

    def get(self, cell: str) -> Value:
        return self.b.op(f"load i64, ptr {cell}", I64)

    def set(self, cell: str, value: Value | int) -> None:
        text = value.text if isinstance(value, Value) else value
        self.b.raw(f"store i64 {text}, ptr {cell}")

    def integer(self, base: str, index: Value | int) -> Value:
        return self.b.load(base, index.text if isinstance(index, Value) else str(index), I64)

    def number(self, x: int) -> Value:
        return self.b.const(x, I64)

    def row(self, base: str, index: Value, width: int) -> str:
        offset = self.b.mul(index, self.number(width))
        return self.offset(base, offset)

    def offset(self, base: str, words: Value | int) -> str:
        text = words.text if isinstance(words, Value) else words
        return self.b.op(f"getelementptr i64, ptr {base}, i64 {text}", I64).text

    def pointer(self, address: Value) -> str:
        return self.b.op(f"inttoptr i64 {address.text} to ptr", I64).text

    def copy(self, target: Value, source: Value, nbytes: Value) -> None:
        self.b.declare("declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)")
        to, of = self.pointer(target), self.pointer(source)
        arguments = f"ptr {to}, ptr {of}, i64 {nbytes.text}, i1 false"
        self.b.raw(f"call void @llvm.memmove.p0.p0.i64({arguments})")

    def run(self, code: Value, entries: Value, slots: str) -> None:
        """Run a block; leave the function with its status if that is not 0."""
        result = self.b.op(
            f"call i64 @ft_run(ptr {self.pointer(code)}, i64 {entries.text}, ptr {slots})", I64
        )
        self.check(result)

    def check(self, result: Value) -> None:
        self.set(self.status, result)
        good = self.b.fresh_label("good")
        self.b.cond_br(self.b.eq(result, self.number(0)), good, "fail")
        self.b.label(good)

    def text(self, name: str, signature: str = SIGNATURE) -> str:
        lines = [f"define i64 @{name}{signature} {{", "entry:", *self.cells, *self.b.lines]
        lines += ["  ret i64 0", "fail:", f"  %st = load i64, ptr {self.status}", "  ret i64 %st"]
        return "\n".join([*lines, "}"])


def write_run(f: Function) -> None:
    """Walk the entries of a block."""
    b = f.b
    pc = f.cell()
    b.raw(f"%start = ptrtoint ptr %code to i64\n  store i64 %start, ptr {pc}")
    b.declare("declare ptr @llvm.stacksave.p0()")
    b.declare("declare void @llvm.stackrestore.p0(ptr)")
    with b.loop("0", "%entries"):
        entry = f.pointer(f.get(pc))
        function, ints = f.integer(entry, 0), f.integer(entry, 1)
        extent, count = f.integer(entry, 2), f.integer(entry, 3)
        slots = f.offset(entry, 4)
        stack = b.op("call ptr @llvm.stacksave.p0()", I64).text
        bufs = b.op(f"alloca i64, i64 {count.text}", I64).text
        with b.loop("0", count.text) as j:
            address = f.integer("%slots", f.integer(slots, j))
            b.store(address, bufs, j.text)
        call = f"call i64 {f.pointer(function)}(ptr {bufs}, ptr {f.pointer(ints)}, i64 0, i64 "
        result = b.op(f"{call}{extent.text})", I64)
        b.raw(f"call void @llvm.stackrestore.p0(ptr {stack})")
        f.check(result)
        f.set(pc, b.op(f"ptrtoint ptr {f.offset(slots, count)} to i64", I64))


def _each_carry(f: Function, rows: str, count: Value, do: Callable[[list[Value]], None]) -> None:
    with f.b.loop("0", count.text) as k:
        row = f.row(rows, k, 5)
        do([f.integer(row, i) for i in range(5)])


def _begin_carry(f: Function, slots: str, rows: str, count: Value) -> None:
    def copy_in(row: list[Value]) -> None:
        f.copy(f.integer(slots, row[0]), f.integer(slots, row[3]), row[2])

    _each_carry(f, rows, count, copy_in)


def _exchange(f: Function, slots: str, rows: str, count: Value) -> None:
    def swap(row: list[Value]) -> None:
        read, written = f.integer(slots, row[0]), f.integer(slots, row[1])
        f.b.store(written, slots, row[0].text)
        f.b.store(read, slots, row[1].text)

    _each_carry(f, rows, count, swap)


def _end_carry(f: Function, slots: str, rows: str, count: Value, steps: Value) -> None:
    def copy_out(row: list[Value]) -> None:
        f.copy(f.integer(slots, row[4]), f.integer(slots, row[0]), row[2])

    _each_carry(f, rows, count, copy_out)
    odd = f.b.and_(steps, f.number(1))
    with f.b.loop("0", odd.text):
        _exchange(f, slots, rows, count)


def write_scan(f: Function) -> None:
    """Run a block once per step, along stacked arrays."""
    b = f.b
    slots = f.pointer(f.integer("%bufs", 0))
    length, code, entries, reverse, moving, carry = (f.integer("%ints", i) for i in range(6))
    moving_rows = f.offset("%ints", 6)
    carry_rows = f.offset(moving_rows, b.mul(moving, f.number(3)))
    _begin_carry(f, slots, carry_rows, carry)
    with b.loop("0", length.text) as step:
        backward = b.sub(b.sub(length, f.number(1)), step)
        at = b.select(b.ne(reverse, f.number(0)), backward, step)
        with b.loop("0", moving.text) as k:
            row = f.row(moving_rows, k, 3)
            base = f.integer(slots, f.integer(row, 1))
            here = b.add(base, b.mul(at, f.integer(row, 2)))
            b.store(here, slots, f.integer(row, 0).text)
        f.run(code, entries, slots)
        _exchange(f, slots, carry_rows, carry)
    _end_carry(f, slots, carry_rows, carry, length)


def write_while(f: Function) -> None:
    """Run a block as long as another sets a flag."""
    b = f.b
    slots = f.pointer(f.integer("%bufs", 0))
    test, test_n, flag, body, body_n, carry = (f.integer("%ints", i) for i in range(6))
    rows = f.offset("%ints", 6)
    steps = f.cell()
    f.set(steps, 0)
    _begin_carry(f, slots, rows, carry)
    head, inside, end = (b.fresh_label(n) for n in ("head", "inside", "end"))
    b.br(head)
    b.label(head)
    f.run(test, test_n, slots)
    go_on = b.load(f.pointer(f.integer(slots, flag)), None, BOOL)
    b.cond_br(go_on, inside, end)
    b.label(inside)
    f.run(body, body_n, slots)
    _exchange(f, slots, rows, carry)
    f.set(steps, b.add(f.get(steps), f.number(1)))
    _poll(f, f.get(steps))
    b.br(head)
    b.label(end)
    _end_carry(f, slots, rows, carry, f.get(steps))


def _poll(f: Function, steps: Value) -> None:
    """Now and then let Python see whether the user pressed Ctrl-C."""
    b = f.b
    b.declare("declare i32 @PyGILState_Ensure()")
    b.declare("declare void @PyGILState_Release(i32)")
    b.declare("declare i32 @PyErr_CheckSignals()")
    due, after = b.fresh_label("due"), b.fresh_label("after")
    rest = b.and_(steps, f.number(POLL_EVERY - 1))
    b.cond_br(b.eq(rest, f.number(0)), due, after)
    b.label(due)
    state = b.op("call i32 @PyGILState_Ensure()", np.int32)
    signal = b.op("call i32 @PyErr_CheckSignals()", np.int32)
    b.raw(f"call void @PyGILState_Release(i32 {state.text})")
    f.check(b.convert(signal, I64))
    b.br(after)
    b.label(after)


def write_cond(f: Function) -> None:
    """Run the block that an index chooses."""
    b = f.b
    slots = f.pointer(f.integer("%bufs", 0))
    index = b.load(f.pointer(f.integer(slots, f.integer("%ints", 0))), None, np.int32)
    last = b.sub(f.integer("%ints", 1), f.number(1))
    clamped = b.minimum(b.maximum(b.convert(index, I64), f.number(0)), last)
    row = f.offset("%ints", b.add(b.mul(clamped, f.number(2)), f.number(2)))
    f.run(f.integer(row, 0), f.integer(row, 1), slots)


def write_fill0(f: Function) -> None:
    """Zeros."""
    f.b.declare("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
    target = f.pointer(f.integer("%bufs", 0))
    nbytes = f.integer("%ints", 0)
    f.b.raw(f"call void @llvm.memset.p0.i64(ptr {target}, i8 0, i64 {nbytes.text}, i1 false)")


def write_gemm(dtype: np.dtype, int_bits: int) -> Callable[[Function], None]:
    """out[b] = op(x[b]) op(y[b]) by the C interface of BLAS, whose integers have `int_bits`."""

    def write(f: Function) -> None:
        b = f.b
        tx, ty, m, n, k, ldx, ldy, ldo, batch, sx, sy, so = (
            f.integer("%ints", i) for i in range(12)
        )
        blas = f.pointer(f.integer("%ints", 13))
        size = f.number(dtype.itemsize)
        alpha, beta = _scalars(f, dtype)
        flags = [b.add(b.mul(t, f.number(1)), f.number(111)) for t in (tx, ty)]
        orders = [b.convert(flag, np.int32).text for flag in flags]
        integer = np.dtype(f"i{int_bits // 8}")
        short = {v: b.convert(v, integer) for v in (m, n, k, ldx, ldy, ldo)}

        def given(v: Value) -> str:
            return f"i{int_bits} {short[v].text}"

        with b.loop("0", batch.text) as i:
            x, y, out = (
                f.pointer(b.add(f.integer("%bufs", j), b.mul(b.mul(i, stride), size)))
                for j, stride in enumerate((sx, sy, so))
            )
            arguments = [
                "i32 101",
                f"i32 {orders[0]}",
                f"i32 {orders[1]}",
                given(m),
                given(n),
                given(k),
                alpha,
                f"ptr {x}",
                given(ldx),
                f"ptr {y}",
                given(ldy),
                beta,
                f"ptr {out}",
                given(ldo),
            ]
            b.raw(f"call void {blas}({', '.join(arguments)})")

    return write


def _scalars(f: Function, dtype: np.dtype) -> tuple[str, str]:
    """The factors 1 and 0 as BLAS takes them: by value if real, by pointer if complex."""
    if dtype.kind == "f":
        kind = "float" if dtype.itemsize == 4 else "double"
        return f"{kind} 1.0", f"{kind} 0.0"
    part = np.dtype(f"f{dtype.itemsize // 2}")
    one = f.b.table([1.0, 0.0], part)
    return f"ptr {one}", f"ptr {f.b.table([0.0, 0.0], part)}"


def runtime_ir(int_bits: int) -> tuple[str, list[str]]:
    """The module of all native functions, and their names."""
    run = Function()
    write_run(run)
    texts = [run.text("ft_run", "(ptr %code, i64 %entries, ptr %slots)")]
    declarations = dict(run.b.declarations)
    names = ["ft_run"]
    writers: dict[str, Callable[[Function], None]] = {
        "ft_scan": write_scan,
        "ft_while": write_while,
        "ft_cond": write_cond,
        "ft_fill0": write_fill0,
    }
    for name, code in [("f32", "f4"), ("f64", "f8"), ("c64", "c8"), ("c128", "c16")]:
        writers[f"ft_gemm_{name}"] = write_gemm(np.dtype(code), int_bits)
    for name, write in writers.items():
        function = Function()
        write(function)
        texts.append(function.text(name))
        declarations |= function.b.declarations
        names.append(name)
    return "\n".join([*declarations, *texts]), names
