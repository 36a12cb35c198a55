"""Collects datagrams of which a file has many for the lists of echopype's parser.

NMEA sentences ("NME0", "NME1") and pings of EK60 ("RAW0"): echopype makes a dictionary of each
and appends its entries one by one. Here the heads become a table, and its columns the entries,
which are the same as echopype's.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.walk.simrad.fields import ticks_to_times

_ticks = struct.Struct("<Q").unpack_from
_ping = struct.Struct("<hh").unpack_from
_count = struct.Struct("<i").unpack_from

# Bytes before the text of an NMEA datagram.
_SENTENCES = {b"NME0": 12, b"NME1": 44}
# Offsets in a RAW0 datagram of channel and mode, and of the number of samples.
_PING, _COUNT = 12, 80
# How numpy names the formats of a header.
_DTYPES = {"L": "<u4", "l": "<i4", "h": "<i2", "f": "<f4"}


class CollectedDatagrams:
    """The datagrams of one file that are not yet in the lists.

    Args:
        parser: echopype's parser of the file.
        fields: name and format of each field of a RAW0 datagram, as in echopype.
    """

    def __init__(self, parser: Any, fields: Sequence[tuple[str, str]]) -> None:  # noqa: ANN401 - echopype ships no types
        self._parser = parser
        self._dtype = np.dtype(
            [(name, _DTYPES.get(form, f"V{form[:-1]}")) for name, form in fields]
        )
        self._sentences: list[tuple[int, str]] = []
        self._pings: list[tuple[bytes, int, Any, Any]] = []

    def take(self, datagram: bytes) -> bool:
        """Collect a datagram; False if it is of another kind, or too short."""
        kind, size = datagram[:4], self._dtype.itemsize
        if kind == b"RAW0" and len(datagram) >= size:
            power, angles = _samples(datagram, size)
            self._pings.append((datagram[:size], len(datagram) + 20, power, angles))
            return True
        start = _SENTENCES.get(kind, len(datagram) + 1)
        if start > len(datagram):
            return False
        text = str(datagram[start:].strip(b"\x00"), "ascii", errors="replace")
        self._sentences.append((_ticks(datagram, 4)[0], text))
        return True

    def add(self) -> None:
        """Add what was collected to the parser's lists."""
        if self._sentences:
            ticks, texts = zip(*self._sentences, strict=True)
            self._parser.nmea["timestamp"].extend(ticks_to_times(np.array(ticks, np.int64)))
            self._parser.nmea["nmea_string"].extend(texts)
            self._sentences.clear()
        if self._pings:
            heads, *others = (list(column) for column in zip(*self._pings, strict=True))
            self._pings.clear()
            self._add_pings(np.frombuffer(b"".join(heads), self._dtype), others)

    def _add_pings(self, heads: NDArray[Any], others: Sequence[list[Any]]) -> None:
        times = ticks_to_times(heads["low_date"] + (heads["high_date"].astype(np.int64) << 32))
        columns = {name: _entries(heads[name]) for name in heads.dtype.names or ()}
        names = ("timestamp", "bytes_read", "power", "angle")
        columns.update(zip(names, (list(times), *others), strict=True))
        for channel in dict.fromkeys(columns["channel"]):
            rows = np.flatnonzero(heads["channel"] == channel).tolist()
            self._parser.ping_time[channel] += [columns["timestamp"][row] for row in rows]
            for name, entries in columns.items():
                self._parser.ping_data_dict[name][channel] += [entries[row] for row in rows]


def _samples(datagram: bytes, start: int) -> tuple[Any, Any]:
    """Power (int16) and angles (int8, by sample and direction), None without them."""
    (_, mode), (count,) = _ping(datagram, _PING), _count(datagram, _COUNT)
    if count <= 0:
        return np.empty(0, "int16"), np.empty((0, 2), "int8")
    power = angle = None
    if mode & 1:
        power = np.frombuffer(datagram[start : start + 2 * count], "int16")
        start += 2 * count
    if mode & 2:
        angle = np.frombuffer(datagram[start : start + 2 * count], "int8").reshape(-1, 2)
    return power, angle


def _entries(column: NDArray[Any]) -> list[Any]:
    values: list[Any] = column.tolist()
    return [_text(each) for each in values] if column.dtype.kind == "V" else values


@functools.lru_cache(256)
def _text(field: bytes) -> str:
    return field.decode("unicode_escape")
