"""The values of EK80's Parameter and Environment XML that echopype reads wrongly or drops.

Attributes as in Simrad's EK80 interface description ("XML0") and in real files.
"""

from __future__ import annotations

import functools
import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from flows.rawfile.repairs.numbers_as_text import as_float, as_integer
from flows.walk.simrad.xml import OF_PLATFORM, changes_platform_only, read_xml

# Attribute of Environment -> name in echopype's Environment group.
_ENVIRONMENT = {
    "Depth": "depth",
    "Acidity": "acidity",
    "Salinity": "salinity",
    "SoundSpeed": "sound_speed_indicative",
    "Temperature": "temperature",
}


@dataclass(frozen=True)
class PingParameters:
    """A ping's values in its Parameter XML, NaN where it has none.

    `start` and `stop` are its first and last transmitted frequency in Hz, for CW the same; sound speed
    in m/s, transducer depth in m.
    """

    channel: str
    start: float
    stop: float
    sound_speed: float
    depth: float


@dataclass(frozen=True)
class Environment:
    """The values of an Environment XML, by their names in echopype's Environment and Platform groups.

    `profile`: depth in m -> sound speed in m/s.
    """

    time: np.datetime64
    environment: Mapping[str, float | str]
    platform: Mapping[str, float]
    profile: Mapping[float, float]


def xml_root(body: bytes) -> ET.Element | None:
    """The root of an XML0's body; None if it is broken."""
    try:
        return read_xml(body).root
    except ET.ParseError:
        return None


def number(text: str | None) -> float:
    """The number in an attribute, as the repairs read it; NaN without one."""
    found = as_float(text)
    return math.nan if found is None else float(found)


# The parameters of a channel seldom change, and a file has one for each ping.
@functools.lru_cache(maxsize=4096)
def ping_parameters(body: bytes) -> PingParameters | None:
    """The values of a Parameter XML; None for any other XML.

    The pulse form decides which frequencies were transmitted: some versions write all
    three attributes for CW.
    """
    root = xml_root(body)
    if root is None or root.tag != "Parameter":
        return None
    merged: dict[str, str] = {}
    for channel in root.iter("Channel"):
        merged |= channel.attrib
    single = number(merged.get("Frequency"))
    start, stop = (number(merged.get(f"Frequency{end}")) for end in ("Start", "End"))
    is_cw = as_integer(merged.get("PulseForm")) == "0"
    if math.isnan(start) or math.isnan(stop) or (is_cw and not math.isnan(single)):
        start = stop = single
    return PingParameters(
        merged.get("ChannelID", ""),
        start,
        stop,
        number(merged.get("SoundVelocity")),
        number(merged.get("TransducerDepth")),
    )


def environment_values(
    body: bytes, time: np.datetime64, before: Environment | None
) -> Environment | None:
    """The values of an Environment XML of this time; None for any other XML.

    `before` is the Environment before it.
    """
    root = xml_root(body)
    if root is None or root.tag != "Environment":
        return None
    given: dict[str, str] = {}
    for element in root.iter("Environment"):
        given |= element.attrib
    platform = {name: number(given.get(a)) for a, name in OF_PLATFORM.items() if a in given}
    if changes_platform_only(root):
        before = before or Environment(time, {}, {}, {})
        return replace(before, time=time, platform={**before.platform, **platform})
    values: dict[str, float | str] = {
        name: number(given.get(a)) for a, name in _ENVIRONMENT.items() if a in given
    }
    if "SoundVelocitySource" in given:
        values["sound_velocity_source"] = given["SoundVelocitySource"]
    for transducer in root.iter("Transducer"):
        # As in echopype, the last one counts.
        values["transducer_name"] = transducer.get("TransducerName", "")
        values["transducer_sound_speed"] = number(transducer.get("SoundSpeed"))
    pairs = [number(text) for text in given.get("SoundVelocityProfile", "").split(";")]
    profile = dict(zip(pairs[::2], pairs[1::2], strict=False))
    return Environment(time, values, platform, profile)
