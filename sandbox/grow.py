"""Grow a Simrad raw file to a wanted size by repeating its pings with advancing times.

Benchmarks and memory tests need files of any size that a converter takes for
real: the configuration stays once, everything behind it comes again and again,
in order, each time later by the block's duration and one ping interval.
"""

import math
import mmap
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from sandbox.simrad_framing import (
    BODY_OFFSET,
    SAMPLE_TYPES,
    TIME_OFFSET,
    SimradFileError,
    from_nt_time,
    walk,
)

__all__ = ["GrownFile", "SimradFileError", "grow"]

#: Called with (bytes written, bytes in all) as the file grows.
Progress = Callable[[int, int], None]

#: Pieces are copied in about this size, so memory stays small whatever the source's size.
_PIECE_BYTES = 8 << 20
#: What a file of a single ping is taken to have pinged at: 1 s, in 100 ns.
_LONE_PING_INTERVAL = 10_000_000
_CONFIGURING_XML = frozenset({b"Configuration", b"InitialParameter", b"Environment", b"Sensor"})
#: A datagram's XML names its root within this many bytes.
_XML_HEAD_BYTES = 512
_TABLE = np.dtype([("start", "i8"), ("end", "i8"), ("time", "u8"), ("is_ping", "?")])
_XML_ROOT = re.compile(rb"<([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class GrownFile:
    """What was written.

    ``pings`` counts distinct ping times, as the ping_time dimension of the
    converted file will; ``copies`` is how often the source's pings are in it.
    """

    path: Path
    bytes: int
    pings: int
    copies: int
    first_time: datetime
    last_time: datetime


@dataclass(frozen=True, slots=True)
class _Piece:
    """A run of whole datagrams, ``start`` to ``end`` in the source, and the times in it.

    ``time_at`` has the offset of each NT time from ``start``, int64 of shape
    (datagrams, 1); ``times`` the NT times, uint64 of shape (datagrams,).
    """

    start: int
    end: int
    time_at: npt.NDArray[np.int64]
    times: npt.NDArray[np.uint64]


def grow(
    source: Path, target: Path, wanted_bytes: int, *, progress: Progress | None = None
) -> GrownFile:
    """Write ``source``, its pings repeated, to ``target`` until it has ``wanted_bytes`` or more.

    The source's pings come a whole number of times, at least once; channels,
    samples and sensor sentences stay as they are, datagram times advance, ping
    times strictly. ``target`` appears only when it is complete.

    Raises SimradFileError if ``source`` is no Simrad raw file, is damaged, or
    has no pings; ValueError if ``target`` is ``source``; OSError from the disk.
    """
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: a file cannot be grown onto itself")
    if source.stat().st_size == 0:
        raise SimradFileError(source, "the file is empty")
    with (
        source.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        table = _datagram_table(data, source)
        ping_times = np.unique(table["time"][table["is_ping"]])
        if ping_times.size == 0:
            raise SimradFileError(source, "the file has no pings to repeat")
        block_start = _configuration_end(data, source)
        block_bytes = len(data) - block_start
        copies = max(1, math.ceil((wanted_bytes - block_start) / block_bytes))
        total = block_start + copies * block_bytes
        first, last = int(ping_times[0]), int(ping_times[-1])
        shift = last - first + _ping_interval(ping_times)
        pieces = _pieces(table[table["start"] >= block_start])

        part = target.with_name(f"{target.name}.part")
        try:
            with part.open("wb") as out:
                out.write(data[:block_start])
                for copy in range(copies):
                    _write_copy(data, pieces, copy * shift, out)
                    if progress is not None:
                        progress(out.tell(), total)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return GrownFile(
        path=target,
        bytes=total,
        pings=copies * ping_times.size,
        copies=copies,
        first_time=from_nt_time(first),
        last_time=from_nt_time(last + (copies - 1) * shift),
    )


def _datagram_table(data: mmap.mmap, path: Path) -> npt.NDArray[np.void]:
    """Walk the whole file: one row a datagram, of dtype _TABLE. Raises SimradFileError."""
    kind = bytes(data[4:8])
    if not (kind == b"CON0" or (kind == b"XML0" and _xml_root(data, 0) == b"Configuration")):
        raise SimradFileError(path, "no Simrad raw file: it does not begin with a configuration", 0)
    rows = ((d.start, d.end, d.nt_time, d.type in SAMPLE_TYPES) for d in walk(data, path))
    return np.fromiter(rows, dtype=_TABLE)


def _configuration_end(data: mmap.mmap, path: Path) -> int:
    """Find where the configuration ends: behind its last datagram before the first ping."""
    end = 0
    for datagram in walk(data, path):
        if datagram.type in SAMPLE_TYPES:
            break
        if datagram.type[:3] in {b"CON", b"FIL"} or (
            datagram.type == b"XML0" and _xml_root(data, datagram.start) in _CONFIGURING_XML
        ):
            end = datagram.end
    return end


def _xml_root(data: mmap.mmap, start: int) -> bytes | None:
    """Name the root element of the XML datagram at ``start``."""
    found = _XML_ROOT.search(data[start + BODY_OFFSET : start + BODY_OFFSET + _XML_HEAD_BYTES])
    return found[1] if found else None


def _ping_interval(ping_times: npt.NDArray[np.uint64]) -> int:
    """Give the typical time between pings in 100 ns: the median of the gaps, taken low."""
    gaps = np.sort(np.diff(ping_times))
    return int(gaps[(gaps.size - 1) // 2]) if gaps.size else _LONE_PING_INTERVAL


def _pieces(block: npt.NDArray[np.void]) -> list[_Piece]:
    """Cut the repeated datagrams into pieces of whole datagrams, about _PIECE_BYTES each."""
    number = (block["start"] - block["start"][0]) // _PIECE_BYTES
    cuts = np.flatnonzero(np.diff(number)) + 1
    return [
        _Piece(
            start=int(rows["start"][0]),
            end=int(rows["end"][-1]),
            time_at=(rows["start"] - rows["start"][0] + TIME_OFFSET)[:, None],
            times=rows["time"].copy(),
        )
        for rows in np.split(block, cuts)
    ]


def _write_copy(data: mmap.mmap, pieces: list[_Piece], shift: int, out: BinaryIO) -> None:
    """Write the repeated datagrams once, each ``shift`` (100 ns) later than in the source."""
    for piece in pieces:
        copy = np.frombuffer(data[piece.start : piece.end], dtype=np.uint8).copy()
        shifted = (piece.times + np.uint64(shift)).astype("<u8")
        copy[piece.time_at + np.arange(8)] = shifted.view(np.uint8).reshape(-1, 8)
        out.write(copy.data)
