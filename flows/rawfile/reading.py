"""Reads exact ranges of an open raw file, and datagrams in them."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import numpy as np

from flows.walk.sample_index import Int64s
from flows.walk.simrad.xml import parameters_channel

_AT_ONCE = 1 << 20

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


def parameters_before(fd: int, offset: int, channel: str, ends: Int64s, start: int) -> bytes:
    """The last parameter XML before a ping, which belongs to it (the walk has checked that).

    Args:
        fd: the raw file.
        offset: offset of the ping, or of its transmit pulse.
        channel: its channel.
        ends: offsets after each sample datagram, ascending.
        start: offset of the part of the file that is converted.

    Raises:
        OSError: the file ends before that.
    """
    at = int(np.searchsorted(ends, offset, side="right"))
    stop = offset
    while True:
        begin = int(ends[at - 1]) if at > 0 else start
        between = read_exactly(fd, stop - begin, begin) if stop > begin else b""
        xmls = [d for d in datagrams_in(between) if d[4:8] == b"XML0"]
        found = [d for d in xmls if parameters_channel(d[16:-4]) == channel]
        if found:
            return found[-1]
        if at == 0:
            return b""
        at -= 1
        # The sample datagram that ends here begins where the part before it ends.
        stop = begin - _int32(read_exactly(fd, 4, begin - 4))[0] - 8
