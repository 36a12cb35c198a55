"""The records of an AD2CP file: those that echopype opens, and lazy arrays that read from all."""

from __future__ import annotations

import functools
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.rawfile.lazy_array import LazyArray, Region
from flows.rawfile.nortek.layouts import Layout, fields_of_variables
from flows.rawfile.reading import read_exactly
from flows.rawfile.streamed import UnknownLayoutError
from flows.walk.ad2cp import RAW_ECHOSOUNDER
from flows.walk.record_index import STRING, RecordIndex
from flows.walk.sample_index import Int64s
from flows.walk.summary import FileSummary

# Random records of each layout in the skeleton: at least two, and a hundred of the only one.
_RANDOM_RECORDS, _RANDOM_LEAST = 100, 2
_LAYOUTS_MOST = 1000
# Bytes of the file that are read at once, and how many such blocks stay in memory.
_BLOCK, _BLOCKS = 4 << 20, 8


@dataclass(frozen=True)
class Records:
    """The records of one AD2CP file, open for reading until `close`.

    The first of `index` is the configuration. `chosen` are rows of the other records in the skeleton (int64).
    """

    fd: int
    index: RecordIndex
    chosen: Int64s

    @classmethod
    def open(cls, path: Path, summary: FileSummary) -> Records:
        """Open a file that preflight has walked over.

        Raises:
            OSError: it cannot be read.
            UnknownLayoutError: a skeleton cannot represent it.
        """
        records = summary.records
        if records is None or not len(records) or records.id[0] != STRING:
            raise UnknownLayoutError("the file does not begin with its configuration")
        if summary.is_whole and summary.whole != ((0, summary.bytes_total),):
            raise UnknownLayoutError("there are records before the configuration")
        layouts = int(records.layout.max()) + 1
        if layouts > _LAYOUTS_MOST:
            raise UnknownLayoutError(f"the records have {layouts} layouts")
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC), records, chosen_records(records))

    def close(self) -> None:
        """Close the file; its variables can no longer be read."""
        os.close(self.fd)

    def write_skeleton(self, target: Path) -> None:
        """Write the configuration and the chosen records as a file.

        Raises:
            OSError: the raw file cannot be read, or `target` cannot be written.
        """
        with target.open("wb") as file:
            for row in (0, *self.chosen.tolist()):
                file.write(self._record(row))

    def configuration(self) -> str:
        """The text of the first record."""
        return self._record(0).decode("latin-1")

    @functools.cached_property
    def layouts(self) -> Sequence[Layout]:
        """The layouts, by their number in the index."""
        numbers, first = np.unique(self.index.layout, return_index=True)
        return [Layout(self._record(row)) for row in first[numbers >= 0].tolist()]

    @functools.cached_property
    def fields(self) -> dict[str, dict[str, str]]:
        """Group path -> variable -> echopype's name of its field."""
        return fields_of_variables(self.layouts)

    def read(self, name: str, rows: Int64s, out: NDArray[Any], *, as_written: bool = False) -> None:
        """Write the values of a field into `out`, one row for each of these records."""
        places = self._places[rows]
        for place in np.unique(places).tolist():
            block, layout = divmod(place, len(self.layouts))
            chosen = np.flatnonzero(places == place)
            first, content = self._block(block)
            starts = self.index.offset[rows[chosen]] - first
            values = self.layouts[layout].read(name, content, starts, as_written=as_written)
            if values is not None:
                place_in_row: tuple[Any, ...] = tuple(map(slice, values.shape[1:]))
                out[chosen, *place_in_row] = values

    @functools.cached_property
    def _places(self) -> Int64s:
        """The block and the layout of each record, as one number."""
        return self.index.offset // _BLOCK * len(self.layouts) + self.index.layout

    @functools.cached_property
    def _block(self) -> Any:  # noqa: ANN401 - a function
        return functools.lru_cache(_BLOCKS)(self._read_block)

    def _read_block(self, number: int) -> tuple[int, NDArray[np.uint8]]:
        """The bytes of the records that begin in a block, and the offset of the first byte."""
        rows = slice(*np.searchsorted(self.index.offset, (number * _BLOCK, (number + 1) * _BLOCK)))
        start, end = int(self.index.offset[rows][0]), int(self.index.end[rows][-1])
        return start, np.frombuffer(read_exactly(self.fd, end - start, start), np.uint8)

    def _record(self, row: int) -> bytes:
        offset, end = int(self.index.offset[row]), int(self.index.end[row])
        return read_exactly(self.fd, end - offset, offset)


class RecordRows(LazyArray):
    """One variable of an AD2CP file.

    `field` is echopype's name of the field, `rows` are the rows of the index for those of the variable,
    `shape` is that of one row.
    """

    def __init__(
        self,
        records: Records,
        field: str,
        rows: Int64s,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
    ) -> None:
        super().__init__((rows.size, *shape), dtype)
        self.rows = rows
        self._records = records
        self._field = field
        self._fill = 0.0

    def at(self, rows: Int64s) -> RecordRows:
        """The same field of other records."""
        return RecordRows(self._records, self._field, rows, self.shape[1:], self.dtype)

    def differing(self, rows: Int64s) -> int:
        """How many of these records are not the same, byte for byte."""
        checksums = self._records.index.checksum
        return int(np.count_nonzero(checksums[rows] != checksums[self.rows]))

    def numbers(self, field: str | None = None) -> NDArray[np.float64]:
        """The numbers of this or another field as written, one for each record; NaN without one."""
        out = np.full(self.rows.size, np.nan)
        self._records.read(field or self._field, self.rows, out, as_written=True)
        return out

    def configuration(self) -> str:
        """The file's configuration as text."""
        return self._records.configuration()

    def lacking(self) -> int:
        """How many rows lack values: their records have fewer beams or cells, or not the field."""
        layouts = self._records.index.layout[self.rows]
        lacking = [
            number
            for number in np.unique(layouts).tolist()
            if self._records.layouts[number].shape(self._field) != self.shape[1:]
        ]
        return int(np.count_nonzero(np.isin(layouts, lacking)))

    def lack_as_nan(self) -> None:
        """Read NaN where a record does not have a value; of floats."""
        self._fill = np.nan

    def read(self, region: Region) -> NDArray[Any]:
        """The values of one region; where a record does not have them 0, as in echopype, or NaN."""
        rows = self.rows[region[0]]
        out = np.full((rows.size, *self.shape[1:]), self._fill, self.dtype)
        self._records.read(self._field, rows, out)
        return out[(slice(None), *region[1:])]


def chosen_records(index: RecordIndex) -> Int64s:
    """Rows of the records in the skeleton: of each layout the first, the last, and some others.

    The record behind a raw echosounder's is one of them, because echopype takes the beam from it.
    """
    chooser = random.Random()  # noqa: S311 - not used for security
    order = np.argsort(index.layout, kind="stable")
    numbers, starts = np.unique(index.layout[order], return_index=True)
    chosen: set[int] = set()
    number_of_others = max(_RANDOM_LEAST, _RANDOM_RECORDS // max(1, int(numbers.max()) + 1))
    for number, rows in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        if number >= 0:
            others = chooser.sample(range(rows.size), min(number_of_others, rows.size))
            chosen |= set(rows[[0, -1, *others]].tolist())
    is_raw = np.isin(index.id, list(RAW_ECHOSOUNDER))
    not_raw = np.flatnonzero(index.is_dated & ~is_raw)
    behind = np.searchsorted(not_raw, [row for row in chosen if is_raw[row]])
    chosen |= set(not_raw[behind[behind < not_raw.size]].tolist())
    return np.array(sorted(chosen), np.int64)
