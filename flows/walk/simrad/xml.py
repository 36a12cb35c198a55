"""XML0 datagrams as trees: the walk, the repairs and the facts of a file read the same one.

Elements as in Simrad's EK80 interface description ("XML0").
"""

from __future__ import annotations

import functools
import re
import xml.etree.ElementTree as ET
from typing import NamedTuple

from flows.walk.simrad.fields import text_of

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
# Attributes of Environment -> names in echopype's Platform group.
OF_PLATFORM = {
    "WaterLevelDraft": "water_level",
    "WaterLevelDraftIsManual": "water_level_draft_is_manual",
    "DropKeelOffset": "drop_keel_offset",
    "DropKeelOffsetIsManual": "drop_keel_offset_is_manual",
}
_OF_WATER = frozenset(
    (
        *("Depth", "Acidity", "Salinity", "SoundSpeed", "Temperature"),
        *("SoundVelocityProfile", "SoundVelocitySource"),
    )
)
_OF_ENVIRONMENT = _OF_WATER | {"Latitude", *OF_PLATFORM}
_NOTHING = frozenset[str]()
_NOT_TEXT = re.compile(rb"[^\t\r\n -~\x80-\xff]")
# How an XML in UTF-16 begins, with and without a byte order mark.
_UTF_16 = {
    "utf-16": re.compile(rb"\xff\xfe|\xfe\xff"),
    "utf-16-le": re.compile(rb"[<\s]\x00"),
    "utf-16-be": re.compile(rb"\x00[<\s]"),
}
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


def xml_text(body: bytes) -> str:
    """The text of an XML0's body: UTF-8, UTF-16, or Latin-1, without blanks around it."""
    encoding = next((name for name, start in _UTF_16.items() if start.match(body)), None)
    if encoding is None:
        return text_of(body).strip()
    whole = body[: len(body) // 2 * 2]
    return whole.decode(encoding, "replace").partition("\x00")[0].strip()


def read_xml(body: bytes) -> Xml:
    """The tree of an XML0's body.

    Raises:
        ET.ParseError: it is not XML.
    """
    root = ET.fromstring(xml_text(body))  # noqa: S314 - echopype parses the same text with the same parser
    renamed = False
    for element in root.iter():
        plain = element.tag.rpartition("}")[2]
        if element is root:
            plain = _ROOTS.get(plain.lower(), plain)
        renamed |= plain != element.tag
        element.tag = plain
    return Xml(root, renamed)


def is_written(body: bytes) -> bool:
    """Whether an XML with an error is text to its end: a sounder wrote it so."""
    return body.rstrip().endswith(b">") and not _NOT_TEXT.search(body)


class ParsedXml(NamedTuple):
    """What the walk needs of an XML0.

    `subtype` is its kind, in lower case. Pulse form, and whether there is a sample interval, are those
    of the last channel. `others` are names of the fields that the account does not have.
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


def parameters_channel(body: bytes) -> str | None:
    """The channel of an XML0's body, if that has the parameters of a ping."""
    try:
        xml = parsed(body)
    except ET.ParseError:
        return None
    return xml.channels[-1] if xml.subtype == "parameter" and xml.channels else None


def changes_platform_only(root: ET.Element) -> bool:
    """Whether an Environment has nothing of the water: it changes only what it names.

    EK80 writes such ones for the drop keel in mid-file (echopype#1386).
    """
    given = {name for element in root.iter("Environment") for name in element.attrib}
    return given.isdisjoint(_OF_WATER) and root.find(".//Transducer") is None


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
            f"text at {element.tag}"
            for text in (element.text, element.tail)
            if text and text.strip()
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
