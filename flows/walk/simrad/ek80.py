"""EK80's file format (EK80, ES80, EA640): XML0 configuration and parameters, RAW3 pings.

A ping is a parameter XML0 of its channel, in some files a RAW4 (the transmit
pulse), then a RAW3. Layouts as in echopype's `SimradXMLParser` and
`SimradRawParser`.
"""

from __future__ import annotations

import os
import re
import struct
import xml.etree.ElementTree as ET
from collections import Counter

from flows.walk.account import AFTER_ALL_PINGS, WITHOUT_PING, XML_OTHER
from flows.walk.sample_index import FLOAT16, FLOAT32
from flows.walk.simrad.fields import text_of, until_nul
from flows.walk.simrad.framing import Datagram
from flows.walk.simrad.replaced import Environments, Filters
from flows.walk.simrad.walk import Handler, Samples, SimradWalk
from flows.walk.simrad.xml import ParsedXml, is_written, parsed
from flows.walk.summary import Unsupported
from flows.walk.tally import Tally

PING_LENGTH = 152
# The ADCP of an EK80 system; echopype skips its datagrams.
ADCP = "EC150"
# Kinds of XML, besides configuration and parameters, whose content is in the output.
_CONVERTED_XML = {"initialparameter", "pingsequence"}
# The pulse forms of complex samples that echopype knows: CW and FM.
_PULSE_FORMS = {"0", "1"}

_NAME = re.compile(rb"[ -~]+")

_int16 = struct.Struct("<h").unpack_from
_int32 = struct.Struct("<i").unpack_from


class EK80Walk(SimradWalk):
    """A walk over a file of EK80's format."""

    header = 4 + PING_LENGTH
    account = "EK80"

    def __init__(self, fd: int, tally: Tally) -> None:
        super().__init__(fd, tally)
        self._configured: set[str] = set()
        # By channel, parameters that no ping has followed yet; and those of the last ping.
        self._waiting: dict[str, ParsedXml] = {}
        self._in_force: tuple[str, ParsedXml] | None = None
        self._pulse_forms = Counter[str]()  # of complex pings, those that echopype does not know
        self._filters = Filters(fd)
        self._environments = Environments()
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
        self._forget()

    def _xml(self, item: Datagram) -> str | None:
        body = os.pread(self.fd, item.length - 12, item.offset + 16)
        try:
            xml = parsed(body)
        except ET.ParseError:
            return self._broken_xml(item, until_nul(body))
        subtype, channels = xml.subtype, xml.channels
        if subtype == "configuration":
            if not self.is_own(item, body):
                return None
            self._configured = {channel for channel in channels if channel}
            if not self._configured:
                return "the configuration names no channel"
            self.tally.configured = True
        elif subtype == "parameter":
            if not self._parameters(item, xml):
                return None
        else:
            self._other_xml(item, body, subtype)
        for field in xml.others:
            self.hold(field, item)
        self.keep(item)
        return None

    def _other_xml(self, item: Datagram, body: bytes, subtype: str) -> None:
        if subtype == "environment":
            self._environments.add(item, body)
        elif subtype == "sensor":
            self.hold("XML0 Sensor", item)
        elif subtype not in _CONVERTED_XML:
            self.hold(XML_OTHER, item)

    def _parameters(self, item: Datagram, xml: ParsedXml) -> bool:
        """Take the parameters of the pings that follow; False if they are of no channel."""
        channel = xml.channels[-1] if xml.channels else ""
        if not channel:
            self._forget()
            self.refuse(item, f"its parameters name no channel (byte {item.offset})")
        elif ADCP in channel:
            self._hold_adcp("XML0 Parameter", item)
        else:
            self._waiting[channel] = xml
            self._in_force = channel, xml
        return bool(channel)

    def _forget(self) -> None:
        self._waiting.clear()
        self._in_force = None

    def _parameters_of(self, channel: str) -> ParsedXml | None:
        """The parameters of a channel's ping; None if none came since its last ping."""
        if channel in self._waiting:
            self._in_force = channel, self._waiting[channel]
        found, xml = self._in_force or ("", None)
        return xml if found == channel else None

    def _broken_xml(self, item: Datagram, body: bytes) -> str | None:
        """Leave out XML that is text but has an error: a sounder wrote it so. Other is damage."""
        if not is_written(body) or b"<Configuration" in body:
            return "the XML of the XML0 datagram is broken"
        self._forget()
        self.refuse(item, f"its XML has an error (byte {item.offset})")
        return None

    def _con0(self, item: Datagram) -> str | None:
        self.tally.second_file = item.offset
        return None

    def _ping(self, item: Datagram) -> str | None:
        channel = self._channel(item)
        if channel is None:
            return self._unknown_channel(item)
        if ADCP in channel:
            self._hold_adcp("pings", item)
            self.keep(item)
            return None
        kind = _int16(item.head, 144)[0]
        samples = Samples(kind & 1, kind >> 1 & 1, kind >> 8, _int32(item.head, 152)[0])
        if not (samples.power or samples.angle or samples.sectors):
            samples = samples._replace(number=0)
        pair = 8 if kind & FLOAT32 else 4  # bytes
        held = samples.number * (2 * (samples.power + samples.angle) + samples.sectors * pair)
        sensible = samples.number >= 0 and samples.sectors >= 0
        if not sensible or not self.has_length(item, PING_LENGTH + held, samples):
            return f"the RAW3 datagram does not have the {samples.number} samples that it says"
        transmit = self.transmits.pop(channel, None)
        parameters = self._parameters_of(channel)
        self._waiting.pop(channel, None)
        if parameters is None:
            self.tally.pings_unusable += 1
            if transmit is not None:
                self.tally.dropped.append(transmit)
            self._refuse_without_parameters(item, channel)
            return None
        if samples.sectors and not kind & (FLOAT16 | FLOAT32):
            cause = f"its complex samples are neither float16 nor float32 (byte {item.offset})"
            self.refuse(item, cause)
            return None
        if samples.sectors and parameters.pulse_form not in _PULSE_FORMS:
            self._pulse_forms[parameters.pulse_form] += 1
        if not parameters.has_interval:
            self.without_interval.append(len(self.pings))
        self._environments.ping()
        self.pings.add(channel, item, (samples.number, kind), transmit)
        self.keep(item)
        return None

    def _transmit(self, item: Datagram) -> str | None:
        channel = self._channel(item)
        if channel is None:
            return self._unknown_channel(item)
        if ADCP not in channel:
            if self._parameters_of(channel) is None:
                self._refuse_without_parameters(item, channel)
                return None
            if channel in self.transmits:
                self.tally.dropped.append(self.transmits[channel])
                self.hold(WITHOUT_PING, item)
            self.transmits[channel] = (item.offset, item.end)
        else:
            self._hold_adcp(item.name, item)
        self.keep(item)
        return None

    def _filter(self, item: Datagram) -> str | None:
        if cause := self._other(item):
            return cause
        channel = text_of(item.head[20:148])
        if ADCP in channel:
            self._hold_adcp(item.name, item)
        elif lost := self._filters.lost(item, channel, self._configured):
            self.hold(lost, item)
        return None

    def _hold_adcp(self, type_: str, item: Datagram) -> None:
        self.hold(f"{type_} of an ADCP ({ADCP})", item)

    def _refuse_without_parameters(self, item: Datagram, channel: str) -> None:
        # After damage, the damage is the cause and is reported instead.
        if not self.broken:
            cause = f"no parameters (XML0) of channel {channel} before it (byte {item.offset})"
            self.refuse(item, cause)

    def _unknown_channel(self, item: Datagram) -> str | None:
        """Leave out a datagram of a channel that the configuration lacks; damage if it is no text."""
        name = item.head[16:144].rstrip(b"\x00")
        if item.length < PING_LENGTH or not name or not _NAME.fullmatch(name):
            return f"the {item.name} datagram is from a channel that is not configured"
        self.refuse(item, f"the configuration has no channel {name.decode()} (byte {item.offset})")
        return None

    def _channel(self, item: Datagram) -> str | None:
        """The datagram's channel; None if the channel is not configured."""
        if item.length < PING_LENGTH:
            return None
        field = item.head[16:144]
        if field not in self._names:
            name = text_of(field)
            known = ADCP in name or name in self._configured or not self.tally.configured
            self._names[field] = name if name and known else None
        return self._names[field]

    def _finish(self) -> None:
        for item in self._environments.without_ping() if len(self.pings) else ():
            self.hold(AFTER_ALL_PINGS, item)
        super()._finish()
        for form, count in self._pulse_forms.items():
            named = f"pulse form {form}" + (" (FMD)" if form == "5" else "")
            cause = f"echopype does not know {named} of {count} pings"
            self.tally.unconverted.append(f"the shape of the pulses of {count} pings, {named}")
            if self.tally.unsupported is None:
                self.tally.unsupported = Unsupported("XML0", cause, removable=True)
