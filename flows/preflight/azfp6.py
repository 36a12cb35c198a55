"""AZFP (ULS6) data files: settings XML, then pings between flags, little-endian.

Layout as in echopype's `parse_azfp6.py`: the file begins with a flag, the XML's
length, the XML, an end flag and the length again. A ping is a start flag, a
length, a header of typed records, the counts, an end flag and the length again.
"""

from __future__ import annotations

import os
import struct
import xml.etree.ElementTree as ET
from datetime import datetime
from typing import NamedTuple

import numpy as np

from flows.preflight.azfp import next_record
from flows.preflight.summary import FileSummary
from flows.preflight.tally import Tally, summarize

XML_START = 0xF044CC11
XML_END = 0xE088DD66
PING_START = 0xFF01AA00
PING_END = 0xEF02BB66
HEADER_START = 0xBCD0
HEADER_END = 0xABC1
PING_MARK = struct.pack("<I", PING_START)
# The header is read whole; it takes some 250 bytes of at most 35 records.
HEADER_READ = 35 * (2 + 32 * 8)

# The header's records stand in this order; GPS and custom ones may be missing.
FIELDS = (
    "header bytes",
    "header records",
    "profile number",
    "serial number",
    "date",
    "acquisition status",
    "burst interval",
    "base time",
    "ping period",
    "ping period counts",
    "pings per profile",
    "averaging of pings",
    "acquired pings",
    "first ping",
    "last ping",
    "data error",
    "overrun",
    "phase",
    "number of channels",
    "digitization rate",
    "lockout index",
    "number of bins",
    "range samples per bin",
    "data type",
    "pulse length",
    "board number",
    "frequency",
    "number of sensors",
    "sensor status",
    "ancillary",
    "GPS date",
    "GPS position",
    "custom",
)
# What echopype wants to be the same in every ping.
CONSTANT = (
    "base time",
    "ping period counts",
    "serial number",
    "burst interval",
    "pings per profile",
    "averaging of pings",
    "ping period",
    "phase",
    "number of channels",
    "digitization rate",
    "lockout index",
    "number of bins",
    "range samples per bin",
    "data type",
    "pulse length",
    "board number",
    "frequency",
)
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


class Ping6(NamedTuple):
    """One ping: its size in the file with both flags, its time, its header's records."""

    size: int
    time: np.datetime64
    records: dict[str, Value]


def read_ping(fd: int, size: int, position: int) -> Ping6 | str:  # noqa: PLR0911 - one return for each way a ping can be broken
    """The whole ping at `position`, or why there is none."""
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
        counts = sum(int(bins[n]) * (5 if kinds[n] else 2) for n in range(channels))
        written = [int(part) for part in records["date"][:7]]
    except (struct.error, KeyError, ValueError):
        cut = len(start) < 8 + HEADER_READ and position + 8 + length > size
        return "the file ends inside a ping's header" if cut else "the ping's header is broken"
    end = position + 8 + header_size + counts
    try:
        year, month, day, hour, minute, second, hundredths = written
        moment = datetime(year, month, day, hour, minute, int(second + hundredths / 100))  # noqa: DTZ001 - UTC by the format, and numpy takes no zone
    except ValueError:
        return f"the date of the ping is no date: {written}"
    time = np.datetime64(moment, "ns")
    behind = os.pread(fd, 8, end)
    if end + 8 > size:
        return "the file ends inside a ping"
    if struct.unpack("<II", behind) != (PING_END, length):
        return "no ping's end flag where its header says that it ends"
    return Ping6(end + 8 - position, time, records)


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
                raise ValueError("the header's length is another than it says")
            return records, position
        records[name] = value
    raise ValueError("no end of the header")


def _read_settings(fd: int, size: int) -> int | str:
    """Offset behind the settings XML at the file's beginning, or what is wrong with it."""
    start = os.pread(fd, 8, 0)
    if len(start) < 8:
        return "the file ends inside its settings XML"
    flag, length = struct.unpack("<II", start)
    if flag != XML_START:
        return "no settings XML at the file's beginning"
    if 16 + length > size:
        return "the file ends inside its settings XML"
    if os.pread(fd, 4, 8 + length) != struct.pack("<I", XML_END):
        return "no end flag behind the settings XML"
    try:
        # echopype reads it in this encoding, whatever it declares.
        ET.fromstring(os.pread(fd, length, 8), parser=ET.XMLParser(encoding="iso-8859-5"))  # noqa: S314 - echopype parses the same bytes with the same parser
    except ET.ParseError:
        return "the settings XML is broken"
    return 16 + int(length)


def walk_azfp6(fd: int, size: int, *, file: str, sonar_model: str, found: str) -> FileSummary:
    """Summary of the AZFP6 data file open as `fd`."""
    tally = Tally(size)
    times: list[np.datetime64] = []
    first: Ping6 | None = None
    last_good: np.datetime64 | None = None
    settings = _read_settings(fd, size)
    position = 0
    if isinstance(settings, int):
        tally.configured = True
        tally.datagrams["settings"] = 1
        tally.keep(0, settings)
        position = settings
    while position < size:
        ping = (
            settings
            if position == 0 and isinstance(settings, str)
            else read_ping(fd, size, position)
        )
        if isinstance(ping, Ping6):
            first = first or ping
            for name in CONSTANT:
                value, before = ping.records.get(name), first.records.get(name)
                if value != before:
                    cause = f"the {name} changes from {before} to {value} at byte {position}"
                    tally.refuse(f"ping {len(times) + 1}", cause, removable=False)
            times.append(ping.time)
            if not tally.damages:
                last_good = ping.time
            tally.keep(position, position + ping.size)
            position += ping.size
            continue
        end = next_record(
            fd, size, position + 1, PING_MARK, lambda at: isinstance(read_ping(fd, size, at), Ping6)
        )
        tally.truncated = end is None and str(ping).startswith("the file ends")
        tally.damage(position, size if end is None else end, str(ping), len(times))
        position = size if end is None else end
    if times:
        tally.datagrams["ping"] = len(times)
    names: list[str] = []
    if first is not None:
        channels = int(first.records["number of channels"][0])
        for frequency in first.records["frequency"][:channels]:
            name = f"{frequency:g} kHz"
            names.append(name if name not in names else f"{name} ({len(names) + 1})")
    array = np.asarray(times, dtype="datetime64[ns]")
    return summarize(
        tally,
        file=file,
        sonar_model=sonar_model,
        found=found,
        pings=dict.fromkeys(names, len(times)),
        total=len(times),
        ping_times=dict.fromkeys(names, array),
        last_good_ping=last_good,
    )
