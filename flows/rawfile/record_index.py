"""Where each record of an AD2CP file is, and which records echopype makes the same fields of."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from flows.rawfile.sample_index import Int64s

STRING, RAW, RAW_TRANSMIT = 0xA0, 0x23, 0x24
_BOTTOM_TRACK = {0x17, 0x1B}


@dataclass(frozen=True)
class RecordIndex:
    """The records that a conversion takes, in file order, one element a record.

    Attributes:
        offset: where the record's header begins.
        end: offset behind its data.
        id: what it is (see `flows.preflight.ad2cp.KINDS`).
        times: datetime64[ns] as echopype makes them, NaT for strings and what has no date.
        layout: number of its layout, -1 for strings. Records of one layout have the same
            fields, of the same shapes and dtypes.
    """

    offset: Int64s
    end: Int64s
    id: Int64s
    times: NDArray[np.datetime64]
    layout: Int64s

    def __len__(self) -> int:
        return int(self.offset.size)

    @property
    def is_dated(self) -> NDArray[np.bool_]:
        """Which records echopype makes rows of: all but strings."""
        return np.not_equal(self.id, STRING)


@dataclass
class RecordIndexer:
    """Makes the index, record by record."""

    _numbers: array[int] = field(default_factory=lambda: array("q"))
    _layouts: dict[tuple[int, int, bytes], int] = field(default_factory=dict)

    def add(self, offset: int, end: int, id_: int, time: np.datetime64, data: bytes) -> None:
        """Count a record.

        Args:
            offset: where its header begins.
            end: offset behind its data.
            id_: what it is.
            time: its time, datetime64[ns].
            data: of the record, without its header.
        """
        layout = -1
        if id_ != STRING:
            layout = self._layouts.setdefault(_layout(id_, data), len(self._layouts))
        self._numbers.extend((offset, end, id_, int(time.astype(np.int64)), layout))

    def index(self) -> RecordIndex:
        """The index of what was counted."""
        # Copied column by column: a view would keep all five.
        numbers = np.frombuffer(self._numbers, np.int64).reshape(-1, 5)
        offset, end, id_, times, layout = (numbers[:, column].copy() for column in range(5))
        return RecordIndex(offset, end, id_, times.view("datetime64[ns]"), layout)


def _layout(id_: int, data: bytes) -> tuple[int, int, bytes]:
    """What decides on a record's fields and their shapes.

    By echopype's `parse_ad2cp.py`: version, configuration, numbers of beams and cells, the
    beams of the data set description, whether `status0` holds anything; and the serial
    number, which makes an attribute.
    """
    if id_ in {RAW, RAW_TRANSMIT}:
        # Version, serial number, number of samples.
        return id_, len(data), data[0:2] + data[16:24]
    decisive = data[0:8] + data[30:32]
    if id_ in _BOTTOM_TRACK:
        return id_, len(data), decisive + data[56:58]
    return id_, len(data), decisive + data[54:56] + bytes(b & 0x80 for b in data[67:68])
