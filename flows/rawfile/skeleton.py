"""Writes a skeleton of a Simrad file, which has only the few samples that echopype needs.

Each sample datagram is cut to at most three samples. Their number shows the length of
the ping relative to others, so that echopype pads, promotes dtypes and joins channels
as with the whole file:

    3  as many samples as the widest ping of all channels
    2  as many as the widest ping of its channel
    1  fewer, or none: then it is one of zero, because echopype drops or refuses empty pings

Everything else is copied unchanged, except for repairs (`flows.rawfile.repairs`). Power and
complex samples go to different groups of an EchoData, so each kind is compared separately, and
so are transmit pulses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flows.rawfile.corrections import FactsReader
from flows.rawfile.reading import datagrams_between
from flows.rawfile.repairs.pings import Cut, written_kinds
from flows.rawfile.repairs.repairer import Repairer
from flows.walk.sample_index import Int64s, SampleIndex

Span = tuple[int, int]

_KEPT_OF_WIDEST, _KEPT_OF_CHANNELS_WIDEST, _KEPT_OF_OTHERS = 3, 2, 1


def kept_counts(index: SampleIndex) -> Int64s:
    """How many samples each ping keeps in the skeleton (int64, one element per ping)."""
    kept = np.zeros(len(index), dtype=np.int64)
    is_complex = index.sectors > 0
    for group in (is_complex, index.has_power):
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
        kept[group] = np.maximum(kept[group], np.clip(counts, 1, rank))
    return kept


def cuts_of(index: SampleIndex, kept: Int64s, pulses: SampleIndex | None = None) -> list[Cut]:
    """How each sample datagram of an index is written, with `kept` samples of each, at least 1.

    `pulses`: index of the transmit pulses, if these datagrams are pings.
    """
    with_pulses = np.unique(pulses.channel) if pulses is not None else np.empty(0, np.int64)
    lacks = (index.transmit < 0) & np.isin(index.channel, with_pulses)
    return _cuts(index, kept, written_kinds(index), lacks)


def uncut(index: SampleIndex) -> list[Cut]:
    """Each sample datagram with all of its samples."""
    return _cuts(index, index.count, index.kind, np.zeros(len(index), bool))


def _cuts(index: SampleIndex, kept: Int64s, written: Int64s, lacks: NDArray[np.bool_]) -> list[Cut]:
    shift = index.shift if index.shift.size else np.zeros(len(index), np.int64)
    same = (index.offset, index.end, index.count, index.kind, kept, written, shift)
    names = [index.names[number] for number in index.channel.tolist()]
    columns = (*(c.tolist() for c in same), names, lacks.astype(int).tolist())
    return [Cut(*row) for row in zip(*columns, strict=True)]


def write_skeleton(  # noqa: PLR0917 - one call, by position
    source: Path,
    target: Path,
    spans: Iterable[Span],
    left_out: Iterable[Span],
    cuts: Sequence[Cut],
    repairer: Repairer,
    facts: FactsReader,
) -> None:
    """Write the skeleton of a raw file.

    `spans` are the parts of the file that are converted, without the datagrams `left_out`. `facts`
    reads each datagram before it is repaired. OSError: the file cannot be read or has become
    shorter, or `target` cannot be written.
    """
    with source.open("rb", buffering=0) as raw, target.open("wb") as skeleton:
        items = datagrams_of(raw.fileno(), spans, left_out, cuts)
        for datagram in repairer.repaired(raw.fileno(), facts.passing(items)):
            skeleton.write(datagram)


def datagrams_of(
    fd: int, spans: Iterable[Span], left_out: Iterable[Span], cuts: Iterable[Cut]
) -> Iterator[bytes | Cut]:
    """The datagrams of these parts of the file in order: the sample datagrams as cuts."""
    stops: list[tuple[int, int, Cut | None]] = [(start, end, None) for start, end in left_out]
    stops += [(cut.offset, cut.end, cut) for cut in cuts]
    stops.sort(key=lambda stop: stop[:2])
    at = 0
    for start, end in spans:
        position = start
        while at < len(stops) and stops[at][0] < end:
            begin, behind, cut = stops[at]
            at += 1
            if begin < position:
                continue
            yield from datagrams_between(fd, position, begin)
            if cut is not None:
                yield cut
            position = behind
        yield from datagrams_between(fd, position, end)
