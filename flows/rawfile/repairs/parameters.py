"""The XML Parameter and Environment of an EK80 file, as echopype's `SetGroupsEK80` reads them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Any

from flows.rawfile.repairs.numbers_as_text import (
    MISSING,
    Rule,
    as_float,
    as_integer,
    repair_attributes,
)

_PARAMETERS = Rule(
    dict.fromkeys(("PulseDuration", "TransmitPower", "Slope"), MISSING),
    ("Frequency", "PulseDuration", "SampleInterval", "TransmitPower", "Slope"),
)
FREQUENCIES = ("FrequencyStart", "FrequencyEnd")
_FM_PARAMETERS = Rule(dict.fromkeys(FREQUENCIES, MISSING), FREQUENCIES)
_VALUES = dict.fromkeys(("Depth", "Acidity", "Salinity", "SoundSpeed", "Temperature"), MISSING)
# Of an Environment that has nothing of the water, too.
NUMBERS = Rule(
    {},
    (*_VALUES, "Latitude", "DropKeelOffset", "WaterLevelDraft"),
    ("DropKeelOffsetIsManual", "WaterLevelDraftIsManual"),
)
_PROFILE = "SoundVelocityProfile"
NO_ENVIRONMENT = "the file has no Environment: its values are NaN"
_CW, _FM, _FMD = "0", "1", "5"


@dataclass(frozen=True)
class RepairedParameters:
    """What was repaired.

    `restored` has, by variable, the value of the ping in the output, instead of what echopype read.
    `pulse_form` is the one that echopype reads. `lost_frequencies`: the start and end of a CW pulse's
    frequency were left out.
    """

    notes: list[str] = field(default_factory=list)
    restored: dict[str, Any] = field(default_factory=dict)
    pulse_form: str = _CW
    lost_frequencies: bool = False
    has_interval: bool = True


def repair_parameters(channel: ET.Element) -> RepairedParameters:
    """Repair the parameters of a ping in place.

    echopype stores each value in a list by channel, so that a value which some pings lack
    makes the list shorter than the list of the pings.
    """
    notes: list[str] = []
    restored: dict[str, Any] = {}
    if "PulseLength" in channel.attrib:
        # If one ping has it, echopype reads only this name, for all pings.
        channel.attrib.setdefault("PulseDuration", channel.attrib.pop("PulseLength"))
    notes += repair_attributes(channel, _PARAMETERS)
    interval = as_float(channel.get("SampleInterval"))
    form, note = _pulse_form(channel)
    if note:
        notes.append(note)
    known = form if form in {_CW, _FM} else _FM if FREQUENCIES[0] in channel.attrib else _CW
    if form != known:
        restored["transmit_type"] = "FMD" if form == _FMD else f"PulseForm {form}"
        notes.append(
            f"echopype does not know pulse form {form}: read as {'FM' if known == _FM else 'CW'}, "
            f"with the transmit_type {restored['transmit_type']}"
        )
    if known != channel.get("PulseForm"):
        channel.set("PulseForm", known)
    lost = False
    if known == _FM:
        notes += repair_attributes(channel, _FM_PARAMETERS)
    else:
        for name in FREQUENCIES:
            lost |= channel.attrib.pop(name, None) is not None
    mode = as_integer(channel.get("ChannelMode"))
    if mode is None:
        restored["channel_mode"] = math.nan
        notes.append("the file has no ChannelMode of Channel: NaN")
        mode = "0"
    elif not -128 <= int(mode) < 128:
        restored["channel_mode"] = float(mode)
        notes.append("echopype cannot store the ChannelMode of Channel in a byte")
        mode = "0"
    if mode != channel.get("ChannelMode"):
        channel.set("ChannelMode", mode)
    return RepairedParameters(
        notes, restored, known, lost, interval is not None and not math.isnan(float(interval))
    )


def _pulse_form(channel: ET.Element) -> tuple[str, str | None]:
    text = channel.get("PulseForm")
    if text is None:
        form = _FM if FREQUENCIES[0] in channel.attrib else _CW
        return form, f"the file has no PulseForm of Channel: {'FM' if form == _FM else 'CW'}"
    return as_integer(text) or text, None


def environment_without_values() -> ET.Element:
    """An environment whose values are all missing."""
    return ET.Element("Environment", _VALUES)


def repair_environment(root: ET.Element) -> list[str]:
    """Repair an environment in place; a sentence for each repair."""
    notes = repair_attributes(root, NUMBERS)
    for transducer in root.iter("Transducer"):
        notes += repair_attributes(transducer, Rule(floats=("SoundSpeed",)))
    if (profile := root.get(_PROFILE)) is not None:
        notes += _repair_profile(root, profile)
    return notes + repair_attributes(root, Rule(_VALUES))


def _repair_profile(root: ET.Element, profile: str) -> list[str]:
    """Leave a sound velocity profile out unless it is pairs of numbers."""
    texts = profile.split(";")
    while texts and not texts[-1].strip():
        texts.pop()
    numbers = [as_float(text) for text in texts]
    if not texts:
        del root.attrib[_PROFILE]
        return ["the SoundVelocityProfile of the Environment is empty: left out"]
    if len(numbers) % 2 or None in numbers:
        del root.attrib[_PROFILE]
        return ["the SoundVelocityProfile of the Environment is not pairs of numbers: left out"]
    readable = ";".join(number for number in numbers if number is not None)
    if readable == profile:
        return []
    root.set(_PROFILE, readable)
    return ["the SoundVelocityProfile of the Environment is written in an unusual way"]
