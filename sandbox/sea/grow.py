"""Grow a Simrad raw file to a given size by repeating its pings with later times.

Benchmarks and memory tests need valid files of any size. The configuration is
written once. Everything after it is repeated in order; each copy is later by the
duration of the pings and one ping interval.
"""

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from flows.walk.simrad.framing import Datagram, Gap, datagrams
from flows.walk.simrad.nt_time import ticks_to_times

#: Called with (bytes written, total bytes) as the file grows.
Progress = Callable[[int, int], None]

#: Approximate size of the pieces that are copied at once; limits memory.
_PIECE_BYTES = 8 << 20
#: Assumed ping interval of a file with one ping: 1 s, in 100 ns.
_SINGLE_PING_INTERVAL = 10_000_000
#: Types with the samples of one ping of one channel (RAW4 is the transmit pulse).
_SAMPLE_TYPES = frozenset({b"RAW0", b"RAW3"})
_CONFIGURING_XML = frozenset({b"Configuration", b"InitialParameter", b"Environment", b"Sensor"})
_XML_ROOT = re.compile(rb"<([A-Za-z_]\w*)")
#: Bytes from a datagram's start to its time.
_TIME_OFFSET = 8
_ROW = np.dtype([("start", "i8"), ("end", "i8"), ("time", "i8"), ("is_ping", "?")])


class SimradFileError(ValueError):
    """The file is not a complete Simrad raw file with pings.

    Attributes: ``path``; ``cause``, a sentence; ``at_byte``, the position of the
    error, or None if it concerns the whole file.
    """

    def __init__(self, path: Path, cause: str, at_byte: int | None = None) -> None:
        self.path, self.cause, self.at_byte = path, cause, at_byte
        where = "" if at_byte is None else f" (at byte {at_byte:,})"
        super().__init__(f"{path}: {cause}{where}")


@dataclass(frozen=True, slots=True)
class GrownFile:
    """The written file.

    ``pings`` is the number of distinct ping times, which is the length of the
    converted file's ping_time; ``copies`` is how often the source's pings occur.
    """

    path: Path
    bytes: int
    pings: int
    copies: int
    first_time: datetime
    last_time: datetime


@dataclass(frozen=True, slots=True)
class _Piece:
    """A range of complete datagrams, ``start`` to ``end`` in the source, and their times.

    ``time_at`` has the offset of each NT time from ``start``, int64 of shape
    (datagrams, 1). ``times`` has the NT times, int64 of shape (datagrams,).
    """

    start: int
    end: int
    time_at: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]


def grow(
    source: Path, target: Path, wanted_bytes: int, *, progress: Progress | None = None
) -> GrownFile:
    """Write ``source`` to ``target``, repeating its pings until it has ``wanted_bytes`` or more.

    All pings are written at least once and equally often. Channels, samples and
    sensor sentences do not change. Datagram times never go back, and ping times
    strictly increase. ``target`` appears only when it is complete.

    Raises SimradFileError if ``source`` is not a Simrad raw file, is damaged, or has
    no pings; ValueError if ``target`` is ``source``; OSError on a disk error.
    """
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: a file cannot be grown onto itself")
    with source.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise SimradFileError(source, "the file is empty")
        block_start, table = _configuration_and_rows(file.fileno(), size, source)
        ping_times = np.unique(table["time"][table["is_ping"]])
        block_bytes = size - block_start
        copies = max(1, math.ceil((wanted_bytes - block_start) / block_bytes))
        total = block_start + copies * block_bytes
        first, last = int(ping_times[0]), int(ping_times[-1])
        shift = last - first + _ping_interval(ping_times)
        pieces = _pieces(table)

        part = target.with_name(f"{target.name}.part")
        try:
            with part.open("wb") as out:
                out.write(os.pread(file.fileno(), block_start, 0))
                for copy in range(copies):
                    _write_copy(file.fileno(), pieces, copy * shift, out)
                    if progress is not None:
                        progress(out.tell(), total)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    first_time, last_time = (_as_echopype_reads(t) for t in (first, last + (copies - 1) * shift))
    return GrownFile(
        path=target,
        bytes=total,
        pings=copies * ping_times.size,
        copies=copies,
        first_time=first_time,
        last_time=last_time,
    )


def _configuration_and_rows(fd: int, size: int, path: Path) -> tuple[int, npt.NDArray[np.void]]:
    """Return the end of the configuration and all later datagrams as rows of dtype _ROW.

    The configuration ends after the last configuration datagram before the first
    ping. Raises SimradFileError if the file does not begin with a configuration, is
    damaged, or has no pings.
    """
    walk = _whole_datagrams(fd, size, path)
    configuration_end = 0
    leading: list[Datagram] = []
    for datagram in walk:
        if _is_configuration(datagram):
            configuration_end = datagram.end
            leading.clear()
            continue
        if configuration_end == 0:
            cause = "not a Simrad raw file: it does not begin with a configuration"
            raise SimradFileError(path, cause, 0)
        leading.append(datagram)
        if datagram.type in _SAMPLE_TYPES:
            rows = (
                (d.offset, d.end, d.ticks, d.type in _SAMPLE_TYPES) for d in chain(leading, walk)
            )
            return configuration_end, np.fromiter(rows, dtype=_ROW)
    raise SimradFileError(path, "the file has no pings to repeat")


def _whole_datagrams(fd: int, size: int, path: Path) -> Iterator[Datagram]:
    """Yield every datagram; raise SimradFileError at the first invalid bytes."""
    for found in datagrams(fd, size):
        if isinstance(found, Gap):
            if found.start == 0:
                raise SimradFileError(path, "not a Simrad raw file: it has no datagram", 0)
            cut = "the file ends in the middle of a datagram"
            cause = cut if found.cut else "the file is damaged: incomplete datagram"
            raise SimradFileError(path, cause, found.start)
        yield found


def _is_configuration(datagram: Datagram) -> bool:
    """Return whether a datagram is configuration: it describes the sounder or its environment."""
    if datagram.type == b"XML0":
        root = _XML_ROOT.search(datagram.head)
        return root is not None and root[1] in _CONFIGURING_XML
    return datagram.type[:3] in {b"CON", b"FIL"}


def _ping_interval(ping_times: npt.NDArray[np.int64]) -> int:
    """Return the lower median of the times between pings, in 100 ns."""
    gaps = np.sort(np.diff(ping_times))
    return int(gaps[(gaps.size - 1) // 2]) if gaps.size else _SINGLE_PING_INTERVAL


def _pieces(block: npt.NDArray[np.void]) -> list[_Piece]:
    """Split the repeated datagrams into pieces of about _PIECE_BYTES."""
    number = (block["start"] - block["start"][0]) // _PIECE_BYTES
    cuts = np.flatnonzero(np.diff(number)) + 1
    return [
        _Piece(
            start=int(rows["start"][0]),
            end=int(rows["end"][-1]),
            time_at=(rows["start"] - rows["start"][0] + _TIME_OFFSET)[:, None],
            times=rows["time"].copy(),
        )
        for rows in np.split(block, cuts)
    ]


def _write_copy(fd: int, pieces: list[_Piece], shift: int, out: BinaryIO) -> None:
    """Write the repeated datagrams once, each ``shift`` (100 ns) later than in the source."""
    for piece in pieces:
        copy = np.frombuffer(os.pread(fd, piece.end - piece.start, piece.start), np.uint8).copy()
        shifted = (piece.times + shift).astype("<i8")
        copy[piece.time_at + np.arange(8)] = shifted.view(np.uint8).reshape(-1, 8)
        out.write(copy.data)


def _as_echopype_reads(ticks: int) -> datetime:
    """Convert an NT time as echopype does: rounded to about 2 microseconds."""
    time: datetime = ticks_to_times(np.array([ticks]))[0].astype("datetime64[us]").item()
    return time.replace(tzinfo=UTC)
