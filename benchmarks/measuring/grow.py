"""Grows raw files to a size: benchmarks and tests of memory need valid files of any size.

docs/data-formats.md says what a grown file keeps and changes.
"""

import math
import re
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from flows.walk import preflight
from flows.walk.ad2cp import RAW_ECHOSOUNDER, checksum
from flows.walk.record_index import STRING
from flows.walk.sample_index import FLOAT32
from flows.walk.simrad.framing import Datagram, datagrams

#: Assumed ping interval of a file with one ping: 1 s, in 100 ns.
_SINGLE_PING_INTERVAL = 10_000_000
#: Types with the samples of one ping of one channel.
_SAMPLE_TYPES = frozenset({b"RAW0", b"RAW3"})
_CONFIGURING_XML = frozenset({b"Configuration", b"InitialParameter", b"Environment", b"Sensor"})
_XML_ROOT = re.compile(rb"<([A-Za-z_]\w*)")
#: Bytes from a datagram's start to its time.
_TIME_OFFSET = 8
# Samples that change places with each other: so few that they stay near their range.
_MIXED = 32
_PAIR_BYTES = 8


def grow(source: Path, target: Path, wanted_bytes: int) -> int:
    """Write `source` to `target`, repeating its pings until it has `wanted_bytes` or more.

    All pings are written at least once and equally often, and ping times strictly
    increase. Returns how often.

    Raises:
        ValueError: `source` is no whole Simrad raw file with pings, or is `target`.
    """
    if target.exists() and target.samefile(source):
        raise ValueError(f"{target}: a file cannot be grown onto itself")
    content = np.fromfile(source, np.uint8)
    found = _whole(source, content.size)
    is_ping = [each.type in _SAMPLE_TYPES for each in found]
    if True not in is_ping:
        raise ValueError(f"{source}: the file has no pings to repeat")
    before = found[: is_ping.index(True)]
    start = max(each.end for each in before if _configures(each))
    block = [(each, ping) for each, ping in zip(found, is_ping, strict=True) if each.end > start]
    times = np.array([each.ticks for each, _ in block], np.int64)
    # The bytes of each time, counted from the block's start.
    places = np.array([each.offset - start + _TIME_OFFSET for each, _ in block])[:, None]
    ping_times = np.unique(times[[ping for _, ping in block]])
    gaps = np.sort(np.diff(ping_times))
    interval = gaps[(gaps.size - 1) // 2] if gaps.size else _SINGLE_PING_INTERVAL
    shift = ping_times[-1] - ping_times[0] + interval
    copies = max(1, math.ceil((wanted_bytes - start) / (content.size - start)))
    with target.open("wb") as out:
        out.write(content[:start].data)
        for copy in range(copies):
            later = content[start:].copy()
            shifted = (times + copy * shift).astype("<i8")
            later[places + np.arange(8)] = shifted.view(np.uint8).reshape(-1, 8)
            out.write(later.data)
    return copies


def _whole(source: Path, size: int) -> list[Datagram]:
    """All datagrams of a file without damage that begins with its configuration."""
    with source.open("rb") as file:
        found = list(datagrams(file.fileno(), size))
    whole = [each for each in found if isinstance(each, Datagram)]
    if len(whole) < max(1, len(found)) or not _configures(whole[0]):
        raise ValueError(f"{source}: not a whole Simrad raw file, from its configuration on")
    return whole


def _configures(datagram: Datagram) -> bool:
    """Whether a datagram is configuration: it describes the sounder or its environment."""
    if datagram.type == b"XML0":
        root = _XML_ROOT.search(datagram.head)
        return root is not None and root[1] in _CONFIGURING_XML
    return datagram.type[:3] in {b"CON", b"FIL"}


def mix_complex_samples(path: Path, model: str) -> None:
    """Permute the float32 pairs of each ping among their neighbours, in the file itself.

    Raises:
        ValueError: the file has no pings.
    """
    index = preflight(path, model).samples
    if index is None:
        raise ValueError(f"{path}: the file has no pings")
    chosen = np.random.default_rng(1)
    content = np.memmap(path, np.uint8, "r+")
    mixed = (index.sectors > 0) & (index.kind & FLOAT32 > 0)
    rows = np.stack([index.offset, index.count, index.sectors], axis=1)[mixed]
    for offset, count, sectors in rows.tolist():
        blocks = count // _MIXED
        begin, length = offset + index.header, blocks * _MIXED * sectors * _PAIR_BYTES
        # One element is one sample with its sectors.
        samples = content[begin : begin + length].reshape(blocks, _MIXED, sectors * _PAIR_BYTES)
        order = chosen.permuted(np.tile(np.arange(_MIXED), (blocks, 1)), axis=1)
        samples[:] = np.take_along_axis(samples, order[:, :, None], 1)
    content.flush()


def grow_records(source: Path, target: Path, wanted_bytes: int) -> None:
    """Write a file of about that size: the source's strings once, its other records repeatedly.

    Raises:
        ValueError: the source has no dated records.
    """
    records = preflight(source, "AD2CP").records
    if records is None or not records.is_dated.any():
        raise ValueError(f"{source} has no dated records")
    content = source.read_bytes()
    spans = list(zip(records.offset.tolist(), records.end.tolist(), strict=True))
    dated = [content[s:e] for (s, e), d in zip(spans, records.is_dated, strict=True) if d]
    times = records.times[records.is_dated]
    lasts = (times.max() - times.min()) + np.timedelta64(1, "s")
    with target.open("wb") as file:
        for (start, end), id_ in zip(spans, records.id.tolist(), strict=True):
            if id_ == STRING:
                file.write(content[start:end])
        copy = 0
        while file.tell() < wanted_bytes:
            for record, time in zip(dated, times, strict=True):
                file.write(_dated(record, time + copy * lasts))
            copy += 1


def _dated(record: bytes, time: np.datetime64) -> bytes:
    """The record with another time and correct checksums."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
        microseconds=int(time.astype("datetime64[us]").astype(np.int64))
    )
    made = bytearray(record)
    header = record[1]
    date = (at.year - 1900, at.month - 1, at.day, at.hour, at.minute, at.second)
    place = header + (2 if record[2] in RAW_ECHOSOUNDER else 8)
    struct.pack_into("<6BH", made, place, *date, at.microsecond // 100)
    struct.pack_into("<H", made, header - 4, checksum(bytes(made[header:])))
    struct.pack_into("<H", made, header - 2, checksum(bytes(made[: header - 2])))
    return bytes(made)
