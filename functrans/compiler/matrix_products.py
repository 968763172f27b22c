"""Matrix products as one kernel of our own, tile by tile, where it is faster than the library's.

It takes what functrans/compiler/products.py describes, in single or double precision. A part of a
panel of y is copied, transposed if need be, to the stack of the thread, and all tiles of the result
that an item of the loop has below each other read it there; x is read where it is, whatever its
strides. Items are parts of the rows and columns of every product of the batch, so threads share one
large product or many small ones alike. 128×784 by 784×512 takes 0.21 ms in float32 on two cores of
a 2024 EPYC, and with OpenBLAS 0.27; 128×64 by 64×128 in float64 10 µs and 15. Beyond MOST_FLOPS,
where x does not stay in the caches, the library is as fast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from functrans.compiler.emitted import EmittedKernel, again, arguments, kernel_of_text
from functrans.compiler.products import Gemm
from functrans.compiler.threads import pieces
from functrans.compiler.tiles import SUMMED, TileText, items_wanted, panels_of, spread, tile_for
from functrans.core.program import Equation

BUFFERS = "x", "y", "out"
FEWEST_FLOPS, MOST_FLOPS = 1 << 19, 1 << 27
"""Of a batch, which must be worth a kernel to compile, and of a single product."""
FEWEST_ROWS, FEWEST_COLUMNS, FEWEST_TERMS = 2, 4, 2
"""Of a product, from which the library is slower."""
BUSY, LARGEST_RESULT = 16, 1 << 21
"""Terms from which any result is ours, and bytes of one up to which that of fewer terms is."""
A_CALL = 1 << 13
"""Flops that the library could do in the time that it takes to call it for a product."""
PERIOD, FEW_LINES = 4096, 256
"""Bytes between lines that have one place in the nearest cache, and how many of these the next one
has room for: where terms of x lie so far apart, more would be read from memory again and again."""
FLOPS_PER_NANOSECOND = 800
"""Of a core, times the bytes of an element."""
SPLIT, PIECE = 8_000.0, 4_000.0
"""Nanoseconds from which threads share a batch of products, and that a piece takes at least: less
than of other kernels, as products come one after the other and workers are awake."""
COPIED = 3
"""Tiles below each other from which a panel is copied that could be read where it is."""
LONGEST_RUN = 32
"""Tiles below each other at most: what they read of x stays in the caches."""


def is_own(gemm: Gemm, dtype: np.dtype) -> bool:
    """Whether the kernel computes a product."""
    thin = gemm.m < FEWEST_ROWS or gemm.n < FEWEST_COLUMNS or gemm.k < FEWEST_TERMS
    idle = gemm.k < BUSY and gemm.m * gemm.n * dtype.itemsize >= LARGEST_RESULT
    conflicting = gemm.transpose_x and gemm.m * dtype.itemsize % PERIOD == 0 and gemm.k > FEW_LINES
    if dtype.kind != "f" or thin or idle or conflicting or tile_for(gemm.n, dtype) is None:
        return False
    flops = 2.0 * gemm.m * gemm.n * gemm.k
    return (flops + A_CALL) * gemm.batch >= FEWEST_FLOPS and flops <= MOST_FLOPS


def product_pieces(extent: int, gemm: Gemm, dtype: np.dtype) -> int:
    """Into how many pieces to divide the kernel's loop."""
    flops = 2.0 * gemm.m * gemm.n * gemm.k * gemm.batch
    return pieces(extent, flops * dtype.itemsize / FLOPS_PER_NANOSECOND, SPLIT, PIECE)


def emit_product(equation: Equation, gemm: Gemm) -> EmittedKernel:
    """The kernel of buffers x, y, out; its loop is over parts of all products."""
    out = equation.outputs[0]
    tile = tile_for(gemm.n, out.aval.dtype)
    assert tile is not None
    products = 1 if gemm.summed else gemm.batch
    tiles, panels = -(-gemm.m // tile.rows), panels_of(gemm.n, tile)
    run, wide = _parts(tiles, panels, products)
    of_x, of_y, of_out = gemm.steps
    ints = {
        "m": gemm.m,
        "n": gemm.n,
        "k": gemm.k,
        "x.down": 1 if gemm.transpose_x else gemm.k,
        "x.along": gemm.m if gemm.transpose_x else 1,
        "y.down": gemm.k if gemm.transpose_y else gemm.n,
        "x.next": of_x,
        "y.next": of_y,
        "out.next": of_out,
        "sums": gemm.batch if gemm.summed else 1,
        "run": run,
        "wide": wide,
    }
    lines = TileText(tile, out.aval.dtype)
    buffers = list(zip(BUFFERS, (*equation.inputs, out), strict=True))
    times = "times transposed" if gemm.transpose_y else "times"
    return kernel_of_text(
        _text(lines, list(ints), gemm.transpose_y),
        (
            *lines.declarations,
            *lines.masked_declarations(tile.lanes),
            "declare i64 @llvm.umin.i64(i64, i64)",
        ),
        buffers,
        equation.outputs,
        list(ints.values()),
        products * -(-tiles // run) * -(-panels // wide),
        f"x {times} y, in tiles of {tile.rows}x{tile.width} in registers",
    )


def _parts(tiles: int, panels: int, products: int) -> tuple[int, int]:
    """How many tiles and how many panels an item has: columns are divided before rows, since an
    item copies its part of y, and reads x where it is."""
    run = min(tiles, LONGEST_RUN)
    downwards = -(-tiles // run) * products
    items = items_wanted()
    wide = max(1, panels * downwards // items)
    if downwards * panels < items:
        run = max(COPIED, tiles * products * panels // items)
    return min(run, tiles), min(wide, panels)


# --- the text -------------------------------------------------------------------------------------


def _text(lines: TileText, ints: Sequence[str], transposed: bool) -> str:
    """The kernel: for every item, product of a sum, and part of k, panel by panel, tile by tile."""
    tile, kind = lines.tile, lines.kind
    return f"""
define i64 @KERNEL(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {{
entry:
  %copy = alloca [{SUMMED * tile.width} x {kind}], align 64
{arguments(BUFFERS, ints)}
  %last.row = sub i64 %m, 1
  %tiles.less = udiv i64 %last.row, {tile.rows}
  %tiles = add i64 %tiles.less, 1
  %runs.less = udiv i64 %tiles.less, %run
  %runs = add i64 %runs.less, 1
  %last.column = sub i64 %n, 1
  %panels.less = udiv i64 %last.column, {tile.width}
  %panels = add i64 %panels.less, 1
  %parts.less = udiv i64 %panels.less, %wide
  %parts = add i64 %parts.less, 1
  br label %item

item:
  %i = phi i64 [ %lo, %entry ], [ %i.next, %item.done ]
  %more = icmp slt i64 %i, %hi
  br i1 %more, label %begin, label %end

begin:
  %i.rest = udiv i64 %i, %parts
  %part = urem i64 %i, %parts
  %b = udiv i64 %i.rest, %runs
  %down = urem i64 %i.rest, %runs
  %first = mul i64 %down, %run
  %first.next = add i64 %first, %run
  %stop = call i64 @llvm.umin.i64(i64 %first.next, i64 %tiles)
  %p.first = mul i64 %part, %wide
  %p.far = add i64 %p.first, %wide
  %p.stop = call i64 @llvm.umin.i64(i64 %p.far, i64 %panels)
  %height = sub i64 %stop, %first
  %low = icmp ult i64 %height, {COPIED}
  %out.skipped = mul i64 %b, %out.next
  %out.b = getelementptr {kind}, ptr %out, i64 %out.skipped
  br label %product

product:
  %s = phi i64 [ 0, %begin ], [ %s.next, %product.done ]
  %number = add i64 %b, %s
  %x.skipped = mul i64 %number, %x.next
  %x.s = getelementptr {kind}, ptr %x, i64 %x.skipped
  %y.skipped = mul i64 %number, %y.next
  %y.s = getelementptr {kind}, ptr %y, i64 %y.skipped
  br label %summing

summing:
  %k.first = phi i64 [ 0, %product ], [ %k.stop, %summing.done ]
  %k.far = add i64 %k.first, {SUMMED}
  %k.stop = call i64 @llvm.umin.i64(i64 %k.far, i64 %k)
  %terms = sub i64 %k.stop, %k.first
  %before = or i64 %k.first, %s
  %again = icmp ne i64 %before, 0
{spread("%again.all", "%again", "i1", tile.lanes)}
  %x.first = mul i64 %k.first, %x.along
  %x.k = getelementptr {kind}, ptr %x.s, i64 %x.first
  br label %panel

panel:
  %p = phi i64 [ %p.first, %summing ], [ %p.next, %panel.done ]
  %column = mul i64 %p, {tile.width}
  %columns.left = sub i64 %n, %column
  %whole = icmp uge i64 %columns.left, {tile.width}
{_inside(lines)}
  %out.p = getelementptr {kind}, ptr %out.b, i64 %column
{_transposed_copy(lines) if transposed else _plain_copy(lines)}

tile:
  %t = phi i64 [ %first, %copied ], [ %t.next, %tile.done ]
  %row = mul i64 %t, {tile.rows}
{_rows(lines)}
  br label %term

term:
  %j = phi i64 [ 0, %tile ], [ %j.next, %term ]
  %k.at = phi i64 [ 0, %tile ], [ %k.at.next, %term ]
  %w.row = phi ptr [ %w, %tile ], [ %w.row.next, %term ]
{lines.sums("tile", "term")}
{lines.term()}
  %k.at.next = add i64 %k.at, %x.along
  %w.row.next = getelementptr {kind}, ptr %w.row, i64 %w.step
{again("j", "%terms", "term", "tile.done")}

tile.done:
{_stored(lines)}
{again("t", "%stop", "tile", "panel.done")}

panel.done:
{again("p", "%p.stop", "panel", "summing.done")}

summing.done:
  %sums.left = icmp ult i64 %k.stop, %k
  br i1 %sums.left, label %summing, label %product.done

product.done:
{again("s", "%sums", "product", "item.done")}

item.done:
  %i.next = add i64 %i, 1
  br label %item

end:
  ret i64 0
}}
"""


def _inside(lines: TileText) -> str:
    """Which lanes of every vector are columns of the result."""
    lanes = lines.tile.lanes
    return "\n".join(
        f"  %skipped{v} = call i64 @llvm.umin.i64(i64 %columns.left, i64 {v * lanes})\n"
        f"  %left{v} = sub i64 %columns.left, %skipped{v}\n"
        + lines.below(f"%in{v}", f"%left{v}", lanes)
        for v in range(lines.tile.vectors)
    )


def _plain_copy(lines: TileText) -> str:
    """A part of a panel to the stack; or nothing, if few tiles read it and it is whole."""
    tile, kind = lines.tile, lines.kind
    moves = "\n".join(
        f"  %from{v} = getelementptr {kind}, ptr %from, i64 {v * tile.lanes}\n"
        + lines.masked_load(f"%moved{v}", f"%from{v}", f"%in{v}", tile.lanes)
        + f"\n  %to{v} = getelementptr {kind}, ptr %to, i64 {v * tile.lanes}"
        + f"\n  store {lines.many} %moved{v}, ptr %to{v}, align {lines.size}"
        for v in range(tile.vectors)
    )
    return f"""\
  %y.first = mul i64 %k.first, %y.down
  %y.begin = add i64 %y.first, %column
  %y.p = getelementptr {kind}, ptr %y.s, i64 %y.begin
  %direct = and i1 %whole, %low
  br i1 %direct, label %copied, label %move

move:
  %c = phi i64 [ 0, %panel ], [ %c.next, %move ]
  %from = phi ptr [ %y.p, %panel ], [ %from.next, %move ]
  %to = phi ptr [ %copy, %panel ], [ %to.next, %move ]
{moves}
  %from.next = getelementptr {kind}, ptr %from, i64 %y.down
  %to.next = getelementptr {kind}, ptr %to, i64 {tile.width}
{again("c", "%terms", "move", "copied")}

copied:
  %w = phi ptr [ %y.p, %panel ], [ %copy, %move ]
  %w.step = phi i64 [ %y.down, %panel ], [ {tile.width}, %move ]
  br label %tile"""


def _transposed_copy(lines: TileText) -> str:
    """Columns of the panel, which are rows of y, a block of terms at a time."""
    tile, kind = lines.tile, lines.kind
    block, blocks = tile.rows, tile.lanes // tile.rows
    text = []
    for c in range(tile.width):
        # beyond the last column that one again, which nobody reads
        following = "%y.block" if not c else f"%from{c - 1}"
        text += [
            f"  %on{c} = icmp ugt i64 %columns.left, {c}",
            f"  %step{c} = select i1 %on{c}, i64 %y.down, i64 0",
            f"  %from{c} = getelementptr {kind}, ptr {following}, i64 {f'%step{c}' if c else 0}",
            lines.masked_load(f"%part{c}", f"%from{c}", "%terms.in", block),
        ]
    for v in range(tile.vectors):
        rows = [_beside(lines, v, r, blocks, text) for r in range(block)]
        for r, row in enumerate(lines.interleaved(rows, f"mixed{v}", text)):
            place = r * tile.width + v * tile.lanes
            text += [
                f"  %to{v}.{r} = getelementptr {kind}, ptr %to, i64 {place}",
                f"  store {lines.many} {row}, ptr %to{v}.{r}, align {lines.size}",
            ]
    body = "\n".join(text)
    return f"""\
  %y.first = mul i64 %column, %y.down
  %y.begin = add i64 %y.first, %k.first
  %y.p = getelementptr {kind}, ptr %y.s, i64 %y.begin
  br label %move

move:
  %c = phi i64 [ 0, %panel ], [ %c.next, %move ]
  %y.block = getelementptr {kind}, ptr %y.p, i64 %c
  %c.copy = mul i64 %c, {tile.width}
  %to = getelementptr {kind}, ptr %copy, i64 %c.copy
  %terms.left = sub i64 %terms, %c
{lines.below("%terms.in", "%terms.left", block)}
{body}
  %c.next = add i64 %c, {block}
  %moving = icmp ult i64 %c.next, %terms
  br i1 %moving, label %move, label %copied

copied:
  %w = phi ptr [ %copy, %move ]
  %w.step = phi i64 [ {tile.width}, %move ]
  br label %tile"""


def _beside(lines: TileText, v: int, r: int, blocks: int, text: list[str]) -> str:
    """The r-th rows of the blocks of a vector's columns, one after the other in one vector."""
    tile, kind = lines.tile, lines.kind
    first = v * tile.lanes + r
    joined, width = f"%part{first}", tile.rows
    if blocks == 2:
        name, pair = f"%beside{v}.{r}", f"<{width} x {kind}>"
        mask = ", ".join(f"i32 {i}" for i in range(2 * width))
        text.append(
            f"  {name} = shufflevector {pair} {joined}, {pair} %part{first + width}, "
            f"<{2 * width} x i32> <{mask}>"
        )
        return name
    return joined


def _rows(lines: TileText) -> str:
    """Where the rows of a tile begin; beyond the last one, there."""
    return "\n".join(
        f"  %far{r} = add i64 %row, {r}\n"
        f"  %row{r} = call i64 @llvm.umin.i64(i64 %far{r}, i64 %last.row)\n"
        f"  %x.at{r} = mul i64 %row{r}, %x.down\n"
        f"  %x{r} = getelementptr {lines.kind}, ptr %x.k, i64 %x.at{r}"
        for r in range(lines.tile.rows)
    )


def _stored(lines: TileText) -> str:
    """Row by row, added to sums before these. What is not stored beyond the last row is not stored
    in that row: not to store it where there is no memory takes the processor a microsecond."""
    tile, kind, many = lines.tile, lines.kind, lines.many
    flags, none = f"<{tile.lanes} x i1>", f"<{tile.lanes} x i1> zeroinitializer"
    text = []
    for r in range(tile.rows):
        text += [
            f"  %is.row{r} = icmp ult i64 %far{r}, %m",
            f"  %out.row{r} = mul i64 %row{r}, %n",
            f"  %out.r{r} = getelementptr {kind}, ptr %out.p, i64 %out.row{r}",
        ]
        for v in range(tile.vectors):
            at = f"{r}.{v}"
            text += [
                f"  %out.ptr{at} = getelementptr {kind}, ptr %out.r{r}, i64 {v * tile.lanes}",
                f"  %inside{at} = select i1 %is.row{r}, {flags} %in{v}, {none}",
                f"  %had{at} = and {flags} %inside{at}, %again.all",
                lines.masked_load(f"%before{at}", f"%out.ptr{at}", f"%had{at}", tile.lanes),
                f"  %total{at} = fadd {many} %before{at}, %next{at}",
                lines.masked_store(f"%total{at}", f"%out.ptr{at}", f"%inside{at}", tile.lanes),
            ]
    return "\n".join(text)
