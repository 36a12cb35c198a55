"""Cut an AD2CP file into segments that echopype opens one by one, as it would the whole file.

What echopype makes of a record depends on others in three ways. A variable's dtype, width
and attributes follow from all layouts of records in the file, in the order in which they
first occur; of records of one time it keeps the first; and the configuration is in the
first string. So each segment is a small file of

1. the first string of the file,
2. the first record of each layout, with a time that no record of the file has,
3. of each time that occurred in an earlier segment, the file's first record,
4. a run of the file's records: the segment's own.

Only rows of its own records are kept (`flows.rawfile.kept_rows`).
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.preflight.ad2cp import RAW_ECHOSOUNDER, checksum
from flows.preflight.summary import FileSummary
from flows.rawfile.record_index import STRING, RecordIndex
from flows.rawfile.sample_index import Int64s
from flows.rawfile.skeleton import read_exactly
from flows.rawfile.streamed import UnknownLayoutError

# echopype takes 80 bytes of memory for each.
SEGMENT_BYTES = 1 << 20
# One a second of the minute from 1900-01-01 on, which is time zero of the format.
_LAYOUTS_MOST = 60
_EXAMPLES_END = np.datetime64("1900-01-01T00:01", "ns")


@dataclass(frozen=True)
class Segment:
    """The records of one segment, as rows of the index.

    Attributes:
        start: row of the first of its own records.
        stop: row behind the last.
        earlier: rows of the file's first records of times that occurred before (int64).
    """

    start: int
    stop: int
    earlier: Int64s


@dataclass(frozen=True)
class Segments:
    """An AD2CP file, cut; open for reading until `close`.

    Attributes:
        records: of the file.
        examples: row of the first record of each layout (int64).
        is_first: of each record, whether it is the file's first of its time; False for strings.
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
        """Write a segment as a file of its own.

        Raises:
            OSError: the raw file cannot be read, or `target` not written.
        """
        with target.open("wb") as file:
            file.write(self._record(0))
            for second, row in enumerate(self.examples.tolist()):
                file.write(_dated(self._record(row), second))
            for row in segment.earlier.tolist():
                file.write(self._record(row))
            # The first string is there already, and has no row.
            for row in range(max(1, segment.start), segment.stop):
                file.write(self._record(row))

    def _record(self, row: int) -> bytes:
        offset, end = int(self.records.offset[row]), int(self.records.end[row])
        return read_exactly(self.fd, end - offset, offset)


def cut(path: Path, summary: FileSummary, segment_bytes: int = SEGMENT_BYTES) -> Segments:
    """Cut a file that was walked.

    Args:
        path: the raw file.
        summary: of its walk, with an index of its records.
        segment_bytes: bytes of own records from which on a segment ends.

    Raises:
        OSError: the file cannot be read.
        UnknownLayoutError: it is one that segments do not serve.
    """
    records = summary.records
    if records is None or not len(records) or records.id[0] != STRING:
        raise UnknownLayoutError("the file does not begin with its configuration")
    if summary.is_whole and summary.whole != ((0, summary.bytes_total),):
        raise UnknownLayoutError("records stand before the configuration")
    dated = np.flatnonzero(records.is_dated)
    _, first = np.unique(records.layout[dated], return_index=True)
    if first.size > _LAYOUTS_MOST:
        raise UnknownLayoutError(f"the records have {first.size} layouts")
    times = records.times[dated]
    if np.isnat(times).all() or (times < _EXAMPLES_END).any():
        raise UnknownLayoutError("the records have no date, or one of 1900")
    # As echopype does, which takes all records without a date for one time.
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
        raise UnknownLayoutError("it is no longer than one segment")
    is_first = first_rows == np.arange(len(records))
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return Segments(fd, records, dated[np.sort(first)], is_first, tuple(all_))


def _dated(record: bytes, second: int) -> bytes:
    """The record at a second of 1900-01-01T00:00, its checksums as they have to be then."""
    made = bytearray(record)
    is_raw = record[2] in RAW_ECHOSOUNDER
    header = record[1]
    # Years since 1900, months from 0; a fraction of two bytes.
    struct.pack_into("<6BH", made, header + (2 if is_raw else 8), 0, 0, 1, 0, 0, second, 0)
    struct.pack_into("<H", made, header - 4, checksum(bytes(made[header:])))
    struct.pack_into("<H", made, header - 2, checksum(bytes(made[: header - 2])))
    return bytes(made)
