"""Counts of a walk, for every format, and the summary made from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from flows.walk.account import NotConverted, as_datetime
from flows.walk.record_index import RecordIndex
from flows.walk.sample_index import SampleIndex
from flows.walk.summary import (
    Condition,
    Damage,
    FileSummary,
    Span,
    Times,
    Unsupported,
)


@dataclass
class Tally:
    """Running counts of one walk over the file of this name and format, for `summarize`."""

    file: str
    sonar_model: str
    found: str
    size: int
    datagrams: Counter[str] = field(default_factory=Counter)
    kept: list[Span] = field(default_factory=list)
    # What was kept, and is not converted.
    dropped: list[Span] = field(default_factory=list)
    damages: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unconverted: list[str] = field(default_factory=list)
    not_converted: list[NotConverted] = field(default_factory=list)
    unsupported: Unsupported | None = None
    refused: dict[str, NotConverted] = field(default_factory=dict)
    left_out: dict[str, NotConverted] = field(default_factory=dict)
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

    def refuse(
        self, datagram: str, cause: str, *, removable: bool, time: datetime | None = None
    ) -> None:
        """Count what echopype cannot read; report the first, or the first that is not removable."""
        found = self.refused.get(datagram) or NotConverted(datagram, cause)
        self.refused[datagram] = found.with_one_more(time)
        if self.unsupported is None or (self.unsupported.removable and not removable):
            self.unsupported = Unsupported(datagram, cause, removable)

    def leave_out(self, name: str, size: int, time: np.datetime64, cause: str) -> None:
        """Count a whole record of `size` bytes that is not converted, because of the parser."""
        found = self.left_out.get(name) or NotConverted(name, cause)
        self.left_out[name] = found.with_one_more(as_datetime(time), size)


def summarize(
    tally: Tally,
    *,
    pings: Mapping[str, int],
    total: int,
    ping_times: Mapping[str, Times],
    last_good_ping: np.datetime64 | None,
    samples: SampleIndex | None = None,
    records: RecordIndex | None = None,
) -> FileSummary:
    """The summary of a finished walk.

    `pings` are the whole pings by channel, and `total` is the number of whole ping records, as counted
    by `Damage.pings_before`. `ping_times` are, by channel, the times that the parser must read.
    """
    tally.damages.sort(key=lambda damage: damage.start)
    if tally.left_out and not total and tally.unsupported is None:
        name, what = next(iter(tally.left_out.items()))
        cause = f"echopype can read none of the file's pings: {what.left_out}"
        tally.unsupported = Unsupported(name, cause, removable=False)
    known = [times[~np.isnat(times)] for times in ping_times.values()]
    times = np.concatenate(known) if known else np.empty(0, dtype="datetime64[ns]")
    refused, left_out = dict(sorted(tally.refused.items())), dict(sorted(tally.left_out.items()))
    second_file = tally.size if tally.second_file is None else tally.second_file
    lost = sum(damage.end - damage.start for damage in tally.damages) + tally.size - second_file
    return FileSummary(
        file=tally.file,
        sonar_model=tally.sonar_model,
        found=tally.found,
        condition=_condition(tally, total),
        damage=_sentence(tally, total),
        datagrams=dict(sorted(tally.datagrams.items())),
        pings=dict(pings),
        pings_unusable=tally.pings_unusable,
        first_time=as_datetime(times.min() if times.size else None),
        last_time=as_datetime(times.max() if times.size else None),
        bytes_total=tally.size,
        bytes_unaccounted=lost,
        last_good_byte=min([second_file, *(damage.start for damage in tally.damages)]),
        last_good_ping=as_datetime(last_good_ping),
        unsupported=tally.unsupported,
        damages=tuple(tally.damages),
        second_file=tally.second_file,
        refused=refused,
        left_out=left_out,
        unconverted=(*tally.unconverted, *(entry.sentence for entry in tally.not_converted)),
        not_converted=(*tally.not_converted, *refused.values(), *left_out.values()),
        notes=tuple(tally.notes),
        convertible=tally.configured and total > 0,
        whole=tally.whole if tally.configured else (),
        ping_times=ping_times,
        samples=samples,
        records=records,
    )


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
