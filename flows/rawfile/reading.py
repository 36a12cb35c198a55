"""Reads exact ranges of an open raw file, and datagrams in them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

from flows.walk.simrad.xml import parameters_channel

_AT_ONCE = 1 << 20
# Bytes of a datagram without a body.
_SHORTEST = 20

_int32 = struct.Struct("<i").unpack_from


def read_exactly(fd: int, length: int, offset: int) -> bytes:
    """`length` bytes at `offset`.

    Raises:
        OSError: the file ends before that.
    """
    body = os.pread(fd, length, offset) if length else b""
    while len(body) < length:
        more = os.pread(fd, length - len(body), offset + len(body))
        if not more:
            raise OSError(f"the raw file ends at byte {offset + len(body)}, but was longer before")
        body += more
    return body


def datagrams_in(block: bytes) -> Iterator[bytes]:
    """The consecutive whole datagrams of a block, with their lengths."""
    position = 0
    while position + 12 <= len(block):
        end = position + _int32(block, position)[0] + 8
        if end > len(block) or end <= position:
            return
        yield block[position:end]
        position = end


def datagrams_between(fd: int, start: int, end: int) -> Iterator[bytes]:
    """The datagrams of a part of a raw file, one after another.

    Raises:
        OSError: the file ends before that.
    """
    if end - start <= _AT_ONCE:
        yield from datagrams_in(read_exactly(fd, end - start, start))
        return
    position = start
    while position + 12 <= end:
        length = _int32(read_exactly(fd, 4, position))[0] + 8
        if not 12 < length <= end - position:
            return
        yield read_exactly(fd, length, position)
        position += length


def parameters_before(fd: int, offset: int, channel: str, start: int) -> bytes:
    """The last parameter XML of a channel before its ping; empty if a damaged place is between.

    Datagrams end with their length, so it goes from one to the one before, from `offset` of the
    ping or of its transmit pulse, back to `start`. OSError: the file ends before that.
    """
    while offset - start >= _SHORTEST:
        length = _int32(read_exactly(fd, 4, offset - 4))[0] + 8
        if not _SHORTEST <= length <= offset - start:
            break
        offset -= length
        if read_exactly(fd, 8, offset)[4:] == b"XML0":
            datagram = read_exactly(fd, length, offset)
            if parameters_channel(datagram[16:-4]) == channel:
                return datagram
    return b""
