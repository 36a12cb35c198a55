"""EK80's file format (EK80, ES80, EA640): XML0 configuration and parameters, RAW3 pings.

A ping is a parameter XML0 of its channel, in some files a RAW4 (the transmit
pulse), then a RAW3. Layouts as in echopype's `SimradXMLParser` and
`SimradRawParser`.
"""

from __future__ import annotations

import functools
import os
import struct
import xml.etree.ElementTree as ET

from flows.walk.accounts.ek80 import XML_OTHER
from flows.walk.simrad.framing import Datagram
from flows.walk.simrad.walk import Handler, Samples, SimradWalk, has_length

PING_LENGTH = 152
# The ADCP of an EK80 system; echopype skips its datagrams.
ADCP = "EC150"
# Kinds of XML, besides configuration and parameters, whose content is in the output.
_CONVERTED_XML = {"environment", "initialparameter", "pingsequence"}

_int16 = struct.Struct("<h").unpack_from
_int32 = struct.Struct("<i").unpack_from


@functools.lru_cache(64)
def _parsed(body: bytes) -> tuple[str, list[str]]:
    """The subtype and the channels of an XML0; a channel's parameters are mostly the same text."""
    text = str(body.strip(b"\x00"), "ascii", errors="replace")
    root = ET.fromstring(text)  # noqa: S314 - echopype parses the same text with the same parser
    return root.tag.lower(), [channel.get("ChannelID", "") for channel in root.iter("Channel")]


class EK80Walk(SimradWalk):
    """A walk over a file of EK80's format."""

    header = 4 + PING_LENGTH
    account = "EK80"

    def __init__(self, fd: int, size: int) -> None:
        super().__init__(fd, size)
        self._configured: set[str] = set()
        self._parameters_of: str | None = None
        self._with_transmits: set[str] = set()
        self._names: dict[bytes, str | None] = {}

    def handlers(self) -> dict[bytes, Handler]:
        """Handlers of XML0, RAW3 and RAW4; a CON0 means that an EK60 file was appended."""
        return {
            b"XML0": self._xml,
            b"RAW3": self._ping,
            b"RAW4": self._transmit,
            b"FIL1": self._filter,
            b"CON0": self._con0,
        }

    def lose(self, start: int, end: int, cause: str) -> None:
        """Count bytes as lost; the parameters before them may not belong to the next ping."""
        super().lose(start, end, cause)
        self._parameters_of = None

    def _xml(self, item: Datagram) -> str | None:
        try:
            subtype, channels = _parsed(os.pread(self.fd, item.length - 12, item.offset + 16))
        except ET.ParseError:
            return "the XML of the XML0 datagram is broken"
        if subtype == "configuration":
            if item.offset > 0:
                self.tally.second_file = item.offset
                return None
            self._configured = {channel for channel in channels if channel}
            if not self._configured:
                return "the configuration names no channel"
            self.tally.configured = True
        elif subtype == "parameter":
            if not channels or not channels[-1]:
                return "the parameters name no channel"
            if ADCP in channels[-1]:
                self._hold_adcp("XML0 Parameter", item)
            else:
                self._parameters_of = channels[-1]
        elif subtype == "sensor":
            self.hold("XML0 Sensor", item)
        elif subtype not in _CONVERTED_XML:
            self.hold(XML_OTHER, item)
        self.keep(item)
        return None

    def _con0(self, item: Datagram) -> str | None:
        self.tally.second_file = item.offset
        return None

    def _ping(self, item: Datagram) -> str | None:
        channel = self._channel(item)
        if channel is None:
            return f"the {item.name} datagram is from a channel that is not configured"
        if ADCP in channel:
            self._hold_adcp("pings", item)
            self.keep(item)
            return None
        kind = _int16(item.head, 144)[0]
        samples = Samples(kind & 1, kind >> 1 & 1, kind >> 8, _int32(item.head, 152)[0])
        complex_size = samples.sectors * (8 if kind & 8 else 2)
        held = samples.number * (2 * (samples.power + samples.angle) + complex_size)
        sensible = samples.number >= 0 and samples.sectors >= 0
        if not sensible or not has_length(item, PING_LENGTH + held):
            return f"the RAW3 datagram does not have the {samples.number} samples that it says"
        transmit = self.transmits.pop(channel, None)
        lacks_pulse = transmit is None and channel in self._with_transmits
        if self._parameters_of != channel or lacks_pulse:
            self.tally.pings_unusable += 1
            if transmit is not None:
                self.tally.drop(*transmit)
            lacking = "transmit pulse (RAW4)" if lacks_pulse else "parameters (XML0)"
            self._refuse_incomplete(item, channel, lacking)
            return None
        if self.fits(item, channel, samples):
            start = item.offset + 4 + PING_LENGTH
            size = held if samples.sectors else 2 * samples.number * samples.power
            self.pings.add(
                channel,
                item,
                (start, size),
                number=samples.number,
                kind=kind,
                transmit=transmit,
            )
            self.keep(item)
        return None

    def _transmit(self, item: Datagram) -> str | None:
        channel = self._channel(item)
        if channel is None:
            return f"the {item.name} datagram is from a channel that is not configured"
        if ADCP not in channel:
            if self._parameters_of != channel:
                self._refuse_incomplete(item, channel, "parameters (XML0)")
                return None
            if channel in self.transmits:
                self.tally.drop(*self.transmits[channel])
            self.transmits[channel] = (item.offset, item.end)
            self._with_transmits.add(channel)
        else:
            self._hold_adcp(item.name, item)
        self.keep(item)
        return None

    def _filter(self, item: Datagram) -> str | None:
        if ADCP.encode() in item.head[20:148]:
            self._hold_adcp(item.name, item)
        return self._other(item)

    def _hold_adcp(self, type_: str, item: Datagram) -> None:
        self.hold(f"{type_} of an ADCP ({ADCP})", item)

    def _refuse_incomplete(self, item: Datagram, channel: str, lacking: str) -> None:
        """Leave out a datagram if the datagram that must precede it is missing.

        After damage, the damage is the cause and is reported instead.
        """
        if not self.broken:
            self.refuse(item, f"no {lacking} of channel {channel} before it (byte {item.offset})")

    def _channel(self, item: Datagram) -> str | None:
        """The datagram's channel; None if the channel is not configured."""
        if item.length < PING_LENGTH:
            return None
        field = item.head[16:144]
        if field not in self._names:
            try:
                # As echopype reads it; some EK80 versions leave "\x00t" behind.
                name = field.decode("unicode_escape").strip("\x00").replace("\x00t", "")
            except UnicodeDecodeError:
                name = ""
            known = ADCP in name or name in self._configured or not self.tally.configured
            self._names[field] = name if name and known else None
        return self._names[field]
