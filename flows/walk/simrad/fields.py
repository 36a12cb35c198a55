"""Text and times in the fields of Simrad datagrams.

Text ends at a NUL, and is not always ASCII. Times are NT FILETIME (100 ns since 1601-01-01 UTC), as
echopype turns them into ping times.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from flows.walk.summary import Times

_NUL = b"\x00"
_MICROSECONDS_1601_TO_1970 = 11_644_473_600 * 1_000_000
# 1678 to 2262, the range of int64 nanoseconds since 1970.
_EARLIEST_TICKS = 24_299_136_000_000_000
_LATEST_TICKS = 208_591_200_000_000_000


def until_nul(field: bytes) -> bytes:
    """A field up to the NUL that ends it; what an older text left behind it is cut off."""
    return field.lstrip(_NUL).partition(_NUL)[0]


def latin_text(field: bytes) -> str:
    """The text of a field in EK60's format."""
    return until_nul(field).decode("latin_1")


def text_of(field: bytes) -> str:
    """The text of a field in EK80's format: UTF-8, or Latin-1 from a system with that code page."""
    text = until_nul(field)
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError:
        return text.decode("latin_1")


def is_dated(ticks: int) -> bool:
    """Whether an output can have this time."""
    return _EARLIEST_TICKS <= ticks <= _LATEST_TICKS


def ticks_to_times(ticks: npt.NDArray[np.int64]) -> Times:
    """Ping times (datetime64[ns], shape of `ticks`), bit for bit those that echopype reads.

    echopype computes `datetime(1601, 1, 1) + timedelta(seconds=ticks * 1e-7)`. At
    1.3e10 seconds a float64 steps by 2 microseconds, so a time in microseconds loses
    its last digit. This function does the same floating-point steps.
    """
    fraction, seconds = np.modf(ticks.astype(np.float64) * 1.0e-7)
    microseconds = seconds.astype(np.int64) * 1_000_000 + np.rint(fraction * 1e6).astype(np.int64)
    since_1970 = microseconds - _MICROSECONDS_1601_TO_1970
    return (since_1970 * 1000).astype("datetime64[ns]")
