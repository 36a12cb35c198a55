"""Repairs the datagrams of one file, one after another, for echopype."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator

from flows.core.outcomes import UnsupportedDatagram
from flows.rawfile.repairs import text
from flows.rawfile.repairs.configuration import repair_configuration
from flows.rawfile.repairs.numbers_as_text import repair_attributes
from flows.rawfile.repairs.parameters import (
    NO_ENVIRONMENT,
    NUMBERS,
    RepairedParameters,
    environment_without_values,
    repair_environment,
    repair_parameters,
)
from flows.rawfile.repairs.pings import (
    CHANNEL,
    Cut,
    modes_in_a_byte,
    pulse_of_zeros,
    readable,
    rebuilt,
    repair_of_samples,
)
from flows.rawfile.repairs.restored import Restored
from flows.walk.repair_log import RepairLog
from flows.walk.simrad.fields import is_dated, text_of
from flows.walk.simrad.xml import changes_platform_only, read_xml, xml_text

_HEADERS = {b"RAW0": 88, b"RAW3": 156, b"RAW4": 156}
_MEMORY = 10_000
_ADCP = "EC150"
_NO_PARAMETERS = b"", RepairedParameters(has_interval=False)
_ticks = struct.Struct("<Q")


class Repairer:
    """One pass over the datagrams of a file; `log` and `restored` have what was done.

    Args:
        file: name of the file, for errors.
        header: bytes before the first sample of a ping.
    """

    def __init__(self, file: str, header: int) -> None:
        self.file = file
        self.header = header
        self.log = RepairLog()
        self.restored = Restored()
        self._configured = False
        self._has_environment = False
        self._environment_added: int | None = None
        self._early: list[bytes] = []
        self._sentences = 0
        self._by_xml: dict[bytes, tuple[str, bytes, RepairedParameters]] = {}
        self._parameters: dict[str, tuple[bytes, RepairedParameters]] = {}
        self._written = ""
        self._lost_frequencies: dict[str, list[int]] = {}
        self._fm: set[str] = set()

    def repaired(self, fd: int, items: Iterable[bytes | Cut]) -> Iterator[bytes]:
        """The datagrams for echopype, in order; the configuration comes first.

        Raises:
            UnsupportedDatagram: echopype needs a value that cannot be missing.
            OSError: the raw file cannot be read.
        """
        for item in items:
            if isinstance(item, Cut):
                yield from self._ping(fd, item)
                continue
            if (made := self._other(item)) is None:
                continue
            if not self._configured:
                self._early.append(made)
                continue
            yield made
            for datagram in self._early:
                self._note("a datagram before the configuration is read after it", datagram)
                yield datagram
            self._early.clear()
        self._finish()

    def _note(self, what: str, datagram: bytes) -> None:
        self.log.note(what, _ticks.unpack_from(datagram, 8)[0])

    def _other(self, datagram: bytes) -> bytes | None:
        """A datagram that is not a ping; None if it has no time."""
        type_ = datagram[4:8]
        if not is_dated(_ticks.unpack_from(datagram, 8)[0]):
            # The walk has named it as not converted; echopype would search for what comes after it.
            return None
        notes: list[str] = []
        if type_ == b"CON0":
            self._configured = True
            datagram, notes = text.con0(datagram)
        elif type_ == b"XML0":
            return self._xml(datagram)
        elif type_ in {b"NME0", b"NME1"}:
            datagram, notes = self._sentence(datagram)
        elif type_ == b"TAG0":
            datagram, notes = text.not_too_short(datagram)
        elif type_ == b"FIL1":
            name = self._name_for_echopype(datagram[text.FILTER_CHANNEL])
            datagram = text.filter_of(datagram, name)
        elif type_ in _HEADERS:
            datagram = self._readable(datagram)
        for note in notes:
            self._note(note, datagram)
        return datagram

    def _sentence(self, datagram: bytes) -> tuple[bytes, list[str]]:
        datagram, short = text.not_too_short(datagram)
        datagram, sentence, notes = text.sentence(datagram)
        if sentence is not None:
            self.restored.sentences[self._sentences] = sentence
        self._sentences += 1
        return datagram, notes + short

    def _name_for_echopype(self, field_: bytes) -> bytes:
        name = text_of(field_)
        return next((r for r, own in self.restored.names.items() if own == name), name).encode()

    def _readable(self, datagram: bytes) -> bytes:
        header = _HEADERS[datagram[4:8]]
        channel = self._name_for_echopype(datagram[CHANNEL]) if header == 156 else None
        made, notes = readable(datagram, header, channel)
        for note in notes:
            self._note(note, made)
        return made

    def _ping(self, fd: int, cut: Cut) -> Iterator[bytes]:
        made = self._readable(rebuilt(fd, cut, self.header))
        ticks = _ticks.unpack_from(made, 8)[0]
        if cut.channel in self._parameters and cut.channel != self._written:
            self._written = cut.channel
            why = "parameters of another channel between a ping and its own: put before it"
            self.log.note(why, ticks)
            yield self._parameters[cut.channel][0]
        if made[4:8] == b"RAW4":
            yield made
            return
        if made[4:8] == b"RAW0":
            made, modes = modes_in_a_byte(made)
            if modes:
                self.restored.pings[cut.offset] = modes
                self.log.note("a mode of a ping, which echopype cannot store in a byte", ticks)
        if made[4:8] == b"RAW3":
            if not self._has_environment and self._environment_added is None:
                self._environment_added = ticks
                yield text.xml_datagram(environment_without_values(), made)
            self._with_parameters(ticks, cut)
        if what := repair_of_samples(cut):
            self.log.note(what, ticks)
        if cut.lacks_pulse:
            self.log.note("a ping has no transmit pulse (RAW4), others of its channel do", ticks)
            yield pulse_of_zeros(made)
        yield made

    def _with_parameters(self, ticks: int, cut: Cut) -> None:
        """Note what was repaired in the parameters of a ping."""
        _, found = self._parameters.get(cut.channel, _NO_PARAMETERS)
        if not found.has_interval:
            cause = f"the parameters of channel {cut.channel} have no SampleInterval"
            raise UnsupportedDatagram(self.file, "XML0", cause)
        if found.restored:
            self.restored.pings[cut.offset] = found.restored
        for note in found.notes:
            self.log.note(note, ticks)
        if found.pulse_form == "1":
            self._fm.add(cut.channel)
        if found.lost_frequencies:
            self._lost_frequencies.setdefault(cut.channel, []).append(ticks)

    def _xml(self, datagram: bytes) -> bytes | None:
        body = datagram[16:-4]
        if kept := self._by_xml.get(body):
            self._written, made, found = kept
            self._parameters[self._written] = made, found
            return made[:8] + datagram[8:16] + made[16:]
        root, renamed = read_xml(body)
        if root.tag == "Environment" and changes_platform_only(root):
            # echopype would take it in place of the one before; the corrections have its values.
            for note in repair_attributes(root, NUMBERS):
                self._note(note, datagram)
            return None
        notes = [f"names of elements of the XML {root.tag} that echopype does not know"] * renamed
        if root.tag == "Configuration":
            repaired = repair_configuration(root)
            self._configured = True
            self.restored.names, self.restored.impedances = repaired.names, repaired.impedances
            self.restored.frequencies = repaired.frequencies
            unread = "echopype cannot read the name of channel"
            notes += repaired.notes + [f"{unread} {name}" for name in repaired.names.values()]
        elif root.tag == "Environment":
            notes += repair_environment(root)
            self._has_environment = True
        elif root.tag == "Parameter":
            return self._parameter(root, datagram, notes)
        for note in notes:
            self._note(note, datagram)
        if not notes and text.is_plain(body):
            return datagram
        if root.tag == "Configuration":
            self.restored.configuration = xml_text(body)
        return text.xml_datagram(root, datagram)

    def _parameter(self, root: ET.Element, datagram: bytes, notes: list[str]) -> bytes:
        body = datagram[16:-4]
        before = ET.tostring(root)
        found, name = RepairedParameters(), ""
        for channel in root.iter("Channel"):
            name = channel.get("ChannelID", "")
            if _ADCP in name:
                return datagram
            channel.set("ChannelID", self._name_for_echopype(name.encode()).decode())
            found = repair_parameters(channel)
        found.notes.extend(notes)
        same = not notes and ET.tostring(root) == before and text.is_plain(body)
        made = datagram if same else text.xml_datagram(root, datagram)
        self._written = name
        self._parameters[name] = made, found
        if len(self._by_xml) < _MEMORY:
            self._by_xml[body] = name, made, found
        return made

    def _finish(self) -> None:
        if self._environment_added is not None and not self._has_environment:
            self.log.note(NO_ENVIRONMENT, self._environment_added)
        for channel in self._fm & self._lost_frequencies.keys():
            for ticks in self._lost_frequencies[channel]:
                what = "a CW ping among FM pings has a FrequencyStart, which echopype reads for FM"
                self.log.note(what, ticks)
