"""AZFP (ULS5) data files: pings of a 124-byte big-endian header and their counts.

The format has no length and no checksum: a ping's size follows from its header
(channels, bins, data type), and the next ping's flag must come right after it. Layout
as in echopype's `parse_azfp.py` (`HEADER_FIELDS`, `_add_counts`).
"""

from __future__ import annotations

import os
import re
import struct

from flows.walk.asl.azfp_pings import AzfpPings, Ping, time_of, zeros_among_counts
from flows.walk.summary import FileSummary
from flows.walk.tally import Tally

FLAG = b"\xfd\x02"
_flag = re.compile(re.escape(FLAG))
_header = struct.Struct(">HHHHIHHHHHHHHHHHHHHHHHHHHHHHHHHHHHBBBBHBBBBBBBBHHHHHHHHHHHHHHHHHHHH")
HEADER_SIZE = _header.size

# The settings of which an output has one for all pings, because echopype has, as (name, position
# in the unpacked header, whether there is one value per channel).
CONSTANT = (
    ("serial number", 2, False),
    ("burst interval", 4, False),
    ("digitization rate", 12, True),
    ("lockout index", 16, True),
    ("number of bins", 20, True),
    ("range samples per bin", 24, True),
    ("pings per profile", 28, False),
    ("averaging of pings", 29, False),
    ("ping period", 31, False),
    ("data type", 34, True),
    ("phase", 39, False),
    ("number of channels", 41, False),
    ("gain", 42, True),
    ("spare channel", 46, False),
    ("pulse length", 47, True),
    ("board number", 51, True),
    ("frequency", 55, True),
)


def read_header(header: bytes) -> Ping | str:
    """The ping of this `header`, or the reason why it is not one."""
    if len(header) < HEADER_SIZE:
        return "the file ends inside a ping's header"
    if header[:2] != FLAG:
        return f"no ping's flag there (0x{header[:2].hex()} for 0xfd02)"
    fields = _header.unpack(header)
    try:
        time = time_of(fields[5:12])
    except ValueError:
        year, month, day, hour, minute, second, _ = fields[5:12]
        written = f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        return f"the ping has an invalid date: {written}"
    channels = fields[41]
    if not 1 <= channels <= 4:
        return f"the ping has {channels} channels"
    sums: list[tuple[int, int]] = []
    size = HEADER_SIZE
    for channel in range(channels):
        bins, averaged = fields[20 + channel], fields[34 + channel]
        sums.append((size, bins * (4 if averaged else 2)))
        size += bins * (5 if averaged else 2)
    settings = {
        name: fields[at : at + channels] if by_channel else (fields[at],)
        for name, at, by_channel in CONSTANT
    }
    return Ping(size, time, settings, tuple(sums))


def walk_azfp(fd: int, tally: Tally) -> FileSummary:
    """Summary of the AZFP data file open as `fd`."""
    pings = AzfpPings()
    return pings.walk(fd, tally, 0, lambda at: _whole_ping(fd, tally.size, at, pings.first), _flag)


def _whole_ping(fd: int, size: int, position: int, first: Ping | None) -> Ping | str:
    ping = read_header(os.pread(fd, HEADER_SIZE, position))
    if isinstance(ping, str):
        return ping
    if position + ping.size > size:
        return "the file ends inside a ping"
    if first is not None and ping.settings["serial number"] != first.settings["serial number"]:
        return "the ping is from another instrument"
    if os.pread(fd, 2, position + ping.size) not in {FLAG, b""}:
        # Either this ping has another size than its header says, or the next flag is lost.
        if first is None or ping.settings != first.settings:
            return "no ping's flag at the end of the ping that its header gives"
        if _holds_another(os.pread(fd, ping.size + HEADER_SIZE, position), ping.size, first):
            return "another ping begins inside it: some of its bytes are missing"
    return zeros_among_counts(fd, position, ping) or ping


def _holds_another(content: bytes, size: int, first: Ping) -> bool:
    """Whether the next ping begins in the first `size` bytes, so that some bytes are missing."""
    for match in _flag.finditer(content, 2, size + 1):
        inside = read_header(content[match.start() : match.start() + HEADER_SIZE])
        if isinstance(inside, Ping) and inside.settings == first.settings:
            return True
    return False
