"""Rows of many variables in one scratch file, and arrays that are read from there."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc
from numpy.typing import NDArray

from flows.rawfile.lazy_array import LazyArray, Region
from flows.rawfile.sample_index import Int64s
from flows.rawfile.skeleton import read_exactly

# Fast, and a quarter of the bytes: most float64 of AD2CP files have one or two that vary.
_CODEC = Blosc("lz4", 1, Blosc.SHUFFLE)


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one variable: where they are in the scratch file, compressed."""

    first: int
    rows: int
    offset: int
    length: int


class ScratchFile:
    """A file that is gone once it is closed.

    Raises:
        OSError: it cannot be made or written; the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "rows"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        path.unlink()
        self._end = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove it."""
        os.close(self._fd)

    def put(self, first: int, values: NDArray[Any]) -> Block:
        """Write rows of a variable, of which `first` is the number of the first."""
        body = _CODEC.encode(np.ascontiguousarray(values).view(np.uint8)) if values.size else b""
        with self._lock:
            block = Block(first, len(values), self._end, len(body))
            self._end += len(body)
        written = 0
        while written < len(body):
            written += os.pwrite(self._fd, body[written:], block.offset + written)
        return block

    def get(self, block: Block, dtype: np.dtype[Any], row: tuple[int, ...]) -> NDArray[Any]:
        """The rows of a block, `row` being the shape of each."""
        body = read_exactly(self._fd, block.length, block.offset)
        values = np.frombuffer(_CODEC.decode(body) if body else b"", dtype)
        return values.reshape(block.rows, *row)


class JoinedRows(LazyArray):
    """One variable of a file, its rows read from the scratch file.

    Args:
        scratch: where they are.
        blocks: they, in the order of their numbers; who made them may replace one.
        order: number of each row of the array (int64); None for all as they are numbered.
        row: shape of each row.
        dtype: of the values.
        again: decodes some of the rows a second time, and puts them in their places.
    """

    def __init__(  # noqa: PLR0917 - one call
        self,
        scratch: ScratchFile,
        blocks: Sequence[Block],
        order: Int64s | None,
        row: tuple[int, ...],
        dtype: np.dtype[Any],
        again: Callable[[], None],
    ) -> None:
        super().__init__((sum(block.rows for block in blocks), *row), dtype)
        self._scratch = scratch
        self._blocks = blocks
        self._order = order
        self._again = again

    def decode_again(self) -> None:
        """Decode some of the rows of all of the file's variables a second time."""
        self._again()

    def read(self, region: Region) -> NDArray[Any]:
        """The values of one region."""
        rows, *rest = region
        numbers = np.arange(rows.start, rows.stop) if self._order is None else self._order[rows]
        out = np.empty((numbers.size, *(s.stop - s.start for s in rest)), self.dtype)
        low, high = (numbers.min(), numbers.max()) if numbers.size else (0, -1)
        for block in self._blocks:
            if block.first > high or block.first + block.rows <= low:
                continue
            values = self._scratch.get(block, self.dtype, self.shape[1:])
            inside = (numbers >= block.first) & (numbers < block.first + block.rows)
            out[inside] = values[(slice(None), *rest)][numbers[inside] - block.first]
        return out
