"""Where each ping's samples are in a raw file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]

# Bits of RAW3's data type (Simrad EK80 interface description, "RAW3"); RAW0's mode
# has the first two. The number of sectors of complex samples is above them.
POWER, ANGLE, FLOAT16, FLOAT32 = 1, 2, 4, 8
SECTORS_SHIFT = 8


@dataclass(frozen=True)
class SampleIndex:
    """The sample datagrams that a conversion takes, in file order, one element a ping.

    Attributes:
        names: channels, as echopype names them.
        header: bytes from the beginning of a datagram (its leading length included)
            to its first sample; the number of samples is the last int32 before it.
        channel: index into `names`.
        times: ping times, datetime64[ns].
        offset: where the datagram begins.
        end: offset behind its trailing length.
        transmit: where the datagram of its transmit pulse (RAW4) begins, -1 without one.
        count: number of samples.
        kind: what they are, by the bits above.
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

    def __len__(self) -> int:
        return int(self.offset.size)

    @property
    def sectors(self) -> Int64s:
        """Number of sectors of each ping's complex samples, 0 where it has none."""
        return self.kind >> SECTORS_SHIFT
