"""Counts of a walk, for every format, and the summary made from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from flows.walk.accounts.records import records_not_converted
from flows.walk.accounts.table import NotConverted
from flows.walk.as_datetime import as_datetime
from flows.walk.record_index import RecordIndex
from flows.walk.sample_index import SampleIndex
from flows.walk.summary import (
    Condition,
    Damage,
    FileSummary,
    LeftOut,
    Refused,
    Span,
    Times,
    Unsupported,
)


@dataclass
class Tally:
    """Running counts of one walk, for `summarize`."""

    size: int
    datagrams: Counter[str] = field(default_factory=Counter)
    kept: list[Span] = field(default_factory=list)
    dropped: list[Span] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unconverted: list[str] = field(default_factory=list)
    not_converted: list[NotConverted] = field(default_factory=list)
    refused_times: dict[str, tuple[np.datetime64, np.datetime64]] = field(default_factory=dict)
    unsupported: Unsupported | None = None
    refused: dict[str, Refused] = field(default_factory=dict)
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    second_file: int | None = None
    truncated: bool = False
    configured: bool = False
    pings_unusable: int = 0

    def keep(self, start: int, end: int) -> None:
        """Count `[start, end)` as convertible; spans come in file order."""
        if self.kept and self.kept[-1][1] == start:
            self.kept[-1] = (self.kept[-1][0], end)
        else:
            self.kept.append((start, end))

    def drop(self, start: int, end: int) -> None:
        """Remove `[start, end)`, which was kept before."""
        self.dropped.append((start, end))

    def damage(self, start: int, end: int, cause: str, pings_before: int) -> None:
        """Count `[start, end)` as lost."""
        self.damages.append(Damage(start, end, cause, pings_before))

    @property
    def whole(self) -> tuple[Span, ...]:
        """The spans that were kept and not dropped, in file order."""
        spans: list[Span] = []
        dropped = sorted(self.dropped)
        at = 0
        for start, end in self.kept:
            position = start
            while at < len(dropped) and dropped[at][0] < end:
                if dropped[at][0] > position:
                    spans.append((position, dropped[at][0]))
                position = dropped[at][1]
                at += 1
            if position < end:
                spans.append((position, end))
        return tuple(spans)

    def refuse(self, datagram: str, cause: str, *, removable: bool) -> None:
        """Count what echopype cannot read; report the first, or the first that is not removable."""
        before = self.refused.get(datagram)
        self.refused[datagram] = (
            Refused(before.count + 1, before.cause) if before else Refused(1, cause)
        )
        if self.unsupported is None or (self.unsupported.removable and not removable):
            self.unsupported = Unsupported(datagram, cause, removable)

    def leave_out(self, name: str, size: int, time: np.datetime64, cause: str) -> None:
        """Count a whole record of `size` bytes that is not converted, because of the parser."""
        found = self.left_out.get(name) or LeftOut(0, 0, None, None, cause)
        dated = as_datetime(time)
        times = [each for each in (found.first_time, found.last_time, dated) if each is not None]
        self.left_out[name] = replace(
            found,
            count=found.count + 1,
            bytes=found.bytes + size,
            first_time=min(times, default=None),
            last_time=max(times, default=None),
        )


def summarize(
    tally: Tally,
    *,
    file: str,
    sonar_model: str,
    found: str | None,
    pings: Mapping[str, int],
    total: int,
    ping_times: Mapping[str, Times],
    last_good_ping: np.datetime64 | None,
    samples: SampleIndex | None = None,
    records: RecordIndex | None = None,
) -> FileSummary:
    """The summary of a finished walk.

    Args:
        tally: The counts of the walk.
        file: Name of the file.
        sonar_model: The declared model.
        found: The format of the file.
        pings: Whole pings by channel.
        total: Number of whole ping records, as counted by `Damage.pings_before`.
        ping_times: By channel, the times that the parser must read.
        last_good_ping: Time of the last whole ping before the first damage.
        samples: Index of the pings' samples.
        records: Index of the records.
    """
    tally.damages.sort(key=lambda damage: damage.start)
    if tally.left_out and not total and tally.unsupported is None:
        name, what = next(iter(tally.left_out.items()))
        cause = f"echopype can read none of the file's pings: {what.sentence(name)}"
        tally.unsupported = Unsupported(name, cause, removable=False)
    known = [times[~np.isnat(times)] for times in ping_times.values()]
    times = np.concatenate(known) if known else np.empty(0, dtype="datetime64[ns]")
    entries = [*tally.not_converted, *(records_not_converted(records) if records else ())]
    lost = sum(damage.end - damage.start for damage in tally.damages)
    if tally.second_file is not None:
        lost += tally.size - tally.second_file
    return FileSummary(
        file=file,
        sonar_model=sonar_model,
        found=found,
        condition=_condition(tally, total),
        damage=_sentence(tally, total),
        datagrams=dict(sorted(tally.datagrams.items())),
        pings=dict(pings),
        pings_unusable=tally.pings_unusable,
        first_time=as_datetime(times.min() if times.size else None),
        last_time=as_datetime(times.max() if times.size else None),
        bytes_total=tally.size,
        bytes_unaccounted=lost,
        last_good_byte=_first_damage(tally),
        last_good_ping=as_datetime(last_good_ping),
        unsupported=tally.unsupported,
        damages=tuple(tally.damages),
        second_file=tally.second_file,
        refused=dict(sorted(tally.refused.items())),
        left_out=dict(sorted(tally.left_out.items())),
        unconverted=(*tally.unconverted, *(entry.sentence for entry in entries)),
        not_converted=(*entries, *_refused(tally), *_left_out(tally)),
        notes=tuple(tally.notes),
        convertible=tally.configured and total > 0,
        whole=tally.whole if tally.configured else (),
        ping_times=ping_times,
        samples=samples,
        records=records,
    )


def _refused(tally: Tally) -> list[NotConverted]:
    """The refused datagrams; their sentences come from `refused`."""
    entries = []
    for type_, refused in sorted(tally.refused.items()):
        first, last = map(as_datetime, tally.refused_times.get(type_, (None, None)))
        entries.append(NotConverted(type_, refused.count, first, last, refused.cause))
    return entries


def _left_out(tally: Tally) -> list[NotConverted]:
    """The records that are left out; their sentences come from `left_out`."""
    return [
        NotConverted(name, what.count, what.first_time, what.last_time, what.cause)
        for name, what in sorted(tally.left_out.items())
    ]


def _first_damage(tally: Tally) -> int:
    starts = [damage.start for damage in tally.damages]
    if tally.second_file is not None:
        starts.append(tally.second_file)
    return min(starts, default=tally.size)


def _condition(tally: Tally, pings: int) -> Condition:
    if tally.size == 0:
        return "empty"
    if tally.damages:
        only_the_end = len(tally.damages) == 1 and tally.truncated
        return "truncated" if only_the_end else "hole"
    if tally.second_file is not None:
        return "joined"
    return "empty" if pings == 0 and not tally.left_out else "intact"


def _sentence(tally: Tally, pings: int) -> str | None:
    if tally.size == 0:
        return "the file is empty (0 bytes)"
    sentences: list[str] = []
    for number, damage in enumerate(tally.damages):
        lost = damage.end - damage.start
        if tally.truncated and number == len(tally.damages) - 1:
            sentences.append(
                f"truncated at byte {damage.start}: {damage.cause} "
                f"({lost} bytes left over, {damage.pings_before} pings before)"
            )
        elif number < 3:
            sentences.append(
                f"hole at byte {damage.start}: {damage.cause} ({lost} bytes lost, "
                f"{damage.pings_before} pings before, {pings - damage.pings_before} after)"
            )
    if len(tally.damages) > 3:
        sentences.append(f"{len(tally.damages)} damaged places in total")
    if tally.damages and tally.pings_unusable:
        sentences.append(f"{tally.pings_unusable} whole pings after it lost their parameters")
    if tally.second_file is not None:
        sentences.append(f"a second file begins at byte {tally.second_file}")
    if not tally.configured:
        sentences.append("the configuration at the beginning of the file is lost")
    if pings == 0 and not tally.damages and not tally.left_out:
        sentences.append("no pings: the file has only a header")
    return "; ".join(sentences) or None
