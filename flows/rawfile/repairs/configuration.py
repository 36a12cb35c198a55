"""The XML configuration of an EK80 file, as echopype's `SimradXMLParser` and `SetGroupsEK80` need it.

echopype reads some attributes of all channels without a default, reads others as
integers, and makes arrays over channels. GPTs and makers' versions lack some of them.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass, field

from flows.rawfile.repairs.numbers_as_text import (
    MISSING,
    Rule,
    as_float,
    as_integer,
    repair_attributes,
)

_HEADER = Rule({"ApplicationName": "", "Version": ""})
_TRANSCEIVER = Rule(
    {"SerialNumber": "", "TransceiverSoftwareVersion": ""},
    ("RxSampleFrequency",),
    ("TransceiverNumber",),
)
_CHANNEL = Rule({"ChannelIdShort": ""}, (), ("MaxTxPowerTransceiver",))
_TRANSDUCER_FLOATS = (
    *("Frequency", "FrequencyMinimum", "FrequencyMaximum", "MaxTxPowerTransducer"),
    *("EquivalentBeamAngle", "BeamWidthAlongship", "BeamWidthAthwartship"),
    *("AngleSensitivityAlongship", "AngleSensitivityAthwartship", "AngleOffsetAlongship"),
    *("AngleOffsetAthwartship", "DirectivityDropAt2XBeamWidth"),
    *("TransducerOffsetX", "TransducerOffsetY", "TransducerOffsetZ"),
    *("TransducerAlphaX", "TransducerAlphaY", "TransducerAlphaZ"),
)
_TRANSDUCER = Rule(
    {"TransducerName": "", "SerialNumber": "", "Frequency": MISSING},
    _TRANSDUCER_FLOATS,
    ("BeamType",),
)
_MOUNTING = Rule({"TransducerName": "", "TransducerCustomName": ""}, _TRANSDUCER_FLOATS)
_CALIBRATION = (
    *("Gain", "Impedance", "Phase", "BeamWidthAlongship", "BeamWidthAthwartship"),
    *("AngleOffsetAlongship", "AngleOffsetAthwartship"),
)
_FREQUENCY = Rule(dict.fromkeys(_CALIBRATION, MISSING), _CALIBRATION)
# Read for all channels or for none.
_ALL_OR_NONE = {"RxSampleFrequency": MISSING, "TransceiverType": ""}
# echopype looks for the transceiver's number in each channel's name.
_NUMBER_IN_NAME = re.compile(r"\d{6}-\w{1,2}|\w{12}-\w{1,2}")


@dataclass
class RepairedConfiguration:
    """What was repaired.

    `names`: name of a channel that echopype reads -> the channel's name, where they differ.
    `frequencies`: those of calibrations in Hz, of which echopype reads the numbers; empty if it reads
    them themselves.
    `impedances`: of each channel's transceiver, NaN where the file has none; empty if echopype reads
    them itself.
    """

    notes: list[str] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    impedances: dict[str, float] = field(default_factory=dict)
    frequencies: list[float] = field(default_factory=list)


def repair_configuration(root: ET.Element) -> RepairedConfiguration:
    """Repair a configuration in place."""
    found = RepairedConfiguration()
    notes = found.notes
    pairs = [(t, c) for t in root.iter("Transceiver") for c in t.iter("Channel")]
    header = root.find("Header")
    header = ET.SubElement(root, "Header") if header is None else header
    notes += repair_attributes(header, _HEADER)
    for transceiver in root.iter("Transceiver"):
        notes += repair_attributes(transceiver, _TRANSCEIVER)
    for name, value in _ALL_OR_NONE.items():
        transceivers = [transceiver for transceiver, _ in pairs]
        if any(name in transceiver.attrib for transceiver in transceivers):
            for transceiver in transceivers:
                notes += repair_attributes(transceiver, Rule({name: value}))
    _repair_impedances(pairs, found)
    for _, channel in pairs:
        notes += repair_attributes(channel, _CHANNEL)
        transducer = channel.find("Transducer")
        if transducer is None:
            transducer = ET.SubElement(channel, "Transducer")
        notes += repair_attributes(transducer, _TRANSDUCER)
        notes += _repair_calibration(transducer)
    _repair_frequencies([channel for _, channel in pairs], found)
    _repair_mountings(root, [channel for _, channel in pairs], notes)
    notes += _repair_pulse_tables([channel for _, channel in pairs])
    found.names = _rename([channel for _, channel in pairs])
    return found


def _repair_impedances(
    pairs: Iterable[tuple[ET.Element, ET.Element]], found: RepairedConfiguration
) -> None:
    """Impedances, which echopype reads as integers, of all channels or of none."""
    texts = {channel.get("ChannelID", ""): t.get("Impedance") for t, channel in pairs}
    if all(text is None for text in texts.values()):
        return
    if all(text is not None and as_integer(text) == text.strip() for text in texts.values()):
        return
    found.impedances = {
        name: math.nan if (number := as_float(text)) is None else float(number)
        for name, text in texts.items()
    }
    if missing := sum(math.isnan(value) for value in found.impedances.values()):
        found.notes.append(
            f"the file has no Impedance of the Transceiver of {missing} channels: NaN"
        )
    else:
        found.notes.append("Impedance of Transceiver is written as a float")
    for transceiver, _ in pairs:
        transceiver.set("Impedance", "0")


def _repair_calibration(transducer: ET.Element) -> list[str]:
    notes = []
    seen = set()
    for row in transducer.findall("FrequencyPar"):
        frequency = as_float(row.get("Frequency"))
        if frequency is None or not math.isfinite(float(frequency)):
            transducer.remove(row)
            notes.append("a FrequencyPar of a Transducer has no Frequency: left out")
            continue
        hertz = float(frequency)
        if hertz in seen:
            transducer.remove(row)
            notes.append("a FrequencyPar of a Transducer repeats a Frequency: left out")
            continue
        seen.add(hertz)
        row.set("Frequency", frequency)
        notes += repair_attributes(row, _FREQUENCY)
    return notes


def _repair_frequencies(channels: Iterable[ET.Element], found: RepairedConfiguration) -> None:
    """Frequencies of calibrations, which echopype reads as integers: it gets their number if one is not whole."""
    rows = [row for channel in channels for row in channel.iterfind("Transducer/FrequencyPar")]
    written = [row.get("Frequency", "") for row in rows]
    if all(as_integer(text) == text.strip() for text in written):
        return
    found.notes.append("Frequency of FrequencyPar is written as a float")
    found.frequencies = sorted({float(text) for text in written})
    for row, text in zip(rows, written, strict=True):
        row.set("Frequency", str(found.frequencies.index(float(text))))


def _repair_mountings(root: ET.Element, channels: list[ET.Element], notes: list[str]) -> None:
    """The section `Transducers`, whose values echopype adds to those of a channel's transducer."""
    section = root.find("Transducers")
    if section is None:
        return
    serials: dict[str, set[str]] = {}
    for channel in channels:
        for transducer in channel.findall("Transducer"):
            name = transducer.get("TransducerName", "")
            serials.setdefault(name, set()).add(transducer.get("SerialNumber", ""))
    for mounting in section.iter("Transducer"):
        notes += repair_attributes(mounting, _MOUNTING)
        # echopype overwrites the serial number of the channel's transducer with this one.
        known = serials.get(mounting.get("TransducerName", ""), set())
        serial = next(iter(known)) if len(known) == 1 else ""
        if not mounting.get("TransducerSerialNumber") and serial:
            mounting.set("TransducerSerialNumber", serial)
        notes += repair_attributes(mounting, Rule({"TransducerSerialNumber": ""}))


def _repair_pulse_tables(channels: list[ET.Element]) -> list[str]:
    """Tables by pulse duration, which echopype stores as one array over channels."""
    tables: list[tuple[ET.Element, str, list[str]]] = []
    for channel in channels:
        transducer = channel.find("Transducer")
        duration = "PulseDuration"
        if duration not in channel.attrib and "PulseLength" in channel.attrib:
            duration = "PulseLength"
        places = [(channel, duration)]
        if transducer is not None:
            places += [(transducer, "Gain"), (transducer, "SaCorrection")]
        for element, name in places:
            texts = [text for text in element.get(name, "").split(";") if text.strip()]
            tables.append((element, name, [as_float(text) or MISSING for text in texts]))
    width = max((len(values) for *_, values in tables), default=0) or 1
    notes = []
    for element, name, values in tables:
        padded = ";".join(values + [MISSING] * (width - len(values)))
        if [float(v) for v in values] != _floats(element.get(name)) or len(values) < width:
            element.set(name, padded)
            notes.append(f"{name} of {element.tag} has {len(values)} of {width} values: NaN")
    return notes


def _floats(text: str | None) -> list[float] | None:
    try:
        return [float(part) for part in (text or "").split(";")]
    except ValueError:
        return None


def _rename(channels: list[ET.Element]) -> dict[str, str]:
    """Give each channel a name that echopype can read, in place; new name -> the channel's name."""
    taken = {channel.get("ChannelID", "") for channel in channels}
    renamed = {}
    for number, channel in enumerate(channels):
        name = channel.get("ChannelID", "")
        plain = "".join(c if " " <= c <= "~" and c != "\\" else "_" for c in name)
        if plain == name and _NUMBER_IN_NAME.search(name):
            continue
        if not _NUMBER_IN_NAME.search(plain) or plain in taken:
            plain = f"{plain[:100]} {number:06}-00"
        taken.add(plain)
        channel.set("ChannelID", plain)
        renamed[plain] = name
    return renamed
