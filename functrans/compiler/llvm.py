"""Scalar operations as text of LLVM IR: a Builder appends instructions to one function.

functrans/compiler/values.py has the scalars, functrans/compiler/complex.py the arithmetic of
complex ones. Floating-point operations carry the flag `contract` (a*b + c may become one fma) and
no other, unless asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from functrans.compiler.values import (
    BOOL,
    REGISTER_TYPES,
    Complex,
    Scalar,
    Value,
    cast_name,
    constant_text,
    part_dtype,
    suffix,
)

_COMPARISONS = {  # predicate of icmp without its sign, predicate of fcmp
    "eq": ("eq", "oeq"),
    "ne": ("ne", "une"),
    "lt": ("lt", "olt"),
    "le": ("le", "ole"),
    "gt": ("gt", "ogt"),
    "ge": ("ge", "oge"),
}


class Builder:
    """The instructions of one function, in order, and what they need at module level.

    Attributes:
        lines: the text so far. The caller writes the function's header, an `entry:` label and
            its allocas before them.
        declarations: module-level lines (declarations, tables, helper functions), each once.
        block: the label of the basic block being written.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.declarations: dict[str, None] = {}
        self.block = "entry"
        self._count = 0

    # --- text ---

    def fresh(self, prefix: str = "v") -> str:
        """A new name for an SSA value."""
        self._count += 1
        return f"%{prefix}{self._count}"

    def fresh_label(self, prefix: str = "block") -> str:
        """A new name for a basic block."""
        self._count += 1
        return f"{prefix}.{self._count}"

    def raw(self, text: str) -> None:
        """Append one instruction."""
        self.lines.append(f"  {text}")

    def op(self, text: str, dtype: Any) -> Value:
        """Append an instruction that has a result."""
        name = self.fresh()
        self.lines.append(f"  {name} = {text}")
        return Value(name, np.dtype(dtype))

    def declare(self, line: str) -> None:
        """Require a line at module level."""
        self.declarations[line] = None

    def call(
        self, name: str, dtype: np.dtype, *arguments: Value, extra: str = "", flags: str = ""
    ) -> Value:
        """Call an external function or an intrinsic; `extra` is literal trailing arguments."""
        result = REGISTER_TYPES[dtype]
        types = [a.type for a in arguments] + [e.split()[0] for e in extra.split(", ") if e]
        self.declare(f"declare {result} @{name}({', '.join(types)})")
        given = [f"{a.type} {a.text}" for a in arguments] + ([extra] if extra else [])
        return self.op(f"call {flags}{result} @{name}({', '.join(given)})", dtype)

    def intrinsic(self, name: str, *arguments: Value, extra: str = "", flags: str = "") -> Value:
        """Call `llvm.name`, overloaded on the type of its first argument, which is its result's."""
        x = arguments[0]
        return self.call(
            f"llvm.{name}.{suffix(x.dtype)}", x.dtype, *arguments, extra=extra, flags=flags
        )

    def table(self, values: Sequence[Any], dtype: Any) -> str:
        """The name of a constant array in the module."""
        dtype = np.dtype(dtype)
        kind = self.memory_type(dtype)
        items = ", ".join(f"{kind} {constant_text(v, dtype)}" for v in values)
        text = f"[{len(values)} x {kind}] [{items}]"
        name = f"@table.{hashlib.sha256(text.encode()).hexdigest()[:16]}"
        self.declare(f"{name} = private unnamed_addr constant {text}, align 64")
        return name

    @staticmethod
    def memory_type(dtype: Any) -> str:
        """The LLVM type of one element in memory."""
        dtype = np.dtype(dtype)
        if dtype.kind == "c":
            return f"[2 x {REGISTER_TYPES[part_dtype(dtype)]}]"
        return "i8" if dtype == BOOL else REGISTER_TYPES[dtype]

    # --- constants, memory, control flow ---

    def const(self, value: Any, dtype: Any) -> Scalar:
        """A constant, exact in its dtype."""
        dtype = np.dtype(dtype)
        if dtype.kind != "c":
            return Value(constant_text(value, dtype), dtype)
        part = part_dtype(dtype)
        value = complex(value)
        return Complex(self.const(value.real, part), self.const(value.imag, part), dtype)

    def load(self, pointer: str, index: str | None, dtype: Any) -> Scalar:
        """The element at an index of an array (None: at the pointer itself)."""
        dtype = np.dtype(dtype)
        if dtype.kind == "c":
            re, im = self._parts_of(pointer, index, dtype)
            part = part_dtype(dtype)
            return Complex(self.load(re, None, part), self.load(im, None, part), dtype)
        kind = self.memory_type(dtype)
        value = self.op(f"load {kind}, ptr {self._element(pointer, index, kind)}", dtype)
        if dtype == BOOL:
            return self.op(f"icmp ne i8 {value.text}, 0", BOOL)
        return value

    def store(self, value: Scalar, pointer: str, index: str | None) -> None:
        """Write the element at an index of an array (None: at the pointer itself)."""
        if isinstance(value, Complex):
            re, im = self._parts_of(pointer, index, value.dtype)
            self.store(value.re, re, None)
            self.store(value.im, im, None)
            return
        kind = self.memory_type(value.dtype)
        address = self._element(pointer, index, kind)
        text = value.text
        if value.dtype == BOOL:
            text = self.op(f"zext i1 {text} to i8", np.uint8).text
        self.raw(f"store {kind} {text}, ptr {address}")

    def _element(self, pointer: str, index: str | None, kind: str) -> str:
        if index is None:
            return pointer
        name = self.fresh()
        self.raw(f"{name} = getelementptr inbounds {kind}, ptr {pointer}, i64 {index}")
        return name

    def _parts_of(self, pointer: str, index: str | None, dtype: np.dtype) -> tuple[str, str]:
        re = self._element(pointer, index, self.memory_type(dtype))
        return re, self._element(re, "1", REGISTER_TYPES[part_dtype(dtype)])

    def label(self, name: str) -> None:
        """Begin a basic block."""
        self.lines.append(f"{name}:")
        self.block = name

    def br(self, target: str) -> None:
        """Jump."""
        self.raw(f"br label %{target}")

    def cond_br(self, condition: Value, then: str, otherwise: str) -> None:
        """Jump to `then` if the bool is true."""
        self.raw(f"br i1 {condition.text}, label %{then}, label %{otherwise}")

    def phi(self, dtype: Any, incoming: Sequence[tuple[Scalar, str]]) -> Scalar:
        """The value that belongs to the block control came from."""
        dtype = np.dtype(dtype)
        if dtype.kind == "c":
            part = part_dtype(dtype)
            re = self.phi(part, [(v.re, label) for v, label in incoming])
            im = self.phi(part, [(v.im, label) for v, label in incoming])
            return Complex(re, im, dtype)
        arms = ", ".join(f"[ {v.text}, %{label} ]" for v, label in incoming)
        return self.op(f"phi {REGISTER_TYPES[dtype]} {arms}", dtype)

    @contextmanager
    def loop(self, start: str, stop: str) -> Iterator[Value]:
        """Repeat what is written inside for i64 start <= i < stop; gives i."""
        before = self.block
        head, body, end = (self.fresh_label(n) for n in ("loop", "body", "done"))
        self.br(head)
        self.label(head)
        counter = self.fresh("i")
        place = len(self.lines)
        following = self.fresh("next")
        go_on = self.op(f"icmp slt i64 {counter}, {stop}", BOOL)
        self.cond_br(go_on, body, end)
        self.label(body)
        yield Value(counter, np.dtype(np.int64))
        self.raw(f"{following} = add nuw nsw i64 {counter}, 1")
        arms = f"[ {start}, %{before} ], [ {following}, %{self.block} ]"
        self.lines.insert(place, f"  {counter} = phi i64 {arms}")
        self.br(head)
        self.label(end)

    # --- arithmetic ---

    def add(self, x: Scalar, y: Scalar, *, reassoc: bool = False, exact: bool = False) -> Scalar:
        """x + y (of bools: or). `exact` forbids contraction, `reassoc` allows reordering."""
        return self._arithmetic("add", x, y, reassoc, exact)

    def sub(self, x: Scalar, y: Scalar, *, reassoc: bool = False, exact: bool = False) -> Scalar:
        """x - y."""
        return self._arithmetic("sub", x, y, reassoc, exact)

    def mul(self, x: Scalar, y: Scalar, *, reassoc: bool = False, exact: bool = False) -> Scalar:
        """x * y (of bools: and)."""
        return self._arithmetic("mul", x, y, reassoc, exact)

    def _arithmetic(self, name: str, x: Scalar, y: Scalar, reassoc: bool, exact: bool) -> Scalar:
        if x.dtype.kind == "c":
            return getattr(_complex(), name)(self, x, y, reassoc)
        if x.dtype == BOOL:
            logic = {"add": "or", "mul": "and", "sub": "xor"}[name]
            return self.op(f"{logic} i1 {x.text}, {y.text}", BOOL)
        if x.dtype.kind == "f":
            flags = ("reassoc " if reassoc else "") + ("" if exact else "contract ")
            name = f"f{name} {flags}".rstrip()
        return self.op(f"{name} {x.type} {x.text}, {y.text}", x.dtype)

    def div(self, x: Scalar, y: Scalar) -> Scalar:
        """x / y of floats or complex numbers."""
        if x.dtype.kind == "c":
            return _complex().div(self, x, y)
        if x.dtype.kind != "f":
            raise TypeError(f"div needs floating-point operands: got {x.dtype}.")
        return self.op(f"fdiv {x.type} {x.text}, {y.text}", x.dtype)

    def neg(self, x: Scalar) -> Scalar:
        """-x."""
        if x.dtype.kind == "c":
            return Complex(self.neg(x.re), self.neg(x.im), x.dtype)
        if x.dtype.kind == "f":
            return self.op(f"fneg {x.type} {x.text}", x.dtype)
        return self.op(f"sub {x.type} 0, {x.text}", x.dtype)

    def abs(self, x: Scalar) -> Scalar:
        """|x|; of a complex number a real one."""
        if x.dtype.kind == "c":
            return _complex().abs(self, x)
        if x.dtype.kind == "f":
            return self.intrinsic("fabs", x)
        return self.intrinsic("abs", x, extra="i1 false") if x.dtype.kind == "i" else x

    def sign(self, x: Scalar) -> Scalar:
        """-1, 0 or 1 (nan: nan); of a complex number x / |x|."""
        if x.dtype.kind == "c":
            return _complex().sign(self, x)
        if x.dtype == BOOL:
            return x
        zero, one = self.const(0, x.dtype), self.const(1, x.dtype)
        if x.dtype.kind == "u":
            return self.select(self.eq(x, zero), zero, one)
        up = self.select(self.gt(x, zero), one, zero)
        signed = self.select(self.lt(x, zero), self.const(-1, x.dtype), up)
        return self.select(self.isnan(x), x, signed) if x.dtype.kind == "f" else signed

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z, rounded once."""
        return self.intrinsic("fma", x, y, z)

    def sqrt(self, x: Scalar) -> Scalar:
        """The square root."""
        if x.dtype.kind == "c":
            from functrans.compiler import math

            return math.sqrt(self, x)
        return self.intrinsic("sqrt", x)

    def floor(self, x: Scalar) -> Scalar:
        """The largest integer that is not larger."""
        return self._round("floor", x)

    def ceil(self, x: Scalar) -> Scalar:
        """The smallest integer that is not smaller."""
        return self._round("ceil", x)

    def rint(self, x: Scalar) -> Scalar:
        """The nearest integer, ties to even."""
        return self._round("rint", x)

    def trunc(self, x: Scalar) -> Scalar:
        """The integer part."""
        return self._round("trunc", x)

    def _round(self, name: str, x: Scalar) -> Scalar:
        if x.dtype.kind == "c":
            return Complex(self._round(name, x.re), self._round(name, x.im), x.dtype)
        return self.intrinsic(name, x) if x.dtype.kind == "f" else x

    def copysign(self, x: Value, y: Value) -> Value:
        """|x| with the sign of y."""
        return self.intrinsic("copysign", x, y)

    def floor_divide(self, x: Value, y: Value) -> Value:
        """x // y as NumPy: rounded down; integers by zero give 0."""
        if x.dtype.kind == "f":
            return self._float_floor_divide(x, y)
        divisor = self._safe_divisor(x, y)
        zero = self.const(0, x.dtype)
        quotient = self._divide_integers("div", x, divisor)
        if x.dtype.kind == "i":
            rest = self.sub(x, self.mul(quotient, divisor))
            down = self.and_(self.ne(rest, zero), self.lt(self.xor_(rest, divisor), zero))
            quotient = self.sub(quotient, self.convert(down, x.dtype))
        return self.select(self.eq(y, zero), zero, quotient)

    def remainder(self, x: Value, y: Value) -> Value:
        """x % y as NumPy: the sign is the divisor's; integers by zero give 0."""
        if x.dtype.kind == "f":
            return self._float_remainder(x, y)
        rest = self.fmod(x, y)
        if x.dtype.kind != "i":
            return rest
        zero = self.const(0, x.dtype)
        wrong = self.and_(self.ne(rest, zero), self.lt(self.xor_(rest, y), zero))
        return self.select(wrong, self.add(rest, y), rest)

    def fmod(self, x: Value, y: Value) -> Value:
        """The remainder with the sign of x; integers by zero give 0."""
        if x.dtype.kind == "f":
            return self.op(f"frem {x.type} {x.text}, {y.text}", x.dtype)
        rest = self._divide_integers("rem", x, self._safe_divisor(x, y))
        zero = self.const(0, x.dtype)
        return self.select(self.eq(y, zero), zero, rest)

    def _divide_integers(self, name: str, x: Value, y: Value) -> Value:
        sign = "s" if x.dtype.kind == "i" else "u"
        return self.op(f"{sign}{name} {x.type} {x.text}, {y.text}", x.dtype)

    def _safe_divisor(self, x: Value, y: Value) -> Value:
        """y, or 1 where the division would trap: by zero, and the least integer by -1."""
        trap = self.eq(y, self.const(0, y.dtype))
        if x.dtype.kind == "i":
            least = self.const(np.iinfo(x.dtype).min, x.dtype)
            minus_one = self.eq(y, self.const(-1, y.dtype))
            trap = self.or_(trap, self.and_(self.eq(x, least), minus_one))
        return self.select(trap, self.const(1, y.dtype), y)

    def _float_remainder(self, x: Value, y: Value) -> Value:
        zero = self.const(0, x.dtype)
        rest = self.fmod(x, y)
        wrong = self.ne(self.lt(y, zero), self.lt(rest, zero))
        moved = self.select(wrong, self.add(rest, y), rest)
        return self.select(self.eq(rest, zero), self.copysign(zero, y), moved)

    def _float_floor_divide(self, x: Value, y: Value) -> Value:
        """NumPy's npy_floor_divide: the quotient of x minus its remainder is nearly an integer."""
        zero, half, one = (self.const(c, x.dtype) for c in (0, 0.5, 1))
        rest = self.fmod(x, y)
        wrong = self.ne(self.lt(y, zero), self.lt(rest, zero))
        wrong = self.and_(wrong, self.ne(rest, zero))
        raw = self.div(self.sub(x, rest), y)
        quotient = self.select(wrong, self.sub(raw, one), raw)
        floor = self.floor(quotient)
        up = self.gt(self.sub(quotient, floor), half)
        floor = self.select(up, self.add(floor, one), floor)
        true_quotient = self.div(x, y)
        floor = self.select(self.eq(quotient, zero), self.copysign(zero, true_quotient), floor)
        return self.select(self.eq(y, zero), true_quotient, floor)

    def minimum(self, x: Scalar, y: Scalar) -> Scalar:
        """The smaller one; nan if either is."""
        return self._extremum("min", x, y)

    def maximum(self, x: Scalar, y: Scalar) -> Scalar:
        """The larger one; nan if either is."""
        return self._extremum("max", x, y)

    def _extremum(self, name: str, x: Scalar, y: Scalar) -> Scalar:
        kind = x.dtype.kind
        if kind == "c":
            better = self.le(x, y) if name == "min" else self.ge(x, y)
            return self.select(self.or_(self.isnan(x), better), x, y)
        if kind == "b":
            return self.and_(x, y) if name == "min" else self.or_(x, y)
        if kind == "f":
            # nsz: which of two zeros is not defined, and ordering them costs four instructions
            return self.intrinsic(f"{name}imum", x, y, flags="nsz ")
        return self.intrinsic(("s" if kind == "i" else "u") + name, x, y)

    # --- comparison and classification ---

    def eq(self, x: Scalar, y: Scalar) -> Value:
        """x == y."""
        return self._compare("eq", x, y)

    def ne(self, x: Scalar, y: Scalar) -> Value:
        """x != y."""
        return self._compare("ne", x, y)

    def lt(self, x: Scalar, y: Scalar) -> Value:
        """x < y; complex numbers in lexicographic order."""
        return self._compare("lt", x, y)

    def le(self, x: Scalar, y: Scalar) -> Value:
        """x <= y; complex numbers in lexicographic order."""
        return self._compare("le", x, y)

    def gt(self, x: Scalar, y: Scalar) -> Value:
        """x > y; complex numbers in lexicographic order."""
        return self._compare("gt", x, y)

    def ge(self, x: Scalar, y: Scalar) -> Value:
        """x >= y; complex numbers in lexicographic order."""
        return self._compare("ge", x, y)

    def _compare(self, name: str, x: Scalar, y: Scalar) -> Value:
        if x.dtype.kind == "c":
            return _complex().compare(self, name, x, y)
        integer, real = _COMPARISONS[name]
        if x.dtype.kind == "f":
            return self.op(f"fcmp {real} {x.type} {x.text}, {y.text}", BOOL)
        sign = "" if name in ("eq", "ne") else "s" if x.dtype.kind == "i" else "u"
        return self.op(f"icmp {sign}{integer} {x.type} {x.text}, {y.text}", BOOL)

    def isnan(self, x: Scalar) -> Value:
        """Whether it is, or has, a nan."""
        if x.dtype.kind == "c":
            return self.op(f"fcmp uno {x.re.type} {x.re.text}, {x.im.text}", BOOL)
        if x.dtype.kind != "f":
            return self.const(False, BOOL)
        return self.op(f"fcmp uno {x.type} {x.text}, {self.const(0, x.dtype).text}", BOOL)

    def isinf(self, x: Scalar) -> Value:
        """Whether it is, or has, an infinity."""
        if x.dtype.kind == "c":
            return self.or_(self.isinf(x.re), self.isinf(x.im))
        if x.dtype.kind != "f":
            return self.const(False, BOOL)
        return self.eq(self.abs(x), self.const(np.inf, x.dtype))

    def isfinite(self, x: Scalar) -> Value:
        """Whether it is neither infinite nor nan."""
        if x.dtype.kind == "c":
            return self.and_(self.isfinite(x.re), self.isfinite(x.im))
        if x.dtype.kind != "f":
            return self.const(True, BOOL)
        return self.lt(self.abs(x), self.const(np.inf, x.dtype))

    def signbit(self, x: Value) -> Value:
        """Whether its sign bit is set."""
        if x.dtype.kind != "f":
            return self.lt(x, self.const(0, x.dtype))
        bits = self.bitcast(x, np.dtype(f"i{x.dtype.itemsize}"))
        return self.lt(bits, self.const(0, bits.dtype))

    # --- bits, selection ---

    def and_(self, x: Value, y: Value) -> Value:
        """x & y."""
        return self.op(f"and {x.type} {x.text}, {y.text}", x.dtype)

    def or_(self, x: Value, y: Value) -> Value:
        """x | y."""
        return self.op(f"or {x.type} {x.text}, {y.text}", x.dtype)

    def xor_(self, x: Value, y: Value) -> Value:
        """x ^ y."""
        return self.op(f"xor {x.type} {x.text}, {y.text}", x.dtype)

    xor = xor_

    def not_(self, x: Value) -> Value:
        """~x; of a bool its negation."""
        ones = "true" if x.dtype == BOOL else "-1"
        return self.op(f"xor {x.type} {x.text}, {ones}", x.dtype)

    def shl(self, x: Value, n: Value) -> Value:
        """x << n; 0 where n is not in [0, width)."""
        inside = self._shift_inside(n)
        shifted = self.op(f"shl {x.type} {x.text}, {n.text}", x.dtype)
        return self.select(inside, shifted, self.const(0, x.dtype))

    def shr(self, x: Value, n: Value) -> Value:
        """x >> n, arithmetic if signed; only the sign remains where n is not in [0, width)."""
        inside = self._shift_inside(n)
        if x.dtype.kind == "u":
            shifted = self.op(f"lshr {x.type} {x.text}, {n.text}", x.dtype)
            return self.select(inside, shifted, self.const(0, x.dtype))
        n = self.select(inside, n, self.const(8 * n.dtype.itemsize - 1, n.dtype))
        return self.op(f"ashr {x.type} {x.text}, {n.text}", x.dtype)

    def _shift_inside(self, n: Value) -> Value:
        return self.op(f"icmp ult {n.type} {n.text}, {8 * n.dtype.itemsize}", BOOL)

    def select(self, condition: Value, x: Scalar, y: Scalar) -> Scalar:
        """x if the bool is true, else y; both are computed."""
        if isinstance(x, Complex):
            re = self.select(condition, x.re, y.re)
            return Complex(re, self.select(condition, x.im, y.im), x.dtype)
        kind = x.type
        text = f"select i1 {condition.text}, {kind} {x.text}, {kind} {y.text}"
        return self.op(text, x.dtype)

    # --- conversion ---

    def convert(self, x: Scalar, dtype: Any) -> Scalar:
        """x as another dtype, by the rules of `astype`; a complex number loses its imaginary part.

        A float outside the range of an integer gives some integer (the low bits of an int64 where
        NumPy does that too), never poison.
        """
        dtype = np.dtype(dtype)
        if x.dtype == dtype:
            return x
        if dtype == BOOL:
            return self.ne(x, self.const(0, x.dtype))
        if dtype.kind == "c":
            part = part_dtype(dtype)
            im = self.convert(x.im, part) if x.dtype.kind == "c" else self.const(0, part)
            return Complex(self.convert(self.real(x), part), im, dtype)
        x = self.real(x)
        if x.dtype == dtype:
            return x
        if x.dtype.kind == "f" and dtype.kind in "iu":
            return self._float_to_integer(x, dtype)
        return self._cast(cast_name(x.dtype, dtype), x, dtype)

    def _cast(self, name: str | None, x: Value, dtype: np.dtype) -> Value:
        if name is None:
            return Value(x.text, dtype)
        return self.op(f"{name} {x.type} {x.text} to {REGISTER_TYPES[dtype]}", dtype)

    def _float_to_integer(self, x: Value, dtype: np.dtype) -> Value:
        through = dtype
        if dtype.itemsize < 4:
            through = np.dtype(np.int32)
        elif dtype == np.uint32:
            through = np.dtype(np.int64)
        raw = self._cast("fptosi" if through.kind == "i" else "fptoui", x, through)
        return self.convert(self.op(f"freeze {raw.type} {raw.text}", through), dtype)

    def bitcast(self, x: Value, dtype: Any) -> Value:
        """The same bits as another dtype of the same size."""
        dtype = np.dtype(dtype)
        if x.dtype == dtype:
            return x
        if "c" in (x.dtype.kind, dtype.kind) or x.dtype.itemsize != dtype.itemsize:
            raise TypeError(f"bitcast needs real dtypes of one size: got {x.dtype} and {dtype}.")
        if BOOL in (x.dtype, dtype):
            return self.convert(x, dtype)
        return self._cast(None if x.type == REGISTER_TYPES[dtype] else "bitcast", x, dtype)

    # --- complex parts ---

    def complex(self, re: Value, im: Value) -> Complex:
        """The complex number of two parts."""
        return Complex(re, im, np.dtype(f"c{2 * re.dtype.itemsize}"))

    def real(self, x: Scalar) -> Value:
        """The real part."""
        return x.re if isinstance(x, Complex) else x

    def imag(self, x: Scalar) -> Value:
        """The imaginary part."""
        return x.im if isinstance(x, Complex) else self.const(0, x.dtype)

    def conj(self, x: Scalar) -> Scalar:
        """The complex conjugate."""
        return Complex(x.re, self.neg(x.im), x.dtype) if isinstance(x, Complex) else x


def _complex() -> Any:
    from functrans.compiler import complex as arithmetic

    return arithmetic
