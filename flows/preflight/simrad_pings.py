"""The whole pings of a Simrad file, one row each."""

from __future__ import annotations

import os
from array import array

import numpy as np
import numpy.typing as npt

from flows.preflight.nt_time import ticks_to_times
from flows.preflight.simrad_framing import Datagram
from flows.preflight.summary import Span, Times

Int64s = npt.NDArray[np.int64]


class Pings:
    """Pings in file order, as arrays of machine integers: a large file holds millions.

    `offset` and `end` bound the datagram, `samples` and `sample_bytes` its power or
    complex samples, `transmit` and `transmit_end` the transmit pulse before it (-1
    if there is none).
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._channel = array("q")
        self._ticks = array("q")
        self._offset = array("q")
        self._end = array("q")
        self._samples = array("q")
        self._sample_bytes = array("q")
        self._complex = array("b")
        self._transmit = array("q")
        self._transmit_end = array("q")

    def channel_number(self, name: str) -> int:
        """The row number of channel `name`; a new one for a new name."""
        if name not in self._numbers:
            self._numbers[name] = len(self.names)
            self.names.append(name)
        return self._numbers[name]

    def add(
        self,
        channel: str,
        datagram: Datagram,
        samples: Span,
        *,
        is_complex: bool = False,
        transmit: Span | None = None,
    ) -> None:
        """Append a ping whose samples are `samples[1]` bytes at `samples[0]`."""
        self._channel.append(self.channel_number(channel))
        self._ticks.append(datagram.ticks)
        self._offset.append(datagram.offset)
        self._end.append(datagram.end)
        self._samples.append(samples[0])
        self._sample_bytes.append(samples[1])
        self._complex.append(is_complex)
        self._transmit.append(transmit[0] if transmit else -1)
        self._transmit_end.append(transmit[1] if transmit else -1)

    def __len__(self) -> int:
        return len(self._channel)

    @property
    def channel(self) -> Int64s:
        """Channel number of each ping, an index into `names`."""
        return np.frombuffer(self._channel, dtype=np.int64)

    @property
    def times(self) -> Times:
        """Time of each ping."""
        return ticks_to_times(np.frombuffer(self._ticks, dtype=np.int64))

    @property
    def offset(self) -> Int64s:
        """Where each ping's datagram begins."""
        return np.frombuffer(self._offset, dtype=np.int64)

    @property
    def samples(self) -> tuple[Int64s, Int64s, npt.NDArray[np.bool_]]:
        """Offsets and sizes of the samples in bytes, and whether they are complex."""
        return (
            np.frombuffer(self._samples, dtype=np.int64),
            np.frombuffer(self._sample_bytes, dtype=np.int64),
            np.frombuffer(self._complex, dtype=np.int8).astype(bool),
        )

    def span(self, row: int) -> Span:
        """Where the ping's datagram is."""
        return self._offset[row], self._end[row]

    def transmit(self, row: int) -> Span | None:
        """Where its transmit pulse is."""
        start = self._transmit[row]
        return None if start < 0 else (start, self._transmit_end[row])


def without_repeats(fd: int, pings: Pings, rows: Int64s, times: Times) -> Int64s:
    """`rows` without the pings that repeat an earlier one of the same time byte for byte.

    echopype keeps one ping a channel and time. Of twins nothing is lost by that;
    pings that differ stay here, so that the loss of one shows.
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
