"""The channels of a Simrad configuration, in its order."""

from __future__ import annotations

import os
import struct
import xml.etree.ElementTree as ET

from flows.walk.simrad.ek60 import CONFIGURATION_LENGTH, TRANSCEIVER_LENGTH
from flows.walk.simrad.xml import read_xml

_int32 = struct.Struct("<i").unpack_from
_COUNT = 524


def plain(channel: str) -> str:
    """A channel's name without what follows a NUL, so that two readings of it are equal."""
    return channel.partition("\x00")[0].strip()


def channels_in_order(fd: int) -> tuple[str, ...]:
    """The channels of the configuration that the file begins with; () if it cannot be read.

    EK60: the transceivers of CON0; EK80: the `Channel` elements of the configuration
    XML. Datagrams with a value for each channel, such as BOT0, follow this order.
    """
    head = os.pread(fd, 16, 0)
    if len(head) < 16:
        return ()
    length, type_ = _int32(head)[0], head[4:8]
    body = os.pread(fd, max(length, 0), 4)
    if type_ == b"CON0" and len(body) >= CONFIGURATION_LENGTH:
        count = _int32(body, _COUNT)[0]
        starts = [CONFIGURATION_LENGTH + n * TRANSCEIVER_LENGTH for n in range(max(count, 0))]
        names = [body[at : at + 128].decode("latin_1") for at in starts if at + 128 <= len(body)]
    elif type_ == b"XML0":
        try:
            root = read_xml(body[12:]).root
        except ET.ParseError:
            return ()
        names = [channel.get("ChannelID", "") for channel in root.iter("Channel")]
    else:
        return ()
    return tuple(name for name in map(plain, names) if name)
