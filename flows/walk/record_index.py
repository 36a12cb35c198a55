"""An index of the records of an AD2CP file, with the layout of each."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from flows.walk.sample_index import Int64s

STRING, RAW, RAW_TRANSMIT = 0xA0, 0x23, 0x24
BOTTOM_TRACK = {0x17, 0x1B}


@dataclass(frozen=True)
class RecordIndex:
    """The records of a conversion, in file order, one element per record.

    `offset` is that of the header, `end` the one after the data; `times` are datetime64[ns] as in
    echopype, NaT for strings and records without a date. Records of one `layout` have the same fields,
    of the same shapes and dtypes; it is -1 for strings. `checksum` is the CRC-32 of the data.
    """

    offset: Int64s
    end: Int64s
    id: Int64s
    times: NDArray[np.datetime64]
    layout: Int64s
    checksum: Int64s

    def __len__(self) -> int:
        return int(self.offset.size)

    @property
    def is_dated(self) -> NDArray[np.bool_]:
        """Which records become rows in echopype: all but strings."""
        return np.not_equal(self.id, STRING)


@dataclass
class RecordIndexer:
    """Builds the index, record by record."""

    _numbers: array[int] = field(default_factory=lambda: array("q"))
    _layouts: dict[tuple[int, int, bytes], int] = field(default_factory=dict)

    def add(self, offset: int, end: int, id_: int, time: np.datetime64, data: bytes) -> None:
        """Add a record of `data` (without its header), of kind `id_` and this time (datetime64[ns])."""
        layout = -1
        if id_ != STRING:
            layout = self._layouts.setdefault(_layout(id_, data), len(self._layouts))
        self._numbers.extend((offset, end, id_, int(time.astype(np.int64)), layout, crc32(data)))

    def index(self) -> RecordIndex:
        """The index of the added records."""
        # Copied column by column: a view would keep all columns in memory.
        numbers = np.frombuffer(self._numbers, np.int64).reshape(-1, 6)
        offset, end, id_, times, *others = (numbers[:, column].copy() for column in range(6))
        return RecordIndex(offset, end, id_, times.view("datetime64[ns]"), *others)


def _layout(id_: int, data: bytes) -> tuple[int, int, bytes]:
    """The values that determine a record's fields and their shapes.

    In echopype's `parse_ad2cp.py` these are: version, configuration, numbers of beams
    and cells, the beams of the data set description, whether `status0` is set; the
    serial number, which becomes an attribute; and the scaling of velocities.
    """
    if id_ in {RAW, RAW_TRANSMIT}:
        # Version, serial number, number of samples.
        return id_, len(data), data[0:2] + data[16:24]
    decisive = data[0:8] + data[30:32]
    if id_ in BOTTOM_TRACK:
        return id_, len(data), decisive + data[56:58] + data[60:61]
    return id_, len(data), decisive + data[54:56] + data[58:59] + data[66:68]
