"""Text in EK60's configuration, in NMEA sentences, filters and annotations."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET

from flows.walk.simrad.fields import text_of, until_nul

# Offsets of the text fields in a CON0 with its leading length, and their sizes (EK60 reference
# manual, "Configuration datagram"): survey, transect, sounder, version; then by transceiver the
# channel and the software version.
_HEADER_TEXTS = ((16, 128), (144, 128), (272, 128), (400, 30))
_TRANSCEIVER_TEXTS = ((0, 128), (276, 16))
_TRANSCEIVERS_AT, _TRANSCEIVER_SIZE, _COUNT_AT = 532, 320, 528
FILTER_CHANNEL = slice(20, 148)
_SENTENCE = {b"NME0": 16, b"NME1": 48}
_SHORTEST = 24
_PORT = slice(16, 48)

_int32 = struct.Struct("<i").unpack_from


def con0(datagram: bytes) -> tuple[bytes, list[str]]:
    """An EK60 configuration whose texts end at their first NUL; netCDF cannot store more."""
    changed = bytearray(datagram)
    count = _int32(datagram, _COUNT_AT)[0]
    fields = [*_HEADER_TEXTS]
    for number in range(count):
        start = _TRANSCEIVERS_AT + number * _TRANSCEIVER_SIZE
        fields += [(start + at, size) for at, size in _TRANSCEIVER_TEXTS]
    notes = []
    for at, size in fields:
        field = datagram[at : at + size]
        if b"\x00" in field.strip(b"\x00") and len(field) == size:
            changed[at : at + size] = until_nul(field).ljust(size, b"\x00")
            notes.append("old text behind the end of a text of the configuration is left out")
    return (bytes(changed) if notes else datagram), notes


def sentence(datagram: bytes) -> tuple[bytes, str | None, list[str]]:
    """An NMEA sentence as echopype can read it, its text if that is not ASCII, and notes.

    A NUL inside it becomes U+FFFD, since netCDF cannot store one.
    """
    start = _SENTENCE[datagram[4:8]]
    changed = bytearray(datagram)
    notes = []
    if start == _PORT.stop and not datagram[_PORT].isascii():
        changed[_PORT] = bytes(b if b < 128 else 63 for b in datagram[_PORT])
    body = datagram[start:-4].strip(b"\x00")
    text = None
    if b"\x00" in body or not body.isascii():
        if b"\x00" in body:
            notes.append("a NUL inside an NMEA sentence is stored as U+FFFD")
        else:
            notes.append("an NMEA sentence that is not ASCII is stored as UTF-8 or Latin-1")
        text = "\ufffd".join(map(text_of, body.split(b"\x00")))
        safe = bytes(b if 0 < b < 128 else 63 for b in body)
        changed[start:-4] = safe.ljust(len(datagram) - 4 - start, b"\x00")
    return (bytes(changed) if changed != datagram else datagram), text, notes


def not_too_short(datagram: bytes) -> tuple[bytes, list[str]]:
    """A datagram of at least four bytes of text; echopype skips a shorter one."""
    if len(datagram) >= _SHORTEST:
        return datagram, []
    body = datagram[4:-4].ljust(_SHORTEST - 8, b"\x00")
    length = struct.pack("<i", len(body))
    return length + body + length, ["an empty text, which echopype skips, is kept"]


def is_plain(body: bytes) -> bool:
    """Whether echopype, which reads ASCII from the first byte, has the text of an XML datagram."""
    text = body.strip(b"\x00")
    return text.isascii() and b"\x00" not in text and text.startswith(b"<")


def filter_of(datagram: bytes, channel: bytes) -> bytes:
    """A filter (FIL1) with another name in the channel's field."""
    start, stop = FILTER_CHANNEL.start, FILTER_CHANNEL.stop
    return datagram[:start] + channel.ljust(stop - start, b"\x00") + datagram[stop:]


def xml_datagram(root: ET.Element, like: bytes) -> bytes:
    """An XML0 with the time of another datagram, in ASCII."""
    body: bytes = b"XML0" + like[8:16] + ET.tostring(root, "us-ascii")
    length = struct.pack("<i", len(body))
    return length + body + length
