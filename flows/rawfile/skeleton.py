"""Writes a skeleton of a Simrad file, which has only the few samples that echopype needs.

Each sample datagram is cut to at most three samples. Their number shows the length of
the ping relative to others, so that echopype pads, promotes dtypes and joins channels
as with the whole file:

    3  as many samples as the widest ping of all channels
    2  as many as the widest ping of its channel
    1  fewer
    0  none

Everything else is copied unchanged. Power and complex samples go to different groups of
an EchoData, so each kind is compared separately, and so are transmit pulses.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flows.walk.sample_index import ANGLE, FLOAT32, POWER, SECTORS_SHIFT, Int64s, SampleIndex

Span = tuple[int, int]

_int32 = struct.Struct("<i")
_KEPT_OF_WIDEST, _KEPT_OF_CHANNELS_WIDEST, _KEPT_OF_OTHERS = 3, 2, 1


class Cut(NamedTuple):
    """One sample datagram: its place, the number and kind of its samples, and how many are kept."""

    offset: int
    end: int
    number: int
    kind: int
    kept: int


def kept_counts(index: SampleIndex) -> Int64s:
    """How many samples each ping keeps in the skeleton (int64, one element per ping)."""
    kept = np.zeros(len(index), dtype=np.int64)
    is_complex = index.sectors > 0
    for group in (is_complex, ~is_complex):
        if not group.any():
            continue
        widest_of_channel = np.zeros(len(index.names), dtype=np.int64)
        np.maximum.at(widest_of_channel, index.channel[group], index.count[group])
        widest = widest_of_channel.max()
        counts = index.count[group]
        of_channel = widest_of_channel[index.channel[group]]
        rank = np.where(
            counts == widest,
            _KEPT_OF_WIDEST,
            np.where(counts == of_channel, _KEPT_OF_CHANNELS_WIDEST, _KEPT_OF_OTHERS),
        )
        kept[group] = np.minimum(counts, rank)
    return kept


def write_skeleton(
    source: Path, target: Path, spans: Iterable[Span], indexes: Iterable[SampleIndex]
) -> None:
    """Write the skeleton of a raw file.

    Args:
        source: the raw file.
        target: path of the skeleton.
        spans: the parts `[start, end)` of the file that are converted.
        indexes: indexes of its pings and of its transmit pulses.

    Raises:
        OSError: the file cannot be read or has become shorter, or `target` cannot be written.
    """
    cuts: list[Cut] = []
    header = 0
    for index in indexes:
        header = index.header
        columns = (index.offset, index.end, index.count, index.kind, kept_counts(index))
        cuts += [Cut(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    cuts.sort()
    with source.open("rb", buffering=0) as raw, target.open("wb") as skeleton:
        for between, cut in _parts(raw.fileno(), spans, cuts):
            skeleton.write(between)
            if cut is not None:
                skeleton.write(shortened(raw.fileno(), cut, header))


def _parts(fd: int, spans: Iterable[Span], cuts: list[Cut]) -> Iterator[tuple[bytes, Cut | None]]:
    """The file's parts in order: bytes to copy, and the sample datagram after them."""
    at = 0
    for start, end in spans:
        position = start
        while at < len(cuts) and cuts[at].offset < end:
            cut = cuts[at]
            at += 1
            if cut.offset < position:
                continue
            yield read_exactly(fd, cut.offset - position, position), cut
            position = cut.end
        yield read_exactly(fd, end - position, position), None


def shortened(fd: int, cut: Cut, header: int) -> bytes:
    """The datagram with the first `kept` of its samples."""
    head = bytearray(read_exactly(fd, header, cut.offset))
    body = b"".join(
        read_exactly(fd, cut.kept * size, cut.offset + header + skipped)
        for size, skipped in _layout(cut.kind, cut.number)
    )
    length = header - 4 + len(body)
    _int32.pack_into(head, 0, length)
    _int32.pack_into(head, header - 4, cut.kept)
    return bytes(head) + body + _int32.pack(length)


def _layout(kind: int, count: int) -> Iterator[tuple[int, int]]:
    """Bytes per sample, and offset of each part of the samples: power, angles, complex."""
    skipped = 0
    for flag in (POWER, ANGLE):
        if kind & flag:
            yield 2, skipped
            skipped += 2 * count
    sectors = kind >> SECTORS_SHIFT
    if sectors:
        yield sectors * (8 if kind & FLOAT32 else 4), skipped


def read_exactly(fd: int, length: int, offset: int) -> bytes:
    """`length` bytes at `offset`.

    Raises:
        OSError: the file ends before that.
    """
    body = os.pread(fd, length, offset) if length else b""
    while len(body) < length:
        more = os.pread(fd, length - len(body), offset + len(body))
        if not more:
            raise OSError(f"the raw file ends at byte {offset + len(body)}, but was longer before")
        body += more
    return body
