"""Writes datagrams of Simrad raw files.

Each is ``int32 length, 4-byte type, 8-byte NT time, body, int32 length``,
little-endian; length counts type, time and body. The layout is in Simrad's
ER60 and EK80 reference manuals; ``flows.walk.simrad.framing`` reads it.
"""

import struct
from datetime import UTC, datetime, timedelta

_HEAD = struct.Struct("<i4sQ")
_LENGTH = struct.Struct("<i")
_TYPE_AND_TIME = 12
_NT_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def nt_time(when: datetime) -> int:
    """Convert ``when`` (with a time zone) to NT time: 100 ns steps since 1601-01-01 UTC."""
    return (when - _NT_EPOCH) // timedelta(microseconds=1) * 10


def frame(kind: bytes, ticks: int, body: bytes) -> bytes:
    """Wrap ``body`` as one datagram of the 4-byte type ``kind`` at the NT time ``ticks``."""
    length = _TYPE_AND_TIME + len(body)
    return b"".join((_HEAD.pack(length, kind, ticks), body, _LENGTH.pack(length)))
