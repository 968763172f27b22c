"""Products of all windows of an array with a matrix, read where they lie: one kernel.

With p(j) = table[j % n] + j // n · step, the place of a row or of what is summed, for a table of n
places of its own, and g(b) = b // alike % groups,

    out[b, f, i] = Σ_k x[b, p_rows(i) + p_summed(k)] · w[g(b), f // width, k, f % width]

so the matrix of windows, which would be as many times larger than x as a window has elements, is
never written. *Tiles* of the result (functrans/compiler/tiles.py) are summed in registers: like
BLAS, but for the tables of places, and as fast: 250 Gflop/s in float32 on a core of a 2024 EPYC,
where OpenBLAS takes a matrix of windows that is there already at 230.

The compiler makes these equations of convolutions (functrans/compiler/convolution_ways.py), after
all transforms, so they need no rules but for their evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from functrans.compiler.emitted import EmittedKernel, again, arguments, kernel_of_text
from functrans.compiler.tiles import SUMMED, Tile, TileText, items_wanted, spread, tile_for
from functrans.core.primitive import Primitive
from functrans.core.program import Equation
from functrans.core.types import Aval

BUFFERS = "x", "row.places", "summed.places", "w", "out"
RUNS = 8, 32
"""Tiles along the rows, at least and at most, that one item of the kernel's loop computes one after
the other with the same part of a panel. More read panels less often; fewer make more items."""


# --- the primitive --------------------------------------------------------------------------------


def _infer(x: Aval, *_: Aval, shape: Sequence[int], **__: Any) -> Aval:
    return x.update(shape=shape)


def _evaluate(
    x: Any,
    row_places: Any,
    summed_places: Any,
    w: Any,
    *,
    rows: int,
    row_step: int,
    summed_step: int,
    alike: int,
    shape: Sequence[int],
) -> Any:
    groups, _, summed, _ = w.shape
    at = _places(row_places, rows, row_step)[:, None] + _places(summed_places, summed, summed_step)
    group = np.arange(len(x)) // alike % groups
    return np.einsum("bik,bpkf->bpfi", x[:, at], w[group]).reshape(shape)


def _places(table: np.ndarray, count: int, step: int) -> np.ndarray:
    j = np.arange(count)
    return table[j % len(table)] + j // len(table) * step


def flops(equation: Equation) -> float:
    """Multiplications and additions, those of features beyond the last one included."""
    return 2.0 * equation.outputs[0].aval.size * equation.inputs[3].aval.shape[2]


window_product_p = Primitive("window_product", infer=_infer, evaluate=_evaluate)
"""Operands: x of shape (batch, elements); the two tables; w of shape (groups, panels, summed,
width). Parameters: how many rows, the steps of the tables, how many in a row of the batch are of
one group, and as which shape the result (batch, features, rows) is seen."""


# --- the kernel -----------------------------------------------------------------------------------


def emit_window_product(equation: Equation) -> EmittedKernel:
    """The kernel; its loop is over the batch and blocks of rows."""
    x, row_places, summed_places, w = (a.aval for a in equation.inputs)
    params = equation.params
    groups, panels, summed, width = w.shape
    tile = tile_for(width, x.dtype)
    assert tile is not None and tile.width == width
    tiles = -(-params["rows"] // tile.rows)
    run = min(max(tiles * x.shape[0] // items_wanted(), RUNS[0]), RUNS[1])
    ints = {
        "rows": params["rows"],
        "run": run,
        "row.period": row_places.size,
        "row.step": params["row_step"],
        "summed": summed,
        "summed.period": summed_places.size,
        "summed.step": params["summed_step"],
        "panels": panels,
        "sample": x.shape[1],
        "groups": groups,
        "alike": params["alike"],
    }
    lines = TileText(tile, x.dtype)
    buffers = list(zip(BUFFERS, (*equation.inputs, *equation.outputs), strict=True))
    return kernel_of_text(
        _text(lines, list(ints), summed > SUMMED),
        (*lines.declarations, "declare i64 @llvm.umin.i64(i64, i64)"),
        buffers,
        equation.outputs,
        list(ints.values()),
        x.shape[0] * -(-tiles // run),
        f"windows of x times w, in tiles of {tile.rows}x{width} in registers",
    )


def _text(lines: TileText, ints: Sequence[str], in_parts: bool) -> str:
    """The kernel: for every item and part of what is summed, for every panel and tile of rows."""
    tile, kind, width = lines.tile, lines.kind, lines.tile.width
    return f"""
define i64 @KERNEL(ptr %bufs, ptr %ints, i64 %lo, i64 %hi) #0 {{
entry:
  %places = alloca [{SUMMED} x i64]
{arguments(BUFFERS, ints)}
  %last.row = sub i64 %rows, 1
  %tiles.less = udiv i64 %last.row, {tile.rows}
  %tiles = add i64 %tiles.less, 1
  %items.less = udiv i64 %tiles.less, %run
  %items = add i64 %items.less, 1
  %panel.size = mul i64 %summed, {width}
  %w.size = mul i64 %panels, %panel.size
  %out.row = mul i64 %rows, {width}
  %out.size = mul i64 %panels, %out.row
  br label %item

item:
  %i = phi i64 [ %lo, %entry ], [ %i.next, %item.done ]
  %more = icmp slt i64 %i, %hi
  br i1 %more, label %begin, label %end

begin:
  %b = udiv i64 %i, %items
  %part = urem i64 %i, %items
  %first = mul i64 %part, %run
  %first.next = add i64 %first, %run
  %stop = call i64 @llvm.umin.i64(i64 %first.next, i64 %tiles)
  %group.number = udiv i64 %b, %alike
  %group = urem i64 %group.number, %groups
  %x.offset = mul i64 %b, %sample
  %x.b = getelementptr {kind}, ptr %x, i64 %x.offset
  %w.offset = mul i64 %group, %w.size
  %w.g = getelementptr {kind}, ptr %w, i64 %w.offset
  %out.offset = mul i64 %b, %out.size
  %out.b = getelementptr {kind}, ptr %out, i64 %out.offset
  br label %summing

summing:
  %k.first = phi i64 [ 0, %begin ], [ %k.stop, %summing.done ]
  %k.far = add i64 %k.first, {SUMMED}
  %k.stop = call i64 @llvm.umin.i64(i64 %k.far, i64 %summed)
  %terms = sub i64 %k.stop, %k.first
  %again = icmp ne i64 %k.first, 0
  %turn.first = udiv i64 %k.first, %summed.period
  %turn.at = mul i64 %turn.first, %summed.step
  %rest.first = urem i64 %k.first, %summed.period
  br label %place

place:
  %j = phi i64 [ 0, %summing ], [ %j.next, %place ]
  %turn = phi i64 [ %turn.at, %summing ], [ %turn.next, %place ]
  %rest = phi i64 [ %rest.first, %summing ], [ %rest.next, %place ]
  %known = getelementptr i64, ptr %summed.places, i64 %rest
  %known.at = load i64, ptr %known
  %at = add i64 %known.at, %turn
  %place.at = getelementptr i64, ptr %places, i64 %j
  store i64 %at, ptr %place.at
  %rest.more = add i64 %rest, 1
  %over = icmp eq i64 %rest.more, %summed.period
  %turn.more = add i64 %turn, %summed.step
  %rest.next = select i1 %over, i64 0, i64 %rest.more
  %turn.next = select i1 %over, i64 %turn.more, i64 %turn
{again("j", "%terms", "place", "panel")}

panel:
  %p = phi i64 [ 0, %place ], [ %p.next, %panel.done ]
  %p.offset = mul i64 %p, %panel.size
  %k.offset = mul i64 %k.first, {width}
  %p.begin = add i64 %p.offset, %k.offset
  %w.p = getelementptr {kind}, ptr %w.g, i64 %p.begin
  %p.out = mul i64 %p, %out.row
  %out.p = getelementptr {kind}, ptr %out.b, i64 %p.out
  br label %tile

tile:
  %t = phi i64 [ %first, %panel ], [ %t.next, %tile.done ]
  %row = mul i64 %t, {tile.rows}{_rows(tile, kind)}
  br label %term

term:
  %k = phi i64 [ 0, %tile ], [ %k.next, %term ]
{lines.sums("tile", "term")}
  %k.ptr = getelementptr i64, ptr %places, i64 %k
  %k.at = load i64, ptr %k.ptr
  %w.k = mul i64 %k, {width}
  %w.row = getelementptr {kind}, ptr %w.p, i64 %w.k
{lines.term()}
{again("k", "%terms", "term", "tile.done")}

tile.done:
  %left = sub i64 %rows, %row
{_stored(lines, in_parts)}
{again("t", "%stop", "tile", "panel.done")}

panel.done:
{again("p", "%panels", "panel", "summing.done")}

summing.done:
  %sums.left = icmp ult i64 %k.stop, %summed
  br i1 %sums.left, label %summing, label %item.done

item.done:
  %i.next = add i64 %i, 1
  br label %item

end:
  ret i64 0
}}
"""


def _rows(tile: Tile, kind: str) -> str:
    """Where the rows of a tile begin; beyond the last one, there."""
    return "".join(
        f"""
  %far{r} = add i64 %row, {r}
  %row{r} = call i64 @llvm.umin.i64(i64 %far{r}, i64 %last.row)
  %turn{r} = udiv i64 %row{r}, %row.period
  %rest{r} = urem i64 %row{r}, %row.period
  %known{r} = getelementptr i64, ptr %row.places, i64 %rest{r}
  %known.at{r} = load i64, ptr %known{r}
  %turn.at{r} = mul i64 %turn{r}, %row.step
  %at{r} = add i64 %known.at{r}, %turn.at{r}
  %x{r} = getelementptr {kind}, ptr %x.b, i64 %at{r}"""
        for r in range(tile.rows)
    )


def _stored(lines: TileText, in_parts: bool) -> str:
    """Every feature of a tile is a run of the result, to which sums before these are added."""
    tile, kind = lines.tile, lines.kind
    rows, column = tile.rows, f"<{tile.rows} x {kind}>"
    text = [lines.below("%inside", "%left", rows)]
    if in_parts:
        text += [
            spread("%again.all", "%again", "i1", rows),
            f"  %before = and <{rows} x i1> %inside, %again.all",
        ]
    for v in range(tile.vectors):
        for lane, sums in enumerate(_columns(lines, v, text)):
            f = v * tile.lanes + lane
            text += [
                f"  %out.f{f} = mul i64 %rows, {f}",
                f"  %out.at{f} = add i64 %out.f{f}, %row",
                f"  %out.ptr{f} = getelementptr {kind}, ptr %out.p, i64 %out.at{f}",
            ]
            if in_parts:
                text += [
                    lines.masked_load(f"%before{f}", f"%out.ptr{f}", "%before", rows),
                    f"  %total{f} = fadd {column} %before{f}, {sums}",
                ]
                sums = f"%total{f}"
            text.append(lines.masked_store(sums, f"%out.ptr{f}", "%inside", rows))
    return "\n".join(text)


def _columns(lines: TileText, v: int, text: list[str]) -> list[str]:
    """The columns of a tile's v-th vectors."""
    rows, lanes, many = lines.tile.rows, lines.tile.lanes, lines.many
    mixed = lines.interleaved([f"%next{r}.{v}" for r in range(rows)], f"mixed{v}", text)
    columns = []
    for lane in range(lanes):
        block, place = divmod(lane, rows)
        mask = ", ".join(f"i32 {block * rows + r}" for r in range(rows))
        name = f"%column{v}.{lane}"
        text.append(
            f"  {name} = shufflevector {many} {mixed[place]}, {many} poison, "
            f"<{rows} x i32> <{mask}>"
        )
        columns.append(name)
    return columns
