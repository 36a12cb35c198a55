"""A scratch file with the rows of many variables, and arrays that read from it."""

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
from flows.rawfile.reading import read_exactly
from flows.walk.sample_index import Int64s

# Fast, and a quarter of the size: in most float64 values of AD2CP files only one or two bytes vary.
_CODEC = Blosc("lz4", 1, Blosc.SHUFFLE)


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one variable: their place in the scratch file, compressed."""

    first: int
    rows: int
    offset: int
    length: int


class ScratchFile:
    """A temporary file that is deleted when it is closed.

    Raises:
        OSError: it cannot be created or written, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / "rows"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        path.unlink()
        self._end = 0
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close and delete the file."""
        os.close(self._fd)

    def put(self, first: int, values: NDArray[Any]) -> Block:
        """Write rows of a variable; `first` is the number of the first row."""
        body = _CODEC.encode(np.ascontiguousarray(values).view(np.uint8)) if values.size else b""
        with self._lock:
            block = Block(first, len(values), self._end, len(body))
            self._end += len(body)
        written = 0
        while written < len(body):
            written += os.pwrite(self._fd, body[written:], block.offset + written)
        return block

    def get(self, block: Block, dtype: np.dtype[Any], row: tuple[int, ...]) -> NDArray[Any]:
        """The rows of a block; `row` is the shape of one."""
        body = read_exactly(self._fd, block.length, block.offset)
        values = np.frombuffer(_CODEC.decode(body) if body else b"", dtype)
        return values.reshape(block.rows, *row)


class JoinedRows(LazyArray):
    """One variable of a file, its rows read from the scratch file.

    Args:
        scratch: the scratch file.
        blocks: blocks in the order of their rows; the caller may replace one.
        order: number of each row of the array (int64); None for the original order.
        row: shape of one row.
        dtype: dtype of the values.
        again: decodes some of the rows a second time and replaces them.
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
        """Decode some of the rows of all variables of the file a second time."""
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
