"""XML0 datagrams as trees: the walk, the repairs and the facts of a file read the same one.

Elements as in Simrad's EK80 interface description ("XML0").
"""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ET
from typing import NamedTuple

from flows.walk.simrad.names import text_of

_KINDS = (
    *("Configuration", "InitialParameter", "Environment", "Sensor"),
    *("PingSequence", "Parameter"),
)
_ROOTS = {kind.lower(): kind for kind in _KINDS}
_OF_CHANNEL = frozenset(
    (
        *("ChannelID", "PingId", "ChannelMode", "PulseForm", "SampleInterval", "Slope"),
        *("Frequency", "FrequencyStart", "FrequencyEnd", "PulseDuration", "PulseLength"),
        *("TransmitPower", "SoundVelocity", "TransducerDepth"),
    )
)
_OF_ENVIRONMENT = frozenset(
    (
        *("Depth", "Acidity", "Salinity", "SoundSpeed", "Temperature", "Latitude"),
        *("SoundVelocityProfile", "SoundVelocitySource", "DropKeelOffset"),
        *("DropKeelOffsetIsManual", "WaterLevelDraft", "WaterLevelDraftIsManual"),
    )
)
_NOTHING = frozenset[str]()
# Attributes that say where a schema is.
_OF_SCHEMAS = "{http://www.w3.org/"
# The account's elements and their attributes, by kind.
_IN_THE_ACCOUNT = {
    "InitialParameter": {
        **dict.fromkeys(("InitialParameter", "Channels"), _NOTHING),
        "Channel": _OF_CHANNEL,
    },
    "Parameter": {"Parameter": _NOTHING, "Channel": _OF_CHANNEL},
    "PingSequence": {"PingSequence": _NOTHING, "Ping": frozenset({"ChannelID", "PingId"})},
    "Environment": {
        "Environment": _OF_ENVIRONMENT,
        "Transducer": frozenset({"TransducerName", "SoundSpeed"}),
    },
}


class Xml(NamedTuple):
    """An XML0's tree, and whether its elements have other names in the file.

    Their names here have no namespace, and the root has the case of its kind.
    """

    root: ET.Element
    renamed: bool


def read_xml(body: bytes) -> Xml:
    """The tree of an XML0's body.

    Raises:
        ET.ParseError: it is not XML.
    """
    root = ET.fromstring(text_of(body))  # noqa: S314 - echopype parses the same text with the same parser
    renamed = False
    for element in root.iter():
        plain = element.tag.rpartition("}")[2]
        if element is root:
            plain = _ROOTS.get(plain.lower(), plain)
        renamed |= plain != element.tag
        element.tag = plain
    return Xml(root, renamed)


class ParsedXml(NamedTuple):
    """What the walk needs of an XML0.

    Attributes:
        subtype: its kind, in lower case.
        channels: its channels.
        pulse_form: pulse form of the last channel.
        has_interval: whether the last channel has a sample interval.
        others: names of the fields that the account does not have.
    """

    subtype: str
    channels: tuple[str, ...]
    pulse_form: str
    has_interval: bool
    others: tuple[str, ...]


@functools.lru_cache(64)
def parsed(body: bytes) -> ParsedXml:
    """Parse an XML0's body; a channel's parameters are mostly the same text.

    Raises:
        ET.ParseError: it is not XML.
    """
    root = read_xml(body).root
    channels = list(root.iter("Channel"))
    last = channels[-1].attrib if channels else {}
    return ParsedXml(
        root.tag.lower(),
        tuple(channel.get("ChannelID", "") for channel in channels),
        last.get("PulseForm", "0"),
        "SampleInterval" in last,
        tuple(f"XML0 {root.tag}: {name}" for name in not_in_the_account(root)),
    )


def is_parameters(body: bytes) -> bool:
    """Whether an XML0's body has the parameters of a ping."""
    try:
        return parsed(body).subtype == "parameter"
    except ET.ParseError:
        return False


def _is_text(text: str | None) -> bool:
    return bool(text and text.strip())


def not_in_the_account(root: ET.Element) -> tuple[str, ...]:
    """Names of what an XML0 has besides the fields of the account.

    The whole text of a configuration is in the output. An XML0 of an unknown kind is
    named as such.
    """
    known = _IN_THE_ACCOUNT.get(root.tag)
    if known is None:
        return ()
    found: list[str] = []
    for element in root.iter():
        if element.tag in known:
            names = (name for name in element.attrib if not name.startswith(_OF_SCHEMAS))
            found += [name for name in names if name not in known[element.tag]]
        else:
            found.append(element.tag)
        found += [
            f"text at {element.tag}" for text in (element.text, element.tail) if _is_text(text)
        ]
    if root.tag == "Parameter":
        # The parameters are of the last one.
        found += [
            f"Channel {each.get('ChannelID', '')}" for each in list(root.iter("Channel"))[:-1]
        ]
    if root.tag == "Environment":
        # echopype has the last one.
        found += [
            f"Transducer {element.get('TransducerName', '')}".strip()
            for element in list(root.iter("Transducer"))[:-1]
        ]
    return tuple(dict.fromkeys(found))
