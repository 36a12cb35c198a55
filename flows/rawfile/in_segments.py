"""Splits an AD2CP file into segments that echopype opens one by one.

echopype's result for a record depends on other records in three ways. A variable's
dtype, width and attributes follow from all record layouts of the file, in the order of
their first occurrence. Of records with the same time it keeps the first. The
configuration is in the first string. So each segment is a small file of

1. the first string of the file,
2. the first record of each layout, with a time that no record of the file has,
3. for each time that occurred in an earlier segment, the file's first record,
4. the segment's own records, which are consecutive.

Only rows of its own records are kept (`flows.rawfile.kept_rows`).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.rawfile.reading import read_exactly
from flows.rawfile.streamed import UnknownLayoutError
from flows.walk.ad2cp import RAW_ECHOSOUNDER, checksum
from flows.walk.record_index import STRING, RecordIndex
from flows.walk.sample_index import Int64s
from flows.walk.summary import FileSummary

# echopype needs 80 bytes of memory for each byte.
SEGMENT_BYTES = 1 << 20
# One for each second of the first minute of 1900-01-01, which is time zero of the format.
_LAYOUTS_MOST = 60
_EXAMPLES_END = np.datetime64("1900-01-01T00:01", "ns")


@dataclass(frozen=True)
class Segment:
    """The records of one segment, as rows of the index.

    Attributes:
        start: row of its first own record.
        stop: row after the last.
        earlier: rows of the file's first records for times that occurred before (int64).
    """

    start: int
    stop: int
    earlier: Int64s


@dataclass(frozen=True)
class Segments:
    """An AD2CP file in segments; open for reading until `close`.

    Attributes:
        records: index of the file's records.
        examples: row of the first record of each layout (int64).
        is_first: for each record, whether it is the first with its time; False for strings.
    """

    fd: int
    records: RecordIndex
    examples: Int64s
    is_first: NDArray[np.bool_]
    all: tuple[Segment, ...]

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)

    def write(self, target: Path, segment: Segment) -> None:
        """Write a segment as a separate file.

        Raises:
            OSError: the raw file cannot be read, or `target` cannot be written.
        """
        with target.open("wb") as file:
            file.write(self._record(0))
            for second, row in enumerate(self.examples.tolist()):
                file.write(_dated(self._record(row), second))
            for row in segment.earlier.tolist():
                file.write(self._record(row))
            # The first string is already written, and has no row.
            for row in range(max(1, segment.start), segment.stop):
                file.write(self._record(row))

    def _record(self, row: int) -> bytes:
        offset, end = int(self.records.offset[row]), int(self.records.end[row])
        return read_exactly(self.fd, end - offset, offset)


def cut(path: Path, summary: FileSummary, segment_bytes: int = SEGMENT_BYTES) -> Segments:
    """Split a file that preflight has walked over.

    Args:
        path: the raw file.
        summary: summary of its walk, with an index of its records.
        segment_bytes: size of own records at which a segment ends.

    Raises:
        OSError: the file cannot be read.
        UnknownLayoutError: the file cannot be split.
    """
    records = summary.records
    if records is None or not len(records) or records.id[0] != STRING:
        raise UnknownLayoutError("the file does not begin with its configuration")
    if summary.is_whole and summary.whole != ((0, summary.bytes_total),):
        raise UnknownLayoutError("there are records before the configuration")
    dated = np.flatnonzero(records.is_dated)
    _, first = np.unique(records.layout[dated], return_index=True)
    if first.size > _LAYOUTS_MOST:
        raise UnknownLayoutError(f"the records have {first.size} layouts")
    times = records.times[dated]
    if np.isnat(times).all() or (times < _EXAMPLES_END).any():
        raise UnknownLayoutError("the records have no date, or a date in 1900")
    # As in echopype, all records without a date have the same time.
    _, first_of_time, place = np.unique(times, return_index=True, return_inverse=True)
    first_rows = np.full(len(records), -1, np.int64)
    first_rows[dated] = dated[first_of_time[place.reshape(-1)]]
    size = np.cumsum(records.end - records.offset)
    number = (size - 1) // segment_bytes
    starts = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist()]
    all_ = []
    for start, stop in zip(starts, [*starts[1:], len(records)], strict=True):
        before = first_rows[start:stop]
        all_.append(Segment(start, stop, np.unique(before[(before >= 0) & (before < start)])))
    if len(all_) == 1:
        raise UnknownLayoutError("it is not longer than one segment")
    is_first = first_rows == np.arange(len(records))
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return Segments(fd, records, dated[np.sort(first)], is_first, tuple(all_))


def _dated(record: bytes, second: int) -> bytes:
    """The record with the time 1900-01-01T00:00 plus `second`, and correct checksums."""
    made = bytearray(record)
    is_raw = record[2] in RAW_ECHOSOUNDER
    header = record[1]
    # Years since 1900, months from 0; a fraction of two bytes.
    struct.pack_into("<6BH", made, header + (2 if is_raw else 8), 0, 0, 1, 0, 0, second, 0)
    struct.pack_into("<H", made, header - 4, checksum(bytes(made[header:])))
    struct.pack_into("<H", made, header - 2, checksum(bytes(made[: header - 2])))
    return bytes(made)
