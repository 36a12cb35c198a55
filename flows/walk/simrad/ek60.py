"""EK60's file format (EK60, ES60, ES70): a CON0 configuration, then RAW0 pings.

Layouts as in echopype's `SimradConfigParser` and `SimradRawParser`.
"""

from __future__ import annotations

import math
import os
import struct

from flows.walk.simrad.fields import latin_text
from flows.walk.simrad.framing import Datagram
from flows.walk.simrad.walk import Handler, Samples, SimradWalk
from flows.walk.tally import Tally

CONFIGURATION_LENGTH = 528
TRANSCEIVER_LENGTH = 320
PING_LENGTH = 84

_transceiver_and_mode = struct.Struct("<hh").unpack_from
_int32 = struct.Struct("<i").unpack_from
_float = struct.Struct("<f").unpack_from


class EK60Walk(SimradWalk):
    """A walk over a file of EK60's format."""

    header = 4 + PING_LENGTH
    account = "EK60"

    def __init__(self, fd: int, tally: Tally) -> None:
        super().__init__(fd, tally)
        self._channels: dict[int, str] = {}  # by transceiver number, from 1
        self._transceivers: dict[str, int] = {}  # of the channels that ping

    def handlers(self) -> dict[bytes, Handler]:
        """Handlers of CON0 and RAW0; an XML0 means that an EK80 file was appended."""
        return {b"CON0": self._configuration, b"RAW0": self._ping, b"XML0": self._xml}

    def _configuration(self, item: Datagram) -> str | None:
        body = os.pread(self.fd, item.length, item.offset + 4)
        if not self.is_own(item, body[12:]):
            return None
        count = _int32(body, 524)[0] if item.length >= CONFIGURATION_LENGTH else 0
        if not 0 < count <= (item.length - CONFIGURATION_LENGTH) // TRANSCEIVER_LENGTH:
            return "the CON0 datagram does not have the number of transceivers that it says"
        for number in range(count):
            at = CONFIGURATION_LENGTH + number * TRANSCEIVER_LENGTH
            self._channels[number + 1] = latin_text(body[at : at + 128])
        self.tally.configured = True
        self.keep(item)
        return None

    def _ping(self, item: Datagram) -> str | None:
        if item.length < PING_LENGTH:
            return "the RAW0 datagram is shorter than its header"
        transceiver, mode = _transceiver_and_mode(item.head, 16)
        samples = Samples(mode & 1, mode >> 1 & 1, 0, _int32(item.head, 84)[0])
        channel = self._channels.get(transceiver)
        if channel is None:
            if self.tally.configured:
                return f"the RAW0 datagram's transceiver {transceiver} is not configured"
            channel = f"transceiver {transceiver}"
        if not samples.power and not samples.angle:
            samples = samples._replace(number=0)
        held = 2 * samples.number * (samples.power + samples.angle)
        if samples.number < 0 or not self.has_length(item, PING_LENGTH + held, samples):
            return f"the RAW0 datagram does not have the {samples.number} samples that it says"
        if (first := self._transceivers.setdefault(channel, transceiver)) != transceiver:
            cause = f"transceivers {first} and {transceiver} have the same channel id {channel!r}"
            self.refuse(item, f"{cause} (byte {item.offset})")
            return None
        if math.isnan(_float(item.head, 40)[0]):
            self.refuse(item, f"it has no sample interval (byte {item.offset})")
            return None
        self.pings.add(channel, item, (samples.number, mode & 3), None)
        self.keep(item)
        return None

    def _xml(self, item: Datagram) -> str | None:
        if b"<Configuration" in os.pread(self.fd, item.length, item.offset + 4):
            self.tally.second_file = item.offset
            return None
        self.refuse(item, f"EK60's format does not have it (byte {item.offset})")
        return None
