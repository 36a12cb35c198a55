"""The whole pings of a Simrad file, one row each."""

from __future__ import annotations

import os
from array import array

import numpy as np
import numpy.typing as npt

from flows.walk.sample_index import SampleIndex
from flows.walk.simrad.framing import Datagram
from flows.walk.simrad.nt_time import ticks_to_times
from flows.walk.summary import Span, Times

Int64s = npt.NDArray[np.int64]


COLUMNS = 11


class SimradPings:
    """SimradPings in file order, as one array of machine integers: a large file has millions.

    Columns: channel number, time (NT ticks), offset and end of the datagram, offset and
        bytes of its power or complex samples, whether they are complex, offset and end
        of the transmit pulse before it (-1 if there is none), number of samples, and
        their kind as in RAW3's data type (power 1, angle 2, float32 8, sectors << 8).
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._rows = array("q")

    def add(
        self,
        channel: str,
        datagram: Datagram,
        samples: Span,
        *,
        number: int,
        kind: int,
        transmit: Span | None = None,
    ) -> None:
        """Append a ping of `number` samples: `samples[1]` bytes at `samples[0]`."""
        row = self._numbers.get(channel)
        if row is None:
            row = self._numbers[channel] = len(self.names)
            self.names.append(channel)
        offset = datagram.offset
        end = offset + datagram.length + 8
        self._rows.extend(
            (
                row,
                datagram.ticks,
                offset,
                end,
                *samples,
                kind >> 8 > 0,
                *(transmit or (-1, -1)),
                number,
                kind,
            )
        )

    def __len__(self) -> int:
        return len(self._rows) // COLUMNS

    def _column(self, number: int) -> Int64s:
        return np.array(self._rows, dtype=np.int64).reshape(-1, COLUMNS)[:, number]

    @property
    def channel(self) -> Int64s:
        """Channel number of each ping, an index into `names`."""
        return self._column(0)

    @property
    def ticks(self) -> Int64s:
        """Time of each ping as in the file (NT FILETIME)."""
        return self._column(1)

    @property
    def times(self) -> Times:
        """Time of each ping."""
        return ticks_to_times(self._column(1))

    @property
    def offset(self) -> Int64s:
        """The offset of each ping's datagram."""
        return self._column(2)

    @property
    def samples(self) -> tuple[Int64s, Int64s, npt.NDArray[np.bool_]]:
        """Offsets and sizes of the samples in bytes, and whether they are complex."""
        return self._column(4), self._column(5), self._column(6).astype(bool)

    def index(self, rows: Int64s, header: int, shift: Int64s) -> SampleIndex:
        """The index of these pings' samples.

        Args:
            rows: rows of the pings.
            header: bytes that precede a datagram's first sample.
            shift: ticks to add to the time of each of them.
        """
        columns = np.array(self._rows, dtype=np.int64).reshape(-1, COLUMNS)[rows]
        return SampleIndex(
            names=tuple(self.names),
            header=header,
            channel=columns[:, 0],
            times=ticks_to_times(columns[:, 1] + shift),
            offset=columns[:, 2],
            end=columns[:, 3],
            transmit=columns[:, 7],
            count=columns[:, 9],
            kind=columns[:, 10],
            shift=shift,
        )

    def span(self, row: int) -> Span:
        """The span of the ping's datagram."""
        at = row * COLUMNS
        return self._rows[at + 2], self._rows[at + 3]

    def transmit(self, row: int) -> Span | None:
        """The span of its transmit pulse, if any."""
        at = row * COLUMNS
        start = self._rows[at + 7]
        return None if start < 0 else (start, self._rows[at + 8])


def without_repeats(fd: int, pings: SimradPings, rows: Int64s, times: Times) -> Int64s:
    """`rows` without the pings that repeat an earlier one of the same time byte for byte.

    echopype keeps one ping for each channel and time, or fails. That loses nothing if the
    pings are equal. Pings that differ stay here.
    """
    _, first = np.unique(times[rows], return_index=True)
    if first.size == rows.size:
        return rows
    repeated = np.setdiff1d(np.arange(rows.size), first)
    doubtful = set(times[rows[repeated]].astype(np.int64).tolist())
    seen: dict[int, list[bytes]] = {}
    kept: list[int] = []
    for row in rows.tolist():
        key = int(times[row].astype(np.int64))
        if key in doubtful:
            start, end = pings.span(row)
            ping = os.pread(fd, end - start, start)
            if ping in seen.setdefault(key, []):
                continue
            seen[key].append(ping)
        kept.append(row)
    return np.asarray(kept, dtype=np.int64)
