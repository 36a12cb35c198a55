"""The XML parameters of an EK80 ping, as echopype's `SetGroupsEK80` requires them."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Any

from flows.rawfile.repairs.numbers_as_text import (
    MISSING,
    as_float,
    as_integer,
    with_floats,
    with_required,
)

_FLOATS = ("Frequency", "PulseDuration", "SampleInterval", "TransmitPower", "Slope")
_REQUIRED = dict.fromkeys(("PulseDuration", "TransmitPower", "Slope"), MISSING)
FREQUENCIES = ("FrequencyStart", "FrequencyEnd")
_CW, _FM, _FMD = "0", "1", "5"


@dataclass(frozen=True)
class RepairedParameters:
    """What was repaired.

    Attributes:
        notes: a sentence for each repair.
        restored: variable -> value of the ping in the output, instead of what echopype read.
        pulse_form: the pulse form that echopype reads.
        lost_frequencies: whether the start and end of a CW pulse's frequency were left out.
        has_interval: whether the sample interval is a number.
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
        channel.attrib.pop("PulseLength", None)
    notes += with_floats(channel, _FLOATS) + with_required(channel, _REQUIRED)
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
        notes += with_floats(channel, FREQUENCIES)
        notes += with_required(channel, dict.fromkeys(FREQUENCIES, MISSING))
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
