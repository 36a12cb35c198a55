"""The whole pings of a Simrad file, one row each: those of one time, and those with a hole."""

from __future__ import annotations

import os
from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.walk.sample_index import (
    ANGLE,
    FLOAT32,
    POWER,
    SECTORS_SHIFT,
    Int64s,
    SampleIndex,
)
from flows.walk.simrad.fields import ticks_to_times
from flows.walk.simrad.framing import Datagram
from flows.walk.summary import Span, Times

# Columns: channel number, time (NT ticks), offset and end of the datagram, offset and end of the
# transmit pulse before it (-1 if there is none), number of samples, and their kind as in RAW3's data
# type.
_COLUMNS = ("channel", "ticks", "offset", "end", "pulse", "pulse_end", "count", "kind")
_ROW = np.dtype([(name, np.int64) for name in _COLUMNS])

SECTOR = 512
BLOCK = 8 << 20
# Complex samples of an idle sector may be zero for a while, so a whole page is required.
COMPLEX_SECTORS = 8


class SimradPings:
    """Pings in file order, as one array of machine integers: a large file has millions."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._rows = array("q")

    def add(
        self, channel: str, datagram: Datagram, samples: tuple[int, int], transmit: Span | None
    ) -> None:
        """Append a ping; `samples` are their number and kind."""
        row = self._numbers.get(channel)
        if row is None:
            row = self._numbers[channel] = len(self.names)
            self.names.append(channel)
        place = (row, datagram.ticks, datagram.offset, datagram.end)
        self._rows.extend((*place, *(transmit or (-1, -1)), *samples))

    def __len__(self) -> int:
        return len(self._rows) // len(_COLUMNS)

    def table(self) -> NDArray[Any]:
        """All pings, one element each with the fields of `_COLUMNS`; none can be added while it is used."""
        return np.frombuffer(self._rows, _ROW)

    def index(self, rows: Int64s, header: int, shift: Int64s) -> SampleIndex:
        """The index of these pings' samples.

        `header`: bytes that precede a datagram's first sample; `shift`: ticks to add to each one's time.
        """
        table = self.table()[rows]
        return SampleIndex(
            names=tuple(self.names),
            header=header,
            channel=table["channel"],
            times=ticks_to_times(table["ticks"] + shift),
            offset=table["offset"],
            end=table["end"],
            transmit=table["pulse"],
            count=table["count"],
            kind=table["kind"],
            shift=shift,
        )


def spans_of(ping: NDArray[Any]) -> list[Span]:
    """The spans of one element of the table: of its transmit pulse, if it has one, and its own."""
    own = [(int(ping["offset"]), int(ping["end"]))]
    return [(int(ping["pulse"]), int(ping["pulse_end"])), *own] if ping["pulse"] >= 0 else own


def without_repeats(fd: int, table: NDArray[Any], rows: Int64s, times: Times) -> Int64s:
    """`rows` without the pings that repeat an earlier one of the same time byte for byte.

    echopype keeps one ping for each channel and time, or fails. That loses nothing if the
    pings are equal. Pings that differ stay here.
    """
    _, first = np.unique(times[rows], return_index=True)
    if first.size == rows.size:
        return rows
    repeated = np.setdiff1d(np.arange(rows.size), first)
    doubtful = set(times[rows[repeated]].astype(np.int64).tolist())
    seen: set[tuple[int, bytes]] = set()
    kept: list[int] = []
    for row in rows.tolist():
        key = int(times[row].astype(np.int64))
        if key in doubtful:
            start, end = spans_of(table[row])[-1]
            ping = key, os.pread(fd, end - start, start)
            if ping in seen:
                continue
            seen.add(ping)
        kept.append(row)
    return np.asarray(kept, dtype=np.int64)


def shifts_of_shared_times(ticks: Int64s) -> Int64s:
    """Ticks (100 ns) to add to the time of each ping of one channel, so that all times differ.

    The first ping of a time keeps it; each further one gets the next free time that an EchoData
    can express, in steps of 1 to 2 microseconds. Nearly all files need no shift.

    Args:
        ticks: times of the pings in file order, NT FILETIME.
    """
    times = ticks_to_times(ticks).astype(np.int64)
    shifts = np.zeros(ticks.size, dtype=np.int64)
    _, first = np.unique(times, return_index=True)
    if first.size == ticks.size:
        return shifts
    taken = set(times.tolist())
    for row in np.setdiff1d(np.arange(ticks.size), first).tolist():
        time = int(times[row])
        while time in taken:
            shifts[row] += 1
            time = int(ticks_to_times(ticks[row : row + 1] + shifts[row]).astype(np.int64)[0])
        taken.add(time)
    return shifts


def _zero_sectors(fd: int, size: int, start: Int64s, length: Int64s) -> Int64s:
    """Offsets of the sectors with only zeros, ascending, in the blocks that contain samples."""
    block = bytearray(BLOCK)
    words = np.frombuffer(block, dtype=np.int64).reshape(-1, SECTOR // 8)
    found: list[Int64s] = []
    # Pings are in file order, so their ends ascend too.
    end = start + length
    for position in range(0, size, BLOCK):
        next_ping = int(np.searchsorted(end, position, side="right"))
        if next_ping == start.size or start[next_ping] >= position + BLOCK:
            continue
        read = os.preadv(fd, [block], position)
        # Checking one word of each sector first avoids reading nearly all others.
        candidates = np.flatnonzero(words[: read // SECTOR, 0] == 0)
        zeros = candidates[~words[candidates].any(axis=1)]
        if zeros.size:
            found.append(zeros * SECTOR + position)
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def pings_with_zero_sectors(fd: int, size: int, pings: NDArray[Any], header: int) -> Int64s:
    """Rows of the pings whose power or complex samples contain zeroed sectors, ascending.

    A lost disk or transfer block leaves such a hole. It does not affect the length fields around it,
    so the datagram walk does not detect it, and echopype converts the zeros as echoes. Lost blocks
    begin and end at sectors of 512 bytes; 256 power samples that are all exactly zero do not occur in
    water. A ping with only zeros comes from a transceiver that was off; it is not a hole.

    `pings` is the table, `header` are the bytes that precede a datagram's first sample.
    """
    if not pings.size:
        return np.empty(0, dtype=np.int64)
    kind, start = pings["kind"], pings["offset"] + header
    power, angle, of_complex = kind & POWER, (kind & ANGLE) // ANGLE, kind >> SECTORS_SHIFT
    complex_bytes = 2 * (power + angle) + of_complex * np.where(kind & FLOAT32, 8, 4)
    length = pings["count"] * np.where(of_complex, complex_bytes, 2 * power)
    sectors = _zero_sectors(fd, size, start, length)
    row = np.searchsorted(start, sectors, side="right") - 1
    inside = (row >= 0) & (sectors + SECTOR <= (start + length)[row])
    count = np.bincount(row[inside], minlength=start.size)
    possible = np.maximum(length // SECTOR - 1, 1)
    hit = (count >= np.where(of_complex, COMPLEX_SECTORS, 1)) & (count < possible)
    return np.flatnonzero(hit)
