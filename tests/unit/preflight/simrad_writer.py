"""Writes small Simrad files datagram by datagram, for cases that no real file has."""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.damaged_files import datagram_bytes

# 2021-01-01T00:00:00Z as NT FILETIME.
START = 132_539_328_000_000_000
SECOND = 10_000_000

CHANNELS = ("WBT 100001-15 ES38", "WBT 100002-15 ES120")


class Piece(NamedTuple):
    """One datagram; `channel` names the channel of a ping."""

    content: bytes
    type: str
    channel: str | None = None
    seconds: int = 0


def con0(transceivers: int) -> Piece:
    """An EK60 configuration."""
    body = struct.pack("<128s128s128s30s98si", b"survey", b"", b"ER60", b"2.4.3", b"", transceivers)
    for number in range(transceivers):
        body += struct.pack("<128s192x", f"GPT {number + 1}".encode())
    return Piece(datagram_bytes(b"CON0", body, START), "CON0")


def raw0(transceiver: int, seconds: int, samples: int) -> Piece:
    """An EK60 ping with only power."""
    head = struct.pack("<hh13fh6sii", transceiver, 1, *[1.0] * 13, 0, b"", 0, samples)
    power = struct.pack(f"<{samples}h", *([-7000] * samples))
    content = datagram_bytes(b"RAW0", head + power, START + seconds * SECOND)
    return Piece(content, "RAW0", f"GPT {transceiver}", seconds)


def nme0(seconds: int, text: bytes) -> Piece:
    """A position sentence, or any other."""
    return Piece(datagram_bytes(b"NME0", text, START + seconds * SECOND), "NME0")


def xml0(text: str, seconds: int = 0) -> Piece:
    """An XML datagram."""
    return Piece(datagram_bytes(b"XML0", text.encode(), START + seconds * SECOND), "XML0")


def configuration(channels: tuple[str, ...] = CHANNELS) -> Piece:
    """An EK80 configuration of these channels."""
    inner = "".join(f'<Channel ChannelID="{channel}"/>' for channel in channels)
    return xml0(f"<Configuration><Transceivers>{inner}</Transceivers></Configuration>")


def parameters(channel: str, seconds: int) -> Piece:
    """The parameter datagram that must precede a ping of an EK80 channel."""
    return xml0(f'<Parameter><Channel ChannelID="{channel}" PulseForm="0"/></Parameter>', seconds)


def raw3(channel: str, seconds: int, samples: int = 50, type_: bytes = b"RAW3") -> Piece:
    """An EK80 ping with only power (or its transmit pulse, with `type_` RAW4)."""
    head = struct.pack("<128sh2sii", channel.encode(), 1, b"", 0, samples)
    power = struct.pack(f"<{samples}h", *([-7000] * samples))
    content = datagram_bytes(type_, head + power, START + seconds * SECOND)
    return Piece(content, type_.decode(), channel, seconds)


def joined(pieces: list[Piece]) -> bytes:
    """A file of these datagrams."""
    return b"".join(piece.content for piece in pieces)
