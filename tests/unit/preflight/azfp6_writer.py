"""Writes an AZFP6 file with the settings of a real AZFP, because there is no real AZFP6 file."""

from __future__ import annotations

import struct
from collections.abc import Sequence

PINGS = 5
BINS = (20, 20, 30, 30)
CHANNELS = (0, 1, 2, 3)
_TYPES = {"h": 0x00, "H": 0x20, "i": 0x40, "I": 0x60, "d": 0xC0}


def _record(layout: str, *values: float) -> bytes:
    code = 0x8000 | _TYPES[layout] | (len(values) - 1)
    return struct.pack(f"<H{len(values)}{layout}", code, *values)


def _header(number: int, size: int, channels: Sequence[int]) -> bytes:
    def each(*values: int) -> bytes:
        return _record("H", *(values[channel] for channel in channels))

    return b"".join(
        (
            _record("H", 0xBCD0),
            _record("H", size),
            _record("H", 35),
            _record("H", 7),
            _record("H", 55099),
            _record("H", 2021, 6, 1, 12, 0, 10 + number, 50),
            _record("H", 0),
            _record("I", 900),
            _record("H", 0),
            _record("H", 3),
            _record("H", 0),
            _record("H", 60),
            _record("H", 0),
            _record("H", number),
            _record("H", number),
            _record("H", number),
            _record("H", 0),
            _record("H", 0),
            _record("H", 1),
            _record("H", len(channels)),
            each(64000, 64000, 64000, 64000),
            each(0, 0, 0, 0),
            each(*BINS),
            each(10, 10, 10, 10),
            each(1, 1, 0, 0),
            each(1000, 1000, 1000, 1000),
            each(0, 1, 2, 3),
            each(38, 125, 200, 455),
            _record("H", 7),
            _record("H", 1),
            _record("H", 30000, 30000, 40000, 0, 30000, 40000, 0),
            _record("H", 2021, 6, 1, 12, 0, 10, 0),
            _record("d", 44.5, -63.5),
            _record("H", 0),
            _record("H", 0xABC1),
        )
    )


def ping(number: int, channels: Sequence[int] = CHANNELS) -> bytes:
    """One ping of some of two averaged and two raw channels."""
    header = _header(number, len(_header(number, 0, channels)), channels)
    counts = b""
    for channel in channels:
        bins = BINS[channel]
        if channel < 2:
            counts += struct.pack(f"<{bins}I{bins}B", *[100_000 + number] * bins, *[0] * bins)
        else:
            counts += struct.pack(f"<{bins}H", *[9_000 + number] * bins)
    size = len(header) + len(counts)
    start, end = struct.pack("<II", 0xFF01AA00, size), struct.pack("<II", 0xEF02BB66, size)
    return start + header + counts + end


def settings(xml: bytes) -> bytes:
    """The file's beginning: the settings XML between its flags."""
    size = struct.pack("<I", len(xml))
    return struct.pack("<I", 0xF044CC11) + size + xml + struct.pack("<I", 0xE088DD66) + size


def azfp6_file(xml: bytes, channels: Sequence[int] = CHANNELS) -> bytes:
    """An intact file with `PINGS` pings of these channels and these settings."""
    return settings(xml) + b"".join(ping(number, channels) for number in range(PINGS))
