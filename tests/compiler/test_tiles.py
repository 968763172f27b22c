"""Tiles fit the columns of a product and the registers of the processor."""

import numpy as np
import pytest

from functrans.compiler import tiles
from functrans.compiler.tiles import Tile, tile_for

TILES = {  # columns, bytes of an element, registers
    "a vector": (16, 4, (64, 32), Tile(8, 16, 1)),
    "half a vector": (8, 4, (64, 32), Tile(8, 8, 1)),
    "two": (64, 4, (64, 32), Tile(8, 16, 2)),
    "three": (48, 4, (64, 32), Tile(8, 16, 3)),
    "double precision": (64, 8, (64, 32), Tile(8, 8, 2)),
    "fewer registers": (24, 4, (32, 16), Tile(4, 8, 3)),
    "short vectors": (64, 4, (16, 32), None),
}


@pytest.mark.parametrize("name", TILES)
def test_tiles_fit_columns_and_registers(name, monkeypatch):
    columns, nbytes, registers, want = TILES[name]
    monkeypatch.setattr(tiles, "vector_registers", lambda: registers)
    assert tile_for(columns, np.dtype(f"f{nbytes}")) == want


@pytest.mark.parametrize("nbytes", [4, 8])
@pytest.mark.parametrize("registers", [(64, 32), (32, 16)])
def test_a_panel_has_the_tile_of_its_columns(registers, nbytes, monkeypatch):
    monkeypatch.setattr(tiles, "vector_registers", lambda: registers)
    dtype = np.dtype(f"f{nbytes}")
    for columns in range(1, 200):
        tile = tile_for(columns, dtype)
        assert tile_for(tile.width, dtype) == tile
