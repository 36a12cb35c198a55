"""AZFP (ULS5) data files: pings of a 124-byte big-endian header and their counts.

The format has no length and no checksum: a ping's size follows from its header
(channels, bins, data type), and the next ping's flag must stand behind it.
Layout as in echopype's `parse_azfp.py` (`HEADER_FIELDS`, `_add_counts`).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import NamedTuple

import numpy as np

from flows.preflight.summary import FileSummary
from flows.preflight.tally import Tally, summarize

FLAG = b"\xfd\x02"
_header = struct.Struct(">HHHHIHHHHHHHHHHHHHHHHHHHHHHHHHHHHHBBBBHBBBBBBBBHHHHHHHHHHHHHHHHHHHH")
HEADER_SIZE = _header.size
SEARCH_BLOCK = 1 << 20
# 128 linear sums that are all exactly zero are no noise floor, but lost bytes.
ZERO_RUN = bytes(512)

# What echopype wants to be the same in every ping, as (name, position in the
# unpacked header, whether there is one value a channel).
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


class Ping(NamedTuple):
    """One ping's header: its size in the file with the counts, its time, its settings."""

    size: int
    time: np.datetime64
    serial: int
    frequencies: tuple[int, ...]
    settings: tuple[tuple[str, object], ...]
    sums: tuple[tuple[int, int], ...]  # (offset from the ping, bytes) of each channel's sums


def read_header(header: bytes) -> Ping | str:
    """The ping that `header` begins, or why it is none."""
    if len(header) < HEADER_SIZE:
        return "the file ends inside a ping's header"
    if header[:2] != FLAG:
        return f"no ping's flag there (0x{header[:2].hex()} for 0xfd02)"
    fields = _header.unpack(header)
    year, month, day, hour, minute, second, hundredths = fields[5:12]
    try:
        time = np.datetime64(
            datetime(year, month, day, hour, minute, int(second + hundredths / 100)),  # noqa: DTZ001 - UTC by the format, and numpy takes no zone
            "ns",
        )
    except ValueError:
        written = f"{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
        return f"the date of the ping is no date: {written}"
    channels = fields[41]
    if not 1 <= channels <= 4:
        return f"the ping has {channels} channels"
    sums: list[tuple[int, int]] = []
    size = HEADER_SIZE
    for channel in range(channels):
        bins, averaged = fields[20 + channel], fields[34 + channel]
        sums.append((size, bins * (4 if averaged else 2)))
        size += bins * (5 if averaged else 2)
    settings = tuple(
        (name, fields[at : at + channels] if by_channel else fields[at])
        for name, at, by_channel in CONSTANT
    )
    return Ping(size, time, fields[2], fields[55 : 55 + channels], settings, tuple(sums))


def walk_azfp(fd: int, size: int, *, file: str, sonar_model: str, found: str) -> FileSummary:
    """Summary of the AZFP data file open as `fd`."""
    tally = Tally(size)
    times: list[np.datetime64] = []
    first: Ping | None = None
    last_good: np.datetime64 | None = None
    position = 0
    while position < size:
        ping = _whole_ping(fd, size, position, first)
        if isinstance(ping, Ping):
            first = first or ping
            for (name, value), (_, before) in zip(ping.settings, first.settings, strict=True):
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
            fd,
            size,
            position + 1,
            FLAG,
            partial(_is_ping, fd, size, first),
        )
        tally.truncated = end is None and ping.startswith("the file ends")
        tally.damage(position, size if end is None else end, ping, len(times))
        position = size if end is None else end
    if times:
        tally.datagrams["ping"] = len(times)
    tally.configured = first is not None
    names: list[str] = []
    for frequency in first.frequencies if first else ():
        names.append(
            f"{frequency} kHz"
            if f"{frequency} kHz" not in names
            else f"{frequency} kHz ({len(names) + 1})"
        )
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


def _whole_ping(fd: int, size: int, position: int, first: Ping | None) -> Ping | str:
    ping = read_header(os.pread(fd, HEADER_SIZE, position))
    if isinstance(ping, str):
        return ping
    if position + ping.size > size:
        return "the file ends inside a ping"
    follows = os.pread(fd, 2, position + ping.size)
    # With the flag behind it gone, a ping still counts if it is like the first.
    like_first = first is not None and ping.settings == first.settings
    if follows not in {FLAG, b""} and not like_first:
        return "no ping's flag where the ping's header says that it ends"
    if first is not None and ping.serial != first.serial and follows != FLAG:
        return "the ping is of another instrument"
    counts = os.pread(fd, ping.size, position)
    for start, length in ping.sums:
        if counts.find(ZERO_RUN, start, start + length) >= 0:
            return "zeros among the counts of a ping"
    return ping


def _is_ping(fd: int, size: int, first: Ping | None, position: int) -> bool:
    return isinstance(_whole_ping(fd, size, position, first), Ping)


def next_record(
    fd: int, size: int, start: int, mark: bytes, is_whole: Callable[[int], bool]
) -> int | None:
    """Offset of the first `mark` at or behind `start` at which `is_whole`; None if none is."""
    position = start
    while position < size:
        block = os.pread(fd, SEARCH_BLOCK + len(mark) - 1, position)
        at = block.find(mark)
        while at >= 0:
            if is_whole(position + at):
                return position + at
            at = block.find(mark, at + 1)
        position += SEARCH_BLOCK
    return None
