"""Nortek AD2CP files: records with a checksummed header and checksummed data.

Framing (Nortek Integrator's Guide, AD2CP, "Data formats"): sync 0xA5, header
size, id, family, data size (uint16; uint32 for the raw echosounder), data
checksum, header checksum; little-endian. Times and kinds as in echopype's
`parse_ad2cp.py`.
"""

from __future__ import annotations

import os
import re
import struct
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flows.walk.account import SAME_TIME, NotConverted, reasons
from flows.walk.ad2cp_lengths import misreading
from flows.walk.record_index import RAW, RAW_TRANSMIT, STRING, RecordIndex, RecordIndexer
from flows.walk.search import whole_items
from flows.walk.summary import FileSummary, Times
from flows.walk.tally import Tally, summarize

SYNC = b"\xa5"
# The sync byte and the two possible header sizes.
_mark = re.compile(rb"\xa5[\x0a\x0c]")
RAW_ECHOSOUNDER = {RAW, RAW_TRANSMIT}
# Kinds whose records are read, but not wholly converted, besides strings.
_TRACKS = (0x17, 0x1B, 0x1D)
# The size of the data is a uint32 in the longer one.
_HEADER_SIZES = (10, 12)
# The ids that echopype knows. Kinds with their own beam group are pings.
KINDS = {
    0x15: "burst",
    0x16: "average",
    0x17: "bottom track",
    0x18: "interleaved burst",
    0x1A: "burst altimeter",
    0x1B: "interleaved bottom track",
    0x1C: "echosounder",
    0x1D: "water track",
    0x1E: "altimeter",
    0x1F: "average altimeter",
    0x23: "raw echosounder",
    0x24: "raw echosounder transmit",
    0xA0: "string",
}
# Kinds of ping in the order of echopype's beam groups.
BEAM_GROUPS = {
    0x16: "average",
    0x15: "burst",
    0x18: "burst",
    0x1C: "echosounder",
    0x23: "raw echosounder",
}


class Record(NamedTuple):
    """A whole record of `size` bytes, with its header."""

    size: int
    id: int
    data: bytes


def checksum(data: bytes) -> int:
    """Nortek's checksum of `data`: 0xB58C plus its 16-bit words, an odd last byte in the high half."""
    even = len(data) & ~1
    # Records are short, so `sum` would take most of its time before it calls this.
    total = 0xB58C + int(np.add.reduce(np.frombuffer(data, "<u2", even // 2), dtype=np.uint64))
    if len(data) > even:
        total += data[-1] << 8
    return total & 0xFFFF


def read_record(fd: int, size: int, position: int) -> Record | str:  # noqa: PLR0911 - one return for each kind of damage
    """The whole record at `position`, or the reason why there is none."""
    header = os.pread(fd, 12, position)
    if header[:1] != SYNC:
        return f"no record's sync byte there (0x{header[:1].hex()} for 0xa5)"
    if len(header) < 3:
        return "the file ends inside a record's header"
    header_size = header[1]
    if header_size not in _HEADER_SIZES:
        return f"the record's header size is {header_size}"
    if len(header) < header_size:
        return "the file ends inside a record's header"
    data_size, expected, own = struct.unpack_from(
        "<IHH" if header_size == 12 else "<HHH", header, 4
    )
    if checksum(header[: header_size - 2]) != own:
        return "the checksum of the record's header is wrong"
    if position + header_size + data_size > size:
        return "the file ends inside a record"
    data = os.pread(fd, data_size, position + header_size)
    if checksum(data) != expected:
        return "the checksum of the record's data is wrong"
    return Record(header_size + data_size, header[2], data)


def _time(record: Record) -> np.datetime64:
    """The record's time as echopype computes it, NaT if it is not a date."""
    at = 2 if record.id in RAW_ECHOSOUNDER else 8
    if record.id == STRING or len(record.data) < at + 8:
        return np.datetime64("NaT", "ns")
    year, month, day, hour, minute, second, fraction = struct.unpack_from("<6BH", record.data, at)
    written = (
        f"{year + 1900:04}-{month + 1:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:04}"
    )
    try:
        return np.datetime64(written, "ns")
    except ValueError:
        return np.datetime64("NaT", "ns")


def _is_unreadable(record: Record, position: int, tally: Tally, *, after_raw: bool) -> bool:
    """Count a whole record, and say whether echopype cannot read it; see `misreading`."""
    kind = KINDS.get(record.id)
    tally.datagrams[kind or f"0x{record.id:02x}"] += 1
    if kind is None:
        cause = "echopype has no parser for this id"
        tally.refuse(f"0x{record.id:02x}", cause, removable=True)
        return True
    header = record.size - len(record.data)
    misread = misreading(record.id, record.data, header, after_raw=after_raw)
    if misread and record.id == STRING and not tally.configured:
        tally.refuse(kind, f"the configuration: {misread}", removable=False)
        tally.configured = True
    elif misread:
        tally.leave_out(f"{kind} 0x{record.id:02X}", record.size, _time(record), misread)
    elif len(record.data) % 2 and record.data[-1]:
        # echopype adds an odd last byte twice, so only a 0 gives the right checksum.
        cause = f"echopype sums its {len(record.data)} bytes wrongly (byte {position})"
        tally.refuse(kind, cause, removable=True)
    else:
        return False
    return True


def walk_ad2cp(fd: int, tally: Tally) -> FileSummary:
    """Summary of the AD2CP file open as `fd`."""
    times: dict[str, list[np.datetime64]] = {}
    last_good: np.datetime64 | None = None
    indexer = RecordIndexer()
    last_id = STRING

    def total() -> int:
        return sum(map(len, times.values()))

    read = partial(read_record, fd, tally.size)
    for position, record in whole_items(fd, tally, 0, read, _mark, total):
        if _is_unreadable(record, position, tally, after_raw=last_id in RAW_ECHOSOUNDER):
            continue
        if record.id != STRING and not tally.configured:
            tally.pings_unusable += record.id in BEAM_GROUPS
            continue
        last_id = record.id
        tally.configured = tally.configured or record.id == STRING
        tally.keep(position, position + record.size)
        time = _time(record)
        indexer.add(position, position + record.size, record.id, time, record.data)
        if record.id in BEAM_GROUPS:
            times.setdefault(BEAM_GROUPS[record.id], []).append(time)
            if not tally.damages:
                last_good = time
    ping_times: dict[str, Times] = {
        kind: np.asarray(times[kind], dtype="datetime64[ns]")
        for kind in dict.fromkeys(BEAM_GROUPS.values())
        if kind in times
    }
    if undated := sum(int(np.isnat(each).sum()) for each in ping_times.values()):
        tally.notes.append(f"{undated} pings have no valid date")
    records = indexer.index()
    tally.not_converted += _not_converted(records)
    return summarize(
        tally,
        pings={kind: each.size for kind, each in ping_times.items()},
        total=total(),
        ping_times=ping_times,
        last_good_ping=last_good,
        records=records,
    )


def _not_converted(records: RecordIndex) -> list[NotConverted]:
    """One entry for each kind of record with data that the output lacks."""
    types = {KINDS[id_]: records.id == id_ for id_ in (STRING, *_TRACKS)}
    types[SAME_TIME] = _behind_another_of_its_time(records)
    whys = reasons("AD2CP")
    return [
        NotConverted.of(type_, int(is_so.sum()), records.times[is_so], whys[type_])
        for type_, is_so in types.items()
        if is_so.any()
    ]


def _behind_another_of_its_time(records: RecordIndex) -> NDArray[np.bool_]:
    """Which records differ from the first one of their time, or without a time.

    Those of a raw echosounder have nothing that echopype stores by time.
    """
    behind = records.is_dated & ~np.isin(records.id, list(RAW_ECHOSOUNDER))
    dated = np.flatnonzero(records.is_dated)
    _, first, of_time = np.unique(records.times[dated], return_index=True, return_inverse=True)
    own, firsts = records.checksum[dated], records.checksum[dated[first]]
    behind[dated] &= own != firsts[of_time.reshape(-1)]
    return behind
