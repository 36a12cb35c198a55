"""Simrad raw files as a sequence of datagrams, and the search for the next whole one.

Framing (Simrad EK80 interface description, "Data encapsulation"): int32 length L,
then L bytes (4-byte type, NT FILETIME as two uint32 with the low half first, body),
then the same int32 again; little-endian throughout.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from flows.walk.search import next_whole

# Length, type, time, and the part of the body that a RAW3 has before its samples.
HEAD = 4 + 12 + 140

_length = struct.Struct("<i").unpack_from
_head = struct.Struct("<i4sQ").unpack_from
_type = re.compile(rb"[A-Z]{3}[0-9]")
# The types that echopype knows. A search accepts no others: three capitals and a digit occur in
# samples, but one of these with two correct lengths around it does not.
_known = re.compile(rb"(?:RAW|XML|NME|CON|TAG|BOT|DEP|IDX|FIL|MRU)[0-9]")


class Datagram(NamedTuple):
    """A whole datagram at `offset`.

    `length` is the value of its length fields: bytes of type, time and body. `ticks` is
    its time (NT FILETIME). `head` is its first bytes (up to `HEAD`), with the leading
    length.
    """

    offset: int
    length: int
    type: bytes
    ticks: int
    head: bytes

    @property
    def end(self) -> int:
        """The offset after the trailing length."""
        return self.offset + self.length + 8

    @property
    def name(self) -> str:
        """The type as text."""
        return self.type.decode("ascii", errors="replace")


class Gap(NamedTuple):
    """Bytes `[start, end)` without a whole datagram.

    `cut`: the file ends in the middle of the datagram that begins at `start`.
    """

    start: int
    end: int
    cut: bool


def datagrams(fd: int, size: int) -> Iterator[Datagram | Gap]:
    """Every byte in order, as whole datagrams and gaps between them.

    One read per datagram gets its trailing length and the head of the next. Every step
    advances by at least one byte, whatever the file contains.
    """
    position = 0
    head = os.pread(fd, HEAD, position)
    while position < size:
        following = _next_head(fd, size, position, head)
        if following is not None:
            length, type_, ticks = _head(head)
            yield Datagram(position, length, type_, ticks, head)
            position += length + 8
            head = following
            continue
        end = next_whole(fd, size, position + 1, _known, partial(_is_whole, fd, size), lead=4)
        yield Gap(
            position, size if end is None else end, end is None and _is_cut(head, size - position)
        )
        position = size if end is None else end
        head = os.pread(fd, HEAD, position)


def _next_head(fd: int, size: int, position: int, head: bytes) -> bytes | None:
    """The head of the datagram after the one at `position`; None if the latter is not whole."""
    if len(head) < 16:
        return None
    length = _length(head)[0]
    if length < 12 or position + length + 8 > size or not _type.match(head, 4):
        return None
    block = os.pread(fd, 4 + HEAD, position + 4 + length)
    if len(block) < 4 or _length(block)[0] != length:
        return None
    return block[4:]


def _is_whole(fd: int, size: int, position: int) -> bool:
    return _next_head(fd, size, position, os.pread(fd, HEAD, position)) is not None


def _is_cut(head: bytes, left: int) -> bool:
    """Whether the last `left` bytes of the file look like the beginning of a datagram."""
    if left < 4:
        return True
    length = _length(head)[0]
    if length < 12 or length + 8 <= left:
        return False
    if left < 8:
        return all(65 <= byte <= 90 for byte in head[4:7])
    return _type.match(head, 4) is not None
