"""Framing of Simrad raw files: what every datagram of an EK60 or EK80 file has in common.

A file is a run of datagrams, each ``int32 length, 4-byte type, 8-byte NT time,
body, int32 length``, little-endian; length counts type, time and body. The
layout is the one in Simrad's ER60 and EK80 reference manuals (chapter "Raw
data format") and in echopype's ``convert/utils/ek_raw_io.py``.
"""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

#: Bytes from a datagram's start to its time, and to its body.
TIME_OFFSET = 8
BODY_OFFSET = 16
#: Types that hold the samples of one ping of one channel (RAW4 is the transmit pulse).
SAMPLE_TYPES = frozenset({b"RAW0", b"RAW3"})

_HEAD = struct.Struct("<i4sQ")
_LENGTH = struct.Struct("<i")
_SHORTEST = 12
_NT_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


class SimradFileError(ValueError):
    """A file that is no whole Simrad raw file with pings.

    Attributes: ``path``; ``cause``, a sentence; ``at_byte``, where the fault
    was met, or None when the whole file is meant.
    """

    def __init__(self, path: Path, cause: str, at_byte: int | None = None) -> None:
        """Keep the facts and say them in one line."""
        self.path, self.cause, self.at_byte = path, cause, at_byte
        where = "" if at_byte is None else f" (at byte {at_byte:,})"
        super().__init__(f"{path}: {cause}{where}")


@dataclass(frozen=True, slots=True)
class Datagram:
    """Where one datagram lies: ``start`` and ``end`` in bytes, its type, its NT time (100 ns)."""

    start: int
    end: int
    type: bytes
    nt_time: int


def nt_time(when: datetime) -> int:
    """Give ``when`` (with a time zone) as NT time: 100 ns steps since 1601-01-01 UTC."""
    return (when - _NT_EPOCH) // timedelta(microseconds=1) * 10


def from_nt_time(ticks: int) -> datetime:
    """Give an NT time as a datetime in UTC, cut to whole microseconds."""
    return _NT_EPOCH + timedelta(microseconds=ticks // 10)


def frame(kind: bytes, ticks: int, body: bytes) -> bytes:
    """Wrap ``body`` as one datagram of the 4-byte type ``kind`` at the NT time ``ticks``."""
    length = _SHORTEST + len(body)
    return b"".join((_HEAD.pack(length, kind, ticks), body, _LENGTH.pack(length)))


def walk(data: mmap.mmap | bytes, path: Path) -> Iterator[Datagram]:
    """Yield the datagrams of ``data`` in order; ``path`` is named in errors.

    Raises SimradFileError where a length is impossible, runs past the end, or
    differs from the one behind its datagram.
    """
    position, size = 0, len(data)
    while position < size:
        if position + BODY_OFFSET > size:
            raise SimradFileError(path, "the file ends inside a datagram's header", position)
        length, kind, ticks = _HEAD.unpack_from(data, position)
        if length < _SHORTEST:
            raise SimradFileError(path, f"a datagram's length is {length}", position)
        end = position + length + 2 * _LENGTH.size
        if end > size:
            raise SimradFileError(path, f"the file ends inside a {kind!r} datagram", position)
        (trailing,) = _LENGTH.unpack_from(data, end - _LENGTH.size)
        if trailing != length:
            cause = f"a {kind!r} datagram is {length} long but ends with {trailing}"
            raise SimradFileError(path, cause, position)
        yield Datagram(position, end, kind, ticks)
        position = end
