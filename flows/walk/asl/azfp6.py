"""AZFP (ULS6) data files: settings XML, then pings between flags, little-endian.

Layout as in echopype's `parse_azfp6.py`: the file begins with a flag, the XML's
length, the XML, an end flag and the length again. A ping is a start flag, a
length, a header of typed records, the counts, an end flag and the length again.
"""

from __future__ import annotations

import os
import re
import struct
import xml.etree.ElementTree as ET

from flows.walk.asl import azfp
from flows.walk.asl.azfp_pings import AzfpPings, Ping, time_of, zeros_among_counts
from flows.walk.summary import FileSummary
from flows.walk.tally import Tally

XML_START = 0xF044CC11
XML_END = 0xE088DD66
PING_START = 0xFF01AA00
PING_END = 0xEF02BB66
HEADER_START = 0xBCD0
HEADER_END = 0xABC1
PING_MARK = re.compile(re.escape(struct.pack("<I", PING_START)))
# The header is read in one piece; it has some 250 bytes and at most 35 records.
HEADER_READ = 35 * (2 + 32 * 8)

# The order of the header's records; GPS and custom records may be missing.
FIELDS = (
    *("header bytes", "header records", "profile number", "serial number", "date"),
    *("acquisition status", "burst interval", "base time", "ping period", "ping period counts"),
    *("pings per profile", "averaging of pings", "acquired pings", "first ping", "last ping"),
    *("data error", "overrun", "phase", "number of channels", "digitization rate", "lockout index"),
    *("number of bins", "range samples per bin", "data type", "pulse length", "board number"),
    *("frequency", "number of sensors", "sensor status", "ancillary", "GPS date", "GPS position"),
    "custom",
)
# The settings of which an output has one for all pings: those of AZFP, and two more.
_SAME = {"base time", "ping period counts", *(name for name, _, _ in azfp.CONSTANT)}
CONSTANT = tuple(name for name in FIELDS if name in _SAME)
_RECORD_TYPES = {
    0x00: "h",
    0x20: "H",
    0x40: "i",
    0x60: "I",
    0x80: "q",
    0xA0: "Q",
    0xC0: "d",
    0xE0: "B",
}

Value = tuple[int | float, ...]


def read_ping(fd: int, size: int, position: int) -> Ping | str:  # noqa: PLR0911 - one return for each kind of damage
    """The whole ping at `position`, or the reason why there is none."""
    start = os.pread(fd, 8 + HEADER_READ, position)
    if len(start) < 8:
        return "the file ends inside a ping"
    flag, length = struct.unpack_from("<II", start)
    if flag != PING_START:
        return "no ping's start flag there"
    try:
        records, header_size = _read_records(start[8:])
        channels = int(records["number of channels"][0])
        bins, kinds = records["number of bins"], records["data type"]
        if not 1 <= channels <= min(len(bins), len(kinds)):
            return f"the ping has {channels} channels"
        sums: list[tuple[int, int]] = []
        behind = 8 + header_size
        for number, averaged in zip(bins[:channels], kinds[:channels], strict=True):
            sums.append((behind, int(number) * (4 if averaged else 2)))
            behind += int(number) * (5 if averaged else 2)
        written = [int(part) for part in records["date"][:7]]
    except (struct.error, KeyError, ValueError):
        cut = len(start) < 8 + HEADER_READ and position + 8 + length > size
        return "the file ends inside a ping's header" if cut else "the ping's header is broken"
    end = position + behind
    try:
        time = time_of(written)
    except ValueError:
        return f"the ping has an invalid date: {written}"
    flags = os.pread(fd, 8, end)
    if end + 8 > size:
        return "the file ends inside a ping"
    if struct.unpack("<II", flags) != (PING_END, length):
        return "no end flag at the end of the ping that its header gives"
    settings = {name: records.get(name, ()) for name in CONSTANT}
    ping = Ping(end + 8 - position, time, settings, tuple(sums))
    return zeros_among_counts(fd, position, ping) or ping


def _read_records(data: bytes) -> tuple[dict[str, Value], int]:
    """The header's records by name, and the header's size in bytes."""
    if struct.unpack_from("<H", data, 2)[0] != HEADER_START:
        raise ValueError("no header")
    records: dict[str, Value] = {}
    position = 4
    for name in (*FIELDS, "last header record"):
        code = struct.unpack_from("<H", data, position)[0]
        layout = f"<{(code & 0x1F) + 1}{_RECORD_TYPES[code & 0xE0]}"
        value = struct.unpack_from(layout, data, position + 2)
        position += 2 + struct.calcsize(layout)
        if value[0] == HEADER_END:
            if int(records["header bytes"][0]) != position:
                raise ValueError("the header has another length than it says")
            return records, position
        records[name] = value
    raise ValueError("the header has no end")


def _read_settings(fd: int, size: int) -> int | str:
    """The offset after the settings XML at the file's beginning, or what is wrong with it."""
    start = os.pread(fd, 8, 0)
    if len(start) < 8:
        return "the file ends inside its settings XML"
    flag, length = struct.unpack("<II", start)
    if flag != XML_START:
        return "no settings XML at the file's beginning"
    if 16 + length > size:
        return "the file ends inside its settings XML"
    if os.pread(fd, 4, 8 + length) != struct.pack("<I", XML_END):
        return "no end flag after the settings XML"
    try:
        # echopype always uses this encoding, whatever the XML declares.
        ET.fromstring(os.pread(fd, length, 8), parser=ET.XMLParser(encoding="iso-8859-5"))  # noqa: S314 - echopype parses the same bytes with the same parser
    except ET.ParseError:
        return "the settings XML is broken"
    return 16 + int(length)


def walk_azfp6(fd: int, tally: Tally) -> FileSummary:
    """Summary of the AZFP6 data file open as `fd`."""
    settings = _read_settings(fd, tally.size)
    start = 0
    if isinstance(settings, int):
        tally.configured = True
        tally.datagrams["settings"] = 1
        tally.keep(0, settings)
        start = settings

    def read(position: int) -> Ping | str:
        if position == 0 and isinstance(settings, str):
            return settings
        return read_ping(fd, tally.size, position)

    return AzfpPings().walk(fd, tally, start, read, PING_MARK)
