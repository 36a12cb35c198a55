"""One level of a pyramid in a temporary file, so that memory does not grow with the output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from flows.products.sv.depth_bins import Linear, VerticalGrid

TILE_PINGS, TILE_SAMPLES = 2048, 512


@dataclass(eq=False)
class PyramidLevel:
    """One level in a temporary file: linear Sv, 0 where there is none (channel, column, bin)."""

    path: Path
    channels: int
    columns: int
    grid: VerticalGrid

    def __post_init__(self) -> None:
        self._file: BinaryIO = self.path.open("w+b", buffering=0)
        self._file.truncate(self.channels * self.columns * self.grid.count * 4)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        self.path.unlink()

    def write(self, channel: int, column: int, values: Linear) -> None:
        """Write some columns of a channel, from `column` on."""
        self._file.seek(self._offset(channel, column))
        self._file.write(np.nan_to_num(values, nan=0.0, posinf=0.0).astype("<f4").tobytes())

    def read(self, channel: int, column: int, count: int) -> Linear:
        """At most `count` columns of a channel, from `column` on."""
        count = min(count, self.columns - column)
        self._file.seek(self._offset(channel, column))
        body = self._file.read(count * self.grid.count * 4)
        return np.frombuffer(body, "<f4").reshape(count, self.grid.count)

    def _offset(self, channel: int, column: int) -> int:
        return (channel * self.columns + column) * self.grid.count * 4

    def next(self, path: Path) -> PyramidLevel | None:
        """The level above, empty; None if this one is a single tile."""
        grid, columns = self.grid, self.columns
        if columns <= TILE_PINGS and grid.count <= TILE_SAMPLES:
            return None
        if columns > TILE_PINGS:
            columns = -(-columns // 2)
        if grid.count > TILE_SAMPLES:
            grid = VerticalGrid(grid.start, grid.step * 2, -(-grid.count // 2))
        return PyramidLevel(path, self.channels, columns, grid)


def halved(values: Linear, axis: int) -> Linear:
    """Means of two neighbours along an axis; one without a value does not count."""
    if values.shape[axis] % 2:
        widths = [(0, int(number == axis)) for number in range(values.ndim)]
        values = np.pad(values, widths)
    shape = list(values.shape)
    shape[axis : axis + 1] = [shape[axis] // 2, 2]
    pairs = values.reshape(shape)
    sums, counts = pairs.sum(axis=axis + 1), (pairs > 0).sum(axis=axis + 1)
    found: Linear = sums / np.maximum(counts, 1).astype(np.float32)
    return found
