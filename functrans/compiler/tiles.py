"""Tiles of a result that stay in registers while products are summed: the core of every product.

A tile is a few rows by a few vectors of columns. For every term of its sums, an element of the left
operand per row is multiplied by the vectors of a row of the right one, of which a *panel* as wide
as the tile lies together in memory.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from functrans.compiler.engine import vector_registers
from functrans.compiler.llvm import Builder
from functrans.compiler.threads import num_threads

SUMMED = 512
"""Terms that are summed before the next tile: so much of a panel stays in the caches."""
LATENCY = 5
"""Cycles from a product to the next one of the same sum."""
SHORTEST = 32
"""Bytes of vectors from which tiles are worth it."""
FEWEST_ITEMS = 16


class Tile(NamedTuple):
    """What stays in registers.

    Attributes:
        rows: how many.
        lanes: columns of a vector.
        vectors: per row.
    """

    rows: int
    lanes: int
    vectors: int

    @property
    def width(self) -> int:
        """Columns of a tile, and of a panel."""
        return self.lanes * self.vectors

    @property
    def cycles(self) -> float:
        """What a processor with two units for products and two for loads takes per term; each sum
        waits for its last product."""
        return max(self.rows * self.vectors, self.rows + self.vectors + 2, 2 * LATENCY) / 2


def tile_for(columns: int, dtype: np.dtype) -> Tile | None:
    """The tile that computes so many columns fastest; None where vectors are too short to pay."""
    nbytes, registers = vector_registers()
    if nbytes < SHORTEST:
        return None
    lanes, rows = nbytes // dtype.itemsize, registers // 4
    tiles = [Tile(rows, n, v) for n in (lanes // 2, lanes) if n >= rows for v in (1, 2, 3)]
    return min(tiles, key=lambda t: (panels_of(columns, t) * t.cycles, t.width))


def items_wanted() -> int:
    """Items of a product's loop that threads can share well; sums are the same for any number."""
    return max(FEWEST_ITEMS, 4 * num_threads())


def panels_of(columns: int, tile: Tile) -> int:
    """The panels that so many columns are."""
    return -(-columns // tile.width)


class TileText:
    """The text of a tile's instructions, with names %name{row}.{vector}.

    Attributes:
        kind, many: the types of an element and of a vector.
    """

    def __init__(self, tile: Tile, dtype: np.dtype) -> None:
        self.tile = tile
        self.size = dtype.itemsize
        self.kind = Builder.memory_type(dtype)
        self.many = f"<{tile.lanes} x {self.kind}>"

    @property
    def declarations(self) -> tuple[str, ...]:
        many = self.many
        return (
            f"declare {many} @llvm.fmuladd.{self.suffix(self.tile.lanes)}({many}, {many}, {many})",
            *self.masked_declarations(self.tile.rows),
        )

    def suffix(self, lanes: int) -> str:
        """Of the names of intrinsics for vectors of so many elements."""
        return f"v{lanes}f{8 * self.size}"

    def masked_declarations(self, lanes: int) -> tuple[str, ...]:
        """Of loads and stores of some elements of a vector."""
        vector, flags, name = f"<{lanes} x {self.kind}>", f"<{lanes} x i1>", self.suffix(lanes)
        return (
            f"declare {vector} @llvm.masked.load.{name}.p0(ptr, i32, {flags}, {vector})",
            f"declare void @llvm.masked.store.{name}.p0({vector}, ptr, i32, {flags})",
        )

    def masked_load(self, name: str, pointer: str, mask: str, lanes: int) -> str:
        """Zeros where the mask is false."""
        vector, flags = f"<{lanes} x {self.kind}>", f"<{lanes} x i1>"
        return (
            f"  {name} = call {vector} @llvm.masked.load.{self.suffix(lanes)}.p0(ptr {pointer}, "
            f"i32 {self.size}, {flags} {mask}, {vector} zeroinitializer)"
        )

    def masked_store(self, value: str, pointer: str, mask: str, lanes: int) -> str:
        vector, flags = f"<{lanes} x {self.kind}>", f"<{lanes} x i1>"
        return (
            f"  call void @llvm.masked.store.{self.suffix(lanes)}.p0({vector} {value}, "
            f"ptr {pointer}, i32 {self.size}, {flags} {mask})"
        )

    def sums(self, before: str, loop: str) -> str:
        """Sums, zero at first, that a loop adds terms to: those before a term are %sum, with it
        %next. A term needs %x0, %x1 …, where the rows begin; %k.at, the place of its elements in
        them; and %w.row, its row of the panel.

        Args:
            before, loop: labels of the block before the loop and of its only block.
        """
        rows, vectors = range(self.tile.rows), range(self.tile.vectors)
        return "\n".join(
            f"  %sum{r}.{v} = phi {self.many} [ zeroinitializer, %{before} ], "
            f"[ %next{r}.{v}, %{loop} ]"
            for r in rows
            for v in vectors
        )

    def term(self) -> str:
        """See `sums`."""
        kind, many, lanes = self.kind, self.many, self.tile.lanes
        rows, vectors = range(self.tile.rows), range(self.tile.vectors)
        fma = f"call contract {many} @llvm.fmuladd.{self.suffix(lanes)}"
        lines = []
        for v in vectors:
            lines += [
                f"  %w.ptr{v} = getelementptr {kind}, ptr %w.row, i64 {v * lanes}",
                f"  %w{v} = load {many}, ptr %w.ptr{v}, align {self.size}",
            ]
        for r in rows:
            lines += [
                f"  %x.ptr{r} = getelementptr {kind}, ptr %x{r}, i64 %k.at",
                f"  %number{r} = load {kind}, ptr %x.ptr{r}",
                spread(f"%all{r}", f"%number{r}", kind, lanes),
            ]
            lines += [
                f"  %next{r}.{v} = {fma}({many} %all{r}, {many} %w{v}, {many} %sum{r}.{v})"
                for v in vectors
            ]
        return "\n".join(lines)

    def below(self, name: str, count: str, lanes: int) -> str:
        """%name: which numbers of lanes are less than a count."""
        numbers = ", ".join(f"i64 {lane}" for lane in range(lanes))
        return (
            spread(f"{name}.all", count, "i64", lanes)
            + f"\n  {name} = icmp ult <{lanes} x i64> <{numbers}>, {name}.all"
        )

    def interleaved(self, rows: list[str], label: str, lines: list[str]) -> list[str]:
        """Transposed blocks: rows are interleaved with those half a block further on, as often as
        it takes for the elements of a column to lie together.

        Args:
            rows: vectors of any number of blocks side by side.
            label: begins the names.
            lines: what is added to.
        """
        count, half = len(rows), len(rows) // 2
        lanes, many = self.tile.lanes, self.many
        for step in range(count.bit_length() - 1):
            made = []
            for r in range(half):
                for part in range(2):
                    chosen = [
                        block + part * half + i
                        for block in range(0, lanes, count)
                        for i in range(half)
                    ]
                    mask = ", ".join(f"i32 {m}" for i in chosen for m in (i, i + lanes))
                    name = f"%{label}.{step}.{r}.{part}"
                    lines.append(
                        f"  {name} = shufflevector {many} {rows[r]}, {many} {rows[r + half]}, "
                        f"<{lanes} x i32> <{mask}>"
                    )
                    made.append(name)
            rows = made
        return rows


def spread(name: str, value: str, kind: str, lanes: int) -> str:
    """A value in every lane."""
    many = f"<{lanes} x {kind}>"
    return (
        f"  {name}.lane = insertelement {many} poison, {kind} {value}, i64 0\n"
        f"  {name} = shufflevector {many} {name}.lane, {many} poison, "
        f"<{lanes} x i32> zeroinitializer"
    )
