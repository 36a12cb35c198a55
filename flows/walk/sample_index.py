"""An index of each ping's samples in a raw file."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

# Bits of RAW3's data type (Simrad EK80 interface description, "RAW3"); RAW0's mode
# has the first two. The number of sectors of complex samples is above them.
POWER, ANGLE, FLOAT16, FLOAT32 = 1, 2, 4, 8
SECTORS_SHIFT = 8


@dataclass(frozen=True)
class SampleIndex:
    """The sample datagrams of a conversion, in file order, one element per ping.

    `channel` is an index into `names`, which are those in echopype. `header` are the bytes from the
    beginning of a datagram (with its leading length) to its first sample; the last int32 before that is
    the number of samples. `end` is the offset after the trailing length, `transmit` the offset of the
    datagram of its transmit pulse (RAW4), -1 without one. `kind` has the bits above. `shift` are ticks
    (100 ns) that were added to its time, because another ping of the channel has the same; none if empty.
    """

    names: tuple[str, ...]
    header: int
    channel: Int64s
    times: npt.NDArray[np.datetime64]
    offset: Int64s
    end: Int64s
    transmit: Int64s
    count: Int64s
    kind: Int64s
    shift: Int64s = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return int(self.offset.size)

    @property
    def sectors(self) -> Int64s:
        """Number of sectors of each ping's complex samples, 0 without complex samples."""
        return self.kind >> SECTORS_SHIFT

    @property
    def has_power(self) -> npt.NDArray[np.bool_]:
        """Whether each ping belongs to the group of pings with power and angles."""
        return (self.kind & (POWER | ANGLE)) > 0
